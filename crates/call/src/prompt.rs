//! What may help the agent at this moment, and what they must not forget to say: always with the words it rests on.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{EntityKind, MASK, Millis, Party, Utterance, UtteranceId};

/// Words that something rests on, as they were then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Quote {
    /// The utterance.
    pub utterance_id: UtteranceId,
    /// The revision of its words.
    pub revision: u32,
    /// What was said.
    pub text: String,
}

impl Quote {
    /// What was said in an utterance.
    #[must_use]
    pub fn of(said: &Utterance) -> Self {
        Self { utterance_id: said.utterance_id, revision: said.revision, text: said.text.clone() }
    }

    /// Leaves nothing of what was said but that something was.
    pub fn redact(&mut self) {
        MASK.clone_into(&mut self.text);
    }
}

/// Final words of the agent: all that ticks a checklist. No mood and no intent can be made of them.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentUtterance(Utterance);

impl AgentUtterance {
    /// The utterance, if it is the agent's and final, and has words. There is no other way to make one.
    #[must_use]
    pub fn of(utterance: &Utterance) -> Option<Self> {
        let Utterance { party, r#final, text, .. } = utterance;
        (*party == Party::Agent && *r#final && !text.trim().is_empty()).then(|| Self(utterance.clone()))
    }

    /// What was said.
    #[must_use]
    pub fn utterance(&self) -> &Utterance {
        &self.0
    }
}

/// One step of what an agent does for a customer who wants something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaybookStep {
    /// What to do, by BCP 47 language.
    pub text: BTreeMap<String, String>,
    /// It is done once such a thing has been named on the call, by whichever party.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<EntityKind>,
}

/// See [`EventBody::Prompt`](crate::EventBody::Prompt).
///
/// It stands until it is answered, until the next one, or until it expires, whichever is first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Prompt {
    /// Its number within the call, from 1.
    pub prompt_id: u32,
    /// What it is about.
    pub about: PromptKind,
    /// What it says, by BCP 47 language.
    pub text: BTreeMap<String, String>,
    /// How much it matters, from 0 to 100.
    pub priority: u8,
    /// The words that it rests on.
    pub evidence: Quote,
    /// When it helps no more.
    pub expires_at_ms: Millis,
    /// What was not said in its place, or since the prompt before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "ts", ts(as = "Option<Vec<HeldBack>>", optional))]
    pub held_back: Vec<HeldBack>,
}

impl Prompt {
    /// Whether it tells how the customer feels.
    pub(crate) fn tells_mood(&self) -> bool {
        self.about == PromptKind::Empathy || self.held_back.iter().any(|one| one.about == PromptKind::Empathy)
    }

    /// Leaves nothing of that among what was held back.
    pub(crate) fn forget_mood(&mut self) {
        self.held_back.retain(|one| one.about != PromptKind::Empathy);
    }
}

/// What a prompt is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum PromptKind {
    /// How the customer sounds, and what answers that kindly.
    Empathy,
    /// The next step of the organisation's playbook for what the customer wants.
    NextAction,
    /// Nobody has said anything for a while.
    DeadAir,
    /// The customer could not finish.
    Overtalk,
    /// Something that must be said has not been said.
    Checklist,
}

/// A prompt that was not shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct HeldBack {
    /// What it would have been about.
    pub about: PromptKind,
    /// What it would have said, by BCP 47 language.
    pub text: BTreeMap<String, String>,
    /// Why it was not shown.
    pub because: HeldBackBecause,
}

/// Why a prompt was not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum HeldBackBecause {
    /// The one that was shown matters more. It may still come.
    MattersLess,
    /// There was one already, or just before, and then it was too late.
    TooSoon,
    /// On this call the like of it was no help.
    NotHelpful,
}

/// See [`EventBody::PromptAnswered`](crate::EventBody::PromptAnswered).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct PromptAnswered {
    /// Which prompt.
    pub prompt_id: u32,
    /// What was said of it.
    pub answer: PromptAnswer,
    /// By whom. Empty where the reader is not to know that a supervisor is there.
    pub by: String,
}

/// What an agent says of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum PromptAnswer {
    /// They do so.
    Accepted,
    /// Not now.
    Dismissed,
    /// The like of it does not help on this call.
    NotHelpful,
}

/// See [`EventBody::Checklist`](crate::EventBody::Checklist).
///
/// Of several about one item the newest counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ChecklistItem {
    /// The organisation's name for it.
    pub name: String,
    /// What people call it, by BCP 47 language.
    pub title: BTreeMap<String, String>,
    /// The agent has said it.
    pub done: bool,
    /// The words with which they did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub evidence: Option<Quote>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::utterance;
    use crate::{CallEnded, CallEvent, CallState, EndReason, EventBody, Redacted, Secret};

    fn prompt(prompt_id: u32, said: &Utterance) -> EventBody {
        let text = BTreeMap::from([("en".to_owned(), "Say that you are sorry.".to_owned())]);
        EventBody::Prompt(Prompt {
            prompt_id,
            about: PromptKind::Empathy,
            text,
            priority: 70,
            evidence: Quote::of(said),
            expires_at_ms: Millis(30_000),
            held_back: Vec::new(),
        })
    }

    fn item(name: &str, said: Option<&Utterance>) -> EventBody {
        let title = BTreeMap::from([("en".to_owned(), name.to_owned())]);
        let (name, done, evidence) = (name.to_owned(), said.is_some(), said.map(Quote::of));
        EventBody::Checklist(ChecklistItem { name, title, done, evidence })
    }

    fn answered(prompt_id: u32) -> EventBody {
        let (answer, by) = (PromptAnswer::Accepted, "mina".to_owned());
        EventBody::PromptAnswered(PromptAnswered { prompt_id, answer, by })
    }

    fn state(bodies: impl IntoIterator<Item = EventBody>) -> CallState {
        let mut state = CallState::default();
        for (body, seq) in bodies.into_iter().zip(1..) {
            state.apply(&CallEvent { seq, at_ms: Millis(seq), body });
        }
        state
    }

    fn current(state: &CallState) -> Option<u32> {
        state.prompt.as_ref().map(|prompt| prompt.prompt_id)
    }

    #[test]
    fn only_the_agents_final_words_tick_a_checklist() {
        assert_eq!(AgentUtterance::of(&utterance(1, Party::Customer, "hello")), None);
        assert_eq!(AgentUtterance::of(&utterance(1, Party::Other, "hello")), None);
        assert_eq!(AgentUtterance::of(&utterance(1, Party::Agent, " ")), None);
        let partial = Utterance { r#final: false, ..utterance(1, Party::Agent, "hello") };
        assert_eq!(AgentUtterance::of(&partial), None);
        let said = utterance(1, Party::Agent, "hello");
        assert_eq!(AgentUtterance::of(&said).unwrap().utterance(), &said);
    }

    #[test]
    fn a_prompt_stands_until_it_is_answered_replaced_or_its_words_are_taken_back() {
        let said = utterance(1, Party::Customer, "that is bad");
        let begun = [EventBody::Utterance(said.clone()), prompt(1, &said)];
        let after = |more: EventBody| current(&state(begun.clone().into_iter().chain([more])));
        assert_eq!(current(&state(begun.clone())), Some(1));
        assert_eq!(after(answered(1)), None);
        assert_eq!(after(answered(9)), Some(1), "an answer to another");
        assert_eq!(after(prompt(2, &said)), Some(2));
        let nothing = Utterance { revision: 1, text: String::new(), ..said.clone() };
        assert_eq!(after(EventBody::Utterance(nothing)), None);
        let ended = CallEnded { reason: EndReason::Hangup, duration_ms: Millis(9) };
        assert_eq!(after(EventBody::CallEnded(ended)), None);
        let nobodys = utterance(7, Party::Customer, "never said");
        assert_eq!(after(prompt(2, &nobodys)), Some(1), "it rests on nothing");
    }

    #[test]
    fn an_item_is_done_by_words_and_open_again_without_them() {
        let said = utterance(1, Party::Agent, "this call is recorded");
        let begun = [item("recorded", None), item("name", None), EventBody::Utterance(said.clone())];
        let done = |state: &CallState| state.checklist.iter().map(|one| one.done).collect::<Vec<_>>();
        assert_eq!(done(&state(begun.clone())), [false, false]);
        let ticked = [item("recorded", Some(&said))];
        let now = state(begun.clone().into_iter().chain(ticked.clone()));
        assert_eq!(done(&now), [true, false]);
        assert_eq!(now.checklist[0].evidence, Some(Quote::of(&said)));
        let nothing = Utterance { revision: 1, text: String::new(), ..said };
        let back = state(begun.into_iter().chain(ticked).chain([EventBody::Utterance(nothing)]));
        assert_eq!((done(&back), &back.checklist[0].evidence), (vec![false, false], &None));
    }

    #[test]
    fn nothing_is_left_of_a_secret_in_what_rests_on_it() {
        let (asked, told) =
            (utterance(1, Party::Agent, "is it 4242 4242"), utterance(2, Party::Customer, "4242"));
        let mut log = vec![
            EventBody::Utterance(asked.clone()),
            EventBody::Utterance(told.clone()),
            item("asked", Some(&asked)),
            prompt(1, &told),
        ];
        for id in [1, 2] {
            log.push(EventBody::Redacted(Redacted {
                utterance_id: UtteranceId(id),
                party: Party::Customer,
                secrets: vec![Secret::Card],
                ranges: Vec::new(),
                muted: false,
            }));
        }
        let live = state(log.clone());
        assert!(!serde_json::to_string(&live).unwrap().contains("4242"));
        for id in [1, 2].map(UtteranceId) {
            log.iter_mut().filter(|body| body.quotes() == Some(id)).for_each(EventBody::redact);
        }
        assert!(!serde_json::to_string(&log).unwrap().contains("4242"));
        // Whoever reads the log later comes to the same.
        assert_eq!(state(log), live);
        assert_eq!((current(&live), live.checklist[0].done), (Some(1), true));
    }

    #[test]
    fn all_read_as_they_were_written() {
        let said = utterance(3, Party::Customer, "bad");
        let quote = serde_json::json!({ "utterance_id": 3, "revision": 0, "text": "bad" });
        let cases = [
            (
                prompt(1, &said),
                serde_json::json!({
                    "kind": "prompt", "prompt_id": 1, "about": "empathy", "priority": 70,
                    "text": { "en": "Say that you are sorry." }, "evidence": quote.clone(), "expires_at_ms": 30_000,
                }),
            ),
            (
                answered(1),
                serde_json::json!({ "kind": "prompt_answered", "prompt_id": 1, "answer": "accepted", "by": "mina" }),
            ),
            (
                item("name", None),
                serde_json::json!({ "kind": "checklist", "name": "name", "title": { "en": "name" }, "done": false }),
            ),
            (
                item("name", Some(&said)),
                serde_json::json!({
                    "kind": "checklist", "name": "name", "title": { "en": "name" }, "done": true, "evidence": quote,
                }),
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(serde_json::to_value(&body).unwrap(), expected);
            assert_eq!(serde_json::from_value::<EventBody>(expected).unwrap(), body);
        }
        let answers = [PromptAnswer::Accepted, PromptAnswer::Dismissed, PromptAnswer::NotHelpful];
        let names = serde_json::json!(["accepted", "dismissed", "not_helpful"]);
        assert_eq!(serde_json::to_value(answers).unwrap(), names);
    }
}
