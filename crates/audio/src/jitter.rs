//! From packets as they come to frames in step: the jitter buffer.
//!
//! Packets go in with their time of arrival; every 20 ms a frame comes out, whatever happens. The buffer plays
//! a stream at the network's least delay plus a depth of 40 to 200 ms that follows the jitter. This is not for
//! an ear that answers but for recognition and recording, so words weigh more than delay:
//!
//! - a packet that does not come is concealed for up to 100 ms, then there is silence;
//! - while nothing at all comes, the buffer waits (up to [`JitterConfig::hold`]) instead of giving up what may
//!   come late in a burst, and catches up afterwards;
//! - delay is put right in pauses, where nobody hears it, and during speech by stretching a frame by 1.25 %:
//!   that also takes up the drift between the sender's clock and ours.
//!
//! **Time.** A sample that arrives over the best of the network leaves the buffer [`JitterConfig::min_depth`]
//! later; exactly so while the depth is at its minimum and never later than the hold more. So the frame popped
//! at time `t` was received by `t - min_depth`, within the depth.

use std::collections::VecDeque;
use std::time::Duration;

use crate::codec::{AudioError, Codec, Decoder, MAX_PACKET_SAMPLES};
use crate::conceal::Concealer;
use crate::schedule::{Next, SAMPLE, Schedule, Ticks, ticks};
use crate::{FRAME_SAMPLES, Upsampler};

/// A received RTP packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp, in units of the codec's clock rate.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Marker bit: the sender paused before this packet (RFC 3551 section 4.1).
    pub marker: bool,
    /// How the payload is coded; `None` for a packet of the stream without audio (telephone events, comfort
    /// noise) or whose audio is not wanted: it is not missing, that is all.
    pub codec: Option<Codec>,
    /// The payload.
    pub payload: &'a [u8],
}

/// How long the buffer may make audio wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JitterConfig {
    /// The least time a packet waits that came as fast as the network can.
    pub min_depth: Duration,
    /// The most that the depth grows to with the jitter.
    pub max_depth: Duration,
    /// How much further the stream may fall behind its time after an outage; what would be played later than
    /// that is skipped.
    pub hold: Duration,
    /// How much too long the delay may be before the stream is hurried; it is slowed at half of that.
    pub tolerance: Duration,
}

impl Default for JitterConfig {
    fn default() -> Self {
        Self {
            min_depth: Duration::from_millis(40),
            max_depth: Duration::from_millis(200),
            hold: Duration::from_millis(500),
            tolerance: Duration::from_millis(25),
        }
    }
}

/// What became of the packets of a leg.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JitterStats {
    /// Packets that came after their time was over.
    pub late: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// Packets that came after a later one, but in time or not.
    pub reordered: u64,
    /// Payloads that their codec cannot have made.
    pub malformed: u64,
    /// Packets of a source that another has replaced.
    pub foreign: u64,
    /// Packets whose timestamp fits to nothing.
    pub out_of_range: u64,
    /// Packets thrown out because too many waited.
    pub overflowed: u64,
    /// Changes of the synchronisation source or its clock.
    pub ssrc_changes: u64,
    /// Jumps of the sender's timestamps that were followed.
    pub resyncs: u64,
    /// Lost Opus packets for which the next one was asked for a copy.
    pub recovered: u64,
    /// Samples (16 kHz) made up for what was missing. What is made up before it is known that the sender has only paused,
    /// as Opus does in silence (DTX, RFC 7587 section 3.1.3), is none of it.
    pub concealed_samples: u64,
    /// Samples taken out to catch up.
    pub removed_samples: u64,
    /// Samples put in to gain depth.
    pub added_samples: u64,
    pub(crate) skipped: Ticks,
}

impl JitterStats {
    /// Audio skipped because it would have been played too late, in milliseconds.
    #[must_use]
    pub fn skipped_ms(&self) -> u64 {
        self.skipped.unsigned_abs() / 48
    }
}

/// Samples by which a frame is stretched.
const STRETCH: usize = 4;

/// Mean square below which a frame is taken for a pause: -50 dB of full scale.
const QUIET: f32 = 1e-5;

/// Packets in, frames out.
pub struct JitterBuffer {
    schedule: Schedule,
    decoder: Decoder,
    concealer: Concealer,
    /// Decoded and not yet played.
    samples: VecDeque<f32>,
    scratch: Vec<f32>,
    /// The last sample played, for interpolation.
    previous: f32,
    last_codec: Option<Codec>,
    tolerance: Ticks,
    pace: Pace,
    finishing: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    Even,
    Hurry,
    Linger,
}

impl JitterBuffer {
    /// A buffer for a stream in the codecs agreed on.
    ///
    /// # Errors
    /// [`AudioError::Opus`] when the library gives no decoder.
    pub fn new(codecs: &[Codec], config: JitterConfig) -> Result<Self, AudioError> {
        Ok(Self {
            schedule: Schedule::new(config),
            decoder: Decoder::new(codecs)?,
            concealer: Concealer::new(),
            samples: VecDeque::with_capacity(MAX_PACKET_SAMPLES + 4 * FRAME_SAMPLES),
            scratch: vec![0.0; MAX_PACKET_SAMPLES],
            previous: 0.0,
            last_codec: None,
            tolerance: ticks(config.tolerance),
            pace: Pace::Even,
            finishing: false,
        })
    }

    /// Prepares for other codecs, after a new agreement with the sender. What waits is still played if its
    /// codec remains.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn set_codecs(&mut self, codecs: &[Codec]) -> Result<(), AudioError> {
        self.decoder = Decoder::new(codecs)?;
        Ok(())
    }

    /// Takes a packet that arrived at `now`, on the same clock as [`pop`](Self::pop).
    pub fn push(&mut self, packet: &Packet<'_>, now: Duration) {
        self.schedule.push(packet, ticks(now));
    }

    /// The 20 ms to be heard from `now` on. To be called every 20 ms.
    pub fn pop(&mut self, now: Duration) -> [f32; FRAME_SAMPLES] {
        let at = ticks(now);
        self.fill(at, FRAME_SAMPLES);
        let mut frame = [0.0; FRAME_SAMPLES];
        match self.decide(at) {
            Pace::Hurry => self.hurry(at, &mut frame),
            Pace::Linger => self.linger(&mut frame),
            Pace::Even => self.take(FRAME_SAMPLES, &mut frame),
        }
        frame
    }

    /// No more packets will come: what waits is played without concealing or waiting for what follows.
    pub fn finish(&mut self) {
        self.finishing = true;
    }

    /// True when everything received has been popped. Only after [`finish`](Self::finish) does this include the
    /// last samples of the decoder.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let held = self.finishing && self.holds_tail();
        self.schedule.is_empty() && self.samples.is_empty() && !held
    }

    /// What became of the packets so far.
    #[must_use]
    pub fn stats(&self) -> JitterStats {
        self.schedule.stats
    }

    /// The depth now wanted.
    #[must_use]
    pub fn depth(&self) -> Duration {
        Duration::from_micros(self.schedule.depth().unsigned_abs() * 1_000 / 48)
    }

    fn holds_tail(&self) -> bool {
        matches!(self.last_codec, Some(Codec::Pcmu | Codec::Pcma))
    }

    /// Decodes, conceals or waits until `count` samples are there.
    fn fill(&mut self, at: Ticks, count: usize) {
        while self.samples.len() < count {
            if self.finishing && self.schedule.is_empty() {
                self.end(count);
                return;
            }
            self.step(at, count - self.samples.len());
        }
    }

    /// Like [`fill`](Self::fill), as far as packets that are here reach.
    fn fill_from_packets(&mut self, at: Ticks, count: usize) -> bool {
        while self.samples.len() < count && self.schedule.is_ready() {
            self.step(at, count - self.samples.len());
        }
        self.samples.len() >= count
    }

    /// One packet, or up to `missing` samples of something else.
    fn step(&mut self, at: Ticks, missing: usize) {
        let Self { schedule, decoder, concealer, samples, scratch, last_codec, .. } = self;
        let at = at + samples.len() as Ticks * SAMPLE;
        let length = |ticks: Ticks| usize::try_from(ticks / SAMPLE).unwrap_or(0).clamp(1, MAX_PACKET_SAMPLES);
        match schedule.next(at, missing as Ticks * SAMPLE) {
            Next::Packet { codec, payload, skip } => {
                let Ok(count) = decoder.decode(codec, payload, scratch) else {
                    schedule.stats.malformed += 1;
                    return;
                };
                *last_codec = Some(codec);
                let skip = usize::try_from(skip / SAMPLE).unwrap_or(0).min(count);
                let decoded = &mut scratch[skip..count];
                concealer.real(decoded);
                samples.extend(&*decoded);
            }
            Next::Recover { payload, length: ticks } => {
                let recovered = &mut scratch[..length(ticks)];
                if decoder.recover(payload, recovered).is_err() {
                    recovered.fill(0.0);
                }
                concealer.real(recovered);
                samples.extend(&*recovered);
            }
            Next::Conceal { length: ticks } => {
                let count = length(ticks);
                if *last_codec == Some(Codec::Opus) && !concealer.is_silent() {
                    // The library conceals multiples of 2.5 ms.
                    let made = count.next_multiple_of(40).min(MAX_PACKET_SAMPLES);
                    if decoder.conceal(&mut scratch[..made]).is_err() {
                        scratch[..made].fill(0.0);
                    }
                    concealer.fade(&mut scratch[..count]);
                } else if *last_codec == Some(Codec::Opus) {
                    scratch[..count].fill(0.0);
                } else {
                    concealer.repeat(&mut scratch[..count]);
                }
                samples.extend(&scratch[..count]);
            }
            Next::Silence { length: ticks } => {
                let silence = &mut scratch[..length(ticks)];
                silence.fill(0.0);
                concealer.real(silence);
                samples.extend(&*silence);
            }
        }
    }

    /// The decoder's last samples, then silence.
    fn end(&mut self, count: usize) {
        if self.holds_tail() {
            let mut tail = [0.0; Upsampler::DELAY];
            self.decoder.flush(&mut tail);
            self.samples.extend(&tail);
            self.last_codec = None;
        }
        // When the tail just went past this frame, the rest of it is a frame of its own.
        self.samples.resize(self.samples.len().max(count), 0.0);
    }

    fn decide(&mut self, at: Ticks) -> Pace {
        let lead = self.schedule.lead(at + self.samples.len() as Ticks * SAMPLE);
        let done = match self.pace {
            Pace::Even => true,
            Pace::Hurry => lead <= 0,
            Pace::Linger => lead >= 0,
        };
        if done {
            self.pace = match lead {
                _ if self.finishing => Pace::Even,
                _ if lead > self.tolerance => Pace::Hurry,
                // Too little delay costs audio, too much only time.
                _ if lead < -self.tolerance / 2 => Pace::Linger,
                _ => Pace::Even,
            };
        }
        self.pace
    }

    /// Plays a little more than a frame in a frame's time, or leaves a quiet one out.
    fn hurry(&mut self, at: Ticks, frame: &mut [f32; FRAME_SAMPLES]) {
        let lead = self.schedule.lead(at + self.samples.len() as Ticks * SAMPLE);
        if lead >= FRAME_SAMPLES as Ticks * SAMPLE
            && self.is_quiet()
            && self.fill_from_packets(at, 2 * FRAME_SAMPLES)
        {
            self.samples.drain(..FRAME_SAMPLES);
            self.schedule.stats.removed_samples += FRAME_SAMPLES as u64;
            self.take(FRAME_SAMPLES, frame);
        } else if self.fill_from_packets(at, FRAME_SAMPLES + STRETCH + 2) {
            self.schedule.stats.removed_samples += STRETCH as u64;
            self.take(FRAME_SAMPLES + STRETCH, frame);
        } else {
            self.take(FRAME_SAMPLES, frame);
        }
    }

    /// Plays a little less than a frame in a frame's time, or a quiet one twice.
    fn linger(&mut self, frame: &mut [f32; FRAME_SAMPLES]) {
        let quiet = self.is_quiet();
        let used = if quiet { 0 } else { FRAME_SAMPLES - STRETCH };
        self.schedule.stats.added_samples += (FRAME_SAMPLES - used) as u64;
        if quiet {
            frame.iter_mut().zip(&self.samples).for_each(|(to, from)| *to = *from);
        } else {
            self.take(used, frame);
        }
    }

    fn is_quiet(&self) -> bool {
        let energy: f32 = self.samples.iter().take(FRAME_SAMPLES).map(|x| x * x).sum();
        energy < QUIET * FRAME_SAMPLES as f32
    }

    /// Fills the frame from the next `count` samples, interpolating (Catmull-Rom) where they are more or fewer.
    fn take(&mut self, count: usize, frame: &mut [f32; FRAME_SAMPLES]) {
        if count == FRAME_SAMPLES {
            frame
                .iter_mut()
                .zip(self.samples.drain(..count.min(self.samples.len())))
                .for_each(|(to, x)| *to = x);
        } else {
            let sample = |n: usize| self.samples.get(n).copied().unwrap_or(0.0);
            for (n, out) in frame.iter_mut().enumerate() {
                let at = n * count;
                let (whole, part) = (at / FRAME_SAMPLES, (at % FRAME_SAMPLES) as f32 / FRAME_SAMPLES as f32);
                let a = if whole == 0 { self.previous } else { sample(whole - 1) };
                let (b, c, d) = (sample(whole), sample(whole + 1), sample(whole + 2));
                let curve = (2.0 * a - 5.0 * b + 4.0 * c - d) + part * (3.0 * (b - c) + d - a);
                *out = b + 0.5 * part * (c - a + part * curve);
            }
            self.previous = sample(count - 1);
            self.samples.drain(..count.min(self.samples.len()));
            return;
        }
        self.previous = frame[FRAME_SAMPLES - 1];
    }
}
