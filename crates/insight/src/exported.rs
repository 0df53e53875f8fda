//! A network over text as Hugging Face's tools export it: a folder with `model.onnx`, `tokenizer.json` and
//! `config.json`.
//!
//! The network takes `input_ids` and, if it asks for them, `attention_mask` and `token_type_ids`, each `[1, tokens]` of
//! 64-bit integers, and gives `logits` `[1, n]`. The files are somebody else's: they are read within limits.

use std::fs::File;
use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use ort::session::Session;
use ort::value::TensorRef;
use serde::de::DeserializeOwned;
use sotto_models::Onnx;

use crate::InsightError;
use crate::json_tokenizer::{JsonTokenizer, Tokens};

/// The file that says what the network is.
pub(crate) const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const MODEL: &str = "model.onnx";
/// Room for the tokens around a text, and a few of its own.
const LEAST_TOKENS: usize = 8;
/// Places that some networks (RoBERTa's) do not use for tokens.
const UNUSED_POSITIONS: usize = 2;
/// The largest files that are read, in bytes. Tokenizers for a hundred languages have about 20 MB.
const MAX_CONFIG: u64 = 1 << 20;
const MAX_TOKENIZER: u64 = 64 << 20;

/// A network, and what makes tokens for it.
#[derive(Debug)]
pub(crate) struct Exported {
    folder: PathBuf,
    tokenizer: JsonTokenizer,
    session: Session,
    inputs: Vec<String>,
}

impl Exported {
    /// What a folder's `config.json` says.
    ///
    /// # Errors
    /// [`InsightError::Classifier`] when it is missing, too large or no such thing.
    pub fn config<C: DeserializeOwned>(folder: &Path) -> Result<C, InsightError> {
        let file = folder.join(CONFIG);
        serde_json::from_slice(&read(&file, MAX_CONFIG)?).map_err(|error| wrong(&file, error))
    }

    /// Opens the one in a folder, with one thread of its own. It reads at most so many tokens, and fewer where it has `places`
    /// for fewer.
    ///
    /// # Errors
    /// [`InsightError::Classifier`] with the file that is missing, too large or no such thing, or has too few places;
    /// [`InsightError::Model`] when the network does not load.
    pub fn open(
        onnx: &Onnx,
        folder: &Path,
        most: usize,
        places: Option<usize>,
    ) -> Result<Self, InsightError> {
        let places = places.unwrap_or(usize::MAX);
        let limit = most.min(places.saturating_sub(UNUSED_POSITIONS));
        if limit < LEAST_TOKENS {
            let problem = format!("{places} positions are too few for a sentence");
            return Err(wrong(&folder.join(CONFIG), problem));
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
        Ok(Self { folder: folder.to_owned(), tokenizer, session, inputs })
    }

    /// The logits of a text, or of two that are read together.
    ///
    /// # Errors
    /// [`InsightError::Runtime`] when the network fails, [`InsightError::Classifier`] when it gives no logits.
    pub fn logits(&mut self, text: &str, with: Option<&str>) -> Result<Vec<f32>, InsightError> {
        let tokens = self.tokenizer.tokens(text, with);
        let Tokens { ids, types } = tokens.map_err(|error| wrong(&self.folder.join(TOKENIZER), error))?;
        let mask = vec![1i64; ids.len()];
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
        Ok(logits.to_vec())
    }

    /// That something is wrong with the network.
    pub fn wrong(&self, problem: impl ToString) -> InsightError {
        wrong(&self.folder.join(MODEL), problem)
    }
}

/// What comes of opening the files in a folder.
///
/// # Errors
/// As `open`; and [`InsightError::Classifier`] where that panics: tokenizers hold more than their files are checked for.
pub(crate) fn opened<T>(
    folder: &Path,
    open: impl FnOnce() -> Result<T, InsightError>,
) -> Result<T, InsightError> {
    let opened = catch_unwind(AssertUnwindSafe(open));
    opened.unwrap_or_else(|_| Err(wrong(&folder.join(TOKENIZER), "cannot be used")))
}

/// The probability that a logit stands for.
pub(crate) fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
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
