//! What is missing on a call: words of anybody, and what must be said.

use std::collections::BTreeSet;

use sotto_call::{CallEvent, EventBody, Millis, Party, Shedding, Utterance, UtteranceId};

use super::playbook::{Duty, Playbook};

/// Follows a call's log for what is missing on it. A plain value.
#[derive(Debug, Default)]
pub struct Lapses {
    /// When the first words began.
    begun: Option<Millis>,
    /// How far words have been heard.
    heard: Option<Millis>,
    /// Who has said something.
    talk: BTreeSet<Party>,
    /// Nothing can be heard of the customer, or of anybody, and that is meant to be so.
    on_hold: bool,
    /// Words that are being spoken are not shown before a pause.
    words_late: bool,
    /// Somebody said goodbye: when that was known, and with which words, in the order in which it was.
    farewells: Vec<(Millis, UtteranceId)>,
    /// Items of the checklist that have not been said.
    open: BTreeSet<String>,
}

/// That something must still be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// When it should have been said by.
    pub due: Millis,
    /// The words with which somebody says goodbye first, where it should have been said before these.
    pub farewell: Option<UtteranceId>,
}

impl Lapses {
    /// Takes in the next event of the log.
    pub fn apply(&mut self, event: &CallEvent, playbook: &Playbook) {
        let at = event.at_ms;
        match &event.body {
            EventBody::Utterance(said) => self.hear(said, at, playbook),
            EventBody::Paused(change) if change.concerns(Party::Customer) => self.on_hold = true,
            EventBody::Resumed(change) if change.concerns(Party::Customer) => {
                self.on_hold = false;
                self.heard = self.heard.max(Some(at));
            }
            EventBody::Load(load) => self.words_late = load.shedding >= Shedding::NoPartials,
            EventBody::Checklist(item) if item.done => _ = self.open.remove(&item.name),
            EventBody::Checklist(item) => _ = self.open.insert(item.name.clone()),
            _ => {}
        }
    }

    fn hear(&mut self, said: &Utterance, at: Millis, playbook: &Playbook) {
        self.heard = self.heard.max(Some(said.end_ms));
        if !said.r#final {
            return;
        }
        let is_farewell = playbook.is_farewell(&said.text);
        let id = said.utterance_id;
        self.farewells.retain(|(_, known)| *known != id || is_farewell);
        if said.text.trim().is_empty() {
            return;
        }
        self.begun = Some(self.begun.map_or(said.start_ms, |begun| begun.min(said.start_ms)));
        self.talk.insert(said.party);
        if is_farewell && self.farewells.iter().all(|(_, known)| *known != id) {
            self.farewells.push((at, id));
        }
    }

    /// Since when nobody has said anything; absent before both have talked, and while that is as it should be or cannot be
    /// known.
    #[must_use]
    pub fn quiet_since(&self) -> Option<Millis> {
        let both_talk = [Party::Agent, Party::Customer].iter().all(|party| self.talk.contains(party));
        self.heard.filter(|_| both_talk && !self.on_hold && !self.words_late)
    }

    /// The words with which somebody says goodbye first.
    pub(super) fn farewell(&self) -> Option<UtteranceId> {
        self.farewells.first().map(|(_, id)| *id)
    }

    /// Whether something must still be said, and by when, as far as that is known.
    #[must_use]
    pub fn missing(&self, duty: &Duty) -> Option<Missing> {
        if !self.open.contains(&duty.name) {
            return None;
        }
        if let Some(&(due, farewell)) = self.farewells.first().filter(|_| duty.before_end) {
            return Some(Missing { due, farewell: Some(farewell) });
        }
        let due = self.begun? + Millis(u64::from(duty.within_s?) * 1_000);
        Some(Missing { due, farewell: None })
    }
}
