//! baresip, a telephone that is not ours: calls with Opus.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::audio::Audio;

/// A telephone in a call.
pub struct Baresip {
    child: Child,
    folder: TempDir,
}

impl Baresip {
    /// Calls `to` with Opus, speaks the first channel of `audio` (8 kHz), and hangs up `seconds` after its start.
    ///
    /// # Errors
    /// When baresip is not installed.
    pub fn call(to: SocketAddr, audio: &Audio, seconds: u64) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sotto-baresip-").tempdir()?;
        let wav = folder.path().join("speech.wav");
        at_48_khz(audio.channels.first().context("no audio")?).write_wav(&wav)?;
        let config = format!(
            "poll_method epoll\nsip_listen 127.0.0.1:0\nmodule_path {}\naudio_source aufile,{}\n\
             audio_player aubridge,nobody\nmodule opus.so\nmodule aufile.so\nmodule aubridge.so\n\
             module_app account.so\nmodule_app menu.so\n",
            modules()?.display(),
            wav.display(),
        );
        std::fs::write(folder.path().join("config"), config)?;
        let account = "<sip:agent@127.0.0.1>;regint=0;audio_codecs=opus/48000/2\n";
        std::fs::write(folder.path().join("accounts"), account)?;
        std::fs::write(folder.path().join("contacts"), "")?;
        let out = std::fs::File::create(folder.path().join("log"))?;
        let child = Command::new("baresip")
            .arg("-f")
            .arg(folder.path())
            .args(["-e", &format!("/dial sip:sotto@{to}"), "-t", &seconds.to_string()])
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .context("baresip does not start (Debian: apt-get install baresip-core)")?;
        Ok(Self { child, folder })
    }

    /// Waits until it has hung up.
    ///
    /// # Errors
    /// When the call was not answered, with what baresip said.
    pub fn finish(mut self) -> Result<()> {
        self.child.wait()?;
        let log = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        if log.contains("Call established") { Ok(()) } else { bail!("baresip: no call\n{log}") }
    }
}

impl Drop for Baresip {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
