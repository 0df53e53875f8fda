//! What a leg says: one RTP stream, whatever its sources, as a value. No sockets, no clock.
//!
//! Audio comes in two ways. A packet that another leg has just received is passed on as it is when both ends
//! speak the same codec, and transcoded on the spot otherwise; it never waits in a buffer, because the end that
//! hears it has a jitter buffer of its own. Or a frame comes every 20 ms, made of several people and tones.
//! Either way the stream that goes out has one source, and its sequence numbers and timestamps go on without
//! a jump that the far end could take for loss.

use std::collections::VecDeque;
use std::time::Duration;

use sotto_audio::{
    Codec, Decoder, Encoder, FRAME_MS, FRAME_SAMPLES, Limiter, MAX_PACKET_SAMPLES, MAX_PAYLOAD, Mix, RATE,
    Tone,
};

use crate::MediaError;
use crate::rtp::{HEADER, Header};
use crate::session::LegFormat;
use crate::srtp::Outbound;

/// The longest packet sent, before it is encrypted.
pub const MAX_SPOKEN: usize = HEADER + MAX_PAYLOAD;

/// Audio in a packet of ours.
const PACKET: Duration = Duration::from_millis(sotto_audio::FRAME_MS);

/// A source that has said nothing for so long is silent, not late: what is announced does not wait for it.
const SILENT: Duration = Duration::from_millis(200);

/// Keys that are remembered, so that what comes late of one is not taken for another.
const PRESSES: usize = 4;

/// Keys told by signalling that wait to be said, at most.
const KEYS: usize = 16;
/// How long such a key is said at least, so that everybody hears it, and at most: the next one waits for it.
const SHORTEST_KEY_MS: u64 = 40;
const LONGEST_KEY_MS: u64 = 1_000;
/// How often the end of a key is said (RFC 4733 section 2.5.1.4).
const ENDS: u8 = 3;

/// Packets missing in a row that are taken for loss; more, and the sender has begun anew.
const MOST_LOST: i16 = 100;

/// What a packet between legs carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Audio.
    Audio(Codec),
    /// A telephone event (RFC 4733), whose durations count at this clock rate.
    Event(u32),
    /// A key that signalling has told (INFO), without a packet of its own: whoever says it makes an event of it.
    Key {
        /// Its event code.
        code: u8,
        /// How long it was held.
        held_ms: u64,
    },
}

impl Kind {
    /// Whether it is of a key.
    pub(crate) fn is_key(self) -> bool {
        matches!(self, Self::Event(_) | Self::Key { .. })
    }
}

/// A packet on its way from the leg that received it to a leg that says it.
#[derive(Clone)]
pub struct Spoken {
    /// What it carries.
    pub kind: Kind,
    /// Its header as received.
    pub header: Header,
    length: usize,
    bytes: [u8; MAX_PAYLOAD],
}

impl Spoken {
    /// A packet as it was received. `None` for a payload that is larger than any packet we send.
    #[must_use]
    pub fn new(kind: Kind, header: Header, payload: &[u8]) -> Option<Self> {
        let mut bytes = [0; MAX_PAYLOAD];
        bytes.get_mut(..payload.len())?.copy_from_slice(payload);
        Some(Self { kind, header, length: payload.len(), bytes })
    }

    /// A key that signalling has told.
    pub(crate) fn key(code: u8, held_ms: u64) -> Self {
        let kind = Kind::Key { code, held_ms };
        Self { kind, header: Header::default(), length: 0, bytes: [0; MAX_PAYLOAD] }
    }

    /// What the packet carries.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Where the words of a leg come from at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Nothing yet, or nothing any more.
    None,
    /// Frames.
    Frames,
    /// Packets of another leg.
    Packets(Relayed),
}

/// How the packets of a source become ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Relayed {
    ssrc: u32,
    kind: Codec,
    /// Of its latest packet.
    sequence: u16,
    /// Where its next packet is expected to begin, on its clock.
    expected: u32,
    /// From its numbers to ours, while packets are passed on as they are.
    sequence_offset: u16,
    timestamp_offset: u32,
}

/// A key that is passed on (RFC 4733).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Press {
    ssrc: u32,
    /// Its timestamp as received, and as sent.
    began: u32,
    timestamp: u32,
    /// When the last of it was sent.
    last: Duration,
    is_over: bool,
}

/// A key that signalling has told, as it is being said.
#[derive(Clone, Copy, Debug)]
struct Told {
    code: u8,
    timestamp: u32,
    held_ms: u64,
    said_ms: u64,
    /// How often its end was said.
    ends: u8,
}

/// One outgoing stream. Allocates nothing after it was made, or once a packet when it is encrypted.
pub struct Talker {
    codec: Codec,
    payload_type: u8,
    event: Option<(u8, u32)>,
    ssrc: u32,
    /// Of the next packet.
    sequence: u16,
    /// Of the next packet, if it follows the last one without a pause.
    timestamp: u32,
    /// When the last packet was sent.
    last: Duration,
    marker: bool,
    source: Source,
    /// The newest first.
    presses: [Option<Press>; PRESSES],
    /// Keys that wait to be said, each with how long it was held, and the one that is being said.
    keys: VecDeque<(u8, u64)>,
    told: Option<Told>,
    /// What is announced, and how far it has come.
    announced: Option<(Tone, u64)>,
    limiter: Limiter,
    encoder: Encoder,
    decoder: Decoder,
    /// Decoded samples that do not fill a packet yet.
    pending: [f32; FRAME_SAMPLES],
    waiting: usize,
    decoded: Box<[f32; MAX_PACKET_SAMPLES]>,
    packet: [u8; MAX_SPOKEN],
    protection: Option<Outbound>,
    stats: TalkStats,
}

/// What a leg has sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TalkStats {
    /// Packets of all kinds.
    pub packets: u64,
    /// Of these, the ones whose audio was decoded and encoded again.
    pub transcoded: u64,
    /// Packets not passed on: too late, malformed, of a kind the far end does not take, or not to be encrypted.
    pub dropped: u64,
}

impl Talker {
    /// A stream of `ssrc` in the first codec of `format`, for sources that may speak any of `from`.
    ///
    /// # Errors
    /// When a codec or a key cannot be prepared.
    pub fn new(format: &LegFormat, from: &[Codec], ssrc: u32) -> Result<Self, MediaError> {
        let mut protection = None;
        Outbound::agree(&mut protection, format.srtp.as_ref())?;
        let (payload_type, codec) = format.payloads.first().copied().unwrap_or((0, Codec::Pcmu));
        Ok(Self {
            codec,
            payload_type,
            event: format.telephone_event,
            ssrc,
            // In the lower half, so that nobody who misses the first packets is wrong about how often it has
            // come around (RFC 3711 section 3.3.1), and not so low that one overtaken would be below zero.
            sequence: ssrc as u16 & 0x7fff | 0x100,
            timestamp: ssrc.rotate_left(16),
            last: Duration::ZERO,
            marker: true,
            source: Source::None,
            presses: [None; PRESSES],
            keys: VecDeque::with_capacity(KEYS),
            told: None,
            announced: None,
            limiter: Limiter::default(),
            encoder: Encoder::new(codec)?,
            decoder: Decoder::new(from)?,
            pending: [0.0; FRAME_SAMPLES],
            waiting: 0,
            decoded: Box::new([0.0; MAX_PACKET_SAMPLES]),
            packet: [0; MAX_SPOKEN],
            protection,
            stats: TalkStats::default(),
        })
    }

    /// A new agreement with the far end. The stream goes on.
    ///
    /// # Errors
    /// When a codec or a key cannot be prepared.
    pub fn update(&mut self, format: &LegFormat) -> Result<(), MediaError> {
        Outbound::agree(&mut self.protection, format.srtp.as_ref())?;
        let (payload_type, codec) = format.payloads.first().copied().unwrap_or((0, Codec::Pcmu));
        if codec != self.codec {
            self.encoder = Encoder::new(codec)?;
            self.codec = codec;
            self.source = Source::None;
        }
        self.payload_type = payload_type;
        self.event = format.telephone_event;
        Ok(())
    }

    /// What was sent so far.
    #[must_use]
    pub fn stats(&self) -> TalkStats {
        self.stats
    }

    /// Says a packet that another leg has received.
    pub fn relay(&mut self, spoken: &Spoken, now: Duration, mut send: impl FnMut(&[u8])) {
        match spoken.kind {
            Kind::Audio(codec) => self.audio(codec, spoken, now, &mut send),
            Kind::Event(rate) => self.event(rate, spoken, now, &mut send),
            Kind::Key { code, held_ms } if self.event.is_some() && self.keys.len() < KEYS => {
                self.keys.push_back((code, held_ms.clamp(SHORTEST_KEY_MS, LONGEST_KEY_MS)));
            }
            Kind::Key { .. } => self.stats.dropped += 1,
        }
    }

    /// Says the next 20 ms of the keys that signalling has told, one after the other, beside whatever else is said. To be
    /// called every 20 ms, before the rest.
    pub fn press(&mut self, now: Duration, mut send: impl FnMut(&[u8])) {
        let Some((payload_type, rate)) = self.event else { return };
        let Some(mut key) = self.told.take().or_else(|| self.next_key(now)) else { return };
        let marker = key.said_ms == 0;
        key.said_ms = key.held_ms.min(key.said_ms + FRAME_MS);
        let is_over = key.said_ms == key.held_ms;
        key.ends += u8::from(is_over);
        let held = key.said_ms * u64::from(rate) / 1_000;
        let [d0, d1] = u16::try_from(held).unwrap_or(u16::MAX).to_be_bytes();
        let (sequence, timestamp) = (self.sequence, key.timestamp);
        // What is passed on comes one place later from now on.
        self.sequence = sequence.wrapping_add(1);
        if let Source::Packets(relayed) = &mut self.source {
            relayed.sequence_offset = relayed.sequence_offset.wrapping_add(1);
        }
        // Nobody has spoken meanwhile: the silence before the next words goes on.
        let last = self.last;
        let out = Header { marker, payload_type, sequence, timestamp, ssrc: self.ssrc };
        self.send(out, &[key.code, if is_over { 0x8a } else { 0x0a }, d0, d1], now, &mut send);
        self.last = last;
        self.told = (key.ends < ENDS).then_some(key);
    }

    /// The key that is to be said now, unless somebody's packets of one are being passed on.
    fn next_key(&mut self, now: Duration) -> Option<Told> {
        if self.presses[0].is_some_and(|press| !press.is_over && now.saturating_sub(press.last) < SILENT) {
            return None;
        }
        let (code, held_ms) = self.keys.pop_front()?;
        let silent = if self.source == Source::Frames { 0 } else { self.silent(now) };
        let timestamp = self.timestamp.wrapping_add(silent);
        Some(Told { code, timestamp, held_ms, said_ms: 0, ends: 0 })
    }

    /// Says 20 ms made of several sources.
    pub fn frame(&mut self, samples: &[f32; FRAME_SAMPLES], now: Duration, mut send: impl FnMut(&[u8])) {
        if self.source != Source::Frames {
            self.begin(now);
            self.source = Source::Frames;
        }
        self.encode(samples, now, &mut send);
    }

    /// Nobody is to hear anything for a while: what is said next begins anew, without a jump that could be taken for
    /// loss.
    pub fn fall_silent(&mut self) {
        self.source = Source::None;
    }

    /// Lets a tone that comes to an end be heard together with what is said. Packets are decoded for it meanwhile,
    /// and no later than else.
    pub fn announce(&mut self, tone: Tone) {
        self.announced = Some((tone, 0));
    }

    /// Says the next 20 ms of what is announced, if nobody speaks who could be heard with it. To be called every
    /// 20 ms while packets are passed on.
    pub fn announce_alone(&mut self, now: Duration, send: impl FnMut(&[u8])) {
        let speaks = matches!(self.source, Source::Packets(_)) && now.saturating_sub(self.last) <= SILENT;
        if self.announced.is_some() && !speaks {
            self.frame(&[0.0; FRAME_SAMPLES], now, send);
        }
    }

    /// The same 20 ms with what is announced.
    fn with_announced(&mut self, samples: &[f32; FRAME_SAMPLES]) -> [f32; FRAME_SAMPLES] {
        let Some((tone, at)) = self.announced else { return *samples };
        self.announced = (tone.frames().unwrap_or(0) > at + 1).then_some((tone, at + 1));
        let mut mix = Mix::default();
        mix.add(samples);
        mix.add(&tone.frame(at));
        mix.finish(&mut self.limiter)
    }

    /// Prepares for another source: time has passed since the end of the last packet, if it was of 20 ms.
    fn begin(&mut self, now: Duration) {
        self.timestamp = self.timestamp.wrapping_add(self.silent(now));
        self.marker = true;
        self.waiting = 0;
    }

    /// How long nothing was said, on our clock.
    fn silent(&self, now: Duration) -> u32 {
        if self.stats.packets == 0 {
            return 0;
        }
        let silent = now.saturating_sub(self.last + PACKET).as_micros() * u128::from(self.codec.clock_rate());
        (silent / 1_000_000) as u32
    }

    /// The source the packet belongs to, and how many packets of it are missing before this one. `None` when
    /// it has been overtaken.
    fn follow(&mut self, codec: Codec, header: &Header, now: Duration) -> Option<(Relayed, u16)> {
        if let Source::Packets(relayed) = self.source
            && (relayed.ssrc, relayed.kind) == (header.ssrc, codec)
        {
            let step = header.sequence.wrapping_sub(relayed.sequence) as i16;
            if (1..=MOST_LOST).contains(&step) {
                return Some((relayed, (step - 1) as u16));
            }
            if (-MOST_LOST..=0).contains(&step) {
                return None;
            }
        }
        self.begin(now);
        let relayed = Relayed {
            ssrc: header.ssrc,
            kind: codec,
            sequence: header.sequence,
            expected: header.timestamp,
            sequence_offset: self.sequence.wrapping_sub(header.sequence),
            timestamp_offset: self.timestamp.wrapping_sub(header.timestamp),
        };
        Some((relayed, 0))
    }

    fn audio(&mut self, codec: Codec, spoken: &Spoken, now: Duration, send: &mut impl FnMut(&[u8])) {
        let header = &spoken.header;
        let Ok(units) = codec.duration(spoken.payload()) else {
            self.stats.dropped += 1;
            return;
        };
        if codec == self.codec && self.announced.is_none() {
            return self.pass(codec, units, spoken, now, send);
        }
        let Some((mut relayed, lost)) = self.follow(codec, header, now) else {
            self.stats.dropped += 1;
            return;
        };
        // The sender was silent, or packets are missing: ours jump as far, and the far end conceals.
        let gap = header.timestamp.wrapping_sub(relayed.expected);
        relayed.sequence = header.sequence;
        relayed.expected = header.timestamp.wrapping_add(units);
        self.source = Source::Packets(relayed);
        if gap > 0 && gap < 60 * codec.clock_rate() {
            self.timestamp = self.timestamp.wrapping_add(self.scale(gap, codec.clock_rate()));
            self.waiting = 0;
            self.marker |= lost == 0;
        }
        self.sequence = self.sequence.wrapping_add(lost);
        self.marker |= header.marker && lost == 0;
        let Ok(count) = self.decoder.decode(codec, spoken.payload(), &mut self.decoded[..]) else {
            self.stats.dropped += 1;
            return;
        };
        self.stats.transcoded += 1;
        let mut taken = 0;
        while taken < count {
            let room = FRAME_SAMPLES - self.waiting;
            let piece = room.min(count - taken);
            self.pending[self.waiting..self.waiting + piece]
                .copy_from_slice(&self.decoded[taken..taken + piece]);
            self.waiting += piece;
            taken += piece;
            if self.waiting == FRAME_SAMPLES {
                self.waiting = 0;
                let frame = self.pending;
                self.encode(&frame, now, send);
            }
        }
        // What follows may be passed on as it is.
        if let Source::Packets(relayed) = &mut self.source {
            relayed.sequence_offset = self.sequence.wrapping_sub(header.sequence.wrapping_add(1));
            relayed.timestamp_offset = self.timestamp.wrapping_sub(relayed.expected);
        }
    }

    /// The same codec on both sides: only the header changes.
    fn pass(
        &mut self,
        codec: Codec,
        units: u32,
        spoken: &Spoken,
        now: Duration,
        send: &mut impl FnMut(&[u8]),
    ) {
        let header = &spoken.header;
        let relayed = match self.source {
            // What was overtaken keeps its place: putting it right is the far end's work.
            Source::Packets(relayed)
                if (relayed.ssrc, relayed.kind) == (header.ssrc, codec)
                    && (-MOST_LOST..=MOST_LOST)
                        .contains(&(header.sequence.wrapping_sub(relayed.sequence) as i16)) =>
            {
                relayed
            }
            _ => match self.follow(codec, header, now) {
                Some((relayed, _)) => relayed,
                None => return,
            },
        };
        let out = Header {
            marker: header.marker || std::mem::take(&mut self.marker),
            payload_type: self.payload_type,
            sequence: header.sequence.wrapping_add(relayed.sequence_offset),
            timestamp: header.timestamp.wrapping_add(relayed.timestamp_offset),
            ssrc: self.ssrc,
        };
        let is_newest = header.sequence.wrapping_sub(relayed.sequence) as i16 >= 0;
        if is_newest {
            let expected = header.timestamp.wrapping_add(units);
            self.source = Source::Packets(Relayed { sequence: header.sequence, expected, ..relayed });
            self.sequence = out.sequence.wrapping_add(1);
            self.timestamp = out.timestamp.wrapping_add(units);
        }
        self.send(out, spoken.payload(), now, send);
    }

    fn event(&mut self, rate: u32, spoken: &Spoken, now: Duration, send: &mut impl FnMut(&[u8])) {
        let header = &spoken.header;
        let (Some((payload_type, our_rate)), [code, flags, d0, d1, ..]) = (self.event, spoken.payload())
        else {
            self.stats.dropped += 1;
            return;
        };
        let known = self.presses.iter().position(|press| {
            press.is_some_and(|press| (press.ssrc, press.began) == (header.ssrc, header.timestamp))
        });
        // Keys that two people press at once would be torn to pieces: who came first is heard.
        let is_pressed = |press: &Press| {
            press.ssrc != header.ssrc && !press.is_over && now.saturating_sub(press.last) < SILENT
        };
        let is_taken = self.told.is_some() || self.presses[0].as_ref().is_some_and(is_pressed);
        if known.is_none() && is_taken {
            self.stats.dropped += 1;
            return;
        }
        let Some((sequence, fresh)) = self.place_of_event(header, now) else {
            self.stats.dropped += 1;
            return;
        };
        if known.is_none() {
            let (ssrc, began) = (header.ssrc, header.timestamp);
            self.presses.rotate_right(1);
            self.presses[0] = Some(Press { ssrc, began, timestamp: fresh, last: now, is_over: false });
        }
        let Some(press) = &mut self.presses[known.unwrap_or(0)] else { return };
        press.last = now;
        press.is_over |= flags & 0x80 != 0;
        let timestamp = press.timestamp;
        self.sequence = sequence.wrapping_add(1);
        let held = u64::from(u16::from_be_bytes([*d0, *d1])) * u64::from(our_rate) / u64::from(rate.max(1));
        let [d0, d1] = u16::try_from(held).unwrap_or(u16::MAX).to_be_bytes();
        self.marker = false;
        let out = Header { marker: header.marker, payload_type, sequence, timestamp, ssrc: self.ssrc };
        self.send(out, &[*code, *flags, d0, d1], now, send);
    }

    /// The sequence number of an event's packet, and the timestamp of an event that begins with it; `None` when the
    /// packet has been overtaken. Beside a mix, whose frames go on meanwhile, it follows the frame before it.
    fn place_of_event(&mut self, header: &Header, now: Duration) -> Option<(u16, u32)> {
        // Before any audio there is no source yet to follow: the event is its beginning.
        let codec = match self.source {
            Source::Frames => return Some((self.sequence, self.timestamp)),
            Source::Packets(relayed) => relayed.kind,
            Source::None => self.codec,
        };
        let (mut relayed, lost) = self.follow(codec, header, now)?;
        relayed.sequence = header.sequence;
        self.source = Source::Packets(relayed);
        Some(if codec == self.codec {
            let as_received = header.timestamp.wrapping_add(relayed.timestamp_offset);
            (header.sequence.wrapping_add(relayed.sequence_offset), as_received)
        } else {
            (self.sequence.wrapping_add(lost), self.timestamp)
        })
    }

    fn encode(&mut self, samples: &[f32; FRAME_SAMPLES], now: Duration, send: &mut impl FnMut(&[u8])) {
        let samples = &self.with_announced(samples);
        let mut payload = [0; MAX_PAYLOAD];
        let units = FRAME_SAMPLES as u32 * (self.codec.clock_rate() / 1_000) / (RATE / 1_000);
        let header = Header {
            marker: std::mem::take(&mut self.marker),
            payload_type: self.payload_type,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
        };
        self.timestamp = self.timestamp.wrapping_add(units);
        let Ok(length) = self.encoder.encode(samples, &mut payload) else {
            self.stats.dropped += 1;
            return;
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.send(header, &payload[..length], now, send);
    }

    fn send(&mut self, header: Header, payload: &[u8], now: Duration, send: &mut impl FnMut(&[u8])) {
        let length = HEADER + payload.len();
        self.packet[..HEADER].copy_from_slice(&header.to_bytes());
        self.packet[HEADER..length].copy_from_slice(payload);
        self.last = now;
        let packet = &self.packet[..length];
        match &mut self.protection {
            None => send(packet),
            Some(protection) => match protection.rtp(packet) {
                Some(protected) => send(&protected),
                None => {
                    self.stats.dropped += 1;
                    return;
                }
            },
        }
        self.stats.packets += 1;
    }

    /// A length on another clock, on ours.
    fn scale(&self, units: u32, rate: u32) -> u32 {
        (u64::from(units) * u64::from(self.codec.clock_rate()) / u64::from(rate.max(1))) as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn format(codec: Codec) -> LegFormat {
        let payload_type = match codec {
            Codec::Pcmu => 0,
            Codec::Pcma => 8,
            Codec::G722 => 9,
            Codec::Opus => 96,
        };
        let rate = if codec == Codec::Opus { 48_000 } else { 8_000 };
        LegFormat {
            payloads: vec![(payload_type, codec)],
            telephone_event: Some((101, rate)),
            ptime_ms: None,
            srtp: None,
        }
    }

    fn talker(codec: Codec) -> Talker {
        Talker::new(&format(codec), &Codec::ALL, 0x1234_5678).unwrap()
    }

    fn ulaw(sequence: u16, timestamp: u32) -> Spoken {
        let header = Header { marker: false, payload_type: 0, sequence, timestamp, ssrc: 7 };
        Spoken::new(Kind::Audio(Codec::Pcmu), header, &[0x80; 160]).unwrap()
    }

    fn said(talker: &mut Talker, spoken: &Spoken, now_ms: u64) -> Vec<(Header, usize)> {
        let mut out = Vec::new();
        talker.relay(spoken, Duration::from_millis(now_ms), |packet| out.push(read(packet)));
        out
    }

    fn read(packet: &[u8]) -> (Header, usize) {
        let (header, payload) = Header::parse(packet).unwrap();
        (header, payload.len())
    }

    #[test]
    fn the_same_codec_is_passed_on_with_its_gaps_and_order() {
        let mut talker = talker(Codec::Pcmu);
        let first = said(&mut talker, &ulaw(10, 1_000), 0)[0].0;
        assert!(first.marker);
        for (sequence, timestamp) in [(11, 1_160), (13, 1_480), (12, 1_320), (14, 1_640)] {
            let (out, length) = said(&mut talker, &ulaw(sequence, timestamp), 20)[0];
            assert_eq!(out.sequence.wrapping_sub(first.sequence), sequence - 10);
            assert_eq!(out.timestamp.wrapping_sub(first.timestamp), timestamp - 1_000);
            assert_eq!((out.ssrc, out.marker, length), (0x1234_5678, false, 160));
        }
    }

    #[test]
    fn another_sender_goes_on_in_the_same_stream() {
        let mut talker = talker(Codec::Pcmu);
        let first = said(&mut talker, &ulaw(10, 1_000), 0)[0].0;
        let mut other = ulaw(60_000, 9);
        other.header.ssrc = 8;
        let next = said(&mut talker, &other, 100)[0].0;
        assert_eq!(next.ssrc, first.ssrc);
        assert_eq!(next.sequence, first.sequence.wrapping_add(1));
        assert_eq!(next.timestamp.wrapping_sub(first.timestamp), 800);
        assert!(next.marker);
    }

    #[test]
    fn a_sender_that_begins_anew_under_the_same_name_does_not_jump() {
        let mut talker = talker(Codec::Pcmu);
        let first = said(&mut talker, &ulaw(10, 1_000), 0)[0].0;
        let next = said(&mut talker, &ulaw(40_000, 77), 20)[0].0;
        assert_eq!(next.sequence, first.sequence.wrapping_add(1));
        assert_eq!(next.timestamp.wrapping_sub(first.timestamp), 160);
    }

    /// Half the circle of sequence numbers has no sign: its distance cannot be negated.
    #[test]
    fn a_number_half_a_circle_away_begins_anew() {
        let mut talker = talker(Codec::Pcmu);
        let first = said(&mut talker, &ulaw(10, 1_000), 0)[0].0;
        let next = said(&mut talker, &ulaw(10 + 0x8000, 77), 20)[0].0;
        assert_eq!(next.sequence, first.sequence.wrapping_add(1));
        assert_eq!(next.timestamp.wrapping_sub(first.timestamp), 160);
    }

    #[test]
    fn transcoding_keeps_time_when_packets_are_lost_or_late() {
        let mut talker = talker(Codec::Opus);
        let first = said(&mut talker, &ulaw(10, 1_000), 0)[0].0;
        let second = said(&mut talker, &ulaw(11, 1_160), 20)[0].0;
        assert_eq!(second.timestamp.wrapping_sub(first.timestamp), 960);
        // 12 is lost, and comes when 13 has been said.
        let third = said(&mut talker, &ulaw(13, 1_480), 60)[0].0;
        assert_eq!(third.timestamp.wrapping_sub(second.timestamp), 2 * 960);
        assert_eq!(third.sequence.wrapping_sub(second.sequence), 2);
        assert_eq!(said(&mut talker, &ulaw(12, 1_320), 61), []);
        assert_eq!(talker.stats().dropped, 1);
    }

    #[test]
    fn packets_of_any_length_become_packets_of_20_ms() {
        let mut talker = talker(Codec::Opus);
        let mut out = Vec::new();
        for n in 0..4_u16 {
            let header = Header { sequence: n, timestamp: u32::from(n) * 240, ssrc: 7, ..Header::default() };
            let spoken = Spoken::new(Kind::Audio(Codec::Pcma), header, &[0xd5; 240]).unwrap();
            out.extend(said(&mut talker, &spoken, u64::from(n) * 30));
        }
        assert_eq!(out.len(), 6);
        for pair in out.windows(2) {
            assert_eq!(pair[1].0.timestamp.wrapping_sub(pair[0].0.timestamp), 960);
            assert_eq!(pair[1].0.sequence.wrapping_sub(pair[0].0.sequence), 1);
        }
    }

    #[test]
    fn keys_are_passed_on_at_the_other_clock() {
        let mut talker = talker(Codec::Opus);
        let audio = said(&mut talker, &ulaw(10, 1_000), 0)[0].0;
        let key = |sequence, held: u16, end: bool| {
            let header =
                Header { marker: held == 160, payload_type: 101, sequence, timestamp: 1_160, ssrc: 7 };
            let [d0, d1] = held.to_be_bytes();
            Spoken::new(Kind::Event(8_000), header, &[5, if end { 0x8a } else { 0x0a }, d0, d1]).unwrap()
        };
        let mut out = Vec::new();
        for (n, (held, end)) in [(160, false), (320, false), (480, true)].into_iter().enumerate() {
            talker.relay(&key(11 + n as u16, held, end), Duration::from_millis(20), |p| out.push(p.to_vec()));
        }
        let held: Vec<_> = out.iter().map(|p| u16::from_be_bytes([p[14], p[15]])).collect();
        assert_eq!(held, [960, 1_920, 2_880]);
        let stamps: Vec<_> = out.iter().map(|p| read(p).0.timestamp.wrapping_sub(audio.timestamp)).collect();
        assert_eq!(stamps, [960; 3]);
        assert_eq!(out[0][1] & 0x7f, 101);
        assert_eq!(out[2][13], 0x8a);
        // The audio after it takes up where the key ended.
        let after = said(&mut talker, &ulaw(14, 1_640), 80)[0].0;
        assert_eq!(after.timestamp.wrapping_sub(audio.timestamp), 960 + 2_880);
        assert_eq!(after.sequence.wrapping_sub(audio.sequence), 4);
    }

    /// A packet of a key that `ssrc` has pressed at `began`.
    fn key(code: u8, ssrc: u32, sequence: u16, began: u32, is_over: bool) -> Spoken {
        let header = Header { marker: false, payload_type: 101, sequence, timestamp: began, ssrc };
        let flags = if is_over { 0x8a } else { 0x0a };
        Spoken::new(Kind::Event(8_000), header, &[code, flags, 0, 160]).unwrap()
    }

    /// Code, sequence number and timestamp of the event that was said, if it was.
    fn key_said(talker: &mut Talker, spoken: &Spoken, now_ms: u64) -> Option<(u8, u16, u32)> {
        let mut out = None;
        talker.relay(spoken, Duration::from_millis(now_ms), |packet| {
            let (header, payload) = Header::parse(packet).unwrap();
            assert_eq!(header.payload_type, 101);
            out = Some((payload[0], header.sequence, header.timestamp));
        });
        out
    }

    #[test]
    fn keys_are_said_beside_a_mix_each_as_one_event() {
        let mut talker = talker(Codec::Pcmu);
        let mut mixed = Vec::new();
        let mut mix = |talker: &mut Talker, at: u64| {
            talker.frame(&[0.1; FRAME_SAMPLES], Duration::from_millis(at), |p| mixed.push(read(p).0));
        };
        let mut said = Vec::new();
        for n in 0..6_u16 {
            let at = 20 * u64::from(n);
            mix(&mut talker, at);
            said.extend(key_said(&mut talker, &key(5, 7, 40 + n, 900, n > 2), at + 5));
        }
        mix(&mut talker, 120);
        said.extend(key_said(&mut talker, &key(6, 7, 46, 2_000, true), 125));
        assert_eq!(said.iter().map(|(code, ..)| *code).collect::<Vec<_>>(), [5, 5, 5, 5, 5, 5, 6]);
        let begins = |said: &(u8, u16, u32)| said.2.wrapping_sub(mixed[0].timestamp);
        assert_eq!(said.iter().map(begins).collect::<Vec<_>>(), [160, 160, 160, 160, 160, 160, 1_120]);
        // One stream: every number once, and the sound goes on as if there were no keys.
        let mut numbers: Vec<u16> = mixed.iter().map(|header| header.sequence).collect();
        numbers.extend(said.iter().map(|(_, sequence, _)| sequence));
        numbers.sort_by_key(|number| number.wrapping_sub(mixed[0].sequence));
        assert!(numbers.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == 1), "{numbers:?}");
        assert!(mixed.windows(2).all(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp) == 160));
    }

    #[test]
    fn a_key_that_is_held_while_a_mix_begins_stays_one_key() {
        let mut talker = talker(Codec::Pcmu);
        said(&mut talker, &ulaw(10, 1_000), 0);
        let before = key_said(&mut talker, &key(5, 7, 11, 1_160, false), 20).unwrap();
        talker.frame(&[0.1; FRAME_SAMPLES], Duration::from_millis(40), |_| {});
        let after = key_said(&mut talker, &key(5, 7, 12, 1_160, true), 45).unwrap();
        assert_eq!((after.0, after.2), (5, before.2));
    }

    #[test]
    fn of_two_keys_at_once_in_a_mix_the_first_is_said_whole() {
        let mut talker = talker(Codec::Pcmu);
        talker.frame(&[0.1; FRAME_SAMPLES], Duration::ZERO, |_| {});
        let first = key_said(&mut talker, &key(1, 7, 10, 800, false), 5).unwrap();
        assert_eq!(key_said(&mut talker, &key(2, 8, 90, 50, false), 6), None);
        let end = key_said(&mut talker, &key(1, 7, 11, 800, true), 25).unwrap();
        assert_eq!(end.2, first.2);
        talker.frame(&[0.1; FRAME_SAMPLES], Duration::from_millis(40), |_| {});
        let second = key_said(&mut talker, &key(2, 8, 91, 50, true), 45).unwrap();
        assert!(second.0 == 2 && second.2 != first.2);
        // What comes once more of the first is still the first.
        assert_eq!(key_said(&mut talker, &key(1, 7, 12, 800, true), 50).unwrap().2, first.2);
    }

    /// Every packet that is said of keys told by signalling, and of a voice that goes on meanwhile.
    fn keys_told(codec: Codec, keys: &[(u8, u64)], voice: bool) -> (Vec<Header>, Vec<(Header, [u8; 4])>) {
        let mut talker = talker(codec);
        let (mut audio, mut events) = (Vec::new(), Vec::new());
        let mut take = |packet: &[u8]| {
            let (header, payload) = Header::parse(packet).unwrap();
            match header.payload_type {
                101 => events.push((header, payload.try_into().unwrap())),
                _ => audio.push(header),
            }
        };
        talker.relay(&ulaw(9, 840), Duration::ZERO, &mut take);
        for (code, held_ms) in keys {
            talker.relay(&Spoken::key(*code, *held_ms), Duration::from_millis(10), &mut take);
        }
        for n in 0..40_u16 {
            let now = Duration::from_millis(20 * (u64::from(n) + 1));
            talker.press(now, &mut take);
            if voice {
                talker.relay(&ulaw(10 + n, 1_000 + 160 * u32::from(n)), now, &mut take);
            }
        }
        (audio, events)
    }

    #[test]
    fn keys_that_signalling_tells_become_events_one_after_the_other() {
        for (codec, clock) in [(Codec::Pcmu, 8), (Codec::Opus, 48)] {
            for voice in [true, false] {
                let (audio, events) = keys_told(codec, &[(5, 100), (5, 1), (11, 90_000)], voice);
                let of = |stamp: u32| events.iter().filter(move |(header, _)| header.timestamp == stamp);
                let mut stamps: Vec<u32> = events.iter().map(|(header, _)| header.timestamp).collect();
                stamps.dedup();
                assert_eq!(stamps.len(), 3, "{codec:?} {voice}: {events:?}");
                let said: Vec<_> =
                    of(stamps[0]).map(|(_, p)| (p[0], p[1] >> 7, u16::from_be_bytes([p[2], p[3]]))).collect();
                let wanted = [(20, 0), (40, 0), (60, 0), (80, 0), (100, 1), (100, 1), (100, 1)];
                assert_eq!(said, wanted.map(|(ms, end)| (5, end, ms * clock)));
                assert_eq!(
                    (of(stamps[1]).count(), of(stamps[2]).count()),
                    (4, 40 - 7 - 4),
                    "the last is held still"
                );
                let starts = events.iter().filter(|(header, _)| header.marker);
                assert_eq!(starts.count(), 3);
                // One stream: every number once, and the sound goes on as if there were no keys.
                let all = audio.iter().chain(events.iter().map(|(header, _)| header));
                let mut numbers: Vec<u16> =
                    all.map(|header| header.sequence.wrapping_sub(audio[0].sequence)).collect();
                numbers.sort_unstable();
                assert!(numbers.iter().zip(0..).all(|(number, n)| *number == n), "{numbers:?}");
                let steps = audio.windows(2).map(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp));
                assert!(
                    steps.clone().all(|step| step == 160 * u32::from(clock) / 8),
                    "{:?}",
                    steps.collect::<Vec<_>>()
                );
            }
        }
    }

    #[test]
    fn a_key_that_signalling_tells_waits_for_one_that_is_passed_on() {
        let mut talker = talker(Codec::Pcmu);
        said(&mut talker, &ulaw(10, 1_000), 0);
        let first = key_said(&mut talker, &key(1, 7, 11, 1_160, false), 20).unwrap();
        talker.relay(&Spoken::key(2, 40), Duration::from_millis(20), |_| {});
        let mut told = Vec::new();
        let mut press = |talker: &mut Talker, at: u64| {
            talker.press(Duration::from_millis(at), |packet| told.push(packet[12]));
        };
        press(&mut talker, 40);
        let end = key_said(&mut talker, &key(1, 7, 12, 1_160, true), 45).unwrap();
        assert_eq!(end.2, first.2);
        press(&mut talker, 60);
        // And the other way round.
        assert_eq!(key_said(&mut talker, &key(3, 7, 13, 2_000, false), 65), None);
        assert_eq!(told, [2]);
    }

    #[test]
    fn what_is_said_after_a_silence_that_was_agreed_on_is_no_loss() {
        let mut talker = talker(Codec::Pcmu);
        let first = said(&mut talker, &ulaw(10, 1_000), 0)[0].0;
        talker.fall_silent();
        let next = said(&mut talker, &ulaw(60, 9_000), 1_000)[0].0;
        assert_eq!(next.sequence, first.sequence.wrapping_add(1));
        assert_eq!(next.timestamp.wrapping_sub(first.timestamp), 8_000);
        assert!(next.marker);
    }

    #[test]
    fn frames_and_packets_take_turns_in_one_stream() {
        let mut talker = talker(Codec::Pcmu);
        let first = said(&mut talker, &ulaw(10, 1_000), 0)[0].0;
        let mut out = Vec::new();
        for n in 1..=3 {
            talker.frame(&[0.1; FRAME_SAMPLES], Duration::from_millis(20 * n), |p| out.push(read(p).0));
        }
        out.extend(said(&mut talker, &ulaw(14, 1_640), 80).into_iter().map(|(header, _)| header));
        let steps: Vec<_> = out.iter().map(|h| h.sequence.wrapping_sub(first.sequence)).collect();
        assert_eq!(steps, [1, 2, 3, 4]);
        assert_eq!(out.iter().map(|h| h.marker).collect::<Vec<_>>(), [true, false, false, true]);
        assert!(out.windows(2).all(|pair| (pair[1].timestamp.wrapping_sub(pair[0].timestamp) as i32) >= 160));
    }

    proptest! {
        #[test]
        fn nothing_that_is_relayed_panics_or_changes_the_source(
            packets in prop::collection::vec(
                (0..5_usize, any::<u32>(), any::<u16>(), 0..3_u32, prop::collection::vec(any::<u8>(), 0..300)), 0..60,
            ),
            ours in 0..4_usize,
        ) {
            let mut talker = talker(Codec::ALL[ours]);
            for (n, (kind, timestamp, sequence, ssrc, payload)) in packets.into_iter().enumerate() {
                let kind = Codec::ALL.get(kind).map_or(Kind::Event(8_000), |codec| Kind::Audio(*codec));
                let header = Header { marker: false, payload_type: 0, sequence, timestamp, ssrc };
                let spoken = Spoken::new(kind, header, &payload).unwrap();
                talker.relay(&spoken, Duration::from_millis(20 * n as u64), |packet| {
                    let (header, _) = Header::parse(packet).unwrap();
                    assert_eq!(header.ssrc, 0x1234_5678);
                });
            }
        }
    }
}
