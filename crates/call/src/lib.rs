//! What a call is: ids, times, parties, utterances and the events of its log.
//!
//! Everything that looks at a call (agent screen, review, recovery, evaluation) reads a sequence of
//! [`CallEvent`]s. An event never changes once it has its number, save that a secret is taken out of it
//! ([`Redacted`]): a revised utterance is a new event that names the utterance it revises. Nothing here does I/O, is
//! async, or reads a clock.

mod card;
mod entity;
mod event;
mod insight;
mod log;
mod prompt;
mod redaction;
mod step;
mod talk;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod time;

pub use card::*;
pub use entity::*;
pub use event::*;
pub use insight::*;
pub use log::{CallLog, CallState, UtteranceState};
pub use prompt::*;
pub use redaction::*;
pub use step::*;
pub use talk::*;
pub use time::Millis;

/// The version of the event format, written into every `call_started` event. It grows when a reader of the
/// old format would misread the new one; adding a kind or an optional field does not count.
pub const FORMAT_VERSION: u32 = 1;
