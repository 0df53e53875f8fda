//! Calls: lists, one call, its events.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sotto_call::{
    CallId, CallState, CardAnswer, CardAnswered, EventBody, Participant, Party, PromptAnswer, PromptAnswered,
};
use sotto_store::{CallFilter, CallRowState, Outcome, Reach, SearchFilter};
use utoipa::{IntoParams, ToSchema};

use super::auth::{Action, Identity, authorize};
use super::discreet::Reader;
use super::error::{ApiError, ErrorBody, Json, Path, Query};
use super::{App, recording, schema};
use crate::crm::is_voice_note;
use crate::hub::{FollowError, LiveCall, Update};
use crate::insight::ConsentSaidBy;
use crate::search::called;
use crate::summary::{CallSummary, Lifecycle};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/calls", get(list))
        .route("/calls/{id}", get(one))
        .route("/calls/{id}/events", get(events))
        .route("/calls/{id}/outcome", put(outcome))
        .route("/calls/{id}/consent", post(consent))
        .route("/calls/{id}/prompts/{prompt_id}/answer", post(answer))
        .route("/calls/{id}/cards/{card_id}/answer", post(answer_card))
        .route("/calls/{id}/recording", get(recording::recording))
}

/// Calls on a page when nothing is said.
const USUAL_PAGE: u32 = 50;
/// Calls on a page at most.
const LARGEST_PAGE: u32 = 500;
/// Bytes of events gathered before they are sent.
const CHUNK: usize = 32 << 10;

/// Which calls to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Only live, or only ended ones.
    state: Option<Lifecycle>,
    /// Only calls that began before this one: the id of the last call of the page before.
    #[param(value_type = Option<String>)]
    before: Option<CallId>,
    /// How many, 50 when absent and 500 at most.
    limit: Option<u32>,
}

/// A page of calls.
#[derive(Serialize, ToSchema)]
pub(super) struct CallList {
    /// Newest first.
    calls: Vec<CallSummary>,
}

/// One call.
#[derive(Serialize, ToSchema)]
pub(super) struct OneCall {
    call: CallSummary,
    #[schema(value_type = schema::CallState)]
    #[serde(serialize_with = "the_state")]
    state: Arc<CallState>,
    /// There is a track of what supervisors said, and it is yours to hear.
    supervisors_recorded: bool,
}

fn the_state<S: serde::Serializer>(state: &Arc<CallState>, serializer: S) -> Result<S::Ok, S::Error> {
    state.as_ref().serialize(serializer)
}

/// Where to begin.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct FromParams {
    /// Only events numbered above this.
    pub from: Option<u64>,
}

/// Calls, newest first
///
/// Reviewers see those of their team that are over.
#[utoipa::path(get, path = "/api/calls", tag = "Calls", params(ListParams), responses(
    (status = 200, description = "A page", body = CallList),
    (status = 401, description = "Not signed in", body = ErrorBody),
))]
pub(super) async fn list(
    State(app): State<App>,
    identity: Identity,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<CallList>, ApiError> {
    authorize(&identity, Action::ListCalls)?;
    let limit = params.limit.unwrap_or(USUAL_PAGE).clamp(1, LARGEST_PAGE);
    let reach = identity.reach();
    if reach != Reach::Everybody {
        // None of those goes on.
        let found = match params.state {
            Some(Lifecycle::Live) => Vec::new(),
            _ => {
                let filter = SearchFilter { reach, before: params.before, limit, ..SearchFilter::default() };
                app.store().find_calls(&filter).await?
            }
        };
        return Ok(axum::Json(CallList { calls: found.into_iter().map(|one| one.call.into()).collect() }));
    }
    // The registry knows better what is live, and knows it before the store does.
    let live = app.hub().summaries();
    let wanted = |call: &CallSummary| {
        params.before.is_none_or(|before| call.id < before) && params.state.is_none_or(|s| s == call.state)
    };
    let sight = app.sight_of_lists(&identity);
    let seen = |call: &Arc<CallSummary>| call.seen_with(sight);
    let mut calls: Vec<CallSummary> = live.iter().filter(|call| wanted(call)).map(seen).collect();
    if params.state != Some(Lifecycle::Live) {
        let state = params.state.map(|_| CallRowState::Ended);
        let rows = app.store().calls(CallFilter { state, before: params.before, limit }).await?;
        let stored = rows.into_iter().filter(|row| live.iter().all(|call| call.id != row.id));
        calls.extend(stored.map(CallSummary::from));
    }
    calls.sort_by_key(|call| std::cmp::Reverse(call.id));
    calls.truncate(limit as usize);
    Ok(axum::Json(CallList { calls }))
}

/// One call and everything that was said
///
/// To agents, `recording` says whether there is one that is theirs to hear.
#[utoipa::path(get, path = "/api/calls/{id}", tag = "Calls", params(("id" = String, Path)), responses(
    (status = 200, description = "The call as it is now", body = OneCall),
    (status = 403, description = "Not yours to see", body = ErrorBody),
    (status = 404, description = "No such call", body = ErrorBody),
))]
pub(super) async fn one(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<CallId>,
) -> Result<axum::Json<OneCall>, ApiError> {
    app.allows(&identity, Action::ReadCall(id)).await?;
    let shown = app.hub().get(id).map(|live| live.summary());
    let mut follow = app.read(&identity, id, None).await?;
    let Some(Update::Snapshot(state)) = follow.next_now().await? else {
        return Err(ApiError::not_found("call"));
    };
    let stored = app.store().call(id).await;
    let recording = stored.as_ref().ok().and_then(|row| row.as_ref()?.recording.clone());
    let supervisors_recorded = match recording {
        Some(recording) if authorize(&identity, Action::HearSupervisors(id)).is_ok() => {
            recording::has_supervisors(&app, &recording).await
        }
        _ => false,
    };
    let mut call = match shown {
        Some(shown) => {
            // What a person has written down is nowhere else; a live call is shown without the store as well.
            let outcome = stored.ok().flatten().and_then(|row| row.outcome);
            CallSummary { outcome, ..CallSummary::of_state(id, shown.recording, &state) }
        }
        None => stored?.ok_or_else(|| ApiError::not_found("call"))?.into(),
    };
    // Agents have none to hear of others' calls.
    let hears = Action::HearCall(id);
    if call.recording && authorize(&identity, hears).is_ok() {
        call.recording = app.allows(&identity, hears).await.is_ok();
    }
    Ok(axum::Json(OneCall { call, state, supervisors_recorded }))
}

/// A call's events, one JSON object a line
///
/// Of a live call: those there are so far.
#[utoipa::path(get, path = "/api/calls/{id}/events", tag = "Calls", params(("id" = String, Path), FromParams),
    responses(
        (status = 200, description = "Events in order", body = schema::CallEvent,
            content_type = "application/x-ndjson"),
        (status = 403, description = "Not yours to see", body = ErrorBody),
        (status = 404, description = "No such call", body = ErrorBody),
    ))]
pub(super) async fn events(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<CallId>,
    Query(params): Query<FromParams>,
) -> Result<Response, ApiError> {
    app.allows(&identity, Action::ReadCall(id)).await?;
    let follow = app.read(&identity, id, Some(params.from.unwrap_or(0))).await?;
    let lines = futures::stream::try_unfold(follow, async |mut follow| {
        let chunk = next_lines(&mut follow).await?;
        Ok::<_, FollowError>((!chunk.is_empty()).then_some((Bytes::from(chunk), follow)))
    });
    // A failure on the way cuts the answer off, which a client can tell from its end.
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

/// How a call came out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewOutcome {
    /// One of `[desk] outcomes`.
    outcome: String,
}

/// Write down how a call came out
///
/// In place of what was written before. Agents do so for calls of their own, those they have handed over included,
/// supervisors for any.
#[utoipa::path(put, path = "/api/calls/{id}/outcome", tag = "Calls", params(("id" = String, Path)),
    request_body = NewOutcome, responses(
        (status = 200, description = "Written down", body = schema::Outcome),
        (status = 403, description = "Somebody else's call", body = ErrorBody),
        (status = 404, description = "No such call", body = ErrorBody),
        (status = 400, description = "None of the configured outcomes", body = ErrorBody),
    ))]
pub(super) async fn outcome(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<CallId>,
    Json(new): Json<NewOutcome>,
) -> Result<axum::Json<Outcome>, ApiError> {
    authorize(&identity, Action::TakeCalls)?;
    if app.store().call(id).await?.is_none() {
        return Err(ApiError::not_found("call"));
    }
    had(&app, &identity, id).await?;
    if !app.shared.parts.desk.outcomes().contains(&new.outcome) {
        return Err(ApiError::invalid("none of the configured outcomes"));
    }
    let by = identity.name().to_owned();
    let outcome = Outcome { outcome: new.outcome, by, at_unix_ms: app.now_unix_ms() };
    app.store().set_outcome(id, &outcome).await?;
    app.shared.parts.desk.concluded(id);
    app.shared.parts.desk.audit().note(&outcome.by, "outcome", Some(id), &outcome.outcome);
    Ok(axum::Json(outcome))
}

/// Whether a customer agrees.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewConsent {
    /// They agree that their mood is read.
    mood: bool,
}

/// Write down whether the customer agrees that their mood is read
///
/// As they say it to the agent. Who does not agree has no mood any more: none is read from then on, and what was read is taken
/// out of the call's log and of what it came to, also when the call is over. Agents do so for calls of their own, those they
/// have handed over included, supervisors for any; it is in the audit (`consent`), and of a live call in its log.
#[utoipa::path(post, path = "/api/calls/{id}/consent", tag = "Calls", params(("id" = String, Path)),
    request_body = NewConsent, responses(
        (status = 204, description = "Written down"),
        (status = 403, description = "Somebody else's call", body = ErrorBody),
        (status = 404, description = "No such call", body = ErrorBody),
        (status = 409, description = "Nothing more is read: the call is over, or has no customer", body = ErrorBody),
        (status = 503, description = "The call is just ending: try again", body = ErrorBody),
    ))]
pub(super) async fn consent(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<CallId>,
    Json(new): Json<NewConsent>,
) -> Result<StatusCode, ApiError> {
    authorize(&identity, Action::TakeCalls)?;
    match had(&app, &identity, id).await? {
        Some(live) => {
            if !live.consents(new.mood, ConsentSaidBy::Person) {
                let why = "whoever is in the customer's place is an employee";
                return Err(ApiError::new(StatusCode::CONFLICT, "no_customer", why));
            }
            // What is said when the end is numbered already is not: then it is to be taken out of what is stored.
            let told = app.hub().follow(id, None).await?.next_now().await?;
            let is_so = |state: &CallState| state.consent.is_some_and(|consent| consent.mood == new.mood);
            if !matches!(told, Some(Update::Snapshot(state)) if is_so(&state)) {
                return Err(ApiError::unavailable("busy", "the call is just ending"));
            }
        }
        None if new.mood => {
            return Err(ApiError::new(StatusCode::CONFLICT, "call_over", "the call is over"));
        }
        None => app.store().forget_moods_of_call(id).await?,
    }
    let answer = if new.mood { "mood: yes" } else { "mood: no" };
    app.shared.parts.desk.audit().note(identity.name(), "consent", Some(id), answer);
    Ok(StatusCode::NO_CONTENT)
}

/// What is said of a prompt.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAnswer {
    #[schema(value_type = schema::PromptAnswer)]
    answer: PromptAnswer,
}

/// Answer a prompt
///
/// The one that stands on a live call: its agent does so, or a supervisor. The answer is an event of the call
/// (`prompt_answered`), which says whose it is.
#[utoipa::path(post, path = "/api/calls/{id}/prompts/{prompt_id}/answer", tag = "Calls",
    params(("id" = String, Path), ("prompt_id" = u32, Path)),
    request_body = NewAnswer, responses(
        (status = 204, description = "Answered"),
        (status = 403, description = "Somebody else's call", body = ErrorBody),
        (status = 404, description = "No such call, or the prompt stands no more", body = ErrorBody),
    ))]
pub(super) async fn answer(
    State(app): State<App>,
    identity: Identity,
    Path((id, prompt_id)): Path<(CallId, u32)>,
    Json(new): Json<NewAnswer>,
) -> Result<StatusCode, ApiError> {
    let (live, state) = attended(&app, &identity, id).await?;
    if state.prompt.as_ref().is_none_or(|prompt| prompt.prompt_id != prompt_id) {
        return Err(ApiError::not_found("prompt that stands"));
    }
    let by = identity.name().to_owned();
    live.publish(EventBody::PromptAnswered(PromptAnswered { prompt_id, answer: new.answer, by }));
    Ok(StatusCode::NO_CONTENT)
}

/// What is said of a card.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewCardAnswer {
    #[schema(value_type = schema::CardAnswer)]
    answer: CardAnswer,
}

/// Answer a card
///
/// One that stands on a live call: its agent does so, or a supervisor, if they may see its document. The answer is an event
/// of the call (`card_answered`), which says whose it is; what was called wrong is not shown again on this call. One that is
/// `copied` stands on.
#[utoipa::path(post, path = "/api/calls/{id}/cards/{card_id}/answer", tag = "Calls",
    params(("id" = String, Path), ("card_id" = u32, Path)),
    request_body = NewCardAnswer, responses(
        (status = 204, description = "Answered"),
        (status = 403, description = "Somebody else's call", body = ErrorBody),
        (status = 404, description = "No such call, or the card stands no more", body = ErrorBody),
    ))]
pub(super) async fn answer_card(
    State(app): State<App>,
    identity: Identity,
    Path((id, card_id)): Path<(CallId, u32)>,
    Json(new): Json<NewCardAnswer>,
) -> Result<StatusCode, ApiError> {
    let (live, state) = attended(&app, &identity, id).await?;
    let card = state.cards.iter().find(|card| card.card_id == card_id);
    if card.is_none_or(|card| !card.is_seen_by(identity.card_viewer())) {
        return Err(ApiError::not_found("card that stands"));
    }
    let by = identity.name().to_owned();
    live.publish(EventBody::CardAnswered(CardAnswered { card_id, answer: new.answer, by }));
    Ok(StatusCode::NO_CONTENT)
}

/// A live call as it is now, for its agent or a supervisor.
pub(super) async fn attended(
    app: &App,
    identity: &Identity,
    id: CallId,
) -> Result<(LiveCall, Arc<CallState>), ApiError> {
    authorize(identity, Action::TakeCalls)?;
    let live = app.hub().get(id).ok_or_else(|| ApiError::not_found("live call"))?;
    if !is_agent(identity.name(), &live.summary().participants) {
        authorize(identity, Action::Supervise)?;
    }
    match app.hub().follow(id, None).await?.next_now().await? {
        Some(Update::Snapshot(state)) => Ok((live, state)),
        _ => Err(ApiError::not_found("live call")),
    }
}

/// A call that somebody has, or has had, as its agent, or that a supervisor may have a say in: as long as it goes on.
async fn had(app: &App, identity: &Identity, id: CallId) -> Result<Option<LiveCall>, ApiError> {
    let live = app.hub().get(id);
    if live.is_none() && app.store().call(id).await?.is_none() {
        return Err(ApiError::not_found("call"));
    }
    if !had_agent(app, id, identity.name()).await? {
        authorize(identity, Action::Supervise)?;
    }
    Ok(live)
}

/// Whether a user, or a key, of this name is among the agents who take part, as these are called where calls are looked for.
pub(super) fn is_agent(name: &str, participants: &[Participant]) -> bool {
    let agents = participants.iter().filter(|one| one.party == Party::Agent);
    agents.filter_map(called).any(|called| called == name)
}

/// Whether somebody is, or was, the agent of a call. Of one that there is not, nobody has to be.
pub(super) async fn had_agent(app: &App, id: CallId, name: &str) -> Result<bool, ApiError> {
    // Of a live call the registry knows better who takes part.
    let participants = match app.hub().get(id) {
        Some(live) => live.summary().participants.clone(),
        None => match app.store().call(id).await? {
            Some(call) => call.participants,
            None => return Ok(true),
        },
    };
    Ok(is_agent(name, &participants) || was_agent(app, id, name).await?)
}

/// Whether a call is a contact's voice note, which is no agent's.
pub(super) async fn is_note(app: &App, id: CallId) -> Result<bool, ApiError> {
    let call = app.store().call(id).await?;
    Ok(call.is_some_and(|call| is_voice_note(call.source, &call.participants)))
}

/// Whether somebody was a call's agent at any time, says its log: whoever has handed the call over takes part no more.
pub(super) async fn was_agent(app: &App, id: CallId, name: &str) -> Result<bool, FollowError> {
    let mut log = app.hub().follow(id, Some(0)).await?;
    while let Some(update) = log.next_now().await? {
        let Update::Event(event) = update else { continue };
        let participants = match &event.body {
            EventBody::CallStarted(started) => &started.participants,
            EventBody::Participants(now) => &now.participants,
            _ => continue,
        };
        if is_agent(name, participants) {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn next_lines(follow: &mut Reader) -> Result<Vec<u8>, FollowError> {
    let mut lines = Vec::new();
    while lines.len() < CHUNK {
        let Some(update) = follow.next_now().await? else { break };
        if let Update::Event(event) = update
            && serde_json::to_writer(&mut lines, event.as_ref()).is_ok()
        {
            lines.push(b'\n');
        }
    }
    Ok(lines)
}
