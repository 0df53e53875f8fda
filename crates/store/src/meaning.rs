//! What was said in calls that are over, by its meaning: passages of a few utterances, each with the vector that an embedding
//! gives it.
//!
//! They are made of the words by which a call is found (`search.rs`), once these are there, and go with them: whoever takes
//! something out of a log has them made anew.

use sotto_call::{CallId, Millis};
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use crate::search::{Narrowed, RawSaid, SaidRow, narrow_calls};
use crate::store::{clean, read, signed, transaction, unsigned};
use crate::{SearchFilter, Store, StoreError};

/// A call that is over, and whose passages another embedding has read, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnembeddedCall {
    /// Which.
    pub id: CallId,
    /// How often its review was claimed: what is made anew meanwhile is not embedded by this.
    claims: i64,
}

/// Some utterances of a call, one after the other, and what they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassageRow {
    /// Of which call.
    pub call: CallId,
    /// When its first utterance begins.
    pub from: Millis,
    /// When its last one begins.
    pub until: Millis,
    /// Its vector, as it is kept.
    pub vector: Vec<u8>,
}

#[derive(FromRow)]
struct RawPassage {
    call_id: Uuid,
    from_ms: i64,
    until_ms: i64,
    vector: Vec<u8>,
}

impl TryFrom<RawPassage> for PassageRow {
    type Error = StoreError;
    fn try_from(raw: RawPassage) -> Result<Self, StoreError> {
        let (from, until) = (unsigned(raw.from_ms, "time")?, unsigned(raw.until_ms, "time")?);
        Ok(Self { call: CallId(raw.call_id), from: Millis(from), until: Millis(until), vector: raw.vector })
    }
}

impl Store {
    /// Whether anything was said in a call that is over, by which it is found.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn has_said(&self) -> Result<bool, StoreError> {
        let said: Option<i64> = read!(self, db => {
            sqlx::query_scalar("SELECT at_ms FROM call_words LIMIT 1").fetch_optional(db).await?
        });
        Ok(said.is_some())
    }

    /// Calls whose passages have no vectors of this `model`, the newest first, at most `limit`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn unembedded_calls(&self, model: &str, limit: u32) -> Result<Vec<UnembeddedCall>, StoreError> {
        // Two ranges of an index, which are empty where there is nothing to do; left to itself, SQLite looks through all that is
        // done instead.
        let rows: Vec<(Uuid, i64)> = read!(self, db => {
            sqlx::query_as(
                "WITH lacking AS MATERIALIZED \
                 (SELECT call_id FROM call_facts WHERE embedded_by < $1 OR embedded_by > $1) \
                 SELECT lacking.call_id, jobs.claims FROM lacking CROSS JOIN jobs \
                 WHERE jobs.call_id = lacking.call_id AND jobs.step = 'review' \
                 AND jobs.state NOT IN ('waiting', 'running', 'dead') ORDER BY lacking.call_id DESC LIMIT $2",
            )
            .bind(clean(model))
            .bind(i64::from(limit))
            .fetch_all(db)
            .await?
        });
        Ok(rows.into_iter().map(|(id, claims)| UnembeddedCall { id: CallId(id), claims }).collect())
    }

    /// Keeps a call's passages, in order, with the vectors of this `model`, in place of those before. False, and nothing is kept,
    /// where it is made anew what was said, or was meanwhile, or the call is gone.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn embed_call(
        &self,
        call: &UnembeddedCall,
        model: &str,
        passages: &[PassageRow],
    ) -> Result<bool, StoreError> {
        let model = clean(model);
        let is_kept = transaction!(self, tx => {
            // The job comes first, as in `finish_job`: whoever takes something out of the call waits for this, and then takes
            // out what is kept here as well.
            let at_rest = sqlx::query(
                "UPDATE jobs SET claims = claims WHERE call_id = $1 AND step = 'review' \
                 AND state NOT IN ('waiting', 'running', 'dead') AND claims = $2",
            )
            .bind(call.id.0)
            .bind(call.claims)
            .execute(&mut **tx)
            .await?
            .rows_affected();
            if at_rest > 0 {
                sqlx::query("DELETE FROM call_passages WHERE call_id = $1")
                    .bind(call.id.0)
                    .execute(&mut **tx)
                    .await?;
                for (place, passage) in (0_i64..).zip(passages) {
                    sqlx::query(
                        "INSERT INTO call_passages (call_id, place, from_ms, until_ms, vector) \
                         VALUES ($1, $2, $3, $4, $5)",
                    )
                    .bind(call.id.0)
                    .bind(place)
                    .bind(signed(passage.from.0, "time")?)
                    .bind(signed(passage.until.0, "time")?)
                    .bind(passage.vector.as_slice())
                    .execute(&mut **tx)
                    .await?;
                }
                sqlx::query("UPDATE call_facts SET embedded_by = $2 WHERE call_id = $1")
                    .bind(call.id.0)
                    .bind(model.as_str())
                    .execute(&mut **tx)
                    .await?;
            }
            at_rest > 0
        });
        Ok(is_kept)
    }

    /// Calls that a filter lets through, whatever was said in them, and whose passages have vectors of this `model`: the newest
    /// first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn embedded_calls(
        &self,
        filter: &SearchFilter,
        model: &str,
    ) -> Result<Vec<CallId>, StoreError> {
        let by = Narrowed::of(filter, true)?;
        let rows: Vec<(Uuid,)> = read!(self, db => {
            let mut query =
                QueryBuilder::new("SELECT call_facts.call_id FROM call_facts WHERE call_facts.embedded_by = ");
            query.push_bind(clean(model));
            narrow_calls!(query, &by);
            query.push(" ORDER BY call_facts.call_id DESC LIMIT ").push_bind(i64::from(filter.limit));
            query.build_query_as().fetch_all(db).await?
        });
        Ok(rows.into_iter().map(|(id,)| CallId(id)).collect())
    }

    /// The passages of some calls that have vectors of this `model`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn passages(&self, calls: &[CallId], model: &str) -> Result<Vec<PassageRow>, StoreError> {
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<RawPassage> = read!(self, db => {
            let mut query = QueryBuilder::new(
                "SELECT call_passages.call_id, from_ms, until_ms, vector FROM call_passages \
                 JOIN call_facts ON call_facts.call_id = call_passages.call_id WHERE call_facts.embedded_by = ",
            );
            query.push_bind(clean(model)).push(" AND call_passages.call_id IN (");
            let mut ids = query.separated(", ");
            for id in calls {
                ids.push_bind(id.0);
            }
            query.push(") ORDER BY call_passages.call_id DESC, place");
            query.build_query_as().fetch_all(db).await?
        });
        rows.into_iter().map(PassageRow::try_from).collect()
    }

    /// What was said in a passage, in order of time; at most `limit`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn said_in(&self, passage: &PassageRow, limit: u32) -> Result<Vec<SaidRow>, StoreError> {
        let (from, until) = (signed(passage.from.0, "time")?, signed(passage.until.0, "time")?);
        let rows: Vec<RawSaid> = read!(self, db => {
            sqlx::query_as(
                "SELECT call_id, utterance, party, at_ms, text FROM call_words \
                 WHERE call_id = $1 AND at_ms >= $2 AND at_ms <= $3 ORDER BY at_ms, utterance LIMIT $4",
            )
            .bind(passage.call.0)
            .bind(from)
            .bind(until)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await?
        });
        rows.into_iter().map(SaidRow::try_from).collect()
    }
}
