//! SIPp, a SIP client that is not ours: places SIPREC calls with real RTP, and sets up calls for somebody else's audio.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::audio::Audio;
use crate::pcap::{self, Law, Line};
use crate::script::root;

/// What carries the signalling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One UDP socket.
    Udp,
    /// One TCP connection.
    Tcp,
}

/// One run of SIPp: by default one call over UDP.
#[derive(Clone, Debug)]
pub struct Sipp {
    /// The recording server, or where a call is waited for.
    pub to: SocketAddr,
    /// What carries the signalling.
    pub transport: Transport,
    /// The scenario, a file in `sip-config/sipp`.
    pub scenario: String,
    /// User part of the agent's address of record.
    pub agent: String,
    /// User part of the customer's address of record.
    pub customer: String,
    /// What happens to its RTP.
    pub line: Line,
    /// More `-key NAME VALUE` for the scenario.
    pub keys: Vec<(String, String)>,
    /// How each channel is encoded.
    pub laws: Vec<Law>,
}

impl Sipp {
    /// A SIPREC call to `to`.
    #[must_use]
    pub fn siprec(to: SocketAddr) -> Self {
        Self {
            to,
            transport: Transport::Udp,
            scenario: "siprec.xml".into(),
            agent: "1002".into(),
            customer: "15550100".into(),
            line: Line::Good,
            keys: Vec::new(),
            laws: vec![Law::Mu, Law::A],
        }
    }

    /// Begins the call, which plays `audio` (8 kHz; channels in the order of the scenario's media lines) to its end
    /// and hangs up.
    ///
    /// # Errors
    /// When SIPp is not installed, or files cannot be written.
    pub fn call(&self, audio: &Audio) -> Result<Running> {
        self.run(audio, &[&self.to.to_string()])
    }

    /// Waits for one call at `to`, instead of placing one there, and does as the scenario says.
    ///
    /// # Errors
    /// When SIPp is not installed, or files cannot be written.
    pub fn answer(&self, audio: &Audio) -> Result<Running> {
        self.run(audio, &["-p", &self.to.port().to_string()])
    }

    fn run(&self, audio: &Audio, towards: &[&str]) -> Result<Running> {
        let folder = tempfile::Builder::new().prefix("sotto-sipp-").tempdir()?;
        let scenario = root().join("sip-config/sipp").join(&self.scenario);
        std::fs::copy(&scenario, folder.path().join("scenario.xml"))
            .with_context(|| scenario.display().to_string())?;
        let laws = self.laws.get(..audio.channels.len()).context("a codec for each channel")?;
        pcap::write(&folder.path().join("call.pcap"), audio, laws, self.line)?;
        let media = free_media_port()?;
        let mut command = Command::new("sipp");
        command
            .current_dir(folder.path())
            .args(towards)
            .args(["-sf", "scenario.xml", "-m", "1", "-l", "1", "-r", "1", "-nostdin", "-s", "sotto"])
            .args(["-t", if self.transport == Transport::Udp { "u1" } else { "t1" }])
            .args(["-i", "127.0.0.1", "-mi", "127.0.0.1", "-mp", &media.to_string()])
            .args(["-d", &audio.duration_ms().to_string()])
            .args(["-key", "agent", &self.agent, "-key", "customer", &self.customer])
            .args(["-trace_err", "-error_file", "errors.log", "-trace_msg", "-message_file", "messages.log"])
            .args(["-timeout", &format!("{}s", audio.duration_ms() / 1000 + 60), "-timeout_error"]);
        for (name, value) in &self.keys {
            command.args(["-key", name, value]);
        }
        let out = std::fs::File::create(folder.path().join("screen.log"))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .context("sipp does not start (Debian: apt-get install sip-tester)")?;
        Ok(Running { child, folder })
    }
}

/// SIPp at work. Dropped, it is ended.
pub struct Running {
    child: Child,
    folder: TempDir,
}

impl Running {
    /// Waits until the call is over.
    ///
    /// # Errors
    /// When the call did not go as the scenario says, with SIPp's own words about it.
    pub fn finish(mut self) -> Result<()> {
        let status = self.child.wait()?;
        if status.success() {
            return Ok(());
        }
        bail!("SIPp: {status}\n{}", self.log())
    }

    /// What SIPp complained about, and the messages that went to and fro.
    #[must_use]
    pub fn log(&self) -> String {
        ["errors.log", "messages.log", "screen.log"]
            .map(|name| tail(&self.folder.path().join(name)))
            .join("\n")
    }

    /// Ends SIPp in the middle of the call, without a BYE.
    ///
    /// # Errors
    /// When the process cannot be ended.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Whether the call is still going on.
    ///
    /// # Errors
    /// When the process cannot be asked.
    pub fn is_going_on(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Callers or answerers whose audio is somebody else's. Dropped, they are ended, without a BYE.
pub struct Signalling {
    sipp: Running,
    count: usize,
}

/// What one of them speaks: its payload type, and its name in SDP.
pub type Spoken<'a> = (u8, &'a str);

impl Signalling {
    /// Calls each number at `to`; the audio of each is received at the port that stands beside it.
    ///
    /// # Errors
    /// When SIPp is not installed, or files cannot be written.
    pub fn call(to: SocketAddr, calls: &[(String, u16)], speaks: Spoken) -> Result<Self> {
        let lines = calls.iter().map(|(number, port)| format!("{number};{port};"));
        Self::start("caller.xml", lines, &[&to.to_string(), "-r", "10", "-d", "600000"], speaks)
    }

    /// Answers calls at `at`; their audio is received at these ports, in any order.
    ///
    /// # Errors
    /// As [`Signalling::call`].
    pub fn answer(at: SocketAddr, ports: &[u16], speaks: Spoken) -> Result<Self> {
        let lines = ports.iter().map(|port| format!("{port};"));
        Self::start("answerer.xml", lines, &["-p", &at.port().to_string()], speaks)
    }

    fn start(
        scenario: &str,
        lines: impl ExactSizeIterator<Item = String>,
        arguments: &[&str],
        (payload, codec): Spoken,
    ) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sotto-sipp-").tempdir()?;
        let count = lines.len();
        let fields = lines.fold("SEQUENTIAL\n".to_owned(), |all, line| all + &line + "\n");
        std::fs::write(folder.path().join("ports.csv"), fields)?;
        let out = std::fs::File::create(folder.path().join("screen.log"))?;
        let child = Command::new("sipp")
            .current_dir(folder.path())
            .arg("-sf")
            .arg(root().join("sip-config/sipp").join(scenario))
            .args(arguments)
            .args(["-inf", "ports.csv", "-m", &count.to_string(), "-l", &count.to_string(), "-nostdin"])
            .args(["-i", "127.0.0.1", "-mi", "127.0.0.1", "-t", "u1"])
            .args(["-key", "payload", &payload.to_string(), "-key", "codec", codec])
            .args(["-trace_logs", "-log_file", "ports.log"])
            .args(["-trace_err", "-error_file", "errors.log", "-trace_msg", "-message_file", "messages.log"])
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .context("sipp does not start (Debian: apt-get install sip-tester)")?;
        Ok(Self { sipp: Running { child, folder }, count })
    }

    /// What each wrote about its ports, when all have.
    fn ports(&mut self) -> Result<Vec<Vec<String>>> {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let log = std::fs::read_to_string(self.sipp.folder.path().join("ports.log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
            // The last line may be half written.
            if lines.len() == self.count && log.ends_with('\n') {
                return Ok(lines.iter().map(|l| l.split_whitespace().map(str::to_owned).collect()).collect());
            }
            ensure!(
                Instant::now() < until && self.sipp.is_going_on()?,
                "{} of {} calls\n{}",
                lines.len(),
                self.count,
                self.sipp.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Where each number's caller is to send its audio, when all are connected.
    ///
    /// # Errors
    /// When not all are within a minute, with SIPp's own words about it.
    pub fn callers_send_to(&mut self) -> Result<HashMap<String, SocketAddr>> {
        let line = |line: Vec<String>| match line.as_slice() {
            [number, port] => Ok((number.clone(), here(port)?)),
            _ => bail!("{line:?}"),
        };
        self.ports()?.into_iter().map(line).collect()
    }

    /// The port where each number's audio is received, and where it is to be sent, when all have been called.
    ///
    /// # Errors
    /// As [`Signalling::callers_send_to`].
    pub fn answerers_send_to(&mut self) -> Result<HashMap<String, (u16, SocketAddr)>> {
        let line = |line: Vec<String>| match line.as_slice() {
            [number, own, port] => Ok((number.clone(), (own.parse()?, here(port)?))),
            _ => bail!("{line:?}"),
        };
        self.ports()?.into_iter().map(line).collect()
    }
}

fn here(port: &str) -> Result<SocketAddr> {
    Ok((Ipv4Addr::LOCALHOST, port.parse()?).into())
}

fn tail(path: &Path) -> String {
    let text = String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    let from = text.len().saturating_sub(4000);
    text.char_indices()
        .find(|(at, _)| *at >= from)
        .map_or(String::new(), |(at, _)| text.split_at(at).1.into())
}

/// SIPp sends from two ports it does not bind (raw sockets); they only must not be another's. A process has 880 ports of its own,
/// for 220 calls at once.
fn free_media_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in 0..2000 {
        let port =
            61_000 + (std::process::id() as u16 % 5) * 880 + NEXT.fetch_add(4, Ordering::Relaxed) % 880;
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() && UdpSocket::bind(("127.0.0.1", port + 2)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free UDP ports from 61000 on")
}
