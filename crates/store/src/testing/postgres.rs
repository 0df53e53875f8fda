//! A private PostgreSQL server. It knows nothing of the store: the end-to-end tests' bench has it as well.

#![expect(clippy::expect_used, clippy::panic, reason = "tests want to hear of every failure at once")]

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::skip::skipped;

/// A PostgreSQL server of our own. It stops, and its data is removed, when this is dropped or the process ends.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    folder: TempDir,
    /// A shell that stops the server when its standard input closes, which happens even when we are killed.
    keeper: Option<Child>,
}

impl Postgres {
    /// Starts a server, `None` when the machine has no PostgreSQL.
    ///
    /// # Panics
    /// When there are binaries but they do not work.
    #[must_use]
    pub fn start() -> Option<Self> {
        let programs = programs()?;
        let folder = tempfile::Builder::new().prefix("sotto-pg-").tempdir().expect("temporary folder");
        if let Some((user, group)) = other_user() {
            std::os::unix::fs::chown(folder.path(), Some(user), Some(group)).expect("chown");
        }
        let mut server = Self { programs, folder, keeper: None };
        let made = server
            .command("initdb")
            .args(["--username=sotto", "--auth=trust", "--no-sync", "--encoding=UTF8", "--no-locale"])
            .args(["--no-instructions", "-D"])
            .arg(server.data())
            .output()
            .expect("initdb");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        server.resume();
        Some(server)
    }

    /// The same for a test that is skipped without one: it needs a server that it may stop, which the one that
    /// `SOTTO_TEST_POSTGRES` names is not.
    ///
    /// # Panics
    /// As [`Postgres::start`] and [`skipped`].
    #[must_use]
    pub fn start_or_skip() -> Option<Self> {
        let server = Self::start();
        if server.is_none() {
            let is_given = std::env::var("SOTTO_TEST_POSTGRES").is_ok_and(|url| !url.is_empty());
            let need = if is_given { "OWN_POSTGRES" } else { "POSTGRES" };
            skipped(need, "no PostgreSQL is installed on this machine");
        }
        server
    }

    /// Starts the server again after [`Postgres::pause`].
    ///
    /// # Panics
    /// When it does not come up.
    pub fn resume(&mut self) {
        const SCRIPT: &str = r#"
            "$1" -D "$2" -k "$3" -c listen_addresses= -c fsync=off -c max_connections=200 >"$3/log" 2>&1 &
            server=$!
            read -r line
            kill -QUIT $server
            wait $server
            cd / && [ "$line" = pause ] || rm -rf "$3"
        "#;
        let mut keeper = self.command("sh");
        keeper
            .args(["-c", SCRIPT, "keeper"])
            .arg(self.programs.join("postgres"))
            .arg(self.data())
            .arg(self.folder.path())
            .stdin(Stdio::piped())
            // A Ctrl-C for the test run is not for the server: it goes when we do.
            .process_group(0);
        self.keeper = Some(keeper.spawn().expect("sh"));
        for _ in 0..600 {
            let ready = self
                .command("pg_isready")
                .args(["--quiet", "--host"])
                .arg(self.folder.path())
                .status()
                .expect("pg_isready");
            if ready.success() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        panic!("PostgreSQL did not start:\n{log}");
    }

    /// Stops the server as a crash would, keeping its data.
    pub fn pause(&mut self) {
        self.stop(b"pause\n");
    }

    fn stop(&mut self, word: &[u8]) {
        if let Some(mut keeper) = self.keeper.take() {
            if let Some(mut stdin) = keeper.stdin.take() {
                let _ = std::io::Write::write_all(&mut stdin, word);
            }
            let _ = keeper.wait();
        }
    }

    /// The address of one of its databases. `postgres` is there from the start.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://sotto@localhost/{database}?host={}", self.folder.path().display())
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A program of PostgreSQL's, or of the system's, as a user that PostgreSQL agrees to run as.
    fn command(&self, program: &str) -> Command {
        let own = self.programs.join(program);
        let mut command = Command::new(if own.exists() { own.as_path() } else { Path::new(program) });
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        if let Some((user, group)) = other_user() {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop(b"");
    }
}

/// The newest PostgreSQL on this machine.
fn programs() -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, bin)| bin.join("initdb").exists())
        .collect();
    found.sort();
    let newest = found.pop().map(|(_, bin)| bin);
    newest.or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|folder| folder.join("initdb").exists())
    })
}

/// PostgreSQL refuses to run as root: the user and group to become when we are.
fn other_user() -> Option<(u32, u32)> {
    if std::fs::metadata("/proc/self").ok()?.uid() != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let postgres = users.lines().find_map(|line| {
        let mut fields = line.strip_prefix("postgres:")?.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    Some(postgres.unwrap_or((65534, 65534)))
}
