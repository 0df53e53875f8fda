//! Supervisors: what they say is a third channel and on no other, who comes and goes is announced and written down.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sotto_tests::audio::Audio;
use sotto_tests::baresip::Baresip;
use sotto_tests::browser::Browser;
use sotto_tests::ears;
use sotto_tests::server::{ADMIN, Sotto};

use crate::phone::{AGENT, CUSTOMER, SUPERVISOR, add_agent, desk, shots, until_heard};
use crate::support::{PATIENCE, Talk, assert_ordered, lately, until};

/// The notes of an announcement.
const ANNOUNCED: [u32; 2] = [700, 1_050];

const MINA: (&str, &str) = ("mina", "a long enough password");

/// Whether these notes, some 200 ms each, are heard one soon after the other: a line on a busy machine loses parts of
/// them.
fn is_announced(audio: &Audio, notes: [u32; 2]) -> bool {
    const STEP_MS: u64 = 20;
    let is_there = |hz, from: u64| audio.tone_level(0, hz, from, from + 3 * STEP_MS) > 0.04;
    let steps = (0..audio.duration_ms().saturating_sub(3 * STEP_MS)).step_by(STEP_MS as usize);
    let heard: Vec<[bool; 2]> = steps.map(|from| notes.map(|hz| is_there(hz, from))).collect();
    let is_second = |soon: &[[bool; 2]]| soon.iter().skip(4).take(22).any(|heard| *heard == [false, true]);
    (0..heard.len()).any(|n| heard[n] == [true, false] && is_second(&heard[n..]))
}

/// Whether a telephone has heard these notes of late.
pub fn has_heard(phone: &Baresip, notes: [u32; 2]) -> bool {
    lately(phone, 4_000).is_some_and(|audio| is_announced(&audio, notes))
}

/// Waits until the agent and the customer have heard these notes. Both are listened to at once, because only the
/// last seconds are kept of what the agent hears: on a machine that is busy, who is asked second has heard it long
/// ago.
fn until_announced(notes: [u32; 2], agent: &mut Browser, customer: &Baresip) {
    let until = Instant::now() + PATIENCE;
    let (mut by_agent, mut by_customer) = (false, false);
    while !(by_agent && by_customer) {
        assert!(Instant::now() < until, "told: the agent {by_agent}, the customer {by_customer}");
        by_agent = by_agent || agent.heard(4).is_ok_and(|audio| is_announced(&audio, notes));
        by_customer = by_customer || has_heard(customer, notes);
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The loudest that a tone is in a channel, in pieces of a quarter second between two times.
fn loudest(audio: &Audio, channel: usize, hz: u32, from_ms: u64, to_ms: u64) -> f64 {
    let pieces = (from_ms..to_ms).step_by(250);
    pieces.map(|at| audio.tone_level(channel, hz, at, at + 250)).fold(0.0, f64::max)
}

fn recording(sotto: &Sotto, id: &str, track: &str) -> Audio {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording.wav");
    let answer = sotto.api.client.get(&format!("/api/calls/{id}/recording{track}")).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    std::fs::write(&file, answer.body).unwrap();
    Audio::read(&file).unwrap()
}

/// What the audit says about supervisors of a call, oldest first.
fn supervised(sotto: &Sotto, id: &str) -> Vec<String> {
    let audit = sotto.api.client.json("/api/audit").unwrap();
    let records = audit["records"].as_array().unwrap();
    let of_call = records.iter().rev().filter(|r| r["what"] == "supervise" && r["call_id"] == id);
    of_call.map(|r| r["detail"].as_str().unwrap().to_owned()).collect()
}

/// A call of Mina's, and a supervisor who looks at its page.
fn attended(sotto: &Sotto) -> (Talk, Browser) {
    add_agent(sotto, MINA);
    let agent = ears::agent(sotto, MINA).unwrap();
    let mut supervisor = ears::page(sotto, ADMIN, SUPERVISOR).unwrap();
    let talk = Talk::of(sotto, agent);
    supervisor.open(&format!("/#/calls/{}", talk.id)).unwrap();
    supervisor.wait("main.ready .supervise").unwrap();
    (talk, supervisor)
}

fn attentions(events: &[Value]) -> Vec<Value> {
    events.iter().filter(|e| e["kind"] == "supervisor").map(|e| e["attention"].clone()).collect()
}

#[test]
fn what_a_supervisor_says_is_a_third_channel_and_who_vanishes_has_left() {
    let Some(sotto) = desk(&[("desk", "announce = \"everyone\"")]) else { return };
    let (Talk { id, mut agent, customer }, mut supervisor) = attended(&sotto);

    for (step, agents, customers) in [
        ("Listen", &[CUSTOMER][..], &[AGENT][..]),
        ("Whisper", &[CUSTOMER, SUPERVISOR], &[AGENT]),
        ("Barge", &[CUSTOMER, SUPERVISOR], &[AGENT, SUPERVISOR]),
    ] {
        supervisor.click(&format!(".supervise button:has-text('{step}')")).unwrap();
        until_announced(ANNOUNCED, &mut agent, &customer);
        until_heard(&mut [
            ("agent", &mut || agent.heard(2).ok(), agents),
            ("customer", &mut || customer.heard().unwrap(), customers),
        ]);
    }
    // The browser is gone without a word.
    drop(supervisor);
    let [low, high] = ANNOUNCED;
    until_announced([high, low], &mut agent, &customer);
    ears::both_hear(&mut agent, &customer).unwrap();
    agent.press("x").unwrap();
    agent.wait("section.phone:not(.talking)").unwrap();

    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    assert_eq!(attentions(&events), [json!("listen"), json!("whisper"), json!("barge"), Value::Null]);
    assert_eq!(supervised(&sotto, &id), ["listens", "whispers", "barges in", "leaves"]);

    let both = recording(&sotto, &id, "");
    let third = recording(&sotto, &id, "?track=supervisors");
    assert_eq!((both.channels.len(), third.channels.len(), third.rate), (2, 1, both.rate));
    let end = both.duration_ms();
    for (channel, own) in [(0, AGENT), (1, CUSTOMER)] {
        let [own, supervisor] = [own, SUPERVISOR].map(|hz| loudest(&both, channel, hz, 0, end));
        assert!(own > 0.05 && supervisor < 0.02, "channel {channel}: {own:.3}, supervisor {supervisor:.3}");
    }
    let others = [AGENT, CUSTOMER].map(|hz| loudest(&third, 0, hz, 0, end));
    assert!(others.iter().all(|level| *level < 0.02), "others on the third channel: {others:?}");
    // On the call's clock: from the whisper on, and not while the supervisor only listened.
    let began = |attention: &str| {
        let event = events.iter().find(|e| e["attention"] == attention).unwrap();
        event["at_ms"].as_u64().unwrap()
    };
    let (whisper, barge) = (began("whisper"), began("barge"));
    let before = loudest(&third, 0, SUPERVISOR, 0, whisper - 500);
    assert!(before < 0.02, "before anybody could hear it: {before:.3}");
    for from in [whisper, barge] {
        assert!(loudest(&third, 0, SUPERVISOR, from, from + 1_500) > 0.05, "from {from} ms on");
    }
    // Only supervisors hear it.
    let by_mina = sotto_tests::http::Client::signed_in(sotto.http, MINA.0, MINA.1).unwrap();
    let answer = by_mina.get(&format!("/api/calls/{id}/recording?track=supervisors")).unwrap();
    assert_eq!(answer.status, 403);
    let mut reviewer = ears::page(&sotto, ADMIN, SUPERVISOR).unwrap();
    reviewer.open(&format!("/#/calls/{id}")).unwrap();
    reviewer.click("section.player label:has-text('With supervisors')").unwrap();
    reviewer.click("section.player button.play").unwrap();
    reviewer.wait("section.player button.play[aria-label=Pause]").unwrap();
    let in_step = "(() => { const [a, b] = document.querySelectorAll('section.player audio'); \
                   return !!b && !b.paused && b.currentTime > 1 && Math.abs(a.currentTime - b.currentTime) < 0.2; })()";
    until("the third channel plays in step", || reviewer.run(in_step).unwrap() == true);
    reviewer.shot(&shots("supervisor").join("review.png")).unwrap();
    assert_eq!(reviewer.errors().unwrap(), Vec::<String>::new());
    assert_eq!(agent.errors().unwrap(), Vec::<String>::new());
}

#[test]
fn where_only_agents_are_told_of_supervisors_customers_hear_nothing_of_them() {
    let Some(sotto) = desk(&[("desk", "announce = \"agent\"")]) else { return };
    let (Talk { id, mut agent, customer }, mut supervisor) = attended(&sotto);

    let until_told = |notes: [u32; 2], agent: &mut Browser| {
        until("the agent is told", || agent.heard(4).is_ok_and(|audio| is_announced(&audio, notes)));
    };
    let [low, high] = ANNOUNCED;
    supervisor.click(".supervise button:has-text('Listen')").unwrap();
    until_told(ANNOUNCED, &mut agent);
    agent.wait("section.phone .line:has-text('admin is listening')").unwrap();
    supervisor.click(".supervise button.plain").unwrap();
    until_told([high, low], &mut agent);
    // What comes to the customer later than to the agent has come by then.
    ears::both_hear(&mut agent, &customer).unwrap();
    let heard = customer.heard().unwrap().unwrap();
    for notes in [ANNOUNCED, [high, low]] {
        assert!(!is_announced(&heard, notes), "the customer has heard {notes:?}");
    }
    agent.press("x").unwrap();
    agent.wait("section.phone:not(.talking)").unwrap();
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    assert_eq!(attentions(&events), [json!("listen"), Value::Null]);
    assert_eq!((agent.errors().unwrap(), supervisor.errors().unwrap()), (Vec::new(), Vec::new()));
}

#[test]
fn a_call_that_ends_is_over_for_its_supervisor() {
    let Some(sotto) = desk(&[]) else { return };
    let (Talk { id, agent: _agent, customer }, mut supervisor) = attended(&sotto);
    supervisor.click(".supervise button:has-text('Listen')").unwrap();
    supervisor.wait(".supervise [aria-pressed=true]").unwrap();
    until_heard(&mut [("supervisor", &mut || supervisor.heard(2).ok(), &[AGENT, CUSTOMER])]);
    customer.hang_up().unwrap();
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    assert_eq!(attentions(&events), [json!("listen"), Value::Null]);
    assert_eq!(supervised(&sotto, &id), ["listens", "leaves"]);
    // Who only listened has said nothing.
    let answer = sotto.api.client.get(&format!("/api/calls/{id}/recording?track=supervisors")).unwrap();
    assert_eq!(answer.status, 404);
    supervisor.wait("section.phone .sign.away").unwrap();
    assert_eq!(supervisor.errors().unwrap(), Vec::<String>::new());
}
