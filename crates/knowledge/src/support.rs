//! Whether a sentence that somebody has written says what texts say, as far as that can be told without a model.

use std::collections::BTreeSet;

use sotto_text::fold;

use crate::excerpt::{clauses, sentences};
use crate::words::{share_in, shares_in};

/// The share of a sentence's meaningful words that the texts must have.
const SUPPORT: f32 = 0.6;

/// Whether texts have the numbers of a sentence, its names and addresses, most of its words, and a denial where it
/// denies something; and where it does not, neither does what has most of its words. That they mean the same nothing can
/// promise.
#[must_use]
pub fn stands_in(sentence: &str, texts: &[&str]) -> bool {
    let all = texts.join("\n");
    let has = |of: fn(&str) -> BTreeSet<String>| of(sentence).is_subset(&of(&all));
    let words = words(&all);
    let named = |name: &String| words.contains(name);
    has(numbers)
        && has(addresses)
        && names(sentence).iter().all(named)
        && (if denies(sentence) { denies(&all) } else { !is_denied(sentence, texts) })
        && share_in(sentence, texts) >= SUPPORT
}

/// Whether of all clauses those that have most of a sentence's words deny what they say: “Extra traffic is not paid back.”
fn is_denied(sentence: &str, texts: &[&str]) -> bool {
    let all: Vec<&str> =
        texts.iter().flat_map(|text| clauses(text).into_iter().map(move |range| &text[range])).collect();
    let shares = shares_in(sentence, &all);
    let most = shares.iter().copied().fold(0.0, f32::max);
    let mut nearest = all.iter().zip(&shares).filter(|(_, share)| **share >= most).map(|(clause, _)| *clause);
    most > 0.0 && nearest.all(denies)
}

fn words(text: &str) -> BTreeSet<String> {
    let folded = fold(text);
    folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Words for numbers, and these in digits. “One” and «نه» are mostly something else.
const COUNTED: &str = "
    two 2 three 3 four 4 five 5 six 6 seven 7 eight 8 nine 9 ten 10 eleven 11 twelve 12 fifteen 15 twenty 20 thirty 30
    forty 40 fifty 50 sixty 60 seventy 70 eighty 80 ninety 90 hundred 100 thousand 1000 million 1000000
    دو 2 سه 3 چهار 4 پنج 5 شش 6 هفت 7 هشت 8 ده 10 یازده 11 دوازده 12 پانزده 15 بیست 20 سی 30 چهل 40 پنجاه 50 شصت 60
    هفتاد 70 هشتاد 80 نود 90 صد 100 هزار 1000 میلیون 1000000";

/// The numbers of a text, in digits or in words, without what groups their digits.
fn numbers(text: &str) -> BTreeSet<String> {
    let folded = fold(text);
    let digits = folded.split(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',')));
    let digits =
        digits.map(|one| one.trim_matches(['.', ',']).replace(',', "")).filter(|one| !one.is_empty());
    let words = words(text);
    let pairs: Vec<&str> = COUNTED.split_whitespace().collect();
    let counted = pairs.chunks_exact(2).filter(|pair| words.contains(pair[0])).map(|pair| pair[1].to_owned());
    digits.chain(counted).collect()
}

/// What looks like a way to somewhere: links, also without their `https://`, mail addresses, names of hosts and accounts.
fn addresses(text: &str) -> BTreeSet<String> {
    let ends = |c: char| !(c.is_alphanumeric() || matches!(c, '/' | '@'));
    let bare = |word: &str| {
        let rest = ["https://", "http://"].iter().find_map(|scheme| word.strip_prefix(scheme));
        rest.unwrap_or(word).to_owned()
    };
    let folded = fold(text);
    let words = folded.split_whitespace().map(|word| word.trim_matches(ends));
    words.filter(|word| is_address(word)).map(bare).collect()
}

fn is_address(word: &str) -> bool {
    let is_scheme = |scheme: &str| scheme.len() > 1 && scheme.chars().all(|c| c.is_ascii_alphabetic());
    // `javascript:…`, `data:…`, `tel:…`
    let has_scheme = word.split_once(':').is_some_and(|(scheme, rest)| is_scheme(scheme) && !rest.is_empty());
    has_scheme
        || word.contains("://")
        || word.contains('@')
        || word.split(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '-'))).any(is_host)
}

/// Names with full stops between them, the last of letters: `example.org`.
fn is_host(word: &str) -> bool {
    word.trim_matches('.').rsplit_once('.').is_some_and(|(before, last)| {
        !before.is_empty() && last.chars().count() > 1 && last.chars().all(char::is_alphabetic)
    })
}

/// Words with a capital letter that do not begin a sentence, in one spelling.
fn names(text: &str) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for range in sentences(text) {
        let words = text[range].split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).skip(1);
        out.extend(words.filter(|word| word.len() > 1 && word.contains(char::is_uppercase)).map(fold));
    }
    out
}

fn denies(text: &str) -> bool {
    const WORDS: [&str; 9] = ["not", "no", "never", "none", "cannot", "nothing", "without", "بدون", "هیچ"];
    const BEGINS: [&str; 7] = ["نیست", "نمی", "نباید", "ندار", "نشد", "نکن", "نخواه"];
    let folded = fold(text);
    folded.contains("n't")
        || words(text).iter().any(|word| {
            WORDS.contains(&word.as_str()) || BEGINS.iter().any(|begin| word.starts_with(&fold(begin)))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_texts_do_not_have_does_not_stand_in_them() {
        let said = ["I will refund the delivery fee of 12 dollars on Thursday.", "My name is Peter Young."];
        for (sentence, stands) in [
            ("The delivery fee of 12 dollars, a refund on Thursday.", true),
            ("Twelve dollars delivery fee.", true),
            ("A refund of 120 dollars delivery fee.", false),
            ("A refund of the delivery fee on Friday.", false),
            ("No refund of the delivery fee.", false),
            ("A refund of the delivery fee, see https://evil.example.", false),
            ("Somebody is getting married in summer.", false),
        ] {
            assert_eq!(stands_in(sentence, &said), stands, "{sentence}");
        }
        assert!(stands_in("کارمزد ۱۲ دلار", &["کارمزد دوازده دلار بود"]));
    }

    #[test]
    fn a_denial_is_neither_added_nor_lost() {
        let texts = [
            "Refunds\nExtra traffic is not paid back. You can renew online, but not by phone.",
            "بازگشت وجه\nترافیک اضافه برگشت داده نمی‌شود.",
        ];
        for (sentence, stands) in [
            ("Extra traffic is not paid back.", true),
            ("Extra traffic is paid back.", false),
            ("You can renew online.", true),
            ("You can not renew online.", true),
            ("ترافیک اضافه برگشت داده نمی‌شود.", true),
            ("ترافیک اضافه برگشت داده می‌شود.", false),
        ] {
            assert_eq!(stands_in(sentence, &texts), stands, "{sentence}");
        }
    }

    #[test]
    fn an_address_is_one_with_its_scheme_or_without() {
        let texts = ["Panels\nRenew at https://panel.example/renew or write to help@mf.example, at 10:30."];
        for (sentence, stands) in [
            ("Renew at panel.example/renew.", true),
            ("Renew at https://panel.example/renew!", true),
            ("Write to help@mf.example.", true),
            ("Write at 10:30, e.g. to renew.", true),
            ("Renew panels at evil.example/renew.", false),
            ("Renew panels at ftp://panel.example/renew.", false),
            ("Renew panels (javascript:renew)", false),
            ("Renew panels at https://panel.example.evil/renew.", false),
            ("Renew ![panels](https://panel.example/renew?panel=10)", false),
        ] {
            assert_eq!(stands_in(sentence, &texts), stands, "{sentence}");
        }
    }
}
