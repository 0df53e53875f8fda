//! What customers want, for supervisors to teach: intents and their examples.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use serde::Deserialize;
use sotto_call::{CallId, PlaybookStep, UtteranceId};
use utoipa::ToSchema;

use super::App;
use super::auth::{Action, Identity, authorize};
use super::error::{ApiError, ErrorBody, Json, Path};
use super::schema;
use crate::hub::Update;
use crate::intents::{Change, EditError, IntentEditor, IntentList};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/intents", get(list).post(add))
        .route("/intents/{name}", put(rename).delete(remove))
        .route("/intents/{name}/playbook", put(guide))
        .route("/intent-examples", post(add_example).delete(remove_example))
}

impl From<EditError> for ApiError {
    fn from(error: EditError) -> Self {
        match error {
            EditError::Store(error) => error.into(),
            EditError::UnknownIntent(_) => Self::not_found("intent"),
            EditError::UnknownExample => Self::not_found("example"),
            EditError::Taken(_) => Self::new(StatusCode::CONFLICT, "name_taken", error.to_string()),
            EditError::Secret(_) => Self::new(StatusCode::BAD_REQUEST, "secret", error.to_string()),
            EditError::LongNumber => Self::new(StatusCode::BAD_REQUEST, "long_number", error.to_string()),
            EditError::Invalid(_) => Self::invalid(error.to_string()),
        }
    }
}

/// An intent to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewIntent {
    /// For programs; it never changes.
    name: String,
    /// What people call it, by language.
    title: BTreeMap<String, String>,
    /// Whether supervisors are to know of it while the call is live.
    #[serde(default)]
    alert: bool,
}

/// What an intent is from now on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangedIntent {
    /// What people call it, by language.
    title: BTreeMap<String, String>,
    /// Whether supervisors are to know of it while the call is live.
    alert: bool,
}

/// What agents do for who wants an intent, from now on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangedPlaybook {
    /// Step by step; none where there is nothing to do.
    #[schema(value_type = Vec<schema::PlaybookStep>)]
    steps: Vec<PlaybookStep>,
}

/// A sentence, and what it is an example of.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewExample {
    /// The intent's name; absent: none of the intents.
    #[serde(default)]
    intent: Option<String>,
    text: String,
    /// The call in which it was said, for the audit.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    call_id: Option<CallId>,
    /// The utterance of that call in which it was: nothing is learned of one that something was taken out of meanwhile.
    #[serde(default)]
    #[schema(value_type = Option<u32>)]
    utterance_id: Option<UtteranceId>,
}

/// Which sentence.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OldExample {
    /// The sentence, as the list has it.
    text: String,
}

/// Whoever may edit intents, and by what.
fn editor<'a>(app: &'a App, identity: &'a Identity) -> Result<(&'a IntentEditor, Change<'a>), ApiError> {
    authorize(identity, Action::EditIntents)?;
    let change = Change { who: identity.name(), at_unix_ms: app.now_unix_ms() };
    Ok((&app.shared.parts.intents, change))
}

/// The intents and their examples
///
/// Those of the configured file, and what was changed since.
#[utoipa::path(get, path = "/api/intents", tag = "Intents", responses(
    (status = 200, description = "As they are now", body = IntentList),
    (status = 403, description = "For supervisors", body = ErrorBody),
))]
pub(super) async fn list(
    State(app): State<App>,
    identity: Identity,
) -> Result<axum::Json<IntentList>, ApiError> {
    let (editor, _) = editor(&app, &identity)?;
    Ok(axum::Json(editor.list().await?))
}

/// Add an intent
///
/// It is recognised as soon as it has three examples. One that was removed comes back as the configured file has it.
#[utoipa::path(post, path = "/api/intents", tag = "Intents", request_body = NewIntent, responses(
    (status = 201, description = "Added"),
    (status = 400, description = "The name or a title is none", body = ErrorBody),
    (status = 403, description = "For supervisors", body = ErrorBody),
    (status = 409, description = "The name is taken", body = ErrorBody),
))]
pub(super) async fn add(
    State(app): State<App>,
    identity: Identity,
    Json(new): Json<NewIntent>,
) -> Result<StatusCode, ApiError> {
    let (editor, change) = editor(&app, &identity)?;
    editor.add(change, &new.name, new.title, new.alert).await?;
    Ok(StatusCode::CREATED)
}

/// Rename an intent
///
/// Its name stays, since logs have it; its titles are what people read.
#[utoipa::path(put, path = "/api/intents/{name}", tag = "Intents", request_body = ChangedIntent,
    params(("name" = String, Path)), responses(
    (status = 204, description = "Renamed"),
    (status = 400, description = "A title is none", body = ErrorBody),
    (status = 403, description = "For supervisors", body = ErrorBody),
    (status = 404, description = "No such intent", body = ErrorBody),
))]
pub(super) async fn rename(
    State(app): State<App>,
    identity: Identity,
    Path(name): Path<String>,
    Json(now): Json<ChangedIntent>,
) -> Result<StatusCode, ApiError> {
    let (editor, change) = editor(&app, &identity)?;
    editor.rename(change, &name, now.title, now.alert).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Write down what agents do for who wants an intent
///
/// Step by step, in place of what the configured file says: agents are shown the next step when the intent is recognised, also on
/// calls that go on. One with `until` is left out once such a thing has been named.
#[utoipa::path(put, path = "/api/intents/{name}/playbook", tag = "Intents", request_body = ChangedPlaybook,
    params(("name" = String, Path)), responses(
    (status = 204, description = "Written down"),
    (status = 400, description = "There are more than 20 steps, or one is empty or too long", body = ErrorBody),
    (status = 403, description = "For supervisors", body = ErrorBody),
    (status = 404, description = "No such intent", body = ErrorBody),
))]
pub(super) async fn guide(
    State(app): State<App>,
    identity: Identity,
    Path(name): Path<String>,
    Json(now): Json<ChangedPlaybook>,
) -> Result<StatusCode, ApiError> {
    let (editor, change) = editor(&app, &identity)?;
    editor.put_playbook(change, &name, now.steps).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove an intent
///
/// With its examples.
#[utoipa::path(delete, path = "/api/intents/{name}", tag = "Intents", params(("name" = String, Path)), responses(
    (status = 204, description = "It is recognised no more"),
    (status = 403, description = "For supervisors", body = ErrorBody),
    (status = 404, description = "No such intent", body = ErrorBody),
))]
pub(super) async fn remove(
    State(app): State<App>,
    identity: Identity,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let (editor, change) = editor(&app, &identity)?;
    editor.remove(change, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Add an example
///
/// It is an example of nothing else from then on, and learned within seconds, also for calls that go on.
#[utoipa::path(post, path = "/api/intent-examples", tag = "Intents", request_body = NewExample, responses(
    (status = 204, description = "Added"),
    (status = 400, description = "It is too long, or there is a secret in it, or what may be a part of one",
        body = ErrorBody),
    (status = 403, description = "For supervisors", body = ErrorBody),
    (status = 404, description = "No such intent, or no such call", body = ErrorBody),
))]
pub(super) async fn add_example(
    State(app): State<App>,
    identity: Identity,
    Json(new): Json<NewExample>,
) -> Result<StatusCode, ApiError> {
    let (editor, change) = editor(&app, &identity)?;
    if let Some((call, said)) = new.call_id.zip(new.utterance_id)
        && let Some(Update::Snapshot(state)) = app.hub().follow(call, None).await?.next_now().await?
        && let Some(redacted) = state.redactions.iter().find(|redacted| redacted.utterance_id == said)
    {
        return Err(EditError::Secret(redacted.secrets.clone()).into());
    }
    editor.add_example(change, new.intent.as_deref(), &new.text, new.call_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove an example
///
/// Which one is in the body: what customers say is no part of an address, which is written into logs.
#[utoipa::path(delete, path = "/api/intent-examples", tag = "Intents", request_body = OldExample, responses(
    (status = 204, description = "It is an example of nothing any more"),
    (status = 403, description = "For supervisors", body = ErrorBody),
    (status = 404, description = "It was none", body = ErrorBody),
))]
pub(super) async fn remove_example(
    State(app): State<App>,
    identity: Identity,
    Json(old): Json<OldExample>,
) -> Result<StatusCode, ApiError> {
    let (editor, change) = editor(&app, &identity)?;
    editor.remove_example(change, &old.text).await?;
    Ok(StatusCode::NO_CONTENT)
}
