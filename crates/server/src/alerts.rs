//! What supervisors are told of besides what every call has: words that matter, silence, and what must be said.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sotto_call::{Millis, Party};
use sotto_insight::{Phrases, Playbook};

/// Limits of what is looked for in every utterance.
const MOST_WORDS: usize = 100;
const MOST_PHRASES: usize = 100;
/// Of a phrase or a title, in characters.
const LONGEST: usize = 200;

/// See [`crate::config::Config::alerts`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AlertsConfig {
    /// Words that supervisors are to know of: `{ title = { en = "Lawyer" }, phrases = ["my lawyer", "وکیلم"] }`. The customer says
    /// them, unless `by` is `agent` or `anyone`. Capitals, and how Persian is spelled, do not matter.
    pub words: Vec<WordAlert>,
    /// Seconds in which nobody says anything until supervisors are told; 0 for never.
    pub silence_s: u32,
    /// Whether supervisors are told that an item of the checklist was not said in time.
    pub checklist: bool,
}

impl Default for AlertsConfig {
    fn default() -> Self {
        Self { words: Vec::new(), silence_s: 30, checklist: true }
    }
}

/// Words that supervisors are to know of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WordAlert {
    /// What supervisors are told, by language.
    pub title: BTreeMap<String, String>,
    /// What is said then: one of these.
    pub phrases: Vec<String>,
    /// Who says it.
    #[serde(default)]
    pub by: SaidBy,
}

/// See [`WordAlert::by`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SaidBy {
    /// The customer.
    #[default]
    Customer,
    /// The agent.
    Agent,
    /// Whoever is on the call.
    Anyone,
}

impl AlertsConfig {
    /// What is wrong with it, if anything.
    ///
    /// # Errors
    /// With the problem in words.
    pub fn check(&self) -> Result<(), String> {
        if self.words.len() > MOST_WORDS {
            return Err(format!("there are more than {MOST_WORDS}"));
        }
        let is_text = |text: &String| !text.trim().is_empty() && text.chars().count() <= LONGEST;
        for WordAlert { title, phrases, .. } in &self.words {
            if title.is_empty() || !title.values().all(is_text) {
                return Err(format!(
                    "a title needs from 1 to {LONGEST} characters, at least in one language"
                ));
            }
            if phrases.len() > MOST_PHRASES || !phrases.iter().all(is_text) {
                return Err(format!("at most {MOST_PHRASES} phrases of from 1 to {LONGEST} characters each"));
            }
            if Phrases::new(phrases.iter().map(String::as_str)).is_empty() {
                return Err("phrases without a word are never said".to_owned());
            }
        }
        Ok(())
    }
}

/// The same, ready to be looked for.
#[derive(Debug, Default)]
pub struct Rules {
    words: Vec<WordRule>,
    /// How long nobody says anything until that is worth an alert; absent for never.
    pub(crate) silence: Option<Millis>,
    /// What must be said, and what a goodbye is. Without a checklist there is nothing to be said.
    pub(crate) playbook: Arc<Playbook>,
    /// Whether it is worth an alert that something was not said.
    pub(crate) checklist: bool,
}

#[derive(Debug)]
struct WordRule {
    title: BTreeMap<String, String>,
    phrases: Phrases,
    by: SaidBy,
}

impl Rules {
    /// What is configured, for calls with this playbook.
    #[must_use]
    pub fn new(config: &AlertsConfig, playbook: Arc<Playbook>) -> Self {
        let rule = |WordAlert { title, phrases, by }: &WordAlert| WordRule {
            title: title.clone(),
            phrases: Phrases::new(phrases.iter().map(String::as_str)),
            by: *by,
        };
        Self {
            words: config.words.iter().map(rule).collect(),
            silence: (config.silence_s > 0).then(|| Millis(u64::from(config.silence_s) * 1_000)),
            playbook,
            checklist: config.checklist,
        }
    }

    /// The words that are in what somebody says: each with what tells it from the others, and its title.
    pub(crate) fn words_in(
        &self,
        party: Party,
        text: &str,
    ) -> impl Iterator<Item = (String, &BTreeMap<String, String>)> {
        let is_said = move |rule: &WordRule| {
            let by = match rule.by {
                SaidBy::Customer => party == Party::Customer,
                SaidBy::Agent => party == Party::Agent,
                SaidBy::Anyone => true,
            };
            by && rule.phrases.are_in(text)
        };
        let said = self.words.iter().enumerate().filter(move |one| is_said(one.1));
        said.map(|(n, rule)| (n.to_string(), &rule.title))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(title: &str, phrases: &[&str], by: SaidBy) -> WordAlert {
        let title = BTreeMap::from([("en".to_owned(), title.to_owned())]);
        WordAlert { title, phrases: phrases.iter().map(|phrase| (*phrase).to_owned()).collect(), by }
    }

    #[test]
    fn words_count_when_those_say_them_who_are_meant() {
        let config = AlertsConfig {
            words: vec![
                words("Lawyer", &["lawyer", "وکیل"], SaidBy::Customer),
                words("Promise", &["I promise", "قول می‌دهم"], SaidBy::Agent),
                words("Police", &["police"], SaidBy::Anyone),
            ],
            ..AlertsConfig::default()
        };
        config.check().unwrap();
        let rules = Rules::new(&config, Arc::default());
        let found = |party, text: &str| -> Vec<String> {
            rules.words_in(party, text).map(|(_, title)| title["en"].clone()).collect()
        };
        let text = "I promise: no lawyer, no police.";
        assert_eq!(found(Party::Customer, text), ["Lawyer", "Police"]);
        assert_eq!(found(Party::Agent, text), ["Promise", "Police"]);
        assert_eq!(found(Party::Other, text), ["Police"]);
        assert_eq!(found(Party::Customer, "با وکیل‌م صحبت کنید"), ["Lawyer"]);
        assert_eq!(found(Party::Agent, "قول میدهم"), ["Promise"]);
        assert_eq!(found(Party::Customer, "hello"), [] as [&str; 0]);
        assert_eq!((rules.silence, rules.checklist), (Some(Millis(30_000)), true));
        let never = AlertsConfig { silence_s: 0, ..AlertsConfig::default() };
        assert_eq!(Rules::new(&never, Arc::default()).silence, None);
    }

    #[test]
    fn what_could_never_be_said_or_told_is_refused() {
        let wrong = |one: WordAlert| {
            AlertsConfig { words: vec![one], ..AlertsConfig::default() }.check().unwrap_err()
        };
        assert!(wrong(words(" ", &["lawyer"], SaidBy::Customer)).contains("title"));
        assert!(wrong(words("Lawyer", &[], SaidBy::Customer)).contains("never said"));
        assert!(wrong(words("Lawyer", &["?!"], SaidBy::Customer)).contains("never said"));
        assert!(wrong(words("Lawyer", &[&"x".repeat(201)], SaidBy::Customer)).contains("characters"));
        let many = vec![words("Lawyer", &["lawyer"], SaidBy::Customer); 101];
        assert!(AlertsConfig { words: many, ..AlertsConfig::default() }.check().is_err());
    }
}
