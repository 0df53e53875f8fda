//! What the agent is told while they talk: at most one thing at a time, seldom, and always with the words it rests on.
//!
//! Rules look at the events of a call's log and offer prompts: kindness where the customer sounds unhappy, the next step of
//! the organisation's playbook, a silence, somebody who cannot finish, something that must be said and was not. Whatever is
//! offered waits for its turn and not for long; when the agent may be told something, what matters most is shown, and says
//! what was held back and why.
//!
//! A plain value: events and times are passed in. The constants are judged, not learned.

mod checklist;
mod lapses;
mod playbook;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use sotto_call::{
    CallEvent, Emotion, Entities, EntityKind, EventBody, HeldBack, HeldBackBecause, Intent, Millis, Mood,
    Party, Prompt, PromptAnswer, PromptAnswered, PromptKind, Quote, TurnDirection, Utterance, UtteranceId,
};

pub use self::checklist::Checklist;
pub use self::lapses::{Lapses, Missing};
pub use self::playbook::{Duty, Playbook, PromptSet};

use self::playbook::Text;
use crate::talk::{DEAD_AIR, Stretch};

/// No prompt comes sooner after another one, and none stands for as long.
const EVERY: Millis = Millis(45_000);
/// The first words of a call are nobody's to comment on.
const FIRST: Millis = Millis(5_000);
/// The agent interrupts so often within a time, and the customer could not finish.
const OVERLAPS: usize = 2;
const OVERLAPS_WITHIN: Millis = Millis(60_000);
/// The newest finals that a prompt may rest on.
const REMEMBERED: usize = 32;
/// Prompts that are said to have been held back; of more the oldest are left out.
const MOST_HELD_BACK: usize = 4;

/// How a kind of prompt is treated.
struct Manner {
    /// How much it matters, 0 to 100.
    priority: u8,
    /// How long it may wait for its turn.
    waits: Millis,
    /// How long it helps once it is shown.
    stands: Millis,
    /// When the same may be said again; never on this call, when absent.
    again: Option<Millis>,
}

fn manner(about: PromptKind) -> Manner {
    let (priority, waits, stands, again) = match about {
        PromptKind::Checklist => (80, 60, 30, None),
        PromptKind::Empathy => (70, 15, 20, Some(120)),
        PromptKind::DeadAir => (60, 10, 15, Some(120)),
        // Longer than from one prompt to the next: the step after one that was answered at once.
        PromptKind::NextAction => (50, 60, 30, None),
        PromptKind::Overtalk => (40, 10, 15, Some(300)),
    };
    let seconds = |s: u64| Millis(s * 1_000);
    Manner { priority, waits: seconds(waits), stands: seconds(stands), again: again.map(seconds) }
}

/// What tells prompts apart: of one rule only one waits, and it says the same again only after a while.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    Empathy,
    /// A step of the playbook of an intent.
    Step(String, usize),
    DeadAir,
    Overtalk,
    /// An item of the checklist.
    Duty(String),
}

impl Rule {
    fn about(&self) -> PromptKind {
        match self {
            Self::Empathy => PromptKind::Empathy,
            Self::Step(..) => PromptKind::NextAction,
            Self::DeadAir => PromptKind::DeadAir,
            Self::Overtalk => PromptKind::Overtalk,
            Self::Duty(_) => PromptKind::Checklist,
        }
    }
}

/// A prompt that waits for its turn.
#[derive(Debug)]
struct Waiting {
    rule: Rule,
    text: Text,
    /// What it rests on.
    utterance: UtteranceId,
    since: Millis,
    until: Millis,
}

/// The prompt that stands.
#[derive(Debug)]
struct Standing {
    prompt_id: u32,
    about: PromptKind,
    utterance: UtteranceId,
    until: Millis,
}

/// Final words.
#[derive(Debug)]
struct Said {
    quote: Quote,
    /// BCP 47 code of the language that was recognised.
    language: String,
    stretch: Stretch,
}

/// Decides what the agent of one call is told, and when.
#[derive(Debug)]
pub struct Prompter {
    playbook: Arc<Playbook>,
    /// Whether time passes between events.
    has_clock: bool,
    now: Millis,
    /// In the order in which they became final.
    said: VecDeque<Said>,
    waiting: Vec<Waiting>,
    standing: Option<Standing>,
    /// The last one, until it is answered: on a page it may be there for longer than it stands.
    unanswered: Option<(u32, PromptKind)>,
    held_back: Vec<HeldBack>,
    /// Prompts so far.
    count: u32,
    /// When the next one may come.
    free: Millis,
    /// When each was said last, and what it rested on.
    shown: BTreeMap<Rule, (Millis, UtteranceId)>,
    /// What the agent said is no help on this call.
    not_helpful: BTreeSet<PromptKind>,
    /// The newest words of the customer that a mood was read of: how they feel now.
    felt: Option<UtteranceId>,
    /// What the customer wanted, by the words that say so.
    wanted: BTreeMap<UtteranceId, String>,
    /// What is named, by the words it is named in.
    named: BTreeMap<UtteranceId, BTreeSet<EntityKind>>,
    lapses: Lapses,
    /// When the customer could not finish.
    overlaps: VecDeque<Millis>,
}

impl Prompter {
    /// For a call that begins.
    #[must_use]
    pub fn new(playbook: Arc<Playbook>) -> Self {
        Self {
            playbook,
            has_clock: true,
            now: Millis(0),
            said: VecDeque::new(),
            waiting: Vec::new(),
            standing: None,
            unanswered: None,
            held_back: Vec::new(),
            count: 0,
            free: FIRST,
            shown: BTreeMap::new(),
            not_helpful: BTreeSet::new(),
            felt: None,
            wanted: BTreeMap::new(),
            named: BTreeMap::new(),
            lapses: Lapses::default(),
            overlaps: VecDeque::new(),
        }
    }

    /// For a call that is played as fast as it goes, whose clock may be ahead of its words: a silence cannot be told from words
    /// that are still to come.
    #[must_use]
    pub fn without_clock(self) -> Self {
        Self { has_clock: false, ..self }
    }

    /// Takes in the next event of the log.
    pub fn apply(&mut self, event: &CallEvent) {
        self.now = self.now.max(event.at_ms);
        let (quiet, farewell) = (self.lapses.quiet_since(), self.lapses.farewell());
        self.lapses.apply(event, &self.playbook);
        if let Some(id) = farewell.filter(|id| self.lapses.farewell() != Some(*id)) {
            self.stay(id);
        }
        if self.lapses.quiet_since() != quiet {
            self.withdraw(|one| one.rule == Rule::DeadAir);
        }
        match &event.body {
            EventBody::Utterance(said) => self.hear(said),
            EventBody::Redacted(redacted) => {
                let id = redacted.utterance_id;
                let known = self.said.iter_mut().find(|said| said.quote.utterance_id == id);
                known.into_iter().for_each(|said| said.quote.redact());
            }
            EventBody::Mood(mood) => self.feel(mood),
            // Whoever takes the customer's place feels something else.
            EventBody::Transferred(transferred) if transferred.party == Party::Customer => {
                self.withdraw(|one| one.rule == Rule::Empathy);
            }
            EventBody::Consent(consent) if !consent.mood => {
                self.withdraw(|one| one.rule == Rule::Empathy);
                self.held_back.retain(|one| one.about != PromptKind::Empathy);
                self.standing.take_if(|standing| standing.about == PromptKind::Empathy);
            }
            EventBody::Intent(intent) => self.want(intent),
            EventBody::Entities(found) => self.name(found),
            EventBody::Checklist(item) if item.done => {
                self.withdraw(|one| matches!(&one.rule, Rule::Duty(name) if *name == item.name));
            }
            EventBody::PromptAnswered(answered) => self.learn(answered),
            _ => {}
        }
    }

    /// What the agent is told now, if anything. To be asked after every event, and when something is [`due`](Self::due).
    pub fn next(&mut self, now: Millis) -> Option<Prompt> {
        self.now = self.now.max(now);
        let now = self.now;
        self.notice();
        let (waiting, late): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|one| one.until > now);
        self.waiting = waiting;
        for one in late {
            self.hold_back(one.rule.about(), one.text, HeldBackBecause::TooSoon);
        }
        self.standing.take_if(|standing| standing.until <= now);
        if self.standing.is_some() || now < self.free {
            return None;
        }
        let matters = |one: &Waiting| (manner(one.rule.about()).priority, one.since);
        let at = (0..self.waiting.len()).max_by_key(|at| matters(&self.waiting[*at]))?;
        let Waiting { rule, text, utterance, .. } = self.waiting.swap_remove(at);
        let evidence = self.said(utterance)?.quote.clone();
        let others: Vec<(PromptKind, Text)> =
            self.waiting.iter().map(|one| (one.rule.about(), one.text.clone())).collect();
        for (about, text) in others {
            self.hold_back(about, text, HeldBackBecause::MattersLess);
        }
        let (about, Manner { priority, stands, .. }) = (rule.about(), manner(rule.about()));
        let expires_at_ms = now + stands;
        // It was held back, and is not any more.
        self.held_back.retain(|one| one.text != text);
        self.count += 1;
        self.free = now + EVERY;
        self.shown.insert(rule, (now, utterance));
        self.standing = Some(Standing { prompt_id: self.count, about, utterance, until: expires_at_ms });
        self.unanswered = Some((self.count, about));
        let held_back = std::mem::take(&mut self.held_back);
        Some(Prompt { prompt_id: self.count, about, text, priority, evidence, expires_at_ms, held_back })
    }

    /// When there may be something to say though nothing happens.
    #[must_use]
    pub fn due(&self, now: Millis) -> Option<Millis> {
        if !self.has_clock {
            return None;
        }
        let standing = self.standing.as_ref().map_or(Millis(0), |standing| standing.until);
        let free = (!self.waiting.is_empty()).then_some(self.free.max(standing));
        let missing = self.playbook.duties().iter().filter_map(|duty| self.lapses.missing(duty));
        let duties = missing.map(|missing| missing.due);
        free.into_iter().chain(self.silent_at()).chain(duties).filter(|at| *at > now).min()
    }

    fn said(&self, id: UtteranceId) -> Option<&Said> {
        self.said.iter().find(|said| said.quote.utterance_id == id)
    }

    fn hear(&mut self, said: &Utterance) {
        if !said.r#final {
            return;
        }
        let (id, party) = (said.utterance_id, said.party);
        if said.text.trim().is_empty() {
            // Nothing was said: what rests on it falls.
            self.said.retain(|known| known.quote.utterance_id != id);
            self.withdraw(|one| one.utterance == id);
            self.standing.take_if(|standing| standing.utterance == id);
            self.wanted.remove(&id);
            self.named.remove(&id);
            return;
        }
        let quote = Quote::of(said);
        if let Some(known) = self.said.iter_mut().find(|known| known.quote.utterance_id == id) {
            let is_revised = known.quote.text != quote.text;
            (known.quote, known.stretch.party) = (quote, party);
            known.language.clone_from(&said.language);
            if is_revised || party != Party::Customer {
                // Their mood is read once more. Whoever these words were taken for, an employee has none.
                self.withdraw(|one| one.rule == Rule::Empathy && one.utterance == id);
            }
            return;
        }
        let language = said.language.clone();
        self.said.push_back(Said { quote, language, stretch: Stretch::of(said) });
        if self.said.len() > REMEMBERED {
            self.said.pop_front();
        }
        self.listen_for_overlap();
    }

    /// These words were no goodbye after all: what had to be said before it may be asked for again.
    fn stay(&mut self, id: UtteranceId) {
        self.withdraw(|one| one.utterance == id && one.rule.about() == PromptKind::Checklist);
        self.shown.retain(|rule, (_, rested_on)| *rested_on != id || rule.about() != PromptKind::Checklist);
    }

    /// Whether the newest final words are those of somebody who did not let the customer finish, or of a customer who could
    /// not.
    fn listen_for_overlap(&mut self) {
        let Some(new) = self.said.back() else { return };
        let interrupts = |agent: &Stretch, customer: &Stretch| {
            agent.party == Party::Agent && customer.party == Party::Customer && agent.interrupts(customer)
        };
        let found = self.said.iter().find_map(|other| {
            let (agent, customer) =
                if new.stretch.party == Party::Agent { (new, other) } else { (other, new) };
            interrupts(&agent.stretch, &customer.stretch)
                .then_some((agent.stretch.start, customer.quote.utterance_id))
        });
        let Some((at, utterance)) = found else { return };
        self.overlaps.retain(|before| at.since(*before) <= OVERLAPS_WITHIN);
        self.overlaps.push_back(at);
        if self.overlaps.len() >= OVERLAPS {
            self.overlaps.clear();
            let text = self.playbook.text("overtalk");
            self.offer(Rule::Overtalk, text, utterance);
        }
    }

    /// What answers kindly how the customer sounds.
    fn feel(&mut self, mood: &Mood) {
        let (id, words) = (mood.utterance_id(), &mood.words);
        let is_current =
            |said: &Said| said.stretch.party == Party::Customer && said.quote.revision == mood.revision();
        if !self.said(id).is_some_and(is_current) {
            return;
        }
        if !words.is_unpleasant() {
            self.standing
                .take_if(|standing| standing.about == PromptKind::Empathy && standing.utterance == id);
        }
        if self.felt.is_some_and(|newest| id < newest) {
            // Earlier words that were revised: how the customer feels now, they have said since.
            return;
        }
        self.felt = Some(id);
        let emotion = words.clear_emotion().filter(|_| words.is_unpleasant());
        let Some(name) = emotion.and_then(kindness) else {
            self.withdraw(|one| one.rule == Rule::Empathy);
            return;
        };
        let mut text = self.playbook.text(name);
        let decline = mood.turn.filter(|turn| turn.direction == TurnDirection::Decline);
        let trigger = decline.and_then(|turn| self.said(turn.trigger?));
        if trigger.is_some_and(|said| said.stretch.party == Party::Agent) {
            add(&mut text, self.playbook.text("after_agent"));
        }
        if let Some(said) = self.said(id) {
            add(&mut text, self.playbook.culture(&said.language));
        }
        self.offer(Rule::Empathy, text, id);
    }

    fn want(&mut self, intent: &Intent) {
        let id = intent.utterance_id;
        if self.said(id).is_none_or(|said| said.quote.revision != intent.revision) {
            // Understood of words that are no more.
            return;
        }
        let Some(name) = &intent.name else {
            // It was understood wrongly.
            self.wanted.remove(&id);
            self.withdraw(|one| one.utterance == id && one.rule.about() == PromptKind::NextAction);
            self.standing
                .take_if(|standing| standing.about == PromptKind::NextAction && standing.utterance == id);
            return;
        };
        self.wanted.insert(id, name.clone());
        // Earlier words that are revised do not count for more than later ones.
        if self.wanted.last_key_value().is_some_and(|(newest, _)| *newest == id) {
            self.go_on(id);
        }
    }

    /// What the customer wanted last.
    fn wanted(&self) -> Option<&String> {
        self.wanted.last_key_value().map(|(_, name)| name)
    }

    fn name(&mut self, found: &Entities) {
        let (id, before) = (found.utterance_id, self.named());
        self.named.insert(id, found.entities.iter().map(|one| one.kind).collect());
        let now = self.named();
        let steps = self.wanted().map(|name| self.playbook.steps(name)).unwrap_or_default();
        if steps
            .iter()
            .any(|step| step.until.is_some_and(|kind| before.contains(&kind) != now.contains(&kind)))
        {
            self.go_on(id);
        }
    }

    /// What has been named, by whomever.
    fn named(&self) -> BTreeSet<EntityKind> {
        self.named.values().flatten().copied().collect()
    }

    /// Offers the next step of the playbook: the first that was neither said nor is done.
    fn go_on(&mut self, utterance: UtteranceId) {
        let Some(name) = self.wanted().cloned() else { return };
        self.withdraw(|one| one.rule.about() == PromptKind::NextAction);
        let (steps, named) = (self.playbook.steps(&name), self.named());
        let next = steps.iter().enumerate().find(|(n, step)| {
            let is_said = self.shown.contains_key(&Rule::Step(name.clone(), *n));
            !is_said && step.until.is_none_or(|kind| !named.contains(&kind))
        });
        if let Some((n, step)) = next {
            self.offer(Rule::Step(name, n), step.text.clone(), utterance);
        }
    }

    fn learn(&mut self, answered: &PromptAnswered) {
        let Some((_, about)) = self.unanswered.take_if(|(id, _)| *id == answered.prompt_id) else { return };
        self.standing.take_if(|standing| standing.prompt_id == answered.prompt_id);
        match answered.answer {
            // What must be said must be said.
            PromptAnswer::NotHelpful if about != PromptKind::Checklist => {
                self.not_helpful.insert(about);
                let all = std::mem::take(&mut self.waiting).into_iter();
                let (unwanted, waiting): (Vec<_>, Vec<_>) = all.partition(|one| one.rule.about() == about);
                self.waiting = waiting;
                for one in unwanted {
                    self.hold_back(about, one.text, HeldBackBecause::NotHelpful);
                }
            }
            PromptAnswer::Accepted if about == PromptKind::NextAction => {
                let newest = self.said.iter().rev().find(|said| said.stretch.party == Party::Customer);
                if let Some(id) = newest.map(|said| said.quote.utterance_id) {
                    self.go_on(id);
                }
            }
            _ => {}
        }
    }

    /// Offers what is due by now.
    fn notice(&mut self) {
        let Some(newest) = self.said.back().map(|said| said.quote.utterance_id) else { return };
        if self.silent_at().is_some_and(|at| at <= self.now) {
            let text = self.playbook.text("dead_air");
            self.offer(Rule::DeadAir, text, newest);
        }
        let playbook = Arc::clone(&self.playbook);
        for duty in playbook.duties() {
            let missing = self.lapses.missing(duty).filter(|missing| missing.due <= self.now);
            let Some(Missing { farewell, .. }) = missing else { continue };
            let farewell = farewell.filter(|id| self.said(*id).is_some());
            let rule = Rule::Duty(duty.name.clone());
            if self.waiting.iter().all(|one| one.rule != rule) {
                self.offer(rule, playbook.reminder(duty), farewell.unwrap_or(newest));
            }
        }
    }

    /// When nobody will have spoken for too long, if nobody speaks before.
    fn silent_at(&self) -> Option<Millis> {
        self.lapses.quiet_since().filter(|_| self.has_clock).map(|since| since + DEAD_AIR)
    }

    /// Lets a prompt wait for its turn, unless the same was said of late or its like is no help.
    fn offer(&mut self, rule: Rule, text: Text, utterance: UtteranceId) {
        let (about, now) = (rule.about(), self.now);
        let Manner { waits, again, .. } = manner(about);
        let is_too_soon = |(at, _): &(Millis, UtteranceId)| again.is_none_or(|again| now.since(*at) < again);
        if text.is_empty() || self.shown.get(&rule).is_some_and(is_too_soon) {
            return;
        }
        self.withdraw(|one| one.rule == rule);
        if self.not_helpful.contains(&about) {
            self.hold_back(about, text, HeldBackBecause::NotHelpful);
            return;
        }
        self.waiting.push(Waiting { rule, text, utterance, since: now, until: now + waits });
    }

    fn withdraw(&mut self, is_over: impl Fn(&Waiting) -> bool) {
        self.waiting.retain(|one| !is_over(one));
    }

    fn hold_back(&mut self, about: PromptKind, text: Text, because: HeldBackBecause) {
        self.held_back.retain(|one| one.about != about || one.text != text);
        self.held_back.push(HeldBack { about, text, because });
        if self.held_back.len() > MOST_HELD_BACK {
            self.held_back.remove(0);
        }
    }
}

/// Says more, in the languages that something is said in already.
fn add(text: &mut Text, more: Text) {
    for (language, more) in more {
        if let Some(text) = text.get_mut(&language) {
            text.push(' ');
            text.push_str(&more);
        }
    }
}

/// The texts that answer an emotion.
const KINDNESS: [&str; 6] = ["anger", "annoyance", "disappointment", "confusion", "worry", "sadness"];

/// The text that answers an emotion; none for those that need no answer.
fn kindness(emotion: Emotion) -> Option<&'static str> {
    match emotion {
        Emotion::Anger => Some("anger"),
        Emotion::Annoyance => Some("annoyance"),
        Emotion::Disappointment => Some("disappointment"),
        Emotion::Confusion => Some("confusion"),
        Emotion::Worry => Some("worry"),
        Emotion::Sadness => Some("sadness"),
        Emotion::Gratitude | Emotion::Joy | Emotion::Neutral => None,
    }
}

#[cfg(test)]
mod tests;
