//! How often something may be done, and when what failed is tried again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Names up to which it is not looked who did nothing of late.
const NAMES: usize = 1_024;

/// How long until something is tried again that has failed so often in a row: `first` or so, twice as long after each further
/// failure, and at most about `longest`. Not all at once, when many failed together.
#[must_use]
pub fn pause(failures: u32, first: Duration, longest: Duration) -> Duration {
    let pause = first.saturating_mul(1 << failures.saturating_sub(1).min(30));
    pause.min(longest).mul_f64(rand::random_range(0.5..1.5))
}

/// Lets each of those who have a name do something so often within a time, and not more often.
#[derive(Debug)]
pub struct Pace {
    most: usize,
    within: Duration,
    /// When they did it, the latest last.
    recent: Mutex<HashMap<String, VecDeque<Instant>>>,
}

impl Pace {
    /// `most` times within `within` each.
    #[must_use]
    pub fn new(most: usize, within: Duration) -> Self {
        Self { most, within, recent: Mutex::default() }
    }

    /// Whether `who` may do it once more now. It then counts as done. Kept is only who did it lately.
    #[must_use]
    pub fn admits(&self, who: &str) -> bool {
        let now = Instant::now();
        let is_past = |at: &Instant| now.duration_since(*at) >= self.within;
        let mut all = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= NAMES {
            all.retain(|_, recent| recent.back().is_some_and(|at| !is_past(at)));
        }
        let recent = all.entry(who.to_owned()).or_default();
        while recent.front().is_some_and(is_past) {
            recent.pop_front();
        }
        let admitted = recent.len() < self.most;
        if admitted {
            recent.push_back(now);
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit() {
        let (first, longest) = (Duration::from_secs(2), Duration::from_secs(60));
        for (failures, usual) in [(0, 2), (1, 2), (2, 4), (3, 8), (6, 60), (u32::MAX, 60)] {
            let (usual, pause) = (Duration::from_secs(usual), pause(failures, first, longest));
            assert!(pause >= usual / 2 && pause < usual * 3 / 2, "{failures}: {pause:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_done_too_often_has_to_wait() {
        let pace = Pace::new(2, Duration::from_secs(10));
        assert_eq!(["mina", "mina", "mina"].map(|who| pace.admits(who)), [true, true, false]);
        assert!(pace.admits("omid"), "nobody waits for another");
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(!pace.admits("mina"));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(["mina", "mina", "mina"].map(|who| pace.admits(who)), [true, true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_did_nothing_of_late_is_forgotten() {
        let pace = Pace::new(2, Duration::from_secs(10));
        for n in 0..10 * NAMES {
            assert!(pace.admits(&format!("{n}")));
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert!(pace.recent.lock().unwrap().len() <= NAMES);
    }
}
