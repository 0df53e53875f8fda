use super::*;
use crate::progress::Silent;
use crate::testing::{Recorder, Reply, Request, Server, fetcher, nowhere, sha256};

const BODY_LEN: usize = 300_000;

fn body() -> Vec<u8> {
    (0..BODY_LEN).map(|i| (i * 7 % 251) as u8).collect()
}

struct Case {
    _folder: tempfile::TempDir,
    target: PathBuf,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("file.bin");
        Self { _folder: folder, target }
    }

    fn download(&self, server: &Server, progress: &mut dyn Progress) -> Result<(), Failure> {
        let sha256 = sha256(&body());
        let expected = Expected { size: BODY_LEN as u64, sha256: &sha256 };
        fetcher(&server.url, "").ready_made(&format!("{}/file", server.url), &self.target, expected, progress)
    }

    fn part(&self) -> Option<Vec<u8>> {
        fs::read(part_of(&self.target)).ok()
    }

    fn assert_done(&self) {
        assert_eq!(fs::read(&self.target).unwrap(), body());
        assert_eq!(self.part(), None);
    }
}

fn starts(server: &Server) -> Vec<Option<usize>> {
    server.requests().iter().map(|request| request.from).collect()
}

#[test]
fn a_connection_that_breaks_is_continued_where_it_broke() {
    let case = Case::new();
    let server = Server::start(|request: &Request| {
        let whole = Reply::file(&body(), request);
        match request.from {
            None | Some(100_000) => whole.broken_after(100_000),
            Some(_) => whole,
        }
    });
    case.download(&server, &mut Silent).unwrap();
    case.assert_done();
    assert_eq!(starts(&server), [None, Some(100_000), Some(200_000)]);
}

#[test]
fn a_server_without_ranges_is_read_from_the_start_again() {
    let case = Case::new();
    let server = Server::start(|request: &Request| match request.from {
        None => Reply::ok(&body()).broken_after(100_000),
        Some(_) => Reply::ok(&body()),
    });
    case.download(&server, &mut Silent).unwrap();
    case.assert_done();
}

#[test]
fn an_interrupted_download_is_kept_and_resumed() {
    let case = Case::new();
    let server = Server::start(|request: &Request| Reply::file(&body(), request));
    let mut stop = Recorder { stop_at: Some(70_000), ..Recorder::default() };
    let failure = case.download(&server, &mut stop).unwrap_err();
    assert!(matches!(failure, Failure::Fatal(ModelError::Interrupted)));
    assert!(!case.target.exists());
    let kept = case.part().unwrap();
    assert!(kept.len() >= 70_000 && body().starts_with(&kept));

    case.download(&server, &mut Silent).unwrap();
    case.assert_done();
    assert_eq!(starts(&server)[1], Some(kept.len()));
}

#[test]
fn a_leftover_of_another_file_is_thrown_away_once() {
    let case = Case::new();
    fs::write(part_of(&case.target), vec![0; 1_000]).unwrap();
    let server = Server::start(|request: &Request| Reply::file(&body(), request));
    case.download(&server, &mut Silent).unwrap();
    case.assert_done();
    assert_eq!(starts(&server), [Some(1_000), None]);
}

#[test]
fn a_leftover_that_is_too_long_is_thrown_away() {
    let case = Case::new();
    fs::write(part_of(&case.target), vec![0; BODY_LEN + 1]).unwrap();
    let server = Server::start(|request: &Request| Reply::file(&body(), request));
    case.download(&server, &mut Silent).unwrap();
    case.assert_done();
}

#[test]
fn a_complete_leftover_needs_no_server() {
    let case = Case::new();
    fs::write(part_of(&case.target), body()).unwrap();
    let server = Server::start(|_: &Request| Reply::status(500));
    case.download(&server, &mut Silent).unwrap();
    case.assert_done();
    assert!(server.requests().is_empty());
}

#[test]
fn other_content_is_deleted_and_named() {
    let case = Case::new();
    let server = Server::start(|_: &Request| {
        let mut wrong = body();
        wrong[BODY_LEN / 2] ^= 1;
        Reply::ok(&wrong)
    });
    let Failure::Source(error) = case.download(&server, &mut Silent).unwrap_err() else { panic!() };
    assert!(error.to_string().contains("checksum wrong: file.bin"), "{error}");
    assert!(!case.target.exists() && case.part().is_none());
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_body_longer_than_announced_in_the_manifest_is_cut_off() {
    let case = Case::new();
    let server =
        Server::start(|_: &Request| Reply { announced: None, ..Reply::ok(&vec![1; BODY_LEN + 200_000]) });
    let failure = case.download(&server, &mut Silent).unwrap_err();
    assert!(matches!(failure, Failure::Source(FetchError::Size { found, .. }) if found > BODY_LEN as u64));
    assert!(case.part().is_none());

    let server = Server::start(|_: &Request| Reply { announced: Some(1 << 40), ..Reply::ok(b"x") });
    let failure = case.download(&server, &mut Silent).unwrap_err();
    assert!(matches!(failure, Failure::Source(FetchError::Size { found: 0x100_0000_0000, .. })));
    assert!(case.part().is_none());
}

#[test]
fn another_range_than_asked_for_is_refused() {
    let case = Case::new();
    fs::write(part_of(&case.target), &body()[..1_000]).unwrap();
    let server = Server::start(|request: &Request| {
        Reply::file(&body(), &Request { from: Some(5), ..request.clone() })
    });
    assert!(matches!(case.download(&server, &mut Silent), Err(Failure::Source(_))));
    assert_eq!(case.part().unwrap(), &body()[..1_000]);
}

#[test]
fn a_server_in_trouble_is_asked_again_but_not_for_ever() {
    let case = Case::new();
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::start(move |request: &Request| {
        match calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Reply::status(503),
            1 => Reply::status(429),
            _ => Reply::file(&body(), request),
        }
    });
    case.download(&server, &mut Silent).unwrap();
    case.assert_done();

    let case = Case::new();
    let server = Server::start(|_: &Request| Reply::status(502));
    let failure = case.download(&server, &mut Silent).unwrap_err();
    assert!(matches!(failure, Failure::Source(FetchError::Status(502))));
    assert_eq!(server.requests().len(), ATTEMPTS as usize);
}

#[test]
fn a_server_that_never_gets_anywhere_is_given_up() {
    let case = Case::new();
    let server = Server::start(|request: &Request| Reply::file(&body(), request).broken_after(1));
    let failure = case.download(&server, &mut Silent).unwrap_err();
    assert!(matches!(failure, Failure::Source(FetchError::BrokeOff { got: 5, size: 300_000, .. })));
}

#[test]
fn what_is_not_there_is_asked_for_once() {
    let case = Case::new();
    let server = Server::start(|_: &Request| Reply::status(404));
    let failure = case.download(&server, &mut Silent).unwrap_err();
    assert!(matches!(failure, Failure::Source(FetchError::Status(404))));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_hub_that_does_not_answer_is_not_asked_again() {
    let hub = nowhere();
    let fetcher = fetcher(&hub, "");
    let case = Case::new();
    let expected = Expected { size: 1, sha256: "" };
    for reason in ["", "did not answer before"] {
        let failure =
            fetcher.ready_made(&format!("{hub}/x"), &case.target, expected, &mut Silent).unwrap_err();
        let Failure::Source(FetchError::NoConnection(text)) = failure else { panic!("{failure:?}") };
        assert!(text.contains(reason), "{text}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_said_to_be_full() {
    let case = Case::new();
    std::os::unix::fs::symlink("/dev/full", part_of(&case.target)).unwrap();
    let server = Server::start(|request: &Request| Reply::file(&body(), request));
    let Failure::Fatal(error) = case.download(&server, &mut Silent).unwrap_err() else { panic!() };
    assert!(matches!(error, ModelError::DiskFull { size: 300_000, .. }), "{error}");
}

#[test]
fn links_are_found_as_indexes_write_them() {
    let page_url = "https://index.example/root/simple/pkg/";
    let find = |page: &str| find_link(page, page_url, "pkg-1.0.whl");
    for (page, expected) in [
        (
            r#"<a href="https://files.example/a/pkg-1.0.whl#sha256=00">x</a>"#,
            "https://files.example/a/pkg-1.0.whl",
        ),
        (r#"<a href="../../pkg-1.0.whl">x</a>"#, "https://index.example/root/pkg-1.0.whl"),
        (r#"<a data-x='1' href='/f/pkg-1.0.whl'>x</a>"#, "https://index.example/f/pkg-1.0.whl"),
        (
            r#"<a href="//cdn.example/pkg-1.0.whl?a=1&amp;b=2">x</a>"#,
            "https://cdn.example/pkg-1.0.whl?a=1&b=2",
        ),
        (
            r#"<a href="/pkg-1.0.whl.metadata">no</a><a href="/pkg-1.0.whl">x</a>"#,
            "https://index.example/pkg-1.0.whl",
        ),
    ] {
        assert_eq!(find(page).as_deref(), Some(expected));
    }
    for page in [
        "",
        "href=",
        "href=\"",
        r#"<a href="/xpkg-1.0.whl">"#,
        r#"<a href="file:///etc/pkg-1.0.whl">"#,
        r#"<a href="/pkg-1.0.whl/">"#,
        "pkg-1.0.whl",
    ] {
        assert_eq!(find(page), None, "{page}");
    }
}

proptest::proptest! {
    #[test]
    fn any_page_is_survived(page in ".*", around in "(href=|\"|'|#|&amp;|/|pkg-1.0.whl|é){0,20}") {
        for text in [page, around] {
            if let Some(link) = find_link(&text, "https://i.example/simple/p/", "pkg-1.0.whl") {
                proptest::prop_assert!(link.starts_with("http"));
            }
        }
    }
}
