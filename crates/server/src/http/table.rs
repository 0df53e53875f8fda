//! Contacts as a table for spreadsheets: all of them out, many in at once. And what tables of anything have in common.

use std::collections::BTreeSet;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use sotto_crm::{Contact, Phone, Problem, Table, contacts_of};
use sotto_store::{Store, StoreError};
use utoipa::ToSchema;

use super::App;
use super::auth::{Action, Identity, authorize};
use super::contacts::user;
use super::error::{ApiError, ErrorBody};

/// Bytes of a table that is read.
const LARGEST_TABLE: usize = 4 << 20;
/// Rows that are written together.
pub(super) const PAGE: u32 = 500;
/// Problems that are told of one at most.
pub(super) const MOST_PROBLEMS: usize = 100;
/// Fields of the organisation's own that get a column.
const MOST_FIELDS: usize = 200;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/leads/export", get(export)).route("/leads/import", post(import))
}

/// All contacts as a table
///
/// CSV in UTF-8, in the order in which they were added: `name`, `kind`, `stage`, `phones`, `email`, `owner`, `notes`, and a column
/// for each field of the organisation's own, 200 at most. What a spreadsheet would take for a formula has an apostrophe before it. For
/// supervisors; keys need `crm:read` or `crm:write`.
#[utoipa::path(get, path = "/api/leads/export", tag = "Contacts", responses(
    (status = 200, description = "The table", body = String, content_type = "text/csv"),
    (status = 403, description = "For supervisors", body = ErrorBody),
))]
pub(super) async fn export(State(app): State<App>, identity: Identity) -> Result<Response, ApiError> {
    authorize(&identity, Action::ExportContacts)?;
    let table = Table::new(fields(app.store()).await?);
    app.note_of_contacts(&identity, "exported all");
    let first = table.head();
    let pages = futures::stream::try_unfold(Some((first, None)), move |page| {
        let (store, table) = (app.store().clone(), table.clone());
        async move {
            let Some((mut text, after)) = page else { return Ok(None) };
            let rows = store.all_contacts(after, PAGE).await?;
            rows.iter().for_each(|row| text.push_str(&table.line(&row.contact)));
            let next = rows.last().map(|row| (String::new(), Some(row.id)));
            Ok::<_, StoreError>(Some((text, next)))
        }
    });
    Ok(file("attachment; filename=\"contacts.csv\"", pages))
}

/// The names of the fields that contacts have, in order.
async fn fields(store: &Store) -> Result<Vec<String>, ApiError> {
    let (mut fields, mut after) = (BTreeSet::new(), None);
    loop {
        let rows = store.all_contacts(after, PAGE).await?;
        let Some(last) = rows.last() else { break };
        after = Some(last.id);
        fields.extend(rows.into_iter().flat_map(|row| row.contact.fields.into_keys()));
    }
    Ok(fields.into_iter().take(MOST_FIELDS).collect())
}

/// What became of a table.
#[derive(Serialize, ToSchema)]
pub(super) struct Imported {
    /// Rows that were added: all of the table, or none where there is a problem.
    pub(super) added: usize,
    /// What has to be put right first, at most a hundred of it.
    pub(super) problems: Vec<LineProblem>,
}

impl Imported {
    /// Nothing was added.
    pub(super) fn none(problems: Vec<LineProblem>) -> axum::Json<Self> {
        axum::Json(Self { added: 0, problems })
    }

    /// All was.
    pub(super) fn all(added: usize) -> axum::Json<Self> {
        axum::Json(Self { added, problems: Vec::new() })
    }
}

/// Reads a table that is sent, beside those who answer: its rows, each with the line it begins in, or what has to be put right.
pub(super) async fn read<T: Send + 'static>(
    body: Body,
    rows: impl FnOnce(&Bytes) -> Result<Vec<(u64, T)>, Vec<Problem>> + Send + 'static,
) -> Result<Result<Vec<(u64, T)>, Vec<LineProblem>>, ApiError> {
    let table = to_bytes(body, LARGEST_TABLE).await.map_err(|_| {
        let message = format!("more than {} MiB, or cut short", LARGEST_TABLE >> 20);
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    })?;
    let read = tokio::task::spawn_blocking(move || rows(&table)).await.map_err(|error| {
        tracing::error!(%error, "a table cannot be read");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong")
    })?;
    let told = |problems: Vec<Problem>| {
        problems.iter().map(|Problem { line, why }| LineProblem::new(*line, why)).collect()
    };
    Ok(read.map_err(told))
}

/// Pages of a table as an answer that is a file of this name.
pub(super) fn file<P>(name: &'static str, pages: P) -> Response
where
    P: futures::TryStream<Ok = String, Error = StoreError> + Send + 'static,
{
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static(name)),
    ];
    // A failure on the way cuts the answer off, which a client can tell from its end.
    (headers, Body::from_stream(pages)).into_response()
}

/// A line of a table that cannot be read.
#[derive(Serialize, ToSchema)]
pub(super) struct LineProblem {
    /// Counted from 1.
    line: u64,
    /// Why not, for people.
    message: String,
}

impl LineProblem {
    pub(super) fn new(line: u64, why: &impl ToString) -> Self {
        Self { line, message: why.to_string() }
    }
}

/// Add the contacts of a table
///
/// CSV in UTF-8 as the table of all contacts is, with commas, semicolons or tabs between the cells. The first line names the columns,
/// of which only `name` has to be there; what is none of those is a field of the organisation's own. At most 5,000 contacts and 4
/// MiB. Either all of them are added, or it is said by line what has to be put right. For supervisors; keys need `crm:write`.
#[utoipa::path(post, path = "/api/leads/import", tag = "Contacts",
    request_body(content = String, content_type = "text/csv"), responses(
    (status = 200, description = "What became of it", body = Imported),
    (status = 403, description = "For supervisors", body = ErrorBody),
    (status = 409, description = "Another contact has got one of the numbers meanwhile (`number_taken`)", body = ErrorBody),
    (status = 413, description = "Too large", body = ErrorBody),
))]
pub(super) async fn import(
    State(app): State<App>,
    identity: Identity,
    body: Body,
) -> Result<axum::Json<Imported>, ApiError> {
    authorize(&identity, Action::ImportContacts)?;
    let country = app.settings().crm.country;
    let contacts = match read(body, move |table| contacts_of(table, country)).await? {
        Ok(contacts) => contacts,
        Err(problems) => return Ok(Imported::none(problems)),
    };
    let (contacts, problems) = checked(app.store(), contacts).await?;
    if !problems.is_empty() {
        return Ok(Imported::none(problems));
    }
    app.store().add_contacts(&contacts, app.now_unix_ms()).await?;
    app.note_of_contacts(&identity, &format!("imported {}", contacts.len()));
    Ok(Imported::all(contacts.len()))
}

/// The contacts of a table with their users in one spelling; and what of that is none, and whose numbers others have.
async fn checked(
    store: &Store,
    contacts: Vec<(u64, Contact)>,
) -> Result<(Vec<Contact>, Vec<LineProblem>), ApiError> {
    let numbers: Vec<Phone> = contacts.iter().flat_map(|(_, contact)| contact.numbers.clone()).collect();
    let taken = store.numbers_taken(&numbers).await?;
    let (mut kept, mut problems) = (Vec::with_capacity(contacts.len()), Vec::new());
    for (line, contact) in contacts {
        if let Some(number) = contact.numbers.iter().find(|number| taken.contains_key(number.as_str())) {
            problems.push(LineProblem::new(line, &StoreError::NumberTaken(number.to_string())));
        }
        match user(contact.owner.as_deref()) {
            Ok(owner) => kept.push(Contact { owner, ..contact }),
            Err(error) => problems.push(LineProblem { line, message: error.message().to_owned() }),
        }
    }
    problems.truncate(MOST_PROBLEMS);
    Ok((kept, problems))
}
