//! What was named, consolidated over the call.

use std::collections::BTreeMap;
use std::ops::Range;

use sotto_call::{EntityKind, Party};
use sotto_insight::plain;

use crate::check::says;
use crate::insight::{Field, MOST_CITATIONS, Named, probability};
use crate::rules::Rules;
use crate::transcript::{Citation, Cited, Sentence, Transcript, part, range};

/// A correction is of what was said at most so many utterances before.
const CORRECTED_WITHIN: usize = 4;
/// What is read back is confirmed within so many utterances.
const CONFIRMED_WITHIN: usize = 2;
/// What it adds to a value's confidence that the other party said it as well, and that it was said again.
const AGREED: f32 = 0.1;
const AGAIN: f32 = 0.05;
const MOST_AGAIN: usize = 2;

/// What was named on a call.
pub(crate) struct Facts {
    /// What is known of the customer.
    pub fields: BTreeMap<Field, Cited<String>>,
    /// Every value once, in order of time.
    pub named: Vec<Cited<Named>>,
    /// Every time that something was named, in order.
    pub mentions: Vec<Mention>,
}

/// Something was named.
pub(crate) struct Mention {
    pub kind: EntityKind,
    pub value: String,
    /// The value in one spelling.
    key: String,
    confidence: f32,
    pub party: Party,
    /// Which of the transcript's utterances, and where in it.
    pub utterance: usize,
    pub chars: Range<usize>,
    pub citation: Citation,
}

impl Mention {
    /// Whether it lies in a sentence.
    pub fn is_in(&self, sentence: &Sentence) -> bool {
        self.utterance == sentence.utterance
            && self.chars.start < sentence.chars.end
            && sentence.chars.start < self.chars.end
    }
}

/// What the events of the log say was named, as far as the words say so too.
pub(crate) fn facts(transcript: &Transcript<'_>, rules: &Rules) -> Facts {
    let mentions = without_corrected(mentions(transcript), transcript, rules);
    Facts { fields: fields(&mentions, transcript, rules), named: named(&mentions), mentions }
}

fn mentions(transcript: &Transcript<'_>) -> Vec<Mention> {
    let state = transcript.state();
    let mut mentions = Vec::new();
    for (utterance, said) in transcript.said().iter().enumerate() {
        let by_id = state.entities.binary_search_by_key(&said.utterance_id, |found| found.utterance_id);
        let Some(found) = by_id.ok().and_then(|at| state.entities.get(at)) else { continue };
        for entity in &found.entities {
            let chars = range(entity.chars);
            if let Some(citation) = transcript.cite(utterance, &chars)
                && says(state, said, &chars, entity.kind, &entity.value)
            {
                mentions.push(Mention {
                    kind: entity.kind,
                    value: entity.value.clone(),
                    key: key(entity.kind, &entity.value),
                    confidence: probability(entity.confidence),
                    party: said.party,
                    utterance,
                    chars,
                    citation,
                });
            }
        }
    }
    mentions
}

/// A value in one spelling. Most kinds have one already; names are as they were written.
fn key(kind: EntityKind, value: &str) -> String {
    if kind == EntityKind::Person { plain(value) } else { value.to_owned() }
}

/// Leaves out what was taken back: "no, it is …" replaces the value of the same kind that was said just before.
fn without_corrected(mut mentions: Vec<Mention>, transcript: &Transcript<'_>, rules: &Rules) -> Vec<Mention> {
    let mut wrong = vec![false; mentions.len()];
    for (n, right) in mentions.iter().enumerate() {
        // What is corrected is said before the words that correct it: "no, it is two, and the other is three" leaves the two.
        let in_same = mentions.iter().take(n).rev().take_while(|one| one.utterance == right.utterance);
        let from = in_same.filter(|one| one.kind == right.kind).map(|one| one.chars.end).max();
        let is_correction = transcript.said().get(right.utterance).is_some_and(|said| {
            let before = part(&said.text, &(from.unwrap_or(0)..right.chars.start));
            before.is_some_and(|before| rules.corrections.are_in(&before))
        });
        if !is_correction {
            continue;
        }
        let earlier = mentions.iter().take(n).rposition(|one| {
            one.kind == right.kind
                && one.key != right.key
                && right.utterance - one.utterance <= CORRECTED_WITHIN
        });
        let Some(key) = earlier.and_then(|at| mentions.get(at)).map(|one| &one.key) else { continue };
        for (one, wrong) in mentions.iter().zip(&mut wrong).take(n) {
            *wrong |= one.kind == right.kind && one.key == *key;
        }
    }
    let mut wrong = wrong.into_iter();
    mentions.retain(|_| !wrong.next().unwrap_or_default());
    mentions
}

/// Mentions by kind and value, in the order in which the values came first.
fn by_value(mentions: &[Mention]) -> Vec<Vec<&Mention>> {
    let mut places: BTreeMap<(EntityKind, &str), usize> = BTreeMap::new();
    let mut values: Vec<Vec<&Mention>> = Vec::new();
    for mention in mentions {
        let place = *places.entry((mention.kind, mention.key.as_str())).or_insert(values.len());
        match values.get_mut(place) {
            Some(known) => known.push(mention),
            None => values.push(vec![mention]),
        }
    }
    values
}

/// The mention that is surest; of several the first.
fn surest<'a>(mentions: &[&'a Mention]) -> Option<&'a Mention> {
    mentions.iter().copied().rev().max_by(|a, b| a.confidence.total_cmp(&b.confidence))
}

/// How sure a value is by all that was said of it.
fn confidence(mentions: &[&Mention]) -> f32 {
    let surest = surest(mentions).map_or(0.0, |one| one.confidence);
    let first = mentions.first().map(|first| first.party);
    let agreed = if mentions.iter().any(|one| Some(one.party) != first) { AGREED } else { 0.0 };
    let again = mentions.len().saturating_sub(1).min(MOST_AGAIN);
    probability(surest + agreed + AGAIN * again as f32)
}

fn citations(mentions: &[&Mention]) -> Vec<Citation> {
    mentions.iter().map(|one| one.citation.clone()).take(MOST_CITATIONS).collect()
}

fn named(mentions: &[Mention]) -> Vec<Cited<Named>> {
    let named = by_value(mentions).into_iter().filter_map(|all| {
        let mut by: Vec<Party> = all.iter().map(|one| one.party).collect();
        by.sort_unstable();
        by.dedup();
        let (first, confidence) = (surest(&all)?, confidence(&all));
        let (kind, value) = (first.kind, first.value.clone());
        // The surest is cited whatever else is.
        let mut citations = citations(&all);
        if !citations.contains(&first.citation) {
            citations.insert(0, first.citation.clone());
        }
        Cited::new(Named { kind, value, by, confidence, citations: Vec::new() }, citations)
    });
    named.collect()
}

/// What is the customer's: of several values the surest, and of these the last.
fn fields(
    mentions: &[Mention],
    transcript: &Transcript<'_>,
    rules: &Rules,
) -> BTreeMap<Field, Cited<String>> {
    let values = by_value(mentions);
    let field = |field: Field| {
        let of_kind = values.iter().filter(|all| all.first().is_some_and(|one| one.kind == field.kind()));
        let theirs = of_kind.filter_map(|all| {
            let first = all.iter().find(|one| is_the_customers(one, field, transcript, rules))?;
            Some((confidence(all), first, all))
        });
        let (_, first, all) = theirs.max_by(|a, b| a.0.total_cmp(&b.0))?;
        let mut citations = citations(all);
        citations.retain(|one| *one != first.citation);
        citations.insert(0, first.citation.clone());
        Cited::new(first.value.clone(), citations)
    };
    Field::ALL.into_iter().filter_map(|one| Some((one, field(one)?))).collect()
}

/// Whether it says something of the customer: they said it of themselves, or the agent read it back and they said yes.
fn is_the_customers(mention: &Mention, field: Field, transcript: &Transcript<'_>, rules: &Rules) -> bool {
    let Some(sentence) = transcript.sentences().iter().find(|one| mention.is_in(one)) else { return false };
    let is_meant = match field {
        Field::Budget => rules.budget.are_in(&sentence.text),
        Field::Name => mention.party == Party::Agent || !rules.addresses.are_in(&sentence.text),
        Field::Phone | Field::Email | Field::Course | Field::City => true,
    };
    match mention.party {
        Party::Customer => is_meant,
        Party::Agent => is_meant && is_confirmed(sentence, transcript, rules),
        Party::Other => false,
    }
}

/// Whether it is a question that the customer says yes to.
fn is_confirmed(sentence: &Sentence, transcript: &Transcript<'_>, rules: &Rules) -> bool {
    let mut after = transcript.said().iter().skip(sentence.utterance + 1).take(CONFIRMED_WITHIN);
    let answer = after.find(|said| said.party == Party::Customer);
    // "No, that is not right" has a yes in it.
    let is_yes = |text: &str| rules.yes.are_in(text) && !rules.no.are_in(text);
    sentence.is_question() && answer.is_some_and(|said| is_yes(&said.text))
}
