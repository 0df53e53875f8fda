//! Pages while many calls go on that are not the reader's: the wall, an agent's page of one call, and the list of calls.
//!
//! Whoever looks at a page does so on a machine of their own. Here it has a processor of its own: else what recognises 50 calls
//! would take the browser's time away, and be taken for the page.

use anyhow::{Result, ensure};
use serde_json::Value;
use sotto_tests::audio::Audio;
use sotto_tests::server::{ADMIN, Sotto};

use super::Figure;
use super::setup::{Bench, last_json, place};
use crate::run::Run;

const AGENT: (&str, &str) = ("mina", "a long enough password");

/// Calls of others.
const CALLS: usize = 50;

/// Pages that are looked at, one after the other.
const PAGES: usize = 3;

/// How long all of them take to begin, at most, in seconds.
const BEGIN_S: usize = 120;

pub fn measure(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let (calls, seconds) = if bench.quick { (10, 10) } else { (CALLS, 60) };
    let _apart = Apart::new()?;
    let server = bench.server("tiny.en")?;
    server.add_user(AGENT, "agent")?;
    let recorded = bench.recorded_calls()?;
    let mut placed = Vec::new();
    for (n, call) in recorded.iter().cycle().take(calls).enumerate() {
        let samples = (BEGIN_S + PAGES * seconds) * 8_000;
        let long = |channel: &Vec<i16>| channel.iter().copied().cycle().take(samples).collect();
        let audio = Audio { rate: call.audio.rate, channels: call.audio.channels.iter().map(long).collect() };
        placed.push(place(&server, &audio, &format!("{}", 15_550_300 + n))?);
    }
    let first = placed.first().map_or("", |call| &call.id);
    let one = format!("#/calls/{first}");
    let pages: [_; PAGES] =
        [("wall", ADMIN, "#/wall"), ("agent", AGENT, one.as_str()), ("list", AGENT, "#/calls")];
    for (page, who, place) in pages {
        let seen = watch(&server, who, seconds, place)?;
        let number = |name: &str| seen[name].as_f64().unwrap_or(f64::NAN);
        if page == "wall" {
            sink(Figure::at_least("smooth.calls_on_the_wall", number("calls"), "calls", calls as f64));
        }
        sink(Figure::at_most(&format!("smooth.{page}.long_tasks"), number("long_tasks"), "tasks", 0.0));
        sink(Figure::at_most(&format!("smooth.{page}.longest_task"), number("longest_ms"), "ms", 50.0));
        // Of the page alone: by the clock, what else the browser does counts as well.
        sink(Figure::reported(
            &format!("smooth.{page}.longest_of_processor"),
            number("longest_cpu_ms"),
            "ms",
        ));
    }
    Ok(())
}

/// Keeps this program, and what it starts, off the first processor while it lives.
struct Apart {
    processors: usize,
}

impl Apart {
    fn new() -> Result<Self> {
        let processors = std::thread::available_parallelism()?.get();
        ensure!(processors > 1, "the page needs a processor of its own");
        let apart = Self { processors };
        apart.run_on(1)?;
        Ok(apart)
    }

    /// Has all threads of this program run on the processors from one on.
    fn run_on(&self, first: usize) -> Result<()> {
        let (last, own) = (self.processors - 1, std::process::id().to_string());
        Run::new("taskset")
            .args(["--all-tasks", "--cpu-list", "--pid", &format!("{first}-{last}"), &own])
            .output()?;
        Ok(())
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        let _ = self.run_on(0);
    }
}

/// What the main thread of a page does.
fn watch(server: &Sotto, (name, password): (&str, &str), seconds: usize, place: &str) -> Result<Value> {
    let out = Run::new("taskset")
        .args([
            "--cpu-list",
            "0",
            "node",
            "web/dev/smooth.mjs",
            &format!("http://{}", server.http),
            name,
            password,
        ])
        .args([&seconds.to_string(), place])
        .output()?;
    last_json(&out)
}
