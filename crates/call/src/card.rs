//! What is written down and may answer what a customer has asked: always with the words it rests on, where it stands, and
//! how old it is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CallState, EventBody, Millis, Quote, Span, Withheld};

/// Cards that are open at the same time. One more takes the place of the oldest.
pub const MOST_OPEN_CARDS: usize = 2;

/// See [`EventBody::Card`].
///
/// It stands until it is answered (which copying it does not), until another takes its place ([`MOST_OPEN_CARDS`]; or one
/// about the same utterance, whose words were revised), or until it expires, whichever is first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Card {
    /// Its number within the call, from 1.
    pub card_id: u32,
    /// The document's name in the hub.
    pub document: String,
    /// The passage's place among those of its document, from 0.
    pub passage: u32,
    /// The document's title.
    pub title: String,
    /// The headings that the passage stands under, the highest first.
    pub section: Vec<String>,
    /// The passage, or what stands around the answer in it.
    pub text: String,
    /// The characters (Unicode scalar values) of the text that most likely answer; absent where nothing tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub answer: Option<Span>,
    /// When the document was last changed, in milliseconds since 1970 (UTC); 0 where nobody knows.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub changed_unix_ms: u64,
    /// How likely it answers, from 0 to 1.
    pub confidence: f32,
    /// Why it was found.
    pub why: CardWhy,
    /// The customer's words that it rests on.
    pub evidence: Quote,
    /// The roles that may see the document; none named: all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "ts", ts(as = "Option<Vec<String>>", optional))]
    pub roles: Vec<String>,
    /// The teams that may see the document; none named: all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "ts", ts(as = "Option<Vec<String>>", optional))]
    pub teams: Vec<String>,
    /// When it helps no more.
    pub expires_at_ms: Millis,
    /// From the publication of the customer's words to that of this event.
    pub latency_ms: Millis,
    /// What was not shown since the card before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "ts", ts(as = "Option<Vec<CardHeldBack>>", optional))]
    pub held_back: Vec<CardHeldBack>,
}

/// Why a passage was found, in short.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct CardWhy {
    /// What was looked up: a stretch of the words that it rests on. Empty in logs of earlier versions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "ts", ts(as = "Option<String>", optional))]
    pub query: String,
    /// Words of the question that stand in it.
    pub words: Vec<String>,
    /// The share of the question, by what its words are worth, that these are: from 0 to 1.
    pub covered: f32,
    /// The cosine of the angle between its meaning and the question's; absent where meanings were not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub cosine: Option<f32>,
    /// The conversation mentions the document by its title.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "ts", ts(as = "Option<bool>", optional))]
    pub mentioned: bool,
}

/// See [`EventBody::CardHeldBack`]. It tells of the question alone, and of no document: whoever reads the call may read it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct CardNotShown {
    /// What was looked up: a stretch of the customer's words.
    pub query: String,
    /// Why nothing is shown.
    pub because: CardHeldBackBecause,
    /// How likely the best passage that was found answers, from 0 to 1.
    pub confidence: f32,
    /// The customer's words that were looked up.
    pub evidence: Quote,
}

impl CardNotShown {
    /// Leaves nothing of the words that it rests on.
    pub(crate) fn redact(&mut self) {
        self.evidence.redact();
        self.query.clear();
    }
}

/// A passage that was found and not shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct CardHeldBack {
    /// The document's title.
    pub title: String,
    /// The headings that the passage stands under.
    pub section: Vec<String>,
    /// How likely it answers, from 0 to 1.
    pub confidence: f32,
    /// Why it was not shown.
    pub because: CardHeldBackBecause,
    /// As [`Card::roles`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "ts", ts(as = "Option<Vec<String>>", optional))]
    pub roles: Vec<String>,
    /// As [`Card::teams`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "ts", ts(as = "Option<Vec<String>>", optional))]
    pub teams: Vec<String>,
}

/// Somebody who reads a call, as documents name those who may see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CardViewer<'a> {
    /// Their role.
    pub role: &'a str,
    /// The team that they are in, if they are in one.
    pub team: Option<&'a str>,
}

/// Why a passage was not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum CardHeldBackBecause {
    /// It does not answer surely enough.
    NotSure,
    /// It was shown on this call.
    Shown,
    /// There were enough of them just before.
    TooSoon,
    /// As many stand as may, and this one is no surer than the older of them.
    Full,
    /// Somebody on this call said that it is wrong.
    Wrong,
}

impl Card {
    /// What is told of it where it is not shown.
    #[must_use]
    pub fn held_back(self, because: CardHeldBackBecause) -> CardHeldBack {
        let Self { title, section, confidence, roles, teams, .. } = self;
        CardHeldBack { title, section, confidence, because, roles, teams }
    }

    /// What the log keeps of it where it is not shown.
    #[must_use]
    pub fn not_shown(&self, because: CardHeldBackBecause) -> CardNotShown {
        let Self { why, confidence, evidence, .. } = self;
        CardNotShown {
            query: why.query.clone(),
            because,
            confidence: *confidence,
            evidence: evidence.clone(),
        }
    }

    /// Whether somebody may see the document.
    #[must_use]
    pub fn is_seen_by(&self, viewer: CardViewer<'_>) -> bool {
        viewer.is_among(&self.roles, &self.teams)
    }

    /// Leaves nothing of the words that it rests on.
    pub(crate) fn redact(&mut self) {
        self.evidence.redact();
        self.why.words.clear();
        self.why.query.clear();
    }

    fn tells_too_much(&self, to: CardViewer<'_>) -> bool {
        !self.is_seen_by(to) || self.held_back.iter().any(|one| !to.is_among(&one.roles, &one.teams))
    }

    fn hold_from(&mut self, viewer: CardViewer<'_>) {
        self.held_back.retain(|one| viewer.is_among(&one.roles, &one.teams));
    }
}

impl CardViewer<'_> {
    /// Whether they have one of the roles and are in one of the teams, where any are named.
    pub(crate) fn is_among(self, roles: &[String], teams: &[String]) -> bool {
        let one = |named: &[String], has: Option<&str>| {
            named.is_empty() || named.iter().any(|one| Some(one.as_str()) == has)
        };
        one(roles, Some(self.role)) && one(teams, self.team)
    }
}

/// See [`EventBody::CardAnswered`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct CardAnswered {
    /// Which card.
    pub card_id: u32,
    /// What was said of it.
    pub answer: CardAnswer,
    /// By whom. Empty where the reader is not to know that a supervisor is there.
    pub by: String,
}

/// What an agent says of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum CardAnswer {
    /// It helped.
    Accepted,
    /// It was taken elsewhere (copied, or put into what the agent writes), and still stands.
    Copied,
    /// It was not needed.
    Dismissed,
    /// It does not answer what was asked, or is not true.
    Wrong,
}

impl EventBody {
    /// Whether it tells of a document that somebody may not see.
    #[must_use]
    pub fn tells_too_much(&self, to: CardViewer<'_>) -> bool {
        match self {
            Self::Card(card) => card.tells_too_much(to),
            Self::Step(step) => !step.is_seen_by(to),
            _ => false,
        }
    }

    /// Leaves nothing of documents that somebody may not see.
    pub fn hide_documents(&mut self, from: CardViewer<'_>) {
        match self {
            Self::Card(card) if !card.is_seen_by(from) => *self = Self::Withheld(Withheld {}),
            Self::Card(card) => card.hold_from(from),
            Self::Step(step) if !step.is_seen_by(from) => *self = Self::Withheld(Withheld {}),
            _ => {}
        }
    }
}

impl CallState {
    /// Whether it tells of a document that somebody may not see.
    #[must_use]
    pub fn tells_too_much(&self, to: CardViewer<'_>) -> bool {
        self.cards.iter().any(|card| card.tells_too_much(to))
            || self.steps.iter().any(|step| !step.is_seen_by(to))
    }

    /// Leaves nothing of documents that somebody may not see.
    pub fn hide_documents(&mut self, from: CardViewer<'_>) {
        self.cards.retain(|card| card.is_seen_by(from));
        self.cards.iter_mut().for_each(|card| card.hold_from(from));
        self.steps.retain(|step| step.is_seen_by(from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{card, utterance};
    use crate::{CallEnded, CallEvent, EndReason, Party, Redacted, Secret, Utterance, UtteranceId};

    fn shown(card_id: u32, said: &Utterance) -> EventBody {
        EventBody::Card(Box::new(Card { card_id, ..card("refunds.md", said) }))
    }

    fn answered(card_id: u32) -> EventBody {
        EventBody::CardAnswered(CardAnswered { card_id, answer: CardAnswer::Wrong, by: "mina".to_owned() })
    }

    fn state(bodies: impl IntoIterator<Item = EventBody>) -> CallState {
        let mut state = CallState::default();
        for (body, seq) in bodies.into_iter().zip(1..) {
            state.apply(&CallEvent { seq, at_ms: Millis(seq), body });
        }
        state
    }

    fn open(state: &CallState) -> Vec<u32> {
        state.cards.iter().map(|card| card.card_id).collect()
    }

    #[test]
    fn a_card_stands_until_it_is_answered_displaced_or_its_words_are_taken_back() {
        let said: Vec<Utterance> = (1..=4).map(|id| utterance(id, Party::Customer, "how?")).collect();
        let mut begun: Vec<EventBody> = said.iter().cloned().map(EventBody::Utterance).collect();
        begun.extend([shown(1, &said[0]), shown(2, &said[1])]);
        let after = |more: EventBody| open(&state(begun.clone().into_iter().chain([more])));
        assert_eq!(open(&state(begun.clone())), [1, 2]);
        assert_eq!(after(answered(1)), [2]);
        assert_eq!(after(answered(9)), [1, 2], "an answer to another");
        let (answer, by) = (CardAnswer::Copied, "mina".to_owned());
        assert_eq!(after(EventBody::CardAnswered(CardAnswered { card_id: 1, answer, by })), [1, 2]);
        assert_eq!(after(shown(3, &said[2])), [2, 3], "the oldest goes");
        assert_eq!(after(shown(3, &said[1])), [1, 3], "about the same words");
        let nothing = Utterance { revision: 1, text: String::new(), ..said[0].clone() };
        assert_eq!(after(EventBody::Utterance(nothing)), [2]);
        let ended = CallEnded { reason: EndReason::Hangup, duration_ms: Millis(9) };
        assert!(after(EventBody::CallEnded(ended)).is_empty());
        let nobodys = utterance(7, Party::Customer, "never said");
        assert_eq!(after(shown(3, &nobodys)), [1, 2], "it rests on nothing");
    }

    #[test]
    fn a_card_goes_with_words_that_were_not_the_customers_and_none_comes_for_such() {
        let said: Vec<Utterance> = (1..=2).map(|id| utterance(id, Party::Customer, "how?")).collect();
        let agents = |revision| Utterance { party: Party::Agent, revision, ..said[0].clone() };
        let mut log: Vec<EventBody> = said.iter().cloned().map(EventBody::Utterance).collect();
        log.extend([shown(1, &said[0]), shown(2, &said[1]), EventBody::Utterance(agents(1))]);
        assert_eq!(open(&state(log.clone())), [2]);
        log.push(shown(3, &agents(1)));
        assert_eq!(open(&state(log)), [2]);
    }

    #[test]
    fn why_nothing_is_shown_is_known_until_something_is_or_the_words_are_taken_back() {
        let said = utterance(1, Party::Customer, "hello, how?");
        let mut found = card("refunds.md", &said);
        found.why.query = "how?".to_owned();
        let held = EventBody::CardHeldBack(found.not_shown(CardHeldBackBecause::NotSure));
        let begun = [EventBody::Utterance(said.clone()), held.clone()];
        let after = |more: EventBody| {
            let state = state(begun.clone().into_iter().chain([more]));
            state.cards_not_shown.into_iter().map(|one| one.query).collect::<Vec<_>>()
        };
        assert_eq!(after(held.clone()), ["how?"]);
        assert_eq!(after(shown(1, &said)), [] as [&str; 0]);
        let revised =
            |text: &str, party| EventBody::Utterance(Utterance { revision: 1, ..utterance(1, party, text) });
        assert_eq!(after(revised("", Party::Customer)), [] as [&str; 0]);
        assert_eq!(after(revised("hello, how?", Party::Agent)), [] as [&str; 0]);
        let redacted = Redacted {
            utterance_id: UtteranceId(1),
            party: Party::Customer,
            secrets: vec![Secret::Card],
            ranges: vec![],
            muted: false,
        };
        assert_eq!(after(EventBody::Redacted(redacted)), [""]);
        let mut body = held.clone();
        assert_eq!(body.quotes(), Some(UtteranceId(1)));
        body.redact();
        assert!(!serde_json::to_string(&body).unwrap().contains("how"));
        let read: EventBody = serde_json::from_value(serde_json::to_value(&held).unwrap()).unwrap();
        assert_eq!(read, held);
    }

    #[test]
    fn nothing_is_left_of_a_secret_in_a_card() {
        let said = utterance(1, Party::Customer, "is 4242 4242 refunded?");
        let EventBody::Card(mut found) = shown(1, &said) else { panic!("a card") };
        found.why.words = vec!["4242".to_owned()];
        let redacted = EventBody::Redacted(Redacted {
            utterance_id: UtteranceId(1),
            party: Party::Customer,
            secrets: vec![Secret::Card],
            ranges: Vec::new(),
            muted: false,
        });
        let mut log = vec![EventBody::Utterance(said), EventBody::Card(found), redacted];
        let live = state(log.clone());
        assert!(!serde_json::to_string(&live).unwrap().contains("4242"));
        log.iter_mut().filter(|body| body.quotes() == Some(UtteranceId(1))).for_each(EventBody::redact);
        assert!(!serde_json::to_string(&log).unwrap().contains("4242"));
        // Whoever reads the log later comes to the same.
        assert_eq!(state(log), live);
        assert_eq!(open(&live), [1]);
    }

    #[test]
    fn who_may_not_see_a_document_is_told_nothing_of_it() {
        let said = utterance(1, Party::Customer, "how?");
        let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let of_role = Card { roles: of(&["agent"]), ..card("prices.md", &said) };
        let of_team = Card { teams: of(&["cards", "loans"]), ..of_role.clone() };
        let held = of_role.clone().held_back(CardHeldBackBecause::NotSure);
        let also = of_team.clone().held_back(CardHeldBackBecause::NotSure);
        let open = Card { held_back: vec![held, also], ..card("refunds.md", &said) };
        for (card, role, team, shown, held) in [
            (&of_role, "agent", None, true, 0),
            (&of_role, "admin", Some("agent"), false, 0),
            (&of_team, "agent", Some("loans"), true, 0),
            (&of_team, "agent", Some("sales"), false, 0),
            (&of_team, "agent", None, false, 0),
            (&of_team, "supervisor", Some("loans"), false, 0),
            (&open, "agent", Some("cards"), true, 2),
            (&open, "agent", None, true, 1),
            (&open, "supervisor", Some("cards"), true, 0),
        ] {
            let viewer = CardViewer { role, team };
            let mut body = EventBody::Card(Box::new(card.clone()));
            let mut state = state([EventBody::Utterance(said.clone()), body.clone()]);
            let is_whole = shown && held == card.held_back.len();
            assert_eq!((body.tells_too_much(viewer), state.tells_too_much(viewer)), (!is_whole, !is_whole));
            body.hide_documents(viewer);
            state.hide_documents(viewer);
            assert!(!body.tells_too_much(viewer) && !state.tells_too_much(viewer));
            assert_eq!((matches!(body, EventBody::Card(_)), state.cards.len()), (shown, usize::from(shown)));
            assert_eq!(state.cards.first().map_or(0, |card| card.held_back.len()), held);
        }
    }

    #[test]
    fn both_read_as_they_were_written() {
        let said = utterance(3, Party::Customer, "how?");
        let found = card("refunds.md", &said);
        let held = found.clone().held_back(CardHeldBackBecause::TooSoon);
        let body = EventBody::Card(Box::new(Card { card_id: 1, held_back: vec![held], ..found }));
        let expected = serde_json::json!({
            "kind": "card", "card_id": 1, "document": "refunds.md", "passage": 0, "title": "Refunds",
            "section": ["How long"], "text": "It takes three days. Ask for it.",
            "answer": { "start": 0, "end": 20 }, "changed_unix_ms": 1_700_000_000_000_u64, "confidence": 0.75,
            "why": { "words": ["refund"], "covered": 0.5, "cosine": 0.875 },
            "evidence": { "utterance_id": 3, "revision": 0, "text": "how?" },
            "expires_at_ms": 90_000, "latency_ms": 40,
            "held_back": [{
                "title": "Refunds", "section": ["How long"], "confidence": 0.75, "because": "too_soon",
            }],
        });
        assert_eq!(serde_json::to_value(&body).unwrap(), expected);
        assert_eq!(serde_json::from_value::<EventBody>(expected).unwrap(), body);
        let expected =
            serde_json::json!({ "kind": "card_answered", "card_id": 1, "answer": "wrong", "by": "mina" });
        assert_eq!(serde_json::to_value(answered(1)).unwrap(), expected);
        assert_eq!(serde_json::from_value::<EventBody>(expected).unwrap(), answered(1));
    }
}
