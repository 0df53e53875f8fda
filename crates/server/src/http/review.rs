//! What calls came to, once that is known.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sotto_call::CallId;
use sotto_store::ReviewRow;

use super::auth::{Action, Identity};
use super::error::{ApiError, ErrorBody, Path};
use super::{App, schema};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/calls/{id}/insight", get(insight)).route("/calls/{id}/quality", get(quality))
}

/// What a call came to
///
/// It is made some moments after the call's end. Whoever may not see moods gets it as if there were none. While a language model
/// writes, what is known without it is told (`being_written`).
#[utoipa::path(get, path = "/api/calls/{id}/insight", tag = "Calls", params(("id" = String, Path)), responses(
    (status = 200, description = "With the words that all of it rests on", body = schema::CallInsight),
    (status = 403, description = "Not yours to see", body = ErrorBody),
    (status = 404, description = "No such call, or it is not known (`not_yet`: but will be)", body = ErrorBody),
))]
pub(super) async fn insight(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<CallId>,
) -> Result<Response, ApiError> {
    let review = review(&app, &identity, id).await?;
    Ok(json(match review.with_moods {
        Some(with_moods) if app.sees_moods(&identity, id) => with_moods,
        _ => review.insight,
    }))
}

/// How good a call was, by the scorecard
#[utoipa::path(get, path = "/api/calls/{id}/quality", tag = "Calls", params(("id" = String, Path)), responses(
    (status = 200, description = "Every question with its evidence", body = schema::CallQuality),
    (status = 403, description = "Not yours to see", body = ErrorBody),
    (status = 404, description = "No such call, or it is not known (`not_yet`: but will be)", body = ErrorBody),
))]
pub(super) async fn quality(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<CallId>,
) -> Result<Response, ApiError> {
    Ok(json(review(&app, &identity, id).await?.quality))
}

/// What a call that somebody may read came to.
pub(super) async fn review(app: &App, identity: &Identity, id: CallId) -> Result<ReviewRow, ApiError> {
    app.allows(identity, Action::ReadCall(id)).await?;
    // Asked before: what is still to come now may be there a moment later, but not the other way round.
    let is_to_come = app.hub().get(id).is_some() || app.store().has_jobs(id).await?;
    if let Some(review) = app.store().review(id).await? {
        return Ok(review);
    }
    Err(match is_to_come {
        true => ApiError::new(StatusCode::NOT_FOUND, "not_yet", "what the call came to is not known yet"),
        false => ApiError::not_found("insight"),
    })
}

fn json(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
