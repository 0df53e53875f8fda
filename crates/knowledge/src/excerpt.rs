//! What of a passage is shown to somebody who has no time: the sentence that answers, and what stands around it.

use std::collections::HashSet;
use std::ops::Range;

use crate::index::{CONTEXT_SHARE, Query};
use crate::words::Analyser;

/// A stretch of a passage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// Whole sentences of the passage.
    pub text: String,
    /// The characters (Unicode scalar values) of the text that most likely answer; none where no sentence has a word of the
    /// question.
    pub answer: Option<Range<usize>>,
}

impl Excerpt {
    /// Of a passage that was found for a query: the sentence that has most of the query's words, counted by how much each
    /// tells it from the passage's other sentences, and as many around it as `most` characters have room for. One longer
    /// sentence stays whole.
    #[must_use]
    pub fn of(passage: &str, query: &Query<'_>, most: usize) -> Self {
        let sentences = parts(passage, is_end);
        let answer = answering(passage, &sentences, query);
        let (mut first, mut last) = (answer.unwrap_or(0), answer.unwrap_or(0));
        let length = |first: usize, last: usize| {
            let (first, last) = (sentences.get(first)?, sentences.get(last)?);
            Some(passage[first.start..last.end].chars().count())
        };
        let has_room = |first: usize, last: usize| length(first, last).is_some_and(|length| length <= most);
        loop {
            if has_room(first, last + 1) {
                last += 1;
            } else if first > 0 && has_room(first - 1, last) {
                first -= 1;
            } else {
                break;
            }
        }
        let Some((begin, end)) = sentences.get(first).zip(sentences.get(last)) else {
            return Self { text: passage.trim().to_owned(), answer: None };
        };
        let chars = |range: Range<usize>| passage[range].chars().count();
        let answer = answer.and_then(|answer| sentences.get(answer)).map(|answer| {
            let before = chars(begin.start..answer.start);
            before..before + chars(answer.clone())
        });
        Self { text: passage[begin.start..end.end].to_owned(), answer }
    }
}

/// The sentence that answers, by its place.
fn answering(passage: &str, sentences: &[Range<usize>], query: &Query<'_>) -> Option<usize> {
    let analyser = Analyser::new();
    let terms = |text: &str| -> HashSet<String> {
        analyser.meaningful(text).into_iter().map(|word| word.term).collect()
    };
    let asked = terms(query.text);
    let before: HashSet<String> = query.context.iter().flat_map(|turn| terms(turn)).collect();
    let of: Vec<HashSet<String>> = sentences
        .iter()
        .map(|range| analyser.words(&passage[range.clone()]).into_iter().map(|word| word.term).collect())
        .collect();
    let worth = |term: &String| {
        let among = of.iter().filter(|terms| terms.contains(term)).count();
        (1.0 + of.len() as f32 / among.max(1) as f32).ln()
    };
    let score = |terms: &HashSet<String>| -> f32 {
        let said = asked.iter().filter(|term| terms.contains(*term)).map(worth).sum::<f32>();
        let meant = before.difference(&asked).filter(|term| terms.contains(*term)).map(worth).sum::<f32>();
        said + CONTEXT_SHARE * meant
    };
    let mut best: Option<(usize, f32)> = None;
    for (place, score) in of.iter().map(score).enumerate() {
        if score > best.map_or(0.0, |(_, best)| best) {
            best = Some((place, score));
        }
    }
    let (place, _) = best?;
    // Where the question itself is written down, what follows answers it.
    let is_question = passage[sentences[place].clone()].ends_with(['?', '؟']);
    Some(if is_question && place + 1 < sentences.len() { place + 1 } else { place })
}

/// Ends a sentence.
pub(crate) fn is_end(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '؟' | '…' | '۔' | '。')
}

/// The parts of a text, without the spaces around them. A part ends with its line, and with a sign for which `ends` is
/// true before a space; a full stop in a number, or behind one that counts (“2. Open …”), ends nothing.
pub(crate) fn parts(text: &str, ends: fn(char) -> bool) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let mut begin = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let (end, next) = (at + c.len_utf8(), chars.peek().map(|(_, next)| *next));
        let so_far = text[begin..at].trim();
        let counts = !so_far.is_empty() && so_far.chars().all(char::is_numeric);
        let is_over = c == '\n' || ends(c) && next.is_none_or(char::is_whitespace) && !counts;
        if !is_over && next.is_some() {
            continue;
        }
        let part = &text[begin..end];
        let start = end - part.trim_start().len();
        if !part.trim().is_empty() {
            out.push(start..start + part.trim().len());
        }
        begin = end;
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PASSAGE: &str = "A panel runs for 30 days. Renewed before its last day, it keeps what is left.\n1. Open \
        “My panels”.\n2. Press “Renew” and pay 2.50 dollars.";

    fn marked(passage: &str, text: &str, context: &[&str], most: usize) -> (String, Option<String>) {
        let Excerpt { text, answer } =
            Excerpt::of(passage, &Query { text, context, ..Query::default() }, most);
        let marked = answer.map(|range| text.chars().skip(range.start).take(range.len()).collect());
        (text, marked)
    }

    #[test]
    fn the_sentence_with_most_of_the_question_is_marked() {
        let answer = |text: &str, context: &[&str]| marked(PASSAGE, text, context, 1_000).1;
        let whole = marked(PASSAGE, "How long does a panel run?", &[], 1_000);
        assert_eq!(whole.0, PASSAGE);
        assert_eq!(whole.1.as_deref(), Some("A panel runs for 30 days."));
        let paid = "2. Press “Renew” and pay 2.50 dollars.";
        assert_eq!(answer("How many dollars do I pay?", &[]).as_deref(), Some(paid));
        assert_eq!(answer("And how is it done?", &["I want to pay."]).as_deref(), Some(paid));
        assert_eq!(answer("zebra", &[]), None);
        let persian = "پنل سی روز فعال است. تمدید از «پنل‌های من» انجام می‌شود.";
        let answer = marked(persian, "چطور پنلم رو تمدید کنم؟", &[], 1_000).1;
        assert_eq!(answer.as_deref(), Some("تمدید از «پنل‌های من» انجام می‌شود."));
    }

    #[test]
    fn what_follows_a_question_answers_it() {
        let row = "How long does a refund take?\nThree working days.";
        assert_eq!(
            marked(row, "How long is the refund?", &[], 1_000).1.as_deref(),
            Some("Three working days.")
        );
        assert_eq!(marked("A refund?", "refund", &[], 1_000).1.as_deref(), Some("A refund?"));
    }

    #[test]
    fn sentences_around_the_answer_are_shown_as_far_as_there_is_room() {
        let (text, answer) = marked(PASSAGE, "what is kept of the days left", &[], 60);
        assert_eq!(text, "Renewed before its last day, it keeps what is left.");
        assert_eq!(answer.as_deref(), Some(text.as_str()));
        let (text, _) = marked(PASSAGE, "dollars", &[], 60);
        assert_eq!(text, "1. Open “My panels”.\n2. Press “Renew” and pay 2.50 dollars.");
        let long = "word ".repeat(100);
        assert_eq!(marked(&long, "word", &[], 10).0, long.trim());
        assert_eq!(marked("", "word", &[], 10), (String::new(), None));
    }

    proptest! {
        #[test]
        fn any_passage_has_an_excerpt(passage in "\\PC{0,200}", text in "\\PC{0,40}", most in 0usize..100) {
            let Excerpt { text, answer } =
                Excerpt::of(&passage, &Query { text: &text, ..Query::default() }, most);
            prop_assert!(passage.contains(&text));
            prop_assert!(answer.is_none_or(|range| range.end <= text.chars().count()));
        }

        #[test]
        fn parts_are_all_of_the_words(text in "[a-z0-9 .?!\\n]{0,80}") {
            let parts = parts(&text, is_end);
            prop_assert!(parts.windows(2).all(|two| two[0].end <= two[1].start));
            let joined: String = parts.iter().map(|part| &text[part.clone()]).collect();
            let words = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(words(&joined), words(&text));
        }
    }
}
