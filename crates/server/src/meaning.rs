//! What was said in calls that are over, found by its meaning as well as by its words.
//!
//! Some utterances that follow each other are a passage, with the vector that the embedding of questions gives it. They are made
//! beside the jobs, of the words by which a call is found: again where these are made anew, where another embedding is there than
//! before, and of calls that were over when there was none. A search compares the question with those of the newest calls that
//! fit, by an exact scan as in the index of what is written down, and puts that together with the words as that does
//! ([`Fusion`]). Without an embedding calls are found by their words.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use sotto_call::{CallId, Millis, UtteranceId};
use sotto_knowledge::{Fusion, MEANT, Scores, dot};
use sotto_store::{FoundCall, PassageRow, SaidRow, SearchFilter, Store, StoreError, UnembeddedCall};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::library::{Library, bytes, floats};
use crate::{pace, priority};

/// Calls that one search finds at most.
pub const MOST_FOUND: u32 = 50;
/// Utterances of a passage, and passages of a call. Those of a longer call are longer; the embedding reads their beginning.
const TURNS: usize = 4;
const MOST_PASSAGES: usize = 32;
/// Calls that are looked for together to be embedded.
const TOGETHER: u32 = 8;
/// How long after a failure it is tried again, about; of one call twice as long after each further one, and how long at most.
const RETRY: Duration = Duration::from_secs(30);
const LONGEST_RETRY: Duration = Duration::from_secs(3_600);
/// Calls whose passages a question is compared with: the newest of those that fit.
const COMPARED: u32 = 5_000;
/// Of so many the passages are in memory together.
const AT_ONCE: usize = 200;
/// Searches at the same time: each reads some tens of megabytes.
static SEARCHES: Semaphore = Semaphore::const_new(2);
/// Passages that are told of each call, and utterances of each.
const PASSAGES_TOLD: usize = 2;
const SAID_TOLD: u32 = 6;

/// What was found, the best first.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Each with what was said that was looked for, in order of time.
    pub calls: Vec<(FoundCall, Vec<Matched>)>,
    /// Whether all calls that fit were compared; the older ones are found by their words alone.
    pub compared_all: bool,
}

impl Found {
    /// What was found by its words alone.
    #[must_use]
    pub fn by_words(calls: Vec<FoundCall>) -> Self {
        let calls = calls.into_iter().map(|mut call| {
            let said = std::mem::take(&mut call.said).into_iter();
            let said = said.map(|said| Matched { said, by_words: true, by_meaning: false });
            (call, said.collect())
        });
        Self { calls: calls.collect(), compared_all: true }
    }
}

/// An utterance that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    /// Which.
    pub said: SaidRow,
    /// It has the words.
    pub by_words: bool,
    /// It is in a passage that means the same.
    pub by_meaning: bool,
}

/// Calls that could not be embedded: how often that was tried, and until when others come first.
type Failed = HashMap<CallId, (u32, Instant)>;

/// Has calls embedded that are over, as soon as it is known what was said in them, until it is told to stop. Looks `every` so
/// often. Tries that `failed` are counted; they hold up no other call.
pub async fn run(
    store: Store,
    library: Library,
    every: Duration,
    failed: Arc<AtomicU64>,
    stop: CancellationToken,
) {
    let mut waiting = Failed::new();
    while !stop.is_cancelled() {
        let pause = match embed_some(&store, &library, &mut waiting, &failed, &stop).await {
            Ok(true) => continue,
            Ok(false) => every,
            Err(error) => {
                tracing::warn!("calls are found by their words alone for now: {error:#}");
                RETRY
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Has some calls embedded, but for those that wait to be tried again; whether there may be more.
async fn embed_some(
    store: &Store,
    library: &Library,
    waiting: &mut Failed,
    failed: &AtomicU64,
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    let model = library.asks_by();
    if model.is_empty() {
        if store.has_said().await? {
            library.embed_calls();
        }
        return Ok(false);
    }
    let most = u32::try_from(waiting.len()).unwrap_or(u32::MAX).saturating_add(TOGETHER);
    let (mut calls, now) = (store.unembedded_calls(&model, most).await?, Instant::now());
    calls.retain(|call| waiting.get(&call.id).is_none_or(|(_, until)| *until <= now));
    calls.truncate(TOGETHER as usize);
    let mut in_vain = 0;
    for call in &calls {
        if stop.is_cancelled() {
            return Ok(false);
        }
        let Err(error) = embed(store, library, call, &model).await else {
            waiting.remove(&call.id);
            continue;
        };
        if error.downcast_ref::<StoreError>().is_some_and(|error| !error.is_permanent()) {
            return Err(error);
        }
        in_vain += 1;
        failed.fetch_add(1, Ordering::Relaxed);
        let (tries, until) = waiting.entry(call.id).or_insert((0, now));
        *tries = tries.saturating_add(1);
        *until = Instant::now() + pace::pause(*tries, RETRY, LONGEST_RETRY);
        tracing::warn!(call = %call.id, tries = *tries, "a call is found by its words alone for now: {error:#}");
    }
    // It is hardly the calls.
    anyhow::ensure!(in_vain < TOGETHER, "none of {TOGETHER} calls could be embedded");
    Ok(!calls.is_empty())
}

/// Has a call embedded.
async fn embed(store: &Store, library: &Library, call: &UnembeddedCall, model: &str) -> anyhow::Result<()> {
    let mut passages = passages(call.id, &store.said(call.id).await?);
    let texts: Vec<String> = passages.iter_mut().map(|(_, text)| std::mem::take(text)).collect();
    let library = library.clone();
    let embedded = priority::spawn("embed", 10, move || library.embedded(&texts)).context("no thread")?;
    let vectors = embedded.await.ok().context("the embedding panicked")??;
    let rows = passages.into_iter().zip(vectors);
    let rows: Vec<PassageRow> =
        rows.map(|((row, _), vector)| PassageRow { vector: bytes(&vector), ..row }).collect();
    store.embed_call(call, model, &rows).await?;
    Ok(())
}

/// What is embedded of a call's utterances in order of time: each passage, still without its vector, and its text.
fn passages(call: CallId, said: &[SaidRow]) -> Vec<(PassageRow, String)> {
    let turns = said.len().div_ceil(MOST_PASSAGES).max(TURNS);
    let passage = |said: &[SaidRow]| {
        let (first, last) = said.first().zip(said.last())?;
        let texts: Vec<&str> = said.iter().map(|one| one.text.as_str()).collect();
        let row = PassageRow { call, from: first.at, until: last.at, vector: Vec::new() };
        Some((row, texts.join(" ")))
    };
    said.chunks(turns).filter_map(passage).collect()
}

/// Calls in which what a filter looks for was said, by its words or its meaning, at most [`MOST_FOUND`] of them on the one page
/// that there is. Nothing while there is no embedding.
///
/// # Errors
/// When the store refuses.
pub async fn find(
    store: &Store,
    library: &Library,
    filter: &SearchFilter,
) -> Result<Option<Found>, StoreError> {
    let (model, text) = (library.asks_by(), filter.said.clone().unwrap_or_default());
    if model.is_empty() {
        library.embed_calls();
        return Ok(None);
    }
    let asked = library.clone();
    let question = spawn_blocking(move || asked.meaning(&text, &[])).await;
    let Ok(Some(question)) = question else { return Ok(None) };
    let question: Arc<[f32]> = question.into();
    // It is never closed.
    let _turn = SEARCHES.acquire().await;
    let limit = filter.limit.min(MOST_FOUND);
    let by_words = SearchFilter { limit, before: None, ..filter.clone() };
    let anything = SearchFilter { said: None, ..by_words.clone() };
    let with_words = store.find_calls(&by_words).await?;
    let compared = SearchFilter { limit: COMPARED, ..anything.clone() };
    let compared = store.embedded_calls(&compared, &model).await?;
    let compared_all = compared.len() < COMPARED as usize;
    // Thousands of vectors: whoever passes packets on does not wait for that.
    let mut ranked = Ranked::default();
    for calls in compared.chunks(AT_ONCE) {
        let (passages, question) = (store.passages(calls, &model).await?, Arc::clone(&question));
        let add = spawn_blocking(move || {
            passages.into_iter().for_each(|passage| ranked.add(passage, &question));
            ranked
        });
        let Ok(added) = add.await else { return Ok(None) };
        ranked = added;
    }
    let words = with_words.clone();
    let Ok(found) = spawn_blocking(move || ranked.best(&words, limit as usize)).await else {
        return Ok(None);
    };
    let among: Vec<CallId> = found.iter().map(|(call, _)| *call).collect();
    if among.is_empty() {
        return Ok(Some(Found { calls: Vec::new(), compared_all }));
    }
    let rows = store.find_calls(&SearchFilter { among, ..anything }).await?;
    let mut rows: HashMap<CallId, FoundCall> = rows.into_iter().map(|row| (row.call.id, row)).collect();
    let mut with_words: HashMap<CallId, Vec<SaidRow>> =
        with_words.into_iter().map(|row| (row.call.id, row.said)).collect();
    let mut calls = Vec::new();
    for (id, passages) in found {
        // Something may have been taken out meanwhile.
        let Some(row) = rows.remove(&id) else { continue };
        let mut told: BTreeMap<(Millis, UtteranceId), Matched> = BTreeMap::new();
        for said in with_words.remove(&id).unwrap_or_default() {
            told.insert((said.at, said.utterance), Matched { said, by_words: true, by_meaning: false });
        }
        for passage in passages {
            for said in store.said_in(&passage, SAID_TOLD).await? {
                let known = told.entry((said.at, said.utterance));
                let known = known.or_insert(Matched { said, by_words: false, by_meaning: true });
                known.by_meaning = true;
            }
        }
        calls.push((row, told.into_values().collect()));
    }
    Ok(Some(Found { calls, compared_all }))
}

/// Passages, the newest calls' first, and how near they are to the question.
#[derive(Default)]
struct Ranked {
    passages: Vec<PassageRow>,
    cosines: Vec<f32>,
}

impl Ranked {
    fn add(&mut self, passage: PassageRow, question: &[f32]) {
        self.cosines.push(dot(question, &floats(&passage.vector)));
        self.passages.push(PassageRow { vector: Vec::new(), ..passage });
    }

    /// The best calls, in order, with those of their passages that mean the same. An utterance `with_words` counts as its passage,
    /// or by itself where that was not compared.
    fn best(mut self, with_words: &[FoundCall], limit: usize) -> Vec<(CallId, Vec<PassageRow>)> {
        let mut of_calls: HashMap<CallId, Vec<usize>> =
            with_words.iter().map(|found| (found.call.id, Vec::new())).collect();
        for (number, passage) in self.passages.iter().enumerate() {
            if let Some(numbers) = of_calls.get_mut(&passage.call) {
                numbers.push(number);
            }
        }
        let mut with = BTreeSet::new();
        for found in with_words {
            let call = found.call.id;
            for said in &found.said {
                let has = |number: &&usize| {
                    let passage = self.passages.get(**number);
                    passage.is_some_and(|one| (one.from..=one.until).contains(&said.at))
                };
                let known = of_calls.get(&call).and_then(|numbers| numbers.iter().find(has));
                with.insert(known.copied().unwrap_or(self.passages.len()));
                if known.is_none() {
                    let (from, until) = (said.at, said.at);
                    self.passages.push(PassageRow { call, from, until, vector: Vec::new() });
                }
            }
        }
        let count = self.passages.len();
        let words = Scores::of(count, with.iter().map(|number| (*number, 1.0)));
        let cosines = self.cosines.iter().copied().enumerate().filter(|(_, cosine)| cosine.is_finite());
        // What is found by its words has all of them.
        let fusion = Fusion::new(words, Scores::of(count, cosines), |_| 1.0, None);
        let means = |number: usize| self.cosines.get(number).is_some_and(|cosine| *cosine >= MEANT);
        let mut order: Vec<(usize, f32)> = (0..count)
            .filter(|number| with.contains(number) || means(*number))
            .filter_map(|number| Some((number, fusion.score(number)?)))
            .collect();
        // Of equals the newest.
        let call = |number: usize| self.passages.get(number).map(|passage| passage.call);
        order.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| call(b.0).cmp(&call(a.0))));
        let mut found: Vec<(CallId, Vec<PassageRow>)> = Vec::new();
        let mut places: HashMap<CallId, usize> = HashMap::new();
        for (number, _) in order {
            let Some(passage) = self.passages.get(number) else { continue };
            let place = match places.get(&passage.call) {
                Some(place) => *place,
                None if found.len() < limit => {
                    places.insert(passage.call, found.len());
                    found.push((passage.call, Vec::new()));
                    found.len() - 1
                }
                None => continue,
            };
            if let Some((_, told)) = found.get_mut(place)
                && means(number)
                && told.len() < PASSAGES_TOLD
            {
                told.push(passage.clone());
            }
        }
        found
    }
}

#[cfg(test)]
mod tests;
