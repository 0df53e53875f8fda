//! Two plain INVITEs with the same X-Sotto-Call are the two legs of one call.

use sotto_tests::audio::Audio;
use sotto_tests::server::Sotto;
use sotto_tests::sipp::{Running, Sipp};

use crate::support::{EXCERPT_MS, PATIENCE, assert_ordered, assert_recorded, assert_understood, excerpt};

pub fn leg(sotto: &Sotto, party: &str, channel: usize) -> Running {
    let (_, audio) = excerpt();
    let audio = Audio { rate: audio.rate, channels: vec![audio.channels[channel].clone()] };
    let keys = [("call", "pbx-1732096800.17"), ("party", party)];
    let keys = keys.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Sipp { scenario: "leg.xml".into(), keys, ..Sipp::siprec(sotto.sip) }.call(&audio).unwrap()
}

#[test]
fn two_legs_are_one_call() {
    let sotto = Sotto::start().unwrap();
    let legs = [leg(&sotto, "agent", 0), leg(&sotto, "customer", 1)];
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
