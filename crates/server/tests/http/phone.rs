use futures::SinkExt;
use serde_json::{Value, json};
use sotto_call::testing::{card, utterance};
use sotto_call::{
    CallEvent, CallId, Card, CardAnswer, EventBody, Millis, Participant, Participants, Party, Prompt,
    PromptAnswer, PromptKind, Quote,
};
use sotto_server::hub::LiveCall;
use sotto_store::{MissedCall, Role};
use tokio_tungstenite::tungstenite::Message;

use crate::bench::{Bench, body, by, bytes, get, hangup, refused, with_body};
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

/// A call whose agent is Mina; and the cookies of Mina, of another agent and of a supervisor.
pub async fn attended() -> (Bench, LiveCall, [String; 3]) {
    let bench = Bench::new().await;
    let mut cookies = Vec::new();
    for (name, role) in [("mina", Role::Agent), ("omid", Role::Agent), ("sara", Role::Supervisor)] {
        bench.add_user(name, role).await;
        cookies.push(bench.sign_in(name).await);
    }
    let call = bench.begin("abc");
    let mina = Participant { party: Party::Agent, aor: None, name: Some("mina".to_owned()) };
    call.publish(EventBody::Participants(Participants { participants: vec![mina] }));
    (bench, call, cookies.try_into().unwrap())
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
        json!({ "type": "resume", "sdp": "" }),
        json!({ "type": "transfer", "to": "nobody", "consult": true }),
        json!({ "type": "complete" }),
        json!({ "type": "take_back" }),
        json!({ "type": "candidate", "candidate": candidate }),
        json!({ "type": "call", "number": "1", "sdp": "" }),
        // Agents are not supervisors, and this is nobody's call.
        json!({ "type": "supervise", "call_id": call, "attention": "listen", "sdp": "v=0" }),
    ] {
        say(&mut page, &asked).await;
        let answer = next(&mut page).await.unwrap();
        match asked["type"] == "call" {
            true => assert_eq!(answer, json!({ "type": "call_failed", "reason": "no_trunk" })),
            false => assert_eq!(answer["type"], "refused", "{asked}"),
        }
    }
    for (wrong, code) in [
        ("{}".to_owned(), 1008),
        (json!({ "type": "ready", "more": 1 }).to_string(), 1008),
        (json!({ "type": "accept", "ring": -1, "sdp": "" }).to_string(), 1008),
        ("x".repeat(50_000), 1009),
    ] {
        let (mut page, _) = phone(&bench, address, "mina").await;
        page.send(Message::text(wrong.clone())).await.unwrap();
        let closed = next(&mut page).await.unwrap_err().map(|frame| frame.code.into());
        assert_eq!(closed, Some(code), "{wrong:.60}");
    }
    // Counted, and written down for admins.
    let metrics = bench.send(get("/metrics")).await;
    let metrics = String::from_utf8(bytes(metrics).await).unwrap();
    for (reason, count) in [("not_theirs", 1), ("not_understood", 3), ("too_large", 1), ("impossible", 10)] {
        let line = format!("\nsotto_phone_refused_total{{reason=\"{reason}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    let key = bench.key(&["admin"]).await;
    let records = loop {
        let list = body(bench.send(by(&key, get("/api/audit"))).await).await;
        let records = list["records"].as_array().unwrap().clone();
        if records.len() == 15 {
            break records;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(
        (&records[4]["who"], &records[4]["what"], &records[4]["call_id"], &records[4]["detail"]),
        (&json!("mina"), &json!("refused"), &json!(call), &json!("supervisors only"))
    );
    assert_eq!(records[0]["detail"], "too large a message");
    let mina = bench.sign_in("mina").await;
    refused(bench.send(by(&mina, get("/api/audit"))).await, 403, "forbidden").await;

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

#[tokio::test]
async fn how_a_call_came_out_is_written_down_by_its_agent_or_a_supervisor() {
    let (bench, call, [mina, omid, sara]) = attended().await;
    call.end(hangup()).await.unwrap();
    let path = format!("/api/calls/{}/outcome", call.id());
    let write = |path: &str, outcome: &str| with_body("PUT", path, &json!({ "outcome": outcome }));
    let written = body(bench.send(by(&mina, write(&path, "Resolved"))).await).await;
    assert_eq!(written, json!({ "outcome": "Resolved", "by": "mina", "at_unix_ms": 1_700_000_000_000_u64 }));
    let shown = body(bench.send(by(&omid, get(&format!("/api/calls/{}", call.id())))).await).await;
    assert_eq!(shown["call"]["outcome"], written);

    refused(bench.send(by(&omid, write(&path, "Resolved"))).await, 403, "forbidden").await;
    refused(bench.send(by(&mina, write(&path, "Bewitched"))).await, 400, "invalid").await;
    let nowhere = format!("/api/calls/{}/outcome", CallId::new());
    refused(bench.send(by(&sara, write(&nowhere, "Resolved"))).await, 404, "not_found").await;
    let corrected = body(bench.send(by(&sara, write(&path, "Call back"))).await).await;
    assert_eq!((&corrected["outcome"], &corrected["by"]), (&json!("Call back"), &json!("sara")));
}

#[tokio::test]
async fn whoever_has_handed_a_call_over_writes_down_how_it_came_out_as_well() {
    let bench = Bench::new().await;
    for name in ["mina", "omid", "reza"] {
        bench.add_user(name, Role::Agent).await;
    }
    let call = bench.begin("abc");
    for name in ["mina", "omid"] {
        let agent = Participant { party: Party::Agent, aor: None, name: Some(name.to_owned()) };
        call.publish(EventBody::Participants(Participants { participants: vec![agent] }));
    }
    let (mina, reza) = (bench.sign_in("mina").await, bench.sign_in("reza").await);
    let write = || {
        let path = format!("/api/calls/{}/outcome", call.id());
        with_body("PUT", &path, &json!({ "outcome": "Resolved" }))
    };
    while bench.store.call(call.id()).await.unwrap().is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    for is_live in [true, false] {
        assert_eq!(bench.send(by(&mina, write())).await.status(), 200, "live: {is_live}");
        refused(bench.send(by(&reza, write())).await, 403, "forbidden").await;
        call.end(hangup()).await.unwrap();
    }
}

#[tokio::test]
async fn a_prompt_is_answered_by_the_calls_agent_or_a_supervisor_while_it_stands() {
    let (bench, call, [mina, omid, sara]) = attended().await;
    let said = utterance(1, Party::Customer, "that is bad");
    call.publish(EventBody::Utterance(said.clone()));
    let prompt = |prompt_id| {
        EventBody::Prompt(Prompt {
            prompt_id,
            about: PromptKind::Empathy,
            text: [("en".to_owned(), "Say that you are sorry.".to_owned())].into(),
            priority: 70,
            evidence: Quote::of(&said),
            expires_at_ms: Millis(20_000),
            held_back: Vec::new(),
        })
    };
    call.publish(prompt(1));
    // Lists are told a moment later who takes part.
    while call.summary().participants.iter().all(|one| one.name.as_deref() != Some("mina")) {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let answer = |id: CallId, prompt_id: u32, answer: &str| {
        let path = format!("/api/calls/{id}/prompts/{prompt_id}/answer");
        with_body("POST", &path, &json!({ "answer": answer }))
    };
    refused(bench.send(by(&omid, answer(call.id(), 1, "accepted"))).await, 403, "forbidden").await;
    refused(bench.send(by(&mina, answer(call.id(), 2, "accepted"))).await, 404, "not_found").await;
    refused(bench.send(by(&mina, answer(CallId::new(), 1, "accepted"))).await, 404, "not_found").await;
    refused(bench.send(by(&mina, answer(call.id(), 1, "eaten"))).await, 422, "invalid_body").await;
    refused(bench.send(answer(call.id(), 1, "accepted")).await, 401, "unauthenticated").await;
    assert_eq!(bench.send(by(&mina, answer(call.id(), 1, "not_helpful"))).await.status(), 204);
    refused(bench.send(by(&mina, answer(call.id(), 1, "accepted"))).await, 404, "not_found").await;
    call.publish(prompt(2));
    assert_eq!(bench.send(by(&sara, answer(call.id(), 2, "dismissed"))).await.status(), 204);
    call.end(hangup()).await.unwrap();
    refused(bench.send(by(&sara, answer(call.id(), 2, "dismissed"))).await, 404, "not_found").await;
    let all: Vec<CallEvent> = bench.store.events(call.id(), 0, 100).await.unwrap();
    let answers: Vec<_> = all
        .iter()
        .filter_map(|event| match &event.body {
            EventBody::PromptAnswered(one) => Some((one.prompt_id, one.answer, one.by.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(answers, [(1, PromptAnswer::NotHelpful, "mina"), (2, PromptAnswer::Dismissed, "sara")]);
    // Who answered what is in the call's log, and nowhere else.
    assert_eq!(bench.store.audit(None, 100).await.unwrap(), []);
}

#[tokio::test]
async fn a_card_is_answered_while_it_stands_by_who_may_see_its_document_and_by_no_way_shown_to_others() {
    let (bench, call, [mina, omid, sara]) = attended().await;
    let said = utterance(1, Party::Customer, "how long does it take?");
    call.publish(EventBody::Utterance(said.clone()));
    sotto_server::people::set_team(&bench.store, "mina", "cards").await.unwrap();
    let (roles, teams) = (vec!["agent".to_owned()], vec!["cards".to_owned()]);
    let hidden = Card { roles, teams, title: "Hidden".to_owned(), ..card("hidden.md", &said) };
    call.publish(EventBody::Card(Box::new(hidden)));
    let asked = utterance(2, Party::Customer, "and the fee?");
    call.publish(EventBody::Utterance(asked.clone()));
    call.publish(EventBody::Card(Box::new(card("refunds.md", &asked))));
    while call.summary().participants.iter().all(|one| one.name.as_deref() != Some("mina")) {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let path = format!("/api/calls/{}", call.id());
    for (who, expected) in [(&mina, vec!["hidden.md", "refunds.md"]), (&sara, vec!["refunds.md"])] {
        let state = body(bench.send(by(who, get(&path))).await).await;
        let cards = state["state"]["cards"].as_array().unwrap();
        assert_eq!(cards.iter().map(|card| card["document"].as_str().unwrap()).collect::<Vec<_>>(), expected);
        let events = bytes(bench.send(by(who, get(&format!("{path}/events")))).await).await;
        let events = String::from_utf8(events).unwrap();
        assert_eq!(events.contains("hidden.md"), expected.len() == 2);
        assert_eq!(events.contains("withheld"), expected.len() == 1, "numbers have no gaps");
    }
    let answer = |card_id: u32, answer: &str| {
        with_body("POST", &format!("{path}/cards/{card_id}/answer"), &json!({ "answer": answer }))
    };
    refused(bench.send(by(&omid, answer(1, "accepted"))).await, 403, "forbidden").await;
    refused(bench.send(by(&sara, answer(1, "accepted"))).await, 404, "not_found").await;
    refused(bench.send(by(&mina, answer(3, "accepted"))).await, 404, "not_found").await;
    refused(bench.send(by(&mina, answer(1, "eaten"))).await, 422, "invalid_body").await;
    // What is copied still stands.
    assert_eq!(bench.send(by(&mina, answer(1, "copied"))).await.status(), 204);
    assert_eq!(bench.send(by(&mina, answer(1, "wrong"))).await.status(), 204);
    refused(bench.send(by(&mina, answer(1, "wrong"))).await, 404, "not_found").await;
    assert_eq!(bench.send(by(&sara, answer(2, "dismissed"))).await.status(), 204);
    call.end(hangup()).await.unwrap();
    let all: Vec<CallEvent> = bench.store.events(call.id(), 0, 100).await.unwrap();
    let answers: Vec<_> = all
        .iter()
        .filter_map(|event| match &event.body {
            EventBody::CardAnswered(one) => Some((one.card_id, one.answer, one.by.as_str())),
            _ => None,
        })
        .collect();
    let expected =
        [(1, CardAnswer::Copied, "mina"), (1, CardAnswer::Wrong, "mina"), (2, CardAnswer::Dismissed, "sara")];
    assert_eq!(answers, expected);
}

#[tokio::test]
async fn who_is_at_the_desk_is_told_to_people_who_take_calls() {
    let bench = Bench::new().await;
    bench.add_user("mina", Role::Agent).await;
    let address = bench.serve().await;
    let (mut page, _) = phone(&bench, address, "mina").await;
    say(&mut page, &json!({ "type": "ready" })).await;
    assert_eq!(next(&mut page).await.unwrap()["state"], "ready");
    let cookie = bench.sign_in("mina").await;
    let desk = body(bench.send(by(&cookie, get("/api/desk"))).await).await;
    assert_eq!((&desk["agents"][0]["name"], &desk["agents"][0]["state"]), (&json!("mina"), &json!("ready")));
    assert_eq!((&desk["numbers"], &desk["waiting"]), (&json!([]), &json!([])));
    let key = bench.key(&["calls:read"]).await;
    refused(bench.send(by(&key, get("/api/desk"))).await, 403, "forbidden").await;
    refused(bench.send(get("/api/desk")).await, 401, "unauthenticated").await;
}

#[tokio::test]
async fn a_missed_call_is_listed_until_somebody_deals_with_it() {
    let bench = Bench::new().await;
    bench.add_user("mina", Role::Agent).await;
    let missed = MissedCall {
        id: uuid::Uuid::now_v7(),
        at_unix_ms: 1_700_000_000_000,
        called: "100".to_owned(),
        aor: Some("sip:+44@pbx".to_owned()),
        name: None,
        waited_ms: 5_000,
    };
    bench.store.add_missed(&missed).await.unwrap();
    let mina = bench.sign_in("mina").await;
    let list = body(bench.send(by(&mina, get("/api/missed"))).await).await;
    assert_eq!(
        (&list["missed"][0]["aor"], &list["missed"][0]["waited_ms"]),
        (&json!("sip:+44@pbx"), &json!(5_000))
    );
    let path = format!("/api/missed/{}/handled", missed.id);
    assert_eq!(bench.send(by(&mina, with_body("PUT", &path, &json!({})))).await.status(), 204);
    refused(bench.send(by(&mina, with_body("PUT", &path, &json!({})))).await, 404, "not_found").await;
    assert_eq!(body(bench.send(by(&mina, get("/api/missed"))).await).await, json!({ "missed": [] }));
    refused(bench.send(get("/api/missed")).await, 401, "unauthenticated").await;
}
