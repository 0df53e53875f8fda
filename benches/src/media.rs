//! The media path without speech: RTP on loopback sockets, through legs, into rings that are read.
//!
//! All legs run on one thread, whose processor time is read from the kernel; sending and reading happen on
//! others. So the figure is what one core carries, system calls included.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;
use sotto_audio::{Codec, FRAME_SAMPLES, Reader, ring};
use sotto_media::rtp::Header;
use sotto_media::{CallClock, Leg, LegConfig, LegFormat, LegOutputs, Packetizer, Ports, SenderConfig};
use tokio::sync::mpsc;

use crate::processor::{Whose, processor_time};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const FRAME: Duration = Duration::from_millis(20);

/// Frames after which everything that is allocated once has been.
const WARM_UP: Duration = Duration::from_secs(2);

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Legs at the same time.
    pub legs: usize,
    /// How long to measure.
    pub time: Duration,
    /// The codec.
    pub codec: Codec,
    /// Every so many packets one is not sent.
    pub lose_every: Option<u32>,
}

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Packets received while it was measured.
    pub packets: u64,
    /// Packets of these legs that never came or came too late, from the beginning on.
    pub missed: u64,
    /// Frames that the rings could not take.
    pub dropped: u64,
    /// Allocations by the whole process while it was measured.
    pub allocations: usize,
    /// Processor time of the legs' thread, as a share of the time.
    pub busy: f64,
}

/// Runs the load; `allocations` tells how many there have been in the process so far.
///
/// # Errors
/// When sockets or threads cannot be had.
pub fn run(load: Load, allocations: fn() -> usize) -> Result<Outcome> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(load, allocations))
}

async fn measure(load: Load, allocations: fn() -> usize) -> Result<Outcome> {
    let ports = Ports::new(HERE, 40_000..=49_999);
    let (events, _ignored) = mpsc::channel(load.legs);
    let mut legs = Vec::with_capacity(load.legs);
    let mut readers = Vec::with_capacity(2 * load.legs);
    let mut addresses = Vec::with_capacity(load.legs);
    let payload_type = SenderConfig::new(load.codec).payload_type;
    let format = LegFormat {
        payloads: vec![(payload_type, load.codec)],
        telephone_event: Some((101, 8_000)),
        ptime_ms: Some(20),
        srtp: None,
    };
    for _ in 0..load.legs {
        let socket = ports.reserve().await?;
        addresses.push(socket.local_addr());
        let (speech, speech_reader) = ring(1_000);
        let (recording, recording_reader) = ring(1_000);
        readers.extend([speech_reader, recording_reader]);
        let outputs = LegOutputs { speech, recording, bridge: None };
        let clock = CallClock::start();
        legs.push(Leg::start(
            socket,
            format.clone(),
            None,
            clock,
            outputs,
            events.clone(),
            LegConfig::default(),
        ));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let sender = send(addresses, load, stop.clone())?;
    let reader = read(readers, stop.clone());

    tokio::time::sleep(WARM_UP).await;
    let count = |legs: &[Leg]| legs.iter().map(|leg| leg.stats().packets).sum::<u64>();
    // Reading the processor time allocates, so the allocations are read between.
    let busy_before = (processor_time(Whose::Ours)?, Instant::now());
    let before = (count(&legs), allocations());
    tokio::time::sleep(load.time).await;
    let after = (count(&legs), allocations());
    let busy_after = (processor_time(Whose::Ours)?, Instant::now());

    stop.store(true, Ordering::Relaxed);
    let missed = legs.iter().map(|leg| leg.stats()).map(|stats| stats.lost + stats.late).sum();
    for leg in legs {
        leg.stop().await;
    }
    let joined = tokio::task::spawn_blocking(move || (sender.join(), reader.join())).await?;
    let (Ok(sent), Ok(dropped)) = joined else { anyhow::bail!("a thread of the benchmark panicked") };
    sent?;
    Ok(Outcome {
        packets: after.0 - before.0,
        missed,
        dropped,
        allocations: after.1 - before.1,
        busy: (busy_after.0 - busy_before.0).as_secs_f64() / (busy_after.1 - busy_before.1).as_secs_f64(),
    })
}

/// Sends to every address 50 packets a second, evenly spread over the 20 ms.
fn send(addresses: Vec<SocketAddr>, load: Load, stop: Arc<AtomicBool>) -> Result<JoinHandle<Result<()>>> {
    let socket = UdpSocket::bind((HERE, 0))?;
    let mut packetizer = Packetizer::new(SenderConfig::new(load.codec))?;
    let speech: Vec<f32> = (0..FRAME_SAMPLES * 50).map(|n| (n as f32 * 0.1).sin() * 0.3).collect();
    let mut payloads = Vec::new();
    for samples in speech.chunks_exact(FRAME_SAMPLES) {
        let mut datagram = Vec::new();
        packetizer.audio(samples, &mut datagram)?;
        payloads.push(datagram);
    }
    let run = move || {
        let started = Instant::now();
        let mut datagrams = payloads;
        for n in 0_u32.. {
            let datagram = &mut datagrams[n as usize % 50];
            let payload_type = SenderConfig::new(load.codec).payload_type;
            let timestamp = n.wrapping_mul(load.codec.clock_rate() / 50);
            let header = Header { payload_type, sequence: n as u16, timestamp, ssrc: 1, marker: false };
            datagram[..12].copy_from_slice(&header.to_bytes());
            let is_lost = load.lose_every.is_some_and(|every| n % every == every - 1);
            for (at, address) in addresses.iter().enumerate() {
                // In groups, so that the sender is not woken for each.
                if at % 16 == 0 {
                    let due = FRAME * n + FRAME * at as u32 / addresses.len() as u32;
                    std::thread::sleep(due.saturating_sub(started.elapsed()));
                }
                if !is_lost {
                    socket.send_to(datagram, address)?;
                }
            }
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
        Ok(())
    };
    Ok(std::thread::spawn(run))
}

/// Empties the rings; how many frames they had no room for.
fn read(mut readers: Vec<Reader>, stop: Arc<AtomicBool>) -> JoinHandle<u64> {
    std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            for reader in &mut readers {
                while reader.pop().is_some() {}
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        readers.iter().map(Reader::dropped).sum()
    })
}
