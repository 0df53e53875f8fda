//! What is named in an utterance: who, when, how much, which order, how to reach them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Millis, UtteranceId};

/// See [`EventBody::Entities`](crate::EventBody::Entities).
///
/// Of several about one utterance the newest counts: its words were revised. An empty list takes back what was found in
/// the words as they were before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Entities {
    /// The utterance, whoever spoke.
    pub utterance_id: UtteranceId,
    /// The revision of its words.
    pub revision: u32,
    /// In the order of the text, without overlap.
    pub entities: Vec<Entity>,
    /// From the publication of the words to that of this event.
    pub latency_ms: Millis,
}

/// Something that was named. Never a secret: those are taken out before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Entity {
    /// What it is.
    pub kind: EntityKind,
    /// What was named, in the form that its kind has.
    pub value: String,
    /// The characters (Unicode scalar values) of the text that it rests on.
    pub chars: Span,
    /// The words that it rests on; absent where the words are not those of the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub words: Option<Span>,
    /// From 0 to 1: how sure the rule is that found it, times how sure the recogniser was of the words.
    pub confidence: f32,
}

/// A stretch, counted from 0: from its first to before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Span {
    /// The first.
    pub start: u32,
    /// The first that is no part of it any more.
    pub end: u32,
}

/// What an entity is, and how its value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum EntityKind {
    /// A telephone number: E.164 (`+989123456789`) where the country is known, which it is for Iran's;
    /// otherwise the digits.
    Phone,
    /// An e-mail address, in lower case.
    Email,
    /// An amount and a currency: `250000 IRT`, `12.5 USD`. ISO 4217, and `IRT` for the toman, which has no
    /// code there.
    Money,
    /// ISO 8601: a date (`2026-12-01`), a time of day (`T10:30`) or both (`2026-12-01T10:30`), Gregorian
    /// whatever was said.
    DateTime,
    /// The number of an order, a ticket, an invoice: letters in upper case and digits, without signs.
    Order,
    /// The number of an account, a contract, a customer: as `order`.
    Account,
    /// A person's name, as it was written.
    Person,
    /// A city, by its English name.
    City,
    /// `IELTS`, `TOEFL`, …, or a level of the CEFR: `A1` to `C2`.
    Course,
}
