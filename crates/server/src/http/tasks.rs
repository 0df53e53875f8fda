//! What is to be done for contacts: written down by people, proposed by programs.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, put};
use serde::{Deserialize, Serialize};
use sotto_call::CallId;
use sotto_crm::{Channel, Country, Phone, Priority, QueuePlace, Task, TaskKind, TaskOrder, TaskState, due};
use sotto_store::{TaskFilter, TaskRow};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::App;
use super::auth::{Action, Identity, authorize};
use super::contacts::{AUDITED, may_read, moment, next_after, page_of, user};
use super::error::{ApiError, ErrorBody, Json, Path, Query};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/tasks", get(list).post(add)).route("/tasks/{id}", put(change))
}

/// Something that is to be done.
#[derive(Serialize, ToSchema)]
pub(crate) struct TaskEntry {
    #[schema(value_type = String)]
    id: Uuid,
    /// The contact it is to be done for.
    #[schema(value_type = String)]
    lead_id: Uuid,
    /// What they are called.
    lead_name: String,
    /// The call in which it was promised.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    call_id: Option<CallId>,
    /// The words that promised it, for as long as the call is kept, for whoever may read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    quote: Option<String>,
    /// `proposed` until a person accepts it, then `open`; `done` or `dismissed`.
    #[schema(value_type = String)]
    state: TaskState,
    /// `callback`, `message`, `meeting`, `payment` or `task`.
    #[schema(value_type = String)]
    r#type: TaskKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// `phone`, `sms`, `email` or `telegram`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    channel: Option<Channel>,
    /// The number or address, if not the contact's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at_unix_ms: Option<u64>,
    /// `low`, `normal` or `high`.
    #[schema(value_type = String)]
    priority: Priority,
    /// The user who is to do it; absent: anybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    assignee: Option<String>,
    made_at_unix_ms: u64,
    /// Who has written it down; absent where it was drawn from a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    made_by: Option<String>,
    changed_at_unix_ms: u64,
    /// Whoever changes it says which one they have seen.
    version: u64,
}

impl TaskEntry {
    /// A task as somebody sees it who asks.
    pub(super) fn told_to(identity: &Identity, mut row: TaskRow) -> Self {
        row.quote = row.quote.filter(|_| may_read(identity, row.call));
        Self::from(row)
    }
}

impl From<TaskRow> for TaskEntry {
    fn from(row: TaskRow) -> Self {
        let Task { kind, title, channel, to, due_at_unix_ms, priority, assignee } = row.task;
        Self {
            id: row.id,
            lead_id: row.contact,
            lead_name: row.contact_name,
            call_id: row.call,
            quote: row.quote,
            state: row.state,
            r#type: kind,
            title,
            channel,
            to,
            due_at_unix_ms,
            priority,
            assignee,
            made_at_unix_ms: row.made_at_unix_ms,
            made_by: row.made_by,
            changed_at_unix_ms: row.changed_at_unix_ms,
            version: row.version,
        }
    }
}

/// A page of tasks.
#[derive(Serialize, ToSchema)]
pub(super) struct TaskList {
    /// In the order that was asked for; what is due at no time comes after what is.
    tasks: Vec<TaskEntry>,
    /// What to ask for the next page with, as `after`; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Which tasks to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TaskParams {
    /// Only these: `proposed`, `open`, `done` or `dismissed`.
    #[param(value_type = Option<String>)]
    state: Option<TaskState>,
    /// Only for this contact.
    #[serde(alias = "leadId")]
    #[param(value_type = Option<String>)]
    lead_id: Option<Uuid>,
    /// Only these: `callback`, `message`, `meeting`, `payment` or `task`.
    #[param(value_type = Option<String>)]
    r#type: Option<TaskKind>,
    /// Only of this user.
    assignee: Option<String>,
    /// Only those that whoever asks may do: their own, and those that are anybody's.
    #[serde(default)]
    mine: bool,
    /// Only those that are due by then.
    due_by_unix_ms: Option<u64>,
    /// `due`, so also when absent: what is due first comes first; `priority`: what matters most does, and of that what is due
    /// first.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    order: TaskOrder,
    /// Only those after this: `next` of the page before, in the same order.
    #[param(value_type = Option<String>)]
    after: Option<QueuePlace>,
    /// How many, 50 when absent and 200 at most.
    limit: Option<u32>,
}

/// A task to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTask {
    /// The contact it is for; `leadId` will do.
    #[serde(alias = "leadId")]
    #[schema(value_type = String)]
    lead_id: Uuid,
    /// `callback`, `message`, `meeting`, `payment` or `task`.
    #[schema(value_type = String)]
    r#type: TaskKind,
    #[serde(default)]
    title: Option<String>,
    /// `phone`, `sms`, `email` or `telegram`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    channel: Option<Channel>,
    #[serde(default)]
    to: Option<String>,
    #[serde(default)]
    due_at_unix_ms: Option<u64>,
    /// The same as an insight says it: `2026-12-01T10:30`, `2026-12-01` or `T10:30`, on the organisation's clock.
    #[serde(default)]
    when: Option<String>,
    /// `low`, `normal` or `high`; `normal` when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    priority: Priority,
    #[serde(default)]
    assignee: Option<String>,
}

/// What a task is from now on: what is absent is no more.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangedTask {
    /// The version that was seen.
    version: u64,
    /// `open` accepts what was proposed, `dismissed` does not.
    #[schema(value_type = String)]
    state: TaskState,
    #[schema(value_type = String)]
    r#type: TaskKind,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    channel: Option<Channel>,
    #[serde(default)]
    to: Option<String>,
    #[serde(default)]
    due_at_unix_ms: Option<u64>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    priority: Priority,
    #[serde(default)]
    assignee: Option<String>,
}

/// What is to be done
///
/// Keys need `crm:read` or `crm:write`.
#[utoipa::path(get, path = "/api/tasks", tag = "Contacts", params(TaskParams), responses(
    (status = 200, description = "A page", body = TaskList),
    (status = 400, description = "A parameter is none", body = ErrorBody),
    (status = 401, description = "Not signed in", body = ErrorBody),
))]
pub(super) async fn list(
    State(app): State<App>,
    identity: Identity,
    Query(params): Query<TaskParams>,
) -> Result<axum::Json<TaskList>, ApiError> {
    authorize(&identity, Action::ReadContacts)?;
    let limit = page_of(params.limit);
    let TaskParams { state, lead_id: contact, r#type: kind, mine, order, after, .. } = params;
    let assignee = user(params.assignee.as_deref())?;
    let doer = mine.then(|| identity.name().to_owned());
    let due_by_unix_ms = params.due_by_unix_ms.map(moment).transpose()?;
    let filter = TaskFilter { state, contact, kind, assignee, doer, due_by_unix_ms, order, after, limit };
    let rows = app.store().tasks(&filter).await?;
    let next = next_after(rows.len(), limit, rows.last().map(TaskRow::place));
    let tasks = rows.into_iter().map(|row| TaskEntry::told_to(&identity, row)).collect();
    Ok(axum::Json(TaskList { tasks, next }))
}

/// Add a task
///
/// Keys need `crm:propose` or `crm:write`; what one with the former adds is proposed, and a person accepts it.
#[utoipa::path(post, path = "/api/tasks", tag = "Contacts", request_body = NewTask, responses(
    (status = 201, description = "Added", body = TaskEntry),
    (status = 400, description = "Something cannot be kept", body = ErrorBody),
    (status = 403, description = "Not yours to do", body = ErrorBody),
    (status = 404, description = "No such contact", body = ErrorBody),
))]
pub(super) async fn add(
    State(app): State<App>,
    identity: Identity,
    Json(new): Json<NewTask>,
) -> Result<(StatusCode, axum::Json<TaskEntry>), ApiError> {
    authorize(&identity, Action::AddToTimeline)?;
    let now = app.now_unix_ms();
    let due_at_unix_ms = match (new.due_at_unix_ms, &new.when) {
        (Some(at), _) => Some(moment(at)?),
        (None, Some(when)) => {
            let at = due(when, now, app.settings().crm.clock);
            Some(at.ok_or_else(|| ApiError::invalid("`when` is no time like 2026-12-01T10:30"))?)
        }
        (None, None) => None,
    };
    let state = if identity.only_proposes() { TaskState::Proposed } else { TaskState::Open };
    let assignee = user(new.assignee.as_deref())?;
    let NewTask { lead_id, r#type: kind, title, channel, to, priority, .. } = new;
    let to = spelled(to, channel, app.settings().crm.country);
    let task = Task { kind, title, channel, to, due_at_unix_ms, priority, assignee }.checked()?;
    let added = app.store().add_task(lead_id, state, &task, identity.name(), now).await?;
    let added = added.ok_or_else(|| ApiError::not_found("contact"))?;
    note(&app, &identity, &added);
    Ok((StatusCode::CREATED, axum::Json(TaskEntry::told_to(&identity, added))))
}

/// Change a task
///
/// The whole of it, in the place of the version that was seen. So is a proposal accepted or dismissed, and a task done.
#[utoipa::path(put, path = "/api/tasks/{id}", tag = "Contacts", request_body = ChangedTask,
    params(("id" = String, Path)), responses(
    (status = 200, description = "Changed", body = TaskEntry),
    (status = 400, description = "Something cannot be kept", body = ErrorBody),
    (status = 403, description = "Not yours to do", body = ErrorBody),
    (status = 404, description = "No such task", body = ErrorBody),
    (status = 409, description = "Somebody else has changed it (`changed_meanwhile`), or it cannot become that \
        (`not_possible`)", body = ErrorBody),
))]
pub(super) async fn change(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
    Json(now): Json<ChangedTask>,
) -> Result<axum::Json<TaskEntry>, ApiError> {
    authorize(&identity, Action::EditContacts)?;
    let unknown = || ApiError::not_found("task");
    let before = app.store().task(id).await?.ok_or_else(unknown)?;
    let due_at_unix_ms = now.due_at_unix_ms.map(moment).transpose()?;
    let assignee = user(now.assignee.as_deref())?;
    let ChangedTask { version, state, r#type: kind, title, channel, to, priority, .. } = now;
    if version == before.version && !before.state.may_become(state) {
        return Err(ApiError::not_possible("task"));
    }
    let to = spelled(to, channel, app.settings().crm.country);
    let task = Task { kind, title, channel, to, due_at_unix_ms, priority, assignee }.checked()?;
    let changed = app.store().change_task(id, version, state, &task, app.now_unix_ms()).await?;
    let changed = changed.ok_or_else(unknown)?;
    note(&app, &identity, &changed);
    Ok(axum::Json(TaskEntry::told_to(&identity, changed)))
}

/// Where a task goes: a number, where one is dialled or written to, in the one spelling of numbers. What is none is as it was
/// written: an extension, or the name of somebody's place.
fn spelled(to: Option<String>, channel: Option<Channel>, country: Option<Country>) -> Option<String> {
    let is_number = matches!(channel, Some(Channel::Phone | Channel::Sms));
    to.map(|to| match Phone::parse(&to, country) {
        Some(phone) if is_number => phone.to_string(),
        _ => to,
    })
}

fn note(app: &App, identity: &Identity, task: &TaskRow) {
    let state = match task.state {
        TaskState::Proposed => "proposed",
        TaskState::Open => "open",
        TaskState::Done => "done",
        TaskState::Dismissed => "dismissed",
    };
    let detail = format!("task {} of {}: {state}", task.id, task.contact);
    app.shared.parts.desk.audit().note(identity.name(), AUDITED, task.call, &detail);
}
