//! What an organisation has written down, and the passages of it that answer a question.
//!
//! Pure logic: no sockets, no clock, no model. [`read`] makes [`Content`] of a file, whatever its [`Format`]. A
//! [`Hub`] keeps documents, cut into [`Passage`]s where their structure allows it, with a vector each, which it asks
//! its caller for; what has not changed keeps its vector. An [`Index`] is what can be searched in a hub at one
//! moment: by the words (BM25) and by the meaning (cosine), put together by a rule that depends on the query. It
//! finds nothing that the [`Viewer`] may not see, and every [`Hit`] says why it is one; the best may be read once more ([`rerank`]). What of a passage
//! answers a question ([`Excerpt`]), and whether what somebody writes stands in texts ([`stands_in`]), is told by their
//! words. A procedure among them is read as steps ([`Pathway`]).
//!
//! For whoever keeps the hub, [`Leaders`] put questions together that ask the same, and [`conflicts`] are sentences that
//! disagree.

mod alike;
mod conflict;
mod excerpt;
mod fuse;
mod hub;
mod index;
mod kept;
mod pathway;
mod source;
mod split;
mod support;
mod trigger;
mod words;

pub use alike::{ALIKE, ALIKE_WORDS, Asked, Leaders};
pub use conflict::{Conflict, Statement, conflicts};
pub use excerpt::{Excerpt, sentences};
pub use fuse::{Fusion, Scores, dot};
pub use hub::{
    ByHash, Change, Document, FINGERPRINT_OF, Hub, Lacking, Paper, Viewer, Visibility, by_document,
    fingerprint,
};
pub use index::{Hit, Index, MEANT, Query, RERANKED, SURE, Why, rerank};
pub use pathway::{Pathway, PathwayBranch, PathwayStep};
pub use source::{Content, Format, MAX_HEADING, MAX_TEXT, Part, read};
pub use split::{MAX_PASSAGE, MAX_PASSAGES, Passage};
pub use support::stands_in;
pub use trigger::{Question, Trigger, Turn, Unasked};
pub use words::share_in;

/// Why something is not in a hub, or is not found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KnowledgeError {
    /// Larger than what is read: a file, or what it unpacks to.
    #[error("{what} of more than {most} {unit} is not read")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it may be.
        most: u64,
        /// Of what.
        unit: &'static str,
    },
    /// Not what its name says.
    #[error("this is no {format} that can be read: {why}")]
    Unreadable {
        /// The format's name.
        format: &'static str,
        /// What its reader says.
        why: String,
    },
    /// A vector that is not like the others.
    #[error("a vector {0}")]
    Vector(&'static str),
    /// A kept hub that cannot be taken up again.
    #[error("what was kept cannot be read: {0}")]
    Kept(String),
    /// A kept hub of a version that is no longer read.
    #[error("what was kept is of another version")]
    Version,
    /// A file cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The index of words fails.
    #[error("the index of words: {0}")]
    Words(Box<tantivy::TantivyError>),
}

impl From<tantivy::TantivyError> for KnowledgeError {
    fn from(error: tantivy::TantivyError) -> Self {
        Self::Words(Box::new(error))
    }
}
