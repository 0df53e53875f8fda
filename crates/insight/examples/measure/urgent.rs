//! Sentences of the telephone, and whether what they are about is urgent.

use anyhow::Result;
use serde::Deserialize;

use crate::labelled::labelled;

/// By language (BCP 47).
const FILES: [(&str, &str); 2] =
    [("en", include_str!("../../data/urgency.en.tsv")), ("fa", include_str!("../../data/urgency.fa.tsv"))];

/// What somebody says.
#[derive(Deserialize)]
pub struct Sentence {
    pub part: Part,
    pub label: Label,
    /// What it is about: a group is of one part.
    pub group: String,
    pub text: String,
}

/// What a sentence is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    Train,
    Test,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    Urgent,
    NotUrgent,
}

/// All of them, with the language they are in.
///
/// # Errors
/// When a line is not what it must be.
pub fn sentences() -> Result<Vec<(&'static str, Vec<Sentence>)>> {
    FILES.iter().map(|(language, lines)| Ok((*language, labelled(lines)?))).collect()
}
