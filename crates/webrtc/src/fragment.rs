//! Candidates that a client sends after its offer (RFC 8840, `application/trickle-ice-sdpfrag`).

use crate::{Candidate, WebRtcError};

/// Bytes of the longest fragment taken.
const LONGEST: usize = 16 * 1024;

/// What a fragment says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    /// The client's half of the names of connectivity checks: another one than in the offer asks for a restart.
    pub ufrag: Option<String>,
    /// Ways to reach the client.
    pub candidates: Vec<Candidate>,
}

impl Fragment {
    /// Reads one. Lines that say nothing here are left alone.
    ///
    /// # Errors
    /// [`WebRtcError::Candidate`] when it is none.
    pub fn read(text: &str) -> Result<Self, WebRtcError> {
        let wrong = |why: &str| Err(WebRtcError::Candidate(why.to_owned()));
        if text.len() > LONGEST || text.lines().any(|line| line.chars().any(char::is_control)) {
            return wrong("too long, or not text");
        }
        let mut fragment = Self::default();
        let mut mid = None;
        let mut sections = 0;
        for line in text.lines().filter(|line| !line.is_empty()) {
            match line.split_at_checked(2) {
                Some(("m=", _)) => {
                    mid = None;
                    sections += 1;
                }
                Some(("a=", attribute)) => match attribute.split_once(':') {
                    Some(("ice-ufrag", ufrag)) => fragment.ufrag = Some(ufrag.to_owned()),
                    Some(("mid", named)) => mid = Some(named.to_owned()),
                    Some(("candidate", _)) => fragment.candidates.push(Candidate {
                        candidate: attribute.to_owned(),
                        sdp_mid: mid.clone(),
                        sdp_mline_index: None,
                    }),
                    _ => {}
                },
                _ => return wrong("not a fragment of a description"),
            }
        }
        // There is one section, by whatever name.
        if sections > 1 { wrong("more than one section") } else { Ok(fragment) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn candidates_come_with_the_section_they_are_for() {
        // RFC 9725 section 4.3.1, figure 4, shortened.
        let text = "a=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:EsAw\r\n\
            a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
            a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1\r\n\
            a=end-of-candidates\r\n";
        let fragment = Fragment::read(text).unwrap();
        assert_eq!(fragment.ufrag.as_deref(), Some("EsAw"));
        let [candidate] = fragment.candidates.as_slice() else { panic!("{fragment:?}") };
        assert_eq!(candidate.sdp_mid.as_deref(), Some("0"));
        assert!(candidate.candidate.starts_with("candidate:1387637174 1 udp"), "{candidate:?}");
        assert_eq!(Fragment::read("").unwrap(), Fragment::default());
    }

    #[test]
    fn what_is_no_fragment_is_refused() {
        let long = "a=x\r\n".repeat(10_000);
        for wrong in ["hello", "{}", "a=mid:0\0", "é=1", "m=audio 9\nm=video 9", &long] {
            assert!(Fragment::read(wrong).is_err(), "{wrong:.40}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(text in "(a=(candidate|mid|ice-ufrag):[ -~]{0,30}\r?\n|m=audio\n|.{0,20}\n){0,8}") {
            if let Ok(fragment) = Fragment::read(&text) {
                prop_assert!(fragment.candidates.iter().all(|c| c.candidate.starts_with("candidate:")));
            }
        }
    }
}
