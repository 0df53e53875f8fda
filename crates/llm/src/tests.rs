//! Servers that are well, slow, ill, and hostile.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::testing::{Fake, Reply};
use super::*;

#[derive(Debug, PartialEq, Deserialize)]
struct Word {
    word: String,
}

fn schema() -> Schema {
    let value = json!({
        "type": "object", "properties": { "word": { "type": "string" } }, "required": ["word"],
        "additionalProperties": false,
    });
    Schema::new("word", value).unwrap()
}

fn prompt() -> Prompt {
    Template::CHECK.fill(&[]).unwrap()
}

fn says(text: &str) -> Reply {
    Reply::Says(text.to_owned())
}

const GREEN: &str = r#"{"word": "green"}"#;

async fn ask(llm: &Llm) -> Result<Answered<Word>, LlmError> {
    llm.ask(Purpose::Check, &prompt(), &schema(), Duration::MAX).await
}

/// Asks one that does these in turn, with other settings.
async fn asked(
    replies: Vec<Reply>,
    set: impl FnOnce(&mut Settings),
) -> (Result<Answered<Word>, LlmError>, Fake, Llm) {
    let fake = Fake::in_turn(replies).await;
    let mut settings = fake.settings();
    set(&mut settings);
    let llm = Llm::new(settings).unwrap();
    (ask(&llm).await, fake, llm)
}

#[tokio::test]
async fn an_answer_comes_with_what_it_cost() {
    for (reply, is_estimate) in [(says(GREEN), false), (Reply::Whole(GREEN.to_owned()), true)] {
        let (answered, fake, llm) = asked(vec![reply], |settings| {
            settings.key = "secret".to_owned();
            settings.prompt_price = 1_000_000.0;
        })
        .await;
        let answered = answered.unwrap();
        assert_eq!((answered.value.word.as_str(), answered.model.as_str()), ("green", "fake"));
        assert_eq!((answered.template, answered.form), ("check.v1", Some(Form::Schema)));
        assert_eq!((answered.was_repaired, answered.usage.is_estimate), (false, is_estimate));
        let asked = &fake.asked()[0];
        assert_eq!(asked["response_format"]["json_schema"]["schema"]["required"], json!(["word"]));
        assert_eq!((&asked["model"], &asked["stream"]), (&json!("fake"), &json!(true)));
        let counts = &llm.figures().counts[&Purpose::Check];
        assert_eq!((counts.answered, counts.invalid, counts.prompt_tokens > 0), (1, 0, true));
        assert!((counts.cost - counts.prompt_tokens as f64).abs() < 1e-6);
        assert!(!format!("{llm:?} {:?}", fake.settings()).contains("secret"));
    }
}

#[tokio::test]
async fn words_are_given_on_while_they_come() {
    let fake = Fake::in_turn(vec![says("It is green, I think.")]).await;
    let llm = Llm::new(fake.settings()).unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hear = heard.clone();
    let said =
        llm.say(Purpose::Check, &prompt(), move |text| hear.lock().unwrap().push(text.to_owned())).await;
    let heard = heard.lock().unwrap();
    assert!(heard.len() > 1, "{heard:?}");
    assert_eq!([heard.concat(), said.unwrap().value], ["It is green, I think."; 2]);
}

#[tokio::test]
async fn another_form_is_put_right_once() {
    let (answered, fake, llm) = asked(vec![says(r#"{"colour": "red"}"#), says(GREEN)], |_| {}).await;
    let answered = answered.unwrap();
    assert!(answered.was_repaired);
    assert_eq!(answered.usage.prompt_tokens, 14, "both prompts were paid for");
    let second = fake.asked()[1]["messages"].as_array().unwrap().clone();
    assert_eq!(second.len(), 4);
    assert!(second[3]["content"].as_str().unwrap().contains("word"), "{second:?}");
    let counts = &llm.figures().counts[&Purpose::Check];
    assert_eq!((counts.invalid, counts.repaired), (1, 1));
    // Cut in the middle, and no better the second time.
    let (answered, fake, llm) = asked(vec![says(r#"{"word": "gre"#)], |_| {}).await;
    assert!(matches!(answered, Err(LlmError::Form(_))), "{answered:?}");
    assert_eq!(fake.asked().len(), 2);
    assert_eq!(llm.figures().counts[&Purpose::Check].failed, BTreeMap::from([("form", 1)]));
}

#[tokio::test]
async fn a_server_that_knows_no_schemas_is_asked_in_another_way_from_then_on() {
    let no = "response_format json_schema is not supported";
    let knows = |kinds: &'static [&'static str]| {
        move |_: usize, asked: &Value| match asked["response_format"]["type"].as_str() {
            Some(kind) if !kinds.contains(&kind) => Reply::Status(400, vec![], no),
            _ => says(GREEN),
        }
    };
    for (kinds, form, attempts) in [(&["json_object"][..], Form::Object, 2), (&[][..], Form::Prompt, 3)] {
        let fake = Fake::start(knows(kinds)).await;
        let llm = Llm::new(fake.settings()).unwrap();
        assert_eq!(ask(&llm).await.unwrap().form, Some(form));
        assert_eq!(fake.asked().len(), attempts);
        let last = fake.asked().pop().unwrap();
        assert!(last["messages"][0]["content"].as_str().unwrap().contains("JSON Schema"), "{last}");
        assert_eq!(ask(&llm).await.unwrap().form, Some(form));
        assert_eq!(fake.asked().len(), attempts + 1);
    }
    let picky = |_: usize, asked: &Value| match asked["stream_options"].is_object() {
        true => Reply::Status(422, vec![], "unknown field stream_options"),
        false => says(GREEN),
    };
    let fake = Fake::start(picky).await;
    let llm = Llm::new(fake.settings()).unwrap();
    assert_eq!(ask(&llm).await.unwrap().form, Some(Form::Schema));
    let (answered, fake, _) = asked(vec![Reply::Status(400, vec![], "no such model")], |_| {}).await;
    assert!(answered.unwrap_err().to_string().contains("no such model"));
    assert_eq!(fake.asked().len(), 3);
}

#[tokio::test]
async fn what_passes_is_waited_for() {
    let busy = Reply::Status(429, vec![("retry-after", "1")], "slow down");
    let begun = Instant::now();
    let (answered, fake, llm) = asked(vec![busy.clone(), says(GREEN)], |settings| settings.retries = 2).await;
    assert_eq!(answered.unwrap().value.word, "green");
    assert!(begun.elapsed() >= Duration::from_secs(1), "it was asked again after {:?}", begun.elapsed());
    assert_eq!((fake.asked().len(), llm.figures().counts[&Purpose::Check].retried), (2, 1));
    // What is asked to wait longer than anybody does is told at once.
    let begun = Instant::now();
    let long = Reply::Status(503, vec![("retry-after", "3600")], "");
    let (answered, fake, llm) = asked(vec![long], |settings| settings.retries = 2).await;
    assert!(matches!(answered, Err(LlmError::Refused { status: 503, .. })), "{answered:?}");
    assert!(fake.asked().len() == 1 && begun.elapsed() < Duration::from_secs(10));
    // Nor is it asked by others before that.
    let answered = ask(&llm).await;
    assert!(matches!(answered, Err(LlmError::Resting(_))), "{answered:?}");
    assert_eq!(fake.asked().len(), 1);
    // A wrong key stays wrong.
    let (answered, fake, _) =
        asked(vec![Reply::Status(401, vec![], "who?")], |settings| settings.retries = 2).await;
    assert!(matches!(answered, Err(LlmError::Refused { status: 401, .. })), "{answered:?}");
    assert_eq!(fake.asked().len(), 1);
    // One that broke is asked again, unless somebody has heard the begin.
    let broken = Reply::Breaks("data: {\"choices\":[{\"delta\":{\"content\":\"{\"}}]}\n\n");
    let (answered, ..) = asked(vec![broken.clone(), says(GREEN)], |settings| settings.retries = 1).await;
    assert_eq!(answered.unwrap().value.word, "green");
    let fake = Fake::in_turn(vec![broken, says(GREEN)]).await;
    let llm = Llm::new(Settings { retries: 1, ..fake.settings() }).unwrap();
    let said = llm.say(Purpose::Check, &prompt(), |_| {}).await;
    assert!(matches!(said, Err(LlmError::Cut)), "{said:?}");
}

#[tokio::test]
async fn the_slow_and_the_silent_are_given_up() {
    let short = |settings: &mut Settings| {
        settings.first_token = Duration::from_millis(300);
        settings.whole = Duration::from_millis(900);
    };
    for reply in [
        Reply::Silence,
        Reply::Bytes("data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n"),
        Reply::Drips(Duration::from_millis(50)),
    ] {
        let begun = Instant::now();
        let (answered, ..) = asked(vec![reply.clone()], short).await;
        let error = answered.unwrap_err();
        // A stream that ends without a word broke off.
        let is_right = match &reply {
            Reply::Bytes(_) => matches!(error, LlmError::Cut),
            _ => matches!(error, LlmError::TooSlow(_)),
        };
        assert!(is_right, "{reply:?}: {error:?}");
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}

#[tokio::test]
async fn a_stream_that_stops_between_two_words_is_given_up() {
    let begun = Instant::now();
    let stalls = Reply::Stalls("data: {\"choices\":[{\"delta\":{\"content\":\"{\"}}]}\n\n: ping\n\n");
    let (answered, ..) = asked(vec![stalls], |settings| {
        settings.first_token = Duration::from_millis(300);
        settings.whole = Duration::from_secs(60);
    })
    .await;
    assert!(matches!(answered, Err(LlmError::TooSlow(_))), "{answered:?}");
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn who_has_no_time_says_nothing_about_a_server() {
    let fake = Fake::in_turn(vec![Reply::Silence]).await;
    let llm = Llm::new(fake.settings()).unwrap();
    for _ in 0..7 {
        let asked = llm.ask::<Word>(Purpose::Check, &prompt(), &schema(), Duration::from_millis(20)).await;
        assert!(matches!(asked, Err(LlmError::TooSlow(_))), "{asked:?}");
    }
    assert_eq!(llm.figures().standing, Standing::Closed);
}

#[tokio::test]
async fn what_was_spent_is_told_and_counts_after_a_restart() {
    let fake = Fake::in_turn(vec![says(GREEN)]).await;
    let before = Llm::new(fake.settings()).unwrap();
    let mut spending = before.spending();
    assert!(spending.borrow_and_update().tokens.is_empty());
    ask(&before).await.unwrap();
    assert!(spending.has_changed().unwrap());
    let spent = spending.borrow_and_update().clone();
    assert_eq!(spent.tokens, BTreeMap::from([(Purpose::Check, 10)]));
    let after = Llm::new(Settings { tokens_per_day: 5_000, ..fake.settings() }).unwrap();
    after.resume(&spent);
    assert!(ask(&after).await.is_ok());
    after.resume(&Spent { tokens: BTreeMap::from([(Purpose::Answer, 4_900)]), ..spent });
    let answered = ask(&after).await;
    assert!(matches!(answered, Err(LlmError::Budget)), "{answered:?}");
}

#[tokio::test]
async fn nobody_waits_longer_than_they_have_patience_and_that_counts() {
    let fake = Fake::in_turn(vec![Reply::Silence]).await;
    let llm = Llm::new(fake.settings()).unwrap();
    let patience = Duration::from_millis(100);
    let asked = llm.ask::<Word>(Purpose::Check, &prompt(), &schema(), patience).await;
    assert!(matches!(asked, Err(LlmError::TooSlow(_))), "{asked:?}");
    assert_eq!(llm.figures().counts[&Purpose::Check].failed, BTreeMap::from([("too_slow", 1)]));
    timeout(Duration::from_secs(10), fake.given_up()).await.unwrap();
}

#[tokio::test]
async fn a_question_that_nobody_waits_for_any_more_is_dropped_at_the_server_too() {
    let asked = Arc::new(Notify::new());
    let tell = asked.clone();
    let fake = Fake::start(move |_, _: &Value| {
        tell.notify_one();
        Reply::Silence
    })
    .await;
    let llm = Llm::new(fake.settings()).unwrap();
    let theirs = llm.clone();
    let question = tokio::spawn(async move { ask(&theirs).await });
    asked.notified().await;
    assert_eq!(llm.figures().going_on, 1);
    question.abort();
    timeout(Duration::from_secs(10), fake.given_up()).await.unwrap();
    assert_eq!(llm.figures().going_on, 0);
}

#[tokio::test]
async fn nonsense_and_floods_are_refused() {
    for (reply, kind) in [
        (Reply::Bytes("data: <html>\n\ndata: [DONE]\n\n"), "garbage"),
        (Reply::Bytes("data: {\"error\":{\"message\":\"out of memory\"}}\n\n"), "garbage"),
        (Reply::Status(200, vec![("content-type", "text/html")], "<h1>Welcome</h1>"), "garbage"),
        (Reply::Bytes(""), "cut"),
        (Reply::Floods, "too_long"),
        (Reply::Status(500, vec![], "oops"), "refused"),
    ] {
        let (answered, ..) = asked(vec![reply.clone()], |_| {}).await;
        assert_eq!(answered.unwrap_err().kind(), kind, "{reply:?}");
    }
}

#[tokio::test]
async fn a_dead_server_is_left_alone_after_a_while() {
    let gone = Fake::in_turn(vec![Reply::Silence]).await;
    let settings = Settings { url: "http://127.0.0.1:9".to_owned(), ..gone.settings() };
    let llm = Llm::new(settings).unwrap();
    let mut kinds = Vec::new();
    for _ in 0..7 {
        kinds.push(ask(&llm).await.unwrap_err().kind());
    }
    assert_eq!(kinds, [&["unreachable"; 5][..], &["resting"; 2][..]].concat());
    assert_eq!(llm.figures().standing, Standing::Open);
    assert!(
        llm.figures().spent_today.values().all(|tokens| *tokens == 0),
        "what was never sent cost nothing"
    );
}

#[tokio::test]
async fn budgets_limits_and_room_are_kept() {
    let (answered, fake, _) = asked(vec![says(GREEN)], |settings| settings.tokens_per_day = 10).await;
    assert!(matches!(answered, Err(LlmError::Budget)), "{answered:?}");
    assert!(fake.asked().is_empty());
    let each = BTreeMap::from([(Purpose::Answer, 10)]);
    let (answered, fake, llm) = asked(vec![says(GREEN)], |settings| settings.purposes_per_day = each).await;
    assert_eq!((answered.is_ok(), llm.figures().spent_today[&Purpose::Check]), (true, 10));
    let answered = llm.ask::<Word>(Purpose::Answer, &prompt(), &schema(), Duration::MAX).await;
    assert!(matches!(answered, Err(LlmError::Budget)), "{answered:?}");
    assert_eq!(fake.asked().len(), 1);

    let (answered, fake, _) = asked(vec![says(GREEN)], |settings| {
        settings.answer_tokens = 100;
        settings.context_tokens = 130;
    })
    .await;
    assert!(matches!(answered, Err(LlmError::NoRoom { .. })), "{answered:?}");
    assert!(fake.asked().is_empty());
    assert!(Llm::new(Settings { context_tokens: 100, answer_tokens: 100, ..fake.settings() }).is_err());
}

#[tokio::test]
async fn what_a_prompt_grows_to_has_to_fit_as_well() {
    // Room for the prompt, and neither for a description of the form nor for having an answer put right.
    let tight = |settings: &mut Settings| {
        settings.answer_tokens = 100;
        settings.context_tokens = 200;
    };
    let no = Reply::Status(400, vec![], "response_format json_schema is not supported");
    let (answered, fake, _) = asked(vec![no, says(GREEN)], tight).await;
    assert!(matches!(answered, Err(LlmError::NoRoom { .. })), "{answered:?}");
    assert_eq!(fake.asked().len(), 1);
    let (answered, fake, _) = asked(vec![says(r#"{"colour": "red"}"#), says(GREEN)], tight).await;
    assert!(matches!(answered, Err(LlmError::Form(_))), "{answered:?}");
    assert_eq!(fake.asked().len(), 1);
}

#[tokio::test]
async fn more_than_may_wait_are_told_so() {
    let fake = Fake::in_turn(vec![Reply::Silence]).await;
    let llm =
        Llm::new(Settings { concurrency: 1, whole: Duration::from_secs(2), ..fake.settings() }).unwrap();
    let questions = (0..30).map(|_| ask(&llm));
    let outcomes = futures::future::join_all(questions).await;
    let kinds: Vec<&str> = outcomes.into_iter().map(|outcome| outcome.unwrap_err().kind()).collect();
    let count = |kind: &str| kinds.iter().filter(|one| **one == kind).count();
    // One is answered, eight wait, and may have their turn at the very end.
    assert!(count("busy") >= 21 && count("too_slow") >= 1, "{kinds:?}");
    assert!(count("busy") + count("too_slow") + count("resting") == 30, "{kinds:?}");
    assert!(fake.asked().len() <= 9 && llm.figures().going_on == 0);
}
