use half::f16;
use proptest::prelude::*;

use super::*;
use crate::testing::{checkpoint, ct2 as ct2_file, npy, pickle as pickle_file, pt, sdist, wheel};

fn mel() -> assets::MelFilters {
    assets::MelFilters { bands: 1, bins: 201, weights: vec![0.5; 201] }
}

fn ggml_file() -> Vec<u8> {
    let mut out = Vec::new();
    ggml::write(&checkpoint(), &mel(), &[b"!".to_vec(), b"".to_vec()], &mut out).unwrap();
    out
}

fn quantised(file: &[u8]) -> Result<Vec<u8>, FormatError> {
    let mut out = Vec::new();
    quantize::q8_0(&mut &file[..], &mut out).map(|()| out)
}

// --- Reading ------------------------------------------------------------------------------------------

#[test]
fn a_checkpoint_is_read_as_it_was_written() {
    assert_eq!(torch::read(&pt(&checkpoint(), false)).unwrap(), checkpoint());
}

#[test]
fn matrices_stored_column_by_column_are_turned() {
    assert_eq!(torch::read(&pt(&checkpoint(), true)).unwrap(), checkpoint());
}

#[test]
fn ctranslate2_weights_are_the_same_weights() {
    assert_eq!(ct2::read(&ct2_file(&checkpoint())).unwrap(), checkpoint());
}

fn refused(pickle: &[u8]) -> String {
    super::pickle::read(pickle).unwrap_err().to_string()
}

#[test]
fn a_pickle_that_wants_to_run_something_is_refused_by_name() {
    assert!(refused(b"\x80\x02cos\nsystem\n(X\x02\x00\x00\x00idtR.").contains("os.system"));
    assert!(refused(b"\x80\x02cbuiltins\neval\n.").contains("builtins.eval"));
    // INST, OBJ, NEWOBJ, BUILD, STACK_GLOBAL, REDUCE of what is no function.
    for opcode in [b'i', b'o', 0x81, b'b', 0x93] {
        assert!(refused(&[0x80, 2, opcode]).contains("not allowed"), "{opcode}");
    }
    assert!(refused(b"\x80\x02K\x01)R.").contains("not allowed"));
    assert!(refused(b"\x80\x02ccollections\nOrderedDict\nK\x01\x85R.").contains("not allowed"));
    assert!(refused(b"\x80\x04.").contains("protocol 4"));
}

#[test]
fn a_pickle_that_lies_about_its_stack_is_refused() {
    for pickle in [
        b".".as_slice(),
        b"t.",
        b"(",
        b"u.",
        b"K\x01(K\x02u.",
        b"}(K\x01u.",
        b"s.",
        b"\x86.",
        b"h\x05.",
        b"q\x00.",
        b"Q.",
        b"R.",
        // The mark lies above what is left of the stack.
        b"K\x01K\x02(\x86\x85Rt.",
    ] {
        refused(pickle);
    }
    // A dictionary that contains itself, and tuples nested a hundred thousand deep.
    refused(b"}q\x00(K\x01h\x00u.");
    refused(&[&b")"[..], &vec![0x85; 100_000], b"."].concat());
}

#[test]
fn announced_lengths_do_not_make_memory() {
    refused(b"X\xff\xff\xff\xff");
    refused(&vec![b')'; (4 << 20) + 1]);
    let mut file = ct2_file(&checkpoint());
    // The number of variables, after version, name and revision.
    file[22..26].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(ct2::read(&file), Err(FormatError::TooLarge { .. })));
    let mut file = ggml_file();
    file[48..52].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(quantised(&file), Err(FormatError::TooLarge { .. })));
}

/// A pickle of one tensor over a storage of 6 elements.
fn one_tensor(offset: i32, shape: [i32; 2], stride: [i32; 2]) -> Vec<u8> {
    let int = |n: i32| [&b"J"[..], &n.to_le_bytes()].concat();
    let pair = |[a, b]: [i32; 2]| [int(a), int(b), b"\x86".to_vec()].concat();
    [
        b"}(X\x04\x00\x00\x00dims}X\x10\x00\x00\x00model_state_dict}(X\x01\x00\x00\x00w".to_vec(),
        b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nHalfStorage\n".to_vec(),
        b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ".to_vec(),
        int(offset),
        pair(shape),
        pair(stride),
        b"\x89NtRuu.".to_vec(),
    ]
    .concat()
}

#[test]
fn a_tensor_stays_inside_its_storage() {
    for (offset, shape, stride) in
        [(0, [2, 3], [3, 1]), (0, [2, 3], [1, 2]), (5, [1, 1], [9, 9]), (6, [0, 3], [3, 1])]
    {
        let pickle = one_tensor(offset, shape, stride);
        let described = super::pickle::read(&pickle).unwrap();
        assert_eq!(described.tensors[0].shape, shape.map(|n| n as usize));
    }
    for (offset, shape, stride) in [
        (1, [2, 3], [3, 1]),
        (0, [2, 3], [4, 1]),
        (-1, [2, 3], [3, 1]),
        (0, [2, -3], [3, 1]),
        (0, [2, 3], [-3, 1]),
        (i32::MAX, [2, 3], [3, 1]),
        (0, [i32::MAX, i32::MAX], [1, 1]),
        (0, [2, 2], [i32::MAX, i32::MAX]),
    ] {
        refused(&one_tensor(offset, shape, stride));
    }
}

#[test]
fn one_storage_named_a_thousand_times_does_not_fill_memory() {
    let mut model = checkpoint();
    let big = Tensor { name: "big".into(), shape: vec![1_000, 1_000], data: vec![0; 2_000_000] };
    model.tensors = vec![big];
    let file = pt(&model, false);
    // Compressed, the two megabytes of zeros take a few kilobytes: the tensor no longer fits its file.
    let pickle = pickle_file(&model, false);
    let bomb = wheel(&[("archive/data.pkl", &pickle), ("archive/data/0", &[0; 2_000_000])]);
    assert!(torch::read(&file).is_ok());
    assert!(torch::read(&bomb).unwrap_err().to_string().contains("do not fit"));
}

#[test]
fn a_model_that_lacks_a_weight_is_refused() {
    for missing in ["decoder.token_embedding.weight", "encoder.conv1.weight", "encoder.conv2.bias"] {
        let name = match missing {
            "decoder.token_embedding.weight" => "decoder/embeddings/weight",
            "encoder.conv1.weight" => "encoder/conv1/weight",
            _ => "encoder/conv2/bias",
        };
        let mut file = ct2_file(&checkpoint());
        let at = file.windows(name.len()).position(|window| window == name.as_bytes()).unwrap();
        file[at] = b'x';
        let error = ct2::read(&file).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn a_bias_that_the_format_has_no_place_for_is_refused() {
    let name = b"decoder/layer_0/self_attention/linear_0/bias\0";
    let mut file = ct2_file(&checkpoint());
    let at = file.windows(name.len()).position(|window| window == name).unwrap();
    // Rank, one side, type and length, then 64 queries' biases.
    file[at + name.len() + 1 + 4 + 1 + 4 + 128] = 1;
    assert!(ct2::read(&file).unwrap_err().to_string().contains("bias for keys"));
}

#[test]
fn every_cut_off_file_is_an_error() {
    let (pt, ct2_whole, ggml) = (pt(&checkpoint(), false), ct2_file(&checkpoint()), ggml_file());
    let pickle = pickle_file(&checkpoint(), false);
    for part in 0..100 {
        let cut = |file: &[u8]| file[..file.len() * part / 100].to_vec();
        assert!(torch::read(&cut(&pt)).is_err());
        assert!(super::pickle::read(&cut(&pickle)).is_err());
        assert!(ct2::read(&cut(&ct2_whole)).is_err());
        assert!(assets::from_sdist(&cut(&sdist()), "/none").is_err());
        // A GGML file has no end mark: one cut between two tensors is read as a whole.
        if let Ok(out) = quantised(&cut(&ggml)) {
            assert!(out.len() < ggml.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = super::pickle::read(&bytes);
        let _ = torch::read(&bytes);
        let _ = ct2::read(&bytes);
        let _ = quantised(&bytes);
        let _ = assets::vocabulary(&bytes);
        let _ = assets::mel_filters(&bytes, 80);
        let _ = assets::from_sdist(&bytes, "x");
    }

    #[test]
    fn any_opcodes_are_survived(
        ops in proptest::collection::vec(
            prop_oneof![
                Just(b"(".to_vec()), Just(b")".to_vec()), Just(b"}".to_vec()), Just(b"t".to_vec()),
                Just(b"u".to_vec()), Just(b"s".to_vec()), Just(b"R".to_vec()), Just(b"Q".to_vec()),
                Just(b"N".to_vec()), Just(vec![0x85]), Just(vec![0x86]), Just(vec![0x87]), Just(vec![0x88]),
                Just(b"q\x00".to_vec()), Just(b"h\x00".to_vec()), Just(b"q\x01".to_vec()), Just(b"h\x01".to_vec()),
                Just(b"ctorch\nHalfStorage\n".to_vec()), Just(b"ctorch._utils\n_rebuild_tensor_v2\n".to_vec()),
                Just(b"ccollections\nOrderedDict\n".to_vec()), Just(b"X\x07\x00\x00\x00storage".to_vec()),
                Just(b"X\x04\x00\x00\x00dims".to_vec()), Just(b"X\x10\x00\x00\x00model_state_dict".to_vec()),
                any::<i32>().prop_map(|n| [&b"J"[..], &n.to_le_bytes()].concat()),
            ],
            0..60,
        )
    ) {
        let mut pickle = ops.concat();
        pickle.push(b'.');
        let _ = super::pickle::read(&pickle);
    }

    #[test]
    fn changed_files_are_survived(at in any::<prop::sample::Index>(), byte in any::<u8>(), which in 0..5) {
        let change = |mut file: Vec<u8>| {
            let at = at.index(file.len());
            file[at] = byte;
            file
        };
        // Most of a model is weights: a change at the front of a file hits its structure.
        let front = |mut file: Vec<u8>, n: usize| {
            let at = at.index(n.min(file.len()));
            file[at] = byte;
            file
        };
        match which {
            0 => drop(super::pickle::read(&change(pickle_file(&checkpoint(), true)))),
            1 => drop(torch::read(&change(pt(&checkpoint(), true)))),
            2 => drop(ct2::read(&front(ct2_file(&checkpoint()), 400))),
            3 => drop(quantised(&front(ggml_file(), 1_400))),
            _ => drop(assets::from_sdist(&change(sdist()), "gpt2.tiktoken")),
        }
    }

    #[test]
    fn any_block_is_quantised_within_half_a_step(weights in proptest::collection::vec(-3.0f32..3.0, 32)) {
        let halves: Vec<f16> = weights.iter().map(|w| f16::from_f32(*w)).collect();
        let (scale, bytes) = block(&halves);
        let step = halves.iter().map(|w| w.to_f32().abs()).fold(0.0, f32::max) / 127.0;
        for (weight, byte) in halves.iter().zip(bytes) {
            let back = scale * f32::from(byte);
            // Half a step of rounding, and the scale's own rounding to half precision.
            prop_assert!((back - weight.to_f32()).abs() <= step * 0.5 + step * 127.0 * 0.0006 + 1e-6);
        }
    }
}

// --- Assets -------------------------------------------------------------------------------------------

#[test]
fn tokens_are_bytes_in_the_order_of_their_rank() {
    let tokens = assets::vocabulary(b"IQ== 0\nxKA= 1\nIHRoZQ== 2\n= 3\n").unwrap();
    assert_eq!(tokens, [b"!".to_vec(), "Ġ".into(), b" the".to_vec(), b"".to_vec()]);
    for bad in [b"IQ==\n".as_slice(), b"IQ== 1\n", b"IQ== 0\nIQ== 2\n", b"I!== 0\n", b"\xff 0\n"] {
        assert!(assets::vocabulary(bad).is_err());
    }
}

#[test]
fn the_filter_bank_is_read_only_in_its_own_shape() {
    let weights: Vec<f32> = (0..402).map(|n| n as f32).collect();
    let npz = wheel(&[("mel_2.npy", &npy(2, &weights)), ("mel_3.npy", &npy(2, &weights))]);
    let mel = assets::mel_filters(&npz, 2).unwrap();
    assert_eq!((mel.bands, mel.bins, &mel.weights), (2, 201, &weights));
    assert!(assets::mel_filters(&npz, 3).is_err());
    assert!(assets::mel_filters(&npz, 80).is_err());
    assert!(assets::mel_filters(&wheel(&[("mel_2.npy", &npy(2, &weights[..400]))]), 2).is_err());
}

// --- Writing ------------------------------------------------------------------------------------------

/// Name, sides (innermost first), type and bytes of every tensor of a GGML file.
fn tensors(file: &[u8]) -> Vec<(String, Vec<u32>, u32, Vec<u8>)> {
    let mut at = 48 + 8 + 4 * 201;
    let word = |at: &mut usize| {
        *at += 4;
        u32::from_le_bytes(file[*at - 4..*at].try_into().unwrap())
    };
    for _ in 0..word(&mut at) {
        at += word(&mut at) as usize;
    }
    let mut found = Vec::new();
    while at < file.len() {
        let (rank, name_len, kind) = (word(&mut at), word(&mut at) as usize, word(&mut at));
        let sides: Vec<u32> = (0..rank).map(|_| word(&mut at)).collect();
        let name = String::from_utf8(file[at..at + name_len].to_vec()).unwrap();
        at += name_len;
        let count = sides.iter().product::<u32>() as usize;
        let bytes = match kind {
            ggml::F32 => 4 * count,
            ggml::F16 => 2 * count,
            ggml::Q8_0 => count / 32 * 34,
            other => panic!("type {other}"),
        };
        found.push((name, sides, kind, file[at..at + bytes].to_vec()));
        at += bytes;
    }
    found
}

#[test]
fn a_ggml_file_holds_every_tensor_in_the_precision_that_whisper_cpp_wants() {
    let file = ggml_file();
    let model = checkpoint();
    assert_eq!(file[..4], *b"lmgg");
    assert_eq!(file[44..48], 1u32.to_le_bytes());
    let written = tensors(&file);
    assert_eq!(written.len(), model.tensors.len());
    for ((name, sides, kind, data), tensor) in written.iter().zip(&model.tensors) {
        assert_eq!(*name, tensor.name);
        let mut shape: Vec<u32> = tensor.shape.iter().rev().map(|n| *n as u32).collect();
        if name.ends_with("conv1.bias") || name.ends_with("conv2.bias") {
            shape.insert(0, 1);
        }
        assert_eq!(*sides, shape);
        let whole = tensor.shape.len() == 1 || name.ends_with("positional_embedding");
        assert_eq!(*kind, if whole { ggml::F32 } else { ggml::F16 }, "{name}");
        if whole {
            let (first, half) = (data.first_chunk().unwrap(), tensor.data.first_chunk().unwrap());
            assert_eq!(f32::from_le_bytes(*first), f16::from_le_bytes(*half).to_f32());
        } else {
            assert_eq!(*data, tensor.data);
        }
    }
}

#[test]
fn only_matrices_are_quantised() {
    let before = tensors(&ggml_file());
    let file = quantised(&ggml_file()).unwrap();
    assert_eq!(file[44..48], 2_007u32.to_le_bytes());
    let after = tensors(&file);
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((&before.0, &before.1), (&after.0, &after.1));
        let matrix = before.1.len() == 2 && before.2 == ggml::F16;
        if matrix {
            assert_eq!(after.2, ggml::Q8_0);
        } else {
            assert_eq!((before.2, &before.3), (after.2, &after.3), "{}", before.0);
        }
    }
    assert_eq!(after.iter().filter(|tensor| tensor.2 == ggml::Q8_0).count(), 1 + 10 + 6);
}

/// Quantises one block of 32 through a file of one matrix.
fn block(weights: &[f16]) -> (f32, Vec<i8>) {
    let mut model = checkpoint();
    let data = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
    model.tensors = vec![Tensor { name: "w".into(), shape: vec![1, 32], data }];
    let mut file = Vec::new();
    ggml::write(&model, &mel(), &[], &mut file).unwrap();
    let out = quantised(&file).unwrap();
    let data = tensors(&out).remove(0).3;
    (f16::from_le_bytes([data[0], data[1]]).to_f32(), data[2..].iter().map(|b| *b as i8).collect())
}

#[test]
fn blocks_are_those_of_the_reference_quantiser() {
    // The largest magnitude is 127, so a step is 1: halves are rounded away from zero, as C's roundf does.
    let mut weights = vec![127.0, 0.5, -0.5, 1.5, 2.5, -2.5, 0.25, -126.75];
    weights.resize(32, 0.0);
    let weights: Vec<f16> = weights.into_iter().map(f16::from_f32).collect();
    let (scale, bytes) = block(&weights);
    assert_eq!(scale, 1.0);
    assert_eq!(bytes[..9], [127, 1, -1, 2, 3, -3, 0, -127, 0]);

    // -16 to 15: a step is 16 / 127, stored as the half float 0x3008.
    let weights: Vec<f16> = (-16..16).map(|n| f16::from_f32(n as f32)).collect();
    let (scale, bytes) = block(&weights);
    assert_eq!(f16::from_f32(scale).to_bits(), 0x3008);
    assert_eq!(
        bytes,
        [
            -127, -119, -111, -103, -95, -87, -79, -71, -64, -56, -48, -40, -32, -24, -16, -8, 0, 8, 16, 24,
            32, 40, 48, 56, 64, 71, 79, 87, 95, 103, 111, 119
        ]
    );

    let (scale, bytes) = block(&[f16::ZERO; 32]);
    assert_eq!((scale, bytes), (0.0, vec![0; 32]));
}

#[test]
fn what_is_not_half_precision_is_not_quantised() {
    let twice = quantised(&quantised(&ggml_file()).unwrap());
    assert!(twice.unwrap_err().to_string().contains("half precision"));
    let mut model = checkpoint();
    model.tensors = vec![Tensor { name: "w".into(), shape: vec![2, 33], data: vec![0; 132] }];
    let mut file = Vec::new();
    ggml::write(&model, &mel(), &[], &mut file).unwrap();
    assert!(quantised(&file).unwrap_err().to_string().contains("multiple of 32"));
    model.tensors[0].data.pop();
    assert!(ggml::write(&model, &mel(), &[], &mut Vec::new()).is_err());
}

// --- The encoder ---------------------------------------------------------------------------------------

fn encoder_of(file: &[u8]) -> Result<Vec<u8>, FormatError> {
    encoder::graph(&mut &file[..])
}

#[test]
fn the_encoder_is_made_of_either_form_of_a_file() {
    let small = quantised(&ggml_file()).unwrap();
    for file in [ggml_file(), small] {
        crate::testing::uses_only_what_it_has(&encoder_of(&file).unwrap());
    }
}

#[test]
fn an_encoder_that_lacks_something_or_has_it_in_another_shape_is_refused() {
    let file_of = |model: &Checkpoint| {
        let mut out = Vec::new();
        ggml::write(model, &mel(), &[b"!".to_vec()], &mut out).map(|()| out).unwrap()
    };
    let mut lacking = checkpoint();
    lacking.tensors.retain(|tensor| tensor.name != "encoder.blocks.0.attn.key.weight");
    let why = encoder_of(&file_of(&lacking)).unwrap_err().to_string();
    assert!(why.contains("no encoder.blocks.0.attn.key.weight"), "{why}");
    let mut wide = checkpoint();
    wide.dims.n_audio_state = 32;
    let why = encoder_of(&file_of(&wide)).unwrap_err().to_string();
    assert!(why.contains("encoder.conv1.weight is [64, 1, 3]"), "{why}");
    let mut headless = checkpoint();
    headless.dims.n_audio_head = 0;
    assert!(encoder_of(&file_of(&headless)).is_err());
}

#[test]
fn an_encoder_that_not_every_session_can_have_for_itself_is_refused_by_its_sizes_alone() {
    let why = |[bands, width, layers]: [u32; 3]| {
        let mut model = Checkpoint { tensors: Vec::new(), ..checkpoint() };
        let (n_audio_ctx, n_audio_head) = (1_500, width / 64);
        model.dims = Dims { n_audio_ctx, n_audio_head, n_mels: bands, n_audio_state: width, ..model.dims };
        model.dims.n_audio_layer = layers;
        let mut file = Vec::new();
        ggml::write(&model, &mel(), &[], &mut file).unwrap();
        encoder_of(&file).unwrap_err()
    };
    // Of `tiny`, `base` and `small` only the weights are missing here.
    for [width, layers] in [[384, 4], [512, 6], [768, 12]] {
        assert!(matches!(why([80, width, layers]), FormatError::Invalid(_)), "{width}");
    }
    for sizes in [[80, 1_024, 24], [128, 1_280, 32], [u32::MAX; 3]] {
        assert!(matches!(why(sizes), FormatError::TooLarge { .. }), "{sizes:?}");
    }
}

#[test]
fn an_encoder_of_a_file_that_ends_early_is_refused() {
    let file = ggml_file();
    // Where a whole tensor is missing, and not a part of one, it is the decoder's that stand last or the norm.
    for length in (0..file.len()).step_by(997) {
        assert!(encoder_of(&file[..length]).is_err(), "{length}");
    }
}

proptest! {
    #[test]
    fn a_damaged_file_makes_no_encoder_panic(at in 0usize..200_000, value in any::<u8>()) {
        let mut file = ggml_file();
        let at = at % file.len();
        file[at] = value;
        let _ = encoder_of(&file);
    }
}
