//! Datagrams on the ports of a leg that is encrypted: of what is not signed nothing is taken, and of what is, whatever
//! it carries, no more than was sent.
//!
//! The input names a suite in its first byte; then come datagrams: two bytes of length, one that says how, the bytes.
#![no_main]

use std::net::SocketAddr;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use sotto_audio::Codec;
use sotto_media::rtp::Header;
use sotto_media::session::{LegConfig, LegFormat, REPORT_BYTES, Session};
use sotto_media::talk::{Kind, Spoken, Talker};
use sotto_media::{MasterKey, SrtpKeys, Suite};

/// Without the one whose tags of 32 bits would be guessed in a long run.
const SUITES: [Suite; 3] = [Suite::AesCm80, Suite::Aes128Gcm, Suite::Aes256Gcm];

fn format(suite: Suite, ours: u8, theirs: u8) -> LegFormat {
    let key = |byte| MasterKey::new(suite, vec![byte; suite.key_bytes()]).expect("as many bytes as it has");
    let srtp = Some(SrtpKeys { ours: key(ours), theirs: key(theirs) });
    let payloads = vec![(0, Codec::Pcmu)];
    LegFormat { payloads, telephone_event: Some((101, 8_000)), ptime_ms: Some(20), srtp }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((suite, mut rest)) = bytes.split_first() else { return };
    let suite = SUITES[usize::from(*suite) % SUITES.len()];
    let mut now = Duration::ZERO;
    let mut session =
        Session::new(format(suite, 1, 2), None, LegConfig::default(), 1, now).expect("a session");
    let mut far = Talker::new(&format(suite, 2, 1), &[Codec::Pcmu], 7).expect("a talker");
    let from = SocketAddr::from(([192, 0, 2, 1], 4_000));
    let (mut sequence, mut sent) = (0_u16, 0);
    while let [high, low, how, more @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(more.len());
        let (datagram, after) = more.split_at(length);
        rest = after;
        let taken = session.stats().packets;
        match how & 3 {
            0 => assert!(session.rtp(&mut datagram.to_vec(), from, now).is_none()),
            1 => session.rtcp(&mut datagram.to_vec(), from, now),
            signed => {
                sequence = sequence.wrapping_add(1);
                let timestamp = u32::from(sequence) * 160;
                let header = Header { sequence, timestamp, ssrc: 9, ..Header::default() };
                let kind = if how & 4 == 0 { Kind::Audio(Codec::Pcmu) } else { Kind::Event(8_000) };
                let Some(spoken) = Spoken::new(kind, header, datagram) else { continue };
                far.relay(&spoken, now, |packet| {
                    let mut packet = packet.to_vec();
                    if signed == 2 {
                        sent += 1;
                        let _ = session.rtp(&mut packet, from, now);
                    } else {
                        // On its way one bit of it has changed.
                        let at = usize::from(sequence) % packet.len();
                        packet[at] ^= 0x04;
                        assert!(session.rtp(&mut packet, from, now).is_none());
                    }
                });
            }
        }
        let packets = session.stats().packets;
        assert!(packets <= sent && (how & 3 == 2 || packets == taken));
        now += Duration::from_millis(u64::from(how >> 3));
        assert!(session.frame(now).iter().all(|sample| sample.is_finite()));
        let _ = session.report(now, &mut [0; REPORT_BYTES]);
        while session.next_event().is_some() {}
    }
});
