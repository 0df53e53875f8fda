//! Calls that are over, found: by who took part, what they came to, what people say of them, and by what was said.
//!
//! All of it is drawn from the log together with what the call came to, so it goes with the words it is made of, and is made
//! again without what was taken out. Words are looked for in one spelling ([`sotto_text::words`]), each from its beginning on
//! (of one or two letters as a whole), and all of them in one utterance; an index of either database has them.

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
/// Letters and digits from which on a word is looked for as the beginning of others.
const SHORTEST_BEGINNING: usize = 3;
/// Utterances that are told of each call that was found by its words.
const SAID_PER_CALL: i64 = 3;
/// Utterances with the words that are looked for, above which calls are looked through for them, the newest first: a page is full
/// soon, while the index would give all of them before the first.
const SAID_OFTEN: i64 = 2_000;

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

/// Whose calls are seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Everybody's.
    #[default]
    Everybody,
    /// Those of a team that are over: the agent who took part last is in it. Without a team, those of whoever is in none, or is no
    /// user. Of a call of which it is not known yet what it came to, nor is it known whose it was.
    Team(Option<String>),
}

/// Adds to a query with `call_facts` that calls are within a reach.
macro_rules! push_reach {
    ($query:ident, $reach:expr) => {
        match $reach {
            $crate::Reach::Everybody => {}
            $crate::Reach::Team(Some(team)) => {
                $query.push(" AND call_facts.agent IN (SELECT name FROM users WHERE team = ");
                $query.push_bind($crate::store::clean(team)).push(")");
            }
            $crate::Reach::Team(None) => {
                $query.push(" AND call_facts.call_id IS NOT NULL AND (call_facts.agent IS NULL OR ");
                $query.push("call_facts.agent NOT IN (SELECT name FROM users WHERE team IS NOT NULL))");
            }
        }
    };
}
pub(crate) use push_reach;

/// Which calls are looked for; what is absent does not matter.
#[derive(Clone, Debug, Default)]
pub struct SearchFilter {
    /// Whose.
    pub reach: Reach,
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
    /// Only these, if any are named: some hundreds, for each is a parameter of the statement.
    pub among: Vec<CallId>,
    /// Only calls that began before this one.
    pub before: Option<CallId>,
    /// At most so many.
    pub limit: u32,
}

impl SearchFilter {
    /// Whether a call without facts cannot be what is looked for.
    fn is_of_facts(&self) -> bool {
        let whose = self.agent.is_some() || self.reach != Reach::Everybody;
        whose
            || self.intent.is_some()
            || self.sentiment.is_some()
            || self.score_from.is_some()
            || self.score_below.is_some()
    }
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

/// Conditions on rows of `call_words`, which have all words of a text. A word of one or two letters is looked for as a
/// whole: most words begin with some such, and most of the index would match. The words are letters and digits alone, so
/// nothing in them can end a quotation or stand for anything else.
#[derive(Debug)]
enum Matching {
    /// By the index, and what each row has to be like.
    Sqlite { query: String, like: Vec<String> },
    /// By the index as row by row.
    Postgres { query: String },
}

impl Matching {
    fn of(db: &Db, text: &str) -> Option<Self> {
        let words: Vec<String> = sotto_text::words(text).into_iter().take(MOST_WORDS).collect();
        let is_begin = |word: &str| word.chars().nth(SHORTEST_BEGINNING - 1).is_some();
        let query = |quote: char, begins: &str, and: &str| {
            let wanted = words
                .iter()
                .map(|word| format!("{quote}{word}{quote}{}", if is_begin(word) { begins } else { "" }));
            wanted.collect::<Vec<_>>().join(and)
        };
        if words.is_empty() {
            return None;
        }
        Some(match db {
            Db::Sqlite { .. } => Self::Sqlite {
                query: query('"', " *", " "),
                like: words
                    .iter()
                    .map(|word| if is_begin(word) { format!("% {word}%") } else { format!("% {word} %") })
                    .collect(),
            },
            Db::Postgres(_) => Self::Postgres { query: query('\'', ":*", " & ") },
        })
    }
}

/// Adds a [`Matching`] to a query of rows of `call_words`, by the index.
macro_rules! push_indexed {
    ($query:expr, $matching:expr) => {
        match $matching {
            Matching::Sqlite { query: wanted, .. } => {
                $query.push(
                    "call_words.id IN (SELECT rowid FROM call_words_index WHERE call_words_index MATCH ",
                );
                $query.push_bind(wanted.as_str()).push(")");
            }
            Matching::Postgres { query: wanted } => {
                $query.push("call_words.words @@ ").push_bind(wanted.as_str()).push("::tsquery");
            }
        }
    };
}

/// The same, row by row: where the rows are few.
macro_rules! push_plain {
    ($query:expr, $matching:expr) => {
        match $matching {
            Matching::Sqlite { like, .. } => {
                $query.push("1 = 1");
                for pattern in like {
                    $query.push(" AND ' ' || call_words.words || ' ' LIKE ").push_bind(pattern.as_str());
                }
            }
            Matching::Postgres { query: wanted } => {
                $query.push("call_words.words @@ ").push_bind(wanted.as_str()).push("::tsquery");
            }
        }
    };
}

/// What a filter comes to in columns, and where these are.
pub(crate) struct Narrowed<'a> {
    pub filter: &'a SearchFilter,
    pub since: Option<i64>,
    pub until: Option<i64>,
    pub sentiment: Option<String>,
    /// As an outcome begins in its column.
    pub outcome: Option<String>,
    /// The column of the call's id.
    pub id: &'static str,
    /// The column of its start.
    pub start: &'static str,
}

impl<'a> Narrowed<'a> {
    /// Of rows of `call_facts`, whose calls are over, or else of `calls`.
    pub fn of(filter: &'a SearchFilter, facts: bool) -> Result<Self, StoreError> {
        let outcome = filter.outcome.as_ref().map(serde_json::to_string).transpose();
        let outcome = outcome.map_err(|error| StoreError::Invalid(error.to_string()))?;
        let (id, start) = match facts {
            // A plus keeps the index by start out of it: that has another order than the page.
            true => ("call_facts.call_id", "+call_facts.started_at"),
            false => ("calls.id", "calls.started_at"),
        };
        Ok(Self {
            filter,
            since: filter.since_unix_ms.map(|at| signed(at, "time")).transpose()?,
            until: filter.until_unix_ms.map(|at| signed(at, "time")).transpose()?,
            sentiment: filter.sentiment.map(|sentiment| name_of(&sentiment)).transpose()?,
            outcome: outcome.map(|outcome| clean(&format!("{{\"outcome\":{outcome},"))),
            id,
            start,
        })
    }
}

/// Adds the conditions of a [`Narrowed`] filter, all but what was said, to a query of either database of `call_facts`, or of
/// `calls` where the filter is not [of facts](SearchFilter::is_of_facts).
macro_rules! narrow_calls {
    ($query:ident, $by:expr) => {{
        let by: &$crate::search::Narrowed<'_> = $by;
        let (id, start) = (by.id, by.start);
        $crate::search::push_reach!($query, &by.filter.reach);
        if let Some(agent) = &by.filter.agent {
            $query.push(" AND call_facts.agent = ").push_bind($crate::store::clean(agent));
        }
        if let Some(since) = by.since {
            $query.push(" AND ").push(start).push(" >= ").push_bind(since);
        }
        if let Some(until) = by.until {
            $query.push(" AND ").push(start).push(" < ").push_bind(until);
        }
        if let Some(intent) = &by.filter.intent {
            $query.push(" AND call_facts.intent = ").push_bind($crate::store::clean(intent));
        }
        if let Some(sentiment) = &by.sentiment {
            $query.push(" AND call_facts.sentiment = ").push_bind(sentiment.clone());
        }
        if let Some(begins) = &by.outcome {
            let length = i32::try_from(begins.chars().count()).unwrap_or(i32::MAX);
            $query.push(" AND EXISTS (SELECT 1 FROM calls AS concluded WHERE concluded.id = ").push(id);
            $query.push(" AND substr(concluded.outcome, 1, ").push_bind(length);
            $query.push(") = ").push_bind(begins.clone()).push(")");
        }
        if let Some(score) = by.filter.score_from {
            $query.push(" AND call_facts.score >= ").push_bind(f64::from(score));
        }
        if let Some(score) = by.filter.score_below {
            $query.push(" AND call_facts.score < ").push_bind(f64::from(score));
        }
        for (wanted, table) in [(by.filter.flagged, "call_flags"), (by.filter.reviewed, "quality_reviews")] {
            match wanted {
                Some(true) => {
                    $query.push(" AND ").push(id).push(" IN (SELECT call_id FROM ").push(table).push(")");
                }
                Some(false) => {
                    $query.push(" AND NOT EXISTS (SELECT 1 FROM ").push(table);
                    $query.push(" AS seen WHERE seen.call_id = ").push(id).push(")");
                }
                None => {}
            }
        }
        if !by.filter.among.is_empty() {
            $query.push(" AND ").push(id).push(" IN (");
            let mut ids = $query.separated(", ");
            for id in &by.filter.among {
                ids.push_bind(id.0);
            }
            $query.push(")");
        }
        if let Some(before) = by.filter.before {
            $query.push(" AND ").push(id).push(" < ").push_bind(before.0);
        }
    }};
}
pub(crate) use narrow_calls;

const FOUND: &str = "SELECT calls.*, call_facts.agent, call_facts.intent, call_facts.intent_title, call_facts.sentiment, \
    call_facts.score, call_flags.by_whom AS flagged_by, \
    (SELECT count(DISTINCT reviewer) FROM quality_reviews WHERE quality_reviews.call_id = calls.id) AS reviews \
    FROM calls LEFT JOIN call_facts ON call_facts.call_id = calls.id \
    LEFT JOIN call_flags ON call_flags.call_id = calls.id WHERE calls.id IN (";

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
pub(crate) struct RawSaid {
    call_id: Uuid,
    utterance: i64,
    party: String,
    at_ms: i64,
    text: String,
}

impl Store {
    /// Calls that are over, newest first, each with the first utterances that have the words which were looked for.
    ///
    /// Which calls are on the page is found in tables and indices that are small for each call; only then are these read.
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
        let is_said_often = match &matching {
            Some(matching) => self.is_said_often(matching).await?,
            None => false,
        };
        let facts = filter.is_of_facts();
        let by = Narrowed::of(filter, facts)?;
        // Calls that have facts are over.
        let ids = match facts {
            true => "SELECT call_facts.call_id FROM call_facts WHERE 1 = 1",
            false => "SELECT calls.id FROM calls WHERE calls.state = 'ended'",
        };
        let rows: Vec<RawFound> = read!(self, db => {
            let mut query = QueryBuilder::new(FOUND);
            query.push(ids);
            narrow_calls!(query, &by);
            match &matching {
                Some(matching) if is_said_often => {
                    query.push(" AND EXISTS (SELECT 1 FROM call_words WHERE call_words.call_id = ").push(by.id);
                    query.push(" AND ");
                    push_plain!(query, matching);
                    // With an offset PostgreSQL does look call by call, and does not make it a join.
                    query.push(" LIMIT 1 OFFSET 0)");
                }
                Some(matching) => {
                    query.push(" AND ").push(by.id).push(" IN (SELECT call_words.call_id FROM call_words WHERE ");
                    push_indexed!(query, matching);
                    query.push(")");
                }
                None => {}
            }
            query.push(" ORDER BY ").push(by.id).push(" DESC LIMIT ").push_bind(i64::from(filter.limit));
            query.push(") ORDER BY calls.id DESC");
            // What is best depends on what is looked for, so it is not planned once for all.
            query.build_query_as().persistent(false).fetch_all(db).await?
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

    /// Whether a call is within a reach. Everybody's reach has calls that there are not, too.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn reaches(&self, reach: &Reach, id: CallId) -> Result<bool, StoreError> {
        if *reach == Reach::Everybody {
            return Ok(true);
        }
        let found: Option<Uuid> = read!(self, db => {
            let mut query = QueryBuilder::new(
                "SELECT calls.id FROM calls JOIN call_facts ON call_facts.call_id = calls.id \
                 WHERE calls.state = 'ended' AND calls.id = ",
            );
            query.push_bind(id.0);
            push_reach!(query, reach);
            query.build_query_scalar().fetch_optional(db).await?
        });
        Ok(found.is_some())
    }

    /// Whether more utterances match than are worth being looked up one by one.
    async fn is_said_often(&self, matching: &Matching) -> Result<bool, StoreError> {
        const COUNT: &str = "SELECT count(*) FROM (SELECT 1 AS one FROM ";
        let count: i64 = match (&self.db, matching) {
            (Db::Sqlite { read, .. }, Matching::Sqlite { query: wanted, .. }) => {
                let mut query = QueryBuilder::new(COUNT);
                query.push("call_words_index WHERE call_words_index MATCH ").push_bind(wanted.as_str());
                query.push(" LIMIT ").push_bind(SAID_OFTEN + 1).push(") AS found");
                query.build_query_scalar().fetch_one(read).await?
            }
            (Db::Postgres(pool), Matching::Postgres { query: wanted }) => {
                let mut transaction = pool.begin().await?;
                // By the index. For so few it would look through the table, which takes long where they are far between.
                sqlx::query("SET LOCAL enable_seqscan = off").execute(&mut *transaction).await?;
                let mut query = QueryBuilder::new(COUNT);
                query.push("call_words WHERE words @@ ").push_bind(wanted.as_str()).push("::tsquery");
                query.push(" LIMIT ").push_bind(SAID_OFTEN + 1).push(") AS found");
                let count = query.build_query_scalar().fetch_one(&mut *transaction).await?;
                transaction.rollback().await?;
                count
            }
            // A condition is made for the database that it is for.
            _ => 0,
        };
        Ok(count > SAID_OFTEN)
    }

    /// The first utterances of each of these calls that match.
    async fn said_with(
        &self,
        matching: &Matching,
        calls: &[FoundCall],
    ) -> Result<BTreeMap<CallId, Vec<SaidRow>>, StoreError> {
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
            query.push(") AND ");
            push_plain!(query, matching);
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
