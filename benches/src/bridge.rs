//! A bridge between two telephones: how long a packet takes from one socket to the other, and what a call costs.
//!
//! All legs run on one thread, whose processor time is read from the kernel; the telephones run on another.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use sotto_audio::{Codec, ring};
use sotto_media::{Bridge, CallClock, Leg, LegConfig, LegFormat, LegOutputs, Ports, Role, SenderConfig};
use tokio::sync::mpsc;

use crate::processor::{Whose, processor_time};
use crate::telephones::{Talked, Telephone, WARM_UP, talk};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// The packets.
    pub talked: Talked,
    /// Processor time of the legs' thread, as a share of the time.
    pub busy: f64,
}

/// Runs so many calls, each of a telephone that speaks G.711 and one that speaks `codec`.
///
/// # Errors
/// When sockets or threads cannot be had.
pub fn run(calls: usize, codec: Codec, time: Duration) -> Result<Outcome> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(calls, codec, time))
}

async fn measure(calls: usize, codec: Codec, time: Duration) -> Result<Outcome> {
    let ports = Ports::new(HERE, 50_000..=59_999);
    let (mut legs, mut telephones) = (Vec::new(), Vec::new());
    let bridges: Vec<Bridge> = (0..calls).map(|_| Bridge::default()).collect();
    for bridge in &bridges {
        let mut pair = Vec::new();
        for (role, codec) in [(Role::Customer, Codec::Pcmu), (Role::Agent, codec)] {
            let socket = ports.reserve().await?;
            pair.push(Telephone { socket: UdpSocket::bind((HERE, 0))?, to: socket.local_addr(), codec });
            let format = LegFormat {
                payloads: vec![(SenderConfig::new(codec).payload_type, codec)],
                telephone_event: None,
                ptime_ms: Some(20),
                srtp: None,
            };
            let (speech, recording) = (ring(40).0, ring(40).0);
            let outputs = LegOutputs { speech, recording, bridge: Some(bridge.join(role).1) };
            let (events, _) = mpsc::channel(1);
            let config = LegConfig::default();
            legs.push(Leg::start(socket, format, None, CallClock::start(), outputs, events, config));
        }
        telephones.push(pair);
    }
    // A name of its own, so that a profile tells it from the legs.
    let talking =
        std::thread::Builder::new().name("telephones".into()).spawn(move || talk(telephones, time))?;
    tokio::time::sleep(WARM_UP).await;
    let before = (processor_time(Whose::Ours)?, Instant::now());
    tokio::time::sleep(time.saturating_sub(Duration::from_millis(100))).await;
    let after = (processor_time(Whose::Ours)?, Instant::now());
    let joined = tokio::task::spawn_blocking(move || talking.join()).await?;
    let talked = joined.map_err(|_| anyhow!("a telephone panicked"))??;
    for leg in legs {
        leg.stop().await;
    }
    let busy = (after.0 - before.0).as_secs_f64() / (after.1 - before.1).as_secs_f64();
    Ok(Outcome { talked, busy })
}
