//! What was said to contacts and by them, and what is to be done for them.

use sotto_call::CallId;
use sotto_crm::{CallNote, Communication, Phone, Place, Task, TaskState};
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use crate::store::{clean, from_json, from_name, name_of, placed, read, signed, transaction, unsigned};
use crate::{Draft, Store, StoreError};

/// What was drawn from a call goes from its contact's timeline, and what somebody has accepted of it keeps none of its words; a
/// message that nobody has touched goes as well. Four statements, each with the call.
pub(crate) const FORGET_CALL: [&str; 4] = [
    "DELETE FROM communications WHERE call_id = $1",
    "DELETE FROM tasks WHERE call_id = $1 AND state = 'proposed'",
    "UPDATE tasks SET quote = NULL WHERE call_id = $1",
    "DELETE FROM follow_ups WHERE call_id = $1 AND state = 'drafted' AND decided_by IS NULL",
];
/// When something is due of which that was not said: last of all.
const NEVER: i64 = i64::MAX;

/// An entry of a contact's timeline.
#[derive(Clone, Debug, PartialEq)]
pub struct CommunicationRow {
    /// Its id, a UUID version 7.
    pub id: Uuid,
    /// On whose timeline it is.
    pub contact: Uuid,
    /// The call it was drawn from.
    pub call: Option<CallId>,
    /// When it was, in milliseconds since 1970 (UTC).
    pub at_unix_ms: u64,
    /// Who has written it down; absent where it was drawn from a call.
    pub by: Option<String>,
    /// What it says.
    pub communication: Communication,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRow {
    /// Its id, a UUID version 7.
    pub id: Uuid,
    /// For whom it is to be done.
    pub contact: Uuid,
    /// What they are called.
    pub contact_name: String,
    /// The call in which it was promised.
    pub call: Option<CallId>,
    /// The words that promised it, for as long as the call is kept.
    pub quote: Option<String>,
    /// Where it stands.
    pub state: TaskState,
    /// What is to be done.
    pub task: Task,
    /// Since when it is there, in milliseconds since 1970 (UTC).
    pub made_at_unix_ms: u64,
    /// Who has written it down; absent where it was drawn from a call.
    pub made_by: Option<String>,
    /// When it was changed last, in milliseconds since 1970 (UTC).
    pub changed_at_unix_ms: u64,
    /// How often it was changed, from 1: who changes it says which one they have seen.
    pub version: u64,
}

impl TaskRow {
    /// Where it stands in a list.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { at_unix_ms: self.task.due_at_unix_ms.unwrap_or(NEVER.unsigned_abs()), id: self.id }
    }
}

/// Which tasks to list.
#[derive(Clone, Debug, Default)]
pub struct TaskFilter {
    /// Only these.
    pub state: Option<TaskState>,
    /// Only for this contact.
    pub contact: Option<Uuid>,
    /// Only of this user.
    pub assignee: Option<String>,
    /// Only those further down than this.
    pub after: Option<Place>,
    /// At most so many.
    pub limit: u32,
}

/// What a call adds to the timeline of whoever it was with.
#[derive(Clone, Debug, PartialEq)]
pub struct CallEntry {
    /// The customer's number.
    pub number: Phone,
    /// When the call was over, in milliseconds since 1970 (UTC).
    pub ended_at_unix_ms: u64,
    /// What it adds.
    pub note: CallNote,
    /// Messages that follow from it.
    pub drafts: Vec<Draft>,
}

/// Adds an entry to a contact's timeline, within a transaction; says how many contacts of this id there were.
macro_rules! insert_communication {
    ($tx:ident, $id:expr, $contact:expr, $call:expr, $at:expr, $by:expr, $said:expr) => {{
        let (call, by): (Option<uuid::Uuid>, Option<String>) = ($call, $by);
        sqlx::query("UPDATE contacts SET active_at = $2 WHERE id = $1 AND active_at < $2")
            .bind($contact)
            .bind($at)
            .execute(&mut **$tx)
            .await?;
        sqlx::query(
            "INSERT INTO communications (id, contact_id, call_id, kind, source, at, made_by, content, tags, metadata) \
             SELECT $1, id, $2, $3, $4, $5, $6, $7, $8, $9 FROM contacts WHERE id = $10",
        )
        .bind($id)
        .bind(call)
        .bind($crate::store::name_of(&$said.kind)?)
        .bind($crate::store::name_of(&$said.source)?)
        .bind($at)
        .bind(by)
        .bind($crate::store::clean(&$said.content))
        .bind($crate::store::to_json(&$said.tags)?)
        .bind($crate::store::to_json(&$said.metadata)?)
        .bind($contact)
        .execute(&mut **$tx)
        .await?
        .rows_affected()
    }};
}

/// Adds a task for a contact, within a transaction; says how many contacts of this id there were. What was promised in a call
/// is there once, and has its words again.
macro_rules! insert_task {
    ($tx:ident, $id:expr, $contact:expr, $of_call:expr, $state:expr, $task:expr, $at:expr, $by:expr) => {{
        let of_call: Option<(uuid::Uuid, String, String)> = $of_call;
        let (call, origin, quote) = of_call.map_or((None, None, None), |(a, b, c)| (Some(a), Some(b), Some(c)));
        let by: Option<String> = $by;
        let channel = $task.channel.map(|channel| $crate::store::name_of(&channel)).transpose()?;
        let due = $task.due_at_unix_ms.map(|at| $crate::store::signed(at, "time")).transpose()?;
        sqlx::query(
            "INSERT INTO tasks (id, contact_id, call_id, origin, quote, state, kind, title, channel, address, due_at, \
             priority, assignee, made_at, made_by, changed_at, version) \
             SELECT $1, id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $13, 1 FROM contacts \
             WHERE id = $15 ON CONFLICT (call_id, origin) DO UPDATE SET quote = excluded.quote",
        )
        .bind($id)
        .bind(call)
        .bind(origin)
        .bind(quote)
        .bind($crate::store::name_of(&$state)?)
        .bind($crate::store::name_of(&$task.kind)?)
        .bind($task.title.as_deref().map($crate::store::clean))
        .bind(channel)
        .bind($task.to.as_deref().map($crate::store::clean))
        .bind(due.unwrap_or(i64::MAX))
        .bind($crate::store::name_of(&$task.priority)?)
        .bind($task.assignee.as_deref().map($crate::store::clean))
        .bind($at)
        .bind(by)
        .bind($contact)
        .execute(&mut **$tx)
        .await?
        .rows_affected()
    }};
}
pub(crate) use {insert_communication, insert_task};

#[derive(FromRow)]
struct RawCommunication {
    id: Uuid,
    contact_id: Uuid,
    call_id: Option<Uuid>,
    kind: String,
    source: String,
    at: i64,
    made_by: Option<String>,
    content: String,
    tags: String,
    metadata: String,
}

#[derive(FromRow)]
struct RawTask {
    id: Uuid,
    contact_id: Uuid,
    contact_name: String,
    call_id: Option<Uuid>,
    quote: Option<String>,
    state: String,
    kind: String,
    title: Option<String>,
    channel: Option<String>,
    address: Option<String>,
    due_at: i64,
    priority: String,
    assignee: Option<String>,
    made_at: i64,
    made_by: Option<String>,
    changed_at: i64,
    version: i64,
}

const TASKS: &str = "SELECT tasks.id, contact_id, contacts.name AS contact_name, call_id, quote, state, tasks.kind, title, \
     channel, address, due_at, priority, assignee, made_at, made_by, changed_at, tasks.version \
     FROM tasks JOIN contacts ON contacts.id = contact_id WHERE 1 = 1";

impl Store {
    /// Adds an entry to a contact's timeline; nothing where there is no such contact.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn add_communication(
        &self,
        contact: Uuid,
        communication: &Communication,
        by: &str,
        at_unix_ms: u64,
    ) -> Result<Option<CommunicationRow>, StoreError> {
        let (id, at) = (Uuid::now_v7(), signed(at_unix_ms, "time")?);
        let added = transaction!(self, tx => {
            insert_communication!(tx, id, contact, None, at, Some(clean(by)), communication)
        });
        let (by, communication) = (Some(by.to_owned()), communication.clone());
        Ok((added > 0).then_some(CommunicationRow { id, contact, call: None, at_unix_ms, by, communication }))
    }

    /// A contact's timeline, newest first, at most `limit`: what stands further down than `before`, where that is given.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn communications(
        &self,
        contact: Uuid,
        before: Option<Place>,
        limit: u32,
    ) -> Result<Vec<CommunicationRow>, StoreError> {
        let before = before.map(placed).transpose()?;
        let rows: Vec<RawCommunication> = read!(self, db => {
            let mut query = QueryBuilder::new("SELECT * FROM communications WHERE contact_id = ");
            query.push_bind(contact);
            if let Some((at, id)) = before {
                query.push(" AND (at < ").push_bind(at).push(" OR (at = ").push_bind(at);
                query.push(" AND id < ").push_bind(id).push("))");
            }
            query.push(" ORDER BY at DESC, id DESC LIMIT ").push_bind(i64::from(limit));
            query.build_query_as().fetch_all(db).await?
        });
        rows.into_iter().map(CommunicationRow::try_from).collect()
    }

    /// Keeps a new task; nothing where there is no such contact.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn add_task(
        &self,
        contact: Uuid,
        state: TaskState,
        task: &Task,
        by: &str,
        at_unix_ms: u64,
    ) -> Result<Option<TaskRow>, StoreError> {
        let (id, at) = (Uuid::now_v7(), signed(at_unix_ms, "time")?);
        let added = transaction!(self, tx => {
            insert_task!(tx, id, contact, None, state, task, at, Some(clean(by)))
        });
        if added == 0 { Ok(None) } else { self.task(id).await }
    }

    /// Puts a task in the place of the one of this version, and says what is kept now; nothing where there is none of this id.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when somebody else has changed it since.
    pub async fn change_task(
        &self,
        id: Uuid,
        version: u64,
        state: TaskState,
        task: &Task,
        at_unix_ms: u64,
    ) -> Result<Option<TaskRow>, StoreError> {
        let (at, version) = (signed(at_unix_ms, "time")?, signed(version, "version")?);
        let channel = task.channel.map(|channel| name_of(&channel)).transpose()?;
        let due = task.due_at_unix_ms.map(|at| signed(at, "time")).transpose()?;
        let changed = transaction!(self, tx => {
            sqlx::query(
                "UPDATE tasks SET state = $3, kind = $4, title = $5, channel = $6, address = $7, due_at = $8, \
                 priority = $9, assignee = $10, changed_at = $11, version = version + 1 WHERE id = $1 AND version = $2",
            )
            .bind(id)
            .bind(version)
            .bind(name_of(&state)?)
            .bind(name_of(&task.kind)?)
            .bind(task.title.as_deref().map(clean))
            .bind(channel)
            .bind(task.to.as_deref().map(clean))
            .bind(due.unwrap_or(NEVER))
            .bind(name_of(&task.priority)?)
            .bind(task.assignee.as_deref().map(clean))
            .bind(at)
            .execute(&mut **tx)
            .await?
            .rows_affected()
        });
        let now = self.task(id).await?;
        if changed == 0 && now.is_some() { Err(StoreError::Stale) } else { Ok(now) }
    }

    /// A task.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn task(&self, id: Uuid) -> Result<Option<TaskRow>, StoreError> {
        let row: Option<RawTask> = read!(self, db => {
            let mut query = QueryBuilder::new(TASKS);
            query.push(" AND tasks.id = ").push_bind(id);
            query.build_query_as().fetch_optional(db).await?
        });
        row.map(TaskRow::try_from).transpose()
    }

    /// Tasks, what is due first comes first, and last what is not due at any time.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn tasks(&self, filter: &TaskFilter) -> Result<Vec<TaskRow>, StoreError> {
        let state = filter.state.map(|state| name_of(&state)).transpose()?;
        let after = filter.after.map(placed).transpose()?;
        let rows: Vec<RawTask> = read!(self, db => {
            let mut query = QueryBuilder::new(TASKS);
            if let Some(state) = state {
                query.push(" AND state = ").push_bind(state);
            }
            if let Some(contact) = filter.contact {
                query.push(" AND contact_id = ").push_bind(contact);
            }
            if let Some(assignee) = &filter.assignee {
                query.push(" AND assignee = ").push_bind(clean(assignee));
            }
            if let Some((at, id)) = after {
                query.push(" AND (due_at > ").push_bind(at).push(" OR (due_at = ").push_bind(at);
                query.push(" AND tasks.id > ").push_bind(id).push("))");
            }
            query.push(" ORDER BY due_at, tasks.id LIMIT ").push_bind(i64::from(filter.limit));
            query.build_query_as().fetch_all(db).await?
        });
        rows.into_iter().map(TaskRow::try_from).collect()
    }
}

impl TryFrom<RawCommunication> for CommunicationRow {
    type Error = StoreError;
    fn try_from(raw: RawCommunication) -> Result<Self, StoreError> {
        Ok(Self {
            id: raw.id,
            contact: raw.contact_id,
            call: raw.call_id.map(CallId),
            at_unix_ms: unsigned(raw.at, "time")?,
            by: raw.made_by,
            communication: Communication {
                kind: from_name(raw.kind)?,
                source: from_name(raw.source)?,
                content: raw.content,
                tags: from_json(&raw.tags, "tags")?,
                metadata: from_json(&raw.metadata, "metadata")?,
            },
        })
    }
}

impl TryFrom<RawTask> for TaskRow {
    type Error = StoreError;
    fn try_from(raw: RawTask) -> Result<Self, StoreError> {
        let due = (raw.due_at != NEVER).then(|| unsigned(raw.due_at, "time"));
        Ok(Self {
            id: raw.id,
            contact: raw.contact_id,
            contact_name: raw.contact_name,
            call: raw.call_id.map(CallId),
            quote: raw.quote,
            state: from_name(raw.state)?,
            task: Task {
                kind: from_name(raw.kind)?,
                title: raw.title,
                channel: raw.channel.map(from_name).transpose()?,
                to: raw.address,
                due_at_unix_ms: due.transpose()?,
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
