//! What a developer does with the repository: `cargo xtask build | demo | test | bench | eval | models | types | pcap`.
//!
//! A program instead of shell scripts, so that it says what is wrong when something is, and works the same in a
//! terminal and in CI. It depends on little, so that it is there in seconds on a machine that has only Rust.

mod arrows;
mod bench;
mod demo;
mod eval;
mod licences;
mod machine;
mod run;
mod stamp;
mod test;
mod types;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use sotto_tests::audio::Audio;
use sotto_tests::pcap::{self, Law, Line};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "What a developer does with Sotto's repository", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the program with its web page, and say where it is.
    Build,
    /// Build everything, start Sotto, place a real call to it and show where to watch.
    Demo(demo::Options),
    /// Everything that must hold: licences, formatting, lints, the web page, all tests with real peers.
    Test(test::Options),
    /// The benchmarks; arguments go to `cargo bench`.
    Bench {
        /// For `cargo bench`, e.g. a benchmark's name.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Figures on real material, one JSON line each.
    Eval(eval::Options),
    /// `sotto models ...` of the release build.
    Models {
        /// For `sotto models`: list, pull, verify.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Write the web page's TypeScript types of events; with --check, only say whether they are current.
    Types {
        /// Write nothing; fail when the file differs.
        #[arg(long)]
        check: bool,
    },
    /// Make a capture that SIPp plays out of a recording at 8 kHz, one RTP stream a channel.
    Pcap {
        /// WAV or FLAC.
        recording: PathBuf,
        /// The capture.
        capture: PathBuf,
    },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Build => build(),
        Command::Demo(options) => demo::demo(&options),
        Command::Test(options) => test::test(&options),
        Command::Bench { arguments } => bench::bench(&arguments),
        Command::Eval(options) => eval::eval(&options),
        Command::Models { arguments } => models(&arguments),
        Command::Types { check } => types::types(check),
        Command::Pcap { recording, capture } => capture_of(&recording, &capture),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<()> {
    machine::needed_to_build()?;
    let sotto = run::release_build()?;
    println!("{}", sotto.display());
    Ok(())
}

fn models(arguments: &[String]) -> Result<()> {
    machine::needed_to_build()?;
    let sotto = run::release_build()?;
    run::Run::new(sotto).arg("models").args(arguments).go()
}

fn capture_of(recording: &std::path::Path, capture: &std::path::Path) -> Result<()> {
    let audio = Audio::read(recording)?;
    let laws: Vec<Law> =
        (0..audio.channels.len()).map(|n| if n % 2 == 0 { Law::Mu } else { Law::A }).collect();
    pcap::write(capture, &audio, &laws, Line::Good)?;
    let seconds = audio.duration_ms() / 1000;
    println!(
        "{}: {} streams, {seconds} s; play it with -d {}",
        capture.display(),
        laws.len(),
        audio.duration_ms()
    );
    std::fs::metadata(capture).context("capture").map(drop)
}
