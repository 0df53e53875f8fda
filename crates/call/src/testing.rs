//! Values that tests of several crates need.

use crate::{Card, CardWhy, Millis, Party, Quote, Span, Utterance, UtteranceId, Word};

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

/// The same with its words, one after the other from its begin, each of which takes `word_ms`.
#[must_use]
pub fn with_words(utterance: Utterance, word_ms: u64) -> Utterance {
    let at = |n: u64| utterance.start_ms + Millis(n * word_ms);
    let word =
        |(n, word): (u64, &str)| Word { w: word.to_owned(), start_ms: at(n), end_ms: at(n + 1), p: 0.9 };
    let words: Vec<Word> = (0..).zip(utterance.text.split_whitespace()).map(word).collect();
    Utterance { end_ms: words.last().map_or(utterance.start_ms, |word| word.end_ms), words, ..utterance }
}

/// A card without a number that rests on these words, from a document of this name.
#[must_use]
pub fn card(document: &str, said: &Utterance) -> Card {
    Card {
        card_id: 0,
        document: document.to_owned(),
        passage: 0,
        title: "Refunds".to_owned(),
        section: vec!["How long".to_owned()],
        text: "It takes three days. Ask for it.".to_owned(),
        answer: Some(Span { start: 0, end: 20 }),
        changed_unix_ms: 1_700_000_000_000,
        confidence: 0.75,
        why: CardWhy {
            query: String::new(),
            words: vec!["refund".to_owned()],
            covered: 0.5,
            cosine: Some(0.875),
            mentioned: false,
        },
        evidence: Quote::of(said),
        roles: Vec::new(),
        teams: Vec::new(),
        expires_at_ms: Millis(90_000),
        latency_ms: Millis(40),
        held_back: Vec::new(),
    }
}
