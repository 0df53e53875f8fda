//! Recordings made elsewhere become calls, whatever happens meanwhile.

use serde_json::{Value, json};
use sotto_tests::script::word_error_rate;
use sotto_tests::server::{Setup, Sotto};

use crate::support::{EXCERPT_MS, assert_ordered, assert_recorded, excerpt, until};

/// A server for which words are enough.
fn listening() -> Sotto {
    let more = vec![("insight".to_owned(), "enabled = false".to_owned())];
    Sotto::start_with(&Setup { language: Some("en".to_owned()), more, ..Setup::default() }).unwrap()
}

/// The excerpt as a WAV file, both parties on one channel or on their own.
fn wav(together: bool) -> Vec<u8> {
    let (_, mut audio) = excerpt();
    if together {
        let other = audio.channels.pop().unwrap();
        audio.channels[0]
            .iter_mut()
            .zip(other)
            .for_each(|(sample, more)| *sample = sample.saturating_add(more));
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("call.wav");
    audio.write_wav(&file).unwrap();
    std::fs::read(file).unwrap()
}

fn upload(sotto: &Sotto, query: &str, bytes: &[u8]) -> Value {
    let path = format!("/api/recordings?name=call.wav{query}");
    let answer = sotto.api.client.request("POST", &path, &[("Content-Type", "audio/wav")], bytes).unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json().unwrap()
}

fn count(sotto: &Sotto, state: &str) -> u64 {
    sotto.api.client.json("/api/recordings").unwrap()[state].as_u64().unwrap()
}

#[test]
fn an_uploaded_recording_becomes_a_call_with_the_words_and_the_time_of_then() {
    let sotto = listening();
    let query = "&key=a&agent=mina&number=%2B989121234567&started_at=2026-01-02T03:04:05Z";
    let id = upload(&sotto, query, &wav(false))["call_id"].as_str().unwrap().to_owned();
    until("the recording is a call", || count(&sotto, "done") == 1);
    let events = sotto.api.events(&id).unwrap();
    assert_ordered(&events);
    let (script, _) = excerpt();
    for party in ["agent", "customer"] {
        let wer = word_error_rate(&script, &events, party, EXCERPT_MS);
        assert!(wer < 0.35, "{party}: {wer}");
    }
    let started = &events[0];
    assert_eq!(
        (&started["started_at_unix_ms"], &started["parties_guessed"]),
        (&json!(1_767_323_045_000_u64), &Value::Null)
    );
    assert_eq!(started["participants"][1]["aor"], "tel:+989121234567");
    assert_recorded(&sotto, &id, EXCERPT_MS);
    until("it is known what the call came to", || {
        sotto.api.client.get(&format!("/api/calls/{id}/insight")).unwrap().status == 200
    });
    assert_eq!(upload(&sotto, query, &wav(false))["state"], "done", "it was sent before");
}

#[test]
fn a_recording_on_one_channel_says_when_its_parties_are_a_guess() {
    let sotto = listening();
    let id = upload(&sotto, "", &wav(true))["call_id"].as_str().unwrap().to_owned();
    until("the recording is a call", || count(&sotto, "done") == 1);
    let events = sotto.api.events(&id).unwrap();
    let parties = events[0]["participants"].as_array().unwrap().len();
    // Whether these two can be told apart is theirs; a call with two parties says that they were.
    let is_guess = parties == 2;
    assert_eq!(events[0]["parties_guessed"] == true, is_guess, "{}", events[0]);
    // Who is taken for the customer may be an employee then.
    let no_mood = events.iter().any(|event| event["kind"] == "consent" && event["mood"] == false);
    assert_eq!(no_mood, is_guess);
    assert!(events.iter().any(|event| event["kind"] == "utterance" && event["final"] == true));
}

#[test]
fn recordings_survive_kill_9_and_each_becomes_one_call() {
    const RECORDINGS: u64 = 4;
    let mut sotto = listening();
    let bytes = wav(false);
    for n in 0..RECORDINGS {
        upload(&sotto, &format!("&key={n}"), &bytes);
    }
    for _ in 0..2 {
        until("one is being listened to", || {
            count(&sotto, "running") == 1 || count(&sotto, "done") == RECORDINGS
        });
        sotto.kill().unwrap();
        sotto.resume().unwrap();
    }
    until("all are calls", || count(&sotto, "done") == RECORDINGS);
    let calls = sotto.api.calls("ended").unwrap();
    assert_eq!(calls.len() as u64, RECORDINGS);
    assert!(calls.iter().all(|call| call["ended"] == "hangup"), "{calls:?}");
    assert_eq!(std::fs::read_dir(sotto.data().join("imports")).unwrap().count(), 0);
}
