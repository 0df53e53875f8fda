//! Letting go of what was taken out of an SQLite database: as it was, it stands in the write-ahead log until that is emptied.

use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use tokio::sync::mpsc;

/// How long it waits for those who read and write. While it does, nobody else begins to write.
const PATIENCE: Duration = Duration::from_millis(50);
/// When it is tried again, the first time and at most.
const AGAIN: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(10)];

/// Empties the write-ahead log, on a connection and in a task of its own. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Forgetter {
    database: SqlitePool,
    asked: mpsc::Sender<()>,
}

impl Forgetter {
    /// Empties it once, of what a process has left there that was killed, and whenever it is asked to. Must be called within
    /// a Tokio runtime.
    pub fn start(options: SqliteConnectOptions) -> Self {
        let options = options.busy_timeout(PATIENCE);
        let database = SqlitePoolOptions::new().max_connections(1).connect_lazy_with(options);
        let (asked, asks) = mpsc::channel(1);
        tokio::spawn(run(database.clone(), asks));
        let forgetter = Self { database, asked };
        forgetter.ask();
        forgetter
    }

    /// Has the log emptied soon, however often that takes. Never waits.
    pub fn ask(&self) {
        // Whoever has asked before and waits has asked for this as well.
        let _ = self.asked.try_send(());
    }

    /// Tries it once more, for who has asked just before, and closes its connection.
    pub async fn close(&self) {
        if let Err(error) = empty(&self.database).await {
            tracing::warn!(%error, "the database may keep what was taken out of it for a while");
        }
        self.database.close().await;
    }
}

async fn run(database: SqlitePool, mut asks: mpsc::Receiver<()>) {
    let [first, longest] = AGAIN;
    while asks.recv().await.is_some() {
        let mut pause = first;
        loop {
            match empty(&database).await {
                Ok(true) => break,
                Ok(false) => {}
                Err(sqlx::Error::PoolClosed) => return,
                Err(error) => {
                    tracing::warn!(%error, "the database keeps what was taken out of it for a while");
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }
}

/// Takes the log over into the database and empties it. False when somebody who reads or writes is in the way.
async fn empty(database: &SqlitePool) -> Result<bool, sqlx::Error> {
    // Most of it in nobody's way, so that writers wait for the rest only.
    sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(database).await?;
    let is_busy: i64 = sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(database).await?;
    Ok(is_busy == 0)
}
