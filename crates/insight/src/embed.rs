//! One vector for what was said: near to others that mean the same, in whatever language.

use std::ops::Deref;
use std::path::Path;

use ort::session::Session;
use ort::value::TensorRef;
use sotto_models::{Onnx, e5};

use crate::InsightError;
use crate::tokenizer::Tokenizer;

/// Tokens of a text that the network looks at; the rest is cut off.
pub const MAX_TOKENS: usize = 512;
/// Tokens that are computed at once, padding included: bounds memory, and how long one run holds a thread.
const BATCH_TOKENS: usize = 1_024;

/// What a text is to be compared as. The network was trained with these two, and told which is which.
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

    /// The cosine of the angle between two: 1 for the same, about 0.75 for what has nothing in common.
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
    session: Session,
    tokenizer: Tokenizer,
}

impl Embedder {
    /// Opens the embedding in the file `model` ([`sotto_models::EMBEDDING`]) with `threads` threads of its own.
    ///
    /// # Errors
    /// [`InsightError::Model`] when it does not load.
    pub fn open(onnx: &Onnx, model: &Path, threads: usize) -> Result<Self, InsightError> {
        let (session, vocabulary) = e5::open(onnx, model, threads)?;
        Ok(Self { session, tokenizer: Tokenizer::new(vocabulary) })
    }

    /// One embedding a text, in order.
    ///
    /// Short texts are computed together. That changes a vector by no more than the rounding of sums does.
    ///
    /// # Errors
    /// [`InsightError::Runtime`] when the runtime fails.
    pub fn embed(&mut self, purpose: Purpose, texts: &[&str]) -> Result<Vec<Embedding>, InsightError> {
        let prefix = match purpose {
            Purpose::Query => "query: ",
            Purpose::Passage => "passage: ",
        };
        let mut all: Vec<(usize, Vec<i64>)> =
            texts.iter().map(|text| self.tokenizer.encode(prefix, text, MAX_TOKENS)).enumerate().collect();
        // Like lengths together: the least padding.
        all.sort_by_key(|(_, ids)| std::cmp::Reverse(ids.len()));
        let mut embedded = vec![Embedding(vec![]); texts.len()];
        let mut rest = all.as_slice();
        while let Some((_, longest)) = rest.first() {
            let (batch, after) = rest.split_at((BATCH_TOKENS / longest.len()).clamp(1, rest.len()));
            for ((at, _), embedding) in batch.iter().zip(self.run(batch, longest.len())?) {
                embedded[*at] = embedding;
            }
            rest = after;
        }
        Ok(embedded)
    }

    /// The tokens that a text without a prefix becomes, begin and end included.
    #[must_use]
    pub fn tokens(&self, text: &str) -> Vec<i64> {
        self.tokenizer.encode("", text, MAX_TOKENS)
    }

    fn run(&mut self, batch: &[(usize, Vec<i64>)], tokens: usize) -> Result<Vec<Embedding>, InsightError> {
        let mut ids = vec![self.tokenizer.padding(); batch.len() * tokens];
        let mut mask = vec![0i64; ids.len()];
        for (n, (_, text)) in batch.iter().enumerate() {
            ids[n * tokens..][..text.len()].copy_from_slice(text);
            mask[n * tokens..][..text.len()].fill(1);
        }
        let shape = [batch.len(), tokens];
        let outputs = self.session.run(ort::inputs![
            "ids" => TensorRef::from_array_view((shape, ids.as_slice()))?,
            "mask" => TensorRef::from_array_view((shape, mask.as_slice()))?,
        ])?;
        let (_, means) = outputs["mean"].try_extract_tensor::<f32>()?;
        let width = means.len() / batch.len();
        Ok(means.chunks_exact(width.max(1)).map(|mean| Embedding::new(mean.to_vec())).collect())
    }
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
}
