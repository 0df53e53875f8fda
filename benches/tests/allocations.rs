//! The media path allocates nothing per packet: with and without loss, with every codec.

use std::alloc::System;
use std::time::Duration;

use sotto_audio::Codec;
use sotto_benches::media::{Load, run};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn allocations() -> usize {
    let stats = ALLOCATOR.stats();
    stats.allocations + stats.reallocations
}

// One test: what others allocate at the same time would be counted.
#[test]
fn no_packet_allocates() {
    for (codec, lose_every) in [(Codec::Pcmu, None), (Codec::Pcma, Some(10)), (Codec::Opus, Some(10))] {
        let load = Load { legs: 10, time: Duration::from_secs(2), codec, lose_every };
        let outcome = run(load, allocations).unwrap();
        assert!(outcome.packets > 500, "{codec:?}: {outcome:?}");
        assert_eq!(outcome.allocations, 0, "{codec:?}: {outcome:?}");
    }
}
