//! HTML, token by token and without a tree: what is nested in what costs nothing.
//!
//! The work grows with the square of the attributes that one tag has, since its tokenizer compares each with all
//! before it. It is to be called in a process with limits of its own.

use std::cell::RefCell;

use html5ever::LocalName;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

use super::table::Row;
use super::{Builder, Content, Lists};
use crate::KnowledgeError;

/// What these hold is not read: programs, drawings, and ways to other pages.
const HIDDEN: &str = "script style noscript template svg nav iframe object select";
/// These begin and end a paragraph.
const BLOCKS: &str = "p div section article main header footer aside address blockquote pre ul ol li dl dt dd figure \
    figcaption details summary form hr body";

pub(super) fn read(text: &str) -> Result<Content, KnowledgeError> {
    let queue = BufferQueue::default();
    queue.push_back(StrTendril::from_slice(text));
    let tokenizer = Tokenizer::new(Reader::default(), TokenizerOpts::default());
    // It stops early for a script to run only if the sink asks for that.
    let _ = tokenizer.feed(&queue);
    tokenizer.end();
    let mut page = tokenizer.sink.0.into_inner();
    page.paragraph();
    match page.failed {
        Some(error) => Err(error),
        None => Ok(page.builder.finish()),
    }
}

fn is_one_of(name: &str, names: &str) -> bool {
    names.split_ascii_whitespace().any(|one| one == name)
}

#[derive(Default)]
struct Reader(RefCell<Page>);

impl TokenSink for Reader {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut page = self.0.borrow_mut();
        match token {
            Token::CharacterTokens(text) => page.text(&text),
            Token::TagToken(tag) => return page.tag(&tag),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

#[derive(Default)]
struct Page {
    builder: Builder,
    /// The paragraph that is being read.
    open: String,
    /// The element whose content is not read, and how many of its name are open.
    hidden: Option<(LocalName, usize)>,
    lists: Lists,
    row: Row,
    /// Tables that are open, and whether a cell is: what begins a paragraph elsewhere is a space in it.
    tables: usize,
    inside: bool,
    /// Cells of the row are names of columns.
    names: bool,
    failed: Option<KnowledgeError>,
}

impl Page {
    fn text(&mut self, text: &str) {
        if self.hidden.is_none() && self.failed.is_none() {
            self.open.push_str(text);
        }
    }

    fn paragraph(&mut self) {
        // Lines of the source are no lines of the page.
        let open = std::mem::take(&mut self.open).replace(['\n', '\r'], " ").replace('\u{b}', "\n");
        let done = self.builder.body(&open);
        self.note(done);
    }

    fn note(&mut self, done: Result<(), KnowledgeError>) {
        if self.failed.is_none() {
            self.failed = done.err();
        }
    }

    fn tag(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name: &str = &tag.name;
        let begins = tag.kind == TagKind::StartTag;
        match &mut self.hidden {
            Some((hidden, depth)) if *hidden == tag.name => {
                match (begins, tag.self_closing) {
                    (true, true) => {}
                    (true, false) => *depth += 1,
                    (false, _) => *depth -= 1,
                }
                if *depth == 0 {
                    self.hidden = None;
                }
            }
            Some(_) => {}
            // Only drawings can be empty that way.
            None if begins && is_one_of(name, HIDDEN) && !(name == "svg" && tag.self_closing) => {
                self.hidden = Some((tag.name.clone(), 1));
            }
            None => self.seen(name, begins),
        }
        match name {
            "script" if begins => TokenSinkResult::RawData(RawKind::ScriptData),
            "style" if begins => TokenSinkResult::RawData(RawKind::Rawtext),
            "title" | "textarea" if begins => TokenSinkResult::RawData(RawKind::Rcdata),
            _ => TokenSinkResult::Continue,
        }
    }

    fn seen(&mut self, name: &str, begins: bool) {
        match name {
            "br" => self.open.push('\u{b}'),
            "title" if begins => self.paragraph(),
            "title" => {
                let title = std::mem::take(&mut self.open);
                self.builder.title(&title);
            }
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" if begins => self.paragraph(),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                let level = name.as_bytes()[1] - b'0';
                let heading = std::mem::take(&mut self.open);
                let done = self.builder.heading(level, &heading);
                self.note(done);
            }
            "table" if begins => {
                self.paragraph();
                self.row = Row::default();
                self.tables += 1;
                self.inside = false;
            }
            "table" => {
                self.row_ends();
                self.tables = self.tables.saturating_sub(1);
            }
            "tr" => self.row_ends(),
            "td" | "th" if begins => {
                self.cell();
                self.names = name == "th";
                self.inside = self.tables > 0;
            }
            "td" | "th" => {
                let cell = std::mem::take(&mut self.open);
                self.row.cell(&cell);
                self.inside = false;
            }
            name if self.inside && is_one_of(name, BLOCKS) => self.open.push(' '),
            name if is_one_of(name, BLOCKS) => {
                self.paragraph();
                match name {
                    "ul" | "ol" if begins => self.lists.begin((name == "ol").then_some(1)),
                    "ul" | "ol" => self.lists.end(),
                    "li" if begins => self.open.push_str(&self.lists.mark()),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// What stands before the first cell, or in one that is not ended, is a cell if it is anything.
    fn cell(&mut self) {
        let open = std::mem::take(&mut self.open);
        if !open.trim().is_empty() {
            self.row.cell(&open);
        }
    }

    fn row_ends(&mut self) {
        self.cell();
        self.inside = false;
        if std::mem::take(&mut self.names) {
            self.row.is_head();
        } else {
            let done = self.row.finish(&mut self.builder);
            self.note(done);
        }
    }
}
