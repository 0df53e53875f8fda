//! Voice activity, streaming policy, Whisper workers, scheduling.

mod encoder;
mod engine;
mod error;
mod figures;
mod leg;
mod queue;
mod segment;
mod text;
mod vad;
mod voice;
mod whisper;
mod window;

pub use encoder::OpenSession;
pub use engine::{Engine, EngineConfig, LegSpec, Models, Pace, Sink, SpeechEvent};
pub use error::SpeechError;
pub use figures::{BUCKETS_MS, DecodeFigures, Figures, Histogram};
pub use leg::UtteranceIds;
pub use whisper::{Decoder, Effort, Heard, HeardWord, LONGEST, Model, Request, language};
