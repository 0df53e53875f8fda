//! Users and keys, for admins.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{delete, get, patch};
use serde::{Deserialize, Serialize};
use sotto_call::CallId;
use sotto_store::{ApiKeyRow, AuditRow, Role, UserChange, UserRow};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::auth::{Action, Identity, authorize};
use super::error::{ApiError, ErrorBody, Json, Path, Query};
use super::{App, schema};
use crate::people::{self, PeopleError};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/users", get(users).post(add_user))
        .route("/users/{name}", patch(change_user))
        .route("/audit", get(audit))
        .route("/keys", get(keys).post(add_key))
        .route("/keys/{id}", delete(revoke_key))
}

impl From<PeopleError> for ApiError {
    fn from(error: PeopleError) -> Self {
        match error {
            PeopleError::Store(error) => error.into(),
            PeopleError::Hash(error) => {
                tracing::error!(error, "passwords cannot be hashed");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong")
            }
            invalid => Self::invalid(invalid.to_string()),
        }
    }
}

/// A user, as admins see them.
#[derive(Serialize, ToSchema)]
pub(super) struct User {
    name: String,
    #[schema(value_type = schema::Role)]
    role: Role,
    /// Absent for those who are in none.
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Option<String>,
    created_at_unix_ms: u64,
    /// Kept out.
    disabled: bool,
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        let UserRow { name, role, team, created_at_unix_ms, disabled, .. } = row;
        Self { name, role, team, created_at_unix_ms, disabled }
    }
}

/// All users.
#[derive(Serialize, ToSchema)]
pub(super) struct Users {
    users: Vec<User>,
}

/// Which records to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditParams {
    /// Only older ones than this: the id of the last record of the page before.
    #[param(value_type = Option<String>)]
    before: Option<Uuid>,
    /// How many, 100 when absent and 500 at most.
    limit: Option<u32>,
}

/// Something that was done, or refused.
#[derive(Serialize, ToSchema)]
pub(super) struct Record {
    #[schema(value_type = String)]
    id: Uuid,
    at_unix_ms: u64,
    who: String,
    /// `supervise`, `publish`, `outcome`, `consent`, `intents`, `knowledge`, `gap`, `contacts`, `contact_seen`, `recordings`,
    /// `draft`, `refused`.
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    call_id: Option<CallId>,
    detail: String,
}

/// A page of records.
#[derive(Serialize, ToSchema)]
pub(super) struct Records {
    /// Newest first.
    records: Vec<Record>,
}

/// Who did what, newest first
#[utoipa::path(get, path = "/api/audit", tag = "People", params(AuditParams), responses(
    (status = 200, description = "A page", body = Records),
    (status = 403, description = "Not an admin", body = ErrorBody),
))]
pub(super) async fn audit(
    State(app): State<App>,
    identity: Identity,
    Query(params): Query<AuditParams>,
) -> Result<axum::Json<Records>, ApiError> {
    authorize(&identity, Action::ManagePeople)?;
    let rows = app.store().audit(params.before, params.limit.unwrap_or(100).clamp(1, 500)).await?;
    let records = rows.into_iter().map(|AuditRow { id, at_unix_ms, who, what, call, detail }| Record {
        id,
        at_unix_ms,
        who,
        what,
        call_id: call,
        detail,
    });
    Ok(axum::Json(Records { records: records.collect() }))
}

/// A user to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUser {
    name: String,
    #[schema(value_type = schema::Role)]
    role: Role,
    /// The team that they are in; absent for none.
    #[serde(default)]
    team: Option<String>,
    /// Without one, one is made up and told once.
    #[serde(default)]
    password: Option<String>,
}

/// A user and, if it was made up, their password.
#[derive(Serialize, ToSchema)]
pub(super) struct IssuedUser {
    user: User,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

/// What to change; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangedUser {
    #[serde(default)]
    #[schema(value_type = Option<schema::Role>)]
    role: Option<Role>,
    /// Another team; empty for none.
    #[serde(default)]
    team: Option<String>,
    /// Keep out, or let in again.
    #[serde(default)]
    disabled: Option<bool>,
    /// Make up a new password, which is told once and ends all sessions.
    #[serde(default)]
    reset_password: bool,
}

/// A key, as admins see it.
#[derive(Serialize, ToSchema)]
pub(super) struct Key {
    #[schema(value_type = String)]
    id: Uuid,
    /// What it is for.
    name: String,
    scopes: Vec<String>,
    created_at_unix_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    used_at_unix_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at_unix_ms: Option<u64>,
}

impl From<ApiKeyRow> for Key {
    fn from(row: ApiKeyRow) -> Self {
        let ApiKeyRow { id, name, scopes, created_at_unix_ms, used_at_unix_ms, revoked_at_unix_ms, .. } = row;
        Self { id, name, scopes, created_at_unix_ms, used_at_unix_ms, revoked_at_unix_ms }
    }
}

/// All keys.
#[derive(Serialize, ToSchema)]
pub(super) struct Keys {
    keys: Vec<Key>,
}

/// A key to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewKey {
    /// What it is for.
    name: String,
    /// Any of `calls:read`, `calls:publish`, `calls:listen`, `recordings:read`, `recordings:write`, `knowledge:read`, `crm:read`,
    /// `crm:propose`, `crm:write`, `metrics:read`, `admin`.
    scopes: Vec<String>,
}

/// A key and its secret, which is told once.
#[derive(Serialize, ToSchema)]
pub(super) struct IssuedKey {
    key: Key,
    secret: String,
}

/// All users
#[utoipa::path(get, path = "/api/users", tag = "People", responses(
    (status = 200, description = "By name", body = Users),
    (status = 403, description = "For admins", body = ErrorBody),
))]
pub(super) async fn users(State(app): State<App>, identity: Identity) -> Result<axum::Json<Users>, ApiError> {
    authorize(&identity, Action::ManagePeople)?;
    let users = app.store().users().await?.into_iter().map(User::from).collect();
    Ok(axum::Json(Users { users }))
}

/// Add a user
#[utoipa::path(post, path = "/api/users", tag = "People", request_body = NewUser, responses(
    (status = 201, description = "Added", body = IssuedUser),
    (status = 400, description = "The name, team or password is none", body = ErrorBody),
    (status = 403, description = "For admins", body = ErrorBody),
    (status = 409, description = "The name is taken", body = ErrorBody),
))]
pub(super) async fn add_user(
    State(app): State<App>,
    identity: Identity,
    Json(new): Json<NewUser>,
) -> Result<(StatusCode, axum::Json<IssuedUser>), ApiError> {
    authorize(&identity, Action::ManagePeople)?;
    let now = app.now_unix_ms();
    let issued =
        people::add_user(app.store(), &new.name, new.role, new.team.as_deref(), new.password, now).await?;
    tracing::info!(user = %issued.made.name, role = ?issued.made.role, "user added");
    let issued = IssuedUser { user: issued.made.into(), password: issued.secret };
    Ok((StatusCode::CREATED, axum::Json(issued)))
}

/// Change a user
#[utoipa::path(patch, path = "/api/users/{name}", tag = "People", request_body = ChangedUser,
    params(("name" = String, Path)), responses(
    (status = 200, description = "Changed", body = IssuedUser),
    (status = 400, description = "The team is none", body = ErrorBody),
    (status = 403, description = "For admins", body = ErrorBody),
    (status = 404, description = "No such user", body = ErrorBody),
    (status = 409, description = "The last admin stays one", body = ErrorBody),
))]
pub(super) async fn change_user(
    State(app): State<App>,
    identity: Identity,
    Path(name): Path<String>,
    Json(change): Json<ChangedUser>,
) -> Result<axum::Json<IssuedUser>, ApiError> {
    authorize(&identity, Action::ManagePeople)?;
    let unknown = || ApiError::not_found("user");
    let name = people::name(&name).map_err(|_| unknown())?;
    let found = app.store().user_by_name(&name).await?.ok_or_else(unknown)?;
    let team = change.team.as_deref().map(people::team).transpose()?;
    let changes = UserChange { role: change.role, team, disabled: change.disabled, password_hash: None };
    let mut user = app.store().change_user(found.id, &changes).await?.ok_or_else(unknown)?;
    let mut password = None;
    if change.reset_password {
        let issued = people::set_password(app.store(), &name, None).await?.ok_or_else(unknown)?;
        (user, password) = (issued.made, issued.secret);
    }
    app.shared.signed_in.forget();
    tracing::info!(user = %user.name, role = ?user.role, disabled = user.disabled, "user changed");
    Ok(axum::Json(IssuedUser { user: user.into(), password }))
}

/// All API keys
#[utoipa::path(get, path = "/api/keys", tag = "People", responses(
    (status = 200, description = "Newest first", body = Keys),
    (status = 403, description = "For admins", body = ErrorBody),
))]
pub(super) async fn keys(State(app): State<App>, identity: Identity) -> Result<axum::Json<Keys>, ApiError> {
    authorize(&identity, Action::ManagePeople)?;
    let keys = app.store().keys().await?.into_iter().map(Key::from).collect();
    Ok(axum::Json(Keys { keys }))
}

/// Make an API key
///
/// Programs send it as `Authorization: Bearer sotto_…`.
#[utoipa::path(post, path = "/api/keys", tag = "People", request_body = NewKey, responses(
    (status = 201, description = "Made; the secret is told once", body = IssuedKey),
    (status = 400, description = "A scope is not known", body = ErrorBody),
    (status = 403, description = "For admins", body = ErrorBody),
))]
pub(super) async fn add_key(
    State(app): State<App>,
    identity: Identity,
    Json(new): Json<NewKey>,
) -> Result<(StatusCode, axum::Json<IssuedKey>), ApiError> {
    authorize(&identity, Action::ManagePeople)?;
    let issued = people::add_key(app.store(), &new.name, new.scopes, app.now_unix_ms()).await?;
    tracing::info!(key = %issued.made.id, scopes = ?issued.made.scopes, "API key made");
    let issued = IssuedKey { key: issued.made.into(), secret: issued.secret.unwrap_or_default() };
    Ok((StatusCode::CREATED, axum::Json(issued)))
}

/// Revoke an API key
#[utoipa::path(delete, path = "/api/keys/{id}", tag = "People", params(("id" = String, Path)), responses(
    (status = 204, description = "It is of no use any more"),
    (status = 403, description = "For admins", body = ErrorBody),
    (status = 404, description = "No such key", body = ErrorBody),
))]
pub(super) async fn revoke_key(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, ApiError> {
    authorize(&identity, Action::ManagePeople)?;
    if !app.store().revoke_key(id, app.now_unix_ms()).await? {
        return Err(ApiError::not_found("key"));
    }
    tracing::info!(key = %id, "API key revoked");
    Ok(StatusCode::NO_CONTENT)
}
