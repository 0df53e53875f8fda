//! Without speech recognition calls are answered and recorded all the same, and whoever asks is told.

use sotto_tests::audio::Audio;
use sotto_tests::server::{Setup, Sotto};
use sotto_tests::sipp::Sipp;

use crate::support::{EXCERPT_MS, assert_ordered, call};

#[test]
fn calls_are_recorded_while_there_are_no_models() {
    let setup = Setup { model: "/no/such/model.bin".into(), ..Setup::default() };
    let sotto = Sotto::start_with(&setup).unwrap();
    let (id, events) = call(&sotto, &Sipp::siprec(sotto.sip));
    assert_ordered(&events);
    assert!(events.iter().all(|e| e["kind"] != "utterance"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording.wav");
    sotto.api.recording(&id, &file).unwrap();
    let recording = Audio::read(&file).unwrap();
    assert_eq!(recording.channels.len(), 2);
    assert!(recording.duration_ms() + 200 >= EXCERPT_MS, "{} ms", recording.duration_ms());
    let status = sotto.api.client.get("/api/status").unwrap().json().unwrap();
    assert!(status["waiting"]["speech"].as_str().is_some_and(|why| why.contains("model.bin")), "{status}");
}
