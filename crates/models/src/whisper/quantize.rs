//! Half the size and more speed: matrices in Q8_0, as whisper.cpp's quantiser writes them.
//!
//! A block is 32 weights: one half precision scale, 32 signed bytes. Convolutions, vectors and positions
//! stay as they are.

use std::io::{Read, Write};

use half::f16;

use super::ggml::{self, BLOCK, BLOCK_BYTES, F16, F32, KEPT_WHOLE, Q8_0, TensorHead, copy, exact};
use super::{FormatError, limit};

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
    ggml::head(input, out, |ftype| match *ftype {
        F16 => {
            *ftype = FTYPE;
            Ok(())
        }
        _ => Err(FormatError::invalid("this is no GGML model in half precision")),
    })?;
    ggml::tensors(input, |tensor, input| quantised(tensor, input, out))
}

/// Copies or quantises a tensor.
fn quantised(tensor: &TensorHead, input: &mut impl Read, out: &mut impl Write) -> Result<(), FormatError> {
    let TensorHead { name, kind, sides, elements: total } = tensor;
    let kept = KEPT_WHOLE.contains(&name.as_str());
    let quantise = sides.len() == 2 && !kept;
    let width = match *kind {
        F32 => 4,
        F16 => 2,
        other => return Err(FormatError::invalid(format!("tensor type {other} cannot be quantised"))),
    };
    let row = if quantise { limit("matrix row", sides[0].into(), MAX_ROW)? } else { 0 };
    if quantise && (row == 0 || !row.is_multiple_of(BLOCK)) {
        return Err(FormatError::invalid("a matrix row is no multiple of 32 weights"));
    }
    tensor.write(if quantise { Q8_0 } else { *kind }, out)?;
    if !quantise {
        return copy(input, out, width * total);
    }
    let mut raw = vec![0; width * row];
    let mut packed = Vec::with_capacity(row / BLOCK * BLOCK_BYTES);
    let mut weights = [0f32; BLOCK];
    for _ in 0..total / row {
        exact(input, &mut raw)?;
        packed.clear();
        for block in raw.chunks_exact(width * BLOCK) {
            if *kind == F16 {
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
    Ok(())
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
