//! What a customer at a telephone and an agent at a browser understand of each other: what arrives at each of them is
//! recognised, and so is the file that was spoken there, by the same program. The difference is what the way costs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sotto_tests::audio::Audio;
use sotto_tests::browser::Microphone;
use sotto_tests::server::{ADMIN, Setup};

use super::Figure;
use super::carried::{Carried, NUMBERS, PATIENCE};
use super::setup::{Bench, Recorded, scored_events};
use crate::run::note;

/// Words more that may be wrong than in the file.
const BAR: f64 = 0.01;

/// Both are silent until both hear: the browser's microphone speaks once it is opened, before there is a connection.
const BEFORE_MS: u64 = 3_000;
/// And until all is said.
const AFTER_MS: u64 = 2_000;

/// Words depend on where audio begins (see the row `phases`), so each recording is recognised begun at two places.
const LATER_MS: [u64; 2] = [0, 13];

/// Of the recorded calls: they take as long as they are.
const CALLS: usize = 4;

/// The ends of a call: who hears, whose words, and the channel of the recording.
const ENDS: [(&str, &str, usize); 2] = [("customer", "agent", 0), ("agent", "caller", 1)];

pub fn measure(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let server = bench.server_with(&Setup { model: "base".into(), ..Setup::desk(NUMBERS) })?;
    let mut recorded = bench.recorded_calls()?;
    recorded.truncate(CALLS);
    let mut live = String::new();
    let mut both_on_page = 0;
    // Errors and words of each call, in the file and as heard, at each end.
    let mut ends: [Vec<[Errors; 2]>; 2] = Default::default();
    for call in &recorded {
        let heard = place(call, &server)?;
        both_on_page += usize::from(heard.both_on_page);
        live.push_str(&scored_events(&call.id, &heard.events));
        for ((audio, (_, role, channel)), end) in heard.audio.iter().zip(ENDS).zip(&mut ends) {
            let file = Audio { rate: call.audio.rate, channels: vec![call.audio.channels[channel].clone()] };
            let [direct, arrived] = [&file, audio].map(|audio| errors(bench, call, role, audio));
            end.push([direct?, arrived?]);
        }
    }
    for ((end, _, _), calls) in ENDS.iter().zip(&ends) {
        let rate = |which: usize| {
            let (wrong, words) =
                calls.iter().fold((0.0, 0.0), |(w, n), call| (w + call[which].wrong, n + call[which].words));
            wrong / words
        };
        let name = |figure: &str| format!("words.at_{end}.{figure}");
        sink(Figure::reported(&name("wer_of_file"), rate(0), "rate"));
        sink(Figure::reported(&name("wer"), rate(1), "rate"));
        sink(Figure::at_most(&name("wer_above_file"), rate(1) - rate(0), "rate", BAR));
        let words = calls.iter().map(|call| call[0].words).sum::<f64>() / calls.len() as f64;
        let each: Vec<f64> = calls.iter().map(|[file, heard]| (heard.wrong - file.wrong) / words).collect();
        sink(Figure::reported(&name("standard_error"), standard_error(&each), "rate"));
    }
    let is_placed = |turn: &Value| recorded.iter().any(|call| turn["sid"] == call.id.as_str());
    let shown = score(bench, is_placed, &live)?;
    sink(Figure::reported("words.on_page.wer", shown["wer"].as_f64().unwrap_or(f64::NAN), "rate"));
    let calls = recorded.len() as f64;
    sink(Figure::at_least("words.on_page.calls_with_both_live", both_on_page as f64, "calls", calls));
    Ok(())
}

/// What came of a call.
struct Heard {
    /// What the customer heard, and what the agent heard.
    audio: [Audio; 2],
    events: Vec<Value>,
    /// During the call the agent's page showed words of both.
    both_on_page: bool,
}

fn place(call: &Recorded, server: &sotto_tests::server::Sotto) -> Result<Heard> {
    let length = BEFORE_MS + call.audio.duration_ms() + AFTER_MS;
    let padded = |channel: usize| {
        let silence = |ms: u64| vec![0; (ms * u64::from(call.audio.rate) / 1_000) as usize];
        [silence(BEFORE_MS), call.audio.channels[channel].clone(), silence(AFTER_MS)].concat()
    };
    let voice = Audio { rate: call.audio.rate, channels: vec![padded(0)] };
    let mut carried = Carried::begin(server, ADMIN, Microphone::Voice(&voice), &padded(1))?;
    let begun = Instant::now();
    let mut both_on_page = false;
    // The customer hangs up when everything is said.
    while server.api.calls("live")?.iter().any(|live| live["id"] == carried.id.as_str()) {
        let lines =
            "['agent', 'customer'].every((who) => document.querySelector(`main.ready li.line.${who}`))";
        both_on_page = both_on_page || carried.agent.run(lines)? == json!(true);
        ensure!(begun.elapsed() < Duration::from_millis(length) + PATIENCE, "{}", carried.customer.log());
        std::thread::sleep(Duration::from_millis(200));
    }
    let events = server.api.ended(&carried.id, PATIENCE)?;
    let by_agent = carried.agent.heard((length / 1_000 + 30) as u32)?;
    let by_customer = carried.customer.heard()?.context("the customer heard nothing")?;
    note(&format!(
        "{}: {} s spoken; {} s came to the customer, {} s to the agent",
        call.id,
        length / 1_000,
        by_customer.duration_ms() / 1_000,
        by_agent.duration_ms() / 1_000
    ));
    Ok(Heard { audio: [by_customer, by_agent], events, both_on_page })
}

/// Words, and how many of them are wrong, on average over where the audio begins.
#[derive(Clone, Copy)]
struct Errors {
    wrong: f64,
    words: f64,
}

/// What is wrong in what is understood of one party's words.
fn errors(bench: &Bench, call: &Recorded, role: &str, heard: &Audio) -> Result<Errors> {
    let mut sum = Errors { wrong: 0.0, words: 0.0 };
    let laters = if bench.quick { LATER_MS.get(..1).unwrap_or_default() } else { &LATER_MS };
    for later in laters {
        let events = scored_events(&call.id, &recognised(bench, role, heard, *later)?);
        let is_theirs = |turn: &Value| turn["sid"] == call.id.as_str() && turn["role"] == role;
        let score = score(bench, is_theirs, &events)?;
        let number = |name: &str| score[name].as_f64().context("no score");
        sum.wrong += number("wer")? * number("ref_words")? / laters.len() as f64;
        sum.words = number("ref_words")?;
    }
    Ok(sum)
}

/// The figures of events against some of the turns.
fn score(bench: &Bench, which: impl Fn(&Value) -> bool, events: &str) -> Result<Value> {
    let folder = tempfile::tempdir()?;
    let turns: Vec<Value> = bench.turns()?.into_iter().filter(which).collect();
    std::fs::write(folder.path().join("turns.json"), serde_json::to_string(&turns)?)?;
    let path = folder.path().join("events.ndjson");
    std::fs::write(&path, events)?;
    bench.score(folder.path(), &path)
}

/// The words in a recording that begins a little later, as one party's; the other one is silent.
fn recognised(bench: &Bench, role: &str, heard: &Audio, later_ms: u64) -> Result<Vec<Value>> {
    let silence = vec![0; (later_ms * u64::from(heard.rate) / 1_000) as usize];
    let voice = [silence, heard.channels.first().context("no channel")?.clone()].concat();
    let nothing = vec![0; voice.len()];
    let channels = if role == "agent" { vec![voice, nothing] } else { vec![nothing, voice] };
    let file = tempfile::Builder::new().suffix(".wav").tempfile()?;
    Audio { rate: heard.rate, channels }.write_wav(file.path())?;
    bench.replay("base", "en", file.path())
}

/// Of the mean of these.
pub(super) fn standard_error(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (variance / n).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_known_the_better_the_more_values_there_are() {
        assert_eq!(standard_error(&[1.0, 1.0, 1.0]), 0.0);
        assert!((standard_error(&[0.0, 2.0]) - 1.0).abs() < 1e-9);
        assert!((standard_error(&[0.0, 2.0, 0.0, 2.0]) - 0.577).abs() < 1e-3);
    }
}
