//! What a caller hears before the call is answered (early media, RFC 3960): the answer goes out with a 183, and the leg
//! that begins then becomes the call's.
//!
//! The other direction, what is heard of a call of ours before it is answered, is in `dial`.

use std::net::SocketAddr;
use std::sync::Arc;

use rsipstack::sip::{Header, Response, StatusCode};
use sotto_audio::ring;
use sotto_call::Party;
use sotto_media::{CallClock, End, LegOutputs, Socket};

use crate::dialog::with_body;
use crate::endpoint::Shared;
use crate::negotiate::Stream;
use crate::sdp;
use crate::session::LegSlot;

/// What a leg that begins before its call is made from.
pub(crate) struct Prepared {
    pub(crate) shared: Arc<Shared>,
    pub(crate) peer: SocketAddr,
    pub(crate) socket: Socket,
    pub(crate) stream: Stream,
}

/// The leg of a call that has not been answered.
pub(crate) enum Early {
    Prepared(Box<Prepared>),
    Begun(Box<LegSlot>),
}

impl Prepared {
    /// The leg begins; nobody listens to it or records it.
    pub(crate) fn begin(self, end: End) -> LegSlot {
        let Self { shared, peer, socket, stream } = self;
        // Written to in vain until the call begins.
        let unheard = || ring(0).0;
        let outputs = LegOutputs { speech: unheard(), recording: unheard(), bridge: Some(end) };
        LegSlot::begin(&shared, peer, CallClock::start(), socket, stream, Party::Customer, outputs)
    }
}

/// 183 with our answer, made from the 180 that would be said without.
pub(crate) fn progress(ringing: &Response, answer: &sdp::Session) -> Response {
    let kept = ringing.headers.iter().filter(|header| !matches!(header, Header::ContentLength(_)));
    let mut headers: Vec<Header> = kept.cloned().collect();
    let body = with_body(&mut headers, Some(("application/sdp", answer.to_string())));
    Response { status_code: StatusCode::SessionProgress, headers: headers.into(), body, ..ringing.clone() }
}
