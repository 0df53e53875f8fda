//! The rules as data: `data/rules.toml`, which says what each of them is for.

use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

use serde::{Deserialize, Deserializer};
use sotto_call::Party;
use sotto_insight::{Phrases, spelled};

use crate::insight::{ActionType, Because, Channel, LeadStage};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rules {
    #[serde(deserialize_with = "phrases")]
    pub small_talk: Phrases,
    #[serde(deserialize_with = "phrases")]
    pub yes: Phrases,
    #[serde(deserialize_with = "phrases")]
    pub no: Phrases,
    #[serde(deserialize_with = "phrases")]
    pub corrections: Phrases,
    #[serde(deserialize_with = "phrases")]
    pub addresses: Phrases,
    #[serde(deserialize_with = "phrases")]
    pub budget: Phrases,
    #[serde(deserialize_with = "words")]
    pub stop_words: HashSet<String>,
    #[serde(deserialize_with = "words")]
    pub feelings: HashSet<String>,
    pub bullets: Bullets,
    pub decisive: Vec<Decisive>,
    pub commitments: Commitments,
    pub sentiment: Sentiment,
    pub urgency: Urgency,
    pub stages: Vec<Stage>,
    pub confidence: Confidence,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bullets {
    pub most: usize,
    pub centrality: f32,
    pub least_words: usize,
    pub alike: f32,
    pub least_score: f32,
}

/// A reason why a sentence matters. Without phrases it is known in another way.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Decisive {
    pub because: Because,
    pub weight: f32,
    /// Only of what this party says.
    #[serde(default)]
    pub party: Option<Party>,
    #[serde(default, deserialize_with = "phrases")]
    pub phrases: Phrases,
}

/// What is promised, as it is said.
#[derive(Debug, Default, Deserialize)]
#[serde(from = "CommitmentsFile")]
pub(crate) struct Commitments {
    /// The first one that is said counts.
    pub actions: Vec<Action>,
    pub channels: Vec<ChannelWords>,
}

#[derive(Debug)]
pub(crate) struct Action {
    pub kind: ActionType,
    pub channel: Option<Channel>,
    pub phrases: Phrases,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChannelWords {
    pub channel: Channel,
    #[serde(deserialize_with = "phrases")]
    pub phrases: Phrases,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommitmentsFile {
    subjects: Vec<String>,
    between: Vec<String>,
    actions: Vec<ActionFile>,
    channels: Vec<ChannelWords>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActionFile {
    r#type: ActionType,
    #[serde(default)]
    channel: Option<Channel>,
    verbs: Vec<String>,
    phrases: BTreeMap<String, Vec<String>>,
}

impl From<CommitmentsFile> for Commitments {
    fn from(file: CommitmentsFile) -> Self {
        let CommitmentsFile { subjects, between, actions, channels } = file;
        let action = |one: ActionFile| {
            let mut all: Vec<String> = one.phrases.into_values().flatten().collect();
            for subject in &subjects {
                for verb in &one.verbs {
                    all.push(format!("{subject} {verb}"));
                    all.extend(between.iter().map(|between| format!("{subject} {between} {verb}")));
                }
            }
            let phrases = Phrases::new(all.iter().map(String::as_str));
            Action { kind: one.r#type, channel: one.channel, phrases }
        };
        Self { actions: actions.into_iter().map(action).collect(), channels }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sentiment {
    pub clear: f32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Urgency {
    pub high: u32,
    pub said: u32,
    pub due: u32,
    pub due_within_days: u32,
    pub mood: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stage {
    pub stage: LeadStage,
    #[serde(deserialize_with = "phrases")]
    pub phrases: Phrases,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confidence {
    pub words: f32,
    pub intent: f32,
    pub entities: f32,
    pub full_words: u32,
}

impl Rules {
    /// Those that are built in.
    pub fn built_in() -> &'static Self {
        // A file of our own, which a test reads.
        static RULES: LazyLock<Rules> =
            LazyLock::new(|| toml::from_str(include_str!("../data/rules.toml")).unwrap_or_default());
        &RULES
    }
}

/// Phrases by language, in one.
pub(crate) fn phrases<'de, D: Deserializer<'de>>(from: D) -> Result<Phrases, D::Error> {
    let by_language = BTreeMap::<String, Vec<String>>::deserialize(from)?;
    Ok(Phrases::new(by_language.values().flatten().map(String::as_str)))
}

/// Words by language, parted by spaces, in one.
fn words<'de, D: Deserializer<'de>>(from: D) -> Result<HashSet<String>, D::Error> {
    let by_language = BTreeMap::<String, String>::deserialize(from)?;
    Ok(by_language.values().flat_map(|words| spelled(words)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_are_whole() {
        let rules: Rules = toml::from_str(include_str!("../data/rules.toml")).unwrap();
        assert!(
            rules.bullets.most > 0 && rules.stop_words.contains("the") && rules.stop_words.contains("است")
        );
        assert!(rules.feelings.contains("angry") && rules.feelings.contains("عصبانی"));
        let reasons: HashSet<Because> = rules.decisive.iter().map(|one| one.because).collect();
        assert_eq!(reasons.len(), rules.decisive.len());
        let stages: Vec<LeadStage> = rules.stages.iter().map(|one| one.stage).collect();
        assert_eq!(stages, [LeadStage::Lost, LeadStage::Converted, LeadStage::Qualified]);
        let promised = |text: &str| {
            let mut actions = rules.commitments.actions.iter();
            actions.find(|action| action.phrases.are_in(text)).map(|action| (action.kind, action.channel))
        };
        use ActionType::{Callback, Meeting, Message, Payment, Task};
        let (phone, email) = (Some(Channel::Phone), Some(Channel::Email));
        assert_eq!(promised("I will call you tomorrow at ten."), Some((Callback, phone)));
        assert_eq!(promised("فردا ساعت ده تماس می‌گیرم"), Some((Callback, phone)));
        assert_eq!(promised("We'll definitely send you an email."), Some((Message, email)));
        assert_eq!(promised("برایتان ایمیل می‌فرستم"), Some((Message, email)));
        assert_eq!(promised("I will refund the fee today."), Some((Payment, None)));
        assert_eq!(promised("I'll send you the form."), Some((Task, None)));
        assert_eq!(promised("We will meet on Monday."), Some((Meeting, None)));
        for text in
            ["I won't call you.", "Will you call me?", "I called you.", "تماس نمی‌گیرم", "I will need it."]
        {
            assert_eq!(promised(text), None, "{text}");
        }
    }
}
