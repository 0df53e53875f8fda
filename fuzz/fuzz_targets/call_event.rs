//! A line of a call's log that somebody else wrote: what is understood is written the same way again, and no
//! order of events breaks the state of a call.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sotto_call::{CallEvent, CallState};

fuzz_target!(|bytes: &[u8]| {
    let mut state = CallState::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(event) = serde_json::from_slice::<CallEvent>(line) else { continue };
        let written = serde_json::to_string(&event).expect("an event is written as it was read");
        assert_eq!(serde_json::from_str::<CallEvent>(&written).expect("our own line"), event);
        state.apply(&event);
    }
});
