//! Measures what is found in words: `cargo xtask eval insight` runs it.
//!
//! `words redaction` on made-up calls, `words entities` on sentences written for it. Each prints one JSON
//! object a figure.

mod cases;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use cases::Random;
use serde_json::json;
use sotto_insight::entities;
use time::{Date, Month, PrimitiveDateTime, Time};

/// Sentences, a tabulator, and the entities in them as `kind=value`, parted by semicolons.
const SENTENCES: &str = include_str!("entities.tsv");
/// Made-up calls of every group.
const CALLS: usize = 400;
const SEED: u64 = 4;

fn main() -> Result<()> {
    let misses = std::env::args().any(|argument| argument == "--misses");
    match std::env::args().nth(1).as_deref() {
        Some("redaction") => redaction(misses),
        Some("entities") => return find(misses),
        _ => bail!("words redaction | entities [--misses]"),
    }
    Ok(())
}

/// Sunday, the 29th of November 2026, nine in the morning.
fn now() -> Result<PrimitiveDateTime> {
    Ok(PrimitiveDateTime::new(Date::from_calendar_date(2026, Month::November, 29)?, Time::from_hms(9, 0, 0)?))
}

/// Right, found, and there to be found.
type Counts = [f64; 3];

fn find(misses: bool) -> Result<()> {
    let now = now()?;
    let mut kinds: BTreeMap<String, Counts> = BTreeMap::new();
    let mut longest = Duration::ZERO;
    for line in SENTENCES.lines() {
        let (text, truth) = line.split_once('\t').context("a sentence without a tabulator")?;
        let mut left: Vec<String> =
            truth.split(';').filter(|one| !one.is_empty()).map(str::to_lowercase).collect();
        let begun = Instant::now();
        let found = entities(text, &[], now, None);
        longest = longest.max(begun.elapsed());
        let found: Vec<String> =
            found.iter().map(|entity| format!("{:?}={}", entity.kind, entity.value).to_lowercase()).collect();
        let mut count = |one: &str, n: usize| {
            let kind = one.split('=').next().unwrap_or_default();
            for kind in [kind, "all"] {
                kinds.entry(kind.to_owned()).or_default()[n] += 1.0;
            }
        };
        left.iter().for_each(|one| count(one, 2));
        for one in &found {
            count(one, 1);
            if let Some(at) = left.iter().position(|truth| truth == one) {
                left.remove(at);
                count(one, 0);
            } else if misses {
                eprintln!("TOO MUCH {one}\n  {text}");
            }
        }
        if misses {
            left.iter().for_each(|one| eprintln!("MISSED {one}\n  {text}"));
        }
    }
    for (kind, [right, found, truth]) in &kinds {
        figure(&format!("entities.recall_{kind}"), right / truth, "rate", None);
        figure(&format!("entities.precision_{kind}"), right / found, "rate", None);
    }
    figure("entities.utterance_longest", longest.as_secs_f64() * 1e3, "ms", Some(("at_most", 1.0)));
    Ok(())
}

fn figure(name: &str, value: f64, unit: &str, bar: Option<(&str, f64)>) {
    let mut figure = json!({ "name": name, "value": value, "unit": unit });
    if let Some((kind, bar)) = bar {
        figure[kind] = bar.into();
    }
    println!("{figure}");
}

#[derive(Default)]
struct Count {
    /// Calls with a secret of which nothing is left.
    gone: f64,
    secret: f64,
    /// Calls in which something was taken out, though it is no secret.
    too_much: f64,
    harmless: f64,
}

impl Count {
    fn recall(&self) -> f64 {
        self.gone / self.secret
    }

    fn precision(&self) -> f64 {
        self.gone / (self.gone + self.too_much)
    }
}

fn redaction(misses: bool) {
    let mut random = Random(SEED);
    let mut calls = cases::with_secrets(&mut random, CALLS);
    let secrets = calls.len();
    calls.extend(cases::without_secrets(&mut random, secrets));
    let mut groups: BTreeMap<&str, Count> = BTreeMap::new();
    let (mut took, mut utterances) = (Duration::ZERO, 0u32);
    let mut longest = Duration::ZERO;
    for call in &calls {
        let begun = Instant::now();
        let texts = call.redacted();
        took += begun.elapsed();
        longest = longest.max(begun.elapsed());
        utterances += call.turns.len() as u32;
        let has_secret = call.group != "none";
        let (left, too_much) = (call.is_left(&texts), call.is_missing(&texts));
        if misses && (left || too_much) {
            let said: Vec<String> = call.turns.iter().map(cases::Turn::text).collect();
            let why = if left { "LEFT" } else { "TOO MUCH" };
            eprintln!("{why} {}\n  {}\n  {}", call.group, said.join(" | "), texts.join(" | "));
        }
        let language = if call.persian { "persian" } else { "english" };
        for group in [call.group, language, "all"] {
            let count = groups.entry(group).or_default();
            let one = |condition| f64::from(u8::from(condition));
            count.secret += one(has_secret);
            count.gone += one(has_secret && !left);
            count.harmless += one(!has_secret);
            count.too_much += one(too_much);
        }
    }
    for (group, count) in &groups {
        match *group {
            "all" => {
                figure("redaction.recall", count.recall(), "rate", Some(("at_least", 0.99)));
                figure("redaction.precision", count.precision(), "rate", None);
            }
            "none" => figure("redaction.false_alarms", count.too_much / count.harmless, "rate", None),
            _ => figure(&format!("redaction.recall_{group}"), count.recall(), "rate", None),
        }
    }
    figure(
        "redaction.utterance",
        took.as_secs_f64() * 1e3 / f64::from(utterances),
        "ms",
        Some(("at_most", 1.0)),
    );
    figure("redaction.call_longest", longest.as_secs_f64() * 1e3, "ms", None);
}
