//! `sotto eval`.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;

use anyhow::Context as _;
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use sotto_call::{EventBody, Party};
use sotto_score::{Event, read_events, read_turns, score};

use super::offline::{Knowledge, Offline};
use crate::config::Config;

/// Plays every call of a folder at real-time speed through the live path, one after the other, and prints how
/// right and how fast the transcripts were as one line of JSON.
///
/// With documents (`--knowledge`) it says as well what was shown of them: `cards`, how many there were, and how long after
/// the publication of the customer's words each came (`latency_ms`, in ascending order); and how much was looked up before
/// words were final (`looked_ahead`), how often these asked the same (`confirmed`), and how long that took (`sooner_ms`).
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
    #[arg(long, default_value = "en", value_parser = super::language)]
    language: String,
    /// How many calls are played at the same time.
    #[arg(long, value_name = "CALLS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    at_once: u16,
    #[command(flatten)]
    knowledge: Knowledge,
}

impl Eval {
    pub(crate) async fn run(self, mut config: Config) -> anyhow::Result<()> {
        // What is measured is recognition: a word that is taken out would count as one that is wrong.
        config.redaction.enabled = false;
        let turns = read_turns(&self.dir)?;
        let (mut events, mut latencies, mut counted) = (Vec::new(), Vec::new(), None);
        if let Some(file) = &self.score {
            events = read_events(file)?;
        } else {
            let calls: BTreeSet<&str> = turns.iter().map(|turn| turn.call.as_str()).collect();
            let mut out = self.json.as_deref().map(std::fs::File::create).transpose()?;
            let offline = Offline::start(&config).await?;
            if self.knowledge.is_given() {
                offline.understand(&config, &self.knowledge).await?;
            }
            let calls = futures::stream::iter(calls).map(|call| self.play(&offline, call));
            let mut played = calls.buffer_unordered(usize::from(self.at_once));
            while let Some(Played { call, said, cards_ms }) = played.try_next().await? {
                if let Some(out) = &mut out {
                    for event in &said {
                        writeln!(out, "{}", serde_json::to_string(event)?)?;
                    }
                }
                events.extend(said);
                latencies.extend(cards_ms);
                eprintln!("{call}: played");
            }
            counted = offline.calls.insight_figures();
        }
        let mut figures = serde_json::to_value(score(&turns, &events)?)?;
        if self.knowledge.is_given()
            && let Value::Object(figures) = &mut figures
        {
            latencies.sort_unstable();
            let (ahead, confirmed, sooner_ms) = counted.map_or((0, 0, 0), |counted| {
                let (confirmed, sooner_ms) = counted.sooner.read();
                (counted.ahead.load(Relaxed), confirmed.iter().sum::<u64>(), sooner_ms)
            });
            let cards = json!({
                "n": latencies.len(), "latency_ms": latencies,
                "looked_ahead": ahead, "confirmed": confirmed, "sooner_ms": sooner_ms,
            });
            figures.insert("cards".to_owned(), cards);
        }
        println!("{figures}");
        Ok(())
    }

    async fn play(&self, offline: &Offline, call: &str) -> anyhow::Result<Played> {
        let file = recording(&self.dir, call)?;
        let mut published = offline.play(&file, true, Some(self.language.clone())).await?;
        let (mut said, mut cards_ms) = (Vec::new(), Vec::new());
        while let Some(event) = published.recv().await {
            match &event.body {
                EventBody::Utterance(utterance) => said.push(Event {
                    call: call.to_owned(),
                    role: if utterance.party == Party::Agent { "agent" } else { "caller" }.into(),
                    at_ms: event.at_ms.0 as i64,
                    r#final: utterance.r#final,
                    text: utterance.text.clone(),
                    utterance: Some(utterance.utterance_id.0.into()),
                    revision: utterance.revision,
                }),
                EventBody::Card(card) => cards_ms.push(card.latency_ms.0),
                _ => {}
            }
        }
        Ok(Played { call: call.to_owned(), said, cards_ms })
    }
}

/// A call that was played.
struct Played {
    call: String,
    said: Vec<Event>,
    /// How long after the words that they rest on its cards came.
    cards_ms: Vec<u64>,
}

fn recording(dir: &Path, call: &str) -> anyhow::Result<PathBuf> {
    let names = ["flac", "wav"].map(|extension| dir.join("stereo").join(format!("{call}.{extension}")));
    names.iter().find(|path| path.is_file()).cloned().with_context(|| format!("no recording of {call}"))
}
