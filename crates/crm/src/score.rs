//! How promising a lead is: points by stated rules, each with its reason.
//!
//! The rules are judged, not learned: whoever is ranked by them, and whoever ranks, must be able to foretell them. How somebody
//! felt counts for nothing.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{Communication, CommunicationKind, Contact, Stage};

const DAY_MS: u64 = 24 * 3_600_000;
/// Entries of a timeline that are looked at, from the newest.
const MOST_HEARD: u32 = 20;
/// Contacts within [`MONTH_DAYS`] from which on they are often in touch.
const OFTEN: usize = 3;
const WEEK_DAYS: u64 = 7;
const MONTH_DAYS: u64 = 30;
const QUIET_DAYS: u64 = 90;

/// A rule that speaks for a lead, or against them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// People say that they have been talked to.
    StageContacted,
    /// People say that they are interested.
    StageQualified,
    /// People say that they have bought.
    StageConverted,
    /// People say that they will not buy.
    StageLost,
    /// The last call speaks for interest.
    SpokeOfInterest,
    /// The last call speaks for buying.
    SpokeOfBuying,
    /// The last call speaks against it.
    SpokeAgainst,
    /// They were in a hurry in the last call.
    Urgent,
    /// They were in none.
    Unhurried,
    /// They name what they want: `course`, in what is written down or was said.
    NamesCourse,
    /// They name what they would pay: `budget`, likewise.
    NamesBudget,
    /// They were in touch within a week.
    ThisWeek,
    /// They were in touch within a month.
    ThisMonth,
    /// They were in touch three times within a month.
    Often,
    /// They have been known for 90 days, and were not in touch for as long.
    Quiet,
    /// They can be neither called nor written to.
    Unreachable,
}

impl Rule {
    /// What it adds.
    #[must_use]
    pub fn points(self) -> i32 {
        match self {
            Self::StageContacted => 10,
            Self::StageQualified => 25,
            Self::StageConverted => 15,
            Self::StageLost => -40,
            Self::SpokeOfInterest => 15,
            Self::SpokeOfBuying => 20,
            Self::SpokeAgainst => -20,
            Self::Urgent => 15,
            Self::Unhurried => -5,
            Self::NamesCourse | Self::NamesBudget => 10,
            Self::ThisWeek => 20,
            Self::ThisMonth => 10,
            Self::Often => 10,
            Self::Quiet => -15,
            Self::Unreachable => -10,
        }
    }
}

/// Why a lead has points, or fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The rule.
    pub rule: Rule,
    /// What it adds.
    pub points: i32,
    /// The entry of the timeline that it rests on, if it rests on one.
    pub entry: Option<Uuid>,
}

/// An entry of a lead's timeline, as far as a score reads it.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    /// Its id.
    pub id: Uuid,
    /// When it was, in milliseconds since 1970 (UTC).
    pub at_unix_ms: u64,
    /// What it says.
    pub communication: &'a Communication,
}

/// How promising a lead is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Score {
    /// 0 to 100: what all reasons add up to, and no less and no more than that.
    pub points: u32,
    /// In the order of the rules.
    pub reasons: Vec<Reason>,
}

impl Score {
    /// What of a timeline is looked at: since when, in milliseconds since 1970 (UTC), and how many entries, from the newest.
    #[must_use]
    pub fn looks_at(now_unix_ms: u64) -> (u64, u32) {
        (now_unix_ms.saturating_sub(QUIET_DAYS * DAY_MS), MOST_HEARD)
    }

    /// The score of a lead that is known since a time, and of whom this was heard within [`Score::looks_at`], the newest first.
    #[must_use]
    pub fn of(contact: &Contact, known_since_unix_ms: u64, heard: &[Heard<'_>], now_unix_ms: u64) -> Self {
        let mut found: Vec<(Rule, Option<Uuid>)> = Vec::new();
        let stage = match contact.stage {
            Stage::New => None,
            Stage::Contacted => Some(Rule::StageContacted),
            Stage::Qualified => Some(Rule::StageQualified),
            Stage::Converted => Some(Rule::StageConverted),
            Stage::Lost => Some(Rule::StageLost),
        };
        found.extend(stage.map(|rule| (rule, None)));
        let is_call = |one: &&Heard<'_>| {
            matches!(one.communication.kind, CommunicationKind::CallSummary | CommunicationKind::VoiceNote)
        };
        let calls = || heard.iter().filter(is_call);
        if let Some(last) = calls().next() {
            let says = |field: &str| last.communication.metadata.get(field).and_then(Value::as_str);
            let spoke = match says("lead_stage_suggestion") {
                Some("qualified") => Some(Rule::SpokeOfInterest),
                Some("converted") => Some(Rule::SpokeOfBuying),
                Some("lost") => Some(Rule::SpokeAgainst),
                _ => None,
            };
            let hurry = match says("urgency") {
                Some("high") => Some(Rule::Urgent),
                Some("low") => Some(Rule::Unhurried),
                _ => None,
            };
            found.extend([spoke, hurry].into_iter().flatten().map(|rule| (rule, Some(last.id))));
        }
        for (field, rule) in [("course", Rule::NamesCourse), ("budget", Rule::NamesBudget)] {
            let names = |one: &&Heard<'_>| {
                let entities = one.communication.metadata.get("entities");
                entities.and_then(|entities| entities.get(field)).is_some_and(|value| !value.is_null())
            };
            if contact.fields.contains_key(field) {
                found.push((rule, None));
            } else if let Some(named) = calls().find(names) {
                found.push((rule, Some(named.id)));
            }
        }
        // What people note among themselves is no contact.
        let is_contact = |one: &&Heard<'_>| {
            one.communication.kind != CommunicationKind::Note && one.at_unix_ms <= now_unix_ms
        };
        let days = |one: &Heard<'_>| now_unix_ms.saturating_sub(one.at_unix_ms) / DAY_MS;
        let known_days = now_unix_ms.saturating_sub(known_since_unix_ms) / DAY_MS;
        match heard.iter().find(is_contact) {
            Some(last) if days(last) < WEEK_DAYS => found.push((Rule::ThisWeek, Some(last.id))),
            Some(last) if days(last) < MONTH_DAYS => found.push((Rule::ThisMonth, Some(last.id))),
            None if known_days >= QUIET_DAYS => found.push((Rule::Quiet, None)),
            Some(_) | None => {}
        }
        if heard.iter().filter(is_contact).filter(|one| days(one) < MONTH_DAYS).count() >= OFTEN {
            found.push((Rule::Often, None));
        }
        if contact.numbers.is_empty() && contact.email.is_none() {
            found.push((Rule::Unreachable, None));
        }
        let reasons = found.into_iter().map(|(rule, entry)| Reason { rule, points: rule.points(), entry });
        let reasons: Vec<Reason> = reasons.collect();
        let sum: i32 = reasons.iter().map(|reason| reason.points).sum();
        Self { points: sum.clamp(0, 100).unsigned_abs(), reasons }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{ContactKind, Phone, Source};

    const NOW: u64 = 1_800_000_000_000;

    fn lead(stage: Stage) -> Contact {
        Contact {
            kind: ContactKind::Lead,
            stage,
            name: "Sara".to_owned(),
            numbers: vec![Phone::parse("+989121234567", None).unwrap()],
            email: None,
            company: None,
            owner: None,
            notes: String::new(),
            fields: BTreeMap::new(),
        }
    }

    fn said(kind: CommunicationKind, metadata: Value) -> Communication {
        let Value::Object(metadata) = metadata else { panic!("{metadata}") };
        Communication { kind, source: Source::Ai, content: "x".to_owned(), tags: Vec::new(), metadata }
    }

    /// Entries so many days ago, with ids from 1.
    fn heard(entries: &[(u64, Communication)]) -> Vec<Heard<'_>> {
        let ids = (1..).map(Uuid::from_u128);
        let heard = ids.zip(entries).map(|(id, (days, communication))| Heard {
            id,
            at_unix_ms: NOW - days * DAY_MS,
            communication,
        });
        heard.collect()
    }

    fn rules(score: &Score) -> Vec<Rule> {
        score.reasons.iter().map(|reason| reason.rule).collect()
    }

    #[test]
    fn a_score_is_what_its_reasons_add_up_to_and_each_says_what_it_rests_on() {
        let call = json!({ "lead_stage_suggestion": "qualified", "urgency": "high",
            "entities": { "budget": "5 million", "course": null } });
        let entries =
            [(1, said(CommunicationKind::Email, json!({}))), (3, said(CommunicationKind::CallSummary, call))];
        let score = Score::of(&lead(Stage::Contacted), NOW, &heard(&entries), NOW);
        use Rule::{NamesBudget, SpokeOfInterest, StageContacted, ThisWeek, Urgent};
        assert_eq!(rules(&score), [StageContacted, SpokeOfInterest, Urgent, NamesBudget, ThisWeek]);
        assert_eq!(score.points, 10 + 15 + 15 + 10 + 20);
        let [email, call] = [1, 2].map(|id| Some(Uuid::from_u128(id)));
        let rests_on: Vec<Option<Uuid>> = score.reasons.iter().map(|reason| reason.entry).collect();
        assert_eq!(rests_on, [None, call, call, call, email]);
    }

    #[test]
    fn the_last_call_counts_and_notes_are_no_contact() {
        let of = |suggestion: &str| {
            said(CommunicationKind::CallSummary, json!({ "lead_stage_suggestion": suggestion }))
        };
        let note = said(CommunicationKind::Note, json!({}));
        let entries = [(0, note), (10, of("lost")), (20, of("converted")), (29, of("converted"))];
        let score = Score::of(&lead(Stage::Lost), NOW, &heard(&entries), NOW);
        assert_eq!(rules(&score), [Rule::StageLost, Rule::SpokeAgainst, Rule::ThisMonth, Rule::Often]);
        assert_eq!(score.points, 0, "no less than nothing");
    }

    #[test]
    fn what_a_voice_note_came_to_counts_as_what_a_call_did() {
        let note = said(CommunicationKind::VoiceNote, json!({ "lead_stage_suggestion": "converted" }));
        let score = Score::of(&lead(Stage::New), NOW, &heard(&[(3, note)]), NOW);
        assert_eq!(rules(&score), [Rule::SpokeOfBuying, Rule::ThisWeek]);
    }

    #[test]
    fn who_has_long_been_known_and_is_not_heard_of_is_quiet() {
        let (new, old) = (NOW - 89 * DAY_MS, NOW - 90 * DAY_MS);
        assert_eq!(rules(&Score::of(&lead(Stage::New), new, &[], NOW)), []);
        assert_eq!(rules(&Score::of(&lead(Stage::New), old, &[], NOW)), [Rule::Quiet]);
        let nobody = Contact { numbers: Vec::new(), ..lead(Stage::New) };
        assert_eq!(rules(&Score::of(&nobody, new, &[], NOW)), [Rule::Unreachable]);
        let named =
            Contact { fields: [("course".to_owned(), "IELTS".to_owned())].into(), ..lead(Stage::Qualified) };
        assert_eq!(rules(&Score::of(&named, new, &[], NOW)), [Rule::StageQualified, Rule::NamesCourse]);
    }

    proptest! {
        #[test]
        fn whatever_programs_write_beside_a_call_gets_a_score_between_0_and_100(
            written in "\\PC{0,12}", days in 0..400_u64, number in any::<f64>(),
        ) {
            let metadata = json!({ "lead_stage_suggestion": written, "urgency": number, "entities": written });
            let entries = [(days, said(CommunicationKind::CallSummary, metadata))];
            for stage in [Stage::New, Stage::Qualified, Stage::Lost] {
                let score = Score::of(&lead(stage), 0, &heard(&entries), NOW);
                prop_assert!(score.points <= 100);
            }
        }
    }
}
