//! Where a page of a list ends.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Priority;

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
        read().ok_or_else(no_place)
    }
}

fn no_place() -> String {
    "this is no place where a page ends".to_owned()
}

/// A place in a list of tasks, which are ordered by how much they matter, if that counts, by when they are due, and by id. It is
/// written `RANK-TIME-ID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct QueuePlace {
    /// How much it matters.
    pub priority: Priority,
    /// When it is due, and which one it is.
    pub due: Place,
}

impl fmt::Display for QueuePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.priority.rank(), self.due)
    }
}

impl FromStr for QueuePlace {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (rank, due) = text.split_once('-').ok_or_else(no_place)?;
        let priority = rank.parse().ok().and_then(Priority::of_rank).ok_or_else(no_place)?;
        Ok(Self { priority, due: due.parse()? })
    }
}

impl TryFrom<String> for QueuePlace {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<QueuePlace> for String {
    fn from(place: QueuePlace) -> Self {
        place.to_string()
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
            assert!(
                text.parse::<QueuePlace>().is_err() && format!("1-{text}").parse::<QueuePlace>().is_err()
            );
        }
        assert!("3-5-00000000000000000000000000000000".parse::<QueuePlace>().is_err());
    }

    proptest! {
        #[test]
        fn a_place_is_read_as_it_is_written(at in 0..i64::MAX as u64, id in any::<u128>()) {
            let place = Place { at_unix_ms: at, id: Uuid::from_u128(id) };
            prop_assert_eq!(place.to_string().parse::<Place>(), Ok(place));
            for priority in [Priority::High, Priority::Normal, Priority::Low] {
                let place = QueuePlace { priority, due: place };
                prop_assert_eq!(place.to_string().parse::<QueuePlace>(), Ok(place));
            }
        }

        #[test]
        fn whatever_is_written_gets_an_answer(text in "[0-9a-f-]{0,60}|\\PC{0,20}") {
            let _ = (text.parse::<Place>(), text.parse::<QueuePlace>());
        }
    }
}
