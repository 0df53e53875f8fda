use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sotto_call::Millis;
use tokio::time::Instant;

/// A call's own clock: every time in its log, and the place of every frame, is measured on it.
///
/// It starts with the call, just before its first sample can come.
#[derive(Clone, Copy, Debug)]
pub struct CallClock {
    started: Instant,
    started_at_unix_ms: u64,
}

impl CallClock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            started: Instant::now(),
            started_at_unix_ms: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// The time on this clock.
    #[must_use]
    pub fn now(&self) -> Millis {
        Millis(u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// The same, exactly.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// When a moment on this clock is.
    #[must_use]
    pub fn instant(&self, at: Duration) -> Instant {
        self.started + at
    }

    /// The wall clock at this clock's zero, in milliseconds since 1970 (UTC).
    #[must_use]
    pub fn started_at_unix_ms(&self) -> u64 {
        self.started_at_unix_ms
    }
}
