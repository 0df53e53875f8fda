//! Telephones that measure what carries their calls: each sends a packet every 20 ms, and the way that a packet
//! takes is timed from the socket that sends it to the socket that receives it, system calls and wake-ups included.
//!
//! What is between the two ends is not known here: a bridge of ours in the same process, a whole server, or somebody
//! else's.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use sotto_audio::{Codec, FRAME_SAMPLES};
use sotto_media::rtp::Header;
use sotto_media::{Packetizer, SenderConfig};

/// Audio in a packet.
pub const FRAME: Duration = Duration::from_millis(20);

/// How long they talk before it counts: until sources are known and wires are laid.
pub const WARM_UP: Duration = Duration::from_secs(1);

/// One end of a call.
pub struct Telephone {
    /// Sends and receives.
    pub socket: UdpSocket,
    /// Where its packets go.
    pub to: SocketAddr,
    /// What it speaks.
    pub codec: Codec,
}

/// What became of the packets.
#[derive(Clone, Copy, Debug)]
pub struct Talked {
    /// Half of the packets took less. Nothing where calls have one end here.
    pub p50: Duration,
    /// All but one in a hundred took less.
    pub p99: Duration,
    /// Packets that arrived.
    pub packets: usize,
    /// Packets that were sent to the other end and did not arrive.
    pub missing: usize,
}

/// The calls talk at the same time, for [`WARM_UP`] and this long. A call has two ends, or one, when the other is not
/// a telephone of ours.
///
/// # Errors
/// When sockets cannot be had.
pub fn talk(calls: Vec<Vec<Telephone>>, time: Duration) -> Result<Talked> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(all(calls, time))
}

/// When each packet was sent, in nanoseconds since the beginning.
type Sent = Arc<Vec<AtomicU64>>;

/// The sequence number of a packet, and when it came.
type Came = (u16, u64);

async fn all(calls: Vec<Vec<Telephone>>, time: Duration) -> Result<Talked> {
    let frames = ((WARM_UP + time).as_millis() / FRAME.as_millis()) as usize;
    let warm_up = (WARM_UP.as_millis() / FRAME.as_millis()) as usize;
    let (begun, count) = (Instant::now(), calls.len().max(1) as u32);
    let mut talking = Vec::new();
    for (n, call) in calls.into_iter().enumerate() {
        // Spread over the 20 ms, as calls are.
        let first = begun + FRAME * n as u32 / count;
        let ends: Vec<_> = call
            .into_iter()
            .map(|end| {
                let sent: Sent = Arc::new((0..frames).map(|_| AtomicU64::new(0)).collect());
                (sent.clone(), tokio::spawn(one(end, begun, first, sent)))
            })
            .collect();
        talking.push(ends);
    }
    let (mut delays, mut packets, mut missing) = (Vec::new(), 0, 0);
    for call in talking {
        let mut ends = Vec::new();
        for (sent, came) in call {
            ends.push((sent, came.await??));
        }
        packets += ends.iter().map(|(_, came)| came.len()).sum::<usize>();
        if let [(sent, back), (sent_back, came)] = ends.as_slice() {
            for (sent, came) in [(sent, came), (sent_back, back)] {
                let arrived = delays_of(sent, came, warm_up);
                missing += (frames - warm_up).saturating_sub(arrived.len());
                delays.extend(arrived);
            }
        }
    }
    delays.sort_unstable();
    let at = |share: f64| delays.get((delays.len() as f64 * share) as usize).copied().unwrap_or_default();
    Ok(Talked { p50: at(0.5), p99: at(0.99), packets, missing })
}

/// How long each packet after the warm-up was on its way.
fn delays_of(sent: &[AtomicU64], came: &[Came], warm_up: usize) -> Vec<Duration> {
    let at = |place: i64| Some(sent.get(usize::try_from(place).ok()?)?.load(Ordering::Relaxed) as i64);
    let Some((first, when)) = came.first().copied() else { return Vec::new() };
    // Numbers on the way out are the sender's plus something. The first that comes is taken for the one sent last, and
    // all of them for later ones if some would have come before they were sent.
    let latest = sent.iter().rposition(|sent| (1..=when).contains(&sent.load(Ordering::Relaxed)));
    let mut base = latest.unwrap_or(0) as i64;
    let place = |base: i64, sequence: u16| base + i64::from(sequence.wrapping_sub(first) as i16);
    let on_the_way = |base: i64| {
        came.iter().filter_map(move |(sequence, when)| {
            let place = place(base, *sequence);
            Some((place, *when as i64 - at(place).filter(|at| *at > 0)?))
        })
    };
    while base > 0 && on_the_way(base).any(|(_, delay)| delay < 0) {
        base -= 1;
    }
    let counted = on_the_way(base).filter(|(place, delay)| *place >= warm_up as i64 && *delay >= 0);
    counted.map(|(_, delay)| Duration::from_nanos(delay as u64)).collect()
}

async fn one(telephone: Telephone, begun: Instant, first: Instant, sent: Sent) -> Result<Vec<Came>> {
    let Telephone { socket, to, codec } = telephone;
    socket.set_nonblocking(true)?;
    // What came before the talk.
    let mut packet = [0; 1_500];
    while socket.recv(&mut packet).is_ok() {}
    let socket = tokio::net::UdpSocket::from_std(socket)?;
    socket.connect(to).await?;
    let mut packetizer = Packetizer::new(SenderConfig::new(codec))?;
    let samples: Vec<f32> = (0..FRAME_SAMPLES).map(|n| (n as f32 * 0.1).sin() * 0.3).collect();
    let speaking = async {
        for (n, sent) in sent.iter().enumerate() {
            tokio::time::sleep_until((first + FRAME * n as u32).into()).await;
            let mut datagram = Vec::new();
            packetizer.audio(&samples, &mut datagram)?;
            sent.store(begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
            // Who is not there yet, or no more, is missed by the other end.
            let _ = socket.send(&datagram).await;
        }
        tokio::time::sleep(FRAME * 10).await;
        anyhow::Ok(())
    };
    let mut came = Vec::with_capacity(sent.len());
    let listening = async {
        loop {
            let Ok(length) = socket.recv(&mut packet).await else { continue };
            let now = begun.elapsed().as_nanos() as u64;
            let Ok((header, _)) = Header::parse(&packet[..length]) else { continue };
            // RTCP on the same port (RFC 5761 section 4) is nobody's words.
            if !(72..96).contains(&header.payload_type) {
                came.push((header.sequence, now));
            }
        }
    };
    tokio::select! {
        spoken = speaking => spoken?,
        () = listening => {}
    }
    Ok(came)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: &[u64]) -> Vec<AtomicU64> {
        milliseconds.iter().map(|ms| AtomicU64::new(ms * 1_000_000)).collect()
    }

    fn delays(came: &[(u16, u64)]) -> Vec<u128> {
        let came: Vec<Came> = came.iter().map(|(sequence, ms)| (*sequence, ms * 1_000_000)).collect();
        delays_of(&at(&[1, 20, 40, 60]), &came, 0).iter().map(Duration::as_millis).collect()
    }

    #[test]
    fn a_packet_is_known_by_its_number_whatever_that_begins_with() {
        assert_eq!(delays(&[(65_535, 21), (0, 42), (1, 63)]), [1, 2, 3]);
        assert_eq!(delays(&[(7, 21), (9, 63)]), [1, 3], "one is missing");
    }

    #[test]
    fn a_first_packet_that_is_late_does_not_make_the_others_early() {
        // The second packet comes after the third was sent.
        assert_eq!(delays(&[(7, 41), (8, 42), (9, 61)]), [21, 2, 1]);
    }

    #[test]
    fn nothing_comes_of_nothing() {
        assert_eq!(delays(&[]), Vec::<u128>::new());
    }
}
