use axum::http::{StatusCode, header};
use sotto_call::CallEvent;
use sotto_server::http::openapi;
use sotto_server::hub::HubLimits;

use crate::bench::{Bench, body, by, bytes, get, hangup, post, refused, utterance};

async fn text(bench: &Bench, path: &str) -> String {
    let response = bench.send(get(path)).await;
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    String::from_utf8(bytes(response).await).unwrap()
}

#[tokio::test]
async fn readiness_waits_for_what_no_calls_are_taken_without() {
    let bench = Bench::new().await;
    assert_eq!(text(&bench, "/healthz").await, "ok");
    bench.readiness.waiting("tls", "no certificate");
    bench.readiness.waiting("sip", "not started");
    let response = bench.send(get("/readyz")).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let reasons = body(response).await;
    assert_eq!((&reasons["ready"], &reasons["waiting"]["tls"]), (&false.into(), &"no certificate".into()));
    bench.readiness.ready("tls");
    bench.readiness.ready("sip");
    assert_eq!(bench.send(get("/readyz")).await.status(), StatusCode::OK);
    bench.store.close().await;
    let ready = bench.send(get("/readyz")).await;
    assert_eq!(ready.status(), StatusCode::OK, "calls go on, and what they say is kept for later");
    assert_eq!(body(ready).await["degraded"]["store"], "the database does not answer");
    assert_eq!(text(&bench, "/healthz").await, "ok");
    let key = format!("sotto_{}", "0".repeat(64));
    let failed = bench.send(by(&key, get("/api/calls"))).await;
    refused(failed, 503, "store").await;
}

#[tokio::test]
async fn what_calls_do_without_is_said_while_they_are_taken() {
    let bench = Bench::new().await;
    let key = bench.key(&["calls:read"]).await;
    bench.readiness.degraded("disk", Some("9 MB are left for the data folder".to_owned()));
    let ready = bench.send(get("/readyz")).await;
    assert_eq!(ready.status(), StatusCode::OK);
    let expected = serde_json::json!({ "disk": "9 MB are left for the data folder" });
    assert_eq!(body(ready).await["degraded"], expected);
    assert_eq!(body(bench.send(by(&key, get("/api/status"))).await).await["degraded"], expected);
    bench.readiness.degraded("disk", None);
    assert_eq!(body(bench.send(get("/readyz")).await).await["degraded"], serde_json::json!({}));
}

#[tokio::test]
async fn figures_tell_of_calls_and_the_store() {
    let bench = Bench::new().await;
    let call = bench.begin("a");
    call.publish(utterance(1, "word", true));
    call.end(hangup()).await.unwrap();
    bench.begin("b");
    let figures = text(&bench, "/metrics").await;
    for line in ["sotto_calls_live 1", "sotto_calls_begun_total 2", "sotto_store_errors_total 0", "# EOF"] {
        assert!(figures.lines().any(|found| found.starts_with(line)), "{line} is not in\n{figures}");
    }
    let key = bench.key(&["calls:read"]).await;
    let status = body(bench.send(by(&key, get("/api/status"))).await).await;
    assert_eq!(
        (&status["calls"]["live"], &status["speech"]["models"]["default"]),
        (&1.into(), &"base".into())
    );
    assert_eq!(status["store"]["kind"], "sqlite");
    assert!(status["lag"]["store_ms"].is_u64() && status["version"].is_string());
}

#[tokio::test]
async fn figures_can_be_closed() {
    let bench = Bench::with(|settings| settings.open_metrics = false, HubLimits::default()).await;
    refused(bench.send(get("/metrics")).await, 401, "unauthenticated").await;
    let wrong = bench.key(&["calls:read"]).await;
    refused(bench.send(by(&wrong, get("/metrics"))).await, 403, "forbidden").await;
    let key = bench.key(&["metrics:read"]).await;
    assert_eq!(bench.send(by(&key, get("/metrics"))).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn the_interface_describes_itself() {
    let bench = Bench::new().await;
    let described = body(bench.send(get("/api/openapi.json")).await).await;
    assert_eq!(described, openapi());
    assert!(described["paths"]["/api/calls/{id}/live"]["get"].is_object());
    assert!(text(&bench, "/api/docs").await.contains("/api/calls/{id}/recording"));
    assert!(text(&bench, "/api/docs/style.css").await.contains("main"));
    let schema = body(bench.send(get("/api/schema/call-event.json")).await).await;
    assert_eq!(schema["title"], "CallEvent");
    // The example of a reader: what the schema requires is there.
    let event = serde_json::to_value(CallEvent {
        seq: 1,
        at_ms: sotto_call::Millis(2),
        body: utterance(1, "a", true),
    });
    assert!(schema.to_string().contains("utterance") && event.unwrap()["kind"] == "utterance");
}

#[tokio::test]
async fn no_text_has_a_nul_and_methods_that_are_not_taken_are_named() {
    let bench = Bench::new().await;
    let key = bench.key(&["admin"]).await;
    for path in
        ["/api/leads?q=a%00b", "/api/tasks?assignee=%00", "/api/knowledge/documents/a%00b", "/api/%00"]
    {
        refused(bench.send(by(&key, get(path))).await, 400, "invalid").await;
    }
    let company = |name: &str| by(&key, post("/api/companies", &serde_json::json!({ "name": name })));
    refused(bench.send(company("a\0b")).await, 400, "invalid").await;
    assert_eq!(bench.send(company("a\\u0000b")).await.status(), StatusCode::CREATED);

    let missing = bench.send(by(&key, post("/api/status", &serde_json::json!({})))).await;
    let allowed = missing.headers()[header::ALLOW].to_str().unwrap().to_owned();
    assert!(allowed.contains("GET") && !allowed.contains("POST"), "{allowed}");
    refused(missing, 405, "method_not_allowed").await;
}

#[tokio::test]
async fn every_answer_is_guarded_and_unknown_pages_are_the_pages_own() {
    let bench = Bench::new().await;
    for path in ["/", "/calls/abc", "/api/calls", "/healthz", "/api/nothing", "/missing.js", "/api/docs"] {
        let response = bench.send(get(path)).await;
        let headers = response.headers();
        assert!(headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().contains("default-src 'none'"));
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        assert_eq!(headers[header::X_FRAME_OPTIONS], "DENY", "{path}");
    }
    refused(bench.send(get("/missing.js")).await, 404, "not_found").await;
    refused(bench.send(get("/assets/../../Cargo.toml")).await, 404, "not_found").await;
    refused(bench.send(get("/api/nothing")).await, 404, "not_found").await;
    // Built or not, the page answers with a page.
    for path in ["/", "/calls/abc"] {
        let response = bench.send(get(path)).await;
        assert!(
            response.headers()[header::CONTENT_TYPE].to_str().unwrap().starts_with("text/html"),
            "{path}"
        );
        assert!(String::from_utf8(bytes(response).await).unwrap().contains("Sotto"));
    }
}

#[tokio::test]
async fn whoever_connects_something_is_told_whether_it_works() {
    let bench = Bench::new().await;
    let path = "/api/voip/test-connection";
    refused(bench.send(get(path)).await, 401, "unauthenticated").await;
    let wrong = bench.key(&["metrics:read"]).await;
    refused(bench.send(by(&wrong, get(path))).await, 403, "forbidden").await;
    let key = bench.key(&["calls:read"]).await;
    bench.readiness.waiting("sip", "not listening yet");
    bench.readiness.waiting("speech", "the models are being loaded");
    let not_yet = body(bench.send(by(&key, get(path))).await).await;
    assert_eq!((&not_yet["ok"], &not_yet["name"]), (&false.into(), &"key:test".into()));
    assert_eq!(not_yet["waiting"]["sip"], "not listening yet");
    bench.readiness.ready("sip");
    let works = body(bench.send(by(&key, post(path, &serde_json::json!({})))).await).await;
    assert_eq!(
        (&works["ok"], &works["waiting"]["speech"]),
        (&true.into(), &"the models are being loaded".into())
    );
}
