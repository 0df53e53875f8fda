//! Recordings made elsewhere: each becomes a call, by the live path, behind the calls that go on.
//!
//! A recording is uploaded, lies on a host that is allowed, or in a folder that is. What is known of its call is queued with it,
//! and one task listens to one recording after the other. Whatever ends that, a kill included, the recording is listened to
//! once more and becomes the same call, whose id is given out when it is queued; of an earlier try nothing stays. What fails is
//! tried again later and later, what cannot be listened to at all waits for a person at once.

mod fetch;
mod turns;

use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sotto_audio::{FRAME_MS, FRAME_SAMPLES, Frame};
use sotto_call::{CallId, EndReason, EventBody, LegStarted, Participant, Party, Source};
use sotto_crm::Phone;
use sotto_media::LegOutputs;
use sotto_sip::{NewCall, NewLeg};
use sotto_store::{ImportRow, JobState, NewImport, Store, StoreError};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::fetch::RecordingHost;
use self::turns::{Speaker, Turn, Turns};
use crate::calls::{Calls, FileCall, Past};
use crate::cli::now_unix_ms;
use crate::jobs::{Figures, JobLimits};
use crate::{player, priority, retention};

/// Recordings that are received at the same time.
const RECEIVED_AT_ONCE: usize = 8;
/// How long whoever sends one may send nothing, and how long it may take in all.
const SENT_WITHIN: Duration = Duration::from_secs(30);
const RECEIVED_WITHIN: Duration = Duration::from_secs(3_600);
/// How long a player waits for room in the rings.
const ROOM_EVERY: Duration = Duration::from_millis(5);
/// Characters of a recording's name.
const LONGEST_NAME: usize = 200;

/// See [`crate::config::Config::imports`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ImportsConfig {
    /// Hosts that recordings are fetched from when a telephone system names them by an address (`recordingUrl`), by https alone:
    /// `{ host = "pbx.example" }`; with `private = true` the host may have an address of a private network. No others are asked,
    /// and redirects are not followed.
    pub hosts: Vec<RecordingHost>,
    /// The folder that recordings are read from when they are named without a host. Absent: `recordings/elsewhere` in the data
    /// folder.
    #[schemars(with = "Option<String>")]
    pub folder: Option<PathBuf>,
    /// Megabytes that a recording may have.
    pub max_mb: u32,
    /// Seconds that fetching one may take.
    pub fetch_s: u32,
    /// How many recordings may wait, those that were given up included, whose files are kept; 0 to take none.
    pub max_waiting: u32,
    /// The channel that the agent is on, of two, where whoever sends a recording does not say: `left` or `right`.
    pub agent_channel: Side,
}

impl Default for ImportsConfig {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            folder: None,
            max_mb: 500,
            fetch_s: 600,
            max_waiting: 1_000,
            agent_channel: Side::Left,
        }
    }
}

impl ImportsConfig {
    /// What is wrong with the hosts, if anything.
    ///
    /// # Errors
    /// With the problem in words.
    pub fn check(&self) -> Result<(), String> {
        match self.hosts.iter().find(|host| !host.is_name()) {
            Some(wrong) => Err(format!("`{}` is no host like pbx.example or pbx.example:8443", wrong.host)),
            None => Ok(()),
        }
    }
}

/// One of two channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The first.
    Left,
    /// The second.
    Right,
}

/// Where a recording is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audio {
    /// It was uploaded, and lies in a file that is called by the import's id.
    Upload,
    /// On a host that is allowed. The address may hold a secret: it is neither logged nor shown.
    Url(String),
    /// In the folder for recordings made elsewhere.
    File(String),
}

/// A recording, and what is known of its call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportRequest {
    /// Where it is.
    pub audio: Audio,
    /// What people know it by: a file's name, whose ending is a first guess at its format.
    pub name: String,
    /// The name others know the call by.
    pub external_id: String,
    /// When it began, in milliseconds since 1970 (UTC).
    pub started_at_unix_ms: u64,
    /// The agent's name.
    pub agent: Option<String>,
    /// The customer's number.
    pub customer: Option<Phone>,
    /// The agent has called the customer, who then spoke first.
    pub outbound: bool,
    /// Nobody speaks but the customer: a voice note.
    pub alone: bool,
    /// The agent's channel, of two.
    pub agent_channel: Side,
    /// The language spoken, where that is known.
    pub language: Option<String>,
    /// Whether the customer agrees that their mood is read, where they said.
    pub consent: Option<bool>,
}

/// Why a recording is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// It is nowhere that recordings are taken from.
    #[error("{0}")]
    NotAllowed(String),
    /// There is no such file in the folder for recordings made elsewhere.
    #[error("there is no such file in the folder for recordings made elsewhere")]
    NoFile,
    /// As many wait, or were given up, as may.
    #[error("as many recordings wait, or were given up, as may (`imports.max_waiting`)")]
    Full,
    /// It has more than so many megabytes.
    #[error("more than {0} MB (`imports.max_mb`)")]
    TooLarge(u32),
    /// It did not come whole.
    #[error("the body was cut short, or came too slowly")]
    Cut,
    /// There is nothing in it.
    #[error("there is nothing in it")]
    Empty,
    /// The same key, and another customer.
    #[error("another customer's recording was sent with this key")]
    KeyTaken,
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It cannot be written down.
    #[error("it cannot be written: {0}")]
    File(#[from] std::io::Error),
}

/// Why a try came to nothing.
#[derive(Debug)]
enum Trouble {
    /// It may come to something later.
    Later(anyhow::Error),
    /// It never will.
    ForGood(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::Later(error.into())
    }
}

/// What came of a try that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listened {
    Whole,
    /// Sotto is being stopped.
    Interrupted,
}

/// The recordings. Cheap to clone.
#[derive(Clone)]
pub struct Imports {
    shared: Arc<Shared>,
}

struct Shared {
    config: ImportsConfig,
    store: Store,
    data: PathBuf,
    receiving: Semaphore,
}

impl Imports {
    /// The recordings that wait in `store`, and in the data folder.
    #[must_use]
    pub fn new(config: ImportsConfig, store: Store, data: PathBuf) -> Self {
        let receiving = Semaphore::new(RECEIVED_AT_ONCE);
        Self { shared: Arc::new(Shared { config, store, data, receiving }) }
    }

    /// What is configured.
    #[must_use]
    pub fn config(&self) -> &ImportsConfig {
        &self.shared.config
    }

    /// Removes uploads that nothing waits for, which a kill has left. Before any is received.
    ///
    /// # Errors
    /// When the store refuses, or the folder cannot be made.
    pub async fn clean(&self) -> Result<(), ImportError> {
        let folder = self.incoming();
        tokio::fs::create_dir_all(&folder).await?;
        let unfinished = self.unfinished().await?;
        let wanted: Vec<String> = unfinished.into_iter().map(|row| row.import.id.to_string()).collect();
        let mut files = tokio::fs::read_dir(&folder).await?;
        while let Some(file) = files.next_entry().await? {
            if !file.file_name().to_str().is_some_and(|name| wanted.iter().any(|one| one == name)) {
                tokio::fs::remove_file(file.path()).await?;
            }
        }
        Ok(())
    }

    /// Recordings that are no calls yet.
    async fn unfinished(&self) -> Result<Vec<ImportRow>, StoreError> {
        let mut rows = Vec::new();
        for state in [JobState::Waiting, JobState::Running, JobState::Dead] {
            rows.extend(self.shared.store.imports(Some(state), u32::MAX).await?);
        }
        Ok(rows)
    }

    /// Those of them whose customer has one of these numbers.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn of(&self, numbers: &[Phone]) -> Result<Vec<ImportRow>, StoreError> {
        let mut rows = self.unfinished().await?;
        rows.retain(|row| {
            let customer = requested(row).ok().and_then(|request| request.customer);
            customer.is_some_and(|customer| numbers.contains(&customer))
        });
        Ok(rows)
    }

    fn incoming(&self) -> PathBuf {
        self.shared.data.join("imports")
    }

    /// A file for what is not there as a whole yet, which goes with whatever ends that.
    fn part(&self) -> std::io::Result<tempfile::NamedTempFile> {
        std::fs::create_dir_all(self.incoming())?;
        tempfile::Builder::new().prefix(".part-").tempfile_in(self.incoming())
    }

    fn uploaded(&self, id: Uuid) -> PathBuf {
        self.incoming().join(id.to_string())
    }

    /// Where a recording is that somebody names: an address, or a path below the folder for recordings made elsewhere.
    ///
    /// # Errors
    /// [`ImportError::NotAllowed`], [`ImportError::NoFile`].
    pub fn named(&self, name: &str) -> Result<Audio, ImportError> {
        if name.contains("://") {
            fetch::allowed(name, &self.shared.config.hosts).map_err(ImportError::NotAllowed)?;
            return Ok(Audio::Url(name.to_owned()));
        }
        self.file_called(name)?;
        Ok(Audio::File(name.to_owned()))
    }

    /// A file in the folder for recordings made elsewhere, which no name and no link leads out of.
    fn file_called(&self, name: &str) -> Result<PathBuf, ImportError> {
        let inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        let usual = || self.shared.data.join("recordings").join("elsewhere");
        let folder = self.shared.config.folder.clone().unwrap_or_else(usual);
        let found = folder.canonicalize().and_then(|folder| Ok((folder.join(name).canonicalize()?, folder)));
        match found {
            Ok((file, folder)) if inside && file.starts_with(&folder) && file.is_file() => Ok(file),
            _ => Err(ImportError::NoFile),
        }
    }

    /// Receives an upload.
    ///
    /// # Errors
    /// [`ImportError::Full`], [`ImportError::TooLarge`], [`ImportError::Cut`], [`ImportError::Empty`], [`ImportError::File`].
    pub async fn receive<E>(
        &self,
        id: Uuid,
        mut chunks: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<(), ImportError> {
        self.has_room().await?;
        let _place = self.shared.receiving.acquire().await.map_err(|_| ImportError::Full)?;
        let part = self.part()?;
        let mut file = tokio::fs::File::from_std(part.reopen()?);
        let most = u64::from(self.shared.config.max_mb) << 20;
        let (mut length, over_at) = (0, Instant::now() + RECEIVED_WITHIN);
        loop {
            let until = over_at.min(Instant::now() + SENT_WITHIN);
            let chunk = match timeout_at(until, chunks.next()).await {
                Ok(None) => break,
                Ok(Some(Ok(chunk))) => chunk,
                Ok(Some(Err(_))) | Err(_) => return Err(ImportError::Cut),
            };
            length += chunk.len() as u64;
            if length > most {
                return Err(ImportError::TooLarge(self.shared.config.max_mb));
            }
            file.write_all(&chunk).await?;
        }
        if length == 0 {
            return Err(ImportError::Empty);
        }
        file.sync_all().await?;
        part.persist(self.uploaded(id)).map_err(|error| error.error)?;
        Ok(())
    }

    async fn has_room(&self) -> Result<(), ImportError> {
        let counts = self.shared.store.import_counts().await?;
        // Those that were given up lie there as well, until a person or retention removes them.
        let held = [JobState::Waiting, JobState::Dead].into_iter().filter_map(|state| counts.get(&state));
        if held.sum::<u64>() < u64::from(self.shared.config.max_waiting) {
            Ok(())
        } else {
            Err(ImportError::Full)
        }
    }

    /// Queues a recording; of an upload, after it was received by this id. The key tells whether it was sent before, and then this
    /// gives what became of it.
    ///
    /// # Errors
    /// [`ImportError::Full`], [`ImportError::KeyTaken`], [`ImportError::Store`].
    pub async fn add(
        &self,
        id: Uuid,
        key: String,
        request: &ImportRequest,
        added_by: &str,
        now_unix_ms: u64,
    ) -> Result<ImportRow, ImportError> {
        let added = self.queue(id, key, request, added_by, now_unix_ms).await;
        if !added.as_ref().is_ok_and(|row| row.import.id == id) {
            self.forget_upload(id).await;
        }
        added
    }

    async fn queue(
        &self,
        id: Uuid,
        idempotency_key: String,
        request: &ImportRequest,
        added_by: &str,
        now_unix_ms: u64,
    ) -> Result<ImportRow, ImportError> {
        let store = &self.shared.store;
        let row = match store.import_with_key(&idempotency_key).await? {
            // There was room for it.
            Some(known) => known,
            None => {
                self.has_room().await?;
                let import = NewImport {
                    id,
                    idempotency_key,
                    call: began_at(request.started_at_unix_ms),
                    request: serde_json::to_string(request).map_err(std::io::Error::from)?,
                    added_by: added_by.to_owned(),
                };
                store.add_import(&import, now_unix_ms).await?
            }
        };
        let is_same = requested(&row).is_ok_and(|known| known.customer == request.customer);
        if is_same { Ok(row) } else { Err(ImportError::KeyTaken) }
    }

    /// Removes a recording that waits or was given up. False where there is none such.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn remove(&self, id: Uuid) -> Result<bool, StoreError> {
        let removed = self.shared.store.delete_import(id).await?;
        if removed {
            self.forget_upload(id).await;
        }
        Ok(removed)
    }

    /// Removes recordings that were given up, of calls that began more than `age` before `now_unix_ms`. Says how many went.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn remove_older(&self, age: Duration, now_unix_ms: u64) -> Result<u64, StoreError> {
        let before = now_unix_ms.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        let mut removed = 0;
        for row in self.shared.store.imports(Some(JobState::Dead), u32::MAX).await? {
            let began = requested(&row).map_or(row.added_at_unix_ms, |request| request.started_at_unix_ms);
            if began < before {
                removed += u64::from(self.remove(row.import.id).await?);
            }
        }
        Ok(removed)
    }

    async fn forget_upload(&self, id: Uuid) {
        match tokio::fs::remove_file(self.uploaded(id)).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(import = %id, %error, "an upload cannot be removed");
            }
            _ => {}
        }
    }

    /// Listens to one recording after the other until it is told to stop, while `is_ready`. Whoever runs it holds
    /// [`Store::lock_instance`].
    pub async fn run(
        self,
        calls: Calls,
        is_ready: impl Fn() -> bool + Send,
        limits: JobLimits,
        figures: Arc<Figures>,
        stop: CancellationToken,
    ) {
        let worker = Worker { imports: self, calls, limits, figures, stop };
        while let Err(error) = worker.store().take_up_imports(limits.tries, now_unix_ms()).await {
            tracing::warn!(%error, "recordings that were being listened to cannot be taken up just now");
            if worker.rests().await {
                return;
            }
        }
        while !worker.stop.is_cancelled() {
            let claimed =
                if is_ready() { worker.store().claim_import(now_unix_ms()).await } else { Ok(None) };
            match claimed {
                Ok(Some(row)) => {
                    worker.attend_to(&row).await;
                    continue;
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "no recording can be claimed just now"),
            }
            worker.rests().await;
        }
    }
}

/// What was queued.
///
/// # Errors
/// When a later version has queued it.
pub fn requested(row: &ImportRow) -> serde_json::Result<ImportRequest> {
    serde_json::from_str(&row.import.request)
}

/// What people know a recording by that somebody has named, without what else an address says.
#[must_use]
pub fn name_of(named: &str) -> String {
    let path = named.split(['?', '#']).next().unwrap_or_default();
    let last = path.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or_default();
    last.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect()
}

/// The id of a call that began at a time: ids sort by that.
fn began_at(unix_ms: u64) -> CallId {
    CallId(uuid::Builder::from_unix_timestamp_millis(unix_ms, &rand::random()).into_uuid())
}

struct Worker {
    imports: Imports,
    calls: Calls,
    limits: JobLimits,
    figures: Arc<Figures>,
    stop: CancellationToken,
}

impl Worker {
    fn store(&self) -> &Store {
        &self.imports.shared.store
    }

    /// Waits a little; whether it is told to stop.
    async fn rests(&self) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => true,
            () = tokio::time::sleep(self.limits.every) => false,
        }
    }

    async fn attend_to(&self, row: &ImportRow) {
        let (id, call) = (row.import.id, row.import.call);
        let (error, again) = match self.listen(row).await {
            Ok(Listened::Whole) => {
                if self.settle(|now| self.store().finish_import(id, now)).await {
                    self.figures.done.fetch_add(1, Ordering::Relaxed);
                    self.imports.forget_upload(id).await;
                }
                return;
            }
            Ok(Listened::Interrupted) => (anyhow!("Sotto was stopped meanwhile"), true),
            Err(Trouble::Later(error)) => (error, row.tries < self.limits.tries),
            Err(Trouble::ForGood(error)) => (error, false),
        };
        let error = format!("{error:#}");
        tracing::warn!(import = %id, %call, tries = row.tries, %error, again, "a recording became no call");
        if !again && let Err(error) = self.forget(call).await {
            // A part of a call would be taken for the whole.
            tracing::warn!(%call, %error, "what there is of a call that was given up cannot be removed");
        }
        let pause_ms = self.limits.pause_ms(row.tries);
        let failed = |now: u64| {
            let (error, at) = (&error, again.then(|| now.saturating_add(pause_ms)));
            async move { self.store().fail_import(id, error, at, now).await }
        };
        if self.settle(failed).await {
            self.figures.failed.fetch_add(1, Ordering::Relaxed);
            self.figures.dead.fetch_add(u64::from(!again), Ordering::Relaxed);
        }
    }

    /// Tells the store what came of a try, however long the database is away, and whether it was told; what it was not told
    /// before the process ends is done again.
    async fn settle<F: Future<Output = Result<(), StoreError>>>(&self, tell: impl Fn(u64) -> F) -> bool {
        while let Err(error) = tell(now_unix_ms()).await {
            tracing::warn!(%error, "what came of a recording waits for the database");
            if error.is_permanent() || self.rests().await {
                return false;
            }
        }
        true
    }

    async fn listen(&self, row: &ImportRow) -> Result<Listened, Trouble> {
        let request = requested(row).context("what is known of it").map_err(Trouble::ForGood)?;
        let known = self.store().call(row.import.call).await?;
        if known.is_some_and(|call| call.ended == Some(EndReason::Hangup)) {
            // An earlier try got that far.
            return Ok(Listened::Whole);
        }
        self.forget(row.import.call).await?;
        let extension = extension(&request.name);
        let ready = async {
            let (file, fetched) = self.file(row.import.id, &request).await?;
            let (path, ending, known) = (file.clone(), extension.clone(), request.clone());
            let planned = move || Plan::of(&path, &ending, &known);
            let plan = beside(planned).await?.map_err(Trouble::ForGood)?;
            Ok::<_, Trouble>((plan, file, fetched))
        };
        let (plan, file, fetched) = tokio::select! {
            ready = ready => ready?,
            // What fetches it, or looks through it, ends with the process.
            () = self.stop.cancelled() => return Ok(Listened::Interrupted),
        };
        let listened = self.play(row.import.call, &request, plan, file, extension).await;
        drop(fetched);
        listened
    }

    /// The file with the audio; what was fetched goes when the second is dropped.
    async fn file(
        &self,
        id: Uuid,
        request: &ImportRequest,
    ) -> Result<(PathBuf, Option<tempfile::TempPath>), Trouble> {
        match &request.audio {
            Audio::Upload => Ok((self.imports.uploaded(id), None)),
            Audio::File(name) => {
                let file = self.imports.file_called(name).map_err(|error| Trouble::ForGood(error.into()))?;
                let length = file.metadata()?.len();
                let most = self.imports.config().max_mb;
                if length > u64::from(most) << 20 {
                    return Err(Trouble::ForGood(ImportError::TooLarge(most).into()));
                }
                Ok((file, None))
            }
            Audio::Url(url) => {
                let to = self.imports.part()?;
                let (path, url, config) = (to.path().to_owned(), url.clone(), self.imports.config().clone());
                let patience = Duration::from_secs(u64::from(config.fetch_s));
                let most = u64::from(config.max_mb) << 20;
                beside(move || fetch::fetch(&url, &config.hosts, &path, most, patience)).await??;
                Ok((to.path().to_owned(), Some(to.into_temp_path())))
            }
        }
    }

    async fn play(
        &self,
        id: CallId,
        request: &ImportRequest,
        plan: Plan,
        file: PathBuf,
        extension: String,
    ) -> Result<Listened, Trouble> {
        let parties = plan.parties;
        let past = Past {
            id,
            started_at_unix_ms: request.started_at_unix_ms,
            parties_guessed: matches!(plan.route, Route::Turns { .. }),
        };
        let FileCall { outputs, position, .. } = self.calls.begin_past(new_call(request, parties), past)?;
        if let Some(live) = self.calls.hub().get(id) {
            for &party in parties {
                live.publish(EventBody::LegStarted(LegStarted { party, codec: extension.clone() }));
            }
        }
        let (stop, position) = (self.stop.clone(), position.unwrap_or_default());
        let played = beside(move || plan.play(&file, &extension, outputs, &position, &stop)).await;
        let reason =
            if matches!(played, Ok(Ok(Listened::Whole))) { EndReason::Hangup } else { EndReason::Shutdown };
        self.calls.finish(id, reason).await;
        let listened = played?.map_err(Trouble::ForGood)?;
        let ended = self.store().call(id).await?.and_then(|call| call.ended);
        if listened == Listened::Whole && ended != Some(EndReason::Hangup) {
            return Err(Trouble::Later(anyhow!("the call was not stored")));
        }
        Ok(listened)
    }

    /// Removes what an earlier try has left of a call.
    async fn forget(&self, id: CallId) -> anyhow::Result<()> {
        let Some(call) = self.store().call(id).await? else { return Ok(()) };
        let data = &self.imports.shared.data;
        let removed = retention::remove(self.store(), data, &[(id, call.recording)]).await?;
        anyhow::ensure!(removed > 0, "the call goes on, or its recording cannot be removed");
        Ok(())
    }
}

/// Does something on a thread that yields to all others.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> anyhow::Result<T> {
    let done = priority::spawn("recording", 10, work).context("no thread")?;
    done.await.ok().context("it panicked")
}

/// What files like this are usually called by.
fn extension(name: &str) -> String {
    let ending = Path::new(name).extension().and_then(|ending| ending.to_str()).unwrap_or("wav");
    ending.chars().filter(char::is_ascii_alphanumeric).take(8).collect::<String>().to_lowercase()
}

fn new_call(request: &ImportRequest, parties: &[Party]) -> NewCall {
    let participant = |&party: &Party| match party {
        Party::Agent => Participant { party, aor: None, name: request.agent.clone() },
        Party::Customer | Party::Other => {
            let aor = request.customer.as_ref().map(|number| format!("tel:{number}"));
            Participant { party, aor, name: None }
        }
    };
    NewCall {
        external_id: request.external_id.clone(),
        source: Source::File,
        called: None,
        legs: parties.iter().map(|&party| NewLeg { party, label: None, codec: "file" }).collect(),
        participants: parties.iter().map(participant).collect(),
        headers: Default::default(),
        language: request.language.clone(),
        consent: request.consent,
    }
}

/// Whose the audio is.
#[derive(Debug)]
struct Plan {
    /// A leg each.
    parties: &'static [Party],
    route: Route,
}

#[derive(Debug)]
enum Route {
    /// Each party has a channel; whether the agent's is the second.
    Channels { swapped: bool },
    /// Everything is one party's.
    Together,
    /// Each has its turns on the one channel.
    Turns { turns: Vec<Turn>, agent_first: bool },
}

const BOTH: &[Party] = &[Party::Agent, Party::Customer];

impl Plan {
    /// Listens through a recording of one channel, to tell its parties apart.
    fn of(file: &Path, extension: &str, request: &ImportRequest) -> anyhow::Result<Self> {
        let (mut turns, mut count) = (Turns::default(), 0);
        player::frames(file, extension, |channels| {
            count = channels.len();
            match channels {
                [channel] if !request.alone => {
                    turns.hear(channel);
                    ControlFlow::Continue(())
                }
                _ => ControlFlow::Break(()),
            }
        })?;
        if request.alone {
            return Ok(Self { parties: &[Party::Customer], route: Route::Together });
        }
        if count == 2 {
            let swapped = request.agent_channel == Side::Right;
            return Ok(Self { parties: BOTH, route: Route::Channels { swapped } });
        }
        Ok(match turns.taken() {
            // Whoever is called speaks first.
            Some(turns) => {
                Self { parties: BOTH, route: Route::Turns { turns, agent_first: !request.outbound } }
            }
            None => Self { parties: &[Party::Other], route: Route::Together },
        })
    }

    /// What a leg has of the frame with this number.
    fn of_leg(&self, leg: usize, index: u64, channels: &[[f32; FRAME_SAMPLES]]) -> [f32; FRAME_SAMPLES] {
        let silence = [0.0; FRAME_SAMPLES];
        match &self.route {
            Route::Channels { swapped } => {
                let channel = if *swapped { 1_usize.saturating_sub(leg) } else { leg };
                channels.get(channel).copied().unwrap_or(silence)
            }
            Route::Together => {
                let mut mixed = silence;
                for channel in channels {
                    let share = channels.len() as f32;
                    mixed.iter_mut().zip(channel).for_each(|(mixed, sample)| *mixed += sample / share);
                }
                mixed
            }
            Route::Turns { turns, agent_first } => {
                let begun = turns.partition_point(|(from, _)| *from as u64 <= index);
                let speaker = turns[..begun].last().map_or(Speaker::First, |(_, speaker)| *speaker);
                let is_agents = (speaker == Speaker::First) == *agent_first;
                if is_agents == (leg == 0) { channels.first().copied().unwrap_or(silence) } else { silence }
            }
        }
    }

    /// Plays the recording as fast as it is taken, until it is over or `stop` says so. Blocking.
    fn play(
        &self,
        file: &Path,
        extension: &str,
        mut outputs: Vec<LegOutputs>,
        position: &AtomicU64,
        stop: &CancellationToken,
    ) -> anyhow::Result<Listened> {
        let (mut index, mut listened) = (0, Listened::Whole);
        player::frames(file, extension, |channels| {
            while !player::have_room(&outputs) && !stop.is_cancelled() {
                std::thread::sleep(ROOM_EVERY);
            }
            if stop.is_cancelled() {
                listened = Listened::Interrupted;
                return ControlFlow::Break(());
            }
            for (leg, output) in outputs.iter_mut().enumerate() {
                let frame = Frame { index, samples: self.of_leg(leg, index, channels) };
                output.speech.push(frame);
                output.recording.push(frame);
            }
            index += 1;
            position.store(index * FRAME_MS, Ordering::Relaxed);
            ControlFlow::Continue(())
        })?;
        Ok(listened)
    }
}

#[cfg(test)]
mod tests;
