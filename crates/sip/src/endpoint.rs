//! The endpoint: listens, tells requests apart, answers what needs no dialog, and hands the rest to sessions.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rsipstack::EndpointBuilder;
use rsipstack::sip::{
    HeadersExt, Host as SipHost, HostWithPort, Method, Param, Request, Scheme, SipMessage, Transport, Uri,
};
use rsipstack::transaction::endpoint::{EndpointInnerRef, EndpointOption};
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transaction::transaction::Transaction;
use rsipstack::transport::SipAddr;
use sotto_audio::Codec;
use sotto_call::{CallId, Party};
use sotto_media::{LegOutputs, Ports};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::calls::Calls;
use crate::config::{SipConfig, local_ip_towards};
use crate::counters::{Counters, SipCounters};
use crate::dial::{self, DialError, Progress, Target, Trunk};
use crate::dialog::DialogKey;
use crate::flow::{Flow, Flows, Inbox};
use crate::guard::{Denial, Guard};
use crate::host::{Host, Refusal, StartedCall};
use crate::join::{self, Joined, Joining};
use crate::plan::{Plan, Reject, SUPPORTED_VALUE, check_require};
use crate::register;
use crate::session::{self, Input, ReferError, Referral};
use crate::tls::{self, Identity, Trust};
use crate::wire::{self, ACCEPT, ALLOW, Arrival, Screened, screen};

/// How long a shutdown waits for sessions to end, and then for BYEs to be answered.
const SHUTDOWN: Duration = Duration::from_secs(10);
const FAREWELL: Duration = Duration::from_secs(3);

/// Why an endpoint could not be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SipError {
    /// An address could not be listened on.
    #[error("cannot listen on {transport} {address}: {source}")]
    Listen {
        /// UDP, TCP or TLS.
        transport: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The configuration names a codec that is not known.
    #[error("unknown codec {0:?}: PCMU, PCMA, G722 and opus are known")]
    UnknownCodec(String),
    /// The configuration names no codec.
    #[error("no codec is configured")]
    NoCodec,
    /// The configuration names no way to ask for passwords.
    #[error("no digest is configured: SHA-256 and MD5 are known")]
    NoDigest,
    /// TLS is configured and cannot be.
    #[error("TLS: {0}")]
    Tls(String),
    /// The SIP stack failed.
    #[error("SIP stack: {0}")]
    Stack(Box<rsipstack::Error>),
    /// A call was placed and refused or failed.
    #[error("call failed: {0}")]
    Call(String),
    /// Media could not be set up.
    #[error(transparent)]
    Media(#[from] sotto_media::MediaError),
    /// Input or output failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl From<rsipstack::Error> for SipError {
    fn from(error: rsipstack::Error) -> Self {
        Self::Stack(Box::new(error))
    }
}

/// The answering side: takes calls and hands them to a [`Host`].
pub struct Endpoint {
    shared: Arc<Shared>,
    udp: Vec<SocketAddr>,
    tcp: Vec<SocketAddr>,
    tls: Vec<SocketAddr>,
}

/// What sessions share.
pub(crate) struct Shared {
    pub(crate) config: SipConfig,
    pub(crate) codecs: Vec<Codec>,
    pub(crate) ports: Ports,
    pub(crate) calls: Calls,
    pub(crate) stack: EndpointInnerRef,
    pub(crate) counters: Counters,
    /// No more calls; those that are there end.
    pub(crate) stopping: CancellationToken,
    /// Everything ends.
    pub(crate) stopped: CancellationToken,
    pub(crate) tasks: Tasks,
    /// BYEs on their way.
    pub(crate) farewells: TaskTracker,
    pub(crate) sessions: TaskTracker,
    guard: Option<Guard>,
    flows: Flows,
    udp: OnceLock<Vec<Flow>>,
    tcp: OnceLock<Vec<SocketAddr>>,
    tls: OnceLock<Vec<SocketAddr>>,
    /// Whom we believe to be who they say when we connect to them.
    trust: Trust,
    /// How the trunk was reached last.
    trunk: Mutex<Option<TrunkWay>>,
    dialogs: Mutex<HashMap<DialogKey, mpsc::Sender<Input>>>,
    /// INVITEs being served, by Call-ID, From tag and number: to tell one that took two ways (RFC 3261
    /// section 8.2.2.2).
    invites: Mutex<HashSet<InviteId>>,
    live: AtomicUsize,
    next: AtomicU64,
    hasher: RandomState,
    this: Weak<Self>,
}

/// See [`Shared::invites`].
type InviteId = (String, String, u32);

/// A dialog that is being served, until this is dropped: however its task ends, it must not count for ever.
pub(crate) struct Served {
    shared: Arc<Shared>,
    /// The INVITE that began it, if it came from outside.
    invite: Option<InviteId>,
}

impl Served {
    pub(crate) fn begin(shared: &Arc<Shared>, invite: Option<InviteId>) -> Self {
        shared.live.fetch_add(1, Ordering::Relaxed);
        Self { shared: shared.clone(), invite }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.shared.live.fetch_sub(1, Ordering::Relaxed);
        if let Some(invite) = &self.invite {
            self.shared.invites().remove(invite);
        }
    }
}

/// The way to a trunk: what comes back on it is trusted, and it is taken again while it is open.
struct TrunkWay {
    home: HostWithPort,
    flow: Flow,
    to: SipAddr,
    /// The address that the trunk sees us at, when that is not the one we know (NAT).
    seen: Option<SocketAddr>,
}

/// Tasks beside the sessions, none of which outlives the endpoint.
pub(crate) struct Tasks {
    tracker: TaskTracker,
    pub(crate) stopped: CancellationToken,
}

impl Tasks {
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stopped = self.stopped.clone();
        self.tracker.spawn(async move {
            stopped.run_until_cancelled(task).await;
        });
    }
}

impl Endpoint {
    /// Opens the configured addresses and begins to serve. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// See [`SipError`].
    pub async fn start(config: SipConfig, ports: Ports, host: Arc<dyn Host>) -> Result<Self, SipError> {
        let codecs: Vec<Codec> = config
            .codecs
            .iter()
            .map(|name| Codec::by_name(name).ok_or_else(|| SipError::UnknownCodec(name.clone())))
            .collect::<Result<_, _>>()?;
        if codecs.is_empty() {
            return Err(SipError::NoCodec);
        }
        if config.digests.is_empty() {
            return Err(SipError::NoDigest);
        }
        let trust = Trust::new(&config.tls)?;
        let stopped = CancellationToken::new();
        let t1 = Duration::from_millis(config.t1_ms.max(1));
        let options =
            EndpointOption { t1, t2: 8 * t1, t4: 10 * t1, t1x64: 64 * t1, ..EndpointOption::default() };
        let stack = EndpointBuilder::new()
            .with_user_agent(&config.user_agent)
            .with_cancel_token(stopped.clone())
            .with_option(options)
            .build();
        let calls = Calls::new(host, config.max_calls, Duration::from_secs(config.lone_leg_s));
        let shared = Arc::new_cyclic(|this| Shared {
            codecs,
            ports,
            calls,
            stack: stack.inner.clone(),
            counters: Counters::default(),
            stopping: CancellationToken::new(),
            tasks: Tasks { tracker: TaskTracker::new(), stopped: stopped.clone() },
            farewells: TaskTracker::new(),
            sessions: TaskTracker::new(),
            guard: Guard::new(&config.users, &config.digests),
            flows: Flows::new(stopped.clone()),
            stopped,
            udp: OnceLock::new(),
            tcp: OnceLock::new(),
            tls: OnceLock::new(),
            trust,
            trunk: Mutex::default(),
            dialogs: Mutex::default(),
            invites: Mutex::default(),
            live: AtomicUsize::new(0),
            next: AtomicU64::new(0),
            hasher: RandomState::new(),
            this: this.clone(),
            config,
        });
        let timers = shared.stack.clone();
        shared.tasks.spawn(async move { timers.process_timer().await });
        // A retransmission that comes just when its transaction ends looks new to the stack; dropped, it is
        // cleaned up, and the next one is looked at by us.
        let mut strays = stack.incoming_transactions()?;
        shared.tasks.spawn(async move { while strays.recv().await.is_some() {} });

        let endpoint = Self { udp: Vec::new(), tcp: Vec::new(), tls: Vec::new(), shared };
        endpoint.listen().await
    }

    async fn listen(mut self) -> Result<Self, SipError> {
        let shared = self.shared.clone();
        let mut flows = Vec::new();
        for address in &shared.config.udp {
            let flow = shared.flows.udp(*address, shared.clone()).await?;
            shared.stack.transport_layer.add_transport(flow.connection.clone());
            self.udp.push(flow.local);
            flows.push(flow);
        }
        let _ = shared.udp.set(flows);
        for address in &shared.config.tcp {
            self.tcp.push(shared.flows.streams_at(*address, None, shared.clone()).await?);
        }
        let _ = shared.tcp.set(self.tcp.clone());
        if !shared.config.tls.listen.is_empty() {
            let identity = Some(Arc::new(Identity::read(&shared.config.tls)?));
            for address in &shared.config.tls.listen {
                self.tls.push(shared.flows.streams_at(*address, identity.clone(), shared.clone()).await?);
            }
        }
        let _ = shared.tls.set(self.tls.clone());
        tracing::info!(udp = ?self.udp, tcp = ?self.tcp, tls = ?self.tls, "listening for calls");
        Ok(self)
    }

    /// The UDP addresses listened on, in the order of the configuration.
    #[must_use]
    pub fn udp_addrs(&self) -> &[SocketAddr] {
        &self.udp
    }

    /// The TCP addresses listened on, in the order of the configuration.
    #[must_use]
    pub fn tcp_addrs(&self) -> &[SocketAddr] {
        &self.tcp
    }

    /// The TLS addresses listened on, in the order of the configuration.
    #[must_use]
    pub fn tls_addrs(&self) -> &[SocketAddr] {
        &self.tls
    }

    /// Places a call of the host's through a trunk; returns once it has been answered. From then on it is a call
    /// like those that came in: the host is told when it ends, and ends it by cancelling `started.over`.
    ///
    /// Dropped before, it takes the call back. The one leg in `started` is the other side's. It may be heard before
    /// the call is answered: then its part in its bridge should be [`Part::IsHeard`](sotto_media::Part).
    ///
    /// # Errors
    /// [`DialError`]; the call is then still the host's alone.
    pub async fn dial(
        &self,
        trunk: &Trunk,
        target: impl Into<Target>,
        started: StartedCall,
        party: Party,
        on_progress: impl Fn(Progress) + Send + Sync,
    ) -> Result<(), DialError> {
        dial::dial(self.shared.clone(), trunk, &target.into(), started, party, on_progress).await
    }

    /// Places the call that somebody on a call wants in their place. Once it has been answered it is a part of that
    /// call, and who has asked for it leaves. `outputs` are those of the party whose place it is.
    ///
    /// Dropped before, it takes the call back.
    ///
    /// # Errors
    /// [`DialError`]; the call then goes on as it was, unless who has asked has left and was the last.
    pub async fn dial_instead(
        &self,
        trunk: &Trunk,
        referral: Referral,
        outputs: LegOutputs,
        on_progress: impl Fn(Progress) + Send + Sync,
    ) -> Result<(), DialError> {
        let placed = dial::instead(&self.shared, trunk, &referral, outputs, on_progress).await;
        referral.tell(&placed);
        placed
    }

    /// Asks the far end of a call to call `number` in our place (REFER, RFC 3515), and waits until it has: then the
    /// call is over here.
    ///
    /// # Errors
    /// [`ReferError`]; the call then goes on as it was.
    pub async fn refer(&self, id: CallId, trunk: &Trunk, number: &str) -> Result<(), ReferError> {
        let (refer, done) = session::Refer::to(trunk, number).ok_or(ReferError::Unavailable)?;
        let session = self.shared.calls.lone_session(id).ok_or(ReferError::Unavailable)?;
        session.send(Input::Refer(refer)).await.map_err(|_| ReferError::Unavailable)?;
        // A dialog that has ended meanwhile is no transfer that we know of.
        done.await.unwrap_or(Err(ReferError::NoNews))
    }

    /// Lets a leg whose audio comes by another way join the call that goes by its name, or begin it. The outputs are
    /// where its audio goes.
    ///
    /// # Errors
    /// Why it may not.
    pub async fn join(&self, leg: Joining) -> Result<(Joined, LegOutputs), Refusal> {
        join::join(self.shared.clone(), leg).await
    }

    /// Registers with a trunk, and stays registered until [`Endpoint::shutdown`], which takes the registration
    /// back. Calls that the trunk then sends come like all others. See [`SipCounters::registered`].
    pub fn register(&self, trunk: Trunk) {
        let (shared, stopped) = (self.shared.clone(), self.shared.stopped.clone());
        self.shared.farewells.spawn(async move {
            stopped.run_until_cancelled(register::keep(shared, trunk)).await;
        });
    }

    /// What has come and what became of it.
    #[must_use]
    pub fn counters(&self) -> SipCounters {
        SipCounters {
            streams: self.shared.flows.streams(),
            dialogs: self.shared.live.load(Ordering::Relaxed),
            ..self.shared.counters.snapshot()
        }
    }

    /// Takes no more calls, ends those there are with a BYE, and closes the sockets. Returns when the host has
    /// been told of every end, or after ten seconds.
    pub async fn shutdown(&self) {
        let shared = &self.shared;
        shared.stopping.cancel();
        shared.sessions.close();
        if timeout(SHUTDOWN, shared.sessions.wait()).await.is_err() {
            tracing::warn!("some calls did not end in time");
        }
        // What is left are answers to BYEs, and transactions that wait for what comes late.
        shared.farewells.close();
        let _ = timeout(FAREWELL, shared.farewells.wait()).await;
        shared.stopped.cancel();
        shared.tasks.tracker.close();
        shared.tasks.tracker.wait().await;
        shared.flows.close().await;
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.shared.stopping.cancel();
        self.shared.stopped.cancel();
    }
}

#[async_trait]
impl Inbox for Shared {
    async fn take(&self, flow: &Flow, bytes: &[u8], arrival: Arrival) {
        let peer = flow.peer.ip();
        self.counters.message(peer);
        let is_allowed = self.is_allowed(flow.transport, flow.peer);
        match screen(bytes, arrival, flow.peer, &|seed| self.tag(seed)) {
            Screened::Message(message) => match *message {
                SipMessage::Request(request) if is_allowed => self.request(flow, request).await,
                SipMessage::Request(request) => {
                    self.refuse(flow, &request, &Reject::new(403, "Forbidden")).await;
                }
                response if is_allowed => self.hand_over(flow, response).await,
                _ => self.counters.dropped(peer),
            },
            Screened::Refused(refused) if is_allowed => {
                self.counters.refused_peer(peer, refused.status);
                flow.send(refused.answer, refused.to).await;
            }
            Screened::Refused(_) => self.counters.dropped(peer),
            Screened::Dropped(why) => {
                tracing::debug!(%peer, why, "message dropped");
                self.counters.dropped(peer);
            }
        }
    }

    fn admits(&self, transport: Transport, peer: SocketAddr) -> bool {
        self.is_allowed(transport, peer)
    }

    fn refused_stream(&self, peer: SocketAddr) {
        tracing::debug!(%peer, "connection not accepted: too many, or not an allowed peer");
        self.counters.refused_stream();
    }

    fn failed_handshake(&self, peer: SocketAddr, error: &std::io::Error) {
        tracing::debug!(%peer, %error, "no TLS with a peer");
        self.counters.failed_handshake();
    }
}

impl Shared {
    /// Whether anything from this peer is wanted.
    fn is_allowed(&self, transport: Transport, peer: SocketAddr) -> bool {
        self.guard.is_some() || self.is_trusted(transport, peer)
    }

    /// Whether this peer may call without a password.
    fn is_trusted(&self, transport: Transport, peer: SocketAddr) -> bool {
        let allowed = &self.config.allowed_peers;
        (allowed.is_empty() && self.guard.is_none())
            || allowed.iter().any(|peers| peers.contains(peer.ip()))
            || self.trunk().as_ref().is_some_and(|way| {
                // What should come over TLS is not the trunk's when it comes in the clear.
                let is_as_safe = way.flow.transport != Transport::Tls || transport == Transport::Tls;
                is_as_safe && way.flow.peer.ip() == peer.ip().to_canonical()
            })
    }

    fn trunk(&self) -> MutexGuard<'_, Option<TrunkWay>> {
        self.trunk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A tag that is always the same for the same request, so that nothing has to be remembered.
    fn tag(&self, seed: &str) -> String {
        format!("{:016x}", self.hasher.hash_one(seed))
    }

    /// Answers without state.
    async fn refuse(&self, flow: &Flow, request: &Request, reject: &Reject) {
        if request.method == Method::Ack {
            return;
        }
        self.counters.refused_peer(flow.peer.ip(), reject.status);
        let tag = |seed: &str| self.tag(seed);
        let server = format!("Server: {}\r\n", self.config.user_agent);
        let more = reject.text() + &server;
        let refused = wire::refuse(request, reject.status, reject.reason, &more, flow.peer, &tag);
        flow.send(refused.answer, refused.to).await;
    }

    /// Gives the stack what belongs to one of its transactions.
    async fn hand_over(&self, flow: &Flow, message: SipMessage) {
        let from = SipAddr::new(flow.transport, flow.peer.into());
        if let Err(error) = self.stack.on_received_message(message, flow.connection.clone(), &from).await {
            tracing::debug!(peer = %flow.peer, %error, "message not taken");
        }
    }

    async fn request(&self, flow: &Flow, request: Request) {
        if let Some(agent) = request.user_agent_header() {
            self.counters.user_agent(agent.value());
        }
        let Ok(key) = TransactionKey::from_request(&request, TransactionRole::Server) else {
            return self.refuse(flow, &request, &Reject::new(400, "Bad Request")).await;
        };
        // The stack's transaction takes the ACK as well, but in its own time: a request that follows closely
        // would overtake it.
        if request.method == Method::Ack
            && let Some(input) = DialogKey::of(&request).and_then(|dialog| self.dialog(&dialog))
            && let Some(sequence) = request.cseq_header().ok().and_then(|cseq| cseq.seq().ok())
        {
            let _ = input.try_send(Input::Acked(sequence, Box::new(request.clone())));
        }
        let is_known = self.stack.transactions.get(&key).is_some()
            || self.stack.finished_transactions.get(&key).is_some();
        if is_known || matches!(request.method, Method::Ack | Method::Cancel) {
            return self.hand_over(flow, SipMessage::Request(request)).await;
        }
        let refusal = match (DialogKey::of(&request), request.method) {
            (
                Some(dialog),
                Method::Invite
                | Method::Bye
                | Method::Update
                | Method::Info
                | Method::Options
                | Method::PRack
                | Method::Refer
                | Method::Notify,
            ) => self.in_dialog(flow, &request, key, &dialog),
            (None, Method::Invite) => self.invite(flow, &request, key),
            (None, Method::Options) => Err(self.options(&request)),
            (None, Method::Bye | Method::Update | Method::Info | Method::PRack | Method::Notify) => {
                Err(Reject::new(481, "Call/Transaction Does Not Exist"))
            }
            // Whom we are asked to call is heard only from those who are on a call.
            (None, Method::Refer) => Err(Reject::new(403, "Forbidden")),
            _ => Err(Reject::new(405, "Method Not Allowed").with("Allow", ALLOW)),
        };
        if let Err(reject) = refusal {
            self.refuse(flow, &request, &reject).await;
        }
    }

    /// What we can do (RFC 3261 section 11), which as an answer without state looks like a refusal.
    fn options(&self, request: &Request) -> Reject {
        if let Err(reject) = check_require(request) {
            return reject;
        }
        if self.stopping.is_cancelled() {
            return Reject::busy();
        }
        Reject::new(200, "OK").with("Allow", ALLOW).with("Accept", ACCEPT).with("Supported", SUPPORTED_VALUE)
    }

    fn in_dialog(
        &self,
        flow: &Flow,
        request: &Request,
        key: TransactionKey,
        dialog: &DialogKey,
    ) -> Result<(), Reject> {
        let Some(input) = self.dialog(dialog).filter(|input| !input.is_closed()) else {
            // If it is there, its task has panicked.
            self.unregister(dialog);
            return Err(Reject::new(481, "Call/Transaction Does Not Exist"));
        };
        // A session that is this far behind, or a stack that is this full, is being flooded.
        let Ok(room) = input.try_reserve() else { return Err(Reject::busy()) };
        self.check_room()?;
        let connection = Some(flow.connection.clone());
        let transaction = Transaction::new_server(key, request.clone(), self.stack.clone(), connection);
        room.send(Input::Request(Box::new((transaction, flow.clone()))));
        Ok(())
    }

    /// Transactions are remembered for 64 T1 after they are over: that must not grow without bound.
    fn check_room(&self) -> Result<(), Reject> {
        let stats = self.stack.get_stats();
        let most = 1_024 + 64 * self.config.max_calls;
        if stats.finished_transactions + stats.running_transactions > most {
            Err(Reject::busy())
        } else {
            Ok(())
        }
    }

    /// Asks who calls. Only an INVITE that begins a dialog is asked: a dialog's own requests name its tags, which
    /// nobody else knows; OPTIONS, by which PBXs look whether we are there, tell nothing and change nothing; and
    /// everything else outside dialogs is refused.
    fn authenticate(&self, flow: &Flow, request: &Request) -> Result<(), Reject> {
        let Some(guard) = self.guard.as_ref().filter(|_| !self.is_trusted(flow.transport, flow.peer)) else {
            return Ok(());
        };
        let (peer, now) = (flow.peer.ip(), Instant::now());
        guard.check(request, peer, now).map_err(|denial| {
            if denial == Denial::Wrong {
                self.counters.wrong_password();
            }
            guard.reject(denial, peer, now)
        })
    }

    fn invite(&self, flow: &Flow, request: &Request, key: TransactionKey) -> Result<(), Reject> {
        self.authenticate(flow, request)?;
        let joins =
            || request.header_value(&self.config.headers.call).is_some_and(|key| self.calls.knows(&key));
        let is_crowded = self.live.load(Ordering::Relaxed) >= 2 * self.config.max_calls + 16;
        if self.stopping.is_cancelled() || is_crowded || (self.calls.is_full() && !joins()) {
            return Err(Reject::busy());
        }
        self.check_room()?;
        if request.contact_headers().is_empty() {
            return Err(Reject::new(400, "Missing Contact"));
        }
        let plan = Plan::of(request, &self.config, &self.codecs)?;
        let identity = (
            request.call_id_header().map(|id| id.value().to_owned()).unwrap_or_default(),
            request
                .from_header()
                .ok()
                .and_then(|f| f.tag().ok().flatten())
                .map(|t| t.value().to_owned())
                .unwrap_or_default(),
            request.cseq_header().ok().and_then(|cseq| cseq.seq().ok()).unwrap_or_default(),
        );
        let Some(shared) = self.this.upgrade() else { return Err(Reject::busy()) };
        if !self.invites().insert(identity.clone()) {
            return Err(Reject::new(482, "Loop Detected"));
        }
        let connection = Some(flow.connection.clone());
        let transaction = Transaction::new_server(key, request.clone(), self.stack.clone(), connection);
        let number = self.next_number();
        let flow = flow.clone();
        let span = tracing::info_span!("dialog", call_id = identity.0, peer = %flow.peer);
        let served = Served::begin(&shared, Some(identity));
        let serving = async move {
            let queue = mpsc::channel(session::QUEUE);
            session::serve(shared, number, flow, transaction, plan, queue).await;
            drop(served);
        };
        self.sessions.spawn(serving.instrument(span));
        Ok(())
    }

    fn invites(&self) -> MutexGuard<'_, HashSet<InviteId>> {
        self.invites.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dialog(&self, key: &DialogKey) -> Option<mpsc::Sender<Input>> {
        self.dialogs.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    pub(crate) fn register(&self, key: &DialogKey, input: &mpsc::Sender<Input>) {
        self.dialogs.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), input.clone());
    }

    pub(crate) fn unregister(&self, key: &DialogKey) {
        self.dialogs.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// A name for another dialog.
    pub(crate) fn next_number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A Via of ours for a request on this flow, with a branch of its own.
    pub(crate) fn via(&self, flow: &Flow) -> String {
        let branch = rsipstack::transaction::make_via_branch();
        let transport = flow.transport;
        format!("SIP/2.0/{transport} {}{branch};rport", self.advertised(flow))
    }

    /// The way to a trunk: the connection there is, or a new one.
    pub(crate) async fn reach(&self, target: &Uri) -> Option<(Flow, SipAddr)> {
        let transport = transport(target).unwrap_or(Transport::Udp);
        let home = target.host_with_port.clone();
        let mut seen = None;
        let same = |way: &&TrunkWay| way.home == home && way.flow.transport == transport;
        if let Some(way) = self.trunk().as_ref().filter(same) {
            if way.flow.is_stream() && way.flow.is_open() {
                return Some((way.flow.clone(), way.to.clone()));
            }
            seen = way.seen;
        }
        let peer = locate(target, transport, |address| self.speaks(transport, *address)).await?;
        let flow = self.open(transport, peer, &home.host, None).await?;
        let to = SipAddr::new(transport, peer.into());
        *self.trunk() = Some(TrunkWay { home, flow: flow.clone(), to: to.clone(), seen });
        Some((flow, to))
    }

    /// Whether an address of this family can be reached.
    fn speaks(&self, transport: Transport, to: SocketAddr) -> bool {
        let udp = self.udp.get().is_some_and(|all| all.iter().any(|udp| udp.local.is_ipv4() == to.is_ipv4()));
        udp || transport != Transport::Udp
    }

    /// Takes note of where the trunk saw a request of ours come from (RFC 3581 section 4): true when that is not
    /// where we know ourselves to be, because a translator is in between.
    pub(crate) fn seen(&self, flow: &Flow, from: SocketAddr) -> bool {
        let known = self.known(flow);
        // A stream comes from a port of its own, translator or not.
        let is_known = from.ip() == known.ip() && (flow.is_stream() || from.port() == known.port());
        if let Some(way) = self.trunk().as_mut().filter(|way| way.flow.peer == flow.peer) {
            way.seen = (!is_known).then_some(from);
        }
        !is_known
    }

    /// The address that peers on this flow reach us at.
    pub(crate) fn advertised(&self, flow: &Flow) -> SocketAddr {
        let same = |way: &&TrunkWay| {
            way.flow.transport == flow.transport && way.flow.peer.ip() == flow.peer.ip().to_canonical()
        };
        let seen = self.trunk().as_ref().filter(same).and_then(|way| way.seen);
        seen.unwrap_or_else(|| self.known(flow))
    }

    /// The address that this machine, or the configuration, has for us.
    fn known(&self, flow: &Flow) -> SocketAddr {
        let listening = Some(flow.local.ip()).filter(|ip| !ip.is_unspecified());
        let ip = self.config.external_ip.or(listening);
        SocketAddr::new(
            ip.unwrap_or_else(|| local_ip_towards(flow.peer.ip().to_canonical())),
            flow.local.port(),
        )
    }

    /// How a request of ours gets to `next_hop`: on the stream the dialog lives on while that is open, or else
    /// to where the peer says it is. A trunk over TLS is connected to by its own name again: it has a certificate for
    /// no other.
    pub(crate) async fn route(&self, flow: Flow, next_hop: Uri, is_direct: bool) -> Option<(Flow, SipAddr)> {
        if flow.is_stream() && flow.is_open() {
            let to = SipAddr::new(flow.transport, flow.peer.into());
            return Some((flow, to));
        }
        let home = (self.trunk().as_ref())
            .filter(|way| flow.transport == Transport::Tls && way.flow.transport == Transport::Tls)
            .filter(|way| way.flow.peer == flow.peer)
            .map(|way| way.home.clone());
        if let Some(host_with_port) = home {
            let params = vec![Param::Transport(Transport::Tls)];
            return self.reach(&Uri { host_with_port, params, ..Uri::default() }).await;
        }
        let transport = transport(&next_hop).unwrap_or(flow.transport);
        let family = |address: &SocketAddr| address.is_ipv4() == flow.peer.is_ipv4();
        let mut to = locate(&next_hop, transport, family).await.unwrap_or(flow.peer);
        // A peer behind a translator names its inner address.
        if is_direct && session::is_private(to.ip()) && !session::is_private(flow.peer.ip()) {
            to = flow.peer;
        }
        let flow = match transport {
            Transport::Udp if !flow.is_stream() => flow.towards(to),
            // We are not known there by an address of another transport's.
            _ => {
                let local = Some(flow.local).filter(|_| transport == flow.transport);
                self.open(transport, to, &next_hop.host_with_port.host, local).await?
            }
        };
        Some((flow, SipAddr::new(transport, to.into())))
    }

    /// A flow to the address of a host; on a stream we are known by `local`, or else by where we listen.
    async fn open(
        &self,
        transport: Transport,
        to: SocketAddr,
        host: &SipHost,
        local: Option<SocketAddr>,
    ) -> Option<Flow> {
        let same = |address: SocketAddr| address.is_ipv4() == to.is_ipv4();
        let listening = match transport {
            Transport::Udp => return Some(self.udp.get()?.iter().find(|udp| same(udp.local))?.towards(to)),
            Transport::Tcp => self.tcp.get(),
            Transport::Tls => self.tls.get(),
            _ => return None,
        };
        let secure = match transport {
            Transport::Tls => {
                let connector = self.trust.connector();
                let told = connector.inspect_err(|error| tracing::warn!(%error, "no TLS"));
                Some((told.ok()?, tls::server_name(host)?))
            }
            _ => None,
        };
        let inbox = self.this.upgrade()?;
        let local = local.or(listening.and_then(|all| all.iter().copied().find(|address| same(*address))));
        let opened = self.flows.connect(local, to, secure, inbox).await;
        // A certificate that is not believed is somebody's fault, and nobody sees it elsewhere.
        opened.inspect_err(|error| tracing::warn!(%transport, %host, %to, %error, "no connection")).ok()
    }
}

/// The transport that an address names.
fn transport(uri: &Uri) -> Option<Transport> {
    // RFC 3261 section 26.2.2: whatever else such an address names, it runs over TLS.
    let is_secure = uri.scheme == Some(Scheme::Sips);
    let named = uri.params.iter().find_map(|parameter| match parameter {
        Param::Transport(transport) => Some(*transport),
        _ => None,
    });
    if is_secure { Some(Transport::Tls) } else { named }
}

/// The first address of what `uri` names that fits.
async fn locate(
    uri: &Uri,
    transport: Transport,
    fits: impl Fn(&SocketAddr) -> bool + Send,
) -> Option<SocketAddr> {
    let port = uri.host_with_port.port.unwrap_or_else(|| transport.default_port());
    match &uri.host_with_port.host {
        SipHost::IpAddr(ip) => Some(SocketAddr::new(*ip, port.value())),
        SipHost::Domain(name) => {
            let port = port.value();
            let lookup = tokio::net::lookup_host((name.to_string(), port));
            let found = timeout(Duration::from_secs(2), lookup).await;
            found.ok().and_then(Result::ok).and_then(|mut all| all.find(|address| fits(address)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_says_how_and_at_which_port_it_is_reached() {
        for (uri, over, at) in [
            ("sip:192.0.2.1", None, "192.0.2.1:5060"),
            ("sip:192.0.2.1;transport=tcp", Some(Transport::Tcp), "192.0.2.1:5060"),
            ("sip:192.0.2.1;transport=tls", Some(Transport::Tls), "192.0.2.1:5061"),
            ("sips:192.0.2.1", Some(Transport::Tls), "192.0.2.1:5061"),
            ("sips:[2001:db8::1];transport=tcp", Some(Transport::Tls), "[2001:db8::1]:5061"),
            ("sip:localhost:5070;transport=tls", Some(Transport::Tls), "127.0.0.1:5070"),
        ] {
            let parsed = rsipstack::sip::parse_uri(uri).unwrap();
            assert_eq!(transport(&parsed), over, "{uri}");
            let at: SocketAddr = at.parse().unwrap();
            let same = |address: &SocketAddr| address.is_ipv4() == at.is_ipv4();
            assert_eq!(locate(&parsed, over.unwrap_or_default(), same).await, Some(at), "{uri}");
        }
    }
}
