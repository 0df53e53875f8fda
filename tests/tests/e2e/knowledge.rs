//! Documents of a folder, looked up: `sotto kb search`.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use sotto_tests::script::root;
use sotto_tests::server::binary;

/// By words alone, so that no model is needed.
fn search(folder: &Path, query: &str, more: &[&str]) -> (Output, String) {
    let mut command = Command::new(binary().unwrap());
    command.args(["kb", "search", "--words"]).args(more).arg(folder).arg(query);
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout.clone()).unwrap();
    (out, text)
}

#[test]
fn the_hubs_that_ship_answer_in_both_languages_and_say_why() {
    let cases = [
        ("marfanet/en", "How long does a refund take?", "(refunds.md)"),
        ("marfanet/fa", "بازگشت وجه چند روز طول می‌کشد؟", "(refunds.md)"),
        ("metalingua/en", "Is the placement test free?", "(placement-test.md)"),
        ("metalingua/fa", "آزمون تعیین سطح رایگان است؟", "(placement-test.md)"),
    ];
    for (hub, question, expected) in cases {
        let (_, text) = search(&root().join("knowledge").join(hub), question, &[]);
        let first = text.lines().find(|line| line.starts_with("1. ")).unwrap_or_default();
        assert!(first.ends_with(expected) && text.contains("BM25"), "{question}\n{text}");
    }
    let (_, text) = search(&root().join("knowledge/marfanet/en"), "zebra xylophone", &[]);
    assert_eq!(text, "Nothing here answers that.\n");
}

#[test]
fn a_pdf_is_read_and_what_is_hostile_is_named_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::copy(root().join("crates/knowledge/tests/data/refunds.pdf"), path("refunds.pdf")).unwrap();
    fs::write(path("prices.md"), "# Prices\n\nA lesson costs ten pounds.").unwrap();
    // Deeper than any stack, larger than any page, and not what their names say.
    let deep = format!("%PDF-1.4\n1 0 obj\n{}\nendobj\nstartxref\n9\n%%EOF\n", "[".repeat(4 << 20));
    fs::write(path("deep.pdf"), deep).unwrap();
    File::create(path("large.txt")).unwrap().set_len(1 << 30).unwrap();
    fs::write(path("archive.docx"), "PK\u{3}\u{4} and no more").unwrap();
    let (out, text) = search(folder.path(), "How many days do refunds take?", &[]);
    assert!(text.contains("refunds.pdf") && text.contains("three days"), "{text}");
    let complaints = String::from_utf8_lossy(&out.stderr).into_owned();
    for name in ["deep.pdf", "large.txt", "archive.docx"] {
        assert!(
            complaints.lines().any(|line| line.starts_with(&format!("{name}: "))),
            "{name}: {complaints}"
        );
    }
}

#[test]
fn a_reader_has_its_limits_before_it_reads() {
    let mut reader = Command::new(binary().unwrap())
        .args(["read-document", "txt"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = reader.stdin.take().unwrap();
    // More than a pipe holds: when all is written, it reads.
    input.write_all(&vec![b'x'; 4 << 20]).unwrap();
    let limits = fs::read_to_string(format!("/proc/{}/limits", reader.id())).unwrap();
    let expected = [("Max cpu time", "30"), ("Max data size", "1073741824"), ("Max core file size", "0")];
    for (resource, most) in expected {
        let line = limits.lines().find_map(|line| line.strip_prefix(resource)).unwrap_or_default();
        // The soft limit, and the hard one, above which it cannot raise that.
        assert!(line.split_whitespace().take(2).eq([most, most]), "{resource}: {limits}");
    }
    drop(input);
    assert!(reader.wait_with_output().unwrap().status.success());
}

#[test]
fn what_was_removed_from_the_folder_is_not_in_what_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("hub.kept");
    let documents = folder.path().join("documents");
    fs::create_dir(&documents).unwrap();
    fs::write(documents.join("a.md"), "# Zebra\n\nA striped animal.").unwrap();
    fs::write(documents.join("b.md"), "# Prices\n\nTen pounds.").unwrap();
    let keep = ["--keep", kept.to_str().unwrap()];
    assert!(search(&documents, "zebra", &keep).1.contains("a.md"));
    fs::remove_file(documents.join("a.md")).unwrap();
    assert!(!search(&documents, "zebra", &keep).1.contains("a.md"));
    let bytes = fs::read(&kept).unwrap();
    assert!(!bytes.windows(7).any(|window| window == b"striped"));
}
