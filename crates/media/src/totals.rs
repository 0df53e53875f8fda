//! What all legs and recordings of this process have missed so far, also while they go on: for its figures.
//!
//! They are counted once for the process, which has one place where figures are read, and not for every way in which a
//! leg begins.

use std::sync::atomic::{AtomicU64, Ordering};

use sotto_audio::FRAME_MS;

use crate::LegStats;

/// See the module. No number ever becomes less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Packets that never came.
    pub lost: u64,
    /// Packets that came too late to be heard.
    pub late: u64,
    /// Packets thrown out because too many waited.
    pub overflowed: u64,
    /// Datagrams refused.
    pub discarded: u64,
    /// Of these, the ones that came faster than allowed.
    pub flooded: u64,
    /// And the ones that were not under the key agreed on.
    pub unauthenticated: u64,
    /// Audio that is not in recordings, in milliseconds.
    pub recording_dropped_ms: u64,
    /// Failed attempts to write a recording.
    pub recording_errors: u64,
}

/// Of legs, in the order of [`of`].
static PACKETS: [AtomicU64; 6] = [const { AtomicU64::new(0) }; 6];
static RECORDING_DROPPED: AtomicU64 = AtomicU64::new(0);
static RECORDING_ERRORS: AtomicU64 = AtomicU64::new(0);

fn of(stats: &LegStats) -> [u64; 6] {
    let LegStats { lost, late, overflowed, discarded, flooded, unauthenticated, .. } = *stats;
    [lost, late, overflowed, discarded, flooded, unauthenticated]
}

impl Totals {
    /// Up to this moment; of legs, up to half a second ago.
    #[must_use]
    pub fn now() -> Self {
        let [lost, late, overflowed, discarded, flooded, unauthenticated] =
            [0, 1, 2, 3, 4, 5].map(|n: usize| PACKETS[n].load(Ordering::Relaxed));
        Self {
            lost,
            late,
            overflowed,
            discarded,
            flooded,
            unauthenticated,
            recording_dropped_ms: RECORDING_DROPPED.load(Ordering::Relaxed) * FRAME_MS,
            recording_errors: RECORDING_ERRORS.load(Ordering::Relaxed),
        }
    }

    /// So many frames are not in a recording.
    pub(crate) fn add_dropped(frames: u64) {
        RECORDING_DROPPED.fetch_add(frames, Ordering::Relaxed);
    }

    /// A recording could not be written.
    pub(crate) fn add_error() {
        RECORDING_ERRORS.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a leg has added to the totals.
#[derive(Default)]
pub(crate) struct Share([u64; 6]);

impl Share {
    /// Adds what has become more. What was taken for lost may still come: then there is nothing to add for a while.
    pub(crate) fn grow(&mut self, stats: &LegStats) {
        for ((total, added), now) in PACKETS.iter().zip(&mut self.0).zip(of(stats)) {
            total.fetch_add(now.saturating_sub(*added), Ordering::Relaxed);
            *added = now.max(*added);
        }
    }
}
