//! HTTP and WebSocket as clients meet them, hostile ones included.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should say where")]

mod bench;
mod calls;
mod contacts;
mod drafts;
mod follow_ups;
mod gaps;
mod hostile;
mod imports;
mod intents;
mod knowledge;
mod live;
mod moods;
mod operation;
mod pathways;
mod payments;
mod phone;
mod preparation;
mod quality;
mod recording;
mod review;
mod rights;
mod session;
mod tickets;
mod webhooks;
mod whip;
