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
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use ort::session::Session;
use ort::value::TensorRef;
use whisper_rs::WhisperError;

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

    /// From `bands` of a spectrogram, one after the other, to half as many positions as there are frames. Does nothing if
    /// `give_up` has become true before it is its turn: what others wait for is not held up by what is of no use.
    pub(crate) fn encode(
        &self,
        mel: &[f32],
        bands: usize,
        out: &mut [f32],
        give_up: &AtomicBool,
    ) -> Result<(), SpeechError> {
        let Some(mut place) = self.place(give_up) else { return Ok(()) };
        let session = match &mut place.session {
            Some(session) => session,
            unopened => {
                let opened = (self.open)(self.threads);
                unopened.insert(opened.map_err(|error| SpeechError::Encoder(error.to_string()))?)
            }
        };
        encode(session, mel, bands, out)
    }

    /// Waits for one if there are as many as there may be. `None`: it was given up meanwhile.
    fn place(&self, give_up: &AtomicBool) -> Option<Place<'_>> {
        let mut idle = self.lock();
        loop {
            if give_up.load(Relaxed) {
                drop(idle);
                // It may be the one that was told of a session.
                self.given_back.notify_one();
                return None;
            }
            if let Some(session) = idle.sessions.pop() {
                return Some(Place { of: self, session: Some(session) });
            }
            if idle.unopened > 0 {
                idle.unopened -= 1;
                return Some(Place { of: self, session: None });
            }
            idle = self.given_back.wait(idle).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session that nobody else is at, or the right to open one. Either is given back, whatever happens at it.
struct Place<'a> {
    of: &'a Encoder,
    session: Option<Session>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut idle = self.of.lock();
        match self.session.take() {
            Some(session) => idle.sessions.push(session),
            None => idle.unopened += 1,
        }
        drop(idle);
        self.of.given_back.notify_one();
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
    static NEXT: RefCell<Option<Context>> = const { RefCell::new(None) };
    /// What went wrong on this thread since somebody asked.
    static FAILED: RefCell<Option<SpeechError>> = const { RefCell::new(None) };
}

/// Makes a state that has its encoder's output from `encoder`, as long as `give_up` is false. False beside it: whisper.cpp
/// was not built so.
pub(crate) fn with<S>(
    encoder: &Arc<Encoder>,
    give_up: &Arc<AtomicBool>,
    make: impl FnOnce() -> S,
) -> (S, bool) {
    NEXT.set(Some(Context { encoder: Arc::clone(encoder), give_up: Arc::clone(give_up) }));
    let state = make();
    // Without it, the linker may find no need for these functions before it meets whisper.cpp.
    std::hint::black_box((whisper_coreml_init as *const (), whisper_coreml_encode as *const ()));
    let is_taken = NEXT.take().is_none();
    (state, is_taken)
}

/// What came of something that this thread asked of whisper.cpp, which cannot be told that its encoder has failed.
pub(crate) fn told<T>(done: Result<T, WhisperError>) -> Result<T, SpeechError> {
    // Whatever else went wrong: the next who asks is not to hear of this.
    FAILED.take().map_or(Ok(()), Err)?;
    Ok(done?)
}

/// What a state keeps of its encoder.
struct Context {
    encoder: Arc<Encoder>,
    give_up: Arc<AtomicBool>,
}

/// The encoder for the state that is made; null if it is to compute everything itself.
#[unsafe(no_mangle)]
extern "C" fn whisper_coreml_init(_path: *const c_char) -> *mut Context {
    match NEXT.take() {
        Some(context) => Box::into_raw(Box::new(context)),
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
    let Context { encoder, give_up } = unsafe { &*context };
    let size = |n: i64| usize::try_from(n).unwrap_or(0);
    let (frames, bands) = (size(frames), size(bands));
    // SAFETY: as above.
    let (mel, out) = unsafe {
        let positions = frames / 2;
        let mel = std::slice::from_raw_parts(mel, frames * bands);
        (mel, std::slice::from_raw_parts_mut(out, positions * encoder.width))
    };
    // A panic must not go on through whisper.cpp.
    let result = catch_unwind(AssertUnwindSafe(|| encoder.encode(mel, bands, out, give_up)))
        .unwrap_or_else(|_| Err(SpeechError::Encoder("it panicked".to_owned())));
    if let Err(error) = result {
        out.fill(0.0);
        FAILED.set(Some(error));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::sync::mpsc::channel;
    use std::thread::spawn;
    use std::time::Duration;

    use super::*;

    static GO_ON: AtomicBool = AtomicBool::new(false);

    #[test]
    fn what_is_given_up_has_no_turn_and_holds_nobody_up() {
        let encoder = Arc::new(Encoder::new(Arc::new(|_| panic!("of no use")), 4, 1));
        let give_up = Arc::new(AtomicBool::new(false));
        let place = encoder.place(&give_up).unwrap();
        let (tell, told) = channel();
        for _ in 0..2 {
            let (encoder, give_up, tell) = (Arc::clone(&encoder), Arc::clone(&give_up), tell.clone());
            spawn(move || tell.send(encoder.encode(&[0.0; 4], 2, &mut [0.0; 4], &give_up).is_ok()));
        }
        give_up.store(true, Relaxed);
        // One is told, and tells the other.
        drop(place);
        let minute = Duration::from_secs(60);
        assert_eq!([told.recv_timeout(minute), told.recv_timeout(minute)], [Ok(true), Ok(true)]);
    }

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
            let failed = encoder.encode(&[0.0; 4], 2, &mut [0.0; 4], &GO_ON).unwrap_err();
            assert_eq!(failed.to_string(), "the encoder: no memory");
        }
        assert_eq!(tries.load(Relaxed), 3);
    }

    #[test]
    fn who_panics_as_they_open_a_session_leaves_room_for_the_next() {
        let encoder = Arc::new(Encoder::new(Arc::new(|_| panic!("out of order")), 4, 1));
        let (tell, told) = channel();
        for _ in 0..2 {
            let (encoder, tell) = (Arc::clone(&encoder), tell.clone());
            let encode = move || encoder.encode(&[0.0; 4], 2, &mut [0.0; 4], &GO_ON);
            spawn(move || tell.send(catch_unwind(AssertUnwindSafe(encode)).is_err()));
            assert_eq!(told.recv_timeout(Duration::from_secs(60)), Ok(true));
        }
    }

    #[test]
    fn a_failure_is_told_to_who_asked_though_whisper_gave_up_as_well() {
        FAILED.set(Some(SpeechError::Encoder("no memory".to_owned())));
        let failed = told::<()>(Err(WhisperError::FailedToEncode)).unwrap_err();
        assert!(matches!(failed, SpeechError::Encoder(_)), "{failed}");
        assert_eq!(told(Ok(7)).unwrap(), 7);
        assert!(matches!(told::<()>(Err(WhisperError::FailedToEncode)), Err(SpeechError::Whisper(_))));
    }

    #[test]
    fn what_fails_as_whisper_asks_is_told_to_who_asked_whisper_and_once() {
        let encoder = Arc::new(Encoder::new(Arc::new(|_| panic!("out of order")), 2, 1));
        let (context, is_taken) = with(&encoder, &Arc::default(), || whisper_coreml_init(std::ptr::null()));
        assert!(is_taken && !context.is_null());
        assert!(whisper_coreml_init(std::ptr::null()).is_null(), "for one state alone");
        let (mut mel, mut out) = ([0.0f32; 4], [1.0f32; 4]);
        // SAFETY: four frames of one band are two positions of two numbers.
        unsafe { whisper_coreml_encode(context, 4, 1, mel.as_mut_ptr(), out.as_mut_ptr()) };
        assert_eq!(out, [0.0; 4]);
        assert!(told(Ok(())).unwrap_err().to_string().contains("panicked"));
        assert!(told(Ok(())).is_ok());
        // SAFETY: it is from `whisper_coreml_init`, and not used again.
        unsafe { whisper_coreml_free(context) };
        assert_eq!(Arc::strong_count(&encoder), 1);
        assert!(!with(&encoder, &Arc::default(), || ()).1, "nobody asked");
    }
}
