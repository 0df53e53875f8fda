//! Messages to contacts: drafted of what was promised in calls, and sent once somebody has approved them.
//!
//! The store keeps them and says which is due; one task claims them, and a [`Sender`] hands them over. It is claimed before a
//! byte of it leaves, and settled after: where the process dies in between, or whoever takes a message gives no answer, nobody
//! knows whether it was sent. Then a person is asked, and nothing is sent again by itself. Only what surely was not sent is tried
//! again, later and later.

mod call;
mod config;
mod email;
mod post;
#[cfg(test)]
mod tests;
mod voice;

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use sotto_call::{CallId, EndReason, Party};
use sotto_crm::{FollowUp, MessageChannel, QuietHours, Recipient, Texts, day_begins};
use sotto_store::{CallEntry, Claim, ContactFilter, Draft, FollowUpRow, SendOutcome, Store, StoreError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use call::Announce;
pub use config::{
    CallMessageConfig, EmailConfig, FollowUpsConfig, MailTls, SmsConfig, TelegramConfig, WebhookConfig,
};
pub use voice::{SpeakerConfig, Speech, Voice, VoiceConfig, VoiceError, wav};

use crate::cli::now_unix_ms;
use crate::crm::CrmRules;
use crate::jobs::JobLimits;
use call::Telephone;
use email::Mailer;
use post::{Kavenegar, Telegram, Webhook};

/// By what rules messages are drafted and sent.
#[derive(Clone, Debug, Default)]
pub struct FollowUpRules {
    /// By what numbers and promises are read, and on what clock days are counted.
    pub crm: CrmRules,
    /// By what messages can be sent here, in the order in which they are taken.
    pub channels: Vec<MessageChannel>,
    /// What messages say.
    pub texts: Arc<Texts>,
    /// When nobody is written to.
    pub quiet: QuietHours,
    /// Messages to one contact a day.
    pub per_day: u32,
    /// The languages that are spoken on the telephone, the usual one first.
    pub spoken: Vec<&'static str>,
}

/// Where a message is drafted from that is not drawn from anything said: a call has dropped.
const DROPPED: &str = "dropped";

impl FollowUpRules {
    /// What follows from the promises of a call, and from its having dropped, to the contact it was with.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn drafts(
        &self,
        store: &Store,
        call: CallId,
        entry: &CallEntry,
    ) -> Result<Vec<Draft>, StoreError> {
        let calls = self.channels.contains(&MessageChannel::CallMessage);
        let has_dropped = calls && has_dropped(store, call).await?;
        if self.channels.is_empty() || (entry.note.proposals.is_empty() && !has_dropped) {
            return Ok(Vec::new());
        }
        let filter = ContactFilter { number: Some(entry.number.clone()), limit: 1, ..Default::default() };
        let Some(row) = store.contacts(&filter).await?.pop() else { return Ok(Vec::new()) };
        let CrmRules { country, clock } = self.crm;
        let recipient = Recipient { contact: &row.contact, channels: &self.channels, country, clock };
        let drafts = entry.note.proposals.iter().filter_map(|proposal| {
            let message = FollowUp::draft(proposal, &self.texts, &recipient)?;
            Some(Draft { contact: row.id, origin: proposal.origin.clone(), message })
        });
        let language = self.language_of(entry).filter(|_| has_dropped);
        let dropped = language.and_then(|language| {
            let topics = &entry.note.topics;
            let message = FollowUp::after_drop(&entry.number, topics, language, &self.texts, &recipient)?;
            Some(Draft { contact: row.id, origin: DROPPED.to_owned(), message })
        });
        Ok(drafts.chain(dropped).collect())
    }

    /// In what language its customer is called: in that of the call's summary, or else in the usual one.
    fn language_of(&self, entry: &CallEntry) -> Option<&'static str> {
        let said = sotto_text::language(&entry.note.communication.content);
        let spoken = || self.spoken.iter().copied();
        spoken().find(|language| *language == said).or_else(|| spoken().next())
    }

    /// What may be sent at a moment.
    fn claim(&self, now_unix_ms: u64) -> Claim {
        let is_quiet = self.quiet.contains(now_unix_ms, self.crm.clock);
        let channels = self.channels.iter().copied().filter(|by| !(is_quiet && by.disturbs()));
        Claim {
            now_unix_ms,
            day_begins_unix_ms: day_begins(now_unix_ms, self.crm.clock),
            per_day: self.per_day,
            channels: channels.collect(),
        }
    }
}

/// Whether a call that goes through us, and that its customer has taken part in, has ended without anybody's hanging up. Of one
/// that is only listened to that is not known: it may go on where nobody listens. Nor is it of one whose log alone has ended
/// ([`EndReason::Fault`]): its parties may talk on.
async fn has_dropped(store: &Store, call: CallId) -> Result<bool, StoreError> {
    let ended = store.call(call).await?.and_then(|row| row.ended);
    if ended.is_none_or(|reason| matches!(reason, EndReason::Hangup | EndReason::Fault)) {
        return Ok(false);
    }
    let state = store.state(call).await?;
    // Of a customer who was called and has not answered no audio has begun.
    let was_there = state.legs.iter().any(|(party, _)| *party == Party::Customer);
    Ok(was_there && state.started.is_some_and(|started| started.bridged))
}

/// What became of handing a message over.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// It was taken, and is called so there.
    Sent(Option<String>),
    /// It surely was not taken; it may be tried again, not before this has passed if that was said.
    Again(String, Option<Duration>),
    /// It was refused for good.
    Refused(String),
    /// Whether it was taken is not known.
    Unknown(String),
}

impl Outcome {
    /// Why it was not, if it was not.
    fn why(self) -> String {
        match self {
            Self::Sent(_) => String::new(),
            Self::Again(why, _) | Self::Refused(why) | Self::Unknown(why) => why,
        }
    }
}

/// What hands messages over.
pub struct Sender {
    email: Option<Mailer>,
    sms: Option<Kavenegar>,
    telegram: Option<Telegram>,
    webhook: Option<Webhook>,
    telephone: Option<Telephone>,
}

impl Sender {
    /// From now on messages are said on the telephone as well.
    #[must_use]
    pub fn that_calls(self, voice: Voice, announce: Announce) -> Self {
        Self { telephone: Some(Telephone::new(voice, announce)), ..self }
    }

    /// What was sent before and is sent again is told by its key, and not taken twice.
    fn tells_twice(&self) -> BTreeSet<MessageChannel> {
        self.webhook.iter().filter(|webhook| webhook.tells_twice()).map(|_| MessageChannel::Webhook).collect()
    }

    async fn send(&self, row: &FollowUpRow, patience: Duration) -> Outcome {
        let nothing = || Outcome::Refused("nothing is configured to send it by".to_owned());
        match row.message.channel {
            MessageChannel::Email => match &self.email {
                Some(mailer) => mailer.send(row, patience).await,
                None => nothing(),
            },
            MessageChannel::Sms => match &self.sms {
                Some(sms) => sms.send(row, patience).await,
                None => nothing(),
            },
            MessageChannel::Telegram => match &self.telegram {
                Some(telegram) => telegram.send(row, patience).await,
                None => nothing(),
            },
            MessageChannel::Webhook => match &self.webhook {
                Some(webhook) => webhook.send(row, patience).await,
                None => nothing(),
            },
            MessageChannel::CallMessage => match &self.telephone {
                Some(telephone) => telephone.send(row).await,
                None => nothing(),
            },
        }
    }
}

/// What was sent, counted from the start of the process.
#[derive(Debug, Default)]
pub struct Figures {
    /// Messages that were taken.
    pub sent: AtomicU64,
    /// Tries that failed, and of which that is known.
    pub failed: AtomicU64,
    /// Messages that were given up.
    pub dead: AtomicU64,
    /// Messages of which a person has to find out.
    pub unknown: AtomicU64,
}

/// Of the messages that are sent at the same time: those that are said on the telephone take a minute each, and hold up no other.
const CALLS_AT_ONCE: usize = 2;

/// How messages are sent when nothing else is said: so often, and with so much patience.
#[must_use]
pub fn limits(tries: u32) -> JobLimits {
    JobLimits {
        at_once: 4,
        tries,
        patience: Duration::from_secs(60),
        pause: Duration::from_secs(30),
        longest_pause: Duration::from_secs(3_600),
        every: Duration::from_secs(1),
    }
}

/// Sends what is due until it is told to stop, and then ends what it has begun. Whoever runs it holds
/// [`Store::lock_instance`].
pub async fn run(
    store: Store,
    sender: Sender,
    rules: FollowUpRules,
    limits: JobLimits,
    figures: Arc<Figures>,
    stop: CancellationToken,
) {
    let outbox = Arc::new(Outbox { store, sender, rules, limits, figures, stop });
    outbox.take_up().await;
    let (mut under_way, mut calls) = (JoinSet::new(), 0);
    while !outbox.stop.is_cancelled() {
        while under_way.len() < limits.at_once {
            let mut claim = outbox.rules.claim(now_unix_ms());
            if calls >= CALLS_AT_ONCE {
                claim.channels.remove(&MessageChannel::CallMessage);
            }
            match outbox.store.claim_follow_up(&claim).await {
                Ok(Some(row)) => {
                    let is_call = row.message.channel == MessageChannel::CallMessage;
                    calls += usize::from(is_call);
                    let sending = Arc::clone(&outbox).attend_to(row);
                    under_way.spawn(sending.map(move |()| is_call));
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "no message can be claimed just now");
                    break;
                }
            }
        }
        tokio::select! {
            () = outbox.stop.cancelled() => {}
            Some(ended) = under_way.join_next() => calls -= usize::from(ended.unwrap_or_default()),
            () = tokio::time::sleep(limits.every) => {}
        }
    }
    while under_way.join_next().await.is_some() {}
}

struct Outbox {
    store: Store,
    sender: Sender,
    rules: FollowUpRules,
    limits: JobLimits,
    figures: Arc<Figures>,
    stop: CancellationToken,
}

impl Outbox {
    /// Says of what was being sent when the process before this one died that nobody knows what became of it.
    async fn take_up(&self) {
        let tells_twice = self.sender.tells_twice();
        loop {
            match self.store.take_up_follow_ups(&tells_twice, now_unix_ms()).await {
                Ok(0) => return,
                Ok(messages) => {
                    self.figures.unknown.fetch_add(messages, Ordering::Relaxed);
                    return tracing::warn!(messages, "it is not known whether these were sent");
                }
                Err(error) => tracing::warn!(%error, "what was being sent cannot be looked at just now"),
            }
            if self.rests().await {
                return;
            }
        }
    }

    async fn attend_to(self: Arc<Self>, row: FollowUpRow) {
        let sending = AssertUnwindSafe(self.sender.send(&row, self.limits.patience)).catch_unwind();
        let outcome = sending.await.unwrap_or_else(|_| Outcome::Unknown("sending it panicked".to_owned()));
        let attempt = match outcome {
            Outcome::Sent(receipt) => SendOutcome::Sent(receipt),
            Outcome::Refused(why) => SendOutcome::Failed(why),
            Outcome::Unknown(why) => SendOutcome::Unknown(why),
            Outcome::Again(why, _) if row.tries >= self.limits.tries => SendOutcome::Dead(why),
            Outcome::Again(why, told) => {
                let told = told.map_or(0, |told| u64::try_from(told.as_millis()).unwrap_or(u64::MAX));
                let pause = self.limits.pause_ms(row.tries).max(told);
                SendOutcome::Again(why, now_unix_ms().saturating_add(pause))
            }
        };
        let counted = match &attempt {
            SendOutcome::Sent(_) => &self.figures.sent,
            SendOutcome::Again(..) | SendOutcome::Failed(_) => &self.figures.failed,
            SendOutcome::Dead(_) => &self.figures.dead,
            SendOutcome::Unknown(_) => &self.figures.unknown,
        };
        // What it says, where it goes, and what others say of that, is not for the log.
        if !matches!(attempt, SendOutcome::Sent(_)) {
            tracing::warn!(message = %row.id, tries = row.tries, "a message was not sent, or that is not known");
        }
        if self.settle(&row, &attempt).await {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Tells the store what came of a try, however long the database is away; whether it is told. If not, the message is one
    /// that was being sent when the process ended.
    async fn settle(&self, row: &FollowUpRow, attempt: &SendOutcome) -> bool {
        loop {
            match self.store.settle_follow_up(row, attempt, now_unix_ms()).await {
                Ok(is_ours) => return is_ours,
                Err(error) if error.is_permanent() => {
                    tracing::error!(message = %row.id, %error, "the database refuses what became of a message");
                    return false;
                }
                Err(error) => tracing::warn!(%error, "what became of a message waits for the database"),
            }
            if self.rests().await {
                return false;
            }
        }
    }

    /// Waits a little; whether it is told to stop.
    async fn rests(&self) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => true,
            () = tokio::time::sleep(self.limits.every) => false,
        }
    }
}
