use proptest::prelude::*;
use sotto_call::testing::utterance;
use sotto_call::{
    ArcPoint, ChecklistItem, Consent, CustomerUtterance, Entity, Load, PartyChange, PlaybookStep, Sentiment,
    Shedding, Span, Transferred, Trend, Turn, WordsMood,
};

use super::*;
use crate::IntentSet;

const INTENTS: &str = r#"
    [[intents]]
    name = "delivery"
    title = { en = "Delivery" }
    playbook = [
        { text = { en = "Ask for the order number." }, until = "order" },
        { text = { en = "Say when it comes." } },
        { text = { en = "Offer a message." } },
    ]
    examples.en = ["Where is my order?", "It has not arrived.", "When does it come?"]
"#;

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

/// A call whose utterances are its own to time, and what its agent was told.
struct Call {
    prompter: Prompter,
    seq: u64,
    told: Vec<Prompt>,
}

impl Call {
    fn new() -> Self {
        let intents = IntentSet::parse(INTENTS).unwrap();
        let playbook = Arc::new(Playbook::new(PromptSet::parse(CHECKLIST).unwrap(), Some(&intents)));
        Self { prompter: Prompter::new(playbook), seq: 0, told: Vec::new() }
    }

    /// A call on which both have spoken in the first four seconds.
    fn begun() -> Self {
        let mut call = Self::new();
        call.says(0, 0, 2, Party::Agent, "Hello, this is Mina.");
        call.says(1, 2, 4, Party::Customer, "Hello, it is about my order.");
        call
    }

    fn happens(&mut self, ms: u64, body: EventBody) {
        self.seq += 1;
        self.prompter.apply(&CallEvent { seq: self.seq, at_ms: Millis(ms), body });
        self.passes(ms);
    }

    fn passes(&mut self, ms: u64) {
        self.told.extend(self.prompter.next(Millis(ms)));
    }

    fn hears(&mut self, ms: u64, said: Utterance) {
        self.happens(ms, EventBody::Utterance(said));
    }

    /// Final words from a second to another.
    fn says(&mut self, id: u32, from: u64, to: u64, party: Party, text: &str) -> Utterance {
        let (start_ms, end_ms) = (Millis(from * 1_000), Millis(to * 1_000));
        let said = Utterance { start_ms, end_ms, ..utterance(id, party, text) };
        self.hears(to * 1_000, said.clone());
        said
    }

    fn feels(&mut self, said: &Utterance, emotion: Emotion, turn: Option<Turn>) {
        let sentiment = match kindness(emotion) {
            Some(_) => Sentiment { negative: 0.8, neutral: 0.2, positive: 0.0 },
            None => Sentiment { negative: 0.0, neutral: 0.2, positive: 0.8 },
        };
        let words = WordsMood { sentiment, valence: sentiment.valence(), emotion, emotion_p: 0.7 };
        let (at_ms, trend) = (said.end_ms, Trend::Steady);
        let arc = ArcPoint { at_ms, valence: 0.0, deviation: 0.3, trend, arousal: None };
        let said = CustomerUtterance::of(said).unwrap();
        let at = said.utterance().end_ms.0;
        self.happens(at, EventBody::Mood(Mood::of(&said, words, arc, turn, Millis(0))));
    }

    fn wants(&mut self, said: &Utterance, name: Option<&str>) {
        let said = CustomerUtterance::of(said).unwrap();
        let at = said.utterance().end_ms.0;
        let name = name.map(str::to_owned);
        self.happens(at, EventBody::Intent(Intent { name, ..Intent::none(&said, Millis(0)) }));
    }

    fn names(&mut self, said: &Utterance, kind: EntityKind) {
        let (chars, value) = (Span { start: 0, end: 1 }, "471926".to_owned());
        let entity = Entity { kind, value, chars, words: None, confidence: 0.9 };
        let (utterance_id, revision, latency_ms) = (said.utterance_id, said.revision, Millis(0));
        let found = Entities { utterance_id, revision, entities: vec![entity], latency_ms };
        self.happens(said.end_ms.0, EventBody::Entities(found));
    }

    fn names_nothing(&mut self, said: &Utterance) {
        let (utterance_id, revision, latency_ms) = (said.utterance_id, said.revision, Millis(0));
        let found = Entities { utterance_id, revision, entities: Vec::new(), latency_ms };
        self.happens(said.end_ms.0, EventBody::Entities(found));
    }

    fn answers(&mut self, s: u64, prompt_id: u32, answer: PromptAnswer) {
        let by = "mina".to_owned();
        self.happens(s * 1_000, EventBody::PromptAnswered(PromptAnswered { prompt_id, answer, by }));
    }

    fn item(&mut self, s: u64, name: &str, done: bool) {
        let item = ChecklistItem { name: name.to_owned(), title: Text::new(), done, evidence: None };
        self.happens(s * 1_000, EventBody::Checklist(item));
    }

    fn abouts(&self) -> Vec<PromptKind> {
        self.told.iter().map(|prompt| prompt.about).collect()
    }

    fn newest(&self) -> &Prompt {
        self.told.last().unwrap()
    }
}

fn begins(prompt: &Prompt, text: &str) -> bool {
    prompt.text["en"].starts_with(text)
}

#[test]
fn an_unhappy_customer_is_answered_kindly_and_not_again_at_once() {
    let mut call = Call::begun();
    let said = call.says(2, 5, 9, Party::Customer, "That is not what I was promised.");
    call.feels(&said, Emotion::Disappointment, None);
    let prompt = call.newest();
    assert!(begins(prompt, "The customer sounds disappointed.") && prompt.text.contains_key("fa"));
    assert_eq!((prompt.prompt_id, prompt.about), (1, PromptKind::Empathy));
    assert_eq!((&prompt.evidence, prompt.expires_at_ms), (&Quote::of(&said), Millis(29_000)));
    for s in [60, 100] {
        let said = call.says(s, u64::from(s), u64::from(s) + 2, Party::Customer, "It is a shame.");
        call.feels(&said, Emotion::Anger, None);
    }
    assert_eq!(call.told.len(), 1, "said before");
    let said = call.says(140, 140, 142, Party::Customer, "It still is a shame.");
    call.feels(&said, Emotion::Anger, None);
    assert!(begins(call.newest(), "The customer sounds angry."));
}

#[test]
fn a_mood_that_turned_on_what_the_agent_said_is_told_so() {
    let mut call = Call::begun();
    call.says(2, 5, 7, Party::Agent, "That is the policy.");
    let said = call.says(3, 8, 10, Party::Customer, "This is unbelievable.");
    let turn = |trigger| {
        let (direction, since) = (TurnDirection::Decline, UtteranceId(3));
        Some(Turn { direction, since, trigger: Some(UtteranceId(trigger)) })
    };
    call.feels(&said, Emotion::Annoyance, turn(2));
    assert!(call.newest().text["en"].ends_with("saying that in other words may help."));
    let mut other = Call::begun();
    let said = other.says(3, 8, 10, Party::Customer, "This is unbelievable.");
    other.feels(&said, Emotion::Annoyance, turn(1));
    assert!(!other.newest().text["en"].contains("in other words"));
}

#[test]
fn kindness_says_what_the_organisation_wants_to_be_minded_with_the_language_of_the_customer() {
    let notes =
        "[culture]\nfa = { en = \"Thank them first.\", fa = \"نخست سپاسگزاری کنید.\", de = \"Danken Sie.\" }";
    let playbook = Arc::new(Playbook::new(PromptSet::parse(notes).unwrap(), None));
    for (language, is_minded) in [("fa", true), ("fa-IR", true), ("en", false), ("", false)] {
        let mut call = Call { prompter: Prompter::new(Arc::clone(&playbook)), ..Call::new() };
        call.says(0, 0, 2, Party::Agent, "Hello.");
        let words = utterance(2, Party::Customer, "I am so worried.");
        let said = Utterance { end_ms: Millis(9_000), language: language.to_owned(), ..words };
        call.hears(9_000, said.clone());
        call.feels(&said, Emotion::Worry, None);
        let text = &call.newest().text;
        assert_eq!(text["en"].ends_with("by when. Thank them first."), is_minded, "{language}: {text:?}");
        assert_eq!(text["fa"].ends_with("نخست سپاسگزاری کنید."), is_minded);
        assert!(!text.contains_key("de"), "the rest is not said in it");
    }
}

#[test]
fn contentment_needs_no_prompt_and_takes_one_back_that_waits() {
    let mut call = Call::begun();
    let said = call.says(2, 3, 4, Party::Customer, "I am so worried.");
    call.feels(&said, Emotion::Worry, None);
    assert_eq!(call.told, [], "too early in the call");
    let said = call.says(3, 3, 4, Party::Customer, "Oh, I see it now, thank you.");
    call.feels(&said, Emotion::Gratitude, None);
    let said = call.says(4, 5, 7, Party::Customer, "Very kind.");
    call.feels(&said, Emotion::Joy, None);
    assert_eq!(call.told, []);
}

#[test]
fn where_agents_are_not_to_know_of_moods_or_the_customer_does_not_agree_none_is_answered() {
    let mut call = Call::begun();
    let said = call.says(2, 3, 4, Party::Customer, "I am so worried.");
    call.feels(&said, Emotion::Worry, None);
    call.happens(4_500, EventBody::Consent(Consent { mood: false }));
    call.passes(6_000);
    assert_eq!(call.told, [], "it waited, and was withdrawn");

    let playbook = Playbook::new(PromptSet::built_in(), None).without_moods();
    let mut call = Call { prompter: Prompter::new(Arc::new(playbook)), ..Call::begun() };
    for (id, emotion) in (2..).zip([Emotion::Anger, Emotion::Worry, Emotion::Sadness, Emotion::Confusion]) {
        let said = call.says(id, 5, 9, Party::Customer, "That is not what I was promised.");
        call.feels(&said, emotion, None);
    }
    call.says(9, 9, 10, Party::Agent, "I see.");
    call.passes(60_000);
    assert_eq!(call.abouts(), [PromptKind::DeadAir], "what is no mood is told as ever");
}

#[test]
fn the_playbook_goes_on_as_things_are_named_and_steps_are_accepted() {
    let mut call = Call::begun();
    call.prompter = call.prompter.without_clock();
    let said = call.says(2, 5, 8, Party::Customer, "It has not arrived.");
    call.wants(&said, Some("delivery"));
    assert!(begins(call.newest(), "Ask for the order number."));
    let said = call.says(3, 60, 63, Party::Customer, "It is 471926.");
    call.names(&said, EntityKind::Order);
    assert!(begins(call.newest(), "Say when it comes."));
    assert_eq!(call.newest().evidence, Quote::of(&said));
    call.answers(70, 2, PromptAnswer::Accepted);
    // The next step waits until the agent may be told something, and for no longer than it helps.
    call.passes(108_000);
    assert!(begins(call.newest(), "Offer a message."));
    let said = call.says(4, 160, 163, Party::Customer, "It has not arrived.");
    call.wants(&said, Some("delivery"));
    assert_eq!(call.told.len(), 3, "there are no more steps");
}

#[test]
fn a_step_that_is_done_before_it_is_due_is_left_out() {
    let mut call = Call::begun();
    let said = call.says(2, 5, 8, Party::Customer, "My order 471926 has not arrived.");
    call.names(&said, EntityKind::Order);
    call.wants(&said, Some("delivery"));
    assert!(begins(call.newest(), "Say when it comes."));
    let mut call = Call::begun();
    let said = call.says(2, 3, 4, Party::Customer, "It has not arrived.");
    call.wants(&said, Some("delivery"));
    call.wants(&said, None);
    call.passes(6_000);
    assert_eq!(call.told, [], "it was understood wrongly");
}

#[test]
fn steps_that_are_changed_while_a_call_goes_on_are_those_that_the_agent_is_told() {
    let mut set = IntentSet::parse(INTENTS).unwrap();
    let playbook = Arc::new(Playbook::new(PromptSet::built_in(), Some(&set)));
    let mut call = Call { prompter: Prompter::new(Arc::clone(&playbook)).without_clock(), ..Call::new() };
    call.says(0, 0, 2, Party::Agent, "Hello, this is Mina.");
    let text = BTreeMap::from([("en".to_owned(), "Say that you are sorry.".to_owned())]);
    let steps = vec![PlaybookStep { text, until: None }];
    assert!(set.put_playbook("delivery", steps.clone()) && !set.put_playbook("nothing", steps));
    playbook.take_steps(&set);
    let said = call.says(2, 5, 8, Party::Customer, "It has not arrived.");
    call.wants(&said, Some("delivery"));
    assert!(begins(call.newest(), "Say that you are sorry."));
}

#[test]
fn the_step_after_one_that_was_answered_at_once_is_shown_when_its_turn_comes() {
    let mut call = Call::begun();
    call.prompter = call.prompter.without_clock();
    let said = call.says(2, 5, 8, Party::Customer, "It has not arrived.");
    call.wants(&said, Some("delivery"));
    call.answers(9, 1, PromptAnswer::Accepted);
    call.passes(52_999);
    assert_eq!(call.told.len(), 1);
    call.passes(53_000);
    assert!(begins(call.newest(), "Say when it comes."));
}

#[test]
fn what_was_wanted_or_named_by_mistake_drives_the_playbook_no_more() {
    let begun = || {
        let mut call = Call::begun();
        call.prompter = call.prompter.without_clock();
        let said = call.says(2, 5, 8, Party::Customer, "My order 471926 has not arrived.");
        (call, said)
    };
    let nothing = |said: &Utterance| Utterance { revision: 1, text: String::new(), ..said.clone() };
    let revised = |said: &Utterance| Utterance {
        revision: 1,
        text: "My daughter has not arrived.".to_owned(),
        ..said.clone()
    };

    // It was no intent, or nothing was said at all: what is named later asks for no step.
    for is_none in [true, false] {
        let (mut call, said) = begun();
        call.wants(&said, Some("delivery"));
        if is_none {
            call.wants(&said, None);
        } else {
            call.hears(9_000, nothing(&said));
        }
        let said = call.says(3, 60, 63, Party::Customer, "It is 471926.");
        call.names(&said, EntityKind::Order);
        assert_eq!(call.told.len(), 1, "is none: {is_none}");
    }

    // It was understood late, of words that are no more.
    let (mut call, said) = begun();
    call.hears(9_000, revised(&said));
    call.wants(&said, Some("delivery"));
    assert_eq!(call.told, []);

    // No number was named after all.
    let (mut call, said) = begun();
    call.names(&said, EntityKind::Order);
    call.hears(9_000, revised(&said));
    call.names_nothing(&revised(&said));
    call.wants(&revised(&said), Some("delivery"));
    assert!(begins(call.newest(), "Ask for the order number."));
    let (mut call, said) = begun();
    call.names(&said, EntityKind::Order);
    call.hears(9_000, nothing(&said));
    let said = call.says(3, 10, 12, Party::Customer, "It has not arrived.");
    call.wants(&said, Some("delivery"));
    assert!(begins(call.newest(), "Ask for the order number."));

    // What was wanted first is understood once more: what was wanted later counts.
    let (mut call, said) = begun();
    call.wants(&said, Some("delivery"));
    let later = call.says(3, 60, 63, Party::Customer, "And I have a complaint.");
    call.wants(&later, Some("complaint"));
    call.wants(&said, Some("delivery"));
    assert_eq!(call.told.len(), 1);
}

#[test]
fn a_silence_is_noticed_when_both_have_talked_and_nobody_waits_on_hold() {
    let mut call = Call::begun();
    assert_eq!(call.prompter.due(Millis(4_000)), Some(Millis(14_000)));
    call.passes(13_999);
    assert_eq!(call.told, []);
    call.passes(14_000);
    assert_eq!(
        (call.abouts(), call.newest().evidence.utterance_id),
        (vec![PromptKind::DeadAir], UtteranceId(1))
    );

    let mut call = Call::begun();
    let customer = PartyChange { party: Some(Party::Customer) };
    call.happens(5_000, EventBody::Paused(customer.clone()));
    call.passes(30_000);
    call.happens(40_000, EventBody::Resumed(customer));
    call.passes(49_000);
    assert_eq!(call.told, []);
    // Words are being spoken: they are heard before they are final.
    let partial = Utterance { r#final: false, end_ms: Millis(49_500), ..utterance(9, Party::Agent, "one") };
    call.hears(49_500, partial);
    call.passes(59_000);
    assert_eq!(call.told, []);
    call.passes(59_500);
    assert_eq!(call.abouts(), [PromptKind::DeadAir]);

    let mut call = Call::begun();
    let load = Load { shedding: Shedding::NoPartials, behind_ms: Millis(0) };
    call.happens(5_000, EventBody::Load(load));
    call.passes(60_000);
    assert_eq!(call.told, [], "words may be on their way");

    let mut call = Call::new();
    call.says(0, 0, 2, Party::Agent, "Hello?");
    call.passes(60_000);
    assert_eq!(call.told, [], "nobody is there to be silent with");

    let mut call = Call::begun();
    call.prompter = call.prompter.without_clock();
    call.passes(60_000);
    assert_eq!((call.told.len(), call.prompter.due(Millis(0))), (0, None));
}

#[test]
fn an_agent_who_speaks_into_the_customers_words_twice_is_told() {
    let mut call = Call::begun();
    call.says(2, 5, 10, Party::Customer, "I wanted to say that the machine");
    call.says(3, 8, 11, Party::Agent, "Yes but the policy says");
    assert_eq!(call.told, []);
    // Whoever becomes final first.
    call.says(4, 14, 17, Party::Agent, "No that is not possible");
    call.says(5, 12, 18, Party::Customer, "Let me just say one more thing");
    assert_eq!(
        (call.abouts(), call.newest().evidence.utterance_id),
        (vec![PromptKind::Overtalk], UtteranceId(5))
    );

    let mut call = Call::begun();
    for id in 0..3 {
        let from = 5 + u64::from(id) * 6;
        call.says(10 + id, from, from + 5, Party::Customer, "I wanted to say that the machine");
        call.says(20 + id, from + 2, from + 4, Party::Agent, "Yes, right.");
    }
    assert_eq!(call.told, [], "that is listening");
}

#[test]
fn what_must_be_said_is_asked_for_when_it_is_due() {
    let mut call = Call::new();
    for name in ["recorded", "more"] {
        call.item(0, name, false);
    }
    call.says(0, 1, 3, Party::Agent, "Hello, this is Mina.");
    assert_eq!(call.prompter.due(Millis(3_000)), Some(Millis(31_000)));
    call.passes(31_000);
    assert_eq!(call.newest().text["en"], "Not said yet: The call is recorded");
    assert_eq!(call.newest().evidence.utterance_id, UtteranceId(0));
    call.says(1, 90, 92, Party::Customer, "Thank you, goodbye.");
    assert_eq!(call.newest().text["en"], "Not said yet: Anything else?");
    assert_eq!(call.told.len(), 2);

    let mut call = Call::new();
    for name in ["recorded", "more"] {
        call.item(0, name, false);
    }
    call.says(0, 1, 3, Party::Agent, "Hello, this is Mina, and this call is recorded.");
    call.item(3, "recorded", true);
    call.passes(60_000);
    assert_eq!(call.told, []);
    call.item(61, "more", true);
    call.says(1, 90, 92, Party::Customer, "Thank you, goodbye.");
    assert_eq!(call.told, []);

    let mut call = Call::new();
    call.says(0, 1, 3, Party::Agent, "Hello, this is Mina.");
    call.passes(60_000);
    assert_eq!(call.told, [], "nobody looks whether it is said");
}

#[test]
fn a_misheard_goodbye_does_not_spend_the_reminder_and_an_old_one_holds_up_nothing() {
    let begun = || {
        let mut call = Call::begun();
        call.prompter = call.prompter.without_clock();
        call
    };
    for text in ["Hello, it is about my order.", ""] {
        let mut call = begun();
        call.item(4, "more", false);
        let said = call.says(2, 5, 7, Party::Customer, "Goodbye, it is about my order.");
        assert_eq!(call.newest().text["en"], "Not said yet: Anything else?");
        call.hears(8_000, Utterance { revision: 1, text: text.to_owned(), ..said });
        call.says(3, 60, 62, Party::Customer, "It has not arrived.");
        assert_eq!(call.told.len(), 1);
        call.says(4, 90, 92, Party::Customer, "Thank you, goodbye.");
        assert_eq!((call.told.len(), call.newest().evidence.utterance_id), (2, UtteranceId(4)));
        assert_eq!(call.newest().text["en"], "Not said yet: Anything else?");
    }

    // It was one, as is heard only when the words are revised.
    let mut call = begun();
    call.item(4, "more", false);
    let said = call.says(2, 5, 7, Party::Customer, "Thank you, good eye.");
    assert_eq!(call.told, []);
    call.hears(8_000, Utterance { revision: 1, text: "Thank you, goodbye.".to_owned(), ..said });
    assert_eq!(call.newest().text["en"], "Not said yet: Anything else?");

    // They went on for so long that its words are forgotten: what is open again then rests on newer ones, and is no obstacle
    // to anything else.
    let mut call = begun();
    call.says(2, 5, 7, Party::Customer, "Goodbye.");
    for id in 3..3 + REMEMBERED as u32 {
        let from = u64::from(id) * 3;
        call.says(id, from, from + 2, Party::Agent, "One more thing.");
    }
    call.item(200, "more", false);
    let said = call.says(99, 300, 302, Party::Customer, "I am so worried.");
    call.feels(&said, Emotion::Worry, None);
    assert_eq!(call.abouts(), [PromptKind::Checklist, PromptKind::Empathy]);
}

#[test]
fn of_two_goodbyes_the_second_counts_when_the_first_was_misheard() {
    let mut call = Call::begun();
    call.prompter = call.prompter.without_clock();
    call.item(4, "more", false);
    let first = call.says(2, 3, 4, Party::Customer, "Goodbye, it is about my order.");
    call.says(3, 4, 4, Party::Customer, "Thank you, goodbye.");
    call.hears(4_500, Utterance { revision: 1, text: "Hello, it is about my order.".to_owned(), ..first });
    call.passes(6_000);
    assert_eq!(call.newest().text["en"], "Not said yet: Anything else?");
    assert_eq!(call.newest().evidence.utterance_id, UtteranceId(3));
}

#[test]
fn one_is_shown_at_a_time_and_says_what_was_held_back_and_why() {
    let mut call = Call::begun();
    let said = call.says(2, 3, 4, Party::Customer, "It has not arrived, I am so worried.");
    call.wants(&said, Some("delivery"));
    call.feels(&said, Emotion::Worry, None);
    call.passes(5_000);
    assert_eq!(call.abouts(), [PromptKind::Empathy], "it matters more");
    let held: Vec<_> = call.newest().held_back.iter().map(|one| (one.about, one.because)).collect();
    assert_eq!(held, [(PromptKind::NextAction, HeldBackBecause::MattersLess)]);
    // What helps for a short time only is too late by the time there is room for it.
    call.says(3, 8, 12, Party::Customer, "I wanted to say that the machine");
    call.says(4, 10, 13, Party::Agent, "Yes but the policy says");
    call.says(5, 14, 18, Party::Customer, "Let me just say one more thing");
    call.says(6, 16, 19, Party::Agent, "No that is not possible");
    call.passes(44_000);
    call.says(7, 50, 52, Party::Customer, "It is 471926.");
    let held: Vec<_> = call.newest().held_back.iter().map(|one| (one.about, one.because)).collect();
    assert_eq!(call.abouts()[1], PromptKind::NextAction);
    assert_eq!(held, [(PromptKind::Overtalk, HeldBackBecause::TooSoon)]);
}

#[test]
fn what_is_no_help_is_not_said_again_on_this_call() {
    let mut call = Call::begun();
    let said = call.says(2, 5, 8, Party::Customer, "It has not arrived.");
    call.wants(&said, Some("delivery"));
    call.answers(10, 1, PromptAnswer::NotHelpful);
    let said = call.says(3, 60, 63, Party::Customer, "It is 471926.");
    call.names(&said, EntityKind::Order);
    assert_eq!(call.told.len(), 1);
    let said = call.says(4, 65, 68, Party::Customer, "I am so worried.");
    call.feels(&said, Emotion::Worry, None);
    assert_eq!(call.abouts()[1], PromptKind::Empathy);
    let held: Vec<_> = call.newest().held_back.iter().map(|one| (one.about, one.because)).collect();
    assert_eq!(held, [(PromptKind::NextAction, HeldBackBecause::NotHelpful)]);
}

#[test]
fn an_answer_counts_also_when_the_prompt_stands_no_more() {
    let next_step = "Say when it comes.";
    for (answer, next) in [(PromptAnswer::Accepted, Some(next_step)), (PromptAnswer::NotHelpful, None)] {
        let mut call = Call::begun();
        call.prompter = call.prompter.without_clock();
        let said = call.says(2, 5, 8, Party::Customer, "It has not arrived.");
        call.wants(&said, Some("delivery"));
        assert_eq!(call.newest().expires_at_ms, Millis(38_000));
        call.passes(40_000);
        call.answers(41, 1, answer);
        // An answer that comes twice counts once.
        call.answers(42, 1, PromptAnswer::NotHelpful);
        if next.is_none() {
            let said = call.says(3, 50, 52, Party::Customer, "It is 471926.");
            call.names(&said, EntityKind::Order);
        }
        call.passes(53_000);
        let told = call.told.get(1).map(|prompt| prompt.text["en"].as_str());
        assert_eq!(told, next, "{answer:?}");
    }
}

#[test]
fn what_an_older_utterance_is_revised_to_is_not_how_the_customer_feels_now() {
    let revised =
        |said: &Utterance, text: &str| Utterance { revision: 1, text: text.to_owned(), ..said.clone() };
    // They were angry at first, as is only heard later, and are content by now.
    let mut call = Call::begun();
    call.prompter = call.prompter.without_clock();
    let first = call.says(2, 5, 7, Party::Customer, "This is a grace.");
    call.feels(&first, Emotion::Neutral, None);
    let later = call.says(3, 8, 10, Party::Customer, "But never mind, all is well.");
    call.feels(&later, Emotion::Joy, None);
    let now = revised(&first, "This is a disgrace.");
    call.hears(11_000, now.clone());
    call.feels(&now, Emotion::Anger, None);
    call.passes(20_000);
    assert_eq!(call.told, []);

    // They are worried now, and were content earlier: what waits stays.
    let mut call = Call::new();
    let first = call.says(2, 0, 2, Party::Customer, "All is swell.");
    call.feels(&first, Emotion::Neutral, None);
    let later = call.says(3, 2, 4, Party::Customer, "But now I am so worried.");
    call.feels(&later, Emotion::Worry, None);
    let now = revised(&first, "All is well.");
    call.hears(4_500, now.clone());
    call.feels(&now, Emotion::Joy, None);
    call.passes(6_000);
    assert_eq!((call.abouts(), &call.newest().evidence), (vec![PromptKind::Empathy], &Quote::of(&later)));
}

#[test]
fn kindness_that_rests_on_words_that_were_revised_waits_until_their_mood_is_read_once_more() {
    let begun = || {
        let mut call = Call::begun();
        let said = call.says(2, 3, 4, Party::Customer, "I am so worried.");
        call.feels(&said, Emotion::Worry, None);
        let now = Utterance { revision: 1, text: "I am so hurried.".to_owned(), ..said.clone() };
        call.hears(5_000, now.clone());
        (call, said, now)
    };
    let (mut call, said, now) = begun();
    call.passes(6_000);
    // Read of words that are no more.
    call.feels(&said, Emotion::Worry, None);
    call.passes(7_000);
    assert_eq!(call.told, []);
    call.feels(&now, Emotion::Annoyance, None);
    assert!(begins(call.newest(), "The customer sounds annoyed."));
    let (mut call, _, now) = begun();
    call.feels(&now, Emotion::Neutral, None);
    call.passes(7_000);
    assert_eq!(call.told, []);
}

#[test]
fn who_takes_the_customers_place_is_not_told_to_be_answered_for_the_one_before() {
    let mut call = Call::begun();
    let said = call.says(2, 3, 4, Party::Customer, "I am so worried.");
    call.feels(&said, Emotion::Worry, None);
    let transferred = Transferred { party: Party::Customer, to: "200".to_owned() };
    call.happens(4_500, EventBody::Transferred(transferred));
    call.passes(6_000);
    assert_eq!(call.told, []);
}

#[test]
fn evidence_is_the_words_as_they_are_now_and_words_taken_back_take_prompts_along() {
    let mut call = Call::begun();
    let said = call.says(2, 3, 4, Party::Customer, "I am so hurried.");
    call.feels(&said, Emotion::Worry, None);
    let revised = Utterance { revision: 1, text: "I am so worried.".to_owned(), ..said };
    call.hears(5_000, revised.clone());
    call.feels(&revised, Emotion::Worry, None);
    assert_eq!(call.newest().evidence, Quote::of(&revised));

    let mut call = Call::begun();
    let said = call.says(2, 3, 4, Party::Customer, "I am so worried.");
    call.feels(&said, Emotion::Worry, None);
    call.hears(5_000, Utterance { revision: 1, text: String::new(), ..said });
    assert_eq!(call.told, []);
}

#[derive(Clone, Debug)]
enum Op {
    Says(u8, u8),
    Feels(u8),
    Wants,
    Names,
    Answers(u8),
    Item(bool),
    Passes,
}

fn op() -> impl Strategy<Value = (u16, Op)> {
    let op = prop_oneof![
        4 => (0_u8..3, 0_u8..4).prop_map(|(party, words)| Op::Says(party, words)),
        3 => (0_u8..9).prop_map(Op::Feels),
        2 => Just(Op::Wants),
        1 => Just(Op::Names),
        1 => (0_u8..3).prop_map(Op::Answers),
        1 => any::<bool>().prop_map(Op::Item),
        2 => Just(Op::Passes),
    ];
    (0_u16..9_000, op)
}

proptest! {
    /// Whatever happens on a call, prompts are few, one at a time, and rest on words that were said.
    #[test]
    fn agents_are_left_in_peace(ops in prop::collection::vec(op(), 1..150)) {
        const EMOTIONS: [Emotion; 9] = [
            Emotion::Anger, Emotion::Annoyance, Emotion::Disappointment, Emotion::Confusion, Emotion::Worry,
            Emotion::Sadness, Emotion::Gratitude, Emotion::Joy, Emotion::Neutral,
        ];
        let mut call = Call::new();
        let (mut now, mut id) = (0_u64, 0_u32);
        let mut said: Vec<Utterance> = Vec::new();
        let mut shown_at: Vec<u64> = Vec::new();
        for (after, op) in ops {
            now += u64::from(after);
            call.passes(now);
            let newest = said.iter().rfind(|said| said.party == Party::Customer).cloned();
            match (op, newest) {
                (Op::Says(party, words), _) => {
                    let party = [Party::Agent, Party::Customer, Party::Other][usize::from(party)];
                    let text = ["Yes.", "It has not arrived at all.", "Thank you, goodbye.", "4711"][usize::from(words)];
                    let (start_ms, end_ms) = (Millis(now.saturating_sub(4_000)), Millis(now));
                    let new = Utterance { start_ms, end_ms, ..utterance(id, party, text) };
                    id += 1;
                    call.hears(now, new.clone());
                    said.push(new);
                }
                (Op::Feels(emotion), Some(newest)) => {
                    call.feels(&newest, EMOTIONS[usize::from(emotion)], None);
                }
                (Op::Wants, Some(newest)) => call.wants(&newest, Some("delivery")),
                (Op::Names, Some(newest)) => call.names(&newest, EntityKind::Order),
                (Op::Answers(answer), _) => {
                    let answers = [PromptAnswer::Accepted, PromptAnswer::Dismissed, PromptAnswer::NotHelpful];
                    let prompt_id = call.told.last().map_or(1, |prompt| prompt.prompt_id);
                    call.answers(now / 1_000, prompt_id, answers[usize::from(answer)]);
                }
                (Op::Item(done), _) => call.item(now / 1_000, "recorded", done),
                _ => {}
            }
            while shown_at.len() < call.told.len() {
                shown_at.push(now);
            }
            prop_assert!(call.prompter.due(Millis(now)).is_none_or(|due| due > Millis(now)));
        }
        for (n, prompt) in call.told.iter().enumerate() {
            prop_assert_eq!(prompt.prompt_id as usize, n + 1);
            let rests_on = said.iter().find(|said| said.utterance_id == prompt.evidence.utterance_id);
            prop_assert_eq!(rests_on.map(|said| said.text.as_str()), Some(prompt.evidence.text.as_str()));
            prop_assert!(!prompt.evidence.text.is_empty() && !prompt.text.is_empty());
            prop_assert!(prompt.held_back.len() <= MOST_HELD_BACK);
        }
        for (n, pair) in call.told.windows(2).enumerate() {
            // The one before had expired, and the call had its peace since.
            prop_assert!(pair[0].expires_at_ms <= Millis(shown_at[n + 1]));
            prop_assert!(shown_at[n + 1] - shown_at[n] >= EVERY.0);
        }
    }
}
