//! What remains of a call when it is over, drawn from its ordered log alone: a [`CallInsight`], and its [`Quality`] by a
//! [`Scorecard`]. The same log gives the same, whenever it is read.
//!
//! Pure logic: no sockets, no clock, no database, and no language model. Nothing is written by us: summaries are sentences
//! that were said, values are what the cited words say, and a [`Citation`] can only be made of final words of the log.
//! What a language model says of a call is a [`Draft`], of which only what those words bear out is taken in.
//! [`check()`] holds an insight against a log, however it came about. Where people judge instead, [`Agreement`] says how far
//! they come to the same.

mod actions;
mod agreement;
mod bullets;
mod check;
mod insight;
mod named;
mod rules;
mod scorecard;
mod transcript;
mod written;

pub use agreement::Agreement;
pub use check::{Checked, check};
pub use insight::{
    ActionType, Arc, Because, BulletEvidence, CallInsight, Channel, EntityFields, Evidence, Field, LeadStage,
    Named, NextAction, Sentiment, Urgency,
};
pub use scorecard::{Area, Judgement, NotJudged, Quality, Scorecard, ScorecardError};
pub use transcript::Citation;
pub use written::{Claim, Draft, FoundAction, FoundEntity, Written};
