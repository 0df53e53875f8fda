//! The last word is in the log although the call ends on it.

use sotto_tests::audio::Audio;
use sotto_tests::script::{Script, transcript, words};
use sotto_tests::server::Sotto;
use sotto_tests::sipp::Sipp;

use crate::support::{PATIENCE, assert_ordered};

#[test]
fn the_last_word_before_a_hang_up_is_kept() {
    let sotto = Sotto::start().unwrap();
    let script = Script::support().unwrap();
    let audio = Audio::read(&script.audio).unwrap();
    for last in ["today", "arrived", "please", "disappointed"] {
        let ends_with = |text: &str| words(text).last().is_some_and(|w| w == last);
        let turn = script.turns.iter().find(|t| ends_with(&t.text)).unwrap();
        let running = Sipp::siprec(sotto.sip).call(&audio.cut(turn.start_ms - 500, turn.end_ms)).unwrap();
        let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
        running.finish().unwrap();
        let events = sotto.api.ended(&id, PATIENCE).unwrap();
        assert_ordered(&events);
        let heard = transcript(&events, &turn.party);
        assert!(ends_with(&heard), "said …{last}, heard {heard:?}");
    }
}
