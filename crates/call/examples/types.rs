//! Prints the TypeScript types of what a call is, so that the web page never types them twice:
//!
//! ```text
//! cargo run -p sotto-call --features ts --example types > web/src/lib/generated/call.ts
//! ```

use sotto_call::{
    ArcPoint, Arousal, Attention, AudioLost, CallEnded, CallEvent, CallId, CallStarted, CallState, Card,
    CardAnswer, CardAnswered, CardHeldBack, CardHeldBackBecause, CardNotShown, CardWhy, ChecklistItem,
    Consent, Dtmf, Emotion, EndReason, Entities, Entity, EntityKind, EventBody, FORMAT_VERSION, HeldBack,
    HeldBackBecause, Intent, LegEnded, LegStarted, Load, LostTo, MASK, MOST_OPEN_CARDS, Millis, Mood,
    Participant, Participants, Party, PartyChange, PartyTalk, Prompt, PromptAnswer, PromptAnswered,
    PromptKind, Quality, Quote, Redacted, Secret, Sentiment, Shedding, Source, Span, Step, Supervisor, Talk,
    TimeRange, Transferred, Trend, Turn, TurnDirection, Utterance, UtteranceId, VoiceMood, Withheld, Word,
    WordsMood,
};
use ts_rs::{Config, TS};

macro_rules! declare {
    ($($type:ty),* $(,)?) => {{
        let config = Config::default();
        $(println!("\nexport {}", <$type>::decl(&config));)*
    }};
}

fn main() {
    println!("// Generated from crates/call by its example `types`. Do not edit.");
    println!("\n/** The version of the event format that these types describe. */");
    println!("export const FORMAT_VERSION = {FORMAT_VERSION};");
    println!("\n/** What stands in a text in place of a secret. */");
    println!("export const MASK = '{MASK}';");
    println!("\n/** Cards that are open at the same time. */");
    println!("export const MOST_OPEN_CARDS = {MOST_OPEN_CARDS};");
    declare!(
        CallId,
        UtteranceId,
        Millis,
        Party,
        Quality,
        Source,
        Participant,
        Word,
        Utterance,
        Sentiment,
        Emotion,
        WordsMood,
        Trend,
        Arousal,
        ArcPoint,
        TurnDirection,
        Turn,
        VoiceMood,
        Mood,
        Consent,
        Intent,
        Span,
        EntityKind,
        Entity,
        Entities,
        Secret,
        TimeRange,
        Redacted,
        Quote,
        PromptKind,
        HeldBackBecause,
        HeldBack,
        Prompt,
        PromptAnswer,
        PromptAnswered,
        CardWhy,
        CardHeldBackBecause,
        CardHeldBack,
        CardNotShown,
        Card,
        CardAnswer,
        CardAnswered,
        Step,
        ChecklistItem,
        CallStarted,
        CallEnded,
        EndReason,
        LegStarted,
        LegEnded,
        PartyChange,
        Participants,
        Dtmf,
        Load,
        Shedding,
        Transferred,
        Attention,
        Supervisor,
        Withheld,
        AudioLost,
        LostTo,
        PartyTalk,
        Talk,
        EventBody,
        CallEvent,
        CallState,
    );
}
