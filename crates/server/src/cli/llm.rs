//! `sotto llm`.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use sotto_llm::{Form, Llm, Purpose, Schema, Sendable, Template};

use crate::config::Config;

/// The language model that answers questions.
#[derive(Debug, Args)]
pub(crate) struct LlmCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask the configured server one question, and say what works.
    Check,
}

impl LlmCommand {
    pub(crate) async fn run(self, config: &Config) -> anyhow::Result<()> {
        match self.command {
            Command::Check => {
                let llm = config.llm.open()?;
                check(&llm.context("no server is configured: set `llm.url` and `llm.model`")?).await
            }
        }
    }
}

async fn check(llm: &Llm) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    let prompt = Template::CHECK.fill(&[])?;
    let count = llm.tokens(&Sendable::ours("How many tokens are these words?")).await;
    let how = if count.is_estimate { "are estimated" } else { "are counted by the server" };
    writeln!(out, "model      {}\ntokens     {how}", llm.model())?;

    let word = json!({ "type": "string", "enum": ["table", "green", "seven"] });
    let schema = json!({
        "type": "object", "properties": { "word": word }, "required": ["word"], "additionalProperties": false,
    });
    let schema = Schema::new("word", schema)?;
    let answered = llm.ask::<Value>(Purpose::Check, &prompt, &schema, Duration::MAX).await;
    let answered = answered.context("an answer of a given form")?;
    let form = match answered.form {
        Some(Form::Schema) => "by schema: the server sees to it",
        Some(Form::Object) => "as JSON: the schema is in the prompt",
        Some(Form::Prompt) | None => "by the prompt alone",
    };
    let repaired = if answered.was_repaired { ", right the second time only" } else { "" };
    writeln!(out, "form       {form}{repaired}\nanswer     {}", answered.value)?;

    let (begun, mut pieces) = (Instant::now(), 0u32);
    let said = llm.say(Purpose::Check, &prompt, |_| pieces += 1).await.context("an answer in words")?;
    let streams = if pieces > 1 { "yes" } else { "no: answers come in one piece" };
    let seconds = begun.elapsed().saturating_sub(said.first_token).as_secs_f64().max(1e-3);
    writeln!(out, "streaming  {streams}")?;
    writeln!(
        out,
        "speed      first word after {:.2} s, then {:.0} tokens a second{}",
        said.first_token.as_secs_f64(),
        said.usage.answer_tokens as f64 / seconds,
        if said.usage.is_estimate { ", estimated" } else { "" }
    )?;
    Ok(())
}
