//! How often a server is asked.

use std::time::Duration;

/// Questions a minute, evenly, with a few at once: the generic cell rate algorithm (ITU-T I.371, annex A). Times are
/// from any beginning.
#[derive(Clone, Debug)]
pub struct Rate {
    every: Duration,
    /// How far the next may be ahead of its time.
    tolerance: Duration,
    /// When the next would come if all came evenly.
    next: Duration,
}

/// The part of a minute whose questions may come at once.
const AT_ONCE: u32 = 6;

impl Rate {
    /// So many a minute; 0 for any number.
    #[must_use]
    pub fn new(per_minute: u32) -> Self {
        let every = Duration::from_secs(60).checked_div(per_minute).unwrap_or_default();
        Self { every, tolerance: every * (per_minute / AT_ONCE).saturating_sub(1), next: Duration::ZERO }
    }

    /// How long to wait before one more is asked, which is booked then; none, and nothing booked, where that is longer
    /// than `patience`.
    pub fn book(&mut self, now: Duration, patience: Duration) -> Option<Duration> {
        let wait = self.next.saturating_sub(self.tolerance).saturating_sub(now);
        if wait > patience {
            return None;
        }
        self.next = self.next.max(now) + self.every;
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_few_come_at_once_and_the_rest_evenly() {
        let mut rate = Rate::new(12);
        let mut book = |at: u32| rate.book(SECOND * at, SECOND * 5);
        assert_eq!(
            [book(0), book(0), book(0)],
            [Some(Duration::ZERO), Some(Duration::ZERO), Some(SECOND * 5)]
        );
        assert_eq!(book(0), None);
        assert_eq!(book(5), Some(SECOND * 5));
        let mut any = Rate::new(0);
        assert!((0..1_000).all(|_| any.book(SECOND, Duration::ZERO) == Some(Duration::ZERO)));
    }

    proptest! {
        #[test]
        fn no_minute_has_more_than_it_may(
            per_minute in 1u32..200,
            gaps in proptest::collection::vec(0u64..3_000, 1..300),
        ) {
            let mut rate = Rate::new(per_minute);
            let (mut now, mut asked) = (Duration::ZERO, Vec::new());
            for gap in gaps {
                now += Duration::from_millis(gap);
                if let Some(wait) = rate.book(now, SECOND * 20) {
                    prop_assert!(wait <= SECOND * 20);
                    asked.push(now + wait);
                }
            }
            for begin in &asked {
                let within = asked.iter().filter(|at| (*begin..*begin + SECOND * 60).contains(*at)).count();
                prop_assert!(within <= (per_minute + per_minute / AT_ONCE).max(1) as usize + 1);
            }
        }
    }
}
