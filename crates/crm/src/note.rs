//! What a call adds to its contact's timeline, and proposes to be done.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use time::UtcOffset;

use crate::timeline::LONGEST_CONTENT;
use crate::{Channel, Communication, CommunicationKind, Priority, Source, Task, TaskKind, due};

/// Proposals of one call.
const MOST_PROPOSALS: usize = 20;

/// What a call adds, once it is known what it came to.
#[derive(Clone, Debug, PartialEq)]
pub struct CallNote {
    /// Its entry on the timeline.
    pub communication: Communication,
    /// What its agent promised, for somebody to accept. What the customer promised is theirs to do.
    pub proposals: Vec<Proposal>,
    /// What people call what the customer wanted, by language.
    pub topics: BTreeMap<String, String>,
}

/// Something that was promised in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Where in the call it was said. The same promise has the same when the insight is drawn again.
    pub origin: String,
    /// The sentence, as it was said.
    pub quote: String,
    /// What is to be done about it.
    pub task: Task,
}

/// The published form of an insight, as far as a timeline needs it; whoever has drawn it.
#[derive(Deserialize)]
struct Insight {
    #[serde(default)]
    intent: Option<String>,
    #[serde(default)]
    intent_title: BTreeMap<String, String>,
    #[serde(default)]
    summary_bullets: Vec<String>,
    #[serde(default)]
    urgency: Option<String>,
    #[serde(default)]
    entities: Map<String, Value>,
    #[serde(default)]
    next_actions: Vec<NextAction>,
    #[serde(default)]
    lead_stage_suggestion: Option<String>,
    #[serde(default)]
    confidence: Option<f64>,
}

#[derive(Deserialize)]
struct NextAction {
    r#type: TaskKind,
    #[serde(default)]
    when: Option<String>,
    #[serde(default)]
    channel: Option<Channel>,
    #[serde(default)]
    to: Option<String>,
    by: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    citations: Vec<Citation>,
}

#[derive(Deserialize)]
struct Citation {
    utterance_id: u64,
    chars: Chars,
}

#[derive(Deserialize)]
struct Chars {
    start: u64,
}

impl CallNote {
    /// What a call adds that came to this insight, in its published form (JSON), and that was over at a time; promises are due on
    /// a clock. Nothing of how the customer felt goes along, which not everybody may see: give an insight without moods.
    ///
    /// # Errors
    /// When it is no insight.
    pub fn of(insight: &str, ended_at_unix_ms: u64, clock: UtcOffset) -> serde_json::Result<Self> {
        let insight: Insight = serde_json::from_str(insight)?;
        let priority = match insight.urgency.as_deref() {
            Some("high") => Priority::High,
            Some("low") => Priority::Low,
            _ => Priority::Normal,
        };
        let promised = insight.next_actions.iter().filter(|action| action.by == "agent");
        let proposals = promised
            .take(MOST_PROPOSALS)
            .filter_map(|action| action.proposal(ended_at_unix_ms, clock, priority));
        let proposals = proposals.collect();
        let tags = insight.intent.iter().cloned().collect();
        let known = |(name, value): (String, Value)| (!value.is_null()).then_some((name, value));
        let entities: Map<String, Value> = insight.entities.into_iter().filter_map(known).collect();
        let fields = [
            ("intent", insight.intent.map(Value::from)),
            ("urgency", insight.urgency.map(Value::from)),
            ("entities", (!entities.is_empty()).then_some(Value::Object(entities))),
            ("lead_stage_suggestion", insight.lead_stage_suggestion.map(Value::from)),
            ("confidence", insight.confidence.map(Value::from)),
        ];
        let metadata =
            fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        let content = insight.summary_bullets.join("\n");
        let (kind, source) = (CommunicationKind::CallSummary, Source::Ai);
        let communication = Communication { kind, source, content, tags, metadata };
        Ok(Self { communication, proposals, topics: insight.intent_title })
    }

    /// What a recording adds on which nobody speaks but the customer: its entry has their words, as far as an entry has room, in
    /// the place of a summary.
    #[must_use]
    pub fn of_voice<'a>(mut self, words: impl Iterator<Item = &'a str>) -> Self {
        let words: Vec<&str> = words.collect();
        self.communication.kind = CommunicationKind::VoiceNote;
        self.communication.content = words.join("\n").chars().take(LONGEST_CONTENT).collect();
        self
    }
}

impl NextAction {
    /// Nothing where it is not said which words it rests on.
    fn proposal(&self, ended_at_unix_ms: u64, clock: UtcOffset, priority: Priority) -> Option<Proposal> {
        let said = self.citations.first()?;
        let due_at_unix_ms = self.when.as_deref().and_then(|when| due(when, ended_at_unix_ms, clock));
        let (kind, channel, to) = (self.r#type, self.channel, self.to.clone());
        let task = Task { kind, title: None, channel, to, due_at_unix_ms, priority, assignee: None };
        let origin = format!("{}:{}", said.utterance_id, said.chars.start);
        Some(Proposal { origin, quote: self.text.clone(), task: task.checked().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_adds_its_summary_and_proposes_what_its_agent_promised() {
        let insight = r#"{"intent":"registration","summary_bullets":["I would like a place.","I will call you tomorrow."],
            "sentiment":"negative","urgency":"high","entities":{"name":"Sara","phone":null},
            "next_actions":[
                {"type":"callback","when":"2026-12-01T10:00","channel":"phone","to":"+989121234567","by":"agent",
                 "text":"I will call you tomorrow.","citations":[{"utterance_id":7,"party":"agent","start_ms":1,
                 "chars":{"start":3,"end":9}}]},
                {"type":"payment","when":null,"channel":null,"to":null,"by":"customer","text":"I will pay.",
                 "citations":[{"utterance_id":8,"party":"customer","start_ms":1,"chars":{"start":0,"end":9}}]},
                {"type":"task","when":null,"channel":null,"to":null,"by":"agent","text":"Uncited.","citations":[]}],
            "lead_stage_suggestion":"qualified","confidence":0.5,"intent_title":{"en":"Registration"},"evidence":{}}"#;
        let note = CallNote::of(insight, 1_780_000_000_000, UtcOffset::UTC).unwrap();
        let said = &note.communication;
        assert_eq!((said.kind, said.source), (CommunicationKind::CallSummary, Source::Ai));
        assert_eq!(said.content, "I would like a place.\nI will call you tomorrow.");
        assert_eq!(said.tags, ["registration"]);
        assert_eq!(note.topics, [("en".to_owned(), "Registration".to_owned())].into());
        assert_eq!(said.metadata["lead_stage_suggestion"], "qualified");
        assert_eq!(Value::Object(said.metadata.clone())["entities"], serde_json::json!({ "name": "Sara" }));
        assert!(!serde_json::to_string(&said.metadata).unwrap().contains("negative"), "no moods");
        let [proposal] = note.proposals.as_slice() else { panic!("{:?}", note.proposals) };
        assert_eq!((proposal.origin.as_str(), proposal.quote.as_str()), ("7:3", "I will call you tomorrow."));
        assert_eq!((proposal.task.kind, proposal.task.priority), (TaskKind::Callback, Priority::High));
        assert_eq!(proposal.task.due_at_unix_ms, due("2026-12-01T10:00", 0, UtcOffset::UTC));
    }

    #[test]
    fn a_voice_note_has_the_words_in_the_place_of_a_summary() {
        let insight =
            r#"{"intent":"registration","summary_bullets":["I would like a place."],"confidence":0.5}"#;
        let note = CallNote::of(insight, 0, UtcOffset::UTC).unwrap();
        let said = note.clone().of_voice(["سلام.", "I would like a place."].into_iter()).communication;
        assert_eq!(
            (said.kind, said.content.as_str()),
            (CommunicationKind::VoiceNote, "سلام.\nI would like a place.")
        );
        assert_eq!(
            (said.tags, said.metadata),
            (note.communication.tags.clone(), note.communication.metadata.clone())
        );
        let long = "x".repeat(6_000);
        let said = note.of_voice([long.as_str(), &long].into_iter()).communication;
        assert!(said.checked().is_ok_and(|kept| kept.content.chars().count() == LONGEST_CONTENT));
    }

    #[test]
    fn what_is_no_insight_adds_nothing_and_an_empty_one_says_so() {
        for text in ["", "late", "7", r#"{"next_actions":[{"type":"dance","by":"agent"}]}"#] {
            assert!(CallNote::of(text, 0, UtcOffset::UTC).is_err(), "{text}");
        }
        let note = CallNote::of("{}", 0, UtcOffset::UTC).unwrap();
        assert!(note.communication.content.is_empty() && note.proposals.is_empty());
    }
}
