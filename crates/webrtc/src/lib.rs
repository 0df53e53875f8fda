//! Browsers: offer and answer, ICE, audio both ways. Asks media for legs.
//!
//! A browser makes the offer, because it is the one that decides to talk; we answer, and each side tells the
//! other its candidates as it finds them (RFC 8838). What comes is an ordinary leg: its datagrams travel through
//! a [`Pipe`] instead of a pair of ports.

mod browser;
mod config;
mod fragment;
mod line;
mod offer;

pub use browser::{Browser, Candidate, Connection, News, WebRtc, WebRtcError};
pub use config::{IceServer, WebRtcConfig};
pub use fragment::Fragment;
pub use line::{Direct, Line};
pub use offer::{Direction, Offer};
