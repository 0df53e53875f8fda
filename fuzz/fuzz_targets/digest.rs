//! The value of an `Authorization` header, and of a challenge: nobody gets in with it, and what answers it is for it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|value: &str| sotto_sip::fuzz::digest(value));
