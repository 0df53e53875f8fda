//! An organisation's intents as data: names, titles and example sentences, and the recogniser that is learned of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sotto_call::PlaybookStep;

use crate::{Embedder, Embedding, Example, InsightError, Recogniser};

/// Limits of a set: what a recogniser learns from in seconds.
const MAX_INTENTS: usize = 500;
const MAX_EXAMPLES: usize = 20_000;
/// Of a title or a sentence, in characters.
const MAX_CHARS: usize = 500;
/// Of a name.
const MAX_NAME_CHARS: usize = 100;
/// Languages that an intent has titles in, and a step of its playbook a text.
const MAX_TITLES: usize = 20;
/// Steps of an intent's playbook.
const MAX_STEPS: usize = 20;
/// Fewer examples of an intent tell nothing about what else would be one.
const LEAST_EXAMPLES: usize = 3;
/// What is less probable than this is none of the intents. Probabilities are set right on examples that were held out, so
/// it holds for any embedding.
const LEAST_CONFIDENCE: f32 = 0.35;

/// Sentences by the language they are in (BCP 47).
pub(crate) type Sentences = BTreeMap<String, Vec<String>>;

/// The intents of an organisation.
///
/// ```toml
/// [[intents]]
/// name = "refund"
/// title = { en = "Refund" }
/// alert = true
/// playbook = [{ text = { en = "Ask for the order number." }, until = "order" }]
/// [intents.examples]
/// en = ["I want my money back.", "Can I have a refund?", "Please return what I paid."]
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntentSet {
    /// The intents.
    intents: Vec<Definition>,
    /// Sentences that are none of them, besides those that are none anywhere.
    #[serde(default)]
    none: Sentences,
}

/// One intent of an [`IntentSet`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Its name, for programs.
    pub name: String,
    /// What people call it, by language.
    pub title: BTreeMap<String, String>,
    /// Whether supervisors are to know of it while the call is live.
    #[serde(default)]
    pub alert: bool,
    /// What the agent does for somebody who wants it, step by step.
    #[serde(default)]
    pub playbook: Vec<PlaybookStep>,
    /// What somebody says who wants it.
    examples: Sentences,
}

impl Definition {
    /// What somebody says who wants it.
    pub fn examples(&self) -> impl Iterator<Item = &str> {
        self.examples.values().flatten().map(String::as_str)
    }

    /// Whether it has as many examples as it takes to be recognised.
    #[must_use]
    pub fn is_learnable(&self) -> bool {
        self.examples().count() >= LEAST_EXAMPLES
    }
}

/// Reads the text of a file, or says what is wrong with it and where.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = 1 + before.bytes().filter(|byte| *byte == b'\n').count();
        format!("line {line}: {}", error.message())
    })
}

impl IntentSet {
    /// Reads a set from the text of its file.
    ///
    /// # Errors
    /// [`InsightError::Intents`] with what is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, InsightError> {
        let set: Self = read(text).map_err(InsightError::Intents)?;
        set.within_limits().and_then(|()| set.all_learnable()).map_err(InsightError::Intents)?;
        Ok(set)
    }

    /// Whether it is within the limits of a set. An intent may have too few examples to be recognised yet.
    ///
    /// # Errors
    /// [`InsightError::Intents`] with what is wrong.
    pub fn check(&self) -> Result<(), InsightError> {
        self.within_limits().map_err(InsightError::Intents)
    }

    fn all_learnable(&self) -> Result<(), String> {
        if self.intents.is_empty() {
            return Err("there must be at least one intent".to_owned());
        }
        match self.intents.iter().find(|intent| !intent.is_learnable()) {
            Some(Definition { name, .. }) => {
                Err(format!("`{name}` needs at least {LEAST_EXAMPLES} example sentences"))
            }
            None => Ok(()),
        }
    }

    fn within_limits(&self) -> Result<(), String> {
        if self.intents.len() > MAX_INTENTS {
            return Err(format!("there are more than {MAX_INTENTS} intents"));
        }
        let mut names = BTreeSet::new();
        let mut total = self.none.values().map(Vec::len).sum::<usize>();
        let is_text = |text: &str| !text.trim().is_empty() && text.chars().count() <= MAX_CHARS;
        for Definition { name, title, examples, playbook, .. } in &self.intents {
            if !is_text(name) || name.chars().count() > MAX_NAME_CHARS {
                return Err(format!("an intent needs a name of at most {MAX_NAME_CHARS} characters"));
            }
            if !names.insert(name) {
                return Err(format!("there are two intents called `{name}`"));
            }
            let is_title = |(language, title): (&String, &String)| is_text(language) && is_text(title);
            if title.is_empty() || title.len() > MAX_TITLES || !title.iter().all(is_title) {
                return Err(format!(
                    "`{name}` needs a title of at most {MAX_CHARS} characters, in 1 to {MAX_TITLES} languages"
                ));
            }
            let is_step = |PlaybookStep { text, .. }: &PlaybookStep| {
                !text.is_empty() && text.len() <= MAX_TITLES && text.iter().all(is_title)
            };
            if playbook.len() > MAX_STEPS || !playbook.iter().all(is_step) {
                return Err(format!(
                    "the playbook of `{name}` needs at most {MAX_STEPS} steps, each with a text of at most \
                     {MAX_CHARS} characters"
                ));
            }
            total += examples.values().map(Vec::len).sum::<usize>();
        }
        let mut sentences = self.intents.iter().map(|intent| &intent.examples).chain([&self.none]);
        if !sentences.all(|sentences| sentences.values().flatten().all(|sentence| is_text(sentence))) {
            return Err(format!("example sentences must have from 1 to {MAX_CHARS} characters"));
        }
        if total > MAX_EXAMPLES {
            return Err(format!("there are more than {MAX_EXAMPLES} example sentences"));
        }
        Ok(())
    }

    /// The intents, in the order of the file.
    #[must_use]
    pub fn intents(&self) -> &[Definition] {
        &self.intents
    }

    /// The intent of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Definition> {
        self.intents.iter().find(|intent| intent.name == name)
    }

    /// Sentences that are none of the intents, besides those that are none anywhere.
    pub fn none(&self) -> impl Iterator<Item = &str> {
        self.none.values().flatten().map(String::as_str)
    }

    /// Adds an intent, or gives the one of this name another title. Its examples stay.
    pub fn put(&mut self, name: &str, title: BTreeMap<String, String>, alert: bool) {
        match self.intents.iter_mut().find(|intent| intent.name == name) {
            Some(intent) => (intent.title, intent.alert) = (title, alert),
            None => {
                let (playbook, examples) = (Vec::new(), Sentences::new());
                self.intents.push(Definition { name: name.to_owned(), title, alert, playbook, examples });
            }
        }
    }

    /// Has agents do this for somebody who wants an intent, in place of what its playbook was. False if there is no such intent.
    pub fn put_playbook(&mut self, intent: &str, steps: Vec<PlaybookStep>) -> bool {
        let Some(found) = self.intents.iter_mut().find(|one| one.name == intent) else { return false };
        found.playbook = steps;
        true
    }

    /// Takes an intent out, with its examples.
    pub fn remove(&mut self, name: &str) {
        self.intents.retain(|intent| intent.name != name);
    }

    /// Makes a sentence an example of an intent or, without one, of none of them. False if there is no such intent.
    pub fn add_example(&mut self, intent: Option<&str>, sentence: &str) -> bool {
        let examples = match intent {
            None => Some(&mut self.none),
            Some(name) => {
                let found = self.intents.iter_mut().find(|intent| intent.name == name);
                found.map(|intent| &mut intent.examples)
            }
        };
        let Some(examples) = examples else { return false };
        examples.entry(language_of(sentence).to_owned()).or_default().push(sentence.to_owned());
        true
    }

    /// Keeps the examples that are to stay, of whichever intent or of none.
    pub fn retain_examples(&mut self, stays: impl Fn(&str) -> bool) {
        let examples = self.intents.iter_mut().map(|intent| &mut intent.examples).chain([&mut self.none]);
        for sentences in examples {
            // A language without sentences is none of the set's.
            sentences.retain(|_, all| {
                all.retain(|sentence| stays(sentence));
                !all.is_empty()
            });
        }
    }

    /// What of it can be recognised: the intents with enough examples. Absent when there are none.
    #[must_use]
    pub fn learnable(&self) -> Option<Self> {
        let intents: Vec<Definition> =
            self.intents.iter().filter(|intent| intent.is_learnable()).cloned().collect();
        (!intents.is_empty()).then(|| Self { intents, none: self.none.clone() })
    }

    /// What of it can be recognised by the sentences in these languages alone. Absent when there is nothing.
    fn in_languages(&self, understood: impl Fn(&str) -> bool) -> Option<Self> {
        let mut set = self.clone();
        let examples = set.intents.iter_mut().map(|intent| &mut intent.examples).chain([&mut set.none]);
        examples.for_each(|sentences| sentences.retain(|language, _| understood(language)));
        set.learnable()
    }

    /// Every sentence with the number of its intent; one more than the last stands for none of them.
    fn sentences(&self) -> Vec<(usize, &str)> {
        let languages: BTreeSet<&String> = self.intents.iter().flat_map(|i| i.examples.keys()).collect();
        let none = self.intents.len();
        let examples = self.intents.iter().map(|intent| &intent.examples).chain([&self.none]).enumerate();
        let own =
            examples.flat_map(|(n, sentences)| sentences.values().flatten().map(move |s| (n, s.as_str())));
        // In a language that nobody gave examples in, small talk alone would be the nearest to everything.
        let anywhere = small_talk().iter().filter(|(language, _)| languages.contains(language));
        own.chain(anywhere.flat_map(|(_, all)| all.iter().map(move |s| (none, s.as_str())))).collect()
    }
}

/// The language of a sentence that comes without one, as far as its letters tell: all that hangs on it is whether what is
/// said on every telephone is known in that language.
fn language_of(sentence: &str) -> &'static str {
    if sentence.chars().any(|c| matches!(c, '\u{620}'..='\u{6ff}')) { "fa" } else { "en" }
}

/// What is said on every telephone and wants nothing.
pub(crate) fn small_talk() -> &'static Sentences {
    static SENTENCES: std::sync::LazyLock<Sentences> = std::sync::LazyLock::new(|| {
        // A file of our own, which a test reads.
        toml::from_str(include_str!("../data/small-talk.toml")).unwrap_or_default()
    });
    &SENTENCES
}

/// What a customer wants, and how probably.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// See [`Definition::name`].
    pub name: String,
    /// See [`Definition::title`].
    pub title: BTreeMap<String, String>,
    /// How probable it is, 0 to 1.
    pub confidence: f32,
    /// See [`Definition::alert`].
    pub alert: bool,
}

/// The recogniser of a set.
#[derive(Debug)]
pub struct Intents {
    recogniser: Recogniser,
    definitions: Vec<Definition>,
}

impl Intents {
    /// Learns a set: some milliseconds a sentence. Sentences in languages that the embedding does not understand are left
    /// out, and so are intents that have too few others; where none is left, there is nothing to recognise.
    ///
    /// # Errors
    /// [`InsightError::Runtime`] when the embedding fails, [`InsightError::Examples`] when nothing can be learned.
    pub fn learn(set: &IntentSet, embedder: &mut Embedder) -> Result<Option<Self>, InsightError> {
        let model = embedder.model();
        let Some(set) = set.in_languages(|language| model.understands(language)) else { return Ok(None) };
        let sentences = set.sentences();
        let texts: Vec<&str> = sentences.iter().map(|(_, text)| *text).collect();
        let mut examples = Vec::with_capacity(2 * texts.len());
        for purpose in model.forms() {
            let embedded = embedder.embed(*purpose, &texts)?.into_iter().enumerate().zip(&sentences);
            examples.extend(embedded.map(|((sentence, embedding), (intent, _))| Example {
                intent: *intent,
                sentence,
                embedding,
            }));
        }
        Ok(Some(Self::of(&set, &examples)?))
    }

    fn of(set: &IntentSet, examples: &[Example]) -> Result<Self, InsightError> {
        let recogniser = Recogniser::train(set.intents.len() + 1, examples)?;
        Ok(Self { recogniser, definitions: set.intents.clone() })
    }

    /// What is wanted by a sentence with this embedding; nothing that is known of, as a rule.
    #[must_use]
    pub fn recognise(&self, embedding: &Embedding) -> Option<Wanted> {
        let found = self.recogniser.recognise(embedding);
        if !found.in_scope || !found.confidence.is_finite() || found.confidence < LEAST_CONFIDENCE {
            return None;
        }
        // The number after the last is none of them.
        let Definition { name, title, alert, .. } = self.definitions.get(found.intent)?.clone();
        Some(Wanted { name, title, confidence: found.confidence, alert })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: &str = r#"
        [[intents]]
        name = "refund"
        title = { en = "Refund", fa = "بازگشت وجه" }
        alert = true
        examples = { en = ["I want my money back.", "A refund, please.", "Return what I paid."] }

        [[intents]]
        name = "prices"
        title = { en = "Prices" }
        examples = { en = ["How much is it?", "What does it cost?"], fa = ["چنده؟"] }
    "#;

    fn wrong(text: &str) -> String {
        IntentSet::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_set_is_read_and_what_is_none_everywhere_belongs_to_it() {
        let set = IntentSet::parse(SET).unwrap();
        assert_eq!(set.intents().iter().map(|i| i.name.as_str()).collect::<Vec<_>>(), ["refund", "prices"]);
        let sentences = set.sentences();
        assert!(sentences.contains(&(0, "I want my money back.")) && sentences.contains(&(1, "چنده؟")));
        assert!(sentences.contains(&(2, "Hello.")) && sentences.contains(&(2, "سلام.")));
        let english = SET.replace(r#", fa = ["چنده؟"]"#, "").replace("cost?\"", "cost?\", \"Price?\"");
        let set = IntentSet::parse(&english).unwrap();
        assert!(!set.sentences().contains(&(2, "سلام.")), "nobody gave Persian examples");
    }

    #[test]
    fn what_is_wrong_with_a_set_is_said() {
        assert!(wrong("intents = []").contains("at least one intent"));
        assert!(wrong("\n[[intents]]\nnme = \"x\"").starts_with("the intents: line "));
        assert!(wrong(&SET.replace("prices\"", "refund\"")).contains("two intents called `refund`"));
        assert!(wrong(&SET.replace(r#", fa = ["چنده؟"]"#, "")).contains("`prices` needs at least 3"));
        assert!(wrong(&SET.replace("{ en = \"Prices\" }", "{}")).contains("`prices` needs a title"));
        let step = |text: &str| SET.replace("alert = true", &format!("playbook = [{{ text = {text} }}]"));
        assert!(wrong(&step("{}")).contains("the playbook of `refund`"));
        assert!(wrong(&step("{ en = \"Ask.\" }, until = \"nothing\"")).starts_with("the intents: line "));
        assert!(wrong(&SET.replace("How much is it?", " ")).contains("example sentences must have"));
        let long = "a".repeat(MAX_CHARS + 1);
        assert!(wrong(&SET.replace("How much is it?", &long)).contains("example sentences must have"));
        assert!(wrong(&SET.replace("refund\"", &format!("{}\"", "r".repeat(101)))).contains("needs a name"));
        let many = "\"a\",".repeat(MAX_EXAMPLES);
        assert!(wrong(&format!("none = {{ en = [{many}] }}\n{SET}")).contains("more than 20000"));
    }

    #[test]
    fn a_set_is_changed_and_only_what_has_enough_examples_is_learned() {
        let mut set = IntentSet::parse(SET).unwrap();
        let names = |set: &IntentSet| set.intents.iter().map(|i| i.name.clone()).collect::<Vec<_>>();
        let title = |text: &str| BTreeMap::from([("en".to_owned(), text.to_owned())]);
        set.put("complaint", title("Complaint"), true);
        set.put("prices", title("What it costs"), false);
        assert_eq!(names(&set), ["refund", "prices", "complaint"]);
        assert_eq!(set.get("prices").map(|prices| prices.title["en"].as_str()), Some("What it costs"));
        assert!(set.add_example(Some("complaint"), "این درست نیست.") && !set.add_example(Some("x"), "x"));
        assert!(set.add_example(None, "I am on the train."));
        assert_eq!(set.get("complaint").unwrap().examples["fa"], ["این درست نیست."]);
        assert_eq!(set.none().collect::<Vec<_>>(), ["I am on the train."]);
        set.check().unwrap();
        assert_eq!(names(&set.learnable().unwrap()), ["refund", "prices"]);
        assert!(set.learnable().unwrap().sentences().contains(&(2, "I am on the train.")));

        set.retain_examples(|sentence| !["چنده؟", "I am on the train."].contains(&sentence));
        assert!(set.none.is_empty() && !set.get("prices").unwrap().examples.contains_key("fa"));
        assert_eq!(names(&set.learnable().unwrap()), ["refund"]);
        set.remove("refund");
        assert_eq!((names(&set).len(), set.learnable()), (2, None));
        set.put("a", BTreeMap::new(), false);
        assert!(set.check().unwrap_err().to_string().contains("`a` needs a title"));
    }

    #[test]
    fn what_is_said_in_other_languages_is_left_out_with_the_intents_that_have_nothing_else() {
        let set = IntentSet::parse(&format!("none = {{ fa = [\"سلام علیکم\"] }}\n{SET}")).unwrap();
        let english = set.in_languages(|language| language == "en").unwrap();
        assert_eq!(english.intents.iter().map(|i| i.name.as_str()).collect::<Vec<_>>(), ["refund"]);
        let sentences = english.sentences();
        assert!(sentences.contains(&(0, "A refund, please.")) && sentences.contains(&(1, "Hello.")));
        assert!(sentences.iter().all(|(_, text)| text.is_ascii()), "{sentences:?}");
        assert_eq!(set.in_languages(|_| true), Some(set.clone()));
        assert_eq!(set.in_languages(|language| language == "de"), None);
    }

    #[test]
    fn the_sets_of_this_repository_are_whole() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../insight-sets");
        let mut read = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            let set = IntentSet::parse(&std::fs::read_to_string(&path).unwrap())
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let starter = !path.ends_with("harper.toml");
            for intent in set.intents() {
                let count = |language: &str| intent.examples.get(language).map_or(0, Vec::len);
                let wanted = if starter { (8, 8) } else { (5, 0) };
                assert!(count("en") >= wanted.0 && count("fa") >= wanted.1, "{}: {intent:?}", path.display());
                assert!(!starter || intent.title.contains_key("fa"), "{intent:?}");
                assert!(!intent.playbook.is_empty(), "{intent:?}");
                let is_persian = |step: &PlaybookStep| step.text.contains_key("fa");
                assert!(!starter || intent.playbook.iter().all(is_persian), "{intent:?}");
                // Whoever names a thing, it is named: what the agent is to say would be left out for the customer's words.
                let is_asked = |step: &PlaybookStep| {
                    ["Ask", "Take"].iter().any(|verb| step.text["en"].starts_with(verb))
                };
                let until = |step: &&PlaybookStep| step.until.is_some();
                assert!(!starter || intent.playbook.iter().filter(until).all(is_asked), "{intent:?}");
            }
            read += 1;
        }
        assert_eq!(read, 3);
        let counts: Vec<usize> = small_talk().values().map(Vec::len).collect();
        assert_eq!(counts, [24, 24]);
    }

    #[test]
    fn what_is_none_of_the_intents_is_nothing() {
        let set = IntentSet::parse(SET).unwrap();
        // Three ways to point, and a little to another side.
        let example = |intent: usize, n: usize| {
            let side = |j: usize| 0.2 * ((n * 31 + j * 17) as f32 * 1.3).sin();
            let vector = (0..8).map(|j| side(j) + f32::from(u8::from(j == intent))).collect();
            Example { intent, sentence: intent * 20 + n, embedding: Embedding::new(vector) }
        };
        let examples: Vec<Example> = (0..3).flat_map(|i| (0..20).map(move |n| example(i, n))).collect();
        let intents = Intents::of(&set, &examples).unwrap();
        let wanted = |intent| intents.recognise(&example(intent, 50).embedding);
        let refund = wanted(0).unwrap();
        assert_eq!((refund.name.as_str(), refund.title["fa"].as_str()), ("refund", "بازگشت وجه"));
        assert!(refund.confidence > 0.5 && refund.confidence <= 1.0 && refund.alert, "{refund:?}");
        let prices = wanted(1).unwrap();
        assert_eq!((prices.name.as_str(), prices.alert), ("prices", false));
        assert_eq!(wanted(2), None, "small talk");
        let far = Embedding::new((0..8).map(|j| if j < 3 { -1.0 } else { 0.0 }).collect());
        assert_eq!(intents.recognise(&far), None, "like nothing that is known");
    }
}
