//! The agent's telephone in the browser: customers call, agents call, supervisors come to calls; who hears whom.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sotto_tests::audio::Audio;
use sotto_tests::baresip::{Baresip, Codec, has_network_or_skip};
use sotto_tests::browser::{Browser, Microphone};
use sotto_tests::ears;
pub use sotto_tests::ears::{AGENT, CUSTOMER, Ear, SUPERVISOR};
use sotto_tests::script::{Script, word_error_rate, words};
use sotto_tests::server::{ADMIN, Setup, Sotto, binary, free_address};
use sotto_tests::sipp::Sipp;
use sotto_tests::turn::Turn;

use crate::support::{EXCERPT_MS, PATIENCE, Talk, assert_ordered, excerpt};

/// A server whose number 100 rings at agents; absent where baresip cannot be.
pub fn desk(more: &[(&str, &str)]) -> Option<Sotto> {
    desk_of("[{ number = \"100\" }]", more)
}

/// The same with other numbers (TOML).
pub fn desk_of(numbers: &str, more: &[(&str, &str)]) -> Option<Sotto> {
    if !has_network_or_skip() {
        return None;
    }
    let setup = Setup::desk(numbers);
    let more = more.iter().map(|(table, line)| ((*table).to_owned(), (*line).to_owned()));
    Some(
        Sotto::start_with(&Setup { more: setup.more.iter().cloned().chain(more).collect(), ..setup })
            .unwrap(),
    )
}

pub(crate) fn shots(name: &str) -> PathBuf {
    let folder = std::env::current_exe().unwrap().parent().unwrap().join("../../xtask/shots").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The words in a recording, as `sotto transcribe` hears them.
fn transcribed(path: &Path) -> Vec<String> {
    let output = Command::new(binary().unwrap())
        .args(["transcribe", "--set", "speech.model=tiny.en"])
        .arg(path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    words(&text)
}

/// How many of the words that `party` says in the excerpt were heard.
fn share_heard(script: &Script, party: &str, heard: &Audio) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("heard.wav");
    heard.write_wav(&file).unwrap();
    let heard = transcribed(&file);
    let said = script.words(party, EXCERPT_MS);
    let missed = said.iter().filter(|word| !heard.contains(word)).count();
    1.0 - missed as f64 / said.len() as f64
}

#[test]
fn a_customer_and_an_agent_at_a_browser_hear_each_other() {
    let Some(sotto) = desk(&[]) else { return };
    let shots = shots("phone");
    let (script, audio) = excerpt();
    let speech = Audio { rate: audio.rate, channels: vec![audio.channels[0].clone()] };
    let mut agent = Browser::sign_in(sotto.http, ADMIN, Microphone::Voice(&speech)).unwrap();
    agent.ready().unwrap();

    // From a telephone that encrypts (SRTP).
    let phone = Baresip::call_encrypted(sotto.sip, "100", Codec::Pcmu, &audio.channels[1], 18).unwrap();
    if let Err(error) = agent.wait("section.phone.ringing") {
        panic!("{error:#}: {}", phone.log());
    }
    agent.shot(&shots.join("ringing.png")).unwrap();
    agent.accept().unwrap();
    agent.wait("main.ready li.line").unwrap();
    agent.shot(&shots.join("talking.png")).unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    let to_customer = phone.finish().unwrap().expect("it was spoken to");
    agent.wait("section.phone:not(.talking)").unwrap();
    agent.wait("section.player").unwrap();
    agent.shot(&shots.join("over.png")).unwrap();
    let to_agent = agent.heard(60).unwrap();
    assert_eq!(agent.errors().unwrap(), Vec::<String>::new());

    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    for party in ["agent", "customer"] {
        let rate = word_error_rate(&script, &events, party, EXCERPT_MS);
        assert!(rate < 0.35, "{party}: {rate:.2}");
    }
    let (by_agent, by_customer) =
        (share_heard(&script, "customer", &to_agent), share_heard(&script, "agent", &to_customer));
    assert!(by_agent > 0.7 && by_customer > 0.7, "agent heard {by_agent:.2}, customer {by_customer:.2}");
}

/// Waits until everyone has heard just these for a second.
pub fn until_heard(ears: &mut [Ear]) {
    ears::until_heard(ears).unwrap();
}

#[test]
fn a_supervisor_listens_whispers_barges_and_leaves() {
    let Some(sotto) = desk(&[]) else { return };
    let mina = ("mina", "a long enough password");
    add_agent(&sotto, mina);
    let mut agent = ears::agent(&sotto, mina).unwrap();
    let mut supervisor = ears::page(&sotto, ADMIN, SUPERVISOR).unwrap();
    let customer = ears::customer(&sotto, 120).unwrap();
    agent.accept().unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    let mut hear = |supervisor: Option<(&mut Browser, &[u32])>, agents: &[u32], customers: &[u32]| {
        let mut by_agent = || agent.heard(2).ok();
        let mut by_customer = || customer.heard().unwrap();
        let mut by_supervisor = None;
        let mut ears: Vec<Ear> =
            vec![("agent", &mut by_agent, agents), ("customer", &mut by_customer, customers)];
        if let Some((browser, wanted)) = supervisor {
            let by_supervisor = by_supervisor.insert(|| browser.heard(2).ok());
            ears.push(("supervisor", by_supervisor, wanted));
        }
        until_heard(&mut ears);
    };
    hear(None, &[CUSTOMER], &[AGENT]);

    supervisor.open(&format!("/#/calls/{id}")).unwrap();
    supervisor.wait("main.ready .supervise").unwrap();
    let both: &[u32] = &[AGENT, CUSTOMER];
    for (step, agents, customers) in [
        ("Listen", &[CUSTOMER][..], &[AGENT][..]),
        ("Whisper", &[CUSTOMER, SUPERVISOR], &[AGENT]),
        ("Barge", &[CUSTOMER, SUPERVISOR], &[AGENT, SUPERVISOR]),
        ("Listen", &[CUSTOMER], &[AGENT]),
    ] {
        supervisor.click(&format!(".supervise button:has-text('{step}')")).unwrap();
        supervisor.wait(&format!(".supervise [aria-pressed=true]:has-text('{step}')")).unwrap();
        hear(Some((&mut supervisor, both)), agents, customers);
    }
    supervisor.shot(&shots("supervisor").join("listening.png")).unwrap();
    supervisor.click(".supervise button.plain").unwrap();
    supervisor.wait(".supervise:not(:has([aria-pressed=true]))").unwrap();
    hear(None, &[CUSTOMER], &[AGENT]);

    drop(supervisor);
    agent.press("x").unwrap();
    agent.wait("section.phone:not(.talking)").unwrap();
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    let attention: Vec<&Value> =
        events.iter().filter(|e| e["kind"] == "supervisor").map(|e| &e["attention"]).collect();
    assert_eq!(
        attention,
        [&json!("listen"), &json!("whisper"), &json!("barge"), &json!("listen"), &Value::Null]
    );
    assert_eq!(agent.errors().unwrap(), Vec::<String>::new());
}

#[test]
fn three_supervisors_listen_whisper_and_barge_at_the_same_time() {
    let Some(sotto) = desk(&[]) else { return };
    ears::three_supervisors(&sotto).unwrap();
}

/// The agent presses keys, which the customer's telephone is told of (RFC 4733).
pub fn press_keys(agent: &mut Browser, customer: &Baresip) {
    agent.click("section.phone button[aria-controls=pad]").unwrap();
    for key in ["4", "2", "#"] {
        agent.click(&format!("#pad button:text-is('{key}')")).unwrap();
        customer.until(&format!("received event: '{key}' (end=1)")).unwrap();
    }
}

/// The same keys are in the log.
pub fn assert_pressed(events: &[Value]) {
    let keys = events.iter().filter(|e| e["kind"] == "dtmf" && e["party"] == "agent");
    assert_eq!(keys.filter_map(|e| e["digit"].as_str()).collect::<String>(), "42#");
}

#[test]
fn an_agent_calls_out_and_presses_keys() {
    let trunk = free_address().unwrap();
    let line = format!("trunk = {{ host = \"{trunk}\", user = \"1001\" }}");
    let Some(sotto) = desk(&[("desk", &line)]) else { return };
    let customer =
        Baresip::answer(trunk, "15550142", Codec::Pcmu, &Audio::tone(CUSTOMER, 60).channels[0]).unwrap();
    let mut agent = ears::page(&sotto, ADMIN, AGENT).unwrap();
    agent.fill("section.phone .dial input", "15550142").unwrap();
    agent.click("section.phone .dial button").unwrap();
    agent.wait("section.phone .line.connected").unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    ears::both_hear(&mut agent, &customer).unwrap();

    press_keys(&mut agent, &customer);
    agent.click("section.phone button.end").unwrap();
    agent.wait("section.phone:not(.talking)").unwrap();
    customer.until_over().unwrap();
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    assert_pressed(&events);
    assert_eq!(agent.errors().unwrap(), Vec::<String>::new());
}

/// Someone who may take calls.
pub fn add_agent(sotto: &Sotto, who: (&str, &str)) {
    sotto.add_user(who, "agent").unwrap();
}

#[test]
fn a_page_that_is_loaded_anew_goes_on_with_its_call() {
    let Some(sotto) = desk(&[]) else { return };
    let Talk { id, mut agent, customer } = Talk::begin(&sotto);
    agent.reload().unwrap();
    agent.wait("section.phone.talking .line.connected").unwrap();
    ears::both_hear(&mut agent, &customer).unwrap();
    agent.press("x").unwrap();
    agent.wait("section.phone .outcomes").unwrap();
    agent.click("section.phone .outcomes button:has-text('Resolved')").unwrap();
    agent.wait("section.phone .outcomes [aria-pressed=true]").unwrap();

    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    let begun = events.iter().filter(|e| e["kind"] == "leg_started" && e["party"] == "agent").count();
    assert_eq!(begun, 2, "the agent's audio came twice");
    assert_eq!(
        sotto.api.client.get(&format!("/api/calls/{id}")).unwrap().json().unwrap()["call"]["outcome"]["outcome"],
        "Resolved"
    );
    assert_eq!(agent.errors().unwrap(), Vec::<String>::new());
}

#[test]
fn a_call_is_handed_over_after_a_talk_with_the_customer_on_hold() {
    let Some(sotto) = desk(&[]) else { return };
    let (mina, omid) = (("mina", "a long enough password"), ("omid", "a long enough password"));
    add_agent(&sotto, mina);
    add_agent(&sotto, omid);
    let mut first = ears::agent(&sotto, mina).unwrap();
    let customer = ears::customer(&sotto, 120).unwrap();
    first.accept().unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    until_heard(&mut [("customer", &mut || customer.heard().unwrap(), &[AGENT])]);

    // The third tone is the colleague's.
    let mut second = ears::page(&sotto, omid, SUPERVISOR).unwrap();
    second.ready().unwrap();
    first.press("t").unwrap();
    first.click("#transfer li:has-text('omid') button:has-text('Ask first')").unwrap();
    second.accept().unwrap();
    first.wait("section.phone button:has-text('Leave the call to omid')").unwrap();
    // The two hear each other, and not the customer.
    until_heard(&mut [
        ("first", &mut || first.heard(2).ok(), &[SUPERVISOR]),
        ("second", &mut || second.heard(2).ok(), &[AGENT]),
    ]);
    first.click("section.phone button:has-text('Leave the call to omid')").unwrap();
    first.wait("section.phone .outcomes").unwrap();
    until_heard(&mut [
        ("second", &mut || second.heard(2).ok(), &[CUSTOMER]),
        ("customer", &mut || customer.heard().unwrap(), &[SUPERVISOR]),
    ]);
    second.press("x").unwrap();
    second.wait("section.phone:not(.talking)").unwrap();

    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    let of = |kind: &str| events.iter().filter(|e| e["kind"] == kind).count();
    assert_eq!((of("paused"), of("resumed")), (1, 1));
    let last = events.iter().rfind(|e| e["kind"] == "participants").unwrap();
    let agents: Vec<&Value> = last["participants"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|p| p["party"] == "agent")
        .map(|p| &p["name"])
        .collect();
    assert_eq!(agents, [&json!("omid")]);
    assert_eq!((first.errors().unwrap(), second.errors().unwrap()), (Vec::new(), Vec::new()));
}

#[test]
fn a_call_that_nobody_takes_rings_outside() {
    let trunk = free_address().unwrap();
    let line = format!("trunk = {{ host = \"{trunk}\", user = \"1001\" }}");
    let Some(sotto) =
        desk_of("[{ number = \"100\", patience_s = 1, overflow = \"15550142\" }]", &[("desk", &line)])
    else {
        return;
    };
    let outside =
        Baresip::answer(trunk, "15550142", Codec::Pcmu, &Audio::tone(AGENT, 60).channels[0]).unwrap();
    let customer =
        Baresip::call(sotto.sip, "100", Codec::Pcmu, &Audio::tone(CUSTOMER, 15).channels[0], 60).unwrap();
    until_heard(&mut [
        ("outside", &mut || outside.heard().unwrap(), &[CUSTOMER]),
        ("customer", &mut || customer.heard().unwrap(), &[AGENT]),
    ]);
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    // The customer's words are said after 15 s, and the telephone outside is told.
    customer.finish().unwrap();
    outside.until_over().unwrap();
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    let legs: BTreeSet<&str> =
        events.iter().filter(|e| e["kind"] == "leg_started").filter_map(|e| e["party"].as_str()).collect();
    assert_eq!(legs, ["agent", "customer"].into());
}

#[test]
fn a_browser_that_only_a_relay_lets_out_talks_all_the_same() {
    let turn = Turn::start().unwrap();
    let lines = turn.only_way();
    let lines: Vec<(&str, &str)> =
        lines.iter().map(|(table, line)| (table.as_str(), line.as_str())).collect();
    let Some(sotto) = desk(&lines) else { return };
    let mut agent = ears::agent(&sotto, ADMIN).unwrap();
    let customer = ears::customer(&sotto, 60).unwrap();
    agent.accept().unwrap();
    ears::both_hear(&mut agent, &customer).unwrap();
    assert_eq!(agent.run("bench.way()").unwrap()["kind"], "relay");
    assert_eq!(agent.errors().unwrap(), Vec::<String>::new());
}

#[test]
fn a_call_that_nobody_takes_is_missed_and_called_back() {
    let trunk = free_address().unwrap();
    let line = format!("trunk = {{ host = \"{trunk}\", user = \"1001\" }}");
    let Some(sotto) = desk_of("[{ number = \"100\", patience_s = 2 }]", &[("desk", &line)]) else { return };
    // The caller gives up after three seconds; nobody was there.
    let caller =
        Baresip::call(sotto.sip, "100", Codec::Pcmu, &Audio::tone(CUSTOMER, 1).channels[0], 10).unwrap();
    assert!(caller.finish().is_err(), "nobody answered");
    let mut agent = ears::page(&sotto, ADMIN, AGENT).unwrap();
    let customer =
        Baresip::answer(trunk, "mina", Codec::Pcmu, &Audio::tone(CUSTOMER, 60).channels[0]).unwrap();
    agent.wait("[aria-labelledby=missed] li").unwrap();
    agent.shot(&shots("missed").join("missed.png")).unwrap();
    agent.click("[aria-labelledby=missed] button:has-text('Call back')").unwrap();
    agent.wait("section.phone .line.connected").unwrap();
    until_heard(&mut [("customer", &mut || customer.heard().unwrap(), &[AGENT])]);
    agent.press("x").unwrap();
    let missed = sotto.api.client.json("/api/missed").unwrap();
    assert_eq!(missed["missed"], json!([]));
    assert_eq!(agent.errors().unwrap(), Vec::<String>::new());
}

#[test]
fn a_call_rings_at_the_agent_whom_its_header_names_and_is_not_answered_without_them() {
    let Some(sotto) = desk(&[]) else { return };
    let (mina, omid) = (("mina", "a long enough password"), ("omid", "a long enough password"));
    add_agent(&sotto, mina);
    add_agent(&sotto, omid);
    let call = |agent: &str| {
        let (scenario, agent) = ("agent.xml".to_owned(), agent.to_owned());
        let sipp = Sipp { scenario, agent, ..Sipp::siprec(sotto.sip) };
        sipp.call(&Audio::tone(CUSTOMER, 12)).unwrap()
    };
    // The Request-URI is no number of ours, and neither of them is there.
    let refused = call("omid").finish().unwrap_err().to_string();
    assert!(refused.contains("SIP/2.0 480 Temporarily Unavailable"), "{refused}");
    assert_eq!(sotto.api.calls("live").unwrap(), Vec::<Value>::new());

    // Who has waited for longer is not rung.
    let mut first = ears::agent(&sotto, mina).unwrap();
    let mut second = ears::page(&sotto, omid, SUPERVISOR).unwrap();
    second.ready().unwrap();
    let customer = call("omid");
    second.accept().unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    until_heard(&mut [("second", &mut || second.heard(2).ok(), &[CUSTOMER])]);
    customer.finish().unwrap();
    second.wait("section.phone:not(.talking)").unwrap();
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    assert_eq!((first.errors().unwrap(), second.errors().unwrap()), (Vec::new(), Vec::new()));
}
