//! A recorded call, played into the live path: the same frames, rings, recognition and log.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use sotto_audio::{FRAME_MS, FRAME_SAMPLES, Frame, RATE, Resampler};
use sotto_media::LegOutputs;
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

/// The longest recording that is played, per channel.
const LONGEST: usize = 4 * 3600 * RATE as usize;

/// A recording, decoded: one or two channels at 16 kHz.
#[derive(Debug)]
pub struct Recording {
    /// The channels; of two, the left is the agent's.
    pub channels: Vec<Vec<f32>>,
    /// The file's format, by its usual extension.
    pub format: String,
}

impl Recording {
    /// Reads a WAV or FLAC file.
    ///
    /// # Errors
    /// When it cannot be read, is not audio, has more than two channels, or is longer than four hours.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        // The reader of WAV files computes with what damaged headers say, and may overflow.
        let read = std::panic::catch_unwind(|| Self::read(path));
        read.unwrap_or_else(|_| bail!("it is damaged")).with_context(|| format!("reading {}", path.display()))
    }

    fn read(path: &Path) -> anyhow::Result<Self> {
        let source = MediaSourceStream::new(Box::new(File::open(path)?), Default::default());
        let mut hint = Hint::new();
        let format = path.extension().and_then(|e| e.to_str()).unwrap_or("wav").to_lowercase();
        hint.with_extension(&format);
        let options = (FormatOptions::default(), MetadataOptions::default());
        let mut reader = symphonia::default::get_probe().probe(&hint, source, options.0, options.1)?;
        let track = reader.default_track(TrackType::Audio).context("there is no audio in it")?;
        let id = track.id;
        let parameters = track.codec_params.as_ref().and_then(|p| p.audio()).context("unknown codec")?;
        let mut decoder = symphonia::default::get_codecs()
            .make_audio_decoder(parameters, &AudioDecoderOptions::default())?;
        let mut channels: Vec<Vec<f32>> = Vec::new();
        let mut resamplers: Vec<Resampler> = Vec::new();
        let mut planes: Vec<Vec<f32>> = Vec::new();
        loop {
            let packet = match reader.next_packet() {
                Ok(Some(packet)) if packet.track_id == id => packet,
                Ok(Some(_)) => continue,
                Ok(None) => break,
                // A recording that was cut off is played as far as it goes.
                Err(Error::IoError(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(error.into()),
            };
            let audio = match decoder.decode(&packet) {
                Ok(audio) => audio,
                Err(Error::DecodeError(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            if channels.is_empty() {
                let count = audio.num_planes();
                ensure!((1..=2).contains(&count), "it has {count} channels, not one or two");
                channels = vec![Vec::new(); count];
                let rate = audio.spec().rate();
                resamplers = (0..count).map(|_| Resampler::new(rate)).collect::<Result<_, _>>()?;
            }
            audio.copy_to_vecs_planar(&mut planes);
            planes.iter_mut().flatten().for_each(|sample| *sample = audible(*sample));
            for ((plane, resampler), channel) in planes.iter().zip(&mut resamplers).zip(&mut channels) {
                resampler.process(plane, channel);
                ensure!(channel.len() <= LONGEST, "it is longer than four hours");
            }
        }
        for (resampler, channel) in resamplers.into_iter().zip(&mut channels) {
            resampler.finish(channel);
        }
        if channels.iter().all(Vec::is_empty) {
            bail!("there is no audio in it");
        }
        Ok(Self { channels, format })
    }

    /// How long it plays.
    #[must_use]
    pub fn duration(&self) -> Duration {
        let samples = self.channels.iter().map(Vec::len).max().unwrap_or(0);
        Duration::from_millis(samples as u64 * 1000 / u64::from(RATE))
    }
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
                while outputs.iter().any(|o| o.speech.is_full() && o.speech.has_reader())
                    || outputs.iter().any(|o| o.recording.is_full() && o.recording.has_reader())
                {
                    std::thread::sleep(Duration::from_millis(1));
                }
                position.store(end_ms, Ordering::Relaxed);
            }
        }
        for (channel, output) in channels.iter().zip(&mut outputs) {
            let from = (index as usize * FRAME_SAMPLES).min(channel.len());
            let part = &channel[from..(from + FRAME_SAMPLES).min(channel.len())];
            let mut frame = Frame::silence(index);
            frame.samples[..part.len()].copy_from_slice(part);
            output.speech.push(frame);
            output.recording.push(frame);
        }
    }
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
            if let Ok(recording) = Recording::open(&file) {
                prop_assert!((1..=2).contains(&recording.channels.len()));
                prop_assert!(recording.channels.iter().all(|c| c.iter().all(|sample| sample.is_finite())));
            }
        }
    }
}
