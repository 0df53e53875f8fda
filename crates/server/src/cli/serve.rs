//! `sotto serve`: starts the parts in order, and stops them in the opposite one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use futures::FutureExt as _;
use rustix::fs::Mode;
use sotto_call::{Millis, Shedding};
use sotto_insight::{Duty, Playbook, PromptSet};
use sotto_media::Ports;
use sotto_models::{Cache, Console};
use sotto_sip::Endpoint;
use sotto_store::{
    EventWriter, InstanceLock, Role, Store, StoreError, WriterLimits, make_private_folder, recover,
};
use sotto_webrtc::WebRtc;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::alerts::Rules;
use crate::assist::Model;
use crate::audit::Audit;
use crate::calls::{Calls, LoadTold, Recordings};
use crate::config::{Config, ServerConfig, SpeechConfig};
use crate::desk::Desk;
use crate::follow_ups::Speech;
use crate::gaps::Gaps;
use crate::http::{App, Parts, Readiness, SpeechStatus, serve};
use crate::hub::{Hub, HubLimits};
use crate::imports::Imports;
use crate::insight::{self, Insight};
use crate::intents::IntentEditor;
use crate::jobs::JobLimits;
use crate::library::{Library, open_embedding, open_reranker};
use crate::llm::SpentKeeper;
use crate::metrics::{Metrics, count_panics};
use crate::streams::Streams;
use crate::writer::WRITTEN_WITHIN;
use crate::{analysis, figures, follow_ups, jobs, meaning, moods, outgoing, people, priority, retention};

/// How long stopping takes at most, whatever is slow. Who stops Sotto has to wait for longer before they kill it, as
/// `docker-compose.yml` does.
const STOPS_WITHIN: Duration = Duration::from_secs(75);
/// How much of that is left to store everything when calls' last words are waited for no more.
const STORES_WITHIN: Duration = Duration::from_secs(20);

/// How often it is looked at whether the database is still locked against another Sotto.
const LOOK_AT_LOCK: Duration = Duration::from_secs(10);

/// How long somebody who asks waits for a language model: less than a request may take.
const ANSWERED_WITHIN: Duration = Duration::from_secs(25);

/// How long after the start recordings made elsewhere wait for moods and intents.
const INSIGHT_WITHIN: Duration = Duration::from_secs(300);

/// How long after a failure the models are tried again: the first times, and then always.
const RETRIES: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(15), Duration::from_secs(60)];
const RETRY_AT_MOST: Duration = Duration::from_secs(300);

pub(super) async fn run(config: Config) -> anyhow::Result<()> {
    let (intents, prompts) = (config.insight.read_intents()?, config.prompts.read()?);
    config.insight.check(prompts.as_ref().map(PromptSet::duties).unwrap_or_default())?;
    let mut sender = config.follow_ups.open().map_err(anyhow::Error::msg)?;
    let data = config.server.data.clone();
    keep_private(&data).with_context(|| format!("making the data folder {}", data.display()))?;
    let listener = TcpListener::bind(config.server.listen).await.with_context(|| {
        format!("the page cannot listen on {}: is Sotto running already?", config.server.listen)
    })?;
    let store = Store::open(&config.store_url()).await?;
    tokio::spawn(stay_alone(store.clone(), store.lock_instance().await?));
    let endpoints = outgoing::endpoints(&config.webhooks, &config.crm.outside)?;
    // Before anything happens, as a call that a crash left open is over now.
    store.tell_to(endpoints.iter().map(outgoing::Endpoint::listener).collect());
    for call in recover(&store, |row| recording_length(&data, row.recording.as_deref()?)).await? {
        tracing::warn!(call = %call.id, duration = %call.duration_ms, "closed as interrupted");
    }
    let password = std::env::var("SOTTO_ADMIN_PASSWORD").ok().filter(|password| !password.is_empty());
    if let Some(admin) = people::first_admin(&store, password, super::now_unix_ms()).await?
        && let Some(secret) = admin.secret
    {
        println!("First start. Sign in as {} with the password {secret}", admin.made.name);
    }

    let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
    // SIP limits the calls that go on. Those that are over may wait for their last words, or for a database that
    // is away, and must not keep new ones out.
    let calls = config.sip.max_calls;
    let limits = HubLimits { calls, winding_up: calls.saturating_mul(9), ..HubLimits::default() };
    let hub = Hub::new(store.clone(), writer.clone(), limits);
    let load = Arc::new(LoadTold::default());
    let (metrics, readiness) = (Metrics::default(), Readiness::default());
    count_panics(&metrics);
    readiness.degraded("speech", Some("the models are being loaded".to_owned()));
    readiness.waiting("sip", "not listening yet");
    let workers = analysis::workers(&config.speech);
    let audit = Audit::keep_in(store.clone());
    moods::note_settings(&config.insight, &store, &audit).await?;
    let checklist = prompts.as_ref().map(|prompts| prompts.duties().to_vec()).unwrap_or_default();
    let playbook = prompts.map(|prompts| Playbook::new(prompts, intents.as_ref()));
    let playbook = playbook.map(|playbook| match config.insight.mood_seen_by.contains(&Role::Agent) {
        true => Arc::new(playbook),
        false => Arc::new(playbook.without_moods()),
    });
    hub.alert_by(Rules::new(&config.alerts, playbook.clone().unwrap_or_default()));
    let intents = IntentEditor::new(store.clone(), audit.clone(), intents, config.redaction.clone());
    if let Some(playbook) = &playbook {
        intents.guide_by(playbook.clone());
    }
    let webrtc = WebRtc::new(config.webrtc.clone());
    let desk = Desk::new(config.desk.clone(), webrtc.clone(), audit);
    desk.know_from(store.clone());
    let streams = Streams::new(webrtc, desk.clone());
    let library = Library::new(config.knowledge.clone(), store.clone());
    figures::knowledge(&metrics, &library);
    let gaps = Gaps::new(store.clone(), library.clone(), config.redaction.clone());
    let llm = config.llm.open()?;
    let mut spent = None;
    if let Some(llm) = &llm {
        figures::llm(&metrics, llm);
        spent = Some(SpentKeeper::start(llm.clone(), store.clone(), super::now_unix_ms()).await?);
    }
    let model = llm.map(|llm| Model { llm, redaction: config.redaction.clone(), patience: ANSWERED_WITHIN });
    let writes = model.as_ref().filter(|_| config.llm.insights);
    let writes = writes.map(|model| Model { patience: WRITTEN_WITHIN, ..model.clone() });
    let imports = Imports::new(config.imports.clone(), store.clone(), data.clone());
    imports.clean().await.context("making room for recordings made elsewhere")?;
    let app = App::new(Parts {
        hub: hub.clone(),
        desk: desk.clone(),
        streams: streams.clone(),
        intents: intents.clone(),
        library: library.clone(),
        model,
        settings: config.http(),
        metrics: metrics.clone(),
        readiness: readiness.clone(),
        gaps,
        imports: imports.clone(),
        speech: speech_status(&config.speech, workers, load.clone()),
    });
    let stop = CancellationToken::new();
    let page = listener.local_addr()?;
    let http = tokio::spawn(serve(listener, app, stop.clone().cancelled_owned()));

    let recordings = || Recordings { data: data.clone(), supervisors: config.recording.supervisors };
    let recordings = config.recording.enabled.then(recordings);
    let calls = Calls::new(
        hub.clone(),
        recordings,
        config.speech.language.clone(),
        load.clone(),
        Some(desk),
        config.redaction.clone(),
    );
    figures::redaction(&metrics, &calls.redacted());
    figures::missing(&metrics);
    let unheard = calls.clone();
    let help = "Audio of calls that were over before recognition was there";
    metrics.counter("speech_unheard_milliseconds", help, move || unheard.unheard_ms());
    let failing = calls.clone();
    metrics.gauge("recordings_failing", "Recordings that cannot be written just now", move || {
        failing.failing_recordings() as f64
    });

    let ports = Ports::new(config.media.ip, config.media.ports.range());
    let endpoint = Endpoint::start(config.sip.clone(), ports, Arc::new(calls.clone())).await;
    let endpoint = Arc::new(endpoint.context("SIP cannot listen")?);
    streams.join_through(endpoint.clone());
    if !config.desk.trunk.host.is_empty() {
        calls.dial_through(endpoint.clone(), config.desk.trunk.clone());
    }
    if config.desk.trunk.register {
        endpoint.register(config.desk.trunk.clone());
    }
    let counted = endpoint.clone();
    figures::sip(&metrics, move || counted.counters());
    readiness.ready("sip");
    if config.insight.enabled {
        let insight = Insight::start(&config.insight, library.clone())?;
        figures::insight(&metrics, &insight.figures());
        calls.understand_with(insight);
    }
    if let Some(playbook) = playbook {
        calls.prompt_by(playbook);
    }
    if config.insight.enabled {
        read_feelings(config.clone(), intents, checklist, calls.clone(), readiness.clone());
    }
    let done_after = Arc::new(jobs::Figures::default());
    figures::jobs(&metrics, &done_after);
    let unread = Arc::new(AtomicU64::new(0));
    figures::meaning(&metrics, &unread);
    let imported = Arc::new(jobs::Figures::default());
    figures::imports(&metrics, &imported);
    let told = Arc::new(outgoing::Figures::default());
    figures::outgoing(&metrics, &told);
    let sent = Arc::new(follow_ups::Figures::default());
    figures::follow_ups(&metrics, &sent);
    start_speech(config.clone(), load, calls.clone(), metrics, readiness.clone());
    let no_more_jobs = CancellationToken::new();
    let limits = JobLimits::default();
    let work = match writes {
        Some(model) => jobs::by_model(library.clone(), model, Handle::current(), no_more_jobs.clone()),
        None => jobs::built_in(library.clone()),
    };
    let rules = config.follow_up_rules();
    let jobs = jobs::run(store.clone(), work, rules.clone(), limits, done_after, no_more_jobs.clone());
    let embedded = meaning::run(store.clone(), library.clone(), limits.every, unread, no_more_jobs.clone());
    let jobs = tokio::spawn(async move { _ = tokio::join!(jobs, embedded) });
    let is_ready = whole_calls(readiness.clone(), calls.clone());
    let given_up = imports.clone();
    let imports = imports.run(calls.clone(), is_ready, limits, imported, no_more_jobs.clone());
    let imports = tokio::spawn(imports);
    let limits = outgoing::Limits::default();
    let outgoing = outgoing::run(store.clone(), endpoints, limits, told, no_more_jobs.clone());
    let outgoing = tokio::spawn(outgoing);
    if let Some(voice) = config.telephone_voice() {
        let calls = calls.clone();
        let announce = move |number: String, speech: Speech| {
            let calls = calls.clone();
            async move { calls.announce(&number, &speech).await }.boxed()
        };
        sender = sender.that_calls(voice, Box::new(announce));
    }
    let limits = follow_ups::limits(config.follow_ups.tries);
    let outbox = follow_ups::run(store.clone(), sender, rules, limits, sent, no_more_jobs.clone());
    let outbox = tokio::spawn(outbox);
    let keeper = keep_library(library.clone(), config.speech.clone(), readiness.clone());
    let sweeper = tokio::spawn(sweep(store.clone(), given_up, config.clone()));
    let (listens, understands) = (calls.clone(), calls.clone());
    let (sweeps, works, sends) = (sweeper.abort_handle(), jobs.abort_handle(), outbox.abort_handle());
    let (imports_go_on, tells) = (imports.abort_handle(), outgoing.abort_handle());
    let lasting: Vec<Lasting> = vec![
        ("speech", Box::new(move || listens.is_listening())),
        ("insight", Box::new(move || understands.is_understanding())),
        ("knowledge", Box::new(move || keeper.as_ref().is_some_and(|keeper| !keeper.is_finished()))),
        ("jobs", Box::new(move || !works.is_finished())),
        ("imports", Box::new(move || !imports_go_on.is_finished())),
        ("webhooks", Box::new(move || !tells.is_finished())),
        ("follow_ups", Box::new(move || !sends.is_finished())),
        ("retention", Box::new(move || !sweeps.is_finished())),
    ];
    let watcher = tokio::spawn(watch(calls.clone(), config.server.clone(), lasting, readiness.clone()));

    println!("The page is at http://{page}");
    for address in endpoint.udp_addrs() {
        println!("SIP listens on udp {address}");
    }
    for address in endpoint.tcp_addrs() {
        println!("SIP listens on tcp {address}");
    }
    for address in endpoint.tls_addrs() {
        println!("SIP listens on tls {address}");
    }

    stopped().await?;
    tracing::info!("stopping");
    readiness.waiting("sip", "Sotto is being stopped");
    watcher.abort();
    sweeper.abort();
    library.stop();
    // What is done after calls that end now is done at the next start, and a recording is listened to again.
    no_more_jobs.cancel();
    let ended = async {
        endpoint.shutdown().await;
        hub.drained().await;
    };
    let stored = async {
        stop.cancel();
        let served = http.await;
        if let Some(spent) = spent {
            spent.stop().await;
        }
        writer.close().await;
        store.close().await;
        served
    };
    // What is being sent then may be sent; what became of it has to be kept before the database is closed.
    let jobs = futures::future::join4(jobs, imports, outgoing, outbox);
    if let Some(served) = wind_up(ended, jobs, stored).await {
        served??;
    }
    Ok(())
}

/// Makes the folders of what is kept of calls. Whatever this process makes from now on, wherever it is, nobody else can read,
/// but for the group of the data folder if that has access to it.
fn keep_private(data: &Path) -> std::io::Result<()> {
    make_private_folder(data)?;
    let open_to = Mode::from_raw_mode(rustix::fs::stat(data)?.st_mode);
    rustix::process::umask((Mode::RWXG - open_to) | Mode::RWXO);
    // For the same group; it may lie elsewhere.
    let recordings = data.join("recordings");
    std::fs::create_dir_all(&recordings)?;
    make_private_folder(&recordings)
}

/// Whether a recording can be listened to as a call would be: there are words, and moods and intents where these are wanted and
/// their models are not away for long.
fn whole_calls(readiness: Readiness, calls: Calls) -> impl Fn() -> bool + Send {
    let since = Instant::now();
    move || {
        let lacks_insight = readiness.shortages().contains_key("insight");
        calls.is_heard() && (!lacks_insight || since.elapsed() > INSIGHT_WITHIN)
    }
}

/// Waits for calls to end, with their last words, and beside them for the jobs that are under way; then for everything to
/// be stored. For no longer than [`STOPS_WITHIN`]: what is not done by then is said.
async fn wind_up<T>(
    ended: impl Future<Output = ()>,
    jobs: impl Future,
    stored: impl Future<Output = T>,
) -> Option<T> {
    let deadline = Instant::now() + STOPS_WITHIN;
    let enough = deadline - STORES_WITHIN;
    let (ended, jobs) = tokio::join!(timeout_at(enough, ended), timeout_at(enough, jobs));
    if ended.is_err() {
        tracing::warn!(
            "some last words were not recognised in time; their calls will be closed at the next start"
        );
    }
    if jobs.is_err() {
        tracing::warn!(
            "something that is done after calls takes too long; it is begun again at the next start"
        );
    }
    // A database that is away must not keep us; what it has not taken is lost.
    let stored = timeout_at(deadline, stored).await;
    if stored.is_err() {
        tracing::error!("the database did not take everything in time");
    }
    stored.ok()
}

/// Fetches and loads what recognises speech, beside the calls, which are recorded until then.
fn start_speech(config: Config, load: Arc<LoadTold>, calls: Calls, metrics: Metrics, readiness: Readiness) {
    let lacks = readiness.clone();
    let start = move || {
        let cache = Cache::open(config.speech.models_dir.clone())?;
        let told = load.clone();
        let on_load = Box::new(move |now| told.tell(now));
        let words = &config.vocabulary.words;
        let engine = analysis::start(&config.speech, words, &cache, &mut Console::default(), on_load)?;
        let counted = engine.figures();
        figures::speech(&metrics, &counted);
        load.measure(counted);
        calls.listen_with(engine);
        readiness.degraded("speech", None);
        Ok(())
    };
    until_it_works("models", start, move |error| {
        tracing::error!("no speech recognition; calls are recorded: {error}");
        lacks.degraded("speech", Some(error));
    });
}

/// Fetches and loads what mood, intents and the checklist are read with, beside the calls, which do without until then;
/// and again whenever somebody has changed the intents. Must be called within a Tokio runtime.
fn read_feelings(
    config: Config,
    intents: IntentEditor,
    checklist: Vec<Duty>,
    calls: Calls,
    readiness: Readiness,
) {
    // With none of them there is nothing to load until somebody adds an intent.
    // What customers ask is looked up by what understands them.
    let mut is_wanted = config.needs_embedding(&checklist);
    if is_wanted {
        readiness.degraded("insight", Some("the models are being loaded".to_owned()));
    }
    readiness.degraded("languages", config.insight.lacks());
    let (lacks, runtime) = (readiness.clone(), Handle::current());
    let start = move || {
        priority::lower(10, "the thread that learns intents");
        intents.keep_learned(&runtime, |set| {
            is_wanted |= set.is_some();
            if is_wanted {
                let cache = Cache::open(config.speech.models_dir.clone())?;
                // All of it anew: the one that is in use goes on meanwhile.
                let progress = &mut Console::default();
                calls.read_with(insight::open(&config.insight, set, &checklist, &cache, progress)?);
            }
            readiness.degraded("insight", None);
            Ok(())
        })
    };
    until_it_works("insight-models", start, move |error| {
        tracing::warn!("mood and intents are missing, or not as they were changed: {error}");
        lacks.degraded("insight", Some(error));
    });
}

/// Keeps what is written down as it is in the folders, beside the calls, on a thread, if there is one to be had. Must be
/// called within a Tokio runtime.
fn keep_library(library: Library, config: SpeechConfig, readiness: Readiness) -> Option<JoinHandle<()>> {
    let runtime = Handle::current();
    let keep = move || {
        priority::lower(10, "the thread that keeps documents");
        if let Some(folder) = library.reranker_folder() {
            library.rerank_by(open_reranker(config.models_dir.clone(), folder));
        }
        let open = || open_embedding(config.models_dir.clone());
        library.keep(&runtime, open, |problem| readiness.degraded("knowledge", problem));
    };
    let thread = std::thread::Builder::new().name("library".into()).spawn(keep);
    thread.inspect_err(|error| tracing::error!(%error, "no thread to keep documents on")).ok()
}

/// Tries again until it works, and says why it did not.
///
/// On a thread of its own, because a download that hangs must not keep the process when it is told to stop.
fn until_it_works(
    name: &'static str,
    mut start: impl FnMut() -> anyhow::Result<()> + Send + 'static,
    failed: impl Fn(String) + Send + Sync + 'static,
) {
    let failed = Arc::new(failed);
    let told = Arc::clone(&failed);
    let run = move || {
        for patience in RETRIES.into_iter().chain(std::iter::repeat(RETRY_AT_MOST)) {
            match catch_unwind(AssertUnwindSafe(&mut start)) {
                Ok(Ok(())) => return,
                Ok(Err(error)) => told(format!("{error:#}")),
                Err(_) => told("loading the models panicked".to_owned()),
            }
            std::thread::sleep(patience);
        }
    };
    if let Err(error) = std::thread::Builder::new().name(name.into()).spawn(run) {
        failed(format!("no thread to load models on: {error}"));
    }
}

/// Waits for the signal to stop.
async fn stopped() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        stopped = tokio::signal::ctrl_c() => stopped,
        _ = terminate.recv() => Ok(()),
    }
}

/// Holds the lock that keeps another Sotto off the database for as long as this one runs, whatever becomes of the database
/// meanwhile: another would close our live calls as interrupted.
async fn stay_alone(store: Store, mut lock: InstanceLock) {
    let mut often = tokio::time::interval(LOOK_AT_LOCK);
    often.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        often.tick().await;
        // That the database is away is said elsewhere.
        if let Err(StoreError::InUse) = lock.keep(&store).await {
            tracing::error!("another Sotto may be running on this database: stop one of the two");
        }
    }
}

/// Removes what is older than it may be, now and every hour.
async fn sweep(store: Store, imports: Imports, config: Config) {
    let age = |days: u32| (days > 0).then(|| Duration::from_secs(u64::from(days) * 24 * 3600));
    let (calls, moods) = (age(config.retention.days), age(config.insight.mood_kept_days));
    let gaps = age(config.knowledge.gaps_kept_days);
    let mut hourly = tokio::time::interval(Duration::from_secs(3600));
    loop {
        hourly.tick().await;
        if let Some(age) = calls {
            match retention::remove_older(&store, &config.server.data, age, super::now_unix_ms()).await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "old calls were removed"),
                Err(error) => tracing::warn!(%error, "old calls could not be removed"),
            }
            match imports.remove_older(age, super::now_unix_ms()).await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "recordings that were given up were removed"),
                Err(error) => tracing::warn!(%error, "recordings that were given up could not be removed"),
            }
        }
        if let Some(age) = moods {
            match retention::forget_moods(&store, age, super::now_unix_ms()).await {
                Ok(0) => {}
                Ok(calls) => tracing::info!(calls, "old moods were removed"),
                Err(error) => tracing::warn!(%error, "old moods could not be removed"),
            }
        }
        let kept_from = super::now_unix_ms().saturating_sub(outgoing::KEPT_FOR.as_secs() * 1_000);
        if let Err(error) = store.forget_deliveries(kept_from).await {
            tracing::warn!(%error, "the log of deliveries could not be cut");
        }
        match retention::forget_questions(&store, gaps, super::now_unix_ms()).await {
            Ok(0) => {}
            Ok(questions) => tracing::info!(questions, "old questions without an answer were removed"),
            Err(error) => tracing::warn!(%error, "old questions without an answer could not be removed"),
        }
    }
}

/// What goes on until Sotto is stopped, as the part of [`Readiness`] that does without it when it has ended by itself, and
/// whether it goes on.
type Lasting = (&'static str, Box<dyn Fn() -> bool + Send>);

/// Says what has ended by itself: nothing begins it anew.
fn tell_ended(lasting: &[Lasting], readiness: &Readiness) {
    for &(part, _) in lasting.iter().filter(|(_, goes_on)| !goes_on()) {
        readiness.degraded(part, Some("its thread or task has ended: start Sotto again".to_owned()));
    }
}

/// Says when recordings cannot be written, or soon will not be, when nothing that is said is recognised, and when that is over;
/// and what has ended by itself.
async fn watch(calls: Calls, config: ServerConfig, lasting: Vec<Lasting>, readiness: Readiness) {
    let mut often = tokio::time::interval(Duration::from_secs(1));
    often.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        often.tick().await;
        let failing = calls.failing_recordings();
        let reason = (failing > 0).then(|| format!("recordings of {failing} calls cannot be written"));
        readiness.degraded("recording", reason);
        // Before that it is said why it is not there, and after its end that it has ended.
        if calls.is_heard() && calls.is_listening() {
            let reason = calls.fails_to_hear().then(|| "one decode after the other fails".to_owned());
            readiness.degraded("speech", reason);
        }
        tell_ended(&lasting, &readiness);
        let data = config.data.clone();
        // A disk of another machine may take its time.
        let room = tokio::task::spawn_blocking(move || rustix::fs::statvfs(&data)).await;
        let Ok(Ok(room)) = room else { continue };
        let left_mb = room.f_bavail.saturating_mul(room.f_frsize) / 1_000_000;
        let is_low = left_mb < u64::from(config.low_disk_mb);
        readiness.degraded("disk", is_low.then(|| format!("{left_mb} MB are left for the data folder")));
    }
}

fn speech_status(
    config: &SpeechConfig,
    workers: usize,
    load: Arc<LoadTold>,
) -> Box<dyn Fn() -> SpeechStatus + Send + Sync> {
    let mut models = config.models.clone();
    models.insert("default".to_owned(), config.model.clone());
    Box::new(move || {
        let now = load.now();
        SpeechStatus {
            models: models.clone(),
            shedding: now.as_ref().map_or(Shedding::None, |load| load.shedding),
            behind_ms: load.behind_ms(),
            workers,
        }
    })
}

/// How long a recording is that was not finished.
fn recording_length(data: &Path, file: &str) -> Option<Millis> {
    let reader = hound::WavReader::open(data.join(file)).ok()?;
    let rate = u64::from(reader.spec().sample_rate.max(1));
    Some(Millis(u64::from(reader.duration()) * 1000 / rate))
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;
    use crate::cli::LEFT_BEHIND;

    #[tokio::test(start_paused = true)]
    async fn stopping_takes_no_longer_than_it_may_whatever_hangs() {
        let begun = Instant::now();
        assert_eq!(wind_up(pending(), pending::<()>(), pending::<()>()).await, None);
        assert_eq!(begun.elapsed(), STOPS_WITHIN);
        let begun = Instant::now();
        let stored = async { "all of it" };
        assert_eq!(wind_up(async {}, pending::<()>(), stored).await, Some("all of it"));
        assert_eq!(begun.elapsed(), STOPS_WITHIN - STORES_WITHIN, "jobs take no time from the database");
        let begun = Instant::now();
        assert_eq!(wind_up(async {}, async {}, async { 1 }).await, Some(1));
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[test]
    fn what_has_ended_by_itself_is_said() {
        let readiness = Readiness::default();
        let lasting: Vec<Lasting> = vec![("speech", Box::new(|| true)), ("jobs", Box::new(|| false))];
        tell_ended(&lasting, &readiness);
        assert_eq!(readiness.shortages().into_keys().collect::<Vec<_>>(), ["jobs"]);
    }

    #[test]
    fn a_panic_while_models_are_loaded_is_a_try_that_failed() {
        let (tell, told) = std::sync::mpsc::channel();
        until_it_works("panics", || panic!("no model"), move |error| _ = tell.send(error));
        assert_eq!(told.recv().unwrap(), "loading the models panicked");
    }

    /// In an address some characters mean something else.
    #[test]
    fn with_docker_any_password_of_the_database_does() {
        let compose = include_str!("../../../../docker-compose.yml");
        let value = |name: &str| compose.lines().find_map(|line| line.trim().strip_prefix(name));
        assert!(value("PGPASSWORD: ").is_some_and(|given| given.contains("SOTTO_DATABASE_PASSWORD")));
        assert!(value("SOTTO_STORE__URL: ").is_some_and(|url| !url.contains('$')));
    }

    /// When its grace period is over a container is killed, with what is not stored by then.
    #[test]
    fn docker_waits_for_longer_than_stopping_takes() {
        let compose = include_str!("../../../../docker-compose.yml");
        let grace = compose.lines().find_map(|line| {
            line.trim().strip_prefix("stop_grace_period: ")?.strip_suffix('s')?.parse().ok()
        });
        // Some seconds for decodes that are given up.
        let longest = STOPS_WITHIN + LEFT_BEHIND + Duration::from_secs(5);
        assert!(Duration::from_secs(grace.unwrap()) >= longest, "{grace:?} s for {longest:?}");
    }
}
