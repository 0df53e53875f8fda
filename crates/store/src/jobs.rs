//! What is done after a call: jobs, each a step of one call, and what they come to.
//!
//! A job is queued in the transaction that ends its call, and settled in the one that keeps what it came to, so that neither
//! is ever there without the other. Whoever claims jobs holds [`Store::lock_instance`], and claims those of a step one after the
//! other: a job that is running when they begin is one whose process has died. Each step is a lane of its own, so that one that
//! waits for somebody else holds up no other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sotto_call::CallId;
use sotto_crm::Place;
use sqlx::FromRow;
use uuid::Uuid;

use crate::deliveries::{EventKind, Told, tell};
use crate::gaps::{ADD_CARDS, FORGET_KNOWLEDGE, add_question};
use crate::search::add_search;
use crate::store::{clean, from_name, name_of, narrow, placed, read, signed, transaction, unsigned};
use crate::timeline::{FORGET_CALL, note_call};
use crate::{CallEntry, CallKnowledge, Store, StoreError};

/// In a table of what is to be done: takes up what was worked on when the process before this one died, at `$now`. What was
/// tried `$most` times is dead, where a further condition holds if there is one. The number of both.
macro_rules! take_up {
    ($store:expr, $table:literal, $most:expr, $now:expr $(, $and:literal)?) => {
        transaction!($store, tx => {
            sqlx::query(concat!(
                "UPDATE ",
                $table,
                " SET state = CASE WHEN tries >= $1",
                $($and,)?
                " THEN 'dead' ELSE 'waiting' END, due_at = $2, \
                 changed_at = $2, error = $3 WHERE state = 'running'"
            ))
            .bind(i64::from($most))
            .bind($now)
            .bind($crate::jobs::INTERRUPTED)
            .execute(&mut **tx)
            .await?
            .rows_affected()
        })
    };
}

/// In such a table: what has been due for longest, of those for which a further condition on `$2` holds where there is one. Mostly
/// there is none, and then nobody who writes is held up.
macro_rules! due {
    ($store:expr, $table:literal, $now:expr $(, $and:literal, $value:expr)?) => {{
        let due: Option<Uuid> = read!($store, db => {
            sqlx::query_scalar(concat!(
                "SELECT id FROM ",
                $table,
                " WHERE state = 'waiting' AND due_at <= $1",
                $($and,)?
                " ORDER BY due_at, id LIMIT 1"
            ))
            .bind($now)
            $(.bind($value))?
            .fetch_optional(db)
            .await?
        });
        due
    }};
}

pub(crate) use {due, take_up};

/// Queues a step of a call that has just ended, unless it was before.
pub(crate) const QUEUE: &str = "INSERT INTO jobs (id, call_id, step, version, state, tries, claims, due_at, changed_at) \
     SELECT $1, id, $2, $3, 'waiting', 0, 0, started_at + duration_ms, started_at + duration_ms \
     FROM calls WHERE id = $4 ON CONFLICT (call_id, step, version) DO NOTHING";
/// Queues what follows a step of a call, at a time, where nothing of it is queued.
const QUEUE_NEXT: &str = "INSERT INTO jobs (id, call_id, step, version, state, tries, claims, due_at, changed_at) \
     VALUES ($1, $2, $3, $4, 'waiting', 0, 0, $5, $5)";
/// What follows a call's review is not done, nor settled by whoever does it just now.
const FORGET_NEXT: &str = "DELETE FROM jobs WHERE call_id = $1 AND step = 'write'";
/// A claimed job is done: with its id, its claim and when.
const SETTLE: &str = "UPDATE jobs SET state = 'done', error = NULL, changed_at = $3 \
     WHERE id = $1 AND claims = $2 AND state = 'running'";
/// Something was taken out of a call's log: what was made of the log as it was goes, and is made again. Three statements, each
/// with the call, and then [`FORGET_KNOWLEDGE`] and [`FORGET_CALL`]. The jobs come first, as in [`Store::finish_job`]: on
/// PostgreSQL that waits for whoever is keeping what one came to just now, and then sees what they have kept.
pub(crate) const MAKE_AGAIN: [&str; 3] = [
    "UPDATE jobs SET state = 'waiting', tries = 0, due_at = changed_at WHERE call_id = $1 AND step = 'review'",
    FORGET_NEXT,
    "DELETE FROM ai_call_insights WHERE call_id = $1",
];
/// A call's moods are kept no more. Whoever reads them just now, for what they make of them, has to read again. Three statements,
/// each with the call, in the order of [`MAKE_AGAIN`].
pub(crate) const FORGET_MOODS: [&str; 3] = [
    "UPDATE jobs SET state = 'waiting', due_at = changed_at WHERE call_id = $1 AND state = 'running'",
    "UPDATE ai_call_insights SET with_moods = NULL WHERE call_id = $1",
    "UPDATE call_facts SET sentiment = NULL WHERE call_id = $1",
];
/// Keeps what a call came to.
const KEEP_REVIEW: &str = "INSERT INTO ai_call_insights \
     (call_id, version, made_at, insight, with_moods, quality, customer_number) VALUES ($1, $2, $3, $4, $5, $6, $7) \
     ON CONFLICT (call_id) DO UPDATE SET version = excluded.version, made_at = excluded.made_at, \
     insight = excluded.insight, with_moods = excluded.with_moods, quality = excluded.quality, \
     customer_number = coalesce(excluded.customer_number, ai_call_insights.customer_number)";
/// Keeps what a language model makes of that: when, its insight without and with moods, and whose the call is.
const REWRITE: &str = "UPDATE ai_call_insights SET made_at = $2, insight = $3, with_moods = $4, \
     customer_number = coalesce($5, customer_number) WHERE call_id = $1";
/// Why a try failed in which the program ended.
pub const INTERRUPTED: &str = "the program ended while it ran";
/// Characters of an error that are kept.
pub(crate) const LONGEST_ERROR: usize = 500;

/// What is done after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Its insight and its quality are drawn from its log.
    Review,
    /// Its insight is written by a language model, in the place of the one that was drawn.
    Write,
}

impl Step {
    /// What is queued for every call that ends; the rest follows from it.
    pub const AT_END: [Self; 1] = [Self::Review];

    /// Grows when the step comes to something else than before. Calls that have ended keep what they came to.
    #[must_use]
    pub fn version(self) -> u32 {
        match self {
            Self::Review | Self::Write => 1,
        }
    }
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Until it is due.
    Waiting,
    /// Somebody has claimed it.
    Running,
    /// What it came to is kept.
    Done,
    /// It has failed too often, and waits for a person.
    Dead,
}

/// A step of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRow {
    /// Its id.
    pub id: Uuid,
    /// Of which call.
    pub call: CallId,
    /// What is to be done.
    pub step: Step,
    /// See [`Step::version`].
    pub version: u32,
    /// How far it is.
    pub state: JobState,
    /// How often it was tried, this time included, since it was queued last.
    pub tries: u32,
    /// When it may be tried, in milliseconds since 1970 (UTC).
    pub due_at_unix_ms: u64,
    /// When it was queued, claimed or settled last, in milliseconds since 1970 (UTC).
    pub changed_at_unix_ms: u64,
    /// Why the last try failed, if it did.
    pub error: Option<String>,
    /// How often it was claimed ever. Only who claimed it last can settle it.
    claims: i64,
}

/// What a call came to, as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewRow {
    /// See [`Step::version`].
    pub version: u32,
    /// When it was made, in milliseconds since 1970 (UTC).
    pub made_at_unix_ms: u64,
    /// Its insight, in which nothing rests on how the customer felt.
    pub insight: String,
    /// Its insight with that; absent where it is the same, or moods are kept no more.
    pub with_moods: Option<String>,
    /// Its quality.
    pub quality: String,
}

#[derive(FromRow)]
struct RawJob {
    id: Uuid,
    call_id: Uuid,
    step: String,
    version: i64,
    state: String,
    tries: i64,
    claims: i64,
    due_at: i64,
    changed_at: i64,
    error: Option<String>,
}

impl TryFrom<RawJob> for JobRow {
    type Error = StoreError;
    fn try_from(raw: RawJob) -> Result<Self, StoreError> {
        Ok(Self {
            id: raw.id,
            call: CallId(raw.call_id),
            step: from_name(raw.step)?,
            version: small(raw.version)?,
            state: from_name(raw.state)?,
            tries: small(raw.tries)?,
            due_at_unix_ms: unsigned(raw.due_at, "time")?,
            changed_at_unix_ms: unsigned(raw.changed_at, "time")?,
            error: raw.error,
            claims: raw.claims,
        })
    }
}

#[derive(FromRow)]
struct RawReview {
    version: i64,
    made_at: i64,
    insight: String,
    with_moods: Option<String>,
    quality: String,
}

impl TryFrom<RawReview> for ReviewRow {
    type Error = StoreError;
    fn try_from(raw: RawReview) -> Result<Self, StoreError> {
        let RawReview { version, made_at, insight, with_moods, quality } = raw;
        let (version, made_at_unix_ms) = (small(version)?, unsigned(made_at, "time")?);
        Ok(Self { version, made_at_unix_ms, insight, with_moods, quality })
    }
}

pub(crate) fn small(value: i64) -> Result<u32, StoreError> {
    u32::try_from(value).map_err(|_| StoreError::Invalid(format!("{value} is out of range")))
}

impl Store {
    /// Takes up jobs that were running when the process that had claimed them died. One that was tried `most` times is dead:
    /// it may be what killed it. A [`Step::Write`] never is, for its call waits for it: whoever claims it sees how often it was
    /// tried. Says how many there were.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn take_up_jobs(&self, most: u32, now_unix_ms: u64) -> Result<u64, StoreError> {
        let now = signed(now_unix_ms, "time")?;
        Ok(take_up!(self, "jobs", most, now, " AND step <> 'write'"))
    }

    /// Claims the job of this step that has been due for longest, if one is. Nobody else may claim one of it meanwhile.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn claim_job(&self, step: Step, now_unix_ms: u64) -> Result<Option<JobRow>, StoreError> {
        let (step, now) = (name_of(&step)?, signed(now_unix_ms, "time")?);
        let Some(id) = due!(self, "jobs", now, " AND step = $2", step.as_str()) else { return Ok(None) };
        let claimed: Option<RawJob> = transaction!(self, tx => {
            sqlx::query_as(
                "UPDATE jobs SET state = 'running', tries = tries + 1, claims = claims + 1, changed_at = $2 \
                 WHERE id = $1 AND state = 'waiting' RETURNING *",
            )
            .bind(id)
            .bind(now)
            .fetch_optional(&mut **tx)
            .await?
        });
        claimed.map(JobRow::try_from).transpose()
    }

    /// A claimed review is done, and this is what it came to, what it tells of what is written down, and by what the call is found,
    /// in place of what there was before. What it adds to a timeline is added to that of the contact with the customer's number,
    /// if there is one. What is to be done `next` is queued; others are told what is on the timeline when that is done. False, and
    /// nothing is kept, where somebody else has it by now: the call was removed, or something was taken out of its log.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn finish_job(
        &self,
        job: &JobRow,
        review: &ReviewRow,
        knowledge: &CallKnowledge,
        entry: Option<&CallEntry>,
        next: Option<Step>,
    ) -> Result<bool, StoreError> {
        let made_at = signed(review.made_at_unix_ms, "time")?;
        let is_ours = transaction!(self, tx => {
            let settle = sqlx::query(SETTLE).bind(job.id).bind(job.claims).bind(made_at);
            let settled = settle.execute(&mut **tx).await?.rows_affected();
            if settled > 0 {
                // Before the insight, which whoever settles that takes after its job as well.
                sqlx::query(FORGET_NEXT).bind(job.call.0).execute(&mut **tx).await?;
                if let Some(next) = next {
                    sqlx::query(QUEUE_NEXT)
                        .bind(Uuid::now_v7())
                        .bind(job.call.0)
                        .bind(name_of(&next)?)
                        .bind(i64::from(next.version()))
                        .bind(made_at)
                        .execute(&mut **tx)
                        .await?;
                }
                sqlx::query(KEEP_REVIEW)
                    .bind(job.call.0)
                    .bind(i64::from(review.version))
                    .bind(made_at)
                    .bind(review.insight.as_str())
                    .bind(review.with_moods.as_deref())
                    .bind(review.quality.as_str())
                    // Nobody has to look again whose it is.
                    .bind(entry.map_or("", |entry| entry.number.as_str()))
                    .execute(&mut **tx)
                    .await?;
                for kind in [EventKind::InsightReady, EventKind::QualityReady] {
                    tell!(self, tx, Told { call: Some(job.call.0), ..Told::of(kind, made_at) });
                }
                // Somebody may have decided about the gap of what was asked: in the same words it stays of it.
                let gaps: Vec<(String, Uuid)> = sqlx::query_as(
                    "SELECT text, gap_id FROM gap_questions WHERE call_id = $1 AND gap_id IS NOT NULL",
                )
                .bind(job.call.0)
                .fetch_all(&mut **tx)
                .await?;
                let gaps: BTreeMap<String, Uuid> = gaps.into_iter().collect();
                for statement in FORGET_KNOWLEDGE.into_iter().chain(FORGET_CALL) {
                    sqlx::query(statement).bind(job.call.0).execute(&mut **tx).await?;
                }
                for question in &knowledge.questions {
                    let gap = gaps.get(&clean(&question.text)).copied();
                    add_question!(tx, question, gap, Some(job.call));
                }
                for uses in &knowledge.cards {
                    sqlx::query(ADD_CARDS)
                        .bind(job.call.0)
                        .bind(clean(&uses.document))
                        .bind(signed(uses.shown, "count")?)
                        .bind(signed(uses.accepted, "count")?)
                        .bind(signed(uses.copied, "count")?)
                        .bind(signed(uses.dismissed, "count")?)
                        .bind(signed(uses.wrong, "count")?)
                        .execute(&mut **tx)
                        .await?;
                }
                add_search!(tx, self.kind(), job.call, &knowledge.search);
                if let Some(entry) = entry {
                    note_call!(self, tx, job.call, entry, made_at, next.is_none());
                }
            }
            settled > 0
        });
        Ok(is_ours)
    }

    /// A claimed [`Step::Write`] is done: this insight, without moods and with them, and what it adds to a timeline are in the place
    /// of those of the review, of which all else stays. False, and nothing is kept, as in [`Store::finish_job`].
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn finish_writing(
        &self,
        job: &JobRow,
        insight: &str,
        with_moods: Option<&str>,
        entry: Option<&CallEntry>,
        made_at_unix_ms: u64,
    ) -> Result<bool, StoreError> {
        let made_at = signed(made_at_unix_ms, "time")?;
        let is_ours = transaction!(self, tx => {
            let settle = sqlx::query(SETTLE).bind(job.id).bind(job.claims).bind(made_at);
            let settled = settle.execute(&mut **tx).await?.rows_affected();
            if settled > 0 {
                sqlx::query(REWRITE)
                    .bind(job.call.0)
                    .bind(made_at)
                    .bind(insight)
                    .bind(with_moods)
                    .bind(entry.map(|entry| entry.number.as_str()))
                    .execute(&mut **tx)
                    .await?;
                let ready = Told { call: Some(job.call.0), ..Told::of(EventKind::InsightReady, made_at) };
                tell!(self, tx, ready);
                for statement in FORGET_CALL {
                    sqlx::query(statement).bind(job.call.0).execute(&mut **tx).await?;
                }
                if let Some(entry) = entry {
                    note_call!(self, tx, job.call, entry, made_at, true);
                }
            }
            settled > 0
        });
        Ok(is_ours)
    }

    /// A claimed job has failed, and is tried again at a time, or is dead. False where somebody else has it by now.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn fail_job(
        &self,
        job: &JobRow,
        error: &str,
        again_at_unix_ms: Option<u64>,
        now_unix_ms: u64,
    ) -> Result<bool, StoreError> {
        let now = signed(now_unix_ms, "time")?;
        let due = again_at_unix_ms.map(|at| signed(at, "time")).transpose()?.unwrap_or(now);
        let state = if again_at_unix_ms.is_some() { JobState::Waiting } else { JobState::Dead };
        let state = name_of(&state)?;
        let error: String = clean(error).chars().take(LONGEST_ERROR).collect();
        let settled = transaction!(self, tx => {
            sqlx::query(
                "UPDATE jobs SET state = $3, error = $4, due_at = $5, changed_at = $6 \
                 WHERE id = $1 AND claims = $2 AND state = 'running'",
            )
            .bind(job.id)
            .bind(job.claims)
            .bind(state.as_str())
            .bind(error.as_str())
            .bind(due)
            .bind(now)
            .execute(&mut **tx)
            .await?
            .rows_affected()
        });
        Ok(settled > 0)
    }

    /// Jobs, those that changed last first, at most `limit`: what stands further down than `before`, where that is given.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn jobs(
        &self,
        state: Option<JobState>,
        before: Option<Place>,
        limit: u32,
    ) -> Result<Vec<JobRow>, StoreError> {
        let state = state.map(|state| name_of(&state)).transpose()?;
        let before = before.map(placed).transpose()?;
        let rows: Vec<RawJob> = read!(self, db => {
            let mut query = sqlx::QueryBuilder::new("SELECT * FROM jobs WHERE 1 = 1");
            narrow!(query, " AND state = ": state);
            if let Some((at, id)) = before {
                query.push(" AND (changed_at, id) < (").push_bind(at).push(", ").push_bind(id).push(")");
            }
            query.push(" ORDER BY changed_at DESC, id DESC LIMIT ").push_bind(i64::from(limit));
            query.build_query_as().fetch_all(db).await?
        });
        rows.into_iter().map(JobRow::try_from).collect()
    }

    /// How many jobs there are in each state; states without any are absent.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn job_counts(&self) -> Result<BTreeMap<JobState, u64>, StoreError> {
        let rows: Vec<(String, i64)> = read!(self, db => {
            sqlx::query_as("SELECT state, count(*) FROM jobs GROUP BY state").fetch_all(db).await?
        });
        rows.into_iter().map(|(state, count)| Ok((from_name(state)?, unsigned(count, "count")?))).collect()
    }

    /// Queues a job anew, due at once, whatever became of it; one that is running goes on. Says of which call it is, where there
    /// is such a job.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn run_job(&self, id: Uuid, now_unix_ms: u64) -> Result<Option<CallId>, StoreError> {
        let now = signed(now_unix_ms, "time")?;
        let call: Option<Uuid> = transaction!(self, tx => {
            sqlx::query(
                "UPDATE jobs SET state = 'waiting', tries = 0, due_at = $2, changed_at = $2 \
                 WHERE id = $1 AND state <> 'running'",
            )
            .bind(id)
            .bind(now)
            .execute(&mut **tx)
            .await?;
            sqlx::query_scalar("SELECT call_id FROM jobs WHERE id = $1")
                .bind(id)
                .fetch_optional(&mut **tx)
                .await?
        });
        Ok(call.map(CallId))
    }

    /// What a call came to, once that is known.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn review(&self, id: CallId) -> Result<Option<ReviewRow>, StoreError> {
        let row: Option<RawReview> = read!(self, db => {
            sqlx::query_as(
                "SELECT version, made_at, insight, with_moods, quality FROM ai_call_insights WHERE call_id = $1",
            )
            .bind(id.0)
            .fetch_optional(db)
            .await?
        });
        row.map(ReviewRow::try_from).transpose()
    }

    /// Whether something is still to be done for a call.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn has_jobs(&self, id: CallId) -> Result<bool, StoreError> {
        let open: i64 = read!(self, db => {
            sqlx::query_scalar("SELECT count(*) FROM jobs WHERE call_id = $1 AND state IN ('waiting', 'running')")
                .bind(id.0)
                .fetch_one(db)
                .await?
        });
        Ok(open > 0)
    }
}
