//! One dialog's life: from the INVITE that began it to the BYE that ends it, with its legs.
//!
//! A session is a task with a queue. Everything that concerns its dialog comes through the queue, so that
//! nothing here is locked and nothing happens out of order.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rsipstack::sip::{
    Header, HeadersExt, Method, Request, Response, Scheme, SipMessage, StatusCode, Transport,
};
use rsipstack::transaction::TransactionState;
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transaction::transaction::{Transaction, TransactionEvent, TransactionEventSender};
use rsipstack::transport::SipAddr;
use sotto_call::{EndReason, Millis, Participant, Party, Quality, Source};
use sotto_media::{CallClock, Leg, LegConfig, LegEvent, LegFormat, LegOutputs, LegStats, Socket};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use crate::calls::{Call, Entered, Reach};
use crate::config::{SipConfig, local_ip_towards};
use crate::dialog::Dialog;
use crate::digest::Authenticator;
use crate::early::{Early, Prepared};
use crate::endpoint::{Served, Shared};
use crate::flow::Flow;
use crate::host::{NewCall, NewLeg, Note, Ringing};
use crate::metadata::Metadata;
use crate::negotiate::{self, Stream};
use crate::party::{self, Speaker};
use crate::plan::{self, Bodies, MAX_LEGS, Plan, Reject, RuleHeaders, SUPPORTED_VALUE, SessionTimer};
use crate::sdp;
use crate::wire::{ACCEPT, ALLOW};

pub(crate) mod refer;
pub(crate) use refer::Refer;
use refer::Transfers;
pub use refer::{ReferError, Referral};

/// Things waiting for one session.
pub(crate) const QUEUE: usize = 64;
/// Events of a leg that wait to be told.
const LEG_EVENTS: usize = 64;
/// RFC 3261 section 8.1.3.1: a request that could not be sent counts as answered with this. It says nothing
/// about the dialog: a peer behind a firewall cannot be reached once it has closed its connection.
const UNREACHABLE: u16 = 503;
/// How long a leg may take to hand over what it has heard.
const STOPPING: Duration = Duration::from_secs(5);
/// How long a peer has to answer a BYE or a probe, in units of T1.
const PATIENCE: u32 = 64;

/// Something that concerns a session's dialog.
pub(crate) enum Input {
    /// A request within the dialog.
    Request(Box<(Transaction, Flow)>),
    /// The INVITE was cancelled before it was answered.
    Cancelled,
    /// The ACK of the INVITE with this number, and its body.
    Acked(u32, Box<Request>),
    /// No ACK came for that INVITE's 2xx within 64 T1.
    Unacked(u32),
    /// The peer's answer to a question of ours; `None` when none came.
    Answered(Option<Box<Answer>>),
    /// The call is over for everyone.
    HangUp,
    /// What came of a transfer that the peer has asked for, as a status.
    Referred(u16),
    /// The peer is to be asked for a transfer.
    Refer(Refer),
    /// The status that it answered with.
    ReferAnswered(u16),
}

/// What a request of ours was answered with.
pub(crate) struct Answer {
    method: Method,
    status: u16,
    /// Of a session that we described.
    description: Option<sdp::Session>,
    /// What it makes of the session timer.
    timer: Option<SessionTimer>,
    /// It asks for a password.
    challenge: Option<Response>,
}

/// A leg and the media section it belongs to.
pub(crate) struct LegSlot {
    /// Names the leg in events, beyond its place.
    number: u64,
    stream: Stream,
    party: Party,
    port: u16,
    /// What the section's direction was at first: the normal case.
    normally: sdp::Direction,
    is_paused: bool,
    /// It has timed out when this many packets had come.
    timed_out_at: Option<u64>,
    /// Since when it has ended by itself: it could not begin, or it has panicked.
    ended_at: Option<Instant>,
    leg: Leg,
    events: mpsc::Receiver<LegEvent>,
}

impl LegSlot {
    /// Begins to receive. The leg has no number yet.
    pub(crate) fn begin(
        shared: &Shared,
        peer: SocketAddr,
        clock: CallClock,
        socket: Socket,
        stream: Stream,
        party: Party,
        outputs: LegOutputs,
    ) -> Self {
        let (events, heard) = mpsc::channel(LEG_EVENTS);
        let port = socket.port();
        let config = LegConfig { timeout: silence(&shared.config), ..LegConfig::default() };
        let sender = sender(&stream, &shared.config, peer);
        let leg = Leg::start(socket, format(&stream), sender, clock, outputs, events, config);
        if stream.paused {
            leg.pause();
        }
        leg.mute(!stream.direction.receives());
        Self {
            number: 0,
            party,
            port,
            normally: stream.direction,
            is_paused: stream.paused,
            timed_out_at: None,
            ended_at: None,
            leg,
            events: heard,
            stream,
        }
    }

    /// Something else has been agreed on with the peer.
    pub(crate) fn renew(&mut self, stream: Stream, shared: &Shared, peer: SocketAddr) {
        let moves = stream.remote != self.stream.remote;
        self.leg.update(format(&stream), sender(&stream, &shared.config, peer), moves);
        self.is_paused = stream.paused;
        if stream.paused {
            self.leg.pause();
        } else {
            self.leg.resume();
        }
        self.leg.mute(!stream.direction.receives());
        self.normally = stream.direction;
        self.stream = Stream { talks: self.stream.talks, ..stream };
    }

    /// Waits for its first audio: the codec.
    pub(crate) async fn first_audio(&mut self) -> &'static str {
        while let Some(event) = self.events.recv().await {
            if let LegEvent::FirstPacket { codec } = event {
                return codec;
            }
        }
        std::future::pending().await
    }

    /// Nothing comes, nor will as far as can be known.
    fn is_silent(&self) -> bool {
        let has_timed_out = !self.is_paused && self.timed_out_at == Some(self.leg.stats().packets);
        has_timed_out || self.ended_at.is_some()
    }

    /// The call that it was there for has begun: the codec of its first audio, if that has come unheard of. What
    /// else happened before is nobody's business.
    pub(crate) fn begins(&mut self) -> Option<&'static str> {
        let mut first = None;
        while let Ok(event) = self.events.try_recv() {
            if let LegEvent::FirstPacket { codec } = event {
                first = Some(codec);
            }
        }
        first
    }
}

/// Why a dialog is over, and what a BYE says about it; none is sent when there is nothing to say.
type Over = (EndReason, Option<&'static str>);

/// A dialog that has been answered.
pub(crate) struct Session {
    shared: Arc<Shared>,
    /// Names the dialog in its call.
    number: u64,
    flow: Flow,
    dialog: Dialog,
    call: Arc<Call>,
    source: Source,
    input: mpsc::Sender<Input>,
    legs: Vec<LegSlot>,
    next_leg: u64,
    /// The description we sent last.
    local: sdp::Session,
    metadata: Metadata,
    /// What a header said of consent last, and what was told of it, with what the metadata says.
    answered: Option<bool>,
    consent: Option<bool>,
    rule_headers: RuleHeaders,
    participants: Vec<Participant>,
    /// It was told that there is no customer.
    without_customer: bool,
    /// The number of the INVITE whose ACK has not come.
    unacked: Option<u32>,
    /// Our 2xx carried an offer; the answer comes with the ACK.
    awaits_answer: bool,
    /// A re-INVITE of ours has not been answered.
    is_inviting: bool,
    timer: Option<(SessionTimer, Instant)>,
    probe_at: Option<Instant>,
    takes_update: bool,
    /// What answers a trunk's challenges.
    login: Option<Authenticator>,
    transfers: Transfers,
    part: Part,
}

/// A dialog's part in its call. If whoever serves the dialog panics it leaves as well: the call must not go on for ever.
pub(crate) struct Part {
    pub(crate) shared: Arc<Shared>,
    pub(crate) call: Arc<Call>,
    dialog: u64,
    has_left: bool,
}

impl Part {
    pub(crate) fn new(shared: Arc<Shared>, call: Arc<Call>, dialog: u64) -> Self {
        Self { shared, call, dialog, has_left: false }
    }

    pub(crate) async fn leave(&mut self, reason: EndReason) {
        self.has_left = true;
        self.shared.calls.leave(&self.call, self.dialog, reason).await;
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.has_left {
            let (shared, call, dialog) = (self.shared.clone(), self.call.clone(), self.dialog);
            let leaving = async move { shared.calls.leave(&call, dialog, EndReason::Timeout).await };
            self.shared.farewells.spawn(leaving);
        }
    }
}

/// Serves an INVITE that has been found servable, to the end of the dialog.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    number: u64,
    flow: Flow,
    mut invite: Transaction,
    plan: Plan,
    (input, mut inputs): (mpsc::Sender<Input>, mpsc::Receiver<Input>),
) {
    let request = invite.original.clone();
    let _ = invite.send_trying().await;
    let respond = invite.tu_sender.clone();
    let sequence = request.cseq_header().ok().and_then(|cseq| cseq.seq().ok()).unwrap_or(0);
    shared.tasks.spawn(drive_invite(invite, sequence, input.clone()));

    let tag = rsipstack::transaction::make_tag().value().to_owned();
    let mut contact = contact(&shared, &flow, plan.source);
    // RFC 3261 section 12.1.1: who called by a secure address gets one.
    if request.uri.scheme == Some(Scheme::Sips) {
        contact = contact.replacen("<sip:", "<sips:", 1);
    }
    let Some(dialog) = Dialog::answering(&request, &tag, contact) else {
        refuse(&respond, &request, &tag, &Reject::new(400, "Missing Contact"));
        return;
    };
    let reliable_only = plan::requires(&request, "100rel");
    let provisional =
        (!reliable_only).then(|| dialog.response(&request, StatusCode::Ringing, Vec::new(), None));
    let ringing = Ringing::new(provisional.map(|response| (respond.clone(), response)));
    let setup = Session::begin(&shared, number, flow, dialog, plan, input, &ringing);
    let begun = setup_or_cancel(setup, &ringing, &mut inputs, &respond, &request, &tag).await;
    let (mut session, answer) = match begun {
        Ok(begun) => begun,
        Err(None) => return,
        Err(Some(reject)) => {
            shared.counters.refused(reject.status);
            refuse(&respond, &request, &tag, &reject);
            return;
        }
    };
    session.unacked = Some(sequence);
    shared.register(&session.dialog.key, &session.input);
    let mut headers = session.common_headers();
    headers.extend(session.timer_headers());
    let body = Some(("application/sdp", answer.to_string()));
    let response = session.dialog.response(&request, StatusCode::OK, headers, body);
    session.local = answer;
    let _ = respond.send(TransactionEvent::Respond(response));
    shared.counters.call_answered();
    tracing::info!(call = %session.call.id, legs = session.legs.len(), "answered");
    let (reason, farewell) = session.run(&mut inputs).await;
    tracing::info!(call = %session.call.id, ?reason, farewell, "over");
    session.end(reason, farewell).await;
    // Requests that were waiting have come too late; their peers will be told by the next one's 481.
    inputs.close();
}

/// Waits for the setup, and tells the caller from time to time that it goes on; a CANCEL meanwhile is answered at
/// once, and the setup given up, or undone when it is there.
async fn setup_or_cancel(
    setup: impl Future<Output = Result<(Session, sdp::Session), Reject>>,
    ringing: &Ringing,
    inputs: &mut mpsc::Receiver<Input>,
    respond: &TransactionEventSender,
    request: &Request,
    tag: &str,
) -> Result<(Session, sdp::Session), Option<Reject>> {
    tokio::pin!(setup);
    let mut is_cancelled = false;
    loop {
        tokio::select! {
            biased;
            input = inputs.recv(), if !is_cancelled => if let Some(Input::Cancelled) = input {
                is_cancelled = true;
                ringing.give_up();
                refuse(respond, request, tag, &Reject::new(487, "Request Terminated"));
            },
            result = &mut setup => return match result {
                Ok((session, _)) if is_cancelled => {
                    session.end(EndReason::Hangup, None).await;
                    Err(None)
                }
                Ok(begun) => Ok(begun),
                Err(_) if is_cancelled => Err(None),
                Err(reject) => Err(Some(reject)),
            },
            () = ringing.repeat(), if !is_cancelled => {}
        }
    }
}

/// Moves an INVITE's transaction on until it is over (it must not be interrupted), and tells what comes for it.
async fn drive_invite(mut invite: Transaction, sequence: u32, input: mpsc::Sender<Input>) {
    let mut is_acked = false;
    while let Some(message) = invite.receive().await {
        let SipMessage::Request(request) = message else { continue };
        let told = match request.method {
            Method::Cancel => Input::Cancelled,
            Method::Ack => {
                is_acked = true;
                Input::Acked(sequence, Box::new(request))
            }
            _ => continue,
        };
        // A session may be gone; its transaction still absorbs what comes late.
        let _ = input.send(told).await;
    }
    let answered = invite.last_response.as_ref().is_some_and(|r| r.status_code.code() / 100 == 2);
    if answered && !is_acked && invite.state == TransactionState::Terminated {
        let _ = input.send(Input::Unacked(sequence)).await;
    }
}

/// An answer to an INVITE that creates no dialog.
fn refuse(respond: &TransactionEventSender, request: &Request, tag: &str, reject: &Reject) {
    let mut headers: Vec<Header> = request
        .headers
        .iter()
        .filter(|h| matches!(h, Header::Via(_) | Header::From(_) | Header::CallId(_) | Header::CSeq(_)))
        .cloned()
        .collect();
    if let Ok(to) = request.to_header() {
        headers.push(Header::To(format!("{};tag={tag}", to.value()).as_str().into()));
    }
    headers.extend(extra(&reject.headers));
    headers.push(Header::ContentLength("0".into()));
    if let Some(status_code) = status(reject) {
        let response = Response { status_code, headers: headers.into(), ..Response::default() };
        let _ = respond.send(TransactionEvent::Respond(response));
    }
}

fn status(reject: &Reject) -> Option<StatusCode> {
    StatusCode::try_from((reject.status, reject.reason)).ok()
}

pub(crate) fn extra(headers: &[(&'static str, String)]) -> Vec<Header> {
    headers.iter().map(|(name, value)| Header::Other((*name).to_owned(), value.clone())).collect()
}

/// Our Contact: where requests within the dialog reach us, and that we are a recorder (RFC 7866 section 6.2).
pub(crate) fn contact(shared: &Shared, flow: &Flow, source: Source) -> String {
    let recorder = if source == Source::Siprec { ";+sip.srs" } else { "" };
    format!("<{}>{recorder}", contact_of(shared, flow, "sotto"))
}

/// The address at which a user of ours is reached on this flow.
pub(crate) fn contact_of(shared: &Shared, flow: &Flow, user: &str) -> String {
    let transport = match flow.transport {
        Transport::Tcp => ";transport=tcp",
        Transport::Tls => ";transport=tls",
        _ => "",
    };
    format!("sip:{user}@{}{transport}", shared.advertised(flow))
}

/// A call of ours that has been answered.
pub(crate) struct Placed {
    pub(crate) number: u64,
    pub(crate) flow: Flow,
    pub(crate) dialog: Dialog,
    pub(crate) call: Arc<Call>,
    pub(crate) leg: LegSlot,
    /// The codec of its first audio, when that has been heard.
    pub(crate) heard: Option<&'static str>,
    pub(crate) offer: sdp::Session,
    pub(crate) takes_update: bool,
    pub(crate) timer: Option<SessionTimer>,
    pub(crate) login: Authenticator,
}

/// Serves the dialog of a call of ours to its end, in a task of its own.
pub(crate) fn go_on(
    shared: &Arc<Shared>,
    placed: Placed,
    (input, mut inputs): (mpsc::Sender<Input>, mpsc::Receiver<Input>),
) {
    let Placed { number, flow, dialog, call, leg, heard, .. } = placed;
    let mut session = Session {
        local: placed.offer,
        takes_update: placed.takes_update,
        timer: placed.timer.map(|timer| (timer, Instant::now() + timer.due())),
        login: Some(placed.login),
        ..Session::new(shared, number, flow, dialog, call, Source::Sip, input)
    };
    shared.register(&session.dialog.key, &session.input);
    let served = Served::begin(shared, None);
    shared.sessions.spawn(async move {
        session.go_on_with(leg, heard).await;
        let (reason, farewell) = session.run(&mut inputs).await;
        session.end(reason, farewell).await;
        inputs.close();
        drop(served);
    });
}

impl Session {
    fn new(
        shared: &Arc<Shared>,
        number: u64,
        flow: Flow,
        dialog: Dialog,
        call: Arc<Call>,
        source: Source,
        input: mpsc::Sender<Input>,
    ) -> Self {
        let part = Part::new(shared.clone(), call.clone(), number);
        Self {
            shared: shared.clone(),
            number,
            flow,
            dialog,
            call,
            source,
            input,
            legs: Vec::new(),
            next_leg: 0,
            local: sdp::Session::default(),
            metadata: Metadata::default(),
            answered: None,
            consent: None,
            rule_headers: RuleHeaders::default(),
            participants: Vec::new(),
            without_customer: false,
            unacked: None,
            awaits_answer: false,
            is_inviting: false,
            timer: None,
            probe_at: None,
            takes_update: false,
            login: None,
            transfers: Transfers::default(),
            part,
        }
    }

    async fn begin(
        shared: &Arc<Shared>,
        number: u64,
        flow: Flow,
        dialog: Dialog,
        plan: Plan,
        input: mpsc::Sender<Input>,
        ringing: &Ringing,
    ) -> Result<(Self, sdp::Session), Reject> {
        let called = shared.calls.called(&plan).await?;
        let is_by_employee = called.is_some() && plan.is_by_employee(&shared.config);
        let count = plan.streams.len().max(1);
        let mut sockets = reserve(shared, count).await?;
        let remote = plan.streams.first().and_then(|stream| stream.remote);
        let address = media_address(shared, &flow, sockets.first(), remote.map(|r| r.ip()));
        let origin = sdp::Origin { id: u64::from(rand_id()), version: 1, address };
        let talks = called.is_some();
        let consent = plan.metadata.consent().into_iter().chain(plan.consent).min();
        // Without an offer, ours goes out with the 200 (RFC 3261 section 13.2.1).
        let (streams, answer) = match &plan.offer {
            Some(offer) => {
                let streams = plan.streams.iter().cloned();
                let streams: Vec<Stream> = streams.map(|stream| Stream { talks, ..stream }).collect();
                let taken: Vec<_> = streams.iter().cloned().zip(sockets.iter().map(Socket::port)).collect();
                let answer = negotiate::answer(offer, origin, &taken);
                (streams, answer)
            }
            None => {
                let port = sockets.first().map_or(0, Socket::port);
                let (offer, stream) = negotiate::offer(origin, &shared.codecs, port, talks, Vec::new());
                (vec![stream], offer)
            }
        };
        let new_call = |taken: &[Party]| {
            let parties = match &called {
                // Whoever calls a number of ours is in the customer's place.
                Some(_) => vec![Party::Customer; streams.len()],
                None => plan.parties(&shared.config, &streams, taken),
            };
            let legs = streams.iter().zip(&parties).map(|(stream, party)| NewLeg {
                party: *party,
                label: stream.label.clone(),
                codec: stream.codec.name(),
            });
            let legs: Vec<NewLeg> = legs.collect();
            let labelled: Vec<_> = legs.iter().map(|leg| (leg.label.clone(), leg.party)).collect();
            NewCall {
                external_id: plan.external_id.clone(),
                source: plan.source,
                called: called.clone(),
                legs,
                participants: plan.participants(&labelled),
                headers: plan.headers.clone(),
                language: plan.language.clone(),
                consent,
            }
        };
        // Before it is answered, whoever calls a number of ours can be let hear something.
        if let [stream] = streams.as_slice()
            && talks
            && plan.offer.is_some()
            && let Some(socket) = sockets.pop()
        {
            ringing.prepare(
                Prepared { shared: shared.clone(), peer: flow.peer, socket, stream: stream.clone() },
                &answer,
            );
        }
        let reach = Reach::Session(input.clone());
        let entered = shared.calls.enter(plan.join.as_deref(), number, &reach, ringing, new_call).await?;
        let mut early = None;
        match ringing.answered() {
            Some(Early::Prepared(prepared)) => sockets.push(prepared.socket),
            Some(Early::Begun(slot)) => early = Some(slot),
            None => {}
        }
        let Entered { call, mut outputs, parties } = entered;
        let now = Instant::now();
        let labelled: Vec<_> = streams.iter().map(|s| s.label.clone()).zip(parties.iter().copied()).collect();
        let mut session = Self {
            participants: plan.participants(&labelled),
            answered: plan.consent,
            consent,
            metadata: plan.metadata,
            rule_headers: plan.rule_headers,
            timer: plan.timer.map(|timer| (timer, now + timer.due())),
            awaits_answer: plan.offer.is_none(),
            takes_update: plan.takes_update,
            ..Self::new(shared, number, flow, dialog, call, plan.source, input)
        };
        if is_by_employee {
            session.note(Note::NoCustomer).await;
        }
        if let Some(mut slot) = early
            && let Some(outputs) = outputs.pop()
        {
            slot.leg.enter(outputs, session.call.clock);
            let heard = slot.begins();
            session.go_on_with(*slot, heard).await;
        }
        for (((socket, stream), party), outputs) in sockets.into_iter().zip(streams).zip(parties).zip(outputs)
        {
            session.start_leg(socket, stream, party, outputs);
        }
        session.tell_pauses(&[]).await;
        Ok((session, answer))
    }

    fn start_leg(&mut self, socket: Socket, stream: Stream, party: Party, outputs: LegOutputs) {
        let (shared, peer) = (self.shared.clone(), self.flow.peer);
        let mut slot = LegSlot::begin(&shared, peer, self.call.clock, socket, stream, party, outputs);
        if self.metadata.paused == Some(true) {
            slot.is_paused = true;
            slot.leg.pause();
        }
        self.take_leg(slot);
    }

    fn take_leg(&mut self, slot: LegSlot) {
        self.legs.push(LegSlot { number: self.next_leg, ..slot });
        self.next_leg += 1;
    }

    /// A leg that began before the call was answered is the dialog's; the codec of its first audio, if that has come.
    async fn go_on_with(&mut self, slot: LegSlot, heard: Option<&'static str>) {
        let party = slot.party;
        self.take_leg(slot);
        if let Some(codec) = heard {
            self.tell_event(party, LegEvent::FirstPacket { codec }).await;
        }
    }

    /// Serves the dialog until it is over: why, and the reason to give in a BYE when one has to be sent.
    async fn run(&mut self, inputs: &mut mpsc::Receiver<Input>) -> Over {
        let (shared, call) = (self.shared.clone(), self.call.clone());
        loop {
            let due = [self.timer.map(|(_, at)| at), self.probe_at, self.transfers.due()];
            let due = due.into_iter().flatten().min();
            let far = Instant::now() + Duration::from_secs(3_600);
            let over = tokio::select! {
                biased;
                () = shared.stopping.cancelled() => Some((EndReason::Shutdown, Some("shutdown"))),
                () = call.over.cancelled() => Some((EndReason::Hangup, Some("the other side has hung up"))),
                input = inputs.recv() => match input {
                    Some(input) => self.take(input).await,
                    None => Some((EndReason::Hangup, None)),
                },
                (number, event) = next_event(&mut self.legs) => match event {
                    Some(event) => self.leg_event(number, event).await,
                    None => self.leg_ended(number).await,
                },
                () = sleep_until(due.unwrap_or(far)) => self.on_time().await,
            };
            if let Some(over) = over {
                return over;
            }
        }
    }

    async fn take(&mut self, input: Input) -> Option<Over> {
        match input {
            Input::Request(request) => return self.request(request.0, request.1).await,
            Input::Acked(sequence, ack) if self.unacked == Some(sequence) => {
                self.unacked = None;
                if std::mem::take(&mut self.awaits_answer)
                    && let Some(answer) = Bodies::of(&ack).ok().and_then(|bodies| bodies.description)
                {
                    self.take_answer(&answer).await;
                }
            }
            Input::Unacked(sequence) if self.unacked == Some(sequence) => {
                return Some((EndReason::Timeout, Some("no ACK")));
            }
            Input::Answered(None) => return Some((EndReason::Timeout, Some("no answer"))),
            Input::Answered(Some(answer)) => return self.answered(*answer),
            Input::HangUp => return Some((EndReason::Hangup, Some("the other leg has ended"))),
            Input::Referred(status) => self.tell_referred(status).await,
            Input::Refer(refer) => self.refer(refer),
            Input::ReferAnswered(status) => self.refer_answered(status),
            Input::Cancelled | Input::Acked(..) | Input::Unacked(_) => {}
        }
        None
    }

    /// Takes the answer to a request of ours. Whatever else the peer said, it is there (RFC 4028 section 10).
    fn answered(&mut self, answer: Answer) -> Option<Over> {
        let Answer { method, status, description, timer, challenge } = answer;
        let (now, is_refresh) = (Instant::now(), matches!(method, Method::Invite | Method::Update));
        self.is_inviting &= method != Method::Invite;
        if let Some(login) = self.login.as_mut().filter(|_| is_refresh) {
            match &challenge {
                None => login.succeeded(),
                Some(challenge) if !login.challenged(challenge) => {}
                Some(_) => {
                    self.timer = self.timer.map(|(timer, at)| (timer, if timer.ours { now } else { at }));
                }
            }
        }
        match (status, timer) {
            // RFC 3261 section 12.2.1.2.
            (408 | 481, _) => return Some((EndReason::Timeout, Some("the call is not known any more"))),
            (200..300, Some(timer)) => self.timer = Some((timer, now + timer.due())),
            (422, Some(longer)) => self.timer = Some((longer, now)),
            // Both sides had begun to change something.
            (491, _) => {
                let again = now + self.dialog.after_glare();
                self.timer = self.timer.map(|(timer, at)| (timer, if timer.ours { again } else { at }));
            }
            _ => {}
        }
        if let (200..300, Some(description)) = (status, description) {
            self.take_keys(&description);
        }
        None
    }

    /// How long nothing at all may come from the peer.
    fn silence(&self) -> Duration {
        silence(&self.shared.config)
    }

    async fn on_time(&mut self) -> Option<Over> {
        let now = Instant::now();
        self.refer_late(now);
        if let Some((timer, at)) = self.timer.filter(|(_, at)| *at <= now) {
            if !timer.ours {
                return Some((EndReason::Timeout, Some("session timer expired")));
            }
            self.timer = Some((timer, at + timer.due()));
            let mut headers = timer.question();
            headers.push(("Supported", SUPPORTED_VALUE.to_owned()));
            if self.takes_update {
                self.ask(Method::Update, extra(&headers), None).await;
            } else if self.unacked.is_some() || self.is_inviting {
                self.timer = Some((timer, now + self.dialog.after_glare()));
            } else {
                let offer = Some(("application/sdp", self.local.to_string()));
                self.is_inviting = true;
                self.ask(Method::Invite, extra(&headers), offer).await;
            }
        }
        if self.probe_at.is_some_and(|at| at <= now) {
            self.probe_at = Some(now + self.silence());
            self.ask(Method::Options, Vec::new(), None).await;
        }
        None
    }

    /// Sends a request of ours; its answer comes through the queue.
    async fn ask(&mut self, method: Method, headers: Vec<Header>, body: Option<(&str, String)>) {
        let sending = self.send(method, headers, body);
        let input = self.input.clone();
        self.shared.tasks.spawn(async move {
            let _ = input.send(Input::Answered(sending.await.map(Box::new))).await;
        });
    }

    /// A request of ours on its way: its final answer.
    fn send(
        &mut self,
        method: Method,
        headers: Vec<Header>,
        body: Option<(&str, String)>,
    ) -> impl Future<Output = Option<Answer>> + Send + 'static {
        let (shared, flow) = (self.shared.clone(), self.flow.clone());
        let (next_hop, is_direct) = (self.dialog.next_hop(), self.dialog.is_direct());
        let describes = body.is_some();
        let mut request = self.dialog.request(method, shared.via(&flow), headers, body);
        if let Some(login) = &mut self.login {
            login.sign(&mut request);
        }
        let unreachable =
            Answer { method, status: UNREACHABLE, description: None, timer: None, challenge: None };
        async move {
            let patience = Duration::from_millis(shared.config.t1_ms) * PATIENCE;
            let exchange = async {
                let mut flow = flow;
                loop {
                    let Some((way, to)) = shared.route(flow, next_hop.clone(), is_direct).await else {
                        return Some(unreachable);
                    };
                    if let Some(answered) = way.while_open(exchange(&shared, &way, to, &request)).await {
                        return answered.map(|response| Answer {
                            method,
                            status: response.status_code.code(),
                            timer: SessionTimer::after(&request, &response, shared.config.min_se_s),
                            description: Bodies::read(&response, &response.body)
                                .ok()
                                .and_then(|bodies| bodies.description)
                                .filter(|_| describes),
                            challenge: matches!(response.status_code.code(), 401 | 407).then_some(response),
                        });
                    }
                    // We are stopping, and nothing more is sent or received.
                    if !way.is_stream() || shared.stopped.is_cancelled() {
                        return None;
                    }
                    // The stream was closed under the request: it has not been taken, or will be known again.
                    flow = way;
                }
            };
            timeout(patience, exchange).await.ok().flatten()
        }
    }

    /// Does what a request within the dialog asks.
    async fn request(&mut self, mut transaction: Transaction, flow: Flow) -> Option<Over> {
        let request = transaction.original.clone();
        self.flow = flow;
        if !self.dialog.in_order(&request) {
            let reject = Reject::new(500, "Out Of Order").with("Retry-After", "1");
            self.reply(&mut transaction, Err(reject)).await;
            return None;
        }
        if let Err(reject) = plan::check_require(&request) {
            self.reply(&mut transaction, Err(reject)).await;
            return None;
        }
        match request.method {
            Method::Bye => {
                self.reply(&mut transaction, Ok(None)).await;
                return Some((EndReason::Hangup, None));
            }
            Method::Invite if self.unacked.is_some() || self.is_inviting => {
                // The stack would swallow it; it is the peer's to try again (RFC 3261 section 14.2).
                self.reply(&mut transaction, Err(Reject::new(491, "Request Pending"))).await;
                self.shared.tasks.spawn(async move { while transaction.receive().await.is_some() {} });
            }
            Method::Invite => {
                let result = self.modify(&request, true).await;
                if result.is_ok() {
                    self.unacked = request.cseq_header().ok().and_then(|cseq| cseq.seq().ok());
                }
                self.reply(&mut transaction, result).await;
                let sequence = self.unacked.unwrap_or(0);
                self.shared.tasks.spawn(drive_invite(transaction, sequence, self.input.clone()));
            }
            Method::Update if (self.awaits_answer || self.is_inviting) && !request.body.is_empty() => {
                self.reply(&mut transaction, Err(Reject::new(491, "Request Pending"))).await;
            }
            Method::Update => {
                let result = self.modify(&request, false).await;
                self.reply(&mut transaction, result).await;
            }
            Method::Info => {
                let result = self.info(&request).await;
                self.reply(&mut transaction, result).await;
            }
            Method::Options => self.reply(&mut transaction, Ok(None)).await,
            Method::Refer => self.referred(&mut transaction).await,
            Method::Notify => return self.notified(&mut transaction).await,
            // We send no provisional answer that would have to be acknowledged.
            Method::PRack => {
                let reject = Reject::new(481, "Call/Transaction Does Not Exist");
                self.reply(&mut transaction, Err(reject)).await;
            }
            _ => {
                let reject = Reject::new(405, "Method Not Allowed").with("Allow", ALLOW);
                self.reply(&mut transaction, Err(reject)).await;
            }
        }
        None
    }

    /// Answers a request within the dialog: with 200 and a description when there is one, or with a refusal.
    async fn reply(&self, transaction: &mut Transaction, result: Result<Option<sdp::Session>, Reject>) {
        let request = transaction.original.clone();
        let response = match result {
            Ok(description) => {
                let mut headers = self.common_headers();
                if matches!(request.method, Method::Invite | Method::Update) {
                    headers.extend(self.timer_headers());
                }
                let body = description.map(|description| ("application/sdp", description.to_string()));
                self.dialog.response(&request, StatusCode::OK, headers, body)
            }
            Err(reject) => {
                self.shared.counters.refused(reject.status);
                let Some(status) = status(&reject) else { return };
                self.dialog.response(&request, status, extra(&reject.headers), None)
            }
        };
        if let Err(error) = transaction.respond(response).await {
            tracing::debug!(%error, "answer not sent");
        }
    }

    fn common_headers(&self) -> Vec<Header> {
        extra(&[
            ("Allow", ALLOW.to_owned()),
            ("Accept", ACCEPT.to_owned()),
            ("Supported", SUPPORTED_VALUE.to_owned()),
            ("Server", self.shared.config.user_agent.clone()),
        ])
    }

    fn timer_headers(&self) -> Vec<Header> {
        self.timer.map(|(timer, _)| extra(&timer.headers())).unwrap_or_default()
    }

    /// A re-INVITE or UPDATE: new description, metadata, contact or timer.
    async fn modify(&mut self, request: &Request, is_invite: bool) -> Result<Option<sdp::Session>, Reject> {
        let bodies = Bodies::of(request)?;
        let timer = SessionTimer::of(request, self.shared.config.min_se_s)?;
        let before = self.metadata.clone();
        let is_described = bodies.metadata.is_some();
        if let Some(update) = bodies.metadata {
            self.metadata.merge(update);
        }
        let answer = match &bodies.description {
            Some(offer) => match self.reoffer(offer).await {
                Ok(answer) => Some(answer),
                Err(reject) => {
                    self.metadata = before;
                    return Err(reject);
                }
            },
            None if is_invite => {
                self.awaits_answer = true;
                Some(self.local.clone())
            }
            None => None,
        };
        if is_described {
            self.tell_metadata().await;
        }
        self.tell_consent(request).await;
        self.dialog.refresh_target(request);
        let now = Instant::now();
        self.timer = match timer {
            Some(timer) => Some((timer, now + timer.due())),
            // An UPDATE without the header leaves the timer alone, but shows that the peer is there.
            None => self.timer.filter(|_| !is_invite).map(|(timer, _)| (timer, now + timer.due())),
        };
        Ok(answer)
    }

    /// Takes up a new offer: streams go on, are paused, come and go.
    async fn reoffer(&mut self, offer: &sdp::Session) -> Result<sdp::Session, Reject> {
        let shared = self.shared.clone();
        let stream = |section: usize| {
            offer.media.get(section).and_then(|media| negotiate::stream(section, media, &shared.codecs))
        };
        // RFC 3264 section 8: sections are never taken away.
        let mut wanted: Vec<Stream> =
            self.legs.iter().filter_map(|slot| stream(slot.stream.section)).collect();
        let is_mine = |section| self.legs.iter().any(|slot| slot.stream.section == section);
        let limit = if self.source == Source::Siprec { MAX_LEGS } else { 1 };
        let fresh = (0..offer.media.len()).filter(|section| !is_mine(*section)).filter_map(stream);
        let fresh: Vec<Stream> = fresh.take(limit.saturating_sub(wanted.len())).collect();
        wanted.extend(fresh.iter().cloned());
        let is_switched_off = offer.media.iter().all(|media| media.port == 0);
        if offer.media.len() < self.local.media.len() || (wanted.is_empty() && !is_switched_off) {
            return Err(plan::not_acceptable(&shared.codecs));
        }
        let before: Vec<(u64, bool)> = self.legs.iter().map(|slot| (slot.number, slot.is_paused)).collect();
        let peer = self.flow.peer;
        let mut at = 0;
        while let Some(slot) = self.legs.get_mut(at) {
            match wanted.iter().find(|stream| stream.section == slot.stream.section) {
                Some(stream) => {
                    let stream = stream.clone().going_on_from(&slot.stream);
                    let moves = stream.remote != slot.stream.remote;
                    if moves || format(&stream) != format(&slot.stream) {
                        slot.leg.update(format(&stream), sender(&stream, &shared.config, peer), moves);
                    }
                    slot.stream = stream;
                    at += 1;
                }
                None => {
                    let slot = self.legs.remove(at);
                    if slot.is_paused {
                        // Whoever takes this party's place is not on hold.
                        self.note(Note::Resumed(Some(slot.party))).await;
                    }
                    shared.calls.drop_leg(&self.call, self.number, slot.party);
                    self.stop_leg(slot).await;
                }
            }
        }
        let parties = self.parties(&fresh);
        for (stream, party) in fresh.into_iter().zip(parties) {
            self.add_leg(stream, party).await;
        }
        self.tell_pauses(&before).await;
        let taken: Vec<_> = self.legs.iter().map(|slot| (slot.stream.clone(), slot.port)).collect();
        let mut answer = negotiate::answer(offer, self.local.origin, &taken);
        if answer.media != self.local.media {
            answer.origin.version += 1;
        }
        self.local = answer.clone();
        Ok(answer)
    }

    /// Who speaks on streams that came later. Whose the others are has been decided, whatever metadata says by now.
    fn parties(&self, streams: &[Stream]) -> Vec<Party> {
        let taken: Vec<Party> = self.legs.iter().map(|slot| slot.party).collect();
        let speakers: Vec<Speaker> = streams.iter().map(|stream| self.speaker(stream)).collect();
        let (config, header) = (&self.shared.config, |name: &str| self.rule_headers.get(name));
        party::decide(&config.party_rules, config.first.into(), &speakers, &header, &taken)
    }

    /// Who speaks on a stream, as far as metadata says by now.
    fn speaker(&self, stream: &Stream) -> Speaker {
        let person = stream.label.as_deref().and_then(|label| self.metadata.speaker(label));
        Speaker::of(stream.label.clone(), person)
    }

    /// Whether whoever was taken for the customer is called an agent by the rules, as metadata is by now.
    fn takes_employee_for_customer(&self) -> bool {
        let (rules, header) = (&self.shared.config.party_rules, |name: &str| self.rule_headers.get(name));
        let mut customers = self.legs.iter().filter(|slot| slot.party == Party::Customer);
        customers.any(|slot| party::is_employee(rules, &self.speaker(&slot.stream), &header))
    }

    /// A stream that came later. When there is no room for it, it is left out of the answer.
    async fn add_leg(&mut self, stream: Stream, party: Party) {
        let Some(socket) = reserve(&self.shared, 1).await.ok().and_then(|sockets| sockets.into_iter().next())
        else {
            return;
        };
        let leg = NewLeg { party, label: stream.label.clone(), codec: stream.codec.name() };
        if let Ok(outputs) = self.shared.calls.add_leg(&self.call, self.number, leg).await {
            self.start_leg(socket, stream, party, outputs);
        }
    }

    /// The answer to our offer.
    async fn take_answer(&mut self, answer: &sdp::Session) {
        let before: Vec<(u64, bool)> = self.legs.iter().map(|slot| (slot.number, slot.is_paused)).collect();
        for slot in &mut self.legs {
            let section = slot.stream.section;
            let agreed = negotiate::answered(section, &self.local, answer, &self.shared.codecs);
            if let Some(stream) = agreed {
                slot.renew(stream, &self.shared, self.flow.peer);
            }
        }
        self.tell_pauses(&before).await;
    }

    /// What we had agreed on was only confirmed, but some give another key each time.
    fn take_keys(&mut self, answer: &sdp::Session) {
        for slot in &mut self.legs {
            let section = slot.stream.section;
            let agreed = negotiate::answered(section, &self.local, answer, &self.shared.codecs);
            let security = agreed.and_then(|stream| stream.security);
            if security.is_some() && security != slot.stream.security {
                slot.stream.security = security;
                let sender = sender(&slot.stream, &self.shared.config, self.flow.peer);
                slot.leg.update(format(&slot.stream), sender, false);
            }
        }
    }

    /// Tells what new metadata has changed.
    async fn tell_metadata(&mut self) {
        let before: Vec<(u64, bool)> = self.legs.iter().map(|slot| (slot.number, slot.is_paused)).collect();
        let labelled: Vec<_> = self.legs.iter().map(|slot| (slot.stream.label.clone(), slot.party)).collect();
        let participants = plan::participants(&self.metadata, &labelled);
        if participants != self.participants {
            self.participants.clone_from(&participants);
            self.note(Note::ParticipantsChanged(participants)).await;
        }
        if !self.without_customer && self.takes_employee_for_customer() {
            self.without_customer = true;
            self.note(Note::NoCustomer).await;
        }
        self.tell_pauses(&before).await;
    }

    /// Tells what a request has changed about consent, by its header or by what the metadata is now. One no is enough.
    async fn tell_consent(&mut self, request: &Request) {
        self.answered = plan::consent(request, &self.shared.config).or(self.answered);
        let consent = self.metadata.consent().into_iter().chain(self.answered).min();
        if consent != self.consent
            && let Some(agrees) = consent
        {
            self.consent = consent;
            self.shared.calls.consents(&self.call, self.number, agrees).await;
        }
    }

    /// Pauses and resumes legs as their streams and the metadata say, and tells what has changed since
    /// `before`; a leg that was not there counts as not paused.
    async fn tell_pauses(&mut self, before: &[(u64, bool)]) {
        let all_paused = self.metadata.paused == Some(true);
        let is_plain = self.source == Source::Sip;
        for slot in &mut self.legs {
            // A PBX that puts a plain leg on hold goes from both ways to sending its music only.
            let is_held = is_plain
                && slot.normally == sdp::Direction::SendRecv
                && slot.stream.direction == sdp::Direction::SendOnly;
            slot.is_paused = slot.stream.paused || is_held || all_paused;
            if slot.is_paused {
                slot.leg.pause();
            } else {
                slot.leg.resume();
            }
            slot.leg.mute(!slot.stream.direction.receives());
        }
        let was = |slot: &LegSlot| before.iter().any(|(number, paused)| *number == slot.number && *paused);
        let changed: Vec<(Party, bool)> = self
            .legs
            .iter()
            .filter(|slot| slot.is_paused != was(slot))
            .map(|s| (s.party, s.is_paused))
            .collect();
        // Of a plain call, another dialog may have the other leg.
        let is_whole_call = !is_plain && changed.len() == self.legs.len();
        match changed.as_slice() {
            [(_, paused), rest @ ..] if is_whole_call && rest.iter().all(|(_, p)| p == paused) => {
                self.note(if *paused { Note::Paused(None) } else { Note::Resumed(None) }).await;
            }
            _ => {
                for (party, paused) in changed {
                    let party = Some(party);
                    self.note(if paused { Note::Paused(party) } else { Note::Resumed(party) }).await;
                }
            }
        }
        // While nothing needs to come, nothing shows that the peer is still there.
        let is_idle = self.legs.is_empty() || self.legs.iter().any(|slot| slot.is_paused);
        self.probe_at = is_idle.then(|| self.probe_at.unwrap_or_else(|| Instant::now() + self.silence()));
    }

    async fn info(&mut self, request: &Request) -> Result<Option<sdp::Session>, Reject> {
        if request.header_value("Info-Package").is_some() {
            return Err(Reject::new(469, "Bad Info Package").with("Recv-Info", ""));
        }
        let bodies = Bodies::of(request)?;
        // As for those that come as packets: what is pressed in a pause is nobody's business.
        let is_paused = !self.legs.is_empty() && self.legs.iter().all(|slot| slot.is_paused);
        if let Some((digit, duration)) = bodies.dtmf.filter(|_| !is_paused) {
            let party = match self.legs.as_slice() {
                [only] => {
                    only.leg.press(digit, duration);
                    only.party
                }
                _ => Party::Other,
            };
            self.note(Note::Dtmf { party, digit, duration: Millis(duration) }).await;
        }
        if let Some(update) = bodies.metadata {
            self.metadata.merge(update);
            self.tell_metadata().await;
        }
        self.tell_consent(request).await;
        Ok(None)
    }

    async fn leg_event(&mut self, number: u64, event: LegEvent) -> Option<Over> {
        let slot = self.legs.iter_mut().find(|slot| slot.number == number)?;
        if event == LegEvent::Timeout {
            let stats = slot.leg.stats();
            slot.timed_out_at = Some(stats.packets);
            if stats.packets == 0 && stats.discarded > 0 {
                // Most likely it comes from another address than the one that was signalled.
                tracing::warn!(
                    call = %self.call.id, party = ?slot.party, signalled = ?slot.stream.remote,
                    discarded = stats.discarded, unauthenticated = stats.unauthenticated, "all RTP of a leg is refused (see rtp_any_source)"
                );
            }
            return self.without_rtp();
        }
        let party = slot.party;
        self.tell_event(party, event).await;
        None
    }

    /// A leg has ended by itself. The others go on, and it is told how much is lost when it is stopped.
    async fn leg_ended(&mut self, number: u64) -> Option<Over> {
        let party = self.legs.iter().find(|slot| slot.number == number)?.party;
        tracing::error!(call = %self.call.id, ?party, "a leg has ended by itself");
        self.note(Note::Line { party, quality: Quality::Poor }).await;
        self.without_rtp()
    }

    /// One party may be silent for long (on hold, without our being told); all of them may not.
    fn without_rtp(&self) -> Option<Over> {
        self.legs.iter().all(LegSlot::is_silent).then_some((EndReason::Timeout, Some("no RTP")))
    }

    async fn tell_event(&self, party: Party, event: LegEvent) {
        match event {
            LegEvent::FirstPacket { codec } => self.note(Note::LegStarted { party, codec }).await,
            LegEvent::Dtmf { digit, duration_ms } => {
                self.note(Note::Dtmf { party, digit, duration: Millis(duration_ms) }).await;
            }
            LegEvent::Line(quality) => self.note(Note::Line { party, quality }).await,
            LegEvent::Timeout => {}
        }
    }

    async fn note(&self, note: Note) {
        self.shared.calls.note(&self.call, note).await;
    }

    async fn stop_leg(&self, mut slot: LegSlot) {
        let party = slot.party;
        // A call's end is told whatever happens to a leg.
        let stats = timeout(STOPPING, slot.leg.stop()).await.unwrap_or_else(|_| {
            tracing::error!(call = %self.call.id, ?party, "a leg did not stop");
            LegStats::default()
        });
        while let Ok(event) = slot.events.try_recv() {
            self.tell_event(party, event).await;
        }
        if let Some(since) = slot.ended_at {
            let lost = Millis(u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX));
            self.note(Note::AudioLost { party, lost }).await;
        }
        self.note(Note::LegEnded { party, stats }).await;
    }

    /// Ends the dialog, with a BYE that gives `farewell` as its reason, and leaves the call.
    async fn end(mut self, reason: EndReason, farewell: Option<&'static str>) {
        self.shared.unregister(&self.dialog.key);
        if let Some(text) = farewell {
            let headers = extra(&[("Reason", format!("SIP;cause=200;text=\"{text}\""))]);
            let sending = self.send(Method::Bye, headers, None);
            self.shared.farewells.spawn(sending);
        }
        let slots = std::mem::take(&mut self.legs);
        futures::future::join_all(slots.into_iter().map(|slot| self.stop_leg(slot))).await;
        self.part.leave(reason).await;
    }
}

/// How long nothing at all may come from a peer.
fn silence(config: &SipConfig) -> Duration {
    Duration::from_secs(config.rtp_timeout_s.max(1))
}

/// What happens next on any leg; nothing more, and that is told once, on one that has ended by itself.
async fn next_event(legs: &mut [LegSlot]) -> (u64, Option<LegEvent>) {
    std::future::poll_fn(|context| {
        for slot in legs.iter_mut().filter(|slot| slot.ended_at.is_none()) {
            if let Poll::Ready(event) = slot.events.poll_recv(context) {
                slot.ended_at = event.is_none().then(Instant::now);
                return Poll::Ready((slot.number, event));
            }
        }
        Poll::Pending
    })
    .await
}

/// Sends a request and waits for its final answer.
pub(crate) async fn exchange(
    shared: &Shared,
    flow: &Flow,
    to: SipAddr,
    request: &Request,
) -> Option<Response> {
    let key = TransactionKey::from_request(request, TransactionRole::Client).ok()?;
    let connection = Some(flow.connection.clone());
    let mut transaction = Transaction::new_client(key, request.clone(), shared.stack.clone(), connection);
    transaction.destination = Some(to);
    transaction.send().await.ok()?;
    while let Some(message) = transaction.receive().await {
        if let SipMessage::Response(response) = message
            && response.status_code.code() >= 200
        {
            return Some(response);
        }
    }
    None
}

/// Opens ports for `count` streams of a call, which follow each other when they can.
pub(crate) async fn reserve(shared: &Shared, count: usize) -> Result<Vec<Socket>, Reject> {
    shared.ports.reserve_many(count).await.map_err(|error| {
        tracing::warn!(%error, "no ports for a call");
        Reject::busy()
    })
}

/// The address for our session descriptions.
pub(crate) fn media_address(
    shared: &Shared,
    flow: &Flow,
    socket: Option<&Socket>,
    remote: Option<IpAddr>,
) -> IpAddr {
    let bound = socket.map(|socket| socket.local_addr().ip()).filter(|ip| !ip.is_unspecified());
    shared.config.external_ip.or(bound).unwrap_or_else(|| {
        let signalling = flow.peer.ip();
        // The same family as the peer's media, if it says one.
        let towards = remote.filter(|ip| ip.is_ipv4() != signalling.is_ipv4()).unwrap_or(signalling);
        local_ip_towards(towards.to_canonical())
    })
}

/// The only address that may send a stream; none when it cannot be known, and then whoever sends first may.
fn sender(stream: &Stream, config: &SipConfig, peer: SocketAddr) -> Option<SocketAddr> {
    stream.remote.filter(|_| !config.rtp_any_source && !is_elsewhere(stream, peer.ip()))
}

/// The peer sends from elsewhere than its description says: it names an inner address behind a translator, or
/// another address of this machine.
fn is_elsewhere(stream: &Stream, peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    stream
        .remote
        .map(|remote| remote.ip().to_canonical())
        .is_some_and(|ip| ip != peer && (peer.is_loopback() || (is_private(ip) && !is_private(peer))))
}

pub(crate) fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

fn format(stream: &Stream) -> LegFormat {
    LegFormat {
        payloads: stream.payloads.clone(),
        telephone_event: stream.telephone_event,
        ptime_ms: stream.ptime_ms,
        srtp: stream.security.as_ref().map(|security| security.keys.clone()),
    }
}

/// An identity for the o= line: unlikely to be met twice, and readable by parsers that take 32 bits.
pub(crate) fn rand_id() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inner_address_named_later_permits_any_sender_as_well() {
        let text = b"v=0\r\nm=audio 9000 RTP/AVP 0\r\nc=IN IP4 10.0.0.1\r\n";
        let offer = sdp::Session::parse(text).unwrap();
        let stream = negotiate::stream(0, &offer.media[0], &[sotto_audio::Codec::Pcmu]).unwrap();
        let config = SipConfig::default();
        let peer = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 5060);
        assert_eq!(sender(&stream, &config, peer("198.51.100.1")), None);
        assert_eq!(sender(&stream, &config, peer("10.0.0.7")), stream.remote);
        assert_eq!(sender(&stream, &SipConfig { rtp_any_source: true, ..config }, peer("10.0.0.7")), None);
    }

    #[tokio::test]
    async fn a_leg_that_ends_by_itself_is_told_once_and_counts_as_silent() {
        let text = b"v=0\r\nm=audio 9000 RTP/AVP 0\r\nc=IN IP4 127.0.0.1\r\n";
        let offer = sdp::Session::parse(text).unwrap();
        let stream = negotiate::stream(0, &offer.media[0], &[sotto_audio::Codec::Pcmu]).unwrap();
        let ports = sotto_media::Ports::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 45_000..=45_999);
        let mut tell = Vec::new();
        let mut legs = Vec::new();
        for number in 0..2 {
            let (events, heard) = mpsc::channel(1);
            let socket = ports.reserve().await.unwrap();
            let (clock, config) = (CallClock::start(), LegConfig::default());
            let ring = || sotto_audio::ring(20).0;
            let outputs = LegOutputs { speech: ring(), recording: ring(), bridge: None };
            let (port, ours) = (socket.port(), mpsc::channel(1).0);
            let leg = Leg::start(socket, format(&stream), None, clock, outputs, ours, config);
            tell.push(events);
            legs.push(LegSlot {
                number,
                stream: stream.clone(),
                party: Party::Customer,
                port,
                normally: stream.direction,
                is_paused: false,
                timed_out_at: None,
                ended_at: None,
                leg,
                events: heard,
            });
        }
        drop(tell.remove(1));
        assert_eq!(next_event(&mut legs).await, (1, None));
        assert_eq!([&legs[0], &legs[1]].map(LegSlot::is_silent), [false, true]);
        tell[0].try_send(LegEvent::Timeout).unwrap();
        assert_eq!(next_event(&mut legs).await, (0, Some(LegEvent::Timeout)));
        drop(tell);
        assert_eq!(next_event(&mut legs).await, (0, None));
        assert!(legs.iter().all(LegSlot::is_silent));
    }

    #[test]
    fn who_may_send_from_elsewhere() {
        for (remote, peer, elsewhere) in [
            ("192.0.2.1", "192.0.2.1", false),
            ("192.0.2.1", "198.51.100.1", false),
            ("10.0.0.1", "198.51.100.1", true),
            ("10.0.0.1", "10.9.9.9", false),
            ("10.0.0.1", "127.0.0.1", true),
            ("10.0.0.1", "::ffff:10.0.0.1", false),
            ("fd00::1", "2001:db8::1", true),
        ] {
            let remote: IpAddr = remote.parse().unwrap();
            let text = format!(
                "v=0\r\nm=audio 9 RTP/AVP 0\r\nc=IN IP{} {remote}\r\n",
                if remote.is_ipv4() { 4 } else { 6 }
            );
            let session = sdp::Session::parse(text.as_bytes()).unwrap();
            let stream = negotiate::stream(0, &session.media[0], &[sotto_audio::Codec::Pcmu]).unwrap();
            assert_eq!(is_elsewhere(&stream, peer.parse().unwrap()), elsewhere, "{remote} {peer}");
        }
    }
}
