//! What a call came to, in the words of a language model, where the organisation wants that (`llm.insights`).
//!
//! What was said goes to the model without its secrets, each utterance as a piece of data with its number; what talks to a model
//! is left out. A call that does not fit into one prompt is cut between utterances, and what is said of its parts is made one. What
//! comes back is a [`Draft`], of which [`CallInsight::by_model`] believes nothing. Where anything fails or takes too long, the
//! insight is what it is without a model, and says why.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sotto_call::{CallState, Party, UtteranceId};
use sotto_llm::{Answered, Llm, LlmError, Prompt, Purpose, Schema, Sendable, Template, estimate};
use sotto_review::{CallInsight, Claim, Draft, Written};

use crate::assist::{Model, gives_orders, in_a_line};
use crate::redaction::RedactionConfig;

/// How long the summary of a call may take at most, with all its parts: less than a job may.
pub const WRITTEN_WITHIN: Duration = Duration::from_secs(240);

/// Parts of a call that are asked about, of any length that fits into a prompt. A longer call has no model.
const PARTS: usize = 12;
/// Statements of each kind, utterances that each may name, and its characters.
const BULLETS: usize = 6;
const ENTITIES: usize = 5;
const ACTIONS: usize = 6;
const CITED: usize = 5;
const CHARACTERS: usize = 240;
/// Sentences from which one summary of all parts is made: as many as fit into a prompt.
const TO_MERGE: usize = 24;
/// Of these, how many a sentence of that summary may rest on.
const MERGED: usize = 3;
/// Tokens that the signs around messages and the problems of a wrong answer may have.
const AROUND: u32 = 300;

/// What a model says of a call.
#[derive(Debug)]
pub enum Drafted {
    /// There is no model, or nothing was said that it could be asked about.
    NotAsked,
    /// It is being asked.
    Awaited,
    /// What it says, and what that took.
    Said(Draft, Written),
    /// It says nothing that can be used; why, in one word.
    Failed(&'static str),
}

impl Drafted {
    /// What the call came to, by the model as far as it is borne out; from a state without moods, without them.
    #[must_use]
    pub fn insight(&self, state: &CallState) -> CallInsight {
        match self {
            Self::NotAsked => CallInsight::of_state(state),
            Self::Awaited => CallInsight::of_state(state).to_be_written(),
            Self::Said(draft, by) => CallInsight::by_model(state, draft, by),
            Self::Failed(why) => CallInsight::of_state(state).without_model(why),
        }
    }
}

/// Asks a model what a call came to. Never fails, and takes no longer than the model's patience, about.
pub async fn draft(model: &Model, state: &CallState) -> Drafted {
    let said = utterances(state, &model.redaction);
    if said.is_empty() {
        return Drafted::NotAsked;
    }
    match drafted(model, &said).await {
        Ok((draft, by)) => Drafted::Said(draft, by),
        Err(error) => {
            tracing::warn!(error = error.kind(), "no summary by the language model");
            Drafted::Failed(error.kind())
        }
    }
}

/// An utterance, as a model sees it.
struct Said {
    id: UtteranceId,
    text: Sendable,
}

/// What was said, as far as it does not talk to a model.
fn utterances(state: &CallState, redaction: &RedactionConfig) -> Vec<Said> {
    let said = state.finals().filter(|said| !gives_orders(&said.text));
    let said = said.map(|said| {
        let speaker = Sendable::ours(match said.party {
            Party::Agent => "agent: ",
            Party::Customer => "customer: ",
            Party::Other => "somebody: ",
        });
        let text = Sendable::joined([&speaker, &redaction.sendable(&said.text)], "");
        let id = said.utterance_id;
        Said { id, text: text.fenced("said", usize::try_from(id.0).ok()) }
    });
    said.collect()
}

async fn drafted(model: &Model, said: &[Said]) -> Result<(Draft, Written), LlmError> {
    let begun = Instant::now();
    let left = || model.patience.saturating_sub(begun.elapsed());
    let parts = parts(&model.llm, said).await?;
    let bullets = (TO_MERGE / parts.len().max(1)).clamp(2, BULLETS);
    let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    let (mut draft, mut by) = (Draft::default(), Written { parts: count, ..Written::default() });
    for part in parts {
        let (prompt, schema) = (prompt(part.iter().map(|said| &said.text))?, schema(part, bullets)?);
        draft.add(ask(&model.llm, &prompt, &schema, left(), &mut by).await?);
    }
    if draft.summary_bullets.len() > BULLETS {
        draft.summary_bullets = merged(model, &draft.summary_bullets, left(), &mut by).await?;
    }
    by.took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok((tidied(draft), by))
}

/// Asks, and adds what it took.
async fn ask<T: DeserializeOwned>(
    llm: &Llm,
    prompt: &Prompt,
    schema: &Schema,
    patience: Duration,
    by: &mut Written,
) -> Result<T, LlmError> {
    let answered: Answered<T> = llm.ask(Purpose::Insight, prompt, schema, patience).await?;
    let model = if answered.model.is_empty() { llm.model() } else { answered.model.as_str() };
    by.model = in_a_line(model);
    if by.template.is_empty() {
        by.template = answered.template.to_owned();
    }
    by.prompt_tokens = by.prompt_tokens.saturating_add(answered.usage.prompt_tokens);
    by.answer_tokens = by.answer_tokens.saturating_add(answered.usage.answer_tokens);
    by.is_estimate |= answered.usage.is_estimate;
    by.was_repaired |= answered.was_repaired;
    Ok(answered.value)
}

fn prompt<'a>(said: impl IntoIterator<Item = &'a Sendable>) -> Result<Prompt, LlmError> {
    Template::INSIGHT.fill(&[("utterances", &Sendable::joined(said, "\n"))])
}

/// A call in parts that fit into a prompt each, with room for an answer that has to be put right.
async fn parts<'a>(llm: &Llm, said: &'a [Said]) -> Result<Vec<&'a [Said]>, LlmError> {
    let all = Sendable::joined(said.iter().map(|said| &said.text), "\n");
    let counted = llm.tokens(&all).await.count;
    // What an estimate is worth for these words and this model.
    let worth = f64::from(counted) / f64::from(estimate(all.as_str()).max(1));
    let (empty, form) = (prompt(std::iter::empty())?, schema(said, BULLETS)?.value().to_string());
    let around = [empty.system().as_str(), empty.user().as_str(), form.as_str()];
    let around = around.into_iter().map(estimate).fold(AROUND, u32::saturating_add);
    let room = llm.room().saturating_sub(around).saturating_sub(llm.answer_tokens());
    let mut parts = Vec::new();
    let (mut start, mut sum) = (0, 0.0);
    for (n, one) in said.iter().enumerate() {
        let tokens = f64::from(estimate(one.text.as_str()).saturating_add(1)) * worth;
        if sum + tokens > f64::from(room) && n > start {
            parts.push(&said[start..n]);
            (start, sum) = (n, 0.0);
        }
        sum += tokens;
    }
    parts.push(&said[start..]);
    if room == 0 || parts.len() > PARTS {
        return Err(LlmError::NoRoom { tokens: counted, room: room.saturating_mul(PARTS as u32) });
    }
    Ok(parts)
}

/// What is said of the parts of a call, as one summary, whose sentences rest on what those rest on that they are made of.
async fn merged(
    model: &Model,
    bullets: &[Claim<String>],
    patience: Duration,
    by: &mut Written,
) -> Result<Vec<Claim<String>>, LlmError> {
    #[derive(Deserialize)]
    struct Merged {
        summary_bullets: Vec<Bullet>,
    }
    #[derive(Deserialize)]
    struct Bullet {
        bullets: Vec<usize>,
        value: String,
    }
    let each: Vec<Sendable> = (bullets.iter().zip(1..))
        .map(|(bullet, number)| model.redaction.sendable(&bullet.value).fenced("bullet", Some(number)))
        .collect();
    let prompt = Template::MERGE.fill(&[("bullets", &Sendable::joined(&each, "\n"))])?;
    let bullet = object(json!({ "bullets": numbers(1, bullets.len(), MERGED), "value": text() }));
    let schema = Schema::new("summary", object(json!({ "summary_bullets": list(bullet, BULLETS) })))?;
    let said: Merged = ask(&model.llm, &prompt, &schema, patience, by).await?;
    let made_one = |bullet: Bullet| {
        let made_of: Vec<&Claim<String>> =
            bullet.bullets.iter().filter_map(|number| bullets.get(number.checked_sub(1)?)).collect();
        let of_each = CITED.div_ceil(made_of.len().max(1));
        let utterances = made_of.iter().flat_map(|one| one.utterances.iter().copied().take(of_each));
        Claim { value: bullet.value, utterances: utterances.take(CITED).collect() }
    };
    Ok(said.summary_bullets.into_iter().map(made_one).collect())
}

/// A draft whose texts are one line each, without what nobody sees. A sentence that talks to a model rests on nothing.
fn tidied(mut draft: Draft) -> Draft {
    for bullet in &mut draft.summary_bullets {
        bullet.value = in_a_line(&bullet.value);
        if gives_orders(&bullet.value) {
            bullet.utterances.clear();
        }
    }
    for found in &mut draft.entities {
        found.value = in_a_line(&found.value);
    }
    draft
}

/// What a model has to say of a part of a call. Names are in the order of the alphabet, in which the form may be enforced, as in
/// the prompt.
fn schema(part: &[Said], bullets: usize) -> Result<Schema, LlmError> {
    let ids = || part.iter().map(|said| said.id.0);
    let utterances = numbers(ids().min().unwrap_or_default(), ids().max().unwrap_or_default(), CITED);
    let one_of = |values: Value| json!({ "type": "string", "enum": values });
    let claim = |value: Value| object(json!({ "utterances": utterances, "value": value }));
    let entity = object(json!({
        "field": one_of(json!(["name", "phone", "email", "course", "city"])),
        "utterances": utterances,
        "value": text(),
    }));
    let action = object(json!({
        "channel": { "type": ["string", "null"], "enum": ["phone", "sms", "email", "telegram", null] },
        "text": text(),
        "type": one_of(json!(["callback", "message", "meeting", "payment", "task"])),
        "utterances": utterances,
    }));
    let draft = object(json!({
        "entities": list(entity, ENTITIES),
        "lead_stage_suggestion": list(claim(one_of(json!(["qualified", "converted", "lost"]))), 1),
        "next_actions": list(action, ACTIONS),
        "summary_bullets": list(claim(text()), bullets),
        "urgency": list(claim(one_of(json!(["low", "high"]))), 1),
    }));
    Schema::new("insight", draft)
}

fn text() -> Value {
    json!({ "type": "string", "maxLength": CHARACTERS })
}

fn list(items: Value, most: usize) -> Value {
    json!({ "type": "array", "items": items, "maxItems": most })
}

/// One number at least, and not too many.
fn numbers(least: impl Into<Value>, most: impl Into<Value>, count: usize) -> Value {
    let (least, most): (Value, Value) = (least.into(), most.into());
    let number = json!({ "type": "integer", "minimum": least, "maximum": most });
    json!({ "type": "array", "items": number, "minItems": 1, "maxItems": count })
}

/// An object that has all of these and nothing else, as servers want it that see to the form.
fn object(properties: Value) -> Value {
    let names: Vec<String> = properties.as_object().into_iter().flat_map(|all| all.keys().cloned()).collect();
    json!({
        "type": "object", "properties": properties, "required": names, "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests;
