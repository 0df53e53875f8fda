//! Running other programs so that a person sees what happens and why it failed.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
pub use sotto_tests::script::{root, target};

use crate::machine;

/// Says what is done now.
pub fn step(what: &str) {
    eprintln!("\x1b[1m==> {what}\x1b[0m");
}

/// Says something about the step.
pub fn note(what: &str) {
    eprintln!("    {what}");
}

/// One program to run, in the repository's root unless said otherwise.
pub struct Run {
    command: Command,
    shown: String,
}

impl Run {
    /// A program by name or path.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let shown = PathBuf::from(program.as_ref());
        let shown = shown.file_name().unwrap_or(program.as_ref()).to_string_lossy().into_owned();
        let mut command = Command::new(program);
        command.current_dir(root()).env("PATH", machine::path());
        Self { command, shown }
    }

    /// The cargo that runs us.
    pub fn cargo() -> Self {
        let mut run = Self::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // `cargo run` tells its program about xtask's own package; a nested cargo must not take it for its own.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" || name == "CARGO_MANIFEST_PATH"
            {
                run.command.env_remove(name.as_ref());
            }
        }
        run
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.shown = format!("{} {}", self.shown, arg.as_ref().to_string_lossy());
        self.command.arg(arg);
        self
    }

    pub fn args(self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn within(mut self, folder: &str) -> Self {
        self.command.current_dir(root().join(folder));
        self
    }

    /// The command to spawn by oneself.
    pub fn command(self) -> Command {
        self.command
    }

    /// Runs it to its end, in full view.
    ///
    /// # Errors
    /// When it does not start, or does not succeed.
    pub fn go(mut self) -> Result<()> {
        let status = self.command.status().with_context(|| self.missing())?;
        if status.success() { Ok(()) } else { bail!("`{}` failed: {status}", self.shown) }
    }

    /// Runs it and gives its output; what it complains about stays in view.
    ///
    /// # Errors
    /// When it does not start, or does not succeed.
    pub fn output(mut self) -> Result<String> {
        let output = self.command.stderr(Stdio::inherit()).output().with_context(|| self.missing())?;
        if !output.status.success() {
            bail!("`{}` failed: {}", self.shown, output.status);
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Whether it succeeds, without a word.
    pub fn quietly(mut self) -> bool {
        self.command.stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null());
        self.command.status().is_ok_and(|s| s.success())
    }

    /// Runs it in full view and hands every line of its output to `line` as well.
    ///
    /// # Errors
    /// When it does not start. Whether it succeeded is in the result.
    pub fn watched(mut self, mut line: impl FnMut(&str)) -> Result<bool> {
        let mut child = self.command.stdout(Stdio::piped()).spawn().with_context(|| self.missing())?;
        if let Some(out) = child.stdout.take() {
            let mut reader = BufReader::new(out);
            let mut bytes = Vec::new();
            while reader.read_until(b'\n', &mut bytes)? > 0 {
                let text = String::from_utf8_lossy(&bytes);
                print!("{text}");
                line(&plain(text.trim_end()));
                bytes.clear();
            }
        }
        Ok(child.wait()?.success())
    }

    fn missing(&self) -> String {
        format!("`{}` does not start", self.shown)
    }
}

/// A line without its colours.
fn plain(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let code = part.strip_prefix('[').and_then(|p| p.split_once(|c: char| c.is_ascii_alphabetic()));
        text + code.map_or(part, |(_, rest)| rest)
    })
}

/// Where programs and notes of ours are kept between runs.
pub fn tools() -> PathBuf {
    target().join("xtask")
}

/// Builds the web page, where it changed, and the release binary; or takes the program named in `SOTTO_BIN`.
///
/// # Errors
/// When something does not build.
pub fn release_build() -> Result<OsString> {
    if let Some(given) = std::env::var_os("SOTTO_BIN").filter(|v| !v.is_empty()) {
        note(&format!("SOTTO_BIN: {}", given.display()));
        return Ok(given);
    }
    build_page()?;
    step("Building sotto (release; the first time takes some minutes)");
    Run::cargo().args(["build", "--release", "--package", "sotto-server"]).go()?;
    Ok(target().join("release/sotto").into_os_string())
}

/// Installs the page's packages and builds it, each only when something changed.
///
/// # Errors
/// When npm or the build fails.
pub fn build_page() -> Result<()> {
    install_page_packages()?;
    let built = modified("web/dist/index.html");
    let sources = ["web/src", "web/public", "web/index.html", "web/vite.config.ts", "web/package-lock.json"];
    if built.is_some_and(|built| sources.iter().all(|s| newest(&root().join(s)) <= Some(built))) {
        return Ok(());
    }
    step("Building the web page");
    Run::new("npm").within("web").args(["run", "build"]).go()
}

/// `npm ci`, when the lock file is newer than what is installed.
///
/// # Errors
/// When npm fails.
pub fn install_page_packages() -> Result<()> {
    let installed = modified("web/node_modules/.package-lock.json");
    if installed.is_some() && modified("web/package-lock.json") <= installed {
        return Ok(());
    }
    step("Installing the web page's packages (npm ci)");
    // Packages must not run programs of theirs at install time: none of ours needs it.
    Run::new("npm")
        .within("web")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .go()
        .context("npm could not install the packages: is there a network?")
}

fn modified(path: &str) -> Option<std::time::SystemTime> {
    std::fs::metadata(root().join(path)).ok()?.modified().ok()
}

/// When the newest file below `path` was changed.
pub fn newest(path: &std::path::Path) -> Option<std::time::SystemTime> {
    let meta = std::fs::metadata(path).ok()?;
    if !meta.is_dir() {
        return meta.modified().ok();
    }
    std::fs::read_dir(path).ok()?.flatten().filter_map(|entry| newest(&entry.path())).max()
}

/// Fetches what these speech models need: themselves, and what finds speech.
///
/// # Errors
/// When they cannot be had.
pub fn pull_models(sotto: &std::path::Path, models: &[&str]) -> Result<()> {
    models.iter().try_for_each(|model| {
        Run::new(sotto).args(["models", "pull", "--set", &format!("speech.model={model}")]).go().context(
            "the models could not be fetched: is there a network? A prepared folder can be named in SOTTO_MODELS",
        )
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn colours_are_taken_off() {
        let coloured = "\u{1b}[2m      Tests \u{1b}[22m \u{1b}[1m\u{1b}[32m153 passed\u{1b}[39m";
        assert_eq!(super::plain(coloured), "      Tests  153 passed");
        assert_eq!(super::plain("as it is"), "as it is");
    }
}
