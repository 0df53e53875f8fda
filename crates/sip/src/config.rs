//! What can be configured about signalling. Embedded in the server's configuration file as `[sip]`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sotto_call::Party;

use crate::digest::Algorithm;
use crate::party::PartyRule;

/// Signalling: where to listen, whom to serve, and how to tell the agent from the customer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SipConfig {
    /// UDP addresses to listen on.
    pub udp: Vec<SocketAddr>,
    /// TCP addresses to listen on.
    pub tcp: Vec<SocketAddr>,
    /// Encrypted signalling.
    pub tls: TlsConfig,
    /// The address that peers reach us at when that is not the one we listen on (NAT): goes into Contact and
    /// into session descriptions.
    pub external_ip: Option<IpAddr>,
    /// Calls at the same time; one more is answered with 503 and Retry-After.
    pub max_calls: usize,
    /// Who may send requests: addresses and networks (`10.0.0.0/8`). Others get 403, or are asked for a password
    /// when there are `users`. Empty means everyone, or nobody without a password when there are `users`. The trunk
    /// need not be named.
    pub allowed_peers: Vec<Peers>,
    /// Names and passwords of those who may begin calls from elsewhere (RFC 3261 section 22): `mina = "…"`. Better
    /// given in the environment than in a file: `SOTTO_SIP__USERS__MINA`.
    pub users: Users,
    /// How passwords are asked for, the best first: `SHA-256` (RFC 8760), `MD5`. Many telephones that know MD5 only
    /// give up when they are asked for SHA-256 as well (baresip 1.0 does).
    pub digests: Vec<Algorithm>,
    /// Codecs, the most wanted first: `PCMU`, `PCMA`, `G722`, `opus`.
    pub codecs: Vec<String>,
    /// Who is the agent and who the customer: the first rule that can tell decides, when a stream begins. Metadata that
    /// comes later does not change it.
    pub party_rules: Vec<PartyRule>,
    /// The party of the first stream when no rule can tell; the second stream is the other's.
    pub first: FirstParty,
    /// Names of the headers that are understood.
    pub headers: HeaderNames,
    /// Headers of the INVITE that are kept with the call, by name.
    pub keep_headers: Vec<String>,
    /// Seconds that a joined call goes on after one of its two plain legs has ended.
    pub lone_leg_s: u64,
    /// Seconds without RTP on any leg after which a dialog is ended. While legs are paused, the peer is asked
    /// as often whether it still knows the dialog.
    pub rtp_timeout_s: u64,
    /// Seconds of the shortest session timer that is agreed to (RFC 4028 Min-SE).
    pub min_se_s: u64,
    /// Seconds after which a call that we place is over unless one side has refreshed it (RFC 4028); 0 asks for none.
    pub session_expires_s: u64,
    /// Takes RTP from any address although the session description names another: for senders behind an
    /// address translator. A description that names a private address while the INVITE came from a public
    /// one is taken so in any case.
    pub rtp_any_source: bool,
    /// The name in `User-Agent` and `Server`.
    pub user_agent: String,
    /// RFC 3261 T1 in milliseconds: the round-trip time that retransmissions start from.
    pub t1_ms: u64,
}

impl Default for SipConfig {
    fn default() -> Self {
        Self {
            udp: vec![SocketAddr::from(([0, 0, 0, 0], 5060))],
            tcp: vec![SocketAddr::from(([0, 0, 0, 0], 5060))],
            tls: TlsConfig::default(),
            external_ip: None,
            max_calls: 100,
            allowed_peers: Vec::new(),
            users: Users::default(),
            digests: vec![Algorithm::Md5],
            codecs: ["PCMU", "PCMA", "G722", "opus"].map(str::to_owned).to_vec(),
            party_rules: Vec::new(),
            first: FirstParty::Agent,
            headers: HeaderNames::default(),
            keep_headers: Vec::new(),
            lone_leg_s: 30,
            rtp_timeout_s: 300,
            min_se_s: 90,
            session_expires_s: 1_800,
            rtp_any_source: false,
            user_agent: concat!("sotto/", env!("CARGO_PKG_VERSION")).to_owned(),
            t1_ms: 500,
        }
    }
}

/// See [`SipConfig::tls`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// Addresses to listen on for TLS (RFC 3261 section 26.2), usually port 5061.
    pub listen: Vec<SocketAddr>,
    /// The file with our certificate and those that lead to its authority (PEM). A renewed one is taken up within
    /// seconds, for new connections.
    #[schemars(with = "Option<String>")]
    pub certificate: Option<PathBuf>,
    /// The file with its private key (PEM).
    #[schemars(with = "Option<String>")]
    pub key: Option<PathBuf>,
    /// The file with the authorities that we believe when we connect to others, a trunk above all (PEM). Absent: those
    /// that the system believes.
    #[schemars(with = "Option<String>")]
    pub ca: Option<PathBuf>,
}

/// See [`SipConfig::first`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FirstParty {
    /// The agent.
    #[default]
    Agent,
    /// The customer.
    Customer,
}

impl From<FirstParty> for Party {
    fn from(first: FirstParty) -> Self {
        match first {
            FirstParty::Agent => Self::Agent,
            FirstParty::Customer => Self::Customer,
        }
    }
}

/// The headers by which a plain INVITE says which call it belongs to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HeaderNames {
    /// Two INVITEs with the same value are the two legs of one call.
    pub call: String,
    /// Who speaks on the leg: `agent`, `customer` or `other`.
    pub party: String,
    /// BCP 47 code of the language spoken.
    pub language: String,
    /// Whether the customer agrees that their mood is read: `yes` or `no`. One leg that says no is enough. SIPREC metadata may
    /// say so as well, in an element `consent` of its recording, its session or a participant.
    pub consent: String,
    /// The agent or number a call is for, when that is not the one in the Request-URI. When the agent is not there, the
    /// number in the Request-URI is called, if it is one of `desk.numbers`; otherwise the caller is told 480.
    pub agent: String,
}

impl Default for HeaderNames {
    fn default() -> Self {
        Self {
            call: "X-Sotto-Call".to_owned(),
            party: "X-Sotto-Party".to_owned(),
            language: "X-Sotto-Language".to_owned(),
            consent: "X-Sotto-Consent".to_owned(),
            agent: "X-Sotto-Agent".to_owned(),
        }
    }
}

/// Passwords by user name.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Users(BTreeMap<String, String>);

impl Users {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn password(&self, user: &str) -> Option<&str> {
        self.0.get(user).map(String::as_str)
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Users {
    fn from(users: [(&str, &str); N]) -> Self {
        Self(users.into_iter().map(|(user, password)| (user.to_owned(), password.to_owned())).collect())
    }
}

/// Without the passwords.
impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// An address, or a network in CIDR form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Peers {
    network: IpAddr,
    bits: u8,
}

impl Peers {
    /// Whether `address` is the address, or in the network. An IPv4 address mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.bits);
                (network.to_bits() ^ address.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.bits);
                (network.to_bits() ^ address.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Peers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let network: IpAddr = address.trim().parse().map_err(|_| format!("{text:?} is not an address"))?;
        let most: u8 = if network.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) => bits
                .trim()
                .parse()
                .ok()
                .filter(|bits| *bits <= most)
                .ok_or_else(|| format!("{text:?}: a prefix of 0 to {most} bits is wanted"))?,
        };
        Ok(Self { network, bits })
    }
}

impl TryFrom<String> for Peers {
    type Error = String;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Peers> for String {
    fn from(peers: Peers) -> Self {
        peers.to_string()
    }
}

impl fmt::Display for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.bits)
    }
}

/// The address this machine uses towards `peer`: what a peer should be told when we listen on all of them.
pub(crate) fn local_ip_towards(peer: IpAddr) -> IpAddr {
    let any: IpAddr =
        if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // Connecting a UDP socket sends nothing; it only makes the system choose a route.
    let route = || {
        let socket = std::net::UdpSocket::bind((any, 0))?;
        socket.connect((peer, 9))?;
        socket.local_addr()
    };
    let loopback: IpAddr =
        if peer.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
    route().map_or(loopback, |address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_what_they_should() {
        for (peers, address, inside) in [
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db9::1", true),
        ] {
            let peers: Peers = peers.parse().unwrap();
            assert_eq!(peers.contains(address.parse().unwrap()), inside, "{peers} {address}");
        }
        for wrong in ["", "10.0.0.0/33", "::/129", "host", "10.0.0.0/"] {
            assert!(wrong.parse::<Peers>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(format!("{:?}", Users::from([("mina", "secret")])), "{\"mina\"}");
    }

    #[test]
    fn the_address_towards_ourselves_is_ours() {
        assert_eq!(local_ip_towards(Ipv4Addr::LOCALHOST.into()), IpAddr::from(Ipv4Addr::LOCALHOST));
    }
}
