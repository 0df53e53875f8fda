//! The network as an ONNX graph over weights in another file.

use super::{BLOCK, Content, Dims, Stored};
use crate::onnx_proto::{Builder, FLOAT, INT4, INT32, INT64, MICROSOFT, Tensor, UINT8, ValueInfo};

/// The epsilon of BERT's normalisations.
const EPSILON: f32 = 1e-12;

/// The graph: `ids` and `mask` `[texts, tokens]` to `mean` `[texts, width]`, with its weights in `file`.
pub(super) fn build(dims: &Dims, tensors: &[Stored], file: &str) -> Vec<u8> {
    let mut graph = Builder::default();
    for tensor in tensors {
        let data_type = match tensor.content {
            Content::Nibbles { signed: true, .. } => INT4,
            Content::Nibbles { signed: false, .. } => UINT8,
            _ => FLOAT,
        };
        let dims = tensor.dims.iter().map(|side| *side as i64).collect();
        let (offset, length) = (tensor.offset, tensor.length);
        graph.tensors.push(Tensor::external(&tensor.name, data_type, dims, file, offset, length));
    }
    for (name, value) in [("zero", 0), ("one", 1), ("two", 2)] {
        graph.tensors.push(Tensor::ints(name, &[value]));
    }

    // Tokens and positions.
    let axes = [("block_size", BLOCK as i64), ("gather_axis", 0), ("quantize_axis", 1)];
    graph.node(MICROSOFT, "GatherBlockQuantized", &["emb.word.q", "ids", "emb.word.s"], "words", &axes);
    graph.node("", "Shape", &["ids"], "length", &[("start", 1), ("end", 2)]);
    graph.node("", "Slice", &["emb.positions", "zero", "length", "zero"], "positions", &[]);
    graph.node("", "Add", &["words", "positions"], "embedded", &[]);
    graph.normalise("embedded", "emb.ln", EPSILON, "layer0");
    graph.node("", "Cast", &["mask"], "mask32", &[("to", INT32.into())]);

    for layer in 0..dims.layers {
        let name = |part: &str| format!("l{layer}.{part}");
        let input = format!("layer{layer}");
        let Dims { width, inner, .. } = *dims;
        for matrix in ["q", "k", "v"] {
            multiply(&mut graph, &input, &name(matrix), None, width, width);
        }
        graph.node(
            MICROSOFT,
            "MultiHeadAttention",
            &[&name("q.out"), &name("k.out"), &name("v.out"), &name("qkv.b"), "mask32"],
            &name("attention"),
            &[("num_heads", dims.heads as i64)],
        );
        multiply(&mut graph, &name("attention"), &name("ao"), Some(&name("ao.b")), width, width);
        graph.node("", "Add", &[&name("ao.out"), &input], &name("attended"), &[]);
        graph.normalise(&name("attended"), &name("aln"), EPSILON, &name("middle"));
        multiply(&mut graph, &name("middle"), &name("fi"), Some(&name("fi.b")), inner, width);
        graph.node("", "Gelu", &[&name("fi.out")], &name("gelu"), &[]);
        multiply(&mut graph, &name("gelu"), &name("fo"), Some(&name("fo.b")), width, inner);
        graph.node("", "Add", &[&name("fo.out"), &name("middle")], &name("fed"), &[]);
        graph.normalise(&name("fed"), &name("oln"), EPSILON, &format!("layer{}", layer + 1));
    }

    // The mean over the tokens that the mask keeps.
    graph.node("", "Cast", &["mask"], "weights", &[("to", FLOAT.into())]);
    graph.node("", "Unsqueeze", &["weights", "two"], "columns", &[]);
    graph.node("", "ReduceSum", &["weights", "one"], "tokens", &[("keepdims", 1)]);
    graph.node("", "Mul", &[&format!("layer{}", dims.layers), "columns"], "kept", &[]);
    graph.node("", "ReduceSum", &["kept", "one"], "sum", &[("keepdims", 0)]);
    graph.node("", "Div", &["sum", "tokens"], "mean", &[]);

    let texts = Err("texts");
    let input = |name| ValueInfo::new(name, INT64, &[texts, Err("tokens")]);
    let output = ValueInfo::new("mean", FLOAT, &[texts, Ok(dims.width as i64)]);
    graph.finish("e5", vec![input("ids"), input("mask")], vec![output])
}

/// A product with the four-bit matrix `name`, `[n, k]`, into `name.out`.
fn multiply(graph: &mut Builder, input: &str, name: &str, bias: Option<&str>, n: usize, k: usize) {
    let sizes = [("N", n as i64), ("K", k as i64), ("bits", 4), ("block_size", BLOCK as i64)];
    let (weights, scales) = (format!("{name}.q"), format!("{name}.s"));
    let mut inputs = vec![input, &weights, &scales];
    if let Some(bias) = bias {
        // No zero points: eight. No order of groups.
        inputs.extend(["", "", bias]);
    }
    graph.node(MICROSOFT, "MatMulNBits", &inputs, &format!("{name}.out"), &sizes);
}
