//! From speech probabilities to utterances: where one begins, where the speaker pauses, where it ends.
//!
//! A plain value: probabilities in, boundaries out, positions in samples. The same audio gives the same
//! boundaries, live or replayed.

use crate::vad::CHUNK;

/// When speech begins, pauses and ends. Times in samples at 16 kHz.
#[derive(Clone, Debug)]
pub(crate) struct Thresholds {
    /// Probability from which a chunk may begin an utterance.
    pub begin: f32,
    /// Probability below which a chunk counts as silence within an utterance.
    pub go_on: f32,
    /// Speech shorter than this in all is a noise.
    pub least_speech: u64,
    /// Probability from which a chunk is clearly speech. Far voices and lines that hum stay below it, and every
    /// word that is meant for the telephone reaches it.
    pub clear: f32,
    /// What has not been clear for this much in all is a noise.
    pub least_clear: u64,
    /// An utterance begins at most this long before it first is clear: a noise may lead into it.
    pub lead: u64,
    /// Silence after which a decode is worth trying, in case it is the end.
    pub pause: u64,
    /// Silence that ends an utterance if a whole sentence was said; the policy decides that.
    pub rest: u64,
    /// Silence that ends an utterance.
    pub end: u64,
    /// Silence that ends an utterance that is long already.
    pub end_when_long: u64,
    /// From here on an utterance is long.
    pub long: u64,
    /// Utterances are cut at this length, at the least likely chunk of the last third.
    pub longest: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        let ms = |ms: u64| ms * 16;
        Self {
            begin: 0.5,
            go_on: 0.35,
            least_speech: ms(120),
            clear: 0.9,
            least_clear: ms(64),
            lead: ms(800),
            pause: ms(190),
            rest: ms(400),
            end: ms(600),
            end_when_long: ms(220),
            long: ms(9_000),
            longest: ms(14_000),
        }
    }
}

/// What the speaker did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Boundary {
    /// Began to speak here.
    Began { at: u64 },
    /// Stopped here, perhaps for good.
    Paused { end: u64 },
    /// Is silent for long enough to have ended, if it was a whole sentence: see [`Segmenter::divide`].
    Rested,
    /// Went on after a pause.
    Resumed,
    /// The utterance is over; speech was from `start` to `end`.
    Ended { start: u64, end: u64 },
    /// It was a noise.
    Dismissed,
}

/// The last long silence within what is being said.
#[derive(Clone, Copy, Debug)]
struct Rest {
    /// End of the voice before it.
    from: u64,
    /// Begin of the voice after it.
    until: Option<u64>,
    /// What was counted before it.
    voiced: u32,
    clear: u32,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    start: u64,
    /// End of the last chunk with voice.
    voice_end: u64,
    /// Chunks with voice, and with a clear one.
    voiced: u32,
    clear: u32,
    paused: bool,
    rest: Option<Rest>,
    weakest: Weakest,
}

/// The least likely chunk in the part where a long utterance may be cut.
#[derive(Clone, Copy, Debug)]
struct Weakest {
    /// Its end.
    to: u64,
    probability: f32,
    /// Chunks with voice until then.
    voiced: u32,
}

impl Open {
    fn at(start: u64) -> Self {
        let weakest = Weakest { to: start, probability: f32::INFINITY, voiced: 0 };
        Self { start, voice_end: start, voiced: 0, clear: 0, paused: false, rest: None, weakest }
    }

    fn voice(&mut self, to: u64, probability: f32, t: &Thresholds) {
        self.voice_end = to;
        self.voiced += 1;
        self.clear += u32::from(probability >= t.clear);
        if self.clear == 0 {
            self.start = self.start.max(to.saturating_sub(t.lead));
        }
    }

    fn is_speech(&self, t: &Thresholds) -> bool {
        let length = |chunks: u32| u64::from(chunks) * CHUNK as u64;
        length(self.voiced) >= t.least_speech && length(self.clear) >= t.least_clear
    }
}

/// See the module.
pub(crate) struct Segmenter {
    thresholds: Thresholds,
    open: Option<Open>,
    position: u64,
}

impl Segmenter {
    /// Begins to listen at sample `position`.
    pub(crate) fn new(thresholds: Thresholds, position: u64) -> Self {
        Self { thresholds, open: None, position }
    }

    /// Where the utterance that is being spoken began, and where its voice was last heard.
    pub(crate) fn speaking(&self) -> Option<(u64, u64)> {
        self.open.filter(|open| open.is_speech(&self.thresholds)).map(|o| (o.start, o.voice_end))
    }

    /// Where what is being listened to began, be it speech or not. Moves on until it has been clear.
    pub(crate) fn open_since(&self) -> Option<u64> {
        self.open.map(|open| open.start)
    }

    /// The next chunk's probability.
    pub(crate) fn push(&mut self, probability: f32) -> Option<Boundary> {
        let t = &self.thresholds;
        let (from, to) = (self.position, self.position + CHUNK as u64);
        self.position = to;
        let voice = probability >= t.go_on;
        let Some(open) = &mut self.open else {
            if probability < t.begin {
                return None;
            }
            let mut open = Open::at(from);
            open.voice(to, probability, t);
            self.open = Some(open);
            return Some(Boundary::Began { at: from });
        };
        if voice {
            if let Some(rest) = &mut open.rest {
                rest.until.get_or_insert(from);
            }
            open.voice(to, probability, t);
        }
        if from.saturating_sub(open.start) > t.longest * 2 / 3 && probability < open.weakest.probability {
            open.weakest = Weakest { to, probability, voiced: open.voiced };
        }
        if to - open.start >= t.longest {
            return Some(self.cut());
        }
        if voice {
            return std::mem::take(&mut open.paused).then_some(Boundary::Resumed);
        }
        let silence = to - open.voice_end;
        let enough = if open.voice_end - open.start >= t.long { t.end_when_long } else { t.end };
        if silence >= enough {
            return self.end();
        }
        if !open.is_speech(t) {
            return None;
        }
        if silence >= t.pause && !open.paused {
            open.paused = true;
            return Some(Boundary::Paused { end: open.voice_end });
        }
        if silence >= t.rest && open.rest.is_none_or(|rest| rest.from != open.voice_end) {
            let Open { voice_end: from, voiced, clear, .. } = *open;
            open.rest = Some(Rest { from, until: None, voiced, clear });
            return Some(Boundary::Rested);
        }
        None
    }

    /// Makes what was said before the last rest an utterance of its own, and gives where it was.
    pub(crate) fn divide(&mut self) -> Option<(u64, u64)> {
        let open = self.open?;
        let rest = open.rest?;
        self.open = rest.until.map(|start| Open {
            voice_end: open.voice_end,
            voiced: open.voiced - rest.voiced,
            clear: open.clear - rest.clear,
            paused: open.paused,
            ..Open::at(start)
        });
        Some((open.start, rest.from))
    }

    /// Ends an utterance that is too long where speech was least likely; the rest begins a new one.
    fn cut(&mut self) -> Boundary {
        let position = self.position;
        let Some(open) = &mut self.open else { return Boundary::Dismissed };
        let (start, end) = (open.start, open.weakest.to.clamp(open.start, position));
        let was_speech = open.is_speech(&self.thresholds);
        let rest = Open {
            voice_end: open.voice_end.max(end),
            voiced: open.voiced - open.weakest.voiced,
            // Who has been clear goes on.
            clear: open.clear,
            ..Open::at(end)
        };
        *open = rest;
        if was_speech { Boundary::Ended { start, end } } else { Boundary::Dismissed }
    }

    /// No more will come.
    pub(crate) fn end(&mut self) -> Option<Boundary> {
        let open = self.open.take()?;
        Some(if open.is_speech(&self.thresholds) {
            Boundary::Ended { start: open.start, end: open.voice_end }
        } else {
            Boundary::Dismissed
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(probabilities: &[f32]) -> Vec<Boundary> {
        let mut segmenter = Segmenter::new(Thresholds::default(), 0);
        let mut boundaries: Vec<_> = probabilities.iter().filter_map(|p| segmenter.push(*p)).collect();
        boundaries.extend(segmenter.end());
        boundaries
    }

    #[test]
    fn a_word_between_silences_is_one_utterance_with_a_pause_before_its_end() {
        let mut p = vec![0.0; 10];
        p.extend([0.9; 10]);
        p.extend([0.0; 30]);
        let chunk = CHUNK as u64;
        assert_eq!(
            run(&p),
            [
                Boundary::Began { at: 10 * chunk },
                Boundary::Paused { end: 20 * chunk },
                Boundary::Rested,
                Boundary::Ended { start: 10 * chunk, end: 20 * chunk }
            ]
        );
    }

    #[test]
    fn what_was_said_before_a_rest_can_be_divided_off() {
        let mut segmenter = Segmenter::new(Thresholds::default(), 0);
        let mut push = |count: usize, probability: f32| {
            (0..count).filter_map(|_| segmenter.push(probability)).collect::<Vec<_>>()
        };
        push(20, 0.9);
        assert_eq!(push(14, 0.0).last(), Some(&Boundary::Rested));
        push(10, 0.9);
        let chunk = CHUNK as u64;
        assert_eq!(segmenter.divide(), Some((0, 20 * chunk)));
        assert_eq!(segmenter.divide(), None, "once");
        assert_eq!(segmenter.end(), Some(Boundary::Ended { start: 34 * chunk, end: 44 * chunk }));
    }

    #[test]
    fn a_click_is_dismissed() {
        assert_eq!(run(&[0.0, 0.9, 0.0]).last(), Some(&Boundary::Dismissed));
    }

    #[test]
    fn words_after_a_noise_are_not_dismissed_with_it() {
        // As heard on a telephone line: someone far away for five seconds, then the caller.
        let mut p = vec![0.55; 160];
        p.extend([0.97; 60]);
        p.extend([0.0; 30]);
        let chunk = CHUNK as u64;
        let Some(&Boundary::Ended { start, end }) = run(&p).last() else { panic!("{:?}", run(&p)) };
        assert_eq!(end, 220 * chunk);
        assert!((160 * chunk - start) <= Thresholds::default().lead, "{start}");
    }

    #[test]
    fn a_far_voice_alone_is_dismissed_however_long_it_speaks() {
        let mut p = vec![0.85; 600];
        p.extend([0.0; 30]);
        assert_eq!(run(&p).last(), Some(&Boundary::Dismissed));
    }

    #[test]
    fn someone_who_never_pauses_is_cut() {
        let ends = run(&[0.9; 2_000]).into_iter().filter(|b| matches!(b, Boundary::Ended { .. })).count();
        assert!(ends >= 4, "{ends}");
    }

    #[test]
    fn a_cut_in_the_silence_after_the_last_word_leaves_no_empty_utterance() {
        // The cut comes five chunks into a silence that goes on.
        let mut p = vec![0.9; 432];
        p.extend([0.0; 30]);
        let chunk = CHUNK as u64;
        let boundaries = run(&p);
        let ended: Vec<_> = boundaries.iter().filter(|b| matches!(b, Boundary::Ended { .. })).collect();
        assert_eq!(ended, [&Boundary::Ended { start: 0, end: 433 * chunk }]);
        assert_eq!(boundaries.last(), Some(&Boundary::Dismissed));
    }

    proptest! {
        #[test]
        fn utterances_are_ordered_disjoint_and_bounded(
            p in proptest::collection::vec((0.0_f32..1.0, 1_usize..30, any::<bool>()), 0..300)
        ) {
            let longest = Thresholds::default().longest + CHUNK as u64;
            let mut segmenter = Segmenter::new(Thresholds::default(), 0);
            let mut utterances = Vec::new();
            for (probability, count, divide) in &p {
                for _ in 0..*count {
                    if let Some(Boundary::Ended { start, end }) = segmenter.push(*probability) {
                        utterances.push((start, end));
                    }
                }
                utterances.extend(divide.then(|| segmenter.divide()).flatten());
            }
            if let Some(Boundary::Ended { start, end }) = segmenter.end() {
                utterances.push((start, end));
            }
            let mut last = 0;
            for (start, end) in utterances {
                prop_assert!(start >= last && end > start && end - start <= longest);
                last = end;
            }
            prop_assert!(last <= segmenter.position);
        }
    }
}
