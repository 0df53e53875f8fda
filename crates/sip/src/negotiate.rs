//! Offer and answer (RFC 3264) for a side that listens, and may talk: which of the offered streams we take, in which
//! codec, and the description that says so.

use std::net::{IpAddr, SocketAddr};

use sotto_audio::Codec;

use crate::sdp::{Direction, Format, Media, Origin, Session};

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
}

/// The streams of an offer we can take, at most `limit`. Sections that are switched off, are not voice over
/// plain RTP, or have none of our codecs are left out.
#[must_use]
pub fn accept(offer: &Session, codecs: &[Codec], limit: usize) -> Vec<Stream> {
    let usable = offer.media.iter().enumerate().filter_map(|(section, media)| stream(section, media, codecs));
    usable.take(limit).collect()
}

/// The stream a section describes, when it is one we can take.
#[must_use]
pub fn stream(section: usize, media: &Media, codecs: &[Codec]) -> Option<Stream> {
    let voice = media.kind == "audio" && matches!(media.protocol.as_str(), "RTP/AVP" | "RTP/AVPF");
    if !voice || media.port == 0 {
        return None;
    }
    let mut payloads: Vec<(u8, Codec)> =
        media.formats.iter().filter_map(|format| Some((format.payload_type, codec_of(format)?))).collect();
    payloads.retain(|(_, codec)| codecs.contains(codec));
    // Our order counts, and within a codec the sender's.
    payloads.sort_by_key(|(_, codec)| codecs.iter().position(|c| c == codec));
    let (_, codec) = *payloads.first()?;
    Some(Stream {
        section,
        codec,
        telephone_event: telephone_event(media, codec),
        payloads,
        ptime_ms: media.ptime_ms,
        remote: media.remote(),
        label: media.label.clone(),
        direction: media.direction,
        talks: false,
        paused: !media.direction.sends() || media.record_paused,
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

/// The offer we make when the other side leaves it to us (an INVITE without a description): one voice stream,
/// that we only receive unless we talk.
#[must_use]
pub fn offer(origin: Origin, codecs: &[Codec], port: u16, talks: bool) -> (Session, Stream) {
    let mut formats: Vec<Format> = codecs.iter().copied().map(Format::of_codec).collect();
    formats.push(Format { fmtp: Some("0-16".to_owned()), ..Format::new(101, "telephone-event", 8_000, 1) });
    let media = Media {
        kind: "audio".to_owned(),
        port,
        protocol: "RTP/AVP".to_owned(),
        formats,
        address: Some(origin.address),
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
    };
    (Session { origin, media: vec![media] }, stream)
}

#[cfg(test)]
mod tests {
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
    fn what_we_offer_we_can_read() {
        let (session, stream) = offer(origin(), &ALL, 5_000, false);
        let read = Session::parse(session.to_string().as_bytes()).unwrap();
        assert_eq!(read, session);
        assert_eq!(stream.payloads, [(111, Codec::Opus), (0, Codec::Pcmu), (8, Codec::Pcma)]);
    }
}
