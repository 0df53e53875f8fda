//! Agents at their browsers, and the calls that are put through to them.
//!
//! A call to one of our numbers rings at one agent at a time, at the one who has been ready for longest. The
//! agent's page accepts with an offer of its own; from then on the agent is a leg like any other, and the
//! [`Bridge`](sotto_media::Bridge) carries both. A page that comes and goes takes its agent with it: who has no
//! page is rung by nobody.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sotto_audio::{Tone, ring};
use sotto_call::{Attention, CallId, EventBody, Party, PartyChange, Supervisor};
use sotto_media::{Bridge, CallClock, Leg, LegConfig, LegOutputs, MemberId, Role};
use sotto_sip::{Refusal, Trunk};
use sotto_webrtc::{Browser, Candidate, Connection, IceServer, News, WebRtc, WebRtcError};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::hub::LiveCall;

/// Messages for a page that wait for it; a page that is further behind is gone.
const PAGE: usize = 256;
/// Characters of what may be dialled.
const LONGEST_NUMBER: usize = 64;

/// Calls to numbers of ours.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeskConfig {
    /// The numbers that are put through to agents. An agent is also reached by name.
    pub numbers: Vec<Number>,
    /// Where agents' own calls are placed.
    pub trunk: Trunk,
    /// Agents see which supervisors are on their call. Supervisors who whisper or barge are always seen.
    pub announce_listeners: bool,
}

/// A number that customers call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Number {
    /// The number, as the caller's INVITE has it (the user of the Request-URI); `*` for every number.
    pub number: String,
    /// Who answers, by name; empty for every agent.
    pub agents: Vec<String>,
    /// Seconds until a caller is told that nobody is there.
    pub patience_s: u64,
    /// Seconds that it rings at one agent before the next one's turn.
    pub ring_s: u64,
}

impl Default for Number {
    fn default() -> Self {
        Self { number: String::new(), agents: Vec::new(), patience_s: 60, ring_s: 20 }
    }
}

/// What an agent is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    /// Not to be rung.
    #[default]
    Away,
    /// Waits for a call.
    Ready,
    /// Is being rung.
    Ringing,
    /// Talks.
    Talking,
}

/// Who calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Caller {
    /// Address of record.
    pub aor: Option<String>,
    /// Display name.
    pub name: Option<String>,
}

/// Said to an agent's page.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToPage {
    /// First of all.
    Hello {
        /// The agent.
        agent: String,
        /// What the agent is doing.
        state: AgentState,
        /// Whether calls can be placed.
        dials: bool,
        /// Servers that help to find a way to us.
        ice_servers: Vec<IceServer>,
    },
    /// The agent does something else now.
    State {
        /// What.
        state: AgentState,
    },
    /// A call for the agent.
    Ring {
        /// Names the ringing.
        ring: u64,
        /// Who calls.
        from: Caller,
        /// The number called.
        called: String,
    },
    /// It rings no more.
    StopRinging {
        /// Which ringing.
        ring: u64,
        /// Whether it rang for too long; otherwise the caller has given up.
        missed: bool,
    },
    /// The answer to the page's offer.
    Answer {
        /// Ours.
        sdp: String,
    },
    /// A way to reach us.
    Candidate {
        /// Which.
        candidate: Candidate,
    },
    /// The call has begun.
    Talking {
        /// Its id.
        call_id: CallId,
    },
    /// What becomes of the audio between the page and us.
    Media {
        /// What.
        state: MediaState,
    },
    /// The customer hears music, or the agent again.
    Held {
        /// Music.
        on: bool,
    },
    /// A supervisor is on the agent's call, does something else there, or has left.
    Supervisor {
        /// Who.
        name: String,
        /// What they do; absent when they have left.
        attention: Option<Attention>,
    },
    /// What the supervisor does on a call; absent when they are on none any more.
    Supervising {
        /// Which call.
        call_id: CallId,
        /// What.
        attention: Option<Attention>,
    },
    /// Another page of the same agent has the telephone now. Last of all.
    Replaced {},
    /// The call is over.
    Over {},
    /// Something the page asked for is not done.
    Refused {
        /// Why not.
        why: String,
    },
}

/// See [`ToPage::Media`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaState {
    /// It flows.
    Connected,
    /// Nothing has come for a while.
    Lost,
    /// It will not come back.
    Failed,
}

/// Asked by an agent's page.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum FromPage {
    /// To be rung from now on.
    Ready {},
    /// Not to be rung.
    Away {},
    /// To take a call.
    Accept {
        /// Which ringing.
        ring: u64,
        /// The page's offer.
        sdp: String,
    },
    /// To call a number.
    Call {
        /// Which.
        number: String,
        /// The page's offer.
        sdp: String,
    },
    /// Not to take a call, and to be away.
    Decline {
        /// Which ringing.
        ring: u64,
    },
    /// A way to reach the page.
    Candidate {
        /// Which.
        candidate: Candidate,
    },
    /// A new offer: the page's address has changed (ICE restart).
    Reoffer {
        /// The page's offer.
        sdp: String,
    },
    /// To let the customer hear music, or the agent again.
    Hold {
        /// Music.
        on: bool,
    },
    /// To be on somebody's call, or to do something else there.
    Supervise {
        /// Which call.
        call_id: CallId,
        /// What to do there.
        attention: Attention,
        /// The page's offer, to come to the call; absent to change what one does there.
        sdp: Option<String>,
    },
    /// To leave somebody's call.
    Leave {},
    /// To end the call.
    HangUp {},
    /// Nothing.
    Ping {},
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
    state: Mutex<State>,
    /// Somebody has become ready.
    ready: Notify,
    dial: OnceLock<Dial>,
}

/// Places a call for an agent at a browser.
pub type Dial = Box<dyn Fn(String, String, Browser) + Send + Sync>;

#[derive(Default)]
struct State {
    next: u64,
    agents: HashMap<String, Agent>,
    /// The calls that go through us.
    calls: HashMap<CallId, OnCall>,
}

/// A call that goes through us.
#[derive(Clone)]
struct OnCall {
    agent: String,
    talk: Talk,
}

/// A supervisor's part in somebody's call.
#[derive(Clone)]
struct Ear {
    call: CallId,
    member: MemberId,
    leave: CancellationToken,
}

struct Agent {
    /// Names the page: a later one takes the place of an earlier one.
    page: u64,
    tell: mpsc::Sender<ToPage>,
    state: AgentState,
    /// When the agent began to do that.
    since: Instant,
    ringing: Option<(u64, oneshot::Sender<Verdict>)>,
    /// The way to the page's audio, from the moment that it is agreed on.
    connection: Option<Arc<Connection>>,
    talk: Option<Talk>,
    ear: Option<Ear>,
    /// To be away as soon as the call is over.
    leaves: bool,
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
    /// Who hears whom.
    pub bridge: Bridge,
    /// The customer.
    pub customer: MemberId,
    /// Ends the call.
    pub over: CancellationToken,
}

enum Verdict {
    Accepted(Box<Browser>),
    Declined,
}

impl Desk {
    /// With nobody there yet.
    #[must_use]
    pub fn new(config: DeskConfig, webrtc: WebRtc) -> Self {
        let shared =
            Shared { config, webrtc, state: Mutex::default(), ready: Notify::new(), dial: OnceLock::new() };
        Self { shared: Arc::new(shared) }
    }

    /// From now on agents' calls are placed so.
    pub fn dial_with(&self, dial: Dial) {
        let _ = self.shared.dial.set(dial);
    }

    /// Something an agent asked for could not be done.
    pub fn refuse(&self, agent: &str, why: &str) {
        if let Some(agent) = self.state().agents.get(agent) {
            agent.tell(ToPage::Refused { why: why.to_owned() });
        }
    }

    /// Whether calls to `number` are put through to someone.
    #[must_use]
    pub fn has_number(&self, number: &str) -> bool {
        self.number(number).is_some()
    }

    fn number(&self, called: &str) -> Option<Number> {
        let numbers = &self.shared.config.numbers;
        let found = numbers.iter().find(|n| n.number == called).cloned();
        let by_name = || {
            let agent = called.to_lowercase();
            let is_there = self.state().agents.contains_key(&agent);
            is_there.then(|| Number { number: called.to_owned(), agents: vec![agent], ..Number::default() })
        };
        found.or_else(by_name).or_else(|| numbers.iter().find(|n| n.number == "*").cloned())
    }

    /// Rings until somebody takes the call. `on_ring` is called when it rings somewhere for the first time.
    ///
    /// Dropped, it stops ringing.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`] when nobody takes it in time.
    pub async fn ring(
        &self,
        called: &str,
        from: &Caller,
        on_ring: impl Fn() + Send + Sync,
    ) -> Result<Accepted, Refusal> {
        let number = self.number(called).ok_or(Refusal::Unavailable)?;
        let ring = self.ring_around(&number, from, on_ring);
        let patience = Duration::from_secs(number.patience_s.max(1));
        tokio::time::timeout(patience, ring).await.map_err(|_| Refusal::Unavailable)
    }

    async fn ring_around(
        &self,
        number: &Number,
        from: &Caller,
        on_ring: impl Fn() + Send + Sync,
    ) -> Accepted {
        loop {
            let ready = self.shared.ready.notified();
            tokio::pin!(ready);
            // Whoever becomes ready while we look is not missed.
            ready.as_mut().enable();
            let Some((ringing, verdict)) = self.ring_next(number, from) else {
                ready.await;
                continue;
            };
            on_ring();
            let patience = Duration::from_secs(number.ring_s.max(1));
            match tokio::time::timeout(patience, verdict).await {
                Ok(Ok(Verdict::Accepted(browser))) => {
                    let agent = ringing.agent.clone();
                    ringing.answered();
                    return Accepted { agent, browser: *browser };
                }
                Ok(Ok(Verdict::Declined)) => ringing.over(true, false),
                // The page is gone.
                Ok(Err(_)) => ringing.over(true, false),
                // Who does not hear it ring is not there.
                Err(_) => ringing.over(true, true),
            }
        }
    }

    /// Lets it ring at the agent whose turn it is.
    fn ring_next(&self, number: &Number, from: &Caller) -> Option<(Ringing, oneshot::Receiver<Verdict>)> {
        let mut state = self.state();
        let answers = |name: &String| number.agents.is_empty() || number.agents.contains(name);
        let ready = state.agents.iter().filter(|(name, a)| a.state == AgentState::Ready && answers(name));
        let name = ready.min_by_key(|(_, agent)| agent.since).map(|(name, _)| name.clone())?;
        state.next += 1;
        let ring = state.next;
        let agent = state.agents.get_mut(&name)?;
        let (decide, verdict) = oneshot::channel();
        agent.ringing = Some((ring, decide));
        agent.becomes(AgentState::Ringing);
        agent.tell(ToPage::Ring { ring, from: from.clone(), called: number.number.clone() });
        let ringing = Ringing { desk: self.clone(), agent: name, ring, is_over: false };
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
        let before = state.agents.remove(agent);
        if let Some(ear) = before.as_ref().and_then(|before| before.ear.as_ref()) {
            ear.leave.cancel();
        }
        let (was, talk) = match before {
            // A page that was loaded anew goes on with the call.
            Some(Agent { talk: Some(talk), state, .. }) => (state, Some(talk)),
            Some(Agent { state: AgentState::Ready | AgentState::Ringing, .. }) => (AgentState::Ready, None),
            _ => (AgentState::Away, None),
        };
        let ice_servers = self.shared.webrtc.ice_servers().to_vec();
        let dials = self.shared.dial.get().is_some();
        let hello = ToPage::Hello { agent: agent.to_owned(), state: was, dials, ice_servers };
        let new = Agent {
            page,
            tell,
            state: was,
            since: Instant::now(),
            ringing: None,
            connection: talk.as_ref().map(|talk| talk.connection.clone()),
            talk,
            ear: None,
            leaves: false,
        };
        new.tell(hello);
        state.agents.insert(agent.to_owned(), new);
        drop(state);
        self.shared.ready.notify_waiters();
        let line = Line { desk: self.clone(), agent: agent.to_owned(), page, may_supervise };
        (Page { line }, told)
    }

    /// The agent's call has begun.
    pub fn talking(&self, agent: &str, call_id: CallId, talk: Talk) {
        let over = talk.over.clone();
        let mut state = self.state();
        let State { agents, calls, .. } = &mut *state;
        match agents.get_mut(agent) {
            Some(there) => {
                calls.insert(call_id, OnCall { agent: agent.to_owned(), talk: talk.clone() });
                there.talk = Some(talk);
                there.tell(ToPage::Talking { call_id });
            }
            // Gone in this very moment.
            None => over.cancel(),
        }
    }

    /// News of the way to the agent's page.
    pub fn news(&self, agent: &str, news: News) {
        let message = match news {
            News::Candidate(candidate) => ToPage::Candidate { candidate },
            News::Connected => ToPage::Media { state: MediaState::Connected },
            News::Lost => ToPage::Media { state: MediaState::Lost },
            News::Failed => ToPage::Media { state: MediaState::Failed },
        };
        if let Some(agent) = self.state().agents.get(agent) {
            agent.tell(message);
        }
    }

    /// The agent's call is over.
    pub fn over(&self, agent: &str) {
        let mut state = self.state();
        state.calls.retain(|_, call| call.agent != agent);
        if let Some(there) = state.agents.get_mut(agent) {
            (there.talk, there.connection) = (None, None);
            there.tell(ToPage::Over {});
            let next = if std::mem::take(&mut there.leaves) { AgentState::Away } else { AgentState::Ready };
            there.becomes(next);
            // The page went away during the call.
            if there.tell.is_closed() {
                state.agents.remove(agent);
            }
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
        self.ear.is_none() && matches!(self.state, AgentState::Away | AgentState::Ready)
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

/// It rings at an agent; dropped, it stops, because the caller has given up.
struct Ringing {
    desk: Desk,
    agent: String,
    ring: u64,
    is_over: bool,
}

impl Ringing {
    fn answered(mut self) {
        self.is_over = true;
    }

    fn over(mut self, becomes_away: bool, missed: bool) {
        self.stop(becomes_away, missed);
    }

    fn stop(&mut self, becomes_away: bool, missed: bool) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let mut state = self.desk.state();
        let Some(agent) = state.agents.get_mut(&self.agent) else { return };
        // The agent may be rung by someone else by now, or talk.
        if agent.state == AgentState::Ringing
            && agent.ringing.as_ref().is_none_or(|(ring, _)| *ring == self.ring)
        {
            agent.ringing = None;
            agent.tell(ToPage::StopRinging { ring: self.ring, missed });
            agent.becomes(if becomes_away { AgentState::Away } else { AgentState::Ready });
        }
        drop(state);
        self.desk.shared.ready.notify_waiters();
    }
}

impl Drop for Ringing {
    fn drop(&mut self) {
        self.stop(false, false);
    }
}

/// An agent's page, while it is open.
pub struct Page {
    line: Line,
}

/// What a page can ask for.
#[derive(Clone)]
struct Line {
    desk: Desk,
    agent: String,
    page: u64,
    may_supervise: bool,
}

impl Page {
    /// Does what the page asks.
    pub async fn ask(&self, asked: FromPage) {
        self.line.ask(asked).await;
    }
}

impl Line {
    async fn ask(&self, asked: FromPage) {
        if let Err(why) = self.answer(asked).await {
            self.with(|agent| agent.tell(ToPage::Refused { why }));
        }
    }

    async fn answer(&self, asked: FromPage) -> Result<(), String> {
        match asked {
            FromPage::Ready {} => self.turns(AgentState::Ready),
            FromPage::Away {} => self.turns(AgentState::Away),
            FromPage::Accept { ring, sdp } => return self.accept(ring, &sdp).await,
            FromPage::Call { number, sdp } => return self.call(number, &sdp).await,
            FromPage::Decline { ring } => {
                if let Some((_, decide)) = self.take_ringing(ring) {
                    let _ = decide.send(Verdict::Declined);
                }
            }
            FromPage::Candidate { candidate } => {
                let connection = self.connection().ok_or("there is no call")?;
                connection.candidate(candidate).await.map_err(|error| error.to_string())?;
            }
            FromPage::Reoffer { sdp } => {
                let connection = self.connection().ok_or("there is no call")?;
                let sdp = connection.reoffer(&sdp).await.map_err(|error| error.to_string())?;
                self.with(|agent| agent.tell(ToPage::Answer { sdp }));
            }
            FromPage::Hold { on } => {
                let talk = self.talk().ok_or("there is no call")?;
                talk.bridge.hold(talk.customer, on.then_some(Tone::Music));
                let party = PartyChange { party: Some(Party::Customer) };
                talk.live.publish(if on { EventBody::Paused(party) } else { EventBody::Resumed(party) });
                self.with(|agent| agent.tell(ToPage::Held { on }));
            }
            FromPage::Supervise { call_id, attention, sdp } => {
                return self.supervise(call_id, attention, sdp.as_deref()).await;
            }
            FromPage::Leave {} => {
                let ear = self.with(|agent| agent.ear.clone()).flatten().ok_or("there is no call")?;
                ear.leave.cancel();
            }
            FromPage::HangUp {} => self.talk().ok_or("there is no call")?.over.cancel(),
            FromPage::Ping {} => {}
        }
        Ok(())
    }

    fn turns(&self, wanted: AgentState) {
        self.with(|agent| match agent.state {
            AgentState::Away | AgentState::Ready if agent.state != wanted => agent.becomes(wanted),
            AgentState::Talking => agent.leaves = wanted == AgentState::Away,
            AgentState::Away | AgentState::Ready | AgentState::Ringing => {}
        });
        self.desk.shared.ready.notify_waiters();
    }

    async fn accept(&self, ring: u64, sdp: &str) -> Result<(), String> {
        let (_, decide) = self.take_ringing(ring).ok_or("it rings no more")?;
        match self.desk.shared.webrtc.answer(sdp).await {
            Ok(browser) => {
                self.answered(&browser);
                if let Err(Verdict::Accepted(browser)) = decide.send(Verdict::Accepted(Box::new(browser))) {
                    browser.connection.close().await;
                    self.with(|agent| {
                        agent.connection = None;
                        agent.tell(ToPage::StopRinging { ring, missed: false });
                        agent.becomes(AgentState::Ready);
                    });
                    return Err("the caller has given up".to_owned());
                }
                Ok(())
            }
            Err(error) => {
                if !matches!(error, WebRtcError::Offer(_)) {
                    tracing::error!(agent = self.agent, %error, "a call could not be answered");
                }
                let _ = decide.send(Verdict::Declined);
                Err(error.to_string())
            }
        }
    }

    /// Calls a number.
    async fn call(&self, number: String, sdp: &str) -> Result<(), String> {
        let shared = &self.desk.shared;
        let dial = shared.dial.get().ok_or("no trunk is configured")?;
        if number.chars().count() > LONGEST_NUMBER {
            return Err("too long a number".to_owned());
        }
        let takes = |agent: &mut Agent| {
            let is_free = agent.is_free();
            if is_free {
                agent.leaves = agent.state == AgentState::Away;
                agent.becomes(AgentState::Talking);
            }
            is_free
        };
        if !self.with(takes).unwrap_or(false) {
            return Err("you are on a call".to_owned());
        }
        match shared.webrtc.answer(sdp).await {
            Ok(browser) => {
                self.answered(&browser);
                dial(self.agent.clone(), number, browser);
                Ok(())
            }
            Err(error) => {
                self.desk.over(&self.agent);
                Err(error.to_string())
            }
        }
    }

    fn take_ringing(&self, ring: u64) -> Option<(u64, oneshot::Sender<Verdict>)> {
        self.with(|agent| agent.ringing.take_if(|(ringing, _)| *ringing == ring)).flatten()
    }

    /// Comes to somebody's call, or does something else there.
    async fn supervise(&self, call: CallId, attention: Attention, sdp: Option<&str>) -> Result<(), String> {
        if !self.may_supervise {
            return Err("supervisors only".to_owned());
        }
        let there = self.desk.state().calls.get(&call).cloned().ok_or("there is no such call")?;
        let Some(sdp) = sdp else {
            let mine =
                |agent: &mut Agent| agent.ear.as_ref().filter(|ear| ear.call == call).map(|ear| ear.member);
            let member = self.with(mine).flatten().ok_or("you are not on this call")?;
            there.talk.bridge.set_role(member, role(attention));
            self.attends(call, &there, Some(attention));
            return Ok(());
        };
        if !self.with(|agent| agent.is_free()).unwrap_or(false) {
            return Err("you are on a call".to_owned());
        }
        let browser = self.desk.shared.webrtc.answer(sdp).await.map_err(|error| error.to_string())?;
        self.answered(&browser);
        let Browser { format, pipe, mut news, connection, .. } = browser;
        let leave = there.talk.over.child_token();
        let (member, end) = there.talk.bridge.join(role(attention));
        // Nobody recognises or records what supervisors say.
        let (speech, recording) = (ring(20).0, ring(20).0);
        let outputs = LegOutputs { speech, recording, bridge: Some(end) };
        let (events, _) = mpsc::channel(1);
        let leg = Leg::start(pipe, format, None, there.talk.clock, outputs, events, LegConfig::default());
        let ear = Ear { call, member, leave: leave.clone() };
        self.with(|agent| agent.ear = Some(ear));
        self.attends(call, &there, Some(attention));
        let page = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = leave.cancelled() => break,
                    now = news.recv() => match now {
                        None | Some(News::Failed) => break,
                        Some(now) => page.desk.news(&page.agent, now),
                    },
                }
            }
            there.talk.bridge.leave(member);
            leg.stop().await;
            connection.close().await;
            page.attends(call, &there, None);
            page.with(|agent| {
                (agent.ear, agent.connection) = (None, None);
                agent.becomes(AgentState::Away);
            });
        });
        Ok(())
    }

    /// Tells everyone what this supervisor does on a call.
    fn attends(&self, call_id: CallId, there: &OnCall, attention: Option<Attention>) {
        let name = self.agent.clone();
        there.talk.live.publish(EventBody::Supervisor(Supervisor { name: name.clone(), attention }));
        tracing::info!(call = %call_id, supervisor = name, ?attention, "supervision");
        let is_seen =
            self.desk.shared.config.announce_listeners || !matches!(attention, Some(Attention::Listen));
        let state = self.desk.state();
        if let Some(agent) = state.agents.get(&there.agent).filter(|_| is_seen) {
            agent.tell(ToPage::Supervisor { name, attention });
        }
        if let Some(own) = state.agents.get(&self.agent).filter(|own| own.page == self.page) {
            own.tell(ToPage::Supervising { call_id, attention });
        }
    }

    fn connection(&self) -> Option<Arc<Connection>> {
        self.with(|agent| agent.connection.clone()).flatten()
    }

    /// The page's offer has been answered.
    fn answered(&self, browser: &Browser) {
        let (sdp, connection) = (browser.answer.clone(), browser.connection.clone());
        self.with(|agent| {
            agent.connection = Some(connection);
            agent.becomes(AgentState::Talking);
            agent.tell(ToPage::Answer { sdp });
        });
    }

    fn talk(&self) -> Option<Talk> {
        self.with(|agent| agent.talk.clone()).flatten()
    }

    /// Looks at the agent, unless another page has taken this one's place.
    fn with<T>(&self, look: impl FnOnce(&mut Agent) -> T) -> Option<T> {
        let mut state = self.desk.state();
        state.agents.get_mut(&self.agent).filter(|agent| agent.page == self.page).map(look)
    }
}

impl Drop for Page {
    /// Who talks goes on talking: the page may only be loaded anew, and its audio says when it is gone.
    fn drop(&mut self) {
        let Line { desk, agent: name, page, .. } = &self.line;
        let mut state = desk.state();
        let Some(agent) = state.agents.get(name).filter(|agent| agent.page == *page) else { return };
        if let Some(ear) = &agent.ear {
            ear.leave.cancel();
        }
        if agent.talk.is_none() {
            state.agents.remove(name);
        }
    }
}

fn role(attention: Attention) -> Role {
    match attention {
        Attention::Listen => Role::Listener,
        Attention::Whisper => Role::Whisperer,
        Attention::Barge => Role::Barger,
    }
}

#[cfg(test)]
mod tests {
    use sotto_webrtc::WebRtcConfig;

    use super::*;

    fn desk(numbers: Vec<Number>) -> Desk {
        let config = DeskConfig { numbers, ..DeskConfig::default() };
        Desk::new(config, WebRtc::new(WebRtcConfig::default()))
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
        tokio::spawn(async move { desk.ring("100", &Caller::default(), || {}).await })
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
        let (_page, mut told) = ready(&desk, "ann").await;
        settle().await;
        assert!(rung(&mut told).is_some());
        // The caller gives up: it stops ringing, and the agent is ready for the next.
        call.abort();
        settle().await;
        let said: Vec<_> = std::iter::from_fn(|| told.try_recv().ok()).collect();
        assert!(said.iter().any(|m| matches!(m, ToPage::StopRinging { missed: false, .. })), "{said:?}");
        assert!(matches!(said.last(), Some(ToPage::State { state: AgentState::Ready })), "{said:?}");
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
        assert!(!call.is_finished() && desk.state().agents.is_empty());
        call.abort();
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
            FromPage::Reoffer { sdp: String::new() },
            FromPage::Call { number: "1".into(), sdp: String::new() },
            listen(None),
            listen(Some(String::new())),
        ] {
            while told.try_recv().is_ok() {}
            let what = format!("{asked:?}");
            page.ask(asked).await;
            assert!(matches!(told.try_recv(), Ok(ToPage::Refused { .. })), "{what}");
        }
    }
}
