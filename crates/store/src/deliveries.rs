//! What others are told of: an outbox. What they are told is queued in the transaction that makes it so, once for each endpoint
//! that listens, and sent afterwards, in order. A delivery names what it is about and has no words: whoever sends it reads what
//! is there by then, so that nothing is told that has been taken out or removed meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sotto_call::CallId;
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use crate::store::{clean, from_name, name_of, narrow, read, signed, transaction, unsigned};
use crate::{Store, StoreError};

/// Characters of an error that are kept.
const LONGEST_ERROR: usize = 200;

/// What is told. The names are those of the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EventKind {
    /// A call has begun.
    #[serde(rename = "call.started")]
    CallStarted,
    /// A call is over.
    #[serde(rename = "call.ended")]
    CallEnded,
    /// What a call came to is known; again, where that is made anew.
    #[serde(rename = "insight.ready")]
    InsightReady,
    /// How good a call was is known; again, where that is made anew.
    #[serde(rename = "quality.ready")]
    QualityReady,
    /// What a call came to is on its contact's timeline.
    #[serde(rename = "call.noted")]
    CallNoted,
    /// Something was promised, or is proposed, for somebody to accept.
    #[serde(rename = "task.proposed")]
    TaskProposed,
    /// Somebody has accepted it.
    #[serde(rename = "task.accepted")]
    TaskAccepted,
    /// A contact was added, changed or removed.
    #[serde(rename = "contact.changed")]
    ContactChanged,
    /// A call speaks for another stage than its contact has.
    #[serde(rename = "stage.suggested")]
    StageSuggested,
    /// Somebody has given a contact another stage.
    #[serde(rename = "stage.changed")]
    StageChanged,
    /// A ticket was added or changed.
    #[serde(rename = "ticket.changed")]
    TicketChanged,
    /// A payment was added or changed.
    #[serde(rename = "payment.changed")]
    PaymentChanged,
    /// Somebody should look at a call that goes on.
    #[serde(rename = "alert")]
    Alert,
    /// Nothing has happened: somebody wants to see whether it arrives.
    #[serde(rename = "test")]
    Test,
}

impl EventKind {
    /// All that happens.
    pub const ALL: [Self; 13] = [
        Self::CallStarted,
        Self::CallEnded,
        Self::InsightReady,
        Self::QualityReady,
        Self::CallNoted,
        Self::TaskProposed,
        Self::TaskAccepted,
        Self::ContactChanged,
        Self::StageSuggested,
        Self::StageChanged,
        Self::TicketChanged,
        Self::PaymentChanged,
        Self::Alert,
    ];
}

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name, which no other has.
    pub name: String,
    /// Where it is, for people to see: scheme and host alone, since the rest of an address may be a secret.
    pub origin: String,
    /// Of what.
    pub kinds: BTreeSet<EventKind>,
}

/// How far a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Until it is its turn, or due again.
    Waiting,
    /// The other end has taken it.
    Done,
    /// It was given up, and waits for a person.
    Dead,
}

/// Something that an endpoint is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Its id, by which the other end knows it when it comes twice.
    pub id: Uuid,
    /// Who is told.
    pub endpoint: String,
    /// What happened.
    pub kind: EventKind,
    /// The call it is about.
    pub call: Option<CallId>,
    /// The contact, the task, the ticket or the payment it is about.
    pub subject: Option<Uuid>,
    /// What is kept nowhere else: of an alert its kind, of a suggestion the stage.
    pub detail: Option<String>,
    /// What the endpoint is told only once of this kind, if it is.
    pub once: Option<String>,
    /// When it was, in milliseconds since 1970 (UTC).
    pub at_unix_ms: u64,
    /// How far it is.
    pub state: DeliveryState,
    /// How often it was tried since it was queued last.
    pub tries: u32,
    /// When it may be tried, in milliseconds since 1970 (UTC).
    pub due_at_unix_ms: u64,
    /// When it was queued or tried last.
    pub changed_at_unix_ms: u64,
    /// How long the last try took.
    pub took_ms: Option<u64>,
    /// The status of its answer, if there was one.
    pub code: Option<u16>,
    /// Why it failed, if it did. Nothing of what the other end said.
    pub error: Option<String>,
}

/// What came of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// How far the delivery is.
    pub state: DeliveryState,
    /// When it may be tried again, in milliseconds since 1970 (UTC), where it waits.
    pub due_at_unix_ms: u64,
    /// How long it took.
    pub took_ms: u64,
    /// The status of the answer, if there was one.
    pub code: Option<u16>,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// Something to tell of.
pub(crate) struct Told {
    pub kind: EventKind,
    pub at: i64,
    pub call: Option<Uuid>,
    pub subject: Option<Uuid>,
    pub detail: Option<String>,
    pub once: Option<String>,
}

impl Told {
    pub fn of(kind: EventKind, at: i64) -> Self {
        Self { kind, at, call: None, subject: None, detail: None, once: None }
    }

    /// What is told of a call only once.
    pub fn of_call(kind: EventKind, call: CallId, at: i64) -> Self {
        Self { call: Some(call.0), once: Some(call.to_string()), ..Self::of(kind, at) }
    }
}

/// What an endpoint is told only once has, while it waits, what it is about now.
pub(crate) const QUEUE_DELIVERY: &str = "INSERT INTO deliveries (id, endpoint, kind, call_id, subject, detail, once, at, state, \
     tries, due_at, changed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'waiting', 0, $8, $8) \
     ON CONFLICT (endpoint, kind, once) DO UPDATE SET subject = excluded.subject, detail = excluded.detail";

/// Binds what an endpoint is told to [`QUEUE_DELIVERY`].
macro_rules! queue_delivery {
    ($tx:ident, $endpoint:expr, $told:expr) => {
        sqlx::query($crate::deliveries::QUEUE_DELIVERY)
            .bind(uuid::Uuid::now_v7())
            .bind($endpoint)
            .bind($crate::store::name_of(&$told.kind)?)
            .bind($told.call)
            .bind($told.subject)
            .bind($told.detail.as_deref())
            .bind($told.once.as_deref())
            .bind($told.at)
            .execute(&mut **$tx)
            .await?
    };
}

/// Queues something for all endpoints that listen to it, within the transaction that makes it so.
macro_rules! tell {
    ($store:expr, $tx:ident, $told:expr) => {
        let told: $crate::deliveries::Told = $told;
        for endpoint in $store.endpoints_of(told.kind) {
            $crate::deliveries::queue_delivery!($tx, endpoint, told);
        }
    };
}
pub(crate) use {queue_delivery, tell};

#[derive(FromRow)]
struct Raw {
    id: Uuid,
    endpoint: String,
    kind: String,
    call_id: Option<Uuid>,
    subject: Option<Uuid>,
    detail: Option<String>,
    once: Option<String>,
    at: i64,
    state: String,
    tries: i64,
    due_at: i64,
    changed_at: i64,
    took_ms: Option<i64>,
    code: Option<i64>,
    error: Option<String>,
}

const DELIVERIES: &str = "SELECT id, endpoint, kind, call_id, subject, detail, once, at, state, tries, due_at, changed_at, \
     took_ms, code, error FROM deliveries WHERE 1 = 1";

impl TryFrom<Raw> for DeliveryRow {
    type Error = StoreError;
    fn try_from(raw: Raw) -> Result<Self, StoreError> {
        let out_of_range = |what: &str| StoreError::Invalid(format!("{what} is out of range"));
        Ok(Self {
            id: raw.id,
            endpoint: raw.endpoint,
            kind: from_name(raw.kind)?,
            call: raw.call_id.map(CallId),
            subject: raw.subject,
            detail: raw.detail,
            once: raw.once,
            at_unix_ms: unsigned(raw.at, "time")?,
            state: from_name(raw.state)?,
            tries: u32::try_from(raw.tries).map_err(|_| out_of_range("tries"))?,
            due_at_unix_ms: unsigned(raw.due_at, "time")?,
            changed_at_unix_ms: unsigned(raw.changed_at, "time")?,
            took_ms: raw.took_ms.map(|took| unsigned(took, "duration")).transpose()?,
            code: raw.code.map(|code| u16::try_from(code).map_err(|_| out_of_range("status"))).transpose()?,
            error: raw.error,
        })
    }
}

impl Store {
    /// From now on these are told of what happens. To be called once, before anything does; without, nobody is told.
    pub fn tell_to(&self, listeners: Vec<Listener>) {
        if self.listeners.set(listeners).is_err() {
            tracing::error!("who is told of what happens is known already, and stays");
        }
    }

    /// Those who are told of what happens.
    #[must_use]
    pub fn listeners(&self) -> &[Listener] {
        self.listeners.get().map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn endpoints_of(&self, kind: EventKind) -> impl Iterator<Item = &str> {
        let those = self.listeners().iter().filter(move |one| one.kinds.contains(&kind));
        those.map(|one| one.name.as_str())
    }

    /// Tells that somebody should look at a call, and why; an alert is kept nowhere else.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn tell_alert(&self, call: CallId, alert: &str, at_unix_ms: u64) -> Result<(), StoreError> {
        let at = signed(at_unix_ms, "time")?;
        transaction!(self, tx => {
            let detail = Some(clean(alert));
            tell!(self, tx, Told { call: Some(call.0), detail, ..Told::of(EventKind::Alert, at) });
        });
        Ok(())
    }

    /// Tells one endpoint that nothing has happened. False where there is no such endpoint.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn tell_test(&self, endpoint: &str, at_unix_ms: u64) -> Result<bool, StoreError> {
        if !self.listeners().iter().any(|one| one.name == endpoint) {
            return Ok(false);
        }
        let told = Told::of(EventKind::Test, signed(at_unix_ms, "time")?);
        transaction!(self, tx => {
            queue_delivery!(tx, endpoint, told);
        });
        Ok(true)
    }

    /// What an endpoint is to be told next, whether it is due or not: what stands behind it waits for it.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn next_delivery(&self, endpoint: &str) -> Result<Option<DeliveryRow>, StoreError> {
        let row: Option<Raw> = read!(self, db => {
            let mut query = QueryBuilder::new(DELIVERIES);
            query.push(" AND state = 'waiting' AND endpoint = ").push_bind(endpoint.to_owned());
            query.push(" ORDER BY seq LIMIT 1").build_query_as().fetch_optional(db).await?
        });
        row.map(DeliveryRow::try_from).transpose()
    }

    /// Keeps what came of a try. False where it waits no longer, as when it went with its call.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn settle_delivery(
        &self,
        id: Uuid,
        attempt: &Attempt,
        now_unix_ms: u64,
    ) -> Result<bool, StoreError> {
        let cut = |error: &String| clean(error).chars().take(LONGEST_ERROR).collect::<String>();
        let settled = transaction!(self, tx => {
            sqlx::query(
                "UPDATE deliveries SET state = $2, tries = tries + 1, due_at = $3, changed_at = $4, took_ms = $5, \
                 code = $6, error = $7 WHERE id = $1 AND state = 'waiting'",
            )
            .bind(id)
            .bind(name_of(&attempt.state)?)
            .bind(signed(attempt.due_at_unix_ms, "time")?)
            .bind(signed(now_unix_ms, "time")?)
            .bind(signed(attempt.took_ms, "duration")?)
            .bind(attempt.code.map(i64::from))
            .bind(attempt.error.as_ref().map(cut))
            .execute(&mut **tx)
            .await?
            .rows_affected()
        });
        Ok(settled > 0)
    }

    /// What a delivery is about is no more, so nobody is told of it.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn drop_delivery(&self, id: Uuid) -> Result<(), StoreError> {
        transaction!(self, tx => {
            sqlx::query("DELETE FROM deliveries WHERE id = $1 AND state = 'waiting'")
                .bind(id)
                .execute(&mut **tx)
                .await?;
        });
        Ok(())
    }

    /// Has a delivery tried again, at once, whatever became of it. False where there is none of this id.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn send_again(&self, id: Uuid, now_unix_ms: u64) -> Result<bool, StoreError> {
        let now = signed(now_unix_ms, "time")?;
        let changed = transaction!(self, tx => {
            sqlx::query(
                "UPDATE deliveries SET state = 'waiting', tries = 0, due_at = $2, changed_at = $2 WHERE id = $1",
            )
            .bind(id)
            .bind(now)
            .execute(&mut **tx)
            .await?
            .rows_affected()
        });
        Ok(changed > 0)
    }

    /// Deliveries, those that changed last first, at most `limit`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn deliveries(
        &self,
        endpoint: Option<&str>,
        state: Option<DeliveryState>,
        limit: u32,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        let state = state.map(|state| name_of(&state)).transpose()?;
        let rows: Vec<Raw> = read!(self, db => {
            let mut query = QueryBuilder::new(DELIVERIES);
            narrow!(query, " AND endpoint = ": endpoint.map(clean), " AND state = ": state);
            query.push(" ORDER BY changed_at DESC, seq DESC LIMIT ").push_bind(i64::from(limit));
            query.build_query_as().fetch_all(db).await?
        });
        rows.into_iter().map(DeliveryRow::try_from).collect()
    }

    /// How many deliveries each endpoint has in each state; states without any are absent.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn delivery_counts(&self) -> Result<BTreeMap<(String, DeliveryState), u64>, StoreError> {
        let rows: Vec<(String, String, i64)> = read!(self, db => {
            sqlx::query_as("SELECT endpoint, state, count(*) FROM deliveries GROUP BY endpoint, state")
                .fetch_all(db)
                .await?
        });
        let counted = rows
            .into_iter()
            .map(|(endpoint, state, count)| Ok(((endpoint, from_name(state)?), unsigned(count, "count")?)));
        counted.collect()
    }

    /// Removes deliveries that were settled before a time, and those before it of endpoints that are no more. What an endpoint is
    /// told of only once stays, and goes with its call. Says how many there were.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn forget_deliveries(&self, before_unix_ms: u64) -> Result<u64, StoreError> {
        let before = signed(before_unix_ms, "time")?;
        let removed = transaction!(self, tx => {
            let mut query = QueryBuilder::new("DELETE FROM deliveries WHERE changed_at < ");
            query.push_bind(before);
            query.push(" AND ((state <> 'waiting' AND once IS NULL) OR endpoint NOT IN (''");
            for listener in self.listeners() {
                query.push(", ").push_bind(listener.name.clone());
            }
            query.push("))").build().execute(&mut **tx).await?.rows_affected()
        });
        Ok(removed)
    }
}
