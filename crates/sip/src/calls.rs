//! Calls: the legs that belong together, from the first to the last.
//!
//! A recording session is a call by itself. Plain legs that carry the same value in the joining header become
//! one, and with them legs that come under the same name by another way ([`Joined`](crate::Joined)); whoever comes
//! while the first is still being begun waits for it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use sotto_call::{CallId, EndReason, Participant, Party, Source};
use sotto_media::{CallClock, LegOutputs};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::host::{Host, NewCall, NewLeg, Note, Refusal, Ringing, StartedCall};
use crate::plan::{MAX_LEGS, Plan, Reject};
use crate::session::{Input, Referral};

type Slot = Arc<tokio::sync::Mutex<Option<Arc<Call>>>>;

/// All calls.
pub(crate) struct Calls {
    host: Arc<dyn Host>,
    room: Arc<Semaphore>,
    lone_leg: Duration,
    joined: Mutex<HashMap<String, Slot>>,
    /// All that go on.
    live: Mutex<HashMap<CallId, Weak<Call>>>,
}

/// A call that goes on.
pub(crate) struct Call {
    pub(crate) id: CallId,
    pub(crate) clock: CallClock,
    /// Cancelled when the call is to end.
    pub(crate) over: CancellationToken,
    joined: Option<(String, Slot)>,
    state: Mutex<State>,
    _room: OwnedSemaphorePermit,
}

#[derive(Default)]
struct State {
    members: Vec<Member>,
    /// Two legs have been joined, so that one alone is not the whole call.
    was_joined: bool,
    /// Ends the call when the leg that is left has been alone for too long.
    lonely: Option<AbortHandle>,
    /// What its dialogs have said of consent, also those that have left.
    consents: BTreeMap<u64, bool>,
}

impl State {
    /// What the call says of consent now that a dialog says this, if it is something else. One that says no is enough.
    fn says(&mut self, dialog: u64, agrees: Option<bool>) -> Option<bool> {
        let before = self.consents.values().min().copied();
        self.consents.extend(agrees.map(|agrees| (dialog, agrees)));
        let now = self.consents.values().min().copied();
        now.filter(|_| now != before)
    }
}

/// A dialog's part in a call.
pub(crate) struct Member {
    pub(crate) dialog: u64,
    pub(crate) parties: Vec<Party>,
    pub(crate) participants: Vec<Participant>,
    pub(crate) reach: Reach,
}

/// How a member of a call is told what concerns it.
#[derive(Clone)]
pub(crate) enum Reach {
    /// A dialog, through its session's queue.
    Session(mpsc::Sender<Input>),
    /// A leg that came by another way: it can be asked to end.
    Other(CancellationToken),
}

impl Reach {
    /// It has been alone for too long.
    fn hang_up(&self) {
        match self {
            Self::Session(input) => drop(input.try_send(Input::HangUp)),
            Self::Other(end) => end.cancel(),
        }
    }
}

/// What a dialog gets when it has come into a call.
pub(crate) struct Entered {
    pub(crate) call: Arc<Call>,
    pub(crate) outputs: Vec<LegOutputs>,
    pub(crate) parties: Vec<Party>,
}

impl From<Refusal> for Reject {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Busy => Self::busy(),
            Refusal::Full => Self::new(486, "Busy Here"),
            Refusal::Forbidden => Self::new(403, "Forbidden"),
            Refusal::Unavailable => Self::new(480, "Temporarily Unavailable"),
            Refusal::Declined => Self::new(603, "Decline"),
        }
    }
}

impl Calls {
    pub(crate) fn new(host: Arc<dyn Host>, max_calls: usize, lone_leg: Duration) -> Self {
        let room = Arc::new(Semaphore::new(max_calls.min(Semaphore::MAX_PERMITS)));
        Self { host, room, lone_leg, joined: Mutex::default(), live: Mutex::default() }
    }

    /// True when one more call would be too many.
    pub(crate) fn is_full(&self) -> bool {
        self.room.available_permits() == 0
    }

    /// Whom a call is put through to: the one whom its header names, or else the number that it calls. Nobody when it
    /// is only to be listened to.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`] when it is for somebody who is not there, and does not say that it is a leg of a call:
    /// whoever has called to talk to somebody must not be answered by silence (RFC 3261 section 21.4.18).
    pub(crate) async fn called(&self, plan: &Plan) -> Result<Option<String>, Refusal> {
        if plan.source != Source::Sip || plan.join.is_some() {
            return Ok(None);
        }
        let agent = plan.agent.as_ref().filter(|agent| self.host.reaches(agent));
        let called = agent.or_else(|| plan.number.as_ref().filter(|number| self.host.has_number(number)));
        if called.is_some() || plan.party.is_some() {
            return Ok(called.cloned());
        }
        let is_for_somebody = plan.agent.is_some()
            || match &plan.number {
                Some(number) => self.host.knows(number).await,
                None => false,
            };
        if is_for_somebody { Err(Refusal::Unavailable) } else { Ok(None) }
    }

    /// Whether a call waits for legs under this name.
    pub(crate) fn knows(&self, key: &str) -> bool {
        self.joined().contains_key(key)
    }

    /// Begins a call, or joins the one that goes by `key`. `legs` makes the legs for the parties that are on
    /// the call already.
    pub(crate) async fn enter(
        &self,
        key: Option<&str>,
        dialog: u64,
        reach: &Reach,
        ringing: &Ringing,
        new: impl Fn(&[Party]) -> NewCall,
    ) -> Result<Entered, Refusal> {
        let member = |new: &NewCall| Member {
            dialog,
            parties: new.legs.iter().map(|leg| leg.party).collect(),
            participants: new.participants.clone(),
            reach: reach.clone(),
        };
        let Some(key) = key else { return self.begin(new(&[]), None, ringing, member).await };
        let (slot, mut held) = self.hold(key).await;
        let entered = match held.as_ref() {
            Some(call) => self.join(call, new(&call.parties()), member).await,
            None => {
                let joined = Some((key.to_owned(), slot.clone()));
                let begun = self.begin(new(&[]), joined, ringing, member).await;
                *held = begun.as_ref().ok().map(|entered| entered.call.clone());
                begun
            }
        };
        let empty = held.is_none();
        drop(held);
        if empty {
            self.forget(key, &slot);
        }
        entered
    }

    async fn begin(
        &self,
        new: NewCall,
        joined: Option<(String, Slot)>,
        ringing: &Ringing,
        member: impl Fn(&NewCall) -> Member,
    ) -> Result<Entered, Refusal> {
        let room = self.room.clone().try_acquire_owned().map_err(|_| Refusal::Busy)?;
        let (member, consent) = (member(&new), new.consent);
        let parties = member.parties.clone();
        let started = tokio::select! {
            started = self.host.begin(new, ringing) => started?,
            () = ringing.given_up() => return Err(Refusal::Unavailable),
        };
        let consents = consent.map(|agrees| (member.dialog, agrees)).into_iter().collect();
        let state = State { members: vec![member], consents, ..State::default() };
        let StartedCall { id, clock, legs, over } = started;
        let call = Call { id, clock, over, joined, state: Mutex::new(state), _room: room };
        if legs.len() != parties.len() {
            tracing::error!(call = %call.id, "the host gave {} outputs for {} legs", legs.len(), parties.len());
            self.host.end(call.id, EndReason::Hangup).await;
            return Err(Refusal::Unavailable);
        }
        Ok(Entered { call: self.goes_on(call), outputs: legs, parties })
    }

    /// Takes over a call that the host has begun by itself.
    pub(crate) fn adopt(&self, started: StartedCall, member: Member) -> Result<Arc<Call>, Refusal> {
        let room = self.room.clone().try_acquire_owned().map_err(|_| Refusal::Busy)?;
        let state = State { members: vec![member], ..State::default() };
        let StartedCall { id, clock, over, .. } = started;
        Ok(self.goes_on(Call { id, clock, over, joined: None, state: Mutex::new(state), _room: room }))
    }

    fn goes_on(&self, call: Call) -> Arc<Call> {
        let call = Arc::new(call);
        self.live().insert(call.id, Arc::downgrade(&call));
        call
    }

    fn live(&self) -> MutexGuard<'_, HashMap<CallId, Weak<Call>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session of a call that has one only.
    pub(crate) fn lone_session(&self, id: CallId) -> Option<mpsc::Sender<Input>> {
        let call = self.live().get(&id)?.upgrade()?;
        let state = call.state();
        match state.members.as_slice() {
            [Member { reach: Reach::Session(input), .. }] => Some(input.clone()),
            _ => None,
        }
    }

    /// Somebody on a call wants another to be called in their place.
    pub(crate) async fn refer(&self, call: &Call, referral: Referral) -> Result<(), Reject> {
        Ok(self.host.refer(call.id, referral).await?)
    }

    async fn join(
        &self,
        call: &Arc<Call>,
        new: NewCall,
        member: impl Fn(&NewCall) -> Member,
    ) -> Result<Entered, Refusal> {
        let leg = new.legs.first().cloned().ok_or(Refusal::Unavailable)?;
        if call.parties().len() >= MAX_LEGS {
            return Err(Refusal::Full);
        }
        let output = self.host.add_leg(call.id, leg).await?;
        let member = member(&new);
        let parties = member.parties.clone();
        let (participants, news) = {
            let mut state = call.state();
            let news = state.says(member.dialog, new.consent);
            state.members.push(member);
            state.was_joined = true;
            if let Some(lonely) = state.lonely.take() {
                lonely.abort();
            }
            let participants = state.members.iter().flat_map(|member| member.participants.clone());
            (participants.collect(), news)
        };
        self.host.note(call.id, Note::ParticipantsChanged(participants)).await;
        if let Some(agrees) = news {
            self.host.note(call.id, Note::Consent(agrees)).await;
        }
        Ok(Entered { call: call.clone(), outputs: vec![output], parties })
    }

    /// Takes in what a dialog on the call says of consent now.
    pub(crate) async fn consents(&self, call: &Call, dialog: u64, agrees: bool) {
        let news = call.state().says(dialog, Some(agrees));
        if let Some(agrees) = news {
            self.host.note(call.id, Note::Consent(agrees)).await;
        }
    }

    /// One more leg of a dialog that is on the call.
    pub(crate) async fn add_leg(&self, call: &Call, dialog: u64, leg: NewLeg) -> Result<LegOutputs, Refusal> {
        let party = leg.party;
        let output = self.host.add_leg(call.id, leg).await?;
        if let Some(member) = call.state().members.iter_mut().find(|member| member.dialog == dialog) {
            member.parties.push(party);
        }
        Ok(output)
    }

    /// One leg fewer of a dialog that stays on the call.
    pub(crate) fn drop_leg(&self, call: &Call, dialog: u64, party: Party) {
        if let Some(member) = call.state().members.iter_mut().find(|member| member.dialog == dialog)
            && let Some(at) = member.parties.iter().position(|p| *p == party)
        {
            member.parties.remove(at);
        }
    }

    pub(crate) async fn note(&self, call: &Call, note: Note) {
        self.host.note(call.id, note).await;
    }

    /// A dialog, whose legs have been stopped, leaves. The call ends with the last.
    pub(crate) async fn leave(&self, call: &Arc<Call>, dialog: u64, reason: EndReason) {
        let mut held = match &call.joined {
            Some((_, slot)) => Some(slot.clone().lock_owned().await),
            None => None,
        };
        let (is_last, is_lonely) = {
            let mut state = call.state();
            state.members.retain(|member| member.dialog != dialog);
            let is_last = state.members.is_empty();
            if is_last && let Some(lonely) = state.lonely.take() {
                lonely.abort();
            }
            (is_last, !is_last && state.was_joined)
        };
        if is_last {
            self.live().remove(&call.id);
            self.host.end(call.id, reason).await;
            if let Some(held) = held.as_mut() {
                **held = None;
            }
        } else if is_lonely && !self.lone_leg.is_zero() {
            let (lone_leg, watched) = (self.lone_leg, Arc::downgrade(call));
            let lonely = tokio::spawn(async move {
                tokio::time::sleep(lone_leg).await;
                if let Some(call) = watched.upgrade() {
                    for member in &call.state().members {
                        member.reach.hang_up();
                    }
                }
            });
            call.state().lonely = Some(lonely.abort_handle());
        }
        drop(held);
        if let Some((key, slot)) = call.joined.as_ref().filter(|_| is_last) {
            self.forget(key, slot);
        }
    }

    fn joined(&self) -> MutexGuard<'_, HashMap<String, Slot>> {
        self.joined.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slot of the calls that go by `key`, for one alone.
    async fn hold(&self, key: &str) -> (Slot, OwnedMutexGuard<Option<Arc<Call>>>) {
        loop {
            let slot = self.joined().entry(key.to_owned()).or_default().clone();
            if let Some(held) = self.held(key, &slot).await {
                return (slot, held);
            }
        }
    }

    /// Holds a slot, unless it was forgotten meanwhile: those who come later would not find a call in it.
    async fn held(&self, key: &str, slot: &Slot) -> Option<OwnedMutexGuard<Option<Arc<Call>>>> {
        let held = slot.clone().lock_owned().await;
        is_known(&self.joined(), key, slot).then_some(held)
    }

    /// Drops the slot of a call that has ended, unless someone waits in it to begin the next, or has another by now.
    fn forget(&self, key: &str, slot: &Slot) {
        let mut joined = self.joined();
        // Whoever waits holds the slot, and will come by here.
        if is_known(&joined, key, slot) && slot.try_lock().is_ok_and(|held| held.is_none()) {
            joined.remove(key);
        }
    }
}

/// Whether those who come by `key` find this slot.
fn is_known(joined: &HashMap<String, Slot>, key: &str, slot: &Slot) -> bool {
    joined.get(key).is_some_and(|known| Arc::ptr_eq(known, slot))
}

impl Call {
    /// Another dialog has a part in it.
    pub(crate) fn admit(&self, member: Member) {
        self.state().members.push(member);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who is on the call now.
    fn parties(&self) -> Vec<Party> {
        self.state().members.iter().flat_map(|member| member.parties.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use sotto_audio::ring;

    use super::*;

    /// Takes every call.
    struct Anyone;

    fn outputs() -> LegOutputs {
        LegOutputs { speech: ring(20).0, recording: ring(20).0, bridge: None }
    }

    #[async_trait]
    impl Host for Anyone {
        fn has_number(&self, _: &str) -> bool {
            false
        }

        async fn begin(&self, call: NewCall, _: &Ringing) -> Result<StartedCall, Refusal> {
            let legs = call.legs.iter().map(|_| outputs()).collect();
            let (clock, over) = (CallClock::start(), CancellationToken::new());
            Ok(StartedCall { id: CallId::new(), clock, legs, over })
        }

        async fn add_leg(&self, _: CallId, _: NewLeg) -> Result<LegOutputs, Refusal> {
            Ok(outputs())
        }

        async fn note(&self, _: CallId, _: Note) {}

        async fn end(&self, _: CallId, _: EndReason) {}
    }

    /// A leg that says that it is one of the call `a`.
    async fn enter(calls: &Calls, dialog: u64) -> Arc<Call> {
        let reach = Reach::Other(CancellationToken::new());
        let new = |_: &[Party]| NewCall {
            external_id: "a".to_owned(),
            source: Source::Sip,
            called: None,
            legs: vec![NewLeg { party: Party::Agent, label: None, codec: "PCMU" }],
            participants: Vec::new(),
            headers: BTreeMap::new(),
            language: None,
            consent: None,
        };
        calls.enter(Some("a"), dialog, &reach, &Ringing::new(None), new).await.unwrap().call
    }

    #[tokio::test]
    async fn a_slot_that_is_forgotten_before_it_is_held_begins_no_call() {
        let calls = Calls::new(Arc::new(Anyone), 10, Duration::ZERO);
        let first = enter(&calls, 1).await;
        // Whoever comes now has found the slot, and is about to lock it when the call ends.
        let found = calls.joined()["a"].clone();
        assert!(calls.held("a", &found).await.is_some());
        calls.leave(&first, 1, EndReason::Hangup).await;
        assert!(!calls.knows("a"));
        assert!(calls.held("a", &found).await.is_none(), "nobody would find a call there");

        let second = enter(&calls, 2).await;
        assert!(calls.held("a", &found).await.is_none(), "it is another's");
        calls.forget("a", &found);
        assert!(Arc::ptr_eq(&second, &enter(&calls, 3).await), "both are legs of one call");
        calls.leave(&second, 2, EndReason::Hangup).await;
        calls.leave(&second, 3, EndReason::Hangup).await;
        assert!(!calls.knows("a"));
    }

    #[test]
    fn a_leg_that_says_no_is_enough_until_it_says_yes_itself() {
        let mut state = State::default();
        let said = [
            ((1, None), None),
            ((1, Some(true)), Some(true)),
            ((2, Some(false)), Some(false)),
            ((1, Some(true)), None),
            ((3, None), None),
            ((2, Some(true)), Some(true)),
        ];
        for ((dialog, agrees), news) in said {
            assert_eq!(state.says(dialog, agrees), news, "{dialog}: {agrees:?}");
        }
    }
}
