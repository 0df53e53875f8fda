//! What is said, understood while calls go on: what is named, and of customers mood and intent, and what is written down
//! about what they ask, by one thread for all calls.
//!
//! The thread that listens hands over final words and never waits; the thread here finds what is named in them, embeds
//! those of customers once, reads from that what there is to read, and has it published by the call's task. When it is
//! behind, words are left out and counted: a mood that comes late helps nobody, and the next one takes it in.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Read as _;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sotto_call::{
    AgentUtterance, Card, CardWhy, ChecklistItem, CustomerUtterance, Emotion, Entities, Entity, EntityKind,
    EventBody, Intent, Millis, Mood, Party, Quote, Span, Utterance, UtteranceId, Voice,
};
use sotto_insight::{
    Checklist, Duty, Embedder, EmbeddingModel, EmotionalArc, InsightError, IntentSet, Intents, MoodReader,
    Observation, Polarity, Understanding, Understood, Urgency, Voices, Wanted, asked_for,
};
use sotto_knowledge::{Excerpt, Hit, Index, Query, Question, Trigger, Turn, Viewer};
use sotto_models::{Cache, Onnx, Progress};
use sotto_speech::Histogram;
use sotto_store::Role;
use sotto_text::words;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};

use crate::library::{self, Library};
use crate::priority;

/// Utterances that may wait: two seconds' work, a hundred calls' worth.
const QUEUE: usize = 64;
/// Utterances of a call among which the one just before is looked for.
const REMEMBERED: usize = 32;
/// An answer begins at most this long after the question.
const ANSWERED_WITHIN: Millis = Millis(20_000);
/// Utterances of a call that a question may lean on.
const TURNS: usize = 8;
/// Characters (Unicode scalar values) of a card.
const CARD: usize = 400;
/// The largest file of intents that is read, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// See [`crate::config::Config::insight`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InsightConfig {
    /// Whether anything is understood. Mood and intents take a model (`embedding`), which is fetched when it is not there;
    /// calls do not wait for it.
    pub enabled: bool,
    /// What words are turned into before mood and intents are read: `multilingual` (79 MB, for which 91 MB are fetched;
    /// English, Persian and a hundred others), or `english` (23 MB, for which 22 MB are fetched; lighter, and English is all
    /// that is understood then: what is said in another language has neither mood nor intent, and examples in others are left
    /// out). With `english` no checklist ticks itself, and as long as no heads have been trained over it no mood is read: it takes
    /// `mood = "off"` then. Documents are looked up by `multilingual` either way, also for what customers ask on calls: where
    /// there are documents, `english` comes on top.
    pub embedding: EmbeddingModel,
    /// What tells of customers' mood: `words`; `voice_and_words`, for how agitated they are as well, by pitch, loudness,
    /// rate and pauses; or `off` for no mood of anybody. Of agents there is none either way.
    pub mood: MoodFrom,
    /// The folder of a text classifier that tells sentiments apart in the place of what is built in: `model.onnx`,
    /// `tokenizer.json` and `config.json`, as Hugging Face's tools export them.
    #[schemars(with = "Option<String>")]
    pub sentiment_model: Option<PathBuf>,
    /// What its labels stand for, `negative`, `neutral` or `positive`, unless they are called so: `LABEL_0 = "negative"`.
    pub sentiment_labels: BTreeMap<String, Polarity>,
    /// The same for emotions.
    #[schemars(with = "Option<String>")]
    pub emotion_model: Option<PathBuf>,
    /// What its labels stand for: `anger`, `annoyance`, `disappointment`, `confusion`, `worry`, `sadness`, `gratitude`, `joy`
    /// or `neutral`, unless they are called so.
    pub emotion_labels: BTreeMap<String, Emotion>,
    /// The same for whether it is urgent to somebody; phrases for that count besides.
    #[schemars(with = "Option<String>")]
    pub urgency_model: Option<PathBuf>,
    /// What its labels stand for, `urgent` or `not_urgent`, unless they are called so.
    pub urgency_labels: BTreeMap<String, Urgency>,
    /// What moods are read for, by language: shown beside them on the page, and kept in the audit with who looked.
    pub purpose: BTreeMap<String, String>,
    /// Days after which moods are removed from ended calls, whose words stay; 0 keeps them for as long as the call.
    pub mood_kept_days: u32,
    /// Who sees moods, and the alerts and prompts that come of them: `agent`, `reviewer`, `supervisor`, `admin`. A key with
    /// the scope `admin` is an admin, one with `calls:listen` a supervisor, any other an agent.
    #[schemars(with = "Vec<String>")]
    pub mood_seen_by: Vec<Role>,
    /// Whether a mood is read in calls that do not say whether their customer agrees (`sip.headers.consent`).
    pub consent_assumed: bool,
    /// The file with the intents to recognise in what customers say, to begin with: supervisors change them on the page.
    #[schemars(with = "Option<String>")]
    pub intents: Option<PathBuf>,
    /// Whether what both parties name is found: telephone numbers, e-mail addresses, amounts, dates and times, numbers of
    /// orders and accounts, names, cities, courses.
    pub entities: bool,
    /// How far ahead of UTC the clocks are where calls are answered: with `+03:30`, “tomorrow” begins when it does in Tehran.
    pub utc_offset: Offset,
}

impl Default for InsightConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            embedding: EmbeddingModel::Multilingual,
            mood: MoodFrom::Words,
            sentiment_model: None,
            sentiment_labels: BTreeMap::new(),
            emotion_model: None,
            emotion_labels: BTreeMap::new(),
            urgency_model: None,
            urgency_labels: BTreeMap::new(),
            purpose: [
                ("en", "So that agents can answer kindly, and supervisors see which call needs them."),
                ("fa", "تا کارشناس بتواند با مهربانی پاسخ دهد و سرپرست ببیند کدام تماس به او نیاز دارد."),
            ]
            .map(|(language, purpose)| (language.to_owned(), purpose.to_owned()))
            .into(),
            mood_kept_days: 90,
            mood_seen_by: Role::ALL.to_vec(),
            consent_assumed: true,
            intents: None,
            entities: true,
            utc_offset: Offset(UtcOffset::UTC),
        }
    }
}

const OFFSET: &[BorrowedFormatItem<'_>] = format_description!("[offset_hour sign:mandatory]:[offset_minute]");

/// A difference from UTC, written `+03:30`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Offset(UtcOffset);

impl FromStr for Offset {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let offset = UtcOffset::parse(text, OFFSET);
        offset.map(Self).map_err(|_| format!("`{text}` is no difference from UTC like +03:30"))
    }
}

impl TryFrom<String> for Offset {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Offset> for UtcOffset {
    fn from(Offset(offset): Offset) -> Self {
        offset
    }
}

impl From<Offset> for String {
    fn from(Offset(offset): Offset) -> Self {
        let (hours, minutes, _) = offset.as_hms();
        let sign = if offset.is_negative() { '-' } else { '+' };
        format!("{sign}{:02}:{:02}", hours.unsigned_abs(), minutes.unsigned_abs())
    }
}

/// What a mood is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MoodFrom {
    /// What the customer says.
    Words,
    /// How they say it as well.
    VoiceAndWords,
    /// Nothing: there is no mood.
    Off,
}

impl InsightConfig {
    /// Whether there is anything to understand that takes models, with this checklist.
    #[must_use]
    pub fn is_wanted(&self, checklist: &[Duty]) -> bool {
        self.enabled && (self.mood != MoodFrom::Off || self.intents.is_some() || !checklist.is_empty())
    }

    /// Whether what is wanted can be had of the embedding, with this checklist.
    ///
    /// # Errors
    /// When moods are to be read and cannot, or a checklist cannot tick itself.
    pub fn check(&self, checklist: &[Duty]) -> anyhow::Result<()> {
        if !self.enabled {
            return Ok(());
        }
        if self.mood != MoodFrom::Off {
            let advice = "`insight.embedding`: `multilingual` is needed unless `insight.mood = \"off\"`";
            MoodReader::check(self.embedding).context(advice)?;
        }
        if !checklist.is_empty() {
            let advice = "`insight.embedding`: `multilingual` is needed for the checklist in `prompts.file`";
            Checklist::check(self.embedding).context(advice)?;
        }
        Ok(())
    }

    /// What is never understood, as this is set.
    #[must_use]
    pub fn lacks(&self) -> Option<String> {
        let is_english = self.enabled && self.embedding == EmbeddingModel::English;
        let said = || "mood and intents are understood in English alone (`insight.embedding`)".to_owned();
        is_english.then(said)
    }

    /// The intents to recognise.
    ///
    /// # Errors
    /// When the file cannot be read, or what is in it is wrong.
    pub fn read_intents(&self) -> anyhow::Result<Option<IntentSet>> {
        let Some(path) = self.intents.as_ref().filter(|_| self.enabled) else { return Ok(None) };
        let place = || format!("`insight.intents`: {}", path.display());
        let mut text = String::new();
        let file = std::fs::File::open(path).with_context(place)?;
        file.take(MAX_FILE).read_to_string(&mut text).with_context(place)?;
        Ok(Some(IntentSet::parse(&text).with_context(place)?))
    }

    /// What reads moods; nothing, where none is wanted.
    fn mood_reader(&self, onnx: &Onnx, over: &Embedder) -> anyhow::Result<Option<MoodReader>> {
        if self.mood == MoodFrom::Off {
            return Ok(None);
        }
        let mut reader = MoodReader::built_in(onnx, over)?;
        if let Some(folder) = &self.sentiment_model {
            let own = reader.with_sentiment(onnx, folder, &self.sentiment_labels);
            reader = own.context("`insight.sentiment_model`")?;
        }
        if let Some(folder) = &self.emotion_model {
            let own = reader.with_emotion(onnx, folder, &self.emotion_labels);
            reader = own.context("`insight.emotion_model`")?;
        }
        if let Some(folder) = &self.urgency_model {
            let own = reader.with_urgency(onnx, folder, &self.urgency_labels);
            reader = own.context("`insight.urgency_model`")?;
        }
        Ok(Some(reader))
    }
}

/// Finds the models, fetching what is missing, and learns the intents and the checklist.
///
/// Blocking: it may download what [`InsightConfig::embedding`] says, and takes a second otherwise.
///
/// # Errors
/// When a model cannot be had or is damaged.
pub fn open(
    config: &InsightConfig,
    intents: Option<&IntentSet>,
    checklist: &[Duty],
    cache: &Cache,
    progress: &mut dyn Progress,
) -> anyhow::Result<Understanding> {
    let (onnx, file) = (cache.onnx(progress)?, cache.require(config.embedding.artefact(), progress)?);
    let embedder = Embedder::open(&onnx, config.embedding, &file, 1);
    let mut embedder = embedder.context("opening the sentence embedding")?;
    let mood = config.mood_reader(&onnx, &embedder)?;
    let intents = intents.map(|set| Intents::learn(set, &mut embedder)).transpose()?.flatten();
    let checklist = Checklist::learn(checklist, &mut embedder)?;
    Ok(Understanding::new(embedder, mood, intents).with_checklist(checklist))
}

/// What is counted of all calls, from the start of the process.
#[derive(Debug, Default)]
pub struct Figures {
    /// From the publication of a customer's words to that of what was understood of them.
    pub latency: Histogram,
    /// Utterances whose mood was read.
    pub moods: AtomicU64,
    /// Utterances in which an intent was recognised.
    pub intents: AtomicU64,
    /// Entities found, those of revised words counted again.
    pub entities: AtomicU64,
    /// Questions of customers that were looked up.
    pub questions: AtomicU64,
    /// What was looked up for words that could still change.
    pub ahead: AtomicU64,
    /// How long that took where the final words asked the same: by so much their card came sooner, at the least.
    pub sooner: Histogram,
    /// Utterances left out because too many waited.
    pub dropped: AtomicU64,
    /// Utterances that could not be understood because a model, or a rule, failed.
    pub failed: AtomicU64,
}

/// What is remembered of one call.
#[derive(Debug, Default)]
pub struct CallMemory {
    consent: Mutex<Agreement>,
    /// Wall-clock time of the call's clock's zero, in milliseconds since 1970 (UTC).
    started_at_unix_ms: u64,
    /// Whose call it is, by name.
    agent: Mutex<Option<String>>,
    /// Whether the call has a checklist, which the agent's words tick.
    has_checklist: bool,
    /// Where the newest finals of all parties began. Only the thread that listens looks here.
    said: Mutex<VecDeque<(Millis, UtteranceId)>>,
    /// Only the thread that understands looks here.
    understood: Mutex<Remembered>,
}

#[derive(Debug, Default)]
struct Agreement {
    /// Whether the customer agrees that their mood is read, where somebody has said so.
    agrees: Option<bool>,
    /// They did not, or somebody else has taken their place, since the thread that understands looked last: what it knows of
    /// their mood goes.
    is_over: bool,
    /// Whoever is in the customer's place is an employee, of whom nothing is understood.
    is_employee: bool,
    /// Somebody has written down that they do not agree.
    is_written_no: bool,
}

/// Who says whether a customer agrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsentSaidBy {
    /// The call itself, by a header or the like.
    Call,
    /// Somebody who has heard them say so.
    Person,
}

impl Agreement {
    fn may_feel(&self, assumed: bool) -> bool {
        !self.is_employee && self.agrees.unwrap_or(assumed)
    }
}

#[derive(Debug, Default)]
struct Remembered {
    arc: EmotionalArc,
    voices: Voices,
    /// Utterances in which an intent was recognised.
    wanted: BTreeSet<UtteranceId>,
    /// Utterances in which something is named.
    named: BTreeSet<UtteranceId>,
    /// Items of the checklist that were said, and by which utterance.
    said: Vec<(UtteranceId, ChecklistItem)>,
    /// The last question for the number of something.
    asked: Option<Asked>,
    /// What the newest answers to such questions answered: their words may be revised when something else has been asked.
    answers: BTreeMap<UtteranceId, EntityKind>,
    /// What was said last, by whomever.
    turns: VecDeque<Said>,
    /// What was looked up last for words that could still change.
    ahead: Option<Ahead>,
}

/// What is to be looked up, and in what.
struct Asking<'a> {
    question: Question<'a>,
    /// See [`Library::compares`].
    compares: bool,
    index: Arc<Index>,
    /// For whom: the call's agent, whoever follows it.
    viewer: Viewer,
}

/// What was found for a customer's words before they were final. It is shown only if the final words ask the very same, of
/// the same documents: so a card comes sooner, and is never another one.
#[derive(Debug)]
struct Ahead {
    id: UtteranceId,
    text: String,
    context: Vec<String>,
    compares: bool,
    index: Weak<Index>,
    viewer: Viewer,
    found: Option<Card>,
    took_ms: u64,
}

impl Ahead {
    fn is_of(&self, asking: &Asking<'_>) -> bool {
        let Asking { question, compares, index, viewer } = asking;
        (self.text.as_str(), self.compares, &self.viewer) == (question.text, *compares, viewer)
            && self.context == question.context
            && std::ptr::eq(self.index.as_ptr(), Arc::as_ptr(index))
    }
}

/// Final words that a question may lean on.
#[derive(Debug)]
struct Said {
    id: UtteranceId,
    start: Millis,
    party: Party,
    text: String,
}

impl Remembered {
    /// Takes note of what was said.
    fn hear(&mut self, said: &Utterance) {
        let Utterance { utterance_id: id, start_ms: start, party, ref text, .. } = *said;
        let text = text.clone();
        match self.turns.iter_mut().find(|turn| turn.id == id) {
            Some(known) => (known.party, known.text) = (party, text),
            None => self.turns.push_back(Said { id, start, party, text }),
        }
        if self.turns.len() > TURNS {
            self.turns.pop_front();
        }
    }

    /// What was said before, the newest first.
    fn before(&self, said: &Utterance) -> Vec<Turn<'_>> {
        let earlier = |turn: &&Said| turn.start < said.start_ms && turn.id != said.utterance_id;
        let mut turns: Vec<&Said> = self.turns.iter().filter(earlier).collect();
        turns.sort_by_key(|turn| std::cmp::Reverse(turn.start));
        let turn = turns
            .into_iter()
            .map(|turn| Turn { is_customers: turn.party == Party::Customer, text: turn.text.as_str() });
        turn.collect()
    }

    /// Opens the items again that an utterance said before, and does not say as its words are now. Where these are the words that
    /// said an item, and only what stands between them is another, they say it still: sentences are compared as wholes, and a
    /// comma in place of a full stop makes others of them.
    fn unsay(&mut self, id: UtteranceId, now: &str, says: &[ChecklistItem]) -> Vec<ChecklistItem> {
        let now = words(now);
        let is_gone = |item: &ChecklistItem| {
            let before = item.evidence.as_ref().map(|quote| words(&quote.text)).unwrap_or_default();
            !now.windows(before.len().max(1)).any(|some| some == before)
        };
        let (gone, said): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.said).into_iter().partition(|(by, item)| {
                *by == id && says.iter().all(|said| said.name != item.name) && is_gone(item)
            });
        self.said = said;
        gone.into_iter().map(|(_, item)| ChecklistItem { done: false, evidence: None, ..item }).collect()
    }

    /// What somebody's words answer, if the number of something was asked for.
    fn answered_by(&mut self, said: &Utterance) -> Option<EntityKind> {
        let id = said.utterance_id;
        let asked = || self.asked.filter(|asked| asked.is_to(said)).map(|asked| asked.of);
        let of = self.answers.get(&id).copied().or_else(asked)?;
        self.answers.insert(id, of);
        if self.answers.len() > REMEMBERED {
            self.answers.pop_first();
        }
        Some(of)
    }
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    by: Party,
    at: Millis,
    of: EntityKind,
}

impl Asked {
    /// Whether somebody's words may be the answer.
    fn is_to(&self, said: &Utterance) -> bool {
        said.party != self.by && (self.at..=self.at + ANSWERED_WITHIN).contains(&said.start_ms)
    }
}

impl CallMemory {
    /// Of a call whose clock's zero was at a wall-clock time, in milliseconds since 1970 (UTC).
    #[must_use]
    pub fn since(started_at_unix_ms: u64) -> Self {
        Self { started_at_unix_ms, ..Self::default() }
    }

    /// The same, of a call with a checklist.
    #[must_use]
    pub fn with_checklist(self) -> Self {
        Self { has_checklist: true, ..self }
    }

    /// The customer agrees that their mood is read, or does not, from now on. False, and nothing changes, where there is no
    /// customer who could agree, or the call says yes to what somebody has written down a no to.
    pub fn consents(&self, agrees: bool, says: ConsentSaidBy) -> bool {
        let mut consent = self.consent();
        let is_person = says == ConsentSaidBy::Person;
        if agrees && (consent.is_employee || consent.is_written_no && !is_person) {
            return false;
        }
        if is_person {
            consent.is_written_no = !agrees;
        }
        consent.agrees = Some(agrees);
        consent.is_over |= !agrees;
        true
    }

    /// Whoever is in the customer's place is an employee: of them there is neither mood nor intent from now on.
    pub fn has_no_customer(&self) {
        let mut consent = self.consent();
        (consent.is_employee, consent.is_over) = (true, true);
    }

    /// Somebody else takes the customer's place: what the one before agreed to, they have not. A no stands.
    pub fn has_another_customer(&self) {
        let mut consent = self.consent();
        consent.agrees = consent.agrees.filter(|agrees| !agrees);
        consent.is_over = true;
    }

    /// It is the call of an agent of this name from now on: what is looked up is looked up for them.
    pub fn attended_by(&self, agent: Option<&str>) {
        let mut known = self.agent.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_deref() != agent {
            *known = agent.map(str::to_owned);
        }
    }

    fn agent(&self) -> Option<String> {
        self.agent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn consent(&self) -> MutexGuard<'_, Agreement> {
        self.consent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a mood may be read. Of one that is over since this was asked last nothing is remembered.
    fn may_feel(&self, assumed: bool, known: &mut Remembered) -> bool {
        let mut consent = self.consent();
        if std::mem::take(&mut consent.is_over) {
            (known.arc, known.voices) = Default::default();
        }
        consent.may_feel(assumed)
    }

    /// The customer's words, if these are.
    fn customers(&self, said: &Utterance) -> Option<CustomerUtterance> {
        CustomerUtterance::of(said).filter(|_| !self.consent().is_employee)
    }

    /// Takes note of what was said, and how it sounded, and gives what there is to understand: nothing, while the words may
    /// still change.
    #[must_use]
    pub fn hear(self: &Arc<Self>, utterance: &Utterance, voice: Option<Voice>) -> Option<Heard> {
        if !utterance.r#final {
            return None;
        }
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier =
            said.iter().filter(|(start, id)| *start < utterance.start_ms && *id != utterance.utterance_id);
        let before = earlier.max().map(|(_, id)| *id);
        said.retain(|(_, id)| *id != utterance.utterance_id);
        if !utterance.text.is_empty() {
            said.push_back((utterance.start_ms, utterance.utterance_id));
            if said.len() > REMEMBERED {
                said.pop_front();
            }
        }
        let is_said = !utterance.text.trim().is_empty();
        let said = is_said.then(|| Box::new(utterance.clone()));
        Some(Heard { memory: Arc::clone(self), id: utterance.utterance_id, said, voice, before })
    }
}

/// Final words, to be understood.
#[derive(Debug)]
pub struct Heard {
    memory: Arc<CallMemory>,
    id: UtteranceId,
    /// Absent when the words were taken back.
    said: Option<Box<Utterance>>,
    voice: Option<Voice>,
    /// The utterance just before, whoever spoke.
    before: Option<UtteranceId>,
}

/// Publishes what was understood.
pub type Publish = Box<dyn Fn(EventBody) + Send>;

enum Job {
    /// Final words, to be understood.
    Understand {
        heard: Heard,
        publish: Publish,
        /// When the words were published; absent in what is played as fast as it goes, where time tells nothing.
        since: Option<Instant>,
    },
    /// Words of a customer that may still change, to be looked up ahead of the final ones.
    LookAhead(Arc<CallMemory>, Box<Utterance>),
}

/// Reads what takes models. Of an agent's words nothing comes but which items of a checklist they are.
trait Read: Send {
    /// A mood only where one may be read.
    fn of(&mut self, said: &CustomerUtterance, may_feel: bool) -> Result<Understood, InsightError>;

    fn covers(
        &mut self,
        said: &AgentUtterance,
        is_open: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<ChecklistItem>, InsightError>;

    /// The vectors of questions; none where it understands by another embedding than [documents'](library::EMBEDDING).
    fn embed(&mut self, questions: &[&str]) -> Result<Option<Vec<Vec<f32>>>, InsightError>;
}

impl Read for Understanding {
    fn of(&mut self, said: &CustomerUtterance, may_feel: bool) -> Result<Understood, InsightError> {
        Self::of(self, said, may_feel)
    }

    fn covers(
        &mut self,
        said: &AgentUtterance,
        is_open: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<ChecklistItem>, InsightError> {
        Self::covers(self, said, is_open)
    }

    fn embed(&mut self, questions: &[&str]) -> Result<Option<Vec<Vec<f32>>>, InsightError> {
        if self.model() != library::EMBEDDING {
            return Ok(None);
        }
        let embedded = Self::embed(self, questions)?;
        Ok(Some(embedded.iter().map(|embedding| embedding.to_vec()).collect()))
    }
}

/// The thread that understands, for those who have something for it.
pub struct Insight {
    /// Taken when it is stopped.
    jobs: Option<SyncSender<Job>>,
    /// How many jobs wait.
    waiting: Arc<AtomicUsize>,
    /// Absent until there are models.
    read: Arc<Mutex<Option<Box<dyn Read>>>>,
    /// Whether there are.
    is_reading: AtomicBool,
    listens_to_voices: bool,
    /// See [`InsightConfig::consent_assumed`].
    consent_assumed: bool,
    figures: Arc<Figures>,
    thread: Option<JoinHandle<()>>,
}

impl Insight {
    /// Starts the thread. It finds entities, if they are wanted, and moods and intents, and what the library has on
    /// customers' questions, once there is something to [read them with](Self::read_with).
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(config: &InsightConfig, library: Library) -> std::io::Result<Self> {
        let (jobs, inbox) = sync_channel(QUEUE);
        let (figures, read) = (Arc::new(Figures::default()), Arc::new(Mutex::new(None)));
        let waiting = Arc::new(AtomicUsize::new(0));
        let listens_to_voices = config.mood == MoodFrom::VoiceAndWords;
        let thread = Thread {
            entities: config.entities.then_some(config.utc_offset),
            voices: listens_to_voices,
            consent_assumed: config.consent_assumed,
            library,
            trigger: Trigger::new(),
            waiting: Arc::clone(&waiting),
            read: Arc::clone(&read),
            figures: Arc::clone(&figures),
        };
        let builder = std::thread::Builder::new().name("insight".into());
        let thread = builder.spawn(move || thread.run(&inbox))?;
        Ok(Self {
            jobs: Some(jobs),
            waiting,
            read,
            is_reading: AtomicBool::new(false),
            listens_to_voices,
            consent_assumed: config.consent_assumed,
            figures,
            thread: Some(thread),
        })
    }

    /// Whether the voice of a call's customer tells something, and is to be measured: not of one who does not agree.
    #[must_use]
    pub fn listens_to_voice(&self, memory: &CallMemory) -> bool {
        self.listens_to_voices && memory.consent().may_feel(self.consent_assumed)
    }

    /// From now on moods and intents are read, and a checklist ticks itself.
    pub fn read_with(&self, understanding: Understanding) {
        self.read_by(Box::new(understanding));
    }

    fn read_by(&self, read: Box<dyn Read>) {
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some(read);
        self.is_reading.store(true, Relaxed);
    }

    /// Whether moods and intents are read by now.
    #[must_use]
    pub fn is_reading(&self) -> bool {
        self.is_reading.load(Relaxed)
    }

    /// Whether its thread goes on. One that has ended by itself is not begun anew.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Has words understood, which have just been published, and what is understood published. Never waits: when
    /// too many wait already, these are left out.
    pub fn understand(&self, heard: Heard, publish: Publish) {
        let job = Job::Understand { heard, publish, since: Some(Instant::now()) };
        if !self.try_send(job) {
            self.figures.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Has a customer's words that may still change looked up ahead of the final ones, if they seem to be all that is said, and
    /// if nothing waits for the thread: final words are never kept waiting by more than one of these. Never waits.
    pub fn look_ahead(&self, memory: &Arc<CallMemory>, utterance: &Utterance) {
        let is_meant = utterance.party == Party::Customer && !utterance.r#final && seems_whole(utterance);
        let is_meant = is_meant && !memory.consent().is_employee;
        if is_meant && self.is_reading() && self.waiting.load(Relaxed) == 0 {
            self.try_send(Job::LookAhead(Arc::clone(memory), Box::new(utterance.clone())));
        }
    }

    fn try_send(&self, job: Job) -> bool {
        // Before it is sent: the thread may be done with it already when this goes on.
        self.waiting.fetch_add(1, Relaxed);
        let is_sent = self.jobs.as_ref().is_some_and(|jobs| jobs.try_send(job).is_ok());
        if !is_sent {
            self.waiting.fetch_sub(1, Relaxed);
        }
        is_sent
    }

    /// The same, and waits until it is done: for calls that are played as fast as it goes, whose log must not depend
    /// on how fast that is.
    pub fn understand_now(&self, heard: Heard, publish: Publish) {
        let (done, is_done) = sync_channel::<()>(0);
        let publish: Publish = Box::new(move |body| {
            let _until_dropped = &done;
            publish(body);
        });
        let job = Job::Understand { heard, publish, since: None };
        self.waiting.fetch_add(1, Relaxed);
        if self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok()) {
            // Nothing is ever sent: it ends when the job is dropped.
            let _ = is_done.recv();
        } else {
            self.waiting.fetch_sub(1, Relaxed);
        }
    }

    /// What it counts.
    #[must_use]
    pub fn figures(&self) -> Arc<Figures> {
        Arc::clone(&self.figures)
    }
}

impl Drop for Insight {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // It catches its panics.
            let _ = thread.join();
        }
    }
}

struct Thread {
    /// How far from UTC the clocks are, where entities are wanted.
    entities: Option<Offset>,
    /// Whether voices tell something.
    voices: bool,
    /// See [`InsightConfig::consent_assumed`].
    consent_assumed: bool,
    library: Library,
    trigger: Trigger,
    waiting: Arc<AtomicUsize>,
    read: Arc<Mutex<Option<Box<dyn Read>>>>,
    figures: Arc<Figures>,
}

impl Thread {
    fn run(self, inbox: &Receiver<Job>) {
        // It takes what is left by the media path and by the page, and comes before recognition, which takes some
        // tenths of a second for what this takes milliseconds for.
        priority::lower(2, "the thread that understands");
        for job in inbox {
            self.waiting.fetch_sub(1, Relaxed);
            let (heard, publish, since) = match job {
                Job::Understand { heard, publish, since } => (heard, publish, since),
                Job::LookAhead(memory, said) => {
                    self.look_ahead(&memory, &said);
                    continue;
                }
            };
            let Heard { memory, id, said, voice, before } = heard;
            let latency = || Millis(since.map_or(0, |since| since.elapsed().as_millis() as u64));
            let mut known = memory.understood.lock().unwrap_or_else(PoisonError::into_inner);
            let ahead = known.ahead.take_if(|ahead| ahead.id == id);
            let Some(said) = said else {
                known.arc.forget(id);
                known.voices.forget(id);
                known.wanted.remove(&id);
                known.named.remove(&id);
                known.answers.remove(&id);
                known.turns.retain(|turn| turn.id != id);
                known.unsay(id, "", &[]).into_iter().for_each(|item| publish(EventBody::Checklist(item)));
                continue;
            };
            known.hear(&said);
            if let Some(offset) = self.entities
                && let asked = known.answered_by(&said)
                && let Some(found) =
                    self.try_to(|| Ok(entities(&said, memory.started_at_unix_ms, offset, asked)))
            {
                if let Some(of) = self.try_to(|| Ok(asked_for(&said.text))).flatten() {
                    known.asked = Some(Asked { by: said.party, at: said.start_ms, of });
                }
                self.figures.entities.fetch_add(found.len() as u64, Relaxed);
                // An empty list takes back what was found in the words as they were before.
                let had_some = known.named.remove(&id);
                if !found.is_empty() {
                    known.named.insert(id);
                }
                if had_some || !found.is_empty() {
                    let (revision, latency_ms) = (said.revision, latency());
                    publish(EventBody::Entities(Entities {
                        utterance_id: id,
                        revision,
                        entities: found,
                        latency_ms,
                    }));
                }
            }
            let customers = memory.customers(&said);
            let may_feel = memory.may_feel(self.consent_assumed, &mut known);
            // Also before there are models: how a customer speaks is heard from the first word on.
            let voice = customers
                .as_ref()
                .filter(|_| self.voices && may_feel)
                .and_then(|said| self.try_to(|| Ok(known.voices.hear(said, voice))).flatten());
            let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(read) = read.as_mut() else { continue };
            if memory.has_checklist
                && let Some(said) = AgentUtterance::of(&said)
            {
                // The same words, revised, say it anew, or not any more.
                let is_open = |name: &str| known.said.iter().all(|(by, item)| item.name != name || *by == id);
                if let Some(items) = self.try_to(|| read.covers(&said, &is_open)) {
                    let gone = known.unsay(id, &said.utterance().text, &items);
                    gone.into_iter().for_each(|item| publish(EventBody::Checklist(item)));
                    for item in items {
                        known.said.retain(|(_, said)| said.name != item.name);
                        known.said.push((id, item.clone()));
                        publish(EventBody::Checklist(item));
                    }
                }
            }
            let Some(said) = customers else { continue };
            let agent = memory.agent();
            let ahead = ahead.filter(|ahead| {
                let asking =
                    self.asking(said.utterance(), &known.before(said.utterance()), false, agent.as_deref());
                asking.is_some_and(|asking| ahead.is_of(&asking))
            });
            let is_answered = ahead.is_some();
            if let Some(Ahead { found, took_ms, .. }) = ahead {
                self.figures.questions.fetch_add(1, Relaxed);
                self.figures.sooner.record(took_ms);
                if let Some(card) = found {
                    let (evidence, latency_ms) = (Quote::of(said.utterance()), latency());
                    publish(EventBody::Card(Box::new(Card { evidence, latency_ms, ..card })));
                }
            }
            let Some(understood) = self.try_to(|| read.of(&said, may_feel)) else { continue };
            if let Some(words) = understood.mood {
                let mut tells = Observation::of(&said, words.sentiment, before);
                if self.voices {
                    tells = tells.with_arousal(&words, voice.as_ref());
                }
                let (arc, turn) = known.arc.observe(tells);
                let mood = Mood::of(&said, words, arc, turn, latency()).with_voice(voice);
                publish(EventBody::Mood(mood.with_urgency(understood.urgent)));
                self.figures.moods.fetch_add(1, Relaxed);
            }
            let is_wish = understood.wanted.is_some();
            if let Some(wanted) = understood.wanted {
                known.wanted.insert(id);
                let Wanted { name, title, confidence, alert } = wanted;
                let (name, nothing) = (Some(name), Intent::none(&said, latency()));
                publish(EventBody::Intent(Intent { name, title, confidence, alert, ..nothing }));
                self.figures.intents.fetch_add(1, Relaxed);
            } else if known.wanted.remove(&id) {
                publish(EventBody::Intent(Intent::none(&said, latency())));
            }
            if since.is_some() {
                self.figures.latency.record(latency().0);
            }
            if is_answered {
                continue;
            }
            let said = said.utterance();
            let before = known.before(said);
            let asking = self.asking(said, &before, is_wish, agent.as_deref());
            let Some(asking) = asking else { continue };
            self.figures.questions.fetch_add(1, Relaxed);
            let found = self.try_to(|| self.find(&asking, said, read.as_mut()));
            if let Some(card) = found.flatten() {
                publish(EventBody::Card(Box::new(Card { latency_ms: latency(), ..card })));
            }
        }
    }

    /// What is to be looked up for a customer's words, if anything is. A rule that panics is counted.
    fn asking<'a>(
        &self,
        said: &'a Utterance,
        before: &[Turn<'a>],
        is_wish: bool,
        agent: Option<&str>,
    ) -> Option<Asking<'a>> {
        // Asked before there is an index: whatever is published after that has vectors of one embedding.
        let compares = self.library.compares();
        let index = self.library.index()?;
        match self.try_to(|| Ok(self.trigger.question(&said.text, before, is_wish)))? {
            Ok(question) => Some(Asking { question, compares, index, viewer: self.library.agent(agent) }),
            Err(why) => {
                tracing::trace!(?why, "nothing is looked up");
                None
            }
        }
    }

    /// What is written down about what a customer has asked: the call's task decides whether it is shown.
    fn find(
        &self,
        asking: &Asking<'_>,
        said: &Utterance,
        read: &mut dyn Read,
    ) -> Result<Option<Card>, InsightError> {
        let Asking { question: Question { text, context }, compares, index, viewer } = asking;
        let vector = if *compares {
            let texts = Query::texts(text, context);
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            match read.embed(&texts)? {
                Some(vectors) => Some(Query::blend(&vectors)),
                None => self.library.meaning(text, context),
            }
        } else {
            None
        };
        let query = Query { text, context, vector: vector.as_deref(), ..Query::default() };
        match index.search(&query, viewer, 1) {
            Ok(hits) => Ok(hits.first().and_then(|hit| card(hit, &query, said))),
            Err(error) => {
                tracing::warn!(%error, "a question was not looked up");
                self.figures.failed.fetch_add(1, Relaxed);
                Ok(None)
            }
        }
    }

    /// Looks up what a customer asks by words that may still change. Whether it is a wish is not known before they are final.
    fn look_ahead(&self, memory: &CallMemory, said: &Utterance) {
        let mut known = memory.understood.lock().unwrap_or_else(PoisonError::into_inner);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(read) = read.as_mut() else { return };
        let before = known.before(said);
        let Some(asking) = self.asking(said, &before, false, memory.agent().as_deref()) else { return };
        if known.ahead.as_ref().is_some_and(|ahead| ahead.id == said.utterance_id && ahead.is_of(&asking)) {
            return;
        }
        let begun = Instant::now();
        let Some(found) = self.try_to(|| self.find(&asking, said, read.as_mut())) else { return };
        let Asking { question: Question { text, context }, compares, index, viewer } = asking;
        let ahead = Ahead {
            id: said.utterance_id,
            text: text.to_owned(),
            context: context.iter().map(|turn| (*turn).to_owned()).collect(),
            compares,
            index: Arc::downgrade(&index),
            viewer,
            found,
            took_ms: begun.elapsed().as_millis() as u64,
        };
        self.figures.ahead.fetch_add(1, Relaxed);
        known.ahead = Some(ahead);
    }

    /// What something comes to; nothing, and that is counted, when it fails or panics.
    fn try_to<T>(&self, understand: impl FnOnce() -> Result<T, InsightError>) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(understand)) {
            Ok(Ok(understood)) => return Some(understood),
            Ok(Err(error)) => tracing::warn!(%error, "words were not understood"),
            Err(_) => tracing::error!("understanding panicked"),
        }
        self.figures.failed.fetch_add(1, Relaxed);
        None
    }
}

/// Whether words that may still change seem to be all that is said: two decodes agree on them, or they end as sentences do,
/// as those of a decode at a pause will.
fn seems_whole(said: &Utterance) -> bool {
    let text = said.text.trim_end();
    said.stable_chars as usize >= text.chars().count() || text.ends_with(['.', '?', '!', '؟'])
}

/// A passage that was found for what a customer has said, as a card without a number.
fn card(hit: &Hit, query: &Query<'_>, said: &Utterance) -> Option<Card> {
    let (document, passage) = (&hit.document, hit.passage()?);
    let Excerpt { text, answer } = Excerpt::of(passage, &document.title, query, CARD);
    let section = passage.section.iter().filter(|heading| **heading != document.title);
    // What a model made of nothing is no number in JSON.
    let number = |x: f32| if x.is_finite() { x } else { 0.0 };
    Some(Card {
        card_id: 0,
        document: document.id.clone(),
        passage: u32::try_from(hit.place).unwrap_or(u32::MAX),
        title: document.title.clone(),
        section: section.cloned().collect(),
        text,
        answer: answer.map(|range| Span { start: range.start as u32, end: range.end as u32 }),
        changed_unix_ms: document.changed_unix_ms,
        confidence: number(hit.confidence),
        why: CardWhy {
            query: query.text.to_owned(),
            words: hit.why.words.clone(),
            covered: number(hit.why.covered),
            cosine: hit.why.cosine.map(number),
            mentioned: hit.why.mentioned,
        },
        evidence: Quote::of(said),
        roles: document.visibility.roles.iter().cloned().collect(),
        teams: document.visibility.teams.iter().cloned().collect(),
        expires_at_ms: Millis(0),
        latency_ms: Millis(0),
        held_back: Vec::new(),
    })
}

/// What is named in an utterance of a call that began at a wall-clock time.
fn entities(
    said: &Utterance,
    started_at_unix_ms: u64,
    Offset(offset): Offset,
    asked: Option<EntityKind>,
) -> Vec<Entity> {
    let unix_s = started_at_unix_ms.saturating_add(said.start_ms.0) / 1_000;
    let at = i64::try_from(unix_s).ok().and_then(|unix_s| OffsetDateTime::from_unix_timestamp(unix_s).ok());
    let at = at.and_then(|at| at.checked_to_offset(offset)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let now = PrimitiveDateTime::new(at.date(), at.time());
    let span = |range: Range<usize>| Span { start: range.start as u32, end: range.end as u32 };
    let entity = |found: sotto_insight::Entity| Entity {
        kind: found.kind,
        value: found.value,
        chars: span(found.chars),
        words: found.words.map(span),
        // A recogniser may say that it does not know: that is no number in JSON.
        confidence: found.confidence.max(0.0),
    };
    sotto_insight::entities(&said.text, &said.words, now, asked).into_iter().map(entity).collect()
}

/// For tests of what becomes of a mood.
#[cfg(test)]
pub(crate) mod testing {
    use sotto_call::{Emotion, Sentiment, WordsMood};

    use super::*;

    /// Reads anger from whatever it is given, and from agents' words that they have said everything.
    struct Anger;

    impl Read for Anger {
        fn of(&mut self, _said: &CustomerUtterance, may_feel: bool) -> Result<Understood, InsightError> {
            let sentiment = Sentiment { negative: 1.0, neutral: 0.0, positive: 0.0 };
            let mood = WordsMood { sentiment, valence: -1.0, emotion: Emotion::Anger, emotion_p: 1.0 };
            Ok(Understood { mood: may_feel.then_some(mood), wanted: None, urgent: false })
        }

        fn covers(
            &mut self,
            said: &AgentUtterance,
            _is_open: &dyn Fn(&str) -> bool,
        ) -> Result<Vec<ChecklistItem>, InsightError> {
            let (name, evidence) = ("everything".to_owned(), Some(Quote::of(said.utterance())));
            Ok(vec![ChecklistItem { name, title: BTreeMap::new(), done: true, evidence }])
        }

        fn embed(&mut self, questions: &[&str]) -> Result<Option<Vec<Vec<f32>>>, InsightError> {
            Ok(Some(vec![vec![1.0]; questions.len()]))
        }
    }

    /// From now on everything sounds angry.
    pub(crate) fn read_anger(insight: &Insight) {
        insight.read_by(Box::new(Anger));
    }

    /// What models were given: for what, and the text.
    pub(crate) type Given = Arc<Mutex<Vec<(&'static str, String)>>>;

    /// Reads anger, and keeps what it is given.
    struct Keeping(Given);

    impl Keeping {
        fn keep(&self, what: &'static str, text: &str) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push((what, text.to_owned()));
        }
    }

    impl Read for Keeping {
        fn of(&mut self, said: &CustomerUtterance, may_feel: bool) -> Result<Understood, InsightError> {
            self.keep("understood", &said.utterance().text);
            Anger.of(said, may_feel)
        }

        fn covers(
            &mut self,
            said: &AgentUtterance,
            is_open: &dyn Fn(&str) -> bool,
        ) -> Result<Vec<ChecklistItem>, InsightError> {
            self.keep("checklist", &said.utterance().text);
            Anger.covers(said, is_open)
        }

        fn embed(&mut self, questions: &[&str]) -> Result<Option<Vec<Vec<f32>>>, InsightError> {
            questions.iter().for_each(|text| self.keep("question", text));
            Anger.embed(questions)
        }
    }

    /// The same, and what it is given from now on is kept.
    pub(crate) fn keep_what_is_read(insight: &Insight) -> Given {
        let given = Given::default();
        insight.read_by(Box::new(Keeping(given.clone())));
        given
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use sotto_call::testing::utterance;
    use sotto_call::{Sentiment, TurnDirection, WordsMood};
    use sotto_insight::{PromptSet, Purpose, is_urgent};
    use sotto_knowledge::{Content, Hub, KnowledgeError, Paper, SURE, Visibility};

    use crate::library::{Embed, KnowledgeConfig, viewer};
    use crate::people;

    /// Understands "bad" and "good", that a refund is wanted, and phrases for what is urgent.
    fn simply(said: &CustomerUtterance) -> Result<Understood, InsightError> {
        let text = &said.utterance().text;
        assert!(!text.contains("panic"), "as asked");
        if text.contains("nonsense") {
            return Err(InsightError::NoNumber);
        }
        let (negative, positive) =
            (f32::from(u8::from(text.contains("bad"))), f32::from(u8::from(text.contains("good"))));
        let sentiment = Sentiment { negative, neutral: 1.0 - negative - positive, positive };
        let valence = sentiment.valence();
        let mood = WordsMood { sentiment, valence, emotion: Emotion::Neutral, emotion_p: 0.5 };
        let wanted = text.contains("refund").then(|| Wanted {
            name: "refund".to_owned(),
            title: Default::default(),
            confidence: 0.9,
            alert: true,
        });
        Ok(Understood { mood: Some(mood), wanted, urgent: is_urgent(text) })
    }

    /// Reads customers' words so, and finds an item of a checklist in agents' words that have its name.
    struct By<F>(F);

    impl<F: FnMut(&CustomerUtterance) -> Result<Understood, InsightError> + Send> Read for By<F> {
        fn of(&mut self, said: &CustomerUtterance, may_feel: bool) -> Result<Understood, InsightError> {
            let understood = (self.0)(said)?;
            Ok(Understood { mood: understood.mood.filter(|_| may_feel), ..understood })
        }

        fn covers(
            &mut self,
            said: &AgentUtterance,
            is_open: &dyn Fn(&str) -> bool,
        ) -> Result<Vec<ChecklistItem>, InsightError> {
            let said = said.utterance();
            let items =
                ["recorded", "name"].into_iter().filter(|name| said.text.contains(name) && is_open(name));
            let item = |name: &str| ChecklistItem {
                name: name.to_owned(),
                title: BTreeMap::new(),
                done: true,
                evidence: Some(Quote::of(said)),
            };
            Ok(items.map(item).collect())
        }

        fn embed(&mut self, questions: &[&str]) -> Result<Option<Vec<Vec<f32>>>, InsightError> {
            Ok(Some(questions.iter().map(|text| vec![text.len() as f32, 1.0]).collect()))
        }
    }

    /// Reads the same by an embedding that documents have no vectors of.
    struct ByAnother;

    impl Read for ByAnother {
        fn of(&mut self, said: &CustomerUtterance, may_feel: bool) -> Result<Understood, InsightError> {
            By(simply).of(said, may_feel)
        }

        fn covers(
            &mut self,
            said: &AgentUtterance,
            is_open: &dyn Fn(&str) -> bool,
        ) -> Result<Vec<ChecklistItem>, InsightError> {
            By(simply).covers(said, is_open)
        }

        fn embed(&mut self, _questions: &[&str]) -> Result<Option<Vec<Vec<f32>>>, InsightError> {
            Ok(None)
        }
    }

    pub(crate) fn start(config: &InsightConfig) -> Insight {
        start_with(config, Library::default())
    }

    fn start_with(config: &InsightConfig, library: Library) -> Insight {
        let insight = Insight::start(config, library).unwrap();
        insight.read_by(Box::new(By(simply)));
        insight
    }

    /// Without entities.
    fn feelings() -> InsightConfig {
        InsightConfig { entities: false, ..InsightConfig::default() }
    }

    /// What is published of a call in which all this is said, in order.
    fn published(insight: &Insight, said: &[Utterance]) -> Vec<EventBody> {
        // The 29th of November 2026, 20:45 UTC.
        published_of(CallMemory::since(1_795_985_100_000).with_checklist(), insight, said)
    }

    /// The same, of a given call.
    fn published_of(memory: CallMemory, insight: &Insight, said: &[Utterance]) -> Vec<EventBody> {
        let memory = Arc::new(memory);
        let (publish, events) = channel();
        for utterance in said {
            let publish = publish.clone();
            if let Some(heard) = memory.hear(utterance, None) {
                insight.understand_now(heard, Box::new(move |body| publish.send(body).unwrap()));
            }
        }
        drop(publish);
        events.iter().collect()
    }

    fn moods(events: &[EventBody]) -> Vec<&Mood> {
        events.iter().filter_map(|e| if let EventBody::Mood(mood) = e { Some(mood) } else { None }).collect()
    }

    fn intents(events: &[EventBody]) -> Vec<(u32, Option<&str>)> {
        let intent = |e: &'_ EventBody| matches!(e, EventBody::Intent(_));
        let named = |e| match e {
            &EventBody::Intent(Intent { utterance_id, ref name, .. }) => (utterance_id.0, name.as_deref()),
            _ => unreachable!(),
        };
        events.iter().filter(|e| intent(e)).map(named).collect()
    }

    #[test]
    fn of_nobody_but_the_customer_is_a_mood_or_an_intent_read() {
        let insight = start(&InsightConfig::default());
        for party in [Party::Agent, Party::Other] {
            for text in ["this is bad, I want a refund", ""] {
                for revision in [0, 3] {
                    let said = Utterance { revision, ..utterance(1, party, text) };
                    assert_eq!(published(&insight, &[said]), []);
                }
            }
        }
        let memory = Arc::new(CallMemory::default());
        let partial = Utterance { r#final: false, ..utterance(2, Party::Customer, "this is bad") };
        assert!(memory.hear(&partial, None).is_none());
        assert!(memory.hear(&utterance(2, Party::Customer, "this is bad"), None).is_some());
    }

    #[test]
    fn a_number_is_that_of_what_the_other_party_has_asked_for() {
        let insight = start(&InsightConfig::default());
        let answers = |question: Utterance, answer: Utterance| -> Vec<EntityKind> {
            let events = published(&insight, &[question, answer]);
            let entities = events.iter().filter_map(|body| match body {
                EventBody::Entities(found) => Some(found.entities.iter().map(|entity| entity.kind)),
                _ => None,
            });
            entities.flatten().collect()
        };
        let question = utterance(1, Party::Agent, "Could you give me your order number?");
        let answer = |party, start_ms| {
            let said = utterance(2, party, "Sure, it is 471 926.");
            Utterance { start_ms: question.start_ms + Millis(start_ms), ..said }
        };
        assert_eq!(answers(question.clone(), answer(Party::Customer, 3_000)), [EntityKind::Order]);
        assert_eq!(answers(question.clone(), answer(Party::Agent, 3_000)), []);
        assert_eq!(answers(question.clone(), answer(Party::Customer, 30_000)), []);
    }

    #[test]
    fn an_answer_that_is_revised_when_something_else_has_been_asked_still_answers_the_first_question() {
        let insight = start(&InsightConfig::default());
        let said = |id, party, start_ms, text: &str| Utterance {
            start_ms: Millis(start_ms),
            ..utterance(id, party, text)
        };
        let answer = said(2, Party::Customer, 3_000, "Sure, it is 471 926.");
        let revised = Utterance { revision: 1, text: "Sure, it is 471 928.".to_owned(), ..answer.clone() };
        let events = published(
            &insight,
            &[
                said(1, Party::Agent, 0, "Could you give me your order number?"),
                answer,
                said(3, Party::Agent, 8_000, "And could you give me your account number?"),
                revised,
            ],
        );
        let found = events.iter().filter_map(|body| match body {
            EventBody::Entities(found) => Some(found.entities.iter().map(|entity| entity.kind)),
            _ => None,
        });
        assert_eq!(found.flatten().collect::<Vec<_>>(), [EntityKind::Order, EntityKind::Order]);
    }

    #[test]
    fn what_is_named_is_found_whoever_names_it_and_taken_back_with_its_words() {
        let insight = start(&InsightConfig::default());
        let heard = |revision, text: &str| Utterance { revision, ..utterance(1, Party::Agent, text) };
        let events = published(
            &insight,
            &[
                heard(0, "the order number is 4711 and it comes tomorrow"),
                heard(1, "the other number is nothing"),
                heard(2, "nothing at all"),
                utterance(2, Party::Customer, "call me on 0912 345 6789"),
            ],
        );
        let found: Vec<_> = events
            .iter()
            .filter_map(|e| if let EventBody::Entities(found) = e { Some(found) } else { None })
            .map(|found| {
                let entities = found.entities.iter().map(|entity| (entity.kind, entity.value.as_str()));
                (found.utterance_id.0, found.revision, entities.collect::<Vec<_>>())
            })
            .collect();
        let order = (EntityKind::Order, "4711");
        assert_eq!(
            found,
            [
                (1, 0, vec![order, (EntityKind::DateTime, "2026-11-30")]),
                (1, 1, vec![]),
                (2, 0, vec![(EntityKind::Phone, "+989123456789")]),
            ]
        );
        let text: Vec<char> = "the order number is 4711 and it comes tomorrow".chars().collect();
        let EventBody::Entities(first) = &events[0] else { panic!() };
        let Span { start, end } = first.entities[0].chars;
        assert!(text[start as usize..end as usize].iter().collect::<String>().ends_with("4711"));
        assert_eq!(insight.figures().entities.load(Relaxed), 3);
    }

    #[test]
    fn tomorrow_begins_where_the_clocks_are() {
        let said = [utterance(1, Party::Customer, "it comes tomorrow")];
        let on = |utc_offset: &str| {
            let utc_offset = utc_offset.parse().unwrap();
            let events = published(&start(&InsightConfig { utc_offset, ..InsightConfig::default() }), &said);
            let EventBody::Entities(found) = &events[0] else { panic!("{events:?}") };
            found.entities[0].value.clone()
        };
        assert_eq!(on("+00:00"), "2026-11-30");
        assert_eq!(on("+03:30"), "2026-12-01");
        assert_eq!(on("-08:00"), "2026-11-30");
    }

    #[test]
    fn offsets_are_written_as_they_are_read() {
        for text in ["+00:00", "+03:30", "-08:00", "-03:30", "+14:00"] {
            assert_eq!(String::from(text.parse::<Offset>().unwrap()), text);
        }
        for text in ["", "3", "03:30", "+3:30", "+03:3", "+03:+3", "+26:00", "+03:60", "+€1:00", "Z"] {
            assert!(text.parse::<Offset>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_mood_and_an_intent_come_with_their_evidence_and_a_turn_with_its_trigger() {
        let insight = start(&feelings());
        let events = published(
            &insight,
            &[
                utterance(1, Party::Customer, "it has been good so far and always was"),
                utterance(2, Party::Agent, "this is bad, no refund"),
                utterance(3, Party::Customer, "that is bad of you and I want a refund"),
            ],
        );
        let moods = moods(&events);
        assert_eq!(moods.iter().map(|mood| mood.utterance_id().0).collect::<Vec<_>>(), [1, 3]);
        assert!(moods[0].arc.valence > 0.3 && moods[1].arc.valence < 0.0, "{moods:?}");
        let turn = moods[1].turn.unwrap();
        assert_eq!(
            (turn.direction, turn.since.0, turn.trigger),
            (TurnDirection::Decline, 3, Some(UtteranceId(2)))
        );
        assert_eq!(intents(&events), [(3, Some("refund"))]);
        let figures = insight.figures();
        assert_eq!((figures.moods.load(Relaxed), figures.intents.load(Relaxed)), (2, 1));
    }

    #[test]
    fn what_is_wanted_changes_and_a_call_has_several_wishes() {
        let insight = start(&feelings());
        insight.read_by(Box::new(By(|said: &CustomerUtterance| {
            let text = &said.utterance().text;
            let name = ["refund", "renewal"].into_iter().find(|name| text.contains(name));
            let wanted = name.map(|name| Wanted {
                name: name.to_owned(),
                title: Default::default(),
                confidence: 0.9,
                alert: false,
            });
            Ok(Understood { wanted, ..simply(said)? })
        })));
        let changed = Utterance { revision: 1, ..utterance(2, Party::Customer, "no, thank you") };
        let events = published(
            &insight,
            &[
                utterance(1, Party::Customer, "I want a refund"),
                utterance(2, Party::Customer, "and a renewal of the other one"),
                utterance(3, Party::Customer, "hello"),
                utterance(4, Party::Customer, "I mean a refund of both"),
                changed,
            ],
        );
        let wishes = [(1, Some("refund")), (2, Some("renewal")), (4, Some("refund")), (2, None)];
        assert_eq!(intents(&events), wishes);
    }

    /// A customer who becomes loud in the fourth utterance, each of which takes five seconds.
    fn becomes_loud(mood: MoodFrom, party: Party) -> Vec<EventBody> {
        let insight = start(&InsightConfig { mood, ..feelings() });
        let memory = Arc::new(CallMemory::default());
        assert_eq!(insight.listens_to_voice(&memory), mood == MoodFrom::VoiceAndWords);
        let (publish, events) = channel();
        for (id, level_dbfs) in [(1, -30.0), (2, -30.0), (3, -30.0), (4, -15.0)] {
            let voice = Voice { pitch_hz: Some(150.0), level_dbfs, speech_ms: Millis(4_000) };
            let heard = memory.hear(&utterance(id, party, "that is what I said"), Some(voice)).unwrap();
            let publish = publish.clone();
            insight.understand_now(heard, Box::new(move |body| publish.send(body).unwrap()));
        }
        drop(publish);
        events.iter().collect()
    }

    #[test]
    fn who_becomes_loud_sounds_agitated_where_voices_are_listened_to() {
        let events = becomes_loud(MoodFrom::VoiceAndWords, Party::Customer);
        let moods = moods(&events);
        let heard: Vec<bool> = moods.iter().map(|mood| mood.voice.is_some()).collect();
        assert_eq!(heard, [false, false, true, true], "eight seconds are enough to compare with");
        assert!(moods[2].voice.is_some_and(|voice| voice.arousal.abs() < 1e-3), "{moods:?}");
        let loud = moods[3].voice.unwrap();
        assert!(loud.arousal > 0.5 && (loud.level_db - 15.0).abs() < 1e-3, "{loud:?}");
        let levels: Vec<f32> = moods.iter().map(|mood| mood.arc.arousal.unwrap().level).collect();
        assert!(levels[3] > levels[2] + 0.2, "{levels:?}");
    }

    #[test]
    fn where_words_are_to_tell_alone_no_voice_does_and_of_agents_none_ever() {
        let events = becomes_loud(MoodFrom::Words, Party::Customer);
        let moods = moods(&events);
        assert_eq!(moods.len(), 4);
        assert!(moods.iter().all(|mood| mood.voice.is_none() && mood.arc.arousal.is_none()), "{moods:?}");
        for party in [Party::Agent, Party::Other] {
            assert_eq!(becomes_loud(MoodFrom::VoiceAndWords, party), []);
        }
    }

    #[test]
    fn of_a_customer_who_does_not_agree_no_mood_is_read_and_what_they_want_is() {
        let said = utterance(1, Party::Customer, "that is bad of you and I want a refund");
        for (assumed, consent, is_read) in [
            (true, None, true),
            (true, Some(false), false),
            (false, None, false),
            (false, Some(true), true),
            (false, Some(false), false),
        ] {
            let insight = start(&InsightConfig { consent_assumed: assumed, ..feelings() });
            let memory = Arc::new(CallMemory::default());
            consent.into_iter().for_each(|agrees| _ = memory.consents(agrees, ConsentSaidBy::Call));
            let (publish, events) = channel();
            let heard = memory.hear(&said, None).unwrap();
            insight.understand_now(heard, Box::new(move |body| publish.send(body).unwrap()));
            let events: Vec<EventBody> = events.iter().collect();
            assert_eq!(moods(&events).len(), usize::from(is_read), "{assumed}, {consent:?}");
            assert_eq!(intents(&events), [(1, Some("refund"))]);
            assert_eq!(insight.figures().moods.load(Relaxed), u64::from(is_read));
        }
    }

    #[test]
    fn the_voice_of_a_customer_who_does_not_agree_is_not_measured() {
        for (assumed, consent, is_heard) in [
            (true, None, true),
            (true, Some(false), false),
            (false, None, false),
            (false, Some(true), true),
            (false, Some(false), false),
        ] {
            let mood = MoodFrom::VoiceAndWords;
            let config = InsightConfig { mood, consent_assumed: assumed, ..feelings() };
            let memory = CallMemory::default();
            consent.into_iter().for_each(|agrees| _ = memory.consents(agrees, ConsentSaidBy::Call));
            assert_eq!(start(&config).listens_to_voice(&memory), is_heard, "{assumed}, {consent:?}");
        }
    }

    #[test]
    fn of_a_mood_that_was_refused_nothing_is_left_when_it_is_agreed_to_again() {
        let insight = start(&InsightConfig { mood: MoodFrom::VoiceAndWords, ..feelings() });
        let says = |memory: &Arc<CallMemory>, id: u32, text: &str| -> Vec<EventBody> {
            let voice = Voice { pitch_hz: Some(150.0), level_dbfs: -30.0, speech_ms: Millis(4_000) };
            let heard = memory.hear(&utterance(id, Party::Customer, text), Some(voice)).unwrap();
            let (publish, events) = channel();
            insight.understand_now(heard, Box::new(move |body| publish.send(body).unwrap()));
            events.iter().collect()
        };
        let memory = Arc::new(CallMemory::default());
        memory.consents(true, ConsentSaidBy::Call);
        for id in [1, 2] {
            assert_eq!(says(&memory, id, "that is bad of you").len(), 1);
        }
        memory.consents(false, ConsentSaidBy::Call);
        assert_eq!(says(&memory, 3, "that is bad of you"), []);
        memory.consents(true, ConsentSaidBy::Call);
        let again = says(&memory, 4, "that is what I said");
        assert_eq!(again, says(&Arc::new(CallMemory::default()), 4, "that is what I said"));
        assert_eq!(moods(&again).len(), 1);
        // Also when nothing was said meanwhile.
        memory.consents(false, ConsentSaidBy::Call);
        memory.consents(true, ConsentSaidBy::Call);
        let once_more = says(&memory, 5, "that is what I said");
        assert_eq!(once_more, says(&Arc::new(CallMemory::default()), 5, "that is what I said"));
    }

    #[test]
    fn what_a_customer_says_is_urgent_is_told_as_the_words_are_now() {
        let insight = start(&feelings());
        let heard = |id, revision, text: &str| Utterance { revision, ..utterance(id, Party::Customer, text) };
        let said = [
            heard(1, 0, "I need it as soon as possible"),
            heard(2, 0, "it is not urgent"),
            heard(1, 1, "I need it as soon as it comes"),
        ];
        let events = published(&insight, &said);
        let urgent: Vec<bool> = moods(&events).iter().map(|mood| mood.urgent).collect();
        assert_eq!(urgent, [true, false, false]);
    }

    #[test]
    fn of_an_employee_in_the_customers_place_there_is_neither_mood_nor_intent_whatever_is_agreed_to() {
        let config = InsightConfig { mood: MoodFrom::VoiceAndWords, ..feelings() };
        let (insight, memory) = (start(&config), CallMemory::default());
        memory.has_no_customer();
        assert!(!memory.consents(true, ConsentSaidBy::Call));
        assert!(!insight.listens_to_voice(&memory));
        let said = utterance(1, Party::Customer, "that is bad of you and I want a refund");
        assert_eq!(published_of(memory, &insight, &[said]), []);
    }

    #[test]
    fn what_somebody_has_written_down_a_no_to_no_header_says_yes_to() {
        let memory = CallMemory::default();
        let may_feel = || memory.consent().may_feel(true);
        assert!(memory.consents(true, ConsentSaidBy::Call) && may_feel());
        assert!(memory.consents(false, ConsentSaidBy::Person) && !may_feel());
        assert!(!memory.consents(true, ConsentSaidBy::Call) && !may_feel());
        assert!(memory.consents(true, ConsentSaidBy::Person) && may_feel());
        assert!(memory.consents(false, ConsentSaidBy::Call) && !may_feel());
        assert!(memory.consents(true, ConsentSaidBy::Call) && may_feel(), "the newest counts");
    }

    #[test]
    fn who_takes_the_customers_place_has_agreed_to_nothing_and_begins_anew() {
        for (assumed, consent, is_read) in
            [(true, Some(true), true), (false, Some(true), false), (true, Some(false), false)]
        {
            let insight = start(&InsightConfig { consent_assumed: assumed, ..feelings() });
            let memory = Arc::new(CallMemory::default());
            let says = |memory: &Arc<CallMemory>, id: u32, text: &str| -> Vec<EventBody> {
                let heard = memory.hear(&utterance(id, Party::Customer, text), None).unwrap();
                let (publish, events) = channel();
                insight.understand_now(heard, Box::new(move |body| publish.send(body).unwrap()));
                events.iter().collect()
            };
            consent.into_iter().for_each(|agrees| _ = memory.consents(agrees, ConsentSaidBy::Call));
            says(&memory, 1, "that is bad of you");
            memory.has_another_customer();
            let now = says(&memory, 2, "that is good of you");
            assert_eq!(moods(&now).len(), usize::from(is_read), "{assumed}, {consent:?}");
            if is_read {
                assert_eq!(now, says(&Arc::new(CallMemory::default()), 2, "that is good of you"));
            }
        }
    }

    #[test]
    fn revisions_replace_and_take_back() {
        let insight = start(&feelings());
        let heard = |revision, text: &str| Utterance { revision, ..utterance(1, Party::Customer, text) };
        let events = published(
            &insight,
            &[
                heard(0, "this bad thing needs a refund I think"),
                heard(1, "this good thing needs no more money I think"),
                heard(2, ""),
                utterance(2, Party::Customer, "nothing of the kind is what I meant"),
            ],
        );
        assert_eq!(intents(&events), [(1, Some("refund")), (1, None)]);
        let arc: Vec<f32> = moods(&events).iter().map(|mood| mood.arc.valence).collect();
        assert!(arc[0] < -0.3 && arc[1] > 0.3 && arc[2] == 0.0, "{arc:?}");
    }

    #[test]
    fn an_item_of_the_checklist_is_ticked_by_the_agent_alone_and_anew_when_the_words_are_taken_back() {
        let insight = start(&feelings());
        assert!(insight.is_reading());
        let heard = |id, revision, text: &str| Utterance { revision, ..utterance(id, Party::Agent, text) };
        let events = published(
            &insight,
            &[
                utterance(1, Party::Other, "this is recorded"),
                heard(2, 0, "this is recorded"),
                heard(2, 1, "this is being recorded"),
                heard(3, 0, "recorded it is, and my name is Mina"),
                heard(2, 2, ""),
                heard(4, 0, "as I said, recorded"),
            ],
        );
        assert_eq!(
            ticks(&events),
            [
                ("recorded", Some(2)),
                ("recorded", Some(2)),
                ("name", Some(3)),
                ("recorded", None),
                ("recorded", Some(4)),
            ]
        );
    }

    /// Items of the checklist with the utterance that ticks them; none opens them again.
    fn ticks(events: &[EventBody]) -> Vec<(&str, Option<u32>)> {
        let tick = |body| match body {
            &EventBody::Checklist(ChecklistItem { ref name, done, ref evidence, .. }) => {
                assert_eq!(done, evidence.is_some());
                (name.as_str(), evidence.as_ref().map(|quote| quote.utterance_id.0))
            }
            other => panic!("{other:?}"),
        };
        events.iter().map(tick).collect()
    }

    #[test]
    fn a_tick_falls_when_the_words_as_they_are_revised_do_not_say_the_item() {
        let insight = start(&feelings());
        let heard = |id, revision, text: &str| Utterance { revision, ..utterance(id, Party::Agent, text) };
        let events = published(
            &insight,
            &[
                heard(1, 0, "this is recorded, and my name is Mina"),
                heard(2, 0, "recorded, as I said"),
                heard(1, 1, "this is regarded, and my name is Mina"),
                heard(2, 1, "recorded, as I said"),
            ],
        );
        assert_eq!(
            ticks(&events),
            [
                ("recorded", Some(1)),
                ("name", Some(1)),
                ("recorded", None),
                ("name", Some(1)),
                ("recorded", Some(2)),
            ]
        );
    }

    #[test]
    fn a_tick_stands_when_only_what_is_between_the_words_is_revised() {
        let insight = start(&feelings());
        let heard = |id, revision, text: &str| Utterance { revision, ..utterance(id, Party::Agent, text) };
        // What tells whether an item is said looks at letters as they are here.
        let events = published(
            &insight,
            &[
                heard(1, 0, "I see. this is recorded. Thanks"),
                heard(1, 1, "Well, I see, this is Recorded, thanks."),
                heard(1, 2, "I see, this is Regarded, thanks."),
            ],
        );
        assert_eq!(ticks(&events), [("recorded", Some(1)), ("recorded", None)]);
    }

    #[test]
    fn a_call_without_a_checklist_has_nothing_ticked() {
        let insight = start(&feelings());
        let said = [utterance(1, Party::Agent, "this is recorded")];
        assert_eq!(published_of(CallMemory::since(0), &insight, &said), []);
        assert_eq!(ticks(&published(&insight, &said)), [("recorded", Some(1))]);
    }

    /// What is written down, of which agents may see but the first. It has no vectors.
    fn hub() -> Hub {
        let mut hub = Hub::new();
        for (id, text, roles) in [
            ("salaries.md", "A refund of the salary of the panel takes three days.", &["admin"][..]),
            (
                "refunds.md",
                "Who pays? Nobody. A refund of the panel takes three days.",
                &["admin", "agent"][..],
            ),
            ("lessons.md", "A lesson takes fifty minutes.", &[][..]),
        ] {
            let roles = roles.iter().map(|role| (*role).to_owned()).collect();
            hub.put(Paper {
                id: id.to_owned(),
                changed_unix_ms: 7,
                visibility: Visibility { roles, ..Visibility::default() },
                bytes: 0,
                content: Content::plain("Help", text),
            });
        }
        hub
    }

    fn library() -> Library {
        Library::fixed(hub().index().unwrap())
    }

    /// A customer's words while they may still change, and what is published when they are final.
    fn looked_ahead(insight: &Insight, partials: &[&str], last: &str) -> Vec<EventBody> {
        let memory = Arc::new(CallMemory::since(0));
        let (publish, events) = channel();
        let understand = |said: &Utterance| {
            let publish = publish.clone();
            let heard = memory.hear(said, None).unwrap();
            insight.understand_now(heard, Box::new(move |body| publish.send(body).unwrap()));
        };
        for text in partials {
            let said = utterance(2, Party::Customer, text);
            insight.look_ahead(&memory, &Utterance { r#final: false, stable_chars: 0, ..said });
            // Whatever is done next comes after it.
            understand(&utterance(1, Party::Other, "yes"));
        }
        understand(&utterance(2, Party::Customer, last));
        drop(publish);
        events.iter().collect()
    }

    #[test]
    fn what_was_looked_up_before_words_were_final_is_shown_at_once_if_they_ask_the_same() {
        let insight = start_with(&feelings(), library());
        let asked = "Can I get a refund of the panel?";
        let partials = ["Can I get a", "Can I get a refund?", asked, asked];
        let events = looked_ahead(&insight, &partials, "Well. Can I get a refund of the panel?");
        let ahead = cards(&events);
        assert_eq!(
            (ahead.len(), ahead[0].evidence.text.as_str()),
            (1, "Well. Can I get a refund of the panel?")
        );
        assert!(matches!(events[0], EventBody::Card(_)), "before the mood: {events:?}");
        let figures = insight.figures();
        assert_eq!((figures.ahead.load(Relaxed), figures.questions.load(Relaxed)), (2, 1));
        assert_eq!(figures.sooner.read().0.iter().sum::<u64>(), 1);
        // The card is the one that it would have been.
        let said = utterance(2, Party::Customer, "Well. Can I get a refund of the panel?");
        assert_eq!(cards(&published(&insight, &[utterance(1, Party::Other, "yes"), said])), ahead);
    }

    #[test]
    fn what_was_looked_up_before_words_were_final_is_looked_up_anew_if_they_ask_something_else() {
        let insight = start_with(&feelings(), library());
        let refund = ["Can I get a refund of the panel?"];
        let found = |last: &str| {
            let events = looked_ahead(&insight, &refund, last);
            cards(&events).into_iter().map(|card| card.document.clone()).collect::<Vec<_>>()
        };
        assert_eq!(found("How long does a lesson take?"), ["lessons.md"]);
        assert_eq!(found("Thank you, goodbye."), [] as [&str; 0]);
        assert_eq!(insight.figures().sooner.read().0.iter().sum::<u64>(), 0);
    }

    #[test]
    fn nothing_is_looked_up_ahead_for_agents_or_words_that_seem_to_go_on() {
        let insight = start_with(&feelings(), library());
        let memory = Arc::new(CallMemory::since(0));
        let partial = |party, text: &str, stable_chars| {
            let said = Utterance { r#final: false, stable_chars, ..utterance(1, party, text) };
            insight.look_ahead(&memory, &said);
            published(&insight, &[utterance(2, Party::Other, "yes")]);
            insight.figures().ahead.load(Relaxed)
        };
        assert_eq!(partial(Party::Agent, "Can I get a refund of the panel?", 32), 0);
        assert_eq!(partial(Party::Customer, "Can I get a refund of the", 10), 0);
        assert_eq!(partial(Party::Customer, "Can I get a refund", 18), 1);
    }

    fn cards(events: &[EventBody]) -> Vec<&Card> {
        events
            .iter()
            .filter_map(|e| if let EventBody::Card(card) = e { Some(&**card) } else { None })
            .collect()
    }

    #[test]
    fn what_a_customer_asks_is_looked_up_as_an_agent_may_see_it() {
        let insight = start_with(&feelings(), library());
        let events = published(
            &insight,
            &[
                utterance(1, Party::Agent, "Can I get a refund of the panel?"),
                utterance(2, Party::Customer, "Hello. Can I get a refund of the panel?"),
                utterance(3, Party::Customer, "Thank you, goodbye."),
                utterance(4, Party::Other, "Can I get a refund of the panel?"),
            ],
        );
        let cards = cards(&events);
        assert_eq!(cards.len(), 1, "{events:?}");
        let card = cards[0];
        assert_eq!((card.document.as_str(), card.evidence.utterance_id.0), ("refunds.md", 2));
        assert_eq!(
            (&card.roles[..], card.changed_unix_ms),
            (&["admin".to_owned(), "agent".to_owned()][..], 7)
        );
        assert!(card.confidence > SURE && card.why.words.contains(&"refund".to_owned()), "{card:?}");
        let answer = card.answer.unwrap();
        let length = (answer.end - answer.start) as usize;
        let marked: String = card.text.chars().skip(answer.start as usize).take(length).collect();
        assert_eq!(marked, "A refund of the panel takes three days.");
        assert_eq!(insight.figures().questions.load(Relaxed), 1);
        // The mood and the intent do not wait for it.
        let of_customer = |e: &EventBody| matches!(e, EventBody::Mood(_) | EventBody::Intent(_));
        let is_card = |e: &EventBody| matches!(e, EventBody::Card(_));
        assert!(events.iter().position(of_customer) < events.iter().position(is_card));
        assert!(cards_of(&start(&feelings()), "Can I get a refund?").is_empty(), "nothing is written down");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_a_team_has_written_down_is_looked_up_on_its_agents_calls_alone() {
        let (store, _folder) = sotto_store::testing::sqlite().await;
        for (name, team) in [("mina", Some("cards")), ("omid", Some("sales")), ("sara", None)] {
            let password = Some("a long enough password".to_owned());
            people::add_user(&store, name, Role::Agent, team, password, 1).await.unwrap();
        }
        let library = Library::new(KnowledgeConfig::default(), store);
        let (text, admin) = (b"A refund of the panel takes three days.".to_vec(), viewer(Role::Admin));
        let of_team = Visibility { teams: ["cards".to_owned()].into(), ..Visibility::default() };
        library.upload("refunds.txt", text, false, of_team, admin, 7).await.unwrap();
        let insight = start_with(&feelings(), library);
        let found = |agent: Option<&str>| {
            let memory = CallMemory::since(0);
            memory.attended_by(agent);
            let said = [utterance(1, Party::Customer, "Can I get a refund of the panel?")];
            let events = published_of(memory, &insight, &said);
            cards(&events).into_iter().map(|card| card.teams.clone()).collect::<Vec<_>>()
        };
        assert_eq!(found(Some("Mina")), [["cards".to_owned()]]);
        for agent in [Some("omid"), Some("sara"), Some("a stranger"), None] {
            assert_eq!(found(agent), [] as [Vec<String>; 0], "{agent:?}");
        }
    }

    /// The documents that are found for something that a customer says.
    fn cards_of(insight: &Insight, said: &str) -> Vec<String> {
        let events = published(insight, &[utterance(1, Party::Customer, said)]);
        cards(&events).into_iter().map(|card| card.document.clone()).collect()
    }

    #[test]
    fn a_question_leans_on_what_was_said_before_as_it_is_now() {
        let insight = start_with(&feelings(), library());
        assert_eq!(cards_of(&insight, "And how long is that?"), [] as [String; 0]);
        let said = |id, revision, text: &str| Utterance { revision, ..utterance(id, Party::Customer, text) };
        let events = published(
            &insight,
            &[
                said(1, 0, "I want a refund of the panel."),
                said(1, 1, "I want to know of the lesson."),
                said(2, 0, "And how long is that?"),
            ],
        );
        let found = cards(&events).into_iter().map(|card| (card.evidence.utterance_id.0, &*card.document));
        assert_eq!(found.collect::<Vec<_>>(), [(1, "refunds.md"), (1, "lessons.md"), (2, "lessons.md")]);
    }

    #[test]
    fn where_calls_are_understood_by_another_embedding_a_question_is_embedded_as_documents_are() {
        fn about(text: &str) -> Vec<f32> {
            if text.contains("lesson") { vec![0.0, 1.0] } else { vec![1.0, 0.0] }
        }
        let mut hub = hub();
        hub.embedded_by("what documents are embedded by");
        let embed = |texts: &[&str]| -> Result<Vec<Vec<f32>>, KnowledgeError> {
            Ok(texts.iter().map(|text| about(text)).collect())
        };
        hub.embed_with(embed).unwrap();
        let (ask, asked) = channel();
        let asker: Embed =
            Box::new(move |purpose: Purpose, texts: &[&str]| -> anyhow::Result<Vec<Vec<f32>>> {
                assert_eq!(purpose, Purpose::Query);
                texts.iter().for_each(|text| ask.send((*text).to_owned()).unwrap());
                Ok(texts.iter().map(|text| about(text)).collect())
            });
        let found_with = |library: Library| {
            let insight = Insight::start(&feelings(), library).unwrap();
            insight.read_by(Box::new(ByAnother));
            let said = [utterance(1, Party::Customer, "Can I get a refund of the panel?")];
            let events = published(&insight, &said);
            assert_eq!(insight.figures().failed.load(Relaxed), 0);
            let found = cards(&events);
            let [card] = found.as_slice() else { panic!("{events:?}") };
            (card.document.clone(), card.why.cosine)
        };
        let fixed = || Library::fixed(hub.index().unwrap());
        let (document, cosine) = found_with(fixed().asked_by(asker));
        assert_eq!((document.as_str(), cosine), ("refunds.md", Some(1.0)));
        let asked: Vec<String> = asked.try_iter().collect();
        assert!(asked.len() == 1 && asked[0].contains("refund of the panel"), "{asked:?}");
        let by_words = ("refunds.md".to_owned(), None);
        assert_eq!(found_with(fixed()), by_words, "as long as nothing embeds questions");
    }

    #[test]
    fn a_card_names_no_word_of_what_was_said_before_the_question() {
        let insight = start_with(&feelings(), library());
        let said = [(Party::Agent, "Is it the panel?"), (Party::Customer, "And how long is that refund?")];
        let said: Vec<Utterance> =
            (1..).zip(said).map(|(id, (party, text))| utterance(id, party, text)).collect();
        let events = published(&insight, &said);
        let cards = cards(&events);
        assert_eq!((cards.len(), cards[0].document.as_str()), (1, "refunds.md"));
        // What is quoted goes with the words that the card rests on, if there was a secret in those.
        assert_eq!(cards[0].why.words, ["refund"]);
    }

    #[test]
    fn a_question_is_not_compared_with_vectors_that_another_embedding_may_have_made() {
        let ask = |library: Library| {
            let insight = start_with(&feelings(), library);
            let asked = utterance(1, Party::Customer, "Can I get a refund of the panel?");
            let events = published(&insight, &[asked]);
            cards(&events)[0].why.cosine
        };
        let index = || {
            let mut hub = Hub::new();
            hub.put(Paper {
                id: "refunds.md".to_owned(),
                changed_unix_ms: 7,
                visibility: Visibility::default(),
                bytes: 0,
                content: Content::plain("Help", "A refund of the panel takes three days."),
            });
            let embed = |texts: &[&str]| Ok::<_, KnowledgeError>(vec![vec![1.0, 1.0]; texts.len()]);
            hub.embed_with(embed).unwrap();
            hub.index().unwrap()
        };
        assert!(ask(Library::fixed(index())).is_some());
        assert_eq!(ask(Library::unverified(index())), None);
    }

    #[test]
    fn a_model_that_fails_costs_one_utterance() {
        let insight = start(&feelings());
        let said =
            ["nonsense", "panic", "good"].map(|text| utterance(text.len() as u32, Party::Customer, text));
        assert_eq!(moods(&published(&insight, &said)).len(), 1);
        assert_eq!(insight.figures().failed.load(Relaxed), 2);
    }

    #[test]
    fn what_comes_too_fast_is_left_out_and_counted() {
        let (go, gone) = channel::<()>();
        let insight = Insight::start(&feelings(), Library::default()).unwrap();
        insight.read_by(Box::new(By(move |said: &CustomerUtterance| {
            // Holds on until it is let go, for ever after.
            let _ = gone.recv();
            simply(said)
        })));
        let memory = Arc::new(CallMemory::default());
        let (publish, events) = channel();
        for id in 0..QUEUE as u32 + 10 {
            let heard = memory.hear(&utterance(id, Party::Customer, "good"), None).unwrap();
            let publish = publish.clone();
            insight.understand(heard, Box::new(move |body| publish.send(body).unwrap()));
        }
        let dropped = insight.figures().dropped.load(Relaxed);
        // One may have been taken out of the queue already.
        assert!((9..=10).contains(&dropped), "{dropped}");
        drop((go, publish));
        let figures = insight.figures();
        drop(insight);
        assert_eq!(events.iter().count() as u64, QUEUE as u64 + 10 - dropped);
        let (counts, _) = figures.latency.read();
        assert_eq!(counts.iter().sum::<u64>(), QUEUE as u64 + 10 - dropped);
    }

    #[test]
    fn what_the_embedding_does_not_give_is_refused() {
        let english = InsightConfig {
            embedding: EmbeddingModel::English,
            mood: MoodFrom::Off,
            ..InsightConfig::default()
        };
        for mood in [MoodFrom::Words, MoodFrom::VoiceAndWords] {
            let checked = InsightConfig { mood, ..english.clone() }.check(&[]);
            // As long as its heads have not been trained.
            if MoodReader::check(EmbeddingModel::English).is_ok() {
                assert!(checked.is_ok(), "{checked:?}");
            } else {
                let why = format!("{:#}", checked.unwrap_err());
                assert!(why.contains("is needed unless") && why.contains("over minilm"), "{why}");
            }
        }
        let checklist = PromptSet::parse(
            "[[checklist]]\nname = \"recorded\"\ntitle = { en = \"Recorded\" }\nwithin_s = 30\n\
             examples.en = [\"This call is recorded.\"]",
        );
        let checklist = checklist.unwrap().duties().to_vec();
        let why = format!("{:#}", english.check(&checklist).unwrap_err());
        assert!(why.starts_with("`insight.embedding`: ") && why.contains("by minilm"), "{why}");
        assert!(english.check(&[]).is_ok() && InsightConfig::default().check(&checklist).is_ok());
        assert!(english.lacks().is_some_and(|lacks| lacks.contains("English alone")));
        assert_eq!(InsightConfig::default().lacks(), None);
        let off = InsightConfig { enabled: false, ..english };
        assert!(off.check(&checklist).is_ok() && off.lacks().is_none());
    }

    #[test]
    fn a_file_of_intents_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("intents.toml");
        let config = InsightConfig { intents: Some(path.clone()), ..InsightConfig::default() };
        let why = format!("{:#}", config.read_intents().unwrap_err());
        assert!(why.contains("insight.intents") && why.contains("intents.toml"), "{why}");
        std::fs::write(&path, "[[intents]]\nname = 3").unwrap();
        let why = format!("{:#}", config.read_intents().unwrap_err());
        assert!(why.contains("intents.toml") && why.contains("line 2"), "{why}");
        let off = InsightConfig { enabled: false, ..config };
        assert!(off.read_intents().unwrap().is_none() && !off.is_wanted(&[]));
        assert!(!InsightConfig { mood: MoodFrom::Off, ..InsightConfig::default() }.is_wanted(&[]));
    }
}
