//! Processor time, as the kernel counts it: in nanoseconds, its own work for us included. Linux only.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// Whose time.
#[derive(Clone, Copy, Debug)]
pub enum Whose {
    /// The calling thread's.
    Ours,
    /// A process's, with all its threads that live.
    Process(u32),
}

/// What has been used so far.
///
/// # Errors
/// When there is no such process, or the kernel does not count.
pub fn processor_time(whose: Whose) -> Result<Duration> {
    match whose {
        Whose::Ours => thread(Path::new("/proc/thread-self")),
        Whose::Process(id) => {
            let threads = std::fs::read_dir(format!("/proc/{id}/task")).context("no such process")?;
            // A thread that has just ended has no time any more.
            Ok(threads.flatten().filter_map(|one| thread(&one.path()).ok()).sum())
        }
    }
}

fn thread(of: &Path) -> Result<Duration> {
    let path = of.join("schedstat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("{}: Linux only", path.display()))?;
    let nanoseconds: u64 = text.split(' ').next().unwrap_or_default().parse()?;
    ensure!(nanoseconds > 0, "the kernel keeps no scheduler statistics");
    Ok(Duration::from_nanos(nanoseconds))
}
