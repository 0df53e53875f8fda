//! Messages to contacts: drafted by whoever may, approved by people alone.

use axum::http::StatusCode;
use serde_json::{Value, json};
use sotto_call::{
    CallEnded, CallId, EndReason, EventBody, LegStarted, Participant, Participants, Party, Utterance,
};
use sotto_crm::MessageChannel;
use sotto_server::follow_ups::{FollowUpRules, SpeakerConfig, VoiceConfig, wav};
use sotto_server::http::HttpSettings;
use sotto_server::hub::HubLimits;
use sotto_store::{Claim, Role, SendOutcome};

use crate::bench::{Bench, body, by, get, hangup, post, refused, utterance, with_body};
use crate::review::{rules, work_by};

/// A server in Iran that can send text messages and e-mail, with an agent who is signed in and a contact.
async fn bench() -> (Bench, String, String) {
    let sends = |settings: &mut HttpSettings| {
        settings.crm = rules();
        settings.channels = vec![MessageChannel::Sms, MessageChannel::Email];
    };
    let bench = Bench::with(sends, HubLimits::default()).await;
    bench.add_user("mina", Role::Agent).await;
    let mina = bench.sign_in("mina").await;
    let lead = json!({ "name": "Sara", "phones": ["09121234567"] });
    let lead = body(bench.send(by(&mina, post("/api/leads", &lead))).await).await;
    let lead = lead["id"].as_str().unwrap().to_owned();
    (bench, mina, lead)
}

fn message(lead: &str) -> Value {
    json!({ "lead_id": lead, "channel": "sms", "to": "0912 123 4567", "text": " Hello " })
}

/// What is due is sent, and this becomes of it.
async fn sends(bench: &Bench, attempt: SendOutcome) {
    let channels = MessageChannel::ALL.into_iter().collect();
    let claim = Claim { now_unix_ms: 1_800_000_000_000, day_begins_unix_ms: 0, per_day: u32::MAX, channels };
    let row = bench.store.claim_follow_up(&claim).await.unwrap().unwrap();
    assert!(bench.store.settle_follow_up(&row, &attempt, 1_800_000_000_000).await.unwrap());
}

#[tokio::test]
async fn a_message_is_drafted_changed_approved_and_sent() {
    let (bench, mina, lead) = bench().await;
    let drafted = bench.send(by(&mina, post("/api/follow-ups", &message(&lead)))).await;
    assert_eq!(drafted.status(), StatusCode::CREATED);
    let drafted = body(drafted).await;
    assert_eq!([&drafted["state"], &drafted["to"], &drafted["text"]], ["drafted", "+989121234567", "Hello"]);
    let path = format!("/api/follow-ups/{}", drafted["id"].as_str().unwrap());
    let change = json!({ "version": 1, "channel": "sms", "to": "+989121234567", "text": "Hello, Sara" });
    let changed = body(bench.send(by(&mina, with_body("PUT", &path, &change))).await).await;
    assert_eq!((&changed["text"], &changed["version"]), (&json!("Hello, Sara"), &json!(2)));
    refused(bench.send(by(&mina, with_body("PUT", &path, &change))).await, 409, "changed_meanwhile").await;
    let to =
        async |what: &str, body: &Value| bench.send(by(&mina, post(&format!("{path}/{what}"), body))).await;
    refused(to("approve", &json!({ "version": 1 })).await, 409, "changed_meanwhile").await;
    refused(to("resolve", &json!({ "version": 2, "sent": true })).await, 409, "not_possible").await;
    let approved = body(to("approve", &json!({ "version": 2 })).await).await;
    assert_eq!([&approved["state"], &approved["decided_by"]], ["approved", "mina"]);
    sends(&bench, SendOutcome::Sent(Some("7".to_owned()))).await;
    let list = body(bench.send(by(&mina, get("/api/follow-ups?state=sent"))).await).await;
    assert_eq!(list["channels"], json!(["sms", "email"]));
    let sent = &list["follow_ups"][0];
    assert_eq!([&sent["state"], &sent["receipt"], &sent["lead_name"]], ["sent", "7", "Sara"]);
    for what in ["approve", "dismiss"] {
        refused(to(what, &json!({ "version": sent["version"] })).await, 409, "not_possible").await;
    }
    let timeline = get(&format!("/api/leads/{lead}/communication"));
    let timeline = body(bench.send(by(&mina, timeline)).await).await;
    assert_eq!(timeline["communication"][0]["type"], "sms");
    // Who did what, but neither what it says nor where it went.
    let audit = loop {
        let records = bench.store.audit(None, 9).await.unwrap();
        if records.iter().filter(|one| one.what == "follow_ups").count() == 3 {
            break records;
        }
        tokio::task::yield_now().await;
    };
    assert!(audit.iter().all(|one| !one.detail.contains("Hello") && !one.detail.contains("+98")));
}

#[tokio::test]
async fn of_what_may_have_been_sent_a_person_says_whether_it_was() {
    let (bench, mina, lead) = bench().await;
    for (is_sent, state) in [(true, "sent"), (false, "drafted")] {
        let row = body(bench.send(by(&mina, post("/api/follow-ups", &message(&lead)))).await).await;
        let path = format!("/api/follow-ups/{}", row["id"].as_str().unwrap());
        let to = async |what: &str, body: &Value| {
            bench.send(by(&mina, post(&format!("{path}/{what}"), body))).await
        };
        to("approve", &json!({ "version": 1 })).await;
        sends(&bench, SendOutcome::Unknown("no answer".to_owned())).await;
        let list = body(bench.send(by(&mina, get("/api/follow-ups?state=unknown"))).await).await;
        let version = &list["follow_ups"][0]["version"];
        assert_eq!(list["follow_ups"][0]["error"], "no answer");
        refused(to("approve", &json!({ "version": version })).await, 409, "not_possible").await;
        let change = json!({ "version": version, "channel": "sms", "to": "+989121234567", "text": "Again" });
        refused(bench.send(by(&mina, with_body("PUT", &path, &change))).await, 409, "not_possible").await;
        let found = json!({ "version": version, "sent": is_sent });
        assert_eq!(body(to("resolve", &found).await).await["state"], state);
    }
}

#[tokio::test]
async fn no_program_sends_anything_and_nobody_gets_what_they_do_not_want() {
    let (bench, mina, lead) = bench().await;
    let (proposes, writes, all) =
        (bench.key(&["crm:propose"]).await, bench.key(&["crm:write"]).await, bench.key(&["admin"]).await);
    let row = body(bench.send(by(&proposes, post("/api/follow-ups", &message(&lead)))).await).await;
    assert_eq!([&row["state"], &row["made_by"]], ["drafted", "key:test"]);
    let path = format!("/api/follow-ups/{}", row["id"].as_str().unwrap());
    let (approve, seen) = (format!("{path}/approve"), json!({ "version": 1 }));
    for key in [&proposes, &writes, &all] {
        refused(bench.send(by(key, post(&approve, &seen))).await, 403, "forbidden").await;
        let resolve = post(&format!("{path}/resolve"), &json!({ "version": 1, "sent": true }));
        refused(bench.send(by(key, resolve)).await, 403, "forbidden").await;
    }
    let opt_outs = format!("/api/leads/{lead}/opt-outs");
    for request in [get("/api/follow-ups"), get(&opt_outs), post(&format!("{path}/dismiss"), &seen)] {
        refused(bench.send(by(&proposes, request)).await, 403, "forbidden").await;
    }
    refused(bench.send(get("/api/follow-ups")).await, 401, "unauthenticated").await;
    let out = json!({ "version": 1, "channels": ["sms"] });
    let kept = json!({ "version": 2, "channels": ["sms"] });
    assert_eq!(body(bench.send(by(&writes, with_body("PUT", &opt_outs, &out))).await).await, kept);
    assert_eq!(body(bench.send(by(&mina, get(&opt_outs))).await).await, kept);
    refused(bench.send(by(&mina, post(&approve, &seen))).await, 409, "opted_out").await;
    let dismissed = bench.send(by(&writes, post(&format!("{path}/dismiss"), &seen))).await;
    assert_eq!(body(dismissed).await["state"], "dismissed");
    let nobody = CallId::new().to_string();
    let unknown = format!("/api/leads/{nobody}/opt-outs");
    refused(bench.send(by(&mina, get(&unknown))).await, 404, "not_found").await;
    refused(bench.send(by(&mina, with_body("PUT", &unknown, &out))).await, 404, "not_found").await;
    refused(bench.send(by(&mina, post("/api/follow-ups", &message(&nobody)))).await, 404, "not_found").await;
    let unknown = format!("/api/follow-ups/{nobody}/approve");
    refused(bench.send(by(&mina, post(&unknown, &seen))).await, 404, "not_found").await;
    for wrong in [
        json!({ "lead_id": lead, "channel": "telegram", "to": "12345", "text": "Hello" }),
        json!({ "lead_id": lead, "channel": "sms", "to": "1002", "text": "Hello" }),
        json!({ "lead_id": lead, "channel": "sms", "text": "Hello" }),
        json!({ "lead_id": lead, "channel": "email", "to": "a@b.c", "text": "Hello" }),
        json!({ "lead_id": lead, "channel": "sms", "to": "09121234567", "text": " " }),
        json!({ "lead_id": lead, "channel": "sms", "to": "09121234567", "text": "a", "not_before_unix_ms": u64::MAX }),
    ] {
        refused(bench.send(by(&mina, post("/api/follow-ups", &wrong))).await, 400, "invalid").await;
    }
}

/// The customer of a call is the bench's contact.
fn with_sara() -> EventBody {
    let aor = Some("sip:09121234567@pbx.example".to_owned());
    let customer = Participant { party: Party::Customer, aor, name: None };
    EventBody::Participants(Participants { participants: vec![customer] })
}

/// What a customer said not to want was taken back by whoever had looked before they said it.
#[tokio::test]
async fn opt_outs_that_somebody_has_not_seen_are_not_replaced() {
    let (bench, mina, lead) = bench().await;
    let path = format!("/api/leads/{lead}/opt-outs");
    let seen = body(bench.send(by(&mina, get(&path))).await).await;
    assert_eq!(seen, json!({ "version": 1, "channels": [] }));
    let keeps = async |channels: Value| {
        let out = json!({ "version": seen["version"], "channels": channels });
        bench.send(by(&mina, with_body("PUT", &path, &out))).await
    };
    assert_eq!(keeps(json!(["sms"])).await.status(), StatusCode::OK);
    refused(keeps(json!(["email"])).await, 409, "changed_meanwhile").await;
    let versionless = with_body("PUT", &path, &json!({ "channels": [] }));
    refused(bench.send(by(&mina, versionless)).await, 422, "invalid_body").await;
    assert_eq!(body(bench.send(by(&mina, get(&path))).await).await["channels"], json!(["sms"]));
}

#[tokio::test]
async fn what_an_agent_promises_on_a_call_is_drafted_for_its_wrap_up() {
    let (bench, mina, _) = bench().await;
    let call = bench.begin("a");
    call.publish(with_sara());
    call.publish(utterance(1, "Could you tell me the prices of the courses, please?", true));
    let promise =
        sotto_call::testing::utterance(2, Party::Agent, "I will send you a text message with the prices.");
    call.publish(EventBody::Utterance(Utterance { r#final: true, ..promise }));
    call.end(hangup()).await.unwrap();
    let rules =
        FollowUpRules { crm: rules(), channels: vec![MessageChannel::Sms], ..FollowUpRules::default() };
    work_by(&bench, rules).await;
    let list = get(&format!("/api/follow-ups?callId={}", call.id()));
    let list = body(bench.send(by(&mina, list)).await).await;
    let [draft] = list["follow_ups"].as_array().unwrap().as_slice() else { panic!("{list}") };
    assert_eq!([&draft["state"], &draft["channel"], &draft["to"]], ["drafted", "sms", "+989121234567"]);
    assert!(draft["text"].as_str().unwrap().starts_with("Hello Sara, as promised"), "{draft}");
    assert_eq!((&draft["call_id"], draft.get("made_by")), (&json!(call.id().to_string()), None));
}

#[tokio::test]
async fn whoever_was_cut_off_is_to_be_called_and_nobody_else() {
    let (bench, mina, _) = bench().await;
    let spoken = FollowUpRules {
        crm: rules(),
        channels: vec![MessageChannel::Sms, MessageChannel::CallMessage],
        spoken: vec!["en", "fa"],
        ..FollowUpRules::default()
    };
    let written = FollowUpRules { channels: vec![MessageChannel::Sms], ..spoken.clone() };
    let (agent, customer) = (Party::Agent, Party::Customer);
    for (rules, bridged, heard, reason, is_drafted) in [
        (&spoken, true, customer, EndReason::AgentLost, true),
        (&spoken, true, customer, EndReason::Timeout, true),
        (&spoken, true, customer, EndReason::Interrupted, true),
        (&spoken, true, customer, EndReason::Hangup, false),
        // Its log ends, and the parties talk on.
        (&spoken, true, customer, EndReason::Fault, false),
        // They were called, and have not answered.
        (&spoken, true, agent, EndReason::Interrupted, false),
        // It may go on where we do not hear it.
        (&spoken, false, customer, EndReason::Timeout, false),
        (&written, true, customer, EndReason::AgentLost, false),
    ] {
        let call = if bridged { bench.begin_bridged("a") } else { bench.begin("a") };
        call.publish(with_sara());
        call.publish(EventBody::LegStarted(LegStarted { party: heard, codec: "PCMU".to_owned() }));
        call.publish(utterance(1, "Could you tell me the prices of the courses, please?", true));
        call.end(CallEnded { reason, ..hangup() }).await.unwrap();
        work_by(&bench, rules.clone()).await;
        let list = get(&format!("/api/follow-ups?callId={}", call.id()));
        let list = body(bench.send(by(&mina, list)).await).await;
        let drafts = list["follow_ups"].as_array().unwrap();
        assert_eq!(drafts.len(), usize::from(is_drafted), "{reason:?}, {bridged}, {heard:?}: {list}");
        if let Some(draft) = drafts.first() {
            let fields = ["state", "channel", "to"].map(|field| &draft[field]);
            assert_eq!(fields, ["drafted", "call_message", "+989121234567"]);
            let text = draft["text"].as_str().unwrap();
            assert!(text.starts_with("Hello Sara. Our call was cut off."), "{text}");
            assert!(!text.contains("courses"), "no word of the call: {text}");
        }
    }
}

#[tokio::test]
async fn a_message_is_listened_to_before_it_is_approved() {
    let folder = tempfile::tempdir().unwrap();
    let sample = folder.path().join("said.wav");
    let said = wav(&[[0.25; 320]; 50]).unwrap();
    std::fs::write(&sample, &said).unwrap();
    // Whatever it is to say, it says that.
    let command = ["cp", sample.to_str().unwrap(), "{output}"].map(str::to_owned).to_vec();
    let en = SpeakerConfig { command, ..SpeakerConfig::default() };
    let voice = VoiceConfig { en, ..VoiceConfig::default() }.open().unwrap();
    let sends = |settings: &mut HttpSettings| {
        settings.crm = rules();
        settings.channels = vec![MessageChannel::Sms, MessageChannel::CallMessage];
        settings.voice = Some(voice);
    };
    let bench = Bench::with(sends, HubLimits::default()).await;
    bench.add_user("mina", Role::Agent).await;
    let mina = bench.sign_in("mina").await;
    let lead = json!({ "name": "Sara", "phones": ["09121234567"] });
    let lead = body(bench.send(by(&mina, post("/api/leads", &lead))).await).await;
    let speech = async |channel: &str, text: &str| {
        let new = json!({ "lead_id": lead["id"], "channel": channel, "to": "09121234567", "text": text });
        let row = body(bench.send(by(&mina, post("/api/follow-ups", &new))).await).await;
        format!("/api/follow-ups/{}/speech", row["id"].as_str().unwrap())
    };
    let path = speech("call_message", "Hello, Sara").await;
    let heard = bench.send(by(&mina, get(&path))).await;
    assert_eq!(heard.status(), StatusCode::OK);
    assert_eq!(heard.headers()["content-type"], "audio/wav");
    let bytes = axum::body::to_bytes(heard.into_body(), usize::MAX).await.unwrap();
    assert_eq!(bytes.len(), said.len());
    let proposes = bench.key(&["crm:propose"]).await;
    refused(bench.send(by(&proposes, get(&path))).await, 403, "forbidden").await;
    let persian = speech("call_message", "سلام").await;
    refused(bench.send(by(&mina, get(&persian))).await, 400, "invalid").await;
    let written = speech("sms", "Hello, Sara").await;
    refused(bench.send(by(&mina, get(&written))).await, 404, "not_found").await;
}
