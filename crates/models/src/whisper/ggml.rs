//! whisper.cpp's own file format: sizes, filter bank, vocabulary, then tensors, all little-endian.

use std::io::{self, Read, Write};

use half::f16;

use super::assets::MelFilters;
use super::{Checkpoint, Dims, FormatError, MAX_TENSORS, Tensor, elements, limit};

/// `ggml` in a little-endian u32.
pub(super) const MAGIC: u32 = 0x6767_6d6c;
pub(super) const F32: u32 = 0;
pub(super) const F16: u32 = 1;
pub(super) const Q8_0: u32 = 8;
/// Weights of a block in Q8_0.
pub(super) const BLOCK: usize = 32;
/// Bytes of a block: the scale in half precision, and one byte a weight.
pub(super) const BLOCK_BYTES: usize = 2 + BLOCK;

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

/// Reads what stands before the tensors, and writes it to `out` with the file type that `change` leaves it. Gives the
/// sizes.
///
/// # Errors
/// [`FormatError`] when this is no GGML file or is damaged, when `change` refuses it, or when reading or writing fails.
pub(super) fn head(
    input: &mut impl Read,
    out: &mut impl Write,
    change: impl FnOnce(&mut u32) -> Result<(), FormatError>,
) -> Result<Dims, FormatError> {
    let mut header = [0u32; 12];
    for field in &mut header {
        *field = word(input)?;
    }
    let [magic, n_vocab, n_audio_ctx, n_audio_state, n_audio_head, n_audio_layer, text @ .., n_mels, ftype] =
        &mut header;
    if *magic != MAGIC {
        return Err(FormatError::invalid("this is no GGML model"));
    }
    change(ftype)?;
    let [n_text_ctx, n_text_state, n_text_head, n_text_layer] = *text;
    let (n_vocab, n_mels) = (*n_vocab, *n_mels);
    let (n_audio_ctx, n_audio_state) = (*n_audio_ctx, *n_audio_state);
    let (n_audio_head, n_audio_layer) = (*n_audio_head, *n_audio_layer);
    for field in header {
        put(out, field)?;
    }
    let (bands, bins) = (word(input)?, word(input)?);
    put(out, bands)?;
    put(out, bins)?;
    copy(input, out, 4 * limit("filter bank", u64::from(bands) * u64::from(bins), 1 << 20)?)?;
    let tokens = limit("number of tokens", word(input)?.into(), 100_000)?;
    put(out, tokens as u32)?;
    for _ in 0..tokens {
        let len = word(input)?;
        put(out, len)?;
        copy(input, out, limit("token length", len.into(), 1_024)?)?;
    }
    Ok(Dims {
        n_mels,
        n_vocab,
        n_audio_ctx,
        n_audio_state,
        n_audio_head,
        n_audio_layer,
        n_text_ctx,
        n_text_state,
        n_text_head,
        n_text_layer,
    })
}

/// What stands before a tensor's weights.
pub(super) struct TensorHead {
    /// OpenAI's name.
    pub name: String,
    /// How its weights are kept.
    pub kind: u32,
    /// Innermost first; at most four.
    pub sides: Vec<u32>,
    /// How many weights it has.
    pub elements: usize,
}

/// Reads the tensors that follow a [`head`] to the end of the file; `each` reads exactly the weights of its tensor.
///
/// # Errors
/// [`FormatError`] when the file is damaged or has too many, when reading fails, and those of `each`.
pub(super) fn tensors<R: Read>(
    input: &mut R,
    mut each: impl FnMut(&TensorHead, &mut R) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    for _ in 0..=MAX_TENSORS {
        match TensorHead::read(input)? {
            Some(head) => each(&head, input)?,
            None => return Ok(()),
        }
    }
    Err(FormatError::TooLarge { what: "number of tensors", value: MAX_TENSORS + 1, limit: MAX_TENSORS })
}

impl TensorHead {
    /// The next; none at the end of the file.
    fn read(input: &mut impl Read) -> Result<Option<Self>, FormatError> {
        let mut first = [0u8; 4];
        let n = input.read(&mut first)?;
        if n == 0 {
            return Ok(None);
        }
        exact(input, first.get_mut(n..).unwrap_or_default())?;
        let rank = limit("number of dimensions", u32::from_le_bytes(first).into(), 4)?;
        let name_len = limit("name length", word(input)?.into(), 256)?;
        let kind = word(input)?;
        let sides = (0..rank).map(|_| word(input)).collect::<Result<Vec<u32>, _>>()?;
        let elements = elements(&sides.iter().map(|side| *side as usize).collect::<Vec<_>>())?;
        let mut name = vec![0; name_len];
        exact(input, &mut name)?;
        let name =
            String::from_utf8(name).map_err(|_| FormatError::invalid("a tensor's name is not UTF-8"))?;
        Ok(Some(Self { name, kind, sides, elements }))
    }

    /// Writes the same, of weights that are kept in another way.
    pub fn write(&self, kind: u32, out: &mut impl Write) -> Result<(), FormatError> {
        put_len(out, self.sides.len())?;
        put_len(out, self.name.len())?;
        put(out, kind)?;
        for side in &self.sides {
            put(out, *side)?;
        }
        Ok(out.write_all(self.name.as_bytes())?)
    }

    /// Reads past the weights.
    ///
    /// # Errors
    /// As [`weights`](Self::weights).
    pub fn skip(&self, input: &mut impl Read) -> Result<(), FormatError> {
        copy(input, &mut io::sink(), self.bytes()?)
    }

    /// How many bytes the weights take.
    fn bytes(&self) -> Result<usize, FormatError> {
        match self.kind {
            F32 => Ok(4 * self.elements),
            F16 => Ok(2 * self.elements),
            Q8_0 if self.elements.is_multiple_of(BLOCK) => Ok(self.elements / BLOCK * BLOCK_BYTES),
            other => Err(FormatError::invalid(format!("tensor type {other} is not read here"))),
        }
    }

    /// Reads the weights in single precision.
    ///
    /// # Errors
    /// [`FormatError`] when they are kept in a way that is not known here, or end too early.
    pub fn weights(&self, input: &mut impl Read) -> Result<Vec<f32>, FormatError> {
        let mut raw = vec![0; self.bytes()?];
        exact(input, &mut raw)?;
        let half = |bytes: &[u8; 2]| f16::from_le_bytes(*bytes).to_f32();
        Ok(match self.kind {
            F32 => raw.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            F16 => raw.as_chunks().0.iter().map(half).collect(),
            _ => {
                let block = |[low, high, weights @ ..]: &[u8; BLOCK_BYTES]| {
                    let scale = half(&[*low, *high]);
                    (*weights).map(|weight| scale * f32::from(weight as i8))
                };
                raw.as_chunks::<BLOCK_BYTES>().0.iter().flat_map(block).collect()
            }
        })
    }
}

fn word(input: &mut impl Read) -> Result<u32, FormatError> {
    let mut bytes = [0; 4];
    exact(input, &mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

pub(super) fn exact(input: &mut impl Read, bytes: &mut [u8]) -> Result<(), FormatError> {
    input.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => FormatError::Truncated("the model"),
        _ => error.into(),
    })
}

pub(super) fn copy(input: &mut impl Read, out: &mut impl Write, len: usize) -> Result<(), FormatError> {
    if io::copy(&mut input.take(len as u64), out)? == len as u64 {
        Ok(())
    } else {
        Err(FormatError::Truncated("the model"))
    }
}
