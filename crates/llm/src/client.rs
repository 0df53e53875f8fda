//! A server that is asked.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, RETRY_AFTER};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::figures::Figures;
use crate::http::Http;
use crate::wire::{Collected, Form, Line, Lines, Message, Request};
use crate::{
    Breaker, Budget, LlmError, Problems, Prompt, Purpose, Rate, Schema, Sendable, Snapshot, Spent, Template,
    backoff, estimate,
};

/// Bytes that an answer may have on the wire. A token takes some 300 there.
const MAX_WIRE: usize = 4 << 20;
/// Bytes that are read of what a server says instead of answering, and how long that may take.
const MAX_REFUSAL: usize = 16 << 10;
const REFUSAL_WITHIN: Duration = Duration::from_secs(5);
/// Characters of that which are told.
const MAX_MESSAGE: usize = 300;
/// Questions that wait, for each that is answered at the same time.
const WAITING: usize = 8;
/// How long counting tokens may take, and after how many seconds a server that could not just then is asked to again.
const COUNTED_WITHIN: Duration = Duration::from_secs(2);
const COUNTS_AGAIN: u64 = 30;
/// Characters of an answer that is sent back to be put right.
const MAX_WRONG: usize = 4_000;
/// What a server's template puts around a message, in tokens.
const AROUND: u32 = 16;
/// Seconds of a day.
const DAY: u64 = 24 * 3600;

/// How a server is asked.
#[derive(Clone, PartialEq)]
pub struct Settings {
    /// Where OpenAI's interface is: `http://127.0.0.1:11434/v1`.
    pub url: String,
    /// What proves who asks; empty for nothing.
    pub key: String,
    /// The model's name, as the server knows it.
    pub model: String,
    /// How long a connection may take.
    pub connect: Duration,
    /// How long it may take until the answer's first word, or its only piece, is there; and in a stream until the next one.
    pub first_token: Duration,
    /// How long a question may take with everything: waiting, attempts, and having it put right.
    pub whole: Duration,
    /// Tokens that the model has for prompt and answer together.
    pub context_tokens: u32,
    /// Tokens that an answer may have.
    pub answer_tokens: u32,
    /// Tokens a day (UTC); 0 for no limit.
    pub tokens_per_day: u64,
    /// Tokens a day of single purposes.
    pub purposes_per_day: BTreeMap<Purpose, u64>,
    /// Questions that are answered at the same time, at least one.
    pub concurrency: usize,
    /// Questions a minute; 0 for any number.
    pub per_minute: u32,
    /// Attempts after the first.
    pub retries: u32,
    /// The price of a million tokens of prompts, in any currency.
    pub prompt_price: f64,
    /// The price of a million tokens of answers.
    pub answer_price: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: String::new(),
            key: String::new(),
            model: String::new(),
            connect: Duration::from_secs(3),
            first_token: Duration::from_secs(20),
            whole: Duration::from_secs(60),
            context_tokens: 4_096,
            answer_tokens: 512,
            tokens_per_day: 0,
            purposes_per_day: BTreeMap::new(),
            concurrency: 2,
            per_minute: 60,
            retries: 2,
            prompt_price: 0.0,
            answer_price: 0.0,
        }
    }
}

impl fmt::Debug for Settings {
    /// Without the key, and without the address, which may hold one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("model", &self.model).finish_non_exhaustive()
    }
}

/// Tokens of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// How many.
    pub count: u32,
    /// By [`estimate`]: the server does not count.
    pub is_estimate: bool,
}

/// What an answer cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of all prompts that it took.
    pub prompt_tokens: u64,
    /// Tokens of all that was said.
    pub answer_tokens: u64,
    /// By [`estimate`]: the server does not say.
    pub is_estimate: bool,
}

impl Usage {
    fn and(self, other: Self) -> Self {
        Self {
            prompt_tokens: self.prompt_tokens.saturating_add(other.prompt_tokens),
            answer_tokens: self.answer_tokens.saturating_add(other.answer_tokens),
            is_estimate: self.is_estimate || other.is_estimate,
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered<T> {
    /// What was answered.
    pub value: T,
    /// The model, as the server calls it.
    pub model: String,
    /// The prompt's template and its version.
    pub template: &'static str,
    /// How the server was asked for the form; none where none was asked for.
    pub form: Option<Form>,
    /// The first answer had another form.
    pub was_repaired: bool,
    /// What it cost.
    pub usage: Usage,
    /// From the first attempt that succeeded to its first word.
    pub first_token: Duration,
    /// How long all of it took.
    pub took: Duration,
}

/// A chat server that speaks OpenAI's interface. Cheap to clone.
#[derive(Clone)]
pub struct Llm {
    shared: Arc<Shared>,
}

impl fmt::Debug for Llm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Llm").field("model", &self.model()).finish_non_exhaustive()
    }
}

struct Shared {
    settings: Settings,
    http: Http,
    /// Those that are answered.
    places: Semaphore,
    /// Those, and those that wait for it.
    line: Semaphore,
    limits: Mutex<Limits>,
    /// What this server has shown that it knows.
    form: Mutex<Form>,
    tells_usage: AtomicBool,
    /// From which second since the begin the server is asked to count tokens; the last there is where it does not know how.
    counts_from: AtomicU64,
    /// What the budget's day has cost by now.
    spent: watch::Sender<Spent>,
    figures: Figures,
    begun: Instant,
}

struct Limits {
    budget: Budget,
    rate: Rate,
    breaker: Breaker,
}

/// What one request came to.
struct Said {
    collected: Collected,
    form: Option<Form>,
    usage: Usage,
    first_token: Duration,
}

/// Gives on what is said while it comes, if anybody listens.
struct Ear<'a> {
    listen: Option<&'a mut (dyn FnMut(&str) + Send)>,
    /// Something was given on, and cannot be taken back.
    was_heard: bool,
}

impl<'a> Ear<'a> {
    fn of(listen: Option<&'a mut (dyn FnMut(&str) + Send)>) -> Self {
        Self { listen, was_heard: false }
    }

    fn hear(&mut self, said: &str) {
        if let Some(listen) = &mut self.listen {
            self.was_heard = true;
            listen(said);
        }
    }
}

impl Llm {
    /// Asks nothing yet.
    ///
    /// # Errors
    /// [`LlmError::Settings`] when there can be no such server.
    pub fn new(settings: Settings) -> Result<Self, LlmError> {
        if settings.answer_tokens.saturating_add(AROUND) >= settings.context_tokens {
            let problem = "an answer must have fewer tokens than the context".to_owned();
            return Err(LlmError::Settings(problem));
        }
        let places = settings.concurrency.clamp(1, 1_000);
        let limits = Limits {
            budget: Budget::new(settings.tokens_per_day, &settings.purposes_per_day),
            rate: Rate::new(settings.per_minute),
            breaker: Breaker::default(),
        };
        let shared = Shared {
            http: Http::new(&settings.url, &settings.key, settings.connect)?,
            places: Semaphore::new(places),
            line: Semaphore::new(places * (1 + WAITING)),
            limits: Mutex::new(limits),
            form: Mutex::new(Form::Schema),
            tells_usage: AtomicBool::new(true),
            counts_from: AtomicU64::new(0),
            spent: watch::Sender::default(),
            figures: Figures::default(),
            begun: Instant::now(),
            settings,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Asks for an answer of a form. One of another form is sent back once, with what is wrong with it. `patience` is how
    /// long whoever asks waits for it.
    ///
    /// # Errors
    /// [`LlmError`]; at the latest after `patience`, and after [`Settings::whole`].
    pub async fn ask<T: DeserializeOwned>(
        &self,
        purpose: Purpose,
        prompt: &Prompt,
        schema: &Schema,
        patience: Duration,
    ) -> Result<Answered<T>, LlmError> {
        let begun = Instant::now();
        let deadline = begun + patience.min(self.shared.settings.whole);
        let asked = self.asked(purpose, prompt, schema, deadline).await;
        let asked = asked.map(|answered| Answered { took: begun.elapsed(), ..answered });
        self.shared.figures.over(purpose, begun.elapsed(), &asked);
        asked
    }

    async fn asked<T: DeserializeOwned>(
        &self,
        purpose: Purpose,
        prompt: &Prompt,
        schema: &Schema,
        deadline: Instant,
    ) -> Result<Answered<T>, LlmError> {
        self.fits(prompt).await?;
        let mut messages = messages(prompt);
        let nobody = &mut Ear::of(None);
        let first = self.shared.complete(purpose, &messages, Some(schema), deadline, nobody).await?;
        let answered = |value: T, said: Said, usage: Usage, was_repaired: bool| Answered {
            value,
            model: said.collected.model,
            template: prompt.template(),
            form: said.form,
            was_repaired,
            usage,
            first_token: said.first_token,
            took: Duration::ZERO,
        };
        let problems = match schema.read(&first.collected.text) {
            Ok(value) => {
                let usage = first.usage;
                return Ok(answered(value, first, usage, false));
            }
            Err(problems) => problems,
        };
        self.shared.figures.add(purpose, |counts| counts.invalid += 1);
        let wrong: String = first.collected.text.chars().take(MAX_WRONG).collect();
        messages.push(Message { role: "assistant", text: Sendable::back(&wrong) });
        messages.push(Message { role: "user", text: repair(&problems)? });
        if self.shared.fit(&messages).await.is_err() {
            return Err(LlmError::Form(problems));
        }
        let second = self.shared.complete(purpose, &messages, Some(schema), deadline, nobody).await?;
        let usage = first.usage.and(second.usage);
        let value = schema.read(&second.collected.text).map_err(LlmError::Form)?;
        self.shared.figures.add(purpose, |counts| counts.repaired += 1);
        Ok(answered(value, second, usage, true))
    }

    /// Asks for an answer in words, and gives them on while they come. What was given on of an answer that then fails
    /// is not taken back.
    ///
    /// # Errors
    /// [`LlmError`]; at the latest after [`Settings::whole`].
    pub async fn say(
        &self,
        purpose: Purpose,
        prompt: &Prompt,
        mut listen: impl FnMut(&str) + Send,
    ) -> Result<Answered<String>, LlmError> {
        let begun = Instant::now();
        let deadline = begun + self.shared.settings.whole;
        let ear = &mut Ear::of(Some(&mut listen));
        let said = match self.fits(prompt).await {
            Ok(()) => self.shared.complete(purpose, &messages(prompt), None, deadline, ear).await,
            Err(error) => Err(error),
        };
        let said = said.map(|said| Answered {
            value: said.collected.text,
            model: said.collected.model,
            template: prompt.template(),
            form: None,
            was_repaired: false,
            usage: said.usage,
            first_token: said.first_token,
            took: begun.elapsed(),
        });
        self.shared.figures.over(purpose, begun.elapsed(), &said);
        said
    }

    /// How many tokens a text has, by the server's own count where it has one (`/tokenize` of llama.cpp and vLLM).
    pub async fn tokens(&self, text: &Sendable) -> Tokens {
        self.shared.tokens(text).await
    }

    /// Tokens that a prompt may have, so that there is room for an answer.
    #[must_use]
    pub fn room(&self) -> u32 {
        self.shared.room()
    }

    /// Tokens that an answer may have.
    #[must_use]
    pub fn answer_tokens(&self) -> u32 {
        self.shared.settings.answer_tokens
    }

    /// Whether a prompt leaves room for an answer, by [`Llm::tokens`].
    ///
    /// # Errors
    /// [`LlmError::NoRoom`] when it does not; it is not sent then.
    pub async fn fits(&self, prompt: &Prompt) -> Result<(), LlmError> {
        self.shared.fit(&messages(prompt)).await
    }

    /// Counts what was spent before this process began, so that a restart gives nothing of a day's budget back.
    pub fn resume(&self, spent: &Spent) {
        let mut limits = self.shared.limits();
        limits.budget.resume(spent);
        self.shared.tell(&limits);
    }

    /// What was spent on the newest day that something was asked on, or is set aside, whenever that changes: before a question
    /// is sent, and when it has come to an end.
    #[must_use]
    pub fn spending(&self) -> watch::Receiver<Spent> {
        self.shared.spent.subscribe()
    }

    /// What is counted.
    #[must_use]
    pub fn figures(&self) -> Snapshot {
        let shared = &self.shared;
        let mut limits = shared.limits();
        let in_line = shared.settings.concurrency.clamp(1, 1_000) * (1 + WAITING);
        Snapshot {
            counts: shared.figures.read(),
            spent_today: limits.budget.spent(today()).clone(),
            standing: limits.breaker.standing(shared.begun.elapsed()),
            going_on: in_line.saturating_sub(shared.line.available_permits()),
        }
    }

    /// The model's name, as it was configured.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.shared.settings.model
    }
}

fn messages(prompt: &Prompt) -> Vec<Message> {
    vec![
        Message { role: "system", text: prompt.system().clone() },
        Message { role: "user", text: prompt.user().clone() },
    ]
}

fn repair(problems: &Problems) -> Result<Sendable, LlmError> {
    let problems = Sendable::back(&problems.lines());
    Ok(Template::REPAIR.fill(&[("problems", &problems)])?.system().clone())
}

impl Shared {
    fn limits(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has it be known what was spent by now.
    fn tell(&self, limits: &Limits) {
        self.spent.send_replace(limits.budget.newest());
    }

    /// Tokens that a prompt may have.
    fn room(&self) -> u32 {
        self.settings.context_tokens.saturating_sub(self.settings.answer_tokens)
    }

    /// See [`Llm::tokens`].
    async fn tokens(&self, text: &Sendable) -> Tokens {
        let now = self.begun.elapsed().as_secs();
        if self.counts_from.load(Relaxed) <= now {
            match timeout(COUNTED_WITHIN, self.count(text)).await {
                Ok(Ok(Some(count))) => return Tokens { count, is_estimate: false },
                Ok(Ok(None)) => self.counts_from.store(u64::MAX, Relaxed),
                Ok(Err(_)) | Err(_) => self.counts_from.store(now + COUNTS_AGAIN, Relaxed),
            }
        }
        Tokens { count: estimate(text.as_str()), is_estimate: true }
    }

    /// Whether messages leave room for an answer.
    async fn fit(&self, messages: &[Message]) -> Result<(), LlmError> {
        let whole = Sendable::joined(messages.iter().map(|one| &one.text), "\n");
        let around = messages.iter().map(|_| AROUND).fold(0, u32::saturating_add);
        let tokens = self.tokens(&whole).await.count.saturating_add(around);
        let room = self.room();
        if tokens > room { Err(LlmError::NoRoom { tokens, room }) } else { Ok(()) }
    }

    /// Asks, in the form that the server knows; where it dislikes that, in the next one.
    async fn complete(
        &self,
        purpose: Purpose,
        messages: &[Message],
        schema: Option<&Schema>,
        deadline: Instant,
        ear: &mut Ear<'_>,
    ) -> Result<Said, LlmError> {
        let _places = self.place(deadline).await?;
        let mut form = *self.form.lock().unwrap_or_else(PoisonError::into_inner);
        let mut disliked = None;
        loop {
            let described;
            let messages = match schema.filter(|_| form != Form::Schema) {
                Some(schema) => {
                    described = with_form(messages, schema)?;
                    // It is longer than what was seen to fit.
                    self.fit(&described).await?;
                    described.as_slice()
                }
                None => messages,
            };
            let asked = schema.map(|schema| (form, schema));
            let error = match self.attempts(purpose, messages, asked, deadline, ear).await {
                Ok(said) => {
                    if schema.is_some() {
                        *self.form.lock().unwrap_or_else(PoisonError::into_inner) = form;
                    }
                    return Ok(said);
                }
                Err(error) => error,
            };
            let Some(message) = error.dislikes_request() else { return Err(error) };
            if message.contains("stream_options") && self.tells_usage.swap(false, Relaxed) {
                continue;
            }
            match form.next().filter(|_| schema.is_some()) {
                Some(next) => form = next,
                // What it said at first is what is wrong.
                None => return Err(disliked.unwrap_or(error)),
            }
            disliked.get_or_insert(error);
        }
    }

    /// A place among those that are answered.
    async fn place(&self, deadline: Instant) -> Result<[SemaphorePermit<'_>; 2], LlmError> {
        let in_line = self.line.try_acquire().map_err(|_| LlmError::Busy)?;
        let place = timeout_at(deadline, self.places.acquire()).await;
        let place = place.map_err(|_| LlmError::Busy)?.map_err(|_| LlmError::Busy)?;
        // To have no time left when one's turn comes says nothing about the server.
        if Instant::now() >= deadline { Err(LlmError::Busy) } else { Ok([in_line, place]) }
    }

    /// Asks until it works, or is not worth it any more.
    async fn attempts(
        &self,
        purpose: Purpose,
        messages: &[Message],
        form: Option<(Form, &Schema)>,
        deadline: Instant,
        ear: &mut Ear<'_>,
    ) -> Result<Said, LlmError> {
        let prompt = messages.iter().map(|one| estimate(one.text.as_str()).saturating_add(AROUND));
        let prompt = prompt.fold(0, u32::saturating_add);
        let mut attempt = 0;
        loop {
            let error = match self.attempt(purpose, messages, form, prompt, deadline, ear).await {
                Ok(said) => return Ok(said),
                Err(error) => error,
            };
            let may_pass = !ear.was_heard && error.is_passing() && attempt < self.settings.retries;
            let wait = backoff::delay(attempt, rand::random(), error.retry_after());
            if !may_pass || wait >= deadline.saturating_duration_since(Instant::now()) {
                // Whoever asks next is not to ask too soon either.
                if let Some(told) = error.retry_after() {
                    self.limits().breaker.told(self.begun.elapsed(), told);
                }
                return Err(error);
            }
            tracing::debug!(error = error.kind(), ?wait, "the language model is asked again");
            self.figures.add(purpose, |counts| counts.retried += 1);
            sleep(wait).await;
            attempt += 1;
        }
    }

    /// Asks once, within all limits.
    async fn attempt(
        &self,
        purpose: Purpose,
        messages: &[Message],
        form: Option<(Form, &Schema)>,
        prompt_tokens: u32,
        deadline: Instant,
        ear: &mut Ear<'_>,
    ) -> Result<Said, LlmError> {
        let most = self.settings.answer_tokens;
        let patience = deadline.saturating_duration_since(Instant::now());
        let (reserved, wait) = {
            let mut limits = self.limits();
            let now = self.begun.elapsed();
            let tokens = u64::from(prompt_tokens) + u64::from(most);
            // First what can be given back: the one question that is to tell whether a server is well is not spent on a
            // budget that has nothing left.
            let reserved = limits.budget.reserve(purpose, tokens, today()).ok_or(LlmError::Budget)?;
            let admitted = limits.breaker.admit(now).map_err(LlmError::Resting);
            let booked = admitted.and_then(|()| limits.rate.book(now, patience).ok_or(LlmError::Busy));
            match booked {
                Ok(wait) => {
                    self.tell(&limits);
                    (reserved, wait)
                }
                Err(error) => {
                    limits.budget.settle(reserved, 0);
                    return Err(error);
                }
            }
        };
        sleep(wait).await;
        let had = deadline.saturating_duration_since(Instant::now());
        let request = Request {
            model: &self.settings.model,
            messages,
            form,
            most_tokens: most,
            wants_usage: self.tells_usage.load(Relaxed),
        };
        let outcome = self.exchange(&request, deadline, ear).await;
        let mut limits = self.limits();
        match &outcome {
            // Where little time was left, because of a line or of whoever asks, that it was too little tells nothing.
            Err(LlmError::TooSlow(_)) if had < self.settings.first_token.min(self.settings.whole) / 2 => {}
            Err(error) if error.is_illness() => limits.breaker.failed(self.begun.elapsed()),
            _ => limits.breaker.succeeded(),
        }
        match outcome {
            Ok((collected, first_token)) => {
                let usage = match collected.usage {
                    Some(said) => Usage {
                        prompt_tokens: said.prompt_tokens,
                        answer_tokens: said.completion_tokens,
                        is_estimate: false,
                    },
                    None => Usage {
                        prompt_tokens: prompt_tokens.into(),
                        answer_tokens: estimate(&collected.text).into(),
                        is_estimate: true,
                    },
                };
                limits.budget.settle(reserved, usage.prompt_tokens.saturating_add(usage.answer_tokens));
                self.tell(&limits);
                drop(limits);
                let price = |tokens: u64, million: f64| tokens as f64 / 1e6 * million;
                self.figures.add(purpose, |counts| {
                    counts.prompt_tokens = counts.prompt_tokens.saturating_add(usage.prompt_tokens);
                    counts.answer_tokens = counts.answer_tokens.saturating_add(usage.answer_tokens);
                    counts.cost += price(usage.prompt_tokens, self.settings.prompt_price)
                        + price(usage.answer_tokens, self.settings.answer_price);
                });
                Ok(Said { collected, form: form.map(|(form, _)| form), usage, first_token })
            }
            Err(error) => {
                // What was never answered cost nothing; what broke off may have.
                if matches!(error, LlmError::Unreachable(_) | LlmError::Refused { .. }) {
                    limits.budget.settle(reserved, 0);
                    self.tell(&limits);
                }
                Err(error)
            }
        }
    }

    /// Sends one request and takes the answer in, with the time of its first word.
    async fn exchange(
        &self,
        request: &Request<'_>,
        deadline: Instant,
        ear: &mut Ear<'_>,
    ) -> Result<(Collected, Duration), LlmError> {
        let begun = Instant::now();
        let body =
            serde_json::to_vec(&request.body()).map_err(|error| LlmError::Garbage(error.to_string()))?;
        let first_by = deadline.min(begun + self.settings.first_token);
        let answer = timeout_at(first_by, self.http.post("/chat/completions", body)).await;
        let answer = answer.map_err(|_| LlmError::TooSlow("nothing was said in time"))??;
        if !answer.status().is_success() {
            return Err(refusal(answer, deadline).await);
        }
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_stream = kind.is_some_and(|kind| kind.contains("event-stream"));
        let mut body = answer.into_body();
        let (mut collected, mut lines, mut whole) = (Collected::default(), Lines::default(), Vec::new());
        let mut wire = 0;
        let mut first: Option<Duration> = None;
        // When something was said last: what stands between (comments, empty pieces) is nothing.
        let mut heard_at = begun;
        let mut take = |collected: &mut Collected, json: &[u8]| -> Result<(), LlmError> {
            let said = collected.take(json)?;
            if !said.is_empty() {
                first.get_or_insert_with(|| begun.elapsed());
                ear.hear(said);
            }
            Ok(())
        };
        let mut is_done = false;
        while !is_done {
            let by = if is_stream { deadline.min(heard_at + self.settings.first_token) } else { deadline };
            let frame = timeout_at(by, body.frame()).await;
            let frame = frame.map_err(|_| match collected.text.is_empty() {
                true => LlmError::TooSlow("nothing was said in time"),
                false => LlmError::TooSlow("the answer stopped, or did not come to an end in time"),
            })?;
            let Some(frame) = frame else { break };
            // The connection broke.
            let frame = frame.map_err(|_| LlmError::Cut)?;
            let Ok(data) = frame.into_data() else { continue };
            wire += data.len();
            if wire > MAX_WIRE {
                return Err(LlmError::TooLong);
            }
            if !is_stream {
                whole.extend_from_slice(&data);
                continue;
            }
            let before = collected.text.len();
            for line in lines.push(&data) {
                match line {
                    Line::Data(json) => take(&mut collected, &json)?,
                    Line::Done => is_done = true,
                }
            }
            if collected.text.len() > before {
                heard_at = Instant::now();
            }
        }
        if is_stream {
            match lines.finish() {
                Some(Line::Data(json)) => take(&mut collected, &json)?,
                Some(Line::Done) => is_done = true,
                None => {}
            }
        } else {
            take(&mut collected, &whole)?;
        }
        // Some end without saying that they do.
        if !(is_done || collected.is_complete) {
            return Err(LlmError::Cut);
        }
        Ok((collected, first.unwrap_or_else(|| begun.elapsed())))
    }

    /// The server's own count of a text's tokens; none where it knows no such thing.
    ///
    /// # Errors
    /// When it may know, and could not say just now.
    async fn count(&self, text: &Sendable) -> Result<Option<u32>, LlmError> {
        #[derive(Deserialize)]
        struct Counted {
            count: Option<u32>,
            tokens: Option<Vec<serde::de::IgnoredAny>>,
        }
        // llama.cpp wants `content`, vLLM `model` and `prompt`.
        let json = json!({
            "content": text.as_str(), "prompt": text.as_str(), "model": self.settings.model, "add_special": false,
        });
        let json = serde_json::to_vec(&json).map_err(|error| LlmError::Garbage(error.to_string()))?;
        let answer = self.http.post_at_root("/tokenize", json).await?;
        match answer.status().as_u16() {
            200 => {}
            408 | 429 | 500 | 502..=599 => return Err(LlmError::Busy),
            _ => return Ok(None),
        }
        let body = http_body_util::Limited::new(answer.into_body(), MAX_WIRE).collect().await;
        let body = body.map_err(|_| LlmError::Cut)?.to_bytes();
        let counted = serde_json::from_slice::<Counted>(&body).ok();
        Ok(counted.and_then(|one| one.count.or_else(|| u32::try_from(one.tokens?.len()).ok())))
    }
}

/// The messages with a description of the form in front.
fn with_form(messages: &[Message], schema: &Schema) -> Result<Vec<Message>, LlmError> {
    let value = Sendable::back(&schema.value().to_string());
    let form = Template::FORM.fill(&[("schema", &value)])?;
    let mut out = messages.to_vec();
    match out.first_mut() {
        Some(first) => first.text = Sendable::joined([&first.text, form.system()], "\n\n"),
        None => out.push(Message { role: "system", text: form.system().clone() }),
    }
    Ok(out)
}

/// What a server says instead of answering.
async fn refusal(answer: Response<Incoming>, deadline: Instant) -> LlmError {
    let status = answer.status().as_u16();
    let told = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = told.and_then(|told| backoff::retry_after(told, SystemTime::now()));
    let mut body = answer.into_body();
    let mut said = Vec::new();
    let read = async {
        while let Some(Ok(frame)) = body.frame().await {
            let Ok(data) = frame.into_data() else { continue };
            let room = MAX_REFUSAL.saturating_sub(said.len()).min(data.len());
            said.extend_from_slice(data.get(..room).unwrap_or_default());
            if said.len() >= MAX_REFUSAL {
                break;
            }
        }
    };
    // What has come by then will do.
    let _ = timeout_at(deadline.min(Instant::now() + REFUSAL_WITHIN), read).await;
    let said = String::from_utf8_lossy(&said);
    let message = said.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_MESSAGE).collect();
    LlmError::Refused { status, message, retry_after }
}

/// The number of the day since 1970 (UTC).
fn today() -> u64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since_1970.as_secs() / DAY
}
