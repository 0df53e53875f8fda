//! What somebody wants, recognised from example sentences.
//!
//! Two learners look at the embedding, both in closed form, so that the same examples give the same recogniser.
//! One asks which examples are near (ridge regression with a Gaussian kernel; with more than [`MAX_ANCHORS`]
//! examples, kernels are taken around that many of them only). The other asks which intent's mean is nearest, in
//! the metric of how examples of one intent differ (linear discriminant analysis). With few examples the second
//! is as good as the first, with many the first is better, and their sum is better than either.
//!
//! How sure they may be is measured on examples that they have not seen, by cross-validation.

use std::collections::{HashMap, HashSet};

use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use crate::linear::{add_gram, solve};
use crate::{Embedding, InsightError};

/// Examples around which kernels are laid.
pub const MAX_ANCHORS: usize = 4_000;
/// The kernel's width: `exp(-SHARPNESS · |a − b|²)` of centred vectors of length one. It was chosen with the multilingual
/// embedding; how far apart an embedding's vectors are does not matter to it, because they are centred and scaled first.
const SHARPNESS: f32 = 0.7;
/// How strongly the regression is held back from following single examples.
const RIDGE: f64 = 0.1;
/// Rows that are computed at once.
const ROWS: usize = 1_024;
/// The share of sentences that belong to an intent and may be taken for none.
const FALSE_ALARMS: f64 = 0.05;
/// Parts in cross-validation with few and with many examples; with many, only one part is held out.
const FOLDS: (usize, usize) = (3, 10);
/// The share of the kernel's scores where both learners count alike, and the shares that may be tried.
const EVEN: f64 = 0.5;
const BALANCES: [f64; 5] = [EVEN, 0.1, 0.3, 0.7, 0.9];

/// An example sentence of an intent.
#[derive(Debug, Clone)]
pub struct Example {
    /// Its intent: a number from zero on.
    pub intent: usize,
    /// The sentence that it stands for. Two examples with the same number are forms of one sentence (embedded as
    /// a query and as a passage, say), and are held out together when the recogniser is measured.
    pub sentence: usize,
    /// Its embedding.
    pub embedding: Embedding,
}

/// How much each of the two learners counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mix {
    /// Alike.
    Even,
    /// As makes sentences that they have not seen most likely.
    Tried,
}

/// How sentences that want the same differ, whatever they want: learned from other intents than those that are to be
/// recognised, of which there are more sentences than anybody writes of their own.
#[derive(Debug, Clone)]
pub struct Scatter(Array2<f64>);

impl Scatter {
    /// From examples of `intents` intents.
    ///
    /// # Errors
    /// As [`Recogniser::train`].
    pub fn of(intents: usize, examples: &[Example]) -> Result<Self, InsightError> {
        width_of(intents, examples)?;
        let (_, mut within) = classes(intents, &examples.iter().collect::<Vec<_>>(), None);
        // Only which directions differ more than others: how much they do is seen in the examples themselves.
        let evenly = within.diag().sum() / within.ncols() as f64;
        within /= evenly;
        Ok(Self(within))
    }
}

/// What was recognised.
#[derive(Debug, Clone, PartialEq)]
pub struct Recognition {
    /// The intent that is most likely.
    pub intent: usize,
    /// How likely it is, if it is one of the intents at all: among sentences with 0.8, about 8 in 10 are right. Never
    /// more than so many sentences that were tried without an error can tell.
    pub confidence: f32,
    /// How near it is to the examples: about one for what was an example, nothing for what is far from all.
    pub nearness: f32,
    /// Whether that is near enough to be one of the intents.
    pub in_scope: bool,
}

/// A recogniser of intents.
#[derive(Debug)]
pub struct Recogniser {
    learners: Learners,
    /// The share of the kernel's scores in the sum.
    balance: f64,
    /// What scores are multiplied by before they are turned into probabilities.
    sharpness: f64,
    /// The least kernel score of what is in scope.
    threshold: f64,
    /// The highest probability, by Laplace's rule of succession: of `n` sentences that all were right, the next is
    /// with `(n + 1) / (n + 2)`.
    ceiling: f64,
}

impl Recogniser {
    /// Learns from examples of `intents` intents. Both learners count alike.
    ///
    /// # Errors
    /// [`InsightError::Examples`] when there are fewer than two intents, when an intent has no example, or when
    /// an example names an intent that there is not or has an embedding of another width.
    pub fn train(intents: usize, examples: &[Example]) -> Result<Self, InsightError> {
        Self::train_with(intents, examples, Mix::Even, None)
    }

    /// The same with a choice of how much each learner counts, and with what is known from elsewhere.
    ///
    /// # Errors
    /// As [`train`](Self::train), also when the scatter has another width.
    pub fn train_with(
        intents: usize,
        examples: &[Example],
        mix: Mix,
        elsewhere: Option<&Scatter>,
    ) -> Result<Self, InsightError> {
        let width = width_of(intents, examples)?;
        if elsewhere.is_some_and(|Scatter(within)| within.ncols() != width) {
            return Err(InsightError::Examples("of different widths"));
        }
        let all: Vec<&Example> = examples.iter().collect();
        let tried = held_out(intents, &all, elsewhere);
        let balances: &[f64] = match mix {
            Mix::Even => &[EVEN],
            Mix::Tried => &BALANCES,
        };
        let (balance, sharpness) = calibrate(&tried, balances);
        let threshold = least_nearness(&tried);
        let ceiling = (tried.len() + 1) as f64 / (tried.len() + 2) as f64;
        let learners = Learners::fit(intents, &all, elsewhere);
        Ok(Self { learners, balance, sharpness, threshold, ceiling })
    }

    /// What a sentence most likely wants.
    #[must_use]
    pub fn recognise(&self, embedding: &Embedding) -> Recognition {
        let scores = self.learners.scores(&[embedding]);
        let sums = mixed(&scores.of(0), self.balance);
        let (intent, best) = top(&sums);
        let others: f64 = sums.iter().map(|sum| (self.sharpness * (sum - best)).exp()).sum();
        let nearness = scores.nearness(0);
        Recognition {
            intent,
            confidence: (1.0 / others).min(self.ceiling) as f32,
            nearness: nearness as f32,
            in_scope: nearness >= self.threshold,
        }
    }
}

/// How many numbers an embedding has of examples that can be learned from.
fn width_of(intents: usize, examples: &[Example]) -> Result<usize, InsightError> {
    let width = examples.first().map_or(0, |example| example.embedding.len());
    let mut seen = vec![false; intents];
    for example in examples {
        let known = seen.get_mut(example.intent).ok_or(InsightError::Examples("of an unknown intent"))?;
        *known = true;
        if example.embedding.len() != width || width == 0 {
            return Err(InsightError::Examples("of different widths"));
        }
    }
    if intents < 2 || seen.contains(&false) {
        return Err(InsightError::Examples("for fewer than two intents, or none for one of them"));
    }
    Ok(width)
}

/// The largest of some numbers, and where it is.
fn top(numbers: &[f64]) -> (usize, f64) {
    numbers.iter().copied().enumerate().fold((0, f64::NEG_INFINITY), |a, b| if b.1 > a.1 { b } else { a })
}

/// One sentence that the learners had not seen.
struct HeldOut {
    /// What it wants.
    intent: usize,
    /// See [`Scores::of`].
    scores: Vec<[f64; 2]>,
    nearness: f64,
}

/// The sum of both learners' scores, of which the kernel's are this share.
fn mixed(scores: &[[f64; 2]], balance: f64) -> Vec<f64> {
    scores.iter().map(|[kernel, linear]| 2.0 * (balance * kernel + (1.0 - balance) * linear)).collect()
}

/// What learners that have not seen a sentence say about it.
fn held_out(intents: usize, examples: &[&Example], elsewhere: Option<&Scatter>) -> Vec<HeldOut> {
    let (folds, measured) = if examples.len() <= MAX_ANCHORS { (FOLDS.0, FOLDS.0) } else { (FOLDS.1, 1) };
    // The sentences of every intent are dealt out in turn, so that each part has some of each.
    let mut dealt = vec![0usize; intents];
    let mut part: HashMap<usize, usize> = HashMap::new();
    for example in examples {
        part.entry(example.sentence).or_insert_with(|| {
            dealt[example.intent] += 1;
            dealt[example.intent] % folds
        });
    }
    let mut found = Vec::new();
    for fold in 0..measured {
        let (out, kept): (Vec<&Example>, Vec<&Example>) =
            examples.iter().copied().partition(|example| part.get(&example.sentence) == Some(&fold));
        let mut seen = vec![false; intents];
        kept.iter().for_each(|example| seen[example.intent] = true);
        let out: Vec<&Example> = out.into_iter().filter(|example| seen[example.intent]).collect();
        if out.is_empty() {
            continue;
        }
        let learners = Learners::fit(intents, &kept, elsewhere);
        let scores = learners.scores(&out.iter().map(|example| &example.embedding).collect::<Vec<_>>());
        found.extend(out.iter().enumerate().map(|(n, example)| HeldOut {
            intent: example.intent,
            scores: scores.of(n),
            nearness: scores.nearness(n),
        }));
    }
    found
}

/// The balance and the sharpness under which held-out sentences are most likely.
fn calibrate(held_out: &[HeldOut], balances: &[f64]) -> (f64, f64) {
    // One example an intent: nothing is known about how far to trust it.
    let (mut best, mut least) = ((EVEN, 1.0), f64::INFINITY);
    for balance in balances.iter().filter(|_| !held_out.is_empty()) {
        let sums: Vec<(Vec<f64>, f64)> = held_out
            .iter()
            .map(|sentence| {
                let sums = mixed(&sentence.scores, *balance);
                let right = sums[sentence.intent];
                (sums, right)
            })
            .collect();
        let surprise = |sharpness: f64| -> f64 {
            let one = |(sums, right): &(Vec<f64>, f64)| {
                let others = sums.iter().map(|sum| (sharpness * (sum - right)).exp());
                others.sum::<f64>().ln().min(50.0)
            };
            sums.iter().map(one).sum()
        };
        for sharpness in (-20..=40).map(|step| 2f64.powf(f64::from(step) / 8.0)) {
            let surprise = surprise(sharpness);
            if surprise < least {
                (best, least) = ((*balance, sharpness), surprise);
            }
        }
    }
    best
}

/// The nearness that all but few held-out sentences have.
fn least_nearness(held_out: &[HeldOut]) -> f64 {
    let mut nearness: Vec<f64> = held_out.iter().map(|sentence| sentence.nearness).collect();
    nearness.sort_unstable_by(f64::total_cmp);
    let at = (FALSE_ALARMS * nearness.len() as f64) as usize;
    nearness.get(at).copied().unwrap_or(0.0)
}

/// Both learners, fitted.
#[derive(Debug)]
struct Learners {
    centre: Array1<f32>,
    anchors: Array2<f32>,
    /// What each anchor says for each intent.
    weights: Array2<f64>,
    /// What is added to that.
    prior: Array1<f64>,
    kernel_scale: f64,
    /// The discriminants: a direction and an offset an intent.
    directions: Array2<f64>,
    offsets: Array1<f64>,
    linear_scale: f64,
}

/// Scores of some sentences, one row each.
struct Scores {
    kernel: Array2<f64>,
    /// The kernel's and the discriminants', so that they count alike.
    scaled: [Array2<f64>; 2],
}

impl Scores {
    /// Both learners' scores of a sentence, intent by intent.
    fn of(&self, row: usize) -> Vec<[f64; 2]> {
        let [kernel, linear] = &self.scaled;
        kernel.row(row).iter().zip(linear.row(row)).map(|(kernel, linear)| [*kernel, *linear]).collect()
    }

    /// The kernel's best score: one for what was an example, nothing for what is far from all.
    fn nearness(&self, row: usize) -> f64 {
        self.kernel.row(row).iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b))
    }
}

impl Learners {
    fn fit(intents: usize, examples: &[&Example], elsewhere: Option<&Scatter>) -> Self {
        let rows = matrix(&examples.iter().map(|example| &example.embedding).collect::<Vec<_>>());
        let of = |n: usize| examples[n].intent;
        let centre = rows.mean_axis(Axis(0)).unwrap_or_default();
        let centred = centred(&rows, &centre);
        let anchors = centred.select(Axis(0), &chosen(intents, examples));

        let mut targets = Array2::<f64>::zeros((examples.len(), intents));
        (0..examples.len()).for_each(|n| targets[(n, of(n))] = 1.0);
        let prior = targets.mean_axis(Axis(0)).unwrap_or_default();
        targets -= &prior;

        // (KᵀK + λ·K₀) w = Kᵀ·targets, where K₀ is the kernel among the anchors.
        let mut left = RIDGE * kernel(anchors.view(), &anchors);
        left.diag_mut().mapv_inplace(|x| x + 1e-6);
        let mut right = Array2::zeros((anchors.nrows(), intents));
        for from in (0..examples.len()).step_by(ROWS) {
            let range = from..(from + ROWS).min(examples.len());
            let near = kernel(centred.slice(s![range.clone(), ..]), &anchors);
            add_gram(&mut left, near.view());
            right += &near.t().dot(&targets.slice(s![range, ..]));
        }
        let weights = solve(&left, right);

        let (means, within) = classes(intents, examples, elsewhere);
        let directions = solve(&within, means.t().to_owned());
        let offsets = (&means.t() * &directions).sum_axis(Axis(0)) * -0.5;

        let mut learners = Self {
            centre,
            anchors,
            weights,
            prior,
            kernel_scale: 1.0,
            directions,
            offsets,
            linear_scale: 1.0,
        };
        // Both learners' scores are to count alike.
        let some: Vec<&Embedding> = examples.iter().take(ROWS).map(|example| &example.embedding).collect();
        let rows = matrix(&some);
        learners.kernel_scale = 1.0 / spread(&learners.kernel(&rows)).max(1e-9);
        learners.linear_scale = 1.0 / spread(&learners.linear(&rows)).max(1e-9);
        learners
    }

    fn scores(&self, embeddings: &[&Embedding]) -> Scores {
        let rows = matrix(embeddings);
        let kernel = self.kernel(&rows);
        let scaled = [&kernel * self.kernel_scale, self.linear(&rows) * self.linear_scale];
        Scores { kernel, scaled }
    }

    fn kernel(&self, rows: &Array2<f32>) -> Array2<f64> {
        kernel(centred(rows, &self.centre).view(), &self.anchors).dot(&self.weights) + &self.prior
    }

    /// Relative to the mean over the intents.
    fn linear(&self, rows: &Array2<f32>) -> Array2<f64> {
        let scores = rows.mapv(f64::from).dot(&self.directions) + &self.offsets;
        let means = scores.mean_axis(Axis(1)).unwrap_or_default().insert_axis(Axis(1));
        scores - means
    }
}

/// The mean of every intent, and how examples of one intent differ from theirs: a covariance, of which the lower triangle is
/// there. The fewer sentences a dimension, the nearer it is to what is known from elsewhere, or else to one in which all
/// directions are alike.
fn classes(intents: usize, examples: &[&Example], elsewhere: Option<&Scatter>) -> (Array2<f64>, Array2<f64>) {
    let rows = matrix(&examples.iter().map(|example| &example.embedding).collect::<Vec<_>>());
    let rows = rows.mapv(f64::from);
    let of = |n: usize| examples[n].intent;
    let mut means = Array2::<f64>::zeros((intents, rows.ncols()));
    let mut counts = vec![0usize; intents];
    for (n, row) in rows.outer_iter().enumerate() {
        means.row_mut(of(n)).scaled_add(1.0, &row);
        counts[of(n)] += 1;
    }
    for (mut mean, count) in means.outer_iter_mut().zip(&counts) {
        mean /= (*count).max(1) as f64;
    }
    let mut within = Array2::zeros((rows.ncols(), rows.ncols()));
    let residuals = Array2::from_shape_fn(rows.dim(), |(n, j)| rows[(n, j)] - means[(of(n), j)]);
    add_gram(&mut within, residuals.view());
    within /= examples.len().saturating_sub(intents).max(1) as f64;
    let evenly = (within.diag().sum() / rows.ncols() as f64).max(1e-6);
    let sentences: HashSet<usize> = examples.iter().map(|example| example.sentence).collect();
    let width = rows.ncols() as f64;
    let shrinkage = width / (width + sentences.len().saturating_sub(intents) as f64);
    within *= 1.0 - shrinkage;
    match elsewhere {
        Some(Scatter(elsewhere)) => within.scaled_add(shrinkage * evenly, elsewhere),
        None => within.diag_mut().mapv_inplace(|x| x + shrinkage * evenly),
    }
    (means, within)
}

/// The examples that become anchors: all, or as many of each intent as there is room for.
fn chosen(intents: usize, examples: &[&Example]) -> Vec<usize> {
    let room = if examples.len() <= MAX_ANCHORS { usize::MAX } else { MAX_ANCHORS / intents };
    let mut counts = vec![0usize; intents];
    let mut chosen = Vec::new();
    for (n, example) in examples.iter().enumerate() {
        if counts[example.intent] < room.max(1) {
            counts[example.intent] += 1;
            chosen.push(n);
        }
    }
    chosen
}

fn matrix(embeddings: &[&Embedding]) -> Array2<f32> {
    let width = embeddings.first().map_or(0, |embedding| embedding.len());
    let at = |(n, j): (usize, usize)| embeddings[n].get(j).copied().unwrap_or(0.0);
    Array2::from_shape_fn((embeddings.len(), width), at)
}

/// Rows relative to the centre, of length one.
fn centred(rows: &Array2<f32>, centre: &Array1<f32>) -> Array2<f32> {
    let mut rows = rows - centre;
    for mut row in rows.outer_iter_mut() {
        let length = row.dot(&row).sqrt();
        if length.is_normal() {
            row /= length;
        }
    }
    rows
}

fn kernel(rows: ArrayView2<'_, f32>, anchors: &Array2<f32>) -> Array2<f64> {
    rows.dot(&anchors.t()).mapv(|cosine| f64::from((-SHARPNESS * (2.0 - 2.0 * cosine)).exp()))
}

/// How far scores of a row lie from their mean.
fn spread(scores: &Array2<f64>) -> f64 {
    let means = scores.mean_axis(Axis(1)).unwrap_or_default().insert_axis(Axis(1));
    (scores - &means).std(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sentences about `intents` different things: each points its own way, and a little another.
    fn examples(intents: usize, each: usize) -> Vec<Example> {
        let sentence = |n: usize| {
            let intent = n % intents;
            let noise = |j: usize| 0.25 * ((n * 31 + j * 17) as f32 * 1.3).sin();
            let vector = (0..16).map(|j| noise(j) + if j == intent { 1.0 } else { 0.0 }).collect();
            Example { intent, sentence: n, embedding: Embedding::new(vector) }
        };
        (0..intents * each).map(sentence).collect()
    }

    #[test]
    fn what_was_learned_is_recognised_in_sentences_never_seen() {
        let all = examples(8, 30);
        let (seen, new) = all.split_at(8 * 20);
        let recogniser = Recogniser::train(8, seen).unwrap();
        let right = new.iter().filter(|e| recogniser.recognise(&e.embedding).intent == e.intent).count();
        assert!(right >= 76, "{right} of 80");
    }

    #[test]
    fn the_same_examples_give_the_same_recogniser() {
        let all = examples(4, 6);
        let once = Recogniser::train(4, &all).unwrap();
        let again = Recogniser::train(4, &all).unwrap();
        assert!(all.iter().all(|e| once.recognise(&e.embedding) == again.recognise(&e.embedding)));
    }

    #[test]
    fn what_resembles_no_example_is_out_of_scope() {
        let recogniser = Recogniser::train(6, &examples(6, 20)).unwrap();
        // Against all that the examples point to.
        let far = (0..16).map(|j| if j < 6 { -1.0 } else { 0.0 }).collect();
        assert!(!recogniser.recognise(&Embedding::new(far)).in_scope);
        let mut near = vec![0.0; 16];
        near[2] = 1.0;
        let near = recogniser.recognise(&Embedding::new(near));
        assert!(near.in_scope && near.intent == 2 && near.confidence > 0.8, "{near:?}");
    }

    #[test]
    fn one_example_an_intent_is_enough_to_begin_with() {
        let recogniser = Recogniser::train(3, &examples(3, 1)).unwrap();
        let found = recogniser.recognise(&examples(3, 1)[1].embedding);
        assert_eq!(found.intent, 1);
        assert!(found.confidence <= 0.5, "nothing was tried: {found:?}");
    }

    #[test]
    fn few_sentences_that_went_well_prove_little() {
        let sure = |each| {
            let all = examples(4, each);
            let recogniser = Recogniser::train(4, &all).unwrap();
            all.iter().map(|e| recogniser.recognise(&e.embedding).confidence).fold(0.0, f32::max)
        };
        assert!(sure(4) <= 17.0 / 18.0 && sure(40) > sure(4));
    }

    /// Where one learner only guesses, the other is listened to; and what counts alike is as without a choice.
    #[test]
    fn how_much_each_learner_counts_is_what_held_out_sentences_tell() {
        let guesses = [[1.0, 0.0], [0.0, 1.0]];
        let held_out: Vec<HeldOut> = (0..40)
            .map(|n| {
                let (intent, guess) = (n % 2, guesses[n / 2 % 2]);
                let scores = (0..2).map(|one| [guess[one], f64::from(u8::from(one == intent))]).collect();
                HeldOut { intent, scores, nearness: 1.0 }
            })
            .collect();
        assert_eq!(calibrate(&held_out, &[EVEN]).0, EVEN);
        assert_eq!(calibrate(&held_out, &BALANCES).0, 0.1);
        assert_eq!(calibrate(&[], &BALANCES), (EVEN, 1.0));
        let all = examples(4, 6);
        let (one, other) = (Recogniser::train(4, &all), Recogniser::train_with(4, &all, Mix::Even, None));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert!(all.iter().all(|e| one.recognise(&e.embedding) == other.recognise(&e.embedding)));
        let tried = Recogniser::train_with(4, &all, Mix::Tried, None).unwrap();
        assert!(all.iter().all(|e| tried.recognise(&e.embedding).intent == e.intent));
    }

    /// The third number tells nothing, and one example an intent does not show that.
    #[test]
    fn what_differs_among_sentences_that_want_the_same_is_known_from_elsewhere() {
        let example = |intent: usize, sentence: usize, vector: [f32; 3]| Example {
            intent,
            sentence,
            embedding: Embedding::new(vector.to_vec()),
        };
        let others: Vec<Example> = (0..20)
            .map(|n| {
                let nothing = if n / 2 % 2 == 0 { 1.5 } else { -1.5 };
                example(n % 2, n, [1.0, if n % 2 == 0 { 1.0 } else { -1.0 }, nothing])
            })
            .collect();
        let scatter = Scatter::of(2, &others).unwrap();
        let few = [example(0, 0, [1.0, 0.0, 1.0]), example(1, 1, [0.0, 1.0, -1.0])];
        let few: Vec<&Example> = few.iter().collect();
        let likes_the_first = |elsewhere: Option<&Scatter>| {
            let scores =
                Learners::fit(2, &few, elsewhere).linear(&matrix(&[&Embedding::new(vec![1.0, 0.0, -1.0])]));
            scores[(0, 0)] > scores[(0, 1)]
        };
        assert!(likes_the_first(Some(&scatter)) && !likes_the_first(None));
        let wider = Recogniser::train_with(4, &examples(4, 6), Mix::Even, Some(&scatter));
        assert!(wider.is_err(), "of another width");
    }

    #[test]
    fn examples_that_make_no_sense_are_refused() {
        let all = examples(3, 4);
        assert!(Recogniser::train(1, &all[..1]).is_err());
        assert!(Recogniser::train(4, &all).is_err(), "an intent without an example");
        assert!(Recogniser::train(2, &all).is_err(), "an example of a third intent");
        let mut odd = all.clone();
        odd[3].embedding = Embedding::new(vec![1.0; 5]);
        assert!(Recogniser::train(3, &odd).is_err());
        assert!(Recogniser::train(2, &[]).is_err());
    }
}
