//! Whatever comes in: an answer or silence, never an end of the process, and a call in progress stays whole.

use std::net::UdpSocket;
use std::time::Duration;

use serde_json::json;
use sotto_tests::ears;
use sotto_tests::hostile;
use sotto_tests::http::{Client, exchange};
use sotto_tests::junk::{self, noise};
use sotto_tests::live::Live;
use sotto_tests::server::{ADMIN, Sotto};
use sotto_tests::sipp::Sipp;
use tungstenite::Message;

use crate::phone::{add_agent, desk};
use crate::support::{PATIENCE, assert_ordered, assert_understood, excerpt};

#[test]
fn junk_on_every_port_during_a_call() {
    let mut sotto = Sotto::start().unwrap();
    let running = Sipp::siprec(sotto.sip).call(&excerpt().1).unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();

    junk::to_every_port(&sotto).unwrap();
    running.finish().unwrap();
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    assert_understood(&events);
    assert!(sotto.is_running().unwrap());

    // And it still takes calls.
    let next = Sipp::siprec(sotto.sip).call(&excerpt().1.cut(0, 1000)).unwrap();
    next.finish().unwrap();
}

#[test]
fn what_is_malformed_is_refused_for_what_is_wrong_with_it() {
    let mut sotto = Sotto::start().unwrap();
    let answered = junk::ask(&sotto).unwrap();
    assert_eq!((answered.refused, answered.unexpected), (answered.asked, Vec::new()));
    assert_eq!(sotto.api.metric("sotto_panics_total").unwrap(), 0.0);
    assert!(sotto.is_running().unwrap());
    assert_eq!(sotto.api.calls("live").unwrap(), Vec::<serde_json::Value>::new());
}

#[test]
fn an_options_request_is_answered() {
    let sotto = Sotto::start().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let us = socket.local_addr().unwrap();
    let request = format!(
        "OPTIONS sip:{0} SIP/2.0\r\nVia: SIP/2.0/UDP {us};branch=z9hG4bK1;rport\r\nFrom: <sip:t@{us}>;tag=1\r\n\
         To: <sip:{0}>\r\nCall-ID: o1\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        sotto.sip
    );
    socket.send_to(request.as_bytes(), sotto.sip).unwrap();
    let mut answer = [0; 4096];
    let (length, _) = socket.recv_from(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
}

#[test]
fn junk_over_http_and_websockets() {
    let mut sotto = Sotto::start().unwrap();
    let patience = Duration::from_secs(20);
    for n in 0..50 {
        // Some kinds of junk look like a request that is not over; then silence is the answer.
        let _ = exchange(sotto.http, &noise(n, 500), Duration::from_millis(200));
    }
    let huge = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Huge: {}\r\n\r\n", "a".repeat(1 << 20));
    let answer = exchange(sotto.http, huge.as_bytes(), patience).unwrap_or_default();
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "a header of a megabyte is not welcome");

    let stranger = Client::new(sotto.http);
    let big = json!({"name": "a".repeat(5 << 20), "password": "b"});
    if let Ok(answer) = stranger.post("/api/session", &big) {
        assert!((400..500).contains(&answer.status), "{}", answer.status);
    }
    for body in [&b"{"[..], b"[]", b"null", b"{\"name\":1}", b"\xff\xfe"] {
        let kind = [("Content-Type", "application/json")];
        let answer = stranger.request("POST", "/api/session", &kind, body).unwrap();
        assert!((400..500).contains(&answer.status), "{}: {}", answer.status, answer.text());
    }
    for path in [
        "/api/calls/not-a-uuid",
        "/api/calls/00000000-0000-7000-8000-000000000000",
        "/api/calls/../../etc/passwd",
        "/api/calls?limit=-1",
        "/api/calls?limit=99999999999999999999",
        "/api/calls?state=strange",
        "/api/calls/00000000-0000-7000-8000-000000000000/events?from=x",
        "/%00",
    ] {
        let answer = sotto.api.client.get(path).unwrap();
        assert!(answer.status < 500, "{path}: {} {}", answer.status, answer.text());
        assert!(!answer.text().contains("root:"), "{path}");
    }

    let random = (0..20).flat_map(|n| {
        let bytes = noise(n, 30 + 90 * n as usize);
        [Message::text(String::from_utf8_lossy(&bytes).into_owned()), Message::binary(bytes)]
    });
    for message in random.chain([
        Message::text("{"),
        Message::text("x".repeat(1 << 20)),
        Message::binary(noise(1, 1 << 16)),
        Message::Ping(vec![0; 100].into()),
    ]) {
        let mut wall = Live::open(&sotto.api.client, "/api/live").unwrap();
        let _ = wall.send(message);
    }
    assert!(sotto.is_running().unwrap());
    let mut wall = Live::open(&sotto.api.client, "/api/live").unwrap();
    assert_eq!(wall.next(patience).unwrap().unwrap()["type"], "calls");
}

#[test]
fn connections_that_only_wait_take_little_memory() {
    const SOCKETS: u64 = 300;
    let sotto = Sotto::start().unwrap();
    sotto.understands(PATIENCE).unwrap();
    let open = |_: u64| {
        let mut wall = Live::open(&sotto.api.client, "/api/live").unwrap();
        assert_eq!(wall.next(PATIENCE).unwrap().unwrap()["type"], "calls");
        wall
    };
    // The first are the first time for everything.
    let _first: Vec<Live> = (0..20).map(open).collect();
    let before = hostile::memory(sotto.pid()).unwrap();
    let _more: Vec<Live> = (0..SOCKETS).map(open).collect();
    let each = hostile::memory(sotto.pid()).unwrap().saturating_sub(before) / SOCKETS;
    assert!(each < 96 << 10, "{each} bytes each");
}

#[test]
fn a_hostile_page_and_client_get_nothing_and_disturb_nobody() {
    let Some(mut sotto) = desk(&[]) else { return };
    let mallory = ("mallory", "a long enough password");
    add_agent(&sotto, mallory);
    let mut agent = ears::agent(&sotto, ADMIN).unwrap();
    let customer = ears::customer(&sotto, 120).unwrap();
    agent.accept().unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    let (before, packets) = (hostile::memory(sotto.pid()).unwrap(), agent.packets().unwrap());
    let outcome = hostile::attack(&sotto, mallory, &id).unwrap();
    assert_eq!(outcome.refused_to_page, outcome.asked_by_page, "{outcome:?}");
    assert_eq!(outcome.closed, outcome.rude, "{outcome:?}");
    assert_eq!(outcome.refused_to_client, outcome.asked_by_client, "{outcome:?}");
    let said = outcome.asked_by_page + outcome.rude;
    assert_eq!(sotto.api.metric("sotto_phone_refused_total").unwrap(), said as f64);
    assert!(sotto.api.metric("sotto_streams_refused_total").unwrap() >= outcome.asked_by_client as f64);
    // The first of an hour, and no more, on however many connections: nobody fills the database.
    assert_eq!(hostile::audited(&sotto, mallory.0).unwrap(), 40);
    let grown = hostile::memory(sotto.pid()).unwrap().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes");
    ears::both_hear(&mut agent, &customer).unwrap();
    assert!(agent.packets().unwrap().received > packets.received && sotto.is_running().unwrap());
    agent.press("x").unwrap();
    agent.wait("section.phone:not(.talking)").unwrap();
    assert_ordered(&sotto.api.ended(&id, PATIENCE).unwrap());
}
