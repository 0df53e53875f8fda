//! The agent's place in a call that goes through us.
//!
//! Whoever is in charge sits there and talks with the customer: first the agent who took the call, later perhaps
//! the same agent at a page that was loaded anew, or a colleague the call was handed to, at a page or at a
//! telephone outside. A colleague who is asked for advice sits beside. While nobody's audio comes the customer hears
//! that they are waited for; when that lasts for longer than [`GRACE`], the call is over.
//!
//! Whoever is in charge may leave while a colleague is being rung. The customer then hears music with nobody in the
//! seat, and is rung for elsewhere ([`SeatParts::onward`]) when the colleague does not take the call.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, SelectAll};
use futures::{FutureExt, StreamExt};
use sotto_audio::Tone;
use sotto_call::{
    Dtmf, EventBody, LegEnded, LegStarted, Millis, Participant, Participants, Party, PartyChange, Transferred,
};
use sotto_media::{
    Bridge, CallClock, End, Leg, LegConfig, LegEvent, LegOutputs, LegStats, MemberId, Part, Role,
};
use sotto_sip::{DialError, Progress, ReferError, Referral, Target};
use sotto_webrtc::{Browser, Connection, News};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::messages::{Caller, ToPage};
use super::{Accepted, Desk, Supervision, Talk};
use crate::hub::LiveCall;
use crate::insight::CallMemory;
use crate::needs::Condition;

/// How long a customer waits for an agent whose browser is gone.
pub(super) const GRACE: Duration = Duration::from_secs(15);
/// Events of a leg that wait to be told.
const LEG_EVENTS: usize = 64;
/// Orders that wait to be followed: as many as people press buttons.
const ORDERS: usize = 16;

/// How far a call to a customer is.
#[derive(Clone, Copy, Debug)]
pub enum Calling {
    /// Nothing is known of it.
    Dialled,
    /// It is under way.
    Progress(Progress),
    /// The customer is there.
    Answered,
}

/// An agent at a browser.
pub struct Sitter {
    /// Who.
    pub agent: String,
    /// Their audio.
    pub browser: Browser,
}

/// The way to numbers outside.
pub trait Outward: Send + Sync {
    /// Rings at one. From its first sound on its audio goes where the outputs say, until the token is cancelled; the
    /// receiver tells that it has hung up.
    fn dial(
        &self,
        target: Target,
        outputs: LegOutputs,
        over: CancellationToken,
        on_progress: OnProgress,
    ) -> BoxFuture<'static, Result<Gone, DialError>>;

    /// Rings at the one that the customer's side wants to be called in its place.
    fn dial_instead(
        &self,
        referral: Referral,
        outputs: LegOutputs,
    ) -> BoxFuture<'static, Result<(), DialError>>;

    /// Has the customer's side call one in our place; absent where it is not to be asked.
    fn refer(&self, number: &str) -> Option<BoxFuture<'static, Result<(), ReferError>>>;
}

/// Is told how far a call outside is.
pub type OnProgress = Box<dyn Fn(Progress) + Send + Sync>;

/// A telephone outside that is being rung: what ends its audio, and tells of its end.
type Dialled = BoxFuture<'static, Result<(CancellationToken, Gone), DialError>>;

/// Ends when a telephone outside has hung up.
pub type Gone = oneshot::Receiver<()>;

/// What an agent on the call wants; asked by whoever is in charge unless it says by whom.
pub enum Order {
    /// The same agent at another page, or at another address.
    Resume(Box<Sitter>),
    /// The customer hears music, or the agent again.
    Hold(bool),
    /// A colleague is to have the call.
    Transfer {
        /// An agent's name, a number of ours, or one outside.
        to: String,
        /// After a talk between the two, while the customer hears music.
        consult: bool,
    },
    /// The colleague who sits beside has the call from now on.
    Complete,
    /// No colleague is needed.
    TakeBack,
    /// A page is there again, and does not know how things are.
    Tell,
    /// Someone leaves.
    HangUp {
        /// Who.
        agent: String,
    },
    /// The customer's side, or a telephone outside in the agent's place, wants a number to be called in its place:
    /// whether it is.
    Refer(Box<Referral>, oneshot::Sender<bool>),
}

/// The customer's side of it: hears the agent, music, or that the agent is waited for.
#[derive(Clone)]
pub struct Customer {
    bridge: Bridge,
    member: MemberId,
    live: LiveCall,
    hears: Arc<Mutex<Option<Tone>>>,
}

impl Customer {
    /// What the customer hears instead of people.
    pub fn hears(&self) -> Option<Tone> {
        *self.hears.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the customer hear something instead of people, or people again.
    fn hold(&self, tone: Option<Tone>) {
        let mut hears = self.hears.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *hears, tone);
        if before == tone {
            return;
        }
        self.bridge.hold(self.member, tone);
        let party = PartyChange { party: Some(Party::Customer) };
        match (before, tone) {
            (None, Some(_)) => self.live.publish(EventBody::Paused(party)),
            (Some(_), None) => self.live.publish(EventBody::Resumed(party)),
            _ => {}
        }
    }
}

/// What a seat is made from.
pub struct SeatParts {
    /// Where agents are.
    pub desk: Desk,
    /// The call's log.
    pub live: LiveCall,
    /// The call's clock.
    pub clock: CallClock,
    /// Who the customer is.
    pub customer: Participant,
    /// What is remembered of them.
    pub memory: Arc<CallMemory>,
    /// Who hears whom, and the customer's place there.
    pub place: (Bridge, MemberId),
    /// Where a party's audio goes; none when the call is over.
    pub outputs: Box<dyn Fn(Party) -> Option<LegOutputs> + Send + Sync>,
    /// What supervisors need.
    pub supervision: Supervision,
    /// The way to numbers outside, when there is one.
    pub outward: Option<Box<dyn Outward>>,
    /// Where it rings, one after the other, for a customer whom everybody has left.
    pub onward: VecDeque<String>,
    /// Ends the call.
    pub over: CancellationToken,
}

/// See the module.
pub struct Seat {
    parts: SeatParts,
    bridge: Bridge,
    customer: Customer,
    from: Caller,
    give: mpsc::Sender<Order>,
    orders: mpsc::Receiver<Order>,
    /// Who is in charge comes first.
    occupants: Vec<Occupant>,
    events: SelectAll<BoxStream<'static, (u64, What)>>,
    ringing: Option<Summons>,
    /// Where it is still to ring for a customer whom everybody has left.
    onward: VecDeque<String>,
    instead: Option<Instead>,
    next_turn: u64,
    /// The customer is being called, and has not answered.
    is_calling: Arc<AtomicBool>,
    /// The audio of whoever was in charge did not come back, and that has ended the call with the customer.
    is_abandoned: bool,
}

/// Someone with audio on the call.
struct Occupant {
    agent: String,
    member: MemberId,
    /// Tells one page's audio from the next one's.
    turn: u64,
    audio: Audio,
    /// When the audio stopped to come.
    gone: Option<Instant>,
}

/// Where an occupant's audio comes from.
enum Audio {
    Page {
        leg: Leg,
        connection: Arc<Connection>,
    },
    /// Ends it.
    Outside(CancellationToken),
}

/// What comes of an occupant's audio.
enum What {
    Leg(LegEvent),
    /// The leg has ended by itself.
    Ended,
    News(News),
    HungUp,
}

/// A colleague is being rung. Dropped, it rings no more.
struct Summons {
    to: String,
    consult: bool,
    answer: BoxFuture<'static, Result<Found, DialError>>,
    /// Whom the wire is laid for already.
    outside: Option<MemberId>,
    /// The telephone outside in the agent's place wants it.
    referral: Option<Box<Referral>>,
}

/// A number is being rung that the customer's side wants to be called in its place.
struct Instead {
    number: String,
    member: MemberId,
    answer: BoxFuture<'static, Result<(), DialError>>,
}

/// Who has answered.
enum Found {
    Page(Box<Accepted>),
    Outside(CancellationToken, Gone),
    /// The customer's side has called them: the call is over here.
    Elsewhere,
}

impl Seat {
    /// With the first agent in it.
    ///
    /// Must be called within a Tokio runtime.
    pub fn take(parts: SeatParts, first: Sitter) -> Self {
        let mut seat = Self::empty(parts);
        seat.sit(first, Role::Agent);
        seat
    }

    /// With somebody at a telephone outside in it, once they have answered.
    ///
    /// # Errors
    /// When there is no way to telephones outside, or the call is not taken there.
    pub async fn take_outside(
        parts: SeatParts,
        number: &str,
        on_progress: OnProgress,
    ) -> Result<Self, DialError> {
        let mut seat = Self::empty(parts);
        let rung = seat.ring_outside(number.into(), Role::Agent, on_progress);
        let (member, answer) = rung.ok_or(DialError::Unreachable)?;
        let (over, gone) = answer.await?;
        seat.sit_outside(number.to_owned(), member, over, gone);
        seat.tell();
        Ok(seat)
    }

    fn empty(parts: SeatParts) -> Self {
        let (bridge, member) = parts.place.clone();
        let live = parts.live.clone();
        let customer = Customer { bridge: bridge.clone(), member, live, hears: Arc::default() };
        let (give, orders) = mpsc::channel(ORDERS);
        let from = Caller { aor: parts.customer.aor.clone(), name: parts.customer.name.clone() };
        let (occupants, events) = (Vec::new(), SelectAll::new());
        Self {
            parts,
            bridge,
            customer,
            from,
            give,
            orders,
            occupants,
            events,
            ringing: None,
            onward: VecDeque::new(),
            instead: None,
            next_turn: 0,
            is_calling: Arc::default(),
            is_abandoned: false,
        }
    }

    /// Where it takes orders.
    pub fn orders(&self) -> mpsc::Sender<Order> {
        self.give.clone()
    }

    /// Lets whoever is in charge hear how far a call to the customer is, and the customer once it is answered: a
    /// handle that outlives changes of page. Nothing is kept of what is said before.
    pub fn ear(&self) -> impl Fn(Calling) + Send + Sync + 'static {
        let (bridge, customer) = (self.bridge.clone(), self.customer.member);
        let member = self.occupants.first().map(|first| first.member);
        let is_calling = Arc::clone(&self.is_calling);
        move |now| {
            is_calling.store(!matches!(now, Calling::Answered), Ordering::Relaxed);
            let Some(member) = member else { return };
            let (tone, agents, customers) = match now {
                Calling::Dialled => (Some(Tone::Silence), Part::Hears, Part::IsHeard),
                Calling::Progress(Progress::Ringing) => (Some(Tone::Ringback), Part::Hears, Part::IsHeard),
                Calling::Progress(Progress::Heard) => (None, Part::Hears, Part::IsHeard),
                Calling::Answered => (None, Part::Whole, Part::Whole),
            };
            bridge.hold(member, tone);
            bridge.set_part(member, agents);
            bridge.set_part(customer, customers);
        }
    }

    /// Keeps the seat until `stop`, and tells everyone that it is over. Whether the call is over because the audio of its
    /// agent did not come back.
    pub async fn keep(mut self, stop: CancellationToken) -> bool {
        loop {
            let gone = self.occupants.iter().filter_map(|occupant| occupant.gone).min();
            let ringing = self.ringing.as_mut().map(|summons| &mut summons.answer);
            let instead = self.instead.as_mut().map(|instead| &mut instead.answer);
            tokio::select! {
                biased;
                // Counts although the call may be over by it.
                answer = when(ringing) => self.answered(answer),
                answer = when(instead) => self.is_replaced(&answer),
                () = stop.cancelled() => break,
                Some(order) = self.orders.recv() => self.follow(order),
                Some((turn, what)) = self.events.next(), if !self.events.is_empty() => self.hear(turn, what),
                () = when(gone.map(|since| tokio::time::sleep_until(since + GRACE))) => self.is_late(),
            }
        }
        (self.ringing, self.instead) = (None, None);
        // Supervisors leave with everyone else, and before the call's log is closed.
        self.parts.over.cancel();
        self.parts.supervision.there.close();
        self.parts.supervision.there.wait().await;
        let id = self.parts.live.id();
        for (place, occupant) in std::mem::take(&mut self.occupants).into_iter().enumerate() {
            // Only now has the agents' audio ended: whoever left before has left it to somebody else.
            if let Some(LegStats { packets, lost, .. }) = occupant.audio.end().await.filter(|_| place == 0) {
                let ended = LegEnded { party: Party::Agent, packets, lost };
                self.parts.live.publish(EventBody::LegEnded(ended));
            }
            self.parts.desk.over(&occupant.agent, (place == 0).then_some(id));
        }
        self.parts.desk.ended(id);
        self.is_abandoned
    }

    /// Someone sits down: who is in charge, or who only gives advice.
    fn sit(&mut self, Sitter { agent, browser }: Sitter, role: Role) {
        let (member, end) = self.bridge.join(role);
        self.start(agent, browser, member, end);
        self.tell();
    }

    fn start(&mut self, agent: String, browser: Browser, member: MemberId, end: End) {
        let Browser { format, pipe, mut news, connection, .. } = browser;
        let Some(outputs) = (self.parts.outputs)(Party::Agent) else {
            self.bridge.leave(member);
            // What they had was theirs to the end.
            let had = self.occupants.is_empty().then(|| self.parts.live.id());
            self.parts.desk.over(&agent, had);
            tokio::spawn(async move { connection.close().await });
            return;
        };
        let outputs = LegOutputs { bridge: Some(end), ..outputs };
        let (events, mut heard) = mpsc::channel(LEG_EVENTS);
        let leg = Leg::start(pipe, format, None, self.parts.clock, outputs, events, LegConfig::default());
        let turn = self.turn();
        let heard = stream::poll_fn(move |context| heard.poll_recv(context));
        let news = stream::poll_fn(move |context| news.poll_recv(context));
        // When it is stopped, its turn is over.
        let heard = heard.map(move |event| (turn, What::Leg(event)));
        self.events.push(heard.chain(stream::iter([(turn, What::Ended)])).boxed());
        self.events.push(news.map(move |news| (turn, What::News(news))).boxed());
        let talk = Talk {
            connection: connection.clone(),
            live: self.parts.live.clone(),
            clock: self.parts.clock,
            from: self.from.clone(),
            bridge: self.bridge.clone(),
            customer: self.customer.clone(),
            orders: self.give.clone(),
            supervision: self.parts.supervision.clone(),
            over: self.parts.over.clone(),
        };
        let is_first = self.occupants.is_empty();
        if !self.parts.desk.talking(&agent, self.parts.live.id(), talk, is_first) && is_first {
            // Gone in this very moment.
            self.parts.over.cancel();
        }
        let audio = Audio::Page { leg, connection };
        self.occupants.push(Occupant { agent, member, turn, audio, gone: None });
    }

    fn turn(&mut self) -> u64 {
        self.next_turn += 1;
        self.next_turn
    }

    /// Rings at a telephone outside, for which the wire is laid at once: whoever is in charge hears its tones and
    /// announcements.
    fn ring_outside(
        &self,
        target: Target,
        role: Role,
        on_progress: OnProgress,
    ) -> Option<(MemberId, Dialled)> {
        let (outward, outputs) = (self.parts.outward.as_ref()?, (self.parts.outputs)(Party::Agent)?);
        let (member, end) = self.bridge.join(role);
        self.bridge.set_part(member, Part::IsHeard);
        let over = self.parts.over.child_token();
        let outputs = LegOutputs { bridge: Some(end), ..outputs };
        let dialled = outward.dial(target, outputs, over.clone(), on_progress);
        Some((member, async move { Ok((over, dialled.await?)) }.boxed()))
    }

    fn sit_outside(&mut self, number: String, member: MemberId, over: CancellationToken, gone: Gone) {
        self.bridge.set_part(member, Part::Whole);
        let turn = self.turn();
        self.events.push(stream::once(gone).map(move |_| (turn, What::HungUp)).boxed());
        let audio = Audio::Outside(over);
        self.occupants.push(Occupant { agent: number, member, turn, audio, gone: None });
    }

    /// Someone leaves while the call goes on; `had` it, or only gave advice.
    fn dismiss(&self, occupant: Occupant, had: bool) {
        let Occupant { agent, member, audio, .. } = occupant;
        self.bridge.leave(member);
        self.parts.desk.over(&agent, had.then(|| self.parts.live.id()));
        tokio::spawn(audio.end());
    }

    fn follow(&mut self, order: Order) {
        match order {
            Order::Resume(sitter) => self.resume(*sitter),
            Order::Hold(on) => {
                self.customer.hold(on.then_some(Tone::Music));
                self.tell();
            }
            Order::Transfer { to, consult } => self.summon(to, consult),
            Order::Refer(referral, accepted) => {
                let is_accepted = self.refer(referral);
                let _ = accepted.send(is_accepted);
            }
            Order::Tell => self.tell(),
            Order::Complete if self.occupants.len() > 1 => self.hand_over(),
            Order::Complete => {}
            Order::TakeBack => {
                self.ring_no_more();
                while self.occupants.len() > 1
                    && let Some(guest) = self.occupants.pop()
                {
                    self.dismiss(guest, false);
                }
                self.customer.hold(None);
                self.tell();
            }
            Order::HangUp { agent } => {
                let place = self.occupants.iter().position(|occupant| occupant.agent == agent);
                match (place, self.occupants.len()) {
                    // Who is asked for advice goes, and the customer is there again.
                    (Some(place @ 1..), _) => {
                        let guest = self.occupants.remove(place);
                        self.dismiss(guest, false);
                        self.customer.hold(None);
                        self.tell();
                    }
                    // Nobody's customer is left alone with music.
                    (Some(0), 2..) => self.hand_over(),
                    (Some(0), _) if self.ringing.is_some() => self.leave_to_colleague(),
                    _ => self.parts.over.cancel(),
                }
            }
        }
    }

    /// The audio of someone who is on the call comes from another page, or another address, from now on.
    fn resume(&mut self, Sitter { agent, browser }: Sitter) {
        let Some(place) = self.occupants.iter().position(|occupant| occupant.agent == agent) else {
            tokio::spawn(async move { browser.connection.close().await });
            return;
        };
        let before = self.occupants.remove(place);
        let Some(end) = self.bridge.rejoin(before.member) else { return };
        self.start(agent, browser, before.member, end);
        // `start` puts the newest last.
        if let Some(now) = self.occupants.pop() {
            self.occupants.insert(place.min(self.occupants.len()), now);
        }
        tokio::spawn(before.audio.end());
        self.tell();
    }

    /// A colleague is rung, while the customer hears music.
    fn summon(&mut self, to: String, consult: bool) {
        if self.occupants.len() > 1 || self.ringing.is_some() {
            if let Some(first) = self.occupants.first() {
                self.parts.desk.refuse(&first.agent, "a colleague is on it already");
            }
            return;
        }
        if self.ring(to, consult) {
            self.tell();
        } else if let Some(first) = self.occupants.first() {
            // It was there when it was asked for.
            self.parts.desk.refuse(&first.agent, "there is no way there any more");
        }
    }

    /// Lets it ring somewhere, while the customer hears music; whether there is a way there. Where every number is put
    /// through, those that are nobody's in particular are still outside, as long as there is a way out.
    fn ring(&mut self, to: String, consult: bool) -> bool {
        let in_charge = self.occupants.first().map(|first| first.agent.clone());
        let is_here = match self.parts.outward {
            Some(_) => self.parts.desk.reaches(&to),
            None => self.parts.desk.has_number(&to),
        };
        let (answer, outside) = if is_here {
            let (desk, from, called) = (self.parts.desk.clone(), self.from.clone(), to.clone());
            let ring = async move {
                let answer = desk.ring(&called, &from, in_charge, || {}).await;
                answer.map(|accepted| Found::Page(Box::new(accepted))).map_err(|_| DialError::NoAnswer)
            };
            (ring.boxed(), None)
        } else if let Some((member, dialled)) =
            self.ring_outside(to.as_str().into(), Role::Guest, Box::new(|_| {}))
        {
            let outward = self.parts.outward.as_ref().filter(|_| !consult);
            let elsewhere = outward.and_then(|outward| outward.refer(&to));
            (elsewhere_or_here(elsewhere, dialled).boxed(), Some(member))
        } else {
            return false;
        };
        self.customer.hold(Some(Tone::Music));
        self.ringing = Some(Summons { to, consult, answer, outside, referral: None });
        true
    }

    /// Who is in charge leaves before the colleague who is being rung has taken the call, and the customer waits for
    /// them alone. Whom the agent only wanted to ask is then to have the call.
    fn leave_to_colleague(&mut self) {
        if let Some(summons) = &mut self.ringing {
            summons.consult = false;
        }
        self.onward.clone_from(&self.parts.onward);
        let before = self.occupants.remove(0);
        self.dismiss(before, true);
        self.parts.desk.in_charge(self.parts.live.id(), None);
        self.customer.hold(Some(Tone::Music));
        self.tell();
    }

    /// Everybody has left the customer, and who was rung does not take the call.
    fn go_onward(&mut self) {
        while let Some(next) = self.onward.pop_front() {
            tracing::info!(call = %self.parts.live.id(), next, "nobody has the customer");
            if self.ring(next, false) {
                return self.tell();
            }
        }
        self.parts.over.cancel();
    }

    /// Somebody wants a number to be called in their place: whether it is.
    fn refer(&mut self, referral: Box<Referral>) -> bool {
        let is_customer = referral.party() == Party::Customer;
        let number = referral.target().number().to_owned();
        if is_customer {
            let Some(outputs) = (self.parts.outputs)(Party::Customer).filter(|_| self.instead.is_none())
            else {
                return false;
            };
            let Some(outward) = &self.parts.outward else { return false };
            let (member, end) = self.bridge.join(Role::Customer);
            self.bridge.set_part(member, Part::IsHeard);
            let outputs = LegOutputs { bridge: Some(end), ..outputs };
            let answer = outward.dial_instead(*referral, outputs);
            self.instead = Some(Instead { number, member, answer });
            return true;
        }
        // A telephone outside that has the customer for itself.
        let is_alone = matches!(self.occupants.as_slice(), [Occupant { audio: Audio::Outside(_), .. }]);
        if !is_alone || self.ringing.is_some() {
            return false;
        }
        let rung = self.ring_outside(referral.target().clone(), Role::Guest, Box::new(|_| {}));
        let Some((member, dialled)) = rung else { return false };
        let answer = elsewhere_or_here(None, dialled).boxed();
        self.customer.hold(Some(Tone::Music));
        let (outside, referral) = (Some(member), Some(referral));
        self.ringing = Some(Summons { to: number, consult: false, answer, outside, referral });
        true
    }

    /// What came of the call in the customer's place.
    fn is_replaced(&mut self, answer: &Result<(), DialError>) {
        let Some(Instead { number, member, .. }) = self.instead.take() else { return };
        if let Err(error) = answer {
            tracing::info!(call = %self.parts.live.id(), number, %error, "not transferred");
            return self.bridge.leave(member);
        }
        tracing::info!(call = %self.parts.live.id(), number, "the customer's side has transferred the call");
        self.bridge.replace(self.customer.member, member);
        self.parts.memory.has_another_customer();
        self.transferred(Party::Customer, &number);
        let aor = Some(format!("sip:{number}"));
        self.parts.customer = Participant { party: Party::Customer, aor: aor.clone(), name: None };
        self.from = Caller { aor, name: None };
        self.tell();
    }

    fn transferred(&self, party: Party, to: &str) {
        let to = to.to_owned();
        self.parts.live.publish(EventBody::Transferred(Transferred { party, to }));
    }

    fn ring_no_more(&mut self) {
        if let Some(member) = self.ringing.take().and_then(|summons| summons.outside) {
            self.bridge.leave(member);
        }
    }

    fn answered(&mut self, found: Result<Found, DialError>) {
        let Some(Summons { to, consult, outside, referral, .. }) = self.ringing.take() else { return };
        let is_left = self.occupants.is_empty();
        match (found, outside) {
            (Ok(Found::Page(accepted)), _) => {
                let Accepted { agent, browser } = *accepted;
                self.sit(Sitter { agent, browser }, Role::Guest);
            }
            (Ok(Found::Outside(over, gone)), Some(member)) => {
                self.sit_outside(to, member, over, gone);
                self.tell();
            }
            (Ok(Found::Elsewhere), _) => {
                tracing::info!(call = %self.parts.live.id(), to, "the customer's side has called on");
                // Its dialog ends, and with it the call.
                return self.transferred(Party::Agent, &to);
            }
            (found, outside) => {
                if let Some(member) = outside {
                    self.bridge.leave(member);
                }
                if let Some(referral) = referral {
                    referral.tell(&found.map(|_| ()));
                    // Who has asked talks on with the customer, or has left them alone.
                    self.customer.hold(None);
                    if self.occupants.is_empty() {
                        self.parts.over.cancel();
                    }
                } else if let Some(first) = self.occupants.first() {
                    self.parts.desk.refuse(&first.agent, &format!("{to} does not answer"));
                } else {
                    return self.go_onward();
                }
                return self.tell();
            }
        }
        match referral {
            Some(referral) => self.hand_over_to_referred(*referral),
            None if is_left => self.takes_charge(),
            None if !consult => self.hand_over(),
            None => {}
        }
    }

    /// The number that a telephone outside has asked for has answered. Its own dialog ends once it knows.
    fn hand_over_to_referred(&mut self, referral: Referral) {
        if self.occupants.len() > 1 {
            let before = self.occupants.remove(0);
            self.bridge.leave(before.member);
        }
        referral.tell(&Ok(()));
        self.takes_charge();
    }

    /// The one who sits beside is in charge now, and who was in charge leaves.
    fn hand_over(&mut self) {
        if self.occupants.len() < 2 {
            return;
        }
        let before = self.occupants.remove(0);
        self.dismiss(before, true);
        self.takes_charge();
    }

    /// Who comes first is in charge from now on, and talks with the customer.
    fn takes_charge(&mut self) {
        if let Some(now) = self.occupants.first() {
            self.bridge.set_role(now.member, Role::Agent);
            self.parts.desk.in_charge(self.parts.live.id(), Some(&now.agent));
            tracing::info!(call = %self.parts.live.id(), to = now.agent, "handed over");
            self.transferred(Party::Agent, &now.agent);
        }
        self.customer.hold(None);
        self.tell();
    }

    fn hear(&mut self, turn: u64, what: What) {
        // What comes late of a page that has been replaced.
        let Some(place) = self.occupants.iter().position(|occupant| occupant.turn == turn) else { return };
        let party = Party::Agent;
        match what {
            What::Leg(LegEvent::FirstPacket { codec }) => {
                let codec = codec.to_owned();
                self.parts.live.publish(EventBody::LegStarted(LegStarted { party, codec }));
            }
            What::Leg(LegEvent::Dtmf { digit, duration_ms }) => {
                let duration_ms = Millis(duration_ms);
                self.parts.live.publish(EventBody::Dtmf(Dtmf { party, digit, duration_ms }));
            }
            What::Leg(LegEvent::Line(quality)) if place == 0 => {
                self.parts.live.becomes(Condition::Line(party, quality));
            }
            What::Leg(LegEvent::Line(_)) => {}
            // Somebody else is being called in its place.
            What::HungUp if self.ringing.as_ref().is_some_and(|summons| summons.referral.is_some()) => {
                let before = self.occupants.remove(place);
                self.bridge.leave(before.member);
            }
            What::Leg(LegEvent::Timeout) | What::Ended => self.lose(place),
            What::HungUp => self.give_up(place),
            What::News(now) => {
                match now {
                    News::Connected => self.is_back(place),
                    News::Lost | News::Failed => self.is_gone(place),
                    News::Candidate(_) | News::Gathered => {}
                }
                if let Some(occupant) = self.occupants.get(place) {
                    self.parts.desk.news(&occupant.agent, now);
                }
            }
        }
    }

    fn is_gone(&mut self, place: usize) {
        let Some(occupant) = self.occupants.get_mut(place) else { return };
        occupant.gone = occupant.gone.or_else(|| Some(Instant::now()));
        self.tell_of_the_agent();
        if place == 0 && self.customer.hears().is_none() {
            self.customer.hold(Some(Tone::Waiting));
        }
    }

    fn is_back(&mut self, place: usize) {
        let Some(occupant) = self.occupants.get_mut(place) else { return };
        occupant.gone = None;
        if place == 0 && self.customer.hears() == Some(Tone::Waiting) {
            self.customer.hold(None);
        }
        self.tell_of_the_agent();
    }

    /// Tells lists whether the audio of the agent in charge is there.
    fn tell_of_the_agent(&self) {
        let is_lost = self.occupants.first().is_some_and(|first| first.gone.is_some());
        self.parts.live.becomes(Condition::AgentLost(is_lost));
    }

    /// Somebody has been gone for too long.
    fn is_late(&mut self) {
        let now = Instant::now();
        let is_late = |occupant: &Occupant| occupant.gone.is_some_and(|since| now >= since + GRACE);
        if let Some(place) = self.occupants.iter().position(is_late) {
            self.lose(place);
        }
    }

    /// Somebody's audio does not come back.
    fn lose(&mut self, place: usize) {
        let was_over = self.parts.over.is_cancelled();
        self.give_up(place);
        // Who has not answered has not lost anybody.
        let has_ended = !was_over && self.parts.over.is_cancelled();
        self.is_abandoned |= has_ended && !self.is_calling.load(Ordering::Relaxed);
    }

    fn give_up(&mut self, place: usize) {
        let Some(occupant) = self.occupants.get_mut(place) else { return };
        occupant.gone = None;
        let agent = occupant.agent.clone();
        tracing::info!(call = %self.parts.live.id(), agent, "the agent is gone");
        self.follow(Order::HangUp { agent });
    }

    /// Tells the agents who else is there, and the log who takes part.
    fn tell(&self) {
        let ringing = self.ringing.as_ref().map(|summons| summons.to.clone());
        let beside = self.occupants.get(1).map(|beside| beside.agent.clone());
        self.parts.live.becomes(Condition::Colleague(ringing.clone().or(beside)));
        self.tell_of_the_agent();
        if let Some(first) = self.occupants.first() {
            let on = self.customer.hears() == Some(Tone::Music);
            self.parts.desk.tell(&first.agent, ToPage::Held { on });
        }
        for (place, occupant) in self.occupants.iter().enumerate() {
            let with = self.occupants.iter().find(|other| other.turn != occupant.turn);
            let message = ToPage::Colleague {
                in_charge: place == 0,
                ringing: ringing.clone().filter(|_| place == 0),
                with: with.map(|other| other.agent.clone()),
            };
            self.parts.desk.tell(&occupant.agent, message);
        }
        let agents = self.occupants.iter().map(|Occupant { agent, audio, .. }| match audio {
            Audio::Page { .. } => Participant { party: Party::Agent, aor: None, name: Some(agent.clone()) },
            Audio::Outside(_) => {
                Participant { party: Party::Agent, aor: Some(format!("sip:{agent}")), name: None }
            }
        });
        let participants: Vec<_> = std::iter::once(self.parts.customer.clone()).chain(agents).collect();
        if self.parts.live.summary().participants != participants {
            self.parts.live.publish(EventBody::Participants(Participants { participants }));
        }
    }
}

impl Audio {
    /// Ends it, after all that was received has been heard: what that was, where signalling does not count it.
    async fn end(self) -> Option<LegStats> {
        match self {
            Self::Page { leg, connection } => {
                let stats = leg.stop().await;
                connection.close().await;
                Some(stats)
            }
            Self::Outside(over) => {
                over.cancel();
                None
            }
        }
    }
}

/// Somebody outside, called by the customer's side where that can be asked for it, or else by us.
async fn elsewhere_or_here(
    elsewhere: Option<BoxFuture<'static, Result<(), ReferError>>>,
    dialled: Dialled,
) -> Result<Found, DialError> {
    if let Some(elsewhere) = elsewhere {
        match elsewhere.await {
            Ok(()) => return Ok(Found::Elsewhere),
            // It may be calling still; they should not be called twice.
            Err(ReferError::NoNews) => {
                tracing::warn!("the customer's side has not said what became of a transfer");
                return Err(DialError::NoAnswer);
            }
            Err(error) => tracing::info!(%error, "the customer's side does not transfer: called by us"),
        }
    }
    dialled.await.map(|(over, gone)| Found::Outside(over, gone))
}

/// What a future gives, if there is one.
async fn when<F: Future>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
