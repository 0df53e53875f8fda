//! Written procedures as steps, and which of them were done on a call.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use sotto_call::{CallId, EventBody, Step};
use sotto_knowledge::Pathway;
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::auth::{Action, Identity, authorize};
use super::calls::attended;
use super::error::{ApiError, ErrorBody, Json, Path, Query};

pub(super) fn routes() -> Router<App> {
    Router::new()
        // Names of documents in folders have slashes in them.
        .route("/knowledge/pathways/{*id}", get(one))
        .route("/calls/{id}/steps", post(tick))
}

/// Which passage of a document.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Place {
    /// Its place among the document's passages, from 0.
    passage: usize,
}

/// A procedure of a document.
#[derive(Serialize, ToSchema)]
pub(super) struct FoundPathway {
    /// The document's name.
    document: String,
    /// The place of its first passage among those of the document.
    passage: usize,
    /// Tells its wording from others; empty where there are no steps.
    version: String,
    /// The document's title.
    title: String,
    /// The headings that it stands under, the highest first.
    headings: Vec<String>,
    /// When the document was last changed, in milliseconds since 1970.
    changed_unix_ms: u64,
    /// In order; none where the passage is no procedure.
    steps: Vec<FoundStep>,
}

/// A step of a procedure.
#[derive(Serialize, ToSchema)]
pub(super) struct FoundStep {
    /// What is done; empty where the step is a condition alone.
    action: String,
    /// Something is looked at or asked.
    check: bool,
    /// What follows, depending on what is found.
    branches: Vec<FoundBranch>,
}

/// What follows if something is so.
#[derive(Serialize, ToSchema)]
pub(super) struct FoundBranch {
    /// The condition.
    when: String,
    /// What is done then.
    then: String,
}

/// The steps of a passage
///
/// Where the passage is a procedure, or a part of one: a numbered list, or something to check with conditions behind it, as
/// it stands in the document. The document's name goes into the address as it is, slashes included. Keys need
/// `knowledge:read`.
#[utoipa::path(get, path = "/api/knowledge/pathways/{id}", tag = "Knowledge", params(("id" = String, Path), Place),
    responses(
    (status = 200, description = "The steps, perhaps none", body = FoundPathway),
    (status = 403, description = "Not theirs to see", body = ErrorBody),
    (status = 404, description = "No such document or passage, or none that is for them", body = ErrorBody),
))]
pub(super) async fn one(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<String>,
    Query(Place { passage }): Query<Place>,
) -> Result<axum::Json<FoundPathway>, ApiError> {
    authorize(&identity, Action::ReadKnowledge)?;
    let document = app.document(&identity, &id)?;
    let Some(found) = document.passages.get(passage) else { return Err(ApiError::not_found("passage")) };
    let none = || Pathway {
        place: passage,
        version: String::new(),
        section: found.section.clone(),
        steps: Vec::new(),
    };
    let pathway = Pathway::of(&document, passage).unwrap_or_else(none);
    let steps = pathway.steps.into_iter().map(|step| FoundStep {
        action: step.action,
        check: step.is_check,
        branches: step
            .branches
            .into_iter()
            .map(|branch| FoundBranch { when: branch.when, then: branch.then })
            .collect(),
    });
    Ok(axum::Json(FoundPathway {
        document: id,
        passage: pathway.place,
        version: pathway.version,
        title: document.title.clone(),
        headings: pathway.section,
        changed_unix_ms: document.changed_unix_ms,
        steps: steps.collect(),
    }))
}

/// A step that is done, or is not after all.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ticked {
    /// The document's name.
    document: String,
    /// The place of a passage of the procedure.
    passage: usize,
    /// The wording that whoever ticks has seen.
    version: String,
    /// Which step, from 1.
    step: u32,
    /// It is done.
    ticked: bool,
}

/// Tick a step
///
/// Of a written procedure, on a live call: its agent does so, or a supervisor, if they may see the document. It is an event
/// of the call (`step`), which says whose it is and keeps the step's words; saying again what is so already is none. It
/// counts as a search does.
#[utoipa::path(post, path = "/api/calls/{id}/steps", tag = "Calls", params(("id" = String, Path)), request_body = Ticked,
    responses(
    (status = 204, description = "So it is"),
    (status = 403, description = "Somebody else's call", body = ErrorBody),
    (status = 404, description = "No such call, document or step", body = ErrorBody),
    (status = 409, description = "The document has changed", body = ErrorBody),
    (status = 429, description = "Too often", body = ErrorBody),
))]
pub(super) async fn tick(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<CallId>,
    Json(new): Json<Ticked>,
) -> Result<StatusCode, ApiError> {
    let (live, state) = attended(&app, &identity, id).await?;
    authorize(&identity, Action::ReadKnowledge)?;
    app.work(&identity)?;
    let document = app.document(&identity, &new.document)?;
    let pathway = Pathway::of(&document, new.passage).ok_or_else(|| ApiError::not_found("procedure"))?;
    if pathway.version != new.version {
        let message = "the document has changed: look at its steps as they are now";
        return Err(ApiError::new(StatusCode::CONFLICT, "changed", message));
    }
    let at = usize::try_from(new.step).ok().and_then(|step| step.checked_sub(1));
    let step = at.and_then(|at| pathway.steps.get(at)).ok_or_else(|| ApiError::not_found("step"))?;
    let step = Step {
        document: new.document,
        passage: u32::try_from(pathway.place).unwrap_or(u32::MAX),
        version: pathway.version,
        title: document.title.clone(),
        step: new.step,
        text: step.words.clone(),
        ticked: new.ticked,
        by: identity.name().to_owned(),
        roles: document.visibility.roles.iter().cloned().collect(),
        teams: document.visibility.teams.iter().cloned().collect(),
    };
    if state.steps.iter().any(|done| done.is_same(&step)) != step.ticked {
        live.publish(EventBody::Step(step));
    }
    Ok(StatusCode::NO_CONTENT)
}
