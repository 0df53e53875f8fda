//! Removing calls that are older than they may be, with their words and recordings; and moods, and questions that nothing
//! answers, which may not be kept for as long.

use std::collections::BTreeSet;
use std::path::{Component, Path};
use std::time::Duration;

use sotto_call::CallId;
use sotto_store::{Store, StoreError};

use crate::calls::supervisors_track;

/// Questions that somebody looked up and nothing answered: whoever asks by program may ask without end.
const MOST_LOOKED_UP: u32 = 10_000;
/// Calls looked at together.
const TOGETHER: u32 = 100;

/// Removes ended calls that began, and missed ones that came, more than `age` before `now_unix_ms`, recordings first: what is
/// left behind by an interruption is a call without a recording, which the next run removes. Says how many went.
///
/// # Errors
/// When the store refuses.
pub async fn remove_older(
    store: &Store,
    data: &Path,
    age: Duration,
    now_unix_ms: u64,
) -> Result<u64, StoreError> {
    let before = now_unix_ms.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
    let (mut removed, mut after) = (store.delete_missed(before).await?, None);
    loop {
        let calls = store.calls_older_than(before, after, TOGETHER).await?;
        // Those that cannot be removed are passed by, until the next run.
        let Some((last, _)) = calls.last() else { return Ok(removed) };
        after = Some(*last);
        removed += remove(store, data, &calls).await?;
    }
}

/// Removes ended calls, each with where its recording lies, recordings first. Says how many went; those whose recordings cannot
/// be removed stay, which is logged.
///
/// # Errors
/// When the store refuses.
pub async fn remove(
    store: &Store,
    data: &Path,
    calls: &[(CallId, Option<String>)],
) -> Result<u64, StoreError> {
    let mut gone = BTreeSet::new();
    for (id, recording) in calls {
        let beside = recording.as_deref().and_then(supervisors_track);
        // Its row is what remembers the files: it stays until they are gone.
        let mut is_gone = true;
        for name in recording.iter().chain(&beside) {
            if let Err(error) = remove_file(data, name).await {
                tracing::error!(call = %id, %error, "a recording cannot be removed");
                is_gone = false;
            }
        }
        if is_gone {
            gone.insert(*id);
        }
    }
    store.delete_calls(&gone).await
}

/// Removes what was read of customers' moods from ended calls that began more than `age` before `now_unix_ms`. Says of how many
/// calls.
///
/// # Errors
/// When the store refuses.
pub async fn forget_moods(store: &Store, age: Duration, now_unix_ms: u64) -> Result<u64, StoreError> {
    let before = now_unix_ms.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
    store.forget_moods(before).await
}

/// Removes questions that nothing answered and that were asked more than `age` before `now_unix_ms`, if there is such an age, and
/// of those that were looked up all but the newest 10,000. Says how many questions went.
///
/// # Errors
/// When the store refuses.
pub async fn forget_questions(
    store: &Store,
    age: Option<Duration>,
    now_unix_ms: u64,
) -> Result<u64, StoreError> {
    let millis = |age: Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    let before = age.map(|age| now_unix_ms.saturating_sub(millis(age)));
    store.forget_questions(before, MOST_LOOKED_UP).await
}

/// Removes a file below the data folder, if it is there.
async fn remove_file(data: &Path, name: &str) -> std::io::Result<()> {
    if !Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
        return Ok(());
    }
    match tokio::fs::remove_file(data.join(name)).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use sotto_call::{
        CallEnded, CallEvent, CallLog, CallStarted, CallState, EndReason, EventBody, Millis, Source,
    };
    use sotto_store::{CallRow, Closing, MissedCall};

    use super::*;

    /// A call with a recording of this name.
    async fn call(store: &Store, started_at_unix_ms: u64, name: &str, end: bool) -> CallId {
        let id = CallId::new();
        let started = CallStarted {
            version: 1,
            source: Source::Sip,
            started_at_unix_ms,
            external_id: name.to_owned(),
            participants: Vec::new(),
            language: None,
            bridged: false,
            parties_guessed: false,
            headers: Default::default(),
        };
        store.create_call(&CallRow::live(id, &started, Some(name.to_owned()))).await.unwrap();
        let mut log = CallLog::default();
        let ended = CallEnded { reason: EndReason::Hangup, duration_ms: Millis(5) };
        let events: Vec<CallEvent> = vec![
            log.append(Millis(0), EventBody::CallStarted(started)),
            log.append(Millis(5), EventBody::CallEnded(ended.clone())),
        ];
        if end {
            let closing = Closing::of(&CallState::of(&events), ended);
            store.end_call(id, &events, &closing).await.unwrap();
        }
        id
    }

    #[tokio::test]
    async fn a_recording_that_cannot_be_removed_keeps_its_own_call_alone() {
        let (store, folder) = sotto_store::testing::sqlite().await;
        // A folder is no file.
        std::fs::create_dir(folder.path().join("stuck.wav")).unwrap();
        let stuck = call(&store, 1_000, "stuck.wav", true).await;
        for _ in 0..TOGETHER {
            call(&store, 1_000, "none.wav", true).await;
        }
        for removed in [u64::from(TOGETHER), 0] {
            let swept = remove_older(&store, folder.path(), Duration::from_secs(5), 10_000).await.unwrap();
            assert_eq!(swept, removed);
        }
        assert!(store.call(stuck).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn old_calls_go_with_their_recordings() {
        let (store, folder) = sotto_store::testing::sqlite().await;
        let call = async |started_at_unix_ms, name: &str, end: bool| {
            std::fs::write(folder.path().join(name), "audio").unwrap();
            call(&store, started_at_unix_ms, name, end).await
        };
        let old = call(1_000, "old.wav", true).await;
        let supervisors = folder.path().join("old.supervisors.wav");
        std::fs::write(&supervisors, "audio").unwrap();
        let lost = call(1_000, "lost.wav", true).await;
        std::fs::remove_file(folder.path().join("lost.wav")).unwrap();
        let live = call(1_000, "live.wav", false).await;
        let new = call(9_000, "new.wav", true).await;
        for at_unix_ms in [1_000, 9_000] {
            let (id, called) = (uuid::Uuid::now_v7(), "100".to_owned());
            let missed = MissedCall { id, at_unix_ms, called, aor: None, name: None, waited_ms: 0 };
            store.add_missed(&missed).await.unwrap();
        }
        let removed = remove_older(&store, folder.path(), Duration::from_secs(5), 10_000).await.unwrap();
        assert_eq!((removed, store.missed(None, 9).await.unwrap().len()), (3, 1));
        assert!(!supervisors.exists());
        for (id, name, kept) in [
            (old, "old.wav", false),
            (lost, "lost.wav", false),
            (live, "live.wav", true),
            (new, "new.wav", true),
        ] {
            assert_eq!(store.call(id).await.unwrap().is_some(), kept, "{name}");
            assert_eq!(folder.path().join(name).exists(), kept, "{name}");
        }
    }
}
