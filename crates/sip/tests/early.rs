//! What is heard before a call is answered, on loopback with real SIP and RTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::raw::{Raw, Talk, offer};
use common::{Bench, HERE};
use rsipstack::sip::{HeadersExt, Request, SipMessage};
use sotto_audio::Codec;
use sotto_call::Party;
use sotto_media::{
    CallClock, Leg, LegConfig, LegFormat, LegOutputs, Part, Ports, Role, RtpSender, SenderConfig,
};
use sotto_sip::sdp::Session;
use sotto_sip::{Note, Progress, Trunk};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// A tone of `hz` for `ms`, at half scale.
fn tone(hz: f32, ms: usize) -> Vec<f32> {
    (0..ms * 16).map(|n| (n as f32 * hz * std::f32::consts::TAU / 16_000.0).sin() * 0.5).collect()
}

/// For how many milliseconds there is a tone, at nearly half scale.
fn duration(samples: &[f32], hz: f32) -> usize {
    let step = hz * std::f32::consts::TAU / 16_000.0;
    let is_there = |frame: &&[f32]| {
        let (sin, cos) = frame.iter().enumerate().fold((0.0, 0.0), |(s, c), (n, x)| {
            let (sin, cos) = (n as f32 * step).sin_cos();
            (s + x * sin, c + x * cos)
        });
        sin.hypot(cos) / 80.0 > 0.7
    };
    20 * samples.chunks_exact(320).filter(is_there).count()
}

/// Nothing is kept of what was said at 500 Hz, besides what a buffer makes of gaps, and all of what was at 900 Hz.
fn assert_kept(heard: &[f32]) {
    let (before, after) = (duration(heard, 500.0), duration(heard, 900.0));
    assert!(before <= 80 && after >= 300, "{before} ms of before the answer, {after} ms of after it");
}

/// How long an answer takes at most.
const GAP: Duration = Duration::from_secs(2);

/// Someone's end of the media.
struct Phone {
    socket: UdpSocket,
}

impl Phone {
    async fn new() -> Self {
        Self { socket: UdpSocket::bind((HERE, 0)).await.unwrap() }
    }

    fn description(&self) -> String {
        offer(&[("", "sendrecv")]).replace("9000", &self.socket.local_addr().unwrap().port().to_string())
    }

    /// The next packet's source, sequence number and payload; `None` when none comes within `wait`.
    async fn packet(&self, wait: Duration) -> Option<(u32, u16, Vec<u8>)> {
        let mut packet = [0; 1_500];
        let length = timeout(wait, self.socket.recv_from(&mut packet)).await.ok()?.unwrap().0;
        let number = |at: usize| u32::from_be_bytes(packet[at..at + 4].try_into().unwrap());
        Some((number(8), number(0) as u16, packet[12..length].to_vec()))
    }
}

/// What a phone says to our port.
async fn mouth(port: u16, config: SenderConfig) -> RtpSender {
    let socket = Ports::new(HERE, 39_100..=39_199).reserve().await.unwrap();
    RtpSender::new(socket, (HERE, port).into(), config, None).unwrap()
}

fn pcmu() -> SenderConfig {
    SenderConfig::new(Codec::Pcmu)
}

#[tokio::test]
async fn a_key_that_is_told_by_info_reaches_the_other_side_as_every_other_key() {
    let mut bench = Bench::start(|_| {}).await;
    bench.host.numbers.lock().unwrap().push("sotto".into());
    bench.host.plays.store(true, Ordering::Relaxed);
    let mut raw = Raw::udp(bench.udp()).await;
    let mut talk = Talk::new(&raw, bench.udp(), "info");
    let (phone, agent) = (Phone::new().await, Phone::new().await);
    talk.establish(&mut raw, &phone.description()).await;
    let (id, _) = bench.begun().await;
    let (_, end) = bench.host.bridge.join(Role::Agent);
    let outputs = LegOutputs { bridge: Some(end), ..bench.host.outputs(id, Party::Agent) };
    let payloads = vec![(0, Codec::Pcmu)];
    let format = LegFormat { payloads, telephone_event: Some((101, 8_000)), ptime_ms: None, srtp: None };
    let socket = Ports::new(HERE, 39_200..=39_299).reserve().await.unwrap();
    let (remote, clock) = (agent.socket.local_addr().unwrap(), CallClock::start());
    let (events, _heard) = mpsc::channel(1);
    let leg = Leg::start(socket, format, Some(remote), clock, outputs, events, LegConfig::default());
    let mut keys = Vec::new();
    for (kind, body, code) in
        [("application/dtmf-relay", "Signal=5\r\nDuration=80", 5), ("application/dtmf", "#", 11)]
    {
        assert_eq!(raw.status(talk.next("INFO", kind, body)).await, 200);
        while keys.last() != Some(&code) {
            let (_, _, payload) = agent.packet(Duration::from_secs(20)).await.expect("a key");
            if let [key, _, _, _] = payload[..] {
                keys.push(key);
            }
        }
    }
    // What is written down of them, as before.
    let mut told = Vec::new();
    while told.len() < 2 {
        if let Note::Dtmf { party, digit, .. } = bench.noted().await {
            told.push((party, digit));
        }
    }
    assert_eq!(told, [(Party::Customer, '5'), (Party::Customer, '#')]);
    leg.stop().await;
    assert_eq!(raw.status(talk.next("BYE", "", "")).await, 200);
}

#[tokio::test]
async fn a_caller_hears_music_before_the_answer_which_describes_the_same() {
    let mut bench = Bench::start(|_| {}).await;
    bench.host.numbers.lock().unwrap().push("sotto".into());
    bench.host.plays.store(true, Ordering::Relaxed);
    let host = bench.host.clone();
    let held = host.gate.lock().await;
    let mut raw = Raw::udp(bench.udp()).await;
    let mut talk = Talk::new(&raw, bench.udp(), "music");
    let phone = Phone::new().await;
    raw.send(talk.invite(&phone.description())).await;
    let progress = raw.response_of(183).await;
    assert!(progress.to_header().unwrap().tag().unwrap().is_some() && !progress.contact_headers().is_empty());
    let port = Session::parse(&progress.body).unwrap().media[0].port;
    let (source, mut sequence, mut payload) = phone.packet(Duration::from_secs(5)).await.unwrap();
    while payload.iter().all(|byte| *byte == 0xff) {
        payload = phone.packet(Duration::from_secs(5)).await.unwrap().2;
    }
    // What is said before is nobody's business.
    let mut mouth = mouth(port, pcmu()).await;
    mouth.play(&tone(500.0, 300)).await.unwrap();
    assert_eq!(bench.endpoint.counters().answered, 0);
    assert!(bench.is_quiet());

    drop(held);
    let answer = raw.response().await;
    assert_eq!(answer.status_code.code(), 200);
    assert_eq!(answer.body, progress.body);
    assert_eq!(answer.to_header().unwrap().tag(), progress.to_header().unwrap().tag());
    talk.answered(&answer);
    raw.send(talk.ack("")).await;
    let (id, _) = bench.begun().await;
    assert!(matches!(bench.noted().await, Note::LegStarted { party: Party::Customer, codec: "PCMU" }));
    // One stream, from the first packet to the last.
    while let Some(packet) = phone.packet(Duration::from_millis(100)).await {
        assert_eq!(packet.0, source);
        assert!(packet.1.wrapping_sub(sequence) < 100, "{} after {sequence}", packet.1);
        sequence = packet.1;
    }
    mouth.pause(GAP).await.unwrap();
    mouth.play(&tone(900.0, 400)).await.unwrap();
    assert_eq!(raw.status(talk.next("BYE", "", "")).await, 200);
    bench.ended().await;
    let heard = bench.host.heard(id, Party::Customer);
    assert_kept(&heard);
    assert_eq!(bench.endpoint.counters().answered, 1);
}

#[tokio::test]
async fn a_caller_who_takes_only_reliable_answers_is_sent_none_before_the_last() {
    let mut bench = Bench::start(|_| {}).await;
    bench.host.numbers.lock().unwrap().push("sotto".into());
    bench.host.plays.store(true, Ordering::Relaxed);
    let mut raw = Raw::udp(bench.udp()).await;
    let mut talk = Talk::new(&raw, bench.udp(), "reliable");
    talk.headers = "Require: 100rel\r\n".into();
    raw.send(talk.invite(&Phone::new().await.description())).await;
    for status in [100, 200] {
        let SipMessage::Response(response) = raw.receive().await else { panic!("a request") };
        assert_eq!(response.status_code.code(), status);
    }
    bench.begun().await;
}

#[tokio::test]
async fn a_caller_who_gives_up_on_the_music_leaves_nothing() {
    let mut bench = Bench::start(|_| {}).await;
    bench.host.numbers.lock().unwrap().push("sotto".into());
    bench.host.plays.store(true, Ordering::Relaxed);
    let host = bench.host.clone();
    let held = host.gate.lock().await;
    let mut raw = Raw::udp(bench.udp()).await;
    let talk = Talk::new(&raw, bench.udp(), "abandoned");
    raw.send(talk.invite(&Phone::new().await.description())).await;
    let progress = raw.response_of(183).await;
    let port = Session::parse(&progress.body).unwrap().media[0].port;
    raw.send(talk.on_branch_of_invite("CANCEL")).await;
    let mut statuses = [raw.response().await, raw.response().await].map(|r| r.status_code.code());
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 487]);
    raw.send(talk.on_branch_of_invite("ACK")).await;
    let given_back = async {
        while UdpSocket::bind((HERE, port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(5), given_back).await.expect("the port is free");
    drop(held);
    while bench.endpoint.counters().dialogs > 0 {
        tokio::task::yield_now().await;
    }
    assert!(bench.is_quiet());
    assert_eq!(bench.endpoint.counters().answered, 0);
}

/// Calls through a trunk that does as `far_end` does, given its INVITE and our RTP port: what was told of its
/// progress, and what was kept of what it said.
async fn called(
    far_end: impl AsyncFnOnce(&mut Raw, &Request, u16, &Mutex<Vec<Progress>>),
) -> (Vec<Progress>, Vec<f32>) {
    let mut bench = Bench::start(|_| {}).await;
    let mut raw = Raw::udp(bench.udp()).await;
    let trunk = Trunk { host: raw.local.to_string(), user: "1001".into(), ..Trunk::default() };
    let mut started = bench.host.places();
    let id = started.id;
    let (customer, end) = bench.host.bridge.join(Role::Customer);
    bench.host.bridge.set_part(customer, Part::IsHeard);
    started.legs[0].bridge = Some(end);
    let told = Mutex::new(Vec::new());
    let dialled =
        bench.endpoint.dial(&trunk, "200", started, Party::Customer, |now| told.lock().unwrap().push(now));
    let trunk_side = async {
        let invite = raw.request().await;
        assert!(!invite.header_value("Supported").unwrap_or_default().contains("100rel"));
        let port = Session::parse(&invite.body).unwrap().media[0].port;
        far_end(&mut raw, &invite, port, &told).await;
    };
    let bridge = bench.host.bridge.clone();
    let answered = async {
        dialled.await.unwrap();
        bridge.set_part(customer, Part::Whole);
    };
    tokio::join!(answered, trunk_side);
    bench.host.over.lock().unwrap().cancel();
    let bye = loop {
        let request = raw.request().await;
        if request.method.to_string() == "BYE" {
            break request;
        }
    };
    raw.accept(&bye).await;
    assert!(bye.to_header().unwrap().value().ends_with("tag=answered"));
    bench.ended().await;
    let told = told.lock().unwrap().clone();
    (told, bench.host.heard(id, Party::Customer))
}

/// Waits until this has been told last.
async fn until(told: &Mutex<Vec<Progress>>, last: Progress) {
    let is_told = async {
        while told.lock().unwrap().last() != Some(&last) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(5), is_told).await.unwrap_or_else(|_| panic!("{last:?} in time: {told:?}"));
}

#[tokio::test]
async fn an_announcement_is_heard_before_the_answer_and_what_is_answered_is_followed() {
    let (told, heard) = called(async |raw, invite, port, told| {
        raw.answer(invite, "early", "183 Session Progress", &offer(&[("", "sendonly")])).await;
        let mut announces = mouth(port, pcmu()).await;
        announces.play(&tone(500.0, 200)).await.unwrap();
        until(told, Progress::Heard).await;
        // Does not cut it off.
        raw.answer(invite, "early", "180 Ringing", "").await;
        announces.play(&tone(500.0, 200)).await.unwrap();
        // Another phone than the one that was heard, in another codec.
        let answer = offer(&[("", "sendrecv")]).replace("9000 RTP/AVP 0", "9002 RTP/AVP 8");
        raw.answer(invite, "answered", "200 OK", &answer).await;
        assert_eq!(raw.request().await.method.to_string(), "ACK");
        let mut answers = mouth(port, SenderConfig { ssrc: 7, ..SenderConfig::new(Codec::Pcma) }).await;
        answers.play(&tone(900.0, 400)).await.unwrap();
    })
    .await;
    assert_eq!(told, [Progress::Heard]);
    assert_kept(&heard);
}

#[tokio::test]
async fn a_telephone_that_describes_its_ringing_and_is_not_heard_rings() {
    let (told, heard) = called(async |raw, invite, port, told| {
        raw.answer(invite, "answered", "180 Ringing", &offer(&[("", "sendrecv")])).await;
        until(told, Progress::Ringing).await;
        let mut mouth = mouth(port, pcmu()).await;
        mouth.play(&tone(500.0, 100)).await.unwrap();
        until(told, Progress::Heard).await;
        // Some describe nothing more in the answer.
        raw.answer(invite, "answered", "200 OK", "").await;
        assert_eq!(raw.request().await.method.to_string(), "ACK");
        mouth.pause(GAP).await.unwrap();
        mouth.play(&tone(900.0, 400)).await.unwrap();
    })
    .await;
    assert_eq!(told, [Progress::Ringing, Progress::Heard]);
    assert_kept(&heard);
}
