//! Odd, broken and hostile messages at a live endpoint: each gets the answer it deserves, and the endpoint goes
//! on serving. The published torture messages and two vendors' recording sessions are used when the folder
//! with them lies beside the repository.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use common::Bench;
use common::raw::{Raw, Talk, offer};
use rsipstack::sip::{HeadersExt, SipMessage};
use sotto_call::Party;
use sotto_sip::sdp::Session;

/// The folder with others' messages, if it is there.
fn evaluation() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/eval/sip");
    if !folder.is_dir() {
        println!("{} is not there: nothing to try", folder.display());
    }
    folder.is_dir().then_some(folder)
}

async fn still_serves(bench: &Bench, what: &str) {
    for mut raw in [Raw::udp(bench.udp()).await, Raw::tcp(bench.tcp()).await] {
        let options = Talk::new(&raw, bench.udp(), "alive").text("OPTIONS", 1, "", "");
        assert_eq!(raw.status(options).await, 200, "after {what}");
    }
}

/// The status a message is answered with. A question that is always answered follows it: when that has its
/// answer, what needs no thought would have had one as well.
async fn answer(raw: &mut Raw, to: std::net::SocketAddr, bytes: &[u8]) -> Option<u16> {
    let probe = Talk::new(raw, to, "probe").text("OPTIONS", 1, "", "");
    raw.send(bytes).await;
    raw.send(probe).await;
    let is_thought_about = bytes.starts_with(b"INVITE");
    while let Some(message) = raw.receive_within(Duration::from_secs(10)).await {
        let SipMessage::Response(response) = message else { continue };
        let is_probe = response.call_id_header().is_ok_and(|id| id.value() == "probe");
        if is_probe && !is_thought_about {
            return None;
        }
        if !is_probe && response.status_code.code() >= 200 {
            return Some(response.status_code.code());
        }
    }
    None
}

#[tokio::test]
async fn bodies_are_refused_by_what_is_wrong_with_them() {
    let mut bench = Bench::start(|_| {}).await;
    let good = offer(&[("1", "sendonly")]);
    for mut raw in [Raw::udp(bench.udp()).await, Raw::tcp(bench.tcp()).await] {
        let bodies: [(&str, String, u16); 15] = [
            ("application/unknown", "x".into(), 415),
            ("text/plain", good.clone(), 415),
            ("application/sdp", "not a description".into(), 400),
            ("application/sdp", "v=0\r\nm=audio x RTP/AVP 0\r\n".into(), 400),
            ("application/sdp", format!("v=0\r\n{}", "m=audio 4 RTP/AVP 0\r\n".repeat(100)), 400),
            ("application/sdp", "v=0\r\ns=no media\r\n".into(), 488),
            ("application/sdp", good.replace("RTP/AVP 0 101", "RTP/SAVP 0 101"), 488),
            ("application/sdp", good.replace("RTP/AVP 0 101", "RTP/AVP 18"), 488),
            ("application/sdp", good.replace("audio", "video"), 488),
            ("multipart/mixed", good.clone(), 400),
            ("multipart/mixed;boundary=x", good.clone(), 400),
            ("multipart/mixed;boundary=x", format!("--x\r\n\r\n{good}\r\n--x--"), 415),
            ("multipart/mixed;boundary=x", "--x\r\n\r\na\r\n".repeat(99), 400),
            (
                "multipart/mixed;boundary=x",
                format!(
                    "--x\r\nContent-Type: application/sdp\r\n\r\n{good}\r\n--x\r\nContent-Type: application/rs-metadata+xml\r\n\r\n<!DOCTYPE a [<!ENTITY b \"b\">]><recording>&b;</recording>\r\n--x--"
                ),
                400,
            ),
            (
                "multipart/mixed;boundary=x",
                format!(
                    "--x\r\nContent-Type: application/sdp\r\n\r\n{good}\r\n--x\r\nContent-Type: application/rs-metadata+xml\r\n\r\n{}\r\n--x--",
                    "<a>".repeat(1_000)
                ),
                400,
            ),
        ];
        for (n, (kind, body, status)) in bodies.into_iter().enumerate() {
            let talk = Talk::new(&raw, bench.udp(), &format!("body{n}"));
            let answer = raw.ask(talk.text("INVITE", 1, kind, &body)).await;
            assert_eq!(answer.status_code.code(), status, "{n} {kind}");
            assert!(answer.to_header().unwrap().tag().unwrap().is_some());
            raw.send(talk.on_branch_of_invite("ACK")).await;
        }
    }
    still_serves(&bench, "bad bodies").await;
    assert!(bench.is_quiet(), "no call has begun");
    assert_eq!(bench.endpoint.counters().dialogs, 0);
}

#[tokio::test]
async fn messages_cut_anywhere_and_spoiled_anywhere_do_no_harm() {
    let mut bench = Bench::start(|config| config.t1_ms = 5).await;
    let mut raw = Raw::udp(bench.udp()).await;
    let text = Talk::new(&raw, bench.udp(), "cut").invite(&offer(&[("1", "sendonly"), ("2", "sendonly")]));
    let bytes = text.as_bytes();
    for length in (0..bytes.len()).step_by(3) {
        raw.send(&bytes[..length]).await;
    }
    // A small generator is enough, and always the same.
    let mut random = 1_u32;
    let mut next = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 16) as usize
    };
    for n in 0..400 {
        let mut spoiled =
            text.replace("z9hG4bK", &format!("z9hG4bK{n}")).replace("cut", &format!("cut{n}")).into_bytes();
        for _ in 0..1 + n % 4 {
            let at = next() % spoiled.len();
            spoiled[at] = next() as u8;
        }
        raw.send(&spoiled).await;
    }
    for junk in [
        vec![0; 65_000],
        vec![b'A'; 65_000],
        b"\r\n".repeat(1_000),
        b"INVITE ".repeat(5_000),
        (0..=255).collect(),
    ] {
        raw.send(&junk).await;
        let mut stream = Raw::tcp(bench.tcp()).await;
        stream.send(&junk).await;
    }
    // Some of it was still a call; nobody acknowledges, and all of them end.
    still_serves(&bench, "spoiled messages").await;
    while bench.endpoint.counters().dialogs > 0 {
        bench.told().await;
    }
    still_serves(&bench, "their end").await;
    assert!(bench.endpoint.counters().dropped > 0);
}

#[tokio::test]
async fn published_torture_messages() {
    let Some(folder) = evaluation() else { return };
    let mut messages: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for folder in [folder.join("rfc4475"), folder.join("rfc5118")] {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let mut bytes = std::fs::read(&path).unwrap();
            match name.strip_suffix(".dat") {
                Some(name) => drop(messages.insert(name.to_owned(), bytes)),
                // These are kept without their last line ends.
                None if !name.contains('.') && !name.starts_with('_') && !name.starts_with("LICENSE") => {
                    while bytes.ends_with(b"\r\n") {
                        bytes.truncate(bytes.len() - 2);
                    }
                    bytes.extend_from_slice(b"\r\n\r\n");
                    messages.insert(name, bytes);
                }
                None => {}
            }
        }
    }
    // What must be answered how; responses, and what a stream waits for the rest of, are not answered.
    let silent = ["bcast", "bigcode", "noreason", "scalarlg", "unreason"];
    let wanted: BTreeMap<&str, &[u16]> = BTreeMap::from([
        ("badinv01", &[400][..]),
        ("badvers", &[505]),
        ("bext01", &[420]),
        ("escruri", &[400]),
        ("insuf", &[400]),
        ("ltgtruri", &[400]),
        ("lwsruri", &[400]),
        ("lwsstart", &[400]),
        ("mcl01", &[400]),
        ("mismatch01", &[400]),
        ("mismatch02", &[400, 501]),
        ("multi01", &[400]),
        ("ncl", &[400]),
        ("novelsc", &[416]),
        ("unkscm", &[416]),
        ("quotbal", &[400]),
        ("scalar02", &[400]),
        ("trws", &[400]),
        ("intmeth", &[400, 501]),
        ("esc02", &[501]),
        ("invut", &[400, 415]),
        ("sdp01", &[406]),
        ("mpart01", &[405]),
        ("ipv6-bad", &[400]),
        ("badbranch", &[200]),
        ("lwsdisp", &[200]),
        ("semiuri", &[200]),
        ("transports", &[200]),
        ("zeromf", &[200]),
        ("longreq", &[200]),
        ("wsinv", &[481]),
        ("esc01", &[200]),
    ]);
    // Answers go to the Via's port, which is 5060 in nearly all of them: be there.
    let bench = Bench::start(|config| config.t1_ms = 20).await;
    // To the first, what comes over TCP would be a repetition of what came over UDP.
    let other = Bench::start(|config| config.t1_ms = 20).await;
    let mut failures = Vec::new();
    for (n, (name, bytes)) in messages.iter().enumerate() {
        let from = format!("127.0.{}.{}:5060", 1 + n / 200, 2 + n % 200).parse().unwrap();
        let text = String::from_utf8_lossy(bytes);
        let is_silent = silent.contains(&name.as_str());
        // Answered at another port than the one we are at.
        let via = text.lines().find(|line| line.to_ascii_lowercase().starts_with("via")).unwrap_or_default();
        let sent_by = via.split(';').next().unwrap_or_default().trim_end();
        let is_elsewhere = sent_by.rsplit_once(':').is_some_and(|(_, port)| {
            port != "5060" && !port.is_empty() && port.chars().all(|c| c.is_ascii_digit())
        });
        // More is promised than comes: a stream waits for it.
        let is_partial = name == "clerr" || !text.contains("\r\n\r\n");
        for way in ["UDP", "TCP"] {
            let mut raw = match way {
                "UDP" if !is_elsewhere => Raw::udp_from(from, bench.udp()).await,
                "TCP" if !is_partial => Raw::tcp(other.tcp()).await,
                _ => continue,
            };
            let got = answer(&mut raw, bench.udp(), bytes).await;
            println!("{name} over {way}: {got:?}");
            let is_fine = match (wanted.get(name.as_str()), got) {
                (None, None) => is_silent,
                (None, Some(status)) => !is_silent && (200..=606).contains(&status) && status != 500,
                (Some(wanted), got) => got.is_some_and(|status| wanted.contains(&status)),
            };
            if !is_fine {
                failures.push(format!("{name} over {way}: {got:?}"));
            }
        }
        still_serves(&bench, name).await;
        still_serves(&other, name).await;
    }
    assert!(messages.len() > 50, "{} messages", messages.len());
    assert!(failures.is_empty(), "{failures:#?}");
}

#[tokio::test]
async fn vendors_recording_sessions() {
    let Some(folder) = evaluation() else { return };
    let sessions = [
        (
            "acme-siprec-offer.txt",
            "unique-boundary-1",
            [
                ("16777227", Party::Customer, "sip:9000@192.168.50.102"),
                ("16777228", Party::Agent, "sip:1002@192.168.50.10"),
            ],
        ),
        (
            "cisco-siprec-offer.txt",
            "uniqueBoundary",
            [
                ("1", Party::Customer, "sip:7301@35.162.237.204"),
                ("2", Party::Agent, "sip:7300@35.162.237.204"),
            ],
        ),
    ];
    let rules = r#"[{"calling":"customer"},{"agent_aor":"sip:7300@*"}]"#;
    let mut bench = Bench::start(|config| config.party_rules = serde_json::from_str(rules).unwrap()).await;
    for (file, boundary, wanted) in sessions {
        let body = std::fs::read_to_string(folder.join("siprec").join(file)).unwrap().replace("\r\n", "\n");
        for (line_end, quote) in [("\r\n", ""), ("\n", "\"")] {
            for mut raw in [Raw::udp(bench.udp()).await, Raw::tcp(bench.tcp()).await] {
                let mut talk = Talk::new(&raw, bench.udp(), &format!("{boundary}{}", raw.local));
                talk.headers = "Require: siprec\r\n".into();
                let kind = format!("multipart/mixed;boundary={quote}{boundary}{quote}");
                let answer = raw.ask(talk.text("INVITE", 1, &kind, &body.replace('\n', line_end))).await;
                assert_eq!(answer.status_code.code(), 200, "{file}: {answer}");
                talk.answered(&answer);
                raw.send(talk.ack("")).await;
                let labels: Vec<_> =
                    Session::parse(&answer.body).unwrap().media.into_iter().map(|m| m.label).collect();
                assert_eq!(labels, wanted.map(|(label, ..)| Some(label.to_owned())));
                let (_, call) = bench.begun().await;
                let legs: Vec<_> = call.legs.iter().map(|l| (l.label.as_deref().unwrap(), l.party)).collect();
                assert_eq!(legs, wanted.map(|(label, party, _)| (label, party)), "{file}");
                for (_, party, aor) in wanted {
                    assert!(
                        call.participants.iter().any(|p| p.party == party && p.aor.as_deref() == Some(aor)),
                        "{call:?}"
                    );
                }
                assert_eq!(raw.status(talk.next("BYE", "", "")).await, 200);
                bench.ended().await;
            }
        }
    }
}
