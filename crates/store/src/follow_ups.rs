//! Messages to contacts, from the draft until it is known what became of them.
//!
//! A message is sent by whoever has claimed it, and only after the claim is kept. Whoever claims holds
//! [`Store::lock_instance`], so one that is being sent when they begin is one whose sender has died: whether it was sent nobody
//! knows, and so it is not sent again, unless whoever takes it tells the same message by its key.

use std::collections::BTreeSet;

use serde_json::Value;
use sotto_call::CallId;
use sotto_crm::{
    Communication, CommunicationKind, FollowUp, FollowUpState, MessageChannel, Place, Source, TaskState,
};
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use crate::deliveries::{EventKind, Told, tell};
use crate::jobs::{LONGEST_ERROR, small};
use crate::store::{
    clean, from_name, name_of, narrow, one_of, placed, read, seen, signed, transaction, unless_stale,
    unsigned,
};
use crate::timeline::insert_communication;
use crate::{Store, StoreError};

/// By what a contact does not want to be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptOuts {
    /// All of it.
    pub channels: BTreeSet<MessageChannel>,
    /// How often it was kept, from 1: who changes it says which one they have seen.
    pub version: u64,
}

/// A message to a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowUpRow {
    /// Its id, a UUID version 7.
    pub id: Uuid,
    /// To whom.
    pub contact: Uuid,
    /// What they are called.
    pub contact_name: String,
    /// The call in which it was promised.
    pub call: Option<CallId>,
    /// Where it stands.
    pub state: FollowUpState,
    /// What is sent.
    pub message: FollowUp,
    /// Since when it is there, in milliseconds since 1970 (UTC).
    pub made_at_unix_ms: u64,
    /// Who has written it; absent where it was drawn from a call.
    pub made_by: Option<String>,
    /// Who has changed, approved or dismissed it last.
    pub decided_by: Option<String>,
    /// When it was changed last, in milliseconds since 1970 (UTC).
    pub changed_at_unix_ms: u64,
    /// How often it was changed, from 1: who changes it says which one they have seen.
    pub version: u64,
    /// The same for every try of what was approved once, and another when it is approved again.
    pub key: Uuid,
    /// When it may be tried, in milliseconds since 1970 (UTC).
    pub due_at_unix_ms: u64,
    /// How often it was tried since it was approved, this time included.
    pub tries: u32,
    /// What whoever delivers it calls it.
    pub receipt: Option<String>,
    /// Why the last try failed, if it did.
    pub error: Option<String>,
    /// How often it was claimed ever. Only who claimed it last can settle it.
    claims: i64,
}

impl FollowUpRow {
    /// Where it stands in a list.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { at_unix_ms: self.made_at_unix_ms, id: self.id }
    }
}

/// What follows from a promise of a call, for somebody to approve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// To whom it was written: it is nobody else's.
    pub contact: Uuid,
    /// Where in the call it was promised.
    pub origin: String,
    /// What is to be sent.
    pub message: FollowUp,
}

/// Which messages to list.
#[derive(Clone, Debug, Default)]
pub struct FollowUpFilter {
    /// Only these.
    pub state: Option<FollowUpState>,
    /// Only to this contact.
    pub contact: Option<Uuid>,
    /// Only of this call.
    pub call: Option<CallId>,
    /// Only those further down than this.
    pub before: Option<Place>,
    /// At most so many.
    pub limit: u32,
}

/// What may be claimed.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The time, in milliseconds since 1970 (UTC).
    pub now_unix_ms: u64,
    /// When the day began within which messages to one contact are counted.
    pub day_begins_unix_ms: u64,
    /// Messages to one contact a day.
    pub per_day: u32,
    /// By what messages may be sent just now.
    pub channels: BTreeSet<MessageChannel>,
}

/// What became of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// It was taken, and is called so there.
    Sent(Option<String>),
    /// It surely was not sent, for this reason, and may be tried again at a time in milliseconds since 1970 (UTC).
    Again(String, u64),
    /// It surely was not sent, and was tried too often.
    Dead(String),
    /// It was refused for good.
    Failed(String),
    /// Whether it was sent is not known.
    Unknown(String),
}

#[derive(FromRow)]
struct Raw {
    id: Uuid,
    contact_id: Uuid,
    contact_name: String,
    call_id: Option<Uuid>,
    state: String,
    channel: String,
    address: Option<String>,
    subject: Option<String>,
    body: String,
    not_before: Option<i64>,
    made_at: i64,
    made_by: Option<String>,
    decided_by: Option<String>,
    changed_at: i64,
    version: i64,
    send_key: Uuid,
    due_at: i64,
    tries: i64,
    claims: i64,
    receipt: Option<String>,
    error: Option<String>,
}

const FOLLOW_UPS: &str = "SELECT follow_ups.id, contact_id, contacts.name AS contact_name, call_id, state, channel, \
     address, subject, body, not_before, made_at, made_by, decided_by, changed_at, follow_ups.version, send_key, due_at, \
     tries, claims, receipt, error FROM follow_ups JOIN contacts ON contacts.id = contact_id WHERE 1 = 1";

/// What may be claimed: `$1` the time, `$2` when the day began, `$3` messages to one contact a day, `$4` to `$8` by what.
macro_rules! claimable {
    () => {
        "state = 'approved' AND due_at <= $1 AND channel IN ($4, $5, $6, $7, $8) AND NOT EXISTS (SELECT 1 FROM opt_outs \
         WHERE opt_outs.contact_id = follow_ups.contact_id AND opt_outs.channel = follow_ups.channel) AND \
         (SELECT COUNT(*) FROM follow_ups AS others WHERE others.contact_id = follow_ups.contact_id \
         AND others.id <> follow_ups.id AND others.attempted_at >= $2 \
         AND others.state IN ('sending', 'sent', 'unknown')) < $3"
    };
}
const DUE: &str = concat!("SELECT id FROM follow_ups WHERE ", claimable!(), " ORDER BY due_at, id LIMIT 1");
const CLAIM: &str = concat!(
    "UPDATE follow_ups SET state = 'sending', tries = tries + 1, claims = claims + 1, attempted_at = $1, \
     changed_at = $1, version = version + 1 WHERE id = $9 AND ",
    claimable!()
);

/// Binds what [`claimable`] needs.
macro_rules! bind_claim {
    ($query:expr, $claim:expr) => {{
        let by = |channel: MessageChannel| match $claim.channels.contains(&channel) {
            true => name_of(&channel),
            false => Ok(String::new()),
        };
        let [first, second, third, fourth, fifth] = MessageChannel::ALL;
        $query
            .bind(signed($claim.now_unix_ms, "time")?)
            .bind(signed($claim.day_begins_unix_ms, "time")?)
            .bind(i64::from($claim.per_day))
            .bind(by(first)?)
            .bind(by(second)?)
            .bind(by(third)?)
            .bind(by(fourth)?)
            .bind(by(fifth)?)
    }};
}

/// Adds a message to a contact, within a transaction; says how many contacts of this id there were. What was promised in a call
/// is there once.
macro_rules! insert_follow_up {
    ($tx:ident, $id:expr, $contact:expr, $of_call:expr, $message:expr, $at:expr, $by:expr) => {{
        let of_call: Option<(uuid::Uuid, String)> = $of_call;
        let (call, origin) = of_call.map_or((None, None), |(call, origin)| (Some(call), Some(origin)));
        let by: Option<String> = $by;
        let not_before = $message.not_before_unix_ms.map(|at| $crate::store::signed(at, "time")).transpose()?;
        sqlx::query(
            "INSERT INTO follow_ups (id, contact_id, call_id, origin, state, channel, address, subject, body, not_before, \
             made_at, made_by, changed_at, version, send_key, due_at, tries, claims) \
             SELECT $1, id, $2, $3, 'drafted', $4, $5, $6, $7, $8, $9, $10, $9, 1, $1, $9, 0, 0 FROM contacts \
             WHERE id = $11 ON CONFLICT (call_id, origin) DO NOTHING",
        )
        .bind($id)
        .bind(call)
        .bind(origin)
        .bind($crate::store::name_of(&$message.channel)?)
        .bind($message.to.as_deref().map($crate::store::clean))
        .bind($message.subject.as_deref().map($crate::store::clean))
        .bind($crate::store::clean(&$message.text))
        .bind(not_before)
        .bind($at)
        .bind(by)
        .bind($contact)
        .execute(&mut **$tx)
        .await?
        .rows_affected()
    }};
}
pub(crate) use insert_follow_up;

/// A message was sent: that is on the contact's timeline, and what was promised is done. Who approved the message has accepted
/// the promise, which is told.
macro_rules! note_sent {
    ($store:expr, $tx:ident, $row:expr, $at:expr) => {{
        let said = said($row);
        // Whom it was written to may have become one with another meanwhile.
        let contact: Uuid = sqlx::query_scalar("SELECT contact_id FROM follow_ups WHERE id = $1")
            .bind($row.id)
            .fetch_one(&mut **$tx)
            .await?;
        insert_communication!($tx, Uuid::now_v7(), contact, None, $at, $row.decided_by.clone(), said);
        let promised: Option<(Uuid, String)> = sqlx::query_as(
            "SELECT tasks.id, tasks.state FROM tasks JOIN follow_ups \
             ON follow_ups.call_id = tasks.call_id AND follow_ups.origin = tasks.origin \
             WHERE follow_ups.id = $1 AND tasks.kind = 'message'",
        )
        .bind($row.id)
        .fetch_optional(&mut **$tx)
        .await?;
        if let Some((task, before)) = promised {
            let done = sqlx::query(
                "UPDATE tasks SET state = 'done', changed_at = $2, version = version + 1 \
                 WHERE id = $1 AND state IN ('proposed', 'open')",
            )
            .bind(task)
            .bind($at)
            .execute(&mut **$tx)
            .await?
            .rows_affected();
            if done > 0 && before == name_of(&TaskState::Proposed)? {
                tell!($store, $tx, Told { subject: Some(task), ..Told::of(EventKind::TaskAccepted, $at) });
            }
        }
    }};
}

/// What others say, as it is kept.
fn shortened(text: &str) -> String {
    clean(text).chars().take(LONGEST_ERROR).collect()
}

/// What a message that was sent is on a timeline: a person has approved it.
fn said(row: &FollowUpRow) -> Communication {
    let kind = match row.message.channel {
        MessageChannel::Sms => CommunicationKind::Sms,
        MessageChannel::Telegram => CommunicationKind::Telegram,
        MessageChannel::Email => CommunicationKind::Email,
        MessageChannel::Webhook => CommunicationKind::Note,
        MessageChannel::CallMessage => CommunicationKind::Call,
    };
    let metadata = [("follow_up".to_owned(), Value::from(row.id.to_string()))].into_iter().collect();
    let (source, content) = (Source::Person, row.message.text.clone());
    Communication { kind, source, content, tags: Vec::new(), metadata }
}

impl Store {
    /// Keeps a new draft; nothing where there is no such contact.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn add_follow_up(
        &self,
        contact: Uuid,
        message: &FollowUp,
        by: &str,
        at_unix_ms: u64,
    ) -> Result<Option<FollowUpRow>, StoreError> {
        let (id, at) = (Uuid::now_v7(), signed(at_unix_ms, "time")?);
        let added = transaction!(self, tx => {
            insert_follow_up!(tx, id, contact, None, message, at, Some(clean(by)))
        });
        if added == 0 { Ok(None) } else { self.follow_up(id).await }
    }

    /// Puts a message in the place of the one of this version, for somebody to approve, and says what is kept now; nothing where
    /// there is none of this id.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it is not as it was seen, or can be changed no more.
    pub async fn change_follow_up(
        &self,
        id: Uuid,
        version: u64,
        message: &FollowUp,
        by: &str,
        at_unix_ms: u64,
    ) -> Result<Option<FollowUpRow>, StoreError> {
        let (at, version) = (signed(at_unix_ms, "time")?, signed(version, "version")?);
        let not_before = message.not_before_unix_ms.map(|at| signed(at, "time")).transpose()?;
        let changed = transaction!(self, tx => {
            sqlx::query(
                "UPDATE follow_ups SET state = 'drafted', channel = $3, address = $4, subject = $5, body = $6, \
                 not_before = $7, decided_by = $8, changed_at = $9, error = NULL, version = version + 1 \
                 WHERE id = $1 AND version = $2 AND state IN ('drafted', 'approved', 'failed', 'dead')",
            )
            .bind(id)
            .bind(version)
            .bind(name_of(&message.channel)?)
            .bind(message.to.as_deref().map(clean))
            .bind(message.subject.as_deref().map(clean))
            .bind(clean(&message.text))
            .bind(not_before)
            .bind(clean(by))
            .bind(at)
            .execute(&mut **tx)
            .await?
            .rows_affected()
        });
        self.decided(id, changed).await
    }

    /// A person puts a message of this version into another state, which it may become ([`FollowUpState::may_become`]), and what
    /// is kept now; nothing where there is none of this id. What its contact does not want is not approved.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it is not as it was seen, or cannot become that.
    pub async fn decide_follow_up(
        &self,
        id: Uuid,
        version: u64,
        next: FollowUpState,
        by: &str,
        at_unix_ms: u64,
    ) -> Result<Option<FollowUpRow>, StoreError> {
        let Some(before) = self.follow_up(id).await? else { return Ok(None) };
        if before.version != version || !before.state.may_become(next) {
            return Err(StoreError::Stale);
        }
        let (at, version) = (signed(at_unix_ms, "time")?, signed(version, "version")?);
        let by = clean(by);
        let now = FollowUpRow { decided_by: Some(by.clone()), ..before };
        let decided = transaction!(self, tx => {
            let decided = match next {
                FollowUpState::Approved => {
                    sqlx::query(
                        "UPDATE follow_ups SET state = 'approved', decided_by = $3, changed_at = $4, send_key = $5, \
                         due_at = CASE WHEN not_before > $4 THEN not_before ELSE $4 END, tries = 0, error = NULL, \
                         version = version + 1 WHERE id = $1 AND version = $2 AND NOT EXISTS (SELECT 1 FROM opt_outs \
                         WHERE opt_outs.contact_id = follow_ups.contact_id AND opt_outs.channel = follow_ups.channel)",
                    )
                    .bind(id)
                    .bind(version)
                    .bind(by.as_str())
                    .bind(at)
                    .bind(Uuid::now_v7())
                    .execute(&mut **tx)
                    .await?
                    .rows_affected()
                }
                next => {
                    sqlx::query(
                        "UPDATE follow_ups SET state = $5, decided_by = $3, changed_at = $4, version = version + 1 \
                         WHERE id = $1 AND version = $2",
                    )
                    .bind(id)
                    .bind(version)
                    .bind(by.as_str())
                    .bind(at)
                    .bind(name_of(&next)?)
                    .execute(&mut **tx)
                    .await?
                    .rows_affected()
                }
            };
            if decided > 0 && next == FollowUpState::Sent {
                note_sent!(self, tx, &now, at);
            }
            decided
        });
        self.decided(id, decided).await
    }

    async fn decided(&self, id: Uuid, changed: u64) -> Result<Option<FollowUpRow>, StoreError> {
        let now = self.follow_up(id).await?;
        unless_stale(changed, now)
    }

    /// A message.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn follow_up(&self, id: Uuid) -> Result<Option<FollowUpRow>, StoreError> {
        let row: Option<Raw> = one_of!(self, FOLLOW_UPS, " AND follow_ups.id = ": id);
        row.map(FollowUpRow::try_from).transpose()
    }

    /// Messages, newest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn follow_ups(&self, filter: &FollowUpFilter) -> Result<Vec<FollowUpRow>, StoreError> {
        let state = filter.state.map(|state| name_of(&state)).transpose()?;
        let before = filter.before.map(placed).transpose()?;
        let rows: Vec<Raw> = read!(self, db => {
            let mut query = QueryBuilder::new(FOLLOW_UPS);
            let call = filter.call.map(|call| call.0);
            narrow!(query, " AND state = ": state, " AND contact_id = ": filter.contact, " AND call_id = ": call);
            if let Some((at, id)) = before {
                query.push(" AND (made_at, follow_ups.id) < (").push_bind(at).push(", ").push_bind(id).push(")");
            }
            query.push(" ORDER BY made_at DESC, follow_ups.id DESC LIMIT ").push_bind(i64::from(filter.limit));
            query.build_query_as().fetch_all(db).await?
        });
        rows.into_iter().map(FollowUpRow::try_from).collect()
    }

    /// Claims the message that has been due for longest, if one is and may be sent. It may be sent once this has returned, and
    /// nobody else may claim one meanwhile.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn claim_follow_up(&self, claim: &Claim) -> Result<Option<FollowUpRow>, StoreError> {
        // Mostly there is none, and then nobody who writes is held up.
        let due: Option<Uuid> = read!(self, db => {
            bind_claim!(sqlx::query_scalar(DUE), claim).fetch_optional(db).await?
        });
        let Some(id) = due else { return Ok(None) };
        // Read before it is kept: what is claimed and cannot be read is claimed by nobody, and stays so.
        let claimed: Option<Raw> = transaction!(self, tx => {
            let claimed = bind_claim!(sqlx::query(CLAIM), claim).bind(id).execute(&mut **tx).await?.rows_affected();
            if claimed == 0 {
                return Ok(None);
            }
            let mut query = QueryBuilder::new(FOLLOW_UPS);
            query.push(" AND follow_ups.id = ").push_bind(id);
            query.build_query_as().fetch_optional(&mut **tx).await?
        });
        claimed.map(FollowUpRow::try_from).transpose()
    }

    /// Keeps what became of a claimed message. What was sent is on its contact's timeline from then on. False where somebody else
    /// has it by now, or its contact is gone.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn settle_follow_up(
        &self,
        row: &FollowUpRow,
        attempt: &SendOutcome,
        now_unix_ms: u64,
    ) -> Result<bool, StoreError> {
        let now = signed(now_unix_ms, "time")?;
        let (state, error, again, receipt) = match attempt {
            SendOutcome::Sent(receipt) => (FollowUpState::Sent, None, None, receipt.as_deref()),
            SendOutcome::Again(error, at) => (FollowUpState::Approved, Some(error), Some(*at), None),
            SendOutcome::Dead(error) => (FollowUpState::Dead, Some(error), None, None),
            SendOutcome::Failed(error) => (FollowUpState::Failed, Some(error), None, None),
            SendOutcome::Unknown(error) => (FollowUpState::Unknown, Some(error), None, None),
        };
        let state = name_of(&state)?;
        let (error, receipt) = (error.map(|error| shortened(error)), receipt.map(shortened));
        let due = again.map(|at| signed(at, "time")).transpose()?;
        let settled = transaction!(self, tx => {
            let settled = sqlx::query(
                "UPDATE follow_ups SET state = $3, error = $4, receipt = $5, due_at = coalesce($6, due_at), \
                 changed_at = $7, version = version + 1 WHERE id = $1 AND claims = $2 AND state = 'sending'",
            )
            .bind(row.id)
            .bind(row.claims)
            .bind(state.as_str())
            .bind(error.as_deref())
            .bind(receipt.as_deref())
            .bind(due)
            .bind(now)
            .execute(&mut **tx)
            .await?
            .rows_affected();
            if settled > 0 && matches!(attempt, SendOutcome::Sent(_)) {
                note_sent!(self, tx, row, now);
            }
            settled
        });
        Ok(settled > 0)
    }

    /// What was being sent when its sender died: whether it was is not known, unless whoever takes it tells the same message
    /// by its key, and then it may be sent again. Says how many are not known.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn take_up_follow_ups(
        &self,
        tells_twice: &BTreeSet<MessageChannel>,
        now_unix_ms: u64,
    ) -> Result<u64, StoreError> {
        let now = signed(now_unix_ms, "time")?;
        let tells_twice: Vec<String> = tells_twice.iter().map(name_of).collect::<Result<_, _>>()?;
        let unknown = transaction!(self, tx => {
            for channel in &tells_twice {
                sqlx::query(
                    "UPDATE follow_ups SET state = 'approved', due_at = $1, changed_at = $1, version = version + 1, \
                     error = 'the program ended while it was sent' WHERE state = 'sending' AND channel = $2",
                )
                .bind(now)
                .bind(channel.as_str())
                .execute(&mut **tx)
                .await?;
            }
            sqlx::query(
                "UPDATE follow_ups SET state = 'unknown', changed_at = $1, version = version + 1, \
                 error = 'the program ended while it was sent' WHERE state = 'sending'",
            )
            .bind(now)
            .execute(&mut **tx)
            .await?
            .rows_affected()
        });
        Ok(unknown)
    }

    /// By what a contact does not want to be written to; nothing where there is no such contact.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn opt_outs(&self, contact: Uuid) -> Result<Option<OptOuts>, StoreError> {
        let rows: Vec<(i64, Option<String>)> = read!(self, db => {
            sqlx::query_as(
                "SELECT opt_outs_version, channel FROM contacts LEFT JOIN opt_outs ON contact_id = contacts.id \
                 WHERE contacts.id = $1",
            )
            .bind(contact)
            .fetch_all(db)
            .await?
        });
        let Some((version, _)) = rows.first() else { return Ok(None) };
        let version = unsigned(*version, "version")?;
        let channels = rows.into_iter().filter_map(|(_, channel)| channel).map(from_name);
        Ok(Some(OptOuts { version, channels: channels.collect::<Result<_, _>>()? }))
    }

    /// Keeps by what a contact does not want to be written to, and nothing else, in the place of what was kept in this version, and
    /// says what is kept now. What was to be sent so is drafted again. Nothing where there is no such contact.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when somebody else has changed it since.
    pub async fn set_opt_outs(
        &self,
        contact: Uuid,
        out: &OptOuts,
        by: &str,
        at_unix_ms: u64,
    ) -> Result<Option<OptOuts>, StoreError> {
        let (at, version) = (signed(at_unix_ms, "time")?, seen(out.version)?);
        let names: Vec<String> = out.channels.iter().map(name_of).collect::<Result<_, _>>()?;
        let changed = transaction!(self, tx => {
            let changed = sqlx::query(
                "UPDATE contacts SET opt_outs_version = opt_outs_version + 1 WHERE id = $1 AND opt_outs_version = $2",
            )
            .bind(contact)
            .bind(version)
            .execute(&mut **tx)
            .await?
            .rows_affected();
            if changed > 0 {
                sqlx::query("DELETE FROM opt_outs WHERE contact_id = $1")
                    .bind(contact)
                    .execute(&mut **tx)
                    .await?;
                for name in &names {
                    sqlx::query(
                        "INSERT INTO opt_outs (contact_id, channel, noted_at, noted_by) VALUES ($1, $2, $3, $4)",
                    )
                    .bind(contact)
                    .bind(name.as_str())
                    .bind(at)
                    .bind(clean(by))
                    .execute(&mut **tx)
                    .await?;
                    sqlx::query(
                        "UPDATE follow_ups SET state = 'drafted', decided_by = $3, changed_at = $4, \
                         version = version + 1 WHERE contact_id = $1 AND channel = $2 AND state = 'approved'",
                    )
                    .bind(contact)
                    .bind(name.as_str())
                    .bind(clean(by))
                    .bind(at)
                    .execute(&mut **tx)
                    .await?;
                }
            }
            changed
        });
        let now = self.opt_outs(contact).await?;
        unless_stale(changed, now)
    }
}

impl TryFrom<Raw> for FollowUpRow {
    type Error = StoreError;
    fn try_from(raw: Raw) -> Result<Self, StoreError> {
        let not_before = raw.not_before.map(|at| unsigned(at, "time")).transpose()?;
        Ok(Self {
            id: raw.id,
            contact: raw.contact_id,
            contact_name: raw.contact_name,
            call: raw.call_id.map(CallId),
            state: from_name(raw.state)?,
            message: FollowUp {
                channel: from_name(raw.channel)?,
                to: raw.address,
                subject: raw.subject,
                text: raw.body,
                not_before_unix_ms: not_before,
            },
            made_at_unix_ms: unsigned(raw.made_at, "time")?,
            made_by: raw.made_by,
            decided_by: raw.decided_by,
            changed_at_unix_ms: unsigned(raw.changed_at, "time")?,
            version: unsigned(raw.version, "version")?,
            key: raw.send_key,
            due_at_unix_ms: unsigned(raw.due_at, "time")?,
            tries: small(raw.tries)?,
            receipt: raw.receipt,
            error: raw.error,
            claims: raw.claims,
        })
    }
}
