//! Whether what is written down is found, by the code that searches it: passages for questions and dialogues of
//! public data, in English and Persian, and how long that takes.

use anyhow::Result;

use super::setup::Bench;
use super::{Figure, run_example};
use crate::run::tools;

pub fn dstc11(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    measure("dstc11", bench, sink)
}

pub fn pquad(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    measure("pquad", bench, sink)
}

pub fn abcd(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    measure("abcd", bench, sink)
}

pub fn latency(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    measure("latency", bench, sink)
}

pub fn ingestion(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    measure("ingestion", bench, sink)
}

/// Runs a row of `crates/knowledge/examples/measure_search.rs`. Vectors are kept, so that a second run takes seconds.
fn measure(row: &str, bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let cache = tools().join("passages");
    run_example(
        "sotto-knowledge",
        "measure_search",
        &[row.as_ref(), bench.data.as_os_str(), cache.as_os_str()],
        sink,
    )
}
