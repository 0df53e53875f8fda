//! Whether what is written down is found, by the code that searches it: passages for questions and dialogues of
//! public data, in English and Persian, and how long that takes.

use std::ffi::OsStr;

use anyhow::Result;
use sotto_tests::llama::{self, Llama};

use super::setup::Bench;
use super::{Figure, run_example};
use crate::run::{root, tools};

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

pub fn llm(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    assist("llm", bench, sink)
}

pub fn injection(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    assist("injection", bench, sink)
}

/// Runs a row of `crates/server/examples/measure_assist.rs` against a real server.
fn assist(row: &str, bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let own = if bench.llm.is_none() { Some(Llama::start()?) } else { None };
    let own = own.as_ref().map(|llama| (llama.url(), llama::MODEL.to_owned()));
    let (url, model) = bench.llm.clone().or(own).unwrap_or_default();
    let (hubs, runs) = (root().join("knowledge"), if bench.quick { "quick" } else { "all" });
    let arguments: [&OsStr; 5] =
        [row.as_ref(), url.as_ref(), model.as_ref(), hubs.as_os_str(), runs.as_ref()];
    run_example("sotto-server", "measure_assist", &arguments, sink)
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
