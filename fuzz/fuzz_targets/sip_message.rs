//! A datagram from anyone: is it read, refused or dropped without harm, and is every answer itself a message?
#![no_main]

use libfuzzer_sys::fuzz_target;
use sotto_sip::wire::{Arrival, Screened, screen};

fuzz_target!(|bytes: &[u8]| {
    let source = ([192, 0, 2, 1], 5060).into();
    for arrival in [Arrival::Datagram, Arrival::Stream] {
        if let Screened::Refused(refused) = screen(bytes, arrival, source, &|_| "tag".to_owned()) {
            let answer = screen(&refused.answer, arrival, source, &|_| String::new());
            assert!(matches!(answer, Screened::Message(_)), "{}", String::from_utf8_lossy(&refused.answer));
        }
    }
});
