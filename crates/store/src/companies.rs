//! Whom contacts belong to.

use std::collections::BTreeMap;

use sotto_crm::{Company, Phone, Place};
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use crate::contacts::taken;
use crate::store::{
    clean, from_json, narrow_to_words, placed, read, seen, signed, to_json, transaction, unless_stale,
    unsigned,
};
use crate::{Store, StoreError};

/// A company.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompanyRow {
    /// Its id, a UUID version 7.
    pub id: Uuid,
    /// What it is.
    pub company: Company,
    /// When it was changed last, in milliseconds since 1970 (UTC).
    pub changed_at_unix_ms: u64,
    /// How often it was changed, from 1: who changes it says which one they have seen.
    pub version: u64,
}

/// Which companies to list.
#[derive(Clone, Debug, Default)]
pub struct CompanyFilter {
    /// Only whose number it is.
    pub number: Option<Phone>,
    /// Only those in whose words all of these are: see [`sotto_crm::terms`].
    pub terms: Vec<String>,
    /// Only those further down than this.
    pub before: Option<Place>,
    /// At most so many.
    pub limit: u32,
}

#[derive(FromRow)]
struct Raw {
    id: Uuid,
    name: String,
    numbers: String,
    notes: String,
    changed_at: i64,
    version: i64,
}

/// Binds a company's id, what is written down of it, and a time: `$1` to `$6` of a statement.
macro_rules! bind_company {
    ($query:expr, $id:expr, $company:expr, $at:expr) => {
        $query
            .bind($id)
            .bind(clean(&$company.name))
            .bind(to_json(&$company.numbers)?)
            .bind(clean(&$company.notes))
            .bind(clean(&$company.words()))
            .bind($at)
    };
}

/// Gives a company its numbers, and no others, within a transaction.
macro_rules! put_numbers {
    ($tx:ident, $id:expr, $company:expr) => {
        sqlx::query("DELETE FROM company_numbers WHERE company_id = $1")
            .bind($id)
            .execute(&mut **$tx)
            .await?;
        for number in &$company.numbers {
            sqlx::query("INSERT INTO company_numbers (number, company_id) VALUES ($1, $2)")
                .bind(number.as_str())
                .bind($id)
                .execute(&mut **$tx)
                .await
                .map_err(|error| taken(error, number))?;
        }
    };
}

impl Store {
    /// Keeps a new company.
    ///
    /// # Errors
    /// [`StoreError::NumberTaken`] when another company has one of its numbers.
    pub async fn add_company(&self, company: &Company, at_unix_ms: u64) -> Result<CompanyRow, StoreError> {
        let (id, at) = (Uuid::now_v7(), signed(at_unix_ms, "time")?);
        transaction!(self, tx => {
            let added = sqlx::query(
                "INSERT INTO companies (id, name, numbers, notes, words, changed_at, version) \
                 VALUES ($1, $2, $3, $4, $5, $6, 1)",
            );
            bind_company!(added, id, company, at).execute(&mut **tx).await?;
            put_numbers!(tx, id, company);
        });
        Ok(CompanyRow { id, company: company.clone(), changed_at_unix_ms: at_unix_ms, version: 1 })
    }

    /// Puts a company in the place of the one of this version, and says what is kept now; nothing where there is none of this
    /// id.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when somebody else has changed it since, [`StoreError::NumberTaken`] when another company has
    /// one of its numbers.
    pub async fn change_company(
        &self,
        id: Uuid,
        version: u64,
        company: &Company,
        at_unix_ms: u64,
    ) -> Result<Option<CompanyRow>, StoreError> {
        let (at, version) = (signed(at_unix_ms, "time")?, seen(version)?);
        let changed = transaction!(self, tx => {
            let changed = sqlx::query(
                "UPDATE companies SET name = $2, numbers = $3, notes = $4, words = $5, changed_at = $6, \
                 version = version + 1 WHERE id = $1 AND version = $7",
            );
            let changed = bind_company!(changed, id, company, at).bind(version);
            let changed = changed.execute(&mut **tx).await?.rows_affected();
            if changed > 0 {
                put_numbers!(tx, id, company);
            }
            changed
        });
        let now = self.company(id).await?;
        unless_stale(changed, now)
    }

    /// A company.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn company(&self, id: Uuid) -> Result<Option<CompanyRow>, StoreError> {
        let row: Option<Raw> = read!(self, db => {
            sqlx::query_as("SELECT * FROM companies WHERE id = $1").bind(id).fetch_optional(db).await?
        });
        row.map(CompanyRow::try_from).transpose()
    }

    /// Companies, those that were changed last come first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn companies(&self, filter: &CompanyFilter) -> Result<Vec<CompanyRow>, StoreError> {
        let before = filter.before.map(placed).transpose()?;
        let rows: Vec<Raw> = read!(self, db => {
            let mut query = QueryBuilder::new("SELECT * FROM companies WHERE 1 = 1");
            if let Some(number) = &filter.number {
                let number = number.to_string();
                query.push(" AND id IN (SELECT company_id FROM company_numbers WHERE number = ");
                query.push_bind(number).push(")");
            }
            narrow_to_words!(query, "words", &filter.terms);
            if let Some((at, id)) = before {
                query.push(" AND (changed_at, id) < (").push_bind(at).push(", ").push_bind(id).push(")");
            }
            query.push(" ORDER BY changed_at DESC, id DESC LIMIT ").push_bind(i64::from(filter.limit));
            query.build_query_as().fetch_all(db).await?
        });
        rows.into_iter().map(CompanyRow::try_from).collect()
    }

    /// What these companies are called.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn company_names(&self, ids: &[Uuid]) -> Result<BTreeMap<Uuid, String>, StoreError> {
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let rows: Vec<(Uuid, String)> = read!(self, db => {
            let mut query = QueryBuilder::new("SELECT id, name FROM companies WHERE id IN (");
            let mut list = query.separated(", ");
            for id in ids {
                list.push_bind(*id);
            }
            query.push(")");
            query.build_query_as().fetch_all(db).await?
        });
        Ok(rows.into_iter().collect())
    }

    /// Removes a company, of this version where one is given; its contacts stay, and belong to none. Says whether there was one.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when somebody else has changed it since.
    pub async fn remove_company(&self, id: Uuid, version: Option<u64>) -> Result<bool, StoreError> {
        let version = version.map(seen).transpose()?;
        let removed = transaction!(self, tx => {
            sqlx::query("DELETE FROM companies WHERE id = $1 AND version = coalesce($2, version)")
                .bind(id)
                .bind(version)
                .execute(&mut **tx)
                .await?
                .rows_affected()
        });
        if removed == 0 && self.company(id).await?.is_some() {
            return Err(StoreError::Stale);
        }
        if removed > 0 {
            self.forget_old_rows();
        }
        Ok(removed > 0)
    }
}

impl TryFrom<Raw> for CompanyRow {
    type Error = StoreError;
    fn try_from(raw: Raw) -> Result<Self, StoreError> {
        let numbers = from_json(&raw.numbers, "numbers")?;
        Ok(Self {
            id: raw.id,
            company: Company { name: raw.name, numbers, notes: raw.notes },
            changed_at_unix_ms: unsigned(raw.changed_at, "time")?,
            version: unsigned(raw.version, "version")?,
        })
    }
}
