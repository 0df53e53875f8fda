//! What is to be done for a contact.

use serde::{Deserialize, Serialize};
use time::{Date, Duration, Month, OffsetDateTime, Time, UtcOffset};

use crate::template::RATA_DIE_TO_JULIAN_DAY;
use crate::{Wrong, optional};

/// Years that are those of the Jalali calendar.
const JALALI: std::ops::RangeInclusive<i32> = 1200..=1600;
/// Characters of what is to be done, and of where it goes.
const LONGEST_TITLE: usize = 500;
const LONGEST_TO: usize = 254;

/// What is to be done. The names are those of an insight's `next_actions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// Call them.
    Callback,
    /// Write to them.
    Message,
    /// See them.
    Meeting,
    /// Pay, or be paid.
    Payment,
    /// Anything else.
    Task,
}

/// How they are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each says what it is")]
pub enum Channel {
    Phone,
    Sms,
    Email,
    Telegram,
}

/// How much a task matters beside others that are due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each says what it is")]
pub enum Priority {
    Low,
    #[default]
    Normal,
    High,
}

impl Priority {
    /// Where it stands in a queue: 0 comes first.
    #[must_use]
    pub fn rank(self) -> u8 {
        match self {
            Self::High => 0,
            Self::Normal => 1,
            Self::Low => 2,
        }
    }

    /// The way back.
    pub(crate) fn of_rank(rank: u8) -> Option<Self> {
        [Self::High, Self::Normal, Self::Low].into_iter().find(|one| one.rank() == rank)
    }
}

/// In which order tasks are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskOrder {
    /// What is due first comes first.
    #[default]
    Due,
    /// What matters most comes first, and of that what is due first.
    Priority,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// A program proposes it; nobody has accepted it.
    Proposed,
    /// It is to be done.
    Open,
    /// It is done.
    Done,
    /// It is not to be done.
    Dismissed,
}

impl TaskState {
    /// Whether a person may put a task into another state. Nothing becomes a proposal again, and what was dismissed is opened
    /// before it is done.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        match next {
            Self::Proposed => self == Self::Proposed,
            Self::Open | Self::Dismissed => true,
            Self::Done => self != Self::Dismissed,
        }
    }
}

/// Something that is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// What it is.
    pub kind: TaskKind,
    /// The same in somebody's words; absent where the kind, or what was said in the call, is enough.
    pub title: Option<String>,
    /// How.
    pub channel: Option<Channel>,
    /// The number or address, if not the contact's own.
    pub to: Option<String>,
    /// When, in milliseconds since 1970 (UTC); absent where that was not said.
    pub due_at_unix_ms: Option<u64>,
    /// How much it matters.
    pub priority: Priority,
    /// The user who is to do it; absent: anybody.
    pub assignee: Option<String>,
}

impl Task {
    /// The task as it is kept.
    ///
    /// # Errors
    /// [`Wrong`], which says what cannot be kept.
    pub fn checked(&self) -> Result<Self, Wrong> {
        Ok(Self {
            title: optional("title", self.title.as_deref(), LONGEST_TITLE)?,
            to: optional("to", self.to.as_deref(), LONGEST_TO)?,
            assignee: optional("assignee", self.assignee.as_deref(), LONGEST_TO)?,
            ..self.clone()
        })
    }
}

/// When something is due that was promised in a call, from how an insight says it: ISO 8601, a date (`2026-12-01`), a time of day
/// (`T10:30`) or both, on the organisation's clock. A date alone is due when the day begins, a time alone when it comes next.
/// A year from 1200 to 1600 is one of the Jalali calendar (`1405-09-10`). Nothing where it says neither.
#[must_use]
pub fn due(when: &str, said_at_unix_ms: u64, clock: UtcOffset) -> Option<u64> {
    let (date, time) = when.split_once('T').unwrap_or((when, ""));
    let time = if time.is_empty() { None } else { Some(time_of_day(time)?) };
    let moment = match (date.is_empty(), time) {
        (false, time) => day(date)?.with_time(time.unwrap_or(Time::MIDNIGHT)).assume_offset(clock),
        (true, Some(time)) => {
            let said_at = i128::from(said_at_unix_ms).checked_mul(1_000_000)?;
            let said_at =
                OffsetDateTime::from_unix_timestamp_nanos(said_at).ok()?.checked_to_offset(clock)?;
            let same_day = said_at.replace_time(time);
            if same_day > said_at { same_day } else { same_day.checked_add(Duration::DAY)? }
        }
        (true, None) => return None,
    };
    u64::try_from(moment.unix_timestamp()).ok()?.checked_mul(1_000)
}

fn day(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let (year, month, day) = (year.parse::<i32>().ok()?, month.parse::<u8>().ok()?, day.parse::<u8>().ok()?);
    if JALALI.contains(&year) {
        let date = icu_calendar::Date::try_new_persian(year, month, day).ok()?;
        let julian_day = date.to_rata_die().to_i64_date().checked_add(RATA_DIE_TO_JULIAN_DAY)?;
        return Date::from_julian_day(i32::try_from(julian_day).ok()?).ok();
    }
    Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()
}

fn time_of_day(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    Time::from_hms(hour.parse().ok()?, minute.parse().ok()?, 0).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-11-30 at 15:00 in Tehran.
    const SAID_AT: u64 = 1_796_038_200_000;

    fn tehran() -> UtcOffset {
        UtcOffset::from_hms(3, 30, 0).unwrap()
    }

    /// Hours and minutes from when it was said.
    fn after(when: &str) -> Option<(i64, i64)> {
        let minutes = (due(when, SAID_AT, tehran())? as i64 - SAID_AT as i64) / 60_000;
        Some((minutes / 60, minutes % 60))
    }

    #[test]
    fn what_was_promised_is_due_on_the_organisations_clock() {
        assert_eq!(after("2026-11-30T15:00"), Some((0, 0)));
        assert_eq!(after("2026-12-01T10:30"), Some((19, 30)));
        assert_eq!(after("2026-12-01"), Some((9, 0)), "when the day begins");
        assert_eq!(after("1405-09-10"), Some((9, 0)), "the same by the Jalali calendar");
        assert_eq!(after("T16:15"), Some((1, 15)), "today");
        assert_eq!(after("T10:00"), Some((19, 0)), "tomorrow, for today it is over");
        for none in
            ["", "T", "tomorrow", "2026-13-01", "2026-12-01T25:00", "2026-12-01T10", "1-2-3-4", "1405-13-01"]
        {
            assert_eq!(due(none, SAID_AT, tehran()), None, "{none}");
        }
    }

    #[test]
    fn a_proposal_is_accepted_or_dismissed_and_nothing_becomes_one() {
        use TaskState::{Dismissed, Done, Open, Proposed};
        for next in [Open, Done, Dismissed] {
            assert!(Proposed.may_become(next) && !next.may_become(Proposed));
        }
        assert!(Done.may_become(Open) && Dismissed.may_become(Open) && !Dismissed.may_become(Done));
    }

    proptest! {
        #[test]
        fn whatever_is_said_gets_an_answer(when in "[-0-9T:+]{0,24}|\\PC{0,12}", at in any::<u64>()) {
            let _ = due(&when, at, tehran());
        }
    }
}
