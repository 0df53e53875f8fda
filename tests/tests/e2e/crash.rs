//! Killed or stopped in the middle of a call: what was heard stays.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use serde_json::Value;
use sotto_tests::audio::Audio;
use sotto_tests::server::Sotto;
use sotto_tests::sipp::Sipp;

use crate::support::{PATIENCE, assert_ordered, assert_private, excerpt, until};

/// Follows a live call until something final was said and a little more; when each event came.
fn follow(sotto: &Sotto, id: &str) -> Vec<(Instant, Value)> {
    let mut live = sotto.api.live(id, Some(0)).unwrap();
    let mut seen = Vec::new();
    let mut finals = 0;
    while finals < 1 || seen.len() < 8 {
        let message = live.next(PATIENCE).unwrap().expect("events come");
        if message["type"] == "event" {
            finals += usize::from(message["event"]["final"] == true);
            seen.push((Instant::now(), message["event"].clone()));
        }
    }
    seen
}

#[test]
fn kill_9_loses_at_most_a_quarter_of_a_second() {
    let mut sotto = Sotto::start().unwrap();
    for time in 0..3 {
        let running = Sipp::siprec(sotto.sip).call(&excerpt().1).unwrap();
        let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
        let seen = follow(&sotto, &id);
        let killed = Instant::now();
        sotto.kill().unwrap();
        running.kill().unwrap();
        sotto.resume().unwrap();

        let events = sotto.api.ended(&id, PATIENCE).unwrap();
        assert_ordered(&events);
        assert_eq!(events[events.len() - 1]["reason"], "interrupted");
        for (at, event) in &seen {
            let age = killed.duration_since(*at);
            assert!(age < Duration::from_millis(250) || events.contains(event), "{age:?} old, lost: {event}");
        }
        // What is done after a call is done after one that was interrupted as well.
        until("it is known what the call came to", || {
            let insight = sotto.api.client.get(&format!("/api/calls/{id}/insight")).unwrap();
            insight.status == 200
        });
        let summary = sotto.api.calls("ended").unwrap();
        assert_eq!((summary.len(), &summary[0]["ended"]), (time + 1, &Value::from("interrupted")));

        let file = sotto.data().join("check.wav");
        sotto.api.recording(&id, &file).unwrap();
        let audio = Audio::read(&file).unwrap();
        assert_eq!(audio.channels.len(), 2);
        let last_heard = seen.iter().filter_map(|(_, e)| e["end_ms"].as_u64()).max().unwrap();
        assert!(
            audio.duration_ms() + 500 > last_heard,
            "{} ms recorded, {last_heard} ms heard",
            audio.duration_ms()
        );
        assert!(audio.loudness(0, 1500, 5000) > 0.02, "the agent is on it");
    }
}

#[test]
fn an_orderly_stop_hangs_up_and_keeps_everything() {
    let mut sotto = Sotto::start().unwrap();
    let running = Sipp::siprec(sotto.sip).call(&excerpt().1).unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    let seen = follow(&sotto, &id);
    assert!(sotto.stop().unwrap().success());
    let error = running.finish().unwrap_err().to_string();
    assert!(error.contains("BYE"), "the other side is told: {error}");
    // As an earlier version left them.
    let data = sotto.data();
    for (name, mode) in [("", 0o755), ("recordings", 0o755), ("sotto.db", 0o644)] {
        std::fs::set_permissions(data.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    sotto.resume().unwrap();
    assert_private(&data);
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    assert_eq!(events[events.len() - 1]["reason"], "shutdown");
    for (_, event) in &seen {
        assert!(events.contains(event), "lost: {event}");
    }
}
