//! What the language model has cost on a day, in tokens.

use std::collections::BTreeMap;

use sqlx::FromRow;

use crate::store::{clean, read, signed, transaction, unsigned};
use crate::{Store, StoreError};

#[derive(FromRow)]
struct Raw {
    purpose: String,
    tokens: i64,
}

impl Store {
    /// Tokens taken on a day (its number since 1970, UTC), by what for.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn model_tokens(&self, day: u64) -> Result<BTreeMap<String, u64>, StoreError> {
        let day = signed(day, "day")?;
        let rows: Vec<Raw> = read!(self, db => {
            sqlx::query_as("SELECT purpose, tokens FROM model_tokens WHERE day = $1")
                .bind(day)
                .fetch_all(db)
                .await?
        });
        rows.into_iter().map(|Raw { purpose, tokens }| Ok((purpose, unsigned(tokens, "tokens")?))).collect()
    }

    /// Keeps what was taken on a day, in place of what was known of it. Of earlier days nothing is left.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn put_model_tokens(&self, day: u64, tokens: &BTreeMap<String, u64>) -> Result<(), StoreError> {
        let day = signed(day, "day")?;
        transaction!(self, tx => {
            sqlx::query("DELETE FROM model_tokens WHERE day <= $1").bind(day).execute(&mut **tx).await?;
            for (purpose, tokens) in tokens {
                sqlx::query("INSERT INTO model_tokens (day, purpose, tokens) VALUES ($1, $2, $3)")
                    .bind(day)
                    .bind(clean(purpose))
                    // A server says what it likes of what a question cost.
                    .bind(i64::try_from(*tokens).unwrap_or(i64::MAX))
                    .execute(&mut **tx)
                    .await?;
            }
        });
        Ok(())
    }
}
