//! Legs of a call whose audio comes by another way than SIP: they join calls as plain SIP legs do, and with them.

use std::sync::Arc;

use sotto_call::{CallId, EndReason, Participant, Party, Source};
use sotto_media::{CallClock, LegOutputs, LegStats};
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::calls::{Entered, Reach};
use crate::endpoint::Shared;
use crate::host::{NewCall, NewLeg, Note, Refusal, Ringing};
use crate::party::{Speaker, decide, unless_agent};
use crate::plan::{self, kept};
use crate::session::Part;

/// A leg that wants to be on a call.
#[derive(Clone, Debug)]
pub struct Joining {
    /// The name the call goes by: what the joining header of a plain SIP leg says.
    pub call: String,
    /// Who speaks on it, when that is known and not on the call already; else it is decided as for a plain SIP
    /// leg that does not say.
    pub party: Option<Party>,
    /// The speaker's name.
    pub name: Option<String>,
    /// BCP 47 code of the language spoken; that of the leg that begins the call counts.
    pub language: Option<String>,
    /// Whether the customer agrees that their mood is read, when that is known.
    pub consent: Option<bool>,
    /// Encoding name agreed on.
    pub codec: &'static str,
}

/// A leg that is on a call. It has to [`leave`](Self::leave); dropped, it leaves as one that nothing is heard of.
pub struct Joined {
    part: Part,
    party: Party,
    /// The other leg has left long ago.
    alone: CancellationToken,
    _session: TaskTrackerToken,
}

pub(crate) async fn join(shared: Arc<Shared>, leg: Joining) -> Result<(Joined, LegOutputs), Refusal> {
    let Joining { call, party, name, language, consent, codec } = leg;
    let key = kept(&call).ok_or(Refusal::Unavailable)?;
    if shared.stopping.is_cancelled() {
        return Err(Refusal::Busy);
    }
    let session = shared.sessions.token();
    let number = shared.next_number();
    let alone = CancellationToken::new();
    let reach = Reach::Other(alone.clone());
    let new_call = |taken: &[Party]| {
        let asked = party.filter(|party| *party == Party::Other || !taken.contains(party));
        let party = asked.unwrap_or_else(|| {
            let speaker = Speaker { name: name.clone(), ..Speaker::default() };
            let (rules, first) = (&shared.config.party_rules, shared.config.first.into());
            let decided = decide(rules, first, &[speaker], &|_| None, taken);
            unless_agent(party, decided.first().copied().unwrap_or(Party::Other))
        });
        NewCall {
            external_id: key.clone(),
            source: Source::Whip,
            called: None,
            legs: vec![NewLeg { party, label: None, codec }],
            participants: vec![Participant { party, aor: None, name: name.clone() }],
            headers: Default::default(),
            language: language.as_deref().and_then(plan::language),
            consent,
        }
    };
    let Entered { call, outputs, parties } =
        shared.calls.enter(Some(&key), number, &reach, &Ringing::new(None), new_call).await?;
    let party = parties.first().copied().unwrap_or(Party::Other);
    let joined = Joined { part: Part::new(shared, call, number), party, alone, _session: session };
    match outputs.into_iter().next() {
        Some(outputs) => Ok((joined, outputs)),
        None => {
            joined.leave(EndReason::Hangup, None).await;
            Err(Refusal::Unavailable)
        }
    }
}

impl Joined {
    /// The call.
    #[must_use]
    pub fn call(&self) -> CallId {
        self.part.call.id
    }

    /// The call's clock.
    #[must_use]
    pub fn clock(&self) -> CallClock {
        self.part.call.clock
    }

    /// Who speaks on the leg.
    #[must_use]
    pub fn party(&self) -> Party {
        self.party
    }

    /// Waits until the leg has to leave, and tells why.
    pub async fn is_over(&self) -> EndReason {
        tokio::select! {
            () = self.part.shared.stopping.cancelled() => EndReason::Shutdown,
            () = self.part.call.over.cancelled() => EndReason::Hangup,
            () = self.alone.cancelled() => EndReason::Hangup,
        }
    }

    /// Something happened on the leg.
    pub async fn note(&self, note: Note) {
        self.part.shared.calls.note(&self.part.call, note).await;
    }

    /// Leaves the call, which ends with its last leg. `heard` is what the leg, which has been stopped, received.
    pub async fn leave(mut self, reason: EndReason, heard: Option<LegStats>) {
        if let Some(stats) = heard {
            self.note(Note::LegEnded { party: self.party, stats }).await;
        }
        self.part.leave(reason).await;
    }
}
