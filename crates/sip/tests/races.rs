//! What happens when two things happen at once, and the timers of calls that we place: against peers by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Duration;

use common::Bench;
use common::raw::{Raw, Talk, offer};
use rsipstack::sip::{HeadersExt, Request, SipMessage};
use sotto_call::{CallId, EndReason, Party};
use sotto_sip::{DialError, Trunk};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A short session timer, and a peer over UDP that is a trunk.
async fn scene() -> (Bench, Raw, Trunk) {
    let bench = Bench::start(|config| (config.min_se_s, config.session_expires_s) = (1, 2)).await;
    let raw = Raw::udp(bench.udp()).await;
    let trunk = Trunk { host: raw.local.to_string(), user: "1001".into(), ..Trunk::default() };
    (bench, raw, trunk)
}

fn speech() -> String {
    offer(&[("", "sendrecv")])
}

/// The next request, which must be this.
async fn expect(raw: &mut Raw, method: &str) -> Request {
    let request = raw.request().await;
    assert_eq!(request.method.to_string(), method, "{request}");
    request
}

/// The next request that is this, and no repetition of another.
async fn find(raw: &mut Raw, method: &str) -> Request {
    loop {
        let request = raw.request().await;
        if request.method.to_string() == method {
            return request;
        }
    }
}

/// Places a call, which the trunk answers with these headers.
async fn place(bench: &Bench, raw: &mut Raw, trunk: &Trunk, headers: &str) -> (CallId, Request) {
    let started = bench.host.places();
    let id = started.id;
    let dialled = bench.endpoint.dial(trunk, "200", started, Party::Customer, |_| {});
    let (dialled, invite) = tokio::join!(dialled, async {
        let invite = expect(raw, "INVITE").await;
        raw.answer(&invite, "trunk", &format!("200 OK{headers}"), &speech()).await;
        expect(raw, "ACK").await;
        invite
    });
    assert_eq!(dialled, Ok(()));
    (id, invite)
}

/// A request of the trunk's within a call of ours.
fn within(invite: &Request, raw: &Raw, method: &str, sequence: u32, body: &str) -> String {
    let value = |name: &str| invite.header_value(name).unwrap();
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "{method} sip:sotto@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bKback{method}{sequence};rport\r\n\
         From: {};tag=trunk\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {sequence} {method}\r\nMax-Forwards: 70\r\n\
         Contact: <sip:trunk@{}>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        raw.local,
        value("To"),
        value("From"),
        value("Call-ID"),
        raw.local,
        body.len()
    )
}

#[tokio::test]
async fn a_call_of_ours_is_refreshed_by_whom_its_answer_names() {
    let (mut bench, mut raw, trunk) = scene().await;
    for (allow, method) in [("UPDATE", "UPDATE"), ("BYE", "INVITE")] {
        let headers = format!("\r\nRequire: timer\r\nSession-Expires: 2;refresher=uac\r\nAllow: {allow}");
        let (id, invite) = place(&bench, &mut raw, &trunk, &headers).await;
        // Who refreshes is the other side's choice.
        assert_eq!(invite.header_value("Session-Expires").as_deref(), Some("2"));
        assert!(invite.header_value("Supported").unwrap().contains("timer"));
        let answered = Instant::now();
        let refresh = expect(&mut raw, method).await;
        assert!(answered.elapsed() < Duration::from_secs(2), "in half the time");
        assert_eq!(refresh.header_value("Session-Expires").as_deref(), Some("2;refresher=uac"));
        // It may go to the other side later: then theirs has to come, or the call is over.
        raw.answer(&refresh, "trunk", "200 OK\r\nSession-Expires: 3;refresher=uas", "").await;
        if method == "INVITE" {
            expect(&mut raw, "ACK").await;
        }
        let update = within(&invite, &raw, "UPDATE", 7, "").replacen(
            "Contact:",
            "Session-Expires: 3;refresher=uac\r\nSupported: timer\r\nContact:",
            1,
        );
        let agreed = raw.ask(update).await;
        assert_eq!(agreed.header_value("Session-Expires").as_deref(), Some("3;refresher=uac"), "{agreed}");
        let refreshed = Instant::now();
        let bye = expect(&mut raw, "BYE").await;
        assert!(refreshed.elapsed() > Duration::from_millis(1_500), "{:?}", refreshed.elapsed());
        assert!(bye.header_value("Reason").unwrap().contains("session timer"));
        raw.accept(&bye).await;
        assert_eq!(bench.ended().await, (id, EndReason::Timeout));
    }
}

#[tokio::test]
async fn a_call_of_ours_has_no_timer_when_its_answer_has_none() {
    let (mut bench, mut raw, trunk) = scene().await;
    place(&bench, &mut raw, &trunk, "").await;
    assert!(raw.receive_within(Duration::from_secs(3)).await.is_none());
    bench.host.over.lock().unwrap().cancel();
    let bye = expect(&mut raw, "BYE").await;
    raw.accept(&bye).await;
    assert_eq!(bench.ended().await.1, EndReason::Hangup);
}

#[tokio::test]
async fn a_peer_that_wants_longer_intervals_gets_them() {
    let (bench, mut raw, trunk) = scene().await;
    let dialled = bench.endpoint.dial(&trunk, "200", bench.host.places(), Party::Customer, |_| {});
    let (dialled, ()) = tokio::join!(dialled, async {
        let invite = expect(&mut raw, "INVITE").await;
        raw.answer(&invite, "trunk", "422 Session Interval Too Small\r\nMin-SE: 120", "").await;
        expect(&mut raw, "ACK").await;
        let invite = expect(&mut raw, "INVITE").await;
        assert_eq!(invite.header_value("CSeq").as_deref(), Some("2 INVITE"));
        assert_eq!(invite.header_value("Session-Expires").as_deref(), Some("120"));
        assert_eq!(invite.header_value("Min-SE").as_deref(), Some("120"));
        raw.answer(&invite, "trunk", "200 OK", &speech()).await;
        expect(&mut raw, "ACK").await;
    });
    assert_eq!(dialled, Ok(()));
    // It may want them later as well.
    place(&bench, &mut raw, &trunk, "\r\nSession-Expires: 2;refresher=uac\r\nAllow: UPDATE").await;
    let refresh = expect(&mut raw, "UPDATE").await;
    raw.answer(&refresh, "trunk", "422 Session Interval Too Small\r\nMin-SE: 150", "").await;
    let refresh = expect(&mut raw, "UPDATE").await;
    assert_eq!(refresh.header_value("Session-Expires").as_deref(), Some("150;refresher=uac"));
    assert_eq!(refresh.header_value("Min-SE").as_deref(), Some("150"));
    raw.answer(&refresh, "trunk", "200 OK\r\nSession-Expires: 150;refresher=uac", "").await;
    assert!(raw.receive_within(Duration::from_secs(2)).await.is_none());

    // One that is never content is refused.
    let dialled = bench.endpoint.dial(&trunk, "200", bench.host.places(), Party::Customer, |_| {});
    let (dialled, ()) = tokio::join!(dialled, async {
        for least in [100, 100] {
            let invite = find(&mut raw, "INVITE").await;
            raw.answer(&invite, "trunk", &format!("422 Too Small\r\nMin-SE: {least}"), "").await;
        }
    });
    assert!(matches!(dialled, Err(DialError::Refused { status: 422, .. })), "{dialled:?}");
}

#[tokio::test]
async fn a_refresh_gives_the_password_as_the_call_did() {
    let (mut bench, mut raw, trunk) = scene().await;
    let trunk = Trunk { password: "secret".into(), ..trunk };
    let challenge = |nonce: &str| {
        format!("401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"pbx\", nonce=\"{nonce}\", qop=\"auth\"")
    };
    let given = |request: &Request| request.header_value("Authorization").unwrap_or_default();
    let dialled = bench.endpoint.dial(&trunk, "200", bench.host.places(), Party::Customer, |_| {});
    let (dialled, ()) = tokio::join!(dialled, async {
        let invite = expect(&mut raw, "INVITE").await;
        raw.reply(&invite, &challenge("n1")).await;
        expect(&mut raw, "ACK").await;
        let invite = expect(&mut raw, "INVITE").await;
        let agreed = "200 OK\r\nSession-Expires: 2;refresher=uac\r\nAllow: UPDATE";
        raw.answer(&invite, "trunk", agreed, &speech()).await;
        expect(&mut raw, "ACK").await;
    });
    assert_eq!(dialled, Ok(()));
    let agreed = "200 OK\r\nSession-Expires: 2;refresher=uac";
    for nonce in ["n1", "n2"] {
        // The nonce is forgotten each time, and nothing is said of that.
        let refresh = expect(&mut raw, "UPDATE").await;
        assert!(given(&refresh).contains(&format!("nonce=\"{nonce}\"")), "{refresh}");
        raw.reply(&refresh, &challenge(if nonce == "n1" { "n2" } else { "n3" })).await;
        let refresh = expect(&mut raw, "UPDATE").await;
        assert!(!given(&refresh).contains(&format!("nonce=\"{nonce}\"")), "{refresh}");
        raw.answer(&refresh, "trunk", agreed, "").await;
    }
    // A password that has become a wrong one is not insisted on.
    for nonce in ["n4", "n5"] {
        let refresh = expect(&mut raw, "UPDATE").await;
        raw.reply(&refresh, &challenge(nonce)).await;
    }
    assert!(raw.receive_within(Duration::from_millis(700)).await.is_none());
    bench.host.over.lock().unwrap().cancel();
    let bye = find(&mut raw, "BYE").await;
    assert!(given(&bye).contains("nonce=\"n4\""), "{bye}");
    raw.accept(&bye).await;
    bench.ended().await;
}

#[tokio::test]
async fn a_reinvite_that_met_another_is_sent_again_later_by_whoever_chose_the_call_id() {
    let (mut bench, mut raw, trunk) = scene().await;
    let headers = "\r\nSession-Expires: 2;refresher=uac\r\nAllow: BYE";
    for is_ours in [true, false] {
        if is_ours {
            place(&bench, &mut raw, &trunk, headers).await;
        } else {
            let mut talk = Talk::new(&raw, bench.udp(), "theirs");
            talk.headers = "Session-Expires: 2;refresher=uas\r\nSupported: timer\r\nAllow: BYE\r\n".into();
            talk.establish(&mut raw, &speech()).await;
            bench.begun().await;
        }
        let refresh = expect(&mut raw, "INVITE").await;
        raw.reply(&refresh, "491 Request Pending").await;
        let refused = Instant::now();
        expect(&mut raw, "ACK").await;
        let again = expect(&mut raw, "INVITE").await;
        let waited = refused.elapsed();
        let (least, most) = if is_ours { (2_100, 4_000) } else { (0, 2_000) };
        let range = Duration::from_millis(least)..Duration::from_millis(most + 500);
        assert!(range.contains(&waited), "ours: {is_ours}, after {waited:?}");
        assert_ne!(again.header_value("CSeq"), refresh.header_value("CSeq"));
        raw.reply(&again, "481 Gone").await;
        expect(&mut raw, "ACK").await;
        let bye = find(&mut raw, "BYE").await;
        raw.accept(&bye).await;
        bench.ended().await;
    }
}

#[tokio::test]
async fn a_reinvite_that_meets_one_of_ours_is_refused_and_taken_later() {
    let (bench, mut raw, trunk) = scene().await;
    let headers = "\r\nSession-Expires: 2;refresher=uac\r\nAllow: BYE";
    let (_, invite) = place(&bench, &mut raw, &trunk, headers).await;
    let refresh = expect(&mut raw, "INVITE").await;
    assert_eq!(raw.status(within(&invite, &raw, "INVITE", 5, &speech())).await, 491);
    raw.send(within(&invite, &raw, "ACK", 5, "").replace("backACK5", "backINVITE5")).await;
    assert_eq!(raw.status(within(&invite, &raw, "UPDATE", 6, &speech())).await, 491);
    raw.answer(&refresh, "trunk", "200 OK", &speech()).await;
    find(&mut raw, "ACK").await;
    assert_eq!(raw.status(within(&invite, &raw, "INVITE", 7, &speech())).await, 200);
}

#[tokio::test]
async fn an_ack_that_comes_late_ends_the_repetitions_and_the_call_goes_on() {
    let mut bench = Bench::start(|config| config.t1_ms = 50).await;
    let mut raw = Raw::udp(bench.udp()).await;
    let mut talk = Talk::new(&raw, bench.udp(), "late");
    let answer = raw.ask(talk.invite(&speech())).await;
    talk.answered(&answer);
    bench.begun().await;
    for _ in 0..3 {
        assert_eq!(raw.response().await.to_string(), answer.to_string());
    }
    raw.send(talk.ack("")).await;
    // What had been on its way may still come; the fourth second is after 64 T1.
    while raw.receive_within(Duration::from_millis(600)).await.is_some() {}
    assert!(raw.receive_within(Duration::from_millis(3_500)).await.is_none());
    assert_eq!(raw.status(talk.next("OPTIONS", "", "")).await, 200);
    assert_eq!(raw.status(talk.next("BYE", "", "")).await, 200);
}

#[tokio::test]
async fn a_cancel_that_crosses_the_answer_changes_nothing() {
    let mut bench = Bench::start(|_| {}).await;
    for mut raw in [Raw::udp(bench.udp()).await, Raw::tcp(bench.tcp()).await] {
        let mut talk = Talk::new(&raw, bench.udp(), &format!("crossed{}", raw.local.port()));
        // Named as the INVITE was, before it had an answer's tag.
        let cancel = talk.on_branch_of_invite("CANCEL");
        let answer = raw.ask(talk.invite(&speech())).await;
        talk.answered(&answer);
        bench.begun().await;
        raw.send(&cancel).await;
        let answered = loop {
            let response = raw.response().await;
            if response.header_value("CSeq").unwrap().contains("CANCEL") {
                break response;
            }
        };
        assert_eq!(answered.status_code.code(), 200);
        raw.send(talk.ack("")).await;
        assert_eq!(raw.status(talk.next("OPTIONS", "", "")).await, 200);
        assert!(bench.is_quiet());
        assert_eq!(raw.status(talk.next("BYE", "", "")).await, 200);
        assert_eq!(bench.ended().await.1, EndReason::Hangup);
    }
}

#[tokio::test]
async fn an_answer_that_crosses_our_cancel_is_acknowledged_and_ended() {
    let (bench, mut raw, trunk) = scene().await;
    let given_up = CancellationToken::new();
    let dialled = bench.endpoint.dial(&trunk, "200", bench.host.places(), Party::Customer, |_| {
        given_up.cancel();
    });
    let (dialled, ()) = tokio::join!(given_up.run_until_cancelled(dialled), async {
        let invite = expect(&mut raw, "INVITE").await;
        raw.answer(&invite, "trunk", "180 Ringing", "").await;
        let cancel = expect(&mut raw, "CANCEL").await;
        raw.answer(&invite, "trunk", "200 OK", &speech()).await;
        raw.accept(&cancel).await;
        expect(&mut raw, "ACK").await;
        let bye = expect(&mut raw, "BYE").await;
        assert!(bye.header_value("To").unwrap().ends_with(";tag=trunk"));
        raw.accept(&bye).await;
        assert!(raw.receive_within(Duration::from_secs(1)).await.is_none());
    });
    assert_eq!(dialled, None);
}

#[tokio::test]
async fn a_cancel_waits_until_the_peer_has_shown_that_it_has_the_invite() {
    let (bench, mut raw, trunk) = scene().await;
    for is_refused in [false, true] {
        let given_up = CancellationToken::new();
        let dialled = bench.endpoint.dial(&trunk, "200", bench.host.places(), Party::Customer, |_| {});
        let (dialled, ()) = tokio::join!(given_up.run_until_cancelled(dialled), async {
            let invite = expect(&mut raw, "INVITE").await;
            given_up.cancel();
            let until = Instant::now() + Duration::from_secs(2);
            while let Some(message) = raw.receive_within(until - Instant::now()).await {
                let SipMessage::Request(again) = message else { panic!("a response") };
                assert_eq!(
                    again.header_value("CSeq"),
                    invite.header_value("CSeq"),
                    "nothing but the INVITE again"
                );
                if until <= Instant::now() {
                    break;
                }
            }
            if is_refused {
                // What has been answered is not taken back.
                raw.answer(&invite, "trunk", "486 Busy Here", "").await;
                find(&mut raw, "ACK").await;
                assert!(raw.receive_within(Duration::from_secs(1)).await.is_none());
                return;
            }
            raw.reply(&invite, "100 Trying").await;
            let cancel = find(&mut raw, "CANCEL").await;
            raw.accept(&cancel).await;
            raw.answer(&invite, "trunk", "487 Request Terminated", "").await;
            find(&mut raw, "ACK").await;
        });
        assert_eq!(dialled, None);
    }
}

#[tokio::test]
async fn a_bye_that_crosses_a_reinvite_ends_the_call() {
    let (mut bench, mut raw, trunk) = scene().await;
    let headers = "\r\nSession-Expires: 2;refresher=uac\r\nAllow: BYE";
    // Theirs crosses our re-INVITE.
    let (id, invite) = place(&bench, &mut raw, &trunk, headers).await;
    let refresh = expect(&mut raw, "INVITE").await;
    assert_eq!(raw.status(within(&invite, &raw, "BYE", 5, "")).await, 200);
    assert_eq!(bench.ended().await, (id, EndReason::Hangup));
    raw.reply(&refresh, "487 Request Terminated").await;
    find(&mut raw, "ACK").await;
    // Ours crosses theirs.
    let (id, invite) = place(&bench, &mut raw, &trunk, headers).await;
    bench.host.over.lock().unwrap().cancel();
    let bye = expect(&mut raw, "BYE").await;
    assert_eq!(raw.status(within(&invite, &raw, "INVITE", 5, &speech())).await, 481);
    raw.accept(&bye).await;
    assert_eq!(bench.ended().await, (id, EndReason::Hangup));
    assert!(raw.receive_within(Duration::from_secs(1)).await.is_none());
}

#[tokio::test]
async fn of_two_telephones_that_answer_one_is_talked_to() {
    let (mut bench, mut raw, trunk) = scene().await;
    let started = bench.host.places();
    let id = started.id;
    let dialled = bench.endpoint.dial(&trunk, "200", started, Party::Customer, |_| {});
    let (dialled, ()) = tokio::join!(dialled, async {
        let invite = expect(&mut raw, "INVITE").await;
        for tag in ["first", "second", "first", "second"] {
            raw.answer(&invite, tag, "200 OK", &speech()).await;
        }
        let mut heard = Vec::new();
        while let Some(message) = raw.receive_within(Duration::from_secs(1)).await {
            let SipMessage::Request(request) = message else { continue };
            let to = request.header_value("To").unwrap();
            let tag = to.rsplit_once(";tag=").unwrap().1.to_owned();
            assert_eq!(request.uri.user(), Some(tag.as_str()), "to its own address: {request}");
            if request.method.to_string() == "BYE" {
                raw.accept(&request).await;
            }
            heard.push(format!("{} {tag}", request.method));
        }
        heard.sort();
        assert_eq!(heard, ["ACK first", "ACK first", "ACK second", "ACK second", "BYE second"]);
    });
    assert_eq!(dialled, Ok(()));
    bench.host.over.lock().unwrap().cancel();
    let bye = expect(&mut raw, "BYE").await;
    assert!(bye.header_value("To").unwrap().ends_with(";tag=first"));
    raw.accept(&bye).await;
    assert_eq!(bench.ended().await, (id, EndReason::Hangup));
}
