//! The part of ONNX's protobuf schema that our graphs need, and what makes them.
//!
//! Field numbers are those of `onnx.proto` (ONNX 1.16). What is left out here is optional there.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub struct Model {
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSet>,
}

/// The metadata of a model, which joins it when it is written behind it, as all of protobuf does.
#[derive(Clone, PartialEq, Message)]
pub struct Metadata {
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
pub struct OperatorSet {
    #[prost(string, tag = "1")]
    pub domain: String,
    #[prost(int64, tag = "2")]
    pub version: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<Node>,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Node {
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(string, tag = "4")]
    pub op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<Attribute>,
    #[prost(string, tag = "7")]
    pub domain: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(float, optional, tag = "2")]
    pub f: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    #[prost(int32, tag = "20")]
    pub r#type: i32,
}

impl Attribute {
    pub fn int(name: &str, i: i64) -> Self {
        Self { name: name.into(), i: Some(i), r#type: 2, ..Self::default() }
    }

    pub fn float(name: &str, f: f32) -> Self {
        Self { name: name.into(), f: Some(f), r#type: 1, ..Self::default() }
    }

    pub fn ints(name: &str, ints: &[i64]) -> Self {
        Self { name: name.into(), ints: ints.to_vec(), r#type: 7, ..Self::default() }
    }
}

#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    #[prost(string, tag = "8")]
    pub name: String,
    #[prost(bytes = "vec", optional, tag = "9")]
    pub raw_data: Option<Vec<u8>>,
    #[prost(message, repeated, tag = "13")]
    pub external_data: Vec<Entry>,
    #[prost(int32, tag = "14")]
    pub data_location: i32,
}

/// Data types of tensors.
pub const FLOAT: i32 = 1;
pub const UINT8: i32 = 2;
pub const INT32: i32 = 6;
pub const INT64: i32 = 7;
pub const INT4: i32 = 22;

impl Tensor {
    /// Numbers inside the graph, as little-endian bytes.
    pub fn inside(name: &str, data_type: i32, dims: &[usize], raw_data: Vec<u8>) -> Self {
        Self {
            dims: dims.iter().map(|side| *side as i64).collect(),
            data_type,
            name: name.into(),
            raw_data: Some(raw_data),
            external_data: vec![],
            data_location: 0,
        }
    }

    /// The same, of integers.
    pub fn ints(name: &str, values: &[i64]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self::inside(name, INT64, &[values.len()], bytes)
    }

    /// The same, of single precision.
    pub fn floats(name: &str, dims: &[usize], values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self::inside(name, FLOAT, dims, bytes)
    }

    /// Numbers in another file, in the same folder as the graph.
    pub fn external(
        name: &str,
        data_type: i32,
        dims: Vec<i64>,
        file: &str,
        offset: usize,
        length: usize,
    ) -> Self {
        let entry = |key: &str, value: String| Entry { key: key.into(), value };
        Self {
            dims,
            data_type,
            name: name.into(),
            raw_data: None,
            external_data: vec![
                entry("location", file.into()),
                entry("offset", offset.to_string()),
                entry("length", length.to_string()),
            ],
            data_location: 1,
        }
    }
}

#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct ValueInfo {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<Type>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Type {
    #[prost(message, optional, tag = "1")]
    pub tensor: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
pub struct TensorType {
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Shape {
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Dimension {
    #[prost(int64, optional, tag = "1")]
    pub value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub param: Option<String>,
}

impl ValueInfo {
    /// An input or output: every dimension is a number or a name.
    pub fn new(name: &str, elem_type: i32, dims: &[Result<i64, &str>]) -> Self {
        let dim = dims
            .iter()
            .map(|dim| Dimension { value: dim.ok(), param: dim.err().map(str::to_owned) })
            .collect();
        let tensor = TensorType { elem_type, shape: Some(Shape { dim }) };
        Self { name: name.into(), r#type: Some(Type { tensor: Some(tensor) }) }
    }
}

/// Where ONNX Runtime's own operators live.
pub const MICROSOFT: &str = "com.microsoft";

/// A graph in the making: nodes in the order in which they are computed.
#[derive(Default)]
pub struct Builder {
    pub tensors: Vec<Tensor>,
    nodes: Vec<Node>,
}

impl Builder {
    /// A node with one output, which it is named by.
    pub fn node(
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

    /// Normalises the last axis by the vectors `name.w` and `name.b`.
    pub fn normalise(&mut self, input: &str, name: &str, epsilon: f32, output: &str) {
        let (scale, bias) = (format!("{name}.w"), format!("{name}.b"));
        let inputs = [input, &scale, &bias];
        let node = self.node("", "LayerNormalization", &inputs, output, &[("axis", -1)]);
        node.attribute.push(Attribute::float("epsilon", epsilon));
    }

    /// The model.
    pub fn finish(self, name: &str, input: Vec<ValueInfo>, output: Vec<ValueInfo>) -> Vec<u8> {
        let graph = Graph { node: self.nodes, name: name.into(), initializer: self.tensors, input, output };
        let version = |domain: &str, version| OperatorSet { domain: domain.into(), version };
        // Version 10 and operator set 21 are the first with four-bit tensors.
        let opset_import = vec![version("", 21), version(MICROSOFT, 1)];
        Model { ir_version: 10, graph: Some(graph), opset_import }.encode_to_vec()
    }
}
