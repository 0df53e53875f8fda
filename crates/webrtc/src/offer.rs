//! What is looked at, and put right, in a browser's offer before the stack reads it.

use sotto_audio::Codec;

use crate::WebRtcError;

/// Bytes of the longest description taken; browsers' audio offers have about 3 kB.
const LONGEST: usize = 32 * 1024;

/// An offer that we can answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// The description for the stack.
    pub(crate) sdp: String,
    /// What we will send: the best that both ends speak.
    pub(crate) codec: Codec,
}

/// Reads an offer: one section of voice, in Opus or G.711 µ-law.
///
/// Telephone events on a clock that is not the voice's are taken out of it: the stack would answer with both
/// and mean the wrong one.
pub(crate) fn read(sdp: &str) -> Result<Offer, WebRtcError> {
    let wrong = |why: &str| Err(WebRtcError::Offer(why.to_owned()));
    if sdp.len() > LONGEST {
        return wrong("too long");
    }
    if sdp.lines().any(|line| line.len() > 2_048 || line.chars().any(|c| c.is_control())) {
        return wrong("a line that is too long, or not text");
    }
    let sections: Vec<&str> = sdp.lines().filter(|line| line.starts_with("m=")).collect();
    let [audio] = sections.as_slice() else { return wrong("not one section of voice") };
    if !audio.starts_with("m=audio ") || !audio.contains("SAVPF") {
        return wrong("not a section of encrypted voice");
    }
    let maps = || sdp.lines().filter_map(|line| line.strip_prefix("a=rtpmap:")?.split_once(' '));
    let has = |name: &str| maps().any(|(_, map)| map.to_ascii_lowercase().starts_with(name));
    let (codec, clock) = match () {
        () if has("opus/48000") => (Codec::Opus, "/48000"),
        () if has("pcmu/8000") => (Codec::Pcmu, "/8000"),
        () => return wrong("neither Opus nor PCMU"),
    };
    let strays: Vec<&str> = maps()
        .filter(|(_, map)| map.to_ascii_lowercase().starts_with("telephone-event/") && !map.ends_with(clock))
        .map(|(payload_type, _)| payload_type)
        .collect();
    let mut kept = String::with_capacity(sdp.len());
    for line in sdp.lines() {
        let is_of = |prefix: &str| {
            let rest = line.strip_prefix(prefix).and_then(|rest| rest.split(' ').next());
            rest.is_some_and(|number| strays.contains(&number))
        };
        if is_of("a=rtpmap:") || is_of("a=fmtp:") || is_of("a=rtcp-fb:") {
            continue;
        }
        if line.starts_with("m=") {
            let fields = line.split(' ').enumerate();
            let fields: Vec<&str> = fields
                .filter(|(n, field)| *n < 3 || !strays.contains(field))
                .map(|(_, field)| field)
                .collect();
            kept.push_str(&fields.join(" "));
        } else {
            kept.push_str(line);
        }
        kept.push_str("\r\n");
    }
    Ok(Offer { sdp: kept, codec })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHROMIUM: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8 110 126\r\nc=IN IP4 0.0.0.0\r\n\
        a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:0 PCMU/8000\r\n\
        a=rtpmap:8 PCMA/8000\r\na=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\n";

    #[test]
    fn keys_stay_on_the_clock_of_the_voice() {
        let offer = read(CHROMIUM).unwrap();
        assert_eq!(offer.codec, Codec::Opus);
        assert!(offer.sdp.contains("SAVPF 111 0 8 110\r\n") && !offer.sdp.contains(":126 "), "{}", offer.sdp);
        let without_opus = CHROMIUM.replace("opus/48000/2", "speex/16000");
        let offer = read(&without_opus).unwrap();
        assert_eq!(offer.codec, Codec::Pcmu);
        assert!(offer.sdp.contains("SAVPF 111 0 8 126\r\n") && !offer.sdp.contains(":110 "), "{}", offer.sdp);
    }

    #[test]
    fn what_is_no_offer_of_voice_is_refused() {
        let video = format!("{CHROMIUM}m=video 9 UDP/TLS/RTP/SAVPF 96\r\n");
        let plain = CHROMIUM.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP");
        let deaf = CHROMIUM.replace("opus", "ghost").replace("PCMU", "GHOST");
        let long = format!("{CHROMIUM}{}", "a=x\r\n".repeat(10_000));
        let line = format!("{CHROMIUM}a={}\r\n", "x".repeat(3_000));
        for offer in ["", "v=0", "\0", &video, &plain, &deaf, &long, &line] {
            assert!(read(offer).is_err(), "{offer:.80}");
        }
    }
}
