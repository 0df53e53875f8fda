//! GoEmotions' test set: its 28 labels, and what they are on a telephone.

use std::collections::BTreeMap;
use std::fmt::Debug;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sotto_call::Emotion;
use sotto_insight::{BuiltIn, Embedding, Head, Polarity, Purpose};

use crate::mood::judge;
use crate::{Bench, mean};

/// Which labels a class is made of.
type Classes = BTreeMap<String, Vec<String>>;

/// The file says what is in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mapping {
    emotion: Classes,
    sentiment: Classes,
}

pub fn goemotions(bench: &mut Bench) -> Result<()> {
    let text = bench.read("emotion-text/test.tsv")?;
    let rows: Vec<(&str, &str)> = text
        .lines()
        .map(|line| {
            let mut columns = line.split('\t');
            columns.next().zip(columns.next()).context("a row without labels")
        })
        .collect::<Result<_>>()?;
    let embeddings = bench.embed(Purpose::Query, &rows.iter().map(|(text, _)| *text).collect::<Vec<_>>())?;
    let mut head = Head::built_in(&bench.onnx, BuiltIn::GoEmotions, &bench.embedder)?;
    // Right, said and true of every label.
    let mut counts = vec![[0.0f64; 3]; head.labels().len()];
    let mut marked: Vec<Vec<String>> = Vec::with_capacity(rows.len());
    for ((_, labels), embedding) in rows.iter().zip(&embeddings) {
        let probabilities = head.probabilities(embedding)?;
        let mut marks = Vec::new();
        for (label, (p, threshold)) in probabilities.iter().zip(head.thresholds()).enumerate() {
            let truth = labels.split(',').any(|number| number.parse() == Ok(label));
            let said = p >= threshold;
            let [right, all_said, all_true] = &mut counts[label];
            *right += f64::from(u8::from(said && truth));
            *all_said += f64::from(u8::from(said));
            *all_true += f64::from(u8::from(truth));
            marks.extend(truth.then(|| head.labels()[label].clone()));
        }
        marked.push(marks);
    }
    let f1 = |[right, said, truth]: [f64; 3]| 2.0 * right / (said + truth).max(1.0);
    bench.figure("macro_f1", mean(counts.iter().map(|count| f1(*count))), Some(0.41));
    let sum =
        counts.iter().fold([0.0; 3], |sum, count| [sum[0] + count[0], sum[1] + count[1], sum[2] + count[2]]);
    bench.figure("micro_f1", f1(sum), None);

    let mapping: Mapping = toml::from_str(include_str!("../../data/goemotions.toml"))?;
    let said = says::<Emotion>(bench, BuiltIn::Emotion, &embeddings)?;
    compare("emotion", bench, &mapping.emotion, &marked, &said)?;
    let said = says::<Polarity>(bench, BuiltIn::Sentiment, &embeddings)?;
    compare("sentiment", bench, &mapping.sentiment, &marked, &said)
}

/// The likeliest class of each text.
fn says<T: DeserializeOwned>(bench: &Bench, head: BuiltIn, embeddings: &[Embedding]) -> Result<Vec<T>> {
    let mut head = Head::built_in(&bench.onnx, head, &bench.embedder)?;
    let mut said = Vec::with_capacity(embeddings.len());
    for embedding in embeddings {
        let probabilities = head.probabilities(embedding)?;
        let most = head.labels().iter().zip(probabilities).max_by(|a, b| a.1.total_cmp(&b.1));
        said.push(class(most.context("a head without labels")?.0)?);
    }
    Ok(said)
}

/// Holds what is said against what the labels of each text say, where they say one thing.
fn compare<T: Copy + PartialEq + Debug + DeserializeOwned>(
    what: &str,
    bench: &Bench,
    classes: &Classes,
    marked: &[Vec<String>],
    said: &[T],
) -> Result<()> {
    let mut pairs = Vec::with_capacity(said.len());
    for (marks, said) in marked.iter().zip(said) {
        let is_of = |labels: &[String]| labels.iter().any(|label| marks.contains(label));
        let mut found = classes.iter().filter(|(_, labels)| is_of(labels)).map(|(name, _)| name.as_str());
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => {}
            (one, _) => pairs.push((class::<T>(one.unwrap_or("neutral"))?, *said)),
        }
    }
    judge(&format!("{}.{what}", bench.row), &pairs);
    Ok(())
}

/// The class of a name.
fn class<T: DeserializeOwned>(name: &str) -> Result<T> {
    Ok(serde_json::from_value(name.into())?)
}
