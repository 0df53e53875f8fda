//! Transfers (REFER), on loopback with real SIP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Duration;

use common::raw::{Raw, Talk, offer};
use common::{Bench, Told};
use rsipstack::sip::{HeadersExt, Request};
use sotto_call::{CallId, EndReason, Party};
use sotto_sip::{DialError, ReferError, Referral, Trunk};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// A customer who has called a number of ours, and the trunk.
struct Scene {
    bench: Bench,
    id: CallId,
    customer: Raw,
    talk: Talk,
    trunk_side: Raw,
    trunk: Trunk,
    referrals: mpsc::UnboundedReceiver<Referral>,
}

impl Scene {
    async fn set(name: &str, t1_ms: u64) -> Self {
        let mut bench = Bench::start(|config| config.t1_ms = t1_ms).await;
        bench.host.numbers.lock().unwrap().push("sotto".into());
        let (take, referrals) = mpsc::unbounded_channel();
        *bench.host.referrals.lock().unwrap() = Some(take);
        let mut customer = Raw::udp(bench.udp()).await;
        let mut talk = Talk::new(&customer, bench.udp(), name);
        talk.establish(&mut customer, &offer(&[("", "sendrecv")])).await;
        let (id, _) = bench.begun().await;
        let trunk_side = Raw::udp(bench.udp()).await;
        let trunk = Trunk { host: trunk_side.local.to_string(), user: "1001".into(), ..Trunk::default() };
        Self { bench, id, customer, talk, trunk_side, trunk, referrals }
    }

    /// The customer's side asks for a transfer: the status of the answer.
    async fn asks(&mut self, headers: &str) -> u16 {
        self.talk.headers = headers.into();
        let answer = self.customer.ask(self.talk.next("REFER", "", "")).await;
        self.talk.headers.clear();
        assert!(answer.status_code.code() != 202 || !answer.contact_headers().is_empty());
        answer.status_code.code()
    }

    /// The next request to the customer's side, which accepts it.
    async fn told(&mut self) -> Request {
        let request = self.customer.request().await;
        self.customer.accept(&request).await;
        request
    }

    /// What a NOTIFY says, and the subscription's state.
    async fn notified(&mut self) -> (String, String, String) {
        let notify = self.told().await;
        assert_eq!(notify.method.to_string(), "NOTIFY");
        assert_eq!(notify.header_value("Content-Type").as_deref(), Some("message/sipfrag;version=2.0"));
        let header = |name: &str| notify.header_value(name).unwrap();
        let said = String::from_utf8(notify.body.clone()).unwrap();
        (said.trim_end().to_owned(), header("Subscription-State"), header("Event"))
    }

    /// Sends a NOTIFY to us: the status of the answer.
    async fn notifies(&mut self, state: &str, said: &str) -> u16 {
        self.talk.headers = format!("Event: refer\r\nSubscription-State: {state}\r\n");
        let status = self.customer.status(self.talk.next("NOTIFY", "message/sipfrag", said)).await;
        self.talk.headers.clear();
        status
    }

    /// Calls whom the customer's side has named, where `far_end` answers.
    async fn calls(&mut self, far_end: impl AsyncFnOnce(&mut Raw, &Request)) -> Result<(), DialError> {
        let referral = self.referrals.recv().await.unwrap();
        let outputs = self.bench.host.outputs(self.id, Party::Customer);
        let dialled = self.bench.endpoint.dial_instead(&self.trunk, referral, outputs, |_| {});
        let raw = &mut self.trunk_side;
        let answered = async {
            let invite = raw.request().await;
            far_end(raw, &invite).await;
            assert_eq!(raw.request().await.method.to_string(), "ACK");
        };
        tokio::join!(dialled, answered).0
    }

    /// The call is over for everyone: who is left is told, and only then has it ended.
    async fn ends_at_trunk(mut self) {
        while let Ok(told) = timeout(Duration::from_millis(50), self.bench.told()).await {
            assert!(!matches!(told, Told::Ended(..)), "the call goes on");
        }
        self.bench.host.over.lock().unwrap().cancel();
        let bye = self.trunk_side.request().await;
        assert_eq!(bye.method.to_string(), "BYE");
        self.trunk_side.accept(&bye).await;
        assert_eq!(self.bench.ended().await, (self.id, EndReason::Hangup));
    }
}

const REFER: &str = "Refer-To: <sip:200@pbx.example?Replaces=a%40b%3Bto-tag%3Dx%3Bfrom-tag%3Dy>\r\n\
    Referred-By: <sip:boss@pbx.example>\r\n";

async fn takes(raw: &mut Raw, invite: &Request) {
    raw.answer(invite, "new", "200 OK", &offer(&[("", "sendrecv")])).await;
}

#[tokio::test]
async fn who_is_named_takes_the_peers_place_in_the_same_call() {
    let mut scene = Scene::set("place", 500).await;
    assert_eq!(scene.asks(REFER).await, 202);
    assert_eq!(
        scene.notified().await,
        ("SIP/2.0 100 Trying".into(), "active;expires=180".into(), "refer".into())
    );
    let placed = scene.calls(async |raw, invite| {
        assert_eq!(invite.uri.user(), Some("200"));
        assert_eq!(invite.header_value("Replaces").as_deref(), Some("a@b;to-tag=x;from-tag=y"));
        assert_eq!(invite.header_value("Referred-By").as_deref(), Some("<sip:boss@pbx.example>"));
        takes(raw, invite).await;
    });
    assert_eq!(placed.await, Ok(()));
    let (said, state, _) = scene.notified().await;
    assert_eq!((said.as_str(), state.as_str()), ("SIP/2.0 200 OK", "terminated;reason=noresource"));
    assert_eq!(scene.told().await.method.to_string(), "BYE");
    scene.ends_at_trunk().await;
}

#[tokio::test]
async fn a_transfer_that_fails_is_told_and_the_call_goes_on_as_it_was() {
    let mut scene = Scene::set("fails", 500).await;
    for event in ["refer", "refer;id=3"] {
        assert_eq!(scene.asks(REFER).await, 202);
        assert_eq!(scene.notified().await.2, event);
        let placed =
            scene.calls(async |raw, invite| raw.answer(invite, "new", "486 Busy Here", "").await).await;
        assert!(matches!(placed, Err(DialError::Refused { status: 486, .. })), "{placed:?}");
        let (said, state, _) = scene.notified().await;
        assert_eq!(
            (said.as_str(), state.as_str()),
            ("SIP/2.0 486 Busy Here", "terminated;reason=noresource")
        );
    }
    assert_eq!(scene.customer.status(scene.talk.next("BYE", "", "")).await, 200);
    assert_eq!(scene.bench.ended().await, (scene.id, EndReason::Hangup));
}

#[tokio::test]
async fn who_asks_for_a_transfer_may_hang_up_before_it_is_answered() {
    let mut scene = Scene::set("leaves", 500).await;
    assert_eq!(scene.asks(REFER).await, 202);
    scene.notified().await;
    let (mut customer, mut talk) = (Raw::udp(scene.bench.udp()).await, scene.talk.clone());
    std::mem::swap(&mut customer, &mut scene.customer);
    let placed = scene.calls(async |raw, invite| {
        assert_eq!(customer.status(talk.next("BYE", "", "")).await, 200);
        takes(raw, invite).await;
    });
    assert_eq!(placed.await, Ok(()));
    scene.ends_at_trunk().await;
}

#[tokio::test]
async fn a_call_that_ends_while_a_transfer_rings_takes_it_back() {
    let mut scene = Scene::set("over", 500).await;
    assert_eq!(scene.asks(REFER).await, 202);
    scene.notified().await;
    let referral = scene.referrals.recv().await.unwrap();
    let outputs = scene.bench.host.outputs(scene.id, Party::Customer);
    let dialled = scene.bench.endpoint.dial_instead(&scene.trunk, referral, outputs, |_| {});
    let (raw, over) = (&mut scene.trunk_side, scene.bench.host.over.lock().unwrap().clone());
    let rings = async {
        let invite = raw.request().await;
        raw.answer(&invite, "new", "180 Ringing", "").await;
        over.cancel();
        let cancel = raw.request().await;
        assert_eq!(cancel.method.to_string(), "CANCEL");
        raw.accept(&cancel).await;
        raw.answer(&invite, "new", "487 Request Terminated", "").await;
    };
    assert!(tokio::join!(dialled, rings).0.is_err());
    while scene.told().await.method.to_string() != "BYE" {}
    assert_eq!(scene.bench.ended().await, (scene.id, EndReason::Hangup));
}

#[tokio::test]
async fn who_has_left_for_a_number_that_does_not_answer_has_ended_the_call() {
    let mut scene = Scene::set("gone", 500).await;
    assert_eq!(scene.asks(REFER).await, 202);
    scene.notified().await;
    let (mut customer, mut talk) = (Raw::udp(scene.bench.udp()).await, scene.talk.clone());
    std::mem::swap(&mut customer, &mut scene.customer);
    let placed = scene.calls(async |raw, invite| {
        assert_eq!(customer.status(talk.next("BYE", "", "")).await, 200);
        raw.answer(invite, "new", "480 Nobody", "").await;
    });
    assert!(placed.await.is_err());
    assert_eq!(scene.bench.ended().await, (scene.id, EndReason::Hangup));
}

#[tokio::test]
async fn a_peer_that_does_not_want_to_know_is_told_nothing() {
    let mut scene = Scene::set("silent", 500).await;
    assert_eq!(scene.asks(&format!("{REFER}Require: norefersub\r\nRefer-Sub: false\r\n")).await, 202);
    assert_eq!(scene.calls(takes).await, Ok(()));
    assert_eq!(scene.told().await.method.to_string(), "BYE");
    scene.ends_at_trunk().await;
}

#[tokio::test]
async fn one_transfer_at_a_time_and_only_where_somebody_could_go_on() {
    let mut scene = Scene::set("one", 500).await;
    assert_eq!(scene.asks("Refer-To: <sip:not-here.example>\r\n").await, 403);
    assert_eq!(scene.asks(REFER).await, 202);
    scene.notified().await;
    assert_eq!(scene.asks(REFER).await, 491);
    // Nobody places the call.
    drop(scene.referrals.recv().await);
    assert_eq!(scene.notified().await.0, "SIP/2.0 487 Request Terminated");
    *scene.bench.host.referrals.lock().unwrap() = None;
    assert_eq!(scene.asks(REFER).await, 403);
}

#[tokio::test]
async fn a_peer_that_calls_on_in_our_place_ends_the_call() {
    let mut scene = Scene::set("away", 500).await;
    let (id, trunk) = (scene.id, scene.trunk.clone());
    let Scene { bench, customer, talk, .. } = &mut scene;
    let asked = bench.endpoint.refer(id, &trunk, "+44 20");
    let answered = async {
        let refer = customer.request().await;
        assert_eq!(refer.method.to_string(), "REFER");
        let to = format!("<sip:+4420@{}>", trunk.host);
        assert_eq!(refer.header_value("Refer-To"), Some(to));
        assert!(refer.header_value("Referred-By").unwrap().starts_with("<sip:1001@"));
        customer.reply(&refer, "202 Accepted").await;
        talk.headers = "Event: refer\r\nSubscription-State: active\r\n".into();
        for said in ["SIP/2.0 100 Trying\r\n", "SIP/2.0 180 Ringing\r\n", "SIP/2.0 200 OK\r\n"] {
            assert_eq!(customer.status(talk.next("NOTIFY", "message/sipfrag", said)).await, 200);
        }
        let bye = customer.request().await;
        assert_eq!(bye.method.to_string(), "BYE");
        customer.accept(&bye).await;
    };
    let (asked, ()) = tokio::join!(asked, answered);
    assert_eq!(asked, Ok(()));
    assert_eq!(scene.bench.ended().await, (scene.id, EndReason::Hangup));
}

#[tokio::test]
async fn a_peer_that_does_not_call_on_leaves_the_call_as_it_was() {
    let mut scene = Scene::set("stays", 500).await;
    let (id, trunk) = (scene.id, scene.trunk.clone());
    for (answer, said, status) in
        [("405 Method Not Allowed", "", 405), ("202 Accepted", "SIP/2.0 486 Busy Here\r\n", 486)]
    {
        let Scene { bench, customer, talk, .. } = &mut scene;
        let asked = bench.endpoint.refer(id, &trunk, "200");
        let answered = async {
            let refer = customer.request().await;
            customer.reply(&refer, answer).await;
            if !said.is_empty() {
                talk.headers = "Event: refer\r\nSubscription-State: terminated;reason=noresource\r\n".into();
                assert_eq!(customer.status(talk.next("NOTIFY", "message/sipfrag", said)).await, 200);
                talk.headers.clear();
            }
        };
        assert_eq!(tokio::join!(asked, answered).0, Err(ReferError::Refused(status)));
    }
    // Nothing has been asked of it any more.
    assert_eq!(scene.notifies("active", "SIP/2.0 200 OK\r\n").await, 481);
    scene.talk.headers = "Event: presence\r\nSubscription-State: active\r\n".into();
    assert_eq!(scene.customer.status(scene.talk.next("NOTIFY", "", "")).await, 489);
    scene.talk.headers.clear();
    assert_eq!(scene.customer.status(scene.talk.next("OPTIONS", "", "")).await, 200);
    assert_eq!(scene.bench.endpoint.refer(CallId::new(), &trunk, "200").await, Err(ReferError::Unavailable));
}

#[tokio::test]
async fn a_peer_that_agrees_and_says_nothing_more_leaves_the_call_as_it_was() {
    let mut scene = Scene::set("quiet", 50).await;
    let (id, trunk) = (scene.id, scene.trunk.clone());
    let Scene { bench, customer, .. } = &mut scene;
    let asked = bench.endpoint.refer(id, &trunk, "200");
    let answered = async {
        let refer = customer.request().await;
        customer.reply(&refer, "202 Accepted").await;
    };
    assert_eq!(tokio::join!(asked, answered).0, Err(ReferError::NoNews));
    // What had been sent again before the answer came.
    while scene.customer.receive_within(Duration::from_millis(10)).await.is_some() {}
    assert_eq!(scene.customer.status(scene.talk.next("OPTIONS", "", "")).await, 200);
}
