//! An utterance as redaction sees it: digits, what may stand between digits, and everything else.

use std::ops::Range;

use sotto_call::MASK;

use super::cues::{Cue, cue};
use crate::spoken::{Number, Shape, Token, Words, numbers};

/// A part of an utterance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub what: What,
    /// Tokens that it covers.
    pub tokens: Range<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// Digits as dictated, and what else they may have been.
    Digits {
        digits: String,
        others: Vec<String>,
    },
    /// The name of a month: part of an expiry date.
    Month,
    /// Letters and digits in one: part of a password.
    Mixed,
    /// What follows "the password is".
    Password,
    /// An account number with letters, checked.
    Iban,
    /// A sound or sign that may stand inside a number.
    Filler,
    /// A sign that ends a phrase; a number may still go on after it.
    Comma,
    /// Words about what comes next.
    Cue(Cue),
    Word,
    /// What somebody has redacted before.
    Masked,
}

static FILLERS: Words = Words::new(
    "uh um er erm ah eh hm hmm mm mhm okay ok right yes yeah yep so and then next dash hyphen space comma \
     slash well و بعد بعدش بعدشم خط تیره فاصله خب خوب بله اره اوکی باشه م مم ممم اه ام امم اممم هم دیگه",
);

/// Parts that are looked back at. More than a number and what is between its digits has.
const LONGEST_ROW: usize = 64;

/// What a number counts when it stands before it: then it is no secret.
static UNITS: Words = Words::new(
    "toman tomans tuman rial rials irr irt dollar dollars usd bucks euro euros eur pound pounds gbp dirham \
     dirhams cent cents percent second seconds minute minutes min mins hour hours day days week weeks month \
     months year years am pm o'clock oclock gig gigs gigabyte gigabytes gb mb megabytes mbps times people \
     users degrees sessions students تومان تومن تومنی تومانی تومنه ریال ریالی دلار دلاری یورو پوند درهم درصد \
     ثانیه دقیقه ساعت ساعته روز روزه هفته ماه ماهه سال ساله سالمه گیگ گیگابایت مگابایت مگ نفر نفره بار جلسه \
     کاربر کاربره عدد صبح عصر بعدازظهر شب ظهر",
);

const CURRENCY_SIGNS: &[&str] = &["$", "€", "£", "﷼"];

static MONTHS: Words = Words::new(
    "january february march april june july august september october november december فروردین اردیبهشت خرداد \
     تیر مرداد شهریور مهر ابان اذر دی بهمن اسفند",
);

/// What was said, or what is left of it.
#[derive(Debug, Clone)]
pub(super) struct Speech {
    pub tokens: Vec<Token>,
    /// In order.
    pub parts: Vec<Part>,
}

impl Speech {
    pub fn new(tokens: Vec<Token>) -> Self {
        let parts = parts(&tokens);
        Self { tokens, parts }
    }

    /// Without these tokens, as if the mask stood in their place: the others are where they were.
    pub fn without(&self, is_secret: impl Fn(&Token) -> bool) -> Self {
        let mut tokens = self.tokens.clone();
        for token in tokens.iter_mut().filter(|token| is_secret(token)) {
            token.shape = Shape::Symbol;
            token.text = MASK.chars().take(1).collect();
        }
        Self::new(tokens)
    }
}

/// True for a part of what replaces a secret.
pub(super) fn is_masked(token: &Token) -> bool {
    token.shape == Shape::Symbol && MASK.contains(&token.text)
}

fn parts(tokens: &[Token]) -> Vec<Part> {
    // What belongs to a cue is no number: «سی وی وی» begins with thirty.
    let mut rest = tokens.to_vec();
    let mut cues: Vec<Option<(Cue, usize)>> = vec![None; tokens.len()];
    let mut at = 0;
    while at < tokens.len() {
        if let Some((found, length)) = cue(&tokens[at..]) {
            let two = found == Cue::Cvv && tokens.get(at + length).is_some_and(|t| t.glued && t.is("2"));
            let length = length + usize::from(two);
            cues[at] = Some((found, length));
            rest[at..at + length].iter_mut().for_each(|token| token.text.clear());
            at += length;
        } else {
            at += 1;
        }
    }
    let numbers = numbers(&rest);
    let mut of_token: Vec<Option<&Number>> = vec![None; tokens.len()];
    numbers.iter().for_each(|number| of_token[number.tokens.start] = Some(number));
    let mut out: Vec<Part> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let (what, length) = match (cues[at], of_token[at]) {
            (Some((cue, length)), _) => (What::Cue(cue), length),
            _ if let Some(length) = iban(&tokens[at..]) => (What::Iban, length),
            (_, Some(number)) => (digits(tokens, number, &out), number.tokens.len()),
            _ => (plain(tokens, at), 1),
        };
        // A cue of another's beginning ends here: "the password is" has said what follows.
        let length = length.min(tokens.len() - at).max(1);
        let password =
            matches!(what, What::Cue(Cue::Password)).then(|| password(tokens, at + length)).flatten();
        out.push(Part { what, tokens: at..at + length });
        at += length;
        if let Some(password) = password {
            out.push(Part { what: What::Word, tokens: at..password.start });
            at = password.end;
            out.push(Part { what: What::Password, tokens: password });
        }
    }
    out
}

fn plain(tokens: &[Token], at: usize) -> What {
    let token = &tokens[at];
    let word = token.text.as_str();
    let next = tokens.get(at + 1);
    let joined = |other: Option<&Token>, glued: bool, shape| {
        other.is_some_and(|other| glued && other.shape == shape && other.shape != token.shape)
    };
    match token.shape {
        Shape::Symbol if is_masked(token) => What::Masked,
        Shape::Symbol if token.parts(next) => What::Comma,
        Shape::Symbol => What::Filler,
        // "may" is a month only where it cannot be a verb, and no card expires for want of it.
        _ if MONTHS.has(word) => What::Month,
        _ if FILLERS.has(word) => What::Filler,
        _ if joined(next, next.is_some_and(|next| next.glued), Shape::Digits)
            || joined(at.checked_sub(1).map(|before| &tokens[before]), token.glued, Shape::Digits) =>
        {
            What::Mixed
        }
        _ => What::Word,
    }
}

/// Digits, unless they count something, are a date or a time of day, or name a place in a row.
fn digits(tokens: &[Token], number: &Number, before: &[Part]) -> What {
    let Range { start, end } = number.tokens;
    let sign = |at: Option<usize>| {
        at.and_then(|at| tokens.get(at)).is_some_and(|token| CURRENCY_SIGNS.contains(&token.text.as_str()))
    };
    let unit = |at: usize| tokens.get(at).is_some_and(|token| UNITS.has(&token.text));
    // "… 4 2 4 2 am I right": the end of a long row counts nothing.
    let row: usize = before
        .iter()
        .rev()
        .map_while(|part| match &part.what {
            What::Digits { digits, .. } => Some(digits.len()),
            What::Filler | What::Comma => Some(0),
            _ => None,
        })
        .take(LONGEST_ROW)
        .sum();
    // «هزار» goes on with a number, but by itself it is "a lot".
    let lone = number.tokens.len() == 1
        && matches!(tokens[start].text.as_str(), "هزار" | "صد" | "میلیون" | "میلیارد");
    if lone && row == 0 {
        return What::Word;
    }
    if number.ordinal
        || row + number.digits.len() < 13 && (sign(start.checked_sub(1)) || sign(Some(end)) || unit(end))
    {
        return What::Word;
    }
    if is_date_or_time(tokens, start, end) {
        What::Word
    } else {
        What::Digits { digits: number.digits.clone(), others: number.other_digits(tokens) }
    }
}

/// True for a number that is a part of "10:30", "12/05/2026" or "1405-08-12".
fn is_date_or_time(tokens: &[Token], start: usize, end: usize) -> bool {
    let length = |at: usize| {
        tokens.get(at).filter(|token| token.shape == Shape::Digits).map_or(0, |token| token.text.len())
    };
    let sign = |at: usize, signs: &[&str]| {
        tokens.get(at).is_some_and(|token| token.glued && signs.contains(&token.text.as_str()))
            && tokens.get(at + 1).is_some_and(|token| token.glued)
    };
    let time = |at: usize| (1..=2).contains(&length(at)) && length(at + 2) == 2 && sign(at + 1, &[":"]);
    let small = |at: usize, most: u32| {
        length(at) <= 2 && tokens[at].text.parse::<u32>().is_ok_and(|n| (1..=most).contains(&n))
    };
    let date = |at: usize| {
        let signs = sign(at + 1, &["/", "-", "."]) && sign(at + 3, &["/", "-", "."]);
        signs && !sign(at + 5, &["/", "-", "."]) && small(at + 2, 31) && {
            length(at) == 4 && small(at + 4, 31) || small(at, 31) && length(at + 4) == 4
        }
    };
    let back = |count: usize| start.checked_sub(count);
    time(start)
        || back(2).is_some_and(time)
        || date(start)
        || back(2).is_some_and(date)
        || back(4).is_some_and(date)
        // "12.05" of "12.05.2026" is read as one number.
        || end == start + 3 && back(0).is_some_and(date)
}

/// How many tokens at the beginning are an account number (IBAN) that is written out and holds its check
/// digits.
fn iban(tokens: &[Token]) -> Option<usize> {
    let country = tokens.first().filter(|token| token.shape == Shape::Word)?;
    let length = super::checks::iban_length(&country.text)?;
    let mut text = country.text.to_uppercase();
    for (n, token) in tokens.iter().enumerate().skip(1) {
        match token.shape {
            _ if !token.text.is_ascii() => return None,
            Shape::Symbol if matches!(token.text.as_str(), "-" | ".") => continue,
            Shape::Symbol => return None,
            _ => text.push_str(&token.text.to_uppercase()),
        }
        if text.len() >= length {
            return (text.len() == length && super::checks::is_iban(&text)).then_some(n + 1);
        }
    }
    None
}

/// What is said of passwords, as against what passwords are.
static ABOUT_PASSWORDS: Words = Words::new(
    "a about active all already always an at blocked case changed correct different empty expired expiring \
     fine for forgotten gone good in incorrect invalid it just locked long lost missing my needed never new \
     no not now of ok okay old on only protected required rejected reset right safe saved secret secure sent \
     set short so still strong stuck that the there this to too unknown updated valid very weak what wrong \
     your",
);

/// The tokens of a password that follow "is" or a colon: one word that ends the phrase, or letters, digits
/// and signs that are spelled out.
fn password(tokens: &[Token], from: usize) -> Option<Range<usize>> {
    let copula = tokens.get(from)?;
    if !matches!(copula.text.as_str(), "is" | ":" | "=" | "was") {
        return None;
    }
    let start = from + 1;
    let first = tokens.get(start)?;
    let ends = |at: usize| tokens.get(at).is_none_or(|token| token.parts(tokens.get(at + 1)));
    let is_plain = first.shape == Shape::Word
        && first.text.is_ascii()
        && first.text.len() > 1
        && !ABOUT_PASSWORDS.has(&first.text)
        && !first.text.ends_with("ing");
    if is_plain && ends(start + 1) {
        return Some(start..start + 1);
    }
    let mut end = start;
    while let Some(token) = tokens.get(end).filter(|token| !token.parts(tokens.get(end + 1))) {
        let spelled = token.shape != Shape::Word
            || token.text.chars().count() == 1
            || token.glued
            || tokens.get(end + 1).is_some_and(|next| next.glued && next.shape != Shape::Symbol)
            || matches!(
                token.text.as_str(),
                "capital"
                    | "uppercase"
                    | "lowercase"
                    | "small"
                    | "underscore"
                    | "dash"
                    | "hyphen"
                    | "dot"
                    | "dollar"
                    | "hash"
                    | "star"
                    | "exclamation"
                    | "mark"
            );
        if !spelled || is_masked(token) {
            break;
        }
        end += 1;
    }
    // Neither is "I" in "8883 I think" a letter of it, nor a sign at its end.
    let is_other = |at: usize| {
        let word = tokens.get(at + 1).is_some_and(|next| next.shape == Shape::Word);
        tokens[at].shape == Shape::Symbol || word && matches!(tokens[at].text.as_str(), "i" | "a")
    };
    while end > start && is_other(end - 1) {
        end -= 1;
    }
    // A lone "a" is an article, digits alone are found as such.
    let letters = tokens[start..end].iter().any(|token| token.shape == Shape::Word);
    (end > start + 1 && letters).then_some(start..end)
}
