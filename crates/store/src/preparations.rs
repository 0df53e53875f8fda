//! What people have written down for their next talk with a contact.

use sqlx::FromRow;
use uuid::Uuid;

use crate::store::{clean, read, seen, signed, transaction, unsigned};
use crate::{Store, StoreError};

/// What somebody has written down for the next talk with a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparationRow {
    /// With whom.
    pub contact: Uuid,
    /// What they have written.
    pub text: String,
    /// When, in milliseconds since 1970 (UTC).
    pub kept_at_unix_ms: u64,
    /// Who.
    pub kept_by: String,
    /// Grows with every change: who changes it says which one they have seen. It begins with the time, so that what was taken
    /// away and is written anew is not taken for what somebody has seen before.
    pub version: u64,
}

#[derive(FromRow)]
struct Raw {
    contact_id: Uuid,
    text: String,
    kept_at: i64,
    kept_by: String,
    version: i64,
}

impl Store {
    /// What is written down for the next talk with a contact, if anything is.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn preparation(&self, contact: Uuid) -> Result<Option<PreparationRow>, StoreError> {
        let row: Option<Raw> = read!(self, db => {
            sqlx::query_as("SELECT * FROM preparations WHERE contact_id = $1")
                .bind(contact)
                .fetch_optional(db)
                .await?
        });
        row.map(PreparationRow::try_from).transpose()
    }

    /// Keeps what somebody has written down in the place of what they have seen, which is version 0 where nothing was there; an
    /// empty text takes it away. Says what is kept now.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when somebody else has changed it since, or the contact is no more.
    pub async fn keep_preparation(
        &self,
        contact: Uuid,
        version: u64,
        text: &str,
        by: &str,
        at_unix_ms: u64,
    ) -> Result<Option<PreparationRow>, StoreError> {
        let (at, version) = (signed(at_unix_ms, "time")?, seen(version)?);
        if text.is_empty() && version == 0 {
            return if self.preparation(contact).await?.is_some() {
                Err(StoreError::Stale)
            } else {
                Ok(None)
            };
        }
        let changed = transaction!(self, tx => {
            let statement = match (text.is_empty(), version) {
                (true, _) => "DELETE FROM preparations WHERE contact_id = $1 AND version = $2",
                (false, 0) => {
                    "INSERT INTO preparations (contact_id, text, kept_at, kept_by, version) \
                     SELECT id, $3, $4, $5, $2 + $4 FROM contacts WHERE id = $1 ON CONFLICT (contact_id) DO NOTHING"
                }
                (false, _) => {
                    "UPDATE preparations SET text = $3, kept_at = $4, kept_by = $5, version = version + 1 \
                     WHERE contact_id = $1 AND version = $2"
                }
            };
            let mut changed = sqlx::query(statement).bind(contact).bind(version);
            if !text.is_empty() {
                changed = changed.bind(clean(text)).bind(at).bind(clean(by));
            }
            changed.execute(&mut **tx).await?.rows_affected()
        });
        if changed == 0 {
            return Err(StoreError::Stale);
        }
        if text.is_empty() {
            self.forget_old_rows();
        }
        self.preparation(contact).await
    }
}

impl TryFrom<Raw> for PreparationRow {
    type Error = StoreError;
    fn try_from(raw: Raw) -> Result<Self, StoreError> {
        Ok(Self {
            contact: raw.contact_id,
            text: raw.text,
            kept_at_unix_ms: unsigned(raw.kept_at, "time")?,
            kept_by: raw.kept_by,
            version: unsigned(raw.version, "version")?,
        })
    }
}
