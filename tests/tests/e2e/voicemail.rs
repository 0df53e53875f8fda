//! Whoever was cut off is known to have been, is called, and hears what somebody has approved.

use std::fs;

use serde_json::{Value, json};
use sotto_tests::audio::Audio;
use sotto_tests::baresip::{Baresip, Codec};
use sotto_tests::ears::{AGENT, CUSTOMER, until_heard};
use sotto_tests::server::{Sotto, free_address};

use crate::phone::desk;
use crate::support::{PATIENCE, Talk, until};

fn posted(sotto: &Sotto, path: &str, body: &Value) -> Value {
    let answer = sotto.api.client.post(path, body).unwrap();
    assert!(matches!(answer.status, 200 | 201), "{path}: {}", answer.text());
    answer.json().unwrap()
}

#[test]
fn a_message_is_said_once_to_whoever_answers_and_after_their_greeting() {
    let (trunk, folder) = (free_address().unwrap(), tempfile::tempdir().unwrap());
    let (sample, text) = (folder.path().join("tone.wav"), folder.path().join("text"));
    Audio::tone(AGENT, 3).write_wav(&sample).unwrap();
    // Voices of Piper's are too large for here: this says everything by the same tone.
    let script = format!("cat > '{}' && cp '{}' \"$1\"", text.display(), sample.display());
    let voice = format!("command = {}", json!(["sh", "-c", script, "sh", "{output}"]));
    let line = format!("trunk = {{ host = \"{trunk}\", user = \"1001\" }}");
    let lines = [
        ("desk", line.as_str()),
        ("follow_ups", "quiet = \"\""),
        ("follow_ups.call_message", "enabled = true"),
        ("voice.en", voice.as_str()),
    ];
    let Some(sotto) = desk(&lines) else { return };
    // They say who they are for a second, and listen.
    let mut greeting = Audio::tone(CUSTOMER, 1).channels.remove(0);
    greeting.resize(8_000 * 60, 0);
    let customer = Baresip::answer(trunk, "15550142", Codec::Pcmu, &greeting).unwrap();

    let lead = posted(&sotto, "/api/leads", &json!({ "name": "Sara", "phones": ["15550142"] }));
    let said = "Hello Sara,\nour call was cut off.";
    let new = json!({ "lead_id": lead["id"], "channel": "call_message", "to": "15550142", "text": said });
    let message = posted(&sotto, "/api/follow-ups", &new);
    let path = format!("/api/follow-ups/{}", message["id"].as_str().unwrap());
    let listened = sotto.api.client.get(&format!("{path}/speech")).unwrap();
    assert_eq!((listened.status, listened.header("content-type")), (200, Some("audio/wav")));
    assert_eq!(fs::read_to_string(&text).unwrap(), "Hello Sara, our call was cut off.\n");
    posted(&sotto, &format!("{path}/approve"), &json!({ "version": 1 }));

    until_heard(&mut [("customer", &mut || customer.heard().unwrap(), &[AGENT])]).unwrap();
    customer.until_over().unwrap();
    until("it is known that it was said", || {
        let sent = sotto.api.client.json("/api/follow-ups?state=sent").unwrap();
        sent["follow_ups"][0]["id"] == message["id"]
    });
    let heard = customer.heard().unwrap().unwrap();
    // In tenths of a second.
    let is_said = |tenth: &u64| heard.tone_level(0, AGENT, tenth * 100, tenth * 100 + 100) > 0.03;
    let spoken: Vec<u64> = (0..heard.duration_ms() / 100).filter(is_said).collect();
    assert!((27..=33).contains(&spoken.len()), "three seconds: {spoken:?}");
    assert!(spoken[0] >= 20, "not into their greeting: {spoken:?}");
    let timeline = format!("/api/leads/{}/communication", lead["id"].as_str().unwrap());
    let noted = sotto.api.client.json(&timeline).unwrap();
    assert_eq!(noted["communication"][0]["type"], "call");
    assert_eq!(sotto.api.calls("ended").unwrap(), Vec::<Value>::new(), "nothing is kept of the call itself");
}

#[test]
fn a_call_whose_agents_browser_has_died_was_not_hung_up() {
    let Some(sotto) = desk(&[]) else { return };
    let Talk { id, agent, customer } = Talk::begin(&sotto);
    drop(agent);
    customer.until_over().unwrap();
    sotto.api.ended(&id, PATIENCE).unwrap();
    assert_eq!(sotto.api.calls("ended").unwrap()[0]["ended"], "agent_lost");
}
