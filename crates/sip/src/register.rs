//! Registration: makes us an extension of a PBX (RFC 3261 section 10), for as long as we run.
//!
//! One task keeps one binding alive. Who refuses us is asked again more and more rarely, because PBXs shut out
//! those who insist on a wrong password; who is away is looked for more often.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rsipstack::sip::{Header, HeadersExt, Method, Request, Response, Version};
use tokio::time::{Instant, sleep, sleep_until};

use crate::dial::Trunk;
use crate::dialog::with_body;
use crate::endpoint::Shared;
use crate::flow::Flow;
use crate::multipart::split_unquoted;
use crate::session::{self, exchange};

/// What is asked for: short enough that a PBX that has forgotten us is noticed soon.
const EXPIRES: Duration = Duration::from_secs(300);
/// A registrar's wishes are followed up to this.
const LONGEST: Duration = Duration::from_secs(86_400);
/// Requests of one attempt: challenges, a longer time, an address seen.
const MAX_REQUESTS: usize = 8;
/// The first delay after a registrar could not be reached, and the longest.
const AWAY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(120));
/// The same after it has refused us.
const REFUSED: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3_600));
/// Keeps a translator's way open (RFC 5626 section 4.4.1 and below).
const KEEP_ALIVE: Duration = Duration::from_secs(25);

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// No answer.
    Unreachable,
    /// An answer, with the status and the seconds of Retry-After.
    Status(u16, Option<Duration>),
    /// An answer that means nothing: bound for no time, or asked for ever again.
    Absurd,
}

impl Failure {
    /// How long to wait after as many failures in a row.
    fn delay(self, failures: u32) -> Duration {
        let (first, longest) = match self {
            Self::Unreachable | Self::Status(408 | 500..600, _) => AWAY,
            Self::Status(..) | Self::Absurd => REFUSED,
        };
        let delay = first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(longest);
        // Many who lost the same registrar shall not all come back at once (RFC 5626 section 4.5).
        let delay = delay.mul_f64(0.5 + f64::from(session::rand_id()) / f64::from(u32::MAX) / 2.0);
        match self {
            Self::Status(_, Some(asked)) => delay.max(asked.min(LONGEST)),
            _ => delay,
        }
    }
}

/// The bindings of one account.
struct Registration {
    shared: Arc<Shared>,
    trunk: Trunk,
    call_id: String,
    tag: String,
    sequence: u32,
    /// What is asked for: more after a 423.
    expires: Duration,
    /// The flow it was registered on last, and whether a translator is in between.
    flow: Option<(Flow, bool)>,
}

/// Stays registered until the endpoint stops, and takes the registration back then.
pub(crate) async fn keep(shared: Arc<Shared>, trunk: Trunk) {
    let mut registration = Registration {
        shared: shared.clone(),
        trunk,
        call_id: rsipstack::transaction::random_text(22),
        tag: rsipstack::transaction::make_tag().value().to_owned(),
        sequence: 0,
        expires: EXPIRES,
        flow: None,
    };
    shared.stopping.run_until_cancelled(registration.refresh_for_ever()).await;
    if shared.counters.snapshot().registered == Some(true) {
        shared.counters.registration(false, false);
        if let Err(failure) = registration.register(Duration::ZERO).await {
            tracing::debug!(?failure, "the registration was not taken back");
        }
    }
}

impl Registration {
    async fn refresh_for_ever(&mut self) {
        let mut failures: u32 = 0;
        self.shared.counters.registration(false, false);
        loop {
            let (host, user) = (self.trunk.host.clone(), self.trunk.user.clone());
            let wait = match self.register(self.expires).await {
                Ok(granted) => {
                    if self.shared.counters.snapshot().registered != Some(true) {
                        tracing::info!(host, user, seconds = granted.as_secs(), "registered");
                    }
                    self.shared.counters.registration(true, false);
                    failures = 0;
                    // Time for some more attempts when the next one fails.
                    (granted / 2).max(Duration::from_secs(1))
                }
                Err(failure) => {
                    failures = failures.saturating_add(1);
                    self.shared.counters.registration(false, true);
                    let delay = failure.delay(failures);
                    tracing::warn!(host, user, ?failure, again_in = ?delay, "not registered");
                    delay
                }
            };
            self.rest(wait).await;
        }
    }

    /// Waits until it is time for the next attempt; the loss of the connection makes it time.
    async fn rest(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let Some((flow, is_translated)) = &self.flow else { return sleep_until(until).await };
        let resting = async {
            while *is_translated && Instant::now() + KEEP_ALIVE < until {
                sleep(KEEP_ALIVE).await;
                flow.send(b"\r\n\r\n".to_vec(), flow.peer).await;
            }
            sleep_until(until).await;
        };
        if flow.while_open(resting).await.is_none() {
            sleep_until(until.min(Instant::now() + Failure::Unreachable.delay(1))).await;
        }
    }

    /// Binds the account to our address for about this long, or ends that with none: for how long it is bound.
    async fn register(&mut self, expires: Duration) -> Result<Duration, Failure> {
        let home = self.trunk.home().map_err(|_| Failure::Unreachable)?;
        let shared = self.shared.clone();
        let (flow, to) = shared.reach(&home).await.ok_or(Failure::Unreachable)?;
        self.flow = Some((flow.clone(), false));
        let mut authenticator = self.trunk.authenticator();
        let mut expires = expires;
        for _ in 0..MAX_REQUESTS {
            let contact = self.contact(&flow);
            let mut request = self.request(&flow, &contact, expires)?;
            authenticator.sign(&mut request);
            let exchanged = flow.while_open(exchange(&shared, &flow, to.clone(), &request)).await;
            let response = exchanged.flatten().ok_or(Failure::Unreachable)?;
            if let Some(from) = source(&response) {
                self.flow = Some((flow.clone(), shared.seen(&flow, from)));
            }
            let retry_after = seconds(&response, "Retry-After");
            match response.status_code.code() {
                200..300 if expires.is_zero() => return Ok(expires),
                // Bound to an address where we are not: once more, now that we know.
                200..300 if self.contact(&flow) != contact => {}
                200..300 => match granted(&response, &contact).unwrap_or(expires).min(LONGEST) {
                    Duration::ZERO => return Err(Failure::Absurd),
                    granted => return Ok(granted),
                },
                401 | 407 if authenticator.challenged(&response) => {}
                423 => match seconds(&response, "Min-Expires") {
                    Some(least) if least > expires && least <= LONGEST => {
                        (self.expires, expires) = (least, least);
                    }
                    _ => return Err(Failure::Absurd),
                },
                status => return Err(Failure::Status(status, retry_after)),
            }
        }
        Err(Failure::Absurd)
    }

    /// Where the registrar shall send the account's calls.
    fn contact(&self, flow: &Flow) -> String {
        session::contact_of(&self.shared, flow, &self.trunk.user)
    }

    fn request(&mut self, flow: &Flow, contact: &str, expires: Duration) -> Result<Request, Failure> {
        self.sequence += 1;
        let account = self.trunk.account().map_err(|_| Failure::Unreachable)?;
        let mut headers = vec![
            Header::Via(self.shared.via(flow).as_str().into()),
            Header::MaxForwards("70".into()),
            Header::From(format!("<{account}>;tag={}", self.tag).as_str().into()),
            Header::To(format!("<{account}>").as_str().into()),
            Header::CallId(self.call_id.as_str().into()),
            Header::CSeq(format!("{} REGISTER", self.sequence).as_str().into()),
            Header::Contact(format!("<{contact}>").as_str().into()),
            Header::Expires(expires.as_secs().to_string().as_str().into()),
            Header::UserAgent(self.shared.config.user_agent.as_str().into()),
        ];
        let body = with_body(&mut headers, None);
        let mut uri = self.trunk.home().map_err(|_| Failure::Unreachable)?;
        // RFC 3261 section 10.2: the domain of the account.
        uri.auth = None;
        Ok(Request { method: Method::Register, uri, version: Version::V2, headers: headers.into(), body })
    }
}

/// Where a request of ours came from, as the answer's Via has it (RFC 3581 section 4).
fn source(response: &Response) -> Option<SocketAddr> {
    let via = response.header_value("Via")?;
    let pieces = split_unquoted(&via, ';');
    let value = |name: &str| {
        let mut pieces = pieces.iter().skip(1).filter_map(|piece| piece.split_once('='));
        pieces.find(|(n, _)| n.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    let ip = value("received")?.trim_matches(['[', ']']).parse().ok()?;
    Some(SocketAddr::new(ip, value("rport")?.parse().ok()?))
}

/// For how long `contact` is bound: what its own parameter says, or the whole answer.
fn granted(response: &Response, contact: &str) -> Option<Duration> {
    let contacts = response.headers.iter().filter_map(|header| match header {
        Header::Contact(contact) => Some(contact.value()),
        _ => None,
    });
    let mine = contacts.flat_map(|all| split_unquoted(all, ',')).find(|one| one.contains(contact));
    let own = mine.and_then(|mine| {
        let parameters = mine.rsplit('>').next()?;
        let mut parameters = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
        let (_, value) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("expires"))?;
        value.trim().parse().ok().map(Duration::from_secs)
    });
    own.or_else(|| seconds(response, "Expires"))
}

/// The seconds in a header, without what may follow them.
fn seconds(response: &Response, name: &str) -> Option<Duration> {
    let value = response.header_value(name)?;
    let digits = value.trim().split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(headers: &str) -> Response {
        Response::try_from(format!("SIP/2.0 200 OK\r\n{headers}Content-Length: 0\r\n\r\n")).unwrap()
    }

    #[test]
    fn what_is_granted_is_what_our_contact_says() {
        let granted =
            |headers: &str| granted(&response(headers), "sip:1001@192.0.2.1:5060").map(|d| d.as_secs());
        assert_eq!(granted("Expires: 300\r\n"), Some(300));
        assert_eq!(
            granted("Contact: <sip:1001@192.0.2.1:5060>;q=1;Expires=60\r\nExpires: 300\r\n"),
            Some(60)
        );
        let two =
            "Contact: <sip:1001@192.0.2.9>;expires=9, \"a, b\" <sip:1001@192.0.2.1:5060;ob>;expires=70\r\n";
        assert_eq!(granted(two), Some(70));
        assert_eq!(granted("Contact: <sip:1001@192.0.2.9>;expires=9\r\n"), None);
        assert_eq!(granted(""), None);
    }

    #[test]
    fn where_we_are_seen_is_read_from_the_via() {
        let source =
            |via: &str| source(&response(&format!("Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z{via}\r\n")));
        assert_eq!(source(";received=192.0.2.1;rport=4000"), "192.0.2.1:4000".parse().ok());
        assert_eq!(source(";rport=4000;received=[2001:db8::1]"), "[2001:db8::1]:4000".parse().ok());
        for without in ["", ";rport", ";rport=4000", ";received=x;rport=1", ";received=192.0.2.1;rport=99999"]
        {
            assert_eq!(source(without), None, "{without}");
        }
    }

    #[test]
    fn who_refuses_is_asked_more_rarely_than_who_is_away() {
        for (failure, failures, least, most) in [
            (Failure::Unreachable, 1, 1, 2),
            (Failure::Status(503, None), 3, 4, 8),
            (Failure::Unreachable, 40, 60, 120),
            (Failure::Status(403, None), 1, 30, 60),
            (Failure::Status(401, None), 2, 60, 120),
            (Failure::Absurd, 40, 1_800, 3_600),
            (Failure::Status(503, Some(Duration::from_secs(500))), 1, 500, 500),
        ] {
            let delay = failure.delay(failures);
            let range = Duration::from_secs(least)..=Duration::from_secs(most);
            assert!(range.contains(&delay), "{failure:?} {failures}: {delay:?}");
        }
    }
}
