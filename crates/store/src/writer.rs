//! The one writer of what calls say, always a little behind and never in their way.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sotto_call::{CallEvent, CallId, Card, EventBody, UtteranceId};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

use crate::calls::{Batch, Redaction, TakenOut};
use crate::{CallRow, Closing, Store, StoreError};

/// Where batches go: a [`Store`], or in tests something that fails on demand.
pub(crate) trait Sink: Send + Sync + 'static {
    fn commit(&self, batch: &Batch) -> impl Future<Output = Result<(), StoreError>> + Send;
}

impl Sink for Store {
    fn commit(&self, batch: &Batch) -> impl Future<Output = Result<(), StoreError>> + Send {
        Store::commit(self, batch)
    }
}

/// How far the writer may fall behind, and how much it holds in memory.
#[derive(Clone, Copy, Debug)]
pub struct WriterLimits {
    /// How long the oldest event of a batch waits for company.
    pub linger: Duration,
    /// Writes in one transaction at most.
    pub batch: usize,
    /// Memory for what is not stored yet, in bytes. At half of it partials are left out, as the final says the
    /// same; at all of it every event is, and new calls are refused.
    pub bytes: usize,
}

impl Default for WriterLimits {
    fn default() -> Self {
        // With a commit of up to 150 ms nothing is more than a quarter of a second behind.
        Self { linger: Duration::from_millis(80), batch: 2000, bytes: 256 << 20 }
    }
}

/// The writer holds as much as it may: the database has been away for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too much waits to be stored")]
pub struct Full;

/// A call's end could not be stored, and never will be; the log says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the end of the call could not be stored")]
pub struct NotStored;

/// How the writer is doing. Counters run from the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriterFigures {
    /// Writes that wait.
    pub queued: u64,
    /// What they take up, about.
    pub queued_bytes: u64,
    /// Age of the oldest of them.
    pub lag_ms: u64,
    /// Writes stored.
    pub stored: u64,
    /// Transactions committed.
    pub batches: u64,
    /// Transactions that failed and were tried again.
    pub errors: u64,
    /// Events left out because memory was full.
    pub shed: u64,
    /// Writes the database will never take.
    pub rejected: u64,
}

/// Takes what calls have to say, without ever making them wait, and stores it in batches.
///
/// While the database is away everything is kept, up to [`WriterLimits::bytes`], and stored when it is back.
#[derive(Clone, Debug)]
pub struct EventWriter {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limits: WriterLimits,
    queue: Mutex<Queue>,
    /// Something was queued, or the writer is to finish.
    wake: Notify,
    /// Number of the newest write that is settled.
    settled: watch::Sender<u64>,
    stored: AtomicU64,
    batches: AtomicU64,
    errors: AtomicU64,
    shed: AtomicU64,
    rejected: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Queued>,
    /// Of all that is waiting or under way.
    bytes: usize,
    count: u64,
    /// When the oldest write that is under way was queued.
    under_way: Option<Instant>,
    /// Number of the newest write.
    last: u64,
    /// Whether the current shortage of memory has been reported.
    reported: bool,
    closing: bool,
    finished: bool,
}

#[derive(Debug)]
struct Queued {
    at: Instant,
    bytes: usize,
    what: What,
}

#[derive(Debug)]
enum What {
    Begin(Box<CallRow>),
    Event(CallId, Arc<CallEvent>),
    Redact(Redaction),
    End(CallId, Box<Closing>, oneshot::Sender<Result<(), NotStored>>),
}

impl EventWriter {
    /// Starts the writer's task on the current runtime.
    #[must_use]
    pub fn spawn(store: Store, limits: WriterLimits) -> Self {
        Self::start(store, limits)
    }

    pub(crate) fn start(sink: impl Sink, limits: WriterLimits) -> Self {
        let shared = Arc::new(Shared {
            limits,
            queue: Mutex::default(),
            wake: Notify::new(),
            settled: watch::Sender::new(0),
            stored: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            shed: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
        });
        tokio::spawn(run(sink, Arc::clone(&shared)));
        Self { shared }
    }

    /// Queues a new call's row.
    ///
    /// # Errors
    /// [`Full`] when no more calls should be taken on.
    pub fn begin(&self, row: CallRow) -> Result<(), Full> {
        let mut queue = self.shared.lock();
        if !self.shared.takes_calls(&queue) {
            return Err(Full);
        }
        self.shared.push(&mut queue, ROW, What::Begin(Box::new(row)));
        Ok(())
    }

    /// Whether new calls are taken on, see [`EventWriter::begin`].
    #[must_use]
    pub fn takes_calls(&self) -> bool {
        self.shared.takes_calls(&self.shared.lock())
    }

    /// Queues an event of a call whose row was queued before. Returns the number of this write, see
    /// [`EventWriter::settled`]; 0 when the event was left out.
    pub fn write(&self, call: CallId, event: Arc<CallEvent>) -> u64 {
        let bytes = size_of_event(&event);
        let limit = self.shared.limits.bytes;
        let mut queue = self.shared.lock();
        let after = queue.bytes + bytes;
        let partial = matches!(&event.body, EventBody::Utterance(utterance) if !utterance.r#final);
        // Calls bound the number of these; without its end a call would look live for ever.
        let must = matches!(&event.body, EventBody::CallStarted(_) | EventBody::CallEnded(_));
        if !must && (after > limit || (partial && after > limit / 2)) {
            self.shared.shed.fetch_add(1, Ordering::Relaxed);
            if !std::mem::replace(&mut queue.reported, true) {
                tracing::error!(
                    waiting = queue.count,
                    "the database is too far behind: events are left out of it"
                );
            }
            return 0;
        }
        self.shared.push(&mut queue, bytes, What::Event(call, event));
        queue.last
    }

    /// Takes what was said in an utterance out of a call's events numbered below `before`: what waits never reaches the
    /// database, what is there is replaced with the next batch. It is done however full memory is.
    pub fn redact(&self, call: CallId, utterance: UtteranceId, before: u64) {
        self.take_out(Redaction { call, what: TakenOut::Words(utterance), before });
    }

    /// Takes how the customer feels out of a call's events numbered below `before`, as [`EventWriter::redact`] does what was
    /// said.
    pub fn forget_moods(&self, call: CallId, before: u64) {
        self.take_out(Redaction { call, what: TakenOut::Moods, before });
    }

    fn take_out(&self, redaction: Redaction) {
        let Redaction { call, what, before } = redaction;
        let mut queue = self.shared.lock();
        for queued in &mut queue.waiting {
            if let What::Event(of, event) = &mut queued.what
                && *of == call
                && event.seq < before
                && what.is_in(&event.body)
            {
                what.remove_from(&mut Arc::make_mut(event).body);
            }
        }
        self.shared.push(&mut queue, 64, What::Redact(redaction));
    }

    /// The number of the newest write such that it and all before it are stored, or given up for good.
    #[must_use]
    pub fn settled(&self) -> u64 {
        *self.shared.settled.borrow()
    }

    /// Queues the end of a call, to be stored in one transaction with its last events if they wait too, and
    /// waits until it is stored.
    ///
    /// # Errors
    /// [`NotStored`] when the database will never take it.
    pub async fn end(&self, call: CallId, closing: Closing) -> Result<(), NotStored> {
        let (done, settled) = oneshot::channel();
        self.shared.push(&mut self.shared.lock(), 1024, What::End(call, Box::new(closing), done));
        settled.await.unwrap_or(Err(NotStored))
    }

    /// Waits until everything queued so far is stored, or given up for good.
    pub async fn flush(&self) {
        let last = self.shared.lock().last;
        // The sender lives as long as `self.shared`.
        let _ = self.shared.settled.subscribe().wait_for(|settled| *settled >= last).await;
    }

    /// Stores everything queued so far and stops. While the database is away this waits for it: give it a
    /// time limit. Nothing may be written afterwards.
    pub async fn close(&self) {
        self.shared.lock().closing = true;
        self.shared.wake.notify_one();
        self.flush().await;
    }

    /// How it is doing.
    #[must_use]
    pub fn figures(&self) -> WriterFigures {
        let (queued, queued_bytes, oldest) = {
            let queue = self.shared.lock();
            (queue.count, queue.bytes as u64, queue.under_way.or(queue.waiting.front().map(|q| q.at)))
        };
        let lag = oldest.map_or(Duration::ZERO, |oldest| oldest.elapsed());
        WriterFigures {
            queued,
            queued_bytes,
            lag_ms: u64::try_from(lag.as_millis()).unwrap_or(u64::MAX),
            stored: self.shared.stored.load(Ordering::Relaxed),
            batches: self.shared.batches.load(Ordering::Relaxed),
            errors: self.shared.errors.load(Ordering::Relaxed),
            shed: self.shared.shed.load(Ordering::Relaxed),
            rejected: self.shared.rejected.load(Ordering::Relaxed),
        }
    }
}

/// About what a call's row takes up in memory.
const ROW: usize = 1024;

/// About what an event takes up in memory.
fn size_of_event(event: &CallEvent) -> usize {
    const FIXED: usize = 256;
    match &event.body {
        EventBody::Utterance(utterance) => {
            FIXED + utterance.text.len() + utterance.words.iter().map(|word| 64 + word.w.len()).sum::<usize>()
        }
        EventBody::CallStarted(_) | EventBody::Prompt(_) | EventBody::Checklist(_) => 4 * FIXED,
        EventBody::Entities(found) => {
            FIXED + found.entities.iter().map(|entity| 64 + entity.value.len()).sum::<usize>()
        }
        EventBody::Card(card) => size_of_card(card),
        EventBody::Step(step) => 2 * FIXED + step.document.len() + step.title.len() + step.text.len(),
        EventBody::CardHeldBack(held) => FIXED + held.query.len() + held.evidence.text.len(),
        _ => FIXED,
    }
}

/// The same of a card: most of it is what stands in a document.
fn size_of_card(card: &Card) -> usize {
    const FIXED: usize = 1024;
    let strings = |all: &[String]| all.iter().map(|one| 64 + one.len()).sum::<usize>();
    let held_back = card.held_back.iter().map(|one| {
        128 + one.title.len()
            + [&one.section, &one.roles, &one.teams].map(|all| strings(all)).iter().sum::<usize>()
    });
    let texts =
        [&card.document, &card.title, &card.text, &card.why.query, &card.evidence.text].map(String::len);
    let lists = [&card.section, &card.why.words, &card.roles, &card.teams].map(|all| strings(all));
    FIXED + texts.iter().chain(&lists).sum::<usize>() + held_back.sum::<usize>()
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // The queue is consistent at every step.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn takes_calls(&self, queue: &Queue) -> bool {
        queue.bytes + ROW <= self.limits.bytes
    }

    fn push(&self, queue: &mut Queue, bytes: usize, what: What) {
        if queue.finished {
            // Dropping an end's sender tells its caller.
            self.rejected.fetch_add(1, Ordering::Relaxed);
            return;
        }
        queue.bytes += bytes;
        queue.count += 1;
        queue.last += 1;
        // The task sleeps when nothing waits, or until enough does.
        let wake = queue.waiting.is_empty() || queue.waiting.len() + 1 == self.limits.batch;
        let end = matches!(what, What::End(..));
        queue.waiting.push_back(Queued { at: Instant::now(), bytes, what });
        if wake || end {
            self.wake.notify_one();
        }
    }

    /// When the batch that waits should be written: at once when it is large, or someone waits for it.
    fn due(&self, queue: &Queue) -> Option<Instant> {
        let oldest = queue.waiting.front()?.at;
        let hurry = queue.closing
            || queue.waiting.len() >= self.limits.batch
            || queue.waiting.iter().any(|queued| matches!(queued.what, What::End(..)));
        Some(if hurry { oldest } else { oldest + self.limits.linger })
    }

    /// Waits for a batch and takes it; `None` when there will be none.
    async fn next_batch(&self) -> Option<Vec<Queued>> {
        loop {
            let due = {
                let mut queue = self.lock();
                match self.due(&queue) {
                    Some(due) if due <= Instant::now() => {
                        let take = queue.waiting.len().min(self.limits.batch.max(1));
                        queue.under_way = queue.waiting.front().map(|queued| queued.at);
                        return Some(queue.waiting.drain(..take).collect());
                    }
                    None if queue.closing => {
                        queue.finished = true;
                        return None;
                    }
                    due => due,
                }
            };
            match due {
                Some(due) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(due) => {}
                        () = self.wake.notified() => {}
                    }
                }
                None => self.wake.notified().await,
            }
        }
    }
}

async fn run(sink: impl Sink, shared: Arc<Shared>) {
    while let Some(taken) = shared.next_batch().await {
        let bytes: usize = taken.iter().map(|queued| queued.bytes).sum();
        let count = taken.len() as u64;
        let mut batch = Batch::default();
        let mut waiting = Vec::new();
        for queued in taken {
            match queued.what {
                What::Begin(row) => batch.begins.push(*row),
                What::Event(call, event) => batch.events.push((call, event)),
                What::Redact(redaction) => batch.redactions.push(redaction),
                What::End(call, closing, done) => {
                    batch.ends.push((call, *closing));
                    waiting.push((call, done));
                }
            }
        }
        let refused = store_for_good(&sink, &batch, &shared).await;
        for (call, done) in waiting {
            let result = if refused.contains(&call) { Err(NotStored) } else { Ok(()) };
            // Whoever asked may have gone.
            let _ = done.send(result);
        }
        {
            let mut queue = shared.lock();
            queue.bytes = queue.bytes.saturating_sub(bytes);
            queue.count = queue.count.saturating_sub(count);
            queue.under_way = None;
            queue.reported = queue.reported && queue.bytes > shared.limits.bytes / 4;
        }
        shared.settled.send_modify(|settled| *settled += count);
    }
}

/// Stores a batch, however long it takes. Returns the calls whose writes the database will never take.
async fn store_for_good(sink: &impl Sink, batch: &Batch, shared: &Shared) -> Vec<CallId> {
    match store_patiently(sink, batch, shared).await {
        Ok(()) => Vec::new(),
        Err(_) => {
            // Something in it is at fault: find whose it is, so that nobody else suffers.
            let mut refused = Vec::new();
            for (call, batch) in batch.by_call() {
                if let Err(error) = store_patiently(sink, &batch, shared).await {
                    let lost = batch.len() as u64;
                    shared.rejected.fetch_add(lost, Ordering::Relaxed);
                    tracing::error!(%call, writes = lost, %error, "the database refuses what a call says");
                    refused.push(call);
                }
            }
            refused
        }
    }
}

/// Commits, and tries again while the database is away. Fails only for good.
async fn store_patiently(sink: &impl Sink, batch: &Batch, shared: &Shared) -> Result<(), StoreError> {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(2);
    let mut pause = FIRST;
    loop {
        match sink.commit(batch).await {
            Ok(()) => {
                shared.stored.fetch_add(batch.len() as u64, Ordering::Relaxed);
                shared.batches.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            Err(error) if error.is_permanent() => return Err(error),
            Err(error) => {
                shared.errors.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, "could not store events, trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sotto_call::{CallEnded, CallLog, Dtmf, EndReason, Millis, Party, Utterance};

    use super::*;

    /// A database that answers as it is told, and remembers what it took.
    #[derive(Clone, Default)]
    struct Fake {
        answers: Arc<Mutex<VecDeque<StoreError>>>,
        took: Arc<Mutex<Vec<(CallId, u64)>>>,
        commits: Arc<Mutex<Vec<usize>>>,
        hostage: Arc<Mutex<Option<CallId>>>,
        /// Held by a test to make a commit take as long as it likes.
        gate: Arc<tokio::sync::RwLock<()>>,
    }

    impl Fake {
        fn failing(answers: impl IntoIterator<Item = StoreError>) -> Self {
            Self { answers: Arc::new(Mutex::new(answers.into_iter().collect())), ..Self::default() }
        }
    }

    impl Sink for Fake {
        async fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
            let _open = self.gate.read().await;
            if let Some(error) = self.answers.lock().unwrap().pop_front() {
                return Err(error);
            }
            let hostage = *self.hostage.lock().unwrap();
            if let Some((call, event)) = batch.events.iter().find(|(call, _)| Some(*call) == hostage) {
                return Err(StoreError::Conflict { call: *call, seq: event.seq });
            }
            self.took.lock().unwrap().extend(batch.events.iter().map(|(call, event)| (*call, event.seq)));
            self.commits.lock().unwrap().push(batch.events.len());
            Ok(())
        }
    }

    fn away() -> StoreError {
        StoreError::Database(sqlx::Error::PoolTimedOut)
    }

    fn event(seq: u64) -> Arc<CallEvent> {
        let body = EventBody::Dtmf(Dtmf { party: Party::Agent, digit: '5', duration_ms: Millis(100) });
        Arc::new(CallLog::after(seq - 1, Millis(0)).append(Millis(seq), body))
    }

    fn utterance(seq: u64, r#final: bool) -> Arc<CallEvent> {
        let said = sotto_call::testing::utterance(1, Party::Customer, &"word ".repeat(100));
        let body = EventBody::Utterance(Utterance { r#final, ..said });
        Arc::new(CallLog::after(seq - 1, Millis(0)).append(Millis(seq), body))
    }

    fn closing() -> Closing {
        let ended = CallEnded { reason: EndReason::Hangup, duration_ms: Millis(1) };
        Closing { ended, utterances: 0, last: None, participants: None }
    }

    #[tokio::test(start_paused = true)]
    async fn events_wait_for_company_but_never_long() {
        let database = Fake::default();
        let writer = EventWriter::start(database.clone(), WriterLimits::default());
        let call = CallId::new();
        for seq in 1..=10 {
            writer.write(call, event(seq));
            tokio::time::advance(Duration::from_millis(30)).await;
            assert!(writer.figures().lag_ms <= 120, "{:?}", writer.figures());
        }
        writer.flush().await;
        assert_eq!(*database.took.lock().unwrap(), (1..=10).map(|seq| (call, seq)).collect::<Vec<_>>());
        let commits = database.commits.lock().unwrap().len();
        assert!((2..=6).contains(&commits), "{commits} transactions");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_lost_while_the_database_is_away() {
        let database = Fake::failing((0..20).map(|_| away()));
        let writer = EventWriter::start(database.clone(), WriterLimits::default());
        let call = CallId::new();
        for seq in 1..=50 {
            writer.write(call, event(seq));
            tokio::time::advance(Duration::from_millis(200)).await;
        }
        let figures = writer.figures();
        assert!(figures.errors > 0 && figures.queued > 0 && figures.lag_ms > 1000, "{figures:?}");
        writer.end(call, closing()).await.unwrap();
        assert_eq!(*database.took.lock().unwrap(), (1..=50).map(|seq| (call, seq)).collect::<Vec<_>>());
        let figures = writer.figures();
        assert_eq!((figures.queued, figures.queued_bytes, figures.lag_ms), (0, 0, 0));
        assert_eq!((figures.errors, figures.stored, figures.shed, figures.rejected), (20, 51, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_words_outlive_partials() {
        let database = Fake::default();
        let writer =
            EventWriter::start(database.clone(), WriterLimits { bytes: 100_000, ..WriterLimits::default() });
        let call = CallId::new();
        let shut = database.gate.write().await;
        let mut kept = Vec::new();
        for seq in 1..=1000 {
            let before = writer.figures().shed;
            // One final for every three partials.
            writer.write(call, utterance(seq, seq % 4 == 0));
            if writer.figures().shed == before {
                kept.push((call, seq));
            }
        }
        let figures = writer.figures();
        assert!(figures.queued_bytes <= 100_000 && figures.shed > 0, "{figures:?}");
        assert!(kept.iter().rev().take(20).all(|(_, seq)| seq % 4 == 0), "partials go first");
        let row = CallRow::live(
            call,
            &sotto_call::CallStarted {
                version: 1,
                source: sotto_call::Source::Sip,
                started_at_unix_ms: 0,
                external_id: String::new(),
                participants: Vec::new(),
                language: None,
                bridged: false,
                parties_guessed: false,
                headers: Default::default(),
            },
            None,
        );
        assert_eq!((writer.begin(row.clone()), writer.takes_calls()), (Err(Full), false));
        let ended = sotto_call::CallEnded { reason: sotto_call::EndReason::Hangup, duration_ms: Millis(9) };
        let ended = CallEvent { seq: 1_000, at_ms: Millis(9), body: EventBody::CallEnded(ended) };
        assert_ne!(writer.write(call, Arc::new(ended)), 0, "or it would look live for ever");
        kept.push((call, 1_000));
        drop(shut);
        writer.flush().await;
        assert_eq!(*database.took.lock().unwrap(), kept);
        assert_eq!((writer.takes_calls(), writer.begin(row)), (true, Ok(())));
        writer.write(call, utterance(1001, false));
        assert_eq!(writer.figures().shed, figures.shed, "room again");
    }

    #[test]
    fn a_card_counts_with_all_that_is_written_in_it() {
        let said = sotto_call::testing::utterance(1, Party::Customer, "how?");
        let small = sotto_call::testing::card("refunds.md", &said);
        let held = small.clone().held_back(sotto_call::CardHeldBackBecause::NotSure);
        let held = sotto_call::CardHeldBack { section: vec!["x".repeat(1_000); 6], ..held };
        let (text, section) = ("x".repeat(5_000), vec!["x".repeat(1_000); 6]);
        let large = Card { text, section, held_back: vec![held; 4], ..small.clone() };
        let size = |card: Card| {
            let json = serde_json::to_string(&card).unwrap().len();
            let body = EventBody::Card(Box::new(card));
            (size_of_event(&CallEvent { seq: 1, at_ms: Millis(1), body }), json)
        };
        for (counted, written) in [size(small), size(large)] {
            assert!(counted >= written && counted < 2 * written + 2_048, "{counted} for {written}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_never_be_stored_is_given_up_alone() {
        let database = Fake::default();
        let writer = EventWriter::start(database.clone(), WriterLimits::default());
        let (good, bad) = (CallId::new(), CallId::new());
        *database.hostage.lock().unwrap() = Some(bad);
        for seq in 1..=3 {
            writer.write(good, event(seq));
            writer.write(bad, event(seq));
        }
        let (a, b) = tokio::join!(writer.end(good, closing()), writer.end(bad, closing()));
        assert_eq!((a, b), (Ok(()), Err(NotStored)));
        assert_eq!(*database.took.lock().unwrap(), [(good, 1), (good, 2), (good, 3)]);
        assert_eq!(writer.figures().rejected, 4);
    }

    #[tokio::test(start_paused = true)]
    async fn closing_stores_what_waits_and_then_takes_nothing() {
        let database = Fake::failing([away()]);
        let writer = EventWriter::start(database.clone(), WriterLimits::default());
        let call = CallId::new();
        writer.write(call, event(1));
        writer.close().await;
        assert_eq!(*database.took.lock().unwrap(), [(call, 1)]);
        // The task may still be on its way out; whichever way it is, nobody waits for ever.
        tokio::task::yield_now().await;
        writer.write(call, event(2));
        assert_eq!(writer.end(call, closing()).await, Err(NotStored));
        writer.flush().await;
    }
}
