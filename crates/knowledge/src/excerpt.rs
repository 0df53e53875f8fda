//! What of a passage is shown to somebody who has no time: the sentence that answers, and what stands around it.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::index::{CONTEXT_SHARE, Query};
use crate::pathway::numbered;
use crate::split::Passage;
use crate::words::Analyser;

/// A stretch of a passage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// Whole sentences of the passage.
    pub text: String,
    /// The characters (Unicode scalar values) of the text that most likely answer; none where neither a sentence nor a heading
    /// has a word of the question.
    pub answer: Option<Range<usize>>,
}

impl Excerpt {
    /// Of a passage that was found for a query, in a document of this title: the sentence that answers, and as many around it
    /// as `most` characters have room for. One longer sentence stays whole.
    ///
    /// That sentence has most of the query's words which the headings do not have already, counted by how much each tells it
    /// from the passage's other sentences; it is the first one where the headings have all that is there of the query, and
    /// what follows where it only asks. Of a numbered list that begins so, all items answer for which there is room.
    #[must_use]
    pub fn of(passage: &Passage, title: &str, query: &Query<'_>, most: usize) -> Self {
        let whole = passage.text.as_str();
        let sentences = sentences(whole);
        let length = |first: usize, last: usize| {
            let (first, last) = (sentences.get(first)?, sentences.get(last)?);
            Some(whole[first.start..last.end].chars().count())
        };
        let has_room = |first: usize, last: usize| length(first, last).is_some_and(|length| length <= most);
        let answer = answering(passage, title, &sentences, query).map(|(first, last)| {
            let last = (first..=last).rev().find(|last| has_room(first, *last)).unwrap_or(first);
            (first, last)
        });
        let (mut first, mut last) = answer.unwrap_or_default();
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
            return Self { text: whole.trim().to_owned(), answer: None };
        };
        let chars = |range: Range<usize>| whole[range].chars().count();
        let answer = answer.and_then(|(first, last)| sentences.get(first).zip(sentences.get(last)));
        let answer = answer.map(|(first, last)| {
            let before = chars(begin.start..first.start);
            before..before + chars(first.start..last.end)
        });
        Self { text: whole[begin.start..end.end].to_owned(), answer }
    }

    /// The words that answer; all of them where it is not known which do.
    #[must_use]
    pub fn answering(&self) -> String {
        match &self.answer {
            Some(range) => self.text.chars().skip(range.start).take(range.len()).collect(),
            None => self.text.clone(),
        }
    }
}

/// The sentences that answer, by the places of the first and the last.
fn answering(
    passage: &Passage,
    title: &str,
    sentences: &[Range<usize>],
    query: &Query<'_>,
) -> Option<(usize, usize)> {
    let analyser = Analyser::new();
    let meaning = |text: &str| -> BTreeSet<String> {
        analyser.meaningful(text).into_iter().map(|word| word.term).collect()
    };
    let terms =
        |text: &str| -> BTreeSet<String> { analyser.words(text).into_iter().map(|word| word.term).collect() };
    let sentence = |place: usize| sentences.get(place).map_or("", |range| &passage.text[range.clone()]);
    // What stands above all sentences tells none of them from the others.
    let above = terms(&passage.above(title));
    let said = meaning(query.text);
    let asked: BTreeSet<&String> = said.difference(&above).collect();
    let before: BTreeSet<String> = query.context.iter().flat_map(|turn| meaning(turn)).collect();
    let is_new = |term: &&String| !said.contains(*term) && !above.contains(*term);
    let before: Vec<&String> = before.iter().filter(is_new).collect();
    let of: Vec<BTreeSet<String>> = (0..sentences.len()).map(|place| terms(sentence(place))).collect();
    let worth = |term: &String| {
        let among = of.iter().filter(|terms| terms.contains(term)).count();
        (1.0 + of.len() as f32 / among.max(1) as f32).ln()
    };
    let score = |terms: &BTreeSet<String>| -> f32 {
        let has = |term: &&String| terms.contains(*term);
        let asked: f32 = asked.iter().copied().filter(has).map(worth).sum();
        let meant: f32 = before.iter().copied().filter(has).map(worth).sum();
        asked + CONTEXT_SHARE * meant
    };
    let mut best: Option<(usize, f32)> = None;
    for (place, score) in of.iter().map(score).enumerate() {
        if score > best.map_or(0.0, |(_, best)| best) {
            best = Some((place, score));
        }
    }
    let by_headings = best.is_none() && !sentences.is_empty() && !said.is_disjoint(&above);
    let place = best.map(|(place, _)| place).or(by_headings.then_some(0))?;
    // Where the question itself is written down, what follows answers it.
    let asks = place + 1 < sentences.len() && sentence(place).ends_with(['?', '؟']);
    let first = place + usize::from(asks);
    let items = (first..sentences.len()).take_while(|place| numbered(sentence(*place)).is_some());
    let last = if by_headings || asks { items.last().unwrap_or(first) } else { first };
    Some((first, last))
}

/// The sentences of a text, in bytes, without the spaces around them. A line's end ends one too.
#[must_use]
pub fn sentences(text: &str) -> Vec<Range<usize>> {
    parts(text, is_end)
}

/// The parts of sentences that commas and the like part, in bytes, without the spaces around them.
#[must_use]
pub fn clauses(text: &str) -> Vec<Range<usize>> {
    parts(text, |c| is_end(c) || matches!(c, ',' | '،' | ';' | '؛'))
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

    fn under(headings: &[&str], text: &str) -> Passage {
        Passage {
            section: headings.iter().map(|heading| (*heading).to_owned()).collect(),
            text: text.to_owned(),
            range: 0..text.len(),
            language: "en".to_owned(),
            hash: [0; 32],
        }
    }

    fn marked(passage: &str, text: &str, context: &[&str], most: usize) -> (String, Option<String>) {
        let query = Query { text, context, ..Query::default() };
        let excerpt = Excerpt::of(&under(&[], passage), "", &query, most);
        let marked = excerpt.answer.is_some().then(|| excerpt.answering());
        (excerpt.text, marked)
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
    fn words_that_stand_above_all_sentences_tell_none_from_the_others() {
        let answer = |text: &str, heading: &str, passage: &str, most: usize| {
            let query = Query { text, ..Query::default() };
            Excerpt::of(&under(&[heading], passage), "Refunds", &query, most).answering()
        };
        let when = "A package is refunded within 72 hours of payment. After that the days are credited.";
        let credited = "After that the days are credited.";
        assert_eq!(answer("what about days that are credited?", "When", when, 1_000), credited);
        let question = "How long does a refund take?";
        let long = "Three working days, to the same card. The refund team answers.";
        assert_eq!(answer(question, question, long, 1_000), "Three working days, to the same card.");
        let steps = "1. Open “Payments”.\n2. Press “Refund”.\n3. Wait.";
        let (how, heading) = ("How do I ask for a refund?", "How to ask for a refund");
        assert_eq!(answer(how, heading, steps, 1_000), steps);
        assert_eq!(answer(how, heading, steps, 40), "1. Open “Payments”.\n2. Press “Refund”.");
        assert_eq!(answer("what happens when I press it?", "How to ask", steps, 1_000), "2. Press “Refund”.");
        assert_eq!(answer("Where are refunds?", "Where", "3.5 days. Sometimes.", 1_000), "3.5 days.");
        let asked = "What does it cost? Ten pounds. Is it far? No.";
        assert_eq!(answer("what is the cost", "Prices", asked, 1_000), "Ten pounds.");
        assert_eq!(answer("zebra", "Prices", asked, 30), "What does it cost? Ten pounds.");
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
        fn any_passage_has_an_excerpt(
            passage in "(\\PC|[.!?؟\n 1]){0,200}",
            heading in "\\PC{0,20}",
            text in "\\PC{0,40}",
            most in 0usize..100,
        ) {
            let query = Query { text: &text, ..Query::default() };
            let excerpt = Excerpt::of(&under(&[&heading], &passage), "", &query, most);
            prop_assert!(passage.contains(&excerpt.text) && excerpt.text.contains(&excerpt.answering()));
            prop_assert!(excerpt.answer.is_none_or(|range| range.end <= excerpt.text.chars().count()));
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
