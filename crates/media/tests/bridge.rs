//! Who hears whom, by tones: legs on loopback, each with a voice of its own pitch.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sotto_audio::{Codec, Decoder, MAX_PACKET_SAMPLES, Reader, Tone, ring};
use sotto_call::Party;
use sotto_media::rtp::Header;
use sotto_media::{
    Bridge, CallClock, Leg, LegConfig, LegFormat, LegOutputs, MemberId, Packetizer, Ports, Recorder, Role,
    SenderConfig,
};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// The payload type of telephone events.
const KEYS: u8 = 101;

/// A person at the other end of a leg.
struct Person {
    id: MemberId,
    leg: Leg,
    socket: UdpSocket,
    codec: Codec,
    hz: f32,
    recorded: Reader,
}

/// What somebody heard.
#[derive(Default)]
struct Heard {
    samples: Vec<f32>,
    packets: Vec<Header>,
    /// Codes of telephone events.
    keys: Vec<u8>,
}

impl Person {
    async fn join(bridge: &Bridge, ports: &Ports, role: Role, codec: Codec, hz: f32) -> Self {
        Self::join_at(bridge, ports, role, codec, hz, CallClock::start()).await
    }

    async fn join_at(
        bridge: &Bridge,
        ports: &Ports,
        role: Role,
        codec: Codec,
        hz: f32,
        clock: CallClock,
    ) -> Self {
        let socket = ports.reserve().await.unwrap();
        let to = SocketAddr::new(HERE, socket.port());
        let (id, end) = bridge.join(role);
        let (recording, recorded) = ring(20_000);
        let outputs = LegOutputs { speech: ring(20).0, recording, bridge: Some(end) };
        let number = SenderConfig::new(codec).payload_type;
        let telephone_event = Some((KEYS, 8_000));
        let format =
            LegFormat { payloads: vec![(number, codec)], telephone_event, ptime_ms: None, srtp: None };
        let (events, _) = mpsc::channel(1);
        let leg = Leg::start(socket, format, None, clock, outputs, events, LegConfig::default());
        let socket = UdpSocket::bind((HERE, 0)).await.unwrap();
        socket.connect(to).await.unwrap();
        Self { id, leg, socket, codec, hz, recorded }
    }

    /// Speaks for a while, and listens.
    async fn talk(&self, time: Duration) -> Heard {
        // Whoever begins to talk again is another source: the numbers begin anew.
        static TALKS: AtomicU32 = AtomicU32::new(1);
        let ssrc = TALKS.fetch_add(1, Ordering::Relaxed);
        let config = SenderConfig { ssrc, ..SenderConfig::new(self.codec) };
        let mut packetizer = Packetizer::new(config).unwrap();
        let speaking = async {
            let begun = Instant::now();
            for n in 0..(time.as_millis() / 20) as u32 {
                let samples: Vec<f32> = (0..320)
                    .map(|i| (n as f32 * 320.0 + i as f32) * self.hz * std::f32::consts::TAU / 16_000.0)
                    .map(|phase| 0.2 * phase.sin())
                    .collect();
                let mut datagram = Vec::new();
                packetizer.audio(&samples, &mut datagram).unwrap();
                self.socket.send(&datagram).await.unwrap();
                sleep_until(begun + Duration::from_millis(20) * (n + 1)).await;
            }
        };
        let mut heard = Heard::default();
        let listening = async {
            let mut decoder = Decoder::new(&[self.codec]).unwrap();
            let (mut packet, mut samples) = ([0; 1_500], [0.0; MAX_PACKET_SAMPLES]);
            while let Ok(length) = self.socket.recv(&mut packet).await {
                let Ok((header, payload)) = Header::parse(&packet[..length]) else { continue };
                if header.payload_type >= 72 && header.payload_type < 96 {
                    continue;
                }
                if header.payload_type == KEYS {
                    heard.keys.push(payload[0]);
                    continue;
                }
                let count = decoder.decode(self.codec, payload, &mut samples).unwrap();
                heard.samples.extend(&samples[..count]);
                heard.packets.push(header);
            }
        };
        let _ = timeout(time + Duration::from_millis(200), async { tokio::join!(speaking, listening) }).await;
        heard
    }

    /// Presses a key for 100 ms, all at once.
    async fn press(&self, code: u8) {
        let config = SenderConfig { ssrc: 4_711, telephone_event: KEYS, ..SenderConfig::new(self.codec) };
        let mut packetizer = Packetizer::new(config).unwrap();
        let began = packetizer.timestamp();
        for n in 1..=5 {
            packetizer.pause(320);
            let mut datagram = Vec::new();
            packetizer.event(code, began, n > 3, &mut datagram);
            self.socket.send(&datagram).await.unwrap();
        }
    }
}

/// How much of a pitch there is, 0.2 for a voice: in the middle one of pieces of 10 ms, which know pitches to 100 Hz. On
/// a busy machine legs play a little faster or slower for a while, and higher or lower.
fn amount(samples: &[f32], hz: f32) -> f32 {
    // The second half: the first has the change of wires in it.
    let pieces = samples[samples.len() / 2..].chunks_exact(160);
    let mut amounts: Vec<f32> = pieces
        .map(|piece| {
            let phase = |n: usize| n as f32 * hz * std::f32::consts::TAU / 16_000.0;
            let (sin, cos) = piece.iter().enumerate().fold((0.0, 0.0), |(sin, cos), (n, sample)| {
                (sin + sample * phase(n).sin(), cos + sample * phase(n).cos())
            });
            2.0 * f32::hypot(sin, cos) / piece.len() as f32
        })
        .collect();
    amounts.sort_by(f32::total_cmp);
    amounts.get(amounts.len() / 2).copied().unwrap_or(0.0)
}

/// Which of these voices somebody heard.
fn voices(heard: &Heard, pitches: &[f32]) -> Vec<bool> {
    pitches.iter().map(|hz| amount(&heard.samples, *hz) > 0.1).collect()
}

async fn ports(first: u16) -> Ports {
    Ports::new(HERE, first..=first + 19)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_supervisors_are_heard_by_whom_they_should_be() {
    let (bridge, ports) = (Bridge::default(), ports(36_000).await);
    let pitches = [400.0, 700.0, 1_000.0, 1_300.0, 1_600.0];
    let roles = [Role::Agent, Role::Customer, Role::Listener, Role::Whisperer, Role::Barger];
    // Codecs that keep the wave: those that model speech do as they like with several pure tones.
    let codecs = [Codec::Pcmu, Codec::Pcma, Codec::Pcmu, Codec::Pcma, Codec::Pcmu];
    let mut people = Vec::new();
    for ((role, codec), hz) in roles.into_iter().zip(codecs).zip(pitches) {
        people.push(Person::join(&bridge, &ports, role, codec, hz).await);
    }
    let time = Duration::from_secs(2);
    let [a, c, l, w, b] = &people[..] else { panic!() };
    let (a, c, l, w, b) = tokio::join!(a.talk(time), c.talk(time), l.talk(time), w.talk(time), b.talk(time));
    assert_eq!(voices(&a, &pitches), [false, true, false, true, true], "the agent");
    assert_eq!(voices(&c, &pitches), [true, false, false, false, true], "the customer");
    assert_eq!(voices(&l, &pitches), [true, true, false, true, true], "who listens");
    assert_eq!(voices(&w, &pitches), [true, true, false, false, true], "who whispers");
    assert_eq!(voices(&b, &pitches), [true, true, false, true, false], "who barges in");
    // Each is recorded with their own voice alone, and who only listens not at all.
    for (n, person) in people.iter_mut().enumerate() {
        let samples = std::iter::from_fn(|| person.recorded.pop()).flat_map(|f| f.samples).collect();
        let own = Heard { samples, ..Heard::default() };
        assert_eq!(voices(&own, &pitches), [0, 1, 2, 3, 4].map(|m| m == n && m != 2), "recording {n}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_supervisors_say_is_a_third_channel_while_somebody_can_hear_them() {
    let (bridge, ports) = (Bridge::default(), ports(36_300).await);
    let folder = tempfile::tempdir().unwrap();
    let [both, third] = ["call.wav", "call.supervisors.wav"].map(|name| folder.path().join(name));
    let pitches = [400.0, 700.0, 1_000.0, 1_300.0];
    let roles = [Role::Agent, Role::Customer, Role::Listener, Role::Whisperer];
    let clock = CallClock::start();
    let mut people = Vec::new();
    for (role, hz) in roles.into_iter().zip(pitches) {
        people.push(Person::join_at(&bridge, &ports, role, Codec::Pcmu, hz, clock).await);
    }
    let (recorder, supervisors) = (Recorder::start(both.clone(), []), Recorder::start_mixed(third.clone()));
    let parties = [Party::Agent, Party::Customer, Party::Other, Party::Other];
    for (n, (person, party)) in people.iter_mut().zip(parties).enumerate() {
        let reader = std::mem::replace(&mut person.recorded, ring(20).1);
        if n < 2 { &recorder } else { &supervisors }.add(party, reader);
    }
    let time = Duration::from_millis(800);
    let all = async |people: &[Person]| {
        let [a, c, l, w] = people else { panic!() };
        tokio::join!(a.talk(time), c.talk(time), l.talk(time), w.talk(time));
        clock.elapsed()
    };
    let first = all(&people).await;
    bridge.set_role(people[2].id, Role::Barger);
    let second = all(&people).await;
    bridge.set_role(people[2].id, Role::Listener);
    bridge.set_role(people[3].id, Role::Listener);
    let last = all(&people).await;
    for person in people {
        person.leg.stop().await;
    }
    assert_eq!((recorder.finish().await.errors, supervisors.finish().await.errors), (0, 0));
    // Which voices there are shortly before a time.
    let voices_before = |path: &std::path::Path, channel: usize, at: Duration| {
        let mut reader = hound::WavReader::open(path).unwrap();
        let count = usize::from(reader.spec().channels);
        let samples: Vec<f32> =
            reader.samples::<i16>().map(|sample| f32::from(sample.unwrap()) / 32_768.0).collect();
        let channel: Vec<f32> = samples.chunks(count).map(|frame| frame[channel]).collect();
        let end = (at.as_millis() as usize - 300) * 16;
        let piece = channel.get(end.saturating_sub(6_400)..end).unwrap_or_default().to_vec();
        voices(&Heard { samples: piece, packets: Vec::new(), keys: Vec::new() }, &pitches)
    };
    for at in [first, second, last] {
        assert_eq!(voices_before(&both, 0, at), [true, false, false, false], "the agent's channel");
        assert_eq!(voices_before(&both, 1, at), [false, true, false, false], "the customer's channel");
    }
    assert_eq!(hound::WavReader::open(&third).unwrap().spec().channels, 1);
    assert_eq!(voices_before(&third, 0, first), [false, false, false, true], "a whisper");
    assert_eq!(voices_before(&third, 0, second), [false, false, true, true], "and who barges in");
    assert_eq!(voices_before(&third, 0, last), [false; 4], "nobody hears them any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_stream_goes_on_through_hold_and_back() {
    let (bridge, ports) = (Bridge::default(), ports(36_100).await);
    let agent = Person::join(&bridge, &ports, Role::Agent, Codec::Pcmu, 400.0).await;
    let customer = Person::join(&bridge, &ports, Role::Customer, Codec::Pcmu, 700.0).await;
    let (time, id) = (Duration::from_millis(600), customer.id);
    let changes = async {
        let begun = Instant::now();
        sleep_until(begun + time).await;
        bridge.hold(id, Some(Tone::Music));
        sleep_until(begun + 2 * time).await;
        bridge.hold(id, None);
    };
    let (agent, customer, ()) = tokio::join!(agent.talk(3 * time), customer.talk(3 * time), changes);
    let sources: Vec<u32> = customer.packets.iter().map(|header| header.ssrc).collect();
    assert!(sources.windows(2).all(|pair| pair[0] == pair[1]), "one source");
    let steps = customer.packets.windows(2).map(|p| p[1].sequence.wrapping_sub(p[0].sequence));
    assert!(steps.clone().all(|step| step == 1), "no gap: {:?}", steps.collect::<Vec<_>>());
    let ticks = customer.packets.windows(2).map(|p| p[1].timestamp.wrapping_sub(p[0].timestamp));
    assert!(ticks.clone().all(|tick| (80..=480).contains(&tick)), "{:?}", ticks.collect::<Vec<_>>());
    // While the customer hears music, the agent hears nothing of the customer.
    let third = customer.samples.len() / 3;
    assert!(amount(&customer.samples[..third], 400.0) > 0.1);
    assert!(amount(&customer.samples[third..2 * third], 400.0) < 0.05);
    assert!(agent.packets.len() < customer.packets.len() * 5 / 6, "{}", agent.packets.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_reach_the_far_end_while_a_supervisor_barges_in() {
    let (bridge, ports) = (Bridge::default(), ports(36_500).await);
    let agent = Person::join(&bridge, &ports, Role::Agent, Codec::Pcmu, 400.0).await;
    let customer = Person::join(&bridge, &ports, Role::Customer, Codec::Pcma, 700.0).await;
    let supervisor = Person::join(&bridge, &ports, Role::Barger, Codec::Pcmu, 1_000.0).await;
    let time = Duration::from_secs(1);
    let presses = async {
        sleep_until(Instant::now() + time / 2).await;
        agent.press(5).await;
    };
    let (a, c, s, ()) = tokio::join!(agent.talk(time), customer.talk(time), supervisor.talk(time), presses);
    assert_eq!((a.keys, c.keys, s.keys), (vec![], vec![5; 5], vec![5; 5]));
    // The sound goes on, in the same stream.
    let ticks = c.packets.windows(2).map(|p| p[1].timestamp.wrapping_sub(p[0].timestamp));
    assert!(ticks.clone().all(|tick| (80..=480).contains(&tick)), "{:?}", ticks.collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_signalling_tells_reach_the_far_end_alone_and_in_a_mix() {
    let (bridge, ports) = (Bridge::default(), ports(36_700).await);
    let agent = Person::join(&bridge, &ports, Role::Agent, Codec::Pcma, 400.0).await;
    let customer = Person::join(&bridge, &ports, Role::Customer, Codec::Pcmu, 700.0).await;
    let time = Duration::from_secs(1);
    let press = async || {
        sleep_until(Instant::now() + time / 4).await;
        for digit in ['5', 'x', '#'] {
            customer.leg.press(digit, 60);
        }
    };
    // Three packets of what is held, of which the last is the end, and that twice more.
    let wanted = [vec![5; 5], vec![11; 5]].concat();
    let (a, c, ()) = tokio::join!(agent.talk(time), customer.talk(time), press());
    assert_eq!((a.keys, c.keys), (wanted.clone(), vec![]));
    let ticks = a.packets.windows(2).map(|p| p[1].timestamp.wrapping_sub(p[0].timestamp));
    assert!(ticks.clone().all(|tick| (80..=480).contains(&tick)), "{:?}", ticks.collect::<Vec<_>>());
    let supervisor = Person::join(&bridge, &ports, Role::Barger, Codec::Pcmu, 1_000.0).await;
    let (a, s, ()) = tokio::join!(agent.talk(time), supervisor.talk(time), press());
    assert_eq!((a.keys, s.keys), (wanted.clone(), wanted));
    // Who is on hold is heard by nobody.
    bridge.leave(supervisor.id);
    bridge.hold(customer.id, Some(Tone::Music));
    let (a, ()) = tokio::join!(agent.talk(time), press());
    assert!(a.keys.is_empty(), "{:?}", a.keys);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_agreed_to_take_nothing_is_sent_nothing_until_it_takes_something_again() {
    let (bridge, ports) = (Bridge::default(), ports(36_600).await);
    let agent = Person::join(&bridge, &ports, Role::Agent, Codec::Pcmu, 400.0).await;
    let customer = Person::join(&bridge, &ports, Role::Customer, Codec::Pcmu, 700.0).await;
    let time = Duration::from_millis(600);
    let (_, before) = tokio::join!(agent.talk(time), customer.talk(time));
    customer.leg.mute(true);
    let (_, held) = tokio::join!(agent.talk(time), customer.talk(time));
    // What was said when it was agreed on may still come.
    assert!(held.packets.len() <= 2, "{}", held.packets.len());
    customer.leg.mute(false);
    let (_, after) = tokio::join!(agent.talk(time), customer.talk(time));
    assert_eq!(voices(&after, &[400.0]), [true]);
    let (last, next) = (held.packets.last().or(before.packets.last()).unwrap(), &after.packets[0]);
    assert_eq!((next.ssrc, next.sequence), (last.ssrc, last.sequence.wrapping_add(1)), "a pause, no loss");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_announcement_is_heard_with_the_voice_and_leaves_no_gap() {
    let (bridge, ports) = (Bridge::default(), ports(36_400).await);
    let agent = Person::join(&bridge, &ports, Role::Agent, Codec::Pcmu, 400.0).await;
    let customer = Person::join(&bridge, &ports, Role::Customer, Codec::Pcmu, 1_600.0).await;
    let time = Duration::from_secs(2);
    let announce = async |tone| {
        sleep_until(Instant::now() + time / 2).await;
        bridge.announce(tone, |role| role == Role::Agent);
    };
    let (a, c, ()) = tokio::join!(agent.talk(time), customer.talk(time), announce(Tone::Arrival));
    // Where in what somebody heard there is a pitch, in pieces of 20 ms.
    let places = |heard: &Heard, hz: f32, least: f32| -> Vec<usize> {
        let pieces = heard.samples.chunks_exact(320).enumerate();
        pieces.filter(|(_, piece)| amount(piece, hz) > least).map(|(place, _)| place).collect()
    };
    for heard in [&a, &c] {
        let steps = heard.packets.windows(2).map(|p| p[1].sequence.wrapping_sub(p[0].sequence));
        assert!(steps.clone().all(|step| step == 1), "{:?}", steps.collect::<Vec<_>>());
        let ticks = heard.packets.windows(2).map(|p| p[1].timestamp.wrapping_sub(p[0].timestamp));
        assert!(ticks.clone().all(|tick| tick == 160), "{:?}", ticks.collect::<Vec<_>>());
    }
    let voice = places(&a, 1_600.0, 0.1);
    assert!(voice.len() > 90 && voice.windows(2).all(|pair| pair[1] == pair[0] + 1), "{voice:?}");
    let (low, high) = (places(&a, 700.0, 0.07), places(&a, 1_050.0, 0.07));
    assert!((8..=12).contains(&low.len()) && (8..=12).contains(&high.len()), "{low:?} {high:?}");
    assert!(low[low.len() / 2] < high[high.len() / 2], "upwards");
    assert_eq!((places(&c, 700.0, 0.05), places(&c, 1_050.0, 0.05)), (vec![], vec![]), "for the agent alone");

    // Nor does it wait for somebody to speak.
    let (a, ()) = tokio::join!(agent.talk(time), announce(Tone::Departure));
    let (low, high) = (places(&a, 700.0, 0.07), places(&a, 1_050.0, 0.07));
    assert!((8..=12).contains(&low.len()) && (8..=12).contains(&high.len()), "{low:?} {high:?}");
    assert!(high[high.len() / 2] < low[low.len() / 2], "downwards");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_is_silent_and_the_others_talk_on() {
    let (bridge, ports) = (Bridge::default(), ports(36_200).await);
    let agent = Person::join(&bridge, &ports, Role::Agent, Codec::G722, 400.0).await;
    let customer = Person::join(&bridge, &ports, Role::Customer, Codec::Pcma, 700.0).await;
    let supervisor = Person::join(&bridge, &ports, Role::Barger, Codec::Opus, 1_000.0).await;
    let time = Duration::from_millis(600);
    tokio::join!(agent.talk(time), customer.talk(time), supervisor.talk(time));
    bridge.leave(supervisor.id);
    supervisor.leg.stop().await;
    let (agent, customer) = tokio::join!(agent.talk(2 * time), customer.talk(2 * time));
    assert_eq!(voices(&agent, &[400.0, 700.0, 1_000.0]), [false, true, false]);
    assert_eq!(voices(&customer, &[400.0, 700.0, 1_000.0]), [true, false, false]);
}
