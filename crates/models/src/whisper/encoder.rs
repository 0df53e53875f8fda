//! A Whisper model's encoder as an ONNX graph, made from the GGML file that whisper.cpp decodes with.
//!
//! ONNX Runtime computes it in single precision in a third of the time that whisper.cpp takes with weights in bytes
//! (BENCHMARKS.md).

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use ort::session::Session;

use super::ggml::{self, TensorHead};
use super::{Dims, FormatError, limit};
use crate::onnx_proto::{Attribute, Builder, FLOAT, MICROSOFT, Tensor, ValueInfo};
use crate::{ModelError, Onnx};

/// PyTorch's, which Whisper was trained with.
const EPSILON: f32 = 1e-5;
/// More layers than any Whisper model has (large: 32).
const MAX_LAYERS: u32 = 64;
/// Bytes of an encoder in single precision. Every session has them for itself, and there is one for every two decodes: those
/// of `small` (352 MB) can be had, those of `medium` (1.2 GB) cannot, and no session reads more than 2 GB, which
/// `large-v3-turbo` has.
const MAX_BYTES: u64 = 512 << 20;

/// An encoder that sessions can be opened of.
#[derive(Debug)]
pub struct Encoder {
    onnx: Onnx,
    graph: Vec<u8>,
}

impl Encoder {
    /// Reads the encoder of a GGML file.
    ///
    /// # Errors
    /// [`ModelError`] when the file cannot be read, is damaged, keeps weights in a way that is not known here, or has more
    /// of them than every session could have for itself.
    pub fn read(onnx: &Onnx, path: &Path) -> Result<Self, ModelError> {
        let file = File::open(path).map_err(|source| ModelError::Io { path: path.to_owned(), source })?;
        let graph = graph(&mut BufReader::new(file))
            .map_err(|error| ModelError::Onnx(format!("{}: {error}", path.display())))?;
        Ok(Self { onnx: onnx.clone(), graph })
    }

    /// Opens a session that computes on so many threads, of which one is its caller's. It takes `mel`,
    /// `[1, bands, frames]` with an even number of frames, at most twice the model's positions, and gives `encoded`,
    /// `[1, frames / 2, width]`.
    ///
    /// # Errors
    /// [`ModelError::Onnx`] when the runtime refuses the graph.
    pub fn session(&self, threads: usize) -> Result<Session, ModelError> {
        self.onnx.session_from(&self.graph, Path::new("."), threads)
    }
}

/// The graph of a GGML file's encoder.
pub(crate) fn graph(file: &mut impl io::Read) -> Result<Vec<u8>, FormatError> {
    let dims = ggml::head(file, &mut io::sink(), |_| Ok(()))?;
    limit("an encoder's size in single precision", bytes(&dims), MAX_BYTES)?;
    let mut weights = Weights::default();
    ggml::tensors(file, |tensor, input| weights.read(tensor, input))?;
    let mut made = Making { graph: Builder::default(), weights };
    made.encoder(&dims)?;
    let bands = i64::from(dims.n_mels);
    let width = i64::from(dims.n_audio_state);
    let input = ValueInfo::new("mel", FLOAT, &[Ok(1), Ok(bands), Err("frames")]);
    let output = ValueInfo::new("encoded", FLOAT, &[Ok(1), Err("positions"), Ok(width)]);
    Ok(made.graph.finish("whisper-encoder", vec![input], vec![output]))
}

/// Bytes that an encoder's matrices take in single precision, beside which its vectors are little.
fn bytes(dims: &Dims) -> u64 {
    let [bands, width] = [dims.n_mels, dims.n_audio_state].map(u64::from);
    let positions = u64::from(dims.n_audio_ctx) * width;
    let convolutions = (3 * width).saturating_mul(bands + width);
    // Four of attention, and two that are four times as large.
    let layers = (12 * u64::from(dims.n_audio_layer)).saturating_mul(width * width);
    layers.saturating_add(convolutions).saturating_add(positions).saturating_mul(4)
}

/// The encoder's tensors by name, without `encoder.`.
#[derive(Default)]
struct Weights(HashMap<String, (Vec<usize>, Vec<f32>)>);

impl Weights {
    fn read(&mut self, tensor: &TensorHead, input: &mut impl io::Read) -> Result<(), FormatError> {
        let Some(name) = tensor.name.strip_prefix("encoder.") else { return tensor.skip(input) };
        let shape = tensor.sides.iter().rev().map(|side| *side as usize).collect();
        self.0.insert(name.to_owned(), (shape, tensor.weights(input)?));
        Ok(())
    }

    /// A tensor of this shape, outermost first.
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, FormatError> {
        match self.0.remove(name) {
            Some((found, weights)) if found == shape => Ok(weights),
            Some((found, _)) => {
                Err(FormatError::invalid(format!("encoder.{name} is {found:?} and not {shape:?}")))
            }
            None => Err(FormatError::invalid(format!("the model has no encoder.{name}"))),
        }
    }
}

struct Making {
    graph: Builder,
    weights: Weights,
}

impl Making {
    fn encoder(&mut self, dims: &Dims) -> Result<(), FormatError> {
        let (bands, width) = (dims.n_mels as usize, dims.n_audio_state as usize);
        let heads = dims.n_audio_head;
        if heads == 0 || !dims.n_audio_state.is_multiple_of(heads) || dims.n_audio_layer > MAX_LAYERS {
            return Err(FormatError::invalid("the encoder has an unexpected shape"));
        }
        for (name, value) in [("zero", 0), ("one", 1)] {
            self.graph.tensors.push(Tensor::ints(name, &[value]));
        }
        self.convolve("mel", "conv1", bands, width, 1)?;
        self.convolve("conv1", "conv2", width, width, 2)?;
        let positions = self.weights.take("positional_embedding", &[dims.n_audio_ctx as usize, width])?;
        let shape = [1, dims.n_audio_ctx as usize, width];
        self.graph.tensors.push(Tensor::floats("all_positions", &shape, &positions));
        let turned = self.graph.node("", "Transpose", &["conv2"], "heard", &[]);
        turned.attribute.push(Attribute::ints("perm", &[0, 2, 1]));
        self.graph.node("", "Shape", &["heard"], "length", &[("start", 1), ("end", 2)]);
        self.graph.node("", "Slice", &["all_positions", "zero", "length", "one"], "positions", &[]);
        self.graph.node("", "Add", &["heard", "positions"], "layer0", &[]);
        for layer in 0..dims.n_audio_layer {
            self.layer(layer, width, i64::from(heads))?;
        }
        let last = format!("layer{}", dims.n_audio_layer);
        self.normalise(&last, "ln_post", width, "encoded")
    }

    fn layer(&mut self, layer: u32, width: usize, heads: i64) -> Result<(), FormatError> {
        let name = |part: &str| format!("blocks.{layer}.{part}");
        let out = |part: &str| format!("blocks.{layer}.{part}.out");
        let input = format!("layer{layer}");
        self.normalise(&input, &name("attn_ln"), width, &out("attn_ln"))?;
        for (part, has_bias) in [("attn.query", true), ("attn.key", false), ("attn.value", true)] {
            self.multiply(&out("attn_ln"), &name(part), width, width, has_bias)?;
        }
        let [query, key, value] = ["attn.query", "attn.key", "attn.value"].map(out);
        let heads = [("num_heads", heads)];
        let inputs = [query.as_str(), &key, &value];
        self.graph.node(MICROSOFT, "MultiHeadAttention", &inputs, &name("attended"), &heads);
        self.multiply(&name("attended"), &name("attn.out"), width, width, true)?;
        self.graph.node("", "Add", &[&input, &out("attn.out")], &name("middle"), &[]);
        self.normalise(&name("middle"), &name("mlp_ln"), width, &out("mlp_ln"))?;
        self.multiply(&out("mlp_ln"), &name("mlp.0"), width, 4 * width, true)?;
        self.graph.node("", "Gelu", &[&out("mlp.0")], &name("gelu"), &[]);
        self.multiply(&name("gelu"), &name("mlp.2"), 4 * width, width, true)?;
        self.graph.node("", "Add", &[&name("middle"), &out("mlp.2")], &format!("layer{}", layer + 1), &[]);
        Ok(())
    }

    /// Three frames of `from` bands to each of `to`, every `stride` frames, and what is left of that by GELU as `name`.
    fn convolve(
        &mut self,
        input: &str,
        name: &str,
        from: usize,
        to: usize,
        stride: i64,
    ) -> Result<(), FormatError> {
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        let weights = self.weights.take(&weight, &[to, from, 3])?;
        self.graph.tensors.push(Tensor::floats(&weight, &[to, from, 3], &weights));
        // A column in this format.
        let biases = self.weights.take(&bias, &[to, 1])?;
        self.graph.tensors.push(Tensor::floats(&bias, &[to], &biases));
        let whole = format!("{name}.whole");
        let node = self.graph.node("", "Conv", &[input, &weight, &bias], &whole, &[]);
        let sizes: [(&str, &[i64]); 3] = [("kernel_shape", &[3]), ("pads", &[1, 1]), ("strides", &[stride])];
        node.attribute.extend(sizes.map(|(name, value)| Attribute::ints(name, value)));
        self.graph.node("", "Gelu", &[&whole], name, &[]);
        Ok(())
    }

    fn normalise(&mut self, input: &str, name: &str, width: usize, out: &str) -> Result<(), FormatError> {
        for (part, of) in [("w", "weight"), ("b", "bias")] {
            let vector = self.weights.take(&format!("{name}.{of}"), &[width])?;
            self.graph.tensors.push(Tensor::floats(&format!("{name}.{part}"), &[width], &vector));
        }
        self.graph.normalise(input, name, EPSILON, out);
        Ok(())
    }

    /// `input` times the matrix `name`, and its bias, as `name.out`.
    fn multiply(
        &mut self,
        input: &str,
        name: &str,
        from: usize,
        to: usize,
        has_bias: bool,
    ) -> Result<(), FormatError> {
        let rows = self.weights.take(&format!("{name}.weight"), &[to, from])?;
        let (weight, bias, out) = (format!("{name}.weight"), format!("{name}.bias"), format!("{name}.out"));
        if has_bias {
            let vector = self.weights.take(&bias, &[to])?;
            self.graph.tensors.push(Tensor::floats(&bias, &[to], &vector));
        }
        let columns = turned(&rows, from);
        self.graph.tensors.push(Tensor::floats(&weight, &[from, to], &columns));
        if has_bias {
            let product = format!("{name}.product");
            self.graph.node("", "MatMul", &[input, &weight], &product, &[]);
            self.graph.node("", "Add", &[&product, &bias], &out, &[]);
        } else {
            self.graph.node("", "MatMul", &[input, &weight], &out, &[]);
        }
        Ok(())
    }
}

/// Rows of `width` as columns.
fn turned(rows: &[f32], width: usize) -> Vec<f32> {
    (0..width).flat_map(|at| rows.chunks_exact(width).map(move |row| row[at])).collect()
}
