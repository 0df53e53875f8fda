//! What is done after calls, behind those that go on: the store keeps the jobs, one task claims them, and each is worked on by
//! a thread of its own.
//!
//! Each step has a lane of its own, which waits for no other: what is drawn from a call's log, and found by it, is there while a
//! language model is still asked about this call and those before it.
//!
//! Nothing here can hold up or end a call: there are few threads, they yield to all others, and one that panics or takes for
//! ever is a try that failed. A job is tried again later and later, and then waits for a person. One that was being worked on
//! when the process died is taken up at the next start.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use anyhow::Context as _;
use sotto_call::{CallEvent, CallId, CallState, EventBody, Participant, Source};
use sotto_knowledge::Trigger;
use sotto_review::{CallInsight, Quality, Scorecard};
use sotto_store::{CallEntry, CallKnowledge, INTERRUPTED, JobRow, ReviewRow, Step, Store, StoreError};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::assist::Model;
use crate::cli::now_unix_ms;
use crate::crm::is_voice_note;
use crate::follow_ups::FollowUpRules;
use crate::library::Library;
use crate::writer::{self, Drafted};
use crate::{gaps, pace, priority, search};

/// Events that are read together.
const PAGE: u32 = 1_000;
/// Calls of which it is looked together whose they are.
const JOINED_TOGETHER: u32 = 50;

/// How jobs are worked on.
#[derive(Clone, Copy, Debug)]
pub struct JobLimits {
    /// At the same time, of each step.
    pub at_once: usize,
    /// How often each is tried.
    pub tries: u32,
    /// How long a try may take.
    pub patience: Duration,
    /// How long after a first failure a job is tried again, about; twice as long after each further one.
    pub pause: Duration,
    /// How long at most.
    pub longest_pause: Duration,
    /// How soon a job that is due is found.
    pub every: Duration,
}

impl Default for JobLimits {
    fn default() -> Self {
        Self {
            at_once: 2,
            tries: 8,
            patience: Duration::from_secs(300),
            pause: Duration::from_secs(2),
            longest_pause: Duration::from_secs(600),
            every: Duration::from_millis(500),
        }
    }
}

impl JobLimits {
    /// How long until a job is tried again, in milliseconds.
    pub(crate) fn pause_ms(&self, tries: u32) -> u64 {
        let pause = pace::pause(tries, self.pause, self.longest_pause);
        u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)
    }
}

/// What was done, counted from the start of the process.
#[derive(Debug, Default)]
pub struct Figures {
    /// Jobs that are done.
    pub done: AtomicU64,
    /// Tries that failed.
    pub failed: AtomicU64,
    /// Jobs that were given up.
    pub dead: AtomicU64,
}

/// What a step came to, as JSON.
pub struct Made {
    /// A call's insight, in which nothing rests on how the customer felt.
    pub insight: String,
    /// Its insight with that; absent where it is the same.
    pub with_moods: Option<String>,
    /// What only [`Step::Review`] makes.
    pub review: Option<Reviewed>,
}

/// What a call came to, besides its insight.
pub struct Reviewed {
    /// Its quality, as JSON.
    pub quality: String,
    /// What it tells of what is written down, and by what the call is found.
    pub knowledge: CallKnowledge,
    /// What is to be done next.
    pub next: Option<Step>,
}

/// What works on jobs: makes of a call's log what a step comes to. Partial words that final ones have replaced may be absent.
pub type Work = Arc<dyn Fn(Step, &[CallEvent]) -> anyhow::Result<Made> + Send + Sync>;

/// What is built in: without a language model, from the log alone, and what is written down.
#[must_use]
pub fn built_in(library: Library) -> Work {
    static CARD: LazyLock<Scorecard> = LazyLock::new(Scorecard::built_in);
    let trigger = Trigger::new();
    Arc::new(move |step: Step, events: &[CallEvent]| match step {
        Step::Review => review(events, &CARD, &library, &trigger),
        // It was queued when there was a model.
        Step::Write => insights(CallState::of(events), &Drafted::NotAsked),
    })
}

/// The same, in whose place a summary by a language model comes, which is asked on this runtime. When `stop` comes while one is
/// being written, the job is done again at the next start.
#[must_use]
pub fn by_model(library: Library, model: Model, runtime: Handle, stop: CancellationToken) -> Work {
    let at_once = built_in(library);
    Arc::new(move |step: Step, events: &[CallEvent]| -> anyhow::Result<Made> {
        let state = CallState::of(events);
        match step {
            Step::Review if state.finals().next().is_none() => at_once(step, events),
            Step::Review => {
                let review = at_once(step, events)?.review;
                let review = review.map(|review| Reviewed { next: Some(Step::Write), ..review });
                Ok(Made { review, ..insights(state, &Drafted::Awaited)? })
            }
            Step::Write => {
                let drafted = runtime.block_on(stop.run_until_cancelled(writer::draft(&model, &state)));
                insights(state, &drafted.context("Sotto is being stopped")?)
            }
        }
    })
}

fn review(
    events: &[CallEvent],
    card: &Scorecard,
    library: &Library,
    trigger: &Trigger,
) -> anyhow::Result<Made> {
    let state = CallState::of(events);
    // A call comes to something whatever becomes of what is written down.
    let mut knowledge = gaps::of_call(&state, events, library, trigger).unwrap_or_else(|error| {
        tracing::warn!(%error, "what a call asked was not looked up");
        CallKnowledge::default()
    });
    let quality = Quality::of(events, card);
    knowledge.search = search::of_call(&state, events, &CallInsight::of_state(&state), &quality);
    let review = Reviewed { quality: serde_json::to_string(&quality)?, knowledge, next: None };
    Ok(Made { review: Some(review), ..insights(state, &Drafted::NotAsked)? })
}

/// The insight of a call without moods, and with them where that is another one.
fn insights(mut state: CallState, drafted: &Drafted) -> anyhow::Result<Made> {
    let with_moods = drafted.insight(&state);
    state.forget_moods();
    let insight = drafted.insight(&state);
    let with_moods = (with_moods != insight).then(|| serde_json::to_string(&with_moods)).transpose()?;
    Ok(Made { insight: serde_json::to_string(&insight)?, with_moods, review: None })
}

/// Works on jobs until it is told to stop, and then ends what it has begun. Whoever runs it holds
/// [`Store::lock_instance`].
pub async fn run(
    store: Store,
    work: Work,
    rules: FollowUpRules,
    limits: JobLimits,
    figures: Arc<Figures>,
    stop: CancellationToken,
) {
    let worker = Arc::new(Worker { store, work, rules, limits, figures, stop });
    worker.take_up().await;
    if let Err(error) = worker.rules.crm.respell(&worker.store).await {
        tracing::warn!(%error, "numbers stay as they were spelled before `crm.country` was set");
    }
    tokio::join!(worker.lane(Step::Review), worker.lane(Step::Write), worker.keep_joining());
}

struct Worker {
    store: Store,
    work: Work,
    rules: FollowUpRules,
    limits: JobLimits,
    figures: Arc<Figures>,
    stop: CancellationToken,
}

/// What came of a try.
enum Outcome {
    /// What it came to, and what it adds to the timeline of whoever the call was with.
    Made(Box<(Made, Option<CallEntry>)>),
    /// Why not, and when it is tried again.
    Failed(String, Option<u64>),
}

impl Worker {
    /// Takes up what was being worked on when the process before this one died.
    async fn take_up(&self) {
        loop {
            match self.store.take_up_jobs(self.limits.tries, now_unix_ms()).await {
                Ok(0) => return,
                Ok(jobs) => return tracing::warn!(jobs, "took up what was left undone"),
                Err(error) => tracing::warn!(%error, "what was left undone cannot be taken up just now"),
            }
            if self.rests().await {
                return;
            }
        }
    }

    /// Works on the jobs of a step, until it is told to stop.
    async fn lane(self: &Arc<Self>, step: Step) {
        let mut under_way = JoinSet::new();
        while !self.stop.is_cancelled() {
            while under_way.len() < self.limits.at_once {
                let job = match self.store.claim_job(step, now_unix_ms()).await {
                    Ok(Some(job)) => job,
                    Ok(None) => break,
                    Err(error) => {
                        tracing::warn!(%error, "no job can be claimed just now");
                        break;
                    }
                };
                under_way.spawn(Arc::clone(self).attend_to(job));
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                Some(_) = under_way.join_next() => {}
                () = tokio::time::sleep(self.limits.every) => {}
            }
        }
        while under_way.join_next().await.is_some() {}
    }

    /// Looks whose calls are, some at a time, until it is told to stop, and then once more.
    async fn keep_joining(&self) {
        loop {
            let is_last = self.stop.is_cancelled();
            let is_more = self.join_calls().await;
            if is_last {
                return;
            }
            if !is_more {
                self.rests().await;
            }
        }
    }

    /// Looks whose some calls are, of which nobody has: what they came to is there already, and nothing is made again. Whether
    /// there may be more.
    async fn join_calls(&self) -> bool {
        let calls = match self.store.unjoined_calls(JOINED_TOGETHER).await {
            Ok(calls) => calls,
            Err(error) => {
                tracing::warn!(%error, "it cannot be looked just now whose calls are");
                return false;
            }
        };
        for call in &calls {
            let entry = self
                .entry((call.id, call.source), &call.participants, call.ended_at_unix_ms, &call.insight)
                .await;
            let joined = match entry {
                Ok(entry) => self.store.join_call(call, entry.as_ref(), now_unix_ms()).await,
                Err(error) => Err(error),
            };
            let joined = match joined {
                Err(error) if error.is_permanent() => {
                    // It is on nobody's timeline, and holds up no other.
                    tracing::error!(call = %call.id, %error, "the database refuses what a call adds to a timeline");
                    self.store.join_call(call, None, now_unix_ms()).await
                }
                joined => joined,
            };
            if let Err(error) = joined {
                tracing::warn!(%error, "what a call adds to a timeline waits for the database");
                return false;
            }
        }
        calls.len() >= JOINED_TOGETHER as usize
    }

    async fn attend_to(self: Arc<Self>, job: JobRow) {
        // It may be what has killed the program.
        let is_killer = job.tries > self.limits.tries && job.error.as_deref() == Some(INTERRUPTED);
        let made = if is_killer { Err(anyhow::anyhow!(INTERRUPTED)) } else { self.made(&job).await };
        let outcome = match made {
            Ok(made) => Outcome::Made(Box::new(made)),
            Err(error) => {
                let error = format!("{error:#}");
                // What a stop has broken off has not failed, however often.
                let is_tried_again = job.tries < self.limits.tries || self.stop.is_cancelled();
                let again =
                    is_tried_again.then(|| now_unix_ms().saturating_add(self.limits.pause_ms(job.tries)));
                tracing::warn!(call = %job.call, job = %job.id, tries = job.tries, %error, "a job failed");
                self.failed(&job, error, again).await
            }
        };
        let Some(settled) = self.settle(&job, outcome).await else { return };
        match settled {
            Outcome::Made(..) => _ = self.figures.done.fetch_add(1, Ordering::Relaxed),
            Outcome::Failed(_, again) => {
                self.figures.failed.fetch_add(1, Ordering::Relaxed);
                if again.is_none() {
                    self.figures.dead.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(call = %job.call, job = %job.id, "a job is given up");
                }
            }
        }
    }

    /// What comes of a try that failed. Nobody waits for ever for what a model was to write: where that is given up, the call comes
    /// to what it does without one.
    async fn failed(&self, job: &JobRow, error: String, again: Option<u64>) -> Outcome {
        if again.is_some() || job.step != Step::Write {
            return Outcome::Failed(error, again);
        }
        let unwritten = self.made_by(job, |_, events| {
            let without_model = Drafted::Failed("given_up");
            insights(CallState::of(events), &without_model)
        });
        match unwritten.await {
            Ok(made) => {
                self.figures.failed.fetch_add(1, Ordering::Relaxed);
                tracing::error!(call = %job.call, job = %job.id, "what a model was to write is given up");
                Outcome::Made(Box::new(made))
            }
            // The database is away, perhaps.
            Err(_) => {
                let again = now_unix_ms().saturating_add(self.limits.pause_ms(job.tries));
                Outcome::Failed(error, Some(again))
            }
        }
    }

    async fn made(&self, job: &JobRow) -> anyhow::Result<(Made, Option<CallEntry>)> {
        let work = Arc::clone(&self.work);
        self.made_by(job, move |step, events| work(step, events)).await
    }

    async fn made_by(
        &self,
        job: &JobRow,
        work: impl FnOnce(Step, &[CallEvent]) -> anyhow::Result<Made> + Send + 'static,
    ) -> anyhow::Result<(Made, Option<CallEntry>)> {
        let call = self.store.call(job.call).await?.context("the call is gone")?;
        let events = self.log(job.call).await?;
        let step = job.step;
        let made = self.done(move || work(step, &events)).await?;
        let length = call.duration_ms.map_or(0, |length| length.0);
        let ended_at = call.started_at_unix_ms.saturating_add(length);
        let entry = self.entry((call.id, call.source), &call.participants, ended_at, &made.insight).await?;
        Ok((made, entry))
    }

    /// What a call adds to the timeline of whoever it was with, and what follows from it.
    async fn entry(
        &self,
        (call, source): (CallId, Source),
        participants: &[Participant],
        ended_at_unix_ms: u64,
        insight: &str,
    ) -> Result<Option<CallEntry>, StoreError> {
        let mut entry = self.rules.crm.entry(call, participants, ended_at_unix_ms, insight);
        if let Some(entry) = &mut entry {
            if is_voice_note(source, participants) {
                let said = self.store.state(call).await?;
                let note = entry.note.clone();
                entry.note = note.of_voice(said.finals().map(|words| words.text.as_str()));
            }
            entry.drafts = self.rules.drafts(&self.store, call, entry).await?;
        }
        Ok(entry)
    }

    /// Has something done on a thread of its own.
    async fn done(
        &self,
        work: impl FnOnce() -> anyhow::Result<Made> + Send + 'static,
    ) -> anyhow::Result<Made> {
        let made = priority::spawn("job", 10, work).context("no thread")?;
        let made = tokio::time::timeout(self.limits.patience, made).await.ok().context("it took too long")?;
        // Its end was dropped without a word.
        made.ok().context("it panicked")?
    }

    /// The log of a call, page by page: of a call of hours there is much, and the runtime has others to attend to. Most of it are
    /// partial words, which count for nothing once there are final ones; those of a revision could hold up a final.
    async fn log(&self, call: CallId) -> Result<Vec<CallEvent>, StoreError> {
        let counts = |event: &CallEvent| !matches!(&event.body, EventBody::Utterance(said) if !said.r#final && said.revision == 0);
        let (mut log, mut from) = (Vec::new(), 0);
        loop {
            let page = self.store.events(call, from, PAGE).await?;
            let Some(last) = page.last() else { return Ok(log) };
            from = last.seq;
            log.extend(page.into_iter().filter(counts));
        }
    }

    /// Tells the store what came of a try, however long the database is away, and what that was. What the database refuses for
    /// good waits for a person. Nothing, where it is out of date, or cannot be told before the process ends: then it is done again.
    async fn settle(&self, job: &JobRow, mut outcome: Outcome) -> Option<Outcome> {
        let mut is_refused = false;
        loop {
            let told = match &outcome {
                Outcome::Made(made) => self.finish(job, &made.0, made.1.as_ref()).await,
                Outcome::Failed(error, again) => self.store.fail_job(job, error, *again, now_unix_ms()).await,
            };
            match told {
                Ok(is_ours) => return is_ours.then_some(outcome),
                Err(error) if error.is_permanent() => {
                    tracing::error!(call = %job.call, %error, "the database refuses what a job came to");
                    if matches!(outcome, Outcome::Failed(..)) {
                        return None;
                    }
                    let refused = format!("the database refuses it: {error}");
                    outcome = match is_refused {
                        true => Outcome::Failed(refused, None),
                        false => self.failed(job, refused, None).await,
                    };
                    is_refused = true;
                    continue;
                }
                Err(error) => tracing::warn!(%error, "what a job came to waits for the database"),
            }
            if self.rests().await {
                return None;
            }
        }
    }

    /// Has kept what a job came to; whether it is still its to say.
    async fn finish(&self, job: &JobRow, made: &Made, entry: Option<&CallEntry>) -> Result<bool, StoreError> {
        let (Made { insight, with_moods, review }, now) = (made, now_unix_ms());
        let Some(Reviewed { quality, knowledge, next }) = review else {
            return self.store.finish_writing(job, insight, with_moods.as_deref(), entry, now).await;
        };
        let row = ReviewRow {
            version: job.version,
            made_at_unix_ms: now,
            insight: insight.clone(),
            with_moods: with_moods.clone(),
            quality: quality.clone(),
        };
        self.store.finish_job(job, &row, knowledge, entry, *next).await
    }

    /// Waits a little; whether it is told to stop.
    async fn rests(&self) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => true,
            () = tokio::time::sleep(self.limits.every) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use sotto_call::testing::utterance;
    use sotto_call::{
        ArcPoint, CallEnded, CallLog, CallStarted, CustomerUtterance, Emotion, EndReason, Millis, Mood,
        Party, Sentiment, Source, Trend, Utterance, WordsMood,
    };
    use sotto_llm::Llm;
    use sotto_llm::testing::{Fake, Reply};
    use sotto_store::{CallRow, Closing, EventWriter, JobState, WriterLimits};

    use super::*;
    use crate::redaction::RedactionConfig;

    const SOON: JobLimits = JobLimits {
        at_once: 4,
        tries: 3,
        patience: Duration::from_secs(60),
        pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(2),
        every: Duration::from_millis(1),
    };

    fn started(name: &str) -> CallStarted {
        CallStarted {
            version: sotto_call::FORMAT_VERSION,
            source: Source::Sip,
            started_at_unix_ms: 1_000,
            external_id: name.to_owned(),
            participants: Vec::new(),
            language: None,
            bridged: false,
            parties_guessed: false,
            headers: Default::default(),
        }
    }

    /// So many calls that have ended, by their names.
    async fn ended_calls(store: &Store, count: usize) -> Vec<(String, CallId)> {
        let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
        let calls: Vec<(String, CallId)> = (0..count).map(|n| (n.to_string(), CallId::new())).collect();
        for (name, id) in &calls {
            let started = started(name);
            writer.begin(CallRow::live(*id, &started, None)).unwrap();
            let event = CallLog::default().append(Millis(0), EventBody::CallStarted(started));
            writer.write(*id, Arc::new(event));
        }
        let ended = CallEnded { reason: EndReason::Hangup, duration_ms: Millis(5) };
        let closing = Closing { ended, utterances: 0, last: None, participants: None };
        let ends = calls.iter().map(|(_, id)| writer.end(*id, closing.clone()));
        for end in futures::future::join_all(ends).await {
            end.unwrap();
        }
        calls
    }

    /// Names the call that a log is of.
    fn name_of(events: &[CallEvent]) -> String {
        let Some(EventBody::CallStarted(started)) = events.first().map(|event| &event.body) else {
            panic!("no call");
        };
        started.external_id.clone()
    }

    fn made_of(name: &str) -> Made {
        let (quality, knowledge) = ("{}".to_owned(), CallKnowledge::default());
        let review = Some(Reviewed { quality, knowledge, next: None });
        Made { insight: name.to_owned(), with_moods: None, review }
    }

    /// Works until this is so, and returns what was counted.
    async fn work_until(
        store: &Store,
        work: Work,
        limits: JobLimits,
        is_over: impl Fn(&BTreeMap<JobState, u64>) -> bool,
    ) -> Arc<Figures> {
        let (figures, stop) = (Arc::new(Figures::default()), CancellationToken::new());
        let working = tokio::spawn(run(
            store.clone(),
            work,
            FollowUpRules::default(),
            limits,
            figures.clone(),
            stop.clone(),
        ));
        while !is_over(&store.job_counts().await.unwrap()) {
            tokio::task::yield_now().await;
        }
        stop.cancel();
        working.await.unwrap();
        figures
    }

    fn has(state: JobState, count: u64) -> impl Fn(&BTreeMap<JobState, u64>) -> bool {
        move |counts| counts.get(&state) == Some(&count)
    }

    /// Of a thousand calls some fail at first, some panic at first, and some always fail.
    async fn a_thousand(store: &Store) {
        let calls = ended_calls(store, 1_000).await;
        let tries: Arc<Mutex<BTreeMap<String, (u32, u32)>>> = Arc::default();
        let counted = tries.clone();
        let work: Work = Arc::new(move |_: Step, events: &[CallEvent]| -> anyhow::Result<Made> {
            let name = name_of(events);
            let n: u32 = name.parse()?;
            let is_first = {
                let mut counted = counted.lock().unwrap();
                let of_call = counted.entry(name.clone()).or_default();
                of_call.0 += 1;
                of_call.0 == 1
            };
            if n % 100 == 50 || is_first && n % 10 == 3 {
                anyhow::bail!("no luck with {n}");
            }
            assert!(!is_first || n % 10 != 7, "a step that panics");
            counted.lock().unwrap().entry(name.clone()).or_default().1 += 1;
            Ok(made_of(&name))
        });
        let is_over = |counts: &BTreeMap<JobState, u64>| {
            has(JobState::Done, 990)(counts) && has(JobState::Dead, 10)(counts)
        };
        let figures = work_until(store, work, SOON, is_over).await;
        let counted = [&figures.done, &figures.failed, &figures.dead].map(|one| one.load(Ordering::Relaxed));
        assert_eq!(counted, [990, 100 + 100 + 30, 10]);
        for (name, id) in &calls {
            let made = store.review(*id).await.unwrap().map(|review| review.insight);
            let is_dead = name.parse::<u32>().unwrap() % 100 == 50;
            assert_eq!(made.as_ref(), (!is_dead).then_some(name));
            assert_eq!(tries.lock().unwrap()[name].1, u32::from(!is_dead), "{name} once");
        }
        let dead = store.jobs(Some(JobState::Dead), None, 20).await.unwrap();
        assert!(dead.iter().all(|job| job.tries == 3 && job.error.as_ref().unwrap().starts_with("no luck")));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_thousand_jobs_are_done_once_each_or_given_up() {
        let (store, _folder) = sotto_store::testing::sqlite().await;
        a_thousand(&store).await;
        if let Some(store) = sotto_store::testing::postgres().await {
            a_thousand(&store).await;
        }
    }

    #[tokio::test]
    async fn what_takes_for_ever_is_given_up_and_what_panics_too() {
        let (store, _folder) = sotto_store::testing::sqlite().await;
        let calls = ended_calls(&store, 2).await;
        let (held, hold) = std::sync::mpsc::channel::<()>();
        let hold = Mutex::new(hold);
        let work: Work = Arc::new(move |_: Step, events: &[CallEvent]| -> anyhow::Result<Made> {
            assert!(name_of(events) != "0", "a step that panics");
            // For as long as the test lasts.
            let _ = hold.lock().unwrap().recv();
            Ok(made_of("late"))
        });
        // Whoever panics prints where, which takes a while the first time.
        let limits = JobLimits { tries: 1, patience: Duration::from_secs(5), ..SOON };
        work_until(&store, work, limits, has(JobState::Dead, 2)).await;
        let dead = store.jobs(Some(JobState::Dead), None, 9).await.unwrap();
        let why: BTreeMap<CallId, &str> =
            dead.iter().map(|job| (job.call, job.error.as_deref().unwrap())).collect();
        assert_eq!([why[&calls[0].1], why[&calls[1].1]], ["it panicked", "it took too long"]);
        drop(held);
    }

    #[tokio::test]
    async fn what_the_database_refuses_for_good_waits_for_a_person() {
        let Some(store) = sotto_store::testing::postgres().await else { return };
        ended_calls(&store, 1).await;
        // PostgreSQL knows no such character.
        let work: Work = Arc::new(|_: Step, _: &[CallEvent]| -> anyhow::Result<Made> { Ok(made_of("\0")) });
        work_until(&store, work, SOON, has(JobState::Dead, 1)).await;
        let dead = store.jobs(Some(JobState::Dead), None, 9).await.unwrap();
        assert!(dead[0].error.as_ref().unwrap().starts_with("the database refuses it"), "{dead:?}");
    }

    #[tokio::test]
    async fn a_log_is_read_whole_however_long_it_is_but_for_partial_words() {
        let (store, _folder) = sotto_store::testing::sqlite().await;
        let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
        let (id, started, mut log) = (CallId::new(), started("long"), CallLog::default());
        writer.begin(CallRow::live(id, &started, None)).unwrap();
        writer.write(id, Arc::new(log.append(Millis(0), EventBody::CallStarted(started))));
        let finals = PAGE + 1;
        for n in 1..=finals {
            for r#final in [false, true] {
                let said = Utterance { r#final, ..utterance(n, Party::Customer, "so") };
                writer.write(id, Arc::new(log.append(Millis(1), EventBody::Utterance(said))));
            }
        }
        let ended = CallEnded { reason: EndReason::Hangup, duration_ms: Millis(5) };
        writer.write(id, Arc::new(log.append(Millis(5), EventBody::CallEnded(ended.clone()))));
        writer.end(id, Closing { ended, utterances: finals, last: None, participants: None }).await.unwrap();
        let work: Work = Arc::new(|_: Step, events: &[CallEvent]| -> anyhow::Result<Made> {
            let (first, last) = (events.first().map(|one| one.seq), events.last().map(|one| one.seq));
            Ok(made_of(&format!("{} from {first:?} to {last:?}", events.len())))
        });
        work_until(&store, work, SOON, has(JobState::Done, 1)).await;
        let read = store.review(id).await.unwrap().unwrap().insight;
        let (kept, last) = (finals + 2, 2 * finals + 2);
        assert_eq!(read, format!("{kept} from Some(1) to Some({last})"));
    }

    #[tokio::test]
    async fn what_was_left_undone_is_taken_up() {
        let (store, _folder) = sotto_store::testing::sqlite().await;
        let calls = ended_calls(&store, 1).await;
        // Claimed by a process that has died since.
        store.claim_job(Step::Review, now_unix_ms()).await.unwrap().unwrap();
        work_until(&store, built_in(Library::default()), SOON, has(JobState::Done, 1)).await;
        let review = store.review(calls[0].1).await.unwrap().unwrap();
        let insight: serde_json::Value = serde_json::from_str(&review.insight).unwrap();
        assert_eq!((&insight["summary_bullets"], review.with_moods), (&serde_json::json!([]), None));
        let quality: serde_json::Value = serde_json::from_str(&review.quality).unwrap();
        assert!(quality["questions"].is_array());
    }

    /// So many calls that are over, in each of which something was said.
    async fn spoken_calls(store: &Store, count: usize) -> Vec<CallId> {
        let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
        let mut calls = Vec::new();
        for n in 0..count {
            let (id, started, mut log) = (CallId::new(), started(&n.to_string()), CallLog::default());
            writer.begin(CallRow::live(id, &started, None)).unwrap();
            writer.write(id, Arc::new(log.append(Millis(0), EventBody::CallStarted(started))));
            let said = utterance(1, Party::Customer, "My order has not arrived.");
            writer.write(id, Arc::new(log.append(Millis(1), EventBody::Utterance(said))));
            let ended = CallEnded { reason: EndReason::Hangup, duration_ms: Millis(5) };
            writer.write(id, Arc::new(log.append(Millis(5), EventBody::CallEnded(ended.clone()))));
            writer.end(id, Closing { ended, utterances: 1, last: None, participants: None }).await.unwrap();
            calls.push(id);
        }
        calls
    }

    /// A model never answers, and has as many questions before it as there are lanes for.
    async fn a_silent_model(store: &Store) {
        let calls = spoken_calls(store, 11).await;
        let fake = Fake::in_turn(vec![Reply::Silence]).await;
        let (llm, redaction) = (Llm::new(fake.settings()).unwrap(), RedactionConfig::default());
        let model = Model { llm, redaction, patience: Duration::from_secs(60) };
        let stop = CancellationToken::new();
        let work = by_model(Library::default(), model, Handle::current(), stop.clone());
        // A stop is no failure, though it is the last try.
        let limits = JobLimits { at_once: 1, tries: 1, ..SOON };
        let working =
            run(store.clone(), work, FollowUpRules::default(), limits, Arc::default(), stop.clone());
        let working = tokio::spawn(working);
        // That of all calls is there, while the model is asked about the first of them.
        while !has(JobState::Done, 11)(&store.job_counts().await.unwrap()) || fake.asked().is_empty() {
            tokio::task::yield_now().await;
        }
        for id in &calls {
            let shown = store.review(*id).await.unwrap().unwrap().insight;
            assert!(shown.contains("\"being_written\":true"), "{shown}");
            assert_eq!(store.said(*id).await.unwrap().len(), 1, "it is found");
        }
        assert_eq!(fake.asked().len(), 1);
        stop.cancel();
        working.await.unwrap();
        let waiting = store.jobs(Some(JobState::Waiting), None, 99).await.unwrap();
        assert!(waiting.len() == 11 && waiting.iter().all(|job| job.step == Step::Write));
        let stopped = waiting.iter().filter_map(|job| job.error.as_deref());
        assert_eq!(stopped.collect::<Vec<_>>(), ["Sotto is being stopped"]);

        // Without a model, the calls come to what they do without one.
        let all_done = has(JobState::Done, 22);
        work_until(store, built_in(Library::default()), SOON, all_done).await;
        let shown = store.review(calls[0]).await.unwrap().unwrap().insight;
        assert!(!shown.contains("being_written"), "{shown}");
    }

    #[tokio::test]
    async fn a_model_that_never_answers_does_not_keep_other_calls_from_what_is_built_in() {
        let (store, _folder) = sotto_store::testing::sqlite().await;
        a_silent_model(&store).await;
        if let Some(store) = sotto_store::testing::postgres().await {
            a_silent_model(&store).await;
        }
    }

    #[tokio::test]
    async fn what_a_model_writes_comes_in_the_place_of_what_is_built_in() {
        let (store, _folder) = sotto_store::testing::sqlite().await;
        let calls = spoken_calls(&store, 1).await;
        let said = serde_json::json!({
            "entities": [], "lead_stage_suggestion": [], "next_actions": [], "urgency": [],
            "summary_bullets": [{ "utterances": [1], "value": "The order has not arrived." }],
        });
        let fake = Fake::in_turn(vec![Reply::Says(said.to_string())]).await;
        let (llm, redaction) = (Llm::new(fake.settings()).unwrap(), RedactionConfig::default());
        let model = Model { llm, redaction, patience: Duration::from_secs(60) };
        let work = by_model(Library::default(), model, Handle::current(), CancellationToken::new());
        work_until(&store, work, SOON, has(JobState::Done, 2)).await;
        let review = store.review(calls[0]).await.unwrap().unwrap();
        let insight: serde_json::Value = serde_json::from_str(&review.insight).unwrap();
        assert_eq!(insight["summary_bullets"], serde_json::json!(["The order has not arrived."]));
        assert_eq!(insight.get("being_written"), None);
        assert!(review.quality.contains("questions"), "that of the review stays");
    }

    #[tokio::test]
    async fn what_a_model_never_writes_is_not_being_written_for_ever() {
        let (store, _folder) = sotto_store::testing::sqlite().await;
        let calls = spoken_calls(&store, 1).await;
        let (at_once, asked) = (built_in(Library::default()), Arc::new(AtomicU64::new(0)));
        let counted = asked.clone();
        let work: Work = Arc::new(move |step: Step, events: &[CallEvent]| -> anyhow::Result<Made> {
            if step == Step::Write {
                counted.fetch_add(1, Ordering::Relaxed);
                anyhow::bail!("no luck");
            }
            let review = at_once(step, events)?.review;
            let review = review.map(|review| Reviewed { next: Some(Step::Write), ..review });
            Ok(Made { review, ..insights(CallState::of(events), &Drafted::Awaited)? })
        });
        let is_given_up = async || {
            let shown = store.review(calls[0]).await.unwrap().unwrap().insight;
            assert!(!shown.contains("being_written"), "{shown}");
            assert!(shown.contains("\"model_failed\":\"given_up\""), "{shown}");
        };
        let figures = work_until(&store, work.clone(), SOON, has(JobState::Done, 2)).await;
        assert_eq!(figures.failed.load(Ordering::Relaxed), u64::from(SOON.tries));
        is_given_up().await;

        // Nor is it asked about for ever where that may be what ends the program.
        let jobs = store.jobs(None, None, 9).await.unwrap();
        let write = jobs.iter().find(|job| job.step == Step::Write).unwrap();
        store.run_job(write.id, now_unix_ms()).await.unwrap();
        for _ in 0..SOON.tries {
            store.claim_job(Step::Write, now_unix_ms()).await.unwrap().unwrap();
            store.take_up_jobs(SOON.tries, now_unix_ms()).await.unwrap();
        }
        work_until(&store, work, SOON, has(JobState::Done, 2)).await;
        is_given_up().await;
        assert_eq!(asked.load(Ordering::Relaxed), u64::from(SOON.tries), "not once more");
    }

    #[test]
    fn what_rests_on_moods_is_kept_apart() {
        let said = utterance(1, Party::Customer, "My order has not arrived and I am very unhappy.");
        let sentiment = Sentiment { negative: 1.0, neutral: 0.0, positive: 0.0 };
        let words = WordsMood { sentiment, valence: -1.0, emotion: Emotion::Anger, emotion_p: 0.9 };
        let (at_ms, trend) = (Millis(1), Trend::Falling);
        let arc = ArcPoint { at_ms, valence: -0.8, deviation: 0.1, trend, arousal: None };
        let mood = Mood::of(&CustomerUtterance::of(&said).unwrap(), words, arc, None, Millis(0));
        let mut log = CallLog::default();
        let started = EventBody::CallStarted(started("a"));
        let bodies = [started, EventBody::Utterance(said), EventBody::Mood(mood)];
        let events = bodies.map(|body| log.append(Millis(1), body));
        let made = built_in(Library::default())(Step::Review, &events).unwrap();
        assert!(!made.insight.contains("negative") && made.with_moods.unwrap().contains("\"negative\""));
        // Where nobody was sad or glad there is one.
        let made = built_in(Library::default())(Step::Review, &events[..2]).unwrap();
        assert_eq!(made.with_moods, None);
    }
}
