//! Passages: as much of a document as answers one question, cut where the document's own structure cuts.
//!
//! A section is one passage if it is short enough, else as many as it takes; paragraphs are cut only when one alone
//! is too long, then behind a sentence. Nothing is left out and nothing is in two passages.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::source::{Content, Part};

/// Characters (Unicode scalar values) of a passage: about as many as the embedding reads of it.
pub const MAX_PASSAGE: usize = 1_200;

/// Passages that come of a document that was [`read`](crate::read), at most: two for every heading or question, and two
/// for every 600 bytes of text.
pub const MAX_PASSAGES: usize = 70_000;

/// A stretch of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    /// The headings that it stands under, the highest first.
    pub section: Vec<String>,
    /// Its words, as they are in the document.
    pub text: String,
    /// Bytes of the document's text ([`crate::Document::text`]) that it is.
    pub range: Range<usize>,
    /// `en` or `fa`, by its letters; empty for others.
    pub language: String,
    /// SHA-256 of all that its vector is made from.
    pub hash: [u8; 32],
}

impl Passage {
    /// What is embedded, and what words are looked for in: the passage under its title and headings.
    ///
    /// The title in front is worth much: most passages do not repeat what they are about.
    #[must_use]
    pub fn in_context(&self, title: &str) -> String {
        in_context(title, &self.section, &self.text)
    }

    /// The title and the headings that it stands under, as one line.
    #[must_use]
    pub fn above(&self, title: &str) -> String {
        above(title, &self.section)
    }
}

fn above(title: &str, section: &[String]) -> String {
    let mut out = title.to_owned();
    for heading in section.iter().filter(|heading| *heading != title) {
        if !out.is_empty() {
            out.push_str(" › ");
        }
        out.push_str(heading);
    }
    out
}

fn in_context(title: &str, section: &[String], text: &str) -> String {
    let mut out = above(title, section);
    // A heading with nothing under it is its own passage.
    if section.last().is_none_or(|last| last != text) {
        if !out.is_empty() {
            out.push_str(": ");
        }
        out.push_str(text);
    }
    out
}

/// A document's text, and the passages that it is cut into.
pub(crate) fn split(title: &str, content: &Content) -> (String, Vec<Passage>) {
    let mut splitter =
        Splitter { title, text: String::new(), passages: vec![], section: vec![], open: None, heading: None };
    for part in &content.parts {
        let begin = splitter.text.len() + usize::from(!splitter.text.is_empty());
        if part.level > 0 {
            splitter.close();
        }
        if part.is_heading() {
            splitter.under(part.level);
            splitter.append(&part.text);
            splitter.section.push((part.level, part.text.clone()));
            splitter.heading = Some(begin..splitter.text.len());
        } else {
            splitter.append(&part.text);
            splitter.heading = None;
            splitter.take(begin..splitter.text.len());
        }
        if part.level == Part::ALONE {
            splitter.close();
        }
    }
    splitter.close();
    splitter.under(1);
    (splitter.text, splitter.passages)
}

struct Splitter<'a> {
    title: &'a str,
    text: String,
    passages: Vec<Passage>,
    /// The headings that are open, with their levels.
    section: Vec<(u8, String)>,
    /// The passage that may still grow.
    open: Option<Range<usize>>,
    /// The heading that nothing stands under yet.
    heading: Option<Range<usize>>,
}

impl Splitter<'_> {
    fn append(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(text);
    }

    /// Headings of `level` and below are over. One that had nothing under it is a passage itself.
    fn under(&mut self, level: u8) {
        let empty = self.section.last().is_some_and(|(last, _)| *last >= level);
        if let Some(heading) = self.heading.take().filter(|_| empty) {
            self.push(heading);
        }
        self.section.retain(|(one, _)| *one < level);
    }

    /// A paragraph joins the passage before it, if both together are short enough.
    fn take(&mut self, paragraph: Range<usize>) {
        if let Some(open) = &mut self.open {
            if chars(&self.text[open.start..paragraph.end]) <= MAX_PASSAGE {
                open.end = paragraph.end;
                return;
            }
            self.close();
        }
        let mut rest = paragraph;
        while let Some(cut) = cut(&self.text[rest.clone()]) {
            self.push(rest.start..rest.start + cut);
            rest.start += cut;
        }
        self.open = Some(rest);
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            self.push(open);
        }
    }

    fn push(&mut self, range: Range<usize>) {
        let text = self.text[range.clone()].to_owned();
        let section: Vec<String> = self.section.iter().map(|(_, heading)| heading.clone()).collect();
        let hash = Sha256::digest(in_context(self.title, &section, &text)).into();
        let language = sotto_text::language(&text).to_owned();
        self.passages.push(Passage { section, text, range, language, hash });
    }
}

fn chars(text: &str) -> usize {
    // The bytes are more than enough in most cases, and counted in no time.
    if text.len() <= MAX_PASSAGE { text.len() } else { text.chars().count() }
}

/// Where to cut a text that is too long: behind a sentence in its second half, else between words, else anywhere.
/// None if it is short enough.
fn cut(text: &str) -> Option<usize> {
    let (limit, _) = text.char_indices().nth(MAX_PASSAGE)?;
    let half = limit / 2;
    let mut words = None;
    let mut previous = ' ';
    let mut sentences = None;
    for (at, c) in text[..limit].char_indices() {
        if c.is_whitespace() && at >= half {
            words = Some(at + c.len_utf8());
            if c == '\n' || matches!(previous, '.' | '!' | '?' | '؟' | '…' | '۔' | '。') {
                sentences = words;
            }
        }
        previous = c;
    }
    Some(sentences.or(words).unwrap_or(limit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::{Format, parse, read};

    fn content(parts: &[(u8, &str)]) -> Content {
        let parts = parts.iter().map(|(level, text)| Part { level: *level, text: (*text).to_owned() });
        Content { parts: parts.collect(), ..Content::default() }
    }

    #[test]
    fn a_section_is_a_passage_under_its_headings() {
        let content = content(&[
            (1, "Refunds"),
            (0, "Money goes back within 72 hours."),
            (2, "How"),
            (0, "1. Open the panel."),
            (0, "2. Press refund."),
            (2, "When not"),
            (1, "Prices"),
            (0, "ده دلار در ماه"),
        ]);
        let (text, passages) = split("Help", &content);
        let seen: Vec<(String, &str)> =
            passages.iter().map(|passage| (passage.section.join("/"), passage.text.as_str())).collect();
        assert_eq!(
            seen,
            [
                ("Refunds".to_owned(), "Money goes back within 72 hours."),
                ("Refunds/How".to_owned(), "1. Open the panel.\n2. Press refund."),
                ("Refunds/When not".to_owned(), "When not"),
                ("Prices".to_owned(), "ده دلار در ماه"),
            ]
        );
        assert_eq!(
            passages[1].in_context("Help"),
            "Help › Refunds › How: 1. Open the panel.\n2. Press refund."
        );
        assert_eq!(passages[2].in_context("Help"), "Help › Refunds › When not");
        assert_eq!((passages[0].language.as_str(), passages[3].language.as_str()), ("en", "fa"));
        assert!(passages.iter().all(|passage| text[passage.range.clone()] == passage.text));
    }

    #[test]
    fn what_stands_alone_is_a_passage_and_what_follows_is_none_of_it() {
        let content = content(&[
            (1, "Help"),
            (0, "Before."),
            (Part::ALONE, "One?\nYes."),
            (Part::ALONE, "Two?\nNo."),
            (0, "After."),
        ]);
        let (_, passages) = split("", &content);
        let seen: Vec<&str> = passages.iter().map(|passage| passage.text.as_str()).collect();
        assert_eq!(seen, ["Before.", "One?\nYes.", "Two?\nNo.", "After."]);
        assert!(passages.iter().all(|passage| passage.section == ["Help"]));
    }

    #[test]
    fn a_long_paragraph_is_cut_behind_sentences() {
        let sentence = "The panel shows how much traffic is left. ";
        let (_, passages) = split("", &content(&[(0, sentence.repeat(100).trim())]));
        assert!(passages.len() > 3);
        for passage in &passages {
            assert!(passage.text.chars().count() <= MAX_PASSAGE && passage.text.starts_with("The panel"));
        }
    }

    #[test]
    fn the_hash_is_that_of_what_is_embedded() {
        let hash = |title: &str, text: &str| split(title, &content(&[(0, text)])).1[0].hash;
        assert_eq!(hash("a", "x"), hash("a", "x"));
        assert_ne!(hash("a", "x"), hash("b", "x"));
        assert_ne!(hash("a", "x"), hash("a", "y"));
    }

    #[test]
    fn the_passages_of_the_largest_document_are_counted() {
        // As many headings as are read, every other with text; then as many short passages as cuts can make.
        let text = format!(
            "{}{}",
            "# a\n# b\nc\n".repeat(10_000),
            format!("{}\n\nd\n\n", "x".repeat(1_199)).repeat(6_000)
        );
        let content = read(Format::Markdown, text.as_bytes()).unwrap();
        let (_, passages) = split(&content.title, &content);
        assert!((30_000..=MAX_PASSAGES).contains(&passages.len()), "{}", passages.len());
    }

    proptest! {
        #[test]
        fn passages_are_the_text_in_order_without_gaps(
            parts in proptest::collection::vec((0u8..=Part::ALONE, "[ -~آ-ی\u{200c}\\n]{1,40}"), 0..40),
            repeated in 0usize..80,
        ) {
            let parts: Vec<Part> = parts
                .into_iter()
                .map(|(level, text)| Part { level, text: if level == 0 { text.repeat(repeated + 1) } else { text } })
                .collect();
            let content = Content { parts, ..Content::default() };
            let (text, passages) = split("title", &content);
            let mut at = 0;
            let mut covered = vec![false; text.len()];
            for passage in &passages {
                prop_assert!(passage.range.start >= at);
                prop_assert_eq!(&text[passage.range.clone()], &passage.text);
                prop_assert!(passage.text.chars().count() <= MAX_PASSAGE);
                covered[passage.range.clone()].fill(true);
                at = passage.range.end;
            }
            // Only headings, and the line ends between parts, are in no passage; headings are above one.
            let mut at = 0;
            for part in &content.parts {
                let range = at..at + part.text.len();
                at = range.end + 1;
                let whole = covered[range].iter().all(|one| *one);
                let above = passages.iter().any(|passage| passage.section.contains(&part.text));
                prop_assert!(whole || part.is_heading() && above);
            }
        }

        #[test]
        fn any_file_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..2_000), which in 0..5usize) {
            if let Ok(content) = parse(Format::ALL[which], &bytes) {
                let (text, passages) = split(&content.title, &content);
                prop_assert!(passages.iter().all(|passage| text[passage.range.clone()] == passage.text));
            }
        }

        #[test]
        fn any_text_is_read(text in "\\PC{0,400}", which in 0..5usize) {
            match parse(Format::ALL[which], text.as_bytes()) {
                Ok(content) => {
                    let (text, passages) = split(&content.title, &content);
                    prop_assert!(!text.is_empty() && !passages.is_empty());
                }
                // What stands in a table's head alone, or is none of the page's words.
                Err(error) => {
                    let why = error.to_string();
                    prop_assert!(Format::ALL[which] == Format::Json || why.contains("no text"), "{}", why);
                }
            }
        }
    }
}
