//! What is counted of a language model.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::{LlmError, Purpose, Standing};

/// Upper bounds of the buckets that answers are counted in by how long they took, in seconds.
pub const SECONDS: [f64; 9] = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];

/// What is counted of one purpose, from the start of the process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// Questions that were answered.
    pub answered: u64,
    /// Questions that were not, by [`LlmError::kind`].
    pub failed: BTreeMap<&'static str, u64>,
    /// Attempts after the first.
    pub retried: u64,
    /// First answers that had not the form that was asked for.
    pub invalid: u64,
    /// Those of them that had it the second time.
    pub repaired: u64,
    /// Tokens of prompts, as the server counts them, else estimated.
    pub prompt_tokens: u64,
    /// Tokens of answers, likewise.
    pub answer_tokens: u64,
    /// What these come to by the configured prices.
    pub cost: f64,
    /// How many answers took up to each of [`SECONDS`], and how many longer; not cumulated.
    pub took: [u64; SECONDS.len() + 1],
    /// How long all answers took together, in seconds.
    pub took_s: f64,
}

/// All that is counted, at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// By purpose.
    pub counts: BTreeMap<Purpose, Counts>,
    /// Tokens spent today (UTC), or set aside.
    pub spent_today: BTreeMap<Purpose, u64>,
    /// How the server is thought of.
    pub standing: Standing,
    /// Questions that are being answered or wait for it.
    pub going_on: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Figures(Mutex<BTreeMap<Purpose, Counts>>);

impl Figures {
    pub fn read(&self) -> BTreeMap<Purpose, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn add(&self, purpose: Purpose, add: impl FnOnce(&mut Counts)) {
        add(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(purpose).or_default());
    }

    /// A question is over, one way or the other.
    pub fn over<T>(&self, purpose: Purpose, took: Duration, outcome: &Result<T, LlmError>) {
        self.add(purpose, |counts| match outcome {
            Ok(_) => {
                let seconds = took.as_secs_f64();
                let bucket = SECONDS.iter().position(|most| seconds <= *most).unwrap_or(SECONDS.len());
                if let Some(bucket) = counts.took.get_mut(bucket) {
                    *bucket += 1;
                }
                counts.took_s += seconds;
                counts.answered += 1;
            }
            Err(error) => *counts.failed.entry(error.kind()).or_default() += 1,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_their_time_and_failures_by_their_kind() {
        let figures = Figures::default();
        for ms in [100, 250, 100_000] {
            figures.over(Purpose::Answer, Duration::from_millis(ms), &Ok(()));
        }
        figures.over::<()>(Purpose::Answer, Duration::ZERO, &Err(LlmError::Cut));
        let counts = &figures.read()[&Purpose::Answer];
        assert_eq!((counts.answered, counts.took[0], counts.took[SECONDS.len()]), (3, 2, 1));
        assert_eq!(counts.failed, BTreeMap::from([("cut", 1)]));
    }
}
