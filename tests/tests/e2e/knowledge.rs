//! Documents of a folder, looked up: `sotto kb search`.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};

use sotto_tests::script::root;
use sotto_tests::server::binary;

/// By words alone, so that no model is needed.
fn search(folder: &Path, query: &str, more: &[&str]) -> (Output, String) {
    let mut command = Command::new(binary().unwrap());
    command.args(["kb", "search", "--words", "--folder"]).arg(folder).args(more).arg(query);
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
    fs::write(path("deep.pdf"), format!("%PDF-1.4\n1 0 obj\n{}\nendobj\n", "[".repeat(4 << 20))).unwrap();
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
