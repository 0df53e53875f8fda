//! Which of the passages that are found while a customer talks are shown to the agent.
//!
//! Nothing is shown twice on a call, and nothing that is not sure enough. Two cards stand at the most: one more takes the
//! place of the older if it is surer than that, or if that has stood for long enough to be read. Whatever is not shown is
//! told with the next card, and that it is not is an event of the log.
//!
//! A plain value: events, times and the cards that stand are passed in. What it knows of earlier cards it takes from the
//! log. The constants are judged, not learned.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use sotto_call::{
    CallEvent, Card, CardAnswer, CardHeldBack, CardHeldBackBecause, EventBody, MOST_OPEN_CARDS, Millis,
};

/// How long a card stands.
const STANDS: Millis = Millis(90_000);
/// How long it takes to read a card and use it: until then another that is no surer does not take its place.
const READ: Millis = Millis(15_000);
/// So many cards within a time, and no more.
const MOST: usize = 3;
const WITHIN: Millis = Millis(30_000);
/// Passages that are said to have been held back; of more the oldest are left out.
const MOST_HELD_BACK: usize = 4;

/// A document's name, and a passage's place in it.
type Passage = (String, u32);

/// Decides what is shown on one call of what is found.
#[derive(Debug)]
pub struct Cards {
    /// The confidence from which a passage is shown.
    sure: f32,
    /// By their numbers, what they showed.
    shown: BTreeMap<u32, Passage>,
    /// When the newest ones were shown.
    times: VecDeque<Millis>,
    /// What somebody said is wrong.
    wrong: BTreeSet<Passage>,
    held_back: Vec<CardHeldBack>,
}

impl Cards {
    /// For a call that begins, on which passages are shown from this confidence on.
    #[must_use]
    pub fn from_confidence(sure: f32) -> Self {
        let (shown, times, wrong) = Default::default();
        Self { sure, shown, times, wrong, held_back: Vec::new() }
    }

    /// Takes in the next event of the log.
    pub fn apply(&mut self, event: &CallEvent) {
        match &event.body {
            EventBody::Card(card) => {
                self.shown.insert(card.card_id, passage(card));
                self.times.push_back(event.at_ms);
                if self.times.len() > MOST {
                    self.times.pop_front();
                }
            }
            EventBody::CardAnswered(answered) if answered.answer == CardAnswer::Wrong => {
                self.wrong.extend(self.shown.get(&answered.card_id).cloned());
            }
            _ => {}
        }
    }

    /// What becomes of a passage that was found, where these [stand](sotto_call::CallState::cards): a card with its
    /// number, and with what was held back before it; that it is held back; or nothing, where it stands already for the
    /// same words.
    pub fn next(&mut self, found: Card, now: Millis, cards: &[Card]) -> Option<EventBody> {
        let open: Vec<&Card> = cards.iter().filter(|card| card.expires_at_ms > now).collect();
        // The same words, revised: their card stays, or another takes its place.
        let earlier = open.iter().find(|open| open.evidence.utterance_id == found.evidence.utterance_id);
        if earlier.is_some_and(|open| passage(open) == passage(&found)) {
            return None;
        }
        let others = if earlier.is_none() { Some(&open[..]) } else { None };
        self.held_back.retain(|one| one.title != found.title || one.section != found.section);
        if let Some(because) = self.objection(&found, others, now) {
            let not_shown = found.not_shown(because);
            self.held_back.push(found.held_back(because));
            if self.held_back.len() > MOST_HELD_BACK {
                self.held_back.remove(0);
            }
            return Some(EventBody::CardHeldBack(not_shown));
        }
        let card_id = self.shown.last_key_value().map_or(1, |(last, _)| last + 1);
        let held_back = std::mem::take(&mut self.held_back);
        let card = Card { card_id, expires_at_ms: now + STANDS, held_back, ..found };
        Some(EventBody::Card(Box::new(card)))
    }

    /// Why a passage is not shown, if it is not. `others` stand beside it; absent where it takes the place of one.
    fn objection(&self, found: &Card, others: Option<&[&Card]>, now: Millis) -> Option<CardHeldBackBecause> {
        let passage = passage(found);
        let is_too_soon = || {
            let first = self.times.front().filter(|_| self.times.len() == MOST);
            first.is_some_and(|at| now.since(*at) < WITHIN)
        };
        let is_full = |others: &[&Card]| {
            let older = others.first().filter(|_| others.len() == MOST_OPEN_CARDS);
            older.is_some_and(|older| {
                now.since(older.expires_at_ms.since(STANDS)) < READ && found.confidence <= older.confidence
            })
        };
        if self.wrong.contains(&passage) {
            Some(CardHeldBackBecause::Wrong)
        } else if self.shown.values().any(|shown| *shown == passage) {
            Some(CardHeldBackBecause::Shown)
        } else if found.confidence < self.sure {
            Some(CardHeldBackBecause::NotSure)
        } else if others.is_some() && is_too_soon() {
            Some(CardHeldBackBecause::TooSoon)
        } else if others.is_some_and(is_full) {
            Some(CardHeldBackBecause::Full)
        } else {
            None
        }
    }
}

fn passage(card: &Card) -> Passage {
    (card.document.clone(), card.passage)
}

#[cfg(test)]
mod tests {
    use sotto_call::testing::{card, utterance};
    use sotto_call::{CallLog, CallState, CardAnswered, Party, Utterance};

    use super::CardHeldBackBecause::*;
    use super::*;

    /// A call in which passages are found, and answered.
    struct Call {
        cards: Cards,
        log: CallLog,
        state: CallState,
        events: Vec<CallEvent>,
    }

    impl Call {
        fn new() -> Self {
            let mut call = Self {
                cards: Cards::from_confidence(0.5),
                log: CallLog::default(),
                state: CallState::default(),
                events: Vec::new(),
            };
            for id in 1..=9 {
                call.happens(0, EventBody::Utterance(utterance(id, Party::Customer, "how?")));
            }
            call
        }

        fn happens(&mut self, s: u64, body: EventBody) {
            let event = self.log.append(Millis(s * 1_000), body);
            self.cards.apply(&event);
            self.state.apply(&event);
            self.events.push(event);
        }

        /// Something is found for an utterance: the number of its card, if it is shown.
        fn finds(&mut self, s: u64, id: u32, document: &str, confidence: f32) -> Option<u32> {
            let said = utterance(id, Party::Customer, "how?");
            let found = Card { confidence, title: document.to_owned(), ..card(document, &said) };
            let decided = self.cards.next(found, Millis(s * 1_000), &self.state.cards)?;
            let id = if let EventBody::Card(card) = &decided { Some(card.card_id) } else { None };
            self.happens(s, decided);
            id
        }

        fn answers(&mut self, s: u64, card_id: u32, answer: CardAnswer) {
            let by = "mina".to_owned();
            self.happens(s, EventBody::CardAnswered(CardAnswered { card_id, answer, by }));
        }

        /// What was held back with the newest card.
        fn held(&self) -> Vec<(&str, CardHeldBackBecause)> {
            let newest = self.state.cards.last();
            newest
                .into_iter()
                .flat_map(|card| &card.held_back)
                .map(|one| (one.title.as_str(), one.because))
                .collect()
        }

        fn open(&self) -> Vec<u32> {
            self.state.cards.iter().map(|card| card.card_id).collect()
        }
    }

    #[test]
    fn nothing_is_shown_twice_nor_what_is_not_sure_or_was_called_wrong() {
        let mut call = Call::new();
        assert_eq!(call.finds(1, 1, "a", 0.49), None);
        assert_eq!(call.finds(2, 2, "b", 0.5), Some(1));
        assert_eq!(call.held(), [("a", NotSure)]);
        call.answers(3, 1, CardAnswer::Wrong);
        assert_eq!(call.finds(4, 3, "b", 0.9), None);
        assert_eq!(call.finds(5, 3, "a", 0.8), Some(2));
        assert_eq!(call.held(), [("b", Wrong)]);
        call.answers(6, 2, CardAnswer::Dismissed);
        assert_eq!(call.finds(40, 4, "a", 0.8), None);
        let kept = call.state.cards_not_shown.iter().map(|one| (one.evidence.utterance_id.0, one.because));
        assert_eq!(kept.collect::<Vec<_>>(), [(1, NotSure), (4, Shown)], "the third has a card by now");
        assert_eq!(call.finds(41, 5, "c", 0.8), Some(3));
        assert_eq!(call.held(), [("a", Shown)]);
    }

    #[test]
    fn a_third_card_takes_the_place_of_the_older_if_it_is_surer_or_that_has_been_read() {
        let mut call = Call::new();
        assert_eq!((call.finds(0, 1, "a", 0.7), call.finds(1, 2, "b", 0.9)), (Some(1), Some(2)));
        assert_eq!(call.finds(10, 3, "c", 0.7), None);
        assert_eq!(call.finds(10, 4, "d", 0.8), Some(3));
        assert_eq!((call.open(), call.held()), (vec![2, 3], vec![("c", Full)]));
        let mut call = Call::new();
        assert_eq!((call.finds(0, 1, "a", 0.7), call.finds(1, 2, "b", 0.9)), (Some(1), Some(2)));
        assert_eq!(call.finds(15, 3, "c", 0.6), Some(3));
        assert_eq!(call.open(), [2, 3]);
        // Those that help no more do not count.
        assert_eq!(call.finds(200, 4, "d", 0.5), Some(4));
        assert_eq!(call.finds(201, 5, "e", 0.5), Some(5));
        assert_eq!(call.open(), [4, 5]);
    }

    #[test]
    fn no_more_than_three_come_in_half_a_minute() {
        let mut call = Call::new();
        for (s, id, document) in [(0, 1, "a"), (1, 2, "b"), (2, 3, "c")] {
            assert_eq!(call.finds(s, id, document, 0.6 + s as f32 / 10.0), Some(id));
        }
        assert_eq!(call.finds(29, 4, "d", 0.99), None);
        assert_eq!(call.finds(30, 5, "e", 0.99), Some(4));
        assert_eq!(call.held(), [("d", TooSoon)]);
    }

    #[test]
    fn words_that_are_revised_keep_their_card_or_have_another() {
        let mut call = Call::new();
        for (s, id, document) in [(0, 1, "a"), (1, 2, "b")] {
            assert_eq!(call.finds(s, id, document, 0.9), Some(id));
        }
        assert_eq!(call.finds(2, 1, "a", 0.6), None);
        assert_eq!(call.finds(3, 2, "c", 0.6), Some(3));
        assert_eq!((call.open(), call.held()), (vec![1, 3], vec![]));
        let nothing = Utterance { revision: 1, text: String::new(), ..utterance(1, Party::Customer, "") };
        call.happens(4, EventBody::Utterance(nothing));
        assert_eq!(call.open(), [3]);
    }

    #[test]
    fn what_the_call_shows_no_more_takes_no_place() {
        let mut call = Call::new();
        assert_eq!((call.finds(0, 1, "a", 0.9), call.finds(1, 2, "b", 0.9)), (Some(1), Some(2)));
        let agents = Utterance { revision: 1, ..utterance(1, Party::Agent, "how?") };
        call.happens(2, EventBody::Utterance(agents));
        assert_eq!((call.finds(3, 3, "c", 0.6), call.open()), (Some(3), vec![2, 3]));
    }

    #[test]
    fn what_the_call_still_shows_keeps_its_place() {
        let mut call = Call::new();
        assert_eq!((call.finds(0, 1, "a", 0.9), call.finds(1, 2, "b", 0.9)), (Some(1), Some(2)));
        // An older revision that says nothing takes nothing back.
        let said = |revision, text: &str| Utterance { revision, ..utterance(1, Party::Customer, text) };
        call.happens(2, EventBody::Utterance(said(1, "how then?")));
        call.happens(3, EventBody::Utterance(said(0, "")));
        assert_eq!((call.finds(4, 3, "c", 0.6), call.open()), (None, vec![1, 2]));
    }

    #[test]
    fn whoever_reads_the_log_decides_the_same() {
        let mut call = Call::new();
        call.finds(0, 1, "a", 0.7);
        call.finds(1, 2, "b", 0.9);
        call.answers(2, 1, CardAnswer::Wrong);
        let mut again = Cards::from_confidence(0.5);
        call.events.iter().for_each(|event| again.apply(event));
        for (document, confidence) in [("a", 0.9), ("b", 0.9), ("c", 0.4), ("d", 0.9)] {
            let said = utterance(3, Party::Customer, "how?");
            let found = Card { confidence, ..card(document, &said) };
            let (now, open) = (Millis(3_000), &call.state.cards);
            let decided = call.cards.next(found.clone(), now, open);
            assert_eq!(again.next(found, now, open), decided, "{document}");
        }
    }
}
