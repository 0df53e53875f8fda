//! A test that is left out because this machine lacks something. The end-to-end tests' bench has it as well.

#![expect(clippy::expect_used, reason = "tests want to hear of every failure at once")]

use std::fs::OpenOptions;
use std::io::Write;

/// Says that the test that calls is left out, for want of `need`.
///
/// cargo shows nothing of what a test prints that has passed: whoever wants to know names a file in `SOTTO_SKIPPED`,
/// to which a line is added for every test that was left out.
///
/// # Panics
/// When the need must be met: `SOTTO_REQUIRE_POSTGRES=1` for the need `POSTGRES`, and so on.
pub fn skipped(need: &str, why: &str) {
    let required = format!("SOTTO_REQUIRE_{need}");
    assert!(std::env::var(&required).as_deref() != Ok("1"), "{required}=1, but {why}");
    eprintln!("SKIPPED: {why}");
    if let Some(file) = std::env::var_os("SOTTO_SKIPPED") {
        let thread = std::thread::current();
        let line = format!("{}: {why}\n", thread.name().unwrap_or("a test"));
        let file = OpenOptions::new().create(true).append(true).open(file);
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("SOTTO_SKIPPED names a file");
    }
}
