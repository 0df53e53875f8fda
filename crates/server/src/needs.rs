//! What is so of a live call just now, and what of it somebody should look at.
//!
//! Most of it follows from the call's log. The rest are [`Condition`]s, told by those who carry the call and kept
//! nowhere. What is only a matter of time (on hold for too long) comes by itself: [`Needs::due`] says when. Here it is
//! about the call, in `words` about what is said; what is missing on it is found as it is for the agent ([`Lapses`]).

mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sotto_call::{
    CallEvent, CallState, EventBody, Millis, Party, Quality, Shedding, Supervisor, UtteranceId,
};
use sotto_insight::{Lapses, Missing};
use utoipa::ToSchema;

use self::words::Words;
use crate::alerts::Rules;
use crate::http::schema;

/// After nobody has said anything for too long, it is not told again for so long.
const QUIET_AGAIN: Millis = Millis(120_000);

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
    /// What the customer wants, what was said, or what was not, as people call it, by BCP 47 language: of
    /// [`AlertKind::Wants`], [`AlertKind::Said`] and [`AlertKind::NotSaid`] only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub title: BTreeMap<String, String>,
    /// What was said that it rests on.
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
    /// Somebody has said words that supervisors are to know of, and none has come to the call since.
    Said,
    /// Nobody has said anything for a while, and nobody is on hold.
    DeadAir,
    /// Something that must be said was not said in time, and no supervisor has come to the call since.
    NotSaid,
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
    /// Whether it tells how the customer feels.
    pub(crate) fn tells_mood(self) -> bool {
        self == Self::Unhappy
    }

    /// How serious it is after how many milliseconds.
    fn steps(self) -> &'static [(u64, Severity)] {
        match self {
            Self::AgentLost | Self::NotRecorded => &[(0, Severity::Urgent)],
            Self::OnHold => &[(60_000, Severity::Warning), (180_000, Severity::Urgent)],
            Self::Unhappy => &[(0, Severity::Warning), (120_000, Severity::Urgent)],
            Self::Silent => &[(60_000, Severity::Warning)],
            Self::Wants | Self::Said | Self::NotSaid => &[(0, Severity::Warning)],
            Self::BadLine | Self::DeadAir => &[(0, Severity::Warning)],
            Self::WordsLate => &[(0, Severity::Notice)],
        }
    }
}

/// One call's part of it, as a value: times are passed in.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    rules: Arc<Rules>,
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
    words: Words,
    lapses: Lapses,
    /// When a silence ended that supervisors were told of.
    quiet_until: Option<Millis>,
    /// Supervisors on the call, by name: they know what comes up meanwhile.
    watching: BTreeSet<String>,
    /// When a supervisor was there last.
    seen: Option<Millis>,
}

/// Something that may be worth an alert.
struct Fact<'a> {
    kind: AlertKind,
    party: Option<Party>,
    since: Millis,
    /// When it is worth one, if that is later.
    from: Millis,
    title: Option<&'a BTreeMap<String, String>>,
    evidence: Option<&'a Evidence>,
}

impl Fact<'_> {
    fn new(kind: AlertKind, since: Millis) -> Self {
        Self { kind, party: None, since, from: Millis(0), title: None, evidence: None }
    }
}

impl Needs {
    /// Of a call that begins, where supervisors are told of what these rules say.
    pub fn new(rules: Arc<Rules>) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Takes in the next event of the log.
    pub fn apply(&mut self, event: &CallEvent) {
        let at = event.at_ms;
        let was_watched = !self.watching.is_empty();
        self.listen(event);
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
                self.words.hear(utterance, at, &self.rules);
                if let Some(heard) = self.customer.as_mut().filter(|_| utterance.party == Party::Customer) {
                    *heard = (*heard).max(utterance.end_ms);
                }
            }
            EventBody::Paused(change) if change.concerns(Party::Customer) => {
                self.on_hold.get_or_insert(at);
            }
            EventBody::Resumed(change) if change.concerns(Party::Customer) => {
                self.on_hold = None;
                self.customer = self.customer.map(|_| at);
            }
            EventBody::Load(load) => set(&mut self.words_late, load.shedding == Shedding::LateFinals, at),
            EventBody::Mood(mood) => self.words.feel(mood, at),
            EventBody::Consent(consent) if !consent.mood => self.words.forget_mood(),
            EventBody::Transferred(transferred) if transferred.party == Party::Customer => {
                self.words.forget_mood();
            }
            EventBody::Intent(intent) => self.words.want(intent, at),
            EventBody::Supervisor(Supervisor { name, attention: None }) => _ = self.watching.remove(name),
            EventBody::Supervisor(Supervisor { name, .. }) => _ = self.watching.insert(name.clone()),
            _ => {}
        }
        if was_watched || !self.watching.is_empty() {
            self.words.are_seen(at);
            self.seen = Some(at);
        }
        self.stands(at);
    }

    /// Looks whether somebody has said something at last.
    fn listen(&mut self, event: &CallEvent) {
        let before = self.lapses.quiet_since();
        let told = self.quiet().is_some_and(|fact| event.at_ms >= fact.from);
        self.lapses.apply(event, &self.rules.playbook);
        if told && self.lapses.quiet_since() != before {
            self.quiet_until = Some(event.at_ms);
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
        let worst = |Fact { kind, party, since: since_ms, from, title, evidence }: Fact<'_>| {
            if at < from {
                return None;
            }
            let lasts = at.since(since_ms.max(from)).0;
            let (_, severity) = *kind.steps().iter().rev().find(|(after, _)| lasts >= *after)?;
            let title = title.cloned().unwrap_or_default();
            Some(Alert { kind, severity, party, since_ms, title, evidence: evidence.cloned() })
        };
        let mut alerts: Vec<Alert> = self.facts().filter_map(worst).collect();
        if alerts.iter().any(|alert| alert.kind == AlertKind::DeadAir) {
            // A customer who is not heard while nobody is: one alert says it.
            alerts.retain(|alert| alert.kind != AlertKind::Silent);
        }
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
        let steps = self.facts().flat_map(|Fact { kind, since, from, .. }| {
            kind.steps().iter().map(move |(after, _)| since.max(from) + Millis(*after))
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
        let measured = measured.map(|(kind, party, since)| Fact { party, ..Fact::new(kind, since) });
        measured.chain(self.words.facts()).chain(self.quiet()).chain(self.not_said())
    }

    /// That nobody says anything.
    fn quiet(&self) -> Option<Fact<'_>> {
        let silence = self.rules.silence.filter(|_| self.agent_lost.is_none())?;
        let since = self.lapses.quiet_since()?;
        // Silences that follow each other are one alert.
        let again = self.quiet_until.map_or(Millis(0), |until| until + QUIET_AGAIN);
        let (from, evidence) = ((since + silence).max(again), self.words.newest());
        Some(Fact { from, evidence, ..Fact::new(AlertKind::DeadAir, since) })
    }

    /// What must be said and was not.
    fn not_said(&self) -> impl Iterator<Item = Fact<'_>> {
        let duties = if self.rules.checklist { self.rules.playbook.duties() } else { &[] };
        let missing = duties.iter().filter_map(move |duty| Some((duty, self.lapses.missing(duty)?)));
        let is_new = move |missing: &Missing| self.seen.is_none_or(|seen| seen < missing.due);
        let unseen = missing.filter(move |(_, missing)| self.watching.is_empty() && is_new(missing));
        unseen.map(move |(duty, missing)| {
            let farewell = missing.farewell.and_then(|id| self.words.said(id));
            let (title, evidence) = (Some(&duty.title), farewell.or(self.words.first()));
            let (party, from) = (Some(Party::Agent), missing.due);
            Fact { party, from, title, evidence, ..Fact::new(AlertKind::NotSaid, missing.due) }
        })
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
mod tests;
