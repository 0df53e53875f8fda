//! A request from anyone, read for what it asks: an INVITE with its bodies, keys in an INFO, a REFER, news in a NOTIFY.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| sotto_sip::fuzz::request(bytes));
