//! Encrypted audio (SRTP) by keys in the session description, both ways, on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Duration;

use common::raw::Raw;
use common::{Bench, HERE};
use rsipstack::sip::{HeadersExt, Request};
use sotto_call::{CallId, Party};
use sotto_media::{LegStats, MasterKey, Role, Suite};
use sotto_sip::client::{Caller, Outgoing, Speaker};
use sotto_sip::sdp::{Crypto, Session};
use sotto_sip::{DialError, Note, Trunk, TrunkSrtp};
use tokio::time::timeout;

/// 500 Hz at half scale.
fn tone(ms: usize) -> Vec<f32> {
    (0..ms * 16).map(|n| (n as f32 * 500.0 * std::f32::consts::TAU / 16_000.0).sin() * 0.5).collect()
}

/// Frames in which somebody speaks. Noise, which is what a wrong key makes, has them all.
fn loud(samples: &[f32]) -> usize {
    samples.chunks(320).filter(|frame| frame.iter().any(|x| x.abs() > 0.3)).count()
}

/// How much of a frame's power lies at 500 Hz, on average over the loud ones.
fn purity(samples: &[f32]) -> f32 {
    let frames = samples.chunks_exact(320).filter(|frame| loud(frame) > 0);
    let shares: Vec<f32> = frames
        .map(|frame| {
            let (mut sin, mut cos, mut power) = (0.0, 0.0, 0.0);
            for (n, x) in frame.iter().enumerate() {
                let (s, c) = (n as f32 * 500.0 * std::f32::consts::TAU / 16_000.0).sin_cos();
                (sin, cos, power) = (sin + x * s, cos + x * c, power + x * x);
            }
            (sin * sin + cos * cos) / (160.0 * power)
        })
        .collect();
    shares.iter().sum::<f32>() / shares.len().max(1) as f32
}

fn speaker(aor: &str) -> Speaker {
    Speaker { aor: aor.into(), name: String::new() }
}

fn recording(bench: &Bench, suite: Suite) -> Outgoing {
    let people = [speaker("sip:1002@pbx.example"), speaker("sip:+441@sbc.example")];
    let [agent, customer] = people;
    Outgoing { srtp: Some(suite), ..Outgoing::recording(&bench.uri(), agent, customer) }
}

/// What was received of the customer, when the call is over.
async fn customers_stats(bench: &mut Bench) -> LegStats {
    loop {
        if let Note::LegEnded { party: Party::Customer, stats } = bench.noted().await {
            return stats;
        }
    }
}

#[tokio::test]
async fn each_suite_is_agreed_to_and_heard_recorded_and_plain() {
    for suite in Suite::ALL {
        let mut bench = Bench::start(|_| {}).await;
        let caller = Caller::towards(HERE).await.unwrap();
        let mut call = caller.call(&recording(&bench, suite)).await.unwrap();
        let answer = Session::parse(&call.answer().body).unwrap();
        for (offered, answered) in call.offer().media.iter().zip(&answer.media) {
            assert_eq!(answered.protocol, "RTP/SAVP");
            let ([Crypto { tag: 1, key }], [Crypto { key: offered, .. }]) =
                (&answered.crypto[..], &offered.crypto[..])
            else {
                panic!("{answered}")
            };
            assert!(key.suite() == suite && key != offered);
        }
        assert_ne!(answer.media[0].crypto[0].key, answer.media[1].crypto[0].key, "one key a leg");
        let (id, _) = bench.begun().await;
        assert!(call.play(&[tone(300), tone(300)]).await.unwrap());
        call.hang_up().await.unwrap();
        let stats = customers_stats(&mut bench).await;
        assert_eq!((stats.packets, stats.unauthenticated, stats.discarded), (15, 0, 0), "{suite:?}");
        let heard = bench.host.heard(id, Party::Customer);
        assert!(loud(&heard) >= 12 && purity(&heard) > 0.9, "{} {}", loud(&heard), purity(&heard));

        let plain = Outgoing { siprec: false, legs: vec![speaker("sip:1@x")], ..recording(&bench, suite) };
        let mut call = caller.call(&plain).await.unwrap();
        let id = loop {
            if let common::Told::Begun(id, _) = bench.told().await {
                break id;
            }
        };
        assert!(call.play(&[tone(200)]).await.unwrap());
        call.hang_up().await.unwrap();
        bench.ended().await;
        assert!(loud(&bench.host.heard(id, Party::Agent)) >= 8);
    }
}

#[tokio::test]
async fn what_is_not_under_the_key_is_counted_and_never_heard() {
    let mut bench = Bench::start(|_| {}).await;
    let caller = Caller::towards(HERE).await.unwrap();
    let mut call = caller.call(&recording(&bench, Suite::AesCm80)).await.unwrap();
    let (id, _) = bench.begun().await;
    call.sender(1).unwrap().protect(&MasterKey::fresh(Suite::AesCm80).unwrap()).unwrap();
    assert!(call.play(&[tone(300), tone(300)]).await.unwrap());
    call.hang_up().await.unwrap();
    let stats = customers_stats(&mut bench).await;
    assert_eq!((stats.packets, stats.unauthenticated, stats.discarded), (0, 15, 15));
    assert!(bench.host.heard(id, Party::Customer).iter().all(|x| *x == 0.0));
    bench.ended().await;
}

#[tokio::test]
async fn a_reinvite_brings_a_new_key_and_keeps_ours() {
    let mut bench = Bench::start(|_| {}).await;
    let caller = Caller::towards(HERE).await.unwrap();
    let mut call = caller.call(&recording(&bench, Suite::AesCm80)).await.unwrap();
    let (id, _) = bench.begun().await;
    let first = Session::parse(&call.answer().body).unwrap();
    assert!(call.play(&[tone(200), tone(200)]).await.unwrap());
    let mut offer = call.offer().clone();
    offer.origin.version += 1;
    let fresh = MasterKey::fresh(Suite::AesCm80).unwrap();
    offer.media[1].crypto[0].key = fresh.clone();
    let answer = call.reinvite(&offer).await.unwrap();
    assert_eq!(Session::parse(&answer.body).unwrap().media, first.media);
    // The other leg goes on as it was, replay window and all.
    call.sender(1).unwrap().protect(&fresh).unwrap();
    call.sender(1).unwrap().packetizer().change_ssrc(77, 0, 0);
    assert!(call.play(&[tone(200), tone(200)]).await.unwrap());
    call.hang_up().await.unwrap();
    let stats = customers_stats(&mut bench).await;
    assert_eq!((stats.packets, stats.unauthenticated, stats.ssrc_changes), (20, 0, 1));
    bench.ended().await;
    for party in [Party::Agent, Party::Customer] {
        let heard = bench.host.heard(id, party);
        assert!(loud(&heard) >= 16 && purity(&heard) > 0.9, "{party:?} {}", loud(&heard));
    }
}

/// Waits for a second of anything but silence.
async fn hears(bench: &Bench, id: CallId) {
    let listening = async {
        let mut heard = 0;
        while heard < 16_000 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            heard += bench.host.heard(id, Party::Customer).iter().filter(|x| x.abs() > 0.001).count();
        }
    };
    timeout(Duration::from_secs(10), listening).await.expect("audio");
}

#[tokio::test]
async fn a_call_through_a_trunk_that_encrypts_is_heard_at_both_ends() {
    let (mut near, mut far) = (Bench::start(|_| {}).await, Bench::start(|_| {}).await);
    far.host.numbers.lock().unwrap().push("100".into());
    let trunk =
        Trunk { host: far.udp().to_string(), user: "1001".into(), srtp: TrunkSrtp::On, ..Trunk::default() };
    let mut started = near.host.places();
    let (customer, end) = near.host.bridge.join(Role::Customer);
    started.legs[0].bridge = Some(end);
    let near_id = started.id;
    near.endpoint.dial(&trunk, "100", started, Party::Customer, |_| {}).await.unwrap();
    let (far_id, _) = far.begun().await;
    // Whoever calls the number hears music, and then plays some as well.
    hears(&near, near_id).await;
    near.host.bridge.hold(customer, Some(sotto_audio::Tone::Music));
    tokio::time::sleep(Duration::from_millis(500)).await;
    near.host.over.lock().unwrap().cancel();
    let stats = customers_stats(&mut near).await;
    assert!(stats.packets >= 50 && stats.unauthenticated == 0, "{stats:?}");
    let stats = customers_stats(&mut far).await;
    assert!(stats.packets > 0 && stats.discarded == 0, "{stats:?}");
    assert_eq!(far.ended().await.0, far_id);
}

/// A trunk's 200 to an INVITE.
async fn accept(raw: &mut Raw, invite: &Request, description: &str) {
    let header = |name: &str| format!("{name}: {}\r\n", invite.header_value(name).unwrap());
    let named = ["Via", "From", "Call-ID", "CSeq"].map(header).concat();
    let to = invite.header_value("To").unwrap();
    raw.send(format!(
        "SIP/2.0 200 OK\r\n{named}To: {to};tag=t\r\nContact: <sip:trunk@{}>\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{description}",
        raw.local,
        description.len()
    ))
    .await;
}

#[tokio::test]
async fn a_trunk_that_should_encrypt_and_does_not_is_not_talked_to() {
    let bench = Bench::start(|_| {}).await;
    let mut raw = Raw::udp(bench.udp()).await;
    let trunk =
        Trunk { host: raw.local.to_string(), user: "1".into(), srtp: TrunkSrtp::On, ..Trunk::default() };
    let dialled = bench.endpoint.dial(&trunk, "200", bench.host.places(), Party::Customer, |_| {});
    let (dialled, ()) = tokio::join!(dialled, async {
        let invite = raw.request().await;
        let offer = Session::parse(&invite.body).unwrap();
        let suites: Vec<_> = offer.media[0].crypto.iter().map(|crypto| crypto.key.suite()).collect();
        assert_eq!((offer.media[0].protocol.as_str(), &suites[..]), ("RTP/SAVP", &Suite::ALL[..]));
        let body = "v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 9000 RTP/AVP 0\r\n";
        accept(&mut raw, &invite, body).await;
        assert_eq!(raw.request().await.method.to_string(), "ACK");
        let bye = raw.request().await;
        assert_eq!(bye.method.to_string(), "BYE");
        raw.accept(&bye).await;
    });
    assert_eq!(dialled, Err(DialError::NoCodec));
}
