//! baresip, a telephone that is not ours: speaks Opus or G.711, encrypted or not, and keeps what it hears.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use tempfile::TempDir;

use crate::audio::Audio;
use crate::browser::Packets;
use crate::server::free_address;
use crate::skip::skipped;

/// The name and password of a telephone, when it is asked for them.
pub const USER: (&str, &str) = ("mina", "well-known");

/// In an account's address, and after it.
const TLS: &str = ";transport=tls";
const ENCRYPTED: &str = ";mediaenc=srtp-mand";

/// What a telephone speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Opus, 48 kHz.
    Opus,
    /// G.711 µ-law.
    Pcmu,
}

/// A telephone in a call, or waiting for one. Dropped, it is ended in the middle of the call, without a BYE.
pub struct Baresip {
    child: Child,
    folder: TempDir,
    /// Takes commands.
    control: SocketAddr,
}

impl Baresip {
    /// Calls `number` at `to` as [`USER`], speaks the samples (8 kHz), and hangs up when there are no more, or
    /// `seconds` after its start.
    ///
    /// # Errors
    /// When baresip is not installed.
    pub fn call(to: SocketAddr, number: &str, codec: Codec, samples: &[i16], seconds: u64) -> Result<Self> {
        Self::dial(to, number, codec, samples, seconds, ["", ""])
    }

    /// The same with audio that is encrypted by keys in its offer (SDES), and not spoken at all without an answer in
    /// kind.
    ///
    /// # Errors
    /// When baresip is not installed.
    pub fn call_encrypted(
        to: SocketAddr,
        number: &str,
        codec: Codec,
        samples: &[i16],
        seconds: u64,
    ) -> Result<Self> {
        Self::dial(to, number, codec, samples, seconds, ["", ENCRYPTED])
    }

    /// The same over TLS, so that the keys are nobody else's to read. It believes whoever answers.
    ///
    /// # Errors
    /// When baresip is not installed.
    pub fn call_over_tls(
        to: SocketAddr,
        number: &str,
        codec: Codec,
        samples: &[i16],
        seconds: u64,
    ) -> Result<Self> {
        Self::dial(to, number, codec, samples, seconds, [TLS, ENCRYPTED])
    }

    fn dial(
        to: SocketAddr,
        number: &str,
        codec: Codec,
        samples: &[i16],
        seconds: u64,
        [transport, encrypted]: [&str; 2],
    ) -> Result<Self> {
        let dial = format!("/dial sip:{number}@{to}");
        let (user, password) = USER;
        let account = format!(
            "<sip:{user}@127.0.0.1{transport}>;auth_user={user};auth_pass={password};regint=0{encrypted}"
        );
        Self::start(
            "sip_listen 127.0.0.1:0",
            &account,
            codec,
            samples,
            &["-e", &dial, "-t", &seconds.to_string()],
        )
    }

    /// Has `number` at `at` and answers there: speaks the samples (8 kHz), and hangs up when there are no more.
    ///
    /// # Errors
    /// When baresip is not installed, or does not listen.
    pub fn answer(at: SocketAddr, number: &str, codec: Codec, samples: &[i16]) -> Result<Self> {
        let account = format!("<sip:{number}@127.0.0.1>;regint=0;answermode=auto");
        let phone = Self::start(&format!("sip_listen {at}"), &account, codec, samples, &[])?;
        phone.until("baresip is ready")?;
        Ok(phone)
    }

    /// The same over TLS, at the port after that of `at`, with encrypted audio only. `certificate` holds its key as
    /// well.
    ///
    /// # Errors
    /// When baresip is not installed, or does not listen.
    pub fn answer_over_tls(
        at: SocketAddr,
        number: &str,
        codec: Codec,
        samples: &[i16],
        certificate: &Path,
    ) -> Result<Self> {
        let account = format!("<sip:{number}@127.0.0.1{TLS}>;regint=0;answermode=auto{ENCRYPTED}");
        let listens = format!("sip_listen {at}\nsip_certificate {}", certificate.display());
        let phone = Self::start(&listens, &account, codec, samples, &[])?;
        phone.until("baresip is ready")?;
        Ok(phone)
    }

    fn start(
        listens: &str,
        account: &str,
        codec: Codec,
        samples: &[i16],
        arguments: &[&str],
    ) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sotto-baresip-").tempdir()?;
        let control = free_address()?;
        let wav = folder.path().join("speech.wav");
        let (codecs, audio) = match codec {
            Codec::Opus => ("opus/48000/2", at_48_khz(samples)),
            Codec::Pcmu => ("pcmu/8000", Audio { rate: 8_000, channels: vec![samples.to_vec()] }),
        };
        audio.write_wav(&wav)?;
        std::fs::create_dir(folder.path().join("heard"))?;
        let config = format!(
            "poll_method epoll\n{listens}\nmodule_path {}\naudio_source aufile,{}\n\
             audio_player aubridge,nobody\nsnd_path {}\nmodule opus.so\nmodule g711.so\nmodule aufile.so\n\
             module aubridge.so\nmodule sndfile.so\nmodule srtp.so\nmodule_app account.so\nmodule_app menu.so\n\
             module_app ctrl_tcp.so\nctrl_tcp_listen {control}\n",
            modules()?.display(),
            wav.display(),
            folder.path().join("heard").display(),
        );
        std::fs::write(folder.path().join("config"), config)?;
        std::fs::write(folder.path().join("accounts"), format!("{account};audio_codecs={codecs}\n"))?;
        std::fs::write(folder.path().join("contacts"), "")?;
        let out = std::fs::File::create(folder.path().join("log"))?;
        let child = Command::new("baresip")
            .arg("-f")
            .arg(folder.path())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .context("baresip does not start (Debian: apt-get install baresip-core)")?;
        Ok(Self { child, folder, control })
    }

    /// Puts the call through to another address (REFER).
    ///
    /// # Errors
    /// When baresip takes no commands.
    pub fn transfer(&self, to: &str) -> Result<()> {
        let mut stream = TcpStream::connect(self.control)?;
        let command = json!({"command": "transfer", "params": to}).to_string();
        // A netstring.
        write!(stream, "{}:{command},", command.len())?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut answer = [0; 1_024];
        let length = stream.read(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        ensure!(answer.contains("\"ok\":true"), "baresip does not transfer: {answer}");
        Ok(())
    }

    /// What it said about itself so far.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.path().join("log")).unwrap_or_default())
            .into_owned()
    }

    /// Waits until it says something.
    ///
    /// # Errors
    /// When it does not within a minute, with what it said instead.
    pub fn until(&self, said: &str) -> Result<()> {
        self.until_any(&[said])
    }

    /// Waits until its call is over. Of one that lasted less than a second it does not say that it is `terminated`.
    ///
    /// # Errors
    /// When it is not within a minute.
    pub fn until_over(&self) -> Result<()> {
        self.until_any(&["terminated", "session closed"])
    }

    fn until_any(&self, said: &[&str]) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(60);
        while !said.iter().any(|said| self.log().contains(said)) {
            ensure!(Instant::now() < until, "baresip does not say {said:?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// What it has heard so far; `None` before the first sound.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn heard(&self) -> Result<Option<Audio>> {
        self.kept("dec.wav")
    }

    /// Packets of 20 ms so far, counted by the sound in them.
    ///
    /// # Errors
    /// When what it keeps cannot be read.
    pub fn packets(&self) -> Result<Packets> {
        let count = |kept: Option<Audio>| kept.map_or(0, |audio| audio.duration_ms() / 20);
        Ok(Packets { sent: count(self.kept("enc.wav")?), received: count(self.heard()?) })
    }

    /// A file that it writes on during the call: the header says how long it is only when the call is over.
    fn kept(&self, name: &str) -> Result<Option<Audio>> {
        let files = std::fs::read_dir(self.folder.path().join("heard"))?;
        let file = files
            .filter_map(|file| Some(file.ok()?.path()))
            .find(|path| path.to_string_lossy().ends_with(name));
        let Some(bytes) = file.map(std::fs::read).transpose()? else { return Ok(None) };
        let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let (Some(form), Some(rate)) = (number(20), number(24)) else { return Ok(None) };
        let channels = (form >> 16).max(1) as usize;
        let samples: Vec<i16> = bytes
            .get(44..)
            .unwrap_or_default()
            .chunks_exact(2 * channels)
            .filter_map(|frame| Some(i16::from_le_bytes(frame.first_chunk().copied()?)))
            .collect();
        // A file without samples is what it keeps of silence.
        Ok((!samples.is_empty()).then(|| Audio { rate, channels: vec![samples] }))
    }

    /// Hangs up.
    ///
    /// # Errors
    /// When it cannot be told to.
    pub fn hang_up(mut self) -> Result<()> {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        ensure!(told.success(), "kill -TERM failed");
        self.child.wait()?;
        Ok(())
    }

    /// Waits until it has hung up: what it heard, if anything was said to it.
    ///
    /// # Errors
    /// When the call was not answered, with what baresip said.
    pub fn finish(mut self) -> Result<Option<Audio>> {
        self.child.wait()?;
        let log = self.log();
        if !log.contains("Call established") {
            bail!("baresip: no call\n{log}");
        }
        self.heard()
    }
}

impl Drop for Baresip {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether there is a network besides the loopback, without which baresip does not start.
#[must_use]
pub fn has_network() -> bool {
    let way = std::net::UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        // Nothing is sent; 192.0.2.1 is nobody's (RFC 5737).
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    way.is_ok_and(|address| !address.ip().is_loopback())
}

/// The same for a test that is skipped without one.
///
/// # Panics
/// When `SOTTO_REQUIRE_NETWORK=1`.
#[must_use]
pub fn has_network_or_skip() -> bool {
    let has_network = has_network();
    if !has_network {
        skipped("NETWORK", "baresip wants a network interface besides the loopback");
    }
    has_network
}

/// Where Debian and others keep baresip's modules.
fn modules() -> Result<PathBuf> {
    let usual = [
        "/usr/lib/baresip/modules",
        "/usr/lib/x86_64-linux-gnu/baresip/modules",
        "/usr/local/lib/baresip/modules",
    ];
    let found = usual.into_iter().map(Path::new).find(|folder| folder.join("opus.so").is_file());
    found.map(Path::to_path_buf).context("baresip's module opus.so is not there (Debian: baresip-core)")
}

/// Six samples for one, on a straight line, on both channels: what baresip takes for Opus.
fn at_48_khz(samples: &[i16]) -> Audio {
    let next = samples.iter().copied().skip(1).chain([0]);
    let between = |(a, b): (i16, i16)| {
        (0..6).map(move |n| (i32::from(a) + (i32::from(b) - i32::from(a)) * n / 6) as i16)
    };
    let channel: Vec<i16> = samples.iter().copied().zip(next).flat_map(between).collect();
    Audio { rate: 48_000, channels: vec![channel.clone(), channel] }
}
