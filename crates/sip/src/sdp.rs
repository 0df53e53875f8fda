//! Session descriptions (RFC 8866) as plain values: what an offer for voice says, and what we answer.
//!
//! Written here because the kept crates give raw strings for attributes and refuse a whole description for
//! one line out of order, while recorders and PBXs in the field send descriptions without `s=` or `t=`, with
//! attributes before `c=`, and with line feeds alone. Reading is bounded and lenient: what is not understood
//! is left out, what cannot be true is an error. Offer and answer rules are in [`crate::negotiate`].

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sotto_audio::Codec;
use sotto_media::{MasterKey, Suite};
use thiserror::Error;

/// Bytes of a description that are read at most.
pub const MAX_BYTES: usize = 64 * 1024;
/// Media sections read at most.
pub const MAX_MEDIA: usize = 32;
/// Formats of one media section read at most.
pub const MAX_FORMATS: usize = 64;
/// Keys kept of one media section at most.
pub const MAX_KEYS: usize = 16;
/// Characters of a label, media name or protocol kept at most.
const MAX_TOKEN: usize = 128;

/// Why a description was refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SdpError {
    /// It does not begin with `v=0`.
    #[error("not a session description")]
    NotSdp,
    /// It is longer than [`MAX_BYTES`], or has more sections or formats than are read.
    #[error("session description too large")]
    TooLarge,
    /// An `m=` line cannot be read.
    #[error("malformed m= line")]
    Media,
    /// A `c=` line names an address that is none.
    #[error("malformed c= line")]
    Connection,
}

/// Which way media flows, seen from the side that wrote the description (RFC 3264 section 5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both ways: the default.
    #[default]
    SendRecv,
    /// The writer only sends.
    SendOnly,
    /// The writer only receives.
    RecvOnly,
    /// Nothing flows.
    Inactive,
}

impl Direction {
    /// True when the writer of the description sends.
    #[must_use]
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// True when the writer of the description receives.
    #[must_use]
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The same of a writer that receives nothing.
    pub(crate) fn without_receiving(self) -> Self {
        if self.sends() { Self::SendOnly } else { Self::Inactive }
    }

    fn attribute(name: &str) -> Option<Self> {
        Some(match name {
            "sendrecv" => Self::SendRecv,
            "sendonly" => Self::SendOnly,
            "recvonly" => Self::RecvOnly,
            "inactive" => Self::Inactive,
            _ => return None,
        })
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }
}

/// The `o=` line: who wrote the description, and which version of it this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Identity of the session; the same through all its versions.
    pub id: u64,
    /// Grows by one with every changed description.
    pub version: u64,
    /// The writer's address.
    pub address: IpAddr,
}

impl Default for Origin {
    fn default() -> Self {
        Self { id: 0, version: 0, address: Ipv4Addr::UNSPECIFIED.into() }
    }
}

/// A format of a media section with what its `rtpmap` and `fmtp` say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Format {
    /// RTP payload type, 0 to 127.
    pub payload_type: u8,
    /// Encoding name as written (`PCMU`, `opus`); for a static payload type without `rtpmap`, the one that
    /// RFC 3551 gives it; empty when neither says.
    pub encoding: String,
    /// Clock rate in Hz; 0 when unknown.
    pub clock: u32,
    /// Channels, 1 when not given.
    pub channels: u8,
    /// The format's parameters, when given.
    pub fmtp: Option<String>,
}

impl Format {
    /// A format from what an `rtpmap` would say.
    #[must_use]
    pub fn new(payload_type: u8, encoding: &str, clock: u32, channels: u8) -> Self {
        Self { payload_type, encoding: encoding.to_owned(), clock, channels, fmtp: None }
    }

    /// A codec as we offer it.
    #[must_use]
    pub fn of_codec(codec: Codec) -> Self {
        Self::new(codec.payload_type(), codec.name(), codec.clock_rate(), codec.channels())
    }

    /// RFC 3551 section 6, as far as it concerns voice.
    fn of_payload_type(payload_type: u8) -> Self {
        let (encoding, clock) = match payload_type {
            0 => ("PCMU", 8_000),
            3 => ("GSM", 8_000),
            4 => ("G723", 8_000),
            8 => ("PCMA", 8_000),
            9 => ("G722", 8_000),
            13 => ("CN", 8_000),
            15 => ("G728", 8_000),
            18 => ("G729", 8_000),
            _ => ("", 0),
        };
        Self::new(payload_type, encoding, clock, 1)
    }
}

/// Base64 as keys are written in; the padding is often left out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// An `a=crypto` line (RFC 4568 section 9.1): a key that the writer sends with, or would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crypto {
    /// Names the line; the answer's is that of the line it takes up.
    pub tag: u32,
    /// The key with its suite.
    pub key: MasterKey,
}

impl Crypto {
    /// Reads a line that asks for what we can do: a suite we have, one key without an identifier (MKI), and no
    /// session parameter that must be understood. How long the key may live is not read: 2^31 packets of 20 ms
    /// are a year.
    fn parse(value: &str) -> Option<Self> {
        let mut parts = value.split_ascii_whitespace();
        let tag = parts.next().filter(|tag| tag.len() <= 9 && tag.bytes().all(|b| b.is_ascii_digit()))?;
        let suite = Suite::by_name(parts.next()?)?;
        let mut key = parts.next()?.strip_prefix("inline:")?.split('|');
        let bytes = BASE64.decode(key.next()?).ok()?;
        let is_plain = key.all(|lifetime| !lifetime.contains([':', ';']));
        let is_known = parts.all(|parameter| parameter.starts_with(['-']) || parameter.starts_with("WSH="));
        let key = MasterKey::new(suite, bytes).filter(|_| is_plain && is_known)?;
        Some(Self { tag: tag.parse().ok()?, key })
    }
}

impl fmt::Display for Crypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tag, key } = self;
        write!(f, "{tag} {} inline:{}", key.suite().name(), BASE64.encode(key.as_bytes()))
    }
}

/// A media section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Media {
    /// `audio`, `video`, ...
    pub kind: String,
    /// The writer's port; 0 when the section is refused or switched off.
    pub port: u16,
    /// `RTP/AVP`, ...
    pub protocol: String,
    /// The formats in the writer's order of preference. Empty for sections that are not RTP.
    pub formats: Vec<Format>,
    /// The first format of a section that is not RTP, as written: the answer that refuses it repeats it.
    pub other_format: String,
    /// Where the writer receives, from the section's own `c=` or else the session's. Absent when it is a
    /// name, which is never looked up.
    pub address: Option<IpAddr>,
    /// Which way media flows, from the section or else the session.
    pub direction: Direction,
    /// RFC 4574.
    pub label: Option<String>,
    /// Milliseconds of audio in a packet.
    pub ptime_ms: Option<u32>,
    /// Most milliseconds of audio in a packet.
    pub maxptime_ms: Option<u32>,
    /// Where RTCP goes when that is not the next port (RFC 3605).
    pub rtcp_port: Option<u16>,
    /// RTP and RTCP on one port (RFC 5761).
    pub rtcp_mux: bool,
    /// The keys that can be had, the writer's most wanted first; lines that we cannot do are left out.
    pub crypto: Vec<Crypto>,
    /// RFC 7866 section 7.1.2: the writer says that the recording of this stream is paused or off.
    pub record_paused: bool,
}

impl Media {
    /// Where the writer receives RTP, when the description says so usably.
    #[must_use]
    pub fn remote(&self) -> Option<SocketAddr> {
        let address = self.address.filter(|ip| !ip.is_unspecified() && !ip.is_multicast())?;
        (self.port != 0).then(|| SocketAddr::new(address, self.port))
    }
}

/// A session description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// Who wrote it.
    pub origin: Origin,
    /// Its media sections, in order.
    pub media: Vec<Media>,
}

impl Session {
    /// Reads a description. Bytes that are not UTF-8 are replaced: session names may be in any charset.
    ///
    /// # Errors
    /// See [`SdpError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, SdpError> {
        if bytes.len() > MAX_BYTES {
            return Err(SdpError::TooLarge);
        }
        let text = String::from_utf8_lossy(bytes);
        let mut reader = SessionReader::default();
        let mut lines = text.split(['\r', '\n']).map(str::trim_end).filter(|line| !line.is_empty());
        if lines.next().map(|line| line.replace(' ', "")) != Some("v=0".into()) {
            return Err(SdpError::NotSdp);
        }
        for line in lines {
            if let Some((kind, value)) = line.split_once('=') {
                reader.line(kind.trim(), value.trim())?;
            }
        }
        Ok(reader.finish())
    }
}

/// The state between the lines: what the session level says, and the section being read.
#[derive(Default)]
struct SessionReader {
    session: Session,
    address: Option<IpAddr>,
    direction: Option<Direction>,
    ptime_ms: Option<u32>,
    record_paused: bool,
    /// Attributes that override the session's, for the section being read.
    section_direction: Option<Direction>,
    section_address: Option<Option<IpAddr>>,
    section_record: Option<bool>,
}

impl SessionReader {
    fn line(&mut self, kind: &str, value: &str) -> Result<(), SdpError> {
        match kind {
            "o" => self.origin(value),
            "c" => {
                let address = connection(value)?;
                match self.session.media.last() {
                    Some(_) => self.section_address = Some(address),
                    None => self.address = address,
                }
            }
            "m" => {
                self.close_section();
                if self.session.media.len() == MAX_MEDIA {
                    return Err(SdpError::TooLarge);
                }
                self.session.media.push(media(value)?);
            }
            "a" => {
                let (name, value) = value.split_once(':').map_or((value, ""), |(n, v)| (n.trim(), v.trim()));
                self.attribute(name, value);
            }
            _ => {}
        }
        Ok(())
    }

    fn origin(&mut self, value: &str) {
        let mut parts = value.split_ascii_whitespace().skip(1);
        let mut number = || parts.next().and_then(|n| n.parse().ok()).unwrap_or_default();
        let (id, version) = (number(), number());
        let address = parts.nth(2).and_then(|a| a.parse().ok());
        self.session.origin = Origin { id, version, address: address.unwrap_or(Origin::default().address) };
    }

    fn attribute(&mut self, name: &str, value: &str) {
        let Some(media) = self.session.media.last_mut() else {
            if let Some(direction) = Direction::attribute(name) {
                self.direction = Some(direction);
            } else if name == "ptime" {
                self.ptime_ms = milliseconds(value);
            } else if name == "record" {
                self.record_paused = value != "on";
            }
            return;
        };
        if let Some(direction) = Direction::attribute(name) {
            self.section_direction = Some(direction);
            return;
        }
        match name {
            "label" if !value.is_empty() => media.label = Some(token(value)),
            "ptime" => media.ptime_ms = milliseconds(value),
            "maxptime" => media.maxptime_ms = milliseconds(value),
            "rtcp" => media.rtcp_port = value.split(' ').next().and_then(|p| p.parse().ok()),
            "rtcp-mux" => media.rtcp_mux = true,
            "crypto" if media.crypto.len() < MAX_KEYS => media.crypto.extend(Crypto::parse(value)),
            "record" => self.section_record = Some(value != "on"),
            "rtpmap" => {
                if let Some((pt, mapping)) = value.split_once(' ')
                    && let Some(format) = format_of(media, pt)
                {
                    let mut parts = mapping.trim().split('/');
                    format.encoding = token(parts.next().unwrap_or_default());
                    format.clock = parts.next().and_then(|c| c.trim().parse().ok()).unwrap_or(0);
                    format.channels = parts.next().and_then(|c| c.trim().parse().ok()).unwrap_or(1);
                }
            }
            "fmtp" => {
                if let Some((pt, parameters)) = value.split_once(' ')
                    && let Some(format) = format_of(media, pt)
                {
                    format.fmtp = Some(parameters.trim().to_owned());
                }
            }
            _ => {}
        }
    }

    fn close_section(&mut self) {
        let direction = self.section_direction.take().or(self.direction).unwrap_or_default();
        let address = self.section_address.take().unwrap_or(self.address);
        let record_paused = self.section_record.take().unwrap_or(self.record_paused);
        let ptime_ms = self.ptime_ms;
        if let Some(media) = self.session.media.last_mut() {
            media.direction = direction;
            media.address = address;
            media.record_paused = record_paused;
            media.ptime_ms = media.ptime_ms.or(ptime_ms);
        }
    }

    fn finish(mut self) -> Session {
        self.close_section();
        self.session
    }
}

fn format_of<'a>(media: &'a mut Media, payload_type: &str) -> Option<&'a mut Format> {
    let payload_type: u8 = payload_type.trim().parse().ok()?;
    media.formats.iter_mut().find(|format| format.payload_type == payload_type)
}

fn milliseconds(value: &str) -> Option<u32> {
    // Some senders write `a=ptime:20.0`, some write 0 for "not known".
    value.split('.').next().and_then(|v| v.parse().ok()).filter(|ms| (1..=1_000).contains(ms))
}

fn token(value: &str) -> String {
    value.chars().take(MAX_TOKEN).collect()
}

fn connection(value: &str) -> Result<Option<IpAddr>, SdpError> {
    let mut parts = value.split_ascii_whitespace();
    let (Some("IN"), Some(kind), Some(address)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(SdpError::Connection);
    };
    // A multicast address may carry a time to live and a count.
    let address = address.split('/').next().unwrap_or_default();
    match (kind, address.parse::<IpAddr>()) {
        ("IP4", Ok(ip)) if ip.is_ipv4() => Ok(Some(ip)),
        ("IP6", Ok(ip)) if ip.is_ipv6() => Ok(Some(ip)),
        ("IP4" | "IP6", Err(_)) if is_name(address) => Ok(None),
        _ => Err(SdpError::Connection),
    }
}

fn is_name(address: &str) -> bool {
    address.starts_with(|c: char| c.is_ascii_alphanumeric())
        && address.chars().any(|c| c.is_ascii_alphabetic())
        && address.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

fn media(value: &str) -> Result<Media, SdpError> {
    let mut parts = value.split_ascii_whitespace();
    let (Some(kind), Some(port), Some(protocol)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(SdpError::Media);
    };
    let port = port.split('/').next().unwrap_or_default().parse().map_err(|_| SdpError::Media)?;
    let names: Vec<&str> = parts.by_ref().take(MAX_FORMATS).collect();
    if parts.next().is_some() {
        return Err(SdpError::TooLarge);
    }
    let mut formats: Vec<Format> = Vec::new();
    if protocol.contains("RTP/") {
        for name in &names {
            let payload_type = name.parse().ok().filter(|pt| *pt < 128).ok_or(SdpError::Media)?;
            if formats.iter().all(|format| format.payload_type != payload_type) {
                formats.push(Format::of_payload_type(payload_type));
            }
        }
        if formats.is_empty() {
            return Err(SdpError::Media);
        }
    }
    let other = names.first().filter(|_| formats.is_empty());
    let other_format = other.map(|name| token(name)).unwrap_or_default();
    let (kind, protocol) = (token(kind), token(protocol));
    Ok(Media { kind, port, protocol, formats, other_format, ..Media::default() })
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IP4" } else { "IP6" }
}

impl fmt::Display for Session {
    /// The description as it goes on the wire, every line with its CRLF.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin { id, version, address } = self.origin;
        write!(f, "v=0\r\no=- {id} {version} IN {} {address}\r\n", family(address))?;
        write!(f, "s=-\r\nc=IN {} {address}\r\nt=0 0\r\n", family(address))?;
        self.media.iter().try_for_each(|media| write!(f, "{media}"))
    }
}

impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m={} {} {}", self.kind, self.port, self.protocol)?;
        if self.formats.is_empty() {
            write!(f, " {}", self.other_format)?;
        }
        self.formats.iter().try_for_each(|format| write!(f, " {}", format.payload_type))?;
        f.write_str("\r\n")?;
        if let Some(address) = self.address {
            write!(f, "c=IN {} {address}\r\n", family(address))?;
        }
        for format in self.formats.iter().filter(|format| !format.encoding.is_empty()) {
            write!(f, "a=rtpmap:{} {}/{}", format.payload_type, format.encoding, format.clock)?;
            if format.channels > 1 {
                write!(f, "/{}", format.channels)?;
            }
            f.write_str("\r\n")?;
            if let Some(fmtp) = &format.fmtp {
                write!(f, "a=fmtp:{} {fmtp}\r\n", format.payload_type)?;
            }
        }
        if let Some(label) = &self.label {
            write!(f, "a=label:{label}\r\n")?;
        }
        if let Some(ptime) = self.ptime_ms {
            write!(f, "a=ptime:{ptime}\r\n")?;
        }
        if let Some(ptime) = self.maxptime_ms {
            write!(f, "a=maxptime:{ptime}\r\n")?;
        }
        if let Some(port) = self.rtcp_port {
            write!(f, "a=rtcp:{port}\r\n")?;
        }
        if self.rtcp_mux {
            f.write_str("a=rtcp-mux\r\n")?;
        }
        self.crypto.iter().try_for_each(|crypto| write!(f, "a=crypto:{crypto}\r\n"))?;
        write!(f, "a={}\r\n", self.direction.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Session {
        Session::parse(text.replace('\n', "\r\n").as_bytes()).unwrap()
    }

    #[test]
    fn static_payload_types_need_no_rtpmap() {
        let session = parse(
            "v=0\no=- 1 1 IN IP4 10.0.0.1\ns=-\nc=IN IP4 10.0.0.1\nt=0 0\nm=audio 4000 RTP/AVP 8 0 96\n",
        );
        let names: Vec<_> = session.media[0].formats.iter().map(|f| (f.encoding.as_str(), f.clock)).collect();
        assert_eq!(names, [("PCMA", 8_000), ("PCMU", 8_000), ("", 0)]);
        assert_eq!(session.media[0].remote(), "10.0.0.1:4000".parse().ok());
        assert_eq!(session.media[0].direction, Direction::SendRecv);
    }

    #[test]
    fn the_section_overrides_the_session() {
        let session = parse(
            "v=0\no=x 1 2 IN IP6 2001:db8::1\ns=-\nc=IN IP6 2001:db8::1\nt=0 0\na=sendonly\na=ptime:30\n\
             m=audio 4000 RTP/AVP 0\na=inactive\nc=IN IP4 192.0.2.7\na=label:7\na=rtcp:4009 IN IP4 192.0.2.7\n\
             m=audio 4002 RTP/AVP 0\na=rtcp-mux\na=maxptime:150\n",
        );
        let [a, b] = &session.media[..] else { panic!("two sections") };
        assert_eq!(a.direction, Direction::Inactive);
        assert_eq!(a.address, "192.0.2.7".parse().ok());
        assert_eq!((a.label.as_deref(), a.rtcp_port, a.ptime_ms), (Some("7"), Some(4009), Some(30)));
        assert_eq!(b.direction, Direction::SendOnly);
        assert_eq!(b.address, "2001:db8::1".parse().ok());
        assert!(b.rtcp_mux && !a.rtcp_mux);
        assert_eq!(session.origin.version, 2);
    }

    #[test]
    fn lines_out_of_order_missing_lines_and_bare_line_feeds_are_read() {
        let session = Session::parse(
            b"v=0\nt=0 0\na=tool:x\nm=audio 9 RTP/AVP 111 101\na=sendonly\na=rtpmap:111 opus/48000/2\n\
              a=fmtp:111 useinbandfec=1\na=rtpmap:101 telephone-event/8000\nc=IN IP4 198.51.100.1\nnonsense\n",
        )
        .unwrap();
        let opus = &session.media[0].formats[0];
        assert_eq!((opus.encoding.as_str(), opus.clock, opus.channels), ("opus", 48_000, 2));
        assert_eq!(opus.fmtp.as_deref(), Some("useinbandfec=1"));
        assert_eq!(session.media[0].address, "198.51.100.1".parse().ok());
    }

    #[test]
    fn what_cannot_be_true_is_refused() {
        for (text, why) in [
            ("", SdpError::NotSdp),
            ("s=-\r\nv=0\r\n", SdpError::NotSdp),
            ("v=0\r\nm=audio\r\n", SdpError::Media),
            ("v=0\r\nm=audio 70000 RTP/AVP 0\r\n", SdpError::Media),
            ("v=0\r\nm=audio 4000 RTP/AVP\r\n", SdpError::Media),
            ("v=0\r\nm=audio 4000 RTP/AVP 128\r\n", SdpError::Media),
            ("v=0\r\nc=IN IP4 300.1.1.1.9\r\n", SdpError::Connection),
            ("v=0\r\nc=IN IP4 ::1\r\n", SdpError::Connection),
            ("v=0\r\nc=IN\r\n", SdpError::Connection),
        ] {
            assert_eq!(Session::parse(text.as_bytes()), Err(why), "{text:?}");
        }
        let many = format!("v=0\r\n{}", "m=audio 1 RTP/AVP 0\r\n".repeat(MAX_MEDIA + 1));
        assert_eq!(Session::parse(many.as_bytes()), Err(SdpError::TooLarge));
        assert_eq!(Session::parse(&vec![b'v'; MAX_BYTES + 1]), Err(SdpError::TooLarge));
    }

    #[test]
    fn a_name_or_the_null_address_gives_no_remote() {
        for address in ["pbx.example.com", "0.0.0.0", "224.2.1.1/127/3"] {
            let session = parse(&format!("v=0\nc=IN IP4 {address}\nm=audio 4000/2 RTP/AVP 0\n"));
            assert_eq!(session.media[0].remote(), None, "{address}");
        }
    }

    prop_compose! {
        fn formats()(types in proptest::collection::btree_set(0u8..128, 1..6),
                     clock in 8_000u32..=48_000, channels in 1u8..=2, fmtp in proptest::option::of("[a-z=0-9;]{1,20}"))
                    -> Vec<Format> {
            types.into_iter().map(|payload_type| Format {
                payload_type, encoding: "x-codec".into(), clock, channels, fmtp: fmtp.clone(),
            }).collect()
        }
    }

    #[test]
    fn keys_that_we_can_do_are_read_and_others_left_out() {
        const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
        let crypto = |lines: &str| {
            let session = parse(&format!("v=0\nm=audio 9 RTP/SAVP 0\n{lines}"));
            session.media[0].crypto.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let good = format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}");
        for more in ["", "|2^31", "|1048576", "|2^20 WSH=128", " -later"] {
            assert_eq!(crypto(&format!("a=crypto:{good}{more}\n")), [good.as_str()], "{more}");
        }
        for unusable in [
            "|2^20|1:4",
            "|1:4",
            " KDR=1",
            " UNENCRYPTED_SRTP",
            " UNENCRYPTED_SRTCP",
            " UNAUTHENTICATED_SRTP",
            " FEC_ORDER=FEC_SRTP",
            " new",
            "A",
            ";inline:x",
        ] {
            assert_eq!(crypto(&format!("a=crypto:{good}{unusable}\n")), [""; 0], "{unusable}");
        }
        for wrong in [
            "",
            "1",
            "1 AES_CM_128_HMAC_SHA1_80",
            "1 AES_CM_128_HMAC_SHA1_80 inline:",
            "x AES_CM_128_HMAC_SHA1_80 inline:A",
            "+1 AES_CM_128_HMAC_SHA1_32 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
            "1234567890 AES_CM_128_HMAC_SHA1_32 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
            "1 F8_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
            "1 AEAD_AES_128_GCM inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
            "1 AES_CM_128_HMAC_SHA1_80 file:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
        ] {
            assert_eq!(crypto(&format!("a=crypto:{wrong}\n")), [""; 0], "{wrong}");
        }
        // Of 28 and 44 bytes, with the padding that some leave out.
        let unpadded = format!("2 AEAD_AES_128_GCM inline:{}", &KEY[..37]);
        let padded = format!("{unpadded}A==");
        assert_eq!(crypto(&format!("a=crypto:{unpadded}A\n")), [padded.as_str()]);
        assert_eq!(crypto(&format!("a=crypto:{good}\n").repeat(MAX_KEYS + 5)).len(), MAX_KEYS);
        let shown = format!("{:?}", parse(&format!("v=0\nm=audio 9 RTP/SAVP 0\na=crypto:{good}\n")));
        assert!(shown.contains("MasterKey(AES_CM_128_HMAC_SHA1_80)") && !shown.contains("WVNf"), "{shown}");
    }

    prop_compose! {
        fn crypto()(tag in 0u32..=999_999_999, suite in 0..Suite::ALL.len(), bytes: [u8; 46]) -> Crypto {
            let suite = Suite::ALL[suite];
            Crypto { tag, key: MasterKey::new(suite, bytes[..suite.key_bytes()].to_vec()).unwrap() }
        }
    }

    prop_compose! {
        fn section()(port: u16, formats in formats(), v4: [u8; 4], label in proptest::option::of("[!-~]{1,20}"),
                     ptime_ms in proptest::option::of(1u32..=1_000), maxptime_ms in proptest::option::of(1u32..=1_000),
                     rtcp_port: Option<u16>, rtcp_mux: bool, direction in 0usize..4,
                     crypto in proptest::collection::vec(crypto(), 0..4)) -> Media {
            let all = [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive];
            Media {
                kind: "audio".into(), port, protocol: "RTP/AVP".into(),
                other_format: String::new(), formats,
                address: Some(IpAddr::from(v4)), direction: all[direction], label, ptime_ms, maxptime_ms,
                rtcp_port, rtcp_mux, crypto, record_paused: false,
            }
        }
    }

    /// What looks like a key, and sometimes is one.
    const KEY_LINE: &str = "[0-9]{0,3} (AES_CM_128_HMAC_SHA1_80|AEAD_AES_256_GCM|[A-Z_]{0,9}) \
        (inline:)?([A-Za-z0-9+/]{40}|[A-Za-z0-9+/]{59}=|[A-Za-z0-9+/=|:;^]{0,60})(\\|2\\^31)?( [ -~]{0,9})?";

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = Session::parse(&bytes);
        }

        #[test]
        fn never_panics_on_lines(lines in proptest::collection::vec("[vomcas]=[ -~]{0,40}", 0..30)) {
            let _ = Session::parse(format!("v=0\r\n{}", lines.join("\r\n")).as_bytes());
        }

        #[test]
        fn never_panics_on_keys(values in proptest::collection::vec(KEY_LINE, 0..30)) {
            let lines: String = values.iter().map(|value| format!("a=crypto:{value}\r\n")).collect();
            let text = format!("v=0\r\nm=audio 9 RTP/SAVP 0\r\n{lines}");
            let session = Session::parse(text.as_bytes()).unwrap();
            let again = Session::parse(session.to_string().as_bytes()).unwrap();
            prop_assert!(session.media[0].crypto.len() <= MAX_KEYS);
            prop_assert_eq!(&again.media[0].crypto, &session.media[0].crypto);
        }

        #[test]
        fn what_is_written_is_read_back(id: u64, version: u64, v6: [u16; 8],
                                        media in proptest::collection::vec(section(), 0..4)) {
            let session = Session { origin: Origin { id, version, address: IpAddr::from(v6) }, media };
            prop_assert_eq!(Session::parse(session.to_string().as_bytes()).unwrap(), session);
        }
    }
}
