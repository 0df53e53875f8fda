//! A bridge between two telephones: how long a packet takes from one socket to the other, and what a call costs.
//!
//! All legs run on one thread, whose processor time is read from the kernel; the telephones run on another. A delay
//! is from the telephone that sends to the telephone that receives, system calls and wake-ups of both included.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use sotto_audio::{Codec, FRAME_SAMPLES, ring};
use sotto_media::rtp::Header;
use sotto_media::{
    Bridge, CallClock, Leg, LegConfig, LegFormat, LegOutputs, Packetizer, Ports, Role, SenderConfig,
};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use crate::media::processor_time;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const FRAME: Duration = Duration::from_millis(20);
/// Packets until wires are laid and sources known.
const WARM_UP: usize = 50;

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Half of the packets were faster.
    pub p50: Duration,
    /// All but one in a hundred were faster.
    pub p99: Duration,
    /// Packets that arrived, both ways.
    pub packets: usize,
    /// Packets that were sent and did not.
    pub missing: usize,
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
            pair.push((socket.local_addr(), codec));
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
    let frames = WARM_UP + (time.as_millis() / FRAME.as_millis()) as usize;
    let talking = std::thread::spawn(move || -> Result<Vec<Duration>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(runtime.block_on(talk(telephones, frames)))
    });
    tokio::time::sleep(FRAME * WARM_UP as u32).await;
    let before = (processor_time()?, Instant::now());
    tokio::time::sleep(time.saturating_sub(Duration::from_millis(100))).await;
    let after = (processor_time()?, Instant::now());
    let joined = tokio::task::spawn_blocking(move || talking.join()).await?;
    let mut delays = joined.map_err(|_| anyhow!("a telephone panicked"))??;
    for leg in legs {
        leg.stop().await;
    }
    delays.sort_unstable();
    let at = |share: f64| delays.get((delays.len() as f64 * share) as usize).copied().unwrap_or_default();
    Ok(Outcome {
        p50: at(0.5),
        p99: at(0.99),
        packets: delays.len(),
        missing: (2 * calls * (frames - WARM_UP)).saturating_sub(delays.len()),
        busy: (after.0 - before.0).as_secs_f64() / (after.1 - before.1).as_secs_f64(),
    })
}

/// When each packet was sent, in nanoseconds since the beginning.
type Sent = Arc<Vec<AtomicU64>>;

async fn talk(calls: Vec<Vec<(SocketAddr, Codec)>>, frames: usize) -> Vec<Duration> {
    let begun = Instant::now();
    let count = calls.len().max(1) as u32;
    let mut telephones = Vec::new();
    for (n, call) in calls.into_iter().enumerate() {
        let sent: Vec<Sent> =
            call.iter().map(|_| Arc::new((0..frames).map(|_| AtomicU64::new(0)).collect())).collect();
        for (side, (to, codec)) in call.into_iter().enumerate() {
            // Spread over the 20 ms, as calls are.
            let first = begun + FRAME * n as u32 / count;
            let (own, others) = (sent[side].clone(), sent[1 - side].clone());
            telephones.push(tokio::spawn(telephone(to, codec, begun, first, own, others)));
        }
    }
    let mut delays = Vec::new();
    for telephone in telephones {
        delays.extend(telephone.await.ok().and_then(Result::ok).unwrap_or_default());
    }
    delays
}

async fn telephone(
    to: SocketAddr,
    codec: Codec,
    begun: Instant,
    first: Instant,
    sent: Sent,
    others: Sent,
) -> Result<Vec<Duration>> {
    let socket = UdpSocket::bind((HERE, 0)).await?;
    socket.connect(to).await?;
    let mut packetizer = Packetizer::new(SenderConfig::new(codec))?;
    let samples: Vec<f32> = (0..FRAME_SAMPLES).map(|n| (n as f32 * 0.1).sin() * 0.3).collect();
    let speaking = async {
        for (n, sent) in sent.iter().enumerate() {
            tokio::time::sleep_until((first + FRAME * n as u32).into()).await;
            let mut datagram = Vec::new();
            packetizer.audio(&samples, &mut datagram)?;
            sent.store(begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
            socket.send(&datagram).await?;
        }
        tokio::time::sleep(FRAME * 10).await;
        anyhow::Ok(())
    };
    let mut delays = Vec::with_capacity(others.len());
    let listening = async {
        let mut packet = [0; 1_500];
        let mut base = None;
        while let Ok(length) = socket.recv(&mut packet).await {
            let now = begun.elapsed().as_nanos() as u64;
            let Ok((header, _)) = Header::parse(&packet[..length]) else { continue };
            if (72..96).contains(&header.payload_type) {
                continue;
            }
            // The first that comes is the one sent last: nothing waits in a bridge.
            let place = match base {
                Some((sequence, place)) => place + usize::from(header.sequence.wrapping_sub(sequence)),
                None => {
                    let latest = others.iter().rposition(|at| at.load(Ordering::Relaxed) > 0).unwrap_or(0);
                    base = Some((header.sequence, latest));
                    latest
                }
            };
            if let Some(at) = others.get(place).filter(|_| place >= WARM_UP) {
                delays.push(Duration::from_nanos(now.saturating_sub(at.load(Ordering::Relaxed))));
            }
        }
    };
    tokio::select! {
        spoken = speaking => spoken?,
        () = listening => {}
    }
    Ok(delays)
}
