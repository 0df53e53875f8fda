//! What is named on a call, and what a customer feels and wants, understood while they speak; of the agent no feelings.
//! And what the agent is told of it.

use serde_json::{Value, json};
use sotto_tests::audio::Audio;
use sotto_tests::http::Client;
use sotto_tests::live::Live;
use sotto_tests::script::{Script, root};
use sotto_tests::server::{Setup, Sotto};
use sotto_tests::sipp::Sipp;

use crate::support::{EXCERPT_MS, PATIENCE, assert_ordered, call, until};

/// Of the demo conversation: the customer is told that the address is incomplete, and is disappointed; the agent
/// apologises.
const COMPLAINT_MS: (u64, u64) = (34_300, 52_600);

/// A call with that complaint on a server with these settings of `[insight]`; its events.
fn complaint(sotto: &Sotto) -> (String, Vec<Value>) {
    sotto.understands(PATIENCE).unwrap();
    let audio = Audio::read(&Script::support().unwrap().audio).unwrap().cut(COMPLAINT_MS.0, COMPLAINT_MS.1);
    let running = Sipp::siprec(sotto.sip).call(&audio).unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    running.finish().unwrap();
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    (id, events)
}

fn set_up(more: &[&str]) -> Setup {
    let set = root().join("insight-sets/metalingua.toml");
    let lines = [format!("intents = {:?}", set.display().to_string())].into_iter();
    let lines = lines.chain(more.iter().map(|line| (*line).to_owned()));
    let more = lines.map(|line| ("insight".to_owned(), line)).collect();
    Setup { language: Some("en".into()), more, ..Setup::default() }
}

fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["kind"] == kind).collect()
}

/// The newest final of an utterance before a place in the log.
fn said<'a>(events: &'a [Value], about: &Value) -> &'a Value {
    let is_it = |e: &&Value| {
        e["kind"] == "utterance" && e["final"] == true && e["utterance_id"] == about["utterance_id"]
    };
    events.iter().filter(|e| e["seq"].as_u64() < about["seq"].as_u64()).rfind(is_it).unwrap()
}

#[test]
fn a_customers_complaint_has_a_mood_and_an_intent_and_the_agents_apology_has_none() {
    let sotto = Sotto::start_with(&set_up(&[])).unwrap();
    let (id, events) = complaint(&sotto);

    let (moods, intents) = (of_kind(&events, "mood"), of_kind(&events, "intent"));
    for event in moods.iter().chain(&intents) {
        let said = said(&events, event);
        assert_eq!(
            (said["party"].as_str(), &said["revision"]),
            (Some("customer"), &event["revision"]),
            "{event}"
        );
        assert!(event["latency_ms"].as_u64().unwrap() < 2_000, "{event}");
    }
    assert!(of_kind(&events, "utterance").iter().any(|e| e["party"] == "agent" && e["final"] == true));
    // The newest words count: what was understood of those before may have been taken back.
    let angry = moods.iter().rfind(|m| said(&events, m)["text"].as_str().unwrap().contains("disappointed"));
    let angry = angry.unwrap_or_else(|| panic!("no mood in the complaint: {moods:?}"));
    assert!(angry["sentiment"]["negative"].as_f64() > Some(0.5), "{angry}");
    assert!(
        angry["valence"].as_f64() < Some(-0.3) && angry["arc"]["valence"].as_f64() < Some(-0.1),
        "{angry}"
    );
    assert!(
        ["disappointment", "annoyance", "anger", "sadness"].contains(&angry["emotion"].as_str().unwrap())
    );
    let wanted = intents.iter().rfind(|e| e["utterance_id"] == angry["utterance_id"]);
    let wanted = wanted.unwrap_or_else(|| panic!("no complaint was recognised: {intents:?}"));
    assert_eq!(
        (wanted["title"]["en"].as_str(), wanted["title"]["fa"].as_str()),
        (Some("Complaint"), Some("شکایت"))
    );
    assert!(wanted["confidence"].as_f64() > Some(0.35), "{wanted}");

    // Whoever comes later sees the same.
    let state = &sotto.api.client.json(&format!("/api/calls/{id}")).unwrap()["state"];
    let about = |of: &str| {
        state[of].as_array().unwrap().iter().map(|e| e["utterance_id"].clone()).collect::<Vec<_>>()
    };
    assert!(about("moods").contains(&angry["utterance_id"]), "{state}");
    assert!(about("intents").contains(&wanted["utterance_id"]), "{state}");
    assert!(sotto.api.metric("sotto_insight_moods_total").unwrap() >= moods.len() as f64);
    assert_eq!(sotto.api.metric("sotto_insight_dropped_total").unwrap(), 0.0);
}

/// The classifier knows the word, and its labels are turned round: nothing that is built in would be pleased.
#[test]
fn a_text_classifier_of_the_organisations_own_reads_the_sentiment() {
    let folder = root().join("crates/insight/tests/classifier");
    let model = format!("sentiment_model = {:?}", folder.display().to_string());
    let labels = "sentiment_labels = { negative = \"positive\", positive = \"negative\" }";
    let sotto = Sotto::start_with(&set_up(&[model.as_str(), labels])).unwrap();
    let (_, events) = complaint(&sotto);
    let moods = of_kind(&events, "mood");
    let disappointed =
        moods.iter().find(|m| said(&events, m)["text"].as_str().unwrap().contains("disappointed"));
    let disappointed = disappointed.unwrap_or_else(|| panic!("no mood in the complaint: {moods:?}"));
    assert!(disappointed["sentiment"]["positive"].as_f64() > Some(0.9), "{disappointed}");
}

/// Nothing is to be loaded for it: there is no mood, and no intent.
#[test]
fn of_an_embedding_for_english_it_is_said_what_it_leaves_out_and_what_it_lacks_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let prompts = folder.path().join("prompts.toml");
    let recorded = "[[checklist]]\nname = \"recorded\"\ntitle = { en = \"Recorded\" }\n\
                    examples.en = [\"This call is recorded.\"]";
    std::fs::write(&prompts, recorded).unwrap();
    let insight = ["embedding = \"english\"", "mood = \"off\""];
    let mut more = insight.map(|line| ("insight".to_owned(), line.to_owned())).to_vec();
    let sotto = Sotto::start_with(&Setup { more: more.clone(), ..Setup::default() }).unwrap();
    let degraded = &sotto.api.client.json("/readyz").unwrap()["degraded"];
    assert!(degraded["languages"].as_str().unwrap().contains("English alone"), "{degraded}");
    assert!(degraded["insight"].is_null(), "{degraded}");

    let refused = |more: &[(String, String)]| {
        let setup = Setup { more: more.to_vec(), ..Setup::default() };
        Sotto::start_with(&setup).err().unwrap().to_string()
    };
    more.push(("prompts".to_owned(), format!("file = {:?}", prompts.display().to_string())));
    let why = refused(&more);
    assert!(why.contains("`insight.embedding`: `multilingual` is needed for the checklist"), "{why}");
    // As long as heads for moods have not been trained over it.
    let heads = root().join("crates/insight/heads/minilm");
    if !["sentiment.onnx", "emotion.onnx"].iter().all(|head| heads.join(head).is_file()) {
        let why = refused(&more[..1]);
        assert!(why.contains("`insight.embedding`: `multilingual` is needed unless `insight.mood"), "{why}");
    }
}

#[test]
fn a_text_classifier_that_is_not_there_is_said() {
    let sotto = Sotto::start_with(&set_up(&["sentiment_model = \"/nowhere/model\""])).unwrap();
    let lack = "`insight.sentiment_model`: /nowhere/model/config.json: ";
    until("what is missing is said", || {
        let ready = sotto.api.client.json("/readyz").unwrap();
        ready["degraded"]["insight"].as_str().is_some_and(|why| why.contains(lack))
    });
}

#[test]
fn what_is_named_is_found_without_a_model_and_kept() {
    let more = vec![("insight".to_owned(), "mood = \"off\"".to_owned())];
    let sotto = Sotto::start_with(&Setup { language: Some("en".into()), more, ..Setup::default() }).unwrap();
    let (id, events) = call(&sotto, &Sipp::siprec(sotto.sip));
    assert_ordered(&events);
    // "I ordered a coffee machine two weeks ago."
    let is_day = |one: &Value| one["kind"] == "date_time" && one["value"].as_str().unwrap().len() == 10;
    let is_dated = |e: &Value| e["entities"].as_array().unwrap().iter().any(is_day);
    let is_weeks = |e: &Value| said(&events, e)["text"].as_str().unwrap().contains("weeks");
    let found = of_kind(&events, "entities");
    let dated = found.iter().find(|e| is_dated(e) && is_weeks(e));
    let dated = dated.unwrap_or_else(|| panic!("no day was named: {found:?}"));
    let text: Vec<char> = said(&events, dated)["text"].as_str().unwrap().chars().collect();
    for one in dated["entities"].as_array().unwrap() {
        let [start, end] = ["start", "end"].map(|edge| one["chars"][edge].as_u64().unwrap() as usize);
        assert!(start < end && end <= text.len(), "{one}");
    }
    let kept = &sotto.api.client.json(&format!("/api/calls/{id}")).unwrap()["state"]["entities"];
    assert!(kept.as_array().unwrap().iter().any(is_dated), "{kept}");
    assert!(sotto.api.metric("sotto_insight_entities_total").unwrap() >= 1.0);
    // There was no secret in these words.
    assert_eq!(of_kind(&events, "redacted"), [] as [&Value; 0], "in {EXCERPT_MS} ms");
    assert_eq!(sotto.api.metric("sotto_redactions_total{kind=\"card\"}").unwrap(), 0.0);
}

/// What the demo's agent says in the complaint, in other words; and something that they do not say.
const CHECKLIST: &str = r#"
[[checklist]]
name = "apology"
title = { en = "Apologise" }
examples.en = ["I am sorry about that.", "I understand you, and I apologize."]

[[checklist]]
name = "recorded"
title = { en = "The call is recorded" }
within_s = 2
examples.en = ["This call is recorded for training purposes."]
"#;

#[test]
fn an_agent_is_told_what_may_help_and_what_they_have_said_is_ticked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prompts.toml");
    std::fs::write(&file, CHECKLIST).unwrap();
    let mut setup = set_up(&[]);
    setup.more.push(("prompts".to_owned(), format!("file = {:?}", file.display().to_string())));
    let sotto = Sotto::start_with(&setup).unwrap();
    let (id, events) = complaint(&sotto);

    let prompts = of_kind(&events, "prompt");
    assert!((1..=2).contains(&prompts.len()), "in less than 20 s: {prompts:?}");
    for prompt in &prompts {
        let evidence = &prompt["evidence"];
        let quoted = json!({ "utterance_id": evidence["utterance_id"], "seq": prompt["seq"] });
        assert_eq!(said(&events, &quoted)["text"], evidence["text"], "{prompt}");
        assert!(prompt["text"]["en"].as_str().is_some_and(|text| !text.is_empty()), "{prompt}");
        assert!(prompt["expires_at_ms"].as_u64() > prompt["at_ms"].as_u64(), "{prompt}");
    }

    let items = of_kind(&events, "checklist");
    // A revision may take back what ticked one, which is open again then.
    let begun: Vec<(&Value, &Value)> = items.iter().take(2).map(|e| (&e["name"], &e["done"])).collect();
    let [apology, recorded, open] = [json!("apology"), json!("recorded"), json!(false)];
    assert_eq!(begun, [(&apology, &open), (&recorded, &open)], "as the call begins");
    let ticked: Vec<&&Value> = items.iter().filter(|e| e["done"] == true).collect();
    assert!(!ticked.is_empty() && ticked.iter().all(|e| e["name"] == "apology"), "{ticked:?}");
    for tick in ticked {
        let quoted = json!({ "utterance_id": tick["evidence"]["utterance_id"], "seq": tick["seq"] });
        let said = said(&events, &quoted);
        assert_eq!((&said["party"], &said["text"]), (&json!("agent"), &tick["evidence"]["text"]));
    }
    let state = &sotto.api.client.json(&format!("/api/calls/{id}")).unwrap()["state"];
    let done: Vec<&Value> = state["checklist"].as_array().unwrap().iter().map(|item| &item["done"]).collect();
    assert_eq!(done, [true, false]);
    // An answer to a prompt of a call that is over comes too late.
    let late =
        sotto.api.client.post(&format!("/api/calls/{id}/prompts/1/answer"), &json!({ "answer": "accepted" }));
    assert_eq!(late.unwrap().status, 404);
}

#[test]
fn where_agents_are_to_be_told_nothing_they_are_not() {
    let mut setup = set_up(&[]);
    setup.more.push(("prompts".to_owned(), "enabled = false".to_owned()));
    let sotto = Sotto::start_with(&setup).unwrap();
    let (_, events) = complaint(&sotto);
    for kind in ["prompt", "checklist"] {
        assert_eq!(of_kind(&events, kind), [] as [&Value; 0]);
    }
    assert!(!of_kind(&events, "mood").is_empty());
}

#[test]
fn words_that_matter_are_told_to_supervisors_while_the_call_goes_on() {
    let mut setup = set_up(&["mood = \"off\""]);
    let words = "words = [{ title = { en = \"Let down\", fa = \"دلسرد\" }, phrases = [\"disappointed\"] }, \
                 { title = { en = \"Police\" }, phrases = [\"police\"] }]";
    setup.more.push(("alerts".to_owned(), words.to_owned()));
    let sotto = Sotto::start_with(&setup).unwrap();
    sotto.add_user(MINA, "agent").unwrap();
    let mina = Client::signed_in(sotto.http, MINA.0, MINA.1).unwrap();
    let audio = Audio::read(&Script::support().unwrap().audio).unwrap().cut(COMPLAINT_MS.0, COMPLAINT_MS.1);
    let mut wall = Live::open(&sotto.api.client, "/api/live").unwrap();
    let mut list = Live::open(&mina, "/api/live").unwrap();
    let running = Sipp::siprec(sotto.sip).call(&audio).unwrap();

    let alerts = |told: &Value| told["call"]["now"]["alerts"].as_array().cloned().unwrap_or_default();
    let is_said = |alert: &Value| alert["kind"] == "said";
    let told = wall.until(PATIENCE, |told| alerts(told).iter().any(is_said)).unwrap();
    let said: Vec<Value> = alerts(told.last().unwrap()).into_iter().filter(is_said).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!((&said[0]["title"]["en"], &said[0]["title"]["fa"]), (&json!("Let down"), &json!("دلسرد")));
    assert_eq!((&said[0]["party"], &said[0]["severity"]), (&json!("customer"), &json!("warning")));
    let text = said[0]["evidence"]["text"].as_str().unwrap();
    assert!(text.to_lowercase().contains("disappointed"), "{said:?}");
    assert!(said[0]["evidence"]["utterance_id"].is_u64());
    running.finish().unwrap();
    // Agents are told of no alerts.
    let seen = list.until(PATIENCE, |told| told["call"]["state"] == "ended").unwrap();
    assert!(seen.iter().all(|told| told["call"]["now"].is_null()), "{seen:?}");
}

const MINA: (&str, &str) = ("mina", "a long enough password");

#[test]
fn an_agent_who_is_not_to_see_moods_is_given_none_by_any_way_and_who_looks_is_written_down() {
    let mut sotto = Sotto::start_with(&set_up(&["mood_seen_by = [\"supervisor\", \"admin\"]"])).unwrap();
    sotto.add_user(MINA, "agent").unwrap();
    let mina = Client::signed_in(sotto.http, MINA.0, MINA.1).unwrap();
    let mut list = Live::open(&mina, "/api/live").unwrap();
    sotto.understands(PATIENCE).unwrap();
    let audio = Audio::read(&Script::support().unwrap().audio).unwrap().cut(COMPLAINT_MS.0, COMPLAINT_MS.1);
    let running = Sipp::siprec(sotto.sip).call(&audio).unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    let mut live = Live::open(&mina, &format!("/api/calls/{id}/live?from=0")).unwrap();
    running.finish().unwrap();
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    let moods = of_kind(&events, "mood").len();
    assert!(moods > 0, "there is something to see");

    let mut seen: Vec<String> = Vec::new();
    let followed = live.until(PATIENCE, |told| told["type"] == "end").unwrap();
    let withheld = followed.iter().filter(|told| told["event"]["kind"] == "withheld").count();
    assert!(withheld >= moods, "{withheld} of {moods}");
    seen.extend(followed.iter().map(Value::to_string));
    let listed = list.until(PATIENCE, |told| told["call"]["state"] == "ended").unwrap();
    seen.extend(listed.iter().map(Value::to_string));
    let came_to = format!("/api/calls/{id}/insight");
    until("it is known what the call came to", || mina.get(&came_to).unwrap().status == 200);
    let known = sotto.api.client.json(&came_to).unwrap();
    assert!(known["sentiment"].is_string(), "the administrator sees it: {known}");
    assert!(mina.json(&came_to).unwrap()["sentiment"].is_null());
    for path in ["", "/events", "/events?from=3", "/insight", "/quality"] {
        let answer = mina.get(&format!("/api/calls/{id}{path}")).unwrap();
        assert_eq!(answer.status, 200);
        seen.push(answer.text());
    }
    for one in &seen {
        for telling in ["\"valence\"", "\"kind\":\"mood\"", "\"mood\":{", "\"about\":\"empathy\"", "unhappy"]
        {
            assert!(!one.contains(telling), "{telling} in {one}");
        }
    }
    assert!(seen.iter().any(|one| one.contains("disappointed")), "the words are theirs to see");
    assert_eq!(of_kind(&events, "prompt").iter().filter(|e| e["about"] == "empathy").count(), 0);

    // The administrator has looked, and what is done with moods is in the audit as well, once.
    let audited = |sotto: &Sotto, what: &str| -> Vec<Value> {
        let audit = sotto.api.client.json("/api/audit").unwrap();
        audit["records"].as_array().unwrap().iter().filter(|r| r["what"] == what).cloned().collect()
    };
    until("who looks is written down", || {
        audited(&sotto, "moods").iter().any(|r| r["who"] == "admin" && r["call_id"] == id.as_str())
    });
    assert!(audited(&sotto, "moods").iter().all(|r| r["who"] != "mina"));
    sotto.stop().unwrap();
    sotto.resume().unwrap();
    let settings = audited(&sotto, "mood_settings");
    assert_eq!(settings.len(), 1, "nothing has changed: {settings:?}");
    assert!(settings[0]["detail"].as_str().unwrap().contains("seen by: supervisor, admin;"), "{settings:?}");
}

#[test]
fn where_mood_is_off_there_is_none_of_anybody() {
    let sotto = Sotto::start_with(&set_up(&["mood = \"off\""])).unwrap();
    let (_, events) = complaint(&sotto);
    assert_eq!(of_kind(&events, "mood"), [] as [&Value; 0]);
    assert!(of_kind(&events, "intent").iter().any(|e| e["name"] == "complaint"), "intents have no mood");
}

#[test]
fn where_nothing_is_to_be_understood_calls_are_as_ever() {
    let more = vec![("insight".to_owned(), "enabled = false".to_owned())];
    let sotto = Sotto::start_with(&Setup { language: Some("en".into()), more, ..Setup::default() }).unwrap();
    let (_, events) = complaint(&sotto);
    for kind in ["mood", "intent", "entities"] {
        assert_eq!(of_kind(&events, kind), [] as [&Value; 0]);
    }
    assert!(events.iter().any(|e| e["party"] == "customer" && e["final"] == true));
}
