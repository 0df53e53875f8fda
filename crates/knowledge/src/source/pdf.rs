//! The text of a PDF, page by page.
//!
//! Its reader unpacks streams whatever they come to and follows references wherever they lead. It is to be called in
//! a process with limits of its own.

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
        let mut text = String::new();
        output_doc_page(&document, &mut PlainTextOutput::new(&mut text), *page)
            .map_err(|error| unreadable(Format::Pdf, format!("page {page}: {error}")))?;
        paragraphs(&mut builder, &text)?;
    }
    Ok(builder.finish())
}
