//! Files with sentences of our own.

use anyhow::Result;
use serde::de::DeserializeOwned;

/// The lines of a file, each a sentence after what it is labelled with: parted by tabulators, without a heading.
///
/// # Errors
/// When a line is not what it must be.
pub fn labelled<T: DeserializeOwned>(lines: &str) -> Result<Vec<T>> {
    let mut reader = csv::ReaderBuilder::new();
    reader.delimiter(b'\t').quoting(false).comment(Some(b'#')).has_headers(false);
    Ok(reader.from_reader(lines.as_bytes()).deserialize().collect::<Result<_, _>>()?)
}
