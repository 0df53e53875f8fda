//! How well passages answer a question, by a cross-encoder: an [`Exported`] network that reads both together and gives one
//! logit. It tells apart what a vector each does not, and has to read every pair (Nogueira and Cho, "Passage Re-ranking with
//! BERT", 2019), so it is for the best that a search has found.

use std::path::Path;

use serde::Deserialize;
use sotto_models::Onnx;

use crate::InsightError;
use crate::exported::{Exported, opened, sigmoid};
use crate::tokenizer::MAX_CHARS;

/// Tokens of a question and a passage, together; the longer of both is cut.
const MAX_TOKENS: usize = 512;

#[derive(Deserialize)]
struct Config {
    max_position_embeddings: Option<usize>,
}

/// A cross-encoder of the organisation's own.
#[derive(Debug)]
pub struct Reranker {
    network: Exported,
}

impl Reranker {
    /// Opens the one in a folder (`model.onnx`, `tokenizer.json`, `config.json`), with one thread of its own, and tries it.
    ///
    /// # Errors
    /// [`InsightError::Classifier`] with the file that is missing, too large or no such thing, or that does not fit the
    /// others; [`InsightError::Model`] and [`InsightError::Runtime`] when the network does not load or run.
    pub fn open(onnx: &Onnx, folder: &Path) -> Result<Self, InsightError> {
        opened(folder, || {
            let config: Config = Exported::config(folder)?;
            let network = Exported::open(onnx, folder, MAX_TOKENS, config.max_position_embeddings)?;
            let mut reranker = Self { network };
            let long = "and ".repeat(MAX_CHARS / 4);
            reranker.relevance("a", &["a", &long])?;
            reranker.relevance(&long, &["a"])?;
            Ok(reranker)
        })
    }

    /// How well each passage answers a question, from 0 to 1, in the passages' order.
    ///
    /// # Errors
    /// [`InsightError::Runtime`] when the network fails, [`InsightError::Classifier`] when it gives anything but one logit,
    /// [`InsightError::NoNumber`] when that is no number.
    pub fn relevance(&mut self, question: &str, passages: &[&str]) -> Result<Vec<f32>, InsightError> {
        let mut all = Vec::with_capacity(passages.len());
        for passage in passages {
            let logits = self.network.logits(question, Some(*passage))?;
            match logits.as_slice() {
                [logit] if !logit.is_nan() => all.push(sigmoid(*logit)),
                [_] => return Err(InsightError::NoNumber),
                several => {
                    return Err(self.network.wrong(format!("gives {} logits, not one", several.len())));
                }
            }
        }
        Ok(all)
    }
}
