//! By what a call that is over is found and counted, drawn from its log and from what it came to.

use std::collections::BTreeMap;

use sotto_call::{AudioLost, CallEvent, CallState, EventBody, LostTo, Millis, Participant, Party};
use sotto_insight::TalkMeter;
use sotto_review::{CallInsight, Quality, Sentiment};
use sotto_store::{CallFacts, CallSearch, CallSentiment, SaidRow};

use crate::people;

/// By what a call is found that comes to this: an insight in which moods are, if they are read, and a quality.
#[must_use]
pub fn of_call(
    state: &CallState,
    events: &[CallEvent],
    insight: &CallInsight,
    quality: &Quality,
) -> CallSearch {
    let said = state.finals().map(|said| SaidRow {
        utterance: said.utterance_id,
        party: said.party,
        at: said.start_ms,
        text: said.text.clone(),
    });
    let mut meter = TalkMeter::default();
    let mut facts = CallFacts {
        agent: state.started.as_ref().and_then(|started| agent(&started.participants)),
        intent: insight.intent().map(str::to_owned),
        intent_title: insight.intent_title().clone(),
        sentiment: insight.sentiment().map(|sentiment| match sentiment {
            Sentiment::Positive => CallSentiment::Positive,
            Sentiment::Neutral => CallSentiment::Neutral,
            Sentiment::Negative => CallSentiment::Negative,
        }),
        score: quality.total(),
        ..CallFacts::default()
    };
    for event in events {
        meter.apply(event);
        match &event.body {
            EventBody::Utterance(said) if said.r#final && said.revision == 0 => {
                facts.finals += 1;
                facts.latency_ms = facts.latency_ms + said.latency_ms;
                facts.words += said.words.len() as u64;
                facts.probability += said.words.iter().map(|word| f64::from(word.p)).sum::<f64>();
            }
            EventBody::AudioLost(AudioLost { to: LostTo::Speech, lost_ms, .. }) => {
                facts.lost_ms = facts.lost_ms + *lost_ms;
            }
            _ => {}
        }
    }
    if let Some(talk) = meter.talk() {
        let spoke: BTreeMap<Party, Millis> =
            talk.parties.iter().map(|party| (party.party, party.talk_ms)).collect();
        let of = |party: Party| spoke.get(&party).copied().unwrap_or_default();
        facts.agent_ms = of(Party::Agent);
        facts.customer_ms = of(Party::Customer);
        facts.silence_ms = talk.silence_ms;
    }
    CallSearch { facts, said: said.collect() }
}

/// What the agent among those who take part is called.
fn agent(participants: &[Participant]) -> Option<String> {
    participants.iter().find(|one| one.party == Party::Agent).and_then(called)
}

/// What somebody who takes part is called: by name, else by the user of their address; in the spelling of users' names where it
/// can be one, for by that it is known whose the call is.
pub(crate) fn called(one: &Participant) -> Option<String> {
    let user = one.aor.as_deref().map(|aor| {
        let address = aor.split_once(':').map_or(aor, |(_, address)| address);
        address.split(['@', ';', '?']).next().unwrap_or_default()
    });
    let mut names = [one.name.as_deref(), user].into_iter().flatten().map(str::trim);
    let called = names.find(|name| !name.is_empty())?;
    Some(people::name(called).unwrap_or_else(|_| called.to_owned()))
}

#[cfg(test)]
mod tests {
    use sotto_call::testing::utterance;
    use sotto_call::{CallLog, CallStarted, EndReason, Source, Utterance, UtteranceId, Word};
    use sotto_review::Scorecard;

    use super::*;

    fn one(party: Party, aor: Option<&str>, name: Option<&str>) -> Participant {
        Participant { party, aor: aor.map(str::to_owned), name: name.map(str::to_owned) }
    }

    #[test]
    fn an_agent_is_called_by_name_or_address() {
        let customer = one(Party::Customer, None, Some("Sara"));
        let of = |aor, name| agent(&[customer.clone(), one(Party::Agent, aor, name)]);
        assert_eq!(of(Some("sip:1002@pbx.example"), Some("Mina")).as_deref(), Some("mina"));
        assert_eq!(of(None, Some("Mina Karimi")).as_deref(), Some("Mina Karimi"));
        assert_eq!(of(Some("sip:1002@pbx.example;x"), Some(" ")).as_deref(), Some("1002"));
        assert_eq!(of(Some("tel:+98912"), None).as_deref(), Some("+98912"));
        assert_eq!(of(Some("sip:@x"), None), None);
        assert_eq!(agent(std::slice::from_ref(&customer)), None);
    }

    #[test]
    fn a_call_is_found_by_its_newest_words_and_counted_by_what_was_published_first() {
        let said = |id: u32, party, text: &str, revision, latency: u64| {
            EventBody::Utterance(Utterance {
                r#final: true,
                revision,
                start_ms: Millis(u64::from(id) * 1_000),
                end_ms: Millis(u64::from(id) * 1_000 + 500),
                latency_ms: Millis(latency),
                words: vec![Word { w: text.to_owned(), start_ms: Millis(0), end_ms: Millis(1), p: 0.5 }],
                ..utterance(id, party, text)
            })
        };
        let mut log = CallLog::default();
        let started = CallStarted {
            version: sotto_call::FORMAT_VERSION,
            source: Source::Sip,
            started_at_unix_ms: 1_000,
            external_id: "a".to_owned(),
            participants: vec![one(Party::Agent, None, Some("mina"))],
            language: None,
            bridged: false,
            parties_guessed: false,
            headers: Default::default(),
        };
        let lost = |to| EventBody::AudioLost(AudioLost { party: Party::Agent, to, lost_ms: Millis(20) });
        let events: Vec<CallEvent> = [
            EventBody::CallStarted(started),
            said(1, Party::Agent, "helo", 0, 300),
            said(2, Party::Customer, "hi", 0, 500),
            said(1, Party::Agent, "hello", 1, 9_000),
            said(3, Party::Customer, "uh", 0, 100),
            said(3, Party::Customer, "", 1, 100),
            lost(LostTo::Speech),
            lost(LostTo::Recording),
            EventBody::CallEnded(sotto_call::CallEnded {
                reason: EndReason::Hangup,
                duration_ms: Millis(9_000),
            }),
        ]
        .map(|body| log.append(Millis(9_000), body))
        .into();
        let state = CallState::of(&events);
        let insight = CallInsight::of_state(&state);
        let quality = Quality::of(&events, &Scorecard::built_in());
        let CallSearch { facts, said } = of_call(&state, &events, &insight, &quality);
        let words: Vec<_> = said.iter().map(|one| (one.utterance, one.party, one.text.as_str())).collect();
        assert_eq!(words, [(UtteranceId(1), Party::Agent, "hello"), (UtteranceId(2), Party::Customer, "hi")]);
        let expected = CallFacts {
            agent: Some("mina".to_owned()),
            score: quality.total(),
            agent_ms: Millis(500),
            customer_ms: Millis(500),
            silence_ms: Millis(500),
            finals: 3,
            latency_ms: Millis(900),
            words: 3,
            probability: 1.5,
            lost_ms: Millis(20),
            ..CallFacts::default()
        };
        assert_eq!(facts, expected);
    }
}
