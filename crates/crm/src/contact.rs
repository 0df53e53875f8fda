//! Whoever calls, or is called.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Phone, Wrong, line, lines, optional, within};

/// Characters of a name and of an e-mail address (RFC 5321, section 4.5.3.1).
const LONGEST_NAME: usize = 200;
const LONGEST_EMAIL: usize = 254;
/// Characters of what else is written down.
const LONGEST_NOTES: usize = 5_000;
const LONGEST_FIELD: usize = 40;
const LONGEST_VALUE: usize = 500;
/// Numbers and fields.
const MOST_NUMBERS: usize = 10;
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
        let name = line(&self.name);
        if name.is_empty() {
            return Err(Wrong::Empty("name"));
        }
        within("name", &name, LONGEST_NAME)?;
        let mut numbers: Vec<Phone> = Vec::new();
        for number in &self.numbers {
            if !numbers.contains(number) {
                numbers.push(number.clone());
            }
        }
        if numbers.len() > MOST_NUMBERS {
            return Err(Wrong::TooMuch("phones", MOST_NUMBERS));
        }
        let email =
            optional("email", self.email.as_deref(), LONGEST_EMAIL)?.map(|email| email.to_lowercase());
        if let Some(email) = email.as_ref().filter(|email| !is_email(email)) {
            return Err(Wrong::Email(email.clone()));
        }
        let notes = lines(&self.notes);
        within("notes", &notes, LONGEST_NOTES)?;
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
        Ok(Self { kind: self.kind, stage: self.stage, name, numbers, email, owner, notes, fields })
    }

    /// What the contact is found by, in one spelling.
    #[must_use]
    pub fn words(&self) -> String {
        let numbers = self.numbers.iter().map(Phone::as_str);
        let texts = [self.name.as_str()].into_iter().chain(numbers).chain(self.email.as_deref());
        let fields = self.fields.values().map(String::as_str);
        let texts: Vec<String> = texts.chain(fields).map(sotto_text::fold).collect();
        texts.join("\n")
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
