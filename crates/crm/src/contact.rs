//! Whoever calls, or is called.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{LONGEST_NAME, Phone, Wrong, found_by, line, name_of, notes_of, once, optional, within};

/// Characters of an e-mail address (RFC 5321, section 4.5.3.1).
const LONGEST_EMAIL: usize = 254;
/// Characters of a field's name, and of what it says.
const LONGEST_FIELD: usize = 40;
const LONGEST_VALUE: usize = 500;
/// Fields.
const MOST_FIELDS: usize = 30;
/// Words that are looked for at once.
const MOST_TERMS: usize = 8;

/// What a contact is to the organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContactKind {
    /// Somebody who may buy, or has bought.
    Lead,
    /// Somebody who sells for the organisation.
    Representative,
}

/// How far a contact is on the way to becoming a customer. The names are those of an insight's `lead_stage_suggestion`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Nobody has talked to them.
    New,
    /// They have been talked to.
    Contacted,
    /// They want to know more, or say what they need.
    Qualified,
    /// They have bought.
    Converted,
    /// They will not.
    Lost,
}

/// A contact, as people write it down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// What they are to the organisation.
    pub kind: ContactKind,
    /// How far they are.
    pub stage: Stage,
    /// What they are called.
    pub name: String,
    /// Their numbers, the usual one first. No two contacts have the same.
    pub numbers: Vec<Phone>,
    /// Their address for e-mail.
    pub email: Option<String>,
    /// The company they belong to.
    pub company: Option<Uuid>,
    /// The user who looks after them.
    pub owner: Option<String>,
    /// What is worth knowing of them.
    pub notes: String,
    /// What else the organisation writes down, by its own names for it: `city`, `course`, `budget`.
    pub fields: BTreeMap<String, String>,
}

impl Contact {
    /// The contact as it is kept: without what surrounds texts, without fields in which there is nothing, each number once.
    ///
    /// # Errors
    /// [`Wrong`], which says what cannot be kept.
    pub fn checked(&self) -> Result<Self, Wrong> {
        let (name, numbers) = (name_of(&self.name)?, once(&self.numbers)?);
        let email =
            optional("email", self.email.as_deref(), LONGEST_EMAIL)?.map(|email| email.to_lowercase());
        if let Some(email) = email.as_ref().filter(|email| !is_email(email)) {
            return Err(Wrong::Email(email.clone()));
        }
        let notes = notes_of(&self.notes)?;
        let mut fields = BTreeMap::new();
        for (field, value) in &self.fields {
            let Some(value) = optional("fields", Some(value.as_str()), LONGEST_VALUE)? else { continue };
            let field = line(field);
            if field.is_empty() {
                return Err(Wrong::Empty("fields"));
            }
            within("fields", &field, LONGEST_FIELD)?;
            fields.insert(field, value);
        }
        if fields.len() > MOST_FIELDS {
            return Err(Wrong::TooMuch("fields", MOST_FIELDS));
        }
        let owner = optional("owner", self.owner.as_deref(), LONGEST_NAME)?;
        let Self { kind, stage, company, .. } = *self;
        Ok(Self { kind, stage, name, numbers, email, company, owner, notes, fields })
    }

    /// This contact with what is known of the same person as another one: the numbers of both, of the rest what this one has
    /// not, and the other's name, address and notes beside the notes, as far as they say something else.
    ///
    /// # Errors
    /// [`Wrong`] when that is more than may be kept.
    pub fn merged(&self, other: &Self) -> Result<Self, Wrong> {
        let email = self.email.as_deref().or(other.email.as_deref());
        let others = [Some(other.name.as_str()), other.email.as_deref(), Some(other.notes.as_str())];
        let others = others.into_iter().flatten();
        let others = others
            .filter(|text| ![self.name.as_str(), self.notes.as_str()].contains(text) && Some(*text) != email);
        let notes: Vec<&str> =
            [self.notes.as_str()].into_iter().chain(others).filter(|text| !text.is_empty()).collect();
        let mut fields = other.fields.clone();
        fields.extend(self.fields.clone());
        let merged = Self {
            numbers: self.numbers.iter().chain(&other.numbers).cloned().collect(),
            email: email.map(str::to_owned),
            company: self.company.or(other.company),
            owner: self.owner.clone().or_else(|| other.owner.clone()),
            notes: notes.join("\n"),
            fields,
            ..self.clone()
        };
        merged.checked()
    }

    /// What the contact is found by, in one spelling.
    #[must_use]
    pub fn words(&self) -> String {
        let numbers = self.numbers.iter().map(Phone::as_str);
        let texts = [self.name.as_str()].into_iter().chain(numbers).chain(self.email.as_deref());
        let fields = self.fields.values().map(String::as_str);
        found_by(texts.chain(fields))
    }
}

/// What is looked for among [`Contact::words`], all of it. Of a number only what is the same with and without its prefix.
#[must_use]
pub fn terms(query: &str) -> Vec<String> {
    let is_of_number = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '(' | ')' | '.');
    let folded = sotto_text::fold(query);
    let terms = folded.split_whitespace().map(|term| match term.chars().all(is_of_number) {
        true => {
            let digits: String = term.chars().filter(char::is_ascii_digit).collect();
            digits.trim_start_matches('0').to_owned()
        }
        false => term.to_owned(),
    });
    terms.filter(|term| !term.is_empty()).take(MOST_TERMS).collect()
}

/// Whether it looks like an address; whether anybody reads what is sent there, only sending tells.
pub(crate) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let is_part = |part: &str| {
        !part.is_empty() && !part.chars().any(|c| c.is_whitespace() || matches!(c, '@' | '<' | '>' | ','))
    };
    is_part(local) && is_part(domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact() -> Contact {
        Contact {
            kind: ContactKind::Lead,
            stage: Stage::New,
            name: " سارا كريمي ".to_owned(),
            numbers: vec![Phone::parse("+989121234567", None).unwrap(); 2],
            email: Some("Sara@Example.com ".to_owned()),
            company: None,
            owner: Some(" ".to_owned()),
            notes: "calls\nlate\0".to_owned(),
            fields: [("city", "Shiraz"), ("budget", " ")].map(|(a, b)| (a.to_owned(), b.to_owned())).into(),
        }
    }

    #[test]
    fn what_is_kept_is_tidy() {
        let kept = contact().checked().unwrap();
        assert_eq!((kept.name.as_str(), kept.numbers.len()), ("سارا كريمي", 1));
        assert_eq!((kept.email.as_deref(), kept.owner.as_deref()), (Some("sara@example.com"), None));
        assert_eq!((kept.notes.as_str(), kept.fields.len()), ("calls\nlate", 1));
        assert_eq!(kept.checked().as_ref(), Ok(&kept));
    }

    #[test]
    fn what_cannot_be_kept_is_named() {
        let wrong = |change: fn(&mut Contact)| {
            let mut contact = contact();
            change(&mut contact);
            contact.checked().unwrap_err()
        };
        assert_eq!(wrong(|one| one.name = "\n".to_owned()), Wrong::Empty("name"));
        assert_eq!(wrong(|one| one.name = "x".repeat(201)), Wrong::TooMuch("name", 200));
        assert_eq!(wrong(|one| one.notes = "x".repeat(5_001)), Wrong::TooMuch("notes", 5_000));
        assert_eq!(
            wrong(|one| one.fields = [(" ".to_owned(), "x".to_owned())].into()),
            Wrong::Empty("fields")
        );
        for email in ["sara", "@example.com", "sara@", "a b@example.com", "a@b@c", "<a@b>"] {
            let mut contact = contact();
            contact.email = Some(email.to_owned());
            assert_eq!(contact.checked(), Err(Wrong::Email(email.to_owned())));
        }
    }

    #[test]
    fn nothing_of_what_is_merged_is_lost() {
        let one = contact().checked().unwrap();
        let other = Contact {
            stage: Stage::Lost,
            name: "Sara K.".to_owned(),
            numbers: vec![Phone::parse("+442079460018", None).unwrap(), one.numbers[0].clone()],
            email: Some("sara@home.example".to_owned()),
            company: Some(Uuid::nil()),
            owner: Some("mina".to_owned()),
            notes: "sings".to_owned(),
            fields: [("city", "Tehran"), ("course", "IELTS")]
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
                .into(),
            ..one.clone()
        };
        let merged = one.merged(&other).unwrap();
        assert_eq!((merged.stage, merged.name.as_str()), (one.stage, one.name.as_str()));
        let numbers: Vec<&str> = merged.numbers.iter().map(Phone::as_str).collect();
        assert_eq!(numbers, ["+989121234567", "+442079460018"]);
        assert_eq!((merged.email.as_deref(), merged.owner.as_deref()), (one.email.as_deref(), Some("mina")));
        assert_eq!(merged.company, Some(Uuid::nil()));
        assert_eq!(merged.notes, "calls\nlate\nSara K.\nsara@home.example\nsings");
        assert_eq!((merged.fields["city"].as_str(), merged.fields["course"].as_str()), ("Shiraz", "IELTS"));
        assert_eq!(one.merged(&one).unwrap(), one, "the same adds nothing");
        let many = Contact {
            numbers: (0..10).filter_map(|n| Phone::parse(&format!("+44207946001{n}"), None)).collect(),
            ..other
        };
        assert_eq!(one.merged(&many), Err(Wrong::TooMuch("phones", 10)));
    }

    #[test]
    fn a_contact_is_found_in_either_spelling_and_by_a_part_of_the_number() {
        let words = contact().checked().unwrap().words();
        for query in
            ["سارا کریمی", "كريمي", "SHIRAZ", "sara@", "0912 123", "۰۹۱۲۱۲۳۴۵۶۷", "+98-912", "4567 shir"]
        {
            assert!(terms(query).iter().all(|term| words.contains(term.as_str())), "{query}");
        }
        assert!(!terms("sara tehran").iter().all(|term| words.contains(term.as_str())));
        assert_eq!(terms(" 000 + "), [""; 0]);
        assert_eq!(terms(&"a ".repeat(99)).len(), MOST_TERMS);
    }
}
