//! The part of Python's pickle format that a PyTorch state dictionary uses, read as plain data.
//!
//! A pickle is a program that may import and call anything. This reader knows three names and what they
//! mean (`OrderedDict()`, `HalfStorage`, `_rebuild_tensor_v2`), builds values out of the couple of opcodes
//! that `torch.save` writes, and refuses everything else by name. Values live in arenas and refer to each
//! other by index, so neither depth nor cycles can hurt, and memory grows at most in proportion to the
//! bytes read.

use std::collections::HashMap;

use super::{FormatError, MAX_TENSORS, elements, limit};
use crate::format::{Bytes, utf8};

/// The pickle of the largest Whisper checkpoint is under 200 kB.
const MAX_PICKLE: u64 = 4 << 20;

/// A tensor as the pickle describes it; its bytes lie in another file of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TensorRef<'a> {
    pub name: &'a str,
    /// The storage's file name, `data/<key>`.
    pub key: &'a str,
    /// Elements in the storage.
    pub storage_len: usize,
    /// First element of the tensor.
    pub offset: usize,
    pub shape: Vec<usize>,
    /// Elements between neighbours of each dimension; large matrices are often stored column by column.
    /// Every element that shape and stride name lies within the storage.
    pub stride: Vec<usize>,
}

/// What an OpenAI Whisper checkpoint says: `{"dims": {…}, "model_state_dict": {…}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Described<'a> {
    pub dims: HashMap<&'a str, i64>,
    pub tensors: Vec<TensorRef<'a>>,
}

pub(super) fn read(data: &[u8]) -> Result<Described<'_>, FormatError> {
    limit("pickle length", data.len() as u64, MAX_PICKLE)?;
    let mut machine = Machine::default();
    let root = machine.run(data)?;
    machine.describe(root)
}

#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    None,
    Bool,
    Int(i64),
    Str(&'a str),
    Tuple {
        start: usize,
        len: usize,
    },
    Dict(usize),
    Global(Global),
    /// What a persistent id stands for here: a half precision storage.
    Storage {
        key: &'a str,
        len: usize,
    },
    Tensor(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Global {
    OrderedDict,
    HalfStorage,
    RebuildTensor,
}

#[derive(Default)]
struct Machine<'a> {
    stack: Vec<Value<'a>>,
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    tuples: Vec<Value<'a>>,
    dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
    tensors: Vec<TensorRef<'a>>,
}

impl<'a> Machine<'a> {
    fn run(&mut self, data: &'a [u8]) -> Result<Value<'a>, FormatError> {
        let mut input = Bytes::new(data);
        loop {
            match input.u8("a pickle")? {
                0x80 => match input.u8("a pickle header")? {
                    2 => {}
                    other => return Err(FormatError::invalid(format!("pickle protocol {other} is not 2"))),
                },
                b'.' => return self.pop(),
                b'(' => self.marks.push(self.stack.len()),
                b'N' => self.stack.push(Value::None),
                0x88 | 0x89 => self.stack.push(Value::Bool),
                b'K' => {
                    let n = input.u8("a pickled number")?;
                    self.stack.push(Value::Int(n.into()));
                }
                b'M' => {
                    let n = input.u16("a pickled number")?;
                    self.stack.push(Value::Int(n.into()));
                }
                b'J' => {
                    let n = i32::from_le_bytes(input.array("a pickled number")?);
                    self.stack.push(Value::Int(n.into()));
                }
                b'X' => {
                    let n = limit("pickled string", input.u32("a pickled string")?.into(), MAX_PICKLE)?;
                    let text = utf8(input.take(n, "a pickled string")?, "a pickled string")?;
                    self.stack.push(Value::Str(text));
                }
                b'}' => {
                    self.dicts.push(Vec::new());
                    self.stack.push(Value::Dict(self.dicts.len() - 1));
                }
                b')' => self.tuple(self.stack.len())?,
                0x85 => self.last(1)?,
                0x86 => self.last(2)?,
                0x87 => self.last(3)?,
                b't' => {
                    let start = self.mark()?;
                    self.tuple(start)?;
                }
                b's' => {
                    let start = self.stack.len().checked_sub(2).ok_or_else(underflow)?;
                    self.set_items(start)?;
                }
                b'u' => {
                    let start = self.mark()?;
                    self.set_items(start)?;
                }
                b'q' => self.remember(input.u8("a pickle memo")?.into())?,
                b'r' => self.remember(input.u32("a pickle memo")?)?,
                b'h' => self.recall(input.u8("a pickle memo")?.into())?,
                b'j' => self.recall(input.u32("a pickle memo")?)?,
                b'c' => {
                    let module = input.until(b'\n', "a pickled name")?;
                    let name = input.until(b'\n', "a pickled name")?;
                    self.stack.push(Value::Global(match (module, name) {
                        (b"collections", b"OrderedDict") => Global::OrderedDict,
                        (b"torch", b"HalfStorage") => Global::HalfStorage,
                        (b"torch._utils", b"_rebuild_tensor_v2") => Global::RebuildTensor,
                        _ => {
                            return Err(FormatError::invalid(format!(
                                "the pickle asks for {:.60}.{:.60}, which is not allowed",
                                String::from_utf8_lossy(module),
                                String::from_utf8_lossy(name)
                            )));
                        }
                    }));
                }
                b'Q' => self.persistent_id()?,
                b'R' => self.reduce()?,
                other => {
                    return Err(FormatError::invalid(format!("pickle opcode {other:#04x} is not allowed")));
                }
            }
        }
    }

    fn pop(&mut self) -> Result<Value<'a>, FormatError> {
        self.stack.pop().ok_or_else(underflow)
    }

    /// Where the items since the last mark begin.
    fn mark(&mut self) -> Result<usize, FormatError> {
        let mark = self.marks.pop().ok_or_else(underflow)?;
        if mark > self.stack.len() { Err(underflow()) } else { Ok(mark) }
    }

    fn last(&mut self, n: usize) -> Result<(), FormatError> {
        self.tuple(self.stack.len().checked_sub(n).ok_or_else(underflow)?)
    }

    /// Turns everything on the stack from `start` on into a tuple.
    fn tuple(&mut self, start: usize) -> Result<(), FormatError> {
        let first = self.tuples.len();
        self.tuples.extend(self.stack.drain(start..));
        self.stack.push(Value::Tuple { start: first, len: self.tuples.len() - first });
        Ok(())
    }

    /// Moves the key-value pairs on the stack from `start` on into the dictionary below them.
    fn set_items(&mut self, start: usize) -> Result<(), FormatError> {
        let Some(Value::Dict(dict)) = start.checked_sub(1).and_then(|at| self.stack.get(at)).copied() else {
            return Err(FormatError::invalid("the pickle sets items of something that is no dictionary"));
        };
        let items = self.dicts.get_mut(dict).ok_or_else(underflow)?;
        let mut pairs = self.stack.drain(start..);
        while let Some(key) = pairs.next() {
            items.push((key, pairs.next().ok_or_else(underflow)?));
        }
        Ok(())
    }

    fn remember(&mut self, slot: u32) -> Result<(), FormatError> {
        let top = self.stack.last().copied().ok_or_else(underflow)?;
        self.memo.insert(slot, top);
        Ok(())
    }

    fn recall(&mut self, slot: u32) -> Result<(), FormatError> {
        let value = self.memo.get(&slot).copied();
        self.stack
            .push(value.ok_or_else(|| FormatError::invalid("the pickle recalls what it never stored"))?);
        Ok(())
    }

    /// `("storage", HalfStorage, key, device, elements)`
    fn persistent_id(&mut self) -> Result<(), FormatError> {
        let id = self.pop()?;
        let [Value::Str("storage"), Value::Global(Global::HalfStorage), Value::Str(key), _, Value::Int(len)] =
            self.items(id)
        else {
            return Err(FormatError::invalid("the pickle names a storage that is not half precision"));
        };
        let (key, len) = (*key, size("storage size", *len)?);
        self.stack.push(Value::Storage { key, len });
        Ok(())
    }

    fn reduce(&mut self) -> Result<(), FormatError> {
        let arguments = self.pop()?;
        match self.pop()? {
            Value::Global(Global::OrderedDict) if self.items(arguments).is_empty() => {
                self.dicts.push(Vec::new());
                self.stack.push(Value::Dict(self.dicts.len() - 1));
                Ok(())
            }
            Value::Global(Global::RebuildTensor) => {
                let tensor = self.tensor(arguments)?;
                limit("number of tensors", self.tensors.len() as u64 + 1, MAX_TENSORS)?;
                self.tensors.push(tensor);
                self.stack.push(Value::Tensor(self.tensors.len() - 1));
                Ok(())
            }
            _ => Err(FormatError::invalid("the pickle calls something that is not allowed")),
        }
    }

    /// `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks)`
    fn tensor(&self, arguments: Value<'a>) -> Result<TensorRef<'a>, FormatError> {
        let [Value::Storage { key, len }, Value::Int(offset), shape, stride, _, _] = self.items(arguments)
        else {
            return Err(FormatError::invalid("a tensor in the pickle is not described as expected"));
        };
        let shape = self.sizes(*shape)?;
        let stride = self.sizes(*stride)?;
        let offset = size("tensor offset", *offset)?;
        if shape.len() != stride.len() {
            return Err(FormatError::invalid("a tensor in the pickle has a stride for only some dimensions"));
        }
        let reach = shape
            .iter()
            .zip(&stride)
            .try_fold(offset, |at, (side, step)| at.checked_add(side.saturating_sub(1).checked_mul(*step)?));
        if elements(&shape)? > 0 && reach.is_none_or(|last| last >= *len) {
            return Err(FormatError::invalid("a tensor in the pickle reaches beyond its storage"));
        }
        Ok(TensorRef { name: "", key, storage_len: *len, offset, shape, stride })
    }

    fn sizes(&self, tuple: Value<'a>) -> Result<Vec<usize>, FormatError> {
        let items = self.items(tuple);
        limit("number of dimensions", items.len() as u64, 4)?;
        let mut sizes = Vec::with_capacity(items.len());
        for item in items {
            let Value::Int(n) = item else {
                return Err(FormatError::invalid("a tensor size in the pickle is no number"));
            };
            sizes.push(size("tensor dimension", *n)?);
        }
        Ok(sizes)
    }

    /// A tuple's items; none for anything else.
    fn items(&self, value: Value<'a>) -> &[Value<'a>] {
        match value {
            Value::Tuple { start, len } => self.tuples.get(start..start + len).unwrap_or_default(),
            _ => &[],
        }
    }

    fn entry(&self, dict: Value<'a>, key: &str) -> Option<&[(Value<'a>, Value<'a>)]> {
        let Value::Dict(dict) = dict else { return None };
        self.dicts.get(dict)?.iter().find_map(|(name, value)| match (name, value) {
            (Value::Str(name), Value::Dict(inner)) if *name == key => {
                self.dicts.get(*inner).map(Vec::as_slice)
            }
            _ => None,
        })
    }

    fn describe(&self, root: Value<'a>) -> Result<Described<'a>, FormatError> {
        let (Some(dims), Some(state)) = (self.entry(root, "dims"), self.entry(root, "model_state_dict"))
        else {
            return Err(FormatError::invalid(
                "this is no Whisper checkpoint: `dims` or `model_state_dict` is missing",
            ));
        };
        limit("number of tensors", state.len() as u64, MAX_TENSORS)?;
        let dims = dims
            .iter()
            .filter_map(|pair| match pair {
                (Value::Str(name), Value::Int(n)) => Some((*name, *n)),
                _ => None,
            })
            .collect();
        let mut tensors = Vec::with_capacity(state.len());
        for pair in state {
            let (Value::Str(name), Value::Tensor(index)) = pair else {
                return Err(FormatError::invalid("the state dictionary holds something that is no tensor"));
            };
            let tensor = self.tensors.get(*index).ok_or_else(underflow)?;
            tensors.push(TensorRef { name, ..tensor.clone() });
        }
        Ok(Described { dims, tensors })
    }
}

fn size(what: &'static str, n: i64) -> Result<usize, FormatError> {
    limit(what, u64::try_from(n).unwrap_or(u64::MAX), super::MAX_ELEMENTS)
}

fn underflow() -> FormatError {
    FormatError::invalid("the pickle takes more than it put down")
}
