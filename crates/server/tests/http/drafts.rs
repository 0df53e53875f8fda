//! Messages and e-mails to customers to begin with.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use sotto_call::CallId;

use crate::bench::{Bench, body, by, bytes, get, post, refused, utterance};
use crate::knowledge::{REFUNDS, with_documents};

fn draft(call: CallId, more: &Value) -> Request<Body> {
    let mut wish = json!({ "callId": call, "tone": "formal", "language": "en", "channel": "email" });
    for (key, value) in more.as_object().unwrap() {
        wish[key] = value.clone();
    }
    post("/api/ai/assist/draft", &wish)
}

#[tokio::test]
async fn a_draft_is_made_of_passages_for_whoever_asks_and_noted_without_its_words() {
    let (bench, [mina, sara, omid]) = with_documents(Bench::new().await).await;
    let live = bench.begin("call");
    refused(bench.send(by(&mina, draft(live.id(), &json!({})))).await, 400, "invalid").await;
    live.publish(utterance(1, "Does the refund take three days?", true));
    let call = format!("/api/calls/{}", live.id());
    while body(bench.send(by(&mina, get(&call))).await).await["state"]["utterances"] == json!([]) {
        tokio::task::yield_now().await;
    }
    // What the customer asked last, where nobody says what it is about.
    let made = body(bench.send(by(&mina, draft(live.id(), &json!({})))).await).await;
    assert_eq!(made["sentences"], json!([{ "text": REFUNDS, "passages": [1] }]), "{made}");
    assert_eq!((&made["by"], &made["refused"]), (&json!("passages"), &Value::Null));
    assert_eq!((&made["subject"], &made["closing"]), (&json!("refunds.txt"), &json!("Yours sincerely")));
    assert_eq!(made["facts"], json!([]));
    let brief = json!({ "tone": "brief", "channel": "message", "about": "Does the refund take three days?" });
    let made = body(bench.send(by(&mina, draft(live.id(), &brief))).await).await;
    assert_eq!((&made["subject"], &made["greeting"]), (&Value::Null, &json!("Hello,")));

    // What is hidden from a role does not reach it by a draft.
    let about = json!({ "about": "Does a refund cost us ten zebras?" });
    for (who, seen) in [(&mina, false), (&sara, true), (&omid, true)] {
        let made = bytes(bench.send(by(who, draft(live.id(), &about))).await).await;
        assert_eq!(String::from_utf8(made).unwrap().contains("costs us"), seen);
    }
    let persian = body(bench.send(by(&mina, draft(live.id(), &json!({ "language": "fa" })))).await).await;
    assert_eq!(persian["refused"], "other_language");

    let noted = loop {
        let rows = bench.store.audit(None, 100).await.unwrap();
        let of = rows.into_iter().filter(|row| row.what == "draft").collect::<Vec<_>>();
        if of.len() == 6 {
            break of;
        }
        tokio::task::yield_now().await;
    };
    assert!(noted.iter().all(|row| row.call == Some(live.id())));
    assert!(noted.iter().any(|row| row.who == "mina" && row.detail == "message, en, brief, from 1 passages"));
    assert!(noted.iter().all(|row| !row.detail.contains("refund")));
}

#[tokio::test]
async fn a_draft_is_refused_to_who_may_not_read_the_call_or_the_documents_and_to_who_asks_too_often() {
    let (bench, [mina, ..]) = with_documents(Bench::new().await).await;
    let live = bench.begin("call");
    let about = json!({ "about": "Does the refund take three days?" });
    refused(bench.send(draft(live.id(), &about)).await, 401, "unauthenticated").await;
    for scopes in [&["knowledge:read"][..], &["calls:read"]] {
        let key = bench.key(scopes).await;
        refused(bench.send(by(&key, draft(live.id(), &about))).await, 403, "forbidden").await;
    }
    let key = bench.key(&["knowledge:read", "calls:read"]).await;
    assert_eq!(bench.send(by(&key, draft(live.id(), &about))).await.status(), 200);
    refused(bench.send(by(&mina, draft(CallId::new(), &about))).await, 404, "not_found").await;
    for (more, status, code) in [
        (json!({ "about": "x".repeat(2_001) }), 400, "invalid"),
        (json!({ "about": " " }), 400, "invalid"),
        (json!({ "tone": "rude" }), 422, "invalid_body"),
        (json!({ "language": "de" }), 422, "invalid_body"),
        (json!({ "channel": "pigeon" }), 422, "invalid_body"),
        (json!({ "to": "a@b.example" }), 422, "invalid_body"),
    ] {
        refused(bench.send(by(&mina, draft(live.id(), &more))).await, status, code).await;
    }
    let mut last = 200;
    for _ in 0..31 {
        last = bench.send(by(&mina, draft(live.id(), &about))).await.status().as_u16();
    }
    assert_eq!(last, 429);
}
