//! What fuzz targets reach of what is not public.

use std::io;

use crate::fetch;
use crate::whisper::{encoder, quantize};

/// Reads a file in whisper.cpp's format twice: to make it smaller, and for its encoder.
pub fn ggml(bytes: &[u8]) {
    let _ = quantize::q8_0(&mut &*bytes, &mut io::sink());
    let _ = encoder::graph(&mut &*bytes);
}

/// Finds a file on a page of a package registry's index: its address.
pub fn find_link(page: &str, page_url: &str, file: &str) -> Option<String> {
    fetch::find_link(page, page_url, file)
}
