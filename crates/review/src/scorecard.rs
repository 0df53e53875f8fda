//! The quality of a call: the questions of a scorecard, each answered from the log, with evidence or with the reason why not.
//!
//! What is judged is what was said, by whom and when, never how an employee feels.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sotto_call::{CallEvent, CallState, Millis, Party, Utterance};
use sotto_insight::{Phrases, TalkMeter};

use crate::insight::MOST_CITATIONS;
use crate::rules::{Rules, phrases};
use crate::transcript::{Citation, Transcript};

/// Limits of a scorecard.
const MAX_QUESTIONS: usize = 100;
const MAX_CHARS: usize = 500;
/// Fewer answers say nothing of their pace.
const LEAST_ANSWERS: usize = 3;

/// Why a scorecard cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the scorecard: {0}")]
pub struct ScorecardError(String);

/// The questions that calls are judged by.
///
/// ```toml
/// [[questions]]
/// name = "greeting"
/// area = "clarity"
/// title = { en = "Greets" }
/// weight = 1.0
/// by = "said"
/// within_s = 20
/// phrases.en = ["hello", "good morning"]
/// ```
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scorecard {
    questions: Vec<Question>,
}

#[derive(Debug, Deserialize)]
struct Question {
    name: String,
    area: Area,
    /// What people call it, by BCP 47 language.
    title: BTreeMap<String, String>,
    /// How much it counts.
    weight: f32,
    #[serde(flatten)]
    judged: By,
}

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    /// Whether the customer can follow.
    Clarity,
    /// Whether they are treated kindly.
    Empathy,
    /// Whether the organisation's rules are kept.
    Compliance,
}

/// How a question is answered.
#[derive(Debug, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
enum By {
    /// The agent says one of the phrases: within so many seconds of the first words, and before somebody says what
    /// must come after it, where these are given.
    Said {
        #[serde(default)]
        within_s: Option<u64>,
        #[serde(default, deserialize_with = "phrases")]
        before: Phrases,
        #[serde(deserialize_with = "phrases")]
        phrases: Phrases,
    },
    /// The agent says none of the phrases.
    NotSaid {
        #[serde(deserialize_with = "phrases")]
        phrases: Phrases,
    },
    /// Each time that the customer says what triggers it, the agent says one of the phrases within so many seconds.
    After {
        within_s: u64,
        #[serde(deserialize_with = "phrases")]
        trigger: Phrases,
        #[serde(deserialize_with = "phrases")]
        phrases: Phrases,
    },
    /// The items of the call's checklist are done: this one, or all of them.
    Checklist {
        #[serde(default)]
        item: Option<String>,
    },
    /// How much of the call's time was dead air.
    DeadAir { full_share: f32, none_share: f32 },
    /// How often the agent interrupted, a minute.
    Interruptions { full_per_minute: f32, none_per_minute: f32 },
    /// How soon the agent answers: the median, in seconds.
    Pace { full_s: f32, none_s: f32 },
}

impl Scorecard {
    /// The one that is built in: clarity, empathy and compliance.
    #[must_use]
    pub fn built_in() -> Self {
        // A file of our own, which a test reads.
        toml::from_str(include_str!("../data/scorecard.toml")).unwrap_or_default()
    }

    /// Reads a scorecard from the text of its file.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn parse(text: &str) -> Result<Self, ScorecardError> {
        let card: Self = toml::from_str(text).map_err(|error| ScorecardError(error.message().to_owned()))?;
        card.check().map_err(ScorecardError)?;
        Ok(card)
    }

    /// What people call a question, by BCP 47 language; nothing where there is none of this name.
    #[must_use]
    pub fn title(&self, question: &str) -> Option<&BTreeMap<String, String>> {
        self.questions.iter().find(|one| one.name == question).map(|one| &one.title)
    }

    fn check(&self) -> Result<(), String> {
        if self.questions.is_empty() || self.questions.len() > MAX_QUESTIONS {
            return Err(format!("it needs questions, at most {MAX_QUESTIONS}"));
        }
        let mut names = BTreeSet::new();
        for Question { name, title, weight, judged, .. } in &self.questions {
            let is_text = |text: &str| !text.trim().is_empty() && text.chars().count() <= MAX_CHARS;
            if !is_text(name) || title.is_empty() || !title.values().all(|title| is_text(title)) {
                return Err(format!("`{name}` needs a name and a title of at most {MAX_CHARS} characters"));
            }
            if !names.insert(name) {
                return Err(format!("there are two questions `{name}`"));
            }
            let counts = weight.is_finite() && *weight > 0.0;
            if !counts {
                return Err(format!("the weight of `{name}` must be above 0"));
            }
            let is_judged = match judged {
                By::Said { phrases, .. } | By::NotSaid { phrases } => !phrases.is_empty(),
                By::After { phrases, trigger, .. } => !phrases.is_empty() && !trigger.is_empty(),
                By::Checklist { .. } => true,
                By::DeadAir { full_share: full, none_share: none }
                | By::Interruptions { full_per_minute: full, none_per_minute: none }
                | By::Pace { full_s: full, none_s: none } => none > full && (none - full).is_finite(),
            };
            if !is_judged {
                return Err(format!(
                    "`{name}` needs phrases, or a value for nothing above the one for full marks"
                ));
            }
        }
        Ok(())
    }
}

/// How good a call was by a [`Scorecard`].
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "CallQuality")]
pub struct Quality {
    /// The weighted mean of the questions that could be judged, from 0 to 1; null where none could.
    total: Option<f32>,
    /// The same by area; areas of which nothing could be judged are absent.
    areas: BTreeMap<Area, f32>,
    /// Every question, in the scorecard's order.
    questions: Vec<Judgement>,
}

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Judgement {
    /// The organisation's name for the question.
    name: String,
    /// What it is about.
    area: Area,
    /// What people call it, by BCP 47 language.
    title: BTreeMap<String, String>,
    /// How much it counts.
    weight: f32,
    /// From 0 to 1; null where it is not judged.
    score: Option<f32>,
    /// Why it is not judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_judged: Option<NotJudged>,
    /// What was measured: a share, interruptions a minute, or seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    measured: Option<f32>,
    /// The words that the score rests on; where something was not said, what was said in its place, if anything.
    evidence: Vec<Citation>,
}

/// Why a question is not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotJudged {
    /// The agent said nothing, or nobody knows who the agent was.
    NoAgent,
    /// What the question is about did not happen on this call.
    DidNotHappen,
    /// The call had no checklist, or no such item.
    NoChecklist,
    /// There is too little to measure.
    TooLittle,
}

/// A score, what was measured, and where.
struct Score {
    score: f32,
    measured: Option<f32>,
    evidence: Vec<Citation>,
}

impl Quality {
    /// Judges a call by its log. The work grows with the log.
    #[must_use]
    pub fn of(events: &[CallEvent], card: &Scorecard) -> Self {
        let state = CallState::of(events);
        let mut meter = TalkMeter::default();
        events.iter().for_each(|event| meter.apply(event));
        let transcript = Transcript::new(&state, &Rules::built_in().stop_words);
        let call = Call { transcript: &transcript, meter: &meter };
        let questions: Vec<Judgement> = card.questions.iter().map(|one| call.judge(one)).collect();
        let areas: BTreeSet<Area> = questions.iter().map(|one| one.area).collect();
        let by_area = areas.into_iter().filter_map(|area| {
            let theirs = questions.iter().filter(|one| one.area == area);
            Some((area, weighted(theirs)?))
        });
        let areas = by_area.collect();
        Self { total: weighted(questions.iter()), areas, questions }
    }

    /// The weighted mean of the questions that could be judged, from 0 to 1.
    #[must_use]
    pub fn total(&self) -> Option<f32> {
        self.total
    }
}

/// The weighted mean of what was judged.
fn weighted<'a>(questions: impl Iterator<Item = &'a Judgement>) -> Option<f32> {
    let judged = questions.filter_map(|one| Some((one.score?, one.weight)));
    let (sum, weights) =
        judged.fold((0.0, 0.0), |(sum, weights), (score, weight)| (sum + score * weight, weights + weight));
    (weights > 0.0).then(|| sum / weights)
}

/// A call that is judged.
struct Call<'a> {
    transcript: &'a Transcript<'a>,
    meter: &'a TalkMeter,
}

impl Call<'_> {
    fn judge(&self, question: &Question) -> Judgement {
        let has_agent = self.of(Party::Agent).next().is_some();
        let score = if has_agent { self.score(&question.judged) } else { Err(NotJudged::NoAgent) };
        let Question { name, area, title, weight, .. } = question;
        let (name, title) = (name.clone(), title.clone());
        let judgement = Judgement {
            name,
            area: *area,
            title,
            weight: *weight,
            score: None,
            not_judged: None,
            measured: None,
            evidence: Vec::new(),
        };
        match score {
            Ok(Score { score, measured, mut evidence }) => {
                evidence.truncate(MOST_CITATIONS);
                Judgement { score: Some(score.clamp(0.0, 1.0)), measured, evidence, ..judgement }
            }
            Err(why) => Judgement { not_judged: Some(why), ..judgement },
        }
    }

    fn score(&self, by: &By) -> Result<Score, NotJudged> {
        match by {
            By::Said { within_s, before, phrases } => Ok(self.said(*within_s, before, phrases)),
            By::NotSaid { phrases } => {
                let evidence = self.agent_says(phrases, |_| true);
                Ok(Score { score: f32::from(u8::from(evidence.is_empty())), measured: None, evidence })
            }
            By::After { within_s, trigger, phrases } => self.after(*within_s, trigger, phrases),
            By::Checklist { item } => self.checklist(item.as_deref()),
            By::DeadAir { full_share, none_share } => self.dead_air(*full_share, *none_share),
            By::Interruptions { full_per_minute, none_per_minute } => {
                self.interruptions(*full_per_minute, *none_per_minute)
            }
            By::Pace { full_s, none_s } => self.pace(*full_s, *none_s),
        }
    }

    /// What a party says, in order.
    fn of(&self, party: Party) -> impl Iterator<Item = &Utterance> {
        self.transcript.said().iter().copied().filter(move |said| said.party == party)
    }

    /// The agent's sentences with one of the phrases, in utterances of which something is so.
    fn agent_says(&self, phrases: &Phrases, is_so: impl Fn(&Utterance) -> bool) -> Vec<Citation> {
        let said = self.transcript.said();
        let sentences = self.transcript.sentences().iter().filter(|sentence| {
            let utterance = said.get(sentence.utterance);
            utterance.is_some_and(|said| said.party == Party::Agent && is_so(said))
                && phrases.are_in(&sentence.text)
        });
        let citations = sentences.filter_map(|sentence| self.transcript.cite_sentence(sentence));
        citations.take(MOST_CITATIONS).collect()
    }

    fn said(&self, within_s: Option<u64>, before: &Phrases, phrases: &Phrases) -> Score {
        let first = self.transcript.said().first().map(|said| said.start_ms).unwrap_or_default();
        let until = within_s.map(|s| first + Millis(s.saturating_mul(1_000)));
        let end = (!before.is_empty()).then(|| {
            let mut ends = self.transcript.said().iter().filter(|said| before.are_in(&said.text));
            ends.next().map(|said| said.end_ms)
        });
        let end = end.flatten();
        let evidence = self.agent_says(phrases, |said| {
            until.is_none_or(|until| said.start_ms <= until) && end.is_none_or(|end| said.start_ms <= end)
        });
        if evidence.is_empty() {
            // What the agent said in its place, when it should have been said: at first, before the end, or at all.
            let mut theirs = self.of(Party::Agent);
            let instead = match end {
                Some(end) => theirs.find(|said| said.end_ms >= end),
                None if within_s.is_some() => theirs.next(),
                None => theirs.last(),
            };
            let evidence = instead.and_then(|said| self.transcript.cite_whole(said.utterance_id));
            return Score { score: 0.0, measured: None, evidence: evidence.into_iter().collect() };
        }
        Score { score: 1.0, measured: None, evidence }
    }

    fn after(&self, within_s: u64, trigger: &Phrases, phrases: &Phrases) -> Result<Score, NotJudged> {
        let within = Millis(within_s.saturating_mul(1_000));
        let (mut times, mut answered, mut evidence) = (0u32, 0u32, Vec::new());
        // Complaints that follow each other are answered together.
        let mut open_until: Option<Millis> = None;
        for said in self.of(Party::Customer).filter(|said| trigger.are_in(&said.text)) {
            if open_until.is_some_and(|until| said.start_ms <= until) {
                continue;
            }
            let until = said.end_ms + within;
            open_until = Some(until);
            let answer =
                self.agent_says(phrases, |answer| answer.end_ms >= said.end_ms && answer.start_ms <= until);
            times += 1;
            answered += u32::from(!answer.is_empty());
            evidence.extend(self.transcript.cite_whole(said.utterance_id));
            evidence.extend(answer.into_iter().next());
        }
        if times == 0 {
            return Err(NotJudged::DidNotHappen);
        }
        Ok(Score { score: answered as f32 / times as f32, measured: None, evidence })
    }

    fn checklist(&self, name: Option<&str>) -> Result<Score, NotJudged> {
        let all = self.transcript.state().checklist.iter();
        let items: Vec<_> = all.filter(|item| name.is_none_or(|name| item.name == name)).collect();
        if items.is_empty() {
            return Err(NotJudged::NoChecklist);
        }
        // What was said in the call's log with an evidence that stands; a tick without one is none.
        let done = items.iter().filter(|item| item.done).filter_map(|item| item.evidence.as_ref());
        let evidence: Vec<Citation> =
            done.filter_map(|quote| self.transcript.cite_whole(quote.utterance_id)).collect();
        Ok(Score { score: evidence.len() as f32 / items.len() as f32, measured: None, evidence })
    }

    fn dead_air(&self, full: f32, none: f32) -> Result<Score, NotJudged> {
        let talk = self.meter.talk().ok_or(NotJudged::TooLittle)?;
        let whole = self.length().filter(|whole| whole.0 > 0).ok_or(NotJudged::TooLittle)?;
        let share = talk.dead_air_ms.0 as f32 / whole.0 as f32;
        // The last words before each silence.
        let before = self.meter.dead_air().into_iter().filter_map(|(from, _)| {
            let said = self.transcript.said().iter().filter(|said| said.end_ms <= from);
            self.transcript.cite_whole(said.max_by_key(|said| said.end_ms)?.utterance_id)
        });
        let evidence = before.take(MOST_CITATIONS).collect();
        Ok(Score { score: between(share, full, none), measured: Some(share), evidence })
    }

    fn interruptions(&self, full: f32, none: f32) -> Result<Score, NotJudged> {
        let whole = self.length().filter(|whole| whole.0 > 0).ok_or(NotJudged::TooLittle)?;
        self.of(Party::Customer).next().ok_or(NotJudged::TooLittle)?;
        let ids = self.meter.interruptions(Party::Agent);
        let minutes = whole.0 as f32 / 60_000.0;
        // One in a short call is one too many only where there are more.
        let a_minute = ids.len() as f32 / minutes.max(1.0);
        let evidence = ids.into_iter().take(MOST_CITATIONS).filter_map(|id| self.transcript.cite_whole(id));
        Ok(Score {
            score: between(a_minute, full, none),
            measured: Some(a_minute),
            evidence: evidence.collect(),
        })
    }

    fn pace(&self, full: f32, none: f32) -> Result<Score, NotJudged> {
        let mut answers: Vec<(Millis, &Utterance)> = Vec::new();
        for pair in self.transcript.said().windows(2) {
            if let [said, answer] = pair
                && said.party == Party::Customer
                && answer.party == Party::Agent
            {
                answers.push((answer.start_ms.since(said.end_ms), *answer));
            }
        }
        if answers.len() < LEAST_ANSWERS {
            return Err(NotJudged::TooLittle);
        }
        answers.sort_by_key(|(waited, _)| *waited);
        let median = answers.get(answers.len() / 2).map_or(0.0, |(waited, _)| waited.0 as f32 / 1_000.0);
        // The slowest ones.
        let slowest = answers.iter().rev().take(2);
        let evidence = slowest.filter_map(|(_, answer)| self.transcript.cite_whole(answer.utterance_id));
        Ok(Score { score: between(median, full, none), measured: Some(median), evidence: evidence.collect() })
    }

    /// From the first word to the last.
    fn length(&self) -> Option<Millis> {
        let said = self.transcript.said();
        let last = said.iter().map(|said| said.end_ms).max()?;
        Some(last.since(said.first()?.start_ms))
    }
}

/// From 1, at `full` and below, down to 0, at `none` and above.
fn between(value: f32, full: f32, none: f32) -> f32 {
    ((none - value) / (none - full)).clamp(0.0, 1.0)
}
