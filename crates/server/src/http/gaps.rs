//! What is not written down, and what of it is no good: for whoever keeps the documents.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, put};
use serde::Deserialize;
use sotto_knowledge::{Hit, SURE};
use sotto_store::GapState;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::App;
use super::auth::{Action, Identity, authorize};
use super::error::{ApiError, ErrorBody, Json, Path, Query};
use super::knowledge::failed;
use crate::gaps::{GapList, Health};

/// What a decision is called in the audit.
const AUDITED: &str = "gap";

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/knowledge/gaps", get(list))
        .route("/knowledge/gaps/{id}", put(decide))
        .route("/knowledge/health", get(health))
}

/// Which gaps to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct GapParams {
    /// Only these: `open` (so also where nothing is said), `answered` or `hidden`.
    #[param(value_type = Option<String>)]
    state: Option<GapState>,
}

/// What is not written down
///
/// Questions that nothing answers surely enough, those of customers on calls that are over and those that somebody has looked
/// up, with those together that ask the same. Those of a call go with it. At most 100, those asked most first.
#[utoipa::path(get, path = "/api/knowledge/gaps", tag = "Knowledge", params(GapParams), responses(
    (status = 200, description = "How many there are, and some of them", body = GapList),
    (status = 403, description = "For supervisors", body = ErrorBody),
))]
pub(super) async fn list(
    State(app): State<App>,
    identity: Identity,
    Query(params): Query<GapParams>,
) -> Result<axum::Json<GapList>, ApiError> {
    authorize(&identity, Action::EditKnowledge)?;
    let state = params.state.unwrap_or(GapState::Open);
    let list = app.shared.parts.gaps.list(state, &identity.viewer()).await;
    Ok(axum::Json(list.map_err(failed)?))
}

/// What is decided about a gap.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GapDecision {
    /// `answered` where a document answers it, `hidden` where it is not ours to answer, `open` for neither.
    #[schema(value_type = String)]
    state: GapState,
    /// The name of the document that answers it: given if, and only if, it is answered.
    #[serde(default)]
    document: Option<String>,
}

/// Decide about a gap
///
/// One that is answered is open again when it is asked after that, or its document is removed: then it is not found where it
/// should be. One that is hidden stays so.
#[utoipa::path(put, path = "/api/knowledge/gaps/{id}", tag = "Knowledge", params(("id" = String, Path)),
    request_body = GapDecision, responses(
    (status = 204, description = "Decided"),
    (status = 400, description = "Answered, and not by a document that there is; or by one, and not answered",
        body = ErrorBody),
    (status = 403, description = "For supervisors", body = ErrorBody),
    (status = 404, description = "No such gap", body = ErrorBody),
))]
pub(super) async fn decide(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
    Json(GapDecision { state, document }): Json<GapDecision>,
) -> Result<StatusCode, ApiError> {
    authorize(&identity, Action::EditKnowledge)?;
    let parts = &app.shared.parts;
    let viewer = identity.viewer();
    let is_there = document.as_deref().map(|name| parts.library.document(name, &viewer).is_some());
    let fits = if state == GapState::Answered { is_there == Some(true) } else { is_there.is_none() };
    if !fits {
        return Err(ApiError::invalid("`document` names one that can be found, where the gap is `answered`"));
    }
    let now = app.now_unix_ms();
    if !parts.gaps.decide(id, state, document.as_deref(), identity.name(), now).await? {
        return Err(ApiError::not_found("gap"));
    }
    let what = match &document {
        Some(document) => format!("{id}: answered by {document}"),
        None if state == GapState::Hidden => format!("{id}: hidden"),
        None => format!("{id}: open"),
    };
    parts.desk.audit().note(identity.name(), AUDITED, None, &what);
    Ok(StatusCode::NO_CONTENT)
}

/// How the documents do
///
/// What became of each on calls that are kept, and what is to be seen to; and sentences of two documents that say the same but
/// for a number or a date. Only documents that are for whoever asks.
#[utoipa::path(get, path = "/api/knowledge/health", tag = "Knowledge", responses(
    (status = 200, description = "As they do now", body = Health),
    (status = 403, description = "For supervisors", body = ErrorBody),
))]
pub(super) async fn health(
    State(app): State<App>,
    identity: Identity,
) -> Result<axum::Json<Health>, ApiError> {
    authorize(&identity, Action::EditKnowledge)?;
    let viewer = identity.viewer();
    let health = app.shared.parts.gaps.health(&viewer, app.now_unix_ms()).await;
    Ok(axum::Json(health.map_err(failed)?))
}

impl App {
    /// Takes note of what somebody has looked up, and of the best that was found. They do not wait for that.
    pub(super) fn looked_up(&self, text: &str, hits: &[Hit]) {
        let (gaps, now, text) = (self.shared.parts.gaps.clone(), self.now_unix_ms(), text.to_owned());
        // The best by a cross-encoder need not be the surest.
        let best = hits.iter().find(|hit| hit.confidence >= SURE).or(hits.first());
        let best = best.map(|hit| (hit.document.id.clone(), hit.confidence));
        self.shared.tasks.spawn(async move {
            if let Err(error) = gaps.looked_up(&text, best, now).await {
                tracing::warn!(%error, "what was looked up is not kept");
            }
        });
    }
}
