//! Opening a database, and holding it for one Sotto alone.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sotto_crm::Place;
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::time::timeout;
use uuid::Uuid;

use crate::forget::Forgetter;
use crate::{Listener, StoreError};

/// How long PostgreSQL has to answer, or to give a connection.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// A database with Sotto's tables. Cheap to clone; all clones share its connections.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) db: Db,
    /// Who is told of what happens.
    pub(crate) listeners: Arc<OnceLock<Vec<Listener>>>,
}

/// SQLite allows one writer at a time, so there is one writing connection, which waits for nobody in this process but, for
/// some tens of milliseconds, the [`Forgetter`]; readers see the last commit without waiting for it (WAL).
#[derive(Clone, Debug)]
pub(crate) enum Db {
    Sqlite { read: SqlitePool, write: SqlitePool, forgetter: Forgetter, path: PathBuf },
    Postgres(PgPool),
}

/// Runs the same statement, written once with `$1` placeholders, on a reading connection of either database.
macro_rules! read {
    ($store:expr, $db:ident => $body:expr) => {
        match &$store.db {
            $crate::store::Db::Sqlite { read: $db, .. } => $body,
            $crate::store::Db::Postgres($db) => $body,
        }
    };
}

/// Runs the same statements in one writing transaction of either database. `$body` is a block whose `?` and
/// `return` leave the enclosing function, which rolls back.
macro_rules! transaction {
    ($store:expr, $tx:ident => $body:expr) => {
        match &$store.db {
            $crate::store::Db::Sqlite { write, .. } => {
                let mut transaction = write.begin_with("BEGIN IMMEDIATE").await?;
                let $tx = &mut transaction;
                let result = $body;
                transaction.commit().await?;
                result
            }
            $crate::store::Db::Postgres(pool) => {
                let mut transaction = pool.begin().await?;
                let $tx = &mut transaction;
                let result = $body;
                transaction.commit().await?;
                result
            }
        }
    };
}

/// Adds to a query the conditions for which there is a value: only what fits them is looked up.
macro_rules! narrow {
    ($query:ident, $($condition:literal: $value:expr),+) => {
        $(if let Some(value) = $value {
            $query.push($condition).push_bind(value);
        })+
    };
}

/// Adds to a query that the column, of words in their search form, has all of these terms.
macro_rules! narrow_to_words {
    ($query:ident, $column:literal, $terms:expr) => {
        for term in $terms {
            let pattern = $crate::contacts::anywhere(term);
            $query.push(concat!(" AND ", $column, " LIKE ")).push_bind(pattern).push(" ESCAPE '\\'");
        }
    };
}

/// The row of this id, if there is one, among those that `$head` selects, which ends in a condition.
macro_rules! one_of {
    ($store:expr, $head:ident, $condition:literal: $id:expr) => {
        $crate::store::read!($store, db => {
            let mut query = QueryBuilder::new($head);
            query.push($condition).push_bind($id);
            query.build_query_as().fetch_optional(db).await?
        })
    };
}
pub(crate) use {narrow, narrow_to_words, one_of, read, transaction};

impl Store {
    /// Opens the database at `url`, makes it when it is an SQLite file that does not exist, and brings its
    /// tables up to date.
    ///
    /// `sqlite:PATH` or `postgres://USER[:PASSWORD]@HOST[:PORT]/NAME[?sslmode=…]`.
    ///
    /// # Errors
    /// [`StoreError::Url`] when the address is neither, [`StoreError::Database`] when it cannot be reached,
    /// [`StoreError::Migrate`] when its tables were made by a newer Sotto.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path.starts_with(':') {
                return Err(StoreError::Url(url.to_owned()));
            }
            Self::open_sqlite(Path::new(path)).await
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Self::open_postgres(url).await
        } else {
            // Whatever it is, it may hold a password.
            Err(StoreError::Url(url.split(':').next().unwrap_or_default().to_owned() + ":…"))
        }
    }

    async fn open_sqlite(path: &Path) -> Result<Self, StoreError> {
        // A folder that is there already may be anybody's: the data folder is for whoever serves to make private.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        if let Some(folder) = folder {
            make_private_folder(folder)
                .map_err(|source| StoreError::File { path: folder.to_owned(), source })?;
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A commit survives the death of this process, not necessarily that of the machine.
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            // What is taken out of a row, or goes with it, is overwritten, not only marked as free.
            .pragma("secure_delete", "ON")
            .busy_timeout(Duration::from_secs(5));
        let write = SqlitePoolOptions::new()
            .max_connections(1)
            // SQLite takes a transaction back by itself when the disk is full. The driver then still counts it and
            // begins no other on this connection, so another one takes its place.
            .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
            .connect_with(options.clone())
            .await?;
        for more in ["", "-wal", "-shm"] {
            let mut name = path.as_os_str().to_owned();
            name.push(more);
            keep_from_others(Path::new(&name));
        }
        sqlx::migrate!("../../migrations/sqlite").run(&write).await?;
        let reading = options.clone().read_only(true);
        let read = SqlitePoolOptions::new().max_connections(4).connect_with(reading).await?;
        let forgetter = Forgetter::start(options);
        let db = Db::Sqlite { read, write, forgetter, path: path.to_owned() };
        Ok(Self { db, listeners: Arc::default() })
    }

    async fn open_postgres(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)?.application_name("sotto");
        let pool = PgPoolOptions::new()
            .max_connections(8)
            .acquire_timeout(ANSWERS_WITHIN)
            .connect_with(options)
            .await?;
        sqlx::migrate!("../../migrations/postgres").run(&pool).await?;
        Ok(Self { db: Db::Postgres(pool), listeners: Arc::default() })
    }

    /// `sqlite` or `postgres`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.db {
            Db::Sqlite { .. } => "sqlite",
            Db::Postgres(_) => "postgres",
        }
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError::Database`] when it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        read!(self, db => sqlx::query("SELECT 1").execute(db).await.map(|_| ())?);
        Ok(())
    }

    /// Has earlier versions of rows, and rows that were removed, forgotten as far as that is for us to do, without waiting for
    /// it: SQLite's write-ahead log is emptied. PostgreSQL does the like by itself (autovacuum).
    pub(crate) fn forget_old_rows(&self) {
        if let Db::Sqlite { forgetter, .. } = &self.db {
            forgetter.ask();
        }
    }

    /// Takes the database for this process, until the lock is dropped or the process dies. A second server
    /// on the same database would take the first one's live calls for the remains of a crash.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process holds it.
    pub async fn lock_instance(&self) -> Result<InstanceLock, StoreError> {
        match &self.db {
            Db::Sqlite { path, .. } => {
                let mut name = path.clone().into_os_string();
                name.push(".lock");
                let path = PathBuf::from(name);
                let at = |source| StoreError::File { path: path.clone(), source };
                let file = std::fs::File::create(&path).map_err(at)?;
                match file.try_lock() {
                    Ok(()) => Ok(InstanceLock(Held::File(file))),
                    Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::InUse),
                    Err(std::fs::TryLockError::Error(source)) => Err(at(source)),
                }
            }
            Db::Postgres(pool) => {
                /// "sotto" in ASCII: any number will do that other programs do not use.
                const KEY: i64 = 0x0073_6f74_746f;
                let mut connection = pool.acquire().await?.detach();
                let locked: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
                    .bind(KEY)
                    .fetch_one(&mut connection)
                    .await?;
                if locked { Ok(InstanceLock(Held::Connection(connection))) } else { Err(StoreError::InUse) }
            }
        }
    }

    /// Closes all connections, waiting for what is under way.
    pub async fn close(&self) {
        match &self.db {
            Db::Sqlite { read, write, forgetter, .. } => {
                read.close().await;
                forgetter.close().await;
                write.close().await;
            }
            Db::Postgres(pool) => pool.close().await,
        }
    }
}

/// See [`Store::lock_instance`].
#[derive(Debug)]
#[must_use = "the lock is given up when this is dropped"]
pub struct InstanceLock(Held);

#[derive(Debug)]
enum Held {
    File(#[expect(dead_code, reason = "held, not used")] std::fs::File),
    Connection(sqlx::PgConnection),
}

impl InstanceLock {
    /// Makes sure that it is still held: PostgreSQL lets it go with the connection that holds it, as when the database is
    /// started anew. Then it is taken again.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process has taken it meanwhile, or the database has not noticed yet that our
    /// connection is gone; [`StoreError::Database`] when it cannot be reached.
    pub async fn keep(&mut self, store: &Store) -> Result<(), StoreError> {
        let Held::Connection(connection) = &mut self.0 else { return Ok(()) };
        if let Ok(Ok(())) = timeout(ANSWERS_WITHIN, connection.ping()).await {
            return Ok(());
        }
        *self = store.lock_instance().await?;
        tracing::warn!("the database had let go of the lock that keeps other servers off; it is held again");
        Ok(())
    }
}

/// Makes a folder for what is nobody else's business. Everybody's access to one that is there already is taken away; where a
/// group alone has access, somebody has given it on purpose, and it stays.
///
/// # Errors
/// When it cannot be made.
pub fn make_private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    keep_from_others(folder);
    Ok(())
}

/// Leaves a file or a folder to its owner alone, if everybody had access to it. What is not ours stays as it is, which is
/// logged.
fn keep_from_others(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let Ok(metadata) = std::fs::metadata(path) else { return };
        let mut permissions = metadata.permissions();
        let mode = permissions.mode();
        if mode & 0o007 == 0 {
            return;
        }
        permissions.set_mode(mode & !0o077);
        match std::fs::set_permissions(path, permissions) {
            Ok(()) => tracing::info!(path = %path.display(), "nobody else can read this any more"),
            Err(error) => tracing::warn!(path = %path.display(), %error, "everybody can read this"),
        }
    }
}

/// How a `u64` is kept: both databases know signed numbers only.
pub(crate) fn signed(value: u64, what: &str) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::Invalid(format!("{what} {value} is out of range")))
}

/// The way back.
pub(crate) fn unsigned(value: i64, what: &str) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|_| StoreError::Invalid(format!("{what} {value} is negative")))
}

/// The version that somebody has seen who changes something. What cannot be one is none that is kept.
pub(crate) fn seen(version: u64) -> Result<i64, StoreError> {
    i64::try_from(version).map_err(|_| StoreError::Stale)
}

/// What is kept now, of something that was to be changed; [`StoreError::Stale`] where it is there and was not.
pub(crate) fn unless_stale<T>(changed: u64, now: Option<T>) -> Result<Option<T>, StoreError> {
    if changed == 0 && now.is_some() { Err(StoreError::Stale) } else { Ok(now) }
}

/// A place in a list, as columns have it.
pub(crate) fn placed(place: Place) -> Result<(i64, Uuid), StoreError> {
    Ok((signed(place.at_unix_ms, "time")?, place.id))
}

/// PostgreSQL refuses U+0000 in text; it has no business in one.
pub(crate) fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The name an enum has in JSON, as the text of a column.
pub(crate) fn name_of<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => Ok(name),
        _ => Err(StoreError::Invalid("not a plain name".to_owned())),
    }
}

/// The way back.
pub(crate) fn from_name<T: serde::de::DeserializeOwned>(name: String) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::String(name))
        .map_err(|error| StoreError::Invalid(error.to_string()))
}

pub(crate) fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Invalid(error.to_string()))
}

pub(crate) fn from_json<T: serde::de::DeserializeOwned>(text: &str, what: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Invalid(format!("{what}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn grow(store: &Store) -> Result<(), StoreError> {
        transaction!(store, tx => {
            sqlx::query("INSERT INTO grown VALUES (zeroblob(100000))").execute(&mut **tx).await?;
        });
        Ok(())
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_everybody_could_read_becomes_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("new/data");
        make_private_folder(&data).unwrap();
        assert_eq!((mode(&data), mode(data.parent().unwrap())), (0o700, 0o700));
        for (before, after) in [(0o755, 0o700), (0o777, 0o700), (0o750, 0o750), (0o770, 0o770)] {
            set(&data, before);
            make_private_folder(&data).unwrap();
            assert_eq!(mode(&data), after, "{before:o}");
        }

        let elsewhere = folder.path().join("elsewhere");
        std::fs::create_dir(&elsewhere).unwrap();
        set(&elsewhere, 0o755);
        for (name, before, after) in [("a.db", 0o644, 0o600), ("b.db", 0o640, 0o640)] {
            let file = elsewhere.join(name);
            std::fs::write(&file, "").unwrap();
            set(&file, before);
            let store = Store::open(&format!("sqlite:{}", file.display())).await.unwrap();
            for more in ["", "-wal", "-shm"] {
                assert_eq!(mode(&elsewhere.join(format!("{name}{more}"))), after, "{name}{more}");
            }
            store.close().await;
        }
        assert_eq!(mode(&elsewhere), 0o755, "it may be anybody's");
    }

    #[tokio::test]
    async fn a_disk_that_was_full_is_written_on_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("sqlite:{}", folder.path().join("a.db").display())).await.unwrap();
        let Db::Sqlite { write, .. } = &store.db else { panic!("SQLite") };
        sqlx::query("CREATE TABLE grown (bytes BLOB)").execute(write).await.unwrap();
        // No more pages than there are: that is what a full disk looks like. It holds for this connection.
        sqlx::query("PRAGMA max_page_count = 1").execute(write).await.unwrap();
        let full = grow(&store).await.unwrap_err();
        assert!(format!("{full:?}").contains("full") && !full.is_permanent(), "{full:?}");
        grow(&store).await.unwrap();
        store.close().await;
    }
}
