//! What calls came to, for those who may read them, and the jobs behind it, for admins.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use sotto_call::CallId;
use sotto_llm::Llm;
use sotto_llm::testing::{Fake, Reply};
use sotto_server::assist::Model;
use sotto_server::crm::CrmRules;
use sotto_server::follow_ups::FollowUpRules;
use sotto_server::hub::HubLimits;
use sotto_server::jobs::{self, JobLimits, Work};
use sotto_server::redaction::RedactionConfig;
use sotto_store::{JobState, Role};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, body, by, get, hangup, post, refused};
use crate::moods::feels;

/// By what numbers are read here: as they are written in Iran.
pub fn rules() -> CrmRules {
    CrmRules { country: Some("IR".parse().unwrap()), ..CrmRules::default() }
}

/// Works until all is done.
pub async fn work(bench: &Bench) {
    work_by(bench, FollowUpRules { crm: rules(), ..FollowUpRules::default() }).await;
}

/// The same by other rules.
pub async fn work_by(bench: &Bench, rules: FollowUpRules) {
    work_with(bench, jobs::built_in(bench.library.clone()), rules).await;
}

/// The same, with what is done.
async fn work_with(bench: &Bench, work: Work, rules: FollowUpRules) {
    let stop = CancellationToken::new();
    let limits = JobLimits { every: Duration::from_millis(1), ..JobLimits::default() };
    let run = jobs::run(bench.store.clone(), work, rules, limits, Arc::default(), stop.clone());
    let run = tokio::spawn(run);
    while bench.store.job_counts().await.unwrap().into_keys().any(|state| state != JobState::Done) {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    run.await.unwrap();
}

#[tokio::test]
async fn what_a_call_came_to_is_told_once_it_is_known_and_moods_only_to_those_who_see_them() {
    let see_moods = |settings: &mut sotto_server::http::HttpSettings| {
        settings.moods.seen_by = vec![Role::Supervisor, Role::Admin];
    };
    let bench = Bench::with(see_moods, HubLimits::default()).await;
    bench.add_user("mina", Role::Agent).await;
    bench.add_user("sara", Role::Supervisor).await;
    let (mina, sara) = (bench.sign_in("mina").await, bench.sign_in("sara").await);
    let call = bench.begin("a");
    feels(&call);
    let path = format!("/api/calls/{}/insight", call.id());
    let quality = format!("/api/calls/{}/quality", call.id());
    for path in [&path, &quality] {
        refused(bench.send(get(path)).await, 401, "unauthenticated").await;
        refused(bench.send(by(&mina, get(path))).await, 404, "not_yet").await;
    }
    call.end(hangup()).await.unwrap();
    refused(bench.send(by(&mina, get(&path))).await, 404, "not_yet").await;
    work(&bench).await;
    let told = async |who: &str| body(bench.send(by(who, get(&path))).await).await;
    let (agent, supervisor) = (told(&mina).await, told(&sara).await);
    assert_eq!((&agent["sentiment"], &agent["arc"]), (&Value::Null, &Value::Null));
    let felt = [&supervisor["sentiment"], &supervisor["arc"]["trend"]];
    assert_eq!(felt, ["negative", "falling"]);
    assert_eq!(agent["summary_bullets"], supervisor["summary_bullets"]);
    let reads = bench.key(&["calls:read"]).await;
    assert_eq!(told(&reads).await, agent, "a key that may read sees what agents see");
    let judged = body(bench.send(by(&mina, get(&quality))).await).await;
    assert!(judged["questions"].is_array(), "{judged}");
    // Kept for a time of their own.
    bench.store.forget_moods(u64::from(u32::MAX) * 1_000).await.unwrap();
    assert_eq!(told(&sara).await, agent);

    let nothing = bench.key(&["metrics:read"]).await;
    refused(bench.send(by(&nothing, get(&path))).await, 403, "forbidden").await;
    let unknown = format!("/api/calls/{}/insight", CallId::new());
    refused(bench.send(by(&mina, get(&unknown))).await, 404, "not_found").await;
}

#[tokio::test]
async fn a_summary_by_a_model_is_told_to_all_and_moods_to_those_alone_who_see_them() {
    let see_moods = |settings: &mut sotto_server::http::HttpSettings| {
        settings.moods.seen_by = vec![Role::Supervisor];
    };
    let bench = Bench::with(see_moods, HubLimits::default()).await;
    bench.add_user("mina", Role::Agent).await;
    bench.add_user("sara", Role::Supervisor).await;
    let call = bench.begin("a");
    feels(&call);
    call.end(hangup()).await.unwrap();
    let said = json!({
        "entities": [], "lead_stage_suggestion": [], "next_actions": [], "urgency": [],
        "summary_bullets": [{ "utterances": [1], "value": "The customer has called three times." }],
    });
    let fake = Fake::in_turn(vec![Reply::Says(said.to_string())]).await;
    let (llm, redaction) = (Llm::new(fake.settings()).unwrap(), RedactionConfig::default());
    let model = Model { llm, redaction, patience: Duration::from_secs(20) };
    let stop = CancellationToken::new();
    let by_model = jobs::by_model(bench.library.clone(), model, Handle::current(), stop);
    work_with(&bench, by_model, FollowUpRules { crm: rules(), ..FollowUpRules::default() }).await;
    let path = format!("/api/calls/{}/insight", call.id());
    for (who, felt) in [("mina", Value::Null), ("sara", json!("negative"))] {
        let told = body(bench.send(by(&bench.sign_in(who).await, get(&path))).await).await;
        assert_eq!(told["summary_bullets"], json!(["The customer has called three times."]), "{who}");
        assert_eq!((&told["written_by"]["model"], &told["sentiment"]), (&json!("fake"), &felt), "{who}");
        assert!(told.get("being_written").is_none(), "{who}");
    }
    assert_eq!(fake.asked().len(), 1, "one draft serves both");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_that_what_a_call_came_to_will_never_be_known_while_it_is_being_made() {
    let bench = Bench::new().await;
    bench.add_user("mina", Role::Agent).await;
    let mina = bench.sign_in("mina").await;
    let stop = CancellationToken::new();
    let limits = JobLimits { every: Duration::from_millis(1), ..JobLimits::default() };
    let work = jobs::built_in(bench.library.clone());
    let run =
        jobs::run(bench.store.clone(), work, FollowUpRules::default(), limits, Arc::default(), stop.clone());
    let run = tokio::spawn(run);
    for n in 0..50 {
        let call = bench.begin(&n.to_string());
        let path = format!("/api/calls/{}/insight", call.id());
        let until_known = async {
            loop {
                let answer = bench.send(by(&mina, get(&path))).await;
                if answer.status() == StatusCode::OK {
                    break;
                }
                refused(answer, 404, "not_yet").await;
            }
        };
        let (ended, ()) = tokio::join!(call.end(hangup()), until_known);
        ended.unwrap();
    }
    stop.cancel();
    run.await.unwrap();
}

#[tokio::test]
async fn admins_see_what_is_done_after_calls_and_have_it_done_again() {
    let bench = Bench::new().await;
    for (name, role) in [("mina", Role::Agent), ("sara", Role::Supervisor), ("root", Role::Admin)] {
        bench.add_user(name, role).await;
    }
    let root = bench.sign_in("root").await;
    let call = bench.begin("a");
    call.end(hangup()).await.unwrap();
    let list = async |query: &str| body(bench.send(by(&root, get(&format!("/api/jobs{query}")))).await).await;
    let waiting = list("").await;
    let job = &waiting["jobs"][0];
    assert_eq!((&waiting["waiting"], &waiting["done"]), (&json!(1), &json!(0)));
    assert_eq!([&job["step"], &job["state"]], ["review", "waiting"]);
    assert_eq!(job["call_id"], call.id().to_string());
    let again = format!("/api/jobs/{}/run", job["id"].as_str().unwrap());
    let keys = [bench.sign_in("mina").await, bench.sign_in("sara").await, bench.key(&["calls:read"]).await];
    for who in keys {
        refused(bench.send(by(&who, get("/api/jobs"))).await, 403, "forbidden").await;
        refused(bench.send(by(&who, post(&again, &json!({})))).await, 403, "forbidden").await;
    }
    work(&bench).await;
    assert_eq!(list("?state=done").await["jobs"].as_array().unwrap().len(), 1);
    assert_eq!(list("?state=dead").await["jobs"], json!([]));
    refused(bench.send(by(&root, get("/api/jobs?state=lost"))).await, 400, "invalid").await;
    assert_eq!(bench.send(by(&root, post(&again, &json!({})))).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(list("").await["waiting"], 1);
    let other = format!("/api/jobs/{}/run", CallId::new());
    refused(bench.send(by(&root, post(&other, &json!({})))).await, 404, "not_found").await;
}
