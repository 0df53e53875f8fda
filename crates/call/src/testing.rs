//! Values that tests of several crates need.

use crate::{Millis, Party, Utterance, UtteranceId};

/// Final words that took five seconds, ten seconds after those of the id before. Tests name what else they care for:
/// `Utterance { revision: 1, ..utterance(1, party, text) }`.
#[must_use]
pub fn utterance(id: u32, party: Party, text: &str) -> Utterance {
    let start = u64::from(id) * 10_000;
    Utterance {
        utterance_id: UtteranceId(id),
        party,
        r#final: true,
        revision: 0,
        text: text.to_owned(),
        stable_chars: text.chars().count() as u32,
        start_ms: Millis(start),
        end_ms: Millis(start + 5_000),
        words: Vec::new(),
        language: "en".to_owned(),
        latency_ms: Millis(0),
    }
}
