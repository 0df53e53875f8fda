//! Which sentences a summary is made of: those that are about what the call is about, and those that decide something.
//!
//! A sentence is about what the call is about when its words are those of the whole call: the cosine of its words, weighted by
//! how rare they are (TF-IDF), and the centroid of all sentences (Radev, Jing and Budzikowska, "Centroid-based summarization of
//! multiple documents", 2000). That is linear in the length of the call, as a walk over the graph of all pairs of sentences
//! (TextRank) is not.

use std::collections::{BTreeMap, BTreeSet};

use sotto_call::Party;

use crate::insight::{Because, NextAction};
use crate::named::Facts;
use crate::rules::Rules;
use crate::transcript::{Cited, Sentence, Transcript};

/// What each further reason counts, beside the strongest.
const FURTHER: f32 = 0.25;

/// A sentence of the summary.
pub(crate) struct Bullet {
    pub party: Party,
    pub text: String,
    pub because: Vec<Because>,
}

/// The sentences that matter most, in order of time.
pub(crate) fn bullets(
    transcript: &Transcript<'_>,
    facts: &Facts,
    promised: &[Cited<NextAction>],
    rules: &Rules,
) -> Vec<Cited<Bullet>> {
    let sentences = transcript.sentences();
    let vectors = weighted(sentences);
    let central = centrality(&vectors);
    // The sentences with something named in them, by utterance: a call may have thousands of both.
    let named: BTreeSet<usize> = facts.mentions.iter().map(|one| one.utterance).collect();
    let promises: BTreeSet<&str> = promised.iter().map(|one| one.value.text.as_str()).collect();
    let mut scored: Vec<(f32, usize, Vec<Because>)> = Vec::new();
    for (n, (sentence, central)) in sentences.iter().zip(central).enumerate() {
        if sentence.words.len() < rules.bullets.least_words {
            continue;
        }
        let has_named =
            named.contains(&sentence.utterance) && facts.mentions.iter().any(|one| one.is_in(sentence));
        let party = transcript.party(sentence);
        let reasons = rules.decisive.iter().filter(|rule| {
            let is_so = match rule.because {
                Because::Commitment => promises.contains(sentence.text.as_str()),
                Because::Question => sentence.is_question(),
                Because::Number => has_named,
                Because::Refusal | Because::Complaint | Because::Request | Because::Agreement => {
                    rule.phrases.are_in(&sentence.text)
                }
            };
            is_so && rule.party.is_none_or(|only| only == party)
        });
        let reasons: Vec<_> = reasons.collect();
        // Whoever says their name may say in the same breath what they want.
        let is_more = reasons.iter().any(|rule| !matches!(rule.because, Because::Question | Because::Number));
        if !is_more && rules.small_talk.are_in(&sentence.text) {
            continue;
        }
        let sum: f32 = reasons.iter().map(|rule| rule.weight).sum();
        let most = reasons.iter().map(|rule| rule.weight).fold(0.0, f32::max);
        let score = rules.bullets.centrality * central + most + FURTHER * (sum - most);
        if score >= rules.bullets.least_score {
            scored.push((score, n, reasons.iter().map(|rule| rule.because).collect()));
        }
    }
    // Of sentences that score the same the earlier one comes first.
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut chosen: Vec<(usize, Vec<Because>)> = Vec::new();
    for (_, n, because) in scored {
        if chosen.len() >= rules.bullets.most {
            break;
        }
        let is_new =
            chosen.iter().all(|(other, _)| cosine(&vectors[n], &vectors[*other]) <= rules.bullets.alike);
        if is_new {
            chosen.push((n, because));
        }
    }
    chosen.sort_by_key(|(n, _)| *n);
    let bullet = |(n, because): (usize, Vec<Because>)| {
        let sentence = sentences.get(n)?;
        let bullet = Bullet { party: transcript.party(sentence), text: sentence.text.clone(), because };
        Cited::new(bullet, transcript.cite_sentence(sentence).into_iter().collect())
    };
    chosen.into_iter().filter_map(bullet).collect()
}

/// Words and their weights, in the order of the words, of length 1.
type Vector<'a> = BTreeMap<&'a str, f32>;

/// Each sentence's words, weighted by how often they are in it and how rare they are in the call.
fn weighted(sentences: &[Sentence]) -> Vec<Vector<'_>> {
    let mut sentences_with: BTreeMap<&str, u32> = BTreeMap::new();
    for sentence in sentences {
        for word in sentence.words.iter().map(String::as_str).collect::<BTreeSet<_>>() {
            *sentences_with.entry(word).or_default() += 1;
        }
    }
    let all = sentences.len() as f32;
    let rarity = |word: &str| (1.0 + all / sentences_with.get(word).copied().unwrap_or(1).max(1) as f32).ln();
    let vectors = sentences.iter().map(|sentence| {
        let mut vector = Vector::new();
        for word in &sentence.words {
            *vector.entry(word.as_str()).or_default() += rarity(word.as_str());
        }
        normalised(vector)
    });
    vectors.collect()
}

fn normalised(mut vector: Vector<'_>) -> Vector<'_> {
    let length = vector.values().map(|weight| weight * weight).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.values_mut().for_each(|weight| *weight /= length);
    }
    vector
}

/// How near each is to the mean of all, from 0 to 1, where 1 is the nearest.
fn centrality(vectors: &[Vector<'_>]) -> Vec<f32> {
    let mut centroid = Vector::new();
    for vector in vectors {
        for (word, weight) in vector {
            *centroid.entry(*word).or_default() += weight;
        }
    }
    let centroid = normalised(centroid);
    let near: Vec<f32> = vectors.iter().map(|vector| cosine(vector, &centroid)).collect();
    let nearest = near.iter().copied().fold(0.0, f32::max);
    if nearest > 0.0 { near.into_iter().map(|near| near / nearest).collect() } else { near }
}

fn cosine(one: &Vector<'_>, other: &Vector<'_>) -> f32 {
    one.iter().map(|(word, weight)| weight * other.get(word).copied().unwrap_or_default()).sum()
}
