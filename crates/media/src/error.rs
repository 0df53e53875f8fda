use std::io;

use sotto_audio::AudioError;
use thiserror::Error;

/// Why media could not be set up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MediaError {
    /// Every pair of ports in the range is taken.
    #[error("no free pair of RTP ports from {from} to {to}")]
    NoPorts {
        /// The first port of the range.
        from: u16,
        /// The last.
        to: u16,
    },
    /// A socket could not be opened for another reason than its port being taken.
    #[error("cannot open a media socket: {0}")]
    Socket(#[from] io::Error),
    /// A codec could not be prepared.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// Keys could not be made or used.
    #[error("SRTP: {0}")]
    Srtp(String),
}
