//! A server that speaks OpenAI's interface and does what a test says, for the tests of other crates as well.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, yield_now};

use crate::Settings;

/// What it does when it is asked.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Says this, in pieces, and what it cost (7 tokens and 3).
    Says(String),
    /// Says this in one piece, as servers do that do not stream.
    Whole(String),
    /// A status, headers, and a body.
    Status(u16, Vec<(&'static str, &'static str)>, &'static str),
    /// A stream of exactly these bytes, which then ends.
    Bytes(&'static str),
    /// A character each time, without an end.
    Drips(Duration),
    /// As much as is taken.
    Floods,
    /// Breaks the connection behind these bytes of a stream.
    Breaks(&'static str),
    /// Says nothing more behind these bytes of a stream.
    Stalls(&'static str),
    /// Nothing ever.
    Silence,
}

type Answer = dyn Fn(usize, &Value) -> Reply + Send + Sync;

/// A server on this machine. Dropped, it is gone.
pub struct Fake {
    /// Where it is.
    pub url: String,
    asked: Arc<Mutex<Vec<Value>>>,
    given_up: Arc<Notify>,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Shared {
    asked: Arc<Mutex<Vec<Value>>>,
    given_up: Arc<Notify>,
    answer: Arc<Answer>,
}

/// Tells when a question is dropped.
struct Dropped(Arc<Notify>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Fake {
    /// One that answers by the number of the question, from 0, and what is asked.
    ///
    /// # Panics
    /// When this machine has no port for it.
    #[allow(clippy::expect_used, reason = "for tests")]
    pub async fn start(answer: impl Fn(usize, &Value) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::<Mutex<Vec<Value>>>::default();
        let given_up = Arc::<Notify>::default();
        let shared = Shared { asked: asked.clone(), given_up: given_up.clone(), answer: Arc::new(answer) };
        let router = Router::new().route("/v1/chat/completions", post(complete)).with_state(shared);
        let task = tokio::spawn(async move {
            // It ends with the test.
            let _ = axum::serve(listener, router).await;
        });
        Self { url: format!("http://{address}/v1"), asked, given_up, task }
    }

    /// One that does these one after the other, and the last again and again.
    pub async fn in_turn(replies: Vec<Reply>) -> Self {
        let last = replies.len().saturating_sub(1);
        Self::start(move |n, _| replies.get(n.min(last)).cloned().unwrap_or(Reply::Silence)).await
    }

    /// What it was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Until whoever has asked one that is [`Reply::Silence`] waits no longer.
    pub async fn given_up(&self) {
        self.given_up.notified().await;
    }

    /// How to ask it: a model without limits, and little patience.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            url: self.url.clone(),
            model: "fake".to_owned(),
            per_minute: 0,
            retries: 0,
            whole: Duration::from_secs(20),
            ..Settings::default()
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn complete(State(shared): State<Shared>, Json(body): Json<Value>) -> Response {
    let number = {
        let mut asked = shared.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push(body.clone());
        asked.len() - 1
    };
    match (shared.answer)(number, &body) {
        Reply::Says(text) => streamed(spoken(&text)),
        Reply::Whole(text) => {
            let choice =
                json!({ "message": { "role": "assistant", "content": text }, "finish_reason": "stop" });
            Json(json!({ "model": "fake", "choices": [choice] })).into_response()
        }
        Reply::Status(status, headers, text) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut response = (status, text).into_response();
            for (name, value) in headers {
                response.headers_mut().insert(name, header::HeaderValue::from_static(value));
            }
            response
        }
        Reply::Bytes(bytes) => streamed(Body::from(bytes)),
        Reply::Drips(each) => {
            let drops = stream::unfold((), move |()| async move {
                tokio::time::sleep(each).await;
                Some((Ok::<_, io::Error>(Bytes::from(piece(".", None))), ()))
            });
            streamed(Body::from_stream(drops))
        }
        Reply::Floods => {
            let flood =
                stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from(piece(&"a".repeat(4_000), None))));
            streamed(Body::from_stream(flood))
        }
        Reply::Breaks(bytes) => {
            let broken = async {
                // What came before is on its way first.
                yield_now().await;
                Err(io::Error::other("broken"))
            };
            streamed(Body::from_stream(stream::iter([Ok(Bytes::from(bytes))]).chain(stream::once(broken))))
        }
        Reply::Stalls(bytes) => {
            let begun = stream::iter([Ok::<_, io::Error>(Bytes::from(bytes))]);
            streamed(Body::from_stream(begun.chain(stream::pending())))
        }
        Reply::Silence => {
            let _dropped = Dropped(shared.given_up);
            std::future::pending().await
        }
    }
}

fn streamed(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

fn piece(text: &str, end: Option<&str>) -> String {
    let choice = json!({ "delta": { "content": text }, "finish_reason": end });
    format!("data: {}\n\n", json!({ "model": "fake", "choices": [choice] }))
}

fn spoken(text: &str) -> Body {
    let characters: Vec<char> = text.chars().collect();
    let pieces = characters.chunks(7).map(|chunk| piece(&chunk.iter().collect::<String>(), None));
    let usage = json!({ "choices": [], "usage": { "prompt_tokens": 7, "completion_tokens": 3 } });
    let end = [piece("", Some("stop")), format!("data: {usage}\n\n"), "data: [DONE]\n\n".to_owned()];
    let all: Vec<Result<Bytes, io::Error>> = pieces.chain(end).map(|one| Ok(Bytes::from(one))).collect();
    Body::from_stream(stream::iter(all))
}
