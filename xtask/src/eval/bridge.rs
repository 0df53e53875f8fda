//! What a bridge adds to the way of a packet: the bridge alone, and in a server, without and with all the speech to
//! recognise that the machine can take.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail, ensure};
use sotto_tests::audio::Audio;
use sotto_tests::server::Sotto;

use super::Figure;
use super::media::benchmark;
use super::setup::{Bench, Placed, place};
use super::traffic::{Exchange, OPUS, PCMU};

/// Calls that are bridged while others are recognised.
const CALLS: usize = 10;

/// Calls that are recognised are added so many at a time, until recognition stays behind, and no more than so many.
const LOAD: (usize, usize) = (6, 48);

/// How long recognition has to be behind without a break before the load is taken for all that the machine can take.
const STAYS_BEHIND: Duration = Duration::from_secs(6);

pub fn measure(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    benchmark("bridge", bench, sink)?;
    let exchange = Exchange::start(bench, "base")?;
    through(&exchange, "idle", bench, sink)?;
    let load = load(bench, &exchange.server)?;
    sink(Figure::reported("bridge.loaded.recognised_calls", load.len() as f64, "calls"));
    let talking = AtomicBool::new(true);
    let behind = std::thread::scope(|scope| {
        let watching = scope.spawn(|| share_behind(&exchange.server, &talking));
        let measured = through(&exchange, "loaded", bench, sink);
        talking.store(false, Ordering::Relaxed);
        measured?;
        watching.join().map_err(|_| anyhow!("nobody watched recognition"))?
    })?;
    // Of the time that was measured; what it gives up comes and goes with pauses.
    sink(Figure::at_least("bridge.loaded.recognition_is_behind", behind, "of the time", 0.5));
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

/// Recorded calls, as many as it takes until recognition cannot keep up.
fn load(bench: &Bench, server: &Sotto) -> Result<Vec<Placed>> {
    let recorded = bench.recorded_calls()?;
    let (more, most) = LOAD;
    let mut placed = Vec::new();
    let mut recorded = recorded.iter().cycle();
    while placed.len() < most {
        for call in recorded.by_ref().take(more) {
            let whole = |channel: &Vec<i16>| channel.iter().copied().cycle().take(180 * 8_000).collect();
            let audio =
                Audio { rate: call.audio.rate, channels: call.audio.channels.iter().map(whole).collect() };
            placed.push(place(server, &audio, &format!("{}", 15_550_200 + placed.len()))?);
        }
        let (begun, mut since) = (Instant::now(), None);
        while begun.elapsed() < Duration::from_secs(12) {
            since = if is_behind(server)? { since.or_else(|| Some(Instant::now())) } else { None };
            if since.is_some_and(|since| since.elapsed() >= STAYS_BEHIND) {
                return Ok(placed);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    bail!("recognition keeps up with {most} calls")
}

/// The share of the time that recognition is behind while calls talk.
fn share_behind(server: &Sotto, talking: &AtomicBool) -> Result<f64> {
    let (mut seen, mut behind) = (0u32, 0u32);
    while talking.load(Ordering::Relaxed) {
        seen += 1;
        behind += u32::from(is_behind(server)?);
        std::thread::sleep(Duration::from_millis(200));
    }
    ensure!(seen > 0, "nothing was measured");
    Ok(f64::from(behind) / f64::from(seen))
}

/// Whether recognition gives something up: no worker waits for work.
fn is_behind(server: &Sotto) -> Result<bool> {
    Ok(server.api.client.json("/api/status")?["speech"]["shedding"] != "none")
}
