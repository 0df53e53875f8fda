//! Sentences of different documents that say the same but for a number or a date: one of them is out of date, or wrong.
//!
//! It is better to miss some than to cry wolf. So two sentences disagree only where all of this is so:
//!
//! - they stand in different documents, and in the same language;
//! - their words that mean something are the same by their stems, three at least, whatever their order;
//! - they have as many numbers, and these differ in one place: a number, or numbers that stand together, such as a date (names
//!   of months are numbers); with more of them different they are about different things;
//! - of what stands above them, title and headings, the one has all the words of the other, and the same numbers.

use std::collections::{BTreeMap, BTreeSet};

use sotto_text::{HALF_SPACE, fold, folded, is_silent};

use crate::excerpt::{is_end, parts};
use crate::hub::Document;
use crate::words::Analyser;

/// Words that mean something which a sentence has at least: fewer are said of many things.
const FEWEST: usize = 3;
/// Numbers of a sentence at most: more are a table.
const MOST_NUMBERS: usize = 12;
/// Sentences of the same words that are compared with one another; of more the rest is left out.
const MOST_ALIKE: usize = 50;
/// Conflicts that are found at most.
const MOST: usize = 200;

/// As numbers they say when. (“May” is a common word, and none here.)
const MONTHS: &str = "
    january february march april june july august september october november december
    فروردین اردیبهشت خرداد تیر مرداد شهریور مهر آبان آذر دی بهمن اسفند
    ژانویه فوریه مارس آوریل ژوئن ژوئیه جولای اوت آگوست سپتامبر اکتبر نوامبر دسامبر";

/// A sentence, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The name of its document.
    pub document: String,
    /// The place of its passage among those of the document.
    pub place: usize,
    /// The sentence.
    pub text: String,
}

/// Two sentences that disagree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// That of the document which was changed last.
    pub newer: Statement,
    /// The other.
    pub older: Statement,
}

/// A sentence, as it is compared.
struct Said<'a> {
    document: &'a Document,
    place: usize,
    text: &'a str,
    numbers: Vec<Vec<String>>,
    above: Above,
}

/// What stands above a passage.
#[derive(Clone, PartialEq)]
struct Above {
    words: BTreeSet<String>,
    numbers: Vec<Vec<String>>,
}

/// All sentences of these documents that disagree, see the module; those of the documents that come first, at most 200. The work
/// grows with the text.
#[must_use]
pub fn conflicts<'a>(documents: impl Iterator<Item = &'a Document>) -> Vec<Conflict> {
    let reader = Reader::new();
    // What has the same words in the same language.
    let mut alike: BTreeMap<(&str, BTreeSet<String>), Vec<Said<'_>>> = BTreeMap::new();
    for document in documents {
        for (place, passage) in document.passages.iter().enumerate() {
            let mut above = None;
            for range in parts(&passage.text, is_end) {
                let text = &passage.text[range];
                let (words, numbers) = reader.read(uncounted(text));
                let count: usize = numbers.iter().map(Vec::len).sum();
                if words.len() < FEWEST || !(1..=MOST_NUMBERS).contains(&count) {
                    continue;
                }
                let above = above.get_or_insert_with(|| reader.above(document, &passage.section)).clone();
                let said = Said { document, place, text, numbers, above };
                let of_these = alike.entry((passage.language.as_str(), words)).or_default();
                if of_these.len() < MOST_ALIKE {
                    of_these.push(said);
                }
            }
        }
    }
    let mut found = Vec::new();
    for sentences in alike.values() {
        for (n, one) in sentences.iter().enumerate() {
            let others = sentences[n + 1..].iter().filter(|other| one.disagrees_with(other));
            found.extend(others.map(|other| one.against(other)));
        }
    }
    found.sort_by(|a, b| key(a).cmp(&key(b)));
    found.dedup();
    found.truncate(MOST);
    found
}

fn key(conflict: &Conflict) -> [(&str, usize, &str); 2] {
    [&conflict.newer, &conflict.older].map(|one| (one.document.as_str(), one.place, one.text.as_str()))
}

impl Said<'_> {
    fn disagrees_with(&self, other: &Said<'_>) -> bool {
        self.document.id != other.document.id
            && differ_in_one(&self.numbers, &other.numbers)
            && self.above.fits(&other.above)
    }

    fn against(&self, other: &Said<'_>) -> Conflict {
        let is_newer = self.document.changed_unix_ms >= other.document.changed_unix_ms;
        let (newer, older) = if is_newer { (self, other) } else { (other, self) };
        Conflict { newer: newer.statement(), older: older.statement() }
    }

    fn statement(&self) -> Statement {
        Statement { document: self.document.id.clone(), place: self.place, text: self.text.to_owned() }
    }
}

impl Above {
    fn fits(&self, other: &Self) -> bool {
        self.numbers == other.numbers
            && (self.words.is_subset(&other.words) || other.words.is_subset(&self.words))
    }
}

/// Whether these are the same but for numbers that stand together.
fn differ_in_one(one: &[Vec<String>], other: &[Vec<String>]) -> bool {
    let same_form = one.len() == other.len() && one.iter().zip(other).all(|(a, b)| a.len() == b.len());
    same_form && one.iter().zip(other).filter(|(a, b)| a != b).count() == 1
}

/// An item of a numbered list (“2. Open …”) without its number.
fn uncounted(text: &str) -> &str {
    let rest = text.trim_start_matches(char::is_numeric);
    let item = rest.strip_prefix(['.', ')']).filter(|item| item.starts_with(' '));
    item.filter(|_| rest.len() < text.len()).unwrap_or(text)
}

/// Tells the words of a text from its numbers.
struct Reader {
    analyser: Analyser,
    months: BTreeSet<String>,
}

impl Reader {
    fn new() -> Self {
        Self { analyser: Analyser::new(), months: MONTHS.split_whitespace().map(fold).collect() }
    }

    /// The stems that mean something, and the numbers, those together that have nothing but signs between them.
    fn read(&self, text: &str) -> (BTreeSet<String>, Vec<Vec<String>>) {
        let (mut rest, mut numbers) = (String::new(), Vec::<Vec<String>>::new());
        // Whether nothing but signs has come since the last number.
        let mut together = false;
        for token in tokens(text) {
            let number = match token {
                Token::Number(number) => Some(number),
                Token::Word(word) if self.months.contains(&fold(&word)) => Some(fold(&word)),
                Token::Word(word) => {
                    rest.push_str(&word);
                    together = false;
                    None
                }
                Token::Sign => None,
            };
            rest.push(' ');
            let Some(number) = number else { continue };
            match numbers.last_mut().filter(|_| together) {
                Some(group) => group.push(number),
                None => numbers.push(vec![number]),
            }
            together = true;
        }
        let words = self.analyser.words(&rest).into_iter().filter(|word| !word.stop);
        (words.map(|word| word.term).collect(), numbers)
    }

    fn above(&self, document: &Document, section: &[String]) -> Above {
        // A name that stands in for a title says where a document lies, and not what it is about.
        let title = if document.title == document.id { "" } else { document.title.as_str() };
        let lines = std::iter::once(title).chain(section.iter().map(String::as_str));
        let (words, numbers) = self.read(&lines.collect::<Vec<_>>().join("\n"));
        Above { words, numbers }
    }
}

enum Token {
    /// In one spelling: without commas between its digits, zeros behind its point, and the minutes of a full hour.
    Number(String),
    Word(String),
    Sign,
}

/// A text cut where letters, digits and signs meet.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().filter(|c| !is_silent(*c)).flat_map(folded).collect();
    let is_digit = |at: usize| chars.get(at).is_some_and(char::is_ascii_digit);
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(c) = chars.get(at) {
        let mut taken = String::new();
        if c.is_ascii_digit() {
            // What stands between two digits is a part of the number.
            while is_digit(at) || matches!(chars.get(at), Some('.' | ',' | ':' | '/')) && is_digit(at + 1) {
                taken.extend(chars.get(at).filter(|c| **c != ','));
                at += 1;
            }
            out.push(Token::Number(shortest(taken)));
        } else if c.is_alphabetic() {
            // Half-spaces part the endings of Persian words.
            let goes_on = |c: &char| c.is_alphabetic() || matches!(*c, HALF_SPACE | '\'');
            while let Some(c) = chars.get(at).copied().filter(goes_on) {
                taken.push(c);
                at += 1;
            }
            out.push(Token::Word(taken));
        } else {
            at += 1;
            out.push(Token::Sign);
        }
    }
    out
}

fn shortest(number: String) -> String {
    let Some((whole, rest)) = number.split_once(['.', ':']) else { return number };
    match rest.chars().all(|c| c == '0') {
        true => whole.to_owned(),
        false if number.contains(':') || rest.contains(['.', '/']) => number,
        false => number.trim_end_matches('0').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::{Content, Part};
    use crate::{Hub, Paper, Visibility};

    /// A hub of documents: their title, a heading and a text each.
    fn hub(documents: &[(&str, &str, &str)]) -> Hub {
        let mut hub = Hub::new();
        for (n, (title, heading, text)) in documents.iter().enumerate() {
            let part = |level, text: &str| Part { level, text: text.to_owned() };
            let parts = vec![part(1, heading), part(0, text)];
            let content = Content { title: (*title).to_owned(), parts, ..Content::default() };
            let id = format!("{n}.md");
            let changed_unix_ms = n as u64;
            hub.put(Paper { id, changed_unix_ms, visibility: Visibility::default(), bytes: 0, content });
        }
        hub
    }

    fn found(documents: &[(&str, &str, &str)]) -> Vec<(String, String)> {
        let found = conflicts(hub(documents).documents());
        found.into_iter().map(|one| (one.newer.text, one.older.text)).collect()
    }

    /// Whether two sentences disagree that stand under the same title.
    fn disagree(one: &str, other: &str) -> bool {
        !found(&[("Refunds", "How long", one), ("Refunds", "How long", other)]).is_empty()
    }

    #[test]
    fn the_same_said_with_another_number_or_date_is_a_conflict() {
        let (old, new) = ("Your refund takes 3 working days.", "It is paid. Refunds take 5 working days.");
        assert_eq!(
            found(&[("Refunds", "How long", old), ("Refunds and returns", "How long", new)]),
            [("Refunds take 5 working days.".to_owned(), old.to_owned())]
        );
        for (one, other) in [
            ("The course costs €120 a month.", "The course costs €1,120.50 a month"),
            ("Our office opens at 9:00 on weekdays.", "Our office opens at 8:30 on weekdays."),
            ("The winter sale ends on 12 March 2026.", "The winter sale ends on 14 April 2026."),
            ("Traffic of 50GB costs 3 dollars.", "Traffic of 60GB costs 3 dollars."),
            ("بازگشت وجه ۳ روز کاری طول می‌کشد.", "بازگشت وجه 5 روز کاری طول می‌کشد."),
            ("مهلت ثبت‌نام کلاس ۱۲ خرداد است.", "مهلت ثبت‌نام کلاس ۱۲ تیر است."),
        ] {
            assert!(disagree(one, other), "{one} {other}");
        }
    }

    #[test]
    fn what_is_about_something_else_or_says_the_same_is_none() {
        for (one, other) in [
            ("Your refund takes 3 working days.", "Your refund takes 3 working days."),
            ("The course costs €1,200.50 a month.", "The course costs €1200.5 a month."),
            ("Our office opens at 9:00 on weekdays.", "Our office opens at 9 on weekdays."),
            ("بازگشت وجه ۳ روز کاری طول می‌کشد.", "بازگشت وجه 3 روز کاری طول می‌کشد."),
            ("1. Open the settings of your panel.", "2. Open the settings of your panel."),
            // Other words, and too few of them.
            ("Standard delivery takes 3 working days.", "Express delivery takes 1 working day."),
            ("It takes 3 days.", "It takes 5 days."),
            // More than one number is different, or there is one more.
            ("Package 1 has 10 GB of traffic for 5 euros.", "Package 2 has 20 GB of traffic for 9 euros."),
            ("Lessons of the course: 10 in 5 weeks.", "Lessons of the course: 10 in weeks."),
            ("Your refund takes working days.", "Your refund takes working days!"),
        ] {
            assert!(!disagree(one, other), "{one} {other}");
        }
        // Headings and titles tell what they are about.
        let (one, other) = ("The course costs 120 euros a month.", "The course costs 140 euros a month.");
        assert!(found(&[("Prices", "IELTS", one), ("Prices", "TOEFL", other)]).is_empty());
        assert!(found(&[("IELTS", "Price", one), ("TOEFL", "Price", other)]).is_empty());
        assert!(found(&[("Prices", "Level 1", one), ("Prices", "Level 2", other)]).is_empty());
        assert_eq!(found(&[("Prices", "IELTS", one), ("Prices", "IELTS courses", other)]).len(), 1);
        // A document may count up.
        assert!(found(&[("Prices", "IELTS", format!("{one} {other}").as_str())]).is_empty());
    }

    #[test]
    fn a_name_for_a_title_says_nothing() {
        let (one, other) = ("The course costs 120 euros a month.", "The course costs 140 euros a month.");
        assert_eq!(found(&[("", "Price", one), ("", "Price", other)]).len(), 1);
    }

    #[test]
    fn boilerplate_does_not_explode() {
        let texts: Vec<String> = (0..2_000).map(|n| format!("The room has {n} chairs and tables.")).collect();
        let documents: Vec<(&str, &str, &str)> =
            texts.iter().map(|text| ("Rooms", "All", text.as_str())).collect();
        assert_eq!(found(&documents).len(), MOST);
    }

    proptest! {
        #[test]
        fn any_text_can_be_read(one in "\\PC{0,120}", other in "[0-9۰-۹.,:/ a-cآ-ت\u{200c}'-]{0,80}") {
            disagree(&one, &other);
            disagree(&other, &one);
        }
    }
}
