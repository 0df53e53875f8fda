//! The command line.

mod call;
mod eval;
mod folder;
mod insight;
mod kb;
mod llm;
mod models;
mod offline;
mod replay;
mod serve;
mod user;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::config::Config;

/// How long what still blocks at the end is waited for: a disk that does not answer must not keep the process.
pub(crate) const LEFT_BEHIND: Duration = Duration::from_secs(5);

/// A co-pilot for phone calls, on your own machine.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Cli {
    /// Configuration file; `sotto.toml` in the current folder when there is one.
    #[arg(long, global = true, env = "SOTTO_CONFIG")]
    config: Option<PathBuf>,
    /// Set one key, over file and environment: `--set speech.model=base`. May be repeated.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take calls and serve the page.
    Serve,
    /// Play a recorded call through the live path and print its events.
    Replay(replay::Replay),
    /// Print what is said in a recorded call.
    Transcribe(replay::Transcribe),
    /// Print what a call came to: of a recording, or of a call's events.
    Insight(insight::Insight),
    /// Model files: list them, fetch them, check them.
    Models(models::Models),
    /// People who may sign in.
    User(user::User),
    /// Play all calls of a folder through the live path and score the transcripts.
    Eval(eval::Eval),
    /// What is written down: add documents, list and remove them, look things up in them.
    Kb(kb::Kb),
    /// The language model that answers questions.
    Llm(llm::LlmCommand),
    /// Place a SIPREC call with a recorded conversation, as a session border controller would.
    Call(call::Call),
    /// Print a documented configuration file with every key and its default.
    Config,
    /// Read a document from standard input within limits; how this program reads what may be hostile.
    #[command(hide = true)]
    ReadDocument {
        /// The extension of its kind.
        extension: String,
    },
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

impl Cli {
    /// Runs the command; errors are printed with their causes.
    #[must_use]
    pub fn run(self) -> ExitCode {
        match self.dispatch() {
            Ok(()) => ExitCode::SUCCESS,
            // Whoever reads, such as `head`, has seen enough.
            Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        }
    }

    fn dispatch(self) -> anyhow::Result<()> {
        if matches!(self.command, Command::Config) {
            print!("{}", Config::reference());
            return Ok(());
        }
        if let Command::ReadDocument { extension } = &self.command {
            return crate::documents::answer(extension, std::io::stdin().lock(), std::io::stdout());
        }
        let environment = std::env::vars_os().map(as_text);
        let config = Config::load(self.config.as_deref(), environment, &self.set)?;
        crate::logging::start(&config.log, matches!(self.command, Command::Serve));
        // Several crates could bring a cryptography provider; one is enough, and it is installed once.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let done = runtime.block_on(async {
            match self.command {
                Command::Serve => serve::run(config).await,
                Command::Replay(command) => command.run(config).await,
                Command::Transcribe(command) => command.run(config).await,
                Command::Insight(command) => command.run(config).await,
                Command::Models(command) => command.run(&config),
                Command::User(command) => command.run(&config).await,
                Command::Eval(command) => command.run(config).await,
                Command::Kb(command) => command.run(&config).await,
                Command::Llm(command) => command.run(&config).await,
                Command::Call(command) => command.run().await,
                Command::Config | Command::ReadDocument { .. } => Ok(()),
            }
        });
        runtime.shutdown_timeout(LEFT_BEHIND);
        done
    }
}

/// A variable of the environment as text. Anybody's may hold other bytes, and must not keep us from starting.
fn as_text((name, value): (OsString, OsString)) -> (String, String) {
    (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
}

/// A language that somebody names on the command line.
fn language(tag: &str) -> Result<String, &'static str> {
    sotto_speech::language(tag).ok_or("no language like `en` or `fa` that Whisper knows")
}

/// The time, in milliseconds since 1970.
pub(crate) fn now_unix_ms() -> u64 {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_no_text_keeps_nothing_from_starting() {
        use std::os::unix::ffi::OsStringExt as _;
        let latin = OsString::from_vec(b"/home/andr\xe9".to_vec());
        let (name, value) = as_text(("HOME".into(), latin));
        assert_eq!((name.as_str(), value.as_str()), ("HOME", "/home/andr\u{fffd}"));
    }

    #[test]
    fn a_language_that_is_none_is_refused_on_the_command_line() {
        for (given, language) in [("fa", Some("fa")), ("fa-IR", Some("fa")), ("persian", None), ("xx", None)]
        {
            let parsed = Cli::try_parse_from(["sotto", "transcribe", "call.wav", "--language", given]);
            assert_eq!(parsed.is_ok(), language.is_some(), "{given}");
            assert_eq!(super::language(given).ok().as_deref(), language, "{given}");
        }
    }
}
