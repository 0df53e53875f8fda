//! What somebody should know who is about to talk with a contact.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sotto_call::CallId;
use sotto_crm::{
    Feeling, Heard, Known, Line, LineRule, Origin, PaymentState, Section, TaskKind, TaskState, TicketState,
    Undone, kept_preparation, prepared,
};
use sotto_store::{CommunicationRow, ContactRow, PaymentFilter, PreparationRow, TaskFilter, TicketFilter};
use utoipa::ToSchema;
use uuid::Uuid;

use super::App;
use super::auth::{Action, Identity, authorize};
use super::contacts::{discreet, may_read};
use super::error::{ApiError, ErrorBody, Json, Path};

/// Entries of the timeline that are looked at, and tasks, tickets and payments of each state: what matters most of these may be
/// the oldest, which lists have last.
const NEWEST: u32 = 3;
const MOST: u32 = 200;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/leads/{id}/preparation", get(show).put(keep))
}

/// What somebody should know who is about to talk with a contact.
#[derive(Serialize, ToSchema)]
pub(super) struct Preparation {
    /// By stated rules, from what is kept and whoever asks may see.
    lines: Vec<PreparedLine>,
    /// What somebody has written down besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<KeptPreparation>,
    /// Whoever writes something down says which one they have seen; 0 where there is nothing.
    version: u64,
}

/// A line of a preparation.
#[derive(Serialize, ToSchema)]
struct PreparedLine {
    /// `who`, `happened`, `promised`, `open`; `opening`, `goals` and `avoid` are suggested.
    #[schema(value_type = String)]
    section: Section,
    /// Who: `stage` (its name is the text), `company`, `notes`. What happened: `called`, `said`. What was promised: `promised`,
    /// `promised_late`. What is open: `undone`, `ticket`, `ticket_urgent`, `owes`, `owes_late`. How to begin: `begin_promise`,
    /// `begin_trouble`, `begin_ticket`, `begin_last`, `begin_new`. What to reach: `settle_promise`, `settle_ticket`,
    /// `settle_payment`, `find_needs`, `next_step`, `ask_well`, `ask_why`. What to leave: `no_channel` (its name is the text),
    /// `no_selling`, `no_pressure`.
    #[schema(value_type = String)]
    rule: LineRule,
    /// What is written or was said there.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// When that was, or is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    at_unix_ms: Option<u64>,
    /// A decimal, and its currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<&'static str>,
    /// Of a task: `callback`, `message`, `meeting`, `payment` or `task`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    task: Option<TaskKind>,
    /// Of a call, for those who see moods: `positive`, `neutral` or `negative`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    feeling: Option<Feeling>,
    /// What it comes from.
    from: LineOrigin,
}

/// What a line comes from.
#[derive(Serialize, ToSchema)]
struct LineOrigin {
    /// `contact`, `entry` of the timeline, `task`, `ticket` or `payment`.
    what: &'static str,
    #[schema(value_type = String)]
    id: Uuid,
    /// The call that an entry or a task was drawn from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    call_id: Option<CallId>,
}

/// What somebody has written down.
#[derive(Serialize, ToSchema)]
struct KeptPreparation {
    text: String,
    by: String,
    at_unix_ms: u64,
}

/// What is written down from now on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "version": 0, "text": "Ask whether the evening course would do." }))]
pub(super) struct NewPreparation {
    /// The version that was seen; 0 where there was nothing.
    version: u64,
    /// Nothing takes it away.
    text: String,
}

impl PreparedLine {
    fn of(line: Line, contact: Uuid, calls: &BTreeMap<Uuid, CallId>) -> Self {
        let (what, id) = match line.origin {
            Origin::Contact => ("contact", contact),
            Origin::Entry(id) => ("entry", id),
            Origin::Task(id) => ("task", id),
            Origin::Ticket(id) => ("ticket", id),
            Origin::Payment(id) => ("payment", id),
        };
        Self {
            section: line.rule.section(),
            rule: line.rule,
            text: line.text,
            at_unix_ms: line.at_unix_ms,
            amount: line.amount.map(|amount| amount.to_string()),
            currency: line.amount.map(|amount| amount.currency().code()),
            task: line.task,
            feeling: line.feeling,
            from: LineOrigin { what, id, call_id: calls.get(&id).copied() },
        }
    }
}

impl App {
    /// What whoever asks should know of a contact, as far as they may see it.
    async fn prepared(&self, identity: &Identity, row: &ContactRow) -> Result<Vec<PreparedLine>, ApiError> {
        let store = self.store();
        let said = discreet(identity, store.communications(row.id, None, NEWEST).await?);
        let feelings = self.feelings(identity, &said).await?;
        let (mut tasks, mut tickets) = (Vec::new(), Vec::new());
        for state in [TaskState::Proposed, TaskState::Open] {
            let (state, contact) = (Some(state), Some(row.id));
            tasks.extend(
                store.tasks(&TaskFilter { state, contact, limit: MOST, ..Default::default() }).await?,
            );
        }
        tasks.sort_by_key(|task| task.place().due);
        for state in [TicketState::Open, TicketState::Waiting] {
            let (state, contact) = (Some(state), Some(row.id));
            let filter = TicketFilter { state, contact, limit: MOST, ..Default::default() };
            tickets.extend(store.tickets(&filter).await?);
        }
        let (state, contact) = (Some(PaymentState::Due), Some(row.id));
        let filter = PaymentFilter { state, contact, limit: MOST, ..Default::default() };
        let payments = store.payments(&filter).await?;
        let opt_outs = store.opt_outs(row.id).await?.map(|out| out.channels).unwrap_or_default();
        let company = match row.contact.company {
            Some(id) => store.company(id).await?.map(|row| row.company.name),
            None => None,
        };
        let heard: Vec<Heard<'_>> = said
            .iter()
            .map(|CommunicationRow { id, at_unix_ms, communication, .. }| Heard {
                id: *id,
                at_unix_ms: *at_unix_ms,
                communication,
            })
            .collect();
        let undone: Vec<Undone<'_>> = tasks
            .iter()
            .map(|row| Undone {
                id: row.id,
                task: &row.task,
                was_promised: row.call.is_some(),
                quote: row.quote.as_deref().filter(|_| may_read(identity, row.call)),
            })
            .collect();
        let tickets: Vec<_> = tickets.iter().map(|row| (row.id, &row.ticket)).collect();
        let payments: Vec<_> = payments.iter().map(|row| (row.id, &row.payment)).collect();
        let lines = prepared(&Known {
            contact: &row.contact,
            company: company.as_deref(),
            heard: &heard,
            feelings: &feelings,
            undone: &undone,
            tickets: &tickets,
            payments: &payments,
            opt_outs: &opt_outs,
            now_unix_ms: self.now_unix_ms(),
        });
        let of_said = said.iter().filter_map(|row| Some((row.id, row.call?)));
        let calls = of_said.chain(tasks.iter().filter_map(|row| Some((row.id, row.call?)))).collect();
        Ok(lines.into_iter().map(|line| PreparedLine::of(line, row.id, &calls)).collect())
    }

    /// How the customer felt in the calls of these entries, for those who see that.
    async fn feelings(
        &self,
        identity: &Identity,
        said: &[CommunicationRow],
    ) -> Result<BTreeMap<Uuid, Feeling>, ApiError> {
        let mut feelings = BTreeMap::new();
        for (id, call) in said.iter().filter_map(|row| Some((row.id, row.call?))) {
            if !may_read(identity, Some(call)) {
                continue;
            }
            let insight = self.store().review(call).await?.and_then(|review| review.with_moods);
            let Some(insight) = insight.filter(|_| self.sees_moods(identity, call)) else { continue };
            let insight: Value = serde_json::from_str(&insight).unwrap_or_default();
            if let Ok(feeling) = Feeling::deserialize(&insight["sentiment"]) {
                feelings.insert(id, feeling);
            }
        }
        Ok(feelings)
    }

    async fn told_preparation(
        &self,
        identity: &Identity,
        row: &ContactRow,
        kept: Option<PreparationRow>,
    ) -> Result<axum::Json<Preparation>, ApiError> {
        let version = kept.as_ref().map_or(0, |kept| kept.version);
        let kept = kept.map(|PreparationRow { text, kept_by: by, kept_at_unix_ms: at_unix_ms, .. }| {
            KeptPreparation { text, by, at_unix_ms }
        });
        Ok(axum::Json(Preparation { lines: self.prepared(identity, row).await?, kept, version }))
    }
}

/// Prepare a talk with a contact
///
/// Who they are, what happened, what was promised and is open; how to begin, what to reach and what to leave. By stated rules from
/// what is kept, each line with what it comes from; of calls as far as whoever asks may read them, and of moods as far as they see
/// them. Keys need `crm:read` or `crm:write`, and `calls:read` for what was drawn from calls.
#[utoipa::path(get, path = "/api/leads/{id}/preparation", tag = "Contacts", params(("id" = String, Path)), responses(
    (status = 200, description = "As it is now", body = Preparation),
    (status = 404, description = "No such contact", body = ErrorBody),
))]
pub(super) async fn show(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<Preparation>, ApiError> {
    authorize(&identity, Action::ReadContacts)?;
    let row = app.lead(id).await?;
    app.saw(&identity, id);
    let kept = app.store().preparation(id).await?;
    app.told_preparation(&identity, &row, kept).await
}

/// Write something down for the next talk
///
/// In the place of what was seen. Keys need `crm:write`.
#[utoipa::path(put, path = "/api/leads/{id}/preparation", tag = "Contacts", request_body = NewPreparation,
    params(("id" = String, Path)), responses(
    (status = 200, description = "Kept", body = Preparation),
    (status = 400, description = "It is too long", body = ErrorBody),
    (status = 403, description = "Not yours to do", body = ErrorBody),
    (status = 404, description = "No such contact", body = ErrorBody),
    (status = 409, description = "Somebody else has changed it (`changed_meanwhile`)", body = ErrorBody),
))]
pub(super) async fn keep(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
    Json(new): Json<NewPreparation>,
) -> Result<axum::Json<Preparation>, ApiError> {
    authorize(&identity, Action::EditContacts)?;
    let text = kept_preparation(&new.text)?;
    let row = app.lead(id).await?;
    let (by, now) = (identity.name(), app.now_unix_ms());
    let kept = app.store().keep_preparation(id, new.version, &text, by, now).await?;
    app.note_of_contacts(&identity, &format!("prepared a talk with {id}"));
    app.told_preparation(&identity, &row, kept).await
}
