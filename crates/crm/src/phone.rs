//! Telephone numbers in one spelling, so that whoever rings is found by the number that was written down.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use phonenumber::{Mode, country};
use serde::{Deserialize, Serialize};

/// Digits of a number at least: what is shorter is an extension, or no number.
const SHORTEST: usize = 7;
/// Digits of a number at most (ITU-T E.164, section 6).
const LONGEST: usize = 15;
/// Digits that are dialled before it at most, to reach other countries.
const LONGEST_PREFIX: usize = 5;

/// The country whose numbers are written without its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country(country::Id);

impl FromStr for Country {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let code = text.trim().to_uppercase();
        code.parse().map(Self).map_err(|_| format!("`{text}` is no country like IR or GB"))
    }
}

impl TryFrom<String> for Country {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Country> for String {
    fn from(Country(id): Country) -> Self {
        AsRef::<str>::as_ref(&id).to_owned()
    }
}

/// A telephone number in one spelling: E.164 (`+989123456789`) where its country is known, otherwise its digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Phone(String);

impl Phone {
    /// The number that somebody wrote, in whatever digits and with whatever between them. Nothing where it is none, and for
    /// what is too short to be anybody's but an extension's.
    ///
    /// Without its country's code it is read as numbers of `country` are dialled there.
    #[must_use]
    pub fn parse(text: &str, country: Option<Country>) -> Option<Self> {
        let (mut digits, mut is_whole) = (String::new(), false);
        for c in text.trim().chars().filter(|c| !sotto_text::is_silent(*c)) {
            match sotto_text::digit(c) {
                Some(digit) => digits.push(digit),
                None if matches!(c, '+' | '＋') && digits.is_empty() && !is_whole => is_whole = true,
                None if is_between(c) => {}
                None => return None,
            }
            if digits.len() > LONGEST + LONGEST_PREFIX {
                return None;
            }
        }
        // The prefix for other countries that the ITU recommends (E.123); those of some countries are known by the country.
        if !is_whole && digits.starts_with("00") {
            is_whole = true;
            digits.drain(..2);
        }
        if digits.len() < SHORTEST {
            return None;
        }
        let known = match is_whole {
            true => e164(None, &format!("+{digits}")),
            false => country.and_then(|Country(id)| e164(Some(id), &digits)),
        };
        known.or_else(|| {
            let plus = if is_whole { "+" } else { "" };
            (digits.len() <= LONGEST).then(|| Self(format!("{plus}{digits}")))
        })
    }

    /// The number in an address of record: `sip:+989123456789@pbx.example`, `tel:+98-912-345-6789`, or as [`Phone::parse`].
    #[must_use]
    pub fn of_address(address: &str, country: Option<Country>) -> Option<Self> {
        let is_scheme =
            |scheme: &str| ["sip", "sips", "tel"].iter().any(|one| scheme.eq_ignore_ascii_case(one));
        let bare = match address.split_once(':') {
            Some((scheme, bare)) if is_scheme(scheme) => bare,
            _ => address,
        };
        let user = bare.split(['@', ';', '>']).next()?;
        Self::parse(&user.replace("%2B", "+").replace("%2b", "+"), country)
    }

    /// As it is kept and compared.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What people write between digits.
fn is_between(c: char) -> bool {
    c.is_whitespace() || matches!(c, '-' | '.' | '(' | ')' | '/' | '\u{2010}'..='\u{2015}')
}

/// A number that a country gives out. Only digits, and a plus, come here: nothing of what telephone addresses are besides.
fn e164(country: Option<country::Id>, text: &str) -> Option<Phone> {
    let number = phonenumber::parse(country, text).ok().filter(phonenumber::is_valid)?;
    let mut written = String::new();
    // It cannot be written where its country is not known.
    write!(written, "{}", number.format().mode(Mode::E164)).ok()?;
    Some(Phone(written))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn iran() -> Option<Country> {
        Some("IR".parse().unwrap())
    }

    fn read(text: &str) -> Option<String> {
        Phone::of_address(text, iran()).map(|phone| phone.to_string())
    }

    #[test]
    fn one_number_has_one_spelling_however_it_is_written_and_dialled() {
        for text in [
            "+989121234567",
            "00989121234567",
            "09121234567",
            "9121234567",
            "۰۹۱۲ ۱۲۳ ۴۵۶۷",
            "+98 (912) 123-4567",
            "\u{200e}0912-123-4567",
            "sip:+989121234567@pbx.example;user=phone",
            "SIPS:%2B989121234567@pbx.example:5061",
            "tel:+98-912-123-4567",
            "09121234567@pbx:5060",
        ] {
            assert_eq!(read(text).as_deref(), Some("+989121234567"), "{text}");
        }
        assert_eq!(read("+44 20 7946 0018").as_deref(), Some("+442079460018"), "of another country");
    }

    #[test]
    fn what_is_no_number_of_anybody_outside_is_none() {
        for text in [
            "",
            "+",
            "1002",
            "sip:1002@pbx.example",
            "anonymous",
            "sip:mina@pbx",
            "12x34567",
            "++98912",
            "tel:",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read(&"9".repeat(40)), None);
    }

    #[test]
    fn a_number_whose_country_is_not_known_is_its_digits() {
        let read = |text: &str| Phone::parse(text, None).map(|phone| phone.to_string());
        assert_eq!(read("0912 123 4567").as_deref(), Some("09121234567"));
        assert_eq!(read("+98 912 123 4567").as_deref(), Some("+989121234567"));
    }

    #[test]
    fn countries_are_known_by_their_codes() {
        assert_eq!(String::from("ir".parse::<Country>().unwrap()), "IR");
        assert!("Iran".parse::<Country>().unwrap_err().contains("IR or GB"));
    }

    proptest! {
        #[test]
        fn whatever_is_written_gets_an_answer(text in "[+＋]?([0-9۰-۹٠-٩ ()./@;:%-]|tel:|sip:|\\PC){0,30}") {
            for country in [None, iran()] {
                if let Some(phone) = Phone::of_address(&text, country) {
                    let digits = phone.as_str().trim_start_matches('+');
                    prop_assert!(digits.len() <= LONGEST + LONGEST_PREFIX && digits.chars().all(|c| c.is_ascii_digit()));
                }
            }
        }
    }
}
