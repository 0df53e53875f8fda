//! One decode: samples in, words with times out, loops and silence refused.

use std::collections::HashMap;
use std::ffi::c_int;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use sotto_audio::RATE;
use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperState};

use crate::SpeechError;
use crate::encoder::{self, Encoder, OpenSession};

/// Encoder positions per second of audio.
const POSITIONS_PER_SECOND: usize = 50;
/// Encoder positions of the 30 s window Whisper was trained on.
const FULL_CONTEXT: usize = 1500;
/// Below this many positions models fall into repetition: smaller ones earlier (measured).
const LEAST_CONTEXT: usize = 384;
const LEAST_CONTEXT_TINY: usize = 512;
/// A thorough decode hears speech of 12 s and silence up to 20 s: as few words are wrong as with all 30 s that Whisper
/// was trained on, in two thirds of the time (measured). Without the silence more are wrong.
const THOROUGH_CONTEXT: usize = 1000;
/// Hypotheses a thorough decode keeps.
const BEAM: c_int = 4;
/// The width of the encoder from the `base` model on.
const BASE_WIDTH: c_int = 512;
/// Whether whisper.cpp computes on a graphics card, in whose memory nobody else looks.
const ON_GPU: bool = cfg!(any(feature = "cuda", feature = "vulkan"));
/// The most audio one decode takes, in samples.
pub const LONGEST: usize = 28 * RATE as usize;

/// A loaded Whisper model; workers make their [`Decoder`]s from it.
pub struct Model {
    context: WhisperContext,
    name: String,
    encoders: Option<Encoders>,
}

/// Revisions have an encoder of their own: what is being said does not wait for theirs.
struct Encoders {
    quick: Arc<Encoder>,
    thorough: Arc<Encoder>,
}

impl Model {
    /// Loads a GGML file. `name` is what figures and errors call it.
    ///
    /// # Errors
    /// When the file cannot be read or is not a GGML Whisper model.
    pub fn load(path: &Path, name: impl Into<String>) -> Result<Self, SpeechError> {
        static QUIET: std::sync::Once = std::sync::Once::new();
        QUIET.call_once(whisper_rs::install_logging_hooks);
        let mut parameters = WhisperContextParameters::default();
        parameters.use_gpu(ON_GPU).flash_attn(false);
        let context = WhisperContext::new_with_params(path, parameters)?;
        Ok(Self { context, name: name.into(), encoders: None })
    }

    /// From now on has its encoder computed by sessions that `open` opens, in a third of the time; on a graphics card nothing
    /// changes. They must be this model's, see [`OpenSession`]. `decodes` of each [`Effort`] are made at the same time.
    ///
    /// # Errors
    /// When a session cannot be opened, or gives something else than this model's decoder takes: all is as it was.
    pub fn encoded_by(&mut self, open: Box<OpenSession>, decodes: usize) -> Result<(), SpeechError> {
        if ON_GPU {
            return Ok(());
        }
        let size = |n: c_int| usize::try_from(n).unwrap_or(0);
        let (bands, width) = (size(self.context.model_n_mels()), size(self.context.model_n_audio_state()));
        let open: Arc<OpenSession> = open.into();
        let encoder = || Encoder::new(Arc::clone(&open), width, decodes);
        // Tried now, and not on the first call; those that decode open their own, with their priority.
        encoder().encode(&vec![0.0; 2 * bands], bands, &mut vec![0.0; width], &AtomicBool::new(false))?;
        self.encoders = Some(Encoders { quick: Arc::new(encoder()), thorough: Arc::new(encoder()) });
        Ok(())
    }

    /// Working memory for decodes, of which `alone` has no encoder but whisper.cpp's.
    fn state(
        &self,
        effort: Effort,
        alone: bool,
        give_up: &Arc<AtomicBool>,
    ) -> Result<WhisperState, SpeechError> {
        static WARNED: std::sync::Once = std::sync::Once::new();
        let encoders = self.encoders.as_ref().filter(|_| !alone);
        let Some(encoders) = encoders else { return Ok(self.context.create_state()?) };
        let encoder = match effort {
            Effort::Quick => &encoders.quick,
            Effort::Thorough => &encoders.thorough,
        };
        let (state, is_used) = encoder::with(encoder, give_up, || self.context.create_state());
        let state = state?;
        if !is_used {
            // Cargo does not see that what whisper.cpp is to be built with has changed.
            let why = "whisper.cpp was built without a way to leave it the encoder: \
                `cargo clean --package whisper-rs-sys`, and build again";
            WARNED.call_once(|| tracing::warn!("{why}"));
        }
        Ok(state)
    }

    /// The name it was loaded under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// False for models that know English only.
    #[must_use]
    pub fn is_multilingual(&self) -> bool {
        self.context.is_multilingual()
    }

    /// How many of the first tokens of a prompt are too many: it is given the last ones only.
    #[must_use]
    pub fn beyond_prompt(&self, prompt: &str) -> usize {
        // No token is shorter than a byte, and the binding is unsound where there are more than it has room for.
        let tokens = self.context.tokenize(prompt, prompt.len() + 1).map_or(0, |tokens| tokens.len());
        // Half of the text window; one of these says that a prompt comes.
        let room = usize::try_from(self.context.n_text_ctx()).unwrap_or(0) / 2;
        tokens.saturating_sub(room.saturating_sub(1))
    }

    /// Decodes for one thread. A decode ends with an error soon after `give_up` has become true: before its next token.
    #[must_use]
    pub fn decoder(self: &Arc<Self>, give_up: Arc<AtomicBool>) -> Decoder {
        let is_tiny = self.context.model_n_audio_state() < BASE_WIDTH;
        let least_context = if is_tiny { LEAST_CONTEXT_TINY } else { LEAST_CONTEXT };
        let params = HashMap::new();
        Decoder { model: self.clone(), state: None, alone: false, params, least_context, give_up }
    }
}

/// How much time a decode may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effort {
    /// The encoder's window is as long as the audio, and the decoder is greedy.
    Quick,
    /// A window of at least 20 s and a beam search: about four times the time, and fewer errors on windows of several
    /// utterances (measured).
    Thorough,
}

/// What to decode and how.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// 16 kHz mono, at most [`LONGEST`] samples.
    pub samples: &'a [f32],
    /// BCP 47 primary language; absent to detect it.
    pub language: Option<&'a str>,
    /// When it is detected, it is one of these; any when empty.
    pub languages: &'a [String],
    /// Words to expect: names, products.
    pub prompt: Option<&'a str>,
    /// See [`Effort`].
    pub effort: Effort,
    /// On how many threads, if whisper.cpp computes the encoder. What is left to it otherwise, a token at a time, has
    /// one: two that meet after every step are slower than one as soon as they have not a processor each.
    pub threads: usize,
}

/// A word of a decode; times in milliseconds from the window's first sample.
#[derive(Clone, Debug, PartialEq)]
pub struct HeardWord {
    /// As written, with its punctuation, without the space before it.
    pub w: String,
    /// Begin.
    pub start_ms: u64,
    /// End.
    pub end_ms: u64,
    /// The mean probability of its tokens.
    pub p: f32,
}

/// What a decode heard.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// Words in order; empty when it was not speech, or the model ran into a loop.
    pub words: Vec<HeardWord>,
    /// BCP 47 language.
    pub language: String,
    /// The model repeated itself, and the repetition was cut off.
    pub looped: bool,
}

/// One thread's working memory.
pub struct Decoder {
    model: Arc<Model>,
    /// Absent until the first quick decode: thorough ones bring their own.
    state: Option<WhisperState>,
    /// The model's encoder has failed: whisper.cpp computes everything.
    alone: bool,
    /// Each that is made keeps its strings and its callback for ever, so none is made twice.
    params: HashMap<Wanted, FullParams<'static, 'static>>,
    /// Encoder positions.
    least_context: usize,
    give_up: Arc<AtomicBool>,
}

/// The BCP 47 primary language of a tag, when Whisper knows it: `fa-IR` is `fa`.
#[must_use]
pub fn language(tag: &str) -> Option<String> {
    let primary = tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    // The whole names that Whisper knows as well are no tags.
    let is_tag = matches!(primary.len(), 2 | 3) && primary.bytes().all(|b| b.is_ascii_lowercase());
    (is_tag && whisper_rs::get_lang_id(&primary).is_some()).then_some(primary)
}

impl Decoder {
    /// Decodes on this thread. If the encoder fails, whisper.cpp computes it from then on: what was said is not lost.
    ///
    /// # Errors
    /// When the model fails; the decoder stays usable.
    pub fn decode(&mut self, request: &Request<'_>) -> Result<Heard, SpeechError> {
        match self.attempt(request) {
            Err(SpeechError::Encoder(why)) if !self.alone => {
                tracing::warn!(model = self.model.name, why, "recognition is slower from now on");
                (self.alone, self.state) = (true, None);
                self.attempt(request)
            }
            heard => heard,
        }
    }

    fn attempt(&mut self, request: &Request<'_>) -> Result<Heard, SpeechError> {
        let kept = match request.effort {
            Effort::Quick => self.state.take(),
            // whisper.cpp's beam search draws candidates at random, from a generator that lives as long as the state. A
            // fresh one gives the same words for the same audio.
            Effort::Thorough => None,
        };
        let mut state = match kept {
            Some(state) => state,
            None => self.model.state(request.effort, self.alone, &self.give_up)?,
        };
        let heard = self.decode_in(&mut state, request);
        if request.effort == Effort::Quick {
            self.state = Some(state);
        }
        heard
    }

    fn decode_in(&mut self, state: &mut WhisperState, request: &Request<'_>) -> Result<Heard, SpeechError> {
        let samples = &request.samples[..request.samples.len().min(LONGEST)];
        let seconds = samples.len() as f32 / RATE as f32;
        let detected = match request.language {
            None => detect(state, samples, request.languages)?,
            Some(_) => None,
        };
        let language = request.language.or(detected).map(str::to_owned);
        let key = Wanted { language, prompt: request.prompt.map(str::to_owned), effort: request.effort };
        let make = |wanted: &_| parameters(wanted, &self.give_up);
        let mut params = self.params.entry(key).or_insert_with_key(make).clone();
        let is_encoded = self.model.encoders.is_some() && !self.alone;
        params.set_n_threads(if is_encoded { 1 } else { request.threads as c_int });
        // A loop would decode to the end of the text window; nobody speaks this many tokens.
        params.set_max_tokens((seconds * 8.0) as c_int + 16);
        let least = match request.effort {
            Effort::Quick => self.least_context,
            Effort::Thorough => THOROUGH_CONTEXT,
        };
        params.set_audio_ctx(audio_context(samples.len(), least) as c_int);
        encoder::told(state.full(params, samples))?;
        Ok(heard(state, samples.len()))
    }
}

/// The likeliest of `languages`, `None` to leave it to the model.
fn detect<'l>(
    state: &mut WhisperState,
    samples: &[f32],
    languages: &'l [String],
) -> Result<Option<&'l str>, SpeechError> {
    if languages.is_empty() {
        return Ok(None);
    }
    state.pcm_to_mel(samples, 1)?;
    let (_, probabilities) = encoder::told(state.lang_detect(0, 1))?;
    let probability = |language: &str| {
        let id = whisper_rs::get_lang_id(language).and_then(|id| usize::try_from(id).ok());
        id.and_then(|id| probabilities.get(id).copied()).unwrap_or(0.0)
    };
    Ok(languages.iter().map(String::as_str).max_by(|a, b| probability(a).total_cmp(&probability(b))))
}

fn heard(state: &WhisperState, samples: usize) -> Heard {
    let end_ms = samples as u64 * 1000 / u64::from(RATE);
    let language = whisper_rs::get_lang_str(state.full_lang_id_from_state()).unwrap_or("en").to_owned();
    let mut words = Words::default();
    for segment in state.as_iter() {
        for token in (0..segment.n_tokens()).filter_map(|n| segment.get_token(n)) {
            let data = token.token_data();
            let Ok(bytes) = token.to_bytes() else { continue };
            if bytes.starts_with(b"[_") || bytes.starts_with(b"<|") {
                continue;
            }
            let ms = |centiseconds: i64| (centiseconds.max(0) as u64 * 10).min(end_ms);
            words.token(bytes, ms(data.t0), ms(data.t1), data.p);
        }
    }
    let mut words = words.finish();
    let looped = cut_loop(&mut words, samples as f32 / RATE as f32);
    Heard { words, language, looped }
}

/// What parameters depend on.
#[derive(PartialEq, Eq, Hash)]
struct Wanted {
    language: Option<String>,
    prompt: Option<String>,
    effort: Effort,
}

fn parameters(wanted: &Wanted, give_up: &Arc<AtomicBool>) -> FullParams<'static, 'static> {
    let Wanted { language, prompt, effort } = wanted;
    let mut params = FullParams::new(match effort {
        Effort::Quick => SamplingStrategy::Greedy { best_of: 1 },
        Effort::Thorough => SamplingStrategy::BeamSearch { beam_size: BEAM, patience: -1.0 },
    });
    params.set_print_progress(false);
    params.set_print_realtime(false);
    params.set_print_special(false);
    params.set_print_timestamps(false);
    params.set_no_context(true);
    params.set_single_segment(true);
    params.set_token_timestamps(true);
    params.set_temperature_inc(0.0);
    params.set_suppress_nst(true);
    params.set_language(
        language.as_deref().and_then(whisper_rs::get_lang_id).and_then(whisper_rs::get_lang_str),
    );
    if let Some(prompt) = prompt {
        params.set_initial_prompt(prompt);
    }
    // Boxed as it is, and of no other type: whisper-rs 0.16 calls what it is given as if it were of the type that it
    // has put it into, a boxed closure.
    let give_up = Arc::clone(give_up);
    let is_over: Box<dyn FnMut() -> bool> = Box::new(move || give_up.load(Relaxed));
    params.set_abort_callback_safe(is_over);
    params
}

fn audio_context(samples: usize, least: usize) -> usize {
    let needed = samples * POSITIONS_PER_SECOND / RATE as usize + 16;
    // Multiples of 64 keep the matrix kernels on their fast path.
    needed.next_multiple_of(64).clamp(least, FULL_CONTEXT)
}

/// Puts tokens together to words: a token that begins with a space begins a word. Tokens may split UTF-8
/// characters, so bytes are collected first.
#[derive(Default)]
struct Words {
    done: Vec<HeardWord>,
    bytes: Vec<u8>,
    start_ms: u64,
    end_ms: u64,
    p: f32,
    tokens: u32,
}

impl Words {
    fn token(&mut self, bytes: &[u8], start_ms: u64, end_ms: u64, p: f32) {
        if bytes.first() == Some(&b' ') {
            self.close();
        }
        if self.tokens == 0 {
            self.start_ms = start_ms;
        }
        self.bytes.extend_from_slice(bytes);
        self.end_ms = end_ms.max(self.start_ms);
        self.p += p;
        self.tokens += 1;
    }

    fn close(&mut self) {
        if self.tokens > 0 {
            let text = String::from_utf8_lossy(&self.bytes);
            // One character, so that it is neither taken for the end of a sentence nor for a word.
            let text = match text.trim() {
                trailing if trailing.ends_with("..") => format!("{}…", trailing.trim_end_matches('.')),
                whole => whole.to_owned(),
            };
            if text.chars().any(char::is_alphanumeric) {
                self.done.push(HeardWord {
                    w: text,
                    start_ms: self.start_ms,
                    end_ms: self.end_ms,
                    p: (self.p / self.tokens as f32).clamp(0.0, 1.0),
                });
            } else if let Some(last) = self.done.last_mut() {
                // Punctuation that stands alone belongs to the word before it.
                last.w.push_str(&text);
                last.end_ms = self.end_ms;
            }
        }
        self.bytes.clear();
        self.p = 0.0;
        self.tokens = 0;
    }

    fn finish(mut self) -> Vec<HeardWord> {
        self.close();
        self.done
    }
}

/// Words a second that nobody keeps up: fast talkers reach 3.5 (English, 210 a minute).
const FASTEST: f32 = 5.0;

/// Cuts `words` before the second repetition when a phrase is said at least four times in a row (three times
/// for phrases of four words and more), which people do not do and looping decoders do. When there are more words than
/// anybody says in so many `seconds`, twice is enough.
fn cut_loop(words: &mut Vec<HeardWord>, seconds: f32) -> bool {
    let plain: Vec<String> = words.iter().map(|word| crate::text::plain(&word.w)).collect();
    let too_many = plain.len() as f32 > FASTEST * seconds;
    for start in 0..plain.len() {
        for length in 1..=(plain.len() - start) / 2 {
            let phrase = &plain[start..start + length];
            let times = plain[start..].chunks_exact(length).take_while(|chunk| *chunk == phrase).count();
            let is_number = phrase.iter().all(|word| word.chars().all(char::is_numeric));
            let most = if is_number {
                8
            } else if length >= 4 && too_many {
                1
            } else if length >= 4 {
                2
            } else {
                3
            };
            if times > most {
                words.truncate(start + length);
                return true;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of a text that was decoded from so many seconds.
    fn cut(text: &str, seconds: f32) -> (String, bool) {
        let word = |w: &str| HeardWord { w: w.to_owned(), start_ms: 0, end_ms: 0, p: 1.0 };
        let mut words: Vec<HeardWord> = text.split(' ').map(word).collect();
        let looped = cut_loop(&mut words, seconds);
        (words.iter().map(|word| word.w.as_str()).collect::<Vec<_>>().join(" "), looped)
    }

    #[test]
    fn a_sentence_that_the_decoder_says_twice_is_said_once() {
        let sentence = "Hi, my name is David Wilson. I would like to pay a bill.";
        let twice = format!("{sentence} {sentence}");
        assert_eq!(cut(&twice, 3.8), (sentence.to_owned(), true));
        // Somebody who has the time for it may say it twice.
        assert_eq!(cut(&twice, 9.0), (twice, false));
        let end = "the bill. I would like to pay the bill.";
        assert_eq!(
            cut(&format!("I would like to pay {end}"), 1.5),
            ("I would like to pay the bill.".to_owned(), true)
        );
    }

    #[test]
    fn what_people_repeat_is_left_as_it_is() {
        for text in
            ["no no no", "seven seven four seven seven four", "Hello? Hello? Hello?", "yes, yes, I do"]
        {
            assert_eq!(cut(text, 2.0), (text.to_owned(), false));
        }
        assert_eq!(cut("you you you you you", 4.0), ("you".to_owned(), true));
        assert_eq!(
            cut("thank you very much thank you very much thank you very much", 6.0).0,
            "thank you very much"
        );
    }
}
