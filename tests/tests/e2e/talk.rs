//! What an agent does on a call besides talking, what comes after it, and what becomes of a customer whose agent has
//! vanished.

use serde_json::json;
use sotto_tests::baresip::Baresip;
use sotto_tests::ears;
use sotto_tests::server::ADMIN;

use crate::phone::{AGENT, CUSTOMER, assert_pressed, desk, press_keys, until_heard};
use crate::supervisors::has_heard;
use crate::support::{PATIENCE, Talk, assert_ordered, lately, until};

/// By these notes customers are told that their agent is waited for.
const AWAITED: [u32; 2] = [523, 392];

/// Whether the last of what a telephone has heard is silence. Of a browser that is muted little comes (Opus has a packet
/// for 400 ms of silence), so that a second of it would be long in coming.
fn hears_silence(phone: &Baresip) -> bool {
    lately(phone, 200).is_some_and(|audio| audio.loudness(0, 0, 200) < 0.005)
}

/// Whether the last second that a telephone has heard is music: something, and not the agent's tone, which is three
/// times as loud as a note of that height.
fn hears_music(phone: &Baresip) -> bool {
    lately(phone, 1_000).is_some_and(|audio| {
        let quarters = (0..4).map(|n| audio.tone_level(0, AGENT, n * 250, (n + 1) * 250));
        audio.loudness(0, 0, 1_000) > 0.01 && quarters.fold(0.0, f64::max) < 0.12
    })
}

#[test]
fn an_agent_mutes_holds_writes_down_how_it_came_out_and_is_ready_again() {
    let Some(sotto) = desk(&[]) else { return };
    let Talk { id, mut agent, customer } = Talk::begin(&sotto);

    agent.press("m").unwrap();
    agent.wait("section.phone [aria-pressed=true]:has-text('Unmute')").unwrap();
    until("who is muted is not heard", || hears_silence(&customer));
    until_heard(&mut [("agent", &mut || agent.heard(2).ok(), &[CUSTOMER])]);
    assert!(hears_silence(&customer), "who is muted is heard again");
    agent.reload().unwrap();
    agent.wait("section.phone [aria-pressed=true]:has-text('Unmute')").unwrap();
    until_heard(&mut [("agent", &mut || agent.heard(2).ok(), &[CUSTOMER])]);
    until("who is muted stays so when the page is loaded anew", || hears_silence(&customer));
    agent.press("m").unwrap();
    ears::both_hear(&mut agent, &customer).unwrap();

    agent.click("section.phone button:has-text('Hold')").unwrap();
    agent.wait("section.phone [aria-pressed=true]:has-text('Take back')").unwrap();
    until("the customer hears music, and not the agent", || hears_music(&customer));
    until_heard(&mut [("agent", &mut || agent.heard(2).ok(), &[])]);
    agent.click("section.phone button:has-text('Take back')").unwrap();
    agent.wait("section.phone [aria-pressed=false]:has-text('Hold')").unwrap();
    ears::both_hear(&mut agent, &customer).unwrap();

    agent.press("x").unwrap();
    agent.wait("section.phone .sign.wrap_up").unwrap();
    agent.click("section.phone .outcomes button:has-text('Call back')").unwrap();
    agent.wait("section.phone .outcomes [aria-pressed=true]:has-text('Call back')").unwrap();
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    let of = |kind: &str| events.iter().filter(|e| e["kind"] == kind).count();
    // Loading a page takes some machines so long that the agent is missed.
    assert!(of("paused") >= 1 && of("paused") == of("resumed"), "{events:?}");
    let call = sotto.api.client.json(&format!("/api/calls/{id}")).unwrap();
    let outcome = &call["call"]["outcome"];
    assert_eq!((&outcome["outcome"], &outcome["by"]), (&json!("Call back"), &json!(ADMIN.0)), "{call}");
    // Once the time for it is over.
    agent.wait("section.phone .sign.ready").unwrap();
    assert_eq!(agent.errors().unwrap(), Vec::<String>::new());
}

#[test]
fn an_agent_whose_browser_speaks_pcmu_alone_hears_is_heard_and_presses_keys() {
    let Some(sotto) = desk(&[]) else { return };
    let mut agent = ears::page(&sotto, ADMIN, AGENT).unwrap();
    agent.run("bench.speak('PCMU', 8000)").unwrap();
    agent.ready().unwrap();
    let mut talk = Talk::of(&sotto, agent);
    press_keys(&mut talk.agent, &talk.customer);
    talk.both_hear();
    let events = talk.end(&sotto);
    let leg = events.iter().find(|e| e["kind"] == "leg_started" && e["party"] == "agent").unwrap();
    assert_eq!(leg["codec"], "PCMU");
    assert_pressed(&events);
}

#[test]
fn a_customer_is_told_that_the_agent_has_vanished_and_the_call_ends_when_they_stay_away() {
    let Some(sotto) = desk(&[]) else { return };
    let Talk { id, mut agent, customer } = Talk::begin(&sotto);
    assert_eq!(agent.errors().unwrap(), Vec::<String>::new());
    // The browser is gone without a word.
    drop(agent);
    // Each is remembered: what is shown of the call is so for no longer than the call.
    let (mut is_told, mut is_shown) = (false, false);
    until("the customer hears that the agent is waited for, and supervisors see it", || {
        is_told = is_told || has_heard(&customer, AWAITED);
        let calls = sotto.api.calls("live").unwrap();
        is_shown = is_shown || calls.iter().any(|call| call["now"]["phase"] == "agent_lost");
        is_told && is_shown
    });
    customer.until_over().unwrap();
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    let of = |kind: &str| events.iter().filter(|e| e["kind"] == kind).count();
    assert_eq!((of("paused"), of("resumed")), (1, 0));
    until("who is not there is no agent to be rung", || {
        sotto.api.client.json("/api/desk").unwrap()["agents"] == json!([])
    });
}
