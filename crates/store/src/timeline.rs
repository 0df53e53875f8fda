//! What was said to contacts and by them, and what is to be done for them.

use std::collections::BTreeMap;

use sotto_call::{CallId, Participant, Source};
use sotto_crm::{CallNote, Communication, Phone, Place, QueuePlace, Task, TaskKind, TaskOrder, TaskState};
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use crate::deliveries::{EventKind, Told, tell};
use crate::store::{
    clean, from_json, from_name, name_of, narrow, one_of, placed, read, seen, signed, transaction,
    unless_stale, unsigned,
};
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
/// Contacts whose entries are looked up together: SQLite takes 500 parts of a statement at most.
const CONTACTS_TOGETHER: usize = 200;

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
    pub fn place(&self) -> QueuePlace {
        let at_unix_ms = self.task.due_at_unix_ms.unwrap_or(NEVER.unsigned_abs());
        QueuePlace { priority: self.task.priority, due: Place { at_unix_ms, id: self.id } }
    }
}

/// Which tasks to list.
#[derive(Clone, Debug, Default)]
pub struct TaskFilter {
    /// Only these.
    pub state: Option<TaskState>,
    /// Only for this contact.
    pub contact: Option<Uuid>,
    /// Only these.
    pub kind: Option<TaskKind>,
    /// Only of this user.
    pub assignee: Option<String>,
    /// Only those that this user may do: of theirs, or anybody's.
    pub doer: Option<String>,
    /// Only those that are due by then, in milliseconds since 1970 (UTC).
    pub due_by_unix_ms: Option<u64>,
    /// In which order.
    pub order: TaskOrder,
    /// Only those further down than this, in this order.
    pub after: Option<QueuePlace>,
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

/// A call that came to something, and of which nobody has looked yet whose it is.
#[derive(Clone, Debug, PartialEq)]
pub struct UnjoinedCall {
    /// Which.
    pub id: CallId,
    /// Where its audio came from.
    pub source: Source,
    /// Who took part.
    pub participants: Vec<Participant>,
    /// When it was over, in milliseconds since 1970 (UTC).
    pub ended_at_unix_ms: u64,
    /// What it came to, as JSON, in which nothing rests on how the customer felt.
    pub insight: String,
    /// When that was made: what is made anew meanwhile is not looked at by this.
    made_at: i64,
}

/// Adds an entry to a contact's timeline, within a transaction; says how many contacts of this id there were. A call has one
/// entry at most.
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
             SELECT $1, id, $2, $3, $4, $5, $6, $7, $8, $9 FROM contacts WHERE id = $10 \
             ON CONFLICT (call_id) DO NOTHING",
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
             priority, assignee, made_at, made_by, changed_at, unaccepted, version) \
             SELECT $1, id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $13, $16, 1 FROM contacts \
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
        .bind($state == sotto_crm::TaskState::Proposed)
        .execute(&mut **$tx)
        .await?
        .rows_affected()
    }};
}

/// Adds what a call came to to the timeline of the contact with the customer's number, if there is one, with what follows from
/// it, and tells of it where that is final, and nothing is to take its place, within a transaction.
macro_rules! note_call {
    ($store:expr, $tx:ident, $call:expr, $entry:expr, $at:expr, $is_final:expr) => {{
        let (call, entry): (sotto_call::CallId, &$crate::CallEntry) = ($call, $entry);
        let is_final: bool = $is_final;
        let ended_at = $crate::store::signed(entry.ended_at_unix_ms, "time")?;
        let contact: Option<(uuid::Uuid, String)> = sqlx::query_as(
            "SELECT id, stage FROM contacts JOIN contact_numbers ON contact_id = id WHERE number = $1",
        )
        .bind(entry.number.as_str())
        .fetch_optional(&mut **$tx)
        .await?;
        if let Some((contact, stage)) = contact {
            let said = &entry.note.communication;
            let id = uuid::Uuid::now_v7();
            $crate::timeline::insert_communication!($tx, id, contact, Some(call.0), ended_at, None, said);
            let of_call = |kind| Told { subject: Some(contact), ..Told::of_call(kind, call, $at) };
            if is_final {
                tell!($store, $tx, of_call(EventKind::CallNoted));
            }
            let suggested = said.metadata.get("lead_stage_suggestion").and_then(|stage| stage.as_str());
            if let Some(suggested) = suggested.filter(|suggested| is_final && *suggested != stage) {
                let detail = Some(suggested.to_owned());
                tell!($store, $tx, Told { detail, ..of_call(EventKind::StageSuggested) });
            }
            for proposal in &entry.note.proposals {
                let quote = $crate::store::clean(&proposal.quote);
                let promised = Some((call.0, proposal.origin.clone(), quote));
                let (id, task, state) =
                    (uuid::Uuid::now_v7(), &proposal.task, sotto_crm::TaskState::Proposed);
                $crate::timeline::insert_task!($tx, id, contact, promised, state, task, ended_at, None);
                let is_new: Option<uuid::Uuid> = sqlx::query_scalar("SELECT id FROM tasks WHERE id = $1")
                    .bind(id)
                    .fetch_optional(&mut **$tx)
                    .await?;
                if is_final && is_new.is_some() {
                    let once = Some(format!("{call}:{}", proposal.origin));
                    let told = Told::of(EventKind::TaskProposed, $at);
                    tell!($store, $tx, Told { call: Some(call.0), subject: Some(id), once, ..told });
                }
            }
            for draft in entry.drafts.iter().filter(|draft| draft.contact == contact) {
                let (promised, message) = (Some((call.0, draft.origin.clone())), &draft.message);
                let id = uuid::Uuid::now_v7();
                $crate::follow_ups::insert_follow_up!($tx, id, contact, promised, message, ended_at, None);
            }
        }
    }};
}
pub(crate) use {insert_communication, insert_task, note_call};

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
struct RawUnjoined {
    id: Uuid,
    source: String,
    participants: String,
    started_at: i64,
    duration_ms: Option<i64>,
    insight: String,
    made_at: i64,
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
                query.push(" AND (at, id) < (").push_bind(at).push(", ").push_bind(id).push(")");
            }
            query.push(" ORDER BY at DESC, id DESC LIMIT ").push_bind(i64::from(limit));
            query.build_query_as().fetch_all(db).await?
        });
        rows.into_iter().map(CommunicationRow::try_from).collect()
    }

    /// What was said of late to and by these contacts: of each the entries since a time, at most `each`, newest first. A contact
    /// without any is absent.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn recent_communications(
        &self,
        contacts: &[Uuid],
        since_unix_ms: u64,
        each: u32,
    ) -> Result<BTreeMap<Uuid, Vec<CommunicationRow>>, StoreError> {
        let since = signed(since_unix_ms, "time")?;
        let mut recent: BTreeMap<Uuid, Vec<CommunicationRow>> = BTreeMap::new();
        for some in contacts.chunks(CONTACTS_TOGETHER) {
            let rows: Vec<RawCommunication> = read!(self, db => {
                // Contact by contact, as the index has them: of one with thousands of entries, only the newest are read.
                let mut query = QueryBuilder::new("");
                for (n, contact) in some.iter().enumerate() {
                    query.push(if n == 0 { "SELECT * FROM (" } else { " UNION ALL SELECT * FROM (" });
                    query.push("SELECT * FROM communications WHERE contact_id = ").push_bind(*contact);
                    query.push(" AND at >= ").push_bind(since).push(" ORDER BY at DESC, id DESC LIMIT ");
                    query.push_bind(i64::from(each)).push(") AS of_").push(n);
                }
                // Every number of contacts is another statement: not worth keeping prepared.
                query.build_query_as().persistent(false).fetch_all(db).await?
            });
            for row in rows {
                recent.entry(row.contact_id).or_default().push(CommunicationRow::try_from(row)?);
            }
        }
        // To have the database put all of them in order takes SQLite longer than to find them.
        for entries in recent.values_mut() {
            entries.sort_by_key(|entry| std::cmp::Reverse((entry.at_unix_ms, entry.id)));
        }
        Ok(recent)
    }

    /// Calls that came to something and of which nobody has looked yet whose they are, newest first, at most `limit`: those of
    /// numbers that have become a contact's since, and those that are older than contacts. One whose job is still to be done
    /// is looked at by that.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn unjoined_calls(&self, limit: u32) -> Result<Vec<UnjoinedCall>, StoreError> {
        let rows: Vec<RawUnjoined> = read!(self, db => {
            sqlx::query_as(
                "SELECT calls.id, source, participants, started_at, duration_ms, insight, made_at \
                 FROM ai_call_insights AS made JOIN calls ON calls.id = made.call_id \
                 WHERE customer_number IS NULL AND NOT EXISTS (SELECT 1 FROM jobs \
                 WHERE jobs.call_id = made.call_id AND jobs.state IN ('waiting', 'running')) \
                 ORDER BY made.call_id DESC LIMIT $1",
            )
            .bind(i64::from(limit))
            .fetch_all(db)
            .await?
        });
        rows.into_iter().map(UnjoinedCall::try_from).collect()
    }

    /// Has it looked at again whose the calls are that are on nobody's timeline and whose customers' numbers are not those of a
    /// country.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn look_again_at_local_calls(&self) -> Result<(), StoreError> {
        transaction!(self, tx => {
            sqlx::query(
                "UPDATE ai_call_insights SET customer_number = NULL \
                 WHERE customer_number <> '' AND customer_number NOT LIKE '+%' AND NOT EXISTS \
                 (SELECT 1 FROM communications WHERE communications.call_id = ai_call_insights.call_id)",
            )
            .execute(&mut **tx)
            .await?;
        });
        Ok(())
    }

    /// Somebody has looked whose a call is: what it adds is on the timeline of the contact with its customer's number from now
    /// on, if there is one; nothing is added where that number is not known. False, and nothing is added, where it has been
    /// looked at or made anew meanwhile, or is gone.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn join_call(
        &self,
        call: &UnjoinedCall,
        entry: Option<&CallEntry>,
        now_unix_ms: u64,
    ) -> Result<bool, StoreError> {
        let at = signed(now_unix_ms, "time")?;
        let is_joined = transaction!(self, tx => {
            // The job comes first, as in `finish_job`: whoever takes something out of the call waits for this, and then takes
            // out what is added here as well.
            let at_rest = sqlx::query(
                "UPDATE jobs SET claims = claims WHERE call_id = $1 AND step = 'review' AND NOT EXISTS \
                 (SELECT 1 FROM jobs AS other WHERE other.call_id = $1 AND other.state IN ('waiting', 'running'))",
            )
            .bind(call.id.0)
            .execute(&mut **tx)
            .await?
            .rows_affected();
            let looked_at = sqlx::query(
                "UPDATE ai_call_insights SET customer_number = $3 \
                 WHERE call_id = $1 AND made_at = $2 AND customer_number IS NULL",
            )
            .bind(call.id.0)
            .bind(call.made_at)
            .bind(entry.map_or("", |entry| entry.number.as_str()))
            .execute(&mut **tx)
            .await?
            .rows_affected();
            if at_rest == 0 || looked_at == 0 {
                return Ok(false);
            }
            if let Some(entry) = entry {
                note_call!(self, tx, call.id, entry, at, true);
            }
            true
        });
        Ok(is_joined)
    }

    /// What a call added to its contact's timeline, if it did.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn communication_of(&self, call: CallId) -> Result<Option<CommunicationRow>, StoreError> {
        let row: Option<RawCommunication> = read!(self, db => {
            sqlx::query_as("SELECT * FROM communications WHERE call_id = $1")
                .bind(call.0)
                .fetch_optional(db)
                .await?
        });
        row.map(CommunicationRow::try_from).transpose()
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
            let added = insert_task!(tx, id, contact, None, state, task, at, Some(clean(by)));
            if added > 0 && state == TaskState::Proposed {
                tell!(self, tx, Told { subject: Some(id), ..Told::of(EventKind::TaskProposed, at) });
            }
            added
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
        let (at, version) = (signed(at_unix_ms, "time")?, seen(version)?);
        let channel = task.channel.map(|channel| name_of(&channel)).transpose()?;
        let due = task.due_at_unix_ms.map(|at| signed(at, "time")).transpose()?;
        let changed = transaction!(self, tx => {
            // Also one that was dismissed meanwhile.
            let is_unaccepted: Option<bool> = sqlx::query_scalar("SELECT unaccepted FROM tasks WHERE id = $1")
                .bind(id)
                .fetch_optional(&mut **tx)
                .await?;
            let changed = sqlx::query(
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
            .rows_affected();
            let is_accepted = matches!(state, TaskState::Open | TaskState::Done);
            if changed > 0 && is_accepted && is_unaccepted.unwrap_or_default() {
                sqlx::query("UPDATE tasks SET unaccepted = $2 WHERE id = $1")
                    .bind(id)
                    .bind(false)
                    .execute(&mut **tx)
                    .await?;
                tell!(self, tx, Told { subject: Some(id), ..Told::of(EventKind::TaskAccepted, at) });
            }
            changed
        });
        let now = self.task(id).await?;
        unless_stale(changed, now)
    }

    /// A task.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn task(&self, id: Uuid) -> Result<Option<TaskRow>, StoreError> {
        let row: Option<RawTask> = one_of!(self, TASKS, " AND tasks.id = ": id);
        row.map(TaskRow::try_from).transpose()
    }

    /// Tasks in the order that the filter says; what is not due at any time comes after what is.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn tasks(&self, filter: &TaskFilter) -> Result<Vec<TaskRow>, StoreError> {
        let state = filter.state.map(|state| name_of(&state)).transpose()?;
        let kind = filter.kind.map(|kind| name_of(&kind)).transpose()?;
        let due_by = filter.due_by_unix_ms.map(|at| signed(at, "time")).transpose()?;
        let after =
            filter.after.map(|after| placed(after.due).map(|due| (after.priority, due))).transpose()?;
        let rows: Vec<RawTask> = read!(self, db => {
            let mut query = QueryBuilder::new(TASKS);
            let assignee = filter.assignee.as_deref().map(clean);
            narrow!(query, " AND state = ": state, " AND contact_id = ": filter.contact);
            narrow!(query, " AND tasks.kind = ": kind, " AND assignee = ": assignee);
            if let Some(doer) = &filter.doer {
                query.push(" AND (assignee IS NULL OR assignee = ").push_bind(clean(doer)).push(")");
            }
            if let Some(at) = due_by {
                query.push(" AND due_at <= ").push_bind(at).push(" AND due_at < ").push_bind(NEVER);
            }
            let by_rank = filter.order == TaskOrder::Priority;
            if let Some((priority, (at, id))) = after {
                query.push(if by_rank { " AND (rank, due_at, tasks.id) > (" } else { " AND (due_at, tasks.id) > (" });
                if by_rank {
                    query.push_bind(i64::from(priority.rank())).push(", ");
                }
                query.push_bind(at).push(", ").push_bind(id).push(")");
            }
            query.push(if by_rank { " ORDER BY rank, due_at, tasks.id" } else { " ORDER BY due_at, tasks.id" });
            query.push(" LIMIT ").push_bind(i64::from(filter.limit));
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

impl TryFrom<RawUnjoined> for UnjoinedCall {
    type Error = StoreError;
    fn try_from(raw: RawUnjoined) -> Result<Self, StoreError> {
        let ended_at = raw.started_at.saturating_add(raw.duration_ms.unwrap_or_default());
        Ok(Self {
            id: CallId(raw.id),
            source: from_name(raw.source)?,
            // Where that cannot be read, nobody is known, and no other call is held up.
            participants: from_json(&raw.participants, "participants").unwrap_or_default(),
            ended_at_unix_ms: unsigned(ended_at, "time")?,
            insight: raw.insight,
            made_at: raw.made_at,
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
