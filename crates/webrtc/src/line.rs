//! How the way between a browser and us is, by the reports that both send (RFC 3550 section 6.4).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rtc::interceptor::{Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::reception_report::ReceptionReport;
use rtc::rtcp::sender_report::SenderReport;
use rtc::sansio::Protocol;
use rtc::shared::error::Error;

/// Reports of ours that a browser may still answer to; it answers every few seconds, to the last one.
const REPORTS: usize = 8;

/// One direction, as whoever hears it reports.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Direct {
    /// Share of the packets that were lost since the report before, of 1.
    pub lost: f64,
    /// Interarrival jitter.
    pub jitter: Duration,
}

/// What the last reports say; absent what none has said yet.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Line {
    /// From us to the browser.
    pub to_browser: Option<Direct>,
    /// From the browser to us.
    pub from_browser: Option<Direct>,
    /// To the browser and back.
    pub round_trip: Option<Duration>,
}

/// What is known of a connection's line, for those who ask from elsewhere.
pub(crate) type Known = Arc<Mutex<Line>>;

/// Listens to the reports that pass, and changes nothing.
pub(crate) struct Reports {
    known: Known,
    /// Ticks of RTP time in a second.
    clock_rate: u32,
    /// When our last reports went out, by the middle of their NTP time.
    sent: VecDeque<(u32, Instant)>,
    incoming: VecDeque<TaggedPacket>,
    outgoing: VecDeque<TaggedPacket>,
}

impl Reports {
    pub(crate) fn new(known: Known, clock_rate: u32) -> Self {
        let (sent, incoming, outgoing) = Default::default();
        Self { known, clock_rate: clock_rate.max(1), sent, incoming, outgoing }
    }

    fn know(&self, change: impl FnOnce(&mut Line)) {
        change(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn direct(&self, report: &ReceptionReport) -> Direct {
        let jitter = Duration::from_secs_f64(f64::from(report.jitter) / f64::from(self.clock_rate));
        Direct { lost: f64::from(report.fraction_lost) / 256.0, jitter }
    }

    /// The round trip that a report of the browser's tells: the time since ours, without the time it was kept.
    fn round_trip(&self, report: &ReceptionReport, now: Instant) -> Option<Duration> {
        let (_, sent) = self.sent.iter().rev().find(|(middle, _)| *middle == report.last_sender_report)?;
        let kept = Duration::from_secs_f64(f64::from(report.delay) / 65_536.0);
        now.checked_duration_since(*sent)?.checked_sub(kept)
    }
}

/// Reception reports of a packet, whatever kind it is.
fn reports(packet: &dyn rtc::rtcp::Packet) -> &[ReceptionReport] {
    let any = packet.as_any();
    if let Some(report) = any.downcast_ref::<ReceiverReport>() {
        return &report.reports;
    }
    any.downcast_ref::<SenderReport>().map_or(&[], |report| &report.reports)
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Reports {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(packets) = &packet.message.packet {
            for report in packets.iter().flat_map(|packet| reports(packet.as_ref())) {
                let (direct, round_trip) = (self.direct(report), self.round_trip(report, packet.now));
                self.know(|line| {
                    line.to_browser = Some(direct);
                    line.round_trip = round_trip.or(line.round_trip);
                });
            }
        }
        self.incoming.push_back(packet);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.incoming.pop_front()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(packets) = &packet.message.packet {
            for own in packets {
                if let Some(report) = own.as_any().downcast_ref::<SenderReport>() {
                    if self.sent.len() == REPORTS {
                        self.sent.pop_front();
                    }
                    self.sent.push_back(((report.ntp_time >> 16) as u32, packet.now));
                }
                for report in reports(own.as_ref()) {
                    let direct = self.direct(report);
                    self.know(|line| line.from_browser = Some(direct));
                }
            }
        }
        self.outgoing.push_back(packet);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.outgoing.pop_front()
    }
}

impl Interceptor for Reports {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}

#[cfg(test)]
mod tests {
    use rtc::interceptor::AttributedPacket;
    use rtc::shared::TransportContext;

    use super::*;

    fn rtcp(packet: impl rtc::rtcp::Packet + 'static, now: Instant) -> TaggedPacket {
        let message = AttributedPacket::new(Packet::Rtcp(vec![Box::new(packet)]));
        TaggedPacket { now, transport: TransportContext::default(), message }
    }

    #[test]
    fn reports_of_both_sides_tell_how_the_line_is() {
        let known = Known::default();
        let mut reports = Reports::new(known.clone(), 48_000);
        let begun = Instant::now();
        let report = |fraction_lost, last_sender_report, delay| ReceptionReport {
            fraction_lost,
            jitter: 960,
            last_sender_report,
            delay,
            ..Default::default()
        };
        let ours = SenderReport {
            ntp_time: 0x0001_2345_6789_abcd,
            reports: vec![report(0, 0, 0)],
            ..Default::default()
        };
        reports.handle_write(rtcp(ours, begun)).unwrap();
        let direct = |lost| Some(Direct { lost, jitter: Duration::from_millis(20) });
        assert_eq!(*known.lock().unwrap(), Line { from_browser: direct(0.0), ..Line::default() });

        // It kept our report for half a second.
        let theirs =
            |middle| ReceiverReport { reports: vec![report(64, middle, 32_768)], ..Default::default() };
        reports.handle_read(rtcp(theirs(7), begun + Duration::from_millis(580))).unwrap();
        assert_eq!(known.lock().unwrap().round_trip, None, "that is no report of ours");
        reports.handle_read(rtcp(theirs(0x2345_6789), begun + Duration::from_millis(580))).unwrap();
        let line = Line {
            to_browser: direct(0.25),
            from_browser: direct(0.0),
            round_trip: Some(Duration::from_millis(80)),
        };
        assert_eq!(*known.lock().unwrap(), line);
        assert!(
            reports.poll_write().is_some() && reports.poll_read().is_some() && reports.poll_read().is_some()
        );
    }
}
