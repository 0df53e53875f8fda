//! Fills a database, many rows a statement. What the rows say is what [`sotto_store::Store`] would have written.

use std::str::FromStr;

use anyhow::{Context, Result};
use serde::Serialize;
use sotto_call::{EndReason, Millis, Participant, Party, Source};
use sotto_crm::Phone;
use sotto_store::{CallSentiment, LastWords, Outcome, Step};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Pool, Postgres, QueryBuilder, Sqlite};

use crate::world::{DAY_MS, Entry, Known, OFTEN, Random, Spoken, World};

/// Rows a statement: below the limits of both databases on parameters.
const ROWS: usize = 500;
/// Rows a transaction, at most.
const ROWS_TOGETHER: usize = 50 * ROWS;
/// Utterances of a call.
const UTTERANCES: u64 = 10;
/// Words of an utterance, and of what is written down of a call.
const WORDS: u64 = 10;
const WORDS_WRITTEN: u64 = 25;
const OUTCOMES: [&str; 4] = ["Resolved", "Call back", "No answer", "Wrong number"];
const KINDS: [&str; 5] = ["note", "email", "sms", "telegram", "meeting"];

/// Fills the database at this address, which has its tables and nothing in them.
pub async fn fill(url: &str, world: &World) -> Result<()> {
    if url.starts_with("postgres") {
        let pool = Pool::<Postgres>::connect(url).await?;
        fill_postgres(&pool, world).await?;
        // As the database does by itself in time.
        sqlx::query("VACUUM ANALYZE").execute(&pool).await?;
        pool.close().await;
    } else {
        let options =
            SqliteConnectOptions::from_str(url)?.synchronous(SqliteSynchronous::Off).foreign_keys(false);
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
        fill_sqlite(&pool, world).await?;
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&pool).await?;
        pool.close().await;
    }
    Ok(())
}

/// The name that a value has in JSON, as the text of a column.
fn name(value: impl Serialize) -> Result<String> {
    Ok(serde_json::to_value(value)?.as_str().context("no plain name")?.to_owned())
}

fn json(value: impl Serialize) -> Result<String> {
    Ok(serde_json::to_string(&value)?)
}

/// A row of `contacts`.
struct ContactLine<'a> {
    known: &'a Known,
    kind: String,
    stage: String,
    numbers: String,
    fields: String,
    created_at: i64,
    active_at: i64,
}

impl<'a> ContactLine<'a> {
    fn of(known: &'a Known) -> Result<Self> {
        let Known { contact, created_at, active_at, .. } = known;
        Ok(Self {
            known,
            kind: name(contact.kind)?,
            stage: name(contact.stage)?,
            numbers: json(&contact.numbers)?,
            fields: json(&contact.fields)?,
            created_at: at(*created_at)?,
            active_at: at(*active_at)?,
        })
    }
}

/// A row of `calls`.
struct CallLine {
    participants: String,
    last_words: String,
    outcome: Option<String>,
    duration_ms: i64,
}

impl CallLine {
    fn of(world: &World, call: &Spoken, random: &mut Random) -> Result<Self> {
        let known = world.contacts.get(call.contact).context("no contact")?;
        let agent = Participant { party: Party::Agent, aor: None, name: Some(call.agent.clone()) };
        let aor = Some(format!("sip:{}@pbx.example", known.number()));
        let customer = Participant { party: Party::Customer, aor, name: None };
        let duration_ms = 60_000 + random.below(600_000);
        let last =
            LastWords { party: Party::Customer, text: "thanks".to_owned(), at_ms: Millis(duration_ms) };
        let by = call.agent.clone();
        let outcome = random.of(&OUTCOMES).filter(|_| is_concluded(call)).map(|outcome| Outcome {
            outcome: (*outcome).to_owned(),
            by,
            at_unix_ms: call.at + duration_ms,
        });
        Ok(Self {
            participants: json([agent, customer])?,
            last_words: json(last)?,
            outcome: outcome.map(json).transpose()?,
            duration_ms: i64::try_from(duration_ms)?,
        })
    }
}

/// Of every other call it is written down how it came out.
fn is_concluded(call: &Spoken) -> bool {
    call.id.0.as_bytes().last().is_some_and(|byte| byte % 2 == 0)
}

/// What a call came to, about as long as it is.
fn insight(world: &World, random: &mut Random) -> String {
    let bullets: Vec<String> = (0..4).map(|_| world.sentence(WORDS_WRITTEN, random)).collect();
    serde_json::json!({ "summary_bullets": bullets, "intent": world.intent(random), "confidence": 0.7 })
        .to_string()
}

/// What somebody says, as it is kept to be found.
struct Said {
    text: String,
    words: String,
}

impl Said {
    fn of(world: &World, call: &Spoken, utterance: u64, random: &mut Random) -> Self {
        let mut text = world.sentence(WORDS, random);
        if utterance == 1 {
            text = format!("{text} {}", world.order_of(call));
        }
        let words = sotto_text::words(&text).join(" ");
        Self { text, words }
    }
}

fn at(unix_ms: u64) -> Result<i64> {
    Ok(i64::try_from(unix_ms)?)
}

/// Adds rows, some thousands a transaction.
macro_rules! add {
    ($pool:expr, $database:ty, $into:literal, $rows:expr, $bind:expr) => {
        for together in $rows.chunks(ROWS_TOGETHER) {
            let mut transaction = $pool.begin().await?;
            for some in together.chunks(ROWS) {
                let mut insert = QueryBuilder::<$database>::new(concat!("INSERT INTO ", $into, " "));
                insert.push_values(some, $bind);
                insert.build().execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
        }
    };
}

/// Makes a function that fills a database of a kind. `$before` and `$after` stand around the words of an utterance.
macro_rules! filler {
    ($name:ident, $database:ty, $before:literal, $after:literal) => {
        async fn $name(pool: &Pool<$database>, world: &World) -> Result<()> {
            let random = &mut Random::new(2);
            let now = at(world.now)?;
            add!(
                pool,
                $database,
                "companies (id, name, numbers, notes, words, changed_at, version)",
                world.companies,
                |mut row, (id, name): &(uuid::Uuid, String)| {
                    row.push_bind(*id).push_bind(name.as_str()).push_bind("[]").push_bind("");
                    row.push_bind(name.to_lowercase()).push_bind(now).push_bind(1_i64);
                }
            );

            let contacts = world.contacts.iter().map(ContactLine::of);
            let contacts: Vec<ContactLine<'_>> = contacts.collect::<Result<_>>()?;
            add!(
                pool,
                $database,
                "contacts (id, kind, stage, name, numbers, email, owner, notes, fields, words, created_at, active_at, \
                 company_id, version)",
                contacts,
                |mut row, line: &ContactLine<'_>| {
                    let contact = &line.known.contact;
                    row.push_bind(line.known.id).push_bind(line.kind.as_str()).push_bind(line.stage.as_str());
                    row.push_bind(contact.name.as_str()).push_bind(line.numbers.as_str());
                    row.push_bind(contact.email.as_deref()).push_bind(contact.owner.as_deref());
                    row.push_bind(contact.notes.as_str()).push_bind(line.fields.as_str());
                    row.push_bind(contact.words()).push_bind(line.created_at).push_bind(line.active_at);
                    row.push_bind(contact.company).push_bind(1_i64);
                }
            );
            let numbers: Vec<(&Phone, uuid::Uuid)> = world
                .contacts
                .iter()
                .flat_map(|known| known.contact.numbers.iter().map(|number| (number, known.id)))
                .collect();
            add!(
                pool,
                $database,
                "contact_numbers (number, contact_id)",
                numbers,
                |mut row, (number, id): &(&Phone, uuid::Uuid)| {
                    row.push_bind(number.as_str()).push_bind(*id);
                }
            );

            let (source, ended) = (name(Source::Sip)?, name(EndReason::Hangup)?);
            for some in world.calls.chunks(ROWS_TOGETHER) {
                let lines = some.iter().map(|call| Ok((call, at(call.at)?, CallLine::of(world, call, random)?)));
                let lines: Vec<(&Spoken, i64, CallLine)> = lines.collect::<Result<_>>()?;
                add!(
                    pool,
                    $database,
                    "calls (id, external_id, source, state, started_at, participants, language, recording, last_seq, \
                     last_ms, ended, duration_ms, utterances, last_words, outcome)",
                    lines,
                    |mut row, (call, at, line): &(&Spoken, i64, CallLine)| {
                        row.push_bind(call.id.0).push_bind(call.id.to_string()).push_bind(source.as_str());
                        row.push_bind("ended").push_bind(*at).push_bind(line.participants.as_str());
                        row.push_bind("en").push_bind(format!("calls/{}.wav", call.id)).push_bind(100_i64);
                        row.push_bind(line.duration_ms).push_bind(ended.as_str()).push_bind(line.duration_ms);
                        row.push_bind(UTTERANCES as i64).push_bind(line.last_words.as_str());
                        row.push_bind(line.outcome.as_deref());
                    }
                );
                let step = name(Step::Review)?;
                let jobs: Vec<(uuid::Uuid, &Spoken)> =
                    some.iter().map(|call| (random.id(call.at), call)).collect();
                add!(
                    pool,
                    $database,
                    "jobs (id, call_id, step, version, state, tries, claims, due_at, changed_at)",
                    jobs,
                    |mut row, (id, call): &(uuid::Uuid, &Spoken)| {
                        row.push_bind(*id).push_bind(call.id.0).push_bind(step.as_str());
                        row.push_bind(i64::from(Step::Review.version())).push_bind("done").push_bind(1_i64);
                        row.push_bind(1_i64).push_bind(now).push_bind(now);
                    }
                );
                add!(
                    pool,
                    $database,
                    "ai_call_insights (call_id, version, made_at, insight, quality, customer_number)",
                    some,
                    |mut row, call: &Spoken| {
                        let number = world.contacts.get(call.contact).map(|known| known.number().to_owned());
                        row.push_bind(call.id.0).push_bind(i64::from(Step::Review.version())).push_bind(now);
                        row.push_bind(insight(world, random)).push_bind(r#"{"questions":[]}"#).push_bind(number);
                    }
                );
                let moods = [CallSentiment::Positive, CallSentiment::Neutral, CallSentiment::Negative];
                let moods = moods.map(name).into_iter().collect::<Result<Vec<String>>>()?;
                add!(
                    pool,
                    $database,
                    "call_facts (call_id, started_at, agent, intent, intent_title, sentiment, score, agent_ms, \
                     customer_ms, silence_ms, finals, latency_ms, words, probability, lost_ms)",
                    lines,
                    |mut row, (call, at, line): &(&Spoken, i64, CallLine)| {
                        row.push_bind(call.id.0).push_bind(*at).push_bind(call.agent.as_str());
                        row.push_bind(world.intent(random)).push_bind(r#"{"en":"An intent"}"#);
                        row.push_bind(random.of(&moods).map(String::as_str));
                        row.push_bind(random.below(1_000) as f64 / 1_000.0);
                        row.push_bind(line.duration_ms / 2).push_bind(line.duration_ms / 3);
                        row.push_bind(line.duration_ms / 6).push_bind(UTTERANCES as i64).push_bind(4_000_i64);
                        row.push_bind((UTTERANCES * WORDS) as i64).push_bind(90.0_f64).push_bind(0_i64);
                    }
                );
                let said: Vec<(&Spoken, u64)> =
                    some.iter().flat_map(|call| (1..=UTTERANCES).map(move |n| (call, n))).collect();
                add!(
                    pool,
                    $database,
                    "call_words (call_id, utterance, party, at_ms, text, words)",
                    said,
                    |mut row, (call, n): &(&Spoken, u64)| {
                        let said = Said::of(world, call, *n, random);
                        let party = if n % 2 == 0 { "customer" } else { "agent" };
                        row.push_bind(call.id.0).push_bind(*n as i64).push_bind(party);
                        row.push_bind((*n * 6_000) as i64).push_bind(said.text);
                        row.push($before).push_bind_unseparated(said.words).push_unseparated($after);
                    }
                );
            }
            // One in a hundred is to be looked at, three have been.
            let flagged: Vec<&Spoken> = world.calls.iter().step_by(100).collect();
            add!(pool, $database, "call_flags (call_id, at, by_whom)", flagged, |mut row, call: &&Spoken| {
                row.push_bind(call.id.0).push_bind(now).push_bind("sara");
            });
            let reviewed: Vec<&Spoken> = world.calls.iter().step_by(33).collect();
            add!(
                pool,
                $database,
                "quality_reviews (call_id, reviewer, version, at, verdict, scores, comment)",
                reviewed,
                |mut row, call: &&Spoken| {
                    row.push_bind(call.id.0).push_bind("sara").push_bind(1_i64).push_bind(now);
                    row.push_bind("accepted").push_bind("[]").push_bind("");
                }
            );

            let lines = world.entries.iter().map(|entry| {
                let known = world.contacts.get(entry.contact).context("no contact")?;
                Ok((entry, at(entry.at)?, known.id))
            });
            let entries: Vec<(&Entry, i64, uuid::Uuid)> = lines.collect::<Result<_>>()?;
            add!(
                pool,
                $database,
                "communications (id, contact_id, call_id, kind, source, at, made_by, content, tags, metadata)",
                entries,
                |mut row, (entry, at, contact): &(&Entry, i64, uuid::Uuid)| {
                    let is_call = entry.call.is_some();
                    let kind = random.of(&KINDS).copied().unwrap_or_default();
                    row.push_bind(random.id(entry.at)).push_bind(*contact);
                    row.push_bind(entry.call.map(|call| call.0));
                    row.push_bind(if is_call { "call_summary" } else { kind });
                    row.push_bind(if is_call { "ai" } else { "person" }).push_bind(*at);
                    row.push_bind((!is_call).then(|| world.agent(random)));
                    row.push_bind(world.sentence(WORDS_WRITTEN, random)).push_bind("[]").push_bind("{}");
                }
            );
            drop(entries);

            // Three for each contact, most of them done.
            let tasks: Vec<&Known> = world.contacts.iter().flat_map(|known| [known; 3]).collect();
            let span = world.now - world.begin;
            let begin = now - at(span)?;
            add!(
                pool,
                $database,
                "tasks (id, contact_id, state, kind, title, due_at, priority, assignee, made_at, made_by, changed_at, \
                 unaccepted, version)",
                tasks,
                |mut row, known: &&Known| {
                    let made = begin + random.below(span) as i64;
                    let due = if random.below(5) == 0 { i64::MAX } else { made + random.below(30 * DAY_MS) as i64 };
                    let state = ["open", "proposed", "done", "done", "dismissed"].get(random.below(5) as usize);
                    let state = state.copied().unwrap_or("open");
                    let priority = ["low", "normal", "high"].get(random.below(3) as usize);
                    row.push_bind(random.id(made.unsigned_abs())).push_bind(known.id);
                    row.push_bind(state).push_bind("callback");
                    row.push_bind(OFTEN.first().copied()).push_bind(due);
                    row.push_bind(priority.copied().unwrap_or("low"));
                    row.push_bind((random.below(3) > 0).then(|| world.agent(random)));
                    row.push_bind(made).push_bind("sara").push_bind(made);
                    row.push_bind(state == "proposed").push_bind(1_i64);
                }
            );
            Ok(())
        }
    };
}

filler!(fill_sqlite, Sqlite, "(", ")");
filler!(fill_postgres, Postgres, "array_to_tsvector(string_to_array(", ", ' '))");
