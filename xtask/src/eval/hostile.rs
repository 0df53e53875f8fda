//! A hostile agent's page and a hostile client beside somebody else's call: refused, counted, written down, and the call
//! does not notice.

use std::time::Duration;

use anyhow::Result;
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

pub fn measure(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let server = bench.server_with(&Setup::desk(NUMBERS))?;
    server.add_user(MALLORY, "agent")?;
    // Models are there before anything is measured.
    server.understands(PATIENCE)?;
    let mut call = Carried::talk(&server, ADMIN, 300)?;
    let then = call.flow()?;
    let rounds = if bench.quick { 2 } else { 5 };
    let mut after = Vec::new();
    let (mut all, mut refused, mut by_page) = (0, 0, 0);
    for _ in 0..rounds {
        let outcome = attack(&server, MALLORY, &call.id)?;
        all += outcome.asked_by_page + outcome.rude + outcome.asked_by_client;
        refused += outcome.refused_to_page + outcome.closed + outcome.refused_to_client;
        by_page += outcome.asked_by_page + outcome.rude - 1;
        // So many offers within ten seconds.
        std::thread::sleep(Duration::from_secs(11));
        after.push(at_rest(&server)?);
    }
    let missing = call.missing_since(then)?;
    // The first round is the first time for everything that is used, in the call as well.
    let (first, last) = (after.first().copied().unwrap_or(0), after.last().copied().unwrap_or(0));
    let grown = last.saturating_sub(first) as f64 / f64::from(1 << 20);
    let counted = server.api.metric("sotto_phone_refused_total")?;
    sink(Figure::reported("hostile.asked", all as f64, ""));
    sink(Figure::at_least("hostile.refused", refused as f64 / all as f64, "rate", 1.0));
    sink(Figure::at_least("hostile.counted_of_page", counted / by_page as f64, "rate", 1.0));
    let streams = server.api.metric("sotto_streams_refused_total")?;
    sink(Figure::at_least("hostile.counted_of_client", streams, "", 1.0));
    sink(Figure::at_least("hostile.audited", audited(&server, MALLORY.0)? as f64, "records", 1.0));
    sink(Figure::at_most("hostile.missing_at_agent", missing.at_agent, "rate", MISSING));
    sink(Figure::at_most("hostile.missing_at_customer", missing.at_customer, "rate", MISSING));
    sink(Figure::at_most("hostile.memory", grown, "MB", MEMORY));
    call.hang_up().map(drop)
}

/// The least memory that it takes within some seconds: a revision takes a hundred megabytes while it is decoded.
fn at_rest(server: &Sotto) -> Result<u64> {
    let mut least = u64::MAX;
    for _ in 0..20 {
        least = least.min(memory(server.pid())?);
        std::thread::sleep(Duration::from_millis(250));
    }
    Ok(least)
}
