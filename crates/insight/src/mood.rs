//! What is felt, read from the embedding of what was said.
//!
//! A head is a small ONNX model: `embedding` `[texts, width]` in, `probabilities` `[texts, labels]` out, with its
//! labels and thresholds in the model's own metadata. Three are built in (see `heads/MODEL_CARD.md`).

use std::path::Path;

use ort::session::Session;
use ort::value::TensorRef;
use sotto_models::{ModelError, Onnx};

use crate::{Embedding, InsightError};

/// The heads that are built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuiltIn {
    /// Negative, neutral or positive.
    Sentiment,
    /// Anger, annoyance, disappointment, confusion, worry, sadness, gratitude, joy, neutral: one of them.
    Emotion,
    /// The 28 labels of GoEmotions, any number of which may hold.
    GoEmotions,
}

impl BuiltIn {
    fn model(self) -> &'static [u8] {
        match self {
            Self::Sentiment => include_bytes!("../heads/sentiment.onnx"),
            Self::Emotion => include_bytes!("../heads/emotion.onnx"),
            Self::GoEmotions => include_bytes!("../heads/goemotions.onnx"),
        }
    }
}

/// A classifier over embeddings.
#[derive(Debug)]
pub struct Head {
    session: Session,
    labels: Vec<String>,
    thresholds: Vec<f32>,
}

impl Head {
    /// Opens a head that is built in.
    ///
    /// # Errors
    /// [`InsightError::Model`] when it does not load.
    pub fn built_in(onnx: &Onnx, head: BuiltIn) -> Result<Self, InsightError> {
        Self::open(onnx, head.model())
    }

    /// Opens a head from the bytes of its model.
    ///
    /// # Errors
    /// [`InsightError::Model`] when it does not load, or does not say what its labels are.
    pub fn open(onnx: &Onnx, model: &[u8]) -> Result<Self, InsightError> {
        let session = onnx.session_from(model, Path::new("."), 1)?;
        let (labels, thresholds) = {
            let metadata = session.metadata()?;
            (metadata.custom("labels").unwrap_or_default(), metadata.custom("thresholds").unwrap_or_default())
        };
        let labels: Vec<String> = labels.split(',').map(str::to_owned).collect();
        let thresholds: Vec<f32> = thresholds.split(',').map_while(|number| number.parse().ok()).collect();
        if labels.len() != thresholds.len() {
            return Err(ModelError::Onnx("a head without labels, or not a threshold for each".into()).into());
        }
        Ok(Self { session, labels, thresholds })
    }

    /// What the head tells apart.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// From which probability on each label is said to hold, where several may; zero where one of them does.
    #[must_use]
    pub fn thresholds(&self) -> &[f32] {
        &self.thresholds
    }

    /// The probability of every label.
    ///
    /// # Errors
    /// [`InsightError::Runtime`] when the embedding is not of the width that the head was trained for.
    pub fn probabilities(&mut self, embedding: &Embedding) -> Result<Vec<f32>, InsightError> {
        let input = TensorRef::from_array_view(([1, embedding.len()], &**embedding))?;
        let outputs = self.session.run(ort::inputs!["embedding" => input])?;
        let (_, probabilities) = outputs["probabilities"].try_extract_tensor::<f32>()?;
        Ok(probabilities.to_vec())
    }
}
