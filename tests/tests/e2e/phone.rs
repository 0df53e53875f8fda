//! The agent's telephone in the browser: a customer calls from one that encrypts (SRTP), the page rings, and the
//! two talk through Sotto.

use std::process::Command;

use serde_json::Value;
use sotto_tests::audio::Audio;
use sotto_tests::baresip::{Baresip, Codec, has_network};
use sotto_tests::script::{Script, root, word_error_rate, words};
use sotto_tests::server::{ADMIN, Setup, Sotto, binary};

use crate::support::{EXCERPT_MS, PATIENCE, assert_ordered, excerpt};

/// The words in a recording, as `sotto transcribe` hears them.
fn transcribed(path: &std::path::Path) -> Vec<String> {
    let output = Command::new(binary().unwrap())
        .args(["transcribe", "--set", "speech.model=tiny.en"])
        .arg(path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    words(&text)
}

/// How many of the words that `party` says in the excerpt were heard.
fn share_heard(script: &Script, party: &str, heard: &[String]) -> f64 {
    let said = script.words(party, EXCERPT_MS);
    let missed = said.iter().filter(|word| !heard.contains(word)).count();
    1.0 - missed as f64 / said.len() as f64
}

#[test]
fn a_customer_and_an_agent_at_a_browser_hear_each_other() {
    if !has_network() {
        eprintln!("SKIPPED: baresip wants a network interface besides the loopback");
        return;
    }
    let more = |table: &str, line: &str| (table.to_owned(), line.to_owned());
    let setup = Setup {
        more: vec![
            more("sip", "rtp_any_source = true"),
            more("webrtc", "ip = \"127.0.0.1\""),
            more("desk", "numbers = [{ number = \"100\" }]"),
        ],
        ..Setup::default()
    };
    let sotto = Sotto::start_with(&setup).unwrap();
    let (script, audio) = excerpt();
    let folder = tempfile::tempdir().unwrap();
    let (speech, heard) = (folder.path().join("speech.wav"), folder.path().join("heard.wav"));
    Audio { rate: audio.rate, channels: vec![audio.channels[0].clone()] }.write_wav(&speech).unwrap();
    let shots = std::env::current_exe().unwrap().parent().unwrap().join("../../xtask/shots/phone");
    std::fs::create_dir_all(&shots).unwrap();

    let mut browser = Command::new("node")
        .arg(root().join("tests/browser/agent.mjs"))
        .args([&format!("http://{}", sotto.http), ADMIN.0, ADMIN.1])
        .args([&speech, &heard, &shots])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = std::io::BufRead::lines(std::io::BufReader::new(browser.stdout.take().unwrap()))
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    assert_eq!(seen.next().unwrap()["saw"], "ready");

    let phone =
        Baresip::call(sotto.sip, "100", Codec::Pcmu, Some("srtp-mand"), &audio.channels[1], 18).unwrap();
    let rang = seen.next().unwrap();
    if rang["saw"] != "ringing" {
        panic!("{rang}: {:?}", phone.finish());
    }
    assert_eq!(seen.next().unwrap()["saw"], "talking");
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    let customer_heard = folder.path().join("customer.wav");
    phone.finish().unwrap().expect("it was spoken to").write_wav(&customer_heard).unwrap();
    let rest: Vec<Value> = seen.collect();
    assert!(browser.wait().unwrap().success(), "{rest:?}");
    assert!(rest.iter().all(|saw| saw["saw"] != "error"), "{rest:?}");

    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    for party in ["agent", "customer"] {
        let rate = word_error_rate(&script, &events, party, EXCERPT_MS);
        assert!(rate < 0.35, "{party}: {rate:.2}");
    }
    let to_agent = share_heard(&script, "customer", &transcribed(&heard));
    let to_customer = share_heard(&script, "agent", &transcribed(&customer_heard));
    assert!(to_agent > 0.7 && to_customer > 0.7, "agent heard {to_agent:.2}, customer {to_customer:.2}");
}
