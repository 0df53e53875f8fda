//! The insight of a call, and how it is drawn from the call's log.

use std::collections::BTreeMap;
use std::iter;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sotto_call::{
    CallEvent, CallState, Emotion, EntityKind, Millis, Mood, Party, Trend, Turn, TurnDirection, UtteranceId,
};
use sotto_insight::{is_in_no_hurry, is_urgent};
use time::OffsetDateTime;

use crate::actions::actions;
use crate::bullets::bullets;
use crate::check::days_until;
use crate::named::{Facts, facts};
use crate::rules::Rules;
use crate::transcript::{Citation, Cited, Transcript};
use crate::written::{Draft, Held, Written};

/// So many citations of one thing are enough.
pub(crate) const MOST_CITATIONS: usize = 5;

/// What a call came to.
///
/// A field that nothing in the log speaks for is null, and its list in `evidence` empty. An insight is drawn from a log and
/// never read from anywhere, so what it says can only be what its citations cite.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct CallInsight {
    /// What the customer wanted, by the organisation's name for it.
    pub(crate) intent: Option<String>,
    /// The sentences that matter most, in order of time: as they were said, or, where there is `written_by`, in a language
    /// model's words.
    pub(crate) summary_bullets: Vec<String>,
    /// How the customer felt in the end; null where moods are not read, or not kept any more.
    pub(crate) sentiment: Option<Sentiment>,
    /// How soon something should be done. `normal` where nothing was said of it.
    pub(crate) urgency: Urgency,
    /// What is known of the customer.
    pub(crate) entities: EntityFields,
    /// What was promised, in order of time.
    pub(crate) next_actions: Vec<NextAction>,
    /// Where the customer stands; null where nobody said anything.
    pub(crate) lead_stage_suggestion: Option<LeadStage>,
    /// How sure all of this is, from 0 to 1.
    pub(crate) confidence: f32,
    /// What people call the intent, by BCP 47 language.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) intent_title: BTreeMap<String, String>,
    /// How the customer's mood went.
    pub(crate) arc: Option<Arc>,
    /// All that was named, by whomever, each value once, in order of time.
    pub(crate) named: Vec<Named>,
    /// The words that the fields above rest on.
    pub(crate) evidence: Evidence,
    /// Which language model wrote the summary; absent where it is made of what was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) written_by: Option<Written>,
    /// A language model is being asked for a summary, which will stand here in place of this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) being_written: bool,
    /// Why a language model was asked in vain, in one word (`too_slow`, `unreachable`, `unsupported`, …).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model_failed: Option<String>,
}

/// The words that an insight rests on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Evidence {
    /// Where the customer said what they want.
    pub(crate) intent: Vec<Citation>,
    /// Of each bullet, in their order.
    pub(crate) summary_bullets: Vec<BulletEvidence>,
    /// The customer's utterances that say most of how they felt.
    pub(crate) sentiment: Vec<Citation>,
    /// What makes it urgent, or not.
    pub(crate) urgency: Vec<Citation>,
    /// By the names of the fields; those that are null are absent.
    pub(crate) entities: BTreeMap<Field, Vec<Citation>>,
    /// What speaks for the stage.
    pub(crate) lead_stage_suggestion: Vec<Citation>,
    /// The first and the last utterance of the arc.
    pub(crate) arc: Vec<Citation>,
    /// Of each turn of the arc, in their order: the words with which it began and, where that is known, what was said just before.
    pub(crate) turns: Vec<Vec<Citation>>,
    /// Of each moment in which the customer was satisfied, in their order.
    pub(crate) satisfied: Vec<Citation>,
}

/// Where a bullet is from.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct BulletEvidence {
    /// Who said it.
    pub(crate) party: Party,
    /// Why it was chosen, besides being about what the call is about.
    pub(crate) because: Vec<Because>,
    /// Where.
    pub(crate) citations: Vec<Citation>,
}

/// Why a sentence matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// Somebody promises something.
    Commitment,
    /// Somebody asks.
    Question,
    /// A number, an amount, a date or a name is said.
    Number,
    /// Somebody refuses, or cannot.
    Refusal,
    /// The customer complains.
    Complaint,
    /// Somebody asks for something.
    Request,
    /// Something is settled.
    Agreement,
}

/// How a customer felt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "CallSentiment")]
#[expect(missing_docs, reason = "each says what it is")]
pub enum Sentiment {
    Positive,
    Neutral,
    Negative,
}

/// How soon something should be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// The customer is in no hurry.
    Low,
    /// Nothing was said of it.
    Normal,
    /// The customer says so, or something is promised for one of the next days and they are unhappy.
    High,
}

/// Where somebody stands on the way to becoming a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeadStage {
    /// They have said nothing yet.
    New,
    /// They have been talked to.
    Contacted,
    /// They want to know more, or say what they need.
    Qualified,
    /// They take it.
    Converted,
    /// They do not.
    Lost,
}

/// What is known of a customer, as the cited words say it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EntityFields {
    /// What they call themselves.
    pub(crate) name: Option<String>,
    /// Their number, as an entity of the kind `phone` is written.
    pub(crate) phone: Option<String>,
    /// Their address for e-mail.
    pub(crate) email: Option<String>,
    /// The course they are interested in.
    pub(crate) course: Option<String>,
    /// What they can or want to spend: an amount and a currency. Other amounts are in `named`.
    pub(crate) budget: Option<String>,
    /// Their city, by its English name.
    pub(crate) city: Option<String>,
}

/// A field of [`EntityFields`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "see the fields")]
pub enum Field {
    Name,
    Phone,
    Email,
    Course,
    Budget,
    City,
}

impl Field {
    pub(crate) const ALL: [Self; 6] =
        [Self::Name, Self::Phone, Self::Email, Self::Course, Self::Budget, Self::City];

    /// The kind of entity that it is.
    #[must_use]
    pub fn kind(self) -> EntityKind {
        match self {
            Self::Name => EntityKind::Person,
            Self::Phone => EntityKind::Phone,
            Self::Email => EntityKind::Email,
            Self::Course => EntityKind::Course,
            Self::Budget => EntityKind::Money,
            Self::City => EntityKind::City,
        }
    }
}

impl EntityFields {
    pub(crate) fn get(&self, field: Field) -> Option<&str> {
        let value = match field {
            Field::Name => &self.name,
            Field::Phone => &self.phone,
            Field::Email => &self.email,
            Field::Course => &self.course,
            Field::Budget => &self.budget,
            Field::City => &self.city,
        };
        value.as_deref()
    }

    fn put(&mut self, field: Field, value: String) {
        let place = match field {
            Field::Name => &mut self.name,
            Field::Phone => &mut self.phone,
            Field::Email => &mut self.email,
            Field::Course => &mut self.course,
            Field::Budget => &mut self.budget,
            Field::City => &mut self.city,
        };
        *place = Some(value);
    }
}

/// Something that was promised.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct NextAction {
    /// What.
    pub(crate) r#type: ActionType,
    /// When, as an entity of the kind `date_time` is written, on the organisation's clock; null where it was not said.
    pub(crate) when: Option<String>,
    /// How; null where it was not said.
    pub(crate) channel: Option<Channel>,
    /// The number or address, where it was said.
    pub(crate) to: Option<String>,
    /// Who promised it.
    pub(crate) by: Party,
    /// The sentence, as it was said.
    pub(crate) text: String,
    /// Where it was said, then where the time and the address were.
    pub(crate) citations: Vec<Citation>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionType {
    /// Call the other one, or get back to them in whatever way.
    Callback,
    /// Write to the other one.
    Message,
    /// See each other.
    Meeting,
    /// Pay, or pay back.
    Payment,
    /// Anything else.
    Task,
}

/// How somebody is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each says what it is")]
pub enum Channel {
    Phone,
    Sms,
    Email,
    Telegram,
}

/// How a customer's mood went: the call's own arc.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Arc {
    /// How pleasant it was at first, from −1 to 1.
    pub(crate) begins: f32,
    /// And at the end.
    pub(crate) ends: f32,
    /// And on the whole: its mean over the time from the first words to the last.
    pub(crate) mean: f32,
    /// Where it went at the end.
    pub(crate) trend: Trend,
    /// Where it turned.
    pub(crate) turns: Vec<Turn>,
    /// The customer's utterances in which they sound grateful or glad, the clearest ones, in order of time.
    pub(crate) satisfied: Vec<UtteranceId>,
}

/// Something that was named.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Named {
    /// What it is.
    pub(crate) kind: EntityKind,
    /// What was named, in the form that its kind has.
    pub(crate) value: String,
    /// Everybody who named it.
    pub(crate) by: Vec<Party>,
    /// From 0 to 1.
    pub(crate) confidence: f32,
    /// Where.
    pub(crate) citations: Vec<Citation>,
}

impl CallInsight {
    /// Draws it from a call's log, or from as much of it as there is. The work grows with the log.
    #[must_use]
    pub fn of<'a>(events: impl IntoIterator<Item = &'a CallEvent>) -> Self {
        Self::of_state(&CallState::of(events))
    }

    /// Draws it from what a log adds up to. From a state without moods it is what those may read who are not told how customers
    /// feel: neither sentiment, arc nor urgency rests on one.
    #[must_use]
    pub fn of_state(state: &CallState) -> Self {
        let rules = Rules::built_in();
        let transcript = Transcript::new(state, &rules.stop_words);
        let facts = facts(&transcript, rules);
        Self::drawn(&transcript, facts, Held::default(), rules)
    }

    /// Draws it from what a log adds up to, with what a language model says of the call as far as the call's words bear that
    /// out: its summary, and what the rules have not found. `by` is what was asked; what was kept and dropped is counted here.
    /// Where nothing is left of the summary, nothing of the draft is taken.
    #[must_use]
    pub fn by_model(state: &CallState, draft: &Draft, by: &Written) -> Self {
        let rules = Rules::built_in();
        let transcript = Transcript::new(state, &rules.stop_words);
        let facts = facts(&transcript, rules);
        let held = Held::of(draft, &transcript, &facts);
        if held.bullets.is_empty() {
            return Self::drawn(&transcript, facts, Held::default(), rules).without_model("unsupported");
        }
        let written_by = Some(Written { kept: held.kept, dropped: held.dropped, ..by.clone() });
        Self { written_by, ..Self::drawn(&transcript, facts, held, rules) }
    }

    /// The same, saying that a language model is being asked.
    #[must_use]
    pub fn to_be_written(self) -> Self {
        Self { being_written: true, ..self }
    }

    /// The same, saying why a language model was asked in vain, in one word.
    #[must_use]
    pub fn without_model(self, why: &str) -> Self {
        Self { model_failed: Some(why.to_owned()), ..self }
    }

    fn drawn(transcript: &Transcript<'_>, mut facts: Facts, held: Held, rules: &Rules) -> Self {
        for (field, value) in held.fields {
            facts.fields.entry(field).or_insert(value);
        }
        let promised = actions(transcript, &facts, &held.promises, rules);
        let chosen = match held.bullets.is_empty() {
            true => bullets(transcript, &facts, &promised, rules),
            false => held.bullets,
        };

        let intent = intent(transcript);
        let (sentiment, sentiment_evidence) = apart(sentiment(transcript, rules));
        let (urgency, urgency_evidence) = match (urgency(transcript, &promised, rules), held.urgency) {
            ((Urgency::Normal, _), Some(found)) => found.apart(),
            (by_rules, _) => by_rules,
        };
        let stage = stage(transcript, &facts, rules);
        let is_vague =
            |stage: &Cited<LeadStage>| matches!(stage.value, LeadStage::New | LeadStage::Contacted);
        let found = held.stage.filter(|_| stage.as_ref().is_none_or(is_vague));
        let (stage, stage_evidence) = apart(found.or(stage));
        let confidence = confidence(transcript, intent.as_ref(), &facts, rules);
        let (arc, arc_evidence) = apart(arc(transcript));
        let (turns, turns_evidence) = turns(transcript).into_iter().map(Cited::apart).unzip();
        let (satisfied, satisfied_evidence) = satisfied(transcript).into_iter().unzip();
        let arc = arc.map(|arc| Arc { turns, satisfied, ..arc });
        let (wanted, intent_evidence) = apart(intent);
        let (intent, intent_title) = wanted.map(|wanted| (wanted.name, wanted.title)).unzip();

        let mut evidence = Evidence {
            intent: intent_evidence,
            sentiment: sentiment_evidence,
            urgency: urgency_evidence,
            lead_stage_suggestion: stage_evidence,
            arc: arc_evidence,
            turns: turns_evidence,
            satisfied: satisfied_evidence,
            ..Evidence::default()
        };
        let mut summary_bullets = Vec::new();
        for bullet in chosen {
            let (bullet, citations) = bullet.apart();
            summary_bullets.push(bullet.text);
            let (party, because) = (bullet.party, bullet.because);
            evidence.summary_bullets.push(BulletEvidence { party, because, citations });
        }
        let next_actions = promised.into_iter().map(|action| {
            let (action, citations) = action.apart();
            NextAction { citations, ..action }
        });
        let mut entities = EntityFields::default();
        for (field, known) in facts.fields {
            let (value, citations) = known.apart();
            entities.put(field, value);
            evidence.entities.insert(field, citations);
        }
        let named = facts.named.into_iter().map(|named| {
            let (named, citations) = named.apart();
            Named { citations, ..named }
        });
        Self {
            intent,
            summary_bullets,
            sentiment,
            urgency,
            entities,
            next_actions: next_actions.collect(),
            lead_stage_suggestion: stage,
            confidence,
            intent_title: intent_title.unwrap_or_default(),
            arc,
            named: named.collect(),
            evidence,
            written_by: None,
            being_written: false,
            model_failed: None,
        }
    }

    /// What the customer wanted, by the organisation's name for it.
    #[must_use]
    pub fn intent(&self) -> Option<&str> {
        self.intent.as_deref()
    }

    /// What people call that, by BCP 47 language.
    #[must_use]
    pub fn intent_title(&self) -> &BTreeMap<String, String> {
        &self.intent_title
    }

    /// How the customer felt in the end; nothing where moods are not read, or not kept any more.
    #[must_use]
    pub fn sentiment(&self) -> Option<Sentiment> {
        self.sentiment
    }

    /// Which language model wrote the summary, if one did.
    #[must_use]
    pub fn written_by(&self) -> Option<&Written> {
        self.written_by.as_ref()
    }

    /// Why a language model was asked in vain, in one word, if one was.
    #[must_use]
    pub fn model_failed(&self) -> Option<&str> {
        self.model_failed.as_deref()
    }

    /// All that was named.
    pub fn named(&self) -> impl Iterator<Item = (EntityKind, &str)> {
        self.named.iter().map(|named| (named.kind, named.value.as_str()))
    }

    /// What is known of the customer; nothing, where it was not said.
    #[must_use]
    pub fn entity(&self, field: Field) -> Option<&str> {
        self.entities.get(field)
    }
}

/// A conclusion and what it rests on.
fn apart<T>(cited: Option<Cited<T>>) -> (Option<T>, Vec<Citation>) {
    match cited.map(Cited::apart) {
        Some((value, citations)) => (Some(value), citations),
        None => (None, Vec::new()),
    }
}

/// What a customer wants.
struct Wanted {
    name: String,
    title: BTreeMap<String, String>,
    confidence: f32,
}

/// The intent that the customer's words speak for most: what was recognised oftener, and more surely.
fn intent(transcript: &Transcript<'_>) -> Option<Cited<Wanted>> {
    let mut wanted: BTreeMap<&str, (f32, Wanted, Vec<Citation>)> = BTreeMap::new();
    for intent in &transcript.state().intents {
        let Some(name) = intent.name.as_deref() else { continue };
        let Some(citation) = transcript.cite_whole(intent.utterance_id) else { continue };
        let confidence = probability(intent.confidence);
        let (sum, known, citations) = wanted.entry(name).or_insert_with(|| {
            let (name, title) = (name.to_owned(), intent.title.clone());
            (0.0, Wanted { name, title, confidence: 0.0 }, Vec::new())
        });
        *sum += confidence;
        known.confidence = known.confidence.max(confidence);
        citations.push(citation);
    }
    let (_, known, mut citations) = wanted.into_values().max_by(|a, b| a.0.total_cmp(&b.0))?;
    citations.truncate(MOST_CITATIONS);
    Cited::new(known, citations)
}

/// Moods that may be told: none, where the customer does not agree.
fn moods<'a>(transcript: &Transcript<'a>) -> &'a [Mood] {
    let state = transcript.state();
    if state.may_have_mood() { state.moods.as_slice() } else { &[] }
}

fn sentiment(transcript: &Transcript<'_>, rules: &Rules) -> Option<Cited<Sentiment>> {
    let moods = moods(transcript);
    let valence = moods.last()?.arc.valence;
    let sentiment = if valence >= rules.sentiment.clear {
        Sentiment::Positive
    } else if valence <= -rules.sentiment.clear {
        Sentiment::Negative
    } else {
        Sentiment::Neutral
    };
    // The utterances that say it most clearly; of a mood that is neither the newest ones.
    let mut telling: Vec<&Mood> = moods.iter().rev().collect();
    match sentiment {
        Sentiment::Positive => telling.sort_by(|a, b| b.words.valence.total_cmp(&a.words.valence)),
        Sentiment::Negative => telling.sort_by(|a, b| a.words.valence.total_cmp(&b.words.valence)),
        Sentiment::Neutral => {}
    }
    let citations = telling.iter().filter_map(|mood| transcript.cite_whole(mood.utterance_id()));
    Cited::new(sentiment, citations.take(3).collect())
}

fn arc(transcript: &Transcript<'_>) -> Option<Cited<Arc>> {
    let moods = moods(transcript);
    let (first, last) = (moods.first()?, moods.last()?);
    let arc = Arc {
        begins: first.arc.valence,
        ends: last.arc.valence,
        mean: mean_over_time(moods),
        trend: last.arc.trend,
        turns: Vec::new(),
        satisfied: Vec::new(),
    };
    let mut ids = vec![first.utterance_id(), last.utterance_id()];
    ids.dedup();
    Cited::new(arc, ids.into_iter().filter_map(|id| transcript.cite_whole(id)).collect())
}

/// The mean of an arc over its time, by the trapezoidal rule; of the points alone where these are all at once.
fn mean_over_time(moods: &[Mood]) -> f32 {
    let mut points: Vec<(f64, f64)> =
        moods.iter().map(|mood| (mood.arc.at_ms.0 as f64, f64::from(mood.arc.valence))).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let lasts = points.last().zip(points.first()).map_or(0.0, |(last, first)| last.0 - first.0);
    let mean = if lasts > 0.0 {
        let parts = points.windows(2).map(|pair| (pair[1].0 - pair[0].0) * (pair[0].1 + pair[1].1) / 2.0);
        parts.sum::<f64>() / lasts
    } else {
        points.iter().map(|point| point.1).sum::<f64>() / points.len().max(1) as f64
    };
    mean.clamp(-1.0, 1.0) as f32
}

/// Where the mood turned, each once, though it may show in several utterances when words before were revised.
fn turns(transcript: &Transcript<'_>) -> Vec<Cited<Turn>> {
    let mut turns: Vec<Turn> = moods(transcript).iter().filter_map(|mood| mood.turn).collect();
    turns.dedup_by_key(|turn| (turn.direction, turn.since));
    let cited = turns.into_iter().filter_map(|turn| {
        let began = transcript.cite_whole(turn.since)?;
        let before = turn.trigger.and_then(|id| transcript.cite_whole(id));
        Cited::new(turn, iter::once(began).chain(before).collect())
    });
    cited.collect()
}

/// When the customer was satisfied.
fn satisfied(transcript: &Transcript<'_>) -> Vec<(UtteranceId, Citation)> {
    let is_satisfied = |mood: &&Mood| {
        let words = &mood.words;
        matches!(words.clear_emotion(), Some(Emotion::Gratitude | Emotion::Joy))
            && words.sentiment.positive > words.sentiment.negative
    };
    let mut clearest: Vec<&Mood> = moods(transcript).iter().filter(is_satisfied).collect();
    clearest.sort_by(|a, b| b.words.emotion_p.total_cmp(&a.words.emotion_p));
    clearest.truncate(MOST_CITATIONS);
    let cited = clearest.into_iter().filter_map(|mood| {
        let id = mood.utterance_id();
        Some((id, transcript.cite_whole(id)?))
    });
    let mut cited: Vec<(UtteranceId, Citation)> = cited.collect();
    cited.sort_by_key(|(_, citation)| citation.start_ms());
    cited
}

fn urgency(
    transcript: &Transcript<'_>,
    promised: &[Cited<NextAction>],
    rules: &Rules,
) -> (Urgency, Vec<Citation>) {
    let (clear, rules) = (rules.sentiment.clear, &rules.urgency);
    let mut points = 0;
    let mut evidence = Vec::new();
    let moods = moods(transcript);
    let mut said = said_by_customer(transcript, is_urgent);
    if said.is_empty() {
        // What was read of their words while they spoke, without such a phrase.
        let read = moods.iter().filter(|mood| mood.urgent);
        said.extend(read.filter_map(|mood| transcript.cite_whole(mood.utterance_id())).take(MOST_CITATIONS));
    }
    if !said.is_empty() {
        points += rules.said;
        evidence.extend(said);
    }
    let near = promised.iter().find(|action| {
        let when = action.value.when.as_deref();
        let days = when.and_then(|when| days_until(transcript.state(), action.citations(), when));
        days.is_some_and(|days| (0..=i64::from(rules.due_within_days)).contains(&days))
    });
    if let Some(near) = near {
        points += rules.due;
        evidence.extend_from_slice(near.citations());
    }
    let turned = moods.iter().rev().find_map(|mood| mood.turn.map(|turn| (turn.direction, mood)));
    let unhappy = moods.last().filter(|mood| mood.arc.valence <= -clear);
    let declined = turned.filter(|(direction, _)| *direction == TurnDirection::Decline).map(|(_, mood)| mood);
    if let Some(mood) = unhappy.or(declined) {
        points += rules.mood;
        evidence.extend(transcript.cite_whole(mood.utterance_id()));
    }
    if points >= rules.high {
        evidence.truncate(MOST_CITATIONS);
        return (Urgency::High, evidence);
    }
    let calm = said_by_customer(transcript, is_in_no_hurry);
    if points == 0 && !calm.is_empty() { (Urgency::Low, calm) } else { (Urgency::Normal, Vec::new()) }
}

fn stage(transcript: &Transcript<'_>, facts: &Facts, rules: &Rules) -> Option<Cited<LeadStage>> {
    for rule in &rules.stages {
        let mut said = said_by_customer(transcript, |text| rule.phrases.are_in(text));
        if rule.stage == LeadStage::Qualified {
            let needs =
                [Field::Course, Field::Budget].into_iter().filter_map(|field| facts.fields.get(&field));
            said.extend(needs.flat_map(|known| known.citations().iter().cloned()));
        }
        said.truncate(MOST_CITATIONS);
        if let Some(stage) = Cited::new(rule.stage, said) {
            return Some(stage);
        }
    }
    let first = |party: Party| transcript.said().iter().find(move |said| said.party == party);
    let (stage, said) = match first(Party::Customer) {
        Some(said) => (LeadStage::Contacted, said),
        None => (LeadStage::New, transcript.said().first()?),
    };
    Cited::new(stage, transcript.cite_whole(said.utterance_id).into_iter().collect())
}

/// The customer's sentences of which something is so.
fn said_by_customer(transcript: &Transcript<'_>, is_so: impl Fn(&str) -> bool) -> Vec<Citation> {
    let sentences = transcript.sentences().iter();
    let theirs = sentences.filter(|one| transcript.party(one) == Party::Customer && is_so(&one.text));
    theirs.filter_map(|one| transcript.cite_sentence(one)).take(MOST_CITATIONS).collect()
}

fn confidence(
    transcript: &Transcript<'_>,
    intent: Option<&Cited<Wanted>>,
    facts: &Facts,
    rules: &Rules,
) -> f32 {
    let rules = &rules.confidence;
    let words = transcript.said().iter().flat_map(|said| &said.words).map(|word| probability(word.p));
    let named = facts.named.iter().map(|named| named.value.confidence);
    let of_intent = intent.map_or(0.0, |intent| intent.value.confidence);
    let parts = [(mean(words), rules.words), (Some(of_intent), rules.intent), (mean(named), rules.entities)];
    let (mut sum, mut weights) = (0.0, 0.0);
    for (value, weight) in parts {
        if let Some(value) = value {
            sum += value * weight;
            weights += weight;
        }
    }
    let count: usize = transcript.said().iter().map(|said| said.text.split_whitespace().count()).sum();
    let full = (count as f32 / rules.full_words.max(1) as f32).min(1.0);
    if weights > 0.0 { probability(sum / weights * full) } else { 0.0 }
}

fn mean(values: impl Iterator<Item = f32>) -> Option<f32> {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

/// What a log says may be no number, and no probability.
pub(crate) fn probability(p: f32) -> f32 {
    if p.is_nan() { 0.0 } else { p.clamp(0.0, 1.0) }
}

/// When a moment of a call was, by the wall clock, in UTC; nothing before the call's begin is known.
pub(crate) fn moment(state: &CallState, at: Millis) -> Option<OffsetDateTime> {
    let unix_ms = state.started.as_ref()?.started_at_unix_ms.saturating_add(at.0);
    OffsetDateTime::from_unix_timestamp(i64::try_from(unix_ms / 1_000).ok()?).ok()
}
