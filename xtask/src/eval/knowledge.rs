//! Whether what is written down is found, by the code that searches it: passages for questions and dialogues of
//! public data, in English and Persian, and how long that takes; and what agents are shown of it while calls go on.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::setup::{Bench, files, last_json, value_at};
use super::{Figure, run_example};
use crate::run::{Run, note, root, tools};

/// How long after a question the right card helps.
const IN_TIME_MS: i64 = 2_000;
/// Cards a call of documents that have nothing to do with it.
const MOST_FALSE: f64 = 0.2;
/// Of the calls so many have the right card in time.
const MOST_RIGHT: f64 = 5.0 / 6.0;
/// Passages among which cards are found, calls at once, and within how many milliseconds of final words cards come.
const PASSAGES: usize = 10_000;
const CALLS: usize = 10;
const CARD_MS: f64 = 120.0;
/// Passages of a file.
const IN_A_FILE: usize = 100;

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
    let (_llama, url, model) = bench.language_model()?;
    let (hubs, runs) = (root().join("knowledge"), if bench.quick { "quick" } else { "all" });
    let arguments: [&OsStr; 5] =
        [row.as_ref(), url.as_ref(), model.as_ref(), hubs.as_os_str(), runs.as_ref()];
    run_example("sotto-server", "measure_assist", &arguments, sink)
}

/// Where the folder of a cross-encoder is named whose order is to be measured as well.
const RERANKER: &str = "SOTTO_RERANKER";

/// Runs a row of `crates/knowledge/examples/measure_search.rs`. Vectors are kept, so that a second run takes seconds.
fn measure(row: &str, bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let (cache, reranker) = (tools().join("passages"), std::env::var_os(RERANKER));
    let mut arguments: Vec<&OsStr> = vec![row.as_ref(), bench.data.as_os_str(), cache.as_os_str()];
    arguments.extend(reranker.as_deref());
    run_example("sotto-knowledge", "measure_search", &arguments, sink)
}

/// What agents of the six calls are shown: beside documents of a language school, which have nothing to say on a bank's
/// calls, and beside such as this bank may have, written from the list of the callers' tasks.
pub fn cards(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let (school, bank) = (root().join("knowledge/metalingua/en"), root().join("knowledge/harper-bank"));
    let turns = bench.turns()?;
    let (mut unrelated, mut right, mut others, mut calls) = (0u32, 0u32, 0u32, 0u32);
    for file in files(&bench.calls.join("stereo"), "flac")? {
        let id = file.file_stem().and_then(|s| s.to_str()).context("file name")?.to_owned();
        let turns: Vec<&Value> = turns.iter().filter(|turn| turn["sid"] == id.as_str()).collect();
        let task = turns.first().and_then(|turn| turn["task"].as_str()).context("a call without a task")?;
        let document = format!("{}.md", task.replace(' ', "-"));
        unrelated += shown(&bench.replay_beside(&school, "max", &file)?, &turns).len() as u32;
        let shown = shown(&bench.replay_beside(&bank, "1", &file)?, &turns);
        note(&format!("{id}: {task}, shown {shown:?}"));
        let is_right = |(name, after_ms): &(String, i64)| *name == document && *after_ms <= IN_TIME_MS;
        right += u32::from(shown.iter().any(is_right));
        others += shown.iter().filter(|(name, _)| *name != document).count() as u32;
        calls += 1;
    }
    let calls = f64::from(calls);
    sink(Figure::at_most("cards.unrelated_per_call", f64::from(unrelated) / calls, "cards", MOST_FALSE));
    let bar = (calls * MOST_RIGHT).floor();
    sink(Figure::at_least("cards.right_within_2_s", f64::from(right), "calls", bar));
    sink(Figure::reported("cards.wrong_per_call", f64::from(others) / calls, "cards"));
    Ok(())
}

/// The cards of a call: the document of each, and how long after the end of the question it came, in milliseconds. The
/// question ends where, by those who wrote down what was said, the last turn of the caller does that is in the words that
/// the card rests on.
fn shown(events: &[Value], turns: &[&Value]) -> Vec<(String, i64)> {
    let number = |value: &Value| value.as_i64().unwrap_or_default();
    let mut out = Vec::new();
    for (at, card) in events.iter().enumerate().filter(|(_, event)| event["kind"] == "card") {
        let id = &card["evidence"]["utterance_id"];
        let is_it = |e: &&Value| e["kind"] == "utterance" && e["final"] == true && e["utterance_id"] == *id;
        let heard_to = events[..at].iter().rfind(is_it).map_or(0, |said| number(&said["end_ms"]));
        let of_caller = turns.iter().filter(|turn| turn["role"] == "caller");
        let spans =
            of_caller.map(|turn| (number(&turn["offset_ms_call_clock"]), number(&turn["duration_ms"])));
        let asked = spans.filter(|(begin, _)| *begin < heard_to).map(|(begin, length)| begin + length).max();
        let document = card["document"].as_str().unwrap_or_default().to_owned();
        out.push((document, number(&card["at_ms"]) - asked.unwrap_or(heard_to)));
    }
    out
}

/// How long it takes from final words to a card among many passages, beside recognition of many calls.
pub fn card_latency(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let (documents, folder) = (many(bench)?, ten_calls(bench)?);
    let kept = tools().join("card-latency.hub");
    let out = Run::new(&bench.sotto)
        .arg("eval")
        .arg(folder.path())
        .args(["--at-once", &CALLS.to_string(), "--set", "speech.model=tiny.en", "--knowledge"])
        .arg(&documents)
        .arg("--keep")
        .arg(&kept)
        .output()?;
    let figures = last_json(&out)?;
    let ms = figures["cards"]["latency_ms"].as_array().context("no cards in the figures")?;
    let ms: Vec<i64> = ms.iter().filter_map(Value::as_i64).collect();
    ensure!(!ms.is_empty(), "no card was shown");
    sink(Figure::reported("card_latency.cards", ms.len() as f64, "cards"));
    sink(Figure::reported("card_latency.p50", value_at(&ms, 50), "ms"));
    sink(Figure::at_most("card_latency.p95", value_at(&ms, 95), "ms", CARD_MS));
    let counted = |name: &str| figures["cards"][name].as_f64().unwrap_or(f64::NAN);
    let confirmed = counted("confirmed");
    sink(Figure::reported("card_latency.looked_ahead", counted("looked_ahead"), "questions"));
    sink(Figure::reported("card_latency.confirmed", confirmed, "questions"));
    // What was found before the words were final had not to be looked for then.
    sink(Figure::reported("card_latency.sooner", counted("sooner_ms") / confirmed.max(1.0), "ms"));
    Ok(())
}

/// A folder with the bank's documents, as they are now, among so many passages of others that there are [`PASSAGES`] and a few.
/// The others are written once, so that none is embedded twice.
fn many(bench: &Bench) -> Result<PathBuf> {
    let folder = tools().join("card-latency");
    // They come last: where they are, all others are.
    let bank = folder.join("bank");
    if bank.is_dir() {
        std::fs::remove_dir_all(&bank)?;
    } else {
        write_others(bench, &folder)?;
    }
    let part = folder.join("bank.part");
    std::fs::create_dir_all(&part)?;
    for file in files(&root().join("knowledge/harper-bank"), "md")? {
        std::fs::copy(&file, part.join(file.file_name().context("file name")?))?;
    }
    std::fs::rename(part, bank)?;
    Ok(folder)
}

/// Writes [`PASSAGES`] passages about places into a folder, [`IN_A_FILE`] a file.
fn write_others(bench: &Bench, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let snippets = snippets(&bench.data.join("knowledge/dstc11-track5/knowledge.json"))?;
    let all: Vec<&(String, String)> = snippets.iter().cycle().take(PASSAGES).collect();
    for (n, some) in all.chunks(IN_A_FILE).enumerate() {
        let mut text = format!("# Places {n}\n\n");
        for (m, (name, words)) in some.iter().enumerate() {
            writeln!(text, "## {name} {n}-{m}\n\n{words}\n")?;
        }
        std::fs::write(folder.join(format!("{n:03}.md")), text)?;
    }
    Ok(())
}

/// What is said of places in DSTC11 track 5, each with the place's name, on one line.
fn snippets(file: &Path) -> Result<Vec<(String, String)>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let knowledge: Value = serde_json::from_str(&text)?;
    let mut out = Vec::new();
    let places = knowledge.as_object().into_iter().flatten().filter_map(|(_, places)| places.as_object());
    for (_, place) in places.flatten() {
        let name = place["name"].as_str().unwrap_or_default();
        let reviews = place["reviews"].as_object().into_iter().flatten();
        let sentences = reviews.filter_map(|(_, review)| review["sentences"].as_object()).flatten();
        let said = sentences.filter_map(|(_, sentence)| sentence.as_str().map(str::to_owned));
        let faqs = place["faqs"].as_object().into_iter().flatten();
        let answers = faqs.map(|(_, faq)| {
            let part = |name: &str| faq[name].as_str().unwrap_or_default();
            format!("{} {}", part("question"), part("answer"))
        });
        let words = said.chain(answers).map(|words| words.split_whitespace().collect::<Vec<_>>().join(" "));
        out.extend(words.filter(|words| !words.is_empty()).map(|words| (name.to_owned(), words)));
    }
    ensure!(!out.is_empty(), "{}: nothing is said of any place", file.display());
    Ok(out)
}

/// A folder of as many calls as are played at once: the recorded ones, over and over.
fn ten_calls(bench: &Bench) -> Result<tempfile::TempDir> {
    let (folder, turns) = (tempfile::tempdir()?, bench.turns()?);
    let stereo = folder.path().join("stereo");
    std::fs::create_dir(&stereo)?;
    let mut copied = Vec::new();
    for (n, file) in files(&bench.calls.join("stereo"), "flac")?.iter().cycle().take(CALLS).enumerate() {
        let id = file.file_stem().and_then(|s| s.to_str()).context("file name")?;
        let copy = format!("{id}-{n}");
        std::fs::copy(file, stereo.join(format!("{copy}.flac")))?;
        for turn in turns.iter().filter(|turn| turn["sid"] == id) {
            let mut turn = turn.clone();
            turn["sid"] = copy.as_str().into();
            copied.push(turn);
        }
    }
    std::fs::write(folder.path().join("turns.json"), serde_json::to_string(&copied)?)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_card_comes_after_the_end_of_what_was_asked() {
        let said = |id: u64, end: u64| json!({ "kind": "utterance", "final": true, "utterance_id": id, "end_ms": end });
        let card = |id: u64, at: u64| json!({ "kind": "card", "document": "a.md", "at_ms": at, "evidence": { "utterance_id": id } });
        let turn = |role: &str, begin: u64, length: u64| json!({ "role": role, "offset_ms_call_clock": begin, "duration_ms": length });
        let turns = [
            turn("caller", 1_000, 900),
            turn("agent", 2_100, 500),
            turn("caller", 2_500, 1_000),
            turn("caller", 6_000, 10),
        ];
        let turns: Vec<&Value> = turns.iter().collect();
        let events = [said(1, 2_000), card(1, 2_300), said(2, 3_600), said(2, 3_650), card(2, 4_500)];
        let after = |ms: i64| ("a.md".to_owned(), ms);
        assert_eq!(shown(&events, &turns), [after(400), after(1_000)]);
    }
}
