//! End to end: the real binary, real models, and peers that are not our own. One behaviour a module.
//!
//! Nothing here waits for a length of time and hopes: a test waits for what it wants to see, and the only clock
//! is the telephone call's own, which takes as long as it takes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod bench_itself;
mod browser;
mod contacts;
mod crash;
mod deaf;
mod hangup;
mod hostile;
mod insight;
mod knowledge;
mod legs;
mod limits;
mod live;
mod llm;
mod offline;
mod opus;
mod paths;
mod persian;
mod phone;
mod recordings;
mod shortages;
mod siprec;
mod srtp;
mod stores;
mod supervisors;
mod support;
mod talk;
mod tls;
mod transfer;
mod voicemail;
mod whip;
