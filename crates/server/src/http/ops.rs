//! What those who run Sotto look at: is it alive, is it ready, how is it doing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sotto_call::Shedding;
use sotto_webrtc::Line;
use utoipa::ToSchema;

use super::auth::{Action, Identity, authorize};
use super::error::{ApiError, ErrorBody};
use super::{App, schema};
use crate::metrics::{self, Labels, Metrics};
use crate::moods::MoodUse;
use crate::streams::Streams;

/// How long the database may take to answer a look.
pub(super) const STORE_WITHIN: Duration = Duration::from_secs(2);
/// What waits for longer than this to be stored waits for a database that takes nothing.
const STORE_LATE_MS: u64 = 3_000;

/// How speech recognition is doing.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SpeechStatus {
    /// Names of the models by language, `default` for all others.
    pub models: BTreeMap<String, String>,
    /// What is given up just now.
    #[schema(value_type = schema::Shedding)]
    pub shedding: Shedding,
    /// How far recognition is behind.
    pub behind_ms: u64,
    /// Decoding threads.
    pub workers: usize,
}

/// How the installation is doing.
#[derive(Serialize, ToSchema)]
pub struct Status {
    /// Sotto's version.
    version: &'static str,
    speech: SpeechStatus,
    /// What customers' moods are read for, and who sees them.
    moods: MoodUse,
    calls: CallsStatus,
    lag: LagStatus,
    store: StoreStatus,
    /// What is not ready, and why not; empty when calls are taken.
    waiting: BTreeMap<&'static str, String>,
    /// What calls do without just now, and why: `speech` (they are recorded, and have no words yet), `store` (words are
    /// shown and not kept yet), `recording` (what is said is missing from recordings), `disk` (room runs out), `insight`
    /// (neither moods nor intents are read), `languages` (other languages are not understood), `knowledge` (documents are not as they are in the folders, or found by
    /// their words alone), `jobs` (nothing is made of calls that are over), `retention` (nothing is removed when its
    /// time is over).
    degraded: BTreeMap<&'static str, String>,
}

/// How many calls there are.
#[derive(Serialize, ToSchema)]
pub struct CallsStatus {
    /// Now.
    live: usize,
    /// At most.
    max: usize,
}

/// How far things are behind.
#[derive(Serialize, ToSchema)]
pub struct LagStatus {
    /// Age of the oldest event that is not stored yet.
    store_ms: u64,
}

/// How the database is doing.
#[derive(Serialize, ToSchema)]
pub struct StoreStatus {
    /// `sqlite` or `postgres`.
    kind: &'static str,
    /// Writes that wait.
    queued: u64,
    /// Events left out because the database was away for too long, or refused for good.
    lost: u64,
}

/// Whether calls are taken.
#[derive(Serialize, ToSchema)]
pub struct Ready {
    ready: bool,
    /// What is not ready, and why not.
    waiting: BTreeMap<&'static str, String>,
    /// What calls do without just now, and why. They are taken all the same.
    degraded: BTreeMap<&'static str, String>,
}

/// Alive
#[utoipa::path(get, path = "/healthz", tag = "Operation", security(()), responses(
    (status = 200, description = "The process answers", body = String),
))]
pub(super) async fn healthz() -> &'static str {
    "ok"
}

/// Ready for calls
#[utoipa::path(get, path = "/readyz", tag = "Operation", security(()), responses(
    (status = 200, description = "Calls are taken; what they do without is in `degraded`", body = Ready),
    (status = 503, description = "No calls are taken: SIP does not listen yet, Sotto is being stopped, or it holds all \
        that it may for a database that takes nothing", body = Ready),
))]
pub(super) async fn readyz(State(app): State<App>) -> Response {
    let (waiting, degraded) = missing(&app).await;
    let ready = waiting.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(Ready { ready, waiting, degraded })).into_response()
}

/// What is missing, by part: what is not ready, and what calls do without.
async fn missing(app: &App) -> (BTreeMap<&'static str, String>, BTreeMap<&'static str, String>) {
    let readiness = &app.shared.parts.readiness;
    let (mut waiting, mut degraded) = (readiness.reasons(), readiness.shortages());
    if !app.hub().writer().takes_calls() {
        waiting.insert("store", "too much waits for the database: calls are refused".to_owned());
    }
    if !matches!(tokio::time::timeout(STORE_WITHIN, app.store().ping()).await, Ok(Ok(()))) {
        degraded.insert("store", "the database does not answer".to_owned());
    } else if app.hub().writer().figures().lag_ms > STORE_LATE_MS {
        // It answers, and takes nothing: its disk is full, perhaps.
        degraded.insert("store", "the database does not keep what it is given".to_owned());
    }
    (waiting, degraded)
}

/// What a telephone system asks before it sends calls.
#[derive(Serialize, ToSchema)]
pub struct Connection {
    /// Whether calls are taken: SIP listens, and the database answers.
    ok: bool,
    /// Who asks: a person's name, or `key:` and what the key is for.
    name: String,
    version: &'static str,
    /// What is not ready, and why not. Without `speech` calls are taken and recorded, and have no words.
    waiting: BTreeMap<&'static str, String>,
}

/// Whether a connection works
///
/// For those who connect a telephone system or a CRM: the key is right, and calls would be taken. By POST as well. No call is
/// placed. Keys need `calls:read`.
#[utoipa::path(method(get, post), path = "/api/voip/test-connection", tag = "Operation", responses(
    (status = 200, description = "What is ready", body = Connection),
    (status = 401, description = "The key is none", body = ErrorBody),
    (status = 403, description = "Not by this key", body = ErrorBody),
))]
pub(super) async fn test_connection(
    State(app): State<App>,
    identity: Identity,
) -> Result<axum::Json<Connection>, ApiError> {
    authorize(&identity, Action::ReadStatus)?;
    let (waiting, _) = missing(&app).await;
    let ok = !waiting.contains_key("sip") && !waiting.contains_key("store");
    let (name, version) = (identity.name().to_owned(), env!("CARGO_PKG_VERSION"));
    Ok(axum::Json(Connection { ok, name, version, waiting }))
}

/// How the installation is doing
#[utoipa::path(get, path = "/api/status", tag = "Operation", responses(
    (status = 200, description = "Now", body = Status),
    (status = 401, description = "Not signed in", body = ErrorBody),
))]
pub(super) async fn status(
    State(app): State<App>,
    identity: Identity,
) -> Result<axum::Json<Status>, ApiError> {
    authorize(&identity, Action::ReadStatus)?;
    let (waiting, degraded) = missing(&app).await;
    let writer = app.hub().writer().figures();
    Ok(axum::Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        speech: (app.shared.parts.speech)(),
        moods: app.settings().moods.clone(),
        calls: CallsStatus { live: app.hub().live(), max: app.hub().max_calls() },
        lag: LagStatus { store_ms: writer.lag_ms },
        store: StoreStatus {
            kind: app.store().kind(),
            queued: writer.queued,
            lost: writer.shed + writer.rejected,
        },
        waiting,
        degraded,
    }))
}

/// Figures for Prometheus
///
/// Open unless the configuration says otherwise; then a key with `metrics:read` is needed.
#[utoipa::path(get, path = "/metrics", tag = "Operation", security(()), responses(
    (status = 200, description = "OpenMetrics text", body = String, content_type = "application/openmetrics-text"),
    (status = 401, description = "A key is needed", body = ErrorBody),
    (status = 403, description = "Not by this key", body = ErrorBody),
))]
pub(super) async fn metrics(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    if !app.settings().open_metrics {
        let (mut parts, _) = request.into_parts();
        authorize(&Identity::from_request_parts(&mut parts, &app).await?, Action::ReadMetrics)?;
    }
    let text = app.shared.parts.metrics.render();
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

/// What HTTP counts itself.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Answers by the first digit of their status.
    answers: [AtomicU64; 5],
    wrong_passwords: AtomicU64,
    throttled: AtomicU64,
    sockets: AtomicU64,
    /// Sockets closed by us: in good order, too slow, for what they sent, otherwise.
    closed: [AtomicU64; 4],
}

const CLOSED: [&str; 4] = ["end", "slow", "refused", "other"];

impl Counters {
    pub(super) fn answered(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        if let Some(counter) = self.answers.get(class) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn wrong_password(&self) {
        self.wrong_passwords.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn throttled(&self) {
        self.throttled.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn socket_opened(&self) {
        self.sockets.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn socket_closed(&self, code: u16) {
        let [end, slow, refused, other] = &self.closed;
        let counter = match code {
            1000 => end,
            1013 => slow,
            1002 | 1003 | 1007 | 1008 | 1009 => refused,
            _ => other,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Registers the figures of the hub, the store's writer and HTTP.
pub(super) fn register(app: &App) {
    let metrics = &app.shared.parts.metrics;
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);

    let hub = app.hub().clone();
    metrics.gauge("calls_live", "Calls now", move || hub.live() as f64);
    type HubFigure = fn(crate::hub::HubFigures) -> u64;
    let of_hub: [(&str, &str, HubFigure); 7] = [
        ("calls_begun", "Calls begun", |figures| figures.begun),
        ("calls_refused", "Calls refused", |figures| figures.refused),
        ("calls_not_stored", "Calls whose end the database would not take", |figures| figures.not_stored),
        ("calls_failed", "Calls whose task has ended by itself", |figures| figures.failed),
        ("events", "Events numbered", |figures| figures.events),
        ("events_dropped", "Events left out before they had a number", |figures| figures.dropped),
        ("subscribers_slow", "Subscribers cut off because they were too slow", |figures| figures.slow),
    ];
    for (name, help, read) in of_hub {
        let hub = app.hub().clone();
        metrics.counter(name, help, move || read(hub.figures()));
    }

    let writer = app.hub().writer().clone();
    metrics.gauge("store_lag_seconds", "Age of the oldest event that is not stored yet", move || {
        writer.figures().lag_ms as f64 / 1000.0
    });
    let writer = app.hub().writer().clone();
    metrics
        .gauge("store_queued", "Writes that wait for the database", move || writer.figures().queued as f64);
    let writer = app.hub().writer().clone();
    metrics.gauge("store_queued_bytes", "Memory taken by writes that wait", move || {
        writer.figures().queued_bytes as f64
    });
    type WriterFigure = fn(sotto_store::WriterFigures) -> u64;
    let of_writer: [(&str, &str, WriterFigure); 5] = [
        ("store_writes", "Writes stored", |figures| figures.stored),
        ("store_batches", "Transactions committed", |figures| figures.batches),
        ("store_errors", "Transactions that failed and were tried again", |figures| figures.errors),
        ("store_shed", "Events left out because the database was away for too long", |figures| figures.shed),
        ("store_rejected", "Writes the database refused for good", |figures| figures.rejected),
    ];
    for (name, help, read) in of_writer {
        let writer = app.hub().writer().clone();
        metrics.counter(name, help, move || read(writer.figures()));
    }

    let desk = app.shared.parts.desk.clone();
    metrics.counters("phone_refused", "What agents' pages asked for and did not get, by reason", move || {
        let refused = desk.refused().into_iter();
        refused.map(|(reason, count)| (vec![("reason", reason.to_owned())], count)).collect()
    });
    let streams = app.shared.parts.streams.clone();
    metrics.counter("streams_refused", "What WHIP and WHEP clients asked for and did not get", move || {
        streams.refused()
    });
    let streams = app.shared.parts.streams.clone();
    metrics.gauges("streams", "Sessions of WHIP and WHEP now", move || {
        let (publish, listen) = streams.count();
        let labels = |kind: &str| -> Labels { vec![("kind", kind.to_owned())] };
        vec![(labels("whip"), publish as f64), (labels("whep"), listen as f64)]
    });
    browsers(metrics, &app.shared.parts.streams);
    let desk = app.shared.parts.desk.clone();
    metrics.counter("audit_lost", "Records of the audit that are in the program's log alone", move || {
        desk.audit().lost()
    });

    // The registry is part of the app: a strong reference back would keep both for ever.
    let with = {
        let app = std::sync::Arc::downgrade(&app.shared);
        move || app.upgrade()
    };
    let shared = with.clone();
    metrics.counters("http_answers", "Answers by class of status", move || {
        let Some(shared) = shared() else { return Vec::new() };
        let classes = (1..).zip(&shared.counters.answers);
        let labels = |class: u32| -> Labels { vec![("class", format!("{class}xx"))] };
        classes.map(|(class, counter)| (labels(class), load(counter))).collect()
    });
    let shared = with.clone();
    metrics.counter("sign_ins_failed", "Wrong names or passwords", move || {
        shared().map_or(0, |shared| load(&shared.counters.wrong_passwords))
    });
    let shared = with.clone();
    metrics.counter("sign_ins_throttled", "Attempts to sign in that came too often", move || {
        shared().map_or(0, |shared| load(&shared.counters.throttled))
    });
    let shared = with.clone();
    metrics.counter("websockets_opened", "WebSockets opened", move || {
        shared().map_or(0, |shared| load(&shared.counters.sockets))
    });
    let shared = with.clone();
    metrics.gauge("websockets", "WebSockets now", move || {
        shared().map_or(0.0, |shared| {
            shared.parts.settings.sockets.saturating_sub(shared.sockets.available_permits()) as f64
        })
    });
    let shared = with;
    metrics.counters("websockets_closed", "WebSockets closed by us, by reason", move || {
        let Some(shared) = shared() else { return Vec::new() };
        let reasons = CLOSED.into_iter().zip(&shared.counters.closed);
        reasons.map(|(reason, counter)| (vec![("reason", reason.to_owned())], load(counter))).collect()
    });
}

/// Registers how the ways to browsers are, by the reports that both sides send: in the middle, and the worst.
fn browsers(metrics: &Metrics, streams: &Streams) {
    let lines = streams.clone();
    metrics.gauge("browsers", "Connections to browsers now", move || lines.lines().len() as f64);
    type Read = fn(&Line) -> Option<f64>;
    let figures: [(&str, &str, Read); 5] = [
        ("browser_sent_lost_ratio", "Packets that did not reach browsers", |l| l.to_browser.map(|d| d.lost)),
        ("browser_received_lost_ratio", "Packets that did not come from browsers", |l| {
            l.from_browser.map(|d| d.lost)
        }),
        ("browser_sent_jitter_seconds", "Jitter of what browsers hear", |l| {
            l.to_browser.map(|d| d.jitter.as_secs_f64())
        }),
        ("browser_received_jitter_seconds", "Jitter of what comes from browsers", |l| {
            l.from_browser.map(|d| d.jitter.as_secs_f64())
        }),
        ("browser_round_trip_seconds", "To browsers and back", |l| l.round_trip.map(|t| t.as_secs_f64())),
    ];
    for (name, help, read) in figures {
        let streams = streams.clone();
        metrics.gauges(name, help, move || {
            let mut values: Vec<f64> = streams.lines().iter().filter_map(read).collect();
            values.sort_by(f64::total_cmp);
            let labels = |of: &str| -> Labels { vec![("of", of.to_owned())] };
            let middle = values.get(values.len() / 2).map(|value| (labels("median"), *value));
            middle.into_iter().chain(values.last().map(|value| (labels("worst"), *value))).collect()
        });
    }
}
