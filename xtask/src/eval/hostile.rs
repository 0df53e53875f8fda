//! A hostile agent's page and a hostile client beside somebody else's call: refused, counted, written down, and the call
//! does not notice.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sotto_tests::hostile::{attack, audited, memory};
use sotto_tests::server::{ADMIN, Setup, Sotto};

use super::Figure;
use super::carried::{Carried, NUMBERS, PATIENCE};
use super::setup::Bench;

const MALLORY: (&str, &str) = ("mallory", "a long enough password");

/// Part of the packets that may be missing: both ends are not counted at the same instant.
const MISSING: f64 = 0.01;
/// Megabytes that all rounds but the first may leave behind.
const MEMORY: f64 = 64.0;
/// Milliseconds of audio that have been revised when recognition has all the memory that it takes: revisions come last, each
/// of some ten seconds.
const REVISED_MS: f64 = 60_000.0;

pub fn measure(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let server = bench.server_with(&Setup::desk(NUMBERS))?;
    server.add_user(MALLORY, "agent")?;
    // Models are there before anything is measured.
    server.understands(PATIENCE)?;
    let mut call = Carried::talk(&server, ADMIN, 600)?;
    until_warm(&server)?;
    let rounds = if bench.quick { 2 } else { 5 };
    // What the call beside them takes meanwhile is not theirs.
    let alone = (0..rounds).map(|_| at_rest(&server)).collect::<Result<Vec<_>>>()?;
    let then = call.flow()?;
    let mut after = Vec::new();
    let (mut all, mut refused, mut by_page) = (0, 0, 0);
    for _ in 0..rounds {
        let outcome = attack(&server, MALLORY, &call.id)?;
        all += outcome.asked_by_page + outcome.rude + outcome.asked_by_client;
        refused += outcome.refused_to_page + outcome.closed + outcome.refused_to_client;
        by_page += outcome.asked_by_page + outcome.rude;
        after.push(at_rest(&server)?);
    }
    let missing = call.missing_since(then)?;
    let counted = server.api.metric("sotto_phone_refused_total")?;
    sink(Figure::reported("hostile.asked", all as f64, ""));
    sink(Figure::at_least("hostile.refused", refused as f64 / all as f64, "rate", 1.0));
    sink(Figure::at_least("hostile.counted_of_page", counted / by_page as f64, "rate", 1.0));
    let streams = server.api.metric("sotto_streams_refused_total")?;
    sink(Figure::at_least("hostile.counted_of_client", streams, "", 1.0));
    sink(Figure::at_least("hostile.audited", audited(&server, MALLORY.0)? as f64, "records", 1.0));
    sink(Figure::at_most("hostile.missing_at_agent", missing.at_agent, "rate", MISSING));
    sink(Figure::at_most("hostile.missing_at_customer", missing.at_customer, "rate", MISSING));
    sink(Figure::reported("hostile.memory_without", grown(&alone), "MB"));
    // The first round is the first time for everything that is used.
    sink(Figure::at_most("hostile.memory", grown(&after), "MB", MEMORY));
    call.hang_up().map(drop)
}

/// Waits until everything that recognises the call has done so before.
fn until_warm(server: &Sotto) -> Result<()> {
    let until = Instant::now() + 3 * PATIENCE;
    while server.api.metric("sotto_speech_decoded_milliseconds_total{kind=\"revision\"}")? < REVISED_MS {
        ensure!(Instant::now() < until, "no words are revised\n{}", server.log());
        std::thread::sleep(Duration::from_millis(250));
    }
    Ok(())
}

/// Megabytes from the first to the last; what went counts as none.
fn grown(bytes: &[u64]) -> f64 {
    let (first, last) = (bytes.first().copied().unwrap_or(0), bytes.last().copied().unwrap_or(0));
    last.saturating_sub(first) as f64 / f64::from(1 << 20)
}

/// The least memory that it takes within twelve seconds: a revision takes a hundred megabytes while it is decoded. Offers
/// are counted for ten seconds, so that the next round finds all as the one before did.
fn at_rest(server: &Sotto) -> Result<u64> {
    let mut least = u64::MAX;
    for _ in 0..48 {
        least = least.min(memory(server.pid())?);
        std::thread::sleep(Duration::from_millis(250));
    }
    Ok(least)
}
