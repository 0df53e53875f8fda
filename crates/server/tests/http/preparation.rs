//! What somebody should know who is about to talk with a contact.

use serde_json::{Value, json};
use sotto_call::{CallId, EventBody, Party};
use sotto_crm::{Amount, MessageChannel, Payment, PaymentState};
use sotto_server::hub::HubLimits;
use sotto_store::{OptOuts, Role};

use crate::bench::{Bench, body, by, get, hangup, post, refused, with_body};
use crate::contacts::{bench, call_of, made};
use crate::moods::feels;
use crate::review::{rules, work};

static NOTHING: Value = Value::Null;

/// The line that is there by this rule.
fn line<'a>(prepared: &'a Value, rule: &str) -> &'a Value {
    let lines = prepared["lines"].as_array().unwrap();
    lines.iter().find(|line| line["rule"] == rule).unwrap_or(&NOTHING)
}

#[tokio::test]
async fn a_talk_is_prepared_from_what_is_kept_and_each_line_says_where_it_is_from() {
    let for_supervisors = |settings: &mut sotto_server::http::HttpSettings| {
        settings.crm = rules();
        settings.moods.seen_by = vec![Role::Supervisor];
    };
    let bench = Bench::with(for_supervisors, HubLimits::default()).await;
    bench.add_user("mina", Role::Agent).await;
    bench.add_user("sara", Role::Supervisor).await;
    let (mina, sara) = (bench.sign_in("mina").await, bench.sign_in("sara").await);
    let new = json!({ "name": "Sara", "phones": ["09121234567"], "stage": "qualified", "notes": "Prefers mornings." });
    let lead = made(bench.send(by(&mina, post("/api/leads", &new))).await).await;
    let path = format!("/api/leads/{}", lead["id"].as_str().unwrap());
    let call = call_of(&bench, "sip:09121234567@pbx.example");
    feels(&call);
    let promise = sotto_call::testing::utterance(2, Party::Agent, "I will call you tomorrow at ten.");
    call.publish(EventBody::Utterance(sotto_call::testing::with_words(promise, 300)));
    call.end(hangup()).await.unwrap();
    work(&bench).await;
    let ticket = json!({ "title": "The panel does not open", "priority": "high" });
    let ticket = made(bench.send(by(&mina, post(&format!("{path}/tickets"), &ticket))).await).await;
    let payment = json!({ "amount": "250,000", "currency": "toman", "about": "Panel", "due_at_unix_ms": 1 });
    let payment = made(bench.send(by(&mina, post(&format!("{path}/payments"), &payment))).await).await;
    let out = OptOuts { version: 1, channels: [MessageChannel::Sms].into() };
    let id = lead["id"].as_str().unwrap().parse().unwrap();
    assert!(bench.store.set_opt_outs(id, &out, "mina", 1).await.unwrap().is_some());
    let told = async |who: &str| {
        let prepared = body(bench.send(by(who, get(&format!("{path}/preparation")))).await).await;
        assert!(prepared["lines"].is_array(), "{prepared}");
        prepared
    };
    let prepared = told(&mina).await;
    assert_eq!(line(&prepared, "stage")["text"], "qualified");
    assert_eq!(line(&prepared, "notes")["from"], json!({ "what": "contact", "id": lead["id"] }));
    let called = line(&prepared, "called");
    assert_eq!((&called["section"], &called["from"]["what"]), (&json!("happened"), &json!("entry")));
    assert_eq!(called["from"]["call_id"], call.id().to_string());
    let promised = if line(&prepared, "promised").is_null() { "promised_late" } else { "promised" };
    let promised = line(&prepared, promised);
    assert_eq!(
        (&promised["text"], &promised["task"]),
        (&json!("I will call you tomorrow at ten."), &json!("callback"))
    );
    assert_eq!(line(&prepared, "ticket_urgent")["from"], json!({ "what": "ticket", "id": ticket["id"] }));
    let owes = line(&prepared, "owes_late");
    assert_eq!((&owes["amount"], &owes["currency"]), (&json!("2500000"), &json!("IRR")));
    assert_eq!(owes["from"], json!({ "what": "payment", "id": payment["id"] }));
    assert_eq!(line(&prepared, "settle_ticket")["section"], "goals");
    assert_eq!(line(&prepared, "no_channel")["text"], "sms");
    // How somebody felt is for those who see that, also where it is only a reason.
    assert_eq!((called.get("feeling"), line(&prepared, "no_selling")), (None, &Value::Null));
    let prepared = told(&sara).await;
    assert_eq!(line(&prepared, "called")["feeling"], "negative");
    assert_eq!(line(&prepared, "no_selling")["section"], "avoid");
    // A key for contacts alone gets nothing of what was said.
    let prepared = told(&bench.key(&["crm:read"]).await).await;
    assert_eq!(line(&prepared, "called").get("text"), None);
    assert!(!prepared.to_string().contains("tomorrow"), "{prepared}");
}

#[tokio::test]
async fn what_is_written_down_for_a_talk_is_kept_in_the_place_of_what_was_seen() {
    let (bench, mina, sara) = bench().await;
    let lead = made(bench.send(by(&mina, post("/api/leads", &json!({ "name": "Sara" })))).await).await;
    let path = format!("/api/leads/{}/preparation", lead["id"].as_str().unwrap());
    let prepared = body(bench.send(by(&mina, get(&path))).await).await;
    assert_eq!((prepared.get("kept"), &prepared["version"]), (None, &json!(0)));
    assert_eq!(line(&prepared, "begin_new")["section"], "opening");
    let keep = async |who: &str, version: u64, text: &str| {
        let kept = json!({ "version": version, "text": text });
        bench.send(by(who, with_body("PUT", &path, &kept))).await
    };
    let kept = body(keep(&mina, 0, " Ask for the card. ").await).await;
    assert_eq!((&kept["kept"]["text"], &kept["kept"]["by"]), (&json!("Ask for the card."), &json!("mina")));
    let seen = kept["version"].as_u64().unwrap();
    for other in [0, 1, seen - 1] {
        refused(keep(&sara, other, "Other").await, 409, "changed_meanwhile").await;
    }
    refused(keep(&sara, seen, &"x".repeat(5_001)).await, 400, "invalid").await;
    let gone = body(keep(&sara, seen, " ").await).await;
    assert_eq!((gone.get("kept"), &gone["version"]), (None, &json!(0)));
    let nobody = format!("/api/leads/{}/preparation", CallId::new());
    refused(bench.send(by(&mina, get(&nobody))).await, 404, "not_found").await;
    let text = json!({ "version": 0, "text": "x" });
    refused(bench.send(by(&mina, with_body("PUT", &nobody, &text))).await, 404, "not_found").await;
}

#[tokio::test]
async fn of_many_payments_it_is_told_what_has_been_due_for_longest() {
    let (bench, mina, _) = bench().await;
    let lead = made(bench.send(by(&mina, post("/api/leads", &json!({ "name": "Sara" })))).await).await;
    let lead = lead["id"].as_str().unwrap();
    let id: uuid::Uuid = lead.parse().unwrap();
    let owed = |due_at_unix_ms: u64| Payment {
        state: PaymentState::Due,
        amount: Amount::parse("5", "EUR").unwrap(),
        about: String::new(),
        reference: None,
        due_at_unix_ms: Some(due_at_unix_ms),
        paid_at_unix_ms: None,
    };
    // Lists begin with what is due last.
    let instalments = (0..36).map(|n| owed(4_000_000_000_000 + n)).chain([owed(1)]);
    let instalments: Vec<_> = instalments.map(|payment| (id, payment)).collect();
    bench.store.add_payments(&instalments, "mina", 1).await.unwrap();
    let prepared = body(bench.send(by(&mina, get(&format!("/api/leads/{lead}/preparation")))).await).await;
    assert_eq!(line(&prepared, "owes_late")["at_unix_ms"], 1, "{prepared}");
}
