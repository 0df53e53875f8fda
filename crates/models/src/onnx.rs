//! ONNX models on the CPU.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use crate::ModelError;

/// The setting that says where a model in memory has its other files.
const WEIGHTS_FOLDER: &str = "session.model_external_initializers_file_folder_path";

/// ONNX Runtime, loaded. Cheap to clone; a process has one.
#[derive(Clone)]
pub struct Onnx {
    environment: Environment,
}

impl std::fmt::Debug for Onnx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Onnx")
    }
}

impl Onnx {
    /// Loads the runtime's shared library. The first library that a process loads stays: later calls return
    /// the same runtime whatever their path.
    ///
    /// # Errors
    /// [`ModelError::Onnx`] when the library does not load or is older than version 1.17.
    pub fn load(library: &Path) -> Result<Self, ModelError> {
        static LOADED: Mutex<Option<Onnx>> = Mutex::new(None);
        // A second environment would be refused, and loading models may be tried again.
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(onnx) = loaded.as_ref() {
            return Ok(onnx.clone());
        }
        let library =
            library.canonicalize().map_err(|source| ModelError::Io { path: library.to_owned(), source })?;
        let builder = ort::init_from(&library).map_err(|error| ModelError::Onnx(error.to_string()))?;
        let environment = builder.with_name("sotto").with_telemetry(false).build().map_err(onnx)?;
        Ok(loaded.insert(Self { environment }).clone())
    }

    /// Opens a model with all graph optimisations and `threads` threads of its own (at least one).
    ///
    /// # Errors
    /// [`ModelError::Onnx`] when the file is no model that this runtime understands.
    pub fn session(&self, model: &Path, threads: usize) -> Result<Session, ModelError> {
        self.builder(threads)
            .and_then(|mut builder| builder.commit_from_file(model))
            .map_err(|error| ModelError::Onnx(format!("{}: {error}", model.display())))
    }

    /// The same from a model in memory. Weights that it keeps in files are looked for in `folder`, and mapped.
    ///
    /// # Errors
    /// [`ModelError::Onnx`] when this is no model that this runtime understands.
    pub fn session_from(&self, model: &[u8], folder: &Path, threads: usize) -> Result<Session, ModelError> {
        self.builder(threads)
            .and_then(|builder| Ok(builder.with_config_entry(WEIGHTS_FOLDER, folder.to_string_lossy())?))
            .and_then(|mut builder| builder.commit_from_memory(model))
            .map_err(onnx)
    }

    fn builder(&self, threads: usize) -> ort::Result<SessionBuilder> {
        Ok(Session::builder(&self.environment)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_intra_threads(threads.max(1))?
            // Idle threads must not burn the cores that decode speech.
            .with_intra_op_spinning(false)?)
    }
}

fn onnx(error: ort::Error) -> ModelError {
    ModelError::Onnx(error.to_string())
}
