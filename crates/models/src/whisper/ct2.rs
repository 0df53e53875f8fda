//! CTranslate2 models (`model.bin`, container version 6): the same weights under other names, with the
//! projections of an attention fused into one matrix.

use std::collections::HashMap;

use super::{Checkpoint, Dims, FormatError, MAX_TENSORS, Tensor, elements, limit};
use crate::format::{Bytes, utf8};

const VERSION: u32 = 6;
const FLOAT16: u8 = 4;

struct Variable<'a> {
    shape: Vec<usize>,
    dtype: u8,
    data: &'a [u8],
}

/// Reads a Whisper model that CTranslate2's converter wrote in half precision.
///
/// # Errors
/// [`FormatError`] when the file is no such model, is damaged, or lacks a weight.
pub fn read(data: &[u8]) -> Result<Checkpoint, FormatError> {
    let variables = variables(data)?;
    let model = Model { variables: &variables };

    let (n_vocab, width) = model.matrix("decoder/embeddings/weight")?;
    let (n_text_ctx, _) = model.matrix("decoder/position_encodings/encodings")?;
    let (n_audio_ctx, n_audio_state) = model.matrix("encoder/position_encodings/encodings")?;
    let n_mels = match model.variable("encoder/conv1/weight")?.shape[..] {
        [_, n_mels, 3] => n_mels,
        _ => return Err(FormatError::invalid("encoder/conv1/weight has an unexpected shape")),
    };
    let layers = |side: &str| {
        (0..MAX_TENSORS)
            .take_while(|n| {
                variables.contains_key(format!("{side}/layer_{n}/self_attention/layer_norm/gamma").as_str())
            })
            .count()
    };
    let (audio_layers, text_layers) = (layers("encoder"), layers("decoder"));
    let number =
        |n: usize| u32::try_from(n).map_err(|_| FormatError::invalid("a model size is out of range"));
    let dims = Dims {
        n_mels: number(n_mels)?,
        n_vocab: number(n_vocab)?,
        n_audio_ctx: number(n_audio_ctx)?,
        n_audio_state: number(n_audio_state)?,
        // Every Whisper model has heads of 64.
        n_audio_head: number(n_audio_state / 64)?,
        n_audio_layer: number(audio_layers)?,
        n_text_ctx: number(n_text_ctx)?,
        n_text_state: number(width)?,
        n_text_head: number(width / 64)?,
        n_text_layer: number(text_layers)?,
    };

    let mut out = Vec::new();
    model.copy(&mut out, "decoder.positional_embedding", "decoder/position_encodings/encodings")?;
    model.copy(&mut out, "encoder.positional_embedding", "encoder/position_encodings/encodings")?;
    model.copy(&mut out, "decoder.token_embedding.weight", "decoder/embeddings/weight")?;
    for n in 0..text_layers {
        model.layer(&mut out, &format!("decoder.blocks.{n}"), &format!("decoder/layer_{n}"), true)?;
    }
    model.norm(&mut out, "decoder.ln", "decoder/layer_norm")?;
    for conv in ["conv1", "conv2"] {
        model.linear(&mut out, &format!("encoder.{conv}"), &format!("encoder/{conv}"))?;
    }
    for n in 0..audio_layers {
        model.layer(&mut out, &format!("encoder.blocks.{n}"), &format!("encoder/layer_{n}"), false)?;
    }
    model.norm(&mut out, "encoder.ln_post", "encoder/layer_norm")?;
    Ok(Checkpoint { dims, tensors: out })
}

fn variables(data: &[u8]) -> Result<HashMap<&str, Variable<'_>>, FormatError> {
    let mut input = Bytes::new(data);
    let version = input.u32("the header")?;
    if version != VERSION {
        return Err(FormatError::invalid(format!(
            "CTranslate2 container version {version} is not {VERSION}"
        )));
    }
    let spec = name(&mut input)?;
    if spec != "WhisperSpec" {
        return Err(FormatError::invalid(format!("this is a {spec:.40} model, not a Whisper one")));
    }
    let _revision = input.u32("the header")?;
    let count = limit("number of tensors", input.u32("the header")?.into(), MAX_TENSORS)?;
    let mut variables = HashMap::with_capacity(count);
    for _ in 0..count {
        let name = name(&mut input)?;
        let rank = limit("number of dimensions", input.u8("a tensor")?.into(), 4)?;
        let mut shape = Vec::with_capacity(rank);
        for _ in 0..rank {
            shape.push(input.u32("a tensor's shape")? as usize);
        }
        elements(&shape)?;
        let dtype = input.u8("a tensor")?;
        let len = input.u32("a tensor")? as usize;
        let data = input.take(len, "a tensor")?;
        variables.insert(name, Variable { shape, dtype, data });
    }
    Ok(variables)
}

/// A length-prefixed, zero-terminated name.
fn name<'a>(input: &mut Bytes<'a>) -> Result<&'a str, FormatError> {
    let len = input.u16("a name")?;
    let bytes = input.take(len.into(), "a name")?;
    utf8(bytes.strip_suffix(b"\0").unwrap_or(bytes), "a name")
}

struct Model<'a> {
    variables: &'a HashMap<&'a str, Variable<'a>>,
}

impl<'a> Model<'a> {
    /// A half precision tensor whose bytes match its shape.
    fn variable(&self, name: &str) -> Result<&'a Variable<'a>, FormatError> {
        let variable = self
            .variables
            .get(name)
            .ok_or_else(|| FormatError::invalid(format!("the model holds no {name}")))?;
        if variable.dtype != FLOAT16 || variable.data.len() != 2 * elements(&variable.shape)? {
            return Err(FormatError::invalid(format!("{name} is not in half precision")));
        }
        Ok(variable)
    }

    fn matrix(&self, name: &str) -> Result<(usize, usize), FormatError> {
        match self.variable(name)?.shape[..] {
            [rows, columns] => Ok((rows, columns)),
            _ => Err(FormatError::invalid(format!("{name} is no matrix"))),
        }
    }

    fn copy(&self, out: &mut Vec<Tensor>, to: &str, from: &str) -> Result<(), FormatError> {
        let variable = self.variable(from)?;
        out.push(Tensor { name: to.into(), shape: variable.shape.clone(), data: variable.data.to_vec() });
        Ok(())
    }

    /// One of `parts` equal row blocks of a fused tensor.
    fn slice(
        &self,
        out: &mut Vec<Tensor>,
        to: String,
        from: &str,
        part: usize,
        parts: usize,
    ) -> Result<(), FormatError> {
        let variable = self.variable(from)?;
        let mut shape = variable.shape.clone();
        match shape.first_mut() {
            Some(rows) if *rows % parts == 0 && *rows > 0 => *rows /= parts,
            _ => return Err(FormatError::invalid(format!("{from} does not split into {parts}"))),
        }
        let len = variable.data.len() / parts;
        let data =
            variable.data.get(part * len..(part + 1) * len).ok_or(FormatError::Truncated("a tensor"))?;
        out.push(Tensor { name: to, shape, data: data.to_vec() });
        Ok(())
    }

    /// Checks that a part of a fused bias is all zeros, of either sign.
    fn no_bias(&self, from: &str, part: usize, parts: usize) -> Result<(), FormatError> {
        let mut piece = Vec::new();
        self.slice(&mut piece, String::new(), from, part, parts)?;
        let zeros = piece.iter().flat_map(|tensor| tensor.data.as_chunks().0);
        if zeros.map(|half| u16::from_le_bytes(*half)).all(|bits| bits & 0x7fff == 0) {
            Ok(())
        } else {
            Err(FormatError::invalid(format!("{from} holds a bias for keys, which Whisper has not")))
        }
    }

    fn norm(&self, out: &mut Vec<Tensor>, to: &str, from: &str) -> Result<(), FormatError> {
        self.copy(out, &format!("{to}.weight"), &format!("{from}/gamma"))?;
        self.copy(out, &format!("{to}.bias"), &format!("{from}/beta"))
    }

    fn linear(&self, out: &mut Vec<Tensor>, to: &str, from: &str) -> Result<(), FormatError> {
        self.copy(out, &format!("{to}.weight"), &format!("{from}/weight"))?;
        self.copy(out, &format!("{to}.bias"), &format!("{from}/bias"))
    }

    /// Whisper's keys have no bias. Fused with queries and values they are given one of zeros, which is not
    /// written.
    fn layer(&self, out: &mut Vec<Tensor>, to: &str, from: &str, cross: bool) -> Result<(), FormatError> {
        self.norm(out, &format!("{to}.mlp_ln"), &format!("{from}/ffn/layer_norm"))?;
        self.linear(out, &format!("{to}.mlp.0"), &format!("{from}/ffn/linear_0"))?;
        self.linear(out, &format!("{to}.mlp.2"), &format!("{from}/ffn/linear_1"))?;

        self.norm(out, &format!("{to}.attn_ln"), &format!("{from}/self_attention/layer_norm"))?;
        let (weight, bias) = (
            format!("{from}/self_attention/linear_0/weight"),
            format!("{from}/self_attention/linear_0/bias"),
        );
        self.no_bias(&bias, 1, 3)?;
        self.slice(out, format!("{to}.attn.query.weight"), &weight, 0, 3)?;
        self.slice(out, format!("{to}.attn.query.bias"), &bias, 0, 3)?;
        self.slice(out, format!("{to}.attn.key.weight"), &weight, 1, 3)?;
        self.slice(out, format!("{to}.attn.value.weight"), &weight, 2, 3)?;
        self.slice(out, format!("{to}.attn.value.bias"), &bias, 2, 3)?;
        self.linear(out, &format!("{to}.attn.out"), &format!("{from}/self_attention/linear_1"))?;

        if cross {
            self.norm(out, &format!("{to}.cross_attn_ln"), &format!("{from}/attention/layer_norm"))?;
            self.linear(out, &format!("{to}.cross_attn.query"), &format!("{from}/attention/linear_0"))?;
            let (weight, bias) =
                (format!("{from}/attention/linear_1/weight"), format!("{from}/attention/linear_1/bias"));
            self.no_bias(&bias, 0, 2)?;
            self.slice(out, format!("{to}.cross_attn.key.weight"), &weight, 0, 2)?;
            self.slice(out, format!("{to}.cross_attn.value.weight"), &weight, 1, 2)?;
            self.slice(out, format!("{to}.cross_attn.value.bias"), &bias, 1, 2)?;
            self.linear(out, &format!("{to}.cross_attn.out"), &format!("{from}/attention/linear_2"))?;
        }
        Ok(())
    }
}
