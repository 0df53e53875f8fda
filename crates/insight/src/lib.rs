//! What is said, understood: one [`Embedding`] an utterance, and what can be read from it; the [`entities()`]
//! that it names; and a [`Redactor`] that takes out what must not be kept.
//!
//! Pure logic over text: no sockets, no clock. An [`Embedder`] turns text into a vector, in any of a hundred
//! languages. A [`Head`] reads the mood from it. A [`Recogniser`] learns an organisation's intents from example
//! sentences ([`IntentSet`]), in seconds and while calls run. An [`Understanding`] is all of that for a call, and an
//! [`EmotionalArc`] what the moods of one call's utterances add up to; both take the customer's words only. A
//! [`Prompter`] makes of all that what an agent is told, and a [`Checklist`] recognises what agents must say.

mod arc;
mod embed;
mod entities;
mod intent;
mod linear;
mod mood;
mod prompt;
mod redaction;
mod set;
mod spoken;
mod tokenizer;
mod understanding;

pub use arc::{EmotionalArc, Observation};
pub use embed::{Embedder, Embedding, MAX_TOKENS, Purpose};
pub use entities::{Entity, asked_for, entities};
pub use intent::{Example, MAX_ANCHORS, Recogniser, Recognition};
pub use mood::{BuiltIn, Head};
pub use prompt::{Checklist, Duty, Playbook, PromptSet, Prompter};
pub use redaction::{Policy, Redacted, Redactor, has_long_number};
pub use set::{Definition, IntentSet, Intents, Step, Wanted};
pub use understanding::{MoodReader, Understanding, Understood};

/// Why something could not be understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InsightError {
    /// A model does not load.
    #[error(transparent)]
    Model(#[from] sotto_models::ModelError),
    /// A model does not run.
    #[error("ONNX Runtime: {0}")]
    Runtime(#[from] ort::Error),
    /// A model answered with something that is no probability.
    #[error("a model's answer is no probability")]
    NoNumber,
    /// Nothing can be learned from these examples.
    #[error("examples {0}")]
    Examples(&'static str),
    /// A set of intents cannot be read.
    #[error("the intents: {0}")]
    Intents(String),
    /// A set of prompts cannot be read.
    #[error("the prompts: {0}")]
    Prompts(String),
}
