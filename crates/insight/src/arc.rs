//! The emotional arc of a call: how pleasant it is for the customer, moment by moment, as far as words tell; and how
//! agitated they are, where their voice is listened to.
//!
//! What one utterance says of the mood is uncertain: a word may be misheard, a sentence may be about something else,
//! a "yes" says nearly nothing. So the arc is an estimate out of all utterances so far, by Kalman's filter for the
//! local level model (Durbin & Koopman, *Time Series Analysis by State Space Methods*, 2nd ed., chapter 2): the mood
//! wanders at random, the more the more time passes, and an utterance is a measurement of it whose noise is what its
//! words leave open. The filter looks at the past only, so an estimate never changes by what comes later. Agitation goes
//! through a filter of its own, of the same kind.
//!
//! Turning points are those of the zigzag: where the estimate has moved by more than [`TURN`] from its last extreme,
//! the mood has turned at that extreme. What was said just before the first utterance on the new way may be why.
//!
//! The constants are judged, not learned: there are no telephone calls with the mood of every moment to learn from.

use sotto_call::{
    ArcPoint, Arousal, CustomerUtterance, Millis, Sentiment, Trend, Turn, TurnDirection, UtteranceId,
    VoiceMood, WordsMood,
};

use crate::arousal::{self, Measured};

/// The variance of the mood before anything was said, around neutral.
const PRIOR: f64 = 0.25;
/// By how much the variance grows in a second: in a minute the mood wanders by about 0.5.
const DRIFT: f64 = 0.004;
/// No more than this can be unknown of what lies between −1 and 1.
const UNKNOWN: f64 = 1.0;
/// The variance of words around the mood even when they are unmistakable.
const NOISE: f64 = 0.1;
/// So many words say as much as a sentence can; fewer say less.
const SENTENCE: f64 = 6.0;
/// Words recognised with no more certainty than this are not trusted less still.
const LEAST_CERTAINTY: f64 = 0.1;
/// A trend is what has changed in this time, or since the first words if these came later, but not too late.
const TREND: Millis = Millis(60_000);
const TREND_AT_LEAST: Millis = Millis(15_000);
/// How far the estimate moves from an extreme before the mood has turned there.
const TURN: f64 = 0.35;

/// What one utterance tells of the mood.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    utterance: UtteranceId,
    at: Millis,
    valence: Measured,
    /// Where the voice is listened to.
    arousal: Option<Measured>,
    before: Option<UtteranceId>,
}

impl Observation {
    /// What the customer's words tell, when their sentiment is this. `before` is what was said just before.
    #[must_use]
    pub fn of(said: &CustomerUtterance, sentiment: Sentiment, before: Option<UtteranceId>) -> Self {
        let said = said.utterance();
        let count = said.text.split_whitespace().count() as f64;
        let substance = (count / SENTENCE).clamp(1.0 / SENTENCE, 1.0);
        let certainty = match said.words.len() {
            0 => 1.0,
            words => said.words.iter().map(|word| f64::from(word.p)).sum::<f64>() / words as f64,
        };
        let certainty =
            if certainty.is_finite() { certainty.clamp(LEAST_CERTAINTY, 1.0) } else { LEAST_CERTAINTY };
        Self {
            utterance: said.utterance_id,
            at: said.end_ms,
            valence: Measured {
                value: f64::from(sentiment.valence()),
                noise: (f64::from(sentiment.variance()) + NOISE) / (substance * certainty),
            },
            arousal: None,
            before,
        }
    }

    /// With how agitated the customer is, by their words and, if it tells something, their voice.
    #[must_use]
    pub fn with_arousal(self, words: &WordsMood, voice: Option<&VoiceMood>) -> Self {
        Self { arousal: Some(arousal::measured(words, voice)), ..self }
    }
}

/// The arc of one call.
#[derive(Debug, Default)]
pub struct EmotionalArc {
    /// In the order of time.
    observations: Vec<Observation>,
}

impl EmotionalArc {
    /// Takes in what an utterance tells, in place of what an earlier revision of it told, and gives the estimate at
    /// that utterance, and the turning point if it shows there.
    pub fn observe(&mut self, new: Observation) -> (ArcPoint, Option<Turn>) {
        self.forget(new.utterance);
        let place = |observation: &Observation| (observation.at, observation.utterance);
        let at = self.observations.partition_point(|one| place(one) < place(&new));
        self.observations.insert(at, new);
        // From the first on: a revision changes what follows, and calls are not so long that this would cost anything.
        let mut filter = Filter::default();
        let mut last = filter.step(&self.observations[0]);
        for observation in &self.observations[1..=at] {
            last = filter.step(observation);
        }
        last
    }

    /// Forgets an utterance whose words were taken back.
    pub fn forget(&mut self, utterance: UtteranceId) {
        self.observations.retain(|observation| observation.utterance != utterance);
    }
}

/// What is known of something that wanders, after a measurement of it.
#[derive(Clone, Copy)]
struct Estimate {
    at: Millis,
    mean: f64,
    variance: f64,
}

impl Estimate {
    /// What is known after one more; `before` is absent before the first.
    fn after(before: Option<Self>, at: Millis, measured: Measured) -> Self {
        let wandered = |since: Millis| DRIFT * at.since(since).0 as f64 / 1_000.0;
        let (mean, variance) = before.map_or((0.0, PRIOR), |one| (one.mean, one.variance + wandered(one.at)));
        let predicted = variance.min(UNKNOWN);
        let gain = predicted / (predicted + measured.noise);
        Self { at, mean: mean + gain * (measured.value - mean), variance: (1.0 - gain) * predicted }
    }

    fn deviation(&self) -> f64 {
        self.variance.sqrt()
    }
}

/// The filter on its way through a call.
#[derive(Default)]
struct Filter {
    /// How pleasant it is, utterance by utterance.
    valence: Vec<Estimate>,
    arousal: Option<Estimate>,
    zigzag: Zigzag,
}

impl Filter {
    fn step(&mut self, new: &Observation) -> (ArcPoint, Option<Turn>) {
        let valence = Estimate::after(self.valence.last().copied(), new.at, new.valence);
        if let Some(measured) = new.arousal {
            self.arousal = Some(Estimate::after(self.arousal, new.at, measured));
        }
        let arousal = self
            .arousal
            .map(|estimate| Arousal { level: estimate.mean as f32, deviation: estimate.deviation() as f32 });
        let point = ArcPoint {
            at_ms: new.at,
            valence: valence.mean as f32,
            deviation: valence.deviation() as f32,
            trend: self.trend(&valence),
            arousal,
        };
        self.valence.push(valence);
        (point, self.zigzag.step(valence.mean, new))
    }

    /// Where the estimate has gone, if that is further than it may be wrong.
    fn trend(&self, now: &Estimate) -> Trend {
        let past = self.valence.iter().rev().find(|then| now.at.since(then.at) >= TREND);
        let first = self.valence.first().filter(|then| now.at.since(then.at) >= TREND_AT_LEAST);
        match past.or(first).map(|then| now.mean - then.mean) {
            Some(change) if change < -now.deviation() => Trend::Falling,
            Some(change) if change > now.deviation() => Trend::Rising,
            _ => Trend::Steady,
        }
    }
}

/// Finds turning points.
#[derive(Default)]
struct Zigzag {
    /// Which way it went last; unknown at first, when it may turn either way.
    way: Option<TurnDirection>,
    high: Option<Extreme>,
    low: Option<Extreme>,
}

/// An extreme since the last turn, and what came first after it.
#[derive(Clone, Copy)]
struct Extreme {
    valence: f64,
    next: Option<(UtteranceId, Option<UtteranceId>)>,
}

impl Zigzag {
    fn step(&mut self, valence: f64, new: &Observation) -> Option<Turn> {
        let here = Extreme { valence, next: None };
        for extreme in [&mut self.high, &mut self.low].into_iter().flatten() {
            extreme.next.get_or_insert((new.utterance, new.before));
        }
        let high = *self.high.insert(self.high.filter(|high| high.valence > valence).unwrap_or(here));
        let low = *self.low.insert(self.low.filter(|low| low.valence < valence).unwrap_or(here));
        let (direction, from) = if self.way != Some(TurnDirection::Decline) && high.valence - valence > TURN {
            (TurnDirection::Decline, high)
        } else if self.way != Some(TurnDirection::Improvement) && valence - low.valence > TURN {
            (TurnDirection::Improvement, low)
        } else {
            return None;
        };
        *self = Self { way: Some(direction), high: Some(here), low: Some(here) };
        let (since, trigger) = from.next?;
        Some(Turn { direction, since, trigger })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sotto_call::testing::utterance;
    use sotto_call::{Party, Utterance, Word};

    use super::*;

    /// The customer's utterance `id`, which ends after `s` seconds, of so many words of this certainty.
    fn said(id: u32, s: u64, words: usize, p: f32) -> CustomerUtterance {
        let word = Word { w: "well".to_owned(), start_ms: Millis(0), end_ms: Millis(0), p };
        let said = utterance(id, Party::Customer, &"well ".repeat(words));
        let words = vec![word; words];
        let said = Utterance { start_ms: Millis(0), end_ms: Millis(s * 1_000), words, ..said };
        CustomerUtterance::of(&said).unwrap()
    }

    fn sentiment(valence: f32) -> Sentiment {
        let (positive, negative) = (valence.max(0.0), (-valence).max(0.0));
        Sentiment { negative, neutral: 1.0 - positive - negative, positive }
    }

    /// A sentence after `s` seconds; utterance `id - 1` is what was said just before.
    fn told(id: u32, s: u64, valence: f32) -> Observation {
        Observation::of(&said(id, s, 8, 1.0), sentiment(valence), id.checked_sub(1).map(UtteranceId))
    }

    fn play(valences: &[(u64, f32)]) -> Vec<(ArcPoint, Option<Turn>)> {
        let mut arc = EmotionalArc::default();
        (1..).zip(valences).map(|(n, (s, valence))| arc.observe(told(2 * n, *s, *valence))).collect()
    }

    #[test]
    fn the_estimate_is_the_textbooks() {
        // By hand: prior 0.25, no time before the first words; then 10 s of drift.
        let points = play(&[(5, -0.8), (15, -0.8)]);
        let noise = 0.8 - 0.64 + NOISE;
        let gain = 0.25 / (0.25 + noise);
        let (first, variance) = (-0.8 * gain, (1.0 - gain) * 0.25);
        let gain = (variance + 0.04) / (variance + 0.04 + noise);
        let second = first + gain * (-0.8 - first);
        assert!((f64::from(points[0].0.valence) - first).abs() < 1e-6, "{points:?}");
        assert!((f64::from(points[0].0.deviation) - variance.sqrt()).abs() < 1e-6, "{points:?}");
        assert!((f64::from(points[1].0.valence) - second).abs() < 1e-6, "{points:?}");
    }

    #[test]
    fn a_short_answer_and_words_that_were_hardly_heard_say_little() {
        let moved = |words, p| {
            let observation = Observation::of(&said(1, 5, words, p), sentiment(-0.9), None);
            EmotionalArc::default().observe(observation).0.valence.abs()
        };
        assert!(moved(1, 1.0) < 0.5 * moved(8, 1.0));
        assert!(moved(8, 0.3) < 0.8 * moved(8, 1.0));
        assert_eq!(moved(6, 1.0), moved(60, 1.0), "a sentence is a sentence");
        assert!(moved(3, f32::NAN) > 0.0);
    }

    #[test]
    fn a_mood_that_gets_worse_falls_and_one_that_stays_is_steady() {
        let points = play(&[(5, 0.2), (20, 0.1), (40, -0.6), (60, -0.8), (70, -0.9)]);
        assert_eq!(points[4].0.trend, Trend::Falling);
        assert_eq!(points[0].0.trend, Trend::Steady, "nothing to compare with");
        let points = play(&[(5, 0.1), (20, 0.0), (40, 0.1), (60, 0.0), (120, 0.1)]);
        assert!(points.iter().all(|(point, _)| point.trend == Trend::Steady));
        let points = play(&[(5, -0.9), (20, -0.8), (60, 0.7), (80, 0.9)]);
        assert_eq!(points[3].0.trend, Trend::Rising);
    }

    #[test]
    fn turning_points_name_what_was_said_just_before() {
        // Calm, calm, then what the agent said as utterance 5 makes the customer angry (6, 8); later they calm down.
        let points = play(&[(5, 0.1), (15, 0.2), (25, -0.8), (35, -0.9), (60, 0.5), (75, 0.9), (90, 0.9)]);
        let turns: Vec<(usize, Turn)> =
            points.iter().enumerate().filter_map(|(n, (_, turn))| Some((n, (*turn)?))).collect();
        let turn = |direction, since, trigger| Turn {
            direction,
            since: UtteranceId(since),
            trigger: Some(UtteranceId(trigger)),
        };
        assert_eq!(turns.len(), 2, "{turns:?}");
        assert_eq!(turns[0].1, turn(TurnDirection::Decline, 6, 5));
        assert_eq!(turns[1].1, turn(TurnDirection::Improvement, 10, 9));
    }

    #[test]
    fn whoever_calls_in_anger_has_not_been_made_angry() {
        let points = play(&[(5, -0.9), (15, -0.9), (25, -0.9)]);
        assert!(points.iter().all(|(_, turn)| turn.is_none()), "{points:?}");
    }

    #[test]
    fn agitation_is_estimated_beside_where_voices_are_listened_to_and_nowhere_else() {
        let plain = play(&[(5, -0.8), (15, -0.8)]);
        assert!(plain.iter().all(|(point, _)| point.arousal.is_none()));
        let words = WordsMood {
            sentiment: sentiment(-0.8),
            valence: -0.8,
            emotion: sotto_call::Emotion::Neutral,
            emotion_p: 1.0,
        };
        let voice = |arousal| VoiceMood { arousal, pitch_st: None, level_db: 0.0, rate: None, pauses: 0.0 };
        let mut arc = EmotionalArc::default();
        let mut points = Vec::new();
        for (n, arousal) in (1..).zip([0.9, 0.9, -0.9]) {
            let observation = told(n, 10 * u64::from(n), -0.8).with_arousal(&words, Some(&voice(arousal)));
            points.push(arc.observe(observation).0);
        }
        let levels: Vec<Arousal> = points.iter().map(|point| point.arousal.unwrap()).collect();
        assert!(levels[1].level > levels[0].level && levels[1].deviation < levels[0].deviation, "{levels:?}");
        assert!(levels[0].level > 0.3 && levels[2].level < levels[1].level, "{levels:?}");
        // How pleasant it is does not depend on it.
        let mut plain = EmotionalArc::default();
        for (n, point) in (1..).zip(&points) {
            let (same, _) = plain.observe(told(n, 10 * u64::from(n), -0.8));
            assert_eq!(ArcPoint { arousal: None, ..*point }, same);
        }
    }

    #[test]
    fn a_revision_replaces_what_was_told_and_words_taken_back_are_forgotten() {
        let mut arc = EmotionalArc::default();
        arc.observe(told(2, 5, 0.9));
        arc.observe(told(2, 5, -0.9));
        let revised = arc.observe(told(4, 15, 0.0));
        let mut plain = EmotionalArc::default();
        plain.observe(told(2, 5, -0.9));
        assert_eq!(revised, plain.observe(told(4, 15, 0.0)));
        arc.forget(UtteranceId(2));
        assert_eq!(arc.observe(told(4, 15, 0.0)), EmotionalArc::default().observe(told(4, 15, 0.0)));
    }

    fn any_observation() -> impl Strategy<Value = Observation> {
        (0u32..40, 0u64..4_000, 1usize..20, 0f32..1.0, -1f32..1.0).prop_map(|(id, s, words, p, valence)| {
            Observation::of(&said(id, s, words, p), sentiment(valence), None)
        })
    }

    proptest! {
        #[test]
        fn an_estimate_stays_within_bounds(all in prop::collection::vec(any_observation(), 1..60)) {
            let mut arc = EmotionalArc::default();
            for observation in all {
                let (point, _) = arc.observe(observation);
                prop_assert!((-1.0..=1.0).contains(&point.valence), "{point:?}");
                prop_assert!(point.deviation > 0.0 && point.deviation <= 1.0, "{point:?}");
            }
        }

        #[test]
        fn it_does_not_matter_in_which_order_finals_come(
            all in prop::collection::btree_map(0u32..30, (0u64..600, -1f32..1.0), 1..20),
            turned in any::<prop::sample::Index>(),
        ) {
            let mut all: Vec<Observation> = all.iter().map(|(id, (s, v))| told(*id, *s, *v)).collect();
            all.sort_by_key(|one| (one.at, one.utterance));
            let (last, _) = all.split_last().unwrap();
            let mut in_order = EmotionalArc::default();
            let expected = all.iter().fold(None, |_, one| Some(in_order.observe(*one)));
            let mut shuffled = EmotionalArc::default();
            let middle = turned.index(all.len());
            all[middle..].iter().chain(&all[..middle]).for_each(|one| _ = shuffled.observe(*one));
            prop_assert_eq!(Some(shuffled.observe(*last)), expected);
        }

        #[test]
        fn surer_words_move_the_estimate_further(valence in -1f32..1.0, p in 0.1f32..0.9) {
            let moved = |p| {
                let observation = Observation::of(&said(1, 5, 8, p), sentiment(valence), None);
                EmotionalArc::default().observe(observation).0
            };
            let (unsure, sure) = (moved(p), moved(p + 0.1));
            prop_assert!(unsure.valence.abs() <= sure.valence.abs() && unsure.deviation >= sure.deviation);
        }
    }
}
