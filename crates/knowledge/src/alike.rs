//! Questions that ask the same, put together one after the other (leader clustering; Hartigan, “Clustering Algorithms”,
//! 1975): a question goes to the leader that it is most like, if it is like enough, and otherwise leads those to come.
//!
//! So what was put together stays so whatever is asked later, each question is looked at once, and why two are together can be
//! said in a number.

use std::collections::HashSet;

use crate::fuse::dot;
use crate::words::Analyser;

/// Two questions ask the same from this cosine of their meanings on. Judged: unrelated sentences have about 0.75 in this
/// embedding, paraphrases about 0.9.
pub const ALIKE: f32 = 0.9;
/// Where either has no meaning: from this share of their words on, by stems, that both have.
pub const ALIKE_WORDS: f32 = 0.6;

/// A question, as it is compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Asked<'a> {
    /// Its words.
    pub text: &'a str,
    /// What it means, a vector of length one, and what made that; none where nothing has.
    pub meaning: Option<(&'a str, &'a [f32])>,
}

/// See the module.
pub struct Leaders {
    analyser: Analyser,
    leaders: Vec<Leader>,
}

struct Leader {
    words: HashSet<String>,
    meaning: Option<(String, Vec<f32>)>,
}

impl Default for Leaders {
    fn default() -> Self {
        Self { analyser: Analyser::new(), leaders: Vec::new() }
    }
}

impl Leaders {
    /// Has a question lead, whatever it is like. Gives its number: how many there were before it.
    pub fn lead(&mut self, asked: Asked<'_>) -> usize {
        let meaning = asked.meaning.map(|(model, vector)| (model.to_owned(), vector.to_vec()));
        self.leaders.push(Leader { words: self.words(asked.text), meaning });
        self.leaders.len() - 1
    }

    /// The number of the leader that a question is most like, if it is like enough.
    #[must_use]
    pub fn of(&self, asked: Asked<'_>) -> Option<usize> {
        let words = self.words(asked.text);
        let likeness = self.leaders.iter().map(|leader| leader.likeness(&words, asked.meaning));
        let best = likeness.enumerate().max_by(|(n, one), (m, other)| one.total_cmp(other).then(m.cmp(n)));
        best.filter(|(_, likeness)| *likeness >= 1.0).map(|(number, _)| number)
    }

    fn words(&self, text: &str) -> HashSet<String> {
        self.analyser.meaningful(text).into_iter().map(|word| word.term).collect()
    }
}

impl Leader {
    /// From 1 on it is like enough.
    fn likeness(&self, words: &HashSet<String>, meaning: Option<(&str, &[f32])>) -> f32 {
        if let (Some((made_by, own)), Some((model, vector))) = (&self.meaning, meaning)
            && made_by == model
            && own.len() == vector.len()
        {
            // What is no number is like nothing, and is not to be taken for the largest.
            return (dot(own, vector) / ALIKE).max(0.0);
        }
        let both = self.words.intersection(words).count();
        let all = self.words.len() + words.len() - both;
        if all == 0 { 0.0 } else { both as f32 / all as f32 / ALIKE_WORDS }
    }
}

impl std::fmt::Debug for Leaders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leaders").field("leaders", &self.leaders.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(text: &str) -> Asked<'_> {
        Asked { text, meaning: None }
    }

    /// A question with its meaning.
    fn means<'a>(text: &'a str, vector: &'a [f32]) -> Asked<'a> {
        Asked { text, meaning: Some(("e5", vector)) }
    }

    fn leading(asked: &[Asked<'_>]) -> Leaders {
        let mut leaders = Leaders::default();
        for (number, asked) in asked.iter().enumerate() {
            assert_eq!(leaders.lead(*asked), number);
        }
        leaders
    }

    #[test]
    fn what_means_the_same_is_together_in_whatever_words() {
        let leaders = leading(&[means("refund", &[1.0, 0.0]), means("money back", &[0.0, 1.0])]);
        assert_eq!(leaders.of(means("zebra", &[0.95, 0.312_25])), Some(0));
        assert_eq!(leaders.of(means("zebra", &[0.312_25, 0.95])), Some(1));
        assert_eq!(
            leaders.of(means("refund", &[0.8, 0.6])),
            None,
            "the same words, and not the same meaning"
        );
        assert_eq!(Leaders::default().of(means("refund", &[1.0, 0.0])), None);
        let broken = leading(&[means("zebra", &[f32::NAN, 0.0]), means("refund", &[1.0, 0.0])]);
        assert_eq!(broken.of(means("refund", &[1.0, 0.0])), Some(1));
    }

    #[test]
    fn where_there_is_no_meaning_or_that_of_another_embedding_words_tell() {
        let leaders = leading(&[said("How do I renew my panel?"), means("Where is my order?", &[1.0, 0.0])]);
        assert_eq!(leaders.of(means("Can I renew the panels", &[0.0, 1.0])), Some(0));
        assert_eq!(leaders.of(said("How do I cancel my panel?")), None);
        assert_eq!(leaders.of(said("where are my orders")), Some(1));
        let orders = means("orders", &[0.0, 1.0]);
        assert_eq!(leaders.of(orders), None);
        let other = Asked { meaning: orders.meaning.map(|(_, vector)| ("bge", vector)), ..orders };
        assert_eq!((leaders.of(other), leaders.of(means("orders", &[0.0, 1.0, 0.0]))), (Some(1), Some(1)));
        let persian = leading(&[said("چطور پنلم را تمدید کنم؟")]);
        assert_eq!(persian.of(said("پنلم رو تمدید کنید")), Some(0));
        assert_eq!(persian.of(said("پنلم قطع شده")), None);
    }

    #[test]
    fn of_equals_the_first_leads_and_nothing_is_like_nothing() {
        let leaders = leading(&[said("renew panel"), said("panel renew")]);
        assert_eq!(leaders.of(said("renewing panels")), Some(0));
        assert_eq!(leading(&[said("")]).of(said("")), None);
    }

    proptest! {
        #[test]
        fn whatever_has_words_is_like_itself(text in "\\PC{0,60}") {
            let leaders = leading(&[said(&text)]);
            let has_words = !leaders.words(&text).is_empty();
            prop_assert_eq!(leaders.of(said(&text)), has_words.then_some(0));
        }
    }
}
