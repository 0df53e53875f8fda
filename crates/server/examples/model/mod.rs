//! What the measurements of a language model's server have in common.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use sotto_llm::{Counts, Llm, Settings};
use sotto_server::assist::Model;
use sotto_server::redaction::RedactionConfig;

/// How long a question may take, on a slow machine.
pub const WHOLE: Duration = Duration::from_secs(300);

/// A server without limits, and as much patience as this.
pub fn open(url: &str, name: &str, patience: Duration) -> Result<Model> {
    let llm = Llm::new(Settings {
        url: url.to_owned(),
        model: name.to_owned(),
        first_token: Duration::from_secs(180),
        whole: WHOLE,
        per_minute: 0,
        key: std::env::var("SOTTO_LLM__KEY").unwrap_or_default(),
        ..Settings::default()
    })?;
    Ok(Model { llm, redaction: RedactionConfig::default(), patience })
}

/// Prints a figure as a line of JSON.
pub fn figure(name: &str, value: f64, unit: &str, bar: Option<(&str, f64)>) {
    let mut figure = json!({ "name": name, "value": value, "unit": unit });
    if let Some((kind, bar)) = bar {
        figure[kind] = bar.into();
    }
    println!("{figure}");
}

/// How many questions came to an answer of the form that was asked for, and how long an answer is.
pub fn forms(row: &str, counts: &Counts) -> Result<()> {
    // Questions that came to an answer of some form.
    let form = counts.failed.get("form").copied().unwrap_or_default();
    let said = (counts.answered + form) as f64;
    ensure!(said > 0.0, "no question was answered: {:?}", counts.failed);
    let failed: u64 = counts.failed.values().sum();
    figure(&format!("{row}.valid_at_first"), 1.0 - counts.invalid as f64 / said, "rate", None);
    figure(&format!("{row}.valid_after_repair"), counts.answered as f64 / said, "rate", None);
    let none = Some(("at_most", 0.0));
    figure(&format!("{row}.no_answer"), (failed - form) as f64, "questions", none);
    figure(&format!("{row}.answer_tokens"), counts.answer_tokens as f64 / said, "tokens", None);
    Ok(())
}

/// How long it took, by the median and the 95th percentile.
pub fn took(row: &str, mut seconds: Vec<f64>) {
    seconds.sort_by(f64::total_cmp);
    for (name, percent) in [("p50", 50), ("p95", 95)] {
        if let Some(value) = seconds.get(seconds.len() * percent / 100) {
            figure(&format!("{row}.seconds.{name}"), *value, "s", None);
        }
    }
}
