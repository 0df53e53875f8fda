//! What an INVITE asks for, read and checked before anything is kept for it: what cannot be served is refused
//! without state, as often as it is asked.

use std::collections::BTreeMap;
use std::time::Duration;

use rsipstack::sip::{HeadersExt, Method, Request, Response};
use sotto_audio::Codec;
use sotto_call::{Participant, Party, Source};

use crate::config::SipConfig;
use crate::metadata::{Metadata, Person, yes_or_no};
use crate::multipart::{self, Part, split_unquoted, unquote};
use crate::negotiate::{self, Stream};
use crate::party::{self, Speaker};
use crate::sdp::Session;
use crate::wire::ACCEPT;

/// Streams of one dialog that become legs.
pub(crate) const MAX_LEGS: usize = 2;
/// A longer one is as good as none.
const MAX_SE: u64 = 86_400;
/// Characters kept of a header's value.
const MAX_VALUE: usize = 256;
/// Option tags a request may require of us.
const SUPPORTED: [&str; 4] = ["siprec", "timer", "100rel", "norefersub"];
/// The value of `Supported` in our answers.
pub(crate) const SUPPORTED_VALUE: &str = "siprec, timer, 100rel, norefersub";

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reject {
    pub(crate) status: u16,
    pub(crate) reason: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Reject {
    pub(crate) fn new(status: u16, reason: &'static str) -> Self {
        Self { status, reason, headers: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// 503, and when to try again.
    pub(crate) fn busy() -> Self {
        Self::new(503, "Service Unavailable").with("Retry-After", "10")
    }

    /// The headers as text.
    pub(crate) fn text(&self) -> String {
        self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
    }
}

/// The bodies of a request that mean something to us.
#[derive(Debug, Default)]
pub(crate) struct Bodies {
    pub(crate) description: Option<Session>,
    pub(crate) metadata: Option<Metadata>,
    /// INFO: digit and milliseconds.
    pub(crate) dtmf: Option<(char, u64)>,
}

impl Bodies {
    /// Reads them. Parts of other kinds are left alone unless they are all there is.
    pub(crate) fn of(request: &Request) -> Result<Self, Reject> {
        Self::read(request, &request.body)
    }

    /// The same for a message of any kind.
    pub(crate) fn read(message: &impl HeadersExt, body: &[u8]) -> Result<Self, Reject> {
        let mut bodies = Self::default();
        if body.is_empty() {
            return Ok(bodies);
        }
        if message.header_value("Content-Encoding").is_some_and(|e| !e.eq_ignore_ascii_case("identity")) {
            return Err(Reject::new(415, "Unsupported Media Type").with("Accept-Encoding", "identity"));
        }
        let content_type = message.header_value("Content-Type").unwrap_or_default();
        let disposition = message.header_value("Content-Disposition");
        let parts = multipart::parts(&content_type, disposition.as_deref(), body)
            .map_err(|error| Reject::new(400, "Bad Multipart Body").with("Warning", warning(399, &error)))?;
        let mut understood = false;
        for part in &parts {
            understood |= bodies.take(part)?;
        }
        if !understood {
            return Err(Reject::new(415, "Unsupported Media Type").with("Accept", ACCEPT));
        }
        Ok(bodies)
    }

    fn take(&mut self, part: &Part) -> Result<bool, Reject> {
        match part.content_type.essence.as_str() {
            "application/sdp" if self.description.is_none() => {
                let description = Session::parse(&part.body).map_err(|error| {
                    Reject::new(400, "Bad Session Description").with("Warning", warning(399, &error))
                })?;
                self.description = Some(description);
            }
            "application/rs-metadata+xml" | "application/rs-metadata" if self.metadata.is_none() => {
                let metadata = Metadata::parse(&part.body).map_err(|error| {
                    Reject::new(400, "Bad Recording Metadata").with("Warning", warning(399, &error))
                })?;
                self.metadata = Some(metadata);
            }
            "application/dtmf-relay" | "application/dtmf" => self.dtmf = dtmf(&part.body),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// A `Warning` value (RFC 3261 section 20.43).
fn warning(code: u16, text: &impl ToString) -> String {
    let text: String = text.to_string().chars().filter(|c| !c.is_control()).take(MAX_VALUE).collect();
    format!("{code} sotto \"{}\"", text.replace(['"', '\\'], "'"))
}

/// `Signal=5` and `Duration=160`, or the digit alone.
fn dtmf(body: &[u8]) -> Option<(char, u64)> {
    let text = std::str::from_utf8(body.get(..body.len().min(MAX_VALUE))?).ok()?;
    let field = |name: &str| {
        let mut fields = text.lines().filter_map(|line| line.split_once('='));
        fields.find(|(n, _)| n.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    let mut signal = field("Signal").unwrap_or_else(|| text.trim()).chars();
    let digit = signal.next()?.to_ascii_uppercase();
    let fits = matches!(digit, '0'..='9' | '*' | '#' | 'A'..='D') && signal.next().is_none();
    let duration = field("Duration").and_then(|d| d.parse().ok()).filter(|ms| *ms <= 60_000);
    fits.then(|| (digit, duration.unwrap_or(100)))
}

/// The session timer that a request leads to (RFC 4028).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionTimer {
    pub(crate) interval: Duration,
    /// We have to refresh, instead of the peer.
    pub(crate) ours: bool,
    /// The peer knows the extension, so the answer may require it.
    required: bool,
    /// Seconds below which nobody may bring it: what others have asked for (Min-SE).
    least: u64,
}

impl SessionTimer {
    pub(crate) fn of(request: &Request, least: u64) -> Result<Option<Self>, Reject> {
        let Some(value) = request.header_value("Session-Expires") else { return Ok(None) };
        let Some((seconds, refresher)) = session_expires(&value) else {
            return Err(Reject::new(400, "Bad Session-Expires"));
        };
        let least = least.max(1);
        if seconds < least {
            return Err(Reject::new(422, "Session Interval Too Small").with("Min-SE", least.to_string()));
        }
        let knows = tokens(request, "Supported").any(|t| t == "timer")
            || tokens(request, "Require").any(|t| t == "timer");
        // Section 9, table 2: whoever does not know the extension cannot refresh.
        let ours = !knows || refresher == Some("uas");
        let interval = Duration::from_secs(seconds.min(MAX_SE));
        Ok(Some(Self { interval, ours, required: knows && !ours, least: min_se(request).min(MAX_SE) }))
    }

    /// What calls of ours ask for.
    pub(crate) fn wanted(config: &SipConfig) -> Option<Self> {
        let least = config.min_se_s.clamp(1, MAX_SE);
        let interval = Duration::from_secs(config.session_expires_s.clamp(least, MAX_SE));
        let wanted = Self { interval, ours: false, required: false, least };
        (config.session_expires_s > 0).then_some(wanted)
    }

    /// What the answer to a request of ours leads to: a 2xx to what it says, nothing when it says nothing
    /// (section 7.2); a 422 to a longer interval that has to be asked for (section 7.3).
    pub(crate) fn after(request: &Request, answer: &Response, least: u64) -> Option<Self> {
        if !matches!(request.method, Method::Invite | Method::Update) {
            return None;
        }
        let asked = request.header_value("Session-Expires").unwrap_or_default();
        let asked = session_expires(&asked).map_or(0, |(seconds, _)| seconds);
        let known = min_se(request);
        match answer.status_code.code() {
            200..300 => {
                let value = answer.header_value("Session-Expires")?;
                let (seconds, refresher) = session_expires(&value)?;
                // Below what we named the peer must not go, nor make us send without end.
                let least = least.max(known).clamp(1, MAX_SE);
                let interval = Duration::from_secs(seconds.clamp(least, MAX_SE));
                Some(Self { interval, ours: refresher != Some("uas"), required: false, least: known })
            }
            422 => {
                let least = min_se(answer).max(known);
                let is_longer = (asked + 1..=MAX_SE).contains(&least);
                let ours = request.to_header().is_ok_and(|to| to.tag().is_ok_and(|tag| tag.is_some()));
                is_longer.then(|| Self { interval: Duration::from_secs(least), ours, required: false, least })
            }
            _ => None,
        }
    }

    /// When something has to be done: refresh at half time, or end the session shortly before its time is up
    /// (section 10).
    pub(crate) fn due(self) -> Duration {
        if self.ours {
            self.interval / 2
        } else {
            self.interval - (self.interval / 3).min(Duration::from_secs(32))
        }
    }

    /// The headers of a request that asks for it. Who refreshes is the other side's choice until it has been made
    /// (section 7.1).
    pub(crate) fn question(self) -> Vec<(&'static str, String)> {
        let who = if self.ours { ";refresher=uac" } else { "" };
        let mut headers = vec![("Session-Expires", format!("{}{who}", self.interval.as_secs()))];
        // Section 5: this much is understood.
        if self.least > 90 {
            headers.push(("Min-SE", self.least.to_string()));
        }
        headers
    }

    /// The headers of a 2xx that agree to it.
    pub(crate) fn headers(self) -> Vec<(&'static str, String)> {
        let who = if self.ours { "uas" } else { "uac" };
        let agreed = format!("{};refresher={who}", self.interval.as_secs());
        let mut headers = vec![("Session-Expires", agreed)];
        if self.required {
            headers.push(("Require", "timer".to_owned()));
        }
        headers
    }
}

/// Seconds and refresher of a Session-Expires header.
fn session_expires(value: &str) -> Option<(u64, Option<&str>)> {
    let pieces = split_unquoted(value, ';');
    let mut parameters = pieces.iter().skip(1).filter_map(|piece| piece.split_once('='));
    let refresher = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("refresher"));
    Some((pieces.first()?.trim().parse().ok()?, refresher.map(|(_, who)| who.trim())))
}

/// The seconds of a Min-SE header; 0 when there is none.
fn min_se(message: &impl HeadersExt) -> u64 {
    let value = message.header_value("Min-SE").unwrap_or_default();
    split_unquoted(&value, ';').first().and_then(|seconds| seconds.trim().parse().ok()).unwrap_or(0)
}

/// All tokens of a list header, lower case.
fn tokens<'a>(request: &'a Request, name: &'a str) -> impl Iterator<Item = String> + 'a {
    let values = request.headers.iter().filter(move |header| header.name().eq_ignore_ascii_case(name));
    values.flat_map(|header| {
        header
            .value()
            .split(',')
            .map(|t| t.trim().to_ascii_lowercase())
            .filter(|t| !t.is_empty())
            .collect::<Vec<_>>()
    })
}

/// 420 when a request requires what we do not know (RFC 3261 section 8.2.2.3).
pub(crate) fn check_require(request: &Request) -> Result<(), Reject> {
    let unknown: Vec<String> =
        tokens(request, "Require").filter(|tag| !SUPPORTED.contains(&tag.as_str())).collect();
    match unknown.is_empty() {
        true => Ok(()),
        false => Err(Reject::new(420, "Bad Extension").with("Unsupported", unknown.join(", "))),
    }
}

/// Whether a request requires the extension.
pub(crate) fn requires(request: &Request, option: &str) -> bool {
    tokens(request, "Require").any(|tag| tag == option)
}

/// What an INVITE outside a dialog asks for.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) source: Source,
    /// The offer, unless it is left to us.
    pub(crate) offer: Option<Session>,
    /// The offered streams that become legs.
    pub(crate) streams: Vec<Stream>,
    pub(crate) metadata: Metadata,
    pub(crate) timer: Option<SessionTimer>,
    pub(crate) external_id: String,
    /// Whom the call is for, says its header.
    pub(crate) agent: Option<String>,
    /// The user that the Request-URI names.
    pub(crate) number: Option<String>,
    /// The value by which plain legs find each other.
    pub(crate) join: Option<String>,
    /// Who the INVITE says speaks, on a plain leg.
    pub(crate) party: Option<Party>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) language: Option<String>,
    /// What its header says; metadata may say something else.
    pub(crate) consent: Option<bool>,
    /// The peer takes UPDATE, says its `Allow`.
    pub(crate) takes_update: bool,
    caller: Speaker,
    pub(crate) rule_headers: RuleHeaders,
}

/// What an INVITE says in the headers that rules look at, for streams that come later as well.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuleHeaders(Vec<(String, String)>);

impl RuleHeaders {
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let found = self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    }
}

impl Plan {
    pub(crate) fn of(request: &Request, config: &SipConfig, codecs: &[Codec]) -> Result<Self, Reject> {
        check_require(request)?;
        let accepts: Vec<String> = tokens(request, "Accept").collect();
        let fits = |t: &String| {
            t.starts_with("application/sdp") || t.starts_with("*/*") || t.starts_with("application/*")
        };
        if !accepts.is_empty() && !accepts.iter().any(fits) {
            return Err(Reject::new(406, "Not Acceptable"));
        }
        let bodies = Bodies::of(request)?;
        let timer = SessionTimer::of(request, config.min_se_s)?;
        let recorder =
            request.contact_headers().iter().any(|c| c.value().to_ascii_lowercase().contains("+sip.src"));
        let siprec = recorder || bodies.metadata.is_some() || requires(request, "siprec");
        let limit = if siprec { MAX_LEGS } else { 1 };
        let streams = bodies.description.as_ref().map(|offer| negotiate::accept(offer, codecs, limit));
        if streams.as_ref().is_some_and(Vec::is_empty) {
            return Err(not_acceptable(codecs));
        }
        let header = |name: &str| value(request, name);
        let join = header(&config.headers.call).filter(|_| !siprec);
        let metadata = bodies.metadata.unwrap_or_default();
        let call_id = request.call_id_header().map(|id| id.value().to_owned()).unwrap_or_default();
        let external_id = metadata.sessions.first().cloned().or_else(|| join.clone()).unwrap_or(call_id);
        let party = header(&config.headers.party).and_then(|p| match p.to_ascii_lowercase().as_str() {
            "agent" => Some(Party::Agent),
            "customer" => Some(Party::Customer),
            "other" => Some(Party::Other),
            _ => None,
        });
        let kept = config.keep_headers.iter().filter_map(|name| Some((name.clone(), header(name)?)));
        let in_rules = config.party_rules.iter().filter_map(party::PartyRule::header);
        Ok(Self {
            source: if siprec { Source::Siprec } else { Source::Sip },
            streams: streams.unwrap_or_default(),
            offer: bodies.description,
            timer,
            external_id: external_id.chars().take(MAX_VALUE).collect(),
            agent: header(&config.headers.agent),
            number: called(request),
            join,
            party: party.filter(|_| !siprec),
            headers: kept.collect(),
            language: header(&config.headers.language).and_then(|tag| language(&tag)),
            consent: consent(request, config),
            takes_update: tokens(request, "Allow").any(|method| method == "update"),
            caller: caller(request),
            rule_headers: RuleHeaders(
                in_rules.filter_map(|name| Some((name.to_owned(), header(name)?))).collect(),
            ),
            metadata,
        })
    }

    /// Who speaks on each of `streams`.
    pub(crate) fn parties(&self, config: &SipConfig, streams: &[Stream], taken: &[Party]) -> Vec<Party> {
        if let Some(party) = self.party.filter(|p| *p == Party::Other || !taken.contains(p)) {
            return vec![party; streams.len().min(1)];
        }
        let header = |name: &str| self.rule_headers.get(name);
        let speakers: Vec<Speaker> = (0..streams.len()).map(|n| self.speaker(streams, n)).collect();
        let senders = |label: &str| {
            let stream = self.metadata.streams.iter().find(|s| s.label.as_deref() == Some(label));
            stream.map_or(0, |s| {
                self.metadata.people.iter().filter(|p| p.is_there() && p.sends.contains(&s.id)).count()
            })
        };
        // One stream that carries everyone is nobody's in particular.
        if let [stream] = streams
            && taken.is_empty()
            && senders(stream.label.as_deref().unwrap_or_default()) > 1
        {
            return vec![Party::Other];
        }
        let parties = party::decide(&config.party_rules, config.first.into(), &speakers, &header, taken);
        parties.into_iter().map(|party| party::unless_agent(self.party, party)).collect()
    }

    /// Whether whoever placed a plain call is called an agent by the rules.
    pub(crate) fn is_by_employee(&self, config: &SipConfig) -> bool {
        party::is_employee(&config.party_rules, &self.caller, &|name| self.rule_headers.get(name))
    }

    fn speaker(&self, streams: &[Stream], n: usize) -> Speaker {
        if self.source == Source::Sip {
            return self.caller.clone();
        }
        let label = streams.get(n).and_then(|stream| stream.label.clone());
        let person = person(&self.metadata, streams.len(), label.as_deref(), n);
        Speaker::of(label, person)
    }

    /// The people known from this INVITE, given who speaks on its legs.
    pub(crate) fn participants(&self, legs: &[(Option<String>, Party)]) -> Vec<Participant> {
        if self.source == Source::Siprec {
            return participants(&self.metadata, legs);
        }
        let party = legs.first().map_or(Party::Other, |(_, party)| *party);
        vec![Participant { party, aor: self.caller.aor.clone(), name: self.caller.name.clone() }]
    }
}

/// 488 with the reason that RFC 3261 section 20.43 has for it, and what could have been offered.
pub(crate) fn not_acceptable(codecs: &[Codec]) -> Reject {
    let codecs: Vec<&str> = codecs.iter().map(|codec| codec.name()).collect();
    let reason = format!("no stream of voice in any of {}", codecs.join(", "));
    Reject::new(488, "Not Acceptable Here").with("Warning", warning(305, &reason))
}

/// Who speaks on the stream with `label`. Metadata that joins nobody to any stream, but has as many people as
/// there are streams, means them in order.
fn person<'a>(metadata: &'a Metadata, streams: usize, label: Option<&str>, n: usize) -> Option<&'a Person> {
    if let Some(person) = label.and_then(|label| metadata.speaker(label)) {
        return Some(person);
    }
    let unjoined = metadata.people.iter().all(|person| person.sends.is_empty());
    (unjoined && metadata.people.len() == streams).then(|| metadata.people.get(n)).flatten()
}

/// Everyone who takes part, with the party of the leg they speak on.
pub(crate) fn participants(metadata: &Metadata, legs: &[(Option<String>, Party)]) -> Vec<Participant> {
    let present = metadata.people.iter().filter(|person| person.is_there());
    let of = |sought: &Person| {
        let speaks = |(n, (label, _)): &(usize, &(Option<String>, Party))| {
            person(metadata, legs.len(), label.as_deref(), *n).is_some_and(|p| p.id == sought.id)
        };
        legs.iter().enumerate().find(speaks).map_or(Party::Other, |(_, (_, party))| *party)
    };
    present.map(|p| Participant { party: of(p), aor: p.aor.clone(), name: p.name.clone() }).collect()
}

/// The user that the Request-URI names.
fn called(request: &Request) -> Option<String> {
    let user = request.uri.user()?;
    let user: String = user.chars().filter(|c| !c.is_control()).take(MAX_VALUE).collect();
    (!user.is_empty()).then_some(user)
}

/// The one who placed a plain call: asserted by the network, or else what From says.
fn caller(request: &Request) -> Speaker {
    let asserted = value(request, "P-Asserted-Identity");
    let from = request.from_header().map(|from| from.value().to_owned()).unwrap_or_default();
    let address = asserted.as_deref().and_then(|a| split_unquoted(a, ',').first().copied()).unwrap_or(&from);
    let (name, uri) = match address.split_once('<') {
        Some((name, rest)) => (unquote(name), rest.split('>').next().unwrap_or_default()),
        None => (String::new(), address.split(';').next().unwrap_or_default()),
    };
    // An address of record has no parameters.
    Speaker { aor: kept(uri.split(';').next().unwrap_or_default()), name: kept(&name), ..Speaker::default() }
}

fn value(request: &Request, name: &str) -> Option<String> {
    kept(&request.header_value(name)?)
}

/// Whether the customer agrees that their mood is read, as a request's header says.
pub(crate) fn consent(request: &Request, config: &SipConfig) -> Option<bool> {
    value(request, &config.headers.consent).and_then(|answer| yes_or_no(&answer))
}

/// What is kept of a value from outside, if anything.
pub(crate) fn kept(text: &str) -> Option<String> {
    let text: String = text.trim().chars().filter(|c| !c.is_control()).take(MAX_VALUE).collect();
    (!text.is_empty()).then_some(text)
}

/// A language as BCP 47 writes it: `fa-IR` of `fa_IR`, which PBXs take from their locales.
pub(crate) fn language(tag: &str) -> Option<String> {
    let tag = tag.replace('_', "-");
    let is_one = (2..=35).contains(&tag.len())
        && tag.split('-').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric()));
    is_one.then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FirstParty;

    const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
        m=audio 4000 RTP/AVP 0\r\na=label:1\r\na=sendonly\r\nm=audio 4002 RTP/AVP 0\r\na=label:2\r\na=sendonly\r\n";

    fn invite(headers: &str, content_type: &str, body: &str) -> Request {
        let text = format!(
            "INVITE sip:rec@192.0.2.9 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\r\n\
             From: \"Ann\" <sip:1002@pbx;user=phone>;tag=1\r\nTo: <sip:rec@192.0.2.9>\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\n\
             Contact: <sip:a@192.0.2.3>\r\n{headers}Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Request::try_from(text).unwrap()
    }

    fn plan(request: &Request, config: &SipConfig) -> Result<Plan, Reject> {
        Plan::of(request, config, &[Codec::Pcmu, Codec::Pcma, Codec::Opus])
    }

    fn status(request: &Request) -> u16 {
        plan(request, &SipConfig::default()).map_or_else(|reject| reject.status, |_| 200)
    }

    fn siprec(metadata: &str) -> Request {
        let body = multipart::write(
            "b",
            &[
                ("application/sdp", None, SDP.as_bytes()),
                ("application/rs-metadata+xml", Some("recording-session"), metadata.as_bytes()),
                ("application/gtd", Some("signal;handling=optional"), b"IAM,"),
            ],
        );
        invite("Require: siprec\r\n", "multipart/mixed;boundary=b", &String::from_utf8(body).unwrap())
    }

    #[test]
    fn a_recording_session_is_read_with_its_people() {
        let metadata = Metadata {
            sessions: vec!["s1".into()],
            people: vec![
                Person {
                    id: "a".into(),
                    aor: Some("sip:9@x".into()),
                    sends: vec!["y".into()],
                    ..Person::default()
                },
                Person {
                    id: "b".into(),
                    name: Some("Bo".into()),
                    sends: vec!["x".into()],
                    ..Person::default()
                },
            ],
            streams: ["x", "y"]
                .iter()
                .zip(["1", "2"])
                .map(|(id, label)| crate::metadata::Stream { id: (*id).into(), label: Some(label.into()) })
                .collect(),
            ..Metadata::default()
        };
        let config = SipConfig { first: FirstParty::Customer, ..SipConfig::default() };
        let plan = plan(&siprec(&metadata.to_string()), &config).unwrap();
        assert_eq!((plan.source, plan.external_id.as_str()), (Source::Siprec, "s1"));
        let parties = plan.parties(&config, &plan.streams, &[]);
        assert_eq!(parties, [Party::Customer, Party::Agent]);
        let legs: Vec<_> = plan.streams.iter().map(|s| s.label.clone()).zip(parties).collect();
        let people: Vec<_> = plan.participants(&legs).into_iter().map(|p| (p.party, p.aor, p.name)).collect();
        assert_eq!(
            people,
            [(Party::Agent, Some("sip:9@x".into()), None), (Party::Customer, None, Some("Bo".into()))]
        );
    }

    #[test]
    fn people_that_are_not_joined_to_streams_are_meant_in_order() {
        let metadata = "<recording><participant id='p'><nameID aor='sip:1@x'/></participant>\
            <participant id='q'><nameID aor='sip:2@x'/></participant></recording>";
        let plan = plan(&siprec(metadata), &SipConfig::default()).unwrap();
        let legs = [(Some("1".into()), Party::Agent), (Some("2".into()), Party::Customer)];
        let people: Vec<_> = plan.participants(&legs).into_iter().map(|p| p.party).collect();
        assert_eq!(people, [Party::Agent, Party::Customer]);
    }

    #[test]
    fn a_plain_leg_says_whose_it_is_and_which_call() {
        let headers = "x-sotto-call: 42\r\nX-Sotto-Party: Customer\r\nX-Sotto-Language: fa\r\nX-Queue: sales\r\n\
             X-Sotto-Consent: No\r\n";
        let config =
            SipConfig { keep_headers: vec!["X-Queue".into(), "X-None".into()], ..SipConfig::default() };
        let plan = plan(&invite(headers, "application/sdp", SDP), &config).unwrap();
        assert_eq!((plan.source, plan.streams.len()), (Source::Sip, 1));
        assert_eq!((plan.join.as_deref(), plan.external_id.as_str()), (Some("42"), "42"));
        assert_eq!((plan.language.as_deref(), plan.consent), (Some("fa"), Some(false)));
        assert_eq!(plan.headers, BTreeMap::from([("X-Queue".to_owned(), "sales".to_owned())]));
        assert_eq!(plan.parties(&config, &plan.streams, &[]), [Party::Customer]);
        assert_eq!(plan.parties(&config, &plan.streams, &[Party::Customer]), [Party::Agent]);
        let people = plan.participants(&[(None, Party::Customer)]);
        assert_eq!(
            (people[0].aor.as_deref(), people[0].name.as_deref()),
            (Some("sip:1002@pbx"), Some("Ann"))
        );
    }

    #[test]
    fn a_language_may_be_written_as_a_locale() {
        for (written, language) in [
            ("fa", Some("fa")),
            ("fa-IR", Some("fa-IR")),
            ("fa_IR", Some("fa-IR")),
            ("f", None),
            ("fa_", None),
            ("fa IR", None),
        ] {
            let invite = invite(&format!("X-Sotto-Language: {written}\r\n"), "application/sdp", SDP);
            let plan = plan(&invite, &SipConfig::default()).unwrap();
            assert_eq!(plan.language.as_deref(), language, "{written}");
        }
    }

    #[test]
    fn what_cannot_be_served_is_refused_with_the_right_status() {
        let plain = |headers: &str| invite(headers, "application/sdp", SDP);
        assert_eq!(status(&plain("")), 200);
        assert_eq!(status(&plain("Require: timer, 100REL\r\n")), 200);
        let reject =
            plan(&plain("Require: foo, siprec\r\nRequire: bar\r\n"), &SipConfig::default()).unwrap_err();
        assert_eq!((reject.status, reject.text().as_str()), (420, "Unsupported: foo, bar\r\n"));
        assert_eq!(status(&plain("Accept: text/plain\r\n")), 406);
        assert_eq!(status(&plain("Accept: application/sdp;level=1\r\n")), 200);
        assert_eq!(status(&plain("Content-Encoding: gzip\r\n")), 415);
        assert_eq!(status(&plain("Session-Expires: 30\r\n")), 422);
        assert_eq!(status(&plain("Session-Expires: soon\r\n")), 400);
        assert_eq!(status(&invite("", "application/unknown", "x")), 415);
        assert_eq!(status(&invite("", "application/sdp", "x")), 400);
        assert_eq!(status(&invite("", "application/sdp", "v=0\r\nm=video 1 RTP/AVP 34\r\n")), 488);
        assert_eq!(status(&invite("", "multipart/mixed", "x")), 400);
        assert_eq!(status(&siprec("<recording>")), 400);
        assert_eq!(status(&invite("", "application/sdp", "")), 200);
    }

    #[test]
    fn who_offers_no_codec_of_ours_is_told_which_they_are() {
        let offer = invite("", "application/sdp", &SDP.replace("RTP/AVP 0", "RTP/AVP 18"));
        let reject = plan(&offer, &SipConfig::default()).unwrap_err();
        let warning = "Warning: 305 sotto \"no stream of voice in any of PCMU, PCMA, opus\"\r\n";
        assert_eq!((reject.status, reject.text().as_str()), (488, warning));
    }

    #[test]
    fn a_timer_of_ours_is_what_the_answer_makes_of_it() {
        let asked = invite("Session-Expires: 1800\r\nMin-SE: 120\r\n", "a/b", "");
        let after = |answer: &str| {
            let answer = format!("SIP/2.0 {answer}\r\nContent-Length: 0\r\n\r\n");
            let timer = SessionTimer::after(&asked, &Response::try_from(answer).unwrap(), 90)?;
            Some((timer.interval.as_secs(), timer.ours, timer.question()[1].1.clone()))
        };
        let known = || "120".to_owned();
        for (answer, timer) in [
            ("200 OK", None),
            ("200 OK\r\nx: 600;refresher=uas", Some((600, false, known()))),
            ("200 OK\r\nSession-Expires: 600 ; Refresher = uac", Some((600, true, known()))),
            ("200 OK\r\nSession-Expires: 600", Some((600, true, known()))),
            ("200 OK\r\nSession-Expires: 0;refresher=uac", Some((120, true, known()))),
            ("200 OK\r\nSession-Expires: 999999999", Some((86_400, true, known()))),
            ("200 OK\r\nSession-Expires: soon", None),
            ("422 Small\r\nMin-SE: 3600", Some((3_600, false, "3600".to_owned()))),
            ("422 Small\r\nMin-SE: 1800", None),
            ("422 Small\r\nMin-SE: 999999999", None),
            ("422 Small", None),
            ("486 Busy\r\nSession-Expires: 600", None),
        ] {
            assert_eq!(after(answer), timer, "{answer}");
        }
    }

    #[test]
    fn session_timers_follow_the_table() {
        let timer = |headers: &str| SessionTimer::of(&invite(headers, "a/b", ""), 90).unwrap();
        assert_eq!(timer(""), None);
        for (headers, ours, answer) in [
            ("Supported: timer\r\n", false, "1800;refresher=uac"),
            ("Supported: x, timer\r\n", false, "1800;refresher=uac"),
            ("", true, "1800;refresher=uas"),
        ] {
            let timer = timer(&format!("Session-Expires: 1800\r\n{headers}")).unwrap();
            assert_eq!((timer.ours, timer.headers()[0].1.as_str()), (ours, answer), "{headers}");
            assert_eq!(timer.headers().len(), if ours { 1 } else { 2 });
        }
        let asked = timer("x: 90;refresher=uas\r\nk: timer\r\n").unwrap();
        assert_eq!((asked.ours, asked.due()), (true, Duration::from_secs(45)));
        assert_eq!(timer("x: 90\r\nk: timer\r\n").unwrap().due(), Duration::from_secs(60));
    }

    #[test]
    fn keys_in_info_bodies() {
        for (body, wanted) in [
            ("Signal=5\r\nDuration=160\r\n", Some(('5', 160))),
            ("signal= #\r\n", Some(('#', 100))),
            ("d", Some(('D', 100))),
            ("11", None),
            ("Signal=x", None),
            ("", None),
        ] {
            assert_eq!(dtmf(body.as_bytes()), wanted, "{body:?}");
        }
    }
}
