//! What is found by its words and what is found by its meaning, put together.
//!
//! Either way everything has a score of its own, brought to a scale on which 0 is what has nothing to do with the query and 1
//! the best; the two are mixed. (Ranks alone, as in reciprocal rank fusion, lose to the better of the two methods; so does any
//! fixed share.) How much the meaning counts depends on how much of the query the best by words has: a question in a document's
//! own words has most of it, and then words decide; of what somebody says in passing little is written anywhere, and then the
//! meaning does.

/// The share of the query that the best by words has: at `FEW` and below words say little, at `MANY` and above
/// they say enough, and in between it is more or less in doubt.
///
/// Three in four questions of PQuAD have `MANY` or more, three in four turns of DSTC11 track 5 hardly more than `FEW`.
const FEW: f32 = 0.4;
const MANY: f32 = 0.7;
/// The share of the meaning where nothing is in doubt, and where all is.
const LEAST: f32 = 0.25;
const MOST: f32 = 0.65;

/// What one method says of things, which are known by their numbers from 0.
#[derive(Debug)]
pub struct Scores {
    /// By number; not a number where it says nothing.
    of: Vec<f32>,
    best: Option<(usize, f32)>,
    mean: f32,
}

impl Scores {
    /// Of so many things; of some of them a method says how well they fit, the more the better.
    #[must_use]
    pub fn of(count: usize, scores: impl Iterator<Item = (usize, f32)>) -> Self {
        let mut out = Self { of: vec![f32::NAN; count], best: None, mean: 0.0 };
        let (mut sum, mut known) = (0.0, 0u32);
        for (entry, score) in scores {
            let Some(place) = out.of.get_mut(entry) else { continue };
            *place = score;
            sum += f64::from(score);
            known += 1;
            if out.best.is_none_or(|(_, best)| score > best) {
                out.best = Some((entry, score));
            }
        }
        out.mean = (sum / f64::from(known.max(1))) as f32;
        out
    }

    pub(crate) fn get(&self, entry: usize) -> Option<f32> {
        self.of.get(entry).copied().filter(|score| !score.is_nan())
    }

    pub(crate) fn rank(&self, entry: usize) -> Option<usize> {
        let score = self.get(entry)?;
        Some(1 + self.of.iter().filter(|other| **other > score).count())
    }

    /// The score where `nothing` is 0 and the best is 1.
    fn scaled(&self, entry: usize, nothing: f32) -> Option<f32> {
        let (score, (_, best)) = (self.get(entry)?, self.best?);
        Some(if best > nothing { ((score - nothing) / (best - nothing)).max(0.0) } else { 1.0 })
    }
}

/// Both methods' scores, mixed.
#[derive(Debug)]
pub struct Fusion {
    pub(crate) words: Scores,
    pub(crate) meaning: Scores,
    /// How much is in doubt where words alone decide, from 0 to 1.
    pub(crate) doubt: f32,
    /// The share of the meaning, from 0 to 1.
    pub(crate) share: f32,
}

impl Fusion {
    /// Of what both methods say of the same things. `covered` tells how much of the query the best by words has, from 0 to 1. The
    /// meaning has this `share` instead of one by the rule, where one is given.
    #[must_use]
    pub fn new(
        words: Scores,
        meaning: Scores,
        covered: impl FnOnce(usize) -> f32,
        share: Option<f32>,
    ) -> Self {
        let doubt = doubt(words.best.map_or(0.0, |(entry, _)| covered(entry)));
        let share = match meaning.best {
            Some(_) => share.unwrap_or(LEAST + doubt * (MOST - LEAST)),
            None => 0.0,
        };
        Self { words, meaning, doubt, share }
    }

    /// What both come to; nothing where neither says anything.
    #[must_use]
    pub fn score(&self, entry: usize) -> Option<f32> {
        let Self { words, meaning, share, .. } = self;
        if words.get(entry).is_none() && meaning.get(entry).is_none() {
            return None;
        }
        let by_words = words.scaled(entry, 0.0).unwrap_or(0.0);
        // What has no vector yet is judged by its words.
        let by_meaning = meaning.scaled(entry, meaning.mean).unwrap_or(by_words);
        Some((1.0 - share) * by_words + share * by_meaning)
    }
}

/// How much is in doubt, from 0 to 1, where the best by words has this much of the query.
fn doubt(covered: f32) -> f32 {
    1.0 - ((covered - FEW) / (MANY - FEW)).clamp(0.0, 1.0)
}

/// A sum of products in eight lanes, which the compiler can keep in a vector: of vectors of length one the cosine of the angle
/// between them.
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    let mut lanes = [0.0f32; 8];
    for (a, b) in a.iter().zip(b) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += a * b;
        }
    }
    lanes.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fused(words: &[(usize, f32)], meaning: &[(usize, f32)], covered: f32) -> Vec<Option<f32>> {
        let [words, meaning] = [words, meaning].map(|scores| Scores::of(3, scores.iter().copied()));
        let fusion = Fusion::new(words, meaning, |_| covered, None);
        (0..3).map(|entry| fusion.score(entry)).collect()
    }

    #[test]
    fn the_less_of_the_query_words_have_the_more_is_in_doubt() {
        assert_eq!((doubt(0.0), doubt(FEW), doubt(MANY), doubt(1.0)), (1.0, 1.0, 0.0, 0.0));
        assert!((doubt((FEW + MANY) / 2.0) - 0.5).abs() < 1e-5);
    }

    #[test]
    fn the_less_of_the_query_words_have_the_more_the_meaning_counts() {
        let (words, meaning) = ([(0, 2.0)], [(0, 0.5), (1, 1.0), (2, 0.75)]);
        assert_eq!(fused(&words, &meaning, MANY), [Some(1.0 - LEAST), Some(LEAST), Some(0.0)]);
        assert!((fused(&words, &meaning, FEW)[1].unwrap() - MOST).abs() < 1e-5);
        assert_eq!(fused(&words, &[], 0.0), [Some(1.0), None, None], "words are all there is");
        let lacks_a_vector = fused(&words, &meaning[1..], MANY)[0];
        assert_eq!(lacks_a_vector, Some(1.0), "it is judged by its words");
    }
}
