//! A call that Sotto carries, for the rows that look at one: a customer at a telephone (baresip) and an agent at a
//! browser (Chromium).

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sotto_tests::audio::Audio;
use sotto_tests::baresip::{Baresip, Codec, has_network};
use sotto_tests::browser::{Browser, Microphone, Packets};
use sotto_tests::script::Script;
use sotto_tests::server::Sotto;

/// The number that rings at agents.
const NUMBER: &str = "100";

/// For [`Setup::desk`](sotto_tests::server::Setup::desk).
pub const NUMBERS: &str = "[{ number = \"100\" }]";

/// Longer than anything in a call takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// See the module.
pub struct Carried {
    pub id: String,
    pub agent: Browser,
    pub customer: Baresip,
}

/// Packets at both ends at one moment.
#[derive(Clone, Copy)]
pub struct Flow {
    at_agent: Packets,
    at_customer: Packets,
}

/// Parts of what was sent that did not come, of 1.
#[derive(Clone, Copy)]
pub struct Missing {
    pub at_agent: f64,
    pub at_customer: f64,
}

impl Carried {
    /// The customer calls and speaks the samples (8 kHz), the agent takes the call.
    pub fn begin(server: &Sotto, agent: (&str, &str), says: Microphone, customer: &[i16]) -> Result<Self> {
        ensure!(has_network(), "baresip wants a network interface besides the loopback");
        let known: Vec<String> =
            server.api.calls("live")?.iter().filter_map(|c| Some(c["id"].as_str()?.to_owned())).collect();
        let mut agent = Browser::sign_in(server.http, agent, says)?;
        agent.ready()?;
        let seconds = customer.len() as u64 / 8_000 + 30;
        let customer = Baresip::call(server.sip, NUMBER, Codec::Pcmu, customer, seconds)?;
        agent.accept().with_context(|| customer.log())?;
        let id = server.api.next_live_call(&known, PATIENCE)?;
        Ok(Self { id, agent, customer })
    }

    /// A call in which both speak the demo conversation again and again for up to `seconds`.
    pub fn talk(server: &Sotto, agent: (&str, &str), seconds: usize) -> Result<Self> {
        let audio = Audio::read(&Script::support()?.audio)?;
        let [says, hears] = audio.channels.as_slice() else { anyhow::bail!("a call of two") };
        let customer: Vec<i16> = hears.iter().copied().cycle().take(seconds * 8_000).collect();
        let voice = Audio { rate: audio.rate, channels: vec![says.clone()] };
        let mut call = Self::begin(server, agent, Microphone::Tone(&voice), &customer)?;
        call.flows()?;
        Ok(call)
    }

    /// Waits until audio flows both ways from now on; how long that took.
    pub fn flows(&mut self) -> Result<Duration> {
        let (begun, before) = (Instant::now(), self.flow()?);
        loop {
            let now = self.flow()?;
            let came = |now: Packets, before: Packets| {
                // A new connection counts from 0.
                now.received > before.received + 10 || (now.received < before.received && now.received > 10)
            };
            if came(now.at_agent, before.at_agent) && came(now.at_customer, before.at_customer) {
                return Ok(begun.elapsed());
            }
            ensure!(begun.elapsed() < PATIENCE, "no audio\n{}", self.customer.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn flow(&mut self) -> Result<Flow> {
        Ok(Flow { at_agent: self.agent.packets()?, at_customer: self.customer.packets()? })
    }

    /// What did not come since then.
    pub fn missing_since(&mut self, then: Flow) -> Result<Missing> {
        let now = self.flow()?;
        let part = |sent: u64, sent_then: u64, came: u64, came_then: u64| {
            let (sent, came) = (sent.saturating_sub(sent_then), came.saturating_sub(came_then));
            ensure!(sent > 0, "nothing was sent");
            Ok((1.0 - came as f64 / sent as f64).max(0.0))
        };
        let (agent, customer) = (now.at_agent, now.at_customer);
        let (agent_then, customer_then) = (then.at_agent, then.at_customer);
        Ok(Missing {
            at_agent: part(customer.sent, customer_then.sent, agent.received, agent_then.received)?,
            at_customer: part(agent.sent, agent_then.sent, customer.received, customer_then.received)?,
        })
    }

    /// The agent hangs up.
    pub fn hang_up(mut self) -> Result<Browser> {
        self.agent.click("section.phone button.end")?;
        self.agent.wait("section.phone:not(.talking)")?;
        self.customer.until_over()?;
        Ok(self.agent)
    }
}
