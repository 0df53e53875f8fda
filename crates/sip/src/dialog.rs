//! A dialog (RFC 3261 section 12) as a plain value: identities, sequence numbers, routes, and the messages
//! made from them. Timers and retransmission are the stack's transactions'.
//!
//! rsipstack has a dialog layer too. On the answering side it leaves requests without an answer while a
//! dialog waits for its ACK, or while another request is being worked on, and drops old ones silently; so
//! transactions are used directly.

use std::time::Duration;

use rsipstack::sip::{Header, HeadersExt, Method, Request, Response, StatusCode, Uri, Version};

use crate::multipart::split_unquoted;
use crate::session::rand_id;

/// What identifies a dialog at our end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct DialogKey {
    pub(crate) call_id: String,
    pub(crate) local_tag: String,
    pub(crate) remote_tag: String,
}

impl DialogKey {
    /// The dialog a request from the peer belongs to; `None` when it is outside any.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        Some(Self {
            call_id: request.call_id_header().ok()?.value().to_owned(),
            local_tag: tag(request.to_header().ok()?.tag().ok()??)?,
            remote_tag: tag(request.from_header().ok()?.tag().ok()??)?,
        })
    }
}

fn tag(tag: rsipstack::sip::param::Tag) -> Option<String> {
    let tag = tag.value().to_owned();
    (!tag.is_empty()).then_some(tag)
}

/// A dialog, whoever began it.
#[derive(Debug)]
pub(crate) struct Dialog {
    pub(crate) key: DialogKey,
    local: String,
    remote: String,
    remote_target: Uri,
    routes: Vec<String>,
    contact: String,
    local_seq: u32,
    remote_seq: u32,
    /// We began it, and chose its Call-ID.
    is_ours: bool,
}

impl Dialog {
    /// The dialog that answering `invite` will create; `contact` is the value of our Contact header. `None`
    /// when the request has no usable Contact.
    pub(crate) fn answering(invite: &Request, local_tag: &str, contact: String) -> Option<Self> {
        let to = invite.to_header().ok()?.value();
        let mut routes = Vec::new();
        for header in invite.record_route_headers() {
            routes.extend(split_unquoted(header.value(), ',').into_iter().map(str::to_owned));
        }
        Some(Self {
            key: DialogKey {
                call_id: invite.call_id_header().ok()?.value().to_owned(),
                local_tag: local_tag.to_owned(),
                remote_tag: tag(invite.from_header().ok()?.tag().ok()??)?,
            },
            local: format!("{to};tag={local_tag}"),
            remote: invite.from_header().ok()?.value().to_owned(),
            remote_target: target(invite)?,
            routes,
            contact,
            local_seq: 0,
            remote_seq: invite.cseq_header().ok()?.seq().ok()?,
            is_ours: false,
        })
    }

    /// The dialog that the answer to an INVITE of ours has created (RFC 3261 section 12.1.2). `None` when the
    /// answer has no usable Contact or tag.
    pub(crate) fn calling(invite: &Request, answer: &Response, contact: String) -> Option<Self> {
        let mut routes = Vec::new();
        for header in answer.record_route_headers() {
            routes.extend(split_unquoted(header.value(), ',').into_iter().map(str::to_owned));
        }
        routes.reverse();
        Some(Self {
            key: DialogKey {
                call_id: invite.call_id_header().ok()?.value().to_owned(),
                local_tag: tag(invite.from_header().ok()?.tag().ok()??)?,
                remote_tag: tag(answer.to_header().ok()?.tag().ok()??)?,
            },
            local: invite.from_header().ok()?.value().to_owned(),
            remote: answer.to_header().ok()?.value().to_owned(),
            remote_target: target(answer)?,
            routes,
            contact,
            local_seq: invite.cseq_header().ok()?.seq().ok()?,
            remote_seq: 0,
            is_ours: true,
        })
    }

    /// Takes a request's place in the sequence: false when a later one has been seen (RFC 3261 section
    /// 12.2.2).
    pub(crate) fn in_order(&mut self, request: &Request) -> bool {
        let seq = request.cseq_header().ok().and_then(|cseq| cseq.seq().ok()).unwrap_or(0);
        let fits = seq > self.remote_seq;
        self.remote_seq = self.remote_seq.max(seq);
        fits
    }

    /// How long to wait before a re-INVITE that met one of the peer's (491) is sent again: of the two sides, whoever
    /// chose the Call-ID waits longer (RFC 3261 section 14.1).
    pub(crate) fn after_glare(&self) -> Duration {
        let (least, most) = if self.is_ours { (210, 400) } else { (0, 200) };
        Duration::from_millis(10 * (least + u64::from(rand_id()) % (most - least + 1)))
    }

    /// Takes the peer's new address from a target refresh request (re-INVITE, UPDATE).
    pub(crate) fn refresh_target(&mut self, request: &Request) {
        if let Some(target) = target(request) {
            self.remote_target = target;
        }
    }

    /// Where requests of ours go first.
    pub(crate) fn next_hop(&self) -> Uri {
        let route = self.routes.first().and_then(|route| {
            let uri = route.trim().trim_start_matches(|c| c != '<').trim_start_matches('<');
            rsipstack::sip::parse_uri(uri.split('>').next().unwrap_or_default()).ok()
        });
        route.unwrap_or_else(|| self.remote_target.clone())
    }

    /// True when requests go straight to the peer.
    pub(crate) fn is_direct(&self) -> bool {
        self.routes.is_empty()
    }

    /// An answer to a request of this dialog, or to the one that creates it.
    pub(crate) fn response(
        &self,
        request: &Request,
        status: StatusCode,
        more: Vec<Header>,
        body: Option<(&str, String)>,
    ) -> Response {
        let mut headers = Vec::new();
        let success = status.code() / 100 == 2;
        let is_ringing = status == StatusCode::Ringing;
        for header in request.headers.iter() {
            match header {
                Header::To(_) if status != StatusCode::Trying => {
                    headers.push(Header::To(self.local.as_str().into()))
                }
                Header::Via(_) | Header::From(_) | Header::To(_) | Header::CallId(_) | Header::CSeq(_) => {
                    headers.push(header.clone());
                }
                Header::RecordRoute(_) if (success || is_ringing) && request.method == Method::Invite => {
                    headers.push(header.clone());
                }
                _ => {}
            }
        }
        if (success || is_ringing)
            && matches!(request.method, Method::Invite | Method::Update | Method::Refer)
        {
            headers.push(Header::Contact(self.contact.as_str().into()));
        }
        headers.extend(more);
        let body = with_body(&mut headers, body);
        Response {
            status_code: status,
            wire_reason: None,
            version: Version::V2,
            headers: headers.into(),
            body,
        }
    }

    /// A request to the peer, with the next sequence number.
    pub(crate) fn request(
        &mut self,
        method: Method,
        via: String,
        more: Vec<Header>,
        body: Option<(&str, String)>,
    ) -> Request {
        self.local_seq += 1;
        let mut headers = vec![
            Header::Via(via.as_str().into()),
            Header::MaxForwards("70".into()),
            Header::From(self.local.as_str().into()),
            Header::To(self.remote.as_str().into()),
            Header::CallId(self.key.call_id.as_str().into()),
            Header::CSeq(format!("{} {method}", self.local_seq).as_str().into()),
        ];
        headers.extend(self.routes.iter().map(|route| Header::Route(route.as_str().into())));
        if method != Method::Bye {
            headers.push(Header::Contact(self.contact.as_str().into()));
        }
        headers.extend(more);
        let body = with_body(&mut headers, body);
        Request {
            method,
            uri: self.remote_target.clone(),
            version: Version::V2,
            headers: headers.into(),
            body,
        }
    }
}

pub(crate) fn with_body(headers: &mut Vec<Header>, body: Option<(&str, String)>) -> Vec<u8> {
    let bytes = match body {
        Some((content_type, body)) => {
            headers.push(Header::ContentType(content_type.into()));
            body.into_bytes()
        }
        None => Vec::new(),
    };
    headers.push(Header::ContentLength(bytes.len().to_string().as_str().into()));
    bytes
}

/// A request of ours once more, as another transaction.
pub(crate) fn again(request: &Request, sequence: u32, via: &str) -> Request {
    let mut request = request.clone();
    let sequence = format!("{sequence} {}", request.method);
    for header in request.headers.iter_mut() {
        match header {
            Header::Via(value) => *value = via.into(),
            Header::CSeq(value) => *value = sequence.as_str().into(),
            _ => {}
        }
    }
    request
}

fn target(message: &impl HeadersExt) -> Option<Uri> {
    let contact = message.typed_contact_headers().ok()?.into_iter().next()?;
    let scheme = contact.uri.scheme.as_ref()?.to_string();
    ["sip", "sips"].contains(&scheme.as_str()).then_some(contact.uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite() -> Request {
        let text = "INVITE sip:rec@192.0.2.9 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\r\n\
            Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKb\r\nRecord-Route: <sip:p2@192.0.2.1;lr>, <sip:p1@192.0.2.2;lr>\r\n\
            From: \"A\" <sip:a@a>;tag=1\r\nTo: <sip:rec@192.0.2.9>\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\n\
            Contact: <sip:a@192.0.2.3:5070;transport=tcp>\r\nContent-Length: 0\r\n\r\n";
        Request::try_from(text).unwrap()
    }

    fn dialog() -> Dialog {
        Dialog::answering(&invite(), "t", "<sip:192.0.2.9:5060>;+sip.srs".into()).unwrap()
    }

    #[test]
    fn an_answer_carries_what_the_request_brought_and_a_tag() {
        let answer =
            dialog().response(&invite(), StatusCode::OK, Vec::new(), Some(("application/sdp", "v=0".into())));
        let text = answer.to_string();
        assert_eq!(text.matches("Via:").count(), 2);
        assert!(text.contains("To: <sip:rec@192.0.2.9>;tag=t\r\n"), "{text}");
        assert!(text.contains("Record-Route: <sip:p2@192.0.2.1;lr>"), "{text}");
        assert!(text.contains("Contact: <sip:192.0.2.9:5060>;+sip.srs\r\n"), "{text}");
        assert!(text.ends_with("Content-Length: 3\r\n\r\nv=0"), "{text}");
        let trying = dialog().response(&invite(), StatusCode::Trying, Vec::new(), None);
        assert!(!trying.to_string().contains("tag=t"));
    }

    #[test]
    fn a_request_follows_the_route_to_the_peers_contact() {
        let mut dialog = dialog();
        assert_eq!(dialog.next_hop().to_string(), "sip:p2@192.0.2.1;lr");
        let bye =
            dialog.request(Method::Bye, "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKx".into(), Vec::new(), None);
        let text = bye.to_string();
        assert!(text.starts_with("BYE sip:a@192.0.2.3:5070"), "{text}");
        let routes: Vec<_> = text.lines().filter(|line| line.starts_with("Route:")).collect();
        assert_eq!(routes, ["Route: <sip:p2@192.0.2.1;lr>", "Route: <sip:p1@192.0.2.2;lr>"]);
        assert!(text.contains("From: <sip:rec@192.0.2.9>;tag=t\r\nTo: \"A\" <sip:a@a>;tag=1\r\n"), "{text}");
        let update = dialog.request(Method::Update, String::new(), Vec::new(), None);
        assert_eq!(update.cseq_header().unwrap().value(), "2 UPDATE");
    }

    #[test]
    fn whoever_chose_the_call_id_waits_longer_after_a_glare() {
        let theirs = dialog();
        let ours = Dialog { is_ours: true, ..dialog() };
        for _ in 0..1_000 {
            assert!(theirs.after_glare() <= Duration::from_secs(2));
            let wait = ours.after_glare();
            assert!(Duration::from_millis(2_100) <= wait && wait <= Duration::from_secs(4), "{wait:?}");
        }
    }

    #[test]
    fn requests_are_taken_in_order_once() {
        let mut dialog = dialog();
        let mut request = invite();
        for (seq, fits) in [(7, false), (9, true), (8, false), (9, false), (10, true)] {
            request.headers.unique_push(Header::CSeq(format!("{seq} INFO").as_str().into()));
            assert_eq!(dialog.in_order(&request), fits, "{seq}");
        }
    }
}
