//! Offer and answer (RFC 3264) for a side that listens, and may talk: which of the offered streams we take, in which
//! codec, encrypted or not, and the description that says so.
//!
//! Streams are encrypted when they are offered so (RFC 4568): the first key whose suite we have is taken up and
//! answered with one of ours. Keys travel in the description, so they are as safe as the signalling is.

use std::net::{IpAddr, SocketAddr};

use sotto_audio::Codec;
use sotto_media::{MasterKey, SrtpKeys};

use crate::sdp::{Crypto, Direction, Format, Media, Origin, Session};

/// What an accepted media section was agreed to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Position of its section in the description, from 0.
    pub section: usize,
    /// The codec we ask for.
    pub codec: Codec,
    /// Every payload type of the offer that can be decoded: senders are known to change codec without
    /// saying so.
    pub payloads: Vec<(u8, Codec)>,
    /// The payload type of RFC 4733 events.
    pub telephone_event: Option<(u8, u32)>,
    /// Milliseconds a packet, when the sender says.
    pub ptime_ms: Option<u32>,
    /// Where the sender says it receives: where RTCP goes, and a hint of where RTP comes from.
    pub remote: Option<SocketAddr>,
    /// RFC 4574.
    pub label: Option<String>,
    /// What the sender offered.
    pub direction: Direction,
    /// We send as well, instead of only listening.
    pub talks: bool,
    /// Recording of this stream is paused: the sender sends nothing for now, or says that nothing may be kept.
    pub paused: bool,
    /// How it is encrypted, if it is.
    pub security: Option<Security>,
}

/// The keys of an encrypted stream (RFC 4568).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Security {
    /// Names the line of the offer that was taken up.
    pub tag: u32,
    /// One key a direction.
    pub keys: SrtpKeys,
}

impl Security {
    /// Takes up the first key that is offered, with a fresh one of ours.
    fn answering(offered: &Media) -> Option<Self> {
        let Crypto { tag, key } = offered.crypto.first()?.clone();
        let ours = MasterKey::fresh(key.suite()).ok()?;
        Some(Self { tag, keys: SrtpKeys { ours, theirs: key } })
    }

    /// What an answer has taken up of the keys that we offered.
    fn answered(offered: &Media, answer: &Media) -> Option<Self> {
        let Crypto { tag, key } = answer.crypto.first()?.clone();
        let ours = offered.crypto.iter().find(|ours| ours.tag == tag)?.key.clone();
        (ours.suite() == key.suite()).then_some(Self { tag, keys: SrtpKeys { ours, theirs: key } })
    }
}

impl Stream {
    /// What was agreed on anew, for a stream that goes on: it talks if it did, and our key stays. What has been
    /// encrypted with it is counted (RFC 3711 section 3.3.1), and the peer need not follow.
    #[must_use]
    pub fn going_on_from(mut self, before: &Self) -> Self {
        self.talks = before.talks;
        if let (Some(now), Some(before)) = (&mut self.security, &before.security)
            && now.keys.ours.suite() == before.keys.ours.suite()
        {
            now.keys.ours = before.keys.ours.clone();
        }
        self
    }
}

/// The streams of an offer we can take, at most `limit`. Sections that are switched off, are not voice over
/// RTP, plain or with keys we can use, or have none of our codecs are left out.
#[must_use]
pub fn accept(offer: &Session, codecs: &[Codec], limit: usize) -> Vec<Stream> {
    let usable = offer.media.iter().enumerate().filter_map(|(section, media)| stream(section, media, codecs));
    usable.take(limit).collect()
}

/// Whether a section is encrypted; `None` when it is not RTP as we know it.
fn is_secure(media: &Media) -> Option<bool> {
    match media.protocol.as_str() {
        "RTP/AVP" | "RTP/AVPF" => Some(false),
        "RTP/SAVP" | "RTP/SAVPF" => Some(true),
        _ => None,
    }
}

/// The stream that a section of an offer describes, when it is one we can take. If it is encrypted, a key of
/// ours is made.
#[must_use]
pub fn stream(section: usize, media: &Media, codecs: &[Codec]) -> Option<Stream> {
    let security = if is_secure(media)? { Some(Security::answering(media)?) } else { None };
    described(section, media, codecs, security)
}

/// The stream that a section of an answer to our offer describes, when it is one we can take: encrypted just
/// when it was offered so.
#[must_use]
pub fn answered(section: usize, offer: &Session, answer: &Session, codecs: &[Codec]) -> Option<Stream> {
    let (offered, answer) = (offer.media.get(section)?, answer.media.get(section)?);
    let is_secure = is_secure(offered).filter(|secure| is_secure(answer) == Some(*secure))?;
    let security = if is_secure { Some(Security::answered(offered, answer)?) } else { None };
    described(section, answer, codecs, security)
}

fn described(section: usize, media: &Media, codecs: &[Codec], security: Option<Security>) -> Option<Stream> {
    if media.kind != "audio" || media.port == 0 {
        return None;
    }
    let mut payloads: Vec<(u8, Codec)> =
        media.formats.iter().filter_map(|format| Some((format.payload_type, codec_of(format)?))).collect();
    payloads.retain(|(_, codec)| codecs.contains(codec));
    // Our order counts, and within a codec the sender's.
    payloads.sort_by_key(|(_, codec)| codecs.iter().position(|c| c == codec));
    let (_, codec) = *payloads.first()?;
    // How hold was said before there were directions (RFC 3264 section 8.4), and still is.
    let is_nowhere = media.address.is_some_and(|address| address.is_unspecified());
    let direction = if is_nowhere { media.direction.without_receiving() } else { media.direction };
    Some(Stream {
        section,
        codec,
        telephone_event: telephone_event(media, codec),
        payloads,
        ptime_ms: media.ptime_ms,
        remote: media.remote(),
        label: media.label.clone(),
        direction,
        talks: false,
        paused: !direction.sends() || media.record_paused,
        security,
    })
}

fn codec_of(format: &Format) -> Option<Codec> {
    let codec = Codec::by_name(&format.encoding)?;
    (format.clock == codec.clock_rate() && (format.channels == 1 || codec == Codec::Opus)).then_some(codec)
}

/// The event payload type on the codec's clock, or else any: senders forget which one goes with which.
fn telephone_event(media: &Media, codec: Codec) -> Option<(u8, u32)> {
    let clock = codec.clock_rate();
    let events = || media.formats.iter().filter(|f| f.encoding.eq_ignore_ascii_case("telephone-event"));
    let event = events().find(|format| format.clock == clock).or_else(|| events().next());
    event.map(|format| (format.payload_type, format.clock))
}

/// Our answer to `offer`: the `taken` sections received on their ports, all others refused with port 0.
#[must_use]
pub fn answer(offer: &Session, origin: Origin, taken: &[(Stream, u16)]) -> Session {
    let media = offer.media.iter().enumerate().map(|(section, offered)| {
        match taken.iter().find(|(stream, _)| stream.section == section) {
            Some((stream, port)) => take(offered, stream, *port, origin.address),
            None => refuse(offered),
        }
    });
    Session { origin, media: media.collect() }
}

fn take(offered: &Media, stream: &Stream, port: u16, address: IpAddr) -> Media {
    let agreed = stream.payloads.first().map(|(payload_type, _)| *payload_type);
    let events = stream.telephone_event.map(|(payload_type, _)| payload_type);
    let crypto = |security: &Security| Crypto { tag: security.tag, key: security.keys.ours.clone() };
    let wanted =
        |format: &&Format| Some(format.payload_type) == agreed || Some(format.payload_type) == events;
    let mut formats: Vec<Format> = offered.formats.iter().filter(wanted).cloned().collect();
    formats.sort_by_key(|format| Some(format.payload_type) != agreed);
    for format in &mut formats {
        format.fmtp = match () {
            () if Some(format.payload_type) == events => Some("0-16".to_owned()),
            () if stream.codec == Codec::Opus => Some("useinbandfec=1".to_owned()),
            () => None,
        };
    }
    Media {
        kind: offered.kind.clone(),
        port,
        protocol: offered.protocol.clone(),
        formats,
        address: Some(address),
        direction: match offered.direction {
            Direction::SendRecv if stream.talks => Direction::SendRecv,
            Direction::RecvOnly if stream.talks => Direction::SendOnly,
            Direction::SendRecv | Direction::SendOnly => Direction::RecvOnly,
            Direction::RecvOnly | Direction::Inactive => Direction::Inactive,
        },
        label: offered.label.clone(),
        ptime_ms: offered.ptime_ms,
        crypto: stream.security.iter().map(crypto).collect(),
        // We bind RTP and RTCP apart, so multiplexing is not taken up.
        ..Media::default()
    }
}

fn refuse(offered: &Media) -> Media {
    Media {
        kind: offered.kind.clone(),
        protocol: offered.protocol.clone(),
        formats: offered.formats.first().map(|f| Format { fmtp: None, ..f.clone() }).into_iter().collect(),
        other_format: offered.other_format.clone(),
        direction: Direction::Inactive,
        ..Media::default()
    }
}

/// Our offer: one voice stream, that we only receive unless we talk, encrypted with one of `keys` if there are any.
#[must_use]
pub fn offer(
    origin: Origin,
    codecs: &[Codec],
    port: u16,
    talks: bool,
    keys: Vec<MasterKey>,
) -> (Session, Stream) {
    let mut formats: Vec<Format> = codecs.iter().copied().map(Format::of_codec).collect();
    formats.push(Format { fmtp: Some("0-16".to_owned()), ..Format::new(101, "telephone-event", 8_000, 1) });
    let media = Media {
        kind: "audio".to_owned(),
        port,
        protocol: if keys.is_empty() { "RTP/AVP" } else { "RTP/SAVP" }.to_owned(),
        formats,
        address: Some(origin.address),
        crypto: (1..).zip(keys).map(|(tag, key)| Crypto { tag, key }).collect(),
        direction: if talks { Direction::SendRecv } else { Direction::RecvOnly },
        ..Media::default()
    };
    let stream = Stream {
        section: 0,
        codec: codecs.first().copied().unwrap_or(Codec::Pcmu),
        payloads: media.formats.iter().filter_map(|f| Some((f.payload_type, codec_of(f)?))).collect(),
        telephone_event: Some((101, 8_000)),
        ptime_ms: None,
        remote: None,
        label: None,
        direction: Direction::SendRecv,
        talks,
        paused: false,
        // Known from the answer on.
        security: None,
    };
    (Session { origin, media: vec![media] }, stream)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sotto_media::Suite;

    use super::*;

    const ALL: [Codec; 3] = [Codec::Opus, Codec::Pcmu, Codec::Pcma];

    fn parse(sections: &str) -> Session {
        let text =
            format!("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n{sections}");
        Session::parse(text.as_bytes()).unwrap()
    }

    fn origin() -> Origin {
        Origin { id: 7, version: 1, address: "192.0.2.9".parse().unwrap() }
    }

    #[test]
    fn our_order_decides_and_the_answer_has_one_codec_and_events_on_its_clock() {
        let offer = parse(
            "m=audio 4000 RTP/AVP 18 8 0 111 101 110\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\n\
             a=rtpmap:110 telephone-event/48000\r\na=ptime:20\r\n",
        );
        let taken = accept(&offer, &ALL, 2);
        assert_eq!(taken[0].codec, Codec::Opus);
        assert_eq!(taken[0].payloads, [(111, Codec::Opus), (0, Codec::Pcmu), (8, Codec::Pcma)]);
        assert_eq!(taken[0].telephone_event.map(|(number, _)| number), Some(110));
        let answer = answer(&offer, origin(), &[(taken[0].clone(), 5_000)]);
        let types: Vec<_> = answer.media[0].formats.iter().map(|f| f.payload_type).collect();
        assert_eq!(types, [111, 110]);
        assert_eq!((answer.media[0].port, answer.media[0].direction), (5_000, Direction::RecvOnly));
        let taken = accept(&offer, &[Codec::Pcma], 2);
        assert_eq!((taken[0].codec, taken[0].telephone_event), (Codec::Pcma, Some((101, 8_000))));
    }

    #[test]
    fn extra_switched_off_secure_and_silent_sections_are_refused_in_place() {
        let offer = parse(
            "m=video 4000 RTP/AVP 34\r\nm=audio 4002 RTP/AVP 0\r\na=label:a\r\na=sendonly\r\n\
             m=audio 0 RTP/AVP 0\r\nm=audio 4004 RTP/SAVP 0\r\nm=audio 4006 RTP/AVP 18\r\n\
             m=audio 4008 RTP/AVP 8\r\na=label:b\r\na=inactive\r\nm=audio 4010 RTP/AVP 0\r\nm=image 4012 udptl t38\r\n",
        );
        let taken = accept(&offer, &ALL, 2);
        assert_eq!(taken.iter().map(|s| (s.section, s.paused)).collect::<Vec<_>>(), [(1, false), (5, true)]);
        let ports = taken.into_iter().zip([6_000, 6_002]).collect::<Vec<_>>();
        let answer = answer(&offer, origin(), &ports);
        let got: Vec<_> =
            answer.media.iter().map(|m| (m.kind.as_str(), m.port, m.label.as_deref())).collect();
        assert_eq!(
            got,
            [
                ("video", 0, None),
                ("audio", 6_000, Some("a")),
                ("audio", 0, None),
                ("audio", 0, None),
                ("audio", 0, None),
                ("audio", 6_002, Some("b")),
                ("audio", 0, None),
                ("image", 0, None),
            ]
        );
        assert_eq!(answer.media[5].direction, Direction::Inactive);
        assert!(answer.to_string().contains("m=image 0 udptl t38\r\n"));
        assert_eq!(Session::parse(answer.to_string().as_bytes()).unwrap().media.len(), 8);
    }

    #[test]
    fn g711_at_another_clock_or_in_stereo_is_not_g711() {
        let offer =
            parse("m=audio 4000 RTP/AVP 96 97\r\na=rtpmap:96 PCMU/16000\r\na=rtpmap:97 PCMA/8000/2\r\n");
        assert_eq!(accept(&offer, &ALL, 2), []);
    }

    #[test]
    fn who_talks_answers_each_direction_with_its_opposite() {
        for (offered, listening, talking) in [
            ("sendrecv", Direction::RecvOnly, Direction::SendRecv),
            ("sendonly", Direction::RecvOnly, Direction::RecvOnly),
            ("recvonly", Direction::Inactive, Direction::SendOnly),
            ("inactive", Direction::Inactive, Direction::Inactive),
        ] {
            let offer = parse(&format!("m=audio 4000 RTP/AVP 0\r\na={offered}\r\n"));
            let stream = accept(&offer, &ALL, 1).remove(0);
            let talks = Stream { talks: true, ..stream.clone() };
            let direction = |stream| answer(&offer, origin(), &[(stream, 5_000)]).media[0].direction;
            assert_eq!((direction(stream), direction(talks)), (listening, talking), "{offered}");
        }
    }

    #[test]
    fn who_receives_nowhere_is_on_hold() {
        for (said, meant) in [("sendrecv", Direction::SendOnly), ("recvonly", Direction::Inactive)] {
            let offer = parse(&format!("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\na={said}\r\n"));
            assert_eq!(accept(&offer, &ALL, 1)[0].direction, meant, "{said}");
        }
    }

    const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

    #[test]
    fn the_first_key_we_can_use_is_taken_up_and_answered_with_ours() {
        let offer = parse(&format!(
            "m=audio 4000 RTP/SAVPF 0\r\na=crypto:1 F8_128_HMAC_SHA1_80 inline:{KEY}\r\n\
             a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4\r\n\
             a=crypto:7 AES_CM_128_HMAC_SHA1_32 inline:{KEY}|2^20\r\na=crypto:8 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n",
        ));
        let taken = accept(&offer, &ALL, 2).remove(0);
        let security = taken.security.clone().unwrap();
        assert_eq!((security.tag, security.keys.theirs.suite()), (7, Suite::AesCm32));
        assert_ne!(security.keys.ours, security.keys.theirs);
        let answer = answer(&offer, origin(), &[(taken.clone(), 5_000)]);
        let answered = Crypto { tag: 7, key: security.keys.ours };
        assert_eq!(
            (answer.media[0].protocol.as_str(), &answer.media[0].crypto),
            ("RTP/SAVPF", &vec![answered])
        );

        // Another call has another key; this one keeps its own through re-INVITEs, as long as the suite stays.
        let again = accept(&offer, &ALL, 2).remove(0);
        assert_ne!(again.security, taken.security);
        assert_eq!(again.clone().going_on_from(&taken).security, taken.security);
        let other =
            parse(&format!("m=audio 4000 RTP/SAVP 0\r\na=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n"));
        let other = accept(&other, &ALL, 2).remove(0);
        assert_eq!(other.clone().going_on_from(&taken).security, other.security);
    }

    #[test]
    fn without_a_key_we_can_use_nothing_is_taken_and_in_the_clear_keys_mean_nothing() {
        let key = format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n");
        for protocol in ["RTP/SAVP", "RTP/SAVPF"] {
            let offer = parse(&format!("m=audio 4000 {protocol} 0\r\na=crypto:1 F8 inline:{KEY}\r\n"));
            assert_eq!(accept(&offer, &ALL, 1), []);
        }
        let offer = parse(&format!("m=audio 4000 UDP/TLS/RTP/SAVPF 0\r\n{key}"));
        assert_eq!(accept(&offer, &ALL, 1), []);
        let offer = parse(&format!("m=audio 4000 RTP/AVP 0\r\n{key}"));
        let taken = accept(&offer, &ALL, 1);
        assert_eq!(taken[0].security, None);
        assert_eq!(answer(&offer, origin(), &[(taken[0].clone(), 5_000)]).media[0].crypto, []);
    }

    #[test]
    fn an_answer_must_take_up_a_key_that_was_offered() {
        let fresh = |suite| MasterKey::fresh(suite).unwrap();
        let keys = Suite::ALL.map(fresh).to_vec();
        let (ours, _) = offer(origin(), &ALL, 5_000, true, keys.clone());
        let answer = |text: &str| {
            let answer = parse(&format!("m=audio 4000 {text}\r\n"));
            answered(0, &ours, &answer, &ALL)
        };
        let line =
            |tag, suite: Suite| format!("RTP/SAVP 0\r\na=crypto:{}", Crypto { tag, key: fresh(suite) });
        for (suite, tag) in Suite::ALL.into_iter().zip(1..) {
            let security = answer(&line(tag, suite)).unwrap().security.unwrap();
            assert_eq!((security.tag, &security.keys.ours), (tag, &keys[tag as usize - 1]));
        }
        for wrong in
            [line(1, Suite::AesCm32), line(9, Suite::AesCm80), "RTP/SAVP 0".into(), "RTP/AVP 0".into()]
        {
            assert_eq!(answer(&wrong), None, "{wrong}");
        }
        let (plain, _) = offer(origin(), &ALL, 5_000, true, Vec::new());
        let secured = parse(&format!("m=audio 4000 {}\r\n", line(1, Suite::AesCm80)));
        assert_eq!(answered(0, &plain, &secured, &ALL), None);
    }

    proptest! {
        #[test]
        fn both_sides_of_any_offer_agree(
            sections in proptest::collection::vec(
                (0..5_usize, proptest::collection::vec((0..5_usize, 0..4_u32, any::<u8>()), 0..5)), 0..6,
            ),
        ) {
            let protocols = ["RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVPF"];
            let text = sections.iter().map(|(protocol, keys)| {
                let lines = keys.iter().map(|(suite, tag, seed)| match Suite::ALL.get(*suite) {
                    Some(suite) => {
                        let key = MasterKey::new(*suite, vec![*seed; suite.key_bytes()]).unwrap();
                        format!("a=crypto:{}\r\n", Crypto { tag: *tag, key })
                    }
                    None => format!("a=crypto:{tag} UNKNOWN inline:{KEY}\r\n"),
                });
                format!("m=audio 4000 {} 8 0\r\n{}", protocols[*protocol], lines.collect::<String>())
            });
            let offer = parse(&text.collect::<String>());
            let taken = accept(&offer, &ALL, 2);
            let ports: Vec<_> = taken.iter().cloned().map(|stream| (stream, 5_000)).collect();
            let answer = answer(&offer, origin(), &ports);
            let answer = Session::parse(answer.to_string().as_bytes()).unwrap();
            for (section, (offered, media)) in offer.media.iter().zip(&answer.media).enumerate() {
                let stream = taken.iter().find(|stream| stream.section == section);
                prop_assert_eq!(media.crypto.len(), usize::from(stream.is_some_and(|s| s.security.is_some())));
                let Some(stream) = stream else {
                    prop_assert_eq!(media.port, 0);
                    continue;
                };
                prop_assert_eq!(&media.protocol, &offered.protocol);
                prop_assert_eq!(stream.security.is_some(), offered.protocol.contains("SAVP"));
                // Tags should be unique; where they are, the offerer finds the key it sends with.
                let tags = |tag| offered.crypto.iter().filter(|crypto| crypto.tag == tag).count();
                if stream.security.as_ref().is_none_or(|security| tags(security.tag) == 1) {
                    let far = answered(section, &offer, &answer, &ALL).unwrap();
                    let swapped = far.security.map(|s| SrtpKeys { ours: s.keys.theirs, theirs: s.keys.ours });
                    prop_assert_eq!(swapped, stream.security.clone().map(|security| security.keys));
                }
            }
        }
    }

    #[test]
    fn what_we_offer_we_can_read() {
        let (session, stream) = offer(origin(), &ALL, 5_000, false, Vec::new());
        let read = Session::parse(session.to_string().as_bytes()).unwrap();
        assert_eq!(read, session);
        assert_eq!(stream.payloads, [(111, Codec::Opus), (0, Codec::Pcmu), (8, Codec::Pcma)]);
    }
}
