//! Who may call: asks callers for a password (RFC 3261 section 22, RFC 7616, RFC 8760).
//!
//! A nonce is the time it was issued at and a seal over that and the peer's address, so that nothing is kept for
//! those who are only asked. What is kept is bounded: how often those who knew a password have used their nonces,
//! as long as these are fresh, and who has got passwords wrong lately.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use rsipstack::sip::{Header, Request};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::config::Users;
use crate::digest::{Algorithm, Fields, Proof, hex};
use crate::plan::Reject;

/// What the passwords are for.
const REALM: &str = "sotto";
/// How long a nonce may be used.
const FRESH: Duration = Duration::from_secs(60);
/// Nonces in use at most; with one more, the oldest is stale before its time.
const MAX_USED: usize = 4_096;
/// Wrong passwords in a row after which a peer is shut out, and for how long.
const MAX_WRONG: u32 = 5;
const SHUT_OUT: Duration = Duration::from_secs(60);
/// Peers whose wrong passwords are remembered.
const MAX_PEERS: usize = 1_024;
/// Bytes of a nonce's seal, and characters of its number.
const SEAL: usize = 16;
const NUMBER: usize = 16;

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    /// It gives no password, or one that proves nothing: its nonce is not ours, too old (`stale`), or has been
    /// used as often as it says.
    Asked { stale: bool },
    /// The password is wrong.
    Wrong,
    /// Its peer has got too many passwords wrong.
    ShutOut,
}

/// Lets in who knows a password.
pub(crate) struct Guard {
    users: Users,
    algorithms: Vec<Algorithm>,
    key: String,
    began: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The number of the last nonce: microseconds since the beginning, or one more than the one before.
    last: u64,
    /// How often nonces have been used, by their numbers.
    used: BTreeMap<u64, u32>,
    /// Nonces up to this number may have been used.
    forgotten: u64,
    wrong: HashMap<IpAddr, Wrong>,
}

/// The wrong passwords of a peer.
struct Wrong {
    times: u32,
    last: Instant,
}

/// What a request says to prove that it knows a password.
struct Answer {
    fields: Fields,
    algorithm: Algorithm,
}

impl Guard {
    /// `None` when there is nobody to be let in.
    pub(crate) fn new(users: &Users, algorithms: &[Algorithm]) -> Option<Self> {
        let guard = Self {
            users: users.clone(),
            algorithms: algorithms.to_vec(),
            key: rsipstack::transaction::random_text(32),
            began: Instant::now(),
            state: Mutex::default(),
        };
        (!guard.users.is_empty()).then_some(guard)
    }

    /// Lets a request in that proves, for the first time with these words, that it knows a password.
    pub(crate) fn check(&self, request: &Request, peer: IpAddr, now: Instant) -> Result<(), Denial> {
        let peer = peer.to_canonical();
        if self.state().is_shut_out(peer, now) {
            return Err(Denial::ShutOut);
        }
        let answer = Answer::read(request, &self.algorithms).ok_or(Denial::Asked { stale: false })?;
        // Of a nonce that is not this peer's, nothing is said about the password: whoever guesses has to be
        // where the nonce was sent, and is counted.
        let number = self.number(answer.field("nonce"), peer).ok_or(Denial::Asked { stale: true })?;
        let is_right = answer.proves(&self.users, &request.method.to_string());
        let mut state = self.state();
        if !is_right {
            state.count_wrong(peer, now);
            return Err(Denial::Wrong);
        }
        let oldest = self.micros(now).saturating_sub(FRESH.as_micros() as u64);
        if !state.is_first_use(number, answer.count(), oldest) {
            return Err(Denial::Asked { stale: true });
        }
        state.wrong.remove(&peer);
        Ok(())
    }

    /// What is said to whom is not let in.
    pub(crate) fn reject(&self, denial: Denial, peer: IpAddr, now: Instant) -> Reject {
        let is_stale = match denial {
            Denial::ShutOut => return Reject::new(403, "Forbidden"),
            Denial::Asked { stale } => stale,
            Denial::Wrong => false,
        };
        let number = {
            let mut state = self.state();
            state.last = self.micros(now).max(state.last + 1);
            state.last
        };
        let nonce = format!("{number:0NUMBER$x}{}", self.seal(number, peer.to_canonical()));
        let stale = if is_stale { ", stale=true" } else { "" };
        // RFC 8760 section 2.3: a challenge for each algorithm, the best first.
        self.algorithms.iter().fold(Reject::new(401, "Unauthorized"), |reject, algorithm| {
            let algorithm = algorithm.name();
            let challenge = format!(
                "Digest realm=\"{REALM}\", nonce=\"{nonce}\", algorithm={algorithm}, qop=\"auth\"{stale}"
            );
            reject.with("WWW-Authenticate", challenge)
        })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn micros(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_micros()).unwrap_or(u64::MAX)
    }

    fn seal(&self, number: u64, peer: IpAddr) -> String {
        // HMAC takes keys of any length.
        let Ok(mut seal) = Hmac::<Sha256>::new_from_slice(self.key.as_bytes()) else { return String::new() };
        seal.update(&number.to_be_bytes());
        match peer {
            IpAddr::V4(ip) => seal.update(&ip.octets()),
            IpAddr::V6(ip) => seal.update(&ip.octets()),
        }
        hex(seal.finalize().into_bytes().get(..SEAL).unwrap_or_default())
    }

    /// The number of a nonce of ours for this peer.
    fn number(&self, nonce: &str, peer: IpAddr) -> Option<u64> {
        let (number, seal) = nonce.split_at_checked(NUMBER)?;
        let number = u64::from_str_radix(number, 16).ok()?;
        is_same(&self.seal(number, peer), seal).then_some(number)
    }
}

impl State {
    fn is_shut_out(&self, peer: IpAddr, now: Instant) -> bool {
        let lately = |wrong: &Wrong| now.saturating_duration_since(wrong.last) < SHUT_OUT;
        self.wrong.get(&peer).is_some_and(|wrong| wrong.times >= MAX_WRONG && lately(wrong))
    }

    fn count_wrong(&mut self, peer: IpAddr, now: Instant) {
        if self.wrong.len() >= MAX_PEERS
            && !self.wrong.contains_key(&peer)
            && let Some(oldest) = self.wrong.iter().min_by_key(|(_, wrong)| wrong.last).map(|(peer, _)| *peer)
        {
            self.wrong.remove(&oldest);
        }
        let wrong = self.wrong.entry(peer).or_insert(Wrong { times: 0, last: now });
        let is_long_ago = now.saturating_duration_since(wrong.last) >= SHUT_OUT;
        *wrong = Wrong { times: if is_long_ago { 1 } else { wrong.times + 1 }, last: now };
        if wrong.times == MAX_WRONG {
            tracing::warn!(%peer, seconds = SHUT_OUT.as_secs(), "too many wrong passwords: shut out");
        }
    }

    /// Takes note of a nonce's use. False when it is older than `oldest`, or has been used that often before.
    fn is_first_use(&mut self, number: u64, count: u32, oldest: u64) -> bool {
        self.used = self.used.split_off(&oldest);
        let is_used = self.used.get(&number).is_some_and(|used| *used >= count);
        if number < oldest || number <= self.forgotten || is_used {
            return false;
        }
        self.used.insert(number, count);
        if self.used.len() > MAX_USED
            && let Some((forgotten, _)) = self.used.pop_first()
        {
            self.forgotten = forgotten;
        }
        true
    }
}

impl Answer {
    /// The answer to a challenge of ours; `None` when there is none that could be right.
    fn read(request: &Request, algorithms: &[Algorithm]) -> Option<Self> {
        let headers = request.headers.iter().filter_map(|header| match header {
            Header::Authorization(value) => Fields::read(value.value()),
            _ => None,
        });
        let fields = headers.into_iter().find(|fields| fields.get("realm") == Some(REALM))?;
        let algorithm = Algorithm::by_name(fields.get("algorithm")).filter(|a| algorithms.contains(a))?;
        let answer = Self { fields, algorithm };
        let is_counted = match answer.fields.get("qop") {
            // As before RFC 2617, and still allowed (RFC 3261 section 22.4): the nonce serves once.
            None => true,
            Some(qop) => {
                qop.eq_ignore_ascii_case("auth") && answer.field("nc").len() == 8 && answer.count() > 0
            }
        };
        is_counted.then_some(answer)
    }

    fn field(&self, name: &str) -> &str {
        self.fields.get(name).unwrap_or_default()
    }

    /// How often the nonce has been used, with this time.
    fn count(&self) -> u32 {
        match self.fields.get("qop") {
            Some(_) => u32::from_str_radix(self.field("nc"), 16).unwrap_or(0),
            None => u32::MAX,
        }
    }

    /// The `uri` is not held against the Request-URI, which proxies on the way may have changed (RFC 3261 section
    /// 22.4, item 5 of the list); a count that is taken once keeps an answer from being used for another request.
    fn proves(&self, users: &Users, method: &str) -> bool {
        let user = self.field("username");
        let password = users.password(user);
        let proof = Proof {
            algorithm: self.algorithm,
            user,
            // As much work for a name that does not exist.
            password: password.unwrap_or("x"),
            realm: REALM,
            nonce: self.field("nonce"),
            method,
            uri: self.field("uri"),
            count: self.fields.get("qop").map(|_| (self.field("nc"), self.field("cnonce"))),
        };
        is_same(&proof.response(), &self.field("response").to_ascii_lowercase()) && password.is_some()
    }
}

/// Compares in a time that does not tell how much is the same.
fn is_same(ours: &str, theirs: &str) -> bool {
    ours.as_bytes().ct_eq(theirs.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rsipstack::sip::Response;

    use super::*;
    use crate::digest::Authenticator;

    fn guard() -> Guard {
        let users = Users::from([("mina", "secret"), ("reza", "other")]);
        Guard::new(&users, &[Algorithm::Sha256, Algorithm::Md5]).unwrap()
    }

    fn peer() -> IpAddr {
        "192.0.2.1".parse().unwrap()
    }

    fn invite() -> Request {
        let text = "INVITE sip:100@192.0.2.9;transport=tcp SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\r\n\
            From: <sip:a@pbx>;tag=1\r\nTo: <sip:100@pbx>\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\nContent-Length: 0\r\n\r\n";
        Request::try_from(text).unwrap()
    }

    /// What is asked now, and of which algorithm the first challenge is.
    fn asked(guard: &Guard, denial: Denial, now: Instant) -> Response {
        let reject = guard.reject(denial, peer(), now);
        let text = format!("SIP/2.0 401 x\r\n{}Content-Length: 0\r\n\r\n", reject.text());
        Response::try_from(text).unwrap()
    }

    fn signed(asked: &Response, user: &str, password: &str) -> Request {
        let mut authenticator = Authenticator::new(user, password);
        assert!(authenticator.challenged(asked));
        let mut request = invite();
        authenticator.sign(&mut request);
        request
    }

    fn only_md5(asked: &Response) -> Response {
        let text = asked.to_string();
        let kept = text.split_inclusive("\r\n").filter(|line| !line.contains("SHA-256"));
        Response::try_from(kept.collect::<String>()).unwrap()
    }

    #[test]
    fn who_knows_a_password_is_let_in_once() {
        let (guard, now) = (guard(), Instant::now());
        assert_eq!(guard.check(&invite(), peer(), now), Err(Denial::Asked { stale: false }));
        let asked = asked(&guard, Denial::Asked { stale: false }, now);
        for asked in [only_md5(&asked), super::tests::asked(&guard, Denial::Wrong, now)] {
            let request = signed(&asked, "mina", "secret");
            assert_eq!(guard.check(&request, "::ffff:192.0.2.1".parse().unwrap(), now), Ok(()));
            assert_eq!(guard.check(&request, peer(), now), Err(Denial::Asked { stale: true }), "a replay");
        }
    }

    #[test]
    fn a_nonce_is_good_for_a_while_for_its_peer_and_for_higher_counts() {
        let (guard, now) = (guard(), Instant::now());
        let asked = asked(&guard, Denial::Asked { stale: false }, now);
        let request = signed(&asked, "mina", "secret");
        let stale = Err(Denial::Asked { stale: true });
        assert_eq!(guard.check(&request, "192.0.2.2".parse().unwrap(), now), stale);
        let late = now + FRESH + Duration::from_secs(1);
        assert_eq!(guard.check(&request, peer(), late), stale);
        let wrong = signed(&asked, "mina", "wrong");
        assert_eq!(guard.check(&wrong, peer(), late), Err(Denial::Wrong));
        // The same nonce again, counted on; and back.
        let mut authenticator = Authenticator::new("mina", "secret");
        assert!(authenticator.challenged(&asked));
        let [one, two] = [(); 2].map(|()| {
            let mut request = invite();
            authenticator.sign(&mut request);
            request
        });
        assert_eq!(guard.check(&two, peer(), now), Ok(()));
        assert_eq!(guard.check(&one, peer(), now), stale);
        assert!(guard.reject(Denial::Asked { stale: true }, peer(), now).text().contains("stale=true"));
    }

    #[test]
    fn whoever_gets_it_wrong_too_often_is_shut_out_for_a_while() {
        let (guard, now) = (guard(), Instant::now());
        let asked = asked(&guard, Denial::Asked { stale: false }, now);
        let right = signed(&asked, "mina", "secret");
        for (user, password) in
            [("mina", "other"), ("nobody", "x"), ("reza", "secret"), ("", "x"), ("mina", "Secret")]
        {
            assert_eq!(
                guard.check(&signed(&asked, user, password), peer(), now),
                Err(Denial::Wrong),
                "{user}"
            );
        }
        assert_eq!(guard.check(&right, peer(), now), Err(Denial::ShutOut));
        assert_eq!(guard.reject(Denial::ShutOut, peer(), now).status, 403);
        let other: IpAddr = "192.0.2.2".parse().unwrap();
        assert_eq!(guard.check(&invite(), other, now), Err(Denial::Asked { stale: false }));
        let later = now + SHUT_OUT;
        let asked = super::tests::asked(&guard, Denial::Wrong, later);
        assert_eq!(guard.check(&signed(&asked, "mina", "secret"), peer(), later), Ok(()));
        assert_eq!(guard.check(&signed(&asked, "mina", "wrong"), peer(), later), Err(Denial::Wrong));
        assert_eq!(guard.check(&invite(), peer(), later), Err(Denial::Asked { stale: false }));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut state = State::default();
        for number in 1..=MAX_USED as u64 + 10 {
            assert!(state.is_first_use(number, 1, 0));
        }
        assert_eq!((state.used.len(), state.forgotten), (MAX_USED, 10));
        assert!(!state.is_first_use(10, 2, 0), "it may have been used before");
        assert!(state.is_first_use(11, 2, 0) && !state.is_first_use(11, 2, 0));
        let (now, ip) = (Instant::now(), |n: u32| IpAddr::V4(n.into()));
        for n in 0..MAX_PEERS as u32 + 10 {
            state.count_wrong(ip(n), now + Duration::from_millis(n.into()));
        }
        assert_eq!(state.wrong.len(), MAX_PEERS);
        assert!(!state.wrong.contains_key(&ip(9)) && state.wrong.contains_key(&ip(10)));
    }

    #[test]
    fn answers_that_prove_nothing_are_asked_again() {
        let (guard, now) = (guard(), Instant::now());
        let asked = asked(&guard, Denial::Asked { stale: false }, now);
        let given = signed(&asked, "mina", "secret").to_string();
        for (from, to, denial) in [
            ("realm=\"sotto\"", "realm=\"pbx\"", Denial::Asked { stale: false }),
            ("algorithm=SHA-256", "algorithm=SHA-512-256", Denial::Asked { stale: false }),
            ("qop=auth", "qop=auth-int", Denial::Asked { stale: false }),
            ("nc=00000001", "nc=00000000", Denial::Asked { stale: false }),
            ("nc=00000001", "nc=1", Denial::Asked { stale: false }),
            ("nonce=\"0", "nonce=\"1", Denial::Asked { stale: true }),
            ("nc=00000001", "nc=00000002", Denial::Wrong),
            ("algorithm=SHA-256", "algorithm=MD5", Denial::Wrong),
            ("uri=\"sip:100", "uri=\"sip:200", Denial::Wrong),
        ] {
            assert!(given.contains(from), "{from} in {given}");
            let request = Request::try_from(given.replace(from, to)).unwrap();
            assert_eq!(guard.check(&request, peer(), now), Err(denial), "{to}");
            guard.state().wrong.clear();
        }
    }

    proptest! {
        #[test]
        fn whatever_is_answered_is_read(value in "(Digest realm=\"sotto\",)?[ -~]{0,80}") {
            let mut request = invite();
            request.headers.push(Header::Authorization(value.as_str().into()));
            let guard = guard();
            prop_assert!(guard.check(&request, peer(), Instant::now()).is_err());
            let _ = guard.number(&value, peer());
        }
    }
}
