//! What is so of a live call just now, and what of it somebody should look at.
//!
//! Most of it follows from the call's log. The rest are [`Condition`]s, told by those who carry the call and kept
//! nowhere. What is only a matter of time (on hold for too long) comes by itself: [`Needs::due`] says when.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use sotto_call::{
    ArcPoint, CallEvent, CallState, EventBody, Intent, Millis, Mood, Party, Quality, Shedding, Supervisor,
    TurnDirection, Utterance, UtteranceId,
};
use utoipa::ToSchema;

use crate::http::schema;

/// The customer's newest finals that an alert may rest on.
const REMEMBERED: usize = 16;

/// What supervisors see of a live call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LiveNow {
    /// Where it stands.
    pub phase: Phase,
    /// Since when it stands there, on the call's clock.
    #[schema(value_type = u64)]
    pub since_ms: Millis,
    /// The colleague who is rung for it, or has come to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub colleague: Option<String>,
    /// Supervisors on the call, and what they do there.
    #[schema(value_type = Vec<schema::Supervisor>)]
    pub supervisors: Vec<Supervisor>,
    /// How good the parties' lines are, once that is known.
    pub lines: Vec<LineNow>,
    /// What somebody should look at: the most serious first, then what has lasted longer.
    pub alerts: Vec<Alert>,
}

/// Where a live call stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It goes through us, and nothing has come of the customer's audio yet: it rings there, perhaps.
    Connecting,
    /// The parties talk.
    #[default]
    Talking,
    /// The customer hears music, or the recording is paused.
    OnHold,
    /// A colleague is rung for it, or asked for advice, while the customer hears music.
    HandingOver,
    /// The agent's audio does not come; the customer hears that they are waited for.
    AgentLost,
}

/// How good a party's line is, from there to here and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LineNow {
    /// Whose audio.
    #[schema(value_type = schema::Party)]
    pub party: Party,
    /// How well it comes.
    #[schema(value_type = schema::Quality)]
    pub quality: Quality,
}

/// Something about a live call that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Alert {
    /// What it is.
    pub kind: AlertKind,
    /// How serious it is.
    pub severity: Severity,
    /// Whom it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Party>)]
    pub party: Option<Party>,
    /// Since when it is so, on the call's clock.
    #[schema(value_type = u64)]
    pub since_ms: Millis,
    /// What the customer wants, as people call it, by BCP 47 language: of [`AlertKind::Wants`] only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub title: BTreeMap<String, String>,
    /// What the customer said that it rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// Words that something rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    /// The utterance.
    #[schema(value_type = u32)]
    pub utterance_id: UtteranceId,
    /// What was said.
    pub text: String,
}

/// See [`Alert::kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// The agent's audio does not come.
    AgentLost,
    /// The recording cannot be written.
    NotRecorded,
    /// The customer is on hold.
    OnHold,
    /// Nothing the customer says is heard.
    Silent,
    /// Words are missing in what comes from a party.
    BadLine,
    /// Words come late.
    WordsLate,
    /// The customer is unhappy, as far as words tell: the estimate was below neutral by more than it may be wrong, and
    /// has not come back to it.
    Unhappy,
    /// The customer wants something that supervisors are to know of, and none has come to the call since.
    Wants,
}

/// How soon somebody should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Notice,
    /// When there is time.
    Warning,
    /// At once.
    Urgent,
}

/// Something that is so of a live call and is not kept in its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Whether the audio of the agent in charge is missing.
    AgentLost(bool),
    /// Who is rung for the call, or has come to it besides the agent.
    Colleague(Option<String>),
    /// How good a party's line is.
    Line(Party, Quality),
    /// Whether the recording is written.
    Recorded(bool),
}

impl AlertKind {
    /// How serious it is after how many milliseconds.
    fn steps(self) -> &'static [(u64, Severity)] {
        match self {
            Self::AgentLost | Self::NotRecorded => &[(0, Severity::Urgent)],
            Self::OnHold => &[(60_000, Severity::Warning), (180_000, Severity::Urgent)],
            Self::Unhappy => &[(0, Severity::Warning), (120_000, Severity::Urgent)],
            Self::Silent => &[(60_000, Severity::Warning)],
            Self::Wants | Self::BadLine => &[(0, Severity::Warning)],
            Self::WordsLate => &[(0, Severity::Notice)],
        }
    }
}

/// One call's part of it, as a value: times are passed in.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    phase: Phase,
    since: Millis,
    bridged: bool,
    colleague: Option<String>,
    lines: Vec<LineNow>,
    agent_lost: Option<Millis>,
    not_recorded: Option<Millis>,
    on_hold: Option<Millis>,
    bad_lines: Vec<(Party, Millis)>,
    words_late: Option<Millis>,
    /// When the customer was heard last, or could be heard for the first time.
    customer: Option<Millis>,
    /// Somebody's words have come, so that recognition works.
    is_understood: bool,
    /// What the customer said last, in finals.
    said: VecDeque<Evidence>,
    unhappy: Option<(Millis, Evidence)>,
    wants: Vec<Want>,
}

/// Something that the customer wants and supervisors are to know of.
#[derive(Debug)]
struct Want {
    name: String,
    title: BTreeMap<String, String>,
    since: Millis,
    evidence: Evidence,
    /// A supervisor has come to the call since.
    seen: bool,
}

/// Something that may be worth an alert.
struct Fact<'a> {
    kind: AlertKind,
    party: Option<Party>,
    since: Millis,
    want: Option<&'a Want>,
    evidence: Option<&'a Evidence>,
}

impl Needs {
    /// Takes in the next event of the log.
    pub fn apply(&mut self, event: &CallEvent) {
        let at = event.at_ms;
        match &event.body {
            EventBody::CallStarted(started) => self.bridged = started.bridged,
            EventBody::LegStarted(leg) => {
                self.forget_line(leg.party);
                if leg.party == Party::Customer {
                    self.customer.get_or_insert(at);
                }
            }
            EventBody::LegEnded(leg) => self.forget_line(leg.party),
            EventBody::Utterance(utterance) => {
                self.is_understood = true;
                self.hear(utterance);
                if let Some(heard) = self.customer.as_mut().filter(|_| utterance.party == Party::Customer) {
                    *heard = (*heard).max(utterance.end_ms);
                }
            }
            EventBody::Paused(change) if change.party.is_none_or(|party| party == Party::Customer) => {
                self.on_hold.get_or_insert(at);
            }
            EventBody::Resumed(change) if change.party.is_none_or(|party| party == Party::Customer) => {
                self.on_hold = None;
                self.customer = self.customer.map(|_| at);
            }
            EventBody::Load(load) => set(&mut self.words_late, load.shedding == Shedding::LateFinals, at),
            EventBody::Mood(mood) => self.feel(mood, at),
            EventBody::Intent(intent) => self.want(intent, at),
            EventBody::Supervisor(Supervisor { attention: Some(_), .. }) => {
                self.wants.iter_mut().for_each(|want| want.seen = true);
            }
            _ => {}
        }
        self.stands(at);
    }

    /// Remembers what the customer said, as it was revised last.
    fn hear(&mut self, utterance: &Utterance) {
        if utterance.party != Party::Customer || !utterance.r#final {
            return;
        }
        let (id, text) = (utterance.utterance_id, utterance.text.as_str());
        self.said.retain(|said| said.utterance_id != id);
        if text.is_empty() {
            // Nothing was said: what rested on it falls.
            self.unhappy.take_if(|(_, evidence)| evidence.utterance_id == id);
            self.wants.retain(|want| want.evidence.utterance_id != id);
            return;
        }
        let unhappy = self.unhappy.iter_mut().map(|(_, evidence)| evidence);
        let shown = unhappy.chain(self.wants.iter_mut().map(|want| &mut want.evidence));
        shown.filter(|shown| shown.utterance_id == id).for_each(|shown| text.clone_into(&mut shown.text));
        self.said.push_back(Evidence { utterance_id: id, text: text.to_owned() });
        if self.said.len() > REMEMBERED {
            self.said.pop_front();
        }
    }

    fn said(&self, id: UtteranceId) -> Option<&Evidence> {
        self.said.iter().find(|said| said.utterance_id == id)
    }

    fn feel(&mut self, mood: &Mood, at: Millis) {
        let Some(said) = self.said(mood.utterance_id()) else { return };
        let ArcPoint { valence, deviation, .. } = mood.arc;
        if valence < -deviation && self.unhappy.is_none() {
            let decline = mood.turn.filter(|turn| turn.direction == TurnDirection::Decline);
            let evidence = decline.and_then(|turn| self.said(turn.since)).unwrap_or(said).clone();
            self.unhappy = Some((at, evidence));
        } else if valence >= 0.0 {
            self.unhappy = None;
        }
    }

    fn want(&mut self, intent: &Intent, at: Millis) {
        let Some(evidence) = self.said(intent.utterance_id).cloned() else { return };
        let name = intent.name.as_ref().filter(|_| intent.alert);
        let is_here = |want: &Want| want.evidence.utterance_id == intent.utterance_id;
        self.wants.retain(|want| !is_here(want) || Some(&want.name) == name);
        let Some(name) = name else { return };
        let mut same = self.wants.iter().filter(|want| want.name == *name);
        if !same.any(|want| !want.seen || is_here(want)) {
            self.wants.retain(|want| want.name != *name);
            let (name, title) = (name.clone(), intent.title.clone());
            self.wants.push(Want { name, title, since: at, evidence, seen: false });
        }
    }

    /// Takes in what is in no log.
    pub fn becomes(&mut self, at: Millis, condition: Condition) {
        match condition {
            Condition::AgentLost(is_lost) => set(&mut self.agent_lost, is_lost, at),
            Condition::Colleague(colleague) => self.colleague = colleague,
            Condition::Recorded(is_recorded) => set(&mut self.not_recorded, !is_recorded, at),
            Condition::Line(party, quality) => {
                let since = self.bad_lines.iter().find(|(whose, _)| *whose == party).map(|(_, since)| *since);
                self.forget_line(party);
                self.lines.push(LineNow { party, quality });
                self.lines.sort_by_key(|line| line.party);
                if quality == Quality::Poor {
                    self.bad_lines.push((party, since.unwrap_or(at)));
                }
            }
        }
        self.stands(at);
    }

    /// What there is to see at a time.
    pub fn now(&self, at: Millis, state: &CallState) -> LiveNow {
        let worst = |Fact { kind, party, since: since_ms, want, evidence }: Fact<'_>| {
            let lasts = at.0.saturating_sub(since_ms.0);
            let (_, severity) = *kind.steps().iter().rev().find(|(after, _)| lasts >= *after)?;
            let title = want.map(|want| want.title.clone()).unwrap_or_default();
            Some(Alert { kind, severity, party, since_ms, title, evidence: evidence.cloned() })
        };
        let mut alerts: Vec<Alert> = self.facts().filter_map(worst).collect();
        alerts.sort_by_key(|alert| (std::cmp::Reverse(alert.severity), alert.since_ms));
        LiveNow {
            phase: self.phase,
            since_ms: self.since,
            colleague: self.colleague.clone(),
            supervisors: state.supervisors.clone(),
            lines: self.lines.clone(),
            alerts,
        }
    }

    /// When there will be something else to see by the passing of time alone.
    pub fn due(&self, at: Millis) -> Option<Millis> {
        let steps = self.facts().flat_map(|Fact { kind, since, .. }| {
            kind.steps().iter().map(move |(after, _)| Millis(since.0.saturating_add(*after)))
        });
        steps.filter(|step| *step > at).min()
    }

    /// What may be worth an alert, and since when it is so.
    fn facts(&self) -> impl Iterator<Item = Fact<'_>> {
        let customer = Some(Party::Customer);
        // A customer who waits for the agent's audio is on hold as well, and cannot be heard: one alert says it.
        let on_hold = self.on_hold.filter(|_| self.agent_lost.is_none());
        let is_heard = self.on_hold.is_none() && self.agent_lost.is_none() && self.is_understood;
        let lone = [
            (AlertKind::AgentLost, Some(Party::Agent), self.agent_lost),
            (AlertKind::NotRecorded, None, self.not_recorded),
            (AlertKind::OnHold, customer, on_hold),
            (AlertKind::Silent, customer, self.customer.filter(|_| is_heard)),
            (AlertKind::WordsLate, None, self.words_late),
        ];
        let lone = lone.into_iter().filter_map(|(kind, party, since)| Some((kind, party, since?)));
        let lines = self.bad_lines.iter().map(|(party, since)| (AlertKind::BadLine, Some(*party), *since));
        let measured = lone.chain(lines);
        let measured =
            measured.map(|(kind, party, since)| Fact { kind, party, since, want: None, evidence: None });
        let unhappy = self.unhappy.iter().map(move |(since, evidence)| {
            let (kind, since, evidence) = (AlertKind::Unhappy, *since, Some(evidence));
            Fact { kind, party: customer, since, want: None, evidence }
        });
        let wants = self.wants.iter().filter(|want| !want.seen).map(move |want| {
            let (kind, since, evidence) = (AlertKind::Wants, want.since, Some(&want.evidence));
            Fact { kind, party: customer, since, want: Some(want), evidence }
        });
        measured.chain(unhappy).chain(wants)
    }

    fn forget_line(&mut self, party: Party) {
        self.lines.retain(|line| line.party != party);
        self.bad_lines.retain(|(whose, _)| *whose != party);
    }

    fn stands(&mut self, at: Millis) {
        let phase = if self.agent_lost.is_some() {
            Phase::AgentLost
        } else if self.colleague.is_some() {
            Phase::HandingOver
        } else if self.on_hold.is_some() {
            Phase::OnHold
        } else if self.bridged && self.customer.is_none() {
            Phase::Connecting
        } else {
            Phase::Talking
        };
        if phase != self.phase {
            (self.phase, self.since) = (phase, at);
        }
    }
}

/// Notes since when something is so, unless it was so before.
fn set(since: &mut Option<Millis>, is_so: bool, at: Millis) {
    *since = is_so.then(|| since.unwrap_or(at));
}

#[cfg(test)]
mod tests {
    use sotto_call::testing::utterance;
    use sotto_call::{
        Attention, CallLog, CallStarted, CustomerUtterance, Emotion, LegStarted, Load, PartyChange,
        Sentiment, Source, Trend, Turn, WordsMood,
    };

    use super::*;

    /// A call that goes through us and is 10 s old.
    struct Call {
        log: CallLog,
        needs: Needs,
    }

    impl Call {
        fn new() -> Self {
            let mut call = Self { log: CallLog::default(), needs: Needs::default() };
            call.happens(
                0,
                EventBody::CallStarted(CallStarted {
                    version: sotto_call::FORMAT_VERSION,
                    source: Source::Sip,
                    started_at_unix_ms: 0,
                    external_id: String::new(),
                    participants: Vec::new(),
                    language: None,
                    bridged: true,
                    headers: Default::default(),
                }),
            );
            assert_eq!(call.needs.phase, Phase::Connecting);
            let codec = "PCMA".to_owned();
            call.happens(10, EventBody::LegStarted(LegStarted { party: Party::Customer, codec }));
            call
        }

        fn happens(&mut self, s: u64, body: EventBody) {
            self.needs.apply(&self.log.append(Millis(s * 1_000), body));
        }

        fn becomes(&mut self, s: u64, condition: Condition) {
            self.needs.becomes(Millis(s * 1_000), condition);
        }

        fn says(&mut self, s: u64, party: Party) {
            let end_ms = Millis(s * 1_000);
            let partial = Utterance { r#final: false, end_ms, ..utterance(0, party, "yes") };
            self.happens(s, EventBody::Utterance(partial));
        }

        /// The customer's final words.
        fn customer_says(&mut self, s: u64, id: u32, text: &str) -> CustomerUtterance {
            let said = Utterance { end_ms: Millis(s * 1_000), ..utterance(id, Party::Customer, text) };
            self.happens(s, EventBody::Utterance(said.clone()));
            // What is taken back has no mood; what is made of it here stands for something else that was said.
            CustomerUtterance::of(&Utterance { text: "so".to_owned(), ..said }).unwrap()
        }

        fn feels(&mut self, s: u64, said: &CustomerUtterance, valence: f32, turn: Option<Turn>) {
            let sentiment = Sentiment { negative: 0.0, neutral: 1.0, positive: 0.0 };
            let words = WordsMood { sentiment, valence: 0.0, emotion: Emotion::Neutral, emotion_p: 1.0 };
            let arc = ArcPoint { at_ms: Millis(s * 1_000), valence, deviation: 0.3, trend: Trend::Steady };
            self.happens(s, EventBody::Mood(Mood::of(said, words, arc, turn, Millis(0))));
        }

        fn wants(&mut self, s: u64, said: &CustomerUtterance, name: Option<&str>) {
            let (name, title) =
                (name.map(str::to_owned), BTreeMap::from([("en".into(), "Complaint".into())]));
            let intent = Intent { name, title, alert: true, ..Intent::none(said, Millis(0)) };
            self.happens(s, EventBody::Intent(intent));
        }

        /// What the first alert rests on.
        fn evidence(&self, s: u64) -> Option<(u32, String)> {
            let now = self.needs.now(Millis(s * 1_000), &CallState::default());
            let evidence = now.alerts.first()?.evidence.as_ref()?;
            Some((evidence.utterance_id.0, evidence.text.clone()))
        }

        fn alerts(&self, s: u64) -> Vec<(AlertKind, Severity, u64)> {
            let now = self.needs.now(Millis(s * 1_000), &CallState::default());
            now.alerts.iter().map(|alert| (alert.kind, alert.severity, alert.since_ms.0 / 1_000)).collect()
        }

        fn due(&self, s: u64) -> Option<u64> {
            self.needs.due(Millis(s * 1_000)).map(|at| at.0 / 1_000)
        }
    }

    fn customer() -> PartyChange {
        PartyChange { party: Some(Party::Customer) }
    }

    #[test]
    fn a_hold_is_worth_a_look_after_a_minute_and_urgent_after_three() {
        let mut call = Call::new();
        call.happens(20, EventBody::Paused(customer()));
        assert_eq!((call.needs.phase, call.needs.since), (Phase::OnHold, Millis(20_000)));
        assert_eq!((call.alerts(79), call.due(20)), (vec![], Some(80)));
        assert_eq!(call.alerts(80), [(AlertKind::OnHold, Severity::Warning, 20)]);
        assert_eq!(
            (call.alerts(200), call.due(80)),
            (vec![(AlertKind::OnHold, Severity::Urgent, 20)], Some(200))
        );
        assert_eq!(call.due(200), None);
        call.happens(201, EventBody::Resumed(customer()));
        assert_eq!((call.alerts(260), call.needs.phase), (vec![], Phase::Talking));
    }

    #[test]
    fn a_customer_who_is_not_heard_for_a_minute_is_told_of_where_words_are_understood() {
        let mut call = Call::new();
        assert_eq!((call.alerts(100), call.due(10)), (vec![], None), "nobody has understood anything");
        call.says(20, Party::Agent);
        assert_eq!((call.alerts(69), call.due(20)), (vec![], Some(70)));
        assert_eq!(call.alerts(70), [(AlertKind::Silent, Severity::Warning, 10)]);
        call.says(71, Party::Customer);
        assert_eq!((call.alerts(72), call.due(72)), (vec![], Some(131)));
        // On hold nobody can say anything, and afterwards the minute begins anew.
        call.happens(100, EventBody::Paused(customer()));
        assert_eq!(call.alerts(140), []);
        call.happens(150, EventBody::Resumed(customer()));
        assert_eq!((call.alerts(209), call.due(150)), (vec![], Some(210)));
    }

    #[test]
    fn an_unhappy_customer_is_told_of_with_the_sentence_that_says_why_until_it_is_better() {
        let mut call = Call::new();
        let first = call.customer_says(20, 1, "I have been waiting for a week.");
        call.feels(20, &first, -0.25, None);
        assert_eq!(call.alerts(20), [], "that may be chance");
        let second = call.customer_says(30, 2, "Nobody calls me back.");
        let turn = Turn { direction: TurnDirection::Decline, since: UtteranceId(1), trigger: None };
        call.feels(30, &second, -0.4, Some(turn));
        assert_eq!(call.alerts(30), [(AlertKind::Unhappy, Severity::Warning, 30)]);
        assert_eq!(call.evidence(30), Some((1, "I have been waiting for a week.".to_owned())));
        // The words are revised, and the mood is a little better.
        call.customer_says(35, 1, "I have been waiting for two weeks.");
        call.feels(36, &second, -0.1, None);
        assert_eq!(
            call.evidence(36).map(|(_, text)| text).as_deref(),
            Some("I have been waiting for two weeks.")
        );
        assert_eq!(call.due(36), Some(95), "then nothing has been heard of the customer for a minute");
        assert!(call.alerts(150).contains(&(AlertKind::Unhappy, Severity::Urgent, 30)));
        call.feels(151, &second, 0.0, None);
        assert!(call.alerts(151).iter().all(|(kind, ..)| *kind != AlertKind::Unhappy));
    }

    #[test]
    fn a_mood_without_the_customers_words_is_no_alert() {
        let mut call = Call::new();
        let said = call.customer_says(20, 1, "I have had enough of this.");
        call.customer_says(21, 1, "");
        call.feels(22, &said, -0.9, None);
        assert_eq!(call.alerts(22), []);
        let said = call.customer_says(23, 2, "I have had enough of this.");
        call.feels(24, &said, -0.9, None);
        assert_eq!(call.alerts(24), [(AlertKind::Unhappy, Severity::Warning, 24)]);
        call.customer_says(25, 2, "");
        assert_eq!(call.alerts(25), [], "the words that it rests on were taken back");
    }

    #[test]
    fn what_supervisors_are_to_know_of_is_told_until_one_has_come() {
        let mut call = Call::new();
        let said = call.customer_says(20, 1, "I want to complain.");
        call.wants(20, &said, Some("complaint"));
        assert_eq!(call.alerts(20), [(AlertKind::Wants, Severity::Warning, 20)]);
        assert_eq!(call.evidence(20), Some((1, "I want to complain.".to_owned())));
        let again = call.customer_says(30, 2, "This is a complaint.");
        call.wants(30, &again, Some("complaint"));
        assert_eq!(call.alerts(30), [(AlertKind::Wants, Severity::Warning, 20)], "that is known");
        let attention = Some(Attention::Listen);
        call.happens(40, EventBody::Supervisor(Supervisor { name: "sara".into(), attention }));
        call.wants(41, &said, Some("complaint"));
        assert_eq!(call.alerts(41), [], "a revision is nothing new");
        let later = call.customer_says(50, 3, "And I want to complain about that, too.");
        call.wants(50, &later, Some("complaint"));
        assert_eq!(call.alerts(50), [(AlertKind::Wants, Severity::Warning, 50)]);
        call.wants(51, &later, None);
        assert_eq!(call.alerts(51), [], "it was misheard");
    }

    #[test]
    fn what_is_most_serious_comes_first_and_then_what_has_lasted_longer() {
        let mut call = Call::new();
        let load = |shedding| EventBody::Load(Load { shedding, behind_ms: Millis(0) });
        call.happens(12, load(Shedding::LateFinals));
        call.happens(13, load(Shedding::LateFinals));
        call.becomes(30, Condition::Line(Party::Customer, Quality::Poor));
        call.becomes(20, Condition::Line(Party::Agent, Quality::Poor));
        call.becomes(40, Condition::Recorded(false));
        assert_eq!(
            call.alerts(50),
            [
                (AlertKind::NotRecorded, Severity::Urgent, 40),
                (AlertKind::BadLine, Severity::Warning, 20),
                (AlertKind::BadLine, Severity::Warning, 30),
                (AlertKind::WordsLate, Severity::Notice, 12),
            ]
        );
        call.happens(51, load(Shedding::None));
        call.becomes(52, Condition::Recorded(true));
        call.becomes(53, Condition::Line(Party::Customer, Quality::Fair));
        assert_eq!(call.alerts(60), [(AlertKind::BadLine, Severity::Warning, 20)]);
        // Another agent, another line.
        let codec = "opus".to_owned();
        call.happens(61, EventBody::LegStarted(LegStarted { party: Party::Agent, codec }));
        assert_eq!(call.alerts(62), []);
        let lines = call.needs.now(Millis(0), &CallState::default()).lines;
        assert_eq!(lines, [LineNow { party: Party::Customer, quality: Quality::Fair }]);
    }

    #[test]
    fn an_agent_whose_audio_is_lost_is_one_alert_and_not_a_hold_as_well() {
        let mut call = Call::new();
        call.becomes(20, Condition::AgentLost(true));
        call.happens(20, EventBody::Paused(customer()));
        assert_eq!(call.needs.phase, Phase::AgentLost);
        assert_eq!(call.alerts(120), [(AlertKind::AgentLost, Severity::Urgent, 20)]);
        call.happens(121, EventBody::Resumed(customer()));
        call.becomes(121, Condition::AgentLost(false));
        call.becomes(130, Condition::Colleague(Some("omid".to_owned())));
        assert_eq!((call.alerts(130), call.needs.phase), (vec![], Phase::HandingOver));
        call.becomes(140, Condition::Colleague(None));
        assert_eq!((call.needs.phase, call.needs.since), (Phase::Talking, Millis(140_000)));
    }
}
