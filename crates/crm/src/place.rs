//! Where a page of a list ends.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A place in a list that is ordered by time, and by id where times are the same: where one page ends, and the next begins.
/// It is written `TIME-ID`, and stays where it is whatever is added before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Place {
    /// In milliseconds since 1970 (UTC).
    pub at_unix_ms: u64,
    /// Of the one that stands there.
    pub id: Uuid,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.at_unix_ms, self.id.simple())
    }
}

impl FromStr for Place {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (at, id) = text.split_once('-')?;
            // Databases know signed numbers only.
            let at_unix_ms = at.parse::<u64>().ok().filter(|at| i64::try_from(*at).is_ok())?;
            Some(Self { at_unix_ms, id: id.parse().ok()? })
        };
        read().ok_or_else(|| "this is no place where a page ends".to_owned())
    }
}

impl TryFrom<String> for Place {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        place.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_place_is_refused() {
        for text in ["", "-", "1", "1-", "-1-x", "18446744073709551615-00000000000000000000000000000000"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_place_is_read_as_it_is_written(at in 0..i64::MAX as u64, id in any::<u128>()) {
            let place = Place { at_unix_ms: at, id: Uuid::from_u128(id) };
            prop_assert_eq!(place.to_string().parse::<Place>(), Ok(place));
        }

        #[test]
        fn whatever_is_written_gets_an_answer(text in "[0-9a-f-]{0,60}|\\PC{0,20}") {
            let _ = text.parse::<Place>();
        }
    }
}
