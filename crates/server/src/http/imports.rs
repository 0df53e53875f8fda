//! Recordings of calls that were made elsewhere: named by a telephone system when a call is over, or uploaded; and voice notes of
//! contacts.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::routing::{delete, get, post};
use serde::{Deserialize, Serialize};
use sotto_call::CallId;
use sotto_crm::Phone;
use sotto_store::{ImportRow, JobState};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::App;
use super::auth::{Action, Identity, authorize};
use super::contacts::moment;
use super::error::{ApiError, ErrorBody, Json, Path, Query};
use crate::imports::{Audio, ImportError, ImportRequest, Side, name_of, requested};
use crate::people;

/// What a change is called in the audit.
const AUDITED: &str = "recordings";
/// Recordings in a list at most.
const MOST: u32 = 100;
/// Characters of what names something, and of an address.
const LONGEST_NAME: usize = 200;
const LONGEST_URL: usize = 4_000;
const RECORDINGS: &str = "/recordings";

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/voip/events/call-ended", post(call_ended))
        .route(RECORDINGS, get(list).post(upload))
        .route("/recordings/{id}", delete(remove))
        .route("/recordings/{id}/run", post(run))
        .route("/leads/{id}/voice-notes", post(voice_note))
}

/// Whether a request brings a recording.
pub(super) fn is_upload(request: &Request) -> bool {
    let path = request.uri().path().strip_prefix("/api").unwrap_or_default();
    let is_note = path.starts_with("/leads/") && path.ends_with("/voice-notes");
    request.method() == Method::POST && (path == RECORDINGS || is_note)
}

impl From<ImportError> for ApiError {
    fn from(error: ImportError) -> Self {
        let message = error.to_string();
        let (status, code) = match error {
            ImportError::Store(error) => return error.into(),
            ImportError::File(error) => {
                tracing::error!(%error, "a recording cannot be written");
                return Self::unavailable("disk", "it cannot be written");
            }
            ImportError::NotAllowed(_) => (StatusCode::UNPROCESSABLE_ENTITY, "not_allowed"),
            ImportError::NoFile => (StatusCode::UNPROCESSABLE_ENTITY, "no_file"),
            ImportError::Full => (StatusCode::CONFLICT, "full"),
            ImportError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            ImportError::Cut | ImportError::Empty => (StatusCode::BAD_REQUEST, "invalid"),
            ImportError::KeyTaken => (StatusCode::CONFLICT, "key_taken"),
        };
        Self::new(status, code, message)
    }
}

/// Who called whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Direction {
    /// The customer called.
    #[default]
    Inbound,
    /// The agent called.
    Outbound,
}

/// A call that is over, and was recorded elsewhere.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct EndedCall {
    /// The name others know the call by. Whoever sends it again gets what became of the first.
    call_id: String,
    /// The contact it was with. They need a number: by that, calls are theirs. Keys need `crm:propose` or `crm:write` for it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    lead_id: Option<Uuid>,
    /// The agent's name.
    #[serde(default)]
    agent_id: Option<String>,
    /// `inbound` when absent.
    #[serde(default)]
    #[schema(inline)]
    direction: Direction,
    /// RFC 3339: `2026-12-01T10:00:00+03:30`. The moment of the request when absent.
    #[serde(default)]
    started_at: Option<String>,
    /// Likewise. How long it was is read from the recording.
    #[serde(default)]
    ended_at: Option<String>,
    /// An `https` address on one of `imports.hosts`, or a path below `imports.folder`.
    recording_url: String,
    /// Is not read: the recording says what was said.
    #[serde(default)]
    transcript_url: Option<String>,
    /// The language spoken, `en` or `fa` for example; found out when absent.
    #[serde(default)]
    language: Option<String>,
    /// Whether the customer agrees that their mood is read.
    #[serde(default)]
    consent: Option<bool>,
    /// The agent's, of two channels: `left` or `right`; as configured when absent.
    #[serde(default)]
    #[schema(inline)]
    agent_channel: Option<Side>,
}

/// What is uploaded.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct UploadParams {
    /// The file's name; its ending is a first guess at its format.
    name: String,
    /// Whoever sends the same key again has sent the same recording, and gets what became of the first. Absent: it is new.
    key: Option<String>,
    /// The contact it was with. They need a number: by that, calls are theirs. Keys need `crm:propose` or `crm:write` for it.
    #[param(value_type = Option<String>)]
    lead_id: Option<Uuid>,
    /// The customer's number, where no contact is named.
    number: Option<String>,
    /// The agent's name.
    agent: Option<String>,
    /// `inbound` when absent: on one channel, whoever is called is taken to speak first.
    #[serde(default)]
    #[param(inline)]
    direction: Direction,
    /// When the call began, as in RFC 3339. Now when absent.
    started_at: Option<String>,
    /// Nobody speaks but the customer: a voice note.
    #[serde(default)]
    alone: bool,
    /// The language spoken, `en` or `fa` for example; found out when absent.
    language: Option<String>,
    /// Whether the customer agrees that their mood is read.
    consent: Option<bool>,
    /// The agent's, of two channels: `left` or `right`; as configured when absent.
    #[param(inline)]
    agent_channel: Option<Side>,
}

/// The recordings.
#[derive(Serialize, ToSchema)]
pub(super) struct RecordingList {
    /// How many wait for their turn, or to be tried again.
    waiting: u64,
    /// How many are being listened to: one at a time.
    running: u64,
    /// How many are calls now.
    done: u64,
    /// How many were given up, and wait for you.
    dead: u64,
    /// Those that changed last come first.
    recordings: Vec<ImportedRecording>,
}

/// A recording that was made elsewhere.
#[derive(Serialize, ToSchema)]
pub(super) struct ImportedRecording {
    #[schema(value_type = String)]
    id: Uuid,
    /// The call it becomes, which is there once it is being listened to.
    #[schema(value_type = String)]
    call_id: CallId,
    /// Its file's name.
    name: String,
    /// When the call began.
    started_at_unix_ms: u64,
    /// `waiting`, `running`, `done` or `dead`.
    #[schema(value_type = String)]
    state: JobState,
    /// How often it was tried since it was queued last.
    tries: u32,
    /// When it may be tried.
    due_at_unix_ms: u64,
    /// When it was queued first.
    added_at_unix_ms: u64,
    /// When it was queued, begun or ended last.
    changed_at_unix_ms: u64,
    /// Who has added it.
    added_by: String,
    /// Why the last try failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl From<ImportRow> for ImportedRecording {
    fn from(row: ImportRow) -> Self {
        let request = requested(&row).ok();
        Self {
            id: row.import.id,
            call_id: row.import.call,
            name: request.as_ref().map(|request| request.name.clone()).unwrap_or_default(),
            started_at_unix_ms: request.map_or(row.added_at_unix_ms, |request| request.started_at_unix_ms),
            state: row.state,
            tries: row.tries,
            due_at_unix_ms: row.due_at_unix_ms,
            added_at_unix_ms: row.added_at_unix_ms,
            changed_at_unix_ms: row.changed_at_unix_ms,
            added_by: row.import.added_by,
            error: row.error,
        }
    }
}

/// A call is over that was recorded elsewhere
///
/// Its recording is fetched, and becomes a call like any other, behind those that go on. Of two channels each is a party's; on one
/// channel the parties are told apart by their voices, and the call says that this is a guess (`parties_guessed`). Keys need
/// `recordings:write`.
#[utoipa::path(post, path = "/api/voip/events/call-ended", tag = "Recordings", request_body = EndedCall, responses(
    (status = 202, description = "It waits, or it was sent before, and this is what became of it", body = ImportedRecording),
    (status = 400, description = "Something is not as it should be", body = ErrorBody),
    (status = 403, description = "For supervisors", body = ErrorBody),
    (status = 409, description = "This call was sent with another customer, or as many wait, or were given up, as may", body = ErrorBody),
    (status = 422, description = "The recording is nowhere that recordings are taken from, or there is no such contact with a \
        number", body = ErrorBody),
))]
pub(super) async fn call_ended(
    State(app): State<App>,
    identity: Identity,
    Json(call): Json<EndedCall>,
) -> Result<(StatusCode, axum::Json<ImportedRecording>), ApiError> {
    authorize(&identity, Action::ImportRecordings)?;
    let external_id = named("callId", &call.call_id, LONGEST_NAME)?;
    let url = named("recordingUrl", &call.recording_url, LONGEST_URL)?;
    let began = call.started_at.as_deref().map(|at| unix_ms("startedAt", at)).transpose()?;
    let ended = call.ended_at.as_deref().map(|at| unix_ms("endedAt", at)).transpose()?;
    if began.zip(ended).is_some_and(|(began, ended)| ended < began) {
        return Err(ApiError::invalid("`endedAt` is before `startedAt`"));
    }
    if call.transcript_url.is_some_and(|url| url.len() > LONGEST_URL) {
        return Err(ApiError::invalid(format!("`transcriptUrl` has at most {LONGEST_URL} characters")));
    }
    let customer = app.customer(&identity, call.lead_id, None).await?;
    let imports = &app.shared.parts.imports;
    let request = ImportRequest {
        audio: imports.named(url)?,
        name: name_of(url),
        external_id: external_id.to_owned(),
        started_at_unix_ms: began.unwrap_or_else(|| app.now_unix_ms()),
        agent: call.agent_id.as_deref().map(|agent| agent_named("agentId", agent)).transpose()?,
        customer,
        outbound: call.direction == Direction::Outbound,
        alone: false,
        agent_channel: call.agent_channel.unwrap_or(imports.config().agent_channel),
        language: language(call.language)?,
        consent: call.consent,
    };
    app.queue(&identity, Uuid::now_v7(), format!("call-ended:{external_id}"), request).await
}

/// Recordings that are to become calls, or have
///
/// Keys need `recordings:write`.
#[utoipa::path(get, path = "/api/recordings", tag = "Recordings", params(ListParams), responses(
    (status = 200, description = "How many there are, and at most 100 of them", body = RecordingList),
    (status = 403, description = "For supervisors", body = ErrorBody),
))]
pub(super) async fn list(
    State(app): State<App>,
    identity: Identity,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<RecordingList>, ApiError> {
    authorize(&identity, Action::ImportRecordings)?;
    let counts = app.store().import_counts().await?;
    let count = |state: JobState| counts.get(&state).copied().unwrap_or_default();
    let rows = app.store().imports(params.state, MOST).await?;
    Ok(axum::Json(RecordingList {
        waiting: count(JobState::Waiting),
        running: count(JobState::Running),
        done: count(JobState::Done),
        dead: count(JobState::Dead),
        recordings: rows.into_iter().map(ImportedRecording::from).collect(),
    }))
}

/// Which recordings to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Only these: `waiting`, `running`, `done` or `dead`.
    #[param(value_type = Option<String>)]
    state: Option<JobState>,
}

/// Upload a recording
///
/// WAV, FLAC, MP3, Ogg or WebM (Opus) or M4A (AAC), of one or two channels, as the body. It becomes a call like any other, behind
/// those that go on: see the recordings that telephone systems name. Keys need `recordings:write`.
#[utoipa::path(post, path = "/api/recordings", tag = "Recordings", params(UploadParams),
    request_body(content = String, content_type = "application/octet-stream"), responses(
    (status = 202, description = "It waits, or it was sent before, and this is what became of it", body = ImportedRecording),
    (status = 400, description = "Something is not as it should be", body = ErrorBody),
    (status = 403, description = "For supervisors", body = ErrorBody),
    (status = 409, description = "This key was sent with another customer, or as many wait, or were given up, as may", body = ErrorBody),
    (status = 413, description = "Too large", body = ErrorBody),
    (status = 422, description = "There is no such contact with a number", body = ErrorBody),
))]
pub(super) async fn upload(
    State(app): State<App>,
    identity: Identity,
    Query(params): Query<UploadParams>,
    body: Body,
) -> Result<(StatusCode, axum::Json<ImportedRecording>), ApiError> {
    authorize(&identity, Action::ImportRecordings)?;
    let name = named("name", &params.name, LONGEST_NAME)?;
    let key = params.key.as_deref().map(|key| named("key", key, LONGEST_NAME)).transpose()?;
    let customer = app.customer(&identity, params.lead_id, params.number.as_deref()).await?;
    let began = params.started_at.as_deref().map(|at| unix_ms("started_at", at)).transpose()?;
    let agent = params.agent.as_deref().map(|agent| agent_named("agent", agent)).transpose()?;
    let (imports, id) = (&app.shared.parts.imports, Uuid::now_v7());
    let request = ImportRequest {
        audio: Audio::Upload,
        name: name_of(name),
        external_id: name_of(name),
        started_at_unix_ms: began.unwrap_or_else(|| app.now_unix_ms()),
        agent,
        customer,
        outbound: params.direction == Direction::Outbound,
        alone: params.alone,
        agent_channel: params.agent_channel.unwrap_or(imports.config().agent_channel),
        language: language(params.language)?,
        consent: params.consent,
    };
    let key = key.map_or_else(|| format!("new:{id}"), |key| format!("upload:{key}"));
    imports.receive(id, body.into_data_stream()).await?;
    app.queue(&identity, id, key, request).await
}

/// A voice note that is uploaded.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct VoiceNoteParams {
    /// The file's name; its ending is a first guess at its format.
    name: String,
    /// Whoever sends the same key again has sent the same note, and gets what became of the first. Absent: it is new.
    key: Option<String>,
    /// When it was spoken, as in RFC 3339. Now when absent.
    started_at: Option<String>,
    /// The language spoken, `en` or `fa` for example; found out when absent.
    language: Option<String>,
    /// Whether the customer agrees that their mood is read.
    consent: Option<bool>,
}

/// Add a voice note
///
/// A recording on which nobody speaks but the contact: WAV, FLAC, MP3, Ogg or WebM (Opus) or M4A (AAC), as the body. It is listened to
/// behind the calls that go on; then its words are on the contact's timeline (`voice_note`), where it can be heard as a call can. The
/// contact needs a number: by that, notes are theirs. Keys need `crm:write`.
#[utoipa::path(post, path = "/api/leads/{id}/voice-notes", tag = "Recordings", params(("id" = String, Path), VoiceNoteParams),
    request_body(content = String, content_type = "application/octet-stream"), responses(
    (status = 202, description = "It waits, or it was sent before, and this is what became of it", body = ImportedRecording),
    (status = 400, description = "Something is not as it should be", body = ErrorBody),
    (status = 403, description = "Not yours to do", body = ErrorBody),
    (status = 404, description = "No such contact", body = ErrorBody),
    (status = 409, description = "This key was sent with another customer, or as many wait, or were given up, as may", body = ErrorBody),
    (status = 413, description = "Too large", body = ErrorBody),
    (status = 422, description = "The contact has no number", body = ErrorBody),
))]
pub(super) async fn voice_note(
    State(app): State<App>,
    identity: Identity,
    Path(lead): Path<Uuid>,
    Query(params): Query<VoiceNoteParams>,
    body: Body,
) -> Result<(StatusCode, axum::Json<ImportedRecording>), ApiError> {
    authorize(&identity, Action::EditContacts)?;
    let name = named("name", &params.name, LONGEST_NAME)?;
    let key = params.key.as_deref().map(|key| named("key", key, LONGEST_NAME)).transpose()?;
    let began = params.started_at.as_deref().map(|at| unix_ms("started_at", at)).transpose()?;
    app.lead(lead).await?;
    let customer = app.customer(&identity, Some(lead), None).await?;
    let (imports, id) = (&app.shared.parts.imports, Uuid::now_v7());
    let request = ImportRequest {
        audio: Audio::Upload,
        name: name_of(name),
        external_id: name_of(name),
        started_at_unix_ms: began.unwrap_or_else(|| app.now_unix_ms()),
        agent: None,
        customer,
        outbound: false,
        alone: true,
        agent_channel: imports.config().agent_channel,
        language: language(params.language)?,
        consent: params.consent,
    };
    let key = key.map_or_else(|| format!("new:{id}"), |key| format!("voice-note:{key}"));
    imports.receive(id, body.into_data_stream()).await?;
    app.queue(&identity, id, key, request).await
}

/// Have a recording listened to again
///
/// At once, if it waits or was given up.
#[utoipa::path(post, path = "/api/recordings/{id}/run", tag = "Recordings", params(("id" = String, Path)), responses(
    (status = 204, description = "It is due now"),
    (status = 403, description = "For supervisors", body = ErrorBody),
    (status = 404, description = "No such recording that waits or was given up", body = ErrorBody),
))]
pub(super) async fn run(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, ApiError> {
    authorize(&identity, Action::ImportRecordings)?;
    let is_queued = app.store().run_import(id, app.now_unix_ms()).await?;
    app.noted(&identity, id, is_queued, "again")
}

/// Remove a recording
///
/// That waits or was given up. One that is a call goes with that.
#[utoipa::path(delete, path = "/api/recordings/{id}", tag = "Recordings", params(("id" = String, Path)), responses(
    (status = 204, description = "It is gone"),
    (status = 403, description = "For supervisors", body = ErrorBody),
    (status = 404, description = "No such recording that waits or was given up", body = ErrorBody),
))]
pub(super) async fn remove(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, ApiError> {
    authorize(&identity, Action::ImportRecordings)?;
    let is_gone = app.shared.parts.imports.remove(id).await?;
    app.noted(&identity, id, is_gone, "removed")
}

impl App {
    /// The number of whoever a call was with: of a contact, which must have one, or as it was dialled.
    async fn customer(
        &self,
        identity: &Identity,
        lead: Option<Uuid>,
        number: Option<&str>,
    ) -> Result<Option<Phone>, ApiError> {
        let number = match number {
            Some(number) => {
                let phone = Phone::parse(number, self.settings().crm.country);
                Some(phone.ok_or_else(|| ApiError::invalid("`number` is no telephone number"))?)
            }
            None => None,
        };
        let Some(lead) = lead else { return Ok(number) };
        // The call is going to be on their timeline.
        authorize(identity, Action::AddToTimeline)?;
        let unprocessable = |why| ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "lead", why);
        let contact =
            self.store().contact(lead).await?.ok_or_else(|| unprocessable("there is no such contact"))?;
        let numbers = contact.contact.numbers;
        match number {
            Some(number) if !numbers.contains(&number) => {
                Err(unprocessable("the number is not the contact's"))
            }
            Some(number) => Ok(Some(number)),
            None => Ok(Some(
                numbers.into_iter().next().ok_or_else(|| unprocessable("the contact has no number"))?,
            )),
        }
    }

    /// Queues a recording, and puts who has sent it into the audit.
    async fn queue(
        &self,
        identity: &Identity,
        id: Uuid,
        key: String,
        request: ImportRequest,
    ) -> Result<(StatusCode, axum::Json<ImportedRecording>), ApiError> {
        let row =
            self.shared.parts.imports.add(id, key, &request, identity.name(), self.now_unix_ms()).await?;
        if row.import.id == id {
            // Files are called by whom they are of; the audit is kept for longer than calls.
            self.shared.parts.desk.audit().note(identity.name(), AUDITED, Some(row.import.call), "added");
        }
        Ok((StatusCode::ACCEPTED, axum::Json(row.into())))
    }

    /// Puts a change into the audit, if there was something to change.
    fn noted(
        &self,
        identity: &Identity,
        id: Uuid,
        is_changed: bool,
        what: &str,
    ) -> Result<StatusCode, ApiError> {
        if !is_changed {
            return Err(ApiError::not_found("recording that waits or was given up"));
        }
        self.shared.parts.desk.audit().note(identity.name(), AUDITED, None, &format!("{id}: {what}"));
        Ok(StatusCode::NO_CONTENT)
    }
}

/// What names something.
fn named<'a>(field: &str, text: &'a str, longest: usize) -> Result<&'a str, ApiError> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > longest || text.chars().any(char::is_control) {
        return Err(ApiError::invalid(format!("`{field}` has 1 to {longest} characters")));
    }
    Ok(text)
}

/// What an agent is called: as users are, in whatever letters they are written; somebody who cannot be a user, as it is.
fn agent_named(field: &str, text: &str) -> Result<String, ApiError> {
    let text = named(field, text, LONGEST_NAME)?;
    Ok(people::name(text).unwrap_or_else(|_| text.to_owned()))
}

/// A moment, in milliseconds since 1970 (UTC).
fn unix_ms(field: &str, text: &str) -> Result<u64, ApiError> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok();
    let at = at.and_then(|at| u64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok());
    let wrong =
        || ApiError::invalid(format!("`{field}` is no time after 1970 like 2026-12-01T10:00:00+03:30"));
    moment(at.ok_or_else(wrong)?)
}

fn language(tag: Option<String>) -> Result<Option<String>, ApiError> {
    match tag {
        Some(tag) if sotto_speech::language(&tag).is_none() => {
            Err(ApiError::invalid("`language` is none that is recognised, like `en` or `fa`"))
        }
        tag => Ok(tag),
    }
}
