//! What contacts have asked to be put right.

use serde_json::{Value, json};
use sotto_call::CallId;

use crate::bench::{body, by, get, post, refused, with_body};
use crate::contacts::{bench, made, noted};

#[tokio::test]
async fn a_ticket_is_opened_found_resolved_and_opened_again() {
    let (bench, mina, _) = bench().await;
    let lead = made(bench.send(by(&mina, post("/api/leads", &json!({ "name": "Sara" })))).await).await;
    let of_lead = format!("/api/leads/{}/tickets", lead["id"].as_str().unwrap());
    let new = json!({ "title": " The panel does not open ", "text": "Since Friday.", "priority": "high", "assignee": "Mina" });
    let ticket = made(bench.send(by(&mina, post(&of_lead, &new))).await).await;
    assert_eq!(
        [
            &ticket["title"],
            &ticket["state"],
            &ticket["assignee"],
            &ticket["resolution"],
            &ticket["lead_name"]
        ],
        ["The panel does not open", "open", "mina", "", "Sara"]
    );
    let id = ticket["id"].as_str().unwrap();
    let path = format!("/api/tickets/{id}");
    assert_eq!(body(bench.send(by(&mina, get(&path))).await).await, ticket);
    assert_eq!(body(bench.send(by(&mina, get(&of_lead))).await).await, json!({ "tickets": [ticket] }));
    let found = async |query: &str| {
        let list = body(bench.send(by(&mina, get(&format!("/api/tickets?{query}")))).await).await;
        list["tickets"].as_array().unwrap().len()
    };
    for query in ["", "q=friday%20PANEL", "state=open", "priority=high", "assignee=MINA", "limit=1"] {
        assert_eq!(found(query).await, 1, "{query}");
    }
    for query in ["q=monday", "state=closed", "priority=low", "assignee=omid"] {
        assert_eq!(found(query).await, 0, "{query}");
    }
    let becomes = |version: u32, state: &str| json!({ "version": version, "state": state, "title": "Panel", "resolution": "Renewed." });
    let put = async |now: &Value| bench.send(by(&mina, with_body("PUT", &path, now))).await;
    let closed = body(put(&becomes(1, "closed")).await).await;
    assert_eq!(
        (&closed["state"], &closed["version"], &closed["resolution"]),
        (&json!("closed"), &json!(2), &json!("Renewed."))
    );
    assert_eq!(closed.get("assignee"), None, "what is absent is no more");
    refused(put(&becomes(1, "open")).await, 409, "changed_meanwhile").await;
    refused(put(&becomes(2, "resolved")).await, 409, "not_possible").await;
    assert_eq!(body(put(&becomes(2, "open")).await).await["state"], "open");
    // Who did what, but not what they wrote.
    let told: Vec<String> = noted(&bench, 4).await.into_iter().map(|(_, _, detail)| detail).collect();
    let of = lead["id"].as_str().unwrap();
    let expected = ["open", "closed", "open"].map(|state| format!("ticket {id} of {of}: {state}"));
    assert_eq!(told[..3], expected);
}

#[tokio::test]
async fn a_ticket_that_cannot_be_kept_is_refused() {
    let (bench, mina, _) = bench().await;
    let lead = made(bench.send(by(&mina, post("/api/leads", &json!({ "name": "Sara" })))).await).await;
    let of_lead = format!("/api/leads/{}/tickets", lead["id"].as_str().unwrap());
    for wrong in [
        json!({ "title": " " }),
        json!({ "title": "x".repeat(201) }),
        json!({ "title": "x", "assignee": "a b" }),
    ] {
        refused(bench.send(by(&mina, post(&of_lead, &wrong))).await, 400, "invalid").await;
    }
    let ticket = json!({ "title": "x" });
    let nobodys = format!("/api/leads/{}/tickets", CallId::new());
    refused(bench.send(by(&mina, post(&nobodys, &ticket))).await, 404, "not_found").await;
    refused(bench.send(by(&mina, get(&nobodys))).await, 404, "not_found").await;
    let none = format!("/api/tickets/{}", CallId::new());
    let now = json!({ "version": 1, "state": "open", "title": "x" });
    refused(bench.send(by(&mina, get(&none))).await, 404, "not_found").await;
    refused(bench.send(by(&mina, with_body("PUT", &none, &now))).await, 404, "not_found").await;
    for wrong in ["state=gone", "priority=most", "before=x", "assignee=a%20b"] {
        refused(bench.send(by(&mina, get(&format!("/api/tickets?{wrong}")))).await, 400, "invalid").await;
    }
}
