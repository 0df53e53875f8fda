//! The encoder's output, computed by ONNX Runtime in whisper.cpp's place.
//!
//! whisper.cpp can leave the encoder to Core ML, for which it calls three C functions: one as a state is made, one for
//! every window, one as the state goes. It is built so (`.cargo/config.toml`), and these functions are here. What they
//! are to compute with is put down beside the thread that makes a state ([`with`]); a state that is made without
//! computes everything itself. Everything is computed on the thread that decodes.

#![expect(unsafe_code, reason = "whisper.cpp calls by the C ABI, with pointers into its memory")]

use std::cell::RefCell;
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use ort::session::Session;
use ort::value::TensorRef;

use crate::SpeechError;

/// Opens one more session of an encoder. It takes `mel`, `[1, bands, frames]`, and gives `encoded`,
/// `[1, frames / 2, width]`.
pub type OpenSession = dyn Fn() -> Result<Session, Box<dyn std::error::Error + Send + Sync>> + Send + Sync;

/// Sessions of a model's encoder, as many as there are threads that were at one at the same time.
pub(crate) struct Encoder {
    open: Box<OpenSession>,
    idle: Mutex<Vec<Session>>,
    /// Numbers a position.
    width: usize,
}

impl Encoder {
    pub(crate) fn new(open: Box<OpenSession>, width: usize) -> Self {
        Self { open, idle: Mutex::default(), width }
    }

    /// From `bands` of a spectrogram, one after the other, to half as many positions as there are frames.
    pub(crate) fn encode(&self, mel: &[f32], bands: usize, out: &mut [f32]) -> Result<(), SpeechError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let session = idle().pop();
        let mut session = match session {
            Some(session) => session,
            None => (self.open)().map_err(|error| SpeechError::Encoder(error.to_string()))?,
        };
        let frames = mel.len() / bands.max(1);
        let input = TensorRef::from_array_view(([1, bands, frames], mel));
        let wrong = |error: ort::Error| SpeechError::Encoder(error.to_string());
        let outputs = session.run(ort::inputs!["mel" => input.map_err(wrong)?]).map_err(wrong)?;
        let (shape, encoded) = outputs["encoded"].try_extract_tensor::<f32>().map_err(wrong)?;
        if encoded.len() != out.len() {
            return Err(SpeechError::Encoder(format!("its output is {shape}")));
        }
        out.copy_from_slice(encoded);
        drop(outputs);
        idle().push(session);
        Ok(())
    }
}

thread_local! {
    /// For the state that this thread makes next.
    static NEXT: RefCell<Option<Arc<Encoder>>> = const { RefCell::new(None) };
    /// What went wrong on this thread since somebody asked.
    static FAILED: RefCell<Option<SpeechError>> = const { RefCell::new(None) };
}

/// Makes a state that has its encoder's output from `encoder`. False beside it: whisper.cpp was not built so.
pub(crate) fn with<S>(encoder: &Arc<Encoder>, make: impl FnOnce() -> S) -> (S, bool) {
    NEXT.set(Some(Arc::clone(encoder)));
    let state = make();
    // Without it, the linker may find no need for these functions before it meets whisper.cpp.
    std::hint::black_box((whisper_coreml_init as *const (), whisper_coreml_encode as *const ()));
    let is_taken = NEXT.take().is_none();
    (state, is_taken)
}

/// What went wrong as this thread decoded; whisper.cpp cannot be told.
pub(crate) fn failure() -> Result<(), SpeechError> {
    FAILED.take().map_or(Ok(()), Err)
}

/// What a state keeps of its encoder.
struct Context(Arc<Encoder>);

/// The encoder for the state that is made; null if it is to compute everything itself.
#[unsafe(no_mangle)]
extern "C" fn whisper_coreml_init(_path: *const c_char) -> *mut Context {
    match NEXT.take() {
        Some(encoder) => Box::into_raw(Box::new(Context(encoder))),
        None => std::ptr::null_mut(),
    }
}

/// # Safety
/// `context` is from [`whisper_coreml_init`], not null, and not used again.
#[unsafe(no_mangle)]
unsafe extern "C" fn whisper_coreml_free(context: *mut Context) {
    // SAFETY: as above; it was made by `Box::into_raw`.
    drop(unsafe { Box::from_raw(context) });
}

/// # Safety
/// `context` is from [`whisper_coreml_init`], `mel` has `frames * bands` numbers, and `out` room for half as many
/// positions as there are frames, of the model's width each. Nothing else uses these meanwhile.
#[unsafe(no_mangle)]
unsafe extern "C" fn whisper_coreml_encode(
    context: *const Context,
    frames: i64,
    bands: i64,
    mel: *const f32,
    out: *mut f32,
) {
    // SAFETY: as above.
    let encoder = unsafe { &(*context).0 };
    let size = |n: i64| usize::try_from(n).unwrap_or(0);
    let (frames, bands) = (size(frames), size(bands));
    // SAFETY: as above.
    let (mel, out) = unsafe {
        let positions = frames / 2;
        let mel = std::slice::from_raw_parts(mel, frames * bands);
        (mel, std::slice::from_raw_parts_mut(out, positions * encoder.width))
    };
    // A panic must not go on through whisper.cpp.
    let result = catch_unwind(AssertUnwindSafe(|| encoder.encode(mel, bands, out)))
        .unwrap_or_else(|_| Err(SpeechError::Encoder("it panicked".to_owned())));
    if let Err(error) = result {
        out.fill(0.0);
        FAILED.set(Some(error));
    }
}
