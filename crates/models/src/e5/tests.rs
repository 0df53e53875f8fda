use proptest::prelude::*;

use super::*;

/// A network of one layer whose every number is another, as the Python package keeps it.
pub(crate) fn source() -> Vec<u8> {
    let mut out = b"E5S1".to_vec();
    let mut put = |values: &[u32]| out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    put(&[1, 32, 1, 2, 64, 6, 4, 2, 0x2b8c_bccc, 32]);
    put(&[5, 0, 2, 1, 3]);
    let pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁é"];
    let text = pieces.concat();
    put(&[text.len() as u32, 0]);
    let mut end = 0;
    put(&[0]);
    for piece in pieces {
        end += piece.len() as u32;
        put(&[end]);
    }
    put(&[0.0f32, 0.0, 0.0, 0.0, -3.5].map(f32::to_bits));
    out.extend(text.bytes());
    // One character that becomes two, one that becomes none.
    let normaliser = [&[0xbd, 0, 0, 0, 2, 0x31, 0, 0, 0, 0x32, 0, 0, 0][..], &[7, 0, 0, 0, 0]].concat();
    out.extend(2u32.to_le_bytes());
    out.extend((normaliser.len() as u32).to_le_bytes());
    out.extend(normaliser);

    let mut tensors: Vec<(String, bool, usize)> = vec![("emb.word".into(), true, 6 * 32)];
    for (name, n) in [("emb.pos", 4 * 32), ("emb.type", 64), ("emb.ln.w", 32), ("emb.ln.b", 32)] {
        tensors.push((name.into(), false, n));
    }
    for (name, n) in [("q", 32), ("k", 32), ("v", 32), ("ao", 32), ("fi", 64), ("fo", 32)] {
        let weights = if name.starts_with('f') { 32 * 64 } else { 32 * 32 };
        tensors.push((format!("l0.{name}.w"), true, weights));
        tensors.push((format!("l0.{name}.b"), false, n));
    }
    for name in ["aln.w", "aln.b", "oln.w", "oln.b"] {
        tensors.push((format!("l0.{name}"), false, 32));
    }
    let directory: usize = 4 + tensors.iter().map(|(name, ..)| 2 + name.len() + 21).sum::<usize>();
    let mut offset = out.len() + directory;
    let mut data = Vec::new();
    out.extend((tensors.len() as u32).to_le_bytes());
    for (seed, (name, quantised, n)) in tensors.iter().enumerate() {
        let before = data.len();
        if *quantised {
            for block in 0..n / 32 {
                data.extend(f16::from_f32(0.25 + block as f32).to_le_bytes());
                data.extend((0..16).map(|j| (seed * 37 + block * 11 + j * 29) as u8));
            }
        } else {
            data.extend((0..*n).flat_map(|j| ((seed * 1000 + j) as f32).to_le_bytes()));
        }
        let bytes = data.len() - before;
        out.extend((name.len() as u16).to_le_bytes());
        out.extend(name.bytes());
        out.push(u8::from(*quantised));
        out.extend((*n as u32).to_le_bytes());
        out.extend((offset as u64).to_le_bytes());
        out.extend((bytes as u64).to_le_bytes());
        offset += bytes;
    }
    out.extend(data);
    out
}

fn converted(source: &[u8]) -> Result<Vec<u8>, FormatError> {
    let mut out = Vec::new();
    convert(source, &mut out).map(|()| out)
}

/// The head of a converted file, and its tensors.
fn opened(file: &[u8]) -> (Head, Vec<Stored>) {
    let mut input = Bytes::new(file);
    let head = Head::read(&mut input, MAGIC).unwrap();
    let (tensors, end) = layout(&head.dims, file.len() - input.len());
    assert_eq!(end, file.len());
    (head, tensors)
}

fn content<'a>(file: &'a [u8], tensors: &[Stored], name: &str) -> &'a [u8] {
    let tensor = tensors.iter().find(|tensor| tensor.name == name).unwrap();
    &file[tensor.offset..][..tensor.length]
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

#[test]
fn weights_keep_their_values() {
    let source = source();
    let file = converted(&source).unwrap();
    let (_, tensors) = opened(&file);
    let directory = {
        let mut input = Bytes::new(&source);
        Head::read(&mut input, SOURCE_MAGIC).unwrap();
        directory(&mut input).unwrap()
    };
    for (name, signed) in [("emb.word", true), ("l0.fi", false), ("l0.fo", false), ("l0.v", false)] {
        let of = if signed { name.to_owned() } else { format!("{name}.w") };
        let place = directory.iter().find(|place| place.name == of).unwrap();
        let mut expected = Vec::new();
        for block in source[place.offset as usize..][..place.bytes as usize].chunks(BLOCK_BYTES) {
            let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
            let (low, high) = (block[2..].iter().map(|b| b & 15), block[2..].iter().map(|b| b >> 4));
            expected.extend(low.chain(high).map(|weight| scale * (f32::from(weight) - 8.0)));
        }
        let scales = floats(content(&file, &tensors, &format!("{name}.s")));
        let nibbles = content(&file, &tensors, &format!("{name}.q")).iter().flat_map(|b| [b & 15, b >> 4]);
        let value = |weight: u8| match signed {
            true => f32::from(if weight < 8 { weight as i8 } else { weight as i8 - 16 }),
            false => f32::from(weight) - 8.0,
        };
        let found: Vec<f32> = nibbles.enumerate().map(|(n, weight)| scales[n / 32] * value(weight)).collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn vectors_are_joined_and_positions_hold_the_token_type() {
    let file = converted(&source()).unwrap();
    let (_, tensors) = opened(&file);
    let positions = floats(content(&file, &tensors, "emb.positions"));
    // Tensor 1 counts up from 1,000, tensor 2 from 2,000.
    assert_eq!(positions[33], 1033.0 + 2001.0);
    let bias = floats(content(&file, &tensors, "l0.qkv.b"));
    assert_eq!((bias.len(), bias[0], bias[32], bias[95]), (96, 6000.0, 8000.0, 10031.0));
}

#[test]
fn the_vocabulary_comes_along() {
    let (head, _) = opened(&converted(&source()).unwrap());
    let vocabulary = head.vocabulary;
    assert_eq!((vocabulary.len(), vocabulary.piece(4), vocabulary.score(4)), (5, "▁é", -3.5));
    assert_eq!((vocabulary.piece(5), vocabulary.piece(u32::MAX)), ("", ""));
    assert_eq!((vocabulary.begin, vocabulary.end, vocabulary.padding, vocabulary.unknown), (0, 2, 1, 3));
    assert_eq!(vocabulary.normalised('½'), Some("12"));
    assert_eq!(vocabulary.normalised('\u{7}'), Some(""));
    assert_eq!(vocabulary.normalised('a'), None);
}

#[test]
fn the_graph_uses_only_what_it_has() {
    let file = converted(&source()).unwrap();
    let (head, tensors) = opened(&file);
    crate::testing::uses_only_what_it_has(&graph::build(&head.dims, &tensors, "file.bin"));
}

#[test]
fn a_file_that_ends_early_is_refused() {
    let source = source();
    for length in (0..source.len()).step_by(7) {
        assert!(converted(&source[..length]).is_err(), "{length}");
    }
}

proptest! {
    #[test]
    fn a_damaged_file_is_no_panic(at in 0usize..2_000, value in any::<u8>()) {
        let mut source = source();
        let at = at % source.len();
        source[at] = value;
        let _ = converted(&source);
    }
}
