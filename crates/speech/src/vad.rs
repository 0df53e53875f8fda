//! Voice activity: Silero VAD v6, run over 32 ms chunks with its memory carried along.

use ort::session::Session;
use ort::value::TensorRef;

use crate::SpeechError;

/// Samples of a chunk at 16 kHz: 32 ms.
pub(crate) const CHUNK: usize = 512;

/// Samples before the chunk that the network also looks at.
const CONTEXT: usize = 64;

/// What tells speech from everything else.
pub(crate) trait Activity: Send {
    /// The probability of speech in each whole chunk of `samples`, whose length must be a multiple of
    /// [`CHUNK`].
    fn probabilities(&mut self, memory: &mut VadMemory, samples: &[f32]) -> Result<Vec<f32>, SpeechError>;
}

/// The network. One serves every leg; what it remembers of a leg is in [`VadMemory`].
pub(crate) struct Vad {
    session: Session,
}

/// What the network remembers of one leg.
#[derive(Clone)]
pub(crate) struct VadMemory {
    h: Vec<f32>,
    c: Vec<f32>,
    context: [f32; CONTEXT],
}

impl Default for VadMemory {
    fn default() -> Self {
        Self { h: vec![0.0; 128], c: vec![0.0; 128], context: [0.0; CONTEXT] }
    }
}

impl Vad {
    pub(crate) fn new(session: Session) -> Self {
        Self { session }
    }
}

impl Activity for Vad {
    /// Input `[n, 576]`, state `[1, 1, 128]` twice, output `[n]`.
    fn probabilities(&mut self, memory: &mut VadMemory, samples: &[f32]) -> Result<Vec<f32>, SpeechError> {
        let chunks = samples.len() / CHUNK;
        let mut input = Vec::with_capacity(chunks * (CONTEXT + CHUNK));
        for chunk in samples.chunks_exact(CHUNK) {
            input.extend_from_slice(&memory.context);
            input.extend_from_slice(chunk);
            memory.context.copy_from_slice(&chunk[CHUNK - CONTEXT..]);
        }
        let outputs = self.session.run(ort::inputs![
            "input" => TensorRef::from_array_view(([chunks, CONTEXT + CHUNK], input.as_slice()))?,
            "h" => TensorRef::from_array_view(([1usize, 1, 128], memory.h.as_slice()))?,
            "c" => TensorRef::from_array_view(([1usize, 1, 128], memory.c.as_slice()))?,
        ])?;
        let (_, probabilities) = outputs["speech_probs"].try_extract_tensor::<f32>()?;
        let probabilities = probabilities.to_vec();
        memory.h.copy_from_slice(outputs["hn"].try_extract_tensor::<f32>()?.1);
        memory.c.copy_from_slice(outputs["cn"].try_extract_tensor::<f32>()?.1);
        Ok(probabilities)
    }
}
