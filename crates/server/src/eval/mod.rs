//! Scoring transcripts against what was really said.

pub mod normalise;
pub mod score;
