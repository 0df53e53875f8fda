//! `sotto serve`: starts the parts in order, and stops them in the opposite one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use sotto_call::{Millis, Shedding};
use sotto_media::Ports;
use sotto_models::{Cache, Console};
use sotto_sip::Endpoint;
use sotto_store::{EventWriter, Store, WriterLimits, recover};
use sotto_webrtc::WebRtc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::audit::Audit;
use crate::calls::{Calls, LoadTold};
use crate::config::{Config, SpeechConfig};
use crate::desk::Desk;
use crate::http::{App, Parts, Readiness, SpeechStatus, serve};
use crate::hub::{Hub, HubLimits};
use crate::metrics::Metrics;
use crate::{analysis, figures, people, retention};

/// How long calls get to hand in their last words when Sotto is stopped.
const LAST_WORDS: Duration = Duration::from_secs(30);

/// How long after a failure the models are tried again: the first times, and then always.
const SPEECH_RETRIES: [Duration; 3] =
    [Duration::from_secs(5), Duration::from_secs(15), Duration::from_secs(60)];
const SPEECH_RETRY_AT_MOST: Duration = Duration::from_secs(300);

pub(super) async fn run(config: Config) -> anyhow::Result<()> {
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
    let desk = Desk::new(config.desk.clone(), WebRtc::new(config.webrtc.clone()), audit);
    let app = App::new(Parts {
        hub: hub.clone(),
        desk: desk.clone(),
        settings: config.http(),
        metrics: metrics.clone(),
        readiness: readiness.clone(),
        speech: speech_status(&config.speech, workers, load.clone()),
    });
    let stop = CancellationToken::new();
    let page = listener.local_addr()?;
    let http = tokio::spawn(serve(listener, app, stop.clone().cancelled_owned()));

    let record = config.recording.enabled.then(|| data.clone());
    let calls = Calls::new(hub.clone(), record, config.speech.language.clone(), load.clone(), Some(desk));
    let missing = calls.clone();
    figures::missing(&metrics, move || missing.missing());

    let ports = Ports::new(config.media.ip, config.media.ports.range());
    let endpoint = Endpoint::start(config.sip.clone(), ports, Arc::new(calls.clone())).await;
    let endpoint = Arc::new(endpoint.context("SIP cannot listen")?);
    if !config.desk.trunk.host.is_empty() {
        calls.dial_through(endpoint.clone(), config.desk.trunk.clone());
    }
    if config.desk.trunk.register {
        endpoint.register(config.desk.trunk.clone());
    }
    let counted = endpoint.clone();
    figures::sip(&metrics, move || counted.counters());
    readiness.ready("sip");
    start_speech(config.clone(), load, calls.clone(), metrics, readiness);

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
    endpoint.shutdown().await;
    if tokio::time::timeout(LAST_WORDS, hub.drained()).await.is_err() {
        tracing::warn!(
            "some last words were not recognised in time; their calls will be closed at the next start"
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

/// Fetches and loads the models beside the calls, which are recorded until then; tries again until it works.
///
/// On a thread of its own, because a download that hangs must not keep the process when it is told to stop.
fn start_speech(config: Config, load: Arc<LoadTold>, calls: Calls, metrics: Metrics, readiness: Readiness) {
    let start = move |load: Arc<LoadTold>| {
        let cache = Cache::open(config.speech.models_dir.clone())?;
        let on_load = Box::new(move |now| load.tell(now));
        let words = &config.vocabulary.words;
        analysis::start(&config.speech, words, &cache, &mut Console::default(), on_load)
    };
    let run = move || {
        for patience in SPEECH_RETRIES.into_iter().chain(std::iter::repeat(SPEECH_RETRY_AT_MOST)) {
            match start(load.clone()) {
                Ok(engine) => {
                    let counted = engine.figures();
                    figures::speech(&metrics, &counted);
                    load.measure(counted);
                    calls.listen_with(engine);
                    readiness.ready("speech");
                    return;
                }
                Err(error) => {
                    tracing::error!("no speech recognition; calls are recorded: {error:#}");
                    readiness.waiting("speech", format!("{error:#}"));
                }
            }
            std::thread::sleep(patience);
        }
    };
    if let Err(error) = std::thread::Builder::new().name("models".into()).spawn(run) {
        tracing::error!(%error, "no thread to load models on");
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
    let days = u64::from(config.retention.days);
    if days == 0 {
        return;
    }
    let mut hourly = tokio::time::interval(Duration::from_secs(3600));
    loop {
        hourly.tick().await;
        let age = Duration::from_secs(days * 24 * 3600);
        match retention::remove_older(&store, &config.server.data, age, super::now_unix_ms()).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "old calls were removed"),
            Err(error) => tracing::warn!(%error, "old calls could not be removed"),
        }
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
