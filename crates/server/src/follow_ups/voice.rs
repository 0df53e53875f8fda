//! Text made audible: by a program, or by a server, of the organisation. Both are made for Piper.

use std::fmt;
use std::io::Cursor;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sotto_audio::{FRAME_MS, FRAME_SAMPLES, RATE};
use thiserror::Error;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::time::{interval, timeout};

use super::post::{Http, JSON, TYPE};
use crate::player;

/// What stands for the file in a command.
const OUTPUT: &str = "{output}";
/// Bytes of audio that is read.
const LARGEST: usize = 32 << 20;
/// How long it may play.
const LONGEST: Duration = Duration::from_secs(180);
/// Texts that are spoken at the same time.
const AT_ONCE: usize = 2;
/// How often it is looked how large a file has become.
const LOOK: Duration = Duration::from_millis(100);
/// What is never louder is silence, of full scale (-60 dB).
const SILENT: f32 = 0.001;

/// Audio at 16 kHz, in pieces of 20 ms.
pub type Speech = Vec<[f32; FRAME_SAMPLES]>;

/// See [`crate::config::Config::voice`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VoiceConfig {
    /// How long a text may take, in seconds.
    pub timeout_s: u32,
    /// What speaks English.
    pub en: SpeakerConfig,
    /// What speaks Persian.
    pub fa: SpeakerConfig,
}

impl Default for VoiceConfig {
    fn default() -> Self {
        Self { timeout_s: 20, en: SpeakerConfig::default(), fa: SpeakerConfig::default() }
    }
}

/// See [`VoiceConfig::en`].
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SpeakerConfig {
    /// A program and its arguments: it reads one line of text, and writes a WAV file where `{output}` stands. Piper's is
    /// `["piper", "--model", "/voices/en_US-ljspeech-medium.onnx", "--output_file", "{output}"]`.
    pub command: Vec<String>,
    /// Or a server: the text is posted there as JSON, `{"text": "…"}`, and WAV comes back. Piper's is
    /// `http://127.0.0.1:5000/synthesize`, in older versions without `/synthesize`.
    pub url: String,
}

impl fmt::Debug for SpeakerConfig {
    /// Without what may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpeakerConfig").field("program", &self.command.first()).finish_non_exhaustive()
    }
}

impl VoiceConfig {
    /// What is wrong with it.
    ///
    /// # Errors
    /// The problem, in words.
    pub fn check(&self) -> Result<(), String> {
        self.open().map(drop)
    }

    /// What speaks; nothing is started yet.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn open(&self) -> Result<Voice, String> {
        if self.timeout_s == 0 {
            return Err("`timeout_s` must not be 0".to_owned());
        }
        let mut speakers = Vec::new();
        for (language, config) in [("en", &self.en), ("fa", &self.fa)] {
            let speaker = config.open().map_err(|problem| format!("`{language}`: {problem}"))?;
            speakers.extend(speaker.map(|speaker| (language, speaker)));
        }
        let patience = Duration::from_secs(self.timeout_s.into());
        Ok(Voice { shared: Arc::new(Shared { speakers, patience, room: Semaphore::new(AT_ONCE) }) })
    }
}

impl SpeakerConfig {
    fn open(&self) -> Result<Option<Speaker>, String> {
        match (self.command.as_slice(), self.url.as_str()) {
            ([], "") => Ok(None),
            ([], url) => {
                let http = Http::taking(url, LARGEST)?;
                Ok(Some(Speaker::Server { http: Box::new(http), url: url.to_owned() }))
            }
            (command, "") if command.iter().any(|argument| argument.contains(OUTPUT)) => {
                Ok(Some(Speaker::Program(command.to_vec())))
            }
            (_, "") => Err(format!("`command` does not say where `{OUTPUT}` goes")),
            _ => Err("there is a `command` and a `url`, and only one can speak".to_owned()),
        }
    }
}

/// Why nothing is spoken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum VoiceError {
    /// There is no voice for what the text is written in.
    #[error("there is no voice for the language of the text")]
    Language,
    /// Whatever speaks has failed, in words.
    #[error("the text could not be spoken: {0}")]
    Failed(String),
}

/// What speaks. Cheap to clone.
#[derive(Clone)]
pub struct Voice {
    shared: Arc<Shared>,
}

struct Shared {
    speakers: Vec<(&'static str, Speaker)>,
    patience: Duration,
    room: Semaphore,
}

enum Speaker {
    Program(Vec<String>),
    Server { http: Box<Http>, url: String },
}

impl fmt::Debug for Voice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Voice").field("languages", &self.languages()).finish()
    }
}

impl Voice {
    /// The languages that it speaks.
    #[must_use]
    pub fn languages(&self) -> Vec<&'static str> {
        self.shared.speakers.iter().map(|(language, _)| *language).collect()
    }

    /// Speaks a text, in the language of its letters.
    ///
    /// # Errors
    /// [`VoiceError`]
    pub async fn speak(&self, text: &str) -> Result<Speech, VoiceError> {
        let language = sotto_text::language(text);
        let speaker = self.shared.speakers.iter().find(|(spoken, _)| *spoken == language);
        let (_, speaker) = speaker.ok_or(VoiceError::Language)?;
        let speech = async {
            let _room = self.shared.room.acquire().await?;
            speaker.speak(text).await
        };
        let speech = timeout(self.shared.patience, speech).await;
        let speech = speech.unwrap_or_else(|_| bail!("it took too long"));
        speech.map_err(|error| VoiceError::Failed(format!("{error:#}")))
    }
}

impl Speaker {
    async fn speak(&self, text: &str) -> anyhow::Result<Speech> {
        let folder = tempfile::Builder::new().prefix("sotto-voice-").tempdir()?;
        let file = folder.path().join("speech.wav");
        // Piper takes every line for a text of its own.
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        match self {
            Self::Program(command) => tokio::select! {
                ended = run(command, &text, &file) => ended?,
                () = outgrows(&file) => bail!("there is more audio than fits"),
            },
            Self::Server { http, url } => tokio::fs::write(&file, ask(http, url, &text).await?).await?,
        }
        let speech = tokio::task::spawn_blocking(move || {
            let speech = read(&file);
            drop(folder);
            speech
        });
        speech.await?
    }
}

/// Runs a program on a line of text. Dropped, it is killed.
async fn run(command: &[String], text: &str, file: &Path) -> anyhow::Result<()> {
    let Some((program, arguments)) = command.split_first() else { bail!("there is no program") };
    let file = file.display().to_string();
    let mut child = Command::new(program)
        .args(arguments.iter().map(|argument| argument.replace(OUTPUT, &file)))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| anyhow::anyhow!("`{program}` does not start: {error}"))?;
    let stdin = child.stdin.take();
    let tells = async {
        if let Some(mut stdin) = stdin {
            // Whoever does not read it says so by how it ends.
            let _ = stdin.write_all(format!("{text}\n").as_bytes()).await;
        }
    };
    let ((), ended) = tokio::join!(tells, child.wait());
    let ended = ended?;
    ensure!(ended.success(), "`{program}` has failed: {ended}");
    Ok(())
}

/// Waits until a file is larger than what is read.
async fn outgrows(file: &Path) {
    let mut clock = interval(LOOK);
    loop {
        clock.tick().await;
        let length = tokio::fs::metadata(file).await.map_or(0, |about| about.len());
        if length > LARGEST as u64 {
            return;
        }
    }
}

/// Has a server speak a line of text: what it answers.
async fn ask(http: &Http, url: &str, text: &str) -> anyhow::Result<Vec<u8>> {
    let headers = [(TYPE, JSON.to_owned())];
    let body = json!({ "text": text }).to_string().into_bytes();
    // It is known when that takes too long.
    let answer = http.post(url, &headers, body, Duration::MAX).await;
    let (status, _, body) = answer.map_err(|outcome| anyhow::anyhow!(outcome.why()))?;
    ensure!(status.is_success(), "the server answered {}", status.as_u16());
    ensure!(!body.is_empty(), "the server answered with nothing, or with more audio than fits");
    Ok(body.to_vec())
}

/// What is in a file, whatever wrote it.
fn read(file: &Path) -> anyhow::Result<Speech> {
    const MOST: usize = (LONGEST.as_millis() / FRAME_MS as u128) as usize;
    ensure!(file.is_file(), "no file was written");
    let mut speech = Speech::new();
    player::frames(file, "wav", |channels| {
        let sound = |sample: f32| if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 };
        speech.extend(channels.first().map(|samples| samples.map(sound)));
        if speech.len() > MOST { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    ensure!(speech.len() <= MOST, "it plays for more than {} seconds", LONGEST.as_secs());
    ensure!(speech.iter().flatten().any(|sample| sample.abs() > SILENT), "nothing is to be heard in it");
    Ok(speech)
}

/// Speech as a WAV file: 16-bit PCM at 16 kHz.
///
/// # Errors
/// When it is longer than a WAV file can be.
pub fn wav(speech: &[[f32; FRAME_SAMPLES]]) -> hound::Result<Vec<u8>> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec)?;
    for sample in speech.iter().flatten() {
        // In range, as what is read is.
        writer.write_sample((sample * f32::from(i16::MAX)) as i16)?;
    }
    writer.finalize()?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::*;

    /// A tone at a rate, as a WAV file.
    fn tone(rate: u32, seconds: u32) -> Vec<u8> {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
        for n in 0..rate * seconds {
            let turn = f64::from(n) * 440.0 * std::f64::consts::TAU / f64::from(rate);
            writer.write_sample((8_192.0 * turn.sin()) as i16).unwrap();
        }
        writer.finalize().unwrap();
        bytes.into_inner()
    }

    /// What a shell script says in English, which gets the file as its first argument and the tone as its second.
    async fn said_by(script: &str, timeout_s: u32) -> Result<Speech, VoiceError> {
        let folder = tempfile::tempdir().unwrap();
        let sample = folder.path().join("tone.wav");
        // As a voice of Piper's.
        std::fs::write(&sample, tone(22_050, 2)).unwrap();
        let command = ["sh", "-c", script, "sh", OUTPUT, sample.to_str().unwrap()].map(str::to_owned);
        let en = SpeakerConfig { command: command.to_vec(), url: String::new() };
        let voice = VoiceConfig { timeout_s, en, ..VoiceConfig::default() }.open().unwrap();
        assert_eq!(voice.languages(), ["en"]);
        voice.speak("Hello,\nSara").await
    }

    #[tokio::test]
    async fn a_program_gets_one_line_and_its_file_is_what_is_heard() {
        let reads = r#"read -r line && test "$line" = "Hello, Sara" && cp "$2" "$1""#;
        let speech = said_by(reads, 20).await.unwrap();
        assert_eq!(speech.len(), 100, "two seconds, at whatever rate");
        let again = wav(&speech).unwrap();
        let written = hound::WavReader::new(Cursor::new(again)).unwrap();
        assert_eq!((written.spec().sample_rate, written.duration()), (16_000, 32_000));
    }

    #[tokio::test]
    async fn a_program_that_fails_says_nothing() {
        for (script, why) in [
            ("exit 3", "exit status: 3"),
            ("cat > /dev/null", "no file was written"),
            (r#"echo "no audio" > "$1""#, "could not be spoken"),
            (r#"head -c 44 "$2" > "$1""#, "could not be spoken"),
            (r#"head -c 40000000 /dev/zero > "$1"; exec sleep 60"#, "more audio than fits"),
        ] {
            let error = said_by(script, 20).await.unwrap_err().to_string();
            assert!(error.contains(why), "{script}: {error}");
        }
        let error = said_by("exec sleep 60", 1).await.unwrap_err().to_string();
        assert!(error.contains("took too long"), "{error}");
    }

    /// A server that answers once with this; what it was asked.
    async fn server(status: &str, body: Vec<u8>) -> (String, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/synthesize", listener.local_addr().unwrap());
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"}") {
                assert!(stream.read_buf(&mut asked).await.unwrap() > 0, "it wants nothing");
            }
            stream.write_all(head.as_bytes()).await.unwrap();
            // Whoever has enough goes.
            let _ = stream.write_all(&body).await;
            String::from_utf8(asked).unwrap()
        });
        (url, asked)
    }

    #[tokio::test]
    async fn a_server_gets_one_line_and_its_answer_is_what_is_heard() {
        let said_by = async |status: &str, body: Vec<u8>| {
            let (url, asked) = server(status, body).await;
            let en = SpeakerConfig { url, ..SpeakerConfig::default() };
            let voice = VoiceConfig { en, ..VoiceConfig::default() }.open().unwrap();
            (voice.speak("Hello,\nSara").await, asked.await.unwrap())
        };
        let (speech, asked) = said_by("200 OK", tone(16_000, 1)).await;
        assert_eq!(speech.unwrap().len(), 50);
        assert!(asked.starts_with("POST /synthesize HTTP/1.1\r\n"), "{asked}");
        assert!(asked.ends_with(r#"{"text":"Hello, Sara"}"#), "{asked}");
        for (status, body, why) in [
            ("500 Internal Server Error", tone(16_000, 1), "answered 500"),
            ("200 OK", Vec::new(), "answered with nothing"),
            ("200 OK", b"no audio".to_vec(), "could not be spoken"),
            ("200 OK", vec![0; LARGEST + 1], "more audio than fits"),
        ] {
            let error = said_by(status, body).await.0.unwrap_err().to_string();
            assert!(error.contains(why), "{why}: {error}");
        }
    }

    #[tokio::test]
    async fn what_nobody_speaks_is_not_spoken() {
        let voice = VoiceConfig::default().open().unwrap();
        assert_eq!(voice.speak("سلام").await, Err(VoiceError::Language));
        assert_eq!(said_by("exit 0", 20).await.map_err(|error| error == VoiceError::Language), Err(false));
    }

    #[test]
    fn what_cannot_speak_is_said_at_the_start() {
        let wrong = |fa: SpeakerConfig| VoiceConfig { fa, ..VoiceConfig::default() }.check().unwrap_err();
        let command = vec!["piper".to_owned()];
        let silent = wrong(SpeakerConfig { command: command.clone(), ..SpeakerConfig::default() });
        assert!(silent.starts_with("`fa`: ") && silent.contains(OUTPUT), "{silent}");
        let url = "http://127.0.0.1:5000".to_owned();
        assert!(wrong(SpeakerConfig { command, url }).contains("only one"));
        assert!(!wrong(SpeakerConfig { url: "piper".to_owned(), ..SpeakerConfig::default() }).is_empty());
    }
}
