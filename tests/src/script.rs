//! The demo conversation, and how close a transcript comes to its words.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

/// The repository's root.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Where cargo puts what it builds.
#[must_use]
pub fn target() -> PathBuf {
    let given = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    given.map_or_else(|| root().join("target"), |t| root().join(t))
}

/// One turn of a conversation.
#[derive(Clone, Debug)]
pub struct Turn {
    /// `agent` or `customer`.
    pub party: String,
    /// The words.
    pub text: String,
    /// Where they begin, in milliseconds.
    pub start_ms: u64,
    /// Where they end.
    pub end_ms: u64,
}

/// A conversation of `demo/`.
#[derive(Clone, Debug)]
pub struct Script {
    /// The recording.
    pub audio: PathBuf,
    /// What is said, in order.
    pub turns: Vec<Turn>,
}

impl Script {
    /// The support call in English.
    ///
    /// # Errors
    /// When the repository is not whole.
    pub fn support() -> Result<Self> {
        Self::load("call.wav", "script.json")
    }

    /// The Persian call.
    ///
    /// # Errors
    /// When the repository is not whole.
    pub fn persian() -> Result<Self> {
        Self::load("persian.wav", "persian.json")
    }

    fn load(audio: &str, script: &str) -> Result<Self> {
        let demo = root().join("demo");
        let path = demo.join(script);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let script: Value = serde_json::from_str(&text)?;
        let turns = script["turns"].as_array().context("no turns")?.iter().map(|turn| Turn {
            party: turn["party"].as_str().unwrap_or_default().to_owned(),
            text: turn["text"].as_str().unwrap_or_default().to_owned(),
            start_ms: turn["start_ms"].as_u64().unwrap_or_default(),
            end_ms: turn["end_ms"].as_u64().unwrap_or_default(),
        });
        Ok(Self { audio: demo.join(audio), turns: turns.collect() })
    }

    /// What `party` says in the turns that end before `end_ms`.
    #[must_use]
    pub fn words(&self, party: &str, end_ms: u64) -> Vec<String> {
        let turns = self.turns.iter().filter(|t| t.party == party && t.end_ms <= end_ms);
        turns.flat_map(|t| words(&t.text)).collect()
    }
}

/// A text's words for comparison: lower case, no punctuation, digits one by one and spelled out.
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    const DIGITS: [&str; 10] =
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    let mut out = Vec::new();
    let lower = text.to_lowercase().replace('\'', "");
    for word in lower.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()) {
        if word == "12" {
            out.push("twelve".to_owned());
        } else if word.chars().all(|c| c.is_ascii_digit()) {
            let digits = word.chars().filter_map(|c| c.to_digit(10));
            out.extend(digits.filter_map(|d| DIGITS.get(d as usize)).map(|d| (*d).to_owned()));
        } else {
            out.push(word.to_owned());
        }
    }
    out
}

/// Substitutions, insertions and deletions that make `heard` out of `said`.
pub use sotto_score::distance as edits;

/// The newest final text of a party's utterances, in the order they began, out of a call's events.
#[must_use]
pub fn transcript(events: &[Value], party: &str) -> String {
    let mut texts: std::collections::BTreeMap<u64, &str> = Default::default();
    for event in events {
        if event["kind"] == "utterance" && event["final"] == true && event["party"] == party {
            let id = event["utterance_id"].as_u64().unwrap_or_default();
            texts.insert(id, event["text"].as_str().unwrap_or_default());
        }
    }
    texts.into_values().filter(|t| !t.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Word error rate of what a call's events say `party` said, against the script up to `end_ms`.
#[must_use]
pub fn word_error_rate(script: &Script, events: &[Value], party: &str, end_ms: u64) -> f64 {
    let said = script.words(party, end_ms);
    let heard = words(&transcript(events, party));
    edits(&said, &heard) as f64 / said.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_compared_as_spoken() {
        assert_eq!(
            words("It's 471-926, 12 Garden St."),
            words("its four seven one nine two six twelve garden st")
        );
    }

    #[test]
    fn a_revision_replaces_and_an_empty_one_takes_back() {
        let event = |id: u32, text: &str, last: bool| serde_json::json!({"kind": "utterance", "party": "agent", "utterance_id": id, "final": last, "text": text});
        let events = [
            event(1, "one", true),
            event(2, "ghost", true),
            event(1, "won", true),
            event(2, "", true),
            event(3, "part", false),
        ];
        assert_eq!(transcript(&events, "agent"), "won");
    }

    #[test]
    fn the_demo_conversation_is_whole() {
        for script in [Script::support().unwrap(), Script::persian().unwrap()] {
            assert!(script.audio.exists());
            assert!(script.turns.windows(2).all(|t| t[0].start_ms < t[1].start_ms));
            let audio = crate::audio::Audio::read(&script.audio).unwrap();
            assert_eq!((audio.rate, audio.channels.len()), (8000, 2));
            for turn in &script.turns {
                let channel = usize::from(turn.party == "customer");
                assert!(audio.loudness(channel, turn.start_ms, turn.end_ms) > 0.02, "{turn:?} is not there");
            }
        }
    }
}
