//! The calling side: an INVITE of ours, from the number dialled to the dialog it becomes.
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
use sotto_call::Party;
use sotto_media::{MasterKey, MediaError, Suite};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::calls::Member;
use crate::dialog::{Dialog, again, with_body};
use crate::digest::Authenticator;
use crate::endpoint::Shared;
use crate::flow::Flow;
use crate::host::StartedCall;
use crate::negotiate::{self, Stream};
use crate::plan::{Bodies, SUPPORTED_VALUE, SessionTimer};
use crate::sdp;
use crate::session::{self, Placed};
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
    fn uri(&self, number: &str) -> Result<Uri, DialError> {
        let text = format!("sip:{}@{}{}", dialled(number)?, self.host, self.transport.parameter());
        rsipstack::sip::parse_uri(&text).map_err(|_| DialError::Unreachable)
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
fn dialled(number: &str) -> Result<String, DialError> {
    let kept: String = number.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '/' | '.')).collect();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '*' | '#' | '_');
    match (1..=LONGEST_NUMBER).contains(&kept.len()) && kept.chars().all(fits) {
        // RFC 3261 section 25.1: not allowed in a user part as it is.
        true => Ok(kept.replace('#', "%23")),
        false => Err(DialError::Number(number.chars().take(LONGEST_NUMBER).collect())),
    }
}

/// What the task that drives an INVITE tells.
enum News {
    Ringing,
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
    number: &str,
    mut started: StartedCall,
    party: Party,
    on_ring: impl Fn() + Send + Sync,
) -> Result<(), DialError> {
    let target = trunk.uri(number)?;
    let (flow, to) = shared.reach(&target).await.ok_or(DialError::Unreachable)?;
    let sockets = session::reserve(&shared, 1).await.map_err(|_| DialError::NoRoom)?;
    let socket = sockets.into_iter().next().ok_or(DialError::NoRoom)?;
    let outputs = started.legs.pop().ok_or(DialError::NoRoom)?;
    let origin = sdp::Origin {
        id: u64::from(session::rand_id()),
        version: 1,
        address: session::media_address(&shared, &flow, Some(&socket), None),
    };
    let keys = trunk.srtp.keys().map_err(|_| DialError::NoRoom)?;
    let (offer, _) = negotiate::offer(origin, &shared.codecs, socket.port(), true, keys);
    let contact = session::contact(&shared, &flow, sotto_call::Source::Sip);
    let account = trunk.account()?;
    let request = invite(&shared, &account, &flow, target, &contact, &offer);

    let (tell, mut news) = mpsc::channel(8);
    let given_up = CancellationToken::new();
    let give_up = given_up.clone().drop_guard();
    let driver = Driver { shared: shared.clone(), flow: flow.clone(), to, tell, given_up };
    shared.tasks.spawn(driver.drive(request, trunk.authenticator()));
    let answered = async {
        loop {
            match news.recv().await {
                Some(News::Ringing) => on_ring(),
                Some(News::Answered(answered)) => return Ok(*answered),
                Some(News::Failed(error)) => return Err(error),
                None => return Err(DialError::NoAnswer),
            }
        }
    };
    let Answered { request, response, login, taken } =
        timeout(PATIENCE, answered).await.map_err(|_| DialError::NoAnswer)??;
    let described = Bodies::read(&response, &response.body).ok().and_then(|bodies| bodies.description);
    let agreed = described.and_then(|answer| negotiate::answered(0, &offer, &answer, &shared.codecs));
    let dialog = Dialog::calling(&request, &response, contact);
    // `taken` is dropped without a word in what follows, and the driver hangs up.
    let (Some(stream), Some(dialog)) = (agreed, dialog) else { return Err(DialError::NoCodec) };
    let (number, queue) = (shared.next_number(), mpsc::channel(session::QUEUE));
    // Nobody joins it, so it is never alone.
    let member =
        Member { dialog: number, parties: vec![party], participants: Vec::new(), hang_up: Box::new(|| ()) };
    let call = shared.calls.adopt(started, member).map_err(|_| DialError::NoRoom)?;
    give_up.disarm();
    if taken.send(()).is_err() {
        tracing::debug!("the task of an outgoing call is gone");
    }
    let takes_update = response.header_value("Allow").is_some_and(|allow| allow.contains("UPDATE"));
    let timer = SessionTimer::after(&request, &response, shared.config.min_se_s);
    let placed = Placed {
        number,
        flow,
        dialog,
        call,
        party,
        socket,
        stream: Stream { talks: true, ..stream },
        outputs,
        offer,
        takes_update,
        timer,
        login,
    };
    session::go_on(&shared, placed, queue);
    Ok(())
}

/// The INVITE.
fn invite(
    shared: &Shared,
    account: &str,
    flow: &Flow,
    target: Uri,
    contact: &str,
    offer: &sdp::Session,
) -> Request {
    let tag = rsipstack::transaction::make_tag();
    let mut headers = vec![
        Header::Via(shared.via(flow).as_str().into()),
        Header::MaxForwards("70".into()),
        Header::From(format!("<{account}>;tag={}", tag.value()).as_str().into()),
        Header::To(format!("<{target}>").as_str().into()),
        Header::CallId(rsipstack::transaction::random_text(22).as_str().into()),
        Header::CSeq("1 INVITE".into()),
        Header::Contact(contact.into()),
        Header::Allow(ALLOW.into()),
        Header::Other("Accept".to_owned(), ACCEPT.to_owned()),
        Header::Supported(SUPPORTED_VALUE.into()),
        Header::UserAgent(shared.config.user_agent.as_str().into()),
    ];
    if let Some(timer) = SessionTimer::wanted(&shared.config) {
        headers.extend(session::extra(&timer.question()));
    }
    let body = with_body(&mut headers, Some(("application/sdp", offer.to_string())));
    Request { method: Method::Invite, uri: target, version: Version::V2, headers: headers.into(), body }
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
                    let _ = self.tell.try_send(News::Ringing);
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
                    let reason = response.status_code.to_string();
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
