//! Texts with gaps that are filled from what is known, and from nothing else.
//!
//! `{name}`, `{day}`, `{time}`, `{topic}` and `{organisation}` stand for what is known; what stands between square brackets is left out
//! where something in it is not. A text that needs what is not known is not written at all.

use std::collections::BTreeMap;

use icu_calendar::cal::Persian;
use icu_calendar::types::RataDie;
use serde::{Deserialize, Serialize};
use time::{Date, OffsetDateTime, Time, UtcOffset, Weekday};

use crate::TaskKind;

/// Days between day 0 of Rata Die (the day before 0001-01-01) and that of the Julian day number.
pub(crate) const RATA_DIE_TO_JULIAN_DAY: i64 = 1_721_425;
/// What a number in a Persian text begins at.
const PERSIAN_ZERO: u32 = 0x6f0;

/// The languages there are texts in.
const LANGUAGES: [&str; 2] = ["en", "fa"];

/// What there is a text for: something that was promised in a call, or that a call was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// Somebody is called again.
    Callback,
    /// Something is sent.
    Message,
    /// Somebody is met.
    Meeting,
    /// Something is paid.
    Payment,
    /// A call has dropped: nobody had hung up.
    Dropped,
}

impl Occasion {
    /// The text for what was promised; what is done without the customer needs none.
    pub(crate) fn of(kind: TaskKind) -> Option<Self> {
        match kind {
            TaskKind::Callback => Some(Self::Callback),
            TaskKind::Message => Some(Self::Message),
            TaskKind::Meeting => Some(Self::Meeting),
            TaskKind::Payment => Some(Self::Payment),
            TaskKind::Task => None,
        }
    }
}

/// What is said, in English and in Persian.
const BUILT_IN: [(Occasion, [&str; 2]); 5] = [
    (
        Occasion::Callback,
        [
            "Hello[ {name}], as agreed, we will call you on {day}[ at {time}].[ {organisation}]",
            "سلام[ {name}]، همان‌طور که قرار شد، {day}[ ساعت {time}] با شما تماس می‌گیریم.[ {organisation}]",
        ],
    ),
    (
        Occasion::Message,
        [
            "Hello[ {name}], as promised, we are writing to you after our call.[ {organisation}]",
            "سلام[ {name}]، همان‌طور که قول دادیم، پس از گفت‌وگویمان برای شما می‌نویسیم.[ {organisation}]",
        ],
    ),
    (
        Occasion::Meeting,
        [
            "Hello[ {name}], as agreed, we will see you on {day}[ at {time}].[ {organisation}]",
            "سلام[ {name}]، طبق قرارمان، {day}[ ساعت {time}] منتظر دیدار شما هستیم.[ {organisation}]",
        ],
    ),
    (
        Occasion::Payment,
        [
            "Hello[ {name}], as promised, we are writing to you about the payment.[ {organisation}]",
            "سلام[ {name}]، همان‌طور که قول دادیم، دربارهٔ پرداخت برای شما می‌نویسیم.[ {organisation}]",
        ],
    ),
    (
        Occasion::Dropped,
        [
            "Hello[ {name}][, this is {organisation}]. Our call was cut off[ while we were talking about this: {topic}]. We \
             are sorry about that. Please call us again when it suits you.",
            "سلام[ {name}][، از {organisation} تماس می‌گیریم]. تماس ما[ هنگام گفت‌وگو دربارهٔ {topic}] قطع شد. از این بابت پوزش \
             می‌خواهیم. هر وقت برایتان مناسب بود، دوباره با ما تماس بگیرید.",
        ],
    ),
];

/// What a text may be filled from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Values<'a> {
    /// What the contact is called.
    pub name: Option<&'a str>,
    /// The day that was agreed.
    pub day: Option<Date>,
    /// The time of that day.
    pub time: Option<Time>,
    /// What was talked about.
    pub topic: Option<&'a str>,
}

impl Values<'_> {
    /// Fills in a moment on a clock. Midnight is a day without a time: see [`crate::due`].
    pub fn at(self, at_unix_ms: Option<u64>, clock: UtcOffset) -> Self {
        let seconds = at_unix_ms.and_then(|at| i64::try_from(at / 1_000).ok());
        let moment = seconds.and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
        let moment = moment.and_then(|moment| moment.checked_to_offset(clock));
        let time = moment.map(OffsetDateTime::time).filter(|time| *time != Time::MIDNIGHT);
        Self { day: moment.map(OffsetDateTime::date), time, ..self }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    Name,
    Day,
    Time,
    Topic,
    Organisation,
}

impl Gap {
    const ALL: [(&'static str, Self); 5] = [
        ("name", Self::Name),
        ("day", Self::Day),
        ("time", Self::Time),
        ("topic", Self::Topic),
        ("organisation", Self::Organisation),
    ];
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Words(String),
    Gap(Gap),
    /// Left out where something in it is not known.
    Optional(Vec<Piece>),
}

/// A text with gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Template(Vec<Piece>);

impl Template {
    fn parse(text: &str) -> Result<Self, String> {
        let (mut whole, mut optional): (Vec<Piece>, Option<Vec<Piece>>) = (Vec::new(), None);
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}', '[', ']']) {
            let (words, behind) = rest.split_at(at);
            let pieces = optional.as_mut().unwrap_or(&mut whole);
            if !words.is_empty() {
                pieces.push(Piece::Words(words.to_owned()));
            }
            // A sign is one byte.
            let (sign, after) = behind.split_at(1);
            rest = after;
            match sign {
                "{" => {
                    let (name, after) = after.split_once('}').ok_or("a `{` without its `}`")?;
                    let gap = Gap::ALL.into_iter().find(|(known, _)| *known == name);
                    let known = Gap::ALL.map(|(known, _)| known).join(", ");
                    let (_, gap) = gap.ok_or_else(|| format!("`{{{name}}}` is none: {known}"))?;
                    pieces.push(Piece::Gap(gap));
                    rest = after;
                }
                "[" if optional.is_none() => optional = Some(Vec::new()),
                "]" if optional.is_some() => whole.extend(optional.take().map(Piece::Optional)),
                sign => return Err(format!("a `{sign}` where there can be none")),
            }
        }
        if optional.is_some() {
            return Err("a `[` without its `]`".to_owned());
        }
        if !rest.is_empty() {
            whole.push(Piece::Words(rest.to_owned()));
        }
        Ok(Self(whole))
    }
}

/// The organisation's texts, for each occasion and in either language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    templates: BTreeMap<(Occasion, &'static str), Template>,
    organisation: Option<String>,
}

impl Default for Texts {
    /// What is built in.
    fn default() -> Self {
        let mut templates = BTreeMap::new();
        for (occasion, texts) in BUILT_IN {
            for (language, text) in LANGUAGES.into_iter().zip(texts) {
                // A test sees to it that each of them can be read.
                templates.extend(Template::parse(text).ok().map(|template| ((occasion, language), template)));
            }
        }
        Self { templates, organisation: None }
    }
}

impl Texts {
    /// What is built in, but for what an organisation says in its own words; it calls itself `organisation`, if that says
    /// anything.
    ///
    /// # Errors
    /// What is wrong with a text, in words.
    pub fn new(
        own: &BTreeMap<Occasion, BTreeMap<String, String>>,
        organisation: &str,
    ) -> Result<Self, String> {
        let organisation = Some(crate::line(organisation)).filter(|name| !name.is_empty());
        let mut texts = Self { organisation, ..Self::default() };
        for (occasion, own) in own {
            for (given, text) in own {
                let language = LANGUAGES.into_iter().find(|language| language == given);
                let language = language.ok_or_else(|| format!("`{given}` is neither `en` nor `fa`"))?;
                let template =
                    Template::parse(text).map_err(|problem| format!("the text in `{given}`: {problem}"))?;
                texts.templates.insert((*occasion, language), template);
            }
        }
        Ok(texts)
    }

    /// The text for an occasion; nothing where there is none, or where it needs what is not known.
    pub(crate) fn write(
        &self,
        occasion: Occasion,
        language: &'static str,
        values: &Values<'_>,
    ) -> Option<String> {
        let Template(pieces) = self.templates.get(&(occasion, language))?;
        self.fill(pieces, language, values)
    }

    /// Nothing where a gap cannot be filled.
    fn fill(&self, pieces: &[Piece], language: &str, values: &Values<'_>) -> Option<String> {
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Piece::Words(words) => text.push_str(words),
                Piece::Optional(pieces) => {
                    text.push_str(&self.fill(pieces, language, values).unwrap_or_default());
                }
                Piece::Gap(Gap::Name) => text.push_str(values.name?),
                Piece::Gap(Gap::Topic) => text.push_str(values.topic?),
                Piece::Gap(Gap::Organisation) => text.push_str(self.organisation.as_deref()?),
                Piece::Gap(Gap::Day) => text.push_str(&day(values.day?, language)),
                Piece::Gap(Gap::Time) => text.push_str(&time_of_day(values.time?, language)),
            }
        }
        Some(text)
    }
}

/// A day as it is said: Persian counts by the Jalali calendar.
fn day(date: Date, language: &str) -> String {
    if language != "fa" {
        return format!("{} {} {}", date.weekday(), date.day(), date.month());
    }
    const MONTHS: [&str; 12] = [
        "فروردین",
        "اردیبهشت",
        "خرداد",
        "تیر",
        "مرداد",
        "شهریور",
        "مهر",
        "آبان",
        "آذر",
        "دی",
        "بهمن",
        "اسفند",
    ];
    let weekday = match date.weekday() {
        Weekday::Saturday => "شنبه",
        Weekday::Sunday => "یک‌شنبه",
        Weekday::Monday => "دوشنبه",
        Weekday::Tuesday => "سه‌شنبه",
        Weekday::Wednesday => "چهارشنبه",
        Weekday::Thursday => "پنج‌شنبه",
        Weekday::Friday => "جمعه",
    };
    let rata_die = RataDie::new(i64::from(date.to_julian_day()) - RATA_DIE_TO_JULIAN_DAY);
    let date = icu_calendar::Date::from_rata_die(rata_die, Persian);
    let month = MONTHS.get(usize::from(date.month().ordinal).saturating_sub(1)).copied();
    format!("{weekday} {} {}", in_persian(&date.day_of_month().0.to_string()), month.unwrap_or_default())
}

fn time_of_day(time: Time, language: &str) -> String {
    let text = format!("{}:{:02}", time.hour(), time.minute());
    if language == "fa" { in_persian(&text) } else { text }
}

/// The same with the figures that Persian is written with.
fn in_persian(text: &str) -> String {
    let figure = |c: char| c.to_digit(10).and_then(|digit| char::from_u32(PERSIAN_ZERO + digit)).unwrap_or(c);
    text.chars().map(figure).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-12-01 at 10:30 in Tehran.
    const AT: u64 = 1_796_108_400_000;

    fn tehran() -> UtcOffset {
        UtcOffset::from_hms(3, 30, 0).unwrap()
    }

    fn own(text: &str) -> Result<Texts, String> {
        let of_message = [("en".to_owned(), text.to_owned())].into();
        Texts::new(&[(Occasion::Message, of_message)].into(), " Harper ")
    }

    #[test]
    fn what_is_built_in_can_be_read_and_has_both_languages() {
        for text in BUILT_IN.into_iter().flat_map(|(_, texts)| texts) {
            assert!(Template::parse(text).is_ok(), "{text}");
        }
        assert_eq!(Texts::default().templates.len(), BUILT_IN.len() * LANGUAGES.len());
    }

    #[test]
    fn a_text_says_what_is_known_in_the_readers_calendar_and_figures() {
        let texts = Texts::new(&BTreeMap::new(), "Harper").unwrap();
        let known = Values { name: Some("Sara"), ..Values::default() }.at(Some(AT), tehran());
        let write = |values: &Values<'_>, language| texts.write(Occasion::Callback, language, values);
        assert_eq!(
            write(&known, "en").unwrap(),
            "Hello Sara, as agreed, we will call you on Tuesday 1 December at 10:30. Harper"
        );
        assert_eq!(
            write(&Values { name: None, ..known }, "fa").unwrap(),
            "سلام، همان‌طور که قرار شد، سه‌شنبه ۱۰ آذر ساعت ۱۰:۳۰ با شما تماس می‌گیریم. Harper"
        );
    }

    #[test]
    fn what_is_not_known_is_not_said_and_nothing_is_made_up() {
        let texts = Texts::default();
        let midnight = Values::default().at(Some(AT - 10 * 3_600_000 - 30 * 60_000), tehran());
        let day_alone = texts.write(Occasion::Callback, "en", &midnight).unwrap();
        assert_eq!(day_alone, "Hello, as agreed, we will call you on Tuesday 1 December.");
        assert_eq!(texts.write(Occasion::Callback, "en", &Values::default()), None, "nobody knows when");
        assert_eq!(Occasion::of(TaskKind::Task), None, "there is nothing to say about it");
        assert_eq!(texts.write(Occasion::Callback, "", &midnight), None, "in no language of ours");
        assert_eq!(Values::default().at(Some(u64::MAX), tehran()).day, None);
    }

    #[test]
    fn whose_call_was_cut_off_hears_who_calls_and_what_was_talked_about_as_far_as_that_is_known() {
        let texts = Texts::new(&BTreeMap::new(), "Harper").unwrap();
        let said =
            |texts: &Texts, values: &Values<'_>, language| texts.write(Occasion::Dropped, language, values);
        let known = Values { name: Some("Sara"), topic: Some("Registration"), ..Values::default() };
        assert_eq!(
            said(&texts, &known, "en").unwrap(),
            "Hello Sara, this is Harper. Our call was cut off while we were talking about this: Registration. We are sorry \
             about that. Please call us again when it suits you."
        );
        let persian = said(&texts, &Values { topic: Some("ثبت‌نام"), ..Values::default() }, "fa").unwrap();
        assert!(
            persian.starts_with("سلام، از Harper تماس می‌گیریم. تماس ما هنگام گفت‌وگو دربارهٔ ثبت‌نام قطع شد."),
            "{persian}"
        );
        let bare = said(&Texts::default(), &Values::default(), "en").unwrap();
        assert!(bare.starts_with("Hello. Our call was cut off. We are sorry"), "{bare}");
    }

    #[test]
    fn an_organisations_own_text_takes_the_place_of_what_is_built_in() {
        let texts = own("Dear {name}, {organisation} writes.").unwrap();
        let sara = Values { name: Some("Sara"), ..Values::default() };
        assert_eq!(texts.write(Occasion::Message, "en", &sara).unwrap(), "Dear Sara, Harper writes.");
        assert_eq!(texts.write(Occasion::Message, "en", &Values::default()), None);
        for wrong in ["{nmae}", "{name", "name}", "[name", "name]", "[[name]]", "{}"] {
            assert!(own(wrong).is_err(), "{wrong}");
        }
        let german = [("de".to_owned(), "Hallo".to_owned())].into();
        assert!(Texts::new(&[(Occasion::Message, german)].into(), "").is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_a_text_or_refused(text in "([a-zآ-ی ]|\\{name\\}|[\\[\\]{}]){0,24}") {
            if let Ok(texts) = own(&text) {
                let all = Values { name: Some("Sara"), ..Values::default() }.at(Some(AT), tehran());
                let written = texts.write(Occasion::Message, "en", &all).unwrap();
                prop_assert!(!written.contains(['{', '}', '[', ']']), "{written}");
            }
        }
    }
}
