//! Payments as a table of text, one a line: what banks, shops and spreadsheets have of them.

use std::collections::{HashMap, HashSet};

use time::{OffsetDateTime, UtcOffset};
use uuid::Uuid;

use crate::table::{name_of, named, plain, row, rows_of};
use crate::{Amount, Country, Payment, PaymentState, Phone, Problem, Unreadable, Wrong, due, line};

/// A column, and what it may be called besides its own name, in one spelling.
const COLUMNS: [(Column, &[&str]); 9] = [
    (Column::Lead, &[]),
    (Column::Phone, &["phones", "تلفن", "شماره"]),
    (Column::Amount, &["مبلغ"]),
    (Column::Currency, &["ارز", "واحد"]),
    (Column::State, &["وضعیت"]),
    (Column::About, &["for", "بابت"]),
    (Column::Reference, &["شماره پیگیری", "پیگیری"]),
    (Column::Due, &["سررسید"]),
    (Column::Paid, &["date", "تاریخ", "تاریخ پرداخت"]),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Column {
    Lead,
    Phone,
    Amount,
    Currency,
    State,
    About,
    Reference,
    Due,
    Paid,
}

impl Column {
    fn name(self) -> &'static str {
        match self {
            Self::Lead => "lead_id",
            Self::Phone => "phone",
            Self::Amount => "amount",
            Self::Currency => "currency",
            Self::State => "state",
            Self::About => "about",
            Self::Reference => "reference",
            Self::Due => "due",
            Self::Paid => "paid",
        }
    }

    fn called(name: &str) -> Option<Self> {
        let name = sotto_text::fold(name);
        let mut columns = COLUMNS.into_iter();
        columns
            .find(|(one, others)| one.name() == name || others.contains(&name.as_str()))
            .map(|(one, _)| one)
    }
}

/// Whose a payment of a table is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payer {
    /// The contact with this id.
    Contact(Uuid),
    /// Whoever has this number.
    Phone(Phone),
}

/// A payment of a table, with the line it begins in, counted from 1, and whose it is.
pub type PaymentLine = (u64, (Payer, Payment));

/// By what a table of payments is read.
#[derive(Clone, Copy, Debug)]
pub struct PaymentRules {
    /// The country whose numbers are written without its code.
    pub country: Option<Country>,
    /// On what clock times are written.
    pub clock: UtcOffset,
    /// When it is read, in milliseconds since 1970 (UTC).
    pub now_unix_ms: u64,
}

/// The payments of a table as they are kept, each with the line it begins in, counted from 1, and whose it is. The first line names
/// the columns, of which only `amount` has to be there; those that are none of ours are left out. What says nothing of its state
/// is paid where it says when, and due otherwise. Days are written `2026-12-01`, or `1405/09/10` by the Jalali calendar, with a
/// time or without.
///
/// # Errors
/// What is wrong, by line, at most a hundred of them.
pub fn payments_of(table: &[u8], rules: PaymentRules) -> Result<Vec<PaymentLine>, Vec<Problem>> {
    let mut lines: HashMap<String, u64> = HashMap::new();
    rows_of(table, columns, |columns, record, line| {
        let (payer, payment) = payment(columns, record, rules)?;
        if let Some(reference) = &payment.reference
            && let Some(other) = lines.insert(reference.clone(), line)
        {
            return Err(Unreadable::ReferenceTwice(reference.clone(), other));
        }
        Ok((payer, payment))
    })
}

fn columns(head: &csv::StringRecord) -> Result<Vec<Option<Column>>, Unreadable> {
    let columns: Vec<Option<Column>> = head.iter().map(|name| Column::called(&line(&plain(name)))).collect();
    let mut known = HashSet::new();
    if let Some(twice) = columns.iter().flatten().find(|column| !known.insert(**column)) {
        return Err(Unreadable::Twice(twice.name().to_owned()));
    }
    if known.contains(&Column::Amount) { Ok(columns) } else { Err(Unreadable::NoColumn("amount")) }
}

fn payment(
    columns: &[Option<Column>],
    record: &csv::StringRecord,
    rules: PaymentRules,
) -> Result<(Payer, Payment), Unreadable> {
    if record.iter().skip(columns.len()).any(|cell| !cell.trim().is_empty()) {
        return Err(Unreadable::TooWide);
    }
    let cells: HashMap<Column, String> = columns
        .iter()
        .zip(record)
        .filter(|(_, cell)| !cell.trim().is_empty())
        .filter_map(|(column, cell)| Some(((*column)?, line(&plain(cell.trim())))))
        .collect();
    let cell = |column: Column| cells.get(&column).map(String::as_str);
    let at = |column: Column| cell(column).map(|text| moment(column, text, rules)).transpose();
    let payer = match (cell(Column::Lead), cell(Column::Phone)) {
        (Some(id), _) => {
            Payer::Contact(id.parse().map_err(|_| Unreadable::Unknown("lead_id", id.to_owned()))?)
        }
        (None, Some(number)) => {
            let phone = Phone::parse(number, rules.country);
            Payer::Phone(phone.ok_or_else(|| Wrong::Number(number.to_owned()))?)
        }
        (None, None) => return Err(Unreadable::Nobodys),
    };
    let (due_at_unix_ms, paid_at_unix_ms) = (at(Column::Due)?, at(Column::Paid)?);
    let state = match cell(Column::State) {
        Some(state) => named("state", state)?,
        None if paid_at_unix_ms.is_some() => PaymentState::Paid,
        None => PaymentState::Due,
    };
    let amount = cell(Column::Amount).ok_or(Wrong::Empty("amount"))?;
    let payment = Payment {
        state,
        amount: Amount::parse(amount, cell(Column::Currency).ok_or(Wrong::Empty("currency"))?)?,
        about: cell(Column::About).unwrap_or_default().to_owned(),
        reference: cell(Column::Reference).map(str::to_owned),
        due_at_unix_ms,
        paid_at_unix_ms,
    };
    Ok((payer, payment.checked()?))
}

/// When something is, as tables write it.
fn moment(column: Column, text: &str, rules: PaymentRules) -> Result<u64, Unreadable> {
    let spelled: String = text.chars().map(|c| sotto_text::digit(c).unwrap_or(c)).collect();
    let spelled = spelled.replace('/', "-").replace(' ', "T");
    let is_day = spelled.starts_with(|c: char| c.is_ascii_digit());
    let at = is_day.then(|| due(&spelled, rules.now_unix_ms, rules.clock)).flatten();
    at.ok_or_else(|| Unreadable::Unknown(column.name(), text.to_owned()))
}

/// The first line of a table of payments, which names the columns. It begins with the mark by which spreadsheets know UTF-8.
#[must_use]
pub fn payments_head() -> String {
    format!("\u{feff}{}", row(COLUMNS.into_iter().map(|(column, _)| column.name().to_owned())))
}

/// The line of a contact's payment, with times to the minute on a clock.
#[must_use]
pub fn payment_line(contact: Uuid, phone: Option<&Phone>, payment: &Payment, clock: UtcOffset) -> String {
    let at = |at: Option<u64>| at.and_then(|at| written(at, clock)).unwrap_or_default();
    let of = |column: Column| match column {
        Column::Lead => contact.to_string(),
        Column::Phone => phone.map(Phone::to_string).unwrap_or_default(),
        Column::Amount => payment.amount.to_string(),
        Column::Currency => payment.amount.currency().code().to_owned(),
        Column::State => name_of(&payment.state),
        Column::About => payment.about.clone(),
        Column::Reference => payment.reference.clone().unwrap_or_default(),
        Column::Due => at(payment.due_at_unix_ms),
        Column::Paid => at(payment.paid_at_unix_ms),
    };
    row(COLUMNS.into_iter().map(|(column, _)| of(column)))
}

/// As [`moment`] reads it.
fn written(at_unix_ms: u64, clock: UtcOffset) -> Option<String> {
    let at = OffsetDateTime::from_unix_timestamp(i64::try_from(at_unix_ms / 1_000).ok()?).ok()?;
    let at = at.checked_to_offset(clock)?;
    let (month, minute) = (u8::from(at.month()), at.minute());
    Some(format!("{:04}-{month:02}-{:02}T{:02}:{minute:02}", at.year(), at.day(), at.hour()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules() -> PaymentRules {
        let clock = UtcOffset::from_hms(3, 30, 0).unwrap();
        PaymentRules { country: Some("IR".parse().unwrap()), clock, now_unix_ms: 1_796_038_200_000 }
    }

    /// 2026-12-01 in Tehran.
    const DAY: u64 = 1_796_070_600_000;

    #[test]
    fn payments_are_read_in_either_language() {
        let phone = Payer::Phone(Phone::parse("+989121234567", None).unwrap());
        for table in [
            "phone,amount,currency,about,reference,paid,who\n0912 123 4567,\"250,000\",toman,Panel,A-1,2026-12-01,x\n",
            "تلفن;مبلغ;واحد;بابت;شماره پیگیری;تاریخ\n۰۹۱۲۱۲۳۴۵۶۷;۲۵۰٬۰۰۰;تومان;Panel;A-1;۱۴۰۵/۰۹/۱۰\n",
        ] {
            let payments = payments_of(table.as_bytes(), rules()).unwrap();
            let [(2, (payer, payment))] = payments.as_slice() else { panic!("{payments:?}") };
            assert_eq!((payer, payment.state), (&phone, PaymentState::Paid), "{table}");
            assert_eq!((payment.amount.minor(), payment.paid_at_unix_ms), (2_500_000, Some(DAY)));
            assert_eq!((payment.about.as_str(), payment.reference.as_deref()), ("Panel", Some("A-1")));
        }
    }

    #[test]
    fn what_is_wrong_with_payments_is_told_by_line() {
        let table = "lead_id,phone,amount,currency,state,paid,reference\n\
            ,,5,EUR,,,\n,1002,5,EUR,,,\nx,,5,EUR,,,\n,09121234567,5,,,,\n,09121234567,,EUR,,,\n\
            ,09121234567,1.234,EUR,,,\n,09121234567,5,EUR,lost,,\n,09121234567,5,EUR,paid,,\n\
            ,09121234567,5,EUR,,yesterday,\n,09121234567,5,EUR,,,R\n,09121234567,5,EUR,,,R\n,09121234567,5,EUR,,,,more\n";
        let problems = payments_of(table.as_bytes(), rules()).unwrap_err();
        let told: Vec<(u64, String)> =
            problems.into_iter().map(|Problem { line, why }| (line, why.to_string())).collect();
        let expected = [
            (2, "it says neither by `phone` nor by `lead_id` whose it is"),
            (3, "`1002` is no telephone number"),
            (4, "`x` is no lead_id"),
            (5, "`currency` must not be empty"),
            (6, "`amount` must not be empty"),
            (7, "`1.234` is no amount"),
            (8, "`lost` is no state"),
            (9, "`paid` must not be empty"),
            (10, "`yesterday` is no paid"),
            (12, "the reference R is in line 11 as well"),
            (13, "there are more cells than columns"),
        ];
        assert_eq!(told, expected.map(|(line, why)| (line, why.to_owned())));
        let head = |text: &str| payments_of(text.as_bytes(), rules()).unwrap_err().remove(0).why;
        assert_eq!(head("phone\n"), Unreadable::NoColumn("amount"));
        assert_eq!(head("amount,مبلغ\n"), Unreadable::Twice("amount".to_owned()));
    }

    proptest! {
        #[test]
        fn payments_that_are_written_are_read_again(
            minor in 1..1_000_000_i64, about in "['=+@-]{0,2}\\PC{0,20}", reference in "['=+@-]{0,2}\\PC{0,20}",
            due in prop::option::of(0..40_000_000_u64), paid in prop::option::of(0..40_000_000_u64), id in any::<u128>(),
        ) {
            let payment = Payment {
                state: if paid.is_some() { PaymentState::Refunded } else { PaymentState::Cancelled },
                amount: Amount::of(minor, "EUR".parse().unwrap()).unwrap(),
                about,
                reference: Some(reference),
                due_at_unix_ms: due.map(|minute| minute * 60_000),
                paid_at_unix_ms: paid.map(|minute| minute * 60_000),
            };
            let Ok(payment) = payment.checked() else { return Ok(()) };
            let contact = Uuid::from_u128(id);
            let table = format!("{}{}", payments_head(), payment_line(contact, None, &payment, rules().clock));
            prop_assert_eq!(payments_of(table.as_bytes(), rules()), Ok(vec![(2, (Payer::Contact(contact), payment))]));
        }

        #[test]
        fn whatever_table_is_uploaded_gets_an_answer(table in "(phone|amount|currency|paid|EUR|\\PC|[,;\"\n\t]){0,60}") {
            let _ = payments_of(table.as_bytes(), rules());
        }
    }
}
