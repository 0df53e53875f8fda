//! What every test here needs: a server on a fresh store, users, and calls to look at.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use serde_json::{Value, json};
use sotto_call::{
    CallEnded, CallId, CallStarted, EndReason, EventBody, FORMAT_VERSION, Millis, Participant, Party,
    Shedding, Source, Utterance, Word,
};
use sotto_server::assist::Model;
use sotto_server::audit::Audit;
use sotto_server::desk::{Desk, DeskConfig};
use sotto_server::figures;
use sotto_server::gaps::Gaps;
use sotto_server::http::{App, HttpSettings, Parts, Readiness, SpeechStatus, router, serve};
use sotto_server::hub::{Hub, HubLimits, LiveCall, NewCall};
use sotto_server::imports::{Imports, ImportsConfig, RecordingHost};
use sotto_server::intents::IntentEditor;
use sotto_server::library::{KnowledgeConfig, KnowledgeFolder, Library};
use sotto_server::metrics::Metrics;
use sotto_server::people;
use sotto_server::redaction::RedactionConfig;
use sotto_server::streams::Streams;
use sotto_store::{EventWriter, Role, Store, WriterLimits};
use sotto_webrtc::{WebRtc, WebRtcConfig};
use tokio::net::TcpListener;
use tower::ServiceExt;

pub const PASSWORD: &str = "correct horse battery";

pub struct Bench {
    pub hub: Hub,
    pub store: Store,
    pub streams: Streams,
    pub library: Library,
    pub app: App,
    pub router: Router,
    pub readiness: Readiness,
    /// The server's wall clock.
    pub now: Arc<AtomicU64>,
    pub folder: tempfile::TempDir,
}

impl Bench {
    pub async fn new() -> Self {
        Self::with(|_| {}, HubLimits::default()).await
    }

    pub async fn with(change: impl FnOnce(&mut HttpSettings), limits: HubLimits) -> Self {
        Self::made(change, limits, None).await
    }

    /// One whose questions a language model answers.
    pub async fn answering(model: Model) -> Self {
        Self::made(|_| {}, HubLimits::default(), Some(model)).await
    }

    async fn made(change: impl FnOnce(&mut HttpSettings), limits: HubLimits, model: Option<Model>) -> Self {
        let (store, folder) = sotto_store::testing::sqlite().await;
        let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
        let hub = Hub::new(store.clone(), writer, limits);
        let mut settings = HttpSettings::new(folder.path().to_owned());
        change(&mut settings);
        let readiness = Readiness::default();
        let local = "127.0.0.1".parse().unwrap();
        let webrtc =
            WebRtc::new(WebRtcConfig { ip: local, sessions_per_client: 4, ..WebRtcConfig::default() });
        let audit = Audit::keep_in(store.clone());
        let intents = IntentEditor::new(store.clone(), audit.clone(), None, RedactionConfig::default());
        let desk = Desk::new(DeskConfig::default(), webrtc.clone(), audit);
        let streams = Streams::new(webrtc, desk.clone());
        // Nobody looks through it here.
        let folders = vec![KnowledgeFolder {
            path: "hub".into(),
            teams: Vec::new(),
            roles: Vec::new(),
            tickets: false,
        }];
        let config =
            KnowledgeConfig { folders, max_uploads: 3, max_upload_mb: 1, ..KnowledgeConfig::default() };
        let (library, metrics) = (Library::new(config, store.clone()), Metrics::default());
        let gaps = Gaps::new(store.clone(), library.clone(), RedactionConfig::default());
        figures::knowledge(&metrics, &library);
        let hosts = vec![RecordingHost { host: "pbx.example".to_owned(), private: false }];
        let imports = ImportsConfig { hosts, max_mb: 1, max_waiting: 4, ..ImportsConfig::default() };
        let imports = Imports::new(imports, store.clone(), folder.path().to_owned());
        let parts = Parts {
            hub: hub.clone(),
            desk,
            streams: streams.clone(),
            intents,
            library: library.clone(),
            model,
            settings,
            metrics,
            readiness: readiness.clone(),
            gaps,
            imports,
            speech: Box::new(|| SpeechStatus {
                models: BTreeMap::from([("default".to_owned(), "base".to_owned())]),
                shedding: Shedding::None,
                behind_ms: 0,
                workers: 2,
            }),
        };
        let now = Arc::new(AtomicU64::new(1_700_000_000_000));
        let clock = Arc::clone(&now);
        let app = App::with_clock(parts, move || clock.load(Ordering::Relaxed));
        let router = router(app.clone());
        Self { hub, store, streams, library, app, router, readiness, now, folder }
    }

    pub fn wait(&self, by: Duration) {
        self.now.fetch_add(by.as_millis() as u64, Ordering::Relaxed);
    }

    pub async fn add_user(&self, name: &str, role: Role) {
        people::add_user(&self.store, name, role, None, Some(PASSWORD.to_owned()), 1).await.unwrap();
    }

    pub async fn key(&self, scopes: &[&str]) -> String {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        people::add_key(&self.store, "test", scopes, 1).await.unwrap().secret.unwrap()
    }

    pub async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Signs in and gives the cookie.
    pub async fn sign_in(&self, name: &str) -> String {
        let response = self.send(post("/api/session", &json!({ "name": name, "password": PASSWORD }))).await;
        assert_eq!(response.status(), StatusCode::OK);
        let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }

    pub fn begin(&self, name: &str) -> LiveCall {
        self.begin_recorded(name, None)
    }

    pub fn begin_recorded(&self, name: &str, recording: Option<&str>) -> LiveCall {
        self.begin_with(name, recording, |_| {})
    }

    /// A call that goes through us.
    pub fn begin_bridged(&self, name: &str) -> LiveCall {
        self.begin_with(name, None, |started| started.bridged = true)
    }

    /// A recording on which nobody speaks but a customer.
    pub fn begin_note(&self, aor: &str) -> LiveCall {
        self.begin_with("note.ogg", Some("note.wav"), |started| {
            started.source = Source::File;
            started.participants =
                vec![Participant { party: Party::Customer, aor: Some(aor.to_owned()), name: None }];
        })
    }

    fn begin_with(
        &self,
        name: &str,
        recording: Option<&str>,
        but: impl FnOnce(&mut CallStarted),
    ) -> LiveCall {
        let mut started = CallStarted {
            version: FORMAT_VERSION,
            bridged: false,
            parties_guessed: false,
            source: Source::Siprec,
            started_at_unix_ms: 1_700_000_000_000,
            external_id: name.to_owned(),
            participants: vec![Participant {
                party: Party::Agent,
                aor: Some("sip:1002@pbx.example".to_owned()),
                name: None,
            }],
            language: Some("en".to_owned()),
            headers: Default::default(),
        };
        but(&mut started);
        let call = NewCall { id: CallId::new(), started, recording: recording.map(str::to_owned) };
        self.hub.begin(call, || Millis(1500)).unwrap()
    }

    /// Serves on a real socket until the bench is dropped.
    pub async fn serve(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, self.app.clone(), std::future::pending()));
        address
    }
}

pub fn utterance(id: u32, text: &str, r#final: bool) -> EventBody {
    EventBody::Utterance(Utterance {
        r#final,
        start_ms: Millis(100),
        end_ms: Millis(900),
        words: vec![Word { w: text.to_owned(), start_ms: Millis(100), end_ms: Millis(900), p: 0.5 }],
        latency_ms: Millis(300),
        ..sotto_call::testing::utterance(id, Party::Customer, text)
    })
}

pub fn hangup() -> CallEnded {
    CallEnded { reason: EndReason::Hangup, duration_ms: Millis(5000) }
}

pub fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

pub fn post(path: &str, body: &Value) -> Request<Body> {
    with_body("POST", path, body)
}

pub fn with_body(method: &str, path: &str, body: &Value) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

/// The request as someone with this cookie, or with this key, makes it.
pub fn by(who: &str, mut request: Request<Body>) -> Request<Body> {
    let (name, value) = match who.starts_with("sotto_session=") {
        true => (header::COOKIE, who.to_owned()),
        false => (header::AUTHORIZATION, format!("Bearer {who}")),
    };
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

pub async fn bytes(response: Response<Body>) -> Vec<u8> {
    axum::body::to_bytes(response.into_body(), 64 << 20).await.unwrap().to_vec()
}

pub async fn body(response: Response<Body>) -> Value {
    let bytes = bytes(response).await;
    serde_json::from_slice(&bytes).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&bytes)))
}

/// Asserts an error in the form all errors have.
pub async fn refused(response: Response<Body>, status: u16, code: &str) {
    let found = response.status();
    let body = body(response).await;
    assert_eq!((found.as_u16(), body["error"]["code"].as_str()), (status, Some(code)), "{body}");
    assert!(!body["error"]["message"].as_str().unwrap().is_empty());
}
