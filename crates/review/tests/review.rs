//! Insights and quality of logs that were written by hand, and of arbitrary ones.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use proptest::prelude::*;
use serde_json::{Value, json};
use sotto_call::testing::{card, utterance, with_words};
use sotto_call::{
    ArcPoint, CallEvent, CallStarted, CallState, Card, ChecklistItem, Consent, CustomerUtterance, Emotion,
    Entities, Entity, EntityKind, EventBody, Intent, MASK, Millis, Mood, Party, Quote, Redacted, Secret,
    Sentiment, Source, Span, Trend, Turn, TurnDirection, Utterance, UtteranceId, WordsMood,
};
use sotto_review::{CallInsight, Draft, Quality, Scorecard, Written, check};
use time::{OffsetDateTime, PrimitiveDateTime};

/// Sunday, the 29th of November 2026, nine in the morning (UTC).
const STARTED: u64 = 1_795_942_800_000;

const SUPPORT: &[(Party, &str)] = &[
    (Party::Agent, "Thank you for calling Harbor Home Supply, my name is Sarah. How can I help you today?"),
    (Party::Customer, "Hi Sarah, my name is Peter Young. My coffee machine still has not arrived."),
    (Party::Agent, "I am sorry to hear that. Could you give me your order number, please?"),
    (Party::Customer, "My order number is four seven one, nine two six."),
    (Party::Agent, "The courier says that the address is incomplete."),
    (
        Party::Customer,
        "This is the second time that this has happened, and nobody told me. I am disappointed.",
    ),
    (Party::Agent, "I understand, and I apologize. I have added the apartment to your address."),
    (Party::Customer, "When will my order be delivered? And can you refund the delivery fee of 12 dollars?"),
    (Party::Agent, "Yes, I will refund the fee today."),
    (Party::Agent, "And I will call you myself on Thursday at ten to confirm the delivery."),
    (Party::Customer, "My phone number is 0912 345 6789."),
    (Party::Customer, "Sorry, no, it's 0912 345 6788."),
    (Party::Agent, "Is there anything else I can do for you?"),
    (Party::Customer, "No, thank you for your help."),
    (Party::Agent, "You are welcome. Have a nice day. Goodbye."),
];

/// Numbers events.
fn numbered(bodies: impl IntoIterator<Item = EventBody>) -> Vec<CallEvent> {
    let event = |(seq, body)| CallEvent { seq, at_ms: Millis(seq * 1_000), body };
    (1..).zip(bodies).map(event).collect()
}

fn started() -> EventBody {
    started_at(STARTED)
}

fn started_at(started_at_unix_ms: u64) -> EventBody {
    EventBody::CallStarted(CallStarted {
        version: sotto_call::FORMAT_VERSION,
        source: Source::File,
        started_at_unix_ms,
        external_id: "test".to_owned(),
        participants: Vec::new(),
        language: None,
        bridged: false,
        parties_guessed: false,
        headers: Default::default(),
    })
}

/// What the live path finds in an utterance.
fn named(said: &Utterance) -> EventBody {
    named_at(STARTED, said)
}

/// The same on a clock that shows this time, were it in UTC.
fn named_at(unix_ms: u64, said: &Utterance) -> EventBody {
    let at = OffsetDateTime::from_unix_timestamp((unix_ms / 1_000) as i64).unwrap();
    let now = PrimitiveDateTime::new(at.date(), at.time());
    let span = |range: std::ops::Range<usize>| Span { start: range.start as u32, end: range.end as u32 };
    let found = sotto_insight::entities(&said.text, &said.words, now, None).into_iter();
    let entities = found.map(|found| Entity {
        kind: found.kind,
        value: found.value,
        chars: span(found.chars),
        words: found.words.map(span),
        confidence: found.confidence,
    });
    EventBody::Entities(Entities {
        utterance_id: said.utterance_id,
        revision: said.revision,
        entities: entities.collect(),
        latency_ms: Millis(1),
    })
}

fn mood(said: &Utterance, valence: f32) -> EventBody {
    let said = CustomerUtterance::of(said).unwrap();
    let sentiment = Sentiment { negative: 0.5 - valence / 2.0, neutral: 0.0, positive: 0.5 + valence / 2.0 };
    let words = WordsMood { sentiment, valence, emotion: Emotion::Disappointment, emotion_p: 0.8 };
    let arc = ArcPoint { at_ms: Millis(1), valence, deviation: 0.2, trend: Trend::Falling, arousal: None };
    EventBody::Mood(Mood::of(&said, words, arc, None, Millis(1)))
}

fn intent(said: &Utterance, name: &str) -> EventBody {
    let said = CustomerUtterance::of(said).unwrap();
    EventBody::Intent(Intent {
        name: Some(name.to_owned()),
        confidence: 0.9,
        ..Intent::none(&said, Millis(1))
    })
}

/// A conversation with what the live path finds in it, and what the customer feels and wants in their second turn.
fn log(turns: &[(Party, &str)]) -> Vec<CallEvent> {
    let mut bodies = vec![started()];
    let mut customers = 0;
    for (id, (party, text)) in (1..).zip(turns) {
        let said = with_words(utterance(id, *party, text), 300);
        bodies.push(EventBody::Utterance(said.clone()));
        bodies.push(named(&said));
        customers += usize::from(*party == Party::Customer);
        if customers == 2 && *party == Party::Customer {
            bodies.extend([mood(&said, -0.6), intent(&said, "delivery")]);
        }
    }
    numbered(bodies)
}

/// The insight as it is published, after it was held against its log.
fn insight(events: &[CallEvent]) -> Value {
    let insight = CallInsight::of(events);
    let checked = check(&insight, &CallState::of(events));
    assert_eq!(checked.faults, Vec::<String>::new());
    assert_eq!((checked.cited, checked.said), (checked.statements, checked.values));
    serde_json::to_value(&insight).unwrap()
}

fn texts(insight: &Value) -> Vec<&str> {
    insight["summary_bullets"].as_array().unwrap().iter().filter_map(Value::as_str).collect()
}

#[test]
fn a_call_has_an_insight_that_says_where_all_of_it_was_said() {
    let insight = insight(&log(SUPPORT));
    assert_eq!(insight["intent"], "delivery");
    assert_eq!(insight["sentiment"], "negative");
    // They are unhappy, and something is promised for today.
    assert_eq!(insight["urgency"], "high");
    assert_eq!(insight["lead_stage_suggestion"], "contacted");
    let confidence = insight["confidence"].as_f64().unwrap();
    assert!((0.5..=1.0).contains(&confidence), "{confidence}");
    // The agent's own name is not the customer's.
    assert_eq!(insight["entities"]["name"], "Peter Young");
    assert_eq!(insight["entities"]["phone"], "+989123456788", "the correction wins");
    assert_eq!(insight["entities"]["budget"], Value::Null, "a fee is no budget");
    assert_eq!(insight["evidence"]["entities"]["name"][0]["utterance_id"], 2);

    let bullets = texts(&insight);
    assert!((3..=6).contains(&bullets.len()), "{bullets:?}");
    assert!(bullets.iter().any(|text| text.contains("I will call you myself")), "{bullets:?}");
    assert!(bullets.iter().all(|text| SUPPORT.iter().any(|(_, said)| said.contains(text))), "{bullets:?}");
    assert!(!bullets.iter().any(|text| text.contains("Goodbye") || text.contains("How can I help")));
    let evidence = insight["evidence"]["summary_bullets"].as_array().unwrap();
    let at = |one: &Value| one["citations"][0]["start_ms"].as_u64().unwrap();
    assert_eq!(evidence.len(), bullets.len());
    assert!(evidence.windows(2).all(|two| at(&two[0]) <= at(&two[1])), "in order of time");

    let actions = insight["next_actions"].as_array().unwrap();
    let brief: Vec<[&Value; 5]> =
        actions.iter().map(|one| ["type", "when", "channel", "to", "by"].map(|key| &one[key])).collect();
    let expected = serde_json::json!([
        ["payment", "2026-11-29", null, null, "agent"],
        ["callback", "2026-12-03T10:00", "phone", "+989123456788", "agent"],
    ]);
    assert_eq!(serde_json::to_value(brief).unwrap(), expected);
    let named = insight["named"].as_array().unwrap();
    assert!(named.iter().any(|one| one["value"] == "12 USD" && one["by"] == serde_json::json!(["customer"])));
    assert!(named.iter().any(|one| one["kind"] == "order" && one["value"] == "471926"));
    assert!(!named.iter().any(|one| one["value"] == "+989123456789"), "what was corrected is gone");
}

#[test]
fn a_persian_call_has_one_too() {
    let insight = insight(&log(&[
        (Party::Agent, "سلام، وقت شما بخیر. چطور می‌توانم به شما کمک کنم؟"),
        (Party::Customer, "سلام. من دو روز پیش یک کتاب خریدم ولی هنوز به دستم نرسیده است."),
        (Party::Agent, "خیلی متاسفم. فردا ساعت ده با شما تماس می‌گیرم."),
        (Party::Customer, "ممنون. من در اصفهان هستم و عجله دارم."),
    ]));
    assert!(texts(&insight).iter().any(|text| text.contains("نرسیده")), "{insight}");
    let action = &insight["next_actions"][0];
    assert_eq!(
        [&action["type"], &action["channel"], &action["when"]],
        ["callback", "phone", "2026-11-30T10:00"]
    );
    assert_eq!(insight["entities"]["city"], "Isfahan");
    assert_eq!(insight["urgency"], "high");
}

#[test]
fn an_arc_says_how_the_call_was_on_the_whole_where_it_turned_and_when_the_customer_was_satisfied() {
    let heard = [
        (Party::Customer, "I am waiting for my book."),
        (Party::Agent, "That is the policy."),
        (Party::Customer, "That is a shame."),
        (Party::Customer, "Oh, thank you so much."),
    ];
    let said: Vec<Utterance> =
        (1..).zip(heard).map(|(id, (party, text))| with_words(utterance(id, party, text), 300)).collect();
    let felt = |n: usize, at_ms: u64, valence: f32, emotion: Emotion, turn: Option<Turn>| {
        let of = CustomerUtterance::of(&said[n]).unwrap();
        let (negative, positive) = ((-valence).max(0.0), valence.max(0.0));
        let sentiment = Sentiment { negative, neutral: 1.0 - negative - positive, positive };
        let words = WordsMood { sentiment, valence, emotion, emotion_p: 0.8 };
        let (at_ms, trend) = (Millis(at_ms), Trend::Steady);
        let arc = ArcPoint { at_ms, valence, deviation: 0.2, trend, arousal: None };
        EventBody::Mood(Mood::of(&of, words, arc, turn, Millis(1)))
    };
    let turn = |direction, since, trigger: Option<u32>| {
        Some(Turn { direction, since: UtteranceId(since), trigger: trigger.map(UtteranceId) })
    };
    let worse = turn(TurnDirection::Decline, 3, Some(2));
    let mut bodies = vec![started()];
    bodies.extend(said.iter().cloned().map(EventBody::Utterance));
    bodies.extend([
        felt(0, 10_000, 0.0, Emotion::Neutral, None),
        felt(2, 20_000, -0.5, Emotion::Disappointment, worse),
        felt(3, 40_000, 0.5, Emotion::Gratitude, turn(TurnDirection::Improvement, 4, None)),
    ]);
    let insight = insight(&numbered(bodies));
    // By hand: 10 s at −0.25 on average, 20 s at 0.
    let mean = insight["arc"]["mean"].as_f64().unwrap();
    assert!((mean + 2.5 / 30.0).abs() < 1e-6, "{mean}");
    let cited = |of: &Value| -> Vec<u64> {
        of.as_array().unwrap().iter().map(|one| one["utterance_id"].as_u64().unwrap()).collect()
    };
    let turns: Vec<Vec<u64>> = insight["evidence"]["turns"].as_array().unwrap().iter().map(cited).collect();
    assert_eq!(turns, [vec![3, 2], vec![4]]);
    assert_eq!(insight["arc"]["turns"].as_array().unwrap().len(), 2);
    assert_eq!(insight["arc"]["satisfied"], serde_json::json!([4]));
    assert_eq!(cited(&insight["evidence"]["satisfied"]), [4]);
}

#[test]
fn moods_that_are_not_to_be_read_are_absent() {
    let mut bodies: Vec<EventBody> = log(SUPPORT).into_iter().map(|event| event.body).collect();
    bodies.push(EventBody::Consent(Consent { mood: false }));
    let insight = insight(&numbered(bodies));
    assert_eq!((&insight["sentiment"], &insight["arc"]), (&Value::Null, &Value::Null));
    for of_moods in ["sentiment", "arc", "turns", "satisfied"] {
        assert_eq!(insight["evidence"][of_moods], serde_json::json!([]));
    }
    assert_eq!(insight["intent"], "delivery");
}

#[test]
fn nothing_is_urgent_by_a_mood_that_somebody_may_not_see() {
    let events = log(SUPPORT);
    let mut state = CallState::of(&events);
    assert!(CallInsight::of_state(&state) == CallInsight::of(&events));
    state.forget_moods();
    let insight = serde_json::to_value(CallInsight::of_state(&state)).unwrap();
    assert_eq!((&insight["sentiment"], &insight["urgency"]), (&Value::Null, &"normal".into()));
    assert_eq!(insight["evidence"]["urgency"], serde_json::json!([]));
}

#[test]
fn tomorrow_is_soon_on_whichever_clock_it_was_read() {
    const HOUR: u64 = 3_600_000;
    let cases = [
        // Ten in the evening (UTC) is half past one of the next day in Tehran,
        (STARTED + 13 * HOUR, STARTED + 16 * HOUR + HOUR / 2, "I will call you tomorrow.", "2026-12-01"),
        // and two at night the evening before in San Francisco.
        (STARTED - 7 * HOUR, STARTED - 15 * HOUR, "I will call you today.", "2026-11-28"),
        (STARTED, STARTED, "I will call you on the 2nd of December.", "2026-12-02"),
    ];
    for (n, (began, clock, text, when)) in cases.into_iter().enumerate() {
        let complaint = with_words(utterance(1, Party::Customer, "My parcel has not arrived."), 300);
        let promise = with_words(utterance(2, Party::Agent, text), 300);
        let felt = mood(&complaint, -0.6);
        let said = [EventBody::Utterance(complaint), felt, EventBody::Utterance(promise.clone())];
        let begun = [started_at(began)].into_iter().chain(said);
        let insight = insight(&numbered(begun.chain([named_at(clock, &promise)])));
        assert_eq!(insight["next_actions"][0]["when"], when);
        assert_eq!(insight["urgency"], if n < 2 { "high" } else { "normal" }, "{text}");
    }
}

#[test]
fn what_is_not_urgent_is_not_urgent() {
    let urgency = |text: &str| insight(&log(&[(Party::Customer, text)]))["urgency"].clone();
    for (text, expected) in [
        ("Please send it as soon as possible.", "high"),
        ("It is not urgent, take your time.", "low"),
        ("I am at work right now.", "normal"),
        ("این فوری نیست.", "low"),
        ("همین الان زنگ زدم.", "normal"),
        ("خیلی فوری لازمش دارم.", "high"),
    ] {
        assert_eq!(urgency(text), expected, "{text}");
    }
}

#[test]
fn what_was_read_as_urgent_while_it_was_said_is_urgent_without_a_phrase_for_it() {
    let said = with_words(utterance(1, Party::Customer, "Water comes through the ceiling."), 300);
    let insight = |urgent: bool| {
        let of = CustomerUtterance::of(&said).unwrap();
        let sentiment = Sentiment { negative: 0.0, neutral: 1.0, positive: 0.0 };
        let words = WordsMood { sentiment, valence: 0.0, emotion: Emotion::Neutral, emotion_p: 0.8 };
        let (at_ms, trend) = (Millis(10_000), Trend::Steady);
        let arc = ArcPoint { at_ms, valence: 0.0, deviation: 0.2, trend, arousal: None };
        let mood = Mood::of(&of, words, arc, None, Millis(1)).with_urgency(urgent);
        insight(&numbered([started(), EventBody::Utterance(said.clone()), EventBody::Mood(mood)]))
    };
    assert_eq!(insight(false)["urgency"], "normal");
    let urgent = insight(true);
    assert_eq!(urgent["urgency"], "high");
    assert_eq!(urgent["evidence"]["urgency"][0]["utterance_id"], 1);
}

#[test]
fn a_number_that_the_customer_says_no_to_is_not_theirs() {
    let phone = |answer: &str| {
        let turns = [(Party::Agent, "Is your number 0912 345 6789?"), (Party::Customer, answer)];
        insight(&log(&turns))["entities"]["phone"].clone()
    };
    assert_eq!(phone("Yes, that's right."), "+989123456789");
    for no in ["No, that is not right.", "That isn't correct.", "نه، اشتباهه."] {
        assert_eq!(phone(no), Value::Null, "{no}");
    }
}

#[test]
fn of_two_values_after_a_correction_the_first_one_stays_too() {
    let insight = insight(&log(&[
        (Party::Customer, "So the fee is 12 dollars?"),
        (Party::Agent, "No, it's 20 dollars, and the deposit is 30 dollars."),
    ]));
    let all = insight["named"].as_array().unwrap();
    let amounts = all.iter().filter(|one| one["kind"] == "money");
    let amounts: Vec<&Value> = amounts.map(|one| &one["value"]).collect();
    assert_eq!(amounts, ["20 USD", "30 USD"]);
}

/// The promises of what an agent says.
fn promised(text: &str) -> Vec<Value> {
    insight(&log(&[(Party::Agent, text)]))["next_actions"].as_array().unwrap().clone()
}

#[test]
fn by_which_way_something_is_promised_is_what_was_said() {
    for (text, expected) in [
        ("I'll message you on Telegram.", ["message", "telegram"]),
        ("I'll send you a message on Telegram.", ["message", "telegram"]),
        ("توی تلگرام بهتون پیام می‌دم.", ["message", "telegram"]),
        ("I will text you tomorrow.", ["message", "sms"]),
        ("I'll get back to you by email.", ["callback", "email"]),
        ("I'll call you tomorrow.", ["callback", "phone"]),
    ] {
        let promised = promised(text);
        let [one] = promised.as_slice() else { panic!("{text}: {promised:?}") };
        assert_eq!([&one["type"], &one["channel"]], expected, "{text}");
    }
    for text in ["I will send you a message.", "I will get back to you.", "بهتون خبر می‌دم."] {
        assert_eq!(promised(text)[0]["channel"], Value::Null, "{text}");
    }
    assert!(promised("براتون ایمیل اومد؟").is_empty(), "nobody promises anything");
}

#[test]
fn no_time_is_made_of_a_date_and_an_hour_that_have_nothing_to_do_with_each_other() {
    let promised = promised("We open at nine o'clock in the morning, but I will call you tomorrow.");
    assert_eq!(promised[0]["when"], "2026-11-30");
}

#[test]
fn what_is_sent_to_two_addresses_is_promised_twice() {
    let promised = promised("I'll email it to ann@example.com. And I'll email it to bob@example.com.");
    let to: Vec<&Value> = promised.iter().map(|one| &one["to"]).collect();
    assert_eq!(to, ["ann@example.com", "bob@example.com"]);
}

#[test]
fn what_a_card_says_was_not_said() {
    let mut bodies: Vec<EventBody> = log(SUPPORT).into_iter().map(|event| event.body).collect();
    let without = numbered(bodies.clone());
    let asked = with_words(utterance(8, Party::Customer, SUPPORT[7].1), 300);
    let text = "Refunds of 900 dollars take 3 days. I will call you tomorrow.".to_owned();
    let roles = vec!["admin".to_owned()];
    let found = Card { card_id: 1, text, roles, ..card("margins.md", &asked) };
    bodies.push(EventBody::Card(Box::new(found)));
    let with = numbered(bodies);
    assert_eq!(CallState::of(&with).cards.len(), 1, "or nothing was tried");
    assert_eq!(insight(&with), insight(&without));
    let card = Scorecard::built_in();
    assert_eq!(Quality::of(&with, &card), Quality::of(&without, &card));
}

#[test]
fn what_was_taken_out_is_not_quoted() {
    let said =
        with_words(utterance(1, Party::Customer, "I want to pay with 4242 4242 4242 4242, please."), 300);
    let left = format!("I want to pay with {MASK}, please.");
    let left = Utterance { revision: 1, ..with_words(utterance(1, Party::Customer, &left), 300) };
    let redacted = Redacted {
        utterance_id: UtteranceId(1),
        party: Party::Customer,
        secrets: vec![Secret::Card],
        ranges: Vec::new(),
        muted: true,
    };
    let events = numbered([
        started(),
        EventBody::Utterance(said.clone()),
        named(&said),
        EventBody::Redacted(redacted),
        EventBody::Utterance(left.clone()),
        named(&left),
    ]);
    let insight = insight(&events);
    assert!(!insight.to_string().contains("4242"), "{insight}");
    assert_eq!(texts(&insight), [left.text]);
}

#[test]
fn what_the_words_do_not_say_is_left_out() {
    let said = with_words(utterance(1, Party::Customer, "Hello there, my name is Ann."), 300);
    let EventBody::Entities(mut found) = named(&said) else { panic!() };
    let ann = found.entities[0].clone();
    let forged = |kind, value: &str, start, end| Entity {
        kind,
        value: value.to_owned(),
        chars: Span { start, end },
        ..ann.clone()
    };
    found.entities = vec![
        forged(EntityKind::City, "Paris", 0, 5),
        forged(EntityKind::Phone, "+989123456789", 6, 11),
        forged(EntityKind::Email, "a@b.com", 500, 600),
        forged(EntityKind::DateTime, "2026-12-01", 9, 3),
        forged(EntityKind::Money, "", 0, 5),
        ann,
    ];
    let events = numbered([started(), EventBody::Utterance(said), EventBody::Entities(found)]);
    let insight = insight(&events);
    assert_eq!(insight["named"].as_array().unwrap().len(), 1, "{insight}");
    assert_eq!(insight["entities"]["name"], "Ann");
}

#[test]
fn nothing_comes_of_nothing() {
    for events in [Vec::new(), numbered([started()])] {
        let insight = insight(&events);
        let fields = ["intent", "sentiment", "lead_stage_suggestion", "arc"].map(|key| &insight[key]);
        assert_eq!(fields, [&Value::Null; 4]);
        assert_eq!((texts(&insight).len(), insight["confidence"].as_f64()), (0, Some(0.0)));
        assert_eq!(Quality::of(&events, &Scorecard::built_in()).total(), None);
    }
}

fn questions(events: &[CallEvent]) -> Vec<Value> {
    let quality = serde_json::to_value(Quality::of(events, &Scorecard::built_in())).unwrap();
    quality["questions"].as_array().unwrap().clone()
}

fn question<'a>(questions: &'a [Value], name: &str) -> &'a Value {
    questions.iter().find(|one| one["name"] == name).unwrap()
}

#[test]
fn quality_is_judged_by_what_was_said_with_evidence() {
    let events = log(SUPPORT);
    let judged = questions(&events);
    for name in ["greeting", "sorry", "thanks", "anything_else", "never"] {
        assert_eq!(question(&judged, name)["score"], 1.0, "{name}");
    }
    let sorry = &question(&judged, "sorry")["evidence"];
    assert_eq!([&sorry[0]["utterance_id"], &sorry[1]["utterance_id"]], [2, 3]);
    let checklist = question(&judged, "checklist");
    assert_eq!((&checklist["score"], &checklist["not_judged"]), (&Value::Null, &"no_checklist".into()));
    let quality = Quality::of(&events, &Scorecard::built_in());
    assert!((0.0..=1.0).contains(&quality.total().unwrap()));

    let rude = log(&[
        (Party::Customer, "This is ridiculous, it still has not arrived."),
        (Party::Agent, "That's not my problem."),
        (Party::Customer, "Goodbye."),
    ]);
    let judged = questions(&rude);
    for name in ["greeting", "sorry", "anything_else", "never"] {
        assert_eq!(question(&judged, name)["score"], 0.0, "{name}");
    }
    assert_eq!(question(&judged, "never")["evidence"][0]["utterance_id"], 2);
    // Who takes no leave at all does not by the last thing they say.
    let short = log(&[(Party::Agent, "Hello."), (Party::Customer, "Is it open?"), (Party::Agent, "It is.")]);
    let judged = questions(&short);
    for name in ["thanks", "anything_else"] {
        assert_eq!(question(&judged, name)["evidence"][0]["utterance_id"], 3, "{name}");
    }
    assert_eq!(question(&judged, "pace")["not_judged"], "too_little");
    // Nobody knows who the agent is: nothing is judged.
    let unknown = log(&[(Party::Other, "Hello, that's not my problem.")]);
    assert!(questions(&unknown).iter().all(|one| one["not_judged"] == "no_agent"));
}

#[test]
fn a_checklist_counts_by_the_words_that_tick_it() {
    let said = with_words(utterance(1, Party::Agent, "This call is recorded."), 300);
    let item = |name: &str, evidence: Option<Quote>| {
        let (name, title) = (name.to_owned(), Default::default());
        EventBody::Checklist(ChecklistItem { name, title, done: evidence.is_some(), evidence })
    };
    let evidence = Some(Quote::of(&said));
    let events = numbered([EventBody::Utterance(said), item("recorded", evidence), item("name", None)]);
    let judged = questions(&events);
    let checklist = question(&judged, "checklist");
    assert_eq!(
        (&checklist["score"], checklist["evidence"].as_array().unwrap().len()),
        (&Value::from(0.5), 1)
    );
}

#[test]
fn the_scorecard_that_is_built_in_is_whole_and_others_are_checked() {
    Scorecard::parse(include_str!("../data/scorecard.toml")).unwrap();
    let wrong = |text: &str| Scorecard::parse(text).unwrap_err().to_string();
    let question = "[[questions]]\nname = \"a\"\narea = \"clarity\"\ntitle = { en = \"A\" }\n";
    assert!(wrong("").contains("needs questions") || wrong("").contains("missing field"));
    assert!(wrong(&format!("{question}weight = 0.0\nby = \"checklist\"")).contains("weight"));
    assert!(wrong(&format!("{question}weight = 1.0\nby = \"said\"\nphrases.en = []")).contains("phrases"));
    assert!(
        wrong(&format!("{question}weight = 1.0\nby = \"pace\"\nfull_s = 3.0\nnone_s = 3.0")).contains("`a`")
    );
    assert!(
        wrong(&format!("{question}weight = 1.0\nby = \"said\"\nwithin = 5\nphrases.en = [\"a\"]"))
            .contains("within")
    );
    let twice = format!("{question}weight = 1.0\nby = \"checklist\"\n").repeat(2);
    assert!(wrong(&twice).contains("two questions"));
}

/// Words that rules look at, and others.
const PIECES: &[&str] = &[
    "I will call you",
    "tomorrow",
    "at ten",
    "no, it's",
    "my name is Peter Young",
    "five hundred dollars",
    "?",
    ".",
    "؟",
    "فردا ساعت ده تماس می‌گیرم",
    "پانصد هزار تومان",
    "۰۹۱۲۳۴۵۶۷۸۹",
    "0912 345 6789",
    "ali at gmail dot com",
    "I need it now",
    "in two hours",
    "Tehran",
    "IELTS",
    "my budget is",
    "yes",
    MASK,
    "",
    " ",
    "\u{200c}",
    "order number 4711",
    "🙂",
    "I'm sorry",
    "it still has not arrived",
    "goodbye",
    "we'll send you an email",
    "on Friday",
];

fn arbitrary_log() -> impl Strategy<Value = Vec<CallEvent>> {
    let text = prop::collection::vec(prop::sample::select(PIECES), 0..8).prop_map(|pieces| pieces.join(" "));
    let parties = prop::sample::select(vec![Party::Agent, Party::Customer, Party::Other]);
    let one = (0u32..6, parties, text, any::<bool>(), 0u32..3, 0u8..8, (0u32..60, 0u32..60), -1.0f32..1.0);
    prop::collection::vec(one, 0..16).prop_map(|all| {
        let mut bodies = vec![started()];
        for (id, party, text, r#final, revision, what, (start, end), valence) in all {
            let said = Utterance { r#final, revision, ..with_words(utterance(id, party, &text), 300) };
            bodies.push(EventBody::Utterance(said.clone()));
            match what {
                0 => {
                    let EventBody::Entities(mut found) = named(&said) else { continue };
                    found.entities.iter_mut().for_each(|one| one.chars = Span { start, end });
                    bodies.push(EventBody::Entities(found));
                }
                1 if CustomerUtterance::of(&said).is_some() => {
                    bodies.extend([mood(&said, valence), intent(&said, "delivery")]);
                }
                2 => bodies.push(EventBody::Consent(Consent { mood: valence > 0.0 })),
                _ => bodies.push(named(&said)),
            }
        }
        numbered(bodies)
    })
}

/// What a model says, with nothing in what it leaves out.
fn draft(mut said: Value) -> Draft {
    let fields = ["summary_bullets", "urgency", "lead_stage_suggestion", "entities", "next_actions"];
    for field in fields {
        if said[field].is_null() {
            said[field] = json!([]);
        }
    }
    serde_json::from_value(said).unwrap()
}

fn claim(value: &str, utterances: &[u32]) -> Value {
    json!({ "value": value, "utterances": utterances })
}

/// The insight by a model, as it is published, after it was held against its log.
fn by_model(events: &[CallEvent], draft: &Draft) -> Value {
    let state = CallState::of(events);
    let by = Written { model: "m".to_owned(), ..Written::default() };
    let insight = CallInsight::by_model(&state, draft, &by);
    assert_eq!(check(&insight, &state).faults, Vec::<String>::new());
    serde_json::to_value(&insight).unwrap()
}

#[test]
fn of_what_a_model_writes_only_what_the_cited_words_say_stays() {
    let events = log(SUPPORT);
    let refund = claim("The agent will refund the delivery fee of 12 dollars today.", &[8, 9]);
    let order = claim("The order number is 471926.", &[4]);
    let machine = claim("The coffee machine of the customer has not arrived.", &[2]);
    let told_off = claim("The customer is disappointed because nobody told them.", &[6]);
    let lies = [
        claim("The customer is furious that the coffee machine has not arrived.", &[2]),
        claim("The customer expressed dissatisfaction: the coffee machine has not arrived.", &[2]),
        claim("The agent will refund 120 dollars of the delivery fee today.", &[8, 9]),
        claim("The customer will refund the fee today.", &[9]),
        claim("The fee is refunded to Robert.", &[9]),
        claim("The customer is called Peter Young.", &[99]),
        claim("The customer is called Peter Young.", &[]),
        claim("Everybody is going to the seaside.", &[2]),
    ];
    let mut bullets = vec![refund, order, told_off, machine];
    bullets.extend(lies);
    let told = by_model(&events, &draft(json!({ "summary_bullets": bullets })));
    assert_eq!(
        texts(&told),
        [
            "The coffee machine of the customer has not arrived.",
            "The order number is 471926.",
            "The customer is disappointed because nobody told them.",
            "The agent will refund the delivery fee of 12 dollars today.",
        ]
    );
    let cited = &told["evidence"]["summary_bullets"][3];
    let utterances = [&cited["citations"][0], &cited["citations"][1]].map(|one| &one["utterance_id"]);
    assert_eq!((utterances, &cited["party"]), ([&json!(8), &json!(9)], &json!("customer")));
    let by = &told["written_by"];
    assert_eq!([&by["model"], &by["kept"], &by["dropped"]], [&json!("m"), &json!(4), &json!(8)]);
    // What the rules have found is there as without a model.
    let without = insight(&events);
    for field in ["intent", "sentiment", "urgency", "entities", "next_actions", "confidence", "named"] {
        assert_eq!(told[field], without[field], "{field}");
    }
    assert!(without.get("written_by").is_none() && told.get("model_failed").is_none());
}

#[test]
fn what_a_model_writes_in_persian_is_held_against_the_words_too() {
    let events = log(&[(Party::Customer, "دستگاه قهوه‌ام هنوز نرسیده و ۱۲ دلار برای ارسال پرداخت کردم.")]);
    let stays = "مشتری دوازده دلار برای ارسال پرداخت کرد.";
    let told = by_model(
        &events,
        &draft(json!({ "summary_bullets": [
            claim(stays, &[1]),
            claim("مشتری ۱۲۰ دلار برای ارسال پرداخت کرد.", &[1]),
            claim("کارشناس ۱۲ دلار برای ارسال پرداخت کرد.", &[1]),
            claim("مشتری عصبانی است و ۱۲ دلار برای ارسال پرداخت کرد.", &[1]),
            claim("مشتری ۱۲ دلار برای ارسال پرداخت کرد و نارضایتی دارد.", &[1]),
        ] })),
    );
    assert_eq!(texts(&told), [stays]);
    assert_eq!(told["written_by"]["dropped"], 4);
}

#[test]
fn a_name_that_nobody_said_is_none_where_a_sentence_begins_with_it() {
    let events = log(SUPPORT);
    let stays = "Young's coffee machine has not arrived.";
    let told = by_model(
        &events,
        &draft(json!({ "summary_bullets": [
            claim("Robert gets the delivery fee of 12 dollars.", &[8]),
            claim("The order will be delivered. Robert gets the delivery fee of 12 dollars.", &[8]),
            claim(stays, &[2]),
        ] })),
    );
    assert_eq!(texts(&told), [stays]);
    assert_eq!(told["written_by"]["dropped"], 2);
}

#[test]
fn a_model_that_says_nothing_true_has_said_nothing() {
    let events = log(SUPPORT);
    let lie = draft(json!({
        "summary_bullets": [claim("The customer has won the lottery in Paris.", &[2])],
        "urgency": [claim("low", &[2])],
    }));
    let mut told = by_model(&events, &lie);
    assert_eq!(told["model_failed"], "unsupported");
    told.as_object_mut().unwrap().remove("model_failed");
    assert_eq!(told, insight(&events));
}

#[test]
fn a_model_finds_what_the_rules_have_missed_and_nothing_of_it_is_in_its_own_words() {
    let events = log(&[
        (Party::Agent, "Good morning, this is Sarah."),
        (Party::Customer, "Hi Sarah. I would like to learn pottery. Before the weekend, if you can."),
        (Party::Agent, "You can count on my colleague ringing you on Thursday at ten."),
        (Party::Customer, "That suits me."),
    ]);
    let action = |text: &str, utterance: u32| json!({ "type": "callback", "channel": "phone", "text": text, "utterances": [utterance] });
    let entity = |field: &str, value: &str| json!({ "field": field, "value": value, "utterances": [2] });
    let told = by_model(
        &events,
        &draft(json!({
            "summary_bullets": [claim("The customer would like to learn pottery.", &[2])],
            "urgency": [claim("high", &[2])],
            "lead_stage_suggestion": [claim("qualified", &[2, 3])],
            "entities": [
                entity("course", "pottery"),
                entity("city", "Paris"),
                entity("name", "Sarah"),
                entity("budget", "100 USD"),
            ],
            "next_actions": [
                action("My colleague is ringing you on Thursday", 3),
                action("I shall send you a bill of 700 dollars", 3),
            ],
        })),
    );
    assert_eq!((&told["urgency"], &told["lead_stage_suggestion"]), (&json!("high"), &json!("qualified")));
    let entities = &told["entities"];
    assert_eq!(entities["course"], "pottery");
    assert_eq!((&entities["city"], &entities["budget"]), (&Value::Null, &Value::Null));
    assert_ne!(entities["name"], "Sarah", "that is the agent");
    let promised = &told["next_actions"][0];
    assert_eq!(promised["text"], "You can count on my colleague ringing you on Thursday at ten.");
    assert_eq!(
        [&promised["type"], &promised["by"], &promised["when"]],
        ["callback", "agent", "2026-12-03T10:00"]
    );
    assert_eq!(told["next_actions"].as_array().unwrap().len(), 1);
    assert_eq!((&told["written_by"]["kept"], &told["written_by"]["dropped"]), (&json!(5), &json!(4)));
}

/// Whom the agent asks for is not the agent: the customer's own name was dropped, only because it had been said before.
#[test]
fn a_customer_whom_the_agent_asks_for_by_name_has_that_name() {
    let events = log(&[
        (Party::Agent, "Good morning. Is that Laleh?"),
        (Party::Customer, "Speaking, Laleh it is. I would like to learn pottery."),
    ]);
    let name = json!({ "field": "name", "value": "Laleh", "utterances": [2] });
    let bullet = claim("The customer would like to learn pottery.", &[2]);
    let told = by_model(&events, &draft(json!({ "summary_bullets": [bullet], "entities": [name] })));
    assert_eq!(told["entities"]["name"], "Laleh");
}

/// Persian has no capital letters, so nothing told that these are names.
#[test]
fn a_persian_name_that_nobody_said_is_none() {
    let events = log(&[
        (Party::Agent, "سلام بفرمایید."),
        (Party::Customer, "سلام، می‌خواهم هزینه ارسال ۱۲ دلار را پس بگیرم."),
    ]);
    let stays = "مشتری می‌خواهد هزینه ارسال ۱۲ دلار را پس بگیرد.";
    let told = by_model(
        &events,
        &draft(json!({ "summary_bullets": [
            claim("علی می‌خواهد هزینه ارسال ۱۲ دلار را پس بگیرد.", &[2]),
            claim("خانم رضایی می‌خواهد هزینه ارسال ۱۲ دلار را پس بگیرد.", &[2]),
            claim(stays, &[2]),
        ] })),
    );
    assert_eq!(texts(&told), [stays]);
    assert_eq!(told["written_by"]["dropped"], 2);
}

#[test]
fn what_somebody_says_they_cannot_do_is_no_promise_whatever_a_model_says() {
    let events = log(&[
        (Party::Customer, "I would like to learn pottery."),
        (Party::Agent, "You cannot count on my colleague ringing you on Thursday."),
        (Party::Agent, "پنجشنبه زنگ نمی‌زنیم."),
    ]);
    let action = |text: &str, utterance: u32| json!({ "type": "callback", "channel": "phone", "text": text, "utterances": [utterance] });
    let told = by_model(
        &events,
        &draft(json!({
            "summary_bullets": [claim("The customer would like to learn pottery.", &[1])],
            "next_actions": [
                action("You can count on my colleague ringing you on Thursday.", 2),
                action("پنجشنبه زنگ می‌زنیم.", 3),
            ],
        })),
    );
    assert_eq!(told["next_actions"], json!([]));
    assert_eq!((&told["written_by"]["kept"], &told["written_by"]["dropped"]), (&json!(1), &json!(2)));
}

#[test]
fn what_the_rules_conclude_a_model_does_not_take_back() {
    let events = log(SUPPORT);
    let told = by_model(
        &events,
        &draft(json!({
            "summary_bullets": [claim("The coffee machine of the customer has not arrived.", &[2])],
            "urgency": [claim("low", &[2])],
            "entities": [{ "field": "name", "value": "Peter", "utterances": [2] }],
        })),
    );
    assert_eq!((&told["urgency"], &told["entities"]["name"]), (&json!("high"), &json!("Peter Young")));
}

/// What may be said of [`SUPPORT`], true or not.
fn arbitrary_draft() -> impl Strategy<Value = Draft> {
    let words = prop::sample::select(vec![
        "The customer",
        "The agent",
        "the coffee machine",
        "has not arrived",
        "471926",
        "12 dollars",
        "Peter",
        "Young",
        "Thursday at ten",
        "will refund",
        "the fee",
        "today",
        "Paris",
        "\u{202e}",
        "0912",
        "",
    ]);
    let text = || prop::collection::vec(words.clone(), 0..6).prop_map(|words| words.join(" "));
    let ids = || prop::collection::vec(0u32..18, 0..5);
    let bullet = (text(), ids()).prop_map(|(value, ids)| claim(&value, &ids));
    let fields = prop::sample::select(vec!["name", "phone", "email", "course", "budget", "city"]);
    let entity = (fields, text(), ids())
        .prop_map(|(field, value, ids)| json!({ "field": field, "value": value, "utterances": ids }));
    let action = (text(), ids())
        .prop_map(|(text, ids)| json!({ "type": "task", "channel": null, "text": text, "utterances": ids }));
    let stage = ids().prop_map(|ids| claim("lost", &ids));
    let bullets = prop::collection::vec(bullet, 0..6);
    let entities = prop::collection::vec(entity, 0..4);
    let actions = prop::collection::vec(action, 0..4);
    let stages = prop::collection::vec(stage, 0..2);
    (bullets, entities, actions, stages).prop_map(|(bullets, entities, actions, stages)| {
        draft(json!({
            "summary_bullets": bullets, "entities": entities, "next_actions": actions,
            "lead_stage_suggestion": stages,
        }))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_a_model_says_an_insight_says_only_what_its_log_does(draft in arbitrary_draft()) {
        by_model(&log(SUPPORT), &draft);
    }

    #[test]
    fn whatever_a_log_says_an_insight_says_nothing_else(events in arbitrary_log()) {
        let state = CallState::of(&events);
        let insight = CallInsight::of(&events);
        let checked = check(&insight, &state);
        prop_assert_eq!(checked.faults, Vec::<String>::new());
        let json = serde_json::to_value(&insight).unwrap();
        let confidence = json["confidence"].as_f64().unwrap();
        prop_assert!((0.0..=1.0).contains(&confidence));
        let bullets = texts(&json);
        prop_assert!(bullets.len() <= 6);
        for text in bullets {
            prop_assert!(state.finals().any(|said| said.text.contains(text)), "{}", text);
        }
        if !state.may_have_mood() {
            prop_assert!(json["sentiment"].is_null() && json["arc"].is_null());
        }
        // The server leaves partial words out of a log that it reviews.
        let counts = |event: &&CallEvent| {
            !matches!(&event.body, EventBody::Utterance(said) if !said.r#final && said.revision == 0)
        };
        let of_rest = CallInsight::of(events.iter().filter(counts));
        prop_assert_eq!(of_rest, insight.clone(), "partial words count for nothing");
        prop_assert_eq!(CallInsight::of(&events), insight, "the same log gives the same");

        let quality = Quality::of(&events, &Scorecard::built_in());
        prop_assert!(quality.total().is_none_or(|total| (0.0..=1.0).contains(&total)));
        for one in questions(&events) {
            prop_assert!(one["score"].is_null() != one["not_judged"].is_null());
        }
    }

    #[test]
    fn what_is_no_scorecard_is_refused(text in "\\PC{0,80}") {
        let _ = Scorecard::parse(&text);
    }
}
