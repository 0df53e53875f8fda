//! Who is told of what happens, for admins.

use axum::http::StatusCode;
use serde_json::json;
use sotto_call::CallId;
use sotto_store::{Attempt, DeliveryState, EventKind, Listener, Role};

use crate::bench::{Bench, body, by, get, hangup, post, refused};

#[tokio::test]
async fn admins_see_who_is_told_what_and_have_it_sent_again() {
    let bench = Bench::new().await;
    for (name, role) in [("mina", Role::Agent), ("sara", Role::Supervisor), ("root", Role::Admin)] {
        bench.add_user(name, role).await;
    }
    bench.store.tell_to(vec![Listener {
        name: "erp".to_owned(),
        origin: "https://erp.example".to_owned(),
        kinds: [EventKind::CallEnded].into(),
    }]);
    let call = bench.begin("a");
    call.end(hangup()).await.unwrap();
    let root = bench.sign_in("root").await;
    let list =
        async |query: &str| body(bench.send(by(&root, get(&format!("/api/webhooks{query}")))).await).await;
    let told = list("").await;
    let endpoint = json!({ "name": "erp", "origin": "https://erp.example", "kinds": ["call.ended"],
        "waiting": 1, "done": 0, "dead": 0 });
    assert_eq!(told["endpoints"], json!([endpoint]));
    let delivery = &told["deliveries"][0];
    assert_eq!(
        [&delivery["endpoint"], &delivery["kind"], &delivery["state"]],
        ["erp", "call.ended", "waiting"]
    );
    assert_eq!((&delivery["call_id"], &delivery["tries"]), (&json!(call.id()), &json!(0)));

    let id = delivery["id"].as_str().unwrap().to_owned();
    let failed = Attempt {
        state: DeliveryState::Dead,
        due_at_unix_ms: 1,
        took_ms: 12,
        code: Some(410),
        error: Some("it answered 410".to_owned()),
    };
    assert!(bench.store.settle_delivery(id.parse().unwrap(), &failed, 2).await.unwrap());
    let dead = list("?state=dead&endpoint=erp").await["deliveries"][0].clone();
    assert_eq!((&dead["code"], &dead["took_ms"], &dead["tries"]), (&json!(410), &json!(12), &json!(1)));
    assert_eq!(list("?endpoint=other").await["deliveries"], json!([]));
    refused(bench.send(by(&root, get("/api/webhooks?state=lost"))).await, 400, "invalid").await;

    let again = format!("/api/webhooks/deliveries/{id}/send");
    let keys = [bench.sign_in("mina").await, bench.sign_in("sara").await, bench.key(&["crm:write"]).await];
    for who in keys {
        refused(bench.send(by(&who, get("/api/webhooks"))).await, 403, "forbidden").await;
        for path in [again.as_str(), "/api/webhooks/erp/test"] {
            refused(bench.send(by(&who, post(path, &json!({})))).await, 403, "forbidden").await;
        }
    }
    for path in [again.as_str(), "/api/webhooks/erp/test"] {
        assert_eq!(bench.send(by(&root, post(path, &json!({})))).await.status(), StatusCode::NO_CONTENT);
    }
    assert_eq!(list("").await["endpoints"][0]["waiting"], 2);
    let unknown = format!("/api/webhooks/deliveries/{}/send", CallId::new());
    for path in [unknown.as_str(), "/api/webhooks/other/test"] {
        refused(bench.send(by(&root, post(path, &json!({})))).await, 404, "not_found").await;
    }
}

#[tokio::test]
async fn every_kind_of_message_is_described() {
    let bench = Bench::new().await;
    let described = body(bench.send(get("/api/openapi.json")).await).await;
    let messages = described["webhooks"].as_object().unwrap();
    for kind in EventKind::ALL {
        let name = json!(kind);
        let message = &messages[name.as_str().unwrap()]["post"];
        let properties = &message["requestBody"]["content"]["application/json"]["schema"]["properties"];
        assert_eq!(properties["type"]["const"], name);
    }
}
