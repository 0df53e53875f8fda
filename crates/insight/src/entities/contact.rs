//! How to reach people: e-mail addresses and telephone numbers.

use std::collections::VecDeque;

use super::{Kind, Row, Speech};
use crate::spoken::{Shape, Words};

/// Finds `sara.k@gmail.com`, "sara dot k at gmail dot com", «سارا دات کی ات جیمیل دات کام».
pub(super) fn emails(speech: &mut Speech<'_>, text: &str) {
    if !text.contains('@') && !speech.tokens.iter().any(|token| is_dot(&token.text)) {
        return;
    }
    for at in 1..speech.tokens.len() {
        let written = speech.is(at, &["@"]);
        if !written && !speech.is(at, &["at", "ات", "اتساین", "ادساین", "ادسین"]) {
            continue;
        }
        let after = at + 1 + usize::from(!written && speech.is(at + 1, &["sign", "ساین"]));
        let Some((domain, end)) = domain(speech, after) else { continue };
        let Some((local, start)) = local(speech, at, written) else { continue };
        let confidence = match (written, local.is_ascii()) {
            (true, _) => 0.98,
            (false, true) => 0.85,
            // Letters that nobody spelled.
            (false, false) => 0.4,
        };
        speech.take(Kind::Email, format!("{local}@{domain}"), start..end, confidence);
    }
}

fn is_dot(word: &str) -> bool {
    matches!(word, "." | "dot" | "دات" | "نقطه")
}

/// Endings of domains, as they are written and said.
fn top_level(word: &str) -> Option<&str> {
    Some(match word {
        "com" | "org" | "net" | "ir" | "io" | "co" | "uk" | "de" | "edu" | "gov" | "info" | "me" | "tr"
        | "ca" | "fr" | "app" | "dev" | "ai" | "us" | "eu" | "nl" | "se" | "ac" | "ae" | "biz" => word,
        "کام" | "کم" => "com",
        "نت" => "net",
        "ارگ" => "org",
        _ => return None,
    })
}

/// Providers, as they are said.
fn provider(word: &str) -> &str {
    match word {
        "جیمیل" => "gmail",
        "یاهو" => "yahoo",
        "هاتمیل" => "hotmail",
        "اوتلوک" | "اتلوک" => "outlook",
        "ایکلود" => "icloud",
        _ => word,
    }
}

fn domain(speech: &Speech<'_>, from: usize) -> Option<(String, usize)> {
    let mut out = String::new();
    let mut end = None;
    let mut at = from;
    loop {
        // «آی آر»
        if !out.is_empty() && speech.is(at, &["ای", "i"]) && speech.is(at + 1, &["ار", "r"]) {
            return Some((out + "ir", at + 2));
        }
        let token = speech.tokens.get(at).filter(|token| token.shape != Shape::Symbol)?;
        out.push_str(match top_level(&token.text) {
            Some(ending) if !out.is_empty() => ending,
            _ => provider(&token.text),
        });
        at += 1;
        // "g mail", «هات‌میل»
        match (token.text.as_str(), speech.word(at)) {
            ("g" | "جی", "mail" | "میل") | ("hot" | "هات", "mail" | "میل") => {
                let first = if matches!(token.text.as_str(), "g" | "جی") { "g" } else { "hot" };
                out.truncate(out.len() - token.text.len());
                out.push_str(first);
                out.push_str("mail");
                at += 1;
            }
            _ => {}
        }
        while speech.glued(at) && speech.tokens[at].shape != Shape::Symbol {
            out.push_str(speech.word(at));
            at += 1;
        }
        if out.contains('.') && top_level(&token.text).is_some() {
            end = Some((out.clone(), at));
        }
        let next = speech.tokens.get(at + 1).is_some_and(|next| next.shape != Shape::Symbol);
        // The full stop that ends a sentence is glued to nothing.
        let dot = is_dot(speech.word(at)) && next && (speech.word(at) != "." || speech.glued(at + 1));
        if dot && out.len() < 64 {
            out.push('.');
        } else if speech.is(at, &["-", "dash"]) && next && speech.glued(at) {
            out.push('-');
        } else {
            return end;
        }
        at += 1;
    }
}

/// What stands before the sign, from its end on.
fn local(speech: &Speech<'_>, sign: usize, written: bool) -> Option<(String, usize)> {
    let mut parts: VecDeque<String> = VecDeque::new();
    let mut start = sign;
    while start > 0 && parts.len() < 40 {
        let token = &speech.tokens[start - 1];
        if token.shape == Shape::Symbol || !speech.is_free(start - 1..start) {
            break;
        }
        let spoken = speech.number_before(start).filter(|number| number.spoken && !written);
        let (text, from) = match spoken {
            Some(number) => (number.digits.clone(), number.tokens.start),
            None => (token.text.clone(), start - 1),
        };
        let short = |at: usize| {
            speech.tokens.get(at).is_some_and(|token| {
                token.shape == Shape::Digits
                    || token.shape == Shape::Word && token.text.chars().count() == 1 && token.text != "و"
            }) || speech.number_before(at + 1).is_some()
        };
        parts.push_front(text);
        start = from;
        let Some(before) = start.checked_sub(1) else { break };
        if let Some((sign, count)) = connector(speech, before, written) {
            if count > start || start - count == 0 {
                break;
            }
            parts.push_front(sign.to_owned());
            start -= count;
        } else if speech.glued(start) && speech.tokens[before].shape != Shape::Symbol {
            // "sara2"
        } else if written || !short(start) || !(short(before) || is_said(speech, start, before)) {
            break;
        }
    }
    // A sign that nothing stands before.
    while parts.front().is_some_and(|part| matches!(part.as_str(), "." | "_" | "-" | "+")) {
        parts.pop_front();
        start += 1;
    }
    (!parts.is_empty()).then(|| (parts.into_iter().collect(), start))
}

/// True for "john 1990": a word that digits follow, and that does not lead to the address.
fn is_said(speech: &Speech<'_>, digits: usize, before: usize) -> bool {
    const LEADS: &[&str] = &[
        "is",
        "it's",
        "its",
        "email",
        "mail",
        "address",
        "e",
        "my",
        "the",
        "to",
        "at",
        "me",
        "us",
        "and",
        "or",
        "ایمیل",
        "ایمیلم",
        "من",
        "هست",
        "ادرس",
        "میشه",
        "به",
        "و",
    ];
    let digit = speech.tokens[digits].shape == Shape::Digits || speech.number(digits).is_some();
    digit && speech.tokens[before].shape == Shape::Word && !LEADS.contains(&speech.word(before))
}

/// What joins the parts of a name before the sign, and how many tokens it takes up to `at`.
fn connector(speech: &Speech<'_>, at: usize, written: bool) -> Option<(&'static str, usize)> {
    if written && !speech.glued(at + 1) {
        return None;
    }
    Some(match speech.word(at) {
        "." | "dot" | "دات" | "نقطه" => (".", 1),
        "_" | "underscore" | "underline" | "اندرلاین" | "اندراسکور" => ("_", 1),
        "تیره" if at > 0 && speech.is(at - 1, &["خط"]) => ("-", 2),
        "-" | "dash" | "hyphen" | "minus" | "دش" => ("-", 1),
        "+" | "plus" | "پلاس" => ("+", 1),
        _ => return None,
    })
}

/// Words that announce a telephone number.
static PHONE: Words = Words::new(
    "phone mobile cell cellphone telephone number call reach whatsapp telegram landline tel contact text fax \
     تلفن تلفنم تلفنتون موبایل موبایلم موبایلتون همراه همراهم تماس تماسم شماره شمارم شمارتون واتساپ تلگرام \
     زنگ ثابت ثابتم",
);
/// Words that announce another number.
static OTHER: Words = Words::new(
    "order account invoice ticket tracking reference code card id zip postal booking customer کد کارت کارتم \
     سفارش سفارشم حساب حسابم پیگیری رهگیری فاکتور شبا ملی پستی",
);
/// How far before a number such a word counts, in tokens.
const REACH: usize = 8;

/// Finds telephone numbers.
pub(super) fn phones(speech: &mut Speech<'_>) {
    let mut at = 0;
    while at < speech.tokens.len() {
        let Some(row) = speech.row(at) else {
            at += 1;
            continue;
        };
        // In a list a number may stand before the number.
        let counter = row.groups[0] <= 1 && speech.is(at + 1, &[".", ","]);
        let end = row.end;
        if let Some((value, start, confidence)) = phone(speech, at, &row) {
            speech.take(Kind::Phone, value, start..end, confidence);
            at = end;
        } else {
            at = if counter { at + 1 } else { end };
        }
    }
}

/// A row of digits as a telephone number, with where it begins and how sure that is.
fn phone(speech: &Speech<'_>, at: usize, row: &Row) -> Option<(String, usize, f32)> {
    let before = at.saturating_sub(REACH)..at;
    let last = |words: &Words| before.clone().rev().find(|at| words.has(speech.word(*at)));
    let (cue, other) = (last(&PHONE), last(&OTHER));
    // "order number": the word that says which number it is stands first.
    let other = other.is_some_and(|other| cue.is_none_or(|cue| other + 4 > cue));
    let plus = at.checked_sub(1).filter(|before| speech.is(*before, &["+", "plus", "مثبت", "پلاس"]));
    let start = plus.unwrap_or(at);
    let digits = row.digits.as_str();
    let length = digits.len();
    let international = if plus.is_some() { Some(digits) } else { digits.strip_prefix("00") };
    if let Some(number) =
        international.filter(|number| (8..=15).contains(&number.len()) && !number.starts_with('0'))
    {
        return Some((format!("+{number}"), start, 0.95));
    }
    if other {
        return None;
    }
    let persian = speech.tokens.iter().any(|token| !token.text.is_ascii() && token.shape == Shape::Word);
    let national = digits.strip_prefix('0').filter(|national| is_iranian(national)).or_else(|| {
        digits
            .strip_prefix("98")
            .filter(|national| national.len() == 10 && national.starts_with('9'))
            .or_else(|| {
                // Without its zero it is one only where it is said to be.
                Some(digits).filter(|_| length == 10 && digits.starts_with('9') && (cue.is_some() || persian))
            })
    });
    if let Some(national) = national {
        return Some((format!("+98{national}"), start, 0.95));
    }
    if cue.is_some() && (7..=15).contains(&length) {
        return Some((digits.to_owned(), start, 0.8));
    }
    let north_american = row.groups == [3, 3, 4] || row.groups == [1, 3, 3, 4] && digits.starts_with('1');
    let trunk = digits.starts_with('0') && (10..=11).contains(&length);
    (north_american || trunk).then(|| (digits.to_owned(), start, 0.6))
}

/// National significant numbers of Iran: mobiles, and the area codes of its provinces.
fn is_iranian(national: &str) -> bool {
    const AREAS: &[&str] = &[
        "11", "13", "17", "21", "23", "24", "25", "26", "28", "31", "34", "35", "38", "41", "44", "45", "51",
        "54", "56", "58", "61", "66", "71", "74", "76", "77", "81", "83", "84", "86", "87",
    ];
    national.len() == 10
        && (national.starts_with('9')
            || national.get(..2).is_some_and(|area| AREAS.binary_search(&area).is_ok()))
}
