//! Calls that nobody answered, for whoever calls back.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, put};
use serde::{Deserialize, Serialize};
use sotto_store::MissedCall;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::App;
use super::auth::{Action, Identity, authorize};
use super::error::{ApiError, ErrorBody, Path, Query};

/// Missed calls on a page.
const MOST: u32 = 100;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/missed", get(list)).route("/missed/{id}/handled", put(handled))
}

/// A call that nobody answered.
#[derive(Serialize, ToSchema)]
pub(super) struct Missed {
    #[schema(value_type = String)]
    id: Uuid,
    at_unix_ms: u64,
    /// The number called.
    called: String,
    /// The caller's address of record.
    #[serde(skip_serializing_if = "Option::is_none")]
    aor: Option<String>,
    /// The caller's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// How long the caller waited.
    waited_ms: u64,
}

/// Which missed calls to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct MissedParams {
    /// Only older ones than this: the id of the last one of the page before.
    #[param(value_type = Option<String>)]
    before: Option<Uuid>,
}

/// Missed calls.
#[derive(Serialize, ToSchema)]
pub(super) struct MissedCalls {
    /// Newest first.
    missed: Vec<Missed>,
}

/// Missed calls that nobody has dealt with, newest first
#[utoipa::path(get, path = "/api/missed", tag = "Phone", params(MissedParams), responses(
    (status = 200, description = "At most 100", body = MissedCalls),
    (status = 401, description = "Not signed in", body = ErrorBody),
    (status = 403, description = "Not for reviewers", body = ErrorBody),
))]
pub(super) async fn list(
    State(app): State<App>,
    identity: Identity,
    Query(params): Query<MissedParams>,
) -> Result<axum::Json<MissedCalls>, ApiError> {
    authorize(&identity, Action::WatchCalls)?;
    let rows = app.store().missed(params.before, MOST).await?;
    let missed = rows.into_iter().map(|MissedCall { id, at_unix_ms, called, aor, name, waited_ms }| Missed {
        id,
        at_unix_ms,
        called,
        aor,
        name,
        waited_ms,
    });
    Ok(axum::Json(MissedCalls { missed: missed.collect() }))
}

/// Deal with a missed call
#[utoipa::path(put, path = "/api/missed/{id}/handled", tag = "Phone", params(("id" = String, Path)), responses(
    (status = 204, description = "It is yours now"),
    (status = 404, description = "No such call, or somebody deals with it already", body = ErrorBody),
))]
pub(super) async fn handled(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, ApiError> {
    authorize(&identity, Action::TakeCalls)?;
    match app.store().handle_missed(id, identity.name(), app.now_unix_ms()).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::not_found("missed call")),
    }
}
