//! Supervisors' audio on calls that go through us: from their pages, and from other clients (WHEP).

use std::sync::Arc;
use std::time::Duration;

use sotto_audio::{Tone, ring};
use sotto_call::{Attention, CallId, EventBody, Supervisor};
use sotto_media::{Leg, LegConfig, LegFormat, LegOutputs, MemberId, Pipe, Role};
use sotto_webrtc::{Connection, News};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::messages::ToPage;
use super::seat::GRACE;
use super::{Announce, Desk, OnCall, State};

/// How long a client has to connect.
const CONNECTING: Duration = Duration::from_secs(15);

/// A supervisor's part in somebody's call.
#[derive(Clone)]
pub struct Ear {
    /// Which call.
    pub call: CallId,
    /// Ends it.
    pub leave: CancellationToken,
    pub(super) member: MemberId,
}

/// A supervisor who is on somebody's call. Has to [`leave`](Self::leave), or stays there.
pub struct Attending {
    /// To end it from elsewhere. Cancelled when the call is over.
    pub ear: Ear,
    desk: Desk,
    name: String,
    there: OnCall,
    leg: Leg,
    connection: Arc<Connection>,
    /// The call's log is closed when everyone has left.
    _here: TaskTrackerToken,
}

/// What a supervisor hears through.
pub struct Headset {
    /// What both ends speak.
    pub format: LegFormat,
    /// The way to it.
    pub pipe: Pipe,
    /// The connection.
    pub connection: Arc<Connection>,
}

impl Desk {
    /// Whether a call goes through us.
    #[must_use]
    pub fn carries(&self, call: CallId) -> bool {
        self.state().calls.contains_key(&call)
    }

    /// A supervisor comes to somebody's call. Whoever it is must have been asked whether they may.
    ///
    /// # Errors
    /// When there is no such call; the connection has been closed.
    pub async fn attend(
        &self,
        name: &str,
        call: CallId,
        attention: Attention,
        headset: Headset,
    ) -> Result<Attending, &'static str> {
        let Headset { format, pipe, connection } = headset;
        let there = self.state().calls.get(&call).cloned();
        let Some(there) = there else {
            connection.close().await;
            return Err("there is no such call");
        };
        let leave = there.talk.over.child_token();
        let (member, end) = there.talk.bridge.join(role(attention));
        // Nobody recognises what supervisors say.
        let (speech, recording) = (ring(20).0, (there.talk.supervision.record)());
        let outputs = LegOutputs { speech, recording, bridge: Some(end) };
        let (events, _) = mpsc::channel(1);
        let leg = Leg::start(pipe, format, None, there.talk.clock, outputs, events, LegConfig::default());
        let attending = Attending {
            ear: Ear { call, leave, member },
            desk: self.clone(),
            name: name.to_owned(),
            _here: there.talk.supervision.there.token(),
            there,
            leg,
            connection,
        };
        self.attends(&attending.there, name, &attending.ear, Some(attention));
        Ok(attending)
    }

    /// A supervisor who is on somebody's call does something else there.
    pub(super) fn turns_to(&self, name: &str, ear: &Ear, attention: Attention) {
        let there = self.state().calls.get(&ear.call).cloned();
        if let Some(there) = there {
            there.talk.bridge.set_role(ear.member, role(attention));
            self.attends(&there, name, ear, Some(attention));
        }
    }

    /// Tells everyone what a supervisor does on a call: the log, the audit, and the agent who is to know.
    fn attends(&self, there: &OnCall, name: &str, ear: &Ear, attention: Option<Attention>) {
        let what = match attention {
            Some(Attention::Listen) => "listens",
            Some(Attention::Whisper) => "whispers",
            Some(Attention::Barge) => "barges in",
            None => "leaves",
        };
        self.audit().note(name, "supervise", Some(ear.call), what);
        let mut state = self.state();
        let State { agents, calls, .. } = &mut *state;
        // The seat is gone before those who listen are.
        let Some(call) = calls.get_mut(&ear.call) else {
            there.talk.live.publish(EventBody::Supervisor(Supervisor { name: name.to_owned(), attention }));
            return;
        };
        let before = call.attention_of(name);
        call.ears.retain(|(member, ..)| *member != ear.member);
        if let Some(attention) = attention {
            call.ears.push((ear.member, name.to_owned(), attention));
        }
        // Who listens by two ways and leaves by one is still there.
        let now = call.attention_of(name);
        if now == before {
            return;
        }
        there.talk.live.publish(EventBody::Supervisor(Supervisor { name: name.to_owned(), attention: now }));
        let announce = self.shared.config.announce;
        let tone = if now.is_some() { Tone::Arrival } else { Tone::Departure };
        there.talk.bridge.announce(tone, |role| announce.reaches(role));
        // Who only listens from now on is not there any more, for an agent who is not to know.
        let seen = |attention: Option<Attention>| attention.filter(|attention| self.is_seen(*attention));
        let agent = call.agent.as_ref().and_then(|agent| agents.get(agent));
        if let Some(agent) = agent.filter(|_| seen(before) != seen(now)) {
            agent.tell(ToPage::Supervisor { name: name.to_owned(), attention: seen(now) });
        }
    }

    /// Whether agents are told of supervisors who do this.
    pub(super) fn is_seen(&self, attention: Attention) -> bool {
        self.shared.config.announce != Announce::Silent || attention != Attention::Listen
    }
}

impl Attending {
    /// Leaves the call.
    pub async fn leave(self) {
        self.there.talk.bridge.leave(self.ear.member);
        self.leg.stop().await;
        self.connection.close().await;
        self.desk.attends(&self.there, &self.name, &self.ear, None);
    }
}

fn role(attention: Attention) -> Role {
    match attention {
        Attention::Listen => Role::Listener,
        Attention::Whisper => Role::Whisperer,
        Attention::Barge => Role::Barger,
    }
}

/// Waits until a connection has not come up in time, or is gone and does not come back.
/// `told` is told of everything else that happens to it.
pub async fn until_gone(mut news: mpsc::Receiver<News>, told: impl Fn(News)) {
    let mut until = Some(Instant::now() + CONNECTING);
    loop {
        let late = async move {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = late => return,
            now = news.recv() => {
                match &now {
                    Some(News::Connected) => until = None,
                    Some(News::Lost) => until = until.or_else(|| Some(Instant::now() + GRACE)),
                    Some(News::Candidate(_) | News::Gathered) => {}
                    Some(News::Failed) | None => return,
                }
                now.into_iter().for_each(&told);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_does_not_come_up_or_back_is_gone() {
        let begun = Instant::now();
        let (_tell, news) = mpsc::channel(4);
        until_gone(news, |_| {}).await;
        assert_eq!(begun.elapsed(), CONNECTING);

        let (tell, news) = mpsc::channel(4);
        let begun = Instant::now();
        let watched = tokio::spawn(until_gone(news, |_| {}));
        for now in [News::Connected, News::Lost, News::Connected] {
            tell.send(now).await.unwrap();
            tokio::time::sleep(CONNECTING / 2).await;
        }
        assert!(!watched.is_finished());
        tell.send(News::Lost).await.unwrap();
        watched.await.unwrap();
        assert!(begun.elapsed() >= CONNECTING / 2 * 3 + GRACE);
    }
}
