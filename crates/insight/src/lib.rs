//! What is said, understood: one [`Embedding`] an utterance, and what can be read from it; the [`entities()`]
//! that it names; and a [`Redactor`] that takes out what must not be kept.
//!
//! Pure logic over text: no sockets, no clock. An [`Embedder`] turns text into a vector, in any of a hundred
//! languages. A [`Head`] reads the mood from it. A [`Recogniser`] learns an organisation's intents from
//! example sentences, in seconds and while calls run.

mod embed;
mod entities;
mod intent;
mod linear;
mod mood;
mod redaction;
mod spoken;
mod tokenizer;

pub use embed::{Embedder, Embedding, MAX_TOKENS, Purpose};
pub use entities::{Entity, Kind, entities};
pub use intent::{Example, MAX_ANCHORS, Recogniser, Recognition};
pub use mood::{BuiltIn, Head};
pub use redaction::{Policy, Redacted, Redactor, Secret};

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
    /// Nothing can be learned from these examples.
    #[error("examples {0}")]
    Examples(&'static str),
}
