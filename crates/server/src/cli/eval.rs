//! `sotto eval`.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use sotto_call::{EventBody, Party};

use sotto_score::{Event, read_events, read_turns, score};

use super::offline::Offline;
use crate::config::Config;

/// Plays every call of a folder at real-time speed through the live path, one after the other, and prints how
/// right and how fast the transcripts were as one line of JSON.
///
/// The folder holds `stereo/ID.flac` (or `.wav`; left = agent, right = customer, whose role is `caller`) and
/// `turns.json`, rows of `sid`, `role`, `offset_ms_call_clock`, `duration_ms`, `human`.
#[derive(Debug, Args)]
pub(crate) struct Eval {
    /// The folder.
    dir: PathBuf,
    /// Write what was published, one event a line: `call`, `role`, `at_ms`, `final`, `text`, `utterance`,
    /// `revision`.
    #[arg(long, value_name = "OUT")]
    json: Option<PathBuf>,
    /// Play nothing; score the events in this file.
    #[arg(long, value_name = "EVENTS", conflicts_with = "json")]
    score: Option<PathBuf>,
    /// The language spoken.
    #[arg(long, default_value = "en")]
    language: String,
}

impl Eval {
    pub(crate) async fn run(self, mut config: Config) -> anyhow::Result<()> {
        // What is measured is recognition: a word that is taken out would count as one that is wrong.
        config.redaction.enabled = false;
        let turns = read_turns(&self.dir)?;
        let events = match &self.score {
            Some(file) => read_events(file)?,
            None => {
                let calls: BTreeSet<&str> = turns.iter().map(|turn| turn.call.as_str()).collect();
                let mut out = self.json.as_deref().map(std::fs::File::create).transpose()?;
                let offline = Offline::start(&config).await?;
                let mut events = Vec::new();
                for call in calls {
                    let file = recording(&self.dir, call)?;
                    let mut published = offline.play(&file, true, Some(self.language.clone())).await?;
                    while let Some(event) = published.recv().await {
                        let EventBody::Utterance(utterance) = &event.body else { continue };
                        let event = Event {
                            call: call.to_owned(),
                            role: if utterance.party == Party::Agent { "agent" } else { "caller" }.into(),
                            at_ms: event.at_ms.0 as i64,
                            r#final: utterance.r#final,
                            text: utterance.text.clone(),
                            utterance: Some(utterance.utterance_id.0.into()),
                            revision: utterance.revision,
                        };
                        if let Some(out) = &mut out {
                            writeln!(out, "{}", serde_json::to_string(&event)?)?;
                        }
                        events.push(event);
                    }
                    eprintln!("{call}: played");
                }
                events
            }
        };
        println!("{}", serde_json::to_string(&score(&turns, &events)?)?);
        Ok(())
    }
}

fn recording(dir: &Path, call: &str) -> anyhow::Result<PathBuf> {
    let names = ["flac", "wav"].map(|extension| dir.join("stereo").join(format!("{call}.{extension}")));
    names.iter().find(|path| path.is_file()).cloned().with_context(|| format!("no recording of {call}"))
}
