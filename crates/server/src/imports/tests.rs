use std::collections::BTreeMap;

use futures::stream;
use sotto_call::Millis;
use sotto_store::{CallFilter, CallRow, EventWriter, WriterLimits, recover, testing};

use super::*;
use crate::hub::{Hub, HubLimits};
use crate::redaction::RedactionConfig;

const SOON: JobLimits = JobLimits {
    at_once: 1,
    tries: 3,
    patience: Duration::from_secs(60),
    pause: Duration::from_millis(1),
    longest_pause: Duration::from_millis(2),
    every: Duration::from_millis(5),
};

/// A second of a recording at 8 kHz, whose channels are as loud as this.
fn wav(amplitudes: &[f32]) -> Vec<u8> {
    let spec = hound::WavSpec {
        channels: amplitudes.len() as u16,
        sample_rate: 8_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
    for n in 0..8_000 {
        for amplitude in amplitudes {
            writer.write_sample(((n as f32 / 9.0).sin() * amplitude * 30_000.0) as i16).unwrap();
        }
    }
    writer.finalize().unwrap();
    bytes.into_inner()
}

fn request(name: &str) -> ImportRequest {
    ImportRequest {
        audio: Audio::Upload,
        name: name.to_owned(),
        external_id: "pbx-1".to_owned(),
        started_at_unix_ms: 1_600_000_000_000,
        agent: Some("mina".to_owned()),
        customer: Phone::parse("+989121234567", None),
        outbound: false,
        alone: false,
        agent_channel: Side::Left,
        language: Some("en".to_owned()),
        consent: None,
    }
}

struct Bench {
    imports: Imports,
    store: Store,
    calls: Calls,
    figures: Arc<Figures>,
    folder: tempfile::TempDir,
}

impl Bench {
    async fn new(config: ImportsConfig) -> Self {
        let (store, folder) = testing::sqlite().await;
        let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
        let hub = Hub::new(store.clone(), writer, HubLimits::default());
        let calls = Calls::new(hub, None, None, Arc::default(), None, RedactionConfig::default());
        let imports = Imports::new(config, store.clone(), folder.path().to_owned());
        imports.clean().await.unwrap();
        Self { imports, store, calls, figures: Arc::default(), folder }
    }

    async fn upload(&self, bytes: &[u8]) -> Result<Uuid, ImportError> {
        let id = Uuid::now_v7();
        let chunks = bytes.chunks(1_000).map(|chunk| Ok::<_, ()>(Bytes::copy_from_slice(chunk)));
        self.imports.receive(id, stream::iter(chunks.collect::<Vec<_>>())).await?;
        Ok(id)
    }

    async fn add(&self, key: &str, bytes: &[u8], request: &ImportRequest) -> Result<ImportRow, ImportError> {
        let id = self.upload(bytes).await?;
        self.imports.add(id, key.to_owned(), request, "sara", 1_000).await
    }

    /// Listens until there are so many recordings in each state.
    async fn listen(&self, counts: &[(JobState, u64)]) {
        let stop = CancellationToken::new();
        let (calls, figures) = (self.calls.clone(), self.figures.clone());
        let run = tokio::spawn(self.imports.clone().run(calls, || true, SOON, figures, stop.clone()));
        let wanted: BTreeMap<JobState, u64> = counts.iter().copied().collect();
        let over = async {
            while self.store.import_counts().await.unwrap() != wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), over).await.unwrap();
        stop.cancel();
        run.await.unwrap();
    }

    async fn all(&self) -> Vec<CallRow> {
        self.store.calls(CallFilter { state: None, before: None, limit: 9 }).await.unwrap()
    }

    /// Uploads that are there.
    fn files(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("imports")).unwrap().count()
    }
}

#[tokio::test]
async fn an_uploaded_recording_becomes_the_call_that_it_was() {
    let bench = Bench::new(ImportsConfig::default()).await;
    let row = bench.add("a", &wav(&[0.5, 0.5]), &request("call.wav")).await.unwrap();
    let again = bench.add("a", &wav(&[0.5, 0.5]), &request("call.wav")).await.unwrap();
    assert_eq!((again.import.id, bench.files()), (row.import.id, 1), "it was sent before");
    let other = ImportRequest { customer: None, ..request("call.wav") };
    assert!(matches!(bench.add("a", &wav(&[0.5]), &other).await, Err(ImportError::KeyTaken)));
    bench.listen(&[(JobState::Done, 1)]).await;
    let all = bench.all().await;
    let [call] = &all[..] else { panic!("one call") };
    assert_eq!((call.id, call.started_at_unix_ms), (row.import.call, 1_600_000_000_000));
    assert_eq!((call.ended, call.duration_ms), (Some(EndReason::Hangup), Some(Millis(1_000))));
    assert_eq!((call.source, call.external_id.as_str()), (Source::File, "pbx-1"));
    let people: Vec<_> =
        call.participants.iter().map(|one| (one.party, one.name.as_deref(), one.aor.as_deref())).collect();
    let customer = (Party::Customer, None, Some("tel:+989121234567"));
    assert_eq!(people, [(Party::Agent, Some("mina"), None), customer]);
    assert!(bench.store.has_jobs(call.id).await.unwrap(), "it comes to something as any call does");
    assert!(!bench.store.state(call.id).await.unwrap().started.unwrap().parties_guessed);
    assert_eq!((bench.files(), bench.figures.done.load(Ordering::Relaxed)), (0, 1));
}

#[tokio::test]
async fn a_recording_that_a_kill_interrupted_becomes_one_call_all_the_same() {
    let bench = Bench::new(ImportsConfig::default()).await;
    let row = bench.add("a", &wav(&[0.5, 0.5]), &request("call.wav")).await.unwrap();
    bench.store.claim_import(2_000).await.unwrap().unwrap();
    let began = sotto_call::CallStarted {
        version: sotto_call::FORMAT_VERSION,
        source: Source::File,
        started_at_unix_ms: 1_600_000_000_000,
        external_id: "half".to_owned(),
        participants: Vec::new(),
        language: None,
        bridged: false,
        parties_guessed: false,
        headers: BTreeMap::new(),
    };
    bench.store.create_call(&CallRow::live(row.import.call, &began, None)).await.unwrap();
    recover(&bench.store, |_| None).await.unwrap();
    bench.listen(&[(JobState::Done, 1)]).await;
    let all = bench.all().await;
    let [call] = &all[..] else { panic!("one call") };
    assert_eq!(
        (call.id, call.external_id.as_str(), call.ended),
        (row.import.call, "pbx-1", Some(EndReason::Hangup))
    );

    // Killed when the call was stored, and it was not told that it is.
    let row = bench.add("b", &wav(&[0.5, 0.5]), &request("call.wav")).await.unwrap();
    bench.store.claim_import(u64::MAX >> 1).await.unwrap().unwrap();
    bench.store.create_call(&CallRow::live(row.import.call, &began, None)).await.unwrap();
    let ended = sotto_call::CallEnded { reason: EndReason::Hangup, duration_ms: Millis(7) };
    let state = sotto_call::CallState::default();
    bench.store.end_call(row.import.call, &[], &sotto_store::Closing::of(&state, ended)).await.unwrap();
    bench.listen(&[(JobState::Done, 2)]).await;
    let call = bench.store.call(row.import.call).await.unwrap().unwrap();
    assert_eq!(
        (call.external_id.as_str(), call.duration_ms),
        ("half", Some(Millis(7))),
        "it is not listened to again"
    );
}

#[tokio::test]
async fn what_cannot_be_listened_to_waits_for_a_person_and_leaves_no_call() {
    let bench = Bench::new(ImportsConfig::default()).await;
    bench.add("a", b"This is a letter.", &request("letter.wav")).await.unwrap();
    bench.add("b", &wav(&[0.1, 0.1, 0.1]), &request("three.wav")).await.unwrap();
    bench.listen(&[(JobState::Dead, 2)]).await;
    assert_eq!(bench.all().await, []);
    let rows = bench.store.imports(Some(JobState::Dead), 9).await.unwrap();
    assert!(rows.iter().all(|row| row.tries == 1), "it will not become audio: {rows:?}");
    assert!(rows.iter().any(|row| row.error.as_ref().unwrap().contains("3 channels")), "{rows:?}");
    assert_eq!(bench.files(), 2, "somebody may want it done again");
    for row in rows {
        assert!(bench.imports.remove(row.import.id).await.unwrap());
        assert!(!bench.imports.remove(row.import.id).await.unwrap());
    }
    assert_eq!((bench.files(), bench.figures.dead.load(Ordering::Relaxed)), (0, 2));
}

#[tokio::test]
async fn whoever_sends_a_recording_again_is_told_what_became_of_it_also_when_no_more_are_taken() {
    let bench = Bench::new(ImportsConfig { max_waiting: 1, ..ImportsConfig::default() }).await;
    let named = ImportRequest { audio: Audio::File("a.wav".to_owned()), ..request("a.wav") };
    let send =
        async |key: &str| bench.imports.add(Uuid::now_v7(), key.to_owned(), &named, "sara", 1_000).await;
    let first = send("a").await.unwrap();
    assert!(matches!(send("b").await, Err(ImportError::Full)));
    assert_eq!(send("a").await.unwrap(), first);
}

/// Each keeps its file: whoever sends what cannot be listened to filled the disk.
#[tokio::test]
async fn recordings_that_were_given_up_count_among_those_that_may_wait() {
    let bench = Bench::new(ImportsConfig { max_waiting: 1, ..ImportsConfig::default() }).await;
    let row = bench.add("a", b"This is a letter.", &request("letter.wav")).await.unwrap();
    bench.listen(&[(JobState::Dead, 1)]).await;
    assert!(matches!(bench.add("b", b"Another.", &request("letter.wav")).await, Err(ImportError::Full)));
    assert_eq!(bench.files(), 1);
    assert!(bench.imports.remove(row.import.id).await.unwrap());
    bench.add("b", b"Another.", &request("letter.wav")).await.unwrap();
}

#[tokio::test]
async fn what_was_given_up_is_kept_no_longer_than_its_call_would_be() {
    let bench = Bench::new(ImportsConfig::default()).await;
    bench.add("a", b"This is a letter.", &request("letter.wav")).await.unwrap();
    let newer = ImportRequest { started_at_unix_ms: 1_600_000_005_000, ..request("letter.wav") };
    bench.add("b", b"This is a letter.", &newer).await.unwrap();
    bench.listen(&[(JobState::Dead, 2)]).await;
    bench.add("c", b"This one waits.", &request("letter.wav")).await.unwrap();
    let sweep = async |now| bench.imports.remove_older(Duration::from_secs(5), now).await.unwrap();
    assert_eq!((sweep(1_600_000_005_000).await, bench.files()), (0, 3));
    assert_eq!((sweep(1_600_000_005_001).await, bench.files()), (1, 2));
    let counts = bench.store.import_counts().await.unwrap();
    assert_eq!(counts, BTreeMap::from([(JobState::Waiting, 1), (JobState::Dead, 1)]));
}

#[tokio::test]
async fn a_recording_that_takes_for_ever_to_read_does_not_keep_sotto_from_stopping() {
    let bench = Bench::new(ImportsConfig::default()).await;
    let row = bench.add("a", b"RIFF", &request("a.wav")).await.unwrap();
    // Whoever opens it waits for somebody who writes.
    let file = bench.folder.path().join("imports").join(row.import.id.to_string());
    std::fs::remove_file(&file).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
    let stop = CancellationToken::new();
    let (calls, figures) = (bench.calls.clone(), bench.figures.clone());
    let run = tokio::spawn(bench.imports.clone().run(calls, || true, SOON, figures, stop.clone()));
    while bench.store.import_counts().await.unwrap() != BTreeMap::from([(JobState::Running, 1)]) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(60), run).await.unwrap().unwrap();
    assert_eq!(bench.store.import_counts().await.unwrap(), BTreeMap::from([(JobState::Waiting, 1)]));
}

#[tokio::test]
async fn uploads_have_limits_and_leave_nothing_when_they_are_refused() {
    let bench = Bench::new(ImportsConfig { max_mb: 1, max_waiting: 1, ..ImportsConfig::default() }).await;
    assert!(matches!(bench.upload(&vec![0; (1 << 20) + 1]).await, Err(ImportError::TooLarge(1))));
    assert!(matches!(bench.upload(&[]).await, Err(ImportError::Empty)));
    let cut = stream::iter([Ok(Bytes::from_static(b"RIFF")), Err("gone")]);
    assert!(matches!(bench.imports.receive(Uuid::now_v7(), cut).await, Err(ImportError::Cut)));
    assert_eq!(bench.files(), 0);
    bench.add("a", b"RIFF", &request("a.wav")).await.unwrap();
    assert!(matches!(bench.add("b", b"RIFF", &request("b.wav")).await, Err(ImportError::Full)));
    // What a kill has left.
    std::fs::write(bench.folder.path().join("imports/.part-x"), "RI").unwrap();
    std::fs::write(bench.folder.path().join("imports").join(Uuid::now_v7().to_string()), "RIFF").unwrap();
    bench.imports.clean().await.unwrap();
    assert_eq!(bench.files(), 1, "one of them waits");
}

#[tokio::test]
async fn no_name_and_no_link_leads_out_of_the_folder() {
    let bench = Bench::new(ImportsConfig::default()).await;
    let folder = bench.folder.path().join("recordings/elsewhere");
    std::fs::create_dir_all(folder.join("2026")).unwrap();
    std::fs::write(folder.join("2026/a.wav"), wav(&[0.5])).unwrap();
    std::fs::write(bench.folder.path().join("recordings/theirs.wav"), wav(&[0.5])).unwrap();
    std::os::unix::fs::symlink("../theirs.wav", folder.join("link.wav")).unwrap();
    let file = bench.imports.named("2026/a.wav").unwrap();
    assert_eq!(file, Audio::File("2026/a.wav".to_owned()));
    let absolute = folder.join("2026/a.wav");
    for name in [
        "../theirs.wav",
        "2026/../../theirs.wav",
        "link.wav",
        "2026",
        "",
        "b.wav",
        absolute.to_str().unwrap(),
    ] {
        assert!(matches!(bench.imports.named(name), Err(ImportError::NoFile)), "{name}");
    }
    assert!(matches!(bench.imports.named("https://pbx.example/a.wav"), Err(ImportError::NotAllowed(_))));
    assert!(matches!(bench.imports.named("file:///etc/passwd"), Err(ImportError::NotAllowed(_))));
    let named = ImportRequest { audio: file, alone: true, ..request("a.wav") };
    bench.imports.add(Uuid::now_v7(), "a".to_owned(), &named, "sara", 1).await.unwrap();
    bench.listen(&[(JobState::Done, 1)]).await;
    assert_eq!(bench.all().await[0].participants.len(), 1, "a note is the customer's alone");
    assert!(absolute.exists(), "it is not ours to remove");
}

#[test]
fn each_leg_has_its_channel_or_its_turns() {
    let [left, right] = [[0.25; FRAME_SAMPLES], [0.75; FRAME_SAMPLES]];
    let silence = [0.0; FRAME_SAMPLES];
    let plan = |route| Plan { parties: BOTH, route };
    for (swapped, agent, customer) in [(false, left, right), (true, right, left)] {
        let plan = plan(Route::Channels { swapped });
        assert_eq!([0, 1].map(|leg| plan.of_leg(leg, 0, &[left, right])), [agent, customer]);
    }
    let note = plan(Route::Together);
    assert_eq!(note.of_leg(0, 0, &[left, right]), [0.5; FRAME_SAMPLES]);
    for agent_first in [true, false] {
        let turns = vec![(0, Speaker::First), (3, Speaker::Second)];
        let plan = plan(Route::Turns { turns, agent_first });
        for (index, first_speaks) in [(0, true), (2, true), (3, false), (9, false)] {
            let legs = [0, 1].map(|leg| plan.of_leg(leg, index, &[left]));
            let expected = if first_speaks == agent_first { [left, silence] } else { [silence, left] };
            assert_eq!(legs, expected, "{index}");
        }
    }
}

#[test]
fn people_know_a_recording_by_its_file_and_not_by_what_else_is_in_an_address() {
    assert_eq!(name_of("https://pbx.example/2026/a%20b.wav?token=secret#x"), "a%20b.wav");
    assert_eq!(name_of("2026/a.wav"), "a.wav");
    assert_eq!(name_of("C:\\calls\\a.wav"), "a.wav");
    assert_eq!(extension("a.WAV"), "wav");
    assert_eq!(extension("a"), "wav");
    assert_eq!(extension("a.m4a/../x"), "wav");
    assert!(began_at(1_000) < began_at(2_000), "ids sort by time");
}
