//! Registration as an extension, against a registrar by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Duration;

use common::raw::{Raw, Talk, offer};
use common::{Bench, HERE};
use rsipstack::sip::{HeadersExt, Request};
use sotto_sip::{Trunk, TrunkTransport};
use tokio::net::TcpListener;

const CHALLENGE: &str = "401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"pbx\", nonce=\"n1\", algorithm=SHA-256, qop=\"auth\"";

fn trunk(raw: &Raw) -> Trunk {
    Trunk {
        host: raw.local.to_string(),
        user: "1001".into(),
        password: "secret".into(),
        register: true,
        ..Trunk::default()
    }
}

/// A REGISTER, its Contact and the seconds it asks for.
async fn asked(raw: &mut Raw) -> (Request, String, u64) {
    let request = raw.request().await;
    assert_eq!(request.method.to_string(), "REGISTER");
    let contact = request.header_value("Contact").unwrap();
    let expires = request.header_value("Expires").unwrap().parse().unwrap();
    (request, contact, expires)
}

/// Binds what was asked for, for some seconds.
async fn grant(raw: &mut Raw, request: &Request, seconds: u64) {
    let contact = request.header_value("Contact").unwrap();
    raw.reply(request, &format!("200 OK\r\nContact: {contact};expires={seconds}")).await;
}

/// Waits until the endpoint says that it is registered, or that it is not.
async fn until(bench: &Bench, registered: bool) {
    let wanted = async {
        while bench.endpoint.counters().registered != Some(registered) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wanted).await.expect("in time");
}

#[tokio::test]
async fn an_extension_is_registered_refreshed_called_and_given_back() {
    // The registrar is not among those who may call; the account makes it one.
    let mut bench = Bench::start(|config| config.allowed_peers = vec!["10.0.0.0/8".parse().unwrap()]).await;
    bench.host.numbers.lock().unwrap().push("1001".into());
    let mut raw = Raw::udp(bench.udp()).await;
    bench.endpoint.register(trunk(&raw));
    let (first, contact, expires) = asked(&mut raw).await;
    assert_eq!((contact.as_str(), expires), (format!("<sip:1001@{}>", bench.udp()).as_str(), 300));
    assert_eq!(first.uri.to_string(), format!("sip:{}", raw.local));
    assert!(first.header_value("To").unwrap().starts_with("<sip:1001@127.0.0.1>"));
    raw.reply(&first, CHALLENGE).await;
    let (second, ..) = asked(&mut raw).await;
    let given = second.header_value("Authorization").unwrap();
    assert!(given.contains("username=\"1001\"") && given.contains("algorithm=SHA-256"), "{given}");
    assert_eq!(second.header_value("Call-ID"), first.header_value("Call-ID"));
    assert_eq!(second.header_value("CSeq").as_deref(), Some("2 REGISTER"));
    grant(&mut raw, &second, 2).await;
    until(&bench, true).await;

    // In half the time granted, it comes again.
    let granted_at = tokio::time::Instant::now();
    let (third, ..) = asked(&mut raw).await;
    assert!(granted_at.elapsed() < Duration::from_secs(2));
    grant(&mut raw, &third, 3_600).await;

    // The PBX calls the contact, and a number of ours rings.
    let mut talk = Talk::new(&raw, bench.udp(), "called");
    let invite = talk.invite(&offer(&[("", "sendrecv")])).replacen("sip:sotto@", "sip:1001@", 1);
    let answer = raw.ask(invite).await;
    assert_eq!(answer.status_code.code(), 200);
    talk.answered(&answer);
    raw.send(talk.ack("")).await;
    assert_eq!(bench.begun().await.1.called.as_deref(), Some("1001"));
    assert_eq!(raw.status(talk.next("BYE", "", "")).await, 200);

    let last = bench
        .shut_down(async |()| {
            let (last, _, expires) = asked(&mut raw).await;
            assert_eq!(expires, 0);
            raw.reply(&last, CHALLENGE).await;
            let (last, _, expires) = asked(&mut raw).await;
            raw.accept(&last).await;
            (last, expires)
        })
        .await
        .0;
    assert_eq!(last.1, 0);
    assert!(last.0.header_value("Authorization").is_some());
}

#[tokio::test]
async fn a_registrar_that_wants_longer_times_gets_them() {
    let bench = Bench::start(|_| {}).await;
    let mut raw = Raw::udp(bench.udp()).await;
    bench.endpoint.register(trunk(&raw));
    let (request, ..) = asked(&mut raw).await;
    raw.reply(&request, "423 Interval Too Brief\r\nMin-Expires: 1800").await;
    let (request, _, expires) = asked(&mut raw).await;
    assert_eq!(expires, 1_800);
    raw.reply(&request, "200 OK\r\nExpires: 1800").await;
    until(&bench, true).await;
    // One that is never content is a failure, not a loop.
    let other = Bench::start(|_| {}).await;
    let mut raw = Raw::udp(other.udp()).await;
    other.endpoint.register(trunk(&raw));
    let (request, ..) = asked(&mut raw).await;
    raw.reply(&request, "423 Interval Too Brief\r\nMin-Expires: 60").await;
    assert!(raw.receive_within(Duration::from_secs(3)).await.is_none());
    assert_eq!(other.endpoint.counters().registration_failures, 1);
}

#[tokio::test]
async fn a_wrong_password_is_not_insisted_on() {
    let bench = Bench::start(|_| {}).await;
    let mut raw = Raw::udp(bench.udp()).await;
    bench.endpoint.register(trunk(&raw));
    for _ in 0..2 {
        let (request, ..) = asked(&mut raw).await;
        raw.reply(&request, CHALLENGE).await;
    }
    assert!(raw.receive_within(Duration::from_secs(4)).await.is_none(), "nothing for half a minute");
    let counters = bench.endpoint.counters();
    assert_eq!((counters.registered, counters.registration_failures), (Some(false), 1));
}

#[tokio::test]
async fn a_registrar_that_was_away_is_found_again() {
    let bench = Bench::start(|config| config.t1_ms = 5).await;
    let mut raw = Raw::udp(bench.udp()).await;
    bench.endpoint.register(trunk(&raw));
    let (request, ..) = asked(&mut raw).await;
    raw.reply(&request, "503 Service Unavailable").await;
    // The second is not answered at all: it is repeated, and then a new one comes.
    let (unanswered, ..) = asked(&mut raw).await;
    let again = loop {
        let (request, ..) = asked(&mut raw).await;
        if request.header_value("CSeq") != unanswered.header_value("CSeq") {
            break request;
        }
    };
    grant(&mut raw, &again, 600).await;
    until(&bench, true).await;
    assert_eq!(bench.endpoint.counters().registration_failures, 2);
}

#[tokio::test]
async fn a_lost_connection_is_made_again_and_calls_go_the_same_way() {
    let bench = Bench::start(|_| {}).await;
    let registrar = TcpListener::bind((HERE, 0)).await.unwrap();
    let trunk = Trunk {
        host: registrar.local_addr().unwrap().to_string(),
        user: "1001".into(),
        transport: TrunkTransport::Tcp,
        register: true,
        ..Trunk::default()
    };
    bench.endpoint.register(trunk.clone());
    let mut raw = Raw::accept_from(&registrar).await;
    let (request, contact, _) = asked(&mut raw).await;
    assert_eq!(contact, format!("<sip:1001@{};transport=tcp>", bench.tcp()));
    grant(&mut raw, &request, 600).await;
    until(&bench, true).await;
    drop(raw);
    let mut raw = Raw::accept_from(&registrar).await;
    let (request, ..) = asked(&mut raw).await;
    grant(&mut raw, &request, 600).await;
    let started = bench.host.places();
    let dialled = bench.endpoint.dial(&trunk, "200", started, sotto_call::Party::Customer, |_| {});
    let (dialled, ()) = tokio::join!(dialled, async {
        let invite = raw.request().await;
        assert_eq!(invite.method.to_string(), "INVITE");
        raw.reply(&invite, "486 Busy Here").await;
    });
    assert!(dialled.is_err());
}

#[tokio::test]
async fn behind_a_translator_the_contact_is_where_we_are_seen() {
    let mut bench = Bench::start(|_| {}).await;
    let mut raw = Raw::udp(bench.udp()).await;
    bench.endpoint.register(trunk(&raw));
    let (mut request, contact, _) = asked(&mut raw).await;
    assert!(contact.contains(&bench.udp().to_string()));
    let via = request.header_value("Via").unwrap();
    let via = via.replace(";rport", ";received=203.0.113.7;rport=4242");
    request.headers.unique_push(rsipstack::sip::Header::Via(via.as_str().into()));
    grant(&mut raw, &request, 600).await;
    let (request, contact, _) = asked(&mut raw).await;
    assert_eq!(contact, "<sip:1001@203.0.113.7:4242>");
    grant(&mut raw, &request, 600).await;
    until(&bench, true).await;
    // And so it is in calls.
    let mut talk = Talk::new(&raw, bench.udp(), "nat");
    let answer = talk.establish(&mut raw, &offer(&[("1", "sendonly")])).await;
    assert!(answer.header_value("Contact").unwrap().contains("@203.0.113.7:4242"));
    bench.begun().await;
    assert_eq!(raw.status(talk.next("BYE", "", "")).await, 200);
}
