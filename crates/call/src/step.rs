//! Steps of a written procedure that somebody follows on a call, and has done.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CallState, CardViewer};

/// See [`EventBody::Step`](crate::EventBody::Step).
///
/// Of several about one step the newest counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Step {
    /// The document's name in the hub.
    pub document: String,
    /// The place of the procedure's first passage among those of its document, from 0.
    pub passage: u32,
    /// Tells the procedure's wording from others: a document that has changed has other steps.
    pub version: String,
    /// The document's title.
    pub title: String,
    /// Which step, from 1.
    pub step: u32,
    /// Its words, as they stood in the document.
    pub text: String,
    /// It is done; otherwise it is not after all.
    pub ticked: bool,
    /// Who says so. Empty where the reader is not to know that a supervisor is there.
    pub by: String,
    /// The roles that may see the document; none named: all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "ts", ts(as = "Option<Vec<String>>", optional))]
    pub roles: Vec<String>,
    /// The teams that may see the document; none named: all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "ts", ts(as = "Option<Vec<String>>", optional))]
    pub teams: Vec<String>,
}

impl Step {
    /// Whether somebody may see the document.
    #[must_use]
    pub fn is_seen_by(&self, viewer: CardViewer<'_>) -> bool {
        viewer.is_among(&self.roles, &self.teams)
    }

    /// Whether both are about the same step of the same wording.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let what = |step: &Self| (step.passage, step.step);
        what(self) == what(other) && self.document == other.document && self.version == other.version
    }
}

impl CallState {
    /// Keeps steps that are done, in the order in which they were.
    pub(crate) fn step(&mut self, step: &Step) {
        self.steps.retain(|known| !known.is_same(step));
        if step.ticked {
            self.steps.push(step.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CallEvent, EventBody, Millis, Withheld};

    fn step(number: u32, ticked: bool) -> Step {
        Step {
            document: "refunds.md".to_owned(),
            passage: 2,
            version: "00ff".to_owned(),
            title: "Refunds".to_owned(),
            step: number,
            text: "Open it.".to_owned(),
            ticked,
            by: "mina".to_owned(),
            roles: Vec::new(),
            teams: Vec::new(),
        }
    }

    fn state(steps: &[Step]) -> CallState {
        let event = |(step, seq): (&Step, u64)| CallEvent {
            seq,
            at_ms: Millis(seq),
            body: EventBody::Step(step.clone()),
        };
        let events: Vec<CallEvent> = steps.iter().zip(1..).map(event).collect();
        CallState::of(&events)
    }

    #[test]
    fn steps_are_done_until_somebody_says_that_they_are_not() {
        let done = |steps: &[Step]| state(steps).steps.iter().map(|step| step.step).collect::<Vec<_>>();
        assert_eq!(done(&[step(2, true), step(1, true), step(2, true)]), [1, 2]);
        assert_eq!(done(&[step(1, true), step(2, true), step(1, false)]), [2]);
        let changed = Step { version: "ff00".to_owned(), ..step(1, false) };
        assert_eq!(done(&[step(1, true), changed]), [1], "another wording's step is another");
    }

    #[test]
    fn who_may_not_see_a_document_is_told_nothing_of_its_steps() {
        let teams = vec!["loans".to_owned()];
        let hidden = Step { roles: vec!["agent".to_owned()], teams, ..step(1, true) };
        for (role, team, shown) in [
            ("agent", Some("loans"), true),
            ("agent", Some("sales"), false),
            ("agent", None, false),
            ("supervisor", Some("loans"), false),
        ] {
            let viewer = CardViewer { role, team };
            let (mut body, mut state) =
                (EventBody::Step(hidden.clone()), state(&[hidden.clone(), step(2, true)]));
            assert_eq!((body.tells_too_much(viewer), state.tells_too_much(viewer)), (!shown, !shown));
            body.hide_documents(viewer);
            state.hide_documents(viewer);
            assert_eq!(body == EventBody::Withheld(Withheld {}), !shown);
            assert_eq!(state.steps.len(), 1 + usize::from(shown));
        }
    }

    #[test]
    fn a_step_reads_as_it_was_written() {
        let expected = serde_json::json!({
            "kind": "step", "document": "refunds.md", "passage": 2, "version": "00ff", "title": "Refunds", "step": 1,
            "text": "Open it.", "ticked": true, "by": "mina",
        });
        let body = EventBody::Step(step(1, true));
        assert_eq!(serde_json::to_value(&body).unwrap(), expected);
        assert_eq!(serde_json::from_value::<EventBody>(expected).unwrap(), body);
    }
}
