//! kill -9 in the middle of a call: what was published stays, up to the last quarter second.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;
use sotto_tests::audio::Audio;
use sotto_tests::script::Script;

use super::Figure;
use super::setup::{Bench, place};
use crate::run::note;

pub fn measure(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let times = if bench.quick { 2 } else { 20 };
    let script = Script::support()?;
    let audio = Audio::read(&script.audio)?;
    let folder = tempfile::tempdir()?;
    let (mut interrupted, mut playable, mut worst_lost) = (0, 0, 0);
    let mut server = bench.server("tiny.en")?;
    for time in 0..times {
        let placed = place(&server, &audio, &format!("{}", 40_000_000 + time))?;
        let mut live = server.api.live(&placed.id, Some(0))?;
        // A different moment each time: in a word, in a pause, while a final is written.
        let moment = Instant::now() + Duration::from_millis(6000 + 370 * time);
        let mut seen = Vec::new();
        while let Some(left) = moment.checked_duration_since(Instant::now()) {
            if let Some(message) = live.next(left)?
                && message["type"] == "event"
            {
                seen.push((Instant::now(), message["event"].clone()));
            }
        }
        // What nobody was shown cannot be missed.
        let is_word = |(_, event): &(Instant, Value)| event["kind"] == "utterance";
        ensure!(seen.iter().any(is_word), "nothing was heard before the kill");
        let killed = Instant::now();
        server.kill()?;
        placed.sipp.kill()?;
        server.resume()?;

        let events = server.api.ended(&placed.id, Duration::from_secs(30))?;
        let ended = events.last().is_some_and(|e| e["kind"] == "call_ended" && e["reason"] == "interrupted");
        interrupted += u32::from(ended);
        // The oldest event that was shown to somebody and is not there any more: how old was it at the kill?
        let lost = seen.iter().find(|(_, event)| !events.contains(event));
        let lost_ms = lost.map_or(0, |(at, _)| killed.duration_since(*at).as_millis() as u64);
        worst_lost = worst_lost.max(lost_ms);

        let file = folder.path().join("recording.wav");
        let recording = server.api.recording(&placed.id, &file).and_then(|()| Audio::read(&file));
        let good = recording.is_ok_and(|r| {
            let loud = |channel, from, to| r.loudness(channel, from, to) > 0.01;
            r.channels.len() == 2 && r.duration_ms() > 5000 && loud(0, 1000, 5000)
        });
        playable += u32::from(good);
        if !ended || !good || lost_ms > 250 {
            note(&format!(
                "kill {time}: closed {ended}, playable {good}, events lost from {lost_ms} ms before"
            ));
        }
    }
    let of = format!("of {times}");
    sink(Figure::at_least("kill.closed_as_interrupted", f64::from(interrupted), &of, times as f64));
    sink(Figure::at_most("kill.worst_loss_of_events", worst_lost as f64, "ms", 250.0));
    sink(Figure::at_least("kill.recording_playable", f64::from(playable), &of, times as f64));
    Ok(())
}
