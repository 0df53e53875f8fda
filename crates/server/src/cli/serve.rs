//! `sotto serve`: starts the parts in order, and stops them in the opposite one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use sotto_call::{Millis, Shedding};
use sotto_insight::{Duty, Playbook};
use sotto_media::Ports;
use sotto_models::{Cache, Console};
use sotto_sip::Endpoint;
use sotto_store::{EventWriter, Role, Store, WriterLimits, recover};
use sotto_webrtc::WebRtc;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::alerts::Rules;
use crate::audit::Audit;
use crate::calls::{Calls, LoadTold, Recordings};
use crate::config::{Config, ServerConfig, SpeechConfig};
use crate::desk::Desk;
use crate::gaps::Gaps;
use crate::http::{App, Parts, Readiness, SpeechStatus, serve};
use crate::hub::{Hub, HubLimits};
use crate::insight::{self, Insight};
use crate::intents::IntentEditor;
use crate::jobs::JobLimits;
use crate::library::{Library, open_embedding};
use crate::metrics::Metrics;
use crate::streams::Streams;
use crate::{analysis, figures, jobs, moods, people, priority, retention};

/// How long calls get to hand in their last words when Sotto is stopped.
const LAST_WORDS: Duration = Duration::from_secs(30);

/// How long after a failure the models are tried again: the first times, and then always.
const RETRIES: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(15), Duration::from_secs(60)];
const RETRY_AT_MOST: Duration = Duration::from_secs(300);

pub(super) async fn run(config: Config) -> anyhow::Result<()> {
    let (intents, prompts) = (config.insight.read_intents()?, config.prompts.read()?);
    let data = config.server.data.clone();
    std::fs::create_dir_all(data.join("recordings"))
        .with_context(|| format!("making the data folder {}", data.display()))?;
    let listener = TcpListener::bind(config.server.listen).await.with_context(|| {
        format!("the page cannot listen on {}: is Sotto running already?", config.server.listen)
    })?;
    let store = Store::open(&config.store_url()).await?;
    let _only = store.lock_instance().await?;
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
    readiness.waiting("speech", "the models are being loaded");
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
    let webrtc = WebRtc::new(config.webrtc.clone());
    let desk = Desk::new(config.desk.clone(), webrtc.clone(), audit);
    desk.know_from(store.clone());
    let streams = Streams::new(webrtc, desk.clone());
    let library = Library::new(config.knowledge.clone(), store.clone());
    figures::knowledge(&metrics, &library);
    let gaps = Gaps::new(store.clone(), library.clone(), config.redaction.clone());
    let app = App::new(Parts {
        hub: hub.clone(),
        desk: desk.clone(),
        streams: streams.clone(),
        intents: intents.clone(),
        library: library.clone(),
        settings: config.http(),
        metrics: metrics.clone(),
        readiness: readiness.clone(),
        gaps,
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
    let missing = calls.clone();
    figures::missing(&metrics, move || missing.missing());
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
    start_speech(config.clone(), load, calls.clone(), metrics, readiness.clone());
    let no_more_jobs = CancellationToken::new();
    let limits = JobLimits::default();
    let work = jobs::built_in(library.clone());
    let jobs = jobs::run(store.clone(), work, limits, done_after, no_more_jobs.clone());
    let jobs = tokio::spawn(jobs);
    keep_library(library.clone(), config.speech.clone(), readiness.clone());
    let watcher = tokio::spawn(watch_recordings(calls.clone(), config.server.clone(), readiness));

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
    let sweeper = tokio::spawn(sweep(store.clone(), config.clone()));

    stopped().await?;
    tracing::info!("stopping");
    sweeper.abort();
    watcher.abort();
    library.stop();
    endpoint.shutdown().await;
    if tokio::time::timeout(LAST_WORDS, hub.drained()).await.is_err() {
        tracing::warn!(
            "some last words were not recognised in time; their calls will be closed at the next start"
        );
    }
    no_more_jobs.cancel();
    if tokio::time::timeout(LAST_WORDS, jobs).await.is_err() {
        tracing::warn!(
            "something that is done after calls takes too long; it is begun again at the next start"
        );
    }
    stop.cancel();
    http.await??;
    // A database that is away must not keep us; what it has not taken is lost, and that is said.
    let closed = async {
        writer.close().await;
        store.close().await;
    };
    if tokio::time::timeout(LAST_WORDS, closed).await.is_err() {
        tracing::error!("the database did not take everything in time");
    }
    Ok(())
}

/// Fetches and loads what recognises speech, beside the calls, which are recorded until then.
fn start_speech(config: Config, load: Arc<LoadTold>, calls: Calls, metrics: Metrics, readiness: Readiness) {
    let waits = readiness.clone();
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
        readiness.ready("speech");
        Ok(())
    };
    until_it_works("models", start, move |error| {
        tracing::error!("no speech recognition; calls are recorded: {error}");
        waits.waiting("speech", error);
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
    // Cards look up what customers say by the same embedding.
    let mut is_wanted = config.needs_embedding(&checklist);
    if is_wanted {
        readiness.degraded("insight", Some("the models are being loaded".to_owned()));
    }
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

/// Keeps what is written down as it is in the folders, beside the calls. Must be called within a Tokio runtime.
fn keep_library(library: Library, config: SpeechConfig, readiness: Readiness) {
    let runtime = Handle::current();
    let keep = move || {
        priority::lower(10, "the thread that keeps documents");
        let open = || open_embedding(config.models_dir.clone());
        library.keep(&runtime, open, |problem| readiness.degraded("knowledge", problem));
    };
    if let Err(error) = std::thread::Builder::new().name("library".into()).spawn(keep) {
        tracing::error!(%error, "no thread to keep documents on");
    }
}

/// Tries again until it works, and says why it did not.
///
/// On a thread of its own, because a download that hangs must not keep the process when it is told to stop.
fn until_it_works(
    name: &'static str,
    mut start: impl FnMut() -> anyhow::Result<()> + Send + 'static,
    failed: impl Fn(String) + Send + 'static,
) {
    let run = move || {
        for patience in RETRIES.into_iter().chain(std::iter::repeat(RETRY_AT_MOST)) {
            match start() {
                Ok(()) => return,
                Err(error) => failed(format!("{error:#}")),
            }
            std::thread::sleep(patience);
        }
    };
    if let Err(error) = std::thread::Builder::new().name(name.into()).spawn(run) {
        tracing::error!(%error, name, "no thread to load models on");
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

/// Removes what is older than it may be, now and every hour.
async fn sweep(store: Store, config: Config) {
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
        }
        if let Some(age) = moods {
            match retention::forget_moods(&store, age, super::now_unix_ms()).await {
                Ok(0) => {}
                Ok(calls) => tracing::info!(calls, "old moods were removed"),
                Err(error) => tracing::warn!(%error, "old moods could not be removed"),
            }
        }
        match retention::forget_questions(&store, gaps, super::now_unix_ms()).await {
            Ok(0) => {}
            Ok(questions) => tracing::info!(questions, "old questions without an answer were removed"),
            Err(error) => tracing::warn!(%error, "old questions without an answer could not be removed"),
        }
    }
}

/// Says when recordings cannot be written, or soon will not be, and when that is over.
async fn watch_recordings(calls: Calls, config: ServerConfig, readiness: Readiness) {
    let mut often = tokio::time::interval(Duration::from_secs(1));
    often.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        often.tick().await;
        let failing = calls.failing_recordings();
        let reason = (failing > 0).then(|| format!("recordings of {failing} calls cannot be written"));
        readiness.degraded("recording", reason);
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
