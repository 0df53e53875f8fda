//! A private PostgreSQL server for tests, and stores to test on.
//!
//! `SOTTO_TEST_POSTGRES` names a server to use (a `postgres://` address whose user may create databases). When
//! it is not set, the machine's own PostgreSQL binaries start a private server in a temporary folder, reached
//! through a socket in that folder; it dies with the test process, however that dies. When there are no
//! binaries either, tests on PostgreSQL are skipped and say so, unless `SOTTO_REQUIRE_POSTGRES=1` (see [`skipped`]).

#![expect(clippy::expect_used, reason = "tests want to hear of every failure at once")]

use std::sync::OnceLock;

use tempfile::TempDir;

pub use self::postgres::Postgres;
pub use self::skip::skipped;
use crate::Store;

mod postgres;
mod skip;

/// The address of a fresh, empty PostgreSQL database, `None` when there is no PostgreSQL. The server behind it
/// is shared by the whole test process.
///
/// # Panics
/// When there is none although `SOTTO_REQUIRE_POSTGRES=1`, or the database cannot be made.
pub async fn postgres_url() -> Option<String> {
    static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();
    let given = std::env::var("SOTTO_TEST_POSTGRES").ok().filter(|url| !url.is_empty());
    let admin = match &given {
        Some(url) => url.clone(),
        None => {
            let server = tokio::task::spawn_blocking(|| SERVER.get_or_init(Postgres::start))
                .await
                .expect("start PostgreSQL");
            match server {
                Some(server) => server.url("postgres"),
                None => {
                    skipped("POSTGRES", "there is no PostgreSQL: install it, or set SOTTO_TEST_POSTGRES");
                    return None;
                }
            }
        }
    };
    let name = format!("sotto_test_{}", uuid::Uuid::now_v7().simple());
    let mut connection =
        <sqlx::PgConnection as sqlx::Connection>::connect(&admin).await.expect("connect to PostgreSQL");
    sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))
        .execute(&mut connection)
        .await
        .expect("create database");
    let (before, parameters) = admin.split_once('?').map_or((admin.as_str(), ""), |(a, b)| (a, b));
    let (server, _) = before.rsplit_once('/').expect("an address with a database");
    let parameters = if parameters.is_empty() { String::new() } else { format!("?{parameters}") };
    Some(format!("{server}/{name}{parameters}"))
}

/// A store on a fresh SQLite database, and the folder it lies in.
///
/// # Panics
/// When it cannot be made.
pub async fn sqlite() -> (Store, TempDir) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let url = format!("sqlite:{}", folder.path().join("sotto.db").display());
    (Store::open(&url).await.expect("open SQLite"), folder)
}

/// A store on a fresh PostgreSQL database, `None` when there is no PostgreSQL.
///
/// # Panics
/// As [`postgres_url`].
pub async fn postgres() -> Option<Store> {
    let url = postgres_url().await?;
    Some(Store::open(&url).await.expect("open PostgreSQL"))
}
