//! CommonMark: headings, paragraphs, lists with their numbers, tables row by row.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::table::Row;
use super::{Builder, Content, Lists};
use crate::KnowledgeError;

pub(super) fn read(text: &str) -> Result<Content, KnowledgeError> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let mut builder = Builder::default();
    let mut open = String::new();
    let mut lists = Lists::default();
    let mut row = Row::default();
    let mut hidden = false;
    for event in Parser::new_ext(text, options) {
        match event {
            Event::Start(Tag::MetadataBlock(_) | Tag::HtmlBlock) => hidden = true,
            Event::End(TagEnd::MetadataBlock(_) | TagEnd::HtmlBlock) => hidden = false,
            _ if hidden => {}
            Event::Text(text) | Event::Code(text) => open.push_str(&text),
            Event::SoftBreak => open.push(' '),
            Event::HardBreak => open.push('\n'),
            Event::Start(Tag::List(first)) => {
                builder.body(&std::mem::take(&mut open))?;
                lists.begin(first);
            }
            Event::End(TagEnd::List(_)) => lists.end(),
            Event::Start(Tag::Item) => open.push_str(&lists.mark()),
            Event::Start(Tag::Heading { .. } | Tag::CodeBlock(_) | Tag::BlockQuote(_) | Tag::Table(_)) => {
                builder.body(&std::mem::take(&mut open))?;
            }
            Event::End(TagEnd::Heading(level)) => {
                builder.heading(level as u8, &std::mem::take(&mut open))?;
            }
            Event::End(TagEnd::Paragraph | TagEnd::Item | TagEnd::CodeBlock | TagEnd::BlockQuote(_)) => {
                builder.body(&std::mem::take(&mut open))?;
            }
            Event::Start(Tag::TableHead) => row = Row::default(),
            Event::End(TagEnd::TableCell) => row.cell(&std::mem::take(&mut open)),
            Event::End(TagEnd::TableHead) => row.is_head(),
            Event::End(TagEnd::TableRow) => row.finish(&mut builder)?,
            _ => {}
        }
    }
    builder.body(&open)?;
    Ok(builder.finish())
}
