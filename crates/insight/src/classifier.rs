//! A text classifier as Hugging Face's tools export it: a folder with `model.onnx`, `tokenizer.json` and
//! `config.json`.
//!
//! The network takes `input_ids` and, if it asks for them, `attention_mask` and `token_type_ids`, each `[1, tokens]` of
//! 64-bit integers, and gives `logits` `[1, labels]`. The files are somebody else's: they are read within limits, and
//! what does not fit is said when they are opened, by trying it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use ort::session::Session;
use ort::value::TensorRef;
use serde::Deserialize;
use sotto_models::Onnx;

use crate::InsightError;
use crate::json_tokenizer::JsonTokenizer;
use crate::tokenizer::MAX_CHARS;

/// The file that names the labels.
pub(crate) const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const MODEL: &str = "model.onnx";
/// Tokens of a text that the network looks at; the rest is cut off. More than an utterance has.
const MAX_TOKENS: usize = 256;
/// Room for the tokens around a text, and a few of its own.
const LEAST_TOKENS: usize = 8;
/// Places that some networks (RoBERTa's) do not use for tokens.
const UNUSED_POSITIONS: usize = 2;
/// The largest files that are read, in bytes. Tokenizers for a hundred languages have about 20 MB.
const MAX_CONFIG: u64 = 1 << 20;
const MAX_TOKENIZER: u64 = 64 << 20;
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
    folder: PathBuf,
    tokenizer: JsonTokenizer,
    session: Session,
    inputs: Vec<String>,
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
        // Tokenizers hold more than their files are checked for.
        let opened = catch_unwind(AssertUnwindSafe(|| Self::try_open(onnx, folder)));
        opened.unwrap_or_else(|_| Err(wrong(&folder.join(TOKENIZER), "cannot be used")))
    }

    fn try_open(onnx: &Onnx, folder: &Path) -> Result<Self, InsightError> {
        let file = folder.join(CONFIG);
        let config: Config =
            serde_json::from_slice(&read(&file, MAX_CONFIG)?).map_err(|error| wrong(&file, error))?;
        let labels: Vec<String> = config.id2label.values().cloned().collect();
        let is_label = |label: &String| !label.trim().is_empty() && label.chars().count() <= MAX_LABEL_CHARS;
        if labels.len() < 2 || labels.len() > MAX_LABELS || !labels.iter().all(is_label) {
            let limits = format!("needs 2 to {MAX_LABELS} labels of at most {MAX_LABEL_CHARS} characters");
            return Err(wrong(&file, limits));
        }
        if !config.id2label.keys().copied().eq(0..labels.len()) {
            return Err(wrong(&file, "the labels are not numbered from 0 on"));
        }
        let places = config.max_position_embeddings.unwrap_or(usize::MAX);
        let limit = MAX_TOKENS.min(places.saturating_sub(UNUSED_POSITIONS));
        if limit < LEAST_TOKENS {
            return Err(wrong(&file, format!("{places} positions are too few for a sentence")));
        }

        let file = folder.join(TOKENIZER);
        let tokenizer = JsonTokenizer::read(read(&file, MAX_TOKENIZER)?, limit);
        let tokenizer = tokenizer.map_err(|error| wrong(&file, error))?;

        let file = folder.join(MODEL);
        if !file.is_file() {
            return Err(wrong(&file, "is not there"));
        }
        let session = onnx.session(&file, 1)?;
        let inputs: Vec<String> = session.inputs().iter().map(|input| input.name().to_owned()).collect();
        let known = ["input_ids", "attention_mask", "token_type_ids"];
        if let Some(unknown) = inputs.iter().find(|name| !known.contains(&name.as_str())) {
            return Err(wrong(&file, format!("wants an input `{unknown}`, which is not known")));
        }
        let is_multi_label = config.problem_type.as_deref() == Some("multi_label_classification");
        let folder = folder.to_owned();
        let mut classifier = Self { folder, tokenizer, session, inputs, labels, is_multi_label };
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
        let ids = self.tokenizer.encode(text);
        let ids = ids.map_err(|error| wrong(&self.folder.join(TOKENIZER), error))?;
        let (mask, types) = (vec![1i64; ids.len()], vec![0i64; ids.len()]);
        let shape = [1, ids.len()];
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for name in &self.inputs {
            let numbers = match name.as_str() {
                "attention_mask" => &mask,
                "token_type_ids" => &types,
                _ => &ids,
            };
            inputs.push((name.as_str(), TensorRef::from_array_view((shape, numbers.as_slice()))?));
        }
        let outputs = self.session.run(inputs)?;
        let model = || self.folder.join(MODEL);
        let logits = outputs.get("logits").ok_or_else(|| wrong(&model(), "gives no `logits`"))?;
        let (_, logits) = logits.try_extract_tensor::<f32>()?;
        if logits.len() != self.labels.len() {
            let counts = format!("gives {} logits for {} labels", logits.len(), self.labels.len());
            return Err(wrong(&model(), counts));
        }
        let probabilities = if self.is_multi_label { sigmoid(logits) } else { softmax(logits) };
        let is_number = probabilities.iter().all(|p| (0.0..=1.0).contains(p));
        if is_number { Ok(probabilities) } else { Err(InsightError::NoNumber) }
    }
}

fn sigmoid(logits: &[f32]) -> Vec<f32> {
    logits.iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect()
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = logits.iter().map(|logit| (logit - most).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// A whole file, if it is not larger than it may be.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, InsightError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| wrong(path, error))?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| wrong(path, error))?;
    if bytes.len() as u64 > limit {
        return Err(wrong(path, format!("has more than {limit} bytes")));
    }
    Ok(bytes)
}

/// That something is wrong with a file.
pub(crate) fn wrong(file: &Path, problem: impl ToString) -> InsightError {
    InsightError::Classifier { file: file.to_owned(), problem: problem.to_string() }
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
        assert_eq!(sigmoid(&[0.0, 1_000.0, -1_000.0]), [0.5, 1.0, 0.0]);
    }

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        let bytes = std::fs::read(path).unwrap();
        let size = bytes.len() as u64;
        assert_eq!(read(path, size).unwrap(), bytes);
        let why = read(path, size - 1).unwrap_err().to_string();
        assert!(why.contains("Cargo.toml: has more than"), "{why}");
        let why = read(Path::new("/nowhere/config.json"), 10).unwrap_err().to_string();
        assert!(why.starts_with("/nowhere/config.json: "), "{why}");
    }
}
