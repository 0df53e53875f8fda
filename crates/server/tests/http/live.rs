use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sotto_call::{Attention, CallEvent, CallId, CallState, EventBody, Party, Quality, Supervisor};
use sotto_server::hub::{FollowError, HubLimits};
use sotto_server::needs::Condition;
use sotto_store::Role;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async, connect_async};

use crate::bench::{Bench, hangup, utterance};

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub async fn connect(
    address: std::net::SocketAddr,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Result<Socket, u16> {
    let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    match connect_async(request).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

/// The next message that is no ping, or how the server closed.
pub async fn next(
    socket: &mut (impl StreamExt<Item = Result<Message, Error>> + Unpin),
) -> Result<Value, Option<CloseFrame>> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                let message: Value = serde_json::from_str(&text).unwrap();
                if message["type"] != "ping" {
                    return Ok(message);
                }
                assert!(message["at_unix_ms"].is_u64());
            }
            Some(Ok(Message::Close(frame))) => return Err(frame),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Err(None),
        }
    }
}

async fn figures(bench: &Bench) -> String {
    let response = bench.send(crate::bench::get("/metrics")).await;
    String::from_utf8(crate::bench::bytes(response).await).unwrap()
}

fn code(closed: Option<CloseFrame>) -> u16 {
    closed.map_or(0, |frame| frame.code.into())
}

fn event(message: &Value) -> CallEvent {
    assert_eq!(message["type"], "event", "{message}");
    serde_json::from_value(message["event"].clone()).unwrap()
}

#[tokio::test]
async fn a_call_is_followed_from_a_snapshot_to_its_end() {
    let bench = Bench::new().await;
    let address = bench.serve().await;
    let key = format!("Bearer {}", bench.key(&["calls:read"]).await);
    let call = bench.begin("a");
    call.publish(utterance(1, "before", true));
    let path = format!("/api/calls/{}/live", call.id());
    let mut socket = connect(address, &path, &[("authorization", &key)]).await.unwrap();
    let snapshot = next(&mut socket).await.unwrap();
    assert_eq!(snapshot["type"], "snapshot");
    let mut state: CallState = serde_json::from_value(snapshot["state"].clone()).unwrap();
    assert_eq!((state.seq, state.utterances.len()), (2, 1));
    for n in 2..10 {
        call.publish(utterance(n, "partial", false));
        call.publish(utterance(n, "final", true));
    }
    call.end(hangup()).await.unwrap();
    loop {
        let message = next(&mut socket).await.unwrap();
        if message["type"] == "end" {
            break;
        }
        let event = event(&message);
        assert_eq!(event.seq, state.seq + 1);
        state.apply(&event);
    }
    assert_eq!(code(next(&mut socket).await.unwrap_err()), 1000);
    assert_eq!(state, bench.store.state(call.id()).await.unwrap());

    // Whoever comes back says how far they got, also after the end.
    let mut socket = connect(address, &format!("{path}?from=15"), &[("authorization", &key)]).await.unwrap();
    let mut seen = Vec::new();
    while let Ok(message) = next(&mut socket).await {
        seen.push(message["event"]["seq"].as_u64());
    }
    assert_eq!(seen, [Some(16), Some(17), Some(18), Some(19), Some(20), None]);
    // Whoever comes late sees how it was.
    let mut socket = connect(address, &path, &[("authorization", &key)]).await.unwrap();
    assert_eq!(next(&mut socket).await.unwrap()["state"]["ended"]["reason"], "hangup");
    assert_eq!(next(&mut socket).await.unwrap()["type"], "end");
    assert_eq!(code(next(&mut socket).await.unwrap_err()), 1000);
}

#[tokio::test]
async fn the_list_tells_of_every_call() {
    let bench = Bench::new().await;
    let address = bench.serve().await;
    bench.add_user("mina", Role::Agent).await;
    let cookie = bench.sign_in("mina").await;
    let first = bench.begin("first");
    let mut socket = connect(address, "/api/live", &[("cookie", &cookie)]).await.unwrap();
    let list = next(&mut socket).await.unwrap();
    assert_eq!((&list["type"], &list["calls"][0]["external_id"]), (&"calls".into(), &"first".into()));
    let second = bench.begin("second");
    let begun = next(&mut socket).await.unwrap();
    assert_eq!((&begun["type"], &begun["call"]["external_id"]), (&"call".into(), &"second".into()));
    second.publish(utterance(1, "hello", true));
    let changed = next(&mut socket).await.unwrap();
    assert_eq!(changed["call"]["last"]["text"], "hello");
    second.end(hangup()).await.unwrap();
    let ended = next(&mut socket).await.unwrap();
    assert_eq!((&ended["call"]["state"], &ended["call"]["ended"]), (&"ended".into(), &"hangup".into()));
    first.end(hangup()).await.unwrap();
    assert_eq!(next(&mut socket).await.unwrap()["call"]["id"], first.id().to_string());
}

#[tokio::test]
async fn strangers_and_other_sites_do_not_get_in() {
    let bench = Bench::new().await;
    let address = bench.serve().await;
    bench.add_user("mina", Role::Agent).await;
    let cookie = bench.sign_in("mina").await;
    let path = format!("/api/calls/{}/live", bench.begin("a").id());
    let host = format!("http://{address}");
    for path in [path.as_str(), "/api/live"] {
        assert_eq!(connect(address, path, &[]).await.err(), Some(401));
        assert_eq!(connect(address, path, &[("cookie", "sotto_session=x")]).await.err(), Some(401));
        let foreign = [("cookie", cookie.as_str()), ("origin", "https://evil.example")];
        assert_eq!(connect(address, path, &foreign).await.err(), Some(403));
        assert!(connect(address, path, &[("cookie", &cookie), ("origin", &host)]).await.is_ok());
    }
    let unknown = format!("/api/calls/{}/live", CallId::new());
    assert_eq!(connect(address, &unknown, &[("cookie", &cookie)]).await.err(), Some(404));
    assert_eq!(connect(address, "/api/calls/x/live", &[("cookie", &cookie)]).await.err(), Some(404));
    assert_eq!(connect(address, &format!("{path}?from=x"), &[("cookie", &cookie)]).await.err(), Some(400));
}

#[tokio::test]
async fn who_is_signed_out_is_shown_out() {
    let quick = |settings: &mut sotto_server::http::HttpSettings| settings.ping = Duration::from_millis(5);
    let bench = Bench::with(quick, HubLimits::default()).await;
    let address = bench.serve().await;
    bench.add_user("mina", Role::Agent).await;
    let cookie = bench.sign_in("mina").await;
    let mut socket = connect(address, "/api/live", &[("cookie", &cookie)]).await.unwrap();
    next(&mut socket).await.unwrap();
    let user = bench.store.user_by_name("mina").await.unwrap().unwrap();
    let out = sotto_store::UserChange { disabled: Some(true), ..Default::default() };
    bench.store.change_user(user.id, &out).await.unwrap();
    assert_eq!(code(next(&mut socket).await.unwrap_err()), 1008);
}

#[tokio::test]
async fn who_gets_another_role_is_shown_nothing_more_by_the_one_they_had() {
    let quick = |settings: &mut sotto_server::http::HttpSettings| settings.ping = Duration::from_millis(5);
    let bench = Bench::with(quick, HubLimits::default()).await;
    let address = bench.serve().await;
    bench.add_user("mina", Role::Supervisor).await;
    let cookie = bench.sign_in("mina").await;
    let call = bench.begin("a");
    let mut list = connect(address, "/api/live", &[("cookie", &cookie)]).await.unwrap();
    let path = format!("/api/calls/{}/live", call.id());
    let mut reader = connect(address, &path, &[("cookie", &cookie)]).await.unwrap();
    let user = bench.store.user_by_name("mina").await.unwrap().unwrap();
    let change = sotto_store::UserChange { role: Some(Role::Agent), ..Default::default() };
    bench.store.change_user(user.id, &change).await.unwrap();
    let closed = async |socket: &mut Socket| loop {
        if let Err(closed) = next(socket).await {
            break closed.expect("a reason");
        }
    };
    // Both at once: who does not read answers no pings, and is dropped for that.
    for closed in <[_; 2]>::from(tokio::join!(closed(&mut list), closed(&mut reader))) {
        assert_eq!(u16::from(closed.code), 1008);
        assert!(closed.reason.as_str().starts_with("another role"), "{}", closed.reason);
    }
    // As an agent, who may read calls as well, they are let in again.
    let mut list = connect(address, "/api/live", &[("cookie", &cookie)]).await.unwrap();
    next(&mut list).await.unwrap();
    // Another team sees other documents.
    let change = sotto_store::UserChange { team: Some(Some("cards".to_owned())), ..Default::default() };
    bench.store.change_user(user.id, &change).await.unwrap();
    assert_eq!(u16::from(closed(&mut list).await.code), 1008);
}

#[tokio::test]
async fn who_does_not_answer_pings_is_dropped() {
    let quick = |settings: &mut sotto_server::http::HttpSettings| settings.ping = Duration::from_millis(5);
    let bench = Bench::with(quick, HubLimits::default()).await;
    let address = bench.serve().await;
    let key = format!("Bearer {}", bench.key(&["calls:read"]).await);
    // The client answers pings while it reads: this one does not until it has been dropped.
    let mut socket = connect(address, "/api/live", &[("authorization", &key)]).await.unwrap();
    while !figures(&bench).await.contains("sotto_websockets_closed_total{reason=\"other\"} 1\n") {
        tokio::task::yield_now().await;
    }
    let mut last = None;
    while let Some(Ok(message)) = socket.next().await {
        last = Some(message);
    }
    assert!(matches!(last, Some(Message::Close(Some(frame))) if u16::from(frame.code) == 1001));
}

/// Follows `path` over a connection that holds little between here and there.
async fn connect_narrow(address: std::net::SocketAddr, path: &str, key: &str) -> WebSocketStream<TcpStream> {
    let stream = TcpSocket::new_v4().unwrap();
    stream.set_recv_buffer_size(8192).unwrap();
    let stream = stream.connect(address).await.unwrap();
    let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
    request.headers_mut().insert("authorization", key.parse().unwrap());
    client_async(request, stream).await.unwrap().0
}

/// A client that stops reading is neither waited for nor harmful to others, and misses nothing when it is back.
#[tokio::test]
async fn a_slow_client_is_dropped_and_comes_back_without_loss() {
    let patient = |settings: &mut sotto_server::http::HttpSettings| {
        settings.patience = Duration::from_secs(3600);
        settings.ping = Duration::from_secs(3600);
    };
    let bench = Bench::with(patient, HubLimits { tail: 64, ..HubLimits::default() }).await;
    let address = bench.serve().await;
    let key = format!("Bearer {}", bench.key(&["calls:read"]).await);
    let call = bench.begin("a");
    let path = format!("/api/calls/{}/live?from=0", call.id());
    let mut slow = connect_narrow(address, &path, &key).await;
    assert_eq!(event(&next(&mut slow).await.unwrap()).seq, 1);

    let mut other = bench.hub.follow(call.id(), Some(1)).await.unwrap();
    let text = "x".repeat(64 << 10);
    let mut published = 1_u64;
    // Far more than the system holds for a connection.
    for _ in 0..300 {
        call.publish(utterance(published as u32, &text, true));
        published += 1;
        // The other one keeps up all the while.
        assert!(matches!(other.next().await, Ok(Some(_))));
        assert_eq!(other.seq(), published);
    }
    let mut seq = 1;
    let closed = loop {
        match next(&mut slow).await {
            Ok(message) => {
                seq += 1;
                assert_eq!(event(&message).seq, seq);
            }
            Err(closed) => break closed,
        }
    };
    assert_eq!(code(closed), 1013);
    assert_eq!(bench.hub.figures().slow, 1);
    assert!(seq < published);

    let path = format!("/api/calls/{}/live?from={seq}", call.id());
    let mut again = connect(address, &path, &[("authorization", &key)]).await.unwrap();
    call.end(hangup()).await.unwrap();
    loop {
        let message = next(&mut again).await.unwrap();
        if message["type"] == "end" {
            break;
        }
        seq += 1;
        assert_eq!(event(&message).seq, seq);
    }
    // How the time went, and the end.
    assert_eq!(seq, published + 2);
}

#[tokio::test]
async fn a_client_that_takes_nothing_at_all_is_dropped_without_a_word() {
    let impatient = |settings: &mut sotto_server::http::HttpSettings| {
        settings.patience = Duration::from_millis(5);
        settings.ping = Duration::from_secs(3600);
    };
    let bench = Bench::with(impatient, HubLimits { tail: 4096, ..HubLimits::default() }).await;
    let address = bench.serve().await;
    let key = format!("Bearer {}", bench.key(&["calls:read"]).await);
    let call = bench.begin("a");
    let path = format!("/api/calls/{}/live?from=0", call.id());
    let mut stuck = connect_narrow(address, &path, &key).await;
    let text = "x".repeat(64 << 10);
    for n in 0..300 {
        call.publish(utterance(n, &text, true));
    }
    call.end(hangup()).await.unwrap();
    while !figures(&bench).await.contains("sotto_websockets 0.0\n") {
        tokio::task::yield_now().await;
    }
    assert!(figures(&bench).await.contains("sotto_websockets_closed_total{reason=\"slow\"} 1\n"));
    while next(&mut stuck).await.is_ok() {}
}

#[tokio::test]
async fn stopping_says_so_and_waits_for_nobody_for_long() {
    let bench = Bench::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(sotto_server::http::serve(listener, bench.app.clone(), async {
        let _ = stopped.await;
    }));
    let key = format!("Bearer {}", bench.key(&["calls:read"]).await);
    let mut socket = connect(address, "/api/live", &[("authorization", &key)]).await.unwrap();
    next(&mut socket).await.unwrap();
    // A connection that never asks for anything.
    let idle = TcpStream::connect(address).await.unwrap();
    stop.send(()).unwrap();
    assert_eq!(code(next(&mut socket).await.unwrap_err()), 1012);
    drop(socket);
    server.await.unwrap().unwrap();
    drop(idle);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn sockets_are_limited() {
    let bench = Bench::with(|settings| settings.sockets = 2, HubLimits::default()).await;
    let address = bench.serve().await;
    let key = format!("Bearer {}", bench.key(&["calls:read"]).await);
    let mut one = connect(address, "/api/live", &[("authorization", &key)]).await.unwrap();
    let _two = connect(address, "/api/live", &[("authorization", &key)]).await.unwrap();
    assert_eq!(connect(address, "/api/live", &[("authorization", &key)]).await.err(), Some(503));
    one.close(None).await.unwrap();
    while next(&mut one).await.is_ok() {}
    while connect(address, "/api/live", &[("authorization", &key)]).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn clients_may_send_pings_and_nothing_else() {
    let bench = Bench::new().await;
    let address = bench.serve().await;
    let key = format!("Bearer {}", bench.key(&["calls:read"]).await);
    let call = bench.begin("a");
    let path = format!("/api/calls/{}/live", call.id());
    let mut polite = connect(address, &path, &[("authorization", &key)]).await.unwrap();
    next(&mut polite).await.unwrap();
    polite.send(Message::text(r#"{"type":"ping"}"#)).await.unwrap();
    polite.send(Message::Ping(bytes::Bytes::from_static(b"x"))).await.unwrap();
    let wrong = [
        (Message::text("hello"), 1008),
        (Message::text(r#"{"type":"end"}"#), 1008),
        (Message::text("[".repeat(900)), 1008),
        (Message::binary(vec![0; 10]), 1003),
        (Message::text("x".repeat(2000)), 1009),
        (Message::binary(vec![0; 1 << 20]), 1009),
    ];
    for (message, expected) in wrong {
        let mut rude = connect(address, &path, &[("authorization", &key)]).await.unwrap();
        next(&mut rude).await.unwrap();
        let _ = rude.send(message).await;
        let closed = loop {
            if let Err(closed) = next(&mut rude).await {
                break closed;
            }
        };
        assert_eq!(code(closed), expected);
    }
    let mut flood = connect(address, &path, &[("authorization", &key)]).await.unwrap();
    for _ in 0..100 {
        let _ = flood.send(Message::text(r#"{"type":"ping"}"#)).await;
    }
    let closed = loop {
        if let Err(closed) = next(&mut flood).await {
            break closed;
        }
    };
    assert_eq!(code(closed), 1008);
    // None of this was felt by those who behave.
    call.publish(utterance(1, "still here", true));
    assert_eq!(event(&next(&mut polite).await.unwrap()).seq, 2);
    assert!(matches!(bench.hub.follow(CallId::new(), None).await, Err(FollowError::Unknown(_))));
}

#[tokio::test]
async fn what_needs_somebody_is_told_to_supervisors_and_to_nobody_else() {
    let bench = Bench::new().await;
    for (name, role) in [("mina", Role::Agent), ("sara", Role::Supervisor)] {
        bench.add_user(name, role).await;
    }
    let address = bench.serve().await;
    let (mina, sara) = (bench.sign_in("mina").await, bench.sign_in("sara").await);
    let call = bench.begin("a");
    let mut agents = connect(address, "/api/live", &[("cookie", &mina)]).await.unwrap();
    let mut supervisors = connect(address, "/api/live", &[("cookie", &sara)]).await.unwrap();
    assert_eq!(next(&mut agents).await.unwrap()["calls"][0]["now"], Value::Null);
    assert_eq!(next(&mut supervisors).await.unwrap()["calls"][0]["now"]["phase"], "talking");
    let attention = Some(Attention::Listen);
    call.publish(EventBody::Supervisor(Supervisor { name: "sara".to_owned(), attention }));
    call.becomes(Condition::Line(Party::Customer, Quality::Poor));
    let now = loop {
        let now = next(&mut supervisors).await.unwrap()["call"]["now"].clone();
        if now["supervisors"] != json!([]) && now["alerts"] != json!([]) {
            break now;
        }
    };
    assert_eq!(now["supervisors"], json!([{ "name": "sara", "attention": "listen" }]));
    assert_eq!(now["lines"], json!([{ "party": "customer", "quality": "poor" }]));
    assert_eq!(
        now["alerts"],
        json!([{ "kind": "bad_line", "severity": "warning", "party": "customer", "since_ms": 1500 }])
    );
    let list = crate::bench::get("/api/calls?state=live");
    let listed = crate::bench::body(bench.send(crate::bench::by(&sara, list)).await).await;
    assert_eq!(listed["calls"][0]["now"], now);
    let list = crate::bench::get("/api/calls?state=live");
    let listed = crate::bench::body(bench.send(crate::bench::by(&mina, list)).await).await;
    assert_eq!(listed["calls"][0]["now"], Value::Null);
    call.end(hangup()).await.unwrap();
    loop {
        let told = next(&mut agents).await.unwrap()["call"].clone();
        assert_eq!(told["now"], Value::Null, "an agent is not told who listens");
        if told["state"] == "ended" {
            break;
        }
    }
}
