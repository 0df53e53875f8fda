use axum::http::{StatusCode, header};
use serde_json::Value;
use sotto_call::{CallEvent, CallId, EventBody};
use sotto_server::hub::HubLimits;

use crate::bench::{Bench, body, by, bytes, get, hangup, refused, utterance};

async fn ids(bench: &Bench, key: &str, path: &str) -> Vec<String> {
    let list = body(bench.send(by(key, get(path))).await).await;
    list["calls"].as_array().unwrap().iter().map(|call| call["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn lists_show_live_and_ended_calls_in_pages() {
    let bench = Bench::new().await;
    let key = bench.key(&["calls:read"]).await;
    let mut calls = Vec::new();
    for n in 0..6 {
        let call = bench.begin(&format!("call {n}"));
        call.publish(utterance(1, &format!("words {n}"), true));
        calls.push(call.clone());
        if n % 2 == 0 {
            call.end(hangup()).await.unwrap();
        }
    }
    let named = |picked: &[usize]| picked.iter().map(|n| calls[*n].id().to_string()).collect::<Vec<_>>();
    assert_eq!(ids(&bench, &key, "/api/calls").await, named(&[5, 4, 3, 2, 1, 0]));
    assert_eq!(ids(&bench, &key, "/api/calls?state=live").await, named(&[5, 3, 1]));
    assert_eq!(ids(&bench, &key, "/api/calls?state=ended").await, named(&[4, 2, 0]));
    let page = format!("/api/calls?limit=2&before={}", calls[4].id());
    assert_eq!(ids(&bench, &key, &page).await, named(&[3, 2]));
    let page = format!("/api/calls?state=ended&limit=9&before={}", calls[4].id());
    assert_eq!(ids(&bench, &key, &page).await, named(&[2, 0]));

    let list = body(bench.send(by(&key, get("/api/calls?state=ended&limit=1"))).await).await;
    let call = &list["calls"][0];
    assert_eq!(call["state"], "ended");
    assert_eq!((call["ended"].as_str(), call["duration_ms"].as_u64()), (Some("hangup"), Some(5000)));
    assert_eq!((call["utterances"].as_u64(), call["last"]["text"].as_str()), (Some(1), Some("words 4")));
    assert_eq!((call["recording"].as_bool(), call["source"].as_str()), (Some(false), Some("siprec")));
    for wrong in ["state=over", "before=x", "limit=-1", "limit=many"] {
        refused(bench.send(by(&key, get(&format!("/api/calls?{wrong}")))).await, 400, "invalid").await;
    }
    refused(bench.send(get("/api/calls")).await, 401, "unauthenticated").await;
}

#[tokio::test]
async fn one_call_is_the_same_live_and_ended() {
    let bench = Bench::new().await;
    let key = bench.key(&["calls:read"]).await;
    let call = bench.begin("abc");
    call.publish(utterance(1, "hello", true));
    call.publish(utterance(2, "hel", false));
    let path = format!("/api/calls/{}", call.id());
    let live = body(bench.send(by(&key, get(&path))).await).await;
    assert_eq!(live["call"]["state"], "live");
    assert_eq!((live["call"]["seq"].as_u64(), live["state"]["seq"].as_u64()), (Some(3), Some(3)));
    assert_eq!(live["state"]["utterances"][1]["final"], false);
    call.end(hangup()).await.unwrap();
    let ended = body(bench.send(by(&key, get(&path))).await).await;
    assert_eq!(ended["call"]["state"], "ended");
    assert_eq!(ended["state"]["utterances"], live["state"]["utterances"]);
    assert_eq!(ended["state"]["ended"]["reason"], "hangup");
    let unknown = format!("/api/calls/{}", CallId::new());
    refused(bench.send(by(&key, get(&unknown))).await, 404, "not_found").await;
    for strange in ["x", "..%2f..", "0"] {
        refused(bench.send(by(&key, get(&format!("/api/calls/{strange}")))).await, 404, "not_found").await;
    }
    refused(bench.send(by(&key, get("/api/calls/%00"))).await, 400, "invalid").await;
}

#[tokio::test]
async fn events_are_lines_live_and_ended() {
    // So few are kept in memory that the store is asked for the older ones.
    let bench = Bench::with(|_| {}, HubLimits { backlog: 10, ..HubLimits::default() }).await;
    let key = bench.key(&["calls:read"]).await;
    let call = bench.begin("abc");
    for n in 0..1000 {
        call.publish(utterance(n, &format!("word {n} {}", "x".repeat(100)), true));
    }
    let lines = async |from: &str| -> Vec<CallEvent> {
        let path = format!("/api/calls/{}/events{from}", call.id());
        let response = bench.send(by(&key, get(&path))).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/x-ndjson");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        let text = String::from_utf8(bytes(response).await).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let live = lines("").await;
    assert!(live.iter().zip(1..).all(|(event, seq)| event.seq == seq));
    assert_eq!(live.len(), 1001);
    bench.hub.writer().flush().await;
    call.publish(utterance(1000, "one more", true));
    assert_eq!(lines("?from=1000").await.len(), 2);
    call.end(hangup()).await.unwrap();
    let all = lines("?from=0").await;
    assert_eq!((all.len(), &all[..1001]), (1004, &live[..]));
    assert!(matches!(all[1002].body, EventBody::Talk(_)));
    assert!(matches!(all[1003].body, EventBody::CallEnded(_)));
    assert_eq!(lines("?from=1003").await.len(), 1);
    assert_eq!(lines("?from=18446744073709551615").await.len(), 0);
    let path = format!("/api/calls/{}/events?from=-1", call.id());
    refused(bench.send(by(&key, get(&path))).await, 400, "invalid").await;
    let event: Value = serde_json::to_value(&all[1]).unwrap();
    for key in ["seq", "at_ms", "kind", "utterance_id", "party", "final", "revision", "text", "words"] {
        assert!(event.get(key).is_some(), "{key} is not in {event}");
    }
}
