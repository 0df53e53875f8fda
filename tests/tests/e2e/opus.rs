//! A telephone that speaks Opus, and is asked for its password, is understood as well as one that speaks G.711.

use sotto_tests::baresip::{Baresip, Codec, USER, has_network_or_skip};
use sotto_tests::server::{Setup, Sotto};

use crate::support::{excerpt, understood};

#[test]
fn an_opus_call_from_baresip() {
    if !has_network_or_skip() {
        return;
    }
    // baresip never names the loopback address in its offer, but sends from it: like a telephone behind a router.
    let any_source = ("sip".to_owned(), "rtp_any_source = true".to_owned());
    let users = ("sip".to_owned(), format!("users = {{ {} = \"{}\" }}", USER.0, USER.1));
    let sotto = Sotto::start_with(&Setup { more: vec![any_source, users], ..Setup::default() }).unwrap();
    let (script, audio) = excerpt();
    let phone = Baresip::call(sotto.sip, "sotto", Codec::Opus, &audio.channels[0], 8).unwrap();
    let events = understood(&sotto, phone, &script);
    let leg = events.iter().find(|e| e["kind"] == "leg_started").unwrap();
    assert_eq!(leg["codec"].as_str().unwrap().to_lowercase(), "opus");
}
