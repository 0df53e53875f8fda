//! Simultaneous calls: how many keep up, and what happens to three times as many.
//!
//! A line is a telephone that places one recorded call after another. All lines together give a steady load of
//! both parties speaking as in the six calls. Calls come from SIPp, one process a call.

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use serde_json::{Value, json};
use sotto_tests::audio::Audio;
use sotto_tests::server::Sotto;

use super::Figure;
use super::setup::{Bench, Recorded, percentile, place, scored_events};
use crate::run::note;

/// Calls with tiny.en that have to keep up.
const TINY_BAR: f64 = 6.0;

/// A call alone may be this much slower after a load than before it: what two runs of it differ by.
const LAG_GROWTH: f64 = 1.2;

/// Turn finals slower than this are not keeping up.
const KEEPS_UP_MS: f64 = 2000.0;

pub fn tiny(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    curve(bench, "tiny.en", &[2, 4, 6, 8, 12, 16, 20, 24], TINY_BAR, sink)
}

pub fn base(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    curve(bench, "base", &[1, 2, 3, 4, 6, 8, 12, 16], 3.0, sink)
}

fn curve(bench: &Bench, model: &str, steps: &[usize], bar: f64, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let recorded = bench.recorded_calls()?;
    let steps = if bench.quick { steps.get(..2).unwrap_or(steps) } else { steps };
    let mut most = 0;
    for &lines in steps {
        let server = bench.server(model)?;
        let calls = load(&server, &recorded, lines, if bench.quick { 1 } else { 2 })?;
        let figures = score(bench, &calls)?;
        let p95 = percentile(&figures, "turn_final_ms", "p95");
        sink(Figure::reported(&format!("calls.{model}.{lines}.turn_final_ms.p95"), p95, "ms"));
        let p50 = percentile(&figures, "turn_final_ms", "p50");
        sink(Figure::reported(&format!("calls.{model}.{lines}.turn_final_ms.p50"), p50, "ms"));
        sink(Figure::reported(
            &format!("calls.{model}.{lines}.wer"),
            figures["wer"].as_f64().unwrap_or(f64::NAN),
            "rate",
        ));
        if p95 < KEEPS_UP_MS {
            most = lines;
        } else {
            break;
        }
    }
    sink(Figure::at_least(&format!("calls.{model}.keep_up"), most as f64, "calls", bar));
    Ok(())
}

pub fn overload(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let recorded = bench.recorded_calls()?;
    let keep_up = super::last("calls-tiny", "calls.tiny.en.keep_up")?.unwrap_or(TINY_BAR).max(TINY_BAR);
    let (model, lines, rounds) =
        if bench.quick { ("tiny.en", 6, 1) } else { ("tiny.en", 3 * keep_up as usize, 2) };
    sink(Figure::reported("overload.lines", lines as f64, "calls"));
    let server = bench.server(model)?;
    // The same call alone, before and after. It has few turns, and where its audio begins may join two of them: the
    // median says how late words are.
    let alone = |when: &str, sink: &mut dyn FnMut(Figure)| -> Result<f64> {
        let calls = load(&server, recorded.get(..1).unwrap_or_default(), 1, 1)?;
        let figures = score(bench, &calls)?;
        let p95 = percentile(&figures, "turn_final_ms", "p95");
        sink(Figure::reported(&format!("overload.{when}.turn_final_ms.p95"), p95, "ms"));
        Ok(percentile(&figures, "turn_final_ms", "p50"))
    };
    let before = alone("before", sink)?;
    sink(Figure::reported("overload.before.turn_final_ms.p50", before, "ms"));
    let calls = load(&server, &recorded, lines, rounds)?;
    let begun = Instant::now();
    ensure!(calls.len() == lines * rounds, "{} of {} calls were answered", calls.len(), lines * rounds);
    sink(Figure::at_least("overload.answered", calls.len() as f64, "calls", (lines * rounds) as f64));
    let whole = calls.iter().map(|call| recorded_whole(&server, call)).collect::<Result<Vec<bool>>>()?;
    let whole = whole.into_iter().filter(|w| *w).count();
    sink(Figure::at_least("overload.recorded_whole", whole as f64, "calls", (lines * rounds) as f64));
    let said_so = calls.iter().filter(|c| c.events.iter().any(|e| e["kind"] == "load")).count();
    // Those at both ends of the load may have had nothing to say.
    let most_of_them = (lines * rounds) as f64 * 0.9;
    sink(Figure::at_least("overload.calls_that_say_so", said_so as f64, "calls", most_of_them));
    let figures = score(bench, &calls)?;
    let number = |name: &str| figures[name].as_f64().unwrap_or(f64::NAN);
    // Complete: what one call at a time gets wrong, and a little; a dropped utterance would cost much more.
    sink(Figure::at_most("overload.wer", number("wer"), "rate", 0.20));
    sink(Figure::reported("overload.turn_final_ms.p95", percentile(&figures, "turn_final_ms", "p95"), "ms"));
    // Nothing is left of the load.
    let most = (LAG_GROWTH * before).round();
    let after = alone("afterwards", sink)?;
    sink(Figure::at_most("overload.afterwards.turn_final_ms.p50", after, "ms", most));
    note(&format!("{} s from the last hang-up to here", begun.elapsed().as_secs()));
    Ok(())
}

/// A call that is over.
pub(super) struct Done {
    id: String,
    recorded: String,
    duration_ms: u64,
    pub(super) events: Vec<Value>,
}

/// Keeps `lines` calls going until each line has placed `rounds` of them.
pub(super) fn load(server: &Sotto, recorded: &[Recorded], lines: usize, rounds: usize) -> Result<Vec<Done>> {
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..lines)
            .map(|line| {
                let done = &done;
                scope.spawn(move || -> Result<()> {
                    // Lines do not begin in step: people do not either.
                    std::thread::sleep(Duration::from_millis(700 * line as u64));
                    for round in 0..rounds {
                        // One after the other through all of them: three lines with two calls each have the six.
                        let next = (line * rounds + round) % recorded.len().max(1);
                        let call = recorded.get(next).ok_or_else(|| anyhow!("no calls"))?;
                        let customer = format!("{}", 20_000_000 + line * 1000 + round);
                        let events = one(server, &call.audio, &customer)?;
                        let mut done = done.lock().map_err(|_| anyhow!("a line failed"))?;
                        done.push(Done {
                            id: events.0,
                            recorded: call.id.clone(),
                            duration_ms: call.audio.duration_ms(),
                            events: events.1,
                        });
                    }
                    Ok(())
                })
            })
            .collect();
        threads.into_iter().try_for_each(|t| t.join().map_err(|_| anyhow!("a line panicked"))?)
    })?;
    done.into_inner().map_err(|_| anyhow!("a line failed"))
}

fn one(server: &Sotto, audio: &Audio, customer: &str) -> Result<(String, Vec<Value>)> {
    let placed = place(server, audio, customer)?;
    placed.sipp.finish()?;
    let events = server.api.ended(&placed.id, Duration::from_secs(300))?;
    Ok((placed.id, events))
}

/// Whether a call's recording is as long as the call, on both sides.
pub(super) fn recorded_whole(server: &Sotto, call: &Done) -> Result<bool> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("recording.wav");
    server.api.recording(&call.id, &path)?;
    let audio = Audio::read(&path)?;
    let lost = call.events.iter().any(|e| e["kind"] == "audio_lost" && e["to"] == "recording");
    let missing = call.duration_ms.saturating_sub(audio.duration_ms());
    if missing > 200 || lost || audio.channels.len() != 2 {
        note(&format!("call {}: {missing} ms of the recording are missing", call.id));
        return Ok(false);
    }
    Ok(true)
}

/// Scores calls that may repeat a recording: each gets a name of its own in a `turns.json` of its own.
pub(super) fn score(bench: &Bench, calls: &[Done]) -> Result<Value> {
    let turns = bench.turns()?;
    let folder = tempfile::tempdir()?;
    let (mut all, mut events) = (Vec::new(), String::new());
    for (n, call) in calls.iter().enumerate() {
        let name = format!("{}-{n}", call.recorded);
        for turn in turns.iter().filter(|t| t["sid"] == call.recorded.as_str()) {
            let mut turn = turn.clone();
            turn["sid"] = json!(name);
            all.push(turn);
        }
        events.push_str(&scored_events(&name, &call.events));
    }
    let write = |name: &str, text: String| -> Result<std::path::PathBuf> {
        let path = folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    };
    write("turns.json", serde_json::to_string(&all)?)?;
    let events = write("events.ndjson", events)?;
    let folder: &Path = folder.path();
    bench.score(folder, &events)
}
