//! Janus, a WebRTC server that is not ours: its NoSIP plugin puts browsers through to telephones.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sotto_tests::audio::Audio;
use sotto_tests::http::Client;
use sotto_tests::server::free_address;
use tempfile::TempDir;

use crate::run::Run;

/// Dropped, it is ended.
pub struct Janus {
    child: Child,
    at: SocketAddr,
    folder: TempDir,
}

impl Janus {
    pub fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sotto-janus-").tempdir()?;
        let at = free_address()?;
        let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text);
        // Sessions last although nobody asks for their events; nothing but what is needed is loaded.
        write(
            "janus.jcfg",
            "general: { debug_level = 3, debug_colors = false, session_timeout = 0 }\n\
             media: { rtp_port_range = \"38000-38999\" }\n\
             plugins: { disable = \"libjanus_audiobridge.so,libjanus_duktape.so,libjanus_echotest.so,\
             libjanus_lua.so,libjanus_recordplay.so,libjanus_sip.so,libjanus_streaming.so,libjanus_textroom.so,\
             libjanus_videocall.so,libjanus_videoroom.so,libjanus_voicemail.so\" }\n\
             transports: { disable = \"libjanus_mqtt.so,libjanus_nanomsg.so,libjanus_pfunix.so,\
             libjanus_rabbitmq.so,libjanus_websockets.so\" }\n"
                .to_owned(),
        )?;
        write(
            "janus.transport.http.jcfg",
            format!(
                "general: {{ json = \"compact\", base_path = \"/janus\", http = true, port = {}, ip = \"{}\", \
                 https = false }}\nadmin: {{ admin_http = false, admin_https = false }}\n",
                at.port(),
                at.ip()
            ),
        )?;
        write(
            "janus.plugin.nosip.jcfg",
            "general: { local_ip = \"127.0.0.1\", rtp_port_range = \"39000-39999\", events = false }\n"
                .to_owned(),
        )?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        let child = Run::new("janus")
            .arg("--configs-folder")
            .arg(folder.path())
            .command()
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("janus does not start (Debian: apt-get install janus)")?;
        let janus = Self { child, at, folder };
        let begun = Instant::now();
        while !Client::new(at).get("/janus/info").is_ok_and(|answer| answer.status == 200) {
            ensure!(begun.elapsed() < Duration::from_secs(20), "Janus does not answer\n{}", janus.log());
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(janus)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.path().join("log")).unwrap_or_default())
            .into_owned()
    }

    /// A page of Chromium that calls telephones at these ports, and hears `voice` at its microphone.
    pub fn page(&self, ports: &[u16], voice: &Audio) -> Result<JanusPage> {
        let folder = tempfile::tempdir()?;
        let microphone = folder.path().join("microphone.wav");
        voice.write_wav(&microphone)?;
        let mut child = Run::new("node")
            .arg("tests/browser/janus.mjs")
            .arg(format!("http://{}/janus", self.at))
            .arg(&microphone)
            .args(ports.iter().map(u16::to_string))
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (to, from) = child.stdin.take().zip(child.stdout.take()).context("no pipes")?;
        let mut page = JanusPage {
            child,
            to: Some(to),
            from: BufReader::new(from),
            _folder: folder,
            to_send: Vec::new(),
        };
        let ports: Vec<u16> = serde_json::from_str(&page.line().with_context(|| self.log())?)?;
        page.to_send = ports.into_iter().map(|port| ([127, 0, 0, 1], port).into()).collect();
        Ok(page)
    }
}

impl Drop for Janus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// See [`Janus::page`].
pub struct JanusPage {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    _folder: TempDir,
    /// Where each telephone is to send.
    pub to_send: Vec<SocketAddr>,
}

impl JanusPage {
    /// Packets of all calls that came to the page so far.
    pub fn received(&mut self) -> Result<u64> {
        writeln!(self.to.as_mut().context("closed")?)?;
        let counted: Value = serde_json::from_str(&self.line()?)?;
        Ok(counted["received"].as_u64().unwrap_or_default())
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the page is gone");
        Ok(line)
    }
}

impl Drop for JanusPage {
    fn drop(&mut self) {
        // The end of its input tells it to close Chromium.
        self.to = None;
        let _ = self.child.wait();
    }
}
