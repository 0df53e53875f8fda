//! What was said to a contact, and by them, whichever way.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Wrong, line, lines, within};

/// Characters of what was said, and of what it is marked with.
pub(crate) const LONGEST_CONTENT: usize = 10_000;
const LONGEST_TAG: usize = 50;
/// Tags.
const MOST_TAGS: usize = 20;
/// Bytes of what programs write beside it, as JSON.
const LARGEST_METADATA: usize = 16 << 10;

/// What a communication is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each says what it is")]
pub enum CommunicationKind {
    CallSummary,
    Call,
    VoiceNote,
    Note,
    Email,
    Sms,
    Telegram,
    Meeting,
}

/// Who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A program that draws it from something.
    Ai,
    /// Somebody who was there.
    Person,
}

/// An entry of a contact's timeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Communication {
    /// What it is.
    pub kind: CommunicationKind,
    /// Who says so.
    pub source: Source,
    /// What was said.
    pub content: String,
    /// What it is marked with.
    pub tags: Vec<String>,
    /// What programs write beside it.
    pub metadata: Map<String, Value>,
}

impl Communication {
    /// The entry as it is kept. Of a call that was summarised there may be nothing to say.
    ///
    /// # Errors
    /// [`Wrong`], which says what cannot be kept.
    pub fn checked(&self) -> Result<Self, Wrong> {
        let content = lines(&self.content);
        if content.is_empty() && self.kind != CommunicationKind::CallSummary {
            return Err(Wrong::Empty("content"));
        }
        within("content", &content, LONGEST_CONTENT)?;
        let mut tags: Vec<String> = Vec::new();
        for tag in self.tags.iter().map(|tag| line(tag)).filter(|tag| !tag.is_empty()) {
            within("tags", &tag, LONGEST_TAG)?;
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        if tags.len() > MOST_TAGS {
            return Err(Wrong::TooMuch("tags", MOST_TAGS));
        }
        let metadata = self.metadata.clone();
        if serde_json::to_string(&metadata).map_or(usize::MAX, |json| json.len()) > LARGEST_METADATA {
            return Err(Wrong::TooMuch("metadata", LARGEST_METADATA));
        }
        Ok(Self { kind: self.kind, source: self.source, content, tags, metadata })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(content: &str, tags: &[&str]) -> Communication {
        Communication {
            kind: CommunicationKind::Note,
            source: Source::Person,
            content: content.to_owned(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            metadata: Map::new(),
        }
    }

    #[test]
    fn what_is_kept_is_tidy_and_has_an_end() {
        let kept = note(" hello\nyou ", &["a ", "a", ""]).checked().unwrap();
        assert_eq!((kept.content.as_str(), kept.tags.as_slice()), ("hello\nyou", &["a".to_owned()][..]));
        assert_eq!(note(" ", &[]).checked(), Err(Wrong::Empty("content")));
        assert_eq!(note(&"x".repeat(10_001), &[]).checked(), Err(Wrong::TooMuch("content", 10_000)));
        assert_eq!(note("x", &[&"x".repeat(51)]).checked(), Err(Wrong::TooMuch("tags", 50)));
        let many: Vec<String> = (0..21).map(|n| n.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(note("x", &many).checked(), Err(Wrong::TooMuch("tags", 20)));
        let mut large = note("x", &[]);
        large.metadata.insert("x".to_owned(), Value::from("x".repeat(LARGEST_METADATA)));
        assert_eq!(large.checked(), Err(Wrong::TooMuch("metadata", LARGEST_METADATA)));
        let silent = Communication { kind: CommunicationKind::CallSummary, ..note("", &[]) };
        assert!(silent.checked().is_ok());
    }
}
