//! What a leg does with datagrams and time, as a value: no sockets, no clock.
//!
//! Whoever can send to our port can send anything, so a datagram has to pass, in this order: its source, its size, a limit
//! per second, its signature when there is a key, its form, its payload type. What fails is counted and forgotten.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sotto_audio::{Codec, FRAME_SAMPLES, JitterBuffer, JitterConfig, Packet, RATE};
use sotto_call::{Millis, Quality};

use crate::MediaError;
use crate::dtmf::{Digit, Keys};
use crate::rtcp::{self, REPORT, Reception};
use crate::rtp::{COMFORT_NOISE, Header, is_rtcp};
use crate::srtp::{OVERHEAD, Protection, Refused, SrtpKeys};
use crate::talk::Kind;
use crate::wire::Way;

/// The largest datagram taken.
pub const MAX_DATAGRAM: usize = 1_500;

/// A new source address is believed when the present one has been silent for this long.
const SOURCE_SILENT: Duration = Duration::from_millis(500);

/// A sender that has said it moves may be found at another address for so long.
const MOVES_WITHIN: Duration = Duration::from_secs(10);

/// Events that wait to be fetched, at most.
const MAX_EVENTS: usize = 16;

/// What the two ends agreed on by offer and answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegFormat {
    /// RTP payload types and what they carry; the first is preferred.
    pub payloads: Vec<(u8, Codec)>,
    /// The payload type of telephone events (RFC 4733), and their clock rate.
    pub telephone_event: Option<(u8, u32)>,
    /// How many milliseconds of audio a packet should hold. For information: any length is taken.
    pub ptime_ms: Option<u32>,
    /// The keys, when the stream is encrypted: then nothing is sent in the clear, and nothing taken.
    pub srtp: Option<SrtpKeys>,
}

impl LegFormat {
    fn codecs(&self) -> Vec<Codec> {
        self.payloads.iter().map(|(_, codec)| *codec).collect()
    }

    fn codec(&self, payload_type: u8) -> Option<Codec> {
        self.payloads.iter().find(|(number, _)| *number == payload_type).map(|(_, codec)| *codec)
    }
}

/// How a leg behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LegConfig {
    /// How long audio may wait.
    pub jitter: JitterConfig,
    /// Without RTP for this long, [`LegEvent::Timeout`] is sent.
    pub timeout: Duration,
    /// Datagrams taken per second, at most.
    pub max_packets_per_second: u32,
    /// How often reception is reported to the sender (RTCP).
    pub report_interval: Duration,
    /// How long a leg that is stopped still listens for packets that were overtaken by the hang-up.
    pub linger: Duration,
}

impl Default for LegConfig {
    fn default() -> Self {
        Self {
            jitter: JitterConfig::default(),
            timeout: Duration::from_secs(30),
            max_packets_per_second: 500,
            report_interval: Duration::from_secs(5),
            linger: Duration::from_millis(40),
        }
    }
}

/// What happens on a leg besides audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegEvent {
    /// The first audio has come.
    FirstPacket {
        /// Its encoding name.
        codec: &'static str,
    },
    /// A key was pressed and released.
    Dtmf {
        /// `0`-`9`, `*`, `#`, `A`-`D`.
        digit: char,
        /// How long it was held.
        duration_ms: u64,
    },
    /// No RTP has come for [`LegConfig::timeout`]; sent again after it has come back and stopped again.
    Timeout,
    /// How well the party is received here, or receives us as far as it reports that, whichever is worse; when it is
    /// known for the first time or has changed: looked at with every report.
    Line(Quality),
}

/// What a leg has received.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LegStats {
    /// RTP packets taken.
    pub packets: u64,
    /// Their bytes, headers included.
    pub octets: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Packets that came too late to be heard.
    pub late: u64,
    /// Packets thrown out because too many waited.
    pub overflowed: u64,
    /// Packets that came twice; of encrypted ones also those that came too late to know.
    pub duplicates: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Datagrams refused: not RTP, not authentic, from elsewhere, of unknown type, too large, too many.
    pub discarded: u64,
    /// Of these, the ones beyond [`LegConfig::max_packets_per_second`].
    pub flooded: u64,
    /// And the ones that are not under the key agreed on.
    pub unauthenticated: u64,
    /// Interarrival jitter (RFC 3550), in milliseconds.
    pub jitter_ms: f64,
    /// How long the buffer now makes audio wait.
    pub depth_ms: u64,
    /// Audio made up for what was missing.
    pub concealed_ms: u64,
    /// Audio received but skipped because it would have been heard too late.
    pub skipped_ms: u64,
    /// Audio added or removed to keep step with the sender.
    pub adjusted_ms: u64,
    /// Changes of the synchronisation source.
    pub ssrc_changes: u64,
    /// RTCP sender reports received.
    pub sender_reports: u64,
    /// RTCP receiver reports made.
    pub reports: u64,
    /// When the first RTP packet came.
    pub first_packet_at: Option<Millis>,
    /// The encoding name of the audio last received.
    pub codec: Option<&'static str>,
}

/// Where a report goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportTo {
    /// From the RTP socket: the sender uses one port for both (RFC 5761).
    Rtp(SocketAddr),
    /// From the RTCP socket.
    Rtcp(SocketAddr),
}

/// One leg's reception. All times are on the call's clock.
pub struct Session {
    format: LegFormat,
    config: LegConfig,
    /// The address that was signalled.
    signalled: Option<SocketAddr>,
    /// The address that sends.
    source: Option<SocketAddr>,
    /// It has said that it moves: until then, another one that sends is the sender.
    moves_until: Duration,
    rtcp_source: Option<ReportTo>,
    buffer: JitterBuffer,
    reception: Option<Reception>,
    keys: Keys,
    events: VecDeque<LegEvent>,
    allowance: Allowance,
    /// Of the RTCP port, so that what comes there takes nothing from audio.
    rtcp_allowance: Allowance,
    paused: bool,
    heard: Duration,
    timed_out: bool,
    clock_rate: u32,
    ssrc: u32,
    protection: Option<Protection>,
    next_report: Option<Duration>,
    stats: LegStats,
    line: Line,
}

impl Session {
    /// A session from `now` on, that reports as `ssrc`.
    ///
    /// # Errors
    /// When a codec or a key cannot be prepared.
    pub fn new(
        format: LegFormat,
        signalled: Option<SocketAddr>,
        config: LegConfig,
        ssrc: u32,
        now: Duration,
    ) -> Result<Self, MediaError> {
        let mut protection = None;
        Protection::agree(&mut protection, format.srtp.as_ref())?;
        Ok(Self {
            buffer: JitterBuffer::new(&format.codecs(), config.jitter)?,
            clock_rate: format.payloads.first().map_or(8_000, |(_, codec)| codec.clock_rate()),
            format,
            config,
            signalled,
            source: None,
            moves_until: Duration::ZERO,
            rtcp_source: None,
            reception: None,
            keys: Keys::default(),
            events: VecDeque::with_capacity(MAX_EVENTS),
            allowance: Allowance::new(config.max_packets_per_second, now),
            rtcp_allowance: Allowance::new(config.max_packets_per_second, now),
            paused: false,
            heard: now,
            timed_out: false,
            ssrc,
            protection,
            next_report: None,
            stats: LegStats::default(),
            line: Line::default(),
        })
    }

    /// A new agreement with the sender, who may have said as well that it sends from elsewhere from now on: of one that
    /// no address was signalled for, nobody knows from where.
    ///
    /// # Errors
    /// When a codec or a key cannot be prepared.
    pub fn update(
        &mut self,
        format: LegFormat,
        signalled: Option<SocketAddr>,
        moves: bool,
        now: Duration,
    ) -> Result<(), MediaError> {
        Protection::agree(&mut self.protection, format.srtp.as_ref())?;
        if format.codecs() != self.format.codecs() {
            self.buffer.set_codecs(&format.codecs())?;
        }
        self.format = format;
        if signalled != self.signalled {
            self.signalled = signalled;
            self.source = None;
            self.rtcp_source = None;
        }
        if moves {
            self.moves_until = now + MOVES_WITHIN;
        }
        Ok(())
    }

    /// From now on, what is received is not heard, until it is set back.
    pub fn set_paused(&mut self, paused: bool, now: Duration) {
        self.paused = paused;
        self.heard = now;
    }

    /// Takes a datagram from the RTP port, and decrypts it where it is: what others on the call are to hear of it.
    pub fn rtp<'a>(
        &mut self,
        datagram: &'a mut [u8],
        from: SocketAddr,
        now: Duration,
    ) -> Option<(Kind, Header, &'a [u8])> {
        // Another program on the sender's machine uses up nothing of the sender's share either.
        if !self.is_source(from, now) {
            self.stats.discarded += 1;
            return None;
        }
        if !self.admit(Way::Rtp, datagram, from, now) {
            return None;
        }
        if is_rtcp(datagram) {
            self.reported(datagram, ReportTo::Rtp(from), now);
            return None;
        }
        let datagram = self.open(Way::Rtp, datagram)?;
        let Ok((header, payload)) = Header::parse(datagram) else {
            self.stats.discarded += 1;
            return None;
        };
        let codec = self.format.codec(header.payload_type);
        let event_rate = self.format.telephone_event.filter(|(number, _)| *number == header.payload_type);
        if codec.is_none() && event_rate.is_none() && header.payload_type != COMFORT_NOISE {
            self.stats.discarded += 1;
            return None;
        }
        if self.source.replace(from).is_some_and(|before| before != from) {
            self.moves_until = Duration::ZERO;
        }
        self.heard = now;
        self.timed_out = false;
        self.stats.packets += 1;
        self.stats.octets += datagram.len() as u64;
        if let Some(codec) = codec {
            self.clock_rate = codec.clock_rate();
            self.stats.codec = Some(codec.name());
            if self.stats.first_packet_at.is_none() {
                self.stats.first_packet_at = Some(Millis(now.as_millis() as u64));
                self.event(LegEvent::FirstPacket { codec: codec.name() });
            }
        }
        match &mut self.reception {
            Some(reception) => reception.packet(&header, self.clock_rate, now, codec.is_some()),
            none => {
                *none = Some(Reception::new(&header, self.clock_rate, now));
                self.next_report = Some(now + self.config.report_interval);
            }
        }
        // Keys are pressed for the one who hears them: a card's number goes in while the recording is paused.
        if let Some((_, rate)) = event_rate.filter(|_| !self.paused) {
            let digits = self.keys.packet(header.ssrc, header.timestamp, rate, payload, now);
            digits.into_iter().flatten().for_each(|digit| self.pressed(digit));
        }
        let packet = Packet {
            sequence: header.sequence,
            timestamp: header.timestamp,
            ssrc: header.ssrc,
            marker: header.marker,
            // What is received in a pause must never be heard, not even what still waits when it ends.
            codec: codec.filter(|_| !self.paused),
            payload,
        };
        let duplicates = self.buffer.stats().duplicates;
        self.buffer.push(&packet, now);
        if self.buffer.stats().duplicates > duplicates
            && let Some(reception) = &mut self.reception
        {
            reception.duplicate();
            return None;
        }
        let kind = codec.map(Kind::Audio).or(event_rate.map(|(_, rate)| Kind::Event(rate)));
        kind.filter(|_| !self.paused).map(|kind| (kind, header, payload))
    }

    /// Where the sender is: where it sends from, or else where it said it would be.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.source.or(self.signalled.filter(|signalled| !signalled.ip().is_unspecified()))
    }

    /// Takes a datagram from the RTCP port.
    pub fn rtcp(&mut self, datagram: &mut [u8], from: SocketAddr, now: Duration) {
        if self.admit(Way::Rtcp, datagram, from, now) {
            self.reported(datagram, ReportTo::Rtcp(from), now);
        }
    }

    /// The 20 ms to be heard from `now` on. To be called every 20 ms.
    pub fn frame(&mut self, now: Duration) -> [f32; FRAME_SAMPLES] {
        if let Some(digit) = self.keys.unended(now) {
            self.pressed(digit);
        }
        if !self.paused && !self.timed_out && now.saturating_sub(self.heard) >= self.config.timeout {
            self.timed_out = true;
            self.event(LegEvent::Timeout);
        }
        self.buffer.pop(now)
    }

    /// No more will come: what waits is played without waiting for what follows.
    pub fn finish(&mut self) {
        self.buffer.finish();
        if let Some(digit) = self.keys.finish() {
            self.pressed(digit);
        }
    }

    /// True when all that was received has been taken as frames.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.buffer.is_empty()
    }

    /// What has happened and was not fetched yet.
    pub fn next_event(&mut self) -> Option<LegEvent> {
        self.events.pop_front()
    }

    /// When it is time: a report for the sender, written to `buffer`, its length and where it goes.
    pub fn report(&mut self, now: Duration, buffer: &mut [u8; REPORT_BYTES]) -> Option<(ReportTo, usize)> {
        if self.next_report.is_none_or(|due| now < due) {
            return None;
        }
        self.next_report = Some(now + self.config.report_interval);
        let stats = self.stats();
        if let Some(quality) = self.line.judge(&stats, now) {
            self.event(LegEvent::Line(quality));
        }
        let source = self.source?;
        let report = buffer.first_chunk_mut()?;
        self.reception.as_mut()?.report(self.ssrc, now, report);
        let mut length = REPORT;
        if let Some(protection) = &mut self.protection {
            let protected = protection.report(report)?;
            length = protected.len();
            buffer.get_mut(..length)?.copy_from_slice(&protected);
        }
        self.stats.reports += 1;
        let beside = SocketAddr::new(source.ip(), source.port().saturating_add(1));
        Some((self.rtcp_source.unwrap_or(ReportTo::Rtcp(beside)), length))
    }

    /// What was received so far.
    #[must_use]
    pub fn stats(&self) -> LegStats {
        let buffer = self.buffer.stats();
        let ms = |samples: u64| samples * 1_000 / u64::from(RATE);
        LegStats {
            lost: self.reception.as_ref().map_or(0, Reception::lost),
            jitter_ms: self.reception.as_ref().map_or(0.0, Reception::jitter_ms),
            late: buffer.late,
            overflowed: buffer.overflowed,
            duplicates: self.stats.duplicates + buffer.duplicates,
            reordered: buffer.reordered,
            discarded: self.stats.discarded + buffer.malformed + buffer.foreign + buffer.out_of_range,
            depth_ms: self.buffer.depth().as_millis() as u64,
            concealed_ms: ms(buffer.concealed_samples),
            skipped_ms: buffer.skipped_ms(),
            adjusted_ms: ms(buffer.added_samples + buffer.removed_samples),
            ssrc_changes: buffer.ssrc_changes,
            ..self.stats
        }
    }

    /// Size and number per second. Datagrams from elsewhere use up nothing of the sender's share.
    fn admit(&mut self, way: Way, datagram: &[u8], from: SocketAddr, now: Duration) -> bool {
        let is_known = self.permitted(now).is_none_or(|ip| ip.to_canonical() == from.ip().to_canonical());
        let is_right = is_known && !datagram.is_empty() && datagram.len() <= MAX_DATAGRAM;
        let allowance = match way {
            Way::Rtp => &mut self.allowance,
            Way::Rtcp => &mut self.rtcp_allowance,
        };
        let is_allowed = is_right && allowance.take(now);
        self.stats.discarded += u64::from(!is_allowed);
        self.stats.flooded += u64::from(is_right && !is_allowed);
        is_allowed
    }

    /// The only address that may send, when there is one.
    fn permitted(&self, now: Duration) -> Option<IpAddr> {
        match (self.signalled, self.source) {
            // On hold the signalled address may be 0.0.0.0 (RFC 3264 section 8.4).
            (Some(signalled), _) if !signalled.ip().is_unspecified() => Some(signalled.ip()),
            (_, source) => source.filter(|_| !self.is_moving(now)).map(|source| source.ip()),
        }
    }

    fn is_moving(&self, now: Duration) -> bool {
        now < self.moves_until
    }

    /// Learns where the sender really sends from, and follows when that moves (RFC 4961).
    fn is_source(&self, from: SocketAddr, now: Duration) -> bool {
        let is_silent = now.saturating_sub(self.heard) >= SOURCE_SILENT;
        self.source.is_none_or(|source| source == from || is_silent || self.is_moving(now))
    }

    /// What a datagram says when it is authentic, which without a key all are.
    fn open<'a>(&mut self, way: Way, datagram: &'a mut [u8]) -> Option<&'a [u8]> {
        let Some(protection) = &mut self.protection else { return Some(datagram) };
        match protection.open(way, datagram) {
            Ok(opened) => return Some(opened),
            Err(Refused::Replayed) => self.stats.duplicates += 1,
            Err(Refused::Forged) => {
                self.stats.discarded += 1;
                self.stats.unauthenticated += 1;
            }
        }
        None
    }

    fn reported(&mut self, datagram: &mut [u8], from: ReportTo, now: Duration) {
        let Some(datagram) = self.open(Way::Rtcp, datagram) else { return };
        let Some(incoming) = rtcp::parse(datagram, self.ssrc) else {
            self.stats.discarded += 1;
            return;
        };
        self.rtcp_source = Some(from);
        if let (Some((ssrc, ntp)), Some(reception)) = (incoming.sender_report, &mut self.reception) {
            reception.sender_report(ssrc, ntp, now);
        }
        self.stats.sender_reports += u64::from(incoming.sender_report.is_some());
        if let Some(lost) = incoming.lost_there {
            self.line.there = Some((f64::from(lost) / 256.0, now));
        }
    }

    fn pressed(&mut self, digit: Digit) {
        let Digit { digit, duration_ms } = digit;
        self.event(LegEvent::Dtmf { digit, duration_ms });
    }

    fn event(&mut self, event: LegEvent) {
        if self.events.len() < MAX_EVENTS {
            self.events.push_back(event);
        }
    }
}

/// How well a party is received and receives, from one report to the next.
#[derive(Debug, Default)]
struct Line {
    packets: u64,
    missing: u64,
    /// The share of our packets that did not arrive there, as it was reported last.
    there: Option<(f64, Duration)>,
    quality: Option<Quality>,
}

impl Line {
    /// Share of packets that were not heard in time: what concealment hides, and what costs words.
    const FAIR_LOSS: f64 = 0.02;
    const POOR_LOSS: f64 = 0.08;
    /// Jitter that buffers of telephones do not even out any more without making people wait (ITU-T Y.1541, class 0).
    const FAIR_JITTER_MS: f64 = 50.0;
    /// What was reported longer ago tells nothing about now. Reports come every five seconds.
    const REPORTED_WITHIN: Duration = Duration::from_secs(12);

    /// The quality since this was asked last, if it is another one than then.
    fn judge(&mut self, stats: &LegStats, now: Duration) -> Option<Quality> {
        // Both may shrink: a packet that was taken for lost may still come, and so may one of a new source.
        let packets = stats.packets.saturating_sub(self.packets);
        let missing = (stats.lost + stats.late).saturating_sub(self.missing);
        (self.packets, self.missing) = (stats.packets, stats.lost + stats.late);
        let there = self.there.filter(|(_, at)| now.saturating_sub(*at) <= Self::REPORTED_WITHIN);
        // Who sends nothing while nobody speaks loses nothing either.
        let here = (packets > 0).then(|| missing as f64 / (packets + missing) as f64);
        let share = here.into_iter().chain(there.map(|(share, _)| share)).reduce(f64::max)?;
        let quality = if share >= Self::POOR_LOSS {
            Quality::Poor
        } else if share >= Self::FAIR_LOSS || (packets > 0 && stats.jitter_ms >= Self::FAIR_JITTER_MS) {
            Quality::Fair
        } else {
            Quality::Good
        };
        (self.quality.replace(quality) != Some(quality)).then_some(quality)
    }
}

/// Bytes of a report made by [`Session::report`] at most.
pub const REPORT_BYTES: usize = REPORT + OVERHEAD;

/// So many per second, and a second's worth at once after a stall.
#[derive(Debug)]
struct Allowance {
    per_second: f64,
    left: f64,
    since: Duration,
}

impl Allowance {
    fn new(per_second: u32, now: Duration) -> Self {
        Self { per_second: f64::from(per_second), left: f64::from(per_second), since: now }
    }

    fn take(&mut self, now: Duration) -> bool {
        let gained = now.saturating_sub(self.since).as_secs_f64() * self.per_second;
        self.since = self.since.max(now);
        self.left = (self.left + gained).min(self.per_second);
        let is_left = self.left >= 1.0;
        self.left -= f64::from(u8::from(is_left));
        is_left
    }
}
