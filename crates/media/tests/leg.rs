//! Legs on real loopback sockets: what a sender sends comes out of the rings.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use sotto_audio::netem::{Loss, Netem, NetemConfig};
use sotto_audio::{
    Codec, Decoder, FRAME_SAMPLES, Frame, JitterConfig, MAX_PACKET_SAMPLES, RATE, Reader, ring,
};
use sotto_media::rtp::HEADER;
use sotto_media::{
    CallClock, Leg, LegConfig, LegEvent, LegFormat, LegOutputs, LegStats, Packetizer, Ports, RtpSender,
    SenderConfig,
};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A depth that no stall of a busy test machine exceeds, and that never changes: samples come out as sent.
fn patient() -> LegConfig {
    let jitter = JitterConfig {
        min_depth: Duration::from_millis(400),
        max_depth: Duration::from_millis(400),
        hold: Duration::from_secs(5),
        tolerance: Duration::from_secs(5),
    };
    LegConfig { jitter, ..LegConfig::default() }
}

struct Receiver {
    leg: Leg,
    speech: Reader,
    recording: Reader,
    events: mpsc::Receiver<LegEvent>,
    address: SocketAddr,
}

impl Receiver {
    async fn start(config: LegConfig) -> Self {
        Self::start_on(CallClock::start(), config).await
    }

    async fn start_on(clock: CallClock, config: LegConfig) -> Self {
        let socket = Ports::new(HERE, 32_000..=33_999).reserve().await.unwrap();
        let address = socket.local_addr();
        let (speech, speech_reader) = ring(60_000);
        let (recording, recording_reader) = ring(60_000);
        let (sender, events) = mpsc::channel(64);
        let format = LegFormat {
            payloads: vec![(0, Codec::Pcmu), (8, Codec::Pcma), (111, Codec::Opus)],
            telephone_event: Some((101, 8_000)),
            ptime_ms: Some(20),
            srtp: None,
        };
        let outputs = LegOutputs { speech, recording, bridge: None };
        let leg = Leg::start(socket, format, None, clock, outputs, sender, config);
        Self { leg, speech: speech_reader, recording: recording_reader, events, address }
    }

    /// Stops the leg: what it received, and every sample, after checking that frames follow each other, go to
    /// both taps alike and that both are closed.
    async fn stop(mut self) -> (LegStats, Vec<f32>, u64, Vec<LegEvent>) {
        let stats = self.leg.stop().await;
        let frames: Vec<Frame> = std::iter::from_fn(|| self.speech.pop()).collect();
        let recorded: Vec<Frame> = std::iter::from_fn(|| self.recording.pop()).collect();
        assert_eq!(frames, recorded);
        assert!(frames.windows(2).all(|pair| pair[1].index == pair[0].index + 1));
        assert!(self.speech.is_finished() && self.recording.is_finished());
        let mut events = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            events.push(event);
        }
        let first = frames.first().map_or(0, |frame| frame.index);
        (stats, frames.iter().flat_map(|frame| frame.samples).collect(), first, events)
    }
}

async fn sender(to: SocketAddr, config: SenderConfig, network: Option<Netem>) -> RtpSender {
    let socket = Ports::new(HERE, 34_000..=35_999).reserve().await.unwrap();
    RtpSender::new(socket, to, config, network).unwrap()
}

fn voice(ms: usize) -> Vec<f32> {
    let tone = |n: usize, hz: f64| (std::f64::consts::TAU * hz * n as f64 / f64::from(RATE)).sin();
    (0..16 * ms).map(|n| (0.2 * (tone(n, 210.3) + tone(n, 437.7) + tone(n, 1_311.1))) as f32).collect()
}

/// What a decoder makes of speech sent this way, without a network.
fn decoded(samples: &[f32], config: SenderConfig) -> Vec<f32> {
    let mut packetizer = Packetizer::new(config).unwrap();
    let mut decoder = Decoder::new(&[config.codec]).unwrap();
    let mut output = Vec::new();
    let mut packet = vec![0.0; MAX_PACKET_SAMPLES];
    for piece in samples.chunks_exact(packetizer.samples()) {
        let mut datagram = Vec::new();
        packetizer.audio(piece, &mut datagram).unwrap();
        let count = decoder.decode(config.codec, &datagram[HEADER..], &mut packet).unwrap();
        output.extend_from_slice(&packet[..count]);
    }
    output
}

fn find(samples: &[f32], piece: &[f32]) -> Option<usize> {
    samples.windows(piece.len()).position(|window| window == piece)
}

#[tokio::test]
async fn what_was_sent_comes_out_sample_by_sample() {
    for (codec, ptime_ms) in [(Codec::Pcmu, 20), (Codec::Pcma, 10), (Codec::Opus, 60)] {
        let receiver = Receiver::start(patient()).await;
        let config = SenderConfig {
            ptime_ms,
            sequence: 65_530,
            timestamp: u32::MAX - 500,
            ..SenderConfig::new(codec)
        };
        let speech = voice(1_200);
        let mut sender = sender(receiver.address, config, None).await;
        sender.play(&speech).await.unwrap();
        let (stats, heard, _, events) = receiver.stop().await;
        let wanted = decoded(&speech, config);
        let start = wanted.iter().position(|x| *x != 0.0).unwrap();
        assert!(find(&heard, &wanted[start..]).is_some(), "{codec:?}: {stats:?}");
        assert_eq!(stats.packets, 1_200 / u64::from(ptime_ms));
        assert_eq!((stats.lost, stats.late, stats.discarded, stats.concealed_ms), (0, 0, 0, 0), "{stats:?}");
        assert_eq!(events, [LegEvent::FirstPacket { codec: codec.name() }]);
    }
}

#[tokio::test]
async fn the_last_word_before_the_hang_up_comes_out_every_time() {
    let speech = voice(200);
    let config = SenderConfig::new(Codec::Pcmu);
    let wanted = decoded(&speech, config);
    let last = &wanted[wanted.len() - FRAME_SAMPLES..];
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (speech, last) = (speech.clone(), last.to_vec());
        calls.spawn(async move {
            let receiver = Receiver::start(patient()).await;
            let mut sender = sender(receiver.address, config, None).await;
            sender.play(&speech).await.unwrap();
            let (_, heard, ..) = receiver.stop().await;
            find(&heard, &last).is_some()
        });
    }
    let complete = calls.join_all().await.into_iter().filter(|complete| *complete).count();
    assert_eq!(complete, 50);
}

#[tokio::test]
async fn a_frame_lies_where_it_was_received() {
    let clock = CallClock::start();
    tokio::time::sleep(Duration::from_millis(130)).await;
    let receiver = Receiver::start_on(clock, LegConfig::default()).await;
    let started = clock.now().0;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut sender = sender(receiver.address, SenderConfig::new(Codec::Pcmu), None).await;
    sender.play(&voice(500)).await.unwrap();
    let (stats, heard, first, _) = receiver.stop().await;
    assert!(first * 20 >= 130 && first * 20 <= started + 20, "{first}");
    let onset = first * 20 + heard.iter().position(|x| x.abs() > 0.05).unwrap() as u64 / 16;
    let received = stats.first_packet_at.unwrap().0;
    // A packet's audio ends when it arrives; the filters add 4 ms, the depth what the test machine's stalls ask for.
    assert!(onset + 20 >= received && onset <= received + 250, "{onset} for {received}");
}

#[tokio::test]
async fn a_leg_that_was_there_before_its_call_counts_on_the_calls_clock_from_then_on() {
    let mut receiver = Receiver::start(LegConfig::default()).await;
    let mut sender = sender(receiver.address, SenderConfig::new(Codec::Pcmu), None).await;
    sender.play(&voice(300)).await.unwrap();
    sender.pause(Duration::from_millis(700)).await.unwrap();
    let clock = CallClock::start();
    let (speech, speech_reader) = ring(60_000);
    let (recording, recording_reader) = ring(60_000);
    receiver.leg.enter(LegOutputs { speech, recording, bridge: None }, clock);
    (receiver.speech, receiver.recording) = (speech_reader, recording_reader);
    sender.pause(Duration::from_millis(300)).await.unwrap();
    let sent = clock.now().0;
    sender.play(&voice(500)).await.unwrap();
    let (_, heard, first, _) = receiver.stop().await;
    assert!(first <= 10, "{first}");
    let onset = first * 20 + heard.iter().position(|x| x.abs() > 0.05).unwrap() as u64 / 16;
    // Half a frame is what the change of clocks may cost.
    assert!(onset + 30 >= sent && onset <= sent + 250, "{onset} for {sent}");
}

#[tokio::test]
async fn a_stall_of_the_whole_process_loses_nothing_and_leaves_no_gap() {
    let receiver = Receiver::start(patient()).await;
    let config = SenderConfig::new(Codec::Pcmu);
    let speech = voice(800);
    let wanted = decoded(&speech, config);
    let to = receiver.address;
    let sending = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { sender(to, config, None).await.play(&speech).await.unwrap() });
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    // The legs' only thread does nothing else meanwhile.
    std::thread::sleep(Duration::from_millis(300));
    tokio::task::spawn_blocking(move || sending.join().unwrap()).await.unwrap();
    let (stats, heard, ..) = receiver.stop().await;
    let start = wanted.iter().position(|x| *x != 0.0).unwrap();
    assert!(find(&heard, &wanted[start..]).is_some(), "{stats:?}");
    assert_eq!((stats.packets, stats.lost, stats.late), (40, 0, 0));
}

#[tokio::test]
async fn a_bad_network_is_survived_and_told() {
    let network = NetemConfig {
        delay: Duration::from_millis(10),
        jitter: Duration::from_millis(25),
        loss: Loss::Uniform(0.1),
        reorder: 0.05,
        duplicate: 0.05,
        reorder_delay: Duration::from_millis(30),
        drift_ppm: 0.0,
    };
    let receiver = Receiver::start(patient()).await;
    let mut sender =
        sender(receiver.address, SenderConfig::new(Codec::Pcmu), Some(Netem::new(network, 4))).await;
    sender.play(&voice(3_000)).await.unwrap();
    sender.finish().await.unwrap();
    let (stats, heard, ..) = receiver.stop().await;
    // The last packets may be among the lost ones, which nobody can know.
    assert!((146..=150).contains(&(stats.lost + stats.packets - stats.duplicates)), "{stats:?}");
    assert!(stats.duplicates > 0 && stats.reordered > 0 && stats.concealed_ms >= 60, "{stats:?}");
    assert!(heard.iter().filter(|x| x.abs() > 0.01).count() > 16 * 2_500);
}

#[tokio::test]
async fn a_change_of_source_in_mid_call_loses_nothing() {
    let receiver = Receiver::start(patient()).await;
    let config = SenderConfig::new(Codec::Pcmu);
    let mut sender = sender(receiver.address, config, None).await;
    let speech = voice(800);
    let (first, second) = speech.split_at(16 * 400);
    sender.play(first).await.unwrap();
    sender.packetizer().change_ssrc(4_711, 9, 77_777);
    sender.play(second).await.unwrap();
    let (stats, heard, ..) = receiver.stop().await;
    let wanted = decoded(&speech, config);
    let start = wanted.iter().position(|x| *x != 0.0).unwrap();
    assert!(find(&heard, &wanted[start..]).is_some(), "{stats:?}");
    assert_eq!(stats.ssrc_changes, 1);
}

#[tokio::test]
async fn keys_and_pauses_of_the_sender_are_understood() {
    let receiver = Receiver::start(patient()).await;
    let mut sender = sender(receiver.address, SenderConfig::new(Codec::Pcmu), None).await;
    sender.play(&voice(200)).await.unwrap();
    sender.press('7', Duration::from_millis(100)).await.unwrap();
    sender.pause(Duration::from_millis(200)).await.unwrap();
    sender.press('#', Duration::from_millis(60)).await.unwrap();
    sender.play(&voice(200)).await.unwrap();
    let (stats, _, _, events) = receiver.stop().await;
    let first = LegEvent::FirstPacket { codec: "PCMU" };
    let seven = LegEvent::Dtmf { digit: '7', duration_ms: 100 };
    let hash = LegEvent::Dtmf { digit: '#', duration_ms: 60 };
    assert_eq!(events, [first, seven, hash]);
    assert_eq!((stats.lost, stats.discarded), (0, 0));
}

#[tokio::test]
async fn a_pause_of_ours_is_silence_in_both_taps() {
    let receiver =
        Receiver::start(LegConfig { jitter: JitterConfig::default(), ..LegConfig::default() }).await;
    let mut sender = sender(receiver.address, SenderConfig::new(Codec::Pcmu), None).await;
    receiver.leg.pause();
    sender.play(&voice(300)).await.unwrap();
    let (stats, heard, ..) = receiver.stop().await;
    assert!(heard.iter().all(|x| *x == 0.0));
    assert_eq!((stats.packets, stats.concealed_ms), (15, 0));
}

#[tokio::test]
async fn hostile_datagrams_do_not_disturb_a_call() {
    let receiver = Receiver::start(patient()).await;
    let config = SenderConfig::new(Codec::Pcmu);
    let speech = voice(600);
    let mut sender = sender(receiver.address, config, None).await;
    let attacker = UdpSocket::bind((HERE, 0)).await.unwrap();
    let (before, after) = speech.split_at(16 * 100);
    sender.play(before).await.unwrap();
    let attack = async {
        let mut packetizer = Packetizer::new(SenderConfig { ssrc: 666, ..config }).unwrap();
        for n in 0..200_usize {
            let mut datagram = Vec::new();
            packetizer.audio(&voice(20), &mut datagram).unwrap();
            let cut = n % datagram.len();
            attacker.send_to(&datagram, receiver.address).await.unwrap();
            attacker.send_to(&datagram[..cut], receiver.address).await.unwrap();
            attacker.send_to(&vec![n as u8; 1_600], receiver.address).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let (sent, ()) = tokio::join!(sender.play(after), attack);
    sent.unwrap();
    let (stats, heard, ..) = receiver.stop().await;
    let wanted = decoded(&speech, config);
    let start = wanted.iter().position(|x| *x != 0.0).unwrap();
    assert!(find(&heard, &wanted[start..]).is_some(), "{stats:?}");
    assert_eq!((stats.packets, stats.ssrc_changes), (30, 0));
    assert!(stats.discarded > 100, "{stats:?}");
}

#[tokio::test]
async fn reports_reach_the_sender() {
    let config = LegConfig { report_interval: Duration::from_millis(100), ..patient() };
    let receiver = Receiver::start(config).await;
    let ports = Ports::new(HERE, 36_000..=36_999).reserve().await.unwrap();
    let rtp = ports.port();
    // The sender's RTCP port is listened on by the test, its RTP port by nobody.
    drop(ports);
    let rtcp = UdpSocket::bind((HERE, rtp + 1)).await.unwrap();
    let socket = UdpSocket::bind((HERE, rtp)).await.unwrap();
    let mut packetizer = Packetizer::new(SenderConfig { ssrc: 9, ..SenderConfig::new(Codec::Pcmu) }).unwrap();
    let mut datagram = Vec::new();
    packetizer.audio(&voice(20), &mut datagram).unwrap();
    socket.send_to(&datagram, receiver.address).await.unwrap();
    let mut report = [0; 100];
    let (length, from) = rtcp.recv_from(&mut report).await.unwrap();
    assert_eq!((length, from.port()), (48, receiver.address.port() + 1));
    assert_eq!((report[1], &report[8..12]), (201, &9_u32.to_be_bytes()[..]));
    receiver.stop().await;
}

#[tokio::test]
async fn a_leg_that_is_dropped_closes_its_taps() {
    let receiver = Receiver::start(patient()).await;
    drop(receiver.leg);
    let (mut speech, mut events) = (receiver.speech, receiver.events);
    // The channel closes when the task is gone.
    assert_eq!(events.recv().await, None);
    while speech.pop().is_some() {}
    assert!(speech.is_finished());
}

/// On one thread the leg's task has not run when it is stopped: it must not wait for an order it has seen.
#[tokio::test(flavor = "current_thread")]
async fn a_leg_stopped_before_it_began_to_run_stops() {
    let receiver = Receiver::start(LegConfig::default()).await;
    let stopped = tokio::time::timeout(Duration::from_secs(10), receiver.leg.stop()).await;
    assert_eq!(stopped.unwrap().packets, 0);
}
