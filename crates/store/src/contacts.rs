//! Whoever calls, or is called.

use std::collections::{BTreeMap, BTreeSet};

use sotto_crm::{Contact, ContactKind, Phone, Place, Stage};
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use crate::deliveries::{EventKind, Told, tell};
use crate::store::{
    clean, from_json, from_name, name_of, narrow, narrow_to_words, placed, read, seen, signed, to_json,
    transaction, unsigned,
};
use crate::{Store, StoreError};

/// Numbers, or contacts, that are looked up together.
const TOGETHER: usize = 500;

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
    /// Only those of this company.
    pub company: Option<Uuid>,
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
    company_id: Option<Uuid>,
    owner: Option<String>,
    notes: String,
    fields: String,
    created_at: i64,
    active_at: i64,
    version: i64,
}

/// Has what belongs to a contact belong to another.
const MOVE: [&str; 8] = [
    "UPDATE communications SET contact_id = $1 WHERE contact_id = $2 AND $1 IN (SELECT id FROM contacts)",
    "UPDATE tasks SET contact_id = $1 WHERE contact_id = $2 AND $1 IN (SELECT id FROM contacts)",
    "UPDATE tickets SET contact_id = $1 WHERE contact_id = $2 AND $1 IN (SELECT id FROM contacts)",
    "UPDATE payments SET contact_id = $1 WHERE contact_id = $2 AND $1 IN (SELECT id FROM contacts)",
    "UPDATE preparations SET text = text || '\n' || (SELECT text FROM preparations WHERE contact_id = $2), version = version + 1 \
     WHERE contact_id = $1 AND EXISTS (SELECT 1 FROM preparations WHERE contact_id = $2)",
    "UPDATE preparations SET contact_id = $1 WHERE contact_id = $2 AND $1 IN (SELECT id FROM contacts) \
     AND NOT EXISTS (SELECT 1 FROM preparations WHERE contact_id = $1)",
    "UPDATE follow_ups SET contact_id = $1 WHERE contact_id = $2 AND $1 IN (SELECT id FROM contacts)",
    "INSERT INTO opt_outs (contact_id, channel, noted_at, noted_by) SELECT $1, channel, noted_at, noted_by FROM opt_outs \
     WHERE contact_id = $2 AND $1 IN (SELECT id FROM contacts) ON CONFLICT (contact_id, channel) DO NOTHING",
];

const COLUMNS: &str =
    "id, kind, stage, name, numbers, email, company_id, owner, notes, fields, created_at, active_at, version";

/// Binds a contact's id, what is written down of it, a time, and its company: `$1` to `$12` of a statement.
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
            .bind($contact.company)
    };
}

/// Puts what is written down of a contact in the place of this version, and tells of it, within a transaction; says how many
/// there were.
macro_rules! replace {
    ($store:expr, $tx:ident, $id:expr, $version:expr, $contact:expr, $at:expr) => {{
        let before: Option<String> = sqlx::query_scalar("SELECT stage FROM contacts WHERE id = $1")
            .bind($id)
            .fetch_optional(&mut **$tx)
            .await?;
        let changed = sqlx::query(
            "UPDATE contacts SET kind = $2, stage = $3, name = $4, numbers = $5, email = $6, owner = $7, \
             notes = $8, fields = $9, words = $10, active_at = $11, company_id = $12, version = version + 1 \
             WHERE id = $1 AND version = $13",
        );
        let changed = bind_contact!(changed, $id, $contact, $at).bind($version);
        let changed = changed.execute(&mut **$tx).await.map_err(no_company)?.rows_affected();
        if changed > 0 {
            let told = |kind| Told { subject: Some($id), ..Told::of(kind, $at) };
            tell!($store, $tx, told(EventKind::ContactChanged));
            if before != Some(name_of(&$contact.stage)?) {
                tell!($store, $tx, told(EventKind::StageChanged));
            }
        }
        changed
    }};
}

/// What a change comes to that found no contact of its version, within a transaction: there is another, or none.
macro_rules! stale_or_none {
    ($tx:ident, $id:expr) => {{
        let known: Option<i64> = sqlx::query_scalar("SELECT version FROM contacts WHERE id = $1")
            .bind($id)
            .fetch_optional(&mut **$tx)
            .await?;
        if known.is_some() { Err(StoreError::Stale) } else { Ok(None) }
    }};
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

/// Has it looked at again whose the calls with a contact's numbers are that are on nobody's timeline, within a transaction. It
/// comes before what is done to the contact: whoever keeps what a call came to takes the two in the same order.
macro_rules! look_again {
    ($tx:ident, $contact:expr) => {
        for number in &$contact.numbers {
            sqlx::query(
                "UPDATE ai_call_insights SET customer_number = NULL WHERE customer_number = $1 AND NOT EXISTS \
                 (SELECT 1 FROM communications WHERE communications.call_id = ai_call_insights.call_id)",
            )
            .bind(number.as_str())
            .execute(&mut **$tx)
            .await?;
        }
    };
}

/// Keeps a new contact with its numbers, and tells of it, within a transaction.
macro_rules! insert {
    ($store:expr, $tx:ident, $id:expr, $contact:expr, $at:expr) => {
        look_again!($tx, $contact);
        let added = sqlx::query(
            "INSERT INTO contacts (id, kind, stage, name, numbers, email, owner, notes, fields, words, \
             created_at, active_at, company_id, version) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12, 1)",
        );
        bind_contact!(added, $id, $contact, $at).execute(&mut **$tx).await.map_err(no_company)?;
        put_numbers!($tx, $id, $contact);
        tell!($store, $tx, Told { subject: Some($id), ..Told::of(EventKind::ContactChanged, $at) });
    };
}

fn no_company(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(error) if error.is_foreign_key_violation() => StoreError::NoCompany,
        error => error.into(),
    }
}

pub(crate) fn taken(error: sqlx::Error, number: &Phone) -> StoreError {
    match error {
        sqlx::Error::Database(error) if error.is_unique_violation() => {
            StoreError::NumberTaken(number.to_string())
        }
        error => error.into(),
    }
}

impl Store {
    /// Keeps a new contact. Calls that were with its numbers before are among [`Store::unjoined_calls`] from now on.
    ///
    /// # Errors
    /// [`StoreError::NumberTaken`] when another contact has one of its numbers.
    pub async fn add_contact(&self, contact: &Contact, at_unix_ms: u64) -> Result<ContactRow, StoreError> {
        let (id, at) = (Uuid::now_v7(), signed(at_unix_ms, "time")?);
        transaction!(self, tx => {
            insert!(self, tx, id, contact, at);
        });
        Ok(ContactRow {
            id,
            contact: contact.clone(),
            created_at_unix_ms: at_unix_ms,
            active_at_unix_ms: at_unix_ms,
            version: 1,
        })
    }

    /// Keeps new contacts, all of them or none, as [`Store::add_contact`] does with one.
    ///
    /// # Errors
    /// [`StoreError::NumberTaken`] when another contact has one of their numbers.
    pub async fn add_contacts(&self, contacts: &[Contact], at_unix_ms: u64) -> Result<(), StoreError> {
        let at = signed(at_unix_ms, "time")?;
        transaction!(self, tx => {
            for contact in contacts {
                let id = Uuid::now_v7();
                insert!(self, tx, id, contact, at);
            }
        });
        Ok(())
    }

    /// Which of these numbers some contact has, and which contact that is.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn numbers_taken(&self, numbers: &[Phone]) -> Result<BTreeMap<String, Uuid>, StoreError> {
        let mut taken = BTreeMap::new();
        for some in numbers.chunks(TOGETHER) {
            let rows: Vec<(String, Uuid)> = read!(self, db => {
                let mut query = QueryBuilder::new("SELECT number, contact_id FROM contact_numbers WHERE number IN (");
                let mut list = query.separated(", ");
                for number in some {
                    list.push_bind(number.to_string());
                }
                query.push(")");
                query.build_query_as().fetch_all(db).await?
            });
            taken.extend(rows);
        }
        Ok(taken)
    }

    /// Contacts in the order in which they were added: those that follow `after`, or the first, at most `limit`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn all_contacts(&self, after: Option<Uuid>, limit: u32) -> Result<Vec<ContactRow>, StoreError> {
        let rows: Vec<Raw> = read!(self, db => {
            let mut query = QueryBuilder::new("SELECT ");
            query.push(COLUMNS).push(" FROM contacts");
            if let Some(after) = after {
                query.push(" WHERE id > ").push_bind(after);
            }
            query.push(" ORDER BY id LIMIT ").push_bind(i64::from(limit));
            query.build_query_as().fetch_all(db).await?
        });
        rows.into_iter().map(ContactRow::try_from).collect()
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
        let (at, version) = (signed(at_unix_ms, "time")?, seen(version)?);
        transaction!(self, tx => {
            look_again!(tx, contact);
            let changed = replace!(self, tx, id, version, contact, at);
            if changed == 0 {
                return stale_or_none!(tx, id);
            }
            put_numbers!(tx, id, contact);
        });
        self.contact(id).await
    }

    /// Puts one contact in the place of two of these versions, under the first one's id: it has both timelines and the tasks of
    /// both, and the other is no more. Says what is kept now; nothing where there is not one of each id.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when somebody else has changed one since, [`StoreError::NumberTaken`] when a third contact has one
    /// of the numbers.
    pub async fn merge_contacts(
        &self,
        (id, version): (Uuid, u64),
        (other, others_version): (Uuid, u64),
        contact: &Contact,
        at_unix_ms: u64,
    ) -> Result<Option<ContactRow>, StoreError> {
        let at = signed(at_unix_ms, "time")?;
        let (version, others_version) = (seen(version)?, seen(others_version)?);
        transaction!(self, tx => {
            // Its version is no longer what anybody has seen, so nobody changes it from here on.
            let is_there = sqlx::query("UPDATE contacts SET version = version + 1 WHERE id = $1 AND version = $2")
                .bind(other)
                .bind(others_version)
                .execute(&mut **tx)
                .await?
                .rows_affected();
            if is_there == 0 {
                return stale_or_none!(tx, other);
            }
            for statement in MOVE {
                sqlx::query(statement).bind(id).bind(other).execute(&mut **tx).await?;
            }
            // Whoever has seen by what either does not want to be written to has not seen both.
            sqlx::query("UPDATE contacts SET opt_outs_version = opt_outs_version + 1 WHERE id = $1")
                .bind(id)
                .execute(&mut **tx)
                .await?;
            // As where somebody says by what a contact does not want to be written to: it is not sent, so it is not approved.
            sqlx::query(
                "UPDATE follow_ups SET state = 'drafted', changed_at = $2, version = version + 1 WHERE contact_id = $1 \
                 AND state = 'approved' AND channel IN (SELECT channel FROM opt_outs WHERE contact_id = $1)",
            )
            .bind(id)
            .bind(at)
            .execute(&mut **tx)
            .await?;
            sqlx::query("DELETE FROM contacts WHERE id = $1").bind(other).execute(&mut **tx).await?;
            tell!(self, tx, Told { subject: Some(other), ..Told::of(EventKind::ContactChanged, at) });
            let changed = replace!(self, tx, id, version, contact, at);
            if changed == 0 {
                return stale_or_none!(tx, id);
            }
            put_numbers!(tx, id, contact);
        });
        self.contact(id).await
    }

    /// Which of these contacts there are.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn contacts_known(&self, ids: &[Uuid]) -> Result<BTreeSet<Uuid>, StoreError> {
        let mut known = BTreeSet::new();
        for some in ids.chunks(TOGETHER) {
            let rows: Vec<Uuid> = read!(self, db => {
                let mut query = QueryBuilder::new("SELECT id FROM contacts WHERE id IN (");
                let mut list = query.separated(", ");
                for id in some {
                    list.push_bind(*id);
                }
                query.push(")");
                query.build_query_scalar().fetch_all(db).await?
            });
            known.extend(rows);
        }
        Ok(known)
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

    /// Contacts, those that something happened with last come first. Which are on the page is found by an index where there is one
    /// with all that is looked at; only then are these read.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn contacts(&self, filter: &ContactFilter) -> Result<Vec<ContactRow>, StoreError> {
        let kind = filter.kind.map(|kind| name_of(&kind)).transpose()?;
        let stage = filter.stage.map(|stage| name_of(&stage)).transpose()?;
        let before = filter.before.map(placed).transpose()?;
        let rows: Vec<Raw> = read!(self, db => {
            let mut query = QueryBuilder::new("SELECT ");
            query.push(COLUMNS).push(" FROM contacts WHERE id IN (SELECT id FROM contacts WHERE 1 = 1");
            narrow!(query, " AND kind = ": kind, " AND stage = ": stage, " AND company_id = ": filter.company);
            if let Some(number) = &filter.number {
                let number = number.to_string();
                query.push(" AND id IN (SELECT contact_id FROM contact_numbers WHERE number = ");
                query.push_bind(number).push(")");
            }
            narrow_to_words!(query, "words", &filter.terms);
            if let Some((at, id)) = before {
                query.push(" AND (active_at, id) < (").push_bind(at).push(", ").push_bind(id).push(")");
            }
            query.push(" ORDER BY active_at DESC, id DESC LIMIT ").push_bind(i64::from(filter.limit));
            query.push(") ORDER BY active_at DESC, id DESC");
            query.build_query_as().fetch_all(db).await?
        });
        rows.into_iter().map(ContactRow::try_from).collect()
    }

    /// Removes a contact with its timeline, tasks, tickets and payments, of this version where one is given; what was said in its calls stays
    /// for as long as these do. Says whether there was one.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when somebody else has changed it since.
    pub async fn remove_contact(
        &self,
        id: Uuid,
        version: Option<u64>,
        at_unix_ms: u64,
    ) -> Result<bool, StoreError> {
        let (at, version) = (signed(at_unix_ms, "time")?, version.map(seen).transpose()?);
        let removed = transaction!(self, tx => {
            let removed = sqlx::query("DELETE FROM contacts WHERE id = $1 AND version = coalesce($2, version)")
                .bind(id)
                .bind(version)
                .execute(&mut **tx)
                .await?
                .rows_affected();
            if removed > 0 {
                tell!(self, tx, Told { subject: Some(id), ..Told::of(EventKind::ContactChanged, at) });
            }
            removed
        });
        if removed == 0 && self.contact(id).await?.is_some() {
            return Err(StoreError::Stale);
        }
        if removed > 0 {
            self.forget_old_rows();
        }
        Ok(removed > 0)
    }
}

/// A pattern of what has a text anywhere in it.
pub(crate) fn anywhere(text: &str) -> String {
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
                company: raw.company_id,
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
