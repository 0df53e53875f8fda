//! Agents at their browsers, and the calls that are put through to them.
//!
//! `messages` is what pages and the desk say to each other, `page` does what a page asks, `seat` is the agent's
//! place in a call, and `ear` a supervisor's; `waiting` is what a caller hears until there is an agent.
//!
//! A call to one of our numbers rings at one agent at a time, at the one who has been ready for longest. The
//! agent's page accepts with an offer of its own; from then on the agent is a leg like any other, and the
//! [`Bridge`](sotto_media::Bridge) carries both. A page that comes and goes takes its agent with it: who has no
//! page is rung by nobody. For as long as a call would wait for them they are expected back, so that whoever calls them
//! while the page is loaded anew waits in line.

mod ear;
mod messages;
mod page;
mod seat;
mod waiting;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sotto_audio::{Tone, Writer};
use sotto_call::{Attention, CallId};
use sotto_media::{Bridge, CallClock, MemberId, Role};
use sotto_sip::{Refusal, Trunk};
use sotto_store::Store;
use sotto_webrtc::{Browser, Connection, News, WebRtc};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::ear::{Attending, Ear, Headset, until_gone};
pub use self::messages::{
    AgentState, CallFailure, Caller, FromPage, InLine, MediaState, Ongoing, ToPage, Who,
};
use self::page::Line;
pub use self::page::{Page, Reason};
use self::seat::GRACE;
pub use self::seat::{Calling, Customer, Gone, OnProgress, Order, Outward, Seat, SeatParts, Sitter};
pub use self::waiting::WaitingCaller;
use crate::audit::Audit;
use crate::hub::LiveCall;
use crate::pace::Pace;
use crate::people;

/// Messages for a page that wait for it; a page that is further behind is gone.
const PAGE: usize = 256;
/// Characters of what may be dialled.
const LONGEST_NUMBER: usize = 64;

/// Calls to numbers of ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeskConfig {
    /// The numbers that are put through to agents. An agent is also reached by name.
    pub numbers: Vec<Number>,
    /// Who can do what: a skill, and the agents who have it.
    pub skills: BTreeMap<String, Vec<String>>,
    /// Where agents' own calls are placed.
    pub trunk: Trunk,
    /// Who is told that a supervisor comes to a call, does something else there, or leaves: `silent` for
    /// nobody, except that an agent always sees who whispers or barges in; `agent`: the agent sees them all,
    /// and hears a short tone; `everyone`: the customer hears it too.
    pub announce: Announce,
    /// How a call can have come out, for agents to choose from when it is over.
    pub outcomes: Vec<String>,
    /// Seconds that an agent is not rung after a call, to write down what is left to be written.
    pub wrap_up_s: u64,
}

impl Default for DeskConfig {
    fn default() -> Self {
        Self {
            numbers: Vec::new(),
            skills: BTreeMap::new(),
            trunk: Trunk::default(),
            announce: Announce::default(),
            outcomes: ["Resolved", "Call back", "No answer", "Wrong number"].map(str::to_owned).to_vec(),
            wrap_up_s: 20,
        }
    }
}

/// See [`DeskConfig::announce`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Announce {
    /// Nobody.
    #[default]
    Silent,
    /// The agent.
    Agent,
    /// The agent and the customer.
    Everyone,
}

impl Announce {
    /// Whether somebody hears that a supervisor comes or goes.
    fn reaches(self, role: Role) -> bool {
        match self {
            Self::Silent => false,
            Self::Agent => role == Role::Agent,
            Self::Everyone => matches!(role, Role::Agent | Role::Customer | Role::Guest),
        }
    }
}

/// A number that customers call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Number {
    /// The number, as the caller's INVITE has it (the user of the Request-URI); `*` for every number.
    pub number: String,
    /// Who answers, by name; empty for every agent.
    pub agents: Vec<String>,
    /// What who answers must be able to do: names out of `skills`.
    pub skills: Vec<String>,
    /// Among waiting callers those with a higher priority come first, then those who wait for longer.
    pub priority: i32,
    /// Seconds until a caller is told that nobody is there.
    pub patience_s: u64,
    /// Seconds that it rings at one agent before the next one's turn.
    pub ring_s: u64,
    /// A number that is called through the trunk when nobody has answered by then; empty for none.
    pub overflow: String,
    /// What callers hear until they are answered.
    pub waiting: Waits,
}

/// See [`Number::waiting`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Waits {
    /// Their own telephone's ringing (180), once it rings at an agent.
    #[default]
    Ring,
    /// Music, from the beginning (early media: 183). Callers who take provisional answers only reliably (100rel)
    /// hear nothing.
    Music,
}

impl Default for Number {
    fn default() -> Self {
        Self {
            number: String::new(),
            agents: Vec::new(),
            skills: Vec::new(),
            priority: 0,
            patience_s: 60,
            ring_s: 20,
            overflow: String::new(),
            waiting: Waits::Ring,
        }
    }
}

/// A call that an agent has taken.
pub struct Accepted {
    /// Who.
    pub agent: String,
    /// Their audio.
    pub browser: Browser,
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    shared: Arc<Shared>,
}

struct Shared {
    config: DeskConfig,
    webrtc: WebRtc,
    audit: Audit,
    /// By reason.
    refused: [AtomicU64; Reason::ALL.len()],
    /// How often agents' pages may offer audio.
    offers: Pace,
    state: Mutex<State>,
    /// Somebody has become ready.
    ready: Notify,
    dial: OnceLock<Dial>,
    /// Where those who may sign in are known.
    people: OnceLock<Store>,
}

/// Places a call for an agent at a browser.
pub type Dial = Box<dyn Fn(String, String, Browser) + Send + Sync>;

#[derive(Default)]
struct State {
    next: u64,
    agents: HashMap<String, Agent>,
    /// The calls that go through us.
    calls: HashMap<CallId, OnCall>,
    /// Callers who have not been answered, in the order in which they came.
    waiting: Vec<Waiting>,
}

/// A caller who waits to be answered.
struct Waiting {
    ticket: u64,
    number: Number,
    from: Caller,
    since: Instant,
    /// Whom it rings at.
    rings_at: Option<String>,
}

/// A call that goes through us.
#[derive(Clone)]
struct OnCall {
    /// Who is in charge of it; nobody while the customer waits for a colleague of somebody who has left.
    agent: Option<String>,
    talk: Talk,
    /// Supervisors, and what they do there. One may be there by several ways.
    ears: Vec<(MemberId, String, Attention)>,
}

struct Agent {
    /// Names the page: a later one takes the place of an earlier one.
    page: u64,
    tell: mpsc::Sender<ToPage>,
    state: AgentState,
    /// When the agent began to do that.
    since: Instant,
    /// From the moment that it rings until somebody has the call, or nobody.
    ringing: Option<Rung>,
    /// The way to the page's audio, from the moment that it is agreed on.
    connection: Option<Arc<Connection>>,
    talk: Option<Talk>,
    /// The call whose outcome is left to be written down.
    wraps_up: Option<CallId>,
    ear: Option<Ear>,
    /// To be away as soon as the call is over.
    leaves: bool,
    /// When the page went away, of an agent on no call.
    gone: Option<Instant>,
}

/// An agent whom it rings at.
struct Rung {
    /// Names the ringing.
    ring: u64,
    /// What the agent does about it; absent while the answer to the page's offer is made.
    decide: Option<oneshot::Sender<Verdict>>,
}

/// What an agent's page can do about the call the agent is on.
#[derive(Clone)]
pub struct Talk {
    /// The way to the page.
    pub connection: Arc<Connection>,
    /// Its log.
    pub live: LiveCall,
    /// Its clock.
    pub clock: CallClock,
    /// Who the customer is.
    pub from: Caller,
    /// Who hears whom.
    pub bridge: Bridge,
    /// The customer's side.
    pub customer: Customer,
    /// To the agent's place in it.
    pub orders: mpsc::Sender<Order>,
    /// What supervisors need.
    pub supervision: Supervision,
    /// Ends the call.
    pub over: CancellationToken,
}

/// What a call has for supervisors who come to it.
#[derive(Clone)]
pub struct Supervision {
    /// Where one is recorded.
    pub record: Arc<dyn Fn() -> Writer + Send + Sync>,
    /// Those who are there, each a task.
    pub there: TaskTracker,
}

enum Verdict {
    Accepted(Box<Browser>),
    Declined,
}

impl Desk {
    /// With nobody there yet.
    #[must_use]
    pub fn new(config: DeskConfig, webrtc: WebRtc, audit: Audit) -> Self {
        let shared = Shared {
            config,
            webrtc,
            audit,
            refused: Default::default(),
            offers: Pace::new(page::MOST_OFFERS, page::OFFERED_WITHIN),
            state: Mutex::default(),
            ready: Notify::new(),
            dial: OnceLock::new(),
            people: OnceLock::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// What agents and supervisors do that may be asked about later.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.shared.audit
    }

    /// How often a page has asked for what it does not get, by the name of the reason.
    #[must_use]
    pub fn refused(&self) -> [(&'static str, u64); Reason::ALL.len()] {
        let count = |reason: Reason| self.shared.refused[reason as usize].load(Ordering::Relaxed);
        Reason::ALL.map(|reason| (reason.name(), count(reason)))
    }

    /// From now on agents' calls are placed so.
    pub fn dial_with(&self, dial: Dial) {
        let _ = self.shared.dial.set(dial);
    }

    /// From now on the names of those who may sign in are known, whether they are there or not.
    pub fn know_from(&self, store: Store) {
        let _ = self.shared.people.set(store);
    }

    /// Something an agent asked for could not be done.
    pub fn refuse(&self, agent: &str, why: &str) {
        self.tell(agent, ToPage::Refused { why: why.to_owned() });
    }

    /// A call that an agent has placed does not come about.
    pub fn call_failed(&self, agent: &str, reason: CallFailure) {
        self.tell(agent, ToPage::CallFailed { reason });
    }

    fn tell(&self, agent: &str, message: ToPage) {
        if let Some(agent) = self.state().agents.get(agent) {
            agent.tell(message);
        }
    }

    /// Who is told that supervisors are there.
    #[must_use]
    pub fn announce(&self) -> Announce {
        self.shared.config.announce
    }

    /// How calls can have come out.
    #[must_use]
    pub fn outcomes(&self) -> &[String] {
        &self.shared.config.outcomes
    }

    /// The numbers that are put through to agents, without "every number".
    #[must_use]
    pub fn numbers(&self) -> Vec<String> {
        let numbers = self.shared.config.numbers.iter().map(|number| number.number.clone());
        numbers.filter(|number| number != "*").collect()
    }

    /// The agents who are there, by name.
    #[must_use]
    pub fn agents(&self) -> Vec<Who> {
        let state = self.state();
        let mut agents: Vec<Who> = (state.agents.iter())
            .filter(|(_, agent)| agent.gone.is_none())
            .map(|(name, agent)| Who {
                name: name.clone(),
                state: agent.state,
                since_ms: u64::try_from(agent.since.elapsed().as_millis()).unwrap_or(u64::MAX),
                call_id: agent.talk.as_ref().map(|talk| talk.live.id()),
            })
            .collect();
        agents.sort_by(|a, b| a.name.cmp(&b.name));
        agents
    }

    /// The callers who have not been answered yet, in the order in which they came.
    #[must_use]
    pub fn in_line(&self) -> Vec<InLine> {
        let in_line = |one: &Waiting| InLine {
            id: one.ticket,
            from: one.from.clone(),
            called: one.number.number.clone(),
            since_ms: u64::try_from(one.since.elapsed().as_millis()).unwrap_or(u64::MAX),
            rings_at: one.rings_at.clone(),
        };
        self.state().waiting.iter().map(in_line).collect()
    }

    /// Whether calls to `number` are put through to someone.
    #[must_use]
    pub fn has_number(&self, number: &str) -> bool {
        self.number(number).is_some()
    }

    /// Whether this is one of the configured numbers, or an agent who is there: not any number, where every number is
    /// put through.
    #[must_use]
    pub fn reaches(&self, called: &str) -> bool {
        self.named(called).is_some()
    }

    /// Whether somebody who may sign in has this name. Nobody has, while the database is away.
    pub async fn knows(&self, name: &str) -> bool {
        let (Some(people), Ok(name)) = (self.shared.people.get(), people::name(name)) else { return false };
        matches!(people.user_by_name(&name).await, Ok(Some(user)) if !user.disabled)
    }

    /// The number that is called when nobody has answered a call to this one.
    #[must_use]
    pub fn overflow(&self, called: &str) -> Option<String> {
        self.number(called).map(|number| number.overflow).filter(|overflow| !overflow.is_empty())
    }

    /// Where it rings, one after the other, for a customer who has called this number and whom everybody has left: at
    /// the number again, and where it overflows to. Nowhere for one who has called somebody by name: who has gone by then
    /// must not be looked for outside.
    #[must_use]
    pub fn onward(&self, called: &str) -> VecDeque<String> {
        let number = self.number(called).and_then(|found| self.configured(&found.number));
        number
            .into_iter()
            .flat_map(|number| [number.number, number.overflow])
            .filter(|to| !to.is_empty())
            .collect()
    }

    /// Whether callers hear music until somebody answers.
    #[must_use]
    pub fn has_music(&self, called: &str) -> bool {
        self.number(called).is_some_and(|number| number.waiting == Waits::Music)
    }

    fn number(&self, called: &str) -> Option<Number> {
        self.named(called).or_else(|| self.configured("*"))
    }

    fn configured(&self, number: &str) -> Option<Number> {
        self.shared.config.numbers.iter().find(|one| one.number == number).cloned()
    }

    fn named(&self, called: &str) -> Option<Number> {
        self.configured(called).or_else(|| {
            let agent = called.to_lowercase();
            let is_there = self.state().agents.get(&agent).is_some_and(Agent::is_expected);
            is_there.then(|| Number { number: called.to_owned(), agents: vec![agent], ..Number::default() })
        })
    }

    /// Rings until somebody takes the call, which `by` hands over, if anyone does: a colleague who alone could take it,
    /// and does not, is not rung again. `on_ring` is called when it rings somewhere for the first time.
    ///
    /// Dropped, it stops ringing.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`] when nobody takes it in time.
    pub async fn ring(
        &self,
        called: &str,
        from: &Caller,
        by: Option<String>,
        on_ring: impl Fn() + Send + Sync,
    ) -> Result<Accepted, Refusal> {
        let number = self.number(called).ok_or(Refusal::Unavailable)?;
        let ring = self.ring_around(&number, from, by, on_ring);
        let patience = Duration::from_secs(number.patience_s.max(1));
        let taken = tokio::time::timeout(patience, ring).await.ok().flatten();
        taken.ok_or(Refusal::Unavailable)
    }

    async fn ring_around(
        &self,
        number: &Number,
        from: &Caller,
        by: Option<String>,
        on_ring: impl Fn() + Send + Sync,
    ) -> Option<Accepted> {
        let place = self.wait_in_line(number, from);
        loop {
            let ready = self.shared.ready.notified();
            tokio::pin!(ready);
            // Whoever becomes ready while we look is not missed.
            ready.as_mut().enable();
            let Some((ringing, verdict)) = self.ring_next(place.ticket, number, from, by.as_ref()) else {
                ready.await;
                continue;
            };
            on_ring();
            let patience = Duration::from_secs(number.ring_s.max(1));
            match tokio::time::timeout(patience, verdict).await {
                Ok(Ok(Verdict::Accepted(browser))) => {
                    let agent = ringing.agent.clone();
                    ringing.answered();
                    return Some(Accepted { agent, browser: *browser });
                }
                Ok(Ok(Verdict::Declined)) => ringing.over(true, false),
                // The page is gone.
                Ok(Err(_)) => ringing.over(true, false),
                // Who does not hear it ring is not there.
                Err(_) => ringing.over(true, true),
            }
            if by.is_some() && number.agents.len() == 1 {
                return None;
            }
        }
    }

    fn wait_in_line(&self, number: &Number, from: &Caller) -> PlaceInLine {
        let mut state = self.state();
        state.next += 1;
        let ticket = state.next;
        let (number, from) = (number.clone(), from.clone());
        state.waiting.push(Waiting { ticket, number, from, since: Instant::now(), rings_at: None });
        PlaceInLine { desk: self.clone(), ticket }
    }

    /// Lets it ring at the agent whose turn it is, unless another caller comes first there.
    fn ring_next(
        &self,
        ticket: u64,
        number: &Number,
        from: &Caller,
        by: Option<&String>,
    ) -> Option<(Ringing, oneshot::Receiver<Verdict>)> {
        let mut state = self.state();
        let State { agents, waiting, .. } = &*state;
        let config = &self.shared.config;
        // In the order in which they came: who came later is first only with a higher priority.
        let mine = waiting.iter().position(|one| one.ticket == ticket)?;
        let is_first = |place: usize, one: &Waiting| match one.number.priority.cmp(&number.priority) {
            std::cmp::Ordering::Equal => place < mine,
            order => order.is_gt(),
        };
        let before: Vec<&Waiting> = (waiting.iter().enumerate())
            .filter(|(place, one)| *place != mine && one.rings_at.is_none() && is_first(*place, one))
            .map(|(_, one)| one)
            .collect();
        let is_free = |(name, agent): &(&String, &Agent)| {
            agent.state == AgentState::Ready
                && agent.gone.is_none()
                && config.answers(number, name)
                && !before.iter().any(|one| config.answers(&one.number, name))
        };
        let free = agents.iter().filter(is_free);
        let name = free.min_by_key(|(_, agent)| agent.since).map(|(name, _)| name.clone())?;
        if let Some(one) = state.waiting.iter_mut().find(|one| one.ticket == ticket) {
            one.rings_at = Some(name.clone());
        }
        state.next += 1;
        let ring = state.next;
        let agent = state.agents.get_mut(&name)?;
        let (decide, verdict) = oneshot::channel();
        agent.ringing = Some(Rung { ring, decide: Some(decide) });
        agent.becomes(AgentState::Ringing);
        let (from, called, by) = (from.clone(), number.number.clone(), by.cloned());
        agent.tell(ToPage::Ring { ring, from, called, by });
        let ringing = Ringing { desk: self.clone(), agent: name, ring, ticket, is_over: false };
        drop(state);
        // Who came later may have waited for this.
        self.shared.ready.notify_waiters();
        Some((ringing, verdict))
    }

    /// An agent's page is there: what is said to it comes out of the receiver, until another page of the same
    /// agent takes its place.
    #[must_use]
    pub fn open(&self, agent: &str, may_supervise: bool) -> (Page, mpsc::Receiver<ToPage>) {
        let (tell, told) = mpsc::channel(PAGE);
        let mut state = self.state();
        state.next += 1;
        let page = state.next;
        state.agents.retain(|_, agent| agent.is_expected());
        let before = state.agents.remove(agent);
        if let Some(ear) = before.as_ref().and_then(|before| before.ear.as_ref()) {
            ear.leave.cancel();
        }
        let mut new = Agent {
            page,
            tell,
            state: AgentState::Away,
            since: Instant::now(),
            ringing: None,
            connection: None,
            talk: None,
            wraps_up: None,
            ear: None,
            leaves: false,
            gone: None,
        };
        match before {
            // A page that was loaded anew goes on with the call, and with what is left to be done after it.
            Some(Agent { talk: Some(talk), state, leaves, .. }) => {
                (new.state, new.leaves) = (state, leaves);
                (new.connection, new.talk) = (Some(talk.connection.clone()), Some(talk));
            }
            Some(Agent { state: AgentState::WrapUp, since, wraps_up, leaves, .. }) => {
                (new.state, new.since, new.wraps_up, new.leaves) =
                    (AgentState::WrapUp, since, wraps_up, leaves);
            }
            // Nor does it lose its turn.
            Some(Agent { state: AgentState::Ready | AgentState::Ringing, since, .. }) => {
                (new.state, new.since) = (AgentState::Ready, since);
            }
            _ => {}
        }
        let supervisors = new.talk.as_ref().and_then(|talk| state.calls.get(&talk.live.id()));
        let supervisors = supervisors.filter(|call| call.agent.as_deref() == Some(agent));
        let supervisors = supervisors.map(|call| self.seen_on(call)).unwrap_or_default();
        new.tell(self.hello(agent, &new));
        if let Some(talk) = &new.talk {
            // Who is on the call as well. Full of orders, it tells with the next one.
            let _ = talk.orders.try_send(Order::Tell);
        }
        supervisors.into_iter().for_each(|message| new.tell(message));
        state.agents.insert(agent.to_owned(), new);
        drop(state);
        self.shared.ready.notify_waiters();
        let line = Line { desk: self.clone(), agent: agent.to_owned(), page, may_supervise };
        (Page { line }, told)
    }

    /// What a page is told first of all.
    fn hello(&self, name: &str, agent: &Agent) -> ToPage {
        let call = agent.talk.as_ref().map(|talk| Ongoing {
            call_id: talk.live.id(),
            from: talk.from.clone(),
            held: talk.customer.hears() == Some(Tone::Music),
            since_ms: talk.clock.now().0,
        });
        ToPage::Hello {
            agent: name.to_owned(),
            state: agent.state,
            dials: self.shared.dial.get().is_some(),
            ice_servers: self.shared.webrtc.ice_servers().to_vec(),
            relay_only: self.shared.webrtc.relay_only(),
            outcomes: self.shared.config.outcomes.clone(),
            call,
            wraps_up: agent.wraps_up,
        }
    }

    /// The agent is on a call now, in charge of it or asked for advice; whether the agent is still there.
    fn talking(&self, agent: &str, call_id: CallId, talk: Talk, in_charge: bool) -> bool {
        let mut state = self.state();
        let State { agents, calls, .. } = &mut *state;
        if in_charge {
            let new = || OnCall { agent: Some(agent.to_owned()), talk: talk.clone(), ears: Vec::new() };
            calls.entry(call_id).or_insert_with(new);
        }
        let Some(there) = agents.get_mut(agent).filter(|there| there.gone.is_none()) else { return false };
        let is_its = |connection: &Arc<Connection>| Arc::ptr_eq(connection, &talk.connection);
        // A page that was loaded anew since it made the offer knows nothing of the call.
        let knows = there.talk.is_some() || there.connection.as_ref().is_some_and(is_its);
        let connection = talk.connection.clone();
        there.talk = Some(talk);
        if knows {
            there.tell(ToPage::Talking { call_id });
        } else {
            there.connection = Some(connection);
            (there.state, there.since) = (AgentState::Talking, Instant::now());
            there.tell(self.hello(agent, there));
        }
        true
    }

    /// Another agent is in charge of a call, or nobody.
    fn in_charge(&self, call_id: CallId, agent: Option<&str>) {
        let mut state = self.state();
        let State { agents, calls, .. } = &mut *state;
        let Some(call) = calls.get_mut(&call_id) else { return };
        call.agent = agent.map(str::to_owned);
        if let Some(agent) = agent.and_then(|agent| agents.get(agent)) {
            self.seen_on(call).into_iter().for_each(|message| agent.tell(message));
        }
    }

    /// What the agent in charge of a call is told about who else is there.
    fn seen_on(&self, call: &OnCall) -> Vec<ToPage> {
        let names: BTreeSet<&String> = call.ears.iter().map(|(_, name, _)| name).collect();
        let told = |name: &String| {
            let attention = call.attention_of(name).filter(|attention| self.is_seen(*attention));
            attention.map(|attention| ToPage::Supervisor { name: name.clone(), attention: Some(attention) })
        };
        names.into_iter().filter_map(told).collect()
    }

    /// A call is over for everyone.
    fn ended(&self, call_id: CallId) {
        self.state().calls.remove(&call_id);
    }

    /// News of the way to the agent's page.
    pub fn news(&self, agent: &str, news: News) {
        let message = match news {
            News::Candidate(candidate) => ToPage::Candidate { candidate },
            News::Connected => ToPage::Media { state: MediaState::Connected },
            News::Lost => ToPage::Media { state: MediaState::Lost },
            News::Failed => ToPage::Media { state: MediaState::Failed },
            News::Gathered => return,
        };
        self.tell(agent, message);
    }

    /// The agent is on no call any more. `had` is the call that was the agent's own: how it came out is left to
    /// be written down.
    pub fn over(&self, agent: &str, had: Option<CallId>) {
        let wrap_up = Duration::from_secs(self.shared.config.wrap_up_s);
        let mut state = self.state();
        if let Some(there) = state.agents.get_mut(agent) {
            (there.talk, there.connection) = (None, None);
            there.tell(ToPage::Over {});
            there.wraps_up = had;
            if had.is_some() && !wrap_up.is_zero() {
                there.becomes(AgentState::WrapUp);
                let (desk, agent, since) = (self.clone(), agent.to_owned(), there.since);
                tokio::spawn(async move {
                    tokio::time::sleep(wrap_up).await;
                    desk.wrapped_up(&agent, since);
                });
            } else {
                there.goes_on();
            }
            // The page went away during the call, and finds what is left to be done if it comes back.
            if there.tell.is_closed() {
                there.gone = Some(Instant::now());
            }
        }
        drop(state);
        self.shared.ready.notify_waiters();
    }

    /// How a call came out has been written down: no page asks for it any more when it is loaded anew.
    pub fn concluded(&self, call: CallId) {
        for agent in self.state().agents.values_mut() {
            agent.wraps_up.take_if(|left| *left == call);
        }
    }

    /// The time to wrap up, which began at `since`, is over.
    fn wrapped_up(&self, agent: &str, since: Instant) {
        let mut state = self.state();
        let there = state.agents.get_mut(agent);
        if let Some(there) = there.filter(|there| there.state == AgentState::WrapUp && there.since == since) {
            there.goes_on();
        }
        drop(state);
        self.shared.ready.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Agent {
    /// On no call, and rung by nobody.
    fn is_free(&self) -> bool {
        self.ear.is_none() && matches!(self.state, AgentState::Away | AgentState::Ready | AgentState::WrapUp)
    }

    /// The page is there, or may come back any moment.
    fn is_expected(&self) -> bool {
        self.gone.is_none_or(|since| since.elapsed() < GRACE)
    }

    /// It rings no more here, and nobody has the call that it was for. The agent may be rung by someone else by now.
    fn stop_ringing(&mut self, ring: u64, next: AgentState, missed: bool) {
        if self.ringing.take_if(|rung| rung.ring == ring).is_some() {
            self.connection = None;
            self.tell(ToPage::StopRinging { ring, missed });
            self.becomes(next);
        }
    }

    /// Does what comes after a call.
    fn goes_on(&mut self) {
        let next = if std::mem::take(&mut self.leaves) { AgentState::Away } else { AgentState::Ready };
        self.becomes(next);
    }

    fn becomes(&mut self, state: AgentState) {
        self.state = state;
        self.since = Instant::now();
        self.tell(ToPage::State { state });
    }

    /// A page that takes nothing is dropped by its socket.
    fn tell(&self, message: ToPage) {
        let _ = self.tell.try_send(message);
    }
}

impl DeskConfig {
    /// Whether an agent answers calls to a number.
    fn answers(&self, number: &Number, agent: &String) -> bool {
        let has = |skill| self.skills.get(skill).is_some_and(|agents| agents.contains(agent));
        (number.agents.is_empty() || number.agents.contains(agent)) && number.skills.iter().all(has)
    }
}

/// A caller's place among those who wait; dropped, it is given up.
struct PlaceInLine {
    desk: Desk,
    ticket: u64,
}

impl Drop for PlaceInLine {
    fn drop(&mut self) {
        self.desk.state().waiting.retain(|one| one.ticket != self.ticket);
        self.desk.shared.ready.notify_waiters();
    }
}

impl OnCall {
    /// What a supervisor does there; the most, of one who is there by several ways.
    fn attention_of(&self, name: &str) -> Option<Attention> {
        let of = self.ears.iter().filter(|(_, who, _)| who == name).map(|(.., attention)| *attention);
        of.max_by_key(|attention| *attention as u8)
    }
}

/// It rings at an agent; dropped, it stops, because the caller has given up.
struct Ringing {
    desk: Desk,
    agent: String,
    ring: u64,
    ticket: u64,
    is_over: bool,
}

impl Ringing {
    fn answered(mut self) {
        self.is_over = true;
        if let Some(agent) = self.desk.state().agents.get_mut(&self.agent) {
            agent.ringing.take_if(|rung| rung.ring == self.ring);
        }
    }

    fn over(mut self, becomes_away: bool, missed: bool) {
        self.stop(becomes_away, missed);
    }

    fn stop(&mut self, becomes_away: bool, missed: bool) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let mut state = self.desk.state();
        if let Some(one) = state.waiting.iter_mut().find(|one| one.ticket == self.ticket) {
            one.rings_at = None;
        }
        let Some(agent) = state.agents.get_mut(&self.agent) else { return };
        agent.stop_ringing(
            self.ring,
            if becomes_away { AgentState::Away } else { AgentState::Ready },
            missed,
        );
        drop(state);
        self.desk.shared.ready.notify_waiters();
    }
}

impl Drop for Ringing {
    fn drop(&mut self) {
        self.stop(false, false);
    }
}

/// For tests.
#[cfg(test)]
pub(crate) mod testing {
    /// What a browser offers that wants to talk.
    pub fn offer() -> String {
        let fingerprint = ["AB"; 32].join(":");
        format!(
            "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
             m=audio 9 UDP/TLS/RTP/SAVPF 111 110\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\n\
             a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=setup:actpass\r\n\
             a=fingerprint:sha-256 {fingerprint}\r\na=rtpmap:111 opus/48000/2\r\n\
             a=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:110 telephone-event/48000\r\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use sotto_webrtc::WebRtcConfig;

    use super::*;

    fn desk(numbers: Vec<Number>) -> Desk {
        let config = DeskConfig { numbers, ..DeskConfig::default() };
        Desk::new(config, WebRtc::new(WebRtcConfig::default()), Audit::to_log_only())
    }

    fn sales() -> Number {
        Number { number: "100".into(), ring_s: 5, patience_s: 12, ..Number::default() }
    }

    /// An agent who is there and ready.
    async fn ready(desk: &Desk, name: &str) -> (Page, mpsc::Receiver<ToPage>) {
        let (page, told) = desk.open(name, false);
        page.ask(FromPage::Ready {}).await;
        (page, told)
    }

    /// The next ringing that the page is told of, if it is told of one.
    fn rung(told: &mut mpsc::Receiver<ToPage>) -> Option<u64> {
        std::iter::from_fn(|| told.try_recv().ok()).find_map(|message| match message {
            ToPage::Ring { ring, .. } => Some(ring),
            _ => None,
        })
    }

    /// Lets everything that can happen now happen.
    async fn settle() {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    fn ringing(desk: &Desk) -> tokio::task::JoinHandle<Result<Accepted, Refusal>> {
        let desk = desk.clone();
        tokio::spawn(async move { desk.ring("100", &Caller::default(), None, || {}).await })
    }

    #[tokio::test(start_paused = true)]
    async fn it_rings_at_who_has_been_ready_for_longest_and_then_at_the_next() {
        let desk = desk(vec![sales()]);
        let (first, mut first_told) = ready(&desk, "ann").await;
        tokio::time::advance(Duration::from_secs(1)).await;
        let (_second, mut second_told) = ready(&desk, "bob").await;
        let call = ringing(&desk);
        settle().await;
        let ring = rung(&mut first_told).unwrap();
        assert_eq!(rung(&mut second_told), None);
        first.ask(FromPage::Decline { ring }).await;
        settle().await;
        assert!(rung(&mut second_told).is_some());
        // Nobody else is ready, and who does not answer is not rung again.
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!((rung(&mut first_told), rung(&mut second_told)), (None, None));
        assert!(matches!(call.await.unwrap(), Err(Refusal::Unavailable)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_waits_for_someone_to_become_ready() {
        let desk = desk(vec![sales()]);
        let call = ringing(&desk);
        settle().await;
        tokio::time::advance(Duration::from_secs(3)).await;
        let in_line = || desk.in_line().into_iter().map(|one| (one.called, one.since_ms, one.rings_at));
        assert_eq!(in_line().collect::<Vec<_>>(), [("100".to_owned(), 3_000, None)]);
        let (_page, mut told) = ready(&desk, "ann").await;
        settle().await;
        assert!(rung(&mut told).is_some());
        assert_eq!(in_line().collect::<Vec<_>>(), [("100".to_owned(), 3_000, Some("ann".to_owned()))]);
        // The caller gives up: it stops ringing, and the agent is ready for the next.
        call.abort();
        settle().await;
        assert_eq!(desk.in_line(), []);
        let said: Vec<_> = std::iter::from_fn(|| told.try_recv().ok()).collect();
        assert!(said.iter().any(|m| matches!(m, ToPage::StopRinging { missed: false, .. })), "{said:?}");
        assert!(matches!(said.last(), Some(ToPage::State { state: AgentState::Ready })), "{said:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn it_does_not_ring_at_who_is_coming_to_somebodys_call() {
        let desk = desk(vec![sales()]);
        let (page, mut told) = ready(&desk, "ann").await;
        page.line.engage().unwrap();
        let call = ringing(&desk);
        settle().await;
        assert!(rung(&mut told).is_none() && page.line.engage().is_err());
        page.line.rests();
        page.ask(FromPage::Ready {}).await;
        settle().await;
        assert!(rung(&mut told).is_some());
        call.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_away_before_they_supervised_is_ready_after_their_next_call() {
        let desk = desk(vec![sales()]);
        let (page, _told) = desk.open("ann", true);
        page.line.engage().unwrap();
        page.line.rests();
        page.ask(FromPage::Ready {}).await;
        desk.over("ann", None);
        assert_eq!(desk.agents()[0].state, AgentState::Ready);
    }

    #[tokio::test(start_paused = true)]
    async fn callers_are_answered_in_turn_and_those_with_a_higher_priority_first() {
        let vip = Number { number: "200".into(), priority: 1, ..sales() };
        let desk = desk(vec![sales(), vip]);
        let call = |number: &'static str, name: &str| {
            let (desk, from) = (desk.clone(), Caller { name: Some(name.to_owned()), aor: None });
            tokio::spawn(async move { desk.ring(number, &from, None, || {}).await })
        };
        let mut calls = Vec::new();
        for (number, name) in [("100", "first"), ("100", "second"), ("200", "third")] {
            calls.push(call(number, name));
            settle().await;
        }
        let (page, mut told) = ready(&desk, "ann").await;
        for expected in ["third", "first", "second"] {
            settle().await;
            let rung = std::iter::from_fn(|| told.try_recv().ok()).find_map(|message| match message {
                ToPage::Ring { ring, from, .. } => Some((ring, from.name.unwrap())),
                _ => None,
            });
            let (ring, name) = rung.unwrap();
            assert_eq!(name, expected);
            calls.remove(if name == "third" { 2 } else { 0 }).abort();
            settle().await;
            assert!(ring > 0);
        }
        drop(page);
        assert!(desk.state().waiting.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_needs_a_skill_does_not_hold_up_one_who_does_not() {
        let persian = Number { number: "98".into(), skills: vec!["persian".into()], ..sales() };
        let skills = [("persian".to_owned(), vec!["bob".to_owned()])].into();
        let config = DeskConfig { numbers: vec![persian, sales()], skills, ..DeskConfig::default() };
        let desk = Desk::new(config, WebRtc::new(WebRtcConfig::default()), Audit::to_log_only());
        let (_ann, mut ann) = ready(&desk, "ann").await;
        let ring = |number: &'static str| {
            let desk = desk.clone();
            tokio::spawn(async move { desk.ring(number, &Caller::default(), None, || {}).await })
        };
        let needs = ring("98");
        settle().await;
        assert!(rung(&mut ann).is_none());
        let any = ring("100");
        settle().await;
        assert!(rung(&mut ann).is_some());
        let (_bob, mut bob) = ready(&desk, "bob").await;
        settle().await;
        assert!(rung(&mut bob).is_some());
        needs.abort();
        any.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn numbers_ring_at_their_own_agents_and_agents_have_their_names_for_numbers() {
        let only_bob = Number { agents: vec!["bob".into()], ..sales() };
        let desk = desk(vec![only_bob]);
        assert!(desk.has_number("100") && !desk.has_number("200") && !desk.has_number("ann"));
        let (_ann, mut ann) = ready(&desk, "ann").await;
        let (_bob, mut bob) = ready(&desk, "bob").await;
        assert!(desk.has_number("ann") && desk.has_number("Bob"));
        let call = ringing(&desk);
        settle().await;
        assert!(rung(&mut ann).is_none() && rung(&mut bob).is_some());
        call.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_colleague_who_does_not_take_what_is_handed_over_is_not_waited_for() {
        let desk = desk(vec![sales()]);
        let (bob, mut told) = ready(&desk, "bob").await;
        let handed = {
            let desk = desk.clone();
            tokio::spawn(async move { desk.ring("bob", &Caller::default(), Some("ann".into()), || {}).await })
        };
        settle().await;
        let ring = rung(&mut told).unwrap();
        bob.ask(FromPage::Decline { ring }).await;
        settle().await;
        assert!(handed.is_finished());
        assert!(matches!(handed.await.unwrap(), Err(Refusal::Unavailable)));
    }

    #[tokio::test]
    async fn a_customer_whom_everybody_has_left_goes_back_to_the_number_and_then_to_its_overflow() {
        let over = Number { overflow: "15550142".into(), ..sales() };
        assert_eq!(desk(vec![over]).onward("100"), ["100", "15550142"]);
        let every = Number { number: "*".into(), ..sales() };
        assert_eq!(desk(vec![every]).onward("100"), ["*"]);
        let desk = desk(vec![sales()]);
        let (_page, _told) = ready(&desk, "ann").await;
        assert!(desk.onward("200").is_empty() && desk.onward("ann").is_empty());
    }

    #[tokio::test]
    async fn every_number_is_not_a_number_outside_nor_somebody_who_is_not_there() {
        let every = Number { number: "*".into(), ..sales() };
        let desk = desk(vec![every, sales()]);
        let (store, _folder) = sotto_store::testing::sqlite().await;
        crate::people::add_user(&store, "Omid", sotto_store::Role::Agent, None, None, 1).await.unwrap();
        desk.know_from(store);
        desk.dial_with(Box::new(|_, _, _| {}));
        let (page, mut told) = ready(&desk, "ann").await;
        for (called, has, reaches, knows) in [
            ("100", true, true, false),
            ("Ann", true, true, false),
            ("omid", true, false, true),
            ("15550142", true, false, false),
        ] {
            assert_eq!((desk.has_number(called), desk.reaches(called)), (has, reaches), "{called}");
            assert_eq!(desk.knows(called).await, knows, "{called}");
        }
        let mut handed_to = async |to: &str| {
            while told.try_recv().is_ok() {}
            page.ask(FromPage::Transfer { to: to.into(), consult: false }).await;
            match told.try_recv() {
                Ok(ToPage::Refused { why }) => why,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(handed_to("omid").await, "they are not there");
        for way in ["100", "15550142"] {
            assert_eq!(handed_to(way).await, "there is no call", "{way}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_page_takes_the_firsts_place_and_a_page_that_is_gone_is_rung_by_nobody() {
        let desk = desk(vec![sales()]);
        let (first, mut first_told) = ready(&desk, "ann").await;
        let (second, mut second_told) = desk.open("ann", false);
        assert!(matches!(second_told.try_recv(), Ok(ToPage::Hello { state: AgentState::Ready, .. })));
        // What the first asks for is not done any more, and it leaves nothing behind.
        first.ask(FromPage::Away {}).await;
        drop(first);
        let call = ringing(&desk);
        settle().await;
        assert!(rung(&mut first_told).is_none() && rung(&mut second_told).is_some());
        drop(second);
        settle().await;
        assert!(!call.is_finished() && desk.agents().is_empty());
        assert_eq!(desk.in_line()[0].rings_at, None);
        call.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_waits_for_an_agent_whose_page_is_loaded_anew() {
        let desk = desk(Vec::new());
        let (page, _told) = ready(&desk, "ann").await;
        drop(page);
        let call = {
            let desk = desk.clone();
            tokio::spawn(async move { desk.ring("ann", &Caller::default(), None, || {}).await })
        };
        settle().await;
        assert!(!call.is_finished() && desk.reaches("ann"));
        tokio::time::advance(GRACE / 2).await;
        let (page, mut told) = desk.open("ann", false);
        assert!(matches!(told.try_recv(), Ok(ToPage::Hello { state: AgentState::Ready, .. })));
        settle().await;
        // It rings again where it rang when the page went away.
        assert!(rung(&mut told).is_some());
        drop(page);
        settle().await;
        let (page, mut told) = desk.open("ann", false);
        settle().await;
        assert!(rung(&mut told).is_some());
        call.abort();
        settle().await;
        drop(page);
        tokio::time::advance(GRACE).await;
        assert!(!desk.reaches("ann"));
        let (_page, mut told) = desk.open("ann", false);
        assert!(matches!(told.try_recv(), Ok(ToPage::Hello { state: AgentState::Away, .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_whose_page_is_loaded_anew_keeps_their_turn() {
        let desk = desk(vec![sales()]);
        let (page, _told) = ready(&desk, "bob").await;
        tokio::time::advance(Duration::from_secs(1)).await;
        let (_ann, mut ann) = ready(&desk, "ann").await;
        drop(page);
        tokio::time::advance(Duration::from_secs(1)).await;
        let (_page, mut bob) = desk.open("bob", false);
        let call = ringing(&desk);
        settle().await;
        assert!(rung(&mut bob).is_some() && rung(&mut ann).is_none());
        call.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_to_write_down_is_there_for_a_page_that_was_away_when_the_call_ended() {
        let desk = desk(Vec::new());
        let (page, told) = ready(&desk, "ann").await;
        page.line.engage().unwrap();
        drop((page, told));
        let call = CallId::new();
        desk.over("ann", Some(call));
        assert_eq!(desk.agents(), []);
        let (_page, mut told) = desk.open("ann", false);
        assert!(matches!(
            told.try_recv(),
            Ok(ToPage::Hello { state: AgentState::WrapUp, wraps_up: Some(id), .. }) if id == call
        ));
        desk.concluded(CallId::new());
        assert_eq!(desk.state().agents["ann"].wraps_up, Some(call));
        desk.concluded(call);
        assert_eq!(desk.state().agents["ann"].wraps_up, None);
        // Its time runs on, and ends in what the agent did before.
        tokio::time::sleep(Duration::from_secs(21)).await;
        assert_eq!(desk.agents()[0].state, AgentState::Ready);
    }

    #[tokio::test]
    async fn what_cannot_be_done_is_refused() {
        let desk = desk(Vec::new());
        let (page, mut told) = ready(&desk, "ann").await;
        let call_id = CallId::new();
        let listen = |sdp| FromPage::Supervise { call_id, attention: Attention::Listen, sdp };
        for asked in [
            FromPage::HangUp {},
            FromPage::Hold { on: true },
            FromPage::Leave {},
            FromPage::Accept { ring: 7, sdp: String::new() },
            FromPage::Resume { sdp: String::new() },
            FromPage::Transfer { to: "bob".into(), consult: false },
            FromPage::Complete {},
            FromPage::TakeBack {},
            FromPage::Call { number: "1".into(), sdp: String::new() },
            listen(None),
            listen(Some(String::new())),
        ] {
            while told.try_recv().is_ok() {}
            let what = format!("{asked:?}");
            page.ask(asked).await;
            let answer = told.try_recv();
            let is_refused = match what.starts_with("Call") {
                true => matches!(answer, Ok(ToPage::CallFailed { reason: CallFailure::NoTrunk })),
                false => matches!(answer, Ok(ToPage::Refused { .. })),
            };
            assert!(is_refused, "{what}: {answer:?}");
        }
    }

    #[tokio::test]
    async fn offers_are_counted_on_however_many_pages() {
        let desk = desk(Vec::new());
        desk.dial_with(Box::new(|_, _, _| {}));
        let mut refusals = Vec::new();
        for _ in 0..=page::MOST_OFFERS {
            let (page, mut told) = desk.open("ann", false);
            page.ask(FromPage::Call { number: "1".into(), sdp: "v=0".into() }).await;
            while let Ok(message) = told.try_recv() {
                if let ToPage::Refused { why } = message {
                    refusals.push(why);
                }
            }
        }
        let too_many: Vec<bool> = refusals.iter().map(|why| why.contains("too many")).collect();
        assert_eq!(too_many, [vec![false; page::MOST_OFFERS], vec![true]].concat(), "{refusals:?}");
    }
}
