//! A session description from anyone: does what was understood survive being written and read again, and is
//! every answer a description?
#![no_main]

use libfuzzer_sys::fuzz_target;
use sotto_audio::Codec;
use sotto_sip::negotiate::{accept, answer};
use sotto_sip::sdp::{Origin, Session};

fuzz_target!(|bytes: &[u8]| {
    let Ok(offer) = Session::parse(bytes) else { return };
    let _ = Session::parse(offer.to_string().as_bytes());
    let codecs = Codec::ALL;
    let taken: Vec<_> = accept(&offer, &codecs, 2).into_iter().zip([4_000, 4_002]).collect();
    let answer = answer(&offer, Origin::default(), &taken);
    assert_eq!(answer.media.len(), offer.media.len());
    let read = Session::parse(answer.to_string().as_bytes()).expect("our own answer");
    assert_eq!(read.media.len(), offer.media.len());
});
