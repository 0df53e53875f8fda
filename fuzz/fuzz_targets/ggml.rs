//! Whisper's weights in whisper.cpp's format, from anyone: they are read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| sotto_models::fuzz::ggml(bytes));
