//! Steps of written procedures, and who ticks them on a call.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use sotto_call::{CallEvent, EventBody};

use crate::bench::{body, by, get, hangup, refused, with_body};
use crate::knowledge::upload;
use crate::phone::attended;

const STEPS: &str = "1. Open the panel. Is it red? If so, restart it.\n2. Press refund.";

fn steps(document: &str, passage: usize) -> Request<Body> {
    get(&format!("/api/knowledge/pathways/{document}?passage={passage}"))
}

#[tokio::test]
async fn a_procedure_is_told_as_steps_to_whom_its_document_is_for() {
    let (bench, _call, [mina, _, sara]) = attended().await;
    for (name, roles, text) in [
        ("how.txt", "", STEPS),
        ("hidden.txt", "supervisor", STEPS),
        ("prose.txt", "", "It takes three days."),
    ] {
        assert_eq!(bench.send(by(&sara, upload(name, roles, text))).await.status(), 204);
    }
    let found = body(bench.send(by(&mina, steps("how.txt", 0))).await).await;
    assert_eq!((&found["document"], &found["passage"]), (&json!("how.txt"), &json!(0)));
    assert_eq!(found["changed_unix_ms"], 1_700_000_000_000_u64);
    assert_eq!(
        found["steps"],
        json!([
            { "action": "Open the panel. Is it red?", "check": true,
              "branches": [{ "when": "If so", "then": "restart it." }] },
            { "action": "Press refund.", "check": false, "branches": [] },
        ])
    );
    let none = body(bench.send(by(&mina, steps("prose.txt", 0))).await).await;
    assert_eq!((&none["steps"], &none["version"]), (&json!([]), &json!("")));
    refused(bench.send(by(&mina, steps("prose.txt", 1))).await, 404, "not_found").await;
    refused(bench.send(by(&mina, steps("hidden.txt", 0))).await, 404, "not_found").await;
    assert_eq!(bench.send(by(&sara, steps("hidden.txt", 0))).await.status(), 200);
    refused(bench.send(steps("how.txt", 0)).await, 401, "unauthenticated").await;
}

#[tokio::test]
async fn a_step_is_ticked_once_by_its_agent_or_a_supervisor_and_shown_to_whom_its_document_is_for() {
    let (bench, call, [mina, omid, sara]) = attended().await;
    while call.summary().participants.iter().all(|one| one.name.as_deref() != Some("mina")) {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    for (name, roles) in [("how.txt", ""), ("hidden.txt", "supervisor")] {
        assert_eq!(bench.send(by(&sara, upload(name, roles, STEPS))).await.status(), 204);
    }
    let found = body(bench.send(by(&mina, steps("how.txt", 0))).await).await;
    let path = format!("/api/calls/{}", call.id());
    let tick = |document: &str, version: &Value, step: u32, ticked: bool| {
        let body = json!({
            "document": document, "passage": 0, "version": version, "step": step, "ticked": ticked,
        });
        with_body("POST", &format!("{path}/steps"), &body)
    };
    let version = &found["version"];
    refused(bench.send(by(&omid, tick("how.txt", version, 1, true))).await, 403, "forbidden").await;
    refused(bench.send(by(&mina, tick("how.txt", version, 0, true))).await, 404, "not_found").await;
    refused(bench.send(by(&mina, tick("how.txt", version, 3, true))).await, 404, "not_found").await;
    refused(bench.send(by(&mina, tick("hidden.txt", version, 1, true))).await, 404, "not_found").await;
    refused(bench.send(by(&mina, tick("how.txt", &json!("0"), 1, true))).await, 409, "changed").await;
    for (who, document, step, ticked) in [
        (&mina, "how.txt", 1, true),
        (&mina, "how.txt", 1, true),
        (&mina, "how.txt", 2, false),
        (&sara, "how.txt", 2, true),
        (&sara, "how.txt", 1, false),
        (&sara, "hidden.txt", 2, true),
    ] {
        let response = bench.send(by(who, tick(document, version, step, ticked))).await;
        assert_eq!(response.status(), 204);
    }
    // Who of the supervisors does so is not told to agents, where nobody is told that one is there.
    for (who, shown, told) in [(&mina, vec!["how.txt"], ""), (&sara, vec!["how.txt", "hidden.txt"], "sara")] {
        let state = body(bench.send(by(who, get(&path))).await).await;
        let steps = state["state"]["steps"].as_array().unwrap();
        assert_eq!(steps.iter().map(|step| step["document"].as_str().unwrap()).collect::<Vec<_>>(), shown);
        assert!(steps.iter().all(|step| step["text"] == "Press refund." && step["by"] == told), "{steps:?}");
    }
    call.end(hangup()).await.unwrap();
    let all: Vec<CallEvent> = bench.store.events(call.id(), 0, 100).await.unwrap();
    let kept: Vec<(&str, u32, bool, &str)> = all
        .iter()
        .filter_map(|event| match &event.body {
            EventBody::Step(one) => Some((one.document.as_str(), one.step, one.ticked, one.by.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(
        kept,
        [
            ("how.txt", 1, true, "mina"),
            ("how.txt", 2, true, "sara"),
            ("how.txt", 1, false, "sara"),
            ("hidden.txt", 2, true, "sara"),
        ]
    );
    refused(bench.send(by(&mina, tick("how.txt", version, 1, true))).await, 404, "not_found").await;
}
