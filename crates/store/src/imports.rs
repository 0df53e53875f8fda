//! Recordings made elsewhere, until they are calls: queued with what is known of the call, and worked on one after the other.
//!
//! Whoever claims imports holds [`Store::lock_instance`] and claims one at a time, so one that is running when they begin is
//! one whose process has died. The id of the call it becomes is known before there is that call, so whoever takes an import
//! up again finds what an earlier try has left.

use std::collections::BTreeMap;

use sotto_call::CallId;
use sqlx::FromRow;
use uuid::Uuid;

use crate::jobs::{LONGEST_ERROR, due, small, take_up};
use crate::store::{clean, from_name, name_of, read, signed, transaction, unsigned};
use crate::{JobState, Store, StoreError};

/// With its call goes what was known of it. With the call.
pub(crate) const FORGET_IMPORT: &str = "DELETE FROM imports WHERE call_id = $1 AND state = 'done'";

/// A recording to be queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewImport {
    /// Its id.
    pub id: Uuid,
    /// Whoever sends the same key again has sent the same recording.
    pub idempotency_key: String,
    /// The call it becomes.
    pub call: CallId,
    /// Where the audio is, and what is known of the call, as JSON.
    pub request: String,
    /// Who has added it.
    pub added_by: String,
}

/// A recording that is to become a call, or has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportRow {
    /// What was queued.
    pub import: NewImport,
    /// How far it is.
    pub state: JobState,
    /// How often it was tried, this time included, since it was queued last.
    pub tries: u32,
    /// When it may be tried, in milliseconds since 1970 (UTC).
    pub due_at_unix_ms: u64,
    /// When it was queued first, in milliseconds since 1970 (UTC).
    pub added_at_unix_ms: u64,
    /// When it was queued, claimed or settled last, in milliseconds since 1970 (UTC).
    pub changed_at_unix_ms: u64,
    /// Why the last try failed, if it did.
    pub error: Option<String>,
}

#[derive(FromRow)]
struct RawImport {
    id: Uuid,
    idempotency_key: String,
    call_id: Uuid,
    request: String,
    state: String,
    tries: i64,
    due_at: i64,
    added_at: i64,
    changed_at: i64,
    added_by: String,
    error: Option<String>,
}

impl TryFrom<RawImport> for ImportRow {
    type Error = StoreError;
    fn try_from(raw: RawImport) -> Result<Self, StoreError> {
        let RawImport { id, idempotency_key, request, added_by, .. } = raw;
        Ok(Self {
            import: NewImport { id, idempotency_key, call: CallId(raw.call_id), request, added_by },
            state: from_name(raw.state)?,
            tries: small(raw.tries)?,
            due_at_unix_ms: unsigned(raw.due_at, "time")?,
            added_at_unix_ms: unsigned(raw.added_at, "time")?,
            changed_at_unix_ms: unsigned(raw.changed_at, "time")?,
            error: raw.error,
        })
    }
}

impl Store {
    /// Queues a recording, due at once, unless one with its key is there; gives what is there then, whose id tells which of both
    /// it is.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn add_import(&self, import: &NewImport, now_unix_ms: u64) -> Result<ImportRow, StoreError> {
        let now = signed(now_unix_ms, "time")?;
        let key = clean(&import.idempotency_key);
        let row: RawImport = transaction!(self, tx => {
            sqlx::query(
                "INSERT INTO imports \
                 (id, idempotency_key, call_id, request, state, tries, due_at, added_at, changed_at, added_by) \
                 VALUES ($1, $2, $3, $4, 'waiting', 0, $5, $5, $5, $6) ON CONFLICT (idempotency_key) DO NOTHING",
            )
            .bind(import.id)
            .bind(key.as_str())
            .bind(import.call.0)
            .bind(clean(&import.request))
            .bind(now)
            .bind(clean(&import.added_by))
            .execute(&mut **tx)
            .await?;
            sqlx::query_as("SELECT * FROM imports WHERE idempotency_key = $1")
                .bind(key.as_str())
                .fetch_one(&mut **tx)
                .await?
        });
        row.try_into()
    }

    /// The recording that was sent with a key, if one was.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn import_with_key(&self, idempotency_key: &str) -> Result<Option<ImportRow>, StoreError> {
        let row: Option<RawImport> = read!(self, db => {
            sqlx::query_as("SELECT * FROM imports WHERE idempotency_key = $1")
                .bind(clean(idempotency_key))
                .fetch_optional(db)
                .await?
        });
        row.map(ImportRow::try_from).transpose()
    }

    /// Takes up recordings that were worked on when the process before this one died; one that was tried `most` times is dead,
    /// for it may be what killed it. Says how many there were.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn take_up_imports(&self, most: u32, now_unix_ms: u64) -> Result<u64, StoreError> {
        let now = signed(now_unix_ms, "time")?;
        Ok(take_up!(self, "imports", most, now))
    }

    /// Claims the recording that has been due for longest, if one is. Nobody else may claim one meanwhile.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn claim_import(&self, now_unix_ms: u64) -> Result<Option<ImportRow>, StoreError> {
        let now = signed(now_unix_ms, "time")?;
        let Some(id) = due!(self, "imports", now) else { return Ok(None) };
        let claimed: Option<RawImport> = transaction!(self, tx => {
            sqlx::query_as(
                "UPDATE imports SET state = 'running', tries = tries + 1, changed_at = $2 \
                 WHERE id = $1 AND state = 'waiting' RETURNING *",
            )
            .bind(id)
            .bind(now)
            .fetch_optional(&mut **tx)
            .await?
        });
        claimed.map(ImportRow::try_from).transpose()
    }

    /// A claimed recording is a call now.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn finish_import(&self, id: Uuid, now_unix_ms: u64) -> Result<(), StoreError> {
        let now = signed(now_unix_ms, "time")?;
        transaction!(self, tx => {
            sqlx::query(
                "UPDATE imports SET state = 'done', error = NULL, changed_at = $2 WHERE id = $1 AND state = 'running'",
            )
            .bind(id)
            .bind(now)
            .execute(&mut **tx)
            .await?;
        });
        Ok(())
    }

    /// A claimed recording has become no call for this reason, and is tried again at a time, or is dead.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn fail_import(
        &self,
        id: Uuid,
        error: &str,
        again_at_unix_ms: Option<u64>,
        now_unix_ms: u64,
    ) -> Result<(), StoreError> {
        let now = signed(now_unix_ms, "time")?;
        let due = again_at_unix_ms.map(|at| signed(at, "time")).transpose()?.unwrap_or(now);
        let state = if again_at_unix_ms.is_some() { JobState::Waiting } else { JobState::Dead };
        let state = name_of(&state)?;
        let error: String = clean(error).chars().take(LONGEST_ERROR).collect();
        transaction!(self, tx => {
            sqlx::query(
                "UPDATE imports SET state = $2, error = $3, due_at = $4, changed_at = $5 \
                 WHERE id = $1 AND state = 'running'",
            )
            .bind(id)
            .bind(state.as_str())
            .bind(error.as_str())
            .bind(due)
            .bind(now)
            .execute(&mut **tx)
            .await?;
        });
        Ok(())
    }

    /// Recordings, those that changed last first, at most `limit`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn imports(&self, state: Option<JobState>, limit: u32) -> Result<Vec<ImportRow>, StoreError> {
        let state = state.map(|state| name_of(&state)).transpose()?;
        let rows: Vec<RawImport> = read!(self, db => {
            let mut query = sqlx::QueryBuilder::new("SELECT * FROM imports");
            if let Some(state) = state {
                query.push(" WHERE state = ").push_bind(state);
            }
            query.push(" ORDER BY changed_at DESC, id DESC LIMIT ").push_bind(i64::from(limit));
            query.build_query_as().fetch_all(db).await?
        });
        rows.into_iter().map(ImportRow::try_from).collect()
    }

    /// How many recordings there are in each state; states without any are absent.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn import_counts(&self) -> Result<BTreeMap<JobState, u64>, StoreError> {
        let rows: Vec<(String, i64)> = read!(self, db => {
            sqlx::query_as("SELECT state, count(*) FROM imports GROUP BY state").fetch_all(db).await?
        });
        rows.into_iter().map(|(state, count)| Ok((from_name(state)?, unsigned(count, "count")?))).collect()
    }

    /// Queues a recording anew that waits or is dead, due at once. False where there is none such.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn run_import(&self, id: Uuid, now_unix_ms: u64) -> Result<bool, StoreError> {
        let now = signed(now_unix_ms, "time")?;
        let queued = transaction!(self, tx => {
            sqlx::query(
                "UPDATE imports SET state = 'waiting', tries = 0, due_at = $2, changed_at = $2 \
                 WHERE id = $1 AND state IN ('waiting', 'dead')",
            )
            .bind(id)
            .bind(now)
            .execute(&mut **tx)
            .await?
            .rows_affected()
        });
        Ok(queued > 0)
    }

    /// Removes a recording that waits or is dead. False where there is none such.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn delete_import(&self, id: Uuid) -> Result<bool, StoreError> {
        let gone = transaction!(self, tx => {
            sqlx::query("DELETE FROM imports WHERE id = $1 AND state IN ('waiting', 'dead')")
                .bind(id)
                .execute(&mut **tx)
                .await?
                .rows_affected()
        });
        if gone > 0 {
            self.forget_old_rows();
        }
        Ok(gone > 0)
    }
}
