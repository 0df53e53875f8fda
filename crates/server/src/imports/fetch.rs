//! Recordings that lie on other machines: only on hosts that the configuration names, by HTTPS, of bounded size and within a
//! bounded time. Redirects are not followed.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use axum::http::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ureq::Agent;
use ureq::config::ConfigBuilder;
use ureq::typestate::AgentScope;

use super::Trouble;
use crate::outside;

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
    download(&outside::agent(config(patience).build(), host.private), url, to, most)
}

fn config(patience: Duration) -> ConfigBuilder<AgentScope> {
    outside::config(patience).accept_encoding("identity").timeout_per_read(Some(STALL))
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
        let fetched = download(&config(STALL).https_only(false).build().new_agent(), &url, &file, 9);
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
