//! Tickets without the people in them: what is taken in of a folder, or of an upload, that has tickets.
//!
//! Rules find names where words around them say that they are some (a salutation, a signature, a field, “my name is”), and
//! then wherever else they stand in the document, whichever letters a keyboard has written them with; telephone numbers and
//! e-mail addresses; numbers of orders and accounts, and any other digits of five or more in a row that are no amount or date;
//! links that open something for whoever has them; secrets, as in what is said on a call. A name that nothing says of that it is
//! one stays: whoever shows tickets to everybody looks through them first.

use std::collections::BTreeSet;
use std::ops::Range;

use sotto_call::{EntityKind, MASK};
use sotto_insight::entities;
use sotto_knowledge::{Content, Part};
use sotto_text::{folded, is_persian};
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::redaction::RedactionConfig;

/// Characters that are looked at together; rules look no further than a sentence or two.
const STRETCH: usize = 2_000;
/// Names of a document that are looked for everywhere in it.
const MOST_NAMES: usize = 200;
/// Digits in a row that are a number of somebody.
const LONG: usize = 5;
/// Letters and digits in a row, of both some, that are a key in a link.
const KEY: usize = 12;
/// Words of a name at most, and of a signature.
const MOST_WORDS: usize = 4;

/// What is called so holds a name, in tables and at the head of messages.
const NAME_FIELDS: &str =
    "name, first name, last name, full name, surname, customer, customer name, client, user, user name,
    username, from, to, cc, sender, recipient, requester, reporter, author, agent, assignee, contact, signed,
    نام, نام خانوادگی, نام مشتری, مشتری, کاربر, نام کاربری, فرستنده, گیرنده, درخواست کننده, کارشناس, نماینده";
/// What is called so holds something else that leads to somebody.
const OTHER_FIELDS: &str = "phone, phone number, telephone, mobile, cell, fax, email, e-mail, mail, address, telegram, whatsapp,
    skype, id, user id, customer id, ticket, ticket id, ip, ip address, account, account number, order, order number,
    invoice, card, card number, iban, national id, passport, birthday, date of birth, postcode, zip,
    تلفن, شماره تلفن, موبایل, شماره موبایل, همراه, ایمیل, رایانامه, نشانی, آدرس, تلگرام, واتساپ, شناسه, کد ملی,
    شماره کارت, کارت, شبا, حساب, شماره حساب, سفارش, شماره سفارش, تیکت, شماره تیکت, کد پستی, تاریخ تولد";
/// Somebody's name follows, if it begins with a capital where the script has these.
const SALUTATIONS: &str = "dear, hi, hello, hey, mr, mr., mrs, mrs., ms, ms., dr, dr., sir, madam,
    آقای, خانم, جناب, سرکار, دکتر, مهندس";
/// What follows in the same line or the next, if it is short, is who has written.
const FAREWELLS: &str =
    "regards, best regards, kind regards, warm regards, best wishes, best, sincerely, yours sincerely,
    yours, cheers, many thanks, thank you, thanks,
    با احترام, با تشکر, با سپاس, ارادتمند, سپاس, ممنون, با سپاس فراوان";

/// What stands in tickets, without the people in it.
#[must_use]
pub fn anonymised(content: Content) -> Content {
    let rules = Rules::new();
    let Content { title, parts, missing } = content;
    let mut names = BTreeSet::new();
    let mut first = |text: &str| rules.hidden(text, &mut names);
    let title = first(&title);
    let parts: Vec<Part> = parts.into_iter().map(|part| Part { text: first(&part.text), ..part }).collect();
    // Longer ones first: a whole name before its parts.
    let mut names: Vec<Vec<char>> =
        names.into_iter().take(MOST_NAMES).map(|name| name.chars().collect()).collect();
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    let everywhere = |text: &str| without_names(text, &names);
    let title = everywhere(&title);
    let parts = parts.into_iter().map(|part| Part { text: everywhere(&part.text), ..part }).collect();
    Content { title, parts, missing }
}

/// Phrases in one spelling.
struct Phrases(BTreeSet<String>);

impl Phrases {
    fn of(list: &str) -> Self {
        Self(list.split(',').map(spelled).collect())
    }

    fn have(&self, text: &str) -> bool {
        self.0.contains(&spelled(text))
    }
}

/// A phrase in one spelling, with single spaces.
fn spelled(text: &str) -> String {
    sotto_text::fold(text).replace('_', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

struct Rules {
    redaction: RedactionConfig,
    name_fields: Phrases,
    other_fields: Phrases,
    salutations: Phrases,
    farewells: Phrases,
    /// Dates are relative to nothing here.
    now: PrimitiveDateTime,
}

impl Rules {
    fn new() -> Self {
        let epoch = OffsetDateTime::UNIX_EPOCH;
        Self {
            // All secrets, whatever is taken out of calls.
            redaction: RedactionConfig::default(),
            name_fields: Phrases::of(NAME_FIELDS),
            other_fields: Phrases::of(OTHER_FIELDS),
            salutations: Phrases::of(SALUTATIONS),
            farewells: Phrases::of(FAREWELLS),
            now: PrimitiveDateTime::new(epoch.date(), epoch.time()),
        }
    }

    /// A text without what leads to somebody; names are added to those that are known.
    fn hidden(&self, text: &str, names: &mut BTreeSet<String>) -> String {
        let mut out = String::with_capacity(text.len());
        let mut signs = false;
        for line in text.split_inclusive('\n') {
            let (words, end) = match line.strip_suffix('\n') {
                Some(words) => (words, "\n"),
                None => (line, ""),
            };
            let is_signature = std::mem::take(&mut signs) && is_short(words);
            if is_signature && !words.trim().is_empty() {
                note(words, names);
                out.push_str(MASK);
            } else {
                stretches(words).for_each(|stretch| out.push_str(&self.hidden_in(stretch, names)));
                // A signature may stand below an empty line.
                signs =
                    is_signature || self.farewells.have(words.trim_end_matches([',', '،', '.', '!', ' ']));
            }
            out.push_str(end);
        }
        out
    }

    fn hidden_in(&self, text: &str, names: &mut BTreeSet<String>) -> String {
        let text = self.redaction.without_secrets(text);
        let chars: Vec<char> = text.chars().collect();
        let mut hide: Vec<Range<usize>> = Vec::new();
        let mut keep: Vec<Range<usize>> = Vec::new();
        for found in entities(&text, &[], self.now, None) {
            match found.kind {
                EntityKind::Person => {
                    note(&found.value, names);
                    hide.push(found.chars);
                }
                EntityKind::Phone | EntityKind::Email | EntityKind::Order | EntityKind::Account => {
                    hide.push(found.chars);
                }
                EntityKind::Money | EntityKind::DateTime => keep.push(found.chars),
                EntityKind::City | EntityKind::Course => {}
            }
        }
        hide.extend(self.fields(&chars, names));
        hide.extend(self.salutation(&chars, names));
        hide.extend(runs(&chars, |c| !c.is_whitespace()).filter(|word| is_key(&chars[word.clone()])));
        let is_kept =
            |row: &Range<usize>| keep.iter().any(|kept| kept.start < row.end && row.start < kept.end);
        hide.extend(runs(&chars, char::is_numeric).filter(|row| row.len() >= LONG && !is_kept(row)));
        masked(&chars, hide)
    }

    /// The values of fields (“name: …; phone: …”).
    fn fields(&self, chars: &[char], names: &mut BTreeSet<String>) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        for field in runs(chars, |c| !matches!(c, ';' | '؛' | '|')) {
            let Some(colon) = chars[field.clone()].iter().position(|c| matches!(c, ':' | '：')) else {
                continue;
            };
            let colon = field.start + colon;
            let label: String = chars[field.start..colon].iter().collect();
            let is_name = self.name_fields.have(&label);
            if !is_name && !self.other_fields.have(&label) {
                continue;
            }
            let Some(value) = trimmed(chars, colon + 1..field.end) else { continue };
            if is_name {
                note(&chars[value.clone()].iter().collect::<String>(), names);
            }
            found.push(value);
        }
        found
    }

    /// The names behind salutations.
    fn salutation(&self, chars: &[char], names: &mut BTreeSet<String>) -> Vec<Range<usize>> {
        let words: Vec<Range<usize>> = runs(chars, |c| !c.is_whitespace()).collect();
        let text = |range: &Range<usize>| chars[range.clone()].iter().collect::<String>();
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(word) = words.get(at) {
            at += 1;
            if !self.salutations.have(&text(word)) {
                continue;
            }
            let begins = at;
            while let Some(next) = words.get(at).filter(|_| at - begins < MOST_WORDS) {
                let first = chars[next.start];
                let is_title = self.salutations.have(&text(next));
                // Persian has no capitals: one word, or two.
                let is_name = if first.is_ascii() {
                    first.is_uppercase()
                } else {
                    first.is_alphabetic() && at - begins < 2
                };
                if !is_name || is_title {
                    break;
                }
                at += 1;
                if matches!(chars[next.end - 1], ',' | '،' | '.' | ':' | '!' | '?' | '؟') {
                    break;
                }
            }
            let Some((first, last)) = words.get(begins).zip(words.get(at - 1)).filter(|_| at > begins) else {
                continue;
            };
            let is_letter = |c: &char| c.is_alphanumeric();
            let end = chars[first.start..last.end]
                .iter()
                .rposition(is_letter)
                .map_or(last.end, |n| first.start + n + 1);
            let name = first.start..end;
            note(&text(&name), names);
            found.push(name);
        }
        found
    }
}

/// Whether a word is a link that opens something for whoever has it: one that leads to no page (`vless://…`), or to a page of
/// somebody's own.
fn is_key(word: &[char]) -> bool {
    let text: String = word.iter().collect();
    let Some((before, rest)) = text.split_once("://") else { return false };
    let scheme = before.rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    let is_mixed = |part: &str| {
        part.contains(|c: char| c.is_ascii_digit()) && part.contains(|c: char| c.is_alphabetic())
    };
    let mut parts = rest.split(|c: char| !c.is_ascii_alphanumeric());
    !["http", "https"].iter().any(|page| scheme.eq_ignore_ascii_case(page))
        || parts.any(|part| part.len() >= KEY && is_mixed(part))
}

/// Adds a name, and the parts of one that are written with a capital.
fn note(name: &str, names: &mut BTreeSet<String>) {
    let name = name.trim();
    let is_name = |part: &str| part.chars().filter(|c| c.is_alphabetic()).count() > 1 && !part.contains(MASK);
    if !is_short(name) || !is_name(name) {
        return;
    }
    names.insert(name.to_owned());
    let parts = name.split_whitespace().map(|part| part.trim_matches(|c: char| !c.is_alphanumeric()));
    let parts = parts.filter(|part| part.chars().count() > 2 && part.starts_with(|c: char| c.is_uppercase()));
    names.extend(parts.map(str::to_owned));
}

fn is_short(text: &str) -> bool {
    text.split_whitespace().count() <= MOST_WORDS && text.chars().count() <= 60
}

/// A line in stretches that are cut at spaces, if it has some.
fn stretches(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.char_indices().nth(STRETCH).map_or(rest.len(), |(end, _)| end);
        let cut = match end == rest.len() {
            true => end,
            false => rest[..end].rfind(' ').filter(|cut| *cut > 0).unwrap_or(end),
        };
        let (stretch, after) = rest.split_at(cut);
        rest = after;
        Some(stretch)
    })
}

/// The longest stretches of such characters.
fn runs<'a>(chars: &'a [char], is: impl Fn(char) -> bool + 'a) -> impl Iterator<Item = Range<usize>> + 'a {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + chars.get(at..)?.iter().position(|c| is(*c))?;
        let length = chars[start..].iter().position(|c| !is(*c));
        at = length.map_or(chars.len(), |length| start + length);
        Some(start..at)
    })
}

/// A stretch without the spaces around it; nothing if that is all.
fn trimmed(chars: &[char], range: Range<usize>) -> Option<Range<usize>> {
    let within = &chars[range.clone()];
    let first = within.iter().position(|c| !c.is_whitespace())?;
    let last = within.iter().rposition(|c| !c.is_whitespace())?;
    Some(range.start + first..range.start + last + 1)
}

fn without_names(text: &str, names: &[Vec<char>]) -> String {
    let chars: Vec<char> = text.chars().collect();
    let is_part = |at: Option<&char>| at.is_some_and(|c| c.is_alphanumeric());
    // Persian is typed with Arabic letters, too.
    let is_same = |a: char, b: char| a == b || is_persian(a) && is_persian(b) && folded(a).eq(folded(b));
    let begins = |text: &[char], name: &[char]| {
        text.len() >= name.len() && text.iter().zip(name).all(|(a, b)| is_same(*a, *b))
    };
    let stands = |name: &[char], at: usize| {
        begins(&chars[at..], name)
            && !is_part(at.checked_sub(1).and_then(|before| chars.get(before)))
            && !is_part(chars.get(at + name.len()))
    };
    let mut found = Vec::new();
    for name in names {
        let places = (0..chars.len()).filter(|at| stands(name.as_slice(), *at));
        found.extend(places.map(|at| at..at + name.len()));
    }
    masked(&chars, found)
}

/// A text in which [`MASK`] stands in place of these stretches; those that overlap are one.
fn masked(chars: &[char], mut hide: Vec<Range<usize>>) -> String {
    hide.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
    let mut out = String::with_capacity(chars.len());
    let mut at = 0;
    for range in hide.into_iter().filter(|range| !range.is_empty()) {
        if range.end <= at {
            continue;
        }
        if range.start >= at {
            out.extend(&chars[at..range.start]);
            out.push_str(MASK);
        }
        at = range.end;
    }
    out.extend(chars.get(at..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn content(parts: &[&str]) -> Content {
        let parts = parts.iter().map(|text| Part { level: 0, text: (*text).to_owned() }).collect();
        Content { title: "Refund".to_owned(), parts, ..Content::default() }
    }

    fn hidden(text: &str) -> String {
        anonymised(content(&[text])).parts.remove(0).text
    }

    #[test]
    fn people_and_what_leads_to_them_are_taken_out() {
        for (text, left) in [
            ("My name is Rose Brown and I want a refund.", "My name is •••• and I want a refund."),
            ("Dear Mr. Smith, your refund is on its way.", "Dear Mr. ••••, your refund is on its way."),
            ("Write to rose.brown@example.org, please.", "Write to ••••, please."),
            ("My card is 4242 4242 4242 4242.", "My card is ••••."),
            (
                "name: Rose Brown; phone: 0912 345 67 89; question: How long?",
                "name: ••••; phone: ••••; question: How long?",
            ),
            (
                "Ticket: 77 | Customer_Name: Rose | How long?",
                "Ticket: •••• | Customer_Name: •••• | How long?",
            ),
            ("The trace is 8812345 in the log.", "The trace is •••• in the log."),
            ("I use vless://0a1b@host.example#me now.", "I use •••• now."),
            ("Mine is at https://sub.example/s/x7Kq02LmPz9w today.", "Mine is at •••• today."),
            ("نام: رضا کریمی؛ پرسش: چقدر طول می‌کشد؟", "نام: ••••؛ پرسش: چقدر طول می‌کشد؟"),
            ("جناب کریمی، وجه شما برگشت.", "جناب ••••، وجه شما برگشت."),
        ] {
            assert_eq!(hidden(text), left);
        }
    }

    #[test]
    fn what_answers_stays() {
        for text in [
            "A refund takes 3 working days and costs $120.50.",
            "The course costs 250000 toman a month.",
            "It is closed from 20 March to 2 April, all day.",
            "Hello there, how do I renew my panel?",
            "Renew it at https://panel.example/how-to-renew-a-panel today.",
            "Thanks for waiting. Open the settings and press Renew.",
            "بازگشت وجه ۳ روز کاری طول می‌کشد.",
        ] {
            assert_eq!(hidden(text), text);
        }
    }

    #[test]
    fn a_name_that_is_known_is_taken_out_wherever_it_stands() {
        let parts = [
            "Hi Rose,\nyour panel is renewed.\nKind regards,\n\nOmid Karimi",
            "Omid has told Rose that roses bloom.",
        ];
        let left: Vec<String> = anonymised(content(&parts)).parts.into_iter().map(|part| part.text).collect();
        assert_eq!(anonymised(content(&[left[0].as_str()])).parts[0].text, left[0], "nothing more");
        assert_eq!(
            left,
            [
                "Hi ••••,\nyour panel is renewed.\nKind regards,\n\n••••",
                "•••• has told •••• that roses bloom.",
            ]
        );
    }

    #[test]
    fn a_persian_name_is_known_in_arabic_letters() {
        let parts = ["نام: رضا كريمي؛ پرسش: چقدر طول می‌کشد؟", "رضا کریمی تماس گرفت."];
        let left: Vec<String> = anonymised(content(&parts)).parts.into_iter().map(|part| part.text).collect();
        assert_eq!(left, ["نام: ••••؛ پرسش: چقدر طول می‌کشد؟", "•••• تماس گرفت."]);
    }

    #[test]
    fn long_lines_are_read_as_well() {
        let text = format!("{}My name is Rose Brown.", "word ".repeat(10_000));
        assert!(!hidden(&text).contains("Rose"));
        let digits = hidden(&"1".repeat(10_000));
        assert!(digits.chars().all(|c| MASK.contains(c)), "{digits}");
    }

    proptest! {
        #[test]
        fn any_text_keeps_its_lines(
            text in "([a-zA-Z]{1,6}|[0-9]{1,8}|Dear|name:|regards,|نام:|آقای|[;,.@\\n ]| ){0,40}"
        ) {
            let left = hidden(&text);
            prop_assert_eq!(left.lines().count(), text.lines().count());
        }

        #[test]
        fn any_text_can_be_looked_through(text in "\\PC{0,200}") {
            hidden(&text);
        }
    }
}
