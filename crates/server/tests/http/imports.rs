use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::{Value, json};
use sotto_call::CallId;
use sotto_store::{JobState, Role};

use crate::bench::{Bench, body, by, get, hangup, post, refused, utterance};
use crate::review::work;

fn upload(query: &str, bytes: impl Into<Body>) -> Request<Body> {
    let request = Request::post(format!("/api/recordings?name=call.wav{query}"));
    request.header(header::CONTENT_TYPE, "audio/wav").body(bytes.into()).unwrap()
}

fn ended(more: &Value) -> Request<Body> {
    let mut call = json!({
        "callId": "1764000000.17",
        "agentId": "mina",
        "direction": "outbound",
        "startedAt": "2026-11-24T10:00:00+03:30",
        "endedAt": "2026-11-24T10:05:00+03:30",
        "recordingUrl": "https://pbx.example/2026/17.wav?token=secret",
        "transcriptUrl": null,
    });
    call.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    post("/api/voip/events/call-ended", &call)
}

/// A bench, and an agent and a supervisor who are signed in.
async fn bench() -> (Bench, [String; 2]) {
    let bench = Bench::new().await;
    let mut cookies = Vec::new();
    for (name, role) in [("mina", Role::Agent), ("sara", Role::Supervisor)] {
        bench.add_user(name, role).await;
        cookies.push(bench.sign_in(name).await);
    }
    (bench, cookies.try_into().unwrap())
}

/// A contact's id.
async fn lead(bench: &Bench, who: &str, phones: &Value) -> String {
    let lead = json!({ "name": "Reza", "phones": phones });
    let response = bench.send(by(who, post("/api/leads", &lead))).await;
    body(response).await["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_upload_waits_for_its_turn_and_is_known_by_its_key() {
    let (bench, [mina, sara]) = bench().await;
    refused(bench.send(by(&mina, upload("", "RIFF"))).await, 403, "forbidden").await;
    let response =
        bench.send(by(&sara, upload("&key=a&started_at=2026-11-24T10:00:00Z&agent=mina", "RIFF"))).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let first = body(response).await;
    assert_eq!(
        (&first["state"], &first["name"], &first["added_by"]),
        (&json!("waiting"), &json!("call.wav"), &json!("sara"))
    );
    assert_eq!(first["started_at_unix_ms"], 1_795_514_400_000_u64);
    let again = body(bench.send(by(&sara, upload("&key=a", "RIFF"))).await).await;
    assert_eq!((&again["id"], &again["call_id"]), (&first["id"], &first["call_id"]));
    let listed = body(bench.send(by(&sara, get("/api/recordings?state=waiting"))).await).await;
    assert_eq!((&listed["waiting"], listed["recordings"].as_array().unwrap().len()), (&json!(1), 1));
    refused(bench.send(by(&mina, get("/api/recordings"))).await, 403, "forbidden").await;
    let file = bench.folder.path().join("imports").join(first["id"].as_str().unwrap());
    assert_eq!(std::fs::read(&file).unwrap(), b"RIFF");
    let path = format!("/api/recordings/{}", first["id"].as_str().unwrap());
    let remove = || Request::delete(&path).body(Body::empty()).unwrap();
    refused(bench.send(by(&mina, remove())).await, 403, "forbidden").await;
    assert_eq!(bench.send(by(&sara, remove())).await.status(), StatusCode::NO_CONTENT);
    refused(bench.send(by(&sara, remove())).await, 404, "not_found").await;
    assert!(!file.exists());
}

#[tokio::test]
async fn what_is_wrong_with_an_upload_is_said() {
    let (bench, [_, sara]) = bench().await;
    for query in [
        "&started_at=yesterday",
        "&language=xx",
        "&number=nobody",
        "&key=%20",
        "&started_at=1900-01-01T00:00:00Z",
    ] {
        refused(bench.send(by(&sara, upload(query, "RIFF"))).await, 400, "invalid").await;
    }
    refused(bench.send(by(&sara, upload("", ""))).await, 400, "invalid").await;
    refused(bench.send(by(&sara, upload("", vec![0; (1 << 20) + 1]))).await, 413, "too_large").await;
    for _ in 0..4 {
        assert_eq!(bench.send(by(&sara, upload("", "RIFF"))).await.status(), StatusCode::ACCEPTED);
    }
    refused(bench.send(by(&sara, upload("", "RIFF"))).await, 409, "full").await;
    let files = std::fs::read_dir(bench.folder.path().join("imports")).unwrap().count();
    assert_eq!(files, 4, "nothing of what was refused stays");
}

#[tokio::test]
async fn an_agent_adds_a_voice_note_to_a_contact() {
    let (bench, [mina, _]) = bench().await;
    let note = |id: &str| {
        let request = Request::post(format!("/api/leads/{id}/voice-notes?name=note.ogg&language=fa&key=a"));
        request.header(header::CONTENT_TYPE, "audio/ogg").body(Body::from("OggS")).unwrap()
    };
    let known = lead(&bench, &mina, &json!(["+989121234567"])).await;
    let response = bench.send(by(&mina, note(&known))).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let queued = body(response).await;
    assert_eq!([&queued["state"], &queued["name"], &queued["added_by"]], ["waiting", "note.ogg", "mina"]);
    assert_eq!(body(bench.send(by(&mina, note(&known))).await).await["id"], queued["id"], "by its key");
    let waiting = bench.store.imports(Some(JobState::Waiting), 9).await.unwrap();
    let [row] = waiting.as_slice() else { panic!("{waiting:?}") };
    let request: Value = serde_json::from_str(&row.import.request).unwrap();
    assert_eq!((&request["alone"], &request["language"]), (&json!(true), &json!("fa")));
    assert_eq!(request["customer"], "+989121234567");
    let without_number = lead(&bench, &mina, &json!([])).await;
    refused(bench.send(by(&mina, note(&without_number))).await, 422, "lead").await;
    refused(bench.send(by(&mina, note(&CallId::new().to_string()))).await, 404, "not_found").await;
    refused(bench.send(note(&known)).await, 401, "unauthenticated").await;
}

#[tokio::test]
async fn a_voice_note_is_on_its_contacts_timeline_word_for_word() {
    let (bench, [mina, _]) = bench().await;
    let lead = lead(&bench, &mina, &json!(["+989121234567"])).await;
    let note = bench.begin_note("tel:+989121234567");
    note.publish(utterance(1, "سلام، پنل من باز نمی‌شود.", true));
    note.publish(utterance(2, "Please call me back.", true));
    note.end(hangup()).await.unwrap();
    work(&bench).await;
    let timeline = body(bench.send(by(&mina, get(&format!("/api/leads/{lead}/communication")))).await).await;
    let [noted] = timeline["communication"].as_array().unwrap().as_slice() else { panic!("{timeline}") };
    assert_eq!([&noted["type"], &noted["source"]], ["voice_note", "ai"]);
    assert_eq!(noted["content"], "سلام، پنل من باز نمی‌شود.\nPlease call me back.");
    assert_eq!(noted["call_id"], note.id().to_string(), "where it can be heard");
}

#[tokio::test]
async fn a_telephone_system_names_a_recording_on_an_allowed_host() {
    let (bench, [mina, sara]) = bench().await;
    let key = bench.key(&["recordings:write"]).await;
    let response = bench.send(by(&key, ended(&json!({})))).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let queued = body(response).await;
    assert_eq!(
        (&queued["name"], &queued["started_at_unix_ms"]),
        (&json!("17.wav"), &json!(1_795_501_800_000_u64))
    );
    let again = body(bench.send(by(&key, ended(&json!({})))).await).await;
    assert_eq!(again["id"], queued["id"]);
    let listed = body(bench.send(by(&key, get("/api/recordings"))).await).await;
    assert!(!listed.to_string().contains("secret"), "an address may let others in: {listed}");
    for (who, more, status, code) in [
        (&mina, json!({}), 403, "forbidden"),
        (&key, json!({ "recordingUrl": "https://evil.example/a.wav" }), 422, "not_allowed"),
        (&key, json!({ "recordingUrl": "http://pbx.example/a.wav" }), 422, "not_allowed"),
        (&key, json!({ "recordingUrl": "https://169.254.169.254/latest" }), 422, "not_allowed"),
        (&key, json!({ "recordingUrl": "../sotto.db" }), 422, "no_file"),
        (&key, json!({ "callId": " " }), 400, "invalid"),
        (&key, json!({ "startedAt": "2026-11-24" }), 400, "invalid"),
        (&key, json!({ "endedAt": "2026-11-24T09:00:00+03:30" }), 400, "invalid"),
        (&sara, json!({ "leadId": "019a0000-0000-7000-8000-000000000000" }), 422, "lead"),
        (&key, json!({ "leadId": "019a0000-0000-7000-8000-000000000000" }), 403, "forbidden"),
    ] {
        refused(bench.send(by(who, ended(&more))).await, status, code).await;
    }
}

/// Calls are whoever's who is called so, letter by letter: `Mina` had none of mina's.
#[tokio::test]
async fn the_agent_of_a_call_that_is_over_is_named_as_users_are() {
    let (bench, [_, sara]) = bench().await;
    for (n, (named, kept)) in
        [(" Mina ", "mina"), ("MINA@pbx", "mina@pbx"), ("Mina Karimi", "Mina Karimi")].iter().enumerate()
    {
        let call = ended(&json!({ "callId": n.to_string(), "agentId": named }));
        assert_eq!(bench.send(by(&sara, call)).await.status(), StatusCode::ACCEPTED);
        let row = bench.store.claim_import(u64::MAX >> 1).await.unwrap().unwrap();
        let request: Value = serde_json::from_str(&row.import.request).unwrap();
        assert_eq!(request["agent"], *kept);
        bench.store.finish_import(row.import.id, 5).await.unwrap();
    }
    let upload = bench.send(by(&sara, upload("&agent=MINA", "RIFF"))).await;
    assert_eq!(upload.status(), StatusCode::ACCEPTED);
    let row = bench.store.claim_import(u64::MAX >> 1).await.unwrap().unwrap();
    assert!(row.import.request.contains("\"mina\""), "{}", row.import.request);
}

#[tokio::test]
async fn a_recording_is_of_the_contact_that_is_named_and_of_nobody_else() {
    let (bench, [_, sara]) = bench().await;
    let reza = lead(&bench, &sara, &json!(["+989121234567"])).await;
    let nobody = lead(&bench, &sara, &json!([])).await;
    let named = |lead: &str, call: &str| ended(&json!({ "leadId": lead, "callId": call }));
    refused(bench.send(by(&sara, named(&nobody, "1"))).await, 422, "lead").await;
    assert_eq!(bench.send(by(&sara, named(&reza, "1"))).await.status(), StatusCode::ACCEPTED);
    refused(bench.send(by(&sara, ended(&json!({ "callId": "1" })))).await, 409, "key_taken").await;
    let other = upload(&format!("&lead_id={reza}&number=%2B4930123456"), "RIFF");
    refused(bench.send(by(&sara, other)).await, 422, "lead").await;
    let rows = bench.store.imports(Some(JobState::Waiting), 9).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert!(rows[0].import.request.contains("+989121234567"));
    let key = bench.key(&["recordings:write", "crm:propose"]).await;
    assert_eq!(bench.send(by(&key, named(&reza, "2"))).await.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn what_was_given_up_is_listened_to_again_when_somebody_says_so() {
    let (bench, [mina, sara]) = bench().await;
    let queued = body(bench.send(by(&sara, upload("", "RIFF"))).await).await;
    let row = bench.store.claim_import(u64::MAX >> 1).await.unwrap().unwrap();
    let path = format!("/api/recordings/{}/run", queued["id"].as_str().unwrap());
    let run = |who: &str| by(who, post(&path, &json!({})));
    refused(bench.send(run(&sara)).await, 404, "not_found").await;
    bench.store.fail_import(row.import.id, "it is no audio", None, 5).await.unwrap();
    let listed = body(bench.send(by(&sara, get("/api/recordings?state=dead"))).await).await;
    assert_eq!((&listed["dead"], &listed["recordings"][0]["error"]), (&json!(1), &json!("it is no audio")));
    refused(bench.send(run(&mina)).await, 403, "forbidden").await;
    assert_eq!(bench.send(run(&sara)).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(bench.store.imports(Some(JobState::Waiting), 9).await.unwrap().len(), 1);
}
