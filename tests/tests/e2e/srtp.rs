//! A telephone that sends its keys in its offer and talks encrypted or not at all (SRTP) is understood as any other.

use sotto_tests::baresip::{Baresip, Codec, has_network};
use sotto_tests::script::{edits, transcript, words};
use sotto_tests::server::{Setup, Sotto};

use crate::support::{PATIENCE, assert_ordered, excerpt};

#[test]
fn an_encrypted_call_from_baresip() {
    if !has_network() {
        eprintln!("SKIPPED: baresip wants a network interface besides the loopback");
        return;
    }
    let any_source = ("sip".to_owned(), "rtp_any_source = true".to_owned());
    let sotto = Sotto::start_with(&Setup { more: vec![any_source], ..Setup::default() }).unwrap();
    let (script, audio) = excerpt();
    let mandatory = Some("srtp-mand");
    let phone = Baresip::call(sotto.sip, "sotto", Codec::Pcmu, mandatory, &audio.channels[0], 8).unwrap();
    phone.finish().unwrap();
    let calls = sotto.api.client.json("/api/calls").unwrap();
    let id = calls["calls"][0]["id"].as_str().unwrap().to_owned();
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    let leg = events.iter().find(|e| e["kind"] == "leg_started").unwrap();
    let said = script.words("agent", 7000);
    let heard = words(&transcript(&events, leg["party"].as_str().unwrap()));
    let rate = edits(&said, &heard) as f64 / said.len() as f64;
    assert!(rate < 0.35, "{rate:.2}: {heard:?}");
    let over = events.iter().find(|e| e["kind"] == "leg_ended").unwrap();
    assert!(over["packets"].as_u64().unwrap() > 300, "{over}");
    let metrics = sotto.api.client.get("/metrics").unwrap().text();
    let refused = |what: &str| {
        let of = |line: &&str| line.starts_with("sotto_media_missing_packets") && line.contains(what);
        metrics.lines().find(of).unwrap_or_else(|| panic!("{metrics}")).ends_with(" 0")
    };
    assert!(refused("unauthenticated"));
}
