//! Dates and times of day, counted from when they were said.

use std::ops::Range;

use icu_calendar::cal::Persian;
use icu_calendar::types::RataDie;
use time::{Date, Duration, Month, PrimitiveDateTime, Time, Weekday};

use super::{Kind, Speech};
use crate::spoken::Words;

/// What a stretch of words says about when.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Said {
    /// With the part of the day that "tonight" says too.
    Date(Date, Option<Part>),
    /// Hour and minute, and whether it is known which half of the day is meant.
    Time(u8, u8, Half),
    Part(Part),
    Moment(PrimitiveDateTime),
}

/// Which half of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Half {
    Unsaid,
    /// As it is on a clock of 24 hours.
    Clear,
    Of(Part),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Am,
    Pm,
    Noon,
    Night,
}

/// Something said about when, over tokens.
#[derive(Debug, Clone)]
struct Piece {
    said: Said,
    tokens: Range<usize>,
    confidence: f32,
}

/// What may stand between a date and the time that belongs to it.
static CONNECTORS: Words =
    Words::new("at on in the by around of , - about for در روز راس حدود حدودا حوالی و از برای");

pub(super) fn times(speech: &mut Speech<'_>, now: PrimitiveDateTime) {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut at = 0;
    while at < speech.tokens.len() {
        match piece(speech, at, now).filter(|piece| speech.is_free(piece.tokens.clone())) {
            Some(piece) => {
                at = piece.tokens.end;
                pieces.push(piece);
            }
            None => at += 1,
        }
    }
    let mut group = Group::default();
    for piece in pieces {
        let joined = group.end.is_some_and(|end| {
            piece.tokens.start - end <= 2
                && (end..piece.tokens.start).all(|at| CONNECTORS.has(speech.word(at)))
        });
        if !joined || !group.takes(&piece.said) {
            std::mem::take(&mut group).close(speech);
        }
        group.add(piece);
    }
    group.close(speech);
}

/// A date and a time that belong together.
#[derive(Default)]
struct Group {
    date: Option<Date>,
    time: Option<(u8, u8, Half)>,
    part: Option<Part>,
    moment: Option<PrimitiveDateTime>,
    tokens: Option<Range<usize>>,
    end: Option<usize>,
    confidence: f32,
}

impl Group {
    fn takes(&self, said: &Said) -> bool {
        self.moment.is_none()
            && match said {
                Said::Date(..) => self.date.is_none(),
                Said::Time(..) => self.time.is_none(),
                Said::Part(_) => self.part.is_none(),
                Said::Moment(_) => false,
            }
    }

    fn add(&mut self, piece: Piece) {
        match piece.said {
            Said::Date(date, part) => {
                self.date = Some(date);
                self.part = self.part.or(part);
            }
            Said::Time(hour, minute, half) => self.time = Some((hour, minute, half)),
            Said::Part(part) => self.part = Some(part),
            Said::Moment(moment) => self.moment = Some(moment),
        }
        self.confidence =
            if self.end.is_none() { piece.confidence } else { self.confidence.min(piece.confidence) };
        self.end = Some(piece.tokens.end);
        let start = self.tokens.take().map_or(piece.tokens.start, |tokens| tokens.start);
        self.tokens = Some(start..piece.tokens.end);
    }

    fn close(self, speech: &mut Speech<'_>) {
        let Some(tokens) = self.tokens else { return };
        let mut confidence = self.confidence;
        let time = self.time.and_then(|(hour, minute, half)| {
            let half = match (half, self.part) {
                (Half::Unsaid, Some(part)) => Half::Of(part),
                (half, _) => half,
            };
            if half == Half::Unsaid {
                confidence *= 0.85;
            }
            Time::from_hms(hour_of(hour, half), minute, 0).ok()
        });
        let value = match (self.moment, self.date, time) {
            (Some(moment), ..) => format!("{}T{}", written(moment.date()), clock(moment.time())),
            (_, Some(date), Some(time)) => format!("{}T{}", written(date), clock(time)),
            (_, Some(date), None) => written(date),
            (_, None, Some(time)) => format!("T{}", clock(time)),
            (_, None, None) => return,
        };
        speech.take(Kind::DateTime, value, tokens, confidence);
    }
}

fn written(date: Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

fn clock(time: Time) -> String {
    format!("{:02}:{:02}", time.hour(), time.minute())
}

/// The hour on a clock of 24. Without a word about it, one to six are in the afternoon: that is when people
/// are called.
fn hour_of(hour: u8, half: Half) -> u8 {
    match half {
        Half::Clear => hour,
        Half::Of(Part::Am) => {
            if hour == 12 {
                0
            } else {
                hour
            }
        }
        Half::Of(Part::Pm) => {
            if hour < 12 {
                hour + 12
            } else {
                hour
            }
        }
        Half::Of(Part::Noon) => {
            if hour <= 4 {
                hour + 12
            } else {
                hour
            }
        }
        Half::Of(Part::Night) => match hour {
            12 => 0,
            5..=11 => hour + 12,
            _ => hour,
        },
        Half::Unsaid => {
            if (1..=6).contains(&hour) {
                hour + 12
            } else {
                hour
            }
        }
    }
}

fn piece(speech: &Speech<'_>, at: usize, now: PrimitiveDateTime) -> Option<Piece> {
    let found = moment(speech, at, now)
        .map(|(moment, end)| (Said::Moment(moment), end, 0.85))
        .or_else(|| {
            let (date, end, sure) = date(speech, at, now.date())?;
            let night = speech.is(at, &["tonight", "امشب", "دیشب"]).then_some(Part::Night);
            Some((Said::Date(date, night), end, sure))
        })
        .or_else(|| {
            let OnClock { hour, minute, half, end, sure } = time_of_day(speech, at)?;
            // "in the morning" belongs to it, and no other part that may be said with the date.
            let with = part(speech, end).filter(|_| half == Half::Unsaid);
            let (half, end) = with.map_or((half, end), |(part, end)| (Half::Of(part), end));
            Some((Said::Time(hour, minute, half), end, sure))
        })
        .or_else(|| part(speech, at).map(|(part, end)| (Said::Part(part), end, 0.9)))?;
    let (said, end, confidence) = found;
    (end > at && end <= speech.tokens.len()).then_some(Piece { said, tokens: at..end, confidence })
}

/// "in the morning", «بعد از ظهر»: which part of the day, and where that ends.
fn part(speech: &Speech<'_>, at: usize) -> Option<(Part, usize)> {
    let skip = match (speech.word(at), speech.word(at + 1)) {
        ("in", "the") => 2,
        ("at", _) => 1,
        _ => 0,
    };
    let word = at + skip;
    let part = match speech.word(word) {
        "am" | "صبح" | "بامداد" | "morning" => Part::Am,
        "a" | "p" if speech.is(word + 1, &["."]) && speech.is(word + 2, &["m"]) => {
            let end = word + 3 + usize::from(speech.is(word + 3, &["."]) && speech.glued(word + 3));
            return Some((if speech.is(word, &["a"]) { Part::Am } else { Part::Pm }, end));
        }
        "pm" | "عصر" | "بعدازظهر" | "غروب" | "afternoon" | "evening" => Part::Pm,
        "بعد" if speech.is(word + 1, &["از"]) && speech.is(word + 2, &["ظهر"]) => {
            return Some((Part::Pm, word + 3));
        }
        "ظهر" => Part::Noon,
        "night" | "شب" => Part::Night,
        _ => return None,
    };
    Some((part, word + 1))
}

/// A time of day, where it ends, and how sure it is one.
#[derive(Debug, Clone, Copy)]
struct OnClock {
    hour: u8,
    minute: u8,
    half: Half,
    end: usize,
    sure: f32,
}

fn time_of_day(speech: &Speech<'_>, at: usize) -> Option<OnClock> {
    // A number glued to a sign is part of something else.
    let lone =
        |at: usize| !(speech.glued(at) && at > 0 && speech.is(at - 1, &[":", "/", ".", "-", "+", "$"]));
    let hour = |at: usize| -> Option<(u8, usize)> {
        let number = speech.number(at).filter(|number| !number.ordinal)?;
        Some((number.whole().filter(|hour| *hour <= 24)?, number.tokens.end))
    };
    let minutes = |at: usize| -> Option<(u8, usize)> {
        let number = speech.number(at).filter(|number| !number.ordinal && number.digits.len() == 2)?;
        Some((number.whole().filter(|minute| *minute < 60)?, number.tokens.end))
    };
    match speech.word(at) {
        "noon" | "midday" => {
            return Some(OnClock { hour: 12, minute: 0, half: Half::Clear, end: at + 1, sure: 0.9 });
        }
        "midnight" => return Some(OnClock { hour: 0, minute: 0, half: Half::Clear, end: at + 1, sure: 0.9 }),
        "half" if speech.is(at + 1, &["past"]) => {
            let (hour, end) = hour(at + 2).filter(|(hour, _)| (1..=12).contains(hour))?;
            return Some(OnClock { hour, minute: 30, half: Half::Unsaid, end, sure: 0.95 });
        }
        "at" | "around" | "by" | "before" | "after" | "until" | "till" => {
            let words = || {
                let (hour, end) = hour(at + 1).filter(|(hour, _)| (1..24).contains(hour))?;
                let minutes = minutes(end).or_else(|| spoken_minutes(speech, end));
                Some(minutes.map_or((hour, 0, end), |(minute, end)| (hour, minute, end)))
            };
            let (hour, minute, end) =
                dotted(speech, at + 1).or_else(|| clock_digits(speech, at + 1)).or_else(words)?;
            let oclock = usize::from(speech.is(end, &["o'clock", "oclock"]));
            // "Before ten" may be anything, "at ten" is a time.
            let alone = minute == 0 && oclock == 0 && part(speech, end).is_none();
            if oclock == 0 && !ends_time(speech, end) || alone && !speech.is(at, &["at"]) {
                return None;
            }
            return Some(OnClock {
                hour,
                minute,
                half: clear(speech, at + 1, hour),
                end: end + oclock,
                sure: 0.8,
            });
        }
        // "Two hours" is no time, but a date may stand before.
        "ساعت" if speech.number_before(at).is_none_or(|before| speech.glued(before.tokens.start)) => {
            return persian(speech, at + 1, 0.95);
        }
        "حدود" | "حدودا" | "حوالی" | "راس" | "دور" | "صبح" | "عصر" | "شب" => {
            let found = persian(speech, at + 1, 0.75)?;
            return (found.minute == 30 || found.minute == 15).then_some(found);
        }
        _ => {}
    }
    quarter_or_minutes(speech, at).or_else(|| {
        if !lone(at) {
            return None;
        }
        if let Some((hour, minute, end)) = clock_digits(speech, at) {
            return Some(OnClock { hour, minute, half: clear(speech, at, hour), end, sure: 0.95 });
        }
        let said = |end: usize| part(speech, end).filter(|_| !speech.is(end, &["at"]));
        if let Some((hour, minute, end)) = dotted(speech, at).filter(|(.., end)| said(*end).is_some()) {
            return Some(OnClock { hour, minute, half: Half::Unsaid, end, sure: 0.9 });
        }
        let (hour, end) = hour(at).filter(|(hour, _)| (1..=12).contains(hour))?;
        if speech.is(end, &["o'clock", "oclock"]) {
            return Some(OnClock { hour, minute: 0, half: Half::Unsaid, end: end + 1, sure: 0.95 });
        }
        let (minute, after) = minutes(end).or_else(|| spoken_minutes(speech, end)).unwrap_or((0, end));
        if said(after).is_some() {
            return Some(OnClock { hour, minute, half: Half::Unsaid, end: after, sure: 0.9 });
        }
        let found = persian(speech, at, 0.85)?;
        part(speech, found.end).is_some().then_some(found)
    })
}

/// "10:30": hour, minute, end.
fn clock_digits(speech: &Speech<'_>, at: usize) -> Option<(u8, u8, usize)> {
    let (hour, minute) = (speech.digits(at, 1..3)?, speech.digits(at + 2, 2..3)?);
    let colon = speech.is(at + 1, &[":"]) && speech.glued(at + 1) && speech.glued(at + 2);
    let more = speech.is(at + 3, &[":"]) && speech.glued(at + 4);
    (colon && !more && hour < 24 && minute < 60).then_some((hour as u8, minute as u8, at + 3))
}

/// "10.30", which is read as a number with a fraction.
fn dotted(speech: &Speech<'_>, at: usize) -> Option<(u8, u8, usize)> {
    let (hour, minute) = (speech.digits(at, 1..3)?, speech.digits(at + 2, 2..3)?);
    let dot = speech.is(at + 1, &["."]) && speech.glued(at + 1) && speech.glued(at + 2);
    (dot && hour < 24 && minute < 60).then_some((hour as u8, minute as u8, at + 3))
}

/// "oh five" after the hour.
fn spoken_minutes(speech: &Speech<'_>, at: usize) -> Option<(u8, usize)> {
    let zero = speech.number(at).filter(|number| number.digits == "0")?;
    let unit = speech.number(zero.tokens.end).filter(|number| number.digits.len() == 1)?;
    Some((unit.whole()?, unit.tokens.end))
}

/// An hour that is on a clock of 24, by its size or its zero in front.
fn clear(speech: &Speech<'_>, at: usize, hour: u8) -> Half {
    if hour > 12 || hour == 0 || speech.word(at).len() == 2 && speech.word(at).starts_with('0') {
        Half::Clear
    } else {
        Half::Unsaid
    }
}

/// False where "at five" goes on as something else: "at five dollars", "at 10 percent", "at 4 2 4 2".
fn ends_time(speech: &Speech<'_>, at: usize) -> bool {
    speech.number(at).is_none()
        && !speech.is(
            at,
            &[
                "percent", "%", "dollars", "tomans", "rials", "people", "minutes", "minute", "hours", "hour",
                "days", "day", "times", "points", "degrees", "km", "years", "months", "weeks", "/", "st",
                "th", "gb", "gigs",
            ],
        )
}

/// "quarter past nine", "ten to five", «یک ربع به پنج», «ده دقیقه به پنج».
fn quarter_or_minutes(speech: &Speech<'_>, at: usize) -> Option<OnClock> {
    let article = usize::from(speech.is(at, &["a", "یه", "یک"]));
    let (minute, mut next) = if speech.is(at + article, &["quarter", "ربع"]) {
        (15, at + article + 1)
    } else {
        let number = speech.number(at).filter(|number| !number.ordinal)?;
        let minute: u8 = number.whole().filter(|minute| (1..30).contains(minute))?;
        (minute, number.tokens.end)
    };
    next += usize::from(speech.is(next, &["minutes", "minute", "دقیقه"]));
    let exact =
        speech.is(at + article, &["quarter", "ربع"]) || speech.is(next - 1, &["minutes", "minute", "دقیقه"]);
    let before = match speech.word(next) {
        "to" | "به" => true,
        "past" => false,
        // «پنج دقیقه از ده گذشته» is rare, and no other word tells a time.
        _ => return None,
    };
    let clock = next + 1 + usize::from(speech.is(next + 1, &["ساعت"]));
    let number = speech.number(clock).filter(|number| !number.ordinal)?;
    let hour: u8 = number.whole().filter(|hour| (1..=12).contains(hour))?;
    // "Two to three" is a range.
    if before && !exact && !minute.is_multiple_of(5) {
        return None;
    }
    if !ends_time(speech, number.tokens.end) {
        return None;
    }
    let (hour, minute) = match (before, hour) {
        (false, _) => (hour, minute),
        (true, 1) => (12, 60 - minute),
        (true, _) => (hour - 1, 60 - minute),
    };
    Some(OnClock {
        hour,
        minute,
        half: Half::Unsaid,
        end: number.tokens.end,
        sure: if exact { 0.95 } else { 0.7 },
    })
}

/// An hour in Persian, with «و نیم», «و ربع», «و بیست دقیقه» behind.
fn persian(speech: &Speech<'_>, at: usize, sure: f32) -> Option<OnClock> {
    if let Some(found) = quarter_or_minutes(speech, at) {
        return Some(found);
    }
    if let Some((hour, minute, end)) = clock_digits(speech, at) {
        return Some(OnClock { hour, minute, half: clear(speech, at, hour), end, sure });
    }
    let number = speech.number(at).filter(|number| !number.ordinal)?;
    let hour: u8 = number.whole().filter(|hour| *hour < 24)?;
    let end = number.tokens.end;
    let and = end + usize::from(speech.is(end, &["و"]));
    let half = clear(speech, at, hour);
    match speech.word(and) {
        "نیم" => return Some(OnClock { hour, minute: 30, half, end: and + 1, sure }),
        "ربع" => return Some(OnClock { hour, minute: 15, half, end: and + 1, sure }),
        _ => {}
    }
    if let Some(minutes) = speech.number(and).filter(|number| !number.ordinal)
        && let Some(minute) = minutes.whole::<u8>().filter(|minute| (1..60).contains(minute))
        && (minutes.digits.len() == 2 || speech.is(minutes.tokens.end, &["دقیقه"]))
    {
        let end = minutes.tokens.end + usize::from(speech.is(minutes.tokens.end, &["دقیقه"]));
        return Some(OnClock { hour, minute, half, end, sure });
    }
    Some(OnClock { hour, minute: 0, half, end, sure })
}

/// "in two hours", «نیم ساعت دیگه»: a moment from now.
fn moment(speech: &Speech<'_>, at: usize, now: PrimitiveDateTime) -> Option<(PrimitiveDateTime, usize)> {
    let (count, seconds, end) = duration(speech, at).filter(|(_, unit, _)| *unit < 86_400)?;
    let (count, end) = directed(speech, at, count, end)?;
    Some((now.checked_add(Duration::seconds(count * seconds))?, end))
}

/// How many of a unit, the unit in seconds, and where it ends.
fn duration(speech: &Speech<'_>, at: usize) -> Option<(i64, i64, usize)> {
    let from = at + usize::from(speech.is(at, &["in", "after", "تا"]));
    if speech.is(from, &["half", "نیم"]) {
        let unit = from + 1 + usize::from(speech.is(from + 1, &["an", "a"]));
        return speech.is(unit, &["hour", "ساعت"]).then_some((30, 60, unit + 1));
    }
    let (count, next) = match speech.number(from) {
        Some(number) => (number.whole::<u16>().filter(|_| !number.ordinal)?.into(), number.tokens.end),
        None if speech.is(from, &["a", "an", "یه"]) => (1, from + 1),
        None => return None,
    };
    let unit = match speech.word(next) {
        "minute" | "minutes" | "دقیقه" => 60,
        "hour" | "hours" | "ساعت" => 3_600,
        "day" | "days" | "روز" => 86_400,
        "week" | "weeks" | "هفته" => 7 * 86_400,
        _ => return None,
    };
    Some((count, unit, next + 1))
}

/// Whether a duration leads forward or back, which must have been said.
fn directed(speech: &Speech<'_>, at: usize, count: i64, end: usize) -> Option<(i64, usize)> {
    match (speech.word(end), speech.word(end + 1)) {
        ("later" | "دیگه" | "دیگر" | "بعد" | "اینده", _) => Some((count, end + 1)),
        ("from", "now") => Some((count, end + 2)),
        ("ago" | "پیش" | "قبل", _) => Some((-count, end + 1)),
        _ if speech.is(at, &["in"]) => Some((count, end)),
        _ => None,
    }
}

/// A date, where it ends, and how sure it is the one that is meant.
fn date(speech: &Speech<'_>, at: usize, today: Date) -> Option<(Date, usize, f32)> {
    in_digits(speech, at)
        .or_else(|| relative(speech, at, today))
        .or_else(|| weekday(speech, at, today))
        .or_else(|| day_of_month(speech, at, today))
}

fn days(today: Date, count: i64) -> Option<Date> {
    today.checked_add(Duration::days(count))
}

fn relative(speech: &Speech<'_>, at: usize, today: Date) -> Option<(Date, usize, f32)> {
    let word = |n: usize| speech.word(at + n);
    let the = usize::from(word(0) == "the");
    let (count, length) = match (word(the), word(the + 1), word(the + 2)) {
        ("day", "after", "tomorrow") => (2, the + 3),
        ("day", "before", "yesterday") => (-2, the + 3),
        _ if the > 0 => return None,
        ("today", ..) if is_courtesy(speech, at) => return None,
        ("today" | "امروز", ..) => (0, 1),
        ("tonight" | "امشب", ..) => (0, 1),
        ("tomorrow" | "فردا", ..) => (1, 1),
        ("yesterday" | "دیروز" | "دیشب", ..) => (-1, 1),
        ("پسفردا", ..) => (2, 1),
        ("پس", "فردا", _) => (2, 2),
        ("پریروز", ..) => (-2, 1),
        _ => {
            let (count, seconds, end) = duration(speech, at).filter(|(_, unit, _)| *unit >= 86_400)?;
            let (count, end) = directed(speech, at, count, end)?;
            return Some((days(today, count * seconds / 86_400)?, end, 0.9));
        }
    };
    Some((days(today, count)?, at + length, 0.95))
}

/// "How can I help you today?" is about no day.
fn is_courtesy(speech: &Speech<'_>, at: usize) -> bool {
    let before = |n: usize| at.checked_sub(n).map_or("", |at| speech.word(at));
    matches!((before(2), before(1)), ("help" | "assist" | "are", "you") | ("you", "doing"))
}

/// A day of the week: the word, how many tokens it takes, and whether it is Persian.
fn weekday_name(speech: &Speech<'_>, at: usize) -> Option<(Weekday, usize, bool)> {
    let name = match speech.word(at) {
        "monday" => Weekday::Monday,
        "tuesday" => Weekday::Tuesday,
        "wednesday" => Weekday::Wednesday,
        "thursday" => Weekday::Thursday,
        "friday" => Weekday::Friday,
        "saturday" => Weekday::Saturday,
        "sunday" => Weekday::Sunday,
        other => {
            let (count, length) = match (other, speech.word(at + 1)) {
                ("جمعه", _) => return Some((Weekday::Friday, 1, true)),
                ("شنبه", _) => (0, 1),
                ("یکشنبه", _) => (1, 1),
                ("دوشنبه", _) => (2, 1),
                ("سهشنبه", _) => (3, 1),
                ("چهارشنبه" | "چارشنبه", _) => (4, 1),
                ("پنجشنبه" | "پنشنبه", _) => (5, 1),
                ("یک" | "یه", "شنبه") => (1, 2),
                ("دو", "شنبه") => (2, 2),
                ("سه", "شنبه") => (3, 2),
                ("چهار" | "چار", "شنبه") => (4, 2),
                ("پنج", "شنبه") => (5, 2),
                _ => return None,
            };
            return Some((Weekday::Saturday.nth_next(count), length, true));
        }
    };
    Some((name, 1, false))
}

/// "next Tuesday" is the one of next week, which begins on Monday, or on Saturday in Persian; without "next"
/// it is the first one to come.
fn weekday(speech: &Speech<'_>, at: usize, today: Date) -> Option<(Date, usize, f32)> {
    let (before, from) = match speech.word(at) {
        "next" | "this" | "last" | "coming" | "این" | "همین" => (speech.word(at), at + 1),
        _ => ("", at),
    };
    let (day, length, persian) = weekday_name(speech, from)?;
    let mut end = from + length;
    let mut which = before;
    // «شنبه‌ها» are many.
    if persian && speech.glued(end) && speech.word(end).starts_with("ها") {
        return None;
    }
    match (speech.word(end), speech.word(end + 1)) {
        ("next", "week") | ("هفته", "بعد" | "اینده" | "دیگه" | "بعدی") => {
            (which, end) = ("next", end + 2)
        }
        ("بعد", "از") => {}
        ("بعد" | "بعدی" | "اینده" | "دیگه", _) => (which, end) = ("next", end + 1),
        ("قبل" | "گذشته" | "پیش", _) => (which, end) = ("last", end + 1),
        _ => {}
    }
    let ahead = |of: Weekday| {
        i64::from((7 + of.number_days_from_monday() - today.weekday().number_days_from_monday()) % 7)
    };
    let ahead = ahead(day);
    let (count, sure) = match which {
        "next" => {
            let first = if persian { Weekday::Saturday } else { Weekday::Monday };
            let into = |day: Weekday| {
                i64::from((7 + day.number_days_from_monday() - first.number_days_from_monday()) % 7)
            };
            (7 - into(today.weekday()) + into(day), 0.75)
        }
        "last" => (if ahead == 0 { -7 } else { ahead - 7 }, 0.8),
        _ => (if ahead == 0 { 7 } else { ahead }, 0.9),
    };
    Some((days(today, count)?, end, sure))
}

/// "12/05/2026", "2026-05-12", "1405/02/22": with four digits for the year, day before month.
fn in_digits(speech: &Speech<'_>, at: usize) -> Option<(Date, usize, f32)> {
    let sign = speech.word(at + 1);
    let signs = matches!(sign, "/" | "-" | ".")
        && speech.is(at + 3, &[sign])
        && (at + 1..=at + 4).all(|at| speech.glued(at))
        && !(speech.glued(at) && at > 0 && speech.is(at - 1, &["/", "-", "."]));
    if !signs {
        return None;
    }
    let number = |at| speech.digits(at, 1..5);
    let (first, second, third) = (number(at)?, number(at + 2)?, number(at + 4)?);
    let small = |n: u32| u8::try_from(n).ok();
    let written = |at: usize| speech.word(at).len();
    let (year, month, day, sure) = match (written(at), written(at + 4)) {
        (4, 1..=2) => (first, small(second)?, small(third)?, 0.95),
        // Whoever writes the month first is understood where the day cannot be one.
        (1..=2, 4) if second > 12 => (third, small(first)?, small(second)?, 0.9),
        (1..=2, 4) => (third, small(second)?, small(first)?, if first > 12 { 0.95 } else { 0.75 }),
        _ => return None,
    };
    Some((calendar(i32::try_from(year).ok()?, month, day)?, at + 5, sure))
}

/// The date of a year of either calendar: no year of one is near the years of the other.
fn calendar(year: i32, month: u8, day: u8) -> Option<Date> {
    match year {
        1300..=1500 => jalali(year, month, day),
        1900..=2100 => gregorian(year, month, day),
        _ => None,
    }
}

fn gregorian(year: i32, month: u8, day: u8) -> Option<Date> {
    Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()
}

/// Days between day 0 of Rata Die (the day before 0001-01-01) and that of the Julian day number.
const RATA_DIE_TO_JULIAN_DAY: i64 = 1_721_425;

fn jalali(year: i32, month: u8, day: u8) -> Option<Date> {
    let date = icu_calendar::Date::try_new_persian(year, month, day).ok()?;
    let julian_day = date.to_rata_die().to_i64_date() + RATA_DIE_TO_JULIAN_DAY;
    Date::from_julian_day(i32::try_from(julian_day).ok()?).ok()
}

fn jalali_year(date: Date) -> i32 {
    let rata_die = RataDie::new(i64::from(date.to_julian_day()) - RATA_DIE_TO_JULIAN_DAY);
    icu_calendar::Date::from_rata_die(rata_die, Persian).year().extended_year()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Calendar {
    Gregorian,
    Jalali,
}

fn month(word: &str) -> Option<(Calendar, u8)> {
    const GREGORIAN: [&[&str]; 12] = [
        &["january", "jan", "ژانویه"],
        &["february", "feb", "فوریه"],
        &["march", "mar", "مارس"],
        &["april", "apr", "اوریل"],
        &["may", "مه", "می"],
        &["june", "jun", "ژوین"],
        &["july", "jul", "ژوییه", "جولای"],
        &["august", "aug", "اوت", "اگوست"],
        &["september", "sep", "sept", "سپتامبر"],
        &["october", "oct", "اکتبر"],
        &["november", "nov", "نوامبر"],
        &["december", "dec", "دسامبر"],
    ];
    const JALALI: [&[&str]; 12] = [
        &["فروردین", "farvardin"],
        &["اردیبهشت", "ordibehesht"],
        &["خرداد", "khordad"],
        &["تیر", "tir"],
        &["مرداد", "mordad"],
        &["شهریور", "shahrivar"],
        &["مهر", "mehr"],
        &["ابان", "aban"],
        &["اذر", "azar"],
        &["دی", "dey"],
        &["بهمن", "bahman"],
        &["اسفند", "esfand"],
    ];
    let of =
        |months: &[&[&str]; 12]| (1..).zip(months).find(|(_, names)| names.contains(&word)).map(|(n, _)| n);
    of(&GREGORIAN).map(|n| (Calendar::Gregorian, n)).or_else(|| of(&JALALI).map(|n| (Calendar::Jalali, n)))
}

/// "the 12th of May 2026", "May 12th", «دوازدهم خرداد ۱۴۰۵».
fn day_of_month(speech: &Speech<'_>, at: usize, today: Date) -> Option<(Date, usize, f32)> {
    let day_at = |at: usize| -> Option<(u8, usize, bool)> {
        let number = speech.number(at)?;
        let day = number.whole::<u8>().filter(|day| (1..=31).contains(day))?;
        Some((day, number.tokens.end, number.ordinal))
    };
    let start = at + usize::from(speech.is(at, &["the"]));
    let (day, (calendar, month), mut end) = if let Some((day, end, _)) = day_at(start) {
        let named = end + usize::from(speech.is(end, &["of", "ی", "ام", "م"]));
        (day, month(speech.word(named))?, named + 1)
    } else {
        let found = month(speech.word(at)).filter(|_| speech.word(at).is_ascii())?;
        let number = at + 1 + usize::from(speech.is(at + 1, &["the"]));
        let (day, end, ordinal) = day_at(number)?;
        // "you may 2 times"
        if speech.is(at, &["may", "mar"]) && !ordinal && !speech.tokens[at].capital {
            return None;
        }
        (day, found, end)
    };
    end += usize::from(speech.is(end, &["ماه"]));
    let said = end + usize::from(speech.is(end, &[",", "سال", "in"]));
    if let Some((year, end)) = year(speech, said, calendar) {
        return Some((dated(calendar, year, month, day)?, end, 0.95));
    }
    // Without a year, the nearest such day.
    let this = match calendar {
        Calendar::Gregorian => today.year(),
        Calendar::Jalali => jalali_year(today),
    };
    let near = (this - 1..=this + 1).filter_map(|year| dated(calendar, year, month, day));
    let nearest = near.min_by_key(|date| (*date - today).whole_days().abs())?;
    Some((nearest, end, 0.85))
}

fn dated(calendar: Calendar, year: i32, month: u8, day: u8) -> Option<Date> {
    match calendar {
        Calendar::Gregorian => gregorian(year, month, day),
        Calendar::Jalali => jalali(year, month, day),
    }
}

/// A year of a calendar: "2026", "twenty twenty-six", «هزار و چهارصد و پنج», «چهارصد و پنج».
fn year(speech: &Speech<'_>, at: usize, calendar: Calendar) -> Option<(i32, usize)> {
    let number = speech.number(at).filter(|number| !number.ordinal)?;
    let (value, end): (i32, usize) = (number.whole()?, number.tokens.end);
    let pair = || {
        let second =
            speech.number(end).filter(|second| second.spoken && number.spoken && second.digits.len() == 2)?;
        Some((value * 100 + second.whole::<i32>()?, second.tokens.end))
    };
    match (calendar, value) {
        (Calendar::Gregorian, 1900..=2100) | (Calendar::Jalali, 1300..=1500) => Some((value, end)),
        (Calendar::Jalali, 380..=450) => Some((1000 + value, end)),
        (Calendar::Gregorian, 19..=20) => pair(),
        _ => None,
    }
}
