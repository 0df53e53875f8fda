//! Sentences of the telephone in Persian, and the mood that they have.

use anyhow::Result;
use serde::Deserialize;
use sotto_call::Emotion;
use sotto_insight::Polarity;

use crate::labelled::labelled;

const SENTENCES: &str = include_str!("../../data/persian-mood.tsv");

/// What somebody says, and how that sounds.
#[derive(Deserialize)]
pub struct Labelled {
    pub sentiment: Polarity,
    pub emotion: Emotion,
    pub text: String,
}

/// All of them.
///
/// # Errors
/// When a line is not what it must be.
pub fn sentences() -> Result<Vec<Labelled>> {
    labelled(SENTENCES)
}
