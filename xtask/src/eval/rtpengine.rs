//! rtpengine, a relay of RTP that is not ours, told what to do over its control protocol: a cookie and a bencoded
//! dictionary in a datagram.

use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sotto_tests::server::free_address;

use crate::run::Run;

/// Forwards in user space, as the kernel module is not there. Dropped, it is ended.
pub struct Rtpengine {
    child: Child,
    control: UdpSocket,
    asked: AtomicU32,
}

impl Rtpengine {
    pub fn start() -> Result<Self> {
        let at = free_address()?;
        let child = Run::new("rtpengine")
            .args(["--config-file=none", "--interface=127.0.0.1", "--table=-1", "--foreground"])
            .args(["--log-stderr", "--log-level=3", "--port-min=36000", "--port-max=37999"])
            .arg(format!("--listen-ng={at}"))
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("rtpengine does not start (Debian: apt-get install rtpengine-daemon)")?;
        let control = UdpSocket::bind("127.0.0.1:0")?;
        control.connect(at)?;
        control.set_read_timeout(Some(Duration::from_millis(500)))?;
        let relay = Self { child, control, asked: AtomicU32::new(0) };
        let begun = Instant::now();
        while relay.ask(&[("command", "ping")]).is_err() {
            ensure!(begun.elapsed() < Duration::from_secs(10), "rtpengine does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(relay)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Relays between two ports on this machine: where each of them is to send.
    pub fn relay(&self, call: &str, [caller, answerer]: [u16; 2]) -> Result<[SocketAddr; 2]> {
        // Towards the answerer, and back.
        let offer = self.describe("offer", call, caller)?;
        let answer = self.describe("answer", call, answerer)?;
        Ok([port_of(&answer)?, port_of(&offer)?])
    }

    fn describe(&self, command: &str, call: &str, port: u16) -> Result<String> {
        let sdp = description(port);
        let tags = [("from-tag", "a"), ("to-tag", "b"), ("ICE", "remove")];
        let entries = [("command", command), ("call-id", call), ("sdp", &sdp)];
        self.ask(&[&entries[..], &tags[..]].concat())
    }

    fn ask(&self, entries: &[(&str, &str)]) -> Result<String> {
        // An answer is repeated to a cookie that was seen before.
        let cookie = self.asked.fetch_add(1, Ordering::Relaxed);
        let request = format!("{cookie} {}", dictionary(entries));
        self.control.send(request.as_bytes())?;
        let mut answer = [0; 4096];
        let length = self.control.recv(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        ensure!(answer.contains("2:ok") || answer.contains("4:pong"), "rtpengine: {answer}");
        Ok(answer)
    }
}

impl Drop for Rtpengine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Bencoded.
fn dictionary(entries: &[(&str, &str)]) -> String {
    let mut entries = entries.to_vec();
    entries.sort_unstable();
    let text = |text: &str| format!("{}:{text}", text.len());
    let pairs: String = entries.iter().map(|(key, value)| text(key) + &text(value)).collect();
    format!("d{pairs}e")
}

fn description(port: u16) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n\
         a=rtpmap:0 PCMU/8000\r\na=ptime:20\r\na=sendrecv\r\n"
    )
}

/// The port of the audio in a session description, on this machine.
pub fn port_of(description: &str) -> Result<SocketAddr> {
    let (_, line) =
        description.split_once("m=audio ").with_context(|| format!("no audio in {description}"))?;
    let port: u16 = line.split(' ').next().unwrap_or_default().parse()?;
    Ok(([127, 0, 0, 1], port).into())
}

#[cfg(test)]
mod tests {
    #[test]
    fn dictionaries_are_sorted() {
        assert_eq!(
            super::dictionary(&[("sdp", "v=0"), ("command", "offer")]),
            "d7:command5:offer3:sdp3:v=0e"
        );
    }
}
