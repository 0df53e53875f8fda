//! Who is not to see how customers feel does not, by any way to a call; and who looks is written down.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use serde_json::{Value, json};
use sotto_call::{
    ArcPoint, CallId, Consent, CustomerUtterance, Emotion, EventBody, HeldBack, HeldBackBecause, Millis,
    Mood, Participant, Participants, Party, Prompt, PromptKind, Quote, Sentiment, Trend, WordsMood,
};
use sotto_server::hub::{HubLimits, LiveCall};
use sotto_store::Role;

use crate::bench::{Bench, body, by, bytes, get, hangup, post, refused, utterance};
use crate::live::{connect, next};

/// What tells a mood, wherever it stands in an answer.
const TELLING: [&str; 5] = ["\"mood\":{", "\"kind\":\"mood\"", "valence", "empathy", "unhappy"];

const ALL: [Role; 3] = [Role::Agent, Role::Supervisor, Role::Admin];

/// A server on which these see moods.
async fn bench(seen_by: &[Role]) -> Bench {
    let seen_by = seen_by.to_vec();
    Bench::with(move |settings| settings.moods.seen_by = seen_by, HubLimits::default()).await
}

/// Somebody of this role, who has signed in.
async fn somebody(bench: &Bench, name: &str, role: Role) -> String {
    bench.add_user(name, role).await;
    bench.sign_in(name).await
}

fn prompt(prompt_id: u32, about: PromptKind, evidence: &Quote, held_back: &[PromptKind]) -> EventBody {
    let text = BTreeMap::from([("en".to_owned(), format!("Prompt {prompt_id}"))]);
    let held_back = held_back.iter().map(|about| HeldBack {
        about: *about,
        text: text.clone(),
        because: HeldBackBecause::MattersLess,
    });
    EventBody::Prompt(Prompt {
        prompt_id,
        about,
        priority: 70,
        evidence: evidence.clone(),
        expires_at_ms: Millis(30_000),
        held_back: held_back.collect(),
        text,
    })
}

/// A customer becomes unhappy, and the agent is told what may help.
pub fn feels(call: &LiveCall) {
    let words = utterance(1, "I have called three times.", true);
    let EventBody::Utterance(said) = &words else { panic!("words") };
    let said = said.clone();
    let sentiment = Sentiment { negative: 0.75, neutral: 0.25, positive: 0.0 };
    let mood = WordsMood { sentiment, valence: -0.75, emotion: Emotion::Anger, emotion_p: 0.5 };
    let arc = ArcPoint {
        at_ms: Millis(900),
        valence: -0.75,
        deviation: 0.25,
        trend: Trend::Falling,
        arousal: None,
    };
    let mood = Mood::of(&CustomerUtterance::of(&said).unwrap(), mood, arc, None, Millis(9));
    call.publish(words);
    call.publish(EventBody::Mood(mood));
    call.publish(prompt(1, PromptKind::Empathy, &Quote::of(&said), &[]));
    call.publish(prompt(2, PromptKind::NextAction, &Quote::of(&said), &[PromptKind::Empathy]));
}

/// Everything that somebody is given about a call while it goes on and once it is over, by every way there is.
async fn everything(bench: &Bench, who: &str) -> Vec<String> {
    let address = bench.serve().await;
    let header = match who.starts_with("sotto_session=") {
        true => ("cookie", who.to_owned()),
        false => ("authorization", format!("Bearer {who}")),
    };
    let header = [(header.0, header.1.as_str())];
    let call = bench.begin("a");
    let path = format!("/api/calls/{}", call.id());
    // From the first event on, and a list that is followed.
    let mut live = connect(address, &format!("{path}/live?from=0"), &header).await.unwrap();
    let mut list = connect(address, "/api/live", &header).await.unwrap();
    feels(&call);
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(next(&mut live).await.unwrap().to_string());
    }
    loop {
        let told = next(&mut list).await.unwrap();
        seen.push(told.to_string());
        if told["call"]["utterances"] == 1 && told["call"]["seq"].as_u64() >= Some(3) {
            break;
        }
    }
    let mut snapshot = connect(address, &format!("{path}/live"), &header).await.unwrap();
    seen.push(next(&mut snapshot).await.unwrap().to_string());
    for is_over in [false, true] {
        if is_over {
            call.end(hangup()).await.unwrap();
        }
        for path in [path.as_str(), &format!("{path}/events"), "/api/calls", "/api/calls?state=live"] {
            let answer = bench.send(by(who, get(path))).await;
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
            seen.push(String::from_utf8(bytes(answer).await).unwrap());
        }
    }
    let mut after = connect(address, &format!("{path}/live?from=1"), &header).await.unwrap();
    for _ in 0..4 {
        seen.push(next(&mut after).await.unwrap().to_string());
    }
    seen
}

fn tells(seen: &[String]) -> BTreeSet<&'static str> {
    TELLING.into_iter().filter(|word| seen.iter().any(|one| one.contains(word))).collect()
}

#[tokio::test]
async fn who_is_not_to_see_moods_is_given_none_by_any_way() {
    let mut told = 0;
    for seen_by in [&ALL[..], &ALL[1..], &ALL[2..], &[]] {
        for role in ALL {
            let bench = bench(seen_by).await;
            let cookie = somebody(&bench, "mina", role).await;
            let seen = everything(&bench, &cookie).await;
            let words = "I have called three times.";
            assert!(seen.iter().any(|one| one.contains(words)), "the words are for everybody");
            assert!(seen.iter().any(|one| one.contains("Prompt 2")), "and so is what is no mood");
            let mut expected: BTreeSet<&str> = BTreeSet::new();
            if seen_by.contains(&role) {
                expected.extend(&TELLING[..4]);
                // Supervisors see alerts.
                expected.extend(TELLING.get(4).filter(|_| matches!(role, Role::Supervisor | Role::Admin)));
                told += 1;
            } else {
                assert!(seen.iter().any(|one| one.contains("\"withheld\"")), "numbers have no gaps");
            }
            assert_eq!(tells(&seen), expected, "{role:?}, seen by {seen_by:?}");
        }
    }
    assert_eq!(told, 6);
}

#[tokio::test]
async fn a_key_sees_what_those_see_who_may_do_what_it_may() {
    for (scopes, sees) in [
        (&["calls:read"][..], false),
        (&["calls:read", "recordings:read"], false),
        (&["calls:read", "calls:listen"], true),
        (&["admin"], true),
    ] {
        let bench = bench(&[Role::Supervisor, Role::Admin]).await;
        let key = bench.key(scopes).await;
        let seen = everything(&bench, &key).await;
        assert_eq!(!tells(&seen).is_empty(), sees, "{scopes:?}");
    }
}

#[tokio::test]
async fn who_looks_at_moods_is_written_down_once_a_call() {
    let bench = bench(&[Role::Supervisor, Role::Admin]).await;
    let mina = somebody(&bench, "mina", Role::Agent).await;
    let sara = somebody(&bench, "sara", Role::Supervisor).await;
    let ada = somebody(&bench, "ada", Role::Admin).await;
    let (call, other) = (bench.begin("a"), bench.begin("b"));
    feels(&call);
    other.publish(utterance(1, "Nothing of the kind.", true));
    for who in [&mina, &sara, &sara, &ada] {
        for call in [&call, &other] {
            for path in ["", "/events"] {
                let path = format!("/api/calls/{}{path}", call.id());
                bytes(bench.send(by(who, get(&path))).await).await;
            }
        }
    }
    for call in [call.clone(), other] {
        call.end(hangup()).await.unwrap();
    }
    let records = loop {
        let audit = body(bench.send(by(&ada, get("/api/audit"))).await).await;
        let of_moods = |record: &&Value| record["what"] == "moods" && record["call_id"].is_string();
        let found: Vec<Value> =
            audit["records"].as_array().unwrap().iter().filter(of_moods).cloned().collect();
        // She looked last.
        if found.iter().any(|record| record["who"] == "ada") {
            break found;
        }
        tokio::task::yield_now().await;
    };
    let who: Vec<_> = records.iter().map(|record| record["who"].as_str()).collect();
    assert_eq!(who, [Some("ada"), Some("sara")], "newest first");
    let id = call.id().to_string();
    assert!(records.iter().all(|record| record["call_id"] == id.as_str()), "{records:?}");
    assert!(records[0]["detail"].as_str().unwrap().contains("en: So that agents can answer kindly"));
    let status = body(bench.send(by(&mina, get("/api/status"))).await).await;
    assert_eq!(status["moods"]["seen_by"], serde_json::json!(["supervisor", "admin"]));
    assert!(status["moods"]["purpose"]["fa"].is_string() && status["moods"]["kept_days"] == 90);
}

#[tokio::test]
async fn of_who_takes_their_consent_back_nothing_is_told_any_more() {
    let bench = bench(&ALL).await;
    let ada = somebody(&bench, "ada", Role::Admin).await;
    let call = bench.begin("a");
    let path = format!("/api/calls/{}", call.id());
    feels(&call);
    let read = async || -> Vec<String> {
        let mut read = Vec::new();
        for path in [&path, &format!("{path}/events")] {
            read.push(String::from_utf8(bytes(bench.send(by(&ada, get(path))).await).await).unwrap());
        }
        read
    };
    assert!(!tells(&read().await).is_empty());
    bench.hub.writer().flush().await;
    call.publish(EventBody::Consent(Consent { mood: false }));
    feels(&call);
    let told = read().await;
    assert!(told[0].contains("\"consent\":{\"mood\":false}"), "{}", told[0]);
    // A prompt that is published all the same stands in the log; no prompter publishes one.
    assert_eq!(tells(&told[..1]), BTreeSet::new());
    assert!(!told[1].contains("valence"), "{}", told[1]);
    call.end(hangup()).await.unwrap();
    assert!(!read().await.concat().contains("valence"));
}

#[tokio::test]
async fn what_a_customer_tells_their_agent_of_consent_is_written_down_while_the_call_goes_on_and_afterwards()
{
    let bench = bench(&ALL).await;
    let [mina, omid] =
        [somebody(&bench, "mina", Role::Agent).await, somebody(&bench, "omid", Role::Agent).await];
    let admin = bench.key(&["admin"]).await;
    for is_over in [false, true] {
        let call = bench.begin("a");
        let participant = Participant { party: Party::Agent, aor: None, name: Some("mina".to_owned()) };
        call.publish(EventBody::Participants(Participants { participants: vec![participant] }));
        feels(&call);
        let path = format!("/api/calls/{}", call.id());
        let says = async |who: &str, mood: bool| {
            bench.send(by(who, post(&format!("{path}/consent"), &json!({ "mood": mood })))).await
        };
        let read = async || {
            String::from_utf8(bytes(bench.send(by(&admin, get(&format!("{path}/events")))).await).await)
                .unwrap()
        };
        if is_over {
            call.end(hangup()).await.unwrap();
            refused(says(&mina, true).await, 409, "call_over").await;
        } else {
            assert_eq!(says(&mina, true).await.status(), StatusCode::NO_CONTENT);
        }
        assert!(read().await.contains("valence"));
        refused(says(&omid, false).await, 403, "forbidden").await;
        assert!(read().await.contains("valence"), "somebody else's call");
        assert_eq!(says(&mina, false).await.status(), StatusCode::NO_CONTENT);
        let told = read().await;
        assert!(!told.contains("valence") && told.contains("I have called three times."), "{told}");
        assert_eq!(
            told.contains("\"kind\":\"consent\",\"mood\":false"),
            !is_over,
            "a log that is closed stays so"
        );
        if !is_over {
            call.end(hangup()).await.unwrap();
        }
        assert!(!bench.store.state(call.id()).await.unwrap().tells_mood());
    }
    let nowhere = format!("/api/calls/{}/consent", CallId::new());
    refused(bench.send(by(&admin, post(&nowhere, &json!({ "mood": false })))).await, 404, "not_found").await;
    let noted = loop {
        let list = body(bench.send(by(&admin, get("/api/audit?limit=100"))).await).await;
        let records = list["records"].as_array().unwrap().clone();
        let noted: Vec<Value> = records.into_iter().filter(|record| record["what"] == "consent").collect();
        if noted.len() == 3 {
            break noted;
        }
        tokio::task::yield_now().await;
    };
    let told: Vec<_> = noted
        .iter()
        .rev()
        .map(|one| (one["who"].as_str().unwrap(), one["detail"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("mina", "mood: yes"), ("mina", "mood: no"), ("mina", "mood: no")]);
}
