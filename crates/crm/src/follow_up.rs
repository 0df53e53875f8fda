//! Messages that follow from a call: what may be sent to whom, and when.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use time::UtcOffset;

use crate::contact::is_email;
use crate::template::{Occasion, Values};
use crate::{Channel, Contact, Country, Phone, Proposal, Texts, Wrong, lines, optional, within};

/// Characters of a message, and of its subject (RFC 5322, section 2.1.1, without the name of the header).
const LONGEST_TEXT: usize = 4_000;
const LONGEST_SUBJECT: usize = 200;
/// Characters of a message to a telephone: what Kavenegar takes at once.
const LONGEST_SMS: usize = 900;
/// Characters of what is said on the telephone: about a minute.
const LONGEST_SPOKEN: usize = 900;
/// Characters of an address.
const LONGEST_TO: usize = 254;
/// The name of a Telegram channel has so many characters, without its `@`.
const CHAT_NAME: std::ops::RangeInclusive<usize> = 5..=32;
/// The field of a contact in which their Telegram chat is written down.
const CHAT_FIELD: &str = "telegram";
/// Minutes of a day.
const DAY: i64 = 24 * 60;

/// How a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageChannel {
    /// A text message.
    Sms,
    /// By a bot, to somebody who has written to it before.
    Telegram,
    /// By e-mail.
    Email,
    /// Given to a program of the organisation, which sends it.
    Webhook,
    /// Said on the telephone by a synthetic voice, to whoever or whatever answers.
    CallMessage,
}

impl MessageChannel {
    /// All there are, those first that are taken first where it was not said how.
    pub const ALL: [Self; 5] = [Self::Sms, Self::Telegram, Self::Email, Self::Webhook, Self::CallMessage];

    /// Whether somebody's telephone rings, so that it has to wait for the day.
    #[must_use]
    pub fn disturbs(self) -> bool {
        self != Self::Webhook
    }

    /// Whether it is written: what somebody has promised to send is not said on the telephone unless a person wants that.
    fn is_written(self) -> bool {
        self != Self::CallMessage
    }

    fn of(channel: Channel) -> Option<Self> {
        match channel {
            Channel::Phone => None,
            Channel::Sms => Some(Self::Sms),
            Channel::Email => Some(Self::Email),
            Channel::Telegram => Some(Self::Telegram),
        }
    }

    /// An address in the one spelling in which it is kept.
    fn address(self, to: Option<&str>, country: Option<Country>) -> Result<Option<String>, Wrong> {
        let Some(to) = optional("to", to, LONGEST_TO)? else {
            return if self == Self::Webhook { Ok(None) } else { Err(Wrong::Empty("to")) };
        };
        match self {
            Self::Sms | Self::CallMessage => match Phone::parse(&to, country) {
                Some(phone) => Ok(Some(phone.to_string())),
                None => Err(Wrong::Number(to)),
            },
            Self::Email => match is_email(&to) {
                true => Ok(Some(to.to_lowercase())),
                false => Err(Wrong::Email(to)),
            },
            Self::Telegram => {
                if is_chat(&to) {
                    Ok(Some(to))
                } else {
                    Err(Wrong::Chat(to))
                }
            }
            Self::Webhook => Ok(Some(to)),
        }
    }
}

/// Whether it names a chat as the Bot API does: by its number, or a public one by its name.
fn is_chat(text: &str) -> bool {
    match text.strip_prefix('@') {
        Some(name) => {
            CHAT_NAME.contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        }
        None => text.parse::<i64>().is_ok(),
    }
}

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FollowUpState {
    /// Nobody has approved it.
    Drafted,
    /// It is sent when its time comes.
    Approved,
    /// It is being sent.
    Sending,
    /// It was taken by whoever delivers it.
    Sent,
    /// It was refused for good.
    Failed,
    /// It was tried too often.
    Dead,
    /// Whether it was sent is not known: a person has to find out.
    Unknown,
    /// It is not to be sent.
    Dismissed,
}

impl FollowUpState {
    /// Whether a person may put a message into another state. What is being sent is nobody's to change, and of what may have
    /// been sent a person says first whether it was.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        let is_unsent = matches!(self, Self::Drafted | Self::Approved | Self::Failed | Self::Dead);
        match next {
            Self::Drafted => is_unsent || self == Self::Unknown,
            Self::Approved => is_unsent && self != Self::Approved,
            Self::Dismissed => is_unsent,
            Self::Sent => self == Self::Unknown,
            Self::Sending | Self::Failed | Self::Dead | Self::Unknown => false,
        }
    }
}

/// A message to a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowUp {
    /// How it is sent.
    pub channel: MessageChannel,
    /// The number, address or chat it goes to. Only what a webhook gets may have none.
    pub to: Option<String>,
    /// What an e-mail is about.
    pub subject: Option<String>,
    /// What it says.
    pub text: String,
    /// Not to be sent before, in milliseconds since 1970 (UTC).
    pub not_before_unix_ms: Option<u64>,
}

/// To whom a call's promises may be followed up, and how.
#[derive(Clone, Copy, Debug)]
pub struct Recipient<'a> {
    /// Who they are.
    pub contact: &'a Contact,
    /// By what messages can be sent here, in the order in which they are taken.
    pub channels: &'a [MessageChannel],
    /// The country whose numbers are written without its code.
    pub country: Option<Country>,
    /// On what clock something was promised.
    pub clock: UtcOffset,
}

impl FollowUp {
    /// What follows from a promise, in the language it was made in: nothing where there is no text for it, or no address. Nothing
    /// is in it but what the contact is called and when it was promised for.
    #[must_use]
    pub fn draft(proposal: &Proposal, texts: &Texts, recipient: &Recipient<'_>) -> Option<Self> {
        let Proposal { quote, task, .. } = proposal;
        let language = sotto_text::language(quote);
        let name = Some(recipient.contact.name.as_str());
        let values = Values { name, ..Values::default() }.at(task.due_at_unix_ms, recipient.clock);
        let text = texts.write(Occasion::of(task.kind)?, language, &values)?;
        let said = task.channel.and_then(MessageChannel::of);
        let by = |channel: MessageChannel| {
            let to = recipient.address(channel, task.to.as_deref())?;
            let subject = (channel == MessageChannel::Email).then(|| subject(language).to_owned());
            let draft = Self { channel, to, subject, text: text.clone(), not_before_unix_ms: None };
            draft.checked(recipient.country).ok()
        };
        let possible = recipient.channels.iter().copied().filter(|by| by.is_written());
        match said.filter(|said| recipient.channels.contains(said)) {
            Some(said) => by(said),
            None => possible.filter_map(by).next(),
        }
    }

    /// What is said on the telephone to somebody whose call has dropped, at the number that was on the call: nothing where calls
    /// say nothing here, or where there is no text in this language. Of what was talked about there is what people call the intent
    /// in that language (`topics`, by language), and no word of the call.
    #[must_use]
    pub fn after_drop(
        number: &Phone,
        topics: &BTreeMap<String, String>,
        language: &'static str,
        texts: &Texts,
        recipient: &Recipient<'_>,
    ) -> Option<Self> {
        let channel = MessageChannel::CallMessage;
        let name = Some(recipient.contact.name.as_str());
        let values = Values { name, topic: topics.get(language).map(String::as_str), ..Values::default() };
        let text = texts.write(Occasion::Dropped, language, &values)?;
        let draft =
            Self { channel, to: Some(number.to_string()), subject: None, text, not_before_unix_ms: None };
        recipient.channels.contains(&channel).then(|| draft.checked(recipient.country).ok()).flatten()
    }

    /// The message as it is kept.
    ///
    /// # Errors
    /// [`Wrong`], which says what cannot be kept.
    pub fn checked(&self, country: Option<Country>) -> Result<Self, Wrong> {
        let text = lines(&self.text);
        if text.is_empty() {
            return Err(Wrong::Empty("text"));
        }
        let longest = match self.channel {
            MessageChannel::Sms => LONGEST_SMS,
            MessageChannel::CallMessage => LONGEST_SPOKEN,
            MessageChannel::Telegram | MessageChannel::Email | MessageChannel::Webhook => LONGEST_TEXT,
        };
        within("text", &text, longest)?;
        let subject = optional("subject", self.subject.as_deref(), LONGEST_SUBJECT)?;
        let subject = match self.channel {
            MessageChannel::Email => Some(subject.ok_or(Wrong::Empty("subject"))?),
            MessageChannel::Webhook => subject,
            MessageChannel::Sms | MessageChannel::Telegram | MessageChannel::CallMessage => None,
        };
        let to = self.channel.address(self.to.as_deref(), country)?;
        let not_before_unix_ms = self.not_before_unix_ms;
        Ok(Self { channel: self.channel, to, subject, text, not_before_unix_ms })
    }
}

impl Recipient<'_> {
    /// Where a message goes: what was said of it, if that is an address of this kind, and else what is known of the contact.
    /// Nothing where neither is.
    fn address(&self, channel: MessageChannel, said: Option<&str>) -> Option<Option<String>> {
        let contact = self.contact;
        let known = match channel {
            MessageChannel::Sms | MessageChannel::CallMessage => {
                contact.numbers.first().map(ToString::to_string)
            }
            MessageChannel::Email => contact.email.clone(),
            MessageChannel::Telegram => contact.fields.get(CHAT_FIELD).cloned(),
            MessageChannel::Webhook => return Some(None),
        };
        let is_number_for_a_chat = channel == MessageChannel::Telegram;
        let said = said.filter(|_| !is_number_for_a_chat);
        let fits = |to: &str| channel.address(Some(to), self.country).ok().flatten();
        said.and_then(fits).or_else(|| known.as_deref().and_then(fits)).map(Some)
    }
}

fn subject(language: &str) -> &'static str {
    if language == "fa" { "پیرو گفت‌وگوی تلفنی ما" } else { "Following our call" }
}

/// When nobody is written to: from a time of day until another, or never. Written `21:00-08:00`, or empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct QuietHours(Option<(i64, i64)>);

impl QuietHours {
    /// Whether it is quiet at a moment, on a clock.
    #[must_use]
    pub fn contains(self, at_unix_ms: u64, clock: UtcOffset) -> bool {
        let Some((from, until)) = self.0 else { return false };
        let now = minutes(at_unix_ms, clock).rem_euclid(DAY);
        if from <= until { (from..until).contains(&now) } else { now >= from || now < until }
    }
}

impl TryFrom<String> for QuietHours {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self(None));
        }
        let time = |text: &str| {
            let (hour, minute) = text.trim().split_once(':')?;
            let (hour, minute): (u8, u8) = (hour.parse().ok()?, minute.parse().ok()?);
            (hour < 24 && minute < 60).then(|| i64::from(hour) * 60 + i64::from(minute))
        };
        let hours = text.split_once('-').and_then(|(from, until)| Some((time(from)?, time(until)?)));
        let hours = hours.filter(|(from, until)| from != until);
        hours.map(|hours| Self(Some(hours))).ok_or_else(|| format!("`{text}` are no hours like 21:00-08:00"))
    }
}

impl From<QuietHours> for String {
    fn from(hours: QuietHours) -> Self {
        hours.to_string()
    }
}

impl fmt::Display for QuietHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((from, until)) = self.0 else { return Ok(()) };
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, until / 60, until % 60)
    }
}

/// When the day of a moment began, on a clock; both in milliseconds since 1970 (UTC).
#[must_use]
pub fn day_begins(at_unix_ms: u64, clock: UtcOffset) -> u64 {
    let here = minutes(at_unix_ms, clock);
    let begin = here - here.rem_euclid(DAY) - i64::from(clock.whole_minutes());
    u64::try_from(begin).unwrap_or_default().saturating_mul(60_000)
}

/// Minutes since 1970 on a clock.
fn minutes(at_unix_ms: u64, clock: UtcOffset) -> i64 {
    // Milliseconds by 60,000 fit in any case.
    i64::try_from(at_unix_ms / 60_000).unwrap_or(i64::MAX / 2) + i64::from(clock.whole_minutes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{ContactKind, Priority, Stage, Task, TaskKind};

    /// 2026-12-01 at 10:30 in Tehran.
    const AT: u64 = 1_796_108_400_000;
    const HOUR: u64 = 3_600_000;

    fn tehran() -> UtcOffset {
        UtcOffset::from_hms(3, 30, 0).unwrap()
    }

    fn iran() -> Option<Country> {
        Some("IR".parse().unwrap())
    }

    fn contact() -> Contact {
        Contact {
            kind: ContactKind::Lead,
            stage: Stage::New,
            name: "Sara".to_owned(),
            numbers: vec![Phone::parse("+989121234567", None).unwrap()],
            email: Some("sara@example.com".to_owned()),
            company: None,
            owner: None,
            notes: String::new(),
            fields: [("telegram".to_owned(), "12345".to_owned())].into(),
        }
    }

    fn promise(kind: TaskKind, channel: Option<Channel>, to: Option<&str>, quote: &str) -> Proposal {
        let to = to.map(str::to_owned);
        let (due_at_unix_ms, priority) = (Some(AT), Priority::Normal);
        let task = Task { kind, title: None, channel, to, due_at_unix_ms, priority, assignee: None };
        Proposal { origin: "7:0".to_owned(), quote: quote.to_owned(), task }
    }

    fn drafted(proposal: &Proposal, channels: &[MessageChannel]) -> Option<FollowUp> {
        let contact = contact();
        let recipient = Recipient { contact: &contact, channels, country: iran(), clock: tehran() };
        FollowUp::draft(proposal, &Texts::default(), &recipient)
    }

    #[test]
    fn a_promise_is_followed_up_the_way_it_was_said_and_in_its_language() {
        let mail = promise(TaskKind::Message, Some(Channel::Email), None, "I will send you the details.");
        let draft = drafted(&mail, &MessageChannel::ALL).unwrap();
        assert_eq!((draft.channel, draft.to.as_deref()), (MessageChannel::Email, Some("sara@example.com")));
        assert_eq!(draft.subject.as_deref(), Some("Following our call"));
        assert!(draft.text.starts_with("Hello Sara, as promised"), "{}", draft.text);
        let call = promise(TaskKind::Callback, Some(Channel::Phone), None, "فردا ساعت ده و نیم تماس می‌گیرم.");
        let draft = drafted(&call, &MessageChannel::ALL).unwrap();
        assert_eq!((draft.channel, draft.to.as_deref()), (MessageChannel::Sms, Some("+989121234567")));
        assert!(draft.text.contains("سه‌شنبه ۱۰ آذر ساعت ۱۰:۳۰") && draft.subject.is_none(), "{}", draft.text);
        let said = promise(TaskKind::Message, Some(Channel::Sms), Some("0935 123 4567"), "I will text you.");
        assert_eq!(drafted(&said, &MessageChannel::ALL).unwrap().to.as_deref(), Some("+989351234567"));
        let chat =
            promise(TaskKind::Message, Some(Channel::Telegram), Some("+989351234567"), "I will write.");
        assert_eq!(
            drafted(&chat, &MessageChannel::ALL).unwrap().to.as_deref(),
            Some("12345"),
            "no number is a chat"
        );
    }

    #[test]
    fn what_cannot_be_sent_is_not_drafted() {
        let text = promise(TaskKind::Message, Some(Channel::Sms), None, "I will text you.");
        assert_eq!(drafted(&text, &[]), None);
        assert_eq!(
            drafted(&text, &[MessageChannel::Webhook]).unwrap().to,
            None,
            "whoever sends it knows where"
        );
        assert_eq!(drafted(&text, &[MessageChannel::Email]).unwrap().channel, MessageChannel::Email);
        let inside = promise(TaskKind::Task, None, None, "I will look into it.");
        assert_eq!(drafted(&inside, &MessageChannel::ALL), None, "it is nothing to tell the customer");
        let russian = promise(TaskKind::Message, None, None, "Я вам напишу.");
        assert_eq!(drafted(&russian, &MessageChannel::ALL), None);
    }

    #[test]
    fn whose_call_has_dropped_is_called_where_they_were_and_a_promise_is_never_spoken() {
        let contact = contact();
        let number = Phone::parse("+989351234567", None).unwrap();
        let topics = [("en".to_owned(), "Prices".to_owned())].into();
        let said = |channels: &[MessageChannel], language| {
            let recipient = Recipient { contact: &contact, channels, country: iran(), clock: tehran() };
            FollowUp::after_drop(&number, &topics, language, &Texts::default(), &recipient)
        };
        let draft = said(&MessageChannel::ALL, "en").unwrap();
        assert_eq!(
            (draft.channel, draft.to.as_deref()),
            (MessageChannel::CallMessage, Some("+989351234567"))
        );
        assert!(draft.text.starts_with("Hello Sara. Our call was cut off while"), "{}", draft.text);
        assert!(draft.text.contains("about this: Prices."), "{}", draft.text);
        let persian = said(&MessageChannel::ALL, "fa").unwrap();
        assert!(
            persian.text.starts_with("سلام Sara. تماس ما قطع شد."),
            "a title of another language: {}",
            persian.text
        );
        assert_eq!(said(&[MessageChannel::Sms], "en"), None, "nothing is configured to say it by");
        assert_eq!(said(&MessageChannel::ALL, "ru"), None);
        let call = promise(TaskKind::Callback, None, None, "I will call you tomorrow at ten.");
        assert_eq!(drafted(&call, &[MessageChannel::CallMessage]), None);
    }

    #[test]
    fn addresses_are_kept_in_one_spelling_and_what_is_none_is_named() {
        let message = |channel, to: Option<&str>| FollowUp {
            channel,
            to: to.map(str::to_owned),
            subject: Some("a".to_owned()),
            text: " hello\0 ".to_owned(),
            not_before_unix_ms: None,
        };
        let kept = |channel, to| message(channel, to).checked(iran()).map(|kept| (kept.to, kept.subject));
        let to = |to: &str| Some(to.to_owned());
        assert_eq!(kept(MessageChannel::Sms, Some("0912 123 4567")), Ok((to("+989121234567"), None)));
        assert_eq!(
            kept(MessageChannel::Email, Some("Sara@Example.com")),
            Ok((to("sara@example.com"), to("a")))
        );
        for chat in ["-100123", "12345", "@harper_bank"] {
            assert_eq!(kept(MessageChannel::Telegram, Some(chat)), Ok((to(chat), None)));
        }
        assert_eq!(kept(MessageChannel::Webhook, None), Ok((None, to("a"))));
        assert_eq!(kept(MessageChannel::Sms, Some("1002")), Err(Wrong::Number("1002".to_owned())));
        assert_eq!(kept(MessageChannel::Email, Some("sara")), Err(Wrong::Email("sara".to_owned())));
        for none in ["sara", "@abc", "@a b c d e", "@../sendMessage"] {
            assert_eq!(kept(MessageChannel::Telegram, Some(none)), Err(Wrong::Chat(none.to_owned())));
        }
        assert_eq!(kept(MessageChannel::Email, None), Err(Wrong::Empty("to")));
        let long = FollowUp { text: "x".repeat(901), ..message(MessageChannel::Sms, Some("09121234567")) };
        assert_eq!(long.checked(iran()), Err(Wrong::TooMuch("text", 900)));
        let bare = FollowUp { subject: None, ..message(MessageChannel::Email, Some("a@b.c")) };
        assert_eq!(bare.checked(None), Err(Wrong::Empty("subject")));
        let silent = FollowUp { text: " ".to_owned(), ..message(MessageChannel::Webhook, None) };
        assert_eq!(silent.checked(None), Err(Wrong::Empty("text")));
    }

    #[test]
    fn a_person_decides_and_what_may_have_been_sent_is_not_sent_again() {
        use FollowUpState::*;
        const ALL: [FollowUpState; 8] = [Drafted, Approved, Sending, Sent, Failed, Dead, Unknown, Dismissed];
        for state in [Sending, Sent, Unknown, Dismissed] {
            assert!(!state.may_become(Approved) && !state.may_become(Dismissed), "{state:?}");
        }
        for state in [Drafted, Failed, Dead] {
            assert!(state.may_become(Approved) && state.may_become(Dismissed) && state.may_become(Drafted));
        }
        assert!(Approved.may_become(Dismissed) && Approved.may_become(Drafted));
        assert!(Unknown.may_become(Sent) && Unknown.may_become(Drafted));
        for next in [Sending, Failed, Dead, Unknown] {
            assert!(ALL.into_iter().all(|state| !state.may_become(next)));
        }
        assert!(ALL.into_iter().all(|state| state == Unknown || !state.may_become(Sent)));
    }

    #[test]
    fn it_is_quiet_at_night_on_the_organisations_clock() {
        let hours = QuietHours::try_from("21:00-08:00".to_owned()).unwrap();
        let quiet = |hours: QuietHours, after: u64| hours.contains(AT + after, tehran());
        assert!(!quiet(hours, 0) && !quiet(hours, 10 * HOUR) && quiet(hours, 11 * HOUR));
        assert!(quiet(hours, 21 * HOUR) && !quiet(hours, 22 * HOUR));
        assert!(hours.contains(AT + 18 * HOUR, UtcOffset::UTC), "07:00 and 01:00 of other clocks");
        let noon = QuietHours::try_from("12:00-14:00".to_owned()).unwrap();
        assert!(quiet(noon, 2 * HOUR) && !quiet(noon, 4 * HOUR));
        assert!(!quiet(QuietHours::default(), 12 * HOUR));
        assert_eq!(String::from(hours), "21:00-08:00");
        assert_eq!(QuietHours::try_from(String::new()), Ok(QuietHours::default()));
        for wrong in ["21-8", "24:00-08:00", "08:00-08:00", "21:60-08:00", "21:00"] {
            assert!(QuietHours::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
        assert_eq!(day_begins(AT, tehran()), AT - 10 * HOUR - HOUR / 2);
        assert_eq!(day_begins(AT - 11 * HOUR, tehran()), AT - 34 * HOUR - HOUR / 2);
        assert_eq!(day_begins(0, tehran()), 0);
    }

    proptest! {
        #[test]
        fn a_day_begins_before_each_of_its_moments(at in 0u64..4_000_000_000_000, minutes in -720i32..840) {
            let clock = UtcOffset::from_whole_seconds(minutes * 60).unwrap();
            let begin = day_begins(at, clock);
            prop_assert!(begin <= at && (begin == 0 || at - begin < 24 * HOUR));
        }

        #[test]
        fn whatever_hours_are_written_get_an_answer(text in "[-0-9: ]{0,12}", at: u64) {
            if let Ok(hours) = QuietHours::try_from(text) {
                let _ = hours.contains(at, tehran());
                prop_assert_eq!(QuietHours::try_from(String::from(hours)), Ok(hours));
            }
        }

        #[test]
        fn whatever_is_written_is_kept_or_refused(to in "\\PC{0,40}", text in "\\PC{0,40}", n in 0usize..5) {
            let channel = MessageChannel::ALL[n];
            let message = FollowUp { channel, to: Some(to), subject: None, text, not_before_unix_ms: None };
            if let Ok(kept) = message.checked(iran()) {
                prop_assert_eq!(kept.checked(iran()), Ok(kept.clone()));
            }
        }
    }
}
