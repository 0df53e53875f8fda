//! The endpoint on loopback, with a fake host and real SIP and RTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use common::raw::{Raw, Talk, offer};
use common::{Bench, HERE, Told};
use rsipstack::sip::{HeadersExt, Request, SipMessage};
use sotto_audio::Codec;
use sotto_call::{EndReason, Party, Source};
use sotto_media::{Ports, RtpSender, SenderConfig};
use sotto_sip::client::{Caller, Outgoing, Speaker, Via};
use sotto_sip::sdp::{Direction, Session};
use sotto_sip::{DialError, Note, Refusal, Trunk};
use tokio_util::sync::CancellationToken;

fn agent() -> Speaker {
    Speaker { aor: "sip:1002@pbx.example".into(), name: "Agent".into() }
}

fn customer() -> Speaker {
    Speaker { aor: "sip:+441@sbc.example".into(), name: "Customer".into() }
}

/// A tone of `hz` for `ms`, at half scale.
fn tone(hz: f32, ms: usize) -> Vec<f32> {
    (0..ms * 16).map(|n| (n as f32 * hz * std::f32::consts::TAU / 16_000.0).sin() * 0.5).collect()
}

/// How much of a tone there is, frame by frame: 1 when it is there at half scale all the time.
fn amount(samples: &[f32], hz: f32) -> f32 {
    let step = hz * std::f32::consts::TAU / 16_000.0;
    let frames = samples.chunks_exact(320);
    let count = frames.len() as f32;
    let sum: f32 = frames
        .map(|frame| {
            let (sin, cos) = frame.iter().enumerate().fold((0.0, 0.0), |(s, c), (n, x)| {
                let (sin, cos) = (n as f32 * step).sin_cos();
                (s + x * sin, c + x * cos)
            });
            sin.hypot(cos) / 80.0
        })
        .sum();
    sum / count
}

#[tokio::test]
async fn a_recording_session_from_invite_to_bye() {
    for via in [Via::Udp, Via::Tcp] {
        let mut bench = Bench::start(|_| {}).await;
        let caller = Caller::towards(HERE).await.unwrap();
        let to = if via == Via::Udp { bench.udp() } else { bench.tcp() };
        let mut outgoing = Outgoing::recording(&format!("sip:{to}"), agent(), customer());
        outgoing.via = via;
        let mut call = caller.call(&outgoing).await.unwrap();
        let (id, new) = bench.begun().await;
        assert_eq!(new.source, Source::Siprec);
        let legs: Vec<_> = new.legs.iter().map(|l| (l.party, l.label.as_deref(), l.codec)).collect();
        assert_eq!(legs, [(Party::Agent, Some("1"), "PCMU"), (Party::Customer, Some("2"), "PCMU")]);
        let people: Vec<_> = new.participants.iter().map(|p| (p.party, p.name.as_deref())).collect();
        assert_eq!(people, [(Party::Agent, Some("Agent")), (Party::Customer, Some("Customer"))]);

        assert!(call.play(&[tone(500.0, 600), tone(900.0, 600)]).await.unwrap());
        call.hang_up().await.unwrap();
        let (mut started, mut stopped) = (Vec::new(), Vec::new());
        let reason = loop {
            match bench.told().await {
                common::Told::Noted(_, Note::LegStarted { party, codec }) => started.push((party, codec)),
                common::Told::Noted(_, Note::LegEnded { party, stats }) => {
                    stopped.push((party, stats.packets))
                }
                common::Told::Ended(ended, reason) => {
                    assert_eq!(ended, id);
                    break reason;
                }
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(reason, EndReason::Hangup);
        started.sort();
        stopped.sort();
        assert_eq!(started, [(Party::Agent, "PCMU"), (Party::Customer, "PCMU")]);
        assert_eq!(stopped, [(Party::Agent, 30), (Party::Customer, 30)]);
        for (party, own, other) in [(Party::Agent, 500.0, 900.0), (Party::Customer, 900.0, 500.0)] {
            let heard = bench.host.heard(id, party);
            let spoken = heard.iter().position(|x| x.abs() > 0.1).expect("something was heard");
            let spoken = &heard[spoken..spoken + 8_000];
            let (own, other) = (amount(spoken, own), amount(spoken, other));
            assert!(
                own > 0.8 && other < 0.1,
                "{via:?} {party:?}: {own} of their own, {other} of the other's"
            );
        }
        assert!(bench.is_quiet());
        bench.endpoint.shutdown().await;
    }
}

#[tokio::test]
async fn a_call_whose_dialog_panics_ends_for_its_host() {
    let mut bench = Bench::start(|_| {}).await;
    let caller = Caller::towards(HERE).await.unwrap();
    let outgoing = Outgoing::recording(&bench.uri(), agent(), customer());
    let mut call = caller.call(&outgoing).await.unwrap();
    let (id, _) = bench.begun().await;
    bench.host.panics.store(true, Ordering::Relaxed);
    // Its first audio is something that happens. Nobody answers the caller any more.
    let _ = call.play(&[tone(500.0, 100), tone(900.0, 100)]).await;
    assert_eq!(bench.ended().await, (id, EndReason::Timeout));
    assert_eq!(bench.endpoint.counters().dialogs, 0, "or no calls are taken one day");
}

#[tokio::test]
async fn options_say_what_we_can_do() {
    let bench = Bench::start(|_| {}).await;
    for mut raw in [Raw::udp(bench.udp()).await, Raw::tcp(bench.tcp()).await] {
        let talk = Talk::new(&raw, bench.udp(), "o");
        let answer = raw.ask(talk.text("OPTIONS", 1, "", "")).await;
        assert_eq!(answer.status_code.code(), 200);
        assert_eq!(
            answer.header_value("Accept").as_deref(),
            Some("multipart/mixed, application/sdp, application/rs-metadata+xml")
        );
        assert!(answer.header_value("Supported").unwrap().contains("siprec"));
        assert!(answer.header_value("Allow").unwrap().contains("UPDATE"));
        assert!(answer.to_header().unwrap().tag().unwrap().is_some());
    }
    let counters = bench.endpoint.counters();
    assert_eq!(
        (counters.messages, counters.peers["127.0.0.1"].messages, counters.user_agents["hand"]),
        (2, 2, 2)
    );
}

#[tokio::test]
async fn what_is_not_for_us_is_refused_by_the_book() {
    let bench = Bench::start(|_| {}).await;
    for mut raw in [Raw::udp(bench.udp()).await, Raw::tcp(bench.tcp()).await] {
        let mut talk = Talk::new(&raw, bench.udp(), "m");
        for (method, status) in [
            ("BREW", 501),
            ("REGISTER", 405),
            ("REFER", 403),
            ("NOTIFY", 481),
            ("BYE", 481),
            ("UPDATE", 481),
            ("PRACK", 481),
        ] {
            let answer = raw.ask(talk.next(method, "", "")).await;
            assert_eq!(answer.status_code.code(), status, "{method}");
            assert_eq!(answer.header_value("Allow").is_some(), matches!(status, 405 | 501), "{method}");
        }
        talk.tag = "nobody".into();
        for method in ["INVITE", "BYE", "INFO", "OPTIONS"] {
            assert_eq!(raw.status(talk.next(method, "", "")).await, 481, "{method}");
        }
        talk.tag.clear();
        // A CANCEL of nothing.
        assert_eq!(raw.status(talk.on_branch_of_invite("CANCEL")).await, 481);
        talk.headers = "Require: telepathy\r\n".into();
        let answer = raw.ask(talk.next("OPTIONS", "", "")).await;
        assert_eq!(answer.status_code.code(), 420);
        assert_eq!(answer.header_value("Unsupported").as_deref(), Some("telepathy"));
    }
    // The stack answers the CANCELs.
    assert_eq!(bench.endpoint.counters().refused[&481], 16);
}

#[tokio::test]
async fn only_allowed_peers_are_served() {
    let bench = Bench::start(|config| config.allowed_peers = vec!["10.0.0.0/8".parse().unwrap()]).await;
    let mut raw = Raw::udp(bench.udp()).await;
    let talk = Talk::new(&raw, bench.udp(), "a");
    assert_eq!(raw.status(talk.invite(&offer(&[("1", "sendonly")]))).await, 403);
    assert_eq!(raw.status(talk.text("OPTIONS", 1, "", "")).await, 403);
    // A connection would take a place from those who are allowed.
    let mut raw = Raw::tcp(bench.tcp()).await;
    assert!(raw.receive_within(Duration::from_secs(10)).await.is_none(), "the connection is closed");
}

#[tokio::test]
async fn one_call_too_many_is_told_to_come_again() {
    let mut bench = Bench::start(|config| config.max_calls = 1).await;
    let mut raw = Raw::udp(bench.udp()).await;
    let mut first = Talk::new(&raw, bench.udp(), "one");
    first.establish(&mut raw, &offer(&[("1", "sendonly")])).await;
    bench.begun().await;
    let mut second = Talk::new(&raw, bench.udp(), "two");
    let answer = raw.ask(second.invite(&offer(&[("1", "sendonly")]))).await;
    assert_eq!((answer.status_code.code(), answer.header_value("Retry-After").is_some()), (503, true));
    raw.send(second.on_branch_of_invite("ACK")).await;
    assert_eq!(raw.status(first.next("BYE", "", "")).await, 200);
    assert_eq!(bench.ended().await.1, EndReason::Hangup);
    second.sequence = 2;
    second.establish(&mut raw, &offer(&[("1", "sendonly")])).await;
    bench.begun().await;
}

#[tokio::test]
async fn a_host_that_refuses_is_obeyed() {
    let mut bench = Bench::start(|_| {}).await;
    let mut raw = Raw::udp(bench.udp()).await;
    for (n, (refusal, status)) in
        [(Refusal::Busy, 503), (Refusal::Forbidden, 403), (Refusal::Unavailable, 480)].into_iter().enumerate()
    {
        *bench.host.refusal.lock().unwrap() = Some(refusal);
        let talk = Talk::new(&raw, bench.udp(), &format!("r{n}"));
        let answer = raw.ask(talk.invite(&offer(&[("1", "sendonly")]))).await;
        assert_eq!(answer.status_code.code(), status);
        assert_eq!(answer.header_value("Retry-After").is_some(), status == 503);
        raw.send(talk.on_branch_of_invite("ACK")).await;
    }
    assert!(bench.is_quiet());
}

#[tokio::test]
async fn an_invite_that_comes_again_is_one_call_and_one_that_took_two_ways_is_refused() {
    let mut bench = Bench::start(|_| {}).await;
    let mut raw = Raw::udp(bench.udp()).await;
    let gate = bench.host.clone();
    let held = gate.gate.lock().await;
    let mut talk = Talk::new(&raw, bench.udp(), "again");
    let invite = talk.invite(&offer(&[("1", "sendonly")]));
    for _ in 0..3 {
        raw.send(&invite).await;
        assert!(matches!(raw.receive().await, SipMessage::Response(r) if r.status_code.code() == 100));
    }
    assert_eq!(raw.status(invite.replace("z9hG4bKagain", "z9hG4bKother")).await, 482);
    drop(held);
    let answer = raw.response().await;
    assert_eq!(answer.status_code.code(), 200);
    talk.answered(&answer);
    raw.send(talk.ack("")).await;
    raw.send(&invite).await;
    raw.send(talk.ack("")).await;
    bench.begun().await;
    assert_eq!(raw.status(talk.next("BYE", "", "")).await, 200);
    bench.ended().await;
    assert!(bench.is_quiet());
}

#[tokio::test]
async fn a_2xx_is_repeated_until_its_ack_and_given_up_without() {
    let mut bench = Bench::start(|config| config.t1_ms = 10).await;
    for mut raw in [Raw::udp(bench.udp()).await, Raw::tcp(bench.tcp()).await] {
        let mut talk = Talk::new(&raw, bench.udp(), &format!("noack{}", raw.local.port()));
        let answer = raw.ask(talk.invite(&offer(&[("1", "sendonly")]))).await;
        talk.answered(&answer);
        let again = raw.response().await;
        assert_eq!(again.to_string(), answer.to_string());
        let bye = raw.request().await;
        assert_eq!(bye.method.to_string(), "BYE");
        assert_eq!(bye.to_header().unwrap().tag().unwrap().unwrap().value(), "caller");
        raw.accept(&bye).await;
        assert_eq!(bench.ended().await.1, EndReason::Timeout);
        assert_eq!(raw.status(talk.next("INFO", "", "")).await, 481);
    }
}

#[tokio::test]
async fn a_reinvite_waits_for_the_ack_of_the_one_before() {
    let mut bench = Bench::start(|_| {}).await;
    let mut raw = Raw::udp(bench.udp()).await;
    let sdp = offer(&[("1", "sendonly")]);
    let mut talk = Talk::new(&raw, bench.udp(), "pending");
    let answer = raw.ask(talk.invite(&sdp)).await;
    talk.answered(&answer);
    let first_ack = talk.ack("");
    assert_eq!(raw.status(talk.reinvite(&sdp)).await, 491);
    raw.send(talk.on_branch_of_invite("ACK")).await;
    // The ACK of the first comes late, and is not taken for another's.
    raw.send(first_ack).await;
    let answer = raw.ask(talk.reinvite(&sdp)).await;
    assert_eq!(answer.status_code.code(), 200);
    raw.send(talk.ack("")).await;
    assert_eq!(raw.status(talk.next("BYE", "", "")).await, 200);
    assert_eq!(bench.ended().await.1, EndReason::Hangup);
}

#[tokio::test]
async fn a_call_cancelled_before_it_is_answered_leaves_nothing() {
    let mut bench = Bench::start(|_| {}).await;
    for mut raw in [Raw::udp(bench.udp()).await, Raw::tcp(bench.tcp()).await] {
        let host = bench.host.clone();
        let held = host.gate.lock().await;
        let talk = Talk::new(&raw, bench.udp(), &format!("cancel{}", raw.local.port()));
        raw.send(talk.invite(&offer(&[("1", "sendonly")]))).await;
        raw.send(talk.on_branch_of_invite("CANCEL")).await;
        let mut statuses = [raw.response().await, raw.response().await].map(|r| r.status_code.code());
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 487]);
        raw.send(talk.on_branch_of_invite("ACK")).await;
        drop(held);
        let mut next = Talk::new(&raw, bench.udp(), &format!("after{}", raw.local.port()));
        next.establish(&mut raw, &offer(&[("1", "sendonly")])).await;
        bench.begun().await;
        raw.status(next.next("BYE", "", "")).await;
        bench.ended().await;
    }
}

#[tokio::test]
async fn streams_are_paused_go_on_come_and_go() {
    let mut bench = Bench::start(|_| {}).await;
    let mut raw = Raw::udp(bench.udp()).await;
    let mut talk = Talk::new(&raw, bench.udp(), "hold");
    talk.headers = "Require: siprec\r\n".into();
    let answer =
        talk.establish(&mut raw, &offer(&[("a", "sendonly"), ("b", "sendonly"), ("c", "sendonly")])).await;
    bench.begun().await;
    let first = Session::parse(&answer.body).unwrap();
    let ports: Vec<_> = first.media.iter().map(|m| (m.port != 0, m.label.clone())).collect();
    assert_eq!(ports, [(true, Some("a".into())), (true, Some("b".into())), (false, None)]);
    assert!(answer.header_value("Contact").unwrap().contains("+sip.srs"));

    let mut again = async |streams: &[(&str, &str)], talk: &mut Talk| {
        let answer = raw.ask(talk.reinvite(&offer(streams))).await;
        assert_eq!(answer.status_code.code(), 200, "{answer}");
        raw.send(talk.ack("")).await;
        Session::parse(&answer.body).unwrap()
    };
    let off = ("c", "");
    let answer = again(&[("a", "inactive"), ("b", "inactive"), off], &mut talk).await;
    assert!(matches!(bench.noted().await, Note::Paused(None)));
    assert_eq!(answer.media[0].direction, Direction::Inactive);
    assert_eq!(answer.media[0].port, first.media[0].port);
    assert_eq!(answer.origin.version, first.origin.version + 1);
    again(&[("a", "sendonly"), ("b", "sendonly"), off], &mut talk).await;
    assert!(matches!(bench.noted().await, Note::Resumed(None)));
    again(&[("a", "sendonly"), ("b", "inactive"), off], &mut talk).await;
    assert!(matches!(bench.noted().await, Note::Paused(Some(Party::Customer))));
    again(&[("a", "sendonly"), ("b", "sendonly"), off], &mut talk).await;
    assert!(matches!(bench.noted().await, Note::Resumed(Some(Party::Customer))));
    // The first stream goes, the third comes for it.
    let answer = again(&[("a", ""), ("b", "sendonly"), ("c", "sendonly")], &mut talk).await;
    assert_eq!(answer.media.iter().map(|m| m.port != 0).collect::<Vec<_>>(), [false, true, true]);
    assert!(matches!(bench.noted().await, Note::LegEnded { party: Party::Agent, .. }));
    assert!(
        matches!(bench.told().await, Told::Joined(_, leg) if leg.party == Party::Agent && leg.label.as_deref() == Some("c"))
    );
    // Nothing that can be used, and fewer sections: refused, and the call goes on as it was.
    assert_eq!(raw.status(talk.reinvite("v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 1 RTP/AVP 18\r\n")).await, 488);
    raw.send(talk.on_branch_of_invite("ACK")).await;
    assert_eq!(raw.status(talk.reinvite(&offer(&[("a", "sendonly")]))).await, 488);
    raw.send(talk.on_branch_of_invite("ACK")).await;
    assert_eq!(raw.status(talk.next("BYE", "", "")).await, 200);
    assert_eq!(bench.ended().await.1, EndReason::Hangup);
}

#[tokio::test]
async fn metadata_comes_later_and_in_pieces() {
    let mut bench = Bench::start(|_| {}).await;
    let mut raw = Raw::tcp(bench.tcp()).await;
    let mut talk = Talk::new(&raw, bench.tcp(), "meta");
    talk.headers = "Require: siprec\r\n".into();
    talk.establish(&mut raw, &offer(&[("1", "sendonly"), ("2", "sendonly")])).await;
    let (_, new) = bench.begun().await;
    assert_eq!(new.participants, []);
    let whole = "<recording><datamode>complete</datamode><participant participant_id='p'><nameID aor='sip:1@x'/></participant>\
        <stream stream_id='s'><label>2</label></stream>\
        <participantstreamassoc participant_id='p'><send>s</send></participantstreamassoc></recording>";
    let kind = "application/rs-metadata+xml";
    assert_eq!(raw.status(talk.next("UPDATE", kind, whole)).await, 200);
    let Note::ParticipantsChanged(people) = bench.noted().await else { panic!("people") };
    assert_eq!(
        people.iter().map(|p| (p.party, p.aor.as_deref())).collect::<Vec<_>>(),
        [(Party::Customer, Some("sip:1@x"))]
    );
    let more = "<recording><datamode>partial</datamode><participant participant_id='p'><nameID aor='sip:1@x'><name>Ann</name></nameID></participant></recording>";
    assert_eq!(raw.status(talk.next("INFO", kind, more)).await, 200);
    let Note::ParticipantsChanged(people) = bench.noted().await else { panic!("people") };
    assert_eq!(people[0].name.as_deref(), Some("Ann"));
    let pause = "<recording><datamode>partial</datamode><pause>true</pause></recording>";
    assert_eq!(raw.status(talk.next("INFO", kind, pause)).await, 200);
    assert!(matches!(bench.noted().await, Note::Paused(None)));
    assert_eq!(raw.status(talk.next("INFO", kind, &pause.replace("true", "false"))).await, 200);
    assert!(matches!(bench.noted().await, Note::Resumed(None)));
    for (body, status) in [("<recording>", 400), ("<!DOCTYPE x><recording/>", 400)] {
        assert_eq!(raw.status(talk.next("UPDATE", kind, body)).await, status);
    }
    assert_eq!(raw.status(talk.next("BYE", "", "")).await, 200);
}

#[tokio::test]
async fn an_employee_who_was_taken_for_the_customer_is_told_of_when_metadata_says_so_later() {
    let rules = r#"[{"agent_aor":"sip:1???@*"}]"#;
    let mut bench = Bench::start(|config| config.party_rules = serde_json::from_str(rules).unwrap()).await;
    let mut raw = Raw::tcp(bench.tcp()).await;
    let mut talk = Talk::new(&raw, bench.tcp(), "late");
    talk.headers = "Require: siprec\r\n".into();
    talk.establish(&mut raw, &offer(&[("1", "sendonly"), ("2", "sendonly")])).await;
    let (_, new) = bench.begun().await;
    assert_eq!(new.legs.iter().map(|leg| leg.party).collect::<Vec<_>>(), [Party::Agent, Party::Customer]);
    let is = |aor: &str| {
        format!(
            "<recording><datamode>complete</datamode><participant participant_id='p'><nameID aor='{aor}'/></participant>\
             <stream stream_id='s'><label>2</label></stream>\
             <participantstreamassoc participant_id='p'><send>s</send></participantstreamassoc></recording>"
        )
    };
    let kind = "application/rs-metadata+xml";
    for (aor, is_employee) in [("sip:+441@x", false), ("sip:1002@x", true), ("sip:1003@x", false)] {
        assert_eq!(raw.status(talk.next("UPDATE", kind, &is(aor))).await, 200);
        assert!(matches!(bench.noted().await, Note::ParticipantsChanged(_)), "{aor}");
        if is_employee {
            assert!(matches!(bench.noted().await, Note::NoCustomer), "{aor}");
        }
    }
    assert_eq!(raw.status(talk.next("INFO", "application/dtmf-relay", "Signal=7\r\nDuration=80")).await, 200);
    assert!(matches!(bench.noted().await, Note::Dtmf { .. }), "once is enough");
    assert_eq!(raw.status(talk.next("BYE", "", "")).await, 200);
}

#[tokio::test]
async fn a_header_of_any_later_request_takes_consent_back_and_metadata_does_not_give_it_again() {
    let mut bench = Bench::start(|_| {}).await;
    let mut raw = Raw::udp(bench.udp()).await;
    let mut talk = Talk::new(&raw, bench.udp(), "consent");
    talk.headers = "Require: siprec\r\nX-Sotto-Consent: yes\r\n".into();
    let streams = offer(&[("1", "sendonly"), ("2", "sendonly")]);
    talk.establish(&mut raw, &streams).await;
    assert_eq!(bench.begun().await.1.consent, Some(true));
    for (method, answer) in [("INFO", "no"), ("UPDATE", "yes"), ("INVITE", "no")] {
        talk.headers = format!("X-Sotto-Consent: {answer}\r\n");
        if method == "INVITE" {
            assert_eq!(raw.status(talk.reinvite(&streams)).await, 200);
            raw.send(talk.ack("")).await;
        } else {
            assert_eq!(raw.status(talk.next(method, "", "")).await, 200);
        }
        let note = bench.noted().await;
        assert!(matches!(note, Note::Consent(agrees) if agrees == (answer == "yes")), "{method}: {note:?}");
    }
    talk.headers.clear();
    let yes = "<recording><datamode>partial</datamode><consent>yes</consent></recording>";
    assert_eq!(raw.status(talk.next("INFO", "application/rs-metadata+xml", yes)).await, 200);
    assert_eq!(raw.status(talk.next("INFO", "application/dtmf-relay", "Signal=7\r\nDuration=80")).await, 200);
    assert!(matches!(bench.noted().await, Note::Dtmf { .. }), "what the header said stands");
    assert_eq!(raw.status(talk.next("BYE", "", "")).await, 200);
}

#[tokio::test]
async fn requests_within_a_dialog_are_each_answered() {
    let mut bench = Bench::start(|_| {}).await;
    let mut raw = Raw::udp(bench.udp()).await;
    let mut talk = Talk::new(&raw, bench.udp(), "inside");
    let answer = raw.ask(talk.invite(&offer(&[("1", "sendonly")]))).await;
    talk.answered(&answer);
    bench.begun().await;
    // Also while the ACK has not come.
    assert_eq!(raw.status(talk.next("OPTIONS", "", "")).await, 200);
    assert_eq!(raw.status(talk.next("INFO", "application/dtmf-relay", "Signal=7\r\nDuration=80")).await, 200);
    assert!(matches!(
        bench.noted().await,
        Note::Dtmf { party: Party::Agent, digit: '7', duration } if duration.0 == 80
    ));
    assert_eq!(raw.status(talk.next("UPDATE", "application/sdp", &offer(&[("1", "inactive")]))).await, 200);
    assert!(matches!(bench.noted().await, Note::Paused(Some(Party::Agent))));
    assert_eq!(raw.status(talk.next("UPDATE", "", "")).await, 200);
    assert_eq!(raw.status(talk.next("PRACK", "", "")).await, 481);
    assert_eq!(raw.status(talk.next("REFER", "", "")).await, 400);
    assert_eq!(raw.status(talk.next("MESSAGE", "text/plain", "hi")).await, 405);
    assert_eq!(raw.status(talk.next("INFO", "text/plain", "x")).await, 415);
    assert_eq!(raw.status(talk.text("INFO", 1, "", "")).await, 500);
    talk.headers = "Info-Package: x\r\n".into();
    assert_eq!(raw.status(talk.next("INFO", "", "")).await, 469);
    talk.headers = "Require: x\r\n".into();
    assert_eq!(raw.status(talk.next("UPDATE", "", "")).await, 420);
    talk.headers.clear();
    assert_eq!(raw.status(talk.next("BYE", "", "")).await, 200);
    assert_eq!(raw.status(talk.next("BYE", "", "")).await, 481);
}

#[tokio::test]
async fn a_second_agent_is_not_the_customer_though_nobody_else_is_there() {
    let mut bench = Bench::start(|_| {}).await;
    let caller = Caller::towards(HERE).await.unwrap();
    let headers = [("X-Sotto-Call", "43"), ("X-Sotto-Party", "agent")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let leg = Outgoing { headers, ..Outgoing::plain(&bench.uri(), agent()) };
    let first = caller.call(&leg).await.unwrap();
    assert_eq!(bench.begun().await.1.legs[0].party, Party::Agent);
    let second = caller.call(&leg).await.unwrap();
    assert!(matches!(bench.told().await, Told::Joined(_, leg) if leg.party == Party::Other));
    second.hang_up().await.unwrap();
    first.hang_up().await.unwrap();
}

#[tokio::test]
async fn plain_legs_find_each_other() {
    let mut bench = Bench::start(|config| config.lone_leg_s = 1).await;
    let caller = Caller::towards(HERE).await.unwrap();
    let leg = |party: &str, speaker| {
        let headers = vec![
            ("X-Sotto-Call".to_owned(), "42".to_owned()),
            ("X-Sotto-Party".to_owned(), party.to_owned()),
        ];
        Outgoing { headers, ..Outgoing::plain(&bench.uri(), speaker) }
    };
    let (customer_leg, agent_leg) = (leg("customer", customer()), leg("agent", agent()));
    let mut first = caller.call(&customer_leg).await.unwrap();
    let (id, new) = bench.begun().await;
    assert_eq!(
        (new.source, new.external_id.as_str(), new.legs[0].party),
        (Source::Sip, "42", Party::Customer)
    );
    assert_eq!(new.participants[0].aor.as_deref(), Some("sip:+441@sbc.example"));
    let mut second = caller.call(&agent_leg).await.unwrap();
    assert!(
        matches!(bench.told().await, Told::Joined(joined, leg) if joined == id && leg.party == Party::Agent)
    );
    assert!(matches!(bench.noted().await, Note::ParticipantsChanged(people) if people.len() == 2));
    assert!(matches!(caller.call(&agent_leg).await, Err(error) if error.to_string().contains("486")));
    let (a, b) = ([tone(500.0, 300)], [tone(900.0, 300)]);
    let (a, b) = tokio::join!(first.play(&a), second.play(&b));
    assert!(a.unwrap() && b.unwrap());
    // The agent goes; another comes for them in time, goes as well, and then the customer is alone for too long.
    for _ in 0..2 {
        second.hang_up().await.unwrap();
        loop {
            if let Told::Noted(_, Note::LegEnded { party, .. }) = bench.told().await {
                assert_eq!(party, Party::Agent);
                break;
            }
        }
        second = caller.call(&agent_leg).await.unwrap();
        assert!(matches!(bench.told().await, Told::Joined(joined, _) if joined == id));
        assert!(matches!(bench.noted().await, Note::ParticipantsChanged(_)));
    }
    second.hang_up().await.unwrap();
    first.ended().await;
    assert_eq!(bench.ended().await, (id, EndReason::Hangup));
    // The name is free again.
    let third = caller.call(&customer_leg).await.unwrap();
    assert_ne!(bench.begun().await.0, id);
    third.hang_up().await.unwrap();
    bench.ended().await;
}

#[tokio::test]
async fn legs_that_come_at_the_same_time_are_one_call() {
    let mut bench = Bench::start(|_| {}).await;
    let mut raw = Raw::udp(bench.udp()).await;
    let host = bench.host.clone();
    let held = host.gate.lock().await;
    for name in ["x", "y"] {
        let mut talk = Talk::new(&raw, bench.udp(), name);
        talk.headers = "X-Sotto-Call: 7\r\n".into();
        raw.send(talk.invite(&offer(&[("", "sendrecv")]))).await;
    }
    drop(held);
    assert_eq!([raw.response().await, raw.response().await].map(|r| r.status_code.code()), [200, 200]);
    let (id, new) = bench.begun().await;
    assert_eq!(new.legs[0].party, Party::Agent);
    assert!(
        matches!(bench.told().await, Told::Joined(joined, leg) if joined == id && leg.party == Party::Customer)
    );
}

#[tokio::test]
async fn a_plain_leg_is_held_by_its_music() {
    let mut bench = Bench::start(|_| {}).await;
    let mut raw = Raw::udp(bench.udp()).await;
    let mut talk = Talk::new(&raw, bench.udp(), "moh");
    talk.establish(&mut raw, &offer(&[("", "sendrecv")])).await;
    bench.begun().await;
    for (direction, is_paused) in
        [("sendonly", true), ("sendrecv", false), ("inactive", true), ("sendrecv", false)]
    {
        assert_eq!(raw.status(talk.reinvite(&offer(&[("", direction)]))).await, 200);
        raw.send(talk.ack("")).await;
        match bench.noted().await {
            Note::Paused(Some(Party::Agent)) => assert!(is_paused, "{direction}"),
            Note::Resumed(Some(Party::Agent)) => assert!(!is_paused, "{direction}"),
            other => panic!("{direction}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_plain_leg_that_receives_nowhere_is_held_too() {
    let mut bench = Bench::start(|_| {}).await;
    let mut raw = Raw::udp(bench.udp()).await;
    let mut talk = Talk::new(&raw, bench.udp(), "nowhere");
    let here = offer(&[("", "sendrecv")]);
    talk.establish(&mut raw, &here).await;
    bench.begun().await;
    let nowhere = here.replace("c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0");
    for (description, is_paused) in [(&nowhere, true), (&here, false)] {
        assert_eq!(raw.status(talk.reinvite(description)).await, 200);
        raw.send(talk.ack("")).await;
        match bench.noted().await {
            Note::Paused(Some(Party::Agent)) => assert!(is_paused),
            Note::Resumed(Some(Party::Agent)) => assert!(!is_paused),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_call_to_a_number_of_ours_rings_talks_and_ends_when_the_host_says_so() {
    let mut bench = Bench::start(|_| {}).await;
    bench.host.numbers.lock().unwrap().push("sotto".into());
    let mut raw = Raw::udp(bench.udp()).await;
    let mut talk = Talk::new(&raw, bench.udp(), "desk");
    let ears = tokio::net::UdpSocket::bind((HERE, 0)).await.unwrap();
    let offer = offer(&[("", "sendrecv")]).replace("9000", &ears.local_addr().unwrap().port().to_string());
    raw.send(talk.invite(&offer)).await;
    let ringing = loop {
        let SipMessage::Response(response) = raw.receive().await else { panic!("a request") };
        if response.status_code.code() == 180 {
            break response;
        }
    };
    assert!(ringing.to_header().unwrap().tag().unwrap().is_some() && !ringing.contact_headers().is_empty());
    let answer = raw.response().await;
    assert_eq!(answer.status_code.code(), 200);
    assert_eq!(Session::parse(&answer.body).unwrap().media[0].direction, Direction::SendRecv);
    talk.answered(&answer);
    raw.send(talk.ack("")).await;
    let (id, call) = bench.begun().await;
    assert_eq!((call.called.as_deref(), call.legs[0].party), (Some("sotto"), Party::Customer));

    let mut packet = [0; 1_500];
    let heard = tokio::time::timeout(Duration::from_secs(5), ears.recv_from(&mut packet)).await;
    assert_eq!(heard.unwrap().unwrap().0, 12 + 160);
    assert_eq!(packet[1] & 0x7f, 0);

    bench.host.over.lock().unwrap().cancel();
    let bye = raw.request().await;
    assert_eq!(bye.method.to_string(), "BYE");
    raw.accept(&bye).await;
    assert_eq!(bench.ended().await, (id, EndReason::Hangup));
}

#[tokio::test]
async fn an_agent_who_calls_a_number_of_ours_is_no_customer() {
    for (pattern, is_employee) in [("sip:1???@*", true), ("sip:2???@*", false)] {
        let rules = format!(r#"[{{"agent_aor":"{pattern}"}}]"#);
        let mut bench =
            Bench::start(|config| config.party_rules = serde_json::from_str(&rules).unwrap()).await;
        bench.host.numbers.lock().unwrap().push("sotto".into());
        let mut raw = Raw::udp(bench.udp()).await;
        let mut talk = Talk::new(&raw, bench.udp(), "colleague");
        raw.send(talk.invite(&offer(&[("", "sendrecv")]))).await;
        let answer = loop {
            let SipMessage::Response(response) = raw.receive().await else { panic!("a request") };
            if response.status_code.code() == 200 {
                break response;
            }
        };
        talk.answered(&answer);
        raw.send(talk.ack("")).await;
        bench.begun().await;
        assert_eq!(
            raw.status(talk.next("INFO", "application/dtmf-relay", "Signal=7\r\nDuration=80")).await,
            200
        );
        if is_employee {
            assert!(matches!(bench.noted().await, Note::NoCustomer));
        }
        assert!(matches!(bench.noted().await, Note::Dtmf { .. }));
        assert_eq!(raw.status(talk.next("BYE", "", "")).await, 200);
    }
}

#[tokio::test]
async fn a_call_for_an_agent_who_is_not_there_is_not_answered() {
    let mut bench = Bench::start(|_| {}).await;
    bench.host.absent.lock().unwrap().push("mina".into());
    let mut raw = Raw::udp(bench.udp()).await;
    let mut calls = 0;
    // By the header, or the Request-URI (the user `sotto` stands in every request of a `Talk`).
    let mut invite = async |numbers: &[&str], user: &str, headers: &str| {
        *bench.host.numbers.lock().unwrap() = numbers.iter().map(|number| (*number).to_owned()).collect();
        calls += 1;
        let mut talk = Talk::new(&raw, bench.udp(), &format!("absent{calls}"));
        talk.headers = headers.to_owned();
        let invite = talk.invite(&offer(&[("", "sendrecv")]));
        let answer = raw.ask(invite.replacen("sip:sotto@", &format!("sip:{user}@"), 1)).await;
        let status = answer.status_code.code();
        if status != 200 {
            raw.send(talk.on_branch_of_invite("ACK")).await;
            return Err(status);
        }
        talk.answered(&answer);
        raw.send(talk.ack("")).await;
        let called = bench.begun().await.1.called;
        assert_eq!(raw.status(talk.next("BYE", "", "")).await, 200);
        bench.ended().await;
        Ok(called)
    };
    let ours = |number: &str| Ok(Some(number.to_owned()));
    let for_mina = "X-Sotto-Agent: mina\r\n";
    // Whom the header names comes first, then the number.
    assert_eq!(invite(&["mina", "100"], "100", for_mina).await, ours("mina"));
    assert_eq!(invite(&["100"], "100", for_mina).await, ours("100"));
    assert_eq!(invite(&["*"], "555", for_mina).await, ours("555"));
    assert_eq!(invite(&["100"], "555", for_mina).await, Err(480));
    assert_eq!(invite(&["100"], "555", "X-Sotto-Agent: nobody\r\n").await, Err(480));
    assert_eq!(invite(&["100"], "mina", "").await, Err(480));
    // What is only to be listened to is, whomever it names.
    assert_eq!(invite(&["100"], "555", "").await, Ok(None));
    assert_eq!(invite(&["100"], "mina", "X-Sotto-Party: agent\r\n").await, Ok(None));
    let leg = "X-Sotto-Call: 42\r\nX-Sotto-Agent: mina\r\n";
    assert_eq!(invite(&["mina", "100"], "100", leg).await, Ok(None));
}

/// An answer of a trunk's, which has a tag and a contact of its own.
async fn answer(raw: &mut Raw, request: &Request, status: &str, body: &str) {
    raw.answer(request, "trunk", status, body).await;
}

#[tokio::test]
async fn a_call_of_ours_gives_its_password_talks_and_ends() {
    let mut bench = Bench::start(|_| {}).await;
    let mut raw = Raw::udp(bench.udp()).await;
    let trunk = Trunk {
        host: raw.local.to_string(),
        user: "1001".into(),
        password: "secret".into(),
        ..Trunk::default()
    };
    let started = bench.host.places();
    let id = started.id;
    let rings = std::sync::atomic::AtomicUsize::new(0);
    let dialled = bench.endpoint.dial(&trunk, "+98 912-000", started, Party::Customer, |_| {
        rings.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    });
    let trunk_side = async {
        let invite = raw.request().await;
        assert_eq!((invite.method.to_string(), invite.uri.user()), ("INVITE".into(), Some("+98912000")));
        assert_eq!(Session::parse(&invite.body).unwrap().media[0].direction, Direction::SendRecv);
        let challenge = "401 Unauthorized\r\n\
            WWW-Authenticate: Digest realm=\"pbx\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"";
        answer(&mut raw, &invite, challenge, "").await;
        assert_eq!(raw.request().await.method.to_string(), "ACK");
        let invite = raw.request().await;
        let given = invite.header_value("Authorization").unwrap();
        assert!(given.contains("username=\"1001\"") && given.contains("nonce=\"n1\""), "{given}");
        assert!(!given.contains("secret") && given.contains("nc=00000001"), "{given}");
        assert_eq!(invite.header_value("CSeq").as_deref(), Some("2 INVITE"));
        answer(&mut raw, &invite, "180 Ringing", "").await;
        answer(&mut raw, &invite, "200 OK", &offer(&[("", "sendrecv")])).await;
        assert_eq!(raw.request().await.method.to_string(), "ACK");
    };
    let (dialled, ()) = tokio::join!(dialled, trunk_side);
    assert_eq!(dialled, Ok(()));
    assert_eq!(rings.into_inner(), 1);
    bench.host.over.lock().unwrap().cancel();
    let bye = raw.request().await;
    assert_eq!(bye.method.to_string(), "BYE");
    assert!(bye.to_header().unwrap().value().contains("tag=trunk"));
    raw.accept(&bye).await;
    assert_eq!(bench.ended().await, (id, EndReason::Hangup));
}

#[tokio::test]
async fn a_call_of_ours_that_is_given_up_is_taken_back() {
    let bench = Bench::start(|_| {}).await;
    let mut raw = Raw::udp(bench.udp()).await;
    let trunk = Trunk { host: raw.local.to_string(), user: "1001".into(), ..Trunk::default() };
    let given_up = CancellationToken::new();
    let dialled = bench.endpoint.dial(&trunk, "200", bench.host.places(), Party::Customer, |_| {
        given_up.cancel();
    });
    let (dialled, ()) = tokio::join!(given_up.run_until_cancelled(dialled), async {
        let invite = raw.request().await;
        answer(&mut raw, &invite, "180 Ringing", "").await;
        let cancel = raw.request().await;
        assert_eq!(cancel.method.to_string(), "CANCEL");
        assert_eq!(cancel.header_value("Via"), invite.header_value("Via"));
        raw.accept(&cancel).await;
        answer(&mut raw, &invite, "487 Request Terminated", "").await;
        assert_eq!(raw.request().await.method.to_string(), "ACK");
    });
    assert_eq!(dialled, None);
}

#[tokio::test]
async fn a_call_of_ours_that_is_refused_says_why() {
    let bench = Bench::start(|_| {}).await;
    let mut raw = Raw::udp(bench.udp()).await;
    let trunk = Trunk { host: raw.local.to_string(), user: "1001".into(), ..Trunk::default() };
    let dialled = bench.endpoint.dial(&trunk, "200", bench.host.places(), Party::Customer, |_| {});
    let (dialled, ()) = tokio::join!(dialled, async {
        let invite = raw.request().await;
        answer(&mut raw, &invite, "486 Busy Here", "").await;
        assert_eq!(raw.request().await.method.to_string(), "ACK");
    });
    assert!(matches!(dialled, Err(DialError::Refused { status: 486, .. })), "{dialled:?}");
    let nobody = Trunk { host: String::new(), ..trunk.clone() };
    for (trunk, number) in [(&nobody, "200"), (&trunk, "not a number!")] {
        let started = bench.host.places();
        assert!(bench.endpoint.dial(trunk, number, started, Party::Customer, |_| {}).await.is_err());
    }
}

#[tokio::test]
async fn who_declines_says_so() {
    let bench = Bench::start(|_| {}).await;
    bench.host.numbers.lock().unwrap().push("sotto".into());
    let mut raw = Raw::udp(bench.udp()).await;
    *bench.host.refusal.lock().unwrap() = Some(Refusal::Declined);
    let talk = Talk::new(&raw, bench.udp(), "declined");
    assert_eq!(raw.status(talk.invite(&offer(&[("", "sendrecv")]))).await, 603);
    raw.send(talk.on_branch_of_invite("ACK")).await;
}

#[tokio::test]
async fn an_invite_without_a_description_is_answered_with_our_offer() {
    let mut bench = Bench::start(|_| {}).await;
    let mut raw = Raw::udp(bench.udp()).await;
    let mut talk = Talk::new(&raw, bench.udp(), "late");
    let answer = raw.ask(talk.text("INVITE", 1, "", "")).await;
    talk.answered(&answer);
    let ours = Session::parse(&answer.body).unwrap();
    assert_eq!((ours.media.len(), ours.media[0].direction), (1, Direction::RecvOnly));
    let (id, _) = bench.begun().await;
    raw.send(talk.ack("v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 9000 RTP/AVP 8\r\na=sendonly\r\n")).await;
    let ports = Ports::new(HERE, 39_000..=39_099);
    let to = (HERE, ours.media[0].port).into();
    let mut sender =
        RtpSender::new(ports.reserve().await.unwrap(), to, SenderConfig::new(Codec::Pcma), None).unwrap();
    sender.play(&tone(500.0, 300)).await.unwrap();
    assert!(matches!(bench.noted().await, Note::LegStarted { party: Party::Agent, codec: "PCMA" }));
    assert_eq!(raw.status(talk.next("BYE", "", "")).await, 200);
    assert_eq!(bench.ended().await.0, id);
    assert!(bench.host.heard(id, Party::Agent).iter().any(|x| x.abs() > 0.3));
}

#[tokio::test]
async fn keys_pressed_in_rtp_are_told() {
    let mut bench = Bench::start(|_| {}).await;
    let caller = Caller::towards(HERE).await.unwrap();
    let mut call = caller.call(&Outgoing::recording(&bench.uri(), agent(), customer())).await.unwrap();
    bench.begun().await;
    let sender = call.sender(1).unwrap();
    sender.press('5', Duration::from_millis(100)).await.unwrap();
    loop {
        match bench.noted().await {
            Note::Dtmf { party: Party::Customer, digit: '5', .. } => break,
            Note::LegStarted { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    call.hang_up().await.unwrap();
}

#[tokio::test]
async fn a_call_without_audio_is_ended() {
    let mut bench = Bench::start(|config| config.rtp_timeout_s = 1).await;
    let caller = Caller::towards(HERE).await.unwrap();
    let mut call = caller.call(&Outgoing::recording(&bench.uri(), agent(), customer())).await.unwrap();
    bench.begun().await;
    // One party that speaks keeps the call, longer than the other's time is.
    let _ = call.play(&[tone(500.0, 1_500), Vec::new()]).await.unwrap();
    call.ended().await;
    assert_eq!(bench.ended().await.1, EndReason::Timeout);
}

#[tokio::test]
async fn a_session_timer_is_agreed_to_and_kept() {
    let mut bench = Bench::start(|config| config.min_se_s = 1).await;
    let mut raw = Raw::udp(bench.udp()).await;
    let mut talk = Talk::new(&raw, bench.udp(), "timer");
    talk.headers = "Session-Expires: 2\r\nSupported: timer\r\nAllow: UPDATE\r\n".into();
    let answer = talk.establish(&mut raw, &offer(&[("1", "sendonly")])).await;
    assert_eq!(answer.header_value("Session-Expires").as_deref(), Some("2;refresher=uac"));
    assert_eq!(answer.header_value("Require").as_deref(), Some("timer"));
    assert_eq!(raw.status(talk.next("UPDATE", "", "")).await, 200);
    let bye = raw.request().await;
    assert_eq!(bye.method.to_string(), "BYE");
    raw.accept(&bye).await;
    assert_eq!(bench.ended().await.1, EndReason::Timeout);
    // When it is ours to refresh, we do, by UPDATE or else by re-INVITE, and end when the peer knows us no more.
    for (allow, method) in [("UPDATE", "UPDATE"), ("BYE", "INVITE")] {
        let mut talk = Talk::new(&raw, bench.udp(), method);
        talk.headers = format!("Session-Expires: 2;refresher=uas\r\nSupported: timer\r\nAllow: {allow}\r\n");
        let answer = talk.establish(&mut raw, &offer(&[("1", "sendonly")])).await;
        assert_eq!(answer.header_value("Session-Expires").as_deref(), Some("2;refresher=uas"));
        for _ in 0..2 {
            let refresh = raw.request().await;
            assert_eq!(refresh.method.to_string(), method);
            assert_eq!(refresh.header_value("Session-Expires").as_deref(), Some("2;refresher=uac"));
            raw.accept(&refresh).await;
        }
        let refresh = loop {
            let request = raw.request().await;
            if request.method.to_string() == method {
                break request;
            }
        };
        raw.reply(&refresh, "481 Gone").await;
        let bye = loop {
            let request = raw.request().await;
            if request.method.to_string() == "BYE" {
                break request;
            }
        };
        raw.accept(&bye).await;
        assert_eq!(bench.ended().await.1, EndReason::Timeout);
    }
}

#[test]
fn a_peer_that_is_gone_does_not_keep_us_from_stopping() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let bench = Bench::start(|_| {}).await;
        let mut raw = Raw::udp(bench.udp()).await;
        let mut talk = Talk::new(&raw, bench.udp(), "gone");
        talk.establish(&mut raw, &offer(&[("1", "sendonly")])).await;
        drop(raw);
        bench.shut_down(async |()| {}).await;
    });
    // Some task that never yields is what a runtime cannot end.
    let patience = Duration::from_secs(20);
    let begun = std::time::Instant::now();
    runtime.shutdown_timeout(patience);
    assert!(begun.elapsed() < patience, "a task goes on for ever");
}

#[tokio::test]
async fn a_shutdown_says_goodbye_to_everyone() {
    let mut bench = Bench::start(|_| {}).await;
    let mut raw = Raw::udp(bench.udp()).await;
    let mut stream = Raw::tcp(bench.tcp()).await;
    let (mut one, mut two) = (Talk::new(&raw, bench.udp(), "one"), Talk::new(&stream, bench.tcp(), "two"));
    one.establish(&mut raw, &offer(&[("1", "sendonly")])).await;
    two.establish(&mut stream, &offer(&[("1", "sendonly")])).await;
    let ids = [bench.begun().await.0, bench.begun().await.0];
    let common::Bench { endpoint, .. } = &bench;
    assert_eq!(endpoint.counters().dialogs, 2);
    let (_, mut told) = bench
        .shut_down(async |()| {
            for raw in [&mut raw, &mut stream] {
                let bye = raw.request().await;
                assert_eq!(bye.method.to_string(), "BYE");
                raw.accept(&bye).await;
            }
        })
        .await;
    let mut ended = Vec::new();
    while let Ok(event) = told.try_recv() {
        if let Told::Ended(id, reason) = event {
            assert_eq!(reason, EndReason::Shutdown);
            ended.push(id);
        }
    }
    ended.sort();
    let mut ids = ids.to_vec();
    ids.sort();
    assert_eq!(ended, ids);
}

#[tokio::test]
async fn a_stream_that_went_away_does_not_keep_us_from_saying_goodbye() {
    let mut bench = Bench::start(|_| {}).await;
    let listener = tokio::net::TcpListener::bind((HERE, 0)).await.unwrap();
    let mut stream = Raw::tcp(bench.tcp()).await;
    let mut talk = Talk::new(&stream, bench.tcp(), "gone");
    talk.from = listener.local_addr().unwrap();
    talk.establish(&mut stream, &offer(&[("1", "sendonly")])).await;
    bench.begun().await;
    drop(stream);
    let listening = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = vec![0; 4_096];
        let length = tokio::io::AsyncReadExt::read(&mut stream, &mut buffer).await.unwrap();
        assert!(buffer[..length].starts_with(b"BYE "));
    };
    let (_, mut told) = bench.shut_down(async |()| listening.await).await;
    while !matches!(told.try_recv().unwrap(), Told::Ended(_, EndReason::Shutdown)) {}
}

#[tokio::test]
async fn streams_are_read_as_they_come() {
    let bench = Bench::start(|_| {}).await;
    let mut raw = Raw::tcp(bench.tcp()).await;
    assert_eq!(raw.send_raw_and_read(b"\r\n\r\n", 2).await, b"\r\n");
    let mut talk = Talk::new(&raw, bench.tcp(), "frag");
    let text = talk.text("OPTIONS", 1, "text/plain", "hello");
    for piece in text.as_bytes().chunks(7) {
        raw.send(piece).await;
    }
    assert_eq!(raw.response().await.status_code.code(), 200);
    let two = talk.next("OPTIONS", "", "") + "\r\n" + &talk.next("OPTIONS", "", "");
    raw.send(two).await;
    assert_eq!([raw.response().await, raw.response().await].map(|r| r.status_code.code()), [200, 200]);
    // What cannot be delimited is answered, and the stream closed.
    for (broken, status) in [
        (talk.next("OPTIONS", "", "").replace("Length: 0", "Length: 9999999"), 413),
        (talk.next("OPTIONS", "", "").replace("Length: 0", "Length: x"), 400),
        (
            talk.next("OPTIONS", "", "").replace("User-Agent: hand", &format!("X: {}", "y".repeat(40_000))),
            513,
        ),
    ] {
        let mut raw = Raw::tcp(bench.tcp()).await;
        assert_eq!(raw.status(broken).await, status);
        assert!(raw.receive_within(Duration::from_secs(5)).await.is_none(), "closed after {status}");
    }
    let counters = bench.endpoint.counters();
    assert_eq!((counters.refused[&413], counters.refused[&400], counters.refused[&513]), (1, 1, 1));
}

#[tokio::test]
async fn behind_a_translator_we_are_where_the_configuration_says() {
    let mut bench = Bench::start(|config| config.external_ip = "203.0.113.9".parse().ok()).await;
    for mut raw in [Raw::udp(bench.udp()).await, Raw::tcp(bench.tcp()).await] {
        let mut talk = Talk::new(&raw, bench.udp(), &format!("nat{}", raw.local.port()));
        let answer = talk.establish(&mut raw, &offer(&[("1", "sendonly")])).await;
        bench.begun().await;
        let port = if talk.transport == "TCP" { bench.tcp().port() } else { bench.udp().port() };
        let contact = answer.header_value("Contact").unwrap();
        assert!(contact.contains(&format!("@203.0.113.9:{port}")), "{contact}");
        let ours = Session::parse(&answer.body).unwrap();
        assert_eq!(ours.media[0].address, "203.0.113.9".parse().ok());
        assert_eq!(raw.status(talk.next("BYE", "", "")).await, 200);
    }
}

#[tokio::test]
async fn signalling_over_ipv6() {
    let mut bench = Bench::start(|config| {
        config.udp = vec!["[::1]:0".parse().unwrap()];
        config.tcp = vec!["[::1]:0".parse().unwrap()];
    })
    .await;
    for mut raw in [Raw::udp_from("[::1]:0".parse().unwrap(), bench.udp()).await, Raw::tcp(bench.tcp()).await]
    {
        let mut talk = Talk::new(&raw, bench.udp(), &format!("six{}", raw.local.port()));
        let answer = talk.establish(&mut raw, &offer(&[("1", "sendonly")])).await;
        bench.begun().await;
        assert!(answer.header_value("Contact").unwrap().contains("@[::1]:"));
        let via = answer.header_value("Via").unwrap();
        assert!(via.contains("received=::1") && via.contains("rport="), "{via}");
        assert_eq!(raw.status(talk.next("BYE", "", "")).await, 200);
    }
}

#[tokio::test]
async fn each_codec_is_agreed_to_and_heard() {
    for codec in Codec::ALL {
        let mut bench = Bench::start(|_| {}).await;
        let caller = Caller::towards(HERE).await.unwrap();
        let outgoing = Outgoing { codec, ..Outgoing::recording(&bench.uri(), agent(), customer()) };
        let mut call = caller.call(&outgoing).await.unwrap();
        let (id, new) = bench.begun().await;
        assert!(new.legs.iter().all(|leg| leg.codec == codec.name()));
        assert!(call.play(&[tone(500.0, 400), tone(500.0, 400)]).await.unwrap());
        call.hang_up().await.unwrap();
        bench.ended().await;
        let heard = bench.host.heard(id, Party::Customer);
        let loud = heard.chunks_exact(320).filter(|frame| amount(frame, 500.0) > 0.5).count();
        assert!(loud >= 15, "{codec:?}: {loud} frames of 20");
    }
}

#[tokio::test]
async fn an_agent_is_found_by_rules() {
    let rules = r#"[{"agent_header":"X-Agent"},{"agent_aor":"sip:1???@*"}]"#;
    let mut bench = Bench::start(|config| config.party_rules = serde_json::from_str(rules).unwrap()).await;
    let caller = Caller::towards(HERE).await.unwrap();
    for (headers, wanted) in [
        (vec![], [Party::Customer, Party::Agent]),
        // Then the other rule calls the second an agent as well.
        (vec![("X-Agent".to_owned(), "+441".to_owned())], [Party::Agent, Party::Other]),
    ] {
        let outgoing = Outgoing { headers, ..Outgoing::recording(&bench.uri(), customer(), agent()) };
        let call = caller.call(&outgoing).await.unwrap();
        let (_, new) = bench.begun().await;
        assert_eq!(new.legs.iter().map(|leg| leg.party).collect::<Vec<_>>(), wanted);
        call.hang_up().await.unwrap();
        bench.ended().await;
    }
}

#[tokio::test]
async fn an_agent_whom_a_header_names_is_found_among_streams_that_come_later() {
    let rules = r#"[{"agent_header":"X-Agent"}]"#;
    let mut bench = Bench::start(|config| config.party_rules = serde_json::from_str(rules).unwrap()).await;
    let mut raw = Raw::udp(bench.udp()).await;
    let mut talk = Talk::new(&raw, bench.udp(), "later");
    talk.headers = "Require: siprec\r\nX-Agent: d\r\n".into();
    talk.establish(&mut raw, &offer(&[("a", "sendonly"), ("b", "sendonly")])).await;
    bench.begun().await;
    // The INVITE has said it, and it goes on to count.
    talk.headers = "Require: siprec\r\n".into();
    let others = [("a", ""), ("b", ""), ("c", "sendonly"), ("d", "sendonly")];
    assert_eq!(raw.status(talk.reinvite(&offer(&others))).await, 200);
    raw.send(talk.ack("")).await;
    let mut joined = Vec::new();
    while joined.len() < 2 {
        if let Told::Joined(_, leg) = bench.told().await {
            joined.push((leg.label.unwrap(), leg.party));
        }
    }
    assert_eq!(joined, [("c".to_owned(), Party::Customer), ("d".to_owned(), Party::Agent)]);
}

#[tokio::test]
async fn a_peer_has_only_so_many_connections() {
    let bench = Bench::start(|_| {}).await;
    let mut streams = Vec::new();
    for n in 0..140 {
        let mut raw = Raw::tcp(bench.tcp()).await;
        let options = Talk::new(&raw, bench.tcp(), &format!("many{n}")).text("OPTIONS", 1, "", "");
        raw.send(options).await;
        let answered = raw.receive_within(Duration::from_secs(10)).await.is_some();
        assert_eq!(answered, n < 128, "connection {n}");
        streams.push(raw);
    }
    let counters = bench.endpoint.counters();
    assert_eq!((counters.streams, counters.refused_streams), (128, 12));
}

#[tokio::test]
async fn a_peer_that_does_not_read_holds_nobody_up() {
    let bench = Bench::start(|_| {}).await;
    let mut deaf = Raw::tcp(bench.tcp()).await;
    let mut talk = Talk::new(&deaf, bench.tcp(), "deaf");
    talk.headers = format!("Subject: {}\r\n", "x".repeat(500));
    for _ in 0..20_000 {
        let sent = tokio::time::timeout(Duration::from_millis(200), deaf.send(talk.next("OPTIONS", "", "")));
        if sent.await.is_err() {
            break;
        }
    }
    for mut raw in [Raw::udp(bench.udp()).await, Raw::tcp(bench.tcp()).await] {
        let options = Talk::new(&raw, bench.udp(), "other").text("OPTIONS", 1, "", "");
        assert_eq!(raw.status(options).await, 200);
    }
}

#[tokio::test]
async fn a_peer_that_has_paused_is_asked_whether_it_is_there() {
    let mut bench = Bench::start(|config| config.rtp_timeout_s = 1).await;
    let mut raw = Raw::udp(bench.udp()).await;
    let mut talk = Talk::new(&raw, bench.udp(), "pausing");
    talk.establish(&mut raw, &offer(&[("1", "inactive")])).await;
    bench.begun().await;
    assert!(matches!(bench.noted().await, Note::Paused(Some(Party::Agent))));
    for answer in ["200 OK", "501 Not Implemented", "481 Gone"] {
        let question = raw.request().await;
        assert_eq!(question.method.to_string(), "OPTIONS");
        raw.reply(&question, answer).await;
    }
    assert_eq!(bench.ended().await.1, EndReason::Timeout);
}
