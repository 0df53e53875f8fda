//! What a packet costs in allocations: nothing in the clear; encrypted one, which is `rtc-srtp`'s way.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::alloc::System;
use std::net::SocketAddr;
use std::time::Duration;

use sotto_audio::Codec;
use sotto_media::rtp::Header;
use sotto_media::session::Session;
use sotto_media::talk::{Kind, Spoken};
use sotto_media::{LegConfig, LegFormat, MasterKey, SrtpKeys, Suite, Talker};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const FRAME: Duration = Duration::from_millis(20);

/// Allocations of a thousand packets said by one leg and heard by another, once all is warm: said, heard.
fn cost(suite: Option<Suite>) -> (usize, usize) {
    let fresh = |suite| MasterKey::fresh(suite).unwrap();
    let keys = suite.map(|suite| SrtpKeys { ours: fresh(suite), theirs: fresh(suite) });
    let swapped = keys.clone().map(|keys| SrtpKeys { ours: keys.theirs, theirs: keys.ours });
    let format =
        |srtp| LegFormat { payloads: vec![(0, Codec::Pcmu)], telephone_event: None, ptime_ms: None, srtp };
    let mut talker = Talker::new(&format(keys), &Codec::ALL, 5).unwrap();
    let mut session = Session::new(format(swapped), None, LegConfig::default(), 6, Duration::ZERO).unwrap();
    let (mut said, mut heard) = (0, 0);
    let mut datagram = [0; 1_500];
    for n in 0..1_100_u32 {
        let header = Header { sequence: n as u16, timestamp: n * 160, ssrc: 7, ..Header::default() };
        let spoken = Spoken::new(Kind::Audio(Codec::Pcmu), header, &[0x55; 160]).unwrap();
        let mut length = 0;
        let saying = Region::new(ALLOCATOR);
        talker.relay(&spoken, FRAME * n, |packet| {
            length = packet.len();
            datagram[..length].copy_from_slice(packet);
        });
        let for_saying = saying.change().allocations;
        let hearing = Region::new(ALLOCATOR);
        session.rtp(&mut datagram[..length], SocketAddr::from(([192, 0, 2, 1], 4_000)), FRAME * n);
        session.frame(FRAME * n);
        let for_hearing = hearing.change().allocations;
        if n >= 100 {
            (said, heard) = (said + for_saying, heard + for_hearing);
        }
    }
    assert_eq!(session.stats().packets, 1_100);
    (said, heard)
}

#[test]
fn plain_packets_cost_none_and_encrypted_ones_one_each_way() {
    // The thread that waits for this test allocates now and then as well: that is in some tries, and not in all.
    let least = |suite| (0..5).map(|_| cost(suite)).min();
    assert_eq!(least(None), Some((0, 0)));
    for suite in Suite::ALL {
        assert_eq!(least(Some(suite)), Some((1_000, 1_000)), "{suite:?}");
    }
}
