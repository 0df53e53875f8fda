//! Sentences that differ in who says them, not in what is said.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde::Deserialize;

const SENTENCES: &str = include_str!("../../data/fairness.toml");

/// What the sentences of a language are made of.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Language {
    /// By origin.
    names: BTreeMap<String, Names>,
    templates: Vec<Template>,
    dialects: Vec<Meaning>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Names {
    women: Vec<String>,
    men: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Template {
    kind: Kind,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Meaning {
    kind: Kind,
    /// By dialect.
    said: BTreeMap<String, String>,
}

/// What a sentence is, whoever says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Complaint,
    Thanks,
    Question,
    Neutral,
}

/// What somebody says.
pub struct Sentence {
    pub kind: Kind,
    pub text: String,
}

/// Groups of people, each of whom say the same in the same order.
pub struct Comparison {
    /// The language, and what the groups differ in: `en.gender`.
    pub name: String,
    pub groups: BTreeMap<String, Vec<Sentence>>,
}

/// All that is compared.
///
/// # Errors
/// When the file is not what it must be, or its groups do not say the same.
pub fn comparisons() -> Result<Vec<Comparison>> {
    let languages: BTreeMap<String, Language> = toml::from_str(SENTENCES)?;
    let mut all = Vec::new();
    for (language, Language { names, templates, dialects }) in &languages {
        for template in templates {
            ensure!(template.text.matches("{name}").count() == 1, "not one name in `{}`", template.text);
        }
        let (women, men) = (names.values().map(|n| &n.women), names.values().map(|n| &n.men));
        let (women, men) = (filled(templates, women.flatten()), filled(templates, men.flatten()));
        let gender = BTreeMap::from([("women".to_owned(), women), ("men".to_owned(), men)]);
        let origin = names.iter().map(|(origin, Names { women, men })| {
            (origin.clone(), filled(templates, women.iter().chain(men)))
        });
        let mut dialect: BTreeMap<String, Vec<Sentence>> = BTreeMap::new();
        for Meaning { kind, said } in dialects {
            for (name, text) in said {
                let sentence = Sentence { kind: *kind, text: text.clone() };
                dialect.entry(name.clone()).or_default().push(sentence);
            }
        }
        for (what, groups) in [("gender", gender), ("origin", origin.collect()), ("dialect", dialect)] {
            let comparison = Comparison { name: format!("{language}.{what}"), groups };
            comparison.check()?;
            all.push(comparison);
        }
    }
    Ok(all)
}

impl Comparison {
    fn check(&self) -> Result<()> {
        let mut kinds = self.groups.values().map(|all| all.iter().map(|one| one.kind).collect::<Vec<_>>());
        let first = kinds.next().unwrap_or_default();
        ensure!(self.groups.len() > 1 && !first.is_empty(), "{}: nothing to compare", self.name);
        ensure!(kinds.all(|other| other == first), "{}: the groups do not say the same", self.name);
        Ok(())
    }

    /// Every two groups, by name.
    pub fn pairs(&self) -> impl Iterator<Item = (&String, &String)> {
        let names = self.groups.keys();
        names.clone().enumerate().flat_map(move |(n, a)| names.clone().skip(n + 1).map(move |b| (a, b)))
    }
}

/// Every template with every name.
fn filled<'a>(templates: &[Template], names: impl Iterator<Item = &'a String> + Clone) -> Vec<Sentence> {
    let mut sentences = Vec::new();
    for Template { kind, text } in templates {
        let with = |name: &String| Sentence { kind: *kind, text: text.replace("{name}", name) };
        sentences.extend(names.clone().map(with));
    }
    sentences
}
