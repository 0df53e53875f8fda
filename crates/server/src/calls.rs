//! Calls as they run: what signalling, or a recorded file, begins is given rings to recognition and recording
//! and a log, and is wound up in order when it ends: last words, recording, log.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dashmap::DashMap;
use sotto_audio::{Reader, ring};
use sotto_call::{
    AudioLost, CallEnded, CallId, CallStarted, Dtmf, EndReason, EventBody, LegEnded, LegStarted, Load,
    LostTo, Millis, Participants, Party, PartyChange, Shedding,
};
use sotto_media::{CallClock, LegOutputs, Recorder, RecorderHandle};
use sotto_sip::{Host, NewCall, NewLeg, Note, Refusal, StartedCall};
use sotto_speech::{Engine, Figures, LegSpec, Pace, Sink, SpeechEvent, UtteranceIds};
use tokio::sync::watch;

use crate::hub::{self, Hub, LiveCall};

/// How far recognition and recording may be behind before audio is lost to them.
const RING_MS: u64 = 10_000;
/// How long the last words of a call are waited for. Only a machine that is hopelessly behind takes longer.
const LAST_WORDS: Duration = Duration::from_secs(15 * 60);

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
    missing: Mutex<Missing>,
    /// Recordings are kept below this folder; absent to keep none.
    data: Option<PathBuf>,
    /// The language of calls that do not say.
    language: Option<String>,
    load: Arc<LoadTold>,
    running: DashMap<CallId, Running>,
}

/// A leg that began before recognition was there. Its ring keeps its first seconds.
struct Early {
    call: CallId,
    spec: LegSpec,
    heard: Reader,
    sink: Sink,
}

/// What went missing on the way from the wire to the disk, in legs and recordings that are over.
#[derive(Clone, Copy, Debug, Default)]
pub struct Missing {
    /// Packets that never came.
    pub lost: u64,
    /// Packets that came too late to be heard.
    pub late: u64,
    /// Packets refused.
    pub discarded: u64,
    /// Of these, the ones that came faster than allowed.
    pub flooded: u64,
    /// Audio that is not in recordings, in milliseconds.
    pub recording_dropped_ms: u64,
    /// Failed attempts to write a recording.
    pub recording_errors: u64,
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
    ids: UtteranceIds,
    language: Option<String>,
    recorder: Option<RecorderHandle>,
    /// Legs whose last words are not out yet.
    listening: watch::Sender<usize>,
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
    /// `data` is the folder below which recordings are kept.
    #[must_use]
    pub fn new(hub: Hub, data: Option<PathBuf>, language: Option<String>, load: Arc<LoadTold>) -> Self {
        // Set once; a second set of calls on the same load would be told nothing.
        let _ = load.hub.set(hub.clone());
        let shared = Shared {
            hub,
            speech: OnceLock::new(),
            early: Mutex::default(),
            missing: Mutex::default(),
            data,
            language,
            load,
            running: DashMap::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// From now on legs are listened to by `engine`, those that have begun before included.
    pub fn listen_with(&self, engine: Engine) {
        let mut early = self.shared.early.lock().unwrap_or_else(PoisonError::into_inner);
        let engine = self.shared.speech.get_or_init(|| engine);
        for Early { spec, mut heard, sink, .. } in early.drain(..) {
            // A ring that has overflowed holds the beginning, not what is said now.
            while heard.dropped() > 0 && heard.pop().is_some() {}
            engine.listen(spec, heard, sink);
        }
    }

    /// What went missing so far.
    #[must_use]
    pub fn missing(&self) -> Missing {
        *self.shared.missing.lock().unwrap_or_else(PoisonError::into_inner)
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
        let clock = CallClock::start();
        let position = (!real_time).then(|| Arc::new(AtomicU64::new(0)));
        let running = position.clone().map_or(Clock::Real(clock), Clock::Position);
        let (id, outputs) = self.shared.begin(call, clock.started_at_unix_ms(), running)?;
        Ok(FileCall { id, outputs, clock, position })
    }

    /// Ends a call whose audio is over, and waits until everything about it is in the store.
    pub async fn finish(&self, id: CallId, reason: EndReason) {
        self.shared.finish(id, reason).await;
    }
}

impl Shared {
    fn begin(
        &self,
        call: NewCall,
        started_at_unix_ms: u64,
        clock: Clock,
    ) -> Result<(CallId, Vec<LegOutputs>), hub::NoRoom> {
        let id = CallId::new();
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
            language: language.clone(),
        };
        let recording = self.data.as_ref().map(|_| format!("recordings/{id}.wav"));
        let stamp = clock.clone();
        let new = hub::NewCall { id, started, recording: recording.clone() };
        let live = self.hub.begin(new, move || stamp.now())?;
        if let Some(load) = self.load.now().filter(|load| load.shedding > Shedding::None) {
            live.publish(EventBody::Load(load));
        }
        let recorder = self.data.as_deref().zip(recording.as_deref()).map(|(data, file)| record(data, file));
        let listening = watch::Sender::new(0);
        let running = Running { live, clock, ids: UtteranceIds::default(), language, recorder, listening };
        let outputs = call.legs.iter().map(|leg| self.outputs(&running, leg.party)).collect();
        self.running.insert(id, running);
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
        let spec = LegSpec { party, ids: call.ids.clone(), language: call.language.clone(), pace, clock };
        let live = call.live.clone();
        let listening = Listening::begin(&call.listening);
        let sink: Sink = Box::new(move |event| match event {
            // The position in the audio at which it was said, so that replays give the same log.
            SpeechEvent::Utterance(utterance) if unhurried => {
                live.publish_at(utterance.end_ms, EventBody::Utterance(utterance));
            }
            SpeechEvent::Utterance(utterance) => live.publish(EventBody::Utterance(utterance)),
            SpeechEvent::Lost(lost_ms) => {
                live.publish(EventBody::AudioLost(AudioLost { party, to: LostTo::Speech, lost_ms }));
            }
            SpeechEvent::Done => listening.done(),
        });
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        match self.speech.get() {
            Some(engine) => engine.listen(spec, heard, sink),
            None => early.push(Early { call: call.live.id(), spec, heard, sink }),
        }
        LegOutputs { speech, recording }
    }

    async fn finish(&self, id: CallId, reason: EndReason) {
        let Some((_, call)) = self.running.remove(&id) else { return };
        let duration_ms = call.clock.now();
        // Nobody has listened to these, and nobody will.
        self.early.lock().unwrap_or_else(PoisonError::into_inner).retain(|early| early.call != id);
        let mut listening = call.listening.subscribe();
        let silent = async { listening.wait_for(|legs| *legs == 0).await.is_ok() };
        if tokio::time::timeout(LAST_WORDS, silent).await.is_err() {
            tracing::error!(call = %id, "the last words were not recognised in time");
        }
        if let Some(recorder) = call.recorder {
            let info = recorder.finish().await;
            {
                let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
                missing.recording_errors += info.errors;
                missing.recording_dropped_ms += info.dropped_ms;
            }
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
}

fn record(data: &Path, file: &str) -> RecorderHandle {
    Recorder::start(data.join(file), [])
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
    async fn begin(&self, call: NewCall) -> Result<StartedCall, Refusal> {
        let clock = CallClock::start();
        match self.shared.begin(call, clock.started_at_unix_ms(), Clock::Real(clock)) {
            Ok((id, legs)) => Ok(StartedCall { id, clock, legs }),
            Err(hub::NoRoom::Calls | hub::NoRoom::Store) => Err(Refusal::Busy),
            Err(error) => {
                tracing::error!(%error, "a call could not begin");
                Err(Refusal::Unavailable)
            }
        }
    }

    async fn add_leg(&self, id: CallId, leg: NewLeg) -> Result<LegOutputs, Refusal> {
        let call = self.shared.running.get(&id).ok_or(Refusal::Unavailable)?;
        Ok(self.shared.outputs(&call, leg.party))
    }

    async fn note(&self, id: CallId, note: Note) {
        let Some(call) = self.shared.running.get(&id).map(|call| call.live.clone()) else { return };
        call.publish(match note {
            Note::LegStarted { party, codec } => {
                EventBody::LegStarted(LegStarted { party, codec: codec.to_owned() })
            }
            Note::Paused(party) => EventBody::Paused(PartyChange { party }),
            Note::Resumed(party) => EventBody::Resumed(PartyChange { party }),
            Note::Dtmf { party, digit, duration } => {
                EventBody::Dtmf(Dtmf { party, digit, duration_ms: duration })
            }
            Note::LegEnded { party, stats } => {
                let mut missing = self.shared.missing.lock().unwrap_or_else(PoisonError::into_inner);
                missing.lost += stats.lost;
                missing.late += stats.late;
                missing.discarded += stats.discarded;
                missing.flooded += stats.flooded;
                EventBody::LegEnded(LegEnded { party, packets: stats.packets, lost: stats.lost })
            }
            Note::ParticipantsChanged(participants) => EventBody::Participants(Participants { participants }),
            other => {
                tracing::warn!(call = %id, ?other, "unknown note");
                return;
            }
        });
    }

    async fn end(&self, id: CallId, reason: EndReason) {
        // Signalling does not wait for the last words.
        let shared = self.shared.clone();
        tokio::spawn(async move { shared.finish(id, reason).await });
    }
}
