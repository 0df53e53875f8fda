//! Six real calls, first as files at real-time speed, then through SIP and RTP.

use anyhow::Result;
use serde_json::Value;

use super::setup::{Bench, last_json, percentile, place, scored_events};
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
    report("harper", &figures, sink);
    match python(bench, &events) {
        Ok(theirs) => {
            let same = ["wer", "first_wer", "hallucinated", "turn_final_ms", "first_text_ms", "revised_ms"]
                .iter()
                .all(|name| figures[name] == theirs[name]);
            if !same {
                note(&format!("score.py says {theirs}"));
            }
            sink(Figure::at_least("harper.equal_to_score_py", f64::from(u8::from(same)), "", 1.0));
        }
        Err(error) => note(&format!("not compared with score.py: {error:#}")),
    }
    Ok(())
}

pub fn through_sipp(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let server = bench.server("base")?;
    let mut lines = String::new();
    let mut lost = 0;
    for (n, call) in bench.recorded_calls()?.iter().enumerate() {
        let placed = place(&server, &call.audio, &format!("{}", 15_550_100 + n))?;
        placed.sipp.finish()?;
        let events = server.api.ended(&placed.id, std::time::Duration::from_secs(60))?;
        lines.push_str(&scored_events(&call.id, &events));
        lost += events
            .iter()
            .filter(|e| e["kind"] == "leg_ended")
            .filter_map(|e| e["lost"].as_u64())
            .sum::<u64>();
    }
    sink(Figure::at_most("siprec.packets_lost", lost as f64, "packets", 0.0));
    let path = tools().join("eval-siprec-events.ndjson");
    std::fs::write(&path, lines)?;
    let figures = bench.score(&bench.calls, &path)?;
    report("siprec", &figures, sink);
    // The network must cost nothing; where chunks of audio begin changes a few words either way.
    for name in ["first_wer", "wer"] {
        if let (Some(files), Some(calls)) =
            (last("harper", &format!("harper.{name}"))?, figures[name].as_f64())
        {
            sink(Figure::at_most(&format!("siprec.{name}_above_files"), calls - files, "rate", 0.01));
        }
    }
    Ok(())
}

fn report(row: &str, figures: &Value, sink: &mut dyn FnMut(Figure)) {
    let number = |name: &str| figures[name].as_f64().unwrap_or(f64::NAN);
    let name = |figure: &str| format!("{row}.{figure}");
    sink(Figure::at_most(&name("first_wer"), number("first_wer"), "rate", 0.13));
    sink(Figure::at_most(&name("wer"), number("wer"), "rate", 0.075));
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
