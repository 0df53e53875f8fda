//! How a customer sounds while they speak: level and pitch of every chunk, and what they come to in an utterance.
//!
//! Of nobody else is anything measured: [`VoiceTrack::of`] is the only way to one.

use std::collections::VecDeque;

use sotto_audio::{PITCH_SAMPLES, RATE, pitch};
use sotto_call::{Millis, Party, Voice};

use crate::vad::CHUNK;

// A pitch is looked for in a chunk.
const _: () = assert!(CHUNK == PITCH_SAMPLES);

/// Chunks that are speech with this probability are listened to.
const SPEECH: f32 = 0.5;
/// With fewer voiced chunks, a third of a second, there is no telling the pitch.
const LEAST_VOICED: usize = 10;
/// A mean square below this is taken for this: -100 dBFS.
const LEAST_POWER: f32 = 1e-10;

/// A chunk of speech.
#[derive(Clone, Copy, Debug)]
struct Sound {
    /// Mean square, full scale being 1.
    power: f32,
    /// In hertz, where it is voiced.
    pitch: Option<f32>,
}

/// What was measured of a customer's leg lately.
pub(crate) struct VoiceTrack {
    /// Chunk by chunk; absent where there is no speech.
    sounds: VecDeque<Option<Sound>>,
    /// The position of the first one, in samples of the call.
    start: u64,
}

impl VoiceTrack {
    /// Of a leg whose audio begins at sample `position`; none, unless it is the customer's.
    pub(crate) fn of(party: Party, position: u64) -> Option<Self> {
        (party == Party::Customer).then(|| Self { sounds: VecDeque::new(), start: position })
    }

    /// The next chunk and the probability that it is speech.
    pub(crate) fn push(&mut self, chunk: &[f32], probability: f32) {
        let power = chunk.iter().map(|sample| sample * sample).sum::<f32>() / CHUNK as f32;
        let is_speech = probability >= SPEECH && power.is_finite();
        self.sounds.push_back(is_speech.then(|| Sound { power, pitch: pitch(chunk) }));
    }

    /// Forgets what is before `position`.
    pub(crate) fn forget(&mut self, position: u64) {
        let gone = self.chunk_at(position);
        self.sounds.drain(..gone);
        self.start += (gone * CHUNK) as u64;
    }

    /// How it sounded between two positions; none where there was no speech, or it is forgotten.
    pub(crate) fn between(&self, start: u64, end: u64) -> Option<Voice> {
        let from = self.chunk_at(start);
        let to = self.chunk_at(end + CHUNK as u64 - 1).max(from);
        let sounds: Vec<Sound> = self.sounds.range(from..to).copied().flatten().collect();
        if sounds.is_empty() {
            return None;
        }
        let power = sounds.iter().map(|sound| sound.power).sum::<f32>() / sounds.len() as f32;
        let mut pitches: Vec<f32> = sounds.iter().filter_map(|sound| sound.pitch).collect();
        pitches.sort_unstable_by(f32::total_cmp);
        Some(Voice {
            pitch_hz: pitches.get(pitches.len() / 2).copied().filter(|_| pitches.len() >= LEAST_VOICED),
            level_dbfs: 10.0 * power.max(LEAST_POWER).log10(),
            speech_ms: Millis((sounds.len() * CHUNK) as u64 * 1_000 / u64::from(RATE)),
        })
    }

    /// The chunk that a position lies in, or the first or the end when it lies before or behind all.
    fn chunk_at(&self, position: u64) -> usize {
        let chunks = position.saturating_sub(self.start) / CHUNK as u64;
        usize::try_from(chunks).map_or(self.sounds.len(), |chunks| chunks.min(self.sounds.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chunk of a voice of this pitch and amplitude, from sample `at` on.
    fn chunk(hz: f32, amplitude: f32, at: usize) -> Vec<f32> {
        let turn = |n: usize| (hz * n as f32 / RATE as f32).fract() * std::f32::consts::TAU;
        (at..at + CHUNK).map(|n| amplitude * (turn(n).sin() + 0.5 * (2.0 * turn(n)).sin())).collect()
    }

    fn track(chunks: impl IntoIterator<Item = (f32, f32, f32)>) -> VoiceTrack {
        let mut track = VoiceTrack::of(Party::Customer, 1_000).unwrap();
        for (n, (hz, amplitude, probability)) in chunks.into_iter().enumerate() {
            track.push(&chunk(hz, amplitude, n * CHUNK), probability);
        }
        track
    }

    const AT: u64 = CHUNK as u64;

    #[test]
    fn of_nobody_but_the_customer_is_there_anything_to_measure() {
        assert!(VoiceTrack::of(Party::Agent, 0).is_none() && VoiceTrack::of(Party::Other, 0).is_none());
    }

    #[test]
    fn an_utterance_has_its_own_pitch_and_level_and_pauses_do_not_count() {
        let low = (0..20).map(|_| (120.0, 0.1, 0.9));
        // A hum in the pause would be louder than anybody.
        let pause = (0..10).map(|_| (50.0, 0.9, 0.1));
        let high = (0..20).map(|_| (240.0, 0.2, 0.9));
        let track = track(low.chain(pause).chain(high));
        let first = track.between(1_000, 1_000 + 25 * AT).unwrap();
        let second = track.between(1_000 + 25 * AT, 1_000 + 50 * AT).unwrap();
        assert!((first.pitch_hz.unwrap() - 120.0).abs() < 2.0, "{first:?}");
        assert!((second.pitch_hz.unwrap() - 240.0).abs() < 4.0, "{second:?}");
        assert!((second.level_dbfs - first.level_dbfs - 6.02).abs() < 0.1, "{first:?} {second:?}");
        // 0.1 (sin a + ½ sin 2a) has a mean square of 0.01 · ⅝.
        assert!((first.level_dbfs + 22.04).abs() < 0.2, "{first:?}");
        assert_eq!((first.speech_ms, second.speech_ms), (Millis(640), Millis(640)));
        assert_eq!(track.between(1_000 + 20 * AT, 1_000 + 30 * AT), None);
    }

    #[test]
    fn a_word_is_too_short_for_a_pitch() {
        let track = track((0..LEAST_VOICED - 1).map(|_| (120.0, 0.1, 0.9)));
        let voice = track.between(0, u64::MAX / 2).unwrap();
        assert_eq!((voice.pitch_hz, voice.speech_ms), (None, Millis(288)));
    }

    #[test]
    fn what_is_forgotten_is_not_measured_and_the_rest_stays_in_its_place() {
        let mut track = track((0..30).map(|n| (if n < 15 { 120.0 } else { 240.0 }, 0.1, 0.9)));
        track.forget(1_000 + 15 * AT);
        assert_eq!(track.sounds.len(), 15);
        assert_eq!(track.between(1_000, 1_000 + 15 * AT), None);
        let rest = track.between(1_000 + 15 * AT, 1_000 + 30 * AT).unwrap();
        assert!((rest.pitch_hz.unwrap() - 240.0).abs() < 4.0, "{rest:?}");
        track.forget(u64::MAX);
        assert_eq!(track.between(0, u64::MAX / 2), None);
    }

    #[test]
    fn samples_that_are_no_numbers_are_passed_over() {
        let mut track = VoiceTrack::of(Party::Customer, 0).unwrap();
        track.push(&[f32::NAN; CHUNK], 1.0);
        track.push(&[f32::MAX; CHUNK], 1.0);
        assert_eq!(track.between(0, 2 * AT), None);
        track.push(&[0.0; CHUNK], 1.0);
        let silent = track.between(0, 3 * AT).unwrap();
        assert!((silent.level_dbfs + 100.0).abs() < 0.01 && silent.pitch_hz.is_none(), "{silent:?}");
    }
}
