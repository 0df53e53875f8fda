//! What has passed is not done again while nothing has changed that it reads.
//!
//! A fingerprint is made of files as git knows them (those that it has and those that it would add), of the compilers,
//! of variables, and of when the evaluation's data changed. The system's programs and the models are not in it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use anyhow::Result;

use crate::run::{Run, newest, root, tools};

/// How the names of variables begin that change what is built and tested.
const VARIABLES: [&str; 6] = ["SOTTO_", "GGML_", "WHISPER_", "RUST", "CARGO", "PATH"];

/// What a step read when it passed.
pub struct Stamp {
    file: PathBuf,
    /// As `git ls-files` takes them; a step that names none is always done.
    reads: &'static [&'static str],
    /// As things are now; none where that cannot be told.
    now: Option<String>,
}

impl Stamp {
    pub fn of(step: &str, reads: &'static [&'static str]) -> Self {
        Self { file: tools().join("passed").join(step), reads, now: fingerprint(reads) }
    }

    /// Whether the step has passed with what it would read now.
    pub fn is_current(&self) -> bool {
        self.now.is_some() && std::fs::read_to_string(&self.file).ok() == self.now
    }

    /// The step has passed. What was changed meanwhile it may not have read: then nothing is kept.
    ///
    /// # Errors
    /// When the stamp cannot be written.
    pub fn keep(&self) -> Result<()> {
        if let Some(now) = &self.now
            && fingerprint(self.reads).as_ref() == Some(now)
        {
            std::fs::create_dir_all(self.file.parent().unwrap_or(&self.file))?;
            std::fs::write(&self.file, now)?;
        }
        Ok(())
    }
}

fn fingerprint(reads: &[&str]) -> Option<String> {
    if reads.is_empty() {
        return None;
    }
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"];
    let files = Run::new("git").args(list).args(reads).output().ok()?;
    let mut hasher = DefaultHasher::new();
    for name in files.split_terminator('\0') {
        let path = root().join(name);
        let mode = std::fs::metadata(&path).ok().map(|file| file.mode());
        (name, mode, std::fs::read(&path).ok()).hash(&mut hasher);
    }
    newest(&root().join("../shared/eval")).hash(&mut hasher);
    let matters = |name: &OsString| VARIABLES.iter().any(|begin| name.to_string_lossy().starts_with(begin));
    std::env::vars_os().filter(|(name, _)| matters(name)).collect::<BTreeMap<_, _>>().hash(&mut hasher);
    for program in [Run::cargo(), Run::new("node")] {
        program.arg("--version").output().ok()?.hash(&mut hasher);
    }
    Some(format!("{:016x}", hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_done_again_when_what_it_reads_is_not_what_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let stamp = |reads: &'static [&'static str]| Stamp {
            file: folder.path().join("passed/step"),
            reads,
            now: fingerprint(reads),
        };
        if stamp(&["xtask"]).now.is_none() {
            return eprintln!("not in a git repository, or without node");
        }
        assert!(!stamp(&["xtask"]).is_current());
        stamp(&["xtask"]).keep().unwrap();
        assert!(stamp(&["xtask"]).is_current());
        assert!(!stamp(&["fuzz"]).is_current());
        let changed = Stamp { now: Some("as it was before".to_owned()), ..stamp(&["xtask"]) };
        changed.keep().unwrap();
        assert!(!changed.is_current() && stamp(&["xtask"]).is_current(), "it changed meanwhile");
        stamp(&[]).keep().unwrap();
        assert!(!stamp(&[]).is_current());
    }
}
