//! Whoever calls, or is called: what is known of them, and what was said to them and by them.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sotto_call::{CallId, Participant};
use sotto_crm::{
    Communication, CommunicationKind, Contact, ContactKind, Heard, Phone, Place, Reason, Rule, Score, Source,
    Stage, Wrong, terms,
};
use sotto_store::{CommunicationRow, CompanyFilter, ContactFilter, ContactRow};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::App;
use super::auth::{Action, Identity, authorize};
use super::companies::CompanyEntry;
use super::error::{ApiError, ErrorBody, Json, Path, Query};
use crate::hub::Update;
use crate::people;

/// What a change is called in the audit, and that somebody has seen a contact, or their timeline.
pub(super) const AUDITED: &str = "contacts";
const SEEN: &str = "contact_seen";
/// How often that is noted of the same contact.
const SEEN_EVERY_MS: u64 = 24 * 3_600_000;
/// Entries on a page when nothing is said, and at most.
const USUAL_PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 200;
/// The last moment of the year 9999, in milliseconds since 1970: nothing is later.
const LATEST: u64 = 253_402_300_799_999;
/// Characters of what is looked for.
pub(super) const LONGEST_QUERY: usize = 200;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/leads", get(list).post(add))
        .route("/leads/{id}", get(one).put(change).delete(remove))
        .route("/leads/{id}/communication", get(timeline).post(note))
        .route("/leads/{id}/merge", post(merge))
        .route("/calls/{id}/contact", get(of_call))
}

impl From<Wrong> for ApiError {
    fn from(wrong: Wrong) -> Self {
        Self::invalid(wrong.to_string())
    }
}

/// How many entries somebody gets who wants so many.
pub(super) fn page_of(limit: Option<u32>) -> u32 {
    limit.unwrap_or(USUAL_PAGE).clamp(1, LARGEST_PAGE)
}

/// Where the next page begins, after a page that ends at `last`: nowhere, where that was all.
pub(super) fn next_after(found: usize, limit: u32, last: Option<impl ToString>) -> Option<String> {
    last.filter(|_| found >= limit as usize).map(|place| place.to_string())
}

/// What is looked for; nothing where nothing is.
pub(super) fn within(query: Option<String>) -> Result<String, ApiError> {
    let query = query.unwrap_or_default();
    if query.chars().count() > LONGEST_QUERY {
        return Err(ApiError::invalid(format!("`q` has at most {LONGEST_QUERY} characters")));
    }
    Ok(query)
}

/// A moment that somebody names.
pub(super) fn moment(at_unix_ms: u64) -> Result<u64, ApiError> {
    if at_unix_ms > LATEST { Err(ApiError::invalid("a time is after the year 9999")) } else { Ok(at_unix_ms) }
}

/// A contact.
#[derive(Serialize, ToSchema)]
pub(crate) struct Lead {
    #[schema(value_type = String)]
    id: Uuid,
    /// `lead` or `representative`.
    #[schema(value_type = String)]
    kind: ContactKind,
    /// `new`, `contacted`, `qualified`, `converted` or `lost`.
    #[schema(value_type = String)]
    stage: Stage,
    name: String,
    /// Their numbers, the usual one first: E.164 where the country is known.
    #[schema(value_type = Vec<String>)]
    phones: Vec<Phone>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    /// The company they belong to, and what it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    company_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    company_name: Option<String>,
    /// The user who looks after them.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    notes: String,
    /// What else is written down, by the organisation's names for it: `city`, `course`, `budget`.
    fields: BTreeMap<String, String>,
    created_at_unix_ms: u64,
    /// When they were changed, or something was added to their timeline, last.
    active_at_unix_ms: u64,
    /// How promising they are, of a lead; absent for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<LeadScore>,
    /// Whoever changes them says which one they have seen.
    version: u64,
}

/// How promising a lead is, by stated rules.
#[derive(Serialize, ToSchema)]
struct LeadScore {
    /// 0 to 100: what all reasons add up to, and no less and no more than that.
    points: u32,
    reasons: Vec<ScoreReason>,
}

/// Why a lead has points, or fewer.
#[derive(Serialize, ToSchema)]
struct ScoreReason {
    /// `stage_contacted`, `stage_qualified`, `stage_converted`, `stage_lost`; of the last call `spoke_of_interest`,
    /// `spoke_of_buying`, `spoke_against`, `urgent`, `unhurried`; `names_course`, `names_budget`; `this_week`, `this_month`,
    /// `often`, `quiet`; `unreachable`.
    #[schema(value_type = String)]
    rule: Rule,
    /// What it adds.
    points: i32,
    /// The entry of the timeline that it rests on, if it rests on one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    entry_id: Option<Uuid>,
}

impl From<Score> for LeadScore {
    fn from(Score { points, reasons }: Score) -> Self {
        let told = |Reason { rule, points, entry }| ScoreReason { rule, points, entry_id: entry };
        Self { points, reasons: reasons.into_iter().map(told).collect() }
    }
}

impl Lead {
    pub(crate) fn of(row: ContactRow, company_name: Option<String>, score: Option<Score>) -> Self {
        let Contact { kind, stage, name, numbers, email, company, owner, notes, fields } = row.contact;
        Self {
            id: row.id,
            kind,
            stage,
            name,
            phones: numbers,
            email,
            company_id: company,
            company_name,
            owner,
            notes,
            fields,
            created_at_unix_ms: row.created_at_unix_ms,
            active_at_unix_ms: row.active_at_unix_ms,
            score: score.map(LeadScore::from),
            version: row.version,
        }
    }
}

/// A page of contacts.
#[derive(Serialize, ToSchema)]
pub(super) struct LeadList {
    /// Those that something happened with last come first.
    leads: Vec<Lead>,
    /// What to ask for the next page with, as `before`; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Which contacts to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LeadParams {
    /// Words of their names, numbers, addresses and fields: all of them, in either spelling.
    q: Option<String>,
    /// Only whose number it is, or whose address of record it is in.
    phone: Option<String>,
    /// Only those who belong to this company.
    #[param(value_type = Option<String>)]
    company_id: Option<Uuid>,
    /// Only these: `lead` or `representative`.
    #[param(value_type = Option<String>)]
    kind: Option<ContactKind>,
    /// Only these: `new`, `contacted`, `qualified`, `converted` or `lost`.
    #[param(value_type = Option<String>)]
    stage: Option<Stage>,
    /// Only those after this: `next` of the page before.
    #[param(value_type = Option<String>)]
    before: Option<Place>,
    /// How many, 50 when absent and 200 at most.
    limit: Option<u32>,
}

/// A contact to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewLead {
    /// `lead` when absent.
    #[serde(default = "lead")]
    #[schema(value_type = Option<String>)]
    kind: ContactKind,
    /// `new` when absent.
    #[serde(default = "new")]
    #[schema(value_type = Option<String>)]
    stage: Stage,
    name: String,
    #[serde(default)]
    phones: Vec<String>,
    #[serde(default)]
    email: Option<String>,
    /// The company they belong to.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    company_id: Option<Uuid>,
    /// A user's name.
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    notes: String,
    #[serde(default)]
    fields: BTreeMap<String, String>,
}

/// What a contact is from now on: what is absent is no more.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangedLead {
    /// The version that was seen.
    version: u64,
    #[schema(value_type = String)]
    kind: ContactKind,
    #[schema(value_type = String)]
    stage: Stage,
    name: String,
    #[serde(default)]
    phones: Vec<String>,
    #[serde(default)]
    email: Option<String>,
    /// The company they belong to.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    company_id: Option<Uuid>,
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    notes: String,
    #[serde(default)]
    fields: BTreeMap<String, String>,
}

fn lead() -> ContactKind {
    ContactKind::Lead
}

fn new() -> Stage {
    Stage::New
}

/// A user, as they are named in lists; nobody where nothing is written.
pub(super) fn user(name: Option<&str>) -> Result<Option<String>, ApiError> {
    let name = name.map(str::trim).filter(|name| !name.is_empty());
    Ok(name.map(people::name).transpose()?)
}

impl App {
    pub(super) fn numbers(&self, phones: &[String]) -> Result<Vec<Phone>, Wrong> {
        let country = self.settings().crm.country;
        let read = |text: &String| Phone::parse(text, country).ok_or_else(|| Wrong::Number(text.clone()));
        phones.iter().map(read).collect()
    }

    pub(super) async fn lead(&self, id: Uuid) -> Result<ContactRow, ApiError> {
        self.store().contact(id).await?.ok_or_else(|| ApiError::not_found("contact"))
    }

    /// Contacts as somebody sees them who asks. What was said in calls that are not theirs to read counts for nothing in scores.
    async fn told(&self, identity: &Identity, rows: Vec<ContactRow>) -> Result<Vec<Lead>, ApiError> {
        let is_scored = |row: &ContactRow| row.contact.kind == ContactKind::Lead;
        let now = self.now_unix_ms();
        let (since, each) = Score::looks_at(now);
        let ids: Vec<Uuid> = rows.iter().filter(|row| is_scored(row)).map(|row| row.id).collect();
        let mut heard = self.store().recent_communications(&ids, since, each).await?;
        let companies: Vec<Uuid> = rows.iter().filter_map(|row| row.contact.company).collect();
        let companies = self.store().company_names(&companies).await?;
        let told = rows.into_iter().map(|row| {
            let heard = discreet(identity, heard.remove(&row.id).unwrap_or_default());
            let heard = heard.iter().map(|CommunicationRow { id, at_unix_ms, communication, .. }| Heard {
                id: *id,
                at_unix_ms: *at_unix_ms,
                communication,
            });
            let heard: Vec<Heard<'_>> = heard.collect();
            let score = is_scored(&row).then(|| Score::of(&row.contact, row.created_at_unix_ms, &heard, now));
            let company = row.contact.company.and_then(|id| companies.get(&id).cloned());
            Lead::of(row, company, score)
        });
        Ok(told.collect())
    }

    pub(super) async fn told_one(&self, identity: &Identity, row: ContactRow) -> Result<Lead, ApiError> {
        let told = self.told(identity, vec![row]).await?.pop();
        told.ok_or_else(|| ApiError::not_found("contact"))
    }

    /// Who takes part in a call, or did.
    pub(super) async fn participants(&self, id: CallId) -> Result<Vec<Participant>, ApiError> {
        let unknown = || ApiError::not_found("call");
        if self.hub().get(id).is_none() {
            return Ok(self.store().call(id).await?.ok_or_else(unknown)?.participants);
        }
        let now = self.hub().follow(id, None).await?.next_now().await?;
        let Some(Update::Snapshot(state)) = now else { return Err(unknown()) };
        Ok(state.started.as_ref().map(|started| started.participants.clone()).unwrap_or_default())
    }

    pub(super) fn note_of_contacts(&self, identity: &Identity, detail: &str) {
        self.shared.parts.desk.audit().note(identity.name(), AUDITED, None, detail);
    }

    /// Somebody sees a contact, or their timeline, which is noted once a day.
    pub(super) fn saw(&self, identity: &Identity, contact: Uuid) {
        let day = self.now_unix_ms() / SEEN_EVERY_MS;
        if self.shared.seen.is_new(identity.name(), (contact, day)) {
            self.shared.parts.desk.audit().note(identity.name(), SEEN, None, &contact.to_string());
        }
    }
}

/// Whether somebody may read what was drawn from a call, where it was drawn from one.
pub(super) fn may_read(identity: &Identity, call: Option<CallId>) -> bool {
    call.is_none_or(|call| authorize(identity, Action::ReadCall(call)).is_ok())
}

/// Entries of a timeline as somebody may read them: of a call that is not theirs to read, that there was one.
pub(super) fn discreet(identity: &Identity, mut rows: Vec<CommunicationRow>) -> Vec<CommunicationRow> {
    for row in rows.iter_mut().filter(|row| !may_read(identity, row.call)) {
        row.communication.content.clear();
        row.communication.tags.clear();
        row.communication.metadata.clear();
    }
    rows
}

/// Contacts
///
/// Keys need `crm:read` or `crm:write`.
#[utoipa::path(get, path = "/api/leads", tag = "Contacts", params(LeadParams), responses(
    (status = 200, description = "A page", body = LeadList),
    (status = 400, description = "A parameter is none", body = ErrorBody),
    (status = 401, description = "Not signed in", body = ErrorBody),
))]
pub(super) async fn list(
    State(app): State<App>,
    identity: Identity,
    Query(params): Query<LeadParams>,
) -> Result<axum::Json<LeadList>, ApiError> {
    authorize(&identity, Action::ReadContacts)?;
    let query = within(params.q)?;
    let number = params.phone.as_deref().map(|text| Phone::of_address(text, app.settings().crm.country));
    if number == Some(None) {
        // What is no number is nobody's.
        return Ok(axum::Json(LeadList { leads: Vec::new(), next: None }));
    }
    let limit = page_of(params.limit);
    let filter = ContactFilter {
        kind: params.kind,
        stage: params.stage,
        number: number.flatten(),
        company: params.company_id,
        terms: terms(&query),
        before: params.before,
        limit,
    };
    let rows = app.store().contacts(&filter).await?;
    let last = rows.last().map(|row| Place { at_unix_ms: row.active_at_unix_ms, id: row.id });
    let next = next_after(rows.len(), limit, last);
    Ok(axum::Json(LeadList { leads: app.told(&identity, rows).await?, next }))
}

/// Add a contact
///
/// Calls that were with their numbers before are on their timeline soon after.
#[utoipa::path(post, path = "/api/leads", tag = "Contacts", request_body = NewLead, responses(
    (status = 201, description = "Added", body = Lead),
    (status = 400, description = "Something cannot be kept", body = ErrorBody),
    (status = 403, description = "Not yours to do", body = ErrorBody),
    (status = 409, description = "Another contact has the number (`number_taken`)", body = ErrorBody),
))]
pub(super) async fn add(
    State(app): State<App>,
    identity: Identity,
    Json(new): Json<NewLead>,
) -> Result<(StatusCode, axum::Json<Lead>), ApiError> {
    authorize(&identity, Action::EditContacts)?;
    let numbers = app.numbers(&new.phones)?;
    let owner = user(new.owner.as_deref())?;
    let NewLead { kind, stage, name, email, company_id: company, notes, fields, .. } = new;
    let contact = Contact { kind, stage, name, numbers, email, company, owner, notes, fields }.checked()?;
    let row = app.store().add_contact(&contact, app.now_unix_ms()).await?;
    app.note_of_contacts(&identity, &format!("added {}", row.id));
    Ok((StatusCode::CREATED, axum::Json(app.told_one(&identity, row).await?)))
}

/// One contact
#[utoipa::path(get, path = "/api/leads/{id}", tag = "Contacts", params(("id" = String, Path)), responses(
    (status = 200, description = "As they are now", body = Lead),
    (status = 404, description = "No such contact", body = ErrorBody),
))]
pub(super) async fn one(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<Lead>, ApiError> {
    authorize(&identity, Action::ReadContacts)?;
    let row = app.lead(id).await?;
    app.saw(&identity, id);
    Ok(axum::Json(app.told_one(&identity, row).await?))
}

/// Change a contact
///
/// The whole of it, in the place of the version that was seen.
#[utoipa::path(put, path = "/api/leads/{id}", tag = "Contacts", request_body = ChangedLead,
    params(("id" = String, Path)), responses(
    (status = 200, description = "Changed", body = Lead),
    (status = 400, description = "Something cannot be kept", body = ErrorBody),
    (status = 403, description = "Not yours to do", body = ErrorBody),
    (status = 404, description = "No such contact", body = ErrorBody),
    (status = 409, description = "Somebody else has changed them (`changed_meanwhile`), or another contact has the \
        number (`number_taken`)", body = ErrorBody),
))]
pub(super) async fn change(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
    Json(now): Json<ChangedLead>,
) -> Result<axum::Json<Lead>, ApiError> {
    authorize(&identity, Action::EditContacts)?;
    let numbers = app.numbers(&now.phones)?;
    let owner = user(now.owner.as_deref())?;
    let ChangedLead { version, kind, stage, name, email, company_id: company, notes, fields, .. } = now;
    let contact = Contact { kind, stage, name, numbers, email, company, owner, notes, fields }.checked()?;
    let before = app.lead(id).await?;
    let changed = app.store().change_contact(id, version, &contact, app.now_unix_ms()).await?;
    let changed = changed.ok_or_else(|| ApiError::not_found("contact"))?;
    let what = differences(&before.contact, &changed.contact).join(", ");
    app.note_of_contacts(&identity, &format!("changed {id}: {what}"));
    Ok(axum::Json(app.told_one(&identity, changed).await?))
}

/// What of a contact is another; for the audit, which does not have what it was and is.
fn differences(before: &Contact, after: &Contact) -> Vec<&'static str> {
    let differs = [
        ("kind", before.kind != after.kind),
        ("stage", before.stage != after.stage),
        ("name", before.name != after.name),
        ("phones", before.numbers != after.numbers),
        ("email", before.email != after.email),
        ("company", before.company != after.company),
        ("owner", before.owner != after.owner),
        ("notes", before.notes != after.notes),
        ("fields", before.fields != after.fields),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

/// Of which version.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SeenParams {
    /// The version that was seen; whichever there is when absent.
    pub(super) version: Option<u64>,
}

/// Remove a contact
///
/// With their timeline, tasks, tickets and payments. What was said in their calls stays for as long as these are kept.
#[utoipa::path(delete, path = "/api/leads/{id}", tag = "Contacts", params(("id" = String, Path), SeenParams), responses(
    (status = 204, description = "Removed"),
    (status = 403, description = "For supervisors", body = ErrorBody),
    (status = 404, description = "No such contact", body = ErrorBody),
    (status = 409, description = "Somebody else has changed them (`changed_meanwhile`)", body = ErrorBody),
))]
pub(super) async fn remove(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
    Query(params): Query<SeenParams>,
) -> Result<StatusCode, ApiError> {
    authorize(&identity, Action::RemoveContacts)?;
    if !app.store().remove_contact(id, params.version, app.now_unix_ms()).await? {
        return Err(ApiError::not_found("contact"));
    }
    app.note_of_contacts(&identity, &format!("removed {id}"));
    Ok(StatusCode::NO_CONTENT)
}

/// Which contact is the same person.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SamePerson {
    /// The version that was seen.
    version: u64,
    /// The other contact, which is no more afterwards.
    #[schema(value_type = String)]
    other: Uuid,
    /// The version of it that was seen.
    other_version: u64,
}

/// Make one contact of two
///
/// The contact has the numbers, timelines, tasks, tickets and payments of both. Of the rest it keeps its own, and takes over what it has not; the
/// other's name, address and notes are added to its notes where they say something else. The other is removed.
#[utoipa::path(post, path = "/api/leads/{id}/merge", tag = "Contacts", request_body = SamePerson,
    params(("id" = String, Path)), responses(
    (status = 200, description = "What is kept", body = Lead),
    (status = 400, description = "It is the same contact, or together they are more than may be kept", body = ErrorBody),
    (status = 403, description = "For supervisors", body = ErrorBody),
    (status = 404, description = "No such contact", body = ErrorBody),
    (status = 409, description = "Somebody else has changed one of them (`changed_meanwhile`)", body = ErrorBody),
))]
pub(super) async fn merge(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
    Json(same): Json<SamePerson>,
) -> Result<axum::Json<Lead>, ApiError> {
    authorize(&identity, Action::RemoveContacts)?;
    let SamePerson { version, other, other_version } = same;
    if id == other {
        return Err(ApiError::invalid("`other` is another contact"));
    }
    // What is read here is what is merged: the versions are compared when it is written.
    let contact = app.lead(id).await?.contact.merged(&app.lead(other).await?.contact)?;
    let merged =
        app.store().merge_contacts((id, version), (other, other_version), &contact, app.now_unix_ms());
    let merged = merged.await?.ok_or_else(|| ApiError::not_found("contact"))?;
    app.note_of_contacts(&identity, &format!("merged {other} into {id}"));
    Ok(axum::Json(app.told_one(&identity, merged).await?))
}

/// An entry of a contact's timeline.
#[derive(Serialize, ToSchema)]
pub(crate) struct TimelineEntry {
    #[schema(value_type = String)]
    id: Uuid,
    /// `call_summary`, `call`, `voice_note`, `note`, `email`, `sms`, `telegram` or `meeting`.
    #[schema(value_type = String)]
    r#type: CommunicationKind,
    /// `ai` where a program has drawn it from something, `person` where somebody says so.
    #[schema(value_type = String)]
    source: Source,
    at_unix_ms: u64,
    /// Who has written it down; absent where it was drawn from a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    /// The call it was drawn from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    call_id: Option<CallId>,
    content: String,
    tags: Vec<String>,
    /// What the program has written beside it. Of a call: `intent`, `urgency`, `entities`, `lead_stage_suggestion`,
    /// `confidence`. Empty, as are `content` and `tags`, where it was drawn from a call that is not whoever asks' to read.
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
}

impl From<CommunicationRow> for TimelineEntry {
    fn from(row: CommunicationRow) -> Self {
        let CommunicationRow { id, call, at_unix_ms, by, communication, .. } = row;
        let Communication { kind, source, content, tags, metadata } = communication;
        Self { id, r#type: kind, source, at_unix_ms, by, call_id: call, content, tags, metadata }
    }
}

/// A page of a timeline.
#[derive(Serialize, ToSchema)]
pub(super) struct Timeline {
    /// Newest first.
    communication: Vec<TimelineEntry>,
    /// What to ask for the next page with, as `before`; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Which page of a list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageParams {
    /// Only what is after this: `next` of the page before.
    #[param(value_type = Option<String>)]
    pub(super) before: Option<Place>,
    /// How many, 50 when absent and 200 at most.
    pub(super) limit: Option<u32>,
}

/// An entry to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewCommunication {
    /// `call_summary`, `call`, `voice_note`, `note`, `email`, `sms`, `telegram` or `meeting`.
    #[schema(value_type = String)]
    r#type: CommunicationKind,
    /// `ai` or `person`, for keys; `ai` when absent. What somebody says who is signed in is a person's.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    source: Option<Source>,
    /// When it was; now when absent.
    #[serde(default)]
    at_unix_ms: Option<u64>,
    #[serde(default)]
    content: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
}

/// A contact's timeline
///
/// What was said to them and by them, whichever way, newest first. A call that came to something is there some moments after its
/// end. Keys need `crm:read` or `crm:write`, and `calls:read` for what was drawn from calls.
#[utoipa::path(get, path = "/api/leads/{id}/communication", tag = "Contacts",
    params(("id" = String, Path), PageParams), responses(
    (status = 200, description = "A page", body = Timeline),
    (status = 404, description = "No such contact", body = ErrorBody),
))]
pub(super) async fn timeline(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
    Query(params): Query<PageParams>,
) -> Result<axum::Json<Timeline>, ApiError> {
    authorize(&identity, Action::ReadContacts)?;
    app.lead(id).await?;
    app.saw(&identity, id);
    let limit = page_of(params.limit);
    let rows = discreet(&identity, app.store().communications(id, params.before, limit).await?);
    let last = rows.last().map(|row| Place { at_unix_ms: row.at_unix_ms, id: row.id });
    let next = next_after(rows.len(), limit, last);
    let communication = rows.into_iter().map(TimelineEntry::from).collect();
    Ok(axum::Json(Timeline { communication, next }))
}

/// Add to a contact's timeline
///
/// Keys need `crm:propose` or `crm:write`; what one with the former adds is an `ai`'s.
#[utoipa::path(post, path = "/api/leads/{id}/communication", tag = "Contacts", request_body = NewCommunication,
    params(("id" = String, Path)), responses(
    (status = 201, description = "Added", body = TimelineEntry),
    (status = 400, description = "Something cannot be kept", body = ErrorBody),
    (status = 403, description = "Not yours to do", body = ErrorBody),
    (status = 404, description = "No such contact", body = ErrorBody),
))]
pub(super) async fn note(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
    Json(new): Json<NewCommunication>,
) -> Result<(StatusCode, axum::Json<TimelineEntry>), ApiError> {
    authorize(&identity, Action::AddToTimeline)?;
    let source = match &identity {
        Identity::User { .. } => Source::Person,
        Identity::Key { .. } if identity.only_proposes() => Source::Ai,
        Identity::Key { .. } => new.source.unwrap_or(Source::Ai),
    };
    let now = app.now_unix_ms();
    let at_unix_ms = new.at_unix_ms.map_or(Ok(now), moment)?;
    let NewCommunication { r#type: kind, content, tags, metadata, .. } = new;
    let communication = Communication { kind, source, content, tags, metadata }.checked()?;
    let added = app.store().add_communication(id, &communication, identity.name(), at_unix_ms).await?;
    let added = added.ok_or_else(|| ApiError::not_found("contact"))?;
    app.note_of_contacts(&identity, &format!("noted on {id}"));
    Ok((StatusCode::CREATED, axum::Json(added.into())))
}

/// Whom a call is with.
#[derive(Serialize, ToSchema)]
pub(super) struct CallContact {
    /// Their number, in one spelling; absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    phone: Option<Phone>,
    /// The contact whose number it is; absent where nobody's is.
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<Lead>,
    /// The company whose number it is; absent where it is a contact's, or no company's.
    #[serde(skip_serializing_if = "Option::is_none")]
    company: Option<CompanyEntry>,
}

/// Whom a call is with
///
/// By the customer's number, while the call goes on and afterwards.
#[utoipa::path(get, path = "/api/calls/{id}/contact", tag = "Contacts", params(("id" = String, Path)), responses(
    (status = 200, description = "As far as it is known", body = CallContact),
    (status = 403, description = "Not yours to do", body = ErrorBody),
    (status = 404, description = "No such call", body = ErrorBody),
))]
pub(super) async fn of_call(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<CallId>,
) -> Result<axum::Json<CallContact>, ApiError> {
    app.allows(&identity, Action::ReadCall(id)).await?;
    authorize(&identity, Action::ReadContacts)?;
    let participants = app.participants(id).await?;
    let phone = app.settings().crm.customer(&participants);
    let contact = match &phone {
        Some(number) => {
            let filter = ContactFilter { number: Some(number.clone()), limit: 1, ..ContactFilter::default() };
            let rows = app.store().contacts(&filter).await?;
            app.told(&identity, rows).await?.pop()
        }
        None => None,
    };
    let company = match &phone {
        Some(number) if contact.is_none() => {
            let filter = CompanyFilter { number: Some(number.clone()), limit: 1, ..CompanyFilter::default() };
            app.store().companies(&filter).await?.pop()
        }
        _ => None,
    };
    Ok(axum::Json(CallContact { phone, contact, company: company.map(CompanyEntry::from) }))
}
