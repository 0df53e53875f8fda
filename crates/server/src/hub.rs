//! The live calls: one task per call numbers its events, and everybody who looks at a call hears of them here.
//!
//! A call's task owns its [`CallLog`] and nothing else numbers events. It does no I/O: what it numbers goes to
//! the store's writer, which it never waits for, and to subscribers, who are cut off when they cannot keep up.
//! Publishing never waits either, so that neither a thread that recognises speech nor a task that moves media
//! is ever held up by someone who watches.
//!
//! An event that is numbered never changes, with two exceptions: what was said in it turns out to hold a secret, or it tells
//! how a customer feels who does not agree to that. Then that is taken out wherever the event is: here, on its way to the
//! store, in the store, and on its way to subscribers.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use dashmap::DashMap;
use futures::FutureExt as _;
use sotto_call::{
    CallEnded, CallEvent, CallId, CallLog, CallStarted, CallState, Consent, EndReason, EventBody, Millis,
    Redacted, Source, Utterance, UtteranceId,
};
use sotto_insight::{Cards, Prompter, TalkMeter};
use sotto_knowledge::SURE;
use sotto_store::{CallRow, Closing, EventWriter, NotStored, Store, StoreError, close_by_log};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::alerts::Rules;
use crate::cli::now_unix_ms;
use crate::insight::{CallMemory, ConsentSaidBy};
use crate::needs::{Alert, Condition, LiveNow, Needs};
use crate::summary::{CallSummary, Lifecycle};

/// How much the hub holds.
#[derive(Clone, Copy, Debug)]
pub struct HubLimits {
    /// Calls at the same time.
    pub calls: usize,
    /// Room for calls that are over and wait for their last words, or for the database, on top of these.
    pub winding_up: usize,
    /// Newest events of a live call that are kept in memory for those who come back after a short absence.
    /// Older ones are read from the store, and kept as well until they are stored.
    pub backlog: usize,
    /// Events a subscriber may fall behind before it is cut off.
    pub tail: usize,
    /// Published bodies a call's task may fall behind before partials are left out. At 64 times as many
    /// everything is, but for what a customer agrees to.
    pub inbox: usize,
}

impl Default for HubLimits {
    fn default() -> Self {
        Self { calls: 1000, winding_up: 0, backlog: 4096, tail: 512, inbox: 1024 }
    }
}

/// How often lists hear of one call at most.
const SUMMARY_EVERY: Duration = Duration::from_millis(250);
/// Summaries a list may fall behind before it is cut off.
const LISTS_TAIL: usize = 1024;
/// How long it is until a call whose task has failed is closed again, where the database was away.
const CLOSE_AGAIN: Duration = Duration::from_secs(1);
/// Events read from the store at once.
const PAGE: u32 = 500;

/// A call that begins.
#[derive(Clone, Debug, PartialEq)]
pub struct NewCall {
    /// Its id, [`CallId::new`] unless someone else has given it one.
    pub id: CallId,
    /// The first event of its log.
    pub started: CallStarted,
    /// Where its recording will lie, relative to the data folder.
    pub recording: Option<String>,
}

/// Why no call can begin now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoRoom {
    /// As many calls as are allowed.
    #[error("there are as many calls as are allowed")]
    Calls,
    /// The database has been away for so long that memory is full.
    #[error("too much waits to be stored")]
    Store,
    /// The id is taken by another live call.
    #[error("there is a live call of this id")]
    Id,
}

/// Why a call cannot be followed, or not any further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// There is no such call.
    #[error("there is no call {0}")]
    Unknown(CallId),
    /// The subscriber was too slow: it should come back and say how far it got.
    #[error("too slow: events were published faster than they were taken")]
    Slow,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the hub counts. Counters run from the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubFigures {
    /// Calls now.
    pub live: u64,
    /// Calls begun.
    pub begun: u64,
    /// Calls refused.
    pub refused: u64,
    /// Events numbered.
    pub events: u64,
    /// Events left out because a call's task was behind, or came after the call's end.
    pub dropped: u64,
    /// Calls whose end the store would not take.
    pub not_stored: u64,
    /// Calls whose task has ended by itself. They are closed by what is stored of them.
    pub failed: u64,
    /// Subscribers cut off because they were too slow.
    pub slow: u64,
}

/// The registry of live calls. Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    shared: Arc<Shared>,
}

struct Shared {
    limits: HubLimits,
    /// Absent where supervisors are told of nothing but what every call has.
    rules: OnceLock<Arc<Rules>>,
    calls: DashMap<CallId, LiveCall>,
    /// How many calls there are, for those who wait for the last to end.
    count: watch::Sender<usize>,
    lists: broadcast::Sender<Arc<CallSummary>>,
    store: Store,
    writer: EventWriter,
    counters: Counters,
}

#[derive(Default)]
struct Counters {
    begun: AtomicU64,
    refused: AtomicU64,
    events: AtomicU64,
    dropped: AtomicU64,
    not_stored: AtomicU64,
    failed: AtomicU64,
    slow: AtomicU64,
}

/// A live call, for those who have something to say about it. Cheap to clone.
#[derive(Clone)]
pub struct LiveCall {
    id: CallId,
    inbox: mpsc::UnboundedSender<Command>,
    /// Bodies that wait in the inbox.
    waiting: Arc<AtomicUsize>,
    summary: Arc<Mutex<Arc<CallSummary>>>,
    /// Absent where nothing of what is said is understood.
    memory: Arc<OnceLock<Arc<CallMemory>>>,
    shared: Arc<Shared>,
}

enum Command {
    Publish(Option<Millis>, EventBody),
    Redact(Option<Millis>, Box<(Redacted, Utterance)>),
    Becomes(Condition),
    PromptBy(Box<Prompter>),
    End(CallEnded, oneshot::Sender<Result<(), NotStored>>),
    Join(Option<u64>, oneshot::Sender<Joined>),
}

/// A place in a live call's log, taken between two events.
struct Joined {
    /// The newest event so far.
    seq: u64,
    /// What they add up to, for those who begin with that.
    state: Option<Arc<CallState>>,
    /// Events in memory that the subscriber does not have yet.
    backlog: VecDeque<Arc<CallEvent>>,
    /// Everything from here on.
    tail: broadcast::Receiver<Arc<CallEvent>>,
    taken_out: Arc<TakenOut>,
}

/// The utterances of a call whose secrets were found after they had been published, and whether its moods have been: who has
/// their events in hand passes them on without what was said, or felt.
#[derive(Default)]
struct TakenOut {
    /// Each with the event that says so.
    from: RwLock<BTreeMap<UtteranceId, u64>>,
    /// The event that says so of moods; 0 when none does.
    moods: AtomicU64,
}

impl TakenOut {
    fn add(&self, id: UtteranceId, seq: u64) {
        self.from.write().unwrap_or_else(PoisonError::into_inner).insert(id, seq);
    }

    /// An event as it is now.
    fn of_event(&self, mut event: Arc<CallEvent>) -> Arc<CallEvent> {
        if event.seq < self.moods.load(Ordering::Relaxed) && event.body.tells_mood() {
            Arc::make_mut(&mut event).body.forget_mood();
        }
        let Some(id) = event.body.quotes() else { return event };
        let from = self.from.read().unwrap_or_else(PoisonError::into_inner).get(&id).copied();
        if from.is_none_or(|from| event.seq >= from) {
            return event;
        }
        let mut event = CallEvent::clone(&event);
        event.body.redact();
        Arc::new(event)
    }

    /// A state as it would be now, had it been taken now.
    fn of_state(&self, mut state: Arc<CallState>) -> Arc<CallState> {
        let (from, seq) = (self.from.read().unwrap_or_else(PoisonError::into_inner), state.seq);
        for (id, _) in from.iter().filter(|(_, from)| **from > seq) {
            Arc::make_mut(&mut state).redact(*id);
        }
        if seq < self.moods.load(Ordering::Relaxed) && state.tells_mood() {
            Arc::make_mut(&mut state).forget_moods();
        }
        state
    }
}

impl Hub {
    /// A hub without calls.
    #[must_use]
    pub fn new(store: Store, writer: EventWriter, limits: HubLimits) -> Self {
        Self {
            shared: Arc::new(Shared {
                limits,
                rules: OnceLock::new(),
                calls: DashMap::new(),
                count: watch::Sender::new(0),
                lists: broadcast::Sender::new(LISTS_TAIL),
                store,
                writer,
                counters: Counters::default(),
            }),
        }
    }

    /// From now on supervisors are told of what these rules say, in calls that begin.
    pub fn alert_by(&self, rules: Rules) {
        let _ = self.shared.rules.set(Arc::new(rules));
    }

    /// Begins a call and publishes its first event. `clock` is the call's own; events are stamped with it.
    ///
    /// Must be called on a tokio runtime, where the call's task runs.
    ///
    /// # Errors
    /// [`NoRoom`] when there is none.
    pub fn begin(
        &self,
        call: NewCall,
        clock: impl Fn() -> Millis + Send + Sync + 'static,
    ) -> Result<LiveCall, NoRoom> {
        let begun = self.shared.admit(call, clock);
        let counter = if begun.is_ok() { &self.shared.counters.begun } else { &self.shared.counters.refused };
        counter.fetch_add(1, Ordering::Relaxed);
        begun
    }

    /// The live call of this id.
    #[must_use]
    pub fn get(&self, id: CallId) -> Option<LiveCall> {
        self.shared.calls.get(&id).map(|call| call.clone())
    }

    /// Summaries of all calls in the registry, newest first. One that has just ended may still be among them.
    #[must_use]
    pub fn summaries(&self) -> Vec<Arc<CallSummary>> {
        let mut all: Vec<_> = self.shared.calls.iter().map(|call| call.summary()).collect();
        all.sort_by_key(|summary| std::cmp::Reverse(summary.id));
        all
    }

    /// How many calls are live.
    #[must_use]
    pub fn live(&self) -> usize {
        self.shared.calls.len()
    }

    /// How many may be.
    #[must_use]
    pub fn max_calls(&self) -> usize {
        self.shared.limits.calls
    }

    /// Follows a call, live or ended: from a snapshot on, or every event numbered above `from`.
    ///
    /// # Errors
    /// [`FollowError::Unknown`] when there is no such call, [`FollowError::Store`].
    pub async fn follow(&self, id: CallId, from: Option<u64>) -> Result<Follow, FollowError> {
        let mut follow = Follow {
            id,
            shared: Arc::clone(&self.shared),
            seq: from.unwrap_or(0),
            state: None,
            stored_to: 0,
            page: VecDeque::new(),
            backlog: VecDeque::new(),
            tail: None,
            taken_out: Arc::default(),
            over: false,
        };
        if let Some(joined) = self.join(id, from).await {
            if let Some(state) = joined.state {
                follow.seq = joined.seq;
                follow.state = Some(state);
            }
            follow.stored_to = joined.backlog.front().map_or(joined.seq, |oldest| oldest.seq - 1);
            follow.backlog = joined.backlog;
            follow.tail = Some(joined.tail);
            follow.taken_out = joined.taken_out;
            return Ok(follow);
        }
        // Not in the registry: it is over, and stored to its end, or it never was.
        if self.shared.store.call(id).await?.is_none() {
            return Err(FollowError::Unknown(id));
        }
        match from {
            None => {
                let state = self.shared.store.state(id).await?;
                follow.seq = state.seq;
                follow.state = Some(Arc::new(state));
            }
            Some(_) => follow.stored_to = u64::MAX,
        }
        Ok(follow)
    }

    async fn join(&self, id: CallId, from: Option<u64>) -> Option<Joined> {
        let call = self.get(id)?;
        let (reply, joined) = oneshot::channel();
        call.inbox.send(Command::Join(from, reply)).ok()?;
        joined.await.ok()
    }

    /// Follows the list of live calls.
    #[must_use]
    pub fn follow_list(&self) -> FollowList {
        // In this order: what is published while the list is made comes again, and is recognised by its number.
        let tail = self.shared.lists.subscribe();
        let all = self.summaries();
        let known = all.iter().map(|summary| (summary.id, summary.version)).collect();
        let live = all.into_iter().filter(|summary| summary.state == Lifecycle::Live).collect();
        FollowList { shared: Arc::clone(&self.shared), first: Some(live), known, tail }
    }

    /// Waits until no call is live and every end is stored.
    pub async fn drained(&self) {
        // The sender lives as long as `self`.
        let _ = self.shared.count.subscribe().wait_for(|count| *count == 0).await;
    }

    /// The store the calls go to.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// The writer in front of it.
    #[must_use]
    pub fn writer(&self) -> &EventWriter {
        &self.shared.writer
    }

    /// What has been counted.
    #[must_use]
    pub fn figures(&self) -> HubFigures {
        let counters = &self.shared.counters;
        HubFigures {
            live: self.live() as u64,
            begun: counters.begun.load(Ordering::Relaxed),
            refused: counters.refused.load(Ordering::Relaxed),
            events: counters.events.load(Ordering::Relaxed),
            dropped: counters.dropped.load(Ordering::Relaxed),
            not_stored: counters.not_stored.load(Ordering::Relaxed),
            failed: counters.failed.load(Ordering::Relaxed),
            slow: counters.slow.load(Ordering::Relaxed),
        }
    }
}

impl Shared {
    fn admit(
        self: &Arc<Self>,
        call: NewCall,
        clock: impl Fn() -> Millis + Send + Sync + 'static,
    ) -> Result<LiveCall, NoRoom> {
        // The place is taken before anything else, so that calls that begin together cannot share the last one.
        let place = self.count.send_if_modified(|count| {
            let free = *count < self.limits.calls.saturating_add(self.limits.winding_up);
            *count += usize::from(free);
            free
        });
        if !place {
            return Err(NoRoom::Calls);
        }
        let mut place = Place { shared: Arc::clone(self), call: None };
        let (inbox, commands) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));

        let first = EventBody::CallStarted(call.started.clone());
        let mut log = CallLog::default();
        let first = Arc::new(log.append(Millis(0), first));
        let state = CallState::of([first.as_ref()]);
        let recording = call.recording.is_some();
        let mut needs = Needs::new(self.rules.get().cloned().unwrap_or_default());
        needs.apply(&first);
        let now = goes_on(&state).then(|| needs.now(first.at_ms, &state));
        let shown = Arc::new(CallSummary { now, ..CallSummary::of_state(call.id, recording, &state) });
        let summary = Arc::new(Mutex::new(Arc::clone(&shown)));
        let handle = LiveCall {
            id: call.id,
            inbox,
            waiting: Arc::clone(&waiting),
            summary: Arc::clone(&summary),
            memory: Arc::default(),
            shared: Arc::clone(self),
        };
        let mut backlog = VecDeque::new();
        match self.calls.entry(call.id) {
            dashmap::Entry::Occupied(_) => return Err(NoRoom::Id),
            dashmap::Entry::Vacant(entry) => {
                let row = CallRow::live(call.id, &call.started, call.recording);
                self.writer.begin(row).map_err(|_| NoRoom::Store)?;
                let write = self.writer.write(call.id, Arc::clone(&first));
                backlog.push_back((write, first));
                entry.insert(handle.clone());
                place.call = Some(call.id);
            }
        }
        self.counters.events.fetch_add(1, Ordering::Relaxed);
        // Nobody may be listening.
        let _ = self.lists.send(shown);
        let task = Task {
            id: call.id,
            clock: Box::new(clock),
            log,
            state: Arc::new(state),
            needs,
            talk: TalkMeter::default(),
            prompter: None,
            cards: Cards::from_confidence(SURE),
            backlog,
            tail: broadcast::Sender::new(self.limits.tail),
            taken_out: Arc::default(),
            recording,
            summary,
            shared: Arc::clone(self),
            waiting,
        };
        tokio::spawn(task.watched(commands, place));
        Ok(handle)
    }
}

impl Shared {
    /// Tells lists what a call looks like now, if that is news to them: as it was, and as it is.
    fn show(
        &self,
        shown: &Mutex<Arc<CallSummary>>,
        mut summary: CallSummary,
    ) -> Option<(Arc<CallSummary>, Arc<CallSummary>)> {
        let (before, now) = {
            let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
            if shown.looks_like(&summary) {
                return None;
            }
            summary.version = shown.version + 1;
            let now = Arc::new(summary);
            (std::mem::replace(&mut *shown, Arc::clone(&now)), now)
        };
        // Nobody may be listening.
        let _ = self.lists.send(Arc::clone(&now));
        Some((before, now))
    }

    /// Closes a call whose task is no more, as soon as the database is there: what it came to, or nothing when the database
    /// will never take it.
    async fn close_failed(&self, id: CallId) -> Option<CallState> {
        // All that was numbered, and what was taken out of it.
        self.writer.flush().await;
        loop {
            let closed = async {
                let row = self.store.call(id).await?.ok_or(StoreError::UnknownCall(id))?;
                close_by_log(&self.store, &row, EndReason::Fault, None).await
            };
            match closed.await {
                Ok((state, _)) => return Some(state),
                Err(error) if error.is_permanent() => {
                    tracing::error!(call = %id, %error, "the call's end was not stored");
                    return None;
                }
                Err(error) => tracing::warn!(call = %id, %error, "the call's end is not stored yet"),
            }
            tokio::time::sleep(CLOSE_AGAIN).await;
        }
    }
}

/// A call's place among [`HubLimits::calls`]; giving it back tells those who wait for the last call.
struct Place {
    shared: Arc<Shared>,
    /// While it is in the registry.
    call: Option<CallId>,
}

impl Place {
    /// The call leaves the registry.
    fn leave(&mut self) {
        if let Some(call) = self.call.take() {
            self.shared.calls.remove(&call);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
        self.shared.count.send_modify(|count| *count = count.saturating_sub(1));
    }
}

impl LiveCall {
    /// Which call.
    #[must_use]
    pub fn id(&self) -> CallId {
        self.id
    }

    /// Says something about the call. Never waits; the call's task gives it its number and its time, in the
    /// order of publishing.
    ///
    /// After the call's end this does nothing. When the task is far behind, partials are left out.
    pub fn publish(&self, body: EventBody) {
        self.send(None, body);
    }

    /// The same, at a given time of the call's clock instead of the time at which the task numbers it: for
    /// replays, whose clock is the position in the audio.
    pub fn publish_at(&self, at: Millis, body: EventBody) {
        self.send(Some(at), body);
    }

    fn send(&self, at: Option<Millis>, body: EventBody) {
        let limit = self.shared.limits.inbox;
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let room = match &body {
            EventBody::Utterance(utterance) if !utterance.r#final => before < limit,
            // Who says no has no mood any more, whatever else is left out.
            EventBody::Consent(_) => true,
            _ => before < limit.saturating_mul(64),
        };
        if !room || self.inbox.send(Command::Publish(at, body)).is_err() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.shared.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// From now on what is said is understood with this memory.
    pub fn understood_with(&self, memory: Arc<CallMemory>) {
        let _ = self.memory.set(memory);
    }

    /// The customer agrees that their mood is read, or does not, from now on. Who does not has none any more: what was
    /// published of it is taken back. False, and nothing changes, where that does not count: see [`CallMemory::consents`].
    pub fn consents(&self, agrees: bool, says: ConsentSaidBy) -> bool {
        let counts = self.memory.get().is_none_or(|memory| memory.consents(agrees, says));
        if counts {
            self.publish(EventBody::Consent(Consent { mood: agrees }));
        }
        counts
    }

    /// Whoever is in the customer's place is an employee: of them there is neither mood nor intent, and what was published of
    /// their mood is taken back.
    pub fn has_no_customer(&self) {
        if let Some(memory) = self.memory.get() {
            memory.has_no_customer();
        }
        self.consents(false, ConsentSaidBy::Call);
    }

    /// Takes what was said in an utterance out of everything that was published about it, and publishes what is left: an event
    /// that says so, and the utterance right after it. Nobody sees anything in between, and it is done however far behind the
    /// task is. `at` as for [`LiveCall::publish_at`].
    pub fn redact(&self, at: Option<Millis>, redacted: Redacted, left: Utterance) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if self.inbox.send(Command::Redact(at, Box::new((redacted, left)))).is_err() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.shared.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Says what is so of the call from now on and is kept in no log. Never waits.
    pub fn becomes(&self, condition: Condition) {
        // After the call's end nobody wants to know.
        let _ = self.inbox.send(Command::Becomes(condition));
    }

    /// From now on the agent is told what may help. Never waits.
    pub fn prompt_by(&self, prompter: Prompter) {
        // After the call's end nobody is to be told anything.
        let _ = self.inbox.send(Command::PromptBy(Box::new(prompter)));
    }

    /// Ends the call: everything published before is numbered, the end is the last event, subscribers hear of
    /// it, and the call leaves the registry when all of it is stored, for which this waits. Ending it again
    /// changes nothing and waits as well.
    ///
    /// # Errors
    /// [`NotStored`] when the store will never take it.
    pub async fn end(&self, ended: CallEnded) -> Result<(), NotStored> {
        let (reply, stored) = oneshot::channel();
        if self.inbox.send(Command::End(ended, reply)).is_err() {
            return Ok(());
        }
        // The task answers everyone who asks before it goes; whoever asks later is not waiting for anything.
        stored.await.unwrap_or(Ok(()))
    }

    /// What lists show.
    #[must_use]
    pub fn summary(&self) -> Arc<CallSummary> {
        Arc::clone(&self.summary.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether anybody talks. Of a call that was recorded elsewhere nobody is told that somebody is needed.
fn goes_on(state: &CallState) -> bool {
    state.started.as_ref().is_none_or(|started| started.source != Source::File)
}

/// One call's task.
struct Task {
    id: CallId,
    clock: Box<dyn Fn() -> Millis + Send + Sync>,
    log: CallLog,
    /// Shared with subscribers who are being shown it; copied only if it changes meanwhile.
    state: Arc<CallState>,
    needs: Needs,
    talk: TalkMeter,
    /// Absent where the agent is told nothing.
    prompter: Option<Box<Prompter>>,
    /// Decides which of the passages that are found are shown.
    cards: Cards,
    /// The newest events, each with the number of its write.
    backlog: VecDeque<(u64, Arc<CallEvent>)>,
    tail: broadcast::Sender<Arc<CallEvent>>,
    /// Shared with subscribers.
    taken_out: Arc<TakenOut>,
    recording: bool,
    summary: Arc<Mutex<Arc<CallSummary>>>,
    shared: Arc<Shared>,
    waiting: Arc<AtomicUsize>,
}

impl Task {
    /// Runs, and closes the call by what is stored of it where that panics: it must not look live for ever. Its audio is
    /// not this task's, and goes on.
    async fn watched(self, inbox: mpsc::UnboundedReceiver<Command>, mut place: Place) {
        let (id, shared, summary) = (self.id, Arc::clone(&self.shared), Arc::clone(&self.summary));
        if AssertUnwindSafe(self.run(inbox, &mut place)).catch_unwind().await.is_ok() {
            return;
        }
        shared.counters.failed.fetch_add(1, Ordering::Relaxed);
        tracing::error!(call = %id, "the call's task has panicked: nothing more of the call is written down");
        match shared.close_failed(id).await {
            Some(state) => {
                let recording = summary.lock().unwrap_or_else(PoisonError::into_inner).recording;
                shared.show(&summary, CallSummary::of_state(id, recording, &state));
            }
            None => _ = shared.counters.not_stored.fetch_add(1, Ordering::Relaxed),
        }
    }

    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Command>, place: &mut Place) {
        let mut show_at = Instant::now() + SUMMARY_EVERY;
        let mut changed = false;
        // When there is something else to see only because time has passed.
        let mut due = None;
        let (ended, first) = loop {
            let wake_at = if changed { Some(show_at) } else { due };
            let wake_at = wake_at.into_iter().chain(self.prompt_due()).min();
            let command = tokio::select! {
                command = inbox.recv() => command,
                () = tokio::time::sleep_until(wake_at.unwrap_or(show_at)), if wake_at.is_some() => {
                    changed = true;
                    None
                }
            };
            match command {
                Some(Command::Publish(at, body)) => {
                    self.waiting.fetch_sub(1, Ordering::Relaxed);
                    changed |= self.number(at, body);
                    self.prompt(at);
                }
                Some(Command::Redact(at, redacted)) => {
                    self.waiting.fetch_sub(1, Ordering::Relaxed);
                    let (redacted, left) = *redacted;
                    self.redact(at, redacted, left);
                    self.prompt(at);
                    changed = true;
                }
                Some(Command::Becomes(condition)) => {
                    self.needs.becomes((self.clock)(), condition);
                    changed = true;
                }
                Some(Command::PromptBy(prompter)) => self.prompter = Some(prompter),
                Some(Command::Join(from, reply)) => self.join(from, reply),
                Some(Command::End(ended, reply)) => break (ended, reply),
                // The registry holds a sender, so this is the time to show what has changed.
                None => self.prompt(None),
            }
            if changed && show_at <= Instant::now() {
                self.show();
                changed = false;
                show_at = Instant::now() + SUMMARY_EVERY;
                due = self.due();
            }
        };
        if let Some(talk) = self.talk.talk() {
            self.number(None, EventBody::Talk(talk));
        }
        self.number(None, EventBody::CallEnded(ended.clone()));
        self.show();
        let stored = self.close(ended, vec![first], &mut inbox).await;
        if stored.is_err() {
            self.shared.counters.not_stored.fetch_add(1, Ordering::Relaxed);
        }
        place.leave();
        // Whoever got hold of the inbox before it was closed is answered; nobody can send any more.
        inbox.close();
        while let Some(command) = inbox.recv().await {
            match command {
                Command::Publish(..) | Command::Redact(..) => self.too_late(),
                Command::Becomes(_) | Command::PromptBy(_) => {}
                Command::Join(from, reply) => self.join(from, reply),
                Command::End(_, reply) => drop(reply.send(stored)),
            }
        }
    }

    /// Waits until the end is stored, serving those who come meanwhile.
    async fn close(
        &self,
        ended: CallEnded,
        mut waiting: Vec<oneshot::Sender<Result<(), NotStored>>>,
        inbox: &mut mpsc::UnboundedReceiver<Command>,
    ) -> Result<(), NotStored> {
        let closing = Closing::of(&self.state, ended);
        let stored = self.shared.writer.end(self.id, closing);
        tokio::pin!(stored);
        let result = loop {
            tokio::select! {
                result = &mut stored => break result,
                command = inbox.recv() => match command {
                    Some(Command::Publish(..) | Command::Redact(..)) => self.too_late(),
                    Some(Command::Becomes(_) | Command::PromptBy(_)) => {}
                    Some(Command::Join(from, reply)) => self.join(from, reply),
                    Some(Command::End(_, reply)) => waiting.push(reply),
                    None => break stored.as_mut().await,
                }
            }
        };
        for reply in waiting {
            // Whoever asked may have gone.
            let _ = reply.send(result);
        }
        result
    }

    fn too_late(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.shared.counters.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Numbers one event. Says whether lists may show the call differently now.
    fn number(&mut self, at: Option<Millis>, mut body: EventBody) -> bool {
        if let EventBody::Utterance(utterance) = &mut body {
            // JSON knows no such numbers: the event could be written but never read again.
            for word in utterance.words.iter_mut().filter(|word| !word.p.is_finite()) {
                word.p = 0.0;
            }
        }
        let is_late = match &body {
            // They have said since that they do not agree, or these words are no more, or an employee's after all.
            EventBody::Mood(mood) => {
                !self.state.may_have_mood() || !self.state.is_said(mood.utterance_id(), mood.revision())
            }
            EventBody::Intent(intent) => !self.state.is_said(intent.utterance_id, intent.revision),
            // Found in words that are no more, perhaps because there was a secret among them.
            EventBody::Entities(found) => !self.state.is_final(found.utterance_id, found.revision),
            EventBody::Checklist(item) => {
                item.evidence.as_ref().is_some_and(|quote| !self.state.is_quoted(quote))
            }
            // Found for words that are no more, or are not the customer's after all.
            EventBody::Card(card) => !self.state.is_said(card.evidence.utterance_id, card.evidence.revision),
            EventBody::CardAnswered(answered) => {
                self.state.cards.iter().all(|card| card.card_id != answered.card_id)
            }
            // About a prompt that does not stand any more.
            EventBody::PromptAnswered(answered) => {
                self.state.prompt.as_ref().is_none_or(|prompt| prompt.prompt_id != answered.prompt_id)
            }
            _ => false,
        };
        if is_late {
            return false;
        }
        let listed = match &body {
            EventBody::Utterance(utterance) => utterance.r#final,
            EventBody::Dtmf(_) | EventBody::AudioLost(_) | EventBody::Entities(_) => false,
            EventBody::Prompt(_) | EventBody::PromptAnswered(_) | EventBody::Checklist(_) => false,
            EventBody::Card(_) | EventBody::CardAnswered(_) | EventBody::CardHeldBack(_) => false,
            EventBody::Step(_) => false,
            _ => true,
        };
        if matches!(body, EventBody::Consent(Consent { mood: false })) && !self.state.utterances.is_empty() {
            self.forget_moods();
        }
        let at = at.unwrap_or_else(|| (self.clock)());
        if let EventBody::Card(found) = body {
            let Some(decided) = self.cards.next(*found, at, &self.state.cards) else { return false };
            body = decided;
        }
        let event = Arc::new(self.log.append(at, body));
        self.take_in(event);
        listed
    }

    /// Takes how the customer feels out of everything that was published.
    fn forget_moods(&mut self) {
        let seq = self.log.last_seq() + 1;
        self.taken_out.moods.store(seq, Ordering::Relaxed);
        for (_, event) in self.backlog.iter_mut().filter(|(_, event)| event.body.tells_mood()) {
            Arc::make_mut(event).body.forget_mood();
        }
        self.shared.writer.forget_moods(self.id, seq);
    }

    /// See [`LiveCall::redact`].
    fn redact(&mut self, at: Option<Millis>, redacted: Redacted, left: Utterance) {
        let (id, seq) = (redacted.utterance_id, self.log.last_seq() + 1);
        self.taken_out.add(id, seq);
        for (_, event) in self.backlog.iter_mut().filter(|(_, event)| event.body.quotes() == Some(id)) {
            Arc::make_mut(event).body.redact();
        }
        self.shared.writer.redact(self.id, id, seq);
        self.number(at, EventBody::Redacted(redacted));
        self.number(at, EventBody::Utterance(left));
    }

    fn take_in(&mut self, event: Arc<CallEvent>) {
        Arc::make_mut(&mut self.state).apply(&event);
        self.needs.apply(&event);
        self.talk.apply(&event);
        self.cards.apply(&event);
        if let Some(prompter) = &mut self.prompter {
            prompter.apply(&event);
        }
        self.shared.counters.events.fetch_add(1, Ordering::Relaxed);
        let write = self.shared.writer.write(self.id, Arc::clone(&event));
        let stored = self.shared.writer.settled();
        while self.backlog.len() >= self.shared.limits.backlog
            && self.backlog.front().is_some_and(|(write, _)| *write <= stored)
        {
            self.backlog.pop_front();
        }
        self.backlog.push_back((write, Arc::clone(&event)));
        // Nobody may be listening.
        let _ = self.tail.send(event);
    }

    fn join(&self, from: Option<u64>, reply: oneshot::Sender<Joined>) {
        let joined = Joined {
            seq: self.log.last_seq(),
            state: from.is_none().then(|| Arc::clone(&self.state)),
            backlog: match from {
                None => VecDeque::new(),
                Some(from) => {
                    let known = self.backlog.partition_point(|(_, event)| event.seq <= from);
                    self.backlog.range(known..).map(|(_, event)| Arc::clone(event)).collect()
                }
            },
            tail: self.tail.subscribe(),
            taken_out: Arc::clone(&self.taken_out),
        };
        // Whoever asked may have gone.
        let _ = reply.send(joined);
    }

    /// Tells the agent what may help now, if anything does. `at` as for [`LiveCall::publish_at`].
    fn prompt(&mut self, at: Option<Millis>) {
        let Some(prompter) = &mut self.prompter else { return };
        let now = at.unwrap_or_else(|| (self.clock)());
        if let Some(prompt) = prompter.next(now) {
            self.number(Some(now), EventBody::Prompt(prompt));
        }
    }

    /// When the agent may have to be told something though nothing happens.
    fn prompt_due(&self) -> Option<Instant> {
        let prompter = self.prompter.as_ref()?;
        let now = (self.clock)();
        Some(Instant::now() + Duration::from_millis(prompter.due(now)?.since(now).0))
    }

    /// When lists will have to be told of what time has brought.
    fn due(&self) -> Option<Instant> {
        let now = (self.clock)();
        let due = self.needs.due(now)?;
        Some(Instant::now() + Duration::from_millis(due.0.saturating_sub(now.0)))
    }

    /// Tells whoever listens outside of alerts that did not stand before. None of how the customer feels: who is told of that is
    /// not for us to say out there.
    fn tell_others(&self, before: Option<&LiveNow>, now: Option<&LiveNow>) {
        let store = &self.shared.store;
        let Some(now) = now.filter(|_| !store.listeners().is_empty()) else { return };
        let stood = before.map(|before| before.alerts.as_slice()).unwrap_or_default();
        let is_same = |one: &Alert, other: &Alert| {
            (one.kind, one.party, &one.title) == (other.kind, other.party, &other.title)
        };
        let is_new = |alert: &&Alert| {
            let alert: &Alert = alert;
            !alert.kind.tells_mood() && !stood.iter().any(|before| is_same(before, alert))
        };
        for alert in now.alerts.iter().filter(is_new) {
            // Without the words it rests on, which may be taken out of the log.
            let told = Alert { evidence: None, ..alert.clone() };
            let Ok(told) = serde_json::to_string(&told) else { continue };
            let (store, writer, call) = (store.clone(), self.shared.writer.clone(), self.id);
            tokio::spawn(async move {
                // Of a call that has just begun the store may not know yet.
                writer.flush().await;
                if let Err(error) = store.tell_alert(call, &told, now_unix_ms()).await {
                    tracing::warn!(%call, %error, "nobody outside is told of an alert");
                }
            });
        }
    }

    /// Tells lists what the call looks like now, and others what has become of it.
    fn show(&self) {
        let mut summary = CallSummary::of_state(self.id, self.recording, &self.state);
        if summary.state == Lifecycle::Live && goes_on(&self.state) {
            summary.now = Some(self.needs.now((self.clock)(), &self.state));
        }
        if let Some((before, now)) = self.shared.show(&self.summary, summary) {
            self.tell_others(before.now.as_ref(), now.now.as_ref());
        }
    }
}

/// What a subscriber of a call gets.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// What the call looks like; events numbered above its `seq` follow.
    Snapshot(Arc<CallState>),
    /// The next event.
    Event(Arc<CallEvent>),
}

/// A subscription to one call: every event exactly once, in order.
pub struct Follow {
    id: CallId,
    shared: Arc<Shared>,
    /// The newest event that was handed out or is part of the snapshot.
    seq: u64,
    state: Option<Arc<CallState>>,
    /// Up to here events are read from the store, page by page.
    stored_to: u64,
    page: VecDeque<Arc<CallEvent>>,
    backlog: VecDeque<Arc<CallEvent>>,
    tail: Option<broadcast::Receiver<Arc<CallEvent>>>,
    taken_out: Arc<TakenOut>,
    over: bool,
}

impl Follow {
    /// The next update, `None` after the call's last event. Cancelling the future loses nothing.
    ///
    /// # Errors
    /// [`FollowError::Slow`] when the subscriber fell too far behind, [`FollowError::Store`]. Either way the
    /// subscription is over; a new one from [`Follow::seq`] goes on where this one stopped.
    pub async fn next(&mut self) -> Result<Option<Update>, FollowError> {
        loop {
            match self.step(true).await? {
                Step::Update(update) => return Ok(Some(update)),
                Step::Again => {}
                Step::UpToDate | Step::Over => return Ok(None),
            }
        }
    }

    /// The next update that is there already, `None` when the subscriber has everything there is so far.
    ///
    /// # Errors
    /// As [`Follow::next`].
    pub async fn next_now(&mut self) -> Result<Option<Update>, FollowError> {
        loop {
            match self.step(false).await? {
                Step::Update(update) => return Ok(Some(update)),
                Step::Again => {}
                Step::UpToDate | Step::Over => return Ok(None),
            }
        }
    }

    /// The newest event that was handed out.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    async fn step(&mut self, wait: bool) -> Result<Step, FollowError> {
        if self.over {
            return Ok(Step::Over);
        }
        if let Some(state) = self.state.take() {
            self.over = state.ended.is_some();
            return Ok(Step::Update(Update::Snapshot(self.taken_out.of_state(state))));
        }
        if let Some(event) = self.page.pop_front() {
            return Ok(self.hand_out(event));
        }
        if self.seq < self.stored_to {
            let mut page = self.shared.store.events(self.id, self.seq, PAGE).await?;
            page.retain(|event| event.seq <= self.stored_to);
            if page.is_empty() {
                // What the store was never given (see `EventWriter`) is skipped.
                self.stored_to = self.seq;
            }
            self.page.extend(page.into_iter().map(Arc::new));
            return Ok(Step::Again);
        }
        if let Some(event) = self.backlog.pop_front() {
            return Ok(self.hand_out(event));
        }
        let Some(tail) = &mut self.tail else {
            self.over = true;
            return Ok(Step::Over);
        };
        let received = if wait {
            tail.recv().await
        } else {
            match tail.try_recv() {
                Ok(event) => Ok(event),
                Err(broadcast::error::TryRecvError::Empty) => return Ok(Step::UpToDate),
                Err(broadcast::error::TryRecvError::Closed) => Err(RecvError::Closed),
                Err(broadcast::error::TryRecvError::Lagged(by)) => Err(RecvError::Lagged(by)),
            }
        };
        match received {
            Ok(event) => Ok(self.hand_out(event)),
            Err(RecvError::Closed) => {
                self.over = true;
                Ok(Step::Over)
            }
            Err(RecvError::Lagged(_)) => {
                self.over = true;
                self.shared.counters.slow.fetch_add(1, Ordering::Relaxed);
                Err(FollowError::Slow)
            }
        }
    }

    fn hand_out(&mut self, event: Arc<CallEvent>) -> Step {
        if event.seq <= self.seq {
            return Step::Again;
        }
        self.seq = event.seq;
        if matches!(event.body, EventBody::CallEnded(_)) {
            // The last event of every log.
            self.over = true;
        }
        Step::Update(Update::Event(self.taken_out.of_event(event)))
    }
}

enum Step {
    Update(Update),
    Again,
    UpToDate,
    Over,
}

/// A subscription to the list of live calls.
pub struct FollowList {
    shared: Arc<Shared>,
    first: Option<Vec<Arc<CallSummary>>>,
    /// The newest version of each call's summary that this subscriber has heard of.
    known: HashMap<CallId, u64>,
    tail: broadcast::Receiver<Arc<CallSummary>>,
}

/// What a subscriber of the list gets.
#[derive(Clone, Debug, PartialEq)]
pub enum ListUpdate {
    /// All live calls, newest first. Always the first update.
    Calls(Vec<Arc<CallSummary>>),
    /// A call has begun, changed or ended.
    Call(Arc<CallSummary>),
}

impl FollowList {
    /// The next update. Cancelling the future loses nothing.
    ///
    /// # Errors
    /// [`FollowError::Slow`] when the subscriber fell too far behind.
    pub async fn next(&mut self) -> Result<Option<ListUpdate>, FollowError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(ListUpdate::Calls(first)));
        }
        loop {
            match self.tail.recv().await {
                Ok(summary) => {
                    if self.known.get(&summary.id).is_some_and(|known| summary.version <= *known) {
                        continue;
                    }
                    self.known.insert(summary.id, summary.version);
                    if summary.state == Lifecycle::Ended {
                        self.known.remove(&summary.id);
                    }
                    return Ok(Some(ListUpdate::Call(summary)));
                }
                Err(RecvError::Closed) => return Ok(None),
                Err(RecvError::Lagged(_)) => {
                    self.shared.counters.slow.fetch_add(1, Ordering::Relaxed);
                    return Err(FollowError::Slow);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use proptest::prelude::*;
    use sotto_call::{
        ArcPoint, Card, CardAnswer, CardAnswered, CardHeldBackBecause, ChecklistItem, CustomerUtterance,
        Emotion, Entities, Entity, EntityKind, Intent, Load, MASK, Mood, Participant, Participants, Party,
        PartyChange, PromptAnswer, PromptAnswered, PromptKind, Quote, Secret, Sentiment, Shedding, Source,
        Span, Trend, Utterance, Word, WordsMood,
    };
    use sotto_insight::{Playbook, PromptSet};
    use sotto_store::{CallRowState, EventKind, Listener, WriterLimits, testing};

    use super::*;
    use crate::needs::{AlertKind, Phase, Severity};
    use crate::summary::Sight;

    fn started(name: &str) -> CallStarted {
        CallStarted {
            version: sotto_call::FORMAT_VERSION,
            source: Source::Sip,
            started_at_unix_ms: 1_700_000_000_000,
            external_id: name.to_owned(),
            participants: Vec::new(),
            language: None,
            bridged: false,
            parties_guessed: false,
            headers: Default::default(),
        }
    }

    fn new_call(name: &str) -> NewCall {
        NewCall { id: CallId::new(), started: started(name), recording: None }
    }

    fn utterance(id: u32, text: &str, r#final: bool) -> EventBody {
        let words = vec![Word { w: text.to_owned(), start_ms: Millis(0), end_ms: Millis(9), p: 0.5 }];
        EventBody::Utterance(Utterance {
            r#final,
            start_ms: Millis(0),
            end_ms: Millis(9),
            words,
            latency_ms: Millis(5),
            ..sotto_call::testing::utterance(id, Party::Customer, text)
        })
    }

    fn hangup(duration: u64) -> CallEnded {
        CallEnded { reason: EndReason::Hangup, duration_ms: Millis(duration) }
    }

    async fn hub(limits: HubLimits) -> (Hub, tempfile::TempDir) {
        let (store, folder) = testing::sqlite().await;
        let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
        (Hub::new(store, writer, limits), folder)
    }

    fn still() -> Millis {
        Millis(7)
    }

    /// Everything a follower gets until the end.
    async fn collect(mut follow: Follow) -> (Option<Arc<CallState>>, Vec<CallEvent>) {
        let (mut snapshot, mut events) = (None, Vec::new());
        while let Some(update) = follow.next().await.unwrap() {
            match update {
                Update::Snapshot(state) => snapshot = Some(state),
                Update::Event(event) => events.push(event.as_ref().clone()),
            }
        }
        (snapshot, events)
    }

    #[derive(Clone, Debug)]
    enum Op {
        Publish(u8),
        /// Follow from a snapshot, or from so many hundredths of the log so far, or from beyond its end.
        Follow(Option<u8>),
        Yield(u8),
        /// Let the store catch up, so that old events leave memory.
        Flush,
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let op = prop_oneof![
            4 => (1_u8..12).prop_map(Op::Publish),
            3 => prop::option::of(0_u8..110).prop_map(Op::Follow),
            2 => (0_u8..4).prop_map(Op::Yield),
            1 => Just(Op::Flush),
        ];
        prop::collection::vec(op, 1..25)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

        /// Whenever somebody begins to follow a call, before, during or after it, they see every event from
        /// there on exactly once and in order.
        #[test]
        fn every_event_is_seen_exactly_once(ops in ops(), threads in 1_usize..4) {
            let runtime = match threads {
                1 => tokio::runtime::Builder::new_current_thread().enable_all().build(),
                n => tokio::runtime::Builder::new_multi_thread().worker_threads(n).enable_all().build(),
            };
            runtime.unwrap().block_on(async {
                let (hub, _folder) = hub(HubLimits { backlog: 5, tail: 1024, ..HubLimits::default() }).await;
                let call = hub.begin(new_call("a"), still).unwrap();
                let mut published = 1_u64;
                let mut followers = Vec::new();
                for op in ops {
                    match op {
                        Op::Publish(count) => for _ in 0..count {
                            published += 1;
                            call.publish(utterance(published as u32 / 3, &format!("{published}"), published.is_multiple_of(3)));
                        },
                        Op::Follow(from) => {
                            let from = from.map(|part| published * u64::from(part) / 100);
                            let hub = hub.clone();
                            let id = call.id();
                            followers.push((from, tokio::spawn(async move {
                                collect(hub.follow(id, from).await.unwrap()).await
                            })));
                        }
                        Op::Yield(count) => for _ in 0..count { tokio::task::yield_now().await },
                        Op::Flush => hub.writer().flush().await,
                    }
                }
                call.end(hangup(99)).await.unwrap();
                for from in [None, Some(0), Some(published / 2)] {
                    let follow = hub.follow(call.id(), from).await.unwrap();
                    followers.push((from, tokio::spawn(collect(follow))));
                }
                let all = hub.store().events(call.id(), 0, u32::MAX).await.unwrap();
                // How the time went, where somebody spoke, and the end.
                let talk = all.iter().filter(|event| matches!(event.body, EventBody::Talk(_))).count() as u64;
                assert_eq!((all.len() as u64, talk), (published + talk + 1, u64::from(published > 2)));
                assert!(all.iter().zip(1..).all(|(event, seq)| event.seq == seq));
                for (from, follower) in followers {
                    let (snapshot, events) = follower.await.unwrap();
                    assert_eq!(snapshot.is_some(), from.is_none());
                    let seen = match (&snapshot, from) {
                        (Some(state), _) => {
                            assert_eq!(**state, CallState::of(&all[..state.seq as usize]));
                            state.seq as usize
                        }
                        (None, from) => (from.unwrap() as usize).min(all.len()),
                    };
                    assert_eq!(events, all[seen..]);
                }
            });
        }
    }

    fn secret_in(id: u32) -> Redacted {
        let (utterance_id, party) = (UtteranceId(id), Party::Customer);
        Redacted { utterance_id, party, secrets: vec![Secret::Card], ranges: Vec::new(), muted: false }
    }

    fn left(id: u32, revision: u32, text: &str) -> Utterance {
        let EventBody::Utterance(said) = utterance(id, text, true) else { panic!() };
        Utterance { revision, ..said }
    }

    fn number_in(id: u32, revision: u32, value: &str) -> EventBody {
        let (kind, chars) = (EntityKind::Phone, Span { start: 0, end: 9 });
        let entity = Entity { kind, value: value.to_owned(), chars, words: None, confidence: 0.5 };
        let (utterance_id, latency_ms) = (UtteranceId(id), Millis(1));
        EventBody::Entities(Entities { utterance_id, revision, entities: vec![entity], latency_ms })
    }

    #[tokio::test]
    async fn a_secret_that_shows_late_is_nowhere_any_more() {
        for backlog in [3, 4096] {
            let (hub, _folder) = hub(HubLimits { backlog, ..HubLimits::default() }).await;
            let call = hub.begin(new_call("a"), still).unwrap();
            // These have everything in hand, and have taken nothing of it yet.
            let mut early = Vec::new();
            for from in [None, Some(0)] {
                early.push(hub.follow(call.id(), from).await.unwrap());
            }
            call.publish(utterance(1, "4242", false));
            call.publish(utterance(1, "4242 4242", true));
            call.publish(number_in(1, 0, "42424242"));
            call.publish(utterance(2, "go on", true));
            for from in [None, Some(0), Some(2)] {
                early.push(hub.follow(call.id(), from).await.unwrap());
            }
            if backlog < 10 {
                hub.writer().flush().await;
                for n in 0..5 {
                    call.publish(utterance(10 + n, "words", true));
                }
                early.push(hub.follow(call.id(), Some(0)).await.unwrap());
            }
            call.redact(None, secret_in(1), left(1, 1, MASK));
            // Found in the words as they were, and late.
            call.publish(number_in(1, 0, "42424242"));
            call.publish(utterance(3, MASK, true));
            for from in [None, Some(0), Some(3)] {
                early.push(hub.follow(call.id(), from).await.unwrap());
            }
            call.end(hangup(9)).await.unwrap();
            for from in [None, Some(0)] {
                early.push(hub.follow(call.id(), from).await.unwrap());
            }
            let all = hub.store().events(call.id(), 0, 100).await.unwrap();
            assert!(all.iter().zip(1..).all(|(event, seq)| event.seq == seq));
            assert!(!format!("{all:?}").contains("4242"), "{all:?}");
            for follow in early {
                let (snapshot, events) = collect(follow).await;
                assert!(!format!("{snapshot:?} {events:?}").contains("4242"));
                // What they were told adds up to what is kept.
                let mut state = snapshot.map(|state| CallState::clone(&state)).unwrap_or_default();
                let first = events.first().map_or(u64::MAX, |first| first.seq);
                assert_eq!(events, all[(first - 1).min(all.len() as u64) as usize..]);
                events.iter().for_each(|event| state.apply(event));
                assert_eq!(state.utterance(UtteranceId(3)).unwrap().text, MASK);
            }
            let state = hub.store().state(call.id()).await.unwrap();
            assert_eq!((state.redactions.len(), state.entities.len()), (1, 0));
            assert_eq!(state.utterance(UtteranceId(1)).unwrap().revision, 1);
        }
    }

    #[tokio::test]
    async fn a_secret_is_taken_out_however_far_behind_the_task_is() {
        let (hub, _folder) = hub(HubLimits { inbox: 1, ..HubLimits::default() }).await;
        let call = hub.begin(new_call("a"), still).unwrap();
        // On a runtime of one thread the task does not run before this one waits.
        call.publish(utterance(1, "4242 4242", true));
        for n in 0..100 {
            call.publish(utterance(10 + n, "words", true));
        }
        call.redact(None, secret_in(1), left(1, 1, MASK));
        call.end(hangup(1)).await.unwrap();
        let all = hub.store().events(call.id(), 0, 1_000).await.unwrap();
        assert!(!format!("{all:?}").contains("4242") && hub.figures().dropped > 0);
    }

    #[tokio::test]
    async fn a_customers_no_is_heard_however_far_behind_the_task_is() {
        let (hub, _folder) = hub(HubLimits { inbox: 1, ..HubLimits::default() }).await;
        let call = hub.begin(new_call("a"), still).unwrap();
        for n in 0..100 {
            call.publish(utterance(1 + n, "words", true));
        }
        call.publish(EventBody::Consent(Consent { mood: false }));
        call.end(hangup(1)).await.unwrap();
        assert!(!hub.store().state(call.id()).await.unwrap().may_have_mood() && hub.figures().dropped > 0);
    }

    #[tokio::test]
    async fn a_slow_follower_is_cut_off_and_goes_on_where_it_stopped() {
        let (hub, _folder) = hub(HubLimits { tail: 8, ..HubLimits::default() }).await;
        let call = hub.begin(new_call("a"), still).unwrap();
        let mut slow = hub.follow(call.id(), Some(0)).await.unwrap();
        let quick = tokio::spawn(collect(hub.follow(call.id(), Some(0)).await.unwrap()));
        for n in 0..20 {
            call.publish(utterance(n, "word", true));
            // Answered by the call's task, so it has numbered the event by then.
            hub.follow(call.id(), None).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut events = Vec::new();
        let refused = loop {
            match slow.next().await {
                Ok(Some(Update::Event(event))) => events.push(event.as_ref().clone()),
                Ok(other) => panic!("{other:?}"),
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, FollowError::Slow), "{refused}");
        assert_eq!(hub.figures().slow, 1);
        assert!(slow.next().await.unwrap().is_none(), "it is over");
        let rest = tokio::spawn(collect(hub.follow(call.id(), Some(slow.seq())).await.unwrap()));
        call.end(hangup(1)).await.unwrap();
        events.extend(rest.await.unwrap().1);
        let all = hub.store().events(call.id(), 0, 100).await.unwrap();
        assert_eq!(events, all);
        assert_eq!(quick.await.unwrap().1, all);
    }

    #[tokio::test]
    async fn a_call_whose_task_panics_is_closed_with_what_is_stored_of_it() {
        let (hub, _folder) = hub(HubLimits::default()).await;
        let broken = Arc::new(AtomicBool::new(false));
        let is_broken = Arc::clone(&broken);
        let clock = move || {
            assert!(!is_broken.load(Ordering::Relaxed), "a clock that fails");
            still()
        };
        let call = hub.begin(new_call("a"), clock).unwrap();
        let mut list = hub.follow_list();
        list.next().await.unwrap();
        let follow = hub.follow(call.id(), Some(0)).await.unwrap();
        call.publish(utterance(1, "word", true));
        // Answered by the call's task, so it has numbered the words by then.
        hub.follow(call.id(), None).await.unwrap();
        broken.store(true, Ordering::Relaxed);
        call.publish(utterance(2, "lost", true));
        hub.drained().await;
        let figures = hub.figures();
        assert_eq!((figures.live, figures.failed, figures.not_stored), (0, 1, 0));
        assert!(hub.get(call.id()).is_none());
        let row = hub.store().call(call.id()).await.unwrap().unwrap();
        assert_eq!((row.state, row.ended, row.utterances), (CallRowState::Ended, Some(EndReason::Fault), 1));
        let all = hub.store().events(call.id(), 0, 9).await.unwrap();
        assert_eq!(all[..2], collect(follow).await.1);
        let ended = CallEnded { reason: EndReason::Fault, duration_ms: still() };
        assert_eq!((all.len(), &all[2].body), (3, &EventBody::CallEnded(ended)));
        let ended = loop {
            let Some(ListUpdate::Call(seen)) = list.next().await.unwrap() else { panic!() };
            if seen.state == Lifecycle::Ended {
                break seen.ended;
            }
        };
        assert_eq!(ended, Some(EndReason::Fault));
        assert_eq!(call.end(hangup(1)).await, Ok(()), "nobody waits for it");
    }

    #[tokio::test]
    async fn the_end_is_the_last_event_and_the_call_is_stored_when_it_returns() {
        let (hub, _folder) = hub(HubLimits::default()).await;
        let call = hub.begin(new_call("abc"), still).unwrap();
        assert_eq!(hub.live(), 1);
        for n in 0..50 {
            call.publish(utterance(n, &format!("word {n}"), true));
        }
        // Said by three at once, and again afterwards.
        let ends = futures::future::join_all((0..3).map(|_| call.end(hangup(1234)))).await;
        assert!(ends.iter().all(Result::is_ok));
        call.publish(utterance(99, "too late", true));
        call.end(hangup(9999)).await.unwrap();
        hub.drained().await;
        assert_eq!((hub.live(), hub.figures().begun, hub.figures().dropped), (0, 1, 1));
        let all = hub.store().events(call.id(), 0, 100).await.unwrap();
        assert_eq!(all.len(), 53);
        let EventBody::Talk(talk) = &all[51].body else { panic!("{:?}", all[51]) };
        let customer = talk.parties[0];
        assert_eq!((talk.parties.len(), customer.party, customer.talk_ms), (1, Party::Customer, Millis(9)));
        assert_eq!(all[52].body, EventBody::CallEnded(hangup(1234)));
        let row = hub.store().call(call.id()).await.unwrap().unwrap();
        assert_eq!((row.state, row.utterances), (CallRowState::Ended, 50));
        assert_eq!(row.last.unwrap().text, "word 49");
        let unknown = hub.follow(CallId::new(), None).await;
        assert!(matches!(unknown, Err(FollowError::Unknown(_))));
    }

    #[tokio::test]
    async fn calls_beyond_the_limit_and_ids_in_use_are_refused() {
        let (hub, _folder) = hub(HubLimits { calls: 2, ..HubLimits::default() }).await;
        let first = hub.begin(new_call("a"), still).unwrap();
        let again = NewCall { id: first.id(), ..new_call("b") };
        assert_eq!(hub.begin(again, still).err(), Some(NoRoom::Id));
        let second = hub.begin(new_call("c"), still).unwrap();
        assert_eq!(hub.begin(new_call("d"), still).err(), Some(NoRoom::Calls));
        second.end(hangup(1)).await.unwrap();
        let third = hub.begin(new_call("e"), still).unwrap();
        assert_eq!((hub.figures().begun, hub.figures().refused), (3, 2));
        first.end(hangup(1)).await.unwrap();
        third.end(hangup(1)).await.unwrap();
    }

    #[tokio::test]
    async fn events_are_stamped_in_order_by_the_calls_clock_or_by_the_publisher() {
        let (hub, _folder) = hub(HubLimits::default()).await;
        let now = Arc::new(AtomicU64::new(100));
        let clock = Arc::clone(&now);
        let call = hub.begin(new_call("a"), move || Millis(clock.load(Ordering::Relaxed))).unwrap();
        call.publish(utterance(1, "one", false));
        let mut follow = hub.follow(call.id(), Some(1)).await.unwrap();
        let mut next = async || match follow.next().await.unwrap().unwrap() {
            Update::Event(event) => event,
            Update::Snapshot(_) => panic!("a snapshot"),
        };
        assert_eq!(next().await.at_ms, Millis(100));
        now.store(50, Ordering::Relaxed);
        call.publish(utterance(1, "one two", false));
        assert_eq!(next().await.at_ms, Millis(100), "time does not run backwards");
        call.publish_at(Millis(700), utterance(1, "one two three", true));
        assert_eq!(next().await.at_ms, Millis(700));
        let EventBody::Utterance(mut strange) = utterance(2, "x", true) else { panic!() };
        strange.words[0].p = f32::NAN;
        call.publish(EventBody::Utterance(strange));
        let EventBody::Utterance(kept) = &next().await.body else { panic!() };
        assert_eq!(kept.words[0].p, 0.0, "NaN could never be read again");
        call.end(hangup(1)).await.unwrap();
    }

    #[tokio::test]
    async fn when_a_task_is_behind_partials_are_left_out_and_finals_are_not() {
        let (hub, _folder) = hub(HubLimits { inbox: 4, ..HubLimits::default() }).await;
        let call = hub.begin(new_call("a"), still).unwrap();
        // On a runtime of one thread the task does not run before this one waits.
        for n in 0..20 {
            call.publish(utterance(n, "partial", false));
            call.publish(utterance(n, "final", true));
        }
        call.end(hangup(1)).await.unwrap();
        let all = hub.store().events(call.id(), 0, 100).await.unwrap();
        let finals = all.iter().filter(|e| matches!(&e.body, EventBody::Utterance(u) if u.r#final)).count();
        let partials =
            all.iter().filter(|e| matches!(&e.body, EventBody::Utterance(u) if !u.r#final)).count();
        assert_eq!((finals, partials), (20, 2));
        assert_eq!(hub.figures().dropped, 18);
    }

    #[tokio::test]
    async fn lists_hear_of_beginnings_ends_and_changes_but_not_too_often() {
        let (hub, _folder) = hub(HubLimits::default()).await;
        let first = hub.begin(new_call("first"), still).unwrap();
        let mut list = hub.follow_list();
        let Some(ListUpdate::Calls(calls)) = list.next().await.unwrap() else { panic!() };
        assert_eq!(calls.iter().map(|call| call.id).collect::<Vec<_>>(), [first.id()]);
        let second = hub.begin(new_call("second"), still).unwrap();
        let Some(ListUpdate::Call(seen)) = list.next().await.unwrap() else { panic!() };
        assert_eq!((seen.id, seen.external_id.as_str()), (second.id(), "second"));

        let began = Instant::now();
        let done = Arc::new(AtomicBool::new(false));
        let (call, stop) = (second.clone(), Arc::clone(&done));
        let talk = tokio::spawn(async move {
            for n in 0..500 {
                call.publish(utterance(n, &format!("{n}"), true));
                tokio::task::yield_now().await;
            }
            call.publish(EventBody::Load(Load { shedding: Shedding::NoPartials, behind_ms: Millis(0) }));
            call.end(hangup(5)).await.unwrap();
            stop.store(true, Ordering::Relaxed);
        });
        let (mut updates, mut newest) = (0_u128, 1);
        let last = loop {
            let Some(ListUpdate::Call(seen)) = list.next().await.unwrap() else { panic!() };
            assert!(seen.seq > newest);
            newest = seen.seq;
            updates += 1;
            if seen.state == Lifecycle::Ended {
                break seen;
            }
        };
        talk.await.unwrap();
        let most = 2 + began.elapsed().as_millis() / SUMMARY_EVERY.as_millis();
        assert!(updates <= most, "{updates} updates, {most} allowed");
        assert_eq!((last.utterances, last.last.as_ref().unwrap().text.as_str()), (500, "499"));
        assert_eq!(last.shedding, Some(Shedding::NoPartials));
        assert_eq!((last.ended, last.duration_ms), (Some(EndReason::Hangup), Some(Millis(5))));
        first.end(hangup(1)).await.unwrap();
        let Some(ListUpdate::Call(seen)) = list.next().await.unwrap() else { panic!() };
        assert_eq!((seen.id, seen.state), (first.id(), Lifecycle::Ended));
        let Some(ListUpdate::Calls(none)) = hub.follow_list().next().await.unwrap() else { panic!() };
        assert!(none.is_empty());
    }

    #[tokio::test]
    async fn people_who_become_known_later_are_listed_live_and_afterwards() {
        let (hub, _folder) = hub(HubLimits::default()).await;
        let call = hub.begin(new_call("a"), still).unwrap();
        let ada = Participant { party: Party::Customer, aor: None, name: Some("Ada".to_owned()) };
        let now = Participants { participants: vec![ada.clone()] };
        let mut list = hub.follow_list();
        list.next().await.unwrap();
        call.publish(EventBody::Participants(now));
        let Some(ListUpdate::Call(seen)) = list.next().await.unwrap() else { panic!() };
        assert_eq!(seen.participants, std::slice::from_ref(&ada));
        call.end(hangup(1)).await.unwrap();
        assert_eq!(hub.store().call(call.id()).await.unwrap().unwrap().participants, [ada]);
    }

    #[tokio::test]
    async fn what_was_understood_of_words_that_are_no_more_is_not_numbered() {
        let (hub, _folder) = hub(HubLimits::default()).await;
        let call = hub.begin(new_call("a"), still).unwrap();
        let body = utterance(1, "I want my money back.", true);
        let EventBody::Utterance(first) = &body else { panic!() };
        let said = CustomerUtterance::of(first).unwrap();
        let sentiment = Sentiment { negative: 0.7, neutral: 0.3, positive: 0.0 };
        let words = WordsMood { sentiment, valence: -0.7, emotion: Emotion::Anger, emotion_p: 0.6 };
        let trend = Trend::Falling;
        let arc = ArcPoint { at_ms: Millis(9), valence: -0.4, deviation: 0.3, trend, arousal: None };
        let understood = || {
            call.publish(EventBody::Mood(Mood::of(&said, words, arc, None, Millis(5))));
            call.publish(EventBody::Intent(Intent::none(&said, Millis(5))));
        };
        // Before anybody has said so, and after it turns out that an employee has.
        understood();
        call.publish(body.clone());
        call.publish(EventBody::Utterance(Utterance { party: Party::Agent, revision: 1, ..first.clone() }));
        understood();
        call.end(hangup(1)).await.unwrap();
        let log = hub.store().events(call.id(), 0, 100).await.unwrap();
        let of_customer =
            |event: &&CallEvent| matches!(event.body, EventBody::Mood(_) | EventBody::Intent(_));
        assert_eq!(log.iter().filter(of_customer).count(), 0, "{log:?}");
    }

    #[tokio::test]
    async fn lists_hear_how_the_customer_feels_and_what_they_want() {
        let (hub, _folder) = hub(HubLimits::default()).await;
        let call = hub.begin(new_call("a"), still).unwrap();
        let mut list = hub.follow_list();
        list.next().await.unwrap();
        let body = utterance(1, "I want my money back.", true);
        let EventBody::Utterance(said) = &body else { panic!() };
        let said = CustomerUtterance::of(said).unwrap();
        let sentiment = Sentiment { negative: 0.7, neutral: 0.3, positive: 0.0 };
        let words = WordsMood { sentiment, valence: -0.7, emotion: Emotion::Anger, emotion_p: 0.6 };
        let trend = Trend::Falling;
        let arc = ArcPoint { at_ms: Millis(9), valence: -0.4, deviation: 0.3, trend, arousal: None };
        let (name, title) = (Some("refund".to_owned()), [("en".to_owned(), "Refund".to_owned())].into());
        call.publish(body);
        call.publish(EventBody::Mood(Mood::of(&said, words, arc, None, Millis(5))));
        let intent = Intent { name, title, confidence: 0.9, ..Intent::none(&said, Millis(5)) };
        call.publish(EventBody::Intent(intent));
        let seen = loop {
            let Some(ListUpdate::Call(seen)) = list.next().await.unwrap() else { panic!() };
            if seen.intent.is_some() {
                break seen;
            }
        };
        assert_eq!(seen.mood, Some(arc));
        let intent = seen.intent.as_ref().unwrap();
        assert_eq!((intent.name.as_str(), intent.title["en"].as_str()), ("refund", "Refund"));
        for moods in [true, false] {
            let seen = seen.seen_with(Sight { supervises: false, moods });
            assert_eq!((seen.mood, seen.now, seen.intent.is_some()), (moods.then_some(arc), None, true));
        }
        call.end(hangup(1)).await.unwrap();
    }

    /// A tick of the checklist that rests on words of this revision.
    fn ticked(id: u32, revision: u32, text: &str) -> EventBody {
        let quote = Quote { utterance_id: UtteranceId(id), revision, text: text.to_owned() };
        let (name, title) = ("recorded".to_owned(), BTreeMap::new());
        EventBody::Checklist(ChecklistItem { name, title, done: true, evidence: Some(quote) })
    }

    /// A passage that was found for words of this revision.
    fn found(id: u32, revision: u32, document: &str, confidence: f32) -> EventBody {
        let said = sotto_call::testing::utterance(id, Party::Customer, "it is 4242");
        let said = Utterance { revision, ..said };
        let (title, found) = (document.to_owned(), sotto_call::testing::card(document, &said));
        EventBody::Card(Box::new(Card { confidence, title, ..found }))
    }

    #[tokio::test]
    async fn of_what_is_found_the_call_shows_what_its_rules_let_through_and_numbers_it() {
        let (hub, _folder) = hub(HubLimits::default()).await;
        let call = hub.begin(new_call("a"), still).unwrap();
        let wrong = |card_id| {
            let (answer, by) = (CardAnswer::Wrong, "mina".to_owned());
            EventBody::CardAnswered(CardAnswered { card_id, answer, by })
        };
        for id in 1..=3 {
            call.publish(utterance(id, "it is 4242", true));
        }
        call.publish(found(1, 0, "a.md", SURE - 0.1));
        call.publish(found(2, 0, "b.md", SURE));
        call.publish(found(3, 0, "b.md", 1.0));
        call.publish(wrong(7));
        call.publish(wrong(1));
        call.publish(wrong(1));
        // A secret after all, and something that was found before that was known.
        call.redact(None, secret_in(3), left(3, 1, "it is ••••"));
        call.publish(found(3, 0, "c.md", 1.0));
        call.publish(found(3, 1, "d.md", 1.0));
        call.redact(None, secret_in(2), left(2, 1, MASK));
        hub.follow(call.id(), None).await.unwrap();
        let shown = |events: &[CallEvent]| -> Vec<(u32, String)> {
            let card = |event: &CallEvent| match &event.body {
                EventBody::Card(card) => Some((card.card_id, card.document.clone())),
                _ => None,
            };
            events.iter().filter_map(card).collect()
        };
        call.end(hangup(1)).await.unwrap();
        let all = hub.store().events(call.id(), 0, 100).await.unwrap();
        assert_eq!(shown(&all), [(1, "b.md".to_owned()), (2, "d.md".to_owned())]);
        let answers = all.iter().filter(|e| matches!(e.body, EventBody::CardAnswered(_)));
        assert_eq!(answers.count(), 1);
        let quoting: Vec<_> = all.iter().filter(|e| e.body.quotes() == Some(UtteranceId(2))).collect();
        assert!(!format!("{quoting:?}").contains("4242"), "{quoting:?}");
        let held = all.iter().flat_map(|event| match &event.body {
            EventBody::Card(card) => card.held_back.iter().map(|one| one.because).collect(),
            _ => Vec::new(),
        });
        let held: Vec<CardHeldBackBecause> = held.collect();
        assert_eq!(held, [CardHeldBackBecause::NotSure, CardHeldBackBecause::Shown]);
        let kept = all.iter().filter_map(|event| match &event.body {
            EventBody::CardHeldBack(held) => Some((held.evidence.utterance_id.0, held.because)),
            _ => None,
        });
        let kept: Vec<_> = kept.collect();
        assert_eq!(kept, [(1, CardHeldBackBecause::NotSure), (3, CardHeldBackBecause::Shown)]);
    }

    fn answered(prompt_id: u32) -> EventBody {
        let (answer, by) = (PromptAnswer::Accepted, "mina".to_owned());
        EventBody::PromptAnswered(PromptAnswered { prompt_id, answer, by })
    }

    #[tokio::test]
    async fn an_agent_is_told_what_may_help_also_when_only_time_has_passed() {
        let (hub, _folder) = hub(HubLimits::default()).await;
        // A tenth of a second before it has been quiet for too long.
        let clock = Arc::new(AtomicU64::new(13_400));
        let time = Arc::clone(&clock);
        let call = hub.begin(new_call("a"), move || Millis(time.load(Ordering::Relaxed))).unwrap();
        let playbook = Playbook::new(PromptSet::built_in(), None);
        call.prompt_by(Prompter::new(Arc::new(playbook)));
        let mut follow = hub.follow(call.id(), Some(0)).await.unwrap();
        for (id, party) in [(1, Party::Agent), (2, Party::Customer)] {
            let said = sotto_call::testing::utterance(id, party, "it is 4242");
            let times = Utterance { start_ms: Millis(0), end_ms: Millis(3_500), ..said };
            call.publish(EventBody::Utterance(times));
        }
        call.publish(answered(1));
        hub.follow(call.id(), None).await.unwrap();
        clock.store(13_500, Ordering::Relaxed);
        let prompt = loop {
            let Some(Update::Event(event)) = follow.next().await.unwrap() else { panic!() };
            match &event.body {
                EventBody::Prompt(prompt) => break prompt.clone(),
                EventBody::PromptAnswered(_) => panic!("there was nothing to answer"),
                _ => {}
            }
        };
        assert_eq!((prompt.about, prompt.prompt_id), (PromptKind::DeadAir, 1));
        assert_eq!(prompt.evidence.text, "it is 4242");
        // A secret after all: it is quoted nowhere any more.
        call.redact(None, secret_in(2), left(2, 1, MASK));
        call.publish(answered(1));
        call.publish(answered(1));
        call.end(hangup(1)).await.unwrap();
        let all = hub.store().events(call.id(), 0, 100).await.unwrap();
        let quoting: Vec<_> = all.iter().filter(|e| e.body.quotes() == Some(UtteranceId(2))).collect();
        assert!(quoting.len() == 3 && !format!("{quoting:?}").contains("4242"), "{quoting:?}");
        let answers = all.iter().filter(|e| matches!(e.body, EventBody::PromptAnswered(_)));
        assert_eq!(answers.count(), 1, "it stands no more");
    }

    #[tokio::test]
    async fn a_tick_of_words_that_have_been_revised_since_is_none() {
        let (hub, _folder) = hub(HubLimits::default()).await;
        let call = hub.begin(new_call("a"), still).unwrap();
        call.publish(utterance(1, "4242 is recorded", true));
        call.redact(None, secret_in(1), left(1, 1, "•••• is recorded"));
        call.publish(ticked(1, 0, "4242 is recorded"));
        call.publish(ticked(1, 1, "•••• is recorded"));
        call.end(hangup(1)).await.unwrap();
        let all = hub.store().events(call.id(), 0, 100).await.unwrap();
        assert!(!format!("{all:?}").contains("4242"));
        let state = hub.store().state(call.id()).await.unwrap();
        assert_eq!(state.checklist[0].evidence.as_ref().map(|quote| quote.revision), Some(1));
    }

    #[tokio::test]
    async fn lists_hear_of_what_needs_somebody_also_when_only_time_has_passed() {
        let (hub, _folder) = hub(HubLimits::default()).await;
        let clock = Arc::new(AtomicU64::new(10_000));
        let time = Arc::clone(&clock);
        let call = hub.begin(new_call("a"), move || Millis(time.load(Ordering::Relaxed))).unwrap();
        let mut list = hub.follow_list();
        list.next().await.unwrap();
        let mut next = async || match list.next().await.unwrap() {
            Some(ListUpdate::Call(seen)) => (seen.seq, seen.now.clone().unwrap()),
            other => panic!("{other:?}"),
        };
        // It is in no log, so the number stays, and lists hear of it all the same.
        call.becomes(Condition::AgentLost(true));
        let (seq, now) = next().await;
        assert_eq!((seq, now.phase, now.alerts[0].kind), (1, Phase::AgentLost, AlertKind::AgentLost));
        call.becomes(Condition::AgentLost(false));
        assert_eq!(next().await.1.alerts, []);
        call.publish(EventBody::Paused(PartyChange { party: Some(Party::Customer) }));
        let (_, now) = next().await;
        assert_eq!((now.phase, now.since_ms, &now.alerts[..]), (Phase::OnHold, Millis(10_000), &[][..]));
        clock.store(69_950, Ordering::Relaxed);
        call.publish(utterance(1, "word", true));
        assert_eq!(next().await.1.alerts, []);
        clock.store(70_000, Ordering::Relaxed);
        let (_, now) = next().await;
        assert_eq!((now.alerts[0].kind, now.alerts[0].severity), (AlertKind::OnHold, Severity::Warning));
        call.end(hangup(1)).await.unwrap();
        let Some(ListUpdate::Call(seen)) = list.next().await.unwrap() else { panic!() };
        assert_eq!((seen.state, &seen.now), (Lifecycle::Ended, &None));
    }

    #[tokio::test]
    async fn whoever_listens_outside_is_told_of_an_alert_each_time_it_comes_and_once() {
        let (hub, _folder) = hub(HubLimits::default()).await;
        let kinds = [EventKind::Alert].into();
        let listener = Listener { name: "a".to_owned(), origin: "https://a.example".to_owned(), kinds };
        hub.store().tell_to(vec![listener]);
        let call = hub.begin(new_call("a"), still).unwrap();
        let mut list = hub.follow_list();
        list.next().await.unwrap();
        for (n, lost) in (1..).zip([true, false, true]) {
            call.becomes(Condition::AgentLost(lost));
            list.next().await.unwrap();
            // It is shown again, and stands as before.
            call.publish(utterance(n, "word", true));
            list.next().await.unwrap();
        }
        let told = loop {
            let told = hub.store().deliveries(None, None, 9).await.unwrap();
            if told.len() > 1 {
                break told;
            }
            tokio::task::yield_now().await;
        };
        call.end(hangup(1)).await.unwrap();
        assert_eq!(told.len(), 2);
        for one in told {
            let alert: serde_json::Value = serde_json::from_str(one.detail.as_deref().unwrap()).unwrap();
            assert_eq!((one.kind, one.call), (EventKind::Alert, Some(call.id())));
            assert_eq!(alert["kind"], "agent_lost");
        }
    }

    /// What a change looks like when nobody says anything more: it is shown all the same.
    #[tokio::test]
    async fn the_last_change_is_shown_too() {
        let (hub, _folder) = hub(HubLimits::default()).await;
        let call = hub.begin(new_call("a"), still).unwrap();
        let mut list = hub.follow_list();
        list.next().await.unwrap();
        for n in 0..3 {
            call.publish(utterance(n, "word", true));
        }
        loop {
            let Some(ListUpdate::Call(seen)) = list.next().await.unwrap() else { panic!() };
            if seen.utterances == 3 {
                break;
            }
        }
        assert_eq!(call.summary().utterances, 3);
        call.end(hangup(1)).await.unwrap();
    }
}
