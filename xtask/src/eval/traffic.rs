//! Calls of telephones (`sotto-benches`) in a process of their own, and what carries them.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use sotto_tests::server::{Setup, Sotto, free_address};
use sotto_tests::sipp::{Signalling, Spoken};

use super::setup::Bench;
use crate::run::{Run, target};

/// G.711 µ-law: its name, payload type and description.
pub const PCMU: Codec = Codec { name: "PCMU", spoken: (0, "PCMU/8000") };
/// Opus, by the payload type that Sotto and Chromium give it.
pub const OPUS: Codec = Codec { name: "opus", spoken: (111, "opus/48000/2") };

/// What a telephone speaks.
#[derive(Clone, Copy)]
pub struct Codec {
    pub name: &'static str,
    pub spoken: Spoken<'static>,
}

/// Where one end of a call is, and where it sends.
pub type End = (u16, SocketAddr);

/// What came of a talk.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Talked {
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Packets that arrived.
    pub packets: u64,
    /// Packets that did not.
    pub missing: u64,
    /// Processors that the carrier kept busy.
    pub busy: f64,
}

/// Telephones that wait to be told where to send.
pub struct Telephones {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    /// Their ports, for each end of the calls.
    pub ports: Vec<Vec<u16>>,
}

impl Telephones {
    /// So many calls, whose ends speak these, through the process `carrier`.
    pub fn new(calls: usize, ends: &[Codec], seconds: u64, carrier: u32) -> Result<Self> {
        Run::cargo().args(["build", "--quiet", "--release", "--package", "sotto-benches"]).go()?;
        let codecs: Vec<&str> = ends.iter().map(|codec| codec.name).collect();
        let mut child = Run::new(target().join("release/telephones"))
            .args(["--calls", &calls.to_string(), "--codecs", &codecs.join(",")])
            .args(["--seconds", &seconds.to_string(), "--carrier", &carrier.to_string()])
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (to, from) = child.stdin.take().zip(child.stdout.take()).context("no pipes")?;
        let mut telephones = Self { child, to, from: BufReader::new(from), ports: Vec::new() };
        telephones.ports = serde_json::from_str(&telephones.line()?)?;
        Ok(telephones)
    }

    /// The calls are connected: they talk.
    pub fn talk(mut self, calls: &[Vec<End>]) -> Result<Talked> {
        writeln!(self.to, "{}", serde_json::to_string(calls)?)?;
        let talked = self.line()?;
        self.child.wait()?;
        serde_json::from_str(&talked).with_context(|| talked.clone())
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the telephones are gone");
        Ok(line)
    }
}

impl Drop for Telephones {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that puts calls through from one telephone to another.
pub struct Exchange {
    pub server: Sotto,
    /// Where the telephones outside are.
    trunk: SocketAddr,
}

/// Calls that an exchange can put through at the same time.
const MOST: usize = 50;

impl Exchange {
    /// A server with this speech model; the path of no file: without recognition.
    pub fn start(bench: &Bench, model: &str) -> Result<Self> {
        // Nobody is there, so calls go on to a number outside.
        let number = |n: usize| {
            format!("{{ number = \"{}\", patience_s = 1, overflow = \"{}\" }}", 2000 + n, 3000 + n)
        };
        let numbers: Vec<String> = (0..MOST).map(number).collect();
        let trunk = free_address()?;
        let mut setup = Setup::desk(&format!("[{}]", numbers.join(", ")));
        setup.more.push(("desk".into(), format!("trunk = {{ host = \"{trunk}\", user = \"1001\" }}")));
        let server = bench.server_with(&Setup { model: model.into(), max_calls: Some(200), ..setup })?;
        Ok(Self { server, trunk })
    }

    /// Puts calls through and has them talk: one end speaks G.711, the other `codec`.
    pub fn carry(&self, calls: usize, codec: Codec, seconds: u64) -> Result<Talked> {
        let telephones = Telephones::new(calls, &[PCMU, codec], seconds, self.server.pid())?;
        let [callers, answerers] = telephones.ports.as_slice() else { anyhow::bail!("calls of two") };
        let mut answering = Signalling::answer(self.trunk, answerers, codec.spoken)?;
        let to_call: Vec<(String, u16)> =
            callers.iter().enumerate().map(|(n, port)| ((2000 + n).to_string(), *port)).collect();
        let mut calling = Signalling::call(self.server.sip, &to_call, PCMU.spoken)?;
        let (to, back) = (calling.callers_send_to()?, answering.answerers_send_to()?);
        let mut ends = Vec::new();
        for (n, port) in callers.iter().enumerate() {
            let caller = to.get(&(2000 + n).to_string()).context("a call is missing")?;
            let answerer = back.get(&(3000 + n).to_string()).context("a call was not put through")?;
            ends.push(vec![(*port, *caller), *answerer]);
        }
        telephones.talk(&ends)
    }
}
