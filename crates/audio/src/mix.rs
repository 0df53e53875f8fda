//! Several voices at once.

use crate::FRAME_SAMPLES;

/// Up to here a sum is left as it is.
const KNEE: f32 = 0.7;

/// Adds voices up, and never clips: what is louder than one full voice is bent down softly.
#[derive(Clone, Debug)]
pub struct Mix {
    sum: [f32; FRAME_SAMPLES],
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

    /// All of them together, within -1 to 1.
    #[must_use]
    pub fn finish(self) -> [f32; FRAME_SAMPLES] {
        self.sum.map(bend)
    }
}

fn bend(sample: f32) -> f32 {
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

    #[test]
    fn one_voice_is_unchanged_and_many_do_not_clip() {
        let voice: [f32; FRAME_SAMPLES] = std::array::from_fn(|n| 0.6 * (n as f32 * 0.2).sin());
        let mut mix = Mix::default();
        mix.add(&voice);
        assert_eq!(mix.clone().finish(), voice);
        for _ in 0..4 {
            mix.add(&voice);
        }
        let loud = mix.finish();
        assert!(loud.iter().all(|s| s.abs() <= 1.0));
        // Nothing jumps, and louder stays louder.
        let mut pairs: Vec<_> = voice.iter().zip(loud).map(|(a, b)| (*a, b)).collect();
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(pairs.windows(2).all(|pair| pair[0].1 <= pair[1].1));
    }
}
