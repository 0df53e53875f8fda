//! One utterance of a customer, understood: embedded, and read by every head.
//!
//! The mood is that of the whole utterance. What is wanted is often said in one sentence of it ("Hi, my name is … I
//! would like to …"), so intents are looked for in each sentence as well, and the surest is taken.

use std::collections::BTreeMap;
use std::path::Path;

use sotto_call::{AgentUtterance, ChecklistItem, CustomerUtterance, Emotion, Quote, Sentiment, WordsMood};
use sotto_models::Onnx;

use crate::exported::{CONFIG, wrong};
use crate::mood::Reading;
use crate::urgency::UrgencyReader;
use crate::{
    BuiltIn, Checklist, Embedder, Embedding, EmbeddingModel, InsightError, Intents, Polarity, Purpose,
    Urgency, Wanted,
};

/// Sentences of an utterance that are looked at by themselves.
const MAX_SENTENCES: usize = 4;

/// All that understands a customer's utterance. Of anybody else's nothing is understood; an agent's may tick a checklist.
#[derive(Debug)]
pub struct Understanding {
    embedder: Embedder,
    mood: Option<MoodReader>,
    intents: Option<Intents>,
    checklist: Option<Checklist>,
    /// What was understood last: its words and its sentences, embedded.
    last: Vec<(String, Embedding)>,
}

/// What was understood of an utterance.
#[derive(Clone, Debug, PartialEq)]
pub struct Understood {
    /// Its mood; absent where none is read.
    pub mood: Option<WordsMood>,
    /// What is wanted; absent when it is none of the intents.
    pub wanted: Option<Wanted>,
    /// It is urgent to them. Told where a mood is read.
    pub urgent: bool,
}

impl Understanding {
    /// Understands by `embedder`. Without `mood` no mood is read of anybody; without `intents` none is recognised.
    #[must_use]
    pub fn new(embedder: Embedder, mood: Option<MoodReader>, intents: Option<Intents>) -> Self {
        Self { embedder, mood, intents, checklist: None, last: Vec::new() }
    }

    /// Which embedding it understands by.
    #[must_use]
    pub fn model(&self) -> EmbeddingModel {
        self.embedder.model()
    }

    /// With a checklist that agents' words tick. Without one they are not looked at.
    #[must_use]
    pub fn with_checklist(self, checklist: Option<Checklist>) -> Self {
        Self { checklist, ..self }
    }

    /// The items of the checklist that an agent has said, of those that are open: none in a language that the embedding
    /// does not understand.
    ///
    /// # Errors
    /// [`InsightError::Runtime`] when the embedding fails.
    pub fn covers(
        &mut self,
        said: &AgentUtterance,
        is_open: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<ChecklistItem>, InsightError> {
        let said = said.utterance();
        let is_understood = self.embedder.model().understands(&said.language);
        let has_open = |checklist: &&Checklist| is_understood && checklist.has_open(is_open);
        let Some(checklist) = self.checklist.as_ref().filter(has_open) else { return Ok(Vec::new()) };
        let mut embedded = self.embedder.embed(Purpose::Query, &[said.text.as_str()])?;
        embedded.extend(self.embedder.embed(Purpose::Query, &sentences(&said.text))?);
        let covered = checklist.covered(&embedded, is_open).into_iter().map(|duty| ChecklistItem {
            name: duty.name.clone(),
            title: duty.title.clone(),
            done: true,
            evidence: Some(Quote::of(said)),
        });
        Ok(covered.collect())
    }

    /// Understands what a customer said. `may_feel` is whether a mood may be read of them; without it none is. In a language
    /// that the embedding does not understand there is neither mood nor intent.
    ///
    /// # Errors
    /// [`InsightError::Runtime`] when a model fails, [`InsightError::NoNumber`] when it gives nonsense.
    pub fn of(&mut self, said: &CustomerUtterance, may_feel: bool) -> Result<Understood, InsightError> {
        let said = said.utterance();
        if !self.embedder.model().understands(&said.language) {
            return Ok(Understood { mood: None, wanted: None, urgent: false });
        }
        let text = said.text.as_str();
        let sentences = if self.intents.is_some() { sentences(text) } else { Vec::new() };
        // Not in one go: every sentence would be computed as long as the whole.
        let mut embedded = self.embedder.embed(Purpose::Query, &[text])?;
        embedded.extend(self.embedder.embed(Purpose::Query, &sentences)?);
        let whole = embedded.first().ok_or(InsightError::NoNumber)?;
        let reader = self.mood.as_mut().filter(|_| may_feel);
        let (mood, urgent) = match reader {
            Some(reader) => (Some(reader.read(text, whole)?), reader.urgency.is_in(text, whole)?),
            None => (None, false),
        };
        let wanted = self.intents.as_ref().and_then(|intents| {
            let all = embedded.iter().filter_map(|embedding| intents.recognise(embedding));
            all.max_by(|a, b| a.confidence.total_cmp(&b.confidence))
        });
        let texts = std::iter::once(text).chain(sentences).map(str::to_owned);
        self.last = texts.zip(embedded).collect();
        Ok(Understood { mood, wanted, urgent })
    }

    /// The embeddings of questions. Those that are what was understood last, or a sentence of it, are not computed anew.
    ///
    /// # Errors
    /// [`InsightError::Runtime`] when the embedding fails.
    pub fn embed(&mut self, questions: &[&str]) -> Result<Vec<Embedding>, InsightError> {
        let embedded = questions.iter().map(|question| {
            let known = self.last.iter().find(|(text, _)| text == question);
            match known {
                Some((_, embedding)) => Ok(embedding.clone()),
                None => {
                    let embedded = self.embedder.embed(Purpose::Query, &[*question])?;
                    embedded.into_iter().next().ok_or(InsightError::NoNumber)
                }
            }
        });
        embedded.collect()
    }
}

/// The first sentences of a text that has several.
fn sentences(text: &str) -> Vec<&str> {
    let ends = |c: char| matches!(c, '.' | '!' | '?' | '؟' | '…' | '。');
    // A full stop in a number ends nothing.
    let mut after = false;
    let parts = text.split(|c: char| std::mem::replace(&mut after, ends(c)) && c.is_whitespace());
    let all: Vec<&str> = parts.filter(|part| part.chars().any(char::is_alphanumeric)).collect();
    if all.len() > 1 { all.into_iter().take(MAX_SENTENCES).collect() } else { Vec::new() }
}

/// What reads a mood from words, and whether it is urgent: heads over the embedding, or text classifiers in their
/// places.
#[derive(Debug)]
pub struct MoodReader {
    sentiment: Reading<Polarity>,
    emotion: Reading<Emotion>,
    urgency: UrgencyReader,
}

impl MoodReader {
    /// Without which there is no mood. What is urgent is told by phrases too.
    const HEADS: [BuiltIn; 2] = [BuiltIn::Sentiment, BuiltIn::Emotion];

    /// Whether moods can be read with an embedding.
    ///
    /// # Errors
    /// [`InsightError::Embedding`] when no heads have been trained over it.
    pub fn check(model: EmbeddingModel) -> Result<(), InsightError> {
        Self::HEADS.into_iter().try_for_each(|head| head.model(model).map(|_| ()))
    }

    /// The heads that are built in for the embeddings of `over`.
    ///
    /// # Errors
    /// As [`check`](Self::check), also when they take another width; [`InsightError::Model`] when they do not load, or have
    /// other labels than ours.
    pub fn built_in(onnx: &Onnx, over: &Embedder) -> Result<Self, InsightError> {
        let [sentiment, emotion] = Self::HEADS;
        Ok(Self {
            sentiment: Reading::built_in(onnx, sentiment, over)?,
            emotion: Reading::built_in(onnx, emotion, over)?,
            urgency: UrgencyReader::built_in(onnx, over)?,
        })
    }

    /// With the text classifier in a folder (`model.onnx`, `tokenizer.json`, `config.json`, as Hugging Face's tools export
    /// it) in the place of the head for sentiment. A label stands for what `meant` says, or else for what it is called;
    /// small and capital letters are the same. A classifier without a label for neutral finds nothing neutral.
    ///
    /// # Errors
    /// [`InsightError::Classifier`] when a file is missing or wrong, or it is not known what a label stands for;
    /// [`InsightError::Model`] and [`InsightError::Runtime`] when the network does not load or run.
    pub fn with_sentiment(
        self,
        onnx: &Onnx,
        folder: &Path,
        meant: &BTreeMap<String, Polarity>,
    ) -> Result<Self, InsightError> {
        let sentiment = Reading::of_text(onnx, folder, meant)?;
        if ![Polarity::Negative, Polarity::Positive].into_iter().all(|class| sentiment.knows(class)) {
            return Err(wrong(&folder.join(CONFIG), "no label stands for negative, or none for positive"));
        }
        Ok(Self { sentiment, ..self })
    }

    /// The same in the place of the head for emotion.
    ///
    /// # Errors
    /// As [`with_sentiment`](Self::with_sentiment).
    pub fn with_emotion(
        self,
        onnx: &Onnx,
        folder: &Path,
        meant: &BTreeMap<String, Emotion>,
    ) -> Result<Self, InsightError> {
        Ok(Self { emotion: Reading::of_text(onnx, folder, meant)?, ..self })
    }

    /// The same in the place of the head for urgency, or where there is none. Phrases count besides.
    ///
    /// # Errors
    /// As [`with_sentiment`](Self::with_sentiment).
    pub fn with_urgency(
        self,
        onnx: &Onnx,
        folder: &Path,
        meant: &BTreeMap<String, Urgency>,
    ) -> Result<Self, InsightError> {
        Ok(Self { urgency: UrgencyReader::of_text(onnx, folder, meant)?, ..self })
    }

    fn read(&mut self, text: &str, embedding: &Embedding) -> Result<WordsMood, InsightError> {
        let sentiments = self.sentiment.read(text, embedding)?;
        let share =
            |of: Polarity| sentiments.iter().find(|(class, _)| *class == of).map_or(0.0, |(_, share)| *share);
        let [negative, neutral, positive] =
            [Polarity::Negative, Polarity::Neutral, Polarity::Positive].map(share);
        let sentiment = Sentiment { negative, neutral, positive };
        let emotions = self.emotion.read(text, embedding)?;
        let most = emotions.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
        let (emotion, emotion_p) = most.ok_or(InsightError::NoNumber)?;
        Ok(WordsMood { sentiment, valence: sentiment.valence(), emotion, emotion_p })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_told_apart() {
        let text = "Hi, my name is Ada Miller. I owe 2.50 dollars! Can I pay?";
        assert_eq!(sentences(text), ["Hi, my name is Ada Miller.", "I owe 2.50 dollars!", "Can I pay?"]);
        assert_eq!(sentences("سلام، خوبید؟ پولم رو می‌خوام."), ["سلام، خوبید؟", "پولم رو می‌خوام."]);
        assert_eq!(sentences("I would like to pay."), [] as [&str; 0]);
        assert_eq!(sentences(" . . "), [] as [&str; 0]);
        assert_eq!(sentences(&"Well. ".repeat(1_000)).len(), MAX_SENTENCES);
    }
}
