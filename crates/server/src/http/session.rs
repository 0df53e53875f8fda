//! Signing in and out.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use serde::{Deserialize, Serialize};
use sotto_store::{Role, SessionRow, UserRow};
use utoipa::ToSchema;

use super::auth::{COOKIE, Identity, Place, from_our_page};
use super::error::{ApiError, ErrorBody, Json};
use super::{App, schema};
use crate::people;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/session", get(current).post(sign_in).delete(sign_out))
        .route("/session/password", put(change_password))
}

/// How long someone waits for their password to be looked at.
const HASHING_WAIT: Duration = Duration::from_secs(5);

/// A name and a password.
#[derive(Deserialize, ToSchema)]
pub(super) struct Credentials {
    /// Case does not matter.
    name: String,
    password: String,
}

/// Who is signed in.
#[derive(Serialize, ToSchema)]
pub(super) struct SessionBody {
    user: SessionUser,
}

/// A user, as the page knows them.
#[derive(Serialize, ToSchema)]
pub(super) struct SessionUser {
    name: String,
    #[schema(value_type = schema::Role)]
    role: Role,
}

/// Two passwords.
#[derive(Deserialize, ToSchema)]
pub(super) struct PasswordChange {
    /// The one that is valid now.
    old: String,
    /// The one that shall be.
    new: String,
}

/// Sign in
///
/// Sets the cookie `sotto_session`. Attempts are limited per name and address.
#[utoipa::path(post, path = "/api/session", tag = "Session", request_body = Credentials, security(()), responses(
    (status = 200, description = "Signed in", body = SessionBody),
    (status = 401, description = "Name or password is wrong, or the user is kept out", body = ErrorBody),
    (status = 403, description = "The request comes from another site", body = ErrorBody),
    (status = 429, description = "Too many attempts; see Retry-After", body = ErrorBody),
))]
pub(super) async fn sign_in(
    State(app): State<App>,
    Place(place): Place,
    headers: HeaderMap,
    Json(given): Json<Credentials>,
) -> Result<Response, ApiError> {
    // Nor may another site sign somebody in as someone else.
    from_our_page(&headers, app.public_origin())?;
    // A name that cannot be one takes as long as one that is not known.
    let name = people::name(&given.name).unwrap_or_default();
    let user = check(&app, &name, place, given.password).await?;
    let user = user.filter(|user| !user.disabled).ok_or_else(|| {
        ApiError::new(StatusCode::UNAUTHORIZED, "wrong_credentials", "the name or the password is wrong")
    })?;
    let now = app.now_unix_ms();
    let lasts = app.settings().session;
    let token = people::random_token();
    app.store()
        .add_session(&SessionRow {
            token_hash: people::hash_token(&token),
            user: user.id,
            created_at_unix_ms: now,
            seen_at_unix_ms: now,
            expires_at_unix_ms: now.saturating_add(u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX)),
        })
        .await?;
    tracing::info!(user = %user.name, from = %place, "signed in");
    let body = SessionBody { user: SessionUser { name: user.name, role: user.role } };
    Ok(([(header::SET_COOKIE, cookie(&app, &token, lasts))], axum::Json(body)).into_response())
}

/// Checks a password at the price of an attempt. `None` when it is wrong or nobody's.
async fn check(
    app: &App,
    name: &str,
    place: std::net::IpAddr,
    password: String,
) -> Result<Option<UserRow>, ApiError> {
    let throttle = &app.shared.throttle;
    throttle.attempt(name, place, app.now_unix_ms()).map_err(|seconds| {
        app.shared.counters.throttled();
        ApiError::too_many(seconds)
    })?;
    let user = app.store().user_by_name(name).await?;
    let busy = || ApiError::unavailable("busy", "too many people are signing in");
    let turn = tokio::time::timeout(HASHING_WAIT, app.shared.hashing.acquire()).await;
    let turn = turn.map_err(|_| busy())?.map_err(|_| busy())?;
    let hash = user.as_ref().map(|user| user.password_hash.clone());
    let right = password.len() <= people::LONGEST_PASSWORD
        && tokio::task::spawn_blocking(move || people::password_is_right(&password, hash.as_deref()))
            .await
            .unwrap_or(false);
    drop(turn);
    if !right {
        app.shared.counters.wrong_password();
        tracing::info!(name, from = %place, "a sign-in failed");
        return Ok(None);
    }
    throttle.succeeded(name, place);
    Ok(user)
}

fn cookie(app: &App, token: &str, lasts: Duration) -> HeaderValue {
    let secure = if app.is_https() { "; Secure" } else { "" };
    let seconds = lasts.as_secs();
    let cookie = format!("{COOKIE}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::try_from(cookie).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn signed_out(app: &App) -> Response {
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie(app, "", Duration::ZERO))]).into_response()
}

/// Who is signed in
#[utoipa::path(get, path = "/api/session", tag = "Session", responses(
    (status = 200, description = "The user", body = SessionBody),
    (status = 401, description = "Nobody", body = ErrorBody),
))]
pub(super) async fn current(identity: Identity) -> Result<axum::Json<SessionBody>, ApiError> {
    match identity {
        Identity::User { name, role, .. } => Ok(axum::Json(SessionBody { user: SessionUser { name, role } })),
        Identity::Key { .. } => Err(ApiError::forbidden("a key has no session")),
    }
}

/// Sign out
#[utoipa::path(delete, path = "/api/session", tag = "Session", responses(
    (status = 204, description = "Signed out"),
    (status = 401, description = "Nobody was signed in", body = ErrorBody),
))]
pub(super) async fn sign_out(State(app): State<App>, identity: Identity) -> Result<Response, ApiError> {
    if let Identity::User { session, .. } = identity {
        app.shared.signed_in.learn(&session, None);
        app.store().remove_session(&session).await?;
    }
    Ok(signed_out(&app))
}

/// Change one's own password
///
/// Ends all one's sessions, this one included.
#[utoipa::path(put, path = "/api/session/password", tag = "Session", request_body = PasswordChange, responses(
    (status = 204, description = "Changed; sign in again"),
    (status = 400, description = "The new one is no password", body = ErrorBody),
    (status = 401, description = "The old one is wrong", body = ErrorBody),
    (status = 429, description = "Too many attempts; see Retry-After", body = ErrorBody),
))]
pub(super) async fn change_password(
    State(app): State<App>,
    Place(place): Place,
    identity: Identity,
    Json(change): Json<PasswordChange>,
) -> Result<Response, ApiError> {
    let Identity::User { name, .. } = identity else {
        return Err(ApiError::forbidden("a key has no password"));
    };
    if check(&app, &name, place, change.old).await?.is_none() {
        let message = "the old password is wrong";
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, "wrong_credentials", message));
    }
    let changed = people::set_password(app.store(), &name, Some(change.new)).await;
    app.shared.signed_in.forget();
    changed?;
    Ok(signed_out(&app))
}
