//! What the customer's words say that somebody should look at: that they are unhappy, or want what supervisors are to
//! know of. Each rests on a sentence, follows its revisions and falls when it is taken back.

use std::collections::{BTreeMap, VecDeque};

use sotto_call::{ArcPoint, Intent, Millis, Mood, Party, TurnDirection, Utterance, UtteranceId};

use super::{AlertKind, Evidence, Fact};

/// The customer's newest finals that an alert may rest on.
const REMEMBERED: usize = 16;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Words {
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

impl Words {
    /// Remembers what the customer said, as it was revised last.
    pub(super) fn hear(&mut self, utterance: &Utterance) {
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

    /// Notes how the customer feels, as far as words tell.
    pub(super) fn feel(&mut self, mood: &Mood, at: Millis) {
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

    /// Notes what the customer wants, or that they did not want it.
    pub(super) fn want(&mut self, intent: &Intent, at: Millis) {
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

    /// A supervisor has come to the call.
    pub(super) fn are_seen(&mut self) {
        self.wants.iter_mut().for_each(|want| want.seen = true);
    }

    /// What may be worth an alert.
    pub(super) fn facts(&self) -> impl Iterator<Item = Fact<'_>> {
        let party = Some(Party::Customer);
        let unhappy = self.unhappy.iter().map(move |(since, evidence)| {
            let (kind, since, evidence) = (AlertKind::Unhappy, *since, Some(evidence));
            Fact { kind, party, since, title: None, evidence }
        });
        let wants = self.wants.iter().filter(|want| !want.seen).map(move |want| {
            let (kind, since) = (AlertKind::Wants, want.since);
            Fact { kind, party, since, title: Some(&want.title), evidence: Some(&want.evidence) }
        });
        unhappy.chain(wants)
    }
}
