//! `sotto llm check` against llama.cpp's server, and against none.

use std::process::{Command, Output};

use sotto_tests::llama::{self, Llama};
use sotto_tests::server::{binary, free_address};

fn check(settings: &[String]) -> (Output, String) {
    let mut command = Command::new(binary().unwrap());
    command.args(["llm", "check"]).args(settings.iter().flat_map(|setting| ["--set", setting]));
    let out = command.output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out, text)
}

#[test]
fn a_real_server_is_asked_and_what_works_is_said() {
    let llama = match Llama::start() {
        Ok(llama) => llama,
        Err(error) => return sotto_tests::skip::skipped("LLAMA", &format!("no llama.cpp server: {error:#}")),
    };
    // A busy machine is slow at this.
    let slow = ["llm.first_token_s=120", "llm.whole_s=240"].map(str::to_owned);
    let settings = [format!("llm.url={}", llama.url()), format!("llm.model={}", llama::MODEL)];
    let (out, text) = check(&[settings, slow].concat());
    assert!(out.status.success(), "{text}");
    for line in [
        "tokens     are counted by the server",
        "form       by schema",
        "answer     {\"word\":",
        "streaming  yes",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn no_server_and_a_dead_one_are_named() {
    let (out, text) = check(&[]);
    assert!(!out.status.success() && text.contains("set `llm.url`"), "{text}");
    let nobody = free_address().unwrap();
    let settings =
        [format!("llm.url=http://{nobody}/v1"), "llm.model=m".to_owned(), "llm.retries=0".to_owned()];
    let (out, text) = check(&settings);
    assert!(!out.status.success() && text.contains("cannot be reached"), "{text}");
}
