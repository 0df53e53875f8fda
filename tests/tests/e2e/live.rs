//! What a screen sees: nothing twice, nothing missing, whatever happens to its connection.

use std::time::Duration;

use serde_json::Value;
use sotto_tests::http::Client;
use sotto_tests::live::Live;
use sotto_tests::server::Sotto;
use sotto_tests::sipp::Sipp;

use crate::support::{PATIENCE, assert_ordered, excerpt};

fn events(messages: &[Value]) -> Vec<Value> {
    messages.iter().filter(|m| m["type"] == "event").map(|m| m["event"].clone()).collect()
}

#[test]
fn a_screen_that_comes_back_misses_nothing() {
    let sotto = Sotto::start().unwrap();
    let running = Sipp::siprec(sotto.sip).call(&excerpt().1).unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    let mut seen: Vec<Value> = Vec::new();
    let mut connections = 0;
    loop {
        let from = seen.last().map_or(0, |e| e["seq"].as_u64().unwrap());
        let mut live = sotto.api.live(&id, Some(from)).unwrap();
        connections += 1;
        // Three events, then the connection is torn down; in the end one that stays.
        let enough = |seen: &[Value]| connections < 4 && seen.len() >= 3 * connections;
        let over = loop {
            let message = live.next(PATIENCE).unwrap().expect("something comes");
            if message["type"] == "end" {
                break true;
            }
            seen.extend(events(&[message]));
            if enough(&seen) {
                live.stream().shutdown(std::net::Shutdown::Both).unwrap();
                break false;
            }
        };
        if over {
            let closed = live.next(PATIENCE).unwrap_err().to_string();
            assert!(closed.contains("1000"), "{closed}");
            break;
        }
    }
    running.finish().unwrap();
    assert!(connections == 4, "{connections} connections");
    assert_ordered(&seen);
    assert_eq!(seen, sotto.api.ended(&id, PATIENCE).unwrap());
}

#[test]
fn a_screen_that_comes_late_begins_with_a_snapshot() {
    let sotto = Sotto::start().unwrap();
    let running = Sipp::siprec(sotto.sip).call(&excerpt().1).unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    let mut early = sotto.api.live(&id, Some(0)).unwrap();
    early.until(PATIENCE, |m| m["event"]["final"] == true).unwrap();
    let mut late = sotto.api.live(&id, None).unwrap();
    let messages = late.until(PATIENCE, |m| m["type"] == "end").unwrap();
    assert_eq!(messages[0]["type"], "snapshot");
    let state = &messages[0]["state"];
    assert!(!state["utterances"].as_array().unwrap().is_empty(), "{state}");
    let tail = events(&messages);
    assert_eq!(tail[0]["seq"].as_u64().unwrap(), state["seq"].as_u64().unwrap() + 1);
    running.finish().unwrap();
    let all = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_eq!(tail, all[all.len() - tail.len()..]);
}

#[test]
fn the_wall_shows_a_call_come_and_go() {
    let sotto = Sotto::start().unwrap();
    let mut wall = Live::open(&sotto.api.client, "/api/live").unwrap();
    let first = wall.next(PATIENCE).unwrap().unwrap();
    assert_eq!(first["type"], "calls");
    assert_eq!(first["calls"].as_array().unwrap().len(), 0);
    let running = Sipp::siprec(sotto.sip).call(&excerpt().1.cut(0, 8000)).unwrap();
    let begun = wall.until(PATIENCE, |m| m["call"]["state"] == "live").unwrap();
    let id = begun[begun.len() - 1]["call"]["id"].clone();
    wall.until(PATIENCE, |m| m["call"]["id"] == id && m["call"]["last"]["text"].is_string()).unwrap();
    running.finish().unwrap();
    wall.until(PATIENCE, |m| m["call"]["id"] == id && m["call"]["state"] == "ended").unwrap();
}

#[test]
fn nobody_listens_without_signing_in() {
    let sotto = Sotto::start().unwrap();
    let stranger = Client::new(sotto.http);
    for path in ["/api/live", "/api/calls/00000000-0000-7000-8000-000000000000/live"] {
        let error = Live::open(&stranger, path).err().expect("refused").root_cause().to_string();
        assert!(error.contains("401"), "{path}: {error}");
    }
    for path in ["/api/calls", "/api/session", "/api/status"] {
        assert_eq!(stranger.get(path).unwrap().status, 401, "{path}");
    }
    assert_eq!(stranger.get("/healthz").unwrap().status, 200);
    let wrong = serde_json::json!({"name": "admin", "password": "wrong"});
    assert_eq!(stranger.post("/api/session", &wrong).unwrap().status, 401);
    // Nor in the name of somebody who is somewhere else.
    let mut forged = sotto.api.client.clone();
    forged.headers.push(("Origin".into(), "https://evil.example".into()));
    assert!(Live::open(&forged, "/api/live").is_err(), "a foreign page must not ride on a session");
}

#[test]
fn a_live_screen_is_pinged() {
    let sotto = Sotto::start().unwrap();
    let mut wall = Live::open(&sotto.api.client, "/api/live").unwrap();
    let pinged = wall.until(Duration::from_secs(20), |m| m["type"] == "ping").unwrap();
    assert!(pinged[pinged.len() - 1]["at_unix_ms"].as_u64().unwrap() > 1_700_000_000_000);
}
