//! What agents are told while they talk: which words, and what must be said on every call.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sotto_insight::PromptSet;

/// The largest file of prompts that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// See [`crate::config::Config::prompts`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PromptsConfig {
    /// Whether agents are told anything.
    pub enabled: bool,
    /// The file with the organisation's own words, and its checklist. Absent: the words that are built in, and no checklist.
    #[schemars(with = "Option<String>")]
    pub file: Option<PathBuf>,
}

impl Default for PromptsConfig {
    fn default() -> Self {
        Self { enabled: true, file: None }
    }
}

impl PromptsConfig {
    /// What agents are told; nothing, where they are not to be told anything.
    ///
    /// # Errors
    /// When the file cannot be read, or what is in it is wrong.
    pub fn read(&self) -> anyhow::Result<Option<PromptSet>> {
        if !self.enabled {
            return Ok(None);
        }
        let Some(path) = &self.file else { return Ok(Some(PromptSet::built_in())) };
        let place = || format!("`prompts.file`: {}", path.display());
        let mut text = String::new();
        let file = std::fs::File::open(path).with_context(place)?;
        file.take(MAX_FILE).read_to_string(&mut text).with_context(place)?;
        Ok(Some(PromptSet::parse(&text).with_context(place)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_prompts_that_cannot_be_read_is_named() {
        assert_eq!(PromptsConfig::default().read().unwrap(), Some(PromptSet::built_in()));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prompts.toml");
        let config = PromptsConfig { file: Some(path.clone()), ..PromptsConfig::default() };
        let why = format!("{:#}", config.read().unwrap_err());
        assert!(why.contains("prompts.file") && why.contains("prompts.toml"), "{why}");
        std::fs::write(&path, "[texts]\nanger = 3").unwrap();
        let why = format!("{:#}", config.read().unwrap_err());
        assert!(why.contains("prompts.toml") && why.contains("line 2"), "{why}");
        assert_eq!(PromptsConfig { enabled: false, ..config }.read().unwrap(), None);
    }
}
