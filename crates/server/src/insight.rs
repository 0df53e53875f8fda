//! What customers say, understood while calls go on: mood and intent, by one thread for all calls.
//!
//! The thread that listens hands over final words of customers and never waits; the thread here embeds each once,
//! reads from it what there is to read, and has it published by the call's task. When it is behind, words are left
//! out and counted: a mood that comes late helps nobody, and the next one takes it in.

use std::collections::{BTreeSet, VecDeque};
use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sotto_call::{CustomerUtterance, EventBody, Intent, Millis, Mood, Party, Utterance, UtteranceId};
use sotto_insight::{
    Embedder, EmotionalArc, InsightError, IntentSet, Intents, MoodReader, Observation, Understanding,
    Understood, Wanted,
};
use sotto_models::{Cache, EMBEDDING, Progress};
use sotto_speech::Histogram;

/// Utterances that may wait: two seconds' work, a hundred calls' worth.
const QUEUE: usize = 64;
/// Utterances of a call among which the one just before is looked for.
const REMEMBERED: usize = 32;
/// The largest file of intents that is read, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// See [`crate::config::Config::insight`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InsightConfig {
    /// Whether anything is understood. It takes a model of 79 MB, for which 91 MB are fetched when it is not there; calls do
    /// not wait for it.
    pub enabled: bool,
    /// What tells of customers' mood: `words`, or `off` for no mood of anybody. Of agents there is none either way.
    pub mood: MoodFrom,
    /// The file with the intents to recognise in what customers say. Absent: none are.
    #[schemars(with = "Option<String>")]
    pub intents: Option<PathBuf>,
}

impl Default for InsightConfig {
    fn default() -> Self {
        Self { enabled: true, mood: MoodFrom::Words, intents: None }
    }
}

/// What a mood is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MoodFrom {
    /// What the customer says.
    Words,
    /// Nothing: there is no mood.
    Off,
}

impl InsightConfig {
    /// Whether there is anything to understand.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.enabled && (self.mood == MoodFrom::Words || self.intents.is_some())
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
}

/// Finds the models, fetching what is missing, and learns the intents.
///
/// Blocking: it may download 91 MB, and takes a second otherwise.
///
/// # Errors
/// When a model cannot be had or is damaged.
pub fn open(
    config: &InsightConfig,
    intents: Option<&IntentSet>,
    cache: &Cache,
    progress: &mut dyn Progress,
) -> anyhow::Result<Understanding> {
    let (onnx, model) = (cache.onnx(progress)?, cache.require(EMBEDDING, progress)?);
    let mut embedder = Embedder::open(&onnx, &model, 1).context("opening the sentence embedding")?;
    let mood = (config.mood == MoodFrom::Words).then(|| MoodReader::built_in(&onnx)).transpose()?;
    let intents = intents.map(|set| Intents::learn(set, &mut embedder)).transpose()?;
    Ok(Understanding::new(embedder, mood, intents))
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
    /// Utterances left out because too many waited.
    pub dropped: AtomicU64,
    /// Utterances that could not be understood because a model failed.
    pub failed: AtomicU64,
}

/// What is remembered of one call.
#[derive(Debug, Default)]
pub struct CallMemory {
    /// Where the newest finals of all parties began. Only the thread that listens looks here.
    said: Mutex<VecDeque<(Millis, UtteranceId)>>,
    /// Only the thread that understands looks here.
    understood: Mutex<Remembered>,
}

#[derive(Debug, Default)]
struct Remembered {
    arc: EmotionalArc,
    /// Utterances in which an intent was recognised.
    wanted: BTreeSet<UtteranceId>,
}

impl CallMemory {
    /// Takes note of final words, and gives what there is to understand in them: nothing, if they are not the
    /// customer's.
    #[must_use]
    pub fn hear(self: &Arc<Self>, utterance: &Utterance) -> Option<Heard> {
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
        let what = match CustomerUtterance::of(utterance) {
            Some(customer) => What::Said(Box::new(customer)),
            None if utterance.party == Party::Customer => What::TakenBack(utterance.utterance_id),
            None => return None,
        };
        Some(Heard { memory: Arc::clone(self), what, before })
    }
}

/// Something that a customer said, to be understood.
#[derive(Debug)]
pub struct Heard {
    memory: Arc<CallMemory>,
    what: What,
    /// The utterance just before, whoever spoke.
    before: Option<UtteranceId>,
}

#[derive(Debug)]
enum What {
    Said(Box<CustomerUtterance>),
    TakenBack(UtteranceId),
}

/// Publishes what was understood.
pub type Publish = Box<dyn Fn(EventBody) + Send>;

struct Job {
    heard: Heard,
    publish: Publish,
    /// When the words were published; absent in what is played as fast as it goes, where time tells nothing.
    since: Option<Instant>,
}

/// The thread that understands, for those who have something for it.
#[derive(Debug)]
pub struct Insight {
    /// Taken when it is stopped.
    jobs: Option<SyncSender<Job>>,
    figures: Arc<Figures>,
    thread: Option<JoinHandle<()>>,
}

impl Insight {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(mut understanding: Understanding) -> std::io::Result<Self> {
        Self::with(move |said| understanding.of(said))
    }

    fn with(
        understand: impl FnMut(&CustomerUtterance) -> Result<Understood, InsightError> + Send + 'static,
    ) -> std::io::Result<Self> {
        let (jobs, inbox) = sync_channel(QUEUE);
        let figures = Arc::new(Figures::default());
        let counted = Arc::clone(&figures);
        let thread = std::thread::Builder::new().name("insight".into());
        let thread = thread.spawn(move || run(&inbox, understand, &counted))?;
        Ok(Self { jobs: Some(jobs), figures, thread: Some(thread) })
    }

    /// Has words understood, which have just been published, and what is understood published. Never waits: when
    /// too many wait already, these are left out.
    pub fn understand(&self, heard: Heard, publish: Publish) {
        let job = Job { heard, publish, since: Some(Instant::now()) };
        if self.jobs.as_ref().is_none_or(|jobs| jobs.try_send(job).is_err()) {
            self.figures.dropped.fetch_add(1, Relaxed);
        }
    }

    /// The same, and waits until it is done: for calls that are played as fast as it goes, whose log must not depend
    /// on how fast that is.
    pub fn understand_now(&self, heard: Heard, publish: Publish) {
        let (done, is_done) = sync_channel::<()>(0);
        let publish: Publish = Box::new(move |body| {
            let _until_dropped = &done;
            publish(body);
        });
        if self.jobs.as_ref().is_some_and(|jobs| jobs.send(Job { heard, publish, since: None }).is_ok()) {
            // Nothing is ever sent: it ends when the job is dropped.
            let _ = is_done.recv();
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

fn run(
    inbox: &Receiver<Job>,
    mut understand: impl FnMut(&CustomerUtterance) -> Result<Understood, InsightError>,
    figures: &Figures,
) {
    // On Linux this is the thread's own: it takes what is left by the media path and by the page, and comes before
    // recognition, which takes half a second for what this takes milliseconds for.
    if let Err(error) = rustix::process::nice(5) {
        tracing::debug!(%error, "the thread that understands keeps its priority");
    }
    for Job { heard: Heard { memory, what, before }, publish, since } in inbox {
        let said = match what {
            What::Said(said) => said,
            What::TakenBack(id) => {
                let mut memory = memory.understood.lock().unwrap_or_else(PoisonError::into_inner);
                memory.arc.forget(id);
                memory.wanted.remove(&id);
                continue;
            }
        };
        let understood = catch_unwind(AssertUnwindSafe(|| understand(&said)));
        let understood = match understood {
            Ok(Ok(understood)) => understood,
            Ok(Err(error)) => {
                tracing::warn!(%error, "words were not understood");
                figures.failed.fetch_add(1, Relaxed);
                continue;
            }
            Err(_) => {
                tracing::error!("understanding panicked");
                figures.failed.fetch_add(1, Relaxed);
                continue;
            }
        };
        let latency = || Millis(since.map_or(0, |since| since.elapsed().as_millis() as u64));
        let mut memory = memory.understood.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(words) = understood.mood {
            let (arc, turn) = memory.arc.observe(Observation::of(&said, words.sentiment, before));
            publish(EventBody::Mood(Mood::of(&said, words, arc, turn, latency())));
            figures.moods.fetch_add(1, Relaxed);
        }
        let id = said.utterance().utterance_id;
        if let Some(wanted) = understood.wanted {
            memory.wanted.insert(id);
            let Wanted { name, title, confidence, alert } = wanted;
            let (name, nothing) = (Some(name), Intent::none(&said, latency()));
            publish(EventBody::Intent(Intent { name, title, confidence, alert, ..nothing }));
            figures.intents.fetch_add(1, Relaxed);
        } else if memory.wanted.remove(&id) {
            publish(EventBody::Intent(Intent::none(&said, latency())));
        }
        if since.is_some() {
            figures.latency.record(latency().0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use sotto_call::testing::utterance;
    use sotto_call::{Emotion, Sentiment, TurnDirection, WordsMood};

    /// Understands "bad" and "good", and that a refund is wanted.
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
        Ok(Understood { mood: Some(mood), wanted })
    }

    /// What is published of a call in which all this is said, in order.
    fn published(insight: &Insight, said: &[Utterance]) -> Vec<EventBody> {
        let memory = Arc::new(CallMemory::default());
        let (publish, events) = channel();
        for utterance in said {
            let publish = publish.clone();
            if let Some(heard) = memory.hear(utterance) {
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
    fn nothing_but_the_customers_final_words_is_understood() {
        let memory = Arc::new(CallMemory::default());
        for party in [Party::Agent, Party::Other] {
            for text in ["this is bad, I want a refund", ""] {
                for (r#final, revision) in [(true, 0), (true, 3), (false, 0)] {
                    let said = Utterance { r#final, revision, ..utterance(1, party, text) };
                    assert!(memory.hear(&said).is_none(), "{said:?}");
                }
            }
        }
        let partial = Utterance { r#final: false, ..utterance(2, Party::Customer, "this is bad") };
        assert!(memory.hear(&partial).is_none());
        assert!(memory.hear(&utterance(2, Party::Customer, "this is bad")).is_some());
    }

    #[test]
    fn a_mood_and_an_intent_come_with_their_evidence_and_a_turn_with_its_trigger() {
        let insight = Insight::with(simply).unwrap();
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
    fn revisions_replace_and_take_back() {
        let insight = Insight::with(simply).unwrap();
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
    fn a_model_that_fails_costs_one_utterance() {
        let insight = Insight::with(simply).unwrap();
        let said =
            ["nonsense", "panic", "good"].map(|text| utterance(text.len() as u32, Party::Customer, text));
        assert_eq!(moods(&published(&insight, &said)).len(), 1);
        assert_eq!(insight.figures().failed.load(Relaxed), 2);
    }

    #[test]
    fn what_comes_too_fast_is_left_out_and_counted() {
        let (go, gone) = channel::<()>();
        let insight = Insight::with(move |said| {
            // Holds on until it is let go, for ever after.
            let _ = gone.recv();
            simply(said)
        })
        .unwrap();
        let memory = Arc::new(CallMemory::default());
        let (publish, events) = channel();
        for id in 0..QUEUE as u32 + 10 {
            let heard = memory.hear(&utterance(id, Party::Customer, "good")).unwrap();
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
        assert!(off.read_intents().unwrap().is_none() && !off.is_wanted());
        assert!(!InsightConfig { mood: MoodFrom::Off, ..InsightConfig::default() }.is_wanted());
    }
}
