//! A recorded call, played into the live path: the same frames, rings, recognition and log.

use std::fs::File;
use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use sotto_audio::{FRAME_MS, FRAME_SAMPLES, Frame, RATE, Resampler, Writer};
use sotto_media::LegOutputs;
use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

/// The longest recording that is played, per channel.
const LONGEST: usize = 4 * 3600 * RATE as usize;
const TOO_LONG: &str = "it is longer than four hours";
const NO_AUDIO: &str = "there is no audio in it";
/// Samples at 16 kHz of the longest Opus packet, 120 ms (RFC 6716 section 3.2.5), per channel.
const OPUS_SAMPLES: usize = 120 * RATE as usize / 1_000;

/// A recording, decoded: one or two channels at 16 kHz.
#[derive(Debug)]
pub struct Recording {
    /// The channels; of two, the left is the agent's.
    pub channels: Vec<Vec<f32>>,
    /// The file's format, by its usual extension.
    pub format: String,
}

impl Recording {
    /// Reads a file: WAV, FLAC, MP3, Ogg or WebM with Opus, MPEG-4 with AAC.
    ///
    /// # Errors
    /// When it cannot be read, is not audio, has more than two channels, or is longer than four hours.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let format = path.extension().and_then(|e| e.to_str()).unwrap_or("wav").to_lowercase();
        let channels = guarded(|| {
            let (mut decoding, mut channels) = (Decoding::open(path, &format)?, Vec::new());
            while decoding.more(&mut channels)? {
                ensure!(channels.iter().all(|channel| channel.len() <= LONGEST), TOO_LONG);
            }
            ensure!(channels.iter().any(|channel| !channel.is_empty()), NO_AUDIO);
            Ok(channels)
        });
        let channels = channels.with_context(|| format!("reading {}", path.display()))?;
        Ok(Self { channels, format })
    }

    /// How long it plays.
    #[must_use]
    pub fn duration(&self) -> Duration {
        let samples = self.channels.iter().map(Vec::len).max().unwrap_or(0);
        Duration::from_millis(samples as u64 * 1000 / u64::from(RATE))
    }
}

/// Decodes a recording frame by frame, without ever holding much of it: `each` gets the next 20 ms of every channel, until it
/// breaks or nothing is left. `extension` is what files of its format are usually called by, as a first guess.
///
/// # Errors
/// As [`Recording::open`].
pub fn frames(
    path: &Path,
    extension: &str,
    mut each: impl FnMut(&[[f32; FRAME_SAMPLES]]) -> ControlFlow<()>,
) -> anyhow::Result<()> {
    guarded(|| {
        let (mut decoding, mut channels) = (Decoding::open(path, extension)?, Vec::new());
        let (mut frames, mut played) = (Vec::new(), 0);
        loop {
            let more = decoding.more(&mut channels)?;
            let lengths = || channels.iter().map(Vec::len);
            let whole = match more {
                true => lengths().min().unwrap_or(0) / FRAME_SAMPLES,
                false => lengths().max().unwrap_or(0).div_ceil(FRAME_SAMPLES),
            };
            for at in (0..whole).map(|frame| frame * FRAME_SAMPLES) {
                frames.clear();
                frames.extend(channels.iter().map(|channel: &Vec<f32>| frame_at(channel, at)));
                if each(&frames).is_break() {
                    return Ok(());
                }
            }
            for channel in &mut channels {
                channel.drain(..(whole * FRAME_SAMPLES).min(channel.len()));
            }
            played += whole * FRAME_SAMPLES;
            ensure!(played <= LONGEST, TOO_LONG);
            if !more {
                ensure!(played > 0, NO_AUDIO);
                return Ok(());
            }
        }
    })
}

/// The frame of a channel that begins at a sample, filled up with silence.
fn frame_at(channel: &[f32], at: usize) -> [f32; FRAME_SAMPLES] {
    let mut frame = [0.0; FRAME_SAMPLES];
    let part = &channel[at.min(channel.len())..(at + FRAME_SAMPLES).min(channel.len())];
    frame[..part.len()].copy_from_slice(part);
    frame
}

/// Reads a file by readers that compute with what damaged headers say, and may overflow.
fn guarded<T>(read: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    std::panic::catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| bail!("it is damaged"))
}

/// A recording that is decoded packet by packet.
struct Decoding {
    reader: Box<dyn FormatReader>,
    track: u32,
    decoder: Decoder,
    /// What the last packet holds, by channel.
    planes: Vec<Vec<f32>>,
    /// To 16 kHz, one each; none before the first packet.
    resamplers: Vec<Resampler>,
}

enum Decoder {
    Symphonia(Box<dyn AudioDecoder>),
    /// Which symphonia has no decoder for.
    Opus {
        decoder: opus::Decoder,
        /// Of both channels, in turn.
        samples: Vec<f32>,
    },
}

impl Decoding {
    fn open(path: &Path, extension: &str) -> anyhow::Result<Self> {
        let source = MediaSourceStream::new(Box::new(File::open(path)?), Default::default());
        let mut hint = Hint::new();
        hint.with_extension(extension);
        let options = (FormatOptions::default(), MetadataOptions::default());
        let reader = symphonia::default::get_probe().probe(&hint, source, options.0, options.1)?;
        let track = reader.default_track(TrackType::Audio).context(NO_AUDIO)?;
        let id = track.id;
        let parameters = track.codec_params.as_ref().and_then(|p| p.audio()).context("unknown codec")?;
        let decoder = match parameters.codec {
            CODEC_ID_OPUS => {
                let count = parameters.channels.as_ref().map_or(1, Channels::count);
                let channels = match count {
                    1 => opus::Channels::Mono,
                    2 => opus::Channels::Stereo,
                    _ => bail!(too_many(count)),
                };
                let samples = vec![0.0; OPUS_SAMPLES * count];
                Decoder::Opus { decoder: opus::Decoder::new(RATE, channels)?, samples }
            }
            _ => Decoder::Symphonia(
                symphonia::default::get_codecs()
                    .make_audio_decoder(parameters, &AudioDecoderOptions::default())?,
            ),
        };
        Ok(Self { reader, track: id, decoder, planes: Vec::new(), resamplers: Vec::new() })
    }

    /// Decodes what comes next onto the ends of the channels, which are made by the first packet. False when that was all.
    fn more(&mut self, channels: &mut Vec<Vec<f32>>) -> anyhow::Result<bool> {
        let packet = loop {
            match self.reader.next_packet() {
                Ok(Some(packet)) if packet.track_id == self.track => break packet,
                Ok(Some(_)) => {}
                Ok(None) => return Ok(self.finish(channels)),
                // A recording that was cut off is played as far as it goes.
                Err(Error::IoError(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    return Ok(self.finish(channels));
                }
                Err(error) => return Err(error.into()),
            }
        };
        let rate = match &mut self.decoder {
            Decoder::Symphonia(decoder) => match decoder.decode(&packet) {
                Ok(audio) => {
                    audio.copy_to_vecs_planar(&mut self.planes);
                    audio.spec().rate()
                }
                Err(Error::DecodeError(_)) => return Ok(true),
                Err(error) => return Err(error.into()),
            },
            Decoder::Opus { decoder, samples } => {
                let count = samples.len() / OPUS_SAMPLES;
                // One that is damaged is left out, as those of others are; an empty one would be a loss to conceal.
                let decoded = match packet.data.is_empty() {
                    true => 0,
                    false => decoder.decode_float(&packet.data, samples, false).unwrap_or(0),
                };
                self.planes.resize_with(count, Vec::new);
                for (channel, plane) in self.planes.iter_mut().enumerate() {
                    plane.clear();
                    plane.extend(samples.iter().skip(channel).step_by(count).take(decoded));
                }
                RATE
            }
        };
        if self.resamplers.is_empty() {
            let count = self.planes.len();
            ensure!((1..=2).contains(&count), too_many(count));
            self.resamplers = (0..count).map(|_| Resampler::new(rate)).collect::<Result<_, _>>()?;
            channels.resize_with(count, Vec::new);
        }
        self.planes.iter_mut().flatten().for_each(|sample| *sample = audible(*sample));
        for ((plane, resampler), channel) in self.planes.iter().zip(&mut self.resamplers).zip(channels) {
            resampler.process(plane, channel);
        }
        Ok(true)
    }

    /// What the resamplers still hold; always false.
    fn finish(&mut self, channels: &mut [Vec<f32>]) -> bool {
        for (resampler, channel) in self.resamplers.drain(..).zip(channels) {
            resampler.finish(channel);
        }
        false
    }
}

fn too_many(channels: usize) -> String {
    format!("it has {channels} channels, not one or two")
}

/// A sample as speakers can play it. In a file of floats there may be anything, and one that is no number would stay in
/// what remembers: filters, and the network that tells speech, which would hear none until the end.
fn audible(sample: f32) -> f32 {
    if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 }
}

/// How fast a recording is played.
#[derive(Clone, Debug)]
pub enum Speed {
    /// As it was spoken. A frame is handed over when its last sample would have been received, counted from
    /// this moment.
    Real(Instant),
    /// As fast as it is taken; the call's clock is the position in the audio, in milliseconds.
    Max(Arc<AtomicU64>),
}

/// Plays `channels` into `outputs`, one each, and hangs up. Blocking.
pub fn play(channels: &[Vec<f32>], mut outputs: Vec<LegOutputs>, speed: &Speed) {
    let frames = channels.iter().map(|c| c.len().div_ceil(FRAME_SAMPLES)).max().unwrap_or(0);
    for index in 0..frames as u64 {
        let end_ms = (index + 1) * FRAME_MS;
        match speed {
            Speed::Real(start) => {
                let due = *start + Duration::from_millis(end_ms);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            Speed::Max(position) => {
                while !have_room(&outputs) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                position.store(end_ms, Ordering::Relaxed);
            }
        }
        for (channel, output) in channels.iter().zip(&mut outputs) {
            let frame = Frame { index, samples: frame_at(channel, index as usize * FRAME_SAMPLES) };
            output.speech.push(frame);
            output.recording.push(frame);
        }
    }
}

/// Whether nobody who still listens would lose the next frame.
pub(crate) fn have_room(outputs: &[LegOutputs]) -> bool {
    let is_full = |writer: &Writer| writer.is_full() && writer.has_reader();
    !outputs.iter().any(|output| is_full(&output.speech) || is_full(&output.recording))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_sample_in_a_file_of_floats_is_silence() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("call.wav");
        for sample_rate in [8_000, 16_000, 44_100] {
            let spec = hound::WavSpec {
                channels: 1,
                sample_rate,
                bits_per_sample: 32,
                sample_format: hound::SampleFormat::Float,
            };
            let mut writer = hound::WavWriter::create(&file, spec).unwrap();
            for n in 0..sample_rate {
                let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30];
                writer.write_sample(odd.get(n as usize).copied().unwrap_or(0.5)).unwrap();
            }
            writer.finalize().unwrap();
            let channel = Recording::open(&file).unwrap().channels.remove(0);
            // A filter may overshoot a little.
            assert!(channel.iter().all(|sample| sample.abs() < 2.0), "{sample_rate}");
            assert!((channel[channel.len() / 2] - 0.5).abs() < 0.05, "{sample_rate}");
        }
    }

    fn wav() -> Vec<u8> {
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: 8_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut bytes = std::io::Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
        for n in 0..3_200 {
            writer.write_sample((n * 37 % 9_000) as i16).unwrap();
        }
        writer.finalize().unwrap();
        bytes.into_inner()
    }

    #[test]
    fn a_recording_is_the_same_frame_by_frame_until_nobody_wants_more() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("call");
        std::fs::write(&file, wav()).unwrap();
        let recording = Recording::open(&file).unwrap();
        let mut streamed = vec![Vec::new(); 2];
        frames(&file, "wav", |frames| {
            streamed.iter_mut().zip(frames).for_each(|(channel, frame)| channel.extend_from_slice(frame));
            ControlFlow::Continue(())
        })
        .unwrap();
        for (streamed, whole) in streamed.iter().zip(&recording.channels) {
            assert_eq!(streamed[..whole.len()], whole[..]);
        }
        let mut count = 0;
        frames(&file, "wav", |_| {
            count += 1;
            if count == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
        assert_eq!(count, 3);
    }

    proptest! {
        #[test]
        fn damaged_recordings_are_refused_or_played_as_far_as_they_go(
            changes in proptest::collection::vec((0_usize..120, any::<u8>()), 0..6),
            length in 0_usize..6_500,
        ) {
            let mut bytes = wav();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            bytes.truncate(length);
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("call.wav");
            std::fs::write(&file, bytes).unwrap();
            let (mut longest, mut channels) = (0, 0);
            let streamed = frames(&file, "wav", |frames| {
                (longest, channels) = (longest + 1, frames.len());
                ControlFlow::Continue(())
            });
            let recording = Recording::open(&file);
            prop_assert_eq!(streamed.is_ok(), recording.is_ok());
            if let Ok(recording) = recording {
                let samples = recording.channels.iter().map(Vec::len).max().unwrap();
                prop_assert_eq!((longest, channels), (samples.div_ceil(FRAME_SAMPLES), recording.channels.len()));
                prop_assert!((1..=2).contains(&recording.channels.len()));
                prop_assert!(recording.channels.iter().all(|c| c.iter().all(|sample| sample.is_finite())));
            }
        }
    }
}
