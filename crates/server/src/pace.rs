//! How often something may be done.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lets something be done so often within a time, and not more often.
#[derive(Debug)]
pub struct Pace {
    most: usize,
    within: Duration,
    recent: Mutex<VecDeque<Instant>>,
}

impl Pace {
    /// `most` times within `within`.
    #[must_use]
    pub fn new(most: usize, within: Duration) -> Self {
        Self { most, within, recent: Mutex::default() }
    }

    /// Whether it may be done once more now. It then counts as done.
    #[must_use]
    pub fn admits(&self) -> bool {
        let now = Instant::now();
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        while recent.front().is_some_and(|at| now.duration_since(*at) >= self.within) {
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

    #[tokio::test(start_paused = true)]
    async fn what_is_done_too_often_has_to_wait() {
        let pace = Pace::new(2, Duration::from_secs(10));
        assert_eq!([pace.admits(), pace.admits(), pace.admits()], [true, true, false]);
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(!pace.admits());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!([pace.admits(), pace.admits(), pace.admits()], [true, true, false]);
    }
}
