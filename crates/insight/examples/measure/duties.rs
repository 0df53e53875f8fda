//! What agents must say, and what they say.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Deserialize;

const SENTENCES: &str = include_str!("../../data/checklist.toml");

/// Sentences by the language they are in.
pub type ByLanguage = BTreeMap<String, Vec<String>>;

/// All of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sentences {
    /// By name.
    pub items: BTreeMap<String, Item>,
    /// None of the items.
    pub others: ByLanguage,
}

/// Something that must be said.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// As an organisation would write it down.
    pub examples: ByLanguage,
    /// The same as agents say it.
    pub said: ByLanguage,
}

/// Reads them.
///
/// # Errors
/// When the file is not what it must be.
pub fn sentences() -> Result<Sentences> {
    Ok(toml::from_str(SENTENCES)?)
}
