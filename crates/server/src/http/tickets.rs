//! What contacts have asked to be put right.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use serde::{Deserialize, Serialize};
use sotto_crm::{Place, Priority, Ticket, TicketState, terms};
use sotto_store::{TicketFilter, TicketRow};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::App;
use super::auth::{Action, Identity, authorize};
use super::contacts::{PageParams, next_after, page_of, user, within};
use super::error::{ApiError, ErrorBody, Json, Path, Query};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/leads/{id}/tickets", get(of_lead).post(add))
        .route("/tickets", get(list))
        .route("/tickets/{id}", get(one).put(change))
}

/// Something that is to be put right.
#[derive(Serialize, ToSchema)]
pub(crate) struct TicketEntry {
    #[schema(value_type = String)]
    id: Uuid,
    /// The contact whose it is.
    #[schema(value_type = String)]
    lead_id: Uuid,
    /// What they are called.
    lead_name: String,
    /// `open`; `waiting` for the contact or somebody outside; `resolved`, or `closed`.
    #[schema(value_type = String)]
    state: TicketState,
    title: String,
    /// What the matter is.
    text: String,
    /// What has put it right; empty where that is not known.
    resolution: String,
    /// `low`, `normal` or `high`.
    #[schema(value_type = String)]
    priority: Priority,
    /// The user who sees to it; absent: anybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    assignee: Option<String>,
    made_at_unix_ms: u64,
    made_by: String,
    changed_at_unix_ms: u64,
    /// Whoever changes it says which one they have seen.
    version: u64,
}

impl From<TicketRow> for TicketEntry {
    fn from(row: TicketRow) -> Self {
        let Ticket { title, text, resolution, priority, assignee } = row.ticket;
        Self {
            id: row.id,
            lead_id: row.contact,
            lead_name: row.contact_name,
            state: row.state,
            title,
            text,
            resolution,
            priority,
            assignee,
            made_at_unix_ms: row.made_at_unix_ms,
            made_by: row.made_by,
            changed_at_unix_ms: row.changed_at_unix_ms,
            version: row.version,
        }
    }
}

/// A page of tickets.
#[derive(Serialize, ToSchema)]
pub(super) struct TicketList {
    /// Those that were changed last come first.
    tickets: Vec<TicketEntry>,
    /// What to ask for the next page with, as `before`; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Which tickets to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TicketParams {
    /// Words of their titles, texts and resolutions: all of them, in either spelling.
    q: Option<String>,
    /// Only these: `open`, `waiting`, `resolved` or `closed`.
    #[param(value_type = Option<String>)]
    state: Option<TicketState>,
    /// Only these: `low`, `normal` or `high`.
    #[param(value_type = Option<String>)]
    priority: Option<Priority>,
    /// Only of this user.
    assignee: Option<String>,
    /// Only those after this: `next` of the page before.
    #[param(value_type = Option<String>)]
    before: Option<Place>,
    /// How many, 50 when absent and 200 at most.
    limit: Option<u32>,
}

/// A ticket to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "title": "The panel does not open", "text": "Since Friday, on every device.", "priority": "high" }))]
pub(super) struct NewTicket {
    title: String,
    #[serde(default)]
    text: String,
    /// `low`, `normal` or `high`; `normal` when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    priority: Priority,
    /// A user's name.
    #[serde(default)]
    assignee: Option<String>,
}

/// What a ticket is from now on: what is absent is no more.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "version": 1, "state": "resolved", "title": "The panel does not open",
    "resolution": "The certificate was renewed." }))]
pub(super) struct ChangedTicket {
    /// The version that was seen.
    version: u64,
    /// What is `closed` is opened before anything else is done with it.
    #[schema(value_type = String)]
    state: TicketState,
    title: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    resolution: String,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    priority: Priority,
    #[serde(default)]
    assignee: Option<String>,
}

impl App {
    async fn told_tickets(&self, filter: &TicketFilter) -> Result<axum::Json<TicketList>, ApiError> {
        let rows = self.store().tickets(filter).await?;
        let next = next_after(rows.len(), filter.limit, rows.last().map(TicketRow::place));
        Ok(axum::Json(TicketList { tickets: rows.into_iter().map(TicketEntry::from).collect(), next }))
    }
}

/// A contact's tickets
///
/// Keys need `crm:read` or `crm:write`.
#[utoipa::path(get, path = "/api/leads/{id}/tickets", tag = "Contacts", params(("id" = String, Path), PageParams),
    responses(
    (status = 200, description = "A page", body = TicketList),
    (status = 404, description = "No such contact", body = ErrorBody),
))]
pub(super) async fn of_lead(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
    Query(params): Query<PageParams>,
) -> Result<axum::Json<TicketList>, ApiError> {
    authorize(&identity, Action::ReadContacts)?;
    app.lead(id).await?;
    let (before, limit) = (params.before, page_of(params.limit));
    app.told_tickets(&TicketFilter { contact: Some(id), before, limit, ..TicketFilter::default() }).await
}

/// Add a ticket
///
/// It is open. Keys need `crm:write`.
#[utoipa::path(post, path = "/api/leads/{id}/tickets", tag = "Contacts", request_body = NewTicket,
    params(("id" = String, Path)), responses(
    (status = 201, description = "Added", body = TicketEntry),
    (status = 400, description = "Something cannot be kept", body = ErrorBody),
    (status = 403, description = "Not yours to do", body = ErrorBody),
    (status = 404, description = "No such contact", body = ErrorBody),
))]
pub(super) async fn add(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
    Json(new): Json<NewTicket>,
) -> Result<(StatusCode, axum::Json<TicketEntry>), ApiError> {
    authorize(&identity, Action::EditContacts)?;
    let assignee = user(new.assignee.as_deref())?;
    let NewTicket { title, text, priority, .. } = new;
    let ticket = Ticket { title, text, resolution: String::new(), priority, assignee }.checked()?;
    let added = app.store().add_ticket(id, &ticket, identity.name(), app.now_unix_ms()).await?;
    let added = added.ok_or_else(|| ApiError::not_found("contact"))?;
    note(&app, &identity, &added);
    Ok((StatusCode::CREATED, axum::Json(added.into())))
}

/// Tickets
///
/// Of all contacts, those that were changed last first. Keys need `crm:read` or `crm:write`.
#[utoipa::path(get, path = "/api/tickets", tag = "Contacts", params(TicketParams), responses(
    (status = 200, description = "A page", body = TicketList),
    (status = 400, description = "A parameter is none", body = ErrorBody),
    (status = 401, description = "Not signed in", body = ErrorBody),
))]
pub(super) async fn list(
    State(app): State<App>,
    identity: Identity,
    Query(params): Query<TicketParams>,
) -> Result<axum::Json<TicketList>, ApiError> {
    authorize(&identity, Action::ReadContacts)?;
    let terms = terms(&within(params.q)?);
    let assignee = user(params.assignee.as_deref())?;
    let TicketParams { state, priority, before, limit, .. } = params;
    let filter =
        TicketFilter { state, contact: None, priority, assignee, terms, before, limit: page_of(limit) };
    app.told_tickets(&filter).await
}

/// One ticket
#[utoipa::path(get, path = "/api/tickets/{id}", tag = "Contacts", params(("id" = String, Path)), responses(
    (status = 200, description = "As it is now", body = TicketEntry),
    (status = 404, description = "No such ticket", body = ErrorBody),
))]
pub(super) async fn one(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<TicketEntry>, ApiError> {
    authorize(&identity, Action::ReadContacts)?;
    let row = app.store().ticket(id).await?.ok_or_else(|| ApiError::not_found("ticket"))?;
    Ok(axum::Json(row.into()))
}

/// Change a ticket
///
/// The whole of it, in the place of the version that was seen. Keys need `crm:write`.
#[utoipa::path(put, path = "/api/tickets/{id}", tag = "Contacts", request_body = ChangedTicket,
    params(("id" = String, Path)), responses(
    (status = 200, description = "Changed", body = TicketEntry),
    (status = 400, description = "Something cannot be kept", body = ErrorBody),
    (status = 403, description = "Not yours to do", body = ErrorBody),
    (status = 404, description = "No such ticket", body = ErrorBody),
    (status = 409, description = "Somebody else has changed it (`changed_meanwhile`), or it cannot become that \
        (`not_possible`)", body = ErrorBody),
))]
pub(super) async fn change(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
    Json(now): Json<ChangedTicket>,
) -> Result<axum::Json<TicketEntry>, ApiError> {
    authorize(&identity, Action::EditContacts)?;
    let unknown = || ApiError::not_found("ticket");
    let before = app.store().ticket(id).await?.ok_or_else(unknown)?;
    let assignee = user(now.assignee.as_deref())?;
    let ChangedTicket { version, state, title, text, resolution, priority, .. } = now;
    if version == before.version && !before.state.may_become(state) {
        return Err(ApiError::not_possible("ticket"));
    }
    let ticket = Ticket { title, text, resolution, priority, assignee }.checked()?;
    let changed = app.store().change_ticket(id, version, state, &ticket, app.now_unix_ms()).await?;
    let changed = changed.ok_or_else(unknown)?;
    note(&app, &identity, &changed);
    Ok(axum::Json(changed.into()))
}

fn note(app: &App, identity: &Identity, ticket: &TicketRow) {
    let state = match ticket.state {
        TicketState::Open => "open",
        TicketState::Waiting => "waiting",
        TicketState::Resolved => "resolved",
        TicketState::Closed => "closed",
    };
    app.note_of_contacts(identity, &format!("ticket {} of {}: {state}", ticket.id, ticket.contact));
}
