//! The recorder: two channels in step, a file that is playable at any moment, disks that fail.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::Path;
use std::time::Duration;

use sotto_audio::{FRAME_SAMPLES, Frame, ring};
use sotto_call::{Millis, Party};
use sotto_media::Recorder;

fn frame(index: u64, level: f32) -> Frame {
    Frame { index, samples: [level; FRAME_SAMPLES] }
}

/// The two channels of a file, one value a frame.
fn channels(path: &Path) -> (Vec<i16>, Vec<i16>) {
    let mut reader = hound::WavReader::open(path).unwrap();
    let spec = reader.spec();
    assert_eq!((spec.channels, spec.sample_rate, spec.bits_per_sample), (2, 16_000, 16));
    let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    let frames = samples.chunks_exact(2 * FRAME_SAMPLES);
    assert!(frames.remainder().is_empty());
    frames
        .map(|frame| {
            assert!(frame.chunks(2).all(|pair| pair == &frame[..2]));
            (frame[0], frame[1])
        })
        .unzip()
}

#[tokio::test]
async fn both_parties_lie_in_step_agent_left_and_customer_right() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new").join("call.wav");
    let (mut customer, customer_reader) = ring(10_000);
    let (mut agent, agent_reader) = ring(10_000);
    let recorder =
        Recorder::start(path.clone(), [(Party::Customer, customer_reader), (Party::Agent, agent_reader)]);
    for index in 0..100 {
        agent.push(frame(index, 0.5));
    }
    // The customer joined later and was lost in between.
    for index in (40..60).chain(70..110) {
        customer.push(frame(index, -0.25));
    }
    drop((agent, customer));
    let info = recorder.finish().await;
    assert_eq!((info.path.as_path(), info.duration_ms, info.dropped_ms), (path.as_path(), 2_200, 0));
    let (left, right) = channels(&path);
    let part = |range: std::ops::Range<usize>, channel: &[i16], value: i16| {
        channel[range].iter().all(|x| *x == value)
    };
    assert_eq!(left.len(), 110);
    assert!(part(0..100, &left, 16_384) && part(100..110, &left, 0));
    assert!(part(0..40, &right, 0) && part(40..60, &right, -8_192) && part(60..70, &right, 0));
    assert!(part(70..110, &right, -8_192));
}

#[tokio::test]
async fn one_that_is_far_behind_or_far_ahead_stays_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("call.wav");
    let (mut agent, agent_reader) = ring(100_000);
    let (mut customer, customer_reader) = ring(100_000);
    for index in 0..150 {
        agent.push(frame(index, 0.5));
    }
    agent.push(frame(1_000, 0.5));
    let recorder = Recorder::start(path.clone(), [(Party::Agent, agent_reader)]);
    recorder.add(Party::Customer, customer_reader);
    customer.push(frame(1_000, 0.5));
    drop((agent, customer));
    let info = recorder.finish().await;
    let (left, right) = channels(&path);
    assert_eq!((left.len(), info.dropped_ms), (1_001, 0));
    assert!(left[..150].iter().all(|x| *x != 0) && left[150..1_000].iter().all(|x| *x == 0));
    assert_eq!((left[1_000], right[1_000]), (16_384, 16_384));
}

#[tokio::test]
async fn a_party_that_was_held_up_for_longer_than_frames_are_open_is_recorded_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("call.wav");
    let (mut agent, agent_reader) = ring(100_000);
    let (mut customer, customer_reader) = ring(100_000);
    (0..600).for_each(|index| agent.push(frame(index, 0.5)));
    let recorder = Recorder::start(path.clone(), [(Party::Agent, agent_reader)]);
    while recorder.stats().duration_ms < 12_000 {
        tokio::task::yield_now().await;
    }
    (0..600).for_each(|index| customer.push(frame(index, -0.25)));
    recorder.add(Party::Customer, customer_reader);
    drop((agent, customer));
    let info = recorder.finish().await;
    assert_eq!((info.duration_ms, info.dropped_ms), (12_000, 0));
    let (left, right) = channels(&path);
    assert!(left.iter().all(|x| *x == 16_384) && right.iter().all(|x| *x == -8_192));
}

#[tokio::test]
async fn what_piled_up_behind_a_slow_disk_is_written_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("call.wav");
    let mut readers = Vec::new();
    for party in [Party::Agent, Party::Customer] {
        let (mut writer, reader) = ring(30_000);
        (0..1_500).for_each(|index| writer.push(frame(index, 0.5)));
        readers.push((party, reader));
    }
    let info = Recorder::start(path.clone(), readers).finish().await;
    assert_eq!((info.duration_ms, info.dropped_ms), (30_000, 0));
    let (left, right) = channels(&path);
    assert!(left.iter().chain(&right).all(|x| *x == 16_384));
}

#[tokio::test]
async fn others_are_mixed_in_without_wrapping_round_or_clipping() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("call.wav");
    let mut writers = Vec::new();
    let mut readers = Vec::new();
    for party in [Party::Agent, Party::Customer, Party::Other] {
        let (mut writer, reader) = ring(1_000);
        writer.push(frame(0, 0.75));
        writers.push(writer);
        readers.push((party, reader));
    }
    let recorder = Recorder::start(path.clone(), readers);
    drop(writers);
    recorder.finish().await;
    let (left, right) = channels(&path);
    assert_eq!(left, [24_575]);
    assert!((32_000..i16::MAX).contains(&right[0]), "bent down, not cut off: {right:?}");
}

#[tokio::test]
async fn what_is_mixed_has_one_channel_and_no_file_before_there_is_something() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("call.supervisors.wav");
    let info = Recorder::start_mixed(path.clone()).finish().await;
    assert_eq!((info.duration_ms, info.errors, path.exists()), (0, 0, false));

    let recorder = Recorder::start_mixed(path.clone());
    for (first, level) in [(10_000, 0.125), (10_050, 0.5)] {
        let (mut writer, reader) = ring(10_000);
        recorder.add(Party::Other, reader);
        (first..first + 100).for_each(|index| writer.push(frame(index, level)));
    }
    let info = recorder.finish().await;
    assert_eq!((info.duration_ms, info.dropped_ms, info.errors), (203_000, 0, 0));
    let mut reader = hound::WavReader::open(&path).unwrap();
    assert_eq!((reader.spec().channels, reader.spec().sample_rate), (1, 16_000));
    let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    let values: Vec<i16> = samples.chunks_exact(FRAME_SAMPLES).map(|frame| frame[0]).collect();
    let part =
        |range: std::ops::Range<usize>, value: i16| values[range].iter().all(|x| x.abs_diff(value) <= 1);
    assert!(part(0..10_000, 0) && part(10_000..10_050, 4_096) && part(10_050..10_100, 20_480));
    assert!(part(10_100..10_150, 16_384) && values.len() == 10_150);
    // The silence before is not on the disk.
    use std::os::unix::fs::MetadataExt as _;
    assert!(std::fs::metadata(&path).unwrap().blocks() * 512 < 1_000_000);
}

#[tokio::test]
async fn a_copy_taken_at_any_moment_can_be_played() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("call.wav");
    let copy = folder.path().join("copy.wav");
    let (mut agent, reader) = ring(100_000);
    let recorder = Recorder::start(path.clone(), [(Party::Agent, reader)]);
    let mut next = 0;
    let mut longest = 0;
    // As after a kill: what is in the file is what there is.
    while longest < 200 {
        for _ in 0..10 {
            agent.push(frame(next, 0.5));
            next += 1;
        }
        tokio::task::yield_now().await;
        std::thread::sleep(Duration::from_millis(20));
        if std::fs::copy(&path, &copy).is_ok_and(|bytes| bytes >= 44) {
            let (left, _) = channels(&copy);
            assert!(left.len() >= longest && left.iter().all(|x| *x == 16_384));
            longest = left.len();
        }
    }
    drop(agent);
    assert_eq!(recorder.finish().await.duration_ms, next * 20);
}

#[tokio::test]
async fn audio_that_the_recorder_was_too_slow_for_is_silence_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("call.wav");
    let (mut agent, reader) = ring(200);
    for index in 0..15 {
        agent.push(frame(index, 0.5));
    }
    let recorder = Recorder::start(path.clone(), [(Party::Agent, reader)]);
    while agent.is_full() {
        tokio::task::yield_now().await;
    }
    agent.push(frame(15, 0.5));
    drop(agent);
    let info = recorder.finish().await;
    assert_eq!((info.duration_ms, info.dropped_ms), (320, 100));
    let (left, _) = channels(&path);
    assert!(left[..10].iter().all(|x| *x != 0) && left[10..15].iter().all(|x| *x == 0) && left[15] != 0);
}

#[tokio::test]
async fn a_disk_that_fails_is_counted_and_does_not_hold_up_the_call() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "in the way").unwrap();
    let path = folder.path().join("file").join("call.wav");
    let (mut agent, reader) = ring(1_000);
    let recorder = Recorder::start(path, [(Party::Agent, reader)]);
    agent.push(frame(0, 0.5));
    drop(agent);
    while !recorder.stats().is_failing {
        tokio::task::yield_now().await;
    }
    assert!(recorder.stats().errors > 0);
    let info = recorder.finish().await;
    assert_eq!((info.duration_ms, info.dropped_ms), (0, 20));
}

#[tokio::test]
async fn a_recording_goes_on_when_nobody_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("call.wav");
    let (mut agent, reader) = ring(10_000);
    drop(Recorder::start(path.clone(), [(Party::Agent, reader)]));
    for index in 0..100 {
        agent.push(frame(index, 0.5));
    }
    while agent.has_reader() && agent.is_full() {
        tokio::task::yield_now().await;
    }
    drop(agent);
    loop {
        if path.exists() && std::fs::metadata(&path).unwrap().len() == 44 + 100 * 1_280 {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(channels(&path).0.len(), 100);
}

/// The two channels of a file, sample by sample.
fn samples(path: &Path) -> (Vec<i16>, Vec<i16>) {
    let samples: Vec<i16> =
        hound::WavReader::open(path).unwrap().samples::<i16>().map(Result::unwrap).collect();
    samples.chunks_exact(2).map(|pair| (pair[0], pair[1])).unzip()
}

/// Where a channel is silent, in milliseconds of the call.
fn silent(channel: &[i16]) -> Vec<(usize, usize)> {
    let mut silent: Vec<(usize, usize)> = Vec::new();
    for (ms, samples) in channel.chunks_exact(16).enumerate() {
        if samples.iter().any(|sample| *sample != 0) {
            continue;
        }
        match silent.last_mut().filter(|(_, end)| *end == ms) {
            Some((_, end)) => *end = ms + 1,
            None => silent.push((ms, ms + 1)),
        }
    }
    silent
}

#[tokio::test]
async fn what_is_muted_is_silent_whether_it_is_in_the_file_or_still_comes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("call.wav");
    let (mut agent, agent_reader) = ring(100_000);
    let (mut customer, customer_reader) = ring(100_000);
    let (mut late, late_reader) = ring(100_000);
    (0..600).for_each(|index| agent.push(frame(index, 0.5)));
    (0..600).for_each(|index| customer.push(frame(index, -0.25)));
    let readers = [(Party::Agent, agent_reader), (Party::Customer, customer_reader)];
    let recorder = Recorder::start(path.clone(), readers);
    while recorder.stats().duration_ms < 12_000 {
        tokio::task::yield_now().await;
    }
    let muter = recorder.muter();
    let times = |start, end| Millis(start)..Millis(end);
    // In the file since long; in the file and open; not there yet, and never there.
    muter.mute(Party::Customer, times(1_005, 1_250));
    muter.mute(Party::Customer, times(11_990, 12_030));
    muter.mute(Party::Customer, times(50_000, 60_000));
    muter.mute(Party::Agent, times(0, 20));
    muter.mute(Party::Other, times(3_000, 4_000));
    (600..700).for_each(|index| agent.push(frame(index, 0.5)));
    (600..700).for_each(|index| customer.push(frame(index, -0.25)));
    while recorder.stats().duration_ms < 14_000 {
        tokio::task::yield_now().await;
    }
    // Whoever comes too late is mixed in, but not where it is to be silent.
    (40..70).for_each(|index| late.push(frame(index, -0.25)));
    recorder.add(Party::Customer, late_reader);
    drop((agent, customer, late));
    let info = recorder.finish().await;
    assert_eq!((info.duration_ms, info.dropped_ms, info.errors), (14_000, 0, 0));
    let (left, right) = samples(&path);
    assert_eq!(silent(&left), [(0, 20)]);
    assert_eq!(silent(&right), [(1_005, 1_250), (11_990, 12_030)]);
    // To the sample.
    assert!(right[1_005 * 16 - 1] != 0 && right[1_250 * 16] != 0);
}
