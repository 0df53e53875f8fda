//! A checkpoint from anyone, in both forms that Whisper's weights are published in: it is read or refused, and takes
//! no more memory than it has bytes for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sotto_models::whisper::{ct2, torch};

fuzz_target!(|bytes: &[u8]| {
    let _ = torch::read(bytes);
    let _ = ct2::read(bytes);
});
