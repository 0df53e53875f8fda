//! What a GGML file carries besides weights: the vocabulary and the mel filter bank, both from the
//! `whisper/assets` folder of OpenAI's source package.

use std::io::{Cursor, Read};

use flate2::read::GzDecoder;
use zip::ZipArchive;

use super::{FormatError, limit, torch};
use crate::format::Bytes;

/// More than any file of the assets folder.
const MAX_ASSET: u64 = 8 << 20;
/// More tokens than Whisper has (50,257 before the special ones).
const MAX_TOKENS: u64 = 100_000;

/// A triangular filter bank: `bands` rows of `bins` weights.
#[derive(Debug, Clone, PartialEq)]
pub struct MelFilters {
    /// Rows.
    pub bands: usize,
    /// Columns: 201 for Whisper's 400-point transform.
    pub bins: usize,
    /// Row-major weights.
    pub weights: Vec<f32>,
}

/// One file out of a gzipped source package, found by the end of its path.
///
/// # Errors
/// [`FormatError`] when the package is damaged, does not hold the file, or the file is unreasonably large.
pub fn from_sdist(package: &[u8], suffix: &str) -> Result<Vec<u8>, FormatError> {
    // The whole package is a few megabytes; the bound stops a gzip bomb.
    let mut archive = tar::Archive::new(GzDecoder::new(package).take(64 << 20));
    for entry in archive.entries()? {
        let entry = entry?;
        if entry.path_bytes().ends_with(suffix.as_bytes()) {
            let size = limit("archived file", entry.size(), MAX_ASSET)?;
            let mut bytes = Vec::new();
            entry.take(MAX_ASSET).read_to_end(&mut bytes)?;
            return if bytes.len() == size {
                Ok(bytes)
            } else {
                Err(FormatError::Truncated("an archived file"))
            };
        }
    }
    Err(FormatError::invalid(format!("the package holds no {suffix}")))
}

/// Reads a `.tiktoken` file: a base64 token and its rank on each line, ranks ascending from zero.
///
/// # Errors
/// [`FormatError`] on anything else.
pub fn vocabulary(tiktoken: &[u8]) -> Result<Vec<Vec<u8>>, FormatError> {
    let text = crate::format::utf8(tiktoken, "the vocabulary")?;
    let mut tokens = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (token, rank) =
            line.split_once(' ').ok_or_else(|| FormatError::invalid("a token without a rank"))?;
        if rank.parse() != Ok(tokens.len()) {
            return Err(FormatError::invalid(format!("token {} is out of order", tokens.len())));
        }
        limit("number of tokens", tokens.len() as u64 + 1, MAX_TOKENS)?;
        tokens.push(base64(token)?);
    }
    Ok(tokens)
}

/// Standard base64. Unlike strict decoders it reads a lone `=` as the empty token, as the file means it.
fn base64(text: &str) -> Result<Vec<u8>, FormatError> {
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let sextet = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err(FormatError::invalid("a token is not base64")),
        };
        bits = (bits << 6) | u32::from(sextet);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    Ok(out)
}

/// Reads the filter bank with `bands` bands from `mel_filters.npz`.
///
/// # Errors
/// [`FormatError`] when the file does not hold a bank of 32-bit floats with that many bands.
pub fn mel_filters(npz: &[u8], bands: u32) -> Result<MelFilters, FormatError> {
    limit("number of mel bands", bands.into(), 256)?;
    let mut archive = ZipArchive::new(Cursor::new(npz)).map_err(torch::bad_zip)?;
    let npy = torch::entry(&mut archive, &format!("mel_{bands}.npy"), 1 << 20)?;
    let mut input = Bytes::new(&npy);
    if input.take(8, "the array header")? != b"\x93NUMPY\x01\x00" {
        return Err(FormatError::invalid("the filter bank is no NumPy array of version 1"));
    }
    let len = input.u16("the array header")?;
    let header = String::from_utf8_lossy(input.take(len.into(), "the array header")?).replace(' ', "");
    let bins = 201;
    if !header.contains("'descr':'<f4'")
        || !header.contains("'fortran_order':False")
        || !header.contains(&format!("'shape':({bands},{bins})"))
    {
        return Err(FormatError::invalid("the filter bank has an unexpected type or shape"));
    }
    let bands = bands as usize;
    let bytes = input.take(4 * bands * bins, "the filter bank")?;
    let weights = bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    Ok(MelFilters { bands, bins, weights })
}
