use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::Slot;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::media_engine::{
    MIME_TYPE_OPUS, MIME_TYPE_PCMU, MIME_TYPE_TELEPHONE_EVENT,
};
use rtc::peer_connection::transport::RTCDtlsRole;
use rtc::rtp::Packet;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use rtc::shared::marshal::{Marshal, MarshalSize, Unmarshal};
use serde::{Deserialize, Serialize};
use sotto_audio::Codec;
use sotto_media::{LegFormat, Pipe};
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
    RTCIceCandidateInit, RTCIceGatheringState, RTCIceServer, RTCPeerConnectionIceEvent,
    RTCPeerConnectionState, RTCSessionDescription, Registry, SettingEngineBuilder,
    register_default_interceptors,
};

use crate::WebRtcConfig;
use crate::line::{Known, Line, Reports};
use crate::offer::{Direction, Offer};

/// News of one connection that wait to be fetched.
const NEWS: usize = 64;
/// How long a connection may take to be closed.
const CLOSING: Duration = Duration::from_secs(2);
/// Characters of the longest candidate taken.
const LONGEST_CANDIDATE: usize = 512;
/// Candidates taken of one browser: on many networks it has some dozens.
pub(crate) const MOST_CANDIDATES: usize = 100;
/// How Opus is spoken with browsers (RFC 7587 section 6.1): with in-band error correction, and without silence.
pub(crate) const OPUS: &str = "minptime=10;useinbandfec=1;usedtx=1";
/// Free ports that are tried, because others may take them as well.
const TRIES: u32 = 8;
/// How long it is waited for our own candidates where all of them have to be in the answer: a STUN server that does
/// not answer holds up nobody.
const GATHERING: Duration = Duration::from_secs(2);

/// Why there is no connection to a browser.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WebRtcError {
    /// The offer is none that can be answered.
    #[error("offer: {0}")]
    Offer(String),
    /// A candidate is none.
    #[error("candidate: {0}")]
    Candidate(String),
    /// Every port is taken.
    #[error("no free port between {0} and {1}")]
    NoPorts(u16, u16),
    /// The stack refuses.
    #[error("WebRTC: {0}")]
    Stack(String),
}

impl From<webrtc::error::Error> for WebRtcError {
    fn from(error: webrtc::error::Error) -> Self {
        Self::Stack(error.to_string())
    }
}

/// One way to reach a side (RFC 8839), as browsers write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// The attribute, from `candidate:` on.
    pub candidate: String,
    /// The section it is for.
    #[serde(default)]
    pub sdp_mid: Option<String>,
    /// The section's place.
    #[serde(default, rename = "sdpMLineIndex")]
    pub sdp_mline_index: Option<u16>,
}

/// What happens to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A way to reach us, for the browser.
    Candidate(Candidate),
    /// Audio can flow.
    Connected,
    /// Nothing has come for a while; it may come back.
    Lost,
    /// It will not come back by itself.
    Failed,
    /// All ways to reach us have been told.
    Gathered,
}

/// A browser that is being talked to.
pub struct Browser {
    /// Our description.
    pub answer: String,
    /// What both ends speak.
    pub format: LegFormat,
    /// Its audio, for a leg.
    pub pipe: Pipe,
    /// What happens to the connection.
    pub news: mpsc::Receiver<News>,
    /// The connection.
    pub connection: Arc<Connection>,
}

/// A connection to a browser. Dropped before it was closed, because whoever wanted it is gone, it is closed in the
/// background: the stack would keep its socket.
pub struct Connection {
    peer: Arc<dyn PeerConnection>,
    /// The browser's half of the names of connectivity checks, and the id of its end, as in its first offer.
    ufrag: String,
    session: String,
    /// What is spoken, and by whom.
    spoken: Codec,
    direction: Direction,
    /// See [`WebRtcConfig::external_ip`].
    external_ip: Option<IpAddr>,
    /// Candidates that may still come.
    candidates_left: AtomicUsize,
    is_closed: AtomicBool,
    /// Known for as long as there is the connection.
    _line: Known,
}

/// Connections to browsers. Cheap to clone.
#[derive(Clone)]
pub struct WebRtc {
    config: WebRtcConfig,
    next: Arc<AtomicU16>,
    lines: Arc<Mutex<Vec<Weak<Mutex<Line>>>>>,
}

impl WebRtc {
    /// As configured.
    #[must_use]
    pub fn new(config: WebRtcConfig) -> Self {
        Self { config, next: Arc::default(), lines: Arc::default() }
    }

    /// The servers that browsers may use to find a way to us.
    #[must_use]
    pub fn ice_servers(&self) -> &[crate::IceServer] {
        &self.config.ice_servers
    }

    /// Whether browsers reach us through one of them alone.
    #[must_use]
    pub fn relay_only(&self) -> bool {
        self.config.relay_only
    }

    /// How the ways to all browsers are that there are connections to.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.retain(|line| line.strong_count() > 0);
        let known = lines.iter().filter_map(Weak::upgrade);
        known.map(|line| *line.lock().unwrap_or_else(PoisonError::into_inner)).collect()
    }

    /// See [`WebRtcConfig::sessions_per_client`].
    #[must_use]
    pub fn sessions_per_client(&self) -> usize {
        self.config.sessions_per_client
    }

    /// Answers a browser's offer. Its candidates may follow, and ours do, as [`News`].
    ///
    /// # Errors
    /// See [`WebRtcError`].
    pub async fn answer(&self, offer: &str, direction: Direction) -> Result<Browser, WebRtcError> {
        let Offer { sdp, codec, ufrag, session } = Offer::read(offer, direction)?;
        let (tell, news) = mpsc::channel(NEWS);
        let (ours, theirs) = Pipe::pair();
        let (to_browser, from_browser) = theirs.split();
        let external_ip = self.config.external_ip;
        let handler = Arc::new(Handler { tell, heard: from_browser, external_ip });
        let line = Known::default();
        let peer: Arc<dyn PeerConnection> =
            self.connect(handler, || Reports::new(line.clone(), codec.clock_rate())).await?;
        {
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.retain(|line| line.strong_count() > 0);
            lines.push(Arc::downgrade(&line));
        }
        let candidates_left = AtomicUsize::new(MOST_CANDIDATES);
        let is_closed = AtomicBool::new(false);
        let connection = Arc::new(Connection {
            peer,
            ufrag,
            session,
            spoken: codec,
            direction,
            external_ip,
            candidates_left,
            is_closed,
            _line: line,
        });
        let to_browser = (direction != Direction::Sends).then_some(to_browser);
        match connection.negotiate(sdp, codec, to_browser).await {
            Ok((answer, format)) => {
                let answer = direction.answered(answer);
                Ok(Browser { answer, format, pipe: ours, news, connection })
            }
            Err(error) => {
                connection.close().await;
                Err(error)
            }
        }
    }

    /// The same for clients that nothing can be told later: all of our candidates are in the answer.
    ///
    /// # Errors
    /// See [`WebRtcError`].
    pub async fn answer_at_once(&self, offer: &str, direction: Direction) -> Result<Browser, WebRtcError> {
        let mut browser = self.answer(offer, direction).await?;
        let mut found = Vec::new();
        let gathering = async {
            while let Some(News::Candidate(Candidate { candidate, .. })) = browser.news.recv().await {
                found.push(candidate);
            }
        };
        let _ = tokio::time::timeout(GATHERING, gathering).await;
        let mut lines = found.iter().map(|candidate| format!("a={candidate}\r\n")).collect::<String>();
        lines.push_str("a=end-of-candidates\r\n");
        // There is one section, and the end of the description is its end.
        browser.answer.push_str(&lines);
        Ok(browser)
    }

    /// A connection on the next free port.
    async fn connect(
        &self,
        handler: Arc<Handler>,
        reports: impl Fn() -> Reports,
    ) -> Result<Arc<dyn PeerConnection>, WebRtcError> {
        let (first, last) = (self.config.first_port, self.config.last_port);
        let count = last.saturating_sub(first).saturating_add(1);
        let mut tries = TRIES;
        for _ in 0..count {
            let port = first + self.next.fetch_add(1, Ordering::Relaxed) % count;
            let address = SocketAddr::new(self.config.ip, port);
            // Whoever holds a port holds it for a call. To look is cheap, to build is not.
            match UdpSocket::bind(address) {
                Err(error) if error.kind() == ErrorKind::AddrInUse => continue,
                Err(error) => return Err(WebRtcError::Stack(format!("{address}: {error}"))),
                Ok(free) => drop(free),
            }
            tries -= 1;
            match self.builder(handler.clone(), reports())?.with_udp_addrs(vec![address]).build().await {
                Ok(peer) => return Ok(Arc::new(peer)),
                // Somebody has been faster.
                Err(error) if tries > 0 => tracing::debug!(%error, %address, "no connection on this address"),
                Err(error) => return Err(error.into()),
            }
        }
        Err(WebRtcError::NoPorts(first, last))
    }

    fn builder(
        &self,
        handler: Arc<Handler>,
        reports: Reports,
    ) -> Result<PeerConnectionBuilder<SocketAddr>, WebRtcError> {
        let mut media = MediaEngine::default();
        for (payload_type, codec) in [
            (111, voice(Codec::Opus)),
            (0, voice(Codec::Pcmu)),
            (110, codec(MIME_TYPE_TELEPHONE_EVENT, 48_000, 1, "0-16")),
            (126, codec(MIME_TYPE_TELEPHONE_EVENT, 8_000, 1, "0-16")),
        ] {
            let parameters = RTCRtpCodecParameters { rtp_codec: codec, payload_type };
            media.register_codec(parameters, RtpCodecKind::Audio)?;
        }
        // Nearest to the wire, so that it sees what the others make.
        let registry = Registry::new().with(Slot::Custom(500), reports);
        let registry = register_default_interceptors(registry, &mut media)?;
        let servers = self.config.ice_servers.iter().map(|server| RTCIceServer {
            urls: server.urls.clone(),
            username: server.username.clone(),
            credential: server.credential.clone(),
        });
        let settings = SettingEngineBuilder::new()
            // The browser speaks first, one round trip sooner.
            .with_answering_dtls_role(RTCDtlsRole::Server)
            // Browsers hide their addresses behind mDNS names; they reach us all the same.
            .with_multicast_dns_mode(MulticastDnsMode::Disabled)
            .with_include_loopback_candidate(true)
            .with_lite(self.config.ice_lite)
            .build();
        Ok(PeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::new().with_ice_servers(servers.collect()).build())
            .with_media_engine(media)
            .with_setting_engine(settings)
            .with_interceptor_registry(registry)
            .with_handler(handler))
    }
}

fn codec(mime_type: &str, clock_rate: u32, channels: u16, fmtp: &str) -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: mime_type.to_owned(),
        clock_rate,
        channels,
        sdp_fmtp_line: fmtp.to_owned(),
        rtcp_feedback: Vec::new(),
    }
}

fn voice(spoken: Codec) -> RTCRtpCodec {
    match spoken {
        Codec::Opus => codec(MIME_TYPE_OPUS, 48_000, 2, OPUS),
        Codec::Pcmu | Codec::Pcma | Codec::G722 => codec(MIME_TYPE_PCMU, 8_000, 1, ""),
    }
}

impl Connection {
    /// Takes up an offer, and sends what comes out of `to_browser`, where that hears anything.
    async fn negotiate(
        &self,
        offer: String,
        spoken: Codec,
        to_browser: Option<mpsc::Receiver<Bytes>>,
    ) -> Result<(String, LegFormat), WebRtcError> {
        let peer = &self.peer;
        peer.set_remote_description(RTCSessionDescription::offer(offer)?).await?;
        let speaks = match to_browser {
            Some(to_browser) => {
                let ssrc = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0) as u32;
                let track = track(spoken, ssrc);
                peer.add_track(track.clone() as Arc<dyn TrackLocal>).await?;
                Some((track, ssrc, to_browser))
            }
            None => None,
        };
        let answer = with_opus(self.answered().await?);
        let format = agreed(&answer, spoken)
            .ok_or_else(|| WebRtcError::Offer(format!("no {} was agreed on", spoken.name())))?;
        if let Some((track, ssrc, to_browser)) = speaks {
            tokio::spawn(say(track, ssrc, to_browser));
        }
        Ok((answer, format))
    }

    async fn answered(&self) -> Result<String, WebRtcError> {
        let answer = self.peer.create_answer(None).await?;
        self.peer.set_local_description(answer.clone()).await?;
        Ok(answer.sdp)
    }

    /// A way to reach the browser.
    ///
    /// # Errors
    /// When it is none.
    pub async fn candidate(&self, candidate: Candidate) -> Result<(), WebRtcError> {
        let take = |left: usize| left.checked_sub(1);
        if self.candidates_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            return Err(WebRtcError::Candidate("too many".to_owned()));
        }
        let text = &candidate.candidate;
        if text.len() > LONGEST_CANDIDATE || text.chars().any(char::is_control) {
            return Err(WebRtcError::Candidate("too long, or not text".to_owned()));
        }
        // The end of candidates, and names that only the browser's own network knows.
        if text.is_empty() || text.split(' ').nth(4).is_some_and(|address| address.ends_with(".local")) {
            return Ok(());
        }
        let init = RTCIceCandidateInit {
            candidate: candidate.candidate,
            sdp_mid: candidate.sdp_mid,
            sdp_mline_index: candidate.sdp_mline_index,
            ..Default::default()
        };
        self.peer.add_ice_candidate(init).await.map_err(|error| WebRtcError::Candidate(error.to_string()))
    }

    /// Whether this is the browser's half of the names of connectivity checks; another one means a restart.
    #[must_use]
    pub fn is_checked_as(&self, ufrag: &str) -> bool {
        self.ufrag == ufrag
    }

    /// Whether an offer is of the browser's end of this connection, and gives its checks other names: it restarts the
    /// connection, and is not of another one.
    #[must_use]
    pub fn is_restarted_by(&self, offer: &str) -> bool {
        let Ok(Offer { ufrag, session, .. }) = Offer::read(offer, self.direction) else { return false };
        !session.is_empty() && session == self.session && !self.is_checked_as(&ufrag)
    }

    /// Looks for the ways between the two anew (ICE restart, RFC 8445 section 9), as the browser offers
    /// ([`Self::is_restarted_by`]), while everything else stays as it was agreed on: our description, which has the ways to
    /// us that are known; the browser's candidates may follow.
    ///
    /// # Errors
    /// See [`WebRtcError`].
    pub async fn restart(&self, offer: &str) -> Result<String, WebRtcError> {
        let Offer { sdp, codec, .. } = Offer::read(offer, self.direction)?;
        if codec != self.spoken {
            return Err(WebRtcError::Offer(format!("{} was agreed on", self.spoken.name())));
        }
        self.candidates_left.store(MOST_CANDIDATES, Ordering::Relaxed);
        self.peer.set_remote_description(RTCSessionDescription::offer(sdp)?).await?;
        let answer = with_opus(self.answered().await?);
        let seen = answer.lines().map(|line| match (line.strip_prefix("a="), self.external_ip) {
            (Some(attribute), Some(ip)) if attribute.starts_with("candidate:") => {
                format!("a={}\r\n", as_seen_from_outside(attribute, ip))
            }
            _ => format!("{line}\r\n"),
        });
        Ok(self.direction.answered(seen.collect()))
    }

    /// Ends the connection.
    pub async fn close(&self) {
        close(&*self.peer).await;
        self.is_closed.store(true, Ordering::Relaxed);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !*self.is_closed.get_mut()
            && let Ok(runtime) = Handle::try_current()
        {
            let peer = self.peer.clone();
            runtime.spawn(async move { close(&*peer).await });
        }
    }
}

async fn close(peer: &dyn PeerConnection) {
    match tokio::time::timeout(CLOSING, peer.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "closing a connection to a browser"),
        Err(_) => tracing::warn!("a connection to a browser was not closed in time"),
    }
}

/// Our voice, as it is announced to the browser.
fn track(spoken: Codec, ssrc: u32) -> Arc<TrackLocalStaticRTP> {
    Arc::new(TrackLocalStaticRTP::new(MediaStreamTrack::new(
        "sotto".to_owned(),
        "voice".to_owned(),
        "voice".to_owned(),
        RtpCodecKind::Audio,
        vec![RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() },
            codec: voice(spoken),
            ..Default::default()
        }],
    )))
}

/// An answer of ours that says how we want to hear Opus (RFC 7587 section 6.1), whatever the stack repeats of the offer:
/// one channel, with what conceals losses, and nothing while nobody speaks.
fn with_opus(answer: String) -> String {
    let map = answer.lines().filter_map(|line| line.strip_prefix("a=rtpmap:")?.split_once(' '));
    let mut opus = map.filter(|(_, map)| map.to_ascii_lowercase().starts_with("opus/"));
    let Some((number, _)) = opus.next() else { return answer };
    let parameters = format!("a=fmtp:{number} ");
    let lines = answer.lines().map(|line| match line.starts_with(&parameters) {
        true => format!("{parameters}{OPUS};stereo=0;sprop-stereo=0\r\n"),
        false => format!("{line}\r\n"),
    });
    lines.collect()
}

/// What an answer of ours says that both speak.
fn agreed(answer: &str, spoken: Codec) -> Option<LegFormat> {
    let number = |name: &str, clock: u32| {
        let wanted = format!("{name}/{clock}").to_ascii_lowercase();
        let mut maps = answer.lines().filter_map(|line| line.strip_prefix("a=rtpmap:")?.split_once(' '));
        let (number, _) = maps.find(|(_, map)| {
            let map = map.to_ascii_lowercase();
            map.strip_prefix(&wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })?;
        number.parse().ok()
    };
    let clock = spoken.clock_rate();
    Some(LegFormat {
        payloads: vec![(number(spoken.name(), clock)?, spoken)],
        telephone_event: number("telephone-event", clock).map(|number| (number, clock)),
        ptime_ms: Some(20),
        srtp: None,
    })
}

/// Sends a leg's packets to the browser, as the source that was announced to it.
async fn say(track: Arc<TrackLocalStaticRTP>, ssrc: u32, mut packets: mpsc::Receiver<Bytes>) {
    while let Some(datagram) = packets.recv().await {
        let Ok(mut packet) = Packet::unmarshal(&mut datagram.clone()) else { continue };
        packet.header.ssrc = ssrc;
        if let Err(error) = track.write_rtp(packet).await {
            tracing::debug!(%error, "not sent to the browser");
        }
    }
}

/// Told by the stack, which waits for us: nothing here takes time.
struct Handler {
    tell: mpsc::Sender<News>,
    heard: mpsc::Sender<Bytes>,
    external_ip: Option<IpAddr>,
}

impl Handler {
    fn tell(&self, news: News) {
        if self.tell.try_send(news).is_err() {
            tracing::debug!("nobody took this news of a connection to a browser");
        }
    }
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        let Ok(init) = event.candidate.to_json() else { return };
        if init.candidate.is_empty() {
            return;
        }
        let candidate = match self.external_ip {
            Some(ip) => as_seen_from_outside(&init.candidate, ip),
            None => init.candidate,
        };
        self.tell(News::Candidate(Candidate { candidate, sdp_mid: None, sdp_mline_index: Some(0) }));
    }

    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.tell(News::Gathered);
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        match state {
            RTCPeerConnectionState::Connected => self.tell(News::Connected),
            RTCPeerConnectionState::Disconnected => self.tell(News::Lost),
            RTCPeerConnectionState::Failed => self.tell(News::Failed),
            _ => {}
        }
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let heard = self.heard.clone();
        tokio::spawn(async move {
            let mut bytes = BytesMut::new();
            while let Some(event) = track.poll().await {
                let TrackRemoteEvent::OnRtpPacket(packet) = event else { continue };
                bytes.resize(packet.marshal_size(), 0);
                if let Ok(length) = packet.marshal_to(&mut bytes) {
                    bytes.truncate(length);
                    // Lost when the leg does not get to run, as on a network.
                    let _ = heard.try_send(bytes.split().freeze());
                }
            }
        });
    }
}

/// A candidate of ours with the address that others see (NAT 1:1), when it is an inner one.
fn as_seen_from_outside(candidate: &str, external: IpAddr) -> String {
    let mut fields: Vec<&str> = candidate.split(' ').collect();
    let seen = external.to_string();
    let is_host = fields.windows(2).any(|pair| pair == ["typ", "host"]);
    if is_host
        && let Some(address) = fields.get_mut(4)
        && let Ok(ip) = address.parse::<IpAddr>()
        && !ip.is_loopback()
        && ip.is_ipv4() == external.is_ipv4()
    {
        *address = &seen;
    }
    fields.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_addresses_are_replaced_by_the_outer_one() {
        let outside = "203.0.113.7".parse().unwrap();
        let host = "candidate:1 1 udp 2130706431 10.0.0.5 21000 typ host";
        assert_eq!(as_seen_from_outside(host, outside), host.replace("10.0.0.5", "203.0.113.7"));
        for same in [
            "candidate:1 1 udp 2130706431 127.0.0.1 21000 typ host",
            "candidate:1 1 udp 2130706431 fd00::1 21000 typ host",
            "candidate:1 1 udp 1 198.51.100.9 4000 typ srflx raddr 10.0.0.5 rport 21000",
            "",
        ] {
            assert_eq!(as_seen_from_outside(same, outside), same);
        }
    }

    /// An offer as Chromium makes it, of these payload types.
    fn offer(maps: &str) -> String {
        let fingerprint = vec!["AB"; 32].join(":");
        let numbers = maps.lines().filter_map(|line| line.strip_prefix("a=rtpmap:")?.split(' ').next());
        let numbers: Vec<&str> = numbers.collect();
        format!(
            "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
             m=audio 9 UDP/TLS/RTP/SAVPF {}\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\n\
             a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=setup:actpass\r\n\
             a=fingerprint:sha-256 {fingerprint}\r\n{maps}",
            numbers.join(" ")
        )
    }

    const OPUS_STEREO: &str = "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=0;stereo=1\r\na=rtpmap:0 PCMU/8000\r\n";

    fn here() -> WebRtcConfig {
        WebRtcConfig { ip: "127.0.0.1".parse().unwrap(), ..WebRtcConfig::default() }
    }

    #[tokio::test]
    async fn opus_is_heard_in_one_channel_with_error_correction_and_without_silence() {
        let browser = WebRtc::new(here()).answer(&offer(OPUS_STEREO), Direction::Both).await.unwrap();
        assert_eq!(browser.format.payloads, [(111, Codec::Opus)]);
        let parameters = browser.answer.lines().find_map(|line| line.strip_prefix("a=fmtp:111 ")).unwrap();
        for wanted in ["useinbandfec=1", "usedtx=1", "stereo=0", "sprop-stereo=0"] {
            assert!(parameters.split(';').any(|parameter| parameter == wanted), "{}", browser.answer);
        }
        browser.connection.close().await;
    }

    #[tokio::test]
    async fn who_does_not_speak_opus_is_spoken_to_in_pcmu() {
        let maps = "a=rtpmap:0 PCMU/8000\r\na=rtpmap:126 telephone-event/8000\r\n";
        let browser = WebRtc::new(here()).answer(&offer(maps), Direction::Both).await.unwrap();
        assert_eq!(browser.format.payloads, [(0, Codec::Pcmu)]);
        assert_eq!(browser.format.telephone_event, Some((126, 8_000)));
        browser.connection.close().await;
    }

    #[tokio::test]
    async fn a_range_of_ports_that_is_full_is_said_to_be() {
        let taken = [UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap()];
        for socket in &taken {
            let port = socket.local_addr().unwrap().port();
            let config = WebRtcConfig { first_port: port, last_port: port, ..here() };
            let refused = WebRtc::new(config).answer(&offer(OPUS_STEREO), Direction::Both).await.err();
            assert!(
                matches!(refused, Some(WebRtcError::NoPorts(first, last)) if (first, last) == (port, port))
            );
        }
        let elsewhere = WebRtcConfig { ip: "203.0.113.7".parse().unwrap(), ..WebRtcConfig::default() };
        let refused = WebRtc::new(elsewhere).answer(&offer(OPUS_STEREO), Direction::Both).await.err();
        assert!(
            refused.is_some_and(|error| error.to_string().contains("203.0.113.7")),
            "it is not our address"
        );
    }

    #[tokio::test]
    async fn a_client_that_nothing_can_be_told_later_gets_all_candidates_as_seen_from_outside() {
        let outside: IpAddr = "203.0.113.7".parse().unwrap();
        let config = WebRtcConfig { external_ip: Some(outside), ..WebRtcConfig::default() };
        let webrtc = WebRtc::new(config);
        let browser = webrtc.answer_at_once(&offer(OPUS_STEREO), Direction::Sends).await.unwrap();
        assert!(browser.answer.contains("a=recvonly\r\n"), "{}", browser.answer);
        let listener = offer(OPUS_STEREO).replace("sendrecv", "recvonly");
        let listener = webrtc.answer(&listener, Direction::Receives).await.unwrap();
        assert!(listener.answer.contains("a=sendonly\r\n"), "{}", listener.answer);
        listener.connection.close().await;
        drop(listener);
        let found: Vec<&str> =
            browser.answer.lines().filter(|line| line.starts_with("a=candidate:")).collect();
        let addresses = found.iter().filter_map(|line| line.split(' ').nth(4)?.parse::<IpAddr>().ok());
        for address in addresses.filter(|address| address.is_ipv4() && !address.is_loopback()) {
            assert_eq!(address, outside, "{}", browser.answer);
        }
        assert!(browser.answer.ends_with("a=end-of-candidates\r\n"));
        assert_eq!(webrtc.lines(), [Line::default()]);
        browser.connection.close().await;
        drop(browser);
        assert!(webrtc.lines().is_empty());
    }

    /// A STUN server that we reach through a NAT: whoever asks it is told that they come from `outside` (RFC 8489 sections
    /// 5 and 14.2).
    async fn tell_outside(server: tokio::net::UdpSocket, outside: std::net::SocketAddrV4) {
        const COOKIE: u32 = 0x2112_a442;
        let mut request = [0; 512];
        while let Ok((length, from)) = server.recv_from(&mut request).await {
            let (head, transaction) = request[..length.min(20)].split_at(8);
            assert!(head.starts_with(&[0, 1]) && head.ends_with(&COOKIE.to_be_bytes()), "no binding request");
            let mut answer = vec![1, 1, 0, 12];
            answer.extend_from_slice(&COOKIE.to_be_bytes());
            answer.extend_from_slice(transaction);
            // XOR-MAPPED-ADDRESS, eight bytes, IPv4.
            answer.extend_from_slice(&[0, 0x20, 0, 8, 0, 1]);
            answer.extend_from_slice(&(outside.port() ^ 0x2112).to_be_bytes());
            answer.extend_from_slice(&(u32::from(*outside.ip()) ^ COOKIE).to_be_bytes());
            server.send_to(&answer, from).await.unwrap();
        }
    }

    #[tokio::test]
    async fn the_address_that_a_stun_server_sees_is_a_way_to_reach_us() {
        let server = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let urls = vec![format!("stun:{}", server.local_addr().unwrap())];
        let ice_servers = vec![crate::IceServer { urls, ..Default::default() }];
        let answering = tokio::spawn(tell_outside(server, "198.51.100.9:40000".parse().unwrap()));
        let webrtc = WebRtc::new(WebRtcConfig { ice_servers, ..here() });
        let browser = webrtc.answer_at_once(&offer(OPUS_STEREO), Direction::Both).await.unwrap();
        let typed = |wanted: &str| {
            let ways = browser.answer.lines().filter(|line| line.starts_with("a=candidate:"));
            let mut ways = ways.map(|line| line.split(' ').collect::<Vec<_>>());
            let way = ways.find(|way| way.get(6..8).is_some_and(|kind| kind == ["typ", wanted]));
            way.unwrap_or_else(|| panic!("no {wanted} in {}", browser.answer))
        };
        let (inside, seen) = (typed("host"), typed("srflx"));
        assert_eq!(seen[4..6], ["198.51.100.9", "40000"]);
        // What it is an outer side of (RFC 8839 section 5.1).
        assert_eq!(seen[8..], ["raddr", inside[4], "rport", inside[5]]);
        browser.connection.close().await;
        answering.abort();
        assert!(answering.await.unwrap_err().is_cancelled(), "what it was asked was no binding request");
    }

    #[tokio::test]
    async fn a_connection_that_nobody_wants_any_more_gives_its_port_back() {
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let webrtc = WebRtc::new(WebRtcConfig { first_port: port, last_port: port, ..here() });
        let offer = offer(OPUS_STEREO);
        drop(webrtc.answer(&offer, Direction::Both).await.unwrap());
        let again = async {
            loop {
                match webrtc.answer(&offer, Direction::Both).await {
                    Ok(browser) => break browser,
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        let browser = tokio::time::timeout(Duration::from_secs(10), again).await.unwrap();
        browser.connection.close().await;
    }

    #[tokio::test]
    async fn an_offer_of_the_same_end_with_other_names_restarts_the_connection() {
        let first = offer(OPUS_STEREO);
        let outside: IpAddr = "203.0.113.7".parse().unwrap();
        let webrtc = WebRtc::new(WebRtcConfig { external_ip: Some(outside), ..here() });
        let mut browser = webrtc.answer(&first, Direction::Both).await.unwrap();
        while browser.news.recv().await.is_some_and(|news| news != News::Gathered) {}
        let connection = browser.connection.clone();
        let again = first
            .replace("o=- 1 2", "o=- 1 3")
            .replace("ufrag:abcd", "ufrag:efgh")
            .replace("pwd:abcd", "pwd:efgh");
        let other = again.replace("o=- 1 ", "o=- 2 ");
        let is_restarted = [&first, &other, &again].map(|offer| connection.is_restarted_by(offer));
        assert_eq!(is_restarted, [false, false, true]);
        let name = |answer: &str| {
            let line = answer.lines().find(|line| line.starts_with("a=ice-ufrag:"));
            line.unwrap().to_owned()
        };
        let fingerprint = |answer: &str| {
            let line = answer.lines().find(|line| line.starts_with("a=fingerprint:"));
            line.unwrap().to_owned()
        };
        let answer = connection.restart(&again).await.unwrap();
        assert_ne!(name(&answer), name(&browser.answer));
        assert!(
            answer.contains("\r\na=candidate:"),
            "nothing is told later of ways that are known: {answer}"
        );
        assert_eq!(fingerprint(&answer), fingerprint(&browser.answer));
        assert_eq!(agreed(&answer, Codec::Opus), Some(browser.format));
        let deaf = again.replace("opus/48000/2", "speex/16000");
        assert!(connection.restart(&deaf).await.is_err(), "what is spoken was agreed on");
        connection.close().await;
        assert!(connection.restart(&again).await.is_err());
    }

    #[tokio::test]
    async fn more_candidates_than_any_browser_has_are_refused() {
        let browser = WebRtc::new(here()).answer(&offer(OPUS_STEREO), Direction::Both).await.unwrap();
        let candidate = |n: usize| Candidate {
            candidate: format!("candidate:{n} 1 udp 2122260223 127.0.0.1 {} typ host", 40_000 + n),
            sdp_mid: Some("0".to_owned()),
            sdp_mline_index: None,
        };
        for n in 0..MOST_CANDIDATES {
            browser.connection.candidate(candidate(n)).await.unwrap();
        }
        assert!(browser.connection.candidate(candidate(0)).await.is_err());
        browser.connection.close().await;
    }

    #[tokio::test]
    async fn a_lite_agent_says_that_it_is_one() {
        for ice_lite in [false, true] {
            let config = WebRtcConfig { ice_lite, ..here() };
            let browser = WebRtc::new(config).answer(&offer(OPUS_STEREO), Direction::Both).await.unwrap();
            assert_eq!(browser.answer.contains("a=ice-lite"), ice_lite, "{}", browser.answer);
            browser.connection.close().await;
        }
    }
}
