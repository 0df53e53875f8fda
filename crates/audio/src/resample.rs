//! From any rate to 16 kHz.
//!
//! The telephone's 8 kHz gets its own half-band filter, for files as for calls: it delays by 2 ms, hands the
//! received samples through unchanged and only computes those between, keeps its few taps in the cache, and
//! takes packets of any size without allocating. A general FFT resampler would need blocks of a fixed size and
//! delay by half of one. Every other rate (files) goes through rubato.

use std::sync::LazyLock;

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Indexing};

use crate::{AudioError, RATE};

/// Taps that compute a sample half-way between two others. With 32, the telephone band (to 3.4 kHz) passes
/// within 0.1 dB and its image above 4.6 kHz is 60 dB down.
const TAPS: usize = 32;

/// 8 kHz samples between input and output of the half-band filter: 2 ms.
const DELAY: usize = TAPS / 2;

/// Samples filtered at a time.
const BLOCK: usize = 160;

/// A sinc at the half-way points under a Kaiser window, with unit gain at 0 Hz.
static HALF: LazyLock<[f32; TAPS]> = LazyLock::new(|| {
    const BETA: f64 = 6.0;
    let mut taps = [0.0; TAPS];
    for (n, tap) in taps.iter_mut().enumerate() {
        let t = n as f64 - (TAPS as f64 - 1.0) / 2.0;
        let x = std::f64::consts::PI * t;
        let window = bessel(BETA * (1.0 - (t / DELAY as f64).powi(2)).sqrt()) / bessel(BETA);
        *tap = x.sin() / x * window;
    }
    let sum: f64 = taps.iter().sum();
    taps.map(|tap| (tap / sum) as f32)
});

/// The modified Bessel function of order zero, by its series.
fn bessel(x: f64) -> f64 {
    let mut term = 1.0;
    let mut sum = 1.0;
    for k in 1..32 {
        term *= (x / (2.0 * f64::from(k))).powi(2);
        sum += term;
    }
    sum
}

/// 8 kHz to 16 kHz, 2 ms late.
pub struct Upsampler {
    /// The last `TAPS - 1` samples, then room for a block.
    window: [f32; TAPS - 1 + BLOCK],
}

impl Default for Upsampler {
    fn default() -> Self {
        Self { window: [0.0; TAPS - 1 + BLOCK] }
    }
}

impl Upsampler {
    /// 16 kHz samples that are still inside after the last input: feed half as many zeros to get them out.
    pub const DELAY: usize = 2 * DELAY;

    /// Writes two samples to `output` for every one of `input`, as far as both reach.
    pub fn process(&mut self, input: &[f32], output: &mut [f32]) {
        for (input, output) in input.chunks(BLOCK).zip(output.chunks_mut(2 * BLOCK)) {
            self.window[TAPS - 1..TAPS - 1 + input.len()].copy_from_slice(input);
            for (window, pair) in self.window.windows(TAPS).zip(output.chunks_exact_mut(2)).take(input.len())
            {
                pair[0] = window[DELAY - 1];
                pair[1] = window.iter().zip(HALF.iter()).map(|(x, h)| x * h).sum();
            }
            self.window.copy_within(input.len()..input.len() + TAPS - 1, 0);
        }
    }
}

/// 16 kHz to 8 kHz, 2 ms late: for callers that tests and demonstrations make.
pub struct Downsampler {
    window: [f32; 2 * TAPS - 2 + 2 * BLOCK],
}

impl Default for Downsampler {
    fn default() -> Self {
        Self { window: [0.0; 2 * TAPS - 2 + 2 * BLOCK] }
    }
}

impl Downsampler {
    /// Writes one sample to `output` for every two of `input`, as far as both reach. An odd last sample is
    /// left out.
    pub fn process(&mut self, input: &[f32], output: &mut [f32]) {
        const HISTORY: usize = 2 * TAPS - 2;
        for (input, output) in input.chunks(2 * BLOCK).zip(output.chunks_mut(BLOCK)) {
            let pairs = input.len() / 2;
            self.window[HISTORY..HISTORY + input.len()].copy_from_slice(input);
            for (n, sample) in output.iter_mut().take(pairs).enumerate() {
                let window = &self.window[2 * n..=2 * n + HISTORY];
                let between: f32 = window.iter().step_by(2).zip(HALF.iter()).map(|(x, h)| x * h).sum();
                *sample = 0.5 * (window[TAPS - 1] + between);
            }
            self.window.copy_within(2 * pairs..2 * pairs + HISTORY, 0);
        }
    }
}

/// A mono recording at any rate to 16 kHz, piece by piece, without delay and with the exact length.
pub struct Resampler {
    kind: Kind,
    rate: u64,
    taken: u64,
    given: u64,
    /// Samples at the beginning of the output that are the filter's delay and not the recording's.
    skip: usize,
    input: Vec<f32>,
    output: Vec<f32>,
}

enum Kind {
    Copy,
    Double(Box<Upsampler>),
    Fft(Box<Fft<f32>>),
}

impl Resampler {
    /// A resampler from `rate` samples per second.
    ///
    /// # Errors
    /// [`AudioError::Rate`] outside of 4 kHz to 384 kHz.
    pub fn new(rate: u32) -> Result<Self, AudioError> {
        const CHUNK: usize = 1024;
        let kind = match rate {
            RATE => Kind::Copy,
            8_000 => Kind::Double(Box::default()),
            4_000..=384_000 => {
                let fft = Fft::new(rate as usize, RATE as usize, CHUNK, 1, FixedSync::Input);
                Kind::Fft(Box::new(fft.map_err(|_| AudioError::Rate(rate))?))
            }
            _ => return Err(AudioError::Rate(rate)),
        };
        let skip = match &kind {
            Kind::Copy => 0,
            Kind::Double(_) => Upsampler::DELAY,
            Kind::Fft(fft) => rubato::Resampler::output_delay(fft.as_ref()),
        };
        let output = match &kind {
            Kind::Copy => 0,
            Kind::Double(_) => 2 * BLOCK,
            Kind::Fft(fft) => rubato::Resampler::output_frames_max(fft.as_ref()),
        };
        Ok(Self {
            kind,
            rate: u64::from(rate),
            taken: 0,
            given: 0,
            skip,
            input: Vec::new(),
            output: vec![0.0; output],
        })
    }

    /// Takes the next piece, of any length, and appends what it yields to `output`.
    pub fn process(&mut self, input: &[f32], output: &mut Vec<f32>) {
        self.taken += input.len() as u64;
        self.feed(input, output);
    }

    /// Appends the rest, so that in all `input * 16000 / rate` samples (rounded up) have come out.
    pub fn finish(mut self, output: &mut Vec<f32>) {
        let due = (self.taken * u64::from(RATE)).div_ceil(self.rate);
        let zeros = [0.0; BLOCK];
        while self.given < due {
            self.feed(&zeros, output);
        }
        output.truncate(output.len() - (self.given - due) as usize);
    }

    fn feed(&mut self, input: &[f32], output: &mut Vec<f32>) {
        match &mut self.kind {
            Kind::Copy => {
                output.extend_from_slice(input);
                self.given += input.len() as u64;
            }
            Kind::Double(upsampler) => {
                for block in input.chunks(BLOCK) {
                    let doubled = &mut self.output[..2 * block.len()];
                    upsampler.process(block, doubled);
                    let skip = self.skip.min(doubled.len());
                    self.skip -= skip;
                    self.given += (doubled.len() - skip) as u64;
                    output.extend_from_slice(&doubled[skip..]);
                }
            }
            Kind::Fft(fft) => {
                self.input.extend_from_slice(input);
                let mut used = 0;
                loop {
                    let wanted = rubato::Resampler::input_frames_next(fft.as_ref());
                    let rest = &self.input[used..];
                    if rest.len() < wanted {
                        break;
                    }
                    let written = resample(fft, &rest[..wanted], &mut self.output);
                    used += wanted;
                    let skip = self.skip.min(written);
                    self.skip -= skip;
                    self.given += (written - skip) as u64;
                    output.extend_from_slice(&self.output[skip..written]);
                }
                self.input.drain(..used);
            }
        }
    }
}

/// One block through rubato; the number of samples written.
fn resample(fft: &mut Fft<f32>, input: &[f32], output: &mut [f32]) -> usize {
    let frames = output.len();
    let (Ok(from), Ok(mut to)) =
        (SequentialSlice::new(input, 1, input.len()), SequentialSlice::new_mut(&mut *output, 1, frames))
    else {
        return 0;
    };
    let done = rubato::Resampler::process_into_buffer(fft, &from, &mut to, None::<&Indexing>);
    done.map_or(0, |(_, written)| written)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tone(rate: u32, hz: f64, samples: usize) -> Vec<f32> {
        (0..samples)
            .map(|n| (std::f64::consts::TAU * hz * n as f64 / f64::from(rate)).sin() as f32 * 0.5)
            .collect()
    }

    fn rms(samples: &[f32]) -> f32 {
        (samples.iter().map(|x| x * x).sum::<f32>() / samples.len() as f32).sqrt()
    }

    /// The largest difference, ends aside.
    fn difference(a: &[f32], b: &[f32]) -> f32 {
        let edge = 200;
        a.iter().zip(b).skip(edge).take(a.len() - 2 * edge).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn the_telephone_band_comes_out_of_the_upsampler_as_it_went_in() {
        for hz in [300.0, 1_000.0, 2_000.0, 3_400.0] {
            let input = tone(8_000, hz, 4_000);
            let mut output = vec![0.0; 8_000];
            Upsampler::default().process(&input, &mut output);
            assert!(difference(&output[Upsampler::DELAY..], &tone(16_000, hz, 8_000 - 32)) < 0.01, "{hz} Hz");
        }
    }

    #[test]
    fn received_samples_pass_the_upsampler_unchanged() {
        let input: Vec<f32> = (0..1_000).map(|n| ((n * 7_919) % 1_000) as f32 / 1_000.0 - 0.5).collect();
        let mut output = vec![0.0; 2_000];
        Upsampler::default().process(&input, &mut output);
        for (n, x) in input.iter().enumerate().take(1_000 - DELAY) {
            assert_eq!(output[2 * n + Upsampler::DELAY], *x);
        }
    }

    #[test]
    fn the_downsampler_keeps_the_telephone_band_and_removes_what_would_fold_into_it() {
        for (hz, gain) in [(1_000.0, 1.0), (3_400.0, 1.0), (4_700.0, 0.0), (7_000.0, 0.0)] {
            let input = tone(16_000, hz, 8_000);
            let mut output = vec![0.0; 4_000];
            Downsampler::default().process(&input, &mut output);
            assert!((rms(&output[200..]) / rms(&input) - gain).abs() < 0.02, "{hz} Hz");
        }
    }

    #[test]
    fn files_of_every_common_rate_keep_length_place_and_pitch() {
        for rate in [8_000, 11_025, 12_000, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000] {
            let input = tone(rate, 440.0, rate as usize);
            let mut resampler = Resampler::new(rate).unwrap();
            let mut output = Vec::new();
            for piece in input.chunks(777) {
                resampler.process(piece, &mut output);
            }
            resampler.finish(&mut output);
            assert_eq!(output.len(), 16_000, "{rate}");
            // An FFT block of odd length leaves half an input sample of delay, 45 µs at the lowest rate.
            assert!(difference(&output, &tone(16_000, 440.0, 16_000)) < 0.07, "{rate}");
        }
    }

    #[test]
    fn rates_no_recording_has_are_refused() {
        for rate in [0, 1, 3_999, 384_001, u32::MAX] {
            assert!(matches!(Resampler::new(rate), Err(AudioError::Rate(r)) if r == rate));
        }
    }

    proptest! {
        #[test]
        fn how_the_input_is_cut_does_not_matter(cuts in prop::collection::vec(0_usize..500, 1..30)) {
            let length = cuts.iter().sum::<usize>();
            let input = tone(8_000, 700.0, length);
            let mut whole = vec![0.0; 2 * length];
            Upsampler::default().process(&input, &mut whole);
            let mut upsampler = Upsampler::default();
            let mut pieces = vec![0.0; 2 * length];
            let mut at = 0;
            for cut in cuts {
                upsampler.process(&input[at..at + cut], &mut pieces[2 * at..2 * (at + cut)]);
                at += cut;
            }
            prop_assert_eq!(whole, pieces);
        }
    }
}
