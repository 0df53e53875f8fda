//! One vector for what was said: near to others that mean the same, in whatever language or in English.

use std::ops::Deref;
use std::path::Path;

use ort::session::Session;
use ort::value::TensorRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sotto_models::{EMBEDDING, ENGLISH_EMBEDDING, Onnx, e5, minilm};

use crate::InsightError;
use crate::json_tokenizer::JsonTokenizer;
use crate::tokenizer::Tokenizer;

/// Tokens of a text that a network looks at, at most; the rest is cut off.
pub const MAX_TOKENS: usize = 512;
/// The same of the English one: what it was trained with (sentence-transformers' `max_seq_length`).
const MAX_ENGLISH_TOKENS: usize = 256;
/// Tokens that are computed at once, padding included: bounds memory, and how long one run holds a thread.
const BATCH_TOKENS: usize = 1_024;

/// The sentence embeddings that there are. Vectors of one mean nothing to another, and neither does what was learned or
/// measured with them: what depends on that is a property of the embedding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmbeddingModel {
    /// multilingual-e5-small: a hundred languages, English and Persian among them.
    #[default]
    Multilingual,
    /// all-MiniLM-L6-v2: English alone, with half of the layers.
    English,
}

impl EmbeddingModel {
    /// Its name in [`sotto_models::Cache`].
    #[must_use]
    pub fn artefact(self) -> &'static str {
        match self {
            Self::Multilingual => EMBEDDING,
            Self::English => ENGLISH_EMBEDDING,
        }
    }

    /// Whether words in a language (BCP 47; empty where it is not known) tell it anything.
    #[must_use]
    pub fn understands(self, language: &str) -> bool {
        let primary = language.split(['-', '_']).next().unwrap_or_default();
        self == Self::Multilingual || primary.is_empty() || primary.eq_ignore_ascii_case("en")
    }

    /// The forms in which one example sentence is learned from: with few examples, two make more than one.
    #[must_use]
    pub fn forms(self) -> &'static [Purpose] {
        match self {
            Self::Multilingual => &[Purpose::Query, Purpose::Passage],
            // They would be the same.
            Self::English => &[Purpose::Query],
        }
    }

    /// From which similarity on two sentences say the same; none where nobody has measured it.
    ///
    /// Multilingual: judged. Unrelated sentences have about 0.75 there, paraphrases about 0.9.
    #[must_use]
    pub fn least_similarity(self) -> Option<f32> {
        match self {
            Self::Multilingual => Some(0.88),
            Self::English => None,
        }
    }
}

/// What a text is to be compared as. The multilingual network was trained with these two, and told which is which; to the
/// English one they are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A question, or something to compare with its like: an utterance.
    Query,
    /// Something that answers questions.
    Passage,
}

/// A text's meaning: a vector of length one.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding(Vec<f32>);

impl Embedding {
    /// A vector of length one in the direction of `vector`. What has no direction stays as it is.
    #[must_use]
    pub fn new(mut vector: Vec<f32>) -> Self {
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        if length.is_normal() {
            vector.iter_mut().for_each(|x| *x /= length);
        }
        Self(vector)
    }

    /// The cosine of the angle between two: 1 for the same. What it is for texts that have nothing in common depends on the
    /// embedding: about 0.75 in the multilingual one.
    #[must_use]
    pub fn similarity(&self, other: &Self) -> f32 {
        self.iter().zip(other.iter()).map(|(a, b)| a * b).sum()
    }
}

impl Deref for Embedding {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

/// The network and its tokenizer.
#[derive(Debug)]
pub struct Embedder {
    model: EmbeddingModel,
    session: Session,
    tokenizer: AnyTokenizer,
    width: usize,
}

#[derive(Debug)]
enum AnyTokenizer {
    Unigram(Box<Tokenizer>),
    WordPiece(Box<JsonTokenizer>),
}

impl Embedder {
    /// Opens an embedding in its file ([`EmbeddingModel::artefact`]) with `threads` threads of its own, and tries it.
    ///
    /// # Errors
    /// [`InsightError::Model`] when it does not load, [`InsightError::Embedding`] or [`InsightError::Runtime`] when it
    /// is not what it should be.
    pub fn open(
        onnx: &Onnx,
        model: EmbeddingModel,
        file: &Path,
        threads: usize,
    ) -> Result<Self, InsightError> {
        let (session, tokenizer) = match model {
            EmbeddingModel::Multilingual => {
                let (session, vocabulary) = e5::open(onnx, file, threads)?;
                (session, AnyTokenizer::Unigram(Box::new(Tokenizer::new(vocabulary))))
            }
            EmbeddingModel::English => {
                let (session, json) = minilm::open(onnx, file, threads)?;
                let tokenizer = JsonTokenizer::read(json, MAX_ENGLISH_TOKENS).map_err(unusable)?;
                (session, AnyTokenizer::WordPiece(Box::new(tokenizer)))
            }
        };
        let mut embedder = Self { model, session, tokenizer, width: 0 };
        let tried = embedder.embed(Purpose::Query, &["a"])?;
        embedder.width = tried.first().map_or(0, |embedding| embedding.len());
        Ok(embedder)
    }

    /// Which embedding it is.
    #[must_use]
    pub fn model(&self) -> EmbeddingModel {
        self.model
    }

    /// The numbers that an embedding has.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// One embedding a text, in order.
    ///
    /// The multilingual network computes short texts together. That changes a vector by no more than the rounding of sums
    /// does.
    ///
    /// # Errors
    /// [`InsightError::Runtime`] when the runtime fails, [`InsightError::Embedding`] when the tokenizer does.
    pub fn embed(&mut self, purpose: Purpose, texts: &[&str]) -> Result<Vec<Embedding>, InsightError> {
        let prefix = match purpose {
            Purpose::Query => "query: ",
            Purpose::Passage => "passage: ",
        };
        let ids = texts.iter().map(|text| self.encode(prefix, text)).collect::<Result<Vec<_>, _>>()?;
        let mut all: Vec<(usize, Vec<i64>)> = ids.into_iter().enumerate().collect();
        // Like lengths together: the least padding.
        all.sort_by_key(|(_, ids)| std::cmp::Reverse(ids.len()));
        let mut embedded = vec![Embedding(vec![]); texts.len()];
        let mut rest = all.as_slice();
        // English ones go one by one, as those who publish the model run it: a batch saves nothing on a thread.
        let at_once = if self.model == EmbeddingModel::English { 0 } else { BATCH_TOKENS };
        while let Some((_, longest)) = rest.first() {
            let (batch, after) = rest.split_at((at_once / longest.len().max(1)).clamp(1, rest.len()));
            for ((at, _), embedding) in batch.iter().zip(self.run(batch, longest.len())?) {
                embedded[*at] = embedding;
            }
            rest = after;
        }
        Ok(embedded)
    }

    /// The tokens that a text without a prefix becomes, begin and end included.
    ///
    /// # Errors
    /// [`InsightError::Embedding`] when the tokenizer fails.
    pub fn tokens(&self, text: &str) -> Result<Vec<i64>, InsightError> {
        self.encode("", text)
    }

    /// Only the multilingual network was trained with prefixes.
    fn encode(&self, prefix: &str, text: &str) -> Result<Vec<i64>, InsightError> {
        match &self.tokenizer {
            AnyTokenizer::Unigram(tokenizer) => Ok(tokenizer.encode(prefix, text, MAX_TOKENS)),
            AnyTokenizer::WordPiece(tokenizer) => tokenizer.encode(text).map_err(unusable),
        }
    }

    fn run(&mut self, batch: &[(usize, Vec<i64>)], tokens: usize) -> Result<Vec<Embedding>, InsightError> {
        let padding = match &self.tokenizer {
            AnyTokenizer::Unigram(tokenizer) => tokenizer.padding(),
            // BERT's, of which the mask leaves nothing.
            AnyTokenizer::WordPiece(_) => 0,
        };
        let mut ids = vec![padding; batch.len() * tokens];
        let mut mask = vec![0i64; ids.len()];
        for (n, (_, text)) in batch.iter().enumerate() {
            ids[n * tokens..][..text.len()].copy_from_slice(text);
            mask[n * tokens..][..text.len()].fill(1);
        }
        let shape = [batch.len(), tokens];
        let ids = TensorRef::from_array_view((shape, ids.as_slice()))?;
        let masked = TensorRef::from_array_view((shape, mask.as_slice()))?;
        match self.model {
            EmbeddingModel::Multilingual => {
                let outputs = self.session.run(ort::inputs!["ids" => ids, "mask" => masked])?;
                let (_, means) = outputs["mean"].try_extract_tensor::<f32>()?;
                let width = means.len() / batch.len();
                Ok(means.chunks_exact(width.max(1)).map(|mean| Embedding::new(mean.to_vec())).collect())
            }
            EmbeddingModel::English => {
                let types = vec![0i64; mask.len()];
                let types = TensorRef::from_array_view((shape, types.as_slice()))?;
                let outputs = self.session.run(ort::inputs![
                    "input_ids" => ids,
                    "attention_mask" => masked,
                    "token_type_ids" => types,
                ])?;
                let states = outputs.get("last_hidden_state");
                let states = states.ok_or_else(|| unusable("it gives no `last_hidden_state`"))?;
                let (_, states) = states.try_extract_tensor::<f32>()?;
                let texts = states.chunks_exact((states.len() / batch.len()).max(1)).zip(batch);
                let pool = |(states, (_, text)): (&[f32], &(usize, Vec<i64>))| {
                    pooled(states, states.len() / tokens, text.len())
                };
                Ok(texts.map(pool).collect())
            }
        }
    }
}

/// The direction of the mean of the first `count` of some vectors, which have `width` numbers each.
fn pooled(vectors: &[f32], width: usize, count: usize) -> Embedding {
    let mut sum = vec![0.0; width];
    for vector in vectors.chunks_exact(width.max(1)).take(count) {
        sum.iter_mut().zip(vector).for_each(|(sum, x)| *sum += x);
    }
    Embedding::new(sum)
}

/// That the embedding is not what it should be.
fn unusable(problem: impl ToString) -> InsightError {
    InsightError::Embedding(problem.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_embedding_has_length_one() {
        let embedding = Embedding::new(vec![3.0, 4.0]);
        assert_eq!(&*embedding, [0.6, 0.8]);
        assert_eq!(embedding.similarity(&embedding), 1.0);
        assert_eq!(&*Embedding::new(vec![0.0, 0.0]), [0.0, 0.0]);
    }

    #[test]
    fn padding_is_not_in_the_mean() {
        let vectors = [1.0, 5.0, 5.0, 3.0, 100.0, -100.0];
        assert_eq!(pooled(&vectors, 2, 2), Embedding::new(vec![3.0, 4.0]));
        assert_eq!(&*pooled(&[], 0, 1), [] as [f32; 0]);
    }

    #[test]
    fn english_is_understood_by_both_and_persian_by_one() {
        let languages = ["en", "en-GB", "EN", "", "fa", "fa-IR", "eng"];
        let by = |model: EmbeddingModel| languages.map(|language| model.understands(language));
        assert_eq!(by(EmbeddingModel::English), [true, true, true, true, false, false, false]);
        assert!(by(EmbeddingModel::Multilingual).into_iter().all(|understands| understands));
    }
}
