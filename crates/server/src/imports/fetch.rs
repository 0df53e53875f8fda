//! Recordings that lie on other machines: only on hosts that the configuration names, by HTTPS, of bounded size and within a
//! bounded time, and at no address that a host of that kind has no business to have. A name is looked up once, and what is
//! connected to is one of the addresses that were looked at (no rebinding); redirects are not followed.

use std::fs::File;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use axum::http::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ureq::config::Config;
use ureq::tls::TlsConfig;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, http};

use super::Trouble;

/// A connection that delivers nothing for so long is given up.
const STALL: Duration = Duration::from_secs(30);

/// A host that recordings are fetched from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordingHost {
    /// Its name, with a port where that is not 443: `pbx.example`.
    pub host: String,
    /// Whether it is within your own network: it may then have private addresses.
    #[serde(default)]
    pub private: bool,
}

impl RecordingHost {
    /// Whether it can be the host of an address.
    pub(super) fn is_name(&self) -> bool {
        let uri = format!("https://{}/", self.host).parse::<Uri>();
        uri.is_ok_and(|uri| uri.authority().is_some_and(|authority| authority.as_str() == self.host))
            && !self.host.contains('@')
    }
}

/// The host of an address that recordings may be fetched from, as it is configured.
///
/// # Errors
/// Why they may not, without the address, which may hold a secret.
pub(super) fn allowed<'a>(url: &str, hosts: &'a [RecordingHost]) -> Result<&'a RecordingHost, String> {
    let uri: Uri = url.parse().map_err(|_| "it is no address".to_owned())?;
    if uri.scheme_str() != Some("https") {
        return Err("recordings are fetched by https alone".to_owned());
    }
    let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    if authority.contains('@') {
        return Err("it holds a name or a password".to_owned());
    }
    let bare = authority.strip_suffix(":443").unwrap_or(authority);
    let is_it =
        |one: &&RecordingHost| one.host.strip_suffix(":443").unwrap_or(&one.host).eq_ignore_ascii_case(bare);
    hosts.iter().find(is_it).ok_or_else(|| format!("`{bare}` is not one of `imports.hosts`"))
}

/// Fetches a recording into a file, which is made anew. Blocking.
///
/// # Errors
/// [`Trouble::ForGood`] where asking again would not help.
pub(super) fn fetch(
    url: &str,
    hosts: &[RecordingHost],
    to: &Path,
    most: u64,
    patience: Duration,
) -> Result<(), Trouble> {
    let host = allowed(url, hosts).map_err(|why| Trouble::ForGood(anyhow!(why)))?;
    let guarded = Guarded { resolver: DefaultResolver::default(), private: host.private };
    let config = config(patience).https_only(true).build();
    download(&Agent::with_parts(config, DefaultConnector::default(), guarded), url, to, most)
}

fn config(patience: Duration) -> ureq::config::ConfigBuilder<ureq::typestate::AgentScope> {
    Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(sotto_models::root_certificates()).build())
        // What a proxy connects to nobody here has looked at.
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(concat!("sotto/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("identity")
        .timeout_global(Some(patience))
        .timeout_per_read(Some(STALL))
}

fn download(agent: &Agent, url: &str, to: &Path, most: u64) -> Result<(), Trouble> {
    // What went wrong must not tell the address.
    let response = agent.get(url).call().map_err(|error| match error {
        ureq::Error::HostNotFound => anyhow!("the host is not found, or has no address that may be used"),
        ureq::Error::Timeout(_) => anyhow!("it takes too long"),
        ureq::Error::Io(error) => anyhow!(error).context("the connection failed"),
        _ => anyhow!("the request failed"),
    })?;
    let status = response.status().as_u16();
    match status {
        200 => {}
        408 | 429 | 500.. => return Err(Trouble::Later(anyhow!("the host answered {status}"))),
        300..400 => {
            return Err(Trouble::ForGood(anyhow!(
                "the host sends elsewhere ({status}), which is not followed"
            )));
        }
        _ => return Err(Trouble::ForGood(anyhow!("the host answered {status}"))),
    }
    let mut body = response.into_body().into_reader().take(most.saturating_add(1));
    let mut file = File::create(to).context("no file for it")?;
    let length = std::io::copy(&mut body, &mut file).context("it was cut short")?;
    if length > most {
        return Err(Trouble::ForGood(anyhow!("it has more than {} MB (`imports.max_mb`)", most >> 20)));
    }
    Ok(())
}

/// Gives out no address that must not be connected to.
#[derive(Debug)]
struct Guarded {
    resolver: DefaultResolver,
    private: bool,
}

impl Resolver for Guarded {
    fn resolve(
        &self,
        uri: &http::Uri,
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

/// Whether an address is one of the internet's, or, where that is allowed, of a private network. Never this machine, nor what
/// only neighbours or clouds' own services have.
fn may_reach(address: IpAddr, private: bool) -> bool {
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
            // "This" network, protocols' own, 6to4 relays, benchmarks, and what is reserved (RFC 6890).
            let reserved = a == 0
                || a >= 240
                || [a, b, c] == [192, 0, 0]
                || [a, b, c] == [192, 88, 99]
                || a == 198 && b & 0xfe == 18;
            !special && !reserved
        }
        IpAddr::V6(address) => {
            let [a, b, ..] = address.segments();
            if address.is_unique_local() {
                return private;
            }
            // Global unicast (RFC 4291 section 2.4), but for what leads to an IPv4 address of its choice (Teredo, 6to4) and
            // documentation.
            a & 0xe000 == 0x2000 && (a, b) != (0x2001, 0) && (a, b) != (0x2001, 0xdb8) && a != 0x2002
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;

    use super::*;

    fn hosts() -> Vec<RecordingHost> {
        let host = |host: &str, private| RecordingHost { host: host.to_owned(), private };
        vec![host("pbx.example", false), host("inside.example:8443", true)]
    }

    #[test]
    fn recordings_are_fetched_from_named_hosts_by_https_alone() {
        let hosts = hosts();
        for url in [
            "https://pbx.example/a.wav",
            "https://PBX.example:443/a.wav?token=1",
            "https://inside.example:8443/a",
        ] {
            assert!(allowed(url, &hosts).is_ok(), "{url}");
        }
        for url in [
            "http://pbx.example/a.wav",
            "https://pbx.example.evil.example/a.wav",
            "https://evil.example/pbx.example",
            "https://pbx.example:8443/a",
            "https://inside.example/a",
            "https://pbx.example@evil.example/a",
            "https://user:secret@pbx.example/a",
            "https://pbx.example\\@evil.example/a",
            "//pbx.example/a",
            "file:///etc/passwd",
            "ftp://pbx.example/a",
            "https:///a",
            "",
        ] {
            let why = allowed(url, &hosts).unwrap_err();
            assert!(!why.contains("secret"), "{why}");
        }
        assert!(hosts.iter().all(RecordingHost::is_name));
        for host in ["", "https://pbx.example", "pbx.example/a", "a b", "me@pbx.example"] {
            assert!(!RecordingHost { host: host.to_owned(), private: false }.is_name(), "{host}");
        }
    }

    #[test]
    fn what_is_not_on_the_internet_is_out_of_reach_and_this_machine_always() {
        for address in ["93.184.216.34", "2606:2800:220:1::1"] {
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
            "192.0.2.1",
            "198.18.0.1",
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
        let guarded = Guarded { resolver: DefaultResolver::default(), private: true };
        let agent = Agent::with_parts(config(STALL).build(), DefaultConnector::default(), guarded);
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://localhost:{}/a", listener.local_addr().unwrap().port());
        let Err(Trouble::Later(error)) = download(&agent, &url, &folder.path().join("a"), 9) else {
            panic!()
        };
        assert!(error.to_string().contains("no address that may be used"), "{error:#}");
    }

    /// What becomes of an answer, and what is in the file then.
    fn answered(answer: &'static str) -> (Result<(), Trouble>, String) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/secret", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4_096];
            assert!(stream.read(&mut request).unwrap() > 0);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let fetched = download(&config(STALL).build().new_agent(), &url, &file, 9);
        server.join().unwrap();
        if let Err(Trouble::Later(error) | Trouble::ForGood(error)) = &fetched {
            assert!(!format!("{error:#}").contains("secret"), "{error:#}");
        }
        (fetched, std::fs::read_to_string(&file).unwrap_or_default())
    }

    #[test]
    fn a_recording_has_its_size_and_nobody_is_sent_elsewhere() {
        let (fetched, text) = answered("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nRIFF");
        assert!(fetched.is_ok() && text == "RIFF");
        for answer in [
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789",
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n0123456789",
        ] {
            assert!(matches!(answered(answer).0, Err(Trouble::ForGood(_))), "{answer}");
        }
        for answer in [
            "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n0123",
            "nonsense\r\n\r\n",
        ] {
            assert!(matches!(answered(answer).0, Err(Trouble::Later(_))), "{answer}");
        }
    }
}
