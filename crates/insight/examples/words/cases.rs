//! Made-up calls with secrets in them, and calls with numbers that are none: the same seed gives the same
//! calls.

use sotto_call::{Millis, Party, Utterance, UtteranceId};
use sotto_insight::{Policy, Redactor};

/// Numbers that follow from a seed: SplitMix64 (Steele, Lea and Flood, 2014).
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn digits(&mut self, count: usize) -> String {
        (0..count).map(|_| char::from(b'0' + self.below(10) as u8)).collect()
    }
}

/// A stretch of a turn.
#[derive(Clone)]
pub enum Said {
    /// Part of the secret: nothing of it may be left.
    Secret(String),
    /// What is said around it, and must stay.
    Around(String),
    /// What is said inside it, and may stay or go.
    Inside(String),
}

impl Said {
    fn text(&self) -> &str {
        match self {
            Self::Secret(text) | Self::Around(text) | Self::Inside(text) => text,
        }
    }
}

pub struct Turn {
    pub agent: bool,
    pub said: Vec<Said>,
}

impl Turn {
    pub fn text(&self) -> String {
        let parts = self.said.iter().map(|said| said.text().trim());
        parts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

pub struct Case {
    /// What it is a case of.
    pub group: &'static str,
    pub persian: bool,
    pub turns: Vec<Turn>,
}

impl Case {
    /// The turns as a redactor leaves them, at four seconds a turn and without times of words.
    pub fn redacted(&self) -> Vec<String> {
        let mut redactor = Redactor::new(Policy::default());
        let mut texts = vec![String::new(); self.turns.len()];
        for (id, turn) in (0..).zip(&self.turns) {
            let text = turn.text();
            let said = Utterance {
                utterance_id: UtteranceId(id),
                party: if turn.agent { Party::Agent } else { Party::Customer },
                r#final: true,
                revision: 0,
                stable_chars: text.chars().count() as u32,
                text,
                start_ms: Millis(u64::from(id) * 4_000),
                end_ms: Millis(u64::from(id) * 4_000 + 3_000),
                words: vec![],
                language: if self.persian { "fa" } else { "en" }.to_owned(),
                latency_ms: Millis(0),
            };
            for now in redactor.push(&said) {
                texts[now.utterance.utterance_id.0 as usize] = now.utterance.text;
            }
        }
        texts
    }

    /// True when something of a secret is still in the texts: more of its words than are said around it.
    pub fn is_left(&self, texts: &[String]) -> bool {
        self.turns.iter().zip(texts).any(|(turn, text)| {
            let around = turn.said.iter().filter(|said| !matches!(said, Said::Secret(_)));
            let (left, stays) = (words(text), around.flat_map(|said| words(said.text())).collect::<Vec<_>>());
            let count = |word: &str, words: &[&str]| words.iter().filter(|other| **other == word).count();
            let mut secret = turn.said.iter().filter(|said| matches!(said, Said::Secret(_)));
            secret.any(|said| words(said.text()).iter().any(|word| count(word, &left) > count(word, &stays)))
        })
    }

    /// True when something that is said around a secret is no longer in the texts.
    pub fn is_missing(&self, texts: &[String]) -> bool {
        self.turns.iter().zip(texts).any(|(turn, text)| {
            turn.said.iter().any(|said| matches!(said, Said::Around(around) if !text.contains(around.trim())))
        })
    }
}

fn words(text: &str) -> Vec<&str> {
    let parts = text.split(|c: char| c.is_whitespace() || ".,-?".contains(c));
    parts.filter(|part| !part.is_empty()).collect()
}

/// Makes the turns of a call, Persian or not.
type Make = fn(&mut Random, bool) -> Vec<Turn>;

/// `count` cases of every group with a secret.
pub fn with_secrets(random: &mut Random, count: usize) -> Vec<Case> {
    let make: [(&'static str, Make); 9] = [
        ("digits", |random, fa| one_turn(random, fa, Form::Digits)),
        ("words", |random, fa| one_turn(random, fa, Form::Words)),
        ("mixed", |random, fa| one_turn(random, fa, Form::Mixed)),
        ("turns", over_turns),
        ("misheard", misheard),
        ("cvv_expiry", cvv_and_expiry),
        ("code", code),
        ("iban", iban),
        ("national_id", national_id),
    ];
    let mut cases = Vec::new();
    for (group, make) in make {
        for n in 0..count {
            let persian = n % 2 == 1;
            cases.push(Case { group, persian, turns: make(random, persian) });
        }
    }
    cases
}

/// `count` cases without a secret.
pub fn without_secrets(random: &mut Random, count: usize) -> Vec<Case> {
    (0..count)
        .map(|n| {
            let persian = n % 2 == 1;
            Case { group: "none", persian, turns: harmless(random, persian) }
        })
        .collect()
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Digits,
    Words,
    Mixed,
}

fn luhn_digit(digits: &str) -> char {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(n, byte)| {
            let doubled = u32::from(byte - b'0') * if n % 2 == 0 { 2 } else { 1 };
            doubled / 10 + doubled % 10
        })
        .sum();
    char::from(b'0' + ((10 - sum % 10) % 10) as u8)
}

/// A card number: mostly sixteen digits; in Persian calls, of Iranian banks.
fn card(random: &mut Random, persian: bool) -> String {
    let (issuer, length) = if persian {
        (
            random.pick(&[
                "603799", "589210", "610433", "627353", "621986", "502229", "627412", "639346", "585983",
            ]),
            16,
        )
    } else {
        match random.below(10) {
            0..=3 => ("4", 16),
            4..=6 => (random.pick(&["51", "53", "55", "2221", "2720"]), 16),
            7 => (random.pick(&["34", "37"]), 15),
            8 => (random.pick(&["6011", "65", "62", "3530"]), 16),
            _ => (random.pick(&["36", "38"]), 14),
        }
    };
    let mut number = format!("{issuer}{}", random.digits(length - issuer.len() - 1));
    number.push(luhn_digit(&number));
    number
}

/// The groups in which people read a number.
fn groups(random: &mut Random, number: &str) -> Vec<String> {
    let sizes: Vec<usize> = match (number.len(), random.below(6)) {
        (15, 0..=3) => vec![4, 6, 5],
        (14, 0..=3) => vec![4, 6, 4],
        (_, 0) => vec![2; 12],
        (_, 1) => (0..12).map(|_| 2 + random.below(3)).collect(),
        _ => vec![4; 7],
    };
    let mut rest = number;
    let mut out = Vec::new();
    for size in sizes {
        let (group, after) = rest.split_at(size.min(rest.len()));
        out.push(group.to_owned());
        rest = after;
        if rest.is_empty() {
            return out;
        }
    }
    out.push(rest.to_owned());
    out
}

/// Digits in one of the three scripts.
fn script(random: &mut Random, persian: bool, text: &str) -> String {
    let zero = match (persian, random.below(4)) {
        (true, 0..=1) => '۰',
        (true, 2) => '٠',
        _ => return text.to_owned(),
    };
    text.chars()
        .map(|c| c.to_digit(10).and_then(|digit| char::from_u32(u32::from(zero) + digit)).unwrap_or(c))
        .collect()
}

const DIGITS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
const TEENS: [&str; 10] = [
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
const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const RAQAM: [&str; 10] = ["صفر", "یک", "دو", "سه", "چهار", "پنج", "شش", "هفت", "هشت", "نه"];
const DAH: [&str; 10] =
    ["ده", "یازده", "دوازده", "سیزده", "چهارده", "پانزده", "شانزده", "هفده", "هجده", "نوزده"];
const DAHGAN: [&str; 8] = ["بیست", "سی", "چهل", "پنجاه", "شصت", "هفتاد", "هشتاد", "نود"];
const SAD: [&str; 9] = ["صد", "دویست", "سیصد", "چهارصد", "پانصد", "ششصد", "هفتصد", "هشتصد", "نهصد"];

/// A number below a hundred that does not begin with zero.
fn pair(random: &mut Random, persian: bool, n: usize) -> String {
    match (n, persian) {
        (0..=9, false) => DIGITS[n].to_owned(),
        (0..=9, true) => RAQAM[n].to_owned(),
        (10..=19, false) => TEENS[n - 10].to_owned(),
        (10..=19, true) => DAH[n - 10].to_owned(),
        (_, false) if n.is_multiple_of(10) => TENS[n / 10 - 2].to_owned(),
        (_, true) if n.is_multiple_of(10) => DAHGAN[n / 10 - 2].to_owned(),
        (_, false) => format!("{}{}{}", TENS[n / 10 - 2], random.pick(&["-", " "]), DIGITS[n % 10]),
        (_, true) => format!(
            "{}{}{}",
            DAHGAN[n / 10 - 2],
            random.pick(&[" و ", " و ", " و ", "\u{200c}و\u{200c}", "و", " "]),
            RAQAM[n % 10]
        ),
    }
}

/// A number below ten thousand, as Persian says it.
fn persian_number(random: &mut Random, n: usize) -> String {
    let mut parts = Vec::new();
    match n / 1000 {
        0 => {}
        1 => parts.push("هزار".to_owned()),
        thousands => parts.push(format!("{} هزار", RAQAM[thousands])),
    }
    if let Some(hundreds) = (n / 100 % 10).checked_sub(1) {
        parts.push(SAD[hundreds].to_owned());
    }
    if !n.is_multiple_of(100) {
        parts.push(pair(random, true, n % 100));
    }
    parts.join(" و ")
}

/// A group of digits in words, in one of the ways in which people say it.
fn in_words(random: &mut Random, persian: bool, group: &str) -> String {
    let number = |digits: &str| digits.parse::<usize>().unwrap_or_default();
    let leads = !group.starts_with('0');
    match random.below(4) {
        // "Sixty-two, a thousand and nine" and "sixty-two thousand and nine" are the same words in Persian.
        0 if persian && leads && (3..=4).contains(&group.len()) && !(1000..2000).contains(&number(group)) => {
            return persian_number(random, number(group));
        }
        0 if !persian && leads && group.len() == 4 && group.ends_with("00") && &group[1..2] != "0" => {
            return format!("{} hundred", pair(random, false, number(&group[..2])));
        }
        1 | 2 if group.len().is_multiple_of(2) => {
            let pairs = group.as_bytes().chunks(2).map(|two| {
                let (tens, units) = (usize::from(two[0] - b'0'), usize::from(two[1] - b'0'));
                match (tens, persian) {
                    (0, false) => format!("{} {}", random.pick(&["oh", "zero"]), DIGITS[units]),
                    (0, true) => format!("صفر {}", RAQAM[units]),
                    _ => pair(random, persian, tens * 10 + units),
                }
            });
            return pairs.collect::<Vec<_>>().join(" ");
        }
        _ => {}
    }
    let mut words: Vec<String> = Vec::new();
    let bytes = group.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let digit = usize::from(bytes[at] - b'0');
        let same = bytes[at..].iter().take_while(|byte| **byte == bytes[at]).count().min(3);
        let word = |random: &mut Random| match (persian, digit) {
            (true, _) => RAQAM[digit],
            (false, 0) => random.pick(&["oh", "zero"]),
            (false, _) => DIGITS[digit],
        };
        if !persian && same > 1 && random.chance(50) {
            let times = if same == 2 { "double" } else { "triple" };
            words.push(format!("{times} {}", word(random)));
            at += same;
        } else if persian && digit == 0 && same > 1 && random.chance(50) {
            words.push(format!("{} تا صفر", RAQAM[same]));
            at += same;
        } else {
            words.push(word(random).to_owned());
            at += 1;
        }
    }
    words.join(random.pick(&[" ", " ", ", ", "-"]))
}

fn filler(random: &mut Random, persian: bool) -> String {
    if persian {
        random.pick(&["بعد", "اممم", "و", "خب", "بعدش"]).to_owned()
    } else {
        random.pick(&["uh", "um", "and then", "okay", "then"]).to_owned()
    }
}

/// A number as it is said: groups in a form, with signs and sounds between.
fn dictated(random: &mut Random, persian: bool, number: &str, form: Form) -> Vec<Said> {
    if form == Form::Digits && random.chance(25) {
        return vec![Said::Secret(script(random, persian, number))];
    }
    let groups = groups(random, number);
    let separator = random.pick(&[" ", " ", " ", "-", ", ", ". ", " - "]);
    let mut out: Vec<Said> = Vec::new();
    for (n, group) in groups.iter().enumerate() {
        let words = form == Form::Words || form == Form::Mixed && random.chance(50);
        let group = if words { in_words(random, persian, group) } else { script(random, persian, group) };
        let end = if n + 1 == groups.len() { "" } else { separator };
        match out.last_mut() {
            // What a hyphen joins has no space.
            Some(Said::Secret(before)) if !before.ends_with(' ') && before.ends_with('-') => {
                before.push_str(&format!("{group}{end}"));
            }
            _ => out.push(Said::Secret(format!("{group}{end}"))),
        }
        if form != Form::Digits && !end.is_empty() && random.chance(10) {
            out.push(Said::Inside(filler(random, persian)));
        }
    }
    out
}

fn around(text: &str) -> Said {
    Said::Around(text.to_owned())
}

fn customer(said: Vec<Said>) -> Turn {
    Turn { agent: false, said }
}

fn agent(text: &str) -> Turn {
    Turn { agent: true, said: vec![around(text)] }
}

fn announced(random: &mut Random, persian: bool) -> (Said, Said) {
    if persian {
        (
            around(random.pick(&[
                "شماره کارتم",
                "",
                "بله یادداشت کنید",
                "شماره کارت من می‌شه",
                "کارتم",
                "کارت بانک ملی",
            ])),
            around(random.pick(&["", "هست", "ممنون", "همین بود"])),
        )
    } else {
        (
            around(random.pick(&[
                "My card number is",
                "It's",
                "Sure, it's",
                "",
                "The number on my card is",
                "I'd like to pay with Visa,",
            ])),
            around(random.pick(&["", "thank you", "please.", "did you get it?"])),
        )
    }
}

fn one_turn(random: &mut Random, persian: bool, form: Form) -> Vec<Turn> {
    let number = card(random, persian);
    let (before, after) = announced(random, persian);
    let mut said = vec![before];
    said.extend(dictated(random, persian, &number, form));
    said.push(after);
    vec![customer(said)]
}

fn over_turns(random: &mut Random, persian: bool) -> Vec<Turn> {
    let number = card(random, persian);
    let form = [Form::Digits, Form::Words, Form::Mixed][random.below(3)];
    let mut turns = Vec::new();
    if random.chance(60) {
        turns.push(agent(if persian {
            random.pick(&["شماره کارتتون رو می‌فرمایید؟", "شماره کارت؟"])
        } else {
            random.pick(&["Can I have your card number?", "And the card number, please?"])
        }));
    }
    let groups = groups(random, &number);
    let cut = 1 + random.below(groups.len().max(2) - 1);
    let parts =
        if random.chance(30) { groups.clone() } else { vec![groups[..cut].concat(), groups[cut..].concat()] };
    for part in parts.iter().filter(|part| !part.is_empty()) {
        turns.push(customer(dictated(random, persian, part, form)));
        if random.chance(60) {
            turns.push(agent(if persian {
                random.pick(&["بله", "خب", "باشه"])
            } else {
                random.pick(&["Okay.", "mm-hmm", "Yes.", "Right."])
            }));
        }
    }
    turns
}

/// What recognisers do to a number: a digit is another one, is lost or is there twice. It was announced as a
/// card's.
fn misheard(random: &mut Random, persian: bool) -> Vec<Turn> {
    let mut number = card(random, persian);
    let at = random.below(number.len() - 1) + 1;
    match random.below(4) {
        0 => drop(number.remove(at)),
        1 => {
            let twin = number.as_bytes()[at];
            number.insert(at, char::from(twin));
        }
        _ => number.replace_range(at..=at, &random.digits(1)),
    }
    let form = [Form::Digits, Form::Words, Form::Mixed][random.below(3)];
    let before = if persian {
        random.pick(&["شماره کارتم", "شماره کارت من"])
    } else {
        random.pick(&["My card number is", "the card number, it's"])
    };
    let mut said = vec![around(before)];
    said.extend(dictated(random, persian, &number, form));
    vec![customer(said)]
}

fn short(random: &mut Random, persian: bool, digits: &str) -> Said {
    Said::Secret(if random.chance(50) {
        in_words(random, persian, digits)
    } else {
        script(random, persian, digits)
    })
}

fn cvv_and_expiry(random: &mut Random, persian: bool) -> Vec<Turn> {
    let cvv = random.digits(3);
    let (month, year) = (1 + random.below(12), 26 + random.below(6));
    match (persian, random.below(3)) {
        (false, 0) => vec![customer(vec![around("the CVV is"), short(random, persian, &cvv)])],
        (false, 1) => {
            vec![agent("And the three digits on the back?"), customer(vec![short(random, persian, &cvv)])]
        }
        (false, _) => vec![customer(vec![
            around("The card expires"),
            Said::Secret(format!("{month:02}/{year}")),
            around("thanks"),
        ])],
        (true, 0) => {
            let cue = random.pick(&["سی وی وی", "cvv2", "سی‌وی‌وی دو"]);
            let cue = if cue.ends_with("دو") { Said::Inside(cue.to_owned()) } else { around(cue) };
            vec![customer(vec![cue, short(random, persian, &cvv)])]
        }
        (true, 1) => vec![agent("کد پشت کارت چنده؟"), customer(vec![short(random, persian, &cvv)])],
        (true, _) => {
            let date = format!("{:02}/{month:02}", 5 + random.below(4));
            let date = script(random, true, &date);
            vec![customer(vec![around("تاریخ انقضای کارت"), Said::Secret(date)])]
        }
    }
}

fn code(random: &mut Random, persian: bool) -> Vec<Turn> {
    let length = 4 + random.below(3);
    let code = random.digits(length);
    let said = short(random, persian, &code);
    match (persian, random.below(3)) {
        (false, 0) => vec![customer(vec![around("The code is"), said])],
        (false, 1) => {
            vec![agent("Could you read me the verification code?"), customer(vec![around("yes"), said])]
        }
        (false, _) => vec![customer(vec![around("my PIN is"), said, around("I think")])],
        (true, 0) => vec![customer(vec![around("رمز پویا"), said])],
        (true, 1) => vec![agent("کدی که پیامک شد رو بفرمایید"), customer(vec![said])],
        (true, _) => vec![customer(vec![around("رمز دومم"), said, around("هست")])],
    }
}

fn iban(random: &mut Random, persian: bool) -> Vec<Turn> {
    let account = format!("{:03}0{}", 10 + random.below(60), random.digits(18));
    // IR is 1827 at the end, with check digits 00.
    let remainder =
        format!("{account}182700").bytes().fold(0u32, |sum, byte| (sum * 10 + u32::from(byte - b'0')) % 97);
    let number = format!("{:02}{account}", 98 - remainder);
    let form = [Form::Digits, Form::Words, Form::Mixed][random.below(3)];
    let mut said = vec![around(if persian {
        random.pick(&["شماره شبا", "شبای من", ""])
    } else {
        random.pick(&["The IBAN is", "my sheba is", ""])
    })];
    said.push(Said::Secret(if form == Form::Words && persian { "آی آر" } else { "IR" }.to_owned()));
    said.extend(dictated(random, persian, &number, form));
    vec![customer(said)]
}

fn national_id(random: &mut Random, persian: bool) -> Vec<Turn> {
    let nine = random.digits(9);
    let sum: u32 =
        nine.bytes().zip((2..=10).rev()).map(|(byte, weight)| u32::from(byte - b'0') * weight).sum();
    let check = if sum % 11 < 2 { sum % 11 } else { 11 - sum % 11 };
    let number = format!("{nine}{check}");
    let form = [Form::Digits, Form::Words, Form::Mixed][random.below(3)];
    let said = dictated(random, persian, &number, form);
    match (persian, random.chance(50)) {
        (false, true) => vec![agent("Your national ID, please?"), customer(said)],
        (false, false) => vec![customer([vec![around("my national code is")], said].concat())],
        (true, true) => vec![agent("کد ملی‌تون؟"), customer(said)],
        (true, false) => vec![customer([vec![around("کد ملی من")], said].concat())],
    }
}

/// Numbers that are no secrets, with and without words that say so.
fn harmless(random: &mut Random, persian: bool) -> Vec<Turn> {
    let form = [Form::Digits, Form::Words, Form::Mixed][random.below(3)];
    let said = |random: &mut Random, number: &str| -> String {
        customer(dictated(random, persian, number, form)).text()
    };
    let mobile = format!("09{}", random.digits(9));
    let length = 5 + random.below(8);
    let order = random.digits(length);
    let amount = (1 + random.below(9_999)) * 1000;
    let text = match (persian, random.below(10)) {
        (false, 0) => format!("My phone number is {}", said(random, &mobile)),
        (false, 1) => said(random, &mobile),
        (false, 2) => format!("The order number is {}", said(random, &order)),
        (false, 3) => format!("I paid {amount} tomans by card on 12/05/2026"),
        (false, 4) => format!("It costs ${} for {} months", amount / 1000, random.below(12)),
        (false, 5) => {
            let (minutes, number) = (random.below(50) + 10, said(random, &order));
            format!("the meeting is at 10:{minutes}, ticket {number}")
        }
        (false, 6) => format!("Call +1 {} {} {}", random.digits(3), random.digits(3), random.digits(4)),
        (false, 7) => {
            format!("My account number is {}, and I have {} devices", said(random, &order), random.below(9))
        }
        (false, 8) => format!("The discount code is {}", said(random, &order)),
        (false, _) => format!("I was born on {} May {}", 1 + random.below(28), 1960 + random.below(50)),
        (true, 0) => format!("شماره موبایلم {}", said(random, &mobile)),
        (true, 1) => said(random, &mobile),
        (true, 2) => format!("شماره سفارشم {} هست", said(random, &order)),
        (true, 3) => {
            format!("{} تومان با کارت پرداخت کردم", persian_number(random, amount / 1000 % 10_000) + " هزار")
        }
        (true, 4) => format!("{amount} تومان برای {} ماه", random.below(12) + 1),
        (true, 5) => format!("فردا ساعت 10:{} جلسه {}", random.below(50) + 10, random.below(30)),
        (true, 6) => format!("کد پیگیری {}", said(random, &order)),
        (true, 7) => format!("تلفن ثابت ۰۲۱ {} {}", random.digits(4), random.digits(4)),
        (true, 8) => format!("کد تخفیف من {}", said(random, &order)),
        (true, _) => format!(
            "تاریخ تولدم ۱۳{}/۰{}/{} هست",
            50 + random.below(49),
            1 + random.below(9),
            10 + random.below(20)
        ),
    };
    let mut turns = vec![customer(vec![around(&text)])];
    if random.chance(30) {
        turns.push(customer(vec![around(&said(random, &mobile))]));
    }
    turns
}
