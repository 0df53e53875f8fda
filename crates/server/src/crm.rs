//! Whose a call is, and what it adds to their timeline.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sotto_call::{CallId, Participant, Party, Source};
use sotto_crm::{CallNote, Contact, Country, Phone};
use sotto_store::{CallEntry, Store, StoreError};
use time::UtcOffset;

use crate::outgoing::OutsideConfig;

/// Contacts that are read together.
const PAGE: u32 = 500;

/// See [`crate::config::Config::crm`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CrmConfig {
    /// The country whose numbers are written without its code, by its code of two letters: with `IR`, `0912 345 6789` and
    /// `+98 912 345 6789` are one. Without it a number is known only as it is dialled.
    #[schemars(with = "Option<String>")]
    pub country: Option<Country>,
    /// Another CRM that gets what calls came to, and what is promised in them, for contacts that it has as well.
    pub outside: OutsideConfig,
}

/// By what numbers and promises are read.
#[derive(Clone, Copy, Debug)]
pub struct CrmRules {
    /// The country whose numbers are written without its code.
    pub country: Option<Country>,
    /// On what clock something is promised.
    pub clock: UtcOffset,
}

impl Default for CrmRules {
    fn default() -> Self {
        Self { country: None, clock: UtcOffset::UTC }
    }
}

impl CrmRules {
    /// The customer's number, of those who take part in a call; where nobody is known to be the customer, that of whoever is
    /// not the agent.
    #[must_use]
    pub fn customer(&self, participants: &[Participant]) -> Option<Phone> {
        let of = |party: Party| {
            let those = participants.iter().filter(move |one| one.party == party);
            those.filter_map(|one| Phone::of_address(one.aor.as_deref()?, self.country)).next()
        };
        of(Party::Customer).or_else(|| of(Party::Other))
    }

    /// Spells contacts' numbers anew that were kept before it was known of which country they are, and has it looked at again
    /// whose the calls with such numbers are. Says of how many contacts a number is another now. One that is somebody else's in
    /// the new spelling stays as it is, which is logged: whether the two are one, a person decides.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn respell(&self, store: &Store) -> Result<u64, StoreError> {
        if self.country.is_none() {
            return Ok(0);
        }
        let spelled = |number: &Phone| match number.as_str().starts_with('+') {
            true => number.clone(),
            false => Phone::parse(number.as_str(), self.country).unwrap_or_else(|| number.clone()),
        };
        let (mut changed, mut after) = (0, None);
        loop {
            let rows = store.all_contacts(after, PAGE).await?;
            let Some(last) = rows.last() else { break };
            after = Some(last.id);
            for row in rows {
                let numbers: Vec<Phone> = row.contact.numbers.iter().map(spelled).collect();
                if numbers == row.contact.numbers {
                    continue;
                }
                let Ok(contact) = Contact { numbers, ..row.contact }.checked() else { continue };
                match store.change_contact(row.id, row.version, &contact, row.active_at_unix_ms).await {
                    Ok(_) => changed += 1,
                    Err(error @ (StoreError::NumberTaken(_) | StoreError::Stale)) => {
                        tracing::warn!(contact = %row.id, %error, "a number stays as it was spelled");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        store.look_again_at_local_calls().await?;
        Ok(changed)
    }

    /// What a call with these participants that is over adds to the timeline of whoever it was with, when it came to this
    /// insight, which has no moods in it and nothing that follows from it yet. Nothing where their number is not known.
    #[must_use]
    pub fn entry(
        &self,
        call: CallId,
        participants: &[Participant],
        ended_at_unix_ms: u64,
        insight: &str,
    ) -> Option<CallEntry> {
        let number = self.customer(participants)?;
        match CallNote::of(insight, ended_at_unix_ms, self.clock) {
            Ok(note) => Some(CallEntry { number, ended_at_unix_ms, note, drafts: Vec::new() }),
            Err(error) => {
                tracing::warn!(%call, %error, "what a call came to cannot be noted on a timeline");
                None
            }
        }
    }
}

/// Whether a call is a voice note: a recording on which nobody speaks but the customer.
#[must_use]
pub fn is_voice_note(source: Source, participants: &[Participant]) -> bool {
    source == Source::File && matches!(participants, [Participant { party: Party::Customer, .. }])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sotto_crm::{ContactKind, Stage};

    use super::*;

    fn contact(name: &str, number: &str) -> Contact {
        Contact {
            kind: ContactKind::Lead,
            stage: Stage::New,
            name: name.to_owned(),
            numbers: vec![Phone::parse(number, None).unwrap()],
            email: None,
            company: None,
            owner: None,
            notes: String::new(),
            fields: BTreeMap::new(),
        }
    }

    #[tokio::test]
    async fn numbers_that_were_kept_before_the_country_was_known_are_spelled_anew() {
        let (store, _folder) = sotto_store::testing::sqlite().await;
        let mut ids = Vec::new();
        for (name, number) in [
            ("Sara", "09121234567"),
            ("Omid", "+989351234567"),
            ("Omid again", "09351234567"),
            ("Ada", "1234567"),
        ] {
            ids.push(store.add_contact(&contact(name, number), 1_000).await.unwrap().id);
        }
        assert_eq!(CrmRules::default().respell(&store).await.unwrap(), 0);
        let rules = CrmRules { country: Some("IR".parse().unwrap()), ..CrmRules::default() };
        assert_eq!((rules.respell(&store).await.unwrap(), rules.respell(&store).await.unwrap()), (1, 0));
        let mut numbers = Vec::new();
        for id in ids {
            let row = store.contact(id).await.unwrap().unwrap();
            assert_eq!(row.active_at_unix_ms, 1_000, "nothing has happened with them");
            numbers.push(row.contact.numbers[0].to_string());
        }
        assert_eq!(numbers, ["+989121234567", "+989351234567", "09351234567", "1234567"]);
        store.close().await;
    }

    #[test]
    fn the_customer_is_known_by_their_number() {
        let rules = CrmRules { country: Some("IR".parse().unwrap()), ..CrmRules::default() };
        let one = |party, aor: &str| Participant { party, aor: Some(aor.to_owned()), name: None };
        let agent = one(Party::Agent, "sip:+982188888888@pbx");
        let other = one(Party::Other, "sip:+442079460018@pbx");
        let customer = one(Party::Customer, "sip:09121234567@pbx");
        let nobody = Participant { aor: None, ..customer.clone() };
        let of = |those: &[&Participant]| {
            let those: Vec<Participant> = those.iter().map(|one| (*one).clone()).collect();
            rules.customer(&those).map(|phone| phone.to_string())
        };
        assert_eq!(of(&[&agent, &other, &nobody, &customer]).as_deref(), Some("+989121234567"));
        assert_eq!(of(&[&agent, &other]).as_deref(), Some("+442079460018"));
        assert_eq!(of(&[&agent, &nobody]), None);
        assert!(is_voice_note(Source::File, std::slice::from_ref(&customer)));
        assert!(!is_voice_note(Source::Sip, std::slice::from_ref(&customer)), "somebody listened");
        assert!(!is_voice_note(Source::File, &[agent, customer]) && !is_voice_note(Source::File, &[other]));
    }
}
