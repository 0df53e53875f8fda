//! Audio of other clients than our page: WHIP (RFC 9725) brings one party's into a call that is only listened to,
//! as a plain SIP leg does; WHEP (draft-ietf-wish-whep) lets a supervisor's client hear a call that goes through us.
//!
//! Each is a session, which belongs to whoever began it: it is one connection, and over with it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use sotto_call::{Attention, CallId, EndReason, Millis};
use sotto_media::{Leg, LegConfig, LegEvent};
use sotto_sip::{Endpoint, Joined, Joining, Note, Refusal};
use sotto_webrtc::{Browser, Connection, Direction, Fragment, IceServer, Line, News, WebRtc, WebRtcError};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::desk::{Desk, Headset, until_gone};
use crate::pace::Pace;

/// Events of a leg that wait to be told.
const LEG_EVENTS: usize = 64;
/// A client may begin as many sessions within this time as it may have at once.
const PACE: Duration = Duration::from_secs(10);

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Streams {
    shared: Arc<Shared>,
}

struct Shared {
    webrtc: WebRtc,
    desk: Desk,
    /// Where legs join calls; absent until SIP listens.
    calls: OnceLock<Arc<Endpoint>>,
    /// How often owners may begin a session.
    begins: Pace,
    sessions: Mutex<HashMap<Uuid, Session>>,
    refused: AtomicU64,
}

/// Whose a session is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Tells owners apart.
    pub id: String,
    /// As the log and the audit have it.
    pub name: String,
}

#[derive(Clone)]
struct Session {
    owner: String,
    kind: Kind,
    /// Absent until the offer has been answered.
    connection: Option<Arc<Connection>>,
    leave: CancellationToken,
}

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// WHIP: its audio becomes a party's of a call.
    Publishes,
    /// WHEP: it hears this call.
    Listens(CallId),
}

impl Kind {
    /// The call, where it has been named.
    #[must_use]
    pub fn call(self) -> Option<CallId> {
        match self {
            Self::Publishes => None,
            Self::Listens(call) => Some(call),
        }
    }
}

/// A session that has begun.
pub struct Begun {
    /// Names it.
    pub id: Uuid,
    /// Our description.
    pub answer: String,
    /// Ends it, and is cancelled when it has ended.
    pub leave: CancellationToken,
}

/// Why a client does not get what it asks for.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StreamError {
    /// Nothing of the kind is theirs.
    #[error("there is no such session")]
    Unknown,
    /// As many as one client may have, or as often as it may ask.
    #[error("too many sessions")]
    TooMany,
    /// No such call goes through us.
    #[error("there is no such call")]
    NoCall,
    /// The leg may not be on the call.
    #[error("the call does not take another leg: {0:?}")]
    Refused(Refusal),
    /// A restart of ICE: a new session does the same.
    #[error("no restart of ICE here: begin another session")]
    Restart,
    /// No connection.
    #[error(transparent)]
    WebRtc(#[from] WebRtcError),
}

/// A place among the sessions, given up when dropped.
struct Place {
    streams: Streams,
    id: Uuid,
    leave: CancellationToken,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.streams.sessions().remove(&self.id);
        self.leave.cancel();
    }
}

impl Streams {
    /// With no session yet.
    #[must_use]
    pub fn new(webrtc: WebRtc, desk: Desk) -> Self {
        let shared = Shared {
            begins: Pace::new(webrtc.sessions_per_client(), PACE),
            webrtc,
            desk,
            calls: OnceLock::new(),
            sessions: Mutex::default(),
            refused: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// From now on legs join the calls of `endpoint`.
    pub fn join_through(&self, endpoint: Arc<Endpoint>) {
        let _ = self.shared.calls.set(endpoint);
    }

    /// The servers that clients may use to find a way to us.
    #[must_use]
    pub fn ice_servers(&self) -> &[IceServer] {
        self.shared.webrtc.ice_servers()
    }

    /// How the ways to browsers are now, those of agents and supervisors included.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        self.shared.webrtc.lines()
    }

    /// Sessions now: of those who publish, and of those who listen.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        let sessions = self.sessions();
        let publish = sessions.values().filter(|session| session.kind == Kind::Publishes).count();
        (publish, sessions.len() - publish)
    }

    /// How often a client did not get what it asked for.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// A client does not get what it asks for: counted, and written down for admins, unless it goes on and on.
    pub fn refuse(&self, owner: &Owner, call: Option<CallId>, why: &str) {
        self.shared.refused.fetch_add(1, Ordering::Relaxed);
        self.shared.desk.audit().refused(&owner.name, call, why);
    }

    /// Brings a party's audio into a call.
    ///
    /// # Errors
    /// See [`StreamError`].
    pub async fn publish(
        &self,
        owner: &Owner,
        leg: impl FnOnce(&'static str) -> Joining,
        offer: &str,
    ) -> Result<Begun, StreamError> {
        let calls = self.shared.calls.get().ok_or(StreamError::Refused(Refusal::Unavailable))?;
        let place = self.place(owner, Kind::Publishes)?;
        let browser = self.answer(&place, offer, Direction::Sends).await?;
        let Browser { answer, format, pipe, news, connection, .. } = browser;
        let leg = leg(format.payloads.first().map_or("", |(_, codec)| codec.name()));
        let name = leg.call.clone();
        let (joined, outputs) = match calls.join(leg).await {
            Ok(joined) => joined,
            Err(refusal) => {
                connection.close().await;
                return Err(StreamError::Refused(refusal));
            }
        };
        let what = format!("the {:?}'s audio of {name:?}", joined.party());
        self.shared.desk.audit().note(&owner.name, "publish", Some(joined.call()), &what);
        let begun = Begun { id: place.id, answer, leave: place.leave.clone() };
        let (events, heard) = mpsc::channel(LEG_EVENTS);
        let leg = Leg::start(pipe, format, None, joined.clock(), outputs, events, LegConfig::default());
        tokio::spawn(async move {
            let reason = published(&joined, heard, news, &place.leave).await;
            let stats = leg.stop().await;
            connection.close().await;
            joined.leave(reason, Some(stats)).await;
            drop(place);
        });
        Ok(begun)
    }

    /// Lets a supervisor's client hear a call. Whoever it is must have been asked whether they may.
    ///
    /// # Errors
    /// See [`StreamError`].
    pub async fn listen(&self, owner: &Owner, call: CallId, offer: &str) -> Result<Begun, StreamError> {
        if !self.shared.desk.carries(call) {
            return Err(StreamError::NoCall);
        }
        let place = self.place(owner, Kind::Listens(call))?;
        let browser = self.answer(&place, offer, Direction::Receives).await?;
        let Browser { answer, format, pipe, news, connection, .. } = browser;
        let headset = Headset { format, pipe, connection };
        let attending = self.shared.desk.attend(&owner.name, call, Attention::Listen, headset).await;
        let attending = attending.map_err(|_| StreamError::NoCall)?;
        let begun = Begun { id: place.id, answer, leave: place.leave.clone() };
        tokio::spawn(async move {
            tokio::select! {
                () = attending.ear.leave.cancelled() => {}
                () = place.leave.cancelled() => {}
                () = until_gone(news, |_| {}) => {}
            }
            attending.leave().await;
            drop(place);
        });
        Ok(begun)
    }

    /// Candidates of a session's client (trickle ICE, RFC 9725 section 4.3.1).
    ///
    /// # Errors
    /// See [`StreamError`].
    pub async fn candidates(
        &self,
        owner: &Owner,
        id: Uuid,
        kind: Kind,
        fragment: Fragment,
    ) -> Result<(), StreamError> {
        let connection = self.session(owner, id, kind)?.connection.ok_or(StreamError::Unknown)?;
        if fragment.ufrag.is_some_and(|ufrag| !connection.is_checked_as(&ufrag)) {
            return Err(StreamError::Restart);
        }
        for candidate in fragment.candidates {
            connection.candidate(candidate).await?;
        }
        Ok(())
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`StreamError::Unknown`].
    pub fn end(&self, owner: &Owner, id: Uuid, kind: Kind) -> Result<(), StreamError> {
        self.session(owner, id, kind)?.leave.cancel();
        // What is gone for its client is not found again, however long the rest takes.
        self.sessions().remove(&id);
        Ok(())
    }

    /// Whether there is such a session, and it is theirs.
    ///
    /// # Errors
    /// [`StreamError::Unknown`]: whose others are is nobody's business.
    pub fn check(&self, owner: &Owner, id: Uuid, kind: Kind) -> Result<(), StreamError> {
        self.session(owner, id, kind).map(drop)
    }

    fn session(&self, owner: &Owner, id: Uuid, kind: Kind) -> Result<Session, StreamError> {
        let found = self.sessions().get(&id).cloned();
        found.filter(|found| found.owner == owner.id && found.kind == kind).ok_or(StreamError::Unknown)
    }

    fn place(&self, owner: &Owner, kind: Kind) -> Result<Place, StreamError> {
        let mut sessions = self.sessions();
        let theirs = sessions.values().filter(|session| session.owner == owner.id).count();
        if theirs >= self.shared.webrtc.sessions_per_client() || !self.shared.begins.admits(&owner.id) {
            return Err(StreamError::TooMany);
        }
        let (id, leave) = (Uuid::now_v7(), CancellationToken::new());
        let session = Session { owner: owner.id.clone(), kind, connection: None, leave: leave.clone() };
        sessions.insert(id, session);
        Ok(Place { streams: self.clone(), id, leave })
    }

    async fn answer(&self, place: &Place, offer: &str, way: Direction) -> Result<Browser, WebRtcError> {
        let browser = self.shared.webrtc.answer_at_once(offer, way).await?;
        if let Some(session) = self.sessions().get_mut(&place.id) {
            session.connection = Some(browser.connection.clone());
        }
        Ok(browser)
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<Uuid, Session>> {
        self.shared.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the call what happens on a leg, until it has to leave: why.
async fn published(
    joined: &Joined,
    mut heard: mpsc::Receiver<LegEvent>,
    news: mpsc::Receiver<News>,
    leave: &CancellationToken,
) -> EndReason {
    let party = joined.party();
    let gone = until_gone(news, |_| {});
    tokio::pin!(gone);
    loop {
        tokio::select! {
            reason = joined.is_over() => return reason,
            () = leave.cancelled() => return EndReason::Hangup,
            () = &mut gone => return EndReason::Timeout,
            event = heard.recv() => match event {
                Some(LegEvent::FirstPacket { codec }) => joined.note(Note::LegStarted { party, codec }).await,
                Some(LegEvent::Dtmf { digit, duration_ms }) => {
                    joined.note(Note::Dtmf { party, digit, duration: Millis(duration_ms) }).await;
                }
                Some(LegEvent::Line(quality)) => joined.note(Note::Line { party, quality }).await,
                Some(LegEvent::Timeout) | None => return EndReason::Timeout,
            },
        }
    }
}
