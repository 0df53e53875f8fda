//! What is said that somebody should look at: customers who are unhappy, or want or say what supervisors are to know of. Each
//! rests on a sentence, follows its revisions and falls when it is taken back.

use std::collections::{BTreeMap, VecDeque};

use sotto_call::{ArcPoint, Intent, Millis, Mood, Party, TurnDirection, Utterance, UtteranceId};

use super::{AlertKind, Evidence, Fact};
use crate::alerts::Rules;

/// The newest finals that an alert may rest on.
const REMEMBERED: usize = 32;
/// When supervisors are told again of words that they have come for, if these are said again.
const AGAIN: Millis = Millis(300_000);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// What was said last, in finals, and by whom.
    said: VecDeque<(Party, Evidence)>,
    /// The first words of the call.
    first: Option<Evidence>,
    unhappy: Option<(Millis, Evidence)>,
    /// The newest words of the customer that a mood was read of: how they feel now.
    felt: Option<UtteranceId>,
    raised: Vec<Raised>,
}

/// Something that somebody wants or says and supervisors are to know of.
#[derive(Debug)]
struct Raised {
    kind: AlertKind,
    /// Tells it from the others of its kind.
    name: String,
    title: BTreeMap<String, String>,
    party: Party,
    since: Millis,
    /// The utterances that say it, as they are now, never none. The first is what is shown.
    evidence: Vec<Evidence>,
    /// When it was seen first by a supervisor on the call.
    seen: Option<Millis>,
}

impl Raised {
    fn rests_on(&self, id: UtteranceId) -> bool {
        self.evidence.iter().any(|said| said.utterance_id == id)
    }
}

impl Words {
    /// Remembers what was said, as it was revised last, and looks for words that matter.
    pub(super) fn hear(&mut self, utterance: &Utterance, at: Millis, rules: &Rules) {
        if !utterance.r#final {
            return;
        }
        let (id, party, text) = (utterance.utterance_id, utterance.party, utterance.text.as_str());
        self.said.retain(|(_, said)| said.utterance_id != id);
        if text.is_empty() || party != Party::Customer {
            self.is_not_unhappy_by(id);
        }
        if party != Party::Customer {
            // Whoever these words were taken for, an employee wants nothing of us.
            self.take_back(id, |one| one.kind == AlertKind::Wants);
        }
        if text.is_empty() {
            // Nothing was said: what rested on it falls.
            self.take_back(id, |_| true);
            self.first.take_if(|first| first.utterance_id == id);
            return;
        }
        let said = Evidence { utterance_id: id, text: text.to_owned() };
        self.first.get_or_insert_with(|| said.clone());
        let unhappy = self.unhappy.iter_mut().map(|(_, evidence)| evidence);
        let raised = self.raised.iter_mut().flat_map(|one| &mut one.evidence);
        let shown = unhappy.chain(raised).chain(&mut self.first);
        shown.filter(|shown| shown.utterance_id == id).for_each(|shown| text.clone_into(&mut shown.text));
        let found: Vec<_> = rules.words_in(party, text).collect();
        self.raise(AlertKind::Said, party, &said, &found, at);
        self.said.push_back((party, said));
        if self.said.len() > REMEMBERED {
            self.said.pop_front();
        }
    }

    /// What was said in an utterance, if that is remembered.
    pub(super) fn said(&self, id: UtteranceId) -> Option<&Evidence> {
        self.said.iter().map(|(_, said)| said).find(|said| said.utterance_id == id)
    }

    /// The same, if the customer said it.
    fn customer_said(&self, id: UtteranceId) -> Option<&Evidence> {
        let by_customer = self.said.iter().filter(|(party, _)| *party == Party::Customer);
        by_customer.map(|(_, said)| said).find(|said| said.utterance_id == id)
    }

    /// The first words of the call, and the newest.
    pub(super) fn first(&self) -> Option<&Evidence> {
        self.first.as_ref()
    }

    pub(super) fn newest(&self) -> Option<&Evidence> {
        self.said.back().map(|(_, said)| said)
    }

    /// Notes how the customer feels, as far as words tell.
    pub(super) fn feel(&mut self, mood: &Mood, at: Millis) {
        let id = mood.utterance_id();
        if !mood.words.is_unpleasant() {
            // An alert does not rest on words that say nothing of the kind once they are revised.
            self.is_not_unhappy_by(id);
        }
        let Some(said) = self.customer_said(id) else { return };
        if self.felt.is_some_and(|newest| id < newest) {
            // Earlier words that were revised: how the customer feels now, they have said since.
            return;
        }
        let ArcPoint { valence, deviation, .. } = mood.arc;
        if valence < -deviation && self.unhappy.is_none() {
            let decline = mood.turn.filter(|turn| turn.direction == TurnDirection::Decline);
            let evidence = decline.and_then(|turn| self.customer_said(turn.since)).unwrap_or(said).clone();
            self.unhappy = Some((at, evidence));
        } else if valence >= 0.0 {
            self.unhappy = None;
        }
        self.felt = Some(id);
    }

    /// Nobody is unhappy by what was said in an utterance.
    fn is_not_unhappy_by(&mut self, id: UtteranceId) {
        self.unhappy.take_if(|(_, evidence)| evidence.utterance_id == id);
    }

    /// The customer does not agree that anybody knows how they feel, or somebody else has taken their place.
    pub(super) fn forget_mood(&mut self) {
        self.unhappy = None;
    }

    /// Notes what the customer wants, or that they did not want it.
    pub(super) fn want(&mut self, intent: &Intent, at: Millis) {
        let Some(evidence) = self.customer_said(intent.utterance_id).cloned() else { return };
        let name = intent.name.iter().filter(|_| intent.alert);
        let wanted: Vec<_> = name.map(|name| (name.clone(), &intent.title)).collect();
        self.raise(AlertKind::Wants, Party::Customer, &evidence, &wanted, at);
    }

    /// Notes all of a kind that an utterance says, in place of what it said before it was revised.
    fn raise(
        &mut self,
        kind: AlertKind,
        party: Party,
        evidence: &Evidence,
        all: &[(String, &BTreeMap<String, String>)],
        at: Millis,
    ) {
        let id = evidence.utterance_id;
        self.take_back(id, |one| one.kind == kind && all.iter().all(|(name, _)| *name != one.name));
        let again = if kind == AlertKind::Said { AGAIN } else { Millis(0) };
        for (name, title) in all {
            let is_same = |one: &Raised| one.kind == kind && one.name == *name;
            if self.raised.iter().any(|one| is_same(one) && one.rests_on(id)) {
                continue;
            }
            let is_known = |one: &Raised| is_same(one) && one.seen.is_none_or(|seen| at.since(seen) < again);
            if let Some(known) = self.raised.iter_mut().rfind(|one| is_known(one)) {
                // What was said so long ago is not revised any more.
                if known.evidence.len() < REMEMBERED {
                    known.evidence.push(evidence.clone());
                }
            } else {
                let (name, title, evidence) = (name.clone(), (*title).clone(), vec![evidence.clone()]);
                self.raised.push(Raised { kind, name, title, party, since: at, evidence, seen: None });
            }
        }
    }

    /// An utterance does not say any more what some of these rest on; those that rest on no other fall.
    fn take_back(&mut self, id: UtteranceId, is_taken: impl Fn(&Raised) -> bool) {
        self.raised.retain_mut(|one| {
            if is_taken(one) {
                one.evidence.retain(|said| said.utterance_id != id);
            }
            !one.evidence.is_empty()
        });
    }

    /// A supervisor is on the call.
    pub(super) fn are_seen(&mut self, at: Millis) {
        self.raised.iter_mut().for_each(|one| _ = one.seen.get_or_insert(at));
    }

    /// What may be worth an alert.
    pub(super) fn facts(&self) -> impl Iterator<Item = Fact<'_>> {
        let unhappy = self.unhappy.iter().map(|(since, evidence)| Fact {
            party: Some(Party::Customer),
            evidence: Some(evidence),
            ..Fact::new(AlertKind::Unhappy, *since)
        });
        let raised = self.raised.iter().filter(|one| one.seen.is_none()).map(|one| Fact {
            party: Some(one.party),
            title: Some(&one.title),
            evidence: one.evidence.first(),
            ..Fact::new(one.kind, one.since)
        });
        unhappy.chain(raised)
    }
}
