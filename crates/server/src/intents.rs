//! The organisation's intents, as supervisors change them while calls go on.
//!
//! They begin with the configured file. What people change lies over it in the database: intents by their names, and
//! sentences, each with the one intent that it is an example of. So a better file can take the place of the first, and what
//! people have taught stays. After a change the recogniser is [learned anew](IntentEditor::keep_learned), beside the calls.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use serde::Serialize;
use sotto_call::{CallId, MASK, PlaybookStep, Secret};
use sotto_insight::{InsightError, IntentSet, Playbook};
use sotto_store::{ExampleRow, IntentEdits, IntentRow, PlaybookRow, Store, StoreError};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, watch};
use utoipa::ToSchema;

use crate::audit::Audit;
use crate::http::schema;
use crate::redaction::RedactionConfig;

/// What a change is called in the audit.
const AUDITED: &str = "intents";

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// No intent has this name.
    #[error("there is no intent called `{0}`")]
    UnknownIntent(String),
    /// The sentence is no example.
    #[error("this sentence is an example of nothing")]
    UnknownExample,
    /// Another intent has this name.
    #[error("there is an intent called `{0}` already")]
    Taken(String),
    /// The sentence would not have been kept in a call either.
    #[error("an example must not hold a secret{}", kinds(.0))]
    Secret(Vec<Secret>),
    /// There are digits in the sentence that may be a part of a secret: nothing takes them out of an example later.
    #[error("an example must not hold four or more digits in a row, which may be a part of a secret")]
    LongNumber,
    /// What is to be changed would be none of a set, see [`IntentSet::check`].
    #[error(transparent)]
    Invalid(#[from] InsightError),
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn kinds(secrets: &[Secret]) -> String {
    let kinds: Vec<&str> = secrets.iter().map(|secret| secret.as_str()).collect();
    if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) }
}

/// Who changes something, and when.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Their name.
    pub who: &'a str,
    /// In milliseconds since 1970 (UTC).
    pub at_unix_ms: u64,
}

/// The intents as they are now.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct IntentList {
    /// Whether they are what calls are listened to with.
    pub learning: Learning,
    /// In the order of the file, then those that were added.
    pub intents: Vec<ListedIntent>,
    /// Sentences that are none of them.
    pub none: Vec<ListedExample>,
}

/// How far the recogniser is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Learning {
    /// It knows them as they are.
    Done,
    /// It is learning what has changed.
    Going,
    /// It learns nothing just now: nothing is understood here, or what it takes is not there yet.
    Waiting,
}

/// An intent as it is now.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ListedIntent {
    /// For programs.
    pub name: String,
    /// What people call it, by language.
    pub title: BTreeMap<String, String>,
    /// Whether supervisors are to know of it while the call is live.
    pub alert: bool,
    /// What agents do for somebody who wants it, step by step.
    #[schema(value_type = Vec<schema::PlaybookStep>)]
    pub playbook: Vec<PlaybookStep>,
    /// Whether the configured file has it.
    pub in_file: bool,
    /// Whether it has enough examples to be recognised.
    pub learnable: bool,
    /// What somebody says who wants it.
    pub examples: Vec<ListedExample>,
}

/// An example, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ListedExample {
    /// The sentence.
    pub text: String,
    /// Who added it; absent: it comes from the configured file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When they did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_unix_ms: Option<u64>,
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct IntentEditor {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    audit: Audit,
    /// What the file has.
    base: IntentSet,
    redaction: RedactionConfig,
    /// Where agents' steps come from; absent where they are told nothing.
    playbook: OnceLock<Arc<Playbook>>,
    /// Held while something is changed: what the change was checked against stays as it is.
    changing: Mutex<()>,
    /// How much has been changed, from 1.
    changes: watch::Sender<u64>,
    /// How much of that is learned.
    learned: AtomicU64,
}

impl IntentEditor {
    /// Over what the configured file has, if there is one.
    #[must_use]
    pub fn new(store: Store, audit: Audit, file: Option<IntentSet>, redaction: RedactionConfig) -> Self {
        Self {
            shared: Arc::new(Shared {
                store,
                audit,
                base: file.unwrap_or_default(),
                redaction,
                playbook: OnceLock::new(),
                changing: Mutex::default(),
                // What there is to begin with is to be learned, too.
                changes: watch::channel(1).0,
                learned: AtomicU64::new(0),
            }),
        }
    }

    /// From now on agents are told the steps by this playbook: what is changed is told on calls that go on, too.
    pub fn guide_by(&self, playbook: Arc<Playbook>) {
        let _ = self.shared.playbook.set(playbook);
    }

    /// The intents as they are now.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn list(&self) -> Result<IntentList, StoreError> {
        let Shared { store, base, changes, learned, .. } = &*self.shared;
        let edits = store.intent_edits().await?;
        let set = edited(base, &edits);
        let added: HashMap<&str, &ExampleRow> =
            edits.examples.iter().map(|row| (row.text.as_str(), row)).collect();
        let listed = |text: &str| {
            let row = added.get(text);
            ListedExample {
                text: text.to_owned(),
                by: row.map(|row| row.changed_by.clone()),
                at_unix_ms: row.map(|row| row.changed_at_unix_ms),
            }
        };
        let intents = set.intents().iter().map(|intent| ListedIntent {
            name: intent.name.clone(),
            title: intent.title.clone(),
            alert: intent.alert,
            playbook: intent.playbook.clone(),
            in_file: base.get(&intent.name).is_some(),
            learnable: intent.is_learnable(),
            examples: intent.examples().map(listed).collect(),
        });
        let learning = if changes.receiver_count() == 0 {
            Learning::Waiting
        } else if learned.load(Relaxed) < *changes.borrow() {
            Learning::Going
        } else {
            Learning::Done
        };
        Ok(IntentList { learning, intents: intents.collect(), none: set.none().map(listed).collect() })
    }

    /// Adds an intent, which has no examples yet. One that was removed comes back with those that it has in the file.
    ///
    /// # Errors
    /// [`EditError::Taken`], [`EditError::Invalid`], [`EditError::Store`].
    pub async fn add(
        &self,
        change: Change<'_>,
        name: &str,
        title: BTreeMap<String, String>,
        alert: bool,
    ) -> Result<(), EditError> {
        let name = tidy(name);
        let _changing = self.shared.changing.lock().await;
        let set = self.set().await?;
        if set.get(&name).is_some() {
            return Err(EditError::Taken(name));
        }
        self.put(change, set, &name, title, alert, "added").await
    }

    /// Gives an intent another title, and says whether supervisors are to know of it. Its name stays: logs have it.
    ///
    /// # Errors
    /// [`EditError::UnknownIntent`], [`EditError::Invalid`], [`EditError::Store`].
    pub async fn rename(
        &self,
        change: Change<'_>,
        name: &str,
        title: BTreeMap<String, String>,
        alert: bool,
    ) -> Result<(), EditError> {
        let _changing = self.shared.changing.lock().await;
        let set = self.set().await?;
        if set.get(name).is_none() {
            return Err(EditError::UnknownIntent(name.to_owned()));
        }
        self.put(change, set, name, title, alert, "changed").await
    }

    async fn put(
        &self,
        change: Change<'_>,
        mut set: IntentSet,
        name: &str,
        title: BTreeMap<String, String>,
        alert: bool,
        what: &str,
    ) -> Result<(), EditError> {
        let title: BTreeMap<String, String> =
            title.into_iter().map(|(language, title)| (language, tidy(&title))).collect();
        set.put(name, title.clone(), alert);
        set.check()?;
        let (changed_at_unix_ms, changed_by) = (change.at_unix_ms, change.who.to_owned());
        let name = name.to_owned();
        let row = IntentRow { name, title, alert, removed: false, changed_at_unix_ms, changed_by };
        self.shared.store.put_intent(&row).await?;
        self.changed(change, None, &format!("{}: {what}", row.name));
        Ok(())
    }

    /// Has agents do this for who wants an intent, step by step. Nothing is learned by it, and calls that go on know at once.
    ///
    /// # Errors
    /// [`EditError::UnknownIntent`], [`EditError::Invalid`], [`EditError::Store`].
    pub async fn put_playbook(
        &self,
        change: Change<'_>,
        name: &str,
        steps: Vec<PlaybookStep>,
    ) -> Result<(), EditError> {
        let tidied = |text: BTreeMap<String, String>| -> BTreeMap<String, String> {
            text.into_iter().map(|(language, text)| (language, tidy(&text))).collect()
        };
        let steps: Vec<PlaybookStep> =
            steps.into_iter().map(|step| PlaybookStep { text: tidied(step.text), ..step }).collect();
        let _changing = self.shared.changing.lock().await;
        let mut set = self.set().await?;
        if !set.put_playbook(name, steps.clone()) {
            return Err(EditError::UnknownIntent(name.to_owned()));
        }
        set.check()?;
        let row = PlaybookRow {
            intent: name.to_owned(),
            steps,
            changed_at_unix_ms: change.at_unix_ms,
            changed_by: change.who.to_owned(),
        };
        self.shared.store.put_playbook(&row).await?;
        self.shared.audit.note(change.who, AUDITED, None, &format!("{name}: playbook changed"));
        self.guide(&set);
        Ok(())
    }

    fn guide(&self, set: &IntentSet) {
        if let Some(playbook) = self.shared.playbook.get() {
            playbook.take_steps(set);
        }
    }

    /// Removes an intent, with its examples.
    ///
    /// # Errors
    /// [`EditError::UnknownIntent`], [`EditError::Store`].
    pub async fn remove(&self, change: Change<'_>, name: &str) -> Result<(), EditError> {
        let _changing = self.shared.changing.lock().await;
        let set = self.set().await?;
        let intent = set.get(name).ok_or_else(|| EditError::UnknownIntent(name.to_owned()))?;
        let row = IntentRow {
            name: intent.name.clone(),
            title: intent.title.clone(),
            alert: intent.alert,
            removed: true,
            changed_at_unix_ms: change.at_unix_ms,
            changed_by: change.who.to_owned(),
        };
        self.shared.store.put_intent(&row).await?;
        self.changed(change, None, &format!("{name}: removed"));
        Ok(())
    }

    /// Makes a sentence an example of an intent or, without one, of none of them. Whatever it was an example of before,
    /// it is so no more. `call` is where it was said.
    ///
    /// # Errors
    /// [`EditError::UnknownIntent`], [`EditError::Secret`], [`EditError::LongNumber`], [`EditError::Invalid`],
    /// [`EditError::Store`].
    pub async fn add_example(
        &self,
        change: Change<'_>,
        intent: Option<&str>,
        text: &str,
        call: Option<CallId>,
    ) -> Result<(), EditError> {
        let text = tidy(text);
        let _changing = self.shared.changing.lock().await;
        let mut set = self.set().await?;
        set.retain_examples(|sentence| sentence != text);
        if !set.add_example(intent, &text) {
            return Err(EditError::UnknownIntent(intent.unwrap_or_default().to_owned()));
        }
        set.check()?;
        // Only now is the sentence known to be no longer than one that is worth looking into.
        let secrets = self.shared.redaction.secrets_in(&text);
        if !secrets.is_empty() || text.contains(MASK) {
            return Err(EditError::Secret(secrets));
        }
        if self.shared.redaction.may_become_secret(&text) {
            return Err(EditError::LongNumber);
        }
        let row = ExampleRow {
            text,
            intent: intent.map(str::to_owned),
            removed: false,
            changed_at_unix_ms: change.at_unix_ms,
            changed_by: change.who.to_owned(),
        };
        self.shared.store.put_example(&row).await?;
        self.changed(change, call, &format!("{}: example added", intent.unwrap_or("none")));
        Ok(())
    }

    /// A sentence is an example no more.
    ///
    /// # Errors
    /// [`EditError::UnknownExample`], [`EditError::Store`].
    pub async fn remove_example(&self, change: Change<'_>, text: &str) -> Result<(), EditError> {
        let _changing = self.shared.changing.lock().await;
        let Shared { store, base, .. } = &*self.shared;
        let set = self.set().await?;
        let of = place(&set, text).ok_or(EditError::UnknownExample)?;
        if place(base, text).is_some() {
            let row = ExampleRow {
                text: text.to_owned(),
                intent: of.map(str::to_owned),
                removed: true,
                changed_at_unix_ms: change.at_unix_ms,
                changed_by: change.who.to_owned(),
            };
            store.put_example(&row).await?;
        } else {
            // What somebody said in a call is not kept for longer than it is wanted.
            store.forget_example(text).await?;
        }
        self.changed(change, None, &format!("{}: example removed", of.unwrap_or("none")));
        Ok(())
    }

    /// Has what there is to recognise learned by `learn`, and again whenever something has changed: one learning at a time,
    /// and one more for all that is changed while one goes on. `learn` gets nothing when no intent has enough examples.
    ///
    /// Blocks for as long as it works; must not be called on a thread of `runtime`.
    ///
    /// # Errors
    /// When the database refuses, or `learn` does.
    pub fn keep_learned(
        &self,
        runtime: &Handle,
        mut learn: impl FnMut(Option<&IntentSet>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut changes = self.shared.changes.subscribe();
        loop {
            let until = *changes.borrow_and_update();
            let set = runtime.block_on(self.set())?;
            self.guide(&set);
            learn(set.learnable().as_ref())?;
            self.shared.learned.store(until, Relaxed);
            runtime.block_on(changes.changed())?;
        }
    }

    async fn set(&self) -> Result<IntentSet, StoreError> {
        Ok(edited(&self.shared.base, &self.shared.store.intent_edits().await?))
    }

    /// Something has been changed. The audit says of which intent but not the sentence, which somebody said in a call and
    /// which is gone when it is removed.
    fn changed(&self, change: Change<'_>, call: Option<CallId>, what: &str) {
        self.shared.audit.note(change.who, AUDITED, call, what);
        self.shared.changes.send_modify(|changes| *changes += 1);
    }
}

/// A set as it is after it was edited. A sentence whose intent is gone from the file is an example of nothing meanwhile.
fn edited(base: &IntentSet, edits: &IntentEdits) -> IntentSet {
    let mut set = base.clone();
    for row in &edits.intents {
        if row.removed {
            set.remove(&row.name);
        } else {
            set.put(&row.name, row.title.clone(), row.alert);
        }
    }
    for row in &edits.playbooks {
        set.put_playbook(&row.intent, row.steps.clone());
    }
    let said: HashMap<&str, &ExampleRow> =
        edits.examples.iter().map(|row| (row.text.as_str(), row)).collect();
    set.retain_examples(|sentence| !said.contains_key(sentence));
    for row in edits.examples.iter().filter(|row| !row.removed) {
        set.add_example(row.intent.as_deref(), &row.text);
    }
    set
}

/// What a sentence is an example of in a set: of an intent, of none of them, or, where nothing comes, of nothing.
fn place<'a>(set: &'a IntentSet, text: &str) -> Option<Option<&'a str>> {
    let is_text = |sentence: &str| sentence == text;
    let intent = set.intents().iter().find(|intent| intent.examples().any(is_text));
    match intent {
        Some(intent) => Some(Some(intent.name.as_str())),
        None => set.none().any(is_text).then_some(None),
    }
}

/// Text on one line, without what cannot be seen.
fn tidy(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use sotto_store::testing;

    use super::*;

    const FILE: &str = r#"
        none = { en = ["I am on the train."] }
        [[intents]]
        name = "refund"
        title = { en = "Refund" }
        examples = { en = ["I want my money back.", "A refund, please.", "Return what I paid."] }
        [[intents]]
        name = "prices"
        title = { en = "Prices" }
        examples = { en = ["How much is it?", "What does it cost?"], fa = ["چنده؟"] }
    "#;

    const MINA: Change<'_> = Change { who: "mina", at_unix_ms: 7 };

    fn title(text: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("en".to_owned(), text.to_owned())])
    }

    fn editor(store: &Store) -> IntentEditor {
        let file = IntentSet::parse(FILE).unwrap();
        IntentEditor::new(
            store.clone(),
            Audit::keep_in(store.clone()),
            Some(file),
            RedactionConfig::default(),
        )
    }

    /// Names, with how many examples each has.
    fn counts(list: &IntentList) -> Vec<(&str, usize)> {
        list.intents.iter().map(|intent| (intent.name.as_str(), intent.examples.len())).collect()
    }

    #[tokio::test]
    async fn a_sentence_is_an_example_of_one_intent_and_is_forgotten_when_it_is_of_none() {
        let (store, _folder) = testing::sqlite().await;
        let editor = editor(&store);
        editor.add_example(MINA, Some("refund"), "  Give it\nback to me. ", None).await.unwrap();
        editor.add_example(MINA, Some("refund"), "What does it cost?", None).await.unwrap();
        let list = editor.list().await.unwrap();
        assert_eq!(counts(&list), [("refund", 5), ("prices", 2)]);
        let [own, moved] = &list.intents[0].examples[3..] else { panic!("{list:?}") };
        assert_eq!((own.text.as_str(), own.by.as_deref()), ("Give it back to me.", Some("mina")));
        assert_eq!((moved.at_unix_ms, list.intents[0].examples[0].by.as_deref()), (Some(7), None));
        assert!(!list.intents[1].learnable, "two are too few");

        // What was added is gone, what the file has is known to be unwanted.
        for text in ["Give it back to me.", "What does it cost?", "I am on the train."] {
            editor.remove_example(MINA, text).await.unwrap();
        }
        let gone = editor.remove_example(MINA, "Give it back to me.").await;
        assert!(matches!(gone, Err(EditError::UnknownExample)));
        let list = editor.list().await.unwrap();
        assert_eq!((counts(&list), list.none.len()), (vec![("refund", 3), ("prices", 2)], 0));
        let kept: Vec<String> =
            store.intent_edits().await.unwrap().examples.into_iter().map(|row| row.text).collect();
        assert_eq!(kept, ["I am on the train.", "What does it cost?"]);
        // And comes back when it is wanted again, to none as well.
        editor.add_example(MINA, Some("prices"), "What does it cost?", None).await.unwrap();
        editor.add_example(MINA, None, "Give it back to me.", None).await.unwrap();
        let list = editor.list().await.unwrap();
        assert_eq!((counts(&list), list.none.len()), (vec![("refund", 3), ("prices", 3)], 1));
    }

    #[tokio::test]
    async fn intents_come_and_go_and_the_file_may_change_beneath() {
        let (store, _folder) = testing::sqlite().await;
        let editor = editor(&store);
        let taken = editor.add(MINA, " prices ", title("x"), false).await;
        assert!(matches!(taken, Err(EditError::Taken(name)) if name == "prices"));
        let unknown = editor.rename(MINA, "x", title("x"), false).await;
        assert!(matches!(unknown, Err(EditError::UnknownIntent(_))));
        assert!(matches!(editor.remove(MINA, "x").await, Err(EditError::UnknownIntent(_))));
        assert!(matches!(editor.add(MINA, "x", title(" \n"), false).await, Err(EditError::Invalid(_))));
        editor.add(MINA, "complaint", title("Complaint"), true).await.unwrap();
        editor.add_example(MINA, Some("complaint"), "I am not happy.", None).await.unwrap();
        editor.rename(MINA, "prices", title("What it costs"), false).await.unwrap();
        editor.add_example(MINA, Some("refund"), "Pay me back.", None).await.unwrap();
        editor.remove(MINA, "refund").await.unwrap();
        let list = editor.list().await.unwrap();
        assert_eq!(counts(&list), [("prices", 3), ("complaint", 1)]);
        assert_eq!(list.intents[0].title, title("What it costs"));
        assert!(list.intents[0].in_file && !list.intents[1].in_file && list.intents[1].alert);
        // As the file has it, when it comes back.
        editor.add(MINA, "refund", title("Refund"), false).await.unwrap();
        assert_eq!(counts(&editor.list().await.unwrap()), [("refund", 3), ("prices", 3), ("complaint", 1)]);
        // What was taught stays under another file.
        let bare = IntentEditor::new(store, Audit::to_log_only(), None, RedactionConfig::default());
        let list = bare.list().await.unwrap();
        assert_eq!(counts(&list), [("complaint", 1), ("prices", 0), ("refund", 0)]);
        assert_eq!(list.learning, Learning::Waiting);
    }

    #[tokio::test]
    async fn a_playbook_takes_the_place_of_the_files_and_goes_with_its_intent() {
        let (store, _folder) = testing::sqlite().await;
        let editor = editor(&store);
        let step = |text: &str| PlaybookStep { text: title(text), until: None };
        let of = async |name: &str| {
            let list = editor.list().await.unwrap();
            list.intents.into_iter().find(|intent| intent.name == name).map(|intent| intent.playbook)
        };
        editor
            .put_playbook(MINA, "refund", vec![step(" Ask for\nthe number. "), step("Thank them.")])
            .await
            .unwrap();
        assert_eq!(of("refund").await, Some(vec![step("Ask for the number."), step("Thank them.")]));
        editor.rename(MINA, "refund", title("Money back"), false).await.unwrap();
        assert_eq!(
            of("refund").await.map(|steps| steps.len()),
            Some(2),
            "another title is no other playbook"
        );
        let unknown = editor.put_playbook(MINA, "x", vec![step("Wait.")]).await;
        assert!(matches!(unknown, Err(EditError::UnknownIntent(_))));
        for wrong in
            [vec![step(" ")], vec![PlaybookStep { text: BTreeMap::new(), until: None }], vec![step("x"); 21]]
        {
            assert!(matches!(editor.put_playbook(MINA, "refund", wrong).await, Err(EditError::Invalid(_))));
        }
        assert_eq!(of("refund").await.map(|steps| steps.len()), Some(2));
        editor.remove(MINA, "refund").await.unwrap();
        editor.add(MINA, "refund", title("Refund"), false).await.unwrap();
        assert_eq!(of("refund").await, Some(Vec::new()), "as the file has it");
    }

    #[tokio::test]
    async fn secrets_and_what_is_too_long_are_no_examples() {
        let (store, _folder) = testing::sqlite().await;
        let editor = editor(&store);
        let add = async |text: &str| editor.add_example(MINA, Some("refund"), text, None).await;
        let card = add("Refund it to 4242 4242 4242 4242").await.unwrap_err();
        assert!(matches!(card, EditError::Secret(_)));
        assert_eq!(card.to_string(), "an example must not hold a secret (card)");
        assert!(matches!(add("Refund it to ••••, please.").await, Err(EditError::Secret(_))));
        // Nobody knows yet what the other half is.
        for half in ["It is 4242 4242", "four two, uh, four two", "شماره‌اش ۴۲۴۲ ۴۲۴۲ است", "چهار دو چهار دو"]
        {
            assert!(matches!(add(half).await, Err(EditError::LongNumber)), "{half}");
        }
        for none in [" \u{0}\n ".to_owned(), "a".repeat(501)] {
            assert!(matches!(add(&none).await, Err(EditError::Invalid(_))));
        }
        assert!(store.intent_edits().await.unwrap().examples.is_empty());
        for harmless in ["I paid 2500 dollars for 3 months.", "It was on 12/05/2026 at 10:30."] {
            add(harmless).await.unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_changes_while_it_is_learned_is_learned_once_more_and_never_at_the_same_time() {
        let (store, _folder) = testing::sqlite().await;
        let editor = editor(&store);
        let (begun, learnings) = channel();
        let (go, gone) = channel::<()>();
        let (runtime, keeps) = (Handle::current(), editor.clone());
        let thread = std::thread::spawn(move || {
            keeps.keep_learned(&runtime, |set| {
                let of = |name| set.and_then(|set| set.get(name)).map_or(0, |one| one.examples().count());
                begun.send((of("refund"), of("prices")))?;
                Ok(gone.recv()?)
            })
        });
        let patient = Duration::from_secs(10);
        let learning = async || editor.list().await.unwrap().learning;
        assert_eq!(learnings.recv_timeout(patient), Ok((3, 3)));
        assert_eq!(learning().await, Learning::Going, "nothing is learned yet");
        // Two are too few to be recognised.
        editor.remove_example(MINA, "چنده؟").await.unwrap();
        editor.add_example(MINA, Some("refund"), "Give it back.", None).await.unwrap();
        assert!(learnings.recv_timeout(Duration::from_millis(50)).is_err(), "one at a time");
        assert_eq!(learning().await, Learning::Going);
        go.send(()).unwrap();
        assert_eq!(learnings.recv_timeout(patient), Ok((4, 0)));
        go.send(()).unwrap();
        while learning().await != Learning::Done {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(learnings.recv_timeout(Duration::from_millis(50)).is_err(), "once");
        drop(go);
        editor.add_example(MINA, None, "Never mind.", None).await.unwrap();
        assert_eq!(learnings.recv_timeout(patient), Ok((4, 0)));
        assert!(thread.join().unwrap().is_err());
        assert_eq!(learning().await, Learning::Waiting);
    }
}
