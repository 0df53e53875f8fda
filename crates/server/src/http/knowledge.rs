//! What is written down: looked up by everybody, as far as it is for them; kept by supervisors.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use sotto_call::{CallId, CallState, Party, Utterance};
use sotto_knowledge::{Document, Hit, SURE, Trigger, Turn, Visibility};
use sotto_store::{Role, StoreError};
use tokio::task::spawn_blocking;
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::auth::{Action, Identity, authorize};
use super::error::{ApiError, ErrorBody, Json, Path, Query};
use crate::assist::{self, AssistAnswer};
use crate::hub::Update;
use crate::library::{self, LibraryError, ListedDocument};
use crate::people;

/// What a change is called in the audit.
const AUDITED: &str = "knowledge";
/// Characters of a question, and of what names a customer.
const LONGEST_QUERY: usize = 2_000;
const LONGEST_LEAD: usize = 200;
/// Passages that are found.
const HITS: usize = 10;
/// Final words of a call that a question on it may lean on.
const TURNS: usize = 10;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/ai/assist/search", post(search))
        .route("/ai/assist/answer", post(answer))
        .route("/knowledge/documents", get(list).post(upload))
        // Names of documents in folders have slashes in them.
        .route("/knowledge/documents/{*id}", get(one).patch(show_to).delete(remove))
}

impl From<LibraryError> for ApiError {
    fn from(error: LibraryError) -> Self {
        let message = error.to_string();
        let (status, code) = match error {
            LibraryError::Store(error) => return error.into(),
            LibraryError::Failed(error) => return failed(error),
            LibraryError::Unknown => return Self::not_found("document"),
            LibraryError::UnknownTeam => return Self::not_found("team"),
            LibraryError::Name => (StatusCode::BAD_REQUEST, "invalid"),
            LibraryError::Kind => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "kind"),
            LibraryError::Unreadable(_) => (StatusCode::UNPROCESSABLE_ENTITY, "unreadable"),
            LibraryError::Full(_) | LibraryError::Fixed => (StatusCode::CONFLICT, "full"),
            LibraryError::InFolder(_) => (StatusCode::CONFLICT, "in_folder"),
            LibraryError::Taken(_) => (StatusCode::CONFLICT, "name_taken"),
            LibraryError::InConfiguration(_) => (StatusCode::CONFLICT, "in_configuration"),
        };
        Self::new(status, code, message)
    }
}

/// What went wrong while the store was asked, or anything else.
pub(super) fn failed(error: anyhow::Error) -> ApiError {
    match error.downcast::<StoreError>() {
        Ok(error) => error.into(),
        Err(error) => internal(&format!("{error:#}")),
    }
}

/// What went wrong is for the log, not for strangers.
fn internal(error: &str) -> ApiError {
    tracing::error!(error, "documents cannot be looked up or kept");
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong")
}

/// What is looked up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// What was asked, in whatever words.
    query: String,
    /// Whom it is about, as the program that asks knows them. Nothing depends on it yet.
    #[serde(default, rename = "leadId")]
    lead_id: Option<String>,
}

/// What was found.
#[derive(Serialize, ToSchema)]
pub(super) struct Snippets {
    /// The best first.
    snippets: Vec<Snippet>,
}

/// A passage that may answer.
#[derive(Serialize, ToSchema)]
pub(super) struct Snippet {
    /// The document it is in.
    document: String,
    /// That document's title.
    title: String,
    /// The headings that it stands under, the highest first.
    headings: Vec<String>,
    /// Its words.
    text: String,
    /// `en` or `fa`; empty for others.
    language: String,
    /// When the document was last changed, in milliseconds since 1970.
    changed_unix_ms: u64,
    /// How likely it answers, from 0 to 1.
    confidence: f32,
    /// Whether that is enough to be shown without being asked for.
    sure: bool,
    why: WhyFound,
}

/// Why a passage was found, and found here.
#[derive(Serialize, ToSchema)]
pub(super) struct WhyFound {
    /// The question's words that it has, in one spelling.
    words: Vec<String>,
    /// The share of the question, by what its words are worth, that it has.
    covered: f32,
    /// What its words are worth to the question (BM25).
    bm25: f32,
    /// Its rank by words, from 1; absent if it has none of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    rank_by_words: Option<usize>,
    /// How near its meaning is to the question's (cosine); absent if that was not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    cosine: Option<f32>,
    /// Its rank by meaning, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    rank_by_meaning: Option<usize>,
    /// The share that the meaning had.
    share: f32,
    /// The question mentions the document by its title.
    mentioned: bool,
    /// How well it answers, from 0 to 1, by the cross-encoder that has put the best into its order; absent where none is
    /// configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    reranked: Option<f32>,
}

impl From<Hit> for Snippet {
    fn from(hit: Hit) -> Self {
        let passage = hit.passage().cloned();
        let (headings, text, language) =
            passage.map(|passage| (passage.section, passage.text, passage.language)).unwrap_or_default();
        let Hit { document, confidence, why, .. } = hit;
        Self {
            document: document.id.clone(),
            title: document.title.clone(),
            headings,
            text,
            language,
            changed_unix_ms: document.changed_unix_ms,
            confidence,
            sure: confidence >= SURE,
            why: WhyFound {
                words: why.words,
                covered: why.covered,
                bm25: why.bm25,
                rank_by_words: why.rank_by_words,
                cosine: why.cosine,
                rank_by_meaning: why.rank_by_meaning,
                share: why.share,
                mentioned: why.mentioned,
                reranked: why.reranked,
            },
        }
    }
}

/// Look something up
///
/// Passages that may answer, of those that are for whoever asks: a key is an admin with the scope `admin`, a supervisor
/// with `calls:listen`, otherwise an agent. It may be done 30 times at once, and once a second from then on. A question that
/// nothing answers is kept for whoever keeps the documents, without secrets. Keys need `knowledge:read`.
#[utoipa::path(post, path = "/api/ai/assist/search", tag = "Knowledge", request_body = Question, responses(
    (status = 200, description = "What was found, perhaps nothing", body = Snippets),
    (status = 400, description = "Nothing is asked, or too much", body = ErrorBody),
    (status = 403, description = "Not theirs to do", body = ErrorBody),
    (status = 429, description = "Too often", body = ErrorBody),
))]
pub(super) async fn search(
    State(app): State<App>,
    identity: Identity,
    Json(Question { query, lead_id }): Json<Question>,
) -> Result<axum::Json<Snippets>, ApiError> {
    authorize(&identity, Action::ReadKnowledge)?;
    let query = fits("query", &query, lead_id.as_deref())?;
    app.work(&identity)?;
    let hits = app.found(&identity, query, &[]).await?;
    app.looked_up(query, &hits);
    Ok(axum::Json(Snippets { snippets: hits.into_iter().map(Snippet::from).collect() }))
}

/// What is asked.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// The question, in whatever words.
    question: String,
    /// The call on which it comes up. What was said there helps to find what a question means that leans on it.
    #[serde(default, rename = "callId")]
    #[schema(value_type = Option<String>)]
    call_id: Option<CallId>,
    /// Whom it is about, as the program that asks knows them. Nothing depends on it yet.
    #[serde(default, rename = "leadId")]
    lead_id: Option<String>,
}

/// Ask a question
///
/// The answer is in sentences, each with the numbers of the passages that it rests on; or there is none, and why. They are the
/// passages' own sentences, or a language model's, where one is configured (`by`), of which those are left out that do not
/// stand in the passages they name. Only passages that are for whoever asks are looked at, and only these are shown to a
/// model, without secrets. It counts as a search does. Keys need `knowledge:read`, and with a call
/// `calls:read`.
#[utoipa::path(post, path = "/api/ai/assist/answer", tag = "Knowledge", request_body = Asked, responses(
    (status = 200, description = "An answer, or why there is none", body = AssistAnswer),
    (status = 400, description = "Nothing is asked, or too much", body = ErrorBody),
    (status = 403, description = "Not theirs to do", body = ErrorBody),
    (status = 404, description = "No such call", body = ErrorBody),
    (status = 429, description = "Too often", body = ErrorBody),
))]
pub(super) async fn answer(
    State(app): State<App>,
    identity: Identity,
    Json(Asked { question, call_id, lead_id }): Json<Asked>,
) -> Result<axum::Json<AssistAnswer>, ApiError> {
    authorize(&identity, Action::ReadKnowledge)?;
    let question = fits("question", &question, lead_id.as_deref())?;
    app.work(&identity)?;
    let (text, context) = match call_id {
        Some(id) => {
            let call = app.said_on(&identity, id).await?;
            asked_on(&call, question)
        }
        None => (question.to_owned(), Vec::new()),
    };
    let context: Vec<&str> = context.iter().map(String::as_str).collect();
    let hits = app.found(&identity, &text, &context).await?;
    // What is not asked on a call is looked up beside this, on the page, and counts once.
    if call_id.is_some() {
        app.looked_up(&text, &hits);
    }
    let query = sotto_knowledge::Query { text: &text, context: &context, ..Default::default() };
    Ok(axum::Json(assist::answer(&query, &hits, app.shared.parts.model.as_ref()).await))
}

/// A question without the space around it, if it and what names a customer are no longer than they may be.
pub(super) fn fits<'a>(name: &str, question: &'a str, lead_id: Option<&str>) -> Result<&'a str, ApiError> {
    let too_long = |text: &str, most| text.chars().nth(most).is_some();
    if question.trim().is_empty() || too_long(question, LONGEST_QUERY) {
        return Err(ApiError::invalid(format!("`{name}` has 1 to {LONGEST_QUERY} characters")));
    }
    if lead_id.is_some_and(|lead| too_long(lead, LONGEST_LEAD)) {
        return Err(ApiError::invalid(format!("`leadId` has at most {LONGEST_LEAD} characters")));
    }
    Ok(question.trim())
}

/// What a question that comes up on a call is looked up by: its words, and what was said there before, the newest first, if
/// it leans on that.
pub(super) fn asked_on(call: &CallState, question: &str) -> (String, Vec<String>) {
    // Whoever asks wants to know something, in whatever words.
    match Trigger::new().question(question, &turns(&newest_first(call)), true) {
        Ok(asked) => looked_up_by(&asked),
        Err(_) => (question.to_owned(), Vec::new()),
    }
}

/// The same of what a call's customer has asked last.
pub(super) fn asked_last(call: &CallState) -> Option<(String, Vec<String>)> {
    let (said, trigger) = (newest_first(call), Trigger::new());
    let mut rest = said.as_slice();
    while let Some((one, before)) = rest.split_first() {
        let is_wish = || call.intents.iter().any(|intent| intent.utterance_id == one.utterance_id);
        if one.party == Party::Customer
            && let Ok(asked) = trigger.question(&one.text, &turns(before), is_wish())
        {
            return Some(looked_up_by(&asked));
        }
        rest = before;
    }
    None
}

fn looked_up_by(asked: &sotto_knowledge::Question<'_>) -> (String, Vec<String>) {
    (asked.text.to_owned(), asked.context.iter().map(|said| (*said).to_owned()).collect())
}

/// What was said on a call, the newest first.
fn newest_first(call: &CallState) -> Vec<&Utterance> {
    let mut said: Vec<&Utterance> = call.finals().collect();
    said.sort_by_key(|said| Reverse(said.start_ms));
    said
}

fn turns<'a>(said: &[&'a Utterance]) -> Vec<Turn<'a>> {
    let turns = said.iter().take(TURNS);
    turns.map(|said| Turn { is_customers: said.party == Party::Customer, text: &said.text }).collect()
}

/// The documents there are.
#[derive(Serialize, ToSchema)]
pub(super) struct Documents {
    /// By name.
    documents: Vec<ListedDocument>,
    /// Whether whoever asks may upload some, and remove those that were.
    editable: bool,
    /// The teams there are, for whoever may.
    teams: BTreeSet<String>,
}

/// The documents
///
/// Those that are for whoever asks. Keys need `knowledge:read`.
#[utoipa::path(get, path = "/api/knowledge/documents", tag = "Knowledge", responses(
    (status = 200, description = "As they are now", body = Documents),
    (status = 403, description = "Not theirs to see", body = ErrorBody),
))]
pub(super) async fn list(
    State(app): State<App>,
    identity: Identity,
) -> Result<axum::Json<Documents>, ApiError> {
    authorize(&identity, Action::ReadKnowledge)?;
    let documents = app.shared.parts.library.documents(&identity.viewer());
    let editable = authorize(&identity, Action::EditKnowledge).is_ok();
    let teams = if editable { app.shared.parts.library.teams() } else { BTreeSet::new() };
    Ok(axum::Json(Documents { documents, editable, teams }))
}

/// What is uploaded.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct UploadParams {
    /// What it is called; its ending says how it is read (`.md`, `.html`, `.txt`, `.csv`, `.json`, `.pdf`, `.docx`).
    name: String,
    /// Who finds and sees it, with commas between them: `agent`, `reviewer`, `supervisor`, `admin`. Absent: everybody.
    roles: Option<String>,
    /// The teams that find and see it, with commas between them. Absent: all of them.
    teams: Option<String>,
    /// It has tickets: names, numbers, addresses and secrets are taken out before it is kept, by rules that miss some.
    #[serde(default)]
    tickets: bool,
}

/// Upload a document
///
/// In place of an earlier upload of that name. It can be found by its words at once, and by its meaning soon.
#[utoipa::path(post, path = "/api/knowledge/documents", tag = "Knowledge", params(UploadParams),
    request_body(content = String, content_type = "application/octet-stream"), responses(
    (status = 204, description = "Taken in"),
    (status = 400, description = "The name or a role is none", body = ErrorBody),
    (status = 403, description = "For supervisors", body = ErrorBody),
    (status = 409, description = "There are as many as there may be, or the name is that of one hidden from them",
        body = ErrorBody),
    (status = 413, description = "Too large", body = ErrorBody),
    (status = 415, description = "By its name it is nothing that is read", body = ErrorBody),
    (status = 422, description = "It cannot be read, and why", body = ErrorBody),
    (status = 429, description = "Too often", body = ErrorBody),
))]
pub(super) async fn upload(
    State(app): State<App>,
    identity: Identity,
    Query(UploadParams { name, roles, teams, tickets }): Query<UploadParams>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    authorize(&identity, Action::EditKnowledge)?;
    let roles = named(roles.as_deref()).map(|role| serde_json::from_value(role.into()));
    let roles = roles
        .collect::<Result<Vec<Role>, _>>()
        .map_err(|_| ApiError::invalid("`roles` are `agent`, `reviewer`, `supervisor` and `admin`"))?;
    app.work(&identity)?;
    let library = app.shared.parts.library.clone();
    let place = library.place().await?;
    let bytes = collected(body, library.max_upload()).await?;
    let teams = named(teams.as_deref()).map(str::to_owned).collect();
    let (visibility, by) = (Visibility { teams, ..library::seen_by(&roles) }, identity.viewer());
    let (what, now) = (format!("{}: uploaded", name.trim()), app.now_unix_ms());
    let upload = async move {
        let _until_taken_in = place;
        library.upload(&name, bytes, tickets, visibility, by, now).await
    };
    app.changed(&identity, what, upload).await
}

/// The names in a list with commas between them.
fn named(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty())
}

/// All of a body, if it is no larger than it may be.
async fn collected(body: Body, most: usize) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| ApiError::invalid("the body was cut short"))?;
        if bytes.len() + chunk.len() > most {
            let message = format!("more than {} MB (`knowledge.max_upload_mb`)", most >> 20);
            return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// A document's text.
#[derive(Serialize, ToSchema)]
pub(super) struct DocumentText {
    /// What it is known by.
    id: String,
    /// Its title.
    title: String,
    /// When it was last changed, in milliseconds since 1970.
    changed_unix_ms: u64,
    /// All of its text, without how it was set.
    text: String,
}

/// A document
///
/// Its name goes into the address as it is, slashes included. Keys need `knowledge:read`.
#[utoipa::path(get, path = "/api/knowledge/documents/{id}", tag = "Knowledge", params(("id" = String, Path)), responses(
    (status = 200, description = "Its text", body = DocumentText),
    (status = 403, description = "Not theirs to see", body = ErrorBody),
    (status = 404, description = "No such document, or none that is for them", body = ErrorBody),
))]
pub(super) async fn one(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<String>,
) -> Result<axum::Json<DocumentText>, ApiError> {
    authorize(&identity, Action::ReadKnowledge)?;
    let document = app.document(&identity, &id)?;
    Ok(axum::Json(DocumentText {
        id,
        title: document.title.clone(),
        changed_unix_ms: document.changed_unix_ms,
        text: document.text.clone(),
    }))
}

/// Who is to see a document.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SeenBy {
    /// Only these teams; all of them where there are none.
    teams: Vec<String>,
}

/// Say which teams see a document
///
/// An upload; its roles stay as they are. What lies in a folder, and pages of the web, are seen by whom the configuration
/// says.
#[utoipa::path(patch, path = "/api/knowledge/documents/{id}", tag = "Knowledge", params(("id" = String, Path)),
    request_body = SeenBy, responses(
    (status = 204, description = "Those see it, and nobody else finds it any more"),
    (status = 400, description = "A team is none", body = ErrorBody),
    (status = 403, description = "For admins", body = ErrorBody),
    (status = 404, description = "No such document, or none that is for their role", body = ErrorBody),
    (status = 409, description = "It lies in a folder", body = ErrorBody),
    (status = 429, description = "Too often", body = ErrorBody),
))]
pub(super) async fn show_to(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<String>,
    Json(SeenBy { teams }): Json<SeenBy>,
) -> Result<StatusCode, ApiError> {
    authorize(&identity, Action::ManagePeople)?;
    let named = teams.iter().filter_map(|team| people::team(team).transpose());
    let teams = named.collect::<Result<BTreeSet<String>, _>>()?;
    app.work(&identity)?;
    let library = app.shared.parts.library.clone();
    let (who, by) = (Vec::from_iter(teams.iter().map(String::as_str)), library.everywhere(identity.role()));
    let what = format!("{id}: for {}", if who.is_empty() { "all teams".to_owned() } else { who.join(", ") });
    app.changed(&identity, what, async move { library.show_to(id, teams, by).await }).await
}

/// Remove a document
///
/// With all of its text, for good. What lies in a folder is removed there.
#[utoipa::path(delete, path = "/api/knowledge/documents/{id}", tag = "Knowledge", params(("id" = String, Path)),
    responses(
    (status = 204, description = "It is found no more"),
    (status = 403, description = "For supervisors", body = ErrorBody),
    (status = 404, description = "No such document, or none that is for them", body = ErrorBody),
    (status = 409, description = "It lies in a folder", body = ErrorBody),
    (status = 429, description = "Too often", body = ErrorBody),
))]
pub(super) async fn remove(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    authorize(&identity, Action::EditKnowledge)?;
    app.work(&identity)?;
    let (library, by) = (app.shared.parts.library.clone(), identity.viewer());
    let what = format!("{id}: removed");
    app.changed(&identity, what, async move { library.remove(id, by).await }).await
}

impl App {
    /// The passages that answer best, of those that are for whoever asks.
    pub(super) async fn found(
        &self,
        identity: &Identity,
        text: &str,
        context: &[&str],
    ) -> Result<Vec<Hit>, ApiError> {
        let (library, viewer) = (self.shared.parts.library.clone(), identity.viewer());
        let text = text.to_owned();
        let context: Vec<String> = context.iter().map(|said| (*said).to_owned()).collect();
        let search = move || {
            let context: Vec<&str> = context.iter().map(String::as_str).collect();
            library.search(&text, &context, &viewer, HITS)
        };
        let found = spawn_blocking(search).await.map_err(|error| internal(&error.to_string()))?;
        found.map_err(|error| internal(&error.to_string()))
    }

    /// What was said on a call so far, for who may read it.
    pub(super) async fn said_on(&self, identity: &Identity, id: CallId) -> Result<Arc<CallState>, ApiError> {
        self.allows(identity, Action::ReadCall(id)).await?;
        match self.hub().follow(id, None).await?.next_now().await? {
            Some(Update::Snapshot(state)) => Ok(state),
            _ => Err(ApiError::not_found("call")),
        }
    }

    /// A document, if it is for whoever asks.
    pub(super) fn document(&self, identity: &Identity, id: &str) -> Result<Arc<Document>, ApiError> {
        let document = self.shared.parts.library.document(id, &identity.viewer());
        document.ok_or_else(|| ApiError::not_found("document"))
    }

    /// Takes what is asked for, unless it is asked for too often.
    pub(super) fn work(&self, identity: &Identity) -> Result<(), ApiError> {
        self.shared.throttle.work(&identity.owner().id, self.now_unix_ms()).map_err(ApiError::too_many)
    }

    /// Makes a change, and puts who has made it into the audit: also when they do not wait for it any more.
    pub(super) async fn changed(
        &self,
        identity: &Identity,
        what: String,
        change: impl Future<Output = Result<(), LibraryError>> + Send + 'static,
    ) -> Result<StatusCode, ApiError> {
        let (app, who) = (self.clone(), identity.name().to_owned());
        let noted = async move {
            change.await?;
            app.shared.parts.desk.audit().note(&who, AUDITED, None, &what);
            Ok::<_, LibraryError>(StatusCode::NO_CONTENT)
        };
        let changed = self.shared.tasks.spawn(noted).await;
        Ok(changed.map_err(|error| internal(&error.to_string()))??)
    }
}
