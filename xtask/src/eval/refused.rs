//! Hostile documents in a folder: refused or bounded, whatever they would take, and what is beside them can be found.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sotto_tests::hostile::memory;
use sotto_tests::server::{Setup, Sotto};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::Figure;
use super::setup::Bench;

const PATIENCE: Duration = Duration::from_secs(900);
/// Megabytes that the server may take for all of them: text of 32 MB at the most is in memory, a few times.
const MEMORY: f64 = 256.0;
/// Megabytes that a reader may take.
const READER: f64 = 1_024.0;
/// A word of a script that a page has nothing but.
const SCRIPTED: &str = "zqscripted";

/// What is refused, and pages of which nothing is to be found.
const HOSTILE: [&str; 5] = ["deep.pdf", "bomb.docx", "large.txt", "scripts.html", "attributes.html"];

pub fn measure(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let hub = folder.path().join("hub");
    std::fs::create_dir(&hub)?;
    let path = hub.display().to_string();
    let more = [("folders", format!("[{{ path = {path:?} }}]")), ("look_every_s", "1".to_owned())];
    let more = more.map(|(key, value)| ("knowledge".to_owned(), format!("{key} = {value}"))).to_vec();
    // Nobody speaks here.
    let server =
        bench.server_with(&Setup { model: "/nowhere/model.bin".into(), more, ..Setup::default() })?;
    std::fs::write(hub.join("first.md"), "# Prices\n\nA lesson costs ten pounds.\n")?;
    listed(&server, 1)?;
    let (done, pid) = (AtomicBool::new(false), server.pid());
    let before = memory(pid)?;
    let begun = Instant::now();
    let (documents, most) = std::thread::scope(|scope| -> Result<(Vec<Value>, Most)> {
        let watch = scope.spawn(|| watch(pid, &done));
        let documents = write(&hub).and_then(|()| listed(&server, HOSTILE.len() + 2));
        done.store(true, Relaxed);
        let most = watch.join().ok().context("whoever looks at memory has panicked")?;
        Ok((documents?, most))
    })?;
    let seconds = begun.elapsed().as_secs_f64();

    let ends_with = |one: &Value, name: &str| one["id"].as_str().is_some_and(|id| id.ends_with(name));
    let refused = documents.iter().filter(|one| one["state"] == "failed");
    let refused = refused.filter(|one| HOSTILE.iter().any(|name| ends_with(one, name))).count();
    let query = json!({ "query": format!("{SCRIPTED} costs") });
    let found = server.api.client.post("/api/ai/assist/search", &query)?.text();
    let beside = documents.iter().filter(|one| one["state"] != "failed");
    let beside = beside.filter(|one| HOSTILE.iter().all(|name| !ends_with(one, name))).count();
    // The last two may be read: what makes them hostile is nothing that is read.
    sink(Figure::at_least("refused.files", refused as f64, &format!("of {}", HOSTILE.len()), 3.0));
    let scripts = found.matches(SCRIPTED).count();
    sink(Figure::at_most("refused.scripts_found", scripts as f64, "passages", 0.0));
    sink(Figure::at_least("refused.found_beside", beside as f64, "documents", 2.0));
    sink(Figure::at_most("refused.memory", megabytes(most.server.saturating_sub(before)), "MB", MEMORY));
    sink(Figure::at_most("refused.memory_of_reader", megabytes(most.reader), "MB", READER));
    sink(Figure::reported("refused.seconds", seconds, "s"));
    Ok(())
}

/// Waits until so many documents are listed, and gives them.
fn listed(server: &Sotto, wanted: usize) -> Result<Vec<Value>> {
    let until = Instant::now() + PATIENCE;
    loop {
        let list = server.api.client.json("/api/knowledge/documents")?;
        let documents = list["documents"].as_array().context("no documents")?;
        if documents.len() >= wanted {
            return Ok(documents.clone());
        }
        ensure!(Instant::now() < until, "{} of {wanted} are listed\n{}", documents.len(), server.log());
        std::thread::sleep(Duration::from_millis(250));
    }
}

/// Bytes of memory at the most.
#[derive(Default)]
struct Most {
    server: u64,
    reader: u64,
}

/// Looks at the memory of the server and of those that read for it, until it is told that that is all.
fn watch(pid: u32, done: &AtomicBool) -> Most {
    let mut most = Most::default();
    while !done.load(Relaxed) {
        most.server = most.server.max(memory(pid).unwrap_or_default());
        for reader in children(pid) {
            most.reader = most.reader.max(memory(reader).unwrap_or_default());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    most
}

/// The processes that a process's threads have started.
fn children(pid: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>())
        .collect()
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Writes them, and something good that is looked at last.
fn write(hub: &Path) -> Result<()> {
    let file = |name: &str| File::create(hub.join(name)).with_context(|| name.to_owned());
    // Deeper than any stack.
    let deep = format!("%PDF-1.4\n1 0 obj\n{}\nendobj\nstartxref\n9\n%%EOF\n", "[".repeat(4 << 20));
    file("deep.pdf")?.write_all(deep.as_bytes())?;
    // A gigabyte in a megabyte.
    let mut bomb = ZipWriter::new(file("bomb.docx")?);
    bomb.start_file("word/document.xml", SimpleFileOptions::default())?;
    let namespace = "http://schemas.openxmlformats.org/wordprocessingml/2006/main";
    write!(bomb, "<w:document xmlns:w=\"{namespace}\"><w:body><w:p><w:r><w:t>")?;
    let letters = vec![b'a'; 1 << 20];
    for _ in 0..1024 {
        bomb.write_all(&letters)?;
    }
    bomb.finish()?;
    // Of which the disk has nothing.
    file("large.txt")?.set_len(1 << 30)?;
    let script = format!("<script>var {SCRIPTED} = \"{SCRIPTED} costs\";</script>\n");
    file("scripts.html")?.write_all(script.repeat((7 << 20) / script.len()).as_bytes())?;
    let mut attributes = String::from("<p");
    for n in 0..500_000 {
        attributes.push_str(&format!(" a{n}=1"));
    }
    file("attributes.html")?.write_all(attributes.as_bytes())?;
    file("zebra.md")?.write_all(b"# Zebras\n\nA zebra costs twenty pounds.\n")?;
    Ok(())
}
