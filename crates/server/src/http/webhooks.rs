//! What others are told of what happens, for admins: to whom, what became of it, and to have it sent again.

use std::collections::BTreeSet;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use sotto_call::CallId;
use sotto_store::{DeliveryRow, DeliveryState, EventKind};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::App;
use super::auth::{Action, Identity, authorize};
use super::error::{ApiError, ErrorBody, Path, Query};

/// Deliveries in a list at most.
const MOST: u32 = 100;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/webhooks", get(list))
        .route("/webhooks/{name}/test", post(test))
        .route("/webhooks/deliveries/{id}/send", post(send))
}

/// Which deliveries to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Only to this endpoint.
    endpoint: Option<String>,
    /// Only these: `waiting`, `done` or `dead`.
    #[param(value_type = Option<String>)]
    state: Option<DeliveryState>,
}

/// Who is told, and what.
#[derive(Serialize, ToSchema)]
pub(super) struct WebhookList {
    /// As they are configured.
    endpoints: Vec<EndpointEntry>,
    /// Those that changed last come first.
    deliveries: Vec<DeliveryEntry>,
}

/// Who is told. `crm` is the outside CRM.
#[derive(Serialize, ToSchema)]
pub(super) struct EndpointEntry {
    name: String,
    /// Scheme and host; the rest of the address may be a secret.
    origin: String,
    /// Of what.
    #[schema(value_type = Vec<String>)]
    kinds: BTreeSet<EventKind>,
    /// How many deliveries wait for their turn, or to be tried again.
    waiting: u64,
    /// How many were taken.
    done: u64,
    /// How many were given up, and wait for you.
    dead: u64,
}

/// Something that somebody is told.
#[derive(Serialize, ToSchema)]
pub(super) struct DeliveryEntry {
    /// What the other end gets as `webhook-id`.
    #[schema(value_type = String)]
    id: Uuid,
    endpoint: String,
    /// What happened: `call.ended`, for example.
    #[schema(value_type = String)]
    kind: EventKind,
    /// The call it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    call_id: Option<CallId>,
    /// When it happened.
    at_unix_ms: u64,
    /// `waiting`, `done` or `dead`.
    #[schema(value_type = String)]
    state: DeliveryState,
    /// How often it was tried since it was queued last.
    tries: u32,
    /// When it may be tried.
    due_at_unix_ms: u64,
    /// When it was queued or tried last.
    changed_at_unix_ms: u64,
    /// How long the last try took.
    #[serde(skip_serializing_if = "Option::is_none")]
    took_ms: Option<u64>,
    /// The status of the last answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    /// Why the last try failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl From<DeliveryRow> for DeliveryEntry {
    fn from(row: DeliveryRow) -> Self {
        Self {
            id: row.id,
            endpoint: row.endpoint,
            kind: row.kind,
            call_id: row.call,
            at_unix_ms: row.at_unix_ms,
            state: row.state,
            tries: row.tries,
            due_at_unix_ms: row.due_at_unix_ms,
            changed_at_unix_ms: row.changed_at_unix_ms,
            took_ms: row.took_ms,
            code: row.code,
            error: row.error,
        }
    }
}

/// What others are told
///
/// Endpoints are configured (`[[webhooks]]`, `[crm.outside]`). What is sent has no place here: it is read anew whenever it is sent.
#[utoipa::path(get, path = "/api/webhooks", tag = "Operation", params(ListParams), responses(
    (status = 200, description = "Who is told, and at most 100 deliveries", body = WebhookList),
    (status = 403, description = "For admins", body = ErrorBody),
))]
pub(super) async fn list(
    State(app): State<App>,
    identity: Identity,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<WebhookList>, ApiError> {
    authorize(&identity, Action::ManageWebhooks)?;
    let store = app.store();
    let counts = store.delivery_counts().await?;
    let endpoints = store.listeners().iter().map(|one| {
        let count =
            |state: DeliveryState| counts.get(&(one.name.clone(), state)).copied().unwrap_or_default();
        EndpointEntry {
            name: one.name.clone(),
            origin: one.origin.clone(),
            kinds: one.kinds.clone(),
            waiting: count(DeliveryState::Waiting),
            done: count(DeliveryState::Done),
            dead: count(DeliveryState::Dead),
        }
    });
    let endpoints = endpoints.collect();
    let rows = store.deliveries(params.endpoint.as_deref(), params.state, MOST).await?;
    let deliveries = rows.into_iter().map(DeliveryEntry::from).collect();
    Ok(axum::Json(WebhookList { endpoints, deliveries }))
}

/// See whether an endpoint can be told
///
/// It gets a message of the kind `test`; what became of it is in the list soon after.
#[utoipa::path(post, path = "/api/webhooks/{name}/test", tag = "Operation", params(("name" = String, Path)), responses(
    (status = 204, description = "It is queued"),
    (status = 403, description = "For admins", body = ErrorBody),
    (status = 404, description = "No such endpoint", body = ErrorBody),
))]
pub(super) async fn test(
    State(app): State<App>,
    identity: Identity,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    authorize(&identity, Action::ManageWebhooks)?;
    if !app.store().tell_test(&name, app.now_unix_ms()).await? {
        return Err(ApiError::not_found("endpoint"));
    }
    app.shared.parts.desk.audit().note(identity.name(), "webhook", None, &format!("test of {name}"));
    Ok(StatusCode::NO_CONTENT)
}

/// Have something sent again
///
/// At once, whatever became of it before, with the same `webhook-id`.
#[utoipa::path(post, path = "/api/webhooks/deliveries/{id}/send", tag = "Operation",
    params(("id" = String, Path)), responses(
    (status = 204, description = "It is due now"),
    (status = 403, description = "For admins", body = ErrorBody),
    (status = 404, description = "No such delivery", body = ErrorBody),
))]
pub(super) async fn send(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, ApiError> {
    authorize(&identity, Action::ManageWebhooks)?;
    if !app.store().send_again(id, app.now_unix_ms()).await? {
        return Err(ApiError::not_found("delivery"));
    }
    app.shared.parts.desk.audit().note(identity.name(), "webhook", None, &format!("sent again: {id}"));
    Ok(StatusCode::NO_CONTENT)
}
