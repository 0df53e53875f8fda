//! Measures summaries of calls by a language model's server: `cargo xtask eval review --only model`.
//!
//! `measure_writer URL MODEL FOLDER` reads the logs `ID.ndjson` of a folder. It prints each insight in full to the standard error,
//! and one JSON object a figure.

mod model;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use sotto_call::{CallEvent, CallState};
use sotto_llm::Purpose;
use sotto_review::{Checked, check};
use sotto_server::writer::{Drafted, draft};

use model::{figure, forms, open, took};

/// How long a call may take with all its parts, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(1_800);

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, name, folder] = arguments.as_slice() else { bail!("measure_writer URL MODEL FOLDER") };
    let model = open(url, name, PATIENCE)?;
    let mut logs: Vec<PathBuf> = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    logs.retain(|path| path.extension().is_some_and(|extension| extension == "ndjson"));
    logs.sort();
    ensure!(!logs.is_empty(), "no .ndjson in {folder}");
    let mut total = Checked::default();
    let (mut seconds, mut parts, mut written, mut kept, mut dropped) = (Vec::new(), 0, 0u32, 0, 0);
    let mut unsupported = 0u32;
    for log in &logs {
        let text = std::fs::read_to_string(log)?;
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let events = lines.map(serde_json::from_str).collect::<serde_json::Result<Vec<CallEvent>>>()?;
        let state = CallState::of(&events);
        let begun = Instant::now();
        let drafted = draft(&model, &state).await;
        if matches!(drafted, Drafted::Said(..)) {
            seconds.push(begun.elapsed().as_secs_f64());
        }
        let insight = drafted.insight(&state);
        eprintln!("{}\n{}", log.display(), serde_json::to_string_pretty(&insight)?);
        if let Some(by) = insight.written_by() {
            written += 1;
            parts += by.parts;
            kept += by.kept;
            dropped += by.dropped;
        }
        unsupported += u32::from(insight.model_failed() == Some("unsupported"));
        let checked = check(&insight, &state);
        checked.faults.iter().for_each(|fault| eprintln!("{fault}"));
        total.statements += checked.statements;
        total.cited += checked.cited;
        total.values += checked.values;
        total.said += checked.said;
    }
    let counts = model.llm.figures().counts.remove(&Purpose::Insight).context("nothing was asked")?;
    forms("model", &counts)?;
    figure("model.calls", logs.len() as f64, "calls", None);
    figure("model.written", f64::from(written), "calls", None);
    figure("model.unsupported", f64::from(unsupported), "calls", None);
    figure("model.parts", f64::from(parts), "parts", None);
    figure("model.kept", f64::from(kept), "statements", None);
    figure("model.dropped", f64::from(dropped), "statements", None);
    let share = |part: u32, whole: u32| f64::from(part) / f64::from(whole.max(1));
    figure("model.cited", share(total.cited, total.statements), "rate", Some(("at_least", 1.0)));
    figure("model.values_said", share(total.said, total.values), "rate", Some(("at_least", 1.0)));
    took("model", seconds);
    Ok(())
}
