use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use sotto_call::testing::utterance;
use sotto_call::{CallId, EventBody, Party, Redacted, Secret, Utterance};
use sotto_store::Role;

use crate::bench::{Bench, body, by, bytes, get, post, refused, with_body};

fn remove_example(text: &str) -> Request<Body> {
    with_body("DELETE", "/api/intent-examples", &json!({ "text": text }))
}

#[tokio::test]
async fn a_supervisor_teaches_what_customers_want() {
    let bench = Bench::new().await;
    bench.add_user("sara", Role::Supervisor).await;
    let sara = bench.sign_in("sara").await;
    let done = async |request| {
        let response = bench.send(by(&sara, request)).await;
        let (status, said) = (response.status(), bytes(response).await);
        assert!(status.is_success(), "{}", String::from_utf8_lossy(&said));
        status
    };
    let title = json!({ "en": "Refund", "fa": "بازگشت وجه" });
    let new = json!({ "name": "refund", "title": title, "alert": true });
    assert_eq!(done(post("/api/intents", &new)).await, StatusCode::CREATED);
    let call = CallId::new();
    for text in ["I want my money back.", "پولم رو پس بدید.", "A refund, please."] {
        let example = json!({ "intent": "refund", "text": text, "call_id": call });
        done(post("/api/intent-examples", &example)).await;
    }
    done(post("/api/intent-examples", &json!({ "text": "I am on the train." }))).await;
    let renamed = json!({ "title": { "en": "Money back" }, "alert": false });
    done(with_body("PUT", "/api/intents/refund", &renamed)).await;

    let list = body(bench.send(by(&sara, get("/api/intents"))).await).await;
    let intent = &list["intents"][0];
    assert_eq!(
        (&intent["name"], &intent["title"], &intent["alert"], &intent["in_file"], &intent["learnable"]),
        (&json!("refund"), &json!({ "en": "Money back" }), &json!(false), &json!(false), &json!(true))
    );
    assert_eq!(intent["examples"].as_array().unwrap().len(), 3);
    let none = json!({ "text": "I am on the train.", "by": "sara", "at_unix_ms": 1_700_000_000_000_u64 });
    assert_eq!(list["none"], json!([none]));
    // Nothing is understood on this bench.
    assert_eq!(list["learning"], "waiting");

    done(remove_example("I am on the train.")).await;
    done(with_body("DELETE", "/api/intents/refund", &json!({}))).await;
    let list = body(bench.send(by(&sara, get("/api/intents"))).await).await;
    assert_eq!((&list["intents"], &list["none"]), (&json!([]), &json!([])));

    // Who, when, about which intent and in which call; what was said is not in it.
    let admin = bench.key(&["admin"]).await;
    let records = loop {
        let list = body(bench.send(by(&admin, get("/api/audit"))).await).await;
        let records = list["records"].as_array().unwrap().clone();
        if records.len() == 8 {
            break records;
        }
        tokio::task::yield_now().await;
    };
    let told: Vec<_> = records.iter().rev().map(|record| record["detail"].as_str().unwrap()).collect();
    assert_eq!(
        told,
        [
            "refund: added",
            "refund: example added",
            "refund: example added",
            "refund: example added",
            "none: example added",
            "refund: changed",
            "none: example removed",
            "refund: removed",
        ]
    );
    assert_eq!(
        (&records[6]["who"], &records[6]["what"], &records[6]["call_id"]),
        (&json!("sara"), &json!("intents"), &json!(call))
    );
}

#[tokio::test]
async fn a_supervisor_writes_down_what_agents_do_for_who_wants_something() {
    let bench = Bench::new().await;
    bench.add_user("sara", Role::Supervisor).await;
    let sara = bench.sign_in("sara").await;
    let send = async |request| bench.send(by(&sara, request)).await;
    let new = json!({ "name": "refund", "title": { "en": "Refund" } });
    assert_eq!(send(post("/api/intents", &new)).await.status(), StatusCode::CREATED);
    let playbook =
        |steps: &Value| with_body("PUT", "/api/intents/refund/playbook", &json!({ "steps": steps }));
    let steps = json!([
        { "text": { "en": "Ask for the order number.", "fa": "شمارهٔ سفارش را بپرسید." }, "until": "order" },
        { "text": { "en": "Say when it comes." } },
    ]);
    assert_eq!(send(playbook(&steps)).await.status(), StatusCode::NO_CONTENT);
    let list = body(send(get("/api/intents")).await).await;
    assert_eq!((&list["intents"][0]["playbook"], &list["learning"]), (&steps, &json!("waiting")));
    for (steps, status, code) in [
        (json!([{ "text": {} }]), 400, "invalid"),
        (json!([{ "text": { "en": "x".repeat(501) } }]), 400, "invalid"),
        (json!([{ "text": { "en": "x" }, "until": "whatever" }]), 422, "invalid_body"),
        (json!(vec![json!({ "text": { "en": "x" } }); 21]), 400, "invalid"),
    ] {
        refused(send(playbook(&steps)).await, status, code).await;
    }
    let nowhere = with_body("PUT", "/api/intents/x/playbook", &json!({ "steps": steps }));
    refused(send(nowhere).await, 404, "not_found").await;
    assert_eq!(body(send(get("/api/intents")).await).await["intents"][0]["playbook"], steps);
}

#[tokio::test]
async fn what_cannot_be_taught_is_refused_and_why() {
    let bench = Bench::new().await;
    bench.add_user("mina", Role::Agent).await;
    bench.add_user("sara", Role::Supervisor).await;
    let (mina, sara) = (bench.sign_in("mina").await, bench.sign_in("sara").await);
    let new = json!({ "name": "refund", "title": { "en": "Refund" } });
    let example = |text: &str| json!({ "intent": "refund", "text": text });
    for request in [
        get("/api/intents"),
        post("/api/intents", &new),
        with_body("PUT", "/api/intents/refund", &json!({ "title": { "en": "x" }, "alert": true })),
        with_body("PUT", "/api/intents/refund/playbook", &json!({ "steps": [] })),
        with_body("DELETE", "/api/intents/refund", &json!({})),
        post("/api/intent-examples", &example("A refund, please.")),
        remove_example("x"),
    ] {
        refused(bench.send(by(&mina, request)).await, 403, "forbidden").await;
    }
    let send = async |request| bench.send(by(&sara, request)).await;
    refused(send(post("/api/intent-examples", &example("A refund, please."))).await, 404, "not_found").await;
    assert_eq!(send(post("/api/intents", &new)).await.status(), StatusCode::CREATED);
    refused(send(post("/api/intents", &new)).await, 409, "name_taken").await;
    for (body, status, code) in [
        (json!({ "name": "", "title": { "en": "x" } }), 400, "invalid"),
        (json!({ "name": "n".repeat(101), "title": { "en": "x" } }), 400, "invalid"),
        (json!({ "name": "x", "title": {} }), 400, "invalid"),
        (json!({ "name": "x", "title": { "en": "x".repeat(501) } }), 400, "invalid"),
        (json!({ "name": "x" }), 422, "invalid_body"),
    ] {
        refused(send(post("/api/intents", &body)).await, status, code).await;
    }
    for (text, code) in [
        (" ", "invalid"),
        (&*"a".repeat(501), "invalid"),
        ("My card is 4242 4242 4242 4242.", "secret"),
        ("It is ••••.", "secret"),
        ("It is 4242 4242.", "long_number"),
    ] {
        refused(send(post("/api/intent-examples", &example(text))).await, 400, code).await;
    }
    refused(send(remove_example("x")).await, 404, "not_found").await;
    refused(send(with_body("DELETE", "/api/intents/x", &json!({}))).await, 404, "not_found").await;
    let renamed = json!({ "title": { "en": "x" }, "alert": true });
    refused(send(with_body("PUT", "/api/intents/x", &renamed)).await, 404, "not_found").await;
    // What customers say is no part of an address.
    refused(send(with_body("DELETE", "/api/intent-examples?text=x", &json!({}))).await, 422, "invalid_body")
        .await;
}

#[tokio::test]
async fn nothing_is_learned_of_words_that_a_secret_was_taken_out_of_while_somebody_looked_at_them() {
    let bench = Bench::new().await;
    bench.add_user("sara", Role::Supervisor).await;
    let sara = bench.sign_in("sara").await;
    let call = bench.begin("abc");
    let said = utterance(1, Party::Customer, "It is bluebird for me.");
    let (utterance_id, party, secrets) = (said.utterance_id, said.party, vec![Secret::Password]);
    let example = |call: CallId, utterance: u32| {
        let text = "It is bluebird for me.";
        post("/api/intent-examples", &json!({ "text": text, "call_id": call, "utterance_id": utterance }))
    };
    let send = async |request| bench.send(by(&sara, request)).await;
    call.publish(EventBody::Utterance(said.clone()));
    assert_eq!(send(example(call.id(), 1)).await.status(), StatusCode::NO_CONTENT);
    let redacted = Redacted { utterance_id, party, secrets, ranges: Vec::new(), muted: false };
    call.redact(None, redacted, Utterance { revision: 1, text: "It is •••• for me.".to_owned(), ..said });
    refused(send(example(call.id(), 1)).await, 400, "secret").await;
    assert_eq!(send(example(call.id(), 2)).await.status(), StatusCode::NO_CONTENT);
    refused(send(example(CallId::new(), 1)).await, 404, "not_found").await;
}
