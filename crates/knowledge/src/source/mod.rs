//! Files of every kind to one form: a title, and parts in reading order.
//!
//! What comes in is hostile. Every reader is bounded in what it takes and in what it makes of it, and one that
//! panics has read nothing. What even that does not bound (a parser that needs a gigabyte, or for ever) is to be
//! read in a process of its own: [`Format::wants_process`].

mod docx;
mod html;
mod markdown;
mod pdf;
mod table;

use std::borrow::Cow;
use std::panic::catch_unwind;
use std::path::Path;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

use crate::KnowledgeError;
use crate::split::MAX_PASSAGE;

/// Bytes of text that are taken from one document.
pub const MAX_TEXT: usize = 8 << 20;
/// Parts of one document.
const MAX_PARTS: usize = 200_000;
/// Headings of one document, and parts that stand alone.
const MAX_SECTIONS: usize = 20_000;
/// Characters (Unicode scalar values) of a title and of a heading. A longer heading is text, a longer title is none.
pub const MAX_HEADING: usize = 300;

/// What a document's file is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// CommonMark with tables.
    Markdown,
    /// HTML of any age.
    Html,
    /// Paragraphs with empty lines between them.
    Plain,
    /// A table with a heading row, parted by commas, semicolons or tabulators.
    Csv,
    /// Objects with questions and answers, or any other.
    Json,
    /// Portable Document Format, with text in it: a scanned page has none.
    Pdf,
    /// Word's format since 2007.
    Docx,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Markdown, Self::Html, Self::Plain, Self::Csv, Self::Json, Self::Pdf, Self::Docx];

    /// By a file's extension; none where it is not known.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match extension.as_str() {
            "md" | "markdown" => Self::Markdown,
            "html" | "htm" | "xhtml" => Self::Html,
            "txt" | "text" => Self::Plain,
            "csv" | "tsv" => Self::Csv,
            "json" => Self::Json,
            "pdf" => Self::Pdf,
            "docx" => Self::Docx,
            _ => return None,
        })
    }

    /// Its name, as people know it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Markdown => "Markdown",
            Self::Html => "HTML",
            Self::Plain => "plain text",
            Self::Csv => "CSV",
            Self::Json => "JSON",
            Self::Pdf => "PDF",
            Self::Docx => "DOCX",
        }
    }

    /// Bytes that a file may have.
    #[must_use]
    pub fn max_bytes(self) -> u64 {
        match self {
            Self::Pdf | Self::Docx => 32 << 20,
            Self::Markdown | Self::Html | Self::Plain | Self::Csv | Self::Json => MAX_TEXT as u64,
        }
    }

    /// True where a hostile file may take more memory and time than its size lets one expect, which is so wherever
    /// there is something to parse. Such a file is read in a process with limits of its own.
    #[must_use]
    pub fn wants_process(self) -> bool {
        !matches!(self, Self::Plain)
    }
}

/// What stands in a document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Its title; empty where it names none.
    pub title: String,
    /// Headings and what stands under them, in reading order.
    pub parts: Vec<Part>,
    /// The pages that could not be read, from 1; what stands on them is in no part.
    pub missing: Vec<u32>,
}

/// A heading, a paragraph, a step, a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// 1 to 6 for headings, 1 being the highest; 0 for what may be one passage with what stands beside it, and
    /// [`Self::ALONE`] for what may not.
    pub level: u8,
    /// Its words.
    pub text: String,
}

impl Part {
    /// The level of what is a passage of its own, such as a question with its answer.
    pub const ALONE: u8 = 7;

    /// True for a heading.
    #[must_use]
    pub fn is_heading(&self) -> bool {
        (1..Self::ALONE).contains(&self.level)
    }
}

impl Content {
    /// A text without structure.
    #[must_use]
    pub fn plain(title: &str, text: &str) -> Self {
        let part = Part { level: 0, text: tidy(text) };
        let parts = if part.text.is_empty() { vec![] } else { vec![part] };
        Self { title: heading(title).unwrap_or_default(), parts, missing: vec![] }
    }

    fn unless_empty(self, format: Format) -> Result<Self, KnowledgeError> {
        if self.parts.is_empty() { Err(unreadable(format, "there is no text in it")) } else { Ok(self) }
    }
}

/// Reads a file.
///
/// # Errors
/// [`KnowledgeError::TooLarge`], and [`KnowledgeError::Unreadable`] for what is not of that format, is encrypted, or
/// has no text.
pub fn read(format: Format, bytes: &[u8]) -> Result<Content, KnowledgeError> {
    if bytes.len() as u64 > format.max_bytes() {
        return Err(KnowledgeError::TooLarge { what: "a file", most: format.max_bytes(), unit: "bytes" });
    }
    // Nothing that a reader has touched outlives its panic.
    catch_unwind(|| parse(format, bytes))
        .unwrap_or_else(|_| Err(unreadable(format, "its reader gave up on it")))
}

/// Reads a file by the reader of its format, which may panic.
pub(crate) fn parse(format: Format, bytes: &[u8]) -> Result<Content, KnowledgeError> {
    let content = match format {
        Format::Markdown => markdown::read(text(format, bytes)?),
        Format::Html => html::read(text(format, bytes)?),
        Format::Plain => plain(text(format, bytes)?),
        Format::Csv => table::csv(text(format, bytes)?),
        Format::Json => table::json(text(format, bytes)?),
        Format::Pdf => pdf::read(bytes),
        Format::Docx => docx::read(bytes),
    };
    content?.unless_empty(format)
}

fn unreadable(format: Format, why: impl ToString) -> KnowledgeError {
    KnowledgeError::Unreadable { format: format.name(), why: why.to_string() }
}

fn text(format: Format, bytes: &[u8]) -> Result<&str, KnowledgeError> {
    let text = std::str::from_utf8(bytes).map_err(|_| unreadable(format, "it is not UTF-8"))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

fn plain(text: &str) -> Result<Content, KnowledgeError> {
    let mut builder = Builder::default();
    paragraphs(&mut builder, text)?;
    Ok(builder.finish())
}

/// Paragraphs are parted by empty lines.
fn paragraphs(builder: &mut Builder, text: &str) -> Result<(), KnowledgeError> {
    let mut paragraph = String::new();
    for line in text.lines() {
        if line.trim().is_empty() {
            builder.body(&std::mem::take(&mut paragraph))?;
        } else {
            paragraph.push_str(line);
            paragraph.push('\n');
        }
    }
    builder.body(&paragraph)
}

/// Words with one space between them, lines that have any, and no control characters. Letters are letters, also where
/// a program has written the shape that one, or two together, have in print: "ﬁ", and the four of every Persian letter.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let text: Cow<'_, str> =
        if text.contains(is_shape) { text.chars().flat_map(letters).collect() } else { text.into() };
    for line in text.lines() {
        let begun = out.len();
        for word in line.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty())
        {
            if out.len() > begun {
                out.push(' ');
            } else if begun > 0 {
                out.push('\n');
            }
            out.push_str(word);
        }
    }
    out
}

/// True for Unicode's presentation forms. Other compatibility characters stay as they are: "m²" is not "m2".
fn is_shape(c: char) -> bool {
    matches!(c, '\u{fb00}'..='\u{fb06}' | '\u{fb50}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}')
}

/// The letters of a shape (its compatibility decomposition, composed), and every other character itself.
fn letters(c: char) -> impl Iterator<Item = char> {
    let (shape, other) = if is_shape(c) { (Some(c), None) } else { (None, Some(c)) };
    shape.into_iter().nfkc().chain(other)
}

/// One line of at most [`MAX_HEADING`] characters, or the line that is longer.
fn heading(text: &str) -> Result<String, String> {
    let line = tidy(text).replace('\n', " ");
    if line.chars().count() > MAX_HEADING { Err(line) } else { Ok(line) }
}

/// The lists that are open, each with the number of its next item; none where it has marks.
#[derive(Default)]
struct Lists(Vec<Option<u64>>);

impl Lists {
    fn begin(&mut self, first: Option<u64>) {
        self.0.push(first);
    }

    fn end(&mut self) {
        self.0.pop();
    }

    /// What stands before the next item of the innermost list.
    fn mark(&mut self) -> String {
        match self.0.last_mut() {
            Some(Some(number)) => {
                let mark = format!("{number}. ");
                *number = number.saturating_add(1);
                mark
            }
            _ => "- ".to_owned(),
        }
    }
}

/// Content that grows, within bounds.
#[derive(Default)]
struct Builder {
    content: Content,
    /// Bytes of the text, and of the headings above every passage of it.
    size: usize,
    sections: usize,
    /// Bytes of the open heading of every level.
    open: [usize; 6],
}

impl Builder {
    /// The title, if it is none yet.
    fn title(&mut self, text: &str) {
        if self.content.title.is_empty() {
            self.content.title = heading(text).unwrap_or_default();
        }
    }

    /// A heading of `level` 1 to 6.
    fn heading(&mut self, level: u8, text: &str) -> Result<(), KnowledgeError> {
        match heading(text) {
            Ok(line) => self.push(level.clamp(1, 6), line),
            Err(line) => self.push(0, line),
        }
    }

    fn body(&mut self, text: &str) -> Result<(), KnowledgeError> {
        self.push(0, tidy(text))
    }

    /// A question and its answer, which nothing joins.
    fn alone(&mut self, text: &str) -> Result<(), KnowledgeError> {
        self.push(Part::ALONE, tidy(text))
    }

    fn push(&mut self, level: u8, text: String) -> Result<(), KnowledgeError> {
        if text.is_empty() {
            return Ok(());
        }
        let too_large =
            |what, most: usize, unit| Err(KnowledgeError::TooLarge { what, most: most as u64, unit });
        self.sections += usize::from(level > 0);
        if (1..Part::ALONE).contains(&level) {
            let at = usize::from(level) - 1;
            self.open[at..].fill(0);
            self.open[at] = text.len();
        }
        // Every passage that comes of it has the headings above it.
        let above: usize = self.open.iter().sum();
        self.size += text.len() + 1 + above * (1 + text.len() / (MAX_PASSAGE / 2));
        if self.size > MAX_TEXT {
            return too_large("text, with the headings above it,", MAX_TEXT, "bytes");
        }
        if self.content.parts.len() >= MAX_PARTS {
            return too_large("a document", MAX_PARTS, "paragraphs");
        }
        if self.sections > MAX_SECTIONS {
            return too_large("a document", MAX_SECTIONS, "headings and questions");
        }
        self.content.parts.push(Part { level, text });
        Ok(())
    }

    /// A document without a title has that of the heading it begins with.
    fn finish(mut self) -> Content {
        if self.content.title.is_empty()
            && let Some(first) = self.content.parts.first().filter(|first| first.is_heading())
        {
            self.content.title = first.text.clone();
        }
        self.content
    }
}

#[cfg(test)]
mod tests;
