//! What no honest peer says: noise, packets of nobody, messages that are cut off, descriptions, documents and frames that are none,
//! for every way into a server.

use std::io::Write as _;
use std::net::{TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::hostile::is_closed;
use crate::live::Live;
use crate::script::root;
use crate::server::Sotto;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";
const SDP: &str = "application/sdp";
const MIXED: &str = "multipart/mixed;boundary=x";

/// Bytes without rhyme or reason, but the same in every run.
#[must_use]
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Noise, an INVITE that is cut off everywhere and has bytes changed, and the published torture messages where the evaluation data
/// lies beside the repository.
fn sip_messages() -> Result<Vec<Vec<u8>>> {
    let scenario = std::fs::read_to_string(root().join("sip-config/sipp/siprec.xml"))?;
    let invite = scenario.split("<![CDATA[").nth(1).and_then(|rest| rest.split("]]>").next());
    let invite = invite.context("no INVITE in the scenario")?.trim_start();
    let invite = invite.replace('\n', "\r\n").replace("[len]", "999").into_bytes();
    let mut messages: Vec<Vec<u8>> = (0..200).map(|n| noise(n, 40 + 37 * n as usize % 1400)).collect();
    messages.extend((0..invite.len()).step_by(41).map(|at| invite[..at].to_vec()));
    messages.extend((0..300_u64).map(|n| {
        let mut bytes = invite.clone();
        for (k, byte) in noise(n, 8).into_iter().enumerate() {
            let at = (n as usize * 131 + k * 977) % bytes.len();
            bytes[at] = byte;
        }
        bytes
    }));
    for folder in ["rfc4475", "rfc5118"] {
        let folder = root().join("../shared/eval/sip").join(folder);
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        messages.extend(files.filter_map(|f| std::fs::read(f.path()).ok()));
    }
    Ok(messages)
}

/// Sends what begins no call to the SIP port, over UDP and TCP, and to the first RTP ports packets that are no RTP, RTP of nobody and
/// lengths that lie. How many there were.
///
/// # Errors
/// When they cannot be sent.
pub fn to_every_port(sotto: &Sotto) -> Result<u64> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let messages = sip_messages()?;
    for message in &messages {
        socket.send_to(message.get(..60_000).unwrap_or(message), sotto.sip)?;
    }
    for part in messages.chunks(20) {
        let Ok(mut stream) = TcpStream::connect(sotto.sip) else { continue };
        stream.set_write_timeout(Some(PATIENCE))?;
        // The other end hangs up on what cannot be cut into messages.
        let _ = part.iter().try_for_each(|message| stream.write_all(message));
    }
    let mut packets = 0;
    for n in 0..400_u64 {
        let mut packet = noise(n, 12 + (n as usize * 7) % 300);
        if n % 2 == 0 {
            packet[0] = 0x80 | (packet[0] & 0x3f);
            packet[1] &= 0x7f;
        }
        for port in sotto.rtp.0..sotto.rtp.0 + 8 {
            // At some of them nobody is.
            let _ = socket.send_to(&packet, ("127.0.0.1", port));
            packets += 1;
        }
        // As much as a socket's buffer holds: in a flood packets are lost in the kernel, whatever is in them.
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(2 * messages.len() as u64 + packets)
}

/// What became of what is malformed and has an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// What was sent.
    pub asked: u64,
    /// Of these, what was refused for what is wrong with it.
    pub refused: u64,
    /// What became of the others.
    pub unexpected: Vec<String>,
}

impl Answered {
    fn count(&mut self, is_refused: bool, otherwise: impl FnOnce() -> String) {
        self.asked += 1;
        match is_refused {
            true => self.refused += 1,
            false => self.unexpected.push(otherwise()),
        }
    }
}

/// Sends INVITEs whose bodies describe no call, requests and uploads that are none, and frames that are none; each of them is to be
/// refused.
///
/// # Errors
/// When the server cannot be reached.
pub fn ask(sotto: &Sotto) -> Result<Answered> {
    let mut answered = Answered::default();
    invites(sotto, &mut answered)?;
    requests(sotto, &mut answered)?;
    frames(sotto, &mut answered)?;
    Ok(answered)
}

/// Bodies of an INVITE by their kind, and the status that says what is wrong with each.
fn bodies() -> Vec<(&'static str, String, u16)> {
    let good = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                m=audio 9000 RTP/AVP 0\r\na=label:1\r\na=sendonly\r\n";
    let with = |metadata: &str| {
        format!(
            "--x\r\nContent-Type: {SDP}\r\n\r\n{good}\r\n--x\r\nContent-Type: application/rs-metadata+xml\r\n\r\n\
             {metadata}\r\n--x--"
        )
    };
    vec![
        ("application/unknown", "x".to_owned(), 415),
        (SDP, "not a description".to_owned(), 400),
        (SDP, "v=0\r\nm=audio x RTP/AVP 0\r\n".to_owned(), 400),
        (SDP, format!("v=0\r\n{}", "m=audio 4 RTP/AVP 0\r\n".repeat(100)), 400),
        (SDP, good.replace("RTP/AVP 0", "RTP/AVP 18"), 488),
        (SDP, good.replace("audio", "video"), 488),
        (MIXED, good.to_owned(), 400),
        (MIXED, "--x\r\n\r\na\r\n".repeat(99), 400),
        (MIXED, with("<!DOCTYPE a [<!ENTITY b \"b\">]><recording>&b;</recording>"), 400),
        (MIXED, with(&"<a>".repeat(1_000)), 400),
    ]
}

fn invites(sotto: &Sotto, answered: &mut Answered) -> Result<()> {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let (us, to) = (socket.local_addr()?, sotto.sip);
    for (kind, body, status) in bodies() {
        let call = format!("junk-{}-{}", std::process::id(), CALLS.fetch_add(1, Ordering::Relaxed));
        let request = |method: &str, described: &str, body: &str| {
            format!(
                "{method} sip:sotto@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {us};branch=z9hG4bK{call};rport\r\n\
                 From: <sip:1002@pbx.example>;tag=junk\r\nTo: <sip:sotto@{to}>\r\nCall-ID: {call}\r\n\
                 CSeq: 1 {method}\r\nMax-Forwards: 70\r\nContact: <sip:junk@{us}>\r\n{described}\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        let invite = request("INVITE", &format!("Content-Type: {kind}\r\n"), &body);
        socket.send_to(invite.as_bytes(), to)?;
        let got = final_status(&socket, &call);
        socket.send_to(request("ACK", "", "").as_bytes(), to)?;
        answered.count(got == Some(status), || format!("{status} was due to {body:.200}: {got:?}"));
    }
    Ok(())
}

/// The status that a call is finally answered with.
fn final_status(socket: &UdpSocket, call: &str) -> Option<u16> {
    let mut datagram = vec![0; 65_536];
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let (length, _) = socket.recv_from(&mut datagram).ok()?;
        let text = String::from_utf8_lossy(datagram.get(..length)?);
        let status: Option<u16> = text.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let is_final = status.is_some_and(|status| status >= 200);
        if is_final && text.contains(&format!("{call}\r\n")) {
            return status;
        }
    }
    None
}

fn requests(sotto: &Sotto, answered: &mut Answered) -> Result<()> {
    for (path, kind, body) in [
        ("/api/session", JSON, b"{".to_vec()),
        ("/api/session", JSON, b"\xff\xfe".to_vec()),
        ("/api/session", JSON, b"{\"name\":1,\"password\":[]}".to_vec()),
        ("/api/session", "text/plain", b"admin".to_vec()),
        ("/api/voip/events/call-ended", JSON, b"[]".to_vec()),
        ("/api/recordings?name=empty.wav", BYTES, Vec::new()),
        ("/api/knowledge/documents?name=noise.pdf", BYTES, noise(1, 5_000)),
        ("/api/knowledge/documents?name=noise.docx", BYTES, noise(2, 5_000)),
        ("/api/knowledge/documents?name=noise.exe", BYTES, noise(3, 5_000)),
    ] {
        let answer = sotto.api.client.request("POST", path, &[("Content-Type", kind)], &body)?;
        let is_refused = (400..500).contains(&answer.status) && !answer.body.is_empty();
        answered.count(is_refused, || format!("{path}: {} {}", answer.status, answer.text()));
    }
    Ok(())
}

/// Frames that are none (RFC 6455, section 5), each on a connection of its own, which is closed.
fn frames(sotto: &Sotto, answered: &mut Answered) -> Result<()> {
    let frames: [&[u8]; 5] = [
        b"\x81\x05hello",                                    // not masked
        b"\xf1\x80\0\0\0\0",                                 // reserved bits
        b"\x83\x80\0\0\0\0",                                 // unknown opcode
        b"\x81\x82\0\0\0\0\xff\xfe",                         // text that is no UTF-8
        b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", // 2⁶⁴-1 bytes announced
    ];
    for frame in frames {
        let mut list = Live::open(&sotto.api.client, "/api/live")?;
        list.stream().write_all(frame)?;
        answered.count(is_closed(&mut list), || format!("still open after {frame:x?}"));
    }
    Ok(())
}
