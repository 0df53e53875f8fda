//! An answer from what is written down, in which every sentence names the passages that it rests on.
//!
//! Without a language model it is the sentences of the passages themselves. A model may put them into words; what it
//! says is looked at and not believed: a sentence stays only if it names passages that it was given, and if these have
//! its numbers, its names, and most of its words. What was written or said by others is data to it, never an order
//! (see [`Sendable::fenced`](sotto_llm::Sendable::fenced)), and where a passage begins to talk to a model, nothing more
//! of it is taken.

mod draft;

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::json;
use sotto_knowledge::{Excerpt, Hit, Passage, Query, SURE, sentences, stands_in};
use sotto_llm::{Answered, Llm, LlmError, Prompt, Purpose, Schema, Sendable, Template, is_hidden};
use sotto_text::fold;
use utoipa::ToSchema;

use crate::redaction::RedactionConfig;

pub use self::draft::{Draft, DraftChannel, DraftFact, DraftLanguage, DraftTone, DraftWish, draft};

/// Passages that an answer may rest on.
const PASSAGES: usize = 5;
/// Of these, sentences are taken as they are from so many, if they are nearly as sure as the best.
const TAKEN: usize = 3;
const NEARLY: f32 = 0.2;
/// Sentences of an answer, and characters of each.
const SENTENCES: usize = 4;
const CHARACTERS: usize = 600;
/// Characters of a question that are read.
const QUESTION: usize = 2_000;

/// A language model, and how it is asked.
#[derive(Clone, Debug)]
pub struct Model {
    /// The server.
    pub llm: Llm,
    /// What is taken out of all that is sent there.
    pub redaction: RedactionConfig,
    /// How long whoever has asked waits for it at most.
    pub patience: Duration,
}

/// An answer, or an honest lack of one.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct AssistAnswer {
    /// What answers, in order; empty where nothing does.
    pub sentences: Vec<AssistSentence>,
    /// The passages that sentences name, by their numbers, the surest first.
    pub passages: Vec<AssistPassage>,
    /// Where the sentences come from.
    pub by: AnsweredBy,
    /// Why there are no sentences.
    pub refused: Option<WhyNot>,
    /// What the model cost, where one answered.
    pub model: Option<ModelUse>,
    /// Why a model was asked in vain, in one word (`too_slow`, `unreachable`, …). The sentences are the passages' own
    /// then.
    pub model_failed: Option<String>,
}

/// A sentence and what it rests on.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct AssistSentence {
    /// The sentence, as text. It is no markup.
    pub text: String,
    /// Numbers of passages, at least one; in a draft of facts as well.
    pub passages: Vec<usize>,
}

/// A passage that may be named.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct AssistPassage {
    /// What sentences call it, from 1.
    pub number: usize,
    /// The document, as the hub knows it.
    pub document: String,
    /// Its place among the document's passages.
    pub place: usize,
    /// The document's title and the headings that it stands under.
    pub above: String,
    /// What of its text an answer may rest on.
    pub text: String,
    /// When the document was last changed, in milliseconds since 1970.
    pub changed_unix_ms: u64,
    /// How likely it answers, from 0 to 1.
    pub confidence: f32,
}

/// Where an answer's sentences come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnsweredBy {
    /// They are the passages' own.
    Passages,
    /// A language model wrote them.
    Model,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhyNot {
    /// Nothing that is written down is surely about it.
    NothingFound,
    /// The model says that the passages do not answer it.
    NotInPassages,
    /// Nothing that the model said stands in the passages.
    Unsupported,
    /// What is surely about it is written in another language than the one asked for.
    OtherLanguage,
}

/// What a model's answer took.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ModelUse {
    /// The model, as its server calls it.
    pub model: String,
    /// The prompt's template and version.
    pub template: String,
    /// Tokens of prompts.
    pub prompt_tokens: u64,
    /// Tokens of answers.
    pub answer_tokens: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Its first answer had not the form that was asked for.
    pub was_repaired: bool,
    /// Sentences that were dropped because the passages do not have them.
    pub dropped: usize,
}

/// What a model says.
#[derive(Debug, Deserialize)]
struct Said {
    refused: bool,
    sentences: Vec<SaidSentence>,
}

#[derive(Debug, Deserialize)]
struct SaidSentence {
    text: String,
    passages: Vec<usize>,
}

/// Answers a question from what a search for it has found, the best hit first. A model gets that question and those
/// passages, with their secrets taken out, and nothing else. Never fails: where a model does, the passages' own sentences
/// answer.
pub async fn answer(query: &Query<'_>, hits: &[Hit], model: Option<&Model>) -> AssistAnswer {
    let passages: Vec<AssistPassage> = usable(hits);
    if passages.is_empty() {
        return refusal(WhyNot::NothingFound, AnsweredBy::Passages);
    }
    let mut model_failed = None;
    if let Some(model) = model {
        let question: String = query.text.chars().take(QUESTION).collect();
        match by_model(&question, &passages, model).await {
            Ok(answer) => return answer,
            Err(error) => model_failed = Some(in_vain(&error)),
        }
    }
    AssistAnswer { model_failed, ..by_passages(query, hits, passages) }
}

/// Why a model was asked in vain, which is told to the log.
fn in_vain(error: &LlmError) -> String {
    tracing::warn!(error = error.kind(), "no answer by the language model");
    error.kind().to_owned()
}

fn refusal(why: WhyNot, by: AnsweredBy) -> AssistAnswer {
    AssistAnswer {
        sentences: vec![],
        passages: vec![],
        by,
        refused: Some(why),
        model: None,
        model_failed: None,
    }
}

/// The passages of the sure hits, as far as they do not talk to a model.
fn usable(hits: &[Hit]) -> Vec<AssistPassage> {
    let sure = hits.iter().filter(|hit| hit.confidence >= SURE);
    let found = sure.filter_map(|hit| {
        let passage = hit.passage()?;
        let above = passage.above(&hit.document.title);
        let text = before_orders(&passage.text).trim_end();
        (!text.is_empty() && !gives_orders(&above)).then(|| AssistPassage {
            number: 0,
            document: hit.document.id.clone(),
            place: hit.place,
            above,
            text: text.to_owned(),
            changed_unix_ms: hit.document.changed_unix_ms,
            confidence: hit.confidence,
        })
    });
    found.take(PASSAGES).zip(1..).map(|(passage, number)| AssistPassage { number, ..passage }).collect()
}

/// The passages' own sentences.
fn by_passages(query: &Query<'_>, hits: &[Hit], passages: Vec<AssistPassage>) -> AssistAnswer {
    let best = passages.first().map_or(0.0, |best| best.confidence);
    let near = passages.iter().filter(|passage| passage.confidence + NEARLY >= best).take(TAKEN);
    let mut taken: Vec<AssistSentence> = Vec::new();
    for passage in near {
        let own = hits.iter().find(|hit| is_of(hit, passage)).and_then(|hit| {
            // Looked for in what of the text may be used.
            let usable = Passage { text: passage.text.clone(), ..hit.passage()?.clone() };
            Some(Excerpt::of(&usable, &hit.document.title, query, CHARACTERS).answering())
        });
        let Some(own) = own.filter(|own| !own.ends_with(['?', '؟'])) else { continue };
        match taken.iter_mut().find(|sentence| fold(&sentence.text) == fold(&own)) {
            Some(same) => same.passages.push(passage.number),
            None => taken.push(AssistSentence { text: own, passages: vec![passage.number] }),
        }
    }
    let refused = taken.is_empty().then_some(WhyNot::NothingFound);
    let passages = named(passages, &taken);
    AssistAnswer {
        sentences: taken,
        passages,
        by: AnsweredBy::Passages,
        refused,
        model: None,
        model_failed: None,
    }
}

fn is_of(hit: &Hit, passage: &AssistPassage) -> bool {
    hit.place == passage.place && hit.document.id == passage.document
}

/// Those that sentences name.
fn named(passages: Vec<AssistPassage>, sentences: &[AssistSentence]) -> Vec<AssistPassage> {
    let is_named = |number: &usize| sentences.iter().any(|sentence| sentence.passages.contains(number));
    passages.into_iter().filter(|passage| is_named(&passage.number)).collect()
}

async fn by_model(
    question: &str,
    passages: &[AssistPassage],
    model: &Model,
) -> Result<AssistAnswer, LlmError> {
    let question = model.redaction.sendable(question).fenced("question", None);
    let asked = Asked {
        purpose: Purpose::Answer,
        template: Template::ANSWER,
        values: vec![("question", question)],
        most: SENTENCES,
    };
    let sources: Vec<Source> = passages.iter().map(Source::from).collect();
    Ok(asked.of(model, &sources).await?.answer(passages))
}

/// What a sentence may rest on.
struct Source {
    /// What it is called between the tags that a model sees.
    tag: &'static str,
    /// What sentences call it.
    number: usize,
    text: String,
}

impl From<&AssistPassage> for Source {
    fn from(passage: &AssistPassage) -> Self {
        let text = format!("{}\n{}", passage.above, passage.text);
        Self { tag: "passage", number: passage.number, text }
    }
}

/// What a model is asked for: sentences, each with the numbers of what it rests on.
struct Asked {
    purpose: Purpose,
    template: Template,
    /// What the template is filled with besides the sources.
    values: Vec<(&'static str, Sendable)>,
    /// Sentences at most.
    most: usize,
}

/// What is left of what a model said.
struct Left {
    sentences: Vec<AssistSentence>,
    refused: Option<WhyNot>,
    model: ModelUse,
}

impl Left {
    fn answer(self, passages: &[AssistPassage]) -> AssistAnswer {
        AssistAnswer {
            passages: named(passages.to_vec(), &self.sentences),
            sentences: self.sentences,
            by: AnsweredBy::Model,
            refused: self.refused,
            model: Some(self.model),
            model_failed: None,
        }
    }
}

impl Asked {
    /// Asks a model. `sources` are numbered from 1, and the last ones are left out where there is no room.
    async fn of(&self, model: &Model, sources: &[Source]) -> Result<Left, LlmError> {
        let Model { llm, redaction, patience } = model;
        let begun = Instant::now();
        let mut count = sources.len();
        let answered: Answered<Said> = loop {
            let prompt = self.prompt(sources.get(..count).unwrap_or_default(), redaction)?;
            let asked = match llm.fits(&prompt).await {
                Ok(()) => {
                    let left = patience.saturating_sub(begun.elapsed());
                    llm.ask(self.purpose, &prompt, &schema(count, self.most)?, left).await
                }
                Err(error) => Err(error),
            };
            match asked {
                // The least sure one is left out.
                Err(LlmError::NoRoom { .. }) if count > 1 => count -= 1,
                asked => break asked?,
            }
        };
        let sources = sources.get(..count).unwrap_or_default();
        let said = answered.value.sentences;
        let all = said.len();
        let mut sentences: Vec<AssistSentence> = Vec::new();
        if !answered.value.refused {
            let checked = said.into_iter().filter_map(|sentence| checked(sentence, sources));
            sentences.extend(checked.take(self.most));
        }
        let refused = match (sentences.is_empty(), answered.value.refused || all == 0) {
            (false, _) => None,
            (true, true) => Some(WhyNot::NotInPassages),
            (true, false) => Some(WhyNot::Unsupported),
        };
        let model = ModelUse {
            model: answered.model,
            template: answered.template.to_owned(),
            prompt_tokens: answered.usage.prompt_tokens,
            answer_tokens: answered.usage.answer_tokens,
            took_ms: u64::try_from(answered.took.as_millis()).unwrap_or(u64::MAX),
            was_repaired: answered.was_repaired,
            dropped: if answered.value.refused { 0 } else { all - sentences.len() },
        };
        Ok(Left { sentences, refused, model })
    }

    fn prompt(&self, sources: &[Source], redaction: &RedactionConfig) -> Result<Prompt, LlmError> {
        let each = sources.iter().map(|one| redaction.sendable(&one.text).fenced(one.tag, Some(one.number)));
        let all: Vec<Sendable> = each.collect();
        let passages = Sendable::joined(&all, "\n");
        let mut values = vec![("passages", &passages)];
        values.extend(self.values.iter().map(|(name, value)| (*name, value)));
        self.template.fill(&values)
    }
}

/// What an answer of `most` sentences from so many sources must look like.
fn schema(sources: usize, most: usize) -> Result<Schema, LlmError> {
    let number = json!({ "type": "integer", "minimum": 1, "maximum": sources });
    let sentence = json!({
        "type": "object",
        "properties": {
            "text": { "type": "string" },
            "passages": { "type": "array", "items": number, "minItems": 1, "maxItems": PASSAGES },
        },
        "required": ["text", "passages"],
        "additionalProperties": false,
    });
    let answer = json!({
        "type": "object",
        "properties": {
            "refused": { "type": "boolean" },
            "sentences": { "type": "array", "items": sentence, "maxItems": most },
        },
        "required": ["refused", "sentences"],
        "additionalProperties": false,
    });
    Schema::new("answer", answer)
}

/// A sentence that the sources which it names have; none otherwise.
fn checked(said: SaidSentence, sources: &[Source]) -> Option<AssistSentence> {
    let text = in_a_line(&said.text);
    let numbers: BTreeSet<usize> = said.passages.into_iter().collect();
    let named: Option<Vec<&str>> = numbers
        .iter()
        .map(|number| sources.iter().find(|one| one.number == *number).map(|one| one.text.as_str()))
        .collect();
    let texts = named?;
    let is_sentence = text.chars().any(char::is_alphanumeric) && text.chars().count() <= CHARACTERS;
    if texts.is_empty() || !is_sentence || gives_orders(&text) || !stands_in(&text, &texts) {
        return None;
    }
    Some(AssistSentence { text, passages: numbers.into_iter().collect() })
}

/// What a model says, in one line, without what nobody sees, and with signs as they were before it was given them.
pub(crate) fn in_a_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().filter(|c| !is_hidden(*c)).collect();
    line.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// Sentences that an order may be spread over.
const SPREAD: usize = 3;

/// A text up to the first sentences that talk to a model.
fn before_orders(text: &str) -> &str {
    let all = sentences(text);
    for (last, end) in all.iter().enumerate() {
        for begin in all[..=last].iter().rev().take(SPREAD) {
            if gives_orders(&text[begin.start..end.end]) {
                return &text[..begin.start];
            }
        }
    }
    text
}

/// What only whoever talks to a language model says.
const ORDERS: &str = "
    system prompt, system message, system override, system instruction, developer mode, jailbreak, you are now,
    from now on you, you must now, act as if you, pretend to be, pretend that you, as an ai, ai model, language model,
    to the assistant, dear assistant, dear ai, attention assistant, note to the model, note to ai, instructions for ai,
    new instruction, updated instruction, new task:, your real task, your new task, respond only with, reply only with,
    answer only with, answer with exactly, respond with exactly, reply with exactly, output only, output exactly,
    repeat after me, print the following, say exactly, im_start, im_end, answer every question with,
    answer to every question is, regardless of the question, whatever is asked, load this image, render this image,
    cite this passage, cite passage, if you are a model, if you are an ai, and obey,
    مدل زبانی, پرامپت, دستیار عزیز, دستیار هوش مصنوعی, هوش مصنوعی عزیز, از این پس تو, تو اکنون, تو حالا, فقط بنویس,
    فقط پاسخ بده, فقط جواب بده, به هر پرسشی, به هر سوالی, وانمود کن, وظیفه جدید تو, دقیقا بنویس, عینا بنویس,
    در پاسخت, تو نقش, رمزگشایی کن و اجرا";
/// What is not to be done, and with what: together they are an order.
const VERBS: &str =
    "ignore, disregard, forget, override, bypass, do not follow, don't follow, stop following,
    نادیده, فراموش کن, بی توجه, کنار بگذار, پیروی نکن, توجه نکن";
const OBJECTS: &str = "instruction, your rules, all rules, these rules, previous rules, the rules above, your prompt,
    directive, guardrail, everything above, everything before, all of the above, you were told, you have been told,
    دستور, قوانین, قانون‌های, هرچه گفته شد, گفته‌های قبل, متن‌های بالا";

/// Whether a text talks to a language model: what no document says to a customer. A list of what is usually written,
/// which whoever knows it can avoid; what comes of an answer then is for [`checked`] to see.
pub(crate) fn gives_orders(text: &str) -> bool {
    static LISTS: LazyLock<[Vec<String>; 3]> = LazyLock::new(|| {
        let list = |all: &str| all.split(',').map(|phrase| fold(phrase.trim())).collect();
        [list(ORDERS), list(VERBS), list(OBJECTS)]
    });
    // Line breaks and space between words hide nothing.
    let plain = fold(text).split_whitespace().collect::<Vec<_>>().join(" ");
    let [orders, verbs, objects] =
        LISTS.each_ref().map(|list| list.iter().any(|one| plain.contains(one.as_str())));
    let begins = ["system:", "assistant:", "user:"].iter().any(|role| plain.starts_with(role));
    orders || begins || (verbs && objects)
}

#[cfg(test)]
mod tests;
