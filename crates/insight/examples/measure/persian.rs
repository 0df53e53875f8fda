//! Sentences of the telephone in Persian, and the mood that they have.

use anyhow::Result;
use serde::Deserialize;
use sotto_call::Emotion;

const SENTENCES: &str = include_str!("../../data/persian-mood.tsv");

/// What somebody says, and how that sounds.
#[derive(Deserialize)]
pub struct Labelled {
    pub sentiment: Polarity,
    pub emotion: Emotion,
    pub text: String,
}

/// How pleasant something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Polarity {
    Negative,
    Neutral,
    Positive,
}

/// All of them.
///
/// # Errors
/// When a line is not what it must be.
pub fn sentences() -> Result<Vec<Labelled>> {
    let mut reader = csv::ReaderBuilder::new();
    reader.delimiter(b'\t').quoting(false).comment(Some(b'#')).has_headers(false);
    Ok(reader.from_reader(SENTENCES.as_bytes()).deserialize().collect::<Result<_, _>>()?)
}
