//! The jitter buffer against networks of every kind: packets in with their times, frames out every 20 ms.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;
use sotto_audio::netem::{Loss, Netem, NetemConfig};
use sotto_audio::{
    Codec, Decoder, Encoder, FRAME_SAMPLES, JitterBuffer, JitterConfig, JitterStats, MAX_PACKET_SAMPLES,
    MAX_PAYLOAD, Packet, RATE,
};

const FRAME: Duration = Duration::from_millis(20);
const DEPTH: Duration = Duration::from_millis(40);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A packet that owns its payload, with the time it is sent.
#[derive(Clone, Debug)]
struct Sent {
    at: Duration,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    marker: bool,
    codec: Codec,
    payload: Vec<u8>,
}

impl Sent {
    fn packet(&self) -> Packet<'_> {
        let Self { sequence, timestamp, ssrc, marker, codec, payload, .. } = self;
        Packet {
            sequence: *sequence,
            timestamp: *timestamp,
            ssrc: *ssrc,
            marker: *marker,
            codec: Some(*codec),
            payload,
        }
    }
}

/// Something like a voice: loud, never periodic for long, inside the telephone band.
fn voice(samples: usize) -> Vec<f32> {
    let tone = |n: usize, hz: f64| (std::f64::consts::TAU * hz * n as f64 / f64::from(RATE)).sin();
    (0..samples).map(|n| (0.2 * (tone(n, 210.3) + tone(n, 437.7) + tone(n, 1_311.1))) as f32).collect()
}

/// A stream of packets sent in step, from `start` on.
fn stream(
    codec: Codec,
    ptime: u64,
    packets: usize,
    start: Duration,
    sequence: u16,
    timestamp: u32,
) -> Vec<Sent> {
    let mut encoder = Encoder::new(codec).unwrap();
    let size = 16 * ptime as usize;
    let mut payload = [0; MAX_PAYLOAD];
    voice(packets * size)
        .chunks(size)
        .enumerate()
        .map(|(n, samples)| {
            let length = encoder.encode(samples, &mut payload).unwrap();
            Sent {
                at: start + ms(ptime) * n as u32,
                sequence: sequence.wrapping_add(n as u16),
                timestamp: timestamp
                    .wrapping_add((n as u64 * ptime * u64::from(codec.clock_rate()) / 1_000) as u32),
                ssrc: 7,
                marker: n == 0,
                codec,
                payload: payload[..length].to_vec(),
            }
        })
        .collect()
}

/// What a decoder makes of the packets without any network.
fn decoded(packets: &[Sent]) -> Vec<f32> {
    let codecs: Vec<Codec> = packets.iter().map(|p| p.codec).collect();
    let mut decoder = Decoder::new(&codecs).unwrap();
    let mut samples = vec![0.0; MAX_PACKET_SAMPLES];
    let mut output = Vec::new();
    for packet in packets {
        let count = decoder.decode(packet.codec, &packet.payload, &mut samples).unwrap();
        output.extend_from_slice(&samples[..count]);
    }
    output
}

fn carried(packets: &[Sent], network: NetemConfig, seed: u64) -> Vec<(Duration, Sent)> {
    let mut network = Netem::new(network, seed);
    let mut arrivals: Vec<_> = packets
        .iter()
        .flat_map(|p| network.carry(p.at).map(|at| (at, p.clone())).collect::<Vec<_>>())
        .collect();
    arrivals.sort_by_key(|(at, _)| *at);
    arrivals
}

/// Plays arrivals until the last has come, then what waits: every sample since time 0.
fn played(arrivals: &[(Duration, Sent)], config: JitterConfig) -> (Vec<f32>, JitterStats) {
    let codecs: Vec<Codec> = arrivals.iter().map(|(_, p)| p.codec).collect();
    let mut buffer = JitterBuffer::new(&codecs, config).unwrap();
    let mut output = Vec::new();
    let mut now = Duration::ZERO;
    let mut arrivals = arrivals.iter().peekable();
    while arrivals.peek().is_some() {
        while let Some((at, packet)) = arrivals.next_if(|(at, _)| *at <= now) {
            buffer.push(&packet.packet(), *at);
        }
        output.extend(buffer.pop(now));
        now += FRAME;
    }
    let stats = buffer.stats();
    buffer.finish();
    while !buffer.is_empty() {
        output.extend(buffer.pop(now));
        now += FRAME;
    }
    (output, stats)
}

fn on_time(packets: &[Sent]) -> Vec<(Duration, Sent)> {
    let mut arrivals: Vec<_> = packets.iter().map(|packet| (packet.at, packet.clone())).collect();
    arrivals.sort_by_key(|(at, _)| *at);
    arrivals
}

fn place(time: Duration) -> usize {
    (time.as_secs_f64() * f64::from(RATE)).round() as usize
}

/// Where in `samples` this piece is found, exactly.
fn find(samples: &[f32], piece: &[f32]) -> Option<usize> {
    samples.windows(piece.len()).position(|window| window == piece)
}

#[test]
fn a_perfect_network_gives_every_sample_once_in_order_and_in_its_place() {
    for codec in Codec::ALL {
        for ptime in [10, 20, 40, 60] {
            let packets = stream(codec, ptime, 100, ms(100), 9, 1_000);
            let (output, stats) = played(&on_time(&packets), JitterConfig::default());
            let wanted = decoded(&packets);
            let at = place(ms(100) + DEPTH);
            assert!(output[..at].iter().all(|x| *x == 0.0));
            assert_eq!(output[at..at + wanted.len()], wanted, "{codec:?} {ptime} ms");
            assert_eq!(stats, JitterStats::default(), "{codec:?} {ptime} ms");
        }
    }
}

#[test]
fn packets_of_30_ms_and_of_odd_sizes_are_put_together_again() {
    let mut packets = stream(Codec::Pcma, 10, 90, ms(55), 0, 0);
    let mut merged: Vec<Sent> = Vec::new();
    // 30 ms each, then sizes that are no multiple of anything.
    for group in packets.chunks(3) {
        let payload = group.iter().flat_map(|p| p.payload.clone()).collect();
        merged.push(Sent { payload, sequence: merged.len() as u16, ..group[0].clone() });
    }
    let whole: Vec<u8> = packets.drain(..).flat_map(|p| p.payload).collect();
    let mut odd: Vec<Sent> = Vec::new();
    let mut at = 0;
    for size in [37, 161, 240, 80, 333, 1, 200].into_iter().cycle() {
        let Some(payload) = whole.get(at..at + size) else { break };
        let sent = Sent {
            at: ms(55) + Duration::from_micros(125) * at as u32,
            sequence: odd.len() as u16,
            timestamp: at as u32,
            ..merged[0].clone()
        };
        odd.push(Sent { payload: payload.to_vec(), marker: at == 0, ..sent });
        at += size;
    }
    for packets in [merged, odd] {
        let (output, stats) = played(&on_time(&packets), JitterConfig::default());
        let wanted = decoded(&packets);
        let at = place(ms(55) + DEPTH);
        assert_eq!(output[at..at + wanted.len()], wanted);
        assert_eq!(stats.concealed_samples, 0);
    }
}

#[test]
fn nothing_is_left_behind_at_the_end() {
    let packets = stream(Codec::Pcmu, 20, 10, ms(3), 0, 0);
    let (output, _) = played(&on_time(&packets), JitterConfig::default());
    // The decoder's filter holds 2 ms, which come out as well.
    let spoken = voice(10 * FRAME_SAMPLES);
    let at = place(ms(43)) + 32 + 31;
    let tail = spoken.len() - 64;
    let error =
        output[at + 1_000..].iter().zip(&spoken[1_000..tail]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(error < 0.02, "{error}");
}

#[test]
fn what_is_overtaken_or_doubled_is_put_right() {
    let network =
        NetemConfig { reorder: 0.1, duplicate: 0.1, reorder_delay: ms(30), ..NetemConfig::default() };
    let packets = stream(Codec::Pcmu, 20, 500, ms(10), 65_300, u32::MAX - 9_000);
    let (output, stats) =
        played(&carried(&packets, network, 3), JitterConfig { max_depth: DEPTH, ..JitterConfig::default() });
    let wanted = decoded(&packets);
    let at = place(ms(50));
    assert_eq!(output[at..at + wanted.len()], wanted);
    assert!((30..70).contains(&stats.reordered) && (30..70).contains(&stats.duplicates), "{stats:?}");
    assert_eq!((stats.late, stats.concealed_samples), (0, 0));
}

#[test]
fn as_much_is_concealed_as_was_lost() {
    let seconds = 100;
    for codec in [Codec::Pcmu, Codec::Opus] {
        let packets = stream(codec, 20, 50 * seconds, ms(0), 0, 0);
        for loss in [
            Loss::Uniform(0.01),
            Loss::Uniform(0.1),
            Loss::Uniform(0.3),
            Loss::Bursts { begin: 0.02, end: 0.4 },
        ] {
            let network = NetemConfig { loss, ..NetemConfig::default() };
            let arrivals = carried(&packets, network, 11);
            let lost = packets.len() - arrivals.len();
            let (output, stats) = played(&arrivals, JitterConfig::default());
            let made_up = stats.concealed_samples as usize / FRAME_SAMPLES + stats.recovered as usize;
            assert!(
                made_up.abs_diff(lost) <= 4 + lost / 50,
                "{codec:?} {loss:?}: {made_up} for {lost}, {stats:?}"
            );
            assert!(output.len().abs_diff(packets.len() * FRAME_SAMPLES) < 10 * FRAME_SAMPLES);
            assert_eq!(stats.recovered > 0, codec == Codec::Opus);
        }
    }
}

#[test]
fn what_is_left_after_loss_is_in_its_place() {
    let packets = stream(Codec::Pcmu, 20, 300, ms(0), 0, 0);
    let network = NetemConfig { loss: Loss::Uniform(0.1), ..NetemConfig::default() };
    let arrivals = carried(&packets, network, 5);
    let (output, _) = played(&arrivals, JitterConfig::default());
    let wanted = decoded(&packets);
    // Past the cross-fade and the filter's memory, the middle of every packet that came is untouched.
    for (at, _) in &arrivals {
        let from = place(*at) + 200;
        assert_eq!(output[from + place(DEPTH)..][..100], wanted[from..from + 100]);
    }
}

#[test]
fn the_depth_follows_the_jitter_and_comes_back() {
    let packets = stream(Codec::Pcmu, 20, 50 * 60, ms(0), 0, 0);
    let (bad, good) = packets.split_at(50 * 20);
    let mut arrivals = carried(bad, NetemConfig { jitter: ms(120), ..NetemConfig::default() }, 1);
    arrivals.extend(on_time(good));
    arrivals.sort_by_key(|(at, _)| *at);
    let mut buffer = JitterBuffer::new(&[Codec::Pcmu], JitterConfig::default()).unwrap();
    let mut depths = Vec::new();
    let mut late_after_two_seconds = 0;
    let mut next = arrivals.iter().peekable();
    for n in 0..50 * 60 {
        let now = FRAME * n;
        while let Some((at, packet)) = next.next_if(|(at, _)| *at <= now) {
            buffer.push(&packet.packet(), *at);
        }
        buffer.pop(now);
        depths.push(buffer.depth());
        if n == 100 {
            late_after_two_seconds = buffer.stats().late;
        }
    }
    let stats = buffer.stats();
    assert_eq!(stats.late, late_after_two_seconds, "{stats:?}");
    assert!(depths[50 * 10] >= ms(120) && depths[50 * 10] <= ms(200), "{:?}", depths[500]);
    assert_eq!(depths[50 * 60 - 1], DEPTH);
}

/// Silences every so many packets but for a click at their beginning.
fn click(packets: &mut [Sent], every: usize) {
    for packet in packets.iter_mut().skip(every / 2).step_by(every) {
        packet.payload.fill(0xff);
        packet.payload[0] = 0x80;
    }
}

/// Where the clicks are.
fn clicks(samples: &[f32]) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::new();
    for (at, _) in samples.iter().enumerate().filter(|(_, x)| **x > 0.7) {
        if found.last().is_none_or(|last| at > last + 100) {
            found.push(at);
        }
    }
    found
}

#[test]
fn clocks_that_differ_for_an_hour_lose_nothing() {
    let mut packets = stream(Codec::Pcmu, 20, 50 * 3_600, ms(100), 0, 0);
    click(&mut packets, 500);
    for drift_ppm in [-200.0, 200.0] {
        let arrivals = carried(&packets, NetemConfig { drift_ppm, ..NetemConfig::default() }, 0);
        let (output, stats) = played(&arrivals, JitterConfig::default());
        assert_eq!((stats.late, stats.concealed_samples, stats.skipped_ms()), (0, 0, 0), "{stats:?}");
        let moved = stats.added_samples.max(stats.removed_samples) as f64 / f64::from(RATE);
        assert!((0.68..0.76).contains(&moved), "{moved} s at {drift_ppm} ppm");
        assert_eq!(stats.added_samples.min(stats.removed_samples), 0);
        let found = clicks(&output);
        assert_eq!(found.len(), 360);
        for (click, (at, _)) in found.iter().zip(arrivals.iter().skip(250).step_by(500)) {
            let off = click.abs_diff(place(*at + DEPTH) + 32);
            assert!(off <= place(ms(28)), "the click of {at:?} at {drift_ppm} ppm is off by {off} samples");
        }
    }
}

#[test]
fn drift_in_a_silent_stream_is_put_right_by_whole_frames() {
    let mut packets = stream(Codec::Pcmu, 20, 50 * 600, ms(0), 0, 0);
    packets.iter_mut().for_each(|packet| packet.payload.fill(0xff));
    for drift_ppm in [-500.0, 500.0] {
        let arrivals = carried(&packets, NetemConfig { drift_ppm, ..NetemConfig::default() }, 0);
        let (_, stats) = played(&arrivals, JitterConfig::default());
        assert_eq!((stats.late, stats.concealed_samples), (0, 0), "{stats:?}");
    }
}

#[test]
fn a_new_source_follows_the_old_one_without_a_gap() {
    let first = stream(Codec::Pcmu, 20, 100, ms(0), 500, 77_000);
    let mut second = stream(Codec::Pcma, 20, 100, ms(2_000), 40_000, 5);
    second.iter_mut().for_each(|packet| packet.ssrc = 99);
    let both = [first, second].concat();
    let (output, stats) = played(&on_time(&both), JitterConfig::default());
    let wanted = decoded(&both);
    assert_eq!(output[place(DEPTH)..][..wanted.len()], wanted);
    assert_eq!((stats.ssrc_changes, stats.late, stats.concealed_samples), (1, 0, 0));
}

#[test]
fn a_source_with_another_clock_is_followed_too() {
    let first = stream(Codec::Opus, 20, 100, ms(0), 500, 77_000);
    let second = stream(Codec::Pcmu, 20, 100, ms(2_000), 600, 173_000);
    let both = [first, second].concat();
    let (output, stats) = played(&on_time(&both), JitterConfig::default());
    let wanted = decoded(&both);
    assert_eq!(output[place(DEPTH)..][..wanted.len()], wanted);
    assert_eq!((stats.ssrc_changes, stats.concealed_samples), (1, 0));
}

#[test]
fn two_sources_at_once_do_not_take_turns() {
    let first = stream(Codec::Pcmu, 20, 200, ms(0), 0, 0);
    let mut second = stream(Codec::Pcmu, 20, 200, ms(5), 0, 0);
    second.iter_mut().for_each(|packet| packet.ssrc = 99);
    let (_, stats) = played(&on_time(&[first, second.clone()].concat()), JitterConfig::default());
    assert_eq!(stats.ssrc_changes, 1);
    assert_eq!(stats.foreign, 199);
}

#[test]
fn a_pause_of_the_sender_is_silence_and_moves_nothing() {
    for (codec, silent) in [(Codec::Pcmu, 60), (Codec::Pcmu, 3_000), (Codec::Opus, 40_000)] {
        let packets = stream(codec, 20, 100, ms(0), 0, 0);
        let mut arrivals = packets.clone();
        for packet in &mut arrivals[50..] {
            packet.at += ms(silent);
            packet.timestamp += codec.clock_rate() / 1_000 * silent as u32;
        }
        let (output, stats) = played(&on_time(&arrivals), JitterConfig::default());
        let wanted = decoded(&packets);
        let second = place(ms(1_000 + silent) + DEPTH) + 200;
        assert_eq!(output[place(DEPTH)..][..16_000], wanted[..16_000]);
        // What Opus made up for the first part of the pause changes what it decodes next.
        let skip = if codec == Codec::Opus { 3_200 } else { 0 };
        let heard = &output[second + skip..][..12_000];
        let error =
            heard.iter().zip(&wanted[16_200 + skip..]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(error < if codec == Codec::Opus { 0.02 } else { 1e-6 }, "{codec:?} {silent}: {error}");
        assert_eq!((stats.concealed_samples, stats.recovered), (0, 0), "a pause is no loss");
        if silent > 200 {
            assert!(output[second - 1_000..second - 200].iter().all(|x| *x == 0.0));
        }
    }
}

#[test]
fn opus_that_sends_nothing_in_silence_loses_nothing() {
    // As libopus does (DTX): in silence a packet every 400 ms, numbered without a gap and without a marker.
    let packets = stream(Codec::Opus, 20, 200, ms(0), 65_500, u32::MAX - 50_000);
    let first = packets[0].sequence;
    let is_sent = |n: usize| !(50..150).contains(&n) || n.is_multiple_of(20);
    let sent = packets.into_iter().enumerate().filter(|(n, _)| is_sent(*n)).map(|(_, packet)| packet);
    let mut sent: Vec<Sent> = sent.collect();
    for (n, packet) in sent.iter_mut().enumerate() {
        packet.sequence = first.wrapping_add(n as u16);
    }
    let (_, stats) = played(&on_time(&sent), JitterConfig::default());
    assert_eq!((stats.concealed_samples, stats.recovered, stats.late), (0, 0, 0), "{stats:?}");
    // Of the same, what the network loses is still missed.
    sent.remove(20);
    let (_, stats) = played(&on_time(&sent), JitterConfig::default());
    assert!(stats.concealed_samples + stats.recovered > 0, "{stats:?}");
}

#[test]
fn packets_without_audio_are_not_missed() {
    let packets = stream(Codec::Pcmu, 20, 100, ms(0), 0, 0);
    let mut buffer = JitterBuffer::new(&[Codec::Pcmu], JitterConfig::default()).unwrap();
    for (n, packet) in packets.iter().enumerate() {
        let silent = (40..80).contains(&n);
        buffer
            .push(&Packet { codec: packet.packet().codec.filter(|_| !silent), ..packet.packet() }, packet.at);
        let frame = buffer.pop(packet.at);
        assert_eq!(frame.iter().all(|x| *x == 0.0), n < 2 || (42..82).contains(&n), "{n}");
    }
    assert_eq!(buffer.stats(), JitterStats::default());
}

#[test]
fn a_stall_followed_by_a_burst_loses_no_word() {
    let mut packets = stream(Codec::Pcmu, 20, 50 * 60, ms(0), 0, 0);
    click(&mut packets, 4);
    let mut arrivals = on_time(&packets);
    for (at, _) in &mut arrivals {
        if (ms(10_000)..ms(10_400)).contains(at) {
            *at = ms(10_400);
        }
    }
    let (output, stats) = played(&arrivals, JitterConfig::default());
    assert_eq!((stats.late, stats.skipped_ms(), stats.overflowed), (0, 0, 0), "{stats:?}");
    let found = clicks(&output);
    assert_eq!(found.len(), 750);
    for (n, click) in found.into_iter().enumerate() {
        let due = place(ms(40 + 80 * n as u64) + DEPTH) + 32;
        let (early, late) = match 40 + 80 * n as u64 {
            // What was stalled is heard later, by no more than the stall.
            10_000..=10_400 => (0, 400),
            10_401..=45_000 => (25, 400),
            // Half a minute later everything is back in its place.
            45_001.. => (25, 25),
            _ => (0, 0),
        };
        assert!(
            (due - 2 - place(ms(early))..=due + 2 + place(ms(late))).contains(&click),
            "{n}: {click} for {due}"
        );
    }
}

#[test]
fn an_outage_longer_than_the_hold_costs_only_itself() {
    let packets = stream(Codec::Pcmu, 20, 500, ms(0), 0, 0);
    let arrivals: Vec<_> =
        on_time(&packets).into_iter().filter(|(at, _)| !(ms(3_000)..ms(5_000)).contains(at)).collect();
    let (output, stats) = played(&arrivals, JitterConfig::default());
    assert_eq!((stats.late, stats.skipped_ms()), (0, 0), "{stats:?}");
    let wanted = decoded(&packets);
    let from = place(ms(5_020));
    assert_eq!(output[from + place(DEPTH)..][..10_000], wanted[from..from + 10_000]);
}

#[test]
fn a_burst_longer_than_the_hold_keeps_its_newest_part() {
    let mut packets = stream(Codec::Pcmu, 20, 500, ms(0), 0, 0);
    click(&mut packets, 4);
    let mut arrivals = on_time(&packets);
    for (at, _) in &mut arrivals {
        if (ms(2_000)..ms(3_500)).contains(at) {
            *at = ms(3_500);
        }
    }
    let (output, stats) = played(&arrivals, JitterConfig::default());
    assert!(stats.late + stats.skipped_ms() / 20 <= 50, "{stats:?}");
    // 1.5 s were stalled, and of these the last 0.5 s are kept: 12 clicks of 125 are lost, or 13.
    assert!((112..=113).contains(&clicks(&output).len()), "{stats:?}");
}

#[test]
fn timestamps_that_begin_anew_are_followed() {
    for jump in [-1_000_000_i32, -20_000, 30_000, 1_000_000] {
        let mut packets = stream(Codec::Pcmu, 20, 300, ms(0), 0, 2_000_000);
        for packet in &mut packets[150..] {
            packet.timestamp = packet.timestamp.wrapping_add_signed(jump);
        }
        let (output, stats) = played(&on_time(&packets), JitterConfig::default());
        let wanted = decoded(&packets);
        assert_eq!((stats.resyncs, stats.out_of_range), (1, 1), "{jump}");
        let from = place(ms(3_100));
        let piece = &wanted[from..from + 1_000];
        let found = find(&output[from..], piece).unwrap();
        assert!(found.abs_diff(place(DEPTH)) <= place(ms(40)), "{jump}: {found}");
    }
}

#[test]
fn a_sender_whose_timestamps_stood_still_while_it_was_silent_is_heard_again() {
    let mut packets = stream(Codec::Pcmu, 20, 300, ms(0), 0, 0);
    for packet in &mut packets[150..] {
        packet.at += ms(1_500);
    }
    let (output, stats) = played(&on_time(&packets), JitterConfig::default());
    let wanted = decoded(&packets);
    assert!(stats.late <= 7, "{stats:?}");
    let from = place(ms(4_000));
    let found = find(&output[from..], &wanted[from..from + 1_000]).unwrap();
    assert!(found.abs_diff(place(ms(1_500) + DEPTH)) <= place(ms(40)), "{found}");
}

#[test]
fn one_packet_from_nowhere_changes_nothing() {
    let packets = stream(Codec::Pcmu, 20, 300, ms(0), 0, 100_000);
    let mut arrivals = on_time(&packets);
    let mut stray = packets[150].clone();
    stray.timestamp = 9_000_000;
    stray.sequence = 20_000;
    arrivals.insert(150, (stray.at, stray));
    let (output, stats) = played(&arrivals, JitterConfig::default());
    let wanted = decoded(&packets);
    assert_eq!(output[place(DEPTH)..][..wanted.len()], wanted);
    assert_eq!((stats.out_of_range, stats.resyncs), (1, 0));
}

#[derive(Clone, Debug)]
enum Step {
    Push { sequence: u16, timestamp: u32, ssrc: u32, marker: bool, codec: Option<Codec>, payload: Vec<u8> },
    Pop,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let codec =
        prop_oneof![Just(None), Just(Some(Codec::Pcmu)), Just(Some(Codec::Pcma)), Just(Some(Codec::Opus))];
    let near = |small: u32| prop_oneof![4 => 0..small, 1 => any::<u32>()];
    let payload = prop_oneof![4 => Just(vec![0x08; 160]), 1 => prop::collection::vec(any::<u8>(), 0..1_600)];
    let push = (near(60), near(20_000), 0..6_u32, any::<bool>(), codec, payload).prop_map(
        |(sequence, timestamp, ssrc, marker, codec, payload)| Step::Push {
            sequence: sequence as u16,
            timestamp,
            ssrc,
            marker,
            codec,
            payload,
        },
    );
    prop_oneof![6 => push, 4 => Just(Step::Pop), 1 => prop_oneof![0..5_000_u64, 0..100_000_000_000_u64].prop_map(Step::Wait)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_start_in_any_phase_over_any_wrap_is_exact(
        start in 0..100_000_u64, sequence: u16, timestamp: u32, ptime in prop_oneof![Just(10), Just(20), Just(40)],
    ) {
        // To whole samples of the telephone, in steps of the buffer's own time.
        let start = Duration::from_micros(start / 125 * 125);
        let packets = stream(Codec::Pcmu, ptime, 60, start, sequence, timestamp);
        let (output, stats) = played(&on_time(&packets), JitterConfig::default());
        let wanted = decoded(&packets);
        let at = output.iter().position(|x| *x != 0.0).unwrap() - wanted.iter().position(|x| *x != 0.0).unwrap();
        prop_assert!(at.abs_diff(place(start + DEPTH)) <= 1);
        prop_assert_eq!(&output[at..at + wanted.len()], &wanted[..]);
        prop_assert_eq!(stats, JitterStats::default());
    }

    #[test]
    fn no_sequence_of_packets_panics_holds_up_a_frame_or_spoils_what_follows(
        steps in prop::collection::vec(step(), 1..400),
    ) {
        static AFTER: LazyLock<Vec<Sent>> = LazyLock::new(|| stream(Codec::Pcmu, 20, 800, ms(0), 9_000, 77));
        let mut buffer = JitterBuffer::new(&[Codec::Pcmu, Codec::Opus], JitterConfig::default()).unwrap();
        let mut now = Duration::ZERO;
        for step in steps {
            match step {
                Step::Push { sequence, timestamp, ssrc, marker, codec, payload } => {
                    buffer.push(&Packet { sequence, timestamp, ssrc, marker, codec, payload: &payload }, now);
                }
                Step::Pop => {
                    prop_assert!(buffer.pop(now).iter().all(|x| x.is_finite()));
                    now = now.saturating_add(FRAME);
                }
                Step::Wait(time) => now = now.saturating_add(ms(time)),
            }
        }
        // A sane sender is heard again, whole, at the latest when ten seconds of the other are forgotten.
        let mut before = buffer.stats();
        let mut heard = 0;
        for (n, packet) in AFTER.iter().enumerate() {
            buffer.push(&Packet { ssrc: 4_242, ..packet.packet() }, now);
            let frame = buffer.pop(now);
            now += FRAME;
            if n == 700 {
                before = buffer.stats();
            }
            heard += usize::from(n >= 700 && frame.iter().any(|x| x.abs() > 0.1));
        }
        let after = buffer.stats();
        prop_assert_eq!(heard, 100);
        prop_assert_eq!((after.late, after.concealed_samples), (before.late, before.concealed_samples));
        buffer.finish();
        // Little is left: the stream was in its place again.
        let mut left = 0;
        while !buffer.is_empty() {
            buffer.pop(now);
            now = now.saturating_add(FRAME);
            left += 1;
            prop_assert!(left < 50);
        }
    }

    #[test]
    fn a_bad_network_costs_no_more_than_it_took(
        seed: u64, loss in 0.0..0.2, jitter in 0..80_u64, reorder in 0.0..0.1, duplicate in 0.0..0.1,
    ) {
        static PACKETS: LazyLock<Vec<Sent>> =
            LazyLock::new(|| stream(Codec::Pcmu, 20, 1_000, ms(0), 65_000, u32::MAX - 1_000));
        let packets = &*PACKETS;
        let network = NetemConfig {
            delay: ms(20), jitter: ms(jitter), loss: Loss::Uniform(loss), reorder, duplicate,
            reorder_delay: ms(25), drift_ppm: 50.0,
        };
        let arrivals = carried(packets, network, seed);
        let (output, stats) = played(&arrivals, JitterConfig::default());
        let came: std::collections::HashSet<u16> = arrivals.iter().map(|(_, p)| p.sequence).collect();
        let lost = packets.len() - came.len();
        let made_up = stats.concealed_samples as usize / FRAME_SAMPLES;
        // While the depth is still learnt, some packets come too late.
        prop_assert!(stats.late <= 40, "{:?}", stats);
        prop_assert!(made_up.abs_diff(lost) <= 60 + lost / 10, "{} for {}, {:?}", made_up, lost, stats);
        prop_assert!(output.len().abs_diff(1_000 * FRAME_SAMPLES) <= 40 * FRAME_SAMPLES);
    }
}
