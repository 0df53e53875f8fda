//! The media path alone: how many legs a core carries, and what a packet allocates.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::Figure;
use super::setup::Bench;
use crate::run::Run;

pub fn measure(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    benchmark("media", bench, sink)
}

/// Runs a program of `benches` and gives its figures on.
pub fn benchmark(program: &str, bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    figures_of(program, &[], bench)?.into_iter().for_each(sink);
    Ok(())
}

/// The same with more arguments.
pub fn figures_of(program: &str, arguments: &[&str], bench: &Bench) -> Result<Vec<Figure>> {
    let seconds = if bench.quick { "2" } else { "10" };
    let out = Run::cargo()
        .args(["run", "--quiet", "--release", "--package", "sotto-benches", "--bin", program, "--"])
        .args(["--seconds", seconds])
        .args(arguments)
        .output()?;
    let figures: Vec<Value> = out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    ensure!(!figures.is_empty(), "the benchmark printed no figures");
    let figure = |f: Value| {
        let name = f["name"].as_str().unwrap_or_default();
        let name = name.replacen(&format!("{program}_"), &format!("{program}."), 1);
        let (value, unit) = (f["value"].as_f64().unwrap_or(f64::NAN), f["unit"].as_str().unwrap_or_default());
        match f["bar"].as_f64() {
            Some(bar) => Figure::at_most(&name, value, unit, bar),
            None => Figure::reported(&name, value, unit),
        }
    };
    Ok(figures.into_iter().map(figure).collect())
}
