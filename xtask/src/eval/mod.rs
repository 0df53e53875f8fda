//! `cargo xtask eval`: figures on real material, one JSON line each.
//!
//! One module a row of the table in BENCHMARKS.md. A row measures what is shipped (the release binary, real
//! peers) and never decides by itself what is good enough: the bar stands beside the value.

mod access;
mod bridge;
mod carried;
mod concurrency;
mod contract;
mod faults;
mod hangup;
mod harper;
mod hostile;
mod insight;
mod janus;
mod kill;
mod knowledge;
mod malformed;
mod media;
mod noise;
mod paths;
mod peers;
mod persian;
mod refused;
mod review;
mod rtpengine;
mod setup;
mod size;
mod smooth;
mod spoken;
mod supervisors;
mod traffic;
mod vocabulary;
mod words;

use std::ffi::OsStr;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::machine;
use crate::run::{Run, note, release_build, root, step, target, tools};
pub use setup::Bench;

#[derive(clap::Args)]
pub struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Live calls: words, latency, load, hang-up, crash.
    Live(Area),
    /// Calls that go through us: delay and cost of the bridge, words, faults, the page.
    Phone(Area),
    /// What is understood of what was said: mood, intent, entities, secrets.
    Insight(Area),
    /// Whether what is written down is found: passages for questions and dialogues, latency, ingestion, cards on calls.
    Knowledge(Area),
    /// What remains of calls: their insights.
    Review(Area),
}

#[derive(clap::Args)]
struct Area {
    /// Evaluation data.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Only these rows, separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Fewer and shorter runs: says whether it works, not how well.
    #[arg(long)]
    quick: bool,
    /// A language model's server to measure instead of llama.cpp with SmolLM2: `http://127.0.0.1:11434/v1`.
    #[arg(long, value_name = "URL")]
    llm: Option<String>,
    /// The model's name there.
    #[arg(long, value_name = "NAME", default_value = "default")]
    llm_model: String,
    /// Print the table of BENCHMARKS.md out of the newest figures instead of measuring.
    #[arg(long)]
    markdown: bool,
}

/// A figure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figure {
    pub name: String,
    pub value: f64,
    pub unit: String,
    /// What it must reach, in words; empty where it is only reported.
    pub bar: String,
    pub ok: bool,
}

impl Figure {
    pub fn at_most(name: &str, value: f64, unit: &str, bar: f64) -> Self {
        let bar_text = format!("at most {bar}");
        Self {
            name: name.into(),
            value,
            unit: unit.into(),
            bar: bar_text,
            ok: value.is_finite() && value <= bar,
        }
    }

    pub fn at_least(name: &str, value: f64, unit: &str, bar: f64) -> Self {
        let bar_text = format!("at least {bar}");
        Self {
            name: name.into(),
            value,
            unit: unit.into(),
            bar: bar_text,
            ok: value.is_finite() && value >= bar,
        }
    }

    /// Without a bar.
    pub fn reported(name: &str, value: f64, unit: &str) -> Self {
        Self { name: name.into(), value, unit: unit.into(), bar: String::new(), ok: value.is_finite() }
    }
}

/// A row of the table: gives its figures to the sink as they are known.
struct Row {
    name: &'static str,
    what: &'static str,
    measure: fn(&Bench, &mut dyn FnMut(Figure)) -> Result<()>,
}

const LIVE: &[Row] = &[
    Row { name: "harper", what: "Six calls at real-time speed, base model", measure: harper::through_files },
    Row { name: "phases", what: "The same six calls begun a little later", measure: harper::phases },
    Row { name: "siprec", what: "The same six calls through SIPp and RTP", measure: harper::through_sipp },
    Row { name: "noise", what: "Silence, hold music, ringing, office noise", measure: noise::measure },
    Row { name: "calls-tiny", what: "Simultaneous calls, tiny.en", measure: concurrency::tiny },
    Row { name: "calls-base", what: "Simultaneous calls, base", measure: concurrency::base },
    Row { name: "overload", what: "Three times the calls that keep up", measure: concurrency::overload },
    Row { name: "media", what: "RTP in to ring, no speech", measure: media::measure },
    Row { name: "hangup", what: "Hang-up while speaking", measure: hangup::measure },
    Row { name: "kill", what: "kill -9 in mid-call", measure: kill::measure },
    Row {
        name: "malformed",
        what: "Malformed SIP, SDP, metadata, RTP, uploads, frames beside a call",
        measure: malformed::measure,
    },
    Row {
        name: "vocabulary",
        what: "Names that an organisation has written down",
        measure: vocabulary::measure,
    },
    Row { name: "persian", what: "Persian, base model", measure: persian::measure },
];

const PHONE: &[Row] = &[
    Row { name: "words", what: "What customer and agent understand of each other", measure: words::measure },
    Row {
        name: "bridge",
        what: "Packets through a bridge, without and with speech",
        measure: bridge::measure,
    },
    Row {
        name: "peers",
        what: "Calls per core, side by side with rtpengine and Janus",
        measure: peers::measure,
    },
    Row { name: "supervisors", what: "Three supervisors on one call", measure: supervisors::measure },
    Row {
        name: "faults",
        what: "No models at first; no decoding, database, disk in mid-call; each alone, and in turn",
        measure: faults::measure,
    },
    Row { name: "paths", what: "Reload, change of network, relay alone", measure: paths::measure },
    Row { name: "hostile", what: "A hostile page and client beside a call", measure: hostile::measure },
    Row { name: "smooth", what: "The page under 50 live calls of others", measure: smooth::measure },
];

const INSIGHT: &[Row] = &[
    Row {
        name: "goemotions",
        what: "GoEmotions test: 28 labels, nine emotions, three sentiments",
        measure: insight::goemotions,
    },
    Row {
        name: "persian_mood",
        what: "Persian telephone sentences, written for it",
        measure: insight::persian_mood,
    },
    Row {
        name: "urgency",
        what: "What is urgent in telephone sentences that were kept aside, English and Persian",
        measure: insight::urgency,
    },
    Row {
        name: "urgency_english",
        what: "The same with the English embedding",
        measure: insight::urgency_english,
    },
    Row {
        name: "fairness",
        what: "The same words from women and men, of several origins, in several dialects",
        measure: insight::fairness,
    },
    Row { name: "banking77", what: "Banking77 test, 77 intents", measure: insight::banking77 },
    Row {
        name: "banking77_english",
        what: "The same with the English embedding",
        measure: insight::banking77_english,
    },
    Row { name: "clinc", what: "CLINC, 150 intents and none of them", measure: insight::clinc },
    Row {
        name: "clinc_english",
        what: "The same with the English embedding",
        measure: insight::clinc_english,
    },
    Row { name: "massive", what: "MASSIVE, learned from 250 English sentences", measure: insight::massive },
    Row { name: "checklist", what: "What agents must say, in other words", measure: insight::checklist },
    Row {
        name: "checklist_english",
        what: "The same with the English embedding",
        measure: insight::checklist_english,
    },
    Row { name: "redaction", what: "Secrets in made-up calls", measure: insight::redaction },
    Row { name: "entities", what: "Entities in written sentences", measure: insight::entities },
    Row {
        name: "harper_tasks",
        what: "What the callers of six calls want, live, five sentences a task",
        measure: insight::harper_tasks,
    },
    Row { name: "calm", what: "What agents of the same six calls are told", measure: insight::calm },
    Row {
        name: "emotion_voice",
        what: "Agitated from calm by the voice, five actors, each beside themselves",
        measure: insight::emotion_voice,
    },
    Row {
        name: "latency",
        what: "From final words to mood and intent, ten calls at once",
        measure: insight::latency,
    },
    Row {
        name: "latency_english",
        what: "The same with the English embedding",
        measure: insight::latency_english,
    },
    Row { name: "cost", what: "What embedding a sentence takes", measure: insight::cost },
    Row { name: "cost_english", what: "The same with the English embedding", measure: insight::cost_english },
];

const KNOWLEDGE: &[Row] = &[
    Row {
        name: "dstc11",
        what: "DSTC11 track 5: snippets for dialogues, all and of the known entity",
        measure: knowledge::dstc11,
    },
    Row { name: "pquad", what: "PQuAD dev: Persian questions to paragraphs", measure: knowledge::pquad },
    Row { name: "abcd", what: "ABCD: the procedure that a dialogue needs", measure: knowledge::abcd },
    Row {
        name: "search",
        what: "A search among 10,000 and 100,000 passages, one thread",
        measure: knowledge::latency,
    },
    Row {
        name: "ingestion",
        what: "1,000 pages, interrupted and taken up again",
        measure: knowledge::ingestion,
    },
    Row {
        name: "cards",
        what: "What agents of six calls are shown, beside unrelated documents and their own",
        measure: knowledge::cards,
    },
    Row {
        name: "card_latency",
        what: "From final words to a card, 10,000 passages, ten calls at once",
        measure: knowledge::card_latency,
    },
    Row {
        name: "spoken",
        what: "The same questions written, and heard over a telephone",
        measure: spoken::measure,
    },
    Row {
        name: "access",
        what: "What is hidden from a role or a team, asked for by every way",
        measure: access::measure,
    },
    Row { name: "refused", what: "Hostile documents in a folder, with memory", measure: refused::measure },
    Row {
        name: "llm",
        what: "Answers with citations by a language model (SmolLM2, or --llm URL)",
        measure: knowledge::llm,
    },
    Row {
        name: "injection",
        what: "Injected instructions in documents, questions and calls, with the same model",
        measure: knowledge::injection,
    },
];

const REVIEW: &[Row] = &[
    Row { name: "insights", what: "Insights of seven calls, from audio", measure: review::insights },
    Row {
        name: "model",
        what: "Summaries of the same calls by a language model (SmolLM2, or --llm URL)",
        measure: review::model,
    },
    Row {
        name: "known",
        what: "From the hang-up to what a call came to, ten calls at once",
        measure: review::known,
    },
    Row {
        name: "behind",
        what: "50 recordings posted at once, behind calls that go on",
        measure: review::behind,
    },
    Row {
        name: "contract",
        what: "Requests made up from the interface's description, for 10 minutes",
        measure: contract::measure,
    },
    Row {
        name: "database",
        what: "Lists, searches, timelines: 50,000 calls, 1,000,000 communications",
        measure: size::database,
    },
];

pub fn eval(options: &Options) -> Result<()> {
    let (rows, area) = match &options.what {
        What::Live(area) => (LIVE, area),
        What::Phone(area) => (PHONE, area),
        What::Insight(area) => (INSIGHT, area),
        What::Knowledge(area) => (KNOWLEDGE, area),
        What::Review(area) => (REVIEW, area),
    };
    let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
    if let Some(unknown) = area.only.iter().find(|only| !names.contains(&only.as_str())) {
        bail!("there is no row {unknown}: {}", names.join(", "));
    }
    if area.markdown {
        print!("{}", markdown(rows)?);
        return Ok(());
    }
    let data = area.data.clone().unwrap_or_else(|| root().join("../shared/eval"));
    let data = data.canonicalize().with_context(|| format!("no evaluation data at {}", data.display()))?;
    machine::needed_to_build()?;
    machine::needed_to_test()?;
    let sotto = PathBuf::from(release_build()?);
    let llm = area.llm.clone().map(|url| (url, area.llm_model.clone()));
    let bench = Bench::new(sotto, data, area.quick, llm)?;
    std::fs::create_dir_all(tools())?;
    let mut failures = Vec::new();
    for row in rows.iter().filter(|r| area.only.is_empty() || area.only.iter().any(|o| o == r.name)) {
        step(row.what);
        let mut figures = Vec::new();
        let outcome = (row.measure)(&bench, &mut |figure| {
            println!("{}", serde_json::to_string(&figure).unwrap_or_default());
            figures.push(figure);
        });
        // A row that says nothing has not measured anything.
        let outcome = outcome.and_then(|()| {
            ensure!(!figures.is_empty(), "no figures");
            Ok(())
        });
        if let Err(error) = outcome {
            eprintln!("{}: {error:#}", row.name);
            let failed = Figure { ok: false, ..Figure::reported(&format!("{}.failed", row.name), 1.0, "") };
            println!("{}", serde_json::to_string(&failed)?);
            figures.push(failed);
        }
        failures.extend(figures.iter().filter(|f| !f.ok).map(|f| f.name.clone()));
        // Others are compared with what is kept, and the table is made of it.
        if !area.quick {
            let lines: Vec<String> = figures.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
            std::fs::write(kept(row.name), lines.join("\n") + "\n")?;
        }
    }
    if area.quick {
        note("--quick: these figures say whether it works, not how well");
    }
    ensure!(failures.is_empty(), "below the bar: {}", failures.join(", "));
    Ok(())
}

/// Runs an example of a crate, which prints a JSON object a figure, and gives its figures on.
fn run_example(
    package: &str,
    example: &str,
    arguments: &[&OsStr],
    sink: &mut dyn FnMut(Figure),
) -> Result<()> {
    // Together with the server, so that what both need has the same features and is compiled once.
    Run::cargo()
        .args(["build", "--quiet", "--release", "--package", "sotto-server", "--package", package])
        .args(["--example", example])
        .go()?;
    let out = Run::new(target().join("release/examples").join(example)).args(arguments).output()?;
    let figures: Vec<Value> = out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    ensure!(!figures.is_empty(), "the measurement printed no figures");
    for f in figures {
        let (name, unit) = (f["name"].as_str().unwrap_or_default(), f["unit"].as_str().unwrap_or_default());
        let value = f["value"].as_f64().unwrap_or(f64::NAN);
        sink(match (f["at_least"].as_f64(), f["at_most"].as_f64()) {
            (Some(bar), _) => Figure::at_least(name, value, unit, bar),
            (None, Some(bar)) => Figure::at_most(name, value, unit, bar),
            (None, None) => Figure::reported(name, value, unit),
        });
    }
    Ok(())
}

/// Where the newest figures of a row are.
fn kept(row: &str) -> PathBuf {
    tools().join(format!("eval-{row}.ndjson"))
}

/// The newest figures of a row; none when it was never measured.
fn newest(row: &str) -> Result<Vec<Figure>> {
    let lines = std::fs::read_to_string(kept(row)).unwrap_or_default();
    lines.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// What a figure was when its row was last measured.
fn last(row: &str, figure: &str) -> Result<Option<f64>> {
    Ok(newest(row)?.into_iter().find(|f| f.name == figure).map(|f| f.value))
}

/// The newest figures of every row as the table of BENCHMARKS.md.
fn markdown(rows: &[Row]) -> Result<String> {
    let mut out = String::from("| what | figure | value | bar | |\n| --- | --- | --- | --- | --- |\n");
    for row in rows {
        for (n, f) in newest(row.name)?.into_iter().enumerate() {
            let what = if n == 0 { row.what } else { "" };
            let name = f.name.split_once('.').map_or(f.name.as_str(), |(_, name)| name);
            let value = pretty(f.value, &f.unit);
            let bar = if f.bar.is_empty() { "reported" } else { &f.bar };
            let ok = if f.ok { "✓" } else { "✗" };
            out.push_str(&format!("| {what} | {name} | {value} | {bar} | {ok} |\n"));
        }
    }
    Ok(out)
}

fn pretty(value: f64, unit: &str) -> String {
    match unit {
        "rate" => format!("{:.1} %", value * 100.0),
        _ if value.fract() == 0.0 => format!("{value:.0} {unit}").trim_end().to_owned(),
        _ => format!("{value:.2} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_says_what_it_must_reach() {
        assert!(Figure::at_most("x", 5.0, "ms", 5.0).ok);
        assert!(!Figure::at_most("x", f64::NAN, "ms", 5.0).ok);
        assert!(!Figure::at_least("x", 4.9, "calls", 5.0).ok);
        let line = serde_json::to_string(&Figure::at_most("a.b", 0.07, "rate", 0.075)).unwrap();
        assert_eq!(line, r#"{"name":"a.b","value":0.07,"unit":"rate","bar":"at most 0.075","ok":true}"#);
    }

    #[test]
    fn values_read_as_people_write_them() {
        assert_eq!(pretty(0.0712, "rate"), "7.1 %");
        assert_eq!(pretty(800.0, "ms"), "800 ms");
        assert_eq!(pretty(2.345, "legs"), "2.35 legs");
        assert_eq!(pretty(50.0, ""), "50");
    }
}
