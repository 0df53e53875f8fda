//! WHIP and WHEP: other clients' audio, by an offer in the body of a request.
//!
//! Other sites' pages are let in nowhere (no CORS): a client is a program, or a page of ours.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{patch, post};
use serde::Deserialize;
use sotto_call::{CallId, Party};
use sotto_sip::{Joining, Refusal};
use sotto_webrtc::{Fragment, IceServer, WebRtcError};
use utoipa::IntoParams;
use uuid::Uuid;

use super::auth::{Action, Identity, Standing, authorize};
use super::error::{ApiError, ErrorBody, Path, Query};
use super::{App, schema};
use crate::streams::{Begun, Kind, StreamError};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/whip", post(publish).options(endpoint_options))
        .route("/whip/{session}", patch(trickle).delete(stop).options(session_options))
        .route("/calls/{id}/whep", post(listen).options(endpoint_options))
        .route("/calls/{id}/whep/{session}", patch(trickle_whep).delete(leave).options(session_options))
}

/// How often it is looked at whether a session's owner may still have it.
const CHECK_EVERY: Duration = Duration::from_secs(60);

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// Which call a leg belongs to, and who speaks on it.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct WhipParams {
    /// The call's name: legs that come by the same one are one call, those of plain SIP (`X-Sotto-Call`) included.
    call: String,
    /// Who speaks: `agent`, `customer` or `other`; absent of who has signed in, the agent. When absent otherwise, or on the call
    /// already, it is whoever is missing, but an agent is never the customer.
    #[param(value_type = Option<schema::Party>)]
    party: Option<Party>,
    /// BCP 47 code of the language spoken.
    language: Option<String>,
    /// Whether the customer agrees that their mood is read. One leg that says no is enough.
    consent: Option<bool>,
}

impl From<StreamError> for ApiError {
    fn from(error: StreamError) -> Self {
        let message = error.to_string();
        let unprocessable =
            |code, message: String| Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message);
        match error {
            StreamError::Unknown => Self::not_found("session"),
            StreamError::NoCall => Self::not_found("call"),
            StreamError::TooMany => Self::too_many(10),
            StreamError::Restart => unprocessable("no_restart", message),
            StreamError::Refused(Refusal::Full) => Self::new(StatusCode::CONFLICT, "call_full", message),
            StreamError::Refused(Refusal::Forbidden) => Self::forbidden(message),
            StreamError::Refused(_) => Self::unavailable("busy", message),
            StreamError::WebRtc(WebRtcError::NoPorts(..)) => Self::unavailable("no_ports", message),
            StreamError::WebRtc(WebRtcError::Candidate(_)) => Self::invalid(message),
            StreamError::WebRtc(_) => unprocessable("offer", message),
        }
    }
}

/// Bring audio into a call (WHIP)
///
/// RFC 9725: the body is an SDP offer of one section of voice (Opus or PCMU, `sendonly` or `sendrecv`), the answer
/// has all of our candidates. The leg joins the call of that name, as a plain SIP leg would, and begins it when there
/// is none. Clients trickle theirs with `PATCH` and the `ETag` in `If-Match`, and end the session with `DELETE` at its
/// `Location`. There is no restart of ICE. A client that does not connect within 15 seconds, or is gone for as long,
/// is forgotten. Keys need `calls:publish`.
#[utoipa::path(post, path = "/api/whip", tag = "Phone", params(WhipParams),
    request_body(content = String, content_type = "application/sdp"), responses(
    (status = 201, description = "The answer", body = String, content_type = "application/sdp", headers(
        ("Location" = String, description = "The session"),
        ("ETag" = String, description = "For `If-Match`"),
        ("Link" = String, description = "STUN and TURN servers (`rel=\"ice-server\"`)"),
    )),
    (status = 400, description = "Not a description", body = ErrorBody),
    (status = 403, description = "Not theirs to do", body = ErrorBody),
    (status = 409, description = "Everyone who can be on the call is", body = ErrorBody),
    (status = 415, description = "Not `application/sdp`", body = ErrorBody),
    (status = 422, description = "An offer that cannot be answered", body = ErrorBody),
    (status = 429, description = "Too many sessions", body = ErrorBody),
    (status = 503, description = "No room for another call, or no free port", body = ErrorBody),
))]
pub(super) async fn publish(
    State(app): State<App>,
    identity: Identity,
    Query(params): Query<WhipParams>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let begun = async {
        authorize(&identity, Action::Publish)?;
        if params.call.trim().is_empty() {
            return Err(ApiError::invalid("`call` names no call"));
        }
        let offer = offer(&headers, body)?;
        let is_person = matches!(identity, Identity::User { .. });
        // Who has signed in speaks for themselves, if they do not say for whom.
        let party = params.party.or_else(|| is_person.then_some(Party::Agent));
        let leg = |codec| Joining {
            call: params.call,
            party,
            // A program speaks for somebody whom nobody has named.
            name: (is_person && party == Some(Party::Agent)).then(|| identity.name().to_owned()),
            language: params.language,
            consent: params.consent,
            codec,
        };
        Ok::<_, ApiError>(app.shared.parts.streams.publish(&identity.owner(), leg, &offer).await?)
    };
    let begun = noted(&app, &identity, None, begun.await)?;
    Ok(created(&app, identity, Action::Publish, "/api/whip", begun))
}

/// Hear a call (WHEP)
///
/// draft-ietf-wish-whep: the body is an SDP offer of one section of voice (Opus or PCMU, `recvonly` or `sendrecv`).
/// For calls that go through us; it is noted in the call's log and the audit, and agents are told where they are told
/// of listeners. The rest is as for WHIP. Keys need `calls:listen`.
#[utoipa::path(post, path = "/api/calls/{id}/whep", tag = "Phone", params(("id" = String, Path)),
    request_body(content = String, content_type = "application/sdp"), responses(
    (status = 201, description = "The answer", body = String, content_type = "application/sdp", headers(
        ("Location" = String, description = "The session"),
        ("ETag" = String, description = "For `If-Match`"),
        ("Link" = String, description = "STUN and TURN servers (`rel=\"ice-server\"`)"),
    )),
    (status = 403, description = "Not a supervisor", body = ErrorBody),
    (status = 404, description = "No such call goes through us", body = ErrorBody),
    (status = 415, description = "Not `application/sdp`", body = ErrorBody),
    (status = 422, description = "An offer that cannot be answered", body = ErrorBody),
    (status = 429, description = "Too many sessions", body = ErrorBody),
    (status = 503, description = "No free port", body = ErrorBody),
))]
pub(super) async fn listen(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<CallId>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let begun = async {
        authorize(&identity, Action::Supervise)?;
        let offer = offer(&headers, body)?;
        Ok::<_, ApiError>(app.shared.parts.streams.listen(&identity.owner(), id, &offer).await?)
    };
    let begun = noted(&app, &identity, Some(id), begun.await)?;
    Ok(created(&app, identity, Action::Supervise, &format!("/api/calls/{id}/whep"), begun))
}

/// More ways to reach a client (trickle ICE)
///
/// RFC 9725 section 4.3.1, a fragment of SDP with `a=candidate` lines.
#[utoipa::path(patch, path = "/api/whip/{session}", tag = "Phone", params(("session" = String, Path)),
    request_body(content = String, content_type = "application/trickle-ice-sdpfrag"), responses(
    (status = 204, description = "Taken"),
    (status = 400, description = "Not a fragment, or too many candidates", body = ErrorBody),
    (status = 404, description = "No such session of theirs", body = ErrorBody),
    (status = 412, description = "`If-Match` is not its `ETag`", body = ErrorBody),
    (status = 415, description = "Not `application/trickle-ice-sdpfrag`", body = ErrorBody),
    (status = 422, description = "A restart of ICE", body = ErrorBody),
    (status = 428, description = "No `If-Match`", body = ErrorBody),
))]
pub(super) async fn trickle(
    State(app): State<App>,
    identity: Identity,
    Path(session): Path<Uuid>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, ApiError> {
    candidates(&app, &identity, session, Kind::Publishes, &headers, body).await
}

/// More ways to reach a client (trickle ICE)
///
/// As for WHIP.
#[utoipa::path(patch, path = "/api/calls/{id}/whep/{session}", tag = "Phone",
    params(("id" = String, Path), ("session" = String, Path)),
    request_body(content = String, content_type = "application/trickle-ice-sdpfrag"), responses(
    (status = 204, description = "Taken"),
    (status = 404, description = "No such session of theirs", body = ErrorBody),
))]
pub(super) async fn trickle_whep(
    State(app): State<App>,
    identity: Identity,
    Path((id, session)): Path<(CallId, Uuid)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, ApiError> {
    candidates(&app, &identity, session, Kind::Listens(id), &headers, body).await
}

/// End a session (WHIP)
///
/// The leg leaves its call, which ends with the last.
#[utoipa::path(delete, path = "/api/whip/{session}", tag = "Phone", params(("session" = String, Path)), responses(
    (status = 200, description = "Ended"),
    (status = 404, description = "No such session of theirs", body = ErrorBody),
))]
pub(super) async fn stop(
    State(app): State<App>,
    identity: Identity,
    Path(session): Path<Uuid>,
) -> Result<StatusCode, ApiError> {
    end(&app, &identity, session, Kind::Publishes)
}

/// End a session (WHEP)
#[utoipa::path(delete, path = "/api/calls/{id}/whep/{session}", tag = "Phone",
    params(("id" = String, Path), ("session" = String, Path)), responses(
    (status = 200, description = "Ended"),
    (status = 404, description = "No such session of theirs", body = ErrorBody),
))]
pub(super) async fn leave(
    State(app): State<App>,
    identity: Identity,
    Path((id, session)): Path<(CallId, Uuid)>,
) -> Result<StatusCode, ApiError> {
    end(&app, &identity, session, Kind::Listens(id))
}

/// What an endpoint takes (RFC 9725 section 4.2), which tells nothing of what is there.
async fn endpoint_options() -> Response {
    let headers = [("allow", "POST, OPTIONS"), ("accept-post", SDP)];
    (StatusCode::NO_CONTENT, headers).into_response()
}

async fn session_options() -> Response {
    let headers = [("allow", "PATCH, DELETE, OPTIONS"), ("accept-patch", FRAGMENT)];
    (StatusCode::NO_CONTENT, headers).into_response()
}

async fn candidates(
    app: &App,
    identity: &Identity,
    session: Uuid,
    kind: Kind,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, ApiError> {
    let taken = async {
        let (streams, owner) = (&app.shared.parts.streams, identity.owner());
        streams.check(&owner, session, kind)?;
        let fragment = text(headers, body, FRAGMENT)?;
        match headers.get(header::IF_MATCH) {
            None => {
                let why = "`If-Match` has to name the session's `ETag`";
                return Err(ApiError::new(StatusCode::PRECONDITION_REQUIRED, "precondition_required", why));
            }
            // RFC 9725 section 4.3.2: this is how a restart is asked for.
            Some(any) if any == "*" => return Err(StreamError::Restart.into()),
            Some(named) if *named != entity_tag(session) => {
                let why = "the session is another one by now";
                return Err(ApiError::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", why));
            }
            Some(_) => {}
        }
        let fragment = Fragment::read(&fragment).map_err(StreamError::from)?;
        Ok::<_, ApiError>(streams.candidates(&owner, session, kind, fragment).await?)
    };
    noted(app, identity, kind.call(), taken.await)?;
    Ok(StatusCode::NO_CONTENT)
}

fn end(app: &App, identity: &Identity, session: Uuid, kind: Kind) -> Result<StatusCode, ApiError> {
    let ended = app.shared.parts.streams.end(&identity.owner(), session, kind);
    noted(app, identity, kind.call(), ended.map_err(ApiError::from))?;
    Ok(StatusCode::OK)
}

/// What is refused is counted and written down.
fn noted<T>(
    app: &App,
    identity: &Identity,
    call: Option<CallId>,
    asked: Result<T, ApiError>,
) -> Result<T, ApiError> {
    asked.inspect_err(|error| app.shared.parts.streams.refuse(&identity.owner(), call, error.message()))
}

/// The answer to an offer, and a watch over whether its client may still be here.
fn created(app: &App, identity: Identity, action: Action, under: &str, begun: Begun) -> Response {
    let Begun { id, answer, leave } = begun;
    let watch = app.clone();
    app.shared.tasks.spawn(async move {
        let stopping = watch.shared.stopping.clone();
        loop {
            tokio::select! {
                () = leave.cancelled() => break,
                () = stopping.cancelled() => break,
                () = tokio::time::sleep(CHECK_EVERY) => {}
            }
            if watch.standing(&identity, action).await == Standing::Out {
                break;
            }
        }
        leave.cancel();
    });
    let headers = [
        (header::CONTENT_TYPE, SDP.to_owned()),
        (header::LOCATION, format!("{under}/{id}")),
        (header::ETAG, entity_tag(id)),
        (HeaderName::from_static("accept-patch"), FRAGMENT.to_owned()),
    ];
    let mut response = (StatusCode::CREATED, headers, answer).into_response();
    for link in app.shared.parts.streams.ice_servers().iter().flat_map(links) {
        response.headers_mut().append(header::LINK, link);
    }
    response
}

/// There is one set of ICE credentials in a session's life.
fn entity_tag(session: Uuid) -> String {
    format!("\"{}\"", session.simple())
}

/// A STUN or TURN server as RFC 9725 section 4.6 has it.
fn links(server: &IceServer) -> Vec<HeaderValue> {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let link = |url: &String| {
        let mut link = format!("<{url}>; rel=\"ice-server\"");
        if url.starts_with("turn") {
            let (username, credential) = (quoted(&server.username), quoted(&server.credential));
            link.push_str(&format!(
                "; username=\"{username}\"; credential=\"{credential}\"; credential-type=\"password\""
            ));
        }
        HeaderValue::from_str(&link).ok()
    };
    server.urls.iter().filter_map(link).collect()
}

fn offer(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<String, ApiError> {
    let offer = text(headers, body, SDP)?;
    // RFC 8866 section 5: what does not begin so is none.
    if offer.starts_with("v=0") { Ok(offer) } else { Err(ApiError::invalid("not a session description")) }
}

/// The body as text of this kind.
fn text(headers: &HeaderMap, body: Result<Bytes, BytesRejection>, kind: &str) -> Result<String, ApiError> {
    let said = headers.get(header::CONTENT_TYPE).and_then(|said| said.to_str().ok()).unwrap_or_default();
    if !said.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(kind) {
        let why = format!("the body has to be {kind}");
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_body", why));
    }
    let body =
        body.map_err(|rejection| ApiError::new(rejection.status(), "invalid_body", rejection.body_text()))?;
    String::from_utf8(body.into()).map_err(|_| ApiError::invalid("not text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_linked_with_what_is_needed_to_use_them() {
        let server = IceServer {
            urls: vec!["stun:stun.example".into(), "turn:turn.example?transport=udp".into()],
            username: "me".into(),
            credential: "a\"b".into(),
        };
        let links: Vec<_> =
            links(&server).into_iter().map(|link| link.to_str().unwrap().to_owned()).collect();
        assert_eq!(
            links,
            [
                "<stun:stun.example>; rel=\"ice-server\"",
                "<turn:turn.example?transport=udp>; rel=\"ice-server\"; username=\"me\"; credential=\"a\\\"b\"; \
                 credential-type=\"password\"",
            ]
        );
    }
}
