//! whisper.cpp's own file format: sizes, filter bank, vocabulary, then tensors, all little-endian.

use std::io::{self, Write};

use half::f16;

use super::assets::MelFilters;
use super::{Checkpoint, FormatError, Tensor, elements};

/// `ggml` in a little-endian u32.
pub(super) const MAGIC: u32 = 0x6767_6d6c;
pub(super) const F32: u32 = 0;
pub(super) const F16: u32 = 1;
pub(super) const Q8_0: u32 = 8;

/// whisper.cpp adds convolution biases and positions to single precision activations: it wants these whole.
pub(super) const KEPT_WHOLE: [&str; 4] = [
    "encoder.conv1.bias",
    "encoder.conv2.bias",
    "encoder.positional_embedding",
    "decoder.positional_embedding",
];

/// Whether a file that begins so is of this format.
#[must_use]
pub fn is_magic(bytes: [u8; 4]) -> bool {
    bytes == MAGIC.to_le_bytes()
}

/// Writes a model in half precision, vectors and positions in single precision.
///
/// # Errors
/// [`FormatError::Io`] when `out` fails; [`FormatError::Invalid`] when a tensor's bytes do not match its shape.
pub fn write(
    model: &Checkpoint,
    mel: &MelFilters,
    vocabulary: &[Vec<u8>],
    out: &mut impl Write,
) -> Result<(), FormatError> {
    let d = &model.dims;
    put(out, MAGIC)?;
    for n in [
        d.n_vocab,
        d.n_audio_ctx,
        d.n_audio_state,
        d.n_audio_head,
        d.n_audio_layer,
        d.n_text_ctx,
        d.n_text_state,
        d.n_text_head,
        d.n_text_layer,
        d.n_mels,
        F16,
    ] {
        put(out, n)?;
    }
    put_len(out, mel.bands)?;
    put_len(out, mel.bins)?;
    for weight in &mel.weights {
        out.write_all(&weight.to_le_bytes())?;
    }
    put_len(out, vocabulary.len())?;
    for token in vocabulary {
        put_len(out, token.len())?;
        out.write_all(token)?;
    }
    model.tensors.iter().try_for_each(|tensor| write_tensor(tensor, out))
}

fn write_tensor(tensor: &Tensor, out: &mut impl Write) -> Result<(), FormatError> {
    if tensor.data.len() != 2 * elements(&tensor.shape)? {
        return Err(FormatError::invalid(format!("{} has not the size of its shape", tensor.name)));
    }
    let mut shape = tensor.shape.clone();
    if tensor.name == "encoder.conv1.bias" || tensor.name == "encoder.conv2.bias" {
        // A column, so that it broadcasts over time.
        shape.push(1);
    }
    let whole = shape.len() < 2 || KEPT_WHOLE.contains(&tensor.name.as_str());
    put_len(out, shape.len())?;
    put_len(out, tensor.name.len())?;
    put(out, if whole { F32 } else { F16 })?;
    for side in shape.iter().rev() {
        put_len(out, *side)?;
    }
    out.write_all(tensor.name.as_bytes())?;
    if whole {
        for pair in tensor.data.as_chunks().0 {
            out.write_all(&f16::from_le_bytes(*pair).to_f32().to_le_bytes())?;
        }
    } else {
        out.write_all(&tensor.data)?;
    }
    Ok(())
}

pub(super) fn put(out: &mut impl Write, n: u32) -> io::Result<()> {
    out.write_all(&n.to_le_bytes())
}

fn put_len(out: &mut impl Write, n: usize) -> Result<(), FormatError> {
    let n = u32::try_from(n).map_err(|_| FormatError::invalid("a length does not fit the format"))?;
    Ok(put(out, n)?)
}
