//! `sotto models`.

use clap::{Args, Subcommand};
use sotto_insight::PromptSet;
use sotto_models::{Cache, Console, State, VOICE_ACTIVITY};

use crate::config::Config;
use crate::library;

/// Model files: list them, fetch them, check them.
#[derive(Debug, Args)]
pub(crate) struct Models {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What there is, and what of it is on this machine.
    List,
    /// Fetch models and what they run on; without names, those that the configuration needs.
    Pull {
        /// `tiny.en`, `base`, `large-v3-turbo`, …
        names: Vec<String>,
    },
    /// Check the files on this machine against their checksums.
    Verify,
}

impl Models {
    pub(crate) fn run(self, config: &Config) -> anyhow::Result<()> {
        let cache = Cache::open(config.speech.models_dir.clone())?;
        match self.command {
            Command::List => {
                println!("{}", cache.dir().display());
                for listed in cache.list()? {
                    let size = listed.artefact.size / 1_000_000;
                    println!("{:<24} {size:>6} MB  {}", listed.artefact.name, name(listed.state));
                }
            }
            Command::Pull { names } => {
                let mut progress = Console::default();
                if names.is_empty() {
                    crate::analysis::fetch(&config.speech, &cache, &mut progress)?;
                    let prompts = config.prompts.read()?;
                    let checklist = prompts.as_ref().map(PromptSet::duties).unwrap_or_default();
                    config.insight.check(checklist)?;
                    if config.needs_embedding(checklist) {
                        cache.require(config.insight.embedding.artefact(), &mut progress)?;
                    }
                    if config.knowledge.has_sources() {
                        cache.require(library::EMBEDDING.artefact(), &mut progress)?;
                    }
                }
                if !names.is_empty() {
                    // No model is of use without these two.
                    cache.onnx(&mut progress)?;
                    cache.require(VOICE_ACTIVITY, &mut progress)?;
                }
                let known: Vec<_> = cache.list()?.iter().map(|listed| listed.artefact.name).collect();
                for name in names {
                    let path = if known.contains(&name.as_str()) {
                        cache.require(&name, &mut progress)?
                    } else {
                        cache.whisper(&name, &mut progress)?
                    };
                    println!("{name}: {}", path.display());
                }
            }
            Command::Verify => {
                let mut damaged = 0;
                for listed in cache.list()? {
                    let state = cache.verify(listed.artefact.name)?;
                    if state != State::Missing {
                        println!("{:<24} {}", listed.artefact.name, name(state));
                    }
                    damaged += usize::from(state == State::Damaged);
                }
                anyhow::ensure!(
                    damaged == 0,
                    "damaged files: {damaged}; `sotto models pull` fetches them anew"
                );
            }
        }
        Ok(())
    }
}

fn name(state: State) -> &'static str {
    match state {
        State::Missing => "not here",
        State::Unverified => "here, not verified",
        State::Verified => "here, verified",
        State::Damaged => "here, damaged",
    }
}
