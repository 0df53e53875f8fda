//! HTTP and WebSocket: what browsers and programs see of Sotto.
//!
//! Every request is hostile until it is understood: bodies, headers and frames have limits, every wait has an
//! end, and a client that does not keep up is dropped. Handlers ask [`auth::authorize`] and then the hub or the
//! store; none of them decides anything about a call.

mod auth;
mod calls;
mod companies;
mod contacts;
mod dashboard;
mod discreet;
mod docs;
mod drafts;
mod error;
mod follow_ups;
mod gaps;
mod imports;
mod intents;
mod jobs;
mod knowledge;
mod live;
mod missed;
mod ops;
mod pathways;
mod payments;
mod people;
mod person;
mod phone;
mod preparation;
mod quality;
mod recording;
mod review;
pub(crate) mod schema;
mod search;
mod serve;
mod session;
mod table;
mod tasks;
mod teams;
mod throttle;
mod tickets;
mod web;
mod webhooks;
mod whip;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sotto_crm::MessageChannel;
use sotto_store::Store;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub use self::docs::openapi;
pub use self::ops::{SpeechStatus, Status};
pub use self::serve::serve;

pub(crate) use self::contacts::{Lead, TimelineEntry};
pub(crate) use self::payments::PaymentEntry;
pub(crate) use self::tasks::TaskEntry;
pub(crate) use self::tickets::TicketEntry;

use self::error::ApiError;
use self::throttle::Throttle;
use crate::assist::Model;
use crate::audit::Once;
use crate::crm::CrmRules;
use crate::desk::Desk;
use crate::follow_ups::Voice;
use crate::gaps::Gaps;
use crate::hub::Hub;
use crate::imports::Imports;
use crate::insight::InsightConfig;
use crate::intents::IntentEditor;
use crate::library::Library;
use crate::metrics::Metrics;
use crate::moods::{Looks, MoodUse};
use crate::redaction::RedactionConfig;
use crate::streams::Streams;

/// What of the configuration HTTP needs.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Under which address browsers reach us (`https://calls.example`), when that is not the one they ask for.
    /// With `https` cookies are marked secure.
    pub public_url: Option<String>,
    /// Reverse proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// How long a session lasts at most.
    pub session: Duration,
    /// How long a session lasts without being used.
    pub session_idle: Duration,
    /// TCP connections at the same time.
    pub connections: usize,
    /// WebSockets at the same time.
    pub sockets: usize,
    /// Whether `/metrics` is open to everyone who can reach it.
    pub open_metrics: bool,
    /// What moods are read for, and who sees them.
    pub moods: MoodUse,
    /// By what numbers and promises are read.
    pub crm: CrmRules,
    /// What is taken out of what people write of calls.
    pub redaction: RedactionConfig,
    /// By what messages to contacts can be sent.
    pub channels: Vec<MessageChannel>,
    /// What speaks those that are said on the telephone.
    pub voice: Option<Voice>,
    /// The data folder: recordings are read from below it.
    pub data: PathBuf,
    /// How often a WebSocket's client hears that we are there.
    pub ping: Duration,
    /// How long a WebSocket's client may take nothing at all.
    pub patience: Duration,
}

impl HttpSettings {
    /// Defaults, with recordings below `data`.
    #[must_use]
    pub fn new(data: PathBuf) -> Self {
        const HOUR: Duration = Duration::from_secs(3600);
        Self {
            public_url: None,
            trusted_proxies: Vec::new(),
            session: HOUR * 24 * 7,
            session_idle: HOUR * 12,
            connections: 1024,
            sockets: 1024,
            open_metrics: true,
            moods: MoodUse::from(&InsightConfig::default()),
            crm: CrmRules::default(),
            redaction: RedactionConfig::default(),
            channels: Vec::new(),
            voice: None,
            data,
            ping: Duration::from_secs(5),
            patience: Duration::from_secs(10),
        }
    }

    fn session_idle_ms(&self) -> u64 {
        u64::try_from(self.session_idle.as_millis()).unwrap_or(u64::MAX)
    }
}

/// What calls cannot be taken without, and what they do without meanwhile. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    waiting: Arc<Mutex<BTreeMap<&'static str, String>>>,
    degraded: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

impl Readiness {
    /// No calls are taken, because `part` is not ready for this reason.
    pub fn waiting(&self, part: &'static str, reason: impl Into<String>) {
        self.lock().insert(part, reason.into());
    }

    /// `part` is ready.
    pub fn ready(&self, part: &'static str) {
        self.lock().remove(part);
    }

    /// Calls are taken and go on, but `part` is missing for this reason, or is there again.
    pub fn degraded(&self, part: &'static str, reason: Option<String>) {
        let mut degraded = self.degraded.lock().unwrap_or_else(PoisonError::into_inner);
        match reason {
            Some(reason) => degraded.insert(part, reason),
            None => degraded.remove(part),
        };
    }

    /// What is not ready, and why not.
    #[must_use]
    pub fn reasons(&self) -> BTreeMap<&'static str, String> {
        self.lock().clone()
    }

    /// What calls do without, and why.
    #[must_use]
    pub fn shortages(&self) -> BTreeMap<&'static str, String> {
        self.degraded.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What HTTP is made from.
pub struct Parts {
    /// The calls.
    pub hub: Hub,
    /// Agents at their browsers.
    pub desk: Desk,
    /// Audio of other clients.
    pub streams: Streams,
    /// What customers may want.
    pub intents: IntentEditor,
    /// What is written down.
    pub library: Library,
    /// What puts answers from there into words, if anything does.
    pub model: Option<Model>,
    /// See [`HttpSettings`].
    pub settings: HttpSettings,
    /// Read at `/metrics`.
    pub metrics: Metrics,
    /// Read at `/readyz`.
    pub readiness: Readiness,
    /// What is not written down, and what of it is no good.
    pub gaps: Gaps,
    /// Recordings that were made elsewhere.
    pub imports: Imports,
    /// How speech recognition is doing, for `/api/status`.
    pub speech: Box<dyn Fn() -> SpeechStatus + Send + Sync>,
}

/// Everything a handler may need. Cheap to clone.
#[derive(Clone)]
pub struct App {
    shared: Arc<Shared>,
}

struct Shared {
    parts: Parts,
    origin: Option<String>,
    /// Who was signed in when the database last knew.
    signed_in: auth::SignedIn,
    throttle: Throttle,
    /// Passwords checked at the same time: each takes a core and 19 MiB.
    hashing: Semaphore,
    sockets: Arc<Semaphore>,
    /// WebSockets and other tasks that outlive their request.
    tasks: TaskTracker,
    stopping: CancellationToken,
    counters: ops::Counters,
    /// Who has looked at moods.
    looks: Looks,
    /// Who has seen which contact on which day, counted from 1970.
    seen: Once<(Uuid, u64)>,
    now_unix_ms: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl App {
    /// HTTP over `parts`, by the system's clock. Registers its own, the hub's and the store's figures.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self::with_clock(parts, || {
            let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
        })
    }

    /// The same by another clock, which tells milliseconds since 1970.
    #[must_use]
    pub fn with_clock(parts: Parts, now_unix_ms: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        let origin = parts.settings.public_url.as_deref().and_then(origin_of);
        let sockets = Arc::new(Semaphore::new(parts.settings.sockets));
        let app = Self {
            shared: Arc::new(Shared {
                parts,
                origin,
                signed_in: auth::SignedIn::default(),
                throttle: Throttle::default(),
                hashing: Semaphore::new(2),
                sockets,
                tasks: TaskTracker::new(),
                stopping: CancellationToken::new(),
                counters: ops::Counters::default(),
                looks: Looks::default(),
                seen: Once::default(),
                now_unix_ms: Box::new(now_unix_ms),
            }),
        };
        ops::register(&app);
        app
    }

    fn hub(&self) -> &Hub {
        &self.shared.parts.hub
    }

    fn store(&self) -> &Store {
        self.shared.parts.hub.store()
    }

    fn settings(&self) -> &HttpSettings {
        &self.shared.parts.settings
    }

    fn public_origin(&self) -> Option<&str> {
        self.shared.origin.as_deref()
    }

    fn is_https(&self) -> bool {
        self.public_origin().is_some_and(|origin| origin.starts_with("https:"))
    }

    fn now_unix_ms(&self) -> u64 {
        (self.shared.now_unix_ms)()
    }

    /// Where a request comes from, looking through the proxies we trust.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let trusted = |address: &IpAddr| self.settings().trusted_proxies.contains(address);
        let peer = peer.to_canonical();
        if !trusted(&peer) {
            return peer;
        }
        let forwarded: Vec<Option<IpAddr>> = headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|address| {
                // Some proxies write the port as well.
                let address = address.trim();
                let with_port = || address.parse().ok().map(|address: SocketAddr| address.ip());
                address.parse().ok().or_else(with_port).map(|address: IpAddr| address.to_canonical())
            })
            .collect();
        // The nearest proxy writes last; what strangers claim stands before that, and before what is no address.
        let mut client = peer;
        for address in forwarded.into_iter().rev() {
            let Some(address) = address else { break };
            client = address;
            if !trusted(&address) {
                break;
            }
        }
        client
    }
}

/// Scheme and authority of an address, as browsers write an origin.
fn origin_of(url: &str) -> Option<String> {
    let uri: axum::http::Uri = url.parse().ok()?;
    let scheme = uri.scheme_str()?;
    let authority = uri.authority()?.as_str().to_lowercase();
    let usual = if scheme == "https" { ":443" } else { ":80" };
    Some(format!("{scheme}://{}", authority.strip_suffix(usual).unwrap_or(&authority)))
}

/// Bytes a request's body may have.
const LARGEST_BODY: usize = 64 << 10;
/// How long a request may take until its answer begins.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// All endpoints.
pub fn router(app: App) -> Router {
    let api = Router::new()
        .merge(session::routes())
        .merge(calls::routes())
        .merge(review::routes())
        .merge(quality::routes())
        .merge(search::routes())
        .merge(dashboard::routes())
        .merge(live::routes())
        .merge(phone::routes())
        .merge(whip::routes())
        .merge(missed::routes())
        .merge(intents::routes())
        .merge(knowledge::routes())
        .merge(gaps::routes())
        .merge(pathways::routes())
        .merge(drafts::routes())
        .merge(contacts::routes())
        .merge(table::routes())
        .merge(companies::routes())
        .merge(person::routes())
        .merge(tasks::routes())
        .merge(tickets::routes())
        .merge(payments::routes())
        .merge(preparation::routes())
        .merge(follow_ups::routes())
        .merge(people::routes())
        .merge(teams::routes())
        .merge(jobs::routes())
        .merge(imports::routes())
        .merge(webhooks::routes())
        .route("/status", get(ops::status))
        .route("/voip/test-connection", get(ops::test_connection).post(ops::test_connection))
        .merge(docs::routes())
        .fallback(async || ApiError::not_found("endpoint"))
        .method_not_allowed_fallback(async || {
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "not by this method")
        })
        .layer(middleware::from_fn(error::without_nul))
        .layer(middleware::map_response(not_stored));
    Router::new()
        .nest("/api", api)
        .route("/healthz", get(ops::healthz))
        .route("/readyz", get(ops::readyz))
        .route("/metrics", get(ops::metrics))
        .merge(web::routes())
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn_with_state(app.clone(), guard))
        .with_state(app)
}

/// Gives up a request that takes too long. Whoever sends a recording may take longer, and has limits of their own.
async fn in_time(request: Request, next: Next) -> Response {
    if imports::is_upload(&request) {
        return next.run(request).await;
    }
    let answer = tokio::time::timeout(LONGEST_WAIT, next.run(request)).await;
    answer.unwrap_or_else(|_| StatusCode::GATEWAY_TIMEOUT.into_response())
}

/// Answers with data of calls and people are kept by nobody on the way, unless they say otherwise.
async fn not_stored(mut response: Response) -> Response {
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Headers every answer has, and the count of answers.
async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    app.shared.counters.answered(response.status());
    let headers = response.headers_mut();
    // Nothing on our pages comes from elsewhere, nothing is written into them, and nobody may frame them.
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
        font-src 'self'; connect-src 'self'; media-src 'self' blob:; manifest-src 'self'; base-uri 'none'; \
        form-action 'self'; frame-ancestors 'none'";
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(self), geolocation=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if app.is_https() {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        assert_eq!(origin_of("https://Calls.Example:443/x").as_deref(), Some("https://calls.example"));
        assert_eq!(origin_of("http://10.0.0.1:8080").as_deref(), Some("http://10.0.0.1:8080"));
        assert_eq!(origin_of("calls.example"), None);
    }
}
