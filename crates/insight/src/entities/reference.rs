//! Numbers that name an order or an account, by the words before them.

use super::{Kind, Speech};
use crate::spoken::{Shape, Words};

/// What a word says about the number behind it.
fn kind(word: &str) -> Option<Kind> {
    Some(match word.strip_suffix("'s").unwrap_or(word) {
        "order" | "invoice" | "ticket" | "tracking" | "booking" | "reference" | "confirmation" | "case"
        | "shipment" => Kind::Order,
        "account" | "customer" | "contract" | "subscription" | "membership" | "user" | "student"
        | "policy" => Kind::Account,
        "فاکتور" | "پیگیری" | "رهگیری" | "تیکت" | "رزرو" | "مرسوله" => {
            Kind::Order
        }
        _ if word.starts_with("سفارش") => Kind::Order,
        "قرارداد" | "قراردادم" | "کاربری" | "دانشجویی" | "عضویت" => {
            Kind::Account
        }
        _ if ["حساب", "مشتری", "اشتراک"].iter().any(|stem| word.starts_with(stem)) => {
            Kind::Account
        }
        _ => return None,
    })
}

/// What may stand between such a word and its number.
static BETWEEN: Words = Words::new(
    "number numbers no num id code is was it's its the my a # : . , - has with for شماره شمارم ی من ما م ام \
     کد هست بود رو را ش uh um",
);

/// Words between, at most.
const REACH: usize = 5;

/// Digits of a number that answers a question without being named again.
const ANSWER: std::ops::RangeInclusive<usize> = 4..=12;

/// Words that make a question about an order one about its number.
static NUMBERS: Words = Words::new("number no num id code reference شماره کد");

/// What a question is for, such as "could you give me your order number?": the answer names it only by its digits.
pub(super) fn asked_for(speech: &Speech<'_>) -> Option<Kind> {
    let is_number = |at: usize| NUMBERS.has(speech.word(at));
    let asked = (0..speech.tokens.len()).rev().find_map(|at| {
        let near = is_number(at + 1) || at > 0 && is_number(at - 1);
        kind(speech.word(at)).filter(|_| near)
    });
    let is_told = |at: usize| speech.row(at).is_some_and(|row| row.digits.len() >= *ANSWER.start());
    asked.filter(|_| !(0..speech.tokens.len()).any(is_told))
}

/// The first row of digits in an answer, where nothing of that kind was named.
pub(super) fn answer(speech: &mut Speech<'_>, asked: Kind) {
    if speech.found.iter().any(|found| found.kind == asked) {
        return;
    }
    let answer = (0..speech.tokens.len()).find_map(|at| {
        let row = speech.row(at)?;
        let is_answer = ANSWER.contains(&row.digits.len()) && !is_counted(speech, row.end);
        is_answer.then_some((at, row))
    });
    if let Some((at, row)) = answer {
        speech.take(asked, row.digits, at..row.end, 0.7);
    }
}

pub(super) fn references(speech: &mut Speech<'_>) {
    for at in 0..speech.tokens.len() {
        let Some(kind) = kind(speech.word(at)) else { continue };
        let mut next = at + 1;
        while next <= at + REACH && BETWEEN.has(speech.word(next)) && !is_code_letter(speech, next) {
            next += 1;
        }
        let start = next;
        let mut value = String::new();
        while is_code_letter(speech, next) {
            value.push_str(&speech.word(next).to_uppercase());
            next += 1;
            next += usize::from(speech.is(next, &["-"]));
        }
        let Some(row) = speech.row(next) else { continue };
        if row.digits.len() < 3 || is_counted(speech, row.end) {
            continue;
        }
        value.push_str(&row.digits);
        speech.take(kind, value, start..row.end, 0.85);
    }
}

/// Letters in front of digits that belong to the number: "ORD-12345", "A B 1 2 3".
fn is_code_letter(speech: &Speech<'_>, at: usize) -> bool {
    let Some(token) =
        speech.tokens.get(at).filter(|token| token.shape == Shape::Word && token.text.is_ascii())
    else {
        return false;
    };
    let signs = usize::from(speech.is(at + 1, &["-"]) && speech.glued(at + 1));
    let next = speech.tokens.get(at + 1 + signs);
    let glued = next.is_some_and(|next| next.glued && next.shape == Shape::Digits);
    let spelled = token.text.len() == 1
        && next.is_some_and(|next| {
            next.shape == Shape::Digits || next.text.len() == 1 || speech.number(at + 1).is_some()
        });
    let written = !BETWEEN.has(&token.text)
        && token.capital
        && token.text.len() <= 3
        && next.is_some_and(|next| next.shape == Shape::Digits);
    speech.number(at).is_none() && token.text.len() <= 5 && (glued || spelled || written)
}

fn is_counted(speech: &Speech<'_>, at: usize) -> bool {
    speech.is(
        at,
        &[
            "days",
            "day",
            "weeks",
            "hours",
            "minutes",
            "months",
            "times",
            "percent",
            "%",
            "people",
            "روز",
            "ماه",
            "ساعت",
            "دقیقه",
            "نفر",
            "بار",
            "درصد",
        ],
    )
}
