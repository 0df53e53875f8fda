//! From RTP payloads to 16 kHz mono samples, and back for callers that tests and demonstrations make.

use audio_codec::g722::{G722Decoder, G722Encoder};
use audio_codec::{Decoder as _, Encoder as _};
use thiserror::Error;

use crate::{Downsampler, RATE, Upsampler, g711};

/// The largest RTP payload taken: an Ethernet frame less the IPv4, UDP and RTP headers.
pub const MAX_PAYLOAD: usize = 1_460;

/// The most 16 kHz samples one payload yields.
pub const MAX_PACKET_SAMPLES: usize = 2 * MAX_PAYLOAD;

/// What can be wrong with audio that comes from outside.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum AudioError {
    /// The payload is not what its codec could have made.
    #[error("malformed {0} payload")]
    Malformed(&'static str),
    /// A payload of a codec that this decoder was not prepared for.
    #[error("{0} was not agreed on")]
    NotPrepared(&'static str),
    /// The Opus library gave no decoder or encoder.
    #[error("Opus: {0}")]
    Opus(String),
    /// A sample rate no recording has.
    #[error("cannot resample from {0} Hz")]
    Rate(u32),
}

/// How speech is coded in RTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 µ-law, 8 kHz (RFC 3551 section 4.5.14).
    Pcmu,
    /// G.711 A-law, 8 kHz (RFC 3551 section 4.5.14).
    Pcma,
    /// G.722, 64 kbit/s, 16 kHz; its RTP clock is 8 kHz by an old mistake (RFC 3551 section 4.5.2).
    G722,
    /// Opus (RFC 6716, RFC 7587); its RTP clock is always 48 kHz.
    Opus,
}

impl Codec {
    /// Every codec there is.
    pub const ALL: [Self; 4] = [Self::Pcmu, Self::Pcma, Self::G722, Self::Opus];

    /// The encoding name in SDP.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
            Self::Opus => "opus",
        }
    }

    /// The codec with this encoding name in SDP, in any case.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name().eq_ignore_ascii_case(name))
    }

    /// RTP timestamp units per second.
    #[must_use]
    pub const fn clock_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 8_000,
            Self::Opus => 48_000,
        }
    }

    /// The payload type that it has by RFC 3551 section 6, or that is usual for it.
    #[must_use]
    pub const fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
            Self::G722 => 9,
            Self::Opus => 111,
        }
    }

    /// Channels in its description; Opus always says two (RFC 7587 section 7).
    #[must_use]
    pub const fn channels(self) -> u8 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 1,
            Self::Opus => 2,
        }
    }

    /// How many RTP timestamp units a payload lasts.
    ///
    /// # Errors
    /// [`AudioError::Malformed`] when it is empty, too large, or not Opus (RFC 6716 section 3).
    pub fn duration(self, payload: &[u8]) -> Result<u32, AudioError> {
        let malformed = AudioError::Malformed(self.name());
        if payload.is_empty() || payload.len() > MAX_PAYLOAD {
            return Err(malformed);
        }
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => Ok(payload.len() as u32),
            Self::Opus => match opus::packet::get_nb_samples(payload, self.clock_rate()) {
                Ok(samples) if samples > 0 => Ok(samples as u32),
                _ => Err(malformed),
            },
        }
    }
}

/// Decodes the payloads of one stream. Nothing is allocated after construction.
pub struct Decoder {
    upsampler: Upsampler,
    linear: [f32; MAX_PAYLOAD],
    g722: Option<Box<G722>>,
    opus: Option<opus::Decoder>,
}

/// A decoder and room for what it makes.
struct G722 {
    decoder: G722Decoder,
    samples: [i16; MAX_PACKET_SAMPLES],
}

impl Decoder {
    /// A decoder for the codecs that were agreed on.
    ///
    /// # Errors
    /// [`AudioError::Opus`] when the library gives no decoder.
    pub fn new(codecs: &[Codec]) -> Result<Self, AudioError> {
        let opus = codecs.contains(&Codec::Opus).then(|| opus::Decoder::new(RATE, opus::Channels::Mono));
        let opus = opus.transpose().map_err(|error| AudioError::Opus(error.to_string()))?;
        let g722 = codecs
            .contains(&Codec::G722)
            .then(|| Box::new(G722 { decoder: G722Decoder::new(), samples: [0; MAX_PACKET_SAMPLES] }));
        Ok(Self { upsampler: Upsampler::default(), linear: [0.0; MAX_PAYLOAD], g722, opus })
    }

    /// Decodes a payload to 16 kHz samples at the beginning of `output`, which must hold
    /// [`MAX_PACKET_SAMPLES`]; how many there are.
    ///
    /// # Errors
    /// [`AudioError::Malformed`] for what the codec cannot have made, [`AudioError::NotPrepared`] for a codec
    /// that was not announced to [`new`](Self::new).
    pub fn decode(&mut self, codec: Codec, payload: &[u8], output: &mut [f32]) -> Result<usize, AudioError> {
        codec.duration(payload)?;
        let table = match codec {
            Codec::Pcmu => &g711::ULAW,
            Codec::Pcma => &g711::ALAW,
            Codec::G722 => return self.g722(payload, output),
            Codec::Opus => return self.opus(payload, output, false),
        };
        for (sample, code) in self.linear.iter_mut().zip(payload) {
            *sample = f32::from(table[usize::from(*code)]) / 32_768.0;
        }
        let samples = (2 * payload.len()).min(output.len());
        self.upsampler.process(&self.linear[..payload.len()], &mut output[..samples]);
        Ok(samples)
    }

    /// The last 2 ms of G.711 audio that the filter still holds.
    pub fn flush(&mut self, output: &mut [f32; Upsampler::DELAY]) {
        self.upsampler.process(&[0.0; Upsampler::DELAY / 2], output);
    }

    /// Fills `output` with the audio of the lost Opus packet before `payload`, from the copy of it that
    /// `payload` may carry (in-band FEC, RFC 6716 section 2.1.7), else with what it may have sounded like.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn recover(&mut self, payload: &[u8], output: &mut [f32]) -> Result<usize, AudioError> {
        self.opus(payload, output, true)
    }

    /// Fills `output`, a multiple of 2.5 ms, with what a lost Opus packet may have sounded like.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn conceal(&mut self, output: &mut [f32]) -> Result<usize, AudioError> {
        self.opus(&[], output, false)
    }

    fn g722(&mut self, payload: &[u8], output: &mut [f32]) -> Result<usize, AudioError> {
        let malformed = AudioError::Malformed(Codec::G722.name());
        let G722 { decoder, samples } =
            self.g722.as_deref_mut().ok_or(AudioError::NotPrepared(Codec::G722.name()))?;
        let count = decoder.decode_into(payload, samples).map_err(|_| malformed)?;
        for (output, sample) in output.iter_mut().zip(&samples[..count]) {
            *output = f32::from(*sample) / 32_768.0;
        }
        Ok(count.min(output.len()))
    }

    fn opus(&mut self, payload: &[u8], output: &mut [f32], fec: bool) -> Result<usize, AudioError> {
        let decoder = self.opus.as_mut().ok_or(AudioError::NotPrepared(Codec::Opus.name()))?;
        decoder.decode_float(payload, output, fec).map_err(|_| AudioError::Malformed(Codec::Opus.name()))
    }
}

/// Encodes 16 kHz samples into the payloads of one stream.
pub struct Encoder {
    codec: Codec,
    downsampler: Downsampler,
    g722: Option<G722Encoder>,
    opus: Option<opus::Encoder>,
}

impl Encoder {
    /// An encoder; Opus is set for speech over a network that loses packets, with in-band FEC.
    ///
    /// # Errors
    /// [`AudioError::Opus`] when the library gives no encoder.
    pub fn new(codec: Codec) -> Result<Self, AudioError> {
        let opus = (codec == Codec::Opus).then(|| -> opus::Result<opus::Encoder> {
            let mut encoder = opus::Encoder::new(RATE, opus::Channels::Mono, opus::Application::Voip)?;
            encoder.set_bitrate(opus::Bitrate::Bits(24_000))?;
            encoder.set_inband_fec(true)?;
            encoder.set_packet_loss_perc(20)?;
            Ok(encoder)
        });
        let opus = opus.transpose().map_err(|error| AudioError::Opus(error.to_string()))?;
        let g722 = (codec == Codec::G722).then(G722Encoder::new);
        Ok(Self { codec, downsampler: Downsampler::default(), g722, opus })
    }

    /// What this encoder makes.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Encodes one packet's samples (at most 60 ms; for Opus one of 10, 20, 40, 60 ms) to the beginning of
    /// `payload`, which must hold [`MAX_PAYLOAD`]; its length.
    ///
    /// # Errors
    /// [`AudioError::Malformed`] for a length that the codec cannot take.
    pub fn encode(&mut self, samples: &[f32], payload: &mut [u8]) -> Result<usize, AudioError> {
        let malformed = AudioError::Malformed(self.codec.name());
        if let Some(encoder) = &mut self.opus {
            return encoder.encode_float(samples, payload).map_err(|_| malformed);
        }
        if let Some(encoder) = &mut self.g722 {
            let mut linear = [0; MAX_PACKET_SAMPLES];
            let linear = linear.get_mut(..samples.len()).ok_or(AudioError::Malformed(self.codec.name()))?;
            for (linear, sample) in linear.iter_mut().zip(samples) {
                *linear = (sample * 32_768.0).round() as i16;
            }
            return encoder.encode_into(linear, payload).map_err(|_| malformed);
        }
        let mut linear = [0.0; MAX_PAYLOAD];
        let count = samples.len() / 2;
        let (Some(linear), Some(payload)) = (linear.get_mut(..count), payload.get_mut(..count)) else {
            return Err(malformed);
        };
        self.downsampler.process(samples, linear);
        for (code, sample) in payload.iter_mut().zip(&*linear) {
            let sample = (sample * 32_768.0).round() as i16;
            *code = match self.codec {
                Codec::Pcma => g711::alaw_encode(sample),
                _ => g711::ulaw_encode(sample),
            };
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tone(samples: usize) -> Vec<f32> {
        (0..samples).map(|n| (n as f32 * 0.25).sin() * 0.4).collect()
    }

    fn energy(samples: &[f32]) -> f32 {
        samples.iter().map(|x| x * x).sum::<f32>() / samples.len() as f32
    }

    #[test]
    fn speech_survives_every_codec_and_packet_length() {
        for codec in Codec::ALL {
            for ptime in [10, 20, 40, 60] {
                let mut encoder = Encoder::new(codec).unwrap();
                let mut decoder = Decoder::new(&[codec]).unwrap();
                let input = tone(16_000);
                let mut output = Vec::new();
                let mut payload = [0; MAX_PAYLOAD];
                let mut samples = [0.0; MAX_PACKET_SAMPLES];
                for piece in input.chunks_exact(16 * ptime) {
                    let length = encoder.encode(piece, &mut payload).unwrap();
                    let duration = codec.duration(&payload[..length]).unwrap();
                    assert_eq!(duration, codec.clock_rate() * ptime as u32 / 1_000);
                    let count = decoder.decode(codec, &payload[..length], &mut samples).unwrap();
                    assert_eq!(count, piece.len());
                    output.extend_from_slice(&samples[..count]);
                }
                let ratio = energy(&output[2_000..]) / energy(&input[2_000..]);
                assert!((0.8..1.2).contains(&ratio), "{codec:?} {ptime} ms: {ratio}");
            }
        }
    }

    #[test]
    fn a_codec_that_was_not_agreed_on_is_refused() {
        let mut decoder = Decoder::new(&[Codec::Pcmu]).unwrap();
        let mut samples = [0.0; MAX_PACKET_SAMPLES];
        let payload = [0x08, 0, 0];
        assert_eq!(decoder.decode(Codec::Opus, &payload, &mut samples), Err(AudioError::NotPrepared("opus")));
    }

    proptest! {
        #[test]
        fn no_payload_panics_or_yields_more_than_its_duration(
            codec in prop::sample::select(&Codec::ALL[..]),
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1_600), 1..8),
        ) {
            let mut decoder = Decoder::new(&[codec]).unwrap();
            let mut samples = [0.0; MAX_PACKET_SAMPLES];
            for payload in payloads {
                if let Ok(count) = decoder.decode(codec, &payload, &mut samples) {
                    let duration = codec.duration(&payload).unwrap();
                    prop_assert_eq!(count as u32 * codec.clock_rate(), duration * RATE);
                    prop_assert!(samples[..count].iter().all(|x| x.is_finite()));
                }
            }
        }
    }
}
