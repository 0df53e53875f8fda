use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Card, CardAnswered, CardNotShown, ChecklistItem, Consent, Entities, Intent, Millis, Mood, Prompt,
    PromptAnswered, Redacted, Step, Talk,
};

/// The identity of a call: a UUID version 7, so that ids sort by the time calls began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(transparent)]
pub struct CallId(#[cfg_attr(feature = "ts", ts(type = "string"))] pub uuid::Uuid);

impl CallId {
    /// A new id for a call that begins now.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "two calls never give the same value")]
    pub fn new() -> Self {
        Self(uuid::Uuid::now_v7())
    }
}

impl std::fmt::Display for CallId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for CallId {
    type Err = uuid::Error;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        s.parse().map(Self)
    }
}

/// Identity of an utterance within its call, in the order utterances began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(transparent)]
pub struct UtteranceId(pub u32);

/// Who speaks on a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// The organisation's employee.
    Agent,
    /// The other side: the only party about whom anything is ever inferred.
    Customer,
    /// Someone else on the line, or not known.
    Other,
}

impl Party {
    /// The name used in JSON, URLs and file names.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Customer => "customer",
            Self::Other => "other",
        }
    }
}

/// What a person would say about the audio that comes from a party, or about ours there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// Nothing is missing.
    Good,
    /// Some of it is missing or comes unevenly; every word is understood.
    Fair,
    /// Words are missing.
    Poor,
}

/// Where a call's audio comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A SIPREC recording session (RFC 7866).
    Siprec,
    /// Plain SIP legs sent by a PBX.
    Sip,
    /// Legs brought by a WHIP client (RFC 9725).
    Whip,
    /// A recorded file.
    File,
}

/// One entry of a call's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct CallEvent {
    /// Position in the call's log, from 1, without gaps.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub seq: u64,
    /// When the event was published.
    pub at_ms: Millis,
    /// What happened.
    #[serde(flatten)]
    pub body: EventBody,
}

/// What happened in a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventBody {
    /// Always the first event.
    CallStarted(CallStarted),
    /// A party's audio has begun to be received.
    LegStarted(LegStarted),
    /// A party's audio has ended; its last words may still follow.
    LegEnded(LegEnded),
    /// Words, provisional or final.
    Utterance(Utterance),
    /// What the customer's words tell of their mood. There is none of anybody else.
    Mood(Mood),
    /// Whether the customer agrees that their mood is read.
    Consent(Consent),
    /// What the customer wants, of the intents that the organisation has named.
    Intent(Intent),
    /// What is named in an utterance: numbers, names, amounts, dates.
    Entities(Entities),
    /// Secrets were found in an utterance. What was said in it is taken out of all earlier events; the next event has what is
    /// left.
    Redacted(Redacted),
    /// Something that may help the agent now.
    Prompt(Prompt),
    /// What the agent, or a supervisor, says of a prompt.
    PromptAnswered(PromptAnswered),
    /// A passage of what is written down that may answer what the customer has asked.
    Card(Box<Card>),
    /// What the agent, or a supervisor, says of a card.
    CardAnswered(CardAnswered),
    /// Something was looked up for what the customer has said, and nothing of it is shown.
    CardHeldBack(CardNotShown),
    /// A step of a written procedure is done, or is not after all.
    Step(Step),
    /// Something that must be said on this call, or that the agent has said it.
    Checklist(ChecklistItem),
    /// Recording was paused by the other side (SIPREC), or a party was put on hold; the audio meanwhile is silence.
    Paused(PartyChange),
    /// Recording went on, or the party came back.
    Resumed(PartyChange),
    /// Who takes part has changed, or become known.
    Participants(Participants),
    /// A key the party pressed (RFC 4733).
    Dtmf(Dtmf),
    /// A party's place in the call has been given to somebody else.
    Transferred(Transferred),
    /// A supervisor has come to the call, does something else there, or has left.
    Supervisor(Supervisor),
    /// Something that is not for the one who reads, or that was not to be kept for as long as the call.
    Withheld(Withheld),
    /// Analysis is shedding load, or does so no longer. Audio and recording are not affected.
    Load(Load),
    /// Audio that did not reach speech recognition or the recording.
    AudioLost(AudioLost),
    /// How the call's time went, once all words are known. Absent where nobody said anything, or Sotto was killed.
    Talk(Talk),
    /// Always the last event.
    CallEnded(CallEnded),
}

/// See [`EventBody::CallStarted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct CallStarted {
    /// [`crate::FORMAT_VERSION`] of this log.
    pub version: u32,
    /// Where the audio comes from.
    pub source: Source,
    /// Wall-clock time of the call's clock's zero, in milliseconds since 1970 (UTC).
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub started_at_unix_ms: u64,
    /// The name others know the call by: SIP Call-ID, recording session id, file name.
    pub external_id: String,
    /// The participants known at the start.
    pub participants: Vec<Participant>,
    /// BCP 47 code of the language spoken; absent when it is detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The call goes through us, so that supervisors can come to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "ts", ts(as = "Option<bool>", optional))]
    pub bridged: bool,
    /// Who says what is a guess: both parties were on one channel, and were told apart by their voices.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "ts", ts(as = "Option<bool>", optional))]
    pub parties_guessed: bool,
    /// Headers of the call that the configuration keeps, by their configured names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "ts", ts(as = "Option<BTreeMap<String, String>>", optional))]
    pub headers: BTreeMap<String, String>,
}

/// A person on a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Participant {
    /// Which side they are on.
    pub party: Party,
    /// Address of record (`sip:1002@pbx.example`), when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aor: Option<String>,
    /// Display name, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// See [`EventBody::LegStarted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct LegStarted {
    /// Whose audio.
    pub party: Party,
    /// RTP encoding name (`PCMU`, `opus`), or the file's format.
    pub codec: String,
}

/// See [`EventBody::LegEnded`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct LegEnded {
    /// Whose audio.
    pub party: Party,
    /// RTP packets received.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub packets: u64,
    /// Packets that never came, or came too late.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub lost: u64,
}

/// Words one party spoke without a longer pause.
///
/// A partial (`final` false) replaces the partial before it. The final closes the utterance with revision 0;
/// a higher revision replaces the text, and an empty text takes the utterance back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Utterance {
    /// Which utterance.
    pub utterance_id: UtteranceId,
    /// Who speaks.
    pub party: Party,
    /// False while the words may still change.
    pub r#final: bool,
    /// 0 for the first final and for partials; grows with each revision.
    pub revision: u32,
    /// The words, with punctuation.
    pub text: String,
    /// How many characters (Unicode scalar values) of `text` are agreed on and will not change in later
    /// partials; all of them in a final.
    pub stable_chars: u32,
    /// Where speech begins.
    pub start_ms: Millis,
    /// Where speech ends; in a partial, how far it has been heard.
    pub end_ms: Millis,
    /// The words with their times.
    pub words: Vec<Word>,
    /// BCP 47 code of the language recognised.
    pub language: String,
    /// From the arrival of the last sample heard for this text to the publication of this event.
    pub latency_ms: Millis,
}

/// A word with its time and the model's confidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Word {
    /// The word as written in the text, punctuation included.
    pub w: String,
    /// Where it begins.
    pub start_ms: Millis,
    /// Where it ends.
    pub end_ms: Millis,
    /// Probability the model gave it, 0 to 1.
    pub p: f32,
}

/// See [`EventBody::Participants`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Participants {
    /// Everyone who is there from now on.
    pub participants: Vec<Participant>,
}

/// See [`EventBody::Paused`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct PartyChange {
    /// Whose audio; absent when all are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party: Option<Party>,
}

impl PartyChange {
    /// Whether a party is meant, by name or with all.
    #[must_use]
    pub fn concerns(&self, party: Party) -> bool {
        self.party.is_none_or(|one| one == party)
    }
}

/// See [`EventBody::Dtmf`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Dtmf {
    /// Who pressed it.
    pub party: Party,
    /// `0`-`9`, `*`, `#`, `A`-`D`.
    pub digit: char,
    /// How long it was held.
    pub duration_ms: Millis,
}

/// See [`EventBody::Transferred`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Transferred {
    /// Whose place: the agent's when a call is handed over, the customer's when their side puts us through.
    pub party: Party,
    /// Who has it now: an agent's name, or a number.
    pub to: String,
}

/// See [`EventBody::Supervisor`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Supervisor {
    /// Who.
    pub name: String,
    /// What they do from now on; absent when they have left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention: Option<Attention>,
}

/// See [`EventBody::Withheld`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Withheld {}

/// What a supervisor does on a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Attention {
    /// Hears both, and is heard by nobody.
    Listen,
    /// Is heard by the agent only.
    Whisper,
    /// Is heard by both.
    Barge,
}

/// What analysis gives up, least painful first. Calls and recordings are never given up.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Shedding {
    /// Nothing: every word appears in time.
    #[default]
    None,
    /// Revisions wait or are left out, partials are rarer.
    FewerPartials,
    /// No partials: words appear when the speaker pauses.
    NoPartials,
    /// Finals are late as well.
    LateFinals,
}

/// See [`EventBody::Load`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Load {
    /// What is given up from now on.
    pub shedding: Shedding,
    /// How far recognition is behind.
    pub behind_ms: Millis,
}

/// See [`EventBody::AudioLost`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct AudioLost {
    /// Whose audio.
    pub party: Party,
    /// Where it was meant to go.
    pub to: LostTo,
    /// How much.
    pub lost_ms: Millis,
}

/// Who did not get the audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum LostTo {
    /// Speech recognition.
    Speech,
    /// The recording.
    Recording,
}

/// See [`EventBody::CallEnded`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct CallEnded {
    /// Why.
    pub reason: EndReason,
    /// From the first sample to the hang-up.
    pub duration_ms: Millis,
}

/// Why a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// A party hung up, or the file was over.
    Hangup,
    /// No audio and no signalling for too long.
    Timeout,
    /// The agent's audio went away and did not come back.
    AgentLost,
    /// Sotto was stopped in an orderly way.
    Shutdown,
    /// Sotto was killed; found at the next start.
    Interrupted,
    /// Sotto failed at this call: the log ends there, though the parties may have talked on.
    Fault,
}
