//! From which similarity on a sentence says what must be said.

use anyhow::Result;
use sotto_insight::{Embedding, Purpose};

use crate::duties::{ByLanguage, Sentences, sentences};
use crate::{Bench, figure_at_most, mean};

const SMALL_TALK: &str = include_str!("../../data/small-talk.toml");
/// The share of sentences that may tick an item that they do not say.
const WRONG: f64 = 0.02;

/// How like the items a sentence is.
struct Likeness {
    /// Like the item that it says; absent where it says none.
    right: Option<f32>,
    /// Like the nearest of those that it does not say.
    wrong: f32,
}

impl Likeness {
    /// Of a sentence that says the item `says`. What is said on every telephone is like nothing, as in a checklist.
    fn of(
        sentence: &Embedding,
        says: Option<usize>,
        items: &[Vec<Embedding>],
        small_talk: &[Embedding],
    ) -> Self {
        let nearest = |all: &[Embedding]| all.iter().map(|one| one.similarity(sentence)).fold(-1.0, f32::max);
        let usual = nearest(small_talk);
        let like = |item: &Vec<Embedding>| Some(nearest(item)).filter(|like| *like > usual).unwrap_or(-1.0);
        let others = items.iter().enumerate().filter(|(n, _)| Some(*n) != says);
        let wrong = others.map(|(_, item)| like(item)).fold(-1.0, f32::max);
        Self { right: says.and_then(|says| items.get(says)).map(like), wrong }
    }
}

pub fn checklist(bench: &mut Bench) -> Result<()> {
    let Sentences { items, others } = sentences()?;
    let small_talk = embedded(bench, &toml::from_str(SMALL_TALK)?)?;
    let mut examples = Vec::with_capacity(items.len());
    for item in items.values() {
        examples.push(embedded(bench, &item.examples)?);
    }
    let mut all = Vec::new();
    for (n, item) in items.values().enumerate() {
        let said = embedded(bench, &item.said)?;
        all.extend(said.iter().map(|sentence| Likeness::of(sentence, Some(n), &examples, &small_talk)));
    }
    let others = embedded(bench, &others)?;
    all.extend(others.iter().map(|sentence| Likeness::of(sentence, None, &examples, &small_talk)));

    if let Some(least) = bench.embedder.model().least_similarity() {
        let is_ticked = |like: f32| like >= least;
        bench.figure("recognised", share(all.iter().filter_map(|one| one.right), is_ticked), None);
        bench.figure("wrongly_ticked", share(all.iter().map(|one| one.wrong), is_ticked), None);
    }
    // Where the limit would be if few may be wrong, whatever it is.
    let mut wrong: Vec<f32> = all.iter().map(|one| one.wrong).collect();
    wrong.sort_unstable_by(|a, b| b.total_cmp(a));
    let limit = wrong.get((WRONG * wrong.len() as f64) as usize).copied().unwrap_or_default();
    figure_at_most(&format!("{}.limit_at_2_percent", bench.row), limit.into(), "similarity", None);
    let is_ticked = |like: f32| like > limit;
    bench.figure("recognised_at_2_percent", share(all.iter().filter_map(|one| one.right), is_ticked), None);
    Ok(())
}

/// Those in a language that the embedding understands.
fn embedded(bench: &mut Bench, sentences: &ByLanguage) -> Result<Vec<Embedding>> {
    let model = bench.embedder.model();
    let understood = sentences.iter().filter(|(language, _)| model.understands(language));
    let texts: Vec<&str> = understood.flat_map(|(_, all)| all).map(String::as_str).collect();
    bench.embed(Purpose::Query, &texts)
}

fn share(values: impl Iterator<Item = f32>, is_it: impl Fn(f32) -> bool) -> f64 {
    mean(values.map(|value| f64::from(u8::from(is_it(value)))))
}
