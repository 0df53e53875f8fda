//! Files of an organisation's knowledge, read: what a hostile one could do harm with, in a process of its own.
//!
//! Parsers of PDF and of archives may be made to take any memory and any time, and no thread can be stopped. So this
//! program starts itself once more (`sotto read-document`), which has limits that the system enforces, is given the
//! file's bytes and nothing else, and answers with the text. It reads one file and ends: a start takes milliseconds,
//! and nothing of a file is there when the next one is read.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use sotto_knowledge::{Content, Format, MAX_TEXT};

/// Memory that a reader may take, in bytes.
const MEMORY: u64 = 1 << 30;
/// Processor time that a reader may take, in seconds.
const SECONDS: u64 = 30;
/// How long a reader may take by the clock: one that sleeps takes no processor time, and on a busy machine that time
/// is long in coming.
const PATIENCE: Duration = Duration::from_secs(4 * SECONDS);
/// What a reader may answer: all of the text, escaped, and its structure.
const MAX_ANSWER: u64 = 8 * MAX_TEXT as u64;
/// Files of a folder.
const MAX_FILES: usize = 100_000;
/// Folders inside folders.
const MAX_DEPTH: usize = 16;
/// The latest time that pages can show, in milliseconds since 1970 (ECMA-262, section 21.4.1.1).
const LATEST: u64 = 8_640_000_000_000_000;

/// A file that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it is, from the folder that was looked through.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// When it was changed, in milliseconds since 1970; 0 where the system does not know.
    pub changed_unix_ms: u64,
    /// How large it is.
    pub bytes: u64,
}

/// The documents in a folder and the folders in it, in order of their names. Links are not followed.
///
/// # Errors
/// When a folder cannot be read, or there is too much in it.
pub fn find(folder: &Path) -> anyhow::Result<Vec<Found>> {
    let mut found = Vec::new();
    let mut rest = vec![(folder.to_owned(), 0)];
    while let Some((inside, depth)) = rest.pop() {
        for entry in std::fs::read_dir(&inside).with_context(|| inside.display().to_string())? {
            let entry = entry?;
            let (kind, path) = (entry.file_type()?, entry.path());
            if kind.is_dir() {
                ensure!(depth < MAX_DEPTH, "{}: too deep", path.display());
                rest.push((path, depth + 1));
            } else if kind.is_file() && Format::of(&path).is_some() {
                ensure!(found.len() < MAX_FILES, "{}: too many files", folder.display());
                let metadata = entry.metadata()?;
                let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
                let changed_unix_ms = metadata.modified().map_or(0, unix_ms);
                found.push(Found { name, path, changed_unix_ms, bytes: metadata.len() });
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// When a file was changed. Whoever writes it may say what they like: what is kept and shown is a time all the same, and not
/// the 0 of systems that know none.
pub(crate) fn unix_ms(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(LATEST).clamp(1, LATEST)
}

/// What stands in a file.
///
/// # Errors
/// When it cannot be opened, is too large or of no format that is known, and when its reader refuses it or is stopped.
pub fn read(path: &Path) -> anyhow::Result<Content> {
    let format = format(path)?;
    parse(path, format, limited(std::fs::File::open(path)?, format)?)
}

/// What stands in the bytes of a file of this name. They lie on no disk meanwhile.
///
/// # Errors
/// As [`read`].
pub fn read_bytes(name: &Path, bytes: Vec<u8>) -> anyhow::Result<Content> {
    let format = format(name)?;
    fits(&bytes, format)?;
    parse(name, format, bytes)
}

fn format(name: &Path) -> anyhow::Result<Format> {
    Format::of(name).context("not a kind of document that is read")
}

fn parse(name: &Path, format: Format, bytes: Vec<u8>) -> anyhow::Result<Content> {
    if !format.wants_process() {
        return Ok(sotto_knowledge::read(format, &bytes)?);
    }
    let mut reader = Command::new(std::env::current_exe()?);
    reader.arg("read-document").arg(name.extension().unwrap_or_default());
    ask(reader, bytes, PATIENCE)
}

/// What `reader` makes of a file's bytes. Whatever it does, it has ended when this returns, at the latest soon after
/// `patience`.
fn ask(mut reader: Command, bytes: Vec<u8>, patience: Duration) -> anyhow::Result<Content> {
    let mut reader = reader
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("starting a reader")?;
    let (input, output) = (reader.stdin.take(), reader.stdout.take());
    // Both threads end with their pipes, and so with the reader.
    std::thread::spawn(move || {
        // A reader that stops early has its reasons, and says them.
        let _ = input.map(|mut input| input.write_all(&bytes));
    });
    let (answered, answer) = mpsc::channel();
    std::thread::spawn(move || {
        let mut said = Vec::new();
        let read = output.map(|output| output.take(MAX_ANSWER).read_to_end(&mut said)).transpose();
        let _ = answered.send(read.map(|_| said));
    });
    let answer = answer.recv_timeout(patience);
    // It has said all, or too much, or has had its time. To one that is ending already Linux sends no signal, so the
    // status is its own.
    reader.kill()?;
    let status = reader.wait()?;
    let Ok(answer) = answer else { bail!("its reader took longer than it may") };
    ensure!(status.success(), "its reader took more than it may ({status})");
    // A parser may have printed something of its own before.
    let answer = answer?;
    let line = answer.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    match serde_json::from_slice::<Answer>(line).context("its reader's answer")? {
        Answer::Read(content) => Ok(content),
        Answer::Refused(why) => bail!(why),
    }
}

/// What a reader says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Read(Content),
    Refused(String),
}

/// The other side of [`read`]: reads a document of the kind that has this extension from `input`, and answers to
/// `output`.
///
/// # Errors
/// When the limits cannot be set, or nothing can be read or written.
pub fn answer(extension: &str, input: impl Read, mut output: impl Write) -> anyhow::Result<()> {
    for (resource, most) in [(Resource::Data, MEMORY), (Resource::Cpu, SECONDS), (Resource::Core, 0)] {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) }).context("setting limits")?;
    }
    let format = Format::of(Path::new(&format!("document.{extension}"))).context("no such kind")?;
    let read = limited(input, format)
        .and_then(|bytes| sotto_knowledge::read(format, &bytes).map_err(anyhow::Error::from));
    let answer = read.map_or_else(|error| Answer::Refused(format!("{error:#}")), Answer::Read);
    output.write_all(b"\n")?;
    output.write_all(&serde_json::to_vec(&answer)?)?;
    Ok(output.flush()?)
}

/// All bytes of a file, if it is as large as its format may be.
fn limited(input: impl Read, format: Format) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(format.max_bytes() + 1).read_to_end(&mut bytes)?;
    fits(&bytes, format)?;
    Ok(bytes)
}

fn fits(bytes: &[u8], format: Format) -> anyhow::Result<()> {
    let most = format.max_bytes();
    ensure!(bytes.len() as u64 <= most, "a file of more than {} MB is not read", most >> 20);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_found_in_folders_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| std::fs::write(folder.path().join(name), "# Title\n\ntext").unwrap();
        std::fs::create_dir(folder.path().join("fa")).unwrap();
        for name in ["b.md", "fa/a.txt", "picture.png"] {
            write(name);
        }
        std::os::unix::fs::symlink(folder.path(), folder.path().join("loop")).unwrap();
        let found = find(folder.path()).unwrap();
        assert_eq!(found.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["b.md", "fa/a.txt"]);
        assert!(found[0].changed_unix_ms > 0);
        assert_eq!(read(&found[1].path).unwrap().parts[0].text, "# Title");
        let bytes = b"# Title\n\ntext".to_vec();
        assert_eq!(read_bytes(Path::new("a.txt"), bytes).unwrap(), read(&found[1].path).unwrap());
        assert!(read_bytes(Path::new("a.png"), vec![]).is_err());
        let large = read_bytes(Path::new("a.txt"), vec![b'a'; (8 << 20) + 1]).unwrap_err().to_string();
        assert!(large.contains("more than 8 MB"), "{large}");
        assert!(find(&folder.path().join("none")).is_err());
    }

    #[test]
    fn whatever_time_a_file_has_it_can_be_kept() {
        let (begin, second) = (SystemTime::UNIX_EPOCH, Duration::from_secs(1));
        assert_eq!([unix_ms(begin + 7 * second), unix_ms(begin), unix_ms(begin - second)], [7_000, 1, 1]);
        assert_eq!(unix_ms(begin + Duration::from_secs(i64::MAX as u64)), LATEST);
    }

    /// What becomes of a reader that does this.
    fn asked(script: &str, patience: Duration) -> anyhow::Result<Content> {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script]);
        // More than a pipe holds.
        ask(shell, vec![b'x'; 1 << 20], patience)
    }

    #[test]
    fn a_reader_that_never_answers_is_stopped() {
        let why = asked("exec sleep 1000", Duration::from_millis(50)).unwrap_err().to_string();
        assert!(why.contains("longer than it may"), "{why}");
    }

    #[test]
    fn a_reader_that_has_said_all_or_too_much_is_not_waited_for() {
        for script in ["exec >&-; exec sleep 1000", "exec cat /dev/zero"] {
            let why = asked(script, PATIENCE).unwrap_err().to_string();
            assert!(why.contains("more than it may (signal: "), "{script}: {why}");
        }
    }

    #[test]
    fn an_answer_counts_if_its_reader_ends_well() {
        let answer = r#"echo noise; printf '{"read":{"title":"T","parts":[],"missing":[]}}'"#;
        // It has read nothing of what it was given.
        assert_eq!(asked(answer, PATIENCE).unwrap().title, "T");
        let failed = format!("{answer}; kill -KILL $$");
        assert!(asked(&failed, PATIENCE).unwrap_err().to_string().contains("more than it may"));
        assert_eq!(asked(r#"printf '{"refused":"why"}'"#, PATIENCE).unwrap_err().to_string(), "why");
    }

    #[test]
    fn a_file_that_is_too_large_is_not_taken_into_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large.txt");
        // A gigabyte, of which the disk has nothing.
        std::fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("more than 8 MB"));
    }
}
