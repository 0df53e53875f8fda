//! What is looked at, and put right, in a browser's offer before the stack reads it.

use sotto_audio::Codec;

use crate::WebRtcError;
use crate::browser::{MOST_CANDIDATES, OPUS};

/// Bytes of the longest description taken; browsers' audio offers have about 3 kB.
const LONGEST: usize = 32 * 1024;

/// Which way audio goes, as the browser sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The browser talks and hears.
    Both,
    /// The browser only talks (WHIP).
    Sends,
    /// The browser only hears (WHEP).
    Receives,
}

impl Direction {
    /// The attribute of an offer (RFC 8866 section 6.7).
    fn attribute(self) -> &'static str {
        match self {
            Self::Both => "a=sendrecv",
            Self::Sends => "a=sendonly",
            Self::Receives => "a=recvonly",
        }
    }

    /// What the stack is told was offered: it lets a track of ours go only where it could also receive one.
    fn to_stack(self) -> &'static str {
        match self {
            Self::Both | Self::Receives => "a=sendrecv",
            Self::Sends => "a=sendonly",
        }
    }

    /// The stack's answer, as it answers what was offered.
    pub(crate) fn answered(self, answer: String) -> String {
        match self {
            Self::Receives => answer.replace("\na=sendrecv\r\n", "\na=sendonly\r\n"),
            Self::Both | Self::Sends => answer,
        }
    }
}

/// An offer that we can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The description for the stack.
    pub sdp: String,
    /// What we will send: the best that both ends speak.
    pub codec: Codec,
    /// The browser's half of the names of connectivity checks (RFC 8839 section 5.4).
    pub ufrag: String,
    /// The id that all descriptions of the browser's end have (RFC 8829 section 5.2.2); empty when there is none.
    pub session: String,
}

impl Offer {
    /// Reads an offer: one section of voice, in Opus or G.711 µ-law.
    ///
    /// Telephone events on a clock that is not the voice's are taken out of it: the stack would answer with both
    /// and mean the wrong one. Who offers both ways where one is wanted gets that one.
    ///
    /// # Errors
    /// [`WebRtcError::Offer`] when it cannot be answered.
    pub fn read(sdp: &str, wanted: Direction) -> Result<Self, WebRtcError> {
        read(sdp, wanted)
    }
}

fn read(sdp: &str, wanted: Direction) -> Result<Offer, WebRtcError> {
    let wrong = |why: &str| Err(WebRtcError::Offer(why.to_owned()));
    if sdp.len() > LONGEST {
        return wrong("too long");
    }
    if sdp.lines().any(|line| line.len() > 2_048 || line.chars().any(|c| c.is_control())) {
        return wrong("a line that is too long, or not text");
    }
    if sdp.lines().filter(|line| line.starts_with("a=candidate:")).count() > MOST_CANDIDATES {
        return wrong("too many candidates");
    }
    let directions = ["a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"];
    let offered = sdp.lines().rev().find(|line| directions.contains(line)).unwrap_or("a=sendrecv");
    if offered != "a=sendrecv" && offered != wanted.attribute() {
        return wrong("the audio goes the wrong way");
    }
    let ufrag = sdp.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).unwrap_or_default().to_owned();
    let session = sdp.lines().find_map(|line| line.strip_prefix("o=")?.split(' ').nth(1));
    let session = session.unwrap_or_default().to_owned();
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
    // What the far end would like of Opus (RFC 7587) binds nobody, but the stack takes other words for another codec.
    let opus: Vec<&str> = maps()
        .filter(|(_, map)| map.to_ascii_lowercase().starts_with("opus/48000"))
        .map(|(payload_type, _)| payload_type)
        .collect();
    let mut kept = String::with_capacity(sdp.len());
    for line in sdp.lines() {
        let of = |prefix: &str| line.strip_prefix(prefix).and_then(|rest| rest.split(' ').next());
        let is_of = |prefix: &str| of(prefix).is_some_and(|number| strays.contains(&number));
        if directions.contains(&line) {
            continue;
        }
        if is_of("a=rtpmap:") || is_of("a=fmtp:") || is_of("a=rtcp-fb:") {
            continue;
        }
        if of("a=fmtp:").is_some_and(|number| opus.contains(&number)) {
            continue;
        }
        if let Some(number) = of("a=rtpmap:").filter(|number| opus.contains(number)) {
            kept.push_str(&format!("{line}\r\na=fmtp:{number} {OPUS}"));
        } else if line.starts_with("m=") {
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
    // There is one section, and the end of the description is its end.
    kept.push_str(wanted.to_stack());
    kept.push_str("\r\n");
    Ok(Offer { sdp: kept, codec, ufrag, session })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CHROMIUM: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8 110 126\r\nc=IN IP4 0.0.0.0\r\n\
        a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:0 PCMU/8000\r\n\
        a=rtpmap:8 PCMA/8000\r\na=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\n";

    #[test]
    fn keys_stay_on_the_clock_of_the_voice() {
        let offer = read(CHROMIUM, Direction::Both).unwrap();
        assert_eq!(offer.codec, Codec::Opus);
        assert!(offer.sdp.contains("SAVPF 111 0 8 110\r\n") && !offer.sdp.contains(":126 "), "{}", offer.sdp);
        let without_opus = CHROMIUM.replace("opus/48000/2", "speex/16000");
        let offer = read(&without_opus, Direction::Both).unwrap();
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
        let found = CHROMIUM.to_owned() + &"a=candidate:1 1 udp 1 10.0.0.1 1 typ host\r\n".repeat(200);
        let silent = format!("{CHROMIUM}a=inactive\r\n");
        for offer in ["", "v=0", "\0", &video, &plain, &deaf, &long, &line, &found, &silent] {
            assert!(read(offer, Direction::Both).is_err(), "{offer:.80}");
        }
    }

    #[test]
    fn audio_goes_the_way_that_is_wanted_or_not_at_all() {
        use Direction::{Both, Receives, Sends};
        let offer = |line: &str| format!("{CHROMIUM}{line}\r\na=ice-ufrag:ab+/\r\n");
        for (line, fits) in [
            ("a=sendrecv", [Both, Sends, Receives].as_slice()),
            ("a=mid:0", &[Both, Sends, Receives]),
            ("a=sendonly", &[Sends]),
            ("a=recvonly", &[Receives]),
            ("a=inactive", &[]),
        ] {
            for wanted in [Both, Sends, Receives] {
                let read = read(&offer(line), wanted);
                assert_eq!(read.is_ok(), fits.contains(&wanted), "{line} {wanted:?}");
                if let Ok(offer) = read {
                    assert_eq!(offer.ufrag, "ab+/");
                    let said: Vec<&str> =
                        offer.sdp.lines().filter(|l| l.starts_with("a=send") || *l == "a=recvonly").collect();
                    assert_eq!(said, [wanted.to_stack()]);
                }
            }
        }
    }

    proptest! {
        /// An offer with some of its lines left out, doubled or exchanged, and characters changed.
        #[test]
        fn what_has_been_put_right_is_right(
            lines in proptest::sample::subsequence(CHROMIUM.lines().collect::<Vec<_>>(), 0..=11).prop_shuffle(),
            more in proptest::collection::vec("[ -~]{0,40}|a=(sendrecv|sendonly|recvonly)|m=audio 9 X 0", 0..4),
            cut in 0_usize..400,
        ) {
            let mut text: String = lines.into_iter().chain(more.iter().map(String::as_str)).collect::<Vec<_>>().join("\n");
            if text.is_char_boundary(cut) {
                text.truncate(cut);
            }
            for text in [text.clone(), CHROMIUM.to_owned() + &text] {
                for wanted in [Direction::Both, Direction::Sends, Direction::Receives] {
                    let Ok(offer) = Offer::read(&text, wanted) else { continue };
                    prop_assert_eq!(offer.sdp.lines().filter(|line| line.starts_with("m=")).count(), 1);
                    prop_assert_eq!(offer.sdp.lines().last(), Some(wanted.to_stack()));
                    prop_assert_eq!(Offer::read(&offer.sdp, wanted).unwrap(), offer);
                }
            }
        }
    }
}
