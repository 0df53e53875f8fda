//! OpenAI's checkpoints: a zip archive of a pickle and one file per tensor storage.

use std::io::{Cursor, Read, Seek};

use zip::ZipArchive;

use super::pickle::TensorRef;
use super::{Checkpoint, Dims, FormatError, Tensor, elements, limit, pickle};

/// Reads an OpenAI Whisper `.pt` file in half precision.
///
/// # Errors
/// [`FormatError`] when the file is no such checkpoint, is damaged, or is larger than any Whisper model.
pub fn read(data: &[u8]) -> Result<Checkpoint, FormatError> {
    let mut archive = ZipArchive::new(Cursor::new(data)).map_err(bad_zip)?;
    let pickle_name = archive
        .file_names()
        .filter_map(Result::ok)
        .find(|name| name.ends_with("/data.pkl"))
        .ok_or_else(|| FormatError::invalid("the archive holds no data.pkl"))?
        .into_owned();
    let folder = pickle_name.trim_end_matches("data.pkl").to_owned();
    let pickled = entry(&mut archive, &pickle_name, 4 << 20)?;
    let described = pickle::read(&pickled)?;

    let dim = |name: &str| match described.dims.get(name).map(|n| u32::try_from(*n)) {
        Some(Ok(n)) => Ok(n),
        _ => Err(FormatError::invalid(format!("the checkpoint does not say its {name}"))),
    };
    let dims = Dims {
        n_mels: dim("n_mels")?,
        n_vocab: dim("n_vocab")?,
        n_audio_ctx: dim("n_audio_ctx")?,
        n_audio_state: dim("n_audio_state")?,
        n_audio_head: dim("n_audio_head")?,
        n_audio_layer: dim("n_audio_layer")?,
        n_text_ctx: dim("n_text_ctx")?,
        n_text_state: dim("n_text_state")?,
        n_text_head: dim("n_text_head")?,
        n_text_layer: dim("n_text_layer")?,
    };

    // A sound checkpoint holds hardly more than its file: without this, a small file could name one storage
    // thousands of times, or hold a storage of compressed zeros.
    let mut budget = data.len().saturating_mul(2);
    let mut tensors = Vec::with_capacity(described.tensors.len());
    for tensor in described.tensors {
        let count = elements(&tensor.shape)?;
        budget = budget
            .checked_sub(2 * count.max(tensor.storage_len))
            .ok_or_else(|| FormatError::invalid("the tensors of the checkpoint do not fit into its file"))?;
        let storage =
            entry(&mut archive, &format!("{folder}data/{}", tensor.key), 2 * tensor.storage_len as u64)?;
        let data = gather(&storage, &tensor).ok_or(FormatError::Truncated("a tensor"))?;
        tensors.push(Tensor { name: tensor.name.to_owned(), shape: tensor.shape, data });
    }
    Ok(Checkpoint { dims, tensors })
}

/// A tensor's elements row by row, however they are stored.
fn gather(storage: &[u8], tensor: &TensorRef<'_>) -> Option<Vec<u8>> {
    let elements = storage.as_chunks::<2>().0;
    let mut data = Vec::with_capacity(2 * tensor.shape.iter().product::<usize>());
    let mut index = vec![0; tensor.shape.len()];
    let mut at = tensor.offset;
    if tensor.shape.contains(&0) {
        return Some(data);
    }
    loop {
        data.extend_from_slice(elements.get(at)?);
        // Count the index up like an odometer, innermost dimension first.
        let mut sides = index.iter_mut().zip(&tensor.shape).zip(&tensor.stride).rev();
        loop {
            let Some(((position, side), step)) = sides.next() else { return Some(data) };
            *position += 1;
            at += step;
            if *position < *side {
                break;
            }
            at -= *position * step;
            *position = 0;
        }
    }
}

/// One file of an archive, refusing to unpack more than `max` bytes.
pub(crate) fn entry<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    name: &str,
    max: u64,
) -> Result<Vec<u8>, FormatError> {
    let file = archive.by_name(name).map_err(bad_zip)?;
    let size = limit("archived file", file.size(), max)?;
    let mut bytes = Vec::new();
    file.take(max).read_to_end(&mut bytes)?;
    if bytes.len() == size { Ok(bytes) } else { Err(FormatError::Truncated("an archived file")) }
}

pub(crate) fn bad_zip(error: zip::result::ZipError) -> FormatError {
    match error {
        zip::result::ZipError::Io(error) => FormatError::Io(error),
        other => FormatError::invalid(format!("the archive cannot be read: {other}")),
    }
}
