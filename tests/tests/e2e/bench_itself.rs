use std::net::UdpSocket;
use std::time::Duration;

use sotto_tests::audio::Audio;
use sotto_tests::sipp::Sipp;

/// Answers one call over UDP and gives back how many RTP packets came to (p, p + 2), and their payload types.
fn answer_one_call(sip: &UdpSocket, media: [&UdpSocket; 2]) -> [(usize, u8); 2] {
    let mut buffer = [0; 65_536];
    let mut offered = Vec::new();
    loop {
        let (length, peer) = sip.recv_from(&mut buffer).unwrap();
        let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let header = |name: &str| {
            let line = head.lines().find(|l| l.to_lowercase().starts_with(name)).unwrap_or_default();
            line.to_owned()
        };
        let method = head.split(' ').next().unwrap().to_owned();
        let answer = |sdp: &str| {
            let to = if header("to:").contains("tag=") {
                header("to:")
            } else {
                format!("{};tag=uas", header("to:"))
            };
            let contact = format!("Contact: <sip:{}>", sip.local_addr().unwrap());
            let kind = if sdp.is_empty() { "" } else { "\r\nContent-Type: application/sdp" };
            let head = [header("via:"), header("from:"), to, header("call-id:"), header("cseq:"), contact]
                .join("\r\n");
            format!("SIP/2.0 200 OK\r\n{head}{kind}\r\nContent-Length: {}\r\n\r\n{sdp}", sdp.len())
        };
        match method.as_str() {
            "INVITE" => {
                assert!(body.contains("a=label:1") && body.contains("a=label:2"), "{body}");
                assert!(body.contains("urn:ietf:params:xml:ns:recording:1"), "{body}");
                let ports =
                    body.lines().filter_map(|l| l.strip_prefix("m=audio ")?.split(' ').next()?.parse().ok());
                offered = ports.collect::<Vec<u16>>();
                let line = |socket: &UdpSocket, label: u8, kind: u8| {
                    let port = socket.local_addr().unwrap().port();
                    format!("m=audio {port} RTP/AVP {kind}\r\na=recvonly\r\na=label:{label}\r\n")
                };
                let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
                    .to_owned()
                    + &line(media[0], 1, 0)
                    + &line(media[1], 2, 8);
                sip.send_to(answer(&sdp).as_bytes(), peer).unwrap();
            }
            "BYE" => {
                sip.send_to(answer("").as_bytes(), peer).unwrap();
                assert_eq!(offered.len(), 2);
                let mut offered = offered.into_iter();
                return media.map(|socket| {
                    let source = offered.next();
                    socket.set_nonblocking(true).unwrap();
                    let mut packet = [0; 2048];
                    let mut count = 0;
                    let mut kind = 0;
                    while let Ok((length, from)) = socket.recv_from(&mut packet) {
                        assert_eq!(Some(from.port()), source, "sent from the port that was offered");
                        assert_eq!(length, 172);
                        kind = packet[1] & 0x7f;
                        count += 1;
                    }
                    (count, kind)
                });
            }
            _ => {}
        }
    }
}

#[test]
fn sipp_plays_both_streams_to_neighbouring_ports() {
    let local = |port| UdpSocket::bind(("127.0.0.1", port));
    let (first, second) = (0..500)
        .find_map(|_| {
            let first = local(0).ok()?;
            let second = local(first.local_addr().ok()?.port().checked_add(2)?).ok()?;
            Some((first, second))
        })
        .expect("two neighbouring ports");
    let sip = local(0).unwrap();
    sip.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let audio = Audio { rate: 8000, channels: vec![vec![100; 8000], vec![-100; 8000]] };
    let call = Sipp::siprec(sip.local_addr().unwrap()).call(&audio).unwrap();
    let heard = answer_one_call(&sip, [&first, &second]);
    call.finish().unwrap();
    for ((packets, kind), expected) in heard.into_iter().zip([0, 8]) {
        assert!((49..=51).contains(&packets), "{packets} packets of a second of audio");
        assert_eq!(kind, expected);
    }
}
