//! Secrets that were taken out of what was said, and what remains of them: that they were there.
//!
//! It is the one thing that changes events which have their numbers already. What a secret is may be known only when its
//! second half is spoken, and the first half must not be kept because it was said before.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{EventBody, Millis, Party, Quote, Utterance, UtteranceId};

/// What stands in a text in place of a secret.
pub const MASK: &str = "••••";

/// What must not be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Secret {
    /// The number of a payment card (primary account number, ISO/IEC 7812-1).
    Card,
    /// The check value of a card: CVV, CVV2, CVC.
    Cvv,
    /// When a card expires.
    Expiry,
    /// A password, a PIN or a one-time code.
    Password,
    /// An account number (ISO 13616), such as Iran's Sheba.
    Iban,
    /// An Iranian national ID (کد ملی).
    NationalId,
}

impl Secret {
    /// All of them, in their order.
    pub const ALL: [Self; 6] =
        [Self::Card, Self::Cvv, Self::Expiry, Self::Password, Self::Iban, Self::NationalId];

    /// The name used in JSON and in figures.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Cvv => "cvv",
            Self::Expiry => "expiry",
            Self::Password => "password",
            Self::Iban => "iban",
            Self::NationalId => "national_id",
        }
    }
}

/// See [`EventBody::Redacted`].
///
/// Of several about one utterance the newest counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Redacted {
    /// The utterance.
    pub utterance_id: UtteranceId,
    /// Who said it.
    pub party: Party,
    /// What was taken out, in the order of the text.
    pub secrets: Vec<Secret>,
    /// Where in the party's audio they were said, in order, without overlap. Empty while the words may still change.
    pub ranges: Vec<TimeRange>,
    /// The ranges are silent in the recording.
    pub muted: bool,
}

/// A stretch of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct TimeRange {
    /// Where it begins.
    pub start_ms: Millis,
    /// Where it ends.
    pub end_ms: Millis,
}

impl Utterance {
    /// Leaves nothing of what was said but that something was.
    pub fn redact(&mut self) {
        if !self.text.is_empty() {
            MASK.clone_into(&mut self.text);
            self.stable_chars = self.stable_chars.min(MASK.chars().count() as u32);
            self.words.clear();
        }
    }
}

impl EventBody {
    /// The utterance whose words are in this event.
    #[must_use]
    pub fn quotes(&self) -> Option<UtteranceId> {
        match self {
            Self::Utterance(utterance) => Some(utterance.utterance_id),
            Self::Entities(found) => Some(found.utterance_id),
            Self::Prompt(prompt) => Some(prompt.evidence.utterance_id),
            Self::Card(card) => Some(card.evidence.utterance_id),
            Self::CardHeldBack(held) => Some(held.evidence.utterance_id),
            Self::Checklist(item) => item.evidence.as_ref().map(|quote| quote.utterance_id),
            _ => None,
        }
    }

    /// Leaves nothing of the words that it [`quotes`](Self::quotes). Doing so again changes nothing.
    pub fn redact(&mut self) {
        match self {
            Self::Utterance(utterance) => utterance.redact(),
            Self::Entities(found) => found.entities.clear(),
            Self::Prompt(prompt) => prompt.evidence.redact(),
            Self::Card(card) => card.redact(),
            Self::CardHeldBack(held) => held.redact(),
            Self::Checklist(item) => item.evidence.iter_mut().for_each(Quote::redact),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CallEvent, CallState, Entities, Entity, EntityKind, Span, testing};

    fn utterance(id: u32, revision: u32, text: &str) -> Utterance {
        testing::with_words(Utterance { revision, ..testing::utterance(id, Party::Customer, text) }, 300)
    }

    fn entities(id: u32, revision: u32, values: &[&str]) -> EventBody {
        let entity = |value: &&str| Entity {
            kind: EntityKind::Order,
            value: (*value).to_owned(),
            chars: Span { start: 0, end: 4 },
            words: None,
            confidence: 0.5,
        };
        EventBody::Entities(Entities {
            utterance_id: UtteranceId(id),
            revision,
            entities: values.iter().map(entity).collect(),
            latency_ms: Millis(1),
        })
    }

    fn redacted(id: u32) -> EventBody {
        let range = TimeRange { start_ms: Millis(0), end_ms: Millis(1_100) };
        EventBody::Redacted(Redacted {
            utterance_id: UtteranceId(id),
            party: Party::Customer,
            secrets: vec![Secret::Card],
            ranges: vec![range],
            muted: true,
        })
    }

    fn state(bodies: impl IntoIterator<Item = EventBody>) -> CallState {
        let mut state = CallState::default();
        for (body, seq) in bodies.into_iter().zip(1..) {
            state.apply(&CallEvent { seq, at_ms: Millis(seq), body });
        }
        state
    }

    #[test]
    fn nothing_is_left_of_a_secret_in_events_and_state() {
        let log = vec![
            EventBody::Utterance(utterance(1, 0, "4242 4242")),
            entities(1, 0, &["42424242"]),
            EventBody::Utterance(utterance(2, 0, "and that is all")),
            redacted(1),
        ];
        let live = state(log.clone());
        assert_eq!(live.utterances[0].text, MASK);
        assert_eq!((live.utterances[0].words.len(), live.entities.len()), (0, 0));
        assert_eq!(live.redactions.len(), 1);
        assert_eq!(live.utterances[1].text, "and that is all");

        let mut kept = log;
        kept.iter_mut().filter(|body| body.quotes() == Some(UtteranceId(1))).for_each(EventBody::redact);
        assert!(!serde_json::to_string(&kept).unwrap().contains("4242"));
        let once = kept.clone();
        kept.iter_mut().filter(|body| body.quotes() == Some(UtteranceId(1))).for_each(EventBody::redact);
        assert_eq!(kept, once);
        // Whoever reads the log later comes to the same.
        assert_eq!(state(kept), live);
    }

    #[test]
    fn entities_go_with_the_words_they_were_found_in() {
        let first = [EventBody::Utterance(utterance(1, 0, "order 4711")), entities(1, 0, &["4711"])];
        assert_eq!(state(first.clone()).entities.len(), 1);
        let revised = EventBody::Utterance(utterance(1, 1, "order 4712"));
        let late = [revised.clone(), entities(1, 0, &["4711"])];
        assert_eq!(state(first.clone().into_iter().chain(late)).entities, []);
        let anew = [revised.clone(), entities(1, 1, &["4712"])];
        let now = state(first.clone().into_iter().chain(anew)).entities;
        assert_eq!(now[0].entities[0].value, "4712");
        let none = [revised, entities(1, 1, &[])];
        assert_eq!(state(first.into_iter().chain(none)).entities, []);
        let partial = Utterance { r#final: false, ..utterance(1, 0, "order 4711") };
        assert_eq!(state([EventBody::Utterance(partial), entities(1, 0, &["4711"])]).entities, []);
    }

    #[test]
    fn both_read_as_they_were_written() {
        let expected = serde_json::json!({
            "kind": "redacted", "utterance_id": 3, "party": "customer", "secrets": ["card"],
            "ranges": [{ "start_ms": 0, "end_ms": 1_100 }], "muted": true,
        });
        let body = redacted(3);
        assert_eq!(serde_json::to_value(&body).unwrap(), expected);
        assert_eq!(serde_json::from_value::<EventBody>(expected).unwrap(), body);
        let expected = serde_json::json!({
            "kind": "entities", "utterance_id": 3, "revision": 1, "latency_ms": 1, "entities": [{
                "kind": "order", "value": "4711", "chars": { "start": 0, "end": 4 }, "confidence": 0.5,
            }],
        });
        let body = entities(3, 1, &["4711"]);
        assert_eq!(serde_json::to_value(&body).unwrap(), expected);
        assert_eq!(serde_json::from_value::<EventBody>(expected).unwrap(), body);
        for secret in Secret::ALL {
            assert_eq!(serde_json::to_value(secret).unwrap(), secret.as_str());
        }
    }
}
