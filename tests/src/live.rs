//! A browser's end of a WebSocket.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
pub use tungstenite::Message;
use tungstenite::WebSocket;
use tungstenite::client::IntoClientRequest;

use crate::http::Client;

/// An open WebSocket.
pub struct Live {
    socket: WebSocket<TcpStream>,
}

impl Live {
    /// Opens `path` with the client's own session.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn open(client: &Client, path: &str) -> Result<Self> {
        let mut request = format!("ws://{}{path}", client.address).into_client_request()?;
        for (name, value) in &client.headers {
            let name = tungstenite::http::HeaderName::from_bytes(name.as_bytes())?;
            request.headers_mut().insert(name, value.parse()?);
        }
        let stream = TcpStream::connect(client.address)?;
        stream.set_nodelay(true)?;
        let (socket, _) = tungstenite::client(request, stream)
            .map_err(|e| anyhow::anyhow!("{e}"))
            .with_context(|| format!("WebSocket {path}"))?;
        Ok(Self { socket })
    }

    /// The next JSON message, `None` when nothing came for `patience`.
    ///
    /// # Errors
    /// When the server closes (the error says with which code), the connection breaks, or a message is not JSON.
    pub fn next(&mut self, patience: Duration) -> Result<Option<Value>> {
        let until = Instant::now() + patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.socket.get_ref().set_read_timeout(Some(left))?;
            match self.socket.read() {
                Ok(Message::Text(text)) => return Ok(Some(serde_json::from_str(&text)?)),
                Ok(Message::Close(frame)) => {
                    let code = frame.map_or(1005, |f| u16::from(f.code));
                    bail!("the server closed with code {code}");
                }
                Ok(_) => {}
                Err(tungstenite::Error::Io(e))
                    if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
                {
                    return Ok(None);
                }
                Err(e) => bail!("WebSocket: {e}"),
            }
        }
    }

    /// Reads until `wanted` says yes to a message; all messages up to that one.
    ///
    /// # Errors
    /// When the server closes, or the message has not come within `patience`.
    pub fn until(&mut self, patience: Duration, wanted: impl Fn(&Value) -> bool) -> Result<Vec<Value>> {
        let deadline = Instant::now() + patience;
        let mut seen = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(message) = self.next(left)? else {
                bail!("not within {patience:?}; the last of {}: {:?}", seen.len(), seen.last())
            };
            let found = wanted(&message);
            seen.push(message);
            if found {
                return Ok(seen);
            }
        }
    }

    /// Sends a message as it is.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send(&mut self, message: Message) -> Result<()> {
        self.socket.send(message).context("sending")
    }

    /// The TCP connection, for tests that are rude to it.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        self.socket.get_ref()
    }
}
