//! The sentence embedding all-MiniLM-L6-v2 (English, 384 numbers a text), its weights in eight bits.
//!
//! One Python package serves it as an ONNX model, whose weights become single precision when it is opened, and are
//! computed with as such; another serves its tokenizer. [`join`] puts the tokenizer into the model's metadata: there
//! is one file to fetch and to check, and whatever reads ONNX opens it.

use std::io::Write;
use std::path::Path;

use ort::session::Session;
use prost::Message;

use crate::format::{FormatError, utf8};
use crate::onnx_proto::{Entry, Metadata};
use crate::{ModelError, Onnx};

/// What the tokenizer is called in the metadata.
const TOKENIZER: &str = "tokenizer";

/// Writes an ONNX model with a tokenizer (`tokenizer.json`) in its metadata. The same bytes give the same bytes.
///
/// # Errors
/// [`FormatError`] when the tokenizer is no text, or `out` fails.
pub fn join(model: &[u8], tokenizer: &[u8], out: &mut impl Write) -> Result<(), FormatError> {
    let value = utf8(tokenizer, "the tokenizer")?.to_owned();
    let metadata = Metadata { metadata_props: vec![Entry { key: TOKENIZER.to_owned(), value }] };
    out.write_all(model)?;
    Ok(out.write_all(&metadata.encode_to_vec())?)
}

/// Opens what [`join`] wrote: the network with `threads` threads of its own, and its tokenizer in JSON.
///
/// The session takes `input_ids`, `attention_mask` and `token_type_ids`, all `[texts, tokens]` of 64-bit integers, and
/// gives `last_hidden_state`, `[texts, tokens, width]`.
///
/// # Errors
/// [`ModelError::Onnx`] when the file does not load, or there is no tokenizer in it.
pub fn open(onnx: &Onnx, path: &Path, threads: usize) -> Result<(Session, String), ModelError> {
    let session = onnx.session(path, threads)?;
    let tokenizer = session.metadata().ok().and_then(|metadata| metadata.custom(TOKENIZER));
    let without = || ModelError::Onnx(format!("{}: there is no tokenizer in it", path.display()));
    Ok((session, tokenizer.ok_or_else(without)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx_proto::Model;

    #[test]
    fn a_model_stays_what_it_is_and_has_its_tokenizer() {
        let model = Model { ir_version: 10, graph: None, opset_import: vec![] };
        let mut joined = Vec::new();
        join(&model.encode_to_vec(), "{\"é\": 1}".as_bytes(), &mut joined).unwrap();
        assert_eq!(Model::decode(&*joined).unwrap(), model);
        let metadata = Metadata::decode(&*joined).unwrap().metadata_props;
        assert_eq!(metadata, [Entry { key: "tokenizer".into(), value: "{\"é\": 1}".into() }]);
        assert!(join(b"", b"\xff", &mut joined).is_err());
    }
}
