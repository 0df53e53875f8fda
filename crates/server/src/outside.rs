//! What is fetched from other machines: over TLS, from no address that a machine of that kind has no business to have, and not
//! by a proxy, which connects to what nobody here has looked at.
//!
//! Whoever answers for a name may have it point into our own network. A name is looked up once, and what is connected to is
//! one of the addresses that were looked at (no rebinding). Redirects are for the caller to look at.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ureq::Agent;
use ureq::config::{Config, ConfigBuilder};
use ureq::http::Uri;
use ureq::tls::TlsConfig;
use ureq::typestate::AgentScope;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// How something is asked for that may take so long in all.
pub(crate) fn config(patience: Duration) -> ConfigBuilder<AgentScope> {
    Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(sotto_models::root_certificates()).build())
        .https_only(true)
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(concat!("sotto/", env!("CARGO_PKG_VERSION")))
        .timeout_global(Some(patience))
}

/// Asks at addresses of the internet alone, or, where `private` says so, of a private network as well.
pub(crate) fn agent(config: Config, private: bool) -> Agent {
    let resolver = Reachable { resolver: DefaultResolver::default(), private };
    Agent::with_parts(config, DefaultConnector::default(), resolver)
}

/// Finds addresses as usual, and gives out none that must not be connected to.
#[derive(Debug)]
struct Reachable {
    resolver: DefaultResolver,
    private: bool,
}

impl Resolver for Reachable {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut allowed = self.empty();
        for address in &self.resolver.resolve(uri, config, timeout)? {
            if may_reach(address.ip(), self.private) {
                allowed.push(*address);
            }
        }
        if allowed.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(allowed) }
    }
}

/// Whether an address is one of the internet's, by the registries of special ones (RFC 6890 and what IANA added), or, where that
/// is allowed, of a private network. Never this machine, nor what only neighbours or clouds' own services have.
pub(crate) fn may_reach(address: IpAddr, private: bool) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            // RFC 1918, and what providers have between themselves and their customers (RFC 6598).
            if address.is_private() || a == 100 && b & 0xc0 == 64 {
                return private;
            }
            let special = address.is_loopback()
                || address.is_link_local()
                || address.is_multicast()
                || address.is_documentation();
            // "This" network, protocols' own, 6to4 relays, benchmarks, and what is reserved.
            let reserved = a == 0
                || a >= 240
                || [a, b, c] == [192, 0, 0]
                || [a, b, c] == [192, 88, 99]
                || a == 198 && b & 0xfe == 18;
            !special && !reserved
        }
        IpAddr::V6(address) => {
            if address.is_unique_local() {
                return private;
            }
            let [a, b, middle @ .., high, low] = address.segments();
            // Translated (RFC 6052): what it stands for.
            if (a, b) == (0x64, 0xff9b) && middle == [0; 4] {
                let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
                return may_reach(Ipv4Addr::new(a, b, c, d).into(), private);
            }
            // Global unicast (RFC 4291 section 2.4), but for protocols' own and what leads to an IPv4 address of its choice
            // (Teredo, 6to4), and documentation.
            let special = a == 0x2001 && b < 0x200 || (a, b) == (0x2001, 0xdb8) || a == 0x2002 || a == 0x3fff;
            a & 0xe000 == 0x2000 && !special
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_on_the_internet_is_out_of_reach_and_this_machine_always() {
        for address in [
            "8.8.8.8",
            "93.184.216.34",
            "100.128.0.1",
            "172.32.0.1",
            "2606:2800:220:1::1",
            "64:ff9b::808:808",
        ] {
            assert!(may_reach(address.parse().unwrap(), false), "{address}");
        }
        for address in ["10.0.0.5", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd00::1", "::ffff:10.0.0.5"] {
            assert!(
                !may_reach(address.parse().unwrap(), false) && may_reach(address.parse().unwrap(), true),
                "{address}"
            );
        }
        for address in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::",
            "0.0.0.0",
            "169.254.169.254",
            "fe80::1",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "240.0.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.7",
            "2001:db8::1",
            "2002:7f00:1::",
            "2001::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "::127.0.0.1",
        ] {
            assert!(!may_reach(address.parse().unwrap(), true), "{address}");
        }
    }

    #[test]
    fn a_name_of_this_machine_is_not_looked_up() {
        let agent = agent(config(Duration::from_secs(30)).build(), true);
        let error = agent.get("https://localhost/").call().unwrap_err();
        assert!(matches!(error, ureq::Error::HostNotFound), "{error}");
    }
}
