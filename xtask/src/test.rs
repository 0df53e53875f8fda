//! `cargo xtask test`: everything that must hold, on a machine that may have nothing yet.
//!
//! One JSON line a step tells machines what failed and why; the last line counts.

use std::time::Instant;

use anyhow::{Result, bail, ensure};
use serde::Serialize;

use crate::run::{Run, note, step, target, tools};
use crate::{arrows, licences, machine, run, types};

#[derive(clap::Args)]
pub struct Options {
    /// Only these steps, separated by commas.
    #[arg(long, value_delimiter = ',', value_parser = STEPS.map(|s| s.name))]
    only: Vec<String>,
}

/// Passed and failed checks of a step; an error counts as one that failed.
type Counts = (usize, usize);

struct Step {
    name: &'static str,
    what: &'static str,
    go: fn() -> Result<Counts>,
}

const STEPS: [Step; 11] = [
    Step { name: "machine", what: "What this machine has", go: machine },
    Step {
        name: "licences",
        what: "Licences, banned crates, sources (deny.toml); who knows whom (ARCHITECTURE.md)",
        go: licences,
    },
    Step { name: "format", what: "Formatting", go: format },
    Step { name: "page", what: "The web page: types, tests, build", go: page },
    Step { name: "lints", what: "Lints (clippy, warnings are errors)", go: lints },
    Step { name: "build", what: "Building everything that tests need", go: build },
    Step { name: "types", what: "The page's types are those of the Rust code", go: generated_types },
    Step { name: "models", what: "Speech models for the tests", go: models },
    Step { name: "tests", what: "Tests", go: tests },
    Step { name: "fuzz", what: "The fuzz targets compile", go: fuzz_targets },
    Step { name: "container", what: "The container's files", go: container },
];

/// One line of the report.
#[derive(Serialize)]
struct Report {
    step: &'static str,
    ok: bool,
    passed: usize,
    failed: usize,
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
        let begun = Instant::now();
        let outcome = (s.go)();
        let seconds = begun.elapsed().as_secs();
        let report = match outcome {
            Ok((passed, 0)) => Report { step: s.name, ok: true, passed, failed: 0, seconds, reason: None },
            Ok((passed, failed)) => {
                let reason = Some(format!("{failed} failed, see above"));
                Report { step: s.name, ok: false, passed, failed, seconds, reason }
            }
            Err(error) => {
                let reason = Some(format!("{error:#}"));
                Report { step: s.name, ok: false, passed: 0, failed: 1, seconds, reason }
            }
        };
        if let Some(reason) = &report.reason {
            eprintln!("\x1b[31mfailed:\x1b[0m {reason}");
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
    let (passed, failed) = reports.iter().fold((0, 0), |(p, f), r| (p + r.passed, f + r.failed));
    println!("{passed} passed, {failed} failed");
    ensure!(failed == 0, "not everything holds");
    Ok(())
}

fn machine() -> Result<Counts> {
    machine::needed_to_build()?;
    machine::needed_to_test()?;
    Ok((1, 0))
}

fn licences() -> Result<Counts> {
    let metadata = licences::metadata()?;
    note(&format!("{} crates hold", licences::check(&metadata)?));
    arrows::check(&metadata)?;
    if Run::cargo().args(["deny", "--version"]).quietly() {
        Run::cargo().args(["deny", "check", "licenses", "bans", "sources"]).go()?;
        return Ok((3, 0));
    }
    Ok((2, 0))
}

fn format() -> Result<Counts> {
    Run::cargo().args(["fmt", "--all", "--check"]).go()?;
    Ok((1, 0))
}

fn page() -> Result<Counts> {
    run::install_page_packages()?;
    Run::new("npm").within("web").args(["run", "check"]).go()?;
    let (mut passed, mut failed) = (1, 0);
    let ok = Run::new("npm").within("web").args(["test", "--", "--reporter=default"]).watched(|line| {
        // "      Tests  2 failed | 41 passed (43)"
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [first, counts @ ..] = words.as_slice()
            && *first == "Tests"
        {
            let count = |what| {
                let at = counts.iter().position(|w| *w == what)?;
                counts.get(at.checked_sub(1)?)?.parse::<usize>().ok()
            };
            passed += count("passed").unwrap_or(0);
            failed += count("failed").unwrap_or(0);
        }
    })?;
    failed += usize::from(!ok && failed == 0);
    run::build_page()?;
    let in_browser = Run::new("npm").within("web").args(["run", "test:page"]).watched(|line| {
        // "# pass 12"
        if let ["#" | "ℹ", what @ ("pass" | "fail"), count] = *line.split_whitespace().collect::<Vec<_>>() {
            let count = count.parse::<usize>().unwrap_or(0);
            *(if what == "pass" { &mut passed } else { &mut failed }) += count;
        }
    })?;
    failed += usize::from(!in_browser && failed == 0);
    Ok((passed + 1, failed))
}

fn lints() -> Result<Counts> {
    Run::cargo().args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]).go()?;
    Ok((1, 0))
}

/// The fuzz targets compile; running them wants a nightly compiler and time.
fn fuzz_targets() -> Result<Counts> {
    Run::cargo()
        .args(["check", "--quiet", "--manifest-path", "fuzz/Cargo.toml", "--target-dir"])
        .arg(target().join("fuzz"))
        .go()?;
    Ok((1, 0))
}

fn build() -> Result<Counts> {
    // All targets at once: the features are those of the tests, and nothing is built twice.
    Run::cargo().args(["build", "--workspace", "--all-targets", "--locked"]).go()?;
    Ok((1, 0))
}

fn generated_types() -> Result<Counts> {
    types::types(true)?;
    Ok((1, 0))
}

fn models() -> Result<Counts> {
    run::pull_models(&sotto(), &["tiny.en", "base"])?;
    Ok((1, 0))
}

fn tests() -> Result<Counts> {
    let (mut passed, mut failed) = (0, 0);
    let run = Run::cargo()
        .args(["test", "--workspace", "--no-fail-fast", "--locked"])
        .env("SOTTO_BIN", sotto())
        .env("SOTTO_REQUIRE_POSTGRES", "1");
    let ok = run.watched(|line| {
        // "test result: ok. 12 passed; 0 failed; 0 ignored; ..."
        if let Some(counts) = line.strip_prefix("test result: ") {
            let count = |what: &str| {
                let part = counts.split([';', '.']).find(|part| part.trim().ends_with(what))?;
                part.split_whitespace().next()?.parse::<usize>().ok()
            };
            passed += count("passed").unwrap_or(0);
            failed += count("failed").unwrap_or(0);
        }
    })?;
    ensure!(passed + failed > 0, "no test ran");
    failed += usize::from(!ok && failed == 0);
    Ok((passed, failed))
}

fn container() -> Result<Counts> {
    let compose: &[&str] = if Run::new("docker").args(["compose", "version"]).quietly() {
        &["docker", "compose"]
    } else if machine::find("docker-compose").is_some() {
        &["docker-compose"]
    } else {
        note("no docker compose on this machine: docker-compose.yml not checked");
        return Ok((0, 0));
    };
    let [program, arguments @ ..] = compose else { bail!("no compose") };
    for profile in [&[][..], &["--profile", "ollama"]] {
        Run::new(program).args(arguments).args(profile).args(["config", "--quiet"]).go()?;
    }
    Ok((1, 0))
}

fn sotto() -> std::path::PathBuf {
    target().join("debug/sotto")
}
