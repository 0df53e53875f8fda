//! What an embedding costs: one sentence after the other, and many together, with one thread and with two.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use sotto_insight::{Embedder, Purpose};
use sotto_models::{Cache, Console};

use crate::urgent::sentences;
use crate::{Bench, figure_at_most};

/// Sentences of the telephone, as many as are embedded with either number of threads.
const SENTENCES: usize = 200;

pub fn cost(bench: &Bench) -> Result<()> {
    let model = bench.embedder.model();
    let file = Cache::open(None)?.require(model.artefact(), &mut Console::default())?;
    let mut all = sentences()?;
    all.retain(|(language, _)| model.understands(language));
    let texts: Vec<&str> = all.iter().flat_map(|(_, all)| all).map(|one| one.text.as_str()).collect();
    // Of all groups and languages.
    let texts: Vec<&str> = texts.iter().copied().step_by((texts.len() / SENTENCES).max(1)).collect();
    for threads in [1, 2] {
        let mut embedder = Embedder::open(&bench.onnx, model, &file, threads)?;
        let mut took = Vec::with_capacity(texts.len());
        for text in &texts {
            let since = Instant::now();
            embedder.embed(Purpose::Query, &[text])?;
            took.push(since.elapsed());
        }
        took.sort_unstable();
        let since = Instant::now();
        embedder.embed(Purpose::Query, &texts)?;
        let together = since.elapsed() / u32::try_from(texts.len())?;
        let at =
            |percent: usize| took.get(took.len() * percent / 100).copied().context("nothing is embedded");
        tell(bench, threads, "alone_p50", at(50)?);
        tell(bench, threads, "alone_p95", at(95)?);
        tell(bench, threads, "together", together);
    }
    Ok(())
}

fn tell(bench: &Bench, threads: usize, what: &str, took: Duration) {
    let name = format!("{}.threads_{threads}_{what}", bench.row);
    figure_at_most(&name, took.as_secs_f64() * 1_000.0, "ms", None);
}
