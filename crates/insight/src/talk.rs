//! How a call's time goes: who speaks for how long, who begins while somebody else speaks, and when nobody does.
//!
//! All of it by the times of final words, so that a replay comes to the same, and the same for prompts and for figures.

use std::collections::BTreeMap;

use sotto_call::{CallEvent, EventBody, Millis, Party, PartyTalk, Talk, Utterance, UtteranceId};

/// When nobody has spoken for so long, the air is dead.
pub(crate) const DEAD_AIR: Millis = Millis(10_000);
/// Whoever speaks beside somebody else for so long and so many words is not just agreeing.
const OVERLAP: Millis = Millis(1_000);
const OVERLAP_WORDS: usize = 3;
/// Among so many stretches before it the one is looked for that somebody interrupts.
const NEAR: usize = 32;

/// When somebody spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub party: Party,
    pub start: Millis,
    pub end: Millis,
    words: usize,
}

impl Stretch {
    pub(crate) fn of(said: &Utterance) -> Self {
        let words = said.text.split_whitespace().count();
        Self { party: said.party, start: said.start_ms, end: said.end_ms, words }
    }

    /// Whether it began while somebody else spoke, and went on beside them.
    pub(crate) fn interrupts(&self, other: &Self) -> bool {
        self.party != other.party
            && self.start > other.start
            && self.end.min(other.end).since(self.start) >= OVERLAP
            && self.words >= OVERLAP_WORDS
    }
}

/// Measures how a call's time goes, from the events of its log.
#[derive(Debug, Default)]
pub struct TalkMeter {
    said: BTreeMap<UtteranceId, Stretch>,
    /// When the customer was on hold.
    holds: Vec<(Millis, Millis)>,
    /// Since when they are.
    held_since: Option<Millis>,
}

impl TalkMeter {
    /// Takes in the next event of the log.
    pub fn apply(&mut self, event: &CallEvent) {
        match &event.body {
            EventBody::Utterance(said) if said.r#final => {
                if said.text.trim().is_empty() {
                    self.said.remove(&said.utterance_id);
                } else {
                    self.said.insert(said.utterance_id, Stretch::of(said));
                }
            }
            EventBody::Paused(change) if change.concerns(Party::Customer) => {
                self.held_since.get_or_insert(event.at_ms);
            }
            EventBody::Resumed(change) if change.concerns(Party::Customer) => {
                self.holds.extend(self.held_since.take().map(|since| (since, event.at_ms)));
            }
            _ => {}
        }
    }

    /// How the time went so far; nothing, when nobody said anything.
    #[must_use]
    pub fn talk(&self) -> Option<Talk> {
        self.measured().map(|(talk, _)| talk)
    }

    /// When there was dead air so far, from when to when.
    #[must_use]
    pub fn dead_air(&self) -> Vec<(Millis, Millis)> {
        self.measured().map(|(_, silences)| silences).unwrap_or_default()
    }

    /// With which utterances a party interrupted somebody so far, in the order of their begins.
    #[must_use]
    pub fn interruptions(&self, party: Party) -> Vec<UtteranceId> {
        let all = self.in_order();
        let theirs = (0..all.len()).filter(|n| all[*n].1.party == party && interrupts(&all, *n));
        theirs.map(|n| all[n].0).collect()
    }

    /// When somebody spoke, in the order of the begins.
    fn in_order(&self) -> Vec<(UtteranceId, Stretch)> {
        let mut all: Vec<_> = self.said.iter().map(|(id, one)| (*id, *one)).collect();
        all.sort_by_key(|(_, one)| one.start);
        all
    }

    /// How the time went, and when the air was dead.
    fn measured(&self) -> Option<(Talk, Vec<(Millis, Millis)>)> {
        let first = self.said.values().map(|one| one.start).min()?;
        let last = self.said.values().map(|one| one.end).max()?.max(first);
        let all = self.in_order();
        let mut parties: BTreeMap<Party, PartyTalk> = BTreeMap::new();
        // When somebody begins to speak or stops, each party once at a time; and when a hold begins or ends.
        let mut edges: Vec<(Millis, Edge)> = Vec::new();
        for (n, (_, one)) in all.iter().enumerate() {
            let party = one.party;
            let of_party = PartyTalk { party, talk_ms: Millis(0), interruptions: 0 };
            let known = parties.entry(party).or_insert(of_party);
            known.interruptions += u32::from(interrupts(&all, n));
        }
        for known in parties.values_mut() {
            let theirs = all.iter().map(|(_, one)| one).filter(|one| one.party == known.party);
            for (start, end) in joined(theirs) {
                known.talk_ms = known.talk_ms + end.since(start);
                edges.extend([(start, Edge::Speaks(1)), (end, Edge::Speaks(-1))]);
            }
        }
        let open = self.held_since.map(|since| (since, last));
        for (start, end) in self.holds.iter().copied().chain(open) {
            let within = |at: Millis| at.clamp(first, last);
            edges.extend([(within(start), Edge::Holds(1)), (within(end), Edge::Holds(-1))]);
        }
        edges.sort_by_key(|(at, _)| *at);
        let mut talk = Talk { parties: parties.into_values().collect(), ..Talk::default() };
        let mut silences = Vec::new();
        let (mut speaking, mut held, mut at, mut silence) = (0, 0, first, Millis(0));
        for (next, edge) in edges {
            let passed = next.since(at);
            if speaking > 1 {
                talk.overlap_ms = talk.overlap_ms + passed;
            } else if speaking == 0 && held == 0 {
                talk.silence_ms = talk.silence_ms + passed;
                silence = silence + passed;
            }
            at = next;
            match edge {
                Edge::Speaks(by) => speaking += by,
                Edge::Holds(by) => held += by,
            }
            if speaking > 0 || held > 0 {
                if silence >= DEAD_AIR {
                    talk.dead_air_ms = talk.dead_air_ms + silence;
                    silences.push((at.since(silence), at));
                }
                silence = Millis(0);
            }
        }
        Some((talk, silences))
    }
}

/// Whether a stretch interrupts one of those before it.
fn interrupts(all: &[(UtteranceId, Stretch)], n: usize) -> bool {
    all[..n].iter().rev().take(NEAR).any(|(_, other)| all[n].1.interrupts(other))
}

#[derive(Clone, Copy)]
enum Edge {
    Speaks(i32),
    Holds(i32),
}

/// Stretches in the order of their begins, those that touch as one.
fn joined<'a>(stretches: impl Iterator<Item = &'a Stretch>) -> Vec<(Millis, Millis)> {
    let mut joined: Vec<(Millis, Millis)> = Vec::new();
    for one in stretches {
        match joined.last_mut() {
            Some((_, end)) if one.start <= *end => *end = one.end.max(*end),
            _ => joined.push((one.start, one.end)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sotto_call::PartyChange;
    use sotto_call::testing::utterance;

    use super::*;

    /// So many words from one second to another.
    fn said(id: u32, party: Party, from: u64, to: u64, words: usize) -> EventBody {
        let (start_ms, end_ms) = (Millis(from * 1_000), Millis(to * 1_000));
        EventBody::Utterance(Utterance { start_ms, end_ms, ..utterance(id, party, &"so ".repeat(words)) })
    }

    fn hold(party: Option<Party>) -> PartyChange {
        PartyChange { party }
    }

    /// What has taken in events at these seconds.
    fn meter(events: impl IntoIterator<Item = (u64, EventBody)>) -> TalkMeter {
        let mut meter = TalkMeter::default();
        for ((s, body), seq) in events.into_iter().zip(1..) {
            meter.apply(&CallEvent { seq, at_ms: Millis(s * 1_000), body });
        }
        meter
    }

    fn measured(events: impl IntoIterator<Item = (u64, EventBody)>) -> Option<Talk> {
        meter(events).talk()
    }

    #[test]
    fn where_the_air_was_dead_and_who_interrupted_is_told() {
        let meter = meter([
            (12, said(2, Party::Customer, 5, 12, 20)),
            (15, said(3, Party::Agent, 10, 15, 9)),
            (28, said(5, Party::Agent, 27, 28, 4)),
            (30, said(6, Party::Customer, 29, 30, 4)),
        ]);
        assert_eq!(meter.dead_air(), [(Millis(15_000), Millis(27_000))]);
        assert_eq!(meter.interruptions(Party::Agent), [UtteranceId(3)]);
        assert_eq!(meter.interruptions(Party::Customer), []);
        assert_eq!(TalkMeter::default().dead_air(), []);
    }

    fn of(talk: &Talk, party: Party) -> (u64, u32) {
        let one = talk.parties.iter().find(|one| one.party == party).unwrap();
        (one.talk_ms.0 / 1_000, one.interruptions)
    }

    #[test]
    fn a_calls_time_is_divided_between_those_who_spoke_and_nobody() {
        let talk = measured([
            (4, said(1, Party::Agent, 0, 4, 8)),
            (12, said(2, Party::Customer, 5, 12, 20)),
            // Two seconds before the customer is done, and three words at least.
            (15, said(3, Party::Agent, 10, 15, 9)),
            // "Yes, yes" beside the agent interrupts nobody.
            (14, said(4, Party::Customer, 13, 15, 2)),
            // Twelve seconds of nothing, then a second.
            (28, said(5, Party::Agent, 27, 28, 4)),
            (30, said(6, Party::Customer, 29, 30, 4)),
        ]);
        let talk = talk.unwrap();
        assert_eq!(of(&talk, Party::Agent), (10, 1));
        assert_eq!(of(&talk, Party::Customer), (10, 0));
        assert_eq!(talk.parties.len(), 2);
        assert_eq!(talk.overlap_ms, Millis(4_000));
        assert_eq!((talk.silence_ms, talk.dead_air_ms), (Millis(14_000), Millis(12_000)));
    }

    #[test]
    fn a_hold_is_no_silence_and_ends_one() {
        let talk = |paused: Option<Party>, resumed: bool| {
            let mut events = vec![
                (2, said(1, Party::Agent, 0, 2, 3)),
                (8, EventBody::Paused(hold(paused))),
                (40, said(2, Party::Customer, 38, 40, 3)),
            ];
            if resumed {
                events.insert(2, (32, EventBody::Resumed(hold(paused))));
            }
            let talk = measured(events).unwrap();
            (talk.silence_ms.0 / 1_000, talk.dead_air_ms.0 / 1_000)
        };
        // Six seconds before, six after: neither is long.
        assert_eq!(talk(None, true), (12, 0));
        assert_eq!(talk(Some(Party::Customer), true), (12, 0));
        assert_eq!(talk(Some(Party::Customer), false), (6, 0), "still on hold when the last words were said");
        assert_eq!(talk(Some(Party::Agent), true), (36, 36), "the customer waits and hears nothing");
    }

    #[test]
    fn words_that_are_taken_back_were_no_talk() {
        let first = said(1, Party::Agent, 0, 4, 5);
        assert_eq!(measured([(4, first.clone()), (6, said(1, Party::Agent, 0, 4, 0))]), None);
        assert_eq!(measured([]), None);
        let partial = Utterance { r#final: false, ..utterance(1, Party::Agent, "so") };
        assert_eq!(measured([(4, EventBody::Utterance(partial))]), None);
        let talk = measured([(4, first), (6, said(1, Party::Agent, 0, 3, 5))]).unwrap();
        assert_eq!(of(&talk, Party::Agent), (3, 0));
    }

    proptest! {
        #[test]
        fn all_time_is_somebodys_or_nobodys(
            all in prop::collection::vec((0u32..20, 0usize..3, 0u64..300, 0u64..15, 1usize..9), 1..30),
            holds in prop::collection::vec((0u64..300, prop::bool::ANY), 0..6),
        ) {
            let parties = [Party::Agent, Party::Customer, Party::Other];
            let mut events: Vec<(u64, EventBody)> = all
                .iter()
                .map(|(id, party, from, length, words)| {
                    (from + length, said(*id, parties[*party], *from, from + length, *words))
                })
                .collect();
            events.extend(holds.iter().map(|(at, is_held)| {
                let change = hold(None);
                (*at, if *is_held { EventBody::Paused(change) } else { EventBody::Resumed(change) })
            }));
            events.sort_by_key(|(at, _)| *at);
            let talk = measured(events.clone()).unwrap();
            let mut newest = BTreeMap::new();
            for (_, body) in &events {
                if let EventBody::Utterance(said) = body {
                    newest.insert(said.utterance_id, (said.start_ms, said.end_ms));
                }
            }
            let first = newest.values().map(|(start, _)| *start).min().unwrap();
            let last = newest.values().map(|(_, end)| *end).max().unwrap();
            let spoken: u64 = talk.parties.iter().map(|one| one.talk_ms.0).sum();
            let whole = last.since(first).0;
            prop_assert!(talk.dead_air_ms <= talk.silence_ms && talk.silence_ms.0 <= whole);
            prop_assert!(talk.parties.iter().all(|one| one.talk_ms.0 <= whole));
            prop_assert!(talk.overlap_ms.0 <= spoken);
            if holds.iter().all(|(_, is_held)| !is_held) {
                // Of three at once the overlap is counted once.
                prop_assert!(spoken + talk.silence_ms.0 >= whole + talk.overlap_ms.0);
                prop_assert!(spoken + talk.silence_ms.0 <= whole + 2 * talk.overlap_ms.0);
            }
        }
    }
}
