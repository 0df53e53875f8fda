//! The calling side: an INVITE of ours, from the number dialled to the dialog it becomes.
//!
//! A description that comes before the answer begins the leg (early media, RFC 3960): others on the call hear the far
//! end's tones and announcements. The host sees to it that nothing is said to it and that it is neither recorded
//! nor recognised until the call is answered. Then what the answer describes holds, of whichever fork it is.
//!
//! The stack's transaction must not be interrupted, so a task drives it and tells what comes. Whoever waits for
//! the call may give up at any time: the task then takes the INVITE back (CANCEL, RFC 3261 section 9.1), or
//! hangs up when the answer had been on its way.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rsipstack::sip::{Header, HeadersExt, Method, Request, Response, SipMessage, Uri, Version};
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transaction::transaction::Transaction;
use rsipstack::transport::SipAddr;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sotto_call::{EndReason, Party};
use sotto_media::{CallClock, LegOutputs, MasterKey, MediaError, Socket, Suite};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::calls::{Call, Member, Reach};
use crate::dialog::{Dialog, again, with_body};
use crate::digest::Authenticator;
use crate::endpoint::Shared;
use crate::flow::Flow;
use crate::host::StartedCall;
use crate::negotiate::{self, Stream};
use crate::plan::{Bodies, SessionTimer};
use crate::sdp;
use crate::session::{self, Input, LegSlot, Placed, Referral};
use crate::wire::{ACCEPT, ALLOW};

/// How long a telephone may ring.
const PATIENCE: Duration = Duration::from_secs(180);
/// Requests of one call: challenges, a longer session.
const MAX_REQUESTS: u32 = 8;
/// Telephones that may answer the same call, of those that ring.
const MAX_FORKS: usize = 16;
/// Characters of what may be dialled.
const LONGEST_NUMBER: usize = 64;

/// An account at a PBX or provider, through which calls are placed and, when it is registered, taken.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Trunk {
    /// Where it is: a name or an address, with a port when it is not 5060 (5061 with TLS). Empty: there is none, and
    /// no calls are placed.
    pub host: String,
    /// How it is reached.
    pub transport: TrunkTransport,
    /// Whether the audio is encrypted (SRTP, RFC 4568). Its keys travel in the signalling: whoever can read
    /// that can hear the call, so it wants `transport = "tls"`, or a network that nobody else reads.
    pub srtp: TrunkSrtp,
    /// The extension or account: calls are placed as it.
    pub user: String,
    /// The name to authenticate by, when it is not the user.
    pub auth_user: String,
    /// The password, when it wants one (RFC 3261 section 22). Better given in the environment than in a file.
    pub password: String,
    /// Registers as the extension (RFC 3261 section 10), so that the PBX sends its calls here: they come as calls
    /// to the number that `user` is. What comes from the PBX's address is then served whoever else may call.
    pub register: bool,
    /// Hands calls over to numbers outside by asking the customer's side to call them (REFER, RFC 3515), so that
    /// Sotto leaves the path and neither hears nor records what follows. Where that is refused, the number is called
    /// through the trunk as otherwise.
    pub refer: bool,
}

/// Without the password.
impl fmt::Debug for Trunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trunk").field("host", &self.host).field("user", &self.user).finish_non_exhaustive()
    }
}

/// See [`Trunk::transport`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrunkTransport {
    /// In datagrams.
    #[default]
    Udp,
    /// On a connection.
    Tcp,
    /// On an encrypted connection, to a trunk that has a certificate for the name or address that `host` is, from an
    /// authority that `sip.tls.ca` or the system knows.
    Tls,
}

impl TrunkTransport {
    fn parameter(self) -> &'static str {
        match self {
            Self::Udp => "",
            Self::Tcp => ";transport=tcp",
            Self::Tls => ";transport=tls",
        }
    }
}

/// See [`Trunk::srtp`]. What comes from the trunk is encrypted when it offers that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrunkSrtp {
    /// It is not.
    #[default]
    Off,
    /// It is, and a trunk that does not encrypt is not talked to.
    On,
}

impl TrunkSrtp {
    /// The keys to offer.
    fn keys(self) -> Result<Vec<MasterKey>, MediaError> {
        match self {
            Self::Off => Ok(Vec::new()),
            Self::On => Suite::ALL.into_iter().map(MasterKey::fresh).collect(),
        }
    }
}

impl Trunk {
    /// What answers its challenges.
    pub(crate) fn authenticator(&self) -> Authenticator {
        let name = if self.auth_user.is_empty() { &self.user } else { &self.auth_user };
        Authenticator::new(name, &self.password)
    }

    /// What cannot be right about it.
    ///
    /// # Errors
    /// Says what is wrong with which key.
    pub fn check(&self) -> Result<(), String> {
        if self.host.is_empty() {
            return if self.register { Err("`register` needs a `host`".to_owned()) } else { Ok(()) };
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.!~*'()&=+$,;?/%".contains(c);
        if !self.user.chars().all(fits) || (self.register && self.user.is_empty()) {
            return Err(format!("`user` {:?} is not one that can be registered or called", self.user));
        }
        self.home()
            .map(|_| ())
            .map_err(|_| format!("`host` {:?} is neither a name nor an address", self.host))
    }

    /// The account's own address (address of record).
    pub(crate) fn account(&self) -> Result<String, DialError> {
        Ok(format!("sip:{}@{}", self.user, self.home()?.host_with_port.host))
    }

    /// Where it is.
    pub(crate) fn home(&self) -> Result<Uri, DialError> {
        // Names, addresses and ports (RFC 3261 section 25.1, hostport); the parser takes more.
        let fits = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
        let text = format!("sip:{}{}", self.host, self.transport.parameter());
        match self.host.chars().all(fits) {
            true => rsipstack::sip::parse_uri(&text).map_err(|_| DialError::Unreachable),
            false => Err(DialError::Unreachable),
        }
    }

    /// The address of a number there.
    pub(crate) fn uri(&self, number: &str) -> Result<Uri, DialError> {
        let text = format!("sip:{}@{}{}", dialled(number)?, self.host, self.transport.parameter());
        rsipstack::sip::parse_uri(&text).map_err(|_| DialError::Unreachable)
    }
}

/// Whom to call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub(crate) number: String,
    /// What else the INVITE says, when somebody has asked for the call (RFC 3892, RFC 3891).
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Target {
    /// The number dialled.
    #[must_use]
    pub fn number(&self) -> &str {
        &self.number
    }
}

impl From<&str> for Target {
    fn from(number: &str) -> Self {
        Self { number: number.to_owned(), headers: Vec::new() }
    }
}

/// Why a call could not be placed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DialError {
    /// What was dialled is no number.
    #[error("{0:?} is no number")]
    Number(String),
    /// There is no trunk, or it cannot be reached.
    #[error("the trunk cannot be reached")]
    Unreachable,
    /// Nobody has answered in time.
    #[error("no answer")]
    NoAnswer,
    /// The other side does not take the call.
    #[error("refused: {status} {reason}")]
    Refused {
        /// SIP status, 486 when busy for instance.
        status: u16,
        /// Its words.
        reason: String,
    },
    /// The other side speaks nothing that we speak, or does not encrypt as it should.
    #[error("no codec or encryption in common")]
    NoCodec,
    /// As many calls, or ports, as there may be are taken.
    #[error("no room for another call")]
    NoRoom,
}

/// A number as it is written into an address: people's spaces and brackets are left out.
pub(crate) fn dialled(number: &str) -> Result<String, DialError> {
    let kept: String = number.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '/' | '.')).collect();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '*' | '#' | '_');
    match (1..=LONGEST_NUMBER).contains(&kept.len()) && kept.chars().all(fits) {
        // RFC 3261 section 25.1: not allowed in a user part as it is.
        true => Ok(kept.replace('#', "%23")),
        false => Err(DialError::Number(number.chars().take(LONGEST_NUMBER).collect())),
    }
}

/// What is known of a call of ours before it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It rings, and nothing is to be heard of the far end (RFC 3960 section 3.2).
    Ringing,
    /// The far end's own tones and announcements have begun to come.
    Heard,
}

/// The media of a call of ours, from the first description that comes.
struct Media<'a> {
    shared: &'a Shared,
    flow: &'a Flow,
    offer: &'a sdp::Session,
    clock: CallClock,
    party: Party,
    /// What the leg is to be made from.
    fresh: Option<(Socket, LegOutputs)>,
    leg: Option<LegSlot>,
    /// The codec of its first audio.
    heard: Option<&'static str>,
}

impl Media<'_> {
    /// Does what a response describes: whether there is something agreed on.
    fn take(&mut self, response: &Response) -> bool {
        let Ok(bodies) = Bodies::read(response, &response.body) else { return false };
        // Some describe only what comes before the answer.
        let Some(answer) = bodies.description else { return self.leg.is_some() };
        let agreed = negotiate::answered(0, self.offer, &answer, &self.shared.codecs);
        let Some(stream) = agreed.map(|stream| Stream { talks: true, ..stream }) else { return false };
        let peer = self.flow.peer;
        if let Some(leg) = &mut self.leg {
            leg.renew(stream, self.shared, peer);
        } else if let Some((socket, outputs)) = self.fresh.take() {
            let (clock, party) = (self.clock, self.party);
            self.leg = Some(LegSlot::begin(self.shared, peer, clock, socket, stream, party, outputs));
        }
        true
    }

    /// Waits until something is heard for the first time.
    async fn heard(&mut self) {
        match &mut self.leg {
            Some(leg) if self.heard.is_none() => self.heard = Some(leg.first_audio().await),
            _ => std::future::pending().await,
        }
    }
}

/// What the task that drives an INVITE tells.
enum News {
    Progress(Box<Response>),
    Answered(Box<Answered>),
    Failed(DialError),
}

struct Answered {
    /// The request that was answered at last.
    request: Request,
    response: Response,
    login: Authenticator,
    /// Dropped when nobody wants the call any more.
    taken: oneshot::Sender<()>,
}

/// Places a call, and begins its dialog once it has been answered. Dropped before, it takes the call back.
pub(crate) async fn dial(
    shared: Arc<Shared>,
    trunk: &Trunk,
    target: &Target,
    mut started: StartedCall,
    party: Party,
    on_progress: impl Fn(Progress) + Send + Sync,
) -> Result<(), DialError> {
    let outputs = started.legs.pop().ok_or(DialError::NoRoom)?;
    let clock = started.clock;
    let reached = ring(&shared, trunk, target, outputs, clock, party, on_progress).await?;
    let (number, queue) = (shared.next_number(), mpsc::channel(session::QUEUE));
    let member = Member {
        dialog: number,
        parties: vec![party],
        participants: Vec::new(),
        reach: Reach::Session(queue.0.clone()),
    };
    let call = shared.calls.adopt(started, member).map_err(|_| DialError::NoRoom)?;
    reached.go_on(&shared, number, call, queue);
    Ok(())
}

/// Places the call that somebody on a call wants in their place. It has a part in the call from now on, so that who
/// wants it may leave before it is answered.
pub(crate) async fn instead(
    shared: &Arc<Shared>,
    trunk: &Trunk,
    referral: &Referral,
    outputs: LegOutputs,
    on_progress: impl Fn(Progress) + Send + Sync,
) -> Result<(), DialError> {
    let (number, queue) = (shared.next_number(), mpsc::channel(session::QUEUE));
    let (call, party) = (&referral.call, referral.party());
    let member = Member {
        dialog: number,
        parties: vec![party],
        participants: Vec::new(),
        reach: Reach::Session(queue.0.clone()),
    };
    let place = Place { shared, call, dialog: number, is_taken: false };
    call.admit(member);
    let ringing = ring(shared, trunk, referral.target(), outputs, call.clock, party, on_progress);
    let ringing = shared.stopping.run_until_cancelled(call.over.run_until_cancelled(ringing));
    let reached = ringing.await.flatten().ok_or(DialError::NoAnswer)??;
    place.take();
    reached.go_on(shared, number, call.clone(), queue);
    Ok(())
}

/// A part in a call that is given up when it is not taken.
struct Place<'a> {
    shared: &'a Arc<Shared>,
    call: &'a Arc<Call>,
    dialog: u64,
    is_taken: bool,
}

impl Place<'_> {
    fn take(mut self) {
        self.is_taken = true;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.is_taken {
            let (shared, call, dialog) = (self.shared.clone(), self.call.clone(), self.dialog);
            let leaving = async move { shared.calls.leave(&call, dialog, EndReason::Hangup).await };
            self.shared.farewells.spawn(leaving);
        }
    }
}

/// A call of ours that has been answered. Dropped, it is hung up.
pub(crate) struct Reached {
    flow: Flow,
    dialog: Dialog,
    leg: LegSlot,
    heard: Option<&'static str>,
    offer: sdp::Session,
    takes_update: bool,
    timer: Option<SessionTimer>,
    login: Authenticator,
    taken: oneshot::Sender<()>,
}

impl Reached {
    /// Serves its dialog, which has a part in `call`.
    pub(crate) fn go_on(
        self,
        shared: &Arc<Shared>,
        number: u64,
        call: Arc<Call>,
        queue: (mpsc::Sender<Input>, mpsc::Receiver<Input>),
    ) {
        let Self { flow, dialog, leg, heard, offer, takes_update, timer, login, taken } = self;
        if taken.send(()).is_err() {
            tracing::debug!("the task of an outgoing call is gone");
        }
        let placed = Placed { number, flow, dialog, call, leg, heard, offer, takes_update, timer, login };
        session::go_on(shared, placed, queue);
    }
}

/// Rings at a number until it is answered. Dropped before, it takes the call back.
pub(crate) async fn ring(
    shared: &Arc<Shared>,
    trunk: &Trunk,
    target: &Target,
    outputs: LegOutputs,
    clock: CallClock,
    party: Party,
    on_progress: impl Fn(Progress) + Send + Sync,
) -> Result<Reached, DialError> {
    let uri = trunk.uri(&target.number)?;
    let (flow, to) = shared.reach(&uri).await.ok_or(DialError::Unreachable)?;
    let sockets = session::reserve(shared, 1).await.map_err(|_| DialError::NoRoom)?;
    let socket = sockets.into_iter().next().ok_or(DialError::NoRoom)?;
    let origin = sdp::Origin {
        id: u64::from(session::rand_id()),
        version: 1,
        address: session::media_address(shared, &flow, Some(&socket), None),
    };
    let keys = trunk.srtp.keys().map_err(|_| DialError::NoRoom)?;
    let (offer, _) = negotiate::offer(origin, &shared.codecs, socket.port(), true, keys);
    let contact = session::contact(shared, &flow, sotto_call::Source::Sip);
    let account = trunk.account()?;
    let request = invite(shared, &account, &flow, uri, &contact, target, &offer);

    let (tell, mut news) = mpsc::channel(8);
    let given_up = CancellationToken::new();
    let give_up = given_up.clone().drop_guard();
    let driver = Driver { shared: shared.clone(), flow: flow.clone(), to, tell, given_up };
    shared.tasks.spawn(driver.drive(request, trunk.authenticator()));
    let fresh = Some((socket, outputs));
    let mut media = Media { shared, flow: &flow, offer: &offer, clock, party, fresh, leg: None, heard: None };
    let answered = async {
        loop {
            let told = tokio::select! {
                told = news.recv() => told,
                () = media.heard() => {
                    on_progress(Progress::Heard);
                    continue;
                }
            };
            match told {
                Some(News::Progress(response)) => {
                    let is_ringing = response.status_code.code() == 180 || response.body.is_empty();
                    if !response.body.is_empty() && !media.take(&response) {
                        tracing::debug!(status = %response.status_code, "early media that we cannot use");
                    }
                    if is_ringing && media.heard.is_none() {
                        on_progress(Progress::Ringing);
                    }
                }
                Some(News::Answered(answered)) => return Ok(*answered),
                Some(News::Failed(error)) => return Err(error),
                None => return Err(DialError::NoAnswer),
            }
        }
    };
    let Answered { request, response, login, taken } =
        timeout(PATIENCE, answered).await.map_err(|_| DialError::NoAnswer)??;
    // `taken` is dropped without a word in what follows, and the driver hangs up.
    let (true, Some(dialog)) = (media.take(&response), Dialog::calling(&request, &response, contact)) else {
        return Err(DialError::NoCodec);
    };
    let Some(mut leg) = media.leg else { return Err(DialError::NoCodec) };
    let unheard_of = leg.begins();
    let heard = media.heard.or(unheard_of);
    give_up.disarm();
    let takes_update = response.header_value("Allow").is_some_and(|allow| allow.contains("UPDATE"));
    let timer = SessionTimer::after(&request, &response, shared.config.min_se_s);
    Ok(Reached { flow, dialog, leg, heard, offer, takes_update, timer, login, taken })
}

/// The INVITE.
fn invite(
    shared: &Shared,
    account: &str,
    flow: &Flow,
    uri: Uri,
    contact: &str,
    target: &Target,
    offer: &sdp::Session,
) -> Request {
    let tag = rsipstack::transaction::make_tag();
    let mut headers = vec![
        Header::Via(shared.via(flow).as_str().into()),
        Header::MaxForwards("70".into()),
        Header::From(format!("<{account}>;tag={}", tag.value()).as_str().into()),
        Header::To(format!("<{uri}>").as_str().into()),
        Header::CallId(rsipstack::transaction::random_text(22).as_str().into()),
        Header::CSeq("1 INVITE".into()),
        Header::Contact(contact.into()),
        Header::Allow(ALLOW.into()),
        Header::Other("Accept".to_owned(), ACCEPT.to_owned()),
        // Not 100rel: provisional answers would have to be acknowledged (RFC 3262).
        Header::Supported("timer".into()),
        Header::UserAgent(shared.config.user_agent.as_str().into()),
    ];
    if let Some(timer) = SessionTimer::wanted(&shared.config) {
        headers.extend(session::extra(&timer.question()));
    }
    headers.extend(session::extra(&target.headers));
    let body = with_body(&mut headers, Some(("application/sdp", offer.to_string())));
    Request { method: Method::Invite, uri, version: Version::V2, headers: headers.into(), body }
}

/// Takes an INVITE back: the same request in all that names it.
fn cancel(invite: &Request) -> Request {
    let named = |header: &&Header| {
        matches!(
            header,
            Header::Via(_)
                | Header::From(_)
                | Header::To(_)
                | Header::CallId(_)
                | Header::MaxForwards(_)
                | Header::Route(_)
        )
    };
    let mut headers: Vec<Header> = invite.headers.iter().filter(named).cloned().collect();
    let sequence = invite.header_value("CSeq").unwrap_or_default();
    let sequence = sequence.split(' ').next().unwrap_or("1");
    headers.push(Header::CSeq(format!("{sequence} CANCEL").as_str().into()));
    let body = with_body(&mut headers, None);
    Request {
        method: Method::Cancel,
        uri: invite.uri.clone(),
        version: Version::V2,
        headers: headers.into(),
        body,
    }
}

/// Who has answered: the tag.
fn answerer(response: &Response) -> String {
    let tag = response.to_header().ok().and_then(|to| to.tag().ok().flatten());
    tag.map(|tag| tag.value().to_owned()).unwrap_or_default()
}

/// Drives an INVITE of ours to its end.
struct Driver {
    shared: Arc<Shared>,
    flow: Flow,
    to: SipAddr,
    tell: mpsc::Sender<News>,
    /// Nobody waits for the call any more.
    given_up: CancellationToken,
}

impl Driver {
    async fn drive(self, mut request: Request, mut authenticator: Authenticator) {
        let mut sequence = 1;
        let Some(mut transaction) = self.transaction(request.clone()).await else {
            return self.failed(DialError::Unreachable).await;
        };
        let mut is_over = false;
        let mut taken: Vec<String> = Vec::new();
        let mut proceeds = Some(self.watch(&transaction));
        while let Some(message) = transaction.receive().await {
            let SipMessage::Response(response) = message else { continue };
            match response.status_code.code() {
                status @ 100..200 => {
                    if let Some(proceeds) = &proceeds {
                        let _ = proceeds.send(true);
                    }
                    if status == 100 {
                        continue;
                    }
                    let _ = self.tell.try_send(News::Progress(Box::new(response)));
                }
                // Again and again until our ACK has come, which the stack sends each time.
                200..300 if taken.contains(&answerer(&response)) => {}
                200..300 if is_over => {
                    // Somebody else has answered as well (RFC 3261 section 13.2.2.4), and one is enough.
                    if taken.len() < MAX_FORKS {
                        taken.push(answerer(&response));
                        self.shared.farewells.spawn(self.hang_up(&transaction.original, &response));
                    }
                }
                200..300 => {
                    is_over = true;
                    taken.push(answerer(&response));
                    // What has been answered cannot be cancelled.
                    proceeds = None;
                    authenticator.succeeded();
                    self.answered(transaction.original.clone(), response, authenticator.clone()).await;
                }
                401 | 407 | 422
                    if sequence < MAX_REQUESTS
                        && (authenticator.challenged(&response)
                            || self.prolonged(&mut request, &transaction.original, &response)) =>
                {
                    sequence += 1;
                    let mut next = again(&request, sequence, &self.shared.via(&self.flow));
                    authenticator.sign(&mut next);
                    let Some(next) = self.transaction(next).await else {
                        return self.failed(DialError::Unreachable).await;
                    };
                    transaction = next;
                    proceeds = Some(self.watch(&transaction));
                }
                status => {
                    is_over = true;
                    proceeds = None;
                    let reason = response.status_code.text().to_owned();
                    self.failed(DialError::Refused { status, reason }).await;
                }
            }
        }
        if !is_over {
            self.failed(DialError::NoAnswer).await;
        }
    }

    async fn transaction(&self, request: Request) -> Option<Transaction> {
        let key = TransactionKey::from_request(&request, TransactionRole::Client).ok()?;
        let connection = Some(self.flow.connection.clone());
        let mut transaction = Transaction::new_client(key, request, self.shared.stack.clone(), connection);
        transaction.destination = Some(self.to.clone());
        transaction.send().await.ok()?;
        Some(transaction)
    }

    /// Takes the request back when nobody waits for it any more, as soon as the peer has shown that it has it.
    /// Ends with the sender.
    fn watch(&self, transaction: &Transaction) -> watch::Sender<bool> {
        let (proceeds, mut proceeding) = watch::channel(false);
        let (shared, flow, to) = (self.shared.clone(), self.flow.clone(), self.to.clone());
        let (given_up, cancel) = (self.given_up.clone(), cancel(&transaction.original));
        self.shared.tasks.spawn(async move {
            tokio::select! {
                () = given_up.cancelled() => {}
                _ = async { while proceeding.changed().await.is_ok() {} } => return,
            }
            if proceeding.wait_for(|proceeds| *proceeds).await.is_ok() {
                session::exchange(&shared, &flow, to, &cancel).await;
            }
        });
        proceeds
    }

    async fn answered(&self, request: Request, response: Response, login: Authenticator) {
        let (taken, is_taken) = oneshot::channel();
        let answered = Answered { request: request.clone(), response: response.clone(), login, taken };
        let told = self.tell.send(News::Answered(Box::new(answered))).await;
        if told.is_ok() && is_taken.await.is_ok() {
            return;
        }
        // The answer had been on its way when the call was given up, or it is of no use to us.
        self.hang_up(&request, &response).await;
    }

    /// Ends what a 2xx has begun.
    fn hang_up(&self, request: &Request, response: &Response) -> impl Future<Output = ()> + Send + 'static {
        let (shared, flow, to) = (self.shared.clone(), self.flow.clone(), self.to.clone());
        let dialog = Dialog::calling(request, response, String::new());
        let bye = dialog.map(|mut dialog| dialog.request(Method::Bye, shared.via(&flow), Vec::new(), None));
        async move {
            if let Some(bye) = bye {
                session::exchange(&shared, &flow, to, &bye).await;
            }
        }
    }

    /// Whether a refusal wants nothing but a session of longer intervals: `request` asks for them then.
    fn prolonged(&self, request: &mut Request, sent: &Request, refusal: &Response) -> bool {
        let longer = SessionTimer::after(sent, refusal, self.shared.config.min_se_s);
        let Some(longer) = longer else { return false };
        request.headers.retain(|header| !matches!(header.name(), "Session-Expires" | "Min-SE"));
        request.headers.extend(session::extra(&longer.question()));
        true
    }

    async fn failed(&self, error: DialError) {
        let _ = self.tell.send(News::Failed(error)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dialled_as_people_write_them() {
        for (written, meant) in [
            ("+98 912 345-67-89", "+989123456789"),
            ("(021) 1234.5678", "02112345678"),
            ("*21#", "*21%23"),
            ("mina_2", "mina_2"),
        ] {
            assert_eq!(dialled(written).as_deref(), Ok(meant));
        }
        for wrong in ["", " ", "1;transport=tcp", "a@b", "1\r\nX: y", "<1>", &"1".repeat(65)] {
            assert!(dialled(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let trunk = Trunk { host: "pbx".into(), password: "secret".into(), ..Trunk::default() };
        assert!(!format!("{trunk:?}").contains("secret"));
    }
}
