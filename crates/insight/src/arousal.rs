//! How agitated a customer is: what their voice tells, and their words beside it.
//!
//! A voice is compared with how the same customer spoke at first on the same call, never with other people: some speak
//! loudly, some in a high voice, some fast, and are calm. So whoever calls in anger is taken for calm at first, and what
//! shows is how they become.
//!
//! The weights are stated, not learned: there are no telephone calls whose customers' agitation is known at every moment.
//! Pitch and loudness tell arousal best, in what listeners hear and what machines measure, and rise with it; so does the
//! rate of speech, less regularly, and pauses become shorter (P. N. Juslin & P. Laukka, "Communication of emotions in
//! vocal expression and music performance", Psychological Bulletin 129(5), 2003; F. Eyben et al., "The Geneva Minimalistic
//! Acoustic Parameter Set", IEEE Transactions on Affective Computing 7(2), 2016). The row `emotion_voice` of `cargo xtask
//! eval insight` measures how well they tell agitated from calm.

use std::collections::BTreeMap;

use sotto_call::{CustomerUtterance, Emotion, MASK, Millis, UtteranceId, Voice, VoiceMood, WordsMood};

/// How a customer speaks is what they did in the first utterances with so much speech in all.
const BASELINE: Millis = Millis(20_000);
/// With less there is nothing to compare with yet.
const BASELINE_AT_LEAST: Millis = Millis(5_000);
/// A "yes" has hardly a tone of its own.
const SPEECH_AT_LEAST: Millis = Millis(600);

/// Each difference that is as large as one person's from one sentence to the next mostly is, and its weight.
const PITCH: (f64, f64) = (3.0, 0.35);
const LEVEL: (f64, f64) = (5.0, 0.35);
const RATE: (f64, f64) = (0.4, 0.2);
/// More pauses, less arousal.
const PAUSES: (f64, f64) = (-0.25, 0.1);

/// A digit stands for a word of so many letters.
const DIGIT: u32 = 4;

/// The variance of agitation around what a voice tells, and around what the most probable emotion of the words does:
/// arousal is heard more than it is said (valence is the other way round), so a voice counts three times as much.
const VOICE_NOISE: f64 = 0.15;
const WORDS_NOISE: f64 = 0.45;

/// A measurement of something between −1 and 1, with its variance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measured {
    pub value: f64,
    pub noise: f64,
}

/// What an utterance tells of how agitated the customer is.
pub(crate) fn measured(words: &WordsMood, voice: Option<&VoiceMood>) -> Measured {
    let said = Measured { value: activation(words.emotion) * f64::from(words.emotion_p), noise: WORDS_NOISE };
    let Some(voice) = voice else { return said };
    // Two measurements of one thing: each counts by how sure it is.
    let (by_words, by_voice) = (1.0 / WORDS_NOISE, 1.0 / VOICE_NOISE);
    let noise = 1.0 / (by_words + by_voice);
    Measured { value: noise * (by_words * said.value + by_voice * f64::from(voice.arousal)), noise }
}

/// How agitated somebody is who feels so, from −1 to 1: about where it lies in the circumplex (J. A. Russell, "A
/// circumplex model of affect", Journal of Personality and Social Psychology 39(6), 1980).
fn activation(emotion: Emotion) -> f64 {
    match emotion {
        Emotion::Anger => 0.8,
        Emotion::Worry | Emotion::Annoyance => 0.5,
        Emotion::Joy => 0.4,
        Emotion::Confusion => 0.2,
        Emotion::Neutral | Emotion::Gratitude => 0.0,
        Emotion::Disappointment => -0.2,
        Emotion::Sadness => -0.5,
    }
}

/// How one customer has sounded so far on a call.
#[derive(Debug, Default)]
pub struct Voices {
    heard: BTreeMap<UtteranceId, Sound>,
}

/// What is compared between utterances.
#[derive(Clone, Debug)]
struct Sound {
    voice: Voice,
    at: Millis,
    length: Millis,
    /// Letters a second of speech; absent where a secret was taken out.
    rate: Option<f64>,
    language: String,
}

impl Sound {
    fn of(said: &CustomerUtterance, voice: Voice) -> Self {
        let said = said.utterance();
        let letters = said.text.chars().filter(|c| c.is_alphanumeric());
        let letters: u32 = letters.map(|c| if c.is_numeric() { DIGIT } else { 1 }).sum();
        let is_whole = !said.text.contains(MASK) && letters > 0 && voice.speech_ms > Millis(0);
        Self {
            voice,
            at: said.start_ms,
            length: said.end_ms.since(said.start_ms),
            rate: is_whole.then(|| f64::from(letters) * 1_000.0 / voice.speech_ms.0 as f64),
            language: said.language.clone(),
        }
    }

    /// How much of the utterance is pauses, from 0 to 1.
    fn pauses(&self) -> f64 {
        (1.0 - self.voice.speech_ms.0 as f64 / self.length.0.max(1) as f64).clamp(0.0, 1.0)
    }
}

impl Voices {
    /// Takes in how a customer's final words sounded, and gives what that tells. Nothing, while there is too little to
    /// compare with. Words that come once more, without a voice, sounded as they did before.
    pub fn hear(&mut self, said: &CustomerUtterance, voice: Option<Voice>) -> Option<VoiceMood> {
        let id = said.utterance().utterance_id;
        let voice = voice.or_else(|| self.heard.get(&id).map(|known| known.voice))?;
        let new = Sound::of(said, voice);
        let tells = (voice.speech_ms >= SPEECH_AT_LEAST).then(|| self.compare(&new)).flatten();
        self.heard.insert(id, new);
        tells
    }

    /// Forgets an utterance whose words were taken back.
    pub fn forget(&mut self, utterance: UtteranceId) {
        self.heard.remove(&utterance);
    }

    /// An utterance beside those before it.
    fn compare(&self, new: &Sound) -> Option<VoiceMood> {
        let counts = |one: &&Sound| one.at < new.at && one.voice.speech_ms >= SPEECH_AT_LEAST;
        let mut before: Vec<&Sound> = self.heard.values().filter(counts).collect();
        before.sort_by_key(|sound| sound.at);
        let mut speech = Millis(0);
        before.retain(|sound| {
            let is_first = speech < BASELINE;
            speech = speech + sound.voice.speech_ms;
            is_first
        });
        if speech < BASELINE_AT_LEAST {
            return None;
        }
        let decibels = |one: &Sound| Some(f64::from(one.voice.level_dbfs));
        let level = decibels(new)? - mean(&before, decibels)?;
        let pauses = new.pauses() - mean(&before, |one| Some(one.pauses()))?;
        let octaves = |one: &Sound| one.voice.pitch_hz.map(|hz| f64::from(hz).log2());
        let pitch = octaves(new).and_then(|now| Some(12.0 * (now - mean(&before, octaves)?)));
        // Languages differ in how many letters a sound takes.
        let rate = |one: &Sound| one.rate.filter(|_| one.language == new.language).map(f64::log2);
        let rate = rate(new).and_then(|now| Some(now - mean(&before, rate)?));
        let differences = [(pitch, PITCH), (Some(level), LEVEL), (rate, RATE), (Some(pauses), PAUSES)];
        let (mut sum, mut weights) = (0.0, 0.0);
        for (by, (scale, weight)) in differences {
            if let Some(by) = by {
                sum += weight * by / scale;
                weights += weight;
            }
        }
        Some(VoiceMood {
            arousal: (sum / weights).tanh() as f32,
            pitch_st: pitch.map(|by| by as f32),
            level_db: level as f32,
            rate: rate.map(|by| by.exp2() as f32),
            pauses: pauses as f32,
        })
    }
}

/// The mean of what is known of it, the longer the speech, the more it counts.
fn mean(sounds: &[&Sound], of: impl Fn(&Sound) -> Option<f64>) -> Option<f64> {
    let known = sounds.iter().filter_map(|sound| Some((of(sound)?, sound.voice.speech_ms.0 as f64)));
    let (sum, weight) = known
        .fold((0.0, 0.0), |(sum, all), (value, weight): (f64, f64)| (sum + weight * value, all + weight));
    (weight > 0.0).then(|| sum / weight)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sotto_call::testing::utterance;
    use sotto_call::{Party, Sentiment, Utterance};

    use super::*;

    /// Utterance `id` of four seconds, three of which are speech.
    fn said(id: u32, text: &str) -> CustomerUtterance {
        let said = utterance(id, Party::Customer, text);
        let end_ms = said.start_ms + Millis(4_000);
        CustomerUtterance::of(&Utterance { end_ms, ..said }).unwrap()
    }

    const CALM: Voice = Voice { pitch_hz: Some(120.0), level_dbfs: -30.0, speech_ms: Millis(3_000) };
    const TEXT: &str = "I have been waiting for it";

    /// After two calm utterances.
    fn begun() -> Voices {
        let mut voices = Voices::default();
        assert_eq!(voices.hear(&said(0, TEXT), Some(CALM)), None);
        assert_eq!(voices.hear(&said(1, TEXT), Some(CALM)), None, "three seconds are too little");
        voices
    }

    fn arousal(text: &str, voice: Voice) -> f32 {
        begun().hear(&said(2, text), Some(voice)).unwrap().arousal
    }

    #[test]
    fn who_speaks_as_before_is_as_before_however_they_speak() {
        assert!(arousal(TEXT, CALM).abs() < 1e-6);
        let loud = Voice { pitch_hz: Some(260.0), level_dbfs: -9.0, ..CALM };
        let mut voices = Voices::default();
        for id in 0..4 {
            let tells = voices.hear(&said(id, TEXT), Some(loud));
            assert!(tells.is_none_or(|tells| tells.arousal.abs() < 1e-6), "{tells:?}");
        }
    }

    #[test]
    fn higher_louder_faster_and_without_pauses_is_agitated_and_the_contrary_calm() {
        let more = [
            arousal(TEXT, Voice { pitch_hz: Some(160.0), ..CALM }),
            arousal(TEXT, Voice { level_dbfs: -22.0, ..CALM }),
            arousal("I have been waiting for it since yesterday and nobody told me", CALM),
        ];
        let less = [
            arousal(TEXT, Voice { pitch_hz: Some(95.0), ..CALM }),
            arousal(TEXT, Voice { level_dbfs: -38.0, ..CALM }),
            arousal("I have waited", CALM),
        ];
        assert!(more.iter().all(|a| (0.05..1.0).contains(a)), "{more:?}");
        assert!(less.iter().all(|a| (-1.0..-0.05).contains(a)), "{less:?}");
        // As many letters a second, half of the time of which nobody speaks.
        let slow = arousal("I have been wai", Voice { speech_ms: Millis(1_714), ..CALM });
        assert!((-0.3..-0.02).contains(&slow), "{slow}");
        let all = arousal(TEXT, Voice { pitch_hz: Some(180.0), level_dbfs: -18.0, speech_ms: Millis(2_500) });
        assert!(all > 0.6, "{all}");
    }

    #[test]
    fn what_is_told_says_why() {
        let voice = Voice { pitch_hz: Some(240.0), level_dbfs: -24.0, ..CALM };
        let told = begun().hear(&said(2, TEXT), Some(voice)).unwrap();
        let is = |found: f32, expected: f32| (found - expected).abs() < 1e-3;
        assert!(is(told.pitch_st.unwrap(), 12.0) && is(told.level_db, 6.0), "{told:?}");
        assert!(is(told.rate.unwrap(), 1.0) && is(told.pauses, 0.0), "{told:?}");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let told = begun().hear(&said(2, "it is ••••"), Some(Voice { pitch_hz: None, ..CALM })).unwrap();
        assert_eq!((told.pitch_st, told.rate, told.arousal), (None, None, 0.0));
        let other = Utterance { language: "fa".to_owned(), ..said(2, "سلام").utterance().clone() };
        let other = CustomerUtterance::of(&other).unwrap();
        assert_eq!(begun().hear(&other, Some(CALM)).unwrap().rate, None, "letters of another language");
        assert_eq!(begun().hear(&said(2, TEXT), None), None);
        let word = Voice { speech_ms: Millis(500), level_dbfs: 0.0, ..CALM };
        assert_eq!(begun().hear(&said(2, "yes"), Some(word)), None);
    }

    #[test]
    fn only_the_first_utterances_are_compared_with_and_none_that_come_later() {
        let mut voices = Voices::default();
        let loud = Voice { level_dbfs: -10.0, ..CALM };
        for id in 0..7 {
            voices.hear(&said(id, TEXT), Some(CALM));
        }
        let first = voices.hear(&said(10, TEXT), Some(loud)).unwrap();
        for id in 11..40 {
            assert_eq!(voices.hear(&said(id, TEXT), Some(loud)), Some(first), "anger is not got used to");
        }
        let early = voices.hear(&said(2, TEXT), Some(CALM)).unwrap();
        assert!(early.arousal.abs() < 1e-6, "{early:?}");
    }

    #[test]
    fn words_that_come_again_sound_as_before_and_those_taken_back_as_nothing() {
        let mut voices = begun();
        let loud = Voice { level_dbfs: -10.0, ..CALM };
        let told = voices.hear(&said(2, TEXT), Some(loud)).unwrap();
        let again = voices.hear(&said(2, "I have been waiting for ••••"), None).unwrap();
        assert_eq!((again.level_db, again.rate), (told.level_db, None));
        voices.forget(UtteranceId(2));
        assert_eq!(voices.hear(&said(2, TEXT), None), None);
    }

    #[test]
    fn a_voice_counts_more_than_words() {
        let words = |emotion| {
            let sentiment = Sentiment { negative: 1.0, neutral: 0.0, positive: 0.0 };
            WordsMood { sentiment, valence: -1.0, emotion, emotion_p: 1.0 }
        };
        let voice = |arousal| VoiceMood { arousal, pitch_st: None, level_db: 0.0, rate: None, pauses: 0.0 };
        let calm_words = measured(&words(Emotion::Neutral), Some(&voice(0.8)));
        assert!((calm_words.value - 0.6).abs() < 1e-6, "{calm_words:?}");
        let calm_voice = measured(&words(Emotion::Anger), Some(&voice(0.0)));
        assert!((calm_voice.value - 0.2).abs() < 1e-6, "{calm_voice:?}");
        let alone = measured(&words(Emotion::Anger), None);
        assert_eq!((alone.value, alone.noise), (0.8, WORDS_NOISE));
        assert!(calm_voice.noise < VOICE_NOISE, "two are surer than one");
    }

    fn any_voice() -> impl Strategy<Value = Voice> {
        let parts = (prop::option::of(75f32..500.0), -100f32..0.0, 0u64..6_000);
        parts.prop_map(|(pitch_hz, level_dbfs, ms)| Voice { pitch_hz, level_dbfs, speech_ms: Millis(ms) })
    }

    proptest! {
        #[test]
        fn whatever_is_heard_it_is_a_number_within_bounds(
            all in prop::collection::vec((0u32..30, any_voice(), "[a-z0-9آ-ی• ]{0,40}"), 1..40),
        ) {
            let mut voices = Voices::default();
            for (id, voice, text) in all {
                let told = voices.hear(&said(id, &format!("a{text}")), Some(voice));
                if let Some(told) = told {
                    prop_assert!((-1.0..=1.0).contains(&told.arousal), "{told:?}");
                    let others = [Some(told.level_db), Some(told.pauses), told.pitch_st, told.rate];
                    prop_assert!(others.iter().flatten().all(|one| one.is_finite()), "{told:?}");
                }
            }
        }
    }
}
