//! What can go wrong between a name and a file, in words that say what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::format::FormatError;

/// Why a model is not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// No artefact has this name.
    #[error("there is no model called `{name}`; did you mean `{nearest}`? (or give the path of a GGML file)")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The known name most like it.
        nearest: String,
    },
    /// The artefact exists, but not for this operating system or processor.
    #[error("`{0}` is not available for this platform; install it and set ORT_DYLIB_PATH to its library")]
    Platform(&'static str),
    /// Every source was tried.
    #[error("`{name}` could not be fetched{}", Attempts(attempts))]
    Unavailable {
        /// The artefact.
        name: &'static str,
        /// Each source and what went wrong there.
        attempts: Vec<Attempt>,
    },
    /// A file is missing or damaged in a folder that cannot be written to.
    #[error("`{name}` is not in {} ({state}), and that folder cannot be written to: {reason}", dir.display())]
    ReadOnly {
        /// The artefact.
        name: &'static str,
        /// The model folder.
        dir: PathBuf,
        /// `missing`, or what is wrong with it.
        state: &'static str,
        /// What the system said.
        reason: io::Error,
    },
    /// A given file is no model that whisper.cpp loads.
    #[error("{} is not a GGML Whisper model", .0.display())]
    NotGgml(PathBuf),
    /// The disk has no room.
    #[error("the disk is full: {} needs {:.0} MB", path.display(), *size as f64 / 1e6)]
    DiskFull {
        /// What was being written.
        path: PathBuf,
        /// Its final size in bytes.
        size: u64,
    },
    /// Reading or writing the model folder failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is nowhere to put models.
    #[error("no folder for models: set SOTTO_MODELS, or HOME")]
    NoFolder,
    /// The caller asked to stop. What was downloaded is kept and resumed.
    #[error("interrupted; what was downloaded so far is kept")]
    Interrupted,
    /// ONNX Runtime, or a model given to it, does not load.
    #[error("ONNX Runtime: {0}")]
    Onnx(String),
}

/// One source that was tried in vain.
#[derive(Debug)]
pub struct Attempt {
    /// The host, or what was to be converted.
    pub source: String,
    /// What went wrong.
    pub error: FetchError,
}

/// Why one source did not yield a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The host does not answer.
    #[error("cannot connect ({0})")]
    NoConnection(String),
    /// The host answers, but not with the file.
    #[error("the server answers {0}")]
    Status(u16),
    /// The connection broke or stalled too often.
    #[error("the download broke off at {got} of {size} bytes ({reason})")]
    BrokeOff {
        /// Bytes received.
        got: u64,
        /// Bytes expected.
        size: u64,
        /// What the connection said last.
        reason: String,
    },
    /// The server's file has another size than it must have.
    #[error("{file} has {found} bytes there, {expected} expected")]
    Size {
        /// The file.
        file: String,
        /// What the server announces or sends.
        found: u64,
        /// What the manifest says.
        expected: u64,
    },
    /// The file is not what it must be. It has been deleted.
    #[error("checksum wrong: {file} is {found:.16}…, {expected:.16}… expected; deleted")]
    Checksum {
        /// The file.
        file: String,
        /// SHA-256 found.
        found: String,
        /// SHA-256 expected.
        expected: String,
    },
    /// The package registry does not list the file.
    #[error("the registry does not list {0}")]
    NotListed(String),
    /// The conversion failed.
    #[error("conversion failed: {0}")]
    Convert(#[from] FormatError),
    /// The artefact to convert from could not be had.
    #[error(transparent)]
    From(Box<ModelError>),
}

struct Attempts<'a>(&'a [Attempt]);

impl fmt::Display for Attempts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, Attempt { source, error }) in self.0.iter().enumerate() {
            write!(f, "{}{source}: {error}", if n == 0 { ": " } else { "; " })?;
        }
        if self.0.iter().all(|attempt| attempt.error.is_offline()) {
            f.write_str("; is there a network? a folder with the files can be given as SOTTO_MODELS")?;
        }
        Ok(())
    }
}

impl FetchError {
    fn is_offline(&self) -> bool {
        match self {
            Self::NoConnection(_) => true,
            Self::From(inner) => {
                matches!(&**inner, ModelError::Unavailable { attempts, .. } if attempts.iter().all(|a| a.error.is_offline()))
            }
            _ => false,
        }
    }
}
