//! Signalling over TLS, both ways: with certificates made here, on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use common::raw::{Raw, Talk, offer};
use common::{Bench, HERE};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rsipstack::sip::HeadersExt;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use sotto_call::{EndReason, Party};
use sotto_sip::{DialError, Endpoint, SipConfig, SipError, TlsConfig, Trunk, TrunkTransport};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

const IN_TIME: Duration = Duration::from_secs(10);

/// An authority, and a folder with its certificate (`ca.pem`) and one that it has given (`cert.pem`, `key.pem`).
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), &pem).unwrap();
        let authority = Self { issuer: Issuer::new(params, key), pem, folder };
        authority.renew("127.0.0.1");
        authority
    }

    /// A certificate for a name or address, and its key.
    fn vouches(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// Another certificate in the place of the one before.
    fn renew(&self, name: &str) {
        let (certificate, key) = self.vouches(name);
        std::fs::write(self.path("cert.pem"), certificate).unwrap();
        std::fs::write(self.path("key.pem"), key).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Listens with the certificate, and believes who has one.
    fn config(&self) -> TlsConfig {
        TlsConfig {
            listen: vec![(HERE, 0).into()],
            certificate: Some(self.path("cert.pem")),
            key: Some(self.path("key.pem")),
            ca: Some(self.path("ca.pem")),
        }
    }

    async fn bench(&self) -> Bench {
        Bench::start(|config| config.tls = self.config()).await
    }

    /// Connects to an endpoint and believes only this authority.
    async fn connect(&self, bench: &Bench) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(bench.endpoint.tls_addrs()[0]).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::from(HERE), stream).await
    }

    async fn raw(&self, bench: &Bench) -> Raw {
        let stream = self.connect(bench).await.unwrap();
        let local = stream.get_ref().0.local_addr().unwrap();
        Raw::over(stream, "TLS", local)
    }

    /// A peer that listens, with a certificate for a name.
    async fn peer(&self, name: &str) -> Peer {
        let (certificate, key) = self.vouches(name);
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let listener = TcpListener::bind((HERE, 0)).await.unwrap();
        Peer { listener, acceptor: Arc::new(config).into() }
    }
}

struct Peer {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Peer {
    fn trunk(&self, host: &str) -> Trunk {
        Trunk {
            host: format!("{host}:{}", self.listener.local_addr().unwrap().port()),
            transport: TrunkTransport::Tls,
            user: "1001".into(),
            password: "secret".into(),
            register: true,
            ..Trunk::default()
        }
    }

    /// The next connection.
    async fn accept(&self) -> std::io::Result<Raw> {
        let (stream, _) = timeout(IN_TIME, self.listener.accept()).await.unwrap().unwrap();
        let local = stream.local_addr().unwrap();
        Ok(Raw::over(timeout(IN_TIME, self.acceptor.accept(stream)).await.unwrap()?, "TLS", local))
    }
}

#[tokio::test]
async fn a_call_over_tls_says_so_wherever_it_gives_an_address() {
    let authority = Authority::new();
    let mut bench = authority.bench().await;
    let at = bench.endpoint.tls_addrs()[0];
    let mut raw = authority.raw(&bench).await;
    let mut talk = Talk::new(&raw, at, "plain");
    let answer = talk.establish(&mut raw, &offer(&[("1", "sendonly")])).await;
    assert_eq!(answer.header_value("Contact").unwrap(), format!("<sip:sotto@{at};transport=tls>"));
    bench.begun().await;
    assert_eq!(raw.status(talk.next("BYE", "", "")).await, 200);
    bench.ended().await;

    // Who calls by a secure address is answered with one, and told goodbye on the same connection.
    let mut talk = Talk::new(&raw, at, "secure");
    let invite = talk.invite(&offer(&[("1", "sendonly")])).replacen("sip:sotto@", "sips:sotto@", 1);
    let answer = raw.ask(invite).await;
    assert_eq!(answer.status_code.code(), 200, "{answer}");
    assert_eq!(answer.header_value("Contact").unwrap(), format!("<sips:sotto@{at};transport=tls>"));
    talk.answered(&answer);
    raw.send(talk.ack("")).await;
    let (id, _) = bench.begun().await;
    let bye = bench.shut_down(async |()| {
        let bye = raw.request().await;
        raw.accept(&bye).await;
        bye
    });
    let (bye, mut told) = bye.await;
    assert!(bye.header_value("Via").unwrap().starts_with(&format!("SIP/2.0/TLS {at};")), "{bye}");
    while !matches!(told.try_recv().unwrap(), common::Told::Ended(ended, EndReason::Shutdown) if ended == id)
    {
    }
}

#[tokio::test]
async fn a_trunk_over_tls_is_registered_with_called_through_and_found_again() {
    let authority = Authority::new();
    let mut bench = authority.bench().await;
    bench.host.numbers.lock().unwrap().push("1001".into());
    let peer = authority.peer("localhost").await;
    let trunk = peer.trunk("localhost");
    bench.endpoint.register(trunk.clone());
    let mut raw = peer.accept().await.unwrap();
    let asked = raw.request().await;
    let at = bench.endpoint.tls_addrs()[0];
    assert_eq!(asked.header_value("Contact").unwrap(), format!("<sip:1001@{at};transport=tls>"));
    assert!(asked.header_value("Via").unwrap().starts_with(&format!("SIP/2.0/TLS {at};")), "{asked}");
    let challenge = "401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"pbx\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"";
    raw.reply(&asked, challenge).await;
    let asked = raw.request().await;
    assert!(asked.header_value("Authorization").is_some());
    raw.reply(&asked, "200 OK\r\nExpires: 600").await;

    // The trunk calls the extension, and we call through the trunk, on the connection there is.
    let mut talk = Talk::new(&raw, at, "called");
    let invite = talk.invite(&offer(&[("", "sendrecv")])).replacen("sip:sotto@", "sip:1001@", 1);
    let answer = raw.ask(invite).await;
    talk.answered(&answer);
    raw.send(talk.ack("")).await;
    assert_eq!(bench.begun().await.1.called.as_deref(), Some("1001"));
    assert_eq!(raw.status(talk.next("BYE", "", "")).await, 200);
    bench.ended().await;
    let started = bench.host.places();
    let dialled = bench.endpoint.dial(&trunk, "200", started, Party::Customer, |_| {});
    let (dialled, ()) = tokio::join!(dialled, async {
        let invite = raw.request().await;
        raw.reply(&invite, challenge).await;
        assert_eq!(raw.request().await.method.to_string(), "ACK");
        let invite = raw.request().await;
        assert!(invite.header_value("Authorization").is_some());
        // The address that it gives of itself is of no use: it has a certificate for another name.
        raw.answer(&invite, "trunk", "200 OK", &offer(&[("", "sendrecv")])).await;
        assert_eq!(raw.request().await.method.to_string(), "ACK");
    });
    assert_eq!(dialled, Ok(()));

    // The connection is lost. The next has to prove its name again, and the call's BYE goes there.
    drop(raw);
    let mut raw = peer.accept().await.unwrap();
    let asked = raw.request().await;
    raw.reply(&asked, "200 OK\r\nExpires: 600").await;
    bench.host.over.lock().unwrap().cancel();
    let bye = raw.request().await;
    assert_eq!(bye.method.to_string(), "BYE");
    raw.accept(&bye).await;
    bench.ended().await;
}

#[tokio::test]
async fn a_trunk_that_cannot_prove_its_name_is_not_talked_to() {
    let (ours, others) = (Authority::new(), Authority::new());
    let bench = ours.bench().await;
    for peer in [ours.peer("pbx.example").await, ours.peer("127.0.0.2").await, others.peer("127.0.0.1").await]
    {
        let trunk = peer.trunk("127.0.0.1");
        let dialled = bench.endpoint.dial(&trunk, "200", bench.host.places(), Party::Customer, |_| {});
        let (dialled, accepted) = tokio::join!(dialled, peer.accept());
        assert_eq!(dialled, Err(DialError::Unreachable));
        assert!(accepted.is_err(), "it was told why");
    }
    // One that speaks no TLS at all.
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let trunk = Trunk { host, transport: TrunkTransport::Tls, user: "1001".into(), ..Trunk::default() };
    let dialled = bench.endpoint.dial(&trunk, "200", bench.host.places(), Party::Customer, |_| {});
    let (dialled, ()) = tokio::join!(dialled, async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"SIP/2.0 200 OK\r\n\r\n").await.unwrap();
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard).await;
        assert!(!String::from_utf8_lossy(&heard).contains("INVITE"));
    });
    assert_eq!(dialled, Err(DialError::Unreachable));
}

#[tokio::test]
async fn a_trunk_over_tls_is_not_believed_in_the_clear() {
    let authority = Authority::new();
    let bench = Bench::start(|config| {
        config.tls = authority.config();
        config.allowed_peers = vec!["10.0.0.0/8".parse().unwrap()];
    })
    .await;
    let peer = authority.peer("127.0.0.1").await;
    bench.endpoint.register(peer.trunk("127.0.0.1"));
    let mut raw = peer.accept().await.unwrap();
    let asked = raw.request().await;
    raw.reply(&asked, "200 OK\r\nExpires: 600").await;
    let invite = |raw: &Raw| Talk::new(raw, bench.udp(), "clear").invite(&offer(&[("1", "sendonly")]));
    let mut clear = Raw::udp(bench.udp()).await;
    assert_eq!(clear.status(invite(&clear)).await, 403);
    assert_eq!(raw.status(invite(&raw)).await, 200);
}

#[tokio::test]
async fn what_is_not_tls_is_counted_and_closed_and_others_are_served() {
    let authority = Authority::new();
    let bench = authority.bench().await;
    let at = bench.endpoint.tls_addrs()[0];
    let begun = Instant::now();
    // The beginning of a ClientHello, and then nothing.
    let mut stalled = TcpStream::connect(at).await.unwrap();
    stalled.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await.unwrap();
    let options =
        b"OPTIONS sip:sotto@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKx\r\n\r\n";
    let garbage: Vec<u8> = (0..4_000_u32).map(|n| (n * 7 + n / 13) as u8).collect();
    for bytes in [&options[..], &garbage, b"\x16\x03\x01\xff\xff"] {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let _ = stream.write_all(bytes).await;
        let mut heard = Vec::new();
        let closed = timeout(IN_TIME, stream.read_to_end(&mut heard)).await;
        assert!(closed.is_ok(), "{bytes:?}: still open");
        assert!(!heard.starts_with(b"SIP"), "{bytes:?}: answered in the clear");
    }
    // TLS, with garbage in it, is a stream like others.
    let mut spoiled = authority.connect(&bench).await.unwrap();
    spoiled.write_all(&[b'x'; 40_000]).await.unwrap();
    assert!(timeout(IN_TIME, spoiled.read_to_end(&mut Vec::new())).await.is_ok());

    let mut raw = authority.raw(&bench).await;
    let talk = Talk::new(&raw, at, "served");
    assert_eq!(raw.status(talk.text("OPTIONS", 1, "", "")).await, 200);
    let closed = timeout(Duration::from_secs(20), stalled.read_to_end(&mut Vec::new())).await;
    assert!(closed.is_ok() && begun.elapsed() > Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(bench.endpoint.counters().failed_handshakes, 4);
}

#[tokio::test]
async fn a_connection_takes_its_place_before_it_speaks_tls() {
    let authority = Authority::new();
    let bench = authority.bench().await;
    let at = bench.endpoint.tls_addrs()[0];
    let mut silent = Vec::new();
    for _ in 0..128 {
        silent.push(TcpStream::connect(at).await.unwrap());
    }
    until(|| bench.endpoint.counters().streams == 128).await;
    assert!(authority.connect(&bench).await.is_err());
    assert_eq!(bench.endpoint.counters().refused_streams, 1);
    drop(silent);
    until(|| bench.endpoint.counters().streams == 0).await;
    let mut raw = authority.raw(&bench).await;
    let talk = Talk::new(&raw, at, "room");
    assert_eq!(raw.status(talk.text("OPTIONS", 1, "", "")).await, 200);
}

async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(IN_TIME, waiting).await.expect("in time");
}

/// The certificate that an endpoint shows now.
async fn shown(bench: &Bench, authority: &Authority) -> Vec<u8> {
    let stream = authority.connect(bench).await.expect("the old certificate, or the new one");
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_up_and_a_broken_one_is_not() {
    let authority = Authority::new();
    let bench = authority.bench().await;
    let mut calling = authority.raw(&bench).await;
    let first = shown(&bench, &authority).await;
    // Half of a renewal: the new certificate's key is not there yet. Looked at, and left.
    let (certificate, key) = authority.vouches("127.0.0.1");
    std::fs::write(authority.path("cert.pem"), certificate).unwrap();
    let until = Instant::now() + Duration::from_secs(6);
    while Instant::now() < until {
        assert_eq!(shown(&bench, &authority).await, first);
        sleep(Duration::from_millis(500)).await;
    }
    std::fs::write(authority.path("key.pem"), key).unwrap();
    let taken_up = async {
        while shown(&bench, &authority).await == first {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(IN_TIME, taken_up).await.expect("in time");
    // Whoever was connected is not troubled.
    let talk = Talk::new(&calling, bench.endpoint.tls_addrs()[0], "old");
    assert_eq!(calling.status(talk.text("OPTIONS", 1, "", "")).await, 200);
}

#[tokio::test]
async fn what_is_wrong_with_certificates_is_said_at_the_start() {
    let authority = Authority::new();
    let good = authority.config();
    std::fs::write(authority.path("empty.pem"), "").unwrap();
    let (_, key) = authority.vouches("127.0.0.1");
    std::fs::write(authority.path("other.pem"), key).unwrap();
    for (tls, said) in [
        (TlsConfig { key: None, ..good.clone() }, "`key`"),
        (TlsConfig { certificate: Some(authority.path("none.pem")), ..good.clone() }, "none.pem"),
        (TlsConfig { certificate: Some(authority.path("empty.pem")), ..good.clone() }, "empty.pem"),
        (TlsConfig { key: Some(authority.path("cert.pem")), ..good.clone() }, "cert.pem"),
        (TlsConfig { key: Some(authority.path("other.pem")), ..good.clone() }, "other.pem"),
        (TlsConfig { ca: Some(authority.path("empty.pem")), ..good.clone() }, "empty.pem"),
    ] {
        let config = SipConfig { udp: Vec::new(), tcp: Vec::new(), tls, ..SipConfig::default() };
        let ports = sotto_media::Ports::new(HERE, 29_000..=29_099);
        let host = Bench::start(|_| {}).await.host;
        match Endpoint::start(config, ports, host).await {
            Err(error @ SipError::Tls(_)) => assert!(error.to_string().contains(said), "{error}"),
            other => panic!("{said}: {:?}", other.err()),
        }
    }
}
