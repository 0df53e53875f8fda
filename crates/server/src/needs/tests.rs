use sotto_call::testing::utterance;
use sotto_call::{
    ArcPoint, Attention, CallLog, CallStarted, ChecklistItem, Consent, CustomerUtterance, Emotion, Intent,
    LegStarted, Load, Mood, PartyChange, Sentiment, Source, Transferred, Trend, Turn, TurnDirection,
    Utterance, WordsMood,
};
use sotto_insight::{Playbook, PromptSet};

use super::*;
use crate::alerts::{AlertsConfig, SaidBy, WordAlert};

/// A call that goes through us and is 10 s old.
struct Call {
    log: CallLog,
    needs: Needs,
}

impl Call {
    fn new() -> Self {
        Self::under(Rules::default())
    }

    /// One whose supervisors are told of what these rules say.
    fn under(rules: Rules) -> Self {
        let mut call = Self { log: CallLog::default(), needs: Needs::new(Arc::new(rules)) };
        call.happens(
            0,
            EventBody::CallStarted(CallStarted {
                version: sotto_call::FORMAT_VERSION,
                source: Source::Sip,
                started_at_unix_ms: 0,
                external_id: String::new(),
                participants: Vec::new(),
                language: None,
                bridged: true,
                parties_guessed: false,
                headers: Default::default(),
            }),
        );
        assert_eq!(call.needs.phase, Phase::Connecting);
        let codec = "PCMA".to_owned();
        call.happens(10, EventBody::LegStarted(LegStarted { party: Party::Customer, codec }));
        call
    }

    fn happens(&mut self, s: u64, body: EventBody) {
        self.needs.apply(&self.log.append(Millis(s * 1_000), body));
    }

    fn becomes(&mut self, s: u64, condition: Condition) {
        self.needs.becomes(Millis(s * 1_000), condition);
    }

    fn says(&mut self, s: u64, party: Party) {
        let end_ms = Millis(s * 1_000);
        let partial = Utterance { r#final: false, end_ms, ..utterance(0, party, "yes") };
        self.happens(s, EventBody::Utterance(partial));
    }

    /// The customer's final words.
    fn customer_says(&mut self, s: u64, id: u32, text: &str) -> CustomerUtterance {
        let said = Utterance { end_ms: Millis(s * 1_000), ..utterance(id, Party::Customer, text) };
        self.happens(s, EventBody::Utterance(said.clone()));
        // What is taken back has no mood; what is made of it here stands for something else that was said.
        CustomerUtterance::of(&Utterance { text: "so".to_owned(), ..said }).unwrap()
    }

    /// Anybody's final words, which end at this second.
    fn says_at_last(&mut self, s: u64, id: u32, party: Party, text: &str) {
        let (start_ms, end_ms) = (Millis(s.saturating_sub(2) * 1_000), Millis(s * 1_000));
        self.happens(s, EventBody::Utterance(Utterance { start_ms, end_ms, ..utterance(id, party, text) }));
    }

    fn supervisor(&mut self, s: u64, attention: Option<Attention>) {
        self.happens(s, EventBody::Supervisor(Supervisor { name: "sara".into(), attention }));
    }

    fn item(&mut self, s: u64, name: &str, done: bool) {
        let title = BTreeMap::from([("en".to_owned(), name.to_owned())]);
        let item = ChecklistItem { name: name.to_owned(), title, done, evidence: None };
        self.happens(s, EventBody::Checklist(item));
    }

    /// What the first alert is about, as people call it.
    fn title(&self, s: u64) -> Option<String> {
        let now = self.needs.now(Millis(s * 1_000), &CallState::default());
        now.alerts.first()?.title.get("en").cloned()
    }

    fn feels(&mut self, s: u64, said: &CustomerUtterance, valence: f32, turn: Option<Turn>) {
        let (negative, positive) = ((-valence).max(0.0), valence.max(0.0));
        let sentiment = Sentiment { negative, neutral: 1.0 - negative - positive, positive };
        let words = WordsMood { sentiment, valence, emotion: Emotion::Neutral, emotion_p: 1.0 };
        let (at_ms, trend) = (Millis(s * 1_000), Trend::Steady);
        let arc = ArcPoint { at_ms, valence, deviation: 0.3, trend, arousal: None };
        self.happens(s, EventBody::Mood(Mood::of(said, words, arc, turn, Millis(0))));
    }

    fn wants(&mut self, s: u64, said: &CustomerUtterance, name: Option<&str>) {
        let (name, title) = (name.map(str::to_owned), BTreeMap::from([("en".into(), "Complaint".into())]));
        let intent = Intent { name, title, alert: true, ..Intent::none(said, Millis(0)) };
        self.happens(s, EventBody::Intent(intent));
    }

    /// What the first alert rests on.
    fn evidence(&self, s: u64) -> Option<(u32, String)> {
        let now = self.needs.now(Millis(s * 1_000), &CallState::default());
        let evidence = now.alerts.first()?.evidence.as_ref()?;
        Some((evidence.utterance_id.0, evidence.text.clone()))
    }

    fn alerts(&self, s: u64) -> Vec<(AlertKind, Severity, u64)> {
        let now = self.needs.now(Millis(s * 1_000), &CallState::default());
        now.alerts.iter().map(|alert| (alert.kind, alert.severity, alert.since_ms.0 / 1_000)).collect()
    }

    fn due(&self, s: u64) -> Option<u64> {
        self.needs.due(Millis(s * 1_000)).map(|at| at.0 / 1_000)
    }
}

fn customer() -> PartyChange {
    PartyChange { party: Some(Party::Customer) }
}

#[test]
fn a_hold_is_worth_a_look_after_a_minute_and_urgent_after_three() {
    let mut call = Call::new();
    call.happens(20, EventBody::Paused(customer()));
    assert_eq!((call.needs.phase, call.needs.since), (Phase::OnHold, Millis(20_000)));
    assert_eq!((call.alerts(79), call.due(20)), (vec![], Some(80)));
    assert_eq!(call.alerts(80), [(AlertKind::OnHold, Severity::Warning, 20)]);
    assert_eq!(
        (call.alerts(200), call.due(80)),
        (vec![(AlertKind::OnHold, Severity::Urgent, 20)], Some(200))
    );
    assert_eq!(call.due(200), None);
    call.happens(201, EventBody::Resumed(customer()));
    assert_eq!((call.alerts(260), call.needs.phase), (vec![], Phase::Talking));
}

#[test]
fn a_customer_who_is_not_heard_for_a_minute_is_told_of_where_words_are_understood() {
    let mut call = Call::new();
    assert_eq!((call.alerts(100), call.due(10)), (vec![], None), "nobody has understood anything");
    call.says(20, Party::Agent);
    assert_eq!((call.alerts(69), call.due(20)), (vec![], Some(70)));
    assert_eq!(call.alerts(70), [(AlertKind::Silent, Severity::Warning, 10)]);
    call.says(71, Party::Customer);
    assert_eq!((call.alerts(72), call.due(72)), (vec![], Some(131)));
    // On hold nobody can say anything, and afterwards the minute begins anew.
    call.happens(100, EventBody::Paused(customer()));
    assert_eq!(call.alerts(140), []);
    call.happens(150, EventBody::Resumed(customer()));
    assert_eq!((call.alerts(209), call.due(150)), (vec![], Some(210)));
}

#[test]
fn an_unhappy_customer_is_told_of_with_the_sentence_that_says_why_until_it_is_better() {
    let mut call = Call::new();
    let first = call.customer_says(20, 1, "I have been waiting for a week.");
    call.feels(20, &first, -0.25, None);
    assert_eq!(call.alerts(20), [], "that may be chance");
    let second = call.customer_says(30, 2, "Nobody calls me back.");
    let turn = Turn { direction: TurnDirection::Decline, since: UtteranceId(1), trigger: None };
    call.feels(30, &second, -0.4, Some(turn));
    assert_eq!(call.alerts(30), [(AlertKind::Unhappy, Severity::Warning, 30)]);
    assert_eq!(call.evidence(30), Some((1, "I have been waiting for a week.".to_owned())));
    // The words are revised, and the mood is a little better.
    call.customer_says(35, 1, "I have been waiting for two weeks.");
    call.feels(36, &second, -0.1, None);
    assert_eq!(
        call.evidence(36).map(|(_, text)| text).as_deref(),
        Some("I have been waiting for two weeks.")
    );
    assert_eq!(call.due(36), Some(95), "then nothing has been heard of the customer for a minute");
    assert!(call.alerts(150).contains(&(AlertKind::Unhappy, Severity::Urgent, 30)));
    call.feels(151, &second, 0.0, None);
    assert!(call.alerts(151).iter().all(|(kind, ..)| *kind != AlertKind::Unhappy));
}

#[test]
fn what_an_older_utterance_is_revised_to_is_no_news_of_how_the_customer_feels() {
    let begun = |valences: [f32; 2]| {
        let mut call = Call::new();
        let first = call.customer_says(20, 1, "It is a grace.");
        call.feels(20, &first, valences[0], None);
        let second = call.customer_says(25, 2, "And now this.");
        call.feels(25, &second, valences[1], None);
        (call, first)
    };
    // They were unhappy then, as is only heard now, and are content; and the other way round.
    let (mut call, first) = begun([0.0, 0.5]);
    call.feels(30, &first, -0.9, None);
    assert_eq!(call.alerts(30), []);
    let (mut call, first) = begun([0.0, -0.9]);
    call.feels(30, &first, 0.5, None);
    assert_eq!(call.alerts(30), [(AlertKind::Unhappy, Severity::Warning, 25)]);
    // The very words that it rests on turn out to be harmless.
    let (mut call, first) = begun([-0.9, -0.2]);
    assert_eq!(call.evidence(30).map(|(id, _)| id), Some(1));
    call.feels(30, &first, 0.1, None);
    assert_eq!(call.alerts(30), []);
}

#[test]
fn who_takes_the_customers_place_is_not_unhappy_for_the_one_before() {
    let mut call = Call::new();
    let said = call.customer_says(20, 1, "I have had enough of this.");
    call.feels(20, &said, -0.9, None);
    let to = "200".to_owned();
    call.happens(21, EventBody::Transferred(Transferred { party: Party::Agent, to: to.clone() }));
    assert_eq!(call.alerts(21), [(AlertKind::Unhappy, Severity::Warning, 20)]);
    call.happens(22, EventBody::Transferred(Transferred { party: Party::Customer, to }));
    assert_eq!(call.alerts(22), []);
}

#[test]
fn a_mood_without_the_customers_words_is_no_alert() {
    let mut call = Call::new();
    let said = call.customer_says(20, 1, "I have had enough of this.");
    call.customer_says(21, 1, "");
    call.feels(22, &said, -0.9, None);
    assert_eq!(call.alerts(22), []);
    let said = call.customer_says(23, 2, "I have had enough of this.");
    call.feels(24, &said, -0.9, None);
    assert_eq!(call.alerts(24), [(AlertKind::Unhappy, Severity::Warning, 24)]);
    call.customer_says(25, 2, "");
    assert_eq!(call.alerts(25), [], "the words that it rests on were taken back");
}

#[test]
fn what_supervisors_are_to_know_of_is_told_until_one_has_come() {
    let mut call = Call::new();
    let said = call.customer_says(20, 1, "I want to complain.");
    call.wants(20, &said, Some("complaint"));
    assert_eq!(call.alerts(20), [(AlertKind::Wants, Severity::Warning, 20)]);
    assert_eq!(call.evidence(20), Some((1, "I want to complain.".to_owned())));
    let again = call.customer_says(30, 2, "This is a complaint.");
    call.wants(30, &again, Some("complaint"));
    assert_eq!(call.alerts(30), [(AlertKind::Wants, Severity::Warning, 20)], "that is known");
    let attention = Some(Attention::Listen);
    call.supervisor(40, attention);
    call.wants(41, &said, Some("complaint"));
    assert_eq!(call.alerts(41), [], "a revision is nothing new");
    call.supervisor(45, None);
    let later = call.customer_says(50, 3, "And I want to complain about that, too.");
    call.wants(50, &later, Some("complaint"));
    assert_eq!(call.alerts(50), [(AlertKind::Wants, Severity::Warning, 50)]);
    call.wants(51, &later, None);
    assert_eq!(call.alerts(51), [], "it was misheard");
}

#[test]
fn what_is_wanted_twice_is_still_wanted_when_the_first_time_was_misheard() {
    let mut call = Call::new();
    let first = call.customer_says(20, 1, "I want to complete it.");
    call.wants(20, &first, Some("complaint"));
    let second = call.customer_says(30, 2, "I want to complain.");
    call.wants(30, &second, Some("complaint"));
    call.wants(31, &first, None);
    assert_eq!(call.alerts(31), [(AlertKind::Wants, Severity::Warning, 20)]);
    assert_eq!(call.evidence(31), Some((2, "I want to complain.".to_owned())));
    call.wants(32, &second, None);
    assert_eq!(call.alerts(32), []);
}

fn words(title: &str, phrase: &str, by: SaidBy) -> WordAlert {
    let title = BTreeMap::from([("en".to_owned(), title.to_owned())]);
    WordAlert { title, phrases: vec![phrase.to_owned()], by }
}

#[test]
fn words_that_matter_are_told_of_once_until_a_supervisor_has_come() {
    let all =
        vec![words("Lawyer", "my lawyer", SaidBy::Customer), words("Promise", "I promise", SaidBy::Agent)];
    let config = AlertsConfig { words: all, silence_s: 0, checklist: false };
    let mut call = Call::under(Rules::new(&config, Arc::default()));
    call.says_at_last(20, 1, Party::Agent, "Then talk to my lawyer.");
    assert_eq!(call.alerts(20), [], "the agent does not count");
    for (s, id) in [(30, 2), (31, 3), (40, 4)] {
        call.says_at_last(s, id, Party::Customer, "You will hear from MY LAWYER.");
        assert_eq!(call.alerts(s), [(AlertKind::Said, Severity::Warning, 30)], "one alert, however often");
    }
    assert_eq!(call.evidence(40), Some((2, "You will hear from MY LAWYER.".to_owned())));
    assert_eq!(call.title(40).as_deref(), Some("Lawyer"));
    // The words are revised: they are shown as they are now, and gone when they were something else.
    call.customer_says(41, 2, "You will hear from my lawyer soon.");
    assert_eq!(
        call.evidence(41).map(|(_, text)| text).as_deref(),
        Some("You will hear from my lawyer soon.")
    );
    call.customer_says(42, 2, "You will hear from my foyer soon.");
    assert_eq!(call.alerts(42), [(AlertKind::Said, Severity::Warning, 30)], "it was said again");
    assert_eq!(call.evidence(42), Some((3, "You will hear from MY LAWYER.".to_owned())));
    call.customer_says(43, 3, "");
    assert_eq!(call.evidence(43), Some((4, "You will hear from MY LAWYER.".to_owned())));
    call.customer_says(44, 4, "You will hear from my foyer.");
    assert_eq!(call.alerts(44), []);
    call.says_at_last(50, 5, Party::Agent, "I promise that it comes.");
    assert_eq!(
        (call.alerts(50), call.title(50).as_deref()),
        (vec![(AlertKind::Said, Severity::Warning, 50)], Some("Promise"))
    );
    call.supervisor(60, Some(Attention::Listen));
    assert_eq!(call.alerts(60), []);
    call.supervisor(70, None);
    call.says_at_last(80, 6, Party::Agent, "I promise.");
    assert_eq!(call.alerts(80), [], "they have come for that");
    call.says_at_last(361, 7, Party::Agent, "I promise.");
    assert!(call.alerts(361).contains(&(AlertKind::Said, Severity::Warning, 361)), "that was long ago");
}

#[test]
fn nobody_says_anything_is_one_alert_for_silences_that_follow_each_other() {
    let config = AlertsConfig { silence_s: 30, ..AlertsConfig::default() };
    let mut call = Call::under(Rules::new(&config, Arc::default()));
    call.says_at_last(20, 1, Party::Agent, "One moment, please.");
    assert_eq!(call.due(20), Some(70), "before both have talked nobody is expected to");
    call.says_at_last(25, 2, Party::Customer, "Yes.");
    assert_eq!((call.alerts(54), call.due(25)), (vec![], Some(55)));
    assert_eq!(call.alerts(55), [(AlertKind::DeadAir, Severity::Warning, 25)]);
    assert_eq!(call.evidence(55), Some((2, "Yes.".to_owned())));
    assert_eq!(
        call.alerts(100),
        [(AlertKind::DeadAir, Severity::Warning, 25)],
        "and not a silent customer too"
    );
    // Somebody is being heard, before their words are final.
    call.says(101, Party::Agent);
    assert_eq!(call.alerts(101), [(AlertKind::Silent, Severity::Warning, 25)]);
    call.says_at_last(103, 3, Party::Agent, "It takes a while.");
    assert_eq!(call.alerts(150), [(AlertKind::Silent, Severity::Warning, 25)], "too soon to tell it again");
    assert_eq!(call.alerts(221)[0], (AlertKind::DeadAir, Severity::Warning, 103));
    call.happens(230, EventBody::Paused(customer()));
    assert!(call.alerts(231).iter().all(|(kind, ..)| *kind != AlertKind::DeadAir), "they hear music");
}

const CHECKLIST: &str = r#"
    [[checklist]]
    name = "recorded"
    title = { en = "The call is recorded" }
    within_s = 30
    examples.en = ["This call is recorded."]

    [[checklist]]
    name = "more"
    title = { en = "Anything else?" }
    before_end = true
    examples.en = ["Is there anything else I can do for you?"]
"#;

#[test]
fn what_must_be_said_and_was_not_is_told_of_until_it_is_said_or_a_supervisor_has_come() {
    let playbook = || Arc::new(Playbook::new(PromptSet::parse(CHECKLIST).unwrap(), None));
    let config = AlertsConfig { silence_s: 0, ..AlertsConfig::default() };
    let mut call = Call::under(Rules::new(&config, playbook()));
    call.says_at_last(12, 1, Party::Agent, "Hello, this is Mina.");
    assert_eq!(call.alerts(60), [], "where nobody looks whether it is said there is no checklist");
    for name in ["recorded", "more"] {
        call.item(12, name, false);
    }
    assert_eq!((call.alerts(39), call.due(13)), (vec![], Some(40)));
    assert_eq!(call.alerts(40), [(AlertKind::NotSaid, Severity::Warning, 40)]);
    assert_eq!(call.title(40).as_deref(), Some("The call is recorded"));
    assert_eq!(call.evidence(40), Some((1, "Hello, this is Mina.".to_owned())));
    call.item(45, "recorded", true);
    assert_eq!(call.alerts(45), []);
    call.says_at_last(50, 2, Party::Customer, "Thank you, goodbye.");
    assert_eq!(call.alerts(50), [(AlertKind::NotSaid, Severity::Warning, 50)]);
    assert_eq!(call.evidence(50), Some((2, "Thank you, goodbye.".to_owned())));
    call.supervisor(51, Some(Attention::Whisper));
    assert_eq!(call.alerts(52), []);

    let config = AlertsConfig { checklist: false, ..config };
    let mut quiet = Call::under(Rules::new(&config, playbook()));
    quiet.item(10, "recorded", false);
    quiet.says_at_last(12, 1, Party::Agent, "Hello, this is Mina.");
    assert_eq!(quiet.alerts(60), []);
}

#[test]
fn a_further_goodbye_is_no_further_alert_and_stands_when_the_first_was_misheard() {
    let playbook = Arc::new(Playbook::new(PromptSet::parse(CHECKLIST).unwrap(), None));
    let config = AlertsConfig { silence_s: 0, ..AlertsConfig::default() };
    let begun = || {
        let mut call = Call::under(Rules::new(&config, Arc::clone(&playbook)));
        call.item(12, "more", false);
        call.says_at_last(20, 1, Party::Customer, "Thank you, goodbye.");
        call
    };
    let not_said = |s| [(AlertKind::NotSaid, Severity::Warning, s)];
    let mut call = begun();
    call.says_at_last(25, 2, Party::Agent, "Goodbye.");
    assert_eq!(call.alerts(25), not_said(20));
    call.says_at_last(26, 2, Party::Agent, "Good buy.");
    assert_eq!(call.alerts(26), not_said(20), "the first stands");
    call.says_at_last(27, 2, Party::Agent, "Goodbye.");
    call.customer_says(28, 1, "Thank you, good buy.");
    assert_eq!(call.alerts(28), not_said(27));
    assert_eq!(call.evidence(28), Some((2, "Goodbye.".to_owned())));

    let mut call = begun();
    call.supervisor(21, Some(Attention::Listen));
    call.supervisor(22, None);
    call.says_at_last(25, 2, Party::Agent, "Goodbye.");
    assert_eq!(call.alerts(25), [], "they have come for that");
}

#[test]
fn what_comes_up_while_a_supervisor_is_on_the_call_is_known() {
    let all = vec![words("Lawyer", "my lawyer", SaidBy::Customer)];
    let config = AlertsConfig { words: all, silence_s: 0, checklist: true };
    let playbook = Arc::new(Playbook::new(PromptSet::parse(CHECKLIST).unwrap(), None));
    let mut call = Call::under(Rules::new(&config, playbook));
    call.item(12, "recorded", false);
    call.says_at_last(12, 1, Party::Agent, "Hello, this is Mina.");
    call.supervisor(20, Some(Attention::Listen));
    let omid = |attention| EventBody::Supervisor(Supervisor { name: "omid".into(), attention });
    call.happens(21, omid(Some(Attention::Barge)));
    call.says_at_last(25, 2, Party::Customer, "I have called my lawyer, and I want to complain.");
    let said = CustomerUtterance::of(&utterance(2, Party::Customer, "so")).unwrap();
    call.wants(26, &said, Some("complaint"));
    assert_eq!(call.alerts(26), []);
    // One of them goes; then something is due that was not said, by the passing of time alone.
    call.supervisor(30, None);
    assert_eq!(call.alerts(45), []);
    call.happens(50, omid(None));
    assert_eq!(call.alerts(51), [], "they were there");
    let later = call.customer_says(55, 3, "And I want to complain about that, too.");
    call.wants(55, &later, Some("complaint"));
    assert_eq!(call.alerts(55), [(AlertKind::Wants, Severity::Warning, 55)]);
}

#[test]
fn of_a_customer_who_does_not_agree_nobody_is_told_how_they_feel() {
    let mut call = Call::new();
    let said = call.customer_says(20, 1, "I have had enough of this.");
    call.feels(20, &said, -0.9, None);
    assert_eq!(call.alerts(20), [(AlertKind::Unhappy, Severity::Warning, 20)]);
    call.happens(21, EventBody::Consent(Consent { mood: false }));
    assert_eq!(call.alerts(21), []);
}

#[test]
fn an_employee_is_never_unhappy_whoever_their_words_were_taken_for() {
    let mut call = Call::new();
    let said = call.customer_says(20, 1, "I have had enough of this.");
    call.feels(20, &said, -0.9, None);
    // The words turn out to be the agent's.
    call.says_at_last(21, 1, Party::Agent, "I have had enough of this.");
    assert_eq!(call.alerts(21), []);
    call.feels(22, &said, -0.9, None);
    assert_eq!(call.alerts(22), [], "a mood that comes late");
    let wish = call.customer_says(23, 3, "I want to complain.");
    call.wants(23, &wish, Some("complaint"));
    assert_eq!(call.alerts(23), [(AlertKind::Wants, Severity::Warning, 23)]);
    call.says_at_last(24, 3, Party::Agent, "I want to complain.");
    assert_eq!(call.alerts(24), [], "nor does an employee want anything");
    for party in [Party::Agent, Party::Other] {
        call.says_at_last(30, 2, party, "I have had enough of this.");
        let theirs = CustomerUtterance::of(&utterance(2, Party::Customer, "so")).unwrap();
        call.feels(31, &theirs, -0.9, None);
        assert_eq!(call.alerts(31), [], "a mood that names {party:?}'s words");
    }
}

#[test]
fn what_is_most_serious_comes_first_and_then_what_has_lasted_longer() {
    let mut call = Call::new();
    let load = |shedding| EventBody::Load(Load { shedding, behind_ms: Millis(0) });
    call.happens(12, load(Shedding::LateFinals));
    call.happens(13, load(Shedding::LateFinals));
    call.becomes(30, Condition::Line(Party::Customer, Quality::Poor));
    call.becomes(20, Condition::Line(Party::Agent, Quality::Poor));
    call.becomes(40, Condition::Recorded(false));
    assert_eq!(
        call.alerts(50),
        [
            (AlertKind::NotRecorded, Severity::Urgent, 40),
            (AlertKind::BadLine, Severity::Warning, 20),
            (AlertKind::BadLine, Severity::Warning, 30),
            (AlertKind::WordsLate, Severity::Notice, 12),
        ]
    );
    call.happens(51, load(Shedding::None));
    call.becomes(52, Condition::Recorded(true));
    call.becomes(53, Condition::Line(Party::Customer, Quality::Fair));
    assert_eq!(call.alerts(60), [(AlertKind::BadLine, Severity::Warning, 20)]);
    // Another agent, another line.
    let codec = "opus".to_owned();
    call.happens(61, EventBody::LegStarted(LegStarted { party: Party::Agent, codec }));
    assert_eq!(call.alerts(62), []);
    let lines = call.needs.now(Millis(0), &CallState::default()).lines;
    assert_eq!(lines, [LineNow { party: Party::Customer, quality: Quality::Fair }]);
}

#[test]
fn an_agent_whose_audio_is_lost_is_one_alert_and_not_a_hold_as_well() {
    let mut call = Call::new();
    call.becomes(20, Condition::AgentLost(true));
    call.happens(20, EventBody::Paused(customer()));
    assert_eq!(call.needs.phase, Phase::AgentLost);
    assert_eq!(call.alerts(120), [(AlertKind::AgentLost, Severity::Urgent, 20)]);
    call.happens(121, EventBody::Resumed(customer()));
    call.becomes(121, Condition::AgentLost(false));
    call.becomes(130, Condition::Colleague(Some("omid".to_owned())));
    assert_eq!((call.alerts(130), call.needs.phase), (vec![], Phase::HandingOver));
    call.becomes(140, Condition::Colleague(None));
    assert_eq!((call.needs.phase, call.needs.since), (Phase::Talking, Millis(140_000)));
}
