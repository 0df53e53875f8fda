//! Calls that are over, found: by who took part, what they came to, what people say of them, and by what was said.
//!
//! All of it is drawn from the log together with what the call came to, so it goes with the words it is made of, and is made
//! again without what was taken out. Words are looked for in one spelling ([`sotto_text::words`]), each from its beginning on,
//! and all of them in one utterance; an index of either database has them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sotto_call::{CallId, Millis, Party, UtteranceId};
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use crate::calls::RawCall;
use crate::store::{Db, clean, from_json, from_name, name_of, read, signed, unsigned};
use crate::{CallRow, Store, StoreError};

/// Words that are looked for together; more narrow nothing down.
const MOST_WORDS: usize = 12;
/// Utterances that are told of each call that was found by its words.
const SAID_PER_CALL: i64 = 3;

/// How the customer of a call felt in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each says what it is")]
pub enum CallSentiment {
    Positive,
    Neutral,
    Negative,
}

/// By what a call that is over is found and counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallFacts {
    /// The agent who took part last.
    pub agent: Option<String>,
    /// What the customer wanted, by the organisation's name for it.
    pub intent: Option<String>,
    /// What people call that, by BCP 47 language.
    pub intent_title: BTreeMap<String, String>,
    /// How they felt; absent where moods are not read, or not kept any more.
    pub sentiment: Option<CallSentiment>,
    /// Its quality as it was judged by the scorecard, from 0 to 1.
    pub score: Option<f32>,
    /// How long the agent spoke.
    pub agent_ms: Millis,
    /// How long the customer spoke.
    pub customer_ms: Millis,
    /// How long nobody did.
    pub silence_ms: Millis,
    /// Final utterances, as they were published first.
    pub finals: u64,
    /// How late they were published, all together.
    pub latency_ms: Millis,
    /// Words of them.
    pub words: u64,
    /// The sum of the probabilities that recognition gave these.
    pub probability: f64,
    /// Audio that recognition did not get.
    pub lost_ms: Millis,
}

/// An utterance of a call that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaidRow {
    /// Which.
    pub utterance: UtteranceId,
    /// Who spoke.
    pub party: Party,
    /// When they began.
    pub at: Millis,
    /// Their final words.
    pub text: String,
}

/// By what a call that is over is found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallSearch {
    /// What it came to, in figures.
    pub facts: CallFacts,
    /// What was said, each utterance once.
    pub said: Vec<SaidRow>,
}

/// Which calls are looked for; what is absent does not matter.
#[derive(Clone, Debug, Default)]
pub struct SearchFilter {
    /// The agent who took part last.
    pub agent: Option<String>,
    /// Calls that began at this time or later, in milliseconds since 1970 (UTC).
    pub since_unix_ms: Option<u64>,
    /// Calls that began before it.
    pub until_unix_ms: Option<u64>,
    /// What the customer wanted.
    pub intent: Option<String>,
    /// How they felt.
    pub sentiment: Option<CallSentiment>,
    /// How it came out, as a person says.
    pub outcome: Option<String>,
    /// A quality of this or more.
    pub score_from: Option<f32>,
    /// A quality of less than this.
    pub score_below: Option<f32>,
    /// Whether somebody wants it to be looked at.
    pub flagged: Option<bool>,
    /// Whether anybody has reviewed it.
    pub reviewed: Option<bool>,
    /// What was said: words of one utterance. Nothing is found by a text that has none.
    pub said: Option<String>,
    /// Only calls that began before this one.
    pub before: Option<CallId>,
    /// At most so many.
    pub limit: u32,
}

/// A call that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundCall {
    /// The call.
    pub call: CallRow,
    /// See [`CallFacts::agent`].
    pub agent: Option<String>,
    /// See [`CallFacts::intent`].
    pub intent: Option<String>,
    /// See [`CallFacts::intent_title`].
    pub intent_title: BTreeMap<String, String>,
    /// See [`CallFacts::sentiment`].
    pub sentiment: Option<CallSentiment>,
    /// See [`CallFacts::score`].
    pub score: Option<f32>,
    /// How many people have reviewed it.
    pub reviews: u64,
    /// Who wants it to be looked at.
    pub flagged_by: Option<String>,
    /// The first utterances with the words that were looked for.
    pub said: Vec<SaidRow>,
}

pub(crate) const ADD_FACTS: &str = "INSERT INTO call_facts (call_id, started_at, agent, intent, intent_title, sentiment, \
    score, agent_ms, customer_ms, silence_ms, finals, latency_ms, words, probability, lost_ms) \
    SELECT id, started_at, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14 FROM calls WHERE id = $1";

/// Adds an utterance with its words, which spaces part.
pub(crate) fn add_said(kind: &str) -> &'static str {
    match kind {
        "postgres" => {
            "INSERT INTO call_words (call_id, utterance, party, at_ms, text, words) \
             VALUES ($1, $2, $3, $4, $5, array_to_tsvector(string_to_array($6, ' ')))"
        }
        _ => {
            "INSERT INTO call_words (call_id, utterance, party, at_ms, text, words) VALUES ($1, $2, $3, $4, $5, $6)"
        }
    }
}

/// Keeps by what a call is found, in a transaction of a database of this kind, where nothing of it is kept.
macro_rules! add_search {
    ($tx:ident, $kind:expr, $call:expr, $search:expr) => {{
        let (call, search): (sotto_call::CallId, &$crate::CallSearch) = ($call, $search);
        let facts = &search.facts;
        sqlx::query($crate::search::ADD_FACTS)
            .bind(call.0)
            .bind(facts.agent.as_deref().map($crate::store::clean))
            .bind(facts.intent.as_deref().map($crate::store::clean))
            .bind($crate::store::clean(&$crate::store::to_json(&facts.intent_title)?))
            .bind(facts.sentiment.map(|sentiment| $crate::store::name_of(&sentiment)).transpose()?)
            .bind(facts.score.map(f64::from))
            .bind($crate::store::signed(facts.agent_ms.0, "time")?)
            .bind($crate::store::signed(facts.customer_ms.0, "time")?)
            .bind($crate::store::signed(facts.silence_ms.0, "time")?)
            .bind($crate::store::signed(facts.finals, "count")?)
            .bind($crate::store::signed(facts.latency_ms.0, "time")?)
            .bind($crate::store::signed(facts.words, "count")?)
            .bind(facts.probability)
            .bind($crate::store::signed(facts.lost_ms.0, "time")?)
            .execute(&mut **$tx)
            .await?;
        let add = $crate::search::add_said($kind);
        for said in &search.said {
            let words = sotto_text::words(&said.text);
            if words.is_empty() {
                continue;
            }
            sqlx::query(add)
                .bind(call.0)
                .bind(i64::from(said.utterance.0))
                .bind($crate::store::name_of(&said.party)?)
                .bind($crate::store::signed(said.at.0, "time")?)
                .bind($crate::store::clean(&said.text))
                .bind(words.join(" "))
                .execute(&mut **$tx)
                .await?;
        }
    }};
}
pub(crate) use add_search;

/// A condition on rows of `call_words`, around a value that says what is looked for.
#[derive(Debug)]
struct Matching {
    before: &'static str,
    value: String,
    after: &'static str,
}

impl Matching {
    /// Rows with all words of a text. A word of one letter is looked for as a whole. The words are letters and digits alone, so
    /// nothing in them can end the quotation.
    fn of(db: &Db, text: &str) -> Option<Self> {
        let words: Vec<String> = sotto_text::words(text).into_iter().take(MOST_WORDS).collect();
        let (before, after, quote, begins, and) = match db {
            Db::Sqlite { .. } => (
                "call_words.id IN (SELECT rowid FROM call_words_index WHERE call_words_index MATCH ",
                ")",
                '"',
                " *",
                " ",
            ),
            Db::Postgres(_) => ("call_words.words @@ ", "::tsquery", '\'', ":*", " & "),
        };
        let wanted = words.iter().map(|word| {
            let begins = if word.chars().nth(1).is_some() { begins } else { "" };
            format!("{quote}{word}{quote}{begins}")
        });
        let value = wanted.collect::<Vec<_>>().join(and);
        (!words.is_empty()).then_some(Self { before, value, after })
    }
}

const FOUND: &str = "SELECT calls.*, call_facts.agent, call_facts.intent, call_facts.intent_title, call_facts.sentiment, \
    call_facts.score, call_flags.by_whom AS flagged_by, \
    (SELECT count(DISTINCT reviewer) FROM quality_reviews WHERE quality_reviews.call_id = calls.id) AS reviews \
    FROM calls LEFT JOIN call_facts ON call_facts.call_id = calls.id \
    LEFT JOIN call_flags ON call_flags.call_id = calls.id WHERE calls.state = 'ended'";

#[derive(FromRow)]
struct RawFound {
    #[sqlx(flatten)]
    call: RawCall,
    agent: Option<String>,
    intent: Option<String>,
    intent_title: Option<String>,
    sentiment: Option<String>,
    score: Option<f64>,
    flagged_by: Option<String>,
    reviews: i64,
}

#[derive(FromRow)]
struct RawSaid {
    call_id: Uuid,
    utterance: i64,
    party: String,
    at_ms: i64,
    text: String,
}

impl Store {
    /// Calls that are over, newest first, each with the first utterances that have the words which were looked for.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn find_calls(&self, filter: &SearchFilter) -> Result<Vec<FoundCall>, StoreError> {
        let matching = match &filter.said {
            Some(text) => match Matching::of(&self.db, text) {
                Some(matching) => Some(matching),
                None => return Ok(Vec::new()),
            },
            None => None,
        };
        let since = filter.since_unix_ms.map(|at| signed(at, "time")).transpose()?;
        let until = filter.until_unix_ms.map(|at| signed(at, "time")).transpose()?;
        let sentiment = filter.sentiment.map(|sentiment| name_of(&sentiment)).transpose()?;
        // As an outcome begins in its column.
        let outcome = filter.outcome.as_ref().map(serde_json::to_string).transpose();
        let outcome = outcome.map_err(|error| StoreError::Invalid(error.to_string()))?;
        let outcome = outcome.map(|outcome| clean(&format!("{{\"outcome\":{outcome},")));
        let rows: Vec<RawFound> = read!(self, db => {
            let mut query = QueryBuilder::new(FOUND);
            if let Some(agent) = &filter.agent {
                query.push(" AND call_facts.agent = ").push_bind(clean(agent));
            }
            if let Some(since) = since {
                query.push(" AND calls.started_at >= ").push_bind(since);
            }
            if let Some(until) = until {
                query.push(" AND calls.started_at < ").push_bind(until);
            }
            if let Some(intent) = &filter.intent {
                query.push(" AND call_facts.intent = ").push_bind(clean(intent));
            }
            if let Some(sentiment) = &sentiment {
                query.push(" AND call_facts.sentiment = ").push_bind(sentiment.as_str());
            }
            if let Some(begins) = &outcome {
                let length = i32::try_from(begins.chars().count()).unwrap_or(i32::MAX);
                query.push(" AND substr(calls.outcome, 1, ").push_bind(length);
                query.push(") = ").push_bind(begins.as_str());
            }
            if let Some(score) = filter.score_from {
                query.push(" AND call_facts.score >= ").push_bind(f64::from(score));
            }
            if let Some(score) = filter.score_below {
                query.push(" AND call_facts.score < ").push_bind(f64::from(score));
            }
            match filter.flagged {
                Some(true) => _ = query.push(" AND call_flags.call_id IS NOT NULL"),
                Some(false) => _ = query.push(" AND call_flags.call_id IS NULL"),
                None => {}
            }
            if let Some(reviewed) = filter.reviewed {
                query.push(if reviewed { " AND EXISTS" } else { " AND NOT EXISTS" });
                query.push(" (SELECT 1 FROM quality_reviews WHERE quality_reviews.call_id = calls.id)");
            }
            if let Some(Matching { before, value, after }) = &matching {
                query.push(" AND calls.id IN (SELECT call_id FROM call_words WHERE ").push(before);
                query.push_bind(value.as_str()).push(after).push(")");
            }
            if let Some(before) = filter.before {
                query.push(" AND calls.id < ").push_bind(before.0);
            }
            query.push(" ORDER BY calls.id DESC LIMIT ").push_bind(i64::from(filter.limit));
            query.build_query_as().fetch_all(db).await?
        });
        let mut found = rows.into_iter().map(FoundCall::try_from).collect::<Result<Vec<_>, _>>()?;
        if let Some(matching) = &matching
            && !found.is_empty()
        {
            let mut said = self.said_with(matching, &found).await?;
            for one in &mut found {
                one.said = said.remove(&one.call.id).unwrap_or_default();
            }
        }
        Ok(found)
    }

    /// The first utterances of each of these calls that match.
    async fn said_with(
        &self,
        matching: &Matching,
        calls: &[FoundCall],
    ) -> Result<BTreeMap<CallId, Vec<SaidRow>>, StoreError> {
        let Matching { before, value, after } = matching;
        let rows: Vec<RawSaid> = read!(self, db => {
            let mut query = QueryBuilder::new(
                "SELECT call_id, utterance, party, at_ms, text FROM (SELECT call_id, utterance, party, at_ms, text, \
                 row_number() OVER (PARTITION BY call_id ORDER BY at_ms, utterance) AS place \
                 FROM call_words WHERE call_id IN (",
            );
            let mut ids = query.separated(", ");
            for one in calls {
                ids.push_bind(one.call.id.0);
            }
            query.push(") AND ").push(before).push_bind(value.as_str()).push(after);
            query.push(") AS matching WHERE place <= ").push_bind(SAID_PER_CALL);
            query.push(" ORDER BY call_id, place");
            query.build_query_as().fetch_all(db).await?
        });
        let mut said: BTreeMap<CallId, Vec<SaidRow>> = BTreeMap::new();
        for row in rows {
            said.entry(CallId(row.call_id)).or_default().push(row.try_into()?);
        }
        Ok(said)
    }

    /// What was said in a call that is over, in order of time, once that is known.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn said(&self, id: CallId) -> Result<Vec<SaidRow>, StoreError> {
        let rows: Vec<RawSaid> = read!(self, db => {
            sqlx::query_as(
                "SELECT call_id, utterance, party, at_ms, text FROM call_words WHERE call_id = $1 \
                 ORDER BY at_ms, utterance",
            )
            .bind(id.0)
            .fetch_all(db)
            .await?
        });
        rows.into_iter().map(SaidRow::try_from).collect()
    }
}

impl TryFrom<RawFound> for FoundCall {
    type Error = StoreError;
    fn try_from(raw: RawFound) -> Result<Self, StoreError> {
        let title = raw.intent_title.map(|json| from_json(&json, "titles")).transpose()?;
        Ok(Self {
            call: raw.call.try_into()?,
            agent: raw.agent,
            intent: raw.intent,
            intent_title: title.unwrap_or_default(),
            sentiment: raw.sentiment.map(from_name).transpose()?,
            score: raw.score.map(|score| score as f32),
            reviews: unsigned(raw.reviews, "count")?,
            flagged_by: raw.flagged_by,
            said: Vec::new(),
        })
    }
}

impl TryFrom<RawSaid> for SaidRow {
    type Error = StoreError;
    fn try_from(raw: RawSaid) -> Result<Self, StoreError> {
        let utterance = u32::try_from(raw.utterance)
            .map_err(|_| StoreError::Invalid(format!("utterance {} is out of range", raw.utterance)))?;
        Ok(Self {
            utterance: UtteranceId(utterance),
            party: from_name(raw.party)?,
            at: Millis(unsigned(raw.at_ms, "time")?),
            text: raw.text,
        })
    }
}
