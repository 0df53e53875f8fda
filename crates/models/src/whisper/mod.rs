//! Whisper weights from where they are published to the one format that whisper.cpp loads.
//!
//! A model hub serves GGML files ready made; a Python package registry serves the same weights as OpenAI's
//! checkpoint (`tiny.en.pt`) or as a CTranslate2 model. The readers here turn either into a [`Checkpoint`],
//! [`ggml::write`] puts it on disk, [`quantize::q8_0`] makes it small. Both steps are deterministic down to
//! the byte, so that their results have checksums too.
//!
//! Every reader here takes bytes that somebody else wrote. They are bounded parsers: sizes are checked
//! before anything is allocated, nothing in a file is executed, and a bad file is a [`FormatError`].

pub mod assets;
pub mod ct2;
pub(crate) mod encoder;
pub mod ggml;
mod pickle;
pub mod quantize;
pub mod torch;

use crate::format::{FormatError, limit};
pub use encoder::Encoder;

/// The size of a Whisper model, as its publisher's checkpoint names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dims {
    /// Mel bands: 80, or 128 from large-v3 on.
    pub n_mels: u32,
    /// Tokens, special ones included: 51,864 for English-only models, 51,865 or more for others.
    pub n_vocab: u32,
    /// Encoder positions: 1,500 for 30 seconds.
    pub n_audio_ctx: u32,
    /// Encoder width.
    pub n_audio_state: u32,
    /// Encoder attention heads.
    pub n_audio_head: u32,
    /// Encoder layers.
    pub n_audio_layer: u32,
    /// Decoder positions: 448.
    pub n_text_ctx: u32,
    /// Decoder width.
    pub n_text_state: u32,
    /// Decoder attention heads.
    pub n_text_head: u32,
    /// Decoder layers.
    pub n_text_layer: u32,
}

/// One tensor in half precision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// OpenAI's name, e.g. `decoder.blocks.0.attn.query.weight`.
    pub name: String,
    /// Row-major, outermost first.
    pub shape: Vec<usize>,
    /// IEEE half floats, little-endian, two bytes an element.
    pub data: Vec<u8>,
}

/// A model's weights in OpenAI's order and naming.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The model's sizes.
    pub dims: Dims,
    /// All weights, in the order in which they are written.
    pub tensors: Vec<Tensor>,
}

/// More tensors than any Whisper model has (large-v3: 1,259).
const MAX_TENSORS: u64 = 4_096;
/// More elements than any single Whisper tensor has (large token embedding: 66 million).
const MAX_ELEMENTS: u64 = 1 << 27;

/// The number of elements of a shape, or an error when it exceeds [`MAX_ELEMENTS`].
fn elements(shape: &[usize]) -> Result<usize, FormatError> {
    let mut total = 1u64;
    for &side in shape {
        total = total.saturating_mul(side as u64);
    }
    limit("tensor size", total, MAX_ELEMENTS)
}

#[cfg(test)]
mod tests;
