//! What contacts owe, have paid or were paid back.

use std::collections::BTreeSet;

use sotto_crm::{Amount, Currency, Payment, PaymentState, Phone, Place};
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use crate::deliveries::{EventKind, Told, tell};
use crate::store::{
    clean, from_json, from_name, name_of, narrow, narrow_to_words, one_of, placed, read, seen, signed,
    transaction, unless_stale, unsigned,
};
use crate::{Store, StoreError};

/// References that are looked up together.
const TOGETHER: usize = 500;

/// A payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentRow {
    /// Its id, a UUID version 7.
    pub id: Uuid,
    /// Whose it is.
    pub contact: Uuid,
    /// What they are called.
    pub contact_name: String,
    /// Their usual number, if they have one.
    pub contact_phone: Option<Phone>,
    /// What is paid.
    pub payment: Payment,
    /// Since when it is there, in milliseconds since 1970 (UTC).
    pub made_at_unix_ms: u64,
    /// Who has written it down.
    pub made_by: String,
    /// When it was changed last, in milliseconds since 1970 (UTC).
    pub changed_at_unix_ms: u64,
    /// How often it was changed, from 1: who changes it says which one they have seen.
    pub version: u64,
}

impl PaymentRow {
    /// Where it stands in a list.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { at_unix_ms: self.payment.at(self.made_at_unix_ms), id: self.id }
    }
}

/// Which payments to list.
#[derive(Clone, Debug, Default)]
pub struct PaymentFilter {
    /// Only these.
    pub state: Option<PaymentState>,
    /// Only this contact's.
    pub contact: Option<Uuid>,
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
    contact_id: Uuid,
    contact_name: String,
    numbers: String,
    state: String,
    minor: i64,
    currency: String,
    about: String,
    reference: Option<String>,
    due_at: Option<i64>,
    paid_at: Option<i64>,
    made_at: i64,
    made_by: String,
    changed_at: i64,
    version: i64,
}

const PAYMENTS: &str = "SELECT payments.id, contact_id, contacts.name AS contact_name, numbers, state, minor, currency, about, \
     reference, due_at, paid_at, made_at, made_by, changed_at, payments.version \
     FROM payments JOIN contacts ON contacts.id = contact_id WHERE 1 = 1";

/// Binds a payment's id, what is written down of it, and a time: `$1` to `$10` of a statement.
macro_rules! bind_payment {
    ($query:expr, $id:expr, $payment:expr, $at:expr) => {
        $query
            .bind($id)
            .bind(name_of(&$payment.state)?)
            .bind($payment.amount.minor())
            .bind($payment.amount.currency().code())
            .bind(clean(&$payment.about))
            .bind($payment.reference.as_deref().map(clean))
            .bind($payment.due_at_unix_ms.map(|at| signed(at, "time")).transpose()?)
            .bind($payment.paid_at_unix_ms.map(|at| signed(at, "time")).transpose()?)
            .bind(clean(&$payment.words()))
            .bind($at)
    };
}

/// Keeps a new payment of a contact and tells of it, within a transaction; says how many contacts of this id there were.
macro_rules! insert {
    ($store:expr, $tx:ident, $id:expr, $contact:expr, $payment:expr, $by:expr, $at:expr, $at_unix_ms:expr) => {{
        let added = sqlx::query(
            "INSERT INTO payments (id, contact_id, state, minor, currency, about, reference, due_at, paid_at, words, made_at, \
             made_by, changed_at, at, version) \
             SELECT $1, id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $10, $12, 1 FROM contacts WHERE id = $13",
        );
        let added = bind_payment!(added, $id, $payment, $at)
            .bind(clean($by))
            .bind(signed($payment.at($at_unix_ms), "time")?)
            .bind($contact);
        let added = added.execute(&mut **$tx).await.map_err(|error| taken(error, $payment))?.rows_affected();
        if added > 0 {
            tell!($store, $tx, Told { subject: Some($id), ..Told::of(EventKind::PaymentChanged, $at) });
        }
        added
    }};
}

fn taken(error: sqlx::Error, payment: &Payment) -> StoreError {
    match error {
        sqlx::Error::Database(error) if error.is_unique_violation() => {
            StoreError::ReferenceTaken(payment.reference.clone().unwrap_or_default())
        }
        error => error.into(),
    }
}

impl Store {
    /// Keeps a new payment; nothing where there is no such contact.
    ///
    /// # Errors
    /// [`StoreError::ReferenceTaken`] when another payment has its reference.
    pub async fn add_payment(
        &self,
        contact: Uuid,
        payment: &Payment,
        by: &str,
        at_unix_ms: u64,
    ) -> Result<Option<PaymentRow>, StoreError> {
        let (id, at) = (Uuid::now_v7(), signed(at_unix_ms, "time")?);
        let added = transaction!(self, tx => {
            insert!(self, tx, id, contact, payment, by, at, at_unix_ms)
        });
        if added == 0 { Ok(None) } else { self.payment(id).await }
    }

    /// Keeps new payments, each of a contact, all of them or none.
    ///
    /// # Errors
    /// [`StoreError::ReferenceTaken`] when another payment has one of their references, [`StoreError::Stale`] when one of the
    /// contacts is no more.
    pub async fn add_payments(
        &self,
        payments: &[(Uuid, Payment)],
        by: &str,
        at_unix_ms: u64,
    ) -> Result<(), StoreError> {
        let at = signed(at_unix_ms, "time")?;
        transaction!(self, tx => {
            for (contact, payment) in payments {
                let id = Uuid::now_v7();
                if insert!(self, tx, id, *contact, payment, by, at, at_unix_ms) == 0 {
                    return Err(StoreError::Stale);
                }
            }
        });
        Ok(())
    }

    /// Which of these references some payment has.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn references_taken(&self, references: &[&str]) -> Result<BTreeSet<String>, StoreError> {
        let mut taken = BTreeSet::new();
        for some in references.chunks(TOGETHER) {
            let rows: Vec<String> = read!(self, db => {
                let mut query = QueryBuilder::new("SELECT reference FROM payments WHERE reference IN (");
                let mut list = query.separated(", ");
                for reference in some {
                    list.push_bind(clean(reference));
                }
                query.push(")");
                query.build_query_scalar().fetch_all(db).await?
            });
            taken.extend(rows);
        }
        Ok(taken)
    }

    /// Puts a payment in the place of the one of this version, and says what is kept now; nothing where there is none of this
    /// id.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when somebody else has changed it since, [`StoreError::ReferenceTaken`] when another payment has
    /// its reference.
    pub async fn change_payment(
        &self,
        id: Uuid,
        version: u64,
        payment: &Payment,
        at_unix_ms: u64,
    ) -> Result<Option<PaymentRow>, StoreError> {
        let (at, version) = (signed(at_unix_ms, "time")?, seen(version)?);
        let Some(before) = self.payment(id).await? else { return Ok(None) };
        let listed_at = signed(payment.at(before.made_at_unix_ms), "time")?;
        let changed = transaction!(self, tx => {
            let changed = sqlx::query(
                "UPDATE payments SET state = $2, minor = $3, currency = $4, about = $5, reference = $6, due_at = $7, \
                 paid_at = $8, words = $9, changed_at = $10, at = $11, version = version + 1 \
                 WHERE id = $1 AND version = $12",
            );
            let changed = bind_payment!(changed, id, payment, at).bind(listed_at).bind(version);
            let changed =
                changed.execute(&mut **tx).await.map_err(|error| taken(error, payment))?.rows_affected();
            if changed > 0 {
                tell!(self, tx, Told { subject: Some(id), ..Told::of(EventKind::PaymentChanged, at) });
            }
            changed
        });
        let now = self.payment(id).await?;
        unless_stale(changed, now)
    }

    /// A payment.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn payment(&self, id: Uuid) -> Result<Option<PaymentRow>, StoreError> {
        let row: Option<Raw> = one_of!(self, PAYMENTS, " AND payments.id = ": id);
        row.map(PaymentRow::try_from).transpose()
    }

    /// Payments, the latest first: by when they were paid, else are due, else were written down.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn payments(&self, filter: &PaymentFilter) -> Result<Vec<PaymentRow>, StoreError> {
        let state = filter.state.map(|state| name_of(&state)).transpose()?;
        let before = filter.before.map(placed).transpose()?;
        let rows: Vec<Raw> = read!(self, db => {
            let mut query = QueryBuilder::new(PAYMENTS);
            narrow!(query, " AND state = ": state, " AND contact_id = ": filter.contact);
            narrow_to_words!(query, "payments.words", &filter.terms);
            if let Some((at, id)) = before {
                query.push(" AND (at, payments.id) < (").push_bind(at).push(", ").push_bind(id).push(")");
            }
            query.push(" ORDER BY at DESC, payments.id DESC LIMIT ").push_bind(i64::from(filter.limit));
            query.build_query_as().fetch_all(db).await?
        });
        rows.into_iter().map(PaymentRow::try_from).collect()
    }
}

impl TryFrom<Raw> for PaymentRow {
    type Error = StoreError;
    fn try_from(raw: Raw) -> Result<Self, StoreError> {
        let numbers: Vec<Phone> = from_json(&raw.numbers, "numbers")?;
        let amount = raw.currency.parse::<Currency>().and_then(|currency| Amount::of(raw.minor, currency));
        let time = |at: Option<i64>| at.map(|at| unsigned(at, "time")).transpose();
        Ok(Self {
            id: raw.id,
            contact: raw.contact_id,
            contact_name: raw.contact_name,
            contact_phone: numbers.into_iter().next(),
            payment: Payment {
                state: from_name(raw.state)?,
                amount: amount.map_err(|wrong| StoreError::Invalid(wrong.to_string()))?,
                about: raw.about,
                reference: raw.reference,
                due_at_unix_ms: time(raw.due_at)?,
                paid_at_unix_ms: time(raw.paid_at)?,
            },
            made_at_unix_ms: unsigned(raw.made_at, "time")?,
            made_by: raw.made_by,
            changed_at_unix_ms: unsigned(raw.changed_at, "time")?,
            version: unsigned(raw.version, "version")?,
        })
    }
}
