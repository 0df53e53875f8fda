//! What a language model says of a call, as far as the call's own words say it too.
//!
//! A model may put a call into words, and find what the rules have missed. It is not believed: a sentence of its own stays
//! only if the utterances that it names have its numbers, names and most of its words; of a promise it finds, the sentence that was
//! said is taken, and time and address are read there as by the rules; a value is one that the customer said. What the rules have
//! concluded stays. Neither how anybody felt nor what is a budget is asked of it.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sotto_call::{CallState, EntityKind, Party, UtteranceId};
use sotto_insight::{persian_names, plain, spelled};
use sotto_knowledge::{share_in, stands_in};

use crate::actions::Promises;
use crate::bullets::Bullet;
use crate::check::says;
use crate::insight::{ActionType, Channel, Field, LeadStage, MOST_CITATIONS, Urgency};
use crate::named::Facts;
use crate::rules::Rules;
use crate::transcript::{Citation, Cited, Sentence, Transcript};

/// The share of the words that a model quotes a promise by which the sentence that was said must have.
const QUOTED: f32 = 0.6;

/// What the parties are called by whoever writes of a call.
const CALLED: [(Party, &[&str]); 2] = [
    (Party::Customer, &["customer", "caller", "client", "مشتری"]),
    (Party::Agent, &["agent", "representative", "operator", "کارشناس", "اپراتور"]),
];

/// What a model says of a call, or of a part of one: statements, each with the utterances that it names for it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// What mattered, in its own words.
    pub summary_bullets: Vec<Claim<String>>,
    /// How soon something should be done, if somebody says so: at most one for each part of a call.
    pub urgency: Vec<Claim<Urgency>>,
    /// Where the customer stands, if they say so: at most one for each part of a call.
    pub lead_stage_suggestion: Vec<Claim<LeadStage>>,
    /// What the customer says of themselves.
    pub entities: Vec<FoundEntity>,
    /// What was promised.
    pub next_actions: Vec<FoundAction>,
}

/// A statement.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim<T> {
    /// What it says.
    pub value: T,
    /// What it rests on, as the model says.
    pub utterances: Vec<UtteranceId>,
}

/// Something that a customer says of themselves.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoundEntity {
    /// What of them.
    pub field: Field,
    /// How it was said.
    pub value: String,
    /// Where, as the model says.
    pub utterances: Vec<UtteranceId>,
}

/// Something that was promised.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoundAction {
    /// What.
    pub r#type: ActionType,
    /// How, if that was said.
    pub channel: Option<Channel>,
    /// The sentence, about as it was said.
    pub text: String,
    /// Where, as the model says.
    pub utterances: Vec<UtteranceId>,
}

/// By which language model a summary was written, and what that took.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Written {
    /// The model, as its server calls it.
    pub model: String,
    /// The prompt's template and version.
    pub template: String,
    /// Tokens of prompts.
    pub prompt_tokens: u64,
    /// Tokens of answers.
    pub answer_tokens: u64,
    /// The tokens were estimated: the server does not say.
    pub is_estimate: bool,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// The parts that the call was cut into, because it does not fit into one prompt.
    pub parts: u32,
    /// An answer had not the form that was asked for, and was put right.
    pub was_repaired: bool,
    /// The model's statements that the call's words bear out.
    pub kept: u32,
    /// Those that they do not, which were dropped.
    pub dropped: u32,
}

impl Draft {
    /// Takes in what is said of the next part of the call.
    pub fn add(&mut self, next: Self) {
        self.summary_bullets.extend(next.summary_bullets);
        self.urgency.extend(next.urgency);
        self.lead_stage_suggestion.extend(next.lead_stage_suggestion);
        self.entities.extend(next.entities);
        self.next_actions.extend(next.next_actions);
    }
}

/// What of a draft stands in the call.
#[derive(Default)]
pub(crate) struct Held {
    /// In order of time.
    pub bullets: Vec<Cited<Bullet>>,
    pub urgency: Option<Cited<Urgency>>,
    pub stage: Option<Cited<LeadStage>>,
    pub fields: BTreeMap<Field, Cited<String>>,
    pub promises: Promises,
    pub kept: u32,
    pub dropped: u32,
}

impl Held {
    pub fn of(draft: &Draft, transcript: &Transcript<'_>, facts: &Facts) -> Self {
        let mut held = Self::default();
        for claim in &draft.summary_bullets {
            let bullet = held.counted(bullet(claim, transcript));
            let is_new = |bullet: &Cited<Bullet>| {
                let same = |known: &Cited<Bullet>| plain(&known.value.text) == plain(&bullet.value.text);
                !held.bullets.iter().any(same)
            };
            let bullet = bullet.filter(is_new);
            held.bullets.extend(bullet);
        }
        held.bullets.sort_by_key(|bullet| bullet.citations().first().map(Citation::start_ms));
        for claim in &draft.urgency {
            let urgency = held.counted(by_customer(claim, transcript));
            // Of several parts of a call the most urgent one counts.
            if held.urgency.is_none() || urgency.as_ref().is_some_and(|one| one.value == Urgency::High) {
                held.urgency = urgency;
            }
        }
        for claim in &draft.lead_stage_suggestion {
            // And the last one that says where they stand.
            let stage = held.counted(by_customer(claim, transcript));
            held.stage = stage.or(held.stage.take());
        }
        for found in &draft.entities {
            if let Some(value) = held.counted(entity(found, transcript, facts)) {
                held.fields.entry(found.field).or_insert(value);
            }
        }
        for found in &draft.next_actions {
            if let Some(sentence) = held.counted(promise(found, transcript)) {
                held.promises.entry(sentence).or_insert((found.r#type, found.channel));
            }
        }
        held
    }

    fn counted<T>(&mut self, statement: Option<T>) -> Option<T> {
        *(if statement.is_some() { &mut self.kept } else { &mut self.dropped }) += 1;
        statement
    }
}

/// Whether a sentence that somebody has written says what cited words say: see [`stands_in`]. Whom it speaks of first must be
/// one of those that are cited, and a feeling in it must have been put into words.
pub(crate) fn stands(text: &str, from: &[Citation], state: &CallState) -> bool {
    let is_cited = |party: Party| {
        from.iter().any(|citation| citation.party() == party || citation.party() == Party::Other)
    };
    let called = |word: &str| CALLED.iter().find(|(_, names)| names.contains(&word)).map(|(party, _)| *party);
    let first = spelled(text).iter().find_map(|word| called(word));
    let said: Option<Vec<String>> = from.iter().map(|citation| citation.text(state)).collect();
    let is_sentence = text.chars().any(char::is_alphanumeric) && first.is_none_or(is_cited);
    let Some(said) = said.filter(|said| is_sentence && !said.is_empty()) else { return false };
    let words: BTreeSet<String> =
        said.iter().flat_map(|said| spelled(said).into_iter().chain(parts(said).flat_map(spelled))).collect();
    let rules = Rules::built_in();
    if spelled(text).iter().any(|word| rules.feelings.contains(word) && !words.contains(word)) {
        return false;
    }
    // What begins with a capital letter is a name, also where a sentence begins with it, unless it is a word of grammar.
    let is_known =
        |word: &String| words.contains(word) || called(word).is_some() || rules.stop_words.contains(word);
    let capital = parts(text).filter(|word| word.starts_with(char::is_uppercase));
    if !capital.flat_map(spelled).chain(persian_names(text)).all(|word| is_known(&word)) {
        return false;
    }
    // A number that was spelled out is written in digits.
    let digits: Vec<String> = said.iter().map(|said| plain(said)).collect();
    let names =
        CALLED.iter().filter(|(party, _)| is_cited(*party)).flat_map(|(_, names)| names.iter().copied());
    let texts: Vec<&str> = said.iter().chain(&digits).map(String::as_str).chain(names).collect();
    stands_in(text, &texts)
}

/// The words of a text as they are written, parted also where an apostrophe is: "Peter's" has the name.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty())
}

/// The utterances that a model names; nothing where one of them was not said.
fn cited(utterances: &[UtteranceId], transcript: &Transcript<'_>) -> Option<Vec<Citation>> {
    let mut citations: Vec<Citation> = Vec::new();
    for utterance in utterances.iter().take(MOST_CITATIONS) {
        let citation = transcript.cite_whole(*utterance)?;
        if !citations.contains(&citation) {
            citations.push(citation);
        }
    }
    Some(citations)
}

fn bullet(claim: &Claim<String>, transcript: &Transcript<'_>) -> Option<Cited<Bullet>> {
    let citations = cited(&claim.utterances, transcript)?;
    let (party, text) = (citations.first()?.party(), claim.value.clone());
    if !stands(&text, &citations, transcript.state()) {
        return None;
    }
    Cited::new(Bullet { party, text, because: Vec::new() }, citations)
}

/// What the customer's own words are named for.
fn by_customer<T: Copy>(claim: &Claim<T>, transcript: &Transcript<'_>) -> Option<Cited<T>> {
    let mut citations = cited(&claim.utterances, transcript)?;
    citations.retain(|citation| citation.party() == Party::Customer);
    Cited::new(claim.value, citations)
}

/// A value that the customer said: as the log has it, where something of its kind was found there, or in their own words.
fn entity(found: &FoundEntity, transcript: &Transcript<'_>, facts: &Facts) -> Option<Cited<String>> {
    let theirs = by_customer(&Claim { value: (), utterances: found.utterances.clone() }, transcript)?;
    let (kind, state) = (found.field.kind(), transcript.state());
    let (value, wanted) = (found.value.trim(), spelled(&found.value));
    let has_it =
        |text: &str| !wanted.is_empty() && spelled(text).windows(wanted.len()).any(|at| at == wanted);
    // Whoever was named by the agent before is most likely the agent, unless the agent asks whether it is they.
    let is_agents = || {
        let is_cited = |id: UtteranceId| theirs.citations().iter().any(|one| one.utterance_id() == id);
        let first = transcript.said().iter().position(|said| is_cited(said.utterance_id));
        let before = |sentence: &&Sentence| first.is_none_or(|first| sentence.utterance < first);
        let by_agent = |sentence: &&Sentence| {
            transcript.said().get(sentence.utterance).is_some_and(|said| said.party == Party::Agent)
        };
        let asked = |text: &str| Rules::built_in().addresses.are_in(text);
        let mut named = transcript.sentences().iter().filter(before).filter(by_agent);
        named.any(|one| has_it(&one.text) && !one.is_question() && !asked(&one.text))
    };
    if kind == EntityKind::Money || kind == EntityKind::Person && is_agents() {
        return None;
    }
    let is_like = |said: &str| {
        let (said, value) = (plain(said), plain(value));
        !said.is_empty() && !value.is_empty() && (said.contains(&value) || value.contains(&said))
    };
    let is_cited = |id: UtteranceId| theirs.citations().iter().any(|one| one.utterance_id() == id);
    let mut mentions = facts.mentions.iter().filter(|one| one.kind == kind);
    if let Some(known) = mentions.find(|one| is_cited(one.citation.utterance_id()) && is_like(&one.value)) {
        return Cited::new(known.value.clone(), vec![known.citation.clone()]);
    }
    // Numbers and addresses are for the rules alone: the half of one is none.
    if !matches!(kind, EntityKind::Person | EntityKind::Course) {
        return None;
    }
    let says_it = |one: &&Citation| {
        one.utterance(state)
            .is_some_and(|said| has_it(&said.text) && says(state, said, &one.chars(), kind, value))
    };
    let from = theirs.citations().iter().find(says_it)?.clone();
    Cited::new(value.to_owned(), vec![from])
}

/// Which of the transcript's sentences promises something, by the words that a model quotes it with.
fn promise(found: &FoundAction, transcript: &Transcript<'_>) -> Option<usize> {
    let is_named = |utterance: usize| {
        let said = transcript.said().get(utterance);
        said.is_some_and(|said| found.utterances.contains(&said.utterance_id))
    };
    let sentences = transcript.sentences().iter().enumerate();
    let named = sentences.filter(|(_, one)| is_named(one.utterance) && !one.is_question());
    let shares = named.map(|(n, one)| (n, share_in(&found.text, &[one.text.as_str()])));
    // Of several the first.
    let (n, share) = shares.rev().max_by(|a, b| a.1.total_cmp(&b.1))?;
    // Who says that they cannot do something has its words as well.
    let said = &transcript.sentences().get(n)?.text;
    let is_said = stands_in(&found.text, &[said.as_str(), &plain(said)]);
    (share >= QUOTED && is_said && !spelled(&found.text).is_empty()).then_some(n)
}
