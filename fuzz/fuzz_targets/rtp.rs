//! Datagrams from anyone on a leg's two ports, at any pace: audio comes out frame by frame, events are bounded
//! and every report fits its buffer.
//!
//! The input is a row of datagrams: two bytes of length, one that says how, then the bytes.
#![no_main]

use std::net::SocketAddr;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use sotto_audio::Codec;
use sotto_media::session::{LegConfig, LegFormat, REPORT_BYTES, Session};

fuzz_target!(|bytes: &[u8]| {
    let payloads = vec![(0, Codec::Pcmu), (8, Codec::Pcma), (9, Codec::G722), (111, Codec::Opus)];
    let format = LegFormat { payloads, telephone_event: Some((101, 8_000)), ptime_ms: Some(20), srtp: None };
    let mut now = Duration::ZERO;
    let Ok(mut session) = Session::new(format, None, LegConfig::default(), 1, now) else { return };
    let mut rest = bytes;
    while let [high, low, how, more @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(more.len());
        let (datagram, after) = more.split_at(length);
        rest = after;
        let mut datagram = datagram.to_vec();
        let from = SocketAddr::from(([192, 0, 2, how & 3], 4_000));
        if how & 4 == 0 {
            let _ = session.rtp(&mut datagram, from, now);
        } else {
            session.rtcp(&mut datagram, from, now);
        }
        now += Duration::from_millis(u64::from(how >> 3));
        let frame = session.frame(now);
        assert!(frame.iter().all(|sample| sample.is_finite()));
        let _ = session.report(now, &mut [0; REPORT_BYTES]);
        if how & 8 == 0 {
            while session.next_event().is_some() {}
        }
    }
    session.finish();
    while session.next_event().is_some() {}
});
