//! The calls that another CRM gets: those of our own API, with what it calls things.

use std::collections::BTreeMap;

use axum::http::Method;
use serde_json::{Map, Value, json};
use sotto_crm::TaskState;
use sotto_store::{CommunicationRow, ContactRow, DeliveryRow, EventKind, Store, StoreError, TaskRow};
use uuid::Uuid;

use super::Prepared;
use super::config::OutsideConfig;

/// A call of its API.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub method: Method,
    pub path: String,
    pub body: Value,
}

/// Who it is to another CRM, and what it calls things.
#[derive(Clone, Debug)]
pub(super) struct Mapping {
    id_field: String,
    fields: BTreeMap<String, String>,
}

impl Mapping {
    pub fn of(config: &OutsideConfig) -> Self {
        Self { id_field: config.id_field.clone(), fields: config.fields.clone() }
    }

    /// The call that a delivery comes to. [`Prepared::Nothing`] where what it is about is no more.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn call(&self, store: &Store, row: &DeliveryRow) -> Result<Prepared<Call>, StoreError> {
        if row.kind == EventKind::Test {
            let path = "/api/voip/test-connection".to_owned();
            return Ok(Prepared::Ready(Call { method: Method::POST, path, body: json!({}) }));
        }
        let (noted, task) = match (row.kind, row.call, row.subject) {
            (EventKind::CallNoted, Some(call), _) => (store.communication_of(call).await?, None),
            (EventKind::TaskProposed | EventKind::TaskAccepted, _, Some(task)) => {
                // Over there it would be something to do.
                let is_to_be_done =
                    |row: &TaskRow| matches!(row.state, TaskState::Proposed | TaskState::Open);
                (None, store.task(task).await?.filter(is_to_be_done))
            }
            _ => (None, None),
        };
        let about = match row.kind {
            EventKind::StageSuggested | EventKind::StageChanged => row.subject,
            _ => noted.as_ref().map(|row| row.contact).or(task.as_ref().map(|row| row.contact)),
        };
        let lead = match about {
            Some(lead) => store.contact(lead).await?,
            None => None,
        };
        let Some(lead) = lead else { return Ok(Prepared::Nothing) };
        let Some(id) = self.id_of(lead.id, &lead.contact.fields) else {
            return Ok(Prepared::Impossible(format!("the contact has no field `{}`", self.id_field)));
        };
        let (method, path, body) = match (noted, task) {
            (Some(noted), _) => {
                (Method::POST, format!("/api/leads/{id}/communication"), communication(noted))
            }
            (None, Some(task)) => (Method::POST, "/api/tasks".to_owned(), task_of(&id, task)),
            (None, None) => (Method::PUT, format!("/api/leads/{id}"), stage(row, &lead)),
        };
        Ok(Prepared::Ready(Call { method, path, body: self.named(body) }))
    }

    /// A contact's id over there. It becomes a part of a path, so no other signs are taken than ids have.
    fn id_of(&self, id: Uuid, fields: &BTreeMap<String, String>) -> Option<String> {
        if self.id_field.is_empty() {
            return Some(id.to_string());
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let known = fields.get(&self.id_field).map(|known| known.trim());
        known.filter(|known| !known.is_empty() && known.chars().all(is_plain)).map(str::to_owned)
    }

    /// The same with the names that fields have over there, and without what is not there.
    fn named(&self, body: Value) -> Value {
        let fields = match body {
            Value::Object(fields) => fields,
            other => return other,
        };
        let named = fields.into_iter().filter(|(_, value)| !value.is_null()).filter_map(|(name, value)| {
            match self.fields.get(&name).map(String::as_str) {
                None => Some((name, value)),
                Some("") => None,
                Some(other) => Some((other.to_owned(), value)),
            }
        });
        Value::Object(named.collect::<Map<String, Value>>())
    }
}

fn communication(row: CommunicationRow) -> Value {
    let said = row.communication;
    json!({
        "type": said.kind,
        "source": said.source,
        "at_unix_ms": row.at_unix_ms,
        "content": said.content,
        "tags": said.tags,
        "metadata": said.metadata,
    })
}

fn task_of(lead: &str, row: TaskRow) -> Value {
    let task = row.task;
    json!({
        "lead_id": lead,
        "type": task.kind,
        "title": task.title,
        "channel": task.channel,
        "to": task.to,
        "due_at_unix_ms": task.due_at_unix_ms,
        "priority": task.priority,
    })
}

/// The stage that a call speaks for, or that somebody has chosen.
fn stage(row: &DeliveryRow, lead: &ContactRow) -> Value {
    match (row.kind, &row.detail) {
        (EventKind::StageSuggested, Some(stage)) => json!({ "stage": stage }),
        _ => json!({ "stage": lead.contact.stage }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(id_field: &str, fields: &[(&str, &str)]) -> Mapping {
        let fields = fields.iter().map(|(ours, theirs)| ((*ours).to_owned(), (*theirs).to_owned()));
        Mapping { id_field: id_field.to_owned(), fields: fields.collect() }
    }

    #[test]
    fn fields_have_the_names_that_they_have_over_there() {
        let mapping = mapping("", &[("content", "body"), ("tags", "")]);
        let ours = json!({ "type": "call_summary", "content": "a", "tags": ["b"], "to": null });
        assert_eq!(mapping.named(ours), json!({ "type": "call_summary", "body": "a" }));
    }

    #[test]
    fn an_id_over_there_cannot_lead_anywhere_else() {
        let ours = Uuid::now_v7();
        assert_eq!(mapping("", &[]).id_of(ours, &BTreeMap::new()), Some(ours.to_string()));
        let mapping = mapping("crm_id", &[]);
        let id = |text: &str| mapping.id_of(ours, &BTreeMap::from([("crm_id".to_owned(), text.to_owned())]));
        assert_eq!(id(" 00Q5e-1_a ").as_deref(), Some("00Q5e-1_a"));
        for wrong in ["", "../admin", "a/b", "a?b", "سارا", "a b"] {
            assert_eq!(id(wrong), None, "{wrong}");
        }
        assert_eq!(mapping.id_of(ours, &BTreeMap::new()), None);
    }
}
