//! Transfers (REFER, RFC 3515): the peer asks that somebody else be called in its place, or we ask the peer to call
//! somebody else in ours.
//!
//! What comes of it is told in NOTIFYs within the dialog (RFC 6665), unless the peer does not want to know (RFC 4488).
//! One transfer at a time is followed, and only to numbers: whom the host may dial is its trunk's affair, not the
//! peer's.

use std::sync::Arc;
use std::time::Duration;

use rsipstack::sip::{HeadersExt, Method, Request, StatusCode};
use rsipstack::transaction::transaction::Transaction;
use sotto_call::{EndReason, Party};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::{Input, Over, PATIENCE, Session, extra};
use crate::calls::Call;
use crate::dial::{DialError, Target, Trunk, dialled};
use crate::multipart::split_unquoted;
use crate::plan::Reject;

/// How long the far end may ring at somebody else.
const RINGING: Duration = Duration::from_secs(180);
/// Characters of what an INVITE takes over from a REFER.
const MAX_VALUE: usize = 256;
const SIPFRAG: &str = "message/sipfrag;version=2.0";

/// The far end of a dialog wants a number to be called in its place. Dropped before it is told what came of that, it
/// is told that the call was not placed.
pub struct Referral {
    target: Target,
    party: Party,
    pub(crate) call: Arc<Call>,
    session: mpsc::Sender<Input>,
    is_over: bool,
}

impl Referral {
    /// Whom to call.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Whose place it is.
    #[must_use]
    pub fn party(&self) -> Party {
        self.party
    }

    /// The number has answered and has the place, or has not: tells the far end, whose dialog ends when it has.
    pub fn tell(mut self, result: &Result<(), DialError>) {
        self.finish(result.as_ref().map_or_else(DialError::status, |()| 200));
    }

    fn finish(&mut self, status: u16) {
        if !std::mem::replace(&mut self.is_over, true) {
            // A session that is gone has nobody to tell.
            let _ = self.session.try_send(Input::Referred(status));
        }
    }
}

impl Drop for Referral {
    fn drop(&mut self) {
        self.finish(487);
    }
}

/// Why the far end does not call somebody else in our place.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReferError {
    /// There is no such call, no such number, or a transfer goes on already.
    #[error("that cannot be asked of it now")]
    Unavailable,
    /// It does not want to, or has not reached the number.
    #[error("refused: {0}")]
    Refused(u16),
    /// It has agreed, and has not said what came of it.
    #[error("nothing was heard of it")]
    NoNews,
}

/// The peer is to call somebody in our place.
pub(crate) struct Refer {
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) done: oneshot::Sender<Result<(), ReferError>>,
}

impl Refer {
    pub(crate) fn to(
        trunk: &Trunk,
        number: &str,
    ) -> Option<(Self, oneshot::Receiver<Result<(), ReferError>>)> {
        let (target, account) = (trunk.uri(number).ok()?, trunk.account().ok()?);
        let headers = vec![("Refer-To", format!("<{target}>")), ("Referred-By", format!("<{account}>"))];
        let (done, is_done) = oneshot::channel();
        Some((Self { headers, done }, is_done))
    }
}

/// The transfers of a dialog.
#[derive(Default)]
pub(crate) struct Transfers {
    /// The peer's that is being followed.
    theirs: Option<Subscription>,
    /// The peer has asked for one before.
    is_later: bool,
    ours: Option<Pending>,
}

impl Transfers {
    /// When something has to have been heard of ours.
    pub(super) fn due(&self) -> Option<Instant> {
        self.ours.as_ref().and_then(|pending| pending.due)
    }
}

/// What the peer wants to be told.
struct Subscription {
    /// The value of `Event`.
    event: String,
    /// It does not.
    is_silent: bool,
}

struct Pending {
    done: oneshot::Sender<Result<(), ReferError>>,
    /// When something has to have been heard; until the peer has answered, that is what is waited for.
    due: Option<Instant>,
}

impl Session {
    /// The peer asks that somebody else be called in its place.
    pub(super) async fn referred(&mut self, transaction: &mut Transaction) {
        let request = transaction.original.clone();
        let subscription = match self.take_referral(&request).await {
            Ok(subscription) => subscription,
            Err(reject) => return self.reply(transaction, Err(reject)).await,
        };
        let mut headers = self.common_headers();
        if subscription.is_silent {
            headers.extend(extra(&[("Refer-Sub", "false".to_owned())]));
        }
        let response = self.dialog.response(&request, StatusCode::Accepted, headers, None);
        if let Err(error) = transaction.respond(response).await {
            tracing::debug!(%error, "answer not sent");
        }
        self.tell_peer(&subscription, "active;expires=180", "100 Trying");
        // The host may have been quicker than this: what it says is in the queue.
        (self.transfers.theirs, self.transfers.is_later) = (Some(subscription), true);
    }

    async fn take_referral(&self, request: &Request) -> Result<Subscription, Reject> {
        let forbidden = || Reject::new(403, "Forbidden");
        let [leg] = self.legs.as_slice() else { return Err(forbidden()) };
        let target = target(request)?;
        if self.transfers.theirs.is_some() || self.transfers.ours.is_some() {
            return Err(Reject::new(491, "Request Pending"));
        }
        let sequence = request.cseq_header().ok().and_then(|cseq| cseq.seq().ok()).unwrap_or(0);
        let event = if self.transfers.is_later { format!("refer;id={sequence}") } else { "refer".to_owned() };
        let is_silent =
            request.header_value("Refer-Sub").is_some_and(|value| value.trim().eq_ignore_ascii_case("false"));
        tracing::info!(call = %self.call.id, number = target.number, "asked for a transfer");
        let referral = Referral {
            target,
            party: leg.party,
            call: self.call.clone(),
            session: self.input.clone(),
            is_over: false,
        };
        self.shared.calls.refer(&self.call, referral).await?;
        Ok(Subscription { event, is_silent })
    }

    /// What came of the peer's transfer. When somebody else has its place, its dialog ends as soon as it has been
    /// told.
    pub(super) async fn tell_referred(&mut self, status: u16) {
        let Some(subscription) = self.transfers.theirs.take() else { return };
        let said = StatusCode::from(status).to_string();
        let told = self.tell_peer(&subscription, "terminated;reason=noresource", &said);
        if status / 100 != 2 {
            return;
        }
        for slot in std::mem::take(&mut self.legs) {
            self.stop_leg(slot).await;
        }
        let input = self.input.clone();
        self.shared.tasks.spawn(async move {
            if let Some(told) = told {
                let _ = told.await;
            }
            let _ = input.send(Input::HangUp).await;
        });
    }

    /// Sends a NOTIFY; the receiver ends when it has been answered.
    fn tell_peer(
        &mut self,
        subscription: &Subscription,
        state: &str,
        status: &str,
    ) -> Option<oneshot::Receiver<()>> {
        if subscription.is_silent {
            return None;
        }
        let headers =
            extra(&[("Event", subscription.event.clone()), ("Subscription-State", state.to_owned())]);
        let body = Some((SIPFRAG, format!("SIP/2.0 {status}\r\n")));
        let sending = self.send(Method::Notify, headers, body);
        let (answered, told) = oneshot::channel();
        self.shared.tasks.spawn(async move {
            // A peer that does not want to know any more still has its dialog.
            sending.await;
            drop(answered);
        });
        Some(told)
    }

    /// Asks the peer to call somebody else in our place.
    pub(super) fn refer(&mut self, refer: Refer) {
        let Refer { headers, done } = refer;
        if self.transfers.theirs.is_some() || self.transfers.ours.is_some() {
            let _ = done.send(Err(ReferError::Unavailable));
            return;
        }
        let sending = self.send(Method::Refer, extra(&headers), None);
        let input = self.input.clone();
        self.shared.tasks.spawn(async move {
            let status = sending.await.map_or(408, |answer| answer.status);
            let _ = input.send(Input::ReferAnswered(status)).await;
        });
        self.transfers.ours = Some(Pending { done, due: None });
    }

    pub(super) fn refer_answered(&mut self, status: u16) {
        let in_time = Duration::from_millis(self.shared.config.t1_ms) * PATIENCE;
        match (status, &mut self.transfers.ours) {
            (200..300, Some(pending)) => {
                pending.due.get_or_insert_with(|| Instant::now() + in_time);
            }
            (_, Some(_)) => self.refer_over(Err(ReferError::Refused(status))),
            (_, None) => {}
        }
    }

    /// Nothing has been heard for too long of what we asked for.
    pub(super) fn refer_late(&mut self, now: Instant) {
        if self.transfers.due().is_some_and(|due| due <= now) {
            self.refer_over(Err(ReferError::NoNews));
        }
    }

    fn refer_over(&mut self, result: Result<(), ReferError>) {
        if let Some(Pending { done, .. }) = self.transfers.ours.take() {
            let _ = done.send(result);
        }
    }

    /// News of what we asked for.
    pub(super) async fn notified(&mut self, transaction: &mut Transaction) -> Option<Over> {
        let request = transaction.original.clone();
        let taken = self.take_news(&request);
        let is_there = matches!(taken, Ok(Some(200..300)));
        self.reply(transaction, taken.as_ref().map(|_| None).map_err(Clone::clone)).await;
        match taken {
            Ok(Some(200..300)) => self.refer_over(Ok(())),
            Ok(Some(status @ 300..)) => self.refer_over(Err(ReferError::Refused(status))),
            Ok(Some(_)) => {
                if let Some(pending) = &mut self.transfers.ours {
                    pending.due = Some(Instant::now() + RINGING);
                }
            }
            Ok(None) => self.refer_over(Err(ReferError::NoNews)),
            Err(_) => {}
        }
        is_there.then_some((EndReason::Hangup, Some("transferred")))
    }

    /// The status in a NOTIFY; none when it only says that no more will come.
    fn take_news(&self, request: &Request) -> Result<Option<u16>, Reject> {
        let event = request.header_value("Event").unwrap_or_default();
        if split_unquoted(&event, ';').first().is_none_or(|event| event.trim() != "refer") {
            return Err(Reject::new(489, "Bad Event").with("Allow-Events", "refer"));
        }
        if self.transfers.ours.is_none() {
            return Err(Reject::new(481, "Subscription Does Not Exist"));
        }
        let state = request.header_value("Subscription-State").unwrap_or_default();
        let is_last = state.trim_start().starts_with("terminated");
        match fragment(&request.body) {
            Some(status @ 100..200) => Ok((!is_last).then_some(status)),
            Some(status) => Ok(Some(status)),
            None if is_last => Ok(None),
            None => Err(Reject::new(400, "Bad Fragment")),
        }
    }
}

impl DialError {
    /// The status that says the same.
    fn status(&self) -> u16 {
        match self {
            Self::Refused { status, .. } => *status,
            Self::Number(_) => 404,
            Self::NoAnswer => 408,
            Self::NoCodec => 488,
            Self::Unreachable | Self::NoRoom => 503,
        }
    }
}

/// The status in a piece of a SIP message (RFC 3420).
pub(crate) fn fragment(body: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(body.get(..body.len().min(MAX_VALUE))?).ok()?;
    let status = text.trim_start().strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()?;
    (100..700).contains(&status).then_some(status)
}

/// Whom a REFER names: a number, and what the call that it leads to is told.
pub(crate) fn target(request: &Request) -> Result<Target, Reject> {
    let bad = || Reject::new(400, "Bad Refer-To");
    let values = |name: &'static str| {
        let all = request.headers.iter().filter(move |header| header.name().eq_ignore_ascii_case(name));
        all.map(|header| header.value().to_owned())
    };
    let all: Vec<String> = values("Refer-To").chain(values("r")).collect();
    let [value] = all.as_slice() else { return Err(bad()) };
    // Without brackets, what follows belongs to the header and not to the address (RFC 3261 section 20).
    let uri = match value.split_once('<') {
        Some((_, rest)) => rest.split_once('>').ok_or_else(bad)?.0,
        None => value.split([';', ',']).next().unwrap_or_default().trim(),
    };
    let (address, headers) = uri.split_once('?').unwrap_or((uri, ""));
    let (scheme, rest) = address.split_once(':').ok_or_else(bad)?;
    let (user, parameters) = match scheme.to_ascii_lowercase().as_str() {
        "sip" | "sips" => rest.split_once('@').ok_or_else(|| Reject::new(403, "Forbidden"))?,
        "tel" => (rest, ""),
        _ => return Err(Reject::new(416, "Unsupported URI Scheme")),
    };
    let is_call = parameters
        .split(';')
        .filter_map(|parameter| parameter.split_once('='))
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("method"))
        .all(|(_, method)| method.trim().eq_ignore_ascii_case("INVITE"));
    if !is_call {
        return Err(Reject::new(603, "Decline"));
    }
    let number = decoded(user.split(';').next().unwrap_or_default()).ok_or_else(bad)?;
    // What is dialled may differ in spelling only.
    dialled(&number).map_err(|_| Reject::new(403, "Forbidden"))?;
    let mut taken = Vec::new();
    let replaces = headers.split('&').filter_map(|header| header.split_once('='));
    if let Some((_, value)) = replaces.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("Replaces")) {
        let value = decoded(value).filter(|value| fits(value)).ok_or_else(bad)?;
        // RFC 3891 section 6.1.
        if !["to-tag=", "from-tag="].iter().all(|tag| value.contains(tag)) {
            return Err(bad());
        }
        taken.push(("Replaces", value));
    }
    let by: Vec<String> = values("Referred-By").chain(values("b")).filter(|value| fits(value)).collect();
    taken.extend(by.into_iter().take(1).map(|by| ("Referred-By", by)));
    Ok(Target { number, headers: taken })
}

/// Whether a value can be written into a header.
pub(crate) fn fits(value: &str) -> bool {
    (1..=MAX_VALUE).contains(&value.len()) && !value.contains(char::is_control)
}

/// Without percent-encoding; `None` when that is wrong.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || char::from(rest.next()?).to_digit(16);
        bytes.push(if byte == b'%' { (digit()? * 16 + digit()?) as u8 } else { byte });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refer(headers: &str) -> Request {
        let text = format!(
            "REFER sip:sotto@192.0.2.9 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\r\n\
             From: <sip:a@a>;tag=1\r\nTo: <sip:b@b>;tag=2\r\nCall-ID: c\r\nCSeq: 7 REFER\r\n\
             {headers}Content-Length: 0\r\n\r\n"
        );
        Request::try_from(text).unwrap()
    }

    fn to(value: &str) -> Result<Target, u16> {
        target(&refer(&format!("Refer-To: {value}\r\n"))).map_err(|reject| reject.status)
    }

    #[test]
    fn a_refer_names_a_number_wherever_it_says_that_is() {
        for (value, number) in [
            ("<sip:200@pbx.example>", "200"),
            ("\"The Boss\" <sips:+44-20@pbx:5061;transport=tls;method=INVITE>;x=y", "+44-20"),
            ("sip:*21%23@pbx;x=y", "*21#"),
            ("<tel:+4420;phone-context=x>", "+4420"),
            ("<sip:200;isub=1@pbx?Subject=hi>", "200"),
        ] {
            assert_eq!(to(value), Ok(Target::from(number)), "{value}");
        }
    }

    #[test]
    fn what_is_not_a_number_to_call_is_refused() {
        for (value, status) in [
            ("<sip:pbx.example>", 403),
            ("<sip:not a number!@pbx>", 403),
            ("<sip:a%0d%0aX:@pbx>", 403),
            ("<sip:200@pbx;method=MESSAGE>", 603),
            ("<http://pbx/200>", 416),
            ("<sip:200@pbx", 400),
            ("<sip:%zz@pbx>", 400),
            ("200", 400),
            ("<sip:200@pbx?Replaces=1%0d%0aX>", 400),
            ("<sip:200@pbx?Replaces=1%3Bto-tag%3D2>", 400),
        ] {
            assert_eq!(to(value), Err(status), "{value}");
        }
        assert_eq!(target(&refer("")).unwrap_err().status, 400);
        let two = "Refer-To: <sip:1@a>\r\nRefer-To: <sip:2@a>\r\n";
        assert_eq!(target(&refer(two)).unwrap_err().status, 400);
    }

    #[test]
    fn the_call_is_told_whose_place_it_takes_and_who_has_asked_for_it() {
        let headers = "Refer-To: <sip:200@pbx?Require=replaces&Replaces=a%40b%3Bto-tag%3Dx%3Bfrom-tag%3Dy>\r\n\
            Referred-By: <sip:boss@pbx>\r\n";
        let wanted = [("Replaces", "a@b;to-tag=x;from-tag=y"), ("Referred-By", "<sip:boss@pbx>")];
        let headers = target(&refer(headers)).unwrap().headers;
        assert!(headers.iter().map(|(name, value)| (*name, value.as_str())).eq(wanted), "{headers:?}");
    }

    #[test]
    fn a_fragment_says_a_status() {
        for (body, status) in [
            ("SIP/2.0 100 Trying\r\n", Some(100)),
            ("SIP/2.0 603 Decline", Some(603)),
            ("SIP/2.0 999 X", None),
            ("SIP/2.0 20", None),
            ("", None),
            ("HTTP/1.1 200 OK", None),
        ] {
            assert_eq!(fragment(body.as_bytes()), status, "{body}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_refer_says_nothing_but_a_number_and_clean_headers_come_of_it(value in "[ -~]{0,200}") {
            if let Ok(target) = target(&refer(&format!("Refer-To: {value}\r\n"))) {
                prop_assert!(dialled(&target.number).is_ok());
                prop_assert!(target.headers.iter().all(|(_, value)| fits(value)));
            }
        }

        #[test]
        fn any_bytes_are_read_as_a_fragment_or_not(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = fragment(&body);
        }
    }
}
