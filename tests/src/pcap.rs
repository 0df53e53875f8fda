//! Calls as captures of RTP packets (libpcap format), which SIPp plays.
//!
//! SIPp sends every packet of a capture to (port of the first media line) + (its port - lowest port of the
//! capture). So one capture carries both streams of a SIPREC call, the second two ports above the first, as long
//! as the recording server took two neighbouring ports.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::audio::{Audio, a_law, mu_law};

/// How a stream is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// PCMU, payload type 0.
    Mu,
    /// PCMA, payload type 8.
    A,
}

/// Samples in a packet: 20 ms at 8 kHz.
const PACKET: usize = 160;
const BASE_PORT: u16 = 10_000;

/// What the network does to packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Line {
    /// Nothing: each packet comes when it should.
    #[default]
    Good,
    /// 3 % are lost, 2 % come twice, and each is up to 45 ms late, so that some overtake others. The same packets
    /// in every run.
    Bad,
}

impl Line {
    /// When a packet that is sent at `micros` comes, each time it comes.
    fn arrivals(self, stream: usize, index: usize, micros: u64) -> Vec<u64> {
        if self == Self::Good {
            return vec![micros];
        }
        // One step of SplitMix64: as good as a die, and without a state.
        let mut z =
            ((stream as u64) << 32 | index as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let late = micros + (z >> 8) % 45_000;
        match z % 100 {
            0..3 => Vec::new(),
            3..5 => vec![late, late + 5_000],
            _ => vec![late],
        }
    }
}

/// Writes the channels of `audio` (8 kHz) as RTP streams, channel `n` two ports above channel `n - 1`.
///
/// # Errors
/// When the audio is not at 8 kHz, or the file cannot be written.
pub fn write(path: &Path, audio: &Audio, laws: &[Law], line: Line) -> Result<()> {
    ensure!(audio.rate == 8000, "RTP with G.711 is at 8,000 Hz, this audio at {}", audio.rate);
    ensure!(audio.channels.len() == laws.len(), "{} channels, {} codecs", audio.channels.len(), laws.len());
    let packets = audio.channels.first().map_or(0, Vec::len).div_ceil(PACKET);
    let mut frames = Vec::new();
    for index in 0..packets {
        for (stream, (samples, law)) in audio.channels.iter().zip(laws).enumerate() {
            for micros in line.arrivals(stream, index, index as u64 * 20_000) {
                frames.push((micros, ethernet(stream as u16, index, samples, *law)));
            }
        }
    }
    frames.sort_by_key(|(micros, _)| *micros);

    let mut out = Vec::new();
    // Magic (microseconds), version 2.4, zone, accuracy, longest packet, Ethernet.
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    for (micros, frame) in frames {
        let length = frame.len() as u32;
        for word in [(micros / 1_000_000) as u32, (micros % 1_000_000) as u32, length, length] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&frame);
    }
    std::fs::write(path, out).with_context(|| format!("writing {}", path.display()))
}

/// One RTP packet (RFC 3550) in UDP in IPv4 in an Ethernet frame.
fn ethernet(stream: u16, index: usize, samples: &[i16], law: Law) -> Vec<u8> {
    let (payload_type, encode): (u8, fn(i16) -> u8) = match law {
        Law::Mu => (0, mu_law),
        Law::A => (8, a_law),
    };
    let mut rtp = vec![0x80, payload_type | if index == 0 { 0x80 } else { 0 }];
    rtp.extend_from_slice(&(index as u16).to_be_bytes());
    rtp.extend_from_slice(&((index * PACKET) as u32).to_be_bytes());
    rtp.extend_from_slice(&(0x5077_0000 + u32::from(stream)).to_be_bytes());
    rtp.extend((index * PACKET..(index + 1) * PACKET).map(|i| encode(samples.get(i).copied().unwrap_or(0))));

    let port = BASE_PORT + 2 * stream;
    let mut frame = vec![0; 12];
    frame.extend_from_slice(&0x0800_u16.to_be_bytes());
    frame.extend_from_slice(&[0x45, 0]);
    frame.extend_from_slice(&((28 + rtp.len()) as u16).to_be_bytes());
    frame.extend_from_slice(&[0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
    frame.extend_from_slice(&port.to_be_bytes());
    frame.extend_from_slice(&port.to_be_bytes());
    frame.extend_from_slice(&((8 + rtp.len()) as u16).to_be_bytes());
    frame.extend_from_slice(&[0, 0]);
    frame.extend_from_slice(&rtp);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_streams_lie_in_one_capture() {
        let audio = Audio { rate: 8000, channels: vec![vec![0; 321], vec![8; 321]] };
        let file = tempfile::NamedTempFile::new().unwrap();
        write(file.path(), &audio, &[Law::Mu, Law::A], Line::Good).unwrap();
        let bytes = std::fs::read(file.path()).unwrap();
        let record = 16 + 14 + 20 + 8 + 12 + PACKET;
        assert_eq!(bytes.len(), 24 + 6 * record, "three packets a stream, the last one padded");
        let ports: Vec<u16> = (0..6)
            .map(|n| {
                let at = 24 + n * record + 16 + 14 + 20 + 2;
                u16::from_be_bytes([bytes[at], bytes[at + 1]])
            })
            .collect();
        assert_eq!(ports, [10_000, 10_002, 10_000, 10_002, 10_000, 10_002]);
    }

    #[test]
    fn a_bad_line_loses_repeats_and_reorders() {
        let arrivals: Vec<Vec<u64>> =
            (0..5000).map(|n| Line::Bad.arrivals(0, n, n as u64 * 20_000)).collect();
        let share = |times: usize| arrivals.iter().filter(|a| a.len() == times).count() as f64 / 5000.0;
        assert!((0.02..0.04).contains(&share(0)) && (0.01..0.03).contains(&share(2)));
        let first: Vec<u64> = arrivals.iter().filter_map(|a| a.first().copied()).collect();
        assert!(first.windows(2).any(|w| w[0] > w[1]));
    }

    #[test]
    fn another_rate_is_refused() {
        let audio = Audio { rate: 16_000, channels: vec![vec![0; 16]] };
        assert!(write(Path::new("unused"), &audio, &[Law::Mu], Line::Good).is_err());
    }
}
