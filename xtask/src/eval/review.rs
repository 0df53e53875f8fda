//! What remains of calls, by the code that reads their logs: recorded calls are played through the live path, and their
//! insights are held against what was said and what is known of them.

use std::ffi::OsStr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use sotto_tests::audio::Audio;
use sotto_tests::server::Sotto;

use super::setup::{Bench, files, percentile, place, value_at};
use super::{Figure, concurrency, run_example};
use crate::run::{note, root};

/// Calls that end together, how long they are, and within how many milliseconds of the hang-up it has to be known what they
/// came to.
const TOGETHER: usize = 10;
const TALK_MS: u64 = 30_000;
const KNOWN_WITHIN_MS: f64 = 3_000.0;
/// How long that may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(120);
/// Recordings that are posted together, how much of them that is, and how long it may take until all are calls.
const POSTED: usize = 50;
const RECORDED_MS: u64 = 60_000;
const LISTENED_WITHIN: Duration = Duration::from_secs(3_600);
/// Calls that go on meanwhile, how much later their words may be, and how much more memory both may take than these alone.
const LIVE: usize = 2;
const LATER: f64 = 1.1;
const MORE_MB: f64 = 300.0;

/// From the hang-up until everybody can read what the call came to.
pub fn known(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let server = bench.server("tiny.en")?;
    let recorded = bench.recorded_calls()?;
    let (server, recorded) = (&server, &recorded);
    let mut waited = std::thread::scope(|scope| {
        let call = |n: usize| {
            scope.spawn(move || -> Result<i64> {
                let audio = &recorded.get(n % recorded.len()).context("no calls")?.audio;
                let placed = place(server, &audio.cut(0, TALK_MS), &format!("{}", 40_000_000 + n))?;
                placed.sipp.finish()?;
                until_known(server, &placed.id)
            })
        };
        let threads: Vec<_> = (0..TOGETHER).map(call).collect();
        let waited = threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("a call failed"))?);
        waited.collect::<Result<Vec<i64>>>()
    })?;
    waited.sort_unstable();
    sink(Figure::reported("known.after_ms.p50", value_at(&waited, 50), "ms"));
    sink(Figure::at_most("known.after_ms.p95", value_at(&waited, 95), "ms", KNOWN_WITHIN_MS));
    Ok(())
}

/// How many milliseconds it takes from now until it is known what a call came to.
pub(super) fn until_known(server: &Sotto, id: &str) -> Result<i64> {
    let begun = Instant::now();
    while server.api.client.get(&format!("/api/calls/{id}/insight"))?.status != 200 {
        ensure!(begun.elapsed() < PATIENCE, "nobody knows what {id} came to");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(begun.elapsed().as_millis() as i64)
}

/// Recordings that are posted together become calls, and live calls do not notice.
pub fn behind(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let (posted, rounds) = if bench.quick { (5, 1) } else { (POSTED, 3) };
    let recorded = bench.recorded_calls()?;
    let server = bench.server("tiny.en")?;
    let turn_final_ms = || -> Result<f64> {
        let calls = concurrency::load(&server, &recorded, LIVE, rounds)?;
        Ok(percentile(&concurrency::score(bench, &calls)?, "turn_final_ms", "p95"))
    };
    let alone = turn_final_ms()?;
    sink(Figure::reported("behind.alone.turn_final_ms.p95", alone, "ms"));
    let peak_mb = most_memory_mb(server.pid())?;

    let folder = tempfile::tempdir()?;
    let mut files = Vec::new();
    for call in &recorded {
        let path = folder.path().join(format!("{}.wav", call.id));
        call.audio.cut(0, RECORDED_MS).write_wav(&path)?;
        files.push(std::fs::read(&path)?);
    }
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let (client, files) = (&server.api.client, &files);
        let post = |n: usize| {
            scope.spawn(move || -> Result<()> {
                let bytes = files.get(n % files.len().max(1)).context("no calls")?;
                let path = format!("/api/recordings?name=call-{n}.wav&key={n}");
                let answer = client.request("POST", &path, &[("Content-Type", "audio/wav")], bytes)?;
                ensure!(answer.status == 202, "recording {n} is refused: {}", answer.text());
                Ok(())
            })
        };
        let threads: Vec<_> = (0..posted).map(post).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a post failed"))?)
    })?;
    let states = || server.api.client.json("/api/recordings");
    let count = |states: &Value, state: &str| states[state].as_u64().unwrap_or_default() as f64;
    let now = states()?;
    let seen: f64 = ["waiting", "running", "done"].iter().map(|state| count(&now, state)).sum();
    sink(Figure::at_least("behind.queue_seen", seen, "recordings", posted as f64));
    let most = (alone * LATER).round();
    sink(Figure::at_most("behind.turn_final_ms.p95", turn_final_ms()?, "ms", most));
    sink(Figure::reported("behind.done_meanwhile", count(&states()?, "done"), "recordings"));
    let all = loop {
        let now = states()?;
        if count(&now, "waiting") + count(&now, "running") == 0.0 {
            break now;
        }
        ensure!(begun.elapsed() < LISTENED_WITHIN, "recordings still wait: {now}");
        std::thread::sleep(Duration::from_secs(1));
    };
    sink(Figure::at_least("behind.done", count(&all, "done"), "recordings", posted as f64));
    let audio_s = posted as f64 * RECORDED_MS as f64 / 1_000.0;
    sink(Figure::reported("behind.speed", audio_s / begun.elapsed().as_secs_f64(), "times real time"));
    let more_mb = most_memory_mb(server.pid())? - peak_mb;
    sink(Figure::at_most("behind.memory", more_mb, "MB more", MORE_MB));
    Ok(())
}

/// The most memory that a process had at a time so far, in megabytes.
fn most_memory_mb(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kilobytes: f64 = peak.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes / 1_024.0)
}

/// Insights of recorded calls. What metadata say that was named counts where the transcript holds it.
pub fn insights(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let logs = logs(bench)?;
    run_example("sotto-review", "measure_review", &[logs.path().as_os_str()], sink)
}

/// Summaries of the same calls by a language model.
pub fn model(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let logs = logs(bench)?;
    let (_llama, url, model) = bench.language_model()?;
    let arguments: [&OsStr; 3] = [url.as_ref(), model.as_ref(), logs.path().as_os_str()];
    run_example("sotto-server", "measure_writer", &arguments, sink)
}

/// The logs of recorded calls, played through the live path, and beside each what its metadata say that was named.
fn logs(bench: &Bench) -> Result<tempfile::TempDir> {
    let logs = tempfile::tempdir()?;
    let set = root().join("insight-sets/harper.toml");
    let settings = [format!("insight.intents={}", set.display())];
    let mut calls = Vec::new();
    for file in files(&bench.calls.join("stereo"), "flac")? {
        let id = file.file_stem().and_then(|stem| stem.to_str()).context("file name")?.to_owned();
        let metadata = bench.data.join("calls-harper/metadata").join(format!("{id}.json"));
        let text = std::fs::read_to_string(&metadata).with_context(|| metadata.display().to_string())?;
        let expected = expected(&serde_json::from_str(&text)?);
        std::fs::write(logs.path().join(format!("{id}.json")), json!(expected).to_string())?;
        calls.push((id, file));
    }
    if !bench.quick {
        let name = "Auto_Repairs_40";
        let side = |side: &str| Audio::read(&bench.data.join(format!("calls-aws/{name}_{side}.wav")));
        let file = logs.path().join(format!("{name}.wav"));
        together(side("agent")?, side("caller")?)?.write_wav(&file)?;
        calls.push((name.to_owned(), file));
    }
    for (id, file) in calls {
        let events = bench.replay_with("max", &settings, "base", "en", &file)?;
        let lines: Vec<String> = events.iter().map(Value::to_string).collect();
        std::fs::write(logs.path().join(format!("{id}.ndjson")), lines.join("\n"))?;
        note(&format!("{id}: {} events", events.len()));
    }
    Ok(logs)
}

/// The first channels of two recordings as one of two channels, as long as the longer one.
fn together(left: Audio, right: Audio) -> Result<Audio> {
    ensure!(left.rate == right.rate, "the sides of a call have different rates");
    let rate = left.rate;
    let first = |audio: Audio| audio.channels.into_iter().next().unwrap_or_default();
    let mut channels = vec![first(left), first(right)];
    let longest = channels.iter().map(Vec::len).max().unwrap_or_default();
    channels.iter_mut().for_each(|channel| channel.resize(longest, 0));
    Ok(Audio { rate, channels })
}

/// What a call's metadata say that somebody may have named: the two names, an amount, times of day.
fn expected(metadata: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    let names = [
        &metadata["agent"]["metadata"]["agent_name"],
        &metadata["caller"]["metadata"]["first and last name"],
    ];
    for name in names.into_iter().filter_map(Value::as_str) {
        all.push(json!({ "kind": "person", "value": name }));
    }
    let task = &metadata["tasks"][0];
    for amount in ["transfer amount", "money amount", "account balance"] {
        if let Some(amount) = task[amount].as_f64() {
            all.push(json!({ "kind": "money", "value": format!("{amount} USD") }));
        }
    }
    let hours = task["branch hours"].as_str().unwrap_or_default().split(" to ");
    all.extend(hours.filter_map(time).map(|time| json!({ "kind": "date_time", "value": time })));
    all
}

/// "5:00 pm" as `T17:00`.
fn time(said: &str) -> Option<String> {
    let (clock, half) = said.split_once(' ')?;
    let (hour, minute) = clock.split_once(':')?;
    let hour = hour.parse::<u8>().ok().filter(|hour| (1..=12).contains(hour))? % 12;
    Some(format!("T{:02}:{minute}", if half == "pm" { hour + 12 } else { hour }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_say_what_may_have_been_named() {
        let metadata = json!({
            "agent": { "metadata": { "agent_name": "Linda" } },
            "caller": { "metadata": { "first and last name": "Robert Miller" } },
            "tasks": [{ "transfer amount": 135, "branch hours": "8:30 am to 5:00 pm" }],
        });
        let values: Vec<String> =
            expected(&metadata).iter().map(|one| one["value"].as_str().unwrap().to_owned()).collect();
        assert_eq!(values, ["Linda", "Robert Miller", "135 USD", "T08:30", "T17:00"]);
        assert_eq!(expected(&json!({})), Vec::<Value>::new());
        assert_eq!(time("12:15 pm").unwrap(), "T12:15");
    }

    #[test]
    fn two_sides_are_as_long_as_the_longer_one() {
        let side = |samples: &[i16]| Audio { rate: 8_000, channels: vec![samples.to_vec()] };
        let both = together(side(&[1, 2, 3]), side(&[4])).unwrap();
        assert_eq!(both.channels, [vec![1, 2, 3], vec![4, 0, 0]]);
    }
}
