//! The page while many calls go on that are not the reader's.

use anyhow::Result;
use sotto_tests::audio::Audio;
use sotto_tests::server::ADMIN;

use super::Figure;
use super::setup::{Bench, last_json, place};
use crate::run::Run;

/// Calls of others.
const CALLS: usize = 50;

/// How long all of them take to begin, at most, in seconds.
const BEGIN_S: usize = 120;

pub fn measure(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let (calls, seconds) = if bench.quick { (10, 10) } else { (CALLS, 60) };
    let server = bench.server("tiny.en")?;
    let recorded = bench.recorded_calls()?;
    let mut placed = Vec::new();
    for (n, call) in recorded.iter().cycle().take(calls).enumerate() {
        let samples = (BEGIN_S + seconds) * 8_000;
        let long = |channel: &Vec<i16>| channel.iter().copied().cycle().take(samples).collect();
        let audio = Audio { rate: call.audio.rate, channels: call.audio.channels.iter().map(long).collect() };
        placed.push(place(&server, &audio, &format!("{}", 15_550_300 + n))?);
    }
    let out = Run::new("node")
        .args(["web/dev/smooth.mjs", &format!("http://{}", server.http), ADMIN.0, ADMIN.1])
        .arg(seconds.to_string())
        .output()?;
    let seen = last_json(&out)?;
    let number = |name: &str| seen[name].as_f64().unwrap_or(f64::NAN);
    sink(Figure::at_least("smooth.calls_on_the_page", number("calls"), "calls", calls as f64));
    sink(Figure::at_most("smooth.long_tasks", number("long_tasks"), "tasks", 0.0));
    sink(Figure::at_most("smooth.longest_task", number("longest_ms"), "ms", 50.0));
    Ok(())
}
