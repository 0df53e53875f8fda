//! Teams: who is in which, and what each sees that others do not. For admins.
//!
//! A team is no row of its own: there is one where somebody is in it, or where a document or the configuration names it.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, patch};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::auth::{Action, Identity, authorize};
use super::error::{ApiError, ErrorBody, Json, Path};
use super::people::User;
use crate::library::{LibraryError, ListedDocument, TeamSources};
use crate::people;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/teams", get(list)).route("/teams/{name}", patch(rename))
}

/// A team.
#[derive(Serialize, ToSchema)]
pub(super) struct Team {
    name: String,
    /// What the configuration has it see. A team that it names is renamed there.
    #[serde(skip_serializing_if = "Option::is_none")]
    configured: Option<TeamSources>,
}

/// The teams, and all that could be in them.
#[derive(Serialize, ToSchema)]
pub(super) struct Teams {
    /// By name.
    teams: Vec<Team>,
    /// Everybody, with the team that they are in.
    people: Vec<User>,
    /// The documents that somebody of this role would see who were in every team, with the teams that see them. Their words
    /// are for those alone.
    documents: Vec<ListedDocument>,
}

/// The teams
///
/// Who is in which, and which documents each sees. People are put into teams by `PATCH /api/users/{name}`, documents are shown to
/// them by `PATCH /api/knowledge/documents/{id}`; a team begins with the first of either, and ends with the last.
#[utoipa::path(get, path = "/api/teams", tag = "People", responses(
    (status = 200, description = "As they are now", body = Teams),
    (status = 403, description = "For admins", body = ErrorBody),
))]
pub(super) async fn list(State(app): State<App>, identity: Identity) -> Result<axum::Json<Teams>, ApiError> {
    authorize(&identity, Action::ManagePeople)?;
    let (library, rows) = (&app.shared.parts.library, app.store().users().await?);
    let viewer = library.everywhere(identity.role());
    let mut configured = library.team_sources();
    let mut teams: BTreeMap<String, Team> = BTreeMap::new();
    let named = rows.iter().filter_map(|user| user.team.clone());
    for name in
        named.chain(viewer.teams.iter().cloned()).chain(configured.keys().cloned().collect::<Vec<_>>())
    {
        let sources = configured.remove(&name);
        let team = teams.entry(name.clone()).or_insert(Team { name, configured: None });
        team.configured = team.configured.take().or(sources);
    }
    Ok(axum::Json(Teams {
        teams: teams.into_values().collect(),
        people: rows.into_iter().map(User::from).collect(),
        documents: library.documents(&viewer),
    }))
}

/// What a team is to be called.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewName {
    name: String,
}

/// Rename a team
///
/// For the people in it and for the uploads that it sees. Cards that calls have shown keep the name they had, and are read in
/// their logs by those who are in a team of that name.
#[utoipa::path(patch, path = "/api/teams/{name}", tag = "People", request_body = NewName,
    params(("name" = String, Path)), responses(
    (status = 204, description = "It is called so"),
    (status = 400, description = "The name is none", body = ErrorBody),
    (status = 403, description = "For admins", body = ErrorBody),
    (status = 404, description = "No such team", body = ErrorBody),
    (status = 409, description = "The configuration names it, or there is one of the new name", body = ErrorBody),
    (status = 429, description = "Too often", body = ErrorBody),
))]
pub(super) async fn rename(
    State(app): State<App>,
    identity: Identity,
    Path(name): Path<String>,
    Json(new): Json<NewName>,
) -> Result<StatusCode, ApiError> {
    authorize(&identity, Action::ManagePeople)?;
    let to = people::team(&new.name)?.ok_or(people::PeopleError::Team)?;
    app.work(&identity)?;
    if to == name {
        return Ok(StatusCode::NO_CONTENT);
    }
    let (library, what) = (app.shared.parts.library.clone(), format!("team {name}: called {to}"));
    let of = app.clone();
    let renamed = async move {
        library.rename_team(name, to).await?;
        // Whoever is signed in was known with the name that their team had.
        of.shared.signed_in.forget();
        Ok::<_, LibraryError>(())
    };
    app.changed(&identity, what, renamed).await
}
