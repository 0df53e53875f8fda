//! What people say of calls: who may review what, what others see of it; calls that are found, and figures of all of them.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use sotto_call::{CallId, CallStarted, EventBody, Millis, Participant, Participants, Party, Source};
use sotto_server::hub::{HubLimits, LiveCall, NewCall};
use sotto_store::Role;

use crate::bench::{Bench, body, by, bytes, get, hangup, post, refused, utterance, with_body};
use crate::moods::feels;
use crate::review::work;

/// Who signs in here, by name, and what they are.
const PEOPLE: [(&str, Role); 5] = [
    ("mina", Role::Agent),
    ("omid", Role::Agent),
    ("sara", Role::Supervisor),
    ("nima", Role::Supervisor),
    ("root", Role::Admin),
];

struct Desk {
    bench: Bench,
    mina: String,
    omid: String,
    sara: String,
    nima: String,
    root: String,
}

impl Desk {
    async fn open(bench: Bench) -> Self {
        let mut keys = Vec::new();
        for (name, role) in PEOPLE {
            bench.add_user(name, role).await;
            keys.push(bench.sign_in(name).await);
        }
        let [mina, omid, sara, nima, root] = keys.try_into().unwrap();
        Self { bench, mina, omid, sara, nima, root }
    }

    async fn ask(&self, who: &str, path: &str) -> Value {
        body(self.bench.send(by(who, get(path))).await).await
    }

    async fn refuses(&self, who: &str, request: Request<Body>, status: u16, code: &str) {
        refused(self.bench.send(by(who, request)).await, status, code).await;
    }

    /// What is kept of somebody's review.
    async fn reviews(&self, who: &str, call: CallId, review: &Value) -> Value {
        let response = self.bench.send(by(who, put(&of(call, "quality/review"), review))).await;
        assert_eq!(response.status(), StatusCode::OK);
        body(response).await
    }
}

fn put(path: &str, body: &Value) -> Request<Body> {
    with_body("PUT", path, body)
}

fn of(call: CallId, what: &str) -> String {
    format!("/api/calls/{call}/{what}")
}

/// A call of an agent's that is over, in which they greet, and this is said.
async fn call_of(bench: &Bench, agent: &str, said: &str) -> LiveCall {
    let call = bench.begin("a");
    let agent = Participant { party: Party::Agent, aor: None, name: Some(agent.to_owned()) };
    call.publish(EventBody::Participants(Participants { participants: vec![agent] }));
    call.publish(EventBody::Utterance(sotto_call::testing::utterance(
        0,
        Party::Agent,
        "Good morning, how can I help?",
    )));
    call.publish(utterance(1, said, true));
    call.end(hangup()).await.unwrap();
    call
}

#[tokio::test]
async fn people_review_calls_without_seeing_what_others_say_and_agents_answer() {
    let desk = Desk::open(Bench::new().await).await;
    let call = call_of(&desk.bench, "mina", "My card is lost.").await.id();
    let path = of(call, "quality/reviews");
    desk.refuses(&desk.sara, put(&of(call, "quality/review"), &json!({ "version": 0 })), 404, "not_yet")
        .await;
    work(&desk.bench).await;
    let nothing = desk.ask(&desk.sara, &path).await;
    assert_eq!(nothing, json!({ "reviews": [], "replies": [], "may_review": true }));

    let corrected =
        json!({ "question": "greeting", "score": 0.25, "comment": " She did not say who she is. " });
    let review = json!({ "version": 0, "scores": [corrected], "comment": "My PIN is 4821" });
    let kept = desk.reviews(&desk.sara, call, &review).await;
    let greeting = &kept["scores"][0];
    assert_eq!(
        (&kept["verdict"], &kept["version"], &kept["hidden"]),
        (&json!("corrected"), &json!(1), &json!(false))
    );
    assert_eq!((&greeting["built_in"], &greeting["score"]), (&json!(1.0), &json!(0.25)));
    assert_eq!(greeting["comment"], "She did not say who she is.");
    assert!(!kept["comment"].as_str().unwrap().contains("4821"), "{kept}");
    let pace = &kept["scores"][1];
    assert_eq!((&pace["question"], &pace["score"]), (&json!("pace"), &pace["built_in"]), "as it was");

    // Another reviewer sees that there is a review, until they have said something themselves.
    let blind = desk.ask(&desk.nima, &path).await;
    let other = &blind["reviews"][0];
    assert_eq!(
        (&other["reviewer"], &other["hidden"], &other["scores"]),
        (&json!("sara"), &json!(true), &json!([]))
    );
    assert!(other.get("verdict").is_none() && !blind.to_string().contains("4821"), "{blind}");
    let accepted = desk.reviews(&desk.nima, call, &json!({ "version": 0 })).await;
    assert_eq!((&accepted["verdict"], &accepted["comment"]), (&json!("accepted"), &json!("")));
    let both = desk.ask(&desk.nima, &path).await;
    assert_eq!(both["reviews"][1], kept);

    // Whoever has seen an older version is told so, and nothing is lost.
    desk.refuses(
        &desk.sara,
        put(&of(call, "quality/review"), &json!({ "version": 0 })),
        409,
        "changed_meanwhile",
    )
    .await;
    desk.refuses(
        &desk.sara,
        put(&of(call, "quality/review"), &json!({ "version": u64::MAX })),
        409,
        "changed_meanwhile",
    )
    .await;
    desk.reviews(
        &desk.sara,
        call,
        &json!({ "version": 1, "scores": [{ "question": "pace", "score": null }] }),
    )
    .await;
    let history = desk.ask(&desk.sara, &format!("{path}?history=true")).await;
    let versions: Vec<u64> =
        history["reviews"].as_array().unwrap().iter().map(|one| one["version"].as_u64().unwrap()).collect();
    assert_eq!(versions, [1, 2, 1]);

    // Its agent reads all of it and answers; it is nobody else's.
    assert_eq!(desk.ask(&desk.mina, &path).await["may_review"], false);
    let answer = desk
        .bench
        .send(by(&desk.mina, post(&of(call, "quality/replies"), &json!({ "text": "I did." }))))
        .await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let read = desk.ask(&desk.sara, &path).await;
    assert_eq!((&read["replies"][0]["by"], &read["replies"][0]["text"]), (&json!("mina"), &json!("I did.")));
    assert_eq!(
        desk.ask(&desk.root, &path).await["replies"],
        json!([]),
        "who has said nothing yet is not told"
    );

    let agreement = desk.ask(&desk.sara, "/api/quality/agreement").await;
    let greeting =
        agreement["questions"].as_array().unwrap().iter().find(|one| one["question"] == "greeting").unwrap();
    assert_eq!(greeting["agreement"]["people"]["units"], 1);
    assert_eq!(greeting["agreement"]["people"]["share"], 0.0, "what they said first");
    assert!(greeting["title"]["fa"].is_string());
}

#[tokio::test]
async fn only_those_may_review_whose_call_it_was_not() {
    let desk = Desk::open(Bench::new().await).await;
    let call = call_of(&desk.bench, "mina", "My card is lost.").await.id();
    let own = call_of(&desk.bench, "sara", "So is mine.").await.id();
    work(&desk.bench).await;
    let reads = desk.bench.key(&["calls:read"]).await;
    let admin = desk.bench.key(&["admin"]).await;
    let review = || put(&of(call, "quality/review"), &json!({ "version": 0 }));
    let reply = || post(&of(call, "quality/replies"), &json!({ "text": "so" }));
    let flag = || put(&of(call, "flag"), &json!({ "flagged": true }));
    let list = || get(&of(call, "quality/reviews"));
    let (agreement, examples) = (|| get("/api/quality/agreement"), || get("/api/quality/examples"));
    let dashboard = || get("/api/dashboard");
    for request in
        [review(), reply(), flag(), list(), agreement(), examples(), dashboard(), get("/api/review/calls")]
    {
        refused(desk.bench.send(request).await, 401, "unauthenticated").await;
    }
    for who in [&desk.omid, &reads] {
        for request in [review(), reply(), flag(), list(), agreement(), examples(), dashboard()] {
            desk.refuses(who, request, 403, "forbidden").await;
        }
    }
    desk.refuses(&reads, get("/api/review/calls"), 403, "forbidden").await;
    for request in [review(), flag(), agreement(), examples(), dashboard()] {
        desk.refuses(&desk.mina, request, 403, "forbidden").await;
    }
    for request in [review(), reply()] {
        desk.refuses(&admin, request, 403, "forbidden").await;
    }
    desk.refuses(&desk.sara, put(&of(own, "quality/review"), &json!({ "version": 0 })), 403, "forbidden")
        .await;
    for who in [&desk.sara, &desk.nima, &desk.root] {
        desk.reviews(who, call, &json!({ "version": 0 })).await;
        assert_eq!(desk.bench.send(by(who, flag())).await.status(), StatusCode::NO_CONTENT);
        for request in [list(), agreement(), examples(), dashboard(), get("/api/review/calls")] {
            assert_eq!(desk.bench.send(by(who, request)).await.status(), StatusCode::OK);
        }
    }
    assert_eq!(desk.ask(&admin, &of(call, "quality/reviews")).await["reviews"].as_array().unwrap().len(), 3);
    assert_eq!(desk.ask(&desk.mina, &of(call, "quality/reviews")).await["flagged_by"], "sara");

    let wrong = [
        json!({ "version": 0, "scores": [{ "question": "greeting", "score": 1.5 }] }),
        json!({ "version": 0, "scores": [{ "question": "greeting", "score": -0.1 }] }),
        json!({ "version": 0, "scores": [{ "question": "no such", "score": 1 }] }),
        json!({ "version": 0, "scores": [{ "question": "pace", "score": 1 }, { "question": "pace", "score": 0 }] }),
        json!({ "version": 0, "comment": "x".repeat(2_001) }),
    ];
    for wrong in wrong {
        desk.refuses(&desk.nima, put(&of(call, "quality/review"), &wrong), 400, "invalid").await;
    }
    desk.refuses(&desk.sara, post(&of(call, "quality/replies"), &json!({ "text": " " })), 400, "invalid")
        .await;
    let unknown = CallId::new();
    desk.refuses(&desk.sara, get(&of(unknown, "quality/reviews")), 404, "not_found").await;
    desk.refuses(&desk.sara, put(&of(unknown, "flag"), &json!({ "flagged": true })), 404, "not_found").await;
}

#[tokio::test]
async fn a_call_is_also_whose_it_was_when_it_began() {
    let desk = Desk::open(Bench::new().await).await;
    let agent = |name: &str| Participant { party: Party::Agent, aor: None, name: Some(name.to_owned()) };
    let started = CallStarted {
        version: sotto_call::FORMAT_VERSION,
        bridged: false,
        parties_guessed: false,
        source: Source::Siprec,
        started_at_unix_ms: 1_700_000_000_000,
        external_id: "a".to_owned(),
        participants: vec![agent("sara")],
        language: None,
        headers: Default::default(),
    };
    let new = NewCall { id: CallId::new(), started, recording: None };
    let call = desk.bench.hub.begin(new, || Millis(1_500)).unwrap();
    // She hands it over.
    call.publish(EventBody::Participants(Participants { participants: vec![agent("mina")] }));
    call.publish(utterance(0, "My card is lost.", true));
    call.end(hangup()).await.unwrap();
    work(&desk.bench).await;
    let review = put(&of(call.id(), "quality/review"), &json!({ "version": 0 }));
    desk.refuses(&desk.sara, review, 403, "forbidden").await;
    assert_eq!(desk.ask(&desk.sara, &of(call.id(), "quality/reviews")).await["may_review"], false);
}

#[tokio::test]
async fn what_people_judged_is_exported_with_the_words_it_rests_on() {
    let desk = Desk::open(Bench::new().await).await;
    let call = call_of(&desk.bench, "mina", "My card is lost.").await.id();
    work(&desk.bench).await;
    let corrected = json!({ "question": "greeting", "score": 0.0, "comment": "no name" });
    desk.reviews(&desk.sara, call, &json!({ "version": 0, "scores": [corrected] })).await;
    let nothing = desk.bench.send(by(&desk.nima, get("/api/quality/examples"))).await;
    assert!(bytes(nothing).await.is_empty(), "who has said nothing of it yet is not told");
    let admin = desk.bench.key(&["admin"]).await;
    assert!(!bytes(desk.bench.send(by(&admin, get("/api/quality/examples"))).await).await.is_empty());
    desk.reviews(&desk.nima, call, &json!({ "version": 0 })).await;
    let response = desk.bench.send(by(&desk.sara, get("/api/quality/examples"))).await;
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let text = String::from_utf8(bytes(response).await).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let greetings: Vec<&Value> = lines.iter().filter(|one| one["question"] == "greeting").collect();
    assert_eq!((greetings.len(), lines.len() % 2), (2, 0), "every question of both");
    let corrected = greetings.iter().find(|one| one["corrected"] == true).unwrap();
    assert_eq!((&corrected["built_in"], &corrected["score"]), (&json!(1.0), &json!(0.0)));
    assert_eq!((&corrected["comment"], &corrected["call_id"]), (&json!("no name"), &json!(call.to_string())));
    let said = json!([{ "utterance_id": 0, "party": "agent", "text": "Good morning, how can I help?" }]);
    assert_eq!(corrected["evidence"], said);
}

#[tokio::test]
async fn calls_are_found_by_those_who_may_read_them() {
    let sees =
        |settings: &mut sotto_server::http::HttpSettings| settings.moods.seen_by = vec![Role::Supervisor];
    let desk = Desk::open(Bench::with(sees, HubLimits::default()).await).await;
    let first = call_of(&desk.bench, "mina", "My كتاب‌هاي are lost.").await.id();
    let second = call_of(&desk.bench, "omid", "My card is lost.").await.id();
    let unhappy = desk.bench.begin("b");
    feels(&unhappy);
    unhappy.end(hangup()).await.unwrap();
    work(&desk.bench).await;
    let found = async |who: &str, query: &str| -> Vec<String> {
        let found = desk.ask(who, &format!("/api/review/calls?{query}")).await;
        let calls = found["calls"].as_array().unwrap_or_else(|| panic!("{query}: {found}"));
        calls.iter().map(|one| one["call"]["id"].as_str().unwrap().to_owned()).collect()
    };
    let (a, b, c) = (first.to_string(), second.to_string(), unhappy.id().to_string());
    assert_eq!(found(&desk.sara, "").await, [c.as_str(), &b, &a]);
    assert_eq!(found(&desk.sara, "said=LOST").await, [b.as_str(), &a]);
    assert_eq!(found(&desk.sara, "said=%DA%A9%D8%AA%D8%A7%D8%A8%D9%87%D8%A7%DB%8C").await, [a.as_str()]);
    assert_eq!(found(&desk.sara, "agent=omid&said=lost").await, [b.as_str()]);
    assert_eq!(found(&desk.sara, "sentiment=negative").await, [c.as_str()]);
    assert_eq!(found(&desk.sara, &format!("limit=1&before={c}")).await, [b.as_str()]);
    // Agents find their own, whoever they ask for.
    assert_eq!(found(&desk.mina, "agent=omid&said=lost").await, [a.as_str()]);
    let one = desk.ask(&desk.sara, "/api/review/calls?said=card").await["calls"][0].clone();
    assert_eq!((&one["agent"], &one["reviews"]), (&json!("omid"), &json!(0)));
    let mut said =
        json!({ "utterance_id": 1, "party": "customer", "start_ms": 100, "text": "My card is lost." });
    said["found_by"] = json!(["words"]);
    assert_eq!(one["said"], json!([said]));
    // Without a sentence embedding words do, and whoever asks for more is told so.
    let found_by_words = desk.ask(&desk.sara, "/api/review/calls?said=card&meaning=true").await;
    assert_eq!((&found_by_words["by_meaning"], &found_by_words["calls"][0]), (&json!(false), &one));
    // Whoever is not to see moods finds nobody by them, nor is told.
    desk.refuses(&desk.root, get("/api/review/calls?sentiment=negative"), 403, "forbidden").await;
    assert!(!desk.ask(&desk.root, "/api/review/calls").await.to_string().contains("\"sentiment\""));
    assert!(desk.ask(&desk.root, "/api/dashboard").await["total"]["moods"].is_null());
    for wrong in
        ["score_from=2", "score_below=NaN", "until_unix_ms=999999999999999", "sentiment=sad", "before=x"]
    {
        desk.refuses(&desk.sara, get(&format!("/api/review/calls?{wrong}")), 400, "invalid").await;
    }
    let long = format!("/api/review/calls?said={}", "x".repeat(201));
    desk.refuses(&desk.sara, get(&long), 400, "invalid").await;

    let figures = desk.ask(&desk.sara, "/api/dashboard").await;
    let total = &figures["total"];
    assert_eq!((&total["calls"], &total["length_ms"]), (&json!(3), &json!(5_000)));
    assert_eq!(total["moods"], json!({ "positive": 0, "neutral": 0, "negative": 1 }));
    assert_eq!(figures["days"].as_array().unwrap().len(), 1);
    assert_eq!(figures["days"][0]["figures"], *total);
    desk.refuses(&desk.sara, get("/api/dashboard?since_unix_ms=0"), 400, "invalid").await;
}
