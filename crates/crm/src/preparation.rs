//! What somebody should know who is about to talk with a contact, by stated rules from what is kept, each line with what it comes
//! from. Nothing is made up, and no model is asked.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Amount, CommunicationKind, Contact, Heard, MessageChannel, Payment, PaymentState, Priority, Stage, Task,
    TaskKind, Ticket, Wrong, lines, within,
};

/// Entries of the timeline that are told of.
const MOST_HEARD: usize = 3;
/// Lines of one kind, and goals, at most: it is read while it rings.
const MOST_LINES: usize = 5;
const MOST_GOALS: usize = 3;
/// Characters of a line.
const LONGEST_LINE: usize = 300;
/// Characters of what somebody writes down besides.
const LONGEST_KEPT: usize = 5_000;

/// How a customer felt, as far as somebody may see that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each says what it is")]
pub enum Feeling {
    Positive,
    Neutral,
    Negative,
}

/// A task that is proposed or open.
#[derive(Clone, Copy, Debug)]
pub struct Undone<'a> {
    /// Its id.
    pub id: Uuid,
    /// What is to be done.
    pub task: &'a Task,
    /// It was promised in a call.
    pub was_promised: bool,
    /// The words that promised it, where they may be read.
    pub quote: Option<&'a str>,
}

/// What is known of a contact, as far as whoever is prepared may see it.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Who they are.
    pub contact: &'a Contact,
    /// What the company is called that they belong to.
    pub company: Option<&'a str>,
    /// What was said, newest first.
    pub heard: &'a [Heard<'a>],
    /// How they felt in the calls of these entries.
    pub feelings: &'a BTreeMap<Uuid, Feeling>,
    /// What is to be done, what is due first comes first.
    pub undone: &'a [Undone<'a>],
    /// What is to be put right, by the tickets' ids.
    pub tickets: &'a [(Uuid, &'a Ticket)],
    /// What they owe, by the payments' ids.
    pub payments: &'a [(Uuid, &'a Payment)],
    /// By what they do not want to be written to.
    pub opt_outs: &'a BTreeSet<MessageChannel>,
    /// When that is, in milliseconds since 1970 (UTC).
    pub now_unix_ms: u64,
}

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each says what it is")]
pub enum Section {
    Who,
    Happened,
    Promised,
    Open,
    Opening,
    Goals,
    Avoid,
}

/// By what rule a line is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineRule {
    /// How far they are; the text is the stage's name.
    Stage,
    /// Whom they belong to.
    Company,
    /// What is written down of them.
    Notes,
    /// What a call came to.
    Called,
    /// What else was said.
    Said,
    /// Something was promised to them in a call, and is not done.
    Promised,
    /// The same, and its time has passed.
    PromisedLate,
    /// Something else is to be done.
    Undone,
    /// Something is to be put right.
    Ticket,
    /// The same, and it is urgent.
    TicketUrgent,
    /// They owe something.
    Owes,
    /// The same, and its time has passed.
    OwesLate,
    /// A promise is late: say what became of it.
    BeginPromise,
    /// They felt bad in the end when they called last: ask whether that is put right.
    BeginTrouble,
    /// There is a ticket: say how far it is.
    BeginTicket,
    /// They were talked to before: take that up.
    BeginLast,
    /// Nothing is known yet.
    BeginNew,
    /// A promise is late: keep it, or agree on another time.
    SettlePromise,
    /// There is a ticket: find out what it needs.
    SettleTicket,
    /// A payment is late: agree on when it is paid.
    SettlePayment,
    /// They are new, or no more than talked to: find out what they need.
    FindNeeds,
    /// They are interested: agree on the next step.
    NextStep,
    /// They are a customer: ask whether all is well.
    AskWell,
    /// They were lost: ask why.
    AskWhy,
    /// They do not want to be written to so; the text is the channel's name.
    NoChannel,
    /// They felt bad in the end when they called last: offer nothing new before that is put right.
    NoSelling,
    /// They were lost: do not press.
    NoPressure,
}

impl LineRule {
    /// What its line is about.
    #[must_use]
    pub fn section(self) -> Section {
        match self {
            Self::Stage | Self::Company | Self::Notes => Section::Who,
            Self::Called | Self::Said => Section::Happened,
            Self::Promised | Self::PromisedLate => Section::Promised,
            Self::Undone | Self::Ticket | Self::TicketUrgent | Self::Owes | Self::OwesLate => Section::Open,
            Self::BeginPromise
            | Self::BeginTrouble
            | Self::BeginTicket
            | Self::BeginLast
            | Self::BeginNew => Section::Opening,
            Self::SettlePromise
            | Self::SettleTicket
            | Self::SettlePayment
            | Self::FindNeeds
            | Self::NextStep
            | Self::AskWell
            | Self::AskWhy => Section::Goals,
            Self::NoChannel | Self::NoSelling | Self::NoPressure => Section::Avoid,
        }
    }
}

/// What a line comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// What is written down of the contact.
    Contact,
    /// An entry of the timeline.
    Entry(Uuid),
    /// A task.
    Task(Uuid),
    /// A ticket.
    Ticket(Uuid),
    /// A payment.
    Payment(Uuid),
}

/// A line of a preparation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// By what rule it is there.
    pub rule: LineRule,
    /// What it comes from.
    pub origin: Origin,
    /// What is written or was said there, cut where it is long; absent where the rule says it all.
    pub text: Option<String>,
    /// When that was, or is due, in milliseconds since 1970 (UTC).
    pub at_unix_ms: Option<u64>,
    /// How much it is about.
    pub amount: Option<Amount>,
    /// Of a task what it is.
    pub task: Option<TaskKind>,
    /// Of a call how the customer felt.
    pub feeling: Option<Feeling>,
}

impl Line {
    fn new(rule: LineRule, origin: Origin) -> Self {
        Self { rule, origin, text: None, at_unix_ms: None, amount: None, task: None, feeling: None }
    }

    fn saying(mut self, text: &str) -> Self {
        let text = lines(text);
        let mut short: String = text.chars().take(LONGEST_LINE).collect();
        if short.len() < text.len() {
            short.push('…');
        }
        self.text = Some(short).filter(|text| !text.is_empty());
        self
    }

    fn at(mut self, at_unix_ms: Option<u64>) -> Self {
        self.at_unix_ms = at_unix_ms;
        self
    }

    /// The same for another reason.
    fn by(&self, rule: LineRule) -> Self {
        Self { rule, ..self.clone() }
    }
}

/// The lines of a preparation: who it is, what happened, what was promised and what is open; then how to begin, what to reach and
/// what to leave.
#[must_use]
pub fn prepared(known: &Known<'_>) -> Vec<Line> {
    let happened = known.happened();
    let (promised, undone) = known.undone_lines();
    let (tickets, payments) = (known.ticket_lines(), known.payment_lines());
    let late = promised.iter().find(|line| line.rule == LineRule::PromisedLate);
    let troubled = happened.iter().find(|line| line.rule == LineRule::Called);
    let troubled = troubled.filter(|line| line.feeling == Some(Feeling::Negative));
    let owes_late = payments.iter().find(|line| line.rule == LineRule::OwesLate);
    let begin = match (late, troubled, tickets.first(), happened.first()) {
        (Some(promise), ..) => promise.by(LineRule::BeginPromise),
        (_, Some(call), ..) => Line::new(LineRule::BeginTrouble, call.origin).at(call.at_unix_ms),
        (_, _, Some(ticket), _) => ticket.by(LineRule::BeginTicket),
        (_, _, _, Some(last)) => Line::new(LineRule::BeginLast, last.origin).at(last.at_unix_ms),
        _ => Line::new(LineRule::BeginNew, Origin::Contact),
    };
    let by_stage = match known.contact.stage {
        Stage::New | Stage::Contacted => LineRule::FindNeeds,
        Stage::Qualified => LineRule::NextStep,
        Stage::Converted => LineRule::AskWell,
        Stage::Lost => LineRule::AskWhy,
    };
    let goals = [
        late.map(|line| line.by(LineRule::SettlePromise)),
        tickets.first().map(|line| line.by(LineRule::SettleTicket)),
        owes_late.map(|line| line.by(LineRule::SettlePayment)),
        Some(Line::new(by_stage, Origin::Contact)),
    ];
    let channels = known.opt_outs.iter().map(|channel| {
        Line::new(LineRule::NoChannel, Origin::Contact).saying(&crate::table::name_of(channel))
    });
    let no_selling = troubled.map(|call| Line::new(LineRule::NoSelling, call.origin));
    let is_lost = known.contact.stage == Stage::Lost;
    let no_pressure = is_lost.then(|| Line::new(LineRule::NoPressure, Origin::Contact));
    let mut all = known.who();
    all.extend([happened, promised, tickets, payments, undone].into_iter().flatten());
    all.push(begin);
    all.extend(goals.into_iter().flatten().take(MOST_GOALS));
    all.extend(no_selling.into_iter().chain(no_pressure).chain(channels));
    all
}

impl Known<'_> {
    fn who(&self) -> Vec<Line> {
        let of = |rule, text: &str| Line::new(rule, Origin::Contact).saying(text);
        let stage = of(LineRule::Stage, &crate::table::name_of(&self.contact.stage));
        let company = self.company.map(|company| of(LineRule::Company, company));
        let notes = of(LineRule::Notes, &self.contact.notes);
        let notes = Some(notes).filter(|line| line.text.is_some());
        [Some(stage), company, notes].into_iter().flatten().collect()
    }

    /// What was said of late; of a call that may not be read, that there was one.
    fn happened(&self) -> Vec<Line> {
        let told = self.heard.iter().take(MOST_HEARD).map(|heard| {
            let rule = match heard.communication.kind {
                CommunicationKind::CallSummary | CommunicationKind::Call => LineRule::Called,
                _ => LineRule::Said,
            };
            let line = Line::new(rule, Origin::Entry(heard.id)).saying(&heard.communication.content);
            Line { feeling: self.feelings.get(&heard.id).copied(), ..line.at(Some(heard.at_unix_ms)) }
        });
        told.collect()
    }

    fn is_over(&self, at_unix_ms: Option<u64>) -> bool {
        at_unix_ms.is_some_and(|at| at < self.now_unix_ms)
    }

    /// What was promised, and what else is to be done.
    fn undone_lines(&self) -> (Vec<Line>, Vec<Line>) {
        let told = |rule: LineRule, one: &Undone<'_>| {
            let line = Line::new(rule, Origin::Task(one.id)).at(one.task.due_at_unix_ms);
            let line = line.saying(one.quote.or(one.task.title.as_deref()).unwrap_or_default());
            Line { task: Some(one.task.kind), ..line }
        };
        let promised = self.undone.iter().filter(|one| one.was_promised).map(|one| {
            let is_late = self.is_over(one.task.due_at_unix_ms);
            told(if is_late { LineRule::PromisedLate } else { LineRule::Promised }, one)
        });
        let others =
            self.undone.iter().filter(|one| !one.was_promised).map(|one| told(LineRule::Undone, one));
        (promised.take(MOST_LINES).collect(), others.take(MOST_LINES).collect())
    }

    /// What matters most comes first.
    fn ticket_lines(&self) -> Vec<Line> {
        let mut tickets = self.tickets.to_vec();
        tickets.sort_by_key(|(_, ticket)| ticket.priority.rank());
        let told = tickets.into_iter().take(MOST_LINES).map(|(id, ticket)| {
            let is_urgent = ticket.priority == Priority::High;
            let rule = if is_urgent { LineRule::TicketUrgent } else { LineRule::Ticket };
            Line::new(rule, Origin::Ticket(id)).saying(&ticket.title)
        });
        told.collect()
    }

    /// What has been due for longest comes first.
    fn payment_lines(&self) -> Vec<Line> {
        let mut payments: Vec<&(Uuid, &Payment)> =
            self.payments.iter().filter(|(_, payment)| payment.state == PaymentState::Due).collect();
        payments.sort_by_key(|(_, payment)| payment.due_at_unix_ms.unwrap_or(u64::MAX));
        let told = payments.into_iter().take(MOST_LINES).map(|(id, payment)| {
            let is_late = self.is_over(payment.due_at_unix_ms);
            let rule = if is_late { LineRule::OwesLate } else { LineRule::Owes };
            let line = Line::new(rule, Origin::Payment(*id)).saying(&payment.about);
            Line { amount: Some(payment.amount), ..line.at(payment.due_at_unix_ms) }
        });
        told.collect()
    }
}

/// What somebody writes down for a talk besides, as it is kept.
///
/// # Errors
/// [`Wrong`], when it is too long.
pub fn kept_preparation(text: &str) -> Result<String, Wrong> {
    let text = lines(text);
    within("text", &text, LONGEST_KEPT)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::{Communication, ContactKind, Source};

    const NOW: u64 = 100_000;

    fn contact(stage: Stage) -> Contact {
        Contact {
            kind: ContactKind::Lead,
            stage,
            name: "Sara".to_owned(),
            numbers: Vec::new(),
            email: None,
            company: None,
            owner: None,
            notes: String::new(),
            fields: BTreeMap::new(),
        }
    }

    fn entry(kind: CommunicationKind, content: &str) -> Communication {
        let content = content.to_owned();
        Communication { kind, source: Source::Ai, content, tags: Vec::new(), metadata: Map::new() }
    }

    fn task(due_at_unix_ms: Option<u64>) -> Task {
        Task {
            kind: TaskKind::Callback,
            title: None,
            channel: None,
            to: None,
            due_at_unix_ms,
            priority: Priority::Normal,
            assignee: None,
        }
    }

    fn ticket(title: &str, priority: Priority) -> Ticket {
        let title = title.to_owned();
        Ticket { title, text: String::new(), resolution: String::new(), priority, assignee: None }
    }

    fn owed(due_at_unix_ms: Option<u64>) -> Payment {
        Payment {
            state: PaymentState::Due,
            amount: Amount::parse("5", "EUR").unwrap(),
            about: "course".to_owned(),
            reference: None,
            due_at_unix_ms,
            paid_at_unix_ms: None,
        }
    }

    static NO_FEELINGS: BTreeMap<Uuid, Feeling> = BTreeMap::new();
    static NO_OPT_OUTS: BTreeSet<MessageChannel> = BTreeSet::new();

    fn nothing(contact: &Contact) -> Known<'_> {
        Known {
            contact,
            company: None,
            heard: &[],
            feelings: &NO_FEELINGS,
            undone: &[],
            tickets: &[],
            payments: &[],
            opt_outs: &NO_OPT_OUTS,
            now_unix_ms: NOW,
        }
    }

    fn rules(lines: &[Line]) -> Vec<LineRule> {
        lines.iter().map(|line| line.rule).collect()
    }

    #[test]
    fn of_somebody_new_it_is_said_how_to_begin_and_what_to_find_out() {
        let sara = contact(Stage::New);
        let lines = prepared(&nothing(&sara));
        assert_eq!(rules(&lines), [LineRule::Stage, LineRule::BeginNew, LineRule::FindNeeds]);
        assert_eq!((lines[0].text.as_deref(), lines[0].origin), (Some("new"), Origin::Contact));
        for (stage, goal) in [
            (Stage::Contacted, LineRule::FindNeeds),
            (Stage::Qualified, LineRule::NextStep),
            (Stage::Converted, LineRule::AskWell),
        ] {
            assert_eq!(prepared(&nothing(&contact(stage))).last().unwrap().rule, goal);
        }
        let lost = rules(&prepared(&nothing(&contact(Stage::Lost))));
        assert_eq!(lost, [LineRule::Stage, LineRule::BeginNew, LineRule::AskWhy, LineRule::NoPressure]);
    }

    #[test]
    fn every_line_names_what_it_comes_from() {
        let sara = Contact { notes: "Prefers mornings.".to_owned(), ..contact(Stage::Contacted) };
        let [call, note, late, soon, other, slow, urgent, due, overdue] =
            [1, 2, 3, 4, 5, 6, 7, 8, 9].map(Uuid::from_u128);
        let said = [
            entry(CommunicationKind::CallSummary, "Wants a place."),
            entry(CommunicationKind::Note, &"x".repeat(400)),
        ];
        let heard = [
            Heard { id: call, at_unix_ms: 90_000, communication: &said[0] },
            Heard { id: note, at_unix_ms: 80_000, communication: &said[1] },
        ];
        let feelings = BTreeMap::from([(call, Feeling::Negative)]);
        let (before, after) = (task(Some(NOW - 1)), task(Some(NOW + 1)));
        let undone = [
            Undone { id: late, task: &before, was_promised: true, quote: Some("I will call you.") },
            Undone { id: soon, task: &after, was_promised: true, quote: None },
            Undone { id: other, task: &before, was_promised: false, quote: None },
        ];
        let (panel, speed) = (ticket("Panel", Priority::Normal), ticket("Speed", Priority::High));
        let tickets = [(slow, &panel), (urgent, &speed)];
        let paid = Payment { state: PaymentState::Paid, ..owed(Some(1)) };
        let (open, over) = (owed(None), owed(Some(NOW - 1)));
        let payments = [(due, &open), (overdue, &over), (Uuid::nil(), &paid)];
        let opt_outs = BTreeSet::from([MessageChannel::Sms]);
        let known = Known {
            contact: &sara,
            company: Some("Noor"),
            heard: &heard,
            feelings: &feelings,
            undone: &undone,
            tickets: &tickets,
            payments: &payments,
            opt_outs: &opt_outs,
            now_unix_ms: NOW,
        };
        let lines = prepared(&known);
        let expected = [
            (LineRule::Stage, Origin::Contact),
            (LineRule::Company, Origin::Contact),
            (LineRule::Notes, Origin::Contact),
            (LineRule::Called, Origin::Entry(call)),
            (LineRule::Said, Origin::Entry(note)),
            (LineRule::PromisedLate, Origin::Task(late)),
            (LineRule::Promised, Origin::Task(soon)),
            (LineRule::TicketUrgent, Origin::Ticket(urgent)),
            (LineRule::Ticket, Origin::Ticket(slow)),
            (LineRule::OwesLate, Origin::Payment(overdue)),
            (LineRule::Owes, Origin::Payment(due)),
            (LineRule::Undone, Origin::Task(other)),
            (LineRule::BeginPromise, Origin::Task(late)),
            (LineRule::SettlePromise, Origin::Task(late)),
            (LineRule::SettleTicket, Origin::Ticket(urgent)),
            (LineRule::SettlePayment, Origin::Payment(overdue)),
            (LineRule::NoSelling, Origin::Entry(call)),
            (LineRule::NoChannel, Origin::Contact),
        ];
        assert_eq!(lines.iter().map(|line| (line.rule, line.origin)).collect::<Vec<_>>(), expected);
        assert_eq!(
            (lines[3].feeling, lines[3].text.as_deref()),
            (Some(Feeling::Negative), Some("Wants a place."))
        );
        assert_eq!(lines[4].text.as_ref().unwrap().chars().count(), 301);
        assert_eq!(
            (lines[5].text.as_deref(), lines[5].at_unix_ms),
            (Some("I will call you."), Some(NOW - 1))
        );
        assert_eq!((lines[6].text.as_deref(), lines[6].task), (None, Some(TaskKind::Callback)));
        assert_eq!(lines[15].amount, Some(over.amount));
        assert_eq!(lines[17].text.as_deref(), Some("sms"));
    }

    #[test]
    fn how_to_begin_goes_by_what_weighs_most() {
        let sara = contact(Stage::Converted);
        let said = entry(CommunicationKind::CallSummary, "Said.");
        let heard = [Heard { id: Uuid::from_u128(1), at_unix_ms: 1, communication: &said }];
        let panel = ticket("Panel", Priority::Normal);
        let tickets = [(Uuid::from_u128(2), &panel)];
        let begins = |known: Known<'_>| {
            let lines = prepared(&known);
            lines.into_iter().find(|line| line.rule.section() == Section::Opening).unwrap().rule
        };
        let nothing = nothing(&sara);
        assert_eq!(begins(Known { heard: &heard, ..nothing }), LineRule::BeginLast);
        assert_eq!(begins(Known { heard: &heard, tickets: &tickets, ..nothing }), LineRule::BeginTicket);
        let feelings = BTreeMap::from([(Uuid::from_u128(1), Feeling::Negative)]);
        let troubled = Known { heard: &heard, tickets: &tickets, feelings: &feelings, ..nothing };
        assert_eq!(begins(troubled), LineRule::BeginTrouble);
        let glad = BTreeMap::from([(Uuid::from_u128(1), Feeling::Positive)]);
        assert_eq!(begins(Known { heard: &heard, feelings: &glad, ..nothing }), LineRule::BeginLast);
    }

    #[test]
    fn what_somebody_writes_besides_has_an_end() {
        assert_eq!(kept_preparation(" a\nb\0 ").as_deref(), Ok("a\nb"));
        assert_eq!(kept_preparation(&"x".repeat(5_001)), Err(Wrong::TooMuch("text", 5_000)));
    }
}
