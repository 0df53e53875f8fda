//! What contacts owe, have paid or were paid back: one by one, and as a table.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use sotto_crm::{
    Amount, Payer, Payment, PaymentRules, PaymentState, Phone, Place, payment_line, payments_head,
    payments_of, terms,
};
use sotto_store::{PaymentFilter, PaymentRow, Store, StoreError};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::App;
use super::auth::{Action, Identity, authorize};
use super::contacts::{PageParams, moment, next_after, page_of, within};
use super::error::{ApiError, ErrorBody, Json, Path, Query};
use super::table::{Imported, LineProblem, MOST_PROBLEMS, PAGE, file, read};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/leads/{id}/payments", get(of_lead).post(add))
        .route("/payments", get(list))
        .route("/payments/export", get(export))
        .route("/payments/import", post(import))
        .route("/payments/{id}", get(one).put(change))
}

/// Something that a contact pays.
#[derive(Serialize, ToSchema)]
pub(crate) struct PaymentEntry {
    #[schema(value_type = String)]
    id: Uuid,
    /// The contact who pays it.
    #[schema(value_type = String)]
    lead_id: Uuid,
    /// What they are called.
    lead_name: String,
    /// `due`, `paid`, `refunded` or `cancelled`.
    #[schema(value_type = String)]
    state: PaymentState,
    /// A decimal: `1250.50`. Of rials without a point.
    amount: String,
    /// The same in minor units: cents, or whole rials.
    amount_minor: i64,
    /// ISO 4217: `EUR`, `IRR`.
    currency: &'static str,
    /// What it is for.
    about: String,
    /// What it is known by elsewhere: no two payments have the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at_unix_ms: Option<u64>,
    /// Where it was paid, also if they got it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    paid_at_unix_ms: Option<u64>,
    made_at_unix_ms: u64,
    made_by: String,
    changed_at_unix_ms: u64,
    /// Whoever changes it says which one they have seen.
    version: u64,
}

impl From<PaymentRow> for PaymentEntry {
    fn from(row: PaymentRow) -> Self {
        let Payment { state, amount, about, reference, due_at_unix_ms, paid_at_unix_ms } = row.payment;
        Self {
            id: row.id,
            lead_id: row.contact,
            lead_name: row.contact_name,
            state,
            amount: amount.to_string(),
            amount_minor: amount.minor(),
            currency: amount.currency().code(),
            about,
            reference,
            due_at_unix_ms,
            paid_at_unix_ms,
            made_at_unix_ms: row.made_at_unix_ms,
            made_by: row.made_by,
            changed_at_unix_ms: row.changed_at_unix_ms,
            version: row.version,
        }
    }
}

/// A page of payments.
#[derive(Serialize, ToSchema)]
pub(super) struct PaymentList {
    /// The latest first: by when they were paid, else are due, else were written down.
    payments: Vec<PaymentEntry>,
    /// What to ask for the next page with, as `before`; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Which payments to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PaymentParams {
    /// Words of what they are for, and of their references: all of them, in either spelling.
    q: Option<String>,
    /// Only these: `due`, `paid`, `refunded` or `cancelled`.
    #[param(value_type = Option<String>)]
    state: Option<PaymentState>,
    /// Only those after this: `next` of the page before.
    #[param(value_type = Option<String>)]
    before: Option<Place>,
    /// How many, 50 when absent and 200 at most.
    limit: Option<u32>,
}

/// A payment to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "amount": "250,000", "currency": "toman", "about": "Panel, one month", "reference": "INV-1042" }))]
pub(super) struct NewPayment {
    /// `due` when absent.
    #[serde(default = "due")]
    #[schema(value_type = Option<String>)]
    state: PaymentState,
    /// A decimal, in digits of either script, with thousands parted by commas or not: `1,250.50`.
    amount: String,
    /// ISO 4217: `EUR`, `IRR`; `toman` is ten rials, and kept as these.
    currency: String,
    #[serde(default)]
    about: String,
    #[serde(default)]
    reference: Option<String>,
    #[serde(default)]
    due_at_unix_ms: Option<u64>,
    /// Now when absent, where it was paid.
    #[serde(default)]
    paid_at_unix_ms: Option<u64>,
}

fn due() -> PaymentState {
    PaymentState::Due
}

/// What a payment is from now on: what is absent is no more.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "version": 1, "state": "paid", "amount": "2500000", "currency": "IRR", "about": "Panel, one month" }))]
pub(super) struct ChangedPayment {
    /// The version that was seen.
    version: u64,
    /// Only what was paid becomes `refunded`, and what was paid is not `cancelled`.
    #[schema(value_type = String)]
    state: PaymentState,
    amount: String,
    currency: String,
    #[serde(default)]
    about: String,
    #[serde(default)]
    reference: Option<String>,
    #[serde(default)]
    due_at_unix_ms: Option<u64>,
    /// When it was paid already is kept when absent, and otherwise it is now, where it was paid.
    #[serde(default)]
    paid_at_unix_ms: Option<u64>,
}

impl App {
    async fn told_payments(&self, filter: &PaymentFilter) -> Result<axum::Json<PaymentList>, ApiError> {
        let rows = self.store().payments(filter).await?;
        let next = next_after(rows.len(), filter.limit, rows.last().map(PaymentRow::place));
        Ok(axum::Json(PaymentList { payments: rows.into_iter().map(PaymentEntry::from).collect(), next }))
    }
}

/// A contact's payments
///
/// Keys need `crm:read` or `crm:write`.
#[utoipa::path(get, path = "/api/leads/{id}/payments", tag = "Contacts", params(("id" = String, Path), PageParams),
    responses(
    (status = 200, description = "A page", body = PaymentList),
    (status = 404, description = "No such contact", body = ErrorBody),
))]
pub(super) async fn of_lead(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
    Query(params): Query<PageParams>,
) -> Result<axum::Json<PaymentList>, ApiError> {
    authorize(&identity, Action::ReadContacts)?;
    app.lead(id).await?;
    let (before, limit) = (params.before, page_of(params.limit));
    app.told_payments(&PaymentFilter { contact: Some(id), before, limit, ..PaymentFilter::default() }).await
}

/// Add a payment
///
/// Keys need `crm:write`.
#[utoipa::path(post, path = "/api/leads/{id}/payments", tag = "Contacts", request_body = NewPayment,
    params(("id" = String, Path)), responses(
    (status = 201, description = "Added", body = PaymentEntry),
    (status = 400, description = "Something cannot be kept", body = ErrorBody),
    (status = 403, description = "Not yours to do", body = ErrorBody),
    (status = 404, description = "No such contact", body = ErrorBody),
    (status = 409, description = "Another payment has the reference (`reference_taken`)", body = ErrorBody),
))]
pub(super) async fn add(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
    Json(new): Json<NewPayment>,
) -> Result<(StatusCode, axum::Json<PaymentEntry>), ApiError> {
    authorize(&identity, Action::EditContacts)?;
    let now = app.now_unix_ms();
    let payment = Payment {
        state: new.state,
        amount: Amount::parse(&new.amount, &new.currency)?,
        about: new.about,
        reference: new.reference,
        due_at_unix_ms: new.due_at_unix_ms.map(moment).transpose()?,
        paid_at_unix_ms: Some(new.paid_at_unix_ms.map_or(Ok(now), moment)?),
    };
    let added = app.store().add_payment(id, &payment.checked()?, identity.name(), now).await?;
    let added = added.ok_or_else(|| ApiError::not_found("contact"))?;
    note(&app, &identity, &added);
    Ok((StatusCode::CREATED, axum::Json(added.into())))
}

/// Payments
///
/// Of all contacts. Keys need `crm:read` or `crm:write`.
#[utoipa::path(get, path = "/api/payments", tag = "Contacts", params(PaymentParams), responses(
    (status = 200, description = "A page", body = PaymentList),
    (status = 400, description = "A parameter is none", body = ErrorBody),
    (status = 401, description = "Not signed in", body = ErrorBody),
))]
pub(super) async fn list(
    State(app): State<App>,
    identity: Identity,
    Query(params): Query<PaymentParams>,
) -> Result<axum::Json<PaymentList>, ApiError> {
    authorize(&identity, Action::ReadContacts)?;
    let PaymentParams { q, state, before, limit } = params;
    let filter =
        PaymentFilter { state, contact: None, terms: terms(&within(q)?), before, limit: page_of(limit) };
    app.told_payments(&filter).await
}

/// One payment
#[utoipa::path(get, path = "/api/payments/{id}", tag = "Contacts", params(("id" = String, Path)), responses(
    (status = 200, description = "As it is now", body = PaymentEntry),
    (status = 404, description = "No such payment", body = ErrorBody),
))]
pub(super) async fn one(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<PaymentEntry>, ApiError> {
    authorize(&identity, Action::ReadContacts)?;
    let row = app.store().payment(id).await?.ok_or_else(|| ApiError::not_found("payment"))?;
    Ok(axum::Json(row.into()))
}

/// Change a payment
///
/// The whole of it, in the place of the version that was seen. Keys need `crm:write`.
#[utoipa::path(put, path = "/api/payments/{id}", tag = "Contacts", request_body = ChangedPayment,
    params(("id" = String, Path)), responses(
    (status = 200, description = "Changed", body = PaymentEntry),
    (status = 400, description = "Something cannot be kept", body = ErrorBody),
    (status = 403, description = "Not yours to do", body = ErrorBody),
    (status = 404, description = "No such payment", body = ErrorBody),
    (status = 409, description = "Somebody else has changed it (`changed_meanwhile`), it cannot become that \
        (`not_possible`), or another payment has the reference (`reference_taken`)", body = ErrorBody),
))]
pub(super) async fn change(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<Uuid>,
    Json(new): Json<ChangedPayment>,
) -> Result<axum::Json<PaymentEntry>, ApiError> {
    authorize(&identity, Action::EditContacts)?;
    let (now, unknown) = (app.now_unix_ms(), || ApiError::not_found("payment"));
    let before = app.store().payment(id).await?.ok_or_else(unknown)?;
    if new.version == before.version && !before.payment.state.may_become(new.state) {
        return Err(ApiError::not_possible("payment"));
    }
    let paid_at_unix_ms = new.paid_at_unix_ms.map(moment).transpose()?;
    let payment = Payment {
        state: new.state,
        amount: Amount::parse(&new.amount, &new.currency)?,
        about: new.about,
        reference: new.reference,
        due_at_unix_ms: new.due_at_unix_ms.map(moment).transpose()?,
        paid_at_unix_ms: paid_at_unix_ms.or(before.payment.paid_at_unix_ms).or(Some(now)),
    };
    let changed = app.store().change_payment(id, new.version, &payment.checked()?, now).await?;
    let changed = changed.ok_or_else(unknown)?;
    note(&app, &identity, &changed);
    Ok(axum::Json(changed.into()))
}

fn note(app: &App, identity: &Identity, payment: &PaymentRow) {
    let state = match payment.payment.state {
        PaymentState::Due => "due",
        PaymentState::Paid => "paid",
        PaymentState::Refunded => "refunded",
        PaymentState::Cancelled => "cancelled",
    };
    app.note_of_contacts(identity, &format!("payment {} of {}: {state}", payment.id, payment.contact));
}

/// All payments as a table
///
/// CSV in UTF-8, the latest first: `lead_id`, `phone`, `amount`, `currency`, `state`, `about`, `reference`, `due` and `paid`, times to the
/// minute on the organisation's clock. What a spreadsheet would take for a formula has an apostrophe before it. For supervisors;
/// keys need `crm:read` or `crm:write`.
#[utoipa::path(get, path = "/api/payments/export", tag = "Contacts", responses(
    (status = 200, description = "The table", body = String, content_type = "text/csv"),
    (status = 403, description = "For supervisors", body = ErrorBody),
))]
pub(super) async fn export(State(app): State<App>, identity: Identity) -> Result<Response, ApiError> {
    authorize(&identity, Action::ExportContacts)?;
    app.note_of_contacts(&identity, "exported all payments");
    let clock = app.settings().crm.clock;
    let pages = futures::stream::try_unfold(Some((payments_head(), None)), move |page| {
        let store = app.store().clone();
        async move {
            let Some((mut text, before)) = page else { return Ok(None) };
            let rows =
                store.payments(&PaymentFilter { before, limit: PAGE, ..PaymentFilter::default() }).await?;
            for row in &rows {
                text.push_str(&payment_line(row.contact, row.contact_phone.as_ref(), &row.payment, clock));
            }
            let next = rows.last().map(|row| (String::new(), Some(row.place())));
            Ok::<_, StoreError>(Some((text, next)))
        }
    });
    Ok(file("attachment; filename=\"payments.csv\"", pages))
}

/// Add the payments of a table
///
/// CSV in UTF-8 as the table of all payments is, with commas, semicolons or tabs between the cells. The first line names the columns,
/// of which only `amount` has to be there; `lead_id` or `phone` says whose a payment is. One that says nothing of its state is
/// paid where it says when, and due otherwise. Days are written `2026-12-01`, or `1405/09/10` by the Jalali calendar. At most
/// 5,000 payments and 4 MiB. Either all of them are added, or it is said by line what has to be put right; a payment whose
/// `reference` is there already is not added again. For supervisors; keys need `crm:write`.
#[utoipa::path(post, path = "/api/payments/import", tag = "Contacts",
    request_body(content = String, content_type = "text/csv",
        example = json!("phone,amount,currency,about,reference,paid\n+989121234567,250000,toman,Panel,INV-1042,1405/09/10\n")),
    responses(
    (status = 200, description = "What became of it", body = Imported),
    (status = 403, description = "For supervisors", body = ErrorBody),
    (status = 409, description = "A contact or a reference has changed meanwhile", body = ErrorBody),
    (status = 413, description = "Too large", body = ErrorBody),
))]
pub(super) async fn import(
    State(app): State<App>,
    identity: Identity,
    body: Body,
) -> Result<axum::Json<Imported>, ApiError> {
    authorize(&identity, Action::ImportContacts)?;
    let (crm, now_unix_ms) = (app.settings().crm, app.now_unix_ms());
    let rules = PaymentRules { country: crm.country, clock: crm.clock, now_unix_ms };
    let rows = match read(body, move |table| payments_of(table, rules)).await? {
        Ok(rows) => rows,
        Err(problems) => return Ok(Imported::none(problems)),
    };
    let (payments, problems) = checked(app.store(), rows).await?;
    if !problems.is_empty() {
        return Ok(Imported::none(problems));
    }
    app.store().add_payments(&payments, identity.name(), now_unix_ms).await?;
    app.note_of_contacts(&identity, &format!("imported {} payments", payments.len()));
    Ok(Imported::all(payments.len()))
}

/// The payments of a table, each with its contact; and those of nobody, and those that are there already.
async fn checked(
    store: &Store,
    rows: Vec<(u64, (Payer, Payment))>,
) -> Result<(Vec<(Uuid, Payment)>, Vec<LineProblem>), ApiError> {
    let (mut ids, mut numbers): (Vec<Uuid>, Vec<Phone>) = (Vec::new(), Vec::new());
    for (_, (payer, _)) in &rows {
        match payer {
            Payer::Contact(id) => ids.push(*id),
            Payer::Phone(number) => numbers.push(number.clone()),
        }
    }
    let known = store.contacts_known(&ids).await?;
    let of_numbers = store.numbers_taken(&numbers).await?;
    let references: Vec<&str> =
        rows.iter().filter_map(|(_, (_, payment))| payment.reference.as_deref()).collect();
    let taken = store.references_taken(&references).await?;
    let (mut kept, mut problems) = (Vec::with_capacity(rows.len()), Vec::new());
    for (line, (payer, payment)) in rows {
        if let Some(reference) = payment.reference.as_ref().filter(|reference| taken.contains(*reference)) {
            problems.push(LineProblem::new(line, &StoreError::ReferenceTaken(reference.clone())));
        }
        let contact = match &payer {
            Payer::Contact(id) => known.get(id),
            Payer::Phone(number) => of_numbers.get(number.as_str()),
        };
        match contact {
            Some(contact) => kept.push((*contact, payment)),
            None => problems.push(LineProblem::new(line, &"there is no such contact")),
        }
    }
    problems.truncate(MOST_PROBLEMS);
    Ok((kept, problems))
}
