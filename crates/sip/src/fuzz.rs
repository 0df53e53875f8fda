//! What fuzz targets reach of what is not public, and what must come of it.

#![expect(clippy::expect_used, reason = "fuzz targets want to hear of every failure at once")]

use std::net::IpAddr;
use std::time::Instant;

use rsipstack::sip::headers::make_header;
use rsipstack::sip::{Header, HeadersExt, Request, Response, SipMessage};
use sotto_audio::Codec;

use crate::config::{SipConfig, Users};
use crate::dial::dialled;
use crate::digest::{Algorithm, Authenticator, Fields};
use crate::guard::Guard;
use crate::plan::{Bodies, MAX_LEGS, Plan, Reject};
use crate::session::refer::{fits, fragment, target};
use crate::wire::{Arrival, Screened, screen};

/// A request from anyone, read as whatever it may be: an INVITE, a message with bodies (INFO), a REFER, a NOTIFY. What
/// is refused is refused with headers of one line each.
pub fn request(bytes: &[u8]) {
    let source = ([192, 0, 2, 1], 5060).into();
    let Screened::Message(message) = screen(bytes, Arrival::Datagram, source, &|_| String::new()) else {
        return;
    };
    let SipMessage::Request(request) = *message else { return };
    let config = SipConfig::default();
    match Plan::of(&request, &config, &Codec::ALL) {
        Ok(plan) => {
            assert!(plan.streams.len() <= MAX_LEGS, "{plan:?}");
            let parties = plan.parties(&config, &plan.streams, &[]);
            assert_eq!(parties.len(), plan.streams.len(), "{plan:?}");
            let labels = plan.streams.iter().map(|stream| stream.label.clone());
            let _ = plan.participants(&labels.zip(parties).collect::<Vec<_>>());
        }
        Err(reject) => check(&reject),
    }
    if let Err(reject) = Bodies::of(&request) {
        check(&reject);
    }
    match target(&request) {
        Ok(target) => {
            assert!(dialled(&target.number).is_ok(), "{target:?}");
            assert!(target.headers.iter().all(|(_, value)| fits(value)), "{target:?}");
        }
        Err(reject) => check(&reject),
    }
    let _ = fragment(&request.body);
}

fn check(reject: &Reject) {
    assert!((400..700).contains(&reject.status), "{reject:?}");
    assert_eq!(reject.text().lines().count(), reject.headers.len(), "{reject:?}");
}

/// The value of an `Authorization` header lets nobody in, and what answers the same value as a challenge can be read
/// and is for that challenge.
pub fn digest(value: &str) {
    let peer = IpAddr::from([192, 0, 2, 1]);
    let mut asking = register();
    asking.headers.push(Header::Authorization(value.into()));
    let users = Users::from([("mina", "secret")]);
    let guard = Guard::new(&users, &[Algorithm::Sha256, Algorithm::Md5]).expect("there is a user");
    assert!(guard.check(&asking, peer, Instant::now()).is_err());

    let mut challenge = Response::try_from("SIP/2.0 401 x\r\nContent-Length: 0\r\n\r\n").expect("our own");
    challenge.headers.push(make_header("WWW-Authenticate", value.to_owned()));
    let mut authenticator = Authenticator::new("mina", "secret");
    if !authenticator.challenged(&challenge) {
        return;
    }
    let mut signed = register();
    authenticator.sign(&mut signed);
    let answer = signed.header_value("Authorization").expect("it is signed");
    let read = |value: &str| Fields::read(value).expect("a digest");
    let (asked, answered) = (read(value), read(&answer));
    for name in ["realm", "nonce"] {
        assert_eq!(answered.get(name), asked.get(name), "{answer}");
    }
}

fn register() -> Request {
    let text = "REGISTER sip:pbx SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\r\n\
        From: <sip:mina@pbx>;tag=1\r\nTo: <sip:mina@pbx>\r\nCall-ID: c\r\nCSeq: 7 REGISTER\r\nContent-Length: 0\r\n\r\n";
    Request::try_from(text).expect("our own")
}
