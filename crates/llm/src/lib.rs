//! Any chat server that speaks OpenAI's interface (Ollama, vLLM, llama.cpp, Grok): what may be sent to it, what form an
//! answer must have, and how long, how often and how much it is asked.
//!
//! An [`Llm`] is asked with a [`Prompt`], which a [`Template`] makes of [`Sendable`] text: what was not redacted cannot
//! be sent. [`Llm::ask`] wants an answer of the form of a [`Schema`], has the server see to it where that can, checks it
//! either way, and has it put right once. [`Llm::say`] hands on what is said while it comes. Whatever a server says is
//! checked for its form only; whether it is true is for whoever asked to see.
//!
//! What is counted and limited ([`Budget`], [`Rate`], [`Breaker`], [`backoff`]) are plain values driven by time.

pub mod backoff;
mod breaker;
mod budget;
mod client;
mod figures;
mod http;
mod prompt;
mod rate;
mod schema;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod text;
mod wire;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use breaker::{Breaker, Standing};
pub use budget::{Budget, Reserved, Spent};
pub use client::{Answered, Llm, Settings, Tokens, Usage};
pub use figures::{Counts, SECONDS, Snapshot};
pub use http::{connector, root_cause};
pub use prompt::{Prompt, Template};
pub use rate::Rate;
pub use schema::{Problems, Schema};
pub use text::{Sendable, estimate, is_hidden};
pub use wire::Form;

/// What a model is asked for. Each has a budget and figures of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Somebody asks what is written down.
    Answer,
    /// A call is over, and it is written what it came to.
    Insight,
    /// An administrator sees whether the server works.
    Check,
    /// Somebody wants a message or an e-mail to a customer to begin with.
    Draft,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Answer, Self::Insight, Self::Check, Self::Draft];

    /// The name used in the configuration and in figures.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Insight => "insight",
            Self::Check => "check",
            Self::Draft => "draft",
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LlmError {
    /// What was configured cannot be used.
    #[error("the language model's settings: {0}")]
    Settings(String),
    /// A template is not filled.
    #[error("a template is not filled: {0}")]
    Template(String),
    /// No connection, or one that broke.
    #[error("the language model's server cannot be reached: {0}")]
    Unreachable(String),
    /// Something took longer than it may.
    #[error("the language model's server is too slow: {0}")]
    TooSlow(&'static str),
    /// It answered with another status than 200.
    #[error("the language model's server answered {status}: {message}")]
    Refused {
        /// The status.
        status: u16,
        /// The begin of what it says.
        message: String,
        /// When to come back, if it says so.
        retry_after: Option<Duration>,
    },
    /// What it sends is not what this interface has.
    #[error("the language model's server answers with nonsense: {0}")]
    Garbage(String),
    /// It broke off.
    #[error("the language model's answer breaks off")]
    Cut,
    /// More came than is taken.
    #[error("the language model's answer is too long")]
    TooLong,
    /// The answer has not the form that was asked for, not the second time either.
    #[error("the language model's answer has another form than was asked for: {0}")]
    Form(Problems),
    /// The prompt does not fit.
    #[error("a prompt of about {tokens} tokens does not fit into {room}")]
    NoRoom {
        /// About how many it has.
        tokens: u32,
        /// How many it may have.
        room: u32,
    },
    /// Too many ask at once, or too often.
    #[error("the language model is asked too much at once")]
    Busy,
    /// It has failed repeatedly, or has asked for it, and is left alone for a while.
    #[error("the language model's server has failed repeatedly, or has told to wait, and is not asked for {} s", .0.as_secs() + 1)]
    Resting(Duration),
    /// The day's tokens are spent.
    #[error("the tokens of the day are spent")]
    Budget,
}

impl LlmError {
    /// What went wrong, in one word, as it is in figures.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Settings(_) => "settings",
            Self::Template(_) => "template",
            Self::Unreachable(_) => "unreachable",
            Self::TooSlow(_) => "too_slow",
            Self::Refused { .. } => "refused",
            Self::Garbage(_) => "garbage",
            Self::Cut => "cut",
            Self::TooLong => "too_long",
            Self::Form(_) => "form",
            Self::NoRoom { .. } => "no_room",
            Self::Busy => "busy",
            Self::Resting(_) => "resting",
            Self::Budget => "budget",
        }
    }

    /// True for what may go better the next time.
    fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Cut => true,
            Self::Refused { status, .. } => {
                *status == 429 || *status == 408 || *status >= 500 && *status != 501
            }
            _ => false,
        }
    }

    /// True for what says that the server is not well. That it is busy, or does not like a question, says nothing.
    fn is_illness(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::TooSlow(_) | Self::Garbage(_) | Self::Cut | Self::TooLong => true,
            Self::Refused { status, .. } => *status >= 500 && *status != 501,
            _ => false,
        }
    }

    /// What a server says to something in a request that it does not know.
    fn dislikes_request(&self) -> Option<&str> {
        match self {
            Self::Refused { status: 400 | 404 | 415 | 422 | 501, message, .. } => Some(message),
            _ => None,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
