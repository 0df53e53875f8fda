//! Whether an insight says what a log says: every citation names words of it, every sentence was said, or was written by a model
//! and stands in the words that it cites, and every value is what the cited words say.

use std::collections::BTreeSet;
use std::ops::Range;

use sotto_call::{CallState, EntityKind, Utterance};
use sotto_insight::{entities, plain, spelled};
use time::{Date, Duration, OffsetDateTime, PrimitiveDateTime};

use crate::insight::{CallInsight, Field, moment};
use crate::transcript::{Citation, part};
use crate::written::stands;

/// What a [`check`] counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Statements: bullets, entities, actions, whatever was named, and conclusions.
    pub statements: u32,
    /// Of these the ones that cite words of the log, all of whose sentences stand there.
    pub cited: u32,
    /// Values: of entities and of what was named, times and addresses of actions.
    pub values: u32,
    /// Of these the ones that the cited words say.
    pub said: u32,
    /// What is wrong, in words.
    pub faults: Vec<String>,
}

/// Holds an insight against the state of the call after its whole log.
#[must_use]
pub fn check(insight: &CallInsight, state: &CallState) -> Checked {
    let mut check = Check { state, checked: Checked::default() };
    let evidence = &insight.evidence;
    for (n, text) in insight.summary_bullets.iter().enumerate() {
        let from = evidence.summary_bullets.get(n).map_or(&[][..], |from| from.citations.as_slice());
        match &insight.written_by {
            Some(_) => check.count_statement(text, stands(text, from, state)),
            None => check.sentence(text, from),
        }
    }
    for field in Field::ALL {
        if let Some(value) = insight.entities.get(field) {
            let from = evidence.entities.get(&field).map_or(&[][..], Vec::as_slice);
            check.statement(&format!("{field:?} {value}"), from);
            check.value(field.kind(), value, from);
        }
    }
    for named in &insight.named {
        check.statement(&named.value, &named.citations);
        check.value(named.kind, &named.value, &named.citations);
    }
    for action in &insight.next_actions {
        check.sentence(&action.text, &action.citations);
        if let Some(when) = &action.when {
            check.value(EntityKind::DateTime, when, &action.citations);
        }
        if let Some(to) = &action.to {
            let kind = if to.contains('@') { EntityKind::Email } else { EntityKind::Phone };
            check.value(kind, to, &action.citations);
        }
    }
    let conclusions = [
        ("intent", insight.intent.is_some(), &evidence.intent),
        ("sentiment", insight.sentiment.is_some(), &evidence.sentiment),
        ("lead_stage_suggestion", insight.lead_stage_suggestion.is_some(), &evidence.lead_stage_suggestion),
        ("arc", insight.arc.is_some(), &evidence.arc),
        ("urgency", !evidence.urgency.is_empty(), &evidence.urgency),
    ];
    for (n, turn) in insight.arc.iter().flat_map(|arc| &arc.turns).enumerate() {
        let from = evidence.turns.get(n).map_or(&[][..], Vec::as_slice);
        let begins = from.first().is_some_and(|began| began.utterance_id() == turn.since);
        check.statement("turn", if begins { from } else { &[] });
    }
    for (n, id) in insight.arc.iter().flat_map(|arc| &arc.satisfied).enumerate() {
        let from = evidence.satisfied.get(n).filter(|citation| citation.utterance_id() == *id);
        check.statement("satisfied", from.map_or(&[][..], std::slice::from_ref));
    }
    for (name, is_there, from) in conclusions {
        if is_there {
            check.statement(name, from);
        }
    }
    check.checked
}

struct Check<'a> {
    state: &'a CallState,
    checked: Checked,
}

impl Check<'_> {
    fn statement(&mut self, what: &str, from: &[Citation]) {
        self.count_statement(what, !from.is_empty() && self.all_stand(from));
    }

    /// A statement that is a sentence: its first citation is of exactly these words.
    fn sentence(&mut self, text: &str, from: &[Citation]) {
        let stands = from.first().and_then(|first| first.text(self.state)).is_some_and(|said| said == text);
        self.count_statement(text, stands && self.all_stand(from));
    }

    fn all_stand(&self, from: &[Citation]) -> bool {
        from.iter().all(|citation| citation.text(self.state).is_some())
    }

    fn count_statement(&mut self, what: &str, is_cited: bool) {
        self.checked.statements += 1;
        self.checked.cited += u32::from(is_cited);
        if !is_cited {
            self.checked.faults.push(format!("not cited: {what}"));
        }
    }

    fn value(&mut self, kind: EntityKind, value: &str, from: &[Citation]) {
        let state = self.state;
        let cited = from.iter().filter_map(|one| Some((one.utterance(state)?, one.chars())));
        let is_said = if kind == EntityKind::DateTime {
            let read: Vec<String> = cited.flat_map(|(said, chars)| times(state, said, &chars)).collect();
            says_time(&read, value)
        } else {
            let mut cited = cited;
            cited.any(|(said, chars)| says(state, said, &chars, kind, value))
        };
        self.checked.values += 1;
        self.checked.said += u32::from(is_said);
        if !is_said {
            self.checked.faults.push(format!("not said: {kind:?} {value}"));
        }
    }
}

/// Whether these words say a value: they have its letters and digits, or it is what is read in them again.
pub(crate) fn says(
    state: &CallState,
    said: &Utterance,
    chars: &Range<usize>,
    kind: EntityKind,
    value: &str,
) -> bool {
    match kind {
        EntityKind::DateTime => says_time(&times(state, said, chars), value),
        EntityKind::Money | EntityKind::City => read(said, chars, kind, None).any(|read| read == value),
        // Whole words: a short name stands in many others.
        EntityKind::Person => {
            let text = part(&said.text, chars).unwrap_or_default();
            let (wanted, there) = (spelled(value), spelled(&text));
            !wanted.is_empty() && there.windows(wanted.len()).any(|at| at == wanted)
                || read(said, chars, kind, None).any(|read| read == value)
        }
        EntityKind::Phone
        | EntityKind::Email
        | EntityKind::Order
        | EntityKind::Account
        | EntityKind::Course => {
            let text = part(&said.text, chars).unwrap_or_default();
            let (wanted, there) = (plain(value), plain(&text));
            let wanted = if kind == EntityKind::Phone { without_prefix(&wanted) } else { wanted.as_str() };
            !wanted.is_empty() && there.contains(wanted)
                || read(said, chars, kind, None).any(|read| read == value)
        }
    }
}

/// The digits of a telephone number that are said with any prefix: of the country, or a zero.
fn without_prefix(digits: &str) -> &str {
    let from = digits.char_indices().rev().nth(9).map_or(0, |(at, _)| at);
    digits.get(from..).unwrap_or_default()
}

/// What is read in an utterance at these characters.
fn read(
    said: &Utterance,
    chars: &Range<usize>,
    kind: EntityKind,
    now: Option<PrimitiveDateTime>,
) -> impl Iterator<Item = String> {
    let epoch = OffsetDateTime::UNIX_EPOCH;
    let now = now.unwrap_or(PrimitiveDateTime::new(epoch.date(), epoch.time()));
    let chars = chars.clone();
    let found = entities(&said.text, &said.words, now, None).into_iter();
    let is_within = move |place: &Range<usize>| chars.start <= place.start && place.end <= chars.end;
    found.filter(move |found| found.kind == kind && is_within(&found.chars)).map(|found| found.value)
}

/// When words were said. The log does not say on which clock that was read, so it is told on all between which no other date can
/// lie, on that of UTC first.
fn clocks(state: &CallState, said: &Utterance) -> Vec<PrimitiveDateTime> {
    let Some(at) = moment(state, said.start_ms) else { return Vec::new() };
    let now = PrimitiveDateTime::new(at.date(), at.time());
    [0, -12, 14].map(|hours| now.checked_add(Duration::hours(hours)).unwrap_or(now)).into()
}

/// The times that words may name.
fn times(state: &CallState, said: &Utterance, chars: &Range<usize>) -> Vec<String> {
    let clocks = clocks(state, said).into_iter();
    clocks.flat_map(|now| read(said, chars, EntityKind::DateTime, Some(now))).collect()
}

/// How many days after it was said a time is, on a clock on which the cited words name its date; nothing where it has none.
pub(crate) fn days_until(state: &CallState, from: &[Citation], value: &str) -> Option<i64> {
    let wanted = date(value)?;
    from.iter().find_map(|one| {
        let (said, chars) = (one.utterance(state)?, one.chars());
        let names_it = |now: &PrimitiveDateTime| {
            let mut named = read(said, &chars, EntityKind::DateTime, Some(*now));
            named.any(|named| date(&named) == Some(wanted))
        };
        let now = clocks(state, said).into_iter().find(names_it)?;
        Some((wanted - now.date()).whole_days())
    })
}

/// Whether a time is made of what was read: its date, and its time of day. A time counted in hours from when it was said is on a
/// clock that is not known here, so there only the date is compared.
fn says_time(read: &[String], value: &str) -> bool {
    let (date, time) = date_and_time(value);
    let read: Vec<_> = read.iter().map(|read| date_and_time(read)).collect();
    let is_date = |date: &str| read.iter().any(|(there, _)| *there == Some(date));
    let is_time = |time: &str| {
        let moments = read.iter().filter_map(|(date, time)| date.and(*time));
        let is_relative = moments.collect::<BTreeSet<&str>>().len() > 1;
        is_relative || read.iter().any(|(_, there)| *there == Some(time))
    };
    (date.is_some() || time.is_some()) && date.is_none_or(is_date) && time.is_none_or(is_time)
}

/// The date of a `date_time`; nothing where it has none.
fn date(value: &str) -> Option<Date> {
    let (date, _) = date_and_time(value);
    let mut parts = date?.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let month = time::Month::try_from(month.parse::<u8>().ok()?).ok()?;
    Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()
}

/// The date and the time of day of a `date_time`.
pub(crate) fn date_and_time(value: &str) -> (Option<&str>, Option<&str>) {
    let (date, time) = value.split_once('T').unwrap_or((value, ""));
    ((!date.is_empty()).then_some(date), (!time.is_empty()).then_some(time))
}

#[cfg(test)]
mod tests {
    use sotto_call::Party;
    use sotto_call::testing::utterance;

    use super::*;

    #[test]
    fn a_name_that_stands_in_another_word_was_not_said() {
        let state = CallState::of(&[]);
        let is_said = |text: &str, name: &str| {
            let said = utterance(1, Party::Customer, text);
            says(&state, &said, &(0..text.chars().count()), EntityKind::Person, name)
        };
        assert!(is_said("من علی رضایی هستم", "علی رضایی") && is_said("It's Ann Lee.", "Ann Lee"));
        for (text, name) in [
            ("من علیه شما شکایت دارم", "علی"),
            ("فعلا رضایت دارم", "رضا"),
            ("این کار مینا ندارد", "سارا"),
            ("I am planning it.", "Ann"),
        ] {
            assert!(!is_said(text, name), "{name}");
        }
    }
}
