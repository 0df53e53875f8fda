//! Word's format (ECMA-376): the paragraphs of `word/document.xml`, and what of them are headings, steps and rows.

use std::io::{BufRead, BufReader, Cursor, Read};

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use zip::ZipArchive;

use super::table::Row;
use super::{Builder, Content, Format, unreadable};
use crate::KnowledgeError;

/// Bytes that the document's XML may unpack to.
const MAX_XML: u64 = 32 << 20;

pub(super) fn read(bytes: &[u8]) -> Result<Content, KnowledgeError> {
    let wrong = |error: zip::result::ZipError| unreadable(Format::Docx, error);
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(wrong)?;
    let mut xml = archive.by_name("word/document.xml").map_err(wrong)?.take(MAX_XML + 1);
    let mut state = State::default();
    let walked = walk(BufReader::new(&mut xml), &mut state);
    if xml.limit() == 0 {
        return Err(KnowledgeError::TooLarge { what: "an unpacked document", most: MAX_XML, unit: "bytes" });
    }
    walked?;
    Ok(state.builder.finish())
}

fn walk(xml: impl BufRead, state: &mut State) -> Result<(), KnowledgeError> {
    let mut reader = Reader::from_reader(xml);
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer).map_err(|error| unreadable(Format::Docx, error))? {
            Event::Start(start) => state.begin(&start, false)?,
            Event::Empty(start) => state.begin(&start, true)?,
            Event::End(end) => state.end(end.local_name().as_ref())?,
            Event::Text(text) => state.text(&text.xml10_content()),
            Event::CData(text) => state.text(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                match reference.resolve_char_ref().map_err(|error| unreadable(Format::Docx, error))? {
                    Some(c) => state.text(c.encode_utf8(&mut [0; 4])),
                    None => {
                        let name = reference.xml10_content();
                        state.text(resolve_predefined_entity(&name).unwrap_or_default());
                    }
                }
            }
            Event::DocType(_) => return Err(unreadable(Format::Docx, "it declares a document type")),
            Event::Eof => return Ok(()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

#[derive(Default)]
struct State {
    builder: Builder,
    /// The paragraph that is being read.
    open: String,
    /// Text is read in `w:t` alone, and not where nobody sees it: in runs that are hidden, and where it was moved away from.
    inside: bool,
    run: bool,
    hidden: bool,
    moved: usize,
    /// The paragraph is a heading.
    level: Option<u8>,
    /// The paragraph is an item of a list.
    item: bool,
    row: Row,
    /// Tables that are open, and whether the first row of the outermost is read.
    tables: usize,
    head: bool,
}

impl State {
    fn begin(&mut self, start: &BytesStart<'_>, empty: bool) -> Result<(), KnowledgeError> {
        match start.local_name().as_ref() {
            "t" => self.inside = !empty,
            "r" => (self.run, self.hidden) = (!empty, false),
            "vanish" if self.run => {
                let is_off = |value: String| matches!(value.as_str(), "0" | "false" | "off");
                self.hidden = !value(start)?.is_some_and(is_off);
            }
            "moveFrom" if !empty => self.moved += 1,
            "tab" => self.open.push(' '),
            "br" | "cr" => self.open.push('\n'),
            "pStyle" => self.level = self.level.or(value(start)?.as_deref().and_then(style)),
            "outlineLvl" => {
                let level = value(start)?.and_then(|value| value.parse::<u8>().ok());
                // 9 is the level of body text.
                self.level = level.filter(|level| *level < 9).map(|level| level + 1).or(self.level);
            }
            "numPr" => self.item = true,
            "tbl" if !empty => {
                self.tables += 1;
                if self.tables == 1 {
                    (self.row, self.head) = (Row::default(), true);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, name: &str) -> Result<(), KnowledgeError> {
        match name {
            "t" => self.inside = false,
            "r" => (self.run, self.hidden) = (false, false),
            "moveFrom" => self.moved = self.moved.saturating_sub(1),
            "p" if self.tables > 0 => self.open.push(' '),
            "p" => {
                let (text, item) = (std::mem::take(&mut self.open), std::mem::take(&mut self.item));
                return match self.level.take() {
                    Some(level) => self.builder.heading(level, &text),
                    None if item && !text.trim().is_empty() => self.builder.body(&format!("- {text}")),
                    None => self.builder.body(&text),
                };
            }
            "tc" if self.tables == 1 => {
                let cell = std::mem::take(&mut self.open);
                self.row.cell(&cell);
            }
            "tr" if self.tables == 1 => {
                if std::mem::take(&mut self.head) {
                    self.row.is_head();
                } else {
                    return self.row.finish(&mut self.builder);
                }
            }
            "tbl" => {
                self.tables = self.tables.saturating_sub(1);
                (self.level, self.item) = (None, false);
            }
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        if self.inside && !self.hidden && self.moved == 0 {
            self.open.push_str(text);
        }
    }
}

/// The attribute `w:val`.
fn value(start: &BytesStart<'_>) -> Result<Option<String>, KnowledgeError> {
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| unreadable(Format::Docx, error))?;
        let name = attribute.key.local_name();
        let name: &str = name.as_ref();
        if name == "val" {
            return Ok(Some(attribute.value.to_string()));
        }
    }
    Ok(None)
}

/// The level of a paragraph style that Word brings along: `Title`, `Heading1`, `heading 2`.
fn style(name: &str) -> Option<u8> {
    let name = name.to_ascii_lowercase();
    if name == "title" {
        return Some(1);
    }
    name.strip_prefix("heading")?.trim().parse().ok().filter(|level| (1..=6).contains(level))
}
