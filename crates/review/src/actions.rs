//! What was promised: who does what, when, and how.

use std::collections::BTreeMap;

use sotto_call::{EntityKind, Party};
use sotto_insight::spelled;

use crate::check::date_and_time;
use crate::insight::{ActionType, Channel, Field, MOST_CITATIONS, NextAction};
use crate::named::{Facts, Mention};
use crate::rules::Rules;
use crate::transcript::{Citation, Cited, Sentence, Transcript, part};

/// A time that is said in a sentence of its own, of at most so many words, belongs to the promise before.
const SHORT: usize = 5;
/// A date and a time of day belong together where at most so many words are between them.
const BETWEEN: usize = 3;

/// Sentences, by their places in the transcript, that somebody says are promises, and of what.
pub(crate) type Promises = BTreeMap<usize, (ActionType, Option<Channel>)>;

/// The promises of a call, in order of time, each once: those of the rules, and others that were found.
pub(crate) fn actions(
    transcript: &Transcript<'_>,
    facts: &Facts,
    found: &Promises,
    rules: &Rules,
) -> Vec<Cited<NextAction>> {
    let mut promised: Vec<Cited<NextAction>> = Vec::new();
    for n in 0..transcript.sentences().len() {
        let Some(action) = action(transcript, n, facts, found, rules) else { continue };
        match promised.iter().position(|known| is_same(&known.value, &action.value)) {
            Some(at) => {
                // The later one says more, or the same again.
                let known = promised.remove(at);
                if let Some(known) = merged(known, action) {
                    promised.insert(at, known);
                }
            }
            None => promised.push(action),
        }
    }
    promised
}

/// Whether two promises are one that was repeated.
fn is_same(one: &NextAction, other: &NextAction) -> bool {
    let is_same_time = one.when == other.when || one.when.is_none() || other.when.is_none();
    let is_same_place = one.to == other.to || one.to.is_none() || other.to.is_none();
    // Whoever promises two things may do both; a call or a message is one.
    let is_same_thing =
        one.text == other.text || !matches!(one.r#type, ActionType::Task | ActionType::Payment);
    one.r#type == other.r#type
        && one.channel == other.channel
        && one.by == other.by
        && is_same_time
        && is_same_place
        && is_same_thing
}

/// The earlier promise with what only the later one says.
fn merged(earlier: Cited<NextAction>, later: Cited<NextAction>) -> Option<Cited<NextAction>> {
    let (earlier, mut citations) = earlier.apart();
    let (later, more) = later.apart();
    let says_more =
        earlier.when.is_none() && later.when.is_some() || earlier.to.is_none() && later.to.is_some();
    if says_more || citations.len() < MOST_CITATIONS {
        citations.extend(more);
    }
    let when = earlier.when.clone().or(later.when);
    let to = earlier.to.clone().or(later.to);
    Cited::new(NextAction { when, to, ..earlier }, citations)
}

/// What a sentence promises.
fn action(
    transcript: &Transcript<'_>,
    n: usize,
    facts: &Facts,
    found: &Promises,
    rules: &Rules,
) -> Option<Cited<NextAction>> {
    let sentence = transcript.sentences().get(n)?;
    let rule = rules.commitments.actions.iter().find(|rule| rule.phrases.are_in(&sentence.text));
    let rule = rule.map(|rule| (rule.kind, rule.channel));
    let (r#type, channel) = rule.or_else(|| found.get(&n).copied())?;
    let mut channels = rules.commitments.channels.iter();
    let named = || channels.find(|one| one.phrases.are_in(&sentence.text)).map(|one| one.channel);
    let channel = channel.or_else(named);
    let by = transcript.party(sentence);
    let mut citations = vec![transcript.cite_sentence(sentence)?];
    let when = when(transcript, n, facts, &mut citations);
    let to = to(sentence, channel, by, facts, &mut citations);
    let text = sentence.text.clone();
    let action = NextAction { r#type, when, channel, to, by, text, citations: Vec::new() };
    Cited::new(action, citations)
}

/// When something is promised for: by the sentence itself, or by a short one after it of the same party.
fn when(
    transcript: &Transcript<'_>,
    n: usize,
    facts: &Facts,
    citations: &mut Vec<Citation>,
) -> Option<String> {
    let sentence = transcript.sentences().get(n)?;
    let is_time = |one: &&Mention| one.kind == EntityKind::DateTime;
    let said_in = |sentence: &Sentence| -> Vec<&Mention> {
        facts.mentions.iter().filter(is_time).filter(|one| one.is_in(sentence)).collect()
    };
    let mut said = said_in(sentence);
    if said.is_empty()
        && let Some(next) = transcript.sentences().get(n + 1)
        && transcript.party(next) == transcript.party(sentence)
        && next.text.split_whitespace().count() <= SHORT
    {
        said = said_in(next);
    }
    let with = |has: fn((Option<&str>, Option<&str>)) -> bool| {
        said.iter().copied().find(|one| has(date_and_time(&one.value)))
    };
    if let Some(moment) = with(|(date, time)| date.is_some() && time.is_some()) {
        citations.push(moment.citation.clone());
        return Some(moment.value.clone());
    }
    let (date, time) = (with(|(date, _)| date.is_some()), with(|(_, time)| time.is_some()));
    let time = time.filter(|time| date.is_none_or(|date| are_together(transcript, date, time)));
    citations.extend(date.iter().chain(&time).map(|one| one.citation.clone()));
    match (date, time) {
        (Some(date), Some(time)) => Some(format!("{}{}", date.value, time.value)),
        (one, other) => one.or(other).map(|one| one.value.clone()),
    }
}

/// Whether a date and a time of day are said as one: "tomorrow, let's say at ten", but not "we open at nine, and I will call you
/// tomorrow".
fn are_together(transcript: &Transcript<'_>, one: &Mention, other: &Mention) -> bool {
    let between = one.chars.end.min(other.chars.end)..one.chars.start.max(other.chars.start);
    let said = transcript.said().get(one.utterance).filter(|_| one.utterance == other.utterance);
    let words = |text: &str| part(text, &between).map_or(0, |between| spelled(&between).len());
    said.is_some_and(|said| words(&said.text) <= BETWEEN)
}

/// Where something that the agent promises goes: what the sentence says, or what is known of the customer.
fn to(
    sentence: &Sentence,
    channel: Option<Channel>,
    by: Party,
    facts: &Facts,
    citations: &mut Vec<Citation>,
) -> Option<String> {
    let field = match channel? {
        Channel::Phone | Channel::Sms => Field::Phone,
        Channel::Email => Field::Email,
        Channel::Telegram => return None,
    };
    let mut mentions = facts.mentions.iter();
    if let Some(said) = mentions.find(|one| one.kind == field.kind() && one.is_in(sentence)) {
        citations.push(said.citation.clone());
        return Some(said.value.clone());
    }
    let known = facts.fields.get(&field).filter(|_| by == Party::Agent)?;
    citations.extend(known.citations().first().cloned());
    Some(known.value.clone())
}
