//! Several voices at once.

use crate::FRAME_SAMPLES;

/// Up to here a sum is left as it is.
const KNEE: f32 = 0.7;
/// Samples in which a mix that is too loud is turned down: 2.5 ms.
const ATTACK: usize = 40;
/// How much of its loudness a mix gets back in 20 ms.
const RELEASE: f32 = 0.02;

/// Adds voices up, and never clips.
#[derive(Clone, Debug)]
pub struct Mix {
    sum: [f32; FRAME_SAMPLES],
}

/// How far one listener's mix is turned down at the moment, which goes on from frame to frame.
#[derive(Clone, Copy, Debug)]
pub struct Limiter {
    gain: f32,
}

impl Default for Limiter {
    fn default() -> Self {
        Self { gain: 1.0 }
    }
}

impl Default for Mix {
    fn default() -> Self {
        Self { sum: [0.0; FRAME_SAMPLES] }
    }
}

impl Mix {
    /// One more voice.
    pub fn add(&mut self, samples: &[f32; FRAME_SAMPLES]) {
        for (sum, sample) in self.sum.iter_mut().zip(samples) {
            *sum += sample;
        }
    }

    /// All of them together, within -1 to 1. What is too loud is turned down as a whole, so that loud voices stay
    /// as clear as they are; only while that happens is a peak bent.
    #[must_use]
    pub fn finish(self, limiter: &mut Limiter) -> [f32; FRAME_SAMPLES] {
        let peak = self.sum.iter().fold(KNEE, |peak, sample| peak.max(sample.abs()));
        let (before, after) = (limiter.gain, (KNEE / peak).min(limiter.gain + RELEASE));
        let ramp = if after < before { ATTACK } else { FRAME_SAMPLES } as f32;
        limiter.gain = after;
        let gain = |n: usize| before + (after - before) * ((n + 1) as f32 / ramp).min(1.0);
        std::array::from_fn(|n| bend(self.sum[n] * gain(n)))
    }
}

/// Bends what is nearly too loud, or is, into -1 to 1.
#[must_use]
pub fn bend(sample: f32) -> f32 {
    let over = sample.abs() - KNEE;
    if over <= 0.0 {
        return sample;
    }
    let bent = KNEE + (1.0 - KNEE) * (over / (1.0 - KNEE)).tanh();
    bent.copysign(sample)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RATE;

    /// The `frame`th 20 ms of a tone.
    fn voice(hz: f32, level: f32, frame: usize) -> [f32; FRAME_SAMPLES] {
        let phase = |n: usize| (frame * FRAME_SAMPLES + n) as f32 * hz / RATE as f32;
        std::array::from_fn(|n| level * (phase(n).fract() * std::f32::consts::TAU).sin())
    }

    /// How much of a tone there is in a frame; whole periods fit into 20 ms.
    fn amount(samples: &[f32; FRAME_SAMPLES], hz: f32) -> f32 {
        let phase = |n: usize| n as f32 * hz / RATE as f32 * std::f32::consts::TAU;
        let (sin, cos) = samples.iter().enumerate().fold((0.0, 0.0), |(sin, cos), (n, sample)| {
            (sin + sample * phase(n).sin(), cos + sample * phase(n).cos())
        });
        2.0 * f32::hypot(sin, cos) / FRAME_SAMPLES as f32
    }

    #[test]
    fn one_voice_is_unchanged() {
        let mut limiter = Limiter::default();
        for frame in 0..100 {
            let mut mix = Mix::default();
            mix.add(&voice(500.0, 0.69, frame));
            assert_eq!(mix.finish(&mut limiter), voice(500.0, 0.69, frame));
        }
    }

    #[test]
    fn three_at_the_top_of_their_voices_do_not_clip_and_stay_clear() {
        let mut limiter = Limiter::default();
        let pitches = [500.0, 800.0, 1_250.0];
        for frame in 0..200 {
            let mut mix = Mix::default();
            pitches.iter().for_each(|hz| mix.add(&voice(*hz, 1.0, frame)));
            let heard = mix.finish(&mut limiter);
            assert!(heard.iter().all(|sample| sample.abs() <= 1.0), "{frame}");
            if frame == 0 {
                continue;
            }
            // Each is as loud as the others, and what is none of them is a thousandth of the power.
            let amounts = pitches.map(|hz| amount(&heard, hz));
            assert!(amounts.iter().all(|a| *a > 0.2 && (a - amounts[0]).abs() < 0.01), "{amounts:?}");
            let power = heard.iter().map(|s| s * s).sum::<f32>() / FRAME_SAMPLES as f32;
            let theirs = amounts.iter().map(|a| a * a / 2.0).sum::<f32>();
            assert!((power - theirs).abs() < power / 1_000.0, "{frame}: {theirs} of {power}");
        }
        // When two of them are silent, the third is soon as loud as before.
        for frame in 200..300 {
            let mut mix = Mix::default();
            mix.add(&voice(500.0, 0.5, frame));
            let heard = mix.finish(&mut limiter);
            assert!(frame < 250 || (amount(&heard, 500.0) - 0.5).abs() < 0.001);
        }
    }
}
