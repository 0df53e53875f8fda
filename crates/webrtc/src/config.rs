//! What can be configured about browsers' audio. Embedded in the server's configuration file as `[webrtc]`.

use std::net::{IpAddr, Ipv4Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Audio between browsers and Sotto.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WebRtcConfig {
    /// The address to exchange audio with browsers on; `0.0.0.0` for every interface.
    #[schemars(with = "String")]
    pub ip: IpAddr,
    /// The first UDP port for it.
    pub first_port: u16,
    /// The last UDP port for it: one is taken for each browser in a call.
    pub last_port: u16,
    /// The address that browsers reach us at when that is not the one we have (NAT).
    pub external_ip: Option<IpAddr>,
    /// STUN and TURN servers that browsers, and we, may use.
    pub ice_servers: Vec<IceServer>,
    /// Browsers reach us through a TURN server alone, as in networks that let nothing else out.
    pub relay_only: bool,
    /// Only answers connectivity checks and sends none (RFC 8445 section 2.5): for a server with an address that
    /// every browser reaches.
    pub ice_lite: bool,
    /// WHIP and WHEP sessions that one user, or one key, may have at once.
    pub sessions_per_client: usize,
}

impl Default for WebRtcConfig {
    fn default() -> Self {
        Self {
            ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            first_port: 21_000,
            last_port: 21_499,
            external_ip: None,
            ice_servers: Vec::new(),
            relay_only: false,
            ice_lite: false,
            sessions_per_client: 20,
        }
    }
}

/// A server that helps to find a way between two networks (RFC 8489, RFC 8656).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(default, deny_unknown_fields)]
pub struct IceServer {
    /// Its addresses: `stun:stun.example:3478`, `turn:turn.example:3478?transport=udp`.
    pub urls: Vec<String>,
    /// The name to use it by, for TURN.
    pub username: String,
    /// The password to use it by, for TURN.
    pub credential: String,
}
