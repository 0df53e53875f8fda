//! `cargo xtask test`: everything that must hold, on a machine that may have nothing yet.
//!
//! One JSON line a step tells machines what failed and why; the last line counts. What was left out because the
//! machine lacks something is counted apart. What takes long is not done again while nothing has changed.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::run::{Run, note, step, target, tools};
use crate::stamp::Stamp;
use crate::{arrows, licences, machine, run, types};

#[derive(clap::Args)]
pub struct Options {
    /// Only these steps, separated by commas.
    #[arg(long, value_delimiter = ',', value_parser = STEPS.map(|s| s.name))]
    only: Vec<String>,
    /// Also steps that have passed and that nothing has changed for.
    #[arg(long)]
    all: bool,
}

/// Checks of a step; an error counts as one that failed.
#[derive(Clone, Default, Serialize)]
struct Counts {
    passed: usize,
    failed: usize,
    /// Left out, because the machine lacks something.
    skipped: usize,
    /// Tests that failed, by name: what they said themselves may be far above.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failures: Vec<String>,
}

impl Counts {
    fn passed(passed: usize) -> Self {
        Self { passed, ..Self::default() }
    }

    /// Says what is left out, and counts it.
    fn skip(&mut self, why: &str) {
        note(&format!("\x1b[33mSKIPPED:\x1b[0m {why}"));
        self.skipped += 1;
    }

    /// Keeps the name of a test that failed, where the line of a test runner tells one.
    fn note_failure(&mut self, line: &str) {
        let Some(name) = failed_test(line) else { return };
        if !self.failures.iter().any(|one| one == name) {
            self.failures.push(name.to_owned());
        }
    }
}

/// The test that failed, where a line tells it: in the words of cargo, of vitest, or of Node's runner as it reports to files
/// and to people.
fn failed_test(line: &str) -> Option<&str> {
    let line = line.trim();
    if let Some(test) = line.strip_prefix("test ") {
        return test.strip_suffix(" ... FAILED");
    }
    if let Some(test) = line.strip_prefix("not ok ") {
        return test.split_once(" - ").map(|(_, name)| name);
    }
    line.strip_prefix("× ").or_else(|| line.strip_prefix("✖ ")).filter(|name| *name != "failing tests:")
}

impl std::iter::Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            passed: sum.passed + one.passed,
            failed: sum.failed + one.failed,
            skipped: sum.skipped + one.skipped,
            failures: [sum.failures, one.failures].concat(),
        })
    }
}

struct Step {
    name: &'static str,
    what: &'static str,
    /// Where it takes long: what it reads, and need not be done again while that is as it was.
    reads: &'static [&'static str],
    go: fn() -> Result<Counts>,
}

const STEPS: [Step; 11] = [
    Step { name: "machine", what: "What this machine has", reads: &[], go: machine },
    Step {
        name: "licences",
        what: "Licences, banned crates, sources, advisories (deny.toml); who knows whom (ARCHITECTURE.md)",
        reads: &[],
        go: licences,
    },
    Step { name: "format", what: "Formatting", reads: &[], go: format },
    Step { name: "page", what: "The web page: types, tests, build", reads: &["web", "xtask"], go: page },
    Step { name: "lints", what: "Lints (clippy, warnings are errors)", reads: &[], go: lints },
    Step { name: "build", what: "Building everything that tests need", reads: &[], go: build },
    Step {
        name: "types",
        what: "The page's types are those of the Rust code",
        reads: &["crates", "web/src/lib/generated", "Cargo.lock", "xtask"],
        go: generated_types,
    },
    Step { name: "models", what: "Speech models for the tests", reads: &[], go: models },
    // Everything but what is only read by people.
    Step { name: "tests", what: "Tests", reads: &[".", ":(exclude,glob)*.md", ":(exclude)docs"], go: tests },
    Step { name: "fuzz", what: "The fuzz targets compile", reads: &[], go: fuzz_targets },
    Step { name: "container", what: "The container's files", reads: &[], go: container },
];

/// One line of the report.
#[derive(Serialize)]
struct Report {
    step: &'static str,
    ok: bool,
    #[serde(flatten)]
    counts: Counts,
    seconds: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

pub fn test(options: &Options) -> Result<()> {
    let mut reports = Vec::new();
    for s in STEPS {
        if !options.only.is_empty() && !options.only.iter().any(|o| o == s.name) {
            continue;
        }
        step(s.what);
        let stamp = Stamp::of(s.name, s.reads);
        // Whoever names a step wants it done.
        if !options.all && options.only.is_empty() && stamp.is_current() {
            note("unchanged since it passed (--all does it again)");
            let reason = Some("unchanged since it passed".to_owned());
            reports.push(Report { step: s.name, ok: true, counts: Counts::default(), seconds: 0, reason });
            continue;
        }
        let begun = Instant::now();
        let outcome = (s.go)();
        let seconds = begun.elapsed().as_secs();
        let (counts, reason) = match outcome {
            Ok(counts) if counts.failed == 0 => (counts, None),
            Ok(counts) => {
                let reason = format!("{} failed, see above", counts.failed);
                (counts, Some(reason))
            }
            Err(error) => (Counts { failed: 1, ..Counts::default() }, Some(format!("{error:#}"))),
        };
        let report = Report { step: s.name, ok: reason.is_none(), counts, seconds, reason };
        match &report.reason {
            Some(reason) => eprintln!("\x1b[31mfailed:\x1b[0m {reason}"),
            // What was skipped may be there the next time.
            None if report.counts.skipped == 0 => stamp.keep()?,
            None => {}
        }
        let stop = !report.ok && matches!(s.name, "machine" | "build");
        reports.push(report);
        if stop {
            note("the steps after this one need it");
            break;
        }
    }
    println!();
    let lines: Vec<String> = reports.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    for line in &lines {
        println!("{line}");
    }
    std::fs::create_dir_all(tools())?;
    std::fs::write(tools().join("test.ndjson"), lines.join("\n") + "\n")?;
    let sum = reports.into_iter().map(|report| report.counts).sum::<Counts>();
    let Counts { passed, failed, skipped, failures } = sum;
    for name in failures {
        println!("\x1b[31mfailed:\x1b[0m {name}");
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    ensure!(failed == 0, "not everything holds");
    Ok(())
}

fn machine() -> Result<Counts> {
    machine::needed_to_build()?;
    machine::needed_to_test()?;
    Ok(Counts::passed(1))
}

fn licences() -> Result<Counts> {
    let metadata = licences::metadata()?;
    note(&format!("{} crates hold", licences::check(&metadata)?));
    arrows::check(&metadata)?;
    let mut counts = Counts::passed(2);
    if !Run::cargo().args(["deny", "--version"]).quietly() {
        counts.skip("advisories are not checked: there is no cargo-deny (cargo install --locked cargo-deny)");
        return Ok(counts);
    }
    Run::cargo().args(["deny", "check", "licenses", "bans", "sources"]).go()?;
    counts.passed += 1;
    // Their database is a repository on the net.
    if Run::cargo().args(["deny", "fetch", "db"]).quietly() {
        Run::cargo().args(["deny", "check", "--disable-fetch", "advisories"]).go()?;
        counts.passed += 1;
    } else {
        counts.skip("advisories are not checked: their database was not fetched (`cargo deny fetch db`)");
    }
    Ok(counts)
}

fn format() -> Result<Counts> {
    Run::cargo().args(["fmt", "--all", "--check"]).go()?;
    Ok(Counts::passed(1))
}

fn page() -> Result<Counts> {
    run::install_page_packages()?;
    Run::new("npm").within("web").args(["run", "check"]).go()?;
    let mut counts = Counts::passed(1);
    let ok = Run::new("npm").within("web").args(["test", "--", "--reporter=default"]).watched(|line| {
        counts.note_failure(line);
        // "      Tests  2 failed | 41 passed (43)"
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [first, told @ ..] = words.as_slice()
            && *first == "Tests"
        {
            let count = |what| {
                let at = told.iter().position(|w| *w == what)?;
                told.get(at.checked_sub(1)?)?.parse::<usize>().ok()
            };
            counts.passed += count("passed").unwrap_or(0);
            counts.failed += count("failed").unwrap_or(0);
            counts.skipped += count("skipped").unwrap_or(0);
        }
    })?;
    counts.failed += usize::from(!ok && counts.failed == 0);
    run::build_page()?;
    let in_browser = Run::new("npm").within("web").args(["run", "test:page"]).watched(|line| {
        counts.note_failure(line);
        // "# pass 12"
        if let ["#" | "ℹ", what, count] = *line.split_whitespace().collect::<Vec<_>>() {
            let count = count.parse::<usize>().unwrap_or(0);
            match what {
                "pass" => counts.passed += count,
                "fail" => counts.failed += count,
                "skipped" => counts.skipped += count,
                _ => {}
            }
        }
    })?;
    counts.failed += usize::from(!in_browser && counts.failed == 0);
    counts.passed += 1;
    Ok(counts)
}

fn lints() -> Result<Counts> {
    Run::cargo().args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]).go()?;
    Ok(Counts::passed(1))
}

/// The fuzz targets compile; running them wants a nightly compiler and time. Much of what they depend on is checked by then.
fn fuzz_targets() -> Result<Counts> {
    Run::cargo()
        .args(["check", "--quiet", "--manifest-path", "fuzz/Cargo.toml", "--target-dir"])
        .arg(target())
        .go()?;
    Ok(Counts::passed(1))
}

fn build() -> Result<Counts> {
    // What the program serves, where the page's own step has nothing to do.
    run::build_page()?;
    // All targets at once: the features are those of the tests, and nothing is built twice.
    Run::cargo().args(["build", "--workspace", "--all-targets", "--locked"]).go()?;
    Ok(Counts::passed(1))
}

fn generated_types() -> Result<Counts> {
    types::types(true)?;
    Ok(Counts::passed(1))
}

fn models() -> Result<Counts> {
    run::pull_models(&sotto(), &["tiny.en", "base"])?;
    Ok(Counts::passed(1))
}

fn tests() -> Result<Counts> {
    let mut counts = Counts::default();
    // Tests that are left out pass as far as cargo knows: they leave a line here.
    let skipped = tools().join("skipped");
    std::fs::create_dir_all(tools())?;
    std::fs::write(&skipped, "")?;
    let run = Run::cargo()
        .args(["test", "--workspace", "--no-fail-fast", "--locked"])
        .env("SOTTO_BIN", sotto())
        .env("SOTTO_SKIPPED", &skipped)
        .env("SOTTO_REQUIRE_POSTGRES", "1")
        // The same program has the same outcome. Another number draws other cases, `cargo test` alone ever new ones.
        .env("PROPTEST_RNG_SEED", std::env::var("PROPTEST_RNG_SEED").unwrap_or_else(|_| "1".to_owned()));
    let ok = run.watched(|line| {
        counts.note_failure(line);
        // "test result: ok. 12 passed; 0 failed; 0 ignored; ..."
        if let Some(told) = line.strip_prefix("test result: ") {
            let count = |what: &str| {
                let part = told.split([';', '.']).find(|part| part.trim().ends_with(what))?;
                part.split_whitespace().next()?.parse::<usize>().ok()
            };
            counts.passed += count("passed").unwrap_or(0);
            counts.failed += count("failed").unwrap_or(0);
        }
    })?;
    ensure!(counts.passed + counts.failed > 0, "no test ran");
    counts.failed += usize::from(!ok && counts.failed == 0);
    for line in std::fs::read_to_string(&skipped)?.lines() {
        counts.skip(line);
    }
    counts.passed = counts.passed.saturating_sub(counts.skipped);
    Ok(counts)
}

/// The container's files, as far as there is something that reads them.
fn container() -> Result<Counts> {
    let mut counts = Counts::default();
    let compose: &[&str] = if Run::new("docker").args(["compose", "version"]).quietly() {
        &["docker", "compose"]
    } else {
        &["docker-compose"]
    };
    match compose {
        [program, arguments @ ..] if machine::find(program).is_some() => {
            Run::new(program).args(arguments).args(["config", "--quiet"]).go()?;
            counts.passed += 1;
        }
        _ => counts.skip("no docker compose on this machine: docker-compose.yml is not checked"),
    }
    match machine::HADOLINT.install() {
        Ok(()) => {
            // Without: Debian's stable release pins its packages, and the user has a number in the image.
            Run::new("hadolint").args(["--ignore", "DL3008", "--ignore", "DL3066", "Dockerfile"]).go()?;
            counts.passed += 1;
        }
        Err(error) => counts.skip(&format!("the Dockerfile is not checked: {error:#}")),
    }
    Ok(counts)
}

fn sotto() -> std::path::PathBuf {
    target().join("debug/sotto")
}

#[cfg(test)]
mod tests {
    use super::failed_test;

    #[test]
    fn failed_tests_are_known_by_the_lines_of_every_runner() {
        for (line, name) in [
            ("test talk::tests::a_number ... FAILED", Some("talk::tests::a_number")),
            ("test talk::tests::a_number ... ok", None),
            ("test result: FAILED. 1 passed; 1 failed", None),
            (
                "     × write Persian with Persian letters 59ms",
                Some("write Persian with Persian letters 59ms"),
            ),
            ("not ok 3 - shows words as they come", Some("shows words as they come")),
            ("ok 3 - shows words as they come", None),
            ("✖ shows words as they come (29.1ms)", Some("shows words as they come (29.1ms)")),
            ("✖ failing tests:", None),
        ] {
            assert_eq!(failed_test(line), name, "{line}");
        }
    }
}
