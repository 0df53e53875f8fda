//! The sentence embedding multilingual-e5-small (100 languages, 384 numbers a text) in four bits a weight.
//!
//! A Python package serves it as `e5-small-q4.bin`, in a format of its own. [`convert`] lays the same weights
//! out as ONNX Runtime's `MatMulNBits` takes them; the vocabulary stays in front as it is. The graph, 30 kB of
//! ONNX, is made when the model is opened ([`open`]) and refers to the file, so that the runtime maps the
//! weights instead of copying them, and there is one file to check.

mod graph;
pub(crate) mod onnx_proto;
mod vocabulary;

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use half::f16;
use ort::session::Session;

use crate::format::{Bytes, FormatError, limit};
use crate::{ModelError, Onnx};
pub use vocabulary::Vocabulary;

/// Weights that share one scale.
const BLOCK: usize = 32;
/// Bytes of a block in the source: the scale in half precision, and half a byte a weight.
const BLOCK_BYTES: usize = 2 + BLOCK / 2;
/// What the source begins with, and what our form of it does.
const SOURCE_MAGIC: [u8; 4] = *b"E5S1";
const MAGIC: [u8; 4] = *b"SoE5";
/// More than the header, the vocabulary and the normaliser take (4.6 MB).
const MAX_HEAD: u64 = 16 << 20;
/// Tensors begin at multiples of this, for vector instructions.
const ALIGNMENT: usize = 64;

/// The size of the network. Its layers are those of BERT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Dims {
    /// Numbers a token.
    width: usize,
    layers: usize,
    heads: usize,
    /// Numbers a token inside the feed-forward part.
    inner: usize,
    /// Rows of the token table; a few more than there are pieces.
    rows: usize,
    /// Tokens a text may have.
    positions: usize,
    /// Token types; only the first is used.
    types: usize,
}

/// What stands before the weights.
#[derive(Debug)]
struct Head {
    dims: Dims,
    vocabulary: Vocabulary,
}

impl Head {
    fn read(input: &mut Bytes<'_>, magic: [u8; 4]) -> Result<Self, FormatError> {
        if input.array("the header")? != magic || input.u32("the header")? != 1 {
            return Err(FormatError::invalid("this is no e5 embedding of version 1"));
        }
        let mut size = |what, most| limit(what, input.u32("the header")?.into(), most);
        let dims = Dims {
            width: size("width", 4_096)?,
            layers: size("number of layers", 64)?,
            heads: size("number of heads", 64)?,
            inner: size("inner width", 16_384)?,
            rows: size("number of tokens", 1 << 19)?,
            positions: size("number of positions", 8_192)?,
            types: size("number of token types", 16)?,
        };
        // The epsilon of the normalisations; ours is in the graph.
        input.u32("the header")?;
        let block = input.u32("the header")? as usize;
        let blocked = |n: usize| n > 0 && n.is_multiple_of(BLOCK);
        if block != BLOCK
            || !blocked(dims.width)
            || !blocked(dims.inner)
            || dims.heads == 0
            || !dims.width.is_multiple_of(dims.heads)
            || dims.types == 0
        {
            return Err(FormatError::invalid("the embedding has an unexpected shape"));
        }
        let vocabulary = Vocabulary::read(input)?;
        if vocabulary.len() > dims.rows {
            return Err(FormatError::invalid("there are more pieces than rows of weights"));
        }
        Ok(Self { dims, vocabulary })
    }
}

/// A tensor of the finished file.
#[derive(Debug)]
struct Stored {
    name: String,
    content: Content,
    dims: Vec<usize>,
    offset: usize,
    length: usize,
}

/// How a tensor comes from tensors of the source.
#[derive(Debug)]
enum Content {
    /// The four-bit weights of a matrix, two in a byte, offset by eight or, for the token table, signed.
    Nibbles { of: String, signed: bool },
    /// A matrix's scales.
    Scales { of: String },
    /// Vectors, one after the other.
    Floats { of: Vec<String> },
    /// The position table, with the vector of the only token type in use added.
    Positions,
}

/// The finished file's tensors after a head of `head` bytes, and where the last ends.
fn layout(dims: &Dims, head: usize) -> (Vec<Stored>, usize) {
    let mut tensors = Vec::new();
    let mut end = head;
    let mut add = |name: String, content: Content, dims: Vec<usize>| {
        let count: usize = dims.iter().product();
        let length = match content {
            Content::Nibbles { signed: true, .. } => count / 2,
            Content::Nibbles { signed: false, .. } => count,
            _ => 4 * count,
        };
        let offset = end.next_multiple_of(ALIGNMENT);
        end = offset + length;
        tensors.push(Stored { name, content, dims, offset, length });
    };
    let floats = |of: &[&str]| Content::Floats { of: of.iter().map(|name| (*name).to_owned()).collect() };
    let Dims { width, inner, rows, positions, .. } = *dims;

    let words = || "emb.word".to_owned();
    add("emb.word.q".into(), Content::Nibbles { of: words(), signed: true }, vec![rows, width]);
    add("emb.word.s".into(), Content::Scales { of: words() }, vec![rows, width / BLOCK]);
    add("emb.positions".into(), Content::Positions, vec![positions, width]);
    for part in ["emb.ln.w", "emb.ln.b"] {
        add(part.into(), floats(&[part]), vec![width]);
    }
    for layer in 0..dims.layers {
        let name = |part: &str| format!("l{layer}.{part}");
        let biases = ["q.b", "k.b", "v.b"].map(name);
        add(name("qkv.b"), Content::Floats { of: biases.to_vec() }, vec![3 * width]);
        for (matrix, n, k) in [
            ("q", width, width),
            ("k", width, width),
            ("v", width, width),
            ("ao", width, width),
            ("fi", inner, width),
            ("fo", width, inner),
        ] {
            let of = name(&format!("{matrix}.w"));
            let scales = Content::Scales { of: of.clone() };
            let shape = vec![n, k / BLOCK, BLOCK / 2];
            add(name(&format!("{matrix}.q")), Content::Nibbles { of, signed: false }, shape);
            add(name(&format!("{matrix}.s")), scales, vec![n * k / BLOCK]);
        }
        for (vector, n) in [
            ("ao.b", width),
            ("fi.b", inner),
            ("fo.b", width),
            ("aln.w", width),
            ("aln.b", width),
            ("oln.w", width),
            ("oln.b", width),
        ] {
            add(name(vector), floats(&[&name(vector)]), vec![n]);
        }
    }
    (tensors, end)
}

/// Rewrites `e5-small-q4.bin` for ONNX Runtime. The same bytes give the same bytes.
///
/// # Errors
/// [`FormatError`] when the file is no such model, is damaged, or lacks a weight; or when `out` fails.
pub fn convert(source: &[u8], out: &mut impl Write) -> Result<(), FormatError> {
    let mut input = Bytes::new(source);
    let head = Head::read(&mut input, SOURCE_MAGIC)?;
    let head_len = source.len() - input.len();
    let weights = Weights { source, directory: directory(&mut input)? };
    let copied = source.get(MAGIC.len()..head_len).ok_or(FormatError::Truncated("the header"))?;
    out.write_all(&MAGIC)?;
    out.write_all(copied)?;
    let mut at = head_len;
    for tensor in layout(&head.dims, head_len).0 {
        let bytes = weights.bytes(&tensor, &head.dims)?;
        if bytes.len() != tensor.length {
            return Err(FormatError::invalid(format!("{} has not the size of its shape", tensor.name)));
        }
        out.write_all(&[0; ALIGNMENT][..tensor.offset - at])?;
        out.write_all(&bytes)?;
        at = tensor.offset + tensor.length;
    }
    Ok(())
}

/// Where the source keeps a tensor.
struct Place<'a> {
    name: &'a str,
    quantised: bool,
    offset: u64,
    bytes: u64,
}

fn directory<'a>(input: &mut Bytes<'a>) -> Result<Vec<Place<'a>>, FormatError> {
    let what = "the directory";
    let count = limit("number of tensors", input.u32(what)?.into(), 4_096)?;
    (0..count)
        .map(|_| {
            let len = input.u16(what)?;
            let name = crate::format::utf8(input.take(len.into(), what)?, "a tensor's name")?;
            let quantised = match input.u8(what)? {
                0 => false,
                1 => true,
                other => return Err(FormatError::invalid(format!("{name} has the unknown type {other}"))),
            };
            // How many elements: said again by the bytes.
            input.u32(what)?;
            Ok(Place { name, quantised, offset: input.u64(what)?, bytes: input.u64(what)? })
        })
        .collect()
}

struct Weights<'a> {
    source: &'a [u8],
    directory: Vec<Place<'a>>,
}

impl Weights<'_> {
    fn bytes(&self, tensor: &Stored, dims: &Dims) -> Result<Vec<u8>, FormatError> {
        match &tensor.content {
            Content::Nibbles { of, signed } => {
                // In two's complement, minus eight turns the top bit.
                let turn = if *signed { 0x88 } else { 0 };
                let pack = |block: &[u8; BLOCK_BYTES]| {
                    // The source keeps weight j beside weight j + 16, ONNX beside its neighbour.
                    let weight = |j: usize| match j.checked_sub(BLOCK / 2) {
                        None => block[2 + j] & 15,
                        Some(j) => block[2 + j] >> 4,
                    };
                    std::array::from_fn::<u8, { BLOCK / 2 }, _>(|j| {
                        (weight(2 * j) | weight(2 * j + 1) << 4) ^ turn
                    })
                };
                Ok(self.blocks(of)?.iter().flat_map(pack).collect())
            }
            Content::Scales { of } => {
                let scale = |block: &[u8; BLOCK_BYTES]| f16::from_le_bytes([block[0], block[1]]).to_f32();
                Ok(self.blocks(of)?.iter().flat_map(|block| scale(block).to_le_bytes()).collect())
            }
            Content::Floats { of } => of
                .iter()
                .map(|name| self.data(name, false))
                .collect::<Result<Vec<_>, _>>()
                .map(|v| v.concat()),
            Content::Positions => {
                let positions = self.data("emb.pos", false)?.as_chunks::<4>().0;
                let types = self.data("emb.type", false)?.as_chunks::<4>().0;
                let first = types.get(..dims.width).ok_or(FormatError::Truncated("emb.type"))?;
                let sum = |(a, b): (&[u8; 4], &[u8; 4])| {
                    (f32::from_le_bytes(*a) + f32::from_le_bytes(*b)).to_le_bytes()
                };
                Ok(positions.iter().zip(first.iter().cycle()).flat_map(sum).collect())
            }
        }
    }

    fn blocks(&self, name: &str) -> Result<&[[u8; BLOCK_BYTES]], FormatError> {
        let (blocks, rest) = self.data(name, true)?.as_chunks();
        if rest.is_empty() {
            Ok(blocks)
        } else {
            Err(FormatError::invalid(format!("{name} ends in a block")))
        }
    }

    fn data(&self, name: &str, quantised: bool) -> Result<&[u8], FormatError> {
        let place = self.directory.iter().find(|place| place.name == name && place.quantised == quantised);
        let place = place.ok_or_else(|| FormatError::invalid(format!("the model has no {name}")))?;
        let from = usize::try_from(place.offset).ok();
        let to = place.offset.checked_add(place.bytes).and_then(|to| usize::try_from(to).ok());
        from.zip(to)
            .and_then(|(from, to)| self.source.get(from..to))
            .ok_or(FormatError::Truncated("a tensor"))
    }
}

/// Opens a converted model: the network with `threads` threads of its own, and its vocabulary.
///
/// The session takes `ids` and `mask`, both `[texts, tokens]` of 64-bit integers, and gives `mean`,
/// `[texts, width]`: the mean of the last layer over the tokens whose mask is one.
///
/// # Errors
/// [`ModelError`] when the file cannot be read, is no such model, or does not load.
pub fn open(onnx: &Onnx, path: &Path, threads: usize) -> Result<(Session, Vocabulary), ModelError> {
    let io = |source| ModelError::Io { path: path.to_owned(), source };
    let mut start = Vec::new();
    let file = File::open(path).map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    file.take(MAX_HEAD).read_to_end(&mut start).map_err(io)?;
    let mut input = Bytes::new(&start);
    let wrong = |error: FormatError| ModelError::Onnx(format!("{}: {error}", path.display()));
    let head = Head::read(&mut input, MAGIC).map_err(wrong)?;
    let (tensors, end) = layout(&head.dims, start.len() - input.len());
    if size != end as u64 {
        return Err(wrong(FormatError::Truncated("the weights")));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let graph = graph::build(&head.dims, &tensors, &name);
    let folder = path.parent().unwrap_or(Path::new("."));
    Ok((onnx.session_from(&graph, folder, threads)?, head.vocabulary))
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::source;
