//! What the process counts of all legs and recordings; this test has a process for itself.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use sotto_audio::{Codec, Frame, ring};
use sotto_call::Party;
use sotto_media::{CallClock, Leg, LegConfig, LegFormat, LegOutputs, Ports, Recorder, Totals};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn until(is_so: impl Fn(&Totals) -> bool) {
    let waited = async {
        while !is_so(&Totals::now()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waited).await.unwrap();
}

#[tokio::test]
async fn what_is_missing_counts_while_it_goes_on_and_once() {
    assert_eq!(Totals::now(), Totals::default());
    let socket = Ports::new(HERE, 36_000..=37_999).reserve().await.unwrap();
    let to = socket.local_addr();
    let format =
        LegFormat { payloads: vec![(0, Codec::Pcmu)], telephone_event: None, ptime_ms: Some(20), srtp: None };
    let outputs = LegOutputs { speech: ring(1_000).0, recording: ring(1_000).0, bridge: None };
    let (events, _heard) = mpsc::channel(8);
    let leg = Leg::start(socket, format, None, CallClock::start(), outputs, events, LegConfig::default());
    let sender = UdpSocket::bind((HERE, 0)).await.unwrap();
    for _ in 0..5 {
        sender.send_to(b"no RTP", to).await.unwrap();
    }
    until(|totals| totals.discarded == 5).await;

    let (mut agent, reader) = ring(1_000);
    (0..10).for_each(|index| agent.push(Frame::silence(index)));
    let recorder = Recorder::start(PathBuf::from("/dev/null/call.wav"), [(Party::Agent, reader)]);
    until(|totals| totals.recording_errors > 0).await;

    leg.stop().await;
    let info = recorder.finish().await;
    let counted = Totals {
        discarded: 5,
        recording_dropped_ms: 200,
        recording_errors: info.errors,
        ..Totals::default()
    };
    assert_eq!((Totals::now(), info.dropped_ms), (counted, 200));
}
