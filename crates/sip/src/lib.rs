//! Signalling: SIP dialogs and SIPREC recording sessions. Asks media for legs.
//!
//! The answering side ([`Endpoint`]) is layered so that each part can be read alone:
//!
//! - plain values: [`wire`] (bytes to messages), [`multipart`], [`sdp`], [`metadata`], [`negotiate`] (offer and
//!   answer), [`party`] (who is who), and inside, dialogs and what an INVITE asks for;
//! - sockets, which hand over whole messages;
//! - sessions: one task a dialog, which starts and stops media legs and tells the [`Host`].
//!
//! Transactions, their timers and the message types are rsipstack's. [`client`] is the calling side, for tests,
//! demonstrations and integrators.

mod calls;
pub mod client;
mod config;
mod counters;
mod dial;
mod dialog;
mod digest;
mod early;
mod endpoint;
mod flow;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz;
mod guard;
mod host;
mod join;
pub mod metadata;
pub mod multipart;
pub mod negotiate;
pub mod party;
mod plan;
mod register;
pub mod sdp;
mod session;
mod tls;
pub mod wire;

pub use config::{FirstParty, HeaderNames, Peers, SipConfig, TlsConfig, Users};
pub use counters::{PeerCounters, SipCounters};
pub use dial::{DialError, Progress, Target, Trunk, TrunkSrtp, TrunkTransport};
pub use digest::Algorithm;
pub use endpoint::{Endpoint, SipError};
pub use host::{Host, NewCall, NewLeg, Note, Refusal, Ringing, StartedCall};
pub use join::{Joined, Joining};
pub use session::{ReferError, Referral};
