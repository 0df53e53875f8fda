//! Measures the insights of recorded calls: `cargo xtask eval review` runs it.
//!
//! `measure_review FOLDER` reads the logs `ID.ndjson` of a folder, and beside them `ID.json` where there is metadata of a call: the
//! values in it that somebody may have said, as `[{"kind", "value"}]`. It prints each insight in full to the standard error, and
//! one JSON object a figure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sotto_call::{CallEvent, CallState, EntityKind};
use sotto_insight::plain;
use sotto_review::{CallInsight, Checked, Quality, Scorecard, check};

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).context("measure_review FOLDER")?;
    let mut logs: Vec<PathBuf> = std::fs::read_dir(&folder)?.flatten().map(|entry| entry.path()).collect();
    logs.retain(|path| path.extension().is_some_and(|extension| extension == "ndjson"));
    logs.sort();
    ensure!(!logs.is_empty(), "no .ndjson in {folder}");
    let card = Scorecard::built_in();
    let mut total = Checked::default();
    let (mut bullets, mut longest) = (0, 0.0_f64);
    // Per kind: found, and there to be found.
    let mut kinds: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for log in &logs {
        let events = read(log)?;
        let begun = Instant::now();
        let insight = CallInsight::of(&events);
        let quality = Quality::of(&events, &card);
        longest = longest.max(begun.elapsed().as_secs_f64() * 1e3);
        let printed = serde_json::to_value(&insight)?;
        eprintln!("{}\n{}", log.display(), serde_json::to_string_pretty(&printed)?);
        eprintln!("{}", serde_json::to_string_pretty(&quality)?);
        bullets += printed["summary_bullets"].as_array().map_or(0, Vec::len);
        let state = CallState::of(&events);
        let checked = check(&insight, &state);
        checked.faults.iter().for_each(|fault| eprintln!("{fault}"));
        total.statements += checked.statements;
        total.cited += checked.cited;
        total.values += checked.values;
        total.said += checked.said;
        for (kind, value) in expected(log)? {
            if !is_heard(&state, kind, &value) {
                eprintln!("not heard, so not counted: {kind:?} {value}");
                continue;
            }
            let is_found = insight.named().any(|(of, said)| of == kind && is_same(kind, said, &value));
            if !is_found {
                eprintln!("MISSED: {kind:?} {value}");
            }
            for name in [format!("{kind:?}").to_lowercase(), "all".to_owned()] {
                let (found, all) = kinds.entry(name).or_default();
                *found += u32::from(is_found);
                *all += 1;
            }
        }
    }
    let share = |part: u32, whole: u32| f64::from(part) / f64::from(whole);
    figure("insights.calls", logs.len() as f64, "calls", None);
    figure("insights.bullets", bullets as f64, "bullets", None);
    figure("insights.cited", share(total.cited, total.statements), "rate", Some(("at_least", 1.0)));
    figure("insights.values_said", share(total.said, total.values), "rate", Some(("at_least", 1.0)));
    for (kind, (found, all)) in &kinds {
        let bar = (kind == "all").then_some(("at_least", 0.8));
        figure(&format!("insights.recall_{kind}"), share(*found, *all), "rate", bar);
        figure(&format!("insights.expected_{kind}"), f64::from(*all), "values", None);
    }
    figure("insights.call_longest", longest, "ms", None);
    Ok(())
}

fn read(log: &Path) -> Result<Vec<CallEvent>> {
    let text = std::fs::read_to_string(log)?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| serde_json::from_str(line).context("no event")).collect()
}

/// What metadata say that was named.
fn expected(log: &Path) -> Result<Vec<(EntityKind, String)>> {
    let Ok(text) = std::fs::read_to_string(log.with_extension("json")) else { return Ok(Vec::new()) };
    let all: Vec<Value> = serde_json::from_str(&text)?;
    let one = |one: &Value| -> Result<(EntityKind, String)> {
        let kind = serde_json::from_value(one["kind"].clone()).context("kind")?;
        Ok((kind, one["value"].as_str().context("value")?.to_owned()))
    };
    all.iter().map(one).collect()
}

/// Whether the transcript holds it: a time of day as people say it, an amount without its currency.
fn is_heard(state: &CallState, kind: EntityKind, value: &str) -> bool {
    let wanted = match kind {
        EntityKind::DateTime => said_time(value).unwrap_or_default(),
        EntityKind::Money => plain(value.split(' ').next().unwrap_or_default()),
        _ => plain(value),
    };
    !wanted.is_empty() && state.finals().any(|said| plain(&said.text).contains(&wanted))
}

/// The digits of a time of day on a clock of twelve hours: `T17:00` is 5, `T08:30` is 830.
fn said_time(value: &str) -> Option<String> {
    let (hour, minute) = value.strip_prefix('T')?.split_once(':')?;
    let hour = (hour.parse::<u8>().ok()? + 11) % 12 + 1;
    Some(if minute == "00" { hour.to_string() } else { format!("{hour}{minute}") })
}

fn is_same(kind: EntityKind, found: &str, expected: &str) -> bool {
    let (found, expected) = (plain(found), plain(expected));
    // Somebody may say the first name only, or an amount without its currency.
    found == expected || kind == EntityKind::Person && found.contains(&expected)
}

fn figure(name: &str, value: f64, unit: &str, bar: Option<(&str, f64)>) {
    let mut figure = json!({ "name": name, "value": value, "unit": unit });
    if let Some((side, bar)) = bar {
        figure[side] = bar.into();
    }
    println!("{figure}");
}
