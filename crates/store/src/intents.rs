//! What the organisation changed about the intents of its file.

use std::collections::BTreeMap;

use sotto_call::PlaybookStep;
use sqlx::FromRow;

use crate::store::{clean, from_json, read, signed, to_json, transaction, unsigned};
use crate::{Store, StoreError};

/// An intent that was added, renamed or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntentRow {
    /// Its name, for programs.
    pub name: String,
    /// What people call it, by language.
    pub title: BTreeMap<String, String>,
    /// Whether supervisors are to know of it while the call is live.
    pub alert: bool,
    /// It is an intent no more, whatever the file says.
    pub removed: bool,
    /// When it was last changed, in milliseconds since 1970 (UTC).
    pub changed_at_unix_ms: u64,
    /// By whom.
    pub changed_by: String,
}

/// A sentence, and the one intent that it is an example of, whatever the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExampleRow {
    /// The sentence.
    pub text: String,
    /// The intent's name; absent: it is none of the intents.
    pub intent: Option<String>,
    /// It is an example no more.
    pub removed: bool,
    /// When it was last changed, in milliseconds since 1970 (UTC).
    pub changed_at_unix_ms: u64,
    /// By whom.
    pub changed_by: String,
}

/// What agents do for a customer who wants an intent, whatever the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaybookRow {
    /// The intent's name.
    pub intent: String,
    /// Step by step; none where there is nothing to do.
    pub steps: Vec<PlaybookStep>,
    /// When it was last changed, in milliseconds since 1970 (UTC).
    pub changed_at_unix_ms: u64,
    /// By whom.
    pub changed_by: String,
}

/// All that was changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IntentEdits {
    /// By name.
    pub intents: Vec<IntentRow>,
    /// Those changed first come first.
    pub examples: Vec<ExampleRow>,
    /// By the name of the intent.
    pub playbooks: Vec<PlaybookRow>,
}

#[derive(FromRow)]
struct RawIntent {
    name: String,
    title: String,
    alert: bool,
    removed: bool,
    changed_at: i64,
    changed_by: String,
}

#[derive(FromRow)]
struct RawExample {
    text: String,
    intent: Option<String>,
    removed: bool,
    changed_at: i64,
    changed_by: String,
}

#[derive(FromRow)]
struct RawPlaybook {
    intent: String,
    steps: String,
    changed_at: i64,
    changed_by: String,
}

impl Store {
    /// What the organisation changed about its intents.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn intent_edits(&self) -> Result<IntentEdits, StoreError> {
        let intents: Vec<RawIntent> =
            read!(self, db => sqlx::query_as("SELECT * FROM intents ORDER BY name").fetch_all(db).await?);
        let examples: Vec<RawExample> = read!(self, db => {
            sqlx::query_as("SELECT * FROM intent_examples ORDER BY changed_at, text").fetch_all(db).await?
        });
        let playbooks: Vec<RawPlaybook> = read!(self, db => {
            sqlx::query_as("SELECT * FROM playbooks ORDER BY intent").fetch_all(db).await?
        });
        Ok(IntentEdits {
            intents: intents.into_iter().map(IntentRow::try_from).collect::<Result<_, _>>()?,
            examples: examples.into_iter().map(ExampleRow::try_from).collect::<Result<_, _>>()?,
            playbooks: playbooks.into_iter().map(PlaybookRow::try_from).collect::<Result<_, _>>()?,
        })
    }

    /// Keeps what an intent is from now on. One that is removed takes along what was said of its examples, and its playbook.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn put_intent(&self, row: &IntentRow) -> Result<(), StoreError> {
        let (title, at) = (to_json(&row.title)?, signed(row.changed_at_unix_ms, "time")?);
        transaction!(self, tx => {
            sqlx::query(
                "INSERT INTO intents (name, title, alert, removed, changed_at, changed_by) \
                 VALUES ($1, $2, $3, $4, $5, $6) \
                 ON CONFLICT (name) DO UPDATE SET title = excluded.title, alert = excluded.alert, \
                 removed = excluded.removed, changed_at = excluded.changed_at, changed_by = excluded.changed_by",
            )
            .bind(clean(&row.name))
            .bind(title.clone())
            .bind(row.alert)
            .bind(row.removed)
            .bind(at)
            .bind(clean(&row.changed_by))
            .execute(&mut **tx)
            .await?;
            if row.removed {
                for statement in [
                    "DELETE FROM intent_examples WHERE intent = $1",
                    "DELETE FROM playbooks WHERE intent = $1",
                ] {
                    sqlx::query(statement).bind(clean(&row.name)).execute(&mut **tx).await?;
                }
            }
        });
        if row.removed {
            self.forget_old_rows();
        }
        Ok(())
    }

    /// Keeps what agents do for who wants an intent, from now on.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn put_playbook(&self, row: &PlaybookRow) -> Result<(), StoreError> {
        let (steps, at) = (to_json(&row.steps)?, signed(row.changed_at_unix_ms, "time")?);
        transaction!(self, tx => {
            sqlx::query(
                "INSERT INTO playbooks (intent, steps, changed_at, changed_by) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (intent) DO UPDATE SET steps = excluded.steps, changed_at = excluded.changed_at, \
                 changed_by = excluded.changed_by",
            )
            .bind(clean(&row.intent))
            .bind(steps.clone())
            .bind(at)
            .bind(clean(&row.changed_by))
            .execute(&mut **tx)
            .await?;
        });
        Ok(())
    }

    /// Keeps what a sentence is an example of from now on.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn put_example(&self, row: &ExampleRow) -> Result<(), StoreError> {
        let at = signed(row.changed_at_unix_ms, "time")?;
        transaction!(self, tx => {
            sqlx::query(
                "INSERT INTO intent_examples (text, intent, removed, changed_at, changed_by) \
                 VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (text) DO UPDATE SET intent = excluded.intent, removed = excluded.removed, \
                 changed_at = excluded.changed_at, changed_by = excluded.changed_by",
            )
            .bind(clean(&row.text))
            .bind(row.intent.as_deref().map(clean))
            .bind(row.removed)
            .bind(at)
            .bind(clean(&row.changed_by))
            .execute(&mut **tx)
            .await?;
        });
        Ok(())
    }

    /// Forgets what was said of a sentence: from now on it is what the file says.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn forget_example(&self, text: &str) -> Result<(), StoreError> {
        transaction!(self, tx => {
            sqlx::query("DELETE FROM intent_examples WHERE text = $1")
                .bind(clean(text))
                .execute(&mut **tx)
                .await?;
        });
        self.forget_old_rows();
        Ok(())
    }
}

impl TryFrom<RawIntent> for IntentRow {
    type Error = StoreError;
    fn try_from(raw: RawIntent) -> Result<Self, StoreError> {
        Ok(Self {
            name: raw.name,
            title: from_json(&raw.title, "title")?,
            alert: raw.alert,
            removed: raw.removed,
            changed_at_unix_ms: unsigned(raw.changed_at, "time")?,
            changed_by: raw.changed_by,
        })
    }
}

impl TryFrom<RawPlaybook> for PlaybookRow {
    type Error = StoreError;
    fn try_from(raw: RawPlaybook) -> Result<Self, StoreError> {
        Ok(Self {
            intent: raw.intent,
            steps: from_json(&raw.steps, "steps")?,
            changed_at_unix_ms: unsigned(raw.changed_at, "time")?,
            changed_by: raw.changed_by,
        })
    }
}

impl TryFrom<RawExample> for ExampleRow {
    type Error = StoreError;
    fn try_from(raw: RawExample) -> Result<Self, StoreError> {
        Ok(Self {
            text: raw.text,
            intent: raw.intent,
            removed: raw.removed,
            changed_at_unix_ms: unsigned(raw.changed_at, "time")?,
            changed_by: raw.changed_by,
        })
    }
}
