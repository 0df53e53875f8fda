//! What is heard where audio is missing: the last pitch period again and again, fading to silence, and a short
//! cross-fade back into what comes next. (Opus conceals better by itself; only the fade-out is ours.)

use crate::RATE;

const MS: usize = RATE as usize / 1_000;

/// Audio remembered for repetition: enough for two of the longest periods.
const HISTORY: usize = 40 * MS;
/// The shortest pitch period looked for (400 Hz).
const SHORTEST: usize = 40;
/// The longest pitch period looked for (66 Hz).
const LONGEST: usize = 240;
/// How much of the past is compared to find the period.
const COMPARED: usize = 20 * MS;
/// Over how much the return to real audio is cross-faded.
const RETURN: usize = 4 * MS;

/// When concealment begins to fade, and when it is silent, in samples since audio went missing.
#[derive(Clone, Copy)]
struct Fade {
    from: usize,
    to: usize,
}

/// Repetition soon sounds like a buzzer.
const REPETITION: Fade = Fade { from: 20 * MS, to: 80 * MS };
/// Opus fades by itself; this only puts an end to it.
const OPUS: Fade = Fade { from: 80 * MS, to: 100 * MS };

impl Fade {
    fn gain(self, at: usize) -> f32 {
        if at <= self.from {
            1.0
        } else if at >= self.to {
            0.0
        } else {
            (self.to - at) as f32 / (self.to - self.from) as f32
        }
    }
}

/// Concealment for one stream.
pub(crate) struct Concealer {
    history: [f32; HISTORY],
    period: usize,
    /// Samples concealed since the last real one.
    run: usize,
    /// Whether the run was made by repetition.
    repeating: bool,
}

impl Concealer {
    pub(crate) fn new() -> Self {
        Self { history: [0.0; HISTORY], period: LONGEST, run: 0, repeating: false }
    }

    /// Takes note of real audio, and leads over to it when some was missing before.
    pub(crate) fn real(&mut self, samples: &mut [f32]) {
        if self.repeating {
            let run = self.run;
            for (n, sample) in samples.iter_mut().take(RETURN).enumerate() {
                let weight = (n + 1) as f32 / (RETURN + 1) as f32;
                *sample = *sample * weight + self.repeated(run + n) * (1.0 - weight);
            }
        }
        self.repeating = false;
        self.run = 0;
        self.remember(samples);
    }

    /// Fills in for missing audio by repetition.
    pub(crate) fn repeat(&mut self, samples: &mut [f32]) {
        if !self.repeating {
            self.period = self.pitch();
            self.repeating = true;
        }
        for (n, sample) in samples.iter_mut().enumerate() {
            *sample = self.repeated(self.run + n);
        }
        self.run += samples.len();
    }

    /// Ends what Opus made up, where `false` says that there is no use in asking it for more.
    pub(crate) fn fade(&mut self, samples: &mut [f32]) {
        for (n, sample) in samples.iter_mut().enumerate() {
            *sample *= OPUS.gain(self.run + n);
        }
        self.run += samples.len();
    }

    /// True when concealment has faded to silence.
    pub(crate) fn is_silent(&self) -> bool {
        self.run >= if self.repeating { REPETITION.to } else { OPUS.to }
    }

    fn repeated(&self, at: usize) -> f32 {
        match REPETITION.gain(at) {
            gain if gain > 0.0 => gain * self.history[HISTORY - self.period + at % self.period],
            _ => 0.0,
        }
    }

    fn remember(&mut self, samples: &[f32]) {
        let tail = &samples[samples.len().saturating_sub(HISTORY)..];
        self.history.copy_within(tail.len().., 0);
        self.history[HISTORY - tail.len()..].copy_from_slice(tail);
    }

    /// The lag at which the recent past resembles itself most.
    fn pitch(&self) -> usize {
        let recent = &self.history[HISTORY - COMPARED..];
        let score = |lag: usize| {
            let past = &self.history[HISTORY - COMPARED - lag..HISTORY - lag];
            let (mut product, mut energy) = (0.0_f32, 1e-9_f32);
            for (a, b) in recent.iter().zip(past) {
                product += a * b;
                energy += b * b;
            }
            product / energy.sqrt()
        };
        (SHORTEST..=LONGEST)
            .map(|lag| (lag, score(lag)))
            .fold((LONGEST, 0.0), |a, b| if b.1 > a.1 { b } else { a })
            .0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(samples: usize, period: usize) -> Vec<f32> {
        (0..samples).map(|n| 0.5 - (n % period) as f32 / period as f32).collect()
    }

    #[test]
    fn a_gap_continues_the_voice_at_its_pitch_and_then_falls_silent() {
        let mut concealer = Concealer::new();
        let mut real = voice(HISTORY, 100);
        concealer.real(&mut real);
        let mut gap = [1.0; 100 * MS];
        concealer.repeat(&mut gap);
        let wanted = voice(HISTORY + 20 * MS, 100);
        assert!(gap[..20 * MS].iter().zip(&wanted[HISTORY..]).all(|(a, b)| (a - b).abs() < 1e-6));
        assert!(gap[80 * MS..].iter().all(|x| *x == 0.0));
        assert!(concealer.is_silent());
    }

    #[test]
    fn the_return_to_real_audio_has_no_step() {
        let mut concealer = Concealer::new();
        let tone = |n: usize| (n as f32 * 0.05).sin() * 0.5;
        let mut before: Vec<f32> = (0..HISTORY).map(tone).collect();
        concealer.real(&mut before);
        let mut gap = [0.0; 20 * MS];
        concealer.repeat(&mut gap);
        let mut after: Vec<f32> = (HISTORY + 20 * MS..2 * HISTORY).map(tone).collect();
        concealer.real(&mut after);
        let all: Vec<f32> = gap.iter().chain(&after).copied().collect();
        let step = all.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
        assert!(step < 0.1, "{step}");
    }

    #[test]
    fn audio_after_no_gap_is_untouched() {
        let mut concealer = Concealer::new();
        let original = voice(2_000, 80);
        let mut samples = original.clone();
        for piece in samples.chunks_mut(333) {
            concealer.real(piece);
        }
        assert_eq!(samples, original);
    }
}
