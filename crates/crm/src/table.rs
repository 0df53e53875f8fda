//! Tables of text (CSV, RFC 4180), as spreadsheets read and write them; and contacts as one, one a line, with their own fields as
//! columns.
//!
//! What a spreadsheet would take for a formula is written with an apostrophe before it, which is left out again when it is read
//! (OWASP, "CSV injection").

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Contact, ContactKind, Country, Phone, Stage, Wrong, line};

/// Rows of a table at most.
pub const MOST_ROWS: usize = 5_000;
/// Problems that are told of a table at most.
const MOST_PROBLEMS: usize = 100;
/// Before the name of a field of the organisation's own that would be taken for one of ours.
const OWN: &str = "fields.";

/// A column, and what it may be called besides its own name, in one spelling.
const COLUMNS: [(Column, &[&str]); 7] = [
    (Column::Name, &["نام"]),
    (Column::Kind, &["نوع"]),
    (Column::Stage, &["مرحله"]),
    (Column::Phones, &["phone", "تلفن", "شماره"]),
    (Column::Email, &["e-mail", "ایمیل"]),
    (Column::Owner, &["مسیول"]),
    (Column::Notes, &["یادداشت"]),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Column {
    Name,
    Kind,
    Stage,
    Phones,
    Email,
    Owner,
    Notes,
}

impl Column {
    fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Kind => "kind",
            Self::Stage => "stage",
            Self::Phones => "phones",
            Self::Email => "email",
            Self::Owner => "owner",
            Self::Notes => "notes",
        }
    }

    /// The column that is called so, by whatever case and keyboard.
    fn called(name: &str) -> Option<Self> {
        let name = sotto_text::fold(name);
        COLUMNS
            .into_iter()
            .find(|(one, others)| one.name() == name || others.contains(&name.as_str()))
            .map(|(one, _)| one)
    }
}

/// Why a line of a table cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is not text.
    #[error("this is not text in UTF-8")]
    NoText,
    /// The first line does not name the columns, or not the one that has to be there.
    #[error("the first line names no column `{0}`")]
    NoColumn(&'static str),
    /// A column is there twice.
    #[error("the column `{0}` is there twice")]
    Twice(String),
    /// More cells than columns.
    #[error("there are more cells than columns")]
    TooWide,
    /// More rows than are taken at once.
    #[error("there are more than {} rows", MOST_ROWS)]
    TooMany,
    /// A kind, a stage or a state that is none.
    #[error("`{1}` is no {0}")]
    Unknown(&'static str, String),
    /// A number is another line's as well.
    #[error("the number {0} is in line {1} as well")]
    NumberTwice(String, u64),
    /// A reference is another line's as well.
    #[error("the reference {0} is in line {1} as well")]
    ReferenceTwice(String, u64),
    /// It does not say whose it is.
    #[error("it says neither by `phone` nor by `lead_id` whose it is")]
    Nobodys,
    /// What cannot be kept.
    #[error(transparent)]
    Wrong(#[from] Wrong),
}

/// A line of a table that cannot be read, counted from 1, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which.
    pub line: u64,
    /// Why not.
    pub why: Unreadable,
}

/// The contacts of a table as they are kept, each with the line it begins in, counted from 1. The first line names the columns, of
/// which only `name` has to be there; what is none of ours is a field of the organisation's own. Cells are parted by commas,
/// semicolons or tabs. Numbers without their country's code are read as those of `country`.
///
/// # Errors
/// What is wrong, by line, at most a hundred of them.
pub fn contacts_of(table: &[u8], country: Option<Country>) -> Result<Vec<(u64, Contact)>, Vec<Problem>> {
    let mut lines: HashMap<Phone, u64> = HashMap::new();
    rows_of(table, columns, |columns, record, line| {
        let contact = contact(columns, record, country)?;
        for number in &contact.numbers {
            if let Some(other) = lines.insert(number.clone(), line) {
                return Err(Unreadable::NumberTwice(number.to_string(), other));
            }
        }
        Ok(contact)
    })
}

/// What `row` makes of the lines of a table, each with the line it begins in, counted from 1; `columns` reads the first line, by
/// whichever of commas, semicolons and tabs makes sense there.
///
/// # Errors
/// What is wrong, by line, at most a hundred of them.
pub(crate) fn rows_of<C, T>(
    table: &[u8],
    columns: impl Fn(&csv::StringRecord) -> Result<C, Unreadable>,
    mut row: impl FnMut(&C, &csv::StringRecord, u64) -> Result<T, Unreadable>,
) -> Result<Vec<(u64, T)>, Vec<Problem>> {
    let all = |line, why| vec![Problem { line, why }];
    let text = std::str::from_utf8(table).map_err(|error| {
        let before = &table[..error.valid_up_to()];
        all(1 + before.iter().filter(|byte| **byte == b'\n').count() as u64, Unreadable::NoText)
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let reader = |delimiter: u8| {
        let mut builder = csv::ReaderBuilder::new();
        builder.has_headers(false).flexible(true).delimiter(delimiter).from_reader(text.as_bytes())
    };
    let head = |delimiter| {
        let head = reader(delimiter).records().next().and_then(Result::ok);
        columns(&head.unwrap_or_default())
    };
    let found =
        [b',', b';', b'\t'].into_iter().find_map(|delimiter| Some((delimiter, head(delimiter).ok()?)));
    let Some((delimiter, columns)) = found else {
        return Err(all(1, head(b',').err().unwrap_or(Unreadable::NoText)));
    };
    let mut reader = reader(delimiter);
    // Of text in memory every line can be read.
    let records = reader.records().skip(1).map_while(Result::ok);
    let (mut at, mut line) = (0, 1);
    let (mut rows, mut problems) = (Vec::new(), Vec::new());
    for record in records.filter(|record| record.iter().any(|cell| !cell.trim().is_empty())) {
        let begin = record.position().map_or(0, |place| usize::try_from(place.byte()).unwrap_or(usize::MAX));
        // Lines in which there is nothing stand between records, and belong to none.
        let rest = text.as_bytes().get(begin..).unwrap_or_default();
        let begin = begin + rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let passed = text.as_bytes().get(at..begin).unwrap_or_default();
        line += passed.iter().filter(|byte| **byte == b'\n').count() as u64;
        at = begin;
        match row(&columns, &record, line) {
            Ok(row) => rows.push((line, row)),
            Err(why) => problems.push(Problem { line, why }),
        }
        if rows.len() > MOST_ROWS {
            problems.push(Problem { line, why: Unreadable::TooMany });
            break;
        }
        if problems.len() >= MOST_PROBLEMS {
            break;
        }
    }
    if problems.is_empty() { Ok(rows) } else { Err(problems) }
}

/// What the columns hold: ours, or fields by these names.
fn columns(head: &csv::StringRecord) -> Result<Vec<Result<Column, String>>, Unreadable> {
    let named = head.iter().map(|name| {
        let name = line(&plain(name));
        match (Column::called(&name), name.strip_prefix(OWN)) {
            (Some(column), _) => Ok(column),
            (None, own) => Err(own.unwrap_or(&name).to_owned()),
        }
    });
    let columns: Vec<Result<Column, String>> = named.collect();
    // Whoever sends a table decides how many columns there are.
    let twice = {
        let mut known = HashSet::new();
        columns.iter().find(|column| **column != Err(String::new()) && !known.insert(*column))
    };
    if let Some(column) = twice {
        let name = column.clone().map_or_else(|own| own, |column| column.name().to_owned());
        return Err(Unreadable::Twice(name));
    }
    if columns.contains(&Ok(Column::Name)) { Ok(columns) } else { Err(Unreadable::NoColumn("name")) }
}

fn contact(
    columns: &[Result<Column, String>],
    record: &csv::StringRecord,
    country: Option<Country>,
) -> Result<Contact, Unreadable> {
    let mut contact = Contact {
        kind: ContactKind::Lead,
        stage: Stage::New,
        name: String::new(),
        numbers: Vec::new(),
        email: None,
        company: None,
        owner: None,
        notes: String::new(),
        fields: BTreeMap::new(),
    };
    for (n, cell) in record.iter().enumerate().filter(|(_, cell)| !cell.trim().is_empty()) {
        let cell = plain(cell).into_owned();
        match columns.get(n) {
            Some(Ok(Column::Name)) => contact.name = cell,
            Some(Ok(Column::Kind)) => contact.kind = named("kind", &cell)?,
            Some(Ok(Column::Stage)) => contact.stage = named("stage", &cell)?,
            Some(Ok(Column::Phones)) => {
                let numbers =
                    cell.split([',', ';', '،', '؛', '\n']).filter(|number| !number.trim().is_empty());
                let read = |number: &str| {
                    let number = plain(number.trim());
                    Phone::parse(&number, country).ok_or_else(|| Wrong::Number(line(&number)))
                };
                contact.numbers = numbers.map(read).collect::<Result<_, _>>()?;
            }
            Some(Ok(Column::Email)) => contact.email = Some(cell),
            Some(Ok(Column::Owner)) => contact.owner = Some(cell),
            Some(Ok(Column::Notes)) => contact.notes = cell,
            Some(Err(field)) if !field.is_empty() => _ = contact.fields.insert(field.clone(), cell),
            Some(Err(_)) | None => return Err(Unreadable::TooWide),
        }
    }
    Ok(contact.checked()?)
}

/// What programs call so.
pub(crate) fn named<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, Unreadable> {
    let name = sotto_text::fold(text.trim());
    serde_json::from_value(Value::String(name)).map_err(|_| Unreadable::Unknown(what, line(text)))
}

pub(crate) fn name_of(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Contacts as lines of a table, with columns for these fields of the organisation's own.
#[derive(Clone, Debug)]
pub struct Table {
    fields: Vec<String>,
}

impl Table {
    /// A table with columns for these fields.
    #[must_use]
    pub fn new(fields: Vec<String>) -> Self {
        Self { fields }
    }

    /// Its first line, which names the columns. It begins with the mark by which spreadsheets know UTF-8.
    #[must_use]
    pub fn head(&self) -> String {
        let own =
            self.fields.iter().map(|field| match Column::called(field).is_some() || field.starts_with(OWN) {
                true => format!("{OWN}{field}"),
                false => field.clone(),
            });
        let names = COLUMNS.into_iter().map(|(column, _)| column.name().to_owned());
        format!("\u{feff}{}", row(names.chain(own)))
    }

    /// The line of a contact.
    #[must_use]
    pub fn line(&self, contact: &Contact) -> String {
        let numbers: Vec<&str> = contact.numbers.iter().map(Phone::as_str).collect();
        let of = |column: Column| match column {
            Column::Name => contact.name.clone(),
            Column::Kind => name_of(&contact.kind),
            Column::Stage => name_of(&contact.stage),
            Column::Phones => numbers.join(", "),
            Column::Email => contact.email.clone().unwrap_or_default(),
            Column::Owner => contact.owner.clone().unwrap_or_default(),
            Column::Notes => contact.notes.clone(),
        };
        let own = self.fields.iter().map(|field| contact.fields.get(field).cloned().unwrap_or_default());
        row(COLUMNS.into_iter().map(|(column, _)| of(column)).chain(own))
    }
}

pub(crate) fn row(cells: impl Iterator<Item = String>) -> String {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    // Nothing can fail in memory.
    let written = writer.write_record(cells.map(|cell| guarded(&cell).into_owned()));
    let bytes = written.ok().and_then(|()| writer.into_inner().ok());
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

/// Whether a spreadsheet would take it for a formula, if there were no apostrophes before it.
fn is_formula(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'])
}

fn guarded(text: &str) -> Cow<'_, str> {
    if is_formula(text) { format!("'{text}").into() } else { text.into() }
}

/// The way back.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    match text.strip_prefix('\'').filter(|_| is_formula(text)) {
        Some(text) => text.into(),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn iran() -> Option<Country> {
        Some("IR".parse().unwrap())
    }

    fn problems(table: &str) -> Vec<(u64, String)> {
        let problems = contacts_of(table.as_bytes(), iran()).unwrap_err();
        problems.into_iter().map(|Problem { line, why }| (line, why.to_string())).collect()
    }

    #[test]
    fn a_table_is_read_by_its_first_line_in_either_language() {
        for table in [
            "Name,PHONE,stage,city\r\nSara,\"0912 123 4567, ۰۹۳۵۱۲۳۴۵۶۷\",qualified,Shiraz\r\n\r\n,,,\r\n",
            "\u{feff}نام;تلفن;مرحله;city\nSara;0912 123 4567،09351234567;Qualified;Shiraz",
            "phones\tname\tstage\tfields.city\n'+989121234567; +98 935 123 4567\tSara\tqualified\tShiraz\n",
        ] {
            let contacts = contacts_of(table.as_bytes(), iran()).unwrap();
            let [(line, sara)] = contacts.as_slice() else { panic!("{contacts:?}") };
            assert_eq!((*line, sara.name.as_str(), sara.stage), (2, "Sara", Stage::Qualified), "{table}");
            let numbers: Vec<&str> = sara.numbers.iter().map(Phone::as_str).collect();
            assert_eq!(numbers, ["+989121234567", "+989351234567"]);
            assert_eq!(sara.fields["city"], "Shiraz");
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_line() {
        let table = "name,kind,phones,email\nA,lead,12,\nB,friend,,\n\n\"C\nD\",lead,,x\nE,lead,09121234567,\nF,lead,+989121234567,\nG,,,,H\n,lead,,\n";
        assert_eq!(
            problems(table),
            [
                (2, "`12` is no telephone number"),
                (3, "`friend` is no kind"),
                (5, "`x` is no e-mail address"),
                (8, "the number +989121234567 is in line 7 as well"),
                (9, "there are more cells than columns"),
                (10, "`name` must not be empty"),
            ]
            .map(|(line, why)| (line, why.to_owned()))
        );
        assert_eq!(problems(""), [(1, "the first line names no column `name`".to_owned())]);
        assert_eq!(problems("phones\n1"), [(1, "the first line names no column `name`".to_owned())]);
        assert_eq!(problems("name,نام\n"), [(1, "the column `name` is there twice".to_owned())]);
        let no_text = contacts_of(b"name\nA\n\xff\n", None).unwrap_err();
        assert_eq!(no_text, [Problem { line: 3, why: Unreadable::NoText }]);
        let many = format!("name\n{}", "A\n".repeat(MOST_ROWS + 1));
        assert_eq!(problems(&many), [(5_002, "there are more than 5000 rows".to_owned())]);
        assert_eq!(problems(&format!("name,kind\n{}", "A,x\n".repeat(500))).len(), MOST_PROBLEMS);
    }

    #[test]
    fn a_table_of_very_many_columns_is_answered_soon() {
        let mut columns: Vec<String> = (0..100_000).map(|n| n.to_string()).collect();
        columns.push("name".to_owned());
        // Were each compared with all before it, this would take a minute.
        assert_eq!(contacts_of(columns.join(",").as_bytes(), None), Ok(Vec::new()));
        columns.push("7".to_owned());
        assert_eq!(problems(&columns.join(",")), [(1, "the column `7` is there twice".to_owned())]);
    }

    #[test]
    fn nothing_that_is_written_is_a_formula() {
        let table = Table::new(vec!["=1".to_owned(), "name".to_owned()]);
        let contact = Contact {
            kind: ContactKind::Lead,
            stage: Stage::New,
            name: "=HYPERLINK(\"http://evil.example\")".to_owned(),
            numbers: vec![Phone::parse("+989121234567", None).unwrap()],
            email: None,
            company: None,
            owner: None,
            notes: "@SUM(1)\n\"two\"".to_owned(),
            fields: [("=1", "-2"), ("name", "'+3")].map(|(a, b)| (a.to_owned(), b.to_owned())).into(),
        };
        let text = format!("{}{}", table.head(), table.line(&contact));
        assert_eq!(
            text,
            "\u{feff}name,kind,stage,phones,email,owner,notes,'=1,fields.name\r\n\
             \"'=HYPERLINK(\"\"http://evil.example\"\")\",lead,new,'+989121234567,,,\"'@SUM(1)\n\"\"two\"\"\",'-2,''+3\r\n"
        );
        assert_eq!(contacts_of(text.as_bytes(), None), Ok(vec![(2, contact)]));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            name in "['=+@-]{0,2}\\PC{1,20}", notes in "['=+@-]{0,2}[\\PC\n]{0,30}", value in "['=+@-]{0,2}\\PC{1,20}",
            field in "['=+@-]{0,2}\\PC{1,12}",
        ) {
            let contact = Contact {
                kind: ContactKind::Representative,
                stage: Stage::Lost,
                name,
                numbers: vec![Phone::parse("+989121234567", None).unwrap()],
                email: Some("a@example.com".to_owned()),
                company: None,
                owner: Some("mina".to_owned()),
                notes,
                fields: [(field, value)].into(),
            };
            let Ok(contact) = contact.checked() else { return Ok(()) };
            let table = Table::new(contact.fields.keys().cloned().collect());
            let text = format!("{}{}", table.head(), table.line(&contact));
            prop_assert_eq!(contacts_of(text.as_bytes(), None), Ok(vec![(2, contact)]));
        }

        #[test]
        fn whatever_is_uploaded_gets_an_answer(table in "(name|kind|phones|\\PC|[,;\"\n\t]){0,60}", bytes in any::<Vec<u8>>()) {
            let _ = (contacts_of(table.as_bytes(), iran()), contacts_of(&bytes, None));
        }
    }
}
