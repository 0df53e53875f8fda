//! How calls of a time went, in figures: sums over what each came to, made by the database.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use sotto_crm::TaskState;
use sqlx::FromRow;

use crate::store::{from_json, from_name, read, signed, unsigned};
use crate::{Store, StoreError};

/// A day, in milliseconds.
const DAY_MS: i64 = 86_400_000;
/// Intents that are told, those of most calls.
const MOST_INTENTS: i64 = 12;

/// How calls of a time went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dashboard {
    /// Day by day, in order of time; days without calls are absent.
    pub days: Vec<DayRow>,
    /// What customers wanted, the most frequent first.
    pub intents: Vec<IntentCount>,
    /// Tasks that were made within the time, by how far they are; states without any are absent.
    pub tasks: BTreeMap<TaskState, u64>,
}

/// The calls that began on one day, summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DayRow {
    /// Its midnight, in milliseconds since 1970 (UTC).
    pub begins_unix_ms: u64,
    /// Calls that are over.
    pub calls: u64,
    /// How long they were.
    pub duration_ms: u64,
    /// Calls whose quality is known.
    pub judged: u64,
    /// The sum of these, each from 0 to 1.
    pub score: f64,
    /// Calls that people have reviewed.
    pub reviewed: u64,
    /// Calls whose customer felt well in the end.
    pub positive: u64,
    /// Calls whose customer felt neither well nor ill.
    pub neutral: u64,
    /// Calls whose customer felt ill.
    pub negative: u64,
    /// How long agents spoke.
    pub agent_ms: u64,
    /// How long customers spoke.
    pub customer_ms: u64,
    /// How long nobody did.
    pub silence_ms: u64,
    /// Final utterances.
    pub finals: u64,
    /// How late these were published.
    pub latency_ms: u64,
    /// Words of these.
    pub words: u64,
    /// The sum of the probabilities that recognition gave the words.
    pub probability: f64,
    /// Audio that recognition did not get.
    pub lost_ms: u64,
}

impl AddAssign for DayRow {
    /// Adds the calls of another day to those of this one.
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.duration_ms += other.duration_ms;
        self.judged += other.judged;
        self.score += other.score;
        self.reviewed += other.reviewed;
        self.positive += other.positive;
        self.neutral += other.neutral;
        self.negative += other.negative;
        self.agent_ms += other.agent_ms;
        self.customer_ms += other.customer_ms;
        self.silence_ms += other.silence_ms;
        self.finals += other.finals;
        self.latency_ms += other.latency_ms;
        self.words += other.words;
        self.probability += other.probability;
        self.lost_ms += other.lost_ms;
    }
}

/// In how many calls customers wanted something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntentCount {
    /// The organisation's name for it.
    pub intent: String,
    /// What people call it, by BCP 47 language.
    pub title: BTreeMap<String, String>,
    /// How many.
    pub calls: u64,
}

#[derive(FromRow)]
struct RawDay {
    day: i64,
    calls: i64,
    duration_ms: i64,
    judged: i64,
    score: Option<f64>,
    reviewed: i64,
    positive: i64,
    neutral: i64,
    negative: i64,
    agent_ms: i64,
    customer_ms: i64,
    silence_ms: i64,
    finals: i64,
    latency_ms: i64,
    words: i64,
    probability: f64,
    lost_ms: i64,
}

impl Store {
    /// How calls went that began within a time. A day begins at midnight on a clock that is so far ahead of UTC. The work grows
    /// with the number of calls.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn dashboard(
        &self,
        since_unix_ms: u64,
        until_unix_ms: u64,
        ahead_ms: i64,
    ) -> Result<Dashboard, StoreError> {
        let (since, until) = (signed(since_unix_ms, "time")?, signed(until_unix_ms, "time")?);
        let days: Vec<RawDay> = read!(self, db => {
            sqlx::query_as(
                "SELECT (call_facts.started_at + $3) / $4 AS day, count(*) AS calls, \
                 CAST(sum(calls.duration_ms) AS BIGINT) AS duration_ms, count(score) AS judged, sum(score) AS score, \
                 CAST(sum(CASE WHEN EXISTS (SELECT 1 FROM quality_reviews \
                 WHERE quality_reviews.call_id = call_facts.call_id) THEN 1 ELSE 0 END) AS BIGINT) AS reviewed, \
                 CAST(sum(CASE WHEN sentiment = 'positive' THEN 1 ELSE 0 END) AS BIGINT) AS positive, \
                 CAST(sum(CASE WHEN sentiment = 'neutral' THEN 1 ELSE 0 END) AS BIGINT) AS neutral, \
                 CAST(sum(CASE WHEN sentiment = 'negative' THEN 1 ELSE 0 END) AS BIGINT) AS negative, \
                 CAST(sum(agent_ms) AS BIGINT) AS agent_ms, CAST(sum(customer_ms) AS BIGINT) AS customer_ms, \
                 CAST(sum(silence_ms) AS BIGINT) AS silence_ms, CAST(sum(finals) AS BIGINT) AS finals, \
                 CAST(sum(latency_ms) AS BIGINT) AS latency_ms, CAST(sum(words) AS BIGINT) AS words, \
                 sum(probability) AS probability, CAST(sum(lost_ms) AS BIGINT) AS lost_ms \
                 FROM call_facts JOIN calls ON calls.id = call_facts.call_id \
                 WHERE call_facts.started_at >= $1 AND call_facts.started_at < $2 GROUP BY day ORDER BY day",
            )
            .bind(since)
            .bind(until)
            .bind(ahead_ms)
            .bind(DAY_MS)
            .fetch_all(db)
            .await?
        });
        let intents: Vec<(String, String, i64)> = read!(self, db => {
            // One of the titles: an intent may have been called otherwise before.
            sqlx::query_as(
                "SELECT intent, max(intent_title), count(*) FROM call_facts \
                 WHERE started_at >= $1 AND started_at < $2 AND intent IS NOT NULL \
                 GROUP BY intent ORDER BY count(*) DESC, intent LIMIT $3",
            )
            .bind(since)
            .bind(until)
            .bind(MOST_INTENTS)
            .fetch_all(db)
            .await?
        });
        let tasks: Vec<(String, i64)> = read!(self, db => {
            sqlx::query_as(
                "SELECT state, count(*) FROM tasks WHERE made_at >= $1 AND made_at < $2 GROUP BY state",
            )
            .bind(since)
            .bind(until)
            .fetch_all(db)
            .await?
        });
        let intents = intents.into_iter().map(|(intent, title, calls)| {
            Ok(IntentCount { intent, title: from_json(&title, "titles")?, calls: unsigned(calls, "count")? })
        });
        let tasks =
            tasks.into_iter().map(|(state, count)| Ok((from_name(state)?, unsigned(count, "count")?)));
        Ok(Dashboard {
            days: days.into_iter().map(|day| day.summed(ahead_ms)).collect::<Result<_, StoreError>>()?,
            intents: intents.collect::<Result<_, StoreError>>()?,
            tasks: tasks.collect::<Result<_, StoreError>>()?,
        })
    }
}

impl RawDay {
    fn summed(self, ahead_ms: i64) -> Result<DayRow, StoreError> {
        // The first midnight may have been before 1970 where clocks are ahead of UTC.
        let begins = (self.day * DAY_MS - ahead_ms).max(0);
        Ok(DayRow {
            begins_unix_ms: unsigned(begins, "time")?,
            calls: unsigned(self.calls, "count")?,
            duration_ms: unsigned(self.duration_ms, "time")?,
            judged: unsigned(self.judged, "count")?,
            score: self.score.unwrap_or(0.0),
            reviewed: unsigned(self.reviewed, "count")?,
            positive: unsigned(self.positive, "count")?,
            neutral: unsigned(self.neutral, "count")?,
            negative: unsigned(self.negative, "count")?,
            agent_ms: unsigned(self.agent_ms, "time")?,
            customer_ms: unsigned(self.customer_ms, "time")?,
            silence_ms: unsigned(self.silence_ms, "time")?,
            finals: unsigned(self.finals, "count")?,
            latency_ms: unsigned(self.latency_ms, "time")?,
            words: unsigned(self.words, "count")?,
            probability: self.probability,
            lost_ms: unsigned(self.lost_ms, "time")?,
        })
    }
}
