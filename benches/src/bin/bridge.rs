//! What a bridge adds to the way of a packet, and what a bridged call costs. Prints one JSON line a figure.

use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use sotto_audio::Codec;
use sotto_benches::Figure;
use sotto_benches::bridge::run;

/// Measures bridges.
#[derive(Parser)]
struct Arguments {
    /// Calls at the same time.
    #[arg(long, default_value_t = 20)]
    calls: usize,
    /// Seconds to measure.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

fn main() -> Result<()> {
    let Arguments { calls, seconds } = Arguments::parse();
    for (kind, codec, bar) in [("passed", Codec::Pcmu, 5.0), ("transcoded", Codec::Opus, 25.0)] {
        let outcome = run(calls, codec, Duration::from_secs(seconds))?;
        let ms = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        let print =
            |what: &str, value, unit, bar| Figure::print(&format!("bridge_{kind}_{what}"), value, unit, bar);
        print("delay_ms_p50", ms(outcome.p50), "ms", None)?;
        print("delay_ms_p99", ms(outcome.p99), "ms", Some(bar))?;
        print("packets_missing", outcome.missing as f64, "packets", Some(0.0))?;
        print("calls_per_core", (calls as f64 / outcome.busy).floor(), "calls", None)?;
    }
    Ok(())
}
