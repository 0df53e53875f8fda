//! What a bridge adds to the way of a packet: the bridge alone, and in a server, without and with all the speech to
//! recognise that the machine can take.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sotto_tests::audio::Audio;
use sotto_tests::server::Sotto;

use super::Figure;
use super::media::benchmark;
use super::setup::{Bench, Placed, place};
use super::traffic::{Exchange, OPUS, PCMU};

/// Calls that are bridged while others are recognised.
const CALLS: usize = 10;

/// Calls that are recognised: more than two processors keep up with.
const LOAD: usize = 12;

pub fn measure(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    benchmark("bridge", bench, sink)?;
    let exchange = Exchange::start(bench, "base")?;
    through(&exchange, "idle", bench, sink)?;
    let _load = load(bench, &exchange.server)?;
    through(&exchange, "loaded", bench, sink)?;
    // Still, when it is over.
    let behind = f64::from(u8::from(is_behind(&exchange.server)?));
    sink(Figure::at_least("bridge.loaded.recognition_is_behind", behind, "", 1.0));
    Ok(())
}

/// The delay of calls from one telephone through the server to another.
fn through(exchange: &Exchange, when: &str, bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let seconds = if bench.quick { 3 } else { 15 };
    for (kind, codec, bar) in [("passed", PCMU, 5.0), ("transcoded", OPUS, 25.0)] {
        let talked = exchange.carry(CALLS, codec, seconds)?;
        let name = |figure: &str| format!("bridge.{when}.{kind}_{figure}");
        sink(Figure::reported(&name("delay_ms_p50"), talked.p50_ms, "ms"));
        sink(Figure::at_most(&name("delay_ms_p99"), talked.p99_ms, "ms", bar));
        sink(Figure::at_most(&name("packets_missing"), talked.missing as f64, "packets", 0.0));
        sink(Figure::reported(&name("server_processors"), talked.busy, "cores"));
    }
    Ok(())
}

/// Recorded calls, until recognition cannot keep up.
fn load(bench: &Bench, server: &Sotto) -> Result<Vec<Placed>> {
    let recorded = bench.recorded_calls()?;
    let mut placed = Vec::new();
    for (n, call) in recorded.iter().cycle().take(LOAD).enumerate() {
        let whole = |channel: &Vec<i16>| channel.iter().copied().cycle().take(180 * 8_000).collect();
        let audio =
            Audio { rate: call.audio.rate, channels: call.audio.channels.iter().map(whole).collect() };
        placed.push(place(server, &audio, &format!("{}", 15_550_200 + n))?);
    }
    let begun = Instant::now();
    while !is_behind(server)? {
        ensure!(begun.elapsed() < Duration::from_secs(60), "recognition keeps up with {LOAD} calls");
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(placed)
}

/// Whether recognition gives something up: no worker waits for work.
fn is_behind(server: &Sotto) -> Result<bool> {
    Ok(server.api.client.json("/api/status")?["speech"]["shedding"] != "none")
}
