//! Who speaks when, where both parties are on one channel: a guess, from how high and how loud they speak.
//!
//! What is spoken without a pause is taken for one party's. Each such stretch is a point, its pitch and its level, and the
//! points are divided in two by k-means (S. Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information Theory
//! 28(2), 1982). Where the two are not far enough apart, everything is one party's, for a wrong guess is worse than none. Two
//! voices of the same pitch and level are not told apart, nor are people who speak at once.

use sotto_audio::{FRAME_MS, FRAME_SAMPLES, PITCH_SAMPLES, pitch};

/// A mean square below this is taken for this: -100 dBFS.
const LEAST_POWER: f32 = 1e-10;
/// What is so much louder than the quietest tenth of the audio, in decibels, is speech, if it is not softer than
/// [`BELOW_LOUDEST`].
const ABOVE_NOISE: f32 = 10.0;
/// What is so much softer than the loudest hundredth is nobody who speaks into a telephone.
const BELOW_LOUDEST: f32 = 35.0;
/// So many frames without speech are a pause: 200 ms, longer than a stop within a word.
const PAUSE: usize = frames(200);
/// With fewer frames, a stretch is nobody's in particular: it stays with whoever spoke before.
const LEAST_SPEECH: usize = frames(200);
/// With fewer voiced frames there is no telling the pitch.
const LEAST_VOICED: usize = frames(160);
/// So many semitones of pitch, and so many decibels of level, tell two voices apart equally well (judged: one voice changes by
/// two or three of either from sentence to sentence).
const SEMITONES: f32 = 3.0;
const DECIBELS: f32 = 6.0;
/// How far apart, in these, the two parties' means are at least.
const APART: f32 = 1.2;
/// The share of what is said that the party who says less says at least.
const LEAST_SHARE: f32 = 0.05;
const ROUNDS: usize = 30;

const fn frames(ms: u64) -> usize {
    (ms / FRAME_MS) as usize
}

/// Takes in a channel, frame by frame.
#[derive(Debug, Default)]
pub(super) struct Turns {
    frames: Vec<Sound>,
    /// The end of what came, as much as a pitch needs.
    heard: Vec<f32>,
}

#[derive(Clone, Copy, Debug)]
struct Sound {
    /// In dBFS.
    level: f32,
    /// In semitones above 1 Hz, where it is voiced.
    pitch: Option<f32>,
}

/// What is spoken without a pause.
#[derive(Debug)]
struct Stretch {
    from: usize,
    to: usize,
    /// Pitch and level, in units of [`SEMITONES`] and [`DECIBELS`].
    at: Option<[f32; 2]>,
}

impl Stretch {
    fn length(&self) -> f32 {
        (self.to - self.from) as f32
    }
}

/// One of two parties: whoever speaks first, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaker {
    First,
    Second,
}

/// From which frame on whose turn it is. The first begins with the audio.
pub(super) type Turn = (usize, Speaker);

impl Turns {
    /// The next frame.
    pub(super) fn hear(&mut self, frame: &[f32; FRAME_SAMPLES]) {
        let power = frame.iter().map(|sample| sample * sample).sum::<f32>() / FRAME_SAMPLES as f32;
        let power = if power.is_finite() { power.max(LEAST_POWER) } else { LEAST_POWER };
        let known = self.heard.len().saturating_sub(PITCH_SAMPLES - FRAME_SAMPLES);
        self.heard.drain(..known);
        self.heard.extend_from_slice(frame);
        let pitch = pitch(&self.heard).filter(|hz| hz.is_finite()).map(|hz| 12.0 * hz.log2());
        self.frames.push(Sound { level: 10.0 * power.log10(), pitch });
    }

    /// Whose turn it is when; nothing where it cannot be told that there are two.
    pub(super) fn taken(&self) -> Option<Vec<Turn>> {
        let stretches = self.stretches();
        let points: Vec<([f32; 2], f32)> =
            stretches.iter().filter_map(|stretch| Some((stretch.at?, stretch.length()))).collect();
        let means = divided(&points)?;
        let mut turns: Vec<Turn> = Vec::new();
        let (mut low_is, mut before) = (None, 0_usize);
        for stretch in &stretches {
            if let Some(at) = stretch.at {
                let is_low = nearer(at, &means) == 0;
                let first_is_low = *low_is.get_or_insert(is_low);
                let speaker = if is_low == first_is_low { Speaker::First } else { Speaker::Second };
                if turns.last().is_none_or(|(_, last)| *last != speaker) {
                    // In the middle of the pause between them.
                    let from = if turns.is_empty() { 0 } else { before.midpoint(stretch.from) };
                    turns.push((from, speaker));
                }
            }
            before = stretch.to;
        }
        Some(turns)
    }

    fn stretches(&self) -> Vec<Stretch> {
        let mut levels: Vec<f32> = self.frames.iter().map(|sound| sound.level).collect();
        if levels.is_empty() {
            return Vec::new();
        }
        levels.sort_unstable_by(f32::total_cmp);
        let share = |hundredths: usize| levels[(levels.len() - 1) * hundredths / 100];
        let (quiet, loud) = (share(10), share(99));
        // Where nobody pauses for a tenth of the time, the quietest tenth is speech as well.
        let speech = (quiet + ABOVE_NOISE).max(loud - BELOW_LOUDEST).min(loud - ABOVE_NOISE);
        let mut stretches: Vec<Stretch> = Vec::new();
        for (n, _) in self.frames.iter().enumerate().filter(|(_, sound)| sound.level >= speech) {
            match stretches.last_mut() {
                Some(last) if n - last.to < PAUSE => last.to = n + 1,
                _ => stretches.push(Stretch { from: n, to: n + 1, at: None }),
            }
        }
        for stretch in &mut stretches {
            stretch.at = self.point(stretch);
        }
        stretches
    }

    fn point(&self, stretch: &Stretch) -> Option<[f32; 2]> {
        let sounds = &self.frames[stretch.from..stretch.to];
        let mut pitches: Vec<f32> = sounds.iter().filter_map(|sound| sound.pitch).collect();
        if sounds.len() < LEAST_SPEECH || pitches.len() < LEAST_VOICED {
            return None;
        }
        pitches.sort_unstable_by(f32::total_cmp);
        let level = sounds.iter().map(|sound| sound.level).sum::<f32>() / sounds.len() as f32;
        Some([pitches[pitches.len() / 2] / SEMITONES, level / DECIBELS])
    }
}

fn distance(a: [f32; 2], b: [f32; 2]) -> f32 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// Which of the two means is nearer.
fn nearer(at: [f32; 2], means: &[[f32; 2]; 2]) -> usize {
    usize::from(distance(at, means[1]) < distance(at, means[0]))
}

/// The means of points with weights, divided in two; nothing where these are one.
fn divided(points: &[([f32; 2], f32)]) -> Option<[[f32; 2]; 2]> {
    // From the two that are farthest apart in pitch, and as well in level: whichever fits better.
    let started = [0, 1].into_iter().filter_map(|axis| {
        let by = |a: &&([f32; 2], f32), b: &&([f32; 2], f32)| a.0[axis].total_cmp(&b.0[axis]);
        let (least, most) = (points.iter().min_by(by)?.0, points.iter().max_by(by)?.0);
        let mut means = [least, most];
        for _ in 0..ROUNDS {
            let mut sums = [[0.0_f32; 3]; 2];
            for (at, weight) in points {
                let sum = &mut sums[nearer(*at, &means)];
                *sum = [sum[0] + weight * at[0], sum[1] + weight * at[1], sum[2] + weight];
            }
            for (mean, [pitch, level, weight]) in means.iter_mut().zip(sums) {
                if weight > 0.0 {
                    *mean = [pitch / weight, level / weight];
                }
            }
        }
        let spread =
            |(at, weight): &([f32; 2], f32)| weight * distance(*at, means[nearer(*at, &means)]).powi(2);
        Some((points.iter().map(spread).sum::<f32>(), means))
    });
    let (_, means) = started.min_by(|a, b| a.0.total_cmp(&b.0))?;
    let total: f32 = points.iter().map(|(_, weight)| weight).sum();
    let second: f32 =
        points.iter().filter(|(at, _)| nearer(*at, &means) == 1).map(|(_, weight)| weight).sum();
    let share = second.min(total - second) / total;
    (distance(means[0], means[1]) >= APART && share >= LEAST_SHARE).then_some(means)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sotto_audio::RATE;

    use super::*;

    /// Voices one after the other, with pauses of 400 ms between them: the pitch in hertz, the amplitude, and for how many frames.
    fn spoken(voices: &[(f32, f32, usize)]) -> Turns {
        let (mut turns, mut at) = (Turns::default(), 0);
        let mut hear = |hz: f32, amplitude: f32, count: usize| {
            for _ in 0..count {
                let mut frame = [0.0; FRAME_SAMPLES];
                for sample in &mut frame {
                    let turn = (hz * at as f32 / RATE as f32).fract() * std::f32::consts::TAU;
                    *sample = amplitude * (turn.sin() + 0.5 * (2.0 * turn).sin());
                    at += 1;
                }
                turns.hear(&frame);
            }
        };
        for (hz, amplitude, count) in voices {
            hear(*hz, *amplitude, *count);
            hear(0.0, 0.0, 20);
        }
        turns
    }

    /// Whose turn a frame is in.
    fn at(turns: &[Turn], frame: usize) -> Speaker {
        turns.iter().rev().find(|(from, _)| *from <= frame).unwrap().1
    }

    #[test]
    fn two_voices_are_told_apart_by_their_pitch_and_whoever_speaks_first_is_the_first() {
        for [first, second] in [[110.0, 210.0], [210.0, 110.0]] {
            let said =
                [(first, 0.2, 100), (second, 0.2, 80), (first * 1.05, 0.25, 60), (second * 0.96, 0.2, 100)];
            let turns = spoken(&said).taken().unwrap();
            let [one, other] = [Speaker::First, Speaker::Second];
            let found = [50, 160, 250, 350].map(|frame| at(&turns, frame));
            assert_eq!(found, [one, other, one, other], "{turns:?}");
            assert_eq!(turns[0].0, 0);
            assert!((100..120).contains(&turns[1].0), "in the pause: {turns:?}");
        }
    }

    #[test]
    fn two_voices_of_one_pitch_are_told_apart_by_how_loud_they_are() {
        let turns = spoken(&[(150.0, 0.3, 100), (150.0, 0.05, 100), (150.0, 0.3, 100)]).taken().unwrap();
        let found = [50, 170, 290].map(|frame| at(&turns, frame));
        assert_eq!(found, [Speaker::First, Speaker::Second, Speaker::First], "{turns:?}");
    }

    #[test]
    fn a_short_yes_stays_with_whoever_spoke_before() {
        let turns =
            spoken(&[(110.0, 0.2, 100), (210.0, 0.2, 100), (110.0, 0.2, 6), (210.0, 0.2, 100)]).taken();
        assert_eq!(turns.unwrap().len(), 2);
    }

    #[test]
    fn one_voice_silence_and_nothing_are_not_two() {
        let one = [(150.0, 0.2, 100), (155.0, 0.22, 80), (146.0, 0.2, 90)];
        assert_eq!(spoken(&one).taken(), None);
        assert_eq!(spoken(&[(0.0, 0.0, 200)]).taken(), None);
        assert_eq!(Turns::default().taken(), None);
        // A cough is nobody.
        assert_eq!(spoken(&[(150.0, 0.2, 1_000), (400.0, 0.5, 12)]).taken(), None);
    }

    proptest! {
        #[test]
        fn turns_take_turns_whatever_is_heard(
            frames in proptest::collection::vec((-1.0e3_f32..1.0e3, any::<bool>()), 0..120),
        ) {
            let mut turns = Turns::default();
            for (level, strange) in frames {
                turns.hear(&[if strange { f32::NAN } else { level }; FRAME_SAMPLES]);
            }
            if let Some(taken) = turns.taken() {
                prop_assert!(taken.first().is_none_or(|(from, _)| *from == 0));
                prop_assert!(taken.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 != pair[1].1));
            }
        }
    }
}
