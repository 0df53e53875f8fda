//! What is said, understood: one [`Embedding`] an utterance, and what can be read from it; the [`entities()`]
//! that it names; and a [`Redactor`] that takes out what must not be kept.
//!
//! Pure logic over text: no sockets, no clock. An [`Embedder`] turns text into a vector, in any of a hundred
//! languages or, more lightly, in English ([`EmbeddingModel`]). A [`MoodReader`] reads the mood from it by a [`Head`], or by
//! a text classifier of the organisation's own. A [`Recogniser`] learns an organisation's intents from example sentences
//! ([`IntentSet`]), in seconds and while calls run. An [`Understanding`] is all of that for a call, and an [`EmotionalArc`]
//! what the moods of one call's utterances add up to; both take the customer's words only, and so do [`Voices`], which
//! compare how these sounded. A [`TalkMeter`] measures how a call's time goes. A [`Prompter`] makes of all that what an
//! agent is told, and a [`Checklist`] recognises what agents must say; [`Cards`] which of the passages that are found for a
//! customer's question they are shown. [`Lapses`] and [`Phrases`] are what supervisors are told by as well: what is missing
//! on a call, and words that matter. [`is_urgent`] says whether somebody says so in as many words; an [`Understanding`]
//! also knows by a head what is urgent without such a word. And a [`Reranker`] says how well passages answer a
//! question, by a cross-encoder of the organisation's own.

mod arc;
mod arousal;
mod card;
mod classifier;
mod embed;
mod entities;
mod exported;
mod intent;
mod json_tokenizer;
mod linear;
mod mood;
mod phrases;
mod prompt;
mod redaction;
mod reranker;
mod set;
mod spoken;
mod talk;
mod tokenizer;
mod understanding;
mod urgency;

pub use arc::{EmotionalArc, Observation};
pub use arousal::Voices;
pub use card::Cards;
pub use embed::{Embedder, Embedding, EmbeddingModel, MAX_TOKENS, Purpose};
pub use entities::{Entity, asked_for, entities, persian_names};
pub use intent::{Example, MAX_ANCHORS, Mix, Recogniser, Recognition, Scatter};
pub use mood::{BuiltIn, Head, Polarity};
pub use phrases::Phrases;
pub use prompt::{Checklist, Duty, Lapses, Missing, Playbook, PromptSet, Prompter};
pub use redaction::{Policy, Redacted, Redactor, has_long_number};
pub use reranker::Reranker;
pub use set::{Definition, IntentSet, Intents, Wanted};
pub use spoken::{places, plain, spelled};
pub use talk::TalkMeter;
pub use understanding::{MoodReader, Understanding, Understood};
pub use urgency::{Urgency, is_in_no_hurry, is_urgent};

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
    /// The sentence embedding is not what it should be, or what is wanted cannot be done with it.
    #[error("the sentence embedding: {0}")]
    Embedding(String),
    /// A text classifier, or a cross-encoder, of the organisation's own cannot be used.
    #[error("{}: {problem}", file.display())]
    Classifier {
        /// The file that is wrong.
        file: std::path::PathBuf,
        /// What is wrong with it.
        problem: String,
    },
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
