//! Other ends that are well, away, slow, ill and lying.

use std::sync::{Mutex, PoisonError};

use axum::Router;
use axum::extract::{Request as Asked, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use sotto_call::{CallEnded, CallId, CallLog, CallStarted, EndReason, EventBody, Millis, Source};
use sotto_crm::{
    CallNote, Communication, CommunicationKind, Contact, ContactKind, Phone, Priority, Proposal, Stage, Task,
    TaskKind, TaskState,
};
use sotto_store::{CallEntry, CallKnowledge, CallRow, Closing, ReviewRow, Step, TaskFilter};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Tries again at once, for ever.
const SOON: Limits = Limits {
    pause: Duration::from_millis(1),
    longest_pause: Duration::from_millis(2),
    given_up_after: Duration::MAX,
    tries: 3,
    every: Duration::from_millis(1),
};
/// Gives up after three times.
const BRIEFLY: Limits = Limits { given_up_after: Duration::ZERO, ..SOON };

/// What a receiver does when it is told something.
#[derive(Clone)]
enum Reply {
    Says(u16),
    SendsOn(String),
    Silence,
}

/// A request that a receiver had.
#[derive(Clone)]
struct Had {
    asked: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Had {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What it had so far.
type Heard = Arc<Mutex<Vec<Had>>>;

/// A server on this machine that is told things. Dropped, it is gone.
struct Receiver {
    url: String,
    had: Heard,
    task: JoinHandle<()>,
}

impl Receiver {
    /// One that does these one after the other, and the last again and again.
    async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let had = Heard::default();
        let router = Router::new().fallback(receive).with_state((had.clone(), Arc::new(replies)));
        let task = tokio::spawn(async move {
            // It ends with the test.
            let _ = axum::serve(listener, router).await;
        });
        Self { url, had, task }
    }

    fn had(&self) -> Vec<Had> {
        self.had.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn webhook(&self) -> WebhookConfig {
        WebhookConfig {
            name: "erp".to_owned(),
            url: format!("{}/hook", self.url),
            secret: SECRET.to_owned(),
            kinds: Vec::new(),
            private: true,
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn receive(State((had, replies)): State<(Heard, Arc<Vec<Reply>>)>, asked: Asked) -> Response {
    let (head, body) = asked.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let number = {
        let mut had = had.lock().unwrap_or_else(PoisonError::into_inner);
        had.push(Had { asked: format!("{} {}", head.method, head.uri), headers: head.headers, body });
        had.len() - 1
    };
    match &replies[number.min(replies.len() - 1)] {
        Reply::Says(code) => StatusCode::from_u16(*code).unwrap().into_response(),
        Reply::SendsOn(url) => (StatusCode::TEMPORARY_REDIRECT, [("location", url.clone())]).into_response(),
        Reply::Silence => std::future::pending().await,
    }
}

/// A store that tells these endpoints.
async fn telling(endpoints: &[Endpoint]) -> (Store, tempfile::TempDir) {
    let (store, folder) = sotto_store::testing::sqlite().await;
    store.tell_to(endpoints.iter().map(Endpoint::listener).collect());
    (store, folder)
}

fn to(receiver: &Receiver) -> Vec<Endpoint> {
    endpoints(&[receiver.webhook()], &OutsideConfig::default()).unwrap()
}

/// Tells until nothing waits, and returns what was counted.
async fn told(store: &Store, endpoints: Vec<Endpoint>, limits: Limits) -> Arc<Figures> {
    let (figures, stop) = (Arc::new(Figures::default()), CancellationToken::new());
    let telling = tokio::spawn(run(store.clone(), endpoints, limits, figures.clone(), stop.clone()));
    while !store.deliveries(None, Some(DeliveryState::Waiting), 1).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    telling.await.unwrap();
    figures
}

fn started() -> CallStarted {
    CallStarted {
        version: sotto_call::FORMAT_VERSION,
        source: Source::Sip,
        started_at_unix_ms: 1_000,
        external_id: "a@pbx".to_owned(),
        participants: Vec::new(),
        language: None,
        bridged: false,
        parties_guessed: false,
        headers: Default::default(),
    }
}

/// A call that has ended.
async fn ended_call(store: &Store) -> CallId {
    let id = CallId::new();
    store.create_call(&CallRow::live(id, &started(), None)).await.unwrap();
    let ended = CallEnded { reason: EndReason::Hangup, duration_ms: Millis(5) };
    let mut log = CallLog::default();
    let events = [
        log.append(Millis(0), EventBody::CallStarted(started())),
        log.append(Millis(5), EventBody::CallEnded(ended.clone())),
    ];
    let closing = Closing { ended, utterances: 0, last: None, participants: None };
    store.end_call(id, &events, &closing).await.unwrap();
    id
}

fn kinds(had: &[Had]) -> Vec<String> {
    had.iter().map(|one| one.json()["type"].as_str().unwrap().to_owned()).collect()
}

fn ids(had: &[Had]) -> Vec<&str> {
    had.iter().map(|one| one.header("webhook-id")).collect()
}

#[tokio::test]
async fn what_happens_is_told_in_order_and_signed() {
    let receiver = Receiver::start(vec![Reply::Says(204)]).await;
    let endpoints = to(&receiver);
    let (store, _folder) = telling(&endpoints).await;
    let call = ended_call(&store).await;
    let figures = told(&store, endpoints, SOON).await;
    let had = receiver.had();
    assert_eq!(kinds(&had), ["call.started", "call.ended"]);
    let secret = Secret::parse(SECRET).unwrap();
    for one in &had {
        assert_eq!(one.asked, "POST /hook");
        let sent_at = one.header("webhook-timestamp").parse::<u64>().unwrap();
        let signature = secret.sign(one.header("webhook-id"), sent_at, &one.body);
        assert_eq!([one.header("webhook-signature"), one.header("x-sotto-signature")], [&signature; 2]);
        assert!(now_unix_ms() / 1_000 - sent_at < 60);
    }
    let over = had[1].json();
    assert_eq!(over["timestamp"], "1970-01-01T00:00:01.005Z");
    assert_eq!(
        (&over["data"]["call"]["id"], &over["data"]["call"]["state"]),
        (&json!(call), &json!("ended"))
    );
    assert_eq!(figures.done.load(Ordering::Relaxed), 2);
    let log = store.deliveries(None, None, 9).await.unwrap();
    assert!(log.iter().all(|one| (one.state, one.code, one.tries) == (DeliveryState::Done, Some(204), 1)));
}

#[tokio::test]
async fn what_fails_comes_again_with_the_same_id_and_keeps_the_others_waiting() {
    let receiver = Receiver::start(vec![Reply::Says(500), Reply::Says(429), Reply::Says(200)]).await;
    let endpoints = to(&receiver);
    let (store, _folder) = telling(&endpoints).await;
    ended_call(&store).await;
    let figures = told(&store, endpoints, SOON).await;
    let had = receiver.had();
    assert_eq!(kinds(&had), ["call.started", "call.started", "call.started", "call.ended"]);
    let ids = ids(&had);
    assert!(ids[..3].iter().all(|id| *id == ids[0]) && ids[3] != ids[0]);
    assert_eq!(figures.failed.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn what_is_gone_is_told_once_and_what_is_sent_on_is_not_followed() {
    let other = Receiver::start(vec![Reply::Says(200)]).await;
    let sends_on = Reply::SendsOn(format!("{}/hook", other.url));
    let receiver = Receiver::start(vec![Reply::Says(410), sends_on]).await;
    let endpoints = to(&receiver);
    let (store, _folder) = telling(&endpoints).await;
    ended_call(&store).await;
    let figures = told(&store, endpoints, BRIEFLY).await;
    assert_eq!(kinds(&receiver.had()), ["call.started", "call.ended", "call.ended", "call.ended"]);
    assert_eq!(other.had().len(), 0);
    let dead = store.deliveries(Some("erp"), Some(DeliveryState::Dead), 9).await.unwrap();
    let whys: Vec<&str> = dead.iter().map(|one| one.error.as_deref().unwrap()).collect();
    assert_eq!(whys, ["it answered 307, and redirects are not followed", "it answered 410"]);
    assert_eq!(figures.dead.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn who_is_slow_is_given_up_after_a_while_and_told_again_by_a_person() {
    let slow = Receiver::start(vec![Reply::Silence]).await;
    let impatient = |endpoint: Endpoint| {
        let client = endpoint.client.with_patience(Duration::from_millis(20));
        Endpoint { client, listener: endpoint.listener, url: endpoint.url, dialect: endpoint.dialect }
    };
    let endpoints: Vec<Endpoint> = to(&slow).into_iter().map(impatient).collect();
    let (store, _folder) = telling(&endpoints).await;
    assert!(store.tell_test("erp", 1_000).await.unwrap() && !store.tell_test("nobody", 1_000).await.unwrap());
    told(&store, endpoints, BRIEFLY).await;
    let dead = store.deliveries(None, Some(DeliveryState::Dead), 9).await.unwrap();
    assert_eq!((dead[0].error.as_deref(), dead[0].tries), (Some("it took too long"), 3));
    // It is well again.
    let well = Receiver::start(vec![Reply::Says(200)]).await;
    assert!(store.send_again(dead[0].id, 2_000).await.unwrap());
    told(&store, to(&well), BRIEFLY).await;
    assert_eq!(ids(&well.had()), [dead[0].id.to_string().as_str()]);
    assert_eq!(store.deliveries(None, Some(DeliveryState::Done), 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_call_of_long_ago_is_told_of_for_as_long_as_one_of_today() {
    let replies = [vec![Reply::Says(500); 5], vec![Reply::Says(200)]].concat();
    let receiver = Receiver::start(replies).await;
    let endpoints = to(&receiver);
    let (store, _folder) = telling(&endpoints).await;
    // A recording that was brought in only now.
    ended_call(&store).await;
    let for_a_day = Limits { given_up_after: Limits::default().given_up_after, ..SOON };
    let figures = told(&store, endpoints, for_a_day).await;
    assert_eq!((figures.done.load(Ordering::Relaxed), figures.dead.load(Ordering::Relaxed)), (2, 0));
}

#[tokio::test]
async fn what_is_said_to_happen_tomorrow_keeps_nothing_else_waiting() {
    let receiver = Receiver::start(vec![Reply::Says(200)]).await;
    let endpoints = to(&receiver);
    let (store, _folder) = telling(&endpoints).await;
    let tomorrow = now_unix_ms() + 24 * 3_600_000;
    store.tell_test("erp", tomorrow).await.unwrap();
    ended_call(&store).await;
    let telling = told(&store, endpoints, SOON);
    let figures = tokio::time::timeout(Duration::from_secs(60), telling).await.unwrap();
    assert_eq!(kinds(&receiver.had()), ["test", "call.started", "call.ended"]);
    assert_eq!(figures.done.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn nobody_is_told_who_is_away_or_does_not_prove_who_they_are() {
    let gone = Receiver::start(vec![Reply::Says(200)]).await.webhook();
    let lying = Receiver::start(vec![Reply::Says(200)]).await;
    let url = format!("{}/hook", lying.url.replace("http://", "https://"));
    let tls = WebhookConfig { name: "tls".to_owned(), url, ..lying.webhook() };
    let endpoints = endpoints(&[gone, tls], &OutsideConfig::default()).unwrap();
    let (store, _folder) = telling(&endpoints).await;
    for name in ["erp", "tls"] {
        store.tell_test(name, 1_000).await.unwrap();
    }
    told(&store, endpoints, BRIEFLY).await;
    let dead = store.deliveries(None, Some(DeliveryState::Dead), 9).await.unwrap();
    assert_eq!(dead.len(), 2);
    assert!(dead.iter().all(|one| one.code.is_none() && one.error.is_some()), "{dead:?}");
    assert_eq!(lying.had().len(), 0);
}

#[tokio::test]
async fn who_is_killed_between_sending_and_saying_so_sends_again_with_the_same_id() {
    let receiver = Receiver::start(vec![Reply::Says(200)]).await;
    let endpoints = to(&receiver);
    let (store, _folder) = telling(&endpoints).await;
    store.tell_test("erp", 1_000).await.unwrap();
    // What a kill leaves: it was sent, and nothing is kept of that.
    let row = store.next_delivery("erp").await.unwrap().unwrap();
    let Prepared::Ready(request) = endpoints[0].request(&store, &row, 1_000).await.unwrap() else { panic!() };
    assert_eq!(endpoints[0].client.send(request).await.unwrap().code, 200);
    told(&store, endpoints, SOON).await;
    let had = receiver.had();
    assert_eq!(ids(&had), [row.id.to_string().as_str(); 2]);
}

#[tokio::test]
async fn nobody_is_told_what_is_removed_meanwhile() {
    let receiver = Receiver::start(vec![Reply::Says(200)]).await;
    let endpoints = to(&receiver);
    let (store, _folder) = telling(&endpoints).await;
    let sara = store.add_contact(&contact(""), 1_000).await.unwrap();
    let task = task();
    store.add_task(sara.id, TaskState::Proposed, &task, "key:ai", 1_000).await.unwrap().unwrap();
    let call = ended_call(&store).await;
    store.delete_calls(&[call].into()).await.unwrap();
    store.remove_contact(sara.id, None, 2_000).await.unwrap();
    told(&store, endpoints, SOON).await;
    let had = receiver.had();
    assert_eq!(kinds(&had), ["contact.changed", "contact.changed"], "neither the task nor the call");
    assert!(had.iter().all(|one| one.json()["data"] == json!({ "lead_id": sara.id, "removed": true })));
    assert_eq!(store.deliveries(None, None, 9).await.unwrap().len(), 2);
}

fn contact(crm_id: &str) -> Contact {
    let fields = [("crm_id".to_owned(), crm_id.to_owned())].into_iter().filter(|(_, id)| !id.is_empty());
    Contact {
        kind: ContactKind::Lead,
        stage: Stage::New,
        name: "Sara".to_owned(),
        numbers: vec![Phone::parse("+989121234567", None).unwrap()],
        email: None,
        company: None,
        owner: None,
        notes: String::new(),
        fields: fields.collect(),
    }
}

fn task() -> Task {
    Task {
        kind: TaskKind::Callback,
        title: None,
        channel: None,
        to: None,
        due_at_unix_ms: Some(5_000),
        priority: Priority::High,
        assignee: None,
    }
}

/// A call with the contact came to this: a summary, a promise, and another stage.
async fn reviewed(store: &Store) {
    let job = store.claim_job(Step::Review, u64::from(u32::MAX) * 1_000).await.unwrap().unwrap();
    let communication = Communication {
        kind: CommunicationKind::CallSummary,
        source: sotto_crm::Source::Ai,
        content: "Wants a place.".to_owned(),
        tags: vec!["registration".to_owned()],
        metadata: [("lead_stage_suggestion".to_owned(), json!("qualified"))].into_iter().collect(),
    };
    let promise = Proposal { origin: "1:0".to_owned(), quote: "I will call.".to_owned(), task: task() };
    let note = CallNote { communication, proposals: vec![promise], topics: Default::default() };
    let number = Phone::parse("+989121234567", None).unwrap();
    let entry = CallEntry { number, ended_at_unix_ms: 2_000, note, drafts: Vec::new() };
    let review = ReviewRow {
        version: 1,
        made_at_unix_ms: 2_000,
        insight: r#"{"intent":"registration"}"#.to_owned(),
        with_moods: Some(r#"{"sentiment":"negative"}"#.to_owned()),
        quality: "{}".to_owned(),
    };
    assert!(store.finish_job(&job, &review, &CallKnowledge::default(), Some(&entry), None).await.unwrap());
}

fn crm(receiver: &Receiver, automatic: bool) -> Vec<Endpoint> {
    let config = OutsideConfig {
        url: format!("{}/", receiver.url),
        key: "hidden".to_owned(),
        id_field: "crm_id".to_owned(),
        fields: [("content".to_owned(), "body".to_owned())].into(),
        automatic,
        private: true,
    };
    endpoints(&[], &config).unwrap()
}

fn asked(had: &[Had]) -> Vec<&str> {
    had.iter().map(|one| one.asked.as_str()).collect()
}

#[tokio::test]
async fn another_crm_gets_what_a_call_came_to_once_and_the_rest_when_a_person_accepts_it() {
    let receiver = Receiver::start(vec![Reply::Says(201)]).await;
    let (store, _folder) = telling(&crm(&receiver, false)).await;
    let sara = store.add_contact(&contact("L7"), 1_000).await.unwrap();
    let call = ended_call(&store).await;
    reviewed(&store).await;
    told(&store, crm(&receiver, false), SOON).await;
    let had = receiver.had();
    assert_eq!(
        asked(&had),
        ["POST /api/leads/L7/communication"],
        "nothing changes because a machine thinks so"
    );
    assert_eq!(had[0].header("authorization"), "Bearer hidden");
    assert_eq!(had[0].header("idempotency-key"), format!("call.noted:{call}"));
    let said = had[0].json();
    assert_eq!([&said["type"], &said["source"], &said["body"]], ["call_summary", "ai", "Wants a place."]);
    assert_eq!((said.get("content"), &said["tags"]), (None, &json!(["registration"])));
    // Made anew it is not told again.
    let job = store.jobs(None, None, 1).await.unwrap()[0].id;
    store.run_job(job, 3_000).await.unwrap();
    reviewed(&store).await;
    let promised = store.tasks(&TaskFilter { limit: 9, ..TaskFilter::default() }).await.unwrap();
    let [promised] = promised.as_slice() else { panic!("{promised:?}") };
    store.change_task(promised.id, promised.version, TaskState::Open, &promised.task, 4_000).await.unwrap();
    let qualified = Contact { stage: Stage::Qualified, ..contact("L7") };
    let sara = store.contact(sara.id).await.unwrap().unwrap();
    store.change_contact(sara.id, sara.version, &qualified, 5_000).await.unwrap();
    told(&store, crm(&receiver, false), SOON).await;
    let had = receiver.had();
    assert_eq!(asked(&had[1..]), ["POST /api/tasks", "PUT /api/leads/L7"]);
    let task = json!({ "lead_id": "L7", "type": "callback", "due_at_unix_ms": 5_000, "priority": "high" });
    assert_eq!([had[1].json(), had[2].json()], [task, json!({ "stage": "qualified" })]);
}

#[tokio::test]
async fn another_crm_gets_all_at_once_where_the_organisation_says_so() {
    let receiver = Receiver::start(vec![Reply::Says(201)]).await;
    let (store, _folder) = telling(&crm(&receiver, true)).await;
    store.add_contact(&contact("L7"), 1_000).await.unwrap();
    let call = ended_call(&store).await;
    reviewed(&store).await;
    told(&store, crm(&receiver, true), SOON).await;
    let had = receiver.had();
    assert_eq!(asked(&had), ["POST /api/leads/L7/communication", "PUT /api/leads/L7", "POST /api/tasks"]);
    assert_eq!(had[1].json(), json!({ "stage": "qualified" }));
    assert_eq!(had[2].header("idempotency-key"), format!("task.proposed:{call}:1:0"));
}

#[tokio::test]
async fn another_crm_is_not_asked_to_do_what_is_done_already() {
    let receiver = Receiver::start(vec![Reply::Says(201)]).await;
    let (store, _folder) = telling(&crm(&receiver, false)).await;
    let sara = store.add_contact(&contact("L7"), 1_000).await.unwrap();
    for state in [TaskState::Done, TaskState::Open] {
        let row =
            store.add_task(sara.id, TaskState::Proposed, &task(), "key:ai", 1_000).await.unwrap().unwrap();
        store.change_task(row.id, 1, state, &row.task, 2_000).await.unwrap();
    }
    told(&store, crm(&receiver, false), SOON).await;
    assert_eq!(asked(&receiver.had()), ["POST /api/tasks"], "one of two is to be done");
}

#[tokio::test]
async fn a_contact_that_another_crm_does_not_know_waits_for_a_person() {
    let receiver = Receiver::start(vec![Reply::Says(404)]).await;
    let (store, _folder) = telling(&crm(&receiver, false)).await;
    let sara = store.add_contact(&contact(""), 1_000).await.unwrap();
    ended_call(&store).await;
    reviewed(&store).await;
    told(&store, crm(&receiver, false), SOON).await;
    let dead = async || store.deliveries(None, Some(DeliveryState::Dead), 9).await.unwrap().remove(0);
    assert_eq!(dead().await.error.as_deref(), Some("the contact has no field `crm_id`"));
    let sara = store.contact(sara.id).await.unwrap().unwrap();
    store.change_contact(sara.id, sara.version, &contact("L8"), 3_000).await.unwrap();
    store.send_again(dead().await.id, 4_000).await.unwrap();
    told(&store, crm(&receiver, false), SOON).await;
    assert_eq!(
        (asked(&receiver.had()), dead().await.code),
        (vec!["POST /api/leads/L8/communication"], Some(404))
    );
}

#[tokio::test]
async fn what_a_call_came_to_is_told_without_moods() {
    let receiver = Receiver::start(vec![Reply::Says(200)]).await;
    let endpoints = to(&receiver);
    let (store, _folder) = telling(&endpoints).await;
    store.add_contact(&contact(""), 1_000).await.unwrap();
    let call = ended_call(&store).await;
    reviewed(&store).await;
    store.tell_alert(call, r#"{"kind":"on_hold"}"#, 3_000).await.unwrap();
    told(&store, endpoints, SOON).await;
    let had = receiver.had();
    let after = ["insight.ready", "quality.ready", "call.noted", "stage.suggested", "task.proposed", "alert"];
    assert_eq!(kinds(&had[3..]), after);
    let data = |n: usize| had[3 + n].json()["data"].clone();
    assert_eq!(data(0), json!({ "call_id": call, "insight": { "intent": "registration" } }));
    assert_eq!(data(1), json!({ "call_id": call, "quality": {} }));
    assert_eq!(data(2)["communication"]["content"], "Wants a place.");
    assert_eq!(data(3)["stage"], "qualified");
    assert_eq!(data(4)["task"]["state"], "proposed");
    assert_eq!(data(5), json!({ "call_id": call, "alert": { "kind": "on_hold" } }));
}
