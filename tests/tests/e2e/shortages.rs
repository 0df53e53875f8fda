//! What is missing is said, and missed by nobody on the telephone: no room on the disk, no database, no model file.

use std::io::Write;

use serde_json::Value;
use sotto_tests::baresip::has_network_or_skip;
use sotto_tests::http::Client;
use sotto_tests::postgres::Postgres;
use sotto_tests::server::{ADMIN, Setup, Sotto, binary};
use sotto_tests::sipp::Sipp;

use crate::phone::shots;
use crate::support::{PATIENCE, Talk, assert_ordered, assert_understood, excerpt, until};

fn setup() -> Option<Setup> {
    if !has_network_or_skip() {
        return None;
    }
    Some(Setup::desk("[{ number = \"100\" }]"))
}

/// What `/readyz` says: its status, and what is there in `degraded`.
fn readiness(sotto: &Sotto) -> (u16, Value) {
    let answer = sotto.api.client.get("/readyz").unwrap();
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    (answer.status, body["degraded"].clone())
}

#[test]
fn a_full_disk_is_said_and_the_two_talk_on() {
    let Some(setup) = setup() else { return };
    let low = ("server".to_owned(), "low_disk_mb = 4".to_owned());
    let setup = Setup { disk: Some(24 << 20), more: [setup.more.clone(), vec![low]].concat(), ..setup };
    let sotto = Sotto::start_with(&setup).unwrap();
    sotto.understands(PATIENCE).unwrap();
    let mut talk = Talk::begin(&sotto);
    assert_eq!(readiness(&sotto), (200, serde_json::json!({})));

    let filler = sotto.data().join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    let mut fill = || while file.write_all(&[0; 4096]).is_ok() {};
    until("a recording that cannot be written is said", || {
        fill();
        let (status, degraded) = readiness(&sotto);
        // Calls are taken all the same.
        status == 200 && degraded["recording"].is_string() && degraded["disk"].is_string()
    });
    talk.agent.wait(".banner:has-text('Recordings cannot be written')").unwrap();
    talk.both_hear();
    talk.agent.shot(&shots("shortages").join("disk.png")).unwrap();

    // An open file takes its room along.
    drop(file);
    std::fs::remove_file(&filler).unwrap();
    // Words may be late on a machine that is busy.
    talk.agent.wait(".health:is(.ok, .behind)").unwrap();
    assert_eq!(readiness(&sotto), (200, serde_json::json!({})));
    talk.both_hear();
    let events = talk.end(&sotto);
    let lost = events.iter().find(|e| e["kind"] == "audio_lost" && e["to"] == "recording");
    assert!(lost.is_some_and(|e| e["lost_ms"].as_u64() > Some(0)), "{lost:?}");
}

#[test]
fn without_its_database_the_page_says_so_and_is_signed_in_and_the_two_talk_on() {
    let Some(setup) = setup() else { return };
    let Some(mut postgres) = Postgres::start_or_skip() else { return };
    let setup = Setup { database: Some(postgres.url("postgres")), ..setup };
    let sotto = Sotto::start_with(&setup).unwrap();
    sotto.understands(PATIENCE).unwrap();
    let mut talk = Talk::begin(&sotto);

    postgres.pause();
    talk.agent.wait(".banner:has-text('not yet kept')").unwrap();
    let (status, degraded) = readiness(&sotto);
    assert!(status == 200 && degraded["store"].is_string(), "{status} {degraded}");
    talk.both_hear();
    // Even a page that is loaded anew is signed in, and has its call.
    talk.agent.reload().unwrap();
    talk.agent.wait("section.phone.talking .line.connected").unwrap();
    talk.agent.wait(".banner:has-text('not yet kept')").unwrap();
    talk.both_hear();
    talk.agent.shot(&shots("shortages").join("database.png")).unwrap();
    // Whoever is not signed in yet is told why they cannot be.
    let given = serde_json::json!({ "name": ADMIN.0, "password": ADMIN.1 });
    let refused = Client::new(sotto.http).post("/api/session", &given).unwrap();
    let body: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!((refused.status, &body["error"]["code"]), (503, &Value::from("store")));

    postgres.resume();
    // Words may be late on a machine that is busy.
    talk.agent.wait(".health:is(.ok, .behind)").unwrap();
    assert_eq!(readiness(&sotto), (200, serde_json::json!({})));
    talk.both_hear();
    talk.end(&sotto);
}

#[test]
fn a_model_file_that_is_removed_in_mid_call_is_missed_by_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model.bin");
    let pulled = std::process::Command::new(binary().unwrap()).args(["models", "pull", "tiny.en"]).output();
    let said = String::from_utf8(pulled.unwrap().stdout).unwrap();
    std::fs::copy(said.lines().find_map(|line| line.strip_prefix("tiny.en: ")).unwrap(), &model).unwrap();
    let setup = Setup { model: model.display().to_string(), language: Some("en".into()), ..Setup::default() };
    let sotto = Sotto::start_with(&setup).unwrap();
    let running = Sipp::siprec(sotto.sip).call(&excerpt().1).unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    std::fs::remove_file(&model).unwrap();
    running.finish().unwrap();
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    assert_understood(&events);
}
