//! Calls to numbers of ours that nobody answered.

use sqlx::FromRow;
use uuid::Uuid;

use crate::store::{clean, read, signed, transaction, unsigned};
use crate::{Store, StoreError};

/// A call that nobody answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissedCall {
    /// Its id, a UUID version 7: later ones are larger.
    pub id: Uuid,
    /// When it came, in milliseconds since 1970 (UTC).
    pub at_unix_ms: u64,
    /// The number called.
    pub called: String,
    /// The caller's address of record.
    pub aor: Option<String>,
    /// The caller's name.
    pub name: Option<String>,
    /// How long the caller waited, in milliseconds.
    pub waited_ms: u64,
}

#[derive(FromRow)]
struct Raw {
    id: Uuid,
    at: i64,
    called: String,
    aor: Option<String>,
    name: Option<String>,
    waited_ms: i64,
}

impl Store {
    /// Keeps a call that nobody answered.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn add_missed(&self, call: &MissedCall) -> Result<(), StoreError> {
        let (at, waited) = (signed(call.at_unix_ms, "time")?, signed(call.waited_ms, "duration")?);
        transaction!(self, tx => {
            sqlx::query(
                "INSERT INTO missed_calls (id, at, called, aor, name, waited_ms) VALUES ($1, $2, $3, $4, $5, $6) \
                 ON CONFLICT (id) DO NOTHING",
            )
            .bind(call.id)
            .bind(at)
            .bind(clean(&call.called))
            .bind(call.aor.as_deref().map(clean))
            .bind(call.name.as_deref().map(clean))
            .bind(waited)
            .execute(&mut **tx)
            .await?;
        });
        Ok(())
    }

    /// Missed calls that nobody has dealt with, newest first, at most `limit`: those older than `before`, where that is given.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn missed(&self, before: Option<Uuid>, limit: u32) -> Result<Vec<MissedCall>, StoreError> {
        let rows: Vec<Raw> = read!(self, db => {
            sqlx::query_as(
                "SELECT id, at, called, aor, name, waited_ms FROM missed_calls WHERE handled_at IS NULL \
                 AND id < $1 ORDER BY id DESC LIMIT $2",
            )
            .bind(before.unwrap_or(Uuid::max()))
            .bind(i64::from(limit))
            .fetch_all(db)
            .await?
        });
        rows.into_iter()
            .map(|Raw { id, at, called, aor, name, waited_ms }| {
                let (at_unix_ms, waited_ms) = (unsigned(at, "time")?, unsigned(waited_ms, "duration")?);
                Ok(MissedCall { id, at_unix_ms, called, aor, name, waited_ms })
            })
            .collect()
    }

    /// Somebody deals with a missed call; whether it was there, and nobody had before.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn handle_missed(&self, id: Uuid, by: &str, at_unix_ms: u64) -> Result<bool, StoreError> {
        let at = signed(at_unix_ms, "time")?;
        let changed = transaction!(self, tx => {
            let update = "UPDATE missed_calls SET handled_at = $2, handled_by = $3 \
                          WHERE id = $1 AND handled_at IS NULL";
            let updated = sqlx::query(update).bind(id).bind(at).bind(clean(by));
            updated.execute(&mut **tx).await?.rows_affected()
        });
        Ok(changed == 1)
    }

    /// Removes those that came before `unix_ms`, dealt with or not, and says how many there were.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn delete_missed(&self, unix_ms: u64) -> Result<u64, StoreError> {
        let before = i64::try_from(unix_ms).unwrap_or(i64::MAX);
        let removed = transaction!(self, tx => {
            sqlx::query("DELETE FROM missed_calls WHERE at < $1")
                .bind(before)
                .execute(&mut **tx)
                .await?
                .rows_affected()
        });
        if removed > 0 {
            self.forget_old_rows();
        }
        Ok(removed)
    }

    /// The missed calls whose caller's address of record is known, with that, dealt with or not.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn missed_callers(&self) -> Result<Vec<(Uuid, String)>, StoreError> {
        Ok(read!(self, db => {
            sqlx::query_as("SELECT id, aor FROM missed_calls WHERE aor IS NOT NULL").fetch_all(db).await?
        }))
    }

    /// Removes missed calls, and says how many there were.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn remove_missed(&self, ids: &[Uuid]) -> Result<u64, StoreError> {
        let removed = transaction!(self, tx => {
            let mut removed = 0;
            for id in ids {
                let delete = sqlx::query("DELETE FROM missed_calls WHERE id = $1").bind(*id);
                removed += delete.execute(&mut **tx).await?.rows_affected();
            }
            removed
        });
        if removed > 0 {
            self.forget_old_rows();
        }
        Ok(removed)
    }
}
