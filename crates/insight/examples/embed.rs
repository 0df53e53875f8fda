//! Embeds a text file, a line a text, into a NumPy array: what `crates/insight/training` learns from.
//!
//! `cargo run --release -p sotto-insight --example embed -- multilingual|english TEXTS ARRAY.npy`

use std::fs;
use std::io::{BufWriter, Write};

use anyhow::bail;
use sotto_insight::{Embedder, EmbeddingModel, Purpose};
use sotto_models::{Cache, Console};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, texts, array] = arguments.as_slice() else {
        bail!("embed multilingual|english TEXTS ARRAY.npy")
    };
    let model: EmbeddingModel = serde_json::from_value(model.as_str().into())?;
    let texts = fs::read_to_string(texts)?;
    let texts: Vec<&str> = texts.lines().collect();
    let cache = Cache::open(None)?;
    let mut progress = Console::default();
    let (onnx, file) = (cache.onnx(&mut progress)?, cache.require(model.artefact(), &mut progress)?);
    let embeddings = Embedder::open(&onnx, model, &file, 1)?.embed(Purpose::Query, &texts)?;

    let width = embeddings.first().map_or(0, |embedding| embedding.len());
    let shape = format!("({}, {width})", embeddings.len());
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    // The header ends at a multiple of 64, as NumPy asks.
    let header = format!("{header:<width$}\n", width = (header.len() + 11).next_multiple_of(64) - 11);
    let mut out = BufWriter::new(fs::File::create(array)?);
    out.write_all(b"\x93NUMPY\x01\x00")?;
    out.write_all(&u16::try_from(header.len())?.to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    for number in embeddings.iter().flat_map(|embedding| embedding.iter()) {
        out.write_all(&number.to_le_bytes())?;
    }
    Ok(out.flush()?)
}
