//! The network as an ONNX graph over weights in another file.

use prost::Message;

use super::onnx_proto::{
    Attribute, FLOAT, Graph, INT4, INT32, INT64, Model, Node, OperatorSet, Tensor, UINT8, ValueInfo,
};
use super::{BLOCK, Content, Dims, Stored};

/// Where ONNX Runtime's own operators live.
const MICROSOFT: &str = "com.microsoft";

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
    graph.normalise("embedded", "emb.ln", "layer0");
    graph.node("", "Cast", &["mask"], "mask32", &[("to", INT32.into())]);

    for layer in 0..dims.layers {
        let name = |part: &str| format!("l{layer}.{part}");
        let input = format!("layer{layer}");
        let Dims { width, inner, .. } = *dims;
        for matrix in ["q", "k", "v"] {
            graph.multiply(&input, &name(matrix), None, width, width);
        }
        graph.node(
            MICROSOFT,
            "MultiHeadAttention",
            &[&name("q.out"), &name("k.out"), &name("v.out"), &name("qkv.b"), "mask32"],
            &name("attention"),
            &[("num_heads", dims.heads as i64)],
        );
        graph.multiply(&name("attention"), &name("ao"), Some(&name("ao.b")), width, width);
        graph.node("", "Add", &[&name("ao.out"), &input], &name("attended"), &[]);
        graph.normalise(&name("attended"), &name("aln"), &name("middle"));
        graph.multiply(&name("middle"), &name("fi"), Some(&name("fi.b")), inner, width);
        graph.node("", "Gelu", &[&name("fi.out")], &name("gelu"), &[]);
        graph.multiply(&name("gelu"), &name("fo"), Some(&name("fo.b")), width, inner);
        graph.node("", "Add", &[&name("fo.out"), &name("middle")], &name("fed"), &[]);
        graph.normalise(&name("fed"), &name("oln"), &format!("layer{}", layer + 1));
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
    let graph = Graph {
        node: graph.nodes,
        name: "e5".into(),
        initializer: graph.tensors,
        input: vec![input("ids"), input("mask")],
        output: vec![ValueInfo::new("mean", FLOAT, &[texts, Ok(dims.width as i64)])],
    };
    let version = |domain: &str, version| OperatorSet { domain: domain.into(), version };
    // Version 10 and operator set 21 are the first with four-bit tensors.
    let opset_import = vec![version("", 21), version(MICROSOFT, 1)];
    Model { ir_version: 10, graph: Some(graph), opset_import }.encode_to_vec()
}

#[derive(Default)]
struct Builder {
    nodes: Vec<Node>,
    tensors: Vec<Tensor>,
}

impl Builder {
    fn node(
        &mut self,
        domain: &str,
        op_type: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[(&str, i64)],
    ) -> &mut Node {
        self.nodes.push(Node {
            input: inputs.iter().map(|input| (*input).to_owned()).collect(),
            output: vec![output.to_owned()],
            name: output.to_owned(),
            op_type: op_type.to_owned(),
            attribute: attributes.iter().map(|(name, value)| Attribute::int(name, *value)).collect(),
            domain: domain.to_owned(),
        });
        let last = self.nodes.len() - 1;
        &mut self.nodes[last]
    }

    /// A product with the four-bit matrix `name`, `[n, k]`, into `name.out`.
    fn multiply(&mut self, input: &str, name: &str, bias: Option<&str>, n: usize, k: usize) {
        let sizes = [("N", n as i64), ("K", k as i64), ("bits", 4), ("block_size", BLOCK as i64)];
        let (weights, scales) = (format!("{name}.q"), format!("{name}.s"));
        let mut inputs = vec![input, &weights, &scales];
        if let Some(bias) = bias {
            // No zero points: eight. No order of groups.
            inputs.extend(["", "", bias]);
        }
        self.node(MICROSOFT, "MatMulNBits", &inputs, &format!("{name}.out"), &sizes);
    }

    fn normalise(&mut self, input: &str, name: &str, output: &str) {
        let (scale, bias) = (format!("{name}.w"), format!("{name}.b"));
        let inputs = [input, &scale, &bias];
        let node = self.node("", "LayerNormalization", &inputs, output, &[("axis", -1)]);
        node.attribute.push(Attribute::float("epsilon", 1e-12));
    }
}
