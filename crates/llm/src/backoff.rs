//! When to ask again.

use std::time::{Duration, SystemTime};

/// The wait before the second attempt, at most. It doubles with each one.
const FIRST: Duration = Duration::from_millis(500);
/// The longest wait that we choose ourselves.
const LONGEST: Duration = Duration::from_secs(20);

/// How long to wait after a failed attempt (from 0). `jitter`, from 0 to 1, keeps those who failed together from coming
/// back together. What a server has told (`Retry-After`) is waited for in any case.
#[must_use]
pub fn delay(attempt: u32, jitter: f64, told: Option<Duration>) -> Duration {
    let jitter = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 1.0 };
    match told {
        Some(told) => told.saturating_add(FIRST.mul_f64(jitter)),
        None => {
            let most = FIRST.saturating_mul(2u32.saturating_pow(attempt)).min(LONGEST);
            most.mul_f64(0.5 + jitter / 2.0)
        }
    }
}

/// What a `Retry-After` header says (RFC 9110 section 10.2.3): seconds, or a date.
#[must_use]
pub fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let at = httpdate::parse_http_date(header).ok()?;
    Some(at.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_server_tells_is_read_in_both_forms() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(retry_after(" 7 ", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:47 GMT", now), Some(Duration::from_secs(10)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:17 GMT", now), Some(Duration::ZERO));
        assert_eq!([retry_after("soon", now), retry_after("-1", now)], [None, None]);
    }

    proptest! {
        #[test]
        fn waits_grow_to_a_limit_and_what_is_told_is_kept(attempt: u32, jitter: f64, told in 0u64..1_000_000) {
            let own = delay(attempt, jitter, None);
            prop_assert!(own >= FIRST / 2 && own <= LONGEST);
            let told = Duration::from_secs(told);
            let asked = delay(attempt, jitter, Some(told));
            prop_assert!(asked >= told && asked <= told + FIRST);
        }
    }
}
