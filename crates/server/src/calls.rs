//! Calls as they run: what signalling, or a recorded file, begins is given rings to recognition and recording
//! and a log, and is wound up in order when it ends: last words, recording, log.

mod announce;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use dashmap::DashMap;
use futures::future::BoxFuture;
use sotto_audio::{FRAME_MS, Reader, Writer, ring};
use sotto_call::{
    AudioLost, CallEnded, CallId, CallStarted, Consent, Dtmf, EndReason, EventBody, LegEnded, LegStarted,
    Load, LostTo, Millis, Participant, Participants, Party, PartyChange, Shedding, Utterance, Voice,
};
use sotto_insight::{Playbook, Prompter, Understanding};
use sotto_media::{Bridge, CallClock, LegOutputs, MemberId, Recorder, RecorderHandle, RecorderStats, Role};
use sotto_sip::party::user_part;
use sotto_sip::{
    DialError, Endpoint, Host, NewCall, NewLeg, Note, Progress, ReferError, Referral, Refusal, Ringing,
    StartedCall, Target, Trunk,
};
use sotto_speech::{Engine, Figures, LegSpec, Pace, Sink, SpeechEvent, UtteranceIds};
use sotto_store::MissedCall;
use sotto_webrtc::Browser;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use announce::Announced;

use crate::desk::{
    Accepted, CallFailure, Caller, Calling, Desk, Gone, OnProgress, Order, Outward, Seat, SeatParts, Sitter,
    Supervision, WaitingCaller,
};
use crate::hub::{self, Hub, LiveCall};
use crate::insight::{CallMemory, ConsentSaidBy, Insight};
use crate::library::agent_among;
use crate::needs::Condition;
use crate::redaction::{self, Left, Redaction, RedactionConfig};

/// How far recognition and recording may be behind before audio is lost to them.
const RING_MS: u64 = 10_000;
/// How long the last words of a call are waited for. Only a machine that is hopelessly behind takes longer.
const LAST_WORDS: Duration = Duration::from_secs(15 * 60);
/// The same of a recording, which may have to wait until live calls leave room for it.
const UNHURRIED_WORDS: Duration = Duration::from_secs(24 * 3600);
/// How often it is looked at whether a recording is written.
const LOOK_AT_RECORDING: Duration = Duration::from_secs(2);

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Calls {
    shared: Arc<Shared>,
}

struct Shared {
    hub: Hub,
    /// Absent while recognition is not there: calls are recorded all the same.
    speech: OnceLock<Engine>,
    /// Legs that wait for it.
    early: Mutex<Vec<Early>>,
    /// See [`Calls::unheard_ms`].
    unheard_ms: AtomicU64,
    /// Absent where nothing is understood of what is said.
    insight: Arc<OnceLock<Insight>>,
    /// Absent where agents are told nothing.
    playbook: OnceLock<Arc<Playbook>>,
    redaction: RedactionConfig,
    redacted: Arc<redaction::Figures>,
    /// Absent to keep no recordings.
    recordings: Option<Recordings>,
    /// The language of calls that do not say.
    language: Option<String>,
    load: Arc<LoadTold>,
    /// Agents at their browsers; absent where calls are only listened to.
    desk: Option<Desk>,
    /// Where calls of ours are placed.
    line: OnceLock<Line>,
    running: DashMap<CallId, Running>,
    /// Telephones outside that were called for somebody. Signalling knows each as a call of
    /// its own.
    outside: DashMap<CallId, Outside>,
}

/// Where recordings are kept, and of whom.
#[derive(Clone, Debug)]
pub struct Recordings {
    /// Below this folder.
    pub data: PathBuf,
    /// Of supervisors too, whenever somebody on the call hears them.
    pub supervisors: bool,
}

/// The file with what supervisors said, beside a call's recording: both by their names below the data folder.
#[must_use]
pub fn supervisors_track(recording: &str) -> Option<String> {
    Some(format!("{}.supervisors.wav", recording.strip_suffix(".wav")?))
}

/// A telephone outside that was called for somebody.
struct Outside {
    /// The call; absent where the telephone is only told something ([`Calls::announce`]).
    live: Option<LiveCall>,
    /// Dropped when it has hung up.
    _here: oneshot::Sender<()>,
}

/// A leg that began before recognition was there. Its ring keeps its first seconds.
struct Early {
    call: CallId,
    spec: LegSpec,
    heard: Reader,
    sink: Sink,
}

/// What every live call has been told about the load, and what new ones are told.
#[derive(Default)]
pub struct LoadTold {
    now: Mutex<Option<Load>>,
    hub: OnceLock<Hub>,
    figures: OnceLock<Arc<Figures>>,
}

impl LoadTold {
    /// Tells every live call.
    pub fn tell(&self, load: Load) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = Some(load.clone());
        if let Some(hub) = self.hub.get() {
            for summary in hub.summaries() {
                if let Some(call) = hub.get(summary.id) {
                    call.publish(EventBody::Load(load.clone()));
                }
            }
        }
    }

    /// Where the engine counts how late it is at this moment.
    pub fn measure(&self, figures: Arc<Figures>) {
        let _ = self.figures.set(figures);
    }

    /// How late the most overdue final is at this moment, in milliseconds.
    #[must_use]
    pub fn behind_ms(&self) -> u64 {
        self.figures.get().map_or(0, |figures| figures.behind_ms.load(Ordering::Relaxed))
    }

    /// What is shed now, and how far behind recognition was when that was decided.
    #[must_use]
    pub fn now(&self) -> Option<Load> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Running {
    live: LiveCall,
    clock: Clock,
    /// See [`Opening::alone`].
    alone: bool,
    ids: UtteranceIds,
    language: Option<String>,
    memory: Arc<CallMemory>,
    redaction: Arc<Redaction>,
    recorder: Option<RecorderHandle>,
    /// Of supervisors, once there is one.
    beside: Option<RecorderHandle>,
    /// The agent's place, when the call goes through us.
    seat: Option<Taken>,
    /// Legs whose last words are not out yet, and words that are still to be understood.
    listening: watch::Sender<usize>,
}

/// A call of a customer and an agent at a browser.
struct Seated {
    /// With the customer's leg.
    started: StartedCall,
    /// What the agent hears until the customer is there.
    ear: Box<dyn Fn(Calling) + Send + Sync>,
}

/// Where calls of ours are placed.
struct Line {
    endpoint: Arc<Endpoint>,
    trunk: Trunk,
}

/// An agent's place that is taken.
struct Taken {
    orders: mpsc::Sender<Order>,
    stop: CancellationToken,
    /// Whether the audio of its agent was lost for good.
    stopped: oneshot::Receiver<bool>,
}

/// The clock of a call.
#[derive(Clone)]
enum Clock {
    Real(CallClock),
    /// The position in a file that is played as fast as it is taken.
    Position(Arc<AtomicU64>),
}

impl Clock {
    fn now(&self) -> Millis {
        match self {
            Self::Real(clock) => clock.now(),
            Self::Position(position) => Millis(position.load(Ordering::Relaxed)),
        }
    }
}

/// How a call begins.
struct Opening {
    id: CallId,
    started_at_unix_ms: u64,
    clock: Clock,
    /// Nobody else is listened to, so that recognition may wait until everything is understood.
    alone: bool,
    /// See [`CallStarted::parties_guessed`].
    parties_guessed: bool,
}

impl Opening {
    /// A call that begins now.
    fn now(clock: CallClock) -> Self {
        Self {
            id: CallId::new(),
            started_at_unix_ms: clock.started_at_unix_ms(),
            clock: Clock::Real(clock),
            alone: false,
            parties_guessed: false,
        }
    }
}

/// A call that is over, and was recorded elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Past {
    /// Its id.
    pub id: CallId,
    /// When it began, in milliseconds since 1970 (UTC).
    pub started_at_unix_ms: u64,
    /// See [`CallStarted::parties_guessed`].
    pub parties_guessed: bool,
}

/// A call that has begun from a file.
pub struct FileCall {
    /// Its identity.
    pub id: CallId,
    /// Where each channel goes.
    pub outputs: Vec<LegOutputs>,
    /// The clock, for playing in real time.
    pub clock: CallClock,
    /// The position, for playing at any speed.
    pub position: Option<Arc<AtomicU64>>,
}

impl Calls {
    /// Without calls yet.
    #[must_use]
    pub fn new(
        hub: Hub,
        recordings: Option<Recordings>,
        language: Option<String>,
        load: Arc<LoadTold>,
        desk: Option<Desk>,
        redaction: RedactionConfig,
    ) -> Self {
        // Set once; a second set of calls on the same load would be told nothing.
        let _ = load.hub.set(hub.clone());
        let shared = Shared {
            hub,
            speech: OnceLock::new(),
            early: Mutex::default(),
            unheard_ms: AtomicU64::new(0),
            insight: Arc::default(),
            playbook: OnceLock::new(),
            redaction,
            redacted: Arc::default(),
            recordings,
            language,
            load,
            desk,
            line: OnceLock::new(),
            running: DashMap::new(),
            outside: DashMap::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// From now on legs are listened to by `engine`, those that have begun before included.
    pub fn listen_with(&self, engine: Engine) {
        let mut early = self.shared.early.lock().unwrap_or_else(PoisonError::into_inner);
        let engine = self.shared.speech.get_or_init(|| engine);
        for Early { spec, mut heard, sink, .. } in early.drain(..) {
            // A ring that has overflowed holds the beginning, not what is said now. The engine tells what is lost.
            if heard.dropped() > 0 {
                heard.discard();
            }
            engine.listen(spec, heard, sink);
        }
    }

    /// From now on what is said is understood by `insight`, in calls that have begun before as well.
    pub fn understand_with(&self, insight: Insight) {
        // Set once: a second one would be stopped at once.
        let _ = self.shared.insight.set(insight);
    }

    /// From now on moods and intents are read too, if anything is understood.
    pub fn read_with(&self, understanding: Understanding) {
        if let Some(insight) = self.shared.insight.get() {
            insight.read_with(understanding);
        }
    }

    /// From now on agents are told what may help, in calls that begin.
    pub fn prompt_by(&self, playbook: Arc<Playbook>) {
        let _ = self.shared.playbook.set(playbook);
    }

    /// What is counted of secrets that are taken out.
    #[must_use]
    pub fn redacted(&self) -> Arc<redaction::Figures> {
        self.shared.redacted.clone()
    }

    /// From now on agents place calls through `trunk`.
    pub fn dial_through(&self, endpoint: Arc<Endpoint>, trunk: Trunk) {
        let Some(desk) = &self.shared.desk else { return };
        let _ = self.shared.line.set(Line { endpoint, trunk });
        let shared = Arc::downgrade(&self.shared);
        desk.dial_with(Box::new(move |agent, number, browser| {
            if let Some(shared) = shared.upgrade() {
                tokio::spawn(async move { shared.place(agent, number, browser).await });
            }
        }));
    }

    /// How many recordings cannot be written at the moment.
    #[must_use]
    pub fn failing_recordings(&self) -> usize {
        let is_failing = |recorder: &RecorderHandle| recorder.stats().is_failing;
        let of_call = |call: &Running| call.recorder.iter().chain(&call.beside).any(is_failing);
        self.shared.running.iter().filter(|call| of_call(call)).count()
    }

    /// Audio of legs whose call was over before recognition was there, in milliseconds.
    #[must_use]
    pub fn unheard_ms(&self) -> u64 {
        self.shared.unheard_ms.load(Ordering::Relaxed)
    }

    /// Whether what is said is recognised by now.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.shared.speech.get().is_some()
    }

    /// Whether recognition, once it is there, goes on.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        self.shared.speech.get().is_none_or(Engine::is_running)
    }

    /// Whether recognition, where it is there, fails on all that is said: see [`sotto_speech::Figures::is_failing`].
    #[must_use]
    pub fn fails_to_hear(&self) -> bool {
        self.shared.speech.get().is_some_and(|speech| speech.figures().is_failing())
    }

    /// Whether what is said is still understood, if it was to be.
    #[must_use]
    pub fn is_understanding(&self) -> bool {
        self.shared.insight.get().is_none_or(Insight::is_running)
    }

    /// What is counted of what is understood, if anything is.
    #[must_use]
    pub fn insight_figures(&self) -> Option<Arc<crate::insight::Figures>> {
        self.shared.insight.get().map(Insight::figures)
    }

    /// The registry of live calls.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.shared.hub
    }

    /// Begins a call from a file. With `real_time` its clock runs as for a live call, otherwise it is the
    /// position in the file.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn begin_file(&self, call: NewCall, real_time: bool) -> Result<FileCall, hub::NoRoom> {
        let (clock, alone) = (CallClock::start(), !real_time);
        self.begin_from(call, clock, !real_time, Opening { alone, ..Opening::now(clock) })
    }

    /// Begins a call that is over and was recorded elsewhere, beside those that go on: it is played as fast as these leave
    /// room for, its clock is the position in its audio, and its log and its times are those of then.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn begin_past(&self, call: NewCall, past: Past) -> Result<FileCall, hub::NoRoom> {
        let (clock, Past { id, started_at_unix_ms, parties_guessed }) = (CallClock::start(), past);
        let opening = Opening { id, started_at_unix_ms, parties_guessed, ..Opening::now(clock) };
        self.begin_from(call, clock, true, opening)
    }

    fn begin_from(
        &self,
        call: NewCall,
        clock: CallClock,
        by_position: bool,
        opening: Opening,
    ) -> Result<FileCall, hub::NoRoom> {
        let position = by_position.then(|| Arc::new(AtomicU64::new(0)));
        let running = position.clone().map_or(Clock::Real(clock), Clock::Position);
        let (id, outputs) = self.shared.begin(call, Opening { clock: running, ..opening })?;
        Ok(FileCall { id, outputs, clock, position })
    }

    /// Ends a call whose audio is over, and waits until everything about it is in the store.
    pub async fn finish(&self, id: CallId, reason: EndReason) {
        self.shared.finish(id, reason).await;
    }
}

impl Shared {
    /// Whether it can be told what agents say of a checklist: where nobody looks there is none.
    fn ticks_checklists(&self) -> bool {
        self.speech.get().is_some() && self.insight.get().is_some_and(Insight::is_reading)
    }

    fn begin(
        self: &Arc<Self>,
        call: NewCall,
        opening: Opening,
    ) -> Result<(CallId, Vec<LegOutputs>), hub::NoRoom> {
        let Opening { id, started_at_unix_ms, clock, alone, parties_guessed } = opening;
        let asked = call.language.as_deref().and_then(|tag| {
            let known = sotto_speech::language(tag);
            if known.is_none() {
                tracing::warn!(call = %id, tag, "a language that is not known");
            }
            known
        });
        let language = asked.or_else(|| self.language.clone());
        let started = CallStarted {
            version: sotto_call::FORMAT_VERSION,
            source: call.source,
            started_at_unix_ms,
            external_id: call.external_id,
            participants: call.participants,
            headers: call.headers,
            bridged: call.called.is_some(),
            parties_guessed,
            language: language.clone(),
        };
        let recording = self.recordings.as_ref().map(|_| recording_of(id));
        let stamp = clock.clone();
        let new = hub::NewCall { id, started, recording: recording.clone() };
        let live = self.hub.begin(new, move || stamp.now())?;
        if let Some(load) = self.load.now().filter(|load| load.shedding > Shedding::None) {
            live.publish(EventBody::Load(load));
        }
        let mut memory = CallMemory::since(started_at_unix_ms);
        // Who is taken for the customer by a guess may be an employee, and of employees there is no mood.
        let consent = if parties_guessed { Some(false) } else { call.consent };
        if let Some(agrees) = consent {
            memory.consents(agrees, ConsentSaidBy::Call);
            live.publish(EventBody::Consent(Consent { mood: agrees }));
        }
        if let Some(playbook) = self.playbook.get() {
            let prompter = Prompter::new(Arc::clone(playbook));
            live.prompt_by(match clock {
                Clock::Real(_) => prompter,
                Clock::Position(_) => prompter.without_clock(),
            });
            // For the whole call: an item that is not shown is not ticked later either.
            if self.ticks_checklists() {
                memory = memory.with_checklist();
                playbook.checklist().into_iter().for_each(|item| live.publish(EventBody::Checklist(item)));
            }
        }
        let memory = Arc::new(memory);
        live.understood_with(memory.clone());
        let to = self.recordings.as_ref().zip(recording);
        let recorder = to.map(|(Recordings { data, .. }, file)| Recorder::start(data.join(file), []));
        let muter = recorder.as_ref().map(RecorderHandle::muter);
        let redaction = Redaction::new(&self.redaction, muter, self.redacted.clone());
        let listening = watch::Sender::new(0);
        let running = Running {
            live,
            clock,
            alone,
            ids: UtteranceIds::default(),
            language,
            memory,
            redaction: Arc::new(redaction),
            recorder,
            beside: None,
            seat: None,
            listening,
        };
        let outputs = call.legs.iter().map(|leg| self.outputs(&running, leg.party)).collect();
        let is_recorded = running.recorder.is_some();
        self.running.insert(id, running);
        if is_recorded {
            tokio::spawn(look_at_recording(Arc::downgrade(self), id));
        }
        Ok((id, outputs))
    }

    /// A leg's rings, listened to and recorded.
    fn outputs(&self, call: &Running, party: Party) -> LegOutputs {
        let (speech, heard) = ring(RING_MS);
        let (recording, recorded) = ring(RING_MS);
        if let Some(recorder) = &call.recorder {
            recorder.add(party, recorded);
        }
        let (pace, clock): (_, Option<Box<dyn Fn() -> Millis + Send>>) = match call.clock.clone() {
            clock @ Clock::Real(_) => (Pace::Live, Some(Box::new(move || clock.now()))),
            Clock::Position(_) => (Pace::Unhurried, None),
        };
        let unhurried = pace == Pace::Unhurried;
        let spec = LegSpec {
            party,
            ids: call.ids.clone(),
            language: call.language.clone(),
            pace,
            voice: self.insight.get().is_some_and(|insight| insight.listens_to_voice(&call.memory)),
            clock,
        };
        let listening = Listening::begin(&call.listening);
        let publisher = Publisher {
            live: call.live.clone(),
            redaction: call.redaction.clone(),
            insight: self.insight.clone(),
            memory: call.memory.clone(),
            legs: call.listening.clone(),
            unhurried,
            alone: call.alone,
        };
        let sink: Sink = Box::new(move |event| match event {
            SpeechEvent::Utterance(utterance, voice) => publisher.hear(utterance, voice),
            SpeechEvent::Lost(lost_ms) => {
                publisher.live.publish(EventBody::AudioLost(AudioLost {
                    party,
                    to: LostTo::Speech,
                    lost_ms,
                }));
            }
            SpeechEvent::Done => listening.done(),
        });
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        match self.speech.get() {
            Some(engine) => engine.listen(spec, heard, sink),
            None => early.push(Early { call: call.live.id(), spec, heard, sink }),
        }
        LegOutputs { speech, recording, bridge: None }
    }

    /// Where a supervisor of a call is recorded.
    fn beside(&self, id: CallId) -> Writer {
        let (writer, reader) = ring(RING_MS);
        let recordings = self.recordings.as_ref().filter(|recordings| recordings.supervisors);
        let file = recordings.and_then(|to| Some(to.data.join(supervisors_track(&recording_of(id))?)));
        if let Some((mut call, file)) = self.running.get_mut(&id).zip(file) {
            call.beside.get_or_insert_with(|| Recorder::start_mixed(file)).add(Party::Other, reader);
        }
        writer
    }

    /// Lets it ring until an agent takes the call, and begins it with both.
    async fn put_through(
        self: &Arc<Self>,
        desk: &Desk,
        call: NewCall,
        called: &str,
        ringing: &Ringing,
    ) -> Result<StartedCall, Refusal> {
        let caller = call.participants.first();
        let from = Caller {
            aor: caller.and_then(|caller| caller.aor.clone()),
            name: caller.and_then(|caller| caller.name.clone()),
        };
        // Missed also when the caller gives up, and this is dropped.
        let missed = Otherwise(Some(self.missed_call(called, &from)));
        let waiting = WaitingCaller::new(ringing);
        if desk.has_music(called) {
            waiting.music();
        }
        let answered = match desk.ring(called, &from, None, || waiting.ring()).await {
            Ok(Accepted { agent, browser }) => {
                match self.seat(desk, &agent, browser, call, waiting.place()) {
                    Ok(Seated { started, .. }) => Ok(started),
                    Err(error) => {
                        desk.over(&agent, None);
                        Err(refusal(&error))
                    }
                }
            }
            Err(refused) => match desk.overflow(called).filter(|_| self.line.get().is_some()) {
                Some(number) => self.overflow(desk, &number, call, &waiting).await,
                None => Err(refused),
            },
        };
        let mut started = answered?;
        missed.not();
        if let Some(aor) = from.aor {
            self.look_for_employee(desk, started.id, user_part(&aor).to_owned());
        }
        if let Some(leg) = started.legs.first_mut() {
            leg.bridge = waiting.answered();
        }
        Ok(started)
    }

    /// Who may sign in here is no customer when they call, or are called. The call does not wait for the database.
    fn look_for_employee(&self, desk: &Desk, call: CallId, user: String) {
        let Some(live) = self.running.get(&call).map(|call| call.live.clone()) else { return };
        let desk = desk.clone();
        tokio::spawn(async move {
            if desk.knows(&user).await {
                live.has_no_customer();
            }
        });
    }

    /// Keeps that nobody has answered a call, which comes in at this moment.
    fn missed_call(&self, called: &str, from: &Caller) -> impl FnOnce() + use<> {
        let (store, since) = (self.hub.store().clone(), tokio::time::Instant::now());
        let call = MissedCall {
            id: uuid::Uuid::now_v7(),
            at_unix_ms: crate::cli::now_unix_ms(),
            called: called.to_owned(),
            aor: from.aor.clone(),
            name: from.name.clone(),
            waited_ms: 0,
        };
        move || {
            let waited_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
            tokio::spawn(async move {
                if let Err(error) = store.add_missed(&MissedCall { waited_ms, ..call }).await {
                    tracing::error!(%error, "a missed call is not kept");
                }
            });
        }
    }

    /// Calls a number outside for a customer whom nobody here has answered, and who hears its tones and announcements.
    async fn overflow(
        self: &Arc<Self>,
        desk: &Desk,
        number: &str,
        call: NewCall,
        waiting: &WaitingCaller<'_>,
    ) -> Result<StartedCall, Refusal> {
        waiting.ring();
        let prepared = self.prepare(desk, call, waiting.place());
        let (parts, started) = prepared.map_err(|error| refusal(&error))?;
        let (shared, id) = (self.clone(), started.id);
        let unanswered = Otherwise(Some(move || {
            tokio::spawn(async move { shared.finish(id, EndReason::Hangup).await });
        }));
        let (progress, mut heard) = watch::channel(false);
        let on_progress: OnProgress = Box::new(move |now| {
            if now == Progress::Heard {
                progress.send_replace(true);
            }
        });
        let seat = Seat::take_outside(parts, number, on_progress);
        tokio::pin!(seat);
        let taken = loop {
            tokio::select! {
                taken = &mut seat => break taken,
                Ok(_) = heard.changed() => waiting.hear(),
            }
        };
        match taken {
            Ok(seat) => {
                unanswered.not();
                self.keep(seat, started.id);
                Ok(started)
            }
            Err(error) => {
                tracing::info!(call = %started.id, number, %error, "the overflow does not answer");
                Err(Refusal::Unavailable)
            }
        }
    }

    /// Begins a call of one customer with an agent at a browser. What is left to do is the customer's leg.
    fn seat(
        self: &Arc<Self>,
        desk: &Desk,
        agent: &str,
        browser: Browser,
        call: NewCall,
        place: (Bridge, MemberId),
    ) -> Result<Seated, hub::NoRoom> {
        let (parts, started) = match self.prepare(desk, call, place) {
            Ok(prepared) => prepared,
            Err(error) => {
                tokio::spawn(async move { browser.connection.close().await });
                return Err(error);
            }
        };
        let seat = Seat::take(parts, Sitter { agent: agent.to_owned(), browser });
        let ear = Box::new(seat.ear());
        self.keep(seat, started.id);
        Ok(Seated { started, ear })
    }

    /// Begins the log of a call that goes through us, and what its seat is made from.
    fn prepare(
        self: &Arc<Self>,
        desk: &Desk,
        call: NewCall,
        place: (Bridge, MemberId),
    ) -> Result<(SeatParts, StartedCall), hub::NoRoom> {
        let clock = CallClock::start();
        let unknown = Participant { party: Party::Customer, aor: None, name: None };
        let customer = call.participants.first().cloned().unwrap_or(unknown);
        // Of a customer whom an agent has called, whoever answers every number.
        let onward = call.called.as_deref().map(|called| desk.onward(called)).unwrap_or_default();
        let (id, legs) = self.begin(call, Opening::now(clock))?;
        let running = self.running.get(&id).map(|running| (running.live.clone(), running.memory.clone()));
        let (live, memory) = running.ok_or(hub::NoRoom::Calls)?;
        let (over, shared) = (CancellationToken::new(), Arc::downgrade(self));
        let outputs = Box::new(move |party| {
            let shared = shared.upgrade()?;
            let running = shared.running.get(&id)?;
            Some(shared.outputs(&running, party))
        });
        let shared = Arc::downgrade(self);
        let beside =
            Arc::new(move || shared.upgrade().map_or_else(|| ring(RING_MS).0, |shared| shared.beside(id)));
        let supervision = Supervision { record: beside, there: TaskTracker::new() };
        let outward = self.line.get().map(|_| {
            let way = WayOut { shared: Arc::downgrade(self), live: live.clone(), clock };
            Box::new(way) as Box<dyn Outward>
        });
        let parts = SeatParts {
            desk: desk.clone(),
            live,
            clock,
            customer,
            memory,
            place,
            outputs,
            supervision,
            outward,
            onward,
            over: over.clone(),
        };
        Ok((parts, StartedCall { id, clock, legs, over }))
    }

    /// Keeps a seat until its call is over.
    fn keep(&self, seat: Seat, call: CallId) {
        let (stop, (done, stopped)) = (CancellationToken::new(), oneshot::channel());
        if let Some(mut running) = self.running.get_mut(&call) {
            running.seat = Some(Taken { orders: seat.orders(), stop: stop.clone(), stopped });
        }
        tokio::spawn(async move {
            let is_abandoned = seat.keep(stop).await;
            let _ = done.send(is_abandoned);
        });
    }

    /// Places a call for an agent, who hears it ring meanwhile.
    async fn place(self: &Arc<Self>, agent: String, number: String, browser: Browser) {
        let (Some(desk), Some(line)) = (&self.desk, self.line.get()) else {
            browser.connection.close().await;
            return;
        };
        let customer = Participant { party: Party::Customer, aor: Some(format!("sip:{number}")), name: None };
        let call = NewCall {
            external_id: uuid::Uuid::now_v7().to_string(),
            source: sotto_call::Source::Sip,
            called: Some(number.clone()),
            legs: vec![NewLeg { party: Party::Customer, label: None, codec: "" }],
            participants: vec![customer],
            headers: Default::default(),
            language: None,
            consent: None,
        };
        let bridge = Bridge::default();
        let (customer, end) = bridge.join(Role::Customer);
        let seated = match self.seat(desk, &agent, browser, call, (bridge, customer)) {
            Ok(seated) => seated,
            Err(error) => {
                tracing::warn!(%error, "a call could not be placed");
                desk.call_failed(&agent, CallFailure::Unreachable);
                return desk.over(&agent, None);
            }
        };
        let Seated { mut started, ear } = seated;
        if let Some(leg) = started.legs.first_mut() {
            leg.bridge = Some(end);
        }
        let (id, over) = (started.id, started.over.clone());
        self.look_for_employee(desk, id, number.clone());
        ear(Calling::Dialled);
        let on_progress = |now| ear(Calling::Progress(now));
        let dialled = line.endpoint.dial(&line.trunk, number.as_str(), started, Party::Customer, on_progress);
        match over.run_until_cancelled(dialled).await {
            Some(Ok(())) => ear(Calling::Answered),
            failed => {
                if let Some(Err(error)) = failed {
                    tracing::info!(call = %id, %error, "a call was not answered");
                    desk.call_failed(&agent, CallFailure::from(&error));
                }
                self.finish(id, EndReason::Hangup).await;
            }
        }
    }

    async fn finish(&self, id: CallId, mut reason: EndReason) {
        let Some((_, call)) = self.running.remove(&id) else { return };
        let duration_ms = call.clock.now();
        if let Some(seat) = call.seat {
            seat.stop.cancel();
            let is_abandoned = seat.stopped.await.unwrap_or_default();
            // For signalling it is we who have hung up.
            if is_abandoned && reason == EndReason::Hangup {
                reason = EndReason::AgentLost;
            }
        }
        self.tell_unheard(id);
        let mut listening = call.listening.subscribe();
        let silent = async { listening.wait_for(|legs| *legs == 0).await.is_ok() };
        let patience = match call.clock {
            Clock::Real(_) => LAST_WORDS,
            Clock::Position(_) => UNHURRIED_WORDS,
        };
        if tokio::time::timeout(patience, silent).await.is_err() {
            tracing::error!(call = %id, "the last words were not recognised in time");
        }
        for recorder in call.recorder.into_iter().chain(call.beside) {
            let info = recorder.finish().await;
            if info.dropped_ms > 0 {
                let lost_ms = Millis(info.dropped_ms);
                call.live.publish(EventBody::AudioLost(AudioLost {
                    party: Party::Other,
                    to: LostTo::Recording,
                    lost_ms,
                }));
            }
        }
        if let Err(error) = call.live.end(CallEnded { reason, duration_ms }).await {
            tracing::error!(call = %id, %error, "the call's end was not stored");
        }
    }

    /// Tells what is lost of a call's legs that nobody has listened to, and nobody will.
    fn tell_unheard(&self, id: CallId) {
        let unheard: Vec<Early> = {
            let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
            early.extract_if(.., |early| early.call == id).collect()
        };
        for Early { mut heard, mut sink, .. } in unheard {
            heard.discard();
            let lost = Millis(heard.dropped() * FRAME_MS);
            if lost > Millis(0) {
                self.unheard_ms.fetch_add(lost.0, Ordering::Relaxed);
                sink(SpeechEvent::Lost(lost));
            }
        }
    }
}

/// The way from a call to numbers outside.
struct WayOut {
    shared: Weak<Shared>,
    live: LiveCall,
    clock: CallClock,
}

impl WayOut {
    fn shared(&self) -> Result<Arc<Shared>, DialError> {
        self.shared.upgrade().filter(|shared| shared.line.get().is_some()).ok_or(DialError::Unreachable)
    }
}

impl Outward for WayOut {
    fn dial(
        &self,
        target: Target,
        outputs: LegOutputs,
        over: CancellationToken,
        on_progress: OnProgress,
    ) -> BoxFuture<'static, Result<Gone, DialError>> {
        let (shared, live, clock) = (self.shared(), self.live.clone(), self.clock);
        Box::pin(async move {
            let shared = shared?;
            let line = shared.line.get().ok_or(DialError::Unreachable)?;
            let ((here, gone), id) = (oneshot::channel(), CallId::new());
            shared.outside.insert(id, Outside { live: Some(live), _here: here });
            let unanswered = Otherwise(Some(|| drop(shared.outside.remove(&id))));
            let started = StartedCall { id, clock, legs: vec![outputs], over };
            line.endpoint.dial(&line.trunk, target, started, Party::Agent, on_progress).await?;
            unanswered.not();
            Ok(gone)
        })
    }

    fn dial_instead(
        &self,
        referral: Referral,
        outputs: LegOutputs,
    ) -> BoxFuture<'static, Result<(), DialError>> {
        let shared = self.shared();
        Box::pin(async move {
            let shared = shared?;
            let line = shared.line.get().ok_or(DialError::Unreachable)?;
            line.endpoint.dial_instead(&line.trunk, referral, outputs, |_| {}).await
        })
    }

    fn refer(&self, number: &str) -> Option<BoxFuture<'static, Result<(), ReferError>>> {
        let shared =
            self.shared().ok().filter(|shared| shared.line.get().is_some_and(|line| line.trunk.refer))?;
        let (number, id) = (number.to_owned(), self.live.id());
        Some(Box::pin(async move {
            let line = shared.line.get().ok_or(ReferError::Unavailable)?;
            line.endpoint.refer(id, &line.trunk, &number).await
        }))
    }
}

/// Something that is done when this is dropped, unless it is kept from it: when nobody waits for an answer any more.
struct Otherwise<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Otherwise<F> {
    fn not(mut self) {
        self.0 = None;
    }
}

impl<F: FnOnce()> Drop for Otherwise<F> {
    fn drop(&mut self) {
        if let Some(undo) = self.0.take() {
            undo();
        }
    }
}

/// Tells lists when a call's recording is not written any more, and when it is again, until the call is over.
async fn look_at_recording(shared: Weak<Shared>, id: CallId) {
    let (mut before, mut was_written) = (RecorderStats::default(), true);
    loop {
        tokio::time::sleep(LOOK_AT_RECORDING).await;
        let Some(shared) = shared.upgrade() else { return };
        let Some(call) = shared.running.get(&id) else { return };
        let Some(recorder) = &call.recorder else { return };
        let now = recorder.stats();
        let is_written = !now.is_failing && now.dropped_ms == before.dropped_ms;
        if is_written != was_written {
            call.live.becomes(Condition::Recorded(is_written));
        }
        (before, was_written) = (now, is_written);
    }
}

fn refusal(error: &hub::NoRoom) -> Refusal {
    match error {
        hub::NoRoom::Calls | hub::NoRoom::Store => Refusal::Busy,
        error => {
            tracing::error!(%error, "a call could not begin");
            Refusal::Unavailable
        }
    }
}

/// What becomes of the words of a call: secrets are taken out, what is left is published, and then understood.
struct Publisher {
    live: LiveCall,
    redaction: Arc<Redaction>,
    insight: Arc<OnceLock<Insight>>,
    memory: Arc<CallMemory>,
    /// See [`Running::listening`].
    legs: watch::Sender<usize>,
    /// It is played as fast as it goes, and the log must not depend on how fast that is.
    unhurried: bool,
    /// See [`Opening::alone`].
    alone: bool,
}

impl Publisher {
    fn hear(&self, utterance: Utterance, voice: Option<Voice>) {
        // The position in the audio at which it was said, so that replays give the same log.
        let (at, id) = (self.unhurried.then_some(utterance.end_ms), utterance.utterance_id);
        self.memory.attended_by(agent_among(&self.live.summary().participants));
        for Left { utterance, redacted } in self.redaction.hear(utterance) {
            let insight = self.insight.get();
            // Earlier utterances that come once more have no voice: it was heard the first time.
            let voice = voice.filter(|_| utterance.utterance_id == id);
            // They may have agreed when the leg began.
            let voice = voice.filter(|_| insight.is_some_and(|one| one.listens_to_voice(&self.memory)));
            let heard = insight.and_then(|insight| Some((insight, self.memory.hear(&utterance, voice)?)));
            // Where time tells nothing, nothing comes sooner.
            if let Some(insight) = insight.filter(|_| !self.unhurried) {
                insight.look_ahead(&self.memory, &utterance);
            }
            match redacted {
                Some(redacted) => self.live.redact(at, redacted, utterance),
                None => publish(&self.live, at, EventBody::Utterance(utterance)),
            }
            let Some((insight, heard)) = heard else { continue };
            // The call does not end before it is understood.
            let (live, awaited) = (self.live.clone(), Listening::begin(&self.legs));
            let understood = Box::new(move |body| {
                let _until_dropped = &awaited;
                publish(&live, at, body);
            });
            if self.alone {
                insight.understand_now(heard, understood);
            } else {
                insight.understand(heard, understood);
            }
        }
    }
}

/// Publishes something, at a given time of the call's clock or now.
fn publish(live: &LiveCall, at: Option<Millis>, body: EventBody) {
    match at {
        Some(at) => live.publish_at(at, body),
        None => live.publish(body),
    }
}

/// Where a call's recording lies below the data folder.
fn recording_of(id: CallId) -> String {
    format!("recordings/{id}.wav")
}

/// Counts a leg as listened to until its last words are out, or nobody listens any more.
struct Listening(Mutex<Option<watch::Sender<usize>>>);

impl Listening {
    fn begin(legs: &watch::Sender<usize>) -> Self {
        legs.send_modify(|legs| *legs += 1);
        Self(Mutex::new(Some(legs.clone())))
    }

    fn done(&self) {
        if let Some(legs) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            legs.send_modify(|legs| *legs -= 1);
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.done();
    }
}

#[async_trait]
impl Host for Calls {
    fn has_number(&self, number: &str) -> bool {
        self.shared.desk.as_ref().is_some_and(|desk| desk.has_number(number))
    }

    fn reaches(&self, agent: &str) -> bool {
        self.shared.desk.as_ref().is_some_and(|desk| desk.reaches(agent))
    }

    async fn knows(&self, name: &str) -> bool {
        match &self.shared.desk {
            Some(desk) => desk.knows(name).await,
            None => false,
        }
    }

    async fn begin(&self, call: NewCall, ringing: &Ringing) -> Result<StartedCall, Refusal> {
        if let (Some(desk), Some(called)) = (&self.shared.desk, call.called.clone()) {
            return self.shared.put_through(desk, call, &called, ringing).await;
        }
        let clock = CallClock::start();
        let begun = self.shared.begin(call, Opening::now(clock));
        let (id, legs) = begun.map_err(|error| refusal(&error))?;
        Ok(StartedCall { id, clock, legs, over: CancellationToken::new() })
    }

    async fn add_leg(&self, id: CallId, leg: NewLeg) -> Result<LegOutputs, Refusal> {
        let call = self.shared.running.get(&id).ok_or(Refusal::Unavailable)?;
        Ok(self.shared.outputs(&call, leg.party))
    }

    async fn note(&self, id: CallId, note: Note) {
        let live = self.shared.running.get(&id).map(|call| call.live.clone());
        let outside = || self.shared.outside.get(&id).and_then(|outside| outside.live.clone());
        let Some(call) = live.or_else(outside) else { return };
        call.publish(match note {
            Note::Line { party, quality } => return call.becomes(Condition::Line(party, quality)),
            Note::LegStarted { party, codec } => {
                EventBody::LegStarted(LegStarted { party, codec: codec.to_owned() })
            }
            Note::Paused(party) => EventBody::Paused(PartyChange { party }),
            Note::Resumed(party) => EventBody::Resumed(PartyChange { party }),
            Note::Dtmf { party, digit, duration } => {
                EventBody::Dtmf(Dtmf { party, digit, duration_ms: duration })
            }
            Note::AudioLost { party, lost: lost_ms } => {
                let running = self.shared.running.get(&id);
                if running.is_some_and(|running| running.recorder.is_some()) {
                    call.publish(EventBody::AudioLost(AudioLost { party, to: LostTo::Recording, lost_ms }));
                }
                EventBody::AudioLost(AudioLost { party, to: LostTo::Speech, lost_ms })
            }
            Note::LegEnded { party, stats } => {
                EventBody::LegEnded(LegEnded { party, packets: stats.packets, lost: stats.lost })
            }
            Note::ParticipantsChanged(participants) => EventBody::Participants(Participants { participants }),
            // A telephone outside takes back what its call's customer has agreed to, and gives nothing.
            Note::Consent(agrees) if agrees && call.id() != id => return,
            Note::Consent(agrees) => {
                call.consents(agrees, ConsentSaidBy::Call);
                return;
            }
            Note::NoCustomer => return call.has_no_customer(),
            other => {
                tracing::warn!(call = %id, ?other, "unknown note");
                return;
            }
        });
    }

    async fn refer(&self, id: CallId, referral: Referral) -> Result<(), Refusal> {
        let shared = &self.shared;
        // A telephone outside asks in the call that it has a part in.
        let outside = shared.outside.get(&id).and_then(|outside| Some(outside.live.as_ref()?.id()));
        let running = shared.running.get(&outside.unwrap_or(id));
        // A call that is only listened to has nobody who could go on with it.
        let orders = running.and_then(|call| call.seat.as_ref().map(|seat| seat.orders.clone()));
        let (accept, accepted) = oneshot::channel();
        orders
            .ok_or(Refusal::Forbidden)?
            .send(Order::Refer(Box::new(referral), accept))
            .await
            .map_err(|_| Refusal::Forbidden)?;
        match accepted.await {
            Ok(true) => Ok(()),
            _ => Err(Refusal::Forbidden),
        }
    }

    async fn end(&self, id: CallId, reason: EndReason) {
        if self.shared.outside.remove(&id).is_some() {
            return;
        }
        // Signalling does not wait for the last words.
        let shared = self.shared.clone();
        tokio::spawn(async move { shared.finish(id, reason).await });
    }
}

#[cfg(test)]
mod tests {
    use sotto_audio::{FRAME_SAMPLES, Frame};
    use sotto_call::testing::{utterance, with_words};
    use sotto_call::{
        Attention, CallEvent, CallState, EntityKind, MASK, Source, Supervisor, Transferred, UtteranceId,
    };
    use sotto_insight::PromptSet;
    use sotto_store::{EventWriter, Store, WriterLimits, testing};
    use sotto_webrtc::{WebRtc, WebRtcConfig};

    use super::*;
    use crate::audit::Audit;
    use crate::desk::testing::offer;
    use crate::desk::{AgentState, DeskConfig, FromPage, Number, Page, ToPage};
    use crate::hub::{HubLimits, Update};
    use crate::insight::InsightConfig;
    use crate::library::Library;

    fn said(id: u32, party: Party, start_ms: u64, text: &str) -> Utterance {
        let said = Utterance { start_ms: Millis(start_ms), ..utterance(id, party, text) };
        with_words(said, 500)
    }

    fn loud(index: u64) -> Frame {
        Frame { index, samples: [0.25; FRAME_SAMPLES] }
    }

    fn new_call() -> NewCall {
        let legs = [Party::Agent, Party::Customer];
        NewCall {
            external_id: "a".to_owned(),
            source: Source::File,
            called: None,
            legs: legs.map(|party| NewLeg { party, label: None, codec: "file" }).into(),
            participants: Vec::new(),
            headers: Default::default(),
            language: Some("en".to_owned()),
            consent: None,
        }
    }

    /// Calls that are kept in a store, and neither recorded nor bridged.
    fn calls(store: &Store) -> Calls {
        let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
        let hub = Hub::new(store.clone(), writer, HubLimits::default());
        Calls::new(hub, None, None, Arc::default(), None, RedactionConfig::default())
    }

    /// Nobody hears the agent while speech recognition is not there, whatever else is.
    #[tokio::test]
    async fn a_call_that_begins_before_all_models_are_there_has_no_checklist() {
        const CHECKLIST: &str = r#"
            [[checklist]]
            name = "recorded"
            title = { en = "The call is recorded" }
            examples.en = ["This call is recorded."]
        "#;
        let (store, _folder) = testing::sqlite().await;
        let calls = calls(&store);
        calls.understand_with(crate::insight::tests::start(&InsightConfig::default()));
        calls.prompt_by(Arc::new(Playbook::new(PromptSet::parse(CHECKLIST).unwrap(), None)));
        let FileCall { id, outputs, .. } = calls.begin_file(new_call(), true).unwrap();
        drop(outputs);
        calls.finish(id, EndReason::Hangup).await;
        assert_eq!(store.state(id).await.unwrap().checklist, []);
    }

    #[tokio::test]
    async fn audio_that_nobody_was_there_to_listen_to_is_told_when_the_call_is_over() {
        let (store, _folder) = testing::sqlite().await;
        let calls = calls(&store);
        let FileCall { id, outputs, .. } = calls.begin_file(new_call(), true).unwrap();
        let mut heard: Vec<Writer> = outputs.into_iter().map(|outputs| outputs.speech).collect();
        // More than the agent's ring holds; the customer says nothing at all.
        (0..600).for_each(|index| heard[0].push(loud(index)));
        drop(heard);
        calls.finish(id, EndReason::Hangup).await;
        let log = store.events(id, 0, 1_000).await.unwrap();
        let bodies = log.iter().map(|event| &event.body);
        let lost: Vec<_> = bodies.filter(|body| matches!(body, EventBody::AudioLost(_))).collect();
        let all = AudioLost { party: Party::Agent, to: LostTo::Speech, lost_ms: Millis(12_000) };
        assert_eq!(lost, [&EventBody::AudioLost(all)]);
        assert_eq!(calls.unheard_ms(), 12_000);
    }

    /// A desk with one number, and calls that go through it.
    async fn at_desk() -> (Desk, Calls, tempfile::TempDir) {
        let (store, folder) = testing::sqlite().await;
        let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
        let hub = Hub::new(store, writer, HubLimits::default());
        let numbers = vec![Number { number: "100".into(), ..Number::default() }];
        let here = WebRtcConfig { ip: "127.0.0.1".parse().unwrap(), ..WebRtcConfig::default() };
        let config = DeskConfig { numbers, ..DeskConfig::default() };
        let desk = Desk::new(config, WebRtc::new(here), Audit::to_log_only());
        let redaction = RedactionConfig::default();
        let calls = Calls::new(hub, None, None, Arc::default(), Some(desk.clone()), redaction);
        (desk, calls, folder)
    }

    /// The next that a page is told of these.
    async fn told<T>(page: &mut mpsc::Receiver<ToPage>, wanted: impl Fn(ToPage) -> Option<T>) -> T {
        let next = async {
            loop {
                if let Some(found) = wanted(page.recv().await.unwrap()) {
                    break found;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), next).await.unwrap()
    }

    /// Takes the call that rings at this page.
    async fn accept(page: &Page, from_desk: &mut mpsc::Receiver<ToPage>) {
        let ring = told(from_desk, |message| match message {
            ToPage::Ring { ring, .. } => Some(ring),
            _ => None,
        });
        let ring = ring.await;
        page.ask(FromPage::Accept { ring, sdp: offer() }).await;
    }

    /// A call whose agent, at this page, is in charge.
    async fn in_charge(
        desk: &Desk,
        calls: &Calls,
        page: &Page,
        from_desk: &mut mpsc::Receiver<ToPage>,
    ) -> CallId {
        page.ask(FromPage::Ready {}).await;
        let from = Caller::default();
        let ringing = desk.ring("100", &from, None, || {});
        let (accepted, ()) = tokio::join!(ringing, accept(page, from_desk));
        let Accepted { agent, browser } = accepted.unwrap();
        let bridge = Bridge::default();
        let (customer, _) = bridge.join(Role::Customer);
        let legs = vec![NewLeg { party: Party::Customer, label: None, codec: "PCMU" }];
        let call = NewCall { source: Source::Sip, called: Some("100".to_owned()), legs, ..new_call() };
        let seated = calls.shared.seat(desk, &agent, browser, call, (bridge, customer)).unwrap();
        let is_talking = |message: ToPage| matches!(message, ToPage::Talking { .. }).then_some(());
        told(from_desk, is_talking).await;
        seated.started.id
    }

    #[tokio::test]
    async fn a_colleague_who_is_asked_for_advice_may_leave_the_call_and_command_nothing_else() {
        let (desk, calls, _folder) = at_desk().await;
        let (ann, mut to_ann) = desk.open("ann", false);
        let id = in_charge(&desk, &calls, &ann, &mut to_ann).await;
        let (bob, mut to_bob) = desk.open("bob", false);
        bob.ask(FromPage::Ready {}).await;
        ann.ask(FromPage::Transfer { to: "bob".into(), consult: true }).await;
        accept(&bob, &mut to_bob).await;
        told(&mut to_bob, |message| matches!(message, ToPage::Talking { .. }).then_some(())).await;
        let theirs = [
            FromPage::Hold { on: false },
            FromPage::Transfer { to: "100".into(), consult: false },
            FromPage::Complete {},
            FromPage::TakeBack {},
        ];
        for asked in theirs {
            bob.ask(asked).await;
            let why = told(&mut to_bob, |message| match message {
                ToPage::Refused { why } => Some(why),
                _ => None,
            });
            assert_eq!(why.await, "somebody else is in charge of the call");
        }
        assert!(desk.refused().contains(&("not_theirs", 4)), "{:?}", desk.refused());
        bob.ask(FromPage::HangUp {}).await;
        told(&mut to_bob, |message| matches!(message, ToPage::Over {}).then_some(())).await;
        // Nothing of it was done: the call is still Ann's.
        ann.ask(FromPage::Hold { on: true }).await;
        told(&mut to_ann, |message| matches!(message, ToPage::Held { on: true }).then_some(())).await;
        assert_eq!(desk.agents()[0].call_id, Some(id));
        calls.finish(id, EndReason::Hangup).await;
        assert_eq!(desk.agents()[0].state, AgentState::WrapUp);
    }

    #[tokio::test]
    async fn a_transfer_to_where_there_is_no_way_any_more_is_told_to_who_has_asked_for_it() {
        let (desk, calls, _folder) = at_desk().await;
        // A way outside that the call has not got.
        desk.dial_with(Box::new(|_, _, _| {}));
        let (ann, mut to_ann) = desk.open("ann", false);
        let id = in_charge(&desk, &calls, &ann, &mut to_ann).await;
        ann.ask(FromPage::Transfer { to: "15550142".into(), consult: false }).await;
        let why = told(&mut to_ann, |message| match message {
            ToPage::Refused { why } => Some(why),
            _ => None,
        });
        assert_eq!(why.await, "there is no way there any more");
        calls.finish(id, EndReason::Hangup).await;
    }

    #[tokio::test]
    async fn an_agent_whose_offer_is_answered_when_the_call_is_over_is_not_on_a_call_for_ever() {
        let (desk, calls, _folder) = at_desk().await;
        let (ann, mut to_ann) = desk.open("ann", false);
        let id = in_charge(&desk, &calls, &ann, &mut to_ann).await;
        let resumed = ann.ask(FromPage::Resume { sdp: offer() });
        tokio::join!(resumed, calls.finish(id, EndReason::Hangup));
        assert_eq!(desk.agents()[0].state, AgentState::WrapUp);
    }

    /// What becomes of the words of a call.
    fn publisher(calls: &Calls, id: CallId) -> Publisher {
        let running = calls.shared.running.get(&id).unwrap();
        Publisher {
            live: running.live.clone(),
            redaction: running.redaction.clone(),
            insight: calls.shared.insight.clone(),
            memory: running.memory.clone(),
            legs: running.listening.clone(),
            unhurried: false,
            alone: false,
        }
    }

    /// Whoever speaks, however their audio comes, and whatever becomes of the call meanwhile: it is handed over, roles are
    /// swapped and people renamed, a supervisor barges in, words are revised and taken back.
    #[tokio::test]
    async fn by_no_way_in_does_anybody_but_the_customer_have_a_mood() {
        const PARTIES: [Party; 3] = [Party::Agent, Party::Customer, Party::Other];
        let (store, _folder) = testing::sqlite().await;
        let calls = calls(&store);
        let insight = Insight::start(&InsightConfig::default(), Library::default()).unwrap();
        crate::insight::testing::read_anger(&insight);
        calls.understand_with(insight);
        let mut felt = 0;
        for source in [Source::Siprec, Source::Sip, Source::Whip, Source::File] {
            for (called, legs) in [None, Some("100")].into_iter().flat_map(|called| {
                let pairs = PARTIES.into_iter().flat_map(|one| PARTIES.map(|other| [one, other]));
                pairs.map(move |legs| (called, legs))
            }) {
                let people = |legs: [Party; 2]| {
                    let person = |party| Participant { party, aor: None, name: Some("Mina".to_owned()) };
                    legs.map(person).to_vec()
                };
                let call = NewCall {
                    source,
                    called: called.map(str::to_owned),
                    legs: legs.map(|party| NewLeg { party, label: None, codec: "PCMU" }).into(),
                    participants: people(legs),
                    ..new_call()
                };
                let id = calls.begin_file(call, true).unwrap().id;
                let memory = Arc::new(CallMemory::default().with_checklist());
                let publisher = Publisher { memory, ..publisher(&calls, id) };
                for (n, party) in (0..).zip(legs) {
                    let heard = |id: u32, text: &str| said(10 * n + id, party, u64::from(n) * 1_000, text);
                    publisher.hear(Utterance { r#final: false, ..heard(1, "I am so") }, None);
                    publisher.hear(heard(1, "I am so angry."), None);
                    publisher.hear(Utterance { revision: 1, ..heard(1, "I am so very angry.") }, None);
                    publisher.hear(heard(2, "This is bad."), None);
                    publisher.hear(Utterance { revision: 1, ..heard(2, "") }, None);
                    let swapped = people([legs[1], legs[0]]);
                    calls.note(id, Note::ParticipantsChanged(swapped)).await;
                    let handed = Transferred { party, to: "omid".to_owned() };
                    publisher.live.publish(EventBody::Transferred(handed));
                    let attention = Some(Attention::Barge);
                    let comes = Supervisor { name: "sara".to_owned(), attention };
                    publisher.live.publish(EventBody::Supervisor(comes));
                    publisher.hear(heard(3, "I have had enough of this."), None);
                }
                drop(publisher);
                calls.finish(id, EndReason::Hangup).await;
                let log = store.events(id, 0, 1_000).await.unwrap();
                for event in &log {
                    let about = match &event.body {
                        EventBody::Mood(mood) => mood.utterance_id(),
                        EventBody::Prompt(prompt) if event.body.tells_mood() => prompt.evidence.utterance_id,
                        _ => continue,
                    };
                    let by = log.iter().filter_map(|event| match &event.body {
                        EventBody::Utterance(said) if said.utterance_id == about => Some(said.party),
                        _ => None,
                    });
                    let by: Vec<Party> = by.collect();
                    assert!(
                        !by.is_empty() && by.iter().all(|party| *party == Party::Customer),
                        "{legs:?}: {event:?}"
                    );
                    felt += 1;
                }
                let has_customer = legs.contains(&Party::Customer);
                assert_eq!(
                    log.iter().any(|event| event.body.tells_mood()),
                    has_customer,
                    "{source:?} {legs:?}"
                );
                // What they said was looked at: it ticks a checklist.
                let ticks = log.iter().any(|event| matches!(event.body, EventBody::Checklist(_)));
                assert_eq!(ticks, legs.contains(&Party::Agent), "{source:?} {legs:?}");
            }
        }
        assert!(felt > 50, "or nothing was tried: {felt}");
    }

    #[tokio::test]
    async fn a_customer_who_does_not_agree_has_no_mood_and_none_any_more_when_they_say_so_later() {
        let (store, _folder) = testing::sqlite().await;
        let calls = calls(&store);
        let config = InsightConfig { entities: false, ..InsightConfig::default() };
        let insight = Insight::start(&config, Library::default()).unwrap();
        crate::insight::testing::read_anger(&insight);
        calls.understand_with(insight);
        for (first, later, felt) in [
            (None, None, true),
            (Some(false), None, false),
            (Some(true), Some(false), false),
            (Some(false), Some(true), true),
        ] {
            let call = NewCall { source: Source::Siprec, consent: first, ..new_call() };
            let id = calls.begin_file(call, true).unwrap().id;
            let publisher = publisher(&calls, id);
            publisher.hear(said(1, Party::Customer, 1_000, "I am so angry."), None);
            if let Some(agrees) = later {
                calls.note(id, Note::Consent(agrees)).await;
            }
            publisher.hear(said(2, Party::Customer, 4_000, "I have had enough of this."), None);
            drop(publisher);
            calls.finish(id, EndReason::Hangup).await;
            let log = store.events(id, 0, 1_000).await.unwrap();
            let tells_mood = log.iter().any(|event| event.body.tells_mood());
            assert_eq!(tells_mood, felt, "{first:?}, then {later:?}");
            assert!(log.iter().zip(1..).all(|(event, seq)| event.seq == seq));
            let state = store.state(id).await.unwrap();
            assert_eq!(state.consent.map(|consent| consent.mood), later.or(first));
            assert_eq!(state.finals().count(), 2, "what was said is everybody's business");
        }
    }

    #[tokio::test]
    async fn of_an_employee_who_was_taken_for_the_customer_nothing_is_left_and_nothing_comes() {
        let (store, _folder) = testing::sqlite().await;
        let calls = calls(&store);
        let config = InsightConfig { entities: false, ..InsightConfig::default() };
        let insight = Insight::start(&config, Library::default()).unwrap();
        crate::insight::testing::read_anger(&insight);
        calls.understand_with(insight);
        let id = calls.begin_file(new_call(), true).unwrap().id;
        let publisher = publisher(&calls, id);
        publisher.hear(said(1, Party::Customer, 1_000, "I am so angry."), None);
        calls.note(id, Note::NoCustomer).await;
        // Nobody agrees for them.
        calls.note(id, Note::Consent(true)).await;
        publisher.hear(said(2, Party::Customer, 4_000, "I have had enough of this."), None);
        drop(publisher);
        calls.finish(id, EndReason::Hangup).await;
        let log = store.events(id, 0, 1_000).await.unwrap();
        assert!(log.iter().all(|event| !event.body.tells_mood()), "{log:?}");
        let state = store.state(id).await.unwrap();
        assert_eq!((state.consent, state.finals().count()), (Some(Consent { mood: false }), 2));
    }

    /// Neither to the embedding, and so to the heads over it, nor to a text classifier in the place of one, which read the same
    /// words; neither from customers nor from agents, for a checklist or for what is looked up.
    #[tokio::test]
    async fn a_card_number_is_never_sent_to_a_model_that_understands_calls() {
        let (store, _folder) = testing::sqlite().await;
        let calls = calls(&store);
        let mut documents = sotto_knowledge::Hub::new();
        documents.put(sotto_knowledge::Paper {
            id: "refunds.md".to_owned(),
            changed_unix_ms: 7,
            visibility: sotto_knowledge::Visibility::default(),
            bytes: 0,
            content: sotto_knowledge::Content::plain("Help", "A refund of the panel takes three days."),
        });
        let library = Library::fixed(documents.index().unwrap());
        let insight = Insight::start(&InsightConfig::default(), library).unwrap();
        let given = crate::insight::testing::keep_what_is_read(&insight);
        calls.understand_with(insight);
        // Everything is understood when what hears it returns.
        let begin = || {
            let id = calls.begin_file(new_call(), true).unwrap().id;
            let memory = Arc::new(CallMemory::default().with_checklist());
            (id, Publisher { memory, alone: true, ..publisher(&calls, id) })
        };
        let heard = |n: u32, party, text: &str| said(n, party, u64::from(n) * 20_000, text);

        let (id, first) = begin();
        let whole = "Can I get a refund of the panel to my card number 4242 4242 4242 4242?";
        let partial = heard(1, Party::Customer, whole);
        let stable_chars = whole.chars().count() as u32;
        first.hear(Utterance { r#final: false, stable_chars, ..partial }, None);
        for (n, text) in (0..).zip([
            whole,
            "Can I get a refund of the panel? four two four two four two four two four two four two four two four two",
            "شماره کارتم ۶۰۳۷ ۹۹۱۲ ۳۴۵۶ ۷۸۹۳ هست",
            "شش صفر سه هفت نه نه یک دو سه چهار پنج شش هفت هشت نه سه",
        ]) {
            first.hear(heard(2 * n + 1, Party::Customer, text), None);
            first.hear(heard(2 * n + 2, Party::Agent, text), None);
        }
        drop(first);
        calls.finish(id, EndReason::Hangup).await;
        let mut all = std::mem::take(&mut *given.lock().unwrap());
        for what in ["understood", "checklist", "question"] {
            let is_masked = |(by, text): &(&str, String)| *by == what && text.contains(MASK);
            assert!(all.iter().any(is_masked), "{what}: {all:?}");
        }

        // Of a number in two turns the first half is harmless until the second is heard, and then both are gone.
        let (id, second) = begin();
        second.hear(heard(1, Party::Customer, "It is 4242 4242"), None);
        given.lock().unwrap().clear();
        second.hear(heard(2, Party::Customer, "4242 4242"), None);
        drop(second);
        calls.finish(id, EndReason::Hangup).await;
        let halves = std::mem::take(&mut *given.lock().unwrap());
        let understood = halves.iter().filter(|(what, _)| *what == "understood");
        let texts: Vec<&str> = understood.map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["It is ••••", MASK]);
        all.extend(halves);
        for (what, text) in &all {
            let has = |part: &str| text.contains(part);
            let is_card = text.chars().any(char::is_numeric) || has("four two") || has("شش صفر سه");
            assert!(!is_card, "{what}: {text}");
        }
    }

    /// A card number is dictated in two turns, on a recorded call: when the second is heard, nothing is left of either.
    #[tokio::test]
    async fn no_secret_survives_anywhere() {
        let (store, folder) = testing::sqlite().await;
        let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
        let hub = Hub::new(store.clone(), writer.clone(), HubLimits::default());
        let recordings = Recordings { data: folder.path().to_owned(), supervisors: false };
        let calls =
            Calls::new(hub.clone(), Some(recordings), None, Arc::default(), None, RedactionConfig::default());
        calls.understand_with(Insight::start(&InsightConfig::default(), Library::default()).unwrap());
        let FileCall { id, outputs, .. } = calls.begin_file(new_call(), true).unwrap();
        let mut recorded: Vec<Writer> = outputs.into_iter().map(|outputs| outputs.recording).collect();
        for index in 0..1_000 {
            for recording in &mut recorded {
                while recording.is_full() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                recording.push(loud(index));
            }
        }
        let publisher = publisher(&calls, id);

        // It takes nothing before all is over.
        let mut slow = hub.follow(id, Some(0)).await.unwrap();
        let card = |text| said(2, Party::Customer, 4_000, text);
        publisher.hear(said(1, Party::Agent, 1_000, "Please read it out to me"), None);
        publisher.hear(Utterance { r#final: false, ..card("It is 4242") }, None);
        publisher.hear(card("It is 4242 4242"), None);
        publisher.hear(said(3, Party::Agent, 8_000, "Go on, your order number is 4711"), None);
        // All of it is in the database by now, and understood.
        while hub.follow(id, None).await.unwrap().next_now().await.unwrap().is_none_or(|update| {
            !matches!(update, Update::Snapshot(state) if state.entities.iter().any(|e| e.utterance_id == UtteranceId(3)))
        }) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        writer.flush().await;
        publisher.hear(said(4, Party::Customer, 12_000, "4242 4242"), None);
        publisher.hear(said(5, Party::Agent, 16_000, "So that is 4242 4242 4242 4242 thank you"), None);
        drop((publisher, recorded));
        calls.finish(id, EndReason::Hangup).await;

        let log = store.events(id, 0, 1_000).await.unwrap();
        let mut events: Vec<CallEvent> = Vec::new();
        while let Some(Update::Event(event)) = slow.next().await.unwrap() {
            events.push(event.as_ref().clone());
        }
        assert_eq!(events, log);
        for body in log.iter().map(|event| &event.body).filter(|body| body.quotes().is_some()) {
            assert!(!serde_json::to_string(body).unwrap().contains("4242"), "{body:?}");
        }
        let is_in_a_file = || {
            let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
            files
                .filter(|file| file.is_file())
                .any(|file| std::fs::read(file).unwrap().windows(9).any(|nine| nine == b"4242 4242"))
        };
        let forgotten = async {
            while is_in_a_file() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), forgotten).await.unwrap();

        let state = CallState::of(&log);
        let texts: Vec<&str> = state.finals().map(|said| said.text.as_str()).collect();
        let (ask, order) = ("Please read it out to me", "Go on, your order number is 4711");
        assert_eq!(texts, [ask, "It is ••••", order, MASK, "So that is •••• thank you"]);
        let named: Vec<_> = state.entities.iter().flat_map(|found| &found.entities).collect();
        assert_eq!(named.len(), 1, "{named:?}");
        assert_eq!((named[0].kind, named[0].value.as_str()), (EntityKind::Order, "4711"));
        assert!(state.redactions.iter().all(|redacted| redacted.muted));
        assert_eq!(calls.redacted().taken_out().map(|(_, count)| count).sum::<u64>(), 3);

        // Left is the agent, right the customer; times are in seconds.
        let mut wav = hound::WavReader::open(folder.path().join(recording_of(id))).unwrap();
        let samples: Vec<i16> = wav.samples::<i16>().map(Result::unwrap).collect();
        let is_silent = |channel: usize, from: f64, to: f64| {
            let part = |second: f64| (second * 16_000.0).round() as usize * 2;
            samples[part(from)..part(to)].iter().skip(channel).step_by(2).all(|sample| *sample == 0)
        };
        assert!(is_silent(1, 4.8, 6.2) && is_silent(1, 11.8, 13.2) && is_silent(0, 17.3, 19.7));
        for (channel, from, to) in
            [(1, 0.0, 4.7), (1, 6.3, 11.7), (1, 13.3, 20.0), (0, 0.0, 17.2), (0, 19.8, 20.0)]
        {
            assert!(
                (0..100).all(|part| {
                    let step = (to - from) / 100.0;
                    !is_silent(channel, from + step * f64::from(part), from + step * f64::from(part + 1))
                }),
                "channel {channel} from {from} s to {to} s"
            );
        }
    }
}
