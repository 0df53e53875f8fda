//! Who may do what: every route that the description of the interface has, asked by everybody of the server itself.

use std::path::Path;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use sotto_call::{CallId, EventBody, Participant, Participants, Party};
use sotto_server::http::openapi;
use sotto_server::hub::LiveCall;
use sotto_server::people;
use sotto_store::Role;

use crate::bench::{Bench, PASSWORD, body, by, bytes, get, hangup, post, refused, utterance, with_body};
use crate::review::work;

/// Everybody there is: people, a program that may propose alone (as the AI service's), and whoever has not signed in.
const ALL: &str = "agent reviewer supervisor admin program nobody";
const SIGNED_IN: &str = "agent reviewer supervisor admin program";
const PERSONS: &str = "agent reviewer supervisor admin";
const WORKERS: &str = "agent supervisor admin";
const PROPOSERS: &str = "agent supervisor admin program";
const JUDGES: &str = "reviewer supervisor admin";
const LEADERS: &str = "supervisor admin";
const ADMINS: &str = "admin";

/// Who may ask for what, of a call that is over: an agent of whose it was, a reviewer of the same team. Nobody else may. What
/// belongs to a session of one's own (WHIP, WHEP) everybody may ask for, who has none.
const RIGHTS: &[(&str, &[&str])] = &[
    (ALL, &["GET /healthz", "GET /readyz", "GET /metrics", "POST /api/session"]),
    (
        SIGNED_IN,
        &[
            "DELETE /api/session",
            "PATCH /api/whip/{session}",
            "DELETE /api/whip/{session}",
            "PATCH /api/calls/{id}/whep/{session}",
            "DELETE /api/calls/{id}/whep/{session}",
        ],
    ),
    (
        PERSONS,
        &[
            "GET /api/session",
            "PUT /api/session/password",
            "GET /api/status",
            "GET /api/voip/test-connection",
            "POST /api/voip/test-connection",
            "GET /api/calls",
            "GET /api/calls/{id}",
            "GET /api/calls/{id}/events",
            "GET /api/calls/{id}/live",
            "GET /api/calls/{id}/recording",
            "GET /api/calls/{id}/insight",
            "GET /api/calls/{id}/quality",
            "GET /api/calls/{id}/quality/reviews",
            "POST /api/calls/{id}/quality/replies",
            "GET /api/review/calls",
        ],
    ),
    (
        JUDGES,
        &[
            "PUT /api/calls/{id}/quality/review",
            "PUT /api/calls/{id}/flag",
            "GET /api/quality/agreement",
            "GET /api/quality/examples",
        ],
    ),
    (
        WORKERS,
        &[
            "GET /api/live",
            "GET /api/desk",
            "GET /api/phone",
            "GET /api/missed",
            "PUT /api/missed/{id}/handled",
            "POST /api/whip",
            "PUT /api/calls/{id}/outcome",
            "POST /api/calls/{id}/consent",
            "POST /api/calls/{id}/prompts/{prompt_id}/answer",
            "POST /api/calls/{id}/cards/{card_id}/answer",
            "POST /api/calls/{id}/steps",
            "GET /api/calls/{id}/contact",
            "POST /api/ai/assist/search",
            "POST /api/ai/assist/answer",
            "POST /api/ai/assist/draft",
            "GET /api/knowledge/documents",
            "GET /api/knowledge/documents/{id}",
            "GET /api/knowledge/pathways/{id}",
            "GET /api/leads",
            "POST /api/leads",
            "GET /api/leads/{id}",
            "PUT /api/leads/{id}",
            "GET /api/leads/{id}/communication",
            "GET /api/leads/{id}/opt-outs",
            "PUT /api/leads/{id}/opt-outs",
            "GET /api/companies",
            "POST /api/companies",
            "GET /api/companies/{id}",
            "PUT /api/companies/{id}",
            "GET /api/tasks",
            "PUT /api/tasks/{id}",
            "GET /api/follow-ups",
            "PUT /api/follow-ups/{id}",
            "POST /api/follow-ups/{id}/approve",
            "POST /api/follow-ups/{id}/dismiss",
            "POST /api/follow-ups/{id}/resolve",
            "GET /api/follow-ups/{id}/speech",
            "GET /api/leads/{id}/tickets",
            "POST /api/leads/{id}/tickets",
            "GET /api/tickets",
            "GET /api/tickets/{id}",
            "PUT /api/tickets/{id}",
            "GET /api/leads/{id}/payments",
            "POST /api/leads/{id}/payments",
            "GET /api/payments",
            "GET /api/payments/{id}",
            "PUT /api/payments/{id}",
            "GET /api/leads/{id}/preparation",
            "PUT /api/leads/{id}/preparation",
            "POST /api/leads/{id}/voice-notes",
        ],
    ),
    (PROPOSERS, &["POST /api/leads/{id}/communication", "POST /api/tasks", "POST /api/follow-ups"]),
    (
        LEADERS,
        &[
            "GET /api/dashboard",
            "POST /api/calls/{id}/whep",
            "DELETE /api/leads/{id}",
            "POST /api/leads/{id}/merge",
            "GET /api/leads/{id}/export",
            "GET /api/leads/export",
            "POST /api/leads/import",
            "DELETE /api/companies/{id}",
            "GET /api/payments/export",
            "POST /api/payments/import",
            "GET /api/intents",
            "POST /api/intents",
            "PUT /api/intents/{name}",
            "PUT /api/intents/{name}/playbook",
            "DELETE /api/intents/{name}",
            "POST /api/intent-examples",
            "DELETE /api/intent-examples",
            "POST /api/knowledge/documents",
            "DELETE /api/knowledge/documents/{id}",
            "GET /api/knowledge/gaps",
            "PUT /api/knowledge/gaps/{id}",
            "GET /api/knowledge/health",
            "POST /api/voip/events/call-ended",
            "GET /api/recordings",
            "POST /api/recordings",
            "POST /api/recordings/{id}/run",
            "DELETE /api/recordings/{id}",
        ],
    ),
    (
        ADMINS,
        &[
            "POST /api/leads/{id}/erase",
            "GET /api/users",
            "POST /api/users",
            "PATCH /api/users/{name}",
            "GET /api/teams",
            "PATCH /api/teams/{name}",
            "PATCH /api/knowledge/documents/{id}",
            "GET /api/keys",
            "POST /api/keys",
            "DELETE /api/keys/{id}",
            "GET /api/audit",
            "GET /api/jobs",
            "POST /api/jobs/{id}/run",
            "GET /api/webhooks",
            "POST /api/webhooks/{name}/test",
            "POST /api/webhooks/deliveries/{id}/send",
        ],
    ),
];

/// A body that a route understands; what is not here has none, or none that is looked at before rights are.
fn body_of(route: &str, call: CallId) -> Value {
    let id = CallId::new().to_string();
    match route {
        "POST /api/session" => json!({ "name": "nobody", "password": "wrong password" }),
        "PUT /api/session/password" => json!({ "old": "wrong password", "new": "another password" }),
        "POST /api/calls/{id}/quality/replies" => json!({ "text": "Thank you." }),
        "PUT /api/calls/{id}/quality/review" => json!({ "version": 0 }),
        "PUT /api/calls/{id}/flag" => json!({ "flagged": true }),
        "PUT /api/calls/{id}/outcome" => json!({ "outcome": "none of ours" }),
        "POST /api/calls/{id}/consent" => json!({ "mood": false }),
        "POST /api/calls/{id}/prompts/{prompt_id}/answer" => json!({ "answer": "dismissed" }),
        "POST /api/calls/{id}/cards/{card_id}/answer" => json!({ "answer": "wrong" }),
        "POST /api/calls/{id}/steps" => {
            json!({ "document": "a.txt", "passage": 0, "version": "", "step": 1, "ticked": true })
        }
        "POST /api/ai/assist/search" => json!({ "query": "refund" }),
        "POST /api/ai/assist/answer" => json!({ "question": "How long does a refund take?" }),
        "POST /api/ai/assist/draft" => {
            json!({ "callId": call.to_string(), "about": "refund", "tone": "friendly",
            "language": "en", "channel": "email" })
        }
        "POST /api/leads" => json!({ "name": "Sara" }),
        "PUT /api/leads/{id}" => json!({ "version": 1, "kind": "lead", "stage": "new", "name": "Sara" }),
        "POST /api/leads/{id}/merge" => json!({ "version": 1, "other": id, "other_version": 1 }),
        "POST /api/leads/{id}/communication" => json!({ "type": "note", "content": "Called." }),
        "PUT /api/leads/{id}/opt-outs" => json!({ "version": 1, "channels": [] }),
        "POST /api/leads/{id}/tickets" => json!({ "title": "The card is lost" }),
        "PUT /api/tickets/{id}" => json!({ "version": 1, "state": "open", "title": "The card is lost" }),
        "POST /api/leads/{id}/payments" => json!({ "amount": "12.50", "currency": "EUR" }),
        "PUT /api/payments/{id}" => {
            json!({ "version": 1, "state": "due", "amount": "12.50", "currency": "EUR" })
        }
        "PUT /api/leads/{id}/preparation" => json!({ "version": 0, "text": "Ask for the card." }),
        "POST /api/companies" => json!({ "name": "Harper" }),
        "PUT /api/companies/{id}" => json!({ "version": 1, "name": "Harper" }),
        "POST /api/tasks" => json!({ "lead_id": id, "type": "task" }),
        "PUT /api/tasks/{id}" => json!({ "version": 1, "state": "open", "type": "task" }),
        "POST /api/follow-ups" => json!({ "lead_id": id, "channel": "webhook", "text": "Hello" }),
        "PUT /api/follow-ups/{id}" => json!({ "version": 1, "channel": "webhook", "text": "Hello" }),
        "POST /api/follow-ups/{id}/approve" | "POST /api/follow-ups/{id}/dismiss" => json!({ "version": 1 }),
        "POST /api/follow-ups/{id}/resolve" => json!({ "version": 1, "sent": true }),
        "POST /api/intents" => json!({ "name": "refund", "title": { "en": "Refund" } }),
        "PUT /api/intents/{name}" => json!({ "title": { "en": "Refund" }, "alert": false }),
        "PUT /api/intents/{name}/playbook" => json!({ "steps": [] }),
        "POST /api/intent-examples" | "DELETE /api/intent-examples" => {
            json!({ "text": "I want my money back" })
        }
        "PUT /api/knowledge/gaps/{id}" => json!({ "state": "hidden" }),
        "POST /api/voip/events/call-ended" => {
            json!({ "callId": "17", "recordingUrl": "https://pbx.example/17.wav" })
        }
        "PATCH /api/knowledge/documents/{id}" => json!({ "teams": ["cards"] }),
        "PATCH /api/teams/{name}" => json!({ "name": "loans" }),
        "POST /api/users" => json!({ "name": "eve", "role": "agent" }),
        "POST /api/keys" => json!({ "name": "x", "scopes": ["calls:read"] }),
        _ => json!({}),
    }
}

/// A route with its gaps filled: of a call this one, of all else what there is not.
fn filled(path: &str, call: CallId) -> String {
    let id = match path {
        _ if path.starts_with("/api/calls/") => call.to_string(),
        _ if path.starts_with("/api/knowledge/") && !path.contains("/gaps/") => "a.txt".to_owned(),
        _ => CallId::new().to_string(),
    };
    let path = path.replace("{id}", &id).replace("{session}", &CallId::new().to_string());
    let path = path.replace("{prompt_id}", "1").replace("{card_id}", "1").replace("{name}", "nobody");
    match path.as_str() {
        "/api/whip" => format!("{path}?call=a"),
        "/api/recordings" | "/api/knowledge/documents" => format!("{path}?name=a.txt"),
        _ if path.ends_with("/voice-notes") => format!("{path}?name=a.wav"),
        "/api/knowledge/pathways/a.txt" => format!("{path}?passage=0"),
        _ => path,
    }
}

/// What went wrong, if anything did.
async fn code(response: Response<Body>) -> String {
    match response.status().is_success() {
        true => String::new(),
        false => body(response).await["error"]["code"].as_str().unwrap_or_default().to_owned(),
    }
}

async fn add(bench: &Bench, name: &str, role: Role, team: &str) -> String {
    let password = Some(PASSWORD.to_owned());
    people::add_user(&bench.store, name, role, Some(team), password, 1).await.unwrap();
    bench.sign_in(name).await
}

/// A recorded call of an agent's, in which something is said.
fn call_of(bench: &Bench, agent: &str) -> LiveCall {
    let call = bench.begin_recorded("a", Some("a.wav"));
    let agent = Participant { party: Party::Agent, aor: None, name: Some(agent.to_owned()) };
    call.publish(EventBody::Participants(Participants { participants: vec![agent] }));
    call.publish(utterance(1, "My card is lost.", true));
    call
}

/// A route that is new fails here until it is said who may ask for it.
#[tokio::test]
async fn every_route_is_for_those_whom_it_is_for_and_for_nobody_else() {
    let bench = Bench::new().await;
    let mut everybody = Vec::new();
    for (name, role) in ["agent", "reviewer", "supervisor", "admin"].into_iter().zip(Role::ALL) {
        everybody.push((name, Some(add(&bench, name, role, "cards").await)));
    }
    everybody.extend([("program", Some(bench.key(&["crm:propose"]).await)), ("nobody", None)]);
    let call = call_of(&bench, "agent");
    call.end(hangup()).await.unwrap();
    work(&bench).await;
    let mut wrong = Vec::new();
    let mut known = 0;
    for (path, methods) in openapi()["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let route = format!("{} {path}", method.to_uppercase());
            let Some((may, _)) = RIGHTS.iter().find(|(_, routes)| routes.contains(&route.as_str())) else {
                wrong.push(format!("{route}: nobody has said who may"));
                continue;
            };
            known += 1;
            for (name, who) in &everybody {
                let to = filled(path, call.id());
                let request = match method.as_str() {
                    "get" => get(&to),
                    _ => with_body(&method.to_uppercase(), &to, &body_of(&route, call.id())),
                };
                // Who signs out is signed in anew.
                let again = match route.as_str() == "DELETE /api/session" && PERSONS.contains(name) {
                    true => Some(bench.sign_in(name).await),
                    false => None,
                };
                let request = match again.as_ref().or(who.as_ref()) {
                    Some(who) => by(who, request),
                    None => request,
                };
                let code = code(bench.send(request).await).await;
                // These take SDP, which is looked at once it is known who sends it.
                let is_sdp = path.ends_with("/whip") || path.ends_with("/whep");
                let is_right = match (may.split(' ').any(|one| one == *name), who) {
                    (true, _) if code == "invalid_body" => is_sdp,
                    (true, _) => !["forbidden", "unauthenticated"].contains(&code.as_str()),
                    (false, Some(_)) => code == "forbidden",
                    (false, None) => code == "unauthenticated",
                };
                if !is_right {
                    wrong.push(format!("{route} by {name}: {code:?}"));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(known, RIGHTS.iter().map(|(_, routes)| routes.len()).sum::<usize>(), "there are no others");
}

/// Else the test before this one would know nothing of it. The page, and the description itself, are open to everybody.
#[test]
fn every_route_is_in_the_description_of_the_interface() {
    const METHODS: [(&str, &str); 6] = [
        ("get", "get"),
        ("any", "get"),
        ("post", "post"),
        ("put", "put"),
        ("patch", "patch"),
        ("delete", "delete"),
    ];
    let (api, mut routes, mut missing) = (openapi(), 0, Vec::new());
    for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http")).unwrap() {
        let file = file.unwrap().path();
        if file.ends_with("docs.rs") || file.ends_with("web.rs") {
            continue;
        }
        let source = std::fs::read_to_string(&file).unwrap();
        for route in source.split(".route(").skip(1) {
            let literal = route.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"'));
            let Some((path, handlers)) = literal else { continue };
            let handlers = handlers.split("\n}").next().unwrap_or_default();
            let path = match path {
                "/healthz" | "/readyz" | "/metrics" => path.to_owned(),
                _ => format!("/api{path}").replace("{*id}", "{id}"),
            };
            for (method, described) in METHODS {
                if [" ", "."].iter().any(|before| handlers.contains(&format!("{before}{method}("))) {
                    routes += 1;
                    if api["paths"][&path][described].is_null() {
                        missing.push(format!("{described} {path}"));
                    }
                }
            }
        }
    }
    assert!(routes > 90, "{routes}");
    assert_eq!(missing, Vec::<String>::new());
}

/// What reviewers do with a call.
fn requests(call: CallId) -> Vec<Request<Body>> {
    let path = format!("/api/calls/{call}");
    let mut requests: Vec<Request<Body>> =
        ["", "/events", "/recording", "/insight", "/quality", "/quality/reviews"]
            .iter()
            .map(|what| get(&format!("{path}{what}")))
            .collect();
    requests.extend([
        with_body("PUT", &format!("{path}/quality/review"), &json!({ "version": 0 })),
        with_body("PUT", &format!("{path}/flag"), &json!({ "flagged": true })),
        post(&format!("{path}/quality/replies"), &json!({ "text": "Well done." })),
    ]);
    requests
}

#[tokio::test]
async fn reviewers_see_and_judge_calls_of_their_team_that_are_over_and_no_others() {
    let bench = Bench::new().await;
    std::fs::write(bench.folder.path().join("a.wav"), "RIFF").unwrap();
    for (name, team) in [("mina", "cards"), ("omid", "loans"), ("reza", "")] {
        add(&bench, name, Role::Agent, team).await;
    }
    let nima = add(&bench, "nima", Role::Reviewer, "cards").await;
    let lida = add(&bench, "lida", Role::Reviewer, "loans").await;
    let rita = add(&bench, "rita", Role::Reviewer, "").await;
    let mut calls = Vec::new();
    for agent in ["mina", "omid", "reza"] {
        let call = call_of(&bench, agent);
        call.end(hangup()).await.unwrap();
        calls.push(call.id());
    }
    let [cards, loans, none] = calls[..] else { panic!("three calls") };
    work(&bench).await;
    let live = call_of(&bench, "mina");
    bench.hub.writer().flush().await;
    for (who, theirs) in [(&nima, cards), (&lida, loans), (&rita, none)] {
        for call in [cards, loans, none, live.id(), CallId::new()] {
            for request in requests(call) {
                let asked = format!("{} {}", request.method(), request.uri());
                let response = bench.send(by(who, request)).await;
                if call == theirs {
                    assert!(response.status().is_success(), "{asked}: {}", response.status());
                } else {
                    refused(response, 403, "forbidden").await;
                }
            }
            // Nor is one followed that goes on.
            let follows = bench.send(by(who, get(&format!("/api/calls/{call}/live")))).await;
            let status = if call == theirs { StatusCode::UPGRADE_REQUIRED } else { StatusCode::FORBIDDEN };
            assert_eq!(follows.status(), status);
        }
        let ids = |list: &Value| -> Vec<String> {
            let calls = list["calls"].as_array().unwrap().iter();
            calls.map(|one| one.get("call").unwrap_or(one)["id"].as_str().unwrap().to_owned()).collect()
        };
        for path in
            ["/api/calls", "/api/calls?state=ended", "/api/review/calls", "/api/review/calls?said=card"]
        {
            assert_eq!(
                ids(&body(bench.send(by(who, get(path))).await).await),
                [theirs.to_string()],
                "{path}"
            );
        }
        for path in ["/api/calls?state=live", "/api/review/calls?agent=nobody"] {
            assert!(ids(&body(bench.send(by(who, get(path))).await).await).is_empty(), "{path}");
        }
        let examples = bytes(bench.send(by(who, get("/api/quality/examples"))).await).await;
        let examples = String::from_utf8(examples).unwrap();
        assert!(
            examples.lines().count() > 0 && examples.lines().all(|line| line.contains(&theirs.to_string()))
        );
    }
    // Whoever goes to another team leaves its calls behind, also those that they have judged.
    people::set_team(&bench.store, "nima", "loans").await.unwrap().unwrap();
    for request in requests(cards) {
        refused(bench.send(by(&nima, request)).await, 403, "forbidden").await;
    }
    let examples = bytes(bench.send(by(&nima, get("/api/quality/examples"))).await).await;
    assert!(examples.is_empty(), "{}", String::from_utf8_lossy(&examples));
    assert!(bench.send(by(&nima, get(&format!("/api/calls/{loans}")))).await.status().is_success());
}

/// A recorder that tells addresses alone: the call was among those of the agent, who could not hear it.
#[tokio::test]
async fn an_agent_who_is_told_by_their_address_alone_hears_what_they_find() {
    let bench = Bench::new().await;
    std::fs::write(bench.folder.path().join("a.wav"), "RIFF").unwrap();
    let theirs = add(&bench, "1002", Role::Agent, "").await;
    let others = add(&bench, "pbx.example", Role::Agent, "").await;
    let call = bench.begin_recorded("a", Some("a.wav"));
    call.publish(utterance(1, "My card is lost.", true));
    call.end(hangup()).await.unwrap();
    work(&bench).await;
    let path = format!("/api/calls/{}/recording", call.id());
    for (who, is_theirs) in [(&theirs, true), (&others, false)] {
        let found = body(bench.send(by(who, get("/api/review/calls"))).await).await;
        assert_eq!(found["calls"].as_array().unwrap().len(), usize::from(is_theirs));
        let heard = bench.send(by(who, get(&path))).await.status();
        assert_eq!(heard, if is_theirs { StatusCode::OK } else { StatusCode::FORBIDDEN });
    }
}

#[tokio::test]
async fn agents_hear_their_own_recordings_and_nobody_elses() {
    let bench = Bench::new().await;
    std::fs::write(bench.folder.path().join("a.wav"), "RIFF").unwrap();
    let mina = add(&bench, "mina", Role::Agent, "cards").await;
    let omid = add(&bench, "omid", Role::Agent, "cards").await;
    let sara = add(&bench, "sara", Role::Supervisor, "").await;
    // As a telephone system may write it.
    let call = call_of(&bench, "Mina");
    bench.hub.writer().flush().await;
    let path = format!("/api/calls/{}/recording", call.id());
    let hears = async |who: &str| bench.send(by(who, get(&path))).await;
    for _ in 0..2 {
        assert_eq!(hears(&mina).await.status(), StatusCode::OK);
        assert_eq!(hears(&sara).await.status(), StatusCode::OK);
        refused(hears(&omid).await, 403, "forbidden").await;
        let shown = async |who: &str| {
            body(bench.send(by(who, get(&format!("/api/calls/{}", call.id())))).await).await
        };
        let recordings = [shown(&mina).await, shown(&omid).await].map(|one| one["call"]["recording"].clone());
        assert_eq!(recordings, [json!(true), json!(false)], "nor are they told that there is one to hear");
        // Once more when it is over.
        if bench.hub.get(call.id()).is_some() {
            let _ = call.end(hangup()).await;
        }
    }
    // Whoever has handed a call over has had it.
    let call = call_of(&bench, "mina");
    let now = Participant { party: Party::Agent, aor: None, name: Some("omid".to_owned()) };
    call.publish(EventBody::Participants(Participants { participants: vec![now] }));
    call.end(hangup()).await.unwrap();
    let path = format!("/api/calls/{}/recording", call.id());
    for who in [&mina, &omid] {
        assert_eq!(bench.send(by(who, get(&path))).await.status(), StatusCode::OK);
    }
    let unknown = format!("/api/calls/{}/recording", CallId::new());
    refused(bench.send(by(&mina, get(&unknown))).await, 404, "not_found").await;
}

/// Nobody was on it but the contact: no agent heard it, not even who had added it.
#[tokio::test]
async fn a_voice_note_is_heard_by_every_agent_as_it_is_read() {
    let bench = Bench::new().await;
    std::fs::write(bench.folder.path().join("note.wav"), "RIFF").unwrap();
    let mina = add(&bench, "mina", Role::Agent, "cards").await;
    let note = bench.begin_note("tel:+989121234567");
    note.end(hangup()).await.unwrap();
    let path = format!("/api/calls/{}", note.id());
    let shown = body(bench.send(by(&mina, get(&path))).await).await;
    assert_eq!(shown["call"]["recording"], true);
    assert_eq!(bench.send(by(&mina, get(&format!("{path}/recording")))).await.status(), StatusCode::OK);
}
