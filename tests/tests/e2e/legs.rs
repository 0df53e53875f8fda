//! Two plain INVITEs with the same X-Sotto-Call are the two legs of one call; X-Sotto-Language says how they speak.

use sotto_tests::audio::Audio;
use sotto_tests::script::{Script, transcript};
use sotto_tests::server::{Setup, Sotto};
use sotto_tests::sipp::{Running, Sipp};

use crate::support::{EXCERPT_MS, PATIENCE, assert_ordered, assert_recorded, assert_understood, excerpt};

pub fn leg(sotto: &Sotto, party: &str, language: &str, audio: &Audio) -> Running {
    let channel = usize::from(party == "customer");
    let audio = Audio { rate: audio.rate, channels: vec![audio.channels[channel].clone()] };
    let keys = [("call", "pbx-1732096800.17"), ("party", party), ("language", language)];
    let keys = keys.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Sipp { scenario: "leg.xml".into(), keys, ..Sipp::siprec(sotto.sip) }.call(&audio).unwrap()
}

#[test]
fn two_legs_are_one_call() {
    let sotto = Sotto::start().unwrap();
    let (_, audio) = excerpt();
    let legs = ["agent", "customer"].map(|party| leg(&sotto, party, "en", &audio));
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    for leg in legs {
        leg.finish().unwrap();
    }
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    assert_understood(&events);
    assert_recorded(&sotto, &id, EXCERPT_MS);
    assert_eq!(events[0]["source"], "sip");
    assert_eq!(sotto.api.calls("ended").unwrap().len(), 1);
    for party in ["agent", "customer"] {
        let of = |kind: &str| events.iter().filter(|e| e["kind"] == kind && e["party"] == party).count();
        assert_eq!((of("leg_started"), of("leg_ended")), (1, 1), "{party}");
    }
}

#[test]
fn a_call_is_heard_by_the_model_of_the_language_that_its_header_names() {
    // The default knows English alone: what comes in Persian letters was heard by the other.
    let models = ("speech".to_owned(), "models = { fa = \"base\" }".to_owned());
    let sotto = Sotto::start_with(&Setup { more: vec![models], ..Setup::default() }).unwrap();
    let audio = Audio::read(&Script::persian().unwrap().audio).unwrap();
    let legs = ["agent", "customer"].map(|party| leg(&sotto, party, "fa-IR", &audio));
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    for leg in legs {
        leg.finish().unwrap();
    }
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_eq!(events[0]["language"], "fa");
    let mut languages = events.iter().filter(|e| e["kind"] == "utterance").map(|e| &e["language"]);
    assert!(languages.all(|language| language == "fa"));
    let heard = transcript(&events, "customer");
    assert!(heard.chars().filter(|c| ('\u{0600}'..='\u{06ff}').contains(c)).count() > 20, "{heard:?}");
}
