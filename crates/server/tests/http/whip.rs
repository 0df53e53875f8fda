//! WHIP and WHEP as far as HTTP goes; that audio flows is seen by a browser, end to end.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use serde_json::json;
use sotto_call::CallId;
use sotto_media::Ports;
use sotto_server::calls::{Calls, LoadTold};
use sotto_server::redaction::RedactionConfig;
use sotto_sip::{Endpoint, SipConfig};
use sotto_store::Role;

use crate::bench::{Bench, body, by, bytes, get, refused};

/// An offer of voice that goes one way, as Chromium makes it.
fn offer(direction: &str) -> String {
    let fingerprint = ["AB"; 32].join(":");
    format!(
        "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=msid-semantic: WMS\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111 0 110\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
         a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=ice-options:trickle\r\n\
         a=fingerprint:sha-256 {fingerprint}\r\na=setup:actpass\r\na=mid:0\r\na={direction}\r\na=rtcp-mux\r\n\
         a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:0 PCMU/8000\r\n\
         a=rtpmap:110 telephone-event/48000\r\n"
    )
}

fn post(path: &str, kind: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path).header(header::CONTENT_TYPE, kind).body(body.into()).unwrap()
}

fn publish(call: &str, party: &str) -> Request<Body> {
    post(&format!("/api/whip?call={call}&party={party}"), "application/sdp", offer("sendonly"))
}

fn patch(at: &str, tag: Option<&str>, fragment: &str) -> Request<Body> {
    let request = Request::patch(at).header(header::CONTENT_TYPE, "application/trickle-ice-sdpfrag");
    let request = match tag {
        Some(tag) => request.header(header::IF_MATCH, tag),
        None => request,
    };
    request.body(Body::from(fragment.to_owned())).unwrap()
}

fn delete(at: &str) -> Request<Body> {
    Request::delete(at).body(Body::empty()).unwrap()
}

fn text<'a>(response: &'a Response<Body>, name: &str) -> &'a str {
    response.headers()[name].to_str().unwrap()
}

/// From now on there are calls to join.
async fn listen_for_calls(bench: &Bench) -> Arc<Endpoint> {
    let calls = Calls::new(
        bench.hub.clone(),
        None,
        None,
        Arc::new(LoadTold::default()),
        None,
        RedactionConfig::default(),
    );
    let config =
        SipConfig { udp: vec!["127.0.0.1:0".parse().unwrap()], tcp: Vec::new(), ..SipConfig::default() };
    let ports = Ports::new("127.0.0.1".parse().unwrap(), 42_000..=42_099);
    let endpoint = Arc::new(Endpoint::start(config, ports, Arc::new(calls)).await.unwrap());
    bench.streams.join_through(endpoint.clone());
    endpoint
}

#[tokio::test]
async fn a_whip_session_begins_takes_candidates_and_ends() {
    let bench = Bench::new().await;
    let _calls = listen_for_calls(&bench).await;
    let key = bench.key(&["calls:publish"]).await;
    let response = bench.send(by(&key, publish("42", "customer"))).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(text(&response, "content-type"), "application/sdp");
    let (at, tag) = (text(&response, "location").to_owned(), text(&response, "etag").to_owned());
    assert!(at.starts_with("/api/whip/") && tag.starts_with('"'), "{at} {tag}");
    let answer = String::from_utf8(bytes(response).await).unwrap();
    assert!(answer.contains("\r\na=recvonly\r\n") && answer.contains("opus/48000/2"), "{answer}");
    assert!(answer.contains("\r\na=candidate:") && answer.ends_with("a=end-of-candidates\r\n"), "{answer}");

    // The other leg, by the same name; a third one is too many.
    let other = bench.send(by(&key, publish("42", "customer"))).await;
    assert_eq!(other.status(), StatusCode::CREATED);
    refused(bench.send(by(&key, publish("42", "agent"))).await, 409, "call_full").await;
    let call = loop {
        let call = bench.hub.summaries().pop().unwrap();
        if call.participants.len() == 2 {
            break call;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((call.external_id.as_str(), bench.hub.live()), ("42", 1));

    let fragment = "a=ice-ufrag:abcd\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n\
        a=candidate:1 1 udp 2122260223 127.0.0.1 40000 typ host\r\na=end-of-candidates\r\n";
    assert_eq!(bench.send(by(&key, patch(&at, Some(&tag), fragment))).await.status(), 204);
    refused(bench.send(by(&key, patch(&at, None, fragment))).await, 428, "precondition_required").await;
    refused(bench.send(by(&key, patch(&at, Some("\"x\""), fragment))).await, 412, "precondition_failed")
        .await;
    refused(bench.send(by(&key, patch(&at, Some("*"), fragment))).await, 422, "no_restart").await;
    let again = fragment.replace("abcd", "efgh");
    refused(bench.send(by(&key, patch(&at, Some(&tag), &again))).await, 422, "no_restart").await;
    let flood = "a=candidate:1 1 udp 2122260223 127.0.0.1 40000 typ host\r\n".repeat(200);
    refused(bench.send(by(&key, patch(&at, Some(&tag), &flood))).await, 400, "invalid").await;
    refused(bench.send(by(&key, post(&at, "text/plain", "x"))).await, 405, "method_not_allowed").await;

    // Nobody else's business.
    let stranger = bench.key(&["calls:publish"]).await;
    refused(bench.send(by(&stranger, patch(&at, Some(&tag), fragment))).await, 404, "not_found").await;
    refused(bench.send(by(&stranger, delete(&at))).await, 404, "not_found").await;

    assert_eq!(bench.send(by(&key, delete(&at))).await.status(), 200);
    refused(bench.send(by(&key, delete(&at))).await, 404, "not_found").await;
    let other = text(&other, "location").to_owned();
    assert_eq!(bench.send(by(&key, delete(&other))).await.status(), 200);
    // The call ends with its last leg.
    while bench.hub.live() > 0 {
        tokio::task::yield_now().await;
    }
    let metrics = String::from_utf8(bytes(bench.send(get("/metrics")).await).await).unwrap();
    assert!(metrics.contains("\nsotto_streams_refused_total 9\n"), "{metrics}");
    assert!(metrics.contains("\nsotto_streams{kind=\"whip\"} 0.0\n"), "{metrics}");
    let admin = bench.key(&["admin"]).await;
    let records = loop {
        let list = body(bench.send(by(&admin, get("/api/audit"))).await).await;
        let records = list["records"].as_array().unwrap().clone();
        if records.len() == 11 {
            break records;
        }
        tokio::task::yield_now().await;
    };
    let published = records.iter().filter(|record| record["what"] == "publish").count();
    assert_eq!((published, &records[0]["who"]), (2, &json!("key:test")), "{records:?}");
}

#[tokio::test]
async fn what_is_no_offer_of_voice_is_refused_and_so_are_too_many() {
    let bench = Bench::new().await;
    let _calls = listen_for_calls(&bench).await;
    let key = bench.key(&["calls:publish"]).await;
    let at = "/api/whip?call=1&party=agent";
    let sdp = "application/sdp";
    let video = offer("sendonly") + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n";
    for (request, status, code) in [
        (post(at, "application/json", offer("sendonly")), 415, "invalid_body"),
        (post(at, sdp, ""), 400, "invalid"),
        (post(at, sdp, &b"v=0\xff"[..]), 400, "invalid"),
        (post(at, sdp, "v=0\r\n"), 422, "offer"),
        (post(at, sdp, video), 422, "offer"),
        (post(at, sdp, offer("recvonly")), 422, "offer"),
        (post(at, sdp, "v=0\r\n".repeat(10_000)), 422, "offer"),
        (post(at, sdp, "v=0\r\n".repeat(100_000)), 413, "invalid_body"),
        (post("/api/whip?call=&party=agent", sdp, offer("sendonly")), 400, "invalid"),
        (post("/api/whip?party=agent", sdp, offer("sendonly")), 400, "invalid"),
        (post("/api/whip?call=1&party=nobody", sdp, offer("sendonly")), 400, "invalid"),
    ] {
        refused(bench.send(by(&key, request)).await, status, code).await;
    }
    // So many within ten seconds, whatever became of them; others go on.
    refused(bench.send(by(&key, publish("1", "agent"))).await, 429, "too_many_attempts").await;
    let other = bench.key(&["calls:publish"]).await;
    for call in ["1", "2", "3", "4"] {
        assert_eq!(bench.send(by(&other, publish(call, "agent"))).await.status(), 201);
    }
    refused(bench.send(by(&other, publish("5", "agent"))).await, 429, "too_many_attempts").await;
    assert_eq!(bench.hub.live(), 4);
}

#[tokio::test]
async fn only_who_may_brings_audio_or_listens() {
    let bench = Bench::new().await;
    bench.add_user("mina", Role::Agent).await;
    bench.add_user("sara", Role::Supervisor).await;
    refused(bench.send(publish("1", "agent")).await, 401, "unauthenticated").await;
    let reader = bench.key(&["calls:read"]).await;
    refused(bench.send(by(&reader, publish("1", "agent"))).await, 403, "forbidden").await;
    // Signalling is not there yet.
    let (mina, sara) = (bench.sign_in("mina").await, bench.sign_in("sara").await);
    refused(bench.send(by(&mina, publish("1", "agent"))).await, 503, "busy").await;

    let call = bench.begin("listened-to").id();
    let whep = |id: CallId| post(&format!("/api/calls/{id}/whep"), "application/sdp", offer("recvonly"));
    refused(bench.send(by(&mina, whep(call))).await, 403, "forbidden").await;
    refused(bench.send(by(&reader, whep(call))).await, 403, "forbidden").await;
    // It does not go through us, and the other is nobody's.
    refused(bench.send(by(&sara, whep(call))).await, 404, "not_found").await;
    let listener = bench.key(&["calls:listen"]).await;
    refused(bench.send(by(&listener, whep(CallId::new()))).await, 404, "not_found").await;
    let nowhere = format!("/api/calls/{call}/whep/{}", uuid::Uuid::now_v7());
    refused(bench.send(by(&sara, delete(&nowhere))).await, 404, "not_found").await;
    refused(bench.send(by(&sara, patch(&nowhere, Some("*"), ""))).await, 404, "not_found").await;
    // Another site's page, with the cookie that the browser adds.
    let mut foreign = by(&sara, whep(call));
    foreign.headers_mut().insert("origin", "https://elsewhere.example".parse().unwrap());
    refused(bench.send(foreign).await, 403, "forbidden").await;

    let options = Request::options("/api/whip").body(Body::empty()).unwrap();
    let options = bench.send(options).await;
    assert_eq!((options.status().as_u16(), text(&options, "accept-post")), (204, "application/sdp"));
    assert!(!options.headers().contains_key("access-control-allow-origin"));
}
