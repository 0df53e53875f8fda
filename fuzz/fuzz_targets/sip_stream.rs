//! A stream from anyone, in pieces: are messages cut the same way wherever the pieces end?
#![no_main]

use libfuzzer_sys::fuzz_target;
use sotto_sip::wire::{Framer, Piece};

fn cut(bytes: &[u8], size: usize) -> Vec<Piece> {
    let mut framer = Framer::default();
    let mut pieces = Vec::new();
    for chunk in bytes.chunks(size.max(1)) {
        framer.push(chunk);
        while let Some(piece) = framer.next_piece() {
            // After this the stream is closed.
            let is_broken = matches!(piece, Piece::Broken(_));
            pieces.push(piece);
            if is_broken {
                return pieces;
            }
        }
    }
    pieces
}

fuzz_target!(|bytes: &[u8]| {
    let messages = |pieces: Vec<Piece>| -> Vec<Vec<u8>> {
        pieces.into_iter().filter_map(|p| if let Piece::Message(m) = p { Some(m) } else { None }).collect()
    };
    let size = bytes.first().map_or(1, |b| usize::from(*b));
    assert_eq!(messages(cut(bytes, size)), messages(cut(bytes, bytes.len())));
});
