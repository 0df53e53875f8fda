//! Words that say what the next number is.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::spoken::{Token, fold};

/// What is spoken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cue {
    /// The number of a payment card is asked for or announced.
    CardNumber,
    /// A payment card is mentioned.
    Card,
    Cvv,
    Expiry,
    Password,
    /// A code that is not said to be a harmless one.
    Code,
    Iban,
    NationalId,
    Phone,
    /// The number of something else is announced: "order number", "postal code".
    Reference,
    /// Something that has a number is mentioned: an order, an account, a room.
    Subject,
}

/// All of them, in the order of their numbers.
pub(super) const CUES: [Cue; 11] = [
    Cue::CardNumber,
    Cue::Card,
    Cue::Cvv,
    Cue::Expiry,
    Cue::Password,
    Cue::Code,
    Cue::Iban,
    Cue::NationalId,
    Cue::Phone,
    Cue::Reference,
    Cue::Subject,
];

impl Cue {
    /// For how many words, and for how many utterances with words in them, what was said still counts.
    pub fn reach(self) -> (u32, u32) {
        match self {
            Self::CardNumber | Self::Card => (30, 8),
            Self::Iban => (20, 6),
            Self::NationalId => (15, 4),
            Self::Phone => (15, 3),
            Self::Cvv | Self::Expiry | Self::Reference | Self::Subject => (12, 3),
            Self::Password | Self::Code => (10, 3),
        }
    }

    /// True where another number may be meant as soon as something else that has one is mentioned. A password
    /// "for my account" is still one.
    pub fn is_vague(self) -> bool {
        !matches!(self, Self::Password | Self::Cvv | Self::Expiry)
    }

    /// True for numbers that are dictated over several turns: every turn renews the cue.
    pub fn is_long(self) -> bool {
        matches!(self, Self::CardNumber | Self::Iban)
    }

    /// True when a number of so many digits may be what is spoken of.
    pub fn fits(self, digits: &str) -> bool {
        match self {
            // What a card is named by, its last four digits, is no secret (PCI DSS 4.0, requirement 3.4).
            Self::CardNumber | Self::Iban => digits.len() >= 5,
            Self::Card => (13..=19).contains(&digits.len()),
            Self::Cvv => (3..=4).contains(&digits.len()),
            Self::Expiry => digits.len() <= 8,
            Self::Password => (3..=10).contains(&digits.len()),
            Self::Code => (4..=8).contains(&digits.len()),
            // A recogniser may lose a digit or hear one twice.
            Self::NationalId => (8..=11).contains(&digits.len()),
            Self::Phone => {
                (7..=12).contains(&digits.len())
                    || digits.starts_with('0') && (7..=15).contains(&digits.len())
            }
            Self::Reference | Self::Subject => digits.len() <= 12,
        }
    }
}

/// Phrases, one list a cue: words in order, `*` for any ending, parted by commas.
const PHRASES: &[(Cue, &str)] = &[
    (
        Cue::CardNumber,
        "card number*, card no, card num, number card*, long number, digits card*, sixteen digit*, 16 digit*,
        card details, number on front, شماره کارت*, شماره عابر*, کارت شماره*, شماره روی کارت*, شانزده رقم*,
        16 رقم*, رقم کارت*, رقم روی کارت*",
    ),
    (
        Cue::Card,
        "card, cards, visa, mastercard, amex, american express, maestro, کارت, کارتم, کارتت, کارتش, کارتتون,
        کارتمون, کارتشون, کارتون, کارتی, کارتها, مسترکارت, عابر بانک*, عابربانک*",
    ),
    (
        Cue::Cvv,
        "cvv*, cvc*, cv2, c v v, c v c, security code, digits back, code back, verification value, سی وی وی, سی وی سی,
        سیویوی, سی ویوی, کد پشت کارت*, کد پشت, رقم پشت, سه رقمی, سه رقم پشت",
    ),
    (
        Cue::Expiry,
        "expir*, exp date, exp, valid until, valid thru, valid through, valid to, good through, good thru, انقضا*,
        انقضاء, اعتبار کارت*",
    ),
    (
        Cue::Password,
        "password*, passcode*, passphrase, pin, pins, pin code, pin number, verification code, one time, one time code,
        otp, o t p, confirmation code, activation code, sms code, رمز, رمزم, رمزت, رمزش, رمزتون, رمزمون,
        رمزشون, رمزی, پسورد*, پین, پین کد, گذرواژه*, کلمه عبور, کد تایید*, کد فعال سازی, کد فعالسازی, کد یکبار مصرف,
        کد پیامک*, او تی پی",
    ),
    (Cue::Code, "code, codes, کد, کدی, کدم, کدش, کدت, کدتون"),
    (Cue::Iban, "iban*, i ban, i b a n, sheba, shaba, shabba, شبا, شبام, شباتون, شبای, ایبان, ای بان"),
    (
        Cue::NationalId,
        "national id*, national code, national number, national identity, identity number, identification number,
        melli, کد ملی*, کدملی*, شماره ملی*, کارت ملی*, شماره کارت ملی*, ملیم, ملیتون, social security",
    ),
    (
        Cue::Phone,
        "phone*, mobile*, cell, cellphone, telephone*, landline, whatsapp, telegram, call me, call back, call us,
        reach me, reach us, contact number, my number, your number, his number, her number, their number, fax,
        text me, تلفن*, موبایل*, همراه*, واتساپ*, واتس اپ, تلگرام*, تماس, شماره تماس, شماره من, شماره ام, شمارم,
        شمارتون, شماره خودم, زنگ",
    ),
    (
        Cue::Reference,
        "order number, order id*, invoice number, ticket number, tracking, booking number, booking reference, booking code,
        reference number, reference code, ref number, case number, account number, account id, customer id*,
        customer number, customer code, contract number, student id*, student number, user id*, serial*, extension,
        membership number, policy number, room number, flight number, confirmation number, postal code, postcode,
        post code, zip, zip code, area code, country code, discount code, promo code, promotion code, error code,
        product code, order code, course code, class code, coupon code, voucher code, gift code, sort code,
        status code, bar code, qr code, branch code, referral code, dialling code, dial code, داخلی, پیگیری, رهگیری,
        ارجاع, مرجع, سریال, پلاک, شماره سفارش*, شماره فاکتور, شماره حساب*, شماره مشتری*, شماره قرارداد*,
        شماره اشتراک*, شماره پرونده*, شماره دانشجویی, شماره تیکت*, کد پستی, کدپستی, کد تخفیف, کد خطا*, کد رهگیری,
        کد پیگیری, کد سفارش, کد محصول, کد کلاس, کد دوره, کد شهر, کد معرف*, کد اشتراک, کد مشتری, کد نمایندگی,
        کد کاربری, کد کالا, کد رزرو",
    ),
    (
        Cue::Subject,
        "order, orders, invoice*, ticket*, booking*, reference*, ref, account*, contract*, version, model, membership*,
        room, flight, error, page, سفارش*, فاکتور*, تیکت*, رزرو*, حساب*, مشتری*, قرارداد*, اشتراک*, واحد, نسخه, پرونده*,
        اتاق, پرواز, صفحه, خطای",
    ),
];

/// Words that may stand between those of a phrase.
const BETWEEN: &[&str] =
    &["the", "my", "your", "our", "a", "of", "on", "s", "ی", "های", "ها", "-", "بانک", "بانکی"];

struct Phrase {
    /// A word, and whether it may go on.
    words: Vec<(String, bool)>,
    cue: Cue,
}

impl Phrase {
    /// How many tokens the phrase covers at the beginning of `tokens`.
    fn matches(&self, tokens: &[Token]) -> Option<usize> {
        let mut at = 0;
        for (n, (word, open)) in self.words.iter().enumerate() {
            while n > 0
                && at < 8
                && tokens.get(at).is_some_and(|token| BETWEEN.contains(&token.text.as_str()))
            {
                if is(&tokens[at], word, *open) {
                    break;
                }
                at += 1;
            }
            if !is(tokens.get(at)?, word, *open) {
                return None;
            }
            at += 1;
        }
        Some(at)
    }
}

fn is(token: &Token, word: &str, open: bool) -> bool {
    if open { token.text.starts_with(word) } else { bare(token) == word }
}

/// "card" of "card's".
fn bare(token: &Token) -> &str {
    token.text.strip_suffix("'s").unwrap_or(&token.text)
}

struct Phrases {
    by_word: HashMap<String, Vec<Phrase>>,
    /// Those whose first word may have any ending.
    open: Vec<Phrase>,
}

static PHRASES_BY_WORD: LazyLock<Phrases> = LazyLock::new(|| {
    let mut phrases = Phrases { by_word: HashMap::new(), open: vec![] };
    for (cue, list) in PHRASES {
        for phrase in list.split(',') {
            let words: Vec<(String, bool)> = phrase
                .split_whitespace()
                .map(|word| (fold(word.trim_end_matches('*')), word.ends_with('*')))
                .collect();
            let Some((first, open)) = words.first().cloned() else { continue };
            let phrase = Phrase { words, cue: *cue };
            if open {
                phrases.open.push(phrase);
            } else {
                phrases.by_word.entry(first).or_default().push(phrase);
            }
        }
    }
    phrases
});

/// The longest phrase that `tokens` begin with: what it speaks of, and how many tokens it covers.
pub(super) fn cue(tokens: &[Token]) -> Option<(Cue, usize)> {
    let first = tokens.first()?;
    let phrases = &*PHRASES_BY_WORD;
    let exact = phrases.by_word.get(bare(first)).into_iter().flatten();
    let found = exact.chain(&phrases.open).filter_map(|phrase| Some((phrase, phrase.matches(tokens)?)));
    found
        .max_by_key(|(phrase, covered)| (phrase.words.len(), *covered))
        .map(|(phrase, covered)| (phrase.cue, covered))
}
