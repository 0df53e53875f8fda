//! What a call does not notice: no speech recognition, no threads that decode, no database, no room on the disk. Audio goes
//! on both ways, it is said what is missing, and when it is there again everything goes on by itself.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
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
trait Fault {
    fn name(&self) -> &'static str;

    fn lose(&mut self) -> Result<()>;

    /// Whether the API names what is missing.
    fn says(&self, server: &Sotto) -> Result<bool>;

    fn mend(&mut self) -> Result<()>;

    /// Whether everything is as it should be again, for this call.
    fn is_back(&mut self, server: &Sotto, call: &str) -> Result<bool>;
}

pub fn measure(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    speech(bench, sink)?;
    workers(bench, sink)?;
    database(bench, sink)?;
    disk(bench, sink)?;
    in_turn(bench, sink)
}

fn speech(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let mut models = Models::elsewhere(bench)?;
    let server = bench.server_with(&Setup { model: models.setting(), ..Setup::desk(NUMBERS) })?;
    during(bench, &server, "faults", &mut [&mut models], sink).map(drop)
}

fn workers(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let server = bench.server_with(&Setup::desk(NUMBERS))?;
    let mut workers = Workers::of(&server);
    during(bench, &server, "faults", &mut [&mut workers], sink).map(drop)
}

fn database(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let mut database = Database::start()?;
    let setup = Setup { database: Some(database.url()), ..Setup::desk(NUMBERS) };
    let server = bench.server_with(&setup)?;
    let events = during(bench, &server, "faults", &mut [&mut database], sink)?;
    whole("faults.database", &events, sink);
    Ok(())
}

fn disk(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let server = bench.server_with(&Setup { disk: Some(DISK), ..Setup::desk(NUMBERS) })?;
    let mut disk = Disk::of(&server);
    let events = during(bench, &server, "faults", &mut [&mut disk], sink)?;
    whole("faults.disk", &events, sink);
    recording_lost("faults.disk", &events, sink);
    Ok(())
}

/// All of it in one call, each when the one before is back.
fn in_turn(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let (mut models, mut database) = (Models::elsewhere(bench)?, Database::start()?);
    let setup = Setup {
        database: Some(database.url()),
        model: models.setting(),
        disk: Some(DISK),
        ..Setup::desk(NUMBERS)
    };
    let server = bench.server_with(&setup)?;
    let (mut workers, mut disk) = (Workers::of(&server), Disk::of(&server));
    // What is there when the call begins cannot be lost again, so the models come first.
    let faults: &mut [&mut dyn Fault] = &mut [&mut models, &mut workers, &mut database, &mut disk];
    let events = during(bench, &server, "faults.in_turn", faults, sink)?;
    whole("faults.in_turn", &events, sink);
    recording_lost("faults.in_turn", &events, sink);
    Ok(())
}

/// The models are not there when the call begins, come during it, and their file is removed once they are loaded. They are
/// not lost in mid-call: what is loaded is in the server's memory, and nothing from outside takes it away. See [`Workers`].
struct Models {
    folder: tempfile::TempDir,
    /// Where they are.
    file: PathBuf,
    /// Words that there were when they had been loaded.
    before: Option<usize>,
}

impl Models {
    fn elsewhere(bench: &Bench) -> Result<Self> {
        let listed = Run::new(&bench.sotto).args(["models", "pull", "tiny.en"]).output()?;
        let file = listed.lines().find_map(|line| line.strip_prefix("tiny.en: ")).context("no tiny.en")?;
        Ok(Self { folder: tempfile::tempdir()?, file: file.into(), before: None })
    }

    /// Where the server looks for them.
    fn path(&self) -> PathBuf {
        self.folder.path().join("model.bin")
    }

    fn setting(&self) -> String {
        self.path().display().to_string()
    }
}

impl Fault for Models {
    fn name(&self) -> &'static str {
        "speech"
    }

    fn lose(&mut self) -> Result<()> {
        Ok(())
    }

    fn says(&self, server: &Sotto) -> Result<bool> {
        Ok(status(server)?["degraded"]["speech"].is_string())
    }

    fn mend(&mut self) -> Result<()> {
        Ok(std::os::unix::fs::symlink(&self.file, self.path())?)
    }

    fn is_back(&mut self, server: &Sotto, call: &str) -> Result<bool> {
        if self.says(server)? {
            return Ok(false);
        }
        let words = finals(server, call)?;
        let Some(before) = self.before else {
            // What is loaded needs its file no more.
            std::fs::remove_file(self.path())?;
            self.before = Some(words);
            return Ok(false);
        };
        Ok(words > before)
    }
}

/// The threads that decode stop where they are, whatever they are at, as if somebody had killed them, and go on. (A thread
/// that is killed for good takes its process along; one that panics begins anew, which is tested in `crates/speech`.)
struct Workers {
    process: u32,
    /// Holds them.
    holder: Option<Child>,
    /// Words that there were soon after they went on.
    before: Option<usize>,
}

impl Workers {
    fn of(server: &Sotto) -> Self {
        Self { process: server.pid(), holder: None, before: None }
    }
}

impl Fault for Workers {
    fn name(&self) -> &'static str {
        "workers"
    }

    fn lose(&mut self) -> Result<()> {
        let holder = Run::new("python3")
            .args(["xtask/src/eval/hold.py", &self.process.to_string(), "whisper-", "reviser-"])
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("python3 does not start")?;
        let holder = self.holder.insert(holder);
        let mut held = String::new();
        BufReader::new(holder.stdout.take().context("no output")?).read_line(&mut held)?;
        ensure!(held.trim().parse::<usize>().is_ok_and(|held| held > 0), "no thread is held: may we trace?");
        Ok(())
    }

    fn says(&self, server: &Sotto) -> Result<bool> {
        let speech = status(server)?["speech"].take();
        Ok(speech["behind_ms"].as_u64() > Some(2_000) && speech["shedding"] != "none")
    }

    fn mend(&mut self) -> Result<()> {
        let mut holder = self.holder.take().context("nothing is held")?;
        // Its input ends.
        drop(holder.stdin.take());
        ensure!(holder.wait()?.success(), "threads are not let go");
        Ok(())
    }

    fn is_back(&mut self, server: &Sotto, call: &str) -> Result<bool> {
        let words = finals(server, call)?;
        let before = *self.before.get_or_insert(words);
        Ok(words > before && status(server)?["speech"]["shedding"] == "none")
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        if let Some(holder) = &mut self.holder {
            let _ = holder.kill();
            let _ = holder.wait();
        }
    }
}

/// PostgreSQL crashes, and is started again.
struct Database(Postgres);

impl Database {
    fn start() -> Result<Self> {
        Ok(Self(Postgres::start().context("no PostgreSQL on this machine")?))
    }

    fn url(&self) -> String {
        self.0.url("postgres")
    }
}

impl Fault for Database {
    fn name(&self) -> &'static str {
        "database"
    }

    fn lose(&mut self) -> Result<()> {
        self.0.pause();
        Ok(())
    }

    fn says(&self, server: &Sotto) -> Result<bool> {
        Ok(status(server)?["degraded"]["store"].is_string())
    }

    fn mend(&mut self) -> Result<()> {
        self.0.resume();
        Ok(())
    }

    fn is_back(&mut self, server: &Sotto, _: &str) -> Result<bool> {
        Ok(!self.says(server)? && is_stored(server)?)
    }
}

/// The disk with the recordings, and the database if that is in the data folder, fills up, and has room again.
struct Disk {
    filler: PathBuf,
}

impl Disk {
    fn of(server: &Sotto) -> Self {
        Self { filler: server.data().join("filler") }
    }
}

impl Fault for Disk {
    fn name(&self) -> &'static str {
        "disk"
    }

    fn lose(&mut self) -> Result<()> {
        fill(&self.filler)
    }

    fn says(&self, server: &Sotto) -> Result<bool> {
        Ok(status(server)?["degraded"]["recording"].is_string())
    }

    fn mend(&mut self) -> Result<()> {
        Ok(std::fs::remove_file(&self.filler)?)
    }

    fn is_back(&mut self, server: &Sotto, _: &str) -> Result<bool> {
        Ok(!self.says(server)? && is_stored(server)?)
    }
}

/// Loses one after the other in the middle of a call and has it back: the events of the call when it is over.
fn during(
    bench: &Bench,
    server: &Sotto,
    prefix: &str,
    faults: &mut [&mut dyn Fault],
    sink: &mut dyn FnMut(Figure),
) -> Result<Vec<Value>> {
    let mut call = Carried::talk(server, ADMIN, 300 * faults.len())?;
    for fault in faults {
        through(bench, server, &mut call, prefix, *fault, sink)?;
    }
    let id = call.id.clone();
    call.hang_up()?;
    server.api.ended(&id, PATIENCE)
}

/// Loses something and has it back.
fn through(
    bench: &Bench,
    server: &Sotto,
    call: &mut Carried,
    prefix: &str,
    fault: &mut dyn Fault,
    sink: &mut dyn FnMut(Figure),
) -> Result<()> {
    let name = format!("{prefix}.{}", fault.name());
    let seconds = if bench.quick { 10 } else { 30 };
    fault.lose()?;
    let (begun, then) = (Instant::now(), call.flow()?);
    let (mut said, mut on_page) = (false, String::new());
    while begun.elapsed() < Duration::from_secs(seconds) {
        said = said || fault.says(server).unwrap_or(false);
        // How the installation is, as the head of the page has it; nothing when all is well.
        let sign = "document.querySelector('.health:not(.ok, .unknown)')?.textContent ?? ''";
        on_page = call.agent.run(sign)?.as_str().unwrap_or_default().trim().to_owned();
        std::thread::sleep(Duration::from_millis(500));
    }
    note(&format!("{name}: the head of the page says {on_page:?}"));
    let missing = call.missing_since(then)?;
    sink(Figure::at_most(&format!("{name}.missing_at_agent"), missing.at_agent, "rate", BAR));
    sink(Figure::at_most(&format!("{name}.missing_at_customer"), missing.at_customer, "rate", BAR));
    sink(Figure::at_least(&format!("{name}.api_says_so"), f64::from(u8::from(said)), "", 1.0));
    let page_says = f64::from(u8::from(!on_page.is_empty()));
    sink(Figure::at_least(&format!("{name}.page_says_so"), page_says, "", 1.0));

    fault.mend()?;
    let mended = Instant::now();
    let mut back = false;
    while !back && mended.elapsed() < BACK {
        back = fault.is_back(server, &call.id).unwrap_or(false);
        std::thread::sleep(Duration::from_millis(100));
    }
    let after = mended.elapsed().as_millis() as f64;
    sink(Figure::at_least(&format!("{name}.comes_back"), f64::from(u8::from(back)), "", 1.0));
    if back {
        sink(Figure::reported(&format!("{name}.comes_back_after"), after, "ms"));
    }
    Ok(())
}

/// What a full disk costs, as it is said in the call's log.
fn recording_lost(name: &str, events: &[Value], sink: &mut dyn FnMut(Figure)) {
    let lost: u64 = events
        .iter()
        .filter(|e| e["kind"] == "audio_lost" && e["to"] == "recording")
        .filter_map(|e| e["lost_ms"].as_u64())
        .sum();
    sink(Figure::reported(&format!("{name}.recording_lost"), lost as f64, "ms"));
}

/// Whether an ended call's log has all its events.
fn whole(name: &str, events: &[Value], sink: &mut dyn FnMut(Figure)) {
    let last = events.last().and_then(|e| e["seq"].as_u64()).unwrap_or_default();
    let lost = last.saturating_sub(events.len() as u64);
    sink(Figure::at_most(&format!("{name}.events_lost"), lost as f64, "events", 0.0));
}

/// Final words of a call so far.
fn finals(server: &Sotto, call: &str) -> Result<usize> {
    let events = server.api.events(call)?;
    Ok(events.iter().filter(|e| e["kind"] == "utterance" && e["final"] == true).count())
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
