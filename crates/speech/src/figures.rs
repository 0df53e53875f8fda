//! What speech recognition counts and times, for `/metrics` and evaluation.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Upper bounds of the histograms' buckets, in milliseconds; one more bucket holds what is above.
pub const BUCKETS_MS: [u64; 14] =
    [25, 50, 100, 200, 300, 500, 800, 1_200, 1_800, 2_500, 4_000, 8_000, 16_000, 60_000];

/// A histogram of times.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS_MS.len() + 1],
    sum_ms: AtomicU64,
}

impl Histogram {
    /// Counts a time.
    pub fn record(&self, ms: u64) {
        let bucket = BUCKETS_MS.partition_point(|bound| *bound < ms);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_ms.fetch_add(ms, Relaxed);
    }

    /// Counts per bucket, not cumulated, and the sum in milliseconds.
    pub fn read(&self) -> ([u64; BUCKETS_MS.len() + 1], u64) {
        (std::array::from_fn(|n| self.buckets[n].load(Relaxed)), self.sum_ms.load(Relaxed))
    }
}

/// The figures for one kind of decode.
#[derive(Debug, Default)]
pub struct DecodeFigures {
    /// From being queued to being begun.
    pub wait: Histogram,
    /// The decode itself; only of those that came to their end.
    pub decode: Histogram,
    /// From the last sample heard to publication; only of what was published.
    pub latency: Histogram,
    /// Audio of those, in milliseconds.
    pub audio_ms: AtomicU64,
    /// Decodes given up because the machine was behind.
    pub shed: AtomicU64,
    /// Decodes in which the model repeated itself.
    pub loops: AtomicU64,
    /// Decodes given up because what followed made them useless.
    pub given_up: AtomicU64,
    /// Decodes that failed.
    pub failed: AtomicU64,
}

/// What became of a decode that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It came to its end.
    Heard {
        /// The model repeated itself.
        looped: bool,
    },
    /// What followed made it useless.
    GivenUp,
    /// It failed.
    Failed,
}

impl DecodeFigures {
    /// Counts a decode of so much audio that took so long. Of one that came to no end neither counts: it would be
    /// all of its audio in a part of the time.
    pub(crate) fn count(&self, outcome: Outcome, took_ms: u64, audio_ms: u64) {
        match outcome {
            Outcome::Heard { looped } => {
                self.decode.record(took_ms);
                self.audio_ms.fetch_add(audio_ms, Relaxed);
                self.loops.fetch_add(u64::from(looped), Relaxed);
            }
            Outcome::GivenUp => _ = self.given_up.fetch_add(1, Relaxed),
            Outcome::Failed => _ = self.failed.fetch_add(1, Relaxed),
        }
    }

    /// Decoding time per time decoded.
    pub fn real_time_factor(&self) -> f64 {
        self.decode.read().1 as f64 / self.audio_ms.load(Relaxed).max(1) as f64
    }
}

/// Decodes that fail one after the other from which on it is not the fault of what is decoded.
const FAILING: u64 = 4;

/// All figures of an engine.
#[derive(Debug, Default)]
pub struct Figures {
    /// Partials.
    pub partial: DecodeFigures,
    /// Decodes begun at a pause, which become finals if nothing more is said.
    pub candidate: DecodeFigures,
    /// Finals: those that were decoded when the utterance was over; the latency is that of all.
    pub r#final: DecodeFigures,
    /// Revisions.
    pub revision: DecodeFigures,
    /// Legs being listened to.
    pub legs: AtomicU64,
    /// Audio heard, in milliseconds.
    pub heard_ms: AtomicU64,
    /// Legs on which listening panicked, and which got no more words.
    pub failed_legs: AtomicU64,
    /// Audio that did not reach recognition, because the listener was behind or its leg had failed, in milliseconds.
    pub lost_ms: AtomicU64,
    /// Decodes that failed since one last came to its end.
    pub failed_in_a_row: AtomicU64,
    /// Decodes waiting.
    pub queue: AtomicU64,
    /// How late the most overdue final is, in milliseconds.
    pub behind_ms: AtomicU64,
    /// What is shed, as the position in [`sotto_call::Shedding`].
    pub shedding: AtomicU64,
}

impl Figures {
    /// Takes what became of a decode, whatever it was for.
    pub(crate) fn ended(&self, outcome: Outcome) {
        match outcome {
            Outcome::Heard { .. } => self.failed_in_a_row.store(0, Relaxed),
            Outcome::Failed => _ = self.failed_in_a_row.fetch_add(1, Relaxed),
            Outcome::GivenUp => {}
        }
    }

    /// Whether nothing of what is said comes to words: one decode after the other fails, and none has come to its end since.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.failed_in_a_row.load(Relaxed) >= FAILING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decode_that_was_given_up_does_not_make_the_machine_look_faster() {
        let figures = DecodeFigures::default();
        figures.count(Outcome::Heard { looped: false }, 500, 1_000);
        figures.count(Outcome::Heard { looped: true }, 500, 1_000);
        assert_eq!(figures.real_time_factor(), 0.5);
        figures.count(Outcome::GivenUp, 10, 10_000);
        figures.count(Outcome::Failed, 10, 10_000);
        assert_eq!(figures.real_time_factor(), 0.5);
        let counts = [&figures.loops, &figures.given_up, &figures.failed].map(|count| count.load(Relaxed));
        assert_eq!(counts, [1, 1, 1]);
        assert_eq!(figures.decode.read().0.iter().sum::<u64>(), 2);
    }
}
