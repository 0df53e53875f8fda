//! What is felt, read from the embedding of what was said.
//!
//! A head is a small ONNX model: `embedding` `[texts, width]` in, `probabilities` `[texts, labels]` out, with its
//! labels and thresholds in the model's own metadata. Which are built in, `heads/MODEL_CARD.md` says. A [`Reading`] is what
//! a head says of the classes that we know, or what a text classifier in its place does.

use std::collections::BTreeMap;
use std::path::Path;

use ort::session::Session;
use ort::value::TensorRef;
use schemars::JsonSchema;
use serde::de::value::{Error as ValueError, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer as _};
use serde::{Deserialize, Serialize};
use sotto_models::{ModelError, Onnx};

use crate::classifier::TextClassifier;
use crate::exported::{CONFIG, wrong};
use crate::{Embedder, Embedding, EmbeddingModel, InsightError};

/// The heads that are built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuiltIn {
    /// Negative, neutral or positive.
    Sentiment,
    /// Anger, annoyance, disappointment, confusion, worry, sadness, gratitude, joy, neutral: one of them.
    Emotion,
    /// The 28 labels of GoEmotions, any number of which may hold.
    GoEmotions,
    /// Urgent, or not.
    Urgency,
}

/// What `training/train.py` has made: the file of each head below `heads`, without its ending, and the model in it.
static TRAINED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/heads.rs"));

impl BuiltIn {
    /// Whether the head has been trained over an embedding.
    #[must_use]
    pub fn is_trained(self, over: EmbeddingModel) -> bool {
        self.model(over).is_ok()
    }

    /// The model of the head over an embedding.
    ///
    /// # Errors
    /// [`InsightError::Embedding`] when none has been trained.
    pub(crate) fn model(self, over: EmbeddingModel) -> Result<&'static [u8], InsightError> {
        let folder = match over {
            EmbeddingModel::Multilingual => "",
            EmbeddingModel::English => "minilm/",
        };
        let name = match self {
            Self::Sentiment => "sentiment",
            Self::Emotion => "emotion",
            Self::GoEmotions => "goemotions",
            Self::Urgency => "urgency",
        };
        let is_it = |file: &str| file.strip_prefix(folder) == Some(name);
        let found = TRAINED.iter().find(|(file, _)| is_it(file)).map(|(_, model)| *model);
        let lack = || format!("no head for {self:?} has been trained over {}", over.artefact());
        found.ok_or_else(|| InsightError::Embedding(lack()))
    }
}

/// A classifier over embeddings.
#[derive(Debug)]
pub struct Head {
    session: Session,
    labels: Vec<String>,
    thresholds: Vec<f32>,
    /// The numbers that it takes a text, where the model says so.
    width: Option<usize>,
}

impl Head {
    /// Opens the head that is built in for the embeddings of `over`.
    ///
    /// # Errors
    /// [`InsightError::Model`] when it does not load, [`InsightError::Embedding`] when there is none, or it takes embeddings of
    /// another width.
    pub fn built_in(onnx: &Onnx, head: BuiltIn, over: &Embedder) -> Result<Self, InsightError> {
        let head = Self::open(onnx, head.model(over.model())?)?;
        match mismatch(head.width, over.width()) {
            Some(problem) => Err(InsightError::Embedding(problem)),
            None => Ok(head),
        }
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
        let input = session.inputs().first().and_then(|input| input.dtype().tensor_shape());
        let width = input.and_then(|shape| usize::try_from(*shape.last()?).ok());
        Ok(Self { session, labels, thresholds, width })
    }

    /// What the head tells apart.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// From which probability on each label is said to hold; zero where it holds when it is the likeliest.
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

/// What is wrong with a head that takes so many numbers a text, as far as it says, over an embedding that gives `given`.
fn mismatch(takes: Option<usize>, given: usize) -> Option<String> {
    let takes = takes.filter(|takes| *takes != given)?;
    Some(format!("it gives {given} numbers a text, and its head takes {takes}"))
}

/// What a sentiment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Polarity {
    /// Unpleasant.
    #[serde(alias = "neg")]
    Negative,
    /// Neither.
    #[serde(alias = "neu")]
    Neutral,
    /// Pleasant.
    #[serde(alias = "pos")]
    Positive,
}

/// What tells classes of ours apart.
#[derive(Debug)]
pub(crate) struct Reading<T> {
    by: By,
    /// What each label stands for.
    classes: Vec<T>,
}

#[derive(Debug)]
enum By {
    Head(Head),
    Text(Box<TextClassifier>),
}

impl<T: Copy + PartialEq + DeserializeOwned> Reading<T> {
    /// By a head that is built in.
    ///
    /// # Errors
    /// As [`Head::built_in`]; and [`InsightError::Model`] when it has other labels than ours.
    pub fn built_in(onnx: &Onnx, head: BuiltIn, over: &Embedder) -> Result<Self, InsightError> {
        let head = Head::built_in(onnx, head, over)?;
        let unknown = || ModelError::Onnx("a head with labels that are not known".into());
        let classes = head.labels().iter().map(|label| called(label).ok_or_else(unknown));
        let classes = classes.collect::<Result<_, _>>()?;
        Ok(Self { by: By::Head(head), classes })
    }

    /// By the text classifier in a folder. A label stands for what `meant` says, or else for what it is called.
    ///
    /// # Errors
    /// As [`TextClassifier::open`]; and [`InsightError::Classifier`] when it is not known what a label stands for.
    pub fn of_text(onnx: &Onnx, folder: &Path, meant: &BTreeMap<String, T>) -> Result<Self, InsightError> {
        let classifier = TextClassifier::open(onnx, folder)?;
        let classes = classes(classifier.labels(), meant);
        let classes = classes.map_err(|problem| wrong(&folder.join(CONFIG), problem))?;
        Ok(Self { by: By::Text(Box::new(classifier)), classes })
    }

    /// From which probability on a class is said to hold, where that takes more than being the likeliest.
    pub fn threshold(&self, class: T) -> Option<f32> {
        let By::Head(head) = &self.by else { return None };
        let place = self.classes.iter().position(|known| *known == class)?;
        head.thresholds().get(place).copied().filter(|least| *least > 0.0)
    }

    /// Whether it can find this class.
    pub fn knows(&self, class: T) -> bool {
        self.classes.contains(&class)
    }

    /// How probable the classes are that it knows; the sum is 1.
    ///
    /// # Errors
    /// When the model fails, or answers with something else than probabilities.
    pub fn read(&mut self, text: &str, embedding: &Embedding) -> Result<Vec<(T, f32)>, InsightError> {
        let probabilities = match &mut self.by {
            By::Head(head) => head.probabilities(embedding)?,
            By::Text(classifier) => classifier.probabilities(text)?,
        };
        let mut shares: Vec<(T, f32)> = Vec::new();
        for (class, p) in self.classes.iter().zip(probabilities) {
            if !(0.0..=1.0).contains(&p) {
                return Err(InsightError::NoNumber);
            }
            match shares.iter_mut().find(|(known, _)| known == class) {
                Some((_, share)) => *share += p,
                None => shares.push((*class, p)),
            }
        }
        let sum: f32 = shares.iter().map(|(_, share)| share).sum();
        if !sum.is_normal() {
            return Err(InsightError::NoNumber);
        }
        shares.iter_mut().for_each(|(_, share)| *share /= sum);
        Ok(shares)
    }
}

/// The class of a name.
fn called<T: DeserializeOwned>(name: &str) -> Option<T> {
    let name: StrDeserializer<'_, ValueError> = name.into_deserializer();
    T::deserialize(name).ok()
}

/// What the labels of somebody else's model stand for, or what is not known about them. Small and capital letters are the
/// same.
fn classes<T: Copy + DeserializeOwned>(
    labels: &[String],
    meant: &BTreeMap<String, T>,
) -> Result<Vec<T>, String> {
    let is_same = |a: &str, b: &str| a.to_lowercase() == b.to_lowercase();
    let class = |label: &String| {
        let meant = meant.iter().find(|(name, _)| is_same(name, label)).map(|(_, class)| *class);
        let class = meant.or_else(|| called(&label.to_lowercase()));
        class.ok_or_else(|| format!("it is not known what the label `{label}` stands for"))
    };
    match meant.keys().find(|name| !labels.iter().any(|label| is_same(label, name))) {
        Some(name) => Err(format!("there is no label `{name}`; there are {}", labels.join(", "))),
        None => labels.iter().map(class).collect(),
    }
}

#[cfg(test)]
mod tests {
    use sotto_call::Emotion;

    use super::*;

    #[test]
    fn a_head_of_another_width_than_the_embedding_is_named() {
        assert_eq!(mismatch(Some(384), 384), None);
        assert_eq!(mismatch(None, 384), None);
        let problem = mismatch(Some(768), 384).unwrap();
        assert!(problem.contains("384 numbers") && problem.contains("takes 768"), "{problem}");
    }

    #[test]
    fn classes_go_by_their_names() {
        assert_eq!(called("anger"), Some(Emotion::Anger));
        assert_eq!(called("neutral"), Some(Emotion::Neutral));
        assert_eq!(called::<Emotion>("Anger"), None);
        assert_eq!(called("neg"), Some(Polarity::Negative));
    }

    #[test]
    fn labels_stand_for_what_they_are_called_or_said_to_be() {
        let labels = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let none: BTreeMap<String, Polarity> = BTreeMap::new();
        let all = [Polarity::Negative, Polarity::Neutral, Polarity::Positive];
        assert_eq!(classes(&labels(&["Negative", "neutral", "POSITIVE"]), &none).unwrap(), all);
        assert_eq!(classes(&labels(&["NEG", "NEU", "POS"]), &none).unwrap(), all);
        let stars = labels(&["1 star", "LABEL_1", "positive"]);
        let why = classes(&stars, &none).unwrap_err();
        assert!(why.contains("label `1 star`"), "{why}");
        let meant = [("1 Star", all[0]), ("label_1", all[1]), ("positive", all[0])];
        let mut meant: BTreeMap<String, Polarity> =
            meant.into_iter().map(|(name, class)| (name.to_owned(), class)).collect();
        assert_eq!(classes(&stars, &meant).unwrap(), [all[0], all[1], all[0]]);
        meant.insert("2 stars".to_owned(), all[2]);
        let why = classes(&stars, &meant).unwrap_err();
        assert!(why.contains("no label `2 stars`; there are 1 star, LABEL_1"), "{why}");
    }
}
