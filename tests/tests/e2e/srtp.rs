//! A telephone that sends its keys in its offer and talks encrypted or not at all (SRTP) is understood as any other.

use sotto_tests::baresip::{Baresip, Codec, has_network_or_skip};
use sotto_tests::server::{Setup, Sotto};

use crate::support::{excerpt, understood};

#[test]
fn an_encrypted_call_from_baresip() {
    if !has_network_or_skip() {
        return;
    }
    let any_source = ("sip".to_owned(), "rtp_any_source = true".to_owned());
    let sotto = Sotto::start_with(&Setup { more: vec![any_source], ..Setup::default() }).unwrap();
    let (script, audio) = excerpt();
    let phone = Baresip::call_encrypted(sotto.sip, "sotto", Codec::Pcmu, &audio.channels[0], 8).unwrap();
    let events = understood(&sotto, phone, &script);
    let over = events.iter().find(|e| e["kind"] == "leg_ended").unwrap();
    assert!(over["packets"].as_u64().unwrap() > 300, "{over}");
}
