//! The sentences that `cargo xtask eval insight` measures checklists, fairness, Persian moods and urgency with are what they
//! are said to be.

#[path = "../examples/measure/duties.rs"]
mod duties;
#[path = "../examples/measure/fairness.rs"]
mod fairness;
#[path = "../examples/measure/labelled.rs"]
mod labelled;
#[path = "../examples/measure/persian.rs"]
mod persian;
#[path = "../examples/measure/urgent.rs"]
mod urgent;

use std::collections::{BTreeMap, BTreeSet};

use fairness::Kind;
use sotto_call::Emotion;
use sotto_insight::Polarity;
use urgent::{Label, Part};

#[test]
fn groups_say_the_same_in_both_languages_of_every_kind_and_often_enough() {
    let comparisons = fairness::comparisons().unwrap();
    let names: BTreeSet<&str> = comparisons.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(
        names.into_iter().collect::<Vec<_>>(),
        ["en.dialect", "en.gender", "en.origin", "fa.dialect", "fa.gender", "fa.origin"]
    );
    for comparison in &comparisons {
        let mut sizes = BTreeSet::new();
        for (group, sentences) in &comparison.groups {
            let texts: BTreeSet<&str> = sentences.iter().map(|one| one.text.as_str()).collect();
            assert_eq!(texts.len(), sentences.len(), "{}: {group} says something twice", comparison.name);
            assert!(texts.iter().all(|text| !text.trim().is_empty() && !text.contains(['{', '}'])));
            sizes.insert(sentences.len());
            for kind in [Kind::Complaint, Kind::Thanks, Kind::Question, Kind::Neutral] {
                let count = sentences.iter().filter(|one| one.kind == kind).count();
                assert!(count >= 6, "{}: {group} says {count} of {kind:?}", comparison.name);
            }
        }
        assert_eq!(sizes.len(), 1, "{}", comparison.name);
        let groups = comparison.groups.len();
        assert_eq!(comparison.pairs().count(), groups * (groups - 1) / 2);
        assert!(comparison.pairs().all(|(a, b)| a < b));
    }
    let english = comparisons.iter().find(|one| one.name == "en.dialect").unwrap();
    let dialects: Vec<&str> = english.groups.keys().map(String::as_str).collect();
    assert_eq!(dialects, ["african_american", "indian", "scottish", "standard"]);
}

#[test]
fn every_item_is_said_in_other_words_in_both_languages_and_no_sentence_twice() {
    let duties::Sentences { items, others } = duties::sentences().unwrap();
    for (name, duties::Item { examples, said }) in &items {
        for (sentences, least) in [(examples, 3), (said, 4)] {
            assert_eq!(sentences.keys().collect::<Vec<_>>(), ["en", "fa"], "{name}");
            assert!(sentences.values().all(|all| all.len() >= least), "{name}");
        }
    }
    assert!(items.len() >= 8 && others.values().all(|all| all.len() >= 24));
    let mut texts = BTreeSet::new();
    for sentences in items.values().flat_map(|item| [&item.examples, &item.said]).chain([&others]) {
        for (language, all) in sentences {
            assert!(all.iter().all(|text| text.is_ascii() == (language == "en")), "{all:?}");
            assert!(all.iter().all(|text| texts.insert(text)), "{all:?}");
        }
    }
}

#[test]
fn persian_sentences_are_many_different_and_of_every_mood() {
    let sentences = persian::sentences().unwrap();
    assert!(sentences.len() >= 150, "{}", sentences.len());
    let texts: BTreeSet<&str> = sentences.iter().map(|one| one.text.as_str()).collect();
    assert_eq!(texts.len(), sentences.len());
    let is_persian = |text: &str| text.chars().filter(|c| ('\u{600}'..='\u{6ff}').contains(c)).count() >= 8;
    assert!(texts.iter().all(|text| is_persian(text) && text.trim() == *text), "{texts:?}");
    let mut sentiments: BTreeMap<Polarity, usize> = BTreeMap::new();
    sentences.iter().for_each(|one| *sentiments.entry(one.sentiment).or_default() += 1);
    assert!(sentiments.len() == 3 && sentiments.values().all(|count| *count >= 40), "{sentiments:?}");
    for emotion in [
        Emotion::Anger,
        Emotion::Annoyance,
        Emotion::Disappointment,
        Emotion::Confusion,
        Emotion::Worry,
        Emotion::Sadness,
        Emotion::Gratitude,
        Emotion::Joy,
        Emotion::Neutral,
    ] {
        let of_it: Vec<Polarity> =
            sentences.iter().filter(|one| one.emotion == emotion).map(|one| one.sentiment).collect();
        assert!(of_it.len() >= 12, "{emotion:?}: {}", of_it.len());
        let can_be: &[Polarity] = match emotion {
            Emotion::Gratitude | Emotion::Joy => &[Polarity::Positive],
            Emotion::Neutral => &[Polarity::Neutral],
            Emotion::Confusion => &[Polarity::Negative, Polarity::Neutral],
            _ => &[Polarity::Negative],
        };
        assert!(of_it.iter().all(|sentiment| can_be.contains(sentiment)), "{emotion:?}: {of_it:?}");
    }
}

#[test]
fn urgent_sentences_are_many_different_and_what_they_are_about_is_of_one_part() {
    let mut parts: BTreeMap<String, Part> = BTreeMap::new();
    let all = urgent::sentences().unwrap();
    for (language, sentences) in &all {
        assert!(sentences.len() >= 350, "{language}: {}", sentences.len());
        let texts: BTreeSet<&str> = sentences.iter().map(|one| one.text.as_str()).collect();
        assert_eq!(texts.len(), sentences.len());
        let is_in_it = |text: &&str| text.is_ascii() == (*language == "en") && text.trim() == *text;
        assert!(texts.iter().all(is_in_it), "{texts:?}");
        let mut counts: BTreeMap<(Part, Label), usize> = BTreeMap::new();
        for one in sentences {
            *counts.entry((one.part, one.label)).or_default() += 1;
            let part = *parts.entry(one.group.clone()).or_insert(one.part);
            assert_eq!(part, one.part, "{}", one.group);
        }
        assert!(counts.len() == 4 && counts.values().all(|count| *count >= 40), "{counts:?}");
    }
    assert_eq!(all.len(), 2);
}
