//! Text as speech recognition writes it, cut into tokens: one spelling for the letters and digits of English
//! and Persian, and for each token where in the text it stands. Numbers are read from tokens (`number`).

mod number;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::OnceLock;

use sotto_call::Word;
use sotto_text::{HALF_SPACE, digit, folded, is_apostrophe, is_persian, is_silent};

pub(crate) use number::{Number, number_word, numbers};
pub(crate) use sotto_text::fold;

/// What a token is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Letters, with apostrophes inside.
    Word,
    /// Decimal digits.
    Digits,
    /// One character that is neither.
    Symbol,
}

/// A word, a row of digits or a sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub shape: Shape,
    /// Folded: lower case, ASCII digits, one code point per Persian letter.
    pub text: String,
    /// Characters of the text (Unicode scalar values) that it covers.
    pub chars: Range<usize>,
    /// No space between it and the token before.
    pub glued: bool,
    /// Begins with a capital.
    pub capital: bool,
}

impl Token {
    pub fn is(&self, text: &str) -> bool {
        self.text == text
    }

    /// A sign that parts what is said: not the dot of "2.5", which the next token is glued to.
    pub fn parts(&self, next: Option<&Token>) -> bool {
        matches!(self.text.as_str(), "." | "," | ";" | "?" | "!" | ":") && next.is_none_or(|next| !next.glued)
    }
}

/// Cuts a text into tokens. The work grows with its length.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut open: Option<(Shape, Vec<(char, usize)>)> = None;
    let mut glued = false;
    let close = |open: &mut Option<(Shape, Vec<(char, usize)>)>, out: &mut Vec<Token>, glued: &mut bool| {
        if let Some((shape, letters)) = open.take() {
            push(out, shape, &letters, *glued);
            *glued = true;
        }
    };
    let mut chars = text.chars().enumerate().peekable();
    while let Some((at, c)) = chars.next() {
        if is_silent(c) {
            continue;
        }
        let shape = if digit(c).is_some() {
            Shape::Digits
        } else if c.is_alphabetic() || is_apostrophe(c) && apostrophe_inside(&open, chars.peek()) {
            Shape::Word
        } else {
            close(&mut open, &mut out, &mut glued);
            if c.is_whitespace() {
                glued = false;
            } else if c != HALF_SPACE {
                push(&mut out, Shape::Symbol, &[(c, at)], glued);
                glued = true;
            }
            continue;
        };
        if open.as_ref().is_none_or(|(current, _)| *current != shape) {
            close(&mut open, &mut out, &mut glued);
        }
        open.get_or_insert_with(|| (shape, Vec::new())).1.push((c, at));
    }
    close(&mut open, &mut out, &mut glued);
    out
}

fn apostrophe_inside(open: &Option<(Shape, Vec<(char, usize)>)>, next: Option<&(usize, char)>) -> bool {
    matches!(open, Some((Shape::Word, _))) && next.is_some_and(|(_, next)| next.is_alphabetic())
}

fn push(out: &mut Vec<Token>, shape: Shape, letters: &[(char, usize)], glued: bool) {
    let capital = letters.first().is_some_and(|(c, _)| c.is_uppercase());
    let token = |letters: &[(char, usize)], glued: bool| -> Option<Token> {
        let (first, last) = (letters.first()?.1, letters.last()?.1);
        let text = letters.iter().flat_map(|(c, _)| folded(*c)).collect();
        Some(Token { shape, text, chars: first..last + 1, glued, capital })
    };
    // "سیصدوپنجاه" and "دویست‌هزار" are several words that somebody has joined.
    let cuts = if shape == Shape::Word { joined_numbers(letters) } else { vec![] };
    let mut from = 0;
    for cut in cuts.into_iter().chain([letters.len()]) {
        out.extend(token(&letters[from..cut], if from == 0 { glued } else { true }));
        from = cut;
    }
}

/// The longest joined number that is looked at, in letters: "هفتصدوهفتادوهفت".
const LONGEST_JOINED: usize = 24;

/// Where to cut a Persian word that is nothing but number words and "و" joined; empty where it is not.
fn joined_numbers(letters: &[(char, usize)]) -> Vec<usize> {
    if letters.len() > LONGEST_JOINED || !letters.first().is_some_and(|(c, _)| is_persian(*c)) {
        return vec![];
    }
    let word: String = letters.iter().flat_map(|(c, _)| folded(*c)).collect();
    if number_word(&word) || word.chars().count() != letters.len() {
        return vec![];
    }
    let chars: Vec<char> = word.chars().collect();
    // For every position, from where the last part that ends there began.
    let mut from: Vec<Option<usize>> = vec![None; chars.len() + 1];
    from[0] = Some(0);
    for end in 1..=chars.len() {
        from[end] = (0..end).find(|start| {
            let part: String = chars[*start..end].iter().collect();
            let inside = *start > 0 && end < chars.len() || *start == 0;
            from[*start].is_some()
                && (part.chars().count() > 1 && number_word(&part) || part == "و" && inside)
        });
    }
    let mut cuts = Vec::new();
    let mut at = chars.len();
    while let Some(start) = from[at].filter(|_| at > 0) {
        cuts.push(start);
        at = start;
    }
    // "و" and one number word is what a half-space leaves of "بیست‌وپنج".
    if at > 0 || cuts.len() < 2 {
        return vec![];
    }
    cuts.pop();
    cuts.reverse();
    cuts
}

/// Words to look for, in any spelling: parted by spaces where they are written down.
pub(crate) struct Words {
    list: &'static str,
    folded: OnceLock<HashSet<String>>,
}

impl Words {
    pub const fn new(list: &'static str) -> Self {
        Self { list, folded: OnceLock::new() }
    }

    /// True for the text of a token that is among them.
    pub fn has(&self, word: &str) -> bool {
        self.folded.get_or_init(|| self.list.split_whitespace().map(fold).collect()).contains(word)
    }
}

/// The words and rows of digits of a text in one spelling, without signs.
#[must_use]
pub fn spelled(text: &str) -> Vec<String> {
    tokens(text).into_iter().filter(|token| token.shape != Shape::Symbol).map(|token| token.text).collect()
}

/// The letters and digits of a text in one spelling and without anything between them, its numbers in digits however they
/// were said: "It's B, four seven" is `it'sb47`.
#[must_use]
pub fn plain(text: &str) -> String {
    let tokens = tokens(text);
    let numbers = numbers(&tokens);
    let mut numbers = numbers.iter().peekable();
    let (mut plain, mut at) = (String::new(), 0);
    while let Some(token) = tokens.get(at) {
        if let Some(number) = numbers.next_if(|number| number.tokens.start == at) {
            plain.push_str(&number.digits);
            at = number.tokens.end;
        } else {
            if token.shape != Shape::Symbol {
                plain.push_str(&token.text);
            }
            at += 1;
        }
    }
    plain
}

/// Where in the text each word stands, in characters; nothing where the words are not those of the text, in
/// order.
#[must_use]
pub fn places(text: &str, words: &[Word]) -> Option<Vec<Range<usize>>> {
    let mut rest = text;
    let mut at = 0;
    let place = |word: &Word| {
        let said = word.w.trim();
        let trimmed = rest.trim_start();
        at += rest[..rest.len() - trimmed.len()].chars().count();
        rest = trimmed.strip_prefix(said)?;
        let start = at;
        at += said.chars().count();
        Some(start..at)
    };
    words.iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        tokens(text).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn digits_of_every_script_are_one() {
        assert_eq!(texts("۴۲ ٤٢ ４２ 42"), ["42", "42", "42", "42"]);
        assert_eq!(texts("۲۵۰٬۰۰۰"), ["250", ",", "000"]);
    }

    #[test]
    fn letters_and_digits_part() {
        assert_eq!(texts("CVV2, it's 5pm"), ["cvv", "2", ",", "it's", "5", "pm"]);
        let tokens = tokens("B2 is 1");
        assert!(tokens[1].glued && !tokens[2].glued && tokens[0].capital);
    }

    #[test]
    fn joined_persian_numbers_are_cut() {
        assert_eq!(texts("سیصدوپنجاه"), ["سیصد", "و", "پنجاه"]);
        assert_eq!(texts("بیست‌وپنج"), ["بیست", "و", "پنج"]);
        assert_eq!(texts("پانصدهزار"), ["پانصد", "هزار"]);
        assert_eq!(texts("دوست وقت ورود هزاره"), ["دوست", "وقت", "ورود", "هزاره"]);
    }

    #[test]
    fn plain_text_has_its_numbers_in_digits() {
        assert_eq!(plain("It's B, four seven."), "it'sb47");
        assert_eq!(plain("It's B-47"), plain("it's b four seven"));
        assert_eq!(plain("•••• ..."), "");
        assert_eq!(plain("۴۲ تومان"), plain("چهل و دو تومان"));
        assert_eq!(spelled("Yes, ۴۲!"), ["yes", "42"]);
    }

    #[test]
    fn a_token_says_where_it_stands() {
        let text = "«ش\u{650}ماره» ۱۲۳";
        let chars: Vec<char> = text.chars().collect();
        let said: Vec<String> =
            tokens(text).iter().map(|token| chars[token.chars.clone()].iter().collect()).collect();
        assert_eq!(said, ["«", "ش\u{650}ماره", "»", "۱۲۳"]);
    }
}
