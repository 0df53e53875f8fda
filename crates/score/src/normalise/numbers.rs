//! Why this exists: one person writes "$135", another "one hundred and thirty five dollars", and a third reads it out
//! digit by digit. All become digits, with a currency sign in front or an ending behind.

use std::fmt::{self, Write as _};

/// The text of `words` with every number in digits, words parted by single spaces.
pub(super) fn read(words: Vec<String>) -> String {
    small_change(&join_cents(Numbers::of(&spoken_halves(words))).join(" "))
}

/// "two and a half" as "two point five". A half with nothing before it is dropped, as in Whisper's.
fn spoken_halves(words: Vec<String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(words.len());
    let mut parted = true;
    let mut rest = words.as_slice();
    while let Some((word, after)) = rest.split_first() {
        match rest {
            [and, a, half, after @ ..] if and == "and" && a == "a" && half == "half" => {
                if !parted {
                    let counted = out.last().and_then(|w| meaning(w)).is_some_and(Meaning::is_cardinal);
                    let half: &[&str] = if counted { &["point", "five"] } else { &["and", "a", "half"] };
                    out.extend(half.iter().map(|&w| w.to_owned()));
                }
                parted = true;
                rest = after;
            }
            _ => {
                out.push(word.clone());
                parted = false;
                rest = after;
            }
        }
    }
    out
}

/// The longest row of digits that is still multiplied ("one oh million"), so that no text can make numbers grow
/// without end.
const LONGEST: usize = 100;

/// What a word may mean inside a number. An ending ("s", "th") closes the number and stays with it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Zero,
    /// One to nineteen.
    Unit(u8, &'static str),
    /// Twenty to ninety.
    Tens(u8, &'static str),
    /// Ten to this power.
    Scale(u8, &'static str),
    Sign(char),
    Currency(char),
    Percent,
    Per,
    And,
    Repeat(usize),
    Point,
}

impl Meaning {
    fn is_cardinal(self) -> bool {
        matches!(self, Meaning::Zero | Meaning::Unit(_, "") | Meaning::Tens(_, "") | Meaning::Scale(_, ""))
    }
}

fn meaning(word: &str) -> Option<Meaning> {
    Some(match word {
        "o" | "oh" | "zero" => Meaning::Zero,
        "minus" | "negative" => Meaning::Sign('-'),
        "plus" | "positive" => Meaning::Sign('+'),
        "pound" | "pounds" => Meaning::Currency('£'),
        "euro" | "euros" => Meaning::Currency('€'),
        "dollar" | "dollars" => Meaning::Currency('$'),
        "cent" | "cents" => Meaning::Currency('¢'),
        "percent" => Meaning::Percent,
        "per" => Meaning::Per,
        "and" => Meaning::And,
        "double" => Meaning::Repeat(2),
        "triple" => Meaning::Repeat(3),
        "point" => Meaning::Point,
        // "ninth" is missing on purpose: Whisper's normaliser does not know it.
        "zeroth" => Meaning::Unit(0, "th"),
        "first" => Meaning::Unit(1, "st"),
        "second" => Meaning::Unit(2, "nd"),
        "third" => Meaning::Unit(3, "rd"),
        "fifth" => Meaning::Unit(5, "th"),
        "sixes" => Meaning::Unit(6, "s"),
        "eighth" => Meaning::Unit(8, "th"),
        "twelfth" => Meaning::Unit(12, "th"),
        _ => {
            return cardinal(word, "").or_else(|| {
                if let Some(ty) = word.strip_suffix("ies") {
                    tens(ty, "s")
                } else if let Some(ty) = word.strip_suffix("ieth") {
                    tens(ty, "th")
                } else if let Some(stem) = word.strip_suffix("th") {
                    cardinal(stem, "th")
                } else {
                    word.strip_suffix('s').and_then(|stem| cardinal(stem, "s"))
                }
            });
        }
    })
}

fn cardinal(word: &str, ending: &'static str) -> Option<Meaning> {
    const UNITS: [&str; 19] = [
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    const SCALES: [&str; 11] = [
        "thousand",
        "million",
        "billion",
        "trillion",
        "quadrillion",
        "quintillion",
        "sextillion",
        "septillion",
        "octillion",
        "nonillion",
        "decillion",
    ];
    if let Some((n, _)) = (1..).zip(UNITS).find(|(_, name)| *name == word) {
        return Some(Meaning::Unit(n, ending));
    }
    if word == "hundred" {
        return Some(Meaning::Scale(2, ending));
    }
    if let Some((n, _)) = (1..).zip(SCALES).find(|(_, name)| *name == word) {
        return Some(Meaning::Scale(3 * n, ending));
    }
    // A bare "twentys" is no word; its plural and ordinal are read from their own endings.
    if ending.is_empty() { word.strip_suffix('y').and_then(|stem| tens(stem, "")) } else { None }
}

fn tens(stem: &str, ending: &'static str) -> Option<Meaning> {
    const TENS: [&str; 8] = ["twent", "thirt", "fort", "fift", "sixt", "sevent", "eight", "ninet"];
    (2..).zip(TENS).find(|(_, name)| *name == stem).map(|(n, _)| Meaning::Tens(10 * n, ending))
}

/// The number read so far.
enum Amount {
    /// Still counting: "one hundred" may go on with "and five".
    Whole(u128),
    /// A row of digits, perhaps with a decimal point: "four one nine" only ever grows at its end.
    Digits(String),
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Amount::Whole(n) => n.fmt(f),
            Amount::Digits(digits) => digits.fmt(f),
        }
    }
}

impl Amount {
    /// A counted number from ASCII digits; one beyond 128 bits is only a row of them.
    fn whole(digits: &str) -> Amount {
        digits
            .parse()
            .map_or_else(|_| Amount::Digits(digits.trim_start_matches('0').to_owned()), Amount::Whole)
    }

    /// This number followed by `n` below 100. `before` is the meaning of the word before: "twenty" leaves a place
    /// for "three" even at the end of a row of digits, "ten" leaves none.
    fn then(self, n: u8, before: Option<Meaning>) -> Amount {
        let (unit, room) = if n < 10 { (true, 10) } else { (false, 100) };
        let after_unit = n < 20 && matches!(before, Some(Meaning::Unit(_, "")));
        match self {
            Amount::Whole(have) if !after_unit && have % room == 0 => have
                .checked_add(u128::from(n))
                .map_or_else(|| Amount::Digits(format!("{have}{n}")), Amount::Whole),
            Amount::Digits(mut digits) => {
                if unit && matches!(before, Some(Meaning::Tens(_, ""))) && digits.ends_with('0') {
                    digits.pop();
                }
                // Writing into a String cannot fail.
                let _ = write!(digits, "{n}");
                Amount::Digits(digits)
            }
            Amount::Whole(have) => Amount::Digits(format!("{have}{n}")),
        }
    }

    /// This number times ten to the power of `zeros`, or itself where that makes no whole number.
    /// Of a counted number only what is below a thousand is multiplied: "one million two hundred".
    fn scaled(self, zeros: u8) -> Result<Amount, Amount> {
        match &self {
            Amount::Whole(have) => 10u128
                .checked_pow(u32::from(zeros))
                .and_then(|scale| scale.checked_mul(have % 1000))
                .and_then(|product| product.checked_add(have / 1000 * 1000))
                .map(Amount::Whole)
                .ok_or(self),
            Amount::Digits(digits) => {
                let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
                let fraction = fraction.trim_end_matches('0');
                let numeric = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
                let number = digits != "." && digits.len() <= LONGEST && numeric(whole) && numeric(fraction);
                if !number || fraction.len() > usize::from(zeros) {
                    return Err(self);
                }
                Ok(Amount::whole(&format!("{whole}{fraction:0<width$}", width = usize::from(zeros))))
            }
        }
    }
}

/// Reads number words and digits into numbers, with their sign or currency in front and their ending behind.
#[derive(Default)]
struct Numbers {
    out: Vec<String>,
    amount: Option<Amount>,
    sign: Option<char>,
}

impl Numbers {
    fn of(words: &[String]) -> Vec<String> {
        let mut numbers = Numbers::default();
        let mut before = None;
        let mut i = 0;
        while let Some(word) = words.get(i) {
            i += 1;
            let next = words.get(i).map(String::as_str);
            let now = meaning(word);
            if numbers.word(word, now, before, next) {
                before = next.and_then(meaning);
                i += 1;
            } else {
                before = now;
            }
        }
        numbers.close();
        numbers.out
    }

    /// Takes one word; true if it took the next one too.
    fn word(
        &mut self,
        word: &str,
        now: Option<Meaning>,
        before: Option<Meaning>,
        next: Option<&str>,
    ) -> bool {
        let next_meaning = next.and_then(meaning);
        let number_follows = next_meaning.is_some() || next.is_some_and(is_number);
        match now {
            None => self.written(word),
            Some(Meaning::Zero) => {
                let digits = self.row() + "0";
                self.amount = Some(Amount::Digits(digits));
            }
            Some(Meaning::Unit(n, ending) | Meaning::Tens(n, ending)) => {
                self.amount = Some(match self.amount.take() {
                    Some(amount) => amount.then(n, before),
                    None => Amount::Whole(n.into()),
                });
                self.close_with(ending);
            }
            Some(Meaning::Scale(zeros, ending)) => {
                let one = || Amount::Whole(1).scaled(zeros).ok();
                self.amount = match self.amount.take().map(|amount| amount.scaled(zeros)) {
                    Some(Ok(product)) => Some(product),
                    Some(Err(amount)) => {
                        self.emit(&amount.to_string());
                        one()
                    }
                    None => one(),
                };
                self.close_with(ending);
            }
            Some(Meaning::Sign(sign)) => {
                self.close();
                if number_follows {
                    self.sign = Some(sign);
                } else {
                    self.emit(word);
                }
            }
            Some(Meaning::Currency(sign)) if self.amount.is_some() => {
                self.sign = Some(sign);
                self.close();
            }
            Some(Meaning::Percent) if self.amount.is_some() => self.close_with("%"),
            Some(Meaning::Per) if self.amount.is_some() && next == Some("cent") => {
                self.close_with("%");
                return true;
            }
            Some(Meaning::And) if number_follows && matches!(before, Some(Meaning::Scale(_, ""))) => {}
            Some(Meaning::Repeat(times)) => {
                let digit = match next_meaning {
                    Some(Meaning::Zero) => 0,
                    Some(Meaning::Unit(n, "")) => n,
                    _ => {
                        self.close();
                        self.emit(word);
                        return false;
                    }
                };
                let digits = self.row() + &digit.to_string().repeat(times);
                self.amount = Some(Amount::Digits(digits));
                return true;
            }
            Some(Meaning::Point) if number_follows => {
                // Before any other word of a number ("the point and the purpose") it is lost, as in Whisper's.
                let digit_follows = matches!(
                    next_meaning,
                    None | Some(Meaning::Zero | Meaning::Unit(_, "") | Meaning::Tens(_, ""))
                );
                if digit_follows {
                    let digits = self.row() + ".";
                    self.amount = Some(Amount::Digits(digits));
                }
            }
            Some(Meaning::Currency(_) | Meaning::Percent | Meaning::Per | Meaning::And | Meaning::Point) => {
                self.close();
                self.emit(word);
            }
        }
        false
    }

    /// A word that is no number word: perhaps digits, perhaps with a currency sign.
    fn written(&mut self, word: &str) {
        let bare = word.strip_prefix(['$', '¢', '€', '£']).unwrap_or(word);
        if !is_number(bare) {
            self.close();
            self.emit(word);
            return;
        }
        if let Some(Amount::Digits(digits)) = &mut self.amount
            && digits.ends_with('.')
        {
            digits.push_str(word);
            return;
        }
        self.close();
        if bare.len() < word.len() {
            self.sign = word.chars().next();
        }
        self.amount = Some(match bare.split_once('.') {
            Some((_, fraction)) if fraction.contains(|c| c != '0') => Amount::Digits(bare.to_owned()),
            Some((whole, _)) => Amount::whole(whole),
            None => Amount::whole(bare),
        });
    }

    /// The digits so far, to be continued as a row; a nought that was written as a digit starts it anew.
    fn row(&mut self) -> String {
        match self.amount.take() {
            None | Some(Amount::Whole(0)) => String::new(),
            Some(Amount::Whole(n)) => n.to_string(),
            Some(Amount::Digits(digits)) => digits,
        }
    }

    fn emit(&mut self, text: &str) {
        self.out.push(self.sign.take().into_iter().chain(text.chars()).collect());
    }

    fn close(&mut self) {
        if let Some(amount) = self.amount.take() {
            self.emit(&amount.to_string());
        }
    }

    /// A number with an ending is complete; without one it may go on.
    fn close_with(&mut self, ending: &str) {
        if !ending.is_empty()
            && let Some(amount) = self.amount.take()
        {
            self.emit(&format!("{amount}{ending}"));
        }
    }
}

/// Digits, perhaps with a decimal fraction.
fn is_number(word: &str) -> bool {
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    match word.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(word),
    }
}

/// "$2 and ¢7" as "$2.07".
fn join_cents(words: Vec<String>) -> Vec<String> {
    fn cents(word: &str) -> Option<u8> {
        word.strip_prefix('¢').filter(|d| (1..=2).contains(&d.len())).and_then(|d| d.parse().ok())
    }
    let mut out: Vec<String> = Vec::with_capacity(words.len());
    for word in words {
        if let Some(cents) = cents(&word) {
            let and = usize::from(out.last().is_some_and(|w| w == "and"));
            let sum = out.len().checked_sub(and + 1).and_then(|at| out.get_mut(at));
            if let Some(sum) = sum
                .filter(|w| w.strip_prefix(['$', '€', '£']).is_some_and(|n| is_number(n) && !n.contains('.')))
            {
                let _ = write!(sum, ".{cents:02}");
                out.truncate(out.len() - and);
                continue;
            }
        }
        out.push(word);
    }
    out
}

/// "$0.50" as "¢50". Whisper's normaliser takes any character for the point, so that "$0 5" is "¢5" too.
fn small_change(text: &str) -> String {
    fn cents(after_sign: &str) -> Option<(u8, &str)> {
        let mut point = after_sign.strip_prefix('0')?.chars();
        point.next()?;
        let rest = point.as_str();
        let (digits, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        let ends = !after.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        (ends && digits.len() <= 2).then(|| Some((digits.parse().ok()?, after)))?
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if matches!(c, '$' | '€' | '£')
            && let Some((cents, after)) = cents(chars.as_str())
        {
            // Writing into a String cannot fail.
            let _ = write!(out, "¢{cents}");
            chars = after.chars();
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    fn same(spoken: &str, digits: &str) {
        assert_eq!(super::super::english(spoken).join(" "), digits, "{spoken}");
    }

    #[test]
    fn counted_numbers_add_up() {
        same("one hundred and thirty five dollars", "$135");
        same("two thousand and nineteen", "2019");
        same("three million two hundred thousand and six", "3200006");
        same("twenty-five hundred", "2500");
        same("hundreds of thousands", "100s of 1000s");
    }

    /// "seven hundred and sixty two" for 762.
    fn spelt(n: u32) -> String {
        const SMALL: [&str; 20] = [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ];
        const TENS: [&str; 10] =
            ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
        let (head, rest) = match n {
            0..20 => return SMALL[n as usize].to_owned(),
            20..100 => (TENS[n as usize / 10].to_owned(), n % 10),
            100..1_000 => (spelt(n / 100) + " hundred", n % 100),
            1_000..1_000_000 => (spelt(n / 1_000) + " thousand", n % 1_000),
            _ => (spelt(n / 1_000_000) + " million", n % 1_000_000),
        };
        let joint = if n > 100 && (1..100).contains(&rest) { " and " } else { " " };
        if rest == 0 { head } else { head + joint + &spelt(rest) }
    }

    #[test]
    fn every_number_reads_as_it_is_written() {
        let mut n = 2;
        while n < 900_000_000 {
            same(&spelt(n), &n.to_string());
            same(&format!("about {} cars", spelt(n)), &format!("about {n} cars"));
            n += n / 97 + 1;
        }
    }

    #[test]
    fn digits_read_out_form_a_row() {
        same("four one nine one two", "41912");
        same("oh seven double five", "0755");
        same("triple nine", "999");
        same("nineteen eighty four", "1984");
        same("seven twenty five", "725");
        same("ten five", "105");
        same("4 one 9", "41 9");
    }

    #[test]
    fn fractions_and_halves() {
        same("two point five", "2.5");
        same("two and a half million", "2500000");
        same("one point two three four thousand", "1234");
        same("a cup and a half", "a cup and a half");
        same("one two dot five", "12 dot 5");
        same("192 point 168", "192.168");
    }

    #[test]
    fn signs_and_currencies_stand_in_front() {
        same("minus forty degrees", "-40 degrees");
        same("plus or minus", "plus or minus");
        same("fifty cents, $0.50, 9 pounds", "¢50 ¢50 £9");
        same("three dollars and seven cents", "$3.07");
        same("€20 million", "€20000000");
        same("press pound", "press pound");
        same("five percent, six per cent, 7 per day", "5% 6% 7 per day");
    }

    #[test]
    fn endings_close_a_number() {
        same("the twenty first, the fifth, the thirtieth", "the 21st the 5th the 30th");
        same("the nineteen sixties", "the 1960s");
        same("one hundredth", "100th");
    }

    #[test]
    fn zeros_in_front_of_written_numbers_go() {
        same("007 and 5.00 and 0.25", "7 and 5 and 0.25");
        same("oh oh seven", "007");
    }

    /// These are surprising, and kept so that figures compare with those of Whisper's normaliser.
    #[test]
    fn surprises_are_the_same_as_in_whisper() {
        same("the ninth", "the ninth");
        same("$1", "one");
        same("five o'clock", "50 clock");
        same("the point and the purpose", "the and the purpose");
        same("zero dollars thirty", "¢30");
    }

    #[test]
    fn huge_numbers_neither_overflow_nor_grow_without_end() {
        let nines = "9".repeat(60);
        same(&format!("{nines} and five"), &format!("{nines} and 5"));
        same(&format!("{nines} five"), &format!("{nines}5"));
        let spoken = format!("nine nine{}", " decillion".repeat(500));
        assert!(super::super::english(&spoken).iter().all(|word| word.len() < 200));
    }
}
