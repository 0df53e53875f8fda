//! How many legs a core carries (20 ms G.711, RTP to rings, no speech), and that no packet allocates.
//!
//! Prints one JSON line a figure.

use std::alloc::System;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;
use sotto_audio::Codec;
use sotto_benches::Figure;
use sotto_benches::media::{Load, run};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn allocations() -> usize {
    let stats = ALLOCATOR.stats();
    stats.allocations + stats.reallocations
}

/// Measures the media path.
#[derive(Parser)]
struct Arguments {
    /// Legs at the same time.
    #[arg(long, default_value_t = 200)]
    legs: usize,
    /// Seconds to measure.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

fn main() -> Result<()> {
    let Arguments { legs, seconds } = Arguments::parse();
    let load = Load { legs, time: Duration::from_secs(seconds), codec: Codec::Pcmu, lose_every: None };
    let outcome = run(load, allocations)?;
    ensure!(outcome.packets > 0, "no packet was received");
    let per_packet = outcome.allocations as f64 / outcome.packets.max(1) as f64;
    let microseconds = outcome.busy * seconds as f64 * 1e6 / outcome.packets.max(1) as f64;
    Figure::print("media_legs_per_core", (legs as f64 / outcome.busy).floor(), "legs", None)?;
    Figure::print("media_processor_per_packet", (microseconds * 100.0).round() / 100.0, "us", None)?;
    Figure::print("media_allocations_per_packet", per_packet, "allocations", Some(0.0))?;
    Figure::print("media_packets_missed", outcome.missed as f64, "packets", Some(0.0))?;
    Figure::print("media_frames_dropped", outcome.dropped as f64, "frames", Some(0.0))?;
    Ok(())
}
