//! What the organisation has written down: taken in from folders and uploads, kept in the database, searched.
//!
//! The database has the documents as they were read, and the vectors of their passages; a [`Hub`] in memory follows it,
//! whoever changes it. What has changed is published as an [`Index`], which never changes itself. One thread of low
//! priority looks through the folders and has passages embedded. Until they are, they are found by their words.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sotto_call::{Participant, Party};
use sotto_insight::{Embedder, EmbeddingModel, Purpose, Reranker};
use sotto_knowledge::{
    Conflict, Content, Document, FINGERPRINT_OF, Format, Hit, Hub, Index, KnowledgeError, Paper, Query,
    RERANKED, Viewer, Visibility, by_document, conflicts, fingerprint, rerank,
};
use sotto_models::{Cache, Console};
use sotto_store::{DocumentRow, EmbeddingRow, Role, Store, StoreError};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use crate::anonymous::anonymised;
use crate::audit;
use crate::documents::{self, Found};
use crate::pages::{Fetched, Pages, PagesConfig, is_page};
use crate::people;
use crate::redaction::RedactionConfig;

/// What documents and questions are embedded by, whatever calls are understood by: how sure a hit is was judged by its
/// cosines.
pub(crate) const EMBEDDING: EmbeddingModel = EmbeddingModel::Multilingual;
/// Passages that are embedded, and kept, together.
const BATCH: usize = 16;
/// How often what is done so far can be found, while there is more to do.
const PUBLISHED_EVERY: Duration = Duration::from_secs(10);
/// How long after a failure it is tried again.
const RETRY: Duration = Duration::from_secs(30);
/// Characters of an uploaded document's name.
const LONGEST_NAME: usize = 200;
/// Uploads that are in memory at the same time.
const UPLOADS: usize = 4;

/// See [`crate::config::Config::knowledge`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KnowledgeConfig {
    /// Folders whose documents (Markdown, HTML, text, CSV, JSON, PDF, DOCX) are found, those in folders inside as well:
    /// `{ path = "/srv/knowledge" }`. With `roles = ["supervisor", "admin"]` nobody else finds or sees them; `teams` likewise
    /// (`sotto user team`); with `tickets = true` people are taken out of them. A document is called by the folder's own name
    /// and its path in there, so no two folders have the same name.
    pub folders: Vec<KnowledgeFolder>,
    /// Pages of the web that are found as documents: none, unless this is switched on.
    pub pages: PagesConfig,
    /// Seconds after which folders are looked through for changes.
    pub look_every_s: u32,
    /// How many documents may be uploaded; 0 for none.
    pub max_uploads: u32,
    /// Megabytes that an uploaded document may have. PDF and DOCX are read up to 32, everything else up to 8.
    pub max_upload_mb: u32,
    /// Days for which questions are kept that nothing written down answers; those of calls go with their call at the latest.
    /// 0: for as long as that.
    pub gaps_kept_days: u32,
    /// Days after which a document that has not changed is called old.
    pub old_after_days: u32,
    /// The folder of a cross-encoder that puts the best 20 passages of a search into its order: `model.onnx`, `tokenizer.json`
    /// and `config.json`, as Hugging Face's tools export them. It is asked for questions that people and programs ask, and takes
    /// some tenths of a second; not for cards, which come while somebody talks.
    #[schemars(with = "Option<String>")]
    pub reranker: Option<PathBuf>,
}

impl Default for KnowledgeConfig {
    fn default() -> Self {
        Self {
            folders: Vec::new(),
            pages: PagesConfig::default(),
            look_every_s: 60,
            max_uploads: 1_000,
            max_upload_mb: 32,
            gaps_kept_days: 180,
            old_after_days: 365,
            reranker: None,
        }
    }
}

/// A folder with documents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnowledgeFolder {
    /// Where it is.
    #[schemars(with = "String")]
    pub path: PathBuf,
    /// The teams that see its documents; none for everybody.
    #[serde(default)]
    pub teams: Vec<String>,
    /// The roles that see its documents; none for everybody.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub roles: Vec<Role>,
    /// Its documents are tickets: names, telephone numbers, e-mail addresses, other numbers and secrets are taken out before
    /// anything is kept, by rules that miss some.
    #[serde(default)]
    pub tickets: bool,
}

impl KnowledgeConfig {
    /// Whether documents come by themselves, from folders or pages.
    #[must_use]
    pub fn has_sources(&self) -> bool {
        !self.folders.is_empty() || self.pages.enabled
    }

    /// The teams that this names, each with what it sees that others do not.
    #[must_use]
    pub fn teams(&self) -> BTreeMap<String, TeamSources> {
        let mut teams: BTreeMap<String, TeamSources> = BTreeMap::new();
        for folder in &self.folders {
            for team in &folder.teams {
                let folders = &mut teams.entry(team.clone()).or_default().folders;
                folders.extend(folder.name().map(str::to_owned));
            }
        }
        for team in &self.pages.teams {
            teams.entry(team.clone()).or_default().pages = true;
        }
        teams
    }

    /// What is wrong with the folders, if anything.
    ///
    /// # Errors
    /// With the problem in words.
    pub fn check(&self) -> Result<(), String> {
        let mut names = BTreeSet::new();
        for folder in &self.folders {
            let Some(name) = folder.name() else {
                return Err(format!(
                    "`{}` has no name that documents could be called by",
                    folder.path.display()
                ));
            };
            if !names.insert(name) {
                return Err(format!("two folders are called `{name}`"));
            }
        }
        Ok(())
    }
}

/// What the configuration has a team see that others do not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct TeamSources {
    /// Folders, by their names.
    pub folders: Vec<String>,
    /// The pages of the web.
    pub pages: bool,
}

impl KnowledgeFolder {
    /// What its documents' names begin with.
    fn name(&self) -> Option<&str> {
        self.path.file_name()?.to_str()
    }

    fn visibility(&self) -> Visibility {
        let roles = self.roles.iter().map(|role| role_name(*role).to_owned());
        Visibility { teams: self.teams.iter().cloned().collect(), roles: roles.collect() }
    }
}

/// A role as documents name it.
pub(crate) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Agent => "agent",
        Role::Reviewer => "reviewer",
        Role::Supervisor => "supervisor",
        Role::Admin => "admin",
    }
}

/// Somebody of this role and of no team, who looks.
#[must_use]
pub fn viewer(role: Role) -> Viewer {
    member(role, None)
}

/// Somebody of this role, who is in this team, if in any.
#[must_use]
pub fn member(role: Role, team: Option<&str>) -> Viewer {
    let teams = team.into_iter().map(str::to_owned).collect();
    Viewer { teams, roles: BTreeSet::from([role_name(role).to_owned()]) }
}

/// Whose call it is in which these take part, as far as they have a name.
#[must_use]
pub fn agent_among(participants: &[Participant]) -> Option<&str> {
    participants.iter().filter(|one| one.party == Party::Agent).find_map(|one| one.name.as_deref())
}

/// Only these roles may see it; everybody if there are none.
#[must_use]
pub fn seen_by(roles: &[Role]) -> Visibility {
    Visibility {
        roles: roles.iter().map(|role| role_name(*role).to_owned()).collect(),
        ..Visibility::default()
    }
}

/// Embeds texts for a purpose: one vector a text, in order.
pub type Embed = Box<dyn FnMut(Purpose, &[&str]) -> anyhow::Result<Vec<Vec<f32>>> + Send>;

/// Says how well each passage answers a question, from 0 to 1, in their order.
pub type Rerank = Box<dyn FnMut(&str, &[&str]) -> anyhow::Result<Vec<f32>> + Send>;

/// Opens the cross-encoder in a folder on one thread. `models_dir` is as in the configuration.
///
/// # Errors
/// When it cannot be opened, or what runs it cannot be had.
pub fn open_reranker(models_dir: Option<PathBuf>, folder: &Path) -> anyhow::Result<Rerank> {
    let onnx = Cache::open(models_dir)?.onnx(&mut Console::default())?;
    let mut reranker = Reranker::open(&onnx, folder).context("`knowledge.reranker`")?;
    Ok(Box::new(move |question: &str, passages: &[&str]| -> anyhow::Result<Vec<f32>> {
        Ok(reranker.relevance(question, passages)?)
    }))
}

/// Searches, and has the best be put into the order of a cross-encoder. Where that fails they stay in the search's.
pub(crate) fn search_reranked(
    index: &Index,
    query: &Query<'_>,
    viewer: &Viewer,
    limit: usize,
    read: &mut Rerank,
) -> Result<Vec<Hit>, KnowledgeError> {
    let mut hits = index.search(query, viewer, limit.max(RERANKED))?;
    // With what was said before, where that was asked for: the last of the texts.
    let question = asked_of_models(query.text, query.context).pop().unwrap_or_default();
    if let Err(error) = rerank(&mut hits, |passages| read(&question, passages)) {
        tracing::warn!("passages stay in the order of the search: {error:#}");
    }
    hits.truncate(limit);
    Ok(hits)
}

/// Opens the sentence embedding on one thread, fetching what is missing. `models_dir` is as in the configuration.
///
/// # Errors
/// When it cannot be had or opened.
pub fn open_embedding(models_dir: Option<PathBuf>) -> anyhow::Result<Embed> {
    let cache = Cache::open(models_dir)?;
    let mut progress = Console::default();
    let (onnx, file) = (cache.onnx(&mut progress)?, cache.require(EMBEDDING.artefact(), &mut progress)?);
    let embedder = Embedder::open(&onnx, EMBEDDING, &file, 1);
    let mut embedder = embedder.context("opening the sentence embedding")?;
    Ok(Box::new(move |purpose: Purpose, texts: &[&str]| -> anyhow::Result<Vec<Vec<f32>>> {
        let embedded = embedder.embed(purpose, texts)?;
        Ok(embedded.iter().map(|embedding| embedding.to_vec()).collect())
    }))
}

/// What tells the vectors of an embedding from those of others.
///
/// # Errors
/// When it fails.
pub(crate) fn fingerprint_of(embed: &mut Embed) -> anyhow::Result<String> {
    Ok(fingerprint(&embed(Purpose::Passage, &FINGERPRINT_OF[..])?))
}

/// The meaning of a question, and of what was said before it, the newest first.
///
/// # Errors
/// When the embedding fails.
pub(crate) fn meaning(embed: &mut Embed, text: &str, context: &[&str]) -> anyhow::Result<Vec<f32>> {
    let texts = asked_of_models(text, context);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    Ok(Query::blend(&embed(Purpose::Query, texts.as_slice())?))
}

/// What models are given of a question, as [`Query::texts`] has it: whatever somebody types, and whatever an organisation lets
/// its calls keep, without secrets.
fn asked_of_models(text: &str, context: &[&str]) -> Vec<String> {
    let redaction = RedactionConfig::default();
    Query::texts(text, context).iter().map(|text| redaction.without_secrets(text)).collect()
}

/// True for a file that is as large, and was last changed when it was, when this was noted of it. Where the system knows
/// no time, nothing tells.
pub(crate) fn is_as_it_was(file: &Found, changed_unix_ms: u64, bytes: u64) -> bool {
    file.changed_unix_ms > 0 && (file.changed_unix_ms, file.bytes) == (changed_unix_ms, bytes)
}

/// Which of a document's pages could not be read.
pub(crate) fn missing_pages(content: &Content) -> Option<String> {
    let pages: Vec<String> = content.missing.iter().map(u32::to_string).collect();
    (!pages.is_empty()).then(|| format!("without page {}, which cannot be read", pages.join(", ")))
}

/// The name that a file is uploaded under.
///
/// # Errors
/// [`LibraryError::Name`], [`LibraryError::Kind`].
pub(crate) fn upload_name(name: &str) -> Result<String, LibraryError> {
    let name = name.trim();
    // A slash is in the names of those in folders.
    let is_plain = |c: char| !c.is_control() && !matches!(c, '/' | '\\');
    if !(1..=LONGEST_NAME).contains(&name.chars().count()) || !name.chars().all(is_plain) {
        return Err(LibraryError::Name);
    }
    match Format::of(Path::new(name)) {
        Some(_) => Ok(name.to_owned()),
        None => Err(LibraryError::Kind),
    }
}

/// Why something cannot be done with the documents.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LibraryError {
    /// The name is none.
    #[error("a document's name has 1 to {LONGEST_NAME} characters, without slashes")]
    Name,
    /// By its name it is nothing that is read.
    #[error(
        "only Markdown, HTML, text, CSV, JSON, PDF and DOCX are read, which the name's ending tells apart"
    )]
    Kind,
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// There are as many uploads as there may be.
    #[error("no more than {0} documents may be uploaded (`knowledge.max_uploads`)")]
    Full(u32),
    /// The name is that of a document which whoever uploads may not see.
    #[error("there is a document called `{0}` already, which is not yours to replace")]
    Taken(String),
    /// A file of a folder is changed there.
    #[error("`{0}` lies in a folder, or is a page: change or remove it there")]
    InFolder(String),
    /// A team that the configuration names is renamed there.
    #[error("the configuration names the team `{0}` (`knowledge`): rename it there first")]
    InConfiguration(String),
    /// Nobody is in this team, and no document is for it.
    #[error("there is no such team")]
    UnknownTeam,
    /// There is no such document, or it is hidden from whoever asks.
    #[error("there is no such document")]
    Unknown,
    /// This library never changes.
    #[error("no documents are kept here")]
    Fixed,
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something else is in the way.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

/// A document that was read, as it is kept.
pub(crate) struct Taken {
    row: DocumentRow,
    content: String,
    passages: BTreeSet<[u8; 32]>,
}

impl Taken {
    /// An uploaded document, which is changed when it comes.
    pub(crate) fn upload(
        name: &str,
        bytes: u64,
        now_unix_ms: u64,
        visibility: &Visibility,
        content: Content,
    ) -> anyhow::Result<Self> {
        let mut taken = Self::of(name, now_unix_ms, bytes, visibility, Ok(content))?;
        taken.row.uploaded = true;
        Ok(taken)
    }

    fn of(
        name: &str,
        changed_unix_ms: u64,
        bytes: u64,
        visibility: &Visibility,
        read: anyhow::Result<Content>,
    ) -> anyhow::Result<Self> {
        let (mut hub, mut content) = (Hub::new(), String::new());
        let problem = match read {
            Ok(read) => {
                let problem = missing_pages(&read);
                content = serde_json::to_string(&read)?;
                hub.put(Paper {
                    id: name.to_owned(),
                    changed_unix_ms,
                    visibility: visibility.clone(),
                    bytes,
                    content: read,
                });
                problem
            }
            Err(error) => Some(format!("{error:#}")),
        };
        let document = hub.document(name);
        let passages = document.map(|one| one.passages.iter().map(|passage| passage.hash).collect());
        let row = DocumentRow {
            name: name.to_owned(),
            uploaded: false,
            title: document.map_or_else(|| name.to_owned(), |one| one.title.clone()),
            changed_unix_ms,
            bytes,
            teams: visibility.teams.clone(),
            roles: visibility.roles.clone(),
            hash: Sha256::digest(content.as_bytes()).into(),
            version: 0,
            problem: problem.as_deref().map(audit::detail),
        };
        Ok(Self { row, content, passages: passages.unwrap_or_default() })
    }

    pub(crate) async fn keep_in(&self, store: &Store) -> Result<(), StoreError> {
        store.put_document(&self.row, &self.content, &self.passages).await
    }
}

/// The documents in memory: what the database has, cut into passages.
#[derive(Default)]
pub(crate) struct Books {
    pub(crate) hub: Hub,
    /// What the database said of each document, those that cannot be read included.
    pub(crate) rows: BTreeMap<String, DocumentRow>,
    /// What made the vectors; empty while there are none.
    model: String,
    /// Something has changed that cannot be found yet, or still can: also when what was to follow has failed.
    is_ahead: bool,
}

impl Books {
    /// Takes over what the database has.
    pub(crate) async fn sync(&mut self, store: &Store) -> anyhow::Result<()> {
        let rows = store.documents().await?;
        let now: BTreeMap<String, DocumentRow> =
            rows.into_iter().map(|row| (row.name.clone(), row)).collect();
        let gone: Vec<String> = self.rows.keys().filter(|name| !now.contains_key(*name)).cloned().collect();
        for name in &gone {
            self.rows.remove(name);
            self.hub.remove(name);
        }
        self.is_ahead |= !gone.is_empty();
        for (name, row) in now {
            if self.rows.get(&name) == Some(&row) {
                continue;
            }
            let Some(content) = store.document_content(&name).await? else { continue };
            self.is_ahead = true;
            match serde_json::from_str(&content) {
                Ok(content) => {
                    self.hub.put(Paper {
                        id: name.clone(),
                        changed_unix_ms: row.changed_unix_ms,
                        visibility: visibility(&row),
                        bytes: row.bytes,
                        content,
                    });
                    self.recall(&name, store.embeddings(&name).await?);
                }
                Err(error) => {
                    if !content.is_empty() {
                        tracing::warn!(document = name, %error, "what was kept of a document cannot be read");
                    }
                    self.hub.remove(&name);
                }
            }
            self.rows.insert(name, row);
        }
        Ok(())
    }

    /// Gives a document's passages the vectors that were kept.
    fn recall(&mut self, name: &str, kept: Vec<EmbeddingRow>) {
        if let Some(first) = kept.first().filter(|_| self.model.is_empty()) {
            self.hub.embedded_by(&first.model);
            self.model.clone_from(&first.model);
        }
        let kept = kept.into_iter().filter(|row| row.model == self.model);
        let vectors: HashMap<[u8; 32], Vec<f32>> =
            kept.map(|row| (row.passage, floats(&row.vector))).collect();
        if let Err(error) = self.hub.give(name, &vectors) {
            tracing::warn!(document = name, %error, "a kept vector is made anew");
        }
    }

    /// What is embedded from now on is embedded by `model`. True if vectors of another were forgotten.
    pub(crate) fn embedded_by(&mut self, model: &str) -> bool {
        if self.model == model {
            return false;
        }
        self.hub.embedded_by(model);
        model.clone_into(&mut self.model);
        self.is_ahead = true;
        true
    }

    fn has(&self, document: &str, passage: &[u8; 32]) -> bool {
        let document = self.hub.document(document);
        document.is_some_and(|document| document.passages.iter().any(|one| one.hash == *passage))
    }
}

/// A vector that was kept as [`bytes`].
pub(crate) fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|number| f32::from_le_bytes(*number)).collect()
}

/// A vector as it is kept.
pub(crate) fn bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// A document as people see it in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ListedDocument {
    /// What it is known by: the folder's name and the path in there, the page's address, or the name that it was uploaded
    /// under.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Where it comes from.
    pub source: DocumentSource,
    /// What can be done with it.
    pub state: DocumentState,
    /// When it was last changed, in milliseconds since 1970.
    pub changed_unix_ms: u64,
    /// How many bytes its file has.
    pub bytes: u64,
    /// How many contents it has had.
    pub version: u64,
    /// How many passages can be found.
    pub passages: usize,
    /// Why it cannot be read, or what of it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Only these roles see it; everybody if there are none.
    pub roles: BTreeSet<String>,
    /// Only these teams see it; everybody if there are none.
    pub teams: BTreeSet<String>,
}

/// Where a document comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DocumentSource {
    /// A configured folder.
    Folder,
    /// A page of the web.
    Page,
    /// Somebody uploaded it.
    Upload,
}

/// What can be done with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DocumentState {
    /// It is found by its words and by its meaning.
    Ready,
    /// It is found by its words; what it means is still to be read.
    Words,
    /// It cannot be read, and is not found.
    Failed,
}

/// What can be found at one moment.
#[derive(Default)]
struct Shelf {
    index: Option<Arc<Index>>,
    documents: Vec<Shelved>,
}

/// A document, whether it can be found or not.
struct Shelved {
    row: DocumentRow,
    passages: usize,
    without_vector: usize,
}

/// What is counted.
#[derive(Debug, Default)]
struct Counted {
    embedded: AtomicU64,
    searches: AtomicU64,
    reading_ms: AtomicU64,
    embedding_ms: AtomicU64,
    indexing_ms: AtomicU64,
}

fn add(counter: &AtomicU64, since: Instant) {
    counter.fetch_add(u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX), Relaxed);
}

/// What there is, and what was done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LibraryFigures {
    /// Documents that can be found.
    pub documents: u64,
    /// Documents that cannot be read.
    pub failed: u64,
    /// Passages that can be found.
    pub passages: u64,
    /// Those of them that are found by their words alone.
    pub without_vector: u64,
    /// Passages embedded.
    pub embedded: u64,
    /// Searches.
    pub searches: u64,
    /// Milliseconds in which documents of folders were read.
    pub reading_ms: u64,
    /// Milliseconds in which passages were embedded.
    pub embedding_ms: u64,
    /// Milliseconds in which words were indexed.
    pub indexing_ms: u64,
}

/// See the module. Cheap to clone; the default has nothing, and never will.
#[derive(Clone)]
pub struct Library {
    shared: Arc<Shared>,
}

struct Shared {
    config: KnowledgeConfig,
    store: Option<Store>,
    /// Held while the documents change, in the database as well.
    books: Mutex<Books>,
    shelf: Mutex<Arc<Shelf>>,
    /// What embeds questions, as soon as there are passages to compare them with, or calls.
    asker: Mutex<Option<Embed>>,
    /// What that is, before it is there.
    asks_by: OnceLock<String>,
    /// What reads the best passages once more, if that is wanted, or what is in its way.
    reranker: Mutex<Option<Rerank>>,
    reranker_problem: OnceLock<String>,
    /// What disagrees in an index for somebody, once they have asked.
    conflicts: Mutex<(Weak<Index>, Viewer, Arc<[Conflict]>)>,
    /// See [`Library::compares`].
    compares: AtomicBool,
    /// See [`Library::embed_calls`].
    embeds_calls: AtomicBool,
    /// Wakes the thread that keeps this.
    wake: OnceLock<SyncSender<()>>,
    uploads: Arc<Semaphore>,
    /// One upload is read at a time: a reader may take a gigabyte.
    reading: Arc<Semaphore>,
    /// Documents of folders are seen by whom the configuration says.
    settled: AtomicBool,
    /// By name, the teams of those who are in one.
    teams: Mutex<BTreeMap<String, String>>,
    stopping: AtomicBool,
    counted: Counted,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Library {
    fn default() -> Self {
        Self::of(KnowledgeConfig::default(), None)
    }
}

impl Library {
    /// What `store` has of documents, as soon as it is [kept](Self::keep) or changed.
    #[must_use]
    pub fn new(config: KnowledgeConfig, store: Store) -> Self {
        Self::of(config, Some(store))
    }

    /// A library that never changes, for replay and tests.
    #[must_use]
    pub fn fixed(index: Index) -> Self {
        let library = Self::unverified(index);
        library.shared.compares.store(true, Release);
        library
    }

    /// The same, where it is not known what made the vectors.
    pub(crate) fn unverified(index: Index) -> Self {
        let library = Self::default();
        let index = Some(Arc::new(index)).filter(|index| !index.is_empty());
        *lock(&library.shared.shelf) = Arc::new(Shelf { index, documents: Vec::new() });
        library
    }

    /// The same, whose questions are embedded by `asker`.
    #[must_use]
    pub fn asked_by(self, asker: Embed) -> Self {
        *lock(&self.shared.asker) = Some(asker);
        self
    }

    fn of(config: KnowledgeConfig, store: Option<Store>) -> Self {
        Self {
            shared: Arc::new(Shared {
                config,
                store,
                books: Mutex::default(),
                shelf: Mutex::default(),
                asker: Mutex::default(),
                asks_by: OnceLock::new(),
                reranker: Mutex::default(),
                reranker_problem: OnceLock::new(),
                conflicts: Mutex::default(),
                compares: AtomicBool::new(false),
                embeds_calls: AtomicBool::new(false),
                wake: OnceLock::new(),
                uploads: Arc::new(Semaphore::new(UPLOADS)),
                reading: Arc::new(Semaphore::new(1)),
                settled: AtomicBool::new(false),
                teams: Mutex::default(),
                stopping: AtomicBool::new(false),
                counted: Counted::default(),
            }),
        }
    }

    /// What can be searched at this moment; none while there is nothing.
    #[must_use]
    pub fn index(&self) -> Option<Arc<Index>> {
        self.shared.shelf().index.clone()
    }

    /// Whether questions may be compared with the vectors of an [`index`](Self::index) that is asked for after this: before the
    /// embedding is open, those in the database may be another's.
    #[must_use]
    pub fn compares(&self) -> bool {
        self.shared.compares.load(Acquire)
    }

    /// The agent of this name, as whom passages are looked up on their calls. In which team they are is known as of when the
    /// folders were looked through last: whoever shows what was found asks again who may see it.
    #[must_use]
    pub fn agent(&self, name: Option<&str>) -> Viewer {
        let name = name.and_then(|name| people::name(name).ok());
        let teams = lock(&self.shared.teams);
        member(Role::Agent, name.and_then(|name| teams.get(&name)).map(String::as_str))
    }

    /// The teams there are: those that somebody is in, as of when the folders were looked through last, and those that
    /// documents or the configuration name.
    #[must_use]
    pub fn teams(&self) -> BTreeSet<String> {
        let mut teams = self.everywhere(Role::Admin).teams;
        teams.extend(lock(&self.shared.teams).values().cloned());
        teams.extend(self.team_sources().into_keys());
        teams
    }

    /// What the configuration has teams see that others do not.
    #[must_use]
    pub fn team_sources(&self) -> BTreeMap<String, TeamSources> {
        self.shared.config.teams()
    }

    /// Somebody of this role who is in every team that a document is for: as who decides which teams see it.
    #[must_use]
    pub fn everywhere(&self, role: Role) -> Viewer {
        let shelf = self.shared.shelf();
        let teams = shelf.documents.iter().flat_map(|one| one.row.teams.iter().cloned()).collect();
        Viewer { teams, ..viewer(role) }
    }

    /// The passages that answer a question best, of those that `viewer` may see, the best first. `context` is what was said
    /// before it, the newest first.
    ///
    /// Blocks for some tens of milliseconds, while the question is embedded.
    ///
    /// # Errors
    /// [`KnowledgeError::Words`].
    pub fn search(
        &self,
        text: &str,
        context: &[&str],
        viewer: &Viewer,
        limit: usize,
    ) -> Result<Vec<Hit>, KnowledgeError> {
        self.shared.counted.searches.fetch_add(1, Relaxed);
        // The embedding may be there for calls alone.
        if self.index().is_none() {
            return Ok(Vec::new());
        }
        let vector = self.meaning(text, context);
        let Some(index) = self.index() else { return Ok(Vec::new()) };
        let query = Query { text, context, vector: vector.as_deref(), ..Query::default() };
        let mut reranker = lock(&self.shared.reranker);
        if let Some(read) = reranker.as_mut() {
            return search_reranked(&index, &query, viewer, limit, read);
        }
        drop(reranker);
        index.search(&query, viewer, limit)
    }

    /// The folder of the cross-encoder that is to read the best passages once more, if one is configured.
    #[must_use]
    pub fn reranker_folder(&self) -> Option<&Path> {
        self.shared.config.reranker.as_deref()
    }

    /// From now on this one does. Where it cannot be opened, that is told among what is in the way.
    pub fn rerank_by(&self, opened: anyhow::Result<Rerank>) {
        match opened {
            Ok(read) => *lock(&self.shared.reranker) = Some(read),
            Err(error) => {
                tracing::warn!("passages stay in the order of the search: {error:#}");
                // It is opened once.
                let _ = self.shared.reranker_problem.set(format!("{error:#}"));
            }
        }
    }

    /// The meaning of a question, and of what was said before it, the newest first; none while there is nothing to embed it
    /// with, or where that fails: words have to do then. An index that is taken afterwards has no vectors of another embedding.
    ///
    /// Blocks for some tens of milliseconds.
    pub(crate) fn meaning(&self, text: &str, context: &[&str]) -> Option<Vec<f32>> {
        let embedded = meaning(lock(&self.shared.asker).as_mut()?, text, context);
        if let Err(error) = &embedded {
            tracing::warn!(%error, "a question is looked up by its words alone");
        }
        embedded.ok()
    }

    /// Has the embedding be there for what was said in calls too, also where nothing is written down. It comes after a while, if
    /// it can be had.
    pub(crate) fn embed_calls(&self) {
        if !self.shared.embeds_calls.swap(true, Relaxed) {
            self.shared.wake();
        }
    }

    /// The vectors of texts for questions to find, each of length one.
    ///
    /// Blocks for some tens of milliseconds a text; a question waits for one of them at most.
    ///
    /// # Errors
    /// When there is nothing to embed them with, or that fails.
    pub(crate) fn embedded(&self, texts: &[String]) -> anyhow::Result<Vec<Vec<f32>>> {
        let embedded = texts.iter().map(|text| -> anyhow::Result<Vec<f32>> {
            let mut asker = lock(&self.shared.asker);
            let embed = asker.as_mut().context("there is no sentence embedding")?;
            let vectors = embed(Purpose::Passage, &[text.as_str()][..])?;
            drop(asker);
            // A mutex is not fair: whoever waits for it gets it meanwhile.
            std::thread::sleep(Duration::from_millis(1));
            Ok(Query::blend(&vectors))
        });
        embedded.collect()
    }

    /// What tells the embedding of questions from others; nothing before it is there.
    pub(crate) fn asks_by(&self) -> String {
        self.shared.asks_by.get().cloned().unwrap_or_default()
    }

    /// Sentences of documents that `viewer` may see which disagree. What they may not see takes the place of none of these.
    ///
    /// Blocks for a second or so where there are tens of thousands of passages, the first time after something has changed, or
    /// somebody else has asked.
    #[must_use]
    pub fn conflicts(&self, viewer: &Viewer) -> Arc<[Conflict]> {
        let Some(index) = self.index() else { return Arc::default() };
        let mut known = lock(&self.shared.conflicts);
        // What is known keeps the place of its index, so that no other is there.
        if !std::ptr::eq(known.0.as_ptr(), Arc::as_ptr(&index)) || known.1 != *viewer {
            let seen = index.documents().filter(|document| document.visibility.allows(viewer));
            *known = (Arc::downgrade(&index), viewer.clone(), conflicts(seen).into());
        }
        known.2.clone()
    }

    /// The documents that `viewer` may see, by name.
    #[must_use]
    pub fn documents(&self, viewer: &Viewer) -> Vec<ListedDocument> {
        let shelf = self.shared.shelf();
        let seen = shelf.documents.iter().filter(|one| visibility(&one.row).allows(viewer));
        let listed = seen.map(|Shelved { row, passages, without_vector }| ListedDocument {
            id: row.name.clone(),
            title: row.title.clone(),
            source: match row.uploaded {
                true => DocumentSource::Upload,
                false if is_page(&row.name) => DocumentSource::Page,
                false => DocumentSource::Folder,
            },
            state: match (*passages, *without_vector) {
                (0, _) => DocumentState::Failed,
                (_, 0) => DocumentState::Ready,
                _ => DocumentState::Words,
            },
            changed_unix_ms: row.changed_unix_ms,
            bytes: row.bytes,
            version: row.version,
            passages: *passages,
            problem: row.problem.clone(),
            roles: row.roles.clone(),
            teams: row.teams.clone(),
        });
        listed.collect()
    }

    /// The document of this name, if it can be found and `viewer` may see it.
    #[must_use]
    pub fn document(&self, id: &str, viewer: &Viewer) -> Option<Arc<Document>> {
        let index = self.index()?;
        index.document(id).filter(|document| document.visibility.allows(viewer)).cloned()
    }

    /// Days after which a document that has not changed is called old.
    #[must_use]
    pub fn old_after_days(&self) -> u32 {
        self.shared.config.old_after_days
    }

    /// Bytes that an uploaded document may have.
    #[must_use]
    pub fn max_upload(&self) -> usize {
        (self.shared.config.max_upload_mb as usize) << 20
    }

    /// A place in memory for an upload, to be held from its first byte until it is taken in. Waits for one.
    ///
    /// # Errors
    /// When nothing is taken in any more.
    pub async fn place(&self) -> Result<OwnedSemaphorePermit, LibraryError> {
        Ok(self.shared.uploads.clone().acquire_owned().await.context("nothing is taken in any more")?)
    }

    /// Takes in what somebody uploads, in place of an earlier upload of that name that they may see; of `tickets` without the
    /// people in it. It can be found by its words when this returns. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`LibraryError::Name`], [`LibraryError::Kind`], [`LibraryError::Unreadable`], [`LibraryError::Full`],
    /// [`LibraryError::Taken`], and the rest.
    pub async fn upload(
        &self,
        name: &str,
        bytes: Vec<u8>,
        tickets: bool,
        visibility: Visibility,
        by: Viewer,
        now_unix_ms: u64,
    ) -> Result<(), LibraryError> {
        let name = upload_name(name)?;
        let (shared, runtime) = (self.shared.clone(), Handle::current());
        // Who gives up waiting leaves a reader behind, which counts.
        let reading = shared.reading.clone().acquire_owned().await.context("nothing is read any more")?;
        let put = move || {
            let size = bytes.len() as u64;
            let read = documents::read_bytes(Path::new(&name), bytes);
            drop(reading);
            let mut content = read.map_err(|error| LibraryError::Unreadable(format!("{error:#}")))?;
            if tickets {
                content = anonymised(content);
            }
            let taken = Taken::upload(&name, size, now_unix_ms, &visibility, content)?;
            shared.put_upload(&taken, &by, &runtime)
        };
        spawn_blocking(put).await.context("taking in a document")?
    }

    /// Removes an upload that `viewer` may see, from the database as well. It is not found when this returns. Must be called
    /// within a Tokio runtime.
    ///
    /// # Errors
    /// [`LibraryError::Unknown`], [`LibraryError::InFolder`], and the rest.
    pub async fn remove(&self, id: String, viewer: Viewer) -> Result<(), LibraryError> {
        let (shared, runtime) = (self.shared.clone(), Handle::current());
        spawn_blocking(move || shared.remove(&id, &viewer, &runtime)).await.context("removing a document")?
    }

    /// Has an upload that `viewer` may see be seen by these teams alone, or by all where there are none; its roles stay. So it
    /// is when this returns. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`LibraryError::Unknown`], [`LibraryError::InFolder`], and the rest.
    pub async fn show_to(
        &self,
        id: String,
        teams: BTreeSet<String>,
        viewer: Viewer,
    ) -> Result<(), LibraryError> {
        let (shared, runtime) = (self.shared.clone(), Handle::current());
        let show = move || shared.show_to(&id, &teams, &viewer, &runtime);
        spawn_blocking(show).await.context("saying who sees a document")?
    }

    /// Calls a team otherwise, for the people in it and for the uploads that it sees. So it is when this returns; cards that
    /// calls have shown keep the name they had. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`LibraryError::UnknownTeam`], [`LibraryError::InConfiguration`], [`StoreError::NameTaken`] where there is a team of the
    /// new name, and the rest.
    pub async fn rename_team(&self, from: String, to: String) -> Result<(), LibraryError> {
        let (shared, runtime) = (self.shared.clone(), Handle::current());
        spawn_blocking(move || shared.rename_team(&from, &to, &runtime)).await.context("renaming a team")?
    }

    /// What there is, and what was done.
    #[must_use]
    pub fn figures(&self) -> LibraryFigures {
        let (shelf, counted) = (self.shared.shelf(), &self.shared.counted);
        let documents = &shelf.documents;
        let found = documents.iter().filter(|one| one.passages > 0).count();
        LibraryFigures {
            documents: found as u64,
            failed: (documents.len() - found) as u64,
            passages: documents.iter().map(|one| one.passages as u64).sum(),
            without_vector: documents.iter().map(|one| one.without_vector as u64).sum(),
            embedded: counted.embedded.load(Relaxed),
            searches: counted.searches.load(Relaxed),
            reading_ms: counted.reading_ms.load(Relaxed),
            embedding_ms: counted.embedding_ms.load(Relaxed),
            indexing_ms: counted.indexing_ms.load(Relaxed),
        }
    }

    /// Keeps what can be found as the folders and the database have it, and embedded by what `open` opens, until this is
    /// [stopped](Self::stop) or nobody else has it. `told` hears after each round what is in the way, if anything is.
    ///
    /// Blocks for as long as that; must not be called on a thread of `runtime`.
    pub fn keep(
        self,
        runtime: &Handle,
        mut open: impl FnMut() -> anyhow::Result<Embed>,
        told: impl Fn(Option<String>),
    ) {
        let (wake, woken) = sync_channel(1);
        if self.shared.store.is_none() || self.shared.wake.set(wake).is_err() {
            return;
        }
        let (kept, config) = (Arc::downgrade(&self.shared), self.shared.config.clone());
        drop(self);
        let mut keeper = Keeper::new(&config);
        while let Some(shared) = kept.upgrade().filter(|shared| !shared.stopping.load(Relaxed)) {
            let problems = shared.round(runtime, &mut keeper, &mut open);
            let patience = if problems.is_empty() { Duration::MAX } else { RETRY };
            told((!problems.is_empty()).then(|| problems.join("; ")));
            let patience = patience.min(keeper.next_at().saturating_duration_since(Instant::now()));
            // Whoever has it last lets go of what wakes this thread.
            drop(shared);
            if woken.recv_timeout(patience) == Err(RecvTimeoutError::Disconnected) {
                return;
            }
        }
    }

    /// Has [`Self::keep`] return soon: what it has kept so far is there at the next start.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Relaxed);
        self.shared.wake();
    }
}

/// What the thread that keeps a library remembers.
struct Keeper {
    /// When folders are looked through.
    look_at: Instant,
    /// Nothing is looked at before, since something has failed.
    not_before: Instant,
    /// What was in the way when they were.
    problems: Vec<String>,
    /// Documents that could not be read since the start. Whatever failed before is tried once more.
    failed: HashSet<String>,
    pages: Pages,
    /// By their names, what was in the way of pages when they were fetched last.
    page_problems: BTreeMap<String, String>,
}

impl Keeper {
    fn new(config: &KnowledgeConfig) -> Self {
        Self {
            look_at: Instant::now(),
            not_before: Instant::now(),
            problems: Vec::new(),
            failed: HashSet::new(),
            pages: Pages::new(&config.pages),
            page_problems: BTreeMap::new(),
        }
    }

    /// When there is something to look at next.
    fn next_at(&self) -> Instant {
        self.pages.next_at().map_or(self.look_at, |at| at.min(self.look_at)).max(self.not_before)
    }
}

impl Shared {
    fn store(&self) -> Result<&Store, LibraryError> {
        self.store.as_ref().ok_or(LibraryError::Fixed)
    }

    fn shelf(&self) -> Arc<Shelf> {
        lock(&self.shelf).clone()
    }

    fn wake(&self) {
        // One that waits already is enough.
        let _ = self.wake.get().map(|wake| wake.try_send(()));
    }

    /// Everything that there is to do now; what was in the way.
    fn round(
        &self,
        runtime: &Handle,
        keeper: &mut Keeper,
        open: &mut impl FnMut() -> anyhow::Result<Embed>,
    ) -> Vec<String> {
        // What the database has can be found at once after a start.
        let mut worked = self.refresh(runtime);
        if worked.is_ok() && keeper.look_at <= Instant::now() {
            worked = self.look(runtime, keeper).and_then(|()| self.refresh(runtime));
            keeper.look_at = Instant::now() + Duration::from_secs(self.config.look_every_s.into());
        }
        let worked = worked.and_then(|()| self.look_at_page(runtime, keeper));
        if worked.is_err() {
            // What was due is due still.
            keeper.not_before = Instant::now() + RETRY;
        }
        let worked = worked.and_then(|()| self.understand(runtime, open));
        let mut problems = keeper.problems.clone();
        problems.extend(keeper.page_problems.values().cloned());
        problems.extend(self.reranker_problem.get().cloned());
        if let Err(error) = worked {
            tracing::warn!("documents are not as they should be: {error:#}");
            problems.push(format!("{error:#}"));
        }
        problems
    }

    /// Has what the database has be found.
    fn refresh(&self, runtime: &Handle) -> anyhow::Result<()> {
        let mut books = lock(&self.books);
        self.follow(&mut books, runtime)?;
        if books.is_ahead {
            self.publish(&mut books)?;
        }
        Ok(())
    }

    /// Takes over what the database has. The first time, what lies in folders is seen by whom the configuration says by now,
    /// before anybody finds it.
    fn follow(&self, books: &mut Books, runtime: &Handle) -> anyhow::Result<()> {
        let store = self.store()?;
        if !self.settled.load(Relaxed) {
            runtime.block_on(settle(store, &self.config))?;
            self.settled.store(true, Relaxed);
        }
        let people = runtime.block_on(store.users()).context("reading who is in which team")?;
        *lock(&self.teams) = people.into_iter().filter_map(|user| Some((user.name, user.team?))).collect();
        runtime.block_on(books.sync(store))
    }

    /// Lets what there is be found.
    fn publish(&self, books: &mut Books) -> anyhow::Result<()> {
        let begun = Instant::now();
        let index = Some(Arc::new(books.hub.index()?)).filter(|index| !index.is_empty());
        let documents = books.rows.values().map(|row| {
            let document = books.hub.document(&row.name);
            Shelved {
                row: row.clone(),
                passages: document.map_or(0, |document| document.passages.len()),
                without_vector: document.map_or(0, Document::without_vector),
            }
        });
        let shelf = Shelf { index, documents: documents.collect() };
        *lock(&self.shelf) = Arc::new(shelf);
        // Sentences of what is removed are in no memory.
        *lock(&self.conflicts) = Default::default();
        books.is_ahead = false;
        add(&self.counted.indexing_ms, begun);
        Ok(())
    }

    /// Looks through the folders, and has the database follow them.
    fn look(&self, runtime: &Handle, keeper: &mut Keeper) -> anyhow::Result<()> {
        let store = self.store()?;
        let known: BTreeMap<String, DocumentRow> = {
            let books = lock(&self.books);
            let of_folders = books.rows.iter().filter(|(_, row)| !row.uploaded);
            let known = of_folders.map(|(name, row)| {
                // Whatever is not found is to be read once more.
                let lacks = || books.hub.document(name).is_none().then(|| "it cannot be found".to_owned());
                (name.clone(), DocumentRow { problem: row.problem.clone().or_else(lacks), ..row.clone() })
            });
            known.collect()
        };
        let mut there = HashSet::new();
        let mut published = Instant::now();
        keeper.problems.clear();
        for folder in &self.config.folders {
            let Some(called) = folder.name() else { continue };
            let found = match documents::find(&folder.path) {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(folder = called, "cannot be looked through: {error:#}");
                    keeper.problems.push(format!("the folder {called} cannot be looked through"));
                    // It is away, perhaps, and comes back with what is in it.
                    let inside = known.keys().filter(|name| is_inside(name, called));
                    there.extend(inside.cloned());
                    continue;
                }
            };
            let visibility = folder.visibility();
            for file in found {
                if self.stopping.load(Relaxed) {
                    return Ok(());
                }
                let name = format!("{called}/{}", file.name);
                there.insert(name.clone());
                let is_known = known.get(&name).is_some_and(|row| {
                    is_as_it_was(&file, row.changed_unix_ms, row.bytes)
                        && (row.problem.is_none() || keeper.failed.contains(&name))
                });
                if is_known {
                    continue;
                }
                let begun = Instant::now();
                let mut read = documents::read(&file.path);
                if folder.tickets {
                    read = read.map(anonymised);
                }
                add(&self.counted.reading_ms, begun);
                let taken = Taken::of(&name, file.changed_unix_ms, file.bytes, &visibility, read)?;
                if let Some(problem) = &taken.row.problem {
                    tracing::warn!(document = name, problem, "a document cannot be read as a whole");
                    keeper.failed.insert(name);
                }
                runtime.block_on(taken.keep_in(store))?;
                if published.elapsed() >= PUBLISHED_EVERY {
                    self.refresh(runtime)?;
                    published = Instant::now();
                }
            }
        }
        // They are fetched beside this.
        there.extend(self.config.pages.names());
        for gone in known.keys().filter(|name| !there.contains(*name)) {
            runtime.block_on(store.remove_document(gone))?;
        }
        Ok(())
    }

    /// Fetches the next page that is due, if one is, and has the database follow it.
    fn look_at_page(&self, runtime: &Handle, keeper: &mut Keeper) -> anyhow::Result<()> {
        let Some((name, fetched)) = keeper.pages.next(Instant::now()) else { return Ok(()) };
        keeper.page_problems.remove(&name);
        let kept = self.keep_page(runtime, keeper, &name, fetched);
        if kept.is_err() {
            // Its server would say that nothing has changed since.
            keeper.pages.not_kept(&name, Instant::now());
        }
        kept
    }

    /// Has the database follow what has become of a page.
    fn keep_page(
        &self,
        runtime: &Handle,
        keeper: &mut Keeper,
        name: &str,
        fetched: anyhow::Result<Fetched>,
    ) -> anyhow::Result<()> {
        let (store, known) = (self.store()?, lock(&self.books).rows.get(name).cloned());
        let taken = |changed_unix_ms, bytes, read| {
            Taken::of(name, changed_unix_ms, bytes, &self.config.pages.visibility(), read)
        };
        let taken = match fetched {
            Ok(Fetched::Unchanged) => return Ok(()),
            Ok(Fetched::Gone) => {
                runtime.block_on(store.remove_document(name))?;
                return self.refresh(runtime);
            }
            Ok(Fetched::Page { extension, bytes, changed_unix_ms }) => {
                let (begun, size) = (Instant::now(), bytes.len() as u64);
                let read = documents::read_bytes(Path::new(&format!("page.{extension}")), bytes);
                add(&self.counted.reading_ms, begun);
                let now = documents::unix_ms(SystemTime::now());
                let mut taken = taken(changed_unix_ms.unwrap_or(now), size, read)?;
                // Where nobody says when it was changed, that is when it was first found to be so.
                let same = known.filter(|row| changed_unix_ms.is_none() && row.hash == taken.row.hash);
                taken.row.changed_unix_ms = same.map_or(taken.row.changed_unix_ms, |row| row.changed_unix_ms);
                taken
            }
            Err(error) => {
                tracing::warn!(page = name, "cannot be fetched: {error:#}");
                keeper.page_problems.insert(name.to_owned(), format!("the page {name} cannot be fetched"));
                // It is away, perhaps, and comes back; what stood there can be found until then.
                if known.is_some() {
                    return Ok(());
                }
                taken(0, 0, Err(error))?
            }
        };
        runtime.block_on(taken.keep_in(store))?;
        self.refresh(runtime)
    }

    /// Has embedded what is not.
    fn understand(
        &self,
        runtime: &Handle,
        open: &mut impl FnMut() -> anyhow::Result<Embed>,
    ) -> anyhow::Result<()> {
        let has_passages = lock(&self.books).hub.passages().0 > 0;
        if !has_passages && !self.embeds_calls.load(Relaxed) {
            return Ok(());
        }
        let by_words = "passages are found by their words alone";
        let has_asker = lock(&self.asker).is_some();
        if !has_asker && let Err(error) = self.have_asker(runtime, open) {
            if has_passages {
                return Err(error.context(by_words));
            }
            // It is looked for again when folders are; nothing that is written down is found the worse for it.
            tracing::warn!("calls are found by their words alone: {error:#}");
            return Ok(());
        }
        let lacking = || lock(&self.books).hub.passages().1;
        if lacking() > 0 {
            // One of its own, for as long as it takes: questions do not wait for it.
            self.embed(runtime, &mut open().context(by_words)?).context(by_words)?;
        }
        Ok(())
    }

    /// Opens what embeds questions.
    fn have_asker(
        &self,
        runtime: &Handle,
        open: &mut impl FnMut() -> anyhow::Result<Embed>,
    ) -> anyhow::Result<()> {
        let mut asker = open()?;
        let model = fingerprint_of(&mut asker)?;
        let mut books = lock(&self.books);
        if books.embedded_by(&model) {
            runtime.block_on(self.store()?.keep_embeddings_of(&model))?;
            self.publish(&mut books)?;
        }
        let mut place = lock(&self.asker);
        // There is one embedding for as long as the program runs.
        let _ = self.asks_by.set(model);
        *place = Some(asker);
        drop(place);
        self.compares.store(true, Release);
        Ok(())
    }

    fn embed(&self, runtime: &Handle, embed: &mut Embed) -> anyhow::Result<()> {
        let store = self.store()?;
        let mut published = Instant::now();
        while !self.stopping.load(Relaxed) {
            let lacking = lock(&self.books).hub.lacking(BATCH);
            if lacking.is_empty() {
                break;
            }
            let begun = Instant::now();
            let texts: Vec<&str> = lacking.iter().map(|one| one.text.as_str()).collect();
            let vectors = by_document(&lacking, embed(Purpose::Passage, texts.as_slice())?)?;
            add(&self.counted.embedding_ms, begun);
            let mut books = lock(&self.books);
            books.is_ahead = true;
            // What has gone meanwhile is kept nowhere.
            let rows = rows(&vectors, &books);
            runtime.block_on(store.put_embeddings(&rows))?;
            for (document, vectors) in &vectors {
                books.hub.give(document, vectors)?;
            }
            self.counted.embedded.fetch_add(rows.len() as u64, Relaxed);
            if published.elapsed() >= PUBLISHED_EVERY {
                self.follow(&mut books, runtime)?;
                self.publish(&mut books)?;
                published = Instant::now();
            }
        }
        self.publish(&mut lock(&self.books))
    }

    fn put_upload(&self, taken: &Taken, by: &Viewer, runtime: &Handle) -> Result<(), LibraryError> {
        let store = self.store()?;
        let mut books = lock(&self.books);
        self.follow(&mut books, runtime)?;
        let name = &taken.row.name;
        match books.rows.get(name) {
            Some(row) if row.uploaded && visibility(row).allows(by) => {}
            Some(_) => return Err(LibraryError::Taken(name.clone())),
            None => {
                let uploads = books.rows.values().filter(|row| row.uploaded).count();
                if uploads >= self.config.max_uploads as usize {
                    return Err(LibraryError::Full(self.config.max_uploads));
                }
            }
        }
        runtime.block_on(taken.keep_in(store))?;
        self.follow(&mut books, runtime)?;
        self.publish(&mut books)?;
        self.wake();
        Ok(())
    }

    fn remove(&self, id: &str, viewer: &Viewer, runtime: &Handle) -> Result<(), LibraryError> {
        let store = self.store()?;
        let mut books = lock(&self.books);
        self.follow(&mut books, runtime)?;
        match books.rows.get(id).filter(|row| visibility(row).allows(viewer)) {
            None => return Err(LibraryError::Unknown),
            Some(row) if !row.uploaded => return Err(LibraryError::InFolder(id.to_owned())),
            Some(_) => {}
        }
        runtime.block_on(store.remove_document(id))?;
        self.follow(&mut books, runtime)?;
        self.publish(&mut books)?;
        Ok(())
    }

    fn show_to(
        &self,
        id: &str,
        teams: &BTreeSet<String>,
        viewer: &Viewer,
        runtime: &Handle,
    ) -> Result<(), LibraryError> {
        let store = self.store()?;
        let mut books = lock(&self.books);
        self.follow(&mut books, runtime)?;
        let row = books.rows.get(id).filter(|row| visibility(row).allows(viewer));
        let row = row.ok_or(LibraryError::Unknown)?;
        if !row.uploaded {
            return Err(LibraryError::InFolder(id.to_owned()));
        }
        runtime.block_on(store.show_document_to(id, teams, &row.roles))?;
        self.follow(&mut books, runtime)?;
        self.publish(&mut books)?;
        Ok(())
    }

    fn rename_team(&self, from: &str, to: &str, runtime: &Handle) -> Result<(), LibraryError> {
        let configured = self.config.teams();
        if configured.contains_key(from) {
            return Err(LibraryError::InConfiguration(from.to_owned()));
        }
        if configured.contains_key(to) {
            return Err(StoreError::NameTaken(to.to_owned()).into());
        }
        let store = self.store()?;
        let mut books = lock(&self.books);
        if !runtime.block_on(store.rename_team(from, to))? {
            return Err(LibraryError::UnknownTeam);
        }
        self.follow(&mut books, runtime)?;
        self.publish(&mut books)?;
        Ok(())
    }
}

/// Has what lies in folders, and pages, be seen by whom these say, and what is neither be gone. A folder that is away, or takes
/// long to be looked through, would otherwise be seen as it was when it was read.
async fn settle(store: &Store, config: &KnowledgeConfig) -> anyhow::Result<()> {
    let pages = config.pages.names();
    for row in store.documents().await?.iter().filter(|row| !row.uploaded) {
        let has = |folder: &&KnowledgeFolder| folder.name().is_some_and(|name| is_inside(&row.name, name));
        let folder = config.folders.iter().find(has);
        let of_page = || pages.contains(&row.name).then(|| config.pages.visibility());
        let Some(seen) = folder.map(KnowledgeFolder::visibility).or_else(of_page) else {
            store.remove_document(&row.name).await?;
            continue;
        };
        if seen != visibility(row) {
            store.show_document_to(&row.name, &seen.teams, &seen.roles).await?;
        }
        if folder.is_some_and(|folder| folder.tickets) {
            settle_ticket(store, row, &seen).await?;
        }
    }
    Ok(())
}

/// Has a document that was taken in before its folder was one of tickets be without people.
async fn settle_ticket(store: &Store, row: &DocumentRow, seen: &Visibility) -> anyhow::Result<()> {
    let kept = store.document_content(&row.name).await?.unwrap_or_default();
    // Empty where nothing could be read.
    let Ok(content) = serde_json::from_str::<Content>(&kept) else { return Ok(()) };
    let without = anonymised(content.clone());
    if without != content {
        let taken = Taken::of(&row.name, row.changed_unix_ms, row.bytes, seen, Ok(without))?;
        taken.keep_in(store).await?;
    }
    Ok(())
}

/// Who may see a document.
pub(crate) fn visibility(row: &DocumentRow) -> Visibility {
    Visibility { teams: row.teams.clone(), roles: row.roles.clone() }
}

/// Whether a document of this name is in the folder that is called so.
fn is_inside(name: &str, folder: &str) -> bool {
    name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// Vectors as they are kept, of passages that are there.
fn rows(vectors: &BTreeMap<&str, HashMap<[u8; 32], Vec<f32>>>, books: &Books) -> Vec<EmbeddingRow> {
    let each = vectors.iter().flat_map(|(document, vectors)| vectors.iter().map(move |one| (*document, one)));
    let there = each.filter(|(document, (passage, _))| books.has(document, passage));
    let rows = there.map(|(document, (passage, vector))| EmbeddingRow {
        document: document.to_owned(),
        passage: *passage,
        model: books.model.clone(),
        vector: bytes(vector),
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::sync::mpsc::channel;

    use futures::FutureExt as _;
    use sotto_store::testing;

    use super::*;

    #[test]
    fn a_cross_encoder_has_the_best_in_its_order_and_where_it_fails_they_stay() {
        let mut hub = Hub::new();
        for (id, text) in [("a.txt", "A refund takes three days."), ("b.txt", "A refund takes a signature.")]
        {
            hub.put(Paper {
                id: id.to_owned(),
                changed_unix_ms: 1,
                visibility: Visibility::default(),
                bytes: 0,
                content: Content::plain("Refunds", text),
            });
        }
        let library = Library::fixed(hub.index().unwrap());
        let first = || {
            let question = "How long does a refund take?";
            let hits = library.search(question, &["It is for my mother."], &viewer(Role::Agent), 1).unwrap();
            assert_eq!(hits.len(), 1);
            (hits[0].document.id.clone(), hits[0].why.reranked)
        };
        let by_search = first();
        library.rerank_by(Err(anyhow::anyhow!("there is none")));
        assert_eq!((first(), by_search.1), (by_search.clone(), None));
        for (document, liked) in [("a.txt", "three days"), ("b.txt", "a signature")] {
            let read = move |question: &str, passages: &[&str]| -> anyhow::Result<Vec<f32>> {
                assert_eq!(question, "It is for my mother. How long does a refund take?");
                Ok(passages.iter().map(|passage| if passage.contains(liked) { 0.75 } else { 0.25 }).collect())
            };
            library.rerank_by(Ok(Box::new(read)));
            assert_eq!(first(), (document.to_owned(), Some(0.75)));
        }
        let fails = |_: &str, _: &[&str]| -> anyhow::Result<Vec<f32>> { Err(anyhow::anyhow!("away")) };
        library.rerank_by(Ok(Box::new(fails)));
        assert_eq!(first(), by_search);
    }

    #[tokio::test]
    async fn a_team_that_the_configuration_names_is_renamed_there() {
        let folder = |path: &str, teams: &[&str]| KnowledgeFolder {
            path: path.into(),
            teams: teams.iter().map(|team| (*team).to_owned()).collect(),
            roles: Vec::new(),
            tickets: false,
        };
        let pages = PagesConfig { teams: vec!["loans".to_owned()], ..PagesConfig::default() };
        let folders = vec![folder("/srv/fees", &["cards", "loans"]), folder("/srv/all", &[])];
        let config = KnowledgeConfig { folders, pages, ..KnowledgeConfig::default() };
        let sources = |pages| TeamSources { folders: vec!["fees".to_owned()], pages };
        let expected = [("cards", sources(false)), ("loans", sources(true))];
        assert_eq!(config.teams(), BTreeMap::from(expected.map(|(team, sees)| (team.to_owned(), sees))));
        let library = Library::of(config, None);
        let renamed = library.rename_team("cards".to_owned(), "debit".to_owned()).await;
        assert!(matches!(renamed, Err(LibraryError::InConfiguration(team)) if team == "cards"));
        let renamed = library.rename_team("debit".to_owned(), "cards".to_owned()).await;
        assert!(matches!(renamed, Err(LibraryError::Store(StoreError::NameTaken(_)))));
        assert_eq!(library.teams().into_iter().collect::<Vec<_>>(), ["cards", "loans"]);
    }

    /// Says what a text is about by the words that it has, and what was embedded as a passage.
    fn embedding(embedded: &Arc<Mutex<Vec<String>>>) -> Embed {
        let embedded = embedded.clone();
        Box::new(move |purpose: Purpose, texts: &[&str]| -> anyhow::Result<Vec<Vec<f32>>> {
            if purpose == Purpose::Passage && texts != &FINGERPRINT_OF[..] {
                lock(&embedded).extend(texts.iter().map(|text| (*text).to_owned()));
            }
            let has = |text: &str, words: &[&str]| words.iter().filter(|word| text.contains(**word)).count();
            let about = |text: &&str| {
                vec![has(text, &["refund", "money"]) as f32, has(text, &["lesson", "teacher"]) as f32, 0.5]
            };
            Ok(texts.iter().map(about).collect())
        })
    }

    struct Bench {
        store: Store,
        config: KnowledgeConfig,
        /// What was embedded so far.
        embedded: Arc<Mutex<Vec<String>>>,
        folder: tempfile::TempDir,
        _store_in: tempfile::TempDir,
    }

    impl Bench {
        /// With a folder `all` for everybody, and `few` for supervisors.
        async fn new() -> Self {
            let ((store, store_in), folder) = (testing::sqlite().await, tempfile::tempdir().unwrap());
            let part = |name: &str, roles| {
                let path = folder.path().join(name);
                fs::create_dir(&path).unwrap();
                KnowledgeFolder { path, teams: Vec::new(), roles, tickets: false }
            };
            let folders = vec![part("all", Vec::new()), part("few", vec![Role::Supervisor])];
            let config = KnowledgeConfig { folders, look_every_s: 0, ..KnowledgeConfig::default() };
            Self { store, config, embedded: Arc::default(), folder, _store_in: store_in }
        }

        fn library(&self) -> Library {
            Library::new(self.config.clone(), self.store.clone())
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.folder.path().join(name), text).unwrap();
        }

        /// One round of the thread that keeps a library, with this embedding; what was in the way.
        async fn round(&self, library: &Library, embed: impl Fn() -> Embed + Send + 'static) -> Vec<String> {
            let (shared, runtime) = (library.shared.clone(), Handle::current());
            let round = move || {
                shared.round(&runtime, &mut Keeper::new(&KnowledgeConfig::default()), &mut || Ok(embed()))
            };
            spawn_blocking(round).await.unwrap()
        }

        /// What the database has, without a look at the folders.
        async fn refreshed(&self, library: &Library) {
            let (shared, runtime) = (library.shared.clone(), Handle::current());
            spawn_blocking(move || shared.refresh(&runtime)).await.unwrap().unwrap();
        }

        /// The same with one that works.
        async fn kept(&self, library: &Library) -> Vec<String> {
            let embedded = self.embedded.clone();
            self.round(library, move || embedding(&embedded)).await
        }
    }

    fn ids(library: &Library, role: Role) -> Vec<String> {
        library.documents(&viewer(role)).into_iter().map(|one| one.id).collect()
    }

    /// The figures of which nothing can be foretold.
    fn times_of(library: &Library) -> LibraryFigures {
        let LibraryFigures { reading_ms, embedding_ms, indexing_ms, .. } = library.figures();
        LibraryFigures { reading_ms, embedding_ms, indexing_ms, ..LibraryFigures::default() }
    }

    fn found(library: &Library, text: &str, role: Role) -> Vec<String> {
        let hits = library.search(text, &[], &viewer(role), 10).unwrap();
        hits.into_iter().map(|hit| hit.document.id.clone()).collect()
    }

    #[tokio::test]
    async fn pages_are_documents_in_versions_until_they_are_gone_or_named_no_more() {
        let mut bench = Bench::new().await;
        bench.config.pages = PagesConfig {
            enabled: true,
            addresses: vec!["https://help.example/refunds".to_owned()],
            hosts: vec!["help.example".to_owned()],
            teams: vec!["cards".to_owned()],
            ..PagesConfig::default()
        };
        let library = bench.library();
        let round = async |library: &Library, says: Result<Option<&'static str>, &'static str>| {
            let text = move |_: &str| says.map(|text| text.map(str::to_owned)).map_err(anyhow::Error::msg);
            let pages = Pages::serving(&bench.config.pages, text);
            let mut keeper = Keeper { pages, ..Keeper::new(&bench.config) };
            let (shared, runtime) = (library.shared.clone(), Handle::current());
            let embedded = bench.embedded.clone();
            let round = move || shared.round(&runtime, &mut keeper, &mut || Ok(embedding(&embedded)));
            spawn_blocking(round).await.unwrap()
        };
        let listed = |library: &Library| {
            let listed = library.documents(&member(Role::Agent, Some("cards")));
            listed.into_iter().map(|one| (one.id, one.source, one.version, one.state)).collect::<Vec<_>>()
        };
        let page = |version, state| {
            vec![("https://help.example/refunds".to_owned(), DocumentSource::Page, version, state)]
        };
        let text = Some("The refund takes three days.");
        assert_eq!(
            round(&library, Err("away")).await,
            ["the page https://help.example/refunds cannot be fetched"]
        );
        assert_eq!(listed(&library), page(1, DocumentState::Failed));
        assert_eq!(round(&library, Ok(text)).await, [""; 0]);
        assert_eq!(listed(&library), page(2, DocumentState::Ready));
        assert!(library.documents(&viewer(Role::Admin)).is_empty(), "it is for a team");
        round(&library, Ok(text)).await;
        round(&library, Err("away")).await;
        assert_eq!(
            listed(&library),
            page(2, DocumentState::Ready),
            "what has not changed, and what is away, stays"
        );
        round(&library, Ok(Some("The refund takes four days."))).await;
        assert_eq!(listed(&library), page(3, DocumentState::Ready));
        round(&library, Ok(None)).await;
        assert!(listed(&library).is_empty());
        round(&library, Ok(text)).await;
        assert_eq!(listed(&library), page(1, DocumentState::Ready));
        bench.config.pages.enabled = false;
        let without = bench.library();
        bench.kept(&without).await;
        assert!(listed(&without).is_empty());
    }

    #[tokio::test]
    async fn a_database_that_is_away_is_not_asked_again_at_once() {
        let bench = Bench::new().await;
        let library = bench.library();
        bench.store.close().await;
        let mut keeper = Keeper::new(&bench.config);
        let (shared, runtime, embedded) = (library.shared.clone(), Handle::current(), bench.embedded.clone());
        let round = move || {
            let problems = shared.round(&runtime, &mut keeper, &mut || Ok(embedding(&embedded)));
            (problems.len(), keeper.next_at())
        };
        let (problems, next_at) = spawn_blocking(round).await.unwrap();
        assert_eq!(problems, 1);
        assert!(next_at > Instant::now() + RETRY / 2);
    }

    #[tokio::test]
    async fn a_folder_is_followed_and_a_restart_embeds_nothing_again() {
        let bench = Bench::new().await;
        let library = bench.library();
        assert!(library.index().is_none());
        bench.write("all/refunds.txt", "The refund takes three days.");
        bench.write("all/lessons.txt", "A lesson takes fifty minutes.");
        bench.write("few/secret.txt", "The teacher is paid ten pounds.");
        assert_eq!(bench.kept(&library).await, [""; 0]);
        assert_eq!(library.index().unwrap().len(), 3);
        assert_eq!(lock(&bench.embedded).len(), 3);
        let everything = ["all/lessons.txt", "all/refunds.txt", "few/secret.txt"];
        assert_eq!(ids(&library, Role::Supervisor), everything);
        assert_eq!(ids(&library, Role::Agent), everything[..2]);
        assert!(library.documents(&viewer(Role::Agent)).iter().all(|one| one.state == DocumentState::Ready));
        assert_eq!(found(&library, "Which teacher?", Role::Supervisor)[0], "few/secret.txt");
        assert!(!found(&library, "Which teacher is paid?", Role::Agent).contains(&everything[2].to_owned()));
        assert!(library.document("few/secret.txt", &viewer(Role::Agent)).is_none());
        let secret = library.document("few/secret.txt", &viewer(Role::Supervisor)).unwrap();
        assert_eq!(secret.text, "The teacher is paid ten pounds.");

        // Somebody starts it again.
        let again = bench.library();
        assert!(!again.compares(), "what the database has may be of another embedding");
        assert!(bench.kept(&again).await.is_empty());
        assert!(again.compares());
        assert_eq!((lock(&bench.embedded).len(), again.figures().embedded), (3, 0));
        assert_eq!(again.figures(), LibraryFigures { documents: 3, passages: 3, ..times_of(&again) });
        assert_eq!(found(&again, "money", Role::Agent)[0], "all/refunds.txt", "by its meaning");
    }

    #[tokio::test]
    async fn what_changes_is_read_again_and_what_goes_is_gone() {
        let bench = Bench::new().await;
        let library = bench.library();
        bench.write("all/a.txt", "One zebra.");
        bench.write("all/b.txt", "Two pounds.");
        bench.kept(&library).await;
        bench.write("all/a.txt", "Three zebras and a lesson.");
        fs::remove_file(bench.folder.path().join("all/b.txt")).unwrap();
        bench.kept(&library).await;
        let listed = library.documents(&viewer(Role::Agent));
        assert_eq!((listed.len(), listed[0].id.as_str(), listed[0].version), (1, "all/a.txt", 2));
        assert_eq!(
            *lock(&bench.embedded),
            ["all/a.txt: One zebra.", "all/b.txt: Two pounds.", "all/a.txt: Three zebras and a lesson."]
        );
        assert!(bench.store.embeddings("all/b.txt").await.unwrap().is_empty());
        assert_eq!(bench.store.embeddings("all/a.txt").await.unwrap().len(), 1);
        // A folder that is away takes nothing along.
        fs::rename(bench.folder.path().join("all"), bench.folder.path().join("away")).unwrap();
        assert_eq!(bench.kept(&library).await, ["the folder all cannot be looked through"]);
        assert_eq!(ids(&library, Role::Agent), ["all/a.txt"]);
        // Nor does one that nobody wants any more stay.
        let fewer = Library::new(
            KnowledgeConfig { folders: Vec::new(), ..bench.config.clone() },
            bench.store.clone(),
        );
        bench.kept(&fewer).await;
        assert!(fewer.index().is_none() && bench.store.documents().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn who_sees_a_folder_is_as_configured_before_it_is_looked_through() {
        let bench = Bench::new().await;
        bench.write("all/a.txt", "One zebra.");
        bench.write("few/b.txt", "Two pounds.");
        bench.kept(&bench.library()).await;
        let mut config = bench.config.clone();
        config.folders[0].roles = vec![Role::Supervisor];
        config.folders.truncate(1);
        let library = Library::new(config, bench.store.clone());
        bench.refreshed(&library).await;
        assert_eq!(ids(&library, Role::Supervisor), ["all/a.txt"], "a folder less");
        assert!(ids(&library, Role::Agent).is_empty() && found(&library, "zebra", Role::Agent).is_empty());
        // It is not read again for that: nothing tells this from what was there before.
        let path = bench.folder.path().join("all/a.txt");
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, "Six zebra.").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        bench.kept(&library).await;
        assert!(ids(&library, Role::Agent).is_empty());
        let document = library.document("all/a.txt", &viewer(Role::Supervisor)).unwrap();
        assert_eq!((document.text.as_str(), document.without_vector()), ("One zebra.", 0));
    }

    #[tokio::test]
    async fn people_are_taken_out_of_tickets_also_when_it_is_said_later_that_they_are_some() {
        let bench = Bench::new().await;
        bench.write("all/a.txt", "My name is Rose Brown and I want a zebra.");
        bench.kept(&bench.library()).await;
        let mut config = bench.config.clone();
        config.folders[0].tickets = true;
        let library = Library::new(config, bench.store.clone());
        bench.refreshed(&library).await;
        let text = |id: &str| library.document(id, &viewer(Role::Agent)).unwrap().text.clone();
        assert_eq!(text("all/a.txt"), "My name is •••• and I want a zebra.");
        assert!(!bench.store.document_content("all/a.txt").await.unwrap().unwrap().contains("Rose"));
        bench.write("all/b.txt", "Dear Mr. Smith, two zebras.");
        bench.kept(&library).await;
        assert_eq!(text("all/b.txt"), "Dear Mr. ••••, two zebras.");
        let (seen, by) = (seen_by(&[]), viewer(Role::Supervisor));
        library.upload("c.txt", b"Dear Mr. Smith, three.".to_vec(), true, seen, by, 7).await.unwrap();
        assert_eq!(text("c.txt"), "Dear Mr. ••••, three.");
        assert!(lock(&bench.embedded).iter().all(|text| !text.contains("Smith")));
    }

    #[tokio::test]
    async fn what_was_taken_over_is_published_though_something_failed_before_it_was() {
        let bench = Bench::new().await;
        let library = bench.library();
        bench.write("all/a.txt", "One zebra.");
        bench.write("all/b.txt", "Two pounds.");
        bench.kept(&library).await;
        bench.store.remove_document("all/b.txt").await.unwrap();
        let (shared, store, runtime) = (library.shared.clone(), bench.store.clone(), Handle::current());
        let taken_over = move || runtime.block_on(lock(&shared.books).sync(&store));
        spawn_blocking(taken_over).await.unwrap().unwrap();
        assert_eq!(ids(&library, Role::Agent), ["all/a.txt", "all/b.txt"]);
        bench.refreshed(&library).await;
        assert_eq!(ids(&library, Role::Agent), ["all/a.txt"]);
        assert!(found(&library, "pounds", Role::Agent).iter().all(|id| id == "all/a.txt"));
    }

    #[tokio::test]
    async fn what_cannot_be_read_says_why_and_is_not_read_again_until_it_changes() {
        let bench = Bench::new().await;
        let library = bench.library();
        let path = bench.folder.path().join("all/b.txt");
        fs::write(&path, [0xff, 0xfe]).unwrap();
        bench.write("all/a.txt", "One zebra.");
        let round = |mut keeper: Keeper| {
            let (shared, runtime) = (library.shared.clone(), Handle::current());
            let embedded = bench.embedded.clone();
            let round = move || {
                let problems = shared.round(&runtime, &mut keeper, &mut || Ok(embedding(&embedded)));
                assert!(problems.is_empty(), "the others are found: {problems:?}");
                keeper
            };
            async move { spawn_blocking(round).await.unwrap() }
        };
        let keeper = round(Keeper::new(&KnowledgeConfig::default())).await;
        let failed = &library.documents(&viewer(Role::Agent))[1];
        assert_eq!(
            (failed.id.as_str(), failed.state, failed.passages),
            ("all/b.txt", DocumentState::Failed, 0)
        );
        assert!(failed.problem.as_ref().unwrap().contains("UTF-8"), "{failed:?}");
        assert!(library.document("all/b.txt", &viewer(Role::Agent)).is_none());
        // Nothing tells this from what was there before.
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, "ab").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        let keeper = round(keeper).await;
        assert_eq!((library.figures().failed, library.figures().passages), (1, 1));
        // What failed before a start is tried once more after it.
        assert!(keeper.failed.contains("all/b.txt"));
        round(Keeper::new(&KnowledgeConfig::default())).await;
        assert_eq!((library.figures().failed, library.figures().passages), (0, 2));
        fs::write(&path, [0xff, 0xfe, 0xfd]).unwrap();
        round(keeper).await;
        assert_eq!((library.figures().failed, library.figures().passages), (1, 1));
    }

    #[tokio::test]
    async fn what_was_embedded_before_an_interruption_is_not_embedded_again() {
        let bench = Bench::new().await;
        let sections: String = (0..2 * BATCH).map(|n| format!("{n} {}\n\n", "word ".repeat(220))).collect();
        bench.write("all/long.txt", &sections);
        let library = bench.library();
        let (embedded, times) = (bench.embedded.clone(), Arc::new(AtomicU64::new(0)));
        let fails = move || -> Embed {
            let (mut embed, times) = (embedding(&embedded), times.clone());
            Box::new(move |purpose: Purpose, texts: &[&str]| -> anyhow::Result<Vec<Vec<f32>>> {
                anyhow::ensure!(texts.len() < BATCH || times.fetch_add(1, Relaxed) == 0, "no more of it");
                embed(purpose, texts)
            })
        };
        let problems = bench.round(&library, fails).await;
        assert!(problems[0].contains("by their words alone"), "{problems:?}");
        let first = lock(&bench.embedded).len();
        assert_eq!(first, BATCH);
        // By their words all are found meanwhile.
        assert!(!library.search("word", &[], &viewer(Role::Agent), 10).unwrap().is_empty());
        assert!(library.documents(&viewer(Role::Agent))[0].state == DocumentState::Words);

        let library = bench.library();
        bench.kept(&library).await;
        let all = library.figures().passages as usize;
        assert!(all > BATCH, "{all}");
        let embedded = lock(&bench.embedded).clone();
        assert_eq!((embedded.len(), library.figures().without_vector), (all, 0));
        assert_eq!(embedded.iter().collect::<BTreeSet<_>>().len(), all, "each once");
        assert_eq!(bench.store.embeddings("all/long.txt").await.unwrap().len(), all);
    }

    #[tokio::test]
    async fn vectors_of_another_embedding_are_made_anew() {
        let bench = Bench::new().await;
        bench.write("all/refunds.txt", "The refund takes three days.");
        bench.kept(&bench.library()).await;
        let (embedded, library) = (bench.embedded.clone(), bench.library());
        let other = move || -> Embed {
            let mut embed = embedding(&embedded);
            Box::new(move |purpose: Purpose, texts: &[&str]| -> anyhow::Result<Vec<Vec<f32>>> {
                Ok(embed(purpose, texts)?.into_iter().map(|vector| [vector, vec![0.25]].concat()).collect())
            })
        };
        bench.round(&library, other).await;
        assert_eq!(lock(&bench.embedded).len(), 2);
        assert_eq!(bench.store.embeddings("all/refunds.txt").await.unwrap()[0].vector.len(), 16);
        assert_eq!(found(&library, "money", Role::Agent), ["all/refunds.txt"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_upload_is_found_at_once_embedded_soon_and_its_removal_forgets_it() {
        let bench = Bench::new().await;
        let config = KnowledgeConfig { look_every_s: 3_600, max_uploads: 2, ..bench.config.clone() };
        let library = Library::new(config, bench.store.clone());
        let (kept, runtime, embedded) = (library.clone(), Handle::current(), bench.embedded.clone());
        let (tell, told) = channel();
        let thread = std::thread::spawn(move || {
            kept.keep(&runtime, || Ok(embedding(&embedded)), move |problem| drop(tell.send(problem)));
        });
        assert_eq!(told.recv().unwrap(), None);
        let by = || viewer(Role::Supervisor);
        let upload = async |name: &str, text: &str, roles: &[Role]| {
            library.upload(name, text.into(), false, seen_by(roles), by(), 7).await
        };
        upload("refunds.txt", "The refund takes three days.", &[]).await.unwrap();
        assert_eq!(found(&library, "How long does the refund take?", Role::Agent), ["refunds.txt"]);
        while library.figures().without_vector > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(found(&library, "money", Role::Agent), ["refunds.txt"]);
        upload("admins.txt", "The refund is a secret.", &[Role::Admin]).await.unwrap();
        assert!(!found(&library, "refund secret", Role::Supervisor).contains(&"admins.txt".to_owned()));
        assert!(matches!(upload("admins.txt", "Mine.", &[]).await, Err(LibraryError::Taken(_))));
        assert!(matches!(upload("c.txt", "x", &[]).await, Err(LibraryError::Full(2))));
        upload("refunds.txt", "The refund takes four days.", &[]).await.unwrap();
        for (name, expected) in [("a/b.txt", "slashes"), ("x.exe", "only Markdown"), (" ", "characters")] {
            assert!(upload(name, "x", &[]).await.unwrap_err().to_string().contains(expected), "{name}");
        }
        assert!(matches!(upload("c.txt", " ", &[]).await, Err(LibraryError::Unreadable(_))));

        let remove = async |id: &str| library.remove(id.to_owned(), by()).await;
        assert!(matches!(remove("admins.txt").await, Err(LibraryError::Unknown)));
        remove("refunds.txt").await.unwrap();
        assert!(matches!(remove("refunds.txt").await, Err(LibraryError::Unknown)));
        assert!(found(&library, "refund", Role::Agent).is_empty());
        assert!(bench.store.embeddings("refunds.txt").await.unwrap().is_empty());
        library.stop();
        thread.join().unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_thread_that_keeps_a_library_ends_with_it() {
        let bench = Bench::new().await;
        let library = Library::new(KnowledgeConfig::default(), bench.store.clone());
        let (kept, runtime) = (library.clone(), Handle::current());
        let (tell, told) = channel();
        let thread = std::thread::spawn(move || {
            kept.keep(
                &runtime,
                || anyhow::bail!("nothing is there to embed"),
                move |problem| {
                    drop(tell.send(problem));
                },
            );
        });
        assert_eq!(told.recv().unwrap(), None);
        drop(library);
        thread.join().unwrap();
    }

    #[tokio::test]
    async fn a_fixed_library_has_what_it_was_given_and_takes_nothing() {
        assert!(Library::default().index().is_none());
        assert!(Library::fixed(Hub::new().index().unwrap()).index().is_none());
        let mut hub = Hub::new();
        let content = Content::plain("Refunds", "The refund takes three days.");
        let (visibility, id) = (Visibility::default(), "refunds".to_owned());
        hub.put(Paper { id, changed_unix_ms: 0, visibility, bytes: 0, content });
        let library = Library::fixed(hub.index().unwrap());
        assert_eq!(found(&library, "refund", Role::Agent), ["refunds"]);
        let taken = library.upload("a.txt", b"x".to_vec(), false, seen_by(&[]), viewer(Role::Admin), 0).await;
        assert!(matches!(taken, Err(LibraryError::Fixed)));

        assert_eq!(library.meaning("refund", &[]), None, "nothing embeds it");
        let library = library.asked_by(embedding(&Arc::default()));
        assert!(library.meaning("refund", &["money"]).is_some());
        let fails =
            |_: Purpose, _: &[&str]| -> anyhow::Result<Vec<Vec<f32>>> { anyhow::bail!("no more of it") };
        let library = library.asked_by(Box::new(fails));
        assert_eq!(library.meaning("refund", &[]), None);
        assert_eq!(found(&library, "refund", Role::Agent), ["refunds"], "by its words");
    }

    /// Neither to the embedding of questions nor to a cross-encoder, whoever asks: a person, a gap, or a call.
    #[tokio::test]
    async fn a_card_number_is_never_sent_to_a_model_that_looks_things_up() {
        const ASKED: [&str; 3] = [
            "Is a refund paid to my card 4242 4242 4242 4242?",
            "Is a refund paid? four two four two four two four two four two four two four two four two?",
            "refund: شماره کارتم ۶۰۳۷ ۹۹۱۲ ۳۴۵۶ ۷۸۹۳ هست",
        ];
        let mut hub = Hub::new();
        let content = Content::plain("Refunds", "The refund takes three days.");
        let (visibility, id) = (Visibility::default(), "refunds".to_owned());
        hub.put(Paper { id, changed_unix_ms: 0, visibility, bytes: 0, content });
        let given: Arc<Mutex<Vec<(&str, String)>>> = Arc::default();
        let (embedded, read) = (given.clone(), given.clone());
        let asker: Embed = Box::new(move |_: Purpose, texts: &[&str]| -> anyhow::Result<Vec<Vec<f32>>> {
            lock(&embedded).extend(texts.iter().map(|text| ("embedding", (*text).to_owned())));
            Ok(vec![vec![1.0]; texts.len()])
        });
        let reranker: Rerank =
            Box::new(move |question: &str, passages: &[&str]| -> anyhow::Result<Vec<f32>> {
                lock(&read).push(("cross-encoder", question.to_owned()));
                Ok(vec![0.5; passages.len()])
            });
        let library = Library::fixed(hub.index().unwrap()).asked_by(asker);
        library.rerank_by(Ok(reranker));
        for asked in ASKED {
            // As what is asked, and as what was said before it.
            for (text, context) in [(asked, "A refund."), ("And the refund?", asked)] {
                library.search(text, &[context], &viewer(Role::Agent), 1).unwrap();
            }
        }
        let given = lock(&given);
        for model in ["embedding", "cross-encoder"] {
            let texts: Vec<&str> =
                given.iter().filter(|(by, _)| *by == model).map(|(_, text)| text.as_str()).collect();
            let masked = texts.iter().filter(|text| text.contains(sotto_call::MASK)).count();
            assert!(masked >= 2 * ASKED.len(), "{model}: {texts:?}");
            for text in texts {
                let is_card = text.chars().any(char::is_numeric) || text.contains("four two");
                assert!(!is_card, "{model}: {text}");
            }
        }
    }

    #[tokio::test]
    async fn no_more_uploads_are_in_memory_than_may_be() {
        let library = Library::default();
        let mut places = Vec::new();
        for _ in 0..UPLOADS {
            places.push(library.place().await.unwrap());
        }
        assert!(library.place().now_or_never().is_none());
        places.pop();
        assert!(library.place().now_or_never().unwrap().is_ok());
    }

    #[test]
    fn folders_need_names_that_tell_them_apart() {
        let folder = |path: &str| KnowledgeFolder {
            path: path.into(),
            teams: Vec::new(),
            roles: Vec::new(),
            tickets: false,
        };
        let check = |paths: &[&str]| {
            let folders = paths.iter().map(|path| folder(path)).collect();
            KnowledgeConfig { folders, ..KnowledgeConfig::default() }.check()
        };
        assert_eq!(check(&["/srv/en", "fa/"]), Ok(()));
        assert!(check(&["/srv/en", "b/en"]).unwrap_err().contains("two folders are called `en`"));
        assert!(check(&["/"]).unwrap_err().contains("no name") && check(&[".."]).is_err());
    }
}
