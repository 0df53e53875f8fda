//! The other end of a leg: RTP sent in step with time, for tests, benchmarks and demonstration calls.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use sotto_audio::netem::Netem;
use sotto_audio::{AudioError, Codec, Encoder, MAX_PAYLOAD, RATE};
use tokio::time::{Instant, sleep_until};

use crate::rtp::{HEADER, Header};
use crate::srtp::Outbound;
use crate::{MasterKey, MediaError, Socket};

/// How a sender sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderConfig {
    /// The codec.
    pub codec: Codec,
    /// Its payload type.
    pub payload_type: u8,
    /// The payload type of telephone events.
    pub telephone_event: u8,
    /// Milliseconds of audio a packet; a multiple of 10.
    pub ptime_ms: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// The first sequence number.
    pub sequence: u16,
    /// The first timestamp.
    pub timestamp: u32,
}

impl SenderConfig {
    /// 20 ms packets of a codec under its usual payload type.
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            payload_type: codec.payload_type(),
            telephone_event: 101,
            ptime_ms: 20,
            ssrc: 1,
            sequence: 0,
            timestamp: 0,
        }
    }
}

/// Makes RTP packets from samples; a plain value.
pub struct Packetizer {
    config: SenderConfig,
    encoder: Encoder,
    sequence: u16,
    timestamp: u32,
    marker: bool,
}

impl Packetizer {
    /// A packetizer at the beginning of a stream.
    ///
    /// # Errors
    /// When the encoder cannot be made.
    pub fn new(config: SenderConfig) -> Result<Self, AudioError> {
        let encoder = Encoder::new(config.codec)?;
        Ok(Self { config, encoder, sequence: config.sequence, timestamp: config.timestamp, marker: true })
    }

    /// 16 kHz samples of a packet.
    #[must_use]
    pub fn samples(&self) -> usize {
        (RATE / 1_000 * self.config.ptime_ms) as usize
    }

    /// Appends the packet that carries these samples, one packet's worth, to `datagram`.
    ///
    /// # Errors
    /// When the codec cannot take that many samples.
    pub fn audio(&mut self, samples: &[f32], datagram: &mut Vec<u8>) -> Result<(), AudioError> {
        let start = datagram.len() + HEADER;
        datagram.extend(self.header(self.config.payload_type, self.timestamp).to_bytes());
        datagram.resize(start + MAX_PAYLOAD, 0);
        let length = self.encoder.encode(samples, &mut datagram[start..])?;
        datagram.truncate(start + length);
        self.pass(samples.len());
        self.marker = false;
        Ok(())
    }

    /// Time in which nothing is sent: the next packet begins a talk spurt.
    pub fn pause(&mut self, samples: usize) {
        self.pass(samples);
        self.marker = true;
    }

    /// Appends a telephone event packet: the `code` of RFC 4733 pressed since `began` (a timestamp).
    pub fn event(&mut self, code: u8, began: u32, is_end: bool, datagram: &mut Vec<u8>) {
        let held = u16::try_from(self.timestamp.wrapping_sub(began)).unwrap_or(u16::MAX);
        datagram.extend(self.header(self.config.telephone_event, began).to_bytes());
        datagram.extend([code, if is_end { 0x8a } else { 0x0a }]);
        datagram.extend(held.to_be_bytes());
    }

    /// The timestamp of the next packet.
    #[must_use]
    pub fn timestamp(&self) -> u32 {
        self.timestamp
    }

    /// Goes on as another source.
    pub fn change_ssrc(&mut self, ssrc: u32, sequence: u16, timestamp: u32) {
        self.config.ssrc = ssrc;
        self.sequence = sequence;
        self.timestamp = timestamp;
        self.marker = true;
    }

    fn header(&mut self, payload_type: u8, timestamp: u32) -> Header {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        Header { marker: self.marker, payload_type, sequence, timestamp, ssrc: self.config.ssrc }
    }

    fn pass(&mut self, samples: usize) {
        let units = samples as u64 * u64::from(self.config.codec.clock_rate()) / u64::from(RATE);
        self.timestamp = self.timestamp.wrapping_add(units as u32);
    }
}

/// Sends packets when they are due.
pub struct RtpSender {
    socket: Socket,
    remote: SocketAddr,
    packetizer: Packetizer,
    protection: Option<Outbound>,
    network: Option<Netem>,
    started: Instant,
    /// When the next packet is due, since the start.
    due: Duration,
    /// Datagrams that the network holds, by time of arrival.
    underway: BinaryHeap<Reverse<(Duration, Vec<u8>)>>,
}

impl RtpSender {
    /// A sender to `remote`, through a simulated network if one is given.
    ///
    /// # Errors
    /// When the encoder cannot be made.
    pub fn new(
        socket: Socket,
        remote: SocketAddr,
        config: SenderConfig,
        network: Option<Netem>,
    ) -> Result<Self, AudioError> {
        Ok(Self {
            socket,
            remote,
            packetizer: Packetizer::new(config)?,
            protection: None,
            network,
            started: Instant::now(),
            due: Duration::ZERO,
            underway: BinaryHeap::new(),
        })
    }

    /// What makes the packets: to look at, or to change the source.
    pub fn packetizer(&mut self) -> &mut Packetizer {
        &mut self.packetizer
    }

    /// Encrypts from now on (SRTP).
    ///
    /// # Errors
    /// When the key cannot be used.
    pub fn protect(&mut self, key: &MasterKey) -> Result<(), MediaError> {
        self.protection = Some(Outbound::new(key)?);
        Ok(())
    }

    /// Sends 16 kHz samples at the pace they are spoken; the last packet is filled up with silence. Returns
    /// when the last packet has been sent: call again at once for continuous speech.
    ///
    /// # Errors
    /// When the socket or the encoder fails.
    pub async fn play(&mut self, samples: &[f32]) -> io::Result<()> {
        let size = self.packetizer.samples();
        let mut padded = vec![0.0; size];
        for piece in samples.chunks(size) {
            padded[..piece.len()].copy_from_slice(piece);
            padded[piece.len()..].fill(0.0);
            let mut datagram = Vec::new();
            self.packetizer.audio(&padded, &mut datagram).map_err(io::Error::other)?;
            self.send(datagram).await?;
            self.due += Duration::from_millis(self.packetizer.config.ptime_ms.into());
        }
        Ok(())
    }

    /// Sends nothing for a while, as a sender does that detects silence.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn pause(&mut self, time: Duration) -> io::Result<()> {
        self.packetizer.pause((time.as_secs_f64() * f64::from(RATE)) as usize);
        self.due += time;
        self.deliver(self.due).await
    }

    /// Presses a key: `0`-`9`, `*`, `#`, `A`-`D`.
    ///
    /// # Errors
    /// When the socket fails, or there is no such key.
    pub async fn press(&mut self, digit: char, time: Duration) -> io::Result<()> {
        let code = "0123456789*#ABCD".find(digit).and_then(|code| u8::try_from(code).ok());
        let code = code.ok_or_else(|| io::Error::other("no such key"))?;
        let began = self.packetizer.timestamp();
        let packets = (time.as_millis() / u128::from(self.packetizer.config.ptime_ms)).max(1);
        for n in 1..=packets + 2 {
            if n <= packets {
                let samples = self.packetizer.samples();
                self.packetizer.pass(samples);
                self.due += Duration::from_millis(self.packetizer.config.ptime_ms.into());
            }
            let mut datagram = Vec::new();
            self.packetizer.event(code, began, n >= packets, &mut datagram);
            self.send(datagram).await?;
        }
        Ok(())
    }

    /// Waits until the simulated network has delivered everything.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn finish(mut self) -> io::Result<()> {
        self.deliver(Duration::MAX).await
    }

    async fn send(&mut self, mut datagram: Vec<u8>) -> io::Result<()> {
        if let Some(protection) = &mut self.protection {
            let protected =
                protection.rtp(&datagram).ok_or_else(|| io::Error::other("not to be encrypted"))?;
            datagram = protected.into();
        }
        match &mut self.network {
            None => self.underway.push(Reverse((self.due, datagram))),
            Some(network) => {
                let arrivals = network.carry(self.due).map(|arrival| Reverse((arrival, datagram.clone())));
                self.underway.extend(arrivals);
            }
        }
        self.deliver(self.due).await
    }

    /// Sends what is due until then, each at its time.
    async fn deliver(&mut self, until: Duration) -> io::Result<()> {
        while let Some(Reverse((due, datagram))) = self.underway.pop() {
            if due > until {
                self.underway.push(Reverse((due, datagram)));
                break;
            }
            sleep_until(self.started + due).await;
            self.socket.rtp.send_to(&datagram, self.remote).await?;
        }
        if until < Duration::MAX {
            sleep_until(self.started + until).await;
        }
        Ok(())
    }
}
