//! Whose a call is, and what it adds to their timeline.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sotto_call::{Participant, Party};
use sotto_crm::{CallNote, Country, Phone};
use sotto_store::{CallEntry, CallRow};
use time::UtcOffset;

/// See [`crate::config::Config::crm`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CrmConfig {
    /// The country whose numbers are written without its code, by its code of two letters: with `IR`, `0912 345 6789` and
    /// `+98 912 345 6789` are one. Without it a number is known only as it is dialled.
    #[schemars(with = "Option<String>")]
    pub country: Option<Country>,
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

    /// What a call that is over adds to the timeline of whoever it was with, when it came to this insight, which has no moods
    /// in it and nothing that follows from it yet. Nothing where their number is not known.
    #[must_use]
    pub fn entry(&self, call: &CallRow, insight: &str) -> Option<CallEntry> {
        let number = self.customer(&call.participants)?;
        let length = call.duration_ms.map_or(0, |length| length.0);
        let ended_at_unix_ms = call.started_at_unix_ms.saturating_add(length);
        match CallNote::of(insight, ended_at_unix_ms, self.clock) {
            Ok(note) => Some(CallEntry { number, ended_at_unix_ms, note, drafts: Vec::new() }),
            Err(error) => {
                tracing::warn!(call = %call.id, %error, "what a call came to cannot be noted on a timeline");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
