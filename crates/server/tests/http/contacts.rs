//! Contacts, their timelines and tasks, for people and for programs.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use serde_json::{Value, json};
use sotto_call::{CallId, EventBody, Participant, Participants, Party};
use sotto_crm::{FollowUp, MessageChannel};
use sotto_server::http::HttpSettings;
use sotto_server::hub::{HubLimits, LiveCall};
use sotto_server::people::Scope;
use sotto_store::{MissedCall, OptOuts, Role};

use crate::bench::{Bench, body, by, bytes, get, hangup, post, refused, utterance, with_body};
use crate::review::{rules, work};

/// A server in Iran with an agent and a supervisor who are signed in.
pub async fn bench() -> (Bench, String, String) {
    let in_iran = |settings: &mut HttpSettings| settings.crm = rules();
    let bench = Bench::with(in_iran, HubLimits::default()).await;
    bench.add_user("mina", Role::Agent).await;
    bench.add_user("sara", Role::Supervisor).await;
    let (mina, sara) = (bench.sign_in("mina").await, bench.sign_in("sara").await);
    (bench, mina, sara)
}

/// What was made.
pub async fn made(response: Response<Body>) -> Value {
    let status = response.status();
    let body = body(response).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    body
}

/// A call in which a customer with this number takes part.
pub fn call_of(bench: &Bench, aor: &str) -> LiveCall {
    let call = bench.begin("a");
    let customer = Participant { party: Party::Customer, aor: Some(aor.to_owned()), name: None };
    call.publish(EventBody::Participants(Participants { participants: vec![customer] }));
    call
}

#[tokio::test]
async fn a_contact_is_added_found_changed_and_removed() {
    let (bench, mina, sara) = bench().await;
    let new = json!({ "name": " سارا كريمي ", "phones": ["0912 123 4567"], "email": "Sara@Example.com",
        "fields": { "city": "Shiraz", "budget": "" } });
    let lead = made(bench.send(by(&mina, post("/api/leads", &new))).await).await;
    assert_eq!([&lead["kind"], &lead["stage"]], ["lead", "new"]);
    assert_eq!((&lead["phones"], &lead["fields"]), (&json!(["+989121234567"]), &json!({ "city": "Shiraz" })));
    assert_eq!((&lead["email"], &lead["version"]), (&json!("sara@example.com"), &json!(1)));
    let path = format!("/api/leads/{}", lead["id"].as_str().unwrap());
    assert_eq!(body(bench.send(by(&mina, get(&path))).await).await, lead);
    let found = async |query: &str| {
        let list = body(bench.send(by(&mina, get(&format!("/api/leads?{query}")))).await).await;
        list["leads"].as_array().unwrap().len()
    };
    for query in ["", "q=shiraz", "q=0912", "phone=%2B989121234567", "phone=sip:09121234567@pbx", "stage=new"]
    {
        assert_eq!(found(query).await, 1, "{query}");
    }
    for query in ["q=tehran", "phone=1002", "phone=09350000000", "stage=lost", "kind=representative"] {
        assert_eq!(found(query).await, 0, "{query}");
    }
    let twice = json!({ "name": "Other", "phones": ["+98 912 123 4567"] });
    refused(bench.send(by(&mina, post("/api/leads", &twice))).await, 409, "number_taken").await;
    for wrong in [
        json!({ "name": " " }),
        json!({ "name": "a", "phones": ["1002"] }),
        json!({ "name": "a", "email": "b" }),
        json!({ "name": "x".repeat(300) }),
    ] {
        refused(bench.send(by(&mina, post("/api/leads", &wrong))).await, 400, "invalid").await;
    }
    let now = json!({ "version": 1, "kind": "lead", "stage": "qualified", "name": "Sara", "phones": ["09121234567"] });
    let changed = body(bench.send(by(&mina, with_body("PUT", &path, &now))).await).await;
    assert_eq!((&changed["stage"], &changed["version"]), (&json!("qualified"), &json!(2)));
    assert_eq!((&changed["fields"], changed.get("email")), (&json!({}), None), "what is absent is no more");
    refused(bench.send(by(&sara, with_body("PUT", &path, &now))).await, 409, "changed_meanwhile").await;
    let unknown = format!("/api/leads/{}", CallId::new());
    refused(bench.send(by(&mina, with_body("PUT", &unknown, &now))).await, 404, "not_found").await;
    let too_late = json!({ "version": u64::MAX, "kind": "lead", "stage": "new", "name": "x" });
    refused(bench.send(by(&mina, with_body("PUT", &path, &too_late))).await, 409, "changed_meanwhile").await;
    refused(bench.send(by(&mina, with_body("DELETE", &path, &json!({})))).await, 403, "forbidden").await;
    let of_before = with_body("DELETE", &format!("{path}?version=1"), &json!({}));
    refused(bench.send(by(&sara, of_before)).await, 409, "changed_meanwhile").await;
    let removed = bench.send(by(&sara, with_body("DELETE", &format!("{path}?version=2"), &json!({})))).await;
    assert_eq!(removed.status(), StatusCode::NO_CONTENT);
    refused(bench.send(by(&sara, get(&path))).await, 404, "not_found").await;
    // Who did what, but not what they wrote.
    let id = lead["id"].as_str().unwrap();
    let told = noted(&bench, 4).await;
    let expected = [
        ("sara", "contacts", format!("removed {id}")),
        ("mina", "contacts", format!("changed {id}: stage, name, email, fields")),
        ("mina", "contact_seen", id.to_owned()),
        ("mina", "contacts", format!("added {id}")),
    ];
    assert_eq!(told, expected.map(|(who, what, detail)| (who.to_owned(), what.to_owned(), detail)));
}

/// The audit, newest first, once it has so many records: who, what, and the detail.
pub async fn noted(bench: &Bench, count: usize) -> Vec<(String, String, String)> {
    loop {
        let records = bench.store.audit(None, 99).await.unwrap();
        if records.len() >= count {
            return records.into_iter().map(|one| (one.who, one.what, one.detail)).collect();
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_has_seen_a_contact_is_noted_once_a_day() {
    let (bench, mina, sara) = bench().await;
    let lead = made(bench.send(by(&mina, post("/api/leads", &json!({ "name": "Omid" })))).await).await;
    let id = lead["id"].as_str().unwrap().to_owned();
    let look = async |who: &str| {
        for path in [format!("/api/leads/{id}"), format!("/api/leads/{id}/communication")] {
            assert_eq!(bench.send(by(who, get(&path))).await.status(), StatusCode::OK);
        }
    };
    look(&mina).await;
    look(&mina).await;
    look(&sara).await;
    bench.wait(Duration::from_secs(24 * 3_600));
    // Nobody stays signed in for as long as that.
    look(&bench.sign_in("mina").await).await;
    let who = noted(&bench, 4).await.into_iter().filter(|(_, what, _)| what == "contact_seen");
    let who: Vec<(String, String)> = who.map(|(who, _, detail)| (who, detail)).collect();
    assert_eq!(who, ["mina", "sara", "mina"].map(|who| (who.to_owned(), id.clone())));
}

#[tokio::test]
async fn lists_come_in_pages() {
    let (bench, mina, _) = bench().await;
    for n in 0..5 {
        made(bench.send(by(&mina, post("/api/leads", &json!({ "name": n.to_string() })))).await).await;
        bench.now.fetch_add(1, Ordering::Relaxed);
    }
    let (mut names, mut query) = (Vec::new(), "limit=2".to_owned());
    loop {
        let page = body(bench.send(by(&mina, get(&format!("/api/leads?{query}")))).await).await;
        let leads = page["leads"].as_array().unwrap();
        names.extend(leads.iter().map(|lead| lead["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("limit=2&before={next}");
    }
    assert_eq!(names, ["4", "3", "2", "1", "0"]);
    for wrong in ["before=x", "limit=many", "stage=gone", "kind=friend", &format!("q={}", "x".repeat(201))] {
        refused(bench.send(by(&mina, get(&format!("/api/leads?{wrong}")))).await, 400, "invalid").await;
    }
    refused(bench.send(get("/api/leads")).await, 401, "unauthenticated").await;
}

#[tokio::test]
async fn a_program_adds_to_timelines_and_proposes_and_a_person_accepts() {
    let (bench, mina, _) = bench().await;
    let proposes = bench.key(&["crm:propose"]).await;
    let lead = made(bench.send(by(&mina, post("/api/leads", &json!({ "name": "Sara" })))).await).await;
    let id = lead["id"].as_str().unwrap();
    let path = format!("/api/leads/{id}/communication");
    let summary = json!({ "type": "call_summary", "source": "person", "content": "Wants a place.",
        "tags": ["registration"], "metadata": { "confidence": 0.5 }, "at_unix_ms": 5_000 });
    let added = made(bench.send(by(&proposes, post(&path, &summary))).await).await;
    assert_eq!(
        (&added["source"], &added["by"]),
        (&json!("ai"), &json!("key:test")),
        "a program is no person"
    );
    let note = json!({ "type": "note", "source": "ai", "content": "Called back." });
    let added = made(bench.send(by(&mina, post(&path, &note))).await).await;
    assert_eq!((&added["source"], &added["by"]), (&json!("person"), &json!("mina")));
    let timeline = body(bench.send(by(&mina, get(&path))).await).await;
    let said: Vec<&Value> =
        timeline["communication"].as_array().unwrap().iter().map(|one| &one["content"]).collect();
    assert_eq!(said, ["Called back.", "Wants a place."]);
    assert_eq!(timeline["communication"][1]["metadata"]["confidence"], 0.5);

    let task = json!({ "leadId": id, "type": "callback", "when": "2026-12-01T10:00", "channel": "phone",
        "to": "0912 123 4567" });
    let proposed = made(bench.send(by(&proposes, post("/api/tasks", &task))).await).await;
    assert_eq!((&proposed["state"], &proposed["lead_name"]), (&json!("proposed"), &json!("Sara")));
    assert_eq!(proposed["due_at_unix_ms"], 1_796_119_200_000_u64);
    assert_eq!(proposed["to"], "+989121234567", "in one spelling");
    let one = format!("/api/tasks/{}", proposed["id"].as_str().unwrap());
    let becomes = |version: u32, state: &str| json!({ "version": version, "state": state, "type": "callback", "due_at_unix_ms": 9_000, "assignee": "mina" });
    let put = async |who: &str, now: &Value| bench.send(by(who, with_body("PUT", &one, now))).await;
    refused(put(&proposes, &becomes(1, "open")).await, 403, "forbidden").await;
    let accepted = body(put(&mina, &becomes(1, "open")).await).await;
    assert_eq!((&accepted["state"], &accepted["version"]), (&json!("open"), &json!(2)));
    refused(put(&mina, &becomes(1, "done")).await, 409, "changed_meanwhile").await;
    refused(put(&mina, &becomes(2, "proposed")).await, 409, "not_possible").await;
    assert_eq!(body(put(&mina, &becomes(2, "done")).await).await["state"], "done");
    let own =
        made(bench.send(by(&mina, post("/api/tasks", &json!({ "lead_id": id, "type": "task" })))).await)
            .await;
    assert_eq!(own["state"], "open");
    let list = body(bench.send(by(&mina, get(&format!("/api/tasks?state=open&leadId={id}")))).await).await;
    assert_eq!((list["tasks"].as_array().unwrap().len(), &list["tasks"][0]["id"]), (1, &own["id"]));

    // The queue: of those that matter most what is due first, of whoever asks and of nobody.
    for (title, priority, due, assignee) in
        [("later", "high", 9_000, ""), ("first", "high", 5_000, "Mina"), ("omid's", "high", 1_000, "omid")]
    {
        let task = json!({ "lead_id": id, "type": "callback", "title": title, "priority": priority,
            "due_at_unix_ms": due, "assignee": assignee });
        made(bench.send(by(&mina, post("/api/tasks", &task))).await).await;
    }
    let queue = async |query: &str| {
        let list =
            body(bench.send(by(&mina, get(&format!("/api/tasks?state=open&order=priority{query}")))).await);
        let list = list.await;
        let titles =
            list["tasks"].as_array().unwrap().iter().map(|task| task["title"].as_str().unwrap_or("own"));
        (titles.map(str::to_owned).collect::<Vec<_>>(), list["next"].as_str().map(str::to_owned))
    };
    assert_eq!(queue("").await.0, ["omid's", "first", "later", "own"]);
    assert_eq!(queue("&assignee=OMID").await.0, ["omid's"]);
    assert_eq!(queue("&type=callback&due_by_unix_ms=5000&mine=true").await.0, ["first"]);
    let (first, next) = queue("&mine=true&limit=2").await;
    assert_eq!(first, ["first", "later"]);
    assert_eq!(queue(&format!("&mine=true&limit=2&after={}", next.unwrap())).await.0, ["own"]);
    for wrong in
        ["order=up", "mine=perhaps", "due_by_unix_ms=now", "after=1-2", "type=dance", "assignee=a%20b"]
    {
        refused(bench.send(by(&mina, get(&format!("/api/tasks?{wrong}")))).await, 400, "invalid").await;
    }

    // The key may do nothing else.
    for request in
        [get("/api/leads"), get(&path), get("/api/tasks"), post("/api/leads", &json!({ "name": "x" }))]
    {
        refused(bench.send(by(&proposes, request)).await, 403, "forbidden").await;
    }
    let now = json!({ "version": 1, "kind": "lead", "stage": "lost", "name": "x" });
    let changed = with_body("PUT", &format!("/api/leads/{id}"), &now);
    refused(bench.send(by(&proposes, changed)).await, 403, "forbidden").await;
    let nobody = format!("/api/leads/{}/communication", CallId::new());
    refused(bench.send(by(&mina, get(&nobody))).await, 404, "not_found").await;
    refused(bench.send(by(&mina, post(&nobody, &note))).await, 404, "not_found").await;
    let of_nobody = json!({ "lead_id": CallId::new().to_string(), "type": "task" });
    refused(bench.send(by(&mina, post("/api/tasks", &of_nobody))).await, 404, "not_found").await;
    for wrong in [
        json!({ "lead_id": id, "type": "task", "when": "tomorrow" }),
        json!({ "lead_id": id, "type": "task", "due_at_unix_ms": u64::MAX }),
        json!({ "lead_id": id, "type": "task", "title": "x".repeat(501) }),
    ] {
        refused(bench.send(by(&mina, post("/api/tasks", &wrong))).await, 400, "invalid").await;
    }
    let empty = json!({ "type": "note", "content": " " });
    refused(bench.send(by(&mina, post(&path, &empty))).await, 400, "invalid").await;
}

#[tokio::test]
async fn whoever_calls_is_known_by_their_number_and_the_call_lands_on_their_timeline() {
    let (bench, mina, _) = bench().await;
    let call = call_of(&bench, "sip:09121234567@pbx.example");
    let path = format!("/api/calls/{}/contact", call.id());
    // While it goes on, and of nobody yet.
    let with = async || body(bench.send(by(&mina, get(&path))).await).await;
    assert_eq!(with().await, json!({ "phone": "+989121234567" }));
    call.publish(utterance(1, "I would like to register for the course, please.", true));
    let promise = sotto_call::testing::utterance(2, Party::Agent, "I will call you tomorrow at ten.");
    call.publish(EventBody::Utterance(sotto_call::testing::with_words(promise, 300)));
    call.end(hangup()).await.unwrap();
    work(&bench).await;
    let new = json!({ "name": "Sara", "phones": ["0098 912 123 4567"] });
    let lead = made(bench.send(by(&mina, post("/api/leads", &new))).await).await;
    assert_eq!(with().await["contact"], lead);
    // Who is written down afterwards gets their calls, without anything being made again.
    let made_before = bench.store.review(call.id()).await.unwrap();
    work(&bench).await;
    assert_eq!(bench.store.review(call.id()).await.unwrap(), made_before);
    let timeline = format!("/api/leads/{}/communication", lead["id"].as_str().unwrap());
    let timeline = body(bench.send(by(&mina, get(&timeline))).await).await;
    let [noted] = timeline["communication"].as_array().unwrap().as_slice() else { panic!("{timeline}") };
    assert_eq!([&noted["type"], &noted["source"]], ["call_summary", "ai"]);
    assert_eq!(noted["call_id"], call.id().to_string());
    assert!(noted["metadata"]["lead_stage_suggestion"].is_string(), "{noted}");
    assert_eq!(noted["at_unix_ms"], 1_700_000_005_000_u64, "when it was over");
    // It counts in the score, and the score says so, wherever the contact is shown.
    bench.wait(Duration::from_secs(60));
    let scored = with().await["contact"]["score"].clone();
    let reasons = scored["reasons"].as_array().unwrap();
    let sum: i64 = reasons.iter().map(|one| one["points"].as_i64().unwrap()).sum();
    assert_eq!(scored["points"], sum.clamp(0, 100), "{scored}");
    assert!(
        reasons.iter().any(|one| one["rule"] == "this_week" && one["entry_id"] == noted["id"]),
        "{scored}"
    );
    for path in ["/api/leads".to_owned(), format!("/api/leads/{}", lead["id"].as_str().unwrap())] {
        let told = body(bench.send(by(&mina, get(&path))).await).await;
        assert_eq!(told.get("leads").map_or(&told, |leads| &leads[0])["score"], scored, "{path}");
    }

    let tasks = body(bench.send(by(&mina, get("/api/tasks"))).await).await;
    assert!(tasks["tasks"][0]["quote"].is_string(), "{tasks}");

    // A key for contacts alone sees that there was a call, and nothing of what was said in it.
    let id = lead["id"].as_str().unwrap();
    let reads_contacts = bench.key(&["crm:read"]).await;
    let path_of_timeline = format!("/api/leads/{id}/communication");
    let told = body(bench.send(by(&reads_contacts, get(&path_of_timeline))).await).await;
    let told = &told["communication"][0];
    assert_eq!((&told["id"], &told["call_id"]), (&noted["id"], &noted["call_id"]));
    assert_eq!([&told["content"], &told["tags"], &told["metadata"]], [&json!(""), &json!([]), &json!({})]);
    let told = body(bench.send(by(&reads_contacts, get("/api/leads"))).await).await;
    let rules: Vec<&Value> =
        told["leads"][0]["score"]["reasons"].as_array().unwrap().iter().map(|one| &one["rule"]).collect();
    assert_eq!(rules, ["this_week"], "nor does it count what was said");
    let told = body(bench.send(by(&reads_contacts, get("/api/tasks"))).await).await;
    assert_eq!((told["tasks"].as_array().unwrap().len(), told["tasks"][0].get("quote")), (1, None));

    let reads_calls = bench.key(&["calls:read"]).await;
    refused(bench.send(by(&reads_calls, get(&path))).await, 403, "forbidden").await;
    let reads_both = bench.key(&["calls:read", "crm:read"]).await;
    assert_eq!(bench.send(by(&reads_both, get(&path))).await.status(), StatusCode::OK);
    let unknown = format!("/api/calls/{}/contact", CallId::new());
    refused(bench.send(by(&mina, get(&unknown))).await, 404, "not_found").await;
}

/// A table that is sent there.
pub fn table(path: &str, text: &str) -> Request<Body> {
    let request = Request::post(path).header(header::CONTENT_TYPE, "text/csv");
    request.body(Body::from(text.to_owned())).unwrap()
}

#[tokio::test]
async fn contacts_come_as_a_table_and_what_is_wrong_is_told_by_line() {
    let (bench, mina, sara) = bench().await;
    made(
        bench
            .send(by(&mina, post("/api/leads", &json!({ "name": "Omid", "phones": ["09351234567"] }))))
            .await,
    )
    .await;
    let import = async |text: &str| body(bench.send(by(&sara, table("/api/leads/import", text))).await).await;
    let wrong = import("name,phones,owner\nSara,09121234567,Mina\nTwin,0935 123 4567,\nReza,,a b\n").await;
    assert_eq!(wrong["added"], 0);
    let lines: Vec<&Value> = wrong["problems"].as_array().unwrap().iter().map(|one| &one["line"]).collect();
    assert_eq!(lines, [3, 4], "{wrong}");
    assert_eq!(import("name\n\n,\n").await, json!({ "added": 0, "problems": [] }));
    assert_eq!(import("phones\n09121234567\n").await["problems"][0]["line"], 1);
    let list = body(bench.send(by(&mina, get("/api/leads"))).await).await;
    assert_eq!(list["leads"].as_array().unwrap().len(), 1, "none of them");
    let added = import("name;phones;owner;city\nسارا;۰۹۱۲ ۱۲۳ ۴۵۶۷;Mina;=Shiraz\n").await;
    assert_eq!(added, json!({ "added": 1, "problems": [] }));
    let out = bench.send(by(&sara, get("/api/leads/export"))).await;
    assert_eq!(out.headers()[header::CONTENT_TYPE], "text/csv; charset=utf-8");
    let text = String::from_utf8(bytes(out).await).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert_eq!(lines[0], "\u{feff}name,kind,stage,phones,email,owner,notes,city");
    assert_eq!(lines[2], "سارا,lead,new,'+989121234567,,mina,,'=Shiraz");
    let large = "x".repeat((4 << 20) + 1);
    refused(bench.send(by(&sara, table("/api/leads/import", &large))).await, 413, "too_large").await;
    let told: Vec<String> = noted(&bench, 4).await.into_iter().map(|(_, _, detail)| detail).collect();
    assert_eq!(told[..2], ["exported all".to_owned(), "imported 1".to_owned()]);
}

/// Every way to contacts, with whom it is for: the least role, and the scopes of keys besides `admin`.
#[tokio::test]
async fn every_way_to_contacts_is_for_those_it_is_for_and_for_nobody_else() {
    let (bench, mina, sara) = bench().await;
    bench.add_user("root", Role::Admin).await;
    let root = bench.sign_in("root").await;
    let id = CallId::new();
    let (lead, company) = (format!("/api/leads/{id}"), format!("/api/companies/{id}"));
    let changed_company = json!({ "version": 1, "name": "x" });
    let whole = json!({ "version": 1, "kind": "lead", "stage": "new", "name": "x" });
    let task = json!({ "lead_id": id.to_string(), "type": "task" });
    let changed_task = json!({ "version": 1, "state": "open", "type": "task" });
    let note = json!({ "type": "note", "content": "x" });
    let same = json!({ "version": 1, "other": CallId::new().to_string(), "other_version": 1 });
    let (read, add, write) =
        (&["crm:read", "crm:write"][..], &["crm:propose", "crm:write"][..], &["crm:write"][..]);
    let (nothing, new) = (json!({}), json!({ "name": "x" }));
    let ticket = json!({ "title": "x" });
    let changed_ticket = json!({ "version": 1, "state": "open", "title": "x" });
    let payment = json!({ "amount": "5", "currency": "EUR" });
    let prepared = json!({ "version": 0, "text": "x" });
    let changed_payment = json!({ "version": 1, "state": "due", "amount": "5", "currency": "EUR" });
    let ways: [(&str, String, &Value, Role, &[&str]); 37] = [
        ("GET", "/api/leads".to_owned(), &nothing, Role::Agent, read),
        ("POST", "/api/leads".to_owned(), &new, Role::Agent, write),
        ("GET", lead.clone(), &nothing, Role::Agent, read),
        ("PUT", lead.clone(), &whole, Role::Agent, write),
        ("DELETE", lead.clone(), &nothing, Role::Supervisor, &[]),
        ("GET", format!("{lead}/communication"), &nothing, Role::Agent, read),
        ("POST", format!("{lead}/communication"), &note, Role::Agent, add),
        ("POST", format!("{lead}/merge"), &same, Role::Supervisor, &[]),
        ("GET", "/api/leads/export".to_owned(), &nothing, Role::Supervisor, read),
        ("POST", "/api/leads/import".to_owned(), &nothing, Role::Supervisor, write),
        ("GET", format!("{lead}/export"), &nothing, Role::Supervisor, read),
        ("POST", format!("{lead}/erase"), &nothing, Role::Admin, &[]),
        ("GET", "/api/companies".to_owned(), &nothing, Role::Agent, read),
        ("POST", "/api/companies".to_owned(), &new, Role::Agent, write),
        ("GET", company.clone(), &nothing, Role::Agent, read),
        ("PUT", company.clone(), &changed_company, Role::Agent, write),
        ("DELETE", company.clone(), &nothing, Role::Supervisor, &[]),
        ("GET", "/api/tasks".to_owned(), &nothing, Role::Agent, read),
        ("POST", "/api/tasks".to_owned(), &task, Role::Agent, add),
        ("PUT", format!("/api/tasks/{id}"), &changed_task, Role::Agent, write),
        ("GET", format!("{lead}/tickets"), &nothing, Role::Agent, read),
        ("POST", format!("{lead}/tickets"), &ticket, Role::Agent, write),
        ("GET", "/api/tickets".to_owned(), &nothing, Role::Agent, read),
        ("GET", format!("/api/tickets/{id}"), &nothing, Role::Agent, read),
        ("PUT", format!("/api/tickets/{id}"), &changed_ticket, Role::Agent, write),
        ("GET", format!("{lead}/payments"), &nothing, Role::Agent, read),
        ("POST", format!("{lead}/payments"), &payment, Role::Agent, write),
        ("GET", "/api/payments".to_owned(), &nothing, Role::Agent, read),
        ("GET", format!("/api/payments/{id}"), &nothing, Role::Agent, read),
        ("PUT", format!("/api/payments/{id}"), &changed_payment, Role::Agent, write),
        ("GET", "/api/payments/export".to_owned(), &nothing, Role::Supervisor, read),
        ("POST", "/api/payments/import".to_owned(), &nothing, Role::Supervisor, write),
        ("GET", format!("{lead}/preparation"), &nothing, Role::Agent, read),
        ("PUT", format!("{lead}/preparation"), &prepared, Role::Agent, write),
        ("POST", format!("{lead}/voice-notes?name=a.wav"), &nothing, Role::Agent, write),
        // It needs both: a key for calls, and one for contacts, may not.
        ("GET", format!("/api/calls/{id}/contact"), &nothing, Role::Agent, &[]),
        ("GET", "/api/audit".to_owned(), &nothing, Role::Admin, &[]),
    ];
    let people = [(&mina, Role::Agent), (&sara, Role::Supervisor), (&root, Role::Admin)];
    let rank = |role: Role| people.iter().position(|(_, theirs)| *theirs == role);
    let mut keys = Vec::new();
    for scope in Scope::ALL {
        keys.push((scope.as_str(), bench.key(&[scope.as_str()]).await));
    }
    for (method, path, body, role, scopes) in ways {
        let asked = async |who: Option<&String>| {
            let request = with_body(method, &path, body);
            let request = match who {
                Some(who) => by(who, request),
                None => request,
            };
            bench.send(request).await.status()
        };
        assert_eq!(asked(None).await, StatusCode::UNAUTHORIZED, "{method} {path}");
        for (who, theirs) in people {
            let is_refused = asked(Some(who)).await == StatusCode::FORBIDDEN;
            assert_eq!(is_refused, rank(theirs) < rank(role), "{method} {path} as {theirs:?}");
        }
        for (scope, key) in &keys {
            let is_refused = asked(Some(key)).await == StatusCode::FORBIDDEN;
            assert_eq!(
                is_refused,
                *scope != "admin" && !scopes.contains(scope),
                "{method} {path} with {scope}"
            );
        }
    }
}

#[tokio::test]
async fn contacts_belong_to_companies_whose_own_numbers_are_known() {
    let (bench, mina, sara) = bench().await;
    let new = json!({ "name": "Noor", "phones": ["021 8877 6655"], "notes": " " });
    let noor = made(bench.send(by(&mina, post("/api/companies", &new))).await).await;
    assert_eq!((&noor["phones"], &noor["version"]), (&json!(["+982188776655"]), &json!(1)));
    let id = noor["id"].as_str().unwrap();
    let lead = json!({ "name": "Sara", "company_id": id });
    let lead = made(bench.send(by(&mina, post("/api/leads", &lead))).await).await;
    assert_eq!((&lead["company_id"], &lead["company_name"]), (&noor["id"], &json!("Noor")));
    let nowhere = json!({ "name": "Omid", "company_id": CallId::new().to_string() });
    refused(bench.send(by(&mina, post("/api/leads", &nowhere))).await, 400, "invalid").await;
    let list = body(bench.send(by(&mina, get(&format!("/api/leads?company_id={id}")))).await).await;
    assert_eq!(list["leads"], json!([lead]));
    let list = body(bench.send(by(&mina, get("/api/companies?q=noor%208877"))).await).await;
    assert_eq!(list, json!({ "companies": [noor] }));
    let call = call_of(&bench, "sip:02188776655@pbx.example");
    let path = format!("/api/calls/{}/contact", call.id());
    let whose = body(bench.send(by(&mina, get(&path))).await).await;
    assert_eq!(whose, json!({ "phone": "+982188776655", "company": noor }));
    let path = format!("/api/companies/{id}");
    let now = json!({ "version": 1, "name": "Noor Co.", "phones": [] });
    let changed = body(bench.send(by(&mina, with_body("PUT", &path, &now))).await).await;
    assert_eq!((&changed["name"], &changed["version"]), (&json!("Noor Co."), &json!(2)));
    assert_eq!(body(bench.send(by(&mina, get(&path))).await).await, changed);
    refused(bench.send(by(&mina, with_body("PUT", &path, &now))).await, 409, "changed_meanwhile").await;
    let removed = bench.send(by(&sara, with_body("DELETE", &format!("{path}?version=2"), &json!({})))).await;
    assert_eq!(removed.status(), StatusCode::NO_CONTENT);
    refused(bench.send(by(&sara, get(&path))).await, 404, "not_found").await;
    let left =
        body(bench.send(by(&mina, get(&format!("/api/leads/{}", lead["id"].as_str().unwrap())))).await).await;
    assert_eq!((&left["name"], left.get("company_id")), (&json!("Sara"), None));
    call.end(hangup()).await.unwrap();
}

#[tokio::test]
async fn a_person_gets_all_that_is_kept_of_them_and_is_forgotten_with_their_calls() {
    let (bench, mina, sara) = bench().await;
    bench.add_user("root", Role::Admin).await;
    let root = bench.sign_in("root").await;
    let new = json!({ "name": "Sara", "phones": ["09121234567"] });
    let lead = made(bench.send(by(&mina, post("/api/leads", &new))).await).await;
    let path = format!("/api/leads/{}", lead["id"].as_str().unwrap());
    std::fs::create_dir(bench.folder.path().join("recordings")).unwrap();
    let recording = bench.folder.path().join("recordings/a.wav");
    std::fs::write(&recording, "RIFF").unwrap();
    let theirs = bench.begin_recorded("b", Some("recordings/a.wav"));
    let other = call_of(&bench, "sip:09351234567@pbx.example");
    let customer = Participant {
        party: Party::Customer,
        aor: Some("sip:09121234567@pbx.example".to_owned()),
        name: None,
    };
    theirs.publish(EventBody::Participants(Participants { participants: vec![customer] }));
    theirs.publish(utterance(1, "I would like to register for the course, please.", true));
    refused(bench.send(by(&root, post(&format!("{path}/erase"), &json!({})))).await, 409, "on_a_call").await;
    theirs.end(hangup()).await.unwrap();
    other.end(hangup()).await.unwrap();
    work(&bench).await;
    for (n, aor) in ["sip:+989121234567@pbx", "sip:09351234567@pbx"].into_iter().enumerate() {
        let missed = MissedCall {
            id: uuid::Uuid::now_v7(),
            at_unix_ms: 1_000 + n as u64,
            called: "100".to_owned(),
            aor: Some(aor.to_owned()),
            name: None,
            waited_ms: 5,
        };
        bench.store.add_missed(&missed).await.unwrap();
    }
    let task = json!({ "lead_id": lead["id"], "type": "task" });
    made(bench.send(by(&mina, post("/api/tasks", &task))).await).await;
    let ticket = json!({ "title": "The panel does not open" });
    made(bench.send(by(&mina, post(&format!("{path}/tickets"), &ticket))).await).await;
    let payment = json!({ "amount": "250,000", "currency": "toman" });
    made(bench.send(by(&mina, post(&format!("{path}/payments"), &payment))).await).await;
    let asks = with_body("PUT", &format!("{path}/preparation"), &json!({ "version": 0, "text": "Ask." }));
    assert_eq!(bench.send(by(&mina, asks)).await.status(), StatusCode::OK);
    let message = FollowUp {
        channel: MessageChannel::Email,
        to: Some("sara@example.com".to_owned()),
        subject: None,
        text: "Hello".to_owned(),
        not_before_unix_ms: None,
    };
    let id: uuid::Uuid = lead["id"].as_str().unwrap().parse().unwrap();
    bench.store.add_follow_up(id, &message, "mina", 1_000).await.unwrap().unwrap();
    let out = OptOuts { version: 1, channels: [MessageChannel::Sms].into() };
    assert!(bench.store.set_opt_outs(id, &out, "mina", 1_000).await.unwrap().is_some());
    let upload = Request::post("/api/recordings?name=old.wav&number=09121234567");
    let upload = upload.header(header::CONTENT_TYPE, "audio/wav").body(Body::from("RIFF"));
    let waiting = bench.send(by(&sara, upload.unwrap())).await;
    assert_eq!(waiting.status(), StatusCode::ACCEPTED);
    let waiting = body(waiting).await;
    let upload = bench.folder.path().join("imports").join(waiting["id"].as_str().unwrap());
    assert!(upload.exists());

    let told = async |who: &str| {
        let answer = bytes(bench.send(by(who, get(&format!("{path}/export")))).await).await;
        let lines = String::from_utf8(answer).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let all = told(&sara).await;
    let kinds: Vec<&str> =
        all.iter().flat_map(|line| line.as_object().unwrap().keys()).map(String::as_str).collect();
    assert_eq!(
        kinds,
        [
            "lead",
            "communication",
            "task",
            "ticket",
            "payment",
            "follow_up",
            "opt_outs",
            "preparation",
            "call",
            "recording"
        ]
    );
    assert_eq!(all[0]["lead"]["name"], "Sara");
    assert_eq!(all[1]["communication"]["call_id"], theirs.id().to_string());
    assert_eq!(all[3]["ticket"]["title"], "The panel does not open");
    assert_eq!(all[4]["payment"]["amount_minor"], 2_500_000);
    assert_eq!(all[8]["call"]["words"][0]["text"], "I would like to register for the course, please.");
    assert_eq!(all[7]["preparation"]["text"], "Ask.");
    assert!(all[8]["call"]["insight"]["summary_bullets"].is_array(), "{}", all[8]);
    assert_eq!([&all[5]["follow_up"]["text"], &all[6]["opt_outs"]], [&json!("Hello"), &json!(["sms"])]);
    // A key for contacts alone gets nothing of what was said in calls.
    let of_key = told(&bench.key(&["crm:read"]).await).await;
    assert_eq!((of_key.len(), &of_key[1]["communication"]["content"]), (8, &json!("")));

    let erased = body(bench.send(by(&root, post(&format!("{path}/erase"), &json!({})))).await).await;
    assert_eq!(erased, json!({ "calls": 1, "left": 0, "missed": 1, "recordings": 1 }));
    refused(bench.send(by(&root, get(&path))).await, 404, "not_found").await;
    assert!(!recording.exists() && !upload.exists());
    assert_eq!(bench.store.call(theirs.id()).await.unwrap(), None);
    assert!(bench.store.call(other.id()).await.unwrap().is_some());
    assert_eq!(bench.store.missed(None, 9).await.unwrap().len(), 1);
    let tasks = body(bench.send(by(&mina, get("/api/tasks"))).await).await;
    assert_eq!(tasks["tasks"], json!([]));
    let tickets = body(bench.send(by(&mina, get("/api/tickets"))).await).await;
    assert_eq!(tickets["tickets"], json!([]));
    let payments = body(bench.send(by(&mina, get("/api/payments"))).await).await;
    assert_eq!(payments["payments"], json!([]));
}

#[tokio::test]
async fn two_contacts_are_made_one_by_a_supervisor() {
    let (bench, mina, sara) = bench().await;
    let mut ids = Vec::new();
    for (name, phone) in [("Sara", "09121234567"), ("Sara K.", "09351234567")] {
        let new = json!({ "name": name, "phones": [phone] });
        let lead = made(bench.send(by(&mina, post("/api/leads", &new))).await).await;
        ids.push(lead["id"].as_str().unwrap().to_owned());
    }
    let path = format!("/api/leads/{}/merge", ids[0]);
    let same = |other: &str, version: u32| json!({ "version": 1, "other": other, "other_version": version });
    let merge = async |who: &str, same: &Value| bench.send(by(who, post(&path, same))).await;
    refused(merge(&mina, &same(&ids[1], 1)).await, 403, "forbidden").await;
    refused(merge(&sara, &same(&ids[0], 1)).await, 400, "invalid").await;
    refused(merge(&sara, &same(&ids[1], 2)).await, 409, "changed_meanwhile").await;
    refused(merge(&sara, &same(&CallId::new().to_string(), 1)).await, 404, "not_found").await;
    let kept = body(merge(&sara, &same(&ids[1], 1)).await).await;
    assert_eq!(
        (&kept["id"], &kept["name"], &kept["notes"]),
        (&json!(ids[0]), &json!("Sara"), &json!("Sara K."))
    );
    assert_eq!(kept["phones"], json!(["+989121234567", "+989351234567"]));
    refused(bench.send(by(&mina, get(&format!("/api/leads/{}", ids[1])))).await, 404, "not_found").await;
    assert_eq!(noted(&bench, 3).await[0].2, format!("merged {} into {}", ids[1], ids[0]));
}
