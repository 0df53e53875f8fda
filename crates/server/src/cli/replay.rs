//! `sotto replay` and `sotto transcribe`.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use sotto_call::{CallState, Card, CardNotShown, EventBody, Millis, Span};

use super::offline::{Knowledge, Offline};
use crate::config::Config;

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Speed {
    /// As it was spoken.
    #[value(name = "1")]
    Real,
    /// As fast as the machine can; without partials.
    Max,
}

/// Plays a recorded call (WAV or FLAC; of two channels the left is the agent's) through the live path.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The recording.
    file: PathBuf,
    /// Print every event as a line of JSON, instead of what is said.
    #[arg(long)]
    json: bool,
    /// Real time, or as fast as it goes.
    #[arg(long, value_enum, default_value = "max")]
    speed: Speed,
    /// The language spoken (`en`, `fa`); detected when not given and the configuration does not say.
    #[arg(long, value_parser = super::language)]
    language: Option<String>,
    #[command(flatten)]
    knowledge: Knowledge,
}

/// Prints the transcript of a recorded call.
#[derive(Debug, Args)]
pub(crate) struct Transcribe {
    /// The recording.
    file: PathBuf,
    /// Print the utterances as JSON.
    #[arg(long)]
    json: bool,
    /// The language spoken (`en`, `fa`); detected when not given and the configuration does not say.
    #[arg(long, value_parser = super::language)]
    language: Option<String>,
}

impl Replay {
    pub(crate) async fn run(self, config: Config) -> anyhow::Result<()> {
        let offline = Offline::start(&config).await?;
        offline.understand(&config, &self.knowledge).await?;
        let language = self.language.or(config.speech.language.clone());
        let mut events = offline.play(&self.file, self.speed == Speed::Real, language).await?;
        let mut out = std::io::stdout();
        while let Some(event) = events.recv().await {
            if self.json {
                writeln!(out, "{}", serde_json::to_string(&event)?)?;
                continue;
            }
            match &event.body {
                EventBody::Utterance(utterance) => {
                    let mark = match (utterance.r#final, utterance.revision) {
                        (false, _) => "…",
                        (true, 0) => " ",
                        (true, _) => "↻",
                    };
                    let (time, party) = (clock(utterance.start_ms), utterance.party.as_str());
                    writeln!(out, "{time} {mark} {party:<8} {}", utterance.text)?;
                }
                EventBody::Card(card) => writeln!(out, "{} ▸ card     {}", clock(event.at_ms), shown(card))?,
                EventBody::CardHeldBack(held) => {
                    let CardNotShown { query, because, confidence, .. } = held;
                    let time = clock(event.at_ms);
                    writeln!(out, "{time} ▹ no card  {query} ({because:?}, {confidence:.2})")?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Transcribe {
    pub(crate) async fn run(self, config: Config) -> anyhow::Result<()> {
        let offline = Offline::start(&config).await?;
        let language = self.language.or(config.speech.language.clone());
        let mut events = offline.play(&self.file, false, language).await?;
        let mut state = CallState::default();
        while let Some(event) = events.recv().await {
            state.apply(&event);
        }
        let mut finals: Vec<_> = state.finals().collect();
        finals.sort_by_key(|utterance| utterance.start_ms);
        let mut out = std::io::stdout();
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&finals)?)?;
        } else {
            for utterance in finals {
                let (time, party) = (clock(utterance.start_ms), utterance.party.as_str());
                writeln!(out, "{time} {party:<8} {}", utterance.text)?;
            }
        }
        Ok(())
    }
}

/// A card as people read it: where it stands, what answers, how sure that is.
fn shown(card: &Card) -> String {
    let place: Vec<&str> = std::iter::once(&card.title).chain(&card.section).map(String::as_str).collect();
    let answer: String = match card.answer {
        Some(Span { start, end }) => {
            card.text.chars().skip(start as usize).take(end.saturating_sub(start) as usize).collect()
        }
        None => card.text.clone(),
    };
    format!(
        "{} ({}, {:.2}): {}",
        place.join(" › "),
        card.document,
        card.confidence,
        answer.replace('\n', " ")
    )
}

fn clock(at: Millis) -> String {
    format!("{:02}:{:02}.{}", at.0 / 60_000, at.0 / 1000 % 60, at.0 / 100 % 10)
}
