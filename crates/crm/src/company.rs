//! Whom contacts belong to.

use crate::{Phone, Wrong, found_by, name_of, notes_of, once};

/// A company, as people write it down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Company {
    /// What it is called.
    pub name: String,
    /// Its own numbers, those of nobody in particular, the usual one first. No two companies have the same.
    pub numbers: Vec<Phone>,
    /// What is worth knowing of it.
    pub notes: String,
}

impl Company {
    /// The company as it is kept: without what surrounds texts, each number once.
    ///
    /// # Errors
    /// [`Wrong`], which says what cannot be kept.
    pub fn checked(&self) -> Result<Self, Wrong> {
        let (name, numbers, notes) = (name_of(&self.name)?, once(&self.numbers)?, notes_of(&self.notes)?);
        Ok(Self { name, numbers, notes })
    }

    /// What the company is found by, in one spelling: see [`crate::terms`].
    #[must_use]
    pub fn words(&self) -> String {
        found_by([self.name.as_str()].into_iter().chain(self.numbers.iter().map(Phone::as_str)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_company_is_tidy_and_found_in_either_spelling() {
        let number = Phone::parse("+982188776655", None).unwrap();
        let company =
            Company {
                name: " شركت نور ".to_owned(), numbers: vec![number; 2], notes: "\0".to_owned()
            };
        let kept = company.checked().unwrap();
        assert_eq!((kept.name.as_str(), kept.numbers.len(), kept.notes.as_str()), ("شركت نور", 1, ""));
        for query in ["شرکت", "021-8877", "نور ۸۸۷۷"] {
            assert!(crate::terms(query).iter().all(|term| kept.words().contains(term.as_str())), "{query}");
        }
        let nameless = Company { name: "\n".to_owned(), ..company };
        assert_eq!(nameless.checked(), Err(Wrong::Empty("name")));
    }
}
