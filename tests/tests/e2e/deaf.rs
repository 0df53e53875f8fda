//! Without speech recognition calls are answered and recorded all the same, and whoever asks is told.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use sotto_tests::audio::Audio;
use sotto_tests::server::{Setup, Sotto, binary};
use sotto_tests::sipp::Sipp;

use crate::support::{EXCERPT_MS, PATIENCE, assert_ordered, assert_understood, call, excerpt};

fn why_deaf(sotto: &Sotto) -> String {
    let status = sotto.api.client.get("/api/status").unwrap().json().unwrap();
    status["degraded"]["speech"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn calls_are_recorded_while_there_are_no_models() {
    let setup = Setup { model: "/no/such/model.bin".into(), ..Setup::default() };
    let sotto = Sotto::start_with(&setup).unwrap();
    let (id, events) = call(&sotto, &Sipp::siprec(sotto.sip));
    assert_ordered(&events);
    assert!(events.iter().all(|e| e["kind"] != "utterance"));
    for party in ["agent", "customer"] {
        let is_lost = |e: &&Value| e["kind"] == "audio_lost" && e["to"] == "speech" && e["party"] == party;
        let lost: u64 = events.iter().filter(is_lost).filter_map(|e| e["lost_ms"].as_u64()).sum();
        assert!(lost + 200 >= EXCERPT_MS, "{lost} ms of the {party}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording.wav");
    sotto.api.recording(&id, &file).unwrap();
    let recording = Audio::read(&file).unwrap();
    assert_eq!(recording.channels.len(), 2);
    assert!(recording.duration_ms() + 200 >= EXCERPT_MS, "{} ms", recording.duration_ms());
    let why = why_deaf(&sotto);
    assert!(why.contains("model.bin"), "{why}");
}

#[test]
fn words_come_as_soon_as_there_is_a_model_also_for_calls_that_began_before() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model.bin");
    let setup = Setup { model: model.display().to_string(), language: Some("en".into()), ..Setup::default() };
    let sotto = Sotto::start_with(&setup).unwrap();
    let until = Instant::now() + PATIENCE;
    while !why_deaf(&sotto).contains("model.bin") {
        assert!(Instant::now() < until, "{}", why_deaf(&sotto));
        std::thread::sleep(Duration::from_millis(50));
    }
    let running = Sipp::siprec(sotto.sip).call(&excerpt().1).unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    let pulled = Command::new(binary().unwrap()).args(["models", "pull", "tiny.en"]).output().unwrap();
    let said = String::from_utf8(pulled.stdout).unwrap();
    let file = said.lines().find_map(|line| line.strip_prefix("tiny.en: ")).unwrap();
    std::os::unix::fs::symlink(file, &model).unwrap();
    running.finish().unwrap();
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    assert_understood(&events);
    assert_eq!(why_deaf(&sotto), "");
}
