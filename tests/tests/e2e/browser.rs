//! Chromium opens the page, as an agent does: words appear while they are spoken, the connection may break, and
//! the ended call plays in step with its words.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use sotto_tests::audio::Audio;
use sotto_tests::proxy::Proxy;
use sotto_tests::script::{Script, edits, root, words};
use sotto_tests::server::{ADMIN, Setup, Sotto};
use sotto_tests::sipp::Sipp;

use crate::support::{EXCERPT_MS, PATIENCE, excerpt};

/// Opens the page and gives all that was seen. `seen` is told of each thing as it is seen.
fn watch(base: &str, shots: &Path, mut seen: impl FnMut(&Value)) -> Vec<Value> {
    let mut browser = Command::new("node")
        .arg(root().join("tests/browser/watch.mjs"))
        .args([base, ADMIN.0, ADMIN.1])
        .arg(shots)
        .stdout(Stdio::piped())
        .spawn()
        .expect("node");
    let mut all = Vec::new();
    for line in BufReader::new(browser.stdout.take().unwrap()).lines() {
        let saw: Value = serde_json::from_str(&line.unwrap()).unwrap();
        seen(&saw);
        all.push(saw);
    }
    let status = browser.wait().unwrap();
    assert!(status.success(), "{status}: {:?}", all.last());
    all
}

fn saw<'a>(all: &'a [Value], what: &str) -> Vec<&'a Value> {
    all.iter().filter(|s| s["saw"] == what).collect()
}

fn shots(name: &str) -> std::path::PathBuf {
    // Kept, so that a person can look at them.
    let folder = std::env::current_exe().unwrap().parent().unwrap().join("../../xtask/shots").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn said(all: &[Value], party: &str) -> Vec<String> {
    let lines = saw(all, "transcript")[0]["lines"].as_array().unwrap();
    let lines = lines.iter().filter(|l| l["party"] == party && l["partial"] == false);
    lines.flat_map(|l| words(l["text"].as_str().unwrap())).collect()
}

#[test]
fn words_appear_while_they_are_spoken_and_a_broken_connection_loses_none() {
    let sotto = Sotto::start().unwrap();
    let proxy = Proxy::to(sotto.http).unwrap();
    let (script, audio) = excerpt();
    // From the list to the call's page it takes a browser a moment; the call waits a little with its words.
    let padded = Audio {
        rate: audio.rate,
        channels: audio.channels.iter().map(|c| [vec![0; 8000 * 4], c.clone()].concat()).collect(),
    };
    let (mut running, mut cuts) = (None, 0);
    let all = watch(&format!("http://{}", proxy.address), &shots("english"), |saw| {
        if saw["saw"] == "calls" {
            running = Some(Sipp::siprec(sotto.sip).call(&padded).unwrap());
        }
        if cuts == 0 && saw["saw"] == "final" {
            cuts = proxy.cut();
        }
    });
    running.expect("the page shows the calls").finish().unwrap();

    assert!(cuts > 0, "the connection was cut");
    assert!(saw(&all, "error").is_empty(), "{:?}", saw(&all, "error"));
    assert_eq!(saw(&all, "refusal").len(), 1, "a wrong password is refused");
    let at = |what: &str| all.iter().position(|s| s["saw"] == what).unwrap_or_else(|| panic!("no {what}"));
    assert!(at("partial") < at("final"), "words are provisional first");
    let links: Vec<&str> = saw(&all, "link").iter().filter_map(|l| l["state"].as_str()).collect();
    assert!(
        links.iter().any(|l| l.contains("waiting") || l.contains("retrying")),
        "the break is shown: {links:?}"
    );
    assert!(links.iter().any(|l| l.contains("live")), "and that it is over: {links:?}");
    for party in ["agent", "customer"] {
        let (wanted, heard) = (script.words(party, EXCERPT_MS), said(&all, party));
        let rate = edits(&wanted, &heard) as f64 / wanted.len() as f64;
        assert!(rate < 0.35, "{party}: {rate:.2}, on the page {heard:?}");
    }
    let playback = saw(&all, "playback")[0];
    let seconds = playback["seconds"].as_f64().unwrap();
    assert!((seconds * 1000.0 - padded.duration_ms() as f64).abs() < 1500.0, "{playback}");
    let end = saw(&all, "end")[0];
    assert_eq!(end["outside"], serde_json::json!([]), "the page asks nobody else for anything");
}

#[test]
fn a_persian_call_reads_from_right_to_left() {
    let setup = Setup { model: "base".into(), language: Some("fa".into()), ..Setup::default() };
    let sotto = Sotto::start_with(&setup).unwrap();
    let audio = Audio::read(&Script::persian().unwrap().audio).unwrap();
    let running = Sipp::siprec(sotto.sip).call(&audio).unwrap();
    sotto.api.next_live_call(&[], PATIENCE).unwrap();
    let all = watch(&format!("http://{}", sotto.http), &shots("persian"), |_| {});
    running.finish().unwrap();
    let transcript = saw(&all, "transcript")[0];
    assert_eq!(transcript["list"], "rtl", "{transcript}");
    let lines = transcript["lines"].as_array().unwrap();
    assert!(!lines.is_empty() && lines.iter().all(|l| l["direction"] == "rtl"), "{transcript}");
}
