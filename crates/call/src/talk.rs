//! How a call's time went: who spoke for how long, and when nobody or both did.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Millis, Party};

/// See [`EventBody::Talk`](crate::EventBody::Talk).
///
/// These are figures of the call, by the times of final words alone. They say nothing of how anybody feels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Talk {
    /// Everybody who spoke.
    pub parties: Vec<PartyTalk>,
    /// How long two or more spoke at once.
    pub overlap_ms: Millis,
    /// How long nobody spoke, from the first word to the last, without the time on hold.
    pub silence_ms: Millis,
    /// Of this the silences that were long: dead air.
    pub dead_air_ms: Millis,
}

/// What one party had of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct PartyTalk {
    /// Who.
    pub party: Party,
    /// How long they spoke.
    pub talk_ms: Millis,
    /// How often they began while somebody else spoke, and went on beside them.
    pub interruptions: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CallEvent, CallState, EventBody};

    #[test]
    fn it_reads_as_it_was_written_and_is_part_of_the_state() {
        let agent = PartyTalk { party: Party::Agent, talk_ms: Millis(38_000), interruptions: 1 };
        let (overlap_ms, silence_ms, dead_air_ms) = (Millis(900), Millis(24_000), Millis(12_000));
        let talk = Talk { parties: vec![agent], overlap_ms, silence_ms, dead_air_ms };
        let body = EventBody::Talk(talk.clone());
        let expected = serde_json::json!({
            "kind": "talk", "parties": [{ "party": "agent", "talk_ms": 38_000, "interruptions": 1 }],
            "overlap_ms": 900, "silence_ms": 24_000, "dead_air_ms": 12_000,
        });
        assert_eq!(serde_json::to_value(&body).unwrap(), expected);
        assert_eq!(serde_json::from_value::<EventBody>(expected).unwrap(), body);
        assert_eq!(body.quotes(), None, "there are no words in it");
        let state = CallState::of([&CallEvent { seq: 1, at_ms: Millis(1), body }]);
        assert_eq!(state.talk, Some(talk));
    }
}
