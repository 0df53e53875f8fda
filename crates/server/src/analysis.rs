//! Speech recognition as the server runs it: models found or fetched, engine started, load told to every call.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use sotto_call::Load;
use sotto_models::whisper::Encoder;
use sotto_models::{Cache, ModelError, Onnx, Progress, VOICE_ACTIVITY};
use sotto_speech::{Engine, EngineConfig, Model, Models};

use crate::config::SpeechConfig;

/// Finds the models that `config` names, fetching what is missing, and starts to listen.
///
/// Blocking: it reads, and may download, hundreds of megabytes.
///
/// # Errors
/// When a model cannot be had or is damaged, or there is not enough memory.
pub fn start(
    config: &SpeechConfig,
    vocabulary: &[String],
    cache: &Cache,
    progress: &mut dyn Progress,
    on_load: Box<dyn Fn(Load) + Send>,
) -> anyhow::Result<Engine> {
    let files = fetch(config, cache, progress)?;
    let mut loaded: BTreeMap<&str, Arc<Model>> = BTreeMap::new();
    for (name, path) in &files.whisper {
        let model = load(path, name, &files.onnx, workers(config))
            .with_context(|| format!("loading {}", path.display()))?;
        loaded.insert(name, Arc::new(model));
    }
    let default = loaded[config.model.as_str()].clone();
    let by_language: HashMap<_, _> = (config.models.iter())
        .map(|(language, name)| (language.clone(), loaded[name.as_str()].clone()))
        .collect();
    let vad = cache.require(VOICE_ACTIVITY, progress)?;
    let vad = files.onnx.session(&vad, 1).context("opening the voice activity network")?;
    let vocabulary = (!vocabulary.is_empty()).then(|| vocabulary.join(", "));
    let models = Models { default, by_language };
    if let Some(words) = &vocabulary {
        for (name, model) in &loaded {
            let beyond = model.beyond_prompt(words);
            if beyond > 0 {
                tracing::warn!(model = name, beyond, "too many `vocabulary.words`: the first are left out");
            }
        }
    }
    let named: BTreeSet<&String> =
        config.language.iter().chain(&config.languages).chain(config.models.keys()).collect();
    for language in named.into_iter().filter(|language| !models.knows(language)) {
        tracing::warn!(%language, "no model that is configured knows it: its words will be English ones");
    }
    let config =
        EngineConfig { workers: workers(config), languages: config.languages.clone(), vocabulary, on_load };
    Ok(Engine::start(config, models, vad)?)
}

/// A Whisper model for so many decodes at a time, its encoder computed by ONNX Runtime where that can be done.
fn load(path: &Path, name: &str, onnx: &Onnx, decodes: usize) -> anyhow::Result<Model> {
    let mut model = Model::load(path, name)?;
    if let Err(error) = speed_up(&mut model, path, onnx, decodes) {
        tracing::warn!(model = name, "recognition is slower than it could be: {error:#}");
    }
    Ok(model)
}

/// Has a model's encoder computed by ONNX Runtime.
fn speed_up(model: &mut Model, path: &Path, onnx: &Onnx, decodes: usize) -> anyhow::Result<()> {
    let encoder = Encoder::read(onnx, path)?;
    Ok(model.encoded_by(Box::new(move |threads| Ok(encoder.session(threads)?)), decodes)?)
}

/// What recognition is made from.
pub struct Files {
    /// The Whisper models by name.
    pub whisper: BTreeMap<String, PathBuf>,
    /// The library that runs the other networks.
    pub onnx: Onnx,
}

/// Finds, or fetches, what recognition needs.
///
/// # Errors
/// When something cannot be had or is damaged.
pub fn fetch(config: &SpeechConfig, cache: &Cache, progress: &mut dyn Progress) -> Result<Files, ModelError> {
    let onnx = cache.onnx(progress)?;
    cache.require(VOICE_ACTIVITY, progress)?;
    let names: BTreeSet<&String> = std::iter::once(&config.model).chain(config.models.values()).collect();
    let paths = names.into_iter().map(|name| Ok((name.clone(), cache.whisper(name, progress)?)));
    Ok(Files { whisper: paths.collect::<Result<_, ModelError>>()?, onnx })
}

/// How many threads decode.
#[must_use]
pub fn workers(config: &SpeechConfig) -> usize {
    match config.workers {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        workers => workers,
    }
}
