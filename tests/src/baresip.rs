//! baresip, a telephone that is not ours: speaks Opus or G.711, encrypted or not, and keeps what it hears.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::audio::Audio;

/// The name and password of a telephone, when it is asked for them.
pub const USER: (&str, &str) = ("mina", "well-known");

/// What a telephone speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Opus, 48 kHz.
    Opus,
    /// G.711 µ-law.
    Pcmu,
}

/// A telephone in a call.
pub struct Baresip {
    child: Child,
    folder: TempDir,
}

impl Baresip {
    /// Calls `number` at `to` as [`USER`], speaks the samples (8 kHz), and hangs up `seconds` after its start. Audio
    /// is encrypted as `encryption` says: `srtp-mand` by keys in its offer, and not at all without an answer in kind.
    ///
    /// # Errors
    /// When baresip is not installed.
    pub fn call(
        to: SocketAddr,
        number: &str,
        codec: Codec,
        encryption: Option<&str>,
        samples: &[i16],
        seconds: u64,
    ) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sotto-baresip-").tempdir()?;
        let wav = folder.path().join("speech.wav");
        let (codecs, audio) = match codec {
            Codec::Opus => ("opus/48000/2", at_48_khz(samples)),
            Codec::Pcmu => ("pcmu/8000", Audio { rate: 8_000, channels: vec![samples.to_vec()] }),
        };
        audio.write_wav(&wav)?;
        std::fs::create_dir(folder.path().join("heard"))?;
        let config = format!(
            "poll_method epoll\nsip_listen 127.0.0.1:0\nmodule_path {}\naudio_source aufile,{}\n\
             audio_player aubridge,nobody\nsnd_path {}\nmodule opus.so\nmodule g711.so\nmodule aufile.so\n\
             module aubridge.so\nmodule sndfile.so\nmodule srtp.so\nmodule_app account.so\nmodule_app menu.so\n",
            modules()?.display(),
            wav.display(),
            folder.path().join("heard").display(),
        );
        std::fs::write(folder.path().join("config"), config)?;
        let (user, password) = USER;
        let encryption = encryption.map(|name| format!(";mediaenc={name}")).unwrap_or_default();
        let account = format!(
            "<sip:{user}@127.0.0.1>;auth_user={user};auth_pass={password};regint=0;audio_codecs={codecs}{encryption}\n"
        );
        std::fs::write(folder.path().join("accounts"), account)?;
        std::fs::write(folder.path().join("contacts"), "")?;
        let out = std::fs::File::create(folder.path().join("log"))?;
        let child = Command::new("baresip")
            .arg("-f")
            .arg(folder.path())
            .args(["-e", &format!("/dial sip:{number}@{to}"), "-t", &seconds.to_string()])
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .context("baresip does not start (Debian: apt-get install baresip-core)")?;
        Ok(Self { child, folder })
    }

    /// Waits until it has hung up: what it heard, if anything was said to it.
    ///
    /// # Errors
    /// When the call was not answered, with what baresip said.
    pub fn finish(mut self) -> Result<Option<Audio>> {
        self.child.wait()?;
        let log = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        if !log.contains("Call established") {
            bail!("baresip: no call\n{log}");
        }
        let kept = std::fs::read_dir(self.folder.path().join("heard"))?;
        let heard = kept
            .filter_map(|file| Some(file.ok()?.path()))
            .find(|path| path.to_string_lossy().ends_with("dec.wav"));
        // A file without samples is what it keeps of silence.
        Ok(heard.and_then(|file| Audio::read(&file).ok()))
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
