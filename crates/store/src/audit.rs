//! Who did what that somebody may ask about later.

use sotto_call::CallId;
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use crate::store::{clean, read, signed, transaction, unsigned};
use crate::{Store, StoreError};

/// Something that was done, or refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Its id, a UUID version 7: later ones are larger.
    pub id: Uuid,
    /// When, in milliseconds since 1970 (UTC).
    pub at_unix_ms: u64,
    /// By whom.
    pub who: String,
    /// What, as one word of a few: `supervise`, `outcome`, `consent`, `intents`, `knowledge`, `gap`, `contacts`,
    /// `contact_seen`, `recordings`, `draft`, `quality`, `follow_ups`, `webhook`, `refused`.
    pub what: String,
    /// In which call.
    pub call: Option<CallId>,
    /// More about it.
    pub detail: String,
}

#[derive(FromRow)]
struct Raw {
    id: Uuid,
    at: i64,
    who: String,
    what: String,
    call_id: Option<Uuid>,
    detail: String,
}

impl Store {
    /// Keeps a record.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn add_audit(&self, row: &AuditRow) -> Result<(), StoreError> {
        let at = signed(row.at_unix_ms, "time")?;
        transaction!(self, tx => {
            sqlx::query(
                "INSERT INTO audit (id, at, who, what, call_id, detail) VALUES ($1, $2, $3, $4, $5, $6) \
                 ON CONFLICT (id) DO NOTHING",
            )
            .bind(row.id)
            .bind(at)
            .bind(clean(&row.who))
            .bind(clean(&row.what))
            .bind(row.call.map(|call| call.0))
            .bind(clean(&row.detail))
            .execute(&mut **tx)
            .await?;
        });
        Ok(())
    }

    /// The newest record of what was done, by its word.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn last_audit(&self, what: &str) -> Result<Option<AuditRow>, StoreError> {
        let row: Option<Raw> = read!(self, db => {
            sqlx::query_as("SELECT * FROM audit WHERE what = $1 ORDER BY id DESC LIMIT 1")
                .bind(what)
                .fetch_optional(db)
                .await?
        });
        row.map(AuditRow::try_from).transpose()
    }

    /// Records, newest first, at most `limit`: those older than `before`, when it is given.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn audit(&self, before: Option<Uuid>, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        let rows: Vec<Raw> = read!(self, db => {
            let mut query = QueryBuilder::new("SELECT * FROM audit");
            if let Some(before) = before {
                query.push(" WHERE id < ").push_bind(before);
            }
            query.push(" ORDER BY id DESC LIMIT ").push_bind(i64::from(limit));
            query.build_query_as().fetch_all(db).await?
        });
        rows.into_iter().map(AuditRow::try_from).collect()
    }
}

impl TryFrom<Raw> for AuditRow {
    type Error = StoreError;
    fn try_from(Raw { id, at, who, what, call_id, detail }: Raw) -> Result<Self, StoreError> {
        let at_unix_ms = unsigned(at, "time")?;
        Ok(Self { id, at_unix_ms, who, what, call: call_id.map(CallId), detail })
    }
}
