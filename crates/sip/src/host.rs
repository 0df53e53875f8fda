//! The seam to the rest of Sotto: what signalling tells about calls, and what it is given for them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rsipstack::sip::Response;
use rsipstack::transaction::transaction::{TransactionEvent, TransactionEventSender};
use sotto_call::{CallId, EndReason, Millis, Participant, Party, Quality, Source};
use sotto_media::{CallClock, End, LegOutputs, LegStats};
use tokio_util::sync::CancellationToken;

use crate::early::{self, Early, Prepared};
use crate::sdp;
use crate::session::Referral;

/// How long a caller who waits may be told nothing.
const REPEAT: Duration = Duration::from_secs(60);

/// A call that is about to begin.
#[derive(Clone, Debug, PartialEq)]
pub struct NewCall {
    /// The name others know the call by: the recording metadata's session id, the joining header's value, or
    /// else the SIP Call-ID.
    pub external_id: String,
    /// SIPREC, or plain SIP legs.
    pub source: Source,
    /// The number that was called, when it is one of [`Host::has_number`]: the caller wants to talk to someone.
    pub called: Option<String>,
    /// Its legs so far, at least one.
    pub legs: Vec<NewLeg>,
    /// The people known so far.
    pub participants: Vec<Participant>,
    /// The headers of the INVITE that the configuration lists, by the configured name.
    pub headers: BTreeMap<String, String>,
    /// BCP 47 code of the language spoken, when the INVITE says.
    pub language: Option<String>,
    /// Whether the customer agrees that their mood is read, when the INVITE says.
    pub consent: Option<bool>,
}

/// A leg that is about to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLeg {
    /// Who speaks on it.
    pub party: Party,
    /// The label of its media section.
    pub label: Option<String>,
    /// Encoding name agreed on (`PCMU`).
    pub codec: &'static str,
}

/// What a call that has begun needs from its host.
pub struct StartedCall {
    /// Its identity.
    pub id: CallId,
    /// Its clock, shared by its legs.
    pub clock: CallClock,
    /// Where each leg's audio goes, in the order of [`NewCall::legs`].
    pub legs: Vec<LegOutputs>,
    /// Cancelled by the host when the call is to end.
    pub over: CancellationToken,
}

/// Tells a caller what happens before the call is answered.
pub struct Ringing {
    /// Absent when the caller wants provisional answers only reliably (RFC 3262), which we do not send, or waits
    /// for none.
    provisional: Option<(TransactionEventSender, Response)>,
    state: Mutex<Unanswered>,
    given_up: CancellationToken,
}

#[derive(Default)]
struct Unanswered {
    /// What was said last.
    said: Option<Response>,
    /// Says that there is something to hear.
    progress: Option<Response>,
    leg: Option<Early>,
}

impl Ringing {
    pub(crate) fn new(provisional: Option<(TransactionEventSender, Response)>) -> Self {
        Self { provisional, state: Mutex::default(), given_up: CancellationToken::new() }
    }

    /// Somebody is being rung (180, RFC 3261 section 21.1.2). A caller who hears something already is not told.
    pub fn ring(&self) {
        let mut state = self.state();
        if !matches!(state.leg, Some(Early::Begun(_)))
            && let Some((_, ringing)) = &self.provisional
        {
            self.say(&mut state, ringing.clone());
        }
    }

    /// Lets the caller hear what comes to this end of a bridge from now on (183, RFC 3960), until the call ends; it
    /// is given back where that cannot be. A call that begins then goes on with the end it has.
    ///
    /// Must be called within a Tokio runtime.
    #[must_use]
    pub fn hear(&self, end: End) -> Option<End> {
        let mut state = self.state();
        match (state.leg.take(), state.progress.take()) {
            (Some(Early::Prepared(prepared)), Some(progress)) => {
                state.leg = Some(Early::Begun(Box::new(prepared.begin(end))));
                self.say(&mut state, progress);
                None
            }
            (leg, _) => {
                state.leg = leg;
                Some(end)
            }
        }
    }

    /// From now on the caller can be let hear something.
    pub(crate) fn prepare(&self, prepared: Prepared, answer: &sdp::Session) {
        let mut state = self.state();
        state.progress = self.provisional.as_ref().map(|(_, ringing)| early::progress(ringing, answer));
        state.leg = Some(Early::Prepared(Box::new(prepared)));
    }

    /// The call has begun: its leg, as far as there is one.
    pub(crate) fn answered(&self) -> Option<Early> {
        self.state().leg.take()
    }

    /// The caller has given up, and hears nothing more.
    pub(crate) fn give_up(&self) {
        self.given_up.cancel();
        drop(self.answered());
    }

    /// Ends when the caller has given up.
    pub(crate) async fn given_up(&self) {
        self.given_up.cancelled().await;
    }

    /// Says once more what was said last, after a minute: proxies give up a call about which they hear nothing for
    /// three (RFC 3261 section 13.3.1.1).
    pub(crate) async fn repeat(&self) {
        tokio::time::sleep(REPEAT).await;
        self.say_again();
    }

    fn say_again(&self) {
        if let (Some(said), Some((respond, _))) = (&self.state().said, &self.provisional) {
            let _ = respond.send(TransactionEvent::Respond(said.clone()));
        }
    }

    fn say(&self, state: &mut Unanswered, response: Response) {
        state.said = Some(response.clone());
        if let Some((respond, _)) = &self.provisional {
            let _ = respond.send(TransactionEvent::Respond(response));
        }
    }

    fn state(&self) -> MutexGuard<'_, Unanswered> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a host does not want a call or a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// As many calls as this machine can take: 503 with Retry-After.
    Busy,
    /// Not allowed: 403.
    Forbidden,
    /// Not now: 480.
    Unavailable,
    /// Whoever was rung does not want to talk: 603.
    Declined,
    /// Everyone who can be on the call is: 486.
    Full,
}

/// Something that happened in a call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Note {
    /// The first audio of a leg has come.
    LegStarted {
        /// Whose.
        party: Party,
        /// RTP encoding name of the first packet.
        codec: &'static str,
    },
    /// Recording is paused, or a party is on hold; all parties when none is named.
    Paused(Option<Party>),
    /// The opposite of [`Note::Paused`].
    Resumed(Option<Party>),
    /// A key was pressed (RFC 4733, or an INFO request).
    Dtmf {
        /// By whom.
        party: Party,
        /// `0`-`9`, `*`, `#`, `A`-`D`.
        digit: char,
        /// For how long.
        duration: Millis,
    },
    /// How well a party is received, from now on.
    Line {
        /// Whose audio.
        party: Party,
        /// How.
        quality: Quality,
    },
    /// Audio of a leg that could not be taken: the leg had ended by itself.
    AudioLost {
        /// Whose.
        party: Party,
        /// How much.
        lost: Millis,
    },
    /// A leg has been stopped; everything it heard has been handed over.
    LegEnded {
        /// Whose.
        party: Party,
        /// What was received.
        stats: LegStats,
    },
    /// Someone has joined, left, or been described better: everyone who is there now. (That a plain leg's
    /// person has left is told by [`Note::LegEnded`] alone.)
    ParticipantsChanged(Vec<Participant>),
    /// The customer agrees that their mood is read, or does not, from now on.
    Consent(bool),
    /// Whoever was taken for the customer is an employee, as is only known now. Their leg stays what it is.
    NoCustomer,
}

/// The rest of Sotto, as far as signalling is concerned.
#[async_trait]
pub trait Host: Send + Sync + 'static {
    /// Whether calls to this number are put through to someone, instead of only being listened to.
    fn has_number(&self, number: &str) -> bool;

    /// Whether a call for this agent, or number, reaches them: not somebody else because every number is put through.
    fn reaches(&self, agent: &str) -> bool {
        self.has_number(agent)
    }

    /// Whether this is the name of an agent, there or not.
    async fn knows(&self, name: &str) -> bool {
        let _ = name;
        false
    }

    /// A call wants to begin. It has been answered with 100 and waits for this, which may take as long as
    /// somebody's telephone rings; it is dropped when the caller gives up.
    async fn begin(&self, call: NewCall, ringing: &Ringing) -> Result<StartedCall, Refusal>;

    /// Another leg joins a call.
    async fn add_leg(&self, id: CallId, leg: NewLeg) -> Result<LegOutputs, Refusal>;

    /// Something happened in a call.
    async fn note(&self, id: CallId, note: Note);

    /// The far end of a dialog wants somebody else to be called in its place (REFER, RFC 3515). Whoever accepts that
    /// places the call, with [`Endpoint::dial_instead`](crate::Endpoint::dial_instead) or as one of its own, and
    /// tells the referral what came of it.
    async fn refer(&self, id: CallId, referral: Referral) -> Result<(), Refusal> {
        let _ = (id, referral);
        Err(Refusal::Forbidden)
    }

    /// The call is over, and all its legs have been stopped. Called exactly once for every call that began.
    async fn end(&self, id: CallId, reason: EndReason);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_who_waits_is_told_again_what_was_said_last() {
        let (respond, mut said) = tokio::sync::mpsc::unbounded_channel();
        let ringing = Ringing::new(Some((respond, Response::default())));
        ringing.say_again();
        assert!(said.try_recv().is_err(), "there is nothing to repeat");
        ringing.ring();
        ringing.say_again();
        for _ in 0..2 {
            assert!(matches!(said.try_recv(), Ok(TransactionEvent::Respond(_))));
        }
    }
}
