//! The ordered log of one call and the state it adds up to, as plain values.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    CallEnded, CallEvent, CallStarted, Card, CardAnswer, CardNotShown, ChecklistItem, Consent,
    CustomerUtterance, Entities, EventBody, Intent, MOST_OPEN_CARDS, Millis, Mood, Party, Prompt, PromptKind,
    Quote, Redacted, Shedding, Step, Supervisor, Talk, Utterance, UtteranceId,
};

/// Numbers events, and nothing else does: exactly one per call.
#[derive(Debug, Default)]
pub struct CallLog {
    last_seq: u64,
    last_at: Millis,
}

impl CallLog {
    /// A log that goes on after `last_seq`, 0 for a new call.
    #[must_use]
    pub fn after(last_seq: u64, last_at: Millis) -> Self {
        Self { last_seq, last_at }
    }

    /// Gives `body` the next number. Times never run backwards within a log.
    pub fn append(&mut self, at: Millis, body: EventBody) -> CallEvent {
        self.last_seq += 1;
        self.last_at = self.last_at.max(at);
        CallEvent { seq: self.last_seq, at_ms: self.last_at, body }
    }

    /// The number of the newest event, 0 when there is none.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }
}

/// What a call looks like after a prefix of its log: what a screen that joins late is shown first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct CallState {
    /// The newest event that is included.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub seq: u64,
    /// How the call began.
    pub started: Option<CallStarted>,
    /// How it ended, absent while it is live.
    pub ended: Option<CallEnded>,
    /// Parties whose audio has begun, with their codec.
    pub legs: Vec<(Party, String)>,
    /// Utterances in the order they began.
    pub utterances: Vec<UtteranceState>,
    /// What analysis is giving up just now.
    pub shedding: Option<Shedding>,
    /// Parties that are paused or on hold.
    pub paused: Vec<Party>,
    /// Supervisors on the call, and what they do there.
    #[serde(default)]
    pub supervisors: Vec<Supervisor>,
    /// The customer's mood, utterance by utterance: the emotional arc of the call.
    #[serde(default)]
    pub moods: Vec<Mood>,
    /// Whether the customer agrees that their mood is read, where somebody has said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub consent: Option<Consent>,
    /// What the customer wanted, utterance by utterance.
    #[serde(default)]
    pub intents: Vec<Intent>,
    /// What was named, utterance by utterance.
    #[serde(default)]
    pub entities: Vec<Entities>,
    /// What was taken out of utterances.
    #[serde(default)]
    pub redactions: Vec<Redacted>,
    /// The newest prompt, until it is answered. Whether it has expired is for the one who shows it to see.
    #[serde(default)]
    pub prompt: Option<Prompt>,
    /// The cards that stand, the oldest first; [`MOST_OPEN_CARDS`] at most. Whether one has expired is for the one who shows
    /// it to see.
    #[serde(default)]
    pub cards: Vec<Card>,
    /// Steps of written procedures that are done, in the order in which they were.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// What was looked up and is not shown, utterance by utterance.
    #[serde(default)]
    pub cards_not_shown: Vec<CardNotShown>,
    /// What must be said on this call, in the organisation's order.
    #[serde(default)]
    pub checklist: Vec<ChecklistItem>,
    /// How the call's time went, absent while it is live.
    #[serde(default)]
    pub talk: Option<Talk>,
}

/// An utterance with its newest text.
pub type UtteranceState = Utterance;

impl CallState {
    /// The state after all of `events`, which must be in order.
    #[must_use]
    pub fn of<'a>(events: impl IntoIterator<Item = &'a CallEvent>) -> Self {
        let mut state = Self::default();
        for event in events {
            state.apply(event);
        }
        state
    }

    /// Moves on by one event. Events already included are ignored.
    pub fn apply(&mut self, event: &CallEvent) {
        if event.seq <= self.seq {
            return;
        }
        self.seq = event.seq;
        match &event.body {
            EventBody::CallStarted(started) => self.started = Some(started.clone()),
            EventBody::CallEnded(ended) => {
                self.ended = Some(ended.clone());
                self.prompt = None;
                self.cards.clear();
            }
            EventBody::LegStarted(leg) => {
                self.legs.retain(|(party, _)| *party != leg.party);
                self.legs.push((leg.party, leg.codec.clone()));
            }
            EventBody::Utterance(utterance) => self.apply_utterance(utterance),
            EventBody::Mood(mood) => {
                if self.may_have_mood() && self.is_said(mood.utterance_id(), mood.revision()) {
                    put(&mut self.moods, mood, Mood::utterance_id);
                    if !mood.words.is_unpleasant() {
                        // The words as they were revised ask for no kindness.
                        self.take_prompt(PromptKind::Empathy, mood.utterance_id());
                    }
                }
            }
            EventBody::Consent(consent) => {
                self.consent = Some(*consent);
                if !consent.mood {
                    self.forget_moods();
                }
            }
            EventBody::Intent(intent) => {
                if self.is_said(intent.utterance_id, intent.revision) {
                    put(&mut self.intents, intent, |intent| intent.utterance_id);
                    self.intents.retain(|intent| intent.name.is_some());
                    if intent.name.is_none() {
                        // The words as they were revised want nothing that a step would be for.
                        self.take_prompt(PromptKind::NextAction, intent.utterance_id);
                    }
                }
            }
            EventBody::Entities(found) => {
                if self.is_final(found.utterance_id, found.revision) {
                    put(&mut self.entities, found, |found| found.utterance_id);
                    self.entities.retain(|found| !found.entities.is_empty());
                }
            }
            EventBody::Redacted(redacted) => {
                self.redact(redacted.utterance_id);
                put(&mut self.redactions, redacted, |redacted| redacted.utterance_id);
            }
            EventBody::Prompt(prompt) => {
                let Quote { utterance_id, revision, .. } = prompt.evidence;
                let is_meant = prompt.about != PromptKind::Empathy
                    || self.may_have_mood() && self.is_said(utterance_id, revision);
                if is_meant && self.is_quoted(&prompt.evidence) {
                    let mut prompt = prompt.clone();
                    if !self.may_have_mood() {
                        prompt.forget_mood();
                    }
                    self.prompt = Some(prompt);
                }
            }
            EventBody::PromptAnswered(answered) => {
                self.prompt.take_if(|prompt| prompt.prompt_id == answered.prompt_id);
            }
            EventBody::Card(card) => {
                if self.is_said(card.evidence.utterance_id, card.evidence.revision) {
                    self.cards.retain(|open| open.evidence.utterance_id != card.evidence.utterance_id);
                    if self.cards.len() == MOST_OPEN_CARDS {
                        self.cards.remove(0);
                    }
                    self.cards.push(Card::clone(card));
                    self.cards_not_shown
                        .retain(|held| held.evidence.utterance_id != card.evidence.utterance_id);
                }
            }
            EventBody::CardHeldBack(held) => {
                if self.is_said(held.evidence.utterance_id, held.evidence.revision) {
                    put(&mut self.cards_not_shown, held, |held| held.evidence.utterance_id);
                }
            }
            EventBody::CardAnswered(answered) if answered.answer == CardAnswer::Copied => {}
            EventBody::CardAnswered(answered) => {
                self.cards.retain(|card| card.card_id != answered.card_id);
            }
            EventBody::Step(step) => self.step(step),
            EventBody::Checklist(item) => {
                if item.evidence.as_ref().is_none_or(|quote| self.is_quoted(quote)) {
                    match self.checklist.iter_mut().find(|known| known.name == item.name) {
                        Some(known) => *known = item.clone(),
                        None => self.checklist.push(item.clone()),
                    }
                }
            }
            EventBody::Talk(talk) => self.talk = Some(talk.clone()),
            EventBody::Load(load) => self.shedding = Some(load.shedding),
            EventBody::Participants(now) => {
                if let Some(started) = &mut self.started {
                    started.participants = now.participants.clone();
                }
            }
            EventBody::Paused(change) => {
                for party in self.parties(change.party) {
                    if !self.paused.contains(&party) {
                        self.paused.push(party);
                    }
                }
            }
            EventBody::Resumed(change) => {
                let back = self.parties(change.party);
                self.paused.retain(|party| !back.contains(party));
            }
            EventBody::Supervisor(now) => {
                self.supervisors.retain(|there| there.name != now.name);
                if now.attention.is_some() {
                    self.supervisors.push(now.clone());
                }
            }
            EventBody::LegEnded(_)
            | EventBody::Dtmf(_)
            | EventBody::Transferred(_)
            | EventBody::Withheld(_)
            | EventBody::AudioLost(_) => {}
        }
    }

    fn parties(&self, named: Option<Party>) -> Vec<Party> {
        // Nobody named: everybody, also those whose audio has not begun.
        named.map_or_else(|| vec![Party::Agent, Party::Customer, Party::Other], |party| vec![party])
    }

    fn apply_utterance(&mut self, new: &Utterance) {
        match self.utterances.binary_search_by_key(&new.utterance_id, |u| u.utterance_id) {
            // A partial that was overtaken by its final, or an older revision, must not undo it.
            Ok(at) if self.utterances[at].r#final && !new.r#final => return,
            Ok(at) if self.utterances[at].revision > new.revision => return,
            Ok(at) => self.utterances[at] = new.clone(),
            Err(at) => self.utterances.insert(at, new.clone()),
        }
        // They lie in words that are no more.
        self.entities.retain(|found| found.utterance_id != new.utterance_id);
        if new.party != Party::Customer {
            // Whoever these words were taken for, they are an employee's now.
            self.moods.retain(|mood| mood.utterance_id() != new.utterance_id);
            self.intents.retain(|intent| intent.utterance_id != new.utterance_id);
            self.take_prompt(PromptKind::Empathy, new.utterance_id);
            self.cards.retain(|card| card.evidence.utterance_id != new.utterance_id);
            self.cards_not_shown.retain(|held| held.evidence.utterance_id != new.utterance_id);
        }
        if new.r#final && new.text.is_empty() {
            self.moods.retain(|mood| mood.utterance_id() != new.utterance_id);
            self.intents.retain(|intent| intent.utterance_id != new.utterance_id);
            self.prompt.take_if(|prompt| prompt.evidence.utterance_id == new.utterance_id);
            self.cards.retain(|card| card.evidence.utterance_id != new.utterance_id);
            self.cards_not_shown.retain(|held| held.evidence.utterance_id != new.utterance_id);
            for item in &mut self.checklist {
                if item.evidence.take_if(|quote| quote.utterance_id == new.utterance_id).is_some() {
                    item.done = false;
                }
            }
        }
    }

    /// A prompt of this kind that rests on an utterance stands no more.
    fn take_prompt(&mut self, about: PromptKind, id: UtteranceId) {
        self.prompt.take_if(|prompt| prompt.about == about && prompt.evidence.utterance_id == id);
    }

    /// Leaves nothing of what was said in an utterance but that something was.
    pub fn redact(&mut self, id: UtteranceId) {
        if let Ok(at) = self.utterances.binary_search_by_key(&id, |u| u.utterance_id) {
            self.utterances[at].redact();
        }
        self.entities.retain(|found| found.utterance_id != id);
        self.cards.iter_mut().filter(|card| card.evidence.utterance_id == id).for_each(Card::redact);
        let held = self.cards_not_shown.iter_mut().filter(|held| held.evidence.utterance_id == id);
        held.for_each(CardNotShown::redact);
        let prompted = self.prompt.iter_mut().map(|prompt| &mut prompt.evidence);
        let ticked = self.checklist.iter_mut().filter_map(|item| item.evidence.as_mut());
        prompted.chain(ticked).filter(|quote| quote.utterance_id == id).for_each(Quote::redact);
    }

    /// Whether these are the final words of an utterance as they are now.
    #[must_use]
    pub fn is_final(&self, id: UtteranceId, revision: u32) -> bool {
        self.utterance(id).is_some_and(|said| said.r#final && said.revision == revision)
    }

    /// Whether something rests on final words as they are now.
    #[must_use]
    pub fn is_quoted(&self, quote: &Quote) -> bool {
        self.is_final(quote.utterance_id, quote.revision)
    }

    /// Whether the customer has not said that their mood is not to be read.
    #[must_use]
    pub fn may_have_mood(&self) -> bool {
        self.consent.is_none_or(|consent| consent.mood)
    }

    /// Whether these are the customer's final words, as they are now: all that mood and intent are understood of, and all
    /// that cards rest on.
    #[must_use]
    pub fn is_said(&self, id: UtteranceId, revision: u32) -> bool {
        let said = self.utterance(id).and_then(CustomerUtterance::of);
        said.is_some_and(|said| said.utterance().revision == revision)
    }

    /// The transcript: final utterances with words, in the order they began.
    pub fn finals(&self) -> impl Iterator<Item = &Utterance> {
        self.utterances.iter().filter(|u| u.r#final && !u.text.is_empty())
    }

    /// The newest text of an utterance.
    #[must_use]
    pub fn utterance(&self, id: UtteranceId) -> Option<&Utterance> {
        let at = self.utterances.binary_search_by_key(&id, |u| u.utterance_id).ok()?;
        self.utterances.get(at)
    }

    /// The customer's mood as it was estimated last.
    #[must_use]
    pub fn mood_now(&self) -> Option<&Mood> {
        self.moods.last()
    }

    /// What the customer wants, as they said last.
    #[must_use]
    pub fn intent_now(&self) -> Option<&Intent> {
        self.intents.last()
    }
}

/// Puts something about an utterance in its place, where it replaces what was said about it before.
fn put<T: Clone>(all: &mut Vec<T>, new: &T, id: impl Fn(&T) -> UtteranceId) {
    match all.binary_search_by_key(&id(new), id) {
        Ok(at) => all[at] = new.clone(),
        Err(at) => all.insert(at, new.clone()),
    }
}
