//! One behaviour, two databases: every test here runs on SQLite and on PostgreSQL.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should say where")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use sotto_call::{
    ArcPoint, CallEnded, CallEvent, CallId, CallLog, CallStarted, CallState, CustomerUtterance, Dtmf,
    Emotion, EndReason, Entities, Entity, EntityKind, EventBody, LegStarted, Load, MASK, Millis, Mood,
    Participant, Party, PlaybookStep, Prompt, PromptKind, Quote, Redacted, Secret, Sentiment, Shedding,
    Source, Span, Trend, Utterance, UtteranceId, Withheld, Word, WordsMood,
};
use sotto_crm::{
    Amount, CallNote, Channel, Communication, CommunicationKind, Company, Contact, ContactKind, FollowUp,
    FollowUpState, MessageChannel, Payment, PaymentState, Phone, Place, Priority, Proposal, Stage, Task,
    TaskKind, TaskOrder, TaskState, Ticket, TicketState,
};
use sotto_store::testing;
use sotto_store::{
    ApiKeyRow, Attempt, AuditRow, CallEntry, CallFacts, CallFilter, CallKnowledge, CallRow, CallRowState,
    CallSearch, CallSentiment, CardUses, Claim, Closing, CompanyFilter, ContactFilter, DayRow, DeliveryRow,
    DeliveryState, DocumentRow, Draft, EmbeddingRow, EventKind, EventWriter, ExampleRow, FindsRow,
    FollowUpFilter, FollowUpRow, GapRow, GapState, ImportRow, IntentCount, IntentEdits, IntentRow, JobRow,
    JobState, Listener, MissedCall, NewImport, OptOuts, Outcome, PassageRow, PaymentFilter, PlaybookRow,
    QualityReviewRow, QuestionRow, Reach, ReplyRow, ReviewRow, Role, SaidRow, ScoreRow, SearchFilter,
    SendOutcome, SessionRow, Step, Store, StoreError, TaskFilter, TaskRow, TicketFilter, UserChange, UserRow,
    Verdict, WriterLimits, close_by_log, recover,
};
use sqlx::{Connection as _, PgConnection, SqliteConnection};
use uuid::Uuid;

/// Defines tests that run on a fresh database of either kind.
macro_rules! on_both {
    ($($(#[doc = $doc:expr])* async fn $name:ident($store:ident: Store) $body:block)*) => {
        mod on_sqlite {
            $(
                #[tokio::test]
                async fn $name() {
                    let (store, _folder) = super::testing::sqlite().await;
                    super::$name(store).await;
                }
            )*
        }
        mod on_postgres {
            $(
                #[tokio::test]
                async fn $name() {
                    let Some(store) = super::testing::postgres().await else { return };
                    super::$name(store).await;
                }
            )*
        }
        $($(#[doc = $doc])* async fn $name($store: Store) $body)*
    };
}

fn started(name: &str) -> CallStarted {
    CallStarted {
        version: sotto_call::FORMAT_VERSION,
        bridged: false,
        parties_guessed: false,
        source: Source::Siprec,
        started_at_unix_ms: 1_700_000_000_000,
        external_id: name.to_owned(),
        participants: vec![Participant {
            party: Party::Agent,
            aor: Some("sip:1002@pbx.example".to_owned()),
            name: Some("مینا".to_owned()),
        }],
        language: Some("en".to_owned()),
        headers: Default::default(),
    }
}

fn row(id: CallId) -> CallRow {
    CallRow::live(id, &started("abc@pbx"), Some(format!("recordings/{id}.wav")))
}

fn utterance(number: u32, text: &str, r#final: bool) -> EventBody {
    let at = Millis(u64::from(number) * 1000);
    EventBody::Utterance(Utterance {
        r#final,
        start_ms: at,
        end_ms: at + Millis(900),
        words: vec![Word { w: text.to_owned(), start_ms: at, end_ms: at + Millis(900), p: 0.875 }],
        latency_ms: Millis(420),
        ..sotto_call::testing::utterance(number, Party::Customer, text)
    })
}

/// A log of `texts`, begun as logs are.
fn log_of(texts: &[&str]) -> Vec<CallEvent> {
    let mut log = CallLog::default();
    let mut events = vec![log.append(Millis(0), EventBody::CallStarted(started("abc@pbx")))];
    for (number, text) in (1..).zip(texts) {
        events.push(log.append(Millis(u64::from(number) * 1000 + 1500), utterance(number, text, true)));
    }
    events
}

fn ended(events: &[CallEvent], reason: EndReason, duration: u64) -> (CallEvent, Closing) {
    let last = events.last().unwrap();
    let ended = CallEnded { reason, duration_ms: Millis(duration) };
    let event =
        CallLog::after(last.seq, last.at_ms).append(Millis(duration), EventBody::CallEnded(ended.clone()));
    (event, Closing::of(&CallState::of(events), ended))
}

/// Bodies in which a card number is dictated in two turns; the first with what was found in it.
fn dictated() -> Vec<EventBody> {
    let entity = Entity {
        kind: EntityKind::Phone,
        value: "42424242".to_owned(),
        chars: Span { start: 0, end: 9 },
        words: None,
        confidence: 0.5,
    };
    let entities = vec![entity];
    vec![
        utterance(1, "it is", false),
        utterance(1, "it is 4242 4242", true),
        EventBody::Entities(Entities {
            utterance_id: UtteranceId(1),
            revision: 0,
            entities,
            latency_ms: Millis(0),
        }),
        // Begins with the same digit as the other's number.
        utterance(11, "go on", true),
    ]
}

/// What follows when the second turn is heard.
fn found() -> Vec<EventBody> {
    let redacted = Redacted {
        utterance_id: UtteranceId(1),
        party: Party::Customer,
        secrets: vec![Secret::Card],
        ranges: Vec::new(),
        muted: false,
    };
    vec![EventBody::Redacted(redacted), utterance(1, "it is ••••", true), utterance(12, "••••", true)]
}

/// What a customer said, how they feel, and what answers that.
fn felt() -> [EventBody; 3] {
    let words = utterance(1, "that is bad", true);
    let EventBody::Utterance(said) = &words else { panic!("words") };
    let sentiment = Sentiment { negative: 0.5, neutral: 0.5, positive: 0.0 };
    let mood = WordsMood { sentiment, valence: -0.5, emotion: Emotion::Anger, emotion_p: 0.5 };
    let arc =
        ArcPoint { at_ms: Millis(1), valence: -0.5, deviation: 0.25, trend: Trend::Steady, arousal: None };
    let mood = Mood::of(&CustomerUtterance::of(said).unwrap(), mood, arc, None, Millis(0));
    let prompt = Prompt {
        prompt_id: 1,
        about: PromptKind::Empathy,
        text: [("en".to_owned(), "The customer sounds angry.".to_owned())].into(),
        priority: 70,
        evidence: Quote::of(said),
        expires_at_ms: Millis(20_000),
        held_back: Vec::new(),
    };
    [words, EventBody::Mood(mood), EventBody::Prompt(prompt)]
}

/// An ended call with what a customer felt, and its job.
async fn ended_call(store: &Store, started_at_unix_ms: u64) -> CallId {
    let (id, mut log) = (CallId::new(), CallLog::default());
    store.create_call(&CallRow { started_at_unix_ms, ..row(id) }).await.unwrap();
    let mut events = vec![log.append(Millis(0), EventBody::CallStarted(started("abc@pbx")))];
    events.extend(felt().map(|body| log.append(Millis(1), body)));
    let (last, closing) = ended(&events, EndReason::Hangup, 9_000);
    events.push(last);
    store.end_call(id, &events, &closing).await.unwrap();
    id
}

/// What a call came to, by this name.
fn review_called(insight: &str) -> ReviewRow {
    ReviewRow {
        version: 1,
        made_at_unix_ms: 50_000,
        insight: insight.to_owned(),
        with_moods: Some(format!("{insight}, unhappy")),
        quality: "good".to_owned(),
    }
}

fn number_of(text: &str) -> Phone {
    Phone::parse(text, None).unwrap()
}

fn contact(name: &str, numbers: &[&str]) -> Contact {
    Contact {
        kind: ContactKind::Lead,
        stage: Stage::New,
        name: name.to_owned(),
        numbers: numbers.iter().map(|number| number_of(number)).collect(),
        email: Some("a@example.com".to_owned()),
        company: None,
        owner: Some("mina".to_owned()),
        notes: "two\nlines".to_owned(),
        fields: [("city".to_owned(), "Shiraz".to_owned())].into(),
    }
}

fn said(content: &str) -> Communication {
    Communication {
        kind: CommunicationKind::Note,
        source: sotto_crm::Source::Person,
        content: content.to_owned(),
        tags: vec!["a".to_owned()],
        metadata: [("b".to_owned(), 1.into())].into_iter().collect(),
    }
}

fn callback() -> Task {
    Task {
        kind: TaskKind::Callback,
        title: Some("Call back".to_owned()),
        channel: Some(Channel::Phone),
        to: Some("+989121234567".to_owned()),
        due_at_unix_ms: Some(5_000),
        priority: Priority::High,
        assignee: None,
    }
}

fn ticket(title: &str) -> Ticket {
    Ticket {
        title: title.to_owned(),
        text: "since Friday".to_owned(),
        resolution: String::new(),
        priority: Priority::Normal,
        assignee: None,
    }
}

fn owed(about: &str, reference: Option<&str>) -> Payment {
    Payment {
        state: PaymentState::Due,
        amount: Amount::parse("250,000", "toman").unwrap(),
        about: about.to_owned(),
        reference: reference.map(str::to_owned),
        due_at_unix_ms: None,
        paid_at_unix_ms: None,
    }
}

/// What a call adds that was with this number: its summary, and two promises.
fn entry(number: &str) -> CallEntry {
    let proposal = |origin: &str, quote: &str, due: u64| Proposal {
        origin: origin.to_owned(),
        quote: quote.to_owned(),
        task: Task { title: None, due_at_unix_ms: Some(due), ..callback() },
    };
    let proposals = vec![proposal("1:0", "I will call you.", 1_000), proposal("2:0", "I will write.", 2_000)];
    let summary =
        Communication { kind: CommunicationKind::CallSummary, source: sotto_crm::Source::Ai, ..said("a") };
    CallEntry {
        number: number_of(number),
        ended_at_unix_ms: 10_000,
        note: CallNote { communication: summary, proposals, topics: BTreeMap::new() },
        drafts: Vec::new(),
    }
}

/// A message that somebody gets.
fn message() -> FollowUp {
    FollowUp {
        channel: MessageChannel::Sms,
        to: Some("+989121234567".to_owned()),
        subject: None,
        text: "two\nlines".to_owned(),
        not_before_unix_ms: None,
    }
}

/// What may be claimed at a time, on a day that began at 0: two messages to one contact, by whatever there is.
fn claim(now_unix_ms: u64) -> Claim {
    let channels = MessageChannel::ALL.into_iter().collect();
    Claim { now_unix_ms, day_begins_unix_ms: 0, per_day: 2, channels }
}

/// A message to a contact that somebody has approved.
async fn approved(store: &Store, contact: Uuid) -> FollowUpRow {
    let row = store.add_follow_up(contact, &message(), "mina", 1_000).await.unwrap().unwrap();
    store.decide_follow_up(row.id, 1, FollowUpState::Approved, "sara", 2_000).await.unwrap().unwrap()
}

/// A call that tells nothing of what is written down.
fn nothing() -> CallKnowledge {
    CallKnowledge::default()
}

/// A question that was asked at a time, on a call or not.
fn question(text: &str, call: Option<CallId>, asked_at_unix_ms: u64) -> QuestionRow {
    QuestionRow {
        id: Uuid::now_v7(),
        gap: None,
        call,
        utterance: call.map(|_| UtteranceId(3)),
        asked_at_unix_ms,
        text: text.to_owned(),
        confidence: 0.25,
        model: "e5".to_owned(),
        vector: vec![0, 0, 128, 63],
    }
}

/// A call that asks these questions, and shows a card five times.
fn asking(questions: &[QuestionRow]) -> CallKnowledge {
    let uses = CardUses { shown: 5, accepted: 1, copied: 2, wrong: 1, ..CardUses::default() };
    CallKnowledge {
        questions: questions.to_vec(),
        cards: vec![CardUses { document: "refunds.md".to_owned(), ..uses }],
        ..nothing()
    }
}

/// What is kept of a call by which it is found: its agent, what it came to, and what was said, in order.
fn search(agent: &str, score: Option<f32>, said: &[&str]) -> CallKnowledge {
    let facts = CallFacts {
        agent: Some(agent.to_owned()),
        intent: Some("refund".to_owned()),
        intent_title: [("en".to_owned(), "Refund".to_owned())].into(),
        sentiment: Some(CallSentiment::Negative),
        score,
        agent_ms: Millis(3_000),
        customer_ms: Millis(1_000),
        silence_ms: Millis(500),
        finals: 2,
        latency_ms: Millis(700),
        words: 4,
        probability: 3.5,
        lost_ms: Millis(20),
    };
    let said = (1..).zip(said).map(|(n, text)| SaidRow {
        utterance: UtteranceId(n),
        party: Party::Customer,
        at: Millis(u64::from(n) * 1_000),
        text: (*text).to_owned(),
    });
    CallKnowledge { search: CallSearch { facts, said: said.collect() }, ..nothing() }
}

/// A call that is over, and by which it is found is kept.
async fn searchable_call(store: &Store, started_at_unix_ms: u64, found_by: &CallKnowledge) -> CallId {
    let id = ended_call(store, started_at_unix_ms).await;
    let job = claimed(store).await;
    assert!(store.finish_job(&job, &review_called("said"), found_by, None, None).await.unwrap());
    id
}

/// The calls that are found, newest first, each with what was said that was looked for.
async fn found_calls(store: &Store, filter: SearchFilter) -> Vec<(CallId, Vec<u32>)> {
    let limit = if filter.limit == 0 { 9 } else { filter.limit };
    let found = store.find_calls(&SearchFilter { limit, ..filter }).await.unwrap();
    let said = |said: &[SaidRow]| said.iter().map(|one| one.utterance.0).collect();
    found.iter().map(|one| (one.call.id, said(&one.said))).collect()
}

fn opt_outs(version: u64, channels: &[MessageChannel]) -> OptOuts {
    OptOuts { version, channels: channels.iter().copied().collect() }
}

fn saying(text: &str) -> SearchFilter {
    SearchFilter { said: Some(text.to_owned()), ..SearchFilter::default() }
}

/// What somebody says of a call's quality.
fn judged(call: CallId, reviewer: &str, version: u64, score: Option<f32>) -> QualityReviewRow {
    let verdict = if score == Some(1.0) { Verdict::Accepted } else { Verdict::Corrected };
    let (question, comment) = ("greeting".to_owned(), "she did not".to_owned());
    QualityReviewRow {
        call,
        reviewer: reviewer.to_owned(),
        version,
        at_unix_ms: 60_000 + version,
        verdict,
        scores: vec![ScoreRow { question, built_in: Some(1.0), score, comment }],
        comment: "all in all".to_owned(),
    }
}

fn texts(questions: &[QuestionRow]) -> Vec<&str> {
    questions.iter().map(|question| question.text.as_str()).collect()
}

/// One that is told of these.
fn listener(name: &str, kinds: &[EventKind]) -> Listener {
    let (name, kinds) = (name.to_owned(), kinds.iter().copied().collect());
    Listener { name, origin: "https://example.com".to_owned(), kinds }
}

/// What came of telling somebody, at a time.
fn tried(state: DeliveryState, code: u16, due_at_unix_ms: u64) -> Attempt {
    let error = (state != DeliveryState::Done).then(|| "no\0 luck".to_owned());
    Attempt { state, due_at_unix_ms, took_ms: 7, code: Some(code), error }
}

/// All that an endpoint is still to be told, in order; it takes it all.
async fn told(store: &Store, endpoint: &str) -> Vec<DeliveryRow> {
    let mut told = Vec::new();
    while let Some(next) = store.next_delivery(endpoint).await.unwrap() {
        assert!(store.settle_delivery(next.id, &tried(DeliveryState::Done, 200, 1), LATE).await.unwrap());
        told.push(next);
    }
    told
}

fn kinds(told: &[DeliveryRow]) -> Vec<EventKind> {
    told.iter().map(|row| row.kind).collect()
}

async fn states(store: &Store) -> Vec<(JobState, u64)> {
    store.job_counts().await.unwrap().into_iter().collect()
}

/// A time at which everything is due.
const LATE: u64 = 1_800_000_000_000;

async fn claimed(store: &Store) -> JobRow {
    store.claim_job(Step::Review, LATE).await.unwrap().unwrap()
}

async fn all(store: &Store, id: CallId) -> Vec<CallEvent> {
    store.events(id, 0, u32::MAX).await.unwrap()
}

fn import(key: &str) -> NewImport {
    NewImport {
        id: Uuid::now_v7(),
        idempotency_key: key.to_owned(),
        call: CallId::new(),
        request: "{}".to_owned(),
        added_by: "sara".to_owned(),
    }
}

/// The recordings in this state.
async fn imports(store: &Store, state: JobState) -> Vec<ImportRow> {
    store.imports(Some(state), 9).await.unwrap()
}

on_both! {
    async fn a_call_is_kept_as_it_was_said(store: Store) {
        let id = CallId::new();
        store.create_call(&row(id)).await.unwrap();
        assert_eq!(store.call(id).await.unwrap().unwrap(), row(id));
        let events = log_of(&["hello", "سلام"]);
        store.append(id, &events[..1]).await.unwrap();
        store.append(id, &events[1..]).await.unwrap();
        assert_eq!(all(&store, id).await, events);
        assert_eq!(store.events(id, 1, 1).await.unwrap(), events[1..2]);
        assert_eq!(store.events(id, u64::MAX, 1).await.unwrap(), []);

        let (last, closing) = ended(&events, EndReason::Hangup, 9000);
        store.end_call(id, std::slice::from_ref(&last), &closing).await.unwrap();
        let kept = store.call(id).await.unwrap().unwrap();
        assert_eq!(kept.state, CallRowState::Ended);
        assert_eq!((kept.ended, kept.duration_ms), (Some(EndReason::Hangup), Some(Millis(9000))));
        assert_eq!((kept.utterances, kept.last.unwrap().text.as_str()), (2, "سلام"));
        assert_eq!((kept.last_seq, kept.last_at), (4, Millis(9000)));
        assert_eq!(store.state(id).await.unwrap(), CallState::of(events.iter().chain([&last])));
    }

    async fn a_secret_is_taken_out_of_what_is_stored_and_of_what_waits(store: Store) {
        let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
        // What was said is stored when the secret is found, or waits, or some of each.
        for stored in 0..=dictated().len() {
            let (id, other) = (CallId::new(), CallId::new());
            let mut logs = [CallLog::default(), CallLog::default()];
            for (call, log) in [id, other].into_iter().zip(&mut logs) {
                writer.begin(row(call)).unwrap();
                writer.write(call, Arc::new(log.append(Millis(0), EventBody::CallStarted(started("abc@pbx")))));
            }
            for (n, body) in dictated().into_iter().enumerate() {
                if n == stored {
                    writer.flush().await;
                }
                for (call, log) in [id, other].into_iter().zip(&mut logs) {
                    writer.write(call, Arc::new(log.append(Millis(1), body.clone())));
                }
            }
            if stored == dictated().len() {
                writer.flush().await;
            }
            writer.redact(id, UtteranceId(1), logs[0].last_seq() + 1);
            for body in found() {
                writer.write(id, Arc::new(logs[0].append(Millis(2), body)));
            }
            writer.flush().await;
            let kept = all(&store, id).await;
            assert!(kept.iter().zip(1..).all(|(event, seq)| event.seq == seq));
            let json = serde_json::to_string(&kept).unwrap();
            assert!(!json.contains("4242"), "{stored} were stored: {json}");
            let texts: Vec<&str> = kept.iter().filter_map(|event| match &event.body {
                EventBody::Utterance(said) => Some(said.text.as_str()),
                _ => None,
            }).collect();
            assert_eq!(texts, [MASK, MASK, "go on", "it is ••••", "••••"]);
            // What was said in another call is that call's.
            assert!(serde_json::to_string(&all(&store, other).await).unwrap().contains("4242 4242"));
        }
        assert_eq!(writer.figures().rejected, 0);
    }

    async fn moods_are_kept_for_a_time_of_their_own(store: Store) {
        let call = async |started_at_unix_ms, end: bool| {
            let (id, mut log) = (CallId::new(), CallLog::default());
            store.create_call(&CallRow { started_at_unix_ms, ..row(id) }).await.unwrap();
            let mut events = vec![log.append(Millis(0), EventBody::CallStarted(started("abc@pbx")))];
            events.extend(felt().map(|body| log.append(Millis(1), body)));
            store.append(id, &events).await.unwrap();
            if end {
                let (last, closing) = ended(&events, EndReason::Hangup, 9_000);
                store.end_call(id, std::slice::from_ref(&last), &closing).await.unwrap();
            }
            id
        };
        let (old, older) = (call(2_000, true).await, call(1_000, true).await);
        let (live, new) = (call(1_000, false).await, call(9_000, true).await);
        let refused = call(9_000, true).await;
        for _ in 0..2 {
            store.forget_moods_of_call(refused).await.unwrap();
            assert!(!store.state(refused).await.unwrap().tells_mood());
        }
        assert_eq!(store.forget_moods(5_000).await.unwrap(), 2);
        assert_eq!(store.forget_moods(5_000).await.unwrap(), 0, "once is enough");
        for id in [old, older] {
            let kept = all(&store, id).await;
            assert!(kept.iter().zip(1..).all(|(event, seq)| event.seq == seq));
            assert_eq!((kept.len(), &kept[1].body), (5, &felt()[0]), "the words stay");
            assert!(kept[2..4].iter().all(|event| event.body == EventBody::Withheld(Withheld {})));
            assert!(!store.state(id).await.unwrap().tells_mood());
        }
        for id in [live, new] {
            assert!(store.state(id).await.unwrap().tells_mood());
        }
    }

    async fn what_a_customer_does_not_agree_to_is_forgotten_while_the_call_goes_on(store: Store) {
        let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
        for stored in [false, true] {
            let (id, mut log) = (CallId::new(), CallLog::default());
            writer.begin(row(id)).unwrap();
            writer.write(id, Arc::new(log.append(Millis(0), EventBody::CallStarted(started("abc@pbx")))));
            for body in felt() {
                writer.write(id, Arc::new(log.append(Millis(1), body)));
            }
            if stored {
                writer.flush().await;
            }
            writer.forget_moods(id, log.last_seq() + 1);
            writer.flush().await;
            let kept = all(&store, id).await;
            assert_eq!((kept.len(), kept.iter().any(|event| event.body.tells_mood())), (4, false));
        }
        assert_eq!(writer.figures().rejected, 0);
    }

    async fn a_call_that_ends_has_one_job_however_it_ends(store: Store) {
        let id = CallId::new();
        store.create_call(&row(id)).await.unwrap();
        let events = log_of(&["one"]);
        store.append(id, &events).await.unwrap();
        assert_eq!(states(&store).await, [], "it goes on");
        let (last, closing) = ended(&events, EndReason::Timeout, 9_000);
        for _ in 0..2 {
            store.end_call(id, std::slice::from_ref(&last), &closing).await.unwrap();
        }
        let interrupted = CallId::new();
        store.create_call(&row(interrupted)).await.unwrap();
        recover(&store, |_| None).await.unwrap();
        let jobs = store.jobs(Some(JobState::Waiting), None, 9).await.unwrap();
        let calls: BTreeMap<CallId, &JobRow> = jobs.iter().map(|job| (job.call, job)).collect();
        assert_eq!((jobs.len(), calls.len()), (2, 2));
        let job = calls[&id];
        assert_eq!((job.step, job.version, job.tries), (Step::Review, Step::Review.version(), 0));
        assert_eq!(job.due_at_unix_ms, 1_700_000_009_000, "when the call ended");
        // What is refused ends nothing.
        let (_, otherwise) = ended(&events, EndReason::Hangup, 9_000);
        assert!(store.end_call(id, &[], &otherwise).await.is_err());
        assert_eq!(states(&store).await, [(JobState::Waiting, 2)]);
    }

    async fn a_recording_that_is_sent_again_is_queued_once(store: Store) {
        let first = import("a");
        let row = store.add_import(&first, 1_000).await.unwrap();
        assert_eq!((&row.import, row.state, row.tries), (&first, JobState::Waiting, 0));
        let again = store.add_import(&import("a"), 2_000).await.unwrap();
        assert_eq!(again, row);
        store.add_import(&import("b\0"), 3_000).await.unwrap();
        store.add_import(&import("b\0"), 3_000).await.unwrap();
        assert_eq!(store.import_counts().await.unwrap(), BTreeMap::from([(JobState::Waiting, 2)]));
    }

    async fn a_recording_is_claimed_by_one_and_tried_until_it_is_given_up(store: Store) {
        let id = store.add_import(&import("a"), 1_000).await.unwrap().import.id;
        store.add_import(&import("b"), 2_000).await.unwrap();
        assert_eq!(store.claim_import(999).await.unwrap(), None, "not due yet");
        let row = store.claim_import(1_000).await.unwrap().unwrap();
        assert_eq!((row.import.id, row.state, row.tries), (id, JobState::Running, 1));
        assert_eq!(store.claim_import(1_000).await.unwrap(), None, "it is taken");
        assert!(!store.delete_import(id).await.unwrap() && !store.run_import(id, LATE).await.unwrap());
        store.fail_import(id, "away\0", Some(5_000), 1_500).await.unwrap();
        assert_eq!(store.claim_import(4_999).await.unwrap().unwrap().import.idempotency_key, "b");
        let row = store.claim_import(5_000).await.unwrap().unwrap();
        assert_eq!((row.import.id, row.tries, row.error.as_deref()), (id, 2, Some("away\u{fffd}")));
        store.fail_import(id, "gone", None, 6_000).await.unwrap();
        store.finish_import(id, 7_000).await.unwrap();
        assert_eq!(imports(&store, JobState::Dead).await[0].changed_at_unix_ms, 6_000, "it was settled before");
        assert!(store.run_import(id, 8_000).await.unwrap());
        let row = store.claim_import(8_000).await.unwrap().unwrap();
        assert_eq!((row.import.id, row.tries), (id, 1));
        store.finish_import(id, 9_000).await.unwrap();
        let done = imports(&store, JobState::Done).await;
        assert_eq!((done.len(), done[0].error.as_deref()), (1, None));
        assert!(!store.delete_import(id).await.unwrap(), "it goes with its call");
    }

    async fn a_recording_that_was_worked_on_when_the_process_died_is_taken_up(store: Store) {
        let id = store.add_import(&import("a"), 1_000).await.unwrap().import.id;
        for tries in 1..=3 {
            assert_eq!(store.claim_import(LATE).await.unwrap().unwrap().tries, tries);
            assert_eq!(store.take_up_imports(3, LATE).await.unwrap(), 1);
        }
        assert_eq!(store.claim_import(LATE).await.unwrap(), None);
        assert_eq!(imports(&store, JobState::Dead).await[0].import.id, id, "it may be what kills it");
        assert!(store.delete_import(id).await.unwrap());
        assert_eq!(store.imports(None, 9).await.unwrap(), []);
    }

    async fn what_was_known_of_a_recording_goes_with_its_call(store: Store) {
        let call = ended_call(&store, 1_000).await;
        let id = store.add_import(&NewImport { call, ..import("a") }, 1_000).await.unwrap().import.id;
        store.claim_import(LATE).await.unwrap().unwrap();
        store.delete_calls(&BTreeSet::from([call])).await.unwrap();
        assert_eq!(imports(&store, JobState::Running).await.len(), 1, "it is to become that call again");
        store.finish_import(id, LATE).await.unwrap();
        store.delete_calls(&BTreeSet::from([call])).await.unwrap();
        assert_eq!(store.imports(None, 9).await.unwrap(), []);
    }

    async fn a_job_is_claimed_by_one_and_settled_once(store: Store) {
        let id = ended_call(&store, 1_000).await;
        assert_eq!(store.claim_job(Step::Review, 9_999).await.unwrap(), None, "not due yet");
        let job = store.claim_job(Step::Review, 10_000).await.unwrap().unwrap();
        assert_eq!((job.call, job.state, job.tries), (id, JobState::Running, 1));
        assert_eq!(store.claim_job(Step::Review, LATE).await.unwrap(), None, "it is taken");
        assert!(store.has_jobs(id).await.unwrap());
        assert_eq!(store.review(id).await.unwrap(), None);
        assert!(store.finish_job(&job, &review_called("first"), &nothing(), None, None).await.unwrap());
        assert!(!store.finish_job(&job, &review_called("second"), &nothing(), None, None).await.unwrap());
        assert!(!store.fail_job(&job, "late", None, LATE).await.unwrap());
        assert_eq!(store.review(id).await.unwrap().unwrap(), review_called("first"));
        assert_eq!(states(&store).await, [(JobState::Done, 1)]);
        assert!(!store.has_jobs(id).await.unwrap());
        // Made anew, on request.
        assert_eq!(store.run_job(job.id, LATE).await.unwrap(), Some(id));
        assert_eq!(store.run_job(Uuid::now_v7(), LATE).await.unwrap(), None);
        let again = claimed(&store).await;
        assert_eq!((again.id, again.tries), (job.id, 1));
        assert!(!store.finish_job(&job, &review_called("stale"), &nothing(), None, None).await.unwrap(), "somebody else has it");
        assert!(store.finish_job(&again, &review_called("third"), &nothing(), None, None).await.unwrap());
        assert_eq!(store.review(id).await.unwrap().unwrap().insight, "third");
    }

    async fn what_a_model_writes_has_a_lane_of_its_own_and_comes_in_the_place_of_what_there_is(store: Store) {
        store.tell_to(vec![listener("all", &[EventKind::InsightReady, EventKind::CallNoted])]);
        let sara = store.add_contact(&contact("Sara", &["+989121234567"]), 1_000).await.unwrap();
        let id = ended_call(&store, 1_000).await;
        let (job, entry, next) = (claimed(&store).await, entry("+989121234567"), Some(Step::Write));
        let found_by = search("mina", None, &["My order is late."]);
        assert!(store.finish_job(&job, &review_called("so far"), &found_by, Some(&entry), next).await.unwrap());
        assert_eq!(store.review(id).await.unwrap().unwrap(), review_called("so far"));
        assert_eq!(kinds(&told(&store, "all").await), [EventKind::InsightReady], "what is noted is not final");
        assert_eq!(store.communications(sara.id, None, 9).await.unwrap().len(), 1);
        let write = store.claim_job(Step::Write, LATE).await.unwrap().unwrap();
        assert_eq!((write.call, write.step), (id, Step::Write));
        // Whoever waits for a model is in nobody's way.
        let other = ended_call(&store, 1_000).await;
        let review = claimed(&store).await;
        assert_eq!(review.call, other);
        assert!(store.finish_job(&review, &review_called("other"), &nothing(), None, None).await.unwrap());
        assert_eq!(store.claim_job(Step::Write, LATE).await.unwrap(), None, "nothing follows it");
        let written = review_called("written");
        let written = (written.insight.as_str(), written.with_moods.as_deref());
        assert!(store.finish_writing(&write, written.0, written.1, Some(&entry), LATE).await.unwrap());
        assert!(!store.finish_writing(&write, "late", None, None, LATE).await.unwrap());
        let expected = ReviewRow { made_at_unix_ms: LATE, ..review_called("written") };
        assert_eq!(store.review(id).await.unwrap().unwrap(), expected, "the quality stays");
        let expected = [EventKind::InsightReady, EventKind::InsightReady, EventKind::CallNoted];
        assert_eq!(kinds(&told(&store, "all").await), expected, "of the other call, and of this one again");
        assert_eq!(store.communications(sara.id, None, 9).await.unwrap().len(), 1, "one in the place of the other");
        assert_eq!(found_calls(&store, saying("late")).await, [(id, vec![1])], "it is found as before");

        // What is taken out of the log is asked about anew, once it is reviewed again.
        store.run_job(write.id, LATE).await.unwrap();
        let stale = store.claim_job(Step::Write, LATE).await.unwrap().unwrap();
        let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
        writer.redact(id, UtteranceId(1), u64::from(u32::MAX));
        writer.flush().await;
        assert!(!store.finish_writing(&stale, "said", None, Some(&entry), LATE).await.unwrap());
        assert_eq!((store.review(id).await.unwrap(), store.claim_job(Step::Write, LATE).await.unwrap()), (None, None));
        let again = claimed(&store).await;
        assert!(store.finish_job(&again, &review_called("without"), &nothing(), None, next).await.unwrap());
        assert_eq!(store.claim_job(Step::Write, LATE).await.unwrap().unwrap().call, id);
    }

    async fn a_job_that_fails_comes_again_until_it_is_dead(store: Store) {
        let id = ended_call(&store, 1_000).await;
        let job = store.claim_job(Step::Review, 20_000).await.unwrap().unwrap();
        assert!(store.fail_job(&job, "no\0 luck", Some(30_000), 20_000).await.unwrap());
        assert_eq!(store.claim_job(Step::Review, 29_999).await.unwrap(), None);
        let job = store.claim_job(Step::Review, 30_000).await.unwrap().unwrap();
        assert_eq!((job.tries, job.error.as_deref()), (2, Some("no\u{fffd} luck")));
        assert!(store.fail_job(&job, &"x".repeat(9_000), None, 30_000).await.unwrap());
        assert_eq!(store.claim_job(Step::Review, LATE).await.unwrap(), None);
        let dead = store.jobs(Some(JobState::Dead), None, 9).await.unwrap();
        assert_eq!((dead.len(), dead[0].call, dead[0].error.as_ref().unwrap().len()), (1, id, 500));
        assert_eq!(store.run_job(job.id, LATE).await.unwrap(), Some(id));
        assert_eq!(claimed(&store).await.tries, 1);
    }

    async fn jobs_are_listed_in_pages(store: Store) {
        let mut calls = Vec::new();
        for started_at in [1_000, 2_000, 2_000] {
            calls.push(ended_call(&store, started_at).await);
        }
        let (mut listed, mut before) = (Vec::new(), None);
        loop {
            let page = store.jobs(Some(JobState::Waiting), before, 2).await.unwrap();
            let Some(last) = page.last() else { break };
            before = Some(Place { at_unix_ms: last.changed_at_unix_ms, id: last.id });
            listed.extend(page.into_iter().map(|job| job.call));
        }
        calls.reverse();
        assert_eq!(listed, calls);
        assert_eq!(store.jobs(None, None, 9).await.unwrap().len(), 3);
    }

    async fn what_somebody_had_claimed_who_died_is_taken_up(store: Store) {
        for _ in 0..2 {
            ended_call(&store, 1_000).await;
        }
        let one = claimed(&store).await;
        assert_eq!(store.take_up_jobs(2, LATE).await.unwrap(), 1);
        assert!(!store.finish_job(&one, &review_called("late"), &nothing(), None, None).await.unwrap(), "who died says nothing");
        let two = [claimed(&store).await, claimed(&store).await];
        assert_eq!(store.claim_job(Step::Review, LATE).await.unwrap(), None);
        assert_eq!(store.take_up_jobs(2, LATE).await.unwrap(), 2);
        let dead = store.jobs(Some(JobState::Dead), None, 9).await.unwrap();
        assert_eq!((dead.len(), dead[0].id), (1, one.id), "twice it was running when somebody died");
        assert!(two.iter().any(|job| job.id == one.id));
        assert_eq!(states(&store).await, [(JobState::Waiting, 1), (JobState::Dead, 1)]);
        // A call that waits for what a model writes does not do so for ever.
        let job = claimed(&store).await;
        assert!(store.finish_job(&job, &review_called("so far"), &nothing(), None, Some(Step::Write)).await.unwrap());
        for tries in 1..4 {
            assert_eq!(store.claim_job(Step::Write, LATE).await.unwrap().unwrap().tries, tries);
            assert_eq!(store.take_up_jobs(2, LATE).await.unwrap(), 1);
        }
    }

    async fn what_is_taken_out_of_a_log_is_in_nothing_that_was_made_of_it(store: Store) {
        let (id, other) = (ended_call(&store, 1_000).await, ended_call(&store, 1_000).await);
        for _ in 0..2 {
            let job = claimed(&store).await;
            assert!(store.finish_job(&job, &review_called("said"), &nothing(), None, None).await.unwrap());
        }
        let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
        writer.redact(id, UtteranceId(1), u64::from(u32::MAX));
        writer.flush().await;
        assert_eq!(store.review(id).await.unwrap(), None);
        assert!(store.review(other).await.unwrap().is_some());
        // Who read the words before they were taken out keeps nothing of them.
        let job = claimed(&store).await;
        assert_eq!(job.call, id);
        writer.redact(id, UtteranceId(1), u64::from(u32::MAX));
        writer.flush().await;
        assert!(!store.finish_job(&job, &review_called("said"), &nothing(), None, None).await.unwrap());
        let again = claimed(&store).await;
        assert!(store.finish_job(&again, &review_called("without"), &nothing(), None, None).await.unwrap());
        assert_eq!(store.review(id).await.unwrap().unwrap().insight, "without");
    }

    async fn questions_are_kept_until_they_are_put_to_those_like_them(store: Store) {
        let id = ended_call(&store, 1_000).await;
        let asked = [question("How\0 long?", Some(id), 30), question("How much?", Some(id), 20)];
        let job = claimed(&store).await;
        assert!(store.finish_job(&job, &review_called("said"), &asking(&asked), None, None).await.unwrap());
        let looked_up = question("How long then?", None, 40);
        store.add_question(&looked_up).await.unwrap();
        let loose = store.loose_questions(9).await.unwrap();
        assert_eq!(texts(&loose), ["How much?", "How\u{fffd} long?", "How long then?"]);
        assert_eq!((&loose[0], &loose[2]), (&asked[1], &looked_up));
        assert_eq!(store.loose_questions(1).await.unwrap().len(), 1);
        let (long, much) = (Uuid::now_v7(), Uuid::now_v7());
        let pairs = [(asked[1].id, much), (asked[0].id, long), (looked_up.id, long)];
        store.put_to_gaps(&pairs).await.unwrap();
        // One that is gone begins nothing.
        store.put_to_gaps(&[(Uuid::now_v7(), Uuid::now_v7())]).await.unwrap();
        assert!(store.loose_questions(9).await.unwrap().is_empty());
        let leaders = store.gap_leaders(9).await.unwrap();
        assert_eq!(texts(&leaders), ["How much?", "How\u{fffd} long?"], "the newer gap first");
        assert_eq!((leaders[0].gap, store.gap_leaders(1).await.unwrap().len()), (Some(much), 1));
        let gaps = store.gaps().await.unwrap();
        let open = GapRow {
            id: long,
            state: GapState::Open,
            document: None,
            changed_at_unix_ms: 30,
            changed_by: String::new(),
            count: 2,
            count_since: 1,
            last_asked_at_unix_ms: 40,
        };
        assert_eq!((gaps.len(), &gaps[0]), (2, &open));
        assert_eq!(texts(&store.gap_questions(long, 1).await.unwrap()), ["How long then?"]);
        let decide = async |id, state, document| store.decide_gap(id, state, document, "sara", 35).await.unwrap();
        assert!(decide(long, GapState::Answered, Some("refunds.md")).await);
        assert!(decide(much, GapState::Hidden, None).await);
        assert!(!decide(Uuid::now_v7(), GapState::Hidden, None).await);
        let gaps = store.gaps().await.unwrap();
        let (state, document) = (GapState::Answered, Some("refunds.md".to_owned()));
        let by = "sara".to_owned();
        let answered = GapRow { state, document, changed_at_unix_ms: 35, changed_by: by, count_since: 1, ..open };
        assert_eq!(gaps[0], answered, "it was asked again since");
        assert_eq!((gaps[1].state, gaps[1].count_since), (GapState::Hidden, 0));
        // The job is done again, as when the customer is written down: what was decided stays.
        store.run_job(job.id, LATE).await.unwrap();
        let (again, asked) = (claimed(&store).await, asked.map(|one| QuestionRow { id: Uuid::now_v7(), ..one }));
        assert!(store.finish_job(&again, &review_called("said"), &asking(&asked), None, None).await.unwrap());
        assert!(store.loose_questions(9).await.unwrap().is_empty());
        assert_eq!(store.gaps().await.unwrap(), gaps);
    }

    async fn questions_go_with_their_call_when_it_says_less_and_after_a_time(store: Store) {
        let (gone, redacted) = (ended_call(&store, 1_000).await, ended_call(&store, 1_000).await);
        for _ in 0..2 {
            let job = claimed(&store).await;
            let asked = [question("How long?", Some(job.call), 30)];
            assert!(store.finish_job(&job, &review_called("said"), &asking(&asked), None, None).await.unwrap());
        }
        store.add_question(&question("How much?", None, 40)).await.unwrap();
        let gap = Uuid::now_v7();
        let loose = store.loose_questions(9).await.unwrap();
        let pairs: Vec<(Uuid, Uuid)> = loose.iter().map(|question| (question.id, gap)).collect();
        store.put_to_gaps(&pairs).await.unwrap();
        assert_eq!((store.gaps().await.unwrap()[0].count, store.card_uses().await.unwrap()[0].shown), (3, 10));
        assert_eq!(store.delete_calls(&[gone].into()).await.unwrap(), 1);
        assert_eq!(store.gaps().await.unwrap()[0].count, 2);
        let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
        writer.redact(redacted, UtteranceId(1), u64::from(u32::MAX));
        writer.flush().await;
        assert_eq!(texts(&store.gap_questions(gap, 9).await.unwrap()), ["How much?"]);
        assert!(store.card_uses().await.unwrap().is_empty());
        // Made again, it is there once, however often.
        for _ in 0..2 {
            let job = claimed(&store).await;
            let asked = [question("How long?", Some(job.call), 30)];
            assert!(store.finish_job(&job, &review_called("said"), &asking(&asked), None, None).await.unwrap());
            store.run_job(job.id, LATE).await.unwrap();
        }
        assert_eq!(texts(&store.loose_questions(9).await.unwrap()), ["How long?"]);
        let uses = CardUses { shown: 5, accepted: 1, copied: 2, wrong: 1, ..CardUses::default() };
        let uses = CardUses { document: "refunds.md".to_owned(), ..uses };
        assert_eq!(store.card_uses().await.unwrap(), [uses]);
        assert_eq!(store.forget_questions(None, 1).await.unwrap(), 0);
        assert_eq!(store.gaps().await.unwrap().len(), 1);
        assert_eq!(store.forget_questions(Some(40), 1).await.unwrap(), 1);
        assert!(store.loose_questions(9).await.unwrap().is_empty());
        assert_eq!(store.forget_questions(None, 0).await.unwrap(), 1, "what was looked up");
        assert!(store.gaps().await.unwrap().is_empty());
        assert!(!store.decide_gap(gap, GapState::Hidden, None, "sara", 50).await.unwrap(), "it went with them");
    }

    async fn finds_are_counted_and_go_with_their_document(store: Store) {
        let row = DocumentRow {
            name: "refunds.md".to_owned(),
            uploaded: true,
            title: "Refunds".to_owned(),
            changed_unix_ms: 7,
            bytes: 3,
            teams: BTreeSet::new(),
            roles: BTreeSet::new(),
            hash: [1; 32],
            version: 1,
            problem: None,
        };
        store.put_document(&row, "{}", &BTreeSet::new()).await.unwrap();
        for (name, at) in [("refunds.md", 10), ("refunds.md", 20), ("other.md", 30)] {
            store.count_find(name, at).await.unwrap();
        }
        store.put_document(&row, "{ }", &BTreeSet::new()).await.unwrap();
        let found = FindsRow { document: "refunds.md".to_owned(), times: 2, last_at_unix_ms: 20 };
        assert_eq!(store.document_finds().await.unwrap(), [found]);
        assert!(store.remove_document("refunds.md").await.unwrap());
        assert!(store.document_finds().await.unwrap().is_empty());
    }

    async fn moods_go_from_what_calls_came_to_as_well(store: Store) {
        let (old, new) = (ended_call(&store, 1_000).await, ended_call(&store, 9_000).await);
        for _ in 0..2 {
            let job = claimed(&store).await;
            assert!(store.finish_job(&job, &review_called("said"), &nothing(), None, None).await.unwrap());
        }
        let late = ended_call(&store, 1_000).await;
        let job = claimed(&store).await;
        assert_eq!(store.forget_moods(5_000).await.unwrap(), 2);
        let kept = |review: Option<ReviewRow>| review.map(|review| (review.insight, review.with_moods));
        let said = Some("said, unhappy".to_owned());
        assert_eq!(kept(store.review(old).await.unwrap()), Some(("said".to_owned(), None)));
        assert_eq!(kept(store.review(new).await.unwrap()), Some(("said".to_owned(), said)));
        assert!(!store.finish_job(&job, &review_called("said"), &nothing(), None, None).await.unwrap(), "it had read them");
        assert_eq!((claimed(&store).await.call, store.review(late).await.unwrap()), (late, None));
    }

    async fn what_a_call_came_to_goes_with_it(store: Store) {
        let id = ended_call(&store, 1_000).await;
        let job = claimed(&store).await;
        assert!(store.finish_job(&job, &review_called("said"), &nothing(), None, None).await.unwrap());
        let running = ended_call(&store, 1_000).await;
        let job = claimed(&store).await;
        assert_eq!(store.delete_calls(&[id, running].into()).await.unwrap(), 2);
        assert!(!store.finish_job(&job, &review_called("said"), &nothing(), None, None).await.unwrap());
        for id in [id, running] {
            assert_eq!(store.review(id).await.unwrap(), None);
        }
        assert_eq!(states(&store).await, []);
    }

    async fn a_long_call_is_removed_as_a_whole_and_only_once_it_has_ended(store: Store) {
        let [gone, kept, live] = [(); 3].map(|()| CallId::new());
        let events = log_of(&["so"; 1_234]);
        let (last, closing) = ended(&events, EndReason::Hangup, 9_000_000);
        for id in [gone, kept, live] {
            store.create_call(&row(id)).await.unwrap();
            store.append(id, &events).await.unwrap();
            if id != live {
                store.end_call(id, std::slice::from_ref(&last), &closing).await.unwrap();
            }
        }
        assert_eq!(store.delete_calls(&[gone, live, CallId::new()].into()).await.unwrap(), 1);
        assert_eq!((store.call(gone).await.unwrap(), all(&store, gone).await), (None, vec![]));
        assert_eq!((all(&store, kept).await.len(), all(&store, live).await), (1_236, events));
    }

    async fn appending_again_changes_nothing(store: Store) {
        let id = CallId::new();
        store.create_call(&row(id)).await.unwrap();
        let events = log_of(&["one", "two", "three"]);
        store.append(id, &events[..3]).await.unwrap();
        store.create_call(&row(id)).await.unwrap();
        store.append(id, &events[1..]).await.unwrap();
        store.append(id, &events).await.unwrap();
        assert_eq!(all(&store, id).await, events);
        let (last, closing) = ended(&events, EndReason::Hangup, 9000);
        store.end_call(id, std::slice::from_ref(&last), &closing).await.unwrap();
        store.end_call(id, std::slice::from_ref(&last), &closing).await.unwrap();
        store.append(id, &events).await.unwrap();
        assert_eq!(store.call(id).await.unwrap().unwrap().last_seq, 5);
    }

    async fn a_number_is_never_given_twice(store: Store) {
        let id = CallId::new();
        store.create_call(&row(id)).await.unwrap();
        let events = log_of(&["one", "two"]);
        store.append(id, &events).await.unwrap();
        let mut other = log_of(&["one", "other", "three"]);
        let refused = store.append(id, &other).await.unwrap_err();
        assert!(matches!(refused, StoreError::Conflict { seq: 3, .. }), "{refused}");
        assert!(refused.is_permanent());
        // All or nothing: the third was not written either.
        assert_eq!(all(&store, id).await, events);
        assert_eq!(store.call(id).await.unwrap().unwrap().last_seq, 3);
        // Nor may one write contradict itself.
        other[3].seq = 3;
        assert!(matches!(store.append(id, &other[2..]).await, Err(StoreError::Conflict { .. })));
    }

    async fn nothing_is_said_in_unknown_or_ended_calls(store: Store) {
        let id = CallId::new();
        let events = log_of(&["one"]);
        let refused = store.append(id, &events).await.unwrap_err();
        assert!(matches!(refused, StoreError::UnknownCall(_)) && refused.is_permanent(), "{refused}");
        let (last, closing) = ended(&events, EndReason::Hangup, 9000);
        assert!(matches!(store.end_call(id, &[], &closing).await, Err(StoreError::UnknownCall(_))));
        store.create_call(&row(id)).await.unwrap();
        store.append(id, &events).await.unwrap();
        store.end_call(id, std::slice::from_ref(&last), &closing).await.unwrap();
        let late = CallEvent { seq: last.seq + 1, ..events[1].clone() };
        assert!(matches!(store.append(id, &[late]).await, Err(StoreError::Ended(_))));
        let (_, otherwise) = ended(&events, EndReason::Timeout, 9000);
        assert!(matches!(store.end_call(id, &[], &otherwise).await, Err(StoreError::Ended(_))));
        let absurd = CallEvent { seq: u64::MAX, ..events[1].clone() };
        assert!(matches!(store.append(id, &[absurd]).await, Err(StoreError::Invalid(_))));
    }

    async fn lists_run_from_the_newest_in_pages(store: Store) {
        let ids: Vec<CallId> = (0..7).map(|_| CallId::new()).collect();
        for (number, id) in ids.iter().enumerate() {
            store.create_call(&row(*id)).await.unwrap();
            if number % 2 == 0 {
                let events = log_of(&[]);
                let (last, closing) = ended(&events, EndReason::Hangup, 5000);
                store.end_call(*id, &[events, vec![last]].concat(), &closing).await.unwrap();
            }
        }
        let page = async |state, before, limit| {
            let filter = CallFilter { state, before, limit };
            store.calls(filter).await.unwrap().into_iter().map(|row| row.id).collect::<Vec<_>>()
        };
        assert_eq!(page(None, None, 3).await, [ids[6], ids[5], ids[4]]);
        assert_eq!(page(None, Some(ids[4]), 3).await, [ids[3], ids[2], ids[1]]);
        assert_eq!(page(Some(CallRowState::Ended), Some(ids[6]), 9).await, [ids[4], ids[2], ids[0]]);
        assert_eq!(page(Some(CallRowState::Live), None, 1).await, [ids[5]]);
        assert_eq!(store.live_calls().await.unwrap().len(), 3);

        let old = async |before, after, limit| store.calls_older_than(before, after, limit).await.unwrap();
        let with_recording = |id: CallId| (id, Some(format!("recordings/{id}.wav")));
        assert_eq!(old(1_700_000_000_001, None, 3).await, [ids[0], ids[2], ids[4]].map(with_recording));
        assert_eq!(old(1_700_000_000_001, Some(ids[2]), 9).await, [ids[4], ids[6]].map(with_recording));
        assert_eq!(old(1_700_000_000_000, None, 9).await, []);
        assert_eq!(store.delete_calls(&[ids[0], ids[1], ids[2]].into()).await.unwrap(), 2);
        assert!(store.call(ids[0]).await.unwrap().is_none() && store.call(ids[1]).await.unwrap().is_some());
        assert_eq!(all(&store, ids[0]).await, []);
    }

    /// Names come from SIP headers: whatever is in them, the call is kept.
    async fn how_a_call_came_out_is_what_was_said_last(store: Store) {
        let id = CallId::new();
        let outcome = |outcome: &str| Outcome { outcome: outcome.into(), by: "مینا".into(), at_unix_ms: 7 };
        assert!(matches!(store.set_outcome(id, &outcome("sold")).await, Err(StoreError::UnknownCall(_))));
        store.create_call(&row(id)).await.unwrap();
        assert_eq!(store.call(id).await.unwrap().unwrap().outcome, None);
        for said in ["sold", "call back\0"] {
            store.set_outcome(id, &outcome(said)).await.unwrap();
        }
        assert_eq!(store.call(id).await.unwrap().unwrap().outcome, Some(outcome("call back\0")));
    }

    async fn a_missed_call_is_dealt_with_by_one(store: Store) {
        let call = |n: u64| MissedCall {
            id: Uuid::now_v7(),
            at_unix_ms: n,
            called: "100".into(),
            aor: Some("sip:+44@pbx".into()),
            name: None,
            waited_ms: 60_000,
        };
        let (first, second) = (call(1), call(2));
        store.add_missed(&first).await.unwrap();
        store.add_missed(&second).await.unwrap();
        assert_eq!(store.missed(None, 9).await.unwrap(), [second.clone(), first.clone()]);
        assert_eq!(store.missed(None, 1).await.unwrap(), std::slice::from_ref(&second));
        assert_eq!(store.missed(Some(second.id), 9).await.unwrap(), std::slice::from_ref(&first));
        assert!(store.handle_missed(second.id, "mina", 3).await.unwrap());
        assert!(!store.handle_missed(second.id, "omid", 4).await.unwrap());
        assert!(!store.handle_missed(Uuid::now_v7(), "omid", 4).await.unwrap());
        assert_eq!(store.missed(None, 9).await.unwrap(), [first]);
        for (before, removed) in [(1, 0), (3, 2), (3, 0)] {
            assert_eq!(store.delete_missed(before).await.unwrap(), removed, "{before}");
        }
        assert_eq!(store.missed(None, 9).await.unwrap(), []);
    }

    async fn tokens_of_a_day_are_kept_until_the_next(store: Store) {
        let tokens = |all: &[(&str, u64)]| -> BTreeMap<String, u64> {
            all.iter().map(|(purpose, tokens)| ((*purpose).to_owned(), *tokens)).collect()
        };
        assert_eq!(store.model_tokens(7).await.unwrap(), tokens(&[]));
        store.put_model_tokens(7, &tokens(&[("answer", 900), ("check", u64::MAX)])).await.unwrap();
        store.put_model_tokens(7, &tokens(&[("answer", 950), ("check", u64::MAX)])).await.unwrap();
        let most = i64::MAX.unsigned_abs();
        assert_eq!(store.model_tokens(7).await.unwrap(), tokens(&[("answer", 950), ("check", most)]));
        store.put_model_tokens(8, &tokens(&[("answer", 5)])).await.unwrap();
        assert_eq!(store.model_tokens(8).await.unwrap(), tokens(&[("answer", 5)]));
        assert_eq!(store.model_tokens(7).await.unwrap(), tokens(&[]));
    }

    async fn the_audit_is_read_from_the_newest_in_pages(store: Store) {
        let row = |n: u64, call: Option<CallId>| AuditRow {
            id: Uuid::now_v7(),
            at_unix_ms: n,
            who: "sara".into(),
            what: "supervise".into(),
            call,
            detail: "whisper".into(),
        };
        let rows = [row(1, None), row(2, Some(CallId::new())), row(3, None)];
        for row in &rows {
            store.add_audit(row).await.unwrap();
            store.add_audit(row).await.unwrap();
        }
        let newest = store.audit(None, 2).await.unwrap();
        assert_eq!(newest, [rows[2].clone(), rows[1].clone()]);
        assert_eq!(store.audit(Some(newest[1].id), 2).await.unwrap(), [rows[0].clone()]);
        assert_eq!(store.last_audit("supervise").await.unwrap().as_ref(), Some(&rows[2]));
        assert_eq!(store.last_audit("outcome").await.unwrap(), None);
        let hostile = AuditRow { detail: "a\0b".into(), ..row(4, None) };
        store.add_audit(&hostile).await.unwrap();
        assert_eq!(store.audit(None, 1).await.unwrap()[0].detail, "a\u{fffd}b");
    }

    async fn what_was_changed_about_intents_is_kept_once_a_name_and_once_a_sentence(store: Store) {
        assert_eq!(store.intent_edits().await.unwrap(), IntentEdits::default());
        let intent = |name: &str, english: &str, removed| IntentRow {
            name: name.to_owned(),
            title: [("en", english), ("fa", "شکایت")].map(|(a, b)| (a.to_owned(), b.to_owned())).into(),
            alert: true,
            removed,
            changed_at_unix_ms: 7,
            changed_by: "مینا".to_owned(),
        };
        let example = |text: &str, intent: Option<&str>, at| ExampleRow {
            text: text.to_owned(),
            intent: intent.map(str::to_owned),
            removed: false,
            changed_at_unix_ms: at,
            changed_by: "sara".to_owned(),
        };
        for title in ["Complaint", "Complaints"] {
            store.put_intent(&intent("complaint", title, false)).await.unwrap();
        }
        store.put_intent(&intent("a\0", "A", false)).await.unwrap();
        // As long as a sentence may be, in letters that take the most room.
        let long = "\u{1f4de}".repeat(500);
        for row in [
            example("این درست نیست.", Some("refund"), 1),
            example(&long, None, 2),
            example("I am not happy.", Some("complaint"), 3),
            example("این درست نیست.", Some("complaint"), 4),
        ] {
            store.put_example(&row).await.unwrap();
        }
        let gone = ExampleRow { removed: true, ..example("Goodbye.", Some("a"), 5) };
        store.put_example(&gone).await.unwrap();
        let kept = store.intent_edits().await.unwrap();
        assert_eq!(kept.intents, [intent("a\u{fffd}", "A", false), intent("complaint", "Complaints", false)]);
        let complaints =
            [example("I am not happy.", Some("complaint"), 3), example("این درست نیست.", Some("complaint"), 4)];
        let [first, second] = complaints;
        assert_eq!(kept.examples, [example(&long, None, 2), first, second, gone.clone()]);

        let text = [("en".to_owned(), "Ask for the order number.".to_owned())].into();
        let ask = PlaybookStep { text, until: Some(EntityKind::Order) };
        let playbook = |intent: &str, steps: &[&PlaybookStep]| PlaybookRow {
            intent: intent.to_owned(),
            steps: steps.iter().copied().cloned().collect(),
            changed_at_unix_ms: 8,
            changed_by: "sara".to_owned(),
        };
        for row in [playbook("refund", &[&ask, &ask]), playbook("complaint", &[&ask]), playbook("refund", &[])] {
            store.put_playbook(&row).await.unwrap();
        }
        let kept = store.intent_edits().await.unwrap();
        assert_eq!(kept.playbooks, [playbook("complaint", &[&ask]), playbook("refund", &[])]);

        store.forget_example("nothing of the kind").await.unwrap();
        store.forget_example(&long).await.unwrap();
        let removed = intent("complaint", "Complaints", true);
        store.put_intent(&removed).await.unwrap();
        let kept = store.intent_edits().await.unwrap();
        assert_eq!((kept.intents.get(1), kept.examples.as_slice()), (Some(&removed), &[gone][..]));
        assert_eq!(kept.playbooks, [playbook("refund", &[])]);
    }

    async fn a_document_is_kept_once_with_the_vectors_of_what_still_stands_in_it(store: Store) {
        let row = |name: &str, content: u8| DocumentRow {
            name: name.to_owned(),
            uploaded: true,
            title: "بازگشت وجه".to_owned(),
            changed_unix_ms: 7,
            bytes: 9,
            teams: BTreeSet::new(),
            roles: BTreeSet::from(["admin".to_owned(), "supervisor".to_owned()]),
            hash: [content; 32],
            version: 1,
            problem: None,
        };
        let vector = |document: &str, passage: u8, model: &str| EmbeddingRow {
            document: document.to_owned(),
            passage: [passage; 32],
            model: model.to_owned(),
            vector: vec![passage, 0, 0xff],
        };
        let put = async |row: &DocumentRow, content: &str, passages: &[u8]| {
            let passages = passages.iter().map(|one| [*one; 32]).collect();
            store.put_document(row, content, &passages).await.unwrap();
        };
        assert_eq!(store.documents().await.unwrap(), []);
        put(&row("a.md", 1), "one", &[1, 2]).await;
        put(&row("b.md", 1), "two \0", &[1]).await;
        assert_eq!(store.documents().await.unwrap(), [row("a.md", 1), row("b.md", 1)]);
        assert_eq!(store.document_content("b.md").await.unwrap().as_deref(), Some("two \u{fffd}"));
        assert_eq!(store.document_content("c.md").await.unwrap(), None);

        // Those of a document that is gone are left out, and the others kept all the same; twice is once.
        for _ in 0..2 {
            let rows = [vector("a.md", 1, "e5"), vector("a.md", 2, "e5"), vector("c.md", 1, "e5")];
            store.put_embeddings(&rows).await.unwrap();
        }
        store.put_embeddings(&[vector("b.md", 1, "e5")]).await.unwrap();
        assert_eq!(
            store.embeddings("a.md").await.unwrap(),
            [vector("a.md", 1, "e5"), vector("a.md", 2, "e5")]
        );

        // The same content is the same version, whatever else has changed.
        put(&DocumentRow { problem: Some("page 3".into()), ..row("a.md", 1) }, "one", &[1, 2]).await;
        assert_eq!(store.documents().await.unwrap()[0].version, 1);
        assert_eq!(store.embeddings("a.md").await.unwrap().len(), 2);
        put(&row("a.md", 2), "three", &[2, 3]).await;
        assert_eq!(store.documents().await.unwrap()[0], DocumentRow { version: 2, ..row("a.md", 2) });
        assert_eq!(store.document_content("a.md").await.unwrap().as_deref(), Some("three"));
        assert_eq!(store.embeddings("a.md").await.unwrap(), [vector("a.md", 2, "e5")]);

        let (teams, roles) = (BTreeSet::new(), BTreeSet::from(["admin".to_owned()]));
        for name in ["a.md", "c.md"] {
            store.show_document_to(name, &teams, &roles).await.unwrap();
        }
        assert_eq!(store.documents().await.unwrap()[0], DocumentRow { version: 2, roles, ..row("a.md", 2) });
        assert_eq!(store.embeddings("a.md").await.unwrap().len(), 1);

        store.put_embeddings(&[vector("a.md", 3, "another"), vector("a.md", 2, "another")]).await.unwrap();
        assert_eq!(store.keep_embeddings_of("another").await.unwrap(), 1);
        assert_eq!(store.embeddings("b.md").await.unwrap(), []);
        assert_eq!(store.embeddings("a.md").await.unwrap().len(), 2);
        assert!(store.remove_document("a.md").await.unwrap());
        assert!(!store.remove_document("a.md").await.unwrap());
        assert_eq!(store.embeddings("a.md").await.unwrap(), []);
        assert_eq!(store.documents().await.unwrap(), [row("b.md", 1)]);
    }

    async fn hostile_names_are_kept_or_cleaned(store: Store) {
        let id = CallId::new();
        let mut started = started("nul\0'; DROP TABLE calls; --\u{202e}\u{fdd0}");
        started.participants[0].name = Some("\0\u{1}\u{7f}\"\\".to_owned());
        let row = CallRow { language: Some("e\0n".to_owned()), ..CallRow::live(id, &started, None) };
        store.create_call(&row).await.unwrap();
        let kept = store.call(id).await.unwrap().unwrap();
        assert_eq!(kept.external_id, started.external_id.replace('\0', "\u{fffd}"));
        assert_eq!(kept.participants, started.participants);
        let event = CallLog::default().append(Millis(0), EventBody::CallStarted(started));
        store.append(id, std::slice::from_ref(&event)).await.unwrap();
        assert_eq!(all(&store, id).await, [event]);
    }

    async fn the_writer_keeps_everything_in_order(store: Store) {
        let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
        let calls: Vec<_> = (0..5).map(|n| (CallId::new(), log_of(&["a", "b", "c"][..n % 4]))).collect();
        for (id, _) in &calls {
            writer.begin(row(*id)).unwrap();
        }
        for at in 0..4 {
            for (id, events) in &calls {
                if let Some(event) = events.get(at) {
                    writer.write(*id, Arc::new(event.clone()));
                }
            }
        }
        let last = writer.write(calls[1].0, Arc::new(log_of(&[])[0].clone()));
        writer.flush().await;
        assert!(writer.settled() >= last);
        for (id, events) in &calls {
            assert_eq!(&all(&store, *id).await, events);
        }
        let (id, events) = &calls[3];
        let (last, closing) = ended(events, EndReason::Hangup, 9000);
        writer.write(*id, Arc::new(last.clone()));
        writer.end(*id, closing).await.unwrap();
        assert_eq!(store.call(*id).await.unwrap().unwrap().ended, Some(EndReason::Hangup));
        assert_eq!(all(&store, *id).await.last(), Some(&last));
        let figures = writer.figures();
        assert_eq!((figures.queued, figures.queued_bytes, figures.lag_ms), (0, 0, 0));
        assert_eq!((figures.errors, figures.shed, figures.rejected), (0, 0, 0));
        writer.close().await;
    }

    async fn one_bad_call_does_not_hold_up_the_others(store: Store) {
        let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
        let (good, bad) = (CallId::new(), CallId::new());
        let events = log_of(&["hello"]);
        writer.begin(row(good)).unwrap();
        for event in &events {
            writer.write(bad, Arc::new(event.clone()));
            writer.write(good, Arc::new(event.clone()));
        }
        let (last, closing) = ended(&events, EndReason::Hangup, 9000);
        writer.write(good, Arc::new(last));
        let (bad_end, good_end) = tokio::join!(writer.end(bad, closing.clone()), writer.end(good, closing));
        assert!(bad_end.is_err() && good_end.is_ok());
        assert_eq!(all(&store, good).await.len(), 3);
        assert_eq!(writer.figures().rejected, 3);
    }

    async fn a_crash_loses_nothing_that_was_flushed_and_closes_what_was_open(store: Store) {
        let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
        let (open, silent, done) = (CallId::new(), CallId::new(), CallId::new());
        let events = log_of(&["one", "two"]);
        for id in [open, silent, done] {
            writer.begin(row(id)).unwrap();
        }
        for event in &events {
            writer.write(open, Arc::new(event.clone()));
            writer.write(done, Arc::new(event.clone()));
        }
        let (last, closing) = ended(&events, EndReason::Hangup, 9000);
        writer.write(done, Arc::new(last));
        writer.end(done, closing).await.unwrap();
        writer.flush().await;
        drop(writer);

        let recording = |row: &CallRow| (row.id == silent).then_some(Millis(7777));
        let closed = recover(&store, recording).await.unwrap();
        assert_eq!(closed.iter().map(|call| call.id).collect::<Vec<_>>(), [silent, open]);
        assert_eq!((closed[0].duration_ms, closed[0].last_seq), (Millis(7777), 2));
        assert_eq!((closed[1].duration_ms, closed[1].last_seq), (Millis(3500), 4));

        let kept = all(&store, open).await;
        assert_eq!(kept[..3], events);
        let end = CallEnded { reason: EndReason::Interrupted, duration_ms: Millis(3500) };
        assert_eq!(kept[3], CallEvent { seq: 4, at_ms: Millis(3500), body: EventBody::CallEnded(end) });
        let kept = store.call(open).await.unwrap().unwrap();
        assert_eq!((kept.ended, kept.utterances), (Some(EndReason::Interrupted), 2));
        // Killed before its first event was stored, the call's log still begins as logs do.
        let kept = all(&store, silent).await;
        assert!(matches!(&kept[0].body, EventBody::CallStarted(begun) if *begun == started("abc@pbx")));
        assert!(matches!(kept[1], CallEvent { seq: 2, at_ms: Millis(7777), body: EventBody::CallEnded(_) }));
        assert_eq!(recover(&store, |_| None).await.unwrap(), []);
        assert!(store.live_calls().await.unwrap().is_empty());
    }

    async fn a_call_that_failed_is_closed_by_what_is_stored_of_it_and_no_other_is(store: Store) {
        let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
        let (failed, open) = (CallId::new(), CallId::new());
        for id in [failed, open] {
            writer.begin(row(id)).unwrap();
            log_of(&["one", "two"]).into_iter().for_each(|event| _ = writer.write(id, Arc::new(event)));
        }
        writer.flush().await;
        let kept = store.call(failed).await.unwrap().unwrap();
        let (state, closed) = close_by_log(&store, &kept, EndReason::Fault, None).await.unwrap();
        assert_eq!((closed.id, closed.duration_ms, closed.last_seq, state.seq), (failed, Millis(3500), 4, 4));
        assert_eq!(state, store.state(failed).await.unwrap());
        let kept = store.call(failed).await.unwrap().unwrap();
        assert_eq!((kept.ended, kept.utterances), (Some(EndReason::Fault), 2));
        let live: Vec<CallId> = store.live_calls().await.unwrap().iter().map(|row| row.id).collect();
        assert_eq!(live, [open]);
    }

    async fn users_sessions_and_keys(store: Store) {
        let user = |name: &str, role| UserRow {
            id: Uuid::now_v7(),
            name: name.to_owned(),
            password_hash: "$argon2id$…".to_owned(),
            role,
            team: None,
            created_at_unix_ms: 1000,
            disabled: false,
        };
        let (ada, bob) = (user("ada", Role::Admin), user("bob", Role::Agent));
        store.add_user(&bob).await.unwrap();
        store.add_user(&ada).await.unwrap();
        let taken = store.add_user(&user("ada", Role::Agent)).await.unwrap_err();
        assert!(matches!(taken, StoreError::NameTaken(_)), "{taken}");
        assert_eq!(store.users().await.unwrap(), [ada.clone(), bob.clone()]);
        assert_eq!(store.user_by_name("ada").await.unwrap().as_ref(), Some(&ada));
        assert_eq!(store.user_by_name("a\0da").await.unwrap(), None);

        let session = |number: u8, user: &UserRow, expires| SessionRow {
            token_hash: [number; 32],
            user: user.id,
            created_at_unix_ms: 1000,
            seen_at_unix_ms: 1000,
            expires_at_unix_ms: expires,
        };
        store.add_session(&session(1, &bob, 1500)).await.unwrap();
        store.add_session(&session(2, &bob, 9000)).await.unwrap();
        store.add_session(&session(3, &ada, 9000)).await.unwrap();
        store.touch_session(&[2; 32], 1234).await.unwrap();
        let (seen, whose) = store.session(&[2; 32]).await.unwrap().unwrap();
        assert_eq!((seen.seen_at_unix_ms, &whose), (1234, &bob));
        store.add_session(&SessionRow { created_at_unix_ms: 2000, ..session(4, &ada, 9000) }).await.unwrap();
        assert!(store.session(&[1; 32]).await.unwrap().is_none(), "expired sessions go");
        store.remove_session(&[4; 32]).await.unwrap();
        assert!(store.session(&[4; 32]).await.unwrap().is_none());

        for role in Role::ALL.into_iter().rev() {
            let change = UserChange { role: Some(role), ..UserChange::default() };
            let changed = store.change_user(bob.id, &change).await.unwrap();
            assert_eq!(changed, Some(UserRow { role, ..bob.clone() }), "the last is the one they had");
        }
        let team = |name: Option<&str>| UserChange {
            team: Some(name.map(str::to_owned)),
            ..UserChange::default()
        };
        let moved = store.change_user(bob.id, &team(Some("cards"))).await.unwrap().unwrap();
        assert_eq!(moved, UserRow { team: Some("cards".to_owned()), ..bob.clone() });
        assert_eq!(store.session(&[2; 32]).await.unwrap().unwrap().1, moved);
        let kept = store.change_user(bob.id, &UserChange::default()).await.unwrap().unwrap();
        assert_eq!(kept, moved, "what is absent stays");
        let paper = DocumentRow {
            name: "fees.txt".to_owned(),
            uploaded: true,
            title: "Fees".to_owned(),
            changed_unix_ms: 7,
            bytes: 9,
            teams: BTreeSet::from(["cards".to_owned(), "loans".to_owned()]),
            roles: BTreeSet::new(),
            hash: [1; 32],
            version: 1,
            problem: None,
        };
        store.put_document(&paper, "one", &BTreeSet::new()).await.unwrap();
        let taken = store.rename_team("cards", "loans").await.unwrap_err();
        assert!(matches!(taken, StoreError::NameTaken(_)), "{taken}");
        assert!(!store.rename_team("sales", "money").await.unwrap());
        assert!(store.rename_team("cards", "کارت‌ها").await.unwrap());
        assert_eq!(store.user_by_name("bob").await.unwrap().unwrap().team.as_deref(), Some("کارت‌ها"));
        let teams = BTreeSet::from(["loans".to_owned(), "کارت‌ها".to_owned()]);
        assert_eq!(store.documents().await.unwrap(), [DocumentRow { teams, ..paper }]);
        assert_eq!(store.change_user(bob.id, &team(None)).await.unwrap().unwrap(), bob);

        let out = UserChange { disabled: Some(true), ..UserChange::default() };
        let changed = store.change_user(bob.id, &out).await.unwrap().unwrap();
        assert_eq!(changed, UserRow { disabled: true, ..bob });
        assert!(store.session(&[2; 32]).await.unwrap().is_none(), "kept out at once");
        assert!(store.session(&[3; 32]).await.unwrap().is_some());
        assert!(matches!(store.change_user(ada.id, &out).await, Err(StoreError::LastAdmin)));
        let demoted = UserChange { role: Some(Role::Agent), ..UserChange::default() };
        assert!(matches!(store.change_user(ada.id, &demoted).await, Err(StoreError::LastAdmin)));
        assert_eq!(store.user_by_name("ada").await.unwrap().unwrap(), ada);
        assert!(store.change_user(Uuid::now_v7(), &out).await.unwrap().is_none());

        let key = ApiKeyRow {
            id: Uuid::now_v7(),
            name: "wallboard".to_owned(),
            key_hash: [7; 32],
            scopes: vec!["calls:read".to_owned()],
            created_at_unix_ms: 1000,
            used_at_unix_ms: None,
            revoked_at_unix_ms: None,
        };
        store.add_key(&key).await.unwrap();
        assert_eq!(store.key(&[7; 32]).await.unwrap().as_ref(), Some(&key));
        assert_eq!(store.key(&[8; 32]).await.unwrap(), None);
        store.touch_key(key.id, 5000).await.unwrap();
        assert!(store.revoke_key(key.id, 6000).await.unwrap());
        assert!(store.revoke_key(key.id, 7000).await.unwrap());
        assert!(!store.revoke_key(Uuid::now_v7(), 7000).await.unwrap());
        let used = ApiKeyRow { used_at_unix_ms: Some(5000), revoked_at_unix_ms: Some(6000), ..key };
        assert_eq!(store.keys().await.unwrap(), [used]);
    }

    async fn one_server_at_a_time(store: Store) {
        let mut lock = store.lock_instance().await.unwrap();
        lock.keep(&store).await.unwrap();
        assert!(matches!(store.lock_instance().await, Err(StoreError::InUse)));
        drop(lock);
        store.ping().await.unwrap();
        let again = loop {
            // PostgreSQL notices a closed connection in its own time.
            match store.lock_instance().await {
                Ok(lock) => break lock,
                Err(StoreError::InUse) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        };
        drop(again);
    }

    async fn a_contact_is_changed_by_whoever_has_seen_what_is_kept(store: Store) {
        let sara = store.add_contact(&contact("سارا كريمي", &["+989121234567"]), 1_000).await.unwrap();
        assert_eq!(store.contact(sara.id).await.unwrap().unwrap(), sara);
        assert_eq!((sara.version, sara.created_at_unix_ms), (1, 1_000));
        let now = Contact { stage: Stage::Qualified, ..contact("Sara", &["+989121234567", "+442079460018"]) };
        let changed = store.change_contact(sara.id, 1, &now, 2_000).await.unwrap().unwrap();
        assert_eq!((&changed.contact, changed.version, changed.active_at_unix_ms), (&now, 2, 2_000));
        let stale = store.change_contact(sara.id, 1, &contact("Late", &[]), 3_000).await;
        assert!(matches!(stale, Err(StoreError::Stale)), "{stale:?}");
        assert_eq!(store.contact(sara.id).await.unwrap().unwrap(), changed);
        assert_eq!(store.change_contact(Uuid::now_v7(), 1, &now, 3_000).await.unwrap(), None);
        let stale = store.remove_contact(sara.id, Some(1), LATE).await;
        assert!(matches!(stale, Err(StoreError::Stale)), "{stale:?}");
        assert!(store.remove_contact(sara.id, Some(2), LATE).await.unwrap());
        assert!(!store.remove_contact(sara.id, Some(2), LATE).await.unwrap());
        assert_eq!(store.contact(sara.id).await.unwrap(), None);
    }

    async fn a_number_is_of_one_contact(store: Store) {
        let with = |number: &str| ContactFilter { number: Some(number_of(number)), limit: 9, ..Default::default() };
        let sara = store.add_contact(&contact("Sara", &["+989121234567"]), 1_000).await.unwrap();
        let omid = store.add_contact(&contact("Omid", &["+989351234567"]), 1_000).await.unwrap();
        let taken = store.add_contact(&contact("Other", &["+989121234567"]), 1_000).await;
        assert!(matches!(&taken, Err(StoreError::NumberTaken(number)) if number == "+989121234567"), "{taken:?}");
        let both = contact("Omid", &["+989351234567", "+989121234567"]);
        let taken = store.change_contact(omid.id, 1, &both, 2_000).await;
        assert!(matches!(taken, Err(StoreError::NumberTaken(_))), "{taken:?}");
        assert_eq!(store.contact(omid.id).await.unwrap().unwrap(), omid, "nothing of it is kept");
        store.change_contact(sara.id, 1, &contact("Sara", &[]), 2_000).await.unwrap();
        assert_eq!(store.contacts(&with("+989121234567")).await.unwrap(), []);
        let omid = store.change_contact(omid.id, 1, &both, 3_000).await.unwrap().unwrap();
        assert_eq!(store.contacts(&with("+989121234567")).await.unwrap(), [omid]);
    }

    async fn contacts_of_a_table_are_kept_all_or_none(store: Store) {
        let sara = store.add_contact(&contact("Sara", &["+989121234567"]), 1_000).await.unwrap();
        let numbers = ["+989351234567", "+989121234567"].map(number_of);
        let taken = store.numbers_taken(&numbers).await.unwrap();
        assert_eq!(taken, BTreeMap::from([("+989121234567".to_owned(), sara.id)]));
        assert_eq!(store.contacts_known(&[sara.id, Uuid::now_v7()]).await.unwrap(), BTreeSet::from([sara.id]));
        assert!(store.numbers_taken(&[]).await.unwrap().is_empty());
        let [omid, other] = [("Omid", "+989351234567"), ("Other", "+989121234567")].map(|(name, number)| contact(name, &[number]));
        let added = store.add_contacts(&[omid.clone(), other], 2_000).await;
        assert!(matches!(added, Err(StoreError::NumberTaken(_))), "{added:?}");
        assert_eq!(store.all_contacts(None, 9).await.unwrap().len(), 1);
        store.add_contacts(&[omid.clone(), contact("Reza", &[])], 2_000).await.unwrap();
        let all = store.all_contacts(None, 2).await.unwrap();
        let rest = store.all_contacts(all.last().map(|row| row.id), 2).await.unwrap();
        let names: Vec<&str> = all.iter().chain(&rest).map(|row| row.contact.name.as_str()).collect();
        assert_eq!(names, ["Sara", "Omid", "Reza"]);
        assert_eq!((&all[1].contact, all[1].created_at_unix_ms, all[1].version), (&omid, 2_000, 1));
    }

    async fn companies_have_contacts_which_stay_without_them(store: Store) {
        let company = |name: &str, numbers: &[&str]| Company {
            name: name.to_owned(),
            numbers: numbers.iter().map(|number| number_of(number)).collect(),
            notes: "two\nlines".to_owned(),
        };
        let noor = store.add_company(&company("نور", &["+982188776655"]), 1_000).await.unwrap();
        assert_eq!(store.company(noor.id).await.unwrap().unwrap(), noor);
        let taken = store.add_company(&company("Other", &["+982188776655"]), 2_000).await;
        assert!(matches!(taken, Err(StoreError::NumberTaken(_))), "{taken:?}");
        let hall = store.add_company(&company("Hall 100%", &[]), 2_000).await.unwrap();
        let found = async |filter: CompanyFilter| {
            let rows = store.companies(&CompanyFilter { limit: 9, ..filter }).await.unwrap();
            rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
        };
        assert_eq!(found(CompanyFilter::default()).await, [hall.id, noor.id]);
        let before = Some(Place { at_unix_ms: hall.changed_at_unix_ms, id: hall.id });
        assert_eq!(found(CompanyFilter { before, ..Default::default() }).await, [noor.id]);
        let terms = sotto_crm::terms("0%");
        assert_eq!(found(CompanyFilter { terms, ..Default::default() }).await, [hall.id]);
        let number = Some(number_of("+982188776655"));
        assert_eq!(found(CompanyFilter { number, ..Default::default() }).await, [noor.id]);
        let names = store.company_names(&[noor.id, hall.id, Uuid::now_v7()]).await.unwrap();
        assert_eq!(names, BTreeMap::from([(noor.id, "نور".to_owned()), (hall.id, "Hall 100%".to_owned())]));

        let of_noor = Contact { company: Some(noor.id), ..contact("Sara", &["+989121234567"]) };
        let sara = store.add_contact(&of_noor, 3_000).await.unwrap();
        assert_eq!(store.contact(sara.id).await.unwrap().unwrap().contact, of_noor);
        store.add_contact(&contact("Omid", &[]), 3_000).await.unwrap();
        let theirs = ContactFilter { company: Some(noor.id), limit: 9, ..Default::default() };
        assert_eq!(store.contacts(&theirs).await.unwrap(), std::slice::from_ref(&sara));
        let nowhere = Contact { company: Some(Uuid::now_v7()), ..of_noor.clone() };
        let refused = store.change_contact(sara.id, 1, &nowhere, 4_000).await;
        assert!(matches!(refused, Err(StoreError::NoCompany)), "{refused:?}");

        let renamed = store.change_company(noor.id, 1, &company("نور نو", &[]), 5_000).await.unwrap().unwrap();
        assert_eq!((renamed.company.name.as_str(), renamed.version), ("نور نو", 2));
        let stale = store.change_company(noor.id, 1, &company("x", &[]), 6_000).await;
        assert!(matches!(stale, Err(StoreError::Stale)), "{stale:?}");
        assert_eq!(store.change_company(Uuid::now_v7(), 1, &company("x", &[]), 6_000).await.unwrap(), None);
        assert!(matches!(store.remove_company(noor.id, Some(1)).await, Err(StoreError::Stale)));
        assert!(store.remove_company(noor.id, Some(2)).await.unwrap());
        assert!(!store.remove_company(noor.id, None).await.unwrap());
        assert_eq!(store.contact(sara.id).await.unwrap().unwrap().contact.company, None);
    }

    async fn two_contacts_become_one_with_all_that_is_known_of_both(store: Store) {
        let sara = store.add_contact(&contact("Sara", &["+989121234567"]), 1_000).await.unwrap();
        let other = store.add_contact(&contact("Sara K.", &["+442079460018"]), 2_000).await.unwrap();
        for (of, content) in [(&sara, "one"), (&other, "two")] {
            store.add_communication(of.id, &said(content), "mina", 3_000).await.unwrap().unwrap();
            store.add_task(of.id, TaskState::Open, &callback(), "mina", 3_000).await.unwrap().unwrap();
            store.add_ticket(of.id, &ticket(content), "mina", 3_000).await.unwrap().unwrap();
            store.add_payment(of.id, &owed(content, None), "mina", 3_000).await.unwrap().unwrap();
            store.keep_preparation(of.id, 0, content, "mina", 3_000).await.unwrap().unwrap();
        }
        let written = store.add_follow_up(other.id, &message(), "mina", 3_000).await.unwrap().unwrap();
        let (sms, email) = (MessageChannel::Sms, MessageChannel::Email);
        for (of, out) in [(&sara, &[sms][..]), (&other, &[sms, email])] {
            assert!(store.set_opt_outs(of.id, &opt_outs(1, out), "mina", 3_000).await.unwrap().is_some());
        }
        let both = sara.contact.merged(&other.contact).unwrap();
        let merge = async |versions: [u64; 2], ids: [Uuid; 2]| {
            let [one, two] = [0, 1].map(|n| (ids[n], versions[n]));
            store.merge_contacts(one, two, &both, 9_000).await
        };
        for versions in [[1, 2], [2, 1]] {
            let stale = merge(versions, [sara.id, other.id]).await;
            assert!(matches!(stale, Err(StoreError::Stale)), "{stale:?}");
        }
        let nobody = Uuid::now_v7();
        for ids in [[sara.id, nobody], [nobody, other.id]] {
            assert_eq!(merge([1, 1], ids).await.unwrap(), None);
        }
        let left = store.contact(other.id).await.unwrap().unwrap();
        assert_eq!((&left.contact, left.version), (&other.contact, 1));
        assert_eq!(store.communications(other.id, None, 9).await.unwrap().len(), 1);
        let merged = merge([1, 1], [sara.id, other.id]).await.unwrap().unwrap();
        assert_eq!((&merged.contact, merged.version), (&both, 2));
        assert_eq!(store.contact(other.id).await.unwrap(), None);
        assert_eq!(store.communications(sara.id, None, 9).await.unwrap().len(), 2);
        let tasks = store.tasks(&TaskFilter { contact: Some(sara.id), limit: 9, ..Default::default() }).await.unwrap();
        assert_eq!(tasks.len(), 2);
        let theirs = TicketFilter { contact: Some(sara.id), limit: 9, ..Default::default() };
        assert_eq!(store.tickets(&theirs).await.unwrap().len(), 2);
        let theirs = PaymentFilter { contact: Some(sara.id), limit: 9, ..Default::default() };
        assert_eq!(store.payments(&theirs).await.unwrap().len(), 2);
        assert_eq!(store.preparation(sara.id).await.unwrap().unwrap().text, "one\ntwo");
        assert_eq!(store.follow_up(written.id).await.unwrap().unwrap().contact, sara.id);
        assert_eq!(store.opt_outs(sara.id).await.unwrap(), Some(opt_outs(3, &[sms, email])), "nobody has seen both");
        for number in ["+989121234567", "+442079460018"] {
            let whose = ContactFilter { number: Some(number_of(number)), limit: 9, ..Default::default() };
            assert_eq!(store.contacts(&whose).await.unwrap(), std::slice::from_ref(&merged));
        }
    }

    async fn what_one_of_two_contacts_does_not_want_is_not_approved_any_more_when_they_become_one(store: Store) {
        let sara = store.add_contact(&contact("Sara", &[]), 1_000).await.unwrap();
        let other = store.add_contact(&contact("Sara K.", &[]), 1_000).await.unwrap();
        let rows = [approved(&store, sara.id).await, approved(&store, other.id).await];
        let hook = FollowUp { channel: MessageChannel::Webhook, to: None, ..message() };
        let wanted = store.add_follow_up(other.id, &hook, "mina", 1_000).await.unwrap().unwrap();
        store.decide_follow_up(wanted.id, 1, FollowUpState::Approved, "sara", 2_000).await.unwrap().unwrap();
        // Of the two only the other has said so, and of their message that is drafted already.
        let out = opt_outs(1, &[MessageChannel::Sms]);
        assert!(store.set_opt_outs(other.id, &out, "mina", 3_000).await.unwrap().is_some());
        store.merge_contacts((sara.id, 1), (other.id, 1), &sara.contact, 4_000).await.unwrap().unwrap();
        for row in rows {
            assert_eq!(store.follow_up(row.id).await.unwrap().unwrap().state, FollowUpState::Drafted);
        }
        assert_eq!(store.claim_follow_up(&claim(LATE)).await.unwrap().unwrap().id, wanted.id);
    }

    async fn contacts_are_found_by_words_and_listed_in_pages(store: Store) {
        let mut names = Vec::new();
        for n in 0..7_u64 {
            let name = if n == 3 { "سارا 100%".to_owned() } else { format!("Lead {n}") };
            let lead = contact(&name, &[&format!("+98912000000{n}")]);
            let stage = if n < 2 { Stage::Lost } else { Stage::New };
            // Two of the same moment, too.
            store.add_contact(&Contact { stage, ..lead }, 1_000 + n / 2).await.unwrap();
            names.push(name);
        }
        let found = async |query: &str| -> Vec<String> {
            let filter = ContactFilter { terms: sotto_crm::terms(query), limit: 99, ..Default::default() };
            store.contacts(&filter).await.unwrap().into_iter().map(|row| row.contact.name).collect()
        };
        assert_eq!(found("سارا").await, ["سارا 100%"]);
        assert_eq!(found("0%").await, ["سارا 100%"], "what a pattern is made of is looked for as it is");
        assert_eq!(found("lead 0912-0000005").await, ["Lead 5"]);
        assert_eq!(found("_").await, [""; 0]);
        assert_eq!(found("").await.len(), 7);
        let (mut paged, mut before) = (Vec::new(), None);
        loop {
            let page = store.contacts(&ContactFilter { before, limit: 2, ..Default::default() }).await.unwrap();
            let Some(last) = page.last() else { break };
            before = Some(Place { at_unix_ms: last.active_at_unix_ms, id: last.id });
            paged.extend(page.into_iter().map(|row| row.contact.name));
        }
        names.reverse();
        assert_eq!(paged, names);
        let lost = ContactFilter { stage: Some(Stage::Lost), limit: 9, ..Default::default() };
        assert_eq!(store.contacts(&lost).await.unwrap().len(), 2);
        let sells = ContactFilter { kind: Some(ContactKind::Representative), limit: 9, ..Default::default() };
        assert_eq!(store.contacts(&sells).await.unwrap(), []);
    }

    async fn a_timeline_runs_from_the_newest_in_pages(store: Store) {
        let sara = store.add_contact(&contact("Sara", &[]), 1_000).await.unwrap();
        let omid = store.add_contact(&contact("Omid", &[]), 1_500).await.unwrap();
        let mut all = Vec::new();
        for at in [5_000, 2_000, 5_000, 9_000] {
            let added = store.add_communication(sara.id, &said(&format!("at {at}")), "mina", at).await.unwrap();
            all.push(added.unwrap());
        }
        all.sort_by_key(|row| std::cmp::Reverse((row.at_unix_ms, row.id)));
        assert_eq!(store.communications(sara.id, None, 9).await.unwrap(), all);
        let after = Place { at_unix_ms: all[1].at_unix_ms, id: all[1].id };
        assert_eq!(store.communications(sara.id, Some(after), 1).await.unwrap(), all[2..3]);
        assert_eq!(store.communications(omid.id, None, 9).await.unwrap(), []);
        assert_eq!(store.add_communication(Uuid::now_v7(), &said("x"), "mina", 1).await.unwrap(), None);
        let more = store.add_communication(omid.id, &said("of Omid"), "mina", 3_000).await.unwrap().unwrap();
        let recent = store.recent_communications(&[sara.id, omid.id, Uuid::now_v7()], 3_000, 2).await.unwrap();
        let expected = BTreeMap::from([(sara.id, all[..2].to_vec()), (omid.id, vec![more])]);
        assert_eq!(recent, expected, "the newest of each");
        assert!(store.recent_communications(&[], 0, 2).await.unwrap().is_empty());
        let listed = store.contacts(&ContactFilter { limit: 1, ..Default::default() }).await.unwrap();
        assert_eq!((listed[0].id, listed[0].active_at_unix_ms), (sara.id, 9_000), "something happened with her");
        assert_eq!(listed[0].version, 1);
    }

    async fn a_ticket_is_changed_by_whoever_has_seen_it_and_goes_with_its_contact(store: Store) {
        store.tell_to(vec![listener("desk", &[EventKind::TicketChanged])]);
        let sara = store.add_contact(&contact("Sara", &[]), 1_000).await.unwrap();
        assert_eq!(store.add_ticket(Uuid::now_v7(), &ticket("x"), "mina", 2_000).await.unwrap(), None);
        let added = store.add_ticket(sara.id, &ticket("no\0 panel"), "mina", 2_000).await.unwrap().unwrap();
        assert_eq!((added.state, added.version, added.made_by.as_str()), (TicketState::Open, 1, "mina"));
        assert_eq!((added.contact, added.contact_name.as_str()), (sara.id, "Sara"));
        assert_eq!(added.ticket.title, "no\u{fffd} panel");
        let solved = Ticket { resolution: "renewed".to_owned(), assignee: Some("omid".to_owned()), ..ticket("panel") };
        let put = async |version| {
            store.change_ticket(added.id, version, TicketState::Resolved, &solved, 3_000).await
        };
        for version in [2, u64::MAX] {
            assert!(matches!(put(version).await, Err(StoreError::Stale)), "{version}");
        }
        let changed = put(1).await.unwrap().unwrap();
        assert_eq!((&changed.ticket, changed.state, changed.version), (&solved, TicketState::Resolved, 2));
        assert_eq!((changed.made_at_unix_ms, changed.changed_at_unix_ms), (2_000, 3_000));
        assert!(matches!(put(1).await, Err(StoreError::Stale)));
        let nobodys = store.change_ticket(Uuid::now_v7(), 1, TicketState::Open, &solved, 3_000).await.unwrap();
        assert_eq!(nobodys, None);
        assert_eq!(kinds(&told(&store, "desk").await), [EventKind::TicketChanged; 2]);
        assert!(store.remove_contact(sara.id, None, 4_000).await.unwrap());
        assert_eq!(store.ticket(added.id).await.unwrap(), None);
    }

    async fn a_payment_is_changed_by_whoever_has_seen_it_and_goes_with_its_contact(store: Store) {
        store.tell_to(vec![listener("till", &[EventKind::PaymentChanged])]);
        let sara = store.add_contact(&contact("Sara", &["+989121234567"]), 1_000).await.unwrap();
        assert_eq!(store.add_payment(Uuid::now_v7(), &owed("x", None), "mina", 2_000).await.unwrap(), None);
        let added = store.add_payment(sara.id, &owed("panel", Some("A-1")), "mina", 2_000).await.unwrap().unwrap();
        assert_eq!((&added.payment, added.version), (&owed("panel", Some("A-1")), 1));
        assert_eq!((added.contact_name.as_str(), added.contact_phone.clone()), ("Sara", Some(number_of("+989121234567"))));
        let paid = Payment { state: PaymentState::Paid, paid_at_unix_ms: Some(2_500), ..owed("panel", Some("A-1")) };
        let put = async |version| store.change_payment(added.id, version, &paid, 3_000).await;
        for version in [2, u64::MAX] {
            assert!(matches!(put(version).await, Err(StoreError::Stale)), "{version}");
        }
        let changed = put(1).await.unwrap().unwrap();
        assert_eq!((&changed.payment, changed.version, changed.changed_at_unix_ms), (&paid, 2, 3_000));
        assert_eq!(store.change_payment(Uuid::now_v7(), 1, &paid, 3_000).await.unwrap(), None);
        // No two are known by the same reference; by none, many are.
        let other = store.add_payment(sara.id, &owed("other", None), "mina", 2_000).await.unwrap().unwrap();
        let twice = store.add_payment(sara.id, &paid, "mina", 2_000).await;
        assert!(matches!(&twice, Err(StoreError::ReferenceTaken(reference)) if reference == "A-1"), "{twice:?}");
        let twice = store.change_payment(other.id, 1, &paid, 3_000).await;
        assert!(matches!(twice, Err(StoreError::ReferenceTaken(_))), "{twice:?}");
        assert_eq!(store.references_taken(&["A-1", "A-2"]).await.unwrap(), BTreeSet::from(["A-1".to_owned()]));
        assert!(store.references_taken(&[]).await.unwrap().is_empty());
        assert_eq!(kinds(&told(&store, "till").await), [EventKind::PaymentChanged; 3]);
        assert!(store.remove_contact(sara.id, None, 4_000).await.unwrap());
        assert_eq!(store.payment(added.id).await.unwrap(), None);
    }

    async fn payments_of_a_table_are_kept_all_or_none_and_listed_by_time(store: Store) {
        let sara = store.add_contact(&contact("Sara", &[]), 1_000).await.unwrap();
        let omid = store.add_contact(&contact("Omid", &[]), 1_000).await.unwrap();
        let paid = |about, at| Payment { state: PaymentState::Paid, paid_at_unix_ms: Some(at), ..owed(about, Some(about)) };
        let gone = store.add_payments(&[(sara.id, paid("a", 5)), (Uuid::now_v7(), paid("b", 6))], "mina", 9_000).await;
        assert!(matches!(gone, Err(StoreError::Stale)), "{gone:?}");
        let twice = store.add_payments(&[(sara.id, paid("a", 5)), (omid.id, paid("a", 6))], "mina", 9_000).await;
        assert!(matches!(twice, Err(StoreError::ReferenceTaken(_))), "{twice:?}");
        assert_eq!(store.payments(&PaymentFilter { limit: 9, ..Default::default() }).await.unwrap(), []);
        let due = Payment { due_at_unix_ms: Some(20_000), ..owed("پنل", None) };
        let all = [(sara.id, paid("first", 5_000)), (sara.id, owed("now", None)), (omid.id, due), (sara.id, paid("same", 5_000))];
        store.add_payments(&all, "mina", 9_000).await.unwrap();
        let listed = async |filter: PaymentFilter| -> Vec<String> {
            let rows = store.payments(&PaymentFilter { limit: 9, ..filter }).await.unwrap();
            rows.into_iter().map(|row| row.payment.about).collect()
        };
        let expected = ["پنل", "now", "same", "first"];
        assert_eq!(listed(PaymentFilter::default()).await, expected);
        let owing = PaymentFilter { state: Some(PaymentState::Due), ..Default::default() };
        assert_eq!(listed(owing).await, ["پنل", "now"]);
        let of = PaymentFilter { contact: Some(sara.id), terms: sotto_crm::terms("SAME"), ..Default::default() };
        assert_eq!(listed(of).await, ["same"]);
        let (mut paged, mut before) = (Vec::new(), None);
        loop {
            let page = store.payments(&PaymentFilter { before, limit: 3, ..Default::default() }).await.unwrap();
            let Some(last) = page.last() else { break };
            before = Some(last.place());
            paged.extend(page.into_iter().map(|row| row.payment.about));
        }
        assert_eq!(paged, expected);
    }

    async fn what_is_written_down_for_a_talk_is_changed_by_whoever_has_seen_it(store: Store) {
        let sara = store.add_contact(&contact("Sara", &[]), 1_000).await.unwrap();
        let keep = async |at, version, text: &str| store.keep_preparation(sara.id, version, text, "mina", at).await;
        assert_eq!(store.preparation(sara.id).await.unwrap(), None);
        assert_eq!(keep(2_000, 0, "").await.unwrap(), None, "nothing in the place of nothing");
        assert!(matches!(keep(2_000, 1, "ask").await, Err(StoreError::Stale)));
        let kept = keep(2_000, 0, "ask\0").await.unwrap().unwrap();
        assert_eq!((kept.text.as_str(), kept.kept_by.as_str(), kept.version), ("ask\u{fffd}", "mina", 2_000));
        for version in [0, 1_999, 2_001, u64::MAX] {
            assert!(matches!(keep(3_000, version, "other").await, Err(StoreError::Stale)), "{version}");
        }
        assert!(matches!(keep(3_000, 0, "").await, Err(StoreError::Stale)));
        assert_eq!(keep(3_000, kept.version, "again").await.unwrap().unwrap().version, 2_001);
        assert_eq!(keep(4_000, 2_001, "").await.unwrap(), None);
        assert_eq!(store.preparation(sara.id).await.unwrap(), None);
        let anew = keep(5_000, 0, "anew").await.unwrap().unwrap();
        for seen in [kept.version, 2_001] {
            let late = keep(6_000, seen, "late").await;
            assert!(matches!(late, Err(StoreError::Stale)), "what was taken away meanwhile: {late:?}");
        }
        assert_eq!(store.preparation(sara.id).await.unwrap(), Some(anew));
        let nobody = store.keep_preparation(Uuid::now_v7(), 0, "ask", "mina", 2_000).await;
        assert!(matches!(nobody, Err(StoreError::Stale)), "{nobody:?}");
        // Of two contacts that are one, what is written down for the one that had something stays.
        let omid = store.add_contact(&contact("Omid", &[]), 1_000).await.unwrap();
        store.merge_contacts((omid.id, 1), (sara.id, 1), &omid.contact, 3_000).await.unwrap().unwrap();
        assert_eq!(store.preparation(omid.id).await.unwrap().unwrap().text, "anew");
        assert!(store.remove_contact(omid.id, None, 4_000).await.unwrap());
        assert_eq!(store.preparation(omid.id).await.unwrap(), None);
    }

    async fn tickets_are_found_by_words_and_listed_in_pages(store: Store) {
        let sara = store.add_contact(&contact("Sara", &[]), 1_000).await.unwrap();
        let omid = store.add_contact(&contact("Omid", &[]), 1_000).await.unwrap();
        let mut ids = Vec::new();
        for (n, of, title) in [(0, &sara, "Panel"), (1, &omid, "پنل باز نمي‌شود"), (2, &sara, "Refund"), (3, &sara, "Speed")] {
            let assignee = (n == 2).then(|| "mina".to_owned());
            let priority = if n == 3 { Priority::High } else { Priority::Normal };
            let new = Ticket { assignee, priority, ..ticket(title) };
            // Two of the same moment, too.
            ids.push(store.add_ticket(of.id, &new, "mina", 2_000 + n / 2).await.unwrap().unwrap().id);
        }
        ids.reverse();
        let listed = async |filter: TicketFilter| -> Vec<Uuid> {
            let rows = store.tickets(&TicketFilter { limit: 9, ..filter }).await.unwrap();
            rows.into_iter().map(|row| row.id).collect()
        };
        assert_eq!(listed(TicketFilter::default()).await, ids);
        let terms = |query| TicketFilter { terms: sotto_crm::terms(query), ..Default::default() };
        assert_eq!(listed(terms("پنل friday")).await, [ids[2]]);
        assert!(listed(terms("%")).await.is_empty());
        let of = TicketFilter { contact: Some(sara.id), ..Default::default() };
        assert_eq!(listed(of).await, [ids[0], ids[1], ids[3]]);
        assert_eq!(listed(TicketFilter { priority: Some(Priority::High), ..Default::default() }).await, [ids[0]]);
        let minas = TicketFilter { assignee: Some("mina".to_owned()), ..Default::default() };
        assert_eq!(listed(minas).await, [ids[1]]);
        let closed = TicketFilter { state: Some(TicketState::Closed), ..Default::default() };
        assert!(listed(closed).await.is_empty());
        let (mut paged, mut before) = (Vec::new(), None);
        loop {
            let page = store.tickets(&TicketFilter { before, limit: 3, ..Default::default() }).await.unwrap();
            let Some(last) = page.last() else { break };
            before = Some(last.place());
            paged.extend(page.iter().map(|row| row.id));
        }
        assert_eq!(paged, ids);
    }

    async fn a_voice_note_is_an_entry_of_its_own_kind(store: Store) {
        let sara = store.add_contact(&contact("Sara", &[]), 1_000).await.unwrap();
        let note = Communication { kind: CommunicationKind::VoiceNote, ..said("سلام") };
        let added = store.add_communication(sara.id, &note, "mina", 2_000).await.unwrap().unwrap();
        assert_eq!(store.communications(sara.id, None, 9).await.unwrap(), [added]);
    }

    async fn tasks_are_listed_by_when_they_are_due(store: Store) {
        let sara = store.add_contact(&contact("Sara", &[]), 1_000).await.unwrap();
        let mut ids = Vec::new();
        for due in [Some(9_000), None, Some(5_000)] {
            let task = Task { due_at_unix_ms: due, ..callback() };
            let added = store.add_task(sara.id, TaskState::Open, &task, "mina", 1_000).await.unwrap().unwrap();
            assert_eq!((&added.task, added.contact_name.as_str(), added.version), (&task, "Sara", 1));
            ids.push(added.id);
        }
        let list = async |filter: TaskFilter| store.tasks(&TaskFilter { limit: 2, ..filter }).await.unwrap();
        let first = list(TaskFilter::default()).await;
        assert_eq!(first.iter().map(|row| row.id).collect::<Vec<_>>(), [ids[2], ids[0]]);
        let second = list(TaskFilter { after: first.last().map(TaskRow::place), ..Default::default() }).await;
        assert_eq!(second.iter().map(|row| row.id).collect::<Vec<_>>(), [ids[1]]);
        let after = second.last().map(TaskRow::place);
        assert_eq!(list(TaskFilter { after, ..Default::default() }).await, []);
        let mine = Task { assignee: Some("mina".to_owned()), ..callback() };
        let done = store.change_task(ids[0], 1, TaskState::Done, &mine, 2_000).await.unwrap().unwrap();
        assert_eq!((done.state, &done.task, done.version), (TaskState::Done, &mine, 2));
        let stale = store.change_task(ids[0], 1, TaskState::Open, &mine, 3_000).await;
        assert!(matches!(stale, Err(StoreError::Stale)), "{stale:?}");
        let of_mina = TaskFilter { assignee: Some("mina".to_owned()), ..Default::default() };
        assert_eq!(list(of_mina).await, std::slice::from_ref(&done));
        assert_eq!(list(TaskFilter { state: Some(TaskState::Done), ..Default::default() }).await, [done]);
        assert_eq!(store.add_task(Uuid::now_v7(), TaskState::Open, &callback(), "mina", 1).await.unwrap(), None);
        assert!(store.change_task(Uuid::now_v7(), 1, TaskState::Open, &callback(), 1).await.unwrap().is_none());
        store.remove_contact(sara.id, None, LATE).await.unwrap();
        assert_eq!(list(TaskFilter::default()).await, []);
    }

    async fn tasks_are_a_queue_by_how_much_they_matter(store: Store) {
        use Priority::{High, Low, Normal};
        let sara = store.add_contact(&contact("Sara", &[]), 1_000).await.unwrap();
        let tasks = [(Low, Some(1_000), None), (High, None, None), (Normal, Some(3_000), Some("mina")),
            (High, Some(9_000), Some("omid")), (Normal, Some(2_000), None), (High, Some(9_000), None)];
        let mut added = Vec::new();
        for (n, (priority, due_at_unix_ms, assignee)) in tasks.into_iter().enumerate() {
            let (title, assignee) = (Some(n.to_string()), assignee.map(str::to_owned));
            let kind = if n == 4 { TaskKind::Meeting } else { TaskKind::Callback };
            let task = Task { kind, title, priority, due_at_unix_ms, assignee, ..callback() };
            added.push(store.add_task(sara.id, TaskState::Open, &task, "mina", 1_000).await.unwrap().unwrap());
        }
        let titles = |rows: &[TaskRow]| -> Vec<String> { rows.iter().filter_map(|row| row.task.title.clone()).collect() };
        let queue = TaskFilter { order: TaskOrder::Priority, limit: 2, ..Default::default() };
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let page = store.tasks(&TaskFilter { after, ..queue.clone() }).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.place());
            listed.extend(page);
        }
        // Of those that are due at the same time, ids decide.
        assert_eq!(titles(&listed), ["3", "5", "1", "4", "2", "0"]);
        let all = TaskFilter { limit: 9, ..queue };
        let found = async |filter: TaskFilter| titles(&store.tasks(&filter).await.unwrap());
        assert_eq!(found(TaskFilter { doer: Some("mina".to_owned()), ..all.clone() }).await, ["5", "1", "4", "2", "0"]);
        assert_eq!(found(TaskFilter { due_by_unix_ms: Some(3_000), ..all.clone() }).await, ["4", "2", "0"]);
        let late = TaskFilter { due_by_unix_ms: Some(LATE), kind: Some(TaskKind::Callback), ..all };
        assert_eq!(found(late).await, ["3", "5", "2", "0"], "what is due at no time is not due");
    }

    async fn a_call_is_on_the_timeline_of_whoever_it_was_with_once(store: Store) {
        let sara = store.add_contact(&contact("Sara", &["+989121234567"]), 1_000).await.unwrap();
        let id = ended_call(&store, 1_000).await;
        let (entry, all) = (entry("+989121234567"), TaskFilter { limit: 9, ..Default::default() });
        let made = async || {
            let job = claimed(&store).await;
            assert!(store.finish_job(&job, &review_called("said"), &nothing(), Some(&entry), None).await.unwrap());
            job
        };
        let job = made().await;
        let timeline = store.communications(sara.id, None, 9).await.unwrap();
        let [noted] = timeline.as_slice() else { panic!("{timeline:?}") };
        assert_eq!((noted.call, noted.at_unix_ms, noted.by.as_deref()), (Some(id), 10_000, None));
        assert_eq!(noted.communication, entry.note.communication);
        let tasks = store.tasks(&all).await.unwrap();
        assert_eq!(tasks.len(), 2);
        assert!(tasks.iter().all(|row| row.state == TaskState::Proposed && row.call == Some(id)));
        assert_eq!(tasks[0].quote.as_deref(), Some("I will call you."));
        // What somebody has accepted or dismissed is neither proposed again nor taken back.
        store.change_task(tasks[0].id, 1, TaskState::Open, &tasks[0].task, 20_000).await.unwrap();
        store.run_job(job.id, LATE).await.unwrap();
        made().await;
        let again = store.tasks(&all).await.unwrap();
        let accepted = again.iter().find(|row| row.id == tasks[0].id).unwrap();
        assert_eq!((again.len(), accepted.state), (2, TaskState::Open));
        assert_eq!(accepted.quote.as_deref(), Some("I will call you."));
        assert_eq!(store.communications(sara.id, None, 9).await.unwrap().len(), 1);
        // Something is taken out of the log: of its words nothing is left.
        let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
        writer.redact(id, UtteranceId(1), u64::from(u32::MAX));
        writer.flush().await;
        assert_eq!(store.communications(sara.id, None, 9).await.unwrap(), []);
        let left = store.tasks(&all).await.unwrap();
        assert_eq!(left.iter().map(|row| (row.id, row.quote.as_deref())).collect::<Vec<_>>(), [(tasks[0].id, None)]);
        made().await;
        // The same where the call goes.
        store.delete_calls(&[id].into()).await.unwrap();
        assert_eq!(store.communications(sara.id, None, 9).await.unwrap(), []);
        let left = store.tasks(&all).await.unwrap();
        assert_eq!((left.len(), left[0].call, left[0].quote.as_deref()), (1, None, None));
    }

    async fn whoever_is_written_down_later_gets_their_calls(store: Store) {
        let id = ended_call(&store, 1_000).await;
        let job = claimed(&store).await;
        let entry = entry("+989121234567");
        assert!(store.finish_job(&job, &review_called("said"), &nothing(), Some(&entry), None).await.unwrap());
        assert_eq!(store.tasks(&TaskFilter { limit: 9, ..Default::default() }).await.unwrap(), [], "of nobody yet");
        store.add_contact(&contact("Omid", &["+989351234567"]), 20_000).await.unwrap();
        assert_eq!(store.unjoined_calls(9).await.unwrap(), []);
        let sara = store.add_contact(&contact("Sara", &["+989121234567"]), 20_000).await.unwrap();
        let unjoined = store.unjoined_calls(9).await.unwrap();
        let [call] = unjoined.as_slice() else { panic!("{unjoined:?}") };
        assert_eq!((call.id, call.insight.as_str(), call.ended_at_unix_ms), (id, "said", 10_000));
        assert_eq!(call.participants, started("abc@pbx").participants);
        assert!(store.join_call(call, Some(&entry), LATE).await.unwrap());
        assert!(!store.join_call(call, Some(&entry), LATE).await.unwrap(), "once");
        let timeline = store.communications(sara.id, None, 9).await.unwrap();
        assert_eq!(timeline.iter().map(|row| row.call).collect::<Vec<_>>(), [Some(id)]);
        assert_eq!(store.tasks(&TaskFilter { limit: 9, ..Default::default() }).await.unwrap().len(), 2);
        assert_eq!(states(&store).await, [(JobState::Done, 1)], "nothing is made again");
        store.change_contact(sara.id, 1, &contact("Sara", &["+989121234567"]), 30_000).await.unwrap();
        assert_eq!(store.unjoined_calls(9).await.unwrap(), [], "it is there already");
        // With her goes her timeline, and whoever has the number then gets the call.
        store.remove_contact(sara.id, None, LATE).await.unwrap();
        store.add_contact(&contact("Reza", &["+989121234567"]), 40_000).await.unwrap();
        assert_eq!(store.unjoined_calls(9).await.unwrap().len(), 1);
    }

    async fn calls_with_numbers_of_no_country_are_looked_at_again(store: Store) {
        let mut ids = Vec::new();
        for number in [Some("09121234567"), Some("+989351234567"), None] {
            ids.push(ended_call(&store, 1_000).await);
            let (job, entry) = (claimed(&store).await, number.map(entry));
            assert!(store.finish_job(&job, &review_called("said"), &nothing(), entry.as_ref(), None).await.unwrap());
        }
        store.look_again_at_local_calls().await.unwrap();
        let again: Vec<CallId> = store.unjoined_calls(9).await.unwrap().iter().map(|call| call.id).collect();
        assert_eq!(again, ids[..1]);
    }

    async fn what_is_made_anew_or_taken_out_meanwhile_is_not_joined_as_it_was(store: Store) {
        let sara = store.add_contact(&contact("Sara", &[]), 1_000).await.unwrap();
        let id = ended_call(&store, 1_000).await;
        let (job, entry) = (claimed(&store).await, entry("+989121234567"));
        assert!(store.finish_job(&job, &review_called("said"), &nothing(), Some(&entry), None).await.unwrap());
        store.change_contact(sara.id, 1, &contact("Sara", &["+989121234567"]), 20_000).await.unwrap();
        let before = store.unjoined_calls(9).await.unwrap().remove(0);
        store.run_job(job.id, LATE).await.unwrap();
        assert_eq!(store.unjoined_calls(9).await.unwrap(), [], "the job looks whose it is");
        assert!(!store.join_call(&before, Some(&entry), LATE).await.unwrap());
        let again = ReviewRow { made_at_unix_ms: 60_000, ..review_called("again") };
        assert!(store.finish_job(&claimed(&store).await, &again, &nothing(), Some(&entry), None).await.unwrap());
        assert!(!store.join_call(&before, Some(&entry), LATE).await.unwrap());
        assert_eq!(store.communications(sara.id, None, 9).await.unwrap().len(), 1);
        // What a model is still to write of it is joined by that.
        let omid = store.add_contact(&contact("Omid", &[]), 1_000).await.unwrap();
        let (other, number) = (ended_call(&store, 1_000).await, "+989351234567");
        let entry = CallEntry { number: number_of(number), ..entry };
        let (job, next) = (claimed(&store).await, Some(Step::Write));
        assert!(store.finish_job(&job, &review_called("said"), &nothing(), Some(&entry), next).await.unwrap());
        let write = store.claim_job(Step::Write, LATE).await.unwrap().unwrap();
        assert!(store.finish_writing(&write, "written", None, Some(&entry), LATE).await.unwrap());
        store.change_contact(omid.id, 1, &contact("Omid", &[number]), 20_000).await.unwrap();
        let unjoined = store.unjoined_calls(9).await.unwrap().remove(0);
        assert_eq!(unjoined.id, other);
        store.run_job(write.id, LATE).await.unwrap();
        assert!(!store.join_call(&unjoined, Some(&entry), LATE).await.unwrap());
        let write = store.claim_job(Step::Write, LATE).await.unwrap().unwrap();
        assert!(store.finish_writing(&write, "again", None, Some(&entry), LATE).await.unwrap());
        assert_eq!(store.communications(omid.id, None, 9).await.unwrap().len(), 1);
        let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
        writer.redact(id, UtteranceId(1), u64::from(u32::MAX));
        writer.flush().await;
        assert!(!store.join_call(&before, Some(&entry), LATE).await.unwrap());
        assert_eq!(store.communications(sara.id, None, 9).await.unwrap(), []);
    }

    async fn what_happens_is_queued_for_those_who_listen(store: Store) {
        use EventKind::{CallEnded, CallNoted, CallStarted, ContactChanged, InsightReady, QualityReady, StageChanged,
            StageSuggested, TaskAccepted, TaskProposed};
        let few = [CallEnded, TaskAccepted];
        store.tell_to(vec![listener("all", &EventKind::ALL), listener("few", &few), listener("none", &[])]);
        let sara = store.add_contact(&contact("Sara", &["+989121234567"]), 1_000).await.unwrap();
        let id = ended_call(&store, 1_000).await;
        let job = claimed(&store).await;
        let mut entry = entry("+989121234567");
        let stage = ("lead_stage_suggestion".to_owned(), "qualified".into());
        entry.note.communication.metadata = [stage].into_iter().collect();
        assert!(store.finish_job(&job, &review_called("said"), &nothing(), Some(&entry), None).await.unwrap());
        let all = told(&store, "all").await;
        let expected = [ContactChanged, CallStarted, CallEnded, InsightReady, QualityReady, CallNoted, StageSuggested,
            TaskProposed, TaskProposed];
        assert_eq!(kinds(&all), expected);
        assert!(all[1..].iter().all(|row| row.call == Some(id)));
        assert_eq!((all[0].subject, all[5].subject), (Some(sara.id), Some(sara.id)));
        assert_eq!((all[6].detail.as_deref(), all[2].at_unix_ms), (Some("qualified"), 10_000));
        assert_eq!(kinds(&told(&store, "few").await), [CallEnded]);
        assert_eq!(store.next_delivery("none").await.unwrap(), None);

        // Only what was proposed is accepted, and only a stage that is another is changed.
        let tasks = store.tasks(&TaskFilter { limit: 9, ..Default::default() }).await.unwrap();
        let change = async |row: &TaskRow, version, state| {
            store.change_task(row.id, version, state, &row.task, 20_000).await.unwrap();
        };
        change(&tasks[0], 1, TaskState::Open).await;
        change(&tasks[0], 2, TaskState::Done).await;
        change(&tasks[1], 1, TaskState::Dismissed).await;
        let accepted = told(&store, "few").await;
        assert_eq!(accepted.iter().map(|row| (row.kind, row.subject)).collect::<Vec<_>>(), [(TaskAccepted, Some(tasks[0].id))]);
        let now = Contact { stage: Stage::Qualified, ..contact("Sara", &[]) };
        for version in [1, 2] {
            store.change_contact(sara.id, version, &now, 20_000).await.unwrap();
        }
        store.change_contact(sara.id, 1, &now, 20_000).await.unwrap_err();
        store.remove_contact(sara.id, None, 30_000).await.unwrap();
        store.remove_contact(sara.id, None, 30_000).await.unwrap();
        let after = told(&store, "all").await;
        assert_eq!(kinds(&after), [TaskAccepted, ContactChanged, StageChanged, ContactChanged, ContactChanged]);
    }

    async fn a_suggestion_that_was_dismissed_and_is_opened_again_is_told_as_accepted_once(store: Store) {
        store.tell_to(vec![listener("few", &[EventKind::TaskAccepted])]);
        let sara = store.add_contact(&contact("Sara", &[]), 1_000).await.unwrap();
        let proposed = store.add_task(sara.id, TaskState::Proposed, &callback(), "key:ai", 1_000).await.unwrap().unwrap();
        let own = store.add_task(sara.id, TaskState::Open, &callback(), "mina", 1_000).await.unwrap().unwrap();
        for row in [&proposed, &own] {
            for (version, state) in (1..).zip([TaskState::Dismissed, TaskState::Open, TaskState::Dismissed, TaskState::Open]) {
                store.change_task(row.id, version, state, &row.task, 20_000).await.unwrap().unwrap();
            }
        }
        let accepted = told(&store, "few").await;
        assert_eq!(accepted.iter().map(|row| row.subject).collect::<Vec<_>>(), [Some(proposed.id)]);
    }

    async fn what_is_told_only_once_is_not_told_again_when_a_job_is_done_again(store: Store) {
        store.tell_to(vec![listener("all", &EventKind::ALL)]);
        store.add_contact(&contact("Sara", &["+989121234567"]), 1_000).await.unwrap();
        ended_call(&store, 1_000).await;
        let entry = entry("+989121234567");
        let made = async || {
            let job = claimed(&store).await;
            assert!(store.finish_job(&job, &review_called("said"), &nothing(), Some(&entry), None).await.unwrap());
            job.id
        };
        let job = made().await;
        store.run_job(job, LATE).await.unwrap();
        made().await;
        let waited = told(&store, "all").await;
        let proposed = waited.iter().filter(|row| row.kind == EventKind::TaskProposed);
        let proposed: BTreeSet<Uuid> = proposed.filter_map(|row| row.subject).collect();
        let tasks = store.tasks(&TaskFilter { limit: 9, ..Default::default() }).await.unwrap();
        let there: BTreeSet<Uuid> = tasks.iter().map(|row| row.id).collect();
        assert_eq!(proposed, there, "what waits is about what there is now");
        assert_eq!(waited.iter().filter(|row| row.kind == EventKind::CallNoted).count(), 1);
        store.run_job(job, LATE).await.unwrap();
        made().await;
        assert_eq!(kinds(&told(&store, "all").await), [EventKind::InsightReady, EventKind::QualityReady]);
    }

    async fn a_stage_that_is_suggested_and_waits_is_that_of_the_insight_there_is(store: Store) {
        store.tell_to(vec![listener("all", &[EventKind::StageSuggested])]);
        store.add_contact(&contact("Sara", &["+989121234567"]), 1_000).await.unwrap();
        ended_call(&store, 1_000).await;
        let made = async |stage: &str| {
            let mut entry = entry("+989121234567");
            let stage = ("lead_stage_suggestion".to_owned(), stage.into());
            entry.note.communication.metadata = [stage].into_iter().collect();
            let job = claimed(&store).await;
            assert!(store.finish_job(&job, &review_called("said"), &nothing(), Some(&entry), None).await.unwrap());
            job.id
        };
        let job = made("qualified").await;
        store.run_job(job, LATE).await.unwrap();
        made("lost").await;
        let waits = told(&store, "all").await;
        assert_eq!(waits.iter().map(|row| row.detail.as_deref()).collect::<Vec<_>>(), [Some("lost")]);
    }

    async fn what_is_taken_back_is_not_told(store: Store) {
        store.tell_to(vec![listener("all", &EventKind::ALL)]);
        let sara = contact("Sara", &["+989121234567"]);
        store.add_contact(&sara, 1_000).await.unwrap();
        store.add_contact(&contact("Other", &["+989121234567"]), 2_000).await.unwrap_err();
        let id = ended_call(&store, 1_000).await;
        store.delete_calls(&[id].into()).await.unwrap();
        assert_eq!(kinds(&told(&store, "all").await), [EventKind::ContactChanged]);
        assert!(store.tell_alert(CallId::new(), "{}", 1_000).await.is_err(), "of no call");
        assert_eq!(store.next_delivery("all").await.unwrap(), None);
    }

    async fn a_delivery_is_tried_until_it_is_taken_or_given_up_and_then_again_by_a_person(store: Store) {
        assert!(!store.tell_test("a", 1_000).await.unwrap(), "nobody is told");
        store.tell_to(vec![listener("a", &[]), listener("b", &[])]);
        for endpoint in ["a", "a", "b"] {
            assert!(store.tell_test(endpoint, 1_000).await.unwrap());
        }
        let first = store.next_delivery("a").await.unwrap().unwrap();
        assert_eq!((first.state, first.tries, first.due_at_unix_ms, first.code), (DeliveryState::Waiting, 0, 1_000, None));
        assert!(store.settle_delivery(first.id, &tried(DeliveryState::Waiting, 500, 9_000), 2_000).await.unwrap());
        let again = store.next_delivery("a").await.unwrap().unwrap();
        assert_eq!((again.id, again.tries, again.due_at_unix_ms), (first.id, 1, 9_000), "the other one waits");
        assert_eq!((again.code, again.took_ms), (Some(500), Some(7)));
        assert_eq!(again.error.as_deref(), Some("no\u{fffd} luck"));
        assert!(store.settle_delivery(first.id, &tried(DeliveryState::Dead, 410, 3_000), 3_000).await.unwrap());
        assert!(!store.settle_delivery(first.id, &tried(DeliveryState::Done, 200, 3_000), 3_000).await.unwrap());
        assert_eq!(told(&store, "a").await.len(), 1);
        let counts = store.delivery_counts().await.unwrap();
        let count = |endpoint: &str, state| counts.get(&(endpoint.to_owned(), state)).copied();
        assert_eq!([count("a", DeliveryState::Dead), count("a", DeliveryState::Done)], [Some(1), Some(1)]);
        assert_eq!([count("b", DeliveryState::Waiting), count("b", DeliveryState::Dead)], [Some(1), None]);
        assert_eq!(store.deliveries(Some("a"), Some(DeliveryState::Dead), 9).await.unwrap()[0].id, first.id);
        assert_eq!(store.deliveries(None, None, 2).await.unwrap().len(), 2);

        assert!(store.send_again(first.id, 4_000).await.unwrap());
        assert!(!store.send_again(Uuid::now_v7(), 4_000).await.unwrap());
        assert_eq!(store.next_delivery("a").await.unwrap().unwrap().tries, 0);
        store.drop_delivery(first.id).await.unwrap();
        assert_eq!(store.next_delivery("a").await.unwrap(), None);
        assert_eq!(store.forget_deliveries(LATE).await.unwrap(), 0);
        assert_eq!(store.forget_deliveries(LATE + 1).await.unwrap(), 1, "what waits stays");
    }

    async fn a_message_is_sent_once_it_is_approved_and_noted_on_the_timeline(store: Store) {
        let sara = store.add_contact(&contact("Sara", &[]), 1_000).await.unwrap();
        let later = FollowUp { not_before_unix_ms: Some(5_000), ..message() };
        let row = store.add_follow_up(sara.id, &message(), "mina", 1_000).await.unwrap().unwrap();
        assert_eq!((row.state, &row.message, row.version), (FollowUpState::Drafted, &message(), 1));
        assert_eq!((row.contact_name.as_str(), row.made_by.as_deref()), ("Sara", Some("mina")));
        assert_eq!(store.claim_follow_up(&claim(LATE)).await.unwrap(), None, "nobody has approved it");
        let row = store.change_follow_up(row.id, 1, &later, "omid", 2_000).await.unwrap().unwrap();
        let row = store.decide_follow_up(row.id, 2, FollowUpState::Approved, "sara", 3_000).await.unwrap().unwrap();
        assert_eq!((row.state, row.due_at_unix_ms, row.tries), (FollowUpState::Approved, 5_000, 0));
        assert_eq!(store.claim_follow_up(&claim(4_999)).await.unwrap(), None);
        let claimed = store.claim_follow_up(&claim(5_000)).await.unwrap().unwrap();
        assert_eq!((claimed.id, claimed.state, claimed.tries), (row.id, FollowUpState::Sending, 1));
        assert_eq!(store.claim_follow_up(&claim(LATE)).await.unwrap(), None, "it is taken");
        let sent = SendOutcome::Sent(Some("no\0 1".to_owned()));
        assert!(store.settle_follow_up(&claimed, &sent, 6_000).await.unwrap());
        assert!(!store.settle_follow_up(&claimed, &sent, 6_000).await.unwrap(), "once");
        let row = store.follow_up(row.id).await.unwrap().unwrap();
        assert_eq!((row.state, row.receipt.as_deref()), (FollowUpState::Sent, Some("no\u{fffd} 1")));
        let timeline = store.communications(sara.id, None, 9).await.unwrap();
        let [noted] = timeline.as_slice() else { panic!("{timeline:?}") };
        assert_eq!((noted.communication.kind, noted.by.as_deref()), (CommunicationKind::Sms, Some("sara")));
        assert_eq!(noted.communication.content, "two\nlines");
        // What is sent is nobody's to change.
        for next in [FollowUpState::Approved, FollowUpState::Drafted, FollowUpState::Dismissed] {
            let refused = store.decide_follow_up(row.id, row.version, next, "mina", LATE).await;
            assert!(matches!(refused, Err(StoreError::Stale)), "{refused:?}");
        }
        let refused = store.change_follow_up(row.id, row.version, &later, "mina", LATE).await;
        assert!(matches!(refused, Err(StoreError::Stale)), "{refused:?}");
        store.remove_contact(sara.id, None, LATE).await.unwrap();
        assert_eq!(store.follow_up(row.id).await.unwrap(), None);
        assert_eq!(store.add_follow_up(sara.id, &message(), "mina", 1).await.unwrap(), None);
    }

    async fn what_is_sent_while_two_contacts_become_one_is_on_the_timeline_of_both(store: Store) {
        let sara = store.add_contact(&contact("Sara", &[]), 1_000).await.unwrap();
        let other = store.add_contact(&contact("Sara K.", &[]), 1_000).await.unwrap();
        approved(&store, other.id).await;
        let claimed = store.claim_follow_up(&claim(2_000)).await.unwrap().unwrap();
        let merged = store.merge_contacts((sara.id, 1), (other.id, 1), &sara.contact, 3_000).await.unwrap();
        assert!(merged.is_some());
        assert!(store.settle_follow_up(&claimed, &SendOutcome::Sent(None), 4_000).await.unwrap());
        assert_eq!(store.communications(sara.id, None, 9).await.unwrap().len(), 1);
    }

    async fn only_what_was_surely_not_sent_is_tried_again(store: Store) {
        let sara = store.add_contact(&contact("Sara", &[]), 1_000).await.unwrap();
        let row = approved(&store, sara.id).await;
        let first = store.claim_follow_up(&claim(2_000)).await.unwrap().unwrap();
        let again = SendOutcome::Again("busy".to_owned(), 9_000);
        assert!(store.settle_follow_up(&first, &again, 3_000).await.unwrap());
        assert_eq!(store.claim_follow_up(&claim(8_999)).await.unwrap(), None);
        let second = store.claim_follow_up(&claim(9_000)).await.unwrap().unwrap();
        assert_eq!((second.key, second.tries, second.error.as_deref()), (row.key, 2, Some("busy")));
        assert!(!store.settle_follow_up(&first, &SendOutcome::Sent(None), LATE).await.unwrap(), "somebody else has it");
        assert!(store.settle_follow_up(&second, &SendOutcome::Dead("x".repeat(900)), LATE).await.unwrap());
        let dead = store.follow_up(row.id).await.unwrap().unwrap();
        assert_eq!((dead.state, dead.error.as_ref().unwrap().len()), (FollowUpState::Dead, 500));
        assert_eq!(store.claim_follow_up(&claim(LATE)).await.unwrap(), None);
        // Somebody has put right what was wrong.
        let next = FollowUpState::Approved;
        let row = store.decide_follow_up(row.id, dead.version, next, "sara", 9_000).await.unwrap().unwrap();
        assert_eq!((row.tries, row.error.as_deref()), (0, None));
        assert_ne!(row.key, dead.key, "it is another message from now on");
        let claimed = store.claim_follow_up(&claim(LATE)).await.unwrap().unwrap();
        let failed = SendOutcome::Failed("no such number".to_owned());
        assert!(store.settle_follow_up(&claimed, &failed, LATE).await.unwrap());
        let failed = FollowUpFilter { state: Some(FollowUpState::Failed), limit: 9, ..Default::default() };
        assert_eq!(store.follow_ups(&failed).await.unwrap().len(), 1);
        assert_eq!(store.communications(sara.id, None, 9).await.unwrap(), []);
    }

    async fn what_was_being_sent_when_somebody_died_is_for_a_person_to_find_out(store: Store) {
        let sara = store.add_contact(&contact("Sara", &[]), 1_000).await.unwrap();
        let text = approved(&store, sara.id).await;
        let hook = FollowUp { channel: MessageChannel::Webhook, to: None, ..message() };
        let hook = store.add_follow_up(sara.id, &hook, "mina", 1_000).await.unwrap().unwrap();
        store.decide_follow_up(hook.id, 1, FollowUpState::Approved, "sara", 2_000).await.unwrap().unwrap();
        for _ in 0..2 {
            store.claim_follow_up(&claim(LATE)).await.unwrap().unwrap();
        }
        let tells_twice = BTreeSet::from([MessageChannel::Webhook]);
        assert_eq!(store.take_up_follow_ups(&tells_twice, LATE).await.unwrap(), 1);
        assert_eq!(store.take_up_follow_ups(&tells_twice, LATE).await.unwrap(), 0);
        let again = store.claim_follow_up(&claim(LATE)).await.unwrap().unwrap();
        assert_eq!((again.id, again.tries), (hook.id, 2), "whoever takes it tells the same one");
        assert_eq!(store.claim_follow_up(&claim(LATE)).await.unwrap(), None, "the other is not sent again");
        let unknown = store.follow_up(text.id).await.unwrap().unwrap();
        assert_eq!(unknown.state, FollowUpState::Unknown);
        let approve = store.decide_follow_up(text.id, unknown.version, FollowUpState::Approved, "sara", LATE).await;
        assert!(matches!(approve, Err(StoreError::Stale)), "{approve:?}");
        // It had been sent, somebody has found out.
        let next = FollowUpState::Sent;
        let sent = store.decide_follow_up(text.id, unknown.version, next, "sara", LATE).await.unwrap().unwrap();
        assert_eq!((sent.state, sent.decided_by.as_deref()), (FollowUpState::Sent, Some("sara")));
        assert_eq!(store.communications(sara.id, None, 9).await.unwrap().len(), 1);
    }

    async fn nobody_gets_what_they_do_not_want_or_more_than_so_many_a_day(store: Store) {
        let sara = store.add_contact(&contact("Sara", &[]), 1_000).await.unwrap();
        let omid = store.add_contact(&contact("Omid", &[]), 1_000).await.unwrap();
        for _ in 0..4 {
            approved(&store, sara.id).await;
        }
        let other = approved(&store, omid.id).await;
        let mut to_omid = 0;
        while let Some(row) = store.claim_follow_up(&claim(10_000)).await.unwrap() {
            to_omid += u32::from(row.id == other.id);
            assert!(store.settle_follow_up(&row, &SendOutcome::Sent(None), 10_000).await.unwrap());
        }
        assert_eq!(to_omid, 1, "whoever waits keeps nobody else waiting");
        assert_eq!(store.communications(sara.id, None, 9).await.unwrap().len(), 2);
        // The next day, but by night.
        let tomorrow = Claim { day_begins_unix_ms: 20_000, ..claim(30_000) };
        let by_night = Claim { channels: BTreeSet::from([MessageChannel::Webhook]), ..tomorrow.clone() };
        assert_eq!(store.claim_follow_up(&by_night).await.unwrap(), None);
        let third = store.claim_follow_up(&tomorrow).await.unwrap().unwrap();
        assert!(store.settle_follow_up(&third, &SendOutcome::Sent(None), 30_000).await.unwrap());
        let out = opt_outs(1, &[MessageChannel::Sms]);
        let kept = Some(OptOuts { version: 2, ..out.clone() });
        assert_eq!(store.set_opt_outs(sara.id, &out, "mina", 31_000).await.unwrap(), kept);
        let stale = store.set_opt_outs(sara.id, &opt_outs(1, &[]), "omid", 31_000).await;
        assert!(matches!(stale, Err(StoreError::Stale)), "{stale:?}");
        assert_eq!(store.opt_outs(sara.id).await.unwrap(), kept);
        assert_eq!(store.claim_follow_up(&tomorrow).await.unwrap(), None);
        let drafted = FollowUpFilter { state: Some(FollowUpState::Drafted), limit: 9, ..Default::default() };
        let [fourth]: [FollowUpRow; 1] = store.follow_ups(&drafted).await.unwrap().try_into().unwrap();
        let approve = FollowUpState::Approved;
        let refused = store.decide_follow_up(fourth.id, fourth.version, approve, "sara", 32_000).await;
        assert!(matches!(refused, Err(StoreError::Stale)), "{refused:?}");
        assert!(store.set_opt_outs(sara.id, &opt_outs(2, &[]), "mina", 33_000).await.unwrap().is_some());
        assert!(store.decide_follow_up(fourth.id, fourth.version, approve, "sara", 34_000).await.unwrap().is_some());
        assert_eq!(store.set_opt_outs(Uuid::now_v7(), &out, "mina", 35_000).await.unwrap(), None);
        assert_eq!(store.opt_outs(Uuid::now_v7()).await.unwrap(), None);
    }

    async fn what_is_said_on_the_telephone_is_kept_claimed_and_not_wanted_as_what_is_written(store: Store) {
        let sara = store.add_contact(&contact("Sara", &[]), 1_000).await.unwrap();
        let spoken = FollowUp { channel: MessageChannel::CallMessage, ..message() };
        let row = store.add_follow_up(sara.id, &spoken, "mina", 1_000).await.unwrap().unwrap();
        store.decide_follow_up(row.id, 1, FollowUpState::Approved, "sara", 2_000).await.unwrap().unwrap();
        let written = Claim { channels: BTreeSet::from([MessageChannel::Sms]), ..claim(LATE) };
        assert_eq!(store.claim_follow_up(&written).await.unwrap(), None);
        let claimed = store.claim_follow_up(&claim(LATE)).await.unwrap().unwrap();
        assert_eq!(claimed.message, spoken);
        assert!(store.settle_follow_up(&claimed, &SendOutcome::Sent(None), LATE).await.unwrap());
        let noted = store.communications(sara.id, None, 9).await.unwrap().remove(0);
        assert_eq!(noted.communication.kind, CommunicationKind::Call);
        let out = opt_outs(1, &[MessageChannel::CallMessage]);
        let kept = store.set_opt_outs(sara.id, &out, "mina", 3_000).await.unwrap();
        assert_eq!(kept, Some(opt_outs(2, &[MessageChannel::CallMessage])));
    }

    async fn what_a_call_promised_is_drafted_once_and_goes_with_it_while_nobody_has_touched_it(store: Store) {
        let sara = store.add_contact(&contact("Sara", &["+989121234567"]), 1_000).await.unwrap();
        let id = ended_call(&store, 1_000).await;
        let draft = |contact: Uuid, origin: &str| Draft { contact, origin: origin.to_owned(), message: message() };
        store.tell_to(vec![listener("few", &[EventKind::TaskAccepted])]);
        // Who it was written to is somebody else by now.
        let drafts = vec![draft(sara.id, "1:0"), draft(sara.id, "2:0"), draft(Uuid::now_v7(), "3:0")];
        let mut entry = CallEntry { drafts, ..entry("+989121234567") };
        entry.note.proposals[1].task.kind = TaskKind::Message;
        let made = async || {
            let job = claimed(&store).await;
            assert!(store.finish_job(&job, &review_called("said"), &nothing(), Some(&entry), None).await.unwrap());
            job
        };
        let of_call = FollowUpFilter { call: Some(id), limit: 9, ..Default::default() };
        let list = async || store.follow_ups(&of_call).await.unwrap();
        let job = made().await;
        let rows = list().await;
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|row| row.state == FollowUpState::Drafted && row.made_by.is_none()));
        let second = rows.iter().max_by_key(|row| row.id).unwrap();
        let row = store.decide_follow_up(second.id, 1, FollowUpState::Approved, "mina", 20_000).await.unwrap().unwrap();
        store.run_job(job.id, LATE).await.unwrap();
        made().await;
        assert_eq!(list().await.len(), 2, "what is approved is not drafted again");
        let claimed = store.claim_follow_up(&claim(LATE)).await.unwrap().unwrap();
        assert_eq!(claimed.id, row.id);
        assert!(store.settle_follow_up(&claimed, &SendOutcome::Sent(None), LATE).await.unwrap());
        let tasks = store.tasks(&TaskFilter { limit: 9, ..Default::default() }).await.unwrap();
        let done: Vec<TaskKind> =
            tasks.iter().filter(|row| row.state == TaskState::Done).map(|row| row.task.kind).collect();
        assert_eq!(done, [TaskKind::Message], "they were written to, and have yet to be called");
        assert_eq!(kinds(&told(&store, "few").await), [EventKind::TaskAccepted]);
        let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
        writer.redact(id, UtteranceId(1), u64::from(u32::MAX));
        writer.flush().await;
        assert_eq!(list().await.into_iter().map(|row| row.id).collect::<Vec<_>>(), [row.id]);
        store.delete_calls(&[id].into()).await.unwrap();
        assert_eq!(store.follow_up(row.id).await.unwrap().unwrap().call, None, "what was sent was sent");
    }

    /// Whatever events a call has, and however they are cut into batches, they come back as they were.
    async fn calls_are_found_by_what_was_said_in_them(store: Store) {
        let said = ["I lost my card.", "كتاب‌هاي من كجاست؟ ۴۲", "Card, card: a new card's number!", "Cards", "card"];
        let first = searchable_call(&store, 1_000, &search("mina", Some(0.5), &said)).await;
        let second = searchable_call(&store, 2_000, &search("omid", None, &["The order's late", "a cart"])).await;
        assert_eq!(found_calls(&store, saying("CARD")).await, [(first, vec![1, 3, 4])], "three of each call");
        assert_eq!(found_calls(&store, saying("کتابهای ٤٢")).await, [(first, vec![2])], "in one spelling");
        assert_eq!(found_calls(&store, saying("car")).await, [(second, vec![2]), (first, vec![1, 3, 4])]);
        assert_eq!(found_calls(&store, saying("new lost")).await, [], "not in one utterance");
        assert_eq!(found_calls(&store, saying("a cart")).await, [(second, vec![2])]);
        assert_eq!(found_calls(&store, saying("o")).await, [], "a letter is a whole word");
        // Nothing of what is looked for is taken for more than words.
        for hostile in ["\" OR car", "car* NOT late", "'card' | 'x'", "words:late", "c%", "\\", "(", "car:*\0", "-", ""] {
            let calls = found_calls(&store, saying(hostile)).await;
            assert!(calls.is_empty() || ["c%", "car:*\0"].contains(&hostile), "{hostile}: {calls:?}");
        }
        let words: Vec<String> = store.said(second).await.unwrap().into_iter().map(|one| one.text).collect();
        assert_eq!(words, ["The order's late", "a cart"]);
        let one = &store.find_calls(&SearchFilter { limit: 1, ..saying("late") }).await.unwrap()[0];
        let at = (one.said[0].party, one.said[0].at);
        assert_eq!((at, one.agent.as_deref()), ((Party::Customer, Millis(1_000)), Some("omid")));
        assert_eq!((one.intent.as_deref(), one.intent_title["en"].as_str()), (Some("refund"), "Refund"));
        assert_eq!((one.sentiment, one.score, one.reviews), (Some(CallSentiment::Negative), None, 0));
    }

    /// Most words begin with some two letters, so they found most of what was ever said.
    async fn two_letters_are_looked_for_as_a_whole_word(store: Store) {
        let first = searchable_call(&store, 1_000, &search("mina", None, &["to be told", "کارت من"])).await;
        searchable_call(&store, 2_000, &search("omid", None, &["the token begins", "مناسب است"])).await;
        assert_eq!(found_calls(&store, saying("to")).await, [(first, vec![1])]);
        assert_eq!(found_calls(&store, saying("be tol")).await, [(first, vec![1])]);
        assert_eq!(found_calls(&store, saying("من")).await, [(first, vec![2])]);
    }

    /// What is said everywhere is looked for call by call: the same is found.
    async fn words_of_many_utterances_are_found_as_rare_ones_are(store: Store) {
        let often: Vec<String> = (0..2_100).map(|n| format!("a loan, {n}")).collect();
        let often: Vec<&str> = often.iter().map(String::as_str).collect();
        let old = searchable_call(&store, 1_000, &search("mina", Some(0.5), &often)).await;
        let new = searchable_call(&store, 2_000, &search("omid", None, &["loaned", "a loan", "o. K."])).await;
        searchable_call(&store, 3_000, &search("omid", None, &["alone"])).await;
        assert_eq!(found_calls(&store, saying("loan")).await, [(new, vec![1, 2]), (old, vec![1, 2, 3])]);
        assert_eq!(found_calls(&store, saying("LOAN a")).await, [(new, vec![2]), (old, vec![1, 2, 3])]);
        assert_eq!(found_calls(&store, saying("loan 2099")).await, [(old, vec![2_100])]);
        let of = |agent: &str| SearchFilter { agent: Some(agent.to_owned()), ..saying("loan") };
        assert_eq!(found_calls(&store, of("mina")).await, [(old, vec![1, 2, 3])]);
        let before = SearchFilter { before: Some(new), ..saying("loan") };
        assert_eq!(found_calls(&store, before).await, [(old, vec![1, 2, 3])]);
    }

    /// Whatever letters and signs a text has: it finds the call it was said in, and no text is taken for anything but words.
    async fn any_text_finds_where_it_was_said(store: Store) {
        let mut runner = TestRunner::deterministic();
        for _ in 0..40 {
            let text = proptest::string::string_regex("[\\PC\u{0}\"'()*:&|!<>\u{621}-\u{6ff}\u{200c} ]{0,40}").unwrap();
            let text = text.new_tree(&mut runner).unwrap().current();
            let id = searchable_call(&store, 1_000, &search("mina", None, &[text.as_str()])).await;
            let has_words = !sotto_text::words(&text).is_empty();
            let calls = found_calls(&store, saying(&text)).await;
            assert_eq!(calls.contains(&(id, vec![1])), has_words, "{text:?}: {calls:?}");
            assert_eq!(store.delete_calls(&[id].into()).await.unwrap(), 1);
        }
    }

    async fn calls_of_a_team_are_those_of_whoever_is_in_it_and_are_over(store: Store) {
        for (name, team) in [("mina", Some("cards")), ("omid", Some("loans")), ("sara", None)] {
            let user = UserRow {
                id: Uuid::now_v7(),
                name: name.to_owned(),
                password_hash: "$argon2id$…".to_owned(),
                role: Role::Agent,
                team: team.map(str::to_owned),
                created_at_unix_ms: 1_000,
                disabled: false,
            };
            store.add_user(&user).await.unwrap();
        }
        let mut calls = Vec::new();
        for agent in ["mina", "omid", "sara", "1002"] {
            calls.push(searchable_call(&store, 1_000, &search(agent, Some(0.5), &["so"])).await);
        }
        let [mina, omid, sara, nobody] = calls[..] else { panic!("four calls") };
        store.add_quality_review(&judged(mina, "nima", 1, Some(0.0))).await.unwrap();
        store.add_quality_review(&judged(omid, "nima", 1, Some(0.0))).await.unwrap();
        // One that goes on, and one of which nobody knows yet whose it was.
        let live = CallId::new();
        store.create_call(&row(live)).await.unwrap();
        let fresh = ended_call(&store, 3_000).await;
        let of = |team: Option<&str>| Reach::Team(team.map(str::to_owned));
        for (reach, expected) in [
            (of(Some("cards")), vec![mina]),
            (of(Some("loans")), vec![omid]),
            (of(Some("' OR 1 = 1")), vec![]),
            (of(None), vec![nobody, sara]),
            (Reach::Everybody, vec![fresh, nobody, sara, omid, mina]),
        ] {
            let filter = SearchFilter { reach: reach.clone(), ..SearchFilter::default() };
            let found: Vec<CallId> = found_calls(&store, filter).await.into_iter().map(|(id, _)| id).collect();
            assert_eq!(found, expected, "{reach:?}");
            // Of the one that nobody knows of yet, nor is it known what was said.
            let saying = SearchFilter { reach: reach.clone(), ..saying("so") };
            let said: Vec<CallId> = found_calls(&store, saying).await.into_iter().map(|(id, _)| id).collect();
            assert_eq!(said, expected.iter().copied().filter(|id| *id != fresh).collect::<Vec<_>>(), "{reach:?}");
            for id in [mina, omid, sara, nobody, live, fresh, CallId::new()] {
                let is_within = expected.contains(&id) || reach == Reach::Everybody;
                assert_eq!(store.reaches(&reach, id).await.unwrap(), is_within, "{reach:?}");
            }
            let reviewed: Vec<CallId> = expected.iter().copied().filter(|id| [mina, omid].contains(id)).collect();
            let first = store.first_quality_reviews(&reach, 0, 9_000, 9).await.unwrap();
            assert_eq!(first.iter().map(|one| one.call).collect::<Vec<_>>(), reviewed, "{reach:?}");
            let judged = store.judged(&reach, Some("nima"), None, 9).await.unwrap();
            assert_eq!(judged.iter().rev().map(|one| one.0.call).collect::<Vec<_>>(), reviewed, "{reach:?}");
        }
    }

    async fn calls_are_found_by_what_they_came_to_in_pages(store: Store) {
        let mina = searchable_call(&store, 1_000, &search("mina", Some(0.25), &["so"])).await;
        let omid = searchable_call(&store, 2_000, &search("omid", Some(0.75), &["so"])).await;
        // What is still to be done, and what goes on.
        let fresh = ended_call(&store, 3_000).await;
        store.create_call(&row(CallId::new())).await.unwrap();
        let outcome = |outcome: &str| Outcome { outcome: outcome.to_owned(), by: "mina".to_owned(), at_unix_ms: 1 };
        store.set_outcome(mina, &outcome("So\"ld")).await.unwrap();
        store.set_outcome(omid, &outcome("So\"ld, not")).await.unwrap();
        assert!(store.flag_call(omid, Some("sara"), 5).await.unwrap());
        store.add_quality_review(&judged(mina, "sara", 1, Some(0.0))).await.unwrap();
        let any = SearchFilter::default;
        let calls = async |filter: SearchFilter| -> Vec<CallId> {
            found_calls(&store, filter).await.into_iter().map(|(id, said)| { assert!(said.is_empty()); id }).collect()
        };
        assert_eq!(calls(any()).await, [fresh, omid, mina]);
        assert_eq!(calls(SearchFilter { limit: 2, ..any() }).await, [fresh, omid]);
        assert_eq!(calls(SearchFilter { before: Some(omid), ..any() }).await, [mina]);
        for (filter, expected) in [
            (SearchFilter { agent: Some("mina".to_owned()), ..any() }, vec![mina]),
            (SearchFilter { since_unix_ms: Some(2_000), ..any() }, vec![fresh, omid]),
            (SearchFilter { until_unix_ms: Some(2_000), ..any() }, vec![mina]),
            (SearchFilter { intent: Some("refund".to_owned()), ..any() }, vec![omid, mina]),
            (SearchFilter { intent: Some("re".to_owned()), ..any() }, vec![]),
            (SearchFilter { sentiment: Some(CallSentiment::Negative), ..any() }, vec![omid, mina]),
            (SearchFilter { sentiment: Some(CallSentiment::Positive), ..any() }, vec![]),
            (SearchFilter { outcome: Some("So\"ld".to_owned()), ..any() }, vec![mina]),
            (SearchFilter { outcome: Some("%".to_owned()), ..any() }, vec![]),
            (SearchFilter { score_from: Some(0.5), ..any() }, vec![omid]),
            (SearchFilter { score_below: Some(0.75), ..any() }, vec![mina]),
            (SearchFilter { flagged: Some(true), ..any() }, vec![omid]),
            (SearchFilter { flagged: Some(false), ..any() }, vec![fresh, mina]),
            (SearchFilter { reviewed: Some(true), ..any() }, vec![mina]),
            (SearchFilter { reviewed: Some(false), ..any() }, vec![fresh, omid]),
            (SearchFilter { among: vec![mina, fresh], ..any() }, vec![fresh, mina]),
            (SearchFilter { among: vec![mina, fresh], score_below: Some(1.0), ..any() }, vec![mina]),
        ] {
            assert_eq!(calls(filter.clone()).await, expected, "{filter:?}");
        }
        let all = store.find_calls(&SearchFilter { limit: 9, ..any() }).await.unwrap();
        let marks: Vec<_> = all.iter().map(|one| (one.reviews, one.flagged_by.as_deref(), one.score)).collect();
        assert_eq!(marks, [(0, None, None), (0, Some("sara"), Some(0.75)), (1, None, Some(0.25))]);
    }

    async fn passages_are_kept_with_what_has_read_them_until_something_is_taken_out(store: Store) {
        assert!(!store.has_said().await.unwrap());
        let one = searchable_call(&store, 1_000, &search("mina", Some(0.5), &["my walrus", "is ill", "so"])).await;
        let two = searchable_call(&store, 2_000, &search("omid", None, &["hello"])).await;
        assert!(store.has_said().await.unwrap());
        let passage = |call, from, until| {
            PassageRow { call, from: Millis(from), until: Millis(until), vector: vec![0, 0, 128, 63] }
        };
        let lacking = async |model: &str| -> Vec<CallId> {
            store.unembedded_calls(model, 9).await.unwrap().into_iter().map(|call| call.id).collect()
        };
        assert_eq!(lacking("e5").await, [two, one]);
        let mut kept = BTreeMap::from([
            (one, vec![passage(one, 1_000, 2_000), passage(one, 3_000, 3_000)]),
            (two, vec![passage(two, 1_000, 1_000)]),
        ]);
        for call in store.unembedded_calls("e5", 9).await.unwrap() {
            assert!(store.embed_call(&call, "e5", &kept[&call.id]).await.unwrap());
        }
        assert_eq!((lacking("e5").await, lacking("other").await), (vec![], vec![two, one]));
        let all = SearchFilter { limit: 9, ..SearchFilter::default() };
        let of_mina = SearchFilter { agent: Some("mina".to_owned()), ..all.clone() };
        assert_eq!(store.embedded_calls(&all, "e5").await.unwrap(), [two, one]);
        assert_eq!(store.embedded_calls(&of_mina, "e5").await.unwrap(), [one]);
        assert_eq!(store.embedded_calls(&all, "other").await.unwrap(), []);
        for (team, expected) in [(Some("cards"), vec![]), (None, vec![two, one])] {
            let of_team = SearchFilter { reach: Reach::Team(team.map(str::to_owned)), ..all.clone() };
            assert_eq!(store.embedded_calls(&of_team, "e5").await.unwrap(), expected, "{team:?}");
        }
        assert!(store.flag_call(one, Some("sara"), 5).await.unwrap());
        let flagged = |since| {
            SearchFilter { flagged: Some(true), since_unix_ms: Some(since), reviewed: Some(false), ..all.clone() }
        };
        assert_eq!(store.embedded_calls(&flagged(1_000), "e5").await.unwrap(), [one]);
        assert_eq!(store.embedded_calls(&flagged(2_000), "e5").await.unwrap(), []);
        let found = store.passages(&[one, two], "e5").await.unwrap();
        assert_eq!(found, [kept[&two].as_slice(), kept[&one].as_slice()].concat());
        assert_eq!(store.passages(&[one, two], "other").await.unwrap(), []);
        assert_eq!(store.passages(&[], "e5").await.unwrap(), []);
        let said = store.said_in(&kept[&one][0], 9).await.unwrap();
        assert_eq!(said.iter().map(|one| one.text.as_str()).collect::<Vec<_>>(), ["my walrus", "is ill"]);
        assert_eq!(store.said_in(&kept[&one][0], 1).await.unwrap().len(), 1);
        // Another embedding takes the place of the first.
        let stale = store.unembedded_calls("new", 9).await.unwrap();
        kept.get_mut(&two).unwrap().clear();
        assert!(store.embed_call(&stale[0], "new", &kept[&two]).await.unwrap(), "nothing may have been said");
        assert_eq!(store.passages(&[one, two], "e5").await.unwrap(), kept[&one]);

        // Who had read the words before something was taken out keeps nothing of them.
        let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
        writer.redact(one, UtteranceId(1), u64::from(u32::MAX));
        writer.flush().await;
        assert_eq!(store.passages(&[one], "e5").await.unwrap(), []);
        assert!(!store.embed_call(&stale[1], "new", &kept[&one]).await.unwrap(), "it is made anew");
        let job = claimed(&store).await;
        let without = search("mina", Some(0.5), &["is ill"]);
        assert!(store.finish_job(&job, &review_called("without"), &without, None, None).await.unwrap());
        assert!(!store.embed_call(&stale[1], "new", &kept[&one]).await.unwrap(), "it was made anew");
        assert_eq!(lacking("new").await, [one]);
        let again = store.unembedded_calls("new", 9).await.unwrap();
        assert!(store.embed_call(&again[0], "new", &kept[&one]).await.unwrap());
        store.delete_calls(&[one].into()).await.unwrap();
        assert_eq!(store.passages(&[one], "new").await.unwrap(), []);
    }

    async fn what_is_taken_out_of_a_call_does_not_find_it(store: Store) {
        let found_by = search("mina", Some(0.5), &["my walrus is ill"]);
        let (kept, redacted, gone) = (
            searchable_call(&store, 9_000, &found_by).await,
            searchable_call(&store, 9_000, &found_by).await,
            searchable_call(&store, 9_000, &found_by).await,
        );
        let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
        writer.redact(redacted, UtteranceId(1), u64::from(u32::MAX));
        writer.flush().await;
        assert_eq!(store.delete_calls(&[gone].into()).await.unwrap(), 1);
        assert_eq!(found_calls(&store, saying("walrus")).await, [(kept, vec![1])]);
        assert_eq!(store.said(redacted).await.unwrap(), []);
        // Made again, it is there once, however often.
        for _ in 0..2 {
            let job = claimed(&store).await;
            let again = search("mina", None, &["my ⟨…⟩ is ill"]);
            assert!(store.finish_job(&job, &review_called("said"), &again, None, None).await.unwrap());
            store.run_job(job.id, LATE).await.unwrap();
        }
        assert_eq!(found_calls(&store, saying("walrus")).await, [(kept, vec![1])]);
        assert_eq!(found_calls(&store, saying("ill")).await, [(redacted, vec![1]), (kept, vec![1])]);
        // How somebody felt is kept for a time of its own.
        assert_eq!(store.forget_moods(10_000).await.unwrap(), 2);
        let unhappy = SearchFilter { sentiment: Some(CallSentiment::Negative), ..SearchFilter::default() };
        assert_eq!(found_calls(&store, unhappy).await, []);
    }

    async fn what_is_said_of_a_quality_is_said_anew_and_never_changed(store: Store) {
        let id = searchable_call(&store, 1_000, &search("mina", Some(1.0), &["so"])).await;
        let (first, second) = (judged(id, "sara", 1, Some(0.0)), judged(id, "sara", 2, None));
        store.add_quality_review(&first).await.unwrap();
        // Somebody else's page has seen nothing yet, or something that is not there.
        for stale in [judged(id, "sara", 1, Some(1.0)), judged(id, "sara", 3, None), judged(CallId::new(), "sara", 1, None)] {
            assert!(matches!(store.add_quality_review(&stale).await, Err(StoreError::Stale)), "{stale:?}");
        }
        store.add_quality_review(&second).await.unwrap();
        let other = judged(id, "nima\0", 1, Some(1.0));
        store.add_quality_review(&other).await.unwrap();
        let other = QualityReviewRow { reviewer: "nima\u{fffd}".to_owned(), ..other };
        assert_eq!(store.quality_reviews(id, false).await.unwrap(), [other.clone(), second.clone()]);
        assert_eq!(store.quality_reviews(id, true).await.unwrap(), [other.clone(), second.clone(), first.clone()]);
        assert_eq!(store.first_quality_reviews(&Reach::Everybody, 1_000, 1_001, 9).await.unwrap(), [other.clone(), first]);
        assert_eq!(store.first_quality_reviews(&Reach::Everybody, 0, 1_000, 9).await.unwrap(), []);
        let good = || Some("good".to_owned());
        assert_eq!(store.judged(&Reach::Everybody, None, None, 1).await.unwrap(), [(other.clone(), good())]);
        assert!(store.judged(&Reach::Everybody, Some("mina"), None, 9).await.unwrap().is_empty(), "she has said nothing of it");
        let after = (id, other.reviewer);
        assert_eq!(store.judged(&Reach::Everybody, Some("sara"), Some(&after), 9).await.unwrap(), [(second, good())]);
        assert_eq!(store.delete_calls(&[id].into()).await.unwrap(), 1);
        assert_eq!(store.quality_reviews(id, true).await.unwrap(), []);
    }

    async fn agents_answer_and_calls_are_flagged_once(store: Store) {
        let id = ended_call(&store, 1_000).await;
        let reply = |n: u64| ReplyRow { id: Uuid::now_v7(), at_unix_ms: n, by: "mina".to_owned(), text: format!("no {n}") };
        let (one, two) = (reply(1), reply(2));
        assert!(store.add_quality_reply(id, &one, 2).await.unwrap());
        assert!(store.add_quality_reply(id, &two, 2).await.unwrap());
        assert!(!store.add_quality_reply(id, &reply(3), 2).await.unwrap(), "there are enough");
        assert!(!store.add_quality_reply(CallId::new(), &reply(3), 2).await.unwrap());
        assert_eq!(store.quality_replies(id).await.unwrap(), [one, two]);
        assert_eq!(store.call_flag(id).await.unwrap(), None);
        for by in ["sara", "nima"] {
            assert!(store.flag_call(id, Some(by), 1).await.unwrap());
            assert_eq!(store.call_flag(id).await.unwrap().as_deref(), Some("sara"), "who was first");
        }
        assert!(store.flag_call(id, None, 2).await.unwrap());
        assert_eq!(store.call_flag(id).await.unwrap(), None);
        assert!(!store.flag_call(CallId::new(), Some("sara"), 1).await.unwrap());
    }

    async fn the_dashboard_sums_up_the_days_of_a_time(store: Store) {
        const DAY: u64 = 86_400_000;
        const AHEAD: i64 = 12_600_000;
        let found_by = search("mina", Some(0.5), &["so"]);
        // Half an hour before midnight where the clock is three and a half hours ahead, and after it.
        let first = searchable_call(&store, 3 * DAY - 14_400_000, &found_by).await;
        for _ in 0..2 {
            let unjudged = search("mina", None, &["so"]);
            searchable_call(&store, 3 * DAY - 10_800_000, &unjudged).await;
        }
        searchable_call(&store, 9 * DAY, &found_by).await;
        store.add_quality_review(&judged(first, "sara", 1, None)).await.unwrap();
        let days = store.dashboard(0, 9 * DAY, AHEAD).await.unwrap();
        let one = DayRow {
            begins_unix_ms: 2 * DAY - 12_600_000,
            calls: 1,
            duration_ms: 9_000,
            judged: 1,
            score: 0.5,
            reviewed: 1,
            negative: 1,
            agent_ms: 3_000,
            customer_ms: 1_000,
            silence_ms: 500,
            finals: 2,
            latency_ms: 700,
            words: 4,
            probability: 3.5,
            lost_ms: 20,
            ..DayRow::default()
        };
        assert_eq!(days.days[0], one);
        let two = &days.days[1];
        assert_eq!((two.begins_unix_ms, two.calls, two.judged, two.score), (3 * DAY - 12_600_000, 2, 0, 0.0));
        assert_eq!((two.negative, two.duration_ms, two.probability), (2, 18_000, 7.0));
        assert_eq!(days.days.len(), 2);
        let title = BTreeMap::from([("en".to_owned(), "Refund".to_owned())]);
        assert_eq!(days.intents, [IntentCount { intent: "refund".to_owned(), title, calls: 3 }]);
        assert_eq!(days.tasks, BTreeMap::new());
        let kept = store.add_contact(&contact("Sara", &[]), 1).await.unwrap();
        store.add_task(kept.id, TaskState::Open, &callback(), "mina", DAY).await.unwrap();
        let days = store.dashboard(DAY, 2 * DAY, 0).await.unwrap();
        assert_eq!((days.tasks, days.days), ([(TaskState::Open, 1)].into(), Vec::new()));
    }

    async fn random_logs_come_back_as_they_were(store: Store) {
        let handle = tokio::runtime::Handle::current();
        let run = move || {
            let mut runner = TestRunner::new(Config { cases: 40, ..Config::default() });
            runner
                .run(&(prop::collection::vec(any_event(), 1..60), prop::collection::vec(1_usize..9, 1..9)), |(log, cuts)| {
                    handle.block_on(async {
                        let id = CallId::new();
                        store.create_call(&row(id)).await.unwrap();
                        let mut numbers = CallLog::default();
                        let events: Vec<CallEvent> =
                            log.into_iter().map(|(at, body)| numbers.append(Millis(at), body)).collect();
                        let mut rest = &events[..];
                        for cut in cuts.iter().cycle() {
                            let (batch, after) = rest.split_at((*cut).min(rest.len()));
                            store.append(id, batch).await.unwrap();
                            // A write whose answer was lost is made again.
                            if cut % 3 == 0 {
                                store.append(id, batch).await.unwrap();
                            }
                            rest = after;
                            if rest.is_empty() { break }
                        }
                        let mut read = Vec::new();
                        loop {
                            let from = read.last().map_or(0, |event: &CallEvent| event.seq);
                            let page = store.events(id, from, 7).await.unwrap();
                            if page.is_empty() { break }
                            read.extend(page);
                        }
                        prop_assert_eq!(&read, &events);
                        prop_assert_eq!(store.state(id).await.unwrap(), CallState::of(&events));
                        prop_assert_eq!(store.call(id).await.unwrap().unwrap().last_seq, events.len() as u64);
                        Ok(())
                    })
                })
                .unwrap();
        };
        tokio::task::spawn_blocking(run).await.unwrap();
    }
}

fn any_party() -> impl Strategy<Value = Party> {
    prop_oneof![Just(Party::Agent), Just(Party::Customer), Just(Party::Other)]
}

fn any_event() -> impl Strategy<Value = (u64, EventBody)> {
    let millis = || (0_u64..1 << 40).prop_map(Millis);
    let text = || prop::collection::vec(any::<char>(), 0..20).prop_map(String::from_iter);
    let word = (text(), millis(), millis(), 0.0_f32..=1.0).prop_map(|(w, start_ms, end_ms, p)| Word {
        w,
        start_ms,
        end_ms,
        p,
    });
    let utterance =
        (0..9_u32, any_party(), any::<bool>(), 0..4_u32, text(), millis(), prop::collection::vec(word, 0..5))
            .prop_map(|(id, party, r#final, revision, text, at, words)| {
                EventBody::Utterance(Utterance {
                    utterance_id: UtteranceId(id),
                    party,
                    r#final,
                    revision,
                    stable_chars: 3,
                    text,
                    start_ms: at,
                    end_ms: at,
                    words,
                    language: "fa".to_owned(),
                    latency_ms: at,
                })
            });
    let body = prop_oneof![
        4 => utterance,
        1 => (any_party(), any::<char>(), millis())
            .prop_map(|(party, digit, duration_ms)| EventBody::Dtmf(Dtmf { party, digit, duration_ms })),
        1 => (any_party(), text()).prop_map(|(party, codec)| EventBody::LegStarted(LegStarted { party, codec })),
        1 => millis().prop_map(|behind_ms| EventBody::Load(Load { shedding: Shedding::NoPartials, behind_ms })),
    ];
    (0_u64..1 << 40, body)
}

#[tokio::test]
async fn an_sqlite_file_survives_the_process_that_wrote_it() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("new/folder/sotto.db").display());
    let id = CallId::new();
    let events = log_of(&["one", "two"]);
    // A runtime that is torn down without a word takes the writer's task and all connections with it.
    let (url_there, events_there) = (url.clone(), events.clone());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let store = runtime.block_on(async {
            let store = Store::open(&url_there).await.unwrap();
            let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
            writer.begin(row(id)).unwrap();
            for event in &events_there {
                writer.write(id, Arc::new(event.clone()));
            }
            writer.flush().await;
            store
        });
        std::mem::forget(store);
        runtime.shutdown_background();
    })
    .join()
    .unwrap();
    let store = Store::open(&url).await.unwrap();
    assert_eq!(all(&store, id).await, events);
    assert_eq!(recover(&store, |_| None).await.unwrap().len(), 1);
}

/// Waits until a text is in none of the files of a folder.
async fn gone_from_files(folder: &Path, text: &str) {
    let is_gone = async {
        while is_in_files(folder, text) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), is_gone).await.unwrap();
}

/// The write-ahead log is read before the database: it is taken over into the database at any moment, and what is read the
/// other way round may be seen in neither.
fn is_in_files(folder: &Path, text: &str) -> bool {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort_by_key(|path| !path.to_string_lossy().ends_with("-wal"));
    files.iter().any(|path| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

/// SQLite changes no constraint of a table that is there: the table is made anew, and has what it had.
#[tokio::test]
async fn timelines_outlive_that_their_table_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}?mode=rwc", folder.path().join("sotto.db").display());
    let mut file = SqliteConnection::connect(&url).await.unwrap();
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/sqlite");
    let mut migrations: Vec<_> =
        std::fs::read_dir(migrations).unwrap().map(|one| one.unwrap().path()).collect();
    migrations.sort();
    let before = "INSERT INTO contacts (id, kind, stage, name, numbers, notes, fields, words, created_at, active_at, version) \
         VALUES (x'01', 'lead', 'new', 'Sara', '[]', '', '{}', 'sara', 1, 1, 1); \
         INSERT INTO communications (id, contact_id, kind, source, at, made_by, content, tags, metadata) \
         VALUES (x'02', x'01', 'note', 'person', 1, 'mina', 'Called.', '[]', '{}')";
    for path in migrations {
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("0017")) {
            sqlx::raw_sql(before).execute(&mut file).await.unwrap();
        }
        let statements = sqlx::AssertSqlSafe(std::fs::read_to_string(&path).unwrap());
        let mut transaction = file.begin().await.unwrap();
        sqlx::raw_sql(statements).execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
    }
    let kept = "SELECT content, made_by FROM communications WHERE contact_id = x'01'";
    let rows: Vec<(String, String)> = sqlx::query_as(kept).fetch_all(&mut file).await.unwrap();
    assert_eq!(rows, [("Called.".to_owned(), "mina".to_owned())]);
    // They still go with their contact.
    sqlx::raw_sql("DELETE FROM contacts").execute(&mut file).await.unwrap();
    let rows: Vec<(String, String)> = sqlx::query_as(kept).fetch_all(&mut file).await.unwrap();
    assert!(rows.is_empty(), "{rows:?}");
}

#[tokio::test]
async fn a_call_that_cannot_be_read_keeps_no_other_from_being_closed() {
    let (store, folder) = testing::sqlite().await;
    let [unreadable, other] = [(); 2].map(|()| CallId::new());
    for id in [unreadable, other] {
        store.create_call(&row(id)).await.unwrap();
        store.append(id, &log_of(&["one"])).await.unwrap();
    }
    let url = format!("sqlite:{}", folder.path().join("sotto.db").display());
    let mut later = SqliteConnection::connect(&url).await.unwrap();
    let update = sqlx::query("UPDATE events SET event = $2 WHERE call_id = $1 AND seq = 2");
    let event = r#"{"seq":2,"at_ms":1,"kind":"mood"}"#;
    update.bind(unreadable.0).bind(event).execute(&mut later).await.unwrap();
    let closed = recover(&store, |_| None).await.unwrap();
    let closed: Vec<_> = closed.iter().map(|call| (call.id, call.last_seq)).collect();
    assert_eq!(closed, [(other, 3), (unreadable, 3)]);
    for (id, utterances) in [(unreadable, 0), (other, 1)] {
        let kept = store.call(id).await.unwrap().unwrap();
        assert_eq!((kept.ended, kept.utterances), (Some(EndReason::Interrupted), utterances));
        assert_eq!(kept.participants, row(id).participants);
    }
    assert_eq!(recover(&store, |_| None).await.unwrap(), []);
}

#[tokio::test]
async fn what_is_taken_out_is_in_no_file_of_sqlite() {
    let (store, folder) = testing::sqlite().await;
    let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
    let (id, mut log) = (CallId::new(), CallLog::default());
    writer.begin(row(id)).unwrap();
    writer.write(id, Arc::new(log.append(Millis(0), EventBody::CallStarted(started("abc@pbx")))));
    // Long enough for pages of its own.
    let secret = "4242 4242 ".repeat(2_000);
    writer.write(id, Arc::new(log.append(Millis(1), utterance(1, &secret, true))));
    writer.flush().await;
    assert!(is_in_files(folder.path(), "4242 4242"));

    // Whoever reads the secret for longer keeps it for as long, but nobody from writing.
    let url = format!("sqlite:{}", folder.path().join("sotto.db").display());
    let mut reader = SqliteConnection::connect(&url).await.unwrap();
    let mut reading = reader.begin().await.unwrap();
    sqlx::query("SELECT event FROM events").fetch_all(&mut *reading).await.unwrap();
    let writing = async {
        writer.redact(id, UtteranceId(1), 3);
        writer.flush().await;
        writer.write(id, Arc::new(log.append(Millis(2), utterance(2, "so", true))));
        writer.flush().await;
    };
    tokio::time::timeout(Duration::from_secs(2), writing).await.unwrap();
    assert!(is_in_files(folder.path(), "4242 4242"));
    reading.rollback().await.unwrap();
    gone_from_files(folder.path(), "4242 4242").await;
    assert!(matches!(&all(&store, id).await[1].body, EventBody::Utterance(said) if said.text == MASK));
}

#[tokio::test]
async fn what_was_said_in_a_call_that_is_removed_is_in_no_file_of_sqlite() {
    let (store, folder) = testing::sqlite().await;
    let (id, events) = (CallId::new(), log_of(&["the walrus was angry"]));
    store.create_call(&row(id)).await.unwrap();
    let (last, closing) = ended(&events, EndReason::Hangup, 9_000);
    store.end_call(id, &[events, vec![last]].concat(), &closing).await.unwrap();
    assert!(is_in_files(folder.path(), "walrus"));
    assert_eq!(store.delete_calls(&[id].into()).await.unwrap(), 1);
    gone_from_files(folder.path(), "walrus").await;
}

/// What calls came to before there were contacts has no number beside it.
#[tokio::test]
async fn a_call_that_is_older_than_contacts_is_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("sotto.db").display());
    let store = Store::open(&url).await.unwrap();
    let sara = store.add_contact(&contact("Sara", &["+989121234567"]), 1_000).await.unwrap();
    let id = ended_call(&store, 1_000).await;
    let job = claimed(&store).await;
    assert!(store.finish_job(&job, &review_called("said"), &nothing(), None, None).await.unwrap());
    assert_eq!(store.unjoined_calls(9).await.unwrap(), [], "nobody's, and that is known");
    let mut file = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("UPDATE ai_call_insights SET customer_number = NULL").execute(&mut file).await.unwrap();
    file.close().await.unwrap();
    let call = store.unjoined_calls(9).await.unwrap().remove(0);
    assert!(store.join_call(&call, Some(&entry("+989121234567")), LATE).await.unwrap());
    assert_eq!(store.communications(sara.id, None, 9).await.unwrap()[0].call, Some(id));
    store.close().await;
}

#[tokio::test]
async fn words_that_a_call_was_found_by_are_in_no_file_of_sqlite_when_they_are_taken_out() {
    let (store, folder) = testing::sqlite().await;
    let id = searchable_call(&store, 1_000, &search("mina", None, &["the walrus was angry"])).await;
    // Others that have the same words before and after it in the index.
    for said in ["the walnut fell", "the walrush"] {
        searchable_call(&store, 1_000, &search("mina", None, &[said])).await;
    }
    assert!(is_in_files(folder.path(), "walrus was"));
    let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
    writer.redact(id, UtteranceId(1), u64::from(u32::MAX));
    writer.flush().await;
    gone_from_files(folder.path(), "walrus was").await;
    let word = searchable_call(&store, 1_000, &search("mina", None, &["zeppelin"])).await;
    assert!(is_in_files(folder.path(), "zeppelin"));
    assert_eq!(store.delete_calls(&[word].into()).await.unwrap(), 1);
    gone_from_files(folder.path(), "zeppelin").await;
}

#[tokio::test]
async fn a_recording_and_a_company_that_are_removed_are_in_no_file_of_sqlite() {
    let (store, folder) = testing::sqlite().await;
    let request = r#"{"url":"https://pbx.example/a.wav?token=walrus"}"#.to_owned();
    let waits = NewImport { request, ..import("a") };
    store.add_import(&waits, 1_000).await.unwrap();
    let zoo = Company { name: "Zebra".to_owned(), numbers: Vec::new(), notes: String::new() };
    let zoo = store.add_company(&zoo, 1_000).await.unwrap();
    assert!(is_in_files(folder.path(), "walrus") && is_in_files(folder.path(), "Zebra"));
    assert!(store.delete_import(waits.id).await.unwrap());
    gone_from_files(folder.path(), "walrus").await;
    assert!(store.remove_company(zoo.id, None).await.unwrap());
    gone_from_files(folder.path(), "Zebra").await;
}

#[tokio::test]
async fn a_sentence_that_is_an_example_no_more_is_in_no_file_of_sqlite() {
    let (store, folder) = testing::sqlite().await;
    for (text, intent) in [("My walrus is ill.", None), ("My zebra is ill.", Some("vet"))] {
        let (intent, changed_by) = (intent.map(str::to_owned), "sara".to_owned());
        let text = text.to_owned();
        let row = ExampleRow { text, intent, removed: false, changed_at_unix_ms: 1, changed_by };
        store.put_example(&row).await.unwrap();
    }
    assert!(is_in_files(folder.path(), "walrus") && is_in_files(folder.path(), "zebra"));
    store.forget_example("My walrus is ill.").await.unwrap();
    gone_from_files(folder.path(), "walrus").await;
    let vet = IntentRow {
        name: "vet".to_owned(),
        title: BTreeMap::new(),
        alert: false,
        removed: true,
        changed_at_unix_ms: 2,
        changed_by: "sara".to_owned(),
    };
    store.put_intent(&vet).await.unwrap();
    gone_from_files(folder.path(), "zebra").await;
}

#[tokio::test]
async fn the_lock_is_taken_again_after_the_database_has_let_it_go() {
    let Some(url) = testing::postgres_url().await else { return };
    let store = Store::open(&url).await.unwrap();
    let mut lock = store.lock_instance().await.unwrap();
    // Waits until it has ended.
    let end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory' \
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let mut admin = PgConnection::connect(&url).await.unwrap();
    let ended: Vec<bool> = sqlx::query_scalar(end).fetch_all(&mut admin).await.unwrap();
    assert_eq!(ended, [true]);
    lock.keep(&store).await.unwrap();
    assert!(matches!(store.lock_instance().await, Err(StoreError::InUse)));

    // Another one comes before it is looked at.
    sqlx::query(end).execute(&mut admin).await.unwrap();
    let _other = store.lock_instance().await.unwrap();
    assert!(matches!(lock.keep(&store).await, Err(StoreError::InUse)));
}

/// Whether somebody waits for what another has locked, in the same database.
async fn somebody_waits(watcher: &mut PgConnection) -> bool {
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
        AND wait_event_type = 'Lock'";
    let waiting: i64 = sqlx::query_scalar(waits).fetch_one(watcher).await.unwrap();
    waiting > 0
}

#[tokio::test]
async fn admins_who_keep_each_other_out_at_once_do_not_both() {
    let Some(url) = testing::postgres_url().await else { return };
    let store = Store::open(&url).await.unwrap();
    let [ada, bob] = ["ada", "bob"].map(|name| UserRow {
        id: Uuid::now_v7(),
        name: name.to_owned(),
        password_hash: "$argon2id$…".to_owned(),
        role: Role::Admin,
        team: None,
        created_at_unix_ms: 1000,
        disabled: false,
    });
    for admin in [&ada, &bob] {
        store.add_user(admin).await.unwrap();
    }
    let [mut other, mut watcher] =
        [PgConnection::connect(&url).await.unwrap(), PgConnection::connect(&url).await.unwrap()];
    let mut keeps_out = other.begin().await.unwrap();
    let ada_goes = sqlx::query("UPDATE users SET disabled = true WHERE id = $1").bind(ada.id);
    ada_goes.execute(&mut *keeps_out).await.unwrap();
    let changing = store.clone();
    let bob_goes = tokio::spawn(async move {
        let out = UserChange { disabled: Some(true), ..UserChange::default() };
        changing.change_user(bob.id, &out).await
    });
    while !bob_goes.is_finished() && !somebody_waits(&mut watcher).await {}
    keeps_out.commit().await.unwrap();
    assert!(matches!(bob_goes.await.unwrap(), Err(StoreError::LastAdmin)));
}

/// What is taken out of a call while what it came to is being kept: in neither order of the two is it kept.
#[tokio::test]
async fn what_is_taken_out_while_somebody_keeps_what_a_call_came_to_is_not_kept() {
    let Some(url) = testing::postgres_url().await else { return };
    let store = Store::open(&url).await.unwrap();
    let mut watcher = PgConnection::connect(&url).await.unwrap();
    for of_moods in [false, true] {
        let id = ended_call(&store, 1_000).await;
        let job = claimed(&store).await;
        assert_eq!(job.call, id);
        // Somebody keeps what it came to, statement by statement, as `finish_job` does.
        let mut keeper = PgConnection::connect(&url).await.unwrap();
        let mut keeps = keeper.begin().await.unwrap();
        let done = sqlx::query("UPDATE jobs SET state = 'done' WHERE id = $1 AND state = 'running'");
        done.bind(job.id).execute(&mut *keeps).await.unwrap();
        let taking = store.clone();
        let taken = tokio::spawn(async move {
            if of_moods {
                taking.forget_moods(5_000).await.unwrap();
            } else {
                let writer = EventWriter::spawn(taking, WriterLimits::default());
                writer.redact(id, UtteranceId(1), u64::from(u32::MAX));
                writer.flush().await;
            }
        });
        while !somebody_waits(&mut watcher).await {}
        let kept = sqlx::query(
            "INSERT INTO ai_call_insights (call_id, version, made_at, insight, with_moods, quality) \
             VALUES ($1, 1, 1, 'said', 'unhappy', 'good')",
        );
        kept.bind(id.0).execute(&mut *keeps).await.unwrap();
        keeps.commit().await.unwrap();
        taken.await.unwrap();
        let kept = store.review(id).await.unwrap().map(|review| (review.insight, review.with_moods));
        assert_eq!(kept, of_moods.then(|| ("said".to_owned(), None)));
    }
}

#[tokio::test]
async fn addresses_that_are_none_are_refused_without_repeating_a_password() {
    for url in ["", "sqlite:", "sqlite::memory:", "mysql://u:secret@host/db", "/var/lib/sotto.db", "sqlite"] {
        let error = Store::open(url).await.unwrap_err();
        assert!(matches!(error, StoreError::Url(_)), "{url}: {error}");
        assert!(!error.to_string().contains("secret"));
    }
}

/// The database goes away in the middle of a call and comes back: nothing is lost, nothing waits.
#[tokio::test]
async fn a_database_that_goes_away_and_comes_back() {
    let Some(server) = tokio::task::spawn_blocking(testing::Postgres::start_or_skip).await.unwrap() else {
        return;
    };
    let store = Store::open(&server.url("postgres")).await.unwrap();
    let writer = EventWriter::spawn(store.clone(), WriterLimits::default());
    let id = CallId::new();
    let events = log_of(&["one", "two", "three"]);
    writer.begin(row(id)).unwrap();
    writer.write(id, Arc::new(events[0].clone()));
    writer.flush().await;
    let mut server = tokio::task::spawn_blocking(move || {
        let mut server = server;
        server.pause();
        server
    })
    .await
    .unwrap();
    assert!(store.ping().await.is_err());
    for event in &events[1..] {
        writer.write(id, Arc::new(event.clone()));
    }
    while writer.figures().errors == 0 {
        tokio::task::yield_now().await;
    }
    assert!(writer.figures().queued > 0);
    let server = tokio::task::spawn_blocking(move || {
        server.resume();
        server
    })
    .await
    .unwrap();
    writer.flush().await;
    assert_eq!(all(&store, id).await, events);
    assert_eq!(writer.figures().queued, 0);
    store.close().await;
    tokio::task::spawn_blocking(move || drop(server)).await.unwrap();
}

/// Set for a process that writes until it is killed: the database to write to.
const DOOMED: &str = "SOTTO_TEST_DOOMED";

/// Not a test of its own: the process that the next test kills. Says the number of every event it has flushed.
#[tokio::test]
#[ignore = "is run, and killed, by another test"]
async fn writes_until_it_is_killed() {
    let Ok(url) = std::env::var(DOOMED) else { return };
    let store = Store::open(&url).await.unwrap();
    let writer = EventWriter::spawn(store, WriterLimits::default());
    let id = CallId::new();
    writer.begin(row(id)).unwrap();
    let mut log = CallLog::default();
    let mut next = EventBody::CallStarted(started("doomed"));
    loop {
        let event = log.append(Millis(log.last_seq()), next);
        let seq = event.seq;
        writer.write(id, Arc::new(event));
        if seq.is_multiple_of(7) {
            writer.flush().await;
            println!("\nflushed {seq}");
        }
        next = utterance(u32::try_from(seq).unwrap(), "word", true);
    }
}

async fn kill_and_recover(url: &str) {
    use std::io::BufRead;
    let mut doomed = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", "writes_until_it_is_killed"])
        .env(DOOMED, url)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufReader::new(doomed.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut flushed = lines.filter_map(|line| line.strip_prefix("flushed ")?.parse::<u64>().ok());
    let flushed = flushed.nth(2).unwrap();
    doomed.kill().unwrap();
    doomed.wait().unwrap();

    let store = Store::open(url).await.unwrap();
    let closed = recover(&store, |_| None).await.unwrap();
    let [call] = closed.as_slice() else { panic!("{closed:?}") };
    assert!(call.last_seq > flushed, "{call:?}, flushed {flushed}");
    let events = all(&store, call.id).await;
    assert!(events.iter().zip(1..).all(|(event, seq)| event.seq == seq));
    let (end, words) = events.split_last().unwrap();
    assert!(matches!(&end.body, EventBody::CallEnded(ended) if ended.reason == EndReason::Interrupted));
    assert!(
        words[1..]
            .iter()
            .all(|event| matches!(&event.body, EventBody::Utterance(said) if said.text == "word"))
    );
}

#[tokio::test]
#[ignore = "is run, and killed, by another test"]
async fn works_until_it_is_killed() {
    let Ok(url) = std::env::var(DOOMED) else { return };
    let store = Store::open(&url).await.unwrap();
    store.take_up_jobs(u32::MAX, LATE).await.unwrap();
    while let Some(job) = store.claim_job(Step::Review, LATE).await.unwrap() {
        println!("\nclaimed {}", job.call);
        assert!(store.finish_job(&job, &review_called("said"), &nothing(), None, None).await.unwrap());
        println!("\ndone {}", job.call);
    }
}

/// Whoever works is killed again and again: all is done in the end, and nothing that was done is done again.
async fn kill_who_works(url: &str) {
    use std::io::BufRead;
    let store = Store::open(url).await.unwrap();
    let mut calls = Vec::new();
    for _ in 0..60 {
        calls.push(ended_call(&store, 1_000).await.to_string());
    }
    let mut done: Vec<String> = Vec::new();
    for _ in 0..5 {
        let mut doomed = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "--nocapture", "works_until_it_is_killed"])
            .env(DOOMED, url)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let lines = std::io::BufReader::new(doomed.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut of_this_run = 0;
        for line in lines {
            if let Some(call) = line.strip_prefix("claimed ") {
                assert!(!done.iter().any(|one| one == call), "{call} was done");
                if of_this_run == 5 {
                    doomed.kill().unwrap();
                }
            } else if let Some(call) = line.strip_prefix("done ") {
                done.push(call.to_owned());
                of_this_run += 1;
            }
        }
        doomed.wait().unwrap();
    }
    store.take_up_jobs(u32::MAX, LATE).await.unwrap();
    while let Some(job) = store.claim_job(Step::Review, LATE).await.unwrap() {
        assert!(!done.contains(&job.call.to_string()));
        assert!(store.finish_job(&job, &review_called("said"), &nothing(), None, None).await.unwrap());
    }
    assert_eq!(states(&store).await, [(JobState::Done, 60)]);
    for call in calls {
        assert_eq!(store.review(call.parse().unwrap()).await.unwrap().unwrap(), review_called("said"));
    }
    store.close().await;
}

#[tokio::test]
async fn a_killed_process_leaves_no_job_undone_and_does_none_twice() {
    let folder = tempfile::tempdir().unwrap();
    kill_who_works(&format!("sqlite:{}", folder.path().join("sotto.db").display())).await;
    if let Some(url) = testing::postgres_url().await {
        kill_who_works(&url).await;
    }
}

/// Not a test of its own: the process that the next test kills. Saying a key is what sends a message.
#[tokio::test]
#[ignore = "is run, and killed, by another test"]
async fn sends_until_it_is_killed() {
    let Ok(url) = std::env::var(DOOMED) else { return };
    let store = Store::open(&url).await.unwrap();
    store.take_up_follow_ups(&BTreeSet::new(), LATE).await.unwrap();
    let claim = Claim { per_day: u32::MAX, ..claim(LATE) };
    while let Some(row) = store.claim_follow_up(&claim).await.unwrap() {
        println!("\nclaimed {}", row.key);
        println!("\nsent {}", row.key);
        assert!(store.settle_follow_up(&row, &SendOutcome::Sent(None), LATE).await.unwrap());
        println!("\nsettled {}", row.key);
    }
}

/// Whoever sends is killed again and again, after each of its steps: nothing is sent twice, and what nobody knows of is said.
async fn kill_who_sends(url: &str) {
    use std::io::BufRead;
    let store = Store::open(url).await.unwrap();
    let sara = store.add_contact(&contact("Sara", &[]), 1_000).await.unwrap();
    for _ in 0..60 {
        approved(&store, sara.id).await;
    }
    let mut sent: Vec<String> = Vec::new();
    for n in 0..12 {
        let mut doomed = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "--nocapture", "sends_until_it_is_killed"])
            .env(DOOMED, url)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let lines = std::io::BufReader::new(doomed.stdout.take().unwrap()).lines().map_while(Result::ok);
        let step = ["claimed ", "sent ", "settled "][n % 3];
        let mut of_this_run = 0;
        for line in lines {
            if let Some(key) = line.strip_prefix("sent ") {
                assert!(!sent.iter().any(|one| one == key), "{key} was sent twice");
                sent.push(key.to_owned());
            }
            of_this_run += usize::from(line.starts_with(step));
            if of_this_run == 4 {
                doomed.kill().unwrap();
            }
        }
        doomed.wait().unwrap();
    }
    store.take_up_follow_ups(&BTreeSet::new(), LATE).await.unwrap();
    let list = async |state| {
        let filter = FollowUpFilter { state: Some(state), limit: 99, ..Default::default() };
        store.follow_ups(&filter).await.unwrap()
    };
    let (done, unknown) = (list(FollowUpState::Sent).await, list(FollowUpState::Unknown).await);
    assert!(!unknown.is_empty(), "nobody was killed while they were at it");
    let left = list(FollowUpState::Approved).await.len();
    assert_eq!(done.len() + unknown.len() + left, 60, "nothing is lost");
    let known: BTreeSet<String> = done.iter().map(|row| row.key.to_string()).collect();
    let open: BTreeSet<String> = unknown.iter().map(|row| row.key.to_string()).collect();
    assert!(known.iter().all(|key| sent.contains(key)), "what is said to be sent was");
    assert!(
        sent.iter().all(|key| known.contains(key) || open.contains(key)),
        "what was sent is not to be sent"
    );
    store.close().await;
}

#[tokio::test]
async fn a_killed_process_sends_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    kill_who_sends(&format!("sqlite:{}", folder.path().join("sotto.db").display())).await;
    if let Some(url) = testing::postgres_url().await {
        kill_who_sends(&url).await;
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing_that_was_flushed() {
    for _ in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        kill_and_recover(&format!("sqlite:{}", folder.path().join("sotto.db").display())).await;
        if let Some(url) = testing::postgres_url().await {
            kill_and_recover(&url).await;
        }
    }
}
