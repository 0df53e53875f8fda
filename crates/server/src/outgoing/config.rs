//! Who is told of what, as it is configured.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sotto_store::EventKind;

use super::address::Address;
use super::secret::Secret;

/// The name that the outside CRM has among those who are told.
pub(super) const CRM: &str = "crm";
/// Characters of a name.
const LONGEST_NAME: usize = 40;
/// Endpoints: each event is queued for every one of them.
const MOST: usize = 20;

/// A program that is told of what happens. See [`crate::config::Config::webhooks`].
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// What it is called here: small letters, digits and dashes.
    pub name: String,
    /// Where it is told: `https://example.com/hook`.
    pub url: String,
    /// What it knows us by: `whsec_` and 24 to 64 bytes in base64.
    pub secret: String,
    /// Of what it is told; everything, when empty.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub kinds: Vec<EventKind>,
    /// Whether it may be on a network of your own, at an address that is not public or without TLS.
    #[serde(default)]
    pub private: bool,
}

impl fmt::Debug for WebhookConfig {
    /// Without the secret, and without the address, which may hold one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookConfig").field("name", &self.name).finish_non_exhaustive()
    }
}

impl WebhookConfig {
    pub(super) fn parsed(&self) -> Result<(Address, Secret), String> {
        let parsed =
            Address::parse(&self.url, self.private).and_then(|at| Ok((at, Secret::parse(&self.secret)?)));
        parsed.map_err(|problem| format!("`{}`: {problem}", self.name))
    }

    pub(super) fn kinds(&self) -> BTreeSet<EventKind> {
        let all = self.kinds.is_empty().then_some(EventKind::ALL);
        all.into_iter().flatten().chain(self.kinds.iter().copied()).collect()
    }
}

/// What is wrong with those who are to be told.
///
/// # Errors
/// The problem, in words.
pub fn check(webhooks: &[WebhookConfig]) -> Result<(), String> {
    if webhooks.len() > MOST {
        return Err(format!("there are more than {MOST}"));
    }
    let mut names = BTreeSet::from([CRM]);
    for webhook in webhooks {
        let name = webhook.name.as_str();
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(is_plain) {
            return Err(format!("a `name` has 1 to {LONGEST_NAME} small letters, digits and dashes"));
        }
        if !names.insert(name) {
            return Err(format!("`{name}` is there twice, or the name of the outside CRM"));
        }
        webhook.parsed()?;
    }
    Ok(())
}

/// See [`crate::crm::CrmConfig::outside`].
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OutsideConfig {
    /// Where it is: `https://crm.example`. It is asked at `/api/leads/{id}/communication`, `/api/leads/{id}` and `/api/tasks`, as
    /// Sotto's own API is. Empty: there is none.
    pub url: String,
    /// The key that it wants, if any, sent as a bearer token. Better given in the environment (SOTTO_CRM__OUTSIDE__KEY).
    pub key: String,
    /// The field of a contact that has their id over there. Of contacts without it nothing is sent. Empty: they have the same id.
    pub id_field: String,
    /// What it calls fields of what is sent, by our names for them: `{ content = "body" }`. What is called "" is left out.
    pub fields: BTreeMap<String, String>,
    /// Whether promises become tasks there, and stages change, as soon as a call speaks for it. Otherwise that waits until a person
    /// accepts it here.
    pub automatic: bool,
    /// Whether it may be on a network of your own, at an address that is not public or without TLS.
    pub private: bool,
}

impl fmt::Debug for OutsideConfig {
    /// Without the key, and without the address, which may hold one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutsideConfig").field("automatic", &self.automatic).finish_non_exhaustive()
    }
}

impl OutsideConfig {
    /// What is wrong with it.
    ///
    /// # Errors
    /// The problem, in words.
    pub fn check(&self) -> Result<(), String> {
        if self.url.is_empty() {
            return Ok(());
        }
        let address = Address::parse(&self.url, self.private)?;
        if address.url.contains('?') {
            return Err("`url` has no query: a key is given apart".to_owned());
        }
        if !self.key.trim().chars().all(|c| c.is_ascii_graphic()) {
            return Err("a key has letters, digits and signs only".to_owned());
        }
        Ok(())
    }

    /// Of what it is told.
    pub(super) fn kinds(&self) -> BTreeSet<EventKind> {
        use EventKind::{CallNoted, StageChanged, StageSuggested, TaskAccepted, TaskProposed};
        match self.automatic {
            true => BTreeSet::from([CallNoted, TaskProposed, StageSuggested, StageChanged]),
            false => BTreeSet::from([CallNoted, TaskAccepted, StageChanged]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(name: &str) -> WebhookConfig {
        WebhookConfig {
            name: name.to_owned(),
            url: "https://example.com/hidden".to_owned(),
            secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(),
            kinds: Vec::new(),
            private: false,
        }
    }

    #[test]
    fn webhooks_have_names_of_their_own_and_nothing_secret_is_shown() {
        assert_eq!(check(&[webhook("erp"), webhook("chat-2")]), Ok(()));
        for names in [&["erp", "erp"][..], &["crm"], &[""], &["E"], &["a b"]] {
            let webhooks: Vec<WebhookConfig> = names.iter().map(|name| webhook(name)).collect();
            assert!(check(&webhooks).is_err(), "{names:?}");
        }
        assert!(check(&vec![webhook("a"); 21]).is_err());
        let wrong = WebhookConfig { url: "http://example.com/hidden".to_owned(), ..webhook("erp") };
        assert!(check(&[wrong]).unwrap_err().starts_with("`erp`: "));
        let wrong = WebhookConfig { secret: "hidden".to_owned(), ..webhook("erp") };
        assert!(!check(&[wrong]).unwrap_err().contains("hidden"));
        let shown = format!("{:?}", webhook("erp"));
        assert!(!shown.contains("hidden") && !shown.contains("whsec"), "{shown}");
        assert_eq!(webhook("erp").kinds().len(), EventKind::ALL.len());
        let one = WebhookConfig { kinds: vec![EventKind::Alert], ..webhook("erp") };
        assert_eq!(one.kinds(), BTreeSet::from([EventKind::Alert]));
    }

    #[test]
    fn a_crm_outside_is_told_what_a_person_accepts_unless_the_organisation_says_otherwise() {
        let gated = OutsideConfig { url: "https://crm.example".to_owned(), ..OutsideConfig::default() };
        assert_eq!(gated.check(), Ok(()));
        let kinds = gated.kinds();
        assert!(!kinds.contains(&EventKind::TaskProposed) && !kinds.contains(&EventKind::StageSuggested));
        let automatic = OutsideConfig { automatic: true, ..gated.clone() };
        assert!(automatic.kinds().contains(&EventKind::TaskProposed));
        assert!(!automatic.kinds().contains(&EventKind::TaskAccepted), "it is there already");
        let key = OutsideConfig { key: "hid\nden".to_owned(), ..gated.clone() };
        assert!(key.check().is_err() && !format!("{key:?}").contains("hid"));
        assert!(OutsideConfig { url: "https://crm.example?key=x".to_owned(), ..gated }.check().is_err());
    }
}
