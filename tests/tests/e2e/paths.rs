//! The ways between a browser and us: one that is there no more in mid-call.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use serde_json::Value;
use sotto_tests::audio::Audio;
use sotto_tests::browser::{Browser, Microphone};
use sotto_tests::ears;
use sotto_tests::network::Network;
use sotto_tests::proxy::Proxy;
use sotto_tests::server::{ADMIN, Setup, Sotto};
use sotto_tests::skip::skipped;

use crate::phone::{AGENT, desk};
use crate::support::{PATIENCE, assert_ordered, until};

#[test]
fn a_call_goes_on_when_the_browser_changes_its_network() {
    let network = match Network::with_two_ways() {
        Ok(network) => network,
        Err(error) => {
            return skipped("NAMESPACES", &format!("no network of its own for a browser: {error:#}"));
        }
    };
    let sotto =
        Sotto::start_with(&Setup::desk_at(IpAddr::V4(network.here), "[{ number = \"100\" }]")).unwrap();
    let page = Proxy::on(SocketAddr::new(network.here.into(), 0), sotto.http).unwrap();
    let tone = Audio::tone(AGENT, 2);
    let mut agent = Browser::sign_in_from(&network, page.address, ADMIN, Microphone::Tone(&tone)).unwrap();
    agent.ready().unwrap();
    let customer = ears::customer(&sotto, 120).unwrap();
    agent.accept().unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    ears::both_hear(&mut agent, &customer).unwrap();
    let before = agent.run("bench.way()").unwrap();
    let connections = agent.run("bench.connections()").unwrap();
    network.cut_first().unwrap();
    let cut = Instant::now();
    // What was heard before the cut is not taken for what is heard after it.
    while [&Value::Null, &before["address"]].contains(&&agent.run("bench.way()").unwrap()["address"]) {
        assert!(cut.elapsed() < PATIENCE, "the browser stays at {before}");
        std::thread::sleep(Duration::from_millis(50));
    }
    eprintln!("another way {} ms after the cut", cut.elapsed().as_millis());
    ears::both_hear(&mut agent, &customer).unwrap();
    assert_eq!(
        agent.run("bench.connections()").unwrap(),
        connections,
        "the way is another, not the connection"
    );
    // The same call, and nobody has hung up.
    assert_eq!(sotto.api.calls("live").unwrap()[0]["id"], id.as_str());
    agent.press("x").unwrap();
    agent.wait("section.phone:not(.talking)").unwrap();
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    assert_eq!(agent.errors().unwrap(), Vec::<String>::new());
}

#[test]
fn a_browser_talks_with_a_server_that_only_answers_checks() {
    let Some(sotto) = desk(&[("webrtc", "ice_lite = true")]) else { return };
    let mut agent = ears::agent(&sotto, ADMIN).unwrap();
    let customer = ears::customer(&sotto, 60).unwrap();
    agent.accept().unwrap();
    ears::both_hear(&mut agent, &customer).unwrap();
    // Both sides report how the line is, and we know what they say.
    until("a report of the browser's comes", || {
        sotto.api.metric("sotto_browser_round_trip_seconds").unwrap() > 0.0
    });
    assert_eq!(sotto.api.metric("sotto_browsers").unwrap(), 1.0);
    let metrics = sotto.api.client.get("/metrics").unwrap().text();
    for direction in ["sent", "received"] {
        assert!(
            metrics.contains(&format!("sotto_browser_{direction}_lost_ratio{{of=\"worst\"}}")),
            "{metrics}"
        );
    }
    assert_eq!(agent.errors().unwrap(), Vec::<String>::new());
}
