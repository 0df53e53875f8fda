//! Callers who are asked for a password; the answers are made by rsipstack, which is not ours.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::raw::{Raw, Talk, offer};
use common::{Bench, HERE};
use rsipstack::sip::headers::auth::{Algorithm, AuthQop};
use rsipstack::sip::{DigestGenerator, Method, Response, Uri};
use sotto_sip::client::{Caller, Outgoing, Speaker};
use sotto_sip::{Algorithm as Digest, SipConfig, Users};

fn with_users(config: &mut SipConfig) {
    config.users = Users::from([("mina", "secret")]);
    config.digests = vec![Digest::Sha256, Digest::Md5];
}

/// The nonce of a 401, and whether it says that the one before was stale.
fn nonce(answer: &Response) -> (String, bool) {
    assert_eq!(answer.status_code.code(), 401, "{answer}");
    let challenges: Vec<_> =
        answer.headers.iter().filter(|h| h.name() == "WWW-Authenticate").map(|h| h.value()).collect();
    assert!(challenges[0].contains("algorithm=SHA-256") && challenges[1].contains("algorithm=MD5"));
    let nonce = challenges[0].split("nonce=\"").nth(1).unwrap().split('"').next().unwrap();
    (nonce.to_owned(), challenges[0].contains("stale=true"))
}

/// The header that answers a challenge.
fn authorization(talk: &Talk, nonce: &str, count: u8, password: &str, md5: bool) -> String {
    let uri = Uri::try_from(format!("sip:sotto@{}", talk.to)).unwrap();
    let response = DigestGenerator {
        username: "mina",
        password,
        nonce,
        uri: &uri,
        realm: "sotto",
        method: &Method::Invite,
        qop: Some(&AuthQop::Auth { cnonce: "c".into(), nc: count }),
        algorithm: if md5 { Algorithm::Md5 } else { Algorithm::Sha256 },
    };
    let (response, name) = (response.compute(), if md5 { "MD5" } else { "SHA-256" });
    format!(
        "Authorization: Digest username=\"mina\", realm=\"sotto\", nonce=\"{nonce}\", uri=\"{uri}\", \
         response=\"{response}\", algorithm={name}, cnonce=\"c\", qop=auth, nc={count:08x}\r\n"
    )
}

/// Another INVITE with these headers, its refusal acknowledged.
async fn invite(raw: &mut Raw, talk: &mut Talk, headers: String) -> Response {
    (talk.sequence, talk.headers) = (talk.sequence + 1, headers);
    let answer = raw.ask(talk.invite(&offer(&[("1", "sendonly")]))).await;
    if answer.status_code.code() >= 300 {
        raw.send(talk.on_branch_of_invite("ACK")).await;
    }
    answer
}

#[tokio::test]
async fn a_password_begins_one_call() {
    let mut bench = Bench::start(with_users).await;
    for (mut raw, md5) in [(Raw::udp(bench.udp()).await, false), (Raw::tcp(bench.tcp()).await, true)] {
        let mut talk = Talk::new(&raw, bench.udp(), &format!("asked{md5}"));
        // Whether we are there may be asked by everyone.
        assert_eq!(raw.status(talk.next("OPTIONS", "", "")).await, 200);
        let (first, stale) = nonce(&invite(&mut raw, &mut talk, String::new()).await);
        assert!(!stale);
        let given = authorization(&talk, &first, 1, "secret", md5);
        let answer = invite(&mut raw, &mut talk, given.clone()).await;
        assert_eq!(answer.status_code.code(), 200, "{answer}");
        talk.answered(&answer);
        raw.send(talk.ack("")).await;
        bench.begun().await;
        // Within the dialog nothing is asked.
        talk.headers.clear();
        assert_eq!(raw.status(talk.next("BYE", "", "")).await, 200);
        bench.ended().await;

        // Who has listened cannot begin another with the same words; who knows the password can.
        let mut replayed = Talk::new(&raw, bench.udp(), &format!("replayed{md5}"));
        let (_, stale) = nonce(&invite(&mut raw, &mut replayed, given).await);
        assert!(stale);
        let counted = authorization(&talk, &first, 2, "secret", md5);
        assert_eq!(invite(&mut raw, &mut replayed, counted).await.status_code.code(), 200);
        bench.begun().await;
    }
    assert_eq!(bench.endpoint.counters().wrong_passwords, 0);
}

#[tokio::test]
async fn wrong_passwords_are_counted_and_shut_out() {
    let mut bench = Bench::start(with_users).await;
    let mut raw = Raw::udp(bench.udp()).await;
    let mut talk = Talk::new(&raw, bench.udp(), "wrong");
    let (mut given, _) = nonce(&invite(&mut raw, &mut talk, String::new()).await);
    for _ in 0..5 {
        let wrong = authorization(&talk, &given, 1, "wrong", false);
        let stale;
        (given, stale) = nonce(&invite(&mut raw, &mut talk, wrong).await);
        assert!(!stale);
    }
    let right = authorization(&talk, &given, 1, "secret", false);
    assert_eq!(invite(&mut raw, &mut talk, right).await.status_code.code(), 403);
    let counters = bench.endpoint.counters();
    assert_eq!((counters.wrong_passwords, counters.refused[&401], counters.refused[&403]), (5, 6, 1));
    assert!(bench.is_quiet());
}

#[tokio::test]
async fn trusted_peers_are_not_asked() {
    let mut bench = Bench::start(|config| {
        with_users(config);
        config.allowed_peers = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let mut raw = Raw::udp(bench.udp()).await;
    Talk::new(&raw, bench.udp(), "trusted").establish(&mut raw, &offer(&[("1", "sendonly")])).await;
    bench.begun().await;
}

#[tokio::test]
async fn a_caller_that_is_not_ours_gives_its_password() {
    let mut bench = Bench::start(|config| config.users = Users::from([("mina", "secret")])).await;
    let caller = Caller::towards(HERE).await.unwrap();
    let mut outgoing = Outgoing::plain(&bench.uri(), Speaker::default());
    assert!(caller.call(&outgoing).await.is_err());
    outgoing.login = Some(("mina".into(), "secret".into()));
    let call = caller.call(&outgoing).await.unwrap();
    bench.begun().await;
    call.hang_up().await.unwrap();
    bench.ended().await;
}
