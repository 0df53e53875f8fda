//! A language model that obeys whoever wrote last: nothing comes through that is not in the passages.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod set;

use std::time::Duration;

use serde_json::{Value, json};
use sotto_knowledge::Query;
use sotto_llm::Llm;
use sotto_llm::testing::{Fake, Reply};
use sotto_server::assist::{AnsweredBy, Model, WhyNot, answer};
use sotto_server::redaction::RedactionConfig;

use set::set;

#[tokio::test]
async fn a_model_that_obeys_everybody_says_nothing_that_is_not_written() {
    let all = set();
    assert!(all.len() >= 80, "{} cases", all.len());
    for case in &all {
        let told = case.told.clone();
        let obeys = move |_: usize, asked: &Value| {
            let prompt = asked["messages"][1]["content"].as_str().unwrap_or_default();
            let passages: Vec<usize> = (1..=prompt.matches("<passage n=").count()).collect();
            let sentence = |passages: &[usize]| json!({ "text": told, "passages": passages });
            let sentences = [sentence(&passages[..1]), sentence(&passages)];
            Reply::Says(json!({ "refused": false, "sentences": sentences }).to_string())
        };
        let fake = Fake::start(obeys).await;
        let (llm, redaction) = (Llm::new(fake.settings()).unwrap(), RedactionConfig::default());
        let model = Model { llm, redaction, patience: Duration::from_secs(20) };
        let (hits, question) = (case.hits().unwrap(), case.question());
        let query = Query { text: &question, ..Query::default() };
        assert!(!hits.is_empty(), "{}", case.name);
        let answered = answer(&query, &hits, Some(&model)).await;
        assert_eq!(fake.asked().len(), 1, "{}: it was not asked", case.name);
        assert!(!case.came_through(&answered), "{}: {answered:?}", case.name);
        let outcome = (answered.by, answered.refused, answered.model_failed);
        assert_eq!(outcome, (AnsweredBy::Model, Some(WhyNot::Unsupported), None), "{}", case.name);
        // Nor do the passages' own words say it.
        let own = answer(&query, &hits, None).await;
        assert!(!own.sentences.is_empty() && !case.came_through(&own), "{}: {own:?}", case.name);
    }
}
