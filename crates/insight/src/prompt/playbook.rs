//! What agents are told, as data: an organisation's words, the steps of its playbook, and what must be said.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{PoisonError, RwLock};

use serde::Deserialize;
use sotto_call::{ChecklistItem, PlaybookStep};

use crate::set::{self, Sentences};
use crate::{InsightError, IntentSet, Phrases};

/// Limits of a set.
const MAX_DUTIES: usize = 50;
const MAX_EXAMPLES: usize = 50;
/// Of a name, a title, a text or a sentence, in characters.
const MAX_CHARS: usize = 500;

/// Words by the language they are in (BCP 47).
pub(super) type Text = BTreeMap<String, String>;

/// The prompts of an organisation: what they say, and a checklist.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PromptSet {
    texts: BTreeMap<String, Text>,
    /// By the language that the customer speaks (BCP 47).
    culture: BTreeMap<String, Text>,
    farewells: Sentences,
    checklist: Vec<Duty>,
}

/// Something that must be said on every call.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Duty {
    /// Its name, for programs.
    pub name: String,
    /// What people call it, by language.
    pub title: BTreeMap<String, String>,
    /// What somebody says who says it.
    pub(super) examples: Sentences,
    /// It is due so many seconds after the first words of the call.
    #[serde(default)]
    pub within_s: Option<u32>,
    /// It is due when the call is about to end.
    #[serde(default)]
    pub before_end: bool,
}

impl PromptSet {
    /// The one that is built in.
    #[must_use]
    pub fn built_in() -> Self {
        // A file of our own, which a test reads.
        toml::from_str(include_str!("../../data/prompts.toml")).unwrap_or_default()
    }

    /// Reads a set from the text of its file. What it does not name is as built in.
    ///
    /// # Errors
    /// [`InsightError::Prompts`] with what is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, InsightError> {
        let own: Self = set::read(text).map_err(InsightError::Prompts)?;
        let mut set = Self::built_in();
        own.check(&set.texts).map_err(InsightError::Prompts)?;
        set.texts.extend(own.texts);
        set.culture.extend(own.culture);
        set.farewells.extend(own.farewells);
        set.checklist = own.checklist;
        Ok(set)
    }

    fn check(&self, known: &BTreeMap<String, Text>) -> Result<(), String> {
        let is_text = |text: &str| !text.trim().is_empty() && text.chars().count() <= MAX_CHARS;
        let is_titled = |text: &Text| !text.is_empty() && text.values().all(|text| is_text(text));
        for (name, text) in &self.texts {
            if !known.contains_key(name) {
                let known: Vec<&str> = known.keys().map(String::as_str).collect();
                return Err(format!("there is no text `{name}`; there are {}", known.join(", ")));
            }
            if !is_titled(text) {
                return Err(format!("`{name}` needs from 1 to {MAX_CHARS} characters in every language"));
            }
        }
        for (language, note) in &self.culture {
            if !is_text(language) || !is_titled(note) {
                return Err(format!(
                    "`culture.{language}` needs from 1 to {MAX_CHARS} characters in every language"
                ));
            }
        }
        if self.checklist.len() > MAX_DUTIES {
            return Err(format!("there are more than {MAX_DUTIES} items in the checklist"));
        }
        let mut names = BTreeSet::new();
        for Duty { name, title, examples, .. } in &self.checklist {
            if !is_text(name) || !names.insert(name) {
                return Err(format!("items of the checklist need names of their own, `{name}` is none"));
            }
            if !is_titled(title) {
                return Err(format!("`{name}` needs a title, at least in one language"));
            }
            let count = examples.values().map(Vec::len).sum::<usize>();
            if count == 0 || count > MAX_EXAMPLES {
                return Err(format!("`{name}` needs from 1 to {MAX_EXAMPLES} example sentences"));
            }
            if !examples.values().flatten().all(|sentence| is_text(sentence)) {
                return Err(format!("example sentences must have from 1 to {MAX_CHARS} characters"));
            }
        }
        Ok(())
    }

    /// What must be said, in the order of the file.
    #[must_use]
    pub fn duties(&self) -> &[Duty] {
        &self.checklist
    }
}

/// All that a [`Prompter`](super::Prompter) goes by.
#[derive(Debug, Default)]
pub struct Playbook {
    texts: BTreeMap<String, Text>,
    culture: BTreeMap<String, Text>,
    farewells: Phrases,
    duties: Vec<Duty>,
    /// By the name of the intent. Supervisors change them while calls go on.
    steps: RwLock<BTreeMap<String, Vec<PlaybookStep>>>,
}

impl Playbook {
    /// Of an organisation's prompts, and of the steps beside its intents.
    #[must_use]
    pub fn new(set: PromptSet, intents: Option<&IntentSet>) -> Self {
        let PromptSet { texts, culture, farewells, checklist } = set;
        let farewells = Phrases::new(farewells.values().flatten().map(String::as_str));
        let playbook = Self { texts, culture, farewells, duties: checklist, steps: RwLock::default() };
        intents.into_iter().for_each(|set| playbook.take_steps(set));
        playbook
    }

    /// From now on the steps are those beside these intents, also on calls that go on.
    pub fn take_steps(&self, intents: &IntentSet) {
        let steps = intents.intents().iter().map(|intent| (intent.name.clone(), intent.playbook.clone()));
        *self.steps.write().unwrap_or_else(PoisonError::into_inner) = steps.collect();
    }

    /// For agents who are not to be told how customers feel: there are no words for it.
    #[must_use]
    pub fn without_moods(mut self) -> Self {
        self.texts.retain(|name, _| !super::KINDNESS.contains(&name.as_str()));
        self
    }

    /// The checklist of a call that begins.
    #[must_use]
    pub fn checklist(&self) -> Vec<ChecklistItem> {
        let open = |duty: &Duty| ChecklistItem {
            name: duty.name.clone(),
            title: duty.title.clone(),
            done: false,
            evidence: None,
        };
        self.duties.iter().map(open).collect()
    }

    /// What must be said, in the organisation's order.
    #[must_use]
    pub fn duties(&self) -> &[Duty] {
        &self.duties
    }

    pub(super) fn steps(&self, intent: &str) -> Vec<PlaybookStep> {
        let steps = self.steps.read().unwrap_or_else(PoisonError::into_inner);
        steps.get(intent).cloned().unwrap_or_default()
    }

    pub(super) fn text(&self, name: &str) -> Text {
        self.texts.get(name).cloned().unwrap_or_default()
    }

    /// What kindness asks for besides towards somebody who speaks this language: `fa-IR` is `fa` where nothing else is said.
    pub(super) fn culture(&self, language: &str) -> Text {
        let (primary, _) = language.split_once('-').unwrap_or((language, ""));
        self.culture.get(language).or_else(|| self.culture.get(primary)).cloned().unwrap_or_default()
    }

    /// That something has not been said, in every language that it has a title in.
    pub(super) fn reminder(&self, duty: &Duty) -> Text {
        let texts = self.text("checklist");
        let of = |(language, title): (&String, &String)| {
            let text = texts.get(language).map_or("{item}", String::as_str);
            (language.clone(), text.replace("{item}", title))
        };
        duty.title.iter().map(of).collect()
    }

    /// Whether somebody says goodbye.
    pub(super) fn is_farewell(&self, text: &str) -> bool {
        self.farewells.are_in(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = r#"
        [texts]
        dead_air = { en = "Say something, please." }

        [[checklist]]
        name = "recorded"
        title = { en = "The call is recorded", fa = "تماس ضبط می‌شود" }
        within_s = 30
        examples.en = ["This call is recorded."]
    "#;

    fn wrong(text: &str) -> String {
        PromptSet::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn what_is_built_in_is_whole_in_both_languages() {
        let set = PromptSet::built_in();
        let names: Vec<&str> = set.texts.keys().map(String::as_str).collect();
        let all =
            "after_agent anger annoyance checklist confusion dead_air disappointment overtalk sadness worry";
        assert_eq!(names.join(" "), all);
        for text in set.texts.values() {
            assert!(["en", "fa"].iter().all(|language| text.contains_key(*language)), "{text:?}");
        }
        assert!(set.farewells["fa"].len() > 3 && set.duties().is_empty());
        set.check(&set.texts).unwrap();
    }

    #[test]
    fn an_organisations_file_replaces_what_it_names() {
        let set = PromptSet::parse(OWN).unwrap();
        assert_eq!(set.texts["dead_air"], Text::from([("en".into(), "Say something, please.".into())]));
        assert_eq!(set.texts["worry"], PromptSet::built_in().texts["worry"]);
        assert_eq!((set.duties().len(), set.duties()[0].within_s), (1, Some(30)));
        let playbook = Playbook::new(set, None);
        let reminder = playbook.reminder(&playbook.duties()[0]);
        assert_eq!(reminder["en"], "Not said yet: The call is recorded");
        assert!(reminder["fa"].ends_with("تماس ضبط می‌شود"));
        assert_eq!(playbook.checklist()[0].name, "recorded");
        assert_eq!(PromptSet::parse("").unwrap(), PromptSet::built_in());
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        assert!(wrong("[texts]\nangre = { en = \"x\" }").contains("no text `angre`"));
        assert!(wrong("[texts]\nanger = {}").contains("`anger` needs"));
        assert!(wrong("[culture]\nfa = { en = \" \" }").contains("`culture.fa` needs"));
        assert!(wrong("\n[text]").starts_with("the prompts: line "));
        assert!(wrong(&OWN.replace("[\"This call is recorded.\"]", "[]")).contains("example sentences"));
        let (_, item) = OWN.split_once("[[checklist]]").unwrap();
        assert!(wrong(&format!("{OWN}\n[[checklist]]{item}")).contains("names of their own"));
    }

    #[test]
    fn a_farewell_is_whole_words() {
        let playbook = Playbook::new(PromptSet::built_in(), None);
        for text in ["Okay, bye.", "Have a nice day, Mr Miller.", "Goodbye!", "ممنونم، خداحافظ."]
        {
            assert!(playbook.is_farewell(text), "{text}");
        }
        for text in ["We will buy eggs.", "Standby mode", "have a seat", "سلام"] {
            assert!(!playbook.is_farewell(text), "{text}");
        }
    }
}
