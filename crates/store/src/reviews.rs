//! What people say of the quality of calls. Nobody changes what they have said: they say it anew, as the next version, and
//! every version is kept for as long as the call.

use serde::{Deserialize, Serialize};
use sotto_call::CallId;
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use crate::search::{Reach, push_reach};
use crate::store::{clean, from_json, from_name, name_of, read, signed, to_json, transaction, unsigned};
use crate::{Store, StoreError};

/// What somebody says of the built-in quality.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is right.
    Accepted,
    /// Some of it is not.
    Corrected,
}

/// What somebody says of one question of the scorecard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoreRow {
    /// The organisation's name for the question.
    pub question: String,
    /// How it was judged by the scorecard, from 0 to 1; absent where it was not.
    pub built_in: Option<f32>,
    /// How they judge it, from 0 to 1; absent where they cannot.
    pub score: Option<f32>,
    /// Why.
    pub comment: String,
}

/// A version of what somebody says of the quality of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct QualityReviewRow {
    /// Of which call.
    pub call: CallId,
    /// Who says so.
    pub reviewer: String,
    /// The first is 1.
    pub version: u64,
    /// When they said so, in milliseconds since 1970 (UTC).
    pub at_unix_ms: u64,
    /// All in all.
    pub verdict: Verdict,
    /// Question by question, all of them.
    pub scores: Vec<ScoreRow>,
    /// What else.
    pub comment: String,
}

/// An answer to what is said of the quality of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyRow {
    /// Its id, a UUID version 7.
    pub id: Uuid,
    /// When, in milliseconds since 1970 (UTC).
    pub at_unix_ms: u64,
    /// Who answers.
    pub by: String,
    /// What.
    pub text: String,
}

/// The newest version of each reviewer.
const NEWEST: &str = " AND quality_reviews.version = (SELECT max(version) FROM quality_reviews AS newer \
    WHERE newer.call_id = quality_reviews.call_id AND newer.reviewer = quality_reviews.reviewer)";

#[derive(FromRow)]
struct RawReview {
    call_id: Uuid,
    reviewer: String,
    version: i64,
    at: i64,
    verdict: String,
    scores: String,
    comment: String,
}

#[derive(FromRow)]
struct RawJudged {
    #[sqlx(flatten)]
    review: RawReview,
    quality: Option<String>,
}

#[derive(FromRow)]
struct RawReply {
    id: Uuid,
    at: i64,
    by_whom: String,
    text: String,
}

impl Store {
    /// Keeps what somebody says of a call's quality, as the version after the one they have seen (0 where they have said nothing
    /// yet): `review.version` is that next one.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it is not the next one, or there is no such call.
    pub async fn add_quality_review(&self, review: &QualityReviewRow) -> Result<(), StoreError> {
        let (version, at) = (signed(review.version, "version")?, signed(review.at_unix_ms, "time")?);
        let added = transaction!(self, tx => {
            sqlx::query(
                "INSERT INTO quality_reviews (call_id, reviewer, version, at, verdict, scores, comment) \
                 SELECT id, $2, $3, $4, $5, $6, $7 FROM calls WHERE id = $1 AND $3 = 1 + \
                 (SELECT coalesce(max(version), 0) FROM quality_reviews WHERE call_id = $1 AND reviewer = $2) \
                 ON CONFLICT (call_id, reviewer, version) DO NOTHING",
            )
            .bind(review.call.0)
            .bind(clean(&review.reviewer))
            .bind(version)
            .bind(at)
            .bind(name_of(&review.verdict)?)
            .bind(clean(&to_json(&review.scores)?))
            .bind(clean(&review.comment))
            .execute(&mut **tx)
            .await?
            .rows_affected()
        });
        if added == 0 { Err(StoreError::Stale) } else { Ok(()) }
    }

    /// What people say of a call's quality, by reviewer: the newest version of each, or with all versions before it, the
    /// newest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn quality_reviews(
        &self,
        id: CallId,
        all_versions: bool,
    ) -> Result<Vec<QualityReviewRow>, StoreError> {
        let rows: Vec<RawReview> = read!(self, db => {
            let mut query = QueryBuilder::new("SELECT * FROM quality_reviews WHERE call_id = ");
            query.push_bind(id.0);
            if !all_versions {
                query.push(NEWEST);
            }
            query.push(" ORDER BY reviewer, version DESC");
            query.build_query_as().fetch_all(db).await?
        });
        rows.into_iter().map(QualityReviewRow::try_from).collect()
    }

    /// What people said first of the quality of calls within a reach that began within a time, which they did without having seen
    /// what others say: of the newest calls, at most `limit`, call by call.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn first_quality_reviews(
        &self,
        reach: &Reach,
        since_unix_ms: u64,
        until_unix_ms: u64,
        limit: u32,
    ) -> Result<Vec<QualityReviewRow>, StoreError> {
        let (since, until) = (signed(since_unix_ms, "time")?, signed(until_unix_ms, "time")?);
        let rows: Vec<RawReview> = read!(self, db => {
            let mut query = QueryBuilder::new(
                "SELECT quality_reviews.* FROM quality_reviews JOIN calls ON calls.id = quality_reviews.call_id \
                 LEFT JOIN call_facts ON call_facts.call_id = quality_reviews.call_id \
                 WHERE quality_reviews.version = 1 AND calls.started_at >= ",
            );
            query.push_bind(since).push(" AND calls.started_at < ").push_bind(until);
            push_reach!(query, reach);
            query.push(" ORDER BY quality_reviews.call_id DESC, reviewer LIMIT ").push_bind(i64::from(limit));
            query.build_query_as().fetch_all(db).await?
        });
        rows.into_iter().map(QualityReviewRow::try_from).collect()
    }

    /// The newest version of what each reviewer says of each call, with the call's quality as it was judged by the scorecard, as
    /// JSON, if that is kept, of calls within a reach: in order of call and reviewer, what follows `after`, at most `limit`. Where it
    /// is for a reviewer, of calls alone that they have said something of themselves.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn judged(
        &self,
        reach: &Reach,
        reader: Option<&str>,
        after: Option<&(CallId, String)>,
        limit: u32,
    ) -> Result<Vec<(QualityReviewRow, Option<String>)>, StoreError> {
        let rows: Vec<RawJudged> = read!(self, db => {
            let mut query = QueryBuilder::new(
                "SELECT quality_reviews.*, ai_call_insights.quality FROM quality_reviews \
                 LEFT JOIN ai_call_insights ON ai_call_insights.call_id = quality_reviews.call_id \
                 LEFT JOIN call_facts ON call_facts.call_id = quality_reviews.call_id WHERE 1 = 1",
            );
            query.push(NEWEST);
            push_reach!(query, reach);
            if let Some(reader) = reader {
                query.push(" AND EXISTS (SELECT 1 FROM quality_reviews AS own WHERE own.reviewer = ");
                query.push_bind(clean(reader)).push(" AND own.call_id = quality_reviews.call_id)");
            }
            if let Some((call, reviewer)) = after {
                query.push(" AND (quality_reviews.call_id, reviewer) > (").push_bind(call.0);
                query.push(", ").push_bind(clean(reviewer)).push(")");
            }
            query.push(" ORDER BY quality_reviews.call_id, reviewer LIMIT ").push_bind(i64::from(limit));
            query.build_query_as().fetch_all(db).await?
        });
        rows.into_iter().map(|row| Ok((row.review.try_into()?, row.quality))).collect()
    }

    /// Keeps an answer to what is said of a call's quality, unless the call has `most` already, or there is no such call. Says
    /// whether it is kept.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn add_quality_reply(
        &self,
        id: CallId,
        reply: &ReplyRow,
        most: u32,
    ) -> Result<bool, StoreError> {
        let at = signed(reply.at_unix_ms, "time")?;
        let added = transaction!(self, tx => {
            sqlx::query(
                "INSERT INTO quality_replies (id, call_id, at, by_whom, text) SELECT $2, id, $3, $4, $5 FROM calls \
                 WHERE id = $1 AND $6 > (SELECT count(*) FROM quality_replies WHERE call_id = $1)",
            )
            .bind(id.0)
            .bind(reply.id)
            .bind(at)
            .bind(clean(&reply.by))
            .bind(clean(&reply.text))
            .bind(i64::from(most))
            .execute(&mut **tx)
            .await?
            .rows_affected()
        });
        Ok(added > 0)
    }

    /// Answers to what is said of a call's quality, in order of time.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn quality_replies(&self, id: CallId) -> Result<Vec<ReplyRow>, StoreError> {
        let rows: Vec<RawReply> = read!(self, db => {
            sqlx::query_as("SELECT id, at, by_whom, text FROM quality_replies WHERE call_id = $1 ORDER BY id")
                .bind(id.0)
                .fetch_all(db)
                .await?
        });
        rows.into_iter().map(ReplyRow::try_from).collect()
    }

    /// Notes that somebody wants a call to be looked at, or, without anybody, that nobody does any more. Says whether there is
    /// such a call.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn flag_call(&self, id: CallId, by: Option<&str>, at_unix_ms: u64) -> Result<bool, StoreError> {
        let at = signed(at_unix_ms, "time")?;
        let known: Option<Uuid> = transaction!(self, tx => {
            match by {
                Some(by) => {
                    sqlx::query(
                        "INSERT INTO call_flags (call_id, at, by_whom) SELECT id, $2, $3 FROM calls WHERE id = $1 \
                         ON CONFLICT (call_id) DO NOTHING",
                    )
                    .bind(id.0)
                    .bind(at)
                    .bind(clean(by))
                    .execute(&mut **tx)
                    .await?
                }
                None => {
                    sqlx::query("DELETE FROM call_flags WHERE call_id = $1").bind(id.0).execute(&mut **tx).await?
                }
            };
            sqlx::query_scalar("SELECT id FROM calls WHERE id = $1").bind(id.0).fetch_optional(&mut **tx).await?
        });
        Ok(known.is_some())
    }

    /// Who wants a call to be looked at.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn call_flag(&self, id: CallId) -> Result<Option<String>, StoreError> {
        let by: Option<String> = read!(self, db => {
            sqlx::query_scalar("SELECT by_whom FROM call_flags WHERE call_id = $1")
                .bind(id.0)
                .fetch_optional(db)
                .await?
        });
        Ok(by)
    }
}

impl TryFrom<RawReview> for QualityReviewRow {
    type Error = StoreError;
    fn try_from(raw: RawReview) -> Result<Self, StoreError> {
        Ok(Self {
            call: CallId(raw.call_id),
            reviewer: raw.reviewer,
            version: unsigned(raw.version, "version")?,
            at_unix_ms: unsigned(raw.at, "time")?,
            verdict: from_name(raw.verdict)?,
            scores: from_json(&raw.scores, "scores")?,
            comment: raw.comment,
        })
    }
}

impl TryFrom<RawReply> for ReplyRow {
    type Error = StoreError;
    fn try_from(RawReply { id, at, by_whom, text }: RawReply) -> Result<Self, StoreError> {
        Ok(Self { id, at_unix_ms: unsigned(at, "time")?, by: by_whom, text })
    }
}
