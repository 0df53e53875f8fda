//! A page and a program that ask for what they may not have, and for much of it, again and again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tungstenite::Message;

use crate::http::{Answer, Client};
use crate::live::Live;
use crate::server::Sotto;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What became of an attack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What an agent's page asked for that nobody may have.
    pub asked_by_page: u64,
    /// Of these, what was refused in so many words.
    pub refused_to_page: u64,
    /// Connections that said what nobody understands, or too much.
    pub rude: u64,
    /// Of these, the ones that were closed.
    pub closed: u64,
    /// Requests of a WHIP and WHEP client that nobody may make, or too many.
    pub asked_by_client: u64,
    /// Of these, the ones refused with the status that says why.
    pub refused_to_client: u64,
    /// What was answered to the others.
    pub unexpected: Vec<String>,
}

/// An offer of one direction, as Chromium makes it.
#[must_use]
pub fn offer(direction: &str) -> String {
    let fingerprint = ["AB"; 32].join(":");
    format!(
        "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na={direction}\r\na=rtcp-mux\r\n\
         a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=setup:actpass\r\n\
         a=fingerprint:sha-256 {fingerprint}\r\na=rtpmap:111 opus/48000/2\r\n"
    )
}

/// Everything at once, by a user who is an agent; `call` is somebody else's.
///
/// # Errors
/// When the server does not answer at all.
pub fn attack(sotto: &Sotto, (name, password): (&str, &str), call: &str) -> Result<Outcome> {
    let client = Client::signed_in(sotto.http, name, password)?;
    let mut outcome = Outcome::default();
    page(&client, call, &mut outcome)?;
    whip(&client, call, &mut outcome)?;
    Ok(outcome)
}

fn page(client: &Client, call: &str, outcome: &mut Outcome) -> Result<()> {
    let mut phone = Live::open(client, "/api/phone")?;
    let hello = phone.next(PATIENCE)?.context("no greeting")?;
    ensure!(hello["type"] == "hello", "{hello}");
    let sdp = offer("sendrecv");
    let candidate = json!({ "candidate": "candidate:1 1 udp 1 127.0.0.1 9 typ host", "sdpMid": "0" });
    let asked = [
        json!({ "type": "supervise", "call_id": call, "attention": "listen", "sdp": sdp }),
        json!({ "type": "supervise", "call_id": call, "attention": "barge", "sdp": null }),
        json!({ "type": "accept", "ring": 1, "sdp": sdp }),
        json!({ "type": "accept", "ring": 2, "sdp": "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n" }),
        json!({ "type": "resume", "sdp": sdp }),
        json!({ "type": "call", "number": "1".repeat(1_000), "sdp": sdp }),
        json!({ "type": "transfer", "to": call, "consult": false }),
        json!({ "type": "hold", "on": true }),
        json!({ "type": "hang_up" }),
        json!({ "type": "leave" }),
    ];
    let floods = (0..60).map(|_| json!({ "type": "candidate", "candidate": candidate }));
    for asked in asked.into_iter().chain(floods) {
        outcome.asked_by_page += 1;
        phone.send(Message::text(asked.to_string()))?;
        let answers = phone.until(PATIENCE, |answer| answer["type"] != "ping")?;
        let is_refusal = |answer: &Value| answer["type"] == "refused" || answer["type"] == "call_failed";
        outcome.refused_to_page += u64::from(answers.last().is_some_and(is_refusal));
    }
    drop(phone);
    let pings = vec![json!({ "type": "ping" }).to_string(); 500];
    for rude in [
        vec!["not JSON".to_owned()],
        vec![json!({ "type": "hang_up", "call_id": call }).to_string()],
        vec![json!({ "type": "candidate", "candidate": { "candidate": 7 } }).to_string()],
        vec![json!({ "type": "resume", "sdp": "x".repeat(100_000) }).to_string()],
        pings,
    ] {
        outcome.rude += 1;
        let mut phone = Live::open(client, "/api/phone")?;
        phone.next(PATIENCE)?;
        // It may be closed before all is said.
        let _ = rude.into_iter().try_for_each(|said| phone.send(Message::text(said)));
        outcome.closed += u64::from(is_closed(&mut phone));
    }
    Ok(())
}

/// Whether the server closes the connection, whatever it says before.
pub(crate) fn is_closed(phone: &mut Live) -> bool {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if phone.next(PATIENCE).is_err() {
            return true;
        }
    }
    false
}

fn whip(client: &Client, call: &str, outcome: &mut Outcome) -> Result<()> {
    const SDP: &str = "application/sdp";
    let post = |path: &str, kind: &str, body: &str| {
        client.request("POST", path, &[("Content-Type", kind)], body.as_bytes())
    };
    let mut expect = |answer: Result<Answer>, status: u16| -> Result<Answer> {
        let answer = answer?;
        outcome.asked_by_client += 1;
        match answer.status == status {
            true => outcome.refused_to_client += 1,
            false => {
                outcome.unexpected.push(format!("{status} was due: {} {}", answer.status, answer.text()))
            }
        }
        Ok(answer)
    };
    let whep = format!("/api/calls/{call}/whep");
    expect(post(&whep, SDP, &offer("recvonly")), 403)?;
    let whip = "/api/whip?call=hostile&party=agent";
    for (kind, body, status) in [
        ("text/plain", offer("sendonly"), 415),
        (SDP, "hello".to_owned(), 400),
        (SDP, "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n".to_owned(), 422),
        (SDP, offer("sendonly").replace("opus", "ghost"), 422),
        (SDP, "v=0\r\n".repeat(1 << 17), 413),
    ] {
        expect(post(whip, kind, &body), status)?;
    }
    let begun = post(whip, SDP, &offer("sendonly"))?;
    ensure!(begun.status == 201, "{}: {}", begun.status, begun.text());
    let session = begun.header("location").context("no Location")?.to_owned();
    let tag = begun.header("etag").context("no ETag")?.to_owned();
    let line = "a=candidate:1 1 udp 2122260223 127.0.0.1 9 typ host\r\n";
    let trickle = |candidates: usize| {
        let headers = [("Content-Type", "application/trickle-ice-sdpfrag"), ("If-Match", tag.as_str())];
        client.request("PATCH", &session, &headers, line.repeat(candidates).as_bytes())
    };
    ensure!(trickle(90)?.status == 204, "candidates are taken");
    expect(trickle(200), 400)?;
    for _ in 0..20 {
        expect(trickle(1), 400)?;
    }
    ensure!(client.request("DELETE", &session, &[], b"")?.status == 200, "the session ends");
    expect(client.request("DELETE", &session, &[], b""), 404)?;
    // Each offer costs a connection: there is an end to them.
    for _ in 0..100 {
        let answer = post(whip, SDP, &offer("sendonly").replace("opus", "ghost"))?;
        if answer.status == 429 {
            outcome.asked_by_client += 1;
            outcome.refused_to_client += 1;
            return Ok(());
        }
    }
    outcome.asked_by_client += 1;
    outcome.unexpected.push("there is no end to offers".to_owned());
    Ok(())
}

/// Bytes of memory that a process has for itself now. What it has mapped of files, such as models, is the system's, which
/// takes it back when it needs it.
///
/// # Errors
/// When the system does not say.
pub fn memory(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("no RssAnon")?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes << 10)
}

/// How many of the audit's records are of refusals to `who`.
///
/// # Errors
/// When the server does not say.
pub fn audited(sotto: &Sotto, who: &str) -> Result<usize> {
    let audit: Value = sotto.api.client.json("/api/audit?limit=500")?;
    let records = audit["records"].as_array().context("no records")?;
    Ok(records.iter().filter(|record| record["who"] == who && record["what"] == "refused").count())
}
