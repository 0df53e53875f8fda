//! SIP by hand: what a well-behaved stack would not send.

use std::net::SocketAddr;
use std::time::Duration;

use rsipstack::sip::{HeadersExt, Request, Response, SipMessage};
use sotto_sip::wire::{Framer, Piece};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

/// How long something may take to come that has to come.
const IN_TIME: Duration = Duration::from_secs(10);

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

enum Way {
    Udp(UdpSocket, SocketAddr),
    Stream(Box<dyn Stream>, Framer, &'static str),
}

/// A peer that says exactly what it is told to.
pub struct Raw {
    way: Way,
    pub local: SocketAddr,
}

impl Raw {
    pub async fn udp(to: SocketAddr) -> Self {
        Self::udp_from("127.0.0.1:0".parse().unwrap(), to).await
    }

    pub async fn udp_from(local: SocketAddr, to: SocketAddr) -> Self {
        let socket = UdpSocket::bind(local).await.unwrap();
        let local = socket.local_addr().unwrap();
        Self { way: Way::Udp(socket, to), local }
    }

    pub async fn tcp(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.unwrap();
        let local = stream.local_addr().unwrap();
        Self::over(stream, "TCP", local)
    }

    /// On a stream that is there.
    pub fn over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        transport: &'static str,
        local: SocketAddr,
    ) -> Self {
        Self { way: Way::Stream(Box::new(stream), Framer::default(), transport), local }
    }

    /// The next connection that comes.
    pub async fn accept_from(listener: &TcpListener) -> Self {
        let (stream, _) = timeout(IN_TIME, listener.accept()).await.unwrap().unwrap();
        let local = stream.local_addr().unwrap();
        Self::over(stream, "TCP", local)
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        match &mut self.way {
            Way::Udp(socket, to) => drop(socket.send_to(bytes.as_ref(), *to).await.unwrap()),
            // A peer that has closed its end is a result, not a fault.
            Way::Stream(stream, ..) => {
                let _ = stream.write_all(bytes.as_ref()).await;
                let _ = stream.flush().await;
            }
        }
    }

    /// The next message, or `None` when the stream has been closed or nothing comes within `wait`.
    pub async fn receive_within(&mut self, wait: Duration) -> Option<SipMessage> {
        let bytes = match &mut self.way {
            Way::Udp(socket, _) => {
                let mut buffer = vec![0; 65_536];
                let (length, _) = timeout(wait, socket.recv_from(&mut buffer)).await.ok()?.unwrap();
                buffer.truncate(length);
                buffer
            }
            Way::Stream(stream, framer, _) => loop {
                match framer.next_piece() {
                    Some(Piece::Message(bytes)) => break bytes,
                    Some(other) => panic!("{other:?}"),
                    None => {}
                }
                let mut buffer = vec![0; 65_536];
                let length = timeout(wait, stream.read(&mut buffer)).await.ok()?.unwrap_or(0);
                if length == 0 {
                    return None;
                }
                framer.push(&buffer[..length]);
            },
        };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Some(SipMessage::try_from(bytes.as_slice()).unwrap_or_else(|e| panic!("{e}: {text}")))
    }

    pub async fn receive(&mut self) -> SipMessage {
        self.receive_within(IN_TIME).await.expect("a message")
    }

    /// The next response that is not provisional; requests meanwhile are an error.
    pub async fn response(&mut self) -> Response {
        loop {
            match self.receive().await {
                SipMessage::Response(response) if response.status_code.code() >= 200 => return response,
                SipMessage::Response(_) => {}
                SipMessage::Request(request) => panic!("unexpected {request}"),
            }
        }
    }

    /// The next request; responses meanwhile are passed over.
    pub async fn request(&mut self) -> Request {
        loop {
            if let SipMessage::Request(request) = self.receive().await {
                return request;
            }
        }
    }

    /// Sends and takes the final response.
    pub async fn ask(&mut self, message: impl AsRef<[u8]>) -> Response {
        self.send(message).await;
        self.response().await
    }

    /// Its status.
    pub async fn status(&mut self, message: impl AsRef<[u8]>) -> u16 {
        self.ask(message).await.status_code.code()
    }

    /// Says 200 to a request.
    pub async fn accept(&mut self, request: &Request) {
        self.reply(request, "200 OK").await;
    }

    /// Answers a request.
    pub async fn reply(&mut self, request: &Request, status: &str) {
        let mut answer = format!("SIP/2.0 {status}\r\n");
        for header in request.headers.iter() {
            if matches!(header.name(), "Via" | "From" | "To" | "Call-ID" | "CSeq") {
                answer.push_str(&format!("{}: {}\r\n", header.name(), header.value()));
            }
        }
        answer.push_str("Content-Length: 0\r\n\r\n");
        self.send(answer).await;
    }

    /// Answers a request as the one who was called, and goes by `tag`: with a Contact, perhaps a description.
    /// `status` may bring headers with it.
    pub async fn answer(&mut self, request: &Request, tag: &str, status: &str, body: &str) {
        let mut answer = format!("SIP/2.0 {status}\r\n");
        for header in request.headers.iter() {
            let has_tag = header.value().contains(";tag=");
            match header.name() {
                "To" if !has_tag => answer.push_str(&format!("To: {};tag={tag}\r\n", header.value())),
                "Via" | "From" | "To" | "Call-ID" | "CSeq" => {
                    answer.push_str(&format!("{}: {}\r\n", header.name(), header.value()));
                }
                _ => {}
            }
        }
        let contact = format!("<sip:{tag}@{};transport={}>", self.local, self.transport().to_lowercase());
        let body_type = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let length = body.len();
        self.send(format!("{answer}Contact: {contact}\r\n{body_type}Content-Length: {length}\r\n\r\n{body}"))
            .await;
    }

    /// The next response of this status; others meanwhile are passed over.
    pub async fn response_of(&mut self, status: u16) -> Response {
        loop {
            match self.receive().await {
                SipMessage::Response(response) if response.status_code.code() == status => return response,
                SipMessage::Response(_) => {}
                SipMessage::Request(request) => panic!("unexpected {request}"),
            }
        }
    }

    pub async fn send_raw_and_read(&mut self, bytes: &[u8], length: usize) -> Vec<u8> {
        self.send(bytes).await;
        let Way::Stream(stream, ..) = &mut self.way else { panic!("a stream") };
        let mut buffer = vec![0; length];
        timeout(IN_TIME, stream.read_exact(&mut buffer)).await.unwrap().unwrap();
        buffer
    }

    fn transport(&self) -> &'static str {
        match self.way {
            Way::Udp(..) => "UDP",
            Way::Stream(_, _, transport) => transport,
        }
    }
}

/// A description with `labels` as sendonly PCMU streams.
pub fn offer(streams: &[(&str, &str)]) -> String {
    let mut text = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n".to_owned();
    for (n, (label, direction)) in streams.iter().enumerate() {
        let port = if direction.is_empty() { 0 } else { 9_000 + 2 * n };
        let direction = if direction.is_empty() { "sendonly" } else { direction };
        text.push_str(&format!("m=audio {port} RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"));
        if !label.is_empty() {
            text.push_str(&format!("a=label:{label}\r\n"));
        }
        text.push_str(&format!("a={direction}\r\n"));
    }
    text
}

/// A dialog seen from the caller, kept by hand.
#[derive(Clone)]
pub struct Talk {
    pub to: SocketAddr,
    pub from: SocketAddr,
    pub transport: &'static str,
    pub call_id: String,
    pub tag: String,
    pub sequence: u32,
    pub headers: String,
}

impl Talk {
    pub fn new(raw: &Raw, to: SocketAddr, call_id: &str) -> Self {
        Self {
            to,
            from: raw.local,
            transport: raw.transport(),
            call_id: call_id.to_owned(),
            tag: String::new(),
            sequence: 1,
            headers: String::new(),
        }
    }

    /// A request with a sequence number of its own.
    pub fn text(&self, method: &str, sequence: u32, content_type: &str, body: &str) -> String {
        let Self { to, from, transport, call_id, tag, headers, .. } = self;
        let tag = if tag.is_empty() { String::new() } else { format!(";tag={tag}") };
        let content_type =
            if body.is_empty() { String::new() } else { format!("Content-Type: {content_type}\r\n") };
        format!(
            "{method} sip:sotto@{to} SIP/2.0\r\nVia: SIP/2.0/{transport} {from};branch=z9hG4bK{call_id}{method}{sequence};rport\r\n\
             From: \"Caller\" <sip:1002@pbx.example>;tag=caller\r\nTo: <sip:sotto@{to}>{tag}\r\nCall-ID: {call_id}\r\n\
             CSeq: {sequence} {method}\r\nMax-Forwards: 70\r\nUser-Agent: hand\r\n\
             Contact: <sip:caller@{from};transport={}>\r\n{headers}{content_type}Content-Length: {}\r\n\r\n{body}",
            transport.to_lowercase(),
            body.len()
        )
    }

    /// The next request.
    pub fn next(&mut self, method: &str, content_type: &str, body: &str) -> String {
        self.sequence += 1;
        self.text(method, self.sequence, content_type, body)
    }

    pub fn invite(&self, sdp: &str) -> String {
        self.text("INVITE", self.sequence, "application/sdp", sdp)
    }

    pub fn reinvite(&mut self, sdp: &str) -> String {
        self.next("INVITE", "application/sdp", sdp)
    }

    /// The ACK of a 2xx, a transaction of its own.
    pub fn ack(&self, body: &str) -> String {
        self.text("ACK", self.sequence, "application/sdp", body)
    }

    /// The ACK of a refusal, and the CANCEL: on the INVITE's own branch.
    pub fn on_branch_of_invite(&self, method: &str) -> String {
        let sequence = self.sequence;
        self.text(method, sequence, "", "").replace(
            &format!("{}{method}{sequence}", self.call_id),
            &format!("{}INVITE{sequence}", self.call_id),
        )
    }

    /// Takes the answer's tag: from now on requests are within the dialog.
    pub fn answered(&mut self, response: &Response) {
        self.tag = response.to_header().unwrap().tag().unwrap().unwrap().value().to_owned();
    }

    /// INVITE, 200, ACK.
    pub async fn establish(&mut self, raw: &mut Raw, sdp: &str) -> Response {
        let answer = raw.ask(self.invite(sdp)).await;
        assert_eq!(answer.status_code.code(), 200, "{answer}");
        self.answered(&answer);
        raw.send(self.ack("")).await;
        answer
    }
}
