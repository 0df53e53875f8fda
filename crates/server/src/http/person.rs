//! All that is kept of one person, for whoever asks on their behalf.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::SinkExt as _;
use futures::channel::mpsc;
use serde::Serialize;
use serde_json::{Value, json};
use sotto_crm::Place;
use sotto_store::{ContactRow, FollowUpFilter, PaymentFilter, StoreError, TaskFilter, TaskRow, TicketFilter};
use uuid::Uuid;

use super::App;
use super::auth::{Action, Identity, authorize};
use super::contacts::{TimelineEntry, discreet, may_read};
use super::error::{ApiError, ErrorBody, Path};
use super::follow_ups::FollowUpEntry;
use super::imports::ImportedRecording;
use super::payments::PaymentEntry;
use super::tasks::TaskEntry;
use super::tickets::TicketEntry;
use crate::person::{self, Erased};

/// Entries that are read together.
const PAGE: u32 = 200;
/// Lines that wait for whoever reads them.
const WAITING: usize = 4;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/leads/{id}/export", get(export)).route("/leads/{id}/erase", post(erase))
}

/// All that is kept of a contact
///
/// One JSON object a line (NDJSON): `lead`, then every `communication`, every `task`, every `ticket`, every `payment`, every message to them (`follow_up`), by what
/// they do not want to be written to (`opt_outs`), what is written down for the next talk (`preparation`), every `call` that is over, with its final words and what it came to, and every
/// `recording` made elsewhere that is no call yet. Recordings are got one by one. What somebody may not read is not in it. For
/// supervisors; keys need `crm:read` or `crm:write`, and `calls:read` for what was said in calls.
#[utoipa::path(get, path = "/api/leads/{id}/export", tag = "Contacts", params(("id" = String, Path)), responses(
    (status = 200, description = "All of it", body = String, content_type = "application/x-ndjson"),
    (status = 403, description = "For supervisors", body = ErrorBody),
    (status = 404, description = "No such contact", body = ErrorBody),
))]
pub(super) async fn export(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
) -> Result<Response, ApiError> {
    authorize(&identity, Action::ExportContacts)?;
    let contact = app.lead(id).await?;
    let lead = app.told_one(&identity, contact.clone()).await?;
    app.note_of_contacts(&identity, &format!("exported {id}"));
    let (mut tell, told) = mpsc::channel(WAITING);
    let telling = app.clone();
    app.shared.tasks.spawn(async move {
        let mut lines = Lines(&mut tell);
        lines.add("lead", &lead).await;
        let told = telling.tell_all(&identity, &contact, &mut lines).await;
        if let Err(error) = told {
            tracing::warn!(%error, "what is kept of a contact cannot be read");
            // It cuts the answer off, which a client can tell from its end.
            let _ = tell.send(Err(error)).await;
        }
    });
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(([kind], Body::from_stream(told)).into_response())
}

/// Lines for a client, who may be gone.
struct Lines<'a>(&'a mut mpsc::Sender<Result<Bytes, StoreError>>);

impl Lines<'_> {
    async fn add(&mut self, name: &str, what: &impl Serialize) {
        let line = format!("{}\n", json!({ name: what }));
        // Whoever is gone needs no more of it.
        let _ = self.0.send(Ok(line.into())).await;
    }

    fn is_wanted(&self) -> bool {
        !self.0.is_closed()
    }
}

impl App {
    async fn tell_all(
        &self,
        identity: &Identity,
        contact: &ContactRow,
        lines: &mut Lines<'_>,
    ) -> Result<(), StoreError> {
        let (store, mut before) = (self.store(), None);
        while lines.is_wanted() {
            let rows = store.communications(contact.id, before, PAGE).await?;
            let Some(last) = rows.last() else { break };
            before = Some(Place { at_unix_ms: last.at_unix_ms, id: last.id });
            for row in discreet(identity, rows) {
                lines.add("communication", &TimelineEntry::from(row)).await;
            }
        }
        let mut filter = TaskFilter { contact: Some(contact.id), limit: PAGE, ..TaskFilter::default() };
        while lines.is_wanted() {
            let rows = store.tasks(&filter).await?;
            if rows.is_empty() {
                break;
            }
            filter.after = rows.last().map(TaskRow::place);
            for row in rows {
                lines.add("task", &TaskEntry::told_to(identity, row)).await;
            }
        }
        let mut filter = TicketFilter { contact: Some(contact.id), limit: PAGE, ..TicketFilter::default() };
        while lines.is_wanted() {
            let rows = store.tickets(&filter).await?;
            let Some(last) = rows.last() else { break };
            filter.before = Some(last.place());
            for row in rows {
                lines.add("ticket", &TicketEntry::from(row)).await;
            }
        }
        let mut filter = PaymentFilter { contact: Some(contact.id), limit: PAGE, ..PaymentFilter::default() };
        while lines.is_wanted() {
            let rows = store.payments(&filter).await?;
            let Some(last) = rows.last() else { break };
            filter.before = Some(last.place());
            for row in rows {
                lines.add("payment", &PaymentEntry::from(row)).await;
            }
        }
        let mut filter =
            FollowUpFilter { contact: Some(contact.id), limit: PAGE, ..FollowUpFilter::default() };
        while lines.is_wanted() {
            let rows = store.follow_ups(&filter).await?;
            let Some(last) = rows.last() else { break };
            filter.before = Some(last.place());
            for row in rows {
                lines.add("follow_up", &FollowUpEntry::from(row)).await;
            }
        }
        let out = store.opt_outs(contact.id).await?.map(|out| out.channels).unwrap_or_default();
        lines.add("opt_outs", &out).await;
        if let Some(kept) = store.preparation(contact.id).await? {
            lines.add("preparation", &json!({ "text": kept.text, "by": kept.kept_by })).await;
        }
        let calls = person::calls(store, &self.settings().crm, contact).await?;
        for call in calls.into_iter().filter(|call| may_read(identity, Some(call.id))) {
            if !lines.is_wanted() {
                break;
            }
            let state = store.state(call.id).await?;
            let words: Vec<Value> = state
                .finals()
                .map(|said| json!({ "party": said.party, "start_ms": said.start_ms, "text": said.text }))
                .collect();
            let insight = store.review(call.id).await?.map(|review| match review.with_moods {
                Some(with_moods) if self.sees_moods(identity, call.id) => with_moods,
                _ => review.insight,
            });
            let insight = insight.and_then(|insight| serde_json::from_str::<Value>(&insight).ok());
            let told = json!({
                "id": call.id, "started_at_unix_ms": call.started_at_unix_ms, "duration_ms": call.duration_ms,
                "participants": call.participants, "outcome": call.outcome, "words": words, "insight": insight,
            });
            lines.add("call", &told).await;
        }
        for row in self.shared.parts.imports.of(&contact.contact.numbers).await? {
            if may_read(identity, Some(row.import.call)) {
                lines.add("recording", &ImportedRecording::from(row)).await;
            }
        }
        Ok(())
    }
}

/// Forget a person
///
/// Removes the contact with timeline, tasks, tickets, payments and messages, and all their calls, answered or not, with words and recordings, also
/// those made elsewhere that are no calls yet; the audit keeps that it was done, by whom, and the contact's id. For admins. Where a
/// recording cannot be removed, its call and the contact stay (`left`), and it can be done again.
#[utoipa::path(post, path = "/api/leads/{id}/erase", tag = "Contacts", params(("id" = String, Path)), responses(
    (status = 200, description = "What went", body = Erased),
    (status = 403, description = "For admins", body = ErrorBody),
    (status = 404, description = "No such contact", body = ErrorBody),
    (status = 409, description = "A call with them goes on (`on_a_call`)", body = ErrorBody),
))]
pub(super) async fn erase(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<Erased>, ApiError> {
    authorize(&identity, Action::ErasePeople)?;
    let contact = app.lead(id).await?;
    for call in app.hub().summaries() {
        let participants = app.participants(call.id).await?;
        if person::is_with(&app.settings().crm, &participants, &contact.contact.numbers) {
            return Err(ApiError::new(StatusCode::CONFLICT, "on_a_call", "a call with them goes on"));
        }
    }
    // It is done to the end, also when nobody waits for it any more.
    let erasing = app.clone();
    let erased = app.shared.tasks.spawn(async move {
        let settings = erasing.settings();
        let (imports, data) = (&erasing.shared.parts.imports, &settings.data);
        let erased = person::erase(erasing.store(), imports, data, &settings.crm, &contact).await?;
        let Erased { calls, left, missed, recordings } = erased;
        let detail =
            format!("erased {id}: {calls} calls, {missed} missed, {recordings} recordings, {left} left");
        erasing.note_of_contacts(&identity, &detail);
        Ok::<_, StoreError>(erased)
    });
    let erased = erased.await.map_err(|error| {
        tracing::error!(%error, "a person cannot be forgotten");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong")
    })?;
    Ok(axum::Json(erased?))
}
