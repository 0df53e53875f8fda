//! What is done after calls, for admins: what waits, what was given up, and to have it done again.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use sotto_call::CallId;
use sotto_crm::Place;
use sotto_store::{JobRow, JobState, Step};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::App;
use super::auth::{Action, Identity, authorize};
use super::contacts::next_after;
use super::error::{ApiError, ErrorBody, Path, Query};

/// Jobs on a page when nothing is said, and at most.
const MOST: u32 = 100;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/jobs", get(list)).route("/jobs/{id}/run", post(run))
}

/// Which jobs to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Only these: `waiting`, `running`, `done` or `dead`.
    #[param(value_type = Option<String>)]
    state: Option<JobState>,
    /// Only those after this: `next` of the page before.
    #[param(value_type = Option<String>)]
    before: Option<Place>,
    /// How many, 100 when absent and at most.
    limit: Option<u32>,
}

/// Jobs.
#[derive(Serialize, ToSchema)]
pub(super) struct JobList {
    /// How many wait for their turn, or to be tried again.
    waiting: u64,
    /// How many are being done.
    running: u64,
    /// How many are done.
    done: u64,
    /// How many were tried too often, and wait for you.
    dead: u64,
    /// Those that changed last come first.
    jobs: Vec<Job>,
    /// What to ask for the next page with, as `before`; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What is done after a call.
#[derive(Serialize, ToSchema)]
pub(super) struct Job {
    #[schema(value_type = String)]
    id: Uuid,
    #[schema(value_type = String)]
    call_id: CallId,
    /// `review`: what the call came to, and how good it was; `write`: the same by a language model, which is asked beside all else.
    #[schema(value_type = String)]
    step: Step,
    /// Of the step: a newer one may come to something else.
    version: u32,
    /// `waiting`, `running`, `done` or `dead`.
    #[schema(value_type = String)]
    state: JobState,
    /// How often it was tried since it was queued last.
    tries: u32,
    /// When it may be tried.
    due_at_unix_ms: u64,
    /// When it was queued, begun or ended last.
    changed_at_unix_ms: u64,
    /// Why the last try failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl From<JobRow> for Job {
    fn from(row: JobRow) -> Self {
        Self {
            id: row.id,
            call_id: row.call,
            step: row.step,
            version: row.version,
            state: row.state,
            tries: row.tries,
            due_at_unix_ms: row.due_at_unix_ms,
            changed_at_unix_ms: row.changed_at_unix_ms,
            error: row.error,
        }
    }
}

/// What is done after calls
#[utoipa::path(get, path = "/api/jobs", tag = "Operation", params(ListParams), responses(
    (status = 200, description = "How many there are, and a page of them", body = JobList),
    (status = 403, description = "For admins", body = ErrorBody),
))]
pub(super) async fn list(
    State(app): State<App>,
    identity: Identity,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<JobList>, ApiError> {
    authorize(&identity, Action::ManageJobs)?;
    let counts = app.store().job_counts().await?;
    let count = |state: JobState| counts.get(&state).copied().unwrap_or_default();
    let limit = params.limit.unwrap_or(MOST).clamp(1, MOST);
    let rows = app.store().jobs(params.state, params.before, limit).await?;
    let last = rows.last().map(|row| Place { at_unix_ms: row.changed_at_unix_ms, id: row.id });
    let next = next_after(rows.len(), limit, last);
    Ok(axum::Json(JobList {
        waiting: count(JobState::Waiting),
        running: count(JobState::Running),
        done: count(JobState::Done),
        dead: count(JobState::Dead),
        jobs: rows.into_iter().map(Job::from).collect(),
        next,
    }))
}

/// Have something done again
///
/// At once, whatever became of it before. What is being done just now goes on.
#[utoipa::path(post, path = "/api/jobs/{id}/run", tag = "Operation", params(("id" = String, Path)), responses(
    (status = 204, description = "It is due now"),
    (status = 403, description = "For admins", body = ErrorBody),
    (status = 404, description = "No such job", body = ErrorBody),
))]
pub(super) async fn run(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, ApiError> {
    authorize(&identity, Action::ManageJobs)?;
    let call = app.store().run_job(id, app.now_unix_ms()).await?.ok_or_else(|| ApiError::not_found("job"))?;
    app.shared.parts.desk.audit().note(identity.name(), "job", Some(call), "done again");
    Ok(StatusCode::NO_CONTENT)
}
