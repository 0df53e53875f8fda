use axum::body::Body;
use axum::http::{Request, header};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bench::{Bench, by, bytes, get, post, refused};

/// Sends bytes as they are, and ends sending when the answer has begun; gives all of the answer.
async fn raw(address: std::net::SocketAddr, sent: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(sent).await;
    let mut answer = Vec::new();
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read_buf(&mut answer).await {
            Ok(0) | Err(_) => return answer,
            Ok(_) => {}
        }
    }
    let _ = stream.shutdown().await;
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

#[tokio::test]
async fn bodies_that_are_none_get_an_answer() {
    let bench = Bench::new().await;
    let send = async |content: &'static [u8], kind: &str| {
        let request = Request::post("/api/session").header(header::CONTENT_TYPE, kind);
        bench.send(request.body(Body::from(content)).unwrap()).await
    };
    refused(send(b"", "application/json").await, 400, "invalid_body").await;
    refused(send(b"{", "application/json").await, 400, "invalid_body").await;
    refused(send(b"\xff\xfe", "application/json").await, 400, "invalid_body").await;
    refused(send(b"{}", "application/json").await, 422, "invalid_body").await;
    refused(send(br#"{"name":1,"password":[]}"#, "application/json").await, 422, "invalid_body").await;
    refused(send(b"name=a&password=b", "application/x-www-form-urlencoded").await, 415, "invalid_body").await;
    let deep = Value::String("[".repeat(60_000));
    refused(bench.send(post("/api/session", &deep)).await, 422, "invalid_body").await;
    let large = serde_json::json!({ "name": "a", "password": "x".repeat(100_000) });
    refused(bench.send(post("/api/session", &large)).await, 413, "invalid_body").await;
    // A long password is not hashed, and is wrong.
    let long = serde_json::json!({ "name": "a", "password": "x".repeat(10_000) });
    refused(bench.send(post("/api/session", &long)).await, 401, "wrong_credentials").await;
    let null = serde_json::json!({ "name": "a\u{0}b", "password": "\u{0}" });
    refused(bench.send(post("/api/session", &null)).await, 400, "invalid").await;
}

#[tokio::test]
async fn nothing_on_the_wire_brings_the_server_down() {
    let bench = Bench::new().await;
    let address = bench.serve().await;
    let head = "GET /healthz HTTP/1.1\r\nHost: a\r\n";
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"\r\n\r\n\x00\xff".to_vec(), "HTTP/1.1 400"),
        (b"GET / HTTP/9.9\r\n\r\n".to_vec(), ""),
        (format!("{head}X: {}\r\n\r\n", "y".repeat(100_000)).into_bytes(), "HTTP/1.1 431"),
        (format!("{head}{}\r\n", "X: y\r\n".repeat(1000)).into_bytes(), "HTTP/1.1 431"),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "z".repeat(100_000)).into_bytes(), "HTTP/1.1 4"),
        (
            b"POST /api/session HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"
                .to_vec(),
            "HTTP/1.1 400",
        ),
        (
            b"POST /api/session HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_vec(),
            "HTTP/1.1 4",
        ),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), ""),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), ""),
    ];
    for (sent, expected) in cases {
        let answer = String::from_utf8_lossy(&raw(address, &sent).await).into_owned();
        assert!(
            answer.starts_with(expected),
            "{:?} got {answer:?}",
            String::from_utf8_lossy(&sent[..40.min(sent.len())])
        );
    }
    let answer = raw(address, format!("{head}Connection: close\r\n\r\n").as_bytes()).await;
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

/// After a proper handshake, frames that are none (RFC 6455, section 5).
#[tokio::test]
async fn frames_that_are_none_end_their_connection_only() {
    let bench = Bench::new().await;
    let address = bench.serve().await;
    let key = bench.key(&["calls:read"]).await;
    let handshake = format!(
        "GET /api/live HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Authorization: Bearer {key}\r\n\r\n"
    );
    let frames: [&[u8]; 9] = [
        b"\x81\x05hello",                                    // not masked
        b"\xf1\x80\0\0\0\0",                                 // reserved bits
        b"\x83\x80\0\0\0\0",                                 // unknown opcode
        b"\x81\x82\0\0\0\0\xff\xfe",                         // text that is no UTF-8
        b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", // 2⁶⁴-1 bytes announced
        b"\x81\xff\x00\x00\x00\x00\x40\x00\x00\x00\0\0\0\0", // a gigabyte announced
        b"\x09\x80\0\0\0\0",                                 // a control frame in fragments
        b"\x80\x80\0\0\0\0",                                 // a continuation of nothing
        b"\x88\x81\0\0\0\0x",                                // a close code of one byte
    ];
    for frame in frames {
        let answer = raw(address, &[handshake.as_bytes(), frame].concat()).await;
        assert!(answer.starts_with(b"HTTP/1.1 101"), "{frame:x?}");
    }
    for version in ["12", "x"] {
        let other = handshake.replace("Version: 13", &format!("Version: {version}"));
        assert!(raw(address, other.as_bytes()).await.starts_with(b"HTTP/1.1 4"));
    }
    // All places have been given back.
    let figures = || async { String::from_utf8(bytes(bench.send(get("/metrics")).await).await).unwrap() };
    while !figures().await.lines().any(|line| line == "sotto_websockets 0.0") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn random_frames_end_their_connection_only() {
    let bench = Bench::new().await;
    let address = bench.serve().await;
    let key = bench.key(&["calls:read"]).await;
    let handle = tokio::runtime::Handle::current();
    let run = move || {
        let mut runner = TestRunner::new(Config { cases: 60, ..Config::default() });
        runner
            .run(&prop::collection::vec(any::<u8>(), 0..300), |frames| {
                let sent = format!(
                    "GET /api/live HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                     Authorization: Bearer {key}\r\n\r\n"
                );
                let answer = handle.block_on(raw(address, &[sent.as_bytes(), &frames].concat()));
                prop_assert!(answer.starts_with(b"HTTP/1.1 101"));
                Ok(())
            })
            .unwrap();
    };
    tokio::task::spawn_blocking(run).await.unwrap();
    assert!(raw(address, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await.starts_with(b"HTTP/1.1 200"));
}

/// Whatever is asked for, by whomever, however: an answer that blames the asker, in the form all errors have.
#[tokio::test]
async fn random_requests_never_fail_the_server() {
    let bench = Bench::new().await;
    let key = bench.key(&["admin"]).await;
    let id = bench.begin("a").id();
    let handle = tokio::runtime::Handle::current();
    let path = prop_oneof![
        Just(format!("/api/calls/{id}")),
        Just(format!("/api/calls/{id}/events")),
        Just(format!("/api/calls/{id}/live")),
        Just(format!("/api/calls/{id}/recording")),
        "/api/(calls|live|session|users|keys|status|docs|openapi.json)(/[a-z0-9%.]{0,12}){0,2}",
        "/[a-z0-9%./]{0,20}",
    ];
    let query = prop::option::of("(from|state|before|limit)=[-a-z0-9%]{0,24}");
    let method =
        prop::sample::select(vec!["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"]);
    let headers = prop::collection::vec(
        (
            prop::sample::select(vec![
                "range",
                "origin",
                "cookie",
                "content-type",
                "upgrade",
                "x-forwarded-for",
                "if-range",
                "accept-encoding",
            ]),
            "[ -~]{0,40}",
        ),
        0..4,
    );
    let content = prop_oneof![
        Just(r#"{"name":"a","role":"agent","scopes":[],"disabled":true}"#.to_owned()),
        "[\\x00-\\x7f]{0,60}",
    ];
    let run = move || {
        let mut runner = TestRunner::new(Config { cases: 400, ..Config::default() });
        runner
            .run(&(path, query, method, headers, content), |(path, query, method, headers, content)| {
                let uri = match query {
                    Some(query) => format!("{path}?{query}"),
                    None => path.clone(),
                };
                let mut request = Request::builder().method(method).uri(&uri);
                for (name, value) in headers {
                    request = request.header(name, value);
                }
                // Some paths are not even paths.
                let Ok(request) = request.body(Body::from(content)) else { return Ok(()) };
                let (status, kind, body) = handle.block_on(async {
                    let response = bench.send(by(&key, request)).await;
                    let kind = response.headers().get(header::CONTENT_TYPE).cloned();
                    (response.status().as_u16(), kind, bytes(response).await)
                });
                prop_assert!(status < 500, "{method} {uri}: {status}");
                if status >= 400 && path.starts_with("/api/") && method != "HEAD" {
                    let error: Value = serde_json::from_slice(&body).unwrap_or_default();
                    prop_assert!(error["error"]["code"].is_string(), "{method} {uri}: {status} {kind:?}");
                }
                Ok(())
            })
            .unwrap();
    };
    tokio::task::spawn_blocking(run).await.unwrap();
}
