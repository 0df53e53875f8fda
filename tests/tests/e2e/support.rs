//! What several behaviours need: an excerpt of the demo conversation, and what every whole call looks like.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use sotto_tests::audio::Audio;
use sotto_tests::baresip::Baresip;
use sotto_tests::browser::Browser;
use sotto_tests::ears;
use sotto_tests::script::{Script, edits, transcript, word_error_rate, words};
use sotto_tests::server::{ADMIN, Sotto};
use sotto_tests::sipp::Sipp;

/// The first two turns of the demo conversation end here: the agent greets, the customer complains.
pub const EXCERPT_MS: u64 = 12_000;

/// Long enough for a busy machine, short enough to notice that nothing comes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something is so; `what` says what, when it does not become so.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The last `ms` of what a telephone has heard; all of it, when that is less.
pub fn lately(phone: &Baresip, ms: u64) -> Option<Audio> {
    let heard = phone.heard().unwrap()?;
    let end = heard.duration_ms();
    Some(heard.cut(end.saturating_sub(ms), end))
}

/// A call between a browser and a telephone.
pub struct Talk {
    pub id: String,
    pub agent: Browser,
    pub customer: Baresip,
}

impl Talk {
    pub fn begin(sotto: &Sotto) -> Self {
        Self::of(sotto, ears::agent(sotto, ADMIN).unwrap())
    }

    /// Of an agent who is ready.
    pub fn of(sotto: &Sotto, mut agent: Browser) -> Self {
        let customer = ears::customer(sotto, 300).unwrap();
        agent.accept().unwrap();
        let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
        let mut talk = Self { id, agent, customer };
        talk.both_hear();
        talk
    }

    pub fn both_hear(&mut self) {
        ears::both_hear(&mut self.agent, &self.customer).unwrap();
    }

    /// Hangs up; the events.
    pub fn end(mut self, sotto: &Sotto) -> Vec<Value> {
        self.agent.press("x").unwrap();
        self.agent.wait("section.phone:not(.talking)").unwrap();
        assert_eq!(self.agent.errors().unwrap(), Vec::<String>::new());
        let events = sotto.api.ended(&self.id, PATIENCE).unwrap();
        assert_ordered(&events);
        events
    }
}

pub fn excerpt() -> (Script, Audio) {
    let script = Script::support().unwrap();
    let audio = Audio::read(&script.audio).unwrap().cut(0, EXCERPT_MS);
    (script, audio)
}

/// Plays the excerpt to its end; the call's id and events.
pub fn call(sotto: &Sotto, sipp: &Sipp) -> (String, Vec<Value>) {
    let (_, audio) = excerpt();
    let running = sipp.call(&audio).unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    running.finish().unwrap();
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    (id, events)
}

/// Waits for the end of a telephone's call, whose agent's words must have been understood; its events.
pub fn understood(sotto: &Sotto, phone: Baresip, script: &Script) -> Vec<Value> {
    phone.finish().unwrap();
    let calls = sotto.api.client.json("/api/calls").unwrap();
    let id = calls["calls"][0]["id"].as_str().unwrap().to_owned();
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    let leg = events.iter().find(|e| e["kind"] == "leg_started").unwrap();
    let said = script.words("agent", 7000);
    let heard = words(&transcript(&events, leg["party"].as_str().unwrap()));
    let rate = edits(&said, &heard) as f64 / said.len() as f64;
    assert!(rate < 0.35, "{rate:.2}: {heard:?}");
    events
}

/// What holds for the log of every call.
pub fn assert_ordered(events: &[Value]) {
    let seqs: Vec<u64> = events.iter().map(|e| e["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=events.len() as u64).collect::<Vec<_>>(), "numbered from 1 without gaps");
    let times: Vec<u64> = events.iter().map(|e| e["at_ms"].as_u64().unwrap()).collect();
    assert!(times.is_sorted(), "time never runs backwards: {times:?}");
    assert_eq!(events[0]["kind"], "call_started");
    assert_eq!(events.iter().filter(|e| e["kind"] == "call_ended").count(), 1);
    assert_eq!(events[events.len() - 1]["kind"], "call_ended");
    let mut finals = std::collections::BTreeMap::new();
    for e in events.iter().filter(|e| e["kind"] == "utterance") {
        let id = e["utterance_id"].as_u64().unwrap();
        assert!(e["start_ms"].as_u64().unwrap() <= e["end_ms"].as_u64().unwrap(), "{e}");
        if e["final"] == true {
            let revision = e["revision"].as_u64().unwrap();
            let before = finals.insert(id, revision);
            assert!(before.is_none_or(|b| b < revision), "revisions grow: {e}");
            for word in e["words"].as_array().unwrap() {
                assert!(word["start_ms"].as_u64().unwrap() <= word["end_ms"].as_u64().unwrap(), "{e}");
            }
        } else {
            assert!(!finals.contains_key(&id), "a partial after its final: {e}");
        }
    }
}

/// Both parties of the excerpt were understood, each as itself.
pub fn assert_understood(events: &[Value]) {
    let (script, _) = excerpt();
    for party in ["agent", "customer"] {
        let rate = word_error_rate(&script, events, party, EXCERPT_MS);
        let heard = sotto_tests::script::transcript(events, party);
        assert!(rate <= 0.35, "{party}: word error rate {rate:.2}, heard {heard:?}");
    }
}

/// Nobody but its owner gets at a folder, or at anything in it.
pub fn assert_private(folder: &Path) {
    let mode = fs::metadata(folder).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "{} has {mode:o}", folder.display());
    if folder.is_dir() {
        fs::read_dir(folder).unwrap().for_each(|entry| assert_private(&entry.unwrap().path()));
    }
}

/// The recording holds both parties of the excerpt, each on its side, at its time.
pub fn assert_recorded(sotto: &Sotto, id: &str, duration_ms: u64) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording.wav");
    sotto.api.recording(id, &path).unwrap();
    let audio = Audio::read(&path).unwrap();
    assert_eq!((audio.rate, audio.channels.len()), (16_000, 2));
    let off = audio.duration_ms().abs_diff(duration_ms);
    assert!(off < 500, "{} ms recorded of {duration_ms}", audio.duration_ms());
    let (script, _) = excerpt();
    for turn in script.turns.iter().filter(|t| t.end_ms + 500 < duration_ms) {
        let own = usize::from(turn.party == "customer");
        let loud = audio.loudness(own, turn.start_ms, turn.end_ms);
        let quiet = audio.loudness(1 - own, turn.start_ms + 300, turn.end_ms - 300);
        assert!(loud > 0.02 && quiet < 0.01, "{turn:?}: {loud:.4} on its side, {quiet:.4} on the other");
    }
}
