//! Passwords in SIP: digest authentication (RFC 3261 section 22, RFC 7616, RFC 8760) with MD5 and SHA-256.
//!
//! rsipstack has digests too; it writes the nonce count in decimal where it checks one, hashes an address in
//! its own spelling instead of the peer's, and looks at the first challenge only.

use md5::Md5;
use rsipstack::sip::{Header, Request, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::multipart::{split_unquoted, unquote};

/// Challenges that one request answers: the first of each kind, and some more because a nonce was stale.
const MAX_ANSWERS: u8 = 4;

/// What hashes passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Algorithm {
    /// RFC 8760.
    #[serde(rename = "SHA-256")]
    Sha256,
    /// What every telephone knows.
    #[serde(rename = "MD5")]
    Md5,
}

impl Algorithm {
    /// The name in headers.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Md5 => "MD5",
        }
    }

    /// MD5 unless a name says otherwise (RFC 7616 section 3.3); `None` for what we do not have.
    pub(crate) fn by_name(name: Option<&str>) -> Option<Self> {
        let name = name.unwrap_or("MD5");
        [Self::Sha256, Self::Md5].into_iter().find(|known| known.name().eq_ignore_ascii_case(name))
    }

    fn hash(self, text: &str) -> String {
        match self {
            Self::Sha256 => hex(&Sha256::digest(text)),
            Self::Md5 => hex(&Md5::digest(text)),
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is hashed to prove that a password is known (RFC 7616 section 3.4.1).
pub(crate) struct Proof<'a> {
    pub(crate) algorithm: Algorithm,
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
    pub(crate) realm: &'a str,
    pub(crate) nonce: &'a str,
    pub(crate) method: &'a str,
    pub(crate) uri: &'a str,
    /// Nonce count and client nonce, as they are written, with `qop=auth`.
    pub(crate) count: Option<(&'a str, &'a str)>,
}

impl Proof<'_> {
    pub(crate) fn response(&self) -> String {
        let Self { algorithm, user, password, realm, nonce, method, uri, count } = self;
        let who = algorithm.hash(&format!("{user}:{realm}:{password}"));
        let what = algorithm.hash(&format!("{method}:{uri}"));
        algorithm.hash(&match count {
            Some((nc, cnonce)) => format!("{who}:{nonce}:{nc}:{cnonce}:auth:{what}"),
            None => format!("{who}:{nonce}:{what}"),
        })
    }
}

/// The parameters of a `Digest` challenge or answer, without quotes.
#[derive(Clone, Debug)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// `None` for another scheme.
    pub(crate) fn read(value: &str) -> Option<Self> {
        let (scheme, fields) = value.trim().split_once(char::is_whitespace)?;
        let fields = split_unquoted(fields, ',').into_iter().filter_map(|field| field.split_once('='));
        let fields = fields.map(|(name, value)| (name.trim().to_ascii_lowercase(), unquote(value)));
        scheme.eq_ignore_ascii_case("Digest").then(|| Self(fields.collect()))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// Answers the challenges that one request meets on its way, and those that follow it in its dialog.
#[derive(Clone)]
pub(crate) struct Authenticator {
    user: String,
    password: String,
    /// One at most of the callee's (401) and one of a proxy's (407).
    challenges: Vec<Challenge>,
    left: u8,
}

#[derive(Clone)]
struct Challenge {
    is_proxys: bool,
    /// An answer to it has been taken: another challenge does not mean that the password is wrong.
    is_met: bool,
    algorithm: Algorithm,
    fields: Fields,
    /// Requests signed with it.
    count: u32,
}

impl Authenticator {
    /// Without a password, nothing is answered.
    pub(crate) fn new(user: &str, password: &str) -> Self {
        Self {
            user: user.to_owned(),
            password: password.to_owned(),
            challenges: Vec::new(),
            left: MAX_ANSWERS,
        }
    }

    /// Takes up the challenge in a 401 or 407. False when it cannot be answered, or has been in vain: only of a
    /// stale nonce is a second answer better than the first.
    pub(crate) fn challenged(&mut self, response: &Response) -> bool {
        let is_proxys = response.status_code.code() == 407;
        let name = if is_proxys { "Proxy-Authenticate" } else { "WWW-Authenticate" };
        let named = response.headers.iter().filter(|header| header.name().eq_ignore_ascii_case(name));
        // RFC 8760 section 2.4: the first that is understood.
        let challenge = named.filter_map(|header| Challenge::read(header.value(), is_proxys)).next();
        let Some(challenge) = challenge else { return false };
        let is_stale = challenge.fields.get("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true"));
        let before = self.challenges.iter().position(|before| before.is_proxys == is_proxys);
        let is_vain =
            before.and_then(|before| self.challenges.get(before)).is_some_and(|before| !before.is_met);
        if self.password.is_empty() || self.left == 0 || (is_vain && !is_stale) {
            return false;
        }
        self.left -= 1;
        before.map(|before| self.challenges.swap_remove(before));
        self.challenges.push(challenge);
        true
    }

    /// What was asked for has been given. The next request may be asked again.
    pub(crate) fn succeeded(&mut self) {
        self.left = MAX_ANSWERS;
        self.challenges.iter_mut().for_each(|challenge| challenge.is_met = true);
    }

    /// Adds the answers to the challenges met so far.
    pub(crate) fn sign(&mut self, request: &mut Request) {
        for challenge in &mut self.challenges {
            let answer = challenge.answer(&self.user, &self.password, request);
            request.headers.push(match challenge.is_proxys {
                true => Header::ProxyAuthorization(answer.as_str().into()),
                false => Header::Authorization(answer.as_str().into()),
            });
        }
    }
}

impl Challenge {
    /// `None` when it wants something that we do not have.
    fn read(value: &str, is_proxys: bool) -> Option<Self> {
        let fields = Fields::read(value)?;
        let algorithm = Algorithm::by_name(fields.get("algorithm"))?;
        let mut offers = fields.get("qop").unwrap_or("auth").split(',');
        let is_fit = fields.get("realm").is_some()
            && fields.get("nonce").is_some()
            && offers.any(|offer| offer.trim().eq_ignore_ascii_case("auth"));
        is_fit.then_some(Self { is_proxys, is_met: false, algorithm, fields, count: 0 })
    }

    fn answer(&mut self, user: &str, password: &str, request: &Request) -> String {
        self.count += 1;
        let (nc, cnonce) = (format!("{:08x}", self.count), rsipstack::transaction::random_text(16));
        let field = |name| self.fields.get(name).unwrap_or_default();
        let (realm, nonce, uri) = (field("realm"), field("nonce"), request.uri.to_string());
        let count = self.fields.get("qop").map(|_| (nc.as_str(), cnonce.as_str()));
        let method = request.method.to_string();
        let proof = Proof {
            algorithm: self.algorithm,
            user,
            password,
            realm,
            nonce,
            method: &method,
            uri: &uri,
            count,
        };
        let mut answer = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{}\"",
            quote(user),
            quote(realm),
            quote(nonce),
            quote(&uri),
            proof.response()
        );
        if let Some(algorithm) = self.fields.get("algorithm") {
            answer.push_str(&format!(", algorithm={algorithm}"));
        }
        if let Some((nc, cnonce)) = count {
            answer.push_str(&format!(", qop=auth, nc={nc}, cnonce=\"{cnonce}\""));
        }
        if let Some(opaque) = self.fields.get("opaque") {
            answer.push_str(&format!(", opaque={}", quote(opaque)));
        }
        answer
    }
}

fn quote(text: &str) -> String {
    let escaped: String =
        text.chars().flat_map(|c| matches!(c, '"' | '\\').then_some('\\').into_iter().chain([c])).collect();
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rsipstack::sip::HeadersExt;

    use super::*;

    /// The examples of RFC 7616 section 3.9.1.
    #[test]
    fn proofs_are_those_of_the_book() {
        for (algorithm, response) in [
            (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
            (Algorithm::Sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let proof = Proof {
                algorithm,
                user: "Mufasa",
                password: "Circle of Life",
                realm: "http-auth@example.org",
                nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
                method: "GET",
                uri: "/dir/index.html",
                count: Some(("00000001", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")),
            };
            assert_eq!(proof.response(), response);
        }
        // Without qop: RFC 2069 section 2.4, with the response its errata give.
        let proof = Proof {
            algorithm: Algorithm::Md5,
            user: "Mufasa",
            password: "CircleOfLife",
            realm: "testrealm@host.com",
            nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
            method: "GET",
            uri: "/dir/index.html",
            count: None,
        };
        assert_eq!(proof.response(), "1949323746fe6a43ef61f9606e7febea");
    }

    fn request() -> Request {
        let text = "REGISTER sip:pbx SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\r\n\
            From: <sip:a@pbx>;tag=1\r\nTo: <sip:a@pbx>\r\nCall-ID: c\r\nCSeq: 7 REGISTER\r\nContent-Length: 0\r\n\r\n";
        Request::try_from(text).unwrap()
    }

    fn response(status: u16, headers: &str) -> Response {
        let text = format!("SIP/2.0 {status} x\r\n{headers}Content-Length: 0\r\n\r\n");
        Response::try_from(text).unwrap()
    }

    #[test]
    fn the_first_challenge_that_is_understood_is_answered_once() {
        let mut authenticator = Authenticator::new("a", "secret");
        let challenge = "WWW-Authenticate: Negotiate x\r\n\
            WWW-Authenticate: Digest realm=\"r\", nonce=\"n0\", algorithm=SHA-512-256, qop=\"auth\"\r\n\
            WWW-Authenticate: Digest realm=\"r, \\\"q\\\"\", nonce=\"n1\", algorithm=SHA-256, qop=\"auth-int,auth\", opaque=\"o\"\r\n\
            WWW-Authenticate: Digest realm=\"r\", nonce=\"n2\", algorithm=MD5, qop=\"auth\"\r\n";
        assert!(authenticator.challenged(&response(401, challenge)));
        let mut signed = request();
        authenticator.sign(&mut signed);
        let value = signed.header_value("Authorization").unwrap();
        assert!(
            value.starts_with("Digest username=\"a\", realm=\"r, \\\"q\\\"\", nonce=\"n1\", uri=\"sip:pbx\"")
        );
        assert!(
            value.contains("algorithm=SHA-256, qop=auth, nc=00000001, cnonce=\"")
                && value.ends_with("opaque=\"o\"")
        );
        assert!(!authenticator.challenged(&response(401, challenge)), "the password is wrong");
        let stale = challenge.replace("opaque", "stale=TRUE, opaque");
        assert!(authenticator.challenged(&response(401, &stale)));
        let proxys = "Proxy-Authenticate: Digest realm=\"p\", nonce=\"n3\"\r\n";
        assert!(authenticator.challenged(&response(407, proxys)));
        let mut signed = request();
        authenticator.sign(&mut signed);
        let value = signed.header_value("Proxy-Authorization").unwrap();
        assert!(value.contains("nonce=\"n3\"") && !value.contains("nc="), "{value}");
        assert!(signed.header_value("Authorization").is_some());
        // A peer whose nonces are always stale is not answered for ever.
        assert!(authenticator.challenged(&response(401, &stale)));
        assert!(!authenticator.challenged(&response(401, &stale)));
    }

    #[test]
    fn what_cannot_be_answered_is_not() {
        let challenged = |headers: &str| Authenticator::new("a", "b").challenged(&response(401, headers));
        assert!(challenged("WWW-Authenticate: digest nonce=n, realm=r\r\n"));
        for headers in [
            "",
            "WWW-Authenticate: Digest realm=\"r\"\r\n",
            "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"\r\n",
            "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=MD5-sess\r\n",
            "Proxy-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n",
        ] {
            assert!(!challenged(headers), "{headers}");
        }
        let headers = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n";
        assert!(!Authenticator::new("a", "").challenged(&response(401, headers)));
    }

    proptest! {
        #[test]
        fn whatever_is_challenged_is_read(value in "(Digest )?[ -~]{0,80}") {
            let _ = Challenge::read(&value, false);
        }
    }
}
