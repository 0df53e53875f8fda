//! What is not written down, and what of it is no good, for whoever keeps the documents.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::{Value, json};
use sotto_call::testing::{card, utterance};
use sotto_call::{Card, CardAnswer, CardAnswered, EventBody, Party};
use sotto_store::{AuditRow, Role};

use crate::bench::{Bench, body, by, get, hangup, post, refused, with_body};
use crate::review::work;

const DAY: Duration = Duration::from_secs(24 * 3_600);

async fn upload(bench: &Bench, who: &str, name: &str, roles: &str, text: &str) {
    let path = format!("/api/knowledge/documents?name={name}&roles={roles}");
    let request = Request::post(path).header(header::CONTENT_TYPE, "text/plain");
    let request = request.body(Body::from(text.to_owned())).unwrap();
    assert_eq!(bench.send(by(who, request)).await.status(), StatusCode::NO_CONTENT);
}

/// A bench with a document, and an agent, a supervisor and an admin who are signed in.
async fn bench() -> (Bench, [String; 3]) {
    let bench = Bench::new().await;
    let mut cookies = Vec::new();
    for (name, role) in [("mina", Role::Agent), ("sara", Role::Supervisor), ("omid", Role::Admin)] {
        bench.add_user(name, role).await;
        cookies.push(bench.sign_in(name).await);
    }
    upload(&bench, &cookies[1], "refunds.txt", "", "Your refund takes 3 working days.").await;
    (bench, cookies.try_into().unwrap())
}

/// A second later somebody looks something up.
async fn looks_up(bench: &Bench, who: &str, query: &str) {
    bench.wait(Duration::from_secs(1));
    let response = bench.send(by(who, post("/api/ai/assist/search", &json!({ "query": query })))).await;
    assert_eq!(response.status(), StatusCode::OK);
}

/// The gaps in a state, once they are so: nobody who looks something up waits until it is noted.
async fn gaps(bench: &Bench, who: &str, state: &str, is_noted: impl Fn(&Value) -> bool) -> Value {
    loop {
        let path = format!("/api/knowledge/gaps?state={state}");
        let list = body(bench.send(by(who, get(&path))).await).await;
        if is_noted(&list) {
            return list;
        }
        tokio::task::yield_now().await;
    }
}

/// Whether the first gap was asked so often.
fn asked(count: u64) -> impl Fn(&Value) -> bool {
    move |list| list["gaps"][0]["count"] == count
}

async fn decide(bench: &Bench, who: &str, gap: &Value, decision: &Value) -> StatusCode {
    let path = format!("/api/knowledge/gaps/{}", gap["id"].as_str().unwrap());
    bench.send(by(who, with_body("PUT", &path, decision))).await.status()
}

#[tokio::test]
async fn what_is_looked_up_in_vain_is_a_gap_until_somebody_has_seen_to_it() {
    let (bench, [mina, sara, omid]) = bench().await;
    looks_up(&bench, &mina, "Does your refund take 3 working days?").await;
    looks_up(&bench, &mina, "How do I renew my panel?").await;
    looks_up(&bench, &sara, "My card is 4242 4242 4242 4242, is it accepted?").await;
    looks_up(&bench, &omid, "Can I renew panels?").await;
    let list = gaps(&bench, &sara, "open", |list| list["open"] == 2 && asked(2)(list)).await;
    assert_eq!((&list["open"], &list["answered"], &list["hidden"]), (&json!(2), &json!(0), &json!(0)));
    let gap = &list["gaps"][0];
    assert_eq!((&gap["state"], &gap["changed_by"]), (&json!("open"), &json!("")));
    let texts: Vec<&str> =
        gap["questions"].as_array().unwrap().iter().map(|one| one["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["Can I renew panels?", "How do I renew my panel?"]);
    assert!(gap["questions"][0].get("call_id").is_none());
    let card = list["gaps"][1]["questions"][0]["text"].as_str().unwrap();
    assert!(card.contains(sotto_call::MASK) && !card.contains("4242"), "{card}");

    let answered = |document: &str| json!({ "state": "answered", "document": document });
    let hidden = json!({ "state": "hidden" });
    for (decision, status) in [
        (answered("nothing.txt"), 400),
        (json!({ "state": "answered" }), 400),
        (json!({ "state": "open", "document": "refunds.txt" }), 400),
        (json!({ "state": "lost" }), 422),
    ] {
        assert_eq!(decide(&bench, &sara, gap, &decision).await.as_u16(), status, "{decision}");
    }
    assert_eq!(
        decide(&bench, &sara, &json!({ "id": sotto_call::CallId::new() }), &hidden).await.as_u16(),
        404
    );
    assert_eq!(decide(&bench, &sara, gap, &answered("refunds.txt")).await.as_u16(), 204);
    let list = gaps(&bench, &sara, "answered", asked(2)).await;
    assert_eq!((&list["open"], &list["answered"]), (&json!(1), &json!(1)));
    assert_eq!(list["gaps"][0]["document"], json!({ "id": "refunds.txt", "title": "refunds.txt" }));
    assert_eq!(list["gaps"][0]["changed_by"], "sara");
    // The audit is written behind everybody's back.
    let is_noted = |one: &AuditRow| one.what == "gap" && one.detail.ends_with("answered by refunds.txt");
    while !bench.store.audit(None, 9).await.unwrap().iter().any(is_noted) {
        tokio::task::yield_now().await;
    }

    // Asked again after that, it is open again.
    looks_up(&bench, &mina, "renew panel").await;
    let list = gaps(&bench, &sara, "open", asked(3)).await;
    assert_eq!((&list["gaps"][0]["count_since"], &list["gaps"][0]["state"]), (&json!(1), &json!("open")));
    assert_eq!(decide(&bench, &sara, gap, &hidden).await.as_u16(), 204);
    looks_up(&bench, &mina, "renew panel").await;
    let list = gaps(&bench, &sara, "hidden", asked(4)).await;
    assert_eq!((&list["open"], &list["hidden"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn what_a_customer_asks_in_vain_leads_to_the_call_and_what_became_of_cards_to_their_documents() {
    let (bench, [_, sara, omid]) = bench().await;
    upload(&bench, &omid, "margins.txt", "admin", "Your refund costs us 10 zebras.").await;
    let call = bench.begin("a");
    let question = utterance(1, Party::Customer, "How do I renew my panel?");
    for said in [
        question.clone(),
        utterance(2, Party::Customer, "Does your refund take 3 working days?"),
        utterance(3, Party::Agent, "How do I export invoices?"),
        utterance(4, Party::Customer, "Thank you, goodbye."),
    ] {
        call.publish(EventBody::Utterance(said));
    }
    for (card_id, document) in [(1, "refunds.txt"), (2, "margins.txt")] {
        call.publish(EventBody::Card(Box::new(Card { card_id, ..card(document, &question) })));
        for answer in [CardAnswer::Copied, CardAnswer::Copied, CardAnswer::Wrong] {
            let by = "mina".to_owned();
            call.publish(EventBody::CardAnswered(CardAnswered { card_id, answer, by }));
        }
    }
    call.end(hangup()).await.unwrap();
    work(&bench).await;
    let list = gaps(&bench, &sara, "open", asked(1)).await;
    let question = &list["gaps"][0]["questions"][0];
    assert_eq!(
        (list["gaps"].as_array().unwrap().len(), &question["text"]),
        (1, &json!("How do I renew my panel?"))
    );
    assert_eq!((&question["call_id"], &question["utterance_id"]), (&json!(call.id().to_string()), &json!(1)));
    assert_eq!(question["asked_at_unix_ms"], 1_700_000_010_000_u64);

    let health = async |who: &str| body(bench.send(by(who, get("/api/knowledge/health"))).await).await;
    let (few, all) = (health(&sara).await, health(&omid).await);
    assert!(!few.to_string().contains("margins"), "it is not for supervisors");
    let refunds = &few["documents"][0];
    assert_eq!(
        *refunds,
        json!({
            "id": "refunds.txt", "title": "refunds.txt", "changed_unix_ms": 1_700_000_000_000_u64, "shown": 1,
            "accepted": 0, "copied": 1, "dismissed": 0, "wrong": 1, "found": 0, "concerns": [],
        })
    );
    assert_eq!(all["documents"].as_array().unwrap().len(), 2);

    // The call goes, and what it said with it.
    bench.store.delete_calls(&[call.id()].into()).await.unwrap();
    let gone = body(bench.send(by(&sara, get("/api/knowledge/gaps"))).await).await;
    assert_eq!(gone, json!({ "open": 0, "answered": 0, "hidden": 0, "gaps": [] }));
    // Sessions end before documents are old.
    let concerns = async || {
        let sara = bench.sign_in("sara").await;
        health(&sara).await["documents"][0]["concerns"].clone()
    };
    bench.wait(31 * DAY);
    assert_eq!(concerns().await, json!(["never_shown"]));
    bench.wait(400 * DAY);
    assert_eq!(concerns().await, json!(["old", "never_shown"]));
    let sara = bench.sign_in("sara").await;
    looks_up(&bench, &sara, "Does your refund take 3 working days?").await;
    while health(&sara).await["documents"][0]["found"] != 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(concerns().await, json!(["old"]));
}

#[tokio::test]
async fn documents_that_disagree_are_shown_to_who_sees_both() {
    let (bench, [_, sara, omid]) = bench().await;
    bench.wait(Duration::from_secs(1));
    upload(&bench, &omid, "secret.txt", "admin", "It is new. Your refund takes 9 working days.").await;
    let conflicts = async |who: &str| {
        let health = body(bench.send(by(who, get("/api/knowledge/health"))).await).await;
        health["conflicts"].as_array().unwrap().clone()
    };
    assert!(conflicts(&sara).await.is_empty());
    let found = conflicts(&omid).await;
    assert_eq!((found.len(), &found[0]["newer"]["document"]), (1, &json!("secret.txt")));
    assert_eq!(found[0]["newer"]["text"], "Your refund takes 9 working days.");
    assert_eq!(found[0]["older"]["text"], "Your refund takes 3 working days.");
    upload(&bench, &sara, "refunds.txt", "", "Your refund takes 9 working days.").await;
    assert!(conflicts(&omid).await.is_empty());
}

#[tokio::test]
async fn only_who_keeps_the_documents_sees_what_is_missing() {
    let (bench, [mina, sara, _]) = bench().await;
    let reads = bench.key(&["knowledge:read", "calls:read"]).await;
    let id = sotto_call::CallId::new();
    let requests = || {
        let decision = with_body("PUT", &format!("/api/knowledge/gaps/{id}"), &json!({ "state": "hidden" }));
        [get("/api/knowledge/gaps"), get("/api/knowledge/health"), decision]
    };
    for request in requests() {
        refused(bench.send(request).await, 401, "unauthenticated").await;
    }
    for who in [&mina, &reads] {
        for request in requests() {
            refused(bench.send(by(who, request)).await, 403, "forbidden").await;
        }
    }
    refused(bench.send(by(&sara, get("/api/knowledge/gaps?state=lost"))).await, 400, "invalid").await;
    let key = bench.key(&["admin"]).await;
    assert_eq!(bench.send(by(&key, get("/api/knowledge/gaps"))).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn where_nothing_is_written_down_nothing_is_missing() {
    let bench = Bench::new().await;
    bench.add_user("sara", Role::Supervisor).await;
    let sara = bench.sign_in("sara").await;
    looks_up(&bench, &sara, "How do I renew my panel?").await;
    let call = bench.begin("a");
    call.publish(EventBody::Utterance(utterance(1, Party::Customer, "How do I renew my panel?")));
    call.end(hangup()).await.unwrap();
    work(&bench).await;
    assert!(bench.store.loose_questions(9).await.unwrap().is_empty());
    assert!(bench.store.gaps().await.unwrap().is_empty());
}
