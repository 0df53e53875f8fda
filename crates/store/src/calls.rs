//! Calls and their logs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sotto_call::{
    CallEnded, CallEvent, CallId, CallStarted, CallState, EndReason, EventBody, Millis, Participant, Party,
    Source, UtteranceId,
};
use sqlx::QueryBuilder;
use uuid::Uuid;

use crate::deliveries::{EventKind, Told, tell};
use crate::gaps::FORGET_KNOWLEDGE;
use crate::imports::FORGET_IMPORT;
use crate::jobs::{FORGET_MOODS, MAKE_AGAIN, QUEUE, Step};
use crate::store::{
    clean, from_json, from_name, name_of, narrow, read, signed, to_json, transaction, unsigned,
};
use crate::timeline::FORGET_CALL;
use crate::{Store, StoreError};

/// Whether a call goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallRowState {
    /// It goes on.
    Live,
    /// Its log is closed.
    Ended,
}

/// A call as the table of calls knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct CallRow {
    /// Its id.
    pub id: CallId,
    /// The name others know it by.
    pub external_id: String,
    /// Where its audio comes from.
    pub source: Source,
    /// Live or ended.
    pub state: CallRowState,
    /// Wall-clock time of its clock's zero.
    pub started_at_unix_ms: u64,
    /// Who takes part.
    pub participants: Vec<Participant>,
    /// BCP 47 code, absent when the language is detected.
    pub language: Option<String>,
    /// Where its recording lies, relative to the data folder.
    pub recording: Option<String>,
    /// The number of the newest event that is stored.
    pub last_seq: u64,
    /// When that was.
    pub last_at: Millis,
    /// Why it ended; absent while it is live.
    pub ended: Option<EndReason>,
    /// How long it was; absent while it is live.
    pub duration_ms: Option<Millis>,
    /// Final utterances with words; 0 while it is live.
    pub utterances: u32,
    /// The last of them; absent while it is live.
    pub last: Option<LastWords>,
    /// How it came out, once somebody has written that down.
    pub outcome: Option<Outcome>,
}

/// How a call came out, as a person says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How.
    pub outcome: String,
    /// Who says so.
    pub by: String,
    /// When they said so, in milliseconds since 1970 (UTC).
    pub at_unix_ms: u64,
}

impl CallRow {
    /// The row of a call that begins now.
    #[must_use]
    pub fn live(id: CallId, started: &CallStarted, recording: Option<String>) -> Self {
        Self {
            id,
            external_id: started.external_id.clone(),
            source: started.source,
            state: CallRowState::Live,
            started_at_unix_ms: started.started_at_unix_ms,
            participants: started.participants.clone(),
            language: started.language.clone(),
            recording,
            last_seq: 0,
            last_at: Millis(0),
            ended: None,
            duration_ms: None,
            utterances: 0,
            last: None,
            outcome: None,
        }
    }
}

/// The words that were spoken last, for lists of calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastWords {
    /// Who spoke.
    pub party: Party,
    /// What.
    pub text: String,
    /// Until when.
    pub at_ms: Millis,
}

/// What the table of calls learns when a call ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Closing {
    /// Why and how long.
    pub ended: CallEnded,
    /// Final utterances with words.
    pub utterances: u32,
    /// The last of them.
    pub last: Option<LastWords>,
    /// Who took part; absent to leave that as it was at the start.
    pub participants: Option<Vec<Participant>>,
}

impl Closing {
    /// The closing of a call whose log ends in `ended` and adds up to `state`.
    #[must_use]
    pub fn of(state: &CallState, ended: CallEnded) -> Self {
        let (utterances, last) = spoken(state);
        let participants = state.started.as_ref().map(|started| started.participants.clone());
        Self { ended, utterances, last, participants }
    }
}

/// How many final utterances with words a call has, and the last of them.
#[must_use]
pub fn spoken(state: &CallState) -> (u32, Option<LastWords>) {
    let last = state.finals().last().map(|utterance| LastWords {
        party: utterance.party,
        text: utterance.text.clone(),
        at_ms: utterance.end_ms,
    });
    (u32::try_from(state.finals().count()).unwrap_or(u32::MAX), last)
}

/// Which calls to list.
#[derive(Clone, Copy, Debug)]
pub struct CallFilter {
    /// Only these.
    pub state: Option<CallRowState>,
    /// Only calls that began before this one.
    pub before: Option<CallId>,
    /// At most so many.
    pub limit: u32,
}

/// Something is to be taken out of a call's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Redaction {
    pub call: CallId,
    pub what: TakenOut,
    /// Of events with smaller numbers than this.
    pub before: u64,
}

/// What is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TakenOut {
    /// What was said in an utterance.
    Words(UtteranceId),
    /// How the customer feels.
    Moods,
}

impl TakenOut {
    /// Whether it is in an event.
    pub fn is_in(self, body: &EventBody) -> bool {
        match self {
            Self::Words(id) => body.quotes() == Some(id),
            Self::Moods => body.tells_mood(),
        }
    }

    /// Takes it out of an event that it is in.
    pub fn remove_from(self, body: &mut EventBody) {
        match self {
            Self::Words(_) => body.redact(),
            Self::Moods => body.forget_mood(),
        }
    }

    /// What of events it may be in their JSON has, as serde_json writes it: few are looked at that are about something else.
    fn patterns(self) -> [String; 2] {
        match self {
            Self::Words(id) => {
                let quotes = format!("%\"utterance_id\":{},%", id.0);
                [quotes.clone(), quotes]
            }
            Self::Moods => ["%\"kind\":\"mood\"%", "%\"about\":\"empathy\"%"].map(str::to_owned),
        }
    }
}

/// What one transaction writes: rows of new calls first, then events, then what is taken out of events, then the closing
/// of calls.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub begins: Vec<CallRow>,
    pub events: Vec<(CallId, Arc<CallEvent>)>,
    pub redactions: Vec<Redaction>,
    pub ends: Vec<(CallId, Closing)>,
}

impl Batch {
    /// The same writes, call by call, so that one bad call does not hold up the others.
    pub fn by_call(&self) -> BTreeMap<CallId, Batch> {
        let mut calls: BTreeMap<CallId, Batch> = BTreeMap::new();
        for row in &self.begins {
            calls.entry(row.id).or_default().begins.push(row.clone());
        }
        for (id, event) in &self.events {
            calls.entry(*id).or_default().events.push((*id, Arc::clone(event)));
        }
        for redaction in &self.redactions {
            calls.entry(redaction.call).or_default().redactions.push(*redaction);
        }
        for (id, closing) in &self.ends {
            calls.entry(*id).or_default().ends.push((*id, closing.clone()));
        }
        calls
    }

    /// How many writes there are in it.
    pub fn len(&self) -> usize {
        self.begins.len() + self.events.len() + self.redactions.len() + self.ends.len()
    }
}

/// An event on its way into its row.
struct EventRow {
    call: CallId,
    seq: i64,
    json: String,
}

/// Rows per statement, well below the limits on parameters of both databases.
const ROWS_PER_INSERT: usize = 500;
/// Calls with old moods that are looked up together.
const CALLS_PER_SWEEP: u32 = 100;
/// Events that are removed in one transaction: some milliseconds, as they are overwritten.
const EVENTS_PER_DELETE: i64 = 500;

impl Store {
    /// Adds a call. Adding it again does nothing.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn create_call(&self, call: &CallRow) -> Result<(), StoreError> {
        self.commit(&Batch { begins: vec![call.clone()], ..Batch::default() }).await
    }

    /// Adds `events` to a live call's log, all or none. Events that are there already are left alone.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a number is taken by an event that says something else,
    /// [`StoreError::UnknownCall`], [`StoreError::Ended`] when there is something to add after the end.
    pub async fn append(&self, id: CallId, events: &[CallEvent]) -> Result<(), StoreError> {
        let events = events.iter().map(|event| (id, Arc::new(event.clone()))).collect();
        self.commit(&Batch { events, ..Batch::default() }).await
    }

    /// Adds the last events, closes the call and queues what is done after it, in one transaction. Doing it again does nothing.
    ///
    /// # Errors
    /// As [`Store::append`], and [`StoreError::Ended`] when the call was closed otherwise.
    pub async fn end_call(
        &self,
        id: CallId,
        events: &[CallEvent],
        closing: &Closing,
    ) -> Result<(), StoreError> {
        let events = events.iter().map(|event| (id, Arc::new(event.clone()))).collect();
        self.commit(&Batch { events, ends: vec![(id, closing.clone())], ..Batch::default() }).await
    }

    /// Writes all of `batch`, or nothing.
    pub(crate) async fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut rows = Vec::with_capacity(batch.events.len());
        // Several writes of one event collapse into one, as a database cannot insert a row twice at once.
        let mut seen = BTreeMap::new();
        let mut newest: BTreeMap<CallId, (i64, i64)> = BTreeMap::new();
        for (call, event) in &batch.events {
            let seq = signed(event.seq, "event number")?;
            let at = signed(event.at_ms.0, "time")?;
            let json = to_json(event.as_ref())?;
            match seen.get(&(*call, seq)) {
                Some(earlier) if *earlier == json => continue,
                Some(_) => return Err(StoreError::Conflict { call: *call, seq: event.seq }),
                None => seen.insert((*call, seq), json.clone()),
            };
            let last = newest.entry(*call).or_insert((seq, at));
            if seq > last.0 {
                *last = (seq, at);
            }
            rows.push(EventRow { call: *call, seq, json });
        }
        drop(seen);
        transaction!(self, tx => {
            for row in &batch.begins {
                sqlx::query(
                    "INSERT INTO calls (id, external_id, source, state, started_at, participants, language, \
                     recording, last_seq, last_ms, utterances) \
                     VALUES ($1, $2, $3, 'live', $4, $5, $6, $7, 0, 0, 0) ON CONFLICT (id) DO NOTHING",
                )
                .bind(row.id.0)
                .bind(clean(&row.external_id))
                .bind(name_of(&row.source)?)
                .bind(signed(row.started_at_unix_ms, "start")?)
                .bind(to_json(&row.participants)?)
                .bind(row.language.as_deref().map(clean))
                .bind(row.recording.as_deref().map(clean))
                .execute(&mut **tx)
                .await?;
                let at = signed(row.started_at_unix_ms, "start")?;
                tell!(self, tx, Told::of_call(EventKind::CallStarted, row.id, at));
            }
            for (call, (seq, at)) in &newest {
                let known = sqlx::query(
                    "UPDATE calls SET last_ms = CASE WHEN last_seq < $2 THEN $3 ELSE last_ms END, \
                     last_seq = CASE WHEN last_seq < $2 THEN $2 ELSE last_seq END \
                     WHERE id = $1 AND (state = 'live' OR last_seq >= $2)",
                )
                .bind(call.0)
                .bind(seq)
                .bind(at)
                .execute(&mut **tx)
                .await?
                .rows_affected();
                if known == 0 {
                    let call_row: Option<String> = sqlx::query_scalar("SELECT state FROM calls WHERE id = $1")
                        .bind(call.0)
                        .fetch_optional(&mut **tx)
                        .await?;
                    return Err(match call_row {
                        Some(_) => StoreError::Ended(*call),
                        None => StoreError::UnknownCall(*call),
                    });
                }
            }
            for chunk in rows.chunks(ROWS_PER_INSERT) {
                let mut insert = QueryBuilder::new("INSERT INTO events (call_id, seq, event) ");
                insert.push_values(chunk, |mut tuple, row| {
                    tuple.push_bind(row.call.0).push_bind(row.seq).push_bind(row.json.as_str());
                });
                insert.push(" ON CONFLICT (call_id, seq) DO NOTHING");
                // Every length is another statement: not worth keeping prepared.
                let inserted = insert.build().persistent(false).execute(&mut **tx).await?.rows_affected();
                if inserted == chunk.len() as u64 {
                    continue;
                }
                // Some were there before: the same ones, or others?
                for row in chunk {
                    let stored: Option<String> =
                        sqlx::query_scalar("SELECT event FROM events WHERE call_id = $1 AND seq = $2")
                            .bind(row.call.0)
                            .bind(row.seq)
                            .fetch_optional(&mut **tx)
                            .await?;
                    if stored.as_deref() != Some(row.json.as_str()) {
                        return Err(StoreError::Conflict {
                            call: row.call,
                            seq: unsigned(row.seq, "event number")?,
                        });
                    }
                }
            }
            for Redaction { call, what, before } in &batch.redactions {
                let [one, other] = what.patterns();
                let stored: Vec<(i64, String)> = sqlx::query_as(
                    "SELECT seq, event FROM events WHERE call_id = $1 AND seq < $2 \
                     AND (event LIKE $3 OR event LIKE $4)",
                )
                .bind(call.0)
                .bind(signed(*before, "event number")?)
                .bind(one)
                .bind(other)
                .fetch_all(&mut **tx)
                .await?;
                for (seq, json) in stored {
                    let mut event: CallEvent = from_json(&json, "event")?;
                    if !what.is_in(&event.body) {
                        continue;
                    }
                    what.remove_from(&mut event.body);
                    sqlx::query("UPDATE events SET event = $3 WHERE call_id = $1 AND seq = $2")
                        .bind(call.0)
                        .bind(seq)
                        .bind(to_json(&event)?)
                        .execute(&mut **tx)
                        .await?;
                }
            }
            for call in batch.redactions.iter().map(|redaction| redaction.call).collect::<BTreeSet<_>>() {
                for statement in MAKE_AGAIN.into_iter().chain(FORGET_KNOWLEDGE).chain(FORGET_CALL) {
                    sqlx::query(statement).bind(call.0).execute(&mut **tx).await?;
                }
            }
            for (call, closing) in &batch.ends {
                let last = closing.last.as_ref().map(to_json).transpose()?;
                let reason = name_of(&closing.ended.reason)?;
                let closed = sqlx::query(
                    "UPDATE calls SET state = 'ended', ended = $2, duration_ms = $3, utterances = $4, \
                     last_words = $5, participants = coalesce($6, participants) WHERE id = $1 AND (state = 'live' OR ended = $2)",
                )
                .bind(call.0)
                .bind(reason)
                .bind(signed(closing.ended.duration_ms.0, "duration")?)
                .bind(i64::from(closing.utterances))
                .bind(last)
                .bind(closing.participants.as_ref().map(to_json).transpose()?)
                .execute(&mut **tx)
                .await?
                .rows_affected();
                if closed == 0 {
                    let known: Option<String> = sqlx::query_scalar("SELECT state FROM calls WHERE id = $1")
                        .bind(call.0)
                        .fetch_optional(&mut **tx)
                        .await?;
                    return Err(match known {
                        Some(_) => StoreError::Ended(*call),
                        None => StoreError::UnknownCall(*call),
                    });
                }
                for step in Step::AT_END {
                    sqlx::query(QUEUE)
                        .bind(Uuid::now_v7())
                        .bind(name_of(&step)?)
                        .bind(i64::from(step.version()))
                        .bind(call.0)
                        .execute(&mut **tx)
                        .await?;
                }
                let at: i64 = sqlx::query_scalar("SELECT started_at + duration_ms FROM calls WHERE id = $1")
                    .bind(call.0)
                    .fetch_one(&mut **tx)
                    .await?;
                tell!(self, tx, Told::of_call(EventKind::CallEnded, *call, at));
            }
        });
        if !batch.redactions.is_empty() {
            self.forget_old_rows();
        }
        Ok(())
    }

    /// The events of a call numbered above `from`, in order, at most `limit`.
    ///
    /// # Errors
    /// When the database refuses, or holds an event that this version cannot read.
    pub async fn events(&self, id: CallId, from: u64, limit: u32) -> Result<Vec<CallEvent>, StoreError> {
        // Nothing is numbered above the largest number a column can hold.
        let Ok(from) = i64::try_from(from) else { return Ok(Vec::new()) };
        let rows: Vec<String> = read!(self, db => {
            sqlx::query_scalar("SELECT event FROM events WHERE call_id = $1 AND seq > $2 ORDER BY seq LIMIT $3")
                .bind(id.0)
                .bind(from)
                .bind(i64::from(limit))
                .fetch_all(db)
                .await?
        });
        rows.iter().map(|json| from_json(json, "event")).collect()
    }

    /// The state that all stored events of a call add up to.
    ///
    /// # Errors
    /// As [`Store::events`].
    pub async fn state(&self, id: CallId) -> Result<CallState, StoreError> {
        const PAGE: u32 = 1000;
        let mut state = CallState::default();
        loop {
            let page = self.events(id, state.seq, PAGE).await?;
            page.iter().for_each(|event| state.apply(event));
            if page.len() < PAGE as usize {
                return Ok(state);
            }
        }
    }

    /// One call.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn call(&self, id: CallId) -> Result<Option<CallRow>, StoreError> {
        let row: Option<RawCall> = read!(self, db => {
            sqlx::query_as("SELECT * FROM calls WHERE id = $1").bind(id.0).fetch_optional(db).await?
        });
        row.map(CallRow::try_from).transpose()
    }

    /// Calls, newest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn calls(&self, filter: CallFilter) -> Result<Vec<CallRow>, StoreError> {
        let state = filter.state.map(|state| name_of(&state)).transpose()?;
        let rows: Vec<RawCall> = read!(self, db => {
            let mut query = QueryBuilder::new("SELECT * FROM calls WHERE 1 = 1");
            narrow!(query, " AND state = ": state, " AND id < ": filter.before.map(|before| before.0));
            query.push(" ORDER BY id DESC LIMIT ").push_bind(i64::from(filter.limit));
            query.build_query_as().fetch_all(db).await?
        });
        rows.into_iter().map(CallRow::try_from).collect()
    }

    /// All calls whose log is not closed.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn live_calls(&self) -> Result<Vec<CallRow>, StoreError> {
        self.calls(CallFilter { state: Some(CallRowState::Live), before: None, limit: u32::MAX }).await
    }

    /// Ended calls that began before `unix_ms`, each with where its recording lies: those whose ids follow `after`, or the first,
    /// at most `limit`. What retention removes.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn calls_older_than(
        &self,
        unix_ms: u64,
        after: Option<CallId>,
        limit: u32,
    ) -> Result<Vec<(CallId, Option<String>)>, StoreError> {
        let before = i64::try_from(unix_ms).unwrap_or(i64::MAX);
        let rows: Vec<(Uuid, Option<String>)> = read!(self, db => {
            sqlx::query_as(
                "SELECT id, recording FROM calls WHERE state = 'ended' AND started_at < $1 AND id > $2 \
                 ORDER BY id LIMIT $3",
            )
            .bind(before)
            .bind(after.map_or(Uuid::nil(), |id| id.0))
            .bind(i64::from(limit))
            .fetch_all(db)
            .await?
        });
        Ok(rows.into_iter().map(|(id, recording)| (CallId(id), recording)).collect())
    }

    /// Removes what was read of customers' moods from ended calls that began before `unix_ms`, call by call, and says of how
    /// many. Their words, and the numbers of their events, stay: where a mood was, an event says nothing. A call with an event
    /// that this version cannot read is left as it is, which is logged.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn forget_moods(&self, unix_ms: u64) -> Result<u64, StoreError> {
        let mut calls = 0;
        let swept = self.sweep_moods(unix_ms, &mut calls).await;
        if calls > 0 {
            self.forget_old_rows();
        }
        swept.map(|()| calls)
    }

    /// Removes what was read of the mood of one call's customer, as [`forget_moods`](Self::forget_moods) does: they do not agree.
    /// The call has ended.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn forget_moods_of_call(&self, id: CallId) -> Result<(), StoreError> {
        self.forget_moods_of(id.0).await?;
        self.forget_old_rows();
        Ok(())
    }

    async fn sweep_moods(&self, unix_ms: u64, calls: &mut u64) -> Result<(), StoreError> {
        let before = i64::try_from(unix_ms).unwrap_or(i64::MAX);
        let mut after = Uuid::nil();
        loop {
            let ids: Vec<Uuid> = read!(self, db => {
                sqlx::query_scalar(
                    "SELECT id FROM calls WHERE state = 'ended' AND moods_kept AND started_at < $1 AND id > $2 \
                     ORDER BY id LIMIT $3",
                )
                .bind(before)
                .bind(after)
                .bind(i64::from(CALLS_PER_SWEEP))
                .fetch_all(db)
                .await?
            });
            let Some(last) = ids.last() else { return Ok(()) };
            after = *last;
            for id in ids {
                match self.forget_moods_of(id).await {
                    Ok(()) => *calls += 1,
                    Err(error) if error.is_permanent() => {
                        tracing::error!(call = %id, %error, "old moods of a call cannot be removed");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Looks for the moods of an ended call without holding up those who write, and removes them.
    async fn forget_moods_of(&self, id: Uuid) -> Result<(), StoreError> {
        let [one, other] = TakenOut::Moods.patterns();
        let stored: Vec<(i64, String)> = read!(self, db => {
            sqlx::query_as(
                "SELECT seq, event FROM events WHERE call_id = $1 AND (event LIKE $2 OR event LIKE $3)",
            )
            .bind(id)
            .bind(one)
            .bind(other)
            .fetch_all(db)
            .await?
        });
        let mut changed = Vec::new();
        for (seq, json) in stored {
            let mut event: CallEvent = from_json(&json, "event")?;
            if TakenOut::Moods.is_in(&event.body) {
                TakenOut::Moods.remove_from(&mut event.body);
                changed.push((seq, json, to_json(&event)?));
            }
        }
        transaction!(self, tx => {
            for (seq, was, is) in &changed {
                // Something else may have been taken out of it meanwhile: that is not undone.
                let replaced = sqlx::query(
                    "UPDATE events SET event = $4 WHERE call_id = $1 AND seq = $2 AND event = $3",
                )
                .bind(id)
                .bind(*seq)
                .bind(was)
                .bind(is)
                .execute(&mut **tx)
                .await?
                .rows_affected();
                if replaced == 0 {
                    let seq = unsigned(*seq, "event number")?;
                    return Err(StoreError::Conflict { call: CallId(id), seq });
                }
            }
            for statement in FORGET_MOODS {
                sqlx::query(statement).bind(id).execute(&mut **tx).await?;
            }
            sqlx::query("UPDATE calls SET moods_kept = $2 WHERE id = $1")
                .bind(id)
                .bind(false)
                .execute(&mut **tx)
                .await?;
        });
        Ok(())
    }

    /// Writes down how a call came out, in place of what was written before.
    ///
    /// # Errors
    /// [`StoreError::UnknownCall`], or when the database refuses.
    pub async fn set_outcome(&self, id: CallId, outcome: &Outcome) -> Result<(), StoreError> {
        let outcome = to_json(outcome)?;
        let known = transaction!(self, tx => {
            let updated = sqlx::query("UPDATE calls SET outcome = $2 WHERE id = $1").bind(id.0).bind(&outcome);
            updated.execute(&mut **tx).await?.rows_affected()
        });
        if known == 0 { Err(StoreError::UnknownCall(id)) } else { Ok(()) }
    }

    /// Removes ended calls and their logs, one after the other; live ones are left alone. Says how many were removed.
    ///
    /// # Errors
    /// When the database refuses. A log that was begun to be removed is then without its end.
    pub async fn delete_calls(&self, ids: &BTreeSet<CallId>) -> Result<u64, StoreError> {
        let mut removed = 0;
        let deleted = self.delete_each(ids, &mut removed).await;
        self.forget_old_rows();
        deleted.map(|()| removed)
    }

    async fn delete_each(&self, ids: &BTreeSet<CallId>, removed: &mut u64) -> Result<(), StoreError> {
        for id in ids {
            // Piece by piece, for others have to write meanwhile. The newest go first: what is left is a log all the while.
            loop {
                let gone = transaction!(self, tx => {
                    sqlx::query(
                        "DELETE FROM events WHERE call_id = $1 AND seq > \
                         (SELECT seq FROM events WHERE call_id = $1 ORDER BY seq DESC LIMIT 1 OFFSET $2) \
                         AND EXISTS (SELECT 1 FROM calls WHERE id = $1 AND state = 'ended')",
                    )
                    .bind(id.0)
                    .bind(EVENTS_PER_DELETE)
                    .execute(&mut **tx)
                    .await?
                    .rows_affected()
                });
                if gone == 0 {
                    break;
                }
            }
            *removed += transaction!(self, tx => {
                // The jobs come first, as in `MAKE_AGAIN`: whoever is keeping what one came to just now does so before this.
                let first = ["DELETE FROM jobs WHERE call_id = $1", FORGET_IMPORT];
                for statement in first.into_iter().chain(FORGET_CALL) {
                    sqlx::query(statement).bind(id.0).execute(&mut **tx).await?;
                }
                sqlx::query("DELETE FROM calls WHERE id = $1 AND state = 'ended'")
                    .bind(id.0)
                    .execute(&mut **tx)
                    .await?
                    .rows_affected()
            });
        }
        Ok(())
    }
}

#[derive(sqlx::FromRow)]
pub(crate) struct RawCall {
    id: Uuid,
    external_id: String,
    source: String,
    state: String,
    started_at: i64,
    participants: String,
    language: Option<String>,
    recording: Option<String>,
    last_seq: i64,
    last_ms: i64,
    ended: Option<String>,
    duration_ms: Option<i64>,
    utterances: i64,
    last_words: Option<String>,
    outcome: Option<String>,
}

impl TryFrom<RawCall> for CallRow {
    type Error = StoreError;
    fn try_from(raw: RawCall) -> Result<Self, StoreError> {
        Ok(Self {
            id: CallId(raw.id),
            external_id: raw.external_id,
            source: from_name(raw.source)?,
            state: from_name(raw.state)?,
            started_at_unix_ms: unsigned(raw.started_at, "start")?,
            participants: from_json(&raw.participants, "participants")?,
            language: raw.language,
            recording: raw.recording,
            last_seq: unsigned(raw.last_seq, "event number")?,
            last_at: Millis(unsigned(raw.last_ms, "time")?),
            ended: raw.ended.map(from_name).transpose()?,
            duration_ms: raw.duration_ms.map(|ms| unsigned(ms, "duration").map(Millis)).transpose()?,
            utterances: u32::try_from(raw.utterances).unwrap_or(u32::MAX),
            last: raw.last_words.map(|json| from_json(&json, "last words")).transpose()?,
            outcome: raw.outcome.map(|json| from_json(&json, "outcome")).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use sotto_call::{CallLog, Consent};

    use super::*;
    use crate::store::Db;

    /// An ended call whose log has this event besides its beginning and end.
    async fn ended_with(store: &Store, event: &str) -> CallId {
        let started = CallStarted {
            version: sotto_call::FORMAT_VERSION,
            source: Source::Sip,
            started_at_unix_ms: 1_000,
            external_id: String::new(),
            participants: Vec::new(),
            language: None,
            bridged: false,
            parties_guessed: false,
            headers: Default::default(),
        };
        let (id, mut log) = (CallId::new(), CallLog::default());
        store.create_call(&CallRow::live(id, &started, None)).await.unwrap();
        let ended = CallEnded { reason: EndReason::Hangup, duration_ms: Millis(5) };
        let events = [
            log.append(Millis(0), EventBody::CallStarted(started)),
            log.append(Millis(1), EventBody::Consent(Consent { mood: true })),
            log.append(Millis(5), EventBody::CallEnded(ended.clone())),
        ];
        store.end_call(id, &events, &Closing::of(&CallState::of(&events), ended)).await.unwrap();
        let Db::Sqlite { write, .. } = &store.db else { panic!("SQLite") };
        let update = sqlx::query("UPDATE events SET event = $2 WHERE call_id = $1 AND seq = 2");
        update.bind(id.0).bind(event).execute(write).await.unwrap();
        id
    }

    #[tokio::test]
    async fn one_call_that_cannot_be_read_does_not_keep_the_moods_of_all_others() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("sqlite:{}", folder.path().join("a.db").display())).await.unwrap();
        let prompt = r#"{"seq":2,"at_ms":1,"kind":"prompt","prompt_id":1,"about":"empathy","priority":70,"text":{},
            "evidence":{"utterance_id":1,"revision":0,"text":"so"},"expires_at_ms":9,"held_back":[]}"#;
        let unreadable = r#"{"seq":2,"at_ms":1,"kind":"mood"}"#;
        let mut calls = Vec::new();
        for n in 0..CALLS_PER_SWEEP {
            calls.push(ended_with(&store, if n == 0 { unreadable } else { prompt }).await);
        }
        calls.push(ended_with(&store, prompt).await);
        assert_eq!(store.forget_moods(5_000).await.unwrap(), u64::from(CALLS_PER_SWEEP));
        for id in &calls[1..] {
            assert!(!store.events(*id, 0, 9).await.unwrap().iter().any(|event| event.body.tells_mood()));
        }
        assert!(store.events(calls[0], 0, 9).await.is_err());
        assert_eq!(store.forget_moods(5_000).await.unwrap(), 0, "and is tried again");
        store.close().await;
    }

    #[tokio::test]
    async fn a_long_call_is_removed_without_keeping_others_from_writing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("sqlite:{}", folder.path().join("a.db").display())).await.unwrap();
        let id = ended_with(&store, r#"{"seq":2,"at_ms":1,"kind":"mood"}"#).await;
        let Db::Sqlite { write, .. } = &store.db else { panic!("SQLite") };
        let most = 2 * EVENTS_PER_DELETE + 10;
        for seq in 4..=most {
            let insert = sqlx::query("INSERT INTO events (call_id, seq, event) VALUES ($1, $2, '{}')");
            insert.bind(id.0).bind(seq).execute(write).await.unwrap();
        }
        let held = write.acquire().await.unwrap();
        let (deleting, writing) = (store.clone(), write.clone());
        let deleted = tokio::spawn(async move { deleting.delete_calls(&[id].into()).await.unwrap() });
        let other = tokio::spawn(async move { writing.acquire().await.unwrap() });
        // Now both wait, in this order.
        tokio::task::yield_now().await;
        drop(held);
        let mut other = other.await.unwrap();
        let left: Vec<i64> = sqlx::query_scalar("SELECT seq FROM events WHERE call_id = $1 ORDER BY seq")
            .bind(id.0)
            .fetch_all(&mut *other)
            .await
            .unwrap();
        assert_eq!(left, (1..=most - EVENTS_PER_DELETE).collect::<Vec<_>>(), "a log that lacks its end");
        drop(other);
        assert_eq!(deleted.await.unwrap(), 1);
        let (call, events) = (store.call(id).await.unwrap(), store.events(id, 0, 1).await.unwrap());
        assert_eq!((call, events), (None, Vec::new()));
        store.close().await;
    }

    #[tokio::test]
    async fn old_moods_are_looked_for_without_the_connection_that_writes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("sqlite:{}", folder.path().join("a.db").display())).await.unwrap();
        ended_with(&store, r#"{"seq":2,"at_ms":1,"kind":"mood"}"#).await;
        let Db::Sqlite { write, .. } = &store.db else { panic!("SQLite") };
        // Held for as long as it takes to see that there is nothing to be written.
        let held = write.acquire().await.unwrap();
        assert_eq!(store.forget_moods(5_000).await.unwrap(), 0);
        drop(held);
        store.close().await;
    }
}
