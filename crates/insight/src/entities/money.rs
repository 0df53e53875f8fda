//! Amounts of money.

use super::{Kind, Speech};

/// The currency that a word names.
fn currency(word: &str) -> Option<&'static str> {
    Some(match word {
        "toman" | "tomans" | "tuman" | "tumans" | "tomaan" | "irt" => "IRT",
        "تومان" | "تومن" | "تومانی" | "تومنی" | "تومنه" | "تومانه" | "تومانم" => {
            "IRT"
        }
        "rial" | "rials" | "irr" | "ریال" | "ریالی" | "ریاله" => "IRR",
        "dollar" | "dollars" | "bucks" | "usd" | "$" | "دلار" | "دلاری" | "دلاره" => "USD",
        "euro" | "euros" | "eur" | "€" | "یورو" => "EUR",
        "pound" | "pounds" | "gbp" | "£" | "پوند" => "GBP",
        "dirham" | "dirhams" | "aed" | "درهم" => "AED",
        _ => return None,
    })
}

/// Words that name a currency only in front of a number.
fn is_code(word: &str) -> bool {
    matches!(word, "$" | "€" | "£" | "usd" | "eur" | "gbp" | "irr" | "irt" | "aed")
}

pub(super) fn amounts(speech: &mut Speech<'_>) {
    for n in 0..speech.numbers.len() {
        let number = &speech.numbers[n];
        if number.ordinal {
            continue;
        }
        let (mut start, mut end) = (number.tokens.start, number.tokens.end);
        let mut value = number.value;
        // «۱۲/۵ دلار»: Persian writes the decimal point so.
        if start > 1
            && speech.is(start - 1, &["/"])
            && speech.glued(start)
            && let Some(whole) = speech.number_before(start - 1).filter(|_| number.tokens.len() == 1)
            && let Some(fraction) = number.whole::<u8>().filter(|_| number.digits.len() <= 2)
            && let Some(sum) =
                whole.value.plus_hundredths(if number.digits.len() == 1 { fraction * 10 } else { fraction })
        {
            (start, value) = (whole.tokens.start, sum);
        }
        // «دوازده و نیم دلار», "twelve and a half dollars"
        let half = [&["و", "نیم"][..], &["and", "a", "half"]]
            .into_iter()
            .find(|half| (end..).zip(*half).all(|(at, word)| speech.word(at) == *word));
        if let Some(half) = half
            && currency(speech.word(end + half.len())).is_some()
            && let Some(sum) = value.plus_hundredths(50)
        {
            (value, end) = (sum, end + half.len());
        }
        let before = start.checked_sub(1).map(|at| speech.word(at)).filter(|word| is_code(word));
        let code = match (currency(speech.word(end)), before.and_then(currency)) {
            (Some(code), _) => {
                end += 1;
                // "five dollars and fifty cents"
                let cents = end + usize::from(speech.is(end, &["and"]));
                if let Some(number) = speech.number(cents)
                    && speech.is(number.tokens.end, &["cents", "cent"])
                    && let Some(sum) = number.whole().filter(|cents| *cents < 100)
                    && let Some(sum) = value.plus_hundredths(sum)
                {
                    value = sum;
                    end = number.tokens.end + 1;
                }
                code
            }
            (None, Some(code)) => {
                start -= 1;
                code
            }
            (None, None) => continue,
        };
        speech.take(Kind::Money, format!("{value} {code}"), start..end, 0.95);
    }
}
