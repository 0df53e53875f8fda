//! Decodes that wait for a worker: earliest deadline first.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::leg::{Job, Purpose, Ticket};

/// Threads of a decode that leads to a final while nothing else is decoded: seven tenths of the time of one (measured).
const THREADS_ALONE: usize = 2;

/// Names a leg within the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LegKey(pub u64);

/// What a worker decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// What is being said.
    Words,
    /// What was said, once more.
    Revisions,
}

impl Role {
    fn of(purpose: Purpose) -> Self {
        if purpose == Purpose::Revision { Self::Revisions } else { Self::Words }
    }

    fn takes(self, purpose: Purpose) -> bool {
        self == Self::of(purpose)
    }
}

/// A decode and when it should be done.
pub(crate) struct Pending {
    pub leg: LegKey,
    pub job: Job,
    /// Somebody talks, and whoever follows waits for it. What does not need to hurry gives way to that.
    pub live: bool,
    /// It has failed, and is tried once more.
    pub again: bool,
    pub queued: Instant,
    pub due: Instant,
}

/// A decode that a worker is at.
struct Running {
    leg: LegKey,
    ticket: Ticket,
    purpose: Purpose,
    live: bool,
    give_up: Arc<AtomicBool>,
    /// It was given up for something live.
    gave_way: bool,
}

#[derive(Default)]
struct Inner {
    waiting: Vec<Pending>,
    running: Vec<Running>,
    most_revisions: usize,
    closed: bool,
}

impl Inner {
    fn running_as(&self, role: Role) -> usize {
        let running = self.running.iter().filter(|running| role.takes(running.purpose));
        running.filter(|running| !running.gave_way).count()
    }

    /// Whether live calls leave room for what need not hurry: nothing of theirs waits, and while something of theirs is decoded
    /// one worker is kept free for more.
    fn has_room_beside_live(&self, role: Role, workers: usize) -> bool {
        let waits = self.waiting.iter().any(|pending| pending.live && role.takes(pending.job.purpose));
        let runs = self.running.iter().any(|running| running.live && role.takes(running.purpose));
        !waits && (!runs || self.running_as(role) + 1 < workers)
    }

    /// Gives up what need not hurry where something that leads to a final would otherwise be decoded on the last free worker, or
    /// wait for one.
    fn give_way(&mut self, pending: &Pending, workers: usize) {
        let role = Role::of(pending.job.purpose);
        if !pending.live || !pending.job.purpose.is_final() || self.running_as(role) + 1 < workers {
            return;
        }
        for running in self.running.iter_mut().filter(|running| !running.live) {
            // One that was given up before is wanted no more.
            running.gave_way |= !running.give_up.swap(true, Relaxed);
        }
    }

    /// One of several workers is kept free of partials: a final does not wait for one, and while more people speak than
    /// there are processors partials become rarer by themselves.
    fn may_begin(&self, purpose: Purpose, workers: usize) -> bool {
        let running = || self.running.iter().filter(|running| running.purpose == purpose).count();
        match purpose {
            Purpose::Candidate | Purpose::Final => true,
            Purpose::Partial => running() < workers.saturating_sub(1).max(1),
            Purpose::Revision => running() < self.most_revisions,
        }
    }
}

/// See the module.
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    changed: Condvar,
    workers: usize,
}

impl Queue {
    /// For `workers` threads of each role.
    pub(crate) fn new(workers: usize) -> Self {
        let queue = Self { inner: Mutex::default(), changed: Condvar::new(), workers };
        queue.expect_speech(true);
        queue
    }

    /// While someone may speak, one of several processors is kept free of revisions.
    pub(crate) fn expect_speech(&self, expected: bool) {
        let most = if expected { self.workers.saturating_sub(1).max(1) } else { self.workers };
        let mut inner = self.lock();
        if std::mem::replace(&mut inner.most_revisions, most) < most {
            drop(inner);
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, pending: Pending) {
        let mut inner = self.lock();
        inner.give_way(&pending, self.workers);
        inner.waiting.push(pending);
        drop(inner);
        self.changed.notify_all();
    }

    /// The next decode for a worker of this role, and on how many threads; waits for one. `None` once the queue is closed
    /// and has none. `give_up` becomes true when the decode is of no use any more.
    ///
    /// One thread each, so that decodes do not wait for each other's. Only what somebody waits for, when nothing else that
    /// is being said is decoded, may have a second one.
    pub(crate) fn pop(&self, role: Role, give_up: &Arc<AtomicBool>) -> Option<(Pending, usize)> {
        let mut inner = self.lock();
        loop {
            let begins = |purpose| role.takes(purpose) && inner.may_begin(purpose, self.workers);
            let has_room = inner.has_room_beside_live(role, self.workers);
            let next = (inner.waiting.iter().enumerate())
                .filter(|(_, pending)| begins(pending.job.purpose) && (pending.live || has_room))
                .min_by_key(|(_, pending)| pending.due)
                .map(|(at, _)| at);
            if let Some(at) = next {
                let pending = inner.waiting.swap_remove(at);
                let Job { ticket, purpose, .. } = pending.job;
                give_up.store(false, Relaxed);
                inner.running.push(Running {
                    leg: pending.leg,
                    ticket,
                    purpose,
                    live: pending.live,
                    give_up: Arc::clone(give_up),
                    gave_way: false,
                });
                // Nothing live waits for what need not hurry, nor shares the processors with it for long.
                let counts = |other: &Pending| other.live || !pending.live;
                let waits = inner.waiting.iter().any(|other| role.takes(other.job.purpose) && counts(other));
                let is_alone = inner.running_as(role) == 1 && !waits;
                let threads = match is_alone && purpose.is_final() {
                    true => self.workers.clamp(1, THREADS_ALONE),
                    false => 1,
                };
                return Some((pending, threads));
            }
            if inner.closed {
                return None;
            }
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Must follow every [`pop`](Self::pop). True when it was given up for something live: then it is to be pushed once more.
    pub(crate) fn done(&self, leg: LegKey, ticket: Ticket) -> bool {
        let mut inner = self.lock();
        let done = |running: &mut Running| (running.leg, running.ticket) == (leg, ticket);
        let gave_way = inner.running.extract_if(.., done).any(|running| running.gave_way);
        drop(inner);
        // There may be room for a partial or a revision now.
        self.changed.notify_all();
        gave_way
    }

    /// Takes a decode back if it has not begun.
    pub(crate) fn take_back(&self, leg: LegKey, ticket: Ticket) {
        self.lock().waiting.retain(|p| (p.leg, p.job.ticket) != (leg, ticket));
    }

    /// The same, and if it has begun it is given up.
    pub(crate) fn forget(&self, leg: LegKey, ticket: Ticket) {
        self.take_back(leg, ticket);
        let inner = self.lock();
        for running in inner.running.iter().filter(|running| (running.leg, running.ticket) == (leg, ticket)) {
            running.give_up.store(true, Relaxed);
        }
    }

    /// Takes back every waiting decode that `unwanted` names.
    pub(crate) fn take(&self, unwanted: impl Fn(&Pending) -> bool) -> Vec<Pending> {
        let mut inner = self.lock();
        let (gone, kept) = std::mem::take(&mut inner.waiting).into_iter().partition(|p| unwanted(p));
        inner.waiting = kept;
        gone
    }

    /// How late the most overdue decode that leads to a final is, and how many decodes wait.
    pub(crate) fn lateness(&self, now: Instant) -> (Duration, usize) {
        let inner = self.lock();
        let urgent = inner.waiting.iter().filter(|p| p.live && p.job.purpose.is_final());
        let late = urgent.map(|p| now.saturating_duration_since(p.due)).max().unwrap_or_default();
        (late, inner.waiting.len())
    }

    /// Lets the workers finish what waits, then stop.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::whisper::Effort;

    fn pending(purpose: Purpose) -> Pending {
        let (queued, due) = (Instant::now(), Instant::now());
        let job = Job {
            ticket: Ticket(purpose as u64),
            purpose,
            samples: Arc::from([]),
            language: None,
            effort: Effort::Quick,
        };
        Pending { leg: LegKey(0), job, live: true, again: false, queued, due }
    }

    #[test]
    fn only_a_final_that_is_alone_gets_a_second_thread() {
        let threads = |queue: &Queue| queue.pop(Role::Words, &Arc::default()).unwrap().1;
        let done = |queue: &Queue, purpose: Purpose| queue.done(LegKey(0), Ticket(purpose as u64));
        let queue = Queue::new(2);
        queue.push(pending(Purpose::Partial));
        assert_eq!(threads(&queue), 1, "a partial comes every second");
        queue.push(pending(Purpose::Candidate));
        assert_eq!(threads(&queue), 1, "the other worker is at work");
        done(&queue, Purpose::Partial);
        done(&queue, Purpose::Candidate);
        queue.push(pending(Purpose::Candidate));
        queue.push(pending(Purpose::Final));
        assert_eq!(threads(&queue), 1, "the other worker is about to be");
        done(&queue, Purpose::Candidate);
        queue.push(pending(Purpose::Revision));
        let revision = queue.pop(Role::Revisions, &Arc::default()).unwrap();
        assert_eq!(revision.1, 1, "nobody waits for it");
        assert_eq!(threads(&queue), 2, "a revision is in nobody's way");
        let single = Queue::new(1);
        single.push(pending(Purpose::Final));
        assert_eq!(threads(&single), 1);
    }

    #[test]
    fn what_need_not_hurry_gives_way_to_what_is_being_said_and_is_done_afterwards() {
        let queue = Queue::new(2);
        let unhurried = || Pending { leg: LegKey(9), live: false, ..pending(Purpose::Final) };
        let give_up = Arc::default();
        queue.push(unhurried());
        let (given_up, _) = queue.pop(Role::Words, &give_up).unwrap();
        queue.push(pending(Purpose::Partial));
        assert!(!give_up.load(Relaxed), "there is another worker for that");
        assert_eq!(queue.pop(Role::Words, &Arc::default()).unwrap().0.job.purpose, Purpose::Partial);
        queue.done(LegKey(0), Ticket(Purpose::Partial as u64));
        queue.push(pending(Purpose::Final));
        assert!(give_up.load(Relaxed));
        let (live, threads) = queue.pop(Role::Words, &Arc::default()).unwrap();
        assert_eq!((live.leg, threads), (LegKey(0), 2), "as if it were alone");
        assert!(queue.done(given_up.leg, given_up.job.ticket), "it is to be done once more");
        queue.push(given_up);
        queue.close();
        assert!(queue.pop(Role::Words, &Arc::default()).is_none(), "one worker is kept for live calls");
        assert!(!queue.done(live.leg, live.job.ticket));
        assert_eq!(queue.pop(Role::Words, &Arc::default()).unwrap().0.leg, LegKey(9));
    }

    #[test]
    fn what_need_not_hurry_does_not_begin_while_something_live_waits_and_makes_nothing_late() {
        let queue = Queue::new(4);
        let unhurried = |leg: u64| Pending { leg: LegKey(leg), live: false, ..pending(Purpose::Final) };
        queue.push(unhurried(9));
        assert_eq!(queue.lateness(Instant::now() + Duration::from_secs(99)), (Duration::ZERO, 1));
        queue.push(Pending { due: Instant::now() + Duration::from_secs(60), ..pending(Purpose::Final) });
        let next = || queue.pop(Role::Words, &Arc::default()).unwrap().0.leg;
        assert_eq!([next(), next()], [LegKey(0), LegKey(9)], "though it is due later");
    }

    #[test]
    fn a_final_does_not_wait_for_partials() {
        let queue = Queue::new(3);
        let partial = |leg: u64| Pending { leg: LegKey(leg), ..pending(Purpose::Partial) };
        (0..3).for_each(|leg| queue.push(partial(leg)));
        let next = || queue.pop(Role::Words, &Arc::default()).map(|(p, _)| (p.job.purpose, p.leg));
        assert_eq!([next(), next()], [0, 1].map(|leg| Some((Purpose::Partial, LegKey(leg)))));
        queue.push(Pending { due: Instant::now() + Duration::from_secs(60), ..pending(Purpose::Final) });
        assert_eq!(next(), Some((Purpose::Final, LegKey(0))), "though it is due later");
        queue.done(LegKey(1), Ticket(Purpose::Partial as u64));
        assert_eq!(next(), Some((Purpose::Partial, LegKey(2))));
        let single = Queue::new(1);
        single.push(partial(0));
        assert!(single.pop(Role::Words, &Arc::default()).is_some());
    }

    #[test]
    fn what_is_of_no_use_any_more_is_not_begun_or_given_up() {
        let queue = Queue::new(2);
        let (give_up, other) = (Arc::default(), Arc::default());
        for purpose in [Purpose::Partial, Purpose::Candidate, Purpose::Final] {
            queue.push(pending(purpose));
        }
        let words = |give_up| queue.pop(Role::Words, give_up).unwrap().0.job.ticket;
        let [partial, candidate] = [&give_up, &other].map(words);
        queue.take_back(LegKey(0), partial);
        assert!(!give_up.load(Relaxed), "it has begun");
        queue.take_back(LegKey(0), Ticket(Purpose::Final as u64));
        queue.forget(LegKey(0), partial);
        queue.forget(LegKey(1), candidate);
        assert_eq!([&give_up, &other].map(|give_up| give_up.load(Relaxed)), [true, false]);
        queue.done(LegKey(0), partial);
        queue.push(pending(Purpose::Partial));
        assert_eq!(
            queue.pop(Role::Words, &give_up).unwrap().0.job.purpose,
            Purpose::Partial,
            "the final was taken back"
        );
        assert!(!give_up.load(Relaxed), "the next is not");
    }

    #[test]
    fn what_is_due_first_comes_first_and_while_someone_may_speak_a_processor_is_free_of_revisions() {
        let queue = Queue::new(2);
        let now = Instant::now();
        let push = |purpose: Purpose, due: u64| {
            queue.push(Pending { due: now + Duration::from_secs(due), ..pending(purpose) });
        };
        let next = |role: Role| queue.pop(role, &Arc::default()).map(|(pending, _)| pending.job.purpose);
        push(Purpose::Revision, 1);
        push(Purpose::Partial, 4);
        push(Purpose::Revision, 2);
        push(Purpose::Final, 3);
        assert_eq!([next(Role::Words), next(Role::Words)], [Some(Purpose::Final), Some(Purpose::Partial)]);
        assert_eq!(next(Role::Revisions), Some(Purpose::Revision));
        queue.close();
        assert_eq!(next(Role::Revisions), None, "somebody may speak, and one is under way");
        queue.expect_speech(false);
        assert_eq!(next(Role::Revisions), Some(Purpose::Revision), "nobody speaks");
        let late = queue.lateness(now + Duration::from_secs(9));
        assert_eq!(late, (Duration::ZERO, 0), "nothing waits");
    }
}
