//! Who is the agent and who the customer, decided by configured rules, as plain values.
//!
//! Rules are tried in order. A rule decides when it points at exactly one stream; a rule that fits none, or
//! several (a call between two agents), leaves the decision to the next. Without a decision the configured
//! first party speaks on the first stream. Whoever a rule calls an agent is no customer, however: of a call between two
//! agents the second is [`Party::Other`].

use std::fmt;

use regex::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sotto_call::Party;

use crate::metadata::Person;

/// Bytes a compiled pattern may take.
const MAX_PATTERN: usize = 1 << 20;

/// What is known of a stream's speaker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Speaker {
    /// Address of record.
    pub aor: Option<String>,
    /// Display name.
    pub name: Option<String>,
    /// The stream's label.
    pub label: Option<String>,
    /// They placed the call.
    pub calling: Option<bool>,
}

impl Speaker {
    /// Who speaks on a stream with this label, if metadata says it.
    pub(crate) fn of(label: Option<String>, person: Option<&Person>) -> Self {
        Self {
            aor: person.and_then(|person| person.aor.clone()),
            name: person.and_then(|person| person.name.clone()),
            calling: person.and_then(|person| person.calling),
            label,
        }
    }
}

/// One rule. In the configuration file: `{ agent_aor = "sip:1???@*" }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PartyRule {
    /// The agent's address of record fits a pattern: `*` is anything, `?` one character, and a pattern
    /// between slashes is a regular expression. Case does not count.
    AgentAor(Pattern),
    /// The customer's address of record fits a pattern.
    CustomerAor(Pattern),
    /// The agent's stream carries this label.
    AgentLabel(String),
    /// The customer's stream carries this label.
    CustomerLabel(String),
    /// The INVITE has this header, and its value is the agent's address, its user part, name or label.
    AgentHeader(String),
    /// The INVITE has this header, and its value is the customer's.
    CustomerHeader(String),
    /// The party that placed the call, when the metadata says who did (`callingParty`).
    Calling(CallingParty),
}

/// See [`PartyRule::Calling`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallingParty {
    /// Outgoing calls: agents dial.
    Agent,
    /// Incoming calls: customers dial.
    Customer,
}

/// A pattern for addresses: a glob, or a regular expression between slashes.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Pattern {
    written: String,
    regex: Regex,
}

impl Pattern {
    /// Whether an address fits, with or without its `sip:`.
    #[must_use]
    pub fn fits(&self, aor: &str) -> bool {
        let bare = ["sip:", "sips:", "tel:"].iter().find_map(|scheme| aor.strip_prefix(scheme));
        self.regex.is_match(aor) || bare.is_some_and(|bare| self.regex.is_match(bare))
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(written: String) -> Result<Self, Self::Error> {
        let expression = match written.strip_prefix('/').and_then(|w| w.strip_suffix('/')) {
            Some(expression) => expression.to_owned(),
            None => {
                let escaped = regex::escape(&written).replace(r"\*", ".*").replace(r"\?", ".");
                format!("^{escaped}$")
            }
        };
        let built = RegexBuilder::new(&expression).case_insensitive(true).size_limit(MAX_PATTERN).build();
        let regex = built.map_err(|error| format!("{written:?} is not a pattern: {error}"))?;
        Ok(Self { written, regex })
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.written
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl PartyRule {
    /// The header this rule looks at.
    pub(crate) fn header(&self) -> Option<&str> {
        match self {
            Self::AgentHeader(name) | Self::CustomerHeader(name) => Some(name),
            _ => None,
        }
    }

    /// The party of `speaker` when this rule points at them.
    fn points(&self, speaker: &Speaker, header: &dyn Fn(&str) -> Option<String>) -> Option<Party> {
        let aor = |pattern: &Pattern| speaker.aor.as_deref().is_some_and(|aor| pattern.fits(aor));
        let label = |label: &String| speaker.label.as_ref() == Some(label);
        let named = |name: &String| header(name).is_some_and(|value| is(speaker, value.trim()));
        let (party, fits) = match self {
            Self::AgentAor(pattern) => (Party::Agent, aor(pattern)),
            Self::CustomerAor(pattern) => (Party::Customer, aor(pattern)),
            Self::AgentLabel(wanted) => (Party::Agent, label(wanted)),
            Self::CustomerLabel(wanted) => (Party::Customer, label(wanted)),
            Self::AgentHeader(name) => (Party::Agent, named(name)),
            Self::CustomerHeader(name) => (Party::Customer, named(name)),
            Self::Calling(CallingParty::Agent) => (Party::Agent, speaker.calling == Some(true)),
            Self::Calling(CallingParty::Customer) => (Party::Customer, speaker.calling == Some(true)),
        };
        fits.then_some(party)
    }
}

/// Whether `value` is how one would name this speaker.
fn is(speaker: &Speaker, value: &str) -> bool {
    let value = value.trim_matches(['<', '>', '"']);
    let user = speaker.aor.as_deref().map(user_part);
    let names = [speaker.aor.as_deref(), user, speaker.name.as_deref(), speaker.label.as_deref()];
    !value.is_empty() && names.into_iter().flatten().any(|name| name.eq_ignore_ascii_case(value))
}

/// The user that an address of record names: `1002` of `sip:1002@pbx.example`.
#[must_use]
pub fn user_part(aor: &str) -> &str {
    let bare = aor.split_once(':').map_or(aor, |(_, bare)| bare);
    bare.split('@').next().unwrap_or(bare)
}

/// The party of each stream. `taken` are parties already on the call, for a leg that joins later.
#[must_use]
pub fn decide(
    rules: &[PartyRule],
    first: Party,
    speakers: &[Speaker],
    header: &dyn Fn(&str) -> Option<String>,
    taken: &[Party],
) -> Vec<Party> {
    let decided = rules.iter().find_map(|rule| {
        let mut pointed = speakers.iter().enumerate().filter_map(|(n, s)| Some((n, rule.points(s, header)?)));
        let found = pointed.next()?;
        pointed.next().is_none().then_some(found)
    });
    let mut free = vec![first, other(first), Party::Other];
    free.retain(|party| *party == Party::Other || !taken.contains(party));
    let mut parties = vec![None; speakers.len()];
    if let Some((stream, party)) = decided
        && free.contains(&party)
        && let Some(slot) = parties.get_mut(stream)
    {
        *slot = Some(party);
        free.retain(|p| *p != party);
    }
    let mut rest = free.into_iter().chain(std::iter::repeat(Party::Other));
    let parties = parties.into_iter().map(|party| party.or_else(|| rest.next()).unwrap_or(Party::Other));
    let is_no_customer =
        |party: Party, speaker: &Speaker| party == Party::Customer && is_employee(rules, speaker, header);
    let parties = parties.zip(speakers);
    parties
        .map(|(party, speaker)| if is_no_customer(party, speaker) { Party::Other } else { party })
        .collect()
}

/// The party of a leg that says whose it is, once it is known what is free: one that says it is an agent's is no customer's.
pub(crate) fn unless_agent(said: Option<Party>, party: Party) -> Party {
    if said == Some(Party::Agent) && party == Party::Customer { Party::Other } else { party }
}

/// Whether rules that know people call somebody an agent, and none calls them a customer: nothing is inferred of them,
/// whichever stream they are heard on.
#[must_use]
pub(crate) fn is_employee(
    rules: &[PartyRule],
    speaker: &Speaker,
    header: &dyn Fn(&str) -> Option<String>,
) -> bool {
    let knows_people = |rule: &&PartyRule| !matches!(rule, PartyRule::Calling(_));
    let mut called = rules.iter().filter(knows_people).filter_map(|rule| rule.points(speaker, header));
    called.next().is_some_and(|first| first == Party::Agent && called.all(|party| party == Party::Agent))
}

fn other(party: Party) -> Party {
    match party {
        Party::Agent => Party::Customer,
        Party::Customer => Party::Agent,
        Party::Other => Party::Other,
    }
}

#[cfg(test)]
mod tests {
    use Party::{Agent, Customer, Other};

    use super::*;

    fn speaker(aor: &str, label: &str, calling: Option<bool>) -> Speaker {
        Speaker { aor: Some(aor.into()), name: None, label: Some(label.into()), calling }
    }

    fn pattern(text: &str) -> Pattern {
        Pattern::try_from(text.to_owned()).unwrap()
    }

    fn parties(rules: &[PartyRule], speakers: &[Speaker]) -> Vec<Party> {
        let header = |name: &str| (name == "X-Agent").then(|| " <sip:1002@pbx> ".to_owned());
        decide(rules, Agent, speakers, &header, &[])
    }

    #[test]
    fn each_kind_of_rule_finds_its_party() {
        let two = [speaker("sip:9000@pbx", "7", Some(true)), speaker("sip:1002@pbx", "8", Some(false))];
        let customer_first = vec![Customer, Agent];
        for rule in [
            PartyRule::AgentAor(pattern("sip:1???@*")),
            PartyRule::AgentAor(pattern("1002@PBX")),
            PartyRule::CustomerAor(pattern("/^sip:9/")),
            PartyRule::AgentLabel("8".into()),
            PartyRule::CustomerLabel("7".into()),
            PartyRule::AgentHeader("X-Agent".into()),
            PartyRule::Calling(CallingParty::Customer),
        ] {
            assert_eq!(parties(std::slice::from_ref(&rule), &two), customer_first, "{rule:?}");
        }
        assert_eq!(parties(&[PartyRule::Calling(CallingParty::Agent)], &two), [Agent, Customer]);
        assert_eq!(parties(&[], &two), [Agent, Customer]);
    }

    #[test]
    fn a_rule_that_fits_both_or_none_leaves_it_to_the_next() {
        let two = [speaker("sip:1001@pbx", "1", None), speaker("sip:1002@pbx", "2", None)];
        let both = PartyRule::AgentAor(pattern("sip:1*"));
        let none = PartyRule::CustomerHeader("X-Nobody".into());
        let fits_nobody = PartyRule::CustomerLabel("9".into());
        assert_eq!(parties(&[none.clone(), fits_nobody.clone()], &two), [Agent, Customer]);
        let customer = PartyRule::CustomerLabel("1".into());
        assert_eq!(parties(&[fits_nobody, none.clone(), customer.clone()], &two), [Customer, Agent]);
        assert_eq!(
            parties(&[both, none, customer], &two),
            [Customer, Agent],
            "whose address is like an agent's"
        );
    }

    #[test]
    fn whoever_is_called_an_agent_is_no_customer_whichever_stream_is_left() {
        let two = [speaker("sip:1001@pbx", "1", Some(true)), speaker("sip:1002@pbx", "2", Some(false))];
        let extensions = PartyRule::AgentAor(pattern("sip:1???@*"));
        for rule in [
            None,
            Some(PartyRule::Calling(CallingParty::Customer)),
            Some(PartyRule::AgentLabel("2".into())),
            Some(PartyRule::AgentHeader("X-Agent".into())),
        ] {
            let rules: Vec<PartyRule> = [extensions.clone()].into_iter().chain(rule).collect();
            let parties = parties(&rules, &two);
            assert!(!parties.contains(&Customer), "{rules:?}: {parties:?}");
        }
        // Who comes later takes no place that is free.
        let nothing = |_: &str| None;
        assert_eq!(decide(&[extensions], Agent, &two[1..], &nothing, &[Agent]), [Other]);
    }

    #[test]
    fn a_party_is_never_on_a_call_twice() {
        let one = [speaker("sip:1001@pbx", "1", None)];
        let rules = [PartyRule::AgentAor(pattern("sip:1*"))];
        let nothing = |_: &str| None;
        assert_eq!(decide(&[], Agent, &one, &nothing, &[Agent]), [Customer]);
        assert_eq!(decide(&rules, Agent, &one, &nothing, &[Agent, Customer]), [Other]);
        let three = [one[0].clone(), Speaker::default(), Speaker::default()];
        assert_eq!(decide(&rules, Customer, &three, &nothing, &[]), [Agent, Customer, Other]);
    }

    #[test]
    fn patterns_are_checked_when_read() {
        assert!(Pattern::try_from("/(/".to_owned()).is_err());
        assert!(Pattern::try_from("/(a{1000}){1000}/".to_owned()).is_err());
        assert!(pattern("sip:a.b@x").fits("sip:a.b@x"));
        assert!(!pattern("sip:a.b@x").fits("sip:aXb@x"));
    }
}
