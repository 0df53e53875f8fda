//! A browser's offer, or a client's fragment of one: is what is handed to the stack one section of voice, going the way
//! that was wanted?
#![no_main]

use libfuzzer_sys::fuzz_target;
use sotto_webrtc::{Direction, Fragment, Offer};

fuzz_target!(|text: &str| {
    // What is put right is a little longer, and must not be too long by that.
    if text.len() > 8_192 {
        return;
    }
    for (wanted, attribute) in [
        (Direction::Both, "a=sendrecv"),
        (Direction::Sends, "a=sendonly"),
        (Direction::Receives, "a=sendrecv"),
    ] {
        let Ok(offer) = Offer::read(text, wanted) else { continue };
        assert_eq!(offer.sdp.lines().filter(|line| line.starts_with("m=")).count(), 1);
        assert_eq!(offer.sdp.lines().last(), Some(attribute));
        let again = Offer::read(&offer.sdp, wanted).expect("what has been put right is right");
        assert_eq!((again.sdp, again.codec, again.ufrag), (offer.sdp, offer.codec, offer.ufrag));
    }
    if let Ok(fragment) = Fragment::read(text) {
        assert!(fragment.candidates.iter().all(|c| c.candidate.starts_with("candidate:")));
    }
});
