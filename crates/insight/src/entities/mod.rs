//! What calls are about, found in the words: who, when, how much, which order, how to reach them.
//!
//! English and Persian, in digits and in words, as speech recognition writes them. Secrets are no entities:
//! what is looked at should have been through a [`crate::Redactor`] before.

mod contact;
mod money;
mod names;
mod reference;
mod when;

use std::ops::Range;

use sotto_call::{EntityKind as Kind, Word};
use time::PrimitiveDateTime;

pub use self::names::persian_names;
use crate::spoken::{Number, Shape, Token, Words, numbers, places, tokens};

/// Something that was named.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    /// What it is.
    pub kind: Kind,
    /// What was named, in the form that its kind has.
    pub value: String,
    /// Characters (Unicode scalar values) of the text that it rests on.
    pub chars: Range<usize>,
    /// Words that it rests on; absent where the words are not those of the text.
    pub words: Option<Range<usize>>,
    /// From 0 to 1: how sure the rule is that found it, times how sure the recogniser was of the words.
    pub confidence: f32,
}

/// Finds entities in an utterance, in the order of the text and without overlap. `words` may be empty.
///
/// `now` is when it was said, on the speaker's clock: "tomorrow" is the day after. `asked` is what the other party has
/// just [`asked_for`]. The work grows with the text.
#[must_use]
pub fn entities(text: &str, words: &[Word], now: PrimitiveDateTime, asked: Option<Kind>) -> Vec<Entity> {
    let tokens = tokens(text);
    let mut speech = Speech::new(&tokens);
    // What is surer of its tokens comes first.
    contact::emails(&mut speech, text);
    money::amounts(&mut speech);
    when::times(&mut speech, now);
    reference::references(&mut speech);
    contact::phones(&mut speech);
    if let Some(asked) = asked {
        reference::answer(&mut speech, asked);
    }
    names::courses(&mut speech);
    names::people(&mut speech, text);
    names::cities(&mut speech);
    let places = places(text, words).filter(|places| !places.is_empty());
    let mut found = speech.found;
    found.sort_by_key(|found| found.tokens.start);
    found.into_iter().map(|found| found.entity(&tokens, places.as_deref(), words)).collect()
}

/// The kind of number that an utterance asks the other party for: of an order, or of an account.
#[must_use]
pub fn asked_for(text: &str) -> Option<Kind> {
    reference::asked_for(&Speech::new(&tokens(text)))
}

/// An entity over tokens.
struct Found {
    kind: Kind,
    value: String,
    tokens: Range<usize>,
    confidence: f32,
}

impl Found {
    fn entity(self, tokens: &[Token], places: Option<&[Range<usize>]>, words: &[Word]) -> Entity {
        let chars = tokens[self.tokens.start].chars.start..tokens[self.tokens.end - 1].chars.end;
        let range = places.map(|places| {
            let start = places.partition_point(|place| place.end <= chars.start);
            start..places.partition_point(|place| place.start < chars.end)
        });
        let heard = range.clone().and_then(|range| words.get(range)).filter(|heard| !heard.is_empty());
        let p = heard.map_or(1.0, |heard| heard.iter().map(|word| word.p).sum::<f32>() / heard.len() as f32);
        let confidence = (self.confidence * p).clamp(0.0, 1.0);
        Entity { kind: self.kind, value: self.value, chars, words: range, confidence }
    }
}

/// An utterance, its numbers, and what has been found in it.
struct Speech<'a> {
    tokens: &'a [Token],
    numbers: Vec<Number>,
    /// For each token, the number that begins there, and the one that ends before it.
    begins: Vec<Option<usize>>,
    ends: Vec<Option<usize>>,
    taken: Vec<bool>,
    found: Vec<Found>,
}

impl<'a> Speech<'a> {
    fn new(tokens: &'a [Token]) -> Self {
        let numbers = numbers(tokens);
        let mut begins = vec![None; tokens.len()];
        let mut ends = vec![None; tokens.len() + 1];
        for (n, number) in numbers.iter().enumerate() {
            begins[number.tokens.start] = Some(n);
            ends[number.tokens.end] = Some(n);
        }
        Self { tokens, numbers, begins, ends, taken: vec![false; tokens.len()], found: vec![] }
    }

    /// The text of a token; nothing beyond the end.
    fn word(&self, at: usize) -> &'a str {
        self.tokens.get(at).map_or("", |token| token.text.as_str())
    }

    fn is(&self, at: usize, words: &[&str]) -> bool {
        at < self.tokens.len() && words.contains(&self.word(at))
    }

    fn glued(&self, at: usize) -> bool {
        self.tokens.get(at).is_some_and(|token| token.glued)
    }

    /// The number that begins at a token.
    fn number(&self, at: usize) -> Option<&Number> {
        self.begins.get(at).copied().flatten().map(|n| &self.numbers[n])
    }

    /// The number that ends before a token.
    fn number_before(&self, at: usize) -> Option<&Number> {
        self.ends.get(at).copied().flatten().map(|n| &self.numbers[n])
    }

    /// Digits at a token, if they are so many.
    fn digits(&self, at: usize, length: Range<usize>) -> Option<u32> {
        let token = self.tokens.get(at).filter(|token| token.shape == Shape::Digits)?;
        length.contains(&token.text.len()).then(|| token.text.parse().ok()).flatten()
    }

    fn is_free(&self, range: Range<usize>) -> bool {
        self.taken.get(range).is_some_and(|taken| !taken.contains(&true))
    }

    /// Keeps what was found, if its tokens are nothing else already.
    fn take(&mut self, kind: Kind, value: String, tokens: Range<usize>, confidence: f32) {
        if !tokens.is_empty() && self.is_free(tokens.clone()) {
            self.taken[tokens.clone()].fill(true);
            self.found.push(Found { kind, value, tokens, confidence });
        }
    }

    /// Numbers that are dictated one after the other from a token on, as one row: its digits, where it ends,
    /// and how the digits were grouped.
    fn row(&self, at: usize) -> Option<Row> {
        let mut row = Row { digits: String::new(), end: at, groups: vec![] };
        let mut next = at;
        while let Some(number) = self.number(next).filter(|number| !number.ordinal) {
            if !self.is_free(number.tokens.clone()) || row.digits.len() > LONGEST_ROW {
                break;
            }
            row.digits.push_str(&number.digits);
            row.groups.push(number.digits.len());
            row.end = number.tokens.end;
            next = row.end;
            let mut signs = 0;
            while self.number(next).is_none() && BETWEEN_DIGITS.has(self.word(next)) && signs < 4 {
                next += 1;
                signs += 1;
            }
        }
        (!row.groups.is_empty()).then_some(row)
    }
}

/// Digits from which on a row is none that anybody needs.
const LONGEST_ROW: usize = 40;

/// What may stand between the numbers of a row.
static BETWEEN_DIGITS: Words =
    Words::new("- . , ( ) / uh um er dash hyphen then and و بعد بعدش خط تیره اممم");

struct Row {
    digits: String,
    end: usize,
    groups: Vec<usize>,
}

#[cfg(test)]
mod tests;
