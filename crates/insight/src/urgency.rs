//! Whether somebody says that something is urgent: by phrases in English and Persian (`data/urgency.toml`), and by a head
//! over the embedding, where one has been trained, or a text classifier of the organisation's own, which also know what is
//! urgent without such a word.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sotto_models::Onnx;

use crate::exported::{CONFIG, wrong};
use crate::mood::Reading;
use crate::set::Sentences;
use crate::{BuiltIn, Embedder, Embedding, InsightError, Phrases};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    urgent: Sentences,
    no_hurry: Sentences,
    past: Sentences,
}

struct Rules {
    urgent: Phrases,
    no_hurry: Phrases,
    past: Phrases,
}

static RULES: LazyLock<Rules> = LazyLock::new(|| {
    // A file of our own, which a test reads.
    let File { urgent, no_hurry, past } =
        toml::from_str(include_str!("../data/urgency.toml")).unwrap_or_default();
    let phrases = |of: &Sentences| Phrases::new(of.values().flatten().map(String::as_str));
    Rules { urgent: phrases(&urgent), no_hurry: phrases(&no_hurry), past: phrases(&past) }
});

/// Whether somebody says that it is urgent, and not only that it was.
#[must_use]
pub fn is_urgent(text: &str) -> bool {
    RULES.urgent.are_in(text) && !is_in_no_hurry(text) && !RULES.past.are_in(text)
}

/// Whether somebody says that they are in no hurry.
#[must_use]
pub fn is_in_no_hurry(text: &str) -> bool {
    RULES.no_hurry.are_in(text)
}

/// Whether something is urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Harm or loss is near, a deadline is, or somebody wants to be served at once.
    Urgent,
    /// None of that.
    NotUrgent,
}

/// From which probability on something is urgent to what was not given a threshold: likelier than not.
const LIKELY: f32 = 0.5;

/// What tells whether it is urgent to somebody, of their words and these embedded.
#[derive(Debug)]
pub(crate) struct UrgencyReader {
    /// Without it, phrases alone tell.
    reading: Option<Reading<Urgency>>,
}

impl UrgencyReader {
    /// With the head that is built in for the embeddings of `over`, if there is one.
    ///
    /// # Errors
    /// As [`Reading::built_in`].
    pub fn built_in(onnx: &Onnx, over: &Embedder) -> Result<Self, InsightError> {
        let is_trained = BuiltIn::Urgency.is_trained(over.model());
        let reading = is_trained.then(|| Reading::built_in(onnx, BuiltIn::Urgency, over));
        Ok(Self { reading: reading.transpose()? })
    }

    /// With the text classifier in a folder.
    ///
    /// # Errors
    /// As [`Reading::of_text`]; and [`InsightError::Classifier`] when it cannot find what is urgent.
    pub fn of_text(
        onnx: &Onnx,
        folder: &Path,
        meant: &BTreeMap<String, Urgency>,
    ) -> Result<Self, InsightError> {
        let reading = Reading::of_text(onnx, folder, meant)?;
        if !reading.knows(Urgency::Urgent) {
            return Err(wrong(&folder.join(CONFIG), "no label stands for urgent"));
        }
        Ok(Self { reading: Some(reading) })
    }

    /// Whether it is urgent. Either is enough: a phrase says it outright, and a head has a threshold from which on few are
    /// wrong. Whoever says that they are in no hurry is not, whatever a head makes of it.
    ///
    /// # Errors
    /// As [`Reading::read`].
    pub fn is_in(&mut self, text: &str, embedding: &Embedding) -> Result<bool, InsightError> {
        if is_urgent(text) {
            return Ok(true);
        }
        let Some(reading) = self.reading.as_mut().filter(|_| !is_in_no_hurry(text)) else { return Ok(false) };
        let least = reading.threshold(Urgency::Urgent).unwrap_or(LIKELY);
        let classes = reading.read(text, embedding)?;
        Ok(classes.iter().any(|(class, p)| *class == Urgency::Urgent && *p >= least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_head_phrases_tell_what_is_urgent() {
        let (mut urgency, nothing) = (UrgencyReader { reading: None }, Embedding::new(vec![0.0; 4]));
        let mut is_in = |text: &str| urgency.is_in(text, &nothing).unwrap();
        assert!(is_in("I need it as soon as possible.") && is_in("خیلی فوری لازمش دارم."));
        assert!(!is_in("It is not urgent.") && !is_in("Water comes through the ceiling."));
    }

    #[test]
    fn what_is_urgent_is_told_from_what_is_not() {
        for text in ["I need it as soon as possible.", "It is URGENT!", "خیلی فوری لازمش دارم.", "عجله دارم"]
        {
            assert!(is_urgent(text) && !is_in_no_hurry(text), "{text}");
        }
        for text in ["It is not urgent, take your time.", "این فوری نیست.", "عجله‌ای ندارم"]
        {
            assert!(!is_urgent(text) && is_in_no_hurry(text), "{text}");
        }
        for text in ["", "I am at work right now.", "همین الان زنگ زدم."] {
            assert!(!is_urgent(text) && !is_in_no_hurry(text), "{text}");
        }
    }

    #[test]
    fn what_was_urgent_last_week_is_not_urgent() {
        for text in [
            "Last week it was urgent.",
            "It was very urgent then.",
            "هفته‌ی پیش فوری بود.",
            "دیروز عجله داشتم",
        ] {
            assert!(!is_urgent(text) && !is_in_no_hurry(text), "{text}");
        }
        for text in ["It is urgent, as I wrote last week.", "از هفته‌ی پیش گفتم فوریه."]
        {
            assert!(is_urgent(text), "{text}");
        }
    }
}
