//! What an agent's page may say over its WebSocket: read as the server reads it.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the other half is what the server says")]
#[path = "../../crates/server/src/desk/messages.rs"]
mod messages;

fuzz_target!(|text: &str| {
    let Ok(asked) = serde_json::from_str::<messages::FromPage>(text) else { return };
    // What was understood is a message of a known kind, and nothing else was in it.
    let value: serde_json::Value = serde_json::from_str(text).expect("it was read before");
    assert!(value["type"].is_string(), "{asked:?}");
});
