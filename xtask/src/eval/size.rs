//! Lists, searches and timelines on databases with as much in them as an organisation gathers in years: through the store, and
//! through a server on the same database.

use std::ffi::OsStr;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::Value;
use sotto_tests::http::Client;
use sotto_tests::postgres::Postgres;
use sotto_tests::server::Setup;

use super::setup::{Bench, value_at};
use super::{Figure, run_example};
use crate::run::tools;

/// What is in them, and how often each thing is asked for.
const CALLS: usize = 50_000;
const COMMUNICATIONS: usize = 1_000_000;
const ROUNDS: usize = 300;
/// With `--quick` so much less, and less often.
const LESS: usize = 100;
const ROUNDS_QUICK: usize = 40;
/// Within how many milliseconds a page is there.
const WITHIN_MS: f64 = 50.0;

pub fn database(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    // Not where temporary files are, which may be in memory.
    let folder = tempfile::tempdir_in(tools())?;
    of_kind(bench, "sqlite", &format!("sqlite:{}", folder.path().join("sotto.db").display()), sink)?;
    drop(folder);
    let postgres = Postgres::start().context("no PostgreSQL on this machine")?;
    of_kind(bench, "postgres", &postgres.url("postgres"), sink)
}

fn of_kind(bench: &Bench, kind: &str, url: &str, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let (less, rounds) = if bench.quick { (LESS, ROUNDS_QUICK) } else { (1, ROUNDS) };
    let numbers = [CALLS / less, COMMUNICATIONS / less, rounds].map(|number| number.to_string());
    let arguments: Vec<&OsStr> =
        [url].into_iter().chain(numbers.iter().map(String::as_str)).map(OsStr::new).collect();
    run_example("sotto-store", "measure_size", &arguments, sink)?;

    // Nothing is removed meanwhile because it is old.
    let more = vec![("insight".to_owned(), "mood_kept_days = 0".to_owned())];
    let server = bench.server_with(&Setup { database: Some(url.to_owned()), more, ..Setup::default() })?;
    let client = &server.api.client;
    let next = |page: &Value| Some(format!("before={}", page["next"].as_str()?));
    let last_call =
        |page: &Value| Some(format!("before={}", page["calls"].as_array()?.last()?["id"].as_str()?));
    let last_found =
        |page: &Value| Some(format!("before={}", page["calls"].as_array()?.last()?["call"]["id"].as_str()?));
    // The one with whom something happened last is one with whom something happens often.
    let leads = client.json("/api/leads?limit=1")?;
    let timeline =
        format!("/api/leads/{}/communication?", leads["leads"][0]["id"].as_str().context("no lead")?);
    let lists: [(&str, &str, Next<'_>); 5] = [
        ("calls", "/api/calls?state=ended", &last_call),
        ("found", "/api/review/calls?said=payment", &last_found),
        ("contacts", "/api/leads?", &next),
        ("contacts_searched", "/api/leads?q=mina", &next),
        ("timeline", &timeline, &next),
    ];
    for (name, path, next) in lists {
        let took_us = pages(client, path, next, rounds)?;
        let name = format!("database.{kind}.http.{name}.p95");
        sink(Figure::at_most(&name, value_at(&took_us, 95) / 1e3, "ms", WITHIN_MS));
    }
    Ok(())
}

/// Where the page after one begins: a part of the address.
type Next<'a> = &'a dyn Fn(&Value) -> Option<String>;

/// Turns page after page of a list, from the first again where it ends: how many microseconds each took, in ascending order.
fn pages(client: &Client, path: &str, next: Next<'_>, rounds: usize) -> Result<Vec<i64>> {
    let (mut took, mut place) = (Vec::with_capacity(rounds), String::new());
    for _ in 0..rounds {
        let begun = Instant::now();
        let page = client.json(&format!("{path}&limit=50&{place}"))?;
        took.push(begun.elapsed().as_micros() as i64);
        place = next(&page).unwrap_or_default();
    }
    took.sort_unstable();
    Ok(took)
}
