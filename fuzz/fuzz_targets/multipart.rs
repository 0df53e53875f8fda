//! A body of several parts from anyone: the first line is its content type.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sotto_sip::multipart::{MAX_PARTS, parts};

fuzz_target!(|bytes: &[u8]| {
    let at = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
    let (content_type, body) = bytes.split_at(at);
    if let Ok(parts) = parts(&String::from_utf8_lossy(content_type), None, body) {
        assert!(parts.len() <= MAX_PARTS);
        assert!(parts.iter().map(|part| part.body.len()).sum::<usize>() <= body.len());
    }
});
