//! Messages to contacts: drafted by calls, people and programs, approved by people.

use std::collections::BTreeSet;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use serde::{Deserialize, Serialize};
use sotto_call::CallId;
use sotto_crm::{FollowUp, FollowUpState, MessageChannel, Place};
use sotto_store::{FollowUpFilter, FollowUpRow};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::App;
use super::auth::{Action, Identity, authorize};
use super::contacts::{moment, next_after, page_of};
use super::error::{ApiError, ErrorBody, Json, Path, Query};
use crate::follow_ups::{VoiceError, wav};

/// What a change is called in the audit.
const AUDITED: &str = "follow_ups";

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/follow-ups", get(list).post(add))
        .route("/follow-ups/{id}", put(change))
        .route("/follow-ups/{id}/approve", post(approve))
        .route("/follow-ups/{id}/dismiss", post(dismiss))
        .route("/follow-ups/{id}/resolve", post(resolve))
        .route("/follow-ups/{id}/speech", get(speech))
        .route("/leads/{id}/opt-outs", get(opt_outs).put(set_opt_outs))
}

/// A message to a contact.
#[derive(Serialize, ToSchema)]
pub(super) struct FollowUpEntry {
    #[schema(value_type = String)]
    id: Uuid,
    /// The contact it is for.
    #[schema(value_type = String)]
    lead_id: Uuid,
    /// What they are called.
    lead_name: String,
    /// The call in which it was promised.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    call_id: Option<CallId>,
    /// `drafted` until a person approves it, then `approved`, `sending` and `sent`; `failed` where it was refused, `dead` where it
    /// was tried too often, `unknown` where nobody knows whether it was sent; `dismissed`.
    #[schema(value_type = String)]
    state: FollowUpState,
    /// `sms`, `telegram`, `email`, `webhook` or `call_message`.
    #[schema(value_type = String)]
    channel: MessageChannel,
    /// The number, address or chat it goes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// What an e-mail is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    text: String,
    /// It is not sent before.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before_unix_ms: Option<u64>,
    made_at_unix_ms: u64,
    /// Who has written it; absent where it was drawn from a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    made_by: Option<String>,
    /// Who has changed, approved or dismissed it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_by: Option<String>,
    changed_at_unix_ms: u64,
    /// When it is tried, at the earliest; of what is `approved`.
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at_unix_ms: Option<u64>,
    /// How often it was tried since it was approved.
    tries: u32,
    /// What whoever delivers it calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<String>,
    /// Why the last try failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Whoever changes it says which one they have seen.
    version: u64,
}

impl From<FollowUpRow> for FollowUpEntry {
    fn from(row: FollowUpRow) -> Self {
        let due_at_unix_ms = (row.state == FollowUpState::Approved).then_some(row.due_at_unix_ms);
        let FollowUp { channel, to, subject, text, not_before_unix_ms } = row.message;
        Self {
            id: row.id,
            lead_id: row.contact,
            lead_name: row.contact_name,
            call_id: row.call,
            state: row.state,
            channel,
            to,
            subject,
            text,
            not_before_unix_ms,
            made_at_unix_ms: row.made_at_unix_ms,
            made_by: row.made_by,
            decided_by: row.decided_by,
            changed_at_unix_ms: row.changed_at_unix_ms,
            due_at_unix_ms,
            tries: row.tries,
            receipt: row.receipt,
            error: row.error,
            version: row.version,
        }
    }
}

/// A page of messages.
#[derive(Serialize, ToSchema)]
pub(super) struct FollowUpList {
    /// Newest first.
    follow_ups: Vec<FollowUpEntry>,
    /// By what messages can be sent here.
    #[schema(value_type = Vec<String>)]
    channels: Vec<MessageChannel>,
    /// What to ask for the next page with, as `before`; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Which messages to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct FollowUpParams {
    /// Only these: `drafted`, `approved`, `sending`, `sent`, `failed`, `dead`, `unknown` or `dismissed`.
    #[param(value_type = Option<String>)]
    state: Option<FollowUpState>,
    /// Only to this contact.
    #[serde(alias = "leadId")]
    #[param(value_type = Option<String>)]
    lead_id: Option<Uuid>,
    /// Only of this call.
    #[serde(alias = "callId")]
    #[param(value_type = Option<String>)]
    call_id: Option<CallId>,
    /// Only those before this: `next` of the page before.
    #[param(value_type = Option<String>)]
    before: Option<Place>,
    /// How many, 50 when absent and 200 at most.
    limit: Option<u32>,
}

/// What is to be sent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewFollowUp {
    /// The contact it is for; `leadId` will do.
    #[serde(alias = "leadId")]
    #[schema(value_type = String)]
    lead_id: Uuid,
    /// `sms`, `telegram`, `email`, `webhook` or `call_message`.
    #[schema(value_type = String)]
    channel: MessageChannel,
    /// The number, address or chat it goes to; a webhook needs none.
    #[serde(default)]
    to: Option<String>,
    /// What an e-mail is about.
    #[serde(default)]
    subject: Option<String>,
    text: String,
    /// It is not sent before.
    #[serde(default)]
    not_before_unix_ms: Option<u64>,
}

/// What a message is from now on: what is absent is no more.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangedFollowUp {
    /// The version that was seen.
    version: u64,
    /// `sms`, `telegram`, `email`, `webhook` or `call_message`.
    #[schema(value_type = String)]
    channel: MessageChannel,
    #[serde(default)]
    to: Option<String>,
    #[serde(default)]
    subject: Option<String>,
    text: String,
    #[serde(default)]
    not_before_unix_ms: Option<u64>,
}

/// Which message is meant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Seen {
    /// The version that was seen.
    version: u64,
}

/// What a person has found out about a message of which nobody knew.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Resolved {
    /// The version that was seen.
    version: u64,
    /// Whether it was sent. If not, it is a draft again.
    sent: bool,
}

/// By what a contact does not want to be written to.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OptOuts {
    /// How often it was kept, from 1; of a change, the version that was seen.
    version: u64,
    /// Of `sms`, `telegram`, `email`, `webhook` and `call_message`.
    #[schema(value_type = Vec<String>)]
    channels: BTreeSet<MessageChannel>,
}

/// Messages to contacts
///
/// Keys need `crm:read` or `crm:write`.
#[utoipa::path(get, path = "/api/follow-ups", tag = "Contacts", params(FollowUpParams), responses(
    (status = 200, description = "A page", body = FollowUpList),
    (status = 400, description = "A parameter is none", body = ErrorBody),
    (status = 401, description = "Not signed in", body = ErrorBody),
))]
pub(super) async fn list(
    State(app): State<App>,
    identity: Identity,
    Query(params): Query<FollowUpParams>,
) -> Result<axum::Json<FollowUpList>, ApiError> {
    authorize(&identity, Action::ReadContacts)?;
    let limit = page_of(params.limit);
    let FollowUpParams { state, lead_id: contact, call_id: call, before, .. } = params;
    let rows = app.store().follow_ups(&FollowUpFilter { state, contact, call, before, limit }).await?;
    let next = next_after(rows.len(), limit, rows.last().map(FollowUpRow::place));
    let follow_ups = rows.into_iter().map(FollowUpEntry::from).collect();
    Ok(axum::Json(FollowUpList { follow_ups, channels: app.settings().channels.clone(), next }))
}

/// Draft a message
///
/// Keys need `crm:propose` or `crm:write`. Nothing is sent until a person approves it.
#[utoipa::path(post, path = "/api/follow-ups", tag = "Contacts", request_body = NewFollowUp, responses(
    (status = 201, description = "Drafted", body = FollowUpEntry),
    (status = 400, description = "Something cannot be kept, or not be sent here", body = ErrorBody),
    (status = 403, description = "Not yours to do", body = ErrorBody),
    (status = 404, description = "No such contact", body = ErrorBody),
))]
pub(super) async fn add(
    State(app): State<App>,
    identity: Identity,
    Json(new): Json<NewFollowUp>,
) -> Result<(StatusCode, axum::Json<FollowUpEntry>), ApiError> {
    authorize(&identity, Action::AddToTimeline)?;
    let NewFollowUp { lead_id, channel, to, subject, text, not_before_unix_ms } = new;
    let message = checked(&app, FollowUp { channel, to, subject, text, not_before_unix_ms })?;
    let added = app.store().add_follow_up(lead_id, &message, identity.name(), app.now_unix_ms()).await?;
    let added = added.ok_or_else(|| ApiError::not_found("contact"))?;
    note(&app, &identity, &added);
    Ok((StatusCode::CREATED, axum::Json(added.into())))
}

/// Change a message
///
/// The whole of it, in the place of the version that was seen. It is a draft then, also if it was approved before.
#[utoipa::path(put, path = "/api/follow-ups/{id}", tag = "Contacts", request_body = ChangedFollowUp,
    params(("id" = String, Path)), responses(
    (status = 200, description = "Changed", body = FollowUpEntry),
    (status = 400, description = "Something cannot be kept, or not be sent here", body = ErrorBody),
    (status = 403, description = "Not yours to do", body = ErrorBody),
    (status = 404, description = "No such message", body = ErrorBody),
    (status = 409, description = "It is not what was seen any more (`changed_meanwhile`), or it is sent, or may be \
        (`not_possible`)", body = ErrorBody),
))]
pub(super) async fn change(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
    Json(now): Json<ChangedFollowUp>,
) -> Result<axum::Json<FollowUpEntry>, ApiError> {
    authorize(&identity, Action::EditContacts)?;
    let before = app.store().follow_up(id).await?.ok_or_else(unknown)?;
    let ChangedFollowUp { version, channel, to, subject, text, not_before_unix_ms } = now;
    // What may have been sent becomes a draft by being looked into alone.
    if version == before.version
        && (before.state == FollowUpState::Unknown || !before.state.may_become(FollowUpState::Drafted))
    {
        return Err(not_possible());
    }
    let message = checked(&app, FollowUp { channel, to, subject, text, not_before_unix_ms })?;
    let now = app.now_unix_ms();
    let changed = app.store().change_follow_up(id, version, &message, identity.name(), now).await?;
    let changed = changed.ok_or_else(unknown)?;
    note(&app, &identity, &changed);
    Ok(axum::Json(changed.into()))
}

/// Approve a message
///
/// It is sent when its time comes: not in quiet hours, and so many to one contact a day. For people only: no key can do it.
#[utoipa::path(post, path = "/api/follow-ups/{id}/approve", tag = "Contacts", request_body = Seen,
    params(("id" = String, Path)), responses(
    (status = 200, description = "Approved", body = FollowUpEntry),
    (status = 400, description = "It cannot be sent here", body = ErrorBody),
    (status = 403, description = "Not yours to do", body = ErrorBody),
    (status = 404, description = "No such message", body = ErrorBody),
    (status = 409, description = "It is not what was seen any more (`changed_meanwhile`), it is sent, or may be \
        (`not_possible`), or its contact does not want it (`opted_out`)", body = ErrorBody),
))]
pub(super) async fn approve(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
    Json(seen): Json<Seen>,
) -> Result<axum::Json<FollowUpEntry>, ApiError> {
    authorize(&identity, Action::ApproveFollowUps)?;
    let row = app.store().follow_up(id).await?.ok_or_else(unknown)?;
    is_sent_here(&app, row.message.channel)?;
    let out = app.store().opt_outs(row.contact).await?;
    if out.is_some_and(|out| out.channels.contains(&row.message.channel)) {
        let why = "the contact does not want to be written to so";
        return Err(ApiError::new(StatusCode::CONFLICT, "opted_out", why));
    }
    decide(&app, &identity, row, seen.version, FollowUpState::Approved).await
}

/// Dismiss a message
#[utoipa::path(post, path = "/api/follow-ups/{id}/dismiss", tag = "Contacts", request_body = Seen,
    params(("id" = String, Path)), responses(
    (status = 200, description = "Dismissed", body = FollowUpEntry),
    (status = 403, description = "Not yours to do", body = ErrorBody),
    (status = 404, description = "No such message", body = ErrorBody),
    (status = 409, description = "It is not what was seen any more (`changed_meanwhile`), or it is sent, or may be \
        (`not_possible`)", body = ErrorBody),
))]
pub(super) async fn dismiss(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
    Json(seen): Json<Seen>,
) -> Result<axum::Json<FollowUpEntry>, ApiError> {
    authorize(&identity, Action::EditContacts)?;
    let row = app.store().follow_up(id).await?.ok_or_else(unknown)?;
    decide(&app, &identity, row, seen.version, FollowUpState::Dismissed).await
}

/// Say whether a message was sent
///
/// Of one that is `unknown`: who takes messages gave no answer, or Sotto ended while it was sent. For people only.
#[utoipa::path(post, path = "/api/follow-ups/{id}/resolve", tag = "Contacts", request_body = Resolved,
    params(("id" = String, Path)), responses(
    (status = 200, description = "It is known now", body = FollowUpEntry),
    (status = 403, description = "Not yours to do", body = ErrorBody),
    (status = 404, description = "No such message", body = ErrorBody),
    (status = 409, description = "It is not what was seen any more (`changed_meanwhile`), or it was known \
        (`not_possible`)", body = ErrorBody),
))]
pub(super) async fn resolve(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
    Json(found): Json<Resolved>,
) -> Result<axum::Json<FollowUpEntry>, ApiError> {
    authorize(&identity, Action::ApproveFollowUps)?;
    let row = app.store().follow_up(id).await?.ok_or_else(unknown)?;
    if row.version == found.version && row.state != FollowUpState::Unknown {
        return Err(not_possible());
    }
    let next = if found.sent { FollowUpState::Sent } else { FollowUpState::Drafted };
    decide(&app, &identity, row, found.version, next).await
}

/// How a message sounds
///
/// Of one that is said on the telephone: what whoever answers hears, from its text as it is now. Keys need `crm:write`.
#[utoipa::path(get, path = "/api/follow-ups/{id}/speech", tag = "Contacts", params(("id" = String, Path)), responses(
    (status = 200, description = "16-bit PCM, 16 kHz, one channel", content_type = "audio/wav"),
    (status = 400, description = "There is no voice for its language", body = ErrorBody),
    (status = 403, description = "Not yours to do", body = ErrorBody),
    (status = 404, description = "No such message, or it is not said, or nothing speaks here", body = ErrorBody),
    (status = 503, description = "It could not be spoken (`not_spoken`)", body = ErrorBody),
))]
pub(super) async fn speech(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
) -> Result<Response, ApiError> {
    authorize(&identity, Action::EditContacts)?;
    let row = app.store().follow_up(id).await?.ok_or_else(unknown)?;
    let is_said = row.message.channel == MessageChannel::CallMessage;
    let voice = app.settings().voice.as_ref().filter(|_| is_said);
    let voice = voice.ok_or_else(|| ApiError::not_found("speech"))?;
    let not_spoken = |why: &dyn std::fmt::Display| ApiError::unavailable("not_spoken", why.to_string());
    let spoken = voice.speak(&row.message.text).await.map_err(|error| match error {
        VoiceError::Language => ApiError::invalid(error.to_string()),
        VoiceError::Failed(_) => not_spoken(&error),
    })?;
    let wav = wav(&spoken).map_err(|error| not_spoken(&error))?;
    Ok(([(header::CONTENT_TYPE, "audio/wav")], wav).into_response())
}

/// By what a contact does not want to be written to
///
/// Keys need `crm:read` or `crm:write`.
#[utoipa::path(get, path = "/api/leads/{id}/opt-outs", tag = "Contacts", params(("id" = String, Path)), responses(
    (status = 200, description = "All of it", body = OptOuts),
    (status = 403, description = "Not yours to see", body = ErrorBody),
    (status = 404, description = "No such contact", body = ErrorBody),
))]
pub(super) async fn opt_outs(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<OptOuts>, ApiError> {
    authorize(&identity, Action::ReadContacts)?;
    let out = app.store().opt_outs(id).await?.ok_or_else(|| ApiError::not_found("contact"))?;
    Ok(axum::Json(out.into()))
}

/// Say by what a contact does not want to be written to
///
/// All of it, in the place of the version that was seen; what was approved to be sent so is a draft again.
#[utoipa::path(put, path = "/api/leads/{id}/opt-outs", tag = "Contacts", request_body = OptOuts,
    params(("id" = String, Path)), responses(
    (status = 200, description = "Kept", body = OptOuts),
    (status = 403, description = "Not yours to do", body = ErrorBody),
    (status = 404, description = "No such contact", body = ErrorBody),
    (status = 409, description = "Somebody else has changed it (`changed_meanwhile`)", body = ErrorBody),
))]
pub(super) async fn set_opt_outs(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
    Json(OptOuts { version, channels }): Json<OptOuts>,
) -> Result<axum::Json<OptOuts>, ApiError> {
    authorize(&identity, Action::EditContacts)?;
    let out = sotto_store::OptOuts { version, channels };
    let kept = app.store().set_opt_outs(id, &out, identity.name(), app.now_unix_ms()).await?;
    let kept = kept.ok_or_else(|| ApiError::not_found("contact"))?;
    let detail = format!("opt-outs of {id}: {:?}", out.channels);
    app.shared.parts.desk.audit().note(identity.name(), AUDITED, None, &detail);
    Ok(axum::Json(kept.into()))
}

impl From<sotto_store::OptOuts> for OptOuts {
    fn from(sotto_store::OptOuts { version, channels }: sotto_store::OptOuts) -> Self {
        Self { version, channels }
    }
}

fn unknown() -> ApiError {
    ApiError::not_found("message")
}

fn not_possible() -> ApiError {
    ApiError::not_possible("message")
}

fn is_sent_here(app: &App, channel: MessageChannel) -> Result<(), ApiError> {
    match app.settings().channels.contains(&channel) {
        true => Ok(()),
        false => Err(ApiError::invalid("nothing is configured to send it by")),
    }
}

/// A message as it is kept.
fn checked(app: &App, message: FollowUp) -> Result<FollowUp, ApiError> {
    is_sent_here(app, message.channel)?;
    message.not_before_unix_ms.map(moment).transpose()?;
    Ok(message.checked(app.settings().crm.country)?)
}

/// A person puts a message of this version into another state.
async fn decide(
    app: &App,
    identity: &Identity,
    row: FollowUpRow,
    version: u64,
    next: FollowUpState,
) -> Result<axum::Json<FollowUpEntry>, ApiError> {
    if version == row.version && !row.state.may_become(next) {
        return Err(not_possible());
    }
    let now = app.now_unix_ms();
    let decided = app.store().decide_follow_up(row.id, version, next, identity.name(), now).await?;
    let decided = decided.ok_or_else(unknown)?;
    note(app, identity, &decided);
    Ok(axum::Json(decided.into()))
}

/// Who did what, without what is said and to which address.
fn note(app: &App, identity: &Identity, row: &FollowUpRow) {
    let detail = format!("message {} to {}: {:?}", row.id, row.contact, row.state);
    app.shared.parts.desk.audit().note(identity.name(), AUDITED, row.call, &detail.to_lowercase());
}
