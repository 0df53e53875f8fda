//! Persian: the words come in Persian letters, and the page reads from right to left.

use sotto_tests::audio::Audio;
use sotto_tests::script::{Script, edits, transcript};
use sotto_tests::server::{Setup, Sotto};
use sotto_tests::sipp::Sipp;

use crate::support::{PATIENCE, assert_ordered};

#[test]
fn a_persian_call() {
    let setup = Setup { model: "base".into(), language: Some("fa".into()), ..Setup::default() };
    let sotto = Sotto::start_with(&setup).unwrap();
    let script = Script::persian().unwrap();
    let running = Sipp::siprec(sotto.sip).call(&Audio::read(&script.audio).unwrap()).unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    running.finish().unwrap();
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic()).collect::<Vec<_>>();
    let customer: String =
        script.turns.iter().filter(|t| t.party == "customer").map(|t| t.text.as_str()).collect();
    let heard = transcript(&events, "customer");
    let persian = |c: &char| ('\u{0600}'..='\u{06ff}').contains(c);
    assert!(letters(&heard).iter().filter(|c| persian(c)).count() > 20, "{heard:?}");
    // Base knows little Persian, and the voice reads it with an accent: half of the letters is what it is worth.
    let rate = edits(&letters(&customer), &letters(&heard)) as f64 / letters(&customer).len() as f64;
    assert!(rate < 0.75, "character error rate {rate:.2}: {heard:?}");
    let languages = events.iter().filter(|e| e["kind"] == "utterance").map(|e| &e["language"]);
    assert!(languages.clone().count() > 0 && languages.into_iter().all(|l| l == "fa"));
}
