//! What contacts have asked to be put right.

use sotto_crm::{Place, Priority, Ticket, TicketState};
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use crate::deliveries::{EventKind, Told, tell};
use crate::store::{
    clean, from_name, name_of, narrow, narrow_to_words, one_of, placed, read, seen, signed, transaction,
    unless_stale, unsigned,
};
use crate::{Store, StoreError};

/// A ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketRow {
    /// Its id, a UUID version 7.
    pub id: Uuid,
    /// Whose it is.
    pub contact: Uuid,
    /// What they are called.
    pub contact_name: String,
    /// Where it stands.
    pub state: TicketState,
    /// What is to be put right.
    pub ticket: Ticket,
    /// Since when it is there, in milliseconds since 1970 (UTC).
    pub made_at_unix_ms: u64,
    /// Who has written it down.
    pub made_by: String,
    /// When it was changed last, in milliseconds since 1970 (UTC).
    pub changed_at_unix_ms: u64,
    /// How often it was changed, from 1: who changes it says which one they have seen.
    pub version: u64,
}

impl TicketRow {
    /// Where it stands in a list.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { at_unix_ms: self.changed_at_unix_ms, id: self.id }
    }
}

/// Which tickets to list.
#[derive(Clone, Debug, Default)]
pub struct TicketFilter {
    /// Only these.
    pub state: Option<TicketState>,
    /// Only this contact's.
    pub contact: Option<Uuid>,
    /// Only these.
    pub priority: Option<Priority>,
    /// Only of this user.
    pub assignee: Option<String>,
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
    contact_id: Uuid,
    contact_name: String,
    state: String,
    title: String,
    text: String,
    resolution: String,
    priority: String,
    assignee: Option<String>,
    made_at: i64,
    made_by: String,
    changed_at: i64,
    version: i64,
}

const TICKETS: &str = "SELECT tickets.id, contact_id, contacts.name AS contact_name, state, title, text, resolution, priority, \
     assignee, made_at, made_by, changed_at, tickets.version \
     FROM tickets JOIN contacts ON contacts.id = contact_id WHERE 1 = 1";

/// Binds a ticket's id, where it stands, what is written down of it, and a time: `$1` to `$9` of a statement.
macro_rules! bind_ticket {
    ($query:expr, $id:expr, $state:expr, $ticket:expr, $at:expr) => {
        $query
            .bind($id)
            .bind(name_of(&$state)?)
            .bind(clean(&$ticket.title))
            .bind(clean(&$ticket.text))
            .bind(clean(&$ticket.resolution))
            .bind(name_of(&$ticket.priority)?)
            .bind($ticket.assignee.as_deref().map(clean))
            .bind(clean(&$ticket.words()))
            .bind($at)
    };
}

impl Store {
    /// Keeps a new ticket, which is open; nothing where there is no such contact.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn add_ticket(
        &self,
        contact: Uuid,
        ticket: &Ticket,
        by: &str,
        at_unix_ms: u64,
    ) -> Result<Option<TicketRow>, StoreError> {
        let (id, at) = (Uuid::now_v7(), signed(at_unix_ms, "time")?);
        let added = transaction!(self, tx => {
            let added = sqlx::query(
                "INSERT INTO tickets (id, contact_id, state, title, text, resolution, priority, assignee, words, made_at, \
                 made_by, changed_at, version) \
                 SELECT $1, id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $9, 1 FROM contacts WHERE id = $11",
            );
            let added = bind_ticket!(added, id, TicketState::Open, ticket, at).bind(clean(by)).bind(contact);
            let added = added.execute(&mut **tx).await?.rows_affected();
            if added > 0 {
                tell!(self, tx, Told { subject: Some(id), ..Told::of(EventKind::TicketChanged, at) });
            }
            added
        });
        if added == 0 { Ok(None) } else { self.ticket(id).await }
    }

    /// Puts a ticket in the place of the one of this version, and says what is kept now; nothing where there is none of this id.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when somebody else has changed it since.
    pub async fn change_ticket(
        &self,
        id: Uuid,
        version: u64,
        state: TicketState,
        ticket: &Ticket,
        at_unix_ms: u64,
    ) -> Result<Option<TicketRow>, StoreError> {
        let (at, version) = (signed(at_unix_ms, "time")?, seen(version)?);
        let changed = transaction!(self, tx => {
            let changed = sqlx::query(
                "UPDATE tickets SET state = $2, title = $3, text = $4, resolution = $5, priority = $6, assignee = $7, \
                 words = $8, changed_at = $9, version = version + 1 WHERE id = $1 AND version = $10",
            );
            let changed = bind_ticket!(changed, id, state, ticket, at).bind(version);
            let changed = changed.execute(&mut **tx).await?.rows_affected();
            if changed > 0 {
                tell!(self, tx, Told { subject: Some(id), ..Told::of(EventKind::TicketChanged, at) });
            }
            changed
        });
        let now = self.ticket(id).await?;
        unless_stale(changed, now)
    }

    /// A ticket.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn ticket(&self, id: Uuid) -> Result<Option<TicketRow>, StoreError> {
        let row: Option<Raw> = one_of!(self, TICKETS, " AND tickets.id = ": id);
        row.map(TicketRow::try_from).transpose()
    }

    /// Tickets, those that were changed last come first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn tickets(&self, filter: &TicketFilter) -> Result<Vec<TicketRow>, StoreError> {
        let state = filter.state.map(|state| name_of(&state)).transpose()?;
        let priority = filter.priority.map(|priority| name_of(&priority)).transpose()?;
        let before = filter.before.map(placed).transpose()?;
        let rows: Vec<Raw> = read!(self, db => {
            let mut query = QueryBuilder::new(TICKETS);
            let assignee = filter.assignee.as_deref().map(clean);
            narrow!(query, " AND state = ": state, " AND contact_id = ": filter.contact);
            narrow!(query, " AND priority = ": priority, " AND assignee = ": assignee);
            narrow_to_words!(query, "tickets.words", &filter.terms);
            if let Some((at, id)) = before {
                query.push(" AND (changed_at, tickets.id) < (").push_bind(at).push(", ").push_bind(id).push(")");
            }
            query.push(" ORDER BY changed_at DESC, tickets.id DESC LIMIT ").push_bind(i64::from(filter.limit));
            query.build_query_as().fetch_all(db).await?
        });
        rows.into_iter().map(TicketRow::try_from).collect()
    }
}

impl TryFrom<Raw> for TicketRow {
    type Error = StoreError;
    fn try_from(raw: Raw) -> Result<Self, StoreError> {
        Ok(Self {
            id: raw.id,
            contact: raw.contact_id,
            contact_name: raw.contact_name,
            state: from_name(raw.state)?,
            ticket: Ticket {
                title: raw.title,
                text: raw.text,
                resolution: raw.resolution,
                priority: from_name(raw.priority)?,
                assignee: raw.assignee,
            },
            made_at_unix_ms: unsigned(raw.made_at, "time")?,
            made_by: raw.made_by,
            changed_at_unix_ms: unsigned(raw.changed_at, "time")?,
            version: unsigned(raw.version, "version")?,
        })
    }
}
