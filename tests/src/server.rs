//! The real `sotto serve`, with a data folder and ports of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use tempfile::TempDir;

use crate::api::Api;
use crate::http::{Answer, Client};
use crate::script::root;

/// The first administrator's name and password on every server started here.
pub const ADMIN: (&str, &str) = ("admin", "correct horse battery staple");

/// How a server is set up. The defaults are the thin path: SQLite, tiny.en.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Address of the database; `None`: SQLite in the data folder.
    pub database: Option<String>,
    /// Speech model of every language.
    pub model: String,
    /// Calls at once.
    pub max_calls: Option<u32>,
    /// The language of all calls, when it is not to be detected.
    pub language: Option<String>,
    /// More lines of `sotto.toml`: (table, line).
    pub more: Vec<(String, String)>,
    /// Bytes of a disk of its own for the data folder (a tmpfs in a mount namespace, which needs no root where users
    /// may make namespaces).
    pub disk: Option<u64>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            database: None,
            model: "tiny.en".into(),
            max_calls: None,
            language: None,
            more: Vec::new(),
            disk: None,
        }
    }
}

/// A running server. Dropped, it is killed.
pub struct Sotto {
    program: PathBuf,
    child: Option<Child>,
    /// It is ready without words: its models need not be there.
    deaf: bool,
    /// See [`Setup::disk`].
    disk: Option<u64>,
    folder: TempDir,
    /// The page, the API and the WebSockets.
    pub http: SocketAddr,
    /// The API, signed in as the administrator.
    pub api: Api,
    /// SIP over UDP and TCP.
    pub sip: SocketAddr,
    /// The first and the last port for RTP.
    pub rtp: (u16, u16),
}

impl Sotto {
    /// Starts with the default set-up.
    ///
    /// # Errors
    /// When the server does not come up.
    pub fn start() -> Result<Self> {
        Self::start_with(&Setup::default())
    }

    /// Starts and waits until the server says that it is ready.
    ///
    /// # Errors
    /// When it does not come up, with its log.
    pub fn start_with(setup: &Setup) -> Result<Self> {
        Self::start_binary(&binary()?, setup)
    }

    /// The same with a program that is not the one under test.
    ///
    /// # Errors
    /// As [`Sotto::start_with`].
    pub fn start_binary(program: &Path, setup: &Setup) -> Result<Self> {
        let program = program.to_path_buf();
        let folder = tempfile::Builder::new().prefix("sotto-e2e-").tempdir()?;
        let http = free_address()?;
        let sip = free_address()?;
        let rtp = free_rtp_range()?;
        let data = folder.path().join("data");
        std::fs::create_dir_all(&data)?;
        let config = setup.config(&data, http, sip, rtp);
        std::fs::write(folder.path().join("sotto.toml"), config)?;
        let mut sotto = Self {
            program,
            child: None,
            deaf: setup.is_deaf(),
            disk: setup.disk,
            folder,
            http,
            sip,
            rtp,
            api: Api { client: Client::new(http) },
        };
        sotto.resume()?;
        Ok(sotto)
    }

    /// Starts the server again on its old data, after [`Sotto::kill`] or [`Sotto::stop`].
    ///
    /// # Errors
    /// When it does not come up, with its log.
    pub fn resume(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "it is running");
        let log = std::fs::File::options().create(true).append(true).open(self.log_path())?;
        let mut command = match self.disk {
            None => Command::new(&self.program),
            Some(bytes) => {
                let mut command = Command::new("unshare");
                let script = "mount -t tmpfs -o size=$0 none \"$1\" && shift && exec \"$@\"";
                command.args([
                    "--user",
                    "--map-root-user",
                    "--mount",
                    "sh",
                    "-c",
                    script,
                    &bytes.to_string(),
                ]);
                command.arg(self.folder.path().join("data")).arg(&self.program);
                command
            }
        };
        let child = command
            .args(["serve", "--config"])
            .arg(self.folder.path().join("sotto.toml"))
            .env("SOTTO_ADMIN_PASSWORD", ADMIN.1)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting sotto")?;
        self.child = Some(child);
        let until = Instant::now() + Duration::from_secs(60);
        let nobody = Client::new(self.http);
        loop {
            let answer = nobody.get("/readyz");
            if answer.as_ref().is_ok_and(|a| a.status == 200 && (self.deaf || hears(a))) {
                self.api = Api::sign_in(self.http, ADMIN.0, ADMIN.1).with_context(|| self.log())?;
                return Ok(());
            }
            if let Some(status) = self.child.as_mut().and_then(|c| c.try_wait().ok().flatten()) {
                self.child = None;
                bail!("sotto ended at start: {status}\n{}", self.log());
            }
            let why = answer.map_or_else(|e| format!("{e:#}"), |a| a.text());
            ensure!(Instant::now() < until, "sotto is not ready after a minute: {why}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Lets somebody else in: as `agent`, `reviewer`, `supervisor` or `admin`.
    ///
    /// # Errors
    /// When it does not take them.
    pub fn add_user(&self, (name, password): (&str, &str), role: &str) -> Result<()> {
        let new = json!({"name": name, "password": password, "role": role});
        let answer = self.api.client.post("/api/users", &new)?;
        ensure!(answer.status == 201, "no new user {name}: {}", answer.text());
        Ok(())
    }

    /// Waits until it understands what customers say, or says that it is not to.
    ///
    /// # Errors
    /// When it does not within `patience`.
    pub fn understands(&self, patience: Duration) -> Result<()> {
        let until = Instant::now() + patience;
        loop {
            let ready = Client::new(self.http).json("/readyz")?;
            let lacks = &ready["degraded"]["insight"];
            if lacks.is_null() {
                return Ok(());
            }
            ensure!(
                Instant::now() < until,
                "nothing is understood after {patience:?}: {lacks}\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// kill -9.
    ///
    /// # Errors
    /// When it is not running.
    pub fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("it is not running")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// An orderly stop, as a service manager does it (SIGTERM).
    ///
    /// # Errors
    /// When it is not running, or does not end within half a minute.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        let mut child = self.child.take().context("it is not running")?;
        let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status()?;
        ensure!(sent.success(), "kill -TERM failed");
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > until {
                let _ = child.kill();
                let _ = child.wait();
                bail!("sotto did not stop within 30 s\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether the process lives.
    ///
    /// # Errors
    /// When the process cannot be asked.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(match &mut self.child {
            Some(child) => child.try_wait()?.is_none(),
            None => false,
        })
    }

    /// Its process id, 0 when it is not running.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// What the server wrote so far.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("sotto.log")
    }

    /// The data folder. With a disk of its own it is there while the server runs.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        let data = self.folder.path().join("data");
        if self.disk.is_none() {
            return data;
        }
        // As the server's own namespace has it.
        Path::new(&format!("/proc/{}/root", self.pid())).join(data.strip_prefix("/").unwrap_or(&data))
    }
}

impl Drop for Sotto {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- the server's log ---\n{}", self.log());
        }
    }
}

/// Whether calls have words: the models are loaded.
fn hears(ready: &Answer) -> bool {
    ready.json().is_ok_and(|ready| ready["degraded"]["speech"].is_null())
}

impl Setup {
    /// Calls to `numbers` (TOML) ring at agents; browsers and telephones are on this machine.
    #[must_use]
    pub fn desk(numbers: &str) -> Self {
        Self::desk_at(IpAddr::V4(Ipv4Addr::LOCALHOST), numbers)
    }

    /// The same with browsers that reach this machine at an address of it.
    #[must_use]
    pub fn desk_at(ip: IpAddr, numbers: &str) -> Self {
        let more = [
            ("sip", "rtp_any_source = true".to_owned()),
            ("webrtc", format!("ip = \"{ip}\"")),
            ("desk", format!("numbers = {numbers}")),
        ];
        let more = more.map(|(table, line)| (table.to_owned(), line)).to_vec();
        Self { language: Some("en".into()), more, ..Self::default() }
    }

    /// Its model is a file that is not there.
    fn is_deaf(&self) -> bool {
        Path::new(&self.model).is_absolute() && !Path::new(&self.model).exists()
    }

    /// `sotto.toml` for a data folder, addresses, and a range of RTP ports.
    #[must_use]
    pub fn config(&self, data: &Path, http: SocketAddr, sip: SocketAddr, rtp: (u16, u16)) -> String {
        let mut tables: Vec<(&str, Vec<String>)> = vec![
            (
                "server",
                vec![format!("listen = \"{http}\""), format!("data = {:?}", data.display().to_string())],
            ),
            ("sip", vec![format!("udp = [\"{sip}\"]"), format!("tcp = [\"{sip}\"]")]),
            ("media", vec!["ip = \"127.0.0.1\"".into(), format!("ports = \"{}-{}\"", rtp.0, rtp.1)]),
            ("speech", vec![format!("model = {:?}", self.model)]),
        ];
        // A table may be written once only.
        let mut add = |table, line| match tables.iter_mut().find(|(known, _)| *known == table) {
            Some((_, lines)) => lines.push(line),
            None => tables.push((table, vec![line])),
        };
        if let Some(max) = self.max_calls {
            add("sip", format!("max_calls = {max}"));
        }
        if let Some(url) = &self.database {
            add("store", format!("url = {url:?}"));
        }
        if let Some(language) = &self.language {
            add("speech", format!("language = {language:?}"));
        }
        for (table, line) in &self.more {
            add(table.as_str(), line.clone());
        }
        tables.iter().fold(String::new(), |mut out, (table, lines)| {
            out.push_str(&format!("[{table}]\n"));
            out + &lines.join("\n") + "\n"
        })
    }
}

/// The program under test: `SOTTO_BIN`, or the one that cargo builds into the folder this test runs from.
///
/// # Errors
/// When it cannot be built.
pub fn binary() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        if let Some(given) = std::env::var_os("SOTTO_BIN").filter(|v| !v.is_empty()) {
            let path = PathBuf::from(given);
            return if path.is_file() { Ok(path) } else { Err(format!("SOTTO_BIN: no {}", path.display())) };
        }
        // This runs as <target>/<profile>/deps/NAME or <target>/<profile>/NAME.
        let own = std::env::current_exe().map_err(|e| e.to_string())?;
        let profile = own.ancestors().skip(1).find(|p| !p.ends_with("deps")).unwrap_or(&own).to_path_buf();
        let release = profile.ends_with("release");
        let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .current_dir(root())
            .args(["build", "--quiet", "--package", "sotto-server"])
            .args(release.then_some("--release"))
            .env("CARGO_TARGET_DIR", profile.parent().unwrap_or(&profile))
            .status()
            .map_err(|e| format!("cargo: {e}"))?;
        if status.success() { Ok(profile.join("sotto")) } else { Err("sotto does not build".into()) }
    });
    built.clone().map_err(anyhow::Error::msg)
}

/// An address on which nothing listens over UDP and TCP, and neither at the port after it, which some programs take
/// for TLS. It is handed out once, and lies below what the system gives to connections that begin: between this look
/// and the listener, nobody else takes it.
///
/// # Errors
/// When there is none.
pub fn free_address() -> Result<SocketAddr> {
    const PAIRS: u16 = 5_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let is_free =
        |address: SocketAddr| TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok();
    // Processes that run at the same time begin at different places.
    let offset = (std::process::id().wrapping_mul(997) % u32::from(PAIRS)) as u16;
    for _ in 0..PAIRS {
        let pair = (offset + NEXT.fetch_add(1, Ordering::Relaxed) % PAIRS) % PAIRS;
        let [port, next] = [0, 1].map(|n| SocketAddr::from((Ipv4Addr::LOCALHOST, 10_000 + 2 * pair + n)));
        if is_free(port) && is_free(next) {
            return Ok(port);
        }
    }
    bail!("no free port from 10000 to 19999")
}

/// 400 ports from an even one, below those that the system hands out: for nobody else in this process, and at
/// least at its beginning for nobody outside of it.
///
/// # Errors
/// When there are none.
pub fn free_rtp_range() -> Result<(u16, u16)> {
    const BLOCKS: u16 = 30;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = (std::process::id() % u32::from(BLOCKS)) as u16;
    for _ in 0..BLOCKS {
        let first = 20_000 + (offset + NEXT.fetch_add(1, Ordering::Relaxed)) % BLOCKS * 400;
        if (0..8).all(|n| UdpSocket::bind(("127.0.0.1", first + n)).is_ok()) {
            return Ok((first, first + 399));
        }
    }
    bail!("no free UDP ports from 20000 on")
}
