//! Which packet is due: order, loss, and the delay at which a stream is played.
//!
//! Everything is reckoned in ticks of 1/48,000 s, which all our RTP clocks divide: positions in the stream
//! (timestamps, unwrapped and continued over changes of source) and local time alike. A packet's *transit* is
//! its arrival less its position; the smallest transit is the network at its best, and the buffer plays the
//! stream at that plus a *depth*, so that all but the slowest packets come in time.

use std::collections::VecDeque;
use std::time::Duration;

use crate::codec::{Codec, MAX_PAYLOAD};
use crate::jitter::{JitterConfig, JitterStats, Packet};

/// Units of 1/48,000 s.
pub(crate) type Ticks = i64;

/// Ticks of a 16 kHz sample.
pub(crate) const SAMPLE: Ticks = 3;

const MS: Ticks = 48;

/// Packets held at most: 2.5 s of the usual 20 ms ones.
const CAPACITY: usize = 128;

/// Timestamps need not fit to the sample: smaller gaps and overlaps are taken as none.
const TOLERANCE: Ticks = 5 * MS;

/// Added to the jitter seen, so that its worst packet still comes in time: a frame is asked for when its first
/// sample is due, 20 ms before its last, and the delay may be a little less than wanted.
const MARGIN: Ticks = 40 * MS;

/// The depth is lowered only when it is more than this too large.
const CALM: Ticks = 10 * MS;

/// A packet this much earlier than the earliest is not early: the sender's timestamps have jumped.
const TOO_EARLY: Ticks = 300 * MS;

/// A packet this much later than the earliest is not late: the sender's timestamps have jumped.
const TOO_LATE: Ticks = 2_000 * MS;

/// A source that was left is taken again when the present one has been silent for this long.
const SOURCE_SILENT: Ticks = 100 * MS;

/// Packets that are late for this long, with none in time between, are the new in time.
const LATE_RUN: Ticks = 100 * MS;

/// When nothing comes, so much is concealed; then it is taken for silence.
const CONCEALED: Ticks = 100 * MS;

pub(crate) fn ticks(time: Duration) -> Ticks {
    // A millennium, so that no sum of two overflows.
    const LIMIT: u128 = 1_000 * 365 * 86_400 * 1_000_000;
    (time.as_micros().min(LIMIT) * 48 / 1_000) as Ticks
}

/// What is to be heard next.
pub(crate) enum Next<'a> {
    /// A packet, without so many ticks at its beginning.
    Packet { codec: Codec, payload: &'a [u8], skip: Ticks },
    /// A lost packet that lasted so long; the one after it, given here, may hold a copy.
    Recover { payload: &'a [u8], length: Ticks },
    /// Something that did not come.
    Conceal { length: Ticks },
    /// Nothing: the sender pauses.
    Silence { length: Ticks },
}

struct Queued {
    start: Ticks,
    end: Ticks,
    sequence: u16,
    source: u32,
    codec: Codec,
    /// The sender paused before this packet.
    begins: bool,
    slot: usize,
    length: usize,
}

/// The stream being received.
struct Stream {
    ssrc: u32,
    clock_rate: u32,
    /// Counts sources, to tell whose sequence numbers are whose.
    source: u32,
    /// A packet's timestamp and position: others follow from the difference.
    reference: (u32, Ticks),
    last_arrival: Ticks,
    window: Window,
    /// After a packet from nowhere: the sequence number whose arrival would confirm it.
    confirm: Option<u16>,
    /// When the present run of late packets began.
    late_since: Option<Ticks>,
    /// The newest packet carried no audio, so there is none to conceal.
    pausing: bool,
}

/// Order and timing of one stream's packets.
pub(crate) struct Schedule {
    min_depth: Ticks,
    max_depth: Ticks,
    hold: Ticks,
    stream: Option<Stream>,
    sources: u32,
    left: [Option<(u32, u32)>; 4],
    queue: VecDeque<Queued>,
    free: Vec<usize>,
    payloads: Vec<u8>,
    /// The position up to which the stream has been played.
    cursor: Option<Ticks>,
    /// Source and sequence number of the last packet played.
    played: Option<(u32, u16)>,
    /// How long nothing has been there to play.
    starved: Ticks,
    /// How much was concealed of that: whether anything was missing shows with the next packet.
    doubtful: Ticks,
    transit: Transit,
    depth: Ticks,
    pub(crate) stats: JitterStats,
}

impl Schedule {
    pub(crate) fn new(config: JitterConfig) -> Self {
        let min_depth = ticks(config.min_depth);
        let max_depth = ticks(config.max_depth).max(min_depth);
        Self {
            min_depth,
            max_depth,
            hold: ticks(config.hold),
            stream: None,
            sources: 0,
            left: [None; 4],
            queue: VecDeque::with_capacity(CAPACITY),
            free: (0..CAPACITY).collect(),
            payloads: vec![0; CAPACITY * MAX_PAYLOAD],
            cursor: None,
            played: None,
            starved: 0,
            doubtful: 0,
            transit: Transit::default(),
            depth: min_depth,
            stats: JitterStats::default(),
        }
    }

    pub(crate) fn push(&mut self, packet: &Packet<'_>, now: Ticks) {
        let Some(codec) = packet.codec else {
            self.note(packet);
            return;
        };
        let Ok(duration) = codec.duration(packet.payload) else {
            self.stats.malformed += 1;
            return;
        };
        let scale = Ticks::from(48_000 / codec.clock_rate());
        let Some((start, begins)) = self.place(packet, codec.clock_rate(), scale, now) else { return };
        self.transit.observe(now - start, now);
        self.depth = self.wanted_depth();
        let end = start + Ticks::from(duration) * scale;
        let late = self.cursor.is_some_and(|cursor| end <= cursor);
        let Some(stream) = &mut self.stream else { return };
        stream.last_arrival = now;
        stream.pausing = false;
        if late {
            self.stats.late += 1;
            stream.late_since.get_or_insert(now);
            return;
        }
        stream.late_since = None;
        let source = stream.source;
        self.enqueue(packet, codec, (start, end), begins || packet.marker, source);
    }

    fn enqueue(
        &mut self,
        packet: &Packet<'_>,
        codec: Codec,
        span: (Ticks, Ticks),
        begins: bool,
        source: u32,
    ) {
        let (start, end) = span;
        if self.free.is_empty() {
            self.drop_first();
            self.stats.overflowed += 1;
        }
        let index = self.queue.iter().rposition(|queued| queued.start <= start).map_or(0, |index| index + 1);
        if index.checked_sub(1).and_then(|before| self.queue.get(before)).is_some_and(|q| q.start == start) {
            self.stats.duplicates += 1;
            return;
        }
        let Some(slot) = self.free.pop() else { return };
        let at = slot * MAX_PAYLOAD;
        self.payloads[at..at + packet.payload.len()].copy_from_slice(packet.payload);
        let (sequence, length) = (packet.sequence, packet.payload.len());
        self.queue.insert(index, Queued { start, end, sequence, source, codec, begins, slot, length });
    }

    /// Takes note of a packet of the stream that carries no audio (DTMF, comfort noise, audio not wanted now):
    /// its sequence number is not missing, and the silence around it is no loss.
    fn note(&mut self, packet: &Packet<'_>) {
        if let Some(stream) = self.stream.as_mut().filter(|stream| stream.ssrc == packet.ssrc)
            && stream.window.note(packet.sequence) == Noted::Newest
        {
            stream.pausing = true;
        }
    }

    /// The packet's position, and whether a new stream begins with it; `None` when it is not to be played.
    fn place(
        &mut self,
        packet: &Packet<'_>,
        clock_rate: u32,
        scale: Ticks,
        now: Ticks,
    ) -> Option<(Ticks, bool)> {
        let key = (packet.ssrc, clock_rate);
        let Some(stream) = &mut self.stream else {
            return Some((self.begin(packet, clock_rate, now), true));
        };
        if (stream.ssrc, stream.clock_rate) != key {
            // Two sources at once must not take turns by the packet: one that was left has to wait.
            if self.left.contains(&Some(key)) && now - stream.last_arrival < SOURCE_SILENT {
                self.stats.foreign += 1;
                return None;
            }
            self.stats.ssrc_changes += 1;
            return Some((self.begin(packet, clock_rate, now), true));
        }
        match stream.window.note(packet.sequence) {
            Noted::Newest => {}
            Noted::Older => self.stats.reordered += 1,
            Noted::Duplicate => {
                self.stats.duplicates += 1;
                return None;
            }
        }
        let (timestamp, position) = stream.reference;
        let step = packet.timestamp.wrapping_sub(timestamp).cast_signed();
        let start = position + Ticks::from(step) * scale;
        let late = now - start - self.transit.least();
        if (-TOO_EARLY..=TOO_LATE).contains(&late) {
            stream.confirm = None;
            let late_run = stream.late_since.is_some_and(|since| now - since >= LATE_RUN);
            if !(late_run && self.queue.is_empty()) {
                stream.reference = (packet.timestamp, start);
                return Some((start, false));
            }
        } else if stream.confirm != Some(packet.sequence) {
            // One packet alone can be a mistake; its successor confirms it.
            stream.confirm = Some(packet.sequence.wrapping_add(1));
            self.stats.out_of_range += 1;
            return None;
        }
        stream.confirm = None;
        stream.late_since = None;
        self.stats.resyncs += 1;
        let start = self.continued(now);
        if let Some(stream) = &mut self.stream {
            stream.reference = (packet.timestamp, start);
        }
        Some((start, true))
    }

    fn begin(&mut self, packet: &Packet<'_>, clock_rate: u32, now: Ticks) -> Ticks {
        if let Some(old) = &self.stream {
            let old = Some((old.ssrc, old.clock_rate));
            self.left.rotate_right(1);
            self.left[0] = old;
        }
        for left in &mut self.left {
            left.take_if(|left| *left == (packet.ssrc, clock_rate));
        }
        let start = self.continued(now);
        self.sources = self.sources.wrapping_add(1);
        self.stream = Some(Stream {
            ssrc: packet.ssrc,
            clock_rate,
            source: self.sources,
            reference: (packet.timestamp, start),
            last_arrival: now,
            window: Window::new(packet.sequence),
            confirm: None,
            late_since: None,
            pausing: false,
        });
        start
    }

    /// Where a packet that arrives now stands when its timestamp says nothing: in time, behind all there is.
    fn continued(&self, now: Ticks) -> Ticks {
        let end = self.queue.back().map(|queued| queued.end).max(self.cursor);
        (now - self.transit.least()).max(end.unwrap_or(Ticks::MIN))
    }

    /// What is to be heard from local time `at` on: at most `length`, except for packets.
    pub(crate) fn next(&mut self, at: Ticks, length: Ticks) -> Next<'_> {
        let delay = self.transit.least() + self.depth;
        let mut cursor = match (self.cursor, self.queue.front()) {
            (Some(cursor), _) => cursor,
            (None, None) => return Next::Silence { length },
            (None, Some(first)) => {
                let early = first.start + delay - at;
                if early >= SAMPLE {
                    return Next::Silence { length: whole(early).min(length) };
                }
                first.start
            }
        };
        // Never further behind than stated.
        if at - cursor - delay > self.hold {
            let jump = at - cursor - delay - self.hold;
            if self.queue.front().is_some_and(|first| first.start < cursor + jump) {
                self.stats.skipped += jump;
            }
            cursor += jump;
        }
        while self.queue.front().is_some_and(|first| first.end <= cursor) {
            self.drop_first();
        }
        let lead = at - cursor - delay;
        let Some(first) = self.queue.front() else {
            let pausing = self.stream.as_ref().is_none_or(|stream| stream.pausing);
            let conceal = !pausing && self.starved < CONCEALED;
            self.starved += length;
            self.cursor = Some(cursor);
            if !conceal {
                return Next::Silence { length };
            }
            self.doubtful += length;
            return Next::Conceal { length };
        };
        let mut gap = first.start - cursor;
        if gap > TOLERANCE {
            if self.is_pause(first) {
                // Nobody hears how long a pause is, so it puts the delay right.
                self.doubtful = 0;
                gap = whole((gap - lead).max(0));
                cursor = first.start - gap;
                if gap > TOLERANCE {
                    let length = gap.min(length);
                    self.cursor = Some(cursor + length);
                    return Next::Silence { length };
                }
            } else {
                // What was already concealed while waiting for it.
                let done = lead.clamp(0, gap);
                cursor += done;
                gap = whole(gap - done);
                if gap > TOLERANCE {
                    return self.missing(cursor, gap, length);
                }
            }
        }
        self.starved = 0;
        let doubtful = std::mem::take(&mut self.doubtful);
        self.was_missing(doubtful);
        self.play(cursor)
    }

    fn was_missing(&mut self, length: Ticks) {
        self.stats.concealed_samples += (length / SAMPLE).unsigned_abs();
    }

    /// A lost stretch of `gap` before the first packet.
    fn missing(&mut self, cursor: Ticks, gap: Ticks, length: Ticks) -> Next<'_> {
        let Some(first) = self.queue.front() else { return Next::Conceal { length } };
        let copied = first.end - first.start;
        if first.codec == Codec::Opus && copied <= gap {
            if copied == gap {
                self.cursor = Some(cursor + gap);
                self.stats.recovered += 1;
                let at = first.slot * MAX_PAYLOAD;
                return Next::Recover { payload: &self.payloads[at..at + first.length], length: gap };
            }
            let length = (gap - copied).min(length);
            self.cursor = Some(cursor + length);
            self.was_missing(length);
            return Next::Conceal { length };
        }
        let length = gap.min(length);
        self.cursor = Some(cursor + length);
        self.was_missing(length);
        Next::Conceal { length }
    }

    fn play(&mut self, cursor: Ticks) -> Next<'_> {
        let Some(first) = self.queue.pop_front() else { return Next::Silence { length: SAMPLE } };
        self.free.push(first.slot);
        self.played = Some((first.source, first.sequence));
        self.cursor = Some(first.end);
        let overlap = cursor - first.start;
        let at = first.slot * MAX_PAYLOAD;
        Next::Packet {
            codec: first.codec,
            payload: &self.payloads[at..at + first.length],
            skip: if overlap > TOLERANCE { overlap } else { 0 },
        }
    }

    /// Whether the sender paused before this packet, rather than the network losing what was before it.
    fn is_pause(&self, packet: &Queued) -> bool {
        let Some((source, sequence)) = self.played else { return true };
        if packet.begins || source != packet.source {
            return true;
        }
        let missing = packet.sequence.wrapping_sub(sequence).wrapping_sub(1);
        let noted = |n| {
            let sequence = sequence.wrapping_add(1).wrapping_add(n);
            self.stream.as_ref().is_some_and(|s| s.source == source && s.window.has(sequence))
        };
        missing < Window::LENGTH && (0..missing).all(noted)
    }

    fn drop_first(&mut self) {
        if let Some(first) = self.queue.pop_front() {
            self.free.push(first.slot);
            self.played = Some((first.source, first.sequence));
        }
    }

    /// By how much the stream is played later than wanted, at local time `at`; negative when earlier.
    pub(crate) fn lead(&self, at: Ticks) -> Ticks {
        self.cursor.map_or(0, |cursor| at - cursor - self.transit.least() - self.depth)
    }

    /// True when the next thing to be heard is a packet that is here.
    pub(crate) fn is_ready(&self) -> bool {
        self.queue.front().is_some_and(|first| self.cursor.is_some_and(|c| first.start - c <= TOLERANCE))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn depth(&self) -> Ticks {
        self.depth
    }

    /// Up at once when the jitter grows, down only when it is clearly less.
    fn wanted_depth(&self) -> Ticks {
        let wanted = (self.transit.spread() + MARGIN).clamp(self.min_depth, self.max_depth);
        if wanted > self.depth || wanted < self.depth - CALM { wanted } else { self.depth }
    }
}

/// Rounded up to whole samples.
fn whole(length: Ticks) -> Ticks {
    length.div_euclid(SAMPLE) * SAMPLE + if length.rem_euclid(SAMPLE) == 0 { 0 } else { SAMPLE }
}

/// What the last ten seconds of packets tell about the network: least and most transit of each second.
///
/// The second least and the second most count, so that one odd packet moves nothing.
#[derive(Default)]
struct Transit {
    seconds: [(Ticks, Ticks); 10],
    filled: usize,
    began: Ticks,
    least: Ticks,
    most: Ticks,
}

impl Transit {
    fn observe(&mut self, transit: Ticks, now: Ticks) {
        if self.filled == 0 || now - self.began >= 1_000 * MS {
            self.seconds.rotate_right(1);
            self.seconds[0] = (transit, transit);
            self.filled = (self.filled + 1).min(self.seconds.len());
            self.began = now;
        } else if transit < self.seconds[0].0 || transit > self.seconds[0].1 {
            let (least, most) = self.seconds[0];
            self.seconds[0] = (least.min(transit), most.max(transit));
        } else {
            return;
        }
        let seconds = &self.seconds[..self.filled];
        self.least = second(seconds.iter().map(|s| s.0));
        self.most = -second(seconds.iter().map(|s| -s.1));
    }

    fn least(&self) -> Ticks {
        self.least
    }

    fn spread(&self) -> Ticks {
        self.most - self.least
    }
}

/// The second least, of three or more.
fn second(values: impl ExactSizeIterator<Item = Ticks>) -> Ticks {
    let many = values.len() >= 3;
    let (first, second) = values.fold((Ticks::MAX, Ticks::MAX), |(first, second), value| {
        if value < first { (value, first) } else { (first, second.min(value)) }
    });
    if many { second } else { first }
}

/// The sequence numbers of late.
struct Window {
    newest: u16,
    /// Bit n: `newest - n` has come.
    seen: u128,
    /// After a number far behind: the one that would show that the sender counts anew.
    anew: Option<u16>,
}

#[derive(PartialEq, Eq)]
enum Noted {
    Newest,
    Older,
    Duplicate,
}

impl Window {
    const LENGTH: u16 = 128;

    fn new(sequence: u16) -> Self {
        Self { newest: sequence, seen: 1, anew: None }
    }

    fn note(&mut self, sequence: u16) -> Noted {
        let ahead = sequence.wrapping_sub(self.newest);
        if ahead == 0 {
            return Noted::Duplicate;
        }
        if ahead < 1 << 15 {
            self.seen = if ahead < Self::LENGTH { self.seen << ahead | 1 } else { 1 };
            self.newest = sequence;
            self.anew = None;
            return Noted::Newest;
        }
        let behind = self.newest.wrapping_sub(sequence);
        if behind < Self::LENGTH {
            let bit = 1 << behind;
            let duplicate = self.seen & bit != 0;
            self.seen |= bit;
            return if duplicate { Noted::Duplicate } else { Noted::Older };
        }
        if self.anew == Some(sequence) {
            *self = Self::new(sequence);
            return Noted::Newest;
        }
        self.anew = Some(sequence.wrapping_add(1));
        Noted::Older
    }

    fn has(&self, sequence: u16) -> bool {
        let behind = self.newest.wrapping_sub(sequence);
        behind < Self::LENGTH && self.seen & (1 << behind) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_knows_what_came_over_the_wrap() {
        let mut window = Window::new(65_534);
        assert!(window.note(65_535) == Noted::Newest);
        assert!(window.note(1) == Noted::Newest);
        assert!(window.note(0) == Noted::Older);
        assert!(window.note(0) == Noted::Duplicate);
        assert!(window.note(65_534) == Noted::Duplicate);
        assert!(window.has(65_535) && !window.has(65_533));
    }

    #[test]
    fn a_sender_that_counts_anew_is_followed_after_two_packets() {
        let mut window = Window::new(40_000);
        assert!(window.note(20_000) == Noted::Older);
        assert!(window.note(20_001) == Noted::Newest);
        assert!(window.note(20_002) == Noted::Newest);
    }

    #[test]
    fn one_odd_packet_does_not_change_what_the_network_is_thought_to_be() {
        let mut transit = Transit::default();
        for n in 0..200 {
            let odd = if n == 120 { -200 * MS } else { 0 };
            transit.observe(30 * MS + n % 5 * MS + odd, n * 20 * MS);
        }
        assert_eq!(transit.least(), 30 * MS);
        assert_eq!(transit.spread(), 4 * MS);
    }
}
