//! What an agent may write to a customer after a call: a message or an e-mail to begin with. Nothing is sent from here.
//!
//! Its body is made as an answer is: of sentences, each of which names the passages that it rests on, or the facts that were
//! said on the call: amounts, dates, orders, courses and cities that were named, in the words in which they were. Of what was
//! said a model gets these, and the question that the draft is to answer. Greeting and closing are ours.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sotto_call::{CallState, EntityKind, Party, UtteranceId};
use sotto_knowledge::{Hit, Query};
use sotto_llm::{LlmError, Purpose, Sendable, Template, is_hidden};
use sotto_text::language;
use utoipa::ToSchema;

use super::{
    AnsweredBy, Asked, AssistAnswer, AssistPassage, AssistSentence, Model, QUESTION, Source, WhyNot,
    by_passages, gives_orders, in_vain, is_of, named, refusal, usable,
};

/// What of what was named on a call may stand in a draft.
const KINDS: [EntityKind; 5] =
    [EntityKind::Money, EntityKind::DateTime, EntityKind::Order, EntityKind::City, EntityKind::Course];
/// Facts of a draft: those that were said last.
const FACTS: usize = 4;
/// Characters of a customer's name.
const NAME: usize = 80;

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DraftTone {
    /// As one writes to strangers.
    Formal,
    /// As one writes to people one has spoken with.
    Friendly,
    /// No more than has to be said.
    Brief,
}

/// In which language it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DraftLanguage {
    /// English.
    En,
    /// Persian.
    Fa,
}

/// By which way it is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DraftChannel {
    /// An SMS, or a message of a messenger.
    Message,
    /// An e-mail, which has a subject.
    Email,
}

/// What somebody wants to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DraftWish {
    /// How.
    pub tone: DraftTone,
    /// In which language.
    pub language: DraftLanguage,
    /// By which way.
    pub channel: DraftChannel,
}

/// What may be written, or why there is nothing to write.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Draft {
    /// What an e-mail is about; absent in a message.
    pub subject: Option<String>,
    /// Ours, with the customer's name where the call has it.
    pub greeting: String,
    /// The sentences between greeting and closing. Their numbers are those of passages and of facts.
    #[serde(flatten)]
    pub body: AssistAnswer,
    /// Ours. Whoever sends it puts their name below.
    pub closing: String,
    /// The facts that sentences name, by their numbers.
    pub facts: Vec<DraftFact>,
}

/// Something that was named on the call.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct DraftFact {
    /// What sentences call it.
    pub number: usize,
    /// What it is.
    #[schema(value_type = String)]
    pub kind: EntityKind,
    /// The words in which it was named.
    pub text: String,
    /// The utterance in which it was.
    #[schema(value_type = u32)]
    pub utterance_id: UtteranceId,
}

impl From<&DraftFact> for Source {
    fn from(fact: &DraftFact) -> Self {
        Self { tag: "fact", number: fact.number, text: fact.text.clone() }
    }
}

/// Drafts what may be written to a call's customer about a question, from what a search for it has found, the best hit
/// first. Only passages in the language that is wanted are used: nothing is translated. A model gets the question, these
/// passages and the facts, with their secrets taken out. Never fails: where a model does, the passages' own sentences make
/// the draft.
pub async fn draft(
    query: &Query<'_>,
    hits: &[Hit],
    call: &CallState,
    wish: DraftWish,
    model: Option<&Model>,
) -> Draft {
    let facts = facts(call, wish.language);
    let is_readable =
        |hit: &&Hit| hit.passage().is_some_and(|passage| wish.language.reads(&passage.language));
    let readable: Vec<Hit> = hits.iter().filter(is_readable).cloned().collect();
    let mut passages = usable(&readable);
    for passage in &mut passages {
        passage.number += facts.len();
    }
    let body = if !passages.is_empty() {
        written(query, &readable, passages, &facts, wish, model).await
    } else if usable(hits).is_empty() {
        refusal(WhyNot::NothingFound, AnsweredBy::Passages)
    } else {
        refusal(WhyNot::OtherLanguage, AnsweredBy::Passages)
    };
    let best = body.passages.first().and_then(|passage| hits.iter().find(|hit| is_of(hit, passage)));
    let subject = best.map(|hit| hit.document.title.clone());
    let is_named = |fact: &DraftFact| body.sentences.iter().any(|one| one.passages.contains(&fact.number));
    Draft {
        subject: subject.filter(|_| wish.channel == DraftChannel::Email),
        greeting: wish.greeting(customer(call).as_deref()),
        closing: wish.closing().to_owned(),
        facts: facts.into_iter().filter(is_named).collect(),
        body,
    }
}

async fn written(
    query: &Query<'_>,
    hits: &[Hit],
    passages: Vec<AssistPassage>,
    facts: &[DraftFact],
    wish: DraftWish,
    model: Option<&Model>,
) -> AssistAnswer {
    let mut model_failed = None;
    if let Some(model) = model {
        match by_model(query.text, &passages, facts, wish, model).await {
            Ok(body) => return body,
            Err(error) => model_failed = Some(in_vain(&error)),
        }
    }
    let mut body = by_passages(query, hits, passages);
    body.sentences.truncate(wish.most());
    body.passages = named(body.passages, &body.sentences);
    if !body.sentences.is_empty()
        && let Some(recalled) = wish.recalling(facts)
    {
        body.sentences.insert(0, recalled);
    }
    AssistAnswer { model_failed, ..body }
}

async fn by_model(
    question: &str,
    passages: &[AssistPassage],
    facts: &[DraftFact],
    wish: DraftWish,
    model: &Model,
) -> Result<AssistAnswer, LlmError> {
    let question: String = question.chars().take(QUESTION).collect();
    let asked = Asked {
        purpose: Purpose::Draft,
        template: Template::DRAFT,
        values: vec![
            ("question", model.redaction.sendable(&question).fenced("question", None)),
            ("channel", Sendable::ours(wish.channel.to_a_model())),
            ("language", Sendable::ours(wish.language.to_a_model())),
            ("tone", Sendable::ours(wish.tone.to_a_model())),
        ],
        most: wish.most(),
    };
    let sources: Vec<Source> =
        facts.iter().map(Source::from).chain(passages.iter().map(Source::from)).collect();
    let mut body = asked.of(model, &sources).await?.answer(passages);
    // What only repeats what was said answers nothing.
    if body.refused.is_none() && body.passages.is_empty() {
        body.sentences.clear();
        body.refused = Some(WhyNot::Unsupported);
    }
    Ok(body)
}

/// What was named on a call and may stand in a draft in this language, as it was said last, in the order of the call.
fn facts(call: &CallState, language: DraftLanguage) -> Vec<DraftFact> {
    let (mut found, mut known) = (Vec::new(), BTreeSet::new());
    for entities in call.entities.iter().rev() {
        let Some(said) = call.utterance(entities.utterance_id) else { continue };
        for entity in entities.entities.iter().rev().filter(|entity| KINDS.contains(&entity.kind)) {
            let (start, end) = (entity.chars.start, entity.chars.end);
            let words = said.text.chars().skip(start as usize).take(end.saturating_sub(start) as usize);
            let text: String = words.filter(|c| !is_hidden(*c)).collect();
            let is_usable = language.writes(&text) && !text.trim().is_empty() && !gives_orders(&text);
            if is_usable && known.insert((entity.kind, entity.value.clone())) {
                let utterance_id = entities.utterance_id;
                found.push(DraftFact { number: 0, kind: entity.kind, text, utterance_id });
            }
        }
    }
    found.truncate(FACTS);
    found.reverse();
    found.into_iter().zip(1..).map(|(fact, number)| DraftFact { number, ..fact }).collect()
}

/// The customer's name, where the call has one.
fn customer(call: &CallState) -> Option<String> {
    let mut people = call.started.as_ref()?.participants.iter().filter(|one| one.party == Party::Customer);
    let name = people.find_map(|one| one.name.as_deref())?;
    let name: String = name.chars().filter(|c| !c.is_control() && !is_hidden(*c)).take(NAME).collect();
    let name = name.trim();
    name.contains(char::is_alphabetic).then(|| name.to_owned())
}

impl DraftTone {
    fn to_a_model(self) -> &'static str {
        match self {
            Self::Formal => "Be formal and polite.",
            Self::Friendly => "Be friendly, and do not exaggerate.",
            Self::Brief => "Be as brief as possible.",
        }
    }
}

impl DraftLanguage {
    /// As passages name it.
    fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Fa => "fa",
        }
    }

    /// Whether a passage of this language may be used: one of signs alone may be in any.
    fn reads(self, language: &str) -> bool {
        language.is_empty() || language == self.code()
    }

    /// Whether words may stand in a draft of this language.
    fn writes(self, words: &str) -> bool {
        self.reads(language(words))
    }

    fn to_a_model(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::Fa => "Persian (Farsi)",
        }
    }
}

impl DraftChannel {
    fn to_a_model(self) -> &'static str {
        match self {
            Self::Message => "a short message",
            Self::Email => "an e-mail",
        }
    }
}

impl DraftWish {
    /// Sentences between greeting and closing.
    fn most(self) -> usize {
        match self.tone {
            DraftTone::Brief => 2,
            DraftTone::Formal | DraftTone::Friendly => 5,
        }
    }

    fn greeting(self, name: Option<&str>) -> String {
        match (self.language, self.tone, name) {
            (DraftLanguage::En, DraftTone::Formal, Some(name)) => format!("Dear {name},"),
            (DraftLanguage::En, DraftTone::Formal, None) => "Dear customer,".to_owned(),
            (DraftLanguage::En, _, Some(name)) => format!("Hello {name},"),
            (DraftLanguage::En, _, None) => "Hello,".to_owned(),
            (DraftLanguage::Fa, DraftTone::Formal, Some(name)) => format!("{name} گرامی،"),
            (DraftLanguage::Fa, DraftTone::Formal, None) => "مشتری گرامی،".to_owned(),
            (DraftLanguage::Fa, _, Some(name)) => format!("سلام {name}،"),
            (DraftLanguage::Fa, _, None) => "سلام،".to_owned(),
        }
    }

    fn closing(self) -> &'static str {
        match (self.language, self.tone) {
            (DraftLanguage::En, DraftTone::Formal) => "Yours sincerely",
            (DraftLanguage::En, DraftTone::Friendly) => "Kind regards",
            (DraftLanguage::En, DraftTone::Brief) => "Regards",
            (DraftLanguage::Fa, DraftTone::Formal) => "با احترام",
            (DraftLanguage::Fa, DraftTone::Friendly) => "با مهر",
            (DraftLanguage::Fa, DraftTone::Brief) => "با سپاس",
        }
    }

    /// A sentence that says what was named on the call. Brief drafts have none.
    fn recalling(self, facts: &[DraftFact]) -> Option<AssistSentence> {
        let begin = match (self.language, self.tone) {
            (_, DraftTone::Brief) => return None,
            (DraftLanguage::En, DraftTone::Formal) => "The following was mentioned in our telephone call",
            (DraftLanguage::En, DraftTone::Friendly) => "This is what we spoke of on the phone",
            (DraftLanguage::Fa, DraftTone::Formal) => "در گفت‌وگوی تلفنی از این موارد یاد شد",
            (DraftLanguage::Fa, DraftTone::Friendly) => "پشت تلفن از این‌ها گفتیم",
        };
        let between = match self.language {
            DraftLanguage::En => "; ",
            DraftLanguage::Fa => "؛ ",
        };
        let said: Vec<&str> = facts.iter().map(|fact| fact.text.trim()).collect();
        let text = format!("{begin}: {}.", said.join(between));
        let passages = facts.iter().map(|fact| fact.number).collect();
        (!facts.is_empty()).then_some(AssistSentence { text, passages })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sotto_call::testing::utterance;
    use sotto_call::{
        CallEvent, CallStarted, Entities, Entity, EventBody, Millis, Participant, Source as CallSource, Span,
    };
    use sotto_llm::testing::{Fake, Reply};

    use super::super::tests::{LONG, PERSIAN, REFUNDS, asking, hits, model, texts};
    use super::*;

    const FORMAL: DraftWish =
        DraftWish { tone: DraftTone::Formal, language: DraftLanguage::En, channel: DraftChannel::Email };

    /// A call on which an amount, a telephone number and a day were named.
    fn call(name: Option<&str>) -> CallState {
        let customer = Participant { party: Party::Customer, aor: None, name: name.map(str::to_owned) };
        let started = EventBody::CallStarted(CallStarted {
            version: 1,
            source: CallSource::Sip,
            started_at_unix_ms: 0,
            external_id: "abc".to_owned(),
            participants: vec![customer],
            language: None,
            bridged: false,
            parties_guessed: false,
            headers: Default::default(),
        });
        let said = utterance(1, Party::Customer, "It was 40 euros on Friday, call 0912 555.");
        let entity = |kind, value: &str, start, end| Entity {
            kind,
            value: value.to_owned(),
            chars: Span { start, end },
            words: None,
            confidence: 0.9,
        };
        let named = EventBody::Entities(Entities {
            utterance_id: said.utterance_id,
            revision: 0,
            entities: vec![
                entity(EntityKind::Money, "40 EUR", 7, 15),
                entity(EntityKind::DateTime, "2026-12-04", 19, 25),
                entity(EntityKind::Phone, "0912555", 32, 40),
            ],
            latency_ms: Millis(1),
        });
        let bodies = [started, EventBody::Utterance(said), named];
        let events: Vec<CallEvent> = bodies
            .into_iter()
            .zip(1..)
            .map(|(body, seq)| CallEvent { seq, at_ms: Millis(seq), body })
            .collect();
        CallState::of(&events)
    }

    async fn drafted(question: &str, wish: DraftWish, model: Option<&Model>) -> Draft {
        let found = hits(&[("refunds.md", REFUNDS), ("fa.md", PERSIAN)], question);
        draft(&asking(question), &found, &call(Some("Robert Miller")), wish, model).await
    }

    #[tokio::test]
    async fn without_a_model_passages_and_facts_make_a_draft_in_the_tone_and_language_that_are_wanted() {
        let formal = drafted(LONG, FORMAL, None).await;
        let own = "Three working days, to the card that the payment came from.";
        let recalled = "The following was mentioned in our telephone call: 40 euros; Friday.";
        assert_eq!(texts(&formal.body), [recalled, own]);
        assert_eq!(formal.body.sentences[0].passages, [1, 2]);
        assert_eq!(
            (formal.body.sentences[1].passages.as_slice(), formal.body.passages[0].number),
            (&[3][..], 3)
        );
        assert_eq!(
            (formal.greeting.as_str(), formal.closing.as_str()),
            ("Dear Robert Miller,", "Yours sincerely")
        );
        assert_eq!(formal.subject.as_deref(), Some("Refunds"));
        let said: Vec<(usize, &str)> =
            formal.facts.iter().map(|fact| (fact.number, fact.text.as_str())).collect();
        assert_eq!(said, [(1, "40 euros"), (2, "Friday")], "and no telephone number");

        let brief = DraftWish { tone: DraftTone::Brief, channel: DraftChannel::Message, ..FORMAL };
        let brief = drafted(LONG, brief, None).await;
        assert_eq!((texts(&brief.body), brief.subject, brief.facts.len()), (vec![own], None, 0));

        let persian = DraftWish { tone: DraftTone::Friendly, language: DraftLanguage::Fa, ..FORMAL };
        let persian = drafted("بازگشت وجه چند روز طول می‌کشد؟", persian, None).await;
        assert_eq!(texts(&persian.body), ["سه روز کاری، به همان کارت."]);
        assert_eq!((persian.greeting.as_str(), persian.closing.as_str()), ("سلام Robert Miller،", "با مهر"));
    }

    #[tokio::test]
    async fn what_is_written_in_another_language_or_nowhere_makes_no_draft() {
        let found = hits(&[("refunds.md", REFUNDS)], LONG);
        let persian = DraftWish { language: DraftLanguage::Fa, ..FORMAL };
        let none = draft(&asking(LONG), &found, &call(None), persian, None).await;
        assert_eq!((none.body.refused, none.body.sentences.len()), (Some(WhyNot::OtherLanguage), 0));
        assert_eq!((none.subject, none.facts.len(), none.greeting.as_str()), (None, 0, "مشتری گرامی،"));
        let none = drafted("Which zebras play the xylophone?", FORMAL, None).await;
        assert_eq!(none.body.refused, Some(WhyNot::NothingFound));
    }

    #[tokio::test]
    async fn a_model_s_sentences_stay_if_they_stand_in_passages_and_facts_and_it_sees_no_more_of_the_call() {
        let said = json!({ "refused": false, "sentences": [
            { "text": "A refund of 40 euros takes 3 working days.", "passages": [1, 3] },
            { "text": "A refund of 90 euros takes 3 working days.", "passages": [1, 3] },
            { "text": "You will be called back on Monday.", "passages": [3] },
        ] });
        let fake = Fake::in_turn(vec![Reply::Says(said.to_string())]).await;
        let draft = drafted(LONG, FORMAL, Some(&model(&fake))).await;
        assert_eq!(texts(&draft.body), ["A refund of 40 euros takes 3 working days."]);
        assert_eq!((draft.body.by, draft.facts.len()), (AnsweredBy::Model, 1));
        let used = draft.body.model.unwrap();
        assert_eq!((used.template.as_str(), used.dropped), ("draft.v1", 2));
        let sent = fake.asked()[0]["messages"][1]["content"].as_str().unwrap().to_owned();
        assert!(
            sent.contains("<fact n=\"1\">40 euros</fact>") && sent.contains("<passage n=\"3\">"),
            "{sent}"
        );
        assert!(!sent.contains("0912") && !sent.contains("It was") && !sent.contains("Miller"), "{sent}");
        assert!(sent.contains("an e-mail") && sent.contains("English"), "{sent}");
    }

    #[tokio::test]
    async fn a_card_number_is_never_sent_to_a_language_model_that_drafts() {
        let said = json!({ "refused": true, "sentences": [] });
        let fake = Fake::in_turn(vec![Reply::Says(said.to_string())]).await;
        let found = hits(&[("refunds.md", REFUNDS)], LONG);
        for card in ["My card number is 4242 4242 4242 4242.", "شماره کارتم ۶۰۳۷ ۹۹۱۲ ۳۴۵۶ ۷۸۹۳ هست"]
        {
            let question = format!("{LONG} {card}");
            draft(&asking(&question), &found, &call(None), FORMAL, Some(&model(&fake))).await;
        }
        let asked = fake.asked();
        assert_eq!(asked.len(), 2);
        for question in asked {
            let sent = question["messages"].to_string();
            assert!(sent.contains(sotto_call::MASK), "{sent}");
            assert!(!sent.contains("4242") && !sent.contains("۶۰۳۷"), "{sent}");
        }
    }

    #[tokio::test]
    async fn a_draft_that_only_repeats_the_call_is_none_and_a_model_that_fails_leaves_the_passages_own() {
        let said = json!({ "refused": false, "sentences": [{ "text": "40 euros.", "passages": [1] }] });
        let fake = Fake::in_turn(vec![Reply::Says(said.to_string())]).await;
        let draft = drafted(LONG, FORMAL, Some(&model(&fake))).await;
        assert_eq!((draft.body.refused, draft.body.sentences.len()), (Some(WhyNot::Unsupported), 0));
        let fake =
            Fake::in_turn(vec![Reply::Says("zebras".to_owned()), Reply::Says("zebras".to_owned())]).await;
        let draft = drafted(LONG, FORMAL, Some(&model(&fake))).await;
        assert_eq!((draft.body.by, draft.body.model_failed.as_deref()), (AnsweredBy::Passages, Some("form")));
        assert_eq!(draft.body.sentences.len(), 2);
    }

    #[test]
    fn a_name_is_one_that_can_be_written() {
        for (name, expected) in [
            (Some("  Mina\n\u{202e}Karimi "), Some("MinaKarimi")),
            (Some("+98 912"), None),
            (Some(""), None),
            (None, None),
        ] {
            assert_eq!(customer(&call(name)).as_deref(), expected);
        }
    }
}
