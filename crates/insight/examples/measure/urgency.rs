//! Whether something is urgent to somebody on the telephone: by phrases alone, by the head alone, and as calls tell it.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use sotto_call::testing::utterance;
use sotto_call::{CustomerUtterance, Party};
use sotto_insight::{BuiltIn, Embedding, Head, MoodReader, Purpose, Understanding, is_urgent};

use crate::urgent::{Label, Part, Sentence, sentences};
use crate::{Bench, figure, figure_at_most, mean};

/// Only the groups that were kept aside.
pub fn urgency(mut bench: Bench) -> Result<()> {
    let model = bench.embedder.model();
    let has_head = BuiltIn::Urgency.is_trained(model);
    let head = has_head.then(|| Head::built_in(&bench.onnx, BuiltIn::Urgency, &bench.embedder));
    let (mut head, row) = (head.transpose()?, bench.row.clone());
    let mut tested = sentences()?;
    tested.retain(|(language, _)| model.understands(language));
    for (language, sentences) in &mut tested {
        sentences.retain(|one| one.part == Part::Test);
        let groups: BTreeSet<&str> = sentences.iter().map(|one| one.group.as_str()).collect();
        figure_at_most(&format!("{row}.{language}_groups"), groups.len() as f64, "groups", None);
        let by_phrases: Vec<(bool, bool)> =
            sentences.iter().map(|one| (is_so(one), is_urgent(&one.text))).collect();
        judge(&format!("{row}.{language}_phrases"), &by_phrases);
        if let Some(head) = &mut head {
            let texts: Vec<&str> = sentences.iter().map(|one| one.text.as_str()).collect();
            let embedded = bench.embed(Purpose::Query, &texts)?;
            let mut by_head = Vec::with_capacity(sentences.len());
            for (one, embedded) in sentences.iter().zip(&embedded) {
                by_head.push((is_so(one), tells(head, embedded)?));
            }
            judge(&format!("{row}.{language}_head"), &by_head);
        }
    }
    // Where there are no moods, calls are told nothing.
    if MoodReader::check(model).is_err() {
        return Ok(());
    }
    let reader = MoodReader::built_in(&bench.onnx, &bench.embedder)?;
    let mut understanding = Understanding::new(bench.embedder, Some(reader), None);
    for (language, sentences) in &tested {
        let mut told = Vec::with_capacity(sentences.len());
        for one in sentences {
            let mut said = utterance(1, Party::Customer, &one.text);
            said.language = (*language).to_owned();
            let Some(said) = CustomerUtterance::of(&said) else { continue };
            told.push((is_so(one), understanding.of(&said, true)?.urgent));
        }
        judge(&format!("{row}.{language}"), &told);
    }
    Ok(())
}

fn is_so(sentence: &Sentence) -> bool {
    sentence.label == Label::Urgent
}

fn tells(head: &mut Head, embedded: &Embedding) -> Result<bool> {
    let probabilities = head.probabilities(embedded)?;
    let urgent = head.labels().iter().position(|label| label == "urgent").context("no label is `urgent`")?;
    Ok(probabilities.get(urgent) >= head.thresholds().get(urgent))
}

/// How right it is, from pairs of the truth and what is said: the mean of both classes' F1, and of what is said to be urgent
/// how much is, of what is urgent how much is said to be; and what was taken for what.
fn judge(name: &str, pairs: &[(bool, bool)]) {
    let count = |is: bool, said: bool| pairs.iter().filter(|pair| **pair == (is, said)).count() as f64;
    let f1 = |class: bool| {
        let (right, wrong) = (count(class, class), count(class, !class) + count(!class, class));
        2.0 * right / (2.0 * right + wrong).max(1.0)
    };
    let share = |right: f64, wrong: f64| right / (right + wrong).max(1.0);
    let right = count(true, true);
    figure(&format!("{name}.macro_f1"), mean([f1(true), f1(false)].into_iter()), None);
    figure(&format!("{name}.precision"), share(right, count(false, true)), None);
    figure(&format!("{name}.recall"), share(right, count(true, false)), None);
    for (what, is, said) in [
        ("urgent_as_urgent", true, true),
        ("urgent_as_not", true, false),
        ("not_as_urgent", false, true),
        ("not_as_not", false, false),
    ] {
        figure_at_most(&format!("{name}.{what}"), count(is, said), "sentences", None);
    }
}
