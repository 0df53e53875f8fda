//! Contacts, their timeline and their tasks: what may be kept of them, what calls add, and in which order it is read. No I/O,
//! no clock.
//!
//! A [`Contact`] is whoever calls or is called, a lead or a representative, and may belong to a [`Company`]. A [`Phone`] is a number in one spelling, by which
//! whoever rings is found. A [`CallNote`] is what a call adds once it is over: a [`Communication`], and tasks that somebody has
//! yet to accept. A [`Ticket`] is what is to be put right for them, a [`Payment`] what they pay. A [`FollowUp`] is a message that comes of such a promise, which somebody has yet to approve. A [`Score`] says
//! how promising a lead is, by stated rules.

mod company;
mod contact;
mod follow_up;
mod note;
mod payment;
mod payment_table;
mod phone;
mod place;
mod preparation;
mod score;
mod table;
mod task;
mod template;
mod ticket;
mod timeline;

pub use company::Company;
pub use contact::{Contact, ContactKind, Stage, terms};
pub use follow_up::{FollowUp, FollowUpState, MessageChannel, QuietHours, Recipient, day_begins};
pub use note::{CallNote, Proposal};
pub use payment::{Amount, Currency, Payment, PaymentState};
pub use payment_table::{Payer, PaymentLine, PaymentRules, payment_line, payments_head, payments_of};
pub use phone::{Country, Phone};
pub use place::{Place, QueuePlace};
pub use preparation::{Feeling, Known, Line, LineRule, Origin, Section, Undone, kept_preparation, prepared};
pub use score::{Heard, Reason, Rule, Score};
pub use table::{MOST_ROWS, Problem, Table, Unreadable, contacts_of};
pub use task::{Channel, Priority, Task, TaskKind, TaskOrder, TaskState, due};
pub use template::{Occasion, Texts};
pub use ticket::{Ticket, TicketState};
pub use timeline::{Communication, CommunicationKind, Source};

/// Why something is not kept as it was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// There is nothing in it where there has to be.
    #[error("`{0}` must not be empty")]
    Empty(&'static str),
    /// It is too long, or too many.
    #[error("`{0}` may have {1} at most")]
    TooMuch(&'static str, usize),
    /// A number is none.
    #[error("`{0}` is no telephone number")]
    Number(String),
    /// An address is none.
    #[error("`{0}` is no e-mail address")]
    Email(String),
    /// An amount is none, or none that is kept.
    #[error("`{0}` is no amount")]
    Amount(String),
    /// A currency is none.
    #[error("`{0}` is no currency")]
    Currency(String),
    /// A chat is none.
    #[error("`{0}` is neither the number of a Telegram chat nor a name like @channel")]
    Chat(String),
}

/// A text of one line as it is kept, without what surrounds it.
fn line(text: &str) -> String {
    text.replace(char::is_control, " ").trim().to_owned()
}

/// Characters of a name, and of what else is written down of somebody.
const LONGEST_NAME: usize = 200;
const LONGEST_NOTES: usize = 5_000;
/// Numbers of a contact, or a company.
const MOST_NUMBERS: usize = 10;

/// A name as it is kept.
fn name_of(text: &str) -> Result<String, Wrong> {
    let name = line(text);
    if name.is_empty() {
        return Err(Wrong::Empty("name"));
    }
    within("name", &name, LONGEST_NAME)?;
    Ok(name)
}

/// Notes as they are kept.
fn notes_of(text: &str) -> Result<String, Wrong> {
    let notes = lines(text);
    within("notes", &notes, LONGEST_NOTES)?;
    Ok(notes)
}

/// Numbers, each once.
fn once(numbers: &[Phone]) -> Result<Vec<Phone>, Wrong> {
    let mut each: Vec<Phone> = Vec::new();
    for number in numbers {
        if !each.contains(number) {
            each.push(number.clone());
        }
    }
    if each.len() > MOST_NUMBERS { Err(Wrong::TooMuch("phones", MOST_NUMBERS)) } else { Ok(each) }
}

/// What something is found by that these texts are written down of, in one spelling.
fn found_by<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let texts: Vec<String> = texts.map(sotto_text::fold).collect();
    texts.join("\n")
}

/// A text of several lines as it is kept.
fn lines(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n', " ").trim().to_owned()
}

/// Whether a text has at most so many characters.
fn within(what: &'static str, text: &str, most: usize) -> Result<(), Wrong> {
    if text.chars().count() > most { Err(Wrong::TooMuch(what, most)) } else { Ok(()) }
}

/// A text that may be left out: nothing where there is nothing in it.
fn optional(what: &'static str, text: Option<&str>, most: usize) -> Result<Option<String>, Wrong> {
    let text = text.map(line).filter(|text| !text.is_empty());
    if let Some(text) = &text {
        within(what, text, most)?;
    }
    Ok(text)
}
