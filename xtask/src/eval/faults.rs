//! What a call does not notice: no speech recognition, no database, no room on the disk. Audio goes on both ways, it
//! is said what is missing, and when it is there again everything goes on by itself.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sotto_tests::postgres::Postgres;
use sotto_tests::server::{ADMIN, Setup, Sotto};

use super::Figure;
use super::carried::{Carried, NUMBERS, PATIENCE};
use super::setup::Bench;
use crate::run::{Run, note};

/// Part of the packets that may be missing: both ends are not counted at the same instant.
const BAR: f64 = 0.01;

/// Speech recognition is tried again after 5, 15, 60 and 300 s.
const BACK: Duration = Duration::from_secs(120);

/// The disk of the server whose disk is filled, in bytes.
const DISK: u64 = 24 << 20;

/// Something that a call does without for a while, and has back.
struct Fault<'a> {
    name: &'static str,
    lose: &'a mut dyn FnMut(&Sotto) -> Result<()>,
    /// Whether the API names what is missing.
    says: &'a dyn Fn(&Sotto) -> Result<bool>,
    mend: &'a mut dyn FnMut(&Sotto) -> Result<()>,
    /// Whether everything is as it should be again, for this call.
    is_back: &'a dyn Fn(&Sotto, &str) -> Result<bool>,
}

pub fn measure(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    speech(bench, sink)?;
    database(bench, sink)?;
    disk(bench, sink)
}

/// The models are not there when the call begins, come during it, and are removed once they are loaded. They are not
/// lost in mid-call: what is loaded is in the server's memory, and nothing from outside takes it away.
fn speech(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let model = folder.path().join("model.bin");
    let listed = Run::new(&bench.sotto).args(["models", "pull", "tiny.en"]).output()?;
    let file = listed.lines().find_map(|line| line.strip_prefix("tiny.en: ")).context("no tiny.en")?;
    let server = bench.server_with(&Setup { model: model.display().to_string(), ..Setup::desk(NUMBERS) })?;
    let before = std::cell::Cell::new(None);
    let fault = Fault {
        name: "speech",
        lose: &mut |_| Ok(()),
        says: &|server| Ok(status(server)?["degraded"]["speech"].is_string()),
        mend: &mut |_| Ok(std::os::unix::fs::symlink(file, &model)?),
        is_back: &|server, call| {
            if status(server)?["degraded"]["speech"].is_string() {
                return Ok(false);
            }
            let events = server.api.events(call)?;
            let words = events.iter().filter(|e| e["kind"] == "utterance" && e["final"] == true).count();
            let Some(before) = before.get() else {
                // What is loaded needs its file no more.
                std::fs::remove_file(&model)?;
                before.set(Some(words));
                return Ok(false);
            };
            Ok(words > before)
        },
    };
    during(bench, &server, fault, sink).map(drop)
}

/// PostgreSQL crashes, and is started again.
fn database(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let mut postgres = Postgres::start().context("no PostgreSQL on this machine")?;
    let setup = Setup { database: Some(postgres.url("postgres")), ..Setup::desk(NUMBERS) };
    let server = bench.server_with(&setup)?;
    let postgres = std::cell::RefCell::new(&mut postgres);
    let fault = Fault {
        name: "database",
        lose: &mut |_| {
            postgres.borrow_mut().pause();
            Ok(())
        },
        says: &|server| Ok(status(server)?["degraded"]["store"].is_string()),
        mend: &mut |_| {
            postgres.borrow_mut().resume();
            Ok(())
        },
        is_back: &|server, _| Ok(status(server)?["degraded"]["store"].is_null() && is_stored(server)?),
    };
    let events = during(bench, &server, fault, sink)?;
    whole("database", &events, sink);
    Ok(())
}

/// The disk with the database and the recordings fills up, and has room again.
fn disk(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let server = bench.server_with(&Setup { disk: Some(DISK), ..Setup::desk(NUMBERS) })?;
    let filler = server.data().join("filler");
    let fault = Fault {
        name: "disk",
        lose: &mut |_| fill(&filler),
        says: &|server| Ok(status(server)?["degraded"]["recording"].is_string()),
        mend: &mut |_| Ok(std::fs::remove_file(&filler)?),
        is_back: &|server, _| is_stored(server),
    };
    let events = during(bench, &server, fault, sink)?;
    whole("disk", &events, sink);
    // What a full disk costs is said in the call's log.
    let lost: u64 = events
        .iter()
        .filter(|e| e["kind"] == "audio_lost" && e["to"] == "recording")
        .filter_map(|e| e["lost_ms"].as_u64())
        .sum();
    sink(Figure::reported("faults.disk.recording_lost", lost as f64, "ms"));
    Ok(())
}

/// Loses something in the middle of a call and has it back: the events of the call when it is over.
fn during(bench: &Bench, server: &Sotto, fault: Fault, sink: &mut dyn FnMut(Figure)) -> Result<Vec<Value>> {
    let Fault { name, lose, says, mend, is_back } = fault;
    let seconds = if bench.quick { 10 } else { 30 };
    let mut call = Carried::talk(server, ADMIN, 300)?;
    lose(server)?;
    let (begun, then) = (Instant::now(), call.flow()?);
    let (mut said, mut on_page) = (false, String::new());
    while begun.elapsed() < Duration::from_secs(seconds) {
        said = said || says(server).unwrap_or(false);
        // How the installation is, as the head of the page has it; nothing when all is well.
        let sign = "document.querySelector('.health:not(.ok, .unknown)')?.textContent ?? ''";
        on_page = call.agent.run(sign)?.as_str().unwrap_or_default().trim().to_owned();
        std::thread::sleep(Duration::from_millis(500));
    }
    note(&format!("{name}: the head of the page says {on_page:?}"));
    let missing = call.missing_since(then)?;
    sink(Figure::at_most(&format!("faults.{name}.missing_at_agent"), missing.at_agent, "rate", BAR));
    sink(Figure::at_most(&format!("faults.{name}.missing_at_customer"), missing.at_customer, "rate", BAR));
    sink(Figure::at_least(&format!("faults.{name}.api_says_so"), f64::from(u8::from(said)), "", 1.0));
    let page_says = f64::from(u8::from(!on_page.is_empty()));
    sink(Figure::at_least(&format!("faults.{name}.page_says_so"), page_says, "", 1.0));

    mend(server)?;
    let mended = Instant::now();
    let mut back = false;
    while !back && mended.elapsed() < BACK {
        back = is_back(server, &call.id).unwrap_or(false);
        std::thread::sleep(Duration::from_millis(100));
    }
    let after = mended.elapsed().as_millis() as f64;
    sink(Figure::at_least(&format!("faults.{name}.comes_back"), f64::from(u8::from(back)), "", 1.0));
    if back {
        sink(Figure::reported(&format!("faults.{name}.comes_back_after"), after, "ms"));
    }
    let id = call.id.clone();
    call.hang_up()?;
    server.api.ended(&id, PATIENCE)
}

/// Whether an ended call's log has all its events.
fn whole(name: &str, events: &[Value], sink: &mut dyn FnMut(Figure)) {
    let last = events.last().and_then(|e| e["seq"].as_u64()).unwrap_or_default();
    let lost = last.saturating_sub(events.len() as u64);
    sink(Figure::at_most(&format!("faults.{name}.events_lost"), lost as f64, "events", 0.0));
}

fn status(server: &Sotto) -> Result<Value> {
    server.api.client.json("/api/status")
}

/// Whether nothing waits for the database, or was given up.
fn is_stored(server: &Sotto) -> Result<bool> {
    let status = status(server)?;
    ensure!(status["store"]["lost"] == 0, "events were given up");
    Ok(status["lag"]["store_ms"].as_u64().is_some_and(|ms| ms < 1_000))
}

/// Takes all the room there is, and what becomes free for a while.
fn fill(file: &Path) -> Result<()> {
    use std::io::Write;
    let mut file = std::fs::File::create(file).context("the disk of the server")?;
    let block = [0; 4096];
    while file.write_all(&block).is_ok() {}
    Ok(())
}
