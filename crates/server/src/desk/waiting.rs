//! A caller who has not been answered: hears it ring, music, or the telephone outside that is being rung for them.

use std::sync::{Mutex, PoisonError};

use sotto_audio::Tone;
use sotto_media::{Bridge, End, MemberId, Part, Role};
use sotto_sip::Ringing;

/// See the module. The caller's place in the bridge is the one of the call that begins.
pub struct WaitingCaller<'a> {
    ringing: &'a Ringing,
    bridge: Bridge,
    member: MemberId,
    /// Until something can be heard.
    end: Mutex<Option<End>>,
}

impl<'a> WaitingCaller<'a> {
    /// Hears nothing yet.
    #[must_use]
    pub fn new(ringing: &'a Ringing) -> Self {
        let bridge = Bridge::default();
        let (member, end) = bridge.join(Role::Customer);
        bridge.set_part(member, Part::Hears);
        Self { ringing, bridge, member, end: Mutex::new(Some(end)) }
    }

    /// It rings at somebody.
    pub fn ring(&self) {
        self.ringing.ring();
    }

    /// Hears music.
    pub fn music(&self) {
        self.bridge.hold(self.member, Some(Tone::Music));
        self.listen();
    }

    /// Hears the others in the bridge.
    pub fn hear(&self) {
        self.bridge.hold(self.member, None);
        self.listen();
    }

    fn listen(&self) {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        *end = end.take().and_then(|end| self.ringing.hear(end));
    }

    /// The bridge, and the caller's place in it.
    #[must_use]
    pub fn place(&self) -> (Bridge, MemberId) {
        (self.bridge.clone(), self.member)
    }

    /// The call has been answered: the end of the wire for the caller's leg, unless it has that already.
    #[must_use]
    pub fn answered(&self) -> Option<End> {
        self.bridge.hold(self.member, None);
        self.bridge.set_part(self.member, Part::Whole);
        self.end.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
