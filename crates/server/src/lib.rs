//! HTTP, WebSocket, sign-in, configuration; wires everything.

pub mod alerts;
pub mod analysis;
pub mod audit;
pub mod calls;
pub mod cli;
pub mod config;
pub mod desk;
pub mod documents;
pub mod figures;
pub mod http;
pub mod hub;
pub mod insight;
pub mod intents;
pub mod library;
pub mod logging;
pub mod metrics;
pub mod moods;
pub mod needs;
pub mod pace;
pub mod people;
pub mod player;
pub mod prompts;
pub mod redaction;
pub mod retention;
pub mod streams;
pub mod summary;
