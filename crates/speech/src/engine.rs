//! The threads: one that listens to every leg, and the workers that decode.
//!
//! The listener drains the rings, runs voice activity and the legs' policy, and never decodes; so it is never
//! behind. Workers decode one job at a time, earliest deadline first. Encoders that ONNX Runtime computes have
//! sessions of two threads, which decodes share; what whisper.cpp computes has one, and two where that is the encoder
//! as well and the decode is a final that is alone. One of several workers is kept free of partials. Revisions have
//! workers of their own, of lower priority. When finals become late, quality is shed in a stated order ([`Shedding`]):
//! revisions wait and partials are rarer, then there are no partials, then finals are late as well. Nothing that was
//! said is dropped, but for a leg on which listening panics: what still comes of it is told as lost.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sotto_audio::{FRAME_SAMPLES, Frame, RATE, Reader};
use sotto_call::{Load, Millis, Party, Shedding, Utterance, Voice};

use crate::error::SpeechError;
use crate::figures::{DecodeFigures, Figures, Outcome};
use crate::leg::{Action, Job, Leg, Policy, Purpose, Ticket, UtteranceIds};
use crate::queue::{LegKey, Pending, Queue, Role};
use crate::vad::{Activity, CHUNK, Vad, VadMemory};
use crate::whisper::{Decoder, Heard, Model, Request};

/// How often the listener looks at its rings.
const TICK: Duration = Duration::from_millis(10);
/// Silence put in for frames that never came, at a time: other legs are listened to between.
const GAP_FRAMES: u64 = 50 * 5;
/// Audio of a leg that is given up is told as lost in pieces of so many frames: 10 s.
const LOST_FRAMES: u64 = 50 * 10;

/// The models to recognise with.
#[derive(Clone)]
pub struct Models {
    /// For languages without a model of their own, and for detecting the language.
    pub default: Arc<Model>,
    /// By BCP 47 primary language.
    pub by_language: HashMap<String, Arc<Model>>,
}

impl Models {
    fn for_language(&self, language: Option<&str>) -> &Arc<Model> {
        chosen(&self.default, &self.by_language, language, |model| model.is_multilingual())
    }

    /// Whether one of the models knows a language, by its BCP 47 primary tag. The words of a leg in another one are
    /// whatever English sounds like it.
    #[must_use]
    pub fn knows(&self, language: &str) -> bool {
        language == "en" || self.for_language(Some(language)).is_multilingual()
    }
}

/// The model for a language that is given, or is to be detected.
fn chosen<'m, M>(
    default: &'m M,
    by_language: &'m HashMap<String, M>,
    language: Option<&str>,
    is_multilingual: impl Fn(&M) -> bool,
) -> &'m M {
    if let Some(own) = language.and_then(|language| by_language.get(language)) {
        return own;
    }
    // Only a model that knows several languages can tell them apart, or recognise one that none is named for.
    if language == Some("en") || is_multilingual(default) {
        return default;
    }
    let others = by_language.iter().filter(|(_, model)| is_multilingual(model));
    others.min_by_key(|(language, _)| *language).map_or(default, |(_, model)| model)
}

/// How to run.
pub struct EngineConfig {
    /// Threads that decode what is being said, and as many of lower priority that revise.
    pub workers: usize,
    /// Languages to expect when a leg's language is not given; all of the model's when empty.
    pub languages: Vec<String>,
    /// Names and terms to expect, given to the model as a prompt.
    pub vocabulary: Option<String>,
    /// Told whenever what is shed changes.
    pub on_load: Box<dyn Fn(Load) + Send>,
}

/// How a leg's audio comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As it is spoken.
    Live,
    /// As fast as it is taken: recognition takes all the time it needs, and yields to live legs.
    Unhurried,
}

/// A leg to listen to.
pub struct LegSpec {
    /// Whose audio.
    pub party: Party,
    /// The call's utterance numbers.
    pub ids: UtteranceIds,
    /// BCP 47 primary language, or detected.
    pub language: Option<String>,
    /// How the audio comes.
    pub pace: Pace,
    /// Whether the voice is listened to as well. Only a customer's is, whatever this says.
    pub voice: bool,
    /// The call's clock; absent to use the position in the audio.
    pub clock: Option<Box<dyn Fn() -> Millis + Send>>,
}

/// What the engine tells about a leg.
#[derive(Clone, Debug, PartialEq)]
pub enum SpeechEvent {
    /// Words; and how they sounded, of final ones if the voice is listened to.
    Utterance(Utterance, Option<Voice>),
    /// Audio that did not reach recognition.
    Lost(Millis),
    /// The audio is over and every word is out. Always the last event.
    Done,
}

/// Takes a leg's events, on the listener's thread: it must not block.
pub type Sink = Box<dyn FnMut(SpeechEvent) + Send>;

enum Message {
    Listen(LegKey, LegSpec, Reader, Sink),
    Heard(LegKey, Ticket, Option<Heard>),
    Stop,
}

/// See the module.
pub struct Engine {
    messages: Sender<Message>,
    figures: Arc<Figures>,
    next_leg: std::sync::atomic::AtomicU64,
    threads: Vec<JoinHandle<()>>,
}

impl Engine {
    /// Starts the threads.
    ///
    /// # Errors
    /// When there is no memory for a worker, or a thread cannot be started.
    pub fn start(
        config: EngineConfig,
        models: Models,
        vad: ort::session::Session,
    ) -> Result<Self, SpeechError> {
        let EngineConfig { workers, languages, vocabulary, on_load } = config;
        let languages: Arc<[String]> = languages.into();
        let open = move |give_up: &Arc<AtomicBool>| {
            let mut decoders = Decoders {
                open: HashMap::new(),
                give_up: Arc::clone(give_up),
                models: models.clone(),
                languages: Arc::clone(&languages),
                vocabulary: vocabulary.clone(),
            };
            let decode: Decode = Box::new(move |job, threads| decoders.decode(job, threads));
            decode
        };
        Self::with(workers, on_load, Box::new(Vad::new(vad)), Arc::new(open))
    }

    /// The same with what tells speech, and with what decodes.
    fn with(
        workers: usize,
        on_load: Box<dyn Fn(Load) + Send>,
        vad: Box<dyn Activity>,
        open: Arc<Open>,
    ) -> Result<Self, SpeechError> {
        let (messages, inbox) = channel();
        let figures = Arc::new(Figures::default());
        let workers = workers.max(1);
        let queue = Arc::new(Queue::new(workers));
        // Before the workers: where a thread cannot be started, dropping it ends those that were.
        let mut listener = Listener {
            vad,
            legs: HashMap::new(),
            queue: queue.clone(),
            inbox,
            figures: figures.clone(),
            shed: Shed::default(),
            told_late: Duration::ZERO,
            on_load,
            workers: Vec::new(),
        };
        let mut threads = Vec::new();
        for (role, n) in
            [Role::Words, Role::Revisions].into_iter().flat_map(|role| (0..workers).map(move |n| (role, n)))
        {
            let give_up = Arc::default();
            listener.workers.push(Arc::clone(&give_up));
            let worker = Worker {
                role,
                open: Arc::clone(&open),
                give_up,
                queue: queue.clone(),
                results: messages.clone(),
                figures: figures.clone(),
            };
            let name = match role {
                Role::Words => format!("whisper-{n}"),
                Role::Revisions => format!("reviser-{n}"),
            };
            let thread = std::thread::Builder::new().name(name);
            threads.push(thread.spawn(move || worker.run())?);
        }
        threads.push(std::thread::Builder::new().name("listener".into()).spawn(move || listener.run())?);
        Ok(Self { messages, figures, next_leg: 0.into(), threads })
    }

    /// Listens to a leg until its ring's writer is gone and its last words are out.
    pub fn listen(&self, spec: LegSpec, reader: Reader, sink: Sink) {
        let key = LegKey(self.next_leg.fetch_add(1, Relaxed));
        // Fails only once the engine has stopped; the sink is dropped then, which its owner notices.
        let _ = self.messages.send(Message::Listen(key, spec, reader, sink));
    }

    /// What it counts.
    #[must_use]
    pub fn figures(&self) -> Arc<Figures> {
        self.figures.clone()
    }

    /// Whether all its threads go on. One that has ended by itself is not begun anew: without the listener no leg is
    /// heard any more.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Stops at once; legs still listened to get no further events.
    pub fn stop(mut self) {
        self.halt();
    }

    fn halt(&mut self) {
        let _ = self.messages.send(Message::Stop);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.halt();
    }
}

/// A leg with what belongs to it on the listener's side.
struct Ear {
    reader: Reader,
    sink: Sink,
    spec: LegSpec,
    leg: Option<Leg>,
    memory: VadMemory,
    /// Samples that have not filled a chunk, or chunks that wait for the policy.
    samples: Vec<f32>,
    /// Probabilities of the first chunks in `samples`.
    probabilities: std::collections::VecDeque<f32>,
    next_index: Option<u64>,
    /// The frame after a jump of the index, until the silence before it has been put in.
    held: Option<Frame>,
    dropped: u64,
    ended: bool,
    /// Frames lost that were not told yet; there once recognition has failed on this leg.
    unheard: Option<u64>,
}

struct Listener {
    vad: Box<dyn Activity>,
    legs: HashMap<LegKey, Ear>,
    queue: Arc<Queue>,
    inbox: Receiver<Message>,
    figures: Arc<Figures>,
    shed: Shed,
    /// How late finals were when that was last told.
    told_late: Duration,
    on_load: Box<dyn Fn(Load) + Send>,
    /// Of each: the decode that it is at is of no use any more.
    workers: Vec<Arc<AtomicBool>>,
}

/// However the listener ends, the workers end with it: nobody would hear of what they decode.
impl Drop for Listener {
    fn drop(&mut self) {
        self.queue.take(|_| true);
        self.queue.close();
        self.workers.iter().for_each(|give_up| give_up.store(true, Relaxed));
    }
}

impl Listener {
    fn run(mut self) {
        let mut actions = Vec::new();
        let mut last_load = Instant::now();
        loop {
            let mut busy = false;
            let keys: Vec<LegKey> = self.legs.keys().copied().collect();
            for key in keys {
                busy |= self.attend(key, &mut actions);
            }
            self.queue.expect_speech(self.legs.values().any(|ear| !ear.ended));
            if last_load.elapsed() >= Duration::from_millis(100) {
                last_load = Instant::now();
                self.assess(last_load, &mut actions);
            }
            let wait = if busy { Duration::ZERO } else { TICK };
            match self.inbox.recv_timeout(wait) {
                Ok(Message::Listen(key, spec, reader, sink)) => {
                    self.figures.legs.fetch_add(1, Relaxed);
                    self.legs.insert(key, Ear::new(spec, reader, sink));
                }
                Ok(Message::Heard(key, ticket, heard)) => {
                    self.heard(key, ticket, heard.as_ref(), &mut actions)
                }
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Does something for a leg. What panics on the way, its sink included, costs this leg its words, and no other.
    fn guard<T: Default>(
        &mut self,
        key: LegKey,
        actions: &mut Vec<Action>,
        work: impl FnOnce(&mut Self, &mut Vec<Action>) -> T,
    ) -> T {
        let done = catch_unwind(AssertUnwindSafe(|| work(self, actions)));
        done.unwrap_or_else(|_| {
            actions.clear();
            self.give_up(key);
            T::default()
        })
    }

    /// Recognises nothing more of a leg; what still comes is counted as lost until it is over.
    fn give_up(&mut self, key: LegKey) {
        self.queue.take(|pending| pending.leg == key);
        let Some(ear) = self.legs.get_mut(&key) else { return };
        if ear.unheard.is_some() {
            // Nor can it be told: without its sink, its owner knows.
            self.legs.remove(&key);
            self.figures.legs.fetch_sub(1, Relaxed);
            return;
        }
        tracing::error!(party = ?ear.spec.party, "listening to a leg panicked: it has no more words");
        self.figures.failed_legs.fetch_add(1, Relaxed);
        ear.give_up();
    }

    /// Reads what has come for a leg and moves its policy on. True when there was something.
    fn attend(&mut self, key: LegKey, actions: &mut Vec<Action>) -> bool {
        self.guard(key, actions, |listener, actions| listener.move_on(key, actions))
    }

    fn move_on(&mut self, key: LegKey, actions: &mut Vec<Action>) -> bool {
        let Some(ear) = self.legs.get_mut(&key) else { return false };
        let mut busy = ear.read(&self.figures);
        let known = ear.probabilities.len();
        let chunks = ear.samples.len() / CHUNK;
        if chunks > known {
            match self.vad.probabilities(&mut ear.memory, &ear.samples[known * CHUNK..chunks * CHUNK]) {
                Ok(probabilities) => ear.probabilities.extend(probabilities),
                Err(error) => {
                    // Taken for speech: better words too many than too few.
                    tracing::warn!(%error, "voice activity failed");
                    ear.probabilities.extend(std::iter::repeat_n(1.0, chunks - known));
                }
            }
        }
        let unhurried = ear.spec.pace == Pace::Unhurried;
        let mut used = 0;
        if let Some(leg) = &mut ear.leg {
            leg.shed(if unhurried { Shedding::None } else { self.shed.level });
            while !(unhurried && leg.is_waiting()) {
                let Some(probability) = ear.probabilities.pop_front() else { break };
                leg.push(&ear.samples[used..used + CHUNK], probability, actions);
                used += CHUNK;
                busy = true;
                if unhurried {
                    // Partials are for people who wait.
                    actions.retain(
                        |action| !matches!(action, Action::Decode(job) if job.purpose == Purpose::Partial),
                    );
                }
            }
            if ear.ended && ear.probabilities.is_empty() && !(unhurried && leg.is_waiting()) {
                leg.finish(actions);
            }
        }
        ear.samples.drain(..used);
        self.act(key, actions);
        let Some(ear) = self.legs.get_mut(&key) else { return false };
        if ear.ended && ear.leg.as_ref().is_none_or(Leg::is_done) {
            (ear.sink)(SpeechEvent::Done);
            self.legs.remove(&key);
            self.figures.legs.fetch_sub(1, Relaxed);
        }
        busy
    }

    fn heard(&mut self, key: LegKey, ticket: Ticket, heard: Option<&Heard>, actions: &mut Vec<Action>) {
        self.guard(key, actions, |listener, actions| {
            if let Some(leg) = listener.legs.get_mut(&key).and_then(|ear| ear.leg.as_mut()) {
                leg.heard(ticket, heard, actions);
                listener.act(key, actions);
            }
        });
    }

    fn act(&mut self, key: LegKey, actions: &mut Vec<Action>) {
        for action in actions.drain(..) {
            let Some(ear) = self.legs.get_mut(&key) else { continue };
            match action {
                Action::Decode(job) => {
                    let now = Instant::now();
                    let mut patience = match job.purpose {
                        Purpose::Candidate | Purpose::Final => Duration::from_millis(300),
                        Purpose::Partial => Duration::from_millis(600),
                        Purpose::Revision => Duration::from_secs(4),
                    };
                    let live = ear.spec.pace == Pace::Live;
                    if !live {
                        patience += Duration::from_secs(60);
                    }
                    let due = now + patience;
                    self.queue.push(Pending { leg: key, job, live, again: false, queued: now, due });
                }
                Action::Forget(ticket) => self.queue.forget(key, ticket),
                Action::TakeBack(ticket) => self.queue.take_back(key, ticket),
                Action::Publish { mut utterance, heard_until, voice } => {
                    let heard_until = Millis(heard_until * 1000 / u64::from(RATE));
                    let now = ear.spec.clock.as_ref().map_or(heard_until, |clock| clock());
                    utterance.latency_ms = now.since(heard_until);
                    let figures = match (utterance.r#final, utterance.revision) {
                        (false, _) => &self.figures.partial,
                        (true, 0) => &self.figures.r#final,
                        (true, _) => &self.figures.revision,
                    };
                    figures.latency.record(utterance.latency_ms.0);
                    (ear.sink)(SpeechEvent::Utterance(utterance, voice));
                }
            }
        }
    }

    /// Looks how far behind the workers are, and decides what to shed.
    fn assess(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let (late, queued) = self.queue.lateness(now);
        self.figures.queue.store(queued as u64, Relaxed);
        self.figures.behind_ms.store(late.as_millis() as u64, Relaxed);
        let before = self.shed.level;
        if !self.shed.assess(late, now) {
            return self.tell_late(late);
        }
        let level = self.shed.level;
        if level > before {
            let optional = |p: &Pending| match p.job.purpose {
                Purpose::Revision => true,
                Purpose::Partial => level >= Shedding::NoPartials,
                Purpose::Candidate | Purpose::Final => false,
            };
            for pending in self.queue.take(|p| p.live && optional(p)) {
                figures_for(&self.figures, pending.job.purpose).shed.fetch_add(1, Relaxed);
                self.heard(pending.leg, pending.job.ticket, None, actions);
            }
        }
        self.figures.shedding.store(level as u64, Relaxed);
        self.tell(late);
    }

    /// Tells how late finals are again when that has changed enough for people to notice.
    fn tell_late(&mut self, late: Duration) {
        if self.shed.level > Shedding::None && late.abs_diff(self.told_late) >= Duration::from_secs(2) {
            self.tell(late);
        }
    }

    fn tell(&mut self, late: Duration) {
        self.told_late = late;
        (self.on_load)(Load { shedding: self.shed.level, behind_ms: Millis(late.as_millis() as u64) });
    }
}

/// What is shed: at once as much as lateness asks for, and back one step at a time, not before it has been calm for
/// [`CALM`].
#[derive(Default)]
struct Shed {
    level: Shedding,
    calm_since: Option<Instant>,
}

/// See [`Shed`].
const CALM: Duration = Duration::from_secs(2);

impl Shed {
    /// Takes how late the most overdue final is. True when what is shed has changed.
    fn assess(&mut self, late: Duration, now: Instant) -> bool {
        let wanted = match late.as_millis() {
            0..400 => Shedding::None,
            400..1_500 => Shedding::FewerPartials,
            1_500..4_000 => Shedding::NoPartials,
            _ => Shedding::LateFinals,
        };
        let level = if wanted < self.level {
            if now - *self.calm_since.get_or_insert(now) < CALM {
                return false;
            }
            match self.level {
                Shedding::LateFinals => Shedding::NoPartials,
                Shedding::NoPartials => Shedding::FewerPartials,
                Shedding::FewerPartials | Shedding::None => Shedding::None,
            }
        } else {
            wanted
        };
        self.calm_since = None;
        std::mem::replace(&mut self.level, level) != level
    }
}

impl Ear {
    fn new(spec: LegSpec, reader: Reader, sink: Sink) -> Self {
        Self {
            reader,
            sink,
            spec,
            leg: None,
            memory: VadMemory::default(),
            samples: Vec::new(),
            probabilities: std::collections::VecDeque::new(),
            next_index: None,
            held: None,
            dropped: 0,
            ended: false,
            unheard: None,
        }
    }

    /// From now on nothing of it is recognised; what it has in hand is lost.
    fn give_up(&mut self) {
        let in_hand = self.samples.len() / FRAME_SAMPLES + usize::from(self.held.take().is_some());
        self.unheard = Some(in_hand as u64);
        (self.samples, self.leg) = (Vec::new(), None);
        self.probabilities.clear();
    }

    /// Takes frames from the ring that nobody recognises. True when there were any.
    fn lose(&mut self, before: u64, figures: &Figures) -> bool {
        let mut unheard = before;
        while self.reader.pop().is_some() {
            unheard += 1;
        }
        self.ended = self.reader.is_finished();
        let dropped = self.reader.dropped();
        unheard += dropped - std::mem::replace(&mut self.dropped, dropped);
        self.unheard = Some(unheard);
        if unheard >= LOST_FRAMES || (self.ended && unheard > 0) {
            self.unheard = Some(0);
            self.tell_lost(unheard, figures);
        }
        unheard > before
    }

    fn tell_lost(&mut self, frames: u64, figures: &Figures) {
        let lost = Millis(frames * sotto_audio::FRAME_MS);
        figures.lost_ms.fetch_add(lost.0, Relaxed);
        (self.sink)(SpeechEvent::Lost(lost));
    }

    /// Takes frames from the ring. True when there were any.
    fn read(&mut self, figures: &Figures) -> bool {
        if let Some(unheard) = self.unheard {
            return self.lose(unheard, figures);
        }
        // What is not hurried waits in the ring, where its source sees that it has to wait.
        let most = if self.spec.pace == Pace::Unhurried { RATE as usize } else { usize::MAX };
        let mut any = false;
        while self.samples.len() < most {
            let Some(frame) = self.held.take().or_else(|| self.reader.pop()) else {
                if self.reader.is_finished() && !self.ended {
                    self.ended = true;
                    // The last words may end within the last chunk.
                    let rest = self.samples.len().next_multiple_of(CHUNK);
                    self.samples.resize(rest, 0.0);
                    any = true;
                }
                break;
            };
            any = true;
            let index = frame.index;
            let next = *self.next_index.get_or_insert(index);
            if self.leg.is_none() {
                let leg = Leg::new(
                    self.spec.party,
                    self.spec.ids.clone(),
                    self.spec.language.clone(),
                    Policy::default(),
                    index * FRAME_SAMPLES as u64,
                );
                self.leg = Some(if self.spec.voice { leg.with_voice() } else { leg });
            }
            let missing = index.saturating_sub(next).min(GAP_FRAMES);
            self.samples.extend(std::iter::repeat_n(0.0, missing as usize * FRAME_SAMPLES));
            if next + missing < index {
                self.next_index = Some(next + missing);
                self.held = Some(frame);
                break;
            }
            self.samples.extend_from_slice(&frame.samples);
            self.next_index = Some(index + 1);
            figures.heard_ms.fetch_add(sotto_audio::FRAME_MS, Relaxed);
        }
        let dropped = self.reader.dropped();
        if dropped > self.dropped {
            let lost = dropped - std::mem::replace(&mut self.dropped, dropped);
            self.tell_lost(lost, figures);
        }
        any
    }
}

fn figures_for(figures: &Figures, purpose: Purpose) -> &DecodeFigures {
    match purpose {
        Purpose::Partial => &figures.partial,
        Purpose::Candidate => &figures.candidate,
        Purpose::Final => &figures.r#final,
        Purpose::Revision => &figures.revision,
    }
}

/// Decodes one job after the other, each on so many threads, and keeps what it has opened for it.
type Decode = Box<dyn FnMut(&Job, usize) -> Result<Heard, SpeechError> + Send>;

/// Opens what a worker decodes with; what it is given becomes true when the decode that it is at is of no use any more.
type Open = dyn Fn(&Arc<AtomicBool>) -> Decode + Send + Sync;

struct Worker {
    role: Role,
    open: Arc<Open>,
    /// The decode that it is at is of no use any more.
    give_up: Arc<AtomicBool>,
    queue: Arc<Queue>,
    results: Sender<Message>,
    figures: Arc<Figures>,
}

impl Worker {
    fn run(self) {
        // On Linux this is the thread's own: decoding takes what is left by the media path and by the page, and a
        // revision what is left by what is being said.
        let niceness = match self.role {
            Role::Words => 5,
            Role::Revisions => 19,
        };
        if let Err(error) = rustix::process::nice(niceness) {
            tracing::debug!(%error, "workers keep their priority");
        }
        let mut decode = (self.open)(&self.give_up);
        while let Some((mut pending, threads)) = self.queue.pop(self.role, &self.give_up) {
            let figures = figures_for(&self.figures, pending.job.purpose);
            let begun = Instant::now();
            figures.wait.record((begun - pending.queued).as_millis() as u64);
            let heard = catch_unwind(AssertUnwindSafe(|| decode(&pending.job, threads)));
            let took_ms = begun.elapsed().as_millis() as u64;
            let audio_ms = pending.job.samples.len() as u64 * 1000 / u64::from(RATE);
            let is_given_up = self.give_up.load(Relaxed);
            let heard = match heard {
                Ok(Ok(heard)) => Some(heard),
                Ok(Err(error)) => {
                    if !is_given_up {
                        tracing::warn!(%error, "decoding failed");
                    }
                    None
                }
                Err(_) => {
                    tracing::error!("decoding panicked: this worker begins anew");
                    decode = (self.open)(&self.give_up);
                    None
                }
            };
            let outcome = match &heard {
                Some(heard) => Outcome::Heard { looped: heard.looped },
                None if is_given_up => Outcome::GivenUp,
                None => Outcome::Failed,
            };
            figures.count(outcome, took_ms, audio_ms);
            self.figures.ended(outcome);
            let gave_way = self.queue.done(pending.leg, pending.job.ticket) && heard.is_none();
            // Nothing else brings these words.
            let again = outcome == Outcome::Failed && pending.job.purpose.is_final() && !pending.again;
            if gave_way || again {
                pending.again |= again;
                self.queue.push(pending);
                continue;
            }
            if self.results.send(Message::Heard(pending.leg, pending.job.ticket, heard)).is_err() {
                break;
            }
        }
    }
}

/// A worker's decoders, by the names of their models.
struct Decoders {
    open: HashMap<String, Decoder>,
    give_up: Arc<AtomicBool>,
    models: Models,
    languages: Arc<[String]>,
    vocabulary: Option<String>,
}

impl Decoders {
    fn decode(&mut self, job: &Job, threads: usize) -> Result<Heard, SpeechError> {
        let model = self.models.for_language(job.language.as_deref());
        let decoder = (self.open.entry(model.name().to_owned()))
            .or_insert_with(|| model.decoder(Arc::clone(&self.give_up)));
        let only = (!model.is_multilingual()).then_some("en");
        let language = job.language.as_deref().or(only);
        decoder.decode(&Request {
            samples: &job.samples,
            language,
            languages: &self.languages,
            prompt: self.vocabulary.as_deref(),
            effort: job.effort,
            threads,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::whisper::HeardWord;

    fn spec() -> LegSpec {
        LegSpec {
            party: Party::Agent,
            ids: UtteranceIds::default(),
            language: None,
            pace: Pace::Live,
            voice: false,
            clock: None,
        }
    }

    /// Hears no speech anywhere, and panics at what is loud.
    struct Fragile;

    impl Activity for Fragile {
        fn probabilities(&mut self, _: &mut VadMemory, samples: &[f32]) -> Result<Vec<f32>, SpeechError> {
            assert!(samples.iter().all(|sample| *sample < 0.9), "too loud");
            Ok(vec![0.0; samples.len() / CHUNK])
        }
    }

    /// Stops the listener when the last sink is gone.
    struct StopsWhenGone(Sender<Message>);

    impl Drop for StopsWhenGone {
        fn drop(&mut self) {
            self.0.send(Message::Stop).unwrap();
        }
    }

    #[test]
    fn what_panics_on_a_leg_costs_no_other_leg_anything() {
        let (messages, inbox) = channel();
        let (figures, queue, give_up) =
            (Arc::new(Figures::default()), Arc::new(Queue::new(1)), Arc::default());
        let listener = Listener {
            vad: Box::new(Fragile),
            legs: HashMap::new(),
            queue: Arc::clone(&queue),
            inbox,
            figures: Arc::clone(&figures),
            shed: Shed::default(),
            told_late: Duration::ZERO,
            on_load: Box::new(|_| {}),
            workers: vec![Arc::clone(&give_up)],
        };
        let (tell, told) = channel();
        let stops = Arc::new(StopsWhenGone(messages.clone()));
        // One whose audio panics, one whose sink does, and one that has nothing to do with it.
        for (leg, level) in [(1, 1.0), (2, 0.0), (3, 0.0)] {
            let (mut writer, reader) = sotto_audio::ring(1_000);
            (0..25).for_each(|index| writer.push(Frame { index, samples: [level; FRAME_SAMPLES] }));
            let (tell, stops) = (tell.clone(), Arc::clone(&stops));
            let sink: Sink = Box::new(move |event| {
                let _until_dropped = &stops;
                assert_ne!(leg, 2, "it takes nothing");
                tell.send((leg, event)).unwrap();
            });
            messages.send(Message::Listen(LegKey(leg), spec(), reader, sink)).unwrap();
        }
        drop((tell, stops));
        listener.run();
        let mut told: Vec<(u64, SpeechEvent)> = told.iter().collect();
        told.sort_by_key(|(leg, _)| *leg);
        let lost = SpeechEvent::Lost(Millis(500));
        assert_eq!(told, [(1, lost), (1, SpeechEvent::Done), (3, SpeechEvent::Done)]);
        let counts = [&figures.failed_legs, &figures.legs, &figures.lost_ms].map(|count| count.load(Relaxed));
        assert_eq!(counts, [2, 0, 500]);
        assert!(queue.pop(Role::Words, &Arc::default()).is_none(), "or workers would wait for ever");
        assert!(give_up.load(Relaxed));
    }

    /// Hears speech in all that is loud.
    struct Loud;

    impl Activity for Loud {
        fn probabilities(&mut self, _: &mut VadMemory, samples: &[f32]) -> Result<Vec<f32>, SpeechError> {
            Ok(samples.chunks_exact(CHUNK).map(|chunk| if chunk[0] > 0.1 { 0.95 } else { 0.0 }).collect())
        }
    }

    /// An engine of one worker, which calls `fails` before it hears "hello"; and how often decoders were opened.
    fn engine(fails: impl Fn(&Job) + Send + Sync + 'static) -> (Engine, Arc<AtomicU64>) {
        let (fails, opened) = (Arc::new(fails), Arc::<AtomicU64>::default());
        let counted = Arc::clone(&opened);
        let open = move |_: &Arc<AtomicBool>| {
            opened.fetch_add(1, Relaxed);
            let fails = Arc::clone(&fails);
            let decode: Decode = Box::new(move |job, _| {
                fails(job);
                let words = vec![HeardWord { w: "hello".into(), start_ms: 0, end_ms: 400, p: 0.9 }];
                Ok(Heard { words, language: "en".into(), looped: false })
            });
            decode
        };
        (Engine::with(1, Box::new(|_| {}), Box::new(Loud), Arc::new(open)).unwrap(), counted)
    }

    /// The final words of a leg on which somebody speaks for a second; it is listened to until its end.
    fn spoken(engine: &Engine) -> Vec<String> {
        let (mut writer, reader) = sotto_audio::ring(4_000);
        for index in 0..100 {
            let level = if index < 50 { 0.5 } else { 0.0 };
            writer.push(Frame { index, samples: [level; FRAME_SAMPLES] });
        }
        drop(writer);
        let (tell, told) = channel();
        engine.listen(spec(), reader, Box::new(move |event| _ = tell.send(event)));
        let mut told: Vec<SpeechEvent> = told.iter().collect();
        assert_eq!(told.pop(), Some(SpeechEvent::Done));
        let finals = told.into_iter().filter_map(|event| match event {
            SpeechEvent::Utterance(said, _) if said.r#final => Some(said.text),
            _ => None,
        });
        finals.collect()
    }

    #[test]
    fn a_worker_that_panics_begins_anew_and_what_it_was_at_is_not_lost() {
        let tried = Mutex::new(HashSet::new());
        let (engine, opened) = engine(move |job| {
            let is_first = tried.lock().unwrap().insert(job.ticket.0);
            assert!(!is_first || !job.purpose.is_final(), "out of order");
        });
        assert_eq!(spoken(&engine), ["hello"]);
        assert!(engine.is_running() && !engine.figures().is_failing());
        drop(engine);
        // By the worker for words, by that for revisions, and by the first of them once more.
        assert_eq!(opened.load(Relaxed), 3);
    }

    #[test]
    fn that_no_decode_comes_to_words_is_known_until_one_does() {
        let is_broken = Arc::new(AtomicBool::new(true));
        let breaks = Arc::clone(&is_broken);
        let (engine, _) = engine(move |_| assert!(!breaks.load(Relaxed), "out of order"));
        for _ in 0..3 {
            assert!(spoken(&engine).is_empty(), "and the leg goes on to its end");
        }
        assert!(engine.figures().is_failing());
        is_broken.store(false, Relaxed);
        assert_eq!(spoken(&engine), ["hello"]);
        assert!(engine.is_running() && !engine.figures().is_failing());
    }

    #[test]
    fn a_language_without_a_model_of_its_own_gets_one_that_knows_more_than_english() {
        // By name, and whether it knows several languages.
        let (english, base, large) = (("tiny.en", false), ("base", true), ("large", true));
        let by_language = HashMap::from([("fa".to_owned(), large), ("en".to_owned(), english)]);
        for (default, language, wanted) in [
            (english, Some("fa"), large),
            (english, Some("de"), large),
            (english, None, large),
            (base, Some("fa"), large),
            (base, Some("de"), base),
            (base, Some("en"), english),
            (base, None, base),
        ] {
            let model = chosen(&default, &by_language, language, |(_, knows_several)| *knows_several);
            assert_eq!(*model, wanted, "{language:?}, or else {default:?}");
        }
        let none = HashMap::new();
        for language in [Some("en"), Some("de"), None] {
            assert_eq!(*chosen(&english, &none, language, |_| false), english);
        }
    }

    #[test]
    fn what_was_thrown_away_before_a_leg_is_listened_to_is_told_as_lost() {
        let (mut writer, mut reader) = sotto_audio::ring(100);
        (0..7).for_each(|index| writer.push(Frame::silence(index)));
        reader.discard();
        writer.push(Frame::silence(7));
        let (tell, told) = channel();
        let mut ear = Ear::new(spec(), reader, Box::new(move |event| tell.send(event).unwrap()));
        let figures = Figures::default();
        ear.read(&figures);
        drop(ear);
        assert_eq!(told.iter().collect::<Vec<_>>(), [SpeechEvent::Lost(Millis(140))]);
        assert_eq!((figures.lost_ms.load(Relaxed), figures.heard_ms.load(Relaxed)), (140, 20));
    }

    #[test]
    fn an_engine_knows_when_a_thread_of_its_own_has_ended() {
        let (messages, _inbox) = channel();
        let (end, ended) = channel::<()>();
        let thread = std::thread::spawn(move || _ = ended.recv());
        let engine = Engine { messages, figures: Arc::default(), next_leg: 0.into(), threads: vec![thread] };
        assert!(engine.is_running());
        drop(end);
        while engine.is_running() {
            std::thread::yield_now();
        }
    }

    /// The time of what is said depends on it.
    #[test]
    fn a_long_gap_is_filled_whole_and_in_steps() {
        let (mut writer, reader) = sotto_audio::ring(1_000);
        let mut ear = Ear::new(spec(), reader, Box::new(|_| {}));
        writer.push(Frame::silence(10));
        writer.push(Frame::silence(5_000));
        writer.push(Frame::silence(5_001));
        drop(writer);
        let figures = Figures::default();
        let mut steps = 0;
        while ear.read(&figures) {
            steps += 1;
        }
        assert!(steps > 10, "{steps}");
        let whole = (4_992 * FRAME_SAMPLES).next_multiple_of(CHUNK);
        assert_eq!((ear.samples.len(), ear.ended), (whole, true));
        assert_eq!(ear.leg.map(|leg| leg.position()), Some(10 * FRAME_SAMPLES as u64));
    }
    #[test]
    fn load_is_shed_at_once_and_taken_back_step_by_step_when_it_has_been_calm() {
        let (mut shed, begin) = (Shed::default(), Instant::now());
        let mut at = |ms: u64, late: u64| {
            let changed = shed.assess(Duration::from_millis(late), begin + Duration::from_millis(ms));
            (changed, shed.level)
        };
        assert_eq!(at(0, 399), (false, Shedding::None));
        assert_eq!(at(100, 1_500), (true, Shedding::NoPartials), "two steps at once");
        assert_eq!(at(200, 4_000), (true, Shedding::LateFinals));
        assert_eq!(at(300, 0), (false, Shedding::LateFinals), "it may be only for a moment");
        assert_eq!(at(2_000, 4_000), (false, Shedding::LateFinals), "as it was");
        assert_eq!(at(2_100, 0), (false, Shedding::LateFinals));
        assert_eq!(at(4_100, 0), (true, Shedding::NoPartials));
        assert_eq!(at(4_200, 0), (false, Shedding::NoPartials), "every step takes as long");
        assert_eq!(at(6_200, 500), (true, Shedding::FewerPartials));
        assert_eq!(at(6_300, 500), (false, Shedding::FewerPartials), "no further than it is late");
        assert_eq!(at(6_400, 0), (false, Shedding::FewerPartials));
        assert_eq!(at(8_400, 0), (true, Shedding::None));
    }
}
