//! What a fetch tells while it runs.

use std::io::{IsTerminal, Write};
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};

use crate::error::FetchError;

/// A step of a fetch.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Another process works on the same folder; waiting for it.
    Waiting,
    /// `file` is being downloaded: `done` of `total` bytes. Comes many times a second.
    Downloading {
        /// The file.
        file: &'a str,
        /// Bytes so far, those of an earlier, interrupted run included.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// A source failed; the next one is tried.
    Failed {
        /// The artefact.
        name: &'a str,
        /// The host, or what was to be converted.
        source: &'a str,
        /// Why.
        error: &'a FetchError,
    },
    /// A file is being made out of what was downloaded.
    Converting {
        /// The artefact.
        name: &'a str,
    },
    /// A file was found damaged and is fetched again.
    Damaged {
        /// The file.
        path: &'a Path,
    },
    /// An artefact is in place and verified.
    Ready {
        /// The artefact.
        name: &'a str,
        /// Its size in bytes.
        size: u64,
    },
}

/// Receives the steps of a fetch.
pub trait Progress {
    /// Called for every step, from the thread that fetches.
    fn event(&mut self, event: Event<'_>);

    /// Asked often; true ends the fetch with [`ModelError::Interrupted`](crate::ModelError::Interrupted).
    fn cancelled(&self) -> bool {
        false
    }
}

/// Tells nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn event(&mut self, _: Event<'_>) {}
}

/// Downloads smaller than this are over before a log line about their half would be read.
const MANY: u64 = 10_000_000;

/// Tells a person on standard error: a moving bar on a terminal, a few plain lines in a log.
#[derive(Debug)]
pub struct Console {
    terminal: bool,
    /// The file being downloaded, and what has been said about it.
    current: Option<(String, Said)>,
}

#[derive(Debug)]
enum Said {
    Bar(ProgressBar),
    /// The last quarter told.
    Quarter(u64),
}

impl Default for Console {
    fn default() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), current: None }
    }
}

impl Console {
    fn line(&mut self, text: &str) {
        if let Some((_, Said::Bar(bar))) = self.current.take() {
            bar.finish_and_clear();
        }
        // A closed standard error is no reason to stop fetching.
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    fn downloading(&mut self, file: &str, done: u64, total: u64) {
        if self.current.as_ref().is_none_or(|(current, _)| current != file) {
            if self.terminal {
                self.current = Some((file.to_owned(), Said::Bar(bar(file, total))));
            } else {
                self.line(&format!("downloading {file} ({})", megabytes(total)));
                self.current = Some((file.to_owned(), Said::Quarter(0)));
            }
        }
        match &mut self.current {
            Some((_, Said::Bar(bar))) => bar.set_position(done),
            Some((_, Said::Quarter(told))) => {
                let quarter = done.saturating_mul(4) / total.max(1);
                if quarter > *told && quarter < 4 && total >= MANY {
                    *told = quarter;
                    let _ = writeln!(std::io::stderr(), "  {} of {}", megabytes(done), megabytes(total));
                }
            }
            None => {}
        }
    }
}

impl Progress for Console {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Downloading { file, done, total } => self.downloading(file, done, total),
            Event::Waiting => self.line("another process is fetching models; waiting for it"),
            Event::Failed { name, source, error } => self.line(&format!("{name}: {source}: {error}")),
            Event::Converting { name } => self.line(&format!("converting {name}")),
            Event::Damaged { path } => {
                self.line(&format!("{} is damaged; fetching it again", path.display()))
            }
            Event::Ready { name, size } => self.line(&format!("{name} is ready ({})", megabytes(size))),
        }
    }
}

fn bar(file: &str, total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let template = "{msg} [{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(file.to_owned());
    bar
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_gets_the_start_and_the_quarters() {
        let mut console = Console { terminal: false, current: None };
        for done in 0..=100 {
            console.event(Event::Downloading { file: "a", done: done * 1_000_000, total: 100_000_000 });
        }
        assert!(matches!(console.current, Some((ref file, Said::Quarter(3))) if file == "a"));
        console.event(Event::Downloading { file: "b", done: 0, total: 0 });
        assert!(matches!(console.current, Some((ref file, Said::Quarter(0))) if file == "b"));
        console.event(Event::Ready { name: "b", size: 0 });
        assert!(console.current.is_none());
    }
}
