//! A SIPREC call from SIPp: understood, recorded, and still there after a restart.

use serde_json::{Value, json};
use sotto_tests::pcap::Line;
use sotto_tests::server::Sotto;
use sotto_tests::sipp::{Sipp, Transport};

use crate::support::{EXCERPT_MS, assert_ordered, assert_recorded, assert_understood, call};

#[test]
fn over_udp() {
    a_siprec_call(Transport::Udp);
}

#[test]
fn over_tcp() {
    a_siprec_call(Transport::Tcp);
}

fn a_siprec_call(transport: Transport) {
    let mut sotto = Sotto::start().unwrap();
    let (id, events) = call(&sotto, &Sipp { transport, ..Sipp::siprec(sotto.sip) });
    assert_ordered(&events);
    assert_understood(&events);
    assert_recorded(&sotto, &id, EXCERPT_MS);

    let started = &events[0];
    assert_eq!(started["source"], "siprec");
    let aors: Vec<&Value> = started["participants"].as_array().unwrap().iter().map(|p| &p["aor"]).collect();
    assert!(aors.contains(&&json!("sip:1002@pbx.example")), "{started}");
    assert!(aors.contains(&&json!("sip:15550100@trunk.example")), "{started}");
    let ended = &events[events.len() - 1];
    assert_eq!(ended["reason"], "hangup");
    assert!(ended["duration_ms"].as_u64().unwrap().abs_diff(EXCERPT_MS) < 1500, "{ended}");

    let first_final = events.iter().position(|e| e["kind"] == "utterance" && e["final"] == true).unwrap();
    let partials = events[..first_final].iter().filter(|e| e["kind"] == "utterance").count();
    assert!(partials > 0, "words are shown while they are spoken");

    assert!(sotto.stop().unwrap().success());
    sotto.resume().unwrap();
    assert_eq!(sotto.api.events(&id).unwrap(), events, "the log is the same after a restart");
    assert_recorded(&sotto, &id, EXCERPT_MS);
    let calls = sotto.api.calls("ended").unwrap();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0]["id"], id.as_str());
    assert_eq!(calls[0]["recording"], true);
    assert!(sotto.api.calls("live").unwrap().is_empty());
}

#[test]
fn over_a_bad_line() {
    let sotto = Sotto::start().unwrap();
    let (_, events) = call(&sotto, &Sipp { line: Line::Bad, ..Sipp::siprec(sotto.sip) });
    assert_ordered(&events);
    assert_understood(&events);
    for party in ["agent", "customer"] {
        let leg = events.iter().find(|e| e["kind"] == "leg_ended" && e["party"] == party).unwrap();
        let (packets, lost) = (leg["packets"].as_u64().unwrap(), leg["lost"].as_u64().unwrap());
        // 3 % of 610 packets; one that came too late to be played may count as well.
        assert!((560..=610).contains(&packets) && (10..=60).contains(&lost), "{leg}");
    }
}

#[test]
fn a_recording_is_sent_in_ranges() {
    let sotto = Sotto::start().unwrap();
    let (id, _) = call(&sotto, &Sipp::siprec(sotto.sip));
    let path = format!("/api/calls/{id}/recording");
    let whole = sotto.api.client.get(&path).unwrap();
    assert_eq!(whole.status, 200);
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    let range = |range: &str| sotto.api.client.request("GET", &path, &[("Range", range)], b"").unwrap();
    let part = range("bytes=100-299");
    assert_eq!((part.status, part.body.as_slice()), (206, &whole.body[100..300]));
    let last = range("bytes=-10");
    assert_eq!((last.status, last.body.as_slice()), (206, &whole.body[whole.body.len() - 10..]));
    assert_eq!(range("bytes=999999999-").status, 416);
}
