use futures::SinkExt;
use serde_json::{Value, json};
use sotto_call::CallId;
use sotto_store::Role;
use tokio_tungstenite::tungstenite::Message;

use crate::bench::Bench;
use crate::live::{Socket, connect, next};

/// A telephone that has been greeted.
async fn phone(bench: &Bench, address: std::net::SocketAddr, name: &str) -> (Socket, Value) {
    let cookie = bench.sign_in(name).await;
    let origin = format!("http://{address}");
    let headers = [("cookie", cookie.as_str()), ("origin", origin.as_str())];
    let mut socket = connect(address, "/api/phone", &headers).await.unwrap();
    let hello = next(&mut socket).await.unwrap();
    (socket, hello)
}

async fn say(socket: &mut Socket, message: &Value) {
    socket.send(Message::text(message.to_string())).await.unwrap();
}

#[tokio::test]
async fn a_second_window_has_the_telephone_and_the_first_is_told() {
    let bench = Bench::new().await;
    bench.add_user("mina", Role::Agent).await;
    let address = bench.serve().await;
    let (mut first, hello) = phone(&bench, address, "mina").await;
    assert_eq!(
        (&hello["type"], &hello["agent"], &hello["state"]),
        (&json!("hello"), &json!("mina"), &json!("away"))
    );
    say(&mut first, &json!({ "type": "ready" })).await;
    assert_eq!(next(&mut first).await.unwrap(), json!({ "type": "state", "state": "ready" }));
    let (_second, hello) = phone(&bench, address, "mina").await;
    assert_eq!(hello["state"], "ready");
    assert_eq!(next(&mut first).await.unwrap(), json!({ "type": "replaced" }));
    assert_eq!(next(&mut first).await.unwrap_err().map(|frame| frame.code.into()), Some(1000_u16));
}

#[tokio::test]
async fn what_a_hostile_page_asks_is_refused_and_what_it_says_ends_the_connection() {
    let bench = Bench::new().await;
    bench.add_user("mina", Role::Agent).await;
    let address = bench.serve().await;
    let (mut page, _) = phone(&bench, address, "mina").await;
    let call = CallId::new();
    let candidate = json!({ "candidate": "x".repeat(600) });
    for asked in [
        json!({ "type": "hang_up" }),
        json!({ "type": "leave" }),
        json!({ "type": "hold", "on": true }),
        json!({ "type": "accept", "ring": 1, "sdp": "v=0" }),
        json!({ "type": "reoffer", "sdp": "" }),
        json!({ "type": "candidate", "candidate": candidate }),
        json!({ "type": "call", "number": "1", "sdp": "" }),
        // Agents are not supervisors, and this is nobody's call.
        json!({ "type": "supervise", "call_id": call, "attention": "listen", "sdp": "v=0" }),
    ] {
        say(&mut page, &asked).await;
        assert_eq!(next(&mut page).await.unwrap()["type"], "refused", "{asked}");
    }
    for (wrong, code) in [
        ("{}".to_owned(), 1008),
        (json!({ "type": "ready", "more": 1 }).to_string(), 1008),
        (json!({ "type": "accept", "ring": -1, "sdp": "" }).to_string(), 1008),
        ("x".repeat(50_000), 1002),
    ] {
        let (mut page, _) = phone(&bench, address, "mina").await;
        page.send(Message::text(wrong.clone())).await.unwrap();
        let closed = next(&mut page).await.unwrap_err().map(|frame| frame.code.into());
        assert_eq!(closed, Some(code), "{wrong:.60}");
    }
    let (mut flooding, _) = phone(&bench, address, "mina").await;
    for _ in 0..150 {
        let _ = flooding.send(Message::text(r#"{"type":"ping"}"#)).await;
    }
    assert_eq!(next(&mut flooding).await.unwrap_err().map(|frame| frame.code.into()), Some(1008_u16));
}

#[tokio::test]
async fn programs_and_strangers_have_no_telephone() {
    let bench = Bench::new().await;
    bench.add_user("mina", Role::Agent).await;
    let address = bench.serve().await;
    assert_eq!(connect(address, "/api/phone", &[]).await.err(), Some(401));
    let key = format!("Bearer {}", bench.key(&["calls:read"]).await);
    assert_eq!(connect(address, "/api/phone", &[("authorization", &key)]).await.err(), Some(403));
    let admin = format!("Bearer {}", bench.key(&["admin"]).await);
    assert_eq!(connect(address, "/api/phone", &[("authorization", &admin)]).await.err(), Some(403));
    // Another site's page, with the cookie that the browser adds.
    let cookie = bench.sign_in("mina").await;
    let headers = [("cookie", cookie.as_str()), ("origin", "http://elsewhere.example")];
    assert_eq!(connect(address, "/api/phone", &headers).await.err(), Some(403));
}
