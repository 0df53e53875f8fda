//! What can be searched: by the words, by the meaning, and by both ([`Fusion`]).
//!
//! In a conversation the last words ask, and what came before says about what. So context counts little as words, and
//! half as meaning; and passages of a document whose title was mentioned are preferred, the more the less the words
//! decide.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::KnowledgeError;
use crate::fuse::{Fusion, Scores, dot};
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
/// The cosine from which on a passage is more likely meant than not, where its words tell nothing. Judged, as the confidence is.
pub const MEANT: f32 = 0.84;
/// Characters of a query, and of each turn of its context, that are read.
const MAX_QUERY: usize = 2_000;
/// Turns of context that are read.
const MAX_CONTEXT: usize = 8;
/// What a word of the context counts, against one of the query. (0.2 of 0, 0.1 … 1 is best for BM25 on the dialogues
/// of DSTC11 track 5.)
pub(crate) const CONTEXT_SHARE: f32 = 0.2;

/// What a mentioned title is worth where all is in doubt: nearly as much as being the best passage.
const MENTIONED: f32 = 0.8;

/// The confidence is a logistic function of the cosine and of the share of the query's words: of each the slope, and where it
/// tells nothing. Judged: unrelated texts have a cosine of about 0.78 in this embedding, answers one of 0.85 and more. Fitted
/// to no data, because what is public are written questions, or talk about hotels: with what half of it fits best, and how much
/// nearer that is on the other half, the rows `dstc11` and `pquad` print (`fitted_cosine_slope`, `fitted_cosine_middle`,
/// `fitted_share_slope`; `held_out_error_fitted`, `held_out_error_shipped`).
const COSINE: (f32, f32) = (40.0, MEANT);
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
    /// What all that comes to; hits are in this order, unless they were [reranked](rerank).
    pub score: f32,
    /// How well it answers, from 0 to 1, by somebody who has read it together with the question; none if nobody has.
    pub reranked: Option<f32>,
}

/// How many of the best hits are worth being read once more.
pub const RERANKED: usize = 20;

/// Has the first [`RERANKED`] hits be read together with the question, each under its title and headings, and puts them into the
/// order of what `read` says of each. How sure a hit is stays as it is. Where it cannot be read they stay in their order.
///
/// # Errors
/// As `read`.
pub fn rerank<E>(hits: &mut [Hit], read: impl FnOnce(&[&str]) -> Result<Vec<f32>, E>) -> Result<(), E> {
    let in_context =
        |hit: &Hit| hit.passage().map_or_else(String::new, |passage| passage.in_context(&hit.document.title));
    let texts: Vec<String> = hits.iter().take(RERANKED).map(in_context).collect();
    let relevance = read(&texts.iter().map(String::as_str).collect::<Vec<_>>())?;
    for (hit, relevance) in hits.iter_mut().take(texts.len()).zip(relevance) {
        hit.why.reranked = Some(relevance).filter(|relevance| relevance.is_finite());
    }
    // Those that nobody has read come last, in the order that they have.
    let place = |hit: &Hit| hit.why.reranked.unwrap_or(f32::NEG_INFINITY);
    hits.sort_by(|a, b| place(b).total_cmp(&place(a)));
    Ok(())
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
        let fusion = Fusion::new(words, meaning, |best| covered(best).0, query.share);
        let mentioned = match (query.within, query.share) {
            (None, None) => self.titles.mentioned(&wanted, &self.seen_titles(&seen)),
            _ => HashSet::new(),
        };
        let mut mixed: Vec<(usize, f32)> = Vec::new();
        for (number, entry) in self.entries.iter().enumerate() {
            let Some(score) = fusion.score(number) else { continue };
            let bonus = if mentioned.contains(&entry.title) { MENTIONED * fusion.doubt } else { 0.0 };
            mixed.push((number, score + bonus));
        }
        let hits = best(mixed, limit).into_iter().map(|(number, score)| {
            let entry = &self.entries[number];
            let (covered, matched) = covered(number);
            let why = Why {
                bm25: fusion.words.get(number).unwrap_or(0.0),
                rank_by_words: fusion.words.rank(number),
                words: matched,
                covered,
                cosine: fusion.meaning.get(number),
                rank_by_meaning: fusion.meaning.rank(number),
                share: fusion.share,
                mentioned: mentioned.contains(&entry.title),
                score,
                reranked: None,
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

fn confidence(why: &Why) -> f32 {
    let linear = |(slope, middle): (f32, f32), x: f32| slope * (x - middle);
    let sum = match why.cosine {
        Some(cosine) => linear(COSINE, cosine) + linear(SHARE, why.covered),
        None => linear(SHARE_ALONE, why.covered),
    };
    1.0 / (1.0 + (-sum).exp())
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

#[cfg(test)]
mod tests;
