//! A text classifier, as an [`Exported`] network: it gives one logit a label, and `config.json` names the labels.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use sotto_models::Onnx;

use crate::InsightError;
use crate::exported::{CONFIG, Exported, opened, sigmoid, wrong};
use crate::tokenizer::MAX_CHARS;

/// Tokens of a text that the network looks at; the rest is cut off. More than an utterance has.
const MAX_TOKENS: usize = 256;
const MAX_LABELS: usize = 100;
/// Of a label.
const MAX_LABEL_CHARS: usize = 100;

#[derive(Deserialize)]
struct Config {
    id2label: BTreeMap<usize, String>,
    max_position_embeddings: Option<usize>,
    problem_type: Option<String>,
}

/// A text classifier.
#[derive(Debug)]
pub(crate) struct TextClassifier {
    network: Exported,
    labels: Vec<String>,
    /// Several labels may hold at once.
    is_multi_label: bool,
}

impl TextClassifier {
    /// Opens the one in a folder, with one thread of its own, and tries it.
    ///
    /// # Errors
    /// [`InsightError::Classifier`] with the file that is missing, too large or no such thing, or that does not fit the
    /// others; [`InsightError::Model`] and [`InsightError::Runtime`] when the network does not load or run.
    pub fn open(onnx: &Onnx, folder: &Path) -> Result<Self, InsightError> {
        opened(folder, || Self::try_open(onnx, folder))
    }

    fn try_open(onnx: &Onnx, folder: &Path) -> Result<Self, InsightError> {
        let file = folder.join(CONFIG);
        let config: Config = Exported::config(folder)?;
        let labels: Vec<String> = config.id2label.values().cloned().collect();
        let is_label = |label: &String| !label.trim().is_empty() && label.chars().count() <= MAX_LABEL_CHARS;
        if labels.len() < 2 || labels.len() > MAX_LABELS || !labels.iter().all(is_label) {
            let limits = format!("needs 2 to {MAX_LABELS} labels of at most {MAX_LABEL_CHARS} characters");
            return Err(wrong(&file, limits));
        }
        if !config.id2label.keys().copied().eq(0..labels.len()) {
            return Err(wrong(&file, "the labels are not numbered from 0 on"));
        }
        let network = Exported::open(onnx, folder, MAX_TOKENS, config.max_position_embeddings)?;
        let is_multi_label = config.problem_type.as_deref() == Some("multi_label_classification");
        let mut classifier = Self { network, labels, is_multi_label };
        for text in ["a", &"and ".repeat(MAX_CHARS / 4)] {
            classifier.probabilities(text)?;
        }
        Ok(classifier)
    }

    /// What it tells apart.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The probability of every label.
    ///
    /// # Errors
    /// [`InsightError::Runtime`] when the network fails, [`InsightError::Classifier`] when it answers something else,
    /// [`InsightError::NoNumber`] when that is no number.
    pub fn probabilities(&mut self, text: &str) -> Result<Vec<f32>, InsightError> {
        let logits = self.network.logits(text, None)?;
        if logits.len() != self.labels.len() {
            let counts = format!("gives {} logits for {} labels", logits.len(), self.labels.len());
            return Err(self.network.wrong(counts));
        }
        let probabilities: Vec<f32> = match self.is_multi_label {
            true => logits.iter().map(|logit| sigmoid(*logit)).collect(),
            false => softmax(&logits),
        };
        let is_number = probabilities.iter().all(|p| (0.0..=1.0).contains(p));
        if is_number { Ok(probabilities) } else { Err(InsightError::NoNumber) }
    }
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = logits.iter().map(|logit| (logit - most).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logits_become_probabilities() {
        let even = softmax(&[1_000.0, 1_000.0]);
        assert!(even.iter().all(|p| (p - 0.5).abs() < 1e-6), "{even:?}");
        let sure = softmax(&[-1_000.0, 1_000.0, f32::NEG_INFINITY]);
        assert_eq!(sure, [0.0, 1.0, 0.0]);
        assert!(softmax(&[f32::NAN, 1.0]).iter().any(|p| p.is_nan()));
        assert_eq!([0.0, 1_000.0, -1_000.0].map(sigmoid), [0.5, 1.0, 0.0]);
    }
}
