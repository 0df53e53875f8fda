/// What can go wrong with recognition.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpeechError {
    /// Whisper refused the file or the audio.
    #[error("whisper: {0}")]
    Whisper(#[from] whisper_rs::WhisperError),
    /// The voice activity network failed.
    #[error("voice activity: {0}")]
    Vad(#[from] ort::Error),
    /// The encoder's network failed.
    #[error("the encoder: {0}")]
    Encoder(String),
    /// A thread could not be started.
    #[error("starting a thread: {0}")]
    Thread(#[from] std::io::Error),
}
