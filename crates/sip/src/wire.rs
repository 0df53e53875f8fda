//! From bytes to SIP messages (RFC 3261 sections 7 and 18.3), and the answers that need no state.
//!
//! The stack below us drops what it cannot read, so a peer with a fault waits for half a minute and never
//! learns why; it also does not know methods by other names than its own. So messages are framed and looked
//! over here: what is fit goes on as the stack's own message types, what is not but can be answered is
//! answered statelessly (RFC 3261 section 8.2.7), the rest is dropped. No sockets, no clock.

use std::net::{IpAddr, SocketAddr};

use bytes::{Buf, BytesMut};
use rsipstack::sip::headers::{Headers, make_header};
use rsipstack::sip::{
    HeadersExt, Method, Request, Response, SipMessage, StatusCode, ToTypedHeader, Version, parse_uri,
};

use crate::multipart::split_unquoted;

/// Bytes of start line and headers read at most.
pub const MAX_HEAD: usize = 32 * 1024;
/// Bytes of body read at most.
pub const MAX_BODY: usize = 128 * 1024;
/// Headers read at most.
pub const MAX_HEADERS: usize = 512;

/// The methods we serve, as `Allow` lists them.
pub const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, PRACK, REFER, NOTIFY";
/// The bodies we read.
pub const ACCEPT: &str = "multipart/mixed, application/sdp, application/rs-metadata+xml";

/// How a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Whole, in a datagram.
    Datagram,
    /// Cut out of a stream by [`Framer`].
    Stream,
}

/// What is to be done with the bytes of one message.
#[derive(Debug)]
pub enum Screened {
    /// A message fit to go on, its topmost Via completed with where it came from (RFC 3581).
    Message(Box<SipMessage>),
    /// A request to be refused with this answer.
    Refused(Refused),
    /// Nothing that can be answered.
    Dropped(&'static str),
}

/// A request and the answer that it gets without further thought.
#[derive(Debug)]
pub struct Refused {
    /// Status code.
    pub status: u16,
    /// The whole answer.
    pub answer: Vec<u8>,
    /// Where it goes, unless it goes back on a stream.
    pub to: SocketAddr,
}

/// Start line and headers, not yet understood.
struct Head {
    start: String,
    /// Long names as the stack spells them, and unfolded values.
    headers: Vec<(String, String)>,
}

/// A fault of a request, with the status it earns.
struct Fault(u16, &'static str);

impl Head {
    /// Reads lines up to the empty one; `None` when there is not even a start line of text.
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut lines = bytes.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let start = String::from_utf8(lines.next()?.to_vec()).ok()?;
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines.take_while(|line| !line.is_empty()) {
            let line = String::from_utf8_lossy(line);
            if line.starts_with([' ', '\t']) {
                if let Some((_, value)) = headers.last_mut() {
                    value.push(' ');
                    value.push_str(line.trim());
                }
            } else if let Some((name, value)) = line.split_once(':')
                && headers.len() <= MAX_HEADERS
            {
                headers.push((
                    make_header(name.trim(), String::new()).name().to_owned(),
                    value.trim().to_owned(),
                ));
            }
        }
        for (name, value) in &mut headers {
            if matches!(name.as_str(), "From" | "To") {
                *value = tidy(value);
            }
        }
        Some(Self { start, headers })
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    fn first(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    fn is_clean(&self) -> bool {
        // Quoted strings may hold control characters (RFC 3261 section 25.1), but no line can hold a line end.
        !self.start.contains(char::is_control)
            && self
                .headers
                .iter()
                .all(|(name, value)| !name.contains(char::is_control) && !value.contains('\r'))
    }
}

/// Looks a whole message over. `source` is where it came from, `tag` makes the To tag of an answer from the
/// text it is given, always the same from the same.
pub fn screen(bytes: &[u8], arrival: Arrival, source: SocketAddr, tag: &dyn Fn(&str) -> String) -> Screened {
    let (head_end, body_at) = match find(bytes, b"\r\n\r\n") {
        Some(at) => (at, at + 4),
        // Without the empty line there is no message, but often enough of one for an answer.
        None => (bytes.len(), bytes.len()),
    };
    let complete = body_at > head_end;
    let Some(mut head) = bytes.get(..head_end.min(MAX_HEAD)).and_then(Head::read) else {
        return Screened::Dropped("not text");
    };
    if !head.is_clean() {
        return Screened::Dropped("control characters");
    }
    if head.start.starts_with("SIP/2.0 ") {
        return response(&head, bytes.get(body_at..).unwrap_or_default(), complete);
    }
    let Some(return_to) = complete_via(&mut head, source) else {
        return Screened::Dropped("no Via to answer to");
    };
    let fault = if head_end > MAX_HEAD || head.headers.len() > MAX_HEADERS {
        Fault(513, "Message Too Large")
    } else if !complete {
        Fault(400, "Missing Empty Line")
    } else {
        match request(&head, bytes.get(body_at..).unwrap_or_default(), arrival) {
            Ok(request) => return Screened::Message(Box::new(SipMessage::Request(request))),
            Err(fault) => fault,
        }
    };
    if head.start.starts_with("ACK ") {
        return Screened::Dropped("unfit ACK");
    }
    // Only requests are answered; what has no CSeq could be anything.
    if head.first("CSeq").is_none() && head.first("Call-ID").is_none() {
        return Screened::Dropped("not SIP");
    }
    let extra = match fault.0 {
        405 | 501 => format!("Allow: {ALLOW}\r\n"),
        _ => String::new(),
    };
    let answer = write_answer(&head, fault.0, fault.1, &extra, tag);
    Screened::Refused(Refused { status: fault.0, answer, to: return_to })
}

/// A stateless answer to a request that was fit to be read. The same request always gets the same answer.
#[must_use]
pub fn refuse(
    request: &Request,
    status: u16,
    reason: &str,
    extra: &str,
    source: SocketAddr,
    tag: &dyn Fn(&str) -> String,
) -> Refused {
    let headers = request.headers.iter().map(|h| (h.name().to_owned(), h.value().to_owned())).collect();
    let head = Head { start: String::new(), headers };
    let to = return_address(head.first("Via").unwrap_or_default(), source);
    Refused { status, answer: write_answer(&head, status, reason, extra, tag), to }
}

fn write_answer(
    head: &Head,
    status: u16,
    reason: &str,
    extra: &str,
    tag: &dyn Fn(&str) -> String,
) -> Vec<u8> {
    let mut answer = format!("SIP/2.0 {status} {reason}\r\n");
    let mut push = |name: &str, value: &str, more: &str| {
        answer.push_str(&format!("{name}: {value}{more}\r\n"));
    };
    head.all("Via").for_each(|via| push("Via", via, ""));
    if let Some(from) = head.first("From") {
        push("From", from, "");
    }
    if let Some(to) = head.first("To") {
        let seed =
            [head.first("Call-ID"), head.first("From"), head.first("CSeq")].map(Option::unwrap_or_default);
        let more = if has_tag(to) { String::new() } else { format!(";tag={}", tag(&seed.concat())) };
        push("To", to, &more);
    }
    for name in ["Call-ID", "CSeq"] {
        head.first(name).into_iter().for_each(|value| push(name, value, ""));
    }
    answer.push_str(extra);
    answer.push_str("Content-Length: 0\r\n\r\n");
    answer.into_bytes()
}

/// An address without white space around its parameters, which the stack does not expect there.
fn tidy(value: &str) -> String {
    let address = value.rfind('>').map_or_else(|| value.find(';').unwrap_or(value.len()), |at| at + 1);
    let (address, parameters) = value.split_at(address);
    let parameters = split_unquoted(parameters, ';').into_iter().map(tidy_parameter);
    [address.trim_end().to_owned()].into_iter().chain(parameters).collect::<Vec<_>>().join(";")
}

fn tidy_parameter(parameter: &str) -> String {
    match parameter.split_once('=') {
        Some((name, value)) => format!("{}={}", name.trim_end(), value.trim_start()),
        None => parameter.to_owned(),
    }
}

/// Whether a To or From value carries a tag parameter, outside quotes and angle brackets.
fn has_tag(value: &str) -> bool {
    let parameters = value.rfind('>').map_or(value, |at| value.get(at..).unwrap_or_default());
    let mut pieces = split_unquoted(parameters, ';').into_iter().skip(1);
    pieces.any(|p| p.split('=').next().is_some_and(|n| n.trim().eq_ignore_ascii_case("tag")))
}

fn request(head: &Head, body: &[u8], arrival: Arrival) -> Result<Request, Fault> {
    let mut parts = head.start.split(' ');
    let (Some(method), Some(uri), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Fault(400, "Malformed Request-Line"));
    };
    if version != "SIP/2.0" {
        let known = version.get(..4).is_some_and(|v| v.eq_ignore_ascii_case("SIP/"));
        return Err(if known {
            Fault(505, "Version Not Supported")
        } else {
            Fault(400, "Malformed Request-Line")
        });
    }
    if method.is_empty() || !method.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b)) {
        return Err(Fault(400, "Malformed Method"));
    }
    for name in ["From", "To", "Call-ID", "CSeq"] {
        match head.all(name).count() {
            0 => return Err(Fault(400, "Missing Header")),
            1 => {}
            _ => return Err(Fault(400, "Repeated Header")),
        }
    }
    cseq(head.first("CSeq").unwrap_or_default(), method)?;
    let call_id = head.first("Call-ID").unwrap_or_default();
    if call_id.is_empty() || call_id.contains(char::is_whitespace) {
        return Err(Fault(400, "Malformed Call-ID"));
    }
    let body = body_of(head, body, arrival)?;
    if head.all("Content-Type").count() > 1 || head.all("Max-Forwards").count() > 1 {
        return Err(Fault(400, "Repeated Header"));
    }
    if head.first("Max-Forwards").is_some_and(|m| m.parse::<u8>().is_err()) {
        return Err(Fault(400, "Malformed Max-Forwards"));
    }
    let known = method.parse::<Method>().ok().filter(|m| m.to_string() == method);
    let Some(method) = known else { return Err(Fault(501, "Not Implemented")) };
    let request = Request {
        method,
        uri: request_uri(uri)?,
        version: Version::V2,
        headers: headers(head),
        body: body.to_vec(),
    };
    check_addresses(&request)?;
    Ok(request)
}

fn cseq(value: &str, method: &str) -> Result<(), Fault> {
    let mut parts = value.split_ascii_whitespace();
    let number = parts.next().unwrap_or_default();
    let number = number.bytes().all(|b| b.is_ascii_digit()).then(|| number.parse::<u32>().ok()).flatten();
    // RFC 3261 section 8.1.1.5: less than 2**31.
    if number.is_none_or(|n| n >= 1 << 31) {
        return Err(Fault(400, "Malformed CSeq"));
    }
    if parts.next() != Some(method) || parts.next().is_some() {
        return Err(Fault(400, "CSeq Method Mismatch"));
    }
    Ok(())
}

fn body_of<'a>(head: &Head, rest: &'a [u8], arrival: Arrival) -> Result<&'a [u8], Fault> {
    let length = match content_length(head.all("Content-Length"))? {
        // RFC 3261 section 18.3: a datagram's body may go without saying to its end, a stream's may not.
        None if arrival == Arrival::Datagram => rest.len(),
        None => 0,
        Some(length) => length,
    };
    if length > MAX_BODY {
        return Err(Fault(413, "Request Entity Too Large"));
    }
    rest.get(..length).ok_or(Fault(400, "Body Shorter Than Content-Length"))
}

fn content_length<'a>(values: impl Iterator<Item = &'a str>) -> Result<Option<usize>, Fault> {
    let mut length = None;
    for value in values {
        let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
        // More digits than a usize has is only too large, not malformed.
        let one = digits.then(|| value.parse().unwrap_or(usize::MAX));
        match (one, length) {
            (Some(one), None) => length = Some(one),
            (Some(one), Some(other)) if one == other => {}
            _ => return Err(Fault(400, "Malformed Content-Length")),
        }
    }
    Ok(length)
}

fn request_uri(uri: &str) -> Result<rsipstack::sip::Uri, Fault> {
    const MALFORMED: Fault = Fault(400, "Malformed Request-URI");
    if uri.contains(['<', '>', '"']) {
        return Err(MALFORMED);
    }
    let (scheme, rest) = uri.split_once(':').ok_or(MALFORMED)?;
    if !["sip", "sips", "tel"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(Fault(416, "Unsupported URI Scheme"));
    }
    // RFC 3261 section 19.1.1: headers have no place in a Request-URI, and an IPv6 address wears brackets.
    let host = rest.split_once('@').map_or(rest, |(_, host)| host);
    let address = host.split(';').next().unwrap_or_default();
    if host.contains('?') || (!address.starts_with('[') && address.matches(':').count() > 1) {
        return Err(MALFORMED);
    }
    parse_uri(uri).map_err(|_| MALFORMED)
}

/// What we will rely on later must be readable now.
fn check_addresses(request: &Request) -> Result<(), Fault> {
    let named = [request.from_header().map(|h| h.value()), request.to_header().map(|h| h.value())];
    for value in named.into_iter().flatten() {
        if !is_balanced(value) {
            return Err(Fault(400, "Malformed Address"));
        }
    }
    let from = request.from_header().ok().and_then(|from| from.clone().typed().ok());
    let to = request.to_header().ok().and_then(|to| to.clone().typed().ok());
    let (Some(from), Some(_)) = (from, to) else { return Err(Fault(400, "Malformed Address")) };
    if from.tag().is_none_or(|tag| tag.value().is_empty()) {
        return Err(Fault(400, "Missing From Tag"));
    }
    if request.top_via_header().ok().and_then(|via| via.typed().ok()).is_none() {
        return Err(Fault(400, "Malformed Via"));
    }
    if request.contact_headers().iter().any(|contact| !is_balanced(contact.value()))
        || request.typed_contact_headers().is_err()
        || request.typed_record_route_headers().is_err()
        || request.typed_route_headers().is_err()
    {
        return Err(Fault(400, "Malformed Contact Or Route"));
    }
    Ok(())
}

/// Quotes and angle brackets come in pairs, and no parameter is without a name.
fn is_balanced(value: &str) -> bool {
    let (mut quoted, mut escaped, mut depth) = (false, false, 0);
    for c in value.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => depth += 1,
            '>' if !quoted => depth -= 1,
            _ => {}
        }
        if !(0..=1).contains(&depth) {
            return false;
        }
    }
    let parameters = value.rfind('>').and_then(|at| value.get(at + 1..)).unwrap_or_default().trim();
    !quoted
        && depth == 0
        && (parameters.is_empty() || parameters.starts_with([';', ',']))
        && !parameters.contains(";;")
}

fn headers(head: &Head) -> Headers {
    Headers(head.headers.iter().map(|(name, value)| make_header(name, value.clone())).collect())
}

fn response(head: &Head, body: &[u8], complete: bool) -> Screened {
    let mut parts = head.start.splitn(3, ' ');
    let code = parts.nth(1).and_then(|code| code.parse::<u16>().ok());
    let reason = parts.next().unwrap_or_default().trim();
    let status =
        code.filter(|code| (100..700).contains(code)).map(|code| StatusCode::try_from((code, reason)));
    let (Some(Ok(status_code)), true) = (status, complete) else {
        return Screened::Dropped("malformed response");
    };
    let body = body_of(head, body, Arrival::Datagram).unwrap_or_default().to_vec();
    Screened::Message(Box::new(SipMessage::Response(Response {
        status_code,
        wire_reason: None,
        version: Version::V2,
        headers: headers(head),
        body,
    })))
}

/// Adds `received` and `rport` to the topmost Via (RFC 3261 section 18.2.1, RFC 3581 section 4) and says
/// where an answer over UDP goes. `None` when there is no Via.
fn complete_via(head: &mut Head, source: SocketAddr) -> Option<SocketAddr> {
    let (_, value) = head.headers.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case("Via"))?;
    let values = split_unquoted(value, ',');
    let top = *values.first()?;
    let mut pieces: Vec<String> = split_unquoted(top, ';').into_iter().map(tidy_parameter).collect();
    let sent_by = pieces.first()?.clone();
    if !sent_by.get(..3)?.eq_ignore_ascii_case("SIP") {
        return None;
    }
    let name = |piece: &str| piece.split('=').next().unwrap_or_default().trim().to_ascii_lowercase();
    let wants_port = pieces.iter().skip(1).any(|piece| name(piece) == "rport");
    pieces.retain(|piece| !matches!(name(piece).as_str(), "received" | "rport"));
    if wants_port || sent_by_host(&sent_by) != Some(source.ip()) {
        pieces.push(format!("received={}", source.ip()));
    }
    if wants_port {
        pieces.push(format!("rport={}", source.port()));
    }
    let mut all = vec![pieces.join(";")];
    all.extend(values.into_iter().skip(1).map(str::to_owned));
    *value = all.join(", ");
    let to = return_address(value, source);
    Some(to)
}

/// RFC 3261 section 18.2.2: back to the address the request came from, at the port it came from when `rport`
/// asks for that, and else at the port the Via names.
fn return_address(via: &str, source: SocketAddr) -> SocketAddr {
    let top = split_unquoted(via, ',').into_iter().next().unwrap_or_default();
    let pieces = split_unquoted(top, ';');
    if pieces.iter().skip(1).any(|piece| piece.to_ascii_lowercase().starts_with("rport")) {
        return source;
    }
    let sent_by = pieces.first().copied().unwrap_or_default();
    let host = sent_by.split_whitespace().next_back().unwrap_or_default();
    let port = host.rsplit_once(':').filter(|(h, _)| !h.contains(':') || h.ends_with(']'));
    let port = port.and_then(|(_, port)| port.trim().parse().ok()).unwrap_or(5060);
    SocketAddr::new(source.ip(), port)
}

fn sent_by_host(sent_by: &str) -> Option<IpAddr> {
    let host = sent_by.split_whitespace().next_back()?;
    if let Some(v6) = host.strip_prefix('[') {
        return v6.split(']').next()?.parse().ok();
    }
    host.split(':').next()?.parse().ok()
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// What a stream brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// A keep-alive (RFC 5626 section 4.4.1) that wants a CRLF back.
    Ping,
    /// A whole message.
    Message(Vec<u8>),
    /// A message that cannot be delimited: answer what can be answered from this, then close the stream.
    Broken(Vec<u8>),
}

/// Cuts messages out of a stream by their Content-Length.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: BytesMut,
    /// Up to here there is no end of headers.
    looked_at: usize,
    /// Bytes of the message at the front, once its headers have come.
    whole: Option<usize>,
}

impl Framer {
    /// Takes in what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// True while part of a message has come.
    #[must_use]
    pub fn is_midway(&self) -> bool {
        self.buffer.iter().any(|b| !b.is_ascii_whitespace())
    }

    /// The next piece, when all of it has come. To be called until it gives none.
    pub fn next_piece(&mut self) -> Option<Piece> {
        const PING: &[u8] = b"\r\n\r\n";
        if self.buffer.starts_with(PING) {
            self.buffer.advance(PING.len());
            return Some(Piece::Ping);
        }
        if PING.starts_with(&self.buffer) {
            return None;
        }
        // A lone CRLF is the answer to a ping, or stands between messages (RFC 3261 section 7.5).
        let blank = self.buffer.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        self.buffer.advance(blank);
        let whole = match self.whole {
            Some(whole) => whole,
            None => {
                let from = self.looked_at.saturating_sub(3);
                let Some(end) = self.buffer.get(from..).and_then(|rest| find(rest, b"\r\n\r\n")) else {
                    self.looked_at = self.buffer.len();
                    return (self.buffer.len() > MAX_HEAD).then(|| self.broken());
                };
                let body_at = from + end + 4;
                let head = self.buffer.get(..body_at.min(MAX_HEAD)).and_then(Head::read);
                let length = head.map(|head| content_length(head.all("Content-Length")));
                match length {
                    Some(Ok(length)) if body_at <= MAX_HEAD && length.unwrap_or(0) <= MAX_BODY => {
                        *self.whole.insert(body_at + length.unwrap_or(0))
                    }
                    _ => return Some(self.broken()),
                }
            }
        };
        if self.buffer.len() < whole {
            return None;
        }
        (self.whole, self.looked_at) = (None, 0);
        Some(Piece::Message(self.buffer.split_to(whole).to_vec()))
    }

    fn broken(&mut self) -> Piece {
        (self.whole, self.looked_at) = (None, 0);
        Piece::Broken(self.buffer.split().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn source() -> SocketAddr {
        "192.0.2.1:40000".parse().unwrap()
    }

    fn look(text: &str, arrival: Arrival) -> Screened {
        screen(text.as_bytes(), arrival, source(), &|_| "t".to_owned())
    }

    fn message(start: &str, headers: &str, body: &str) -> String {
        let method = start.split(' ').next().unwrap_or_default();
        format!(
            "{start}\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\r\nFrom: <sip:a@a>;tag=1\r\nTo: <sip:b@b>\r\n\
             Call-ID: c\r\nCSeq: 1 {method}\r\n{headers}\r\n{body}"
        )
    }

    fn status(text: &str) -> u16 {
        match look(text, Arrival::Datagram) {
            Screened::Refused(refused) => refused.status,
            Screened::Message(_) => 0,
            Screened::Dropped(_) => 1,
        }
    }

    #[test]
    fn a_fit_request_goes_on_with_its_via_completed() {
        let text = message("OPTIONS sip:b@b SIP/2.0", "", "").replace("192.0.2.1;", "10.0.0.1:5070;rport;");
        let Screened::Message(message) = look(&text, Arrival::Datagram) else { panic!("fit") };
        let via = message.via_header().unwrap().value();
        assert_eq!(via, "SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bKa;received=192.0.2.1;rport=40000");
    }

    #[test]
    fn an_answer_goes_to_the_via_port_unless_rport_asks_otherwise() {
        for (sent_by, port) in [
            ("192.0.2.1", 5060),
            ("10.0.0.1:5070", 5070),
            ("host.example", 5060),
            ("[2001:db8::1]", 5060),
            ("[2001:db8::1]:5071", 5071),
            ("10.0.0.1;rport", 40_000),
            ("10.0.0.1 ; RPORT=1", 40_000),
        ] {
            let text = message("NOPE sip:b@b SIP/2.0", "", "").replace("192.0.2.1;", &format!("{sent_by};"));
            let Screened::Refused(refused) = look(&text, Arrival::Datagram) else { panic!("{sent_by}") };
            assert_eq!(refused.to, SocketAddr::new(source().ip(), port), "{sent_by}");
        }
    }

    #[test]
    fn an_answer_repeats_what_it_must_and_is_always_the_same() {
        let text = message("NOPE sip:b@b SIP/2.0", "v: SIP/2.0/TCP 10.9.9.9;branch=z9hG4bKb\r\n", "");
        let Screened::Refused(one) = look(&text, Arrival::Datagram) else { panic!("refused") };
        let Screened::Refused(two) = look(&text, Arrival::Datagram) else { panic!("refused") };
        assert_eq!(one.answer, two.answer);
        let answer = Response::try_from(one.answer).unwrap();
        assert_eq!(answer.status_code.code(), 501);
        assert_eq!(answer.headers.iter().filter(|h| h.name() == "Via").count(), 2);
        assert_eq!(answer.to_header().unwrap().value(), "<sip:b@b>;tag=t");
        assert_eq!(answer.cseq_header().unwrap().value(), "1 NOPE");
        assert!(answer.header_value("Allow").is_some_and(|allow| allow.contains("INVITE")));
    }

    #[test]
    fn faults_get_the_status_they_earn() {
        let options = |headers: &str| message("OPTIONS sip:b@b SIP/2.0", headers, "");
        for (text, wanted) in [
            (options(""), 0),
            (options("Max-Forwards: 0\r\n"), 0),
            (options("Max-Forwards: 300\r\n"), 400),
            (options("From: <sip:x@x>;tag=2\r\n"), 400),
            (options("Content-Length: -999\r\n"), 400),
            (options("Content-Length: 5\r\nl: 6\r\n"), 400),
            (options("Content-Length: 9\r\n"), 400),
            (options("Content-Length: 99999999999999999999\r\n"), 413),
            (options(&format!("X: {}\r\n", "x".repeat(MAX_HEAD))), 513),
            (options(&"X: y\r\n".repeat(MAX_HEADERS + 1)), 513),
            (options("").replace("1 OPTIONS", "1 INVITE"), 400),
            (options("").replace("1 OPTIONS", "2147483648 OPTIONS"), 400),
            (options("").replace("1 OPTIONS", "-1 OPTIONS"), 400),
            (options("").replace("CSeq: 1 OPTIONS\r\n", ""), 400),
            (options("").replace("To: <sip:b@b>", "To: \"b <sip:b@b>"), 400),
            (options("").replace("To: <sip:b@b>", "To: <<sip:b@b>>"), 400),
            (options("").replace(";tag=1", ""), 400),
            (options("").replace("Call-ID: c", "Call-ID: c d"), 400),
            (options("Contact: <sip:a@a;;\r\n"), 400),
            (options("").replace("SIP/2.0\r\nVia", "SIP/7.0\r\nVia"), 505),
            (options("").replace("SIP/2.0\r\nVia", "HTTP/1.1\r\nVia"), 400),
            (message("OPTIONS  sip:b@b SIP/2.0", "", ""), 400),
            (message("OPTIONS sip:b@b SIP/2.0 ", "", ""), 400),
            (message("OPTIONS <sip:b@b> SIP/2.0", "", ""), 400),
            (message("OPTIONS sip:b@2001:db8::1 SIP/2.0", "", ""), 400),
            (message("OPTIONS sip:b@b?Route=%3Csip:b%3E SIP/2.0", "", ""), 400),
            (message("OPTIONS sip:b?;x=%40@[2001:db8::1]:5070;lr SIP/2.0", "", ""), 0),
            (message("OPTIONS nobody:b SIP/2.0", "", ""), 416),
            (message("options sip:b@b SIP/2.0", "", ""), 501),
            (message("O(PTIONS sip:b@b SIP/2.0", "", ""), 400),
            (message("ACK sip:b@b SIP/2.0", "Max-Forwards: x\r\n", ""), 1),
            (options("").trim_end().to_owned(), 400),
            (options("").replace("Via: SIP/2.0/UDP", "Via: UDP"), 1),
            (options("X: \"\u{7}\"\r\n"), 0),
            (options("X: a\rb\r\n"), 1),
            (options("X\u{7}: a\r\n"), 1),
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 1),
            (String::new(), 1),
            ("SIP/2.0 4294967301 x\r\n\r\n".to_owned(), 1),
        ] {
            assert_eq!(status(&text), wanted, "{text}");
        }
    }

    #[test]
    fn folded_compact_and_odd_but_fit_headers_are_read() {
        let text = "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\r\nTO :\r\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\r\n\
            f: \"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8\r\nMaX-fOrWaRdS: 0068\r\ni: x.y@192.0.2.1\r\nCSeq: 0009\r\n  INVITE\r\n\
            Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw\r\ns :\r\nm:<sip:a@a>\r\nl: 2\r\n\r\nabcd";
        let Screened::Message(message) = look(text, Arrival::Datagram) else {
            panic!("{:?}", look(text, Arrival::Datagram))
        };
        let SipMessage::Request(request) = *message else { panic!("request") };
        assert_eq!(request.body, b"ab");
        assert_eq!(request.cseq_header().unwrap().seq().unwrap(), 9);
    }

    #[test]
    fn a_datagram_without_a_length_has_its_body_to_the_end() {
        let text = message("INFO sip:b@b SIP/2.0", "", "Signal=5");
        let Screened::Message(message) = look(&text, Arrival::Datagram) else { panic!("fit") };
        let SipMessage::Request(request) = *message else { panic!("request") };
        assert_eq!(request.body, b"Signal=5");
    }

    #[test]
    fn a_stream_is_cut_at_content_length_wherever_it_breaks() {
        let one = message("INFO sip:b@b SIP/2.0", "Content-Length: 4\r\n", "a\r\n\r");
        let two = message("OPTIONS sip:b@b SIP/2.0", "", "");
        let stream = format!("\r\n\r\n{one}\r\n{two}\r\n\r\n");
        for step in 1..stream.len() {
            let mut framer = Framer::default();
            let mut got = Vec::new();
            for chunk in stream.as_bytes().chunks(step) {
                framer.push(chunk);
                while let Some(piece) = framer.next_piece() {
                    got.push(piece);
                }
            }
            let wanted = [
                Piece::Ping,
                Piece::Message(one.clone().into()),
                Piece::Message(two.clone().into()),
                Piece::Ping,
            ];
            assert_eq!(got, wanted, "step {step}");
            assert!(!framer.is_midway());
        }
    }

    #[test]
    fn a_stream_that_cannot_be_cut_is_broken_and_still_answered() {
        for (headers, wanted) in [
            ("Content-Length: 1\r\nContent-Length: 2\r\n", 400),
            ("Content-Length: x\r\n", 400),
            ("Content-Length: 18446744073709551615\r\n", 413),
        ] {
            let mut framer = Framer::default();
            framer.push(message("INVITE sip:b@b SIP/2.0", headers, "").as_bytes());
            let Some(Piece::Broken(bytes)) = framer.next_piece() else { panic!("{headers}") };
            let Screened::Refused(refused) = screen(&bytes, Arrival::Stream, source(), &|_| String::new())
            else {
                panic!("{headers}")
            };
            assert_eq!(refused.status, wanted);
        }
        let mut framer = Framer::default();
        framer.push(&vec![b'x'; MAX_HEAD + 1]);
        assert!(matches!(framer.next_piece(), Some(Piece::Broken(_))));
        assert!(!framer.is_midway());
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            let _ = screen(&bytes, Arrival::Datagram, source(), &|_| String::new());
            let mut framer = Framer::default();
            framer.push(&bytes);
            while framer.next_piece().is_some() {}
        }

        #[test]
        fn never_panics_on_headers(
            start in "(INVITE|OPTIONS|SIP/2.0) (sip|tel|x)?:?[ -~]{0,30} ?(SIP/2.0|200)?",
            headers in proptest::collection::vec(
                "(Via|v|From|To|Contact|m|CSeq|Call-ID|Record-Route|Route|l|Require)( ?): ?(SIP/2.0/UDP )?[ -~]{0,50}", 0..12),
        ) {
            let base = "Via: SIP/2.0/UDP h\r\nFrom: <sip:a@a>;tag=1\r\nTo: <sip:b@b>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n";
            for base in ["", base] {
                let text = format!("{start}\r\n{base}{}\r\n\r\nbody", headers.join("\r\n"));
                let _ = screen(text.as_bytes(), Arrival::Datagram, source(), &|_| String::new());
            }
        }
    }
}
