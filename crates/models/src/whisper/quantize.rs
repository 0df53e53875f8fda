//! Half the size and more speed: matrices in Q8_0, as whisper.cpp's quantiser writes them.
//!
//! A block is 32 weights: one half precision scale, 32 signed bytes. Convolutions, vectors and positions
//! stay as they are.

use std::io::{Read, Write};

use half::f16;

use super::ggml::{F16, F32, KEPT_WHOLE, MAGIC, Q8_0, put};
use super::{FormatError, MAX_ELEMENTS, MAX_TENSORS, limit};

const BLOCK: usize = 32;
/// Bytes of a block: the scale and one byte a weight.
const BLOCK_BYTES: usize = 2 + BLOCK;
/// Wider than any matrix of a Whisper model (large: 5,120).
const MAX_ROW: u64 = 1 << 16;
/// Quantisation format 2 (times 1,000), mostly Q8_0 (7): whisper.cpp's `ftype`.
const FTYPE: u32 = 2_007;

/// Rewrites a GGML file in half precision as Q8_0.
///
/// # Errors
/// [`FormatError`] when the input is no half precision GGML file or is damaged, or when reading or writing
/// fails.
pub fn q8_0(input: &mut impl Read, out: &mut impl Write) -> Result<(), FormatError> {
    let mut header = [0u32; 12];
    for field in &mut header {
        *field = word(input)?;
    }
    if header[0] != MAGIC || header[11] != F16 {
        return Err(FormatError::invalid("this is no GGML model in half precision"));
    }
    header[11] = FTYPE;
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
    for _ in 0..=MAX_TENSORS {
        if !tensor(input, out)? {
            return Ok(());
        }
    }
    Err(FormatError::TooLarge { what: "number of tensors", value: MAX_TENSORS + 1, limit: MAX_TENSORS })
}

/// Copies or quantises the next tensor; false at the end of the file.
fn tensor(input: &mut impl Read, out: &mut impl Write) -> Result<bool, FormatError> {
    let mut first = [0u8; 4];
    let n = input.read(&mut first)?;
    if n == 0 {
        return Ok(false);
    }
    exact(input, first.get_mut(n..).unwrap_or_default())?;
    let rank = limit("number of dimensions", u32::from_le_bytes(first).into(), 4)?;
    let name_len = limit("name length", word(input)?.into(), 256)?;
    let kind = word(input)?;
    let mut sides = [1u32; 4];
    let mut total = 1u64;
    for side in sides.iter_mut().take(rank) {
        *side = word(input)?;
        total = total.saturating_mul((*side).into());
    }
    let total = limit("tensor size", total, MAX_ELEMENTS)?;
    let mut name = vec![0; name_len];
    exact(input, &mut name)?;

    let kept = KEPT_WHOLE.iter().any(|kept| kept.as_bytes() == name);
    let quantise = rank == 2 && !kept;
    let width = match kind {
        F32 => 4,
        F16 => 2,
        other => return Err(FormatError::invalid(format!("tensor type {other} cannot be quantised"))),
    };
    let row = if quantise { limit("matrix row", sides[0].into(), MAX_ROW)? } else { 0 };
    if quantise && (row == 0 || !row.is_multiple_of(BLOCK)) {
        return Err(FormatError::invalid("a matrix row is no multiple of 32 weights"));
    }

    put(out, rank as u32)?;
    put(out, name_len as u32)?;
    put(out, if quantise { Q8_0 } else { kind })?;
    for side in sides.iter().take(rank) {
        put(out, *side)?;
    }
    out.write_all(&name)?;
    if !quantise {
        copy(input, out, width * total)?;
        return Ok(true);
    }
    let mut raw = vec![0; width * row];
    let mut packed = Vec::with_capacity(row / BLOCK * BLOCK_BYTES);
    let mut weights = [0f32; BLOCK];
    for _ in 0..total / row {
        exact(input, &mut raw)?;
        packed.clear();
        for block in raw.chunks_exact(width * BLOCK) {
            if kind == F16 {
                for (weight, bytes) in weights.iter_mut().zip(block.as_chunks().0) {
                    *weight = f16::from_le_bytes(*bytes).to_f32();
                }
            } else {
                for (weight, bytes) in weights.iter_mut().zip(block.as_chunks().0) {
                    *weight = f32::from_le_bytes(*bytes);
                }
            }
            packed.extend_from_slice(&pack(&weights));
        }
        out.write_all(&packed)?;
    }
    Ok(true)
}

/// One block: the largest magnitude becomes ±127.
fn pack(weights: &[f32; BLOCK]) -> [u8; BLOCK_BYTES] {
    let largest = weights.iter().fold(0f32, |most, w| most.max(w.abs()));
    let scale = largest / 127.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let mut block = [0; BLOCK_BYTES];
    let (head, tail) = block.split_at_mut(2);
    head.copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    for (byte, weight) in tail.iter_mut().zip(weights) {
        *byte = ((weight * inverse).round() as i8) as u8;
    }
    block
}

fn word(input: &mut impl Read) -> Result<u32, FormatError> {
    let mut bytes = [0; 4];
    exact(input, &mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn exact(input: &mut impl Read, bytes: &mut [u8]) -> Result<(), FormatError> {
    input.read_exact(bytes).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => FormatError::Truncated("the model"),
        _ => error.into(),
    })
}

fn copy(input: &mut impl Read, out: &mut impl Write, len: usize) -> Result<(), FormatError> {
    if std::io::copy(&mut input.take(len as u64), out)? == len as u64 {
        Ok(())
    } else {
        Err(FormatError::Truncated("the model"))
    }
}
