use std::thread::JoinHandle;

use sotto_call::{CallEnded, CallLog, CallStarted, EndReason, EventBody, Party, Source};
use sotto_insight::Purpose;
use sotto_store::{
    CallFacts, CallKnowledge, CallRow, CallSearch, Closing, EventWriter, Reach, ReviewRow, Step, WriterLimits,
};
use tokio::runtime::Handle;
use tokio::task::yield_now;

use super::*;
use crate::library::{Embed, KnowledgeConfig};

/// Says whether a text is about money, lessons, or neither.
fn embedding() -> Embed {
    Box::new(|purpose: Purpose, texts: &[&str]| -> anyhow::Result<Vec<Vec<f32>>> {
        // What is about neither is like nothing that is asked.
        let neither = if purpose == Purpose::Query { [0.1, 0.0] } else { [0.0, 0.1] };
        let has = |text: &str, words: &[&str]| words.iter().filter(|word| text.contains(**word)).count();
        let about = |text: &&str| {
            let (money, lessons) = (has(text, &["refund", "money", "charged"]), has(text, &["lesson"]));
            vec![money as f32, lessons as f32, neither[0], neither[1]]
        };
        Ok(texts.iter().map(about).collect())
    })
}

/// The same, which cannot read some texts, and panics at others.
fn that_stumbles() -> Embed {
    let mut embed = embedding();
    Box::new(move |purpose: Purpose, texts: &[&str]| -> anyhow::Result<Vec<Vec<f32>>> {
        let has = |word: &str| texts.iter().any(|text| text.contains(word));
        assert!(!has("panic"), "a text that panics");
        anyhow::ensure!(!has("poison"), "no luck");
        embed(purpose, texts)
    })
}

/// A library in which nothing is written down, and the thread that keeps it, in whose way nothing is.
fn library(
    store: &Store,
    open: impl FnMut() -> anyhow::Result<Embed> + Send + 'static,
) -> (Library, JoinHandle<()>) {
    let library = Library::new(KnowledgeConfig::default(), store.clone());
    let (kept, runtime) = (library.clone(), Handle::current());
    let keep = move || kept.keep(&runtime, open, |problem| assert_eq!(problem, None));
    (library, std::thread::spawn(keep))
}

fn said(n: u32, text: &str) -> SaidRow {
    let at = Millis(u64::from(n) * 1_000);
    SaidRow { utterance: UtteranceId(n), party: Party::Customer, at, text: text.to_owned() }
}

/// A call of an agent's that is over, and by which it is found.
async fn call(store: &Store, agent: &str, texts: &[&str]) -> CallId {
    let (id, mut log) = (CallId::new(), CallLog::default());
    let started = CallStarted {
        version: sotto_call::FORMAT_VERSION,
        source: Source::Sip,
        started_at_unix_ms: 1_000,
        external_id: id.to_string(),
        participants: Vec::new(),
        language: None,
        bridged: false,
        parties_guessed: false,
        headers: Default::default(),
    };
    store.create_call(&CallRow::live(id, &started, None)).await.unwrap();
    let ended = CallEnded { reason: EndReason::Hangup, duration_ms: Millis(5) };
    let events = [
        log.append(Millis(0), EventBody::CallStarted(started)),
        log.append(Millis(5), EventBody::CallEnded(ended.clone())),
    ];
    let closing = Closing { ended, utterances: 0, last: None, participants: None };
    store.end_call(id, &events, &closing).await.unwrap();
    let job = store.claim_job(Step::Review, u64::from(u32::MAX) * 1_000).await.unwrap().unwrap();
    let facts = CallFacts { agent: Some(agent.to_owned()), ..CallFacts::default() };
    let said = (1..).zip(texts).map(|(n, text)| said(n, text)).collect();
    let knowledge = CallKnowledge { search: CallSearch { facts, said }, ..CallKnowledge::default() };
    let (insight, quality) = ("{}".to_owned(), "{}".to_owned());
    let review = ReviewRow { version: 1, made_at_unix_ms: 1, insight, with_moods: None, quality };
    assert!(store.finish_job(&job, &review, &knowledge, None, None).await.unwrap());
    id
}

/// Works until all calls are embedded.
async fn embedded(store: &Store, library: &Library) {
    let stop = CancellationToken::new();
    let every = Duration::from_millis(1);
    let running = tokio::spawn(run(store.clone(), library.clone(), every, Arc::default(), stop.clone()));
    loop {
        let model = library.asks_by();
        if !model.is_empty() && store.unembedded_calls(&model, 1).await.unwrap().is_empty() {
            break;
        }
        yield_now().await;
    }
    stop.cancel();
    running.await.unwrap();
}

fn saying(text: &str) -> SearchFilter {
    SearchFilter { said: Some(text.to_owned()), limit: 9, ..SearchFilter::default() }
}

/// The calls that are found, in order, each with its utterances and whether these have the words, and mean the same.
async fn found(
    store: &Store,
    library: &Library,
    filter: &SearchFilter,
) -> Vec<(CallId, Vec<(u32, bool, bool)>)> {
    let found = find(store, library, filter).await.unwrap().unwrap();
    assert!(found.compared_all);
    let told = |one: &Matched| (one.said.utterance.0, one.by_words, one.by_meaning);
    found.calls.iter().map(|(row, said)| (row.call.id, said.iter().map(told).collect())).collect()
}

async fn in_other_words(store: Store) {
    let (library, keeper) = library(&store, || Ok(embedding()));
    let charged = call(&store, "mina", &["Good morning.", "They charged me twice."]).await;
    let lesson = call(&store, "omid", &["My lesson was cancelled."]).await;
    let wants = call(&store, "mina", &["Hello.", "a", "b", "c", "I want my money back."]).await;
    assert_eq!(find(&store, &library, &saying("money back")).await.unwrap(), None, "words have to do");
    embedded(&store, &library).await;
    let other_words = (charged, vec![(1, false, true), (2, false, true)]);
    let expected = [(wants, vec![(5, true, true)]), other_words.clone()];
    assert_eq!(found(&store, &library, &saying("money back")).await, expected, "words come first");
    let expected = [(wants, vec![(5, false, true)]), other_words.clone()];
    assert_eq!(found(&store, &library, &saying("a refund")).await, expected, "of equals the newest");
    let one = SearchFilter { limit: 1, ..saying("a refund") };
    assert_eq!(found(&store, &library, &one).await, expected[..1]);
    assert_eq!(found(&store, &library, &saying("cancelled")).await, [(lesson, vec![(1, true, false)])]);
    assert_eq!(found(&store, &library, &saying("weather")).await, []);
    // What is not embedded yet is found by its words.
    let fresh = call(&store, "mina", &["Your money back!"]).await;
    let expected = [(fresh, vec![(1, true, false)]), (wants, vec![(5, true, true)]), other_words];
    assert_eq!(found(&store, &library, &saying("money back")).await, expected);
    // Nobody finds what is not theirs.
    let of_omid = SearchFilter { agent: Some("omid".to_owned()), ..saying("a refund") };
    assert_eq!(found(&store, &library, &of_omid).await, []);
    let of_team = SearchFilter { reach: Reach::Team(Some("cards".to_owned())), ..saying("money back") };
    assert_eq!(found(&store, &library, &of_team).await, []);

    // What is taken out of a call finds it no more, and what it means is gone with it.
    let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
    writer.redact(charged, UtteranceId(2), u64::from(u32::MAX));
    writer.flush().await;
    assert_eq!(store.passages(&[charged], &library.asks_by()).await.unwrap(), []);
    assert_eq!(found(&store, &library, &saying("a refund")).await, [(wants, vec![(5, false, true)])]);
    library.stop();
    keeper.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_in_other_words_is_found_until_it_is_taken_out() {
    let (store, _folder) = sotto_store::testing::sqlite().await;
    in_other_words(store).await;
    if let Some(store) = sotto_store::testing::postgres().await {
        in_other_words(store).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_cannot_be_embedded_holds_up_no_other() {
    let (store, _folder) = sotto_store::testing::sqlite().await;
    let (library, keeper) = library(&store, || Ok(that_stumbles()));
    let charged = call(&store, "mina", &["They charged me twice."]).await;
    // These come first.
    for n in 1..TOGETHER {
        call(&store, "mina", &[if n == 1 { "This is panic." } else { "This is poison." }]).await;
    }
    let (failed, stop) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
    let every = Duration::from_millis(1);
    let running = tokio::spawn(run(store.clone(), library.clone(), every, failed.clone(), stop.clone()));
    while store.passages(&[charged], &library.asks_by()).await.unwrap().is_empty() {
        yield_now().await;
    }
    assert_eq!(failed.load(Ordering::Relaxed), u64::from(TOGETHER - 1));
    assert_eq!(found(&store, &library, &saying("a refund")).await, [(charged, vec![(1, false, true)])]);
    // Nor those that come after it.
    let late = call(&store, "mina", &["My lesson was cancelled."]).await;
    while store.passages(&[late], &library.asks_by()).await.unwrap().is_empty() {
        yield_now().await;
    }
    assert_eq!(failed.load(Ordering::Relaxed), u64::from(TOGETHER - 1), "they are not tried at once again");
    stop.cancel();
    running.await.unwrap();
    library.stop();
    keeper.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedding_that_cannot_be_had_is_no_problem_where_nothing_is_written_down() {
    let (store, _folder) = sotto_store::testing::sqlite().await;
    let (tried, stop) = (Arc::new(tokio::sync::Notify::new()), CancellationToken::new());
    let tells = tried.clone();
    let (library, keeper) = library(&store, move || {
        tells.notify_one();
        anyhow::bail!("no network")
    });
    let every = Duration::from_millis(1);
    let running = tokio::spawn(run(store.clone(), library.clone(), every, Arc::default(), stop.clone()));
    // Nothing is opened before anything was said.
    let call = call(&store, "mina", &["They charged me twice."]).await;
    tried.notified().await;
    assert_eq!(find(&store, &library, &saying("charged")).await.unwrap(), None);
    assert_eq!(store.find_calls(&saying("charged")).await.unwrap()[0].call.id, call);
    stop.cancel();
    running.await.unwrap();
    library.stop();
    keeper.join().unwrap();
}

#[test]
fn a_call_is_cut_into_passages_of_which_there_are_only_so_many() {
    let call = CallId::new();
    let of = |count: u32| passages(call, &(1..=count).map(|n| said(n, &n.to_string())).collect::<Vec<_>>());
    assert_eq!(of(0), []);
    let six = of(6);
    let texts: Vec<&str> = six.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["1 2 3 4", "5 6"]);
    assert_eq!((six[1].0.from, six[1].0.until), (Millis(5_000), Millis(6_000)));
    assert_eq!(of(1_000).len(), MOST_PASSAGES);
    let all: Vec<String> = of(1_000).into_iter().map(|(_, text)| text).collect();
    assert_eq!(all.join(" ").split(' ').count(), 1_000, "nothing is left out");
}
