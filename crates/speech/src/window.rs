//! Several stretches of one leg's audio joined to one decode, and the words that come back given to the
//! stretches they belong to.

use std::ops::Range;

use sotto_audio::RATE;

use crate::text::{align, ends_sentence, plain};
use crate::whisper::HeardWord;

const MS: u64 = RATE as u64 / 1000;

/// What a leg has said lately, by position since the leg's first sample.
#[derive(Default)]
pub(crate) struct Audio {
    samples: std::collections::VecDeque<f32>,
    start: u64,
}

impl Audio {
    /// An empty stretch that begins at sample `start`.
    pub(crate) fn new(start: u64) -> Self {
        Self { samples: std::collections::VecDeque::new(), start }
    }

    pub(crate) fn push(&mut self, samples: &[f32]) {
        self.samples.extend(samples);
    }

    /// The first sample that is still there.
    #[cfg(test)]
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// Where the next sample goes.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.samples.len() as u64
    }

    /// Forgets what is before `position`.
    pub(crate) fn forget(&mut self, position: u64) {
        let gone = usize::try_from(position.saturating_sub(self.start)).unwrap_or(usize::MAX);
        let gone = gone.min(self.samples.len());
        self.samples.drain(..gone);
        self.start += gone as u64;
    }

    /// The part of `range` that is still, or already, there.
    fn clamp(&self, range: Range<u64>) -> Range<u64> {
        let start = range.start.clamp(self.start, self.end());
        start..range.end.clamp(start, self.end())
    }

    fn copy(&self, range: Range<u64>, out: &mut Vec<f32>) {
        let range = self.clamp(range);
        let from = (range.start - self.start) as usize;
        out.extend(self.samples.range(from..from + (range.end - range.start) as usize));
    }
}

/// A stretch of a window: an utterance, with a little silence around it.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Where it is in the leg.
    pub at: Range<u64>,
    /// What is believed to be said there, to recognise it by; [`plain`] words.
    pub known: Vec<String>,
}

/// See the module.
pub(crate) struct Window {
    parts: Vec<(Part, u64)>,
    /// What to decode.
    pub samples: Vec<f32>,
}

impl Window {
    /// Joins `parts`, which must be in order and disjoint, with `gap` samples of silence between them. What a part wants
    /// beyond the end of the audio is silence: see `Policy::pad_after`.
    pub(crate) fn new(audio: &Audio, parts: impl IntoIterator<Item = Part>, gap: u64) -> Self {
        let mut window = Self { parts: Vec::new(), samples: Vec::new() };
        for mut part in parts {
            let joined =
                window.parts.last().is_some_and(|(last, _): &(Part, u64)| last.at.end == part.at.start);
            if !window.samples.is_empty() && !joined {
                window.samples.extend(std::iter::repeat_n(0.0, gap as usize));
            }
            let beyond = part.at.end.saturating_sub(audio.end().max(part.at.start));
            part.at = audio.clamp(part.at);
            let offset = window.samples.len() as u64;
            audio.copy(part.at.clone(), &mut window.samples);
            window.samples.extend(std::iter::repeat_n(0.0, beyond as usize));
            window.parts.push((part, offset));
        }
        window
    }

    /// Gives each part its words, with times in samples of the leg. A word that is known in a part goes there;
    /// others go where they were heard, without changing the order.
    pub(crate) fn split(&self, words: &[HeardWord]) -> Vec<Vec<(HeardWord, Range<u64>)>> {
        let mut split = vec![Vec::new(); self.parts.len()];
        if split.is_empty() {
            return split;
        }
        let known: Vec<(usize, &String)> = (self.parts.iter().enumerate())
            .flat_map(|(n, (part, _))| part.known.iter().map(move |word| (n, word)))
            .collect();
        let old: Vec<String> = known.iter().map(|(_, word)| (*word).clone()).collect();
        let new: Vec<String> = words.iter().map(|word| plain(&word.w)).collect();
        let mut owner = vec![None; words.len()];
        let mut places = Vec::with_capacity(words.len());
        for pair in align(&old, &new) {
            if let (Some(a), Some(b)) = pair
                && old[a] == new[b]
            {
                owner[b] = Some(known[a].0);
            }
        }
        let mut least = 0;
        for n in 0..words.len() {
            let most = owner[n..].iter().flatten().next().copied().unwrap_or(split.len() - 1);
            let middle = (words[n].start_ms + words[n].end_ms) / 2 * MS;
            let part = owner[n].unwrap_or_else(|| self.part_at(middle)).clamp(least, most.max(least));
            places.push(part);
            least = part;
        }
        end_at_sentences(words, &owner, &mut places);
        for (word, part) in words.iter().zip(places) {
            let (at, offset) = (&self.parts[part].0.at, self.parts[part].1);
            let place = |ms: u64| (at.start + (ms * MS).saturating_sub(offset)).clamp(at.start, at.end);
            split[part].push((word.clone(), place(word.start_ms)..place(word.end_ms)));
        }
        split
    }

    fn part_at(&self, position: u64) -> usize {
        self.parts.iter().rposition(|(_, offset)| *offset <= position).unwrap_or(0)
    }
}

/// Times of words are a few hundred milliseconds off. Where a part would begin or end with the one or two words
/// that the neighbour's sentence lacks, they are moved there, unless their owner is known.
fn end_at_sentences(words: &[HeardWord], owner: &[Option<usize>], places: &mut [usize]) {
    for n in 1..places.len() {
        let (before, after) = (places[n - 1], places[n]);
        if before == after || ends_sentence(&words[n - 1].w) {
            continue;
        }
        let fits = |seam: usize| {
            let moved = seam.min(n)..seam.max(n);
            seam > 0
                && seam < places.len()
                && ends_sentence(&words[seam - 1].w)
                // Neither part may be left without words.
                && (seam > n || places[seam - 1] == before)
                && (seam < n || places[seam] == after)
                && owner[moved.clone()].iter().all(Option::is_none)
                && places[moved].iter().all(|place| *place == before || *place == after)
        };
        if let Some(seam) =
            [n.wrapping_sub(1), n + 1, n.wrapping_sub(2), n + 2].into_iter().find(|s| *s < n + 3 && fits(*s))
        {
            places[seam.min(n)..n].fill(after);
            places[n..seam.max(n)].fill(before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(w: &str, start_ms: u64, end_ms: u64) -> HeardWord {
        HeardWord { w: w.into(), start_ms, end_ms, p: 1.0 }
    }

    fn part(at: Range<u64>, known: &str) -> Part {
        Part { at: at.start * MS..at.end * MS, known: known.split_whitespace().map(str::to_owned).collect() }
    }

    #[test]
    fn words_go_to_the_stretch_that_knows_them_even_when_their_times_are_off() {
        let mut audio = Audio::new(0);
        audio.push(&vec![0.0; 10 * RATE as usize]);
        let parts = [part(0..1000, "my name is anna"), part(4000..5000, "i lost my card")];
        let window = Window::new(&audio, parts, 200 * MS);
        assert_eq!(window.samples.len() as u64, 2200 * MS);
        let words: Vec<_> = "My name is Hannah. I lost my debit card."
            .split(' ')
            .enumerate()
            .map(|(n, w)| word(w, n as u64 * 300, n as u64 * 300 + 200))
            .collect();
        let split = window.split(&words);
        let text = |n: usize| split[n].iter().map(|(w, _)| w.w.as_str()).collect::<Vec<_>>().join(" ");
        assert_eq!(text(0), "My name is Hannah.");
        assert_eq!(text(1), "I lost my debit card.");
        assert!(split[1].iter().all(|(_, at)| at.start >= 4000 * MS && at.end <= 5000 * MS));
    }

    #[test]
    fn a_sentence_is_not_divided_because_times_are_a_little_off() {
        let mut audio = Audio::new(0);
        audio.push(&vec![0.0; 10 * RATE as usize]);
        let parts = [part(0..1000, "my name is lenda"), part(2000..4000, "how can be today")];
        let window = Window::new(&audio, parts, 0);
        let text = "My name is Linda. Well, can I help you today?";
        // "Well," is heard at the very end of the first part.
        let words: Vec<_> = (text.split(' ').enumerate())
            .map(|(n, w)| word(w, n as u64 * 190, n as u64 * 190 + 180))
            .collect();
        let split = window.split(&words);
        assert_eq!(split[0].len(), 4);
        assert_eq!(split[1].len(), 6);
    }

    #[test]
    fn a_revision_leaves_a_one_word_answer_its_word() {
        let mut audio = Audio::new(0);
        audio.push(&vec![0.0; 10 * RATE as usize]);
        let parts =
            [part(0..1000, "that is my number"), part(1000..1400, "ok"), part(1400..3000, "go on then")];
        let window = Window::new(&audio, parts, 0);
        let times = [0, 250, 500, 750, 1050, 1500, 1800, 2100];
        let words: Vec<_> = ("That is my number Okay. Go on then.".split(' ').zip(times))
            .map(|(w, at)| word(w, at, at + 200))
            .collect();
        let split: Vec<usize> = window.split(&words).iter().map(Vec::len).collect();
        assert_eq!(split, [4, 1, 3]);
    }

    #[test]
    fn beyond_the_end_of_the_audio_there_is_silence_and_no_word() {
        let mut audio = Audio::new(0);
        audio.push(&vec![0.5; RATE as usize]);
        let window = Window::new(&audio, [part(400..1200, "")], 0);
        let (spoken, silence) = window.samples.split_at(600 * MS as usize);
        assert!(spoken.iter().all(|sample| *sample == 0.5));
        assert!(silence.len() as u64 == 200 * MS && silence.iter().all(|sample| *sample == 0.0));
        let split = window.split(&[word("Bye.", 300, 790)]);
        assert_eq!(split[0][0].1, 700 * MS..1000 * MS);
    }

    #[test]
    fn audio_forgets_and_clamps() {
        let mut audio = Audio::new(100);
        audio.push(&[1.0, 2.0, 3.0, 4.0]);
        audio.forget(102);
        assert_eq!((audio.clamp(0..1_000), audio.end()), (102..104, 104));
        let mut copy = Vec::new();
        audio.copy(103..500, &mut copy);
        assert_eq!(copy, [4.0]);
    }
}
