//! What an agent's page can ask for.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sotto_call::{Attention, CallId};
use sotto_webrtc::{Browser, Connection, Direction, News, WebRtcError};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::messages::{AgentState, CallFailure, FromPage, ToPage};
use super::seat::{Order, Sitter};
use super::{Agent, Desk, Headset, LONGEST_NUMBER, Verdict};

/// Offers of one agent within [`OFFERED_WITHIN`], on however many pages: each costs a connection. Whoever goes from network
/// to network, or loads the page anew, makes few.
pub(super) const MOST_OFFERS: usize = 20;
pub(super) const OFFERED_WITHIN: Duration = Duration::from_secs(10);

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
}

impl Page {
    /// Does what the page asks.
    pub async fn ask(&self, asked: FromPage) {
        self.line.ask(asked).await;
    }

    /// The page has said what it may not, or nobody understands.
    pub fn refused(&self, why: &str) {
        self.line.refused(None, why);
    }
}

impl Line {
    async fn ask(&self, asked: FromPage) {
        let in_call = match &asked {
            FromPage::Supervise { call_id, .. } => Some(*call_id),
            _ => None,
        };
        if let Err(why) = self.answer(asked).await {
            self.refused(in_call, &why);
            self.with(|agent| agent.tell(ToPage::Refused { why }));
        }
    }

    fn refused(&self, in_call: Option<CallId>, why: &str) {
        self.desk.shared.refused.fetch_add(1, Ordering::Relaxed);
        self.desk.audit().refused(&self.agent, in_call, why);
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
                self.finds(&to).await?;
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
        match self.offered(sdp).await {
            Ok(browser) => {
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

    /// Whether there is a way to somebody whom a call is to be handed over to. Who is not there is not called outside
    /// by their name.
    async fn finds(&self, to: &str) -> Result<(), &'static str> {
        if self.desk.reaches(to) {
            return Ok(());
        }
        if self.desk.knows(to).await {
            return Err("they are not there");
        }
        let is_number = to.chars().count() <= LONGEST_NUMBER;
        let is_somewhere = self.desk.shared.dial.get().is_some() || self.desk.has_number(to);
        match is_number && is_somewhere {
            true => Ok(()),
            false => Err("there is nobody of this name, and no such number here"),
        }
    }

    /// Takes the audio of the call that the agent is on.
    async fn resume(&self, sdp: &str) -> Result<(), String> {
        self.with(|agent| agent.talk.is_some()).filter(|talks| *talks).ok_or("there is no call")?;
        let browser = self.offered(sdp).await.map_err(|error| error.to_string())?;
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
        let Some(dial) = self.desk.shared.dial.get() else {
            return self.call_failed(CallFailure::NoTrunk, "no trunk is configured");
        };
        if number.chars().count() > LONGEST_NUMBER {
            return self.call_failed(CallFailure::NoNumber, "too long a number");
        }
        self.engage()?;
        match self.offered(sdp).await {
            Ok(browser) => {
                dial(self.agent.clone(), number, browser);
                Ok(())
            }
            Err(error) => {
                self.desk.over(&self.agent, None);
                Err(error.to_string())
            }
        }
    }

    /// The agent is about to be on a call, and rung by nobody from now on: an offer takes a moment to answer.
    pub(super) fn engage(&self) -> Result<(), &'static str> {
        let engage = |agent: &mut Agent| {
            let is_free = agent.is_free();
            if is_free {
                agent.leaves = agent.state == AgentState::Away;
                agent.becomes(AgentState::Talking);
            }
            is_free
        };
        self.with(engage).filter(|engaged| *engaged).map(|_| ()).ok_or("you are on a call")
    }

    /// A call is not even begun, which counts as every refusal does.
    fn call_failed(&self, reason: CallFailure, why: &str) -> Result<(), String> {
        self.refused(None, why);
        self.with(|agent| agent.tell(ToPage::CallFailed { reason }));
        Ok(())
    }

    fn take_ringing(&self, ring: u64) -> Option<(u64, oneshot::Sender<Verdict>)> {
        self.with(|agent| agent.ringing.take_if(|(ringing, _)| *ringing == ring)).flatten()
    }

    /// Comes to somebody's call, or does something else there.
    async fn supervise(&self, call: CallId, attention: Attention, sdp: Option<&str>) -> Result<(), String> {
        if !self.may_supervise {
            return Err("supervisors only".to_owned());
        }
        if !self.desk.carries(call) {
            return Err("there is no such call".to_owned());
        }
        let Some(sdp) = sdp else {
            let mine = |agent: &mut Agent| agent.ear.clone().filter(|ear| ear.call == call);
            let ear = self.with(mine).flatten().ok_or("you are not on this call")?;
            self.desk.turns_to(&self.agent, &ear, attention);
            self.supervises(call, Some(attention));
            return Ok(());
        };
        self.engage()?;
        let browser = match self.offered(sdp).await {
            Ok(browser) => browser,
            Err(error) => {
                self.rests();
                return Err(error.to_string());
            }
        };
        let Browser { format, pipe, mut news, connection, .. } = browser;
        let headset = Headset { format, pipe, connection };
        let attending = match self.desk.attend(&self.agent, call, attention, headset).await {
            Ok(attending) => attending,
            Err(why) => {
                self.rests();
                return Err(why.to_owned());
            }
        };
        let leave = attending.ear.leave.clone();
        self.with(|agent| agent.ear = Some(attending.ear.clone()));
        self.supervises(call, Some(attention));
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
            attending.leave().await;
            page.supervises(call, None);
            page.rests();
        });
        Ok(())
    }

    /// Tells the page what its supervisor does.
    fn supervises(&self, call_id: CallId, attention: Option<Attention>) {
        self.with(|agent| agent.tell(ToPage::Supervising { call_id, attention }));
    }

    /// On nobody's call any more.
    pub(super) fn rests(&self) {
        self.with(|agent| {
            (agent.ear, agent.connection, agent.leaves) = (None, None, false);
            agent.becomes(AgentState::Away);
        });
    }

    fn connection(&self) -> Option<Arc<Connection>> {
        self.with(|agent| agent.connection.clone()).flatten()
    }

    /// Answers the page's offer.
    async fn offered(&self, sdp: &str) -> Result<Browser, WebRtcError> {
        if !self.desk.shared.offers.admits(&self.agent) {
            return Err(WebRtcError::Offer("too many".to_owned()));
        }
        let browser = self.desk.shared.webrtc.answer(sdp, Direction::Both).await?;
        let (sdp, connection) = (browser.answer.clone(), browser.connection.clone());
        self.with(|agent| {
            agent.connection = Some(connection);
            agent.becomes(AgentState::Talking);
            agent.tell(ToPage::Answer { sdp });
        });
        Ok(browser)
    }

    /// Looks at the agent, unless another page has taken this one's place.
    fn with<T>(&self, look: impl FnOnce(&mut Agent) -> T) -> Option<T> {
        let mut state = self.desk.state();
        state.agents.get_mut(&self.agent).filter(|agent| agent.page == self.page).map(look)
    }
}

impl Drop for Page {
    /// Who talks goes on talking: the page may only be loaded anew, and its audio says when it is gone. For the same
    /// reason what others did is remembered for a while.
    fn drop(&mut self) {
        let Line { desk, agent: name, page, .. } = &self.line;
        let mut state = desk.state();
        let Some(agent) = state.agents.get_mut(name).filter(|agent| agent.page == *page) else { return };
        if let Some(ear) = &agent.ear {
            ear.leave.cancel();
        }
        if agent.talk.is_none() {
            agent.gone = Some(Instant::now());
            // It rings no more here, though not because the agent did not want the call.
            if agent.ringing.take().is_some() {
                agent.state = AgentState::Ready;
            }
        }
    }
}
