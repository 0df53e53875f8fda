//! A leg in motion: sockets, RTP and RTCP, recorder.
//!
//! A [`Leg`] receives one party's RTP and turns it into a gapless sequence of 20 ms frames on the call's clock,
//! handed to two rings: one to speech, one to the [`Recorder`]. When the call goes through us, a [`Bridge`] says
//! who hears whom, and the leg sends what its party hears. What a leg does with packets and time is in
//! [`session`] and [`talk`], plain values; the task around them only moves datagrams and waits.

mod bridge;
mod clock;
mod dtmf;
mod error;
mod leg;
mod ports;
mod recorder;
mod rtcp;
pub mod rtp;
mod sender;
pub mod session;
mod srtp;
pub mod talk;
mod totals;
mod wav;
mod wire;

pub use bridge::{Booth, Bridge, End, MemberId, Part, Role};
pub use clock::CallClock;
pub use error::MediaError;
pub use leg::{Leg, LegOutputs};
pub use ports::{Ports, Socket};
pub use recorder::{Muter, Recorder, RecorderHandle, RecorderStats, RecordingInfo};
pub use sender::{Packetizer, RtpSender, SenderConfig};
pub use session::{LegConfig, LegEvent, LegFormat, LegStats};
pub use srtp::{MasterKey, SrtpKeys, Suite};
pub use talk::{TalkStats, Talker};
pub use totals::Totals;
pub use wire::{Pipe, Wire};
