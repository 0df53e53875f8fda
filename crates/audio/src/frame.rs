/// Samples per second everywhere behind the decoder: what the speech models take.
pub const RATE: u32 = 16_000;

/// Samples of a frame.
pub const FRAME_SAMPLES: usize = 320;

/// Milliseconds of a frame.
pub const FRAME_MS: u64 = 20;

/// 20 ms of one party's audio: 320 mono samples at 16 kHz, nominally -1 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame {
    /// Position on the call's clock, in frames: the first sample is `index * 20` ms after the call began.
    pub index: u64,
    /// The samples.
    pub samples: [f32; FRAME_SAMPLES],
}

impl Frame {
    /// A frame of silence.
    #[must_use]
    pub const fn silence(index: u64) -> Self {
        Self { index, samples: [0.0; FRAME_SAMPLES] }
    }
}
