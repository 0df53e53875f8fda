//! How right a transcript is, and how fast it was there: both texts are brought to one spelling ([`normalise`]), then
//! compared ([`score`]). No sockets, no clock, no audio: `sotto eval`, the figures and the tests share it.

pub mod normalise;
mod score;

pub use score::{
    Errors, Event, Percentiles, Score, ScoreError, Turn, cer, distance, read_events, read_turns, score, wer,
};
