//! A small HTTP client: one request, one connection. HTTP/1.0, so that bodies need no decoding.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Header names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body as it came.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of this (lower-case) name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, of an answer that went well.
    ///
    /// # Errors
    /// When the status is not 2xx, or the body is not JSON.
    pub fn json(&self) -> Result<Value> {
        ensure!((200..300).contains(&self.status), "status {}: {}", self.status, self.text());
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }
}

/// Who asks: an address, and what proves who we are.
#[derive(Clone, Debug)]
pub struct Client {
    /// The server.
    pub address: SocketAddr,
    /// Sent with every request, e.g. `Cookie` or `Authorization`.
    pub headers: Vec<(String, String)>,
}

impl Client {
    /// A client that has not signed in.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, headers: Vec::new() }
    }

    /// Signs in; requests from then on carry the session.
    ///
    /// # Errors
    /// When the name or the password is wrong, or the server does not answer.
    pub fn signed_in(address: SocketAddr, name: &str, password: &str) -> Result<Self> {
        let mut client = Self::new(address);
        let answer = client.post("/api/session", &serde_json::json!({"name": name, "password": password}))?;
        ensure!(answer.status == 200, "sign-in: status {}: {}", answer.status, answer.text());
        let cookie = answer.header("set-cookie").context("sign-in set no cookie")?;
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        client.headers.push(("Cookie".into(), cookie));
        Ok(client)
    }

    /// GET.
    ///
    /// # Errors
    /// When no complete answer comes.
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.request("GET", path, &[], b"")
    }

    /// GET of JSON.
    ///
    /// # Errors
    /// As [`Client::get`] and [`Answer::json`].
    pub fn json(&self, path: &str) -> Result<Value> {
        self.get(path)?.json().with_context(|| format!("GET {path}"))
    }

    /// POST of JSON.
    ///
    /// # Errors
    /// When no complete answer comes.
    pub fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        let body = serde_json::to_vec(body)?;
        self.request("POST", path, &[("Content-Type", "application/json")], &body)
    }

    /// Any request.
    ///
    /// # Errors
    /// When no complete answer comes.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
        let mut head = format!("{method} {path} HTTP/1.0\r\nHost: {}\r\n", self.address);
        let own = self.headers.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        for (name, value) in own.chain(headers.iter().copied()) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        parse(&exchange(self.address, &bytes, Duration::from_secs(30))?)
            .with_context(|| format!("{method} {path}"))
    }
}

/// Sends bytes as they are and returns all that comes back until the other side closes: for input that no
/// honest client would send.
///
/// # Errors
/// When the server cannot be reached, or does not close in time.
pub fn exchange(address: SocketAddr, bytes: &[u8], patience: Duration) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, patience).context("connecting")?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    // A server that refuses early may close before it has read everything.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let mut chunk = [0; 64 * 1024];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(answer),
            Ok(n) => answer.extend_from_slice(chunk.get(..n).unwrap_or_default()),
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset && !answer.is_empty() => {
                return Ok(answer);
            }
            Err(e) => return Err(e).context("reading the answer"),
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Answer> {
    let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
        bail!("no head in the answer: {:?}", String::from_utf8_lossy(bytes))
    };
    let (head, body) = bytes.split_at(end);
    let head = String::from_utf8_lossy(head).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|l| l.split(' ').nth(1)).and_then(|s| s.parse().ok());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()))
        .collect();
    let body = body.get(4..).unwrap_or_default().to_vec();
    let answer = Answer { status: status.context("no status")?, headers, body };
    if let Some(length) = answer.header("content-length").and_then(|l| l.parse::<usize>().ok()) {
        ensure!(answer.body.len() >= length, "{} of {length} bytes came", answer.body.len());
    }
    Ok(answer)
}
