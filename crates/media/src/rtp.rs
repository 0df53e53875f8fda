//! RTP packets (RFC 3550 section 5.1): the header read without allocating, and written for callers that tests
//! and demonstrations make.
//!
//! The `rtc-rtp` crate would read them too, but it allocates for contributing sources and extensions, neither
//! of which matters here.

use thiserror::Error;

/// Bytes of a header without contributing sources and extension.
pub const HEADER: usize = 12;

/// The static payload type of comfort noise (RFC 3389).
pub const COMFORT_NOISE: u8 = 13;

/// Why a datagram is not RTP.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RtpError {
    /// It ends before its header does.
    #[error("shorter than its header")]
    Short,
    /// Its version is not 2.
    #[error("not RTP version 2")]
    Version,
    /// More padding than payload, or padding of no length.
    #[error("padding longer than the payload")]
    Padding,
}

/// What matters of an RTP header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The sender paused before this packet.
    pub marker: bool,
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp, in units of the codec's clock rate.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
}

impl Header {
    /// Splits a datagram into header and payload; contributing sources, extension and padding are left out.
    ///
    /// # Errors
    /// [`RtpError`] when it is not RTP.
    pub fn parse(datagram: &[u8]) -> Result<(Self, &[u8]), RtpError> {
        let (fixed, rest) = datagram.split_first_chunk::<HEADER>().ok_or(RtpError::Short)?;
        let [b0, b1, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *fixed;
        if b0 >> 6 != 2 {
            return Err(RtpError::Version);
        }
        let header = Self {
            marker: b1 & 0x80 != 0,
            payload_type: b1 & 0x7f,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
        };
        let mut payload = rest.get(4 * usize::from(b0 & 0x0f)..).ok_or(RtpError::Short)?;
        if b0 & 0x10 != 0 {
            let ([_, _, l0, l1], rest) = payload.split_first_chunk().ok_or(RtpError::Short)?;
            payload = rest.get(4 * usize::from(u16::from_be_bytes([*l0, *l1]))..).ok_or(RtpError::Short)?;
        }
        if b0 & 0x20 != 0 {
            let padding = usize::from(*payload.last().ok_or(RtpError::Padding)?);
            let kept = payload.len().checked_sub(padding).filter(|_| padding > 0).ok_or(RtpError::Padding)?;
            payload = &payload[..kept];
        }
        Ok((header, payload))
    }

    /// The header's bytes, for a packet without contributing sources, extension and padding.
    #[must_use]
    pub fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0] = 0x80;
        bytes[1] = self.payload_type & 0x7f | if self.marker { 0x80 } else { 0 };
        bytes[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        bytes
    }
}

/// True for RTCP on the RTP port (RFC 5761 section 4).
#[must_use]
pub fn is_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram, [b0, 192..=223, ..] if b0 >> 6 == 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sources_extension_and_padding_are_stepped_over() {
        let header = Header { marker: true, payload_type: 8, sequence: 7, timestamp: 9, ssrc: 11 };
        let mut datagram = header.to_bytes().to_vec();
        datagram[0] |= 0x32;
        datagram.extend([1; 8]);
        datagram.extend([0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0]);
        datagram.extend([5, 6, 7]);
        datagram.extend([0, 0, 3]);
        assert_eq!(Header::parse(&datagram), Ok((header, &[5, 6, 7][..])));
    }

    #[test]
    fn what_is_not_rtp_says_why() {
        let good = Header::default().to_bytes();
        assert_eq!(Header::parse(&good[..11]), Err(RtpError::Short));
        let with = |first: u8, rest: &[u8]| {
            let mut datagram = good.to_vec();
            datagram[0] = first;
            datagram.extend(rest);
            Header::parse(&datagram).unwrap_err()
        };
        assert_eq!(with(0x40, &[]), RtpError::Version);
        assert_eq!(with(0x81, &[0; 3]), RtpError::Short);
        assert_eq!(with(0x90, &[0, 0, 0, 1, 0, 0, 0]), RtpError::Short);
        assert_eq!(with(0xa0, &[]), RtpError::Padding);
        assert_eq!(with(0xa0, &[9, 9, 0]), RtpError::Padding);
        assert_eq!(with(0xa0, &[9, 9, 4]), RtpError::Padding);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            marker: bool, payload_type in 0..128_u8, sequence: u16, timestamp: u32, ssrc: u32,
            payload in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let header = Header { marker, payload_type, sequence, timestamp, ssrc };
            let datagram = [&header.to_bytes()[..], &payload].concat();
            prop_assert_eq!(Header::parse(&datagram), Ok((header, &payload[..])));
        }

        #[test]
        fn no_datagram_panics_or_yields_more_than_it_holds(datagram in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Ok((_, payload)) = Header::parse(&datagram) {
                prop_assert!(payload.len() + HEADER <= datagram.len());
            }
        }
    }
}
