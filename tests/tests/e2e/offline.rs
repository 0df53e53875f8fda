//! Recorded calls, played through the same path as live ones: `sotto replay`, `sotto transcribe`, `sotto insight` and
//! `sotto eval`.

use std::f32::consts::TAU;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sotto_tests::audio::Audio;
use sotto_tests::script::{Script, root, word_error_rate};
use sotto_tests::server::binary;

use crate::support::{EXCERPT_MS, assert_ordered, excerpt};

fn sotto_replay(file: &Path) -> Command {
    let mut command = Command::new(binary().unwrap());
    command.arg("replay").arg(file).args(["--json", "--set", "speech.model=tiny.en"]);
    command
}

fn replay(file: &Path) -> Vec<Value> {
    events(&mut sotto_replay(file))
}

fn events(replay: &mut Command) -> Vec<Value> {
    let out = replay.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_recording_gives_the_same_log_every_time() {
    let (script, audio) = excerpt();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("call.wav");
    audio.write_wav(&file).unwrap();
    let [first, second] = [replay(&file), replay(&file)];
    assert_ordered(&first);
    for party in ["agent", "customer"] {
        let wer = word_error_rate(&script, &first, party, EXCERPT_MS);
        assert!(wer < 0.35, "{party}: {wer}");
    }
    // Which leg is heard first is chance, what was heard and when is not.
    let said = |events: &[Value]| {
        let mut said: Vec<String> = (events.iter().filter(|e| e["kind"] == "utterance"))
            .map(|e| {
                let [party, text, start, end, revision] =
                    ["party", "text", "start_ms", "end_ms", "revision"].map(|key| &e[key]);
                format!("{party} {start}-{end} {revision} {text} {}", e["words"])
            })
            .collect();
        said.sort();
        said
    };
    assert_eq!(said(&first), said(&second));
}

#[test]
fn what_a_voice_tells_is_told_of_the_customer_where_that_is_wanted_and_how_the_time_went_always() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("call.wav");
    // The customer speaks three times, the third time into what the agent says.
    Audio::read(&Script::support().unwrap().audio).unwrap().cut(0, 40_000).write_wav(&file).unwrap();
    for is_wanted in [true, false] {
        let mut command = sotto_replay(&file);
        command.args(["--language", "en"]);
        if is_wanted {
            command.args(["--set", "insight.mood=voice_and_words"]);
        }
        let events = events(&mut command);
        let moods: Vec<&Value> = events.iter().filter(|e| e["kind"] == "mood").collect();
        assert!(!moods.is_empty());
        for mood in &moods {
            let is_it = |e: &&Value| e["kind"] == "utterance" && e["utterance_id"] == mood["utterance_id"];
            assert_eq!(events.iter().find(is_it).unwrap()["party"], "customer");
            assert_eq!(mood["arc"]["arousal"]["level"].is_number(), is_wanted, "{mood}");
        }
        let voices = moods.iter().map(|mood| &mood["voice"]).filter(|voice| !voice.is_null());
        let voices: Vec<&Value> = voices.collect();
        assert_eq!(!voices.is_empty(), is_wanted, "{moods:?}");
        assert!(voices.iter().all(|one| one["arousal"].is_number() && one["level_db"].is_number()));

        let talk = &events[events.len() - 2];
        assert_eq!(talk["kind"], "talk");
        let parties = talk["parties"].as_array().unwrap();
        let spoke: Vec<&Value> = parties.iter().map(|one| &one["party"]).collect();
        assert_eq!(spoke, ["agent", "customer"]);
        // Of forty seconds the agent has some twenty, the customer some twelve.
        let shares: Vec<u64> = parties.iter().map(|one| one["talk_ms"].as_u64().unwrap()).collect();
        assert!((15_000..26_000).contains(&shares[0]) && (8_000..17_000).contains(&shares[1]), "{talk}");
        assert!(talk["silence_ms"].as_u64().unwrap() < 12_000, "{talk}");
    }
}

/// Of the demo conversation: the customer asks when it comes, the agent promises to call on Thursday.
const PROMISE_MS: (u64, u64) = (63_000, 91_306);

#[test]
fn a_recording_and_its_log_come_to_the_same_and_all_of_it_was_said() {
    let folder = tempfile::tempdir().unwrap();
    let [file, log] = ["call.wav", "call.ndjson"].map(|name| folder.path().join(name));
    let audio = Audio::read(&Script::support().unwrap().audio).unwrap();
    audio.cut(PROMISE_MS.0, PROMISE_MS.1).write_wav(&file).unwrap();
    let events = replay(&file);
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    std::fs::write(&log, lines.join("\n")).unwrap();
    let insight = |of: &Path, arguments: &[&str]| -> Value {
        let mut command = Command::new(binary().unwrap());
        command.arg("insight").arg(of).args(arguments).args(["--set", "speech.model=tiny.en"]);
        let out = command.output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice(&out.stdout).unwrap()
    };
    let of_log = insight(&log, &[]);
    let of_recording = insight(&file, &[]);
    assert_eq!(of_recording["summary_bullets"], of_log["summary_bullets"]);
    let promise = of_log["next_actions"].as_array().unwrap().iter().find(|one| one["type"] == "callback");
    let promise = promise.unwrap_or_else(|| panic!("{of_log}"));
    assert_eq!([&promise["channel"], &promise["by"]], ["phone", "agent"]);
    assert!(promise["when"].is_string(), "{promise}");

    let bullets = of_log["summary_bullets"].as_array().unwrap();
    let evidence = of_log["evidence"]["summary_bullets"].as_array().unwrap();
    assert!(!bullets.is_empty() && bullets.len() == evidence.len(), "{of_log}");
    for (bullet, from) in bullets.iter().zip(evidence) {
        let cited = &from["citations"][0];
        let is_it = |e: &&Value| {
            ["utterance_id", "revision"].iter().all(|key| e[*key] == cited[*key])
                && e["kind"] == "utterance"
                && e["final"] == true
        };
        let said = events.iter().find(is_it).unwrap();
        assert!(said["text"].as_str().unwrap().contains(bullet.as_str().unwrap()), "{bullet} {said}");
        assert_eq!(said["party"], from["party"]);
    }
    let quality = insight(&log, &["--quality"]);
    assert!(quality["total"].as_f64().is_some_and(|total| (0.0..=1.0).contains(&total)), "{quality}");
}

/// The demo's customer asks when their order comes, and whether a fee is given back: their shop has written that down, among
/// documents of somebody else.
#[test]
fn a_question_brings_the_card_that_answers_it() {
    let folder = tempfile::tempdir().unwrap();
    for from in ["knowledge/marfanet/en", "demo/knowledge"] {
        let to = folder.path().join(from.replace('/', "-"));
        std::fs::create_dir(&to).unwrap();
        for file in std::fs::read_dir(root().join(from)).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("call.wav");
    // From the agent's “I have added apartment five” to the answer.
    Audio::read(&Script::support().unwrap().audio).unwrap().cut(58_000, 75_000).write_wav(&file).unwrap();
    let replay = |settings: &[&str]| {
        let mut command = sotto_replay(&file);
        command.args(["--language", "en", "--knowledge"]).arg(folder.path());
        command.arg("--keep").arg(scratch.path().join("hub.kept")).args(settings);
        events(&mut command)
    };
    let [first, second] = [replay(&[]), replay(&[])];
    let cards =
        |events: &[Value]| -> Vec<Value> { events.iter().filter(|e| e["kind"] == "card").cloned().collect() };
    let shown = cards(&first);
    assert!(!shown.is_empty(), "{first:?}");
    for card in &shown {
        let document = card["document"].as_str().unwrap();
        assert!(
            document.starts_with("demo-knowledge/") && card["confidence"].as_f64() >= Some(0.5),
            "{card}"
        );
        let is_it =
            |e: &&Value| e["kind"] == "utterance" && e["utterance_id"] == card["evidence"]["utterance_id"];
        assert_eq!(first.iter().find(is_it).unwrap()["party"], "customer");
    }
    let about = |name: &str| shown.iter().any(|card| card["document"].as_str().unwrap().ends_with(name));
    assert!(about("delivery.md") || about("refunds.md"), "{shown:?}");
    // The same is shown the second time, of what was kept.
    let places = |cards: &[Value]| -> Vec<String> {
        cards
            .iter()
            .map(|card| format!("{} {} {}", card["card_id"], card["document"], card["text"]))
            .collect()
    };
    assert_eq!(places(&shown), places(&cards(&second)));
    assert!(scratch.path().join("hub.kept").is_file());
    // Whatever calls are understood by, questions are embedded as the documents are.
    let english = replay(&["--set", "insight.embedding=english", "--set", "insight.mood=off"]);
    let found: Vec<&Value> = english.iter().filter(|e| e["kind"] == "card").collect();
    assert!(!found.is_empty(), "{english:?}");
    let cosine = |card: &Value| card["why"]["cosine"].as_f64().unwrap();
    for card in found {
        let is_it = |one: &&Value| one["document"] == card["document"] && one["passage"] == card["passage"];
        let apart = cosine(card) - cosine(shown.iter().find(is_it).unwrap());
        assert!(apart.abs() < 0.05, "{card}");
    }
    // As people read it, and not where nothing is written down about it.
    let told = |knowledge: &Path| {
        let mut command = Command::new(binary().unwrap());
        command.arg("replay").arg(&file).args(["--language", "en", "--set", "speech.model=tiny.en"]);
        let out = command.arg("--knowledge").arg(knowledge).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().contains("▸ card")
    };
    assert!(told(folder.path()) && !told(&root().join("knowledge/metalingua/fa")));
}

#[test]
fn who_reads_a_replay_may_have_seen_enough() {
    let (_, audio) = excerpt();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("call.wav");
    audio.write_wav(&file).unwrap();
    let mut replay = sotto_replay(&file).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(replay.stdout.take());
    let out = replay.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && !errors.contains("panicked"), "{errors}");
}

/// Sounds that are not speech: a mains hum, hold music, a ringing tone, hiss.
fn sounds(rate: u32) -> Vec<i16> {
    let seconds = |n: usize, of: fn(f32, usize) -> f32| {
        (0..n * rate as usize).map(move |k| (of(k as f32 / rate as f32, k) * 12_000.0) as i16)
    };
    let chord = |t: f32, _: usize| {
        let notes = [[262.0, 330.0, 392.0], [294.0, 349.0, 440.0], [247.0, 294.0, 392.0]];
        let swell = 0.6 + 0.4 * (TAU * 0.7 * t).sin();
        swell * notes[(t / 1.5) as usize % 3].iter().map(|f| (TAU * f * t).sin()).sum::<f32>() / 3.0
    };
    let ringing = |t: f32, _: usize| if t % 5.0 < 1.0 { (TAU * 425.0 * t).sin() * 0.5 } else { 0.0 };
    let hiss =
        |_: f32, k: usize| ((k as u32).wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536.0 * 0.2 - 0.1;
    seconds(5, |t, _| 0.3 * (TAU * 50.0 * t).sin())
        .chain(seconds(12, chord))
        .chain(seconds(8, ringing))
        .chain(seconds(6, hiss))
        .collect()
}

#[test]
fn music_tones_and_noise_give_no_words() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sounds.wav");
    let line = sounds(8_000);
    let mut turned = line.clone();
    turned.rotate_left(line.len() / 2);
    Audio { rate: 8_000, channels: vec![line, turned] }.write_wav(&file).unwrap();
    let mut files = vec![file];
    let recorded = root().join("../shared/eval/noise");
    if let Ok(folder) = std::fs::read_dir(recorded) {
        // One of the real ones; all of them are a row of the evaluation.
        files.extend(
            folder.filter_map(|f| Some(f.ok()?.path())).find(|f| f.extension().is_some_and(|e| e == "wav")),
        );
    }
    for file in files {
        let events = replay(&file);
        let heard: Vec<&Value> = events.iter().filter(|e| e["kind"] == "utterance").collect();
        assert!(heard.is_empty(), "{}: {heard:?}", file.display());
    }
}

#[test]
fn what_is_no_recording_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("letter.wav");
    std::fs::write(&file, "Dear Sir or Madam").unwrap();
    let out = Command::new(binary().unwrap()).arg("transcribe").arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success() && said.contains("letter.wav"), "{said}");
}

#[test]
fn a_folder_of_calls_is_scored() {
    let (script, audio) = excerpt();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("stereo")).unwrap();
    audio.write_wav(&folder.path().join("stereo/demo.wav")).unwrap();
    let turns: Vec<Value> = (script.turns.iter().filter(|turn| turn.end_ms <= EXCERPT_MS))
        .map(|turn| {
            let role = if turn.party == "agent" { "agent" } else { "caller" };
            json!({
                "sid": "demo", "role": role, "human": turn.text,
                "offset_ms_call_clock": turn.start_ms, "duration_ms": turn.end_ms - turn.start_ms,
            })
        })
        .collect();
    std::fs::write(folder.path().join("turns.json"), json!(turns).to_string()).unwrap();
    let events = folder.path().join("events.ndjson");
    let eval = |arguments: &[&str]| -> Value {
        let mut command = Command::new(binary().unwrap());
        command.arg("eval").arg(folder.path()).args(arguments).arg(&events);
        let out = command.args(["--set", "speech.model=tiny.en"]).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice(&out.stdout).unwrap()
    };
    let played = eval(&["--json"]);
    assert!(played["wer"].as_f64().unwrap() < 0.35, "{played}");
    assert!(played["ref_words"].as_u64().unwrap() > 10 && played["turn_final_ms"]["n"].as_u64() > Some(0));
    assert_eq!(eval(&["--score"]), played, "the events that were written are those that were scored");
    let written = std::fs::read_to_string(&events).unwrap();
    let first: Value = serde_json::from_str(written.lines().next().unwrap()).unwrap();
    assert_eq!(first["call"], "demo");
    assert!(written.lines().any(|line| line.contains("\"final\":false")), "partials are events too");
}
