//! Secrets are taken out of what is said before anybody sees, keeps or understands it.
//!
//! Whatever a party says goes through its call's [`Redaction`] on the listener's thread, before it is published: string work
//! of some hundredths of a millisecond. What was harmless until more was said comes out once more, without its secret, and
//! is to replace what was published ([`LiveCall::redact`](crate::hub::LiveCall::redact)). What a [`Redactor`] must remember to
//! find a number that is dictated in several turns is in memory only, for the last turns of a call that goes on.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sotto_call::{Millis, Party, Redacted, Secret, TimeRange, Utterance, UtteranceId};
use sotto_insight::{Policy, Redactor, has_long_number};
use sotto_llm::Sendable;
use sotto_media::Muter;

/// See [`crate::config::Config::redaction`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RedactionConfig {
    /// Whether secrets are taken out.
    pub enabled: bool,
    /// What is taken out: numbers of payment cards (`card`), their check values (`cvv`) and when they expire (`expiry`);
    /// passwords, PINs and one-time codes (`password`); account numbers (`iban`); Iranian national IDs (`national_id`).
    pub kinds: Vec<Secret>,
    /// Whether the last four digits of a card number stay in the text. They are not heard either way.
    pub keep_last_four: bool,
    /// Whether secrets are silent in the recording as well. What speech recognition does not hear is not found, so a
    /// recording made while it was not there is as it was spoken.
    pub mute_recording: bool,
}

impl Default for RedactionConfig {
    fn default() -> Self {
        Self { enabled: true, kinds: Secret::ALL.into(), keep_last_four: false, mute_recording: true }
    }
}

impl RedactionConfig {
    fn policy(&self) -> Policy {
        Policy { secrets: self.kinds.iter().copied().collect(), keep_last_four: self.keep_last_four }
    }

    /// What would be taken out of a sentence that a customer says and nothing else.
    #[must_use]
    pub fn secrets_in(&self, text: &str) -> Vec<Secret> {
        if !self.enabled {
            return Vec::new();
        }
        self.alone(text).into_iter().flat_map(|left| left.secrets).collect()
    }

    /// A text that somebody has written, without its secrets; nothing where they cannot be told.
    #[must_use]
    pub fn without_secrets(&self, text: &str) -> String {
        if !self.enabled {
            return text.to_owned();
        }
        let left = catch_unwind(AssertUnwindSafe(|| self.alone(text))).unwrap_or_default();
        left.into_iter().next().map(|left| left.utterance.text).unwrap_or_default()
    }

    /// What may be sent of a text to a language model: all that is left when secrets are taken out, of every kind and also
    /// where calls keep theirs. Nothing where that fails.
    #[must_use]
    pub fn sendable(&self, text: &str) -> Sendable {
        let all = Self { enabled: true, kinds: Secret::ALL.into(), ..self.clone() };
        Sendable::redacted(text, |text| all.without_secrets(text))
    }

    /// A text as if a customer said it and nothing else, without its secrets.
    fn alone(&self, text: &str) -> Vec<sotto_insight::Redacted> {
        let said = Utterance {
            utterance_id: UtteranceId(0),
            party: Party::Customer,
            r#final: true,
            revision: 0,
            text: text.to_owned(),
            stable_chars: 0,
            start_ms: Millis(0),
            end_ms: Millis(0),
            words: Vec::new(),
            language: String::new(),
            latency_ms: Millis(0),
        };
        Redactor::new(self.policy()).push(&said)
    }

    /// Whether there are digits in a sentence that may turn out to be a part of a secret, when the customer goes on.
    #[must_use]
    pub fn may_become_secret(&self, text: &str) -> bool {
        self.enabled && has_long_number(text)
    }
}

/// What is counted of all calls, from the start of the process.
#[derive(Debug, Default)]
pub struct Figures {
    /// By kind, in the order of [`Secret::ALL`].
    taken_out: [AtomicU64; Secret::ALL.len()],
}

impl Figures {
    /// In how many final utterances each kind of secret was found. Those that are revised count again.
    pub fn taken_out(&self) -> impl Iterator<Item = (Secret, u64)> + '_ {
        Secret::ALL.into_iter().zip(self.taken_out.iter().map(|count| count.load(Relaxed)))
    }
}

/// An utterance that may be published.
#[derive(Clone, Debug, PartialEq)]
pub struct Left {
    /// Without its secrets.
    pub utterance: Utterance,
    /// What was taken out, and is to be taken out of everything that was published of it before. Absent when there is
    /// nothing new to say.
    pub redacted: Option<Redacted>,
}

/// Takes the secrets out of one call.
pub struct Redaction {
    policy: Policy,
    /// Absent where everything stays as it was said.
    heard: Option<Mutex<Heard>>,
    /// Absent where nothing is recorded, or the recording stays as it is.
    recording: Option<Muter>,
    figures: Arc<Figures>,
}

struct Heard {
    redactor: Redactor,
    /// Utterances with secrets.
    known: BTreeMap<UtteranceId, Known>,
}

#[derive(Default)]
struct Known {
    secrets: Vec<Secret>,
    /// How many more revisions were published than were heard.
    ahead: u32,
}

impl Redaction {
    /// For a call that begins.
    #[must_use]
    pub fn new(config: &RedactionConfig, recording: Option<Muter>, figures: Arc<Figures>) -> Self {
        let policy = config.policy();
        let heard = Heard { redactor: Redactor::new(policy.clone()), known: BTreeMap::new() };
        Self {
            policy,
            heard: config.enabled.then(|| Mutex::new(heard)),
            recording: recording.filter(|_| config.mute_recording),
            figures,
        }
    }

    /// Takes what was said, and gives what may be published of it, in this order: earlier utterances that turn out to hold
    /// a secret, then the one that was said. Mutes the secrets in the recording.
    pub fn hear(&self, utterance: Utterance) -> Vec<Left> {
        let Some(heard) = &self.heard else { return vec![Left { utterance, redacted: None }] };
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        let id = utterance.utterance_id;
        let Ok(mut left) = catch_unwind(AssertUnwindSafe(|| heard.redactor.push(&utterance))) else {
            tracing::error!("redaction panicked; an utterance is left out");
            heard.redactor = Redactor::new(self.policy.clone());
            let mut utterance = utterance;
            utterance.redact();
            return vec![Left { utterance, redacted: None }];
        };
        // The first half of a number goes before the second is there.
        left.reverse();
        left.into_iter().map(|one| self.settle(one, id, &mut heard.known)).collect()
    }

    /// Numbers what is left of an utterance, and says what is gone.
    fn settle(
        &self,
        left: sotto_insight::Redacted,
        said: UtteranceId,
        known: &mut BTreeMap<UtteranceId, Known>,
    ) -> Left {
        let sotto_insight::Redacted { mut utterance, secrets, mute } = left;
        let (utterance_id, party) = (utterance.utterance_id, utterance.party);
        let is_again = utterance_id != said;
        if secrets.is_empty() && !known.contains_key(&utterance_id) {
            return Left { utterance, redacted: None };
        }
        let known = known.entry(utterance_id).or_default();
        if utterance.r#final {
            known.ahead += u32::from(is_again);
            utterance.revision = utterance.revision.saturating_add(known.ahead);
        }
        let is_news = utterance.r#final || is_again || known.secrets != secrets;
        known.secrets.clone_from(&secrets);
        if secrets.is_empty() || !is_news {
            return Left { utterance, redacted: None };
        }
        // Where words that may still change were said is not known well enough to lose audio for it.
        let mute = if utterance.r#final { mute } else { Vec::new() };
        if let Some(recording) = &self.recording {
            mute.iter().for_each(|times| recording.mute(party, times.clone()));
        }
        if utterance.r#final {
            for (secret, count) in Secret::ALL.iter().zip(&self.figures.taken_out) {
                count.fetch_add(u64::from(secrets.contains(secret)), Relaxed);
            }
        }
        let muted = self.recording.is_some() && !mute.is_empty();
        let ranges = mute.into_iter().map(|times| TimeRange { start_ms: times.start, end_ms: times.end });
        let ranges = ranges.collect();
        Left { utterance, redacted: Some(Redacted { utterance_id, party, secrets, ranges, muted }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sotto_call::testing::{self, with_words};
    use sotto_call::{MASK, Millis, Party};

    fn utterance(id: u32, r#final: bool, revision: u32, text: &str) -> Utterance {
        with_words(Utterance { r#final, revision, ..testing::utterance(id, Party::Customer, text) }, 300)
    }

    fn redaction(config: &RedactionConfig) -> (Redaction, Arc<Figures>) {
        let figures = Arc::new(Figures::default());
        (Redaction::new(config, None, figures.clone()), figures)
    }

    /// Number, revision and text of each, and whether something is to be taken out.
    fn told(left: &[Left]) -> Vec<(u32, u32, &str, bool)> {
        let told = left.iter().map(|Left { utterance: said, redacted }| {
            (said.utterance_id.0, said.revision, said.text.as_str(), redacted.is_some())
        });
        told.collect()
    }

    #[test]
    fn a_secret_over_two_turns_is_taken_out_of_both_and_revisions_go_on_from_there() {
        let (redaction, figures) = redaction(&RedactionConfig::default());
        let first = redaction.hear(utterance(1, true, 0, "4242 4242"));
        assert_eq!(told(&first), [(1, 0, "4242 4242", false)]);
        let both = redaction.hear(utterance(2, true, 0, "4242 4242"));
        assert_eq!(told(&both), [(1, 1, MASK, true), (2, 0, MASK, true)]);
        let redacted = both[0].redacted.as_ref().unwrap();
        assert_eq!((redacted.secrets.as_slice(), redacted.muted), (&[Secret::Card][..], false));
        let range = TimeRange { start_ms: Millis(9_800), end_ms: Millis(10_800) };
        assert_eq!(redacted.ranges, [range]);
        // Recognition knows of no revision so far, and its first comes after ours.
        let revised = redaction.hear(utterance(1, true, 1, "it is 4242 4242"));
        assert_eq!(told(&revised), [(1, 2, "it is ••••", true)]);
        let harmless = redaction.hear(utterance(1, true, 2, "never mind"));
        assert_eq!(told(&harmless), [(1, 3, "never mind", false)]);
        let cards = figures.taken_out().find(|(secret, _)| *secret == Secret::Card).unwrap();
        assert_eq!(cards.1, 3);
        assert_eq!(figures.taken_out().map(|(_, count)| count).sum::<u64>(), 3);
    }

    #[test]
    fn of_partials_it_is_said_when_something_is_new_and_nothing_is_muted() {
        let (redaction, _) = redaction(&RedactionConfig::default());
        let mut told = Vec::new();
        for text in
            ["card number", "card number 4242 4", "card number 4242 4242 4", "card number 4242 4242 4 so"]
        {
            let left = redaction.hear(utterance(1, false, 0, text));
            assert_eq!(left.len(), 1);
            if let Some(redacted) = &left[0].redacted {
                assert_eq!(redacted.ranges, []);
            }
            told.push((left[0].utterance.text.clone(), left[0].redacted.is_some()));
        }
        let expected = [
            ("card number", false),
            ("card number ••••", true),
            ("card number ••••", false),
            ("card number •••• so", false),
        ];
        assert_eq!(told, expected.map(|(text, is_told)| (text.to_owned(), is_told)));
        let settled = redaction.hear(utterance(1, true, 0, "card number 4242 4242 4242 4242"));
        assert!(settled[0].redacted.as_ref().is_some_and(|redacted| redacted.ranges.len() == 1));
    }

    #[test]
    fn what_is_switched_off_stays() {
        let said = "card number 4242 4242 4242 4242, and my PIN is 4821";
        let off = RedactionConfig { enabled: false, ..RedactionConfig::default() };
        assert_eq!(told(&redaction(&off).0.hear(utterance(1, true, 0, said))), [(1, 0, said, false)]);
        let pins = RedactionConfig { kinds: vec![Secret::Password], ..RedactionConfig::default() };
        let left = redaction(&pins).0.hear(utterance(1, true, 0, said));
        assert_eq!(told(&left), [(1, 0, "card number 4242 4242 4242 4242, and my PIN is ••••", true)]);
        assert_eq!(RedactionConfig::default().secrets_in(said), [Secret::Card, Secret::Password]);
        // A language model is sent none of it all the same.
        for config in [&RedactionConfig::default(), &off, &pins] {
            assert_eq!(config.sendable(said).as_str(), "card number ••••, and my PIN is ••••");
        }
        assert_eq!((off.secrets_in(said), pins.secrets_in(said)), (vec![], vec![Secret::Password]));
        assert_eq!(pins.secrets_in("I want my money back, all 40 euros of it."), []);
        let left = RedactionConfig::default().without_secrets(said);
        assert!(left.contains(sotto_call::MASK) && !left.chars().any(|c| c.is_ascii_digit()), "{left}");
        assert_eq!(off.without_secrets(said), said);
        let four = RedactionConfig { keep_last_four: true, ..RedactionConfig::default() };
        let left = redaction(&four).0.hear(utterance(1, true, 0, "4242 4242 4242 4242"));
        assert_eq!(left[0].utterance.text, "•••• 4242");
    }
}
