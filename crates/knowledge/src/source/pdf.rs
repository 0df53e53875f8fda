//! The text of a PDF, page by page. One that cannot be read is left out, and said to be missing.
//!
//! Its reader unpacks streams whatever they come to and follows references wherever they lead. It is to be called in
//! a process with limits of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pdf_extract::{Document, PlainTextOutput, output_doc_page};

use super::{Builder, Content, Format, paragraphs, unreadable};
use crate::KnowledgeError;

/// Pages that are read.
const MAX_PAGES: usize = 2_000;

pub(super) fn read(bytes: &[u8]) -> Result<Content, KnowledgeError> {
    let document = Document::load_mem(bytes).map_err(|error| unreadable(Format::Pdf, error))?;
    if document.is_encrypted() {
        return Err(unreadable(Format::Pdf, "it is encrypted"));
    }
    let pages = document.get_pages();
    if pages.len() > MAX_PAGES {
        return Err(KnowledgeError::TooLarge { what: "a PDF", most: MAX_PAGES as u64, unit: "pages" });
    }
    let mut builder = Builder::default();
    for page in pages.keys() {
        match words(&document, *page) {
            Ok(text) => paragraphs(&mut builder, &text)?,
            Err(why) if pages.len() == builder.content.missing.len() + 1 => {
                return Err(unreadable(Format::Pdf, format!("page {page}: {why}")));
            }
            Err(_) => builder.content.missing.push(*page),
        }
    }
    Ok(builder.finish())
}

/// The text of a page, or why there is none. What the reader makes of one page says nothing of the next.
fn words(document: &Document, page: u32) -> Result<String, String> {
    let read = AssertUnwindSafe(|| {
        let mut text = String::new();
        let done = output_doc_page(document, &mut PlainTextOutput::new(&mut text), page);
        done.map(|()| text).map_err(|error| error.to_string())
    });
    catch_unwind(read).unwrap_or_else(|_| Err("its reader gave up on it".to_owned()))
}
