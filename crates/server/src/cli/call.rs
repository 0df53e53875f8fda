//! `sotto call`: a session border controller of one's own, to try an installation with.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use sotto_sip::client::{Caller, Outgoing, Speaker, Via};

use crate::player::Recording;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Transport {
    Udp,
    Tcp,
}

/// Places a SIPREC call (RFC 7866) with a recorded two-channel conversation in real time: left is the agent,
/// right the customer.
#[derive(Debug, Args)]
pub(crate) struct Call {
    /// The recording, WAV or FLAC.
    file: PathBuf,
    /// Where to: `sip:127.0.0.1:5060`.
    #[arg(long, value_name = "URI")]
    to: String,
    /// How signalling travels.
    #[arg(long, value_enum, default_value = "udp")]
    transport: Transport,
    /// The agent's address of record.
    #[arg(long, default_value = "sip:1002@pbx.example")]
    agent: String,
    /// The customer's address of record.
    #[arg(long, default_value = "sip:15550100@trunk.example")]
    customer: String,
    /// The name to give when a password is asked for.
    #[arg(long)]
    user: Option<String>,
    /// The password.
    #[arg(long, env = "SOTTO_CALL_PASSWORD", hide_env_values = true, default_value = "")]
    password: String,
    /// Language spoken, told in the header `X-Sotto-Language`.
    #[arg(long)]
    language: Option<String>,
}

impl Call {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let recording = Recording::open(&self.file)?;
        if recording.channels.len() != 2 {
            bail!("{} has one channel; a recording session needs both parties", self.file.display());
        }
        let peer = peer(&self.to).await?;
        let speaker = |aor: &str, name: &str| Speaker { aor: aor.to_owned(), name: name.to_owned() };
        let mut outgoing =
            Outgoing::recording(&self.to, speaker(&self.agent, "Agent"), speaker(&self.customer, "Customer"));
        outgoing.via = match self.transport {
            Transport::Udp => Via::Udp,
            Transport::Tcp => Via::Tcp,
        };
        outgoing.login = self.user.map(|user| (user, self.password));
        outgoing.headers.extend(self.language.map(|language| ("X-Sotto-Language".to_owned(), language)));
        let caller = Caller::towards(peer).await?;
        let mut call = caller.call(&outgoing).await.with_context(|| format!("calling {}", self.to))?;
        eprintln!("answered; {} s of conversation follow", recording.duration().as_secs());
        let finished = call.play(&recording.channels).await?;
        if !finished {
            bail!("the other side hung up");
        }
        call.hang_up().await?;
        caller.close();
        Ok(())
    }
}

/// The address behind a SIP URI.
async fn peer(uri: &str) -> anyhow::Result<IpAddr> {
    let rest = uri.strip_prefix("sip:").with_context(|| format!("{uri} is not a SIP URI"))?;
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let host = host.split([';', '?']).next().unwrap_or(host);
    let has_port = host.rsplit_once(':').is_some_and(|(before, port)| {
        port.parse::<u16>().is_ok() && (!before.contains(':') || before.ends_with(']'))
    });
    let address = if has_port { host.to_owned() } else { format!("{host}:5060") };
    let mut found = tokio::net::lookup_host(&address).await.with_context(|| format!("looking {host} up"))?;
    Ok(found.next().with_context(|| format!("{host} has no address"))?.ip())
}
