//! Six real calls, first as files at real-time speed, then through SIP and RTP.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::setup::{Bench, Recorded, last_json, percentile, place, scored_events, value_at};
use super::{Figure, last};
use crate::run::{Run, note, tools};

pub fn through_files(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let events = tools().join("eval-harper-events.ndjson");
    std::fs::create_dir_all(tools())?;
    let out = Run::new(&bench.sotto)
        .arg("eval")
        .arg(&bench.calls)
        .args(["--set", "speech.model=base", "--json"])
        .arg(&events)
        .output()?;
    let figures = last_json(&out)?;
    report("harper", &figures, true, sink);
    partial_gaps("harper", &events, sink)?;
    match python(bench, &events) {
        Ok(theirs) => {
            let same = ["wer", "first_wer", "hallucinated", "turn_final_ms", "first_text_ms", "revised_ms"]
                .iter()
                .all(|name| !figures[name].is_null() && figures[name] == theirs[name]);
            if !same {
                note(&format!("score.py says {theirs}"));
            }
            sink(Figure::at_least("harper.equal_to_score_py", f64::from(u8::from(same)), "", 1.0));
        }
        Err(error) => note(&format!("not compared with score.py: {error:#}")),
    }
    Ok(())
}

/// How much later the recordings begin: chunks of the voice activity network (32 ms) and of the encoder (20 ms) then
/// begin elsewhere in the words.
pub(super) const LATER_MS: [f64; 4] = [0.0, 6.4, 12.8, 25.6];

/// How much the words depend on where audio happens to begin.
pub fn phases(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut sums = [0.0; 2];
    let calls = bench.recorded_calls()?;
    // Words do not depend on how long a decode takes here, so as many calls at once as there are processors.
    let at_once = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    for later in LATER_MS {
        let replay = |call: &Recorded| {
            let file = folder.path().join(format!("{}.wav", call.id));
            call.audio.later(later).write_wav(&file)?;
            Ok(scored_events(&call.id, &bench.replay("base", "en", &file)?))
        };
        let mut lines = String::new();
        for some in calls.chunks(at_once) {
            let replayed: Vec<Result<String>> = std::thread::scope(|scope| {
                let threads: Vec<_> = some.iter().map(|call| scope.spawn(|| replay(call))).collect();
                let panicked = |_| Err(anyhow::anyhow!("a replay panicked"));
                threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
            });
            for events in replayed {
                lines.push_str(&events?);
            }
        }
        let path = folder.path().join("events.ndjson");
        std::fs::write(&path, lines)?;
        let figures = bench.score(&bench.calls, &path)?;
        for (sum, name) in sums.iter_mut().zip(["first_wer", "wer"]) {
            let rate = figures[name].as_f64().unwrap_or(f64::NAN);
            *sum += rate;
            sink(Figure::reported(&format!("phases.{name}_{later}_ms_later"), rate, "rate"));
        }
    }
    for (sum, name) in sums.iter().zip(["first_wer", "wer"]) {
        sink(Figure::reported(&format!("phases.{name}_mean"), sum / LATER_MS.len() as f64, "rate"));
    }
    Ok(())
}

pub fn through_sipp(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let server = bench.server("base")?;
    let recordings = tempfile::tempdir()?;
    let (mut lines, mut replayed) = (String::new(), String::new());
    let (mut lost, mut legs, mut calls) = (0, 0, 0);
    for (n, call) in bench.recorded_calls()?.iter().enumerate() {
        let placed = place(&server, &call.audio, &format!("{}", 15_550_100 + n))?;
        placed.sipp.finish()?;
        let events = server.api.ended(&placed.id, std::time::Duration::from_secs(60))?;
        lines.push_str(&scored_events(&call.id, &events));
        let ended = events.iter().filter(|e| e["kind"] == "leg_ended");
        let lost_there: Vec<u64> = ended.filter_map(|e| e["lost"].as_u64()).collect();
        (lost, legs, calls) = (lost + lost_there.iter().sum::<u64>(), legs + lost_there.len(), calls + 1);
        let recording = recordings.path().join(format!("{}.wav", call.id));
        server.api.recording(&placed.id, &recording)?;
        replayed.push_str(&scored_events(&call.id, &bench.replay("base", "en", &recording)?));
    }
    ensure!(legs == 2 * calls, "{legs} streams of {calls} calls say what they have lost");
    sink(Figure::at_most("siprec.packets_lost", lost as f64, "packets", 0.0));
    let path = tools().join("eval-siprec-events.ndjson");
    std::fs::write(&path, lines)?;
    let figures = bench.score(&bench.calls, &path)?;
    report("siprec", &figures, false, sink);
    // The network must cost nothing. Where chunks of audio begin changes words either way, as does the rounding of a
    // recording; so what arrived is recognised once more from its recording, and what the calls differ by is compared
    // with how much they differ.
    let path_of_replayed = recordings.path().join("events.ndjson");
    std::fs::write(&path_of_replayed, replayed)?;
    let replayed = bench.score(&bench.calls, &path_of_replayed)?;
    for name in ["first_wer", "wer"] {
        let rate = |figures: &Value| figures[name].as_f64().unwrap_or(f64::NAN);
        sink(Figure::reported(&format!("siprec.replayed_{name}"), rate(&replayed), "rate"));
    }
    let files = tools().join("eval-harper-events.ndjson");
    if let Some(before) = last("harper", "harper.wer")?.filter(|_| files.is_file()) {
        let words = figures["wer"].as_f64().unwrap_or(f64::NAN);
        sink(Figure::reported("siprec.wer_above_files", words - before, "rate"));
        let (calls, files) = (by_call(bench, &path)?, by_call(bench, &files)?);
        for name in ["first_wer", "wer"] {
            let (calls, files) = (errors(&calls, name), errors(&files, name));
            let (apart, significant) = (apart(&calls, &files), significant(calls.len()));
            let name = format!("siprec.{name}_standard_errors_above_files");
            sink(Figure::at_most(&name, apart, "", significant));
        }
    } else {
        ensure!(bench.quick, "the row harper has to be measured before: there is nothing to compare with");
    }
    Ok(())
}

/// Student's t of a difference that so many pairs of calls show by chance once in forty times (one-sided 2.5 %).
fn significant(pairs: usize) -> f64 {
    const BY_FREEDOM: [f64; 10] = [12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23];
    // Further on the tail is nearly the normal distribution's.
    let freedom = pairs.saturating_sub(1);
    let table = freedom.checked_sub(1).and_then(|at| BY_FREEDOM.get(at));
    table.copied().unwrap_or(1.96 + 2.4 / freedom.max(1) as f64)
}

/// Each call's figures alone.
fn by_call(bench: &Bench, events: &std::path::Path) -> Result<Vec<Value>> {
    let (turns, events) = (bench.turns()?, std::fs::read_to_string(events)?);
    let folder = tempfile::tempdir()?;
    let mut all = Vec::new();
    for call in bench.recorded_calls()? {
        let turns: Vec<&Value> = turns.iter().filter(|turn| turn["sid"] == call.id.as_str()).collect();
        std::fs::write(folder.path().join("turns.json"), serde_json::to_string(&turns)?)?;
        let name = format!("\"{}\"", call.id);
        let lines: String = events.lines().filter(|l| l.contains(&name)).flat_map(|l| [l, "\n"]).collect();
        let path = folder.path().join("events.ndjson");
        std::fs::write(&path, lines)?;
        all.push(bench.score(folder.path(), &path)?);
    }
    Ok(all)
}

/// The wrong words of each call.
fn errors(calls: &[Value], rate: &str) -> Vec<f64> {
    let number = |call: &Value, name: &str| call[name].as_f64().unwrap_or(f64::NAN);
    calls.iter().map(|call| number(call, rate) * number(call, "ref_words")).collect()
}

/// How many standard errors `ours` are above `theirs` on average, pair by pair.
fn apart(ours: &[f64], theirs: &[f64]) -> f64 {
    let differences: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a - b).collect();
    let n = differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / n;
    let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0);
    match variance.sqrt() {
        0.0 if mean == 0.0 => 0.0,
        deviation => mean / (deviation / n.sqrt()),
    }
}

/// Words have a bar of their own where they come from files; over SIP they are compared with those.
fn report(row: &str, figures: &Value, words_have_bars: bool, sink: &mut dyn FnMut(Figure)) {
    let number = |name: &str| figures[name].as_f64().unwrap_or(f64::NAN);
    let name = |figure: &str| format!("{row}.{figure}");
    for (rate, bar) in [("first_wer", 0.13), ("wer", 0.075)] {
        sink(match words_have_bars {
            true => Figure::at_most(&name(rate), number(rate), "rate", bar),
            false => Figure::reported(&name(rate), number(rate), "rate"),
        });
    }
    let mut ms = |figure: &str, which: &str, bar: f64| {
        let value = percentile(figures, figure, which);
        sink(Figure::at_most(&name(&format!("{figure}.{which}")), value, "ms", bar));
    };
    ms("revised_ms", "p95", 8000.0);
    ms("turn_final_ms", "p50", 800.0);
    ms("turn_final_ms", "p95", 1800.0);
    ms("first_text_ms", "p50", 1200.0);
    sink(Figure::at_most(&name("hallucinated"), number("hallucinated"), "words", 0.0));
}

/// How long words that are being spoken stay as they are on the screen: from one partial of an utterance to the next.
fn partial_gaps(row: &str, events: &std::path::Path, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let mut last = BTreeMap::new();
    let mut gaps = Vec::new();
    for line in std::fs::read_to_string(events)?.lines() {
        let event: Value = serde_json::from_str(line)?;
        let utterance = format!("{} {} {}", event["call"], event["role"], event["utterance"]);
        if event["final"] == true {
            last.remove(&utterance);
        } else if let (Some(at), Some(before)) =
            (event["at_ms"].as_i64(), last.insert(utterance, event["at_ms"].as_i64().unwrap_or_default()))
        {
            gaps.push(at - before);
        }
    }
    gaps.sort_unstable();
    sink(Figure::reported(&format!("{row}.partial_gap_ms.p50"), value_at(&gaps, 50), "ms"));
    sink(Figure::at_most(&format!("{row}.partial_gap_ms.p95"), value_at(&gaps, 95), "ms", 1000.0));
    Ok(())
}

/// The figures of the data's own scorer, where Python and its one package can be had.
fn python(bench: &Bench, events: &std::path::Path) -> Result<Value> {
    let scorer = bench.data.join("tools/score.py");
    anyhow::ensure!(scorer.is_file(), "no {}", scorer.display());
    let venv = tools().join("python");
    let python = venv.join("bin/python3");
    if !Run::new(&python).args(["-c", "import whisper_normalizer"]).quietly() {
        Run::new("python3").args(["-m", "venv"]).arg(&venv).go()?;
        Run::new(venv.join("bin/pip")).args(["install", "--quiet", "whisper-normalizer"]).go()?;
    }
    last_json(&Run::new(&python).arg(scorer).arg(&bench.calls).arg(events).output()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_compared_with_how_much_they_differ() {
        assert_eq!(apart(&[3.0, 5.0], &[3.0, 5.0]), 0.0);
        assert!((apart(&[4.0, 4.0, 10.0], &[3.0, 4.0, 8.0]) - 1.732).abs() < 0.001);
        assert_eq!(apart(&[2.0, 3.0], &[1.0, 2.0]), f64::INFINITY);
    }
}
