use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::{Value, json};
use sotto_call::CallId;
use sotto_llm::testing::{Fake, Reply};
use sotto_llm::{Llm, Settings};
use sotto_server::assist::Model;
use sotto_server::redaction::RedactionConfig;
use sotto_store::Role;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::bench::{Bench, body, by, bytes, get, post, refused, utterance, with_body};

pub fn upload(name: &str, roles: &str, text: impl Into<Body>) -> Request<Body> {
    let path = format!("/api/knowledge/documents?name={name}&roles={roles}");
    Request::post(path).header(header::CONTENT_TYPE, "text/plain").body(text.into()).unwrap()
}

fn ask(query: &str) -> Request<Body> {
    post("/api/ai/assist/search", &json!({ "query": query }))
}

fn question(asked: &Value) -> Request<Body> {
    post("/api/ai/assist/answer", asked)
}

fn model(settings: Settings) -> Model {
    let redaction = RedactionConfig::default();
    Model { llm: Llm::new(settings).unwrap(), redaction, patience: Duration::from_secs(20) }
}

fn remove(id: &str) -> Request<Body> {
    Request::delete(format!("/api/knowledge/documents/{id}")).body(Body::empty()).unwrap()
}

/// What is for everybody, for supervisors and admins, and for admins.
pub const REFUNDS: &str = "The refund takes three days.";
const MARGINS: &str = "A refund costs us ten zebras.";
const KEYS: &str = "The refund safe opens with a giraffe.";

/// A bench with three documents, and an agent, a supervisor and an admin who are signed in.
async fn bench() -> (Bench, [String; 3]) {
    with_documents(Bench::new().await).await
}

pub async fn with_documents(bench: Bench) -> (Bench, [String; 3]) {
    let people = [("mina", Role::Agent), ("sara", Role::Supervisor), ("omid", Role::Admin)];
    let mut cookies = Vec::new();
    for (name, role) in people {
        bench.add_user(name, role).await;
        cookies.push(bench.sign_in(name).await);
    }
    let admin = &cookies[2];
    for (name, roles, text) in [
        ("refunds.txt", "", REFUNDS),
        ("margins.txt", "supervisor,admin", MARGINS),
        ("keys.txt", "admin", KEYS),
    ] {
        let response = bench.send(by(admin, upload(name, roles, text))).await;
        assert_eq!(response.status(), StatusCode::NO_CONTENT, "{name}");
    }
    (bench, cookies.try_into().unwrap())
}

fn names(list: &Value, key: &str) -> Vec<String> {
    let list = list.as_array().unwrap().iter();
    list.map(|one| one[key].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn whoever_asks_gets_passages_with_where_they_stand_and_why() {
    let (bench, [mina, ..]) = bench().await;
    let asked = json!({ "query": " Does the refund take three days? ", "leadId": "4711" });
    let found = body(bench.send(by(&mina, post("/api/ai/assist/search", &asked))).await).await;
    let first = &found["snippets"][0];
    assert_eq!(
        (&first["document"], &first["title"], &first["text"], &first["headings"]),
        (&json!("refunds.txt"), &json!("refunds.txt"), &json!(REFUNDS), &json!([]))
    );
    assert_eq!(first["changed_unix_ms"], 1_700_000_000_000_u64);
    assert_eq!(first["language"], "en");
    assert!(first["why"]["words"].as_array().unwrap().contains(&json!("refund")), "{first}");
    assert!(first["why"]["rank_by_words"] == 1 && first["why"].get("cosine").is_none(), "{first}");
    assert!(first["confidence"].as_f64().unwrap() > 0.5 && first["sure"] == true, "{first}");
    assert_eq!(body(bench.send(by(&mina, ask("weather"))).await).await, json!({ "snippets": [] }));

    for (query, status, code) in [
        (json!({ "query": " " }), 400, "invalid"),
        (json!({ "query": "x".repeat(2_001) }), 400, "invalid"),
        (json!({ "query": "x", "leadId": "x".repeat(201) }), 400, "invalid"),
        (json!({ "query": "x", "role": "admin" }), 422, "invalid_body"),
        (json!({}), 422, "invalid_body"),
    ] {
        let response = bench.send(by(&mina, post("/api/ai/assist/search", &query))).await;
        refused(response, status, code).await;
    }
}

#[tokio::test]
async fn what_is_hidden_from_a_role_never_reaches_it() {
    let (bench, [mina, sara, omid]) = bench().await;
    let few = bench.key(&["knowledge:read"]).await;
    let listens = bench.key(&["knowledge:read", "calls:listen"]).await;
    let all = ["keys.txt", "margins.txt", "refunds.txt"];
    for (who, seen) in [(&mina, 1), (&few, 1), (&sara, 2), (&listens, 2), (&omid, 3)] {
        let hidden = &all[..3 - seen];
        let secrets = &["zebra", "giraffe"][seen - 1..];
        let hides = |said: &str| {
            hidden.iter().all(|name| !said.contains(name)) && secrets.iter().all(|word| !said.contains(word))
        };
        let list = body(bench.send(by(who, get("/api/knowledge/documents"))).await).await;
        assert_eq!(names(&list["documents"], "id"), all[3 - seen..]);
        for query in ["refund", "What does a refund cost in zebras?", "giraffe safe keys margins"] {
            let said = bytes(bench.send(by(who, ask(query))).await).await;
            let said = String::from_utf8(said).unwrap();
            assert!(hides(&said), "{query}: {said}");
        }
        for name in all {
            let response = bench.send(by(who, get(&format!("/api/knowledge/documents/{name}")))).await;
            if hidden.contains(&name) {
                // As if there were none.
                let unknown = bench.send(by(who, get("/api/knowledge/documents/nothing.txt"))).await;
                assert_eq!(response.status(), unknown.status());
                assert_eq!(bytes(response).await, bytes(unknown).await);
            } else {
                assert_eq!(body(response).await["id"], name);
            }
        }
        let status = bytes(bench.send(by(who, get("/api/status"))).await).await;
        assert!(hides(&String::from_utf8(status).unwrap()));
    }
    // Figures have neither names nor words.
    let figures = String::from_utf8(bytes(bench.send(get("/metrics")).await).await).unwrap();
    assert!(figures.contains("sotto_knowledge_documents 3"), "{figures}");
    assert!(figures.contains("sotto_knowledge_passages_without_vector 3"), "{figures}");
    assert!([".txt", "zebra", "giraffe"].iter().all(|word| !figures.contains(word)));
}

#[tokio::test]
async fn what_is_for_a_team_is_for_nobody_else_whatever_their_role() {
    let bench = Bench::new().await;
    let mut cookies = Vec::new();
    for (name, role) in [("mina", Role::Agent), ("sara", Role::Supervisor), ("omid", Role::Admin)] {
        bench.add_user(name, role).await;
        cookies.push(bench.sign_in(name).await);
    }
    let [mina, sara, omid] = cookies.try_into().unwrap();
    let key = bench.key(&["admin"]).await;
    let fees = upload("fees.txt&teams=cards,loans", "", "A refund of the fee needs two walruses.");
    assert_eq!(bench.send(by(&sara, fees)).await.status(), StatusCode::NO_CONTENT);
    let moves = |who: &str, team: &str| {
        by(&omid, with_body("PATCH", &format!("/api/users/{who}"), &json!({ "team": team })))
    };
    assert_eq!(body(bench.send(moves("mina", "cards")).await).await["user"]["team"], "cards");
    assert_eq!(bench.send(moves("sara", "sales")).await.status(), StatusCode::OK);
    let asked = "Does a refund of the fee need two walruses?";
    let sees = async |who: &str| {
        let list = bytes(bench.send(by(who, get("/api/knowledge/documents"))).await).await;
        let found = bytes(bench.send(by(who, ask(asked))).await).await;
        let answer = bytes(bench.send(by(who, question(&json!({ "question": asked })))).await).await;
        let text = bench.send(by(who, get("/api/knowledge/documents/fees.txt"))).await;
        let seen = [list, found, answer].map(|bytes| {
            let text = String::from_utf8(bytes).unwrap();
            text.contains("fees.txt") || text.contains("needs two walruses")
        });
        assert!(seen.iter().all(|one| *one == text.status().is_success()), "{who}: {seen:?}");
        text.status().is_success()
    };
    assert!(sees(&mina).await);
    for who in [&sara, &omid, &key] {
        assert!(!sees(who).await);
    }
    assert_eq!(bench.send(moves("sara", "loans")).await.status(), StatusCode::OK);
    assert_eq!(bench.send(moves("mina", "")).await.status(), StatusCode::OK);
    assert!(sees(&sara).await && !sees(&mina).await);
    refused(bench.send(moves("mina", "a,b")).await, 400, "invalid").await;
}

#[tokio::test]
async fn admins_say_who_is_in_a_team_what_it_sees_and_what_it_is_called() {
    let (bench, [mina, sara, omid]) = with_documents(Bench::new().await).await;
    let patch = |who: &str, path: &str, said: &Value| by(who, with_body("PATCH", path, said));
    let (keys, refunds) = ("/api/knowledge/documents/keys.txt", "/api/knowledge/documents/refunds.txt");
    let cards = json!({ "teams": ["cards", " "] });
    for who in [&mina, &sara] {
        refused(bench.send(by(who, get("/api/teams"))).await, 403, "forbidden").await;
        refused(bench.send(patch(who, refunds, &cards)).await, 403, "forbidden").await;
        refused(bench.send(patch(who, "/api/teams/cards", &json!({ "name": "x" }))).await, 403, "forbidden")
            .await;
    }
    refused(bench.send(patch(&omid, "/api/teams/cards", &json!({ "name": "x" }))).await, 404, "not_found")
        .await;
    let moved = bench.send(patch(&omid, "/api/users/mina", &json!({ "team": "cards" }))).await;
    assert_eq!(moved.status(), StatusCode::OK);
    assert_eq!(bench.send(patch(&omid, refunds, &cards)).await.status(), StatusCode::NO_CONTENT);
    let reads = async |who: &str| bench.send(by(who, get(refunds))).await.status() == StatusCode::OK;
    assert!(reads(&mina).await && !reads(&sara).await && !reads(&omid).await);
    // Whose it is not sees its name here, and no more; what is not for their role is not there either.
    let listed = body(bench.send(by(&omid, get("/api/teams"))).await).await;
    assert_eq!(names(&listed["teams"], "name"), ["cards"]);
    assert_eq!(names(&listed["documents"], "id"), ["keys.txt", "margins.txt", "refunds.txt"]);
    assert_eq!(listed["documents"][2]["teams"], json!(["cards"]));
    assert!(!listed.to_string().contains("three days"), "{listed}");
    let of = |who: &str| {
        listed["people"].as_array().unwrap().iter().find(|one| one["name"] == who).unwrap()["team"].clone()
    };
    assert_eq!((of("mina"), of("sara")), (json!("cards"), Value::Null));

    let called = bench.send(patch(&omid, "/api/teams/cards", &json!({ "name": " کارت‌ها " }))).await;
    assert_eq!(called.status(), StatusCode::NO_CONTENT);
    assert!(reads(&mina).await && !reads(&sara).await);
    let documents = body(bench.send(by(&sara, get("/api/knowledge/documents"))).await).await;
    assert_eq!(documents["teams"], json!(["کارت‌ها"]));
    assert_eq!(
        bench.send(patch(&omid, keys, &json!({ "teams": ["loans"] }))).await.status(),
        StatusCode::NO_CONTENT
    );
    let taken = bench.send(patch(&omid, "/api/teams/loans", &json!({ "name": "کارت‌ها" }))).await;
    refused(taken, 409, "name_taken").await;
    refused(bench.send(patch(&omid, "/api/teams/loans", &json!({ "name": "a,b" }))).await, 400, "invalid")
        .await;
    refused(bench.send(patch(&omid, refunds, &json!({ "teams": ["a,b"] }))).await, 400, "invalid").await;
    assert_eq!(
        bench.send(patch(&omid, refunds, &json!({ "teams": [] }))).await.status(),
        StatusCode::NO_CONTENT
    );
    assert!(reads(&sara).await && reads(&omid).await);
}

#[tokio::test]
async fn an_answer_names_its_passages_and_a_model_gets_only_those_of_whoever_asks() {
    let said = json!({
        "refused": false,
        "sentences": [
            { "text": "The refund takes three days.", "passages": [1] },
            { "text": "The moon costs ten euros.", "passages": [1] },
        ],
    });
    let fake = Fake::in_turn(vec![Reply::Says(said.to_string())]).await;
    let (bench, [mina, sara, omid]) = with_documents(Bench::answering(model(fake.settings())).await).await;
    let few = bench.key(&["knowledge:read"]).await;
    let listens = bench.key(&["knowledge:read", "calls:listen"]).await;
    let questions = [
        "Does the refund take three days?",
        "Does a refund cost us ten zebras?",
        "Does the refund safe open with a giraffe?",
    ];
    // What stands in the documents is spelled in another way in the questions.
    let stands = ["takes three days", "costs us", "safe opens"];
    for (who, seen) in [(&mina, 1), (&few, 1), (&sara, 2), (&listens, 2), (&omid, 3)] {
        let before = fake.asked().len();
        for (n, text) in questions.into_iter().enumerate() {
            let given = bytes(bench.send(by(who, question(&json!({ "question": text })))).await).await;
            let given = String::from_utf8(given).unwrap();
            assert!(stands[seen..].iter().all(|words| !given.contains(words)), "{text}: {given}");
            let given: Value = serde_json::from_str(&given).unwrap();
            assert_eq!(given["by"], if n < seen { "model" } else { "passages" }, "{text}: {given}");
            if n == 0 {
                let sentence = json!({ "text": "The refund takes three days.", "passages": [1] });
                assert_eq!((&given["sentences"], &given["refused"]), (&json!([sentence]), &Value::Null));
                assert_eq!(names(&given["passages"], "document"), ["refunds.txt"]);
                let model = &given["model"];
                assert_eq!((&model["model"], &model["dropped"]), (&json!("fake"), &json!(1)));
            } else {
                // What the model says of it does not stand there; of the rest nobody has asked it.
                let why = if n < seen { "unsupported" } else { "nothing_found" };
                assert_eq!((&given["sentences"], &given["refused"]), (&json!([]), &json!(why)), "{text}");
            }
        }
        let prompts: Vec<String> =
            fake.asked()[before..].iter().map(|asked| asked["messages"].to_string()).collect();
        assert_eq!(prompts.len(), seen, "{prompts:?}");
        for words in &stands[seen..] {
            assert!(prompts.iter().all(|prompt| !prompt.contains(words)), "{words}: {prompts:?}");
        }
    }
}

#[tokio::test]
async fn a_model_that_is_dead_leaves_the_passages_own_words() {
    let settings =
        Settings { url: "http://127.0.0.1:9".to_owned(), model: "gone".to_owned(), ..Settings::default() };
    let bench = Bench::answering(model(Settings { retries: 0, ..settings })).await;
    let (bench, [mina, ..]) = with_documents(bench).await;
    // Again and again, also when it is not asked any more.
    for n in 0..7 {
        let asked = json!({ "question": " Does the refund take three days? ", "leadId": "4711" });
        let response = bench.send(by(&mina, question(&asked))).await;
        assert_eq!(response.status(), StatusCode::OK);
        let given = body(response).await;
        assert_eq!(given["sentences"], json!([{ "text": REFUNDS, "passages": [1] }]), "{given}");
        let failed = if n < 5 { "unreachable" } else { "resting" };
        assert_eq!((&given["by"], &given["model_failed"]), (&json!("passages"), &json!(failed)));
    }
    let given = body(bench.send(by(&mina, question(&json!({ "question": "weather" })))).await).await;
    assert_eq!((&given["refused"], &given["model_failed"]), (&json!("nothing_found"), &Value::Null));
}

#[tokio::test]
async fn a_model_is_not_kept_busy_for_somebody_who_has_left() {
    let asked = Arc::new(Notify::new());
    let tell = asked.clone();
    let fake = Fake::start(move |_, _: &Value| {
        tell.notify_one();
        Reply::Silence
    })
    .await;
    let (bench, _) = with_documents(Bench::answering(model(fake.settings())).await).await;
    let key = bench.key(&["knowledge:read"]).await;
    let text = json!({ "question": "Does the refund take three days?" }).to_string();
    let request = format!(
        "POST /api/ai/assist/answer HTTP/1.1\r\nHost: sotto\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    );
    let mut program = TcpStream::connect(bench.serve().await).await.unwrap();
    program.write_all(request.as_bytes()).await.unwrap();
    timeout(Duration::from_secs(10), asked.notified()).await.unwrap();
    drop(program);
    timeout(Duration::from_secs(10), fake.given_up()).await.unwrap();
}

#[tokio::test]
async fn a_question_on_a_call_may_lean_on_what_was_said_there() {
    let (bench, [mina, _, omid]) = bench().await;
    assert_eq!(bench.send(by(&omid, remove("keys.txt"))).await.status(), StatusCode::NO_CONTENT);
    let lesson = upload("lessons.txt", "", "The lesson takes three days.");
    assert_eq!(bench.send(by(&omid, lesson)).await.status(), StatusCode::NO_CONTENT);
    let live = bench.begin("call");
    live.publish(utterance(1, "I would like to get a refund.", true));
    let call = format!("/api/calls/{}", live.id());
    while body(bench.send(by(&mina, get(&call))).await).await["state"]["utterances"] == json!([]) {
        tokio::task::yield_now().await;
    }
    let ask = async |asked: Value| {
        let given = body(bench.send(by(&mina, question(&asked))).await).await;
        names(&given["passages"], "document")
    };
    let text = "And does it take three days?";
    assert_eq!(ask(json!({ "question": text })).await[0], "lessons.txt");
    assert_eq!(ask(json!({ "question": text, "callId": live.id() })).await[0], "refunds.txt");
    let unknown = json!({ "question": text, "callId": CallId::new() });
    refused(bench.send(by(&mina, question(&unknown))).await, 404, "not_found").await;
    // A call is for those who may read it.
    let reads = bench.key(&["knowledge:read"]).await;
    let asked = json!({ "question": text, "callId": live.id() });
    refused(bench.send(by(&reads, question(&asked))).await, 403, "forbidden").await;
    let reads = bench.key(&["knowledge:read", "calls:read"]).await;
    assert_eq!(bench.send(by(&reads, question(&asked))).await.status(), StatusCode::OK);
    for (asked, status, code) in [
        (json!({ "question": " " }), 400, "invalid"),
        (json!({ "question": "x".repeat(2_001) }), 400, "invalid"),
        (json!({ "question": "x", "leadId": "x".repeat(201) }), 400, "invalid"),
        (json!({ "question": "x", "callId": "x" }), 422, "invalid_body"),
        (json!({ "query": "x" }), 422, "invalid_body"),
    ] {
        refused(bench.send(by(&mina, question(&asked))).await, status, code).await;
    }
}

#[tokio::test]
async fn who_may_not_look_or_change_is_refused() {
    let (bench, [mina, sara, _]) = bench().await;
    let other = bench.key(&["calls:read", "calls:listen", "metrics:read"]).await;
    let reads = bench.key(&["knowledge:read"]).await;
    let looks = || {
        let list = get("/api/knowledge/documents");
        let answer = question(&json!({ "question": "refund" }));
        [list, get("/api/knowledge/documents/refunds.txt"), ask("refund"), answer]
    };
    let changes = || [upload("a.txt", "", "one"), remove("refunds.txt"), remove("keys.txt")];
    for request in looks().into_iter().chain(changes()) {
        refused(bench.send(request).await, 401, "unauthenticated").await;
    }
    for request in looks().into_iter().chain(changes()) {
        refused(bench.send(by(&other, request)).await, 403, "forbidden").await;
    }
    for who in [&mina, &reads] {
        for request in changes() {
            refused(bench.send(by(who, request)).await, 403, "forbidden").await;
        }
        let list = body(bench.send(by(who, get("/api/knowledge/documents"))).await).await;
        assert_eq!(
            (list["editable"].as_bool(), list["documents"].as_array().unwrap().len()),
            (Some(false), 1)
        );
    }
    // A page of somebody else's sends nothing in a supervisor's name.
    let mut foreign = by(&sara, upload("a.txt", "", "one"));
    foreign.headers_mut().insert(header::ORIGIN, "https://evil.example".parse().unwrap());
    refused(bench.send(foreign).await, 403, "forbidden").await;
}

#[tokio::test]
async fn a_supervisor_uploads_replaces_and_removes_what_they_see() {
    let (bench, [_, sara, _]) = bench().await;
    let send = async |request| bench.send(by(&sara, request)).await;
    // There may be three.
    refused(send(upload("more.txt", "", "one")).await, 409, "full").await;
    refused(send(upload("keys.txt", "", "Mine.")).await, 409, "name_taken").await;
    refused(send(remove("keys.txt")).await, 404, "not_found").await;
    refused(send(remove("nothing.txt")).await, 404, "not_found").await;
    for (name, roles, text, status, code) in [
        ("a%2Fb.txt", "", "one", 400, "invalid"),
        ("%00.txt", "", "one", 400, "invalid"),
        ("", "", "one", 400, "invalid"),
        ("a.txt", "boss", "one", 400, "invalid"),
        ("a.exe", "", "one", 415, "kind"),
        ("refunds.txt", "", " \n ", 422, "unreadable"),
    ] {
        refused(send(upload(name, roles, text)).await, status, code).await;
    }
    refused(send(upload("refunds.txt", "", vec![b'x'; (1 << 20) + 1])).await, 413, "too_large").await;
    refused(send(upload("refunds.txt", "", vec![0xff_u8; 9])).await, 422, "unreadable").await;

    assert_eq!(
        send(upload("refunds.txt", "", "It takes a fortnight.")).await.status(),
        StatusCode::NO_CONTENT
    );
    let found = body(send(ask("fortnight")).await).await;
    assert_eq!(names(&found["snippets"], "document"), ["refunds.txt"]);
    let text = body(send(get("/api/knowledge/documents/refunds.txt")).await).await;
    assert_eq!(text["text"], "It takes a fortnight.");
    let list = body(send(get("/api/knowledge/documents")).await).await;
    assert_eq!(
        list["documents"][1],
        json!({
            "id": "refunds.txt", "title": "refunds.txt", "source": "upload", "state": "words",
            "changed_unix_ms": 1_700_000_000_000_u64, "bytes": 21, "version": 2, "passages": 1,
            "roles": [], "teams": [],
        })
    );
    assert_eq!((list["editable"].as_bool(), names(&list["documents"], "id").len()), (Some(true), 2));

    assert_eq!(send(remove("refunds.txt")).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(body(send(ask("fortnight")).await).await, json!({ "snippets": [] }));
    refused(send(get("/api/knowledge/documents/refunds.txt")).await, 404, "not_found").await;
    refused(send(remove("refunds.txt")).await, 404, "not_found").await;
    // A name in the reader's own language, as an address has it.
    assert_eq!(send(upload("%D9%88%D8%AC%D9%87.txt", "", "سه روز")).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(
        body(send(get("/api/knowledge/documents/%D9%88%D8%AC%D9%87.txt")).await).await["id"],
        "وجه.txt"
    );

    // Who did what, without what stands in it.
    let admin = bench.key(&["admin"]).await;
    let told = loop {
        let list = body(bench.send(by(&admin, get("/api/audit"))).await).await;
        let records = list["records"].as_array().unwrap().clone();
        if records.len() == 6 {
            break records;
        }
        tokio::task::yield_now().await;
    };
    let told = Value::Array(told);
    assert_eq!(
        names(&told, "detail"),
        [
            "وجه.txt: uploaded",
            "refunds.txt: removed",
            "refunds.txt: uploaded",
            "keys.txt: uploaded",
            "margins.txt: uploaded",
            "refunds.txt: uploaded",
        ]
    );
    assert_eq!((&told[0]["who"], &told[0]["what"]), (&json!("sara"), &json!("knowledge")));
}

#[tokio::test]
async fn a_change_is_in_the_audit_though_nobody_waits_for_it() {
    let (bench, [_, sara, _]) = bench().await;
    let admin = bench.key(&["admin"]).await;
    let version = async || {
        let rows = bench.store.documents().await.unwrap();
        rows.iter().find(|row| row.name == "refunds.txt").unwrap().version
    };
    // Whoever uploads hangs up when it is kept, and before they are told so.
    let is_too_late = async |days: usize| {
        bench.wait(Duration::from_secs(1));
        let before = version().await;
        let request = upload("refunds.txt", "", format!("It takes {days} days."));
        let mut sent = Box::pin(bench.send(by(&sara, request)));
        loop {
            if futures::poll!(&mut sent).is_ready() {
                return true;
            }
            if version().await > before {
                return false;
            }
        }
    };
    let mut days = 4;
    while is_too_late(days).await {
        days += 1;
    }
    let uploads = version().await as usize;
    let records = async || {
        let told = body(bench.send(by(&admin, get("/api/audit"))).await).await;
        names(&told["records"], "detail").iter().filter(|detail| *detail == "refunds.txt: uploaded").count()
    };
    let all_told = async {
        while records().await < uploads {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all_told).await.unwrap();
}

#[tokio::test]
async fn a_file_of_a_folder_is_removed_there() {
    let bench = Bench::new().await;
    let content = json!({ "title": "Fees", "parts": [{ "level": 0, "text": "Ten pounds." }], "missing": [] });
    let row = sotto_store::DocumentRow {
        name: "hub/fees.md".to_owned(),
        uploaded: false,
        title: "Fees".to_owned(),
        changed_unix_ms: 7,
        bytes: 9,
        teams: Default::default(),
        roles: Default::default(),
        hash: [1; 32],
        version: 1,
        problem: None,
    };
    bench.store.put_document(&row, &content.to_string(), &Default::default()).await.unwrap();
    bench.add_user("sara", Role::Supervisor).await;
    let sara = bench.sign_in("sara").await;
    let send = async |request| bench.send(by(&sara, request)).await;
    // Whatever is done with documents takes over what is there.
    assert_eq!(send(upload("a.txt", "", "one")).await.status(), StatusCode::NO_CONTENT);
    for id in ["hub/fees.md", "hub%2Ffees.md"] {
        refused(send(remove(id)).await, 409, "in_folder").await;
        let text = body(send(get(&format!("/api/knowledge/documents/{id}"))).await).await;
        assert_eq!((&text["title"], &text["text"]), (&json!("Fees"), &json!("Ten pounds.")));
    }
}

#[tokio::test]
async fn nobody_asks_without_end() {
    let (bench, [mina, sara, _]) = bench().await;
    let mut answered = 0;
    let refusal = loop {
        // Whichever way they ask.
        let asked = match answered % 2 {
            0 => ask("refund"),
            _ => question(&json!({ "question": "refund" })),
        };
        let response = bench.send(by(&mina, asked)).await;
        if response.status() != StatusCode::OK {
            break response;
        }
        answered += 1;
    };
    assert_eq!(answered, 30);
    assert_eq!(refusal.headers()[header::RETRY_AFTER], "1");
    refused(refusal, 429, "too_many_attempts").await;
    // Nobody else is held up, and what costs little goes on.
    assert_eq!(bench.send(by(&sara, ask("refund"))).await.status(), StatusCode::OK);
    assert_eq!(bench.send(by(&mina, get("/api/knowledge/documents"))).await.status(), StatusCode::OK);
    bench.wait(Duration::from_secs(1));
    assert_eq!(bench.send(by(&mina, ask("refund"))).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_change_that_the_database_does_not_take_is_said() {
    let (bench, [_, sara, _]) = bench().await;
    // Somebody who was there before is remembered.
    assert_eq!(bench.send(by(&sara, ask("refund"))).await.status(), StatusCode::OK);
    bench.store.close().await;
    // Whoever is signed in still finds what is there.
    let found = body(bench.send(by(&sara, ask("refund"))).await).await;
    assert_eq!(found["snippets"].as_array().unwrap().len(), 2);
    refused(bench.send(by(&sara, remove("refunds.txt"))).await, 503, "store").await;
    assert_eq!(
        bench.send(by(&sara, get("/api/knowledge/documents/refunds.txt"))).await.status(),
        StatusCode::OK
    );
}
