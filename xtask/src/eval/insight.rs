//! What is understood of what was said, by the code that calls run on: mood and intent on public data,
//! secrets in made-up calls, entities in sentences that were written for it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use sotto_tests::server::{Setup, Sotto};

use super::setup::{Bench, place, value_at};
use super::{Figure, concurrency};
use crate::run::{note, root, tools};

/// Calls at once under which what is understood has to come in time, and within how many milliseconds.
const CALLS: usize = 10;
const IN_TIME_MS: f64 = 80.0;
/// Prompts a minute at most.
const CALM: f64 = 1.5;
/// How long models may be loaded and fetched.
const PATIENCE: Duration = Duration::from_secs(300);

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

fn run(example: &str, arguments: &[&OsStr], sink: &mut dyn FnMut(Figure)) -> Result<()> {
    super::run_example("sotto-insight", example, arguments, sink)
}

/// The callers' tasks, named from their voices while they speak. The example sentences were written for this and do
/// not come from the data.
pub fn harper_tasks(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let server = understanding(bench, "base")?;
    let turns = bench.turns()?;
    let (mut right, mut total, mut others) = (0u32, 0u32, 0);
    for (n, call) in bench.recorded_calls()?.iter().enumerate() {
        let turn =
            turns.iter().find(|turn| turn["sid"] == call.id.as_str()).context("a call without turns")?;
        let task = turn["task"].as_str().context("a call without a task")?.replace(' ', "_");
        let placed = place(&server, &call.audio, &format!("{}", 15_550_200 + n))?;
        placed.sipp.finish()?;
        let events = server.api.ended(&placed.id, Duration::from_secs(60))?;
        let named = wanted(&events, call.audio.duration_ms() / 2);
        note(&format!("{}: {task}, named {named:?} by half of the call", call.id));
        total += 1;
        right += u32::from(named.last() == Some(&task));
        others += wanted(&events, u64::MAX).iter().filter(|name| **name != task).count();
    }
    sink(Figure::at_least("harper_tasks.named_by_half", f64::from(right), "calls", f64::from(total)));
    sink(Figure::reported("harper_tasks.other_names", others as f64, "utterances"));
    Ok(())
}

/// How often the agents of the six calls are told something, and what it rests on.
pub fn calm(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let server = understanding(bench, "base")?;
    let (mut prompts, mut without, mut minutes) = (0u32, 0u32, 0.0);
    let mut kinds = BTreeMap::new();
    for (n, call) in bench.recorded_calls()?.iter().enumerate() {
        let placed = place(&server, &call.audio, &format!("{}", 15_550_300 + n))?;
        placed.sipp.finish()?;
        let events = server.api.ended(&placed.id, Duration::from_secs(60))?;
        for prompt in events.iter().filter(|event| event["kind"] == "prompt") {
            prompts += 1;
            without += u32::from(!rests_on_words(&events, prompt));
            let about = prompt["about"].as_str().unwrap_or_default().to_owned();
            *kinds.entry(about).or_insert(0u32) += 1;
        }
        minutes += call.audio.duration_ms() as f64 / 60_000.0;
    }
    note(&format!("told of {kinds:?} in {minutes:.1} minutes"));
    sink(Figure::at_most("calm.prompts_per_minute", f64::from(prompts) / minutes, "prompts", CALM));
    sink(Figure::at_most("calm.without_evidence", f64::from(without), "prompts", 0.0));
    Ok(())
}

/// Whether a prompt quotes the final words of an utterance as they were when it came.
fn rests_on_words(events: &[Value], prompt: &Value) -> bool {
    let evidence = &prompt["evidence"];
    let is_it = |e: &&Value| {
        e["kind"] == "utterance" && e["final"] == true && e["utterance_id"] == evidence["utterance_id"]
    };
    let said = events.iter().filter(|e| e["seq"].as_u64() < prompt["seq"].as_u64()).rfind(is_it);
    said.is_some_and(|said| said["text"] == evidence["text"] && evidence["text"] != "")
}

/// The intents of a call's utterances up to a time of its clock, in the order in which they were said.
fn wanted(events: &[Value], until_ms: u64) -> Vec<String> {
    let mut wanted = BTreeMap::new();
    let until = |event: &&Value| event["at_ms"].as_u64().is_some_and(|at| at <= until_ms);
    for event in events.iter().take_while(until).filter(|event| event["kind"] == "intent") {
        let id = event["utterance_id"].as_u64().unwrap_or_default();
        match event["name"].as_str() {
            Some(name) => _ = wanted.insert(id, name.to_owned()),
            None => _ = wanted.remove(&id),
        }
    }
    wanted.into_values().collect()
}

/// How long it takes from the words to what is understood of them, beside recognition of that many calls.
pub fn latency(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let server = understanding(bench, "tiny.en")?;
    let calls = concurrency::load(&server, &bench.recorded_calls()?, CALLS, 1)?;
    for kind in ["mood", "intent", "entities"] {
        let events = calls.iter().flat_map(|call| &call.events).filter(|event| event["kind"] == kind);
        let mut ms: Vec<i64> = events.filter_map(|event| event["latency_ms"].as_i64()).collect();
        ms.sort_unstable();
        sink(Figure::reported(&format!("latency.{kind}_ms.p50"), value_at(&ms, 50), "ms"));
        sink(Figure::at_most(&format!("latency.{kind}_ms.p95"), value_at(&ms, 95), "ms", IN_TIME_MS));
    }
    sink(Figure::at_most(
        "latency.dropped",
        server.api.metric("sotto_insight_dropped_total")?,
        "utterances",
        0.0,
    ));
    Ok(())
}

/// A server that recognises the callers' tasks.
fn understanding(bench: &Bench, model: &str) -> Result<Sotto> {
    let set = root().join("insight-sets/harper.toml");
    let intents = ("insight".to_owned(), format!("intents = {:?}", set.display().to_string()));
    let language = Some("en".to_owned());
    let setup = Setup { model: model.into(), language, more: vec![intents], ..Setup::default() };
    let server = bench.server_with(&setup)?;
    server.understands(PATIENCE)?;
    Ok(server)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_prompt_rests_on_the_newest_words_before_it() {
        let said = |seq: u64, text: &str| json!({ "kind": "utterance", "seq": seq, "final": true, "utterance_id": 1, "text": text });
        let events = [said(1, "a fund"), said(2, "a refund"), said(9, "a round")];
        let prompt = |text: &str| json!({ "seq": 5, "evidence": { "utterance_id": 1, "text": text } });
        assert!(rests_on_words(&events, &prompt("a refund")));
        assert!(!rests_on_words(&events, &prompt("a fund")) && !rests_on_words(&events, &prompt("a round")));
        assert!(!rests_on_words(&events, &json!({ "seq": 5 })));
    }

    #[test]
    fn of_what_was_wanted_the_newest_words_count() {
        let intent = |at: u64, id: u64, name: Option<&str>| json!({ "kind": "intent", "at_ms": at, "utterance_id": id, "name": name });
        let events = [
            intent(1, 1, Some("a")),
            intent(2, 3, Some("b")),
            intent(3, 1, Some("c")),
            intent(4, 3, None),
            intent(5, 4, Some("d")),
        ];
        assert_eq!(wanted(&events, 2), ["a", "b"]);
        assert_eq!(wanted(&events, 3), ["c", "b"]);
        assert_eq!(wanted(&events, 9), ["c", "d"]);
    }
}
