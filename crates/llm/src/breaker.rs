//! A server that is down is left alone.

use std::time::Duration;

/// Failures in a row after which a server is not asked for a while.
const FAILURES: u32 = 5;
/// How long it is not asked.
const REST: Duration = Duration::from_secs(30);
/// The longest rest that a server is believed to need.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Counts failures in a row. Times are from any beginning.
#[derive(Clone, Debug, Default)]
pub struct Breaker {
    failures: u32,
    /// Until when nobody asks.
    rests_until: Option<Duration>,
    /// Until when it has told that it is not to be asked.
    told_until: Duration,
}

/// How a server is thought of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is asked.
    Closed,
    /// It has had its rest, and one question will tell.
    HalfOpen,
    /// It is not asked.
    Open,
}

impl Breaker {
    /// Whether to ask now. After a rest one question is let through; the next only after another rest, unless
    /// that one succeeds. So one that never comes back holds up nobody.
    ///
    /// # Errors
    /// How long there is still to wait.
    pub fn admit(&mut self, now: Duration) -> Result<(), Duration> {
        if now < self.told_until {
            return Err(self.told_until - now);
        }
        match self.rests_until {
            None => Ok(()),
            Some(until) if now < until => Err(until - now),
            Some(_) => {
                self.rests_until = Some(now + REST);
                Ok(())
            }
        }
    }

    /// It has answered.
    pub fn succeeded(&mut self) {
        // What was under way before may be answered while it rests.
        *self = Self { told_until: self.told_until, ..Self::default() };
    }

    /// It has told how long it is not to be asked (`Retry-After`).
    pub fn told(&mut self, now: Duration, rest: Duration) {
        self.told_until = self.told_until.max(now + rest.min(LONGEST));
    }

    /// It has not answered, or with nonsense.
    pub fn failed(&mut self, now: Duration) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES {
            self.rests_until = Some(now + REST);
        }
    }

    /// How it is thought of now.
    #[must_use]
    pub fn standing(&self, now: Duration) -> Standing {
        match self.rests_until {
            _ if now < self.told_until => Standing::Open,
            None => Standing::Closed,
            Some(until) if now < until => Standing::Open,
            Some(_) => Standing::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn after_failures_in_a_row_one_question_tells() {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES - 1 {
            breaker.failed(SECOND);
        }
        breaker.succeeded();
        for _ in 0..FAILURES {
            assert_eq!((breaker.standing(SECOND), breaker.admit(SECOND)), (Standing::Closed, Ok(())));
            breaker.failed(SECOND);
        }
        assert_eq!(breaker.admit(SECOND * 11), Err(SECOND * 20));
        assert_eq!(breaker.standing(SECOND * 31), Standing::HalfOpen);
        assert_eq!([breaker.admit(SECOND * 31), breaker.admit(SECOND * 32)], [Ok(()), Err(SECOND * 29)]);
        breaker.failed(SECOND * 40);
        assert_eq!(breaker.admit(SECOND * 69), Err(SECOND));
        assert_eq!(breaker.admit(SECOND * 70), Ok(()));
        breaker.succeeded();
        assert_eq!(breaker.standing(SECOND * 71), Standing::Closed);
    }

    #[test]
    fn a_server_is_left_alone_for_as_long_as_it_tells_within_reason() {
        let mut breaker = Breaker::default();
        breaker.told(SECOND, SECOND * 60);
        breaker.told(SECOND, SECOND * 5);
        breaker.succeeded();
        assert_eq!(
            (breaker.admit(SECOND * 2), breaker.standing(SECOND * 2)),
            (Err(SECOND * 59), Standing::Open)
        );
        assert_eq!((breaker.admit(SECOND * 61), breaker.standing(SECOND * 61)), (Ok(()), Standing::Closed));
        breaker.told(SECOND * 61, Duration::MAX);
        assert_eq!(breaker.admit(SECOND * 61), Err(LONGEST));
    }

    proptest! {
        #[test]
        fn a_server_that_is_down_is_asked_once_a_rest(gaps in proptest::collection::vec(0u64..20_000, 1..200)) {
            let mut breaker = Breaker::default();
            let (mut now, mut asked) = (Duration::ZERO, Vec::new());
            for gap in gaps {
                now += Duration::from_millis(gap);
                if breaker.admit(now).is_ok() {
                    asked.push(now);
                    breaker.failed(now);
                }
            }
            for pair in asked.windows(2).skip(FAILURES as usize - 1) {
                prop_assert!(pair[1] - pair[0] >= REST);
            }
        }
    }
}
