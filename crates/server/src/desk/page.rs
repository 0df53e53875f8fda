//! What an agent's page can ask for.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sotto_call::{Attention, CallId};
use sotto_webrtc::{Browser, Connection, Direction, WebRtcError};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::ear::until_gone;
use super::messages::{AgentState, CallFailure, FromPage, ToPage};
use super::seat::{Order, Sitter};
use super::{Agent, Desk, Headset, LONGEST_NUMBER, Talk, Verdict};

/// Offers of one agent within [`OFFERED_WITHIN`], on however many pages: each costs a connection. Whoever goes from network
/// to network, or loads the page anew, makes few.
pub(super) const MOST_OFFERS: usize = 20;
pub(super) const OFFERED_WITHIN: Duration = Duration::from_secs(10);

/// Why pages do not get what they ask for: the names by which that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Somebody else's call, or for supervisors only.
    NotTheirs,
    /// An offer that cannot be answered.
    Offer,
    /// A candidate that is none, or one more than any browser has.
    Candidate,
    /// More messages, or offers, than a page has any use for.
    TooMany,
    /// A message that is too large.
    TooLarge,
    /// A message that is none.
    NotUnderstood,
    /// Not possible at the moment, or not here.
    Impossible,
}

impl Reason {
    /// In the order in which they are declared.
    pub const ALL: [Self; 7] = [
        Self::NotTheirs,
        Self::Offer,
        Self::Candidate,
        Self::TooMany,
        Self::TooLarge,
        Self::NotUnderstood,
        Self::Impossible,
    ];

    /// As figures have it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::NotTheirs => "not_theirs",
            Self::Offer => "offer",
            Self::Candidate => "candidate",
            Self::TooMany => "too_many",
            Self::TooLarge => "too_large",
            Self::NotUnderstood => "not_understood",
            Self::Impossible => "impossible",
        }
    }
}

/// Something that a page does not get.
struct Refused {
    reason: Reason,
    /// In words.
    why: String,
}

impl Refused {
    fn new(reason: Reason, why: impl Into<String>) -> Self {
        Self { reason, why: why.into() }
    }
}

impl From<&str> for Refused {
    fn from(why: &str) -> Self {
        Self::new(Reason::Impossible, why)
    }
}

impl From<WebRtcError> for Refused {
    fn from(error: WebRtcError) -> Self {
        let reason = match error {
            WebRtcError::Offer(_) => Reason::Offer,
            WebRtcError::Candidate(_) => Reason::Candidate,
            _ => Reason::Impossible,
        };
        Self::new(reason, error.to_string())
    }
}

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
    pub fn refused(&self, reason: Reason, why: &str) {
        self.line.refused(None, reason, why);
    }
}

impl Line {
    async fn ask(&self, asked: FromPage) {
        let in_call = match &asked {
            FromPage::Supervise { call_id, .. } => Some(*call_id),
            _ => self.talk().map(|talk| talk.live.id()),
        };
        if let Err(Refused { reason, why }) = self.answer(asked).await {
            self.refused(in_call, reason, &why);
            self.with(|agent| agent.tell(ToPage::Refused { why }));
        }
    }

    fn refused(&self, in_call: Option<CallId>, reason: Reason, why: &str) {
        self.desk.shared.refused[reason as usize].fetch_add(1, Ordering::Relaxed);
        self.desk.audit().refused(&self.agent, in_call, why);
    }

    async fn answer(&self, asked: FromPage) -> Result<(), Refused> {
        match asked {
            FromPage::Ready {} => self.turns(AgentState::Ready),
            FromPage::Away {} => self.turns(AgentState::Away),
            FromPage::Accept { ring, sdp } => return self.accept(ring, &sdp).await,
            FromPage::Call { number, sdp } => return self.call(number, &sdp).await,
            FromPage::Decline { ring } => {
                if let Some(decide) = self.take_ringing(ring) {
                    let _ = decide.send(Verdict::Declined);
                }
            }
            FromPage::Candidate { candidate } => {
                let connection = self.connection().ok_or("there is no call")?;
                connection.candidate(candidate).await?;
            }
            FromPage::Resume { sdp } => return self.resume(&sdp).await,
            FromPage::Hold { on } => self.command(Order::Hold(on)).await?,
            FromPage::Transfer { to, consult } => {
                self.finds(&to).await?;
                self.command(Order::Transfer { to, consult }).await?;
            }
            FromPage::Complete {} => self.command(Order::Complete).await?,
            FromPage::TakeBack {} => self.command(Order::TakeBack).await?,
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

    async fn accept(&self, ring: u64, sdp: &str) -> Result<(), Refused> {
        let decide = self.take_ringing(ring).ok_or("it rings no more")?;
        let still_rings = |agent: &Agent| agent.ringing.as_ref().is_some_and(|rung| rung.ring == ring);
        match self.offered(sdp, still_rings).await {
            Ok(browser) => {
                if let Err(Verdict::Accepted(browser)) = decide.send(Verdict::Accepted(Box::new(browser))) {
                    self.with(|agent| agent.stop_ringing(ring, AgentState::Ready, false));
                    self.desk.shared.ready.notify_waiters();
                    browser.connection.close().await;
                    return Err("the caller has given up".into());
                }
                Ok(())
            }
            Err(refused) => {
                let _ = decide.send(Verdict::Declined);
                Err(refused)
            }
        }
    }

    /// The call that the agent is on.
    fn talk(&self) -> Option<Talk> {
        self.with(|agent| agent.talk.clone()).flatten()
    }

    /// Tells the agent's place in the call.
    async fn order(&self, order: Order) -> Result<(), &'static str> {
        let talk = self.talk().ok_or("there is no call")?;
        talk.orders.send(order).await.map_err(|_| "the call is over")
    }

    /// The same, of what only the agent who is in charge of the call can ask for: a colleague who is asked for advice
    /// may leave it, and that is all.
    async fn command(&self, order: Order) -> Result<(), Refused> {
        let talk = self.talk().ok_or("there is no call")?;
        let is_theirs = {
            let state = self.desk.state();
            let call = state.calls.get(&talk.live.id());
            call.is_some_and(|call| call.agent.as_ref() == Some(&self.agent))
        };
        if !is_theirs {
            return Err(Refused::new(Reason::NotTheirs, "somebody else is in charge of the call"));
        }
        talk.orders.send(order).await.map_err(|_| "the call is over".into())
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

    /// Takes the audio of the call that the agent is on, from another connection or by another way of the one that is there.
    async fn resume(&self, sdp: &str) -> Result<(), Refused> {
        self.talk().ok_or("there is no call")?;
        if let Some(connection) = self.connection().filter(|connection| connection.is_restarted_by(sdp)) {
            self.may_offer()?;
            let sdp = connection.restart(sdp).await?;
            self.with(|agent| agent.tell(ToPage::Answer { sdp }));
            return Ok(());
        }
        // It may be over while the offer is answered.
        let browser = self.offered(sdp, |agent| agent.talk.is_some()).await?;
        let connection = browser.connection.clone();
        let sitter = Sitter { agent: self.agent.clone(), browser };
        if let Err(why) = self.order(Order::Resume(Box::new(sitter))).await {
            connection.close().await;
            return Err(why.into());
        }
        Ok(())
    }

    /// Calls a number.
    async fn call(&self, number: String, sdp: &str) -> Result<(), Refused> {
        let Some(dial) = self.desk.shared.dial.get() else {
            return self.call_failed(CallFailure::NoTrunk, "no trunk is configured");
        };
        if number.chars().count() > LONGEST_NUMBER {
            return self.call_failed(CallFailure::NoNumber, "too long a number");
        }
        self.engage()?;
        match self.offered(sdp, |_| true).await {
            Ok(browser) => {
                dial(self.agent.clone(), number, browser);
                Ok(())
            }
            Err(refused) => {
                // Unless another page has the telephone by now, which may have a call.
                if self.with(|_| ()).is_some() {
                    self.desk.over(&self.agent, None);
                }
                Err(refused)
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
    fn call_failed(&self, reason: CallFailure, why: &str) -> Result<(), Refused> {
        self.refused(None, Reason::Impossible, why);
        self.with(|agent| agent.tell(ToPage::CallFailed { reason }));
        Ok(())
    }

    /// What becomes of a ringing is for who takes this to say. It rings until that is said.
    fn take_ringing(&self, ring: u64) -> Option<oneshot::Sender<Verdict>> {
        let decide =
            |agent: &mut Agent| agent.ringing.as_mut().filter(|rung| rung.ring == ring)?.decide.take();
        self.with(decide).flatten()
    }

    /// Comes to somebody's call, or does something else there.
    async fn supervise(&self, call: CallId, attention: Attention, sdp: Option<&str>) -> Result<(), Refused> {
        if !self.may_supervise {
            return Err(Refused::new(Reason::NotTheirs, "supervisors only"));
        }
        if !self.desk.carries(call) {
            return Err(Refused::new(Reason::NotTheirs, "there is no such call"));
        }
        let Some(sdp) = sdp else {
            let mine = |agent: &mut Agent| agent.ear.clone().filter(|ear| ear.call == call);
            let ear = self.with(mine).flatten().ok_or("you are not on this call")?;
            self.desk.turns_to(&self.agent, &ear, attention);
            self.supervises(call, Some(attention));
            return Ok(());
        };
        self.engage()?;
        let browser = match self.offered(sdp, |_| true).await {
            Ok(browser) => browser,
            Err(refused) => {
                self.rests();
                return Err(refused);
            }
        };
        let Browser { format, pipe, news, connection, .. } = browser;
        let headset = Headset { format, pipe, connection };
        let attending = match self.desk.attend(&self.agent, call, attention, headset).await {
            Ok(attending) => attending,
            Err(why) => {
                self.rests();
                return Err(why.into());
            }
        };
        let leave = attending.ear.leave.clone();
        if self.with(|agent| agent.ear = Some(attending.ear.clone())).is_none() {
            // Another page has the telephone, and nobody could leave.
            leave.cancel();
        }
        self.supervises(call, Some(attention));
        let page = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = leave.cancelled() => {}
                () = until_gone(news, |now| page.desk.news(&page.agent, now)) => {}
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

    fn may_offer(&self) -> Result<(), Refused> {
        let may = self.desk.shared.offers.admits(&self.agent);
        if may { Ok(()) } else { Err(Refused::new(Reason::TooMany, "too many offers")) }
    }

    /// Answers the page's offer, unless what it is for has come to an end meanwhile: what the agent does by then must
    /// not be disturbed.
    async fn offered(&self, sdp: &str, is_wanted: impl FnOnce(&Agent) -> bool) -> Result<Browser, Refused> {
        self.may_offer()?;
        let browser = match self.desk.shared.webrtc.answer(sdp, Direction::Both).await {
            Ok(browser) => browser,
            Err(error) => {
                if !matches!(error, WebRtcError::Offer(_)) {
                    tracing::error!(agent = self.agent, %error, "an offer could not be answered");
                }
                return Err(error.into());
            }
        };
        let (sdp, connection) = (browser.answer.clone(), browser.connection.clone());
        let answer = |agent: &mut Agent| {
            let is_wanted = is_wanted(agent);
            if is_wanted {
                agent.connection = Some(connection);
                agent.becomes(AgentState::Talking);
                agent.tell(ToPage::Answer { sdp });
            }
            is_wanted
        };
        if self.with(answer) != Some(true) {
            browser.connection.close().await;
            return Err("it is too late for this".into());
        }
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

#[cfg(test)]
mod tests {
    use sotto_webrtc::{WebRtc, WebRtcConfig};

    use super::*;
    use crate::audit::Audit;
    use crate::desk::testing::offer;
    use crate::desk::{Caller, DeskConfig, Number};

    #[tokio::test]
    async fn a_call_that_rings_while_the_one_before_is_answered_too_late_does_not_ring_for_ever() {
        let numbers = vec![Number { number: "100".into(), ..Number::default() }];
        let here = WebRtcConfig { ip: "127.0.0.1".parse().unwrap(), ..WebRtcConfig::default() };
        let config = DeskConfig { numbers, ..DeskConfig::default() };
        let desk = Desk::new(config, WebRtc::new(here), Audit::to_log_only());
        let (page, mut told) = desk.open("ann", false);
        page.ask(FromPage::Ready {}).await;
        let call = || {
            let desk = desk.clone();
            tokio::spawn(async move { desk.ring("100", &Caller::default(), None, || {}).await })
        };
        let mut rung = async || loop {
            if let ToPage::Ring { ring, .. } = told.recv().await.unwrap() {
                break ring;
            }
        };
        let first = call();
        let before = rung().await;
        // As an agent does who accepts: the offer is being answered.
        let decide = page.line.take_ringing(before).unwrap();
        first.abort();
        assert!(first.await.is_err());
        let second = call();
        let now = rung().await;
        assert!(now != before && decide.is_closed());
        let still_rings = |agent: &Agent| agent.ringing.as_ref().is_some_and(|rung| rung.ring == before);
        assert!(page.line.offered(&offer(), still_rings).await.is_err());
        assert_eq!(desk.agents()[0].state, AgentState::Ringing);
        second.abort();
        assert!(second.await.is_err());
        let stopped = loop {
            if let ToPage::StopRinging { ring, .. } = told.recv().await.unwrap() {
                break ring;
            }
        };
        assert_eq!((stopped, desk.agents()[0].state), (now, AgentState::Ready));
    }
}
