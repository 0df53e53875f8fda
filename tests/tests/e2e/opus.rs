//! A telephone that speaks Opus is understood as well as one that speaks G.711.

use sotto_tests::baresip::Baresip;
use sotto_tests::script::{edits, transcript, words};
use sotto_tests::server::Sotto;

use crate::support::{PATIENCE, assert_ordered, excerpt};

#[test]
fn an_opus_call_from_baresip() {
    let sotto = Sotto::start().unwrap();
    let (script, audio) = excerpt();
    let phone = Baresip::call(sotto.sip, &audio, 8).unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    phone.finish().unwrap();
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    let leg = events.iter().find(|e| e["kind"] == "leg_started").unwrap();
    assert_eq!(leg["codec"].as_str().unwrap().to_lowercase(), "opus");
    let said = script.words("agent", 7000);
    let heard = words(&transcript(&events, leg["party"].as_str().unwrap()));
    let rate = edits(&said, &heard) as f64 / said.len() as f64;
    assert!(rate < 0.35, "{rate:.2}: {heard:?}");
}
