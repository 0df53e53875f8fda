//! Numbers in digits and in words, as people dictate them. "Forty two" is one number, "four two" are two:
//! what follows a number joins it only where it fills its lower places.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::LazyLock;

use super::{Shape, Token, fold};

/// A number as it was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Number {
    /// Tokens that it rests on.
    pub tokens: Range<usize>,
    /// Its digits as dictated, with leading zeros: what it adds to a telephone number.
    pub digits: String,
    pub value: Decimal,
    /// "third", "3rd", «سوم».
    pub ordinal: bool,
    /// In words, at least in part.
    pub spoken: bool,
    /// Tokens before which another number may begin as well: "fifty nine" may be 50 and 9.
    joints: Vec<usize>,
}

/// How many of them are kept of a number.
const MOST_JOINTS: usize = 4;

impl Number {
    /// Its digits if it was not one number but two, in every way that may be.
    pub fn other_digits(&self, tokens: &[Token]) -> Vec<String> {
        let dictated = |range: Range<usize>| numbers(&tokens[range]).into_iter().map(|number| number.digits);
        let cut =
            |at: &usize| dictated(self.tokens.start..*at).chain(dictated(*at..self.tokens.end)).collect();
        self.joints.iter().map(cut).collect()
    }

    /// The value, where it is whole and fits.
    pub fn whole<T: TryFrom<u128>>(&self) -> Option<T> {
        (self.value.places == 0).then(|| T::try_from(self.value.mantissa).ok()).flatten()
    }
}

/// `mantissa` divided by ten to the power of `places`, without trailing zeros behind the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal {
    mantissa: u128,
    places: u8,
}

impl Decimal {
    fn new(mut mantissa: u128, mut places: u8) -> Self {
        while places > 0 && mantissa.is_multiple_of(10) {
            mantissa /= 10;
            places -= 1;
        }
        Self { mantissa, places }
    }

    fn whole(value: u128) -> Self {
        Self::new(value, 0)
    }

    /// Times ten to the power of `zeros`; nothing where the result has a fraction or is too large.
    fn scaled(self, zeros: u8) -> Option<u128> {
        let zeros = zeros.checked_sub(self.places)?;
        self.mantissa.checked_mul(10u128.checked_pow(zeros.into())?)
    }

    pub fn plus_hundredths(self, hundredths: u8) -> Option<Self> {
        let whole = self.scaled(2)?;
        Some(Self::new(whole.checked_add(hundredths.into())?, 2))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:0width$}", self.mantissa, width = usize::from(self.places) + 1);
        let (whole, fraction) = digits.split_at(digits.len() - usize::from(self.places));
        if fraction.is_empty() { f.write_str(whole) } else { write!(f, "{whole}.{fraction}") }
    }
}

/// What a word may mean inside a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// Zero to nine.
    Unit(u8),
    Teen(u8),
    Tens(u8),
    /// A hundred that may be multiplied.
    Hundred,
    /// Persian hundreds are words of their own.
    Hundreds(u16),
    /// Ten to this power.
    Scale(u8),
    Ordinal(u8),
    /// The digit that follows, several times.
    Repeat(usize),
    And,
    Half,
    Point,
    /// "a" in "a hundred".
    Article,
}

static MEANINGS: LazyLock<HashMap<String, Meaning>> = LazyLock::new(|| {
    let mut map = HashMap::new();
    let mut add = |words: &str, meaning: Meaning| {
        for word in words.split_whitespace() {
            map.insert(fold(word), meaning);
        }
    };
    let digits = [
        "zero oh o nought naught صفر",
        "one یک",
        "two دو",
        "three سه",
        "four چهار چار",
        "five پنج پنچ",
        "six شش شیش",
        "seven هفت",
        "eight هشت",
        "nine niner نه",
    ];
    (0..).zip(digits).for_each(|(n, words)| add(words, Meaning::Unit(n)));
    let teens = [
        "ten ده",
        "eleven یازده",
        "twelve دوازده",
        "thirteen سیزده",
        "fourteen چهارده",
        "fifteen پانزده پونزده",
        "sixteen شانزده شونزده",
        "seventeen هفده هیفده",
        "eighteen هجده هیجده هژده هیژده",
        "nineteen نوزده",
    ];
    (10..).zip(teens).for_each(|(n, words)| add(words, Meaning::Teen(n)));
    let tens = [
        "twenty بیست",
        "thirty سی",
        "forty fourty چهل",
        "fifty پنجاه پنجا",
        "sixty شصت",
        "seventy هفتاد",
        "eighty هشتاد",
        "ninety نود",
    ];
    (2..).zip(tens).for_each(|(n, words)| add(words, Meaning::Tens(10 * n)));
    let hundreds = ["دویست", "سیصد", "چهارصد چارصد", "پانصد پونصد", "ششصد شیشصد", "هفتصد", "هشتصد", "نهصد"];
    (2..).zip(hundreds).for_each(|(n, words)| add(words, Meaning::Hundreds(100 * n)));
    add("یکصد", Meaning::Hundreds(100));
    add("hundred صد", Meaning::Hundred);
    add("thousand thousands grand هزار", Meaning::Scale(3));
    add("million millions mil میلیون ملیون", Meaning::Scale(6));
    add("billion billions میلیارد ملیارد", Meaning::Scale(9));
    let ordinals = [
        "first یکم اول",
        "second دوم",
        "third سوم",
        "fourth چهارم",
        "fifth پنجم",
        "sixth ششم",
        "seventh هفتم",
        "eighth هشتم",
        "ninth نهم",
        "tenth دهم",
        "eleventh یازدهم",
        "twelfth دوازدهم",
        "thirteenth سیزدهم",
        "fourteenth چهاردهم",
        "fifteenth پانزدهم پونزدهم",
        "sixteenth شانزدهم شونزدهم",
        "seventeenth هفدهم",
        "eighteenth هجدهم",
        "nineteenth نوزدهم",
        "twentieth بیستم",
    ];
    (1..).zip(ordinals).for_each(|(n, words)| add(words, Meaning::Ordinal(n)));
    add("thirtieth سیم", Meaning::Ordinal(30));
    add("double جفت", Meaning::Repeat(2));
    add("triple treble", Meaning::Repeat(3));
    add("quadruple", Meaning::Repeat(4));
    add("and و", Meaning::And);
    add("half نیم", Meaning::Half);
    add("point ممیز", Meaning::Point);
    add("a an یه", Meaning::Article);
    map
});

fn meaning(token: &Token) -> Option<Meaning> {
    (token.shape == Shape::Word).then(|| MEANINGS.get(&token.text).copied()).flatten()
}

/// Words that sound like digits, and that recognisers write for them.
fn sounds_like(token: &Token) -> Option<u8> {
    Some(match token.text.as_str() {
        "won" => 1,
        "to" | "too" => 2,
        "for" | "fore" => 4,
        "ate" => 8,
        _ => return None,
    })
}

/// What every token means. "For" is four between two digits in words, if a third one stands beside them.
fn meanings(tokens: &[Token]) -> Vec<Option<Meaning>> {
    let mut all: Vec<Option<Meaning>> = tokens.iter().map(meaning).collect();
    for at in 1..tokens.len() {
        let digit = |at: Option<usize>| {
            matches!(at.and_then(|at| all.get(at)), Some(Some(Meaning::Unit(_) | Meaning::Repeat(_))))
        };
        if let Some(n) = sounds_like(&tokens[at])
            && digit(Some(at - 1))
            && digit(Some(at + 1))
            && (digit(at.checked_sub(2)) || digit(Some(at + 2)))
        {
            all[at] = Some(Meaning::Unit(n));
        }
    }
    all
}

/// True for words of which numbers are made, without those that join them.
pub(crate) fn number_word(word: &str) -> bool {
    use Meaning::{Hundred, Hundreds, Scale, Teen, Tens, Unit};
    matches!(MEANINGS.get(word), Some(Unit(_) | Teen(_) | Tens(_) | Hundred | Hundreds(_) | Scale(_)))
}

/// All numbers in a row of tokens, in order.
pub(crate) fn numbers(tokens: &[Token]) -> Vec<Number> {
    let meanings = meanings(tokens);
    let mut out: Vec<Number> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match Reader::new(tokens, &meanings, at).read() {
            Some(number) if !is_other_word(tokens, &meanings, &number, out.last()) => {
                at = number.tokens.end;
                out.push(number);
            }
            _ => at += 1,
        }
    }
    out
}

/// «نه» is nine and "no", "oh" is zero and a sigh: alone they are no numbers, nor are "thousands".
fn is_other_word(
    tokens: &[Token],
    meanings: &[Option<Meaning>],
    number: &Number,
    before: Option<&Number>,
) -> bool {
    let Range { start, end } = number.tokens.clone();
    match tokens[start].text.as_str() {
        _ if number.tokens.len() > 1 => return false,
        "grand" | "mil" | "thousand" | "thousands" | "million" | "millions" | "billion" | "billions"
        | "hundred" => {
            return true;
        }
        "نه" | "oh" | "o" => {}
        _ => return false,
    }
    let is =
        |at: usize, words: &[&str]| tokens.get(at).is_some_and(|token| words.contains(&token.text.as_str()));
    let separated = |at: usize| {
        is(at, &[",", "-", ".", "uh", "um", "and", "then", "okay", "اممم", "و", "بعد", "بعدش", "خب"])
    };
    // After a number it goes on with the row.
    let gap = before.map(|before| before.tokens.end..start);
    if gap.is_some_and(|gap| gap.len() <= 4 && gap.clone().all(separated)) {
        return false;
    }
    let digit = |at: usize| {
        let digits = tokens.get(at).is_some_and(|token| token.shape == Shape::Digits);
        digits && !is(start, &["نه"])
            || matches!(meanings.get(at), Some(Some(Meaning::Unit(_) | Meaning::Repeat(_))))
    };
    let number_word = tokens.get(end).is_some_and(|next| number_word(&next.text));
    // "oh, five, eight" is a row, "oh, five" is an answer.
    let row = separated(end) && digit(end + 1) && {
        let next = end + 2 + usize::from(separated(end + 2));
        digit(next) || next >= tokens.len() || is(end, &["-"])
    };
    // «ساعت نه», «ده دقیقه به نه», «نه و نیم»
    let hour = is(start, &["نه"])
        && (start > 0 && is(start - 1, &["ساعت", "به"]) || is(end, &["و"]) && is(end + 1, &["نیم", "ربع"]));
    !(digit(end) || number_word || row || hour)
}

/// What may still follow inside a number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    /// Nothing was read yet.
    Any,
    /// Below a hundred.
    Hundred,
    /// Below ten.
    Ten,
    /// Below a thousand, after "thousand" or more.
    Scale,
    /// Only what multiplies.
    None,
}

/// Reads one number from a position on.
struct Reader<'a> {
    tokens: &'a [Token],
    meanings: &'a [Option<Meaning>],
    start: usize,
    end: usize,
    /// Sum of what has been multiplied by a scale.
    total: u128,
    smallest_scale: u8,
    group: Option<Decimal>,
    room: Room,
    /// Digits as they were written, while nothing but one row of digits was read.
    written: Option<String>,
    ordinal: bool,
    spoken: bool,
    joints: Vec<usize>,
}

impl<'a> Reader<'a> {
    fn new(tokens: &'a [Token], meanings: &'a [Option<Meaning>], start: usize) -> Self {
        Self {
            tokens,
            meanings,
            start,
            end: start,
            total: 0,
            smallest_scale: u8::MAX,
            group: None,
            room: Room::Any,
            written: None,
            ordinal: false,
            spoken: false,
            joints: vec![],
        }
    }

    fn read(mut self) -> Option<Number> {
        if let Some(number) = self.repeated() {
            return Some(number);
        }
        self.opening();
        while !self.ordinal && self.step() {}
        if self.end == self.start {
            return None;
        }
        let sum = self.group.unwrap_or(Decimal::whole(0));
        let value = match sum.places {
            0 => Decimal::whole(self.total.checked_add(sum.mantissa)?),
            // Behind a scale no fraction is read.
            _ => sum,
        };
        let digits = self.written.take().unwrap_or_else(|| value.to_string().replace('.', ""));
        Some(Number {
            tokens: self.start..self.end,
            digits,
            value,
            ordinal: self.ordinal,
            spoken: self.spoken,
            joints: self.joints,
        })
    }

    fn meaning(&self, at: usize) -> Option<Meaning> {
        self.meanings.get(at).copied().flatten()
    }

    /// A single digit, in either form.
    fn digit(&self, at: usize) -> Option<u8> {
        let token = self.tokens.get(at)?;
        match token.shape {
            Shape::Digits if token.text.len() == 1 => token.text.parse().ok(),
            _ => match self.meaning(at)? {
                Meaning::Unit(n) => Some(n),
                _ => None,
            },
        }
    }

    /// "double seven", «دو تا صفر».
    fn repeated(&self) -> Option<Number> {
        let (times, at) = match self.meaning(self.start) {
            Some(Meaning::Repeat(times)) => (times, self.start + 1),
            _ => {
                let times = self.digit(self.start).filter(|n| (2..=4).contains(n))?;
                if !self.tokens.get(self.start + 1)?.is("تا") {
                    return None;
                }
                (times.into(), self.start + 2)
            }
        };
        let digits = self.digit(at)?.to_string().repeat(times);
        let value = Decimal::whole(digits.parse().ok()?);
        Some(Number {
            tokens: self.start..at + 1,
            digits,
            value,
            ordinal: false,
            spoken: true,
            joints: vec![],
        })
    }

    /// What only the beginning of a number may be: "a hundred", "half a million".
    fn opening(&mut self) {
        let at = self.start;
        let multiplies = |meaning| matches!(meaning, Some(Meaning::Hundred | Meaning::Scale(_)));
        match self.meaning(at) {
            Some(Meaning::Article) if multiplies(self.meaning(at + 1)) => {
                self.take(Decimal::whole(1), at + 1, Room::None);
            }
            Some(Meaning::Half) => {
                let scale = at + 1 + usize::from(self.meaning(at + 1) == Some(Meaning::Article));
                if matches!(self.meaning(scale), Some(Meaning::Scale(_))) {
                    self.take(Decimal::new(5, 1), scale, Room::None);
                }
            }
            _ => {}
        }
    }

    fn take(&mut self, group: Decimal, end: usize, room: Room) {
        if self.end > self.start {
            self.joint(end - 1);
        }
        self.group = Some(group);
        self.end = end;
        self.room = room;
        self.written = None;
        self.spoken = true;
    }

    fn joint(&mut self, at: usize) {
        if self.joints.len() < MOST_JOINTS {
            self.joints.push(at);
        }
    }

    /// Takes what comes next if it belongs to the number.
    fn step(&mut self) -> bool {
        let mut at = self.end;
        let mut joined = false;
        if at > self.start {
            match self.meaning(at) {
                Some(Meaning::And) if self.may_be_joined(at) => {
                    at += 1;
                    joined = true;
                }
                _ if self.room == Room::Ten && self.tokens.get(at).is_some_and(|t| t.is("-") && t.glued) => {
                    at += 1;
                }
                _ => {}
            }
        }
        let Some(token) = self.tokens.get(at) else { return false };
        if token.shape == Shape::Digits {
            return !joined && self.digits(at) || joined && self.room == Room::Scale && self.digits(at);
        }
        let Some(meaning) = self.meaning(at) else { return false };
        let group = self.group.map_or(0, |group| group.mantissa);
        let room = self.room;
        let add = |n: u16| Decimal::whole(group + u128::from(n));
        match meaning {
            // A zero is never part of a larger number.
            Meaning::Unit(0) if room == Room::Any => self.take(Decimal::whole(0), at + 1, Room::None),
            Meaning::Unit(n) if n > 0 && room != Room::None => self.take(add(n.into()), at + 1, Room::None),
            Meaning::Teen(n) if matches!(room, Room::Any | Room::Hundred | Room::Scale) => {
                self.take(add(n.into()), at + 1, Room::None);
            }
            Meaning::Tens(n) if matches!(room, Room::Any | Room::Hundred | Room::Scale) => {
                self.take(add(n.into()), at + 1, Room::Ten);
            }
            Meaning::Hundreds(n) if matches!(room, Room::Any | Room::Scale) => {
                self.take(add(n), at + 1, Room::Hundred);
            }
            Meaning::Hundred if matches!(room, Room::Any | Room::Scale) && self.group.is_none() => {
                self.take(Decimal::whole(100), at + 1, Room::Hundred);
            }
            Meaning::Hundred if !joined && matches!(room, Room::None | Room::Ten) => {
                // «هفتاد و هفت صد» is 77 and 100.
                let most = if token.is("صد") { 10 } else { 100 };
                let Some(hundreds) = self.group.filter(|g| (1..most).contains(&g.mantissa)) else {
                    return false;
                };
                let Some(hundreds) = hundreds.scaled(2) else { return false };
                self.take(Decimal::whole(hundreds), at + 1, Room::Hundred);
            }
            Meaning::Scale(zeros) if !joined => return self.scale(zeros, at),
            Meaning::Ordinal(n) => {
                let fits = match room {
                    Room::Ten => n < 10,
                    Room::None => false,
                    _ => true,
                };
                if !fits {
                    return false;
                }
                self.take(add(n.into()), at + 1, Room::None);
                self.ordinal = true;
            }
            Meaning::Half if joined => return self.half(at),
            Meaning::Article if joined && self.meaning(at + 1) == Some(Meaning::Half) => {
                return self.half(at + 1);
            }
            Meaning::Point if !joined => return self.fraction(at + 1),
            _ => return false,
        }
        if self.end == at + 1 && self.room == Room::Ten && self.tokens.get(self.end).is_some_and(is_am) {
            // «سی‌ام»
            self.end += 1;
            self.ordinal = true;
        }
        true
    }

    /// English says "and" after hundreds and scales, Persian between all parts.
    fn may_be_joined(&self, at: usize) -> bool {
        let half = |at| {
            self.meaning(at) == Some(Meaning::Half)
                || self.meaning(at) == Some(Meaning::Article) && self.meaning(at + 1) == Some(Meaning::Half)
        };
        let after_scale = matches!(self.room, Room::Hundred | Room::Scale);
        after_scale || half(at + 1) || self.room == Room::Ten && self.tokens[at].is("و")
    }

    fn scale(&mut self, zeros: u8, at: usize) -> bool {
        let sum = match self.group {
            Some(group) if zeros < self.smallest_scale => {
                group.scaled(zeros).and_then(|product| self.total.checked_add(product))
            }
            // «دو هزار میلیارد»
            None if self.total > 0 && self.room == Room::Scale => {
                10u128.checked_pow(zeros.into()).and_then(|scale| self.total.checked_mul(scale))
            }
            None if self.room == Room::Any => 10u128.checked_pow(zeros.into()),
            _ => None,
        };
        let Some(sum) = sum else { return false };
        if self.group.is_some() {
            self.joint(at);
        }
        self.total = sum;
        self.smallest_scale = zeros;
        self.group = None;
        self.end = at + 1;
        self.room = Room::Scale;
        self.written = None;
        self.spoken = true;
        true
    }

    /// "two and a half million": a half without a scale is a time of day, and not read here.
    fn half(&mut self, at: usize) -> bool {
        let scale = matches!(self.meaning(at + 1), Some(Meaning::Scale(_)));
        let Some(group) = self.group.filter(|group| scale && group.places == 0) else { return false };
        let Some(tenths) = group.mantissa.checked_mul(10).and_then(|tenths| tenths.checked_add(5)) else {
            return false;
        };
        self.take(Decimal::new(tenths, 1), at + 1, Room::None);
        true
    }

    /// "two point five": single digits after a point.
    fn fraction(&mut self, mut at: usize) -> bool {
        let Some(group) = self.group.filter(|group| group.places == 0 && self.total == 0) else {
            return false;
        };
        let (mut mantissa, mut places) = (group.mantissa, 0);
        while let Some(digit) = self.digit(at).filter(|_| places < 6) {
            let Some(longer) = mantissa.checked_mul(10).and_then(|m| m.checked_add(digit.into())) else {
                break;
            };
            mantissa = longer;
            places += 1;
            at += 1;
        }
        if places == 0 {
            return false;
        }
        self.take(Decimal::new(mantissa, places), at, Room::None);
        true
    }

    /// A number in digits, with what is glued to it: thousands, a fraction, "k", "rd".
    fn digits(&mut self, at: usize) -> bool {
        let glued = |at: usize| self.tokens.get(at).filter(|token| token.glued);
        let digits_at = |at: usize| glued(at).filter(|token| token.shape == Shape::Digits);
        let mut written = self.tokens[at].text.clone();
        let small = written.len() <= 3 && !written.starts_with('0');
        let first = self.room == Room::Any;
        let has_room = first || (self.room == Room::Scale && small);
        if !has_room || self.group.is_some() {
            return false;
        }
        let mut end = at + 1;
        while small
            && glued(end).is_some_and(|token| token.is(","))
            && let Some(thousands) = digits_at(end + 1).filter(|token| token.text.len() == 3)
        {
            written.push_str(&thousands.text);
            end += 2;
        }
        let mut places = 0;
        if glued(end).is_some_and(|token| token.is("."))
            && let Some(fraction) = digits_at(end + 1).filter(|token| token.text.len() <= 6)
            && !glued(end + 2).is_some_and(|token| token.is("."))
        {
            written.push_str(&fraction.text);
            places = fraction.text.len() as u8;
            end += 2;
        }
        // A row that is too long to be counted is still dictated: its digits are what matters.
        let mantissa = written.parse().unwrap_or(u128::MAX);
        self.group = Some(Decimal::new(mantissa, places));
        self.room = Room::None;
        self.written = first.then_some(written);
        self.end = end;
        match glued(end) {
            Some(token) if matches!(token.text.as_str(), "st" | "nd" | "rd" | "th" | "م" | "ام") => {
                self.end += 1;
                self.ordinal = true;
            }
            Some(token) if token.is("k") => {
                self.scale(3, end);
            }
            _ => {}
        }
        true
    }
}

fn is_am(token: &Token) -> bool {
    token.glued && token.is("ام")
}

#[cfg(test)]
mod tests {
    use super::super::tokens;
    use super::*;

    fn read(text: &str) -> String {
        let numbers = numbers(&tokens(text));
        numbers.iter().map(|n| n.digits.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn english_numbers() {
        for (said, digits) in [
            ("two hundred and fifty thousand", "250000"),
            ("one two three", "1 2 3"),
            ("forty-two forty two", "42 42"),
            ("twelve thirty four", "12 34"),
            ("nineteen eighty-four", "19 84"),
            ("oh four one two", "0 4 1 2"),
            ("double seven triple nine", "77 999"),
            ("double oh seven", "00 7"),
            ("six thousand thirty seven", "6037"),
            ("forty two hundred", "4200"),
            ("a hundred and five", "105"),
            ("one hundred twenty-three", "123"),
            ("two and a half million", "2500000"),
            ("half a million", "500000"),
            ("2.5 million", "2500000"),
            ("1,250,000", "1250000"),
            ("250k", "250000"),
            ("2 million 500 thousand", "2500000"),
            ("twenty first", "21"),
            ("the 3rd", "3"),
            ("oh well", ""),
            ("a man and a half", ""),
            ("0912 345 6789", "0912 345 6789"),
            ("four two for two too one", "4 2 4 2 2 1"),
            ("nine to five for two", "9 5 2"),
        ] {
            assert_eq!(read(said), digits, "{said}");
        }
    }

    #[test]
    fn persian_numbers() {
        for (said, digits) in [
            ("دویست و پنجاه هزار", "250000"),
            ("صفر نهصد و دوازده", "0 912"),
            ("نهصد و دوازده سیصد و چهل و پنج شصت و هفت هشتاد و نه", "912 345 67 89"),
            ("شش هزار و سی و هفت", "6037"),
            ("شصت سی و هفت نود و نه", "60 37 99"),
            ("یک میلیون و دویست هزار", "1200000"),
            ("دو و نیم میلیون", "2500000"),
            ("هزار و سیصد و هشتاد و پنج", "1385"),
            ("سه تا صفر", "000"),
            ("صد و بیست و سه", "123"),
            ("بیست و پنج", "25"),
            ("بیست و یکم", "21"),
            ("سی‌ام", "30"),
            ("نه ممنون", ""),
            ("پنج نه هشت", "5 9 8"),
            ("۲ میلیون و ۵۰۰ هزار", "2500000"),
            ("۲۵۰٬۰۰۰", "250000"),
            ("دو هزار میلیارد", "2000000000000"),
        ] {
            assert_eq!(read(said), digits, "{said}");
        }
    }

    #[test]
    fn fractions_keep_their_point() {
        let value = |text: &str| numbers(&tokens(text))[0].value.to_string();
        assert_eq!(value("12.50"), "12.5");
        assert_eq!(value("two point oh five"), "2.05");
        assert_eq!(value("0.05"), "0.05");
    }

    #[test]
    fn a_row_without_end_is_no_trouble() {
        let long = "9".repeat(10_000);
        assert_eq!(read(&long), long);
        assert_eq!(read(&format!("{long} million")), long);
    }
}
