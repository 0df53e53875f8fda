//! The encoder's output, computed by ONNX Runtime in whisper.cpp's place.
//!
//! whisper.cpp can leave the encoder to Core ML, for which it calls three C functions: one as a state is made, one for
//! every window, one as the state goes. It is built so (`.cargo/config.toml`), and these functions are here. What they
//! are to compute with is put down beside the thread that makes a state ([`with`]); a state that is made without
//! computes everything itself.

#![expect(unsafe_code, reason = "whisper.cpp calls by the C ABI, with pointers into its memory")]

use std::cell::RefCell;
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use ort::session::Session;
use ort::value::TensorRef;

use crate::SpeechError;

/// Opens one more session of an encoder, which computes on so many threads. It takes `mel`, `[1, bands, frames]`, and
/// gives `encoded`, `[1, frames / 2, width]`.
pub type OpenSession =
    dyn Fn(usize) -> Result<Session, Box<dyn std::error::Error + Send + Sync>> + Send + Sync;

/// Threads of a session. Each session has the weights for itself, so it is worth having fewer of them than decodes; and a
/// decode that is alone has its words sooner.
const THREADS: usize = 2;

/// Sessions of a model's encoder, for decodes of one kind. They are opened on the threads that decode, and theirs have
/// the priority of these.
pub(crate) struct Encoder {
    open: Arc<OpenSession>,
    /// Numbers a position.
    width: usize,
    threads: usize,
    idle: Mutex<Idle>,
    given_back: Condvar,
}

struct Idle {
    sessions: Vec<Session>,
    /// How many more may be opened.
    unopened: usize,
}

impl Encoder {
    /// For at most so many decodes at the same time.
    pub(crate) fn new(open: Arc<OpenSession>, width: usize, decodes: usize) -> Self {
        let threads = decodes.clamp(1, THREADS);
        let idle = Mutex::new(Idle { sessions: Vec::new(), unopened: decodes.div_ceil(threads).max(1) });
        Self { open, width, threads, idle, given_back: Condvar::new() }
    }

    /// From `bands` of a spectrogram, one after the other, to half as many positions as there are frames.
    pub(crate) fn encode(&self, mel: &[f32], bands: usize, out: &mut [f32]) -> Result<(), SpeechError> {
        let mut taken = Taken { from: self, session: Some(self.take()?) };
        taken.session.as_mut().map_or(Ok(()), |session| encode(session, mel, bands, out))
    }

    /// A session that nobody is at; waits for one if there are as many as there may be.
    fn take(&self) -> Result<Session, SpeechError> {
        let mut idle = self.lock();
        loop {
            if let Some(session) = idle.sessions.pop() {
                return Ok(session);
            }
            if idle.unopened > 0 {
                idle.unopened -= 1;
                drop(idle);
                return (self.open)(self.threads).map_err(|error| {
                    self.lock().unopened += 1;
                    self.given_back.notify_one();
                    SpeechError::Encoder(error.to_string())
                });
            }
            idle = self.given_back.wait(idle).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives a session back, whatever happens at it.
struct Taken<'a> {
    from: &'a Encoder,
    session: Option<Session>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.from.lock().sessions.extend(self.session.take());
        self.from.given_back.notify_one();
    }
}

fn encode(session: &mut Session, mel: &[f32], bands: usize, out: &mut [f32]) -> Result<(), SpeechError> {
    let wrong = |error: ort::Error| SpeechError::Encoder(error.to_string());
    let frames = mel.len() / bands.max(1);
    let input = TensorRef::from_array_view(([1, bands, frames], mel)).map_err(wrong)?;
    let outputs = session.run(ort::inputs!["mel" => input]).map_err(wrong)?;
    let (shape, encoded) = outputs["encoded"].try_extract_tensor::<f32>().map_err(wrong)?;
    if encoded.len() != out.len() {
        return Err(SpeechError::Encoder(format!("its output is {shape}")));
    }
    out.copy_from_slice(encoded);
    Ok(())
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    #[test]
    fn a_session_that_cannot_be_opened_is_tried_again_and_nobody_waits_for_it() {
        let tries = Arc::new(AtomicUsize::new(0));
        let counted = tries.clone();
        let open = move |threads| {
            assert_eq!(threads, THREADS);
            counted.fetch_add(1, Relaxed);
            Err("no memory".into())
        };
        let encoder = Encoder::new(Arc::new(open), 4, 2);
        for _ in 0..3 {
            let failed = encoder.encode(&[0.0; 4], 2, &mut [0.0; 4]).unwrap_err();
            assert_eq!(failed.to_string(), "the encoder: no memory");
        }
        assert_eq!(tries.load(Relaxed), 3);
    }

    #[test]
    fn what_fails_as_whisper_asks_is_told_to_who_asked_whisper_and_once() {
        let encoder = Arc::new(Encoder::new(Arc::new(|_| panic!("out of order")), 2, 1));
        let (context, is_taken) = with(&encoder, || whisper_coreml_init(std::ptr::null()));
        assert!(is_taken && !context.is_null());
        assert!(whisper_coreml_init(std::ptr::null()).is_null(), "for one state alone");
        let (mut mel, mut out) = ([0.0f32; 4], [1.0f32; 4]);
        // SAFETY: four frames of one band are two positions of two numbers.
        unsafe { whisper_coreml_encode(context, 4, 1, mel.as_mut_ptr(), out.as_mut_ptr()) };
        assert_eq!(out, [0.0; 4]);
        assert!(failure().unwrap_err().to_string().contains("panicked"));
        assert!(failure().is_ok());
        // SAFETY: it is from `whisper_coreml_init`, and not used again.
        unsafe { whisper_coreml_free(context) };
        assert_eq!(Arc::strong_count(&encoder), 1);
        assert!(!with(&encoder, || ()).1, "nobody asked");
    }
}
