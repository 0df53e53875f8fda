//! What becomes of customers' moods once they are read: what for, for how long, who sees them, and who has looked.

use std::collections::BTreeMap;

use serde::Serialize;
use sotto_call::CallId;
use sotto_store::{Role, Store, StoreError};
use utoipa::ToSchema;

use crate::audit::{self, Audit, Once};
use crate::http::schema;
use crate::insight::{InsightConfig, MoodFrom};

/// What a change of the settings is called in the audit, and that somebody has looked.
const SETTINGS: &str = "mood_settings";
const LOOKED: &str = "moods";

/// What customers' moods are read for, how long they are kept, and who sees them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct MoodUse {
    /// Whether moods are read at all.
    pub is_read: bool,
    /// What for, by BCP 47 language.
    pub purpose: BTreeMap<String, String>,
    /// Days after which they are removed from ended calls; 0: when the call is.
    pub kept_days: u32,
    /// Who sees them.
    #[schema(value_type = Vec<schema::Role>)]
    pub seen_by: Vec<Role>,
}

impl From<&InsightConfig> for MoodUse {
    fn from(config: &InsightConfig) -> Self {
        Self {
            is_read: config.enabled && config.mood != MoodFrom::Off,
            purpose: config.purpose.clone(),
            kept_days: config.mood_kept_days,
            seen_by: config.mood_seen_by.clone(),
        }
    }
}

impl MoodUse {
    /// Whether somebody of this role sees moods, and what comes of them.
    #[must_use]
    pub fn is_seen_by(&self, role: Role) -> bool {
        self.seen_by.contains(&role)
    }

    /// The purpose in every language that it is written in.
    fn purposes(&self) -> String {
        let purposes: Vec<String> = self.purpose.iter().map(|(tag, text)| format!("{tag}: {text}")).collect();
        purposes.join(" ")
    }
}

/// Notes what moods are read from, what for, for how long, and who sees them, unless that is as it was at the last start.
///
/// # Errors
/// When the database does not tell.
pub async fn note_settings(config: &InsightConfig, store: &Store, audit: &Audit) -> Result<(), StoreError> {
    let moods = MoodUse::from(config);
    let from = if moods.is_read { name_of(&config.mood) } else { name_of(&MoodFrom::Off) };
    let roles: Vec<String> = moods.seen_by.iter().map(name_of).collect();
    let (roles, assumed) = (roles.join(", "), config.consent_assumed);
    let now = format!(
        "read from: {from}; kept days: {}; seen by: {roles}; consent assumed: {assumed}; purpose: {}",
        moods.kept_days,
        moods.purposes(),
    );
    let now = audit::detail(&now);
    if store.last_audit(SETTINGS).await?.is_none_or(|last| last.detail != now) {
        audit.note("sotto", SETTINGS, None, &now);
    }
    Ok(())
}

/// The name in JSON.
fn name_of(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Who has looked at the moods of which call, to note each once.
#[derive(Debug, Default)]
pub struct Looks(Once<Option<CallId>>);

impl Looks {
    /// Notes that somebody looks at the moods of a call, or at those in the list of live calls.
    pub fn note(&self, who: &str, call: Option<CallId>, moods: &MoodUse, audit: &Audit) {
        if self.0.is_new(who, call) {
            audit.note(who, LOOKED, call, &moods.purposes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Details of what is in the audit by a word, the oldest first.
    async fn noted(store: &Store, what: &str) -> Vec<(String, Option<CallId>, String)> {
        let rows = store.audit(None, 100).await.unwrap();
        let noted = rows.into_iter().rev().filter(|row| row.what == what);
        noted.map(|row| (row.who, row.call, row.detail)).collect()
    }

    /// Waits until so many records are there.
    async fn until(store: &Store, count: usize) {
        while store.audit(None, 100).await.unwrap().len() < count {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_is_configured_is_noted_when_it_is_not_what_it_was() {
        let (store, _folder) = sotto_store::testing::sqlite().await;
        let audit = Audit::keep_in(store.clone());
        let first = InsightConfig::default();
        let off = InsightConfig { mood: MoodFrom::Off, ..first.clone() };
        let shorter = InsightConfig { mood_kept_days: 7, mood_seen_by: vec![Role::Admin], ..first.clone() };
        for (config, count) in [(&first, 1), (&first, 1), (&off, 2), (&off, 2), (&shorter, 3), (&first, 4)] {
            note_settings(config, &store, &audit).await.unwrap();
            until(&store, count).await;
        }
        let details: Vec<String> =
            noted(&store, SETTINGS).await.into_iter().map(|(.., detail)| detail).collect();
        assert_eq!((details.len(), &details[0]), (4, &details[3]));
        assert!(
            details[0]
                .starts_with("read from: words; kept days: 90; seen by: agent, reviewer, supervisor, admin;")
        );
        assert!(details[1].starts_with("read from: off;") && details[2].contains("days: 7; seen by: admin;"));
        assert!(details[0].contains("consent assumed: true; purpose: en: So that agents can"), "{details:?}");
    }

    #[tokio::test]
    async fn who_has_looked_is_noted_once_a_call() {
        let (store, _folder) = sotto_store::testing::sqlite().await;
        let audit = Audit::keep_in(store.clone());
        let (looks, moods) = (Looks::default(), MoodUse::from(&InsightConfig::default()));
        let (one, other) = (Some(CallId::new()), Some(CallId::new()));
        let all =
            [("mina", one), ("mina", one), ("mina", other), ("sara", one), ("mina", one), ("sara", None)];
        for (who, call) in all {
            looks.note(who, call, &moods, &audit);
        }
        until(&store, 4).await;
        let noted = noted(&store, LOOKED).await;
        let who: Vec<_> = noted.iter().map(|(who, call, _)| (who.as_str(), *call)).collect();
        assert_eq!(who, [("mina", one), ("mina", other), ("sara", one), ("sara", None)]);
        assert!(noted.iter().all(|(.., detail)| detail.contains("So that agents can answer kindly")));
    }
}
