//! Who did what that somebody may ask about later: kept in the store, and told to the program's log.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sotto_call::CallId;
use sotto_store::{AuditRow, Store};
use tokio::sync::mpsc;

use crate::pace::Pace;

/// Records that wait for a database that is away; more are told to the program's log alone.
const WAITING: usize = 4_096;
/// How long until a database that is away is asked again.
const PATIENCE: Duration = Duration::from_secs(1);
/// Characters of a detail, which may come from outside.
const LONGEST_DETAIL: usize = 500;
/// Refusals of one person, or one key, that are noted within [`REFUSED_WITHIN`].
const MOST_REFUSED: usize = 40;
const REFUSED_WITHIN: Duration = Duration::from_secs(3_600);
/// What is remembered to be noted once; who does more than that is noted again.
const MOST_REMEMBERED: usize = 100_000;

/// A detail as it is kept.
#[must_use]
pub fn detail(text: &str) -> String {
    text.chars().take(LONGEST_DETAIL).collect()
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Audit {
    tell: mpsc::Sender<AuditRow>,
    lost: Arc<AtomicU64>,
    refusals: Arc<Pace>,
}

impl Audit {
    /// Keeps records in `store`. Must be called within a Tokio runtime.
    #[must_use]
    pub fn keep_in(store: Store) -> Self {
        let (tell, mut told) = mpsc::channel::<AuditRow>(WAITING);
        tokio::spawn(async move {
            while let Some(row) = told.recv().await {
                while let Err(error) = store.add_audit(&row).await {
                    tracing::warn!(%error, "a record of the audit waits for the database");
                    tokio::time::sleep(PATIENCE).await;
                }
            }
        });
        Self::told_by(tell)
    }

    /// Tells the program's log alone.
    #[must_use]
    pub fn to_log_only() -> Self {
        Self::told_by(mpsc::channel(1).0)
    }

    fn told_by(tell: mpsc::Sender<AuditRow>) -> Self {
        Self { tell, lost: Arc::default(), refusals: Arc::new(Pace::new(MOST_REFUSED, REFUSED_WITHIN)) }
    }

    /// Notes that `who` did not get what they asked for, unless they go on and on, on however many connections: nobody
    /// fills the database.
    pub fn refused(&self, who: &str, call: Option<CallId>, why: &str) {
        if self.refusals.admits(who) {
            self.note(who, "refused", call, why);
        }
    }

    /// Notes that `who` did something.
    pub fn note(&self, who: &str, what: &str, call: Option<CallId>, detail: &str) {
        tracing::info!(target: "audit", who, what, call = call.map(tracing::field::display), detail);
        let row = AuditRow {
            id: uuid::Uuid::now_v7(),
            at_unix_ms: crate::cli::now_unix_ms(),
            who: who.to_owned(),
            what: what.to_owned(),
            call,
            detail: self::detail(detail),
        };
        if self.tell.try_send(row).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Records that are in the program's log alone.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// What was noted of somebody, to note each once. In memory: after a restart it may be noted again.
#[derive(Debug, Default)]
pub struct Once<T>(Mutex<BTreeSet<(String, T)>>);

impl<T: Ord> Once<T> {
    /// Whether this was not noted of `who` before; from now on it was.
    pub fn is_new(&self, who: &str, what: T) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_REMEMBERED {
            known.clear();
        }
        known.insert((who.to_owned(), what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_is_refused_again_and_again_is_noted_so_often_an_hour() {
        let (tell, mut told) = mpsc::channel(1_000);
        let audit = Audit::told_by(tell);
        let mut noted = |who: &str| {
            (0..100).for_each(|_| audit.refused(who, None, "not yours"));
            std::iter::from_fn(|| told.try_recv().ok()).filter(|row| row.who == who).count()
        };
        assert_eq!((noted("mina"), noted("mina"), noted("omid")), (MOST_REFUSED, 0, MOST_REFUSED));
        tokio::time::advance(REFUSED_WITHIN).await;
        assert_eq!(noted("mina"), MOST_REFUSED);
    }
}
