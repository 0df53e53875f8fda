//! The pitch of a voice, by YIN: A. de Cheveigné & H. Kawahara, "YIN, a fundamental frequency estimator for speech and
//! music", Journal of the Acoustical Society of America 111(4), 2002, without its last step (the search among
//! neighbours): who asks for the pitch of an utterance takes the median of many.

use crate::RATE;

/// Samples at 16 kHz that a pitch is looked for in: 32 ms, two periods of the lowest voice.
pub const PITCH_SAMPLES: usize = 512;

/// The voices of adults on the telephone, agitated ones included.
const LOWEST_HZ: u32 = 75;
const HIGHEST_HZ: u32 = 500;
/// It is looked for at half the rate, which is enough for a voice and takes a quarter of the time.
const HALF_RATE: u32 = RATE / 2;
const HALF: usize = PITCH_SAMPLES / 2;
const SHORTEST: usize = (HALF_RATE / HIGHEST_HZ) as usize;
const LONGEST: usize = (HALF_RATE / LOWEST_HZ) as usize;
/// With one more, to look between lags.
const LAGS: usize = LONGEST + 2;
/// What is compared with itself, some time later.
const WINDOW: usize = HALF + 1 - LAGS;
/// What differs more from itself a period later is not voiced.
const APERIODIC: f32 = 0.2;

/// The pitch of the first [`PITCH_SAMPLES`] samples, in hertz from 75 to 500; none where there is no voice, or there are
/// not that many samples.
///
/// It allocates nothing, and multiplies some 16,000 times.
#[must_use]
pub fn pitch(samples: &[f32]) -> Option<f32> {
    let mut half = [0.0_f32; HALF];
    for (one, pair) in half.iter_mut().zip(samples.get(..PITCH_SAMPLES)?.chunks_exact(2)) {
        *one = 0.5 * (pair[0] + pair[1]);
    }
    // Equation 8: how much it differs from itself a lag later, in units of the mean over all shorter lags.
    let mut differs = [1.0_f32; LAGS];
    let mut sum = 0.0;
    for (lag, differs) in differs.iter_mut().enumerate().skip(1) {
        let later = half[..WINDOW].iter().zip(&half[lag..]);
        let difference: f32 = later.map(|(a, b)| (a - b) * (a - b)).sum();
        sum += difference;
        if sum > 0.0 {
            *differs = difference * lag as f32 / sum;
        }
    }
    let mut lag = (SHORTEST..=LONGEST).find(|lag| differs[*lag] < APERIODIC)?;
    while differs[lag + 1] < differs[lag] {
        lag += 1;
        if lag > LONGEST {
            return None;
        }
    }
    // The lowest point of the parabola through it and its neighbours.
    let (before, here, after) = (differs[lag - 1], differs[lag], differs[lag + 1]);
    let bend = before - 2.0 * here + after;
    let between = if bend > 0.0 { (0.5 * (before - after) / bend).clamp(-0.5, 0.5) } else { 0.0 };
    Some(HALF_RATE as f32 / (lag as f32 + between))
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    /// A voice as the telephone passes it on: harmonics up to 3.4 kHz, without those below 300 Hz.
    fn voice(hz: f32, level: f32) -> Vec<f32> {
        let harmonics = (1..).map(|n| n as f32 * hz).take_while(|hz| *hz < 3_400.0);
        let heard: Vec<f32> = harmonics.filter(|hz| *hz >= 300.0).collect();
        let sample = |n: usize| {
            let at = n as f32 / RATE as f32 * std::f32::consts::TAU;
            heard.iter().map(|hz| (hz * at).sin() / hz.sqrt()).sum::<f32>()
        };
        (0..PITCH_SAMPLES).map(|n| level * sample(n)).collect()
    }

    #[test]
    fn a_voice_has_its_pitch_however_loud_and_without_its_lowest_harmonics() {
        for hz in [80.0, 98.3, 120.0, 165.4, 220.0, 311.1, 440.0] {
            for level in [1e-3, 0.3, 10.0] {
                let found = pitch(&voice(hz, level)).unwrap_or_default();
                assert!((found / hz - 1.0).abs() < 0.02, "{hz} Hz at {level}: {found}");
            }
        }
    }

    #[test]
    fn noise_and_silence_have_none_and_neither_has_too_little() {
        let mut random = rand::rngs::StdRng::seed_from_u64(7);
        for _ in 0..200 {
            let noise: Vec<f32> = (0..PITCH_SAMPLES).map(|_| random.random_range(-0.5..0.5)).collect();
            assert_eq!(pitch(&noise), None);
        }
        assert_eq!(pitch(&[0.0; PITCH_SAMPLES]), None);
        assert_eq!(pitch(&[0.25; PITCH_SAMPLES]), None);
        assert_eq!(pitch(&voice(120.0, 0.3)[1..]), None);
        assert_eq!(pitch(&[]), None);
    }

    #[test]
    fn what_is_no_number_has_no_pitch() {
        for strange in [f32::NAN, f32::INFINITY, f32::MAX] {
            let mut samples = voice(120.0, 0.3);
            samples[100] = strange;
            assert!(pitch(&samples).is_none_or(f32::is_finite));
        }
    }

    proptest::proptest! {
        #[test]
        fn a_pitch_is_within_its_bounds(samples in proptest::collection::vec(-1.0_f32..1.0, PITCH_SAMPLES)) {
            if let Some(hz) = pitch(&samples) {
                proptest::prop_assert!((74.0..520.0).contains(&hz), "{hz}");
            }
        }
    }
}
