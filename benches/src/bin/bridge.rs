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
    /// Only calls that are `passed`, or `transcoded`.
    #[arg(long)]
    only: Option<String>,
}

fn main() -> Result<()> {
    let Arguments { calls, seconds, only } = Arguments::parse();
    let kinds = [("passed", Codec::Pcmu, 5.0), ("transcoded", Codec::Opus, 25.0)];
    for (kind, codec, bar) in
        kinds.into_iter().filter(|(kind, _, _)| only.as_deref().is_none_or(|o| o == *kind))
    {
        let outcome = run(calls, codec, Duration::from_secs(seconds))?;
        let ms = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        let print =
            |what: &str, value, unit, bar| Figure::print(&format!("bridge_{kind}_{what}"), value, unit, bar);
        print("delay_ms_p50", ms(outcome.talked.p50), "ms", None)?;
        print("delay_ms_p99", ms(outcome.talked.p99), "ms", Some(bar))?;
        print("packets_missing", outcome.talked.missing as f64, "packets", Some(0.0))?;
        print("calls_per_core", (calls as f64 / outcome.busy).floor(), "calls", None)?;
    }
    Ok(())
}
