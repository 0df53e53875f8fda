//! What is heard before a call is answered, and calls that are put through to others by the telephones outside.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sotto_tests::audio::Audio;
use sotto_tests::baresip::{Baresip, Codec};
use sotto_tests::browser::Browser;
use sotto_tests::ears;
use sotto_tests::server::{ADMIN, Sotto, free_address};
use sotto_tests::sipp::Sipp;

use crate::phone::{AGENT, CUSTOMER, SUPERVISOR, add_agent, desk_of, until_heard};
use crate::support::{PATIENCE, assert_ordered};

const NUMBERS: &str = "[{ number = \"100\" }]";

fn speaks(hz: u32) -> Vec<i16> {
    Audio::tone(hz, 120).channels.swap_remove(0)
}

/// To whom whose place in the call was given.
fn transfers(events: &[Value]) -> Vec<(&str, &str)> {
    let transfers = events.iter().filter(|e| e["kind"] == "transferred");
    transfers.filter_map(|e| Some((e["party"].as_str()?, e["to"].as_str()?))).collect()
}

#[test]
fn an_agent_hears_the_announcement_of_a_number_that_does_not_answer() {
    let trunk = free_address().unwrap();
    let line = format!("trunk = {{ host = \"{trunk}\", user = \"1001\" }}");
    let Some(sotto) = desk_of(NUMBERS, &[("desk", &line)]) else { return };
    let exchange = Sipp { scenario: "announcement.xml".into(), ..Sipp::siprec(trunk) };
    let exchange = exchange.answer(&Audio::tone(CUSTOMER, 8)).unwrap();
    let mut agent = ears::page(&sotto, ADMIN, AGENT).unwrap();
    agent.fill("section.phone .dial input", "15550142").unwrap();
    agent.click("section.phone .dial button").unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    until_heard(&mut [("agent", &mut || agent.heard(2).ok(), &[CUSTOMER])]);
    // Then it is refused.
    agent.wait("section.phone:not(.talking)").unwrap();
    exchange.finish().unwrap();
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    let of_customer = events.iter().filter(|e| e["kind"] == "leg_started" && e["party"] == "customer");
    assert_eq!(of_customer.count(), 0, "nobody was there");
    let recording = tempfile::tempdir().unwrap();
    let file = recording.path().join("call.wav");
    sotto.api.recording(&id, &file).unwrap();
    let kept = Audio::read(&file).unwrap();
    let loudest =
        (0..kept.channels.len()).map(|n| kept.loudness(n, 0, kept.duration_ms())).fold(0.0, f64::max);
    assert!(loudest < 0.001, "what came before the answer is not kept: {loudest}");
    assert_eq!(agent.errors().unwrap(), Vec::<String>::new());
}

#[test]
fn a_caller_hears_music_until_an_agent_is_there() {
    let Some(sotto) = desk_of("[{ number = \"100\", waiting = \"music\" }]", &[]) else { return };
    let mut agent = ears::page(&sotto, ADMIN, AGENT).unwrap();
    let customer = ears::customer(&sotto, 120).unwrap();
    let until = Instant::now() + PATIENCE;
    let loudness = |heard: &Audio| heard.loudness(0, heard.duration_ms() - 1_000, heard.duration_ms());
    while !customer.heard().unwrap().is_some_and(|a| a.duration_ms() > 1_500 && loudness(&a) > 0.01) {
        assert!(Instant::now() < until, "no music\n{}", customer.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!customer.log().contains("Call established"));
    assert_eq!(sotto.api.calls("live").unwrap(), Vec::<Value>::new());
    // Who takes calls is rung at once: somebody waits.
    agent.click("section.phone > button.action:not([aria-controls])").unwrap();
    agent.accept().unwrap();
    ears::both_hear(&mut agent, &customer).unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    agent.press("x").unwrap();
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    assert_eq!(agent.errors().unwrap(), Vec::<String>::new());
}

#[test]
fn a_customer_puts_the_agent_through_to_somebody_else() {
    let trunk = free_address().unwrap();
    let line = format!("trunk = {{ host = \"{trunk}\", user = \"1001\" }}");
    let Some(sotto) = desk_of(NUMBERS, &[("desk", &line)]) else { return };
    let mut agent = ears::agent(&sotto, ADMIN).unwrap();
    let customer = ears::customer(&sotto, 120).unwrap();
    agent.accept().unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    until_heard(&mut [("customer", &mut || customer.heard().unwrap(), &[AGENT])]);
    let somebody = Baresip::answer(trunk, "15550142", Codec::Pcmu, &speaks(SUPERVISOR)).unwrap();
    customer.transfer(&format!("sip:15550142@{trunk}")).unwrap();
    until_heard(&mut [
        ("agent", &mut || agent.heard(2).ok(), &[SUPERVISOR]),
        ("somebody", &mut || somebody.heard().unwrap(), &[AGENT]),
    ]);
    customer.finish().unwrap();
    agent.press("x").unwrap();
    somebody.until_over().unwrap();
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    assert_eq!(transfers(&events), [("customer", "15550142")]);
    let last = events.iter().rfind(|e| e["kind"] == "participants").unwrap();
    let is_somebody = |p: &Value| p["party"] == "customer" && p["aor"] == json!("sip:15550142");
    assert!(last["participants"].as_array().unwrap().iter().any(is_somebody), "{last}");
    assert_eq!(agent.errors().unwrap(), Vec::<String>::new());
}

#[test]
fn a_telephone_in_the_agents_place_puts_the_customer_through() {
    let trunk = free_address().unwrap();
    let line = format!("trunk = {{ host = \"{trunk}\", user = \"1001\" }}");
    let numbers = "[{ number = \"100\", patience_s = 1, overflow = \"15550142\" }]";
    let Some(sotto) = desk_of(numbers, &[("desk", &line)]) else { return };
    // Answers any number, one call after the other.
    let outside = Baresip::answer(trunk, "15550142", Codec::Pcmu, &speaks(AGENT)).unwrap();
    let customer = ears::customer(&sotto, 120).unwrap();
    until_heard(&mut [("customer", &mut || customer.heard().unwrap(), &[AGENT])]);
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    outside.transfer("sip:15550142@pbx.example").unwrap();
    outside.until_over().unwrap();
    let both = Instant::now() + PATIENCE;
    loop {
        let events = sotto.api.events(&id).unwrap();
        if transfers(&events) == [("agent", "15550142")] {
            break;
        }
        assert!(Instant::now() < both, "{events:?}\n{}", outside.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    until_heard(&mut [("customer", &mut || customer.heard().unwrap(), &[AGENT])]);
    drop(outside);
    drop(customer);
}

#[test]
fn a_call_that_is_handed_on_leaves_us() {
    let trunk = free_address().unwrap();
    let line = format!("trunk = {{ host = \"{trunk}\", user = \"1001\", refer = true }}");
    let Some(sotto) = desk_of(NUMBERS, &[("desk", &line)]) else { return };
    let mut agent = ears::agent(&sotto, ADMIN).unwrap();
    let customer = ears::customer(&sotto, 120).unwrap();
    agent.accept().unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    until_heard(&mut [("customer", &mut || customer.heard().unwrap(), &[AGENT])]);
    let outside = Baresip::answer(trunk, "15550142", Codec::Pcmu, &speaks(SUPERVISOR)).unwrap();
    agent.press("t").unwrap();
    agent.fill("#transfer input", "15550142").unwrap();
    agent.click("#transfer form button:has-text('Hand over')").unwrap();
    agent.wait("section.phone:not(.talking)").unwrap();
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    assert_eq!(transfers(&events), [("agent", "15550142")]);
    // The two talk on without us.
    until_heard(&mut [("outside", &mut || outside.heard().unwrap(), &[CUSTOMER])]);
    assert_eq!(agent.errors().unwrap(), Vec::<String>::new());
}

#[test]
fn a_call_goes_to_a_telephone_outside_although_every_number_is_put_through() {
    let trunk = free_address().unwrap();
    let line = format!("trunk = {{ host = \"{trunk}\", user = \"1001\" }}");
    let Some(sotto) = desk_of("[{ number = \"*\" }]", &[("desk", &line)]) else { return };
    let mut agent = ears::agent(&sotto, ADMIN).unwrap();
    let customer = ears::customer(&sotto, 120).unwrap();
    agent.accept().unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    let outside = Baresip::answer(trunk, "15550142", Codec::Pcmu, &speaks(SUPERVISOR)).unwrap();
    agent.press("t").unwrap();
    agent.fill("#transfer input", "15550142").unwrap();
    agent.click("#transfer form button:has-text('Hand over')").unwrap();
    until_heard(&mut [
        ("outside", &mut || outside.heard().unwrap(), &[CUSTOMER]),
        ("customer", &mut || customer.heard().unwrap(), &[SUPERVISOR]),
    ]);
    customer.hang_up().unwrap();
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    assert_eq!(transfers(&events), [("agent", "15550142")]);
    assert_eq!(agent.errors().unwrap(), Vec::<String>::new());
}

const MINA: (&str, &str) = ("mina", "a long enough password");
const OMID: (&str, &str) = ("omid", "a long enough password");

/// A customer's call that mina has handed over to omid, and has left while it rings there.
struct Left {
    id: String,
    customer: Baresip,
    mina: Browser,
    omid: Browser,
}

fn left_to_a_colleague(sotto: &Sotto) -> Left {
    add_agent(sotto, MINA);
    add_agent(sotto, OMID);
    let mut mina = ears::agent(sotto, MINA).unwrap();
    let customer = ears::customer(sotto, 120).unwrap();
    mina.accept().unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    let mut omid = ears::page(sotto, OMID, SUPERVISOR).unwrap();
    omid.ready().unwrap();
    mina.press("t").unwrap();
    mina.click("#transfer li:has-text('omid') button:has-text('Hand over')").unwrap();
    omid.wait("section.phone.ringing").unwrap();
    mina.press("x").unwrap();
    Left { id, customer, mina, omid }
}

#[test]
fn a_customer_waits_for_the_colleague_when_the_agent_hangs_up_while_it_rings_there() {
    let Some(sotto) = desk_of(NUMBERS, &[]) else { return };
    let Left { id, customer, mina: mut first, omid: mut second } = left_to_a_colleague(&sotto);
    // Whoever had the call says how it came out, while it goes on.
    first.click("section.phone .outcomes button:has-text('Call back')").unwrap();
    first.wait("section.phone .outcomes [aria-pressed=true]").unwrap();
    second.accept().unwrap();
    until_heard(&mut [
        ("second", &mut || second.heard(2).ok(), &[CUSTOMER]),
        ("customer", &mut || customer.heard().unwrap(), &[SUPERVISOR]),
    ]);
    second.press("x").unwrap();
    second.wait("section.phone:not(.talking)").unwrap();
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    assert_eq!(transfers(&events), [("agent", "omid")]);
    let of = |kind: &str| events.iter().filter(|e| e["kind"] == kind).count();
    assert_eq!((of("paused"), of("resumed")), (1, 1), "music from the hand-over to the answer");
    assert_eq!((first.errors().unwrap(), second.errors().unwrap()), (Vec::new(), Vec::new()));
}

#[test]
fn a_customer_whom_nobody_takes_over_goes_back_to_the_number_they_called() {
    let Some(sotto) = desk_of(NUMBERS, &[("desk", "wrap_up_s = 0")]) else { return };
    let Left { id, customer, mina: mut first, omid: mut second } = left_to_a_colleague(&sotto);
    first.wait("section.phone:not(.talking)").unwrap();
    second.press("r").unwrap();
    // Whoever is ready is rung, as for every caller.
    first.accept().unwrap();
    ears::both_hear(&mut first, &customer).unwrap();
    first.press("x").unwrap();
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    assert_eq!(transfers(&events), [("agent", "mina")]);
    assert_eq!((first.errors().unwrap(), second.errors().unwrap()), (Vec::new(), Vec::new()));
}
