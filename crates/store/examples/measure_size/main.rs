//! Measures lists, searches and timelines on a database with as much in it as an organisation gathers in years: `cargo xtask eval
//! review` runs it.
//!
//! `measure_size URL CALLS COMMUNICATIONS ROUNDS` fills the empty database at an address, asks it through [`Store`], which is what
//! the server does, and prints one JSON object a figure.

mod fill;
mod world;

use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use sotto_crm::{ContactKind, Place, QueuePlace, Score, Stage, TaskOrder, TaskState, terms};
use sotto_store::{CallFilter, CallRowState, CallSentiment, ContactFilter, SearchFilter, Store, TaskFilter};

use crate::world::{DAY_MS, OFTEN, Random, World};

/// Entries on a page, as the page asks for them.
const PAGE: u32 = 50;
/// Within how many milliseconds a page is found.
const WITHIN_MS: f64 = 50.0;

/// What is asked for, each time for another page.
const CASES: [&str; 10] = [
    "calls",
    "calls_filtered",
    "calls_said",
    "contacts",
    "contacts_scored",
    "contacts_searched",
    "contact_of_number",
    "timeline_busiest",
    "timeline",
    "tasks",
];

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, calls, communications, rounds] = arguments.as_slice() else {
        bail!("measure_size URL CALLS COMMUNICATIONS ROUNDS");
    };
    let (calls, communications): (usize, usize) = (calls.parse()?, communications.parse()?);
    let rounds: usize = rounds.parse()?;
    let store = Store::open(url).await?;
    let named = |name: &str| format!("database.{}.{name}", store.kind());
    let begun = Instant::now();
    let world = World::of(calls, communications)?;
    fill::fill(url, &world).await.context("the database is not filled")?;
    figure(&named("calls_kept"), calls as f64, "calls", None);
    figure(&named("communications_kept"), communications as f64, "entries", None);
    figure(&named("contacts_kept"), world.contacts.len() as f64, "contacts", None);
    figure(&named("busiest_timeline"), f64::from(world.busiest()), "entries", None);
    figure(&named("filled"), begun.elapsed().as_secs_f64(), "s", None);
    for case in CASES {
        let (mut random, mut took, mut found) = (Random::new(7), Vec::with_capacity(rounds), 0);
        for _ in 0..rounds {
            let begun = Instant::now();
            found += ask(&store, &world, case, &mut random).await.with_context(|| case.to_owned())?;
            took.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        ensure!(found > 0, "{case}: nothing is found, so nothing is measured");
        took.sort_by(f64::total_cmp);
        let at = |percent: usize| took.get(took.len() * percent / 100).copied().unwrap_or(f64::NAN);
        figure(&named(&format!("{case}.p50")), at(50), "ms", None);
        figure(&named(&format!("{case}.p95")), at(95), "ms", Some(WITHIN_MS));
    }
    store.close().await;
    Ok(())
}

/// Asks for something once, and says how much was found.
async fn ask(store: &Store, world: &World, case: &str, random: &mut Random) -> Result<usize> {
    let contact = random.of(&world.contacts).context("no contacts")?;
    let call = random.of(&world.calls).context("no calls")?;
    let half = random.below(2) == 0;
    Ok(match case {
        "calls" => {
            let state = half.then_some(CallRowState::Ended);
            let before = (random.below(4) > 0).then_some(call.id);
            store.calls(CallFilter { state, before, limit: PAGE }).await?.len()
        }
        "calls_filtered" => {
            let filter = filtered(world, random);
            let before = half.then_some(call.id);
            store.find_calls(&SearchFilter { before, limit: PAGE, ..filter }).await?.len()
        }
        "calls_said" => {
            // What is said everywhere, now and then, or once: words, their beginnings, and several.
            let often = || OFTEN.first().copied().unwrap_or_default().to_owned();
            let now_and_then = world.word(random).to_owned();
            let said = match random.below(5) {
                0 => often(),
                1 => now_and_then.chars().take(4).collect(),
                2 => format!("{now_and_then} {}", world.word(random)),
                3 => world.order_of(call),
                _ => now_and_then,
            };
            let agent = (random.below(4) == 0).then(|| call.agent.clone());
            let filter = SearchFilter { said: Some(said), agent, limit: PAGE, ..SearchFilter::default() };
            store.find_calls(&filter).await?.len()
        }
        "contacts" => {
            let kind = (random.below(4) == 0).then_some(ContactKind::Representative);
            let stage = (random.below(4) == 0).then_some(Stage::Qualified);
            let before = half.then_some(Place { at_unix_ms: contact.active_at, id: contact.id });
            let filter = ContactFilter { kind, stage, before, limit: PAGE, ..ContactFilter::default() };
            store.contacts(&filter).await?.len()
        }
        "contacts_scored" => {
            // What the score of each contact of a page rests on: the busiest are among the first.
            let ids: Vec<_> = world.contacts.iter().take(PAGE as usize).map(|one| one.id).collect();
            let (since, each) = Score::looks_at(world.now);
            store.recent_communications(&ids, since, each).await?.len()
        }
        "contacts_searched" => {
            let query = match random.below(4) {
                0 => contact.contact.name.clone(),
                1 => contact.number().chars().skip(8).collect(),
                2 => contact.contact.name.chars().take(3).collect(),
                _ => "nobody at all".to_owned(),
            };
            let filter = ContactFilter { terms: terms(&query), limit: PAGE, ..ContactFilter::default() };
            store.contacts(&filter).await?.len()
        }
        "contact_of_number" => {
            let number = contact.contact.numbers.first().cloned();
            let filter = ContactFilter { number, limit: 1, ..ContactFilter::default() };
            store.contacts(&filter).await?.len()
        }
        "timeline_busiest" => {
            let contact = world.contacts.first().context("no contacts")?;
            let at_unix_ms = world.begin + random.below(world.now - world.begin);
            let before = (!half).then_some(Place { at_unix_ms, id: contact.id });
            store.communications(contact.id, before, PAGE).await?.len()
        }
        "timeline" => store.communications(contact.id, None, PAGE).await?.len(),
        "tasks" => {
            let order = if half { TaskOrder::Due } else { TaskOrder::Priority };
            let state = (random.below(3) > 0).then_some(TaskState::Open);
            let doer = (random.below(2) == 0).then(|| call.agent.clone());
            let due =
                Place { at_unix_ms: world.begin + random.below(world.now - world.begin), id: call.id.0 };
            let after = half.then_some(QueuePlace { priority: sotto_crm::Priority::Normal, due });
            let filter = TaskFilter { order, state, doer, after, limit: PAGE, ..TaskFilter::default() };
            store.tasks(&filter).await?.len()
        }
        other => bail!("nobody knows how to ask for {other}"),
    })
}

/// One condition, or a time.
fn filtered(world: &World, random: &mut Random) -> SearchFilter {
    let any = SearchFilter::default();
    let day = world.begin + random.below(world.now - world.begin);
    match random.below(9) {
        0 => SearchFilter { agent: Some(world.agent(random)), ..any },
        1 => SearchFilter { intent: Some(world.intent(random)), ..any },
        2 => SearchFilter { sentiment: Some(CallSentiment::Negative), ..any },
        3 => SearchFilter { since_unix_ms: Some(day), until_unix_ms: Some(day + 7 * DAY_MS), ..any },
        4 => SearchFilter { until_unix_ms: Some(day), ..any },
        5 => SearchFilter { outcome: Some("No answer".to_owned()), ..any },
        6 => SearchFilter { score_below: Some(0.1), ..any },
        7 => SearchFilter { flagged: Some(true), ..any },
        _ => SearchFilter { reviewed: Some(true), ..any },
    }
}

fn figure(name: &str, value: f64, unit: &str, at_most: Option<f64>) {
    let mut figure = json!({ "name": name, "value": value, "unit": unit });
    if let Some(bar) = at_most {
        figure["at_most"] = bar.into();
    }
    println!("{figure}");
}
