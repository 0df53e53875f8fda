//! Whoever calls, or is called.

use std::collections::BTreeMap;

use sotto_crm::{Contact, ContactKind, Phone, Place, Stage};
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use crate::deliveries::{EventKind, Told, tell};
use crate::store::{
    clean, from_json, from_name, name_of, placed, read, signed, to_json, transaction, unsigned,
};
use crate::{Store, StoreError};

/// Calls of a number whose notes are made anew when it becomes somebody's.
const MOST_CALLS: i64 = 100;

/// A contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactRow {
    /// Its id, a UUID version 7.
    pub id: Uuid,
    /// Who it is.
    pub contact: Contact,
    /// Since when it is kept, in milliseconds since 1970 (UTC).
    pub created_at_unix_ms: u64,
    /// When it was changed, or something was added to its timeline, last.
    pub active_at_unix_ms: u64,
    /// How often it was changed, from 1: who changes it says which one they have seen.
    pub version: u64,
}

/// Which contacts to list.
#[derive(Clone, Debug, Default)]
pub struct ContactFilter {
    /// Only these.
    pub kind: Option<ContactKind>,
    /// Only these.
    pub stage: Option<Stage>,
    /// Only whose number it is.
    pub number: Option<Phone>,
    /// Only those in whose words all of these are: see [`sotto_crm::terms`].
    pub terms: Vec<String>,
    /// Only those further down than this.
    pub before: Option<Place>,
    /// At most so many.
    pub limit: u32,
}

#[derive(FromRow)]
struct Raw {
    id: Uuid,
    kind: String,
    stage: String,
    name: String,
    numbers: String,
    email: Option<String>,
    owner: Option<String>,
    notes: String,
    fields: String,
    created_at: i64,
    active_at: i64,
    version: i64,
}

const COLUMNS: &str =
    "id, kind, stage, name, numbers, email, owner, notes, fields, created_at, active_at, version";

/// Binds a contact's id, what is written down of it, and a time: `$1` to `$11` of a statement.
macro_rules! bind_contact {
    ($query:expr, $id:expr, $contact:expr, $at:expr) => {
        $query
            .bind($id)
            .bind(name_of(&$contact.kind)?)
            .bind(name_of(&$contact.stage)?)
            .bind(clean(&$contact.name))
            .bind(to_json(&$contact.numbers)?)
            .bind($contact.email.as_deref().map(clean))
            .bind($contact.owner.as_deref().map(clean))
            .bind(clean(&$contact.notes))
            .bind(to_json(&$contact.fields)?)
            .bind(clean(&$contact.words()))
            .bind($at)
    };
}

/// Gives a contact its numbers, and no others, within a transaction.
macro_rules! put_numbers {
    ($tx:ident, $id:expr, $contact:expr) => {
        sqlx::query("DELETE FROM contact_numbers WHERE contact_id = $1")
            .bind($id)
            .execute(&mut **$tx)
            .await?;
        for number in &$contact.numbers {
            sqlx::query("INSERT INTO contact_numbers (number, contact_id) VALUES ($1, $2)")
                .bind(number.as_str())
                .bind($id)
                .execute(&mut **$tx)
                .await
                .map_err(|error| taken(error, number))?;
        }
    };
}

fn taken(error: sqlx::Error, number: &Phone) -> StoreError {
    match error {
        sqlx::Error::Database(error) if error.is_unique_violation() => {
            StoreError::NumberTaken(number.to_string())
        }
        error => error.into(),
    }
}

impl Store {
    /// Keeps a new contact. Calls that were with its numbers before are noted on its timeline soon after.
    ///
    /// # Errors
    /// [`StoreError::NumberTaken`] when another contact has one of its numbers.
    pub async fn add_contact(&self, contact: &Contact, at_unix_ms: u64) -> Result<ContactRow, StoreError> {
        let (id, at) = (Uuid::now_v7(), signed(at_unix_ms, "time")?);
        transaction!(self, tx => {
            let added = sqlx::query(
                "INSERT INTO contacts (id, kind, stage, name, numbers, email, owner, notes, fields, words, \
                 created_at, active_at, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, 1)",
            );
            bind_contact!(added, id, contact, at).execute(&mut **tx).await?;
            put_numbers!(tx, id, contact);
            tell!(self, tx, Told { subject: Some(id), ..Told::of(EventKind::ContactChanged, at) });
        });
        self.note_calls_of(&contact.numbers, at).await?;
        Ok(ContactRow {
            id,
            contact: contact.clone(),
            created_at_unix_ms: at_unix_ms,
            active_at_unix_ms: at_unix_ms,
            version: 1,
        })
    }

    /// Puts a contact in the place of the one of this version, and says what is kept now; nothing where there is none of this
    /// id.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when somebody else has changed it since, [`StoreError::NumberTaken`] when another contact has
    /// one of its numbers.
    pub async fn change_contact(
        &self,
        id: Uuid,
        version: u64,
        contact: &Contact,
        at_unix_ms: u64,
    ) -> Result<Option<ContactRow>, StoreError> {
        let (at, version) = (signed(at_unix_ms, "time")?, signed(version, "version")?);
        transaction!(self, tx => {
            let before: Option<String> = sqlx::query_scalar("SELECT stage FROM contacts WHERE id = $1")
                .bind(id)
                .fetch_optional(&mut **tx)
                .await?;
            let changed = sqlx::query(
                "UPDATE contacts SET kind = $2, stage = $3, name = $4, numbers = $5, email = $6, owner = $7, \
                 notes = $8, fields = $9, words = $10, active_at = $11, version = version + 1 \
                 WHERE id = $1 AND version = $12",
            );
            let changed = bind_contact!(changed, id, contact, at).bind(version);
            let changed = changed.execute(&mut **tx).await?.rows_affected();
            if changed == 0 {
                return if before.is_some() { Err(StoreError::Stale) } else { Ok(None) };
            }
            put_numbers!(tx, id, contact);
            let told = |kind| Told { subject: Some(id), ..Told::of(kind, at) };
            tell!(self, tx, told(EventKind::ContactChanged));
            if before != Some(name_of(&contact.stage)?) {
                tell!(self, tx, told(EventKind::StageChanged));
            }
        });
        self.note_calls_of(&contact.numbers, at).await?;
        self.contact(id).await
    }

    /// Has what calls with these numbers came to made anew, as far as it is on nobody's timeline: then it is noted there.
    async fn note_calls_of(&self, numbers: &[Phone], at: i64) -> Result<(), StoreError> {
        transaction!(self, tx => {
            for number in numbers {
                sqlx::query(
                    "UPDATE jobs SET state = 'waiting', tries = 0, due_at = $2, changed_at = $2 \
                     WHERE state = 'done' AND call_id IN (SELECT call_id FROM ai_call_insights \
                     WHERE customer_number = $1 AND NOT EXISTS (SELECT 1 FROM communications \
                     WHERE communications.call_id = ai_call_insights.call_id) ORDER BY call_id DESC LIMIT $3)",
                )
                .bind(number.as_str())
                .bind(at)
                .bind(MOST_CALLS)
                .execute(&mut **tx)
                .await?;
            }
        });
        Ok(())
    }

    /// A contact.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn contact(&self, id: Uuid) -> Result<Option<ContactRow>, StoreError> {
        let row: Option<Raw> = read!(self, db => {
            let mut query = QueryBuilder::new("SELECT ");
            query.push(COLUMNS).push(" FROM contacts WHERE id = ").push_bind(id);
            query.build_query_as().fetch_optional(db).await?
        });
        row.map(ContactRow::try_from).transpose()
    }

    /// Contacts, those that something happened with last come first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn contacts(&self, filter: &ContactFilter) -> Result<Vec<ContactRow>, StoreError> {
        let kind = filter.kind.map(|kind| name_of(&kind)).transpose()?;
        let stage = filter.stage.map(|stage| name_of(&stage)).transpose()?;
        let before = filter.before.map(placed).transpose()?;
        let rows: Vec<Raw> = read!(self, db => {
            let mut query = QueryBuilder::new("SELECT ");
            query.push(COLUMNS).push(" FROM contacts WHERE 1 = 1");
            if let Some(kind) = kind {
                query.push(" AND kind = ").push_bind(kind);
            }
            if let Some(stage) = stage {
                query.push(" AND stage = ").push_bind(stage);
            }
            if let Some(number) = &filter.number {
                let number = number.to_string();
                query.push(" AND id IN (SELECT contact_id FROM contact_numbers WHERE number = ");
                query.push_bind(number).push(")");
            }
            for term in &filter.terms {
                query.push(" AND words LIKE ").push_bind(anywhere(term)).push(" ESCAPE '\\'");
            }
            if let Some((at, id)) = before {
                query.push(" AND (active_at < ").push_bind(at).push(" OR (active_at = ").push_bind(at);
                query.push(" AND id < ").push_bind(id).push("))");
            }
            query.push(" ORDER BY active_at DESC, id DESC LIMIT ").push_bind(i64::from(filter.limit));
            query.build_query_as().fetch_all(db).await?
        });
        rows.into_iter().map(ContactRow::try_from).collect()
    }

    /// Removes a contact with its timeline and its tasks; what was said in its calls stays for as long as these do. Says
    /// whether there was one.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn remove_contact(&self, id: Uuid, at_unix_ms: u64) -> Result<bool, StoreError> {
        let at = signed(at_unix_ms, "time")?;
        let removed = transaction!(self, tx => {
            let removed = sqlx::query("DELETE FROM contacts WHERE id = $1").bind(id);
            let removed = removed.execute(&mut **tx).await?.rows_affected();
            if removed > 0 {
                tell!(self, tx, Told { subject: Some(id), ..Told::of(EventKind::ContactChanged, at) });
            }
            removed
        });
        if removed > 0 {
            self.forget_old_rows();
        }
        Ok(removed > 0)
    }
}

/// A pattern of what has a text anywhere in it.
fn anywhere(text: &str) -> String {
    let text = clean(text).replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{text}%")
}

impl TryFrom<Raw> for ContactRow {
    type Error = StoreError;
    fn try_from(raw: Raw) -> Result<Self, StoreError> {
        let fields: BTreeMap<String, String> = from_json(&raw.fields, "fields")?;
        Ok(Self {
            id: raw.id,
            contact: Contact {
                kind: from_name(raw.kind)?,
                stage: from_name(raw.stage)?,
                name: raw.name,
                numbers: from_json(&raw.numbers, "numbers")?,
                email: raw.email,
                owner: raw.owner,
                notes: raw.notes,
                fields,
            },
            created_at_unix_ms: unsigned(raw.created_at, "time")?,
            active_at_unix_ms: unsigned(raw.active_at, "time")?,
            version: unsigned(raw.version, "version")?,
        })
    }
}
