//! Ways between an agent's browser and us: how soon the two hear each other after the call is taken, after the page was
//! loaded anew, after the browser has changed its network, and through a relay alone.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;
use sotto_tests::audio::Audio;
use sotto_tests::baresip::{Baresip, Codec};
use sotto_tests::browser::{Browser, Microphone};
use sotto_tests::network::Network;
use sotto_tests::proxy::Proxy;
use sotto_tests::server::{ADMIN, Setup, Sotto};
use sotto_tests::turn::Turn;

use super::Figure;
use super::carried::{NUMBERS, PATIENCE};
use super::setup::Bench;

/// Hertz of the agent's tone, which the customer hears.
const AGENT: u32 = 500;
const CUSTOMER: u32 = 800;
/// How long a customer waits for an agent whose browser is gone, in milliseconds: what comes later comes to nobody.
const GRACE_MS: f64 = 15_000.0;

pub fn measure(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let runs = if bench.quick { 1 } else { 5 };
    let tone = Audio::tone(AGENT, 2);
    let says = Microphone::Tone(&tone);

    let (mut accept, mut reload) = (Times::default(), Times::default());
    let server = bench.server_with(&Setup::desk(NUMBERS))?;
    for _ in 0..runs {
        let mut call = Call::ring(&server, Browser::sign_in(server.http, ADMIN, says)?)?;
        accept.add(call.accept(&server)?);
        let begun = Instant::now();
        call.agent.reload()?;
        reload.add(call.heard_since(begun, None)?);
        call.is_the_same(&server)?;
        call.hang_up()?;
    }
    accept.tell("accept", sink);
    reload.tell("reload", sink);

    let mut switch = Times::default();
    for _ in 0..runs {
        let network = Network::with_two_ways()?;
        let server = bench.server_with(&Setup::desk_at(IpAddr::V4(network.here), NUMBERS))?;
        let page = Proxy::on(SocketAddr::new(network.here.into(), 0), server.http)?;
        let mut call = Call::ring(&server, Browser::sign_in_from(&network, page.address, ADMIN, says)?)?;
        call.accept(&server)?;
        let before = call.agent.run("bench.way()")?["address"].take();
        network.cut_first()?;
        switch.add(call.heard_since(Instant::now(), Some(&before))?);
        call.is_the_same(&server)?;
        call.hang_up()?;
    }
    switch.tell("switch", sink);

    let mut relay = Times::default();
    let turn = Turn::start()?;
    let mut setup = Setup::desk(NUMBERS);
    setup.more.extend(turn.only_way());
    let server = bench.server_with(&setup)?;
    for _ in 0..runs {
        let mut call = Call::ring(&server, Browser::sign_in(server.http, ADMIN, says)?)?;
        relay.add(call.accept(&server)?);
        let way = call.agent.run("bench.way()")?;
        ensure!(way["kind"] == "relay", "not through the relay: {way}");
        call.hang_up()?;
    }
    relay.tell("relay", sink);
    Ok(())
}

/// Milliseconds until the agent heard the customer, and until the customer heard the agent.
#[derive(Default)]
struct Times {
    by_agent: Vec<f64>,
    by_customer: Vec<f64>,
}

impl Times {
    fn add(&mut self, (by_agent, by_customer): (Duration, Duration)) {
        self.by_agent.push(by_agent.as_millis() as f64);
        self.by_customer.push(by_customer.as_millis() as f64);
    }

    fn tell(mut self, what: &str, sink: &mut dyn FnMut(Figure)) {
        for (who, times) in [("agent", &mut self.by_agent), ("customer", &mut self.by_customer)] {
            times.sort_by(f64::total_cmp);
            let (middle, worst) = (times.get(times.len() / 2).copied(), times.last().copied());
            sink(Figure::reported(
                &format!("paths.{what}.{who}_hears_p50"),
                middle.unwrap_or(f64::NAN),
                "ms",
            ));
            sink(Figure::at_most(
                &format!("paths.{what}.{who}_hears_worst"),
                worst.unwrap_or(f64::NAN),
                "ms",
                GRACE_MS,
            ));
        }
    }
}

struct Call {
    agent: Browser,
    customer: Baresip,
    /// Calls that were there before.
    known: Vec<String>,
    id: String,
}

/// Ids of the calls that go on.
fn live(server: &Sotto) -> Result<Vec<String>> {
    let live = server.api.calls("live")?;
    Ok(live.iter().filter_map(|call| Some(call["id"].as_str()?.to_owned())).collect())
}

impl Call {
    /// A customer's call rings at the agent.
    fn ring(server: &Sotto, mut agent: Browser) -> Result<Self> {
        agent.ready()?;
        let known = live(server)?;
        let tone = Audio::tone(CUSTOMER, 120).channels.pop().unwrap_or_default();
        let customer = Baresip::call(server.sip, "100", Codec::Pcmu, &tone, 120)?;
        agent.wait("section.phone.ringing")?;
        Ok(Self { agent, customer, known, id: String::new() })
    }

    /// The agent takes it: how long until the two hear each other.
    fn accept(&mut self, server: &Sotto) -> Result<(Duration, Duration)> {
        let begun = Instant::now();
        self.agent.press("a")?;
        let heard = self.heard_since(begun, None)?;
        self.agent.wait("section.phone .line.connected")?;
        self.id = server.api.next_live_call(&self.known, PATIENCE)?;
        Ok(heard)
    }

    /// How long it is since `begun` until each hears the other, the agent not `by` the way from before.
    fn heard_since(&mut self, begun: Instant, by: Option<&Value>) -> Result<(Duration, Duration)> {
        let (mut by_agent, mut by_customer, mut then) = (None, None, None);
        loop {
            if by_agent.is_none() && self.is_elsewhere(by)? {
                // What had come by the way from before counts for nothing; another connection counts from 0.
                let received = self.agent.packets()?.received;
                let least = then.get_or_insert(received);
                *least = received.min(*least);
                if received > *least {
                    by_agent = Some(begun.elapsed());
                }
            }
            // What was on its way is not what is heard now.
            if by_customer.is_none()
                && begun.elapsed() > Duration::from_millis(300)
                && self.customer_hears()?
            {
                by_customer = Some(begun.elapsed());
            }
            if let (Some(by_agent), Some(by_customer)) = (by_agent, by_customer) {
                return Ok((by_agent, by_customer));
            }
            ensure!(
                begun.elapsed() < PATIENCE,
                "no audio: {by_agent:?} {by_customer:?}\n{}",
                self.customer.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn is_elsewhere(&mut self, from: Option<&Value>) -> Result<bool> {
        let Some(from) = from else { return Ok(true) };
        let now = self.agent.run("bench.way()")?["address"].take();
        Ok(!now.is_null() && now != *from)
    }

    /// The last tenth of a second at the customer's is the agent's tone.
    fn customer_hears(&self) -> Result<bool> {
        let Some(heard) = self.customer.heard()? else { return Ok(false) };
        let end = heard.duration_ms();
        Ok(end > 100 && heard.tone_level(0, AGENT, end - 100, end) > 0.03)
    }

    /// No other call has begun in place of this one.
    fn is_the_same(&self, server: &Sotto) -> Result<()> {
        let now = live(server)?;
        ensure!(now.iter().all(|id| self.known.contains(id) || *id == self.id), "another call: {now:?}");
        ensure!(now.contains(&self.id), "the call is over");
        Ok(())
    }

    fn hang_up(mut self) -> Result<()> {
        self.agent.click("section.phone button.end")?;
        self.agent.wait("section.phone:not(.talking)")?;
        self.customer.until_over()
    }
}
