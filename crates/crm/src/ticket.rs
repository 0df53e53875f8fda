//! What a contact has asked to be put right, and how far that is.

use serde::{Deserialize, Serialize};

use crate::{Priority, Wrong, found_by, line, lines, optional, within};

/// Characters of what a ticket is called, of its text, and of who sees to it.
const LONGEST_TITLE: usize = 200;
const LONGEST_TEXT: usize = 10_000;
const LONGEST_ASSIGNEE: usize = 254;

/// Where a ticket stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TicketState {
    /// It is ours to see to.
    #[default]
    Open,
    /// It waits for the contact, or for somebody outside.
    Waiting,
    /// It is put right, as far as we know.
    Resolved,
    /// Nothing more is done about it.
    Closed,
}

impl TicketState {
    /// Whether a person may put a ticket into another state. What is over is opened before anything else is done with it; only
    /// what is put right may be closed besides.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Open | Self::Waiting => true,
            Self::Resolved => next != Self::Waiting,
            Self::Closed => matches!(next, Self::Closed | Self::Open),
        }
    }
}

/// Something that is to be put right for a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// What it is called.
    pub title: String,
    /// What the matter is.
    pub text: String,
    /// What has put it right; nothing where that is not known.
    pub resolution: String,
    /// How much it matters.
    pub priority: Priority,
    /// The user who sees to it; absent: anybody.
    pub assignee: Option<String>,
}

impl Ticket {
    /// The ticket as it is kept.
    ///
    /// # Errors
    /// [`Wrong`], which says what cannot be kept.
    pub fn checked(&self) -> Result<Self, Wrong> {
        let title = line(&self.title);
        if title.is_empty() {
            return Err(Wrong::Empty("title"));
        }
        within("title", &title, LONGEST_TITLE)?;
        let (text, resolution) = (lines(&self.text), lines(&self.resolution));
        within("text", &text, LONGEST_TEXT)?;
        within("resolution", &resolution, LONGEST_TEXT)?;
        let assignee = optional("assignee", self.assignee.as_deref(), LONGEST_ASSIGNEE)?;
        Ok(Self { title, text, resolution, priority: self.priority, assignee })
    }

    /// What the ticket is found by, in one spelling: see [`crate::terms`].
    #[must_use]
    pub fn words(&self) -> String {
        found_by([&self.title, &self.text, &self.resolution].into_iter().map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket() -> Ticket {
        Ticket {
            title: " پنل باز نمي‌شود\n".to_owned(),
            text: " since\nFriday\0 ".to_owned(),
            resolution: String::new(),
            priority: Priority::High,
            assignee: Some(" ".to_owned()),
        }
    }

    #[test]
    fn what_is_kept_of_a_ticket_is_tidy_and_found_in_either_spelling() {
        let kept = ticket().checked().unwrap();
        assert_eq!((kept.title.as_str(), kept.text.as_str()), ("پنل باز نمي‌شود", "since\nFriday"));
        assert_eq!((kept.assignee.as_deref(), kept.priority), (None, Priority::High));
        assert_eq!(kept.checked().as_ref(), Ok(&kept));
        for query in ["پنل", "friday"] {
            assert!(crate::terms(query).iter().all(|term| kept.words().contains(term.as_str())), "{query}");
        }
    }

    #[test]
    fn what_cannot_be_kept_of_a_ticket_is_named() {
        let wrong = |change: fn(&mut Ticket)| {
            let mut ticket = ticket();
            change(&mut ticket);
            ticket.checked().unwrap_err()
        };
        assert_eq!(wrong(|ticket| ticket.title = "\n ".to_owned()), Wrong::Empty("title"));
        assert_eq!(wrong(|ticket| ticket.title = "x".repeat(201)), Wrong::TooMuch("title", 200));
        assert_eq!(wrong(|ticket| ticket.text = "x".repeat(10_001)), Wrong::TooMuch("text", 10_000));
        let resolution = Wrong::TooMuch("resolution", 10_000);
        assert_eq!(wrong(|ticket| ticket.resolution = "x".repeat(10_001)), resolution);
    }

    #[test]
    fn what_is_over_is_opened_before_anything_else_is_done_with_it() {
        use TicketState::{Closed, Open, Resolved, Waiting};
        for next in [Open, Waiting, Resolved, Closed] {
            assert!(Open.may_become(next) && Waiting.may_become(next) && next.may_become(next));
        }
        assert_eq!([Open, Waiting, Closed].map(|next| Resolved.may_become(next)), [true, false, true]);
        assert_eq!([Open, Waiting, Resolved].map(|next| Closed.may_become(next)), [true, false, false]);
    }
}
