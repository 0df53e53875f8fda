//! WHIP and WHEP: a page of Chromium with nothing but fetch and RTCPeerConnection brings audio into a call, and hears
//! one.

use std::time::{Duration, Instant};

use serde_json::json;
use sotto_tests::audio::Audio;
use sotto_tests::browser::{Browser, Microphone};
use sotto_tests::ears;
use sotto_tests::script::{transcript, word_error_rate, words};
use sotto_tests::server::{ADMIN, Setup, Sotto};

use crate::legs::leg;
use crate::phone::{AGENT, CUSTOMER, SUPERVISOR, add_agent, desk, until_heard};
use crate::support::{EXCERPT_MS, PATIENCE, assert_ordered, excerpt};

const CLIENT: &str = include_str!("../../browser/whip.js");

/// A page that knows how to be a client.
fn client(sotto: &Sotto, hears: Microphone) -> Browser {
    let mut browser = Browser::sign_in(sotto.http, ADMIN, hears).unwrap();
    browser.run(&format!("{CLIENT}\nnull")).unwrap();
    browser
}

fn begin(client: &mut Browser, at: &str, direction: &str) -> serde_json::Value {
    client.run(&format!("client.begin('{at}', '{direction}')")).unwrap()
}

#[test]
fn a_whip_client_and_a_sip_leg_are_one_call() {
    let webrtc = ("webrtc".to_owned(), "ip = \"127.0.0.1\"".to_owned());
    let setup = Setup { language: Some("en".into()), more: vec![webrtc], ..Setup::default() };
    let sotto = Sotto::start_with(&setup).unwrap();
    let (script, audio) = excerpt();
    // Again and again, because the two do not begin at the same moment.
    let speech = Audio { rate: audio.rate, channels: vec![audio.channels[0].clone()] };
    let mut agent = client(&sotto, Microphone::Tone(&speech));
    let customer = leg(&sotto, "customer", "en", &excerpt().1);
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    let at = "/api/whip?call=pbx-1732096800.17&party=agent";
    assert_eq!(begin(&mut agent, at, "sendonly"), 201);
    let trickled = agent.run("client.trickled").unwrap();
    assert!(trickled.as_array().unwrap().iter().all(|status| *status == 204), "{trickled}");
    assert_eq!(sotto.api.metric("sotto_streams").unwrap(), 1.0);
    customer.finish().unwrap();
    // What the agent says is among what is said again and again; the call goes on while one of the two is there.
    let said = script.words("agent", EXCERPT_MS);
    let until = Instant::now() + Duration::from_secs(25);
    loop {
        let heard = words(&transcript(&sotto.api.events(&id).unwrap(), "agent"));
        let missed = said.iter().filter(|word| !heard.contains(word)).count();
        if missed * 10 <= said.len() * 3 {
            break;
        }
        assert!(Instant::now() < until, "{missed} of {} are not in {heard:?}", said.len());
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(agent.run("client.end()").unwrap(), 200);
    assert_eq!(agent.run("client.end()").unwrap(), 404);

    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    let rate = word_error_rate(&script, &events, "customer", EXCERPT_MS);
    assert!(rate < 0.35, "customer: {rate:.2}");
    for party in ["agent", "customer"] {
        let of = |kind: &str| events.iter().filter(|e| e["kind"] == kind && e["party"] == party).count();
        assert_eq!((of("leg_started"), of("leg_ended")), (1, 1), "{party}");
    }
    assert_eq!(agent.errors().unwrap(), Vec::<String>::new());
}

#[test]
fn a_whep_client_hears_both_and_is_gone_with_the_call() {
    let Some(sotto) = desk(&[]) else { return };
    let mina = ("mina", "a long enough password");
    add_agent(&sotto, mina);
    let mut agent = ears::agent(&sotto, mina).unwrap();
    let customer = ears::customer(&sotto, 120).unwrap();
    agent.accept().unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    let mut listener = client(&sotto, Microphone::Tone(&Audio::tone(SUPERVISOR, 2)));
    let at = format!("/api/calls/{id}/whep");
    assert_eq!(begin(&mut listener, &at, "recvonly"), 201);
    until_heard(&mut [
        ("listener", &mut || listener.heard(2).ok(), &[AGENT, CUSTOMER]),
        ("agent", &mut || agent.heard(2).ok(), &[CUSTOMER]),
        ("customer", &mut || customer.heard().unwrap(), &[AGENT]),
    ]);
    // The same rules as on the page: an agent may not.
    let refused = agent.run(&format!("fetch('{at}', {{ method: 'POST' }}).then((a) => a.status)")).unwrap();
    assert_eq!(refused, 403);

    agent.press("x").unwrap();
    agent.wait("section.phone:not(.talking)").unwrap();
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    let supervisors: Vec<_> = events.iter().filter(|e| e["kind"] == "supervisor").collect();
    assert_eq!(
        (&supervisors[0]["name"], &supervisors[0]["attention"]),
        (&json!(ADMIN.0), &json!("listen")),
        "{supervisors:?}"
    );
    let until = Instant::now() + PATIENCE;
    while sotto.api.metric("sotto_streams").unwrap() > 0.0 {
        assert!(Instant::now() < until, "the listener outlives the call");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(listener.run("client.end()").unwrap(), 404);
    let audit = sotto.api.client.json("/api/audit").unwrap();
    let of = |who: &str, what: &str, detail: &str| {
        let records = audit["records"].as_array().unwrap().iter();
        records.filter(|r| r["who"] == who && r["what"] == what && r["detail"] == detail).count()
    };
    assert_eq!((of(ADMIN.0, "supervise", "listens"), of(ADMIN.0, "supervise", "leaves")), (1, 1), "{audit}");
    assert_eq!(of("mina", "refused", "this is not yours to do"), 1, "{audit}");
    assert_eq!(listener.errors().unwrap(), Vec::<String>::new());
}
