//! What a webhook says: what is there when it is sent, of what the delivery is about. Nothing of how customers feel.

use serde::Serialize;
use serde_json::{Value, json};
use sotto_store::{DeliveryRow, EventKind, Store, StoreError};
use time::OffsetDateTime;

use super::Prepared;
use crate::http::{Lead, PaymentEntry, TaskEntry, TicketEntry, TimelineEntry};
use crate::summary::CallSummary;

/// The form of every message.
#[derive(Serialize)]
struct Message {
    r#type: EventKind,
    timestamp: String,
    data: Value,
}

/// The message that a delivery comes to. [`Prepared::Nothing`] where what it is about is no more.
///
/// # Errors
/// When the database refuses.
pub(super) async fn message(store: &Store, row: &DeliveryRow) -> Result<Prepared<Vec<u8>>, StoreError> {
    let data = match row.kind {
        EventKind::Test => Some(json!({})),
        EventKind::CallStarted | EventKind::CallEnded => call(store, row).await?,
        EventKind::InsightReady | EventKind::QualityReady => review(store, row).await?,
        EventKind::CallNoted => noted(store, row).await?,
        EventKind::TaskProposed | EventKind::TaskAccepted => task(store, row).await?,
        EventKind::ContactChanged => Some(contact(store, row).await?),
        EventKind::StageSuggested => {
            row.subject.map(|lead| json!({ "call_id": row.call, "lead_id": lead, "stage": row.detail }))
        }
        EventKind::StageChanged => stage(store, row).await?,
        EventKind::TicketChanged => ticket(store, row).await?,
        EventKind::PaymentChanged => payment(store, row).await?,
        EventKind::Alert => alert(row),
    };
    let Some(data) = data else { return Ok(Prepared::Nothing) };
    let message = Message { r#type: row.kind, timestamp: iso_8601(row.at_unix_ms), data };
    Ok(match serde_json::to_vec(&message) {
        Ok(body) => Prepared::Ready(body),
        Err(error) => Prepared::Impossible(error.to_string()),
    })
}

async fn call(store: &Store, row: &DeliveryRow) -> Result<Option<Value>, StoreError> {
    let Some(id) = row.call else { return Ok(None) };
    let call = store.call(id).await?;
    Ok(call.map(|call| json!({ "call": CallSummary { last: None, ..call.into() } })))
}

async fn review(store: &Store, row: &DeliveryRow) -> Result<Option<Value>, StoreError> {
    let Some(id) = row.call else { return Ok(None) };
    let Some(review) = store.review(id).await? else { return Ok(None) };
    let (name, told) = match row.kind {
        EventKind::InsightReady => ("insight", review.insight),
        _ => ("quality", review.quality),
    };
    // We have written it, so it can be read.
    let told: Value = serde_json::from_str(&told).unwrap_or_default();
    Ok(Some(json!({ "call_id": id, name: told })))
}

async fn noted(store: &Store, row: &DeliveryRow) -> Result<Option<Value>, StoreError> {
    let Some(call) = row.call else { return Ok(None) };
    let noted = store.communication_of(call).await?;
    Ok(noted.map(|noted| {
        let lead = noted.contact;
        json!({ "call_id": call, "lead_id": lead, "communication": TimelineEntry::from(noted) })
    }))
}

async fn task(store: &Store, row: &DeliveryRow) -> Result<Option<Value>, StoreError> {
    let Some(id) = row.subject else { return Ok(None) };
    Ok(store.task(id).await?.map(|task| json!({ "task": TaskEntry::from(task) })))
}

async fn ticket(store: &Store, row: &DeliveryRow) -> Result<Option<Value>, StoreError> {
    let Some(id) = row.subject else { return Ok(None) };
    Ok(store.ticket(id).await?.map(|ticket| json!({ "ticket": TicketEntry::from(ticket) })))
}

async fn payment(store: &Store, row: &DeliveryRow) -> Result<Option<Value>, StoreError> {
    let Some(id) = row.subject else { return Ok(None) };
    Ok(store.payment(id).await?.map(|payment| json!({ "payment": PaymentEntry::from(payment) })))
}

/// That somebody was removed is something to tell.
async fn contact(store: &Store, row: &DeliveryRow) -> Result<Value, StoreError> {
    let lead = match row.subject {
        Some(id) => store.contact(id).await?,
        None => None,
    };
    let Some(lead) = lead else { return Ok(json!({ "lead_id": row.subject, "removed": true })) };
    let company = match lead.contact.company {
        Some(id) => store.company(id).await?.map(|row| row.company.name),
        None => None,
    };
    Ok(json!({ "lead_id": row.subject, "lead": Lead::of(lead, company, None) }))
}

async fn stage(store: &Store, row: &DeliveryRow) -> Result<Option<Value>, StoreError> {
    let Some(id) = row.subject else { return Ok(None) };
    let lead = store.contact(id).await?;
    Ok(lead.map(|lead| json!({ "lead_id": id, "stage": lead.contact.stage })))
}

fn alert(row: &DeliveryRow) -> Option<Value> {
    let alert: Value = serde_json::from_str(row.detail.as_deref()?).ok()?;
    Some(json!({ "call_id": row.call, "alert": alert }))
}

/// A time as ISO 8601 has it, in UTC.
fn iso_8601(at_unix_ms: u64) -> String {
    let at = OffsetDateTime::UNIX_EPOCH
        .checked_add(time::Duration::milliseconds(i64::try_from(at_unix_ms).unwrap_or(i64::MAX)));
    let at = at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (date, time) = (at.date(), at.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.millisecond()
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_written_as_programs_read_them() {
        assert_eq!(iso_8601(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso_8601(1_796_065_445_678), "2026-11-30T19:04:05.678Z");
    }

    proptest! {
        #[test]
        fn every_time_is_written(at: u64) {
            prop_assert!(iso_8601(at).len() >= 24);
        }
    }
}
