//! What must be said, recognised by its meaning in what the agent says.
//!
//! This is all that an agent's words are ever embedded for, and the embedding goes no further than here: what comes of it
//! is which items were said.

use super::playbook::Duty;
use crate::{Embedder, Embedding, EmbeddingModel, InsightError, Purpose, set};

/// A checklist that ticks itself.
#[derive(Debug)]
pub struct Checklist {
    duties: Vec<(Duty, Vec<Embedding>)>,
    /// What is said on every telephone, and is no item unless an example is nearer.
    small_talk: Vec<Embedding>,
    /// What is less like every example is something else.
    least_similarity: f32,
}

impl Checklist {
    /// Whether there can be a checklist with an embedding.
    ///
    /// # Errors
    /// [`InsightError::Embedding`] when it has not been measured how alike sentences are there that say the same.
    pub fn check(model: EmbeddingModel) -> Result<(), InsightError> {
        Self::least_similarity(model).map(|_| ())
    }

    fn least_similarity(model: EmbeddingModel) -> Result<f32, InsightError> {
        let unknown = || {
            let name = model.artefact();
            let why = "how alike sentences are there that say the same has not been measured";
            InsightError::Embedding(format!("no checklist ticks itself by {name}: {why}"))
        };
        model.least_similarity().ok_or_else(unknown)
    }

    /// Learns what must be said: some milliseconds a sentence. There is no checklist of nothing.
    ///
    /// # Errors
    /// As [`check`](Self::check); and [`InsightError::Runtime`] when the embedding fails.
    pub fn learn(duties: &[Duty], embedder: &mut Embedder) -> Result<Option<Self>, InsightError> {
        if duties.is_empty() {
            return Ok(None);
        }
        let least_similarity = Self::least_similarity(embedder.model())?;
        let mut learned = Vec::with_capacity(duties.len());
        for duty in duties {
            let sentences: Vec<&str> = duty.examples.values().flatten().map(String::as_str).collect();
            learned.push((duty.clone(), embedder.embed(Purpose::Query, &sentences)?));
        }
        let small_talk: Vec<&str> = set::small_talk().values().flatten().map(String::as_str).collect();
        let small_talk = embedder.embed(Purpose::Query, &small_talk)?;
        Ok(Some(Self { duties: learned, small_talk, least_similarity }))
    }

    /// Whether anything is left to be said.
    pub(crate) fn has_open(&self, is_open: &dyn Fn(&str) -> bool) -> bool {
        self.duties.iter().any(|(duty, _)| is_open(&duty.name))
    }

    /// What is said in one of these sentences, of what is still open.
    pub(crate) fn covered(&self, sentences: &[Embedding], is_open: &dyn Fn(&str) -> bool) -> Vec<&Duty> {
        let is_said = |examples: &[Embedding]| {
            sentences.iter().any(|sentence| {
                let like = nearest(examples, sentence);
                like >= self.least_similarity && like > nearest(&self.small_talk, sentence)
            })
        };
        let open = self.duties.iter().filter(|(duty, _)| is_open(&duty.name));
        open.filter(|(_, examples)| is_said(examples)).map(|(duty, _)| duty).collect()
    }
}

fn nearest(examples: &[Embedding], sentence: &Embedding) -> f32 {
    examples.iter().map(|example| example.similarity(sentence)).fold(f32::NEG_INFINITY, f32::max)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn an_item_is_said_by_what_is_like_an_example_and_more_so_than_small_talk() {
        let at = |degrees: f32| {
            let angle = degrees.to_radians();
            Embedding::new(vec![angle.cos(), angle.sin()])
        };
        let duty = |name: &str| Duty {
            name: name.to_owned(),
            title: BTreeMap::new(),
            examples: BTreeMap::new(),
            within_s: None,
            before_end: false,
        };
        let duties = vec![(duty("recorded"), vec![at(0.0)]), (duty("name"), vec![at(90.0), at(120.0)])];
        let checklist = Checklist { duties, small_talk: vec![at(40.0)], least_similarity: 0.88 };
        let said = |sentences: &[f32]| {
            let sentences: Vec<Embedding> = sentences.iter().map(|degrees| at(*degrees)).collect();
            let covered = checklist.covered(&sentences, &|name| name != "done");
            covered.into_iter().map(|duty| duty.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(said(&[10.0]), ["recorded"]);
        assert_eq!(said(&[25.0]), [] as [&str; 0], "small talk is nearer");
        assert_eq!(said(&[-40.0]), [] as [&str; 0], "like nothing");
        assert_eq!(said(&[-10.0, 130.0]), ["recorded", "name"]);
        assert!(checklist.has_open(&|_| true) && !checklist.has_open(&|_| false));
        assert!(checklist.covered(&[at(0.0)], &|name| name != "recorded").is_empty());
    }
}
