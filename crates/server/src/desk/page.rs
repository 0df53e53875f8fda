//! What an agent's page can ask for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sotto_audio::{Tone, ring};
use sotto_call::{Attention, CallId, EventBody, Supervisor};
use sotto_media::{Leg, LegConfig, LegOutputs, Role};
use sotto_webrtc::{Browser, Connection, News, WebRtcError};
use tokio::sync::{mpsc, oneshot};

use super::messages::{AgentState, FromPage, ToPage};
use super::seat::{Order, Sitter};
use super::{Agent, Announce, Desk, Ear, LONGEST_NUMBER, OnCall, State, Verdict};

/// Refusals of one page that get into the audit.
const MOST_AUDITED: u64 = 20;

/// An agent's page, while it is open.
pub struct Page {
    pub(super) line: Line,
}

/// What a page can ask for.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) desk: Desk,
    pub(super) agent: String,
    pub(super) page: u64,
    pub(super) may_supervise: bool,
    /// How often this page was refused something.
    pub(super) refused: Arc<AtomicU64>,
}

impl Page {
    /// Does what the page asks.
    pub async fn ask(&self, asked: FromPage) {
        self.line.ask(asked).await;
    }
}

impl Line {
    async fn ask(&self, asked: FromPage) {
        let in_call = match &asked {
            FromPage::Supervise { call_id, .. } => Some(*call_id),
            _ => None,
        };
        if let Err(why) = self.answer(asked).await {
            self.desk.shared.refused.fetch_add(1, Ordering::Relaxed);
            // A page that goes on and on is counted, and fills no database.
            if self.refused.fetch_add(1, Ordering::Relaxed) < MOST_AUDITED {
                self.desk.audit().note(&self.agent, "refused", in_call, &why);
            }
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
            FromPage::Resume { sdp } => return self.resume(&sdp).await,
            FromPage::Hold { on } => self.order(Order::Hold(on)).await?,
            FromPage::Transfer { to, consult } => {
                let is_outside = !self.desk.has_number(&to);
                if to.chars().count() > LONGEST_NUMBER || is_outside && self.desk.shared.dial.get().is_none()
                {
                    return Err("there is nobody of this name, and no such number here".to_owned());
                }
                self.order(Order::Transfer { to, consult }).await?;
            }
            FromPage::Complete {} => self.order(Order::Complete).await?,
            FromPage::TakeBack {} => self.order(Order::TakeBack).await?,
            FromPage::Supervise { call_id, attention, sdp } => {
                return self.supervise(call_id, attention, sdp.as_deref()).await;
            }
            FromPage::Leave {} => {
                let ear = self.with(|agent| agent.ear.clone()).flatten().ok_or("there is no call")?;
                ear.leave.cancel();
            }
            FromPage::HangUp {} => self.order(Order::HangUp { agent: self.agent.clone() }).await?,
            FromPage::Ping {} => {}
        }
        Ok(())
    }

    fn turns(&self, wanted: AgentState) {
        self.with(|agent| match agent.state {
            AgentState::Away | AgentState::Ready | AgentState::WrapUp if agent.state != wanted => {
                agent.becomes(wanted);
            }
            AgentState::Talking => agent.leaves = wanted == AgentState::Away,
            AgentState::Away | AgentState::Ready | AgentState::WrapUp | AgentState::Ringing => {}
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

    /// Tells the agent's place in the call.
    async fn order(&self, order: Order) -> Result<(), &'static str> {
        let talk = self.with(|agent| agent.talk.clone()).flatten().ok_or("there is no call")?;
        talk.orders.send(order).await.map_err(|_| "the call is over")
    }

    /// Takes the audio of the call that the agent is on.
    async fn resume(&self, sdp: &str) -> Result<(), String> {
        self.with(|agent| agent.talk.is_some()).filter(|talks| *talks).ok_or("there is no call")?;
        let browser = self.desk.shared.webrtc.answer(sdp).await.map_err(|error| error.to_string())?;
        self.answered(&browser);
        let connection = browser.connection.clone();
        let sitter = Sitter { agent: self.agent.clone(), browser };
        if let Err(why) = self.order(Order::Resume(Box::new(sitter))).await {
            connection.close().await;
            return Err(why.to_owned());
        }
        Ok(())
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
                self.desk.over(&self.agent, None);
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
        // Nobody recognises what supervisors say.
        let (speech, recording) = (ring(20).0, (there.talk.supervision.record)());
        let outputs = LegOutputs { speech, recording, bridge: Some(end) };
        let (events, _) = mpsc::channel(1);
        let leg = Leg::start(pipe, format, None, there.talk.clock, outputs, events, LegConfig::default());
        let ear = Ear { call, member, leave: leave.clone() };
        self.with(|agent| agent.ear = Some(ear));
        self.attends(call, &there, Some(attention));
        let page = self.clone();
        there.talk.supervision.there.clone().spawn(async move {
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
        let what = match attention {
            Some(Attention::Listen) => "listens",
            Some(Attention::Whisper) => "whispers",
            Some(Attention::Barge) => "barges in",
            None => "leaves",
        };
        self.desk.audit().note(&name, "supervise", Some(call_id), what);
        let announce = self.desk.shared.config.announce;
        let tone = if attention.is_some() { Tone::Arrival } else { Tone::Departure };
        there.talk.bridge.announce(tone, |role| announce.reaches(role));
        let is_seen = announce != Announce::Silent || !matches!(attention, Some(Attention::Listen));
        let mut state = self.desk.state();
        let State { agents, calls, .. } = &mut *state;
        if let Some(call) = calls.get_mut(&call_id) {
            // Who only listens from now on is not there any more, for an agent who is not to know.
            let attention = attention.filter(|_| is_seen);
            let before = match attention {
                Some(attention) => call.supervisors.insert(name.clone(), attention),
                None => call.supervisors.remove(&name),
            };
            if let Some(agent) = agents.get(&call.agent).filter(|_| before != attention) {
                agent.tell(ToPage::Supervisor { name, attention });
            }
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
