//! What an agent's page and the desk say to each other, as JSON over a WebSocket.

use serde::{Deserialize, Serialize};
use sotto_call::{Attention, CallId};
use sotto_sip::DialError;
use sotto_webrtc::{Candidate, IceServer};

/// What an agent is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    /// Not to be rung.
    #[default]
    Away,
    /// Waits for a call.
    Ready,
    /// Is being rung.
    Ringing,
    /// Talks.
    Talking,
    /// Has talked, and writes down what is left to be written.
    WrapUp,
}

/// An agent who is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Who {
    /// Their name.
    pub name: String,
    /// What they are doing.
    pub state: AgentState,
    /// For how long.
    pub since_ms: u64,
    /// The call they are on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(as = "Option<String>", optional))]
    pub call_id: Option<CallId>,
}

/// Who calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Caller {
    /// Address of record.
    pub aor: Option<String>,
    /// Display name.
    pub name: Option<String>,
}

/// A caller who waits to be answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct InLine {
    /// Tells this caller from the others.
    pub id: u64,
    /// Who.
    pub from: Caller,
    /// The number called, or the agent's name.
    pub called: String,
    /// For how long.
    pub since_ms: u64,
    /// The agent whom it rings at.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub rings_at: Option<String>,
}

/// A call that goes on.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Ongoing {
    /// Its id.
    #[cfg_attr(feature = "ts", ts(type = "CallId"))]
    pub call_id: CallId,
    /// The customer.
    pub from: Caller,
    /// The customer hears music.
    pub held: bool,
    /// How long the call has lasted.
    pub since_ms: u64,
}

/// Said to an agent's page.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToPage {
    /// First of all.
    Hello {
        /// The agent.
        agent: String,
        /// What the agent is doing.
        state: AgentState,
        /// Whether calls can be placed.
        dials: bool,
        /// Servers that help to find a way to us.
        ice_servers: Vec<IceServer>,
        /// Through one of them alone.
        relay_only: bool,
        /// How calls can have come out.
        outcomes: Vec<String>,
        /// The call that the agent is on; its audio comes back with [`FromPage::Resume`].
        call: Option<Ongoing>,
        /// The call that the agent has just had.
        #[cfg_attr(feature = "ts", ts(type = "CallId | null"))]
        wraps_up: Option<CallId>,
    },
    /// The agent does something else now.
    State {
        /// What.
        state: AgentState,
    },
    /// A call for the agent.
    Ring {
        /// Names the ringing.
        ring: u64,
        /// Who calls.
        from: Caller,
        /// The number called.
        called: String,
        /// The agent who hands the call over, if one does.
        by: Option<String>,
    },
    /// It rings no more.
    StopRinging {
        /// Which ringing.
        ring: u64,
        /// Whether it rang for too long; otherwise the caller has given up.
        missed: bool,
    },
    /// The answer to the page's offer.
    Answer {
        /// Ours.
        sdp: String,
    },
    /// A way to reach us.
    Candidate {
        /// Which.
        candidate: Candidate,
    },
    /// The call has begun.
    Talking {
        /// Its id.
        #[cfg_attr(feature = "ts", ts(type = "CallId"))]
        call_id: CallId,
    },
    /// What becomes of the audio between the page and us.
    Media {
        /// What.
        state: MediaState,
    },
    /// The customer hears music, or the agent again.
    Held {
        /// Music.
        on: bool,
    },
    /// Who else the call may go to, or has come from.
    Colleague {
        /// The customer is this page's agent's; otherwise a colleague only asks for advice.
        in_charge: bool,
        /// Who is being rung.
        ringing: Option<String>,
        /// Who is on the call as well.
        with: Option<String>,
    },
    /// A supervisor is on the agent's call, does something else there, or has left.
    Supervisor {
        /// Who.
        name: String,
        /// What they do; absent when they have left.
        #[cfg_attr(feature = "ts", ts(type = "Attention | null"))]
        attention: Option<Attention>,
    },
    /// What the supervisor does on a call; absent when they are on none any more.
    Supervising {
        /// Which call.
        #[cfg_attr(feature = "ts", ts(type = "CallId"))]
        call_id: CallId,
        /// What.
        #[cfg_attr(feature = "ts", ts(type = "Attention | null"))]
        attention: Option<Attention>,
    },
    /// Another page of the same agent has the telephone now. Last of all.
    Replaced {},
    /// The call that the agent has placed does not come about. [`ToPage::Over`] follows, unless it was not even begun.
    CallFailed {
        /// Why not.
        reason: CallFailure,
    },
    /// The call is over.
    Over {},
    /// Something else that the page asked for is not done.
    Refused {
        /// Why not.
        why: String,
    },
}

/// See [`ToPage::Media`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum MediaState {
    /// It flows.
    Connected,
    /// Nothing has come for a while.
    Lost,
    /// It will not come back.
    Failed,
}

/// See [`ToPage::CallFailed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum CallFailure {
    /// The number is engaged.
    Busy,
    /// Nobody has answered in time.
    NoAnswer,
    /// There is no such number.
    NoNumber,
    /// The call is not taken, or not allowed.
    Refused,
    /// The trunk cannot be reached or has no line free, or there is no room for another call here.
    Unreachable,
    /// There is no trunk: no calls can be placed.
    NoTrunk,
}

impl From<&DialError> for CallFailure {
    /// What a status means to whoever has called (RFC 3261 section 21).
    fn from(error: &DialError) -> Self {
        match error {
            DialError::Number(_) => Self::NoNumber,
            DialError::NoAnswer => Self::NoAnswer,
            DialError::NoCodec => Self::Refused,
            DialError::Refused { status, .. } => match status {
                486 | 600 => Self::Busy,
                408 | 480 => Self::NoAnswer,
                404 | 410 | 484 | 604 => Self::NoNumber,
                500..600 => Self::Unreachable,
                _ => Self::Refused,
            },
            _ => Self::Unreachable,
        }
    }
}

/// Asked by an agent's page.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum FromPage {
    /// To be rung from now on.
    Ready {},
    /// Not to be rung.
    Away {},
    /// To take a call.
    Accept {
        /// Which ringing.
        ring: u64,
        /// The page's offer.
        sdp: String,
    },
    /// To call a number.
    Call {
        /// Which.
        number: String,
        /// The page's offer.
        sdp: String,
    },
    /// Not to take a call, and to be away.
    Decline {
        /// Which ringing.
        ring: u64,
    },
    /// A way to reach the page.
    Candidate {
        /// Which.
        candidate: Candidate,
    },
    /// To have the audio of the call that the agent is on: the page was loaded anew, or its address has changed.
    Resume {
        /// The page's offer: of a new connection, or of the one that it has, with new ICE credentials (a restart).
        sdp: String,
    },
    /// To let the customer hear music, or the agent again.
    Hold {
        /// Music.
        on: bool,
    },
    /// To let a colleague have the call.
    Transfer {
        /// An agent's name, a number of ours, or one outside.
        to: String,
        /// To talk with the colleague first, while the customer hears music.
        consult: bool,
    },
    /// To leave the call to the colleague who has come to it.
    Complete {},
    /// To talk with the customer again instead.
    TakeBack {},
    /// To be on somebody's call, or to do something else there.
    Supervise {
        /// Which call.
        #[cfg_attr(feature = "ts", ts(type = "CallId"))]
        call_id: CallId,
        /// What to do there.
        #[cfg_attr(feature = "ts", ts(type = "Attention"))]
        attention: Attention,
        /// The page's offer, to come to the call; absent to change what one does there.
        sdp: Option<String>,
    },
    /// To leave somebody's call.
    Leave {},
    /// To end the call.
    HangUp {},
    /// Nothing.
    Ping {},
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_fails_says_why_in_one_word() {
        let refused = |status| DialError::Refused { status, reason: String::new() };
        for (error, word) in [
            (refused(486), "busy"),
            (refused(600), "busy"),
            (refused(480), "no_answer"),
            (refused(408), "no_answer"),
            (DialError::NoAnswer, "no_answer"),
            (refused(404), "no_number"),
            (refused(410), "no_number"),
            (refused(484), "no_number"),
            (DialError::Number("x".into()), "no_number"),
            (refused(403), "refused"),
            (refused(603), "refused"),
            (DialError::NoCodec, "refused"),
            (refused(503), "unreachable"),
            (DialError::Unreachable, "unreachable"),
            (DialError::NoRoom, "unreachable"),
        ] {
            let said = serde_json::to_value(ToPage::CallFailed { reason: (&error).into() }).unwrap();
            assert_eq!(said, serde_json::json!({ "type": "call_failed", "reason": word }), "{error}");
        }
    }
}
