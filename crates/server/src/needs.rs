//! What is so of a live call just now, and what of it somebody should look at.
//!
//! Most of it follows from the call's log. The rest are [`Condition`]s, told by those who carry the call and kept
//! nowhere. What is only a matter of time (on hold for too long) comes by itself: [`Needs::due`] says when.

use serde::{Deserialize, Serialize};
use sotto_call::{CallEvent, CallState, EventBody, Millis, Party, Quality, Shedding, Supervisor};
use utoipa::ToSchema;

use crate::http::schema;

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
    /// How well the parties are received, once that is known.
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

/// How well a party is received.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    /// How well a party is received.
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
            Self::Silent => &[(60_000, Severity::Warning)],
            Self::BadLine => &[(0, Severity::Warning)],
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
            _ => {}
        }
        self.stands(at);
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
        let worst = |(kind, party, since_ms): (AlertKind, Option<Party>, Millis)| {
            let lasts = at.0.saturating_sub(since_ms.0);
            let (_, severity) = *kind.steps().iter().rev().find(|(after, _)| lasts >= *after)?;
            Some(Alert { kind, severity, party, since_ms })
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
        let steps = self.facts().flat_map(|(kind, _, since)| {
            kind.steps().iter().map(move |(after, _)| Millis(since.0.saturating_add(*after)))
        });
        steps.filter(|step| *step > at).min()
    }

    /// What may be worth an alert, and since when it is so.
    fn facts(&self) -> impl Iterator<Item = (AlertKind, Option<Party>, Millis)> {
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
        lone.chain(self.bad_lines.iter().map(|(party, since)| (AlertKind::BadLine, Some(*party), *since)))
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
    use sotto_call::{CallLog, CallStarted, LegStarted, Load, PartyChange, Source, Utterance, UtteranceId};

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
            let utterance = Utterance {
                utterance_id: UtteranceId(0),
                party,
                r#final: false,
                revision: 0,
                text: "yes".to_owned(),
                stable_chars: 0,
                start_ms: Millis(0),
                end_ms: Millis(s * 1_000),
                words: Vec::new(),
                language: "en".to_owned(),
                latency_ms: Millis(0),
            };
            self.happens(s, EventBody::Utterance(utterance));
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
