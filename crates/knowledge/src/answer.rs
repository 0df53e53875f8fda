//! The sentences of a passage: which of them answers a question, and whether what somebody says stands in them.

use std::collections::HashSet;
use std::ops::Range;

use crate::split::Passage;
use crate::words::Analyser;

/// The sentences of a text, in bytes, without the space around them. A line's end ends one, and so does a full stop
/// with a space behind it, unless it stands behind the number of a list's item.
#[must_use]
pub fn sentences(text: &str) -> Vec<Range<usize>> {
    let ends = |c: char| matches!(c, '.' | '!' | '?' | '؟' | '…' | '۔' | '。');
    let mut out = Vec::new();
    let (mut start, mut before) = (0, ' ');
    for (at, c) in text.char_indices() {
        let is_number = || text[start..at].trim().trim_end_matches('.').chars().all(char::is_numeric);
        if c == '\n' || (c.is_whitespace() && ends(before) && !is_number()) {
            out.extend(trimmed(text, start..at));
            start = at;
        }
        before = c;
    }
    out.extend(trimmed(text, start..text.len()));
    out
}

fn trimmed(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let part = text.get(range.clone())?;
    let start = range.start + (part.len() - part.trim_start().len());
    let end = start + part.trim().len();
    part.chars().any(char::is_alphanumeric).then_some(start..end)
}

/// The part of a passage's text that answers a question, in bytes: the sentence that has most of the question's words
/// which its headings do not have already, the first of several, or what follows it where it only asks; all of a list's
/// items where the question asks for none of them in particular.
#[must_use]
pub fn answering(question: &str, title: &str, passage: &Passage) -> Range<usize> {
    let analyser = Analyser::new();
    let above: HashSet<String> = terms(&analyser, &passage.above(title));
    let asked = analyser.meaningful(question).into_iter().map(|word| word.term);
    let asked: Vec<String> = asked.filter(|term| !above.contains(term)).collect();
    let all = sentences(&passage.text);
    let has = |sentence: &Range<usize>| {
        let own = terms(&analyser, &passage.text[sentence.clone()]);
        asked.iter().filter(|term| own.contains(*term)).count()
    };
    let mut best: Option<(usize, usize)> = None;
    for (n, sentence) in all.iter().enumerate() {
        let has = has(sentence);
        if best.is_none_or(|(_, most)| has > most) {
            best = Some((n, has));
        }
    }
    let Some((asks, has)) = best else { return 0..passage.text.len() };
    let is_question = passage.text[all[asks].clone()].ends_with(['?', '؟']) && asks + 1 < all.len();
    let best = asks + usize::from(is_question);
    let is_item = |n: &usize| all.get(*n).is_some_and(|one| is_item(&passage.text[one.clone()]));
    let whole_list = has == 0 || is_question;
    let last = if whole_list { (best..).take_while(is_item).last().unwrap_or(best) } else { best };
    all[best].start..all[last].end
}

/// True for an item of a numbered list: "1. Open the panel."
fn is_item(line: &str) -> bool {
    let rest = line.trim_start_matches(char::is_numeric);
    rest.len() < line.len() && rest.starts_with(['.', ')'])
}

/// The share of a text's meaningful words, by their stems, that stand in others; 1 where it has none.
#[must_use]
pub fn share_in(text: &str, others: &[&str]) -> f32 {
    let analyser = Analyser::new();
    let known: HashSet<String> = others.iter().flat_map(|other| terms(&analyser, other)).collect();
    let words = analyser.meaningful(text);
    let there = words.iter().filter(|word| known.contains(&word.term)).count();
    if words.is_empty() { 1.0 } else { there as f32 / words.len() as f32 }
}

fn terms(analyser: &Analyser, text: &str) -> HashSet<String> {
    analyser.words(text).into_iter().map(|word| word.term).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        sentences(text).into_iter().map(|range| &text[range]).collect()
    }

    fn passage(section: &str, text: &str) -> Passage {
        Passage {
            section: vec![section.to_owned()],
            text: text.to_owned(),
            range: 0..text.len(),
            language: "en".to_owned(),
            hash: [0; 32],
        }
    }

    #[test]
    fn a_text_is_cut_where_sentences_and_lines_end() {
        assert_eq!(
            cut("It costs 2.50 euros. Always!\n\n – \nReally?"),
            ["It costs 2.50 euros.", "Always!", "Really?"]
        );
        assert_eq!(cut("1. Open it. Wait.\n۲. ببندید؟ بله."), ["1. Open it.", "Wait.", "۲. ببندید؟", "بله."]);
        assert_eq!(cut(" . "), [] as [&str; 0]);
    }

    #[test]
    fn the_sentence_that_answers_is_found() {
        let answer = |question: &str, section: &str, text: &'static str| -> &'static str {
            &text[answering(question, "Refunds", &passage(section, text))]
        };
        let when = "A package is refunded within 72 hours of payment. After that the days are credited.";
        assert_eq!(
            answer("what about days that are credited?", "When", when),
            "After that the days are credited."
        );
        let long = "Three working days, to the same card. Weekends do not count.";
        let question = "How long does a refund take?";
        assert_eq!(answer(question, question, long), "Three working days, to the same card.");
        let steps = "1. Open “Payments”.\n2. Press “Refund”.\n3. Wait.";
        assert_eq!(answer("How do I ask for a refund?", "How to ask for a refund", steps), steps);
        assert_eq!(answer("what happens when I press it?", "How to ask", steps), "2. Press “Refund”.");
        assert_eq!(answer("why", "Why", "—"), "—");
        let asked = "What does it cost? Ten pounds. Is it far? No.";
        assert_eq!(answer("what is the cost", "Prices", asked), "Ten pounds.");
    }

    #[test]
    fn what_stands_in_others_is_counted_by_stems() {
        assert!(share_in("Refunds take three days.", &["A refund takes three working days."]) > 0.99);
        assert!(share_in("Your account was hacked.", &["A refund takes three working days."]) < 0.01);
        assert!(share_in("کتاب‌ها رایگان است", &["کتابها رایگان هستند"]) > 0.99);
    }

    proptest! {
        #[test]
        fn sentences_are_in_order_and_hold_all_letters(text in "(\\PC|[.!?؟\n 1]){0,80}") {
            let ranges = sentences(&text);
            prop_assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start));
            let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).count();
            prop_assert_eq!(ranges.iter().map(|range| letters(&text[range.clone()])).sum::<usize>(), letters(&text));
            let range = answering(&text, "", &passage("", &text));
            prop_assert!(text.get(range).is_some());
        }
    }
}
