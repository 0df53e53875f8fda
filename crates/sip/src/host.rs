//! The seam to the rest of Sotto: what signalling tells about calls, and what it is given for them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rsipstack::sip::Response;
use rsipstack::transaction::transaction::{TransactionEvent, TransactionEventSender};
use sotto_call::{CallId, EndReason, Millis, Participant, Party, Quality, Source};
use sotto_media::{CallClock, LegOutputs, LegStats};
use tokio_util::sync::CancellationToken;

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

/// Tells a caller that somebody is being rung (RFC 3261 section 21.1.2).
pub struct Ringing {
    /// Absent when the caller wants provisional answers only reliably (RFC 3262), which we do not send, or waits
    /// for none.
    provisional: Option<(TransactionEventSender, Response)>,
}

impl Ringing {
    pub(crate) fn new(provisional: Option<(TransactionEventSender, Response)>) -> Self {
        Self { provisional }
    }

    /// Somebody is being rung.
    pub fn ring(&self) {
        if let Some((respond, response)) = &self.provisional {
            let _ = respond.send(TransactionEvent::Respond(response.clone()));
        }
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
}

/// The rest of Sotto, as far as signalling is concerned.
#[async_trait]
pub trait Host: Send + Sync + 'static {
    /// Whether calls to this number are put through to someone, instead of only being listened to.
    fn has_number(&self, number: &str) -> bool;

    /// A call wants to begin. It has been answered with 100 and waits for this, which may take as long as
    /// somebody's telephone rings; it is dropped when the caller gives up.
    async fn begin(&self, call: NewCall, ringing: &Ringing) -> Result<StartedCall, Refusal>;

    /// Another leg joins a call.
    async fn add_leg(&self, id: CallId, leg: NewLeg) -> Result<LegOutputs, Refusal>;

    /// Something happened in a call.
    async fn note(&self, id: CallId, note: Note);

    /// The call is over, and all its legs have been stopped. Called exactly once for every call that began.
    async fn end(&self, id: CallId, reason: EndReason);
}
