//! What those who read are not told about calls: agents, that a supervisor listens, or who of them answers a prompt or a
//! card or ticks a step, where the organisation wants that so (`desk.announce = "silent"`); whoever is not to see moods
//! (`insight.mood_seen_by`), how the customer feels; whose role or team may not see a document, what stands in it. In place of
//! what they are not told, their log has an event that says nothing, so that its numbers have no gaps.

use std::collections::BTreeSet;
use std::sync::Arc;

use sotto_call::{
    Attention, CallEvent, CallId, CallState, CardAnswered, CardViewer, EventBody, Participant, Party,
    PromptAnswered, Step, Supervisor, Withheld,
};

use super::App;
use super::auth::{Action, Identity, authorize};
use crate::desk::Announce;
use crate::hub::{Follow, FollowError, Update};
use crate::library::role_name;
use crate::search::called;
use crate::summary::Sight;

/// A subscription to one call, as the one who reads may see it.
pub(super) struct Reader {
    follow: Follow,
    /// Absent for those who see all supervisors.
    discretion: Option<Discretion>,
    moods: Moods,
    /// The reader's, as documents name it.
    role: &'static str,
    /// The one that the reader is in.
    team: Option<String>,
    /// Events up to this one are not asked for.
    from: u64,
}

impl App {
    /// Follows a call as [`Hub::follow`](crate::hub::Hub::follow) does.
    ///
    /// # Errors
    /// When there is no such call, or it cannot be read.
    pub(super) async fn read(
        &self,
        identity: &Identity,
        id: CallId,
        from: Option<u64>,
    ) -> Result<Reader, FollowError> {
        let silent = self.shared.parts.desk.announce() == Announce::Silent;
        let discretion = (silent && authorize(identity, Action::Supervise).is_err())
            .then(|| Discretion::towards(identity.name()));
        // What was said before decides what a later event may say.
        let begin = if discretion.is_some() { from.map(|_| 0) } else { from };
        let follow = self.hub().follow(id, begin).await?;
        let moods = match self.sight(identity).moods {
            true => Moods::Noted { app: self.clone(), who: identity.name().to_owned(), call: id },
            false => Moods::Withheld,
        };
        let (role, team) = (role_name(identity.role()), identity.team().map(str::to_owned));
        Ok(Reader { follow, discretion, moods, role, team, from: from.unwrap_or(0) })
    }

    /// What somebody sees of calls besides what was said.
    pub(super) fn sight(&self, identity: &Identity) -> Sight {
        Sight {
            supervises: authorize(identity, Action::Supervise).is_ok(),
            moods: self.settings().moods.is_seen_by(identity.role()),
        }
    }

    /// What somebody sees of calls in lists. That they look at moods there is noted.
    pub(super) fn sight_of_lists(&self, identity: &Identity) -> Sight {
        let sight = self.sight(identity);
        if sight.moods && self.settings().moods.is_read {
            self.looked(identity.name(), None);
        }
        sight
    }

    /// Whether somebody sees how the customer of a call felt. That they look is noted.
    pub(super) fn sees_moods(&self, identity: &Identity, call: CallId) -> bool {
        let sees = self.sight(identity).moods;
        if sees {
            self.looked(identity.name(), Some(call));
        }
        sees
    }

    fn looked(&self, who: &str, call: Option<CallId>) {
        self.shared.looks.note(who, call, &self.settings().moods, self.shared.parts.desk.audit());
    }
}

/// How the customer feels, for one who reads.
enum Moods {
    /// They see it, and it is noted that they do.
    Noted { app: App, who: String, call: CallId },
    /// They saw it, and that is noted.
    Seen,
    /// It is not theirs to see.
    Withheld,
}

impl Moods {
    fn shown(&mut self, update: Update) -> Update {
        let tells_mood = match &update {
            Update::Snapshot(state) => state.tells_mood(),
            Update::Event(event) => event.body.tells_mood(),
        };
        if !tells_mood {
            return update;
        }
        match self {
            Self::Seen => update,
            Self::Noted { app, who, call } => {
                app.looked(who, Some(*call));
                *self = Self::Seen;
                update
            }
            Self::Withheld => match update {
                Update::Snapshot(mut state) => {
                    Arc::make_mut(&mut state).forget_moods();
                    Update::Snapshot(state)
                }
                Update::Event(mut event) => {
                    Arc::make_mut(&mut event).body.forget_mood();
                    Update::Event(event)
                }
            },
        }
    }
}

impl Reader {
    /// The next update, as soon as there is one; none when the call is over. Cancelling it loses nothing.
    pub(super) async fn next(&mut self) -> Result<Option<Update>, FollowError> {
        while let Some(update) = self.follow.next().await? {
            if let Some(shown) = self.shown(update) {
                return Ok(Some(shown));
            }
        }
        Ok(None)
    }

    /// The next update that there is already.
    pub(super) async fn next_now(&mut self) -> Result<Option<Update>, FollowError> {
        while let Some(update) = self.follow.next_now().await? {
            if let Some(shown) = self.shown(update) {
                return Ok(Some(shown));
            }
        }
        Ok(None)
    }

    /// None for what was not asked for.
    fn shown(&mut self, update: Update) -> Option<Update> {
        let viewer = CardViewer { role: self.role, team: self.team.as_deref() };
        let update = without_documents(self.moods.shown(update), viewer);
        let Some(discretion) = &mut self.discretion else { return Some(update) };
        match update {
            Update::Snapshot(state) => Some(Update::Snapshot(discretion.state(state))),
            Update::Event(event) => {
                let event = discretion.event(event);
                (event.seq > self.from).then_some(Update::Event(event))
            }
        }
    }
}

/// Leaves nothing of documents that somebody may not see.
fn without_documents(update: Update, viewer: CardViewer<'_>) -> Update {
    match update {
        Update::Snapshot(mut state) if state.tells_too_much(viewer) => {
            Arc::make_mut(&mut state).hide_documents(viewer);
            Update::Snapshot(state)
        }
        Update::Event(mut event) if event.body.tells_too_much(viewer) => {
            Arc::make_mut(&mut event).body.hide_documents(viewer);
            Update::Event(event)
        }
        update => update,
    }
}

/// Remembers who is not hidden.
#[derive(Default)]
struct Discretion {
    /// Supervisors.
    seen: BTreeSet<String>,
    /// The one who reads, and whoever has been the call's agent.
    agents: BTreeSet<String>,
}

impl Discretion {
    fn towards(reader: &str) -> Self {
        Self { agents: BTreeSet::from([reader.to_owned()]), ..Self::default() }
    }

    fn meet(&mut self, participants: &[Participant]) {
        let agents = participants.iter().filter(|one| one.party == Party::Agent);
        self.agents.extend(agents.filter_map(called));
    }

    fn state(&mut self, state: Arc<CallState>) -> Arc<CallState> {
        state.started.iter().for_each(|started| self.meet(&started.participants));
        let seen = |there: &Supervisor| there.attention != Some(Attention::Listen);
        self.seen =
            state.supervisors.iter().filter(|there| seen(there)).map(|there| there.name.clone()).collect();
        let is_told = |step: &Step| self.agents.contains(&step.by);
        if self.seen.len() == state.supervisors.len() && state.steps.iter().all(is_told) {
            return state;
        }
        let mut state = CallState::clone(&state);
        state.supervisors.retain(seen);
        state.steps.iter_mut().filter(|step| !is_told(step)).for_each(|step| step.by.clear());
        Arc::new(state)
    }

    fn event(&mut self, event: Arc<CallEvent>) -> Arc<CallEvent> {
        let body = match &event.body {
            EventBody::Supervisor(Supervisor { name, attention }) => match attention {
                Some(Attention::Whisper | Attention::Barge) => {
                    self.seen.insert(name.clone());
                    return event;
                }
                // Whoever was seen, and only listens from now on, has left.
                _ if self.seen.remove(name) => {
                    EventBody::Supervisor(Supervisor { name: name.clone(), attention: None })
                }
                _ => EventBody::Withheld(Withheld {}),
            },
            EventBody::PromptAnswered(answered) if !self.agents.contains(&answered.by) => {
                EventBody::PromptAnswered(PromptAnswered { by: String::new(), ..answered.clone() })
            }
            EventBody::CardAnswered(answered) if !self.agents.contains(&answered.by) => {
                EventBody::CardAnswered(CardAnswered { by: String::new(), ..answered.clone() })
            }
            EventBody::Step(step) if !self.agents.contains(&step.by) => {
                EventBody::Step(Step { by: String::new(), ..step.clone() })
            }
            EventBody::CallStarted(started) => {
                self.meet(&started.participants);
                return event;
            }
            EventBody::Participants(now) => {
                self.meet(&now.participants);
                return event;
            }
            _ => return event,
        };
        Arc::new(CallEvent { body, ..CallEvent::clone(&event) })
    }
}

#[cfg(test)]
mod tests {
    use sotto_call::{CardAnswer, Millis, Participants, PromptAnswer};

    use super::*;

    fn event(seq: u64, name: &str, attention: Option<Attention>) -> Arc<CallEvent> {
        let body = EventBody::Supervisor(Supervisor { name: name.into(), attention });
        Arc::new(CallEvent { seq, at_ms: Millis(seq), body })
    }

    #[test]
    fn who_only_listens_is_not_there_and_whoever_was_heard_is_seen_to_leave() {
        use Attention::{Barge, Listen, Whisper};
        let mut discretion = Discretion::towards("mina");
        let script = [
            ("sara", Some(Listen), None),
            ("omid", Some(Whisper), Some(Some(Whisper))),
            ("sara", Some(Barge), Some(Some(Barge))),
            ("omid", Some(Listen), Some(None)),
            ("omid", None, None),
            ("sara", None, Some(None)),
        ];
        let log: Vec<_> =
            script.iter().zip(1..).map(|((name, now, _), seq)| event(seq, name, *now)).collect();
        for (event, (name, _, told)) in log.iter().zip(script) {
            let shown = discretion.event(event.clone());
            let expected = match told {
                Some(attention) => EventBody::Supervisor(Supervisor { name: name.into(), attention }),
                None => EventBody::Withheld(Withheld {}),
            };
            assert_eq!((shown.seq, &shown.body), (event.seq, &expected));
        }
        let state = Arc::new(CallState::of(log[..3].iter().map(Arc::as_ref)));
        let names = |state: &CallState| state.supervisors.iter().map(|s| s.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&discretion.state(state)), ["omid", "sara"]);
        let state = Arc::new(CallState::of(log[..4].iter().map(Arc::as_ref)));
        assert_eq!(names(&discretion.state(state)), ["sara"]);
    }

    #[test]
    fn a_supervisor_who_answers_a_prompt_is_not_named_to_agents() {
        let agent = |name: &str| Participant { party: Party::Agent, aor: None, name: Some(name.to_owned()) };
        let are = |names: &[&str]| {
            EventBody::Participants(Participants {
                participants: names.iter().map(|name| agent(name)).collect(),
            })
        };
        let answered = |by: &str| {
            let (answer, by) = (PromptAnswer::Dismissed, by.to_owned());
            EventBody::PromptAnswered(PromptAnswered { prompt_id: 1, answer, by })
        };
        let called_wrong = |by: &str| {
            let (answer, by) = (CardAnswer::Wrong, by.to_owned());
            EventBody::CardAnswered(CardAnswered { card_id: 1, answer, by })
        };
        let ticked = |by: &str| EventBody::Step(Step { by: by.to_owned(), ..step() });
        let mut discretion = Discretion::towards("mina");
        for (seq, (body, told)) in (1..).zip([
            (are(&["reza"]), are(&["reza"])),
            (are(&["omid"]), are(&["omid"])),
            (answered("sara"), answered("")),
            (answered("reza"), answered("reza")),
            (answered("omid"), answered("omid")),
            (answered("mina"), answered("mina")),
            (called_wrong("sara"), called_wrong("")),
            (called_wrong("mina"), called_wrong("mina")),
            (ticked("sara"), ticked("")),
            (ticked("reza"), ticked("reza")),
            // As a telephone system may write it.
            (are(&["Lida"]), are(&["Lida"])),
            (ticked("lida"), ticked("lida")),
        ]) {
            let event = Arc::new(CallEvent { seq, at_ms: Millis(seq), body });
            let shown = discretion.event(event);
            assert_eq!((shown.seq, &shown.body), (seq, &told));
        }
        let event = CallEvent { seq: 1, at_ms: Millis(1), body: ticked("sara") };
        let state = discretion.state(Arc::new(CallState::of([&event])));
        assert_eq!(state.steps.iter().map(|step| step.by.as_str()).collect::<Vec<_>>(), [""]);
    }

    fn step() -> Step {
        Step {
            document: "a.md".to_owned(),
            passage: 0,
            version: "00ff".to_owned(),
            title: "A".to_owned(),
            step: 1,
            text: "Open it.".to_owned(),
            ticked: true,
            by: String::new(),
            roles: Vec::new(),
            teams: Vec::new(),
        }
    }
}
