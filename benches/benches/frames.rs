//! What one packet and one frame cost, part by part.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use sotto_audio::{
    Codec, Decoder, FRAME_SAMPLES, Frame, MAX_PACKET_SAMPLES, PITCH_SAMPLES, Upsampler, pitch, ring,
};
use sotto_media::rtp::HEADER;
use sotto_media::session::Session;
use sotto_media::{LegConfig, LegFormat, Packetizer, SenderConfig};

const FRAME: Duration = Duration::from_millis(20);

fn datagrams(codec: Codec) -> Vec<Vec<u8>> {
    let speech: Vec<f32> = (0..FRAME_SAMPLES * 50).map(|n| (n as f32 * 0.1).sin() * 0.3).collect();
    let Ok(mut packetizer) = Packetizer::new(SenderConfig::new(codec)) else { return Vec::new() };
    let mut packet = |samples: &[f32]| {
        let mut datagram = Vec::new();
        packetizer.audio(samples, &mut datagram).map(|()| datagram)
    };
    speech.chunks_exact(FRAME_SAMPLES).map_while(|samples| packet(samples).ok()).collect()
}

fn frames(criterion: &mut Criterion) {
    for codec in [Codec::Pcmu, Codec::Opus] {
        let mut packets = datagrams(codec);
        let Ok(mut decoder) = Decoder::new(&[codec]) else { return };
        let mut samples = vec![0.0; MAX_PACKET_SAMPLES];
        criterion.bench_function(&format!("decode {}", codec.name()), |bencher| {
            let mut next = packets.iter().cycle();
            bencher.iter(|| next.next().map(|packet| decoder.decode(codec, &packet[HEADER..], &mut samples)));
        });

        let from = SocketAddr::from(([127, 0, 0, 1], 4_000));
        let payload_type = SenderConfig::new(codec).payload_type;
        let format = LegFormat {
            payloads: vec![(payload_type, codec)],
            telephone_event: None,
            ptime_ms: None,
            srtp: None,
        };
        let Ok(mut session) = Session::new(format, None, LegConfig::default(), 1, Duration::ZERO) else {
            return;
        };
        let mut n = 0_u32;
        criterion.bench_function(&format!("packet to frame {}", codec.name()), |bencher| {
            bencher.iter(|| {
                let at = n as usize % packets.len();
                let datagram = &mut packets[at];
                datagram[2..4].copy_from_slice(&(n as u16).to_be_bytes());
                let timestamp = n.wrapping_mul(codec.clock_rate() / 50);
                datagram[4..8].copy_from_slice(&timestamp.to_be_bytes());
                session.rtp(datagram, from, FRAME * n);
                let frame = session.frame(FRAME * n);
                n += 1;
                frame
            });
        });
    }

    let narrow = [0.1; FRAME_SAMPLES / 2];
    let mut wide = [0.0; FRAME_SAMPLES];
    let mut upsampler = Upsampler::default();
    criterion.bench_function("8 to 16 kHz", |bencher| {
        bencher.iter(|| upsampler.process(black_box(&narrow), &mut wide));
    });

    // What listening to a customer's voice costs beside voice activity, 31 times a second while they speak.
    let voiced: Vec<f32> = (0..PITCH_SAMPLES).map(|n| (n as f32 * 0.05).sin() * 0.3).collect();
    criterion.bench_function("pitch of 32 ms", |bencher| bencher.iter(|| pitch(black_box(&voiced))));

    let (mut writer, mut reader) = ring(1_000);
    criterion.bench_function("through the ring", |bencher| {
        bencher.iter(|| {
            writer.push(black_box(Frame::silence(0)));
            reader.pop()
        });
    });
}

criterion_group!(benches, frames);
criterion_main!(benches);
