//! What is understood of what was said, by the code that calls run on: mood and intent on public data,
//! secrets in made-up calls, entities in sentences that were written for it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sotto_tests::audio::Audio;
use sotto_tests::server::{Setup, Sotto};

use super::setup::{Bench, place, value_at};
use super::{Figure, concurrency};
use crate::run::{note, root, tools};

/// Calls at once under which what is understood has to come in time, and within how many milliseconds.
const CALLS: usize = 10;
const IN_TIME_MS: f64 = 80.0;
/// The same with the English embedding.
const IN_TIME_ENGLISH_MS: f64 = 40.0;
/// The events that are measured; moods may be lacking.
const UNDERSTOOD: &[&str] = &["mood", "intent", "entities"];
/// Prompts a minute at most.
const CALM: f64 = 1.5;
/// Emotions of acted speech that are loud or fast or high, as they are commonly divided; the others are boredom, disgust,
/// sadness and none.
const AGITATED: [&str; 3] = ["anger", "fear", "happiness"];
/// Silence between two clips: each is an utterance.
const BETWEEN_MS: u64 = 1_500;
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

pub fn banking77_english(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    measure("banking77_english", bench, sink)
}

pub fn clinc_english(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    measure("clinc_english", bench, sink)
}

pub fn massive(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    measure("massive", bench, sink)
}

pub fn checklist(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    measure("checklist", bench, sink)
}

pub fn checklist_english(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    measure("checklist_english", bench, sink)
}

pub fn fairness(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    measure("fairness", bench, sink)
}

pub fn persian_mood(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    measure("persian_mood", bench, sink)
}

pub fn urgency(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    measure("urgency", bench, sink)
}

pub fn urgency_english(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    measure("urgency_english", bench, sink)
}

pub fn cost(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    measure("cost", bench, sink)
}

pub fn cost_english(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    measure("cost_english", bench, sink)
}

pub fn redaction(_: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    run("words", &["redaction".as_ref()], sink)
}

pub fn entities(_: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    run("words", &["entities".as_ref()], sink)
}

/// Runs a row of `crates/insight/examples/measure`. Embeddings are kept, so that a second run takes
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
    let server = understanding(bench, "base", &[])?;
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

/// How often the agents of the six calls are told something, what it rests on, and whether anybody but a customer has a mood.
pub fn calm(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let server = understanding(bench, "base", &[])?;
    let (mut prompts, mut without, mut moods, mut others, mut minutes) = (0u32, 0u32, 0u32, 0u32, 0.0);
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
        for mood in events.iter().filter(|event| event["kind"] == "mood") {
            moods += 1;
            others += u32::from(!is_of_customer(&events, mood));
        }
        minutes += call.audio.duration_ms() as f64 / 60_000.0;
    }
    note(&format!("told of {kinds:?} in {minutes:.1} minutes"));
    sink(Figure::at_most("calm.prompts_per_minute", f64::from(prompts) / minutes, "prompts", CALM));
    sink(Figure::at_most("calm.without_evidence", f64::from(without), "prompts", 0.0));
    sink(Figure::reported("calm.moods", f64::from(moods), "moods"));
    sink(Figure::at_most("calm.moods_of_others", f64::from(others), "moods", 0.0));
    Ok(())
}

/// Whether a mood names words that are the customer's, by everything that the log says of them.
fn is_of_customer(events: &[Value], mood: &Value) -> bool {
    let is_it = |e: &&Value| e["kind"] == "utterance" && e["utterance_id"] == mood["utterance_id"];
    let mut said = events.iter().filter(is_it).peekable();
    said.peek().is_some() && said.all(|said| said["party"] == "customer")
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

/// How well a customer's voice tells that they are agitated: every speaker is the customer of a call of their own, in which
/// they say all their clips in the order of the list, and is compared with their own first ones.
pub fn emotion_voice(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let folder = bench.data.join("emotion-voice");
    let manifest =
        std::fs::read_to_string(folder.join("manifest.tsv")).context("emotion-voice/manifest.tsv")?;
    let mut speakers: BTreeMap<&str, Vec<(&str, bool)>> = BTreeMap::new();
    for line in manifest.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let &[file, speaker, _, emotion, ..] = &columns[..] else { continue };
        speakers.entry(speaker).or_default().push((file, AGITATED.contains(&emotion)));
    }
    ensure!(!speakers.is_empty(), "no rows in emotion-voice/manifest.tsv");
    let scratch = tempfile::tempdir()?;
    let settings = ["insight.mood=voice_and_words", "prompts.enabled=false"].map(str::to_owned);
    let (mut all, mut areas, mut clips) = (Vec::new(), Vec::new(), 0);
    for (speaker, said) in speakers.iter().take(if bench.quick { 1 } else { usize::MAX }) {
        let (mut rate, mut voice, mut begins) = (0, Vec::new(), Vec::new());
        for (file, _) in said {
            let clip = Audio::read(&folder.join(file))?;
            ensure!(rate == 0 || rate == clip.rate, "{file} has another rate");
            rate = clip.rate;
            begins.push(voice.len() as u64 * 1_000 / u64::from(rate));
            voice.extend(clip.channels.into_iter().next().unwrap_or_default());
            voice.resize(voice.len() + (BETWEEN_MS * u64::from(rate) / 1_000) as usize, 0);
        }
        let file = scratch.path().join(format!("{speaker}.wav"));
        Audio { rate, channels: vec![vec![0; voice.len()], voice] }.write_wav(&file)?;
        let events = bench.replay_with("max", &settings, "base", "de", &file)?;
        let heard = arousals(&events, &begins);
        note(&format!("speaker {speaker}: {} of {} clips are told of", heard.len(), said.len()));
        let score = |(clip, arousal): (usize, f64)| (arousal, said[clip].1);
        let scores: Vec<(f64, bool)> = heard.into_iter().map(score).collect();
        areas.extend(area(&scores));
        all.extend(scores);
        clips += said.len();
    }
    let mean = areas.iter().sum::<f64>() / areas.len() as f64;
    sink(Figure::reported("emotion_voice.auc_within_speakers", mean, ""));
    sink(Figure::reported("emotion_voice.auc_over_all", area(&all).unwrap_or(f64::NAN), ""));
    sink(Figure::reported("emotion_voice.told", all.len() as f64 / clips as f64, "rate"));
    Ok(())
}

/// What the voice told in each clip, by the longest utterance in it.
fn arousals(events: &[Value], begins: &[u64]) -> BTreeMap<usize, f64> {
    let (mut spans, mut told) = (BTreeMap::new(), BTreeMap::new());
    for event in events {
        let id = event["utterance_id"].as_u64();
        match event["kind"].as_str() {
            Some("utterance") => _ = spans.insert(id, (event["start_ms"].as_u64(), event["end_ms"].as_u64())),
            Some("mood") => _ = told.insert(id, event["voice"]["arousal"].as_f64()),
            _ => {}
        }
    }
    let mut longest: BTreeMap<usize, (u64, f64)> = BTreeMap::new();
    for (id, arousal) in told {
        let (Some(arousal), Some((Some(start), Some(end)))) = (arousal, spans.get(&id)) else { continue };
        let after = begins.partition_point(|begin| *begin <= u64::midpoint(*start, *end));
        let Some(clip) = after.checked_sub(1) else { continue };
        let known = longest.entry(clip).or_insert((0, arousal));
        if end - start > known.0 {
            *known = (end - start, arousal);
        }
    }
    longest.into_iter().map(|(clip, (_, arousal))| (clip, arousal)).collect()
}

/// The area under the curve of true against false alarms: how often something true has a higher score than something that
/// is not (Mann and Whitney's statistic). None where there is but one of the two.
fn area(scores: &[(f64, bool)]) -> Option<f64> {
    let of = |which: bool| scores.iter().filter(move |one| one.1 == which).map(|one| one.0);
    let pairs = of(true).count() * of(false).count();
    let wins = |a: f64, b: f64| 0.5 * (f64::from(u8::from(a > b)) + f64::from(u8::from(a >= b)));
    let sum: f64 = of(true).flat_map(|a| of(false).map(move |b| wins(a, b))).sum();
    (pairs > 0).then(|| sum / pairs as f64)
}

/// How long it takes from the words to what is understood of them, beside recognition of that many calls.
pub fn latency(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    latency_of("latency", understanding(bench, "tiny.en", &[])?, UNDERSTOOD, IN_TIME_MS, bench, sink)
}

/// The same with the English embedding, and with moods if heads have been trained over it.
pub fn latency_english(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let heads = root().join("crates/insight/heads/minilm");
    let feels = ["sentiment.onnx", "emotion.onnx"].iter().all(|head| heads.join(head).is_file());
    let (mood, kinds) =
        if feels { ("mood = \"words\"", UNDERSTOOD) } else { ("mood = \"off\"", &UNDERSTOOD[1..]) };
    let server = understanding(bench, "tiny.en", &["embedding = \"english\"", mood])?;
    latency_of("latency_english", server, kinds, IN_TIME_ENGLISH_MS, bench, sink)
}

fn latency_of(
    row: &str,
    server: Sotto,
    kinds: &[&str],
    in_time_ms: f64,
    bench: &Bench,
    sink: &mut dyn FnMut(Figure),
) -> Result<()> {
    let calls = concurrency::load(&server, &bench.recorded_calls()?, CALLS, 1)?;
    for kind in kinds {
        let events = calls.iter().flat_map(|call| &call.events).filter(|event| event["kind"] == *kind);
        let mut ms: Vec<i64> = events.filter_map(|event| event["latency_ms"].as_i64()).collect();
        ms.sort_unstable();
        sink(Figure::reported(&format!("{row}.{kind}_ms.p50"), value_at(&ms, 50), "ms"));
        sink(Figure::at_most(&format!("{row}.{kind}_ms.p95"), value_at(&ms, 95), "ms", in_time_ms));
    }
    sink(Figure::at_most(
        &format!("{row}.dropped"),
        server.api.metric("sotto_insight_dropped_total")?,
        "utterances",
        0.0,
    ));
    Ok(())
}

/// A server that recognises the callers' tasks, with more lines of its configuration's `insight`.
fn understanding(bench: &Bench, model: &str, more: &[&str]) -> Result<Sotto> {
    let set = root().join("insight-sets/harper.toml");
    let intents = format!("intents = {:?}", set.display().to_string());
    let lines = more.iter().map(|line| (*line).to_owned()).chain([intents]);
    let (language, more) = (Some("en".to_owned()), lines.map(|line| ("insight".to_owned(), line)).collect());
    let setup = Setup { model: model.into(), language, more, ..Setup::default() };
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
    fn a_clip_has_what_its_longest_utterance_tells() {
        let said = |id: u64, start: u64, end: u64| json!({ "kind": "utterance", "utterance_id": id, "start_ms": start, "end_ms": end });
        let mood = |id: u64, arousal: f64| json!({ "kind": "mood", "utterance_id": id, "voice": { "arousal": arousal } });
        let events = [
            said(1, 100, 400),
            mood(1, 0.1),
            said(2, 600, 1_900),
            mood(2, 0.2),
            said(3, 3_600, 5_000),
            json!({ "kind": "mood", "utterance_id": 3 }),
            said(4, 7_100, 8_000),
            mood(4, 0.3),
            mood(4, 0.4),
        ];
        assert_eq!(arousals(&events, &[0, 3_500, 7_000]), BTreeMap::from([(0, 0.2), (2, 0.4)]));
    }

    #[test]
    fn the_area_under_the_curve_counts_pairs_in_order() {
        let scores = [(0.9, true), (0.5, true), (0.5, false), (0.1, false)];
        assert_eq!(area(&scores), Some(0.875));
        assert_eq!(area(&scores[..2]), None);
        assert_eq!(area(&[]), None);
    }

    #[test]
    fn a_mood_is_of_who_said_the_words_that_it_names() {
        let said = |id: u64, party: &str| json!({ "kind": "utterance", "utterance_id": id, "party": party });
        let events = [said(1, "customer"), said(2, "agent"), said(3, "customer"), said(3, "agent")];
        let is_fine = |id: u64| is_of_customer(&events, &json!({ "utterance_id": id }));
        assert_eq!([1, 2, 3, 4].map(is_fine), [true, false, false, false]);
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
