//! What the rows share: the program, the data, and calls through real SIP and RTP.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use sotto_tests::audio::Audio;
use sotto_tests::llama::{self, Llama};
use sotto_tests::pcap::Law;
use sotto_tests::server::{Setup, Sotto};
use sotto_tests::sipp::{Running, Sipp};

use crate::run::{Run, pull_models, tools};

pub struct Bench {
    pub sotto: PathBuf,
    pub data: PathBuf,
    /// The recorded calls and what was said in them.
    pub calls: PathBuf,
    pub quick: bool,
    /// A language model's server that is there already, and the model's name there.
    pub llm: Option<(String, String)>,
}

/// A recorded call of `calls-harper`.
pub struct Recorded {
    pub id: String,
    pub audio: Audio,
}

impl Bench {
    pub fn new(sotto: PathBuf, data: PathBuf, quick: bool, llm: Option<(String, String)>) -> Result<Self> {
        pull_models(&sotto, &["tiny.en", "base"])?;
        let calls = data.join("calls-harper");
        let calls = if quick { two_of(&calls)? } else { calls };
        Ok(Self { sotto, data, calls, quick, llm })
    }

    /// A language model's server: the one that was named, or llama.cpp with SmolLM2, which runs as long as it is held. Where it
    /// is, and the model's name there.
    pub fn language_model(&self) -> Result<(Option<Llama>, String, String)> {
        if let Some((url, model)) = self.llm.clone() {
            return Ok((None, url, model));
        }
        let llama = Llama::start()?;
        let url = llama.url();
        Ok((Some(llama), url, llama::MODEL.to_owned()))
    }

    /// A fresh server of the release build with this speech model, for calls in English.
    pub fn server(&self, model: &str) -> Result<Sotto> {
        let language = Some("en".to_owned());
        self.server_with(&Setup { model: model.into(), language, max_calls: Some(200), ..Setup::default() })
    }

    pub fn server_with(&self, setup: &Setup) -> Result<Sotto> {
        Sotto::start_binary(&self.sotto, setup)
    }

    /// The six calls, in the order of their ids.
    pub fn recorded_calls(&self) -> Result<Vec<Recorded>> {
        let files = files(&self.calls.join("stereo"), "flac")?;
        let load = |path: PathBuf| {
            let id = path.file_stem().and_then(|s| s.to_str()).context("file name")?.to_owned();
            Ok(Recorded { id, audio: Audio::read(&path)? })
        };
        files.into_iter().map(load).collect()
    }

    /// The rows of `turns.json`.
    pub fn turns(&self) -> Result<Vec<Value>> {
        let text = std::fs::read_to_string(self.calls.join("turns.json"))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// `sotto eval --score`: the figures of a file of events against a folder with `turns.json`.
    pub fn score(&self, folder: &Path, events: &Path) -> Result<Value> {
        let out = Run::new(&self.sotto).arg("eval").arg(folder).arg("--score").arg(events).output()?;
        last_json(&out)
    }

    /// `sotto replay --json`: the events of a recorded file.
    pub fn replay(&self, model: &str, language: &str, file: &Path) -> Result<Vec<Value>> {
        self.replay_with("max", &[], model, language, file)
    }

    /// The same at a speed, `1`, which gives partials as well, or `max`; and with settings such as `speech.workers=1`.
    pub fn replay_with(
        &self,
        speed: &str,
        settings: &[String],
        model: &str,
        language: &str,
        file: &Path,
    ) -> Result<Vec<Value>> {
        let settings = settings.iter().flat_map(|setting| ["--set", setting]);
        let model = format!("speech.model={model}");
        let asked = ["--json", "--speed", speed, "--language", language, "--set", &model];
        let replay = Run::new(&self.sotto).arg("replay").arg(file).args(asked).args(settings);
        events_of(&replay.output()?)
    }

    /// The same in English with the base model, beside documents that answer what customers ask.
    pub fn replay_beside(&self, documents: &Path, speed: &str, file: &Path) -> Result<Vec<Value>> {
        let asked = ["--json", "--speed", speed, "--language", "en", "--set", "speech.model=base"];
        let replay = Run::new(&self.sotto).arg("replay").arg(file).args(asked);
        events_of(&replay.arg("--knowledge").arg(documents).output()?)
    }
}

fn events_of(out: &str) -> Result<Vec<Value>> {
    out.lines().filter(|l| l.starts_with('{')).map(|l| Ok(serde_json::from_str(l)?)).collect()
}

/// A folder of the same layout with the first two calls of `calls`.
fn two_of(calls: &Path) -> Result<PathBuf> {
    let two = tools().join("eval-two-calls");
    let stereo = two.join("stereo");
    std::fs::create_dir_all(&stereo)?;
    let text = std::fs::read_to_string(calls.join("turns.json"))?;
    let turns: Vec<Value> = serde_json::from_str(&text)?;
    let mut kept = Vec::new();
    for file in files(&calls.join("stereo"), "flac")?.iter().take(2) {
        let id = file.file_stem().and_then(|s| s.to_str()).context("file name")?;
        kept.extend(turns.iter().filter(|t| t["sid"] == id).cloned());
        std::fs::copy(file, stereo.join(format!("{id}.flac")))?;
    }
    std::fs::write(two.join("turns.json"), serde_json::to_string(&kept)?)?;
    Ok(two)
}

/// The files of a folder with an extension, sorted.
pub fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == extension))
        .collect();
    files.sort();
    ensure!(!files.is_empty(), "no .{extension} in {}", folder.display());
    Ok(files)
}

/// The last line of an output that is a JSON object.
pub fn last_json(out: &str) -> Result<Value> {
    let line = out.lines().rev().find(|l| l.starts_with('{')).context("no figures in the output")?;
    Ok(serde_json::from_str(line)?)
}

/// A call that SIPp is placing to a server; `id` is the server's name for it.
pub struct Placed {
    pub id: String,
    pub sipp: Running,
}

/// Places a SIPREC call and waits until the server shows it. The customer's address tells calls apart.
pub fn place(server: &Sotto, audio: &Audio, customer: &str) -> Result<Placed> {
    // As the calls were recorded: another code would cost words that the network does not.
    let laws = vec![Law::Mu; 2];
    let mut sipp = Sipp { customer: customer.into(), laws, ..Sipp::siprec(server.sip) }.call(audio)?;
    let wanted = format!("sip:{customer}@");
    // On a machine that is full SIPp itself takes its time to begin.
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until && sipp.is_going_on()? {
        // And a machine that is full with them answers late.
        let calls = server.api.calls("live").unwrap_or_default();
        let ours = calls.iter().find(|call| {
            let people = call["participants"].as_array().into_iter().flatten();
            people.filter_map(|p| p["aor"].as_str()).any(|aor| aor.starts_with(&wanted))
        });
        if let Some(id) = ours.and_then(|c| c["id"].as_str()) {
            return Ok(Placed { id: id.to_owned(), sipp });
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("the call of {customer} does not appear\n{}", sipp.log())
}

/// A call's events in the form that the scorer reads.
pub fn scored_events(call: &str, events: &[Value]) -> String {
    let mut out = String::new();
    for event in events.iter().filter(|e| e["kind"] == "utterance") {
        let role = if event["party"] == "agent" { "agent" } else { "caller" };
        let line = json!({
            "call": call, "role": role, "at_ms": event["at_ms"], "final": event["final"],
            "text": event["text"], "utterance": event["utterance_id"], "revision": event["revision"],
        });
        out.push_str(&line.to_string());
        out.push('\n');
    }
    out
}

/// The value that so many percent of values in ascending order lie below.
pub fn value_at(sorted: &[i64], percent: usize) -> f64 {
    sorted.get(sorted.len() * percent / 100).map_or(f64::NAN, |value| *value as f64)
}

/// A percentile's value out of the scorer's `{"p50", "p95", "n"}`.
pub fn percentile(figures: &Value, name: &str, which: &str) -> f64 {
    figures[name][which].as_f64().unwrap_or(f64::NAN)
}
