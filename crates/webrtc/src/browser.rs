use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rtc::ice::mdns::MulticastDnsMode;
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
use tokio::sync::mpsc;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
    RTCIceCandidateInit, RTCIceServer, RTCPeerConnectionIceEvent, RTCPeerConnectionState,
    RTCSessionDescription, Registry, SettingEngineBuilder, register_default_interceptors,
};

use crate::WebRtcConfig;
use crate::offer::{self, Offer};

/// News of one connection that wait to be fetched.
const NEWS: usize = 64;
/// How long a connection may take to be closed.
const CLOSING: Duration = Duration::from_secs(2);
/// Characters of the longest candidate taken.
const LONGEST_CANDIDATE: usize = 512;

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

/// A connection to a browser. It has to be closed: dropped, it would keep its socket.
pub struct Connection {
    peer: Arc<dyn PeerConnection>,
}

/// Connections to browsers. Cheap to clone.
#[derive(Clone)]
pub struct WebRtc {
    config: WebRtcConfig,
    next: Arc<AtomicU16>,
}

impl WebRtc {
    /// As configured.
    #[must_use]
    pub fn new(config: WebRtcConfig) -> Self {
        Self { config, next: Arc::default() }
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

    /// Answers a browser's offer.
    ///
    /// # Errors
    /// See [`WebRtcError`].
    pub async fn answer(&self, offer: &str) -> Result<Browser, WebRtcError> {
        let Offer { sdp, codec } = offer::read(offer)?;
        let (tell, news) = mpsc::channel(NEWS);
        let (ours, theirs) = Pipe::pair();
        let (to_browser, from_browser) = theirs.split();
        let handler = Arc::new(Handler { tell, heard: from_browser, external_ip: self.config.external_ip });
        let peer: Arc<dyn PeerConnection> = self.connect(handler).await?;
        let connection = Arc::new(Connection { peer });
        match connection.negotiate(sdp, codec, to_browser).await {
            Ok((answer, format)) => Ok(Browser { answer, format, pipe: ours, news, connection }),
            Err(error) => {
                connection.close().await;
                Err(error)
            }
        }
    }

    /// A connection on the next free port.
    async fn connect(&self, handler: Arc<Handler>) -> Result<Arc<dyn PeerConnection>, WebRtcError> {
        let (first, last) = (self.config.first_port, self.config.last_port);
        let count = last.saturating_sub(first).saturating_add(1);
        let mut failure = WebRtcError::NoPorts(first, last);
        // Whoever holds a port holds it for a call; a range that is full is found out soon enough.
        for _ in 0..count.min(64) {
            let port = first + self.next.fetch_add(1, Ordering::Relaxed) % count;
            let address = SocketAddr::new(self.config.ip, port);
            match self.builder(handler.clone())?.with_udp_addrs(vec![address]).build().await {
                Ok(peer) => return Ok(Arc::new(peer)),
                Err(error) => failure = error.into(),
            }
        }
        Err(failure)
    }

    fn builder(&self, handler: Arc<Handler>) -> Result<PeerConnectionBuilder<SocketAddr>, WebRtcError> {
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
        let registry = register_default_interceptors(Registry::new(), &mut media)?;
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
        Codec::Opus => codec(MIME_TYPE_OPUS, 48_000, 2, "minptime=10;useinbandfec=1;usedtx=1"),
        Codec::Pcmu | Codec::Pcma | Codec::G722 => codec(MIME_TYPE_PCMU, 8_000, 1, ""),
    }
}

impl Connection {
    /// Takes up an offer, and sends what comes out of `to_browser`.
    async fn negotiate(
        &self,
        offer: String,
        spoken: Codec,
        to_browser: mpsc::Receiver<Bytes>,
    ) -> Result<(String, LegFormat), WebRtcError> {
        let peer = &self.peer;
        peer.set_remote_description(RTCSessionDescription::offer(offer)?).await?;
        let ssrc = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0) as u32;
        let track = Arc::new(TrackLocalStaticRTP::new(MediaStreamTrack::new(
            "sotto".to_owned(),
            "voice".to_owned(),
            "voice".to_owned(),
            RtpCodecKind::Audio,
            vec![RTCRtpEncodingParameters {
                rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() },
                codec: voice(spoken),
                ..Default::default()
            }],
        )));
        let sender = peer.add_track(track.clone() as Arc<dyn TrackLocal>).await?;
        let answer = self.answered().await?;
        let agreed = sender.get_parameters().await?.rtp_parameters.codecs;
        let number = |mime: &str, clock: u32| {
            let is_it = |c: &&RTCRtpCodecParameters| {
                c.rtp_codec.mime_type.eq_ignore_ascii_case(mime) && c.rtp_codec.clock_rate == clock
            };
            agreed.iter().find(is_it).map(|c| c.payload_type)
        };
        let clock = spoken.clock_rate();
        let wanted = voice(spoken).mime_type;
        let payload_type = number(&wanted, clock)
            .ok_or_else(|| WebRtcError::Offer(format!("no {} was agreed on", spoken.name())))?;
        let events = number(MIME_TYPE_TELEPHONE_EVENT, clock).map(|number| (number, clock));
        let format = LegFormat {
            payloads: vec![(payload_type, spoken)],
            telephone_event: events,
            ptime_ms: Some(20),
            srtp: None,
        };
        tokio::spawn(say(track, ssrc, to_browser));
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

    /// Ends the connection.
    pub async fn close(&self) {
        match tokio::time::timeout(CLOSING, self.peer.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "closing a connection to a browser"),
            Err(_) => tracing::warn!("a connection to a browser was not closed in time"),
        }
    }
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

    #[tokio::test]
    async fn a_lite_agent_says_that_it_is_one() {
        let fingerprint = vec!["AB"; 32].join(":");
        let offer = format!(
            "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
             m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\n\
             a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=setup:actpass\r\n\
             a=fingerprint:sha-256 {fingerprint}\r\na=rtpmap:111 opus/48000/2\r\n"
        );
        for ice_lite in [false, true] {
            let config =
                WebRtcConfig { ip: "127.0.0.1".parse().unwrap(), ice_lite, ..WebRtcConfig::default() };
            let browser = WebRtc::new(config).answer(&offer).await.unwrap();
            assert_eq!(browser.answer.contains("a=ice-lite"), ice_lite, "{}", browser.answer);
            assert_eq!(browser.format.payloads, [(111, Codec::Opus)]);
            browser.connection.close().await;
        }
    }
}
