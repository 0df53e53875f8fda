//! What the endpoint's tests share: a host that remembers, and an endpoint on loopback.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use sotto_audio::{Reader, Tone, ring};
use sotto_call::{CallId, EndReason, Party};
use sotto_media::{Bridge, CallClock, LegOutputs, Ports, Role};
use sotto_sip::{Endpoint, Host, NewCall, NewLeg, Note, Referral, Refusal, Ringing, SipConfig, StartedCall};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub mod raw;

pub const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What the host was told, in order.
#[derive(Debug)]
pub enum Told {
    Begun(CallId, NewCall),
    Joined(CallId, NewLeg),
    Noted(CallId, Note),
    Ended(CallId, EndReason),
}

/// A host that remembers everything.
pub struct FakeHost {
    told: mpsc::UnboundedSender<Told>,
    /// The speech taps, by call and party.
    pub taps: Mutex<Vec<(CallId, Party, Reader)>>,
    /// What to say to the next call.
    pub refusal: Mutex<Option<Refusal>>,
    /// Who hears whom.
    pub bridge: Bridge,
    /// Numbers of ours; `*` for every number.
    pub numbers: Mutex<Vec<String>>,
    /// Agents who are not there.
    pub absent: Mutex<Vec<String>>,
    /// Ends the calls that begin from now on.
    pub over: Mutex<CancellationToken>,
    /// Who calls a number of ours hears music before the call is answered, and nobody afterwards.
    pub plays: AtomicBool,
    /// Takes transfers, when they shall be accepted.
    pub referrals: Mutex<Option<mpsc::UnboundedSender<Referral>>>,
    /// Panics at what happens in a call.
    pub panics: AtomicBool,
    /// Held while calls shall wait to begin.
    pub gate: tokio::sync::Mutex<()>,
}

impl FakeHost {
    pub fn outputs(&self, id: CallId, party: Party) -> LegOutputs {
        let (speech, reader) = ring(60_000);
        let (recording, _) = ring(20);
        self.taps.lock().unwrap().push((id, party, reader));
        LegOutputs { speech, recording, bridge: None }
    }

    /// A call that the host begins by itself, of a customer who is to be called.
    pub fn places(&self) -> StartedCall {
        let (id, over) = (CallId::new(), self.over.lock().unwrap().clone());
        StartedCall { id, clock: CallClock::start(), legs: vec![self.outputs(id, Party::Customer)], over }
    }

    /// All that a party's tap holds, as samples.
    pub fn heard(&self, id: CallId, party: Party) -> Vec<f32> {
        let mut taps = self.taps.lock().unwrap();
        let (_, _, reader) = taps.iter_mut().find(|(i, p, _)| *i == id && *p == party).expect("a tap");
        std::iter::from_fn(|| reader.pop()).flat_map(|frame| frame.samples).collect()
    }
}

#[async_trait]
impl Host for FakeHost {
    fn has_number(&self, number: &str) -> bool {
        self.numbers.lock().unwrap().iter().any(|known| known == number || known == "*")
    }

    fn reaches(&self, agent: &str) -> bool {
        self.numbers.lock().unwrap().iter().any(|known| known == agent)
    }

    async fn knows(&self, name: &str) -> bool {
        self.absent.lock().unwrap().iter().any(|known| known == name)
    }

    async fn begin(&self, call: NewCall, ringing: &Ringing) -> Result<StartedCall, Refusal> {
        let (caller, end) = self.bridge.join(Role::Customer);
        let mut end = Some(end);
        if call.called.is_some() {
            if self.plays.load(Ordering::Relaxed) {
                self.bridge.hold(caller, Some(Tone::Music));
                end = end.and_then(|end| ringing.hear(end));
            }
            ringing.ring();
        }
        drop(self.gate.lock().await);
        if let Some(refusal) = self.refusal.lock().unwrap().take() {
            return Err(refusal);
        }
        let id = CallId::new();
        let mut legs: Vec<_> = call.legs.iter().map(|leg| self.outputs(id, leg.party)).collect();
        if call.called.is_some() {
            // Otherwise someone who calls a number hears music now.
            let plays = !self.plays.load(Ordering::Relaxed);
            self.bridge.hold(caller, plays.then_some(Tone::Music));
            legs[0].bridge = end;
        }
        self.told.send(Told::Begun(id, call)).unwrap();
        let over = self.over.lock().unwrap().clone();
        Ok(StartedCall { id, clock: CallClock::start(), legs, over })
    }

    async fn add_leg(&self, id: CallId, leg: NewLeg) -> Result<LegOutputs, Refusal> {
        let outputs = self.outputs(id, leg.party);
        self.told.send(Told::Joined(id, leg)).unwrap();
        Ok(outputs)
    }

    async fn note(&self, id: CallId, note: Note) {
        assert!(!self.panics.load(Ordering::Relaxed), "told to panic at {note:?}");
        let _ = self.told.send(Told::Noted(id, note));
    }

    async fn refer(&self, _: CallId, referral: Referral) -> Result<(), Refusal> {
        let referrals = self.referrals.lock().unwrap();
        referrals.as_ref().ok_or(Refusal::Forbidden)?.send(referral).map_err(|_| Refusal::Unavailable)
    }

    async fn end(&self, id: CallId, reason: EndReason) {
        let _ = self.told.send(Told::Ended(id, reason));
    }
}

/// An endpoint on loopback with its host.
pub struct Bench {
    pub endpoint: Endpoint,
    pub host: Arc<FakeHost>,
    told: mpsc::UnboundedReceiver<Told>,
}

static NEXT_PORTS: AtomicU16 = AtomicU16::new(0);

impl Bench {
    pub async fn start(change: impl FnOnce(&mut SipConfig)) -> Self {
        let any: SocketAddr = (HERE, 0).into();
        let mut config = SipConfig { udp: vec![any], tcp: vec![any], ..SipConfig::default() };
        change(&mut config);
        let (tell, told) = mpsc::unbounded_channel();
        let host = Arc::new(FakeHost {
            told: tell,
            taps: Mutex::default(),
            refusal: Mutex::default(),
            bridge: Bridge::default(),
            numbers: Mutex::default(),
            absent: Mutex::default(),
            over: Mutex::default(),
            plays: AtomicBool::default(),
            referrals: Mutex::default(),
            panics: AtomicBool::default(),
            gate: tokio::sync::Mutex::default(),
        });
        // A range of its own for each endpoint of a test program.
        let first =
            20_000 + (std::process::id() as u16 % 40) * 200 + NEXT_PORTS.fetch_add(1, Ordering::Relaxed) * 20;
        let ports = Ports::new(HERE, first..=first + 19);
        let endpoint = Endpoint::start(config, ports, host.clone()).await.unwrap();
        Self { endpoint, host, told }
    }

    pub fn udp(&self) -> SocketAddr {
        self.endpoint.udp_addrs()[0]
    }

    pub fn tcp(&self) -> SocketAddr {
        self.endpoint.tcp_addrs()[0]
    }

    pub fn uri(&self) -> String {
        format!("sip:sotto@{}", self.udp())
    }

    /// The next thing the host was told.
    pub async fn told(&mut self) -> Told {
        tokio::time::timeout(Duration::from_secs(20), self.told.recv())
            .await
            .expect("in time")
            .expect("alive")
    }

    pub async fn begun(&mut self) -> (CallId, NewCall) {
        match self.told().await {
            Told::Begun(id, call) => (id, call),
            other => panic!("a call should have begun, not {other:?}"),
        }
    }

    pub async fn ended(&mut self) -> (CallId, EndReason) {
        loop {
            if let Told::Ended(id, reason) = self.told().await {
                return (id, reason);
            }
        }
    }

    /// The next note, and nothing else before it.
    pub async fn noted(&mut self) -> Note {
        match self.told().await {
            Told::Noted(_, note) => note,
            other => panic!("a note was expected, not {other:?}"),
        }
    }

    /// Shuts the endpoint down while `meanwhile` happens; what the host was told then.
    pub async fn shut_down<T>(
        self,
        meanwhile: impl AsyncFnOnce(()) -> T,
    ) -> (T, mpsc::UnboundedReceiver<Told>) {
        let (result, ()) = tokio::join!(meanwhile(()), self.endpoint.shutdown());
        (result, self.told)
    }

    /// True when the host has nothing more to be told.
    pub fn is_quiet(&mut self) -> bool {
        self.told.try_recv().is_err()
    }
}
