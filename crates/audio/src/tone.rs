//! What is heard when there is nobody to hear: ringing, music on hold, silence.

use crate::{FRAME_SAMPLES, RATE};

/// Something to hear, which begins anew wherever it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Nothing, which keeps a stream alive.
    Silence,
    /// The other side is being rung: 425 Hz, one second in five (ITU-T E.180, ETSI TR 101 041-2).
    Ringback,
    /// Music on hold.
    Music,
    /// The other side is gone for a moment, and waited for: two soft notes every three seconds.
    Waiting,
    /// Somebody has come to the call: two notes upwards, once.
    Arrival,
    /// Somebody has left it: two notes downwards, once.
    Departure,
}

/// How loud tones are: about -20 dBFS, as a person speaks.
const LEVEL: f32 = 0.14;

/// A slow figure over four chords, in semitones from A (220 Hz).
const TUNE: [[i32; 8]; 4] = [
    [0, 7, 12, 16, 19, 16, 12, 7],
    [-4, 3, 8, 12, 15, 12, 8, 3],
    [-7, 0, 5, 9, 12, 9, 5, 0],
    [-5, 2, 7, 11, 14, 11, 7, 2],
];
/// Samples of one note.
const NOTE: u64 = RATE as u64 * 3 / 10;
/// Frames of one note of an announcement.
const SHORT_NOTE: u64 = 10;
/// The notes of an announcement, a fifth apart, in hertz.
const ANNOUNCED: [f32; 2] = [700.0, 1_050.0];

impl Tone {
    /// Its 20 ms from the `frame`th on.
    #[must_use]
    pub fn frame(self, frame: u64) -> [f32; FRAME_SAMPLES] {
        let begin = frame * FRAME_SAMPLES as u64;
        std::array::from_fn(|n| self.sample(begin + n as u64))
    }

    /// How many frames of 20 ms it lasts; `None` when it goes on and on.
    #[must_use]
    pub fn frames(self) -> Option<u64> {
        matches!(self, Self::Arrival | Self::Departure).then_some(2 * SHORT_NOTE)
    }

    fn sample(self, at: u64) -> f32 {
        match self {
            Self::Silence => 0.0,
            Self::Ringback => beep(425.0, at % (5 * u64::from(RATE)), u64::from(RATE)),
            Self::Music => (0..3).map(|back| note_at(at, back)).sum(),
            Self::Waiting => {
                let at = at % (3 * u64::from(RATE));
                let notes = [(0, 523.25), (NOTE, 392.0)];
                notes
                    .iter()
                    .map(|(begin, hz)| at.checked_sub(*begin).map_or(0.0, |since| ping(*hz, since)))
                    .sum()
            }
            Self::Arrival => announced(ANNOUNCED, at),
            Self::Departure => announced([ANNOUNCED[1], ANNOUNCED[0]], at),
        }
    }
}

/// Two notes, one after the other.
fn announced(notes: [f32; 2], at: u64) -> f32 {
    let length = SHORT_NOTE * FRAME_SAMPLES as u64;
    (0..).zip(notes).map(|(n, hz)| at.checked_sub(n * length).map_or(0.0, |at| beep(hz, at, length))).sum()
}

/// A pure tone of so many samples, 5 ms in and out, so that it does not click.
fn beep(frequency: f32, at: u64, length: u64) -> f32 {
    let edge = u64::from(RATE) / 200;
    let level = at.min(length.saturating_sub(at)).min(edge) as f32 / edge as f32;
    LEVEL * level * sine(frequency, at)
}

/// The note that began `back` notes ago, which still rings.
fn note_at(at: u64, back: u64) -> f32 {
    let Some(number) = (at / NOTE).checked_sub(back) else { return 0.0 };
    let since = at - number * NOTE;
    let semitones = TUNE[(number / 8 % 4) as usize][(number % 8) as usize];
    ping(220.0 * 2.0_f32.powf(semitones as f32 / 12.0), since)
}

/// A plucked note.
fn ping(frequency: f32, since: u64) -> f32 {
    let seconds = since as f32 / RATE as f32;
    let envelope = (seconds / 0.01).min(1.0) * (-4.0 * seconds).exp();
    0.6 * LEVEL * envelope * (sine(frequency, since) + 0.3 * sine(2.0 * frequency, since))
}

fn sine(frequency: f32, at: u64) -> f32 {
    let turns = f64::from(frequency) * at as f64 / f64::from(RATE);
    (turns.fract() as f32 * std::f32::consts::TAU).sin()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(frame: [f32; FRAME_SAMPLES]) -> f32 {
        (frame.iter().map(|s| s * s).sum::<f32>() / FRAME_SAMPLES as f32).sqrt()
    }

    #[test]
    fn ringing_rings_one_second_in_five() {
        for (frame, rings) in [(1, true), (48, true), (51, false), (249, false), (251, true)] {
            assert_eq!(level(Tone::Ringback.frame(frame)) > 0.05, rings, "{frame}");
        }
    }

    #[test]
    fn an_announcement_is_heard_and_comes_to_its_end() {
        for tone in [Tone::Arrival, Tone::Departure] {
            let frames = tone.frames().unwrap();
            assert!((1..frames - 1).all(|frame| level(tone.frame(frame)) > 0.05));
            assert_eq!(level(tone.frame(frames)), 0.0);
        }
        assert_eq!(Tone::Music.frames(), None);
    }

    #[test]
    fn music_goes_on_is_not_too_loud_and_does_not_click() {
        let mut last = 0.0_f32;
        for frame in 0..2_000 {
            let samples = Tone::Music.frame(frame);
            assert!(frame % 15 == 0 || level(samples) > 0.003, "{frame}");
            for sample in samples {
                assert!(sample.abs() < 0.5 && (sample - last).abs() < 0.1, "{frame}");
                last = sample;
            }
        }
        assert_eq!(Tone::Silence.frame(7), [0.0; FRAME_SAMPLES]);
    }
}
