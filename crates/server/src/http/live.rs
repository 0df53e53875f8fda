//! Following calls over WebSockets: what there is first, then every change as it happens.
//!
//! A client that does not keep up is dropped and comes back with the number of the last event it has. Clients
//! have nothing to say but pings; whatever else they send ends the connection.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::any;
use serde::{Deserialize, Serialize};
use sotto_call::{CallEvent, CallId, CallState};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::App;
use super::auth::{Action, Identity, Standing, authorize};
use super::calls::FromParams;
use super::discreet::Reader;
use super::error::{ApiError, ErrorBody, Path, Query};
use crate::hub::{FollowError, FollowList, ListUpdate, Update};
use crate::summary::{CallSummary, Sight};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/calls/{id}/live", any(call)).route("/live", any(list))
}

/// Bytes that a connection has room for at first, and which are cleared before every read; more is made for a larger message.
const READ_BUFFER: usize = 4 << 10;
/// Our pings a client may leave unanswered.
const MISSED_PINGS: u32 = 9;
/// Our pings between two looks at whether the client may still be here.
const PINGS_PER_CHECK: u32 = 12;

/// What is sent to those who follow one call.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum CallMessage<'a> {
    Snapshot { state: &'a CallState },
    Event { event: &'a CallEvent },
    End,
}

/// What is sent to those who follow the list of live calls.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ListMessage<'a> {
    Calls { calls: Vec<&'a CallSummary> },
    Call { call: &'a CallSummary },
}

/// What is sent to everyone now and then.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Heartbeat {
    Ping { at_unix_ms: u64 },
}

/// What a client that only follows may send.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ClientMessage {
    Ping {},
    Pong {},
}

/// What a client may have said that ends its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misuse {
    /// More messages than it has any use for.
    TooMany,
    /// A message that is too large.
    TooLarge,
    /// A message that is none.
    NotUnderstood,
}

/// What a socket is fed with. Cancelling `next` loses nothing.
pub(super) trait Feed: Send {
    /// Bytes of a message a client may send: to most a ping is all there is to say.
    const LARGEST_MESSAGE: usize = 1024;
    /// Messages a client may send between two of our pings.
    const MOST_MESSAGES: u32 = 20;
    /// Whether what is shown was decided by the client's role when the connection was opened.
    const IS_BY_ROLE: bool = false;

    fn next(&mut self) -> impl Future<Output = Result<Option<String>, FollowError>> + Send;

    /// Said before the connection is closed in good order.
    fn last(&self) -> Option<String> {
        None
    }

    /// The connection is closed because of what the client has said, and why in words.
    fn refused(&self, _misuse: Misuse, _why: &str) {}

    /// Hears what the client says; `Err` with the reason why it is none of what is understood here.
    fn hear(&mut self, text: &str) -> impl Future<Output = Result<(), &'static str>> + Send {
        let understood = serde_json::from_str(text);
        async move {
            match understood {
                Ok(ClientMessage::Ping {} | ClientMessage::Pong {}) => Ok(()),
                Err(_) => Err("only pings are understood here"),
            }
        }
    }
}

impl Feed for Reader {
    const IS_BY_ROLE: bool = true;

    async fn next(&mut self) -> Result<Option<String>, FollowError> {
        Ok(Reader::next(self).await?.map(|update| match &update {
            Update::Snapshot(state) => json(&CallMessage::Snapshot { state }),
            Update::Event(event) => json(&CallMessage::Event { event }),
        }))
    }

    fn last(&self) -> Option<String> {
        Some(json(&CallMessage::End))
    }
}

/// The list of live calls, as somebody sees it.
struct List {
    follow: FollowList,
    sight: Sight,
}

impl Feed for List {
    const IS_BY_ROLE: bool = true;

    async fn next(&mut self) -> Result<Option<String>, FollowError> {
        let sight = self.sight;
        let seen = |call: &Arc<CallSummary>| call.seen_with(sight);
        Ok(self.follow.next().await?.map(|update| match &update {
            ListUpdate::Calls(calls) => {
                let calls: Vec<_> = calls.iter().map(seen).collect();
                json(&ListMessage::Calls { calls: calls.iter().collect() })
            }
            ListUpdate::Call(call) => json(&ListMessage::Call { call: &seen(call) }),
        }))
    }
}

pub(super) fn json(message: &impl Serialize) -> String {
    // Only maps with keys that are no strings cannot be written, and there are none.
    serde_json::to_string(message).unwrap_or_default()
}

/// Follow a call (WebSocket)
///
/// Text frames: without `from`, `{"type":"snapshot","state":CallState}` first; then `{"type":"event","event":
/// CallEvent}` for every event, with `from` for those numbered above it; after the last event `{"type":"end"}`
/// and close code 1000. `{"type":"ping","at_unix_ms"}` every few seconds. A client that is too slow is closed
/// with 1013 and comes back with `from`. Of a call that was `interrupted` the log may lack up to a quarter of a second
/// that a client was told before: who comes to the end without a `call_ended` reads the call anew.
#[utoipa::path(get, path = "/api/calls/{id}/live", tag = "Live", params(("id" = String, Path), FromParams),
    responses(
        (status = 101, description = "Switching to WebSocket"),
        (status = 403, description = "Not yours to see", body = ErrorBody),
        (status = 404, description = "No such call", body = ErrorBody),
        (status = 503, description = "Too many connections", body = ErrorBody),
    ))]
pub(super) async fn call(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<CallId>,
    Query(params): Query<FromParams>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let action = Action::ReadCall(id);
    app.allows(&identity, action).await?;
    let upgrade = upgrade.map_err(not_a_socket)?;
    let follow = app.read(&identity, id, params.from).await?;
    open(app, upgrade, identity, action, follow)
}

/// Follow the live calls (WebSocket)
///
/// Text frames: `{"type":"calls","calls":[CallSummary]}` first, then `{"type":"call","call":CallSummary}` when
/// a call begins, changes (at most four times a second) or ends. `now`, which says what needs somebody, is for
/// those who may supervise, `mood` for those of `insight.mood_seen_by`. Pings and closing as for one call.
#[utoipa::path(get, path = "/api/live", tag = "Live", responses(
    (status = 101, description = "Switching to WebSocket"),
    (status = 403, description = "Not for reviewers", body = ErrorBody),
    (status = 503, description = "Too many connections", body = ErrorBody),
))]
pub(super) async fn list(
    State(app): State<App>,
    identity: Identity,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    authorize(&identity, Action::WatchCalls)?;
    let upgrade = upgrade.map_err(not_a_socket)?;
    let sight = app.sight_of_lists(&identity);
    let list = List { follow: app.hub().follow_list(), sight };
    open(app, upgrade, identity, Action::WatchCalls, list)
}

pub(super) fn not_a_socket(rejection: axum::extract::ws::rejection::WebSocketUpgradeRejection) -> ApiError {
    ApiError::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", rejection.body_text())
}

pub(super) fn open<F: Feed + 'static>(
    app: App,
    upgrade: WebSocketUpgrade,
    identity: Identity,
    action: Action,
    feed: F,
) -> Result<Response, ApiError> {
    let full = || ApiError::unavailable("too_many_sockets", "too many connections");
    let place = app.shared.sockets.clone().try_acquire_owned().map_err(|_| full())?;
    let tracked = app.shared.tasks.token();
    let upgrade = upgrade.max_message_size(F::LARGEST_MESSAGE).max_frame_size(F::LARGEST_MESSAGE);
    let upgrade = upgrade.read_buffer_size(READ_BUFFER);
    Ok(upgrade.on_upgrade(move |socket| async move {
        app.shared.counters.socket_opened();
        let client = Client { app, socket, heard: 0, since_heard: 0 };
        client.serve(identity, action, feed).await;
        drop((place, tracked));
    }))
}

struct Client {
    app: App,
    socket: WebSocket,
    /// Messages since our last ping.
    heard: u32,
    /// Our pings since the last sign of life.
    since_heard: u32,
}

/// Why a connection is over, when it is not simply gone.
struct Over {
    code: u16,
    reason: &'static str,
    /// When it is the client's doing.
    misuse: Option<Misuse>,
}

impl Over {
    fn new(code: u16, reason: &'static str) -> Option<Self> {
        Some(Self { code, reason, misuse: None })
    }

    fn by_client(misuse: Misuse, code: u16, reason: &'static str) -> Option<Self> {
        Some(Self { code, reason, misuse: Some(misuse) })
    }
}

impl Client {
    async fn serve(mut self, identity: Identity, action: Action, feed: impl Feed) {
        if let Err(Some(over)) = self.follow(identity, action, feed).await {
            self.app.shared.counters.socket_closed(over.code);
            let close = CloseFrame { code: over.code, reason: Utf8Bytes::from_static(over.reason) };
            // Whether the client still takes it is its affair.
            let _ =
                timeout(self.app.settings().patience, self.socket.send(Message::Close(Some(close)))).await;
            // What the client has sent meanwhile is read away, else the connection is reset and the reason lost.
            let goodbye = async { while let Some(Ok(_)) = self.socket.recv().await {} };
            let _ = timeout(Duration::from_secs(1), goodbye).await;
        }
    }

    /// Feeds the client until something ends that; `Err(None)` when the client is gone.
    async fn follow<F: Feed>(
        &mut self,
        identity: Identity,
        action: Action,
        mut feed: F,
    ) -> Result<std::convert::Infallible, Option<Over>> {
        let every = self.app.settings().ping;
        let mut ping = interval_at(Instant::now() + every, every);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stopping = self.app.shared.stopping.clone();
        let mut pings = 0_u32;
        loop {
            tokio::select! {
                next = feed.next() => match next {
                    Ok(Some(text)) => self.send(Message::Text(text.into())).await?,
                    Ok(None) => {
                        if let Some(last) = feed.last() {
                            self.send(Message::Text(last.into())).await?;
                        }
                        return Err(Over::new(close_code::NORMAL, ""));
                    }
                    Err(FollowError::Slow) => {
                        let reason = "too slow: come back and say how far you got";
                        return Err(Over::new(close_code::AGAIN, reason));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a call cannot be followed");
                        return Err(Over::new(close_code::ERROR, "the call cannot be read"));
                    }
                },
                received = self.socket.recv() => {
                    if let Err(over) = self.take(received, &mut feed).await {
                        if let Some(Over { reason, misuse: Some(misuse), .. }) = &over {
                            feed.refused(*misuse, reason);
                        }
                        return Err(over);
                    }
                }
                _ = ping.tick() => {
                    pings = pings.wrapping_add(1);
                    self.heard = 0;
                    self.since_heard += 1;
                    if self.since_heard > MISSED_PINGS {
                        return Err(Over::new(close_code::AWAY, "no answer to pings"));
                    }
                    if pings.is_multiple_of(PINGS_PER_CHECK) {
                        let over = |reason| Err(Over::new(close_code::POLICY, reason));
                        match self.app.standing(&identity, action).await {
                            Standing::Out => return over("signed out"),
                            Standing::OtherRole if F::IS_BY_ROLE => {
                                return over("another role: come back to see what is yours to see now");
                            }
                            Standing::AsBefore | Standing::OtherRole => {}
                        }
                    }
                    let beat = Heartbeat::Ping { at_unix_ms: self.app.now_unix_ms() };
                    self.send(Message::Text(json(&beat).into())).await?;
                    self.send(Message::Ping(bytes::Bytes::new())).await?;
                }
                () = stopping.cancelled() => {
                    return Err(Over::new(close_code::RESTART, "Sotto is stopping"));
                }
            }
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Option<Over>> {
        match timeout(self.app.settings().patience, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(None),
            Err(_) => {
                // It takes nothing at all, not even a reason.
                self.app.shared.counters.socket_closed(close_code::AGAIN);
                Err(None)
            }
        }
    }

    async fn take<F: Feed>(
        &mut self,
        received: Option<Result<Message, axum::Error>>,
        feed: &mut F,
    ) -> Result<(), Option<Over>> {
        let message = match received {
            None => return Err(None),
            Some(Err(error)) => {
                tracing::debug!(%error, "a WebSocket failed");
                let error = error.into_inner();
                if let Some(tungstenite::Error::Capacity(_)) = error.downcast_ref::<tungstenite::Error>() {
                    return Err(Over::by_client(Misuse::TooLarge, close_code::SIZE, "too large a message"));
                }
                // Not UTF-8, not masked, or only a network that is gone.
                return Err(Over::new(close_code::PROTOCOL, "not a message that is understood here"));
            }
            Some(Ok(message)) => message,
        };
        self.since_heard = 0;
        self.heard += 1;
        if self.heard > F::MOST_MESSAGES {
            return Err(Over::by_client(Misuse::TooMany, close_code::POLICY, "too many messages"));
        }
        match message {
            Message::Ping(_) | Message::Pong(_) => Ok(()),
            Message::Close(_) => Err(None),
            Message::Text(text) => {
                let heard = feed.hear(text.as_str()).await;
                heard.map_err(|reason| Over::by_client(Misuse::NotUnderstood, close_code::POLICY, reason))
            }
            Message::Binary(_) => {
                let reason = "only text is understood here";
                Err(Over::by_client(Misuse::NotUnderstood, close_code::UNSUPPORTED, reason))
            }
        }
    }
}
