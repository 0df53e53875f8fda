//! What can be searched: by the words, by the meaning, and by both.
//!
//! Either way every visible passage has a score of its own, brought to a scale on which 0 is a passage that has
//! nothing to do with the query and 1 the best one; the two are mixed. (Ranks alone, as in reciprocal rank fusion,
//! lose to the better of the two methods; so does any fixed share.) How much the meaning counts depends on how much
//! of the query the best passage by words has: a question in the document's own words has most of it, and then words
//! decide; of what somebody says in passing little is written anywhere, and then the meaning does.
//!
//! In a conversation the last words ask, and what came before says about what. So context counts little as words, and
//! half as meaning; and passages of a document whose title was mentioned are preferred, the more the less the words
//! decide.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::KnowledgeError;
use crate::hub::{Document, Viewer};
use crate::split::{MAX_PASSAGE, Passage};
use crate::words::{Names, Wanted, Words};

/// The confidence from which a hit is shown. Below it is better to say that nothing was found.
///
/// It is where a hit is as likely right as wrong, by the judged constants of the confidence. It was fitted to no data: the rows
/// `dstc11` and `pquad` of `cargo xtask eval knowledge` print what half of their queries would have it be, and what either is
/// worth on the other half (`threshold_fitted`, `held_out_f1_fitted`, `held_out_f1_shipped`). That agents are shown little
/// that is wrong is measured on calls (`cards.unrelated_per_call`).
pub const SURE: f32 = 0.5;
/// Characters of a query, and of each turn of its context, that are read.
const MAX_QUERY: usize = 2_000;
/// Turns of context that are read.
const MAX_CONTEXT: usize = 8;
/// What a word of the context counts, against one of the query. (0.2 of 0, 0.1 … 1 is best for BM25 on the dialogues
/// of DSTC11 track 5.)
pub(crate) const CONTEXT_SHARE: f32 = 0.2;

/// The share of the query that the best passage by words has: at `FEW` and below words say little, at `MANY` and above
/// they say enough, and in between it is more or less in doubt.
///
/// Three in four questions of PQuAD have `MANY` or more, three in four turns of DSTC11 track 5 hardly more than `FEW`.
const FEW: f32 = 0.4;
const MANY: f32 = 0.7;
/// The share of the meaning where nothing is in doubt, and where all is.
const LEAST: f32 = 0.25;
const MOST: f32 = 0.65;
/// What a mentioned title is worth where all is in doubt: nearly as much as being the best passage.
const MENTIONED: f32 = 0.8;

/// The confidence is a logistic function of the cosine and of the share of the query's words: of each the slope, and where it
/// tells nothing. Judged: unrelated texts have a cosine of about 0.78 in this embedding, answers one of 0.85 and more. Fitted
/// to no data, because what is public are written questions, or talk about hotels: with what half of it fits best, and how much
/// nearer that is on the other half, the rows `dstc11` and `pquad` print (`held_out_error_fitted`, `held_out_error_shipped`).
const COSINE: (f32, f32) = (40.0, 0.84);
const SHARE: (f32, f32) = (3.0, 0.4);
/// Without a vector the share is all there is.
const SHARE_ALONE: (f32, f32) = (6.0, 0.55);

/// What is looked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Query<'a> {
    /// What was asked.
    pub text: &'a str,
    /// What was said before, the newest first.
    pub context: &'a [&'a str],
    /// Its meaning: the [`blend`](Self::blend) of the vectors of its [`texts`](Self::texts). Without it words alone
    /// are looked for.
    pub vector: Option<&'a [f32]>,
    /// Only in these documents, by name: where it is known what the question is about.
    pub within: Option<&'a BTreeSet<String>>,
    /// The share of the meaning, from 0 to 1, instead of one by the rule, and no regard to titles. For measuring.
    pub share: Option<f32>,
}

impl Query<'_> {
    /// What of a query is to be embedded (as a query): what was asked, and the same behind as much of what was said
    /// before as the embedding reads together with it, if that is any.
    #[must_use]
    pub fn texts(text: &str, context: &[&str]) -> Vec<String> {
        let text = limited(text);
        let mut room = MAX_PASSAGE.saturating_sub(text.chars().count());
        let turns = context.iter().take(MAX_CONTEXT).map(|turn| limited(turn));
        let mut turns: Vec<&str> = turns
            .map_while(|turn| {
                room = room.checked_sub(turn.chars().count() + 1)?;
                Some(turn)
            })
            .collect();
        let mut texts = vec![text.to_owned()];
        if !turns.is_empty() {
            turns.reverse();
            turns.push(text);
            texts.push(turns.join(" "));
        }
        texts
    }

    /// One vector of several, each of which counts the same. Empty where there are none.
    #[must_use]
    pub fn blend(vectors: &[Vec<f32>]) -> Vec<f32> {
        let mut out = vectors.first().cloned().unwrap_or_default();
        for vector in vectors.iter().skip(1) {
            out.iter_mut().zip(vector).for_each(|(sum, x)| *sum += x);
        }
        let length = dot(&out, &out).sqrt();
        if length.is_normal() {
            out.iter_mut().for_each(|x| *x /= length);
        }
        out
    }
}

/// A passage that may answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The document that it is in.
    pub document: Arc<Document>,
    /// Its place among the document's passages.
    pub place: usize,
    /// How likely it answers, from 0 to 1. Compare with [`SURE`].
    pub confidence: f32,
    /// Why it was found.
    pub why: Why,
}

impl Hit {
    /// The passage itself.
    #[must_use]
    pub fn passage(&self) -> Option<&Passage> {
        self.document.passages.get(self.place)
    }
}

/// Why a passage was found, and found here.
#[derive(Debug, Clone, PartialEq)]
pub struct Why {
    /// What its words are worth to the query; 0 if it has none of them.
    pub bm25: f32,
    /// Its rank by words, from 1; none if it has none of them.
    pub rank_by_words: Option<usize>,
    /// The words of what was asked that it has, in one spelling; none of what was said before, which may be anybody's.
    pub words: Vec<String>,
    /// The share of the query, by what its words are worth, that it has.
    pub covered: f32,
    /// The cosine of the angle between its meaning and the query's; none if either has no vector.
    pub cosine: Option<f32>,
    /// Its rank by meaning, from 1; none if either has no vector.
    pub rank_by_meaning: Option<usize>,
    /// The share that the meaning had in this query.
    pub share: f32,
    /// The conversation mentions the document by its title.
    pub mentioned: bool,
    /// What all that comes to; hits are in this order.
    pub score: f32,
}

/// The passages of a hub at one moment. It does not change, and can be searched from many threads.
pub struct Index {
    entries: Vec<Entry>,
    words: Words,
    titles: Names,
    width: usize,
}

struct Entry {
    document: Arc<Document>,
    place: usize,
    /// The number of its document's title.
    title: usize,
    vector: Option<Arc<[f32]>>,
}

impl Index {
    pub(crate) fn of<'a>(documents: impl Iterator<Item = &'a Arc<Document>>) -> Result<Self, KnowledgeError> {
        let mut entries = Vec::new();
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        let mut titles: Vec<&str> = Vec::new();
        for document in documents {
            let title = *numbers.entry(document.title.as_str()).or_insert_with(|| {
                titles.push(document.title.as_str());
                titles.len() - 1
            });
            for (place, vector) in document.vectors.iter().enumerate() {
                entries.push(Entry { document: document.clone(), place, title, vector: vector.clone() });
            }
        }
        let texts = entries.iter().map(|entry| match entry.document.passages.get(entry.place) {
            Some(passage) => passage.in_context(&entry.document.title),
            None => String::new(),
        });
        let words = Words::of(texts)?;
        let titles = Names::of(&words.analyser, titles.into_iter());
        let width = entries.iter().find_map(|entry| entry.vector.as_ref()).map_or(0, |vector| vector.len());
        Ok(Self { entries, words, titles, width })
    }

    /// How many passages can be found.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if nothing can be found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The documents that have passages, whoever may see them.
    pub fn documents(&self) -> impl Iterator<Item = &Document> {
        self.entries.iter().filter(|entry| entry.place == 0).map(|entry| entry.document.as_ref())
    }

    /// The document of this name, whoever may see it; none if it has no passages.
    #[must_use]
    pub fn document(&self, id: &str) -> Option<&Arc<Document>> {
        self.entries.iter().map(|entry| &entry.document).find(|document| document.id == id)
    }

    /// The passages that answer a query best, of those that `viewer` may see; the best first, at most `limit`.
    ///
    /// # Errors
    /// [`KnowledgeError::Vector`] when the query's vector is not as wide as the passages' are, and
    /// [`KnowledgeError::Words`].
    pub fn search(
        &self,
        query: &Query<'_>,
        viewer: &Viewer,
        limit: usize,
    ) -> Result<Vec<Hit>, KnowledgeError> {
        if query.vector.is_some_and(|vector| self.width > 0 && vector.len() != self.width) {
            return Err(KnowledgeError::Vector("is not as wide as the passages' are"));
        }
        let seen = self.seen(viewer);
        let visible = self.visible(query, &seen);
        let text = limited(query.text);
        let context: Vec<&str> = query.context.iter().take(MAX_CONTEXT).map(|turn| limited(turn)).collect();
        // Where it is known what a question is about, its name tells no passage from another.
        let known = self.known(query, &seen);
        let counted = self.words.counted(&seen);
        let wanted = self.words.wanted(text, &context, CONTEXT_SHARE, &known, &counted)?;
        let by_words = self.words.scores(&wanted, &visible, &counted)?;
        let words =
            Scores::of(self.len(), by_words.into_iter().map(|(entry, score)| (entry as usize, score)));
        let by_meaning = query.vector.map(|vector| self.cosines(vector, &visible));
        let meaning = Scores::of(self.len(), by_meaning.into_iter().flatten());

        let covered = |entry: usize| self.covered(&wanted, entry);
        let doubt = doubt(words.best.map_or(0.0, |(entry, _)| covered(entry).0));
        let share = match meaning.best {
            Some(_) => query.share.unwrap_or(LEAST + doubt * (MOST - LEAST)),
            None => 0.0,
        };
        let mentioned = match (query.within, query.share) {
            (None, None) => self.titles.mentioned(&wanted, &self.seen_titles(&seen)),
            _ => HashSet::new(),
        };
        let mut mixed: Vec<(usize, f32)> = Vec::new();
        for (number, entry) in self.entries.iter().enumerate() {
            if words.get(number).is_none() && meaning.get(number).is_none() {
                continue;
            }
            let by_words = words.scaled(number, 0.0).unwrap_or(0.0);
            // What has no vector yet is judged by its words.
            let by_meaning = meaning.scaled(number, meaning.mean).unwrap_or(by_words);
            let bonus = if mentioned.contains(&entry.title) { MENTIONED * doubt } else { 0.0 };
            mixed.push((number, (1.0 - share) * by_words + share * by_meaning + bonus));
        }
        let hits = best(mixed, limit).into_iter().map(|(number, score)| {
            let entry = &self.entries[number];
            let (covered, matched) = covered(number);
            let why = Why {
                bm25: words.get(number).unwrap_or(0.0),
                rank_by_words: words.rank(number),
                words: matched,
                covered,
                cosine: meaning.get(number),
                rank_by_meaning: meaning.rank(number),
                share,
                mentioned: mentioned.contains(&entry.title),
                score,
            };
            Hit { document: entry.document.clone(), place: entry.place, confidence: confidence(&why), why }
        });
        Ok(hits.collect())
    }

    /// The share of the wanted words, by what they are worth, that a passage has, and which of those that were asked.
    fn covered(&self, wanted: &[Wanted], entry: usize) -> (f32, Vec<String>) {
        let Entry { document, place, .. } = &self.entries[entry];
        let passage = document.passages.get(*place).map(|passage| passage.in_context(&document.title));
        let matched = self.words.matched(wanted, &passage.unwrap_or_default());
        let worth: f32 = wanted.iter().map(Wanted::worth).sum();
        let has: f32 = matched.iter().map(|one| one.worth()).sum();
        let asked = matched.iter().filter(|one| one.is_asked());
        let words = asked.map(|one| one.word.shown.clone()).collect();
        (if worth > 0.0 { has / worth } else { 0.0 }, words)
    }

    /// Which passages `viewer` may see.
    fn seen(&self, viewer: &Viewer) -> Arc<[bool]> {
        self.of_documents(|document| document.visibility.allows(viewer))
    }

    /// Which of those may be found.
    fn visible(&self, query: &Query<'_>, seen: &Arc<[bool]>) -> Arc<[bool]> {
        let Some(names) = query.within else { return seen.clone() };
        let asked = self.of_documents(|document| names.contains(&document.id));
        seen.iter().zip(asked.iter()).map(|(seen, asked)| *seen && *asked).collect()
    }

    /// What is true of a passage's document, which is asked once for all of its passages.
    fn of_documents(&self, is: impl Fn(&Document) -> bool) -> Arc<[bool]> {
        let mut last: Option<(&Arc<Document>, bool)> = None;
        let entries = self.entries.iter().map(|entry| match last {
            Some((document, so)) if Arc::ptr_eq(document, &entry.document) => so,
            _ => {
                let so = is(&entry.document);
                last = Some((&entry.document, so));
                so
            }
        });
        entries.collect()
    }

    /// The titles of what may be seen.
    fn seen_titles(&self, seen: &[bool]) -> Vec<bool> {
        let mut out = vec![false; self.titles.len()];
        for (entry, _) in self.entries.iter().zip(seen).filter(|(_, seen)| **seen) {
            out[entry.title] = true;
        }
        out
    }

    /// The words of the titles that a query is confined to.
    fn known(&self, query: &Query<'_>, seen: &[bool]) -> HashSet<String> {
        let Some(names) = query.within else { return HashSet::new() };
        let seen = self.entries.iter().zip(seen).filter(|(_, seen)| **seen).map(|(entry, _)| entry);
        let within = seen.filter(|entry| names.contains(&entry.document.id));
        let titles: HashSet<usize> = within.map(|entry| entry.title).collect();
        titles.into_iter().flat_map(|title| self.titles.terms(title)).cloned().collect()
    }

    fn cosines(&self, vector: &[f32], visible: &[bool]) -> impl Iterator<Item = (usize, f32)> {
        let entries = self.entries.iter().zip(visible).enumerate();
        entries.filter_map(move |(number, (entry, visible))| {
            let passage = entry.vector.as_ref().filter(|_| *visible)?;
            Some((number, dot(vector, passage)))
        })
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("passages", &self.len()).finish_non_exhaustive()
    }
}

/// How much is in doubt, from 0 to 1, where the best passage by words has this much of the query.
fn doubt(covered: f32) -> f32 {
    1.0 - ((covered - FEW) / (MANY - FEW)).clamp(0.0, 1.0)
}

fn confidence(why: &Why) -> f32 {
    let linear = |(slope, middle): (f32, f32), x: f32| slope * (x - middle);
    let sum = match why.cosine {
        Some(cosine) => linear(COSINE, cosine) + linear(SHARE, why.covered),
        None => linear(SHARE_ALONE, why.covered),
    };
    1.0 / (1.0 + (-sum).exp())
}

/// What one method says of the passages.
struct Scores {
    /// By the passage's number; not a number where it says nothing.
    of: Vec<f32>,
    best: Option<(usize, f32)>,
    mean: f32,
}

impl Scores {
    fn of(count: usize, scores: impl Iterator<Item = (usize, f32)>) -> Self {
        let mut out = Self { of: vec![f32::NAN; count], best: None, mean: 0.0 };
        let (mut sum, mut known) = (0.0, 0u32);
        for (entry, score) in scores {
            out.of[entry] = score;
            sum += f64::from(score);
            known += 1;
            if out.best.is_none_or(|(_, best)| score > best) {
                out.best = Some((entry, score));
            }
        }
        out.mean = (sum / f64::from(known.max(1))) as f32;
        out
    }

    fn get(&self, entry: usize) -> Option<f32> {
        self.of.get(entry).copied().filter(|score| !score.is_nan())
    }

    fn rank(&self, entry: usize) -> Option<usize> {
        let score = self.get(entry)?;
        Some(1 + self.of.iter().filter(|other| **other > score).count())
    }

    /// The score where `nothing` is 0 and the best is 1.
    fn scaled(&self, entry: usize, nothing: f32) -> Option<f32> {
        let (score, (_, best)) = (self.get(entry)?, self.best?);
        Some(if best > nothing { ((score - nothing) / (best - nothing)).max(0.0) } else { 1.0 })
    }
}

/// The `limit` best, in order; of equals those that come first in the hub.
fn best(mut scores: Vec<(usize, f32)>, limit: usize) -> Vec<(usize, f32)> {
    let order = |a: &(usize, f32), b: &(usize, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if limit < scores.len() {
        scores.select_nth_unstable_by(limit, order);
        scores.truncate(limit);
    }
    scores.sort_unstable_by(order);
    scores
}

/// The beginning of a text.
fn limited(text: &str) -> &str {
    text.char_indices().nth(MAX_QUERY).map_or(text, |(end, _)| &text[..end])
}

/// A sum of products in eight lanes, which the compiler can keep in a vector.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
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
mod tests;
