//! Recording metadata from anyone, and updates to it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sotto_sip::metadata::Metadata;

fuzz_target!(|bytes: &[u8]| {
    let half = bytes.len() / 2;
    let (first, second) = (Metadata::parse(&bytes[..half]), Metadata::parse(&bytes[half..]));
    if let (Ok(mut metadata), Ok(update)) = (first, second) {
        metadata.merge(update);
        let _ = metadata.speaker("1");
    }
    if let Ok(metadata) = Metadata::parse(bytes) {
        let again = Metadata::parse(metadata.to_string().as_bytes());
        assert!(again.is_ok(), "{metadata:?}");
    }
});
