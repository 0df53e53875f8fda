//! Who hears whom in a call: everybody speaks a tone of their own, and what everybody hears is looked at.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::audio::Audio;
use crate::baresip::{Baresip, Codec};
use crate::browser::{Browser, Microphone};
use crate::server::{ADMIN, Sotto};

/// The agent's tone, in hertz.
pub const AGENT: u32 = 500;
/// The customer's.
pub const CUSTOMER: u32 = 800;
/// A supervisor's.
pub const SUPERVISOR: u32 = 1250;
/// Of two more supervisors. No tone is what clipping makes of others (2a ± b, a + b - c).
const OTHERS: [u32; 2] = [1900, 2700];

/// The browser of somebody who speaks a tone of their own.
///
/// # Errors
/// When Chromium does not start, or the page does not let them in.
pub fn page(sotto: &Sotto, who: (&str, &str), hz: u32) -> Result<Browser> {
    Browser::sign_in(sotto.http, who, Microphone::Tone(&Audio::tone(hz, 2)))
}

/// The same of an agent who is rung from now on.
///
/// # Errors
/// As [`page`].
pub fn agent(sotto: &Sotto, who: (&str, &str)) -> Result<Browser> {
    let mut agent = page(sotto, who, AGENT)?;
    agent.ready()?;
    Ok(agent)
}

/// A customer's telephone, which calls the number 100 and speaks for so many seconds.
///
/// # Errors
/// When baresip is not installed.
pub fn customer(sotto: &Sotto, seconds: u32) -> Result<Baresip> {
    let speech = &Audio::tone(CUSTOMER, seconds).channels[0];
    Baresip::call(sotto.sip, "100", Codec::Pcmu, speech, seconds.into())
}

/// Louder is there, as the amplitude of a tone.
const THERE: f64 = 0.03;

/// Someone who hears: their name, what they have heard of late, and whose tones that should be.
pub type Ear<'a> = (&'static str, &'a mut dyn FnMut() -> Option<Audio>, &'a [u32]);

/// Whose tones the quarters of the last second consist of; none when less than that was heard.
fn tones(heard: Option<Audio>) -> Vec<BTreeSet<u32>> {
    let Some(heard) = heard.filter(|heard| heard.duration_ms() >= 1000) else { return Vec::new() };
    let from = heard.duration_ms() - 1000;
    let within = |from: u64| {
        let all = [AGENT, CUSTOMER, SUPERVISOR].into_iter().chain(OTHERS);
        all.filter(|hz| heard.tone_level(0, *hz, from, from + 250) > THERE).collect()
    };
    (0..4).map(|n| within(from + n * 250)).collect()
}

/// Waits until everyone has heard just these for a second; how long that took.
///
/// # Errors
/// When it is not so within a minute, with what is heard instead, a quarter of a second at a time.
pub fn until_heard(ears: &mut [Ear]) -> Result<Duration> {
    let begun = Instant::now();
    loop {
        let now: Vec<_> = ears.iter_mut().map(|(_, heard, _)| tones(heard())).collect();
        let is_right = |(_, _, wanted): &Ear, now: &Vec<BTreeSet<u32>>| {
            now.len() == 4 && now.iter().all(|quarter| *quarter == wanted.iter().copied().collect())
        };
        if ears.iter().zip(&now).all(|(ear, now)| is_right(ear, now)) {
            return Ok(begun.elapsed());
        }
        let who: Vec<_> = ears.iter().zip(&now).map(|((who, _, wanted), now)| (who, wanted, now)).collect();
        ensure!(begun.elapsed() < Duration::from_secs(60), "who, should hear, hears: {who:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Waits until an agent and a customer hear each other, and nobody else; how long that took.
///
/// # Errors
/// As [`until_heard`].
pub fn both_hear(agent: &mut Browser, customer: &Baresip) -> Result<Duration> {
    until_heard(&mut [
        ("agent", &mut || agent.heard(2).ok(), &[CUSTOMER]),
        ("customer", &mut || customer.heard().ok().flatten(), &[AGENT]),
    ])
}

/// A supervisor who comes to a call: by what button, with what tone; and what everybody hears from then on.
struct Arrival<'a> {
    name: &'a str,
    button: &'a str,
    hz: u32,
    by_agent: &'a [u32],
    by_customer: &'a [u32],
    by_supervisors: [&'a [u32]; 3],
}

/// A call to the server's number 100, to which three supervisors come: one listens, one whispers, one barges. Waits
/// until everybody hears whom they should and nobody else, after each has come, and when all have left again.
///
/// # Errors
/// When somebody hears something else, or the pages are not as they should be.
pub fn three_supervisors(sotto: &Sotto) -> Result<()> {
    const PASSWORD: &str = "a long enough password";
    let mina = ("mina", PASSWORD);
    sotto.add_user(mina, "agent")?;
    let mut agent = agent(sotto, mina)?;
    let customer = customer(sotto, 300)?;
    agent.accept()?;
    let id = sotto.api.next_live_call(&[], Duration::from_secs(60))?;

    let (listener, whisperer, barger) = (SUPERVISOR, OTHERS[0], OTHERS[1]);
    let both = [AGENT, CUSTOMER];
    let arrivals = [
        Arrival {
            name: ADMIN.0,
            button: "Listen",
            hz: listener,
            by_agent: &[CUSTOMER],
            by_customer: &[AGENT],
            by_supervisors: [&both, &[], &[]],
        },
        Arrival {
            name: "vera",
            button: "Whisper",
            hz: whisperer,
            by_agent: &[CUSTOMER, whisperer],
            by_customer: &[AGENT],
            by_supervisors: [&[AGENT, CUSTOMER, whisperer], &both, &[]],
        },
        Arrival {
            name: "omid",
            button: "Barge",
            hz: barger,
            by_agent: &[CUSTOMER, whisperer, barger],
            by_customer: &[AGENT, barger],
            by_supervisors: [
                &[AGENT, CUSTOMER, whisperer, barger],
                &[AGENT, CUSTOMER, barger],
                &[AGENT, CUSTOMER, whisperer],
            ],
        },
    ];
    let mut supervisors = Vec::new();
    for Arrival { name, button, hz, by_agent, by_customer, by_supervisors } in arrivals {
        let who = if name == ADMIN.0 {
            ADMIN
        } else {
            let who = (name, PASSWORD);
            sotto.add_user(who, "supervisor")?;
            who
        };
        let mut supervisor = page(sotto, who, hz)?;
        supervisor.open(&format!("/#/calls/{id}"))?;
        supervisor.click(&format!(".supervise button:has-text('{button}')"))?;
        supervisor.wait(&format!(".supervise [aria-pressed=true]:has-text('{button}')"))?;
        supervisors.push(supervisor);

        let mut agents = || agent.heard(2).ok();
        let mut customers = || customer.heard().ok().flatten();
        let mut theirs: Vec<_> = supervisors.iter_mut().map(|one| || one.heard(2).ok()).collect();
        let mut ears: Vec<Ear> =
            vec![("agent", &mut agents, by_agent), ("customer", &mut customers, by_customer)];
        let names = ["who listens", "who whispers", "who barges"];
        for ((ear, name), hears) in theirs.iter_mut().zip(names).zip(by_supervisors) {
            ears.push((name, ear, hears));
        }
        until_heard(&mut ears)?;
    }
    for mut supervisor in supervisors {
        supervisor.click(".supervise button.plain")?;
        supervisor.wait(".supervise:not(:has([aria-pressed=true]))")?;
        ensure!(supervisor.errors()?.is_empty(), "a supervisor's page: {:?}", supervisor.errors()?);
    }
    both_hear(&mut agent, &customer)?;
    ensure!(agent.errors()?.is_empty(), "the agent's page: {:?}", agent.errors()?);
    Ok(())
}
