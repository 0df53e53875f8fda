//! A call as lists show it: one shape in every list, live or ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sotto_call::{ArcPoint, CallId, CallState, EndReason, Millis, Participant, Shedding, Source};
use sotto_store::{CallRow, CallRowState, LastWords, Outcome};
use utoipa::ToSchema;

use crate::http::schema;
use crate::needs::LiveNow;

/// A call as lists show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallSummary {
    /// Its id, a UUID version 7.
    #[schema(value_type = String)]
    pub id: CallId,
    /// The name others know it by: SIP Call-ID, recording session id, file name.
    pub external_id: String,
    /// Where its audio comes from.
    #[schema(value_type = schema::Source)]
    pub source: Source,
    /// Whether it goes on.
    pub state: Lifecycle,
    /// Wall-clock time of its clock's zero, in milliseconds since 1970 (UTC).
    pub started_at_unix_ms: u64,
    /// How long it was; absent while it is live.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub duration_ms: Option<Millis>,
    /// Why it ended; absent while it is live.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::EndReason>)]
    pub ended: Option<EndReason>,
    /// Who takes part.
    #[schema(value_type = Vec<schema::Participant>)]
    pub participants: Vec<Participant>,
    /// The last final words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::LastWords>)]
    pub last: Option<LastWords>,
    /// What analysis is giving up just now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Shedding>)]
    pub shedding: Option<Shedding>,
    /// The customer's mood, as far as their words tell. Absent in lists of ended calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::ArcPoint>)]
    pub mood: Option<ArcPoint>,
    /// What the customer wants, as they said last. Absent in lists of ended calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<IntentNow>,
    /// Final utterances with words.
    pub utterances: u32,
    /// Whether there is a recording.
    pub recording: bool,
    /// BCP 47 code of its language, absent when that is detected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// It goes on through us, so that supervisors can come to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bridged: bool,
    /// What supervisors see of it while it is live; nobody else does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<LiveNow>,
    /// How it came out, once somebody has written that down. Absent in lists of live calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Outcome>)]
    pub outcome: Option<Outcome>,
    /// The number of the newest event this takes into account.
    pub seq: u64,
    /// Of two summaries of a live call the one with the larger number is the newer.
    #[serde(skip)]
    pub(crate) version: u64,
}

/// What somebody sees of calls besides what was said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    /// What supervisors see.
    pub supervises: bool,
    /// How customers feel.
    pub moods: bool,
}

/// What a customer wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IntentNow {
    /// The organisation's name for it.
    pub name: String,
    /// What people call it, by BCP 47 language.
    pub title: BTreeMap<String, String>,
    /// How probable it is, 0 to 1.
    pub confidence: f32,
}

/// Whether a call goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lifecycle {
    /// It goes on.
    Live,
    /// Its log is closed.
    Ended,
}

impl CallSummary {
    /// The summary of a call that this process follows.
    pub(crate) fn of_state(id: CallId, recording: bool, state: &CallState) -> Self {
        let (utterances, last) = sotto_store::spoken(state);
        let started = state.started.as_ref();
        let ended = state.ended.as_ref();
        Self {
            id,
            external_id: started.map(|started| started.external_id.clone()).unwrap_or_default(),
            source: started.map_or(Source::Sip, |started| started.source),
            state: if ended.is_some() { Lifecycle::Ended } else { Lifecycle::Live },
            started_at_unix_ms: started.map_or(0, |started| started.started_at_unix_ms),
            duration_ms: ended.map(|ended| ended.duration_ms),
            ended: ended.map(|ended| ended.reason),
            participants: started.map(|started| started.participants.clone()).unwrap_or_default(),
            last,
            shedding: state.shedding,
            mood: state.mood_now().map(|mood| mood.arc),
            intent: state.intent_now().and_then(|intent| {
                let (name, title) = (intent.name.clone()?, intent.title.clone());
                Some(IntentNow { name, title, confidence: intent.confidence })
            }),
            utterances,
            recording,
            language: started.and_then(|started| started.language.clone()),
            bridged: ended.is_none() && started.is_some_and(|started| started.bridged),
            now: None,
            outcome: None,
            seq: state.seq,
            version: 0,
        }
    }

    /// As somebody sees it.
    pub(crate) fn seen_with(&self, sight: Sight) -> Self {
        let mut seen = self.clone();
        seen.mood = seen.mood.filter(|_| sight.moods);
        seen.now = seen.now.filter(|_| sight.supervises);
        if let Some(now) = &mut seen.now
            && !sight.moods
        {
            now.alerts.retain(|alert| !alert.kind.tells_mood());
        }
        seen
    }

    /// Whether a list would show the two differently.
    pub(crate) fn looks_like(&self, other: &Self) -> bool {
        *self == Self { seq: self.seq, version: self.version, ..other.clone() }
    }
}

impl From<CallRow> for CallSummary {
    fn from(row: CallRow) -> Self {
        Self {
            id: row.id,
            external_id: row.external_id,
            source: row.source,
            state: match row.state {
                CallRowState::Live => Lifecycle::Live,
                CallRowState::Ended => Lifecycle::Ended,
            },
            started_at_unix_ms: row.started_at_unix_ms,
            duration_ms: row.duration_ms,
            ended: row.ended,
            participants: row.participants,
            last: row.last,
            shedding: None,
            mood: None,
            intent: None,
            utterances: row.utterances,
            recording: row.recording.is_some(),
            language: row.language,
            bridged: false,
            now: None,
            outcome: row.outcome,
            seq: row.last_seq,
            version: 0,
        }
    }
}
