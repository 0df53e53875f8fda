//! Chromium with a page of Sotto's and a telephone in it, driven step by step.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::audio::Audio;
use crate::network::Network;
use crate::script::root;

/// What the browser's microphone hears.
#[derive(Clone, Copy, Debug)]
pub enum Microphone<'a> {
    /// Someone speaks, once, from the moment that the microphone is opened; the page cleans it up as it does
    /// every voice.
    Voice(&'a Audio),
    /// A sound, again and again, that comes to the other end as it is: what cleans up voices would take it for
    /// noise.
    Tone(&'a Audio),
}

/// A browser with one page. Dropped, it is closed.
pub struct Browser {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    folder: TempDir,
}

/// Packets of RTP since a connection began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packets {
    /// Sent.
    pub sent: u64,
    /// Received.
    pub received: u64,
}

impl Browser {
    /// Opens the page and signs in.
    ///
    /// # Errors
    /// When there is no browser, or the page is not what it should be.
    pub fn sign_in(page: SocketAddr, user: (&str, &str), hears: Microphone) -> Result<Self> {
        Self::start(Command::new("node"), page, user, hears)
    }

    /// The same in a network of its own.
    ///
    /// # Errors
    /// As [`Browser::sign_in`].
    pub fn sign_in_from(
        network: &Network,
        page: SocketAddr,
        user: (&str, &str),
        hears: Microphone,
    ) -> Result<Self> {
        Self::start(network.command("node"), page, user, hears)
    }

    fn start(
        mut node: Command,
        page: SocketAddr,
        (name, password): (&str, &str),
        hears: Microphone,
    ) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sotto-browser-").tempdir()?;
        let microphone = folder.path().join("microphone.wav");
        let (audio, kind) = match hears {
            Microphone::Voice(audio) => (audio, "voice"),
            Microphone::Tone(audio) => (audio, "tone"),
        };
        audio.write_wav(&microphone)?;
        let mut child = node
            .arg(root().join("tests/browser/drive.mjs"))
            .arg(format!("http://{page}"))
            .arg(&microphone)
            .arg(kind)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("node does not start")?;
        let to = child.stdin.take();
        let from = BufReader::new(child.stdout.take().context("no output")?);
        let mut browser = Self { child, to, from, folder };
        browser.step("open", json!(["/"]))?;
        browser.step("fill", json!(["#name", name]))?;
        browser.step("fill", json!(["#password", password]))?;
        browser.click("form button[type=submit]")?;
        browser.wait("section.phone")?;
        Ok(browser)
    }

    fn step(&mut self, what: &str, with: Value) -> Result<Value> {
        let shown = format!("{what} {with}");
        let to = self.to.as_mut().context("the browser is closed")?;
        writeln!(to, "{}", json!({"do": what, "with": with})).with_context(|| shown.clone())?;
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the browser is gone: {shown}");
        let mut outcome: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
        match outcome["error"].as_str() {
            Some(error) => bail!("{shown}: {error}"),
            None => Ok(outcome["value"].take()),
        }
    }

    /// Waits until something is to be seen (a CSS selector, with Playwright's additions).
    ///
    /// # Errors
    /// When it does not come within a minute.
    pub fn wait(&mut self, at: &str) -> Result<()> {
        self.step("wait", json!([at])).map(drop)
    }

    /// Clicks, as soon as there is something to be clicked on.
    ///
    /// # Errors
    /// As [`Browser::wait`].
    pub fn click(&mut self, at: &str) -> Result<()> {
        self.step("click", json!([at])).map(drop)
    }

    /// Writes into a field.
    ///
    /// # Errors
    /// As [`Browser::wait`].
    pub fn fill(&mut self, at: &str, text: &str) -> Result<()> {
        self.step("fill", json!([at, text])).map(drop)
    }

    /// Presses a key.
    ///
    /// # Errors
    /// When the browser is gone.
    pub fn press(&mut self, key: &str) -> Result<()> {
        self.step("press", json!([key])).map(drop)
    }

    /// What is written somewhere.
    ///
    /// # Errors
    /// As [`Browser::wait`].
    pub fn text(&mut self, at: &str) -> Result<String> {
        Ok(self.step("text", json!([at]))?.as_str().unwrap_or_default().to_owned())
    }

    /// Goes to another place of the page.
    ///
    /// # Errors
    /// When it does not load.
    pub fn open(&mut self, path: &str) -> Result<()> {
        self.step("open", json!([path])).map(drop)
    }

    /// Loads the page anew.
    ///
    /// # Errors
    /// When it does not load.
    pub fn reload(&mut self) -> Result<()> {
        self.step("reload", json!([])).map(drop)
    }

    /// The value of an expression on the page.
    ///
    /// # Errors
    /// When it throws.
    pub fn run(&mut self, expression: &str) -> Result<Value> {
        self.step("run", json!([expression]))
    }

    /// Photographs the page.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn shot(&mut self, path: &Path) -> Result<()> {
        self.step("shot", json!([path])).map(drop)
    }

    /// Is rung from now on. The button to say so is the last one of the telephone's strip.
    ///
    /// # Errors
    /// As [`Browser::wait`].
    pub fn ready(&mut self) -> Result<()> {
        self.click("section.phone > button.action:not([disabled], [aria-controls])")?;
        self.wait("section.phone .sign.ready")
    }

    /// Takes the call that comes.
    ///
    /// # Errors
    /// When none comes within a minute, or it is not connected.
    pub fn accept(&mut self) -> Result<()> {
        self.wait("section.phone.ringing")?;
        self.press("a")?;
        self.wait("section.phone .line.connected")
    }

    /// The end of what the other side has said since the page was loaded, up to `seconds` of it.
    ///
    /// # Errors
    /// When the page does not say.
    pub fn heard(&mut self, seconds: u32) -> Result<Audio> {
        let file = self.folder.path().join("heard.wav");
        self.step("heard", json!([file, seconds]))?;
        Audio::read(&file)
    }

    /// Packets of the newest connection.
    ///
    /// # Errors
    /// When the page does not say.
    pub fn packets(&mut self) -> Result<Packets> {
        let counted = self.run("bench.packets()")?;
        let number = |name: &str| counted[name].as_u64().unwrap_or_default();
        Ok(Packets { sent: number("sent"), received: number("received") })
    }

    /// What went wrong on the page, in its own words.
    ///
    /// # Errors
    /// When the browser is gone.
    pub fn errors(&mut self) -> Result<Vec<String>> {
        Ok(serde_json::from_value(self.step("errors", json!([]))?)?)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The end of its input tells it to close Chromium, which a signal would leave behind.
        self.to = None;
        let _ = self.child.wait();
    }
}
