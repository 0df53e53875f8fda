//! Recorded calls as samples, and G.711 as a peer would send it.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use symphonia::core::audio::GenericAudioBufferRef;
use symphonia::core::codecs::CodecParameters;
use symphonia::core::formats::TrackType;
use symphonia::core::formats::probe::Hint;
use symphonia::core::io::MediaSourceStream;

/// Samples of one recording, one vector a channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Audio {
    /// Samples a second.
    pub rate: u32,
    /// 16-bit samples; all channels have the same length.
    pub channels: Vec<Vec<i16>>,
}

impl Audio {
    /// Reads a WAV or FLAC file.
    ///
    /// # Errors
    /// When it cannot be read or is neither.
    pub fn read(path: &Path) -> Result<Self> {
        Self::decode(path).with_context(|| format!("reading {}", path.display()))
    }

    fn decode(path: &Path) -> Result<Self> {
        let source = MediaSourceStream::new(Box::new(std::fs::File::open(path)?), Default::default());
        let mut hint = Hint::new();
        if let Some(extension) = path.extension().and_then(|e| e.to_str()) {
            hint.with_extension(extension);
        }
        let mut format =
            symphonia::default::get_probe().probe(&hint, source, Default::default(), Default::default())?;
        let track = format.default_track(TrackType::Audio).context("no audio in it")?;
        let Some(CodecParameters::Audio(codec)) = track.codec_params.clone() else { bail!("no audio in it") };
        let rate = codec.sample_rate.context("no sample rate")?;
        let mut decoder = symphonia::default::get_codecs().make_audio_decoder(&codec, &Default::default())?;
        let mut channels: Vec<Vec<i16>> = Vec::new();
        let mut planes: Vec<Vec<i16>> = Vec::new();
        while let Some(packet) = format.next_packet()? {
            let decoded: GenericAudioBufferRef<'_> = decoder.decode(&packet)?;
            decoded.copy_to_vecs_planar(&mut planes);
            channels.resize_with(planes.len(), Vec::new);
            for (channel, plane) in channels.iter_mut().zip(&planes) {
                channel.extend_from_slice(plane);
            }
        }
        ensure!(!channels.is_empty(), "no samples in it");
        Ok(Self { rate, channels })
    }

    /// A tone at 8 kHz, a quarter of full scale.
    #[must_use]
    pub fn tone(hz: u32, seconds: u32) -> Self {
        let step = f64::from(hz) * std::f64::consts::TAU / 8_000.0;
        let samples = (0..8_000 * seconds).map(|n| (8_192.0 * (f64::from(n) * step).sin()) as i16);
        Self { rate: 8_000, channels: vec![samples.collect()] }
    }

    /// How loud a tone is in a channel between two times: its amplitude in units of full scale. `hz` is a multiple
    /// of 50, and so are those it is told apart from.
    ///
    /// Goertzel's filter over 20 ms at a time: a jitter buffer that stretches what it plays shifts a tone, and over
    /// longer times it would not be found.
    #[must_use]
    pub fn tone_level(&self, channel: usize, hz: u32, from_ms: u64, to_ms: u64) -> f64 {
        let part = self.cut(from_ms, to_ms);
        let Some(samples) = part.channels.get(channel) else { return 0.0 };
        let length = (self.rate / 50) as usize;
        let turn = 2.0 * (f64::from(hz) * std::f64::consts::TAU / f64::from(self.rate)).cos();
        let amplitude = |piece: &[i16]| {
            let (mut last, mut before) = (0.0, 0.0);
            for sample in piece {
                (last, before) = (f64::from(*sample) / 32_768.0 + turn * last - before, last);
            }
            2.0 * (last * last + before * before - turn * last * before).max(0.0).sqrt() / length as f64
        };
        let pieces = samples.chunks_exact(length);
        let count = pieces.len().max(1);
        pieces.map(amplitude).sum::<f64>() / count as f64
    }

    /// How long it plays, in milliseconds.
    #[must_use]
    pub fn duration_ms(&self) -> u64 {
        self.channels.first().map_or(0, |c| c.len() as u64 * 1000 / u64::from(self.rate))
    }

    /// The part between two times, in milliseconds; silence where there is nothing.
    #[must_use]
    pub fn cut(&self, from_ms: u64, to_ms: u64) -> Self {
        let at = |ms: u64| (ms * u64::from(self.rate) / 1000) as usize;
        let part = |channel: &Vec<i16>| {
            (at(from_ms)..at(to_ms)).map(|i| channel.get(i).copied().unwrap_or(0)).collect()
        };
        Self { rate: self.rate, channels: self.channels.iter().map(part).collect() }
    }

    /// The same after some silence, in milliseconds.
    #[must_use]
    pub fn later(&self, ms: f64) -> Self {
        let silence = vec![0; (f64::from(self.rate) * ms / 1e3).round() as usize];
        let channels = self.channels.iter().map(|channel| [silence.as_slice(), channel].concat());
        Self { rate: self.rate, channels: channels.collect() }
    }

    /// Writes a 16-bit PCM WAV file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_wav(&self, path: &Path) -> Result<()> {
        let channels = self.channels.len() as u16;
        let frames = self.channels.first().map_or(0, Vec::len);
        let bytes = (frames * usize::from(channels) * 2) as u32;
        let mut out = Vec::with_capacity(44 + bytes as usize);
        out.extend_from_slice(b"RIFF");
        out.extend_from_slice(&(36 + bytes).to_le_bytes());
        out.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0");
        out.extend_from_slice(&channels.to_le_bytes());
        out.extend_from_slice(&self.rate.to_le_bytes());
        out.extend_from_slice(&(self.rate * u32::from(channels) * 2).to_le_bytes());
        out.extend_from_slice(&(channels * 2).to_le_bytes());
        out.extend_from_slice(&16u16.to_le_bytes());
        out.extend_from_slice(b"data");
        out.extend_from_slice(&bytes.to_le_bytes());
        for i in 0..frames {
            for channel in &self.channels {
                out.extend_from_slice(&channel[i].to_le_bytes());
            }
        }
        std::fs::write(path, out).with_context(|| format!("writing {}", path.display()))
    }

    /// The root mean square of a channel between two times, in units of full scale.
    #[must_use]
    pub fn loudness(&self, channel: usize, from_ms: u64, to_ms: u64) -> f64 {
        let part = self.cut(from_ms, to_ms);
        let Some(samples) = part.channels.get(channel).filter(|s| !s.is_empty()) else { return 0.0 };
        let sum: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
        (sum / samples.len() as f64).sqrt() / 32768.0
    }
}

/// G.711 µ-law (ITU-T G.711), one sample.
#[must_use]
pub fn mu_law(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = (i32::from(sample).abs().min(32635) + 132) as u32;
    let exponent = 24 - magnitude.leading_zeros();
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    !(sign | ((exponent as u8) << 4) | mantissa as u8)
}

/// G.711 A-law, one sample.
#[must_use]
pub fn a_law(sample: i16) -> u8 {
    let sign = if sample < 0 { 0 } else { 0x80 };
    let magnitude = (if sample < 0 { !sample } else { sample } as u32) >> 4;
    let code = if magnitude < 16 {
        magnitude
    } else {
        let exponent = 28 - magnitude.leading_zeros();
        (exponent << 4) | ((magnitude >> (exponent - 1)) & 0x0f)
    };
    (sign | code as u8) ^ 0x55
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g711_known_values() {
        // Ends and zero of the tables in ITU-T G.711.
        assert_eq!(mu_law(0), 0xff);
        assert_eq!(mu_law(-1), 0x7f);
        assert_eq!(mu_law(32767), 0x80);
        assert_eq!(mu_law(-32768), 0x00);
        assert_eq!(a_law(0), 0xd5);
        assert_eq!(a_law(-1), 0x55);
        assert_eq!(a_law(32767), 0xaa);
        assert_eq!(a_law(-32768), 0x2a);
    }

    #[test]
    fn g711_is_monotonic_in_the_tables_order() {
        let order = |codes: Vec<u8>, mask: u8| {
            let steps: Vec<u8> = codes.iter().map(|c| (c ^ mask) & 0x7f).collect();
            steps.windows(2).all(|w| w[0] <= w[1])
        };
        assert!(order((0..=i16::MAX).map(mu_law).collect(), 0xff));
        assert!(order((0..=i16::MAX).map(a_law).collect(), 0x55));
    }

    #[test]
    fn a_tone_is_told_from_others() {
        let tone = Audio::tone(500, 1);
        assert!((tone.tone_level(0, 500, 200, 700) - 0.25).abs() < 0.01);
        assert!(tone.tone_level(0, 800, 200, 700) < 0.01 && tone.tone_level(0, 1250, 200, 700) < 0.01);
    }

    #[test]
    fn a_wav_file_reads_back() {
        let audio = Audio { rate: 8000, channels: vec![vec![1, -2, 3], vec![-32768, 0, 32767]] };
        let file = tempfile::Builder::new().suffix(".wav").tempfile().unwrap();
        audio.write_wav(file.path()).unwrap();
        assert_eq!(Audio::read(file.path()).unwrap(), audio);
    }
}
