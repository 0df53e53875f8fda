//! Frames, codecs, resampling, jitter buffer, the ring. No sockets, no clock: time is passed in.
//!
//! Whatever arrives (G.711, Opus, a file at any rate) leaves here as 20 ms [`Frame`]s of 16 kHz mono, the one
//! form that everything behind understands.

mod codec;
mod conceal;
mod frame;
pub mod g711;
mod jitter;
mod mix;
pub mod netem;
mod pitch;
mod resample;
mod ring;
mod schedule;
mod tone;

pub use codec::{AudioError, Codec, Decoder, Encoder, MAX_PACKET_SAMPLES, MAX_PAYLOAD};
pub use frame::{FRAME_MS, FRAME_SAMPLES, Frame, RATE};
pub use jitter::{JitterBuffer, JitterConfig, JitterStats, Packet};
pub use mix::{Limiter, Mix, bend};
pub use pitch::{PITCH_SAMPLES, pitch};
pub use resample::{Downsampler, Resampler, Upsampler};
pub use ring::{Reader, Writer, ring};
pub use tone::Tone;
