//! A leg's reception as a value: who may send, what is counted, what is reported, what is never heard.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;
use sotto_audio::{Codec, FRAME_SAMPLES};
use sotto_call::{Millis, Quality};
use sotto_media::session::{MAX_DATAGRAM, REPORT_BYTES, ReportTo, Session};
use sotto_media::{LegConfig, LegEvent, LegFormat, Packetizer, SenderConfig};

const FRAME: Duration = Duration::from_millis(20);

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn sender() -> SocketAddr {
    at("192.0.2.1:4000")
}

fn format() -> LegFormat {
    LegFormat {
        payloads: vec![(0, Codec::Pcmu), (8, Codec::Pcma)],
        telephone_event: Some((101, 8_000)),
        ptime_ms: Some(20),
        srtp: None,
    }
}

fn session(signalled: Option<SocketAddr>, config: LegConfig) -> Session {
    Session::new(format(), signalled, config, 77, Duration::ZERO).unwrap()
}

fn loud() -> Vec<f32> {
    (0..FRAME_SAMPLES).map(|n| (n as f32 * 0.3).sin() * 0.5).collect()
}

fn audio(packetizer: &mut Packetizer) -> Vec<u8> {
    let mut datagram = Vec::new();
    packetizer.audio(&loud(), &mut datagram).unwrap();
    datagram
}

fn packetizer(codec: Codec) -> Packetizer {
    Packetizer::new(SenderConfig { ssrc: 5, ..SenderConfig::new(codec) }).unwrap()
}

fn events(session: &mut Session) -> Vec<LegEvent> {
    std::iter::from_fn(|| session.next_event()).collect()
}

#[test]
fn the_first_packet_is_told_and_timed_once() {
    let mut session = session(None, LegConfig::default());
    let mut packetizer = packetizer(Codec::Pcma);
    for n in 5..10 {
        session.rtp(&mut audio(&mut packetizer), sender(), FRAME * n);
    }
    assert_eq!(events(&mut session), [LegEvent::FirstPacket { codec: "PCMA" }]);
    let stats = session.stats();
    assert_eq!((stats.packets, stats.octets, stats.discarded), (5, 5 * 172, 0));
    assert_eq!((stats.first_packet_at, stats.codec), (Some(Millis(100)), Some("PCMA")));
}

#[test]
fn only_the_signalled_address_may_send_from_whatever_port() {
    let mut session = session(Some(at("192.0.2.1:9999")), LegConfig::default());
    let mut packetizer = packetizer(Codec::Pcmu);
    session.rtp(&mut audio(&mut packetizer), at("192.0.2.2:9999"), FRAME);
    assert_eq!((session.stats().packets, session.stats().discarded), (0, 1));
    session.rtp(&mut audio(&mut packetizer), sender(), FRAME);
    assert_eq!((session.stats().packets, session.stats().discarded), (1, 1));
}

#[test]
fn a_second_port_is_believed_only_when_the_first_has_fallen_silent() {
    let mut session = session(None, LegConfig::default());
    let mut packetizer = packetizer(Codec::Pcmu);
    session.rtp(&mut audio(&mut packetizer), sender(), FRAME);
    session.rtp(&mut audio(&mut packetizer), at("192.0.2.1:4002"), FRAME * 2);
    session.rtp(&mut audio(&mut packetizer), at("198.51.100.9:4000"), FRAME * 50);
    assert_eq!((session.stats().packets, session.stats().discarded), (1, 2));
    session.rtp(&mut audio(&mut packetizer), at("192.0.2.1:4002"), FRAME * 50);
    assert_eq!(session.stats().packets, 2);
}

#[test]
fn a_sender_behind_an_address_translator_is_taken_when_that_is_allowed() {
    let mut session = session(None, LegConfig::default());
    let mut packetizer = packetizer(Codec::Pcmu);
    session.rtp(&mut audio(&mut packetizer), sender(), FRAME);
    session.rtp(&mut audio(&mut packetizer), at("198.51.100.9:4000"), FRAME * 2);
    assert_eq!((session.stats().packets, session.stats().discarded), (1, 1));
}

#[test]
fn an_address_is_the_same_in_both_its_forms_and_none_at_all_permits_any() {
    let mut packetizer = packetizer(Codec::Pcmu);
    let mut mapped = session(Some(sender()), LegConfig::default());
    mapped.rtp(&mut audio(&mut packetizer), at("[::ffff:192.0.2.1]:4000"), FRAME);
    assert_eq!(mapped.stats().packets, 1);
    let mut on_hold = session(Some(at("0.0.0.0:0")), LegConfig::default());
    on_hold.rtp(&mut audio(&mut packetizer), sender(), FRAME);
    assert_eq!(on_hold.stats().packets, 1);
}

#[test]
fn packets_that_came_twice_do_not_hide_lost_ones() {
    let mut session = session(None, LegConfig::default());
    let mut packetizer = packetizer(Codec::Pcmu);
    for n in 0..100_u32 {
        let mut datagram = audio(&mut packetizer);
        match n % 10 {
            5 => {}
            7 => (0..2).for_each(|_| _ = session.rtp(&mut datagram, sender(), FRAME * n)),
            _ => _ = session.rtp(&mut datagram, sender(), FRAME * n),
        }
        session.frame(FRAME * n);
    }
    let stats = session.stats();
    assert_eq!((stats.packets, stats.lost, stats.duplicates), (100, 10, 10));
}

#[test]
fn a_new_agreement_brings_a_new_address_and_new_codecs() {
    let mut session = session(Some(sender()), LegConfig::default());
    session.rtp(&mut audio(&mut packetizer(Codec::Pcmu)), sender(), FRAME);
    let opus =
        LegFormat { payloads: vec![(111, Codec::Opus)], telephone_event: None, ptime_ms: None, srtp: None };
    session.update(opus, Some(at("192.0.2.7:6000")), true, FRAME).unwrap();
    let mut packetizer = Packetizer::new(SenderConfig { ssrc: 6, ..SenderConfig::new(Codec::Opus) }).unwrap();
    for n in 2..10 {
        session.rtp(&mut audio(&mut packetizer), at("192.0.2.7:6000"), FRAME * n);
        session.frame(FRAME * n);
    }
    let stats = session.stats();
    assert_eq!((stats.packets, stats.discarded, stats.codec), (9, 0, Some("opus")));
    assert!(session.frame(FRAME * 10).iter().any(|x| x.abs() > 0.01));
}

#[test]
fn a_sender_from_nobody_knows_where_is_found_again_when_it_says_that_it_moves() {
    let mut session = session(None, LegConfig::default());
    let mut packetizer = packetizer(Codec::Pcmu);
    let elsewhere = at("198.51.100.9:4000");
    session.rtp(&mut audio(&mut packetizer), sender(), FRAME);
    session.update(format(), None, true, FRAME * 2).unwrap();
    // What was on its way is still heard, and it is not waited for silence.
    session.rtp(&mut audio(&mut packetizer), sender(), FRAME * 2);
    session.rtp(&mut audio(&mut packetizer), elsewhere, FRAME * 3);
    assert_eq!((session.stats().packets, session.peer()), (3, Some(elsewhere)));
    // Once it is found it is the only one again.
    session.rtp(&mut audio(&mut packetizer), sender(), FRAME * 4);
    assert_eq!((session.stats().packets, session.stats().discarded), (3, 1));
    // One that stays is not open to others for ever.
    session.update(format(), None, true, FRAME * 5).unwrap();
    session.rtp(&mut audio(&mut packetizer), sender(), FRAME * 600);
    assert_eq!((session.stats().packets, session.stats().discarded), (3, 2));
    // Nor is one that has agreed on something else.
    session.update(format(), None, false, FRAME * 601).unwrap();
    session.rtp(&mut audio(&mut packetizer), sender(), FRAME * 602);
    assert_eq!((session.stats().packets, session.stats().discarded), (3, 3));
}

#[test]
fn a_flood_is_cut_at_the_limit_and_elsewhere_floods_in_vain() {
    let mut session =
        session(Some(sender()), LegConfig { max_packets_per_second: 100, ..LegConfig::default() });
    let mut packetizer = packetizer(Codec::Pcmu);
    for _ in 0..10_000 {
        session.rtp(&mut audio(&mut packetizer), at("198.51.100.9:4000"), FRAME);
    }
    let mut datagrams: Vec<_> = (0..1_000).map(|_| audio(&mut packetizer)).collect();
    for datagram in &mut datagrams {
        session.rtp(datagram, sender(), FRAME);
    }
    let stats = session.stats();
    assert_eq!((stats.packets, stats.flooded, stats.discarded), (100, 900, 10_900));
    session.rtp(&mut datagrams[0], sender(), FRAME * 51);
    assert_eq!(session.stats().packets, 101);
}

#[test]
fn another_program_on_the_senders_machine_uses_up_nothing_of_the_senders_share() {
    for signalled in [None, Some(sender())] {
        let mut session =
            session(signalled, LegConfig { max_packets_per_second: 100, ..LegConfig::default() });
        let mut packetizer = packetizer(Codec::Pcmu);
        for n in 0..50 {
            session.rtp(&mut audio(&mut packetizer), sender(), FRAME * n);
            for _ in 0..100 {
                session.rtp(&mut b"\x80\0junk of nobody".to_vec(), at("192.0.2.1:4999"), FRAME * n);
            }
            // Nor what comes to the port beside it.
            for _ in 0..10 {
                session.rtcp(&mut b"junk".to_vec(), at("192.0.2.1:4999"), FRAME * n);
            }
        }
        let stats = session.stats();
        assert_eq!((stats.packets, stats.discarded), (50, 5_500));
        assert_eq!(session.peer(), Some(sender()));
    }
}

#[test]
fn what_is_not_agreed_on_is_discarded() {
    let mut session = session(None, LegConfig::default());
    let good = audio(&mut packetizer(Codec::Pcmu));
    let unknown = audio(&mut packetizer(Codec::Opus));
    let large = vec![0x80; MAX_DATAGRAM + 1];
    for datagram in [&b""[..], b"hello", &good[..11], &unknown, &large] {
        session.rtp(&mut datagram.to_vec(), sender(), FRAME);
        session.rtcp(&mut datagram.to_vec(), sender(), FRAME);
    }
    assert_eq!((session.stats().packets, session.stats().discarded), (0, 10));
}

#[test]
fn nothing_received_in_a_pause_is_heard_after_it() {
    let mut session = session(None, LegConfig::default());
    let mut packetizer = packetizer(Codec::Pcmu);
    let mut heard = Vec::new();
    for n in 0..300_u32 {
        if n == 100 || n == 200 {
            session.set_paused(n == 100, FRAME * n);
        }
        session.rtp(&mut audio(&mut packetizer), sender(), FRAME * n);
        heard.push(session.frame(FRAME * n).iter().any(|x| *x != 0.0));
    }
    // What was received before the pause is heard to its end, 40 ms later.
    assert!(heard[2..102].iter().all(|heard| *heard));
    assert!(heard[102..202].iter().all(|heard| !*heard));
    assert!(heard[202..].iter().all(|heard| *heard));
    let stats = session.stats();
    assert_eq!((stats.concealed_ms, stats.lost, stats.packets), (0, 0, 300));
}

#[test]
fn keys_that_are_pressed_in_a_pause_are_nobodys_business() {
    let mut session = session(None, LegConfig::default());
    let mut packetizer = packetizer(Codec::Pcmu);
    let mut press = |session: &mut Session, code: u8, at: u32| {
        let began = packetizer.timestamp();
        let mut heard = 0;
        for n in 0..4 {
            let mut datagram = Vec::new();
            packetizer.pause(FRAME_SAMPLES);
            packetizer.event(code, began, n > 1, &mut datagram);
            heard += usize::from(session.rtp(&mut datagram, sender(), FRAME * (at + n)).is_some());
            session.frame(FRAME * (at + n));
        }
        heard
    };
    session.set_paused(true, FRAME);
    assert_eq!((press(&mut session, 4, 10), events(&mut session)), (0, vec![]));
    session.set_paused(false, FRAME * 20);
    assert_eq!(press(&mut session, 2, 30), 4);
    let told = events(&mut session);
    assert!(matches!(told.as_slice(), [LegEvent::Dtmf { digit: '2', .. }]), "{told:?}");
}

#[test]
fn a_silent_sender_times_out_once_and_again_after_it_was_back() {
    let mut session = session(None, LegConfig { timeout: Duration::from_secs(2), ..LegConfig::default() });
    let mut packetizer = packetizer(Codec::Pcmu);
    let run = |session: &mut Session, frames: std::ops::Range<u32>| {
        frames.for_each(|n| {
            session.frame(FRAME * n);
        });
        events(session)
    };
    assert_eq!(run(&mut session, 0..100), []);
    assert_eq!(run(&mut session, 100..500), [LegEvent::Timeout]);
    session.rtp(&mut audio(&mut packetizer), sender(), FRAME * 500);
    assert_eq!(run(&mut session, 500..599), [LegEvent::FirstPacket { codec: "PCMU" }]);
    assert_eq!(run(&mut session, 599..700), [LegEvent::Timeout]);
    session.set_paused(true, FRAME * 700);
    session.rtp(&mut audio(&mut packetizer), sender(), FRAME * 700);
    assert_eq!(run(&mut session, 700..1_000), [], "a leg on hold does not time out");
}

#[test]
fn keys_are_told_once_and_cost_no_audio() {
    let mut session = session(None, LegConfig::default());
    let mut packetizer = packetizer(Codec::Pcmu);
    let mut began = 0;
    for n in 0..100_u32 {
        let mut datagram = Vec::new();
        match n {
            40..50 => {
                if n == 40 {
                    began = packetizer.timestamp();
                }
                packetizer.pause(FRAME_SAMPLES);
                packetizer.event(11, began, n >= 47, &mut datagram);
            }
            _ => datagram = audio(&mut packetizer),
        }
        session.rtp(&mut datagram, sender(), FRAME * n);
        session.frame(FRAME * n);
    }
    let first = LegEvent::FirstPacket { codec: "PCMU" };
    assert_eq!(events(&mut session), [first, LegEvent::Dtmf { digit: '#', duration_ms: 160 }]);
    let stats = session.stats();
    assert_eq!((stats.lost, stats.late, stats.concealed_ms, stats.discarded), (0, 0, 0, 0));
}

#[test]
fn how_well_a_party_is_received_is_told_when_it_changes_and_not_while_nothing_comes() {
    let mut session = session(None, LegConfig::default());
    let mut packetizer = packetizer(Codec::Pcmu);
    let mut buffer = [0; REPORT_BYTES];
    let mut told = Vec::new();
    // Five seconds each: whole, with one packet in ten missing, with one in thirty, whole twice, and nothing.
    let missing = [usize::MAX, 10, 30, usize::MAX, usize::MAX, 1];
    for (n, missing) in missing.into_iter().flat_map(|missing| [missing; 250]).enumerate() {
        let now = FRAME * n as u32;
        let mut datagram = audio(&mut packetizer);
        if n % missing != missing / 2 {
            session.rtp(&mut datagram, sender(), now);
        }
        session.frame(now);
        session.report(now, &mut buffer);
        told.extend(events(&mut session).into_iter().filter_map(|event| match event {
            LegEvent::Line(quality) => Some((n / 250, quality)),
            _ => None,
        }));
    }
    // What went wrong in five seconds is known at their end.
    assert_eq!(told, [(1, Quality::Good), (2, Quality::Poor), (3, Quality::Fair), (4, Quality::Good)]);
}

#[test]
fn a_party_that_does_not_hear_us_well_has_a_bad_line() {
    let mut session = session(None, LegConfig::default());
    let mut packetizer = packetizer(Codec::Pcmu);
    let mut buffer = [0; REPORT_BYTES];
    let mut told = Vec::new();
    // Five seconds each. What comes is whole; the party reports that 30 of 256 of ours were lost, then nothing for long.
    for n in 0..1_500_u32 {
        session.rtp(&mut audio(&mut packetizer), sender(), FRAME * n);
        session.frame(FRAME * n);
        if n == 400 {
            let mut report = vec![0x81, 201, 0, 7, 0, 0, 0, 5, 0, 0, 0, 77, 30];
            report.resize(32, 0);
            session.rtcp(&mut report, at("192.0.2.1:4001"), FRAME * n);
        }
        session.report(FRAME * n, &mut buffer);
        told.extend(events(&mut session).into_iter().filter_map(|event| match event {
            LegEvent::Line(quality) => Some((n / 250, quality)),
            _ => None,
        }));
    }
    assert_eq!(told, [(1, Quality::Good), (2, Quality::Poor), (5, Quality::Good)]);
}

#[test]
fn reception_is_reported_every_five_seconds_to_where_the_sender_listens() {
    let mut session = session(None, LegConfig::default());
    let mut packetizer = packetizer(Codec::Pcmu);
    let mut reports = Vec::new();
    let mut buffer = [0; REPORT_BYTES];
    for n in 0..1_000_u32 {
        let mut datagram = audio(&mut packetizer);
        if n % 10 != 9 {
            session.rtp(&mut datagram, sender(), FRAME * n);
        }
        if n == 400 {
            session.rtcp(&mut [0x80, 201, 0, 1, 0, 0, 0, 5], at("192.0.2.1:4321"), FRAME * n);
        }
        if n == 700 {
            session.rtp(&mut [0x80, 201, 0, 1, 0, 0, 0, 5], sender(), FRAME * n);
        }
        if let Some((to, _)) = session.report(FRAME * n, &mut buffer) {
            reports.push((n, to, buffer[12]));
        }
    }
    let tenth = 25;
    let beside = ReportTo::Rtcp(at("192.0.2.1:4001"));
    let told = ReportTo::Rtcp(at("192.0.2.1:4321"));
    assert_eq!(reports.len(), 3);
    assert_eq!(reports[0], (250, beside, tenth));
    assert_eq!(reports[1], (500, told, tenth));
    assert_eq!(reports[2], (750, ReportTo::Rtp(sender()), tenth));
    assert_eq!((session.stats().lost, session.stats().reports), (99, 3));
}

proptest! {
    #[test]
    fn no_datagrams_panic_or_pile_up(
        datagrams in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..64), any::<bool>(), 0..3_u8, 0..100_u64), 0..300,
        ),
    ) {
        let mut session = session(None, LegConfig::default());
        let mut now = Duration::ZERO;
        for (mut datagram, valid, host, wait) in datagrams {
            if let (true, [first, second, ..]) = (valid, datagram.as_mut_slice()) {
                *first = *first & 0x3f | 0x80;
                *second = [0, 8, 13, 101, 200, 203, 0x80][usize::from(*second % 7)];
            }
            session.rtp(&mut datagram, SocketAddr::from(([192, 0, 2, host], 4_000)), now);
            session.rtcp(&mut datagram, SocketAddr::from(([192, 0, 2, host], 4_001)), now);
            now += Duration::from_millis(wait);
            prop_assert!(session.frame(now).iter().all(|x| x.is_finite()));
            session.report(now, &mut [0; REPORT_BYTES]);
        }
        prop_assert!(events(&mut session).len() <= 16);
        session.finish();
        let mut left = 0;
        while !session.is_drained() {
            now += FRAME;
            session.frame(now);
            left += 1;
            prop_assert!(left < 2_000);
        }
    }
}

#[test]
fn keys_are_measured_by_their_own_clock() {
    let format = LegFormat {
        payloads: vec![(111, Codec::Opus)],
        telephone_event: Some((101, 8_000)),
        ptime_ms: Some(20),
        srtp: None,
    };
    let mut session = Session::new(format, None, LegConfig::default(), 77, Duration::ZERO).unwrap();
    let mut packetizer = packetizer(Codec::Pcmu);
    let began = packetizer.timestamp();
    packetizer.pause(5 * FRAME_SAMPLES);
    let mut datagram = Vec::new();
    packetizer.event(5, began, true, &mut datagram);
    session.rtp(&mut datagram, sender(), FRAME);
    assert_eq!(events(&mut session), [LegEvent::Dtmf { digit: '5', duration_ms: 100 }]);
}
