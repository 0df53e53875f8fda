//! `sotto insight`.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use sotto_call::{CallEvent, CallState};
use sotto_review::{CallInsight, Quality, Scorecard};

use super::offline::{Knowledge, Offline};
use crate::assist::Model;
use crate::config::Config;
use crate::writer::{self, WRITTEN_WITHIN};

/// The largest log that is read, in bytes: a day of talk has some tens of megabytes.
const MAX_LOG: u64 = 1 << 28;
/// The largest scorecard.
const MAX_SCORECARD: u64 = 1 << 20;

/// Prints what a call came to, as JSON: summary, entities, promises and the rest, each with the words that it rests on.
///
/// FILE is a recording (WAV or FLAC), which is played through the live path, or the events of a call (`.ndjson`), as
/// `sotto replay --json` prints them and `/api/calls/{id}/events` gives them.
#[derive(Debug, Args)]
pub(crate) struct Insight {
    /// The recording, or the events.
    file: PathBuf,
    /// Print how good the call was, by a scorecard, instead.
    #[arg(long)]
    quality: bool,
    /// Let the configured language model (`[llm]`) write the summary.
    #[arg(long, conflicts_with = "quality")]
    model: bool,
    /// A scorecard of your own (TOML).
    #[arg(long, value_name = "CARD", requires = "quality")]
    scorecard: Option<PathBuf>,
    /// The language spoken (`en`, `fa`); detected when not given and the configuration does not say.
    #[arg(long, value_parser = super::language)]
    language: Option<String>,
}

impl Insight {
    pub(crate) async fn run(self, config: Config) -> anyhow::Result<()> {
        let card = self.scorecard.as_deref().map(read_scorecard).transpose()?;
        let is_log = self.file.extension().is_some_and(|extension| extension == "ndjson");
        let events = if is_log { read_log(&self.file)? } else { self.played(&config).await? };
        if self.quality {
            print(&Quality::of(&events, &card.unwrap_or_else(Scorecard::built_in)))
        } else if self.model {
            let llm = config.llm.open()?.context("no server is configured: set `llm.url` and `llm.model`")?;
            let model = Model { llm, redaction: config.redaction, patience: WRITTEN_WITHIN };
            let state = CallState::of(&events);
            print(&writer::draft(&model, &state).await.insight(&state))
        } else {
            print(&CallInsight::of(&events))
        }
    }

    /// The events of a recording.
    async fn played(&self, config: &Config) -> anyhow::Result<Vec<CallEvent>> {
        let offline = Offline::start(config).await?;
        offline.understand(config, &Knowledge::default()).await?;
        let language = self.language.clone().or(config.speech.language.clone());
        let mut published = offline.play(&self.file, false, language).await?;
        let mut events = Vec::new();
        while let Some(event) = published.recv().await {
            events.push(Arc::unwrap_or_clone(event));
        }
        Ok(events)
    }
}

fn read_log(path: &Path) -> anyhow::Result<Vec<CallEvent>> {
    let place = || path.display().to_string();
    let lines = BufReader::new(File::open(path).with_context(place)?.take(MAX_LOG)).lines();
    let mut events = Vec::new();
    for (n, line) in (1..).zip(lines) {
        let line = line.with_context(place)?;
        if !line.trim().is_empty() {
            let event = serde_json::from_str(&line);
            events.push(event.with_context(|| format!("{}, line {n}: no event", path.display()))?);
        }
    }
    Ok(events)
}

fn read_scorecard(path: &Path) -> anyhow::Result<Scorecard> {
    let place = || path.display().to_string();
    let mut text = String::new();
    File::open(path)
        .with_context(place)?
        .take(MAX_SCORECARD)
        .read_to_string(&mut text)
        .with_context(place)?;
    Scorecard::parse(&text).with_context(place)
}

fn print(what: &impl Serialize) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(what)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_log_or_scorecard_is_named_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("call.ndjson");
        std::fs::write(&log, "\n{\"seq\":1}\n").unwrap();
        let why = format!("{:#}", read_log(&log).unwrap_err());
        assert!(why.contains("call.ndjson, line 2"), "{why}");
        std::fs::write(&log, "\n").unwrap();
        assert_eq!(read_log(&log).unwrap(), []);
        let card = folder.path().join("card.toml");
        std::fs::write(&card, "questions = []").unwrap();
        let why = format!("{:#}", read_scorecard(&card).unwrap_err());
        assert!(why.contains("card.toml") && why.contains("needs questions"), "{why}");
        let why = format!("{:#}", read_log(&folder.path().join("none.ndjson")).unwrap_err());
        assert!(why.contains("none.ndjson"), "{why}");
    }
}
