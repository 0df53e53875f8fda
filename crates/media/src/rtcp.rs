//! RTCP (RFC 3550 section 6): what the sender reports, and our reports on what we receive. Many session border
//! controllers hang up a leg that never sends any.

use std::time::Duration;

use crate::rtp::Header;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;

/// RTCP packets looked at in one datagram.
const MOST_PACKETS: usize = 16;

/// Bytes of a report block (RFC 3550 section 6.4.1), and what comes before the first in either kind of report.
const BLOCK: usize = 24;
const BEFORE_BLOCKS: [(u8, usize); 2] = [(SENDER_REPORT, 28), (RECEIVER_REPORT, 8)];

/// What a datagram said that matters to us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Incoming {
    /// The middle 32 bits of the NTP time in the last sender report, with its source.
    pub sender_report: Option<(u32, u32)>,
    /// The share of our packets that did not arrive there since the report before, in 256ths.
    pub lost_there: Option<u8>,
    /// The sender said goodbye.
    pub bye: bool,
}

/// Reads a compound packet that came to where `own` is sent from; `None` when it is not RTCP.
pub(crate) fn parse(datagram: &[u8], own: u32) -> Option<Incoming> {
    let mut incoming = Incoming::default();
    let mut rest = datagram;
    for _ in 0..MOST_PACKETS {
        let Some(([b0, kind, l0, l1], _)) = rest.split_first_chunk() else { break };
        let length = 4 + 4 * usize::from(u16::from_be_bytes([*l0, *l1]));
        if b0 >> 6 != 2 {
            return None;
        }
        let (packet, next) = rest.split_at_checked(length)?;
        let blocks = BEFORE_BLOCKS.into_iter().find(|(report, _)| report == kind);
        let blocks = blocks.and_then(|(_, before)| packet.get(before..)).unwrap_or_default();
        let mut blocks = blocks.chunks_exact(BLOCK).take(usize::from(b0 & 0x1f));
        let about_us = blocks.find(|block| block.starts_with(&own.to_be_bytes()));
        incoming.lost_there = about_us.and_then(|block| block.get(4).copied()).or(incoming.lost_there);
        match *kind {
            SENDER_REPORT => {
                let word = |at: usize| packet.get(at..)?.first_chunk().copied().map(u32::from_be_bytes);
                let (ssrc, seconds, fraction) = (word(4)?, word(8)?, word(12)?);
                incoming.sender_report = Some((ssrc, seconds << 16 | fraction >> 16));
            }
            BYE => incoming.bye = true,
            _ => {}
        }
        rest = next;
    }
    (rest.len() < datagram.len()).then_some(incoming)
}

/// What is received of one sender, as RFC 3550 appendix A counts it.
#[derive(Debug)]
pub(crate) struct Reception {
    ssrc: u32,
    clock_rate: u32,
    base: u16,
    newest: u16,
    cycles: u32,
    /// After a jump: the sequence number that would confirm it.
    confirm: Option<u16>,
    received: u64,
    /// Of these, the ones that had come before. The standard's reports count them as received.
    duplicates: u64,
    expected_before: u64,
    received_before: u64,
    /// Arrival less timestamp, in clock units.
    transit: u32,
    /// Interarrival jitter, in clock units.
    jitter: f64,
    /// Lost of sources that were here before this one.
    lost_before: u64,
    sender_report: Option<(u32, Duration)>,
}

impl Reception {
    const MAX_DROPOUT: u16 = 3_000;
    const MAX_MISORDER: u16 = 100;

    pub(crate) fn new(header: &Header, clock_rate: u32, now: Duration) -> Self {
        Self {
            ssrc: header.ssrc,
            clock_rate,
            base: header.sequence,
            newest: header.sequence,
            cycles: 0,
            confirm: None,
            received: 1,
            duplicates: 0,
            expected_before: 0,
            received_before: 0,
            transit: transit(header, clock_rate, now),
            jitter: 0.0,
            lost_before: 0,
            sender_report: None,
        }
    }

    /// Counts a packet. `timed` is false for those whose timestamp is not that of their sending, such as
    /// telephone events.
    pub(crate) fn packet(&mut self, header: &Header, clock_rate: u32, now: Duration, timed: bool) {
        if header.ssrc != self.ssrc || clock_rate != self.clock_rate {
            let lost_before = self.lost();
            *self = Self { lost_before, ..Self::new(header, clock_rate, now) };
            return;
        }
        let ahead = header.sequence.wrapping_sub(self.newest);
        if ahead < Self::MAX_DROPOUT {
            if header.sequence < self.newest {
                self.cycles = self.cycles.wrapping_add(1 << 16);
            }
            self.newest = header.sequence;
        } else if ahead <= u16::MAX - Self::MAX_MISORDER {
            if self.confirm != Some(header.sequence) {
                self.confirm = Some(header.sequence.wrapping_add(1));
                return;
            }
            let lost_before = self.lost();
            *self = Self { lost_before, jitter: self.jitter, ..Self::new(header, clock_rate, now) };
            return;
        }
        self.received += 1;
        if timed {
            let transit = transit(header, clock_rate, now);
            let difference = transit.wrapping_sub(self.transit).cast_signed();
            self.transit = transit;
            self.jitter += (f64::from(difference).abs() - self.jitter) / 16.0;
        }
    }

    /// The packet just counted had come before.
    pub(crate) fn duplicate(&mut self) {
        self.duplicates += 1;
    }

    pub(crate) fn sender_report(&mut self, ssrc: u32, ntp: u32, now: Duration) {
        if ssrc == self.ssrc {
            self.sender_report = Some((ntp, now));
        }
    }

    /// Packets that never came.
    pub(crate) fn lost(&self) -> u64 {
        self.lost_before + (self.expected() + self.duplicates).saturating_sub(self.received)
    }

    pub(crate) fn jitter_ms(&self) -> f64 {
        self.jitter * 1_000.0 / f64::from(self.clock_rate)
    }

    fn extended(&self) -> u32 {
        self.cycles.wrapping_add(u32::from(self.newest))
    }

    fn expected(&self) -> u64 {
        u64::from(self.extended().wrapping_sub(u32::from(self.base))) + 1
    }

    /// Writes a receiver report and our canonical name to `buffer`; its length.
    pub(crate) fn report(&mut self, own_ssrc: u32, now: Duration, buffer: &mut [u8; REPORT]) {
        let expected = self.expected() - self.expected_before;
        let received = self.received - self.received_before;
        self.expected_before = self.expected();
        self.received_before = self.received;
        let lost = expected.saturating_sub(received);
        let fraction = (lost * 256).checked_div(expected).unwrap_or(0).min(255) as u8;
        let total = (self.expected() as i64 - self.received as i64).clamp(-0x80_0000, 0x7f_ffff) as i32;
        let (last, since) = match self.sender_report {
            None => (0, 0),
            Some((ntp, at)) => (ntp, (now.saturating_sub(at).as_secs_f64() * 65_536.0) as u32),
        };
        let words = [
            u32::from_be_bytes([0x81, RECEIVER_REPORT, 0, 7]),
            own_ssrc,
            self.ssrc,
            u32::from(fraction) << 24 | total.cast_unsigned() & 0xff_ffff,
            self.extended(),
            self.jitter as u32,
            last,
            since,
            u32::from_be_bytes([0x81, SOURCE_DESCRIPTION, 0, 3]),
            own_ssrc,
            u32::from_be_bytes([1, 5, b's', b'o']),
            u32::from_be_bytes([b't', b't', b'o', 0]),
        ];
        for (bytes, word) in buffer.chunks_exact_mut(4).zip(words) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
    }
}

/// Bytes of a report.
pub(crate) const REPORT: usize = 48;

fn transit(header: &Header, clock_rate: u32, now: Duration) -> u32 {
    let arrival = now.as_micros() * u128::from(clock_rate) / 1_000_000;
    (arrival as u32).wrapping_sub(header.timestamp)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TICK: Duration = Duration::from_millis(20);

    fn header(sequence: u16) -> Header {
        Header { sequence, timestamp: u32::from(sequence) * 160, ssrc: 5, ..Header::default() }
    }

    fn words(report: &[u8; REPORT]) -> Vec<u32> {
        report.chunks(4).map(|w| u32::from_be_bytes(w.try_into().unwrap())).collect()
    }

    #[test]
    fn loss_is_reported_as_the_standard_counts_it() {
        let mut reception = Reception::new(&header(0), 8_000, TICK);
        for n in (1..100).filter(|n| n % 4 != 0) {
            reception.packet(&header(n), 8_000, TICK * u32::from(n + 1), true);
        }
        reception.sender_report(5, 0x1234_5678, TICK * 50);
        let mut report = [0; REPORT];
        reception.report(77, TICK * 100, &mut report);
        let report = words(&report);
        assert_eq!(&report[..3], &[0x81c9_0007, 77, 5]);
        assert_eq!(report[3], (24 * 256 / 100) << 24 | 24);
        assert_eq!(&report[4..], &[99, 0, 0x1234_5678, 65_536, 0x81ca_0003, 77, 0x0105_736f, 0x7474_6f00]);
        assert_eq!(reception.lost(), 24);

        let mut second = [0; REPORT];
        reception.report(77, TICK * 100, &mut second);
        assert_eq!(words(&second)[3], 24, "the fraction is of what came since the last report");
    }

    #[test]
    fn sequence_numbers_wrap_and_sources_change_without_loss() {
        let mut reception = Reception::new(&header(65_500), 8_000, TICK);
        for n in 1..100_u16 {
            reception.packet(&header(65_500_u16.wrapping_add(n)), 8_000, TICK, true);
        }
        assert_eq!((reception.lost(), reception.extended()), (0, 65_599));
        reception.packet(&Header { ssrc: 6, ..header(9) }, 8_000, TICK, true);
        reception.packet(&Header { ssrc: 6, ..header(11) }, 8_000, TICK, true);
        reception.packet(&Header { ssrc: 6, ..header(11) }, 8_000, TICK, true);
        reception.duplicate();
        assert_eq!(reception.lost(), 1);
    }

    #[test]
    fn jitter_settles_at_the_mean_difference_of_transit() {
        let mut reception = Reception::new(&header(0), 8_000, Duration::ZERO);
        for n in 1..1_000 {
            let late = Duration::from_millis(if n % 2 == 0 { 0 } else { 10 });
            reception.packet(&header(n), 8_000, TICK * u32::from(n) + late, true);
        }
        assert!((reception.jitter_ms() - 10.0).abs() < 0.5, "{}", reception.jitter_ms());
    }

    #[test]
    fn sender_reports_and_goodbyes_are_found_in_compound_packets() {
        let mut compound =
            vec![0x80, SENDER_REPORT, 0, 6, 0, 0, 0, 5, 0xaa, 0xaa, 0x12, 0x34, 0x56, 0x78, 0xbb, 0xbb];
        compound.extend([0; 12]);
        compound.extend([0x81, BYE, 0, 1, 0, 0, 0, 5]);
        let incoming = Incoming { sender_report: Some((5, 0x1234_5678)), bye: true, ..Incoming::default() };
        assert_eq!(parse(&compound, 5), Some(incoming));
        assert_eq!(parse(&compound[..20], 5), None);
        assert_eq!(parse(&[], 5), None);
    }

    #[test]
    fn what_of_ours_was_lost_there_is_read_from_either_report() {
        let block = |ssrc: u32, fraction: u8| {
            let mut block = [0; BLOCK];
            block[..4].copy_from_slice(&ssrc.to_be_bytes());
            block[4] = fraction;
            block
        };
        for (kind, before) in BEFORE_BLOCKS {
            let mut report = vec![0x82, kind, 0, ((before + 2 * BLOCK) / 4 - 1) as u8];
            report.resize(before, 0);
            report.extend(block(6, 200));
            report.extend(block(77, 64));
            let lost = |report: &[u8], own| parse(report, own).and_then(|incoming| incoming.lost_there);
            assert_eq!((lost(&report, 77), lost(&report, 6), lost(&report, 5)), (Some(64), Some(200), None));
            // It says that there is one block only, and what follows is something else.
            report[0] = 0x81;
            assert_eq!(lost(&report, 77), None);
        }
    }

    proptest! {
        #[test]
        fn no_datagram_panics(datagram in prop::collection::vec(any::<u8>(), 0..200)) {
            parse(&datagram, 0);
        }

        #[test]
        fn no_packets_panic_the_counting(
            packets in prop::collection::vec((any::<u16>(), any::<u32>(), 0..2_u32, any::<u64>()), 1..200),
        ) {
            let mut reception = Reception::new(&header(0), 8_000, TICK);
            for (sequence, timestamp, ssrc, now) in packets {
                let header = Header { sequence, timestamp, ssrc, ..Header::default() };
                let now = Duration::from_nanos(now);
                reception.packet(&header, 8_000, now, true);
                reception.report(1, now, &mut [0; REPORT]);
            }
        }
    }
}
