//! Whom contacts belong to.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use serde::{Deserialize, Serialize};
use sotto_crm::{Company, Phone, Place, terms};
use sotto_store::{CompanyFilter, CompanyRow};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::App;
use super::auth::{Action, Identity, authorize};
use super::contacts::{SeenParams, next_after, page_of, within};
use super::error::{ApiError, ErrorBody, Json, Path, Query};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/companies", get(list).post(add))
        .route("/companies/{id}", get(one).put(change).delete(remove))
}

/// A company.
#[derive(Serialize, ToSchema)]
pub(super) struct CompanyEntry {
    #[schema(value_type = String)]
    id: Uuid,
    name: String,
    /// Its own numbers, those of nobody in particular, the usual one first: E.164 where the country is known.
    #[schema(value_type = Vec<String>)]
    phones: Vec<Phone>,
    notes: String,
    changed_at_unix_ms: u64,
    /// Whoever changes it says which one they have seen.
    version: u64,
}

impl From<CompanyRow> for CompanyEntry {
    fn from(row: CompanyRow) -> Self {
        let CompanyRow { id, company: Company { name, numbers, notes }, changed_at_unix_ms, version } = row;
        Self { id, name, phones: numbers, notes, changed_at_unix_ms, version }
    }
}

/// A page of companies.
#[derive(Serialize, ToSchema)]
pub(super) struct CompanyList {
    /// Those that were changed last come first.
    companies: Vec<CompanyEntry>,
    /// What to ask for the next page with, as `before`; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Which companies to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CompanyParams {
    /// Words of their names and numbers: all of them, in either spelling.
    q: Option<String>,
    /// Only those after this: `next` of the page before.
    #[param(value_type = Option<String>)]
    before: Option<Place>,
    /// How many, 50 when absent and 200 at most.
    limit: Option<u32>,
}

/// A company to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewCompany {
    name: String,
    #[serde(default)]
    phones: Vec<String>,
    #[serde(default)]
    notes: String,
}

/// What a company is from now on: what is absent is no more.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangedCompany {
    /// The version that was seen.
    version: u64,
    name: String,
    #[serde(default)]
    phones: Vec<String>,
    #[serde(default)]
    notes: String,
}

fn unknown() -> ApiError {
    ApiError::not_found("company")
}

/// Companies
///
/// Keys need `crm:read` or `crm:write`. Those who belong to one: `GET /api/leads?company_id=`.
#[utoipa::path(get, path = "/api/companies", tag = "Contacts", params(CompanyParams), responses(
    (status = 200, description = "A page", body = CompanyList),
    (status = 400, description = "A parameter is none", body = ErrorBody),
    (status = 401, description = "Not signed in", body = ErrorBody),
))]
pub(super) async fn list(
    State(app): State<App>,
    identity: Identity,
    Query(params): Query<CompanyParams>,
) -> Result<axum::Json<CompanyList>, ApiError> {
    authorize(&identity, Action::ReadContacts)?;
    let query = within(params.q)?;
    let limit = page_of(params.limit);
    let filter = CompanyFilter { number: None, terms: terms(&query), before: params.before, limit };
    let rows = app.store().companies(&filter).await?;
    let last = rows.last().map(|row| Place { at_unix_ms: row.changed_at_unix_ms, id: row.id });
    let next = next_after(rows.len(), limit, last);
    Ok(axum::Json(CompanyList { companies: rows.into_iter().map(CompanyEntry::from).collect(), next }))
}

/// Add a company
#[utoipa::path(post, path = "/api/companies", tag = "Contacts", request_body = NewCompany, responses(
    (status = 201, description = "Added", body = CompanyEntry),
    (status = 400, description = "Something cannot be kept", body = ErrorBody),
    (status = 403, description = "Not yours to do", body = ErrorBody),
    (status = 409, description = "Another company has the number (`number_taken`)", body = ErrorBody),
))]
pub(super) async fn add(
    State(app): State<App>,
    identity: Identity,
    Json(new): Json<NewCompany>,
) -> Result<(StatusCode, axum::Json<CompanyEntry>), ApiError> {
    authorize(&identity, Action::EditContacts)?;
    let NewCompany { name, phones, notes } = new;
    let company = Company { name, numbers: app.numbers(&phones)?, notes }.checked()?;
    let row = app.store().add_company(&company, app.now_unix_ms()).await?;
    app.note_of_contacts(&identity, &format!("added company {}", row.id));
    Ok((StatusCode::CREATED, axum::Json(row.into())))
}

/// One company
#[utoipa::path(get, path = "/api/companies/{id}", tag = "Contacts", params(("id" = String, Path)), responses(
    (status = 200, description = "As it is now", body = CompanyEntry),
    (status = 404, description = "No such company", body = ErrorBody),
))]
pub(super) async fn one(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<CompanyEntry>, ApiError> {
    authorize(&identity, Action::ReadContacts)?;
    Ok(axum::Json(app.store().company(id).await?.ok_or_else(unknown)?.into()))
}

/// Change a company
///
/// The whole of it, in the place of the version that was seen.
#[utoipa::path(put, path = "/api/companies/{id}", tag = "Contacts", request_body = ChangedCompany,
    params(("id" = String, Path)), responses(
    (status = 200, description = "Changed", body = CompanyEntry),
    (status = 400, description = "Something cannot be kept", body = ErrorBody),
    (status = 403, description = "Not yours to do", body = ErrorBody),
    (status = 404, description = "No such company", body = ErrorBody),
    (status = 409, description = "Somebody else has changed it (`changed_meanwhile`), or another company has the number \
        (`number_taken`)", body = ErrorBody),
))]
pub(super) async fn change(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
    Json(now): Json<ChangedCompany>,
) -> Result<axum::Json<CompanyEntry>, ApiError> {
    authorize(&identity, Action::EditContacts)?;
    let ChangedCompany { version, name, phones, notes } = now;
    let company = Company { name, numbers: app.numbers(&phones)?, notes }.checked()?;
    let changed = app.store().change_company(id, version, &company, app.now_unix_ms()).await?;
    let changed = changed.ok_or_else(unknown)?;
    app.note_of_contacts(&identity, &format!("changed company {id}"));
    Ok(axum::Json(changed.into()))
}

/// Remove a company
///
/// Its contacts stay, and belong to none.
#[utoipa::path(delete, path = "/api/companies/{id}", tag = "Contacts", params(("id" = String, Path), SeenParams),
    responses(
    (status = 204, description = "Removed"),
    (status = 403, description = "For supervisors", body = ErrorBody),
    (status = 404, description = "No such company", body = ErrorBody),
    (status = 409, description = "Somebody else has changed it (`changed_meanwhile`)", body = ErrorBody),
))]
pub(super) async fn remove(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
    Query(params): Query<SeenParams>,
) -> Result<StatusCode, ApiError> {
    authorize(&identity, Action::RemoveContacts)?;
    if !app.store().remove_company(id, params.version).await? {
        return Err(unknown());
    }
    app.note_of_contacts(&identity, &format!("removed company {id}"));
    Ok(StatusCode::NO_CONTENT)
}
