//! What calls and searches tell of what is written down: questions that nothing in it answers well enough, and what became of
//! the documents that were shown.
//!
//! Questions that ask the same are of one gap. A gap has no words of its own, so that nothing of a question is left when its
//! call is removed; what somebody has decided about a gap is kept for as long as one of its questions.

use serde::{Deserialize, Serialize};
use sotto_call::{CallId, UtteranceId};
use sqlx::FromRow;
use uuid::Uuid;

use crate::store::{clean, from_name, name_of, read, signed, transaction, unsigned};
use crate::{CallSearch, Store, StoreError};

/// How far a gap is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapState {
    /// It waits for a person.
    Open,
    /// Somebody has named the document that answers it.
    Answered,
    /// It is not for this organisation to answer.
    Hidden,
}

/// A question that nothing written down answers well enough.
#[derive(Clone, Debug, PartialEq)]
pub struct QuestionRow {
    /// Its id, a UUID version 7.
    pub id: Uuid,
    /// Its gap; none until it is put to those like it.
    pub gap: Option<Uuid>,
    /// The call on which a customer asked it; none where somebody looked it up.
    pub call: Option<CallId>,
    /// The words of that call that it is in.
    pub utterance: Option<UtteranceId>,
    /// When it was asked, in milliseconds since 1970 (UTC).
    pub asked_at_unix_ms: u64,
    /// What was asked, without secrets.
    pub text: String,
    /// How likely the best passage answers it, from 0 to 1; 0 where none was found.
    pub confidence: f32,
    /// What made the vector; empty where there is none.
    pub model: String,
    /// What it means, as an embedding says.
    pub vector: Vec<u8>,
}

/// What became of the cards that showed one document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CardUses {
    /// The document's name.
    pub document: String,
    /// How many there were.
    pub shown: u64,
    /// How many agents said of that they helped.
    pub accepted: u64,
    /// How many were copied.
    pub copied: u64,
    /// How many were not needed.
    pub dismissed: u64,
    /// How many were wrong.
    pub wrong: u64,
}

/// What a call tells of what is written down, and by what it is found itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallKnowledge {
    /// What nothing answered well enough. Of which call and which gap they are is not looked at.
    pub questions: Vec<QuestionRow>,
    /// By document, each once.
    pub cards: Vec<CardUses>,
    /// By what the call is found and counted.
    pub search: CallSearch,
}

/// Questions that ask the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GapRow {
    /// Its id, a UUID version 7.
    pub id: Uuid,
    /// How far it is.
    pub state: GapState,
    /// The name of the document that answers it, if it is answered.
    pub document: Option<String>,
    /// When somebody decided that, or it was first asked, in milliseconds since 1970 (UTC).
    pub changed_at_unix_ms: u64,
    /// By whom; empty where nobody has decided anything.
    pub changed_by: String,
    /// How often it was asked.
    pub count: u64,
    /// How often since somebody decided about it.
    pub count_since: u64,
    /// When it was asked last, in milliseconds since 1970 (UTC).
    pub last_asked_at_unix_ms: u64,
}

/// How often a document was found by somebody who looked something up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindsRow {
    /// The document's name.
    pub document: String,
    /// How often.
    pub times: u64,
    /// When last, in milliseconds since 1970 (UTC).
    pub last_at_unix_ms: u64,
}

/// Something was taken out of a call's log: what was made of the log goes. Five statements, each with the call.
pub(crate) const FORGET_KNOWLEDGE: [&str; 5] = [
    "DELETE FROM gap_questions WHERE call_id = $1",
    "DELETE FROM card_uses WHERE call_id = $1",
    "DELETE FROM call_words WHERE call_id = $1",
    "DELETE FROM call_passages WHERE call_id = $1",
    "DELETE FROM call_facts WHERE call_id = $1",
];

pub(crate) const ADD_QUESTION: &str = "INSERT INTO gap_questions \
    (id, gap_id, call_id, utterance, asked_at, text, confidence, model, vector) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
pub(crate) const ADD_CARDS: &str = "INSERT INTO card_uses \
    (call_id, document, shown, accepted, copied, dismissed, wrong) VALUES ($1, $2, $3, $4, $5, $6, $7)";

/// Runs [`ADD_QUESTION`] in a transaction of either database, for a question of this gap and this call, if of one.
macro_rules! add_question {
    ($tx:ident, $question:expr, $gap:expr, $call:expr) => {{
        let (gap, call): (Option<uuid::Uuid>, Option<sotto_call::CallId>) = ($gap, $call);
        let question: &$crate::QuestionRow = $question;
        sqlx::query($crate::gaps::ADD_QUESTION)
            .bind(question.id)
            .bind(gap)
            .bind(call.map(|call| call.0))
            .bind(question.utterance.map(|said| i64::from(said.0)))
            .bind($crate::store::signed(question.asked_at_unix_ms, "time")?)
            .bind($crate::store::clean(&question.text))
            .bind(f64::from(question.confidence))
            .bind($crate::store::clean(&question.model))
            .bind(question.vector.as_slice())
            .execute(&mut **$tx)
            .await?;
    }};
}
pub(crate) use add_question;

#[derive(FromRow)]
struct RawQuestion {
    id: Uuid,
    gap_id: Option<Uuid>,
    call_id: Option<Uuid>,
    utterance: Option<i64>,
    asked_at: i64,
    text: String,
    confidence: f64,
    model: String,
    vector: Vec<u8>,
}

impl TryFrom<RawQuestion> for QuestionRow {
    type Error = StoreError;
    fn try_from(raw: RawQuestion) -> Result<Self, StoreError> {
        let utterance = raw.utterance.map(u32::try_from).transpose();
        let utterance =
            utterance.map_err(|_| StoreError::Invalid("no utterance has such a number".to_owned()))?;
        Ok(Self {
            id: raw.id,
            gap: raw.gap_id,
            call: raw.call_id.map(CallId),
            utterance: utterance.map(UtteranceId),
            asked_at_unix_ms: unsigned(raw.asked_at, "time")?,
            text: raw.text,
            confidence: raw.confidence as f32,
            model: raw.model,
            vector: raw.vector,
        })
    }
}

#[derive(FromRow)]
struct RawGap {
    id: Uuid,
    state: String,
    document: Option<String>,
    changed_at: i64,
    changed_by: String,
    asked: i64,
    asked_since: i64,
    last_asked: i64,
}

impl TryFrom<RawGap> for GapRow {
    type Error = StoreError;
    fn try_from(raw: RawGap) -> Result<Self, StoreError> {
        Ok(Self {
            id: raw.id,
            state: from_name(raw.state)?,
            document: raw.document,
            changed_at_unix_ms: unsigned(raw.changed_at, "time")?,
            changed_by: raw.changed_by,
            count: unsigned(raw.asked, "count")?,
            count_since: unsigned(raw.asked_since, "count")?,
            last_asked_at_unix_ms: unsigned(raw.last_asked, "time")?,
        })
    }
}

impl Store {
    /// Keeps a question that somebody looked up in vain. (Those of calls are kept by [`Store::finish_job`].)
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn add_question(&self, question: &QuestionRow) -> Result<(), StoreError> {
        transaction!(self, tx => {
            add_question!(tx, question, None, question.call);
        });
        Ok(())
    }

    /// Questions that were not yet put to those like them, the oldest first, at most `limit`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn loose_questions(&self, limit: u32) -> Result<Vec<QuestionRow>, StoreError> {
        let rows: Vec<RawQuestion> = read!(self, db => {
            sqlx::query_as("SELECT * FROM gap_questions WHERE gap_id IS NULL ORDER BY asked_at, id LIMIT $1")
                .bind(i64::from(limit))
                .fetch_all(db)
                .await?
        });
        rows.into_iter().map(QuestionRow::try_from).collect()
    }

    /// The oldest question of each gap, those of the newest gaps first, at most `limit`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn gap_leaders(&self, limit: u32) -> Result<Vec<QuestionRow>, StoreError> {
        let rows: Vec<RawQuestion> = read!(self, db => {
            sqlx::query_as(
                "SELECT q.* FROM gaps g JOIN gap_questions q ON q.id = (SELECT o.id FROM gap_questions o \
                 WHERE o.gap_id = g.id ORDER BY o.asked_at, o.id LIMIT 1) ORDER BY g.id DESC LIMIT $1",
            )
            .bind(i64::from(limit))
            .fetch_all(db)
            .await?
        });
        rows.into_iter().map(QuestionRow::try_from).collect()
    }

    /// Puts questions to gaps: each pair is a question's id and its gap's, and a gap that is not there is begun when its question
    /// was asked. Questions that are gone meanwhile are left out.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn put_to_gaps(&self, pairs: &[(Uuid, Uuid)]) -> Result<(), StoreError> {
        let open = name_of(&GapState::Open)?;
        transaction!(self, tx => {
            for (question, gap) in pairs {
                sqlx::query(
                    "INSERT INTO gaps (id, state, document, changed_at, changed_by) \
                     SELECT $1, $2, NULL, asked_at, '' FROM gap_questions WHERE id = $3 ON CONFLICT (id) DO NOTHING",
                )
                .bind(*gap)
                .bind(open.as_str())
                .bind(*question)
                .execute(&mut **tx)
                .await?;
                sqlx::query("UPDATE gap_questions SET gap_id = $1 WHERE id = $2")
                    .bind(*gap)
                    .bind(*question)
                    .execute(&mut **tx)
                    .await?;
            }
        });
        Ok(())
    }

    /// All gaps that were asked, those asked most first, and of those the ones asked last.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn gaps(&self) -> Result<Vec<GapRow>, StoreError> {
        let rows: Vec<RawGap> = read!(self, db => {
            sqlx::query_as(
                "SELECT g.id, g.state, g.document, g.changed_at, g.changed_by, count(*) AS asked, \
                 sum(CASE WHEN q.asked_at > g.changed_at THEN 1 ELSE 0 END) AS asked_since, \
                 max(q.asked_at) AS last_asked FROM gaps g JOIN gap_questions q ON q.gap_id = g.id \
                 GROUP BY g.id, g.state, g.document, g.changed_at, g.changed_by \
                 ORDER BY asked DESC, last_asked DESC, g.id",
            )
            .fetch_all(db)
            .await?
        });
        rows.into_iter().map(GapRow::try_from).collect()
    }

    /// The questions of a gap, the newest first, at most `limit`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn gap_questions(&self, gap: Uuid, limit: u32) -> Result<Vec<QuestionRow>, StoreError> {
        let rows: Vec<RawQuestion> = read!(self, db => {
            sqlx::query_as(
                "SELECT * FROM gap_questions WHERE gap_id = $1 ORDER BY asked_at DESC, id DESC LIMIT $2",
            )
            .bind(gap)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await?
        });
        rows.into_iter().map(QuestionRow::try_from).collect()
    }

    /// Somebody decides about a gap: it is answered where a `document` is named, otherwise it is open again, or hidden. False if
    /// there is no such gap.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn decide_gap(
        &self,
        id: Uuid,
        state: GapState,
        document: Option<&str>,
        by: &str,
        at_unix_ms: u64,
    ) -> Result<bool, StoreError> {
        let (state, at) = (name_of(&state)?, signed(at_unix_ms, "time")?);
        let decided = transaction!(self, tx => {
            sqlx::query(
                "UPDATE gaps SET state = $2, document = $3, changed_at = $4, changed_by = $5 WHERE id = $1",
            )
            .bind(id)
            .bind(state.as_str())
            .bind(document.map(clean))
            .bind(at)
            .bind(clean(by))
            .execute(&mut **tx)
            .await?
            .rows_affected()
        });
        Ok(decided > 0)
    }

    /// Removes questions that were asked before a time, if one is given, those that somebody looked up but for the newest so
    /// many, and gaps that have none left. Says how many questions there were.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn forget_questions(
        &self,
        before_unix_ms: Option<u64>,
        most_looked_up: u32,
    ) -> Result<u64, StoreError> {
        let before = before_unix_ms.map(|before| signed(before, "time")).transpose()?;
        let removed = transaction!(self, tx => {
            let mut removed = sqlx::query(
                "DELETE FROM gap_questions WHERE call_id IS NULL AND id NOT IN \
                 (SELECT id FROM gap_questions WHERE call_id IS NULL ORDER BY id DESC LIMIT $1)",
            )
            .bind(i64::from(most_looked_up))
            .execute(&mut **tx)
            .await?
            .rows_affected();
            if let Some(before) = before {
                removed += sqlx::query("DELETE FROM gap_questions WHERE asked_at < $1")
                    .bind(before)
                    .execute(&mut **tx)
                    .await?
                    .rows_affected();
            }
            sqlx::query(
                "DELETE FROM gaps WHERE NOT EXISTS (SELECT 1 FROM gap_questions WHERE gap_id = gaps.id)",
            )
            .execute(&mut **tx)
            .await?;
            removed
        });
        if removed > 0 {
            self.forget_old_rows();
        }
        Ok(removed)
    }

    /// What became of cards on all calls that are kept, by document.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn card_uses(&self) -> Result<Vec<CardUses>, StoreError> {
        type Raw = (String, i64, i64, i64, i64, i64);
        let rows: Vec<Raw> = read!(self, db => {
            sqlx::query_as(
                "SELECT document, CAST(sum(shown) AS BIGINT), CAST(sum(accepted) AS BIGINT), \
                 CAST(sum(copied) AS BIGINT), CAST(sum(dismissed) AS BIGINT), CAST(sum(wrong) AS BIGINT) \
                 FROM card_uses GROUP BY document ORDER BY document",
            )
            .fetch_all(db)
            .await?
        });
        let count = |value| unsigned(value, "count");
        rows.into_iter()
            .map(|(document, shown, accepted, copied, dismissed, wrong)| {
                let (shown, accepted, copied) = (count(shown)?, count(accepted)?, count(copied)?);
                let (dismissed, wrong) = (count(dismissed)?, count(wrong)?);
                Ok(CardUses { document, shown, accepted, copied, dismissed, wrong })
            })
            .collect()
    }

    /// Counts that somebody who looked something up found a document; nothing happens if there is none of this name.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn count_find(&self, document: &str, at_unix_ms: u64) -> Result<(), StoreError> {
        let at = signed(at_unix_ms, "time")?;
        transaction!(self, tx => {
            sqlx::query(
                "INSERT INTO document_finds (document, times, last_at) \
                 SELECT name, 1, $2 FROM documents WHERE name = $1 ON CONFLICT (document) \
                 DO UPDATE SET times = document_finds.times + 1, last_at = excluded.last_at",
            )
            .bind(clean(document))
            .bind(at)
            .execute(&mut **tx)
            .await?;
        });
        Ok(())
    }

    /// How often documents were found by whoever looked something up; those that never were are absent.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn document_finds(&self) -> Result<Vec<FindsRow>, StoreError> {
        let rows: Vec<(String, i64, i64)> = read!(self, db => {
            sqlx::query_as("SELECT document, times, last_at FROM document_finds ORDER BY document")
                .fetch_all(db)
                .await?
        });
        rows.into_iter()
            .map(|(document, times, last_at)| {
                let (times, last_at_unix_ms) = (unsigned(times, "count")?, unsigned(last_at, "time")?);
                Ok(FindsRow { document, times, last_at_unix_ms })
            })
            .collect()
    }
}
