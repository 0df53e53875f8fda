//! The part of ONNX's protobuf schema that a graph with weights in another file needs, and metadata.
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
    #[prost(int32, tag = "20")]
    pub r#type: i32,
}

impl Attribute {
    pub fn int(name: &str, i: i64) -> Self {
        Self { name: name.into(), f: None, i: Some(i), r#type: 2 }
    }

    pub fn float(name: &str, f: f32) -> Self {
        Self { name: name.into(), f: Some(f), i: None, r#type: 1 }
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
    /// Numbers inside the graph.
    pub fn ints(name: &str, values: &[i64]) -> Self {
        Self {
            dims: vec![values.len() as i64],
            data_type: INT64,
            name: name.into(),
            raw_data: Some(values.iter().flat_map(|value| value.to_le_bytes()).collect()),
            external_data: vec![],
            data_location: 0,
        }
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
