//! Telephone events (RFC 4733): keys pressed, sent as packets instead of tones. Each is sent again and again
//! while it lasts, and its end three times, so it has to be counted once.

use std::time::Duration;

const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];

/// An event whose end did not come is over after this silence.
const UNENDED: Duration = Duration::from_millis(200);

/// The event code of a key (RFC 4733 section 3.2).
pub(crate) fn code_of(digit: char) -> Option<u8> {
    u8::try_from(DIGITS.iter().position(|known| *known == digit)?).ok()
}

/// A key, pressed and released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digit {
    pub digit: char,
    pub duration_ms: u64,
}

#[derive(Debug)]
struct Event {
    ssrc: u32,
    timestamp: u32,
    clock_rate: u32,
    digit: char,
    duration: u16,
    heard: Duration,
    reported: bool,
}

impl Event {
    fn report(&mut self) -> Option<Digit> {
        let duration_ms = u64::from(self.duration) * 1_000 / u64::from(self.clock_rate.max(1));
        (!std::mem::replace(&mut self.reported, true)).then_some(Digit { digit: self.digit, duration_ms })
    }
}

/// The events of one leg.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    event: Option<Event>,
}

impl Keys {
    /// Takes a packet: the key whose end it did not bring but whose successor it is, and the one it ends.
    pub(crate) fn packet(
        &mut self,
        ssrc: u32,
        timestamp: u32,
        clock_rate: u32,
        payload: &[u8],
        now: Duration,
    ) -> [Option<Digit>; 2] {
        let [code, flags, d0, d1, ..] = *payload else { return [None; 2] };
        let Some(&digit) = DIGITS.get(usize::from(code)) else { return [None; 2] };
        let duration = u16::from_be_bytes([d0, d1]);
        let mut ended = None;
        match &mut self.event {
            Some(event) if event.ssrc == ssrc && event.timestamp == timestamp => {
                event.duration = event.duration.max(duration);
                event.heard = now;
            }
            // Late. A new source begins anywhere.
            Some(event) if event.ssrc == ssrc && timestamp.wrapping_sub(event.timestamp) > 1 << 31 => {
                return [None; 2];
            }
            event => {
                ended = event.as_mut().and_then(Event::report);
                *event =
                    Some(Event { ssrc, timestamp, clock_rate, digit, duration, heard: now, reported: false });
            }
        }
        let is_end = flags & 0x80 != 0;
        [ended, if is_end { self.event.as_mut().and_then(Event::report) } else { None }]
    }

    /// The key whose packets have stopped without an end.
    pub(crate) fn unended(&mut self, now: Duration) -> Option<Digit> {
        self.event.as_mut().filter(|event| now.saturating_sub(event.heard) >= UNENDED)?.report()
    }

    /// The key that was held when the call ended.
    pub(crate) fn finish(&mut self) -> Option<Digit> {
        self.event.as_mut()?.report()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(code: u8, end: bool, duration: u16) -> [u8; 4] {
        let [d0, d1] = duration.to_be_bytes();
        [code, if end { 0x8a } else { 0x0a }, d0, d1]
    }

    fn press(keys: &mut Keys, timestamp: u32, code: u8, end: bool) -> Vec<Digit> {
        let now = Duration::from_millis(u64::from(timestamp) / 8);
        let mut digits = Vec::new();
        for duration in [160, 320, 480, 640] {
            digits.extend(
                keys.packet(1, timestamp, 8_000, &packet(code, false, duration), now).iter().flatten(),
            );
        }
        for _ in 0..if end { 3 } else { 0 } {
            digits.extend(keys.packet(1, timestamp, 8_000, &packet(code, true, 800), now).iter().flatten());
        }
        digits
    }

    #[test]
    fn a_key_counts_once_however_often_it_is_sent() {
        let mut keys = Keys::default();
        assert_eq!(press(&mut keys, 0, 5, true), [Digit { digit: '5', duration_ms: 100 }]);
        assert_eq!(press(&mut keys, 4_000, 5, true), [Digit { digit: '5', duration_ms: 100 }]);
        assert_eq!(press(&mut keys, 8_000, 11, true), [Digit { digit: '#', duration_ms: 100 }]);
        assert_eq!(press(&mut keys, 4_000, 5, true), [], "late packets of an earlier key");
    }

    #[test]
    fn a_key_whose_end_is_lost_still_counts() {
        let mut keys = Keys::default();
        assert_eq!(press(&mut keys, 0, 1, false), []);
        assert_eq!(press(&mut keys, 4_000, 2, false), [Digit { digit: '1', duration_ms: 80 }]);
        assert_eq!(keys.unended(Duration::from_millis(600)), None);
        assert_eq!(keys.unended(Duration::from_millis(700)), Some(Digit { digit: '2', duration_ms: 80 }));
        assert_eq!(keys.unended(Duration::from_millis(900)), None);
        press(&mut keys, 8_000, 3, false);
        assert_eq!(keys.finish(), Some(Digit { digit: '3', duration_ms: 80 }));
        assert_eq!(keys.finish(), None);
    }

    #[test]
    fn a_key_of_which_only_the_end_came_counts() {
        let end = packet(15, true, 800);
        let digits = Keys::default().packet(1, 7, 8_000, &end, Duration::ZERO);
        assert_eq!(digits, [None, Some(Digit { digit: 'D', duration_ms: 100 })]);
    }

    #[test]
    fn keys_are_heard_after_the_source_has_changed() {
        let mut keys = Keys::default();
        let end = packet(5, true, 800);
        assert!(keys.packet(1, 0xf000_0000, 8_000, &end, Duration::ZERO)[1].is_some());
        assert!(keys.packet(2, 0x7000_0000 - 1, 8_000, &end, Duration::ZERO)[1].is_some());
    }

    proptest! {
        #[test]
        fn no_payload_panics(
            packets in prop::collection::vec((any::<u32>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..8)), 0..50),
        ) {
            let mut keys = Keys::default();
            for (timestamp, rate, payload) in packets {
                keys.packet(1, timestamp, rate, &payload, Duration::ZERO);
            }
            keys.finish();
        }
    }
}
