//! What is understood of what was said, by the code that calls run on: mood and intent on public data,
//! secrets in made-up calls, entities in sentences that were written for it.

use std::ffi::OsStr;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::Figure;
use super::setup::Bench;
use crate::run::{Run, tools};

pub fn goemotions(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    measure("goemotions", bench, sink)
}

pub fn banking77(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    measure("banking77", bench, sink)
}

pub fn clinc(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    measure("clinc", bench, sink)
}

pub fn massive(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    measure("massive", bench, sink)
}

pub fn redaction(_: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    run("words", &["redaction".as_ref()], sink)
}

pub fn entities(_: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    run("words", &["entities".as_ref()], sink)
}

/// Runs a row of `crates/insight/examples/measure.rs`. Embeddings are kept, so that a second run takes
/// seconds.
fn measure(row: &str, bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let cache = tools().join("embeddings");
    run("measure", &[row.as_ref(), bench.data.as_os_str(), cache.as_os_str()], sink)
}

/// Runs an example of `crates/insight` and gives its figures on.
fn run(example: &str, arguments: &[&OsStr], sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let out = Run::cargo()
        .args(["run", "--quiet", "--release", "--package", "sotto-insight", "--example", example, "--"])
        .args(arguments)
        .output()?;
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
