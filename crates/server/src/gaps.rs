//! What is not written down, and what of it is no good: for whoever keeps the documents.
//!
//! A question is kept where nothing that is written down answers it surely enough: one of a customer's, when the call is over and
//! its log has nothing in it that must not be kept; and one that somebody looked up, without its secrets. Those that ask the
//! same are put together ([`Leaders`]) when somebody looks, each once. What became of documents that were shown is counted from
//! the same logs. So nothing here is in a call's way, and what a call said goes with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use sotto_call::{CallEvent, CallId, CallState, CardAnswer, EventBody, Party, Utterance, UtteranceId};
use sotto_knowledge::{
    Asked, Hit, KnowledgeError, Leaders, Query, Question, SURE, Statement, Trigger, Turn, Viewer,
};
use sotto_store::{CallKnowledge, CardUses, FindsRow, GapRow, GapState, QuestionRow, Store, StoreError};
use tokio::task::spawn_blocking;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::library::{DocumentState, Library, ListedDocument, agent_among, bytes, floats};
use crate::redaction::RedactionConfig;

/// Utterances that a question may lean on.
const TURNS: usize = 8;
/// Questions that are put to those like them together.
const TOGETHER: u32 = 500;
/// Gaps that a question is compared with: the newest.
const COMPARED: u32 = 5_000;
/// Gaps in a list at most, and questions of each.
const MOST: usize = 100;
const EXAMPLES: u32 = 5;
/// Days for which a document that nobody has needed is too new to say so.
const NEW_DAYS: u64 = 30;
/// From so many cards on it means something that none of them was used, or that more were wrong than were.
const FEW_CARDS: u64 = 5;
const FEW_WRONG: u64 = 2;
const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// Questions that ask the same.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Gap {
    #[schema(value_type = String)]
    id: Uuid,
    /// `open`, also where it was answered, and was asked again since, or its document is gone; `answered`; or `hidden`.
    #[schema(value_type = String)]
    state: GapState,
    /// How often it was asked, on calls that are kept.
    count: u64,
    /// How often since somebody decided about it.
    count_since: u64,
    /// When it was asked last, in milliseconds since 1970.
    last_asked_unix_ms: u64,
    /// The document that answers it, or was to; absent where there is none, or it is hidden from whoever looks.
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<NamedDocument>,
    /// Who has decided about it; empty where nobody has.
    changed_by: String,
    /// The newest of its questions.
    questions: Vec<AskedQuestion>,
}

/// A document that is named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct NamedDocument {
    id: String,
    title: String,
}

/// A question that nothing answered.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct AskedQuestion {
    /// Its words, without secrets.
    text: String,
    /// When it was asked, in milliseconds since 1970.
    asked_at_unix_ms: u64,
    /// How likely the best passage answers it, from 0 to 1; 0 where there was none.
    confidence: f32,
    /// The call in which a customer asked it; absent where somebody looked it up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    call_id: Option<CallId>,
    /// The utterance of that call in which it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>)]
    utterance_id: Option<UtteranceId>,
}

/// Gaps, and how many there are.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct GapList {
    /// How many wait for somebody.
    open: usize,
    /// How many are answered.
    answered: usize,
    /// How many are not ours to answer.
    hidden: usize,
    /// Those that were asked most come first.
    pub gaps: Vec<Gap>,
}

/// How the documents do.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Health {
    /// Days after which a document that has not changed is old (`knowledge.old_after_days`).
    old_after_days: u32,
    /// Those with most to see to come first.
    documents: Vec<DocumentHealth>,
    /// Sentences of two documents that say the same but for a number or a date.
    conflicts: Vec<Disagreement>,
}

/// How a document does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DocumentHealth {
    id: String,
    title: String,
    /// When it was last changed, in milliseconds since 1970; 0 where nobody knows.
    changed_unix_ms: u64,
    /// How many cards showed it, on calls that are kept.
    shown: u64,
    /// How many of them agents said of that they helped.
    accepted: u64,
    /// How many were copied.
    copied: u64,
    /// How many were not needed.
    dismissed: u64,
    /// How many were wrong.
    wrong: u64,
    /// How often it surely answered what somebody looked up.
    found: u64,
    /// What is to be seen to.
    concerns: Vec<Concern>,
}

/// What is to be seen to about a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Concern {
    /// It cannot be read.
    Failed,
    /// At least two of its cards were called wrong, and more than were accepted or copied.
    Wrong,
    /// It has not changed for as long as `knowledge.old_after_days` says.
    Old,
    /// It is not new, and no card has shown it, and nobody who looked something up has found it.
    NeverShown,
    /// At least five cards have shown it, and none was accepted or copied.
    NeverUsed,
}

/// Two sentences that disagree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Disagreement {
    /// That of the document which was changed last.
    newer: FoundSentence,
    /// The other.
    older: FoundSentence,
}

/// A sentence of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FoundSentence {
    document: String,
    title: String,
    /// The headings that it stands under, the highest first.
    headings: Vec<String>,
    text: String,
    /// When its document was last changed, in milliseconds since 1970.
    changed_unix_ms: u64,
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Gaps {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    library: Library,
    redaction: RedactionConfig,
    /// Held while questions are put to those like them: who does so knows all that lead.
    gathering: tokio::sync::Mutex<()>,
}

impl Gaps {
    /// What is missing in a library, as `store` has it.
    #[must_use]
    pub fn new(store: Store, library: Library, redaction: RedactionConfig) -> Self {
        Self {
            shared: Arc::new(Shared { store, library, redaction, gathering: tokio::sync::Mutex::default() }),
        }
    }

    /// Takes note of what somebody has looked up, and of the best that was found: a document that answers, or a gap. Where
    /// nothing is written down at all nothing is noted.
    ///
    /// # Errors
    /// When the store refuses, or the question cannot be compared.
    pub async fn looked_up(
        &self,
        text: &str,
        best: Option<(String, f32)>,
        now_unix_ms: u64,
    ) -> anyhow::Result<()> {
        let Shared { store, library, redaction, .. } = &*self.shared;
        let confidence = match best {
            Some((document, confidence)) if confidence >= SURE => {
                return Ok(store.count_find(&document, now_unix_ms).await?);
            }
            Some((_, confidence)) => confidence,
            None => 0.0,
        };
        let text = redaction.without_secrets(text);
        if library.index().is_none() || text.trim().is_empty() {
            return Ok(());
        }
        let (library, asked) = (library.clone(), text.clone());
        let meaning = spawn_blocking(move || meaning(&library, &asked, &[])).await?;
        store.add_question(&question(&text, now_unix_ms, confidence, meaning)).await?;
        Ok(())
    }

    /// The gaps in a state, as `viewer` may see them, at most 100.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn list(&self, wanted: GapState, viewer: &Viewer) -> anyhow::Result<GapList> {
        self.gather().await?;
        let Shared { store, library, .. } = &*self.shared;
        let index = library.index();
        // Before anything is found nobody knows what is gone.
        let is_there = |name: &str| index.as_ref().is_none_or(|index| index.document(name).is_some());
        let state_of = |row: &GapRow| {
            let is_answered = row.document.as_deref().is_some_and(is_there);
            match row.state {
                GapState::Answered if row.count_since > 0 || !is_answered => GapState::Open,
                state => state,
            }
        };
        let (mut counts, mut gaps) = (BTreeMap::<GapState, usize>::new(), Vec::new());
        for row in store.gaps().await? {
            let state = state_of(&row);
            *counts.entry(state).or_default() += 1;
            if state != wanted || gaps.len() == MOST {
                continue;
            }
            let questions = store.gap_questions(row.id, EXAMPLES).await?;
            let document = row.document.as_deref().and_then(|name| library.document(name, viewer));
            gaps.push(Gap {
                id: row.id,
                state,
                count: row.count,
                count_since: row.count_since,
                last_asked_unix_ms: row.last_asked_at_unix_ms,
                document: document
                    .map(|document| NamedDocument { id: document.id.clone(), title: document.title.clone() }),
                changed_by: row.changed_by,
                questions: questions.into_iter().map(AskedQuestion::from).collect(),
            });
        }
        let count = |state: GapState| counts.get(&state).copied().unwrap_or_default();
        let (open, answered) = (count(GapState::Open), count(GapState::Answered));
        Ok(GapList { open, answered, hidden: count(GapState::Hidden), gaps })
    }

    /// Somebody decides about a gap: see [`Store::decide_gap`].
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn decide(
        &self,
        id: Uuid,
        state: GapState,
        document: Option<&str>,
        by: &str,
        now_unix_ms: u64,
    ) -> Result<bool, StoreError> {
        self.shared.store.decide_gap(id, state, document, by, now_unix_ms).await
    }

    /// How the documents do that `viewer` may see.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn health(&self, viewer: &Viewer, now_unix_ms: u64) -> anyhow::Result<Health> {
        let Shared { store, library, .. } = &*self.shared;
        let uses = store.card_uses().await?;
        let uses: BTreeMap<&str, &CardUses> = uses.iter().map(|one| (one.document.as_str(), one)).collect();
        let finds = store.document_finds().await?;
        let finds: BTreeMap<&str, &FindsRow> = finds.iter().map(|one| (one.document.as_str(), one)).collect();
        let old_after_days = library.old_after_days();
        let nothing = CardUses::default();
        let listed = library.documents(viewer);
        let health = listed.into_iter().map(|listed| {
            let uses = uses.get(listed.id.as_str()).copied().unwrap_or(&nothing);
            let found = finds.get(listed.id.as_str()).map_or(0, |found| found.times);
            let days = now_unix_ms.saturating_sub(listed.changed_unix_ms) / DAY_MS;
            let concerns = concerns(&listed, uses, found, days, old_after_days);
            let &CardUses { shown, accepted, copied, dismissed, wrong, .. } = uses;
            let ListedDocument { id, title, changed_unix_ms, .. } = listed;
            DocumentHealth {
                id,
                title,
                changed_unix_ms,
                shown,
                accepted,
                copied,
                dismissed,
                wrong,
                found,
                concerns,
            }
        });
        let mut documents: Vec<DocumentHealth> = health.collect();
        // They are in order of their names already.
        documents.sort_by_key(|one| std::cmp::Reverse(one.concerns.len()));
        let (of, viewer) = (library.clone(), viewer.clone());
        let conflicts = spawn_blocking(move || {
            let (found, said) = (of.conflicts(&viewer), |one: &Statement| said(&of, one, &viewer));
            let both = found.iter().map(|one| said(&one.newer).zip(said(&one.older)));
            both.flatten().map(|(newer, older)| Disagreement { newer, older }).collect::<Vec<_>>()
        });
        Ok(Health { old_after_days, documents, conflicts: conflicts.await? })
    }

    /// Puts questions to those like them.
    async fn gather(&self) -> anyhow::Result<()> {
        let Shared { store, gathering, .. } = &*self.shared;
        let _alone = gathering.lock().await;
        loop {
            let loose = store.loose_questions(TOGETHER).await?;
            if loose.is_empty() {
                return Ok(());
            }
            let leaders = store.gap_leaders(COMPARED).await?;
            let pairs = spawn_blocking(move || pairs(&leaders, &loose)).await?;
            store.put_to_gaps(&pairs).await?;
        }
    }
}

/// Which gap each question is of, by their ids: that of the leader it is most like, or a new one.
fn pairs(leaders: &[QuestionRow], loose: &[QuestionRow]) -> Vec<(Uuid, Uuid)> {
    let (mut known, mut gaps) = (Leaders::default(), Vec::new());
    for (leader, gap) in leaders.iter().filter_map(|leader| Some((leader, leader.gap?))) {
        known.lead(asked(leader, &floats(&leader.vector)));
        gaps.push(gap);
    }
    let pair = |question: &QuestionRow| {
        let vector = floats(&question.vector);
        let asked = asked(question, &vector);
        let number = known.of(asked).unwrap_or_else(|| {
            gaps.push(Uuid::now_v7());
            known.lead(asked)
        });
        (question.id, gaps[number])
    };
    loose.iter().map(pair).collect()
}

fn asked<'a>(question: &'a QuestionRow, vector: &'a [f32]) -> Asked<'a> {
    let meaning = (!vector.is_empty()).then_some((question.model.as_str(), vector));
    Asked { text: &question.text, meaning }
}

/// What a question means, and what has read that.
struct Meaning {
    by: String,
    vector: Vec<f32>,
}

fn meaning(library: &Library, text: &str, context: &[&str]) -> Option<Meaning> {
    let vector = library.meaning(text, context)?;
    Some(Meaning { by: library.asks_by(), vector })
}

/// A question of no call.
fn question(text: &str, asked_at_unix_ms: u64, confidence: f32, meaning: Option<Meaning>) -> QuestionRow {
    let (model, vector) = meaning.map(|meaning| (meaning.by, bytes(&meaning.vector))).unwrap_or_default();
    QuestionRow {
        id: Uuid::now_v7(),
        gap: None,
        call: None,
        utterance: None,
        asked_at_unix_ms,
        text: text.to_owned(),
        // What a model made of nothing is no number that anything can be compared with.
        confidence: if confidence.is_finite() { confidence } else { 0.0 },
        model,
        vector,
    }
}

impl From<QuestionRow> for AskedQuestion {
    fn from(row: QuestionRow) -> Self {
        let QuestionRow { text, asked_at_unix_ms, confidence, call, utterance, .. } = row;
        Self { text, asked_at_unix_ms, confidence, call_id: call, utterance_id: utterance }
    }
}

fn concerns(
    listed: &ListedDocument,
    uses: &CardUses,
    found: u64,
    days: u64,
    old_after_days: u32,
) -> Vec<Concern> {
    if listed.state == DocumentState::Failed {
        return vec![Concern::Failed];
    }
    let used = uses.accepted + uses.copied;
    let is_dated = listed.changed_unix_ms > 0;
    [
        (Concern::Wrong, uses.wrong >= FEW_WRONG && uses.wrong > used),
        (Concern::Old, is_dated && days >= u64::from(old_after_days)),
        (Concern::NeverShown, days >= NEW_DAYS && uses.shown == 0 && found == 0),
        (Concern::NeverUsed, uses.shown >= FEW_CARDS && used == 0),
    ]
    .into_iter()
    .filter_map(|(concern, is_so)| is_so.then_some(concern))
    .collect()
}

/// A sentence with what stands above it, if it is still there.
fn said(library: &Library, one: &Statement, viewer: &Viewer) -> Option<FoundSentence> {
    let document = library.document(&one.document, viewer)?;
    Some(FoundSentence {
        document: document.id.clone(),
        title: document.title.clone(),
        headings: document.passages.get(one.place)?.section.clone(),
        text: one.text.clone(),
        changed_unix_ms: document.changed_unix_ms,
    })
}

/// What a call that is over tells of what is written down: what its customer asked that nothing answers surely enough, by the
/// rules of a live call, with all that its agent may see; and what became of its cards.
///
/// Blocks for some tens of milliseconds a question.
///
/// # Errors
/// When a question cannot be looked up.
pub fn of_call(
    state: &CallState,
    events: &[CallEvent],
    library: &Library,
    trigger: &Trigger,
) -> Result<CallKnowledge, KnowledgeError> {
    let (questions, cards) = (unanswered(state, library, trigger)?, cards(events));
    Ok(CallKnowledge { questions, cards, ..CallKnowledge::default() })
}

fn unanswered(
    state: &CallState,
    library: &Library,
    trigger: &Trigger,
) -> Result<Vec<QuestionRow>, KnowledgeError> {
    let started_at = state.started.as_ref().map_or(0, |started| started.started_at_unix_ms);
    let agent = state.started.as_ref().and_then(|started| agent_among(&started.participants));
    let viewer = library.agent(agent);
    let wishes: BTreeSet<UtteranceId> = state.intents.iter().map(|intent| intent.utterance_id).collect();
    let mut said: Vec<&Utterance> = state.finals().collect();
    said.sort_by_key(|said| (said.start_ms, said.utterance_id));
    let mut found = Vec::new();
    for (n, one) in said.iter().enumerate().filter(|(_, one)| one.party == Party::Customer) {
        let before: Vec<Turn<'_>> = said[..n]
            .iter()
            .rev()
            .take(TURNS)
            .map(|said| Turn { is_customers: said.party == Party::Customer, text: &said.text })
            .collect();
        let is_wish = wishes.contains(&one.utterance_id);
        let Ok(Question { text, context }) = trigger.question(&one.text, &before, is_wish) else { continue };
        // First the meaning: whatever is published after that has none of another embedding.
        let meaning = meaning(library, text, &context);
        let Some(index) = library.index() else { break };
        let vector = meaning.as_ref().map(|meaning| meaning.vector.as_slice());
        let query = Query { text, context: &context, vector, ..Query::default() };
        let hits = index.search(&query, &viewer, 1)?;
        let confidence = hits.first().map_or(0.0, |hit: &Hit| hit.confidence);
        if confidence < SURE {
            let asked_at = started_at.saturating_add(one.start_ms.0);
            let question = question(text, asked_at, confidence, meaning);
            found.push(QuestionRow { utterance: Some(one.utterance_id), ..question });
        }
    }
    Ok(found)
}

fn cards(events: &[CallEvent]) -> Vec<CardUses> {
    let mut uses: BTreeMap<&str, CardUses> = BTreeMap::new();
    let mut shown: BTreeMap<u32, &str> = BTreeMap::new();
    // A card that is copied twice has been used once.
    let mut answered: BTreeSet<(u32, bool)> = BTreeSet::new();
    for event in events {
        match &event.body {
            EventBody::Card(card) => {
                shown.insert(card.card_id, &card.document);
                uses.entry(&card.document).or_default().shown += 1;
            }
            EventBody::CardAnswered(answer) => {
                let is_copied = answer.answer == CardAnswer::Copied;
                let Some(document) = shown.get(&answer.card_id).copied() else { continue };
                if !answered.insert((answer.card_id, is_copied)) {
                    continue;
                }
                let uses = uses.entry(document).or_default();
                *match answer.answer {
                    CardAnswer::Accepted => &mut uses.accepted,
                    CardAnswer::Copied => &mut uses.copied,
                    CardAnswer::Dismissed => &mut uses.dismissed,
                    CardAnswer::Wrong => &mut uses.wrong,
                } += 1;
            }
            _ => {}
        }
    }
    uses.into_iter().map(|(document, uses)| CardUses { document: document.to_owned(), ..uses }).collect()
}

#[cfg(test)]
mod tests {
    use sotto_call::testing::{card, utterance};
    use sotto_call::{CallLog, Card, CardAnswered, Intent, Millis};
    use sotto_knowledge::{Content, Hub, Paper, Visibility};
    use sotto_store::Role;

    use super::*;
    use crate::library::{DocumentSource, seen_by, viewer};

    fn library(texts: &[&str]) -> Library {
        let mut hub = Hub::new();
        for (n, text) in texts.iter().enumerate() {
            let (id, content) = (format!("{n}.md"), Content::plain("Refunds", text));
            hub.put(Paper { id, changed_unix_ms: 1, visibility: Visibility::default(), bytes: 0, content });
        }
        Library::fixed(hub.index().unwrap())
    }

    fn events(bodies: Vec<EventBody>) -> Vec<CallEvent> {
        let mut log = CallLog::default();
        bodies.into_iter().map(|body| log.append(Millis(1), body)).collect()
    }

    /// What is kept of a call on which this is said, by its customer or not.
    fn kept(library: &Library, said: &[(Party, &str)], wishes: &[u32]) -> Vec<(u32, String)> {
        let said = (1..).zip(said).map(|(id, (party, text))| utterance(id, *party, text));
        let said: Vec<Utterance> = said.collect();
        let wish = |id: &u32| {
            let of = sotto_call::CustomerUtterance::of(&said[*id as usize - 1]).unwrap();
            EventBody::Intent(Intent { name: Some("wish".to_owned()), ..Intent::none(&of, Millis(0)) })
        };
        let wished: Vec<EventBody> = wishes.iter().map(wish).collect();
        let all = events(said.iter().cloned().map(EventBody::Utterance).chain(wished).collect());
        let knowledge = of_call(&CallState::of(&all), &all, library, &Trigger::new()).unwrap();
        assert!(knowledge.cards.is_empty());
        let one = |row: QuestionRow| (row.utterance.map_or(0, |id| id.0), row.text);
        knowledge.questions.into_iter().map(one).collect()
    }

    #[test]
    fn what_a_customer_asks_and_nothing_answers_is_kept_as_it_was_looked_up() {
        let library = library(&["Your refund takes 3 working days."]);
        let said = [
            (Party::Agent, "How may I help you?"),
            (Party::Customer, "Does your refund take 3 working days?"),
            (Party::Customer, "Okay. How do I renew my panel, please?"),
            (Party::Customer, "Panel colours in blue."),
            (Party::Agent, "How do I print that?"),
            (Party::Customer, "Thank you, bye."),
        ];
        let panel = kept(&library, &said, &[]);
        assert_eq!((panel.len(), panel[0].0), (1, 3));
        assert!(panel[0].1.contains("renew my panel") && !panel[0].1.starts_with("Okay"), "{panel:?}");
        // A wish is looked up as well, as on a live call.
        assert_eq!(kept(&library, &said, &[4]).iter().map(|one| one.0).collect::<Vec<_>>(), [3, 4]);
        assert!(kept(&Library::default(), &said, &[4]).is_empty(), "nothing is written down");
    }

    #[test]
    fn what_became_of_cards_is_counted_by_document_each_card_once_for_each_answer() {
        let said = utterance(1, Party::Customer, "how?");
        let shown =
            |card_id, document: &str| EventBody::Card(Box::new(Card { card_id, ..card(document, &said) }));
        let answered = |card_id, answer| {
            EventBody::CardAnswered(CardAnswered { card_id, answer, by: "mina".to_owned() })
        };
        let all = events(vec![
            shown(1, "a.md"),
            answered(1, CardAnswer::Copied),
            answered(1, CardAnswer::Copied),
            answered(1, CardAnswer::Accepted),
            shown(2, "b.md"),
            answered(2, CardAnswer::Wrong),
            shown(3, "a.md"),
            answered(3, CardAnswer::Dismissed),
            answered(9, CardAnswer::Wrong),
        ]);
        let nothing = CardUses::default();
        assert_eq!(
            cards(&all),
            [
                CardUses {
                    document: "a.md".to_owned(),
                    shown: 2,
                    accepted: 1,
                    copied: 1,
                    dismissed: 1,
                    wrong: 0
                },
                CardUses { document: "b.md".to_owned(), shown: 1, wrong: 1, ..nothing },
            ]
        );
    }

    #[test]
    fn questions_go_to_the_gap_they_are_like_or_begin_one() {
        let meaning = |x: f32, y: f32| Some(Meaning { by: "e5".to_owned(), vector: vec![x, y] });
        let gap = Uuid::now_v7();
        let leader = QuestionRow { gap: Some(gap), ..question("refund", 1, 0.1, meaning(1.0, 0.0)) };
        let loose = [
            question("money back", 2, 0.1, meaning(1.0, 0.0)),
            question("renew", 3, 0.1, meaning(0.0, 1.0)),
            question("prolong", 4, f32::NAN, meaning(0.0, 1.0)),
        ];
        assert!(loose[2].confidence.abs() < f32::EPSILON);
        let pairs = pairs(&[leader], &loose);
        assert_eq!(pairs.iter().map(|pair| pair.0).collect::<Vec<_>>(), loose.each_ref().map(|one| one.id));
        assert_eq!((pairs[0].1, pairs[1].1 == pairs[2].1, pairs[1].1 == gap), (gap, true, false));
    }

    #[test]
    fn what_is_hidden_takes_no_place_among_what_disagrees() {
        let mut hub = Hub::new();
        let mut put = |id: String, days: u32, roles: &[Role]| {
            let content = Content::plain("Refunds", &format!("Your refund takes {days} working days."));
            hub.put(Paper { id, changed_unix_ms: 1, visibility: seen_by(roles), bytes: 0, content });
        };
        for n in 0..60 {
            put(format!("a{n:02}.md"), 100 + n, &[Role::Admin]);
        }
        put("y.md".to_owned(), 3, &[]);
        put("z.md".to_owned(), 5, &[]);
        let library = Library::fixed(hub.index().unwrap());
        let found = |role: Role| library.conflicts(&viewer(role)).len();
        assert_eq!((found(Role::Supervisor), found(Role::Admin) > 1, found(Role::Supervisor)), (1, true, 1));
    }

    #[test]
    fn what_is_to_be_seen_to_is_said_of_a_document() {
        let listed = ListedDocument {
            id: "a.md".to_owned(),
            title: "A".to_owned(),
            source: DocumentSource::Folder,
            state: DocumentState::Ready,
            changed_unix_ms: 1,
            bytes: 1,
            version: 1,
            passages: 1,
            problem: None,
            roles: BTreeSet::new(),
            teams: BTreeSet::new(),
        };
        let uses = |shown, accepted, copied, wrong| CardUses {
            shown,
            accepted,
            copied,
            wrong,
            ..CardUses::default()
        };
        let of = |uses: &CardUses, found, days| concerns(&listed, uses, found, days, 365);
        assert_eq!(of(&uses(0, 0, 0, 0), 0, 29), []);
        assert_eq!(of(&uses(0, 0, 0, 0), 0, 30), [Concern::NeverShown]);
        assert_eq!(of(&uses(0, 0, 0, 0), 1, 365), [Concern::Old]);
        assert_eq!(of(&uses(5, 0, 0, 0), 0, 40), [Concern::NeverUsed]);
        assert_eq!(of(&uses(5, 0, 1, 1), 0, 40), []);
        assert_eq!(of(&uses(4, 1, 1, 2), 0, 40), []);
        assert_eq!(of(&uses(4, 1, 0, 2), 0, 40), [Concern::Wrong]);
        let undated = ListedDocument { changed_unix_ms: 0, ..listed.clone() };
        assert_eq!(concerns(&undated, &uses(1, 1, 0, 0), 0, 20_000, 365), []);
        let failed = ListedDocument { state: DocumentState::Failed, ..listed.clone() };
        assert_eq!(concerns(&failed, &uses(5, 0, 0, 3), 0, 400, 365), [Concern::Failed]);
    }
}
