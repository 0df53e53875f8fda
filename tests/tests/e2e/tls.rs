//! Signalling over TLS with encrypted audio, which nobody on the way can read: from a telephone, and to a trunk.

use std::net::SocketAddr;

use sotto_tests::audio::Audio;
use sotto_tests::baresip::{Baresip, Codec, has_network_or_skip};
use sotto_tests::pki::Authority;
use sotto_tests::server::{Setup, Sotto, free_address};

use crate::support::{PATIENCE, assert_ordered, excerpt, understood};

#[test]
fn a_call_over_tls_from_baresip_is_understood() {
    if !has_network_or_skip() {
        return;
    }
    let authority = Authority::new().unwrap();
    let ours = authority.vouch("127.0.0.1").unwrap();
    let at = free_address().unwrap();
    let tls = format!("tls = {{ listen = [\"{at}\"], certificate = {ours:?}, key = {ours:?} }}");
    let more = [tls, "rtp_any_source = true".to_owned()].map(|line| ("sip".to_owned(), line)).to_vec();
    let sotto = Sotto::start_with(&Setup { more, ..Setup::default() }).unwrap();
    let (script, audio) = excerpt();
    let phone = Baresip::call_over_tls(at, "sotto", Codec::Pcmu, &audio.channels[0], 8).unwrap();
    let events = understood(&sotto, phone, &script);
    let over = events.iter().find(|e| e["kind"] == "leg_ended").unwrap();
    assert!(over["packets"].as_u64().unwrap() > 300, "{over}");
}

#[test]
fn a_call_that_nobody_takes_rings_outside_over_tls() {
    if !has_network_or_skip() {
        return;
    }
    const OUTSIDE: u32 = 500;
    let authority = Authority::new().unwrap();
    let certificate = authority.vouch("127.0.0.1").unwrap();
    let outside = free_address().unwrap();
    // Where baresip listens for TLS.
    let trunk = SocketAddr::new(outside.ip(), outside.port() + 1);
    let numbers = "[{ number = \"100\", patience_s = 1, overflow = \"15550142\" }]";
    let mut setup = Setup::desk(numbers);
    setup.more.push(("sip".to_owned(), format!("tls = {{ ca = {:?} }}", authority.certificate)));
    let trunk =
        format!("trunk = {{ host = \"{trunk}\", user = \"1001\", transport = \"tls\", srtp = \"on\" }}");
    setup.more.push(("desk".to_owned(), trunk));
    let sotto = Sotto::start_with(&setup).unwrap();
    let speech = Audio::tone(OUTSIDE, 60);
    let outside =
        Baresip::answer_over_tls(outside, "15550142", Codec::Pcmu, &speech.channels[0], &certificate)
            .unwrap();
    let customer =
        Baresip::call_encrypted(sotto.sip, "100", Codec::Pcmu, &Audio::tone(800, 20).channels[0], 15)
            .unwrap();
    outside.until("Call established").unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    let to_customer = customer.finish().unwrap().expect("it was spoken to");
    let end = to_customer.duration_ms();
    assert!(to_customer.tone_level(0, OUTSIDE, end - 1_500, end - 500) > 0.03, "the customer hears");
    let to_outside = outside.heard().unwrap().expect("it was spoken to");
    assert!(to_outside.tone_level(0, 800, 1_000, 2_000) > 0.03, "the telephone outside hears");
    outside.until_over().unwrap();
    assert_ordered(&sotto.api.ended(&id, PATIENCE).unwrap());
}
