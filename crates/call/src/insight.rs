//! What is understood of what a customer says: mood and intent, always with the utterance it rests on.
//!
//! Nothing is ever inferred about an employee. The types see to it: a [`Mood`] is made of a [`CustomerUtterance`],
//! which only the customer's final words become, and a [`CallState`](crate::CallState) takes in no mood that names
//! an utterance of anybody else, wherever it was read from.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CallState, EventBody, Millis, Party, Prompt, PromptKind, Utterance, UtteranceId, Withheld};

/// Final words of the customer: all that mood and intent are ever read from.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomerUtterance(Utterance);

impl CustomerUtterance {
    /// The utterance, if it is the customer's and final, and has words. There is no other way to make one.
    #[must_use]
    pub fn of(utterance: &Utterance) -> Option<Self> {
        let Utterance { party, r#final, text, .. } = utterance;
        (*party == Party::Customer && *r#final && !text.trim().is_empty()).then(|| Self(utterance.clone()))
    }

    /// What was said.
    #[must_use]
    pub fn utterance(&self) -> &Utterance {
        &self.0
    }
}

/// See [`EventBody::Mood`](crate::EventBody::Mood).
///
/// Of several about one utterance the newest counts: its words were revised. One about words that were taken back
/// does not count any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Mood {
    /// The customer's utterance that it rests on.
    utterance_id: UtteranceId,
    /// The revision of its words.
    revision: u32,
    /// What those words alone tell.
    #[serde(flatten)]
    pub words: WordsMood,
    /// What is made of them and of all that the customer said before.
    pub arc: ArcPoint,
    /// With these words it shows that the mood has turned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub turn: Option<Turn>,
    /// What the voice alone tells, where voices are listened to and there is something to compare it with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub voice: Option<VoiceMood>,
    /// It is urgent to the customer, as far as these words tell.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "ts", ts(as = "Option<bool>", optional))]
    pub urgent: bool,
    /// From the publication of the words to that of this event.
    pub latency_ms: Millis,
}

impl Mood {
    /// The mood in what the customer has said, as far as words tell.
    #[must_use]
    pub fn of(
        said: &CustomerUtterance,
        words: WordsMood,
        arc: ArcPoint,
        turn: Option<Turn>,
        latency_ms: Millis,
    ) -> Self {
        let Utterance { utterance_id, revision, .. } = said.0;
        Self { utterance_id, revision, words, arc, turn, voice: None, urgent: false, latency_ms }
    }

    /// With what the voice tells.
    #[must_use]
    pub fn with_voice(self, voice: Option<VoiceMood>) -> Self {
        Self { voice, ..self }
    }

    /// With whether it is urgent to the customer.
    #[must_use]
    pub fn with_urgency(self, urgent: bool) -> Self {
        Self { urgent, ..self }
    }

    /// The customer's utterance that it rests on.
    #[must_use]
    pub fn utterance_id(&self) -> UtteranceId {
        self.utterance_id
    }

    /// The revision of its words.
    #[must_use]
    pub fn revision(&self) -> u32 {
        self.revision
    }
}

/// See [`EventBody::Consent`].
///
/// Of several the newest counts. Who does not agree has no mood any more, not even one that was read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Consent {
    /// They agree that their mood is read.
    pub mood: bool,
}

impl EventBody {
    /// Whether it tells how the customer feels: a mood, or a prompt that answers one, shown or held back.
    #[must_use]
    pub fn tells_mood(&self) -> bool {
        match self {
            Self::Mood(_) => true,
            Self::Prompt(prompt) => prompt.tells_mood(),
            _ => false,
        }
    }

    /// Leaves nothing of how the customer feels. Doing so again changes nothing.
    pub fn forget_mood(&mut self) {
        if matches!(self, Self::Mood(_) | Self::Prompt(Prompt { about: PromptKind::Empathy, .. })) {
            *self = Self::Withheld(Withheld {});
        } else if let Self::Prompt(prompt) = self {
            prompt.forget_mood();
        }
    }
}

impl CallState {
    /// Whether it tells how the customer feels.
    #[must_use]
    pub fn tells_mood(&self) -> bool {
        !self.moods.is_empty() || self.prompt.as_ref().is_some_and(Prompt::tells_mood)
    }

    /// Leaves nothing of how the customer feels.
    pub fn forget_moods(&mut self) {
        self.moods.clear();
        self.prompt.take_if(|prompt| prompt.about == PromptKind::Empathy);
        self.prompt.iter_mut().for_each(Prompt::forget_mood);
    }
}

/// What the words of one utterance tell of the mood.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct WordsMood {
    /// How probable each sentiment is.
    pub sentiment: Sentiment,
    /// How pleasant what was said is: from −1, unpleasant, to 1, pleasant.
    pub valence: f32,
    /// The emotion that is most probable.
    pub emotion: Emotion,
    /// How probable that is, 0 to 1.
    pub emotion_p: f32,
}

/// Emotions less probable than this are not spoken of.
const LEAST_EMOTION: f32 = 0.5;

impl WordsMood {
    /// The emotion, where it is probable enough to be spoken of.
    #[must_use]
    pub fn clear_emotion(&self) -> Option<Emotion> {
        (self.emotion_p >= LEAST_EMOTION).then_some(self.emotion)
    }

    /// Whether what was said is rather unpleasant than pleasant: only then is there something to answer kindly.
    #[must_use]
    pub fn is_unpleasant(&self) -> bool {
        self.sentiment.negative > self.sentiment.positive
    }
}

/// What was measured of a voice while an utterance was spoken. It is in no event: see [`VoiceMood`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Voice {
    /// The median pitch, in hertz; absent where too little of it was voiced.
    pub pitch_hz: Option<f32>,
    /// How loud the speech was, pauses left out, in decibels of full scale.
    pub level_dbfs: f32,
    /// How long there was speech, pauses left out.
    pub speech_ms: Millis,
}

/// What the voice of one utterance tells, beside how the customer spoke at first on this call: who speaks loudly and
/// fast is not agitated for that.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct VoiceMood {
    /// How agitated it sounds: from −1, calmer than at first, to 1, more agitated.
    pub arousal: f32,
    /// How much higher the pitch is, in semitones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub pitch_st: Option<f32>,
    /// How much louder it is, in decibels.
    pub level_db: f32,
    /// How many times as fast it is, pauses left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub rate: Option<f32>,
    /// How much larger a part of the utterance is pauses, from −1 to 1.
    pub pauses: f32,
}

/// How probable each sentiment is; the sum is 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Sentiment {
    /// Unpleasant.
    pub negative: f32,
    /// Neither.
    pub neutral: f32,
    /// Pleasant.
    pub positive: f32,
}

impl Sentiment {
    /// How pleasant it is on average, from −1 to 1.
    #[must_use]
    pub fn valence(&self) -> f32 {
        self.positive - self.negative
    }

    /// How far from that it may be: the variance of a valence that is −1, 0 or 1 with these probabilities.
    #[must_use]
    pub fn variance(&self) -> f32 {
        (self.positive + self.negative - self.valence().powi(2)).max(0.0)
    }
}

/// What words can tell of how somebody feels: a set for the telephone, drawn from GoEmotions (Demszky et al., 2020).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each says what it is")]
pub enum Emotion {
    Anger,
    Annoyance,
    Disappointment,
    Confusion,
    Worry,
    Sadness,
    Gratitude,
    Joy,
    Neutral,
}

/// An estimate of a customer's mood at a moment of the call, with what is not known about it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ArcPoint {
    /// When: the end of the utterance.
    pub at_ms: Millis,
    /// How pleasant, from −1 to 1.
    pub valence: f32,
    /// The standard deviation of the estimate.
    pub deviation: f32,
    /// Where it has gone of late.
    pub trend: Trend,
    /// How agitated, where voices are listened to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub arousal: Option<Arousal>,
}

/// An estimate of how agitated a customer is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Arousal {
    /// From −1, calm, to 1, agitated.
    pub level: f32,
    /// The standard deviation of the estimate.
    pub deviation: f32,
}

/// Where a mood goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Trend {
    /// It becomes less pleasant.
    Falling,
    /// No further than the estimate may be wrong.
    #[default]
    Steady,
    /// It becomes more pleasant.
    Rising,
}

/// A turning point of a call: from here on the mood went another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Turn {
    /// Which way.
    pub direction: TurnDirection,
    /// The customer's utterance with which that began.
    pub since: UtteranceId,
    /// What was said just before, by whomever, as far as it was final by then: the trigger, perhaps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub trigger: Option<UtteranceId>,
}

/// Which way a mood turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum TurnDirection {
    /// For the worse.
    Decline,
    /// For the better.
    Improvement,
}

/// See [`EventBody::Intent`](crate::EventBody::Intent).
///
/// Of several about one utterance the newest counts: its words were revised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Intent {
    /// The customer's utterance that it rests on.
    pub utterance_id: UtteranceId,
    /// The revision of its words.
    pub revision: u32,
    /// The organisation's name for the intent. Absent when the words as they were revised are none of the intents,
    /// which takes back what was recognised in them before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub name: Option<String>,
    /// What people call it, by BCP 47 language.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "ts", ts(as = "Option<BTreeMap<String, String>>", optional))]
    pub title: BTreeMap<String, String>,
    /// How probable it is, 0 to 1; 0 without a name.
    pub confidence: f32,
    /// The organisation wants supervisors to know of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "ts", ts(as = "Option<bool>", optional))]
    pub alert: bool,
    /// From the publication of the words to that of this event.
    pub latency_ms: Millis,
}

impl Intent {
    /// That the customer's words, as they are now, are none of the intents.
    #[must_use]
    pub fn none(said: &CustomerUtterance, latency_ms: Millis) -> Self {
        let Utterance { utterance_id, revision, .. } = said.0;
        let (title, confidence, alert) = (BTreeMap::new(), 0.0, false);
        Self { utterance_id, revision, name: None, title, confidence, alert, latency_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::utterance;
    use crate::{CallEvent, HeldBack, HeldBackBecause, Quote};

    fn partial(id: u32, text: &str) -> Utterance {
        Utterance { r#final: false, ..utterance(id, Party::Customer, text) }
    }

    fn mood(said: &CustomerUtterance) -> Mood {
        let sentiment = Sentiment { negative: 0.75, neutral: 0.25, positive: 0.0 };
        let words =
            WordsMood { sentiment, valence: sentiment.valence(), emotion: Emotion::Anger, emotion_p: 0.5 };
        let trend = Trend::Falling;
        let arc = ArcPoint { at_ms: Millis(900), valence: -0.5, deviation: 0.25, trend, arousal: None };
        Mood::of(said, words, arc, None, Millis(12))
    }

    fn intent(said: &CustomerUtterance, name: &str) -> Intent {
        Intent { name: Some(name.to_owned()), confidence: 0.9, ..Intent::none(said, Millis(12)) }
    }

    #[test]
    fn only_the_customers_final_words_can_have_a_mood() {
        for party in [Party::Agent, Party::Other] {
            for r#final in [true, false] {
                for text in ["I have had enough of this", ""] {
                    for revision in [0, 1, 7] {
                        let said = Utterance { r#final, revision, ..utterance(1, party, text) };
                        assert_eq!(CustomerUtterance::of(&said), None, "{said:?}");
                    }
                }
            }
        }
        assert_eq!(CustomerUtterance::of(&partial(1, "enough")), None);
        assert_eq!(CustomerUtterance::of(&utterance(1, Party::Customer, " ")), None);
        let said = CustomerUtterance::of(&utterance(1, Party::Customer, "enough")).unwrap();
        assert_eq!(mood(&said).utterance_id(), UtteranceId(1));
    }

    #[test]
    fn a_mood_or_an_intent_that_names_somebody_elses_words_is_not_taken_in() {
        let said = CustomerUtterance::of(&utterance(3, Party::Customer, "enough")).unwrap();
        // Read from somewhere: a database, a file, a peer. Nothing that is made here can name these.
        let mut forged = serde_json::to_value(EventBody::Mood(mood(&said))).unwrap();
        for id in [0, 1, 2, 9] {
            forged["utterance_id"] = id.into();
            let mut wanted = intent(&said, "refund");
            wanted.utterance_id = UtteranceId(id);
            let bodies = [
                EventBody::Utterance(utterance(0, Party::Agent, "calm down")),
                EventBody::Utterance(utterance(1, Party::Other, "calm down")),
                EventBody::Utterance(partial(2, "calm")),
                serde_json::from_value(forged.clone()).unwrap(),
                EventBody::Intent(wanted),
            ];
            let state = state(bodies);
            assert_eq!((state.moods.len(), state.intents.len()), (0, 0), "utterance {id}");
        }
    }

    fn state(bodies: impl IntoIterator<Item = EventBody>) -> CallState {
        let mut state = CallState::default();
        for (body, seq) in bodies.into_iter().zip(1..) {
            state.apply(&CallEvent { seq, at_ms: Millis(seq * 1_000), body });
        }
        state
    }

    fn kindness(about: PromptKind, rests_on: &Utterance, held_back: &[PromptKind]) -> EventBody {
        let (text, because) = (BTreeMap::new(), HeldBackBecause::MattersLess);
        let held = |about: &PromptKind| HeldBack { about: *about, text: BTreeMap::new(), because };
        EventBody::Prompt(Prompt {
            prompt_id: 1,
            about,
            text,
            priority: 70,
            evidence: Quote::of(rests_on),
            expires_at_ms: Millis(30_000),
            held_back: held_back.iter().map(held).collect(),
        })
    }

    /// Every log of four events about one utterance, whoever is said to have spoken it when: moods that were forged, parties
    /// that change, revisions, words taken back, prompts, and a customer who does not agree.
    #[test]
    fn by_no_order_of_events_does_anybody_but_a_customer_have_a_mood() {
        let heard =
            |party, r#final, revision| Utterance { r#final, revision, ..utterance(1, party, "enough") };
        let mut alphabet = Vec::new();
        for party in [Party::Agent, Party::Customer, Party::Other] {
            for revision in [0, 1] {
                alphabet.extend(
                    [true, false].map(|r#final| EventBody::Utterance(heard(party, r#final, revision))),
                );
            }
        }
        let taken_back = Utterance { text: String::new(), ..heard(Party::Customer, true, 1) };
        alphabet.push(EventBody::Utterance(taken_back));
        for revision in [0, 1] {
            let said = heard(Party::Customer, true, revision);
            alphabet.push(EventBody::Mood(mood(&CustomerUtterance::of(&said).unwrap())));
            alphabet.push(kindness(PromptKind::Empathy, &said, &[]));
        }
        alphabet.extend([true, false].map(|mood| EventBody::Consent(Consent { mood })));
        let (count, mut felt) = (alphabet.len(), 0);
        for n in 0..count.pow(4) {
            let places = (0..4).map(|place| n / count.pow(place) % count);
            let state = state(places.clone().map(|at| alphabet[at].clone()));
            let said = state.utterance(UtteranceId(1)).and_then(CustomerUtterance::of);
            let may = said.is_some() && state.consent != Some(Consent { mood: false });
            assert!(may || !state.tells_mood(), "{:?}", places.map(|at| &alphabet[at]).collect::<Vec<_>>());
            felt += u32::from(state.tells_mood());
        }
        assert!(felt > 100, "or nothing was tried: {felt}");
    }

    #[test]
    fn of_who_does_not_agree_nothing_is_left_of_a_mood() {
        let heard = utterance(1, Party::Customer, "enough");
        let said = CustomerUtterance::of(&heard).unwrap();
        let (agrees, refuses) = (Consent { mood: true }, Consent { mood: false });
        let felt = [
            EventBody::Consent(agrees),
            EventBody::Utterance(heard.clone()),
            EventBody::Mood(mood(&said)),
            kindness(PromptKind::NextAction, &heard, &[PromptKind::Empathy, PromptKind::DeadAir]),
        ];
        let before = state(felt.clone());
        assert!(before.tells_mood() && before.mood_now().is_some());
        let mut log = felt.to_vec();
        log.extend([EventBody::Consent(refuses), EventBody::Mood(mood(&said))]);
        let after = state(log.clone());
        assert_eq!((after.tells_mood(), after.consent), (false, Some(refuses)));
        let held: Vec<_> =
            after.prompt.iter().flat_map(|prompt| &prompt.held_back).map(|one| one.about).collect();
        assert_eq!(held, [PromptKind::DeadAir]);
        // What is kept says as little, and whoever reads it comes to the same.
        log.iter_mut().for_each(EventBody::forget_mood);
        assert!(log.iter().all(|body| !body.tells_mood()));
        assert_eq!(log[2], EventBody::Withheld(Withheld {}));
        assert_eq!(state(log), after);
        let json = serde_json::json!({ "kind": "consent", "mood": false });
        assert_eq!(serde_json::to_value(EventBody::Consent(refuses)).unwrap(), json);
        assert_eq!(serde_json::from_value::<EventBody>(json).unwrap(), EventBody::Consent(refuses));
    }

    #[test]
    fn a_revision_replaces_what_was_understood_and_words_taken_back_take_it_along() {
        let heard = |revision, text: &str| Utterance { revision, ..utterance(1, Party::Customer, text) };
        let understood = |heard: &Utterance, name: &str| {
            let said = CustomerUtterance::of(heard).unwrap();
            [EventBody::Mood(mood(&said)), EventBody::Intent(intent(&said, name))]
        };
        let (first, second) = (heard(0, "I want a fund"), heard(1, "I want a refund"));
        let mut bodies = vec![EventBody::Utterance(first.clone())];
        bodies.extend(understood(&first, "invest"));
        bodies.push(EventBody::Utterance(second.clone()));
        bodies.extend(understood(&second, "refund"));
        // Late: the words have been revised since.
        bodies.extend(understood(&first, "invest"));
        let now = state(bodies.clone());
        assert_eq!(now.moods.iter().map(Mood::revision).collect::<Vec<_>>(), [1]);
        let names: Vec<_> = now.intents.iter().map(|intent| intent.name.as_deref()).collect();
        assert_eq!(names, [Some("refund")]);

        let none = Intent::none(&CustomerUtterance::of(&second).unwrap(), Millis(0));
        bodies.push(EventBody::Intent(none));
        assert_eq!(state(bodies.clone()).intents, []);
        bodies.push(EventBody::Utterance(heard(2, "")));
        assert_eq!(state(bodies).moods, []);
    }

    #[test]
    fn a_prompt_falls_when_the_words_that_it_rests_on_are_revised_to_something_else() {
        let heard = |revision, text: &str| Utterance { revision, ..utterance(1, Party::Customer, text) };
        let (first, second) = (heard(0, "a disgrace"), heard(1, "a grace"));
        let said = CustomerUtterance::of(&second).unwrap();
        let mut better = mood(&said);
        better.words.sentiment = Sentiment { negative: 0.25, neutral: 0.25, positive: 0.5 };
        let (worse, none) = (mood(&said), Intent::none(&said, Millis(0)));
        for (about, understood, stands) in [
            (PromptKind::Empathy, EventBody::Mood(better.clone()), false),
            (PromptKind::Empathy, EventBody::Mood(worse), true),
            (PromptKind::Empathy, EventBody::Intent(none.clone()), true),
            (PromptKind::NextAction, EventBody::Intent(none), false),
            (PromptKind::NextAction, EventBody::Mood(better), true),
        ] {
            let state = state([
                EventBody::Utterance(first.clone()),
                kindness(about, &first, &[]),
                EventBody::Utterance(second.clone()),
                understood,
            ]);
            assert_eq!(state.prompt.is_some(), stands, "{about:?}");
        }
    }

    #[test]
    fn what_is_wanted_now_is_what_was_wanted_in_the_newest_words() {
        let mut bodies = Vec::new();
        for (id, name) in [(4, "refund"), (2, "prices")] {
            let heard = utterance(id, Party::Customer, "please");
            let said = CustomerUtterance::of(&heard).unwrap();
            bodies.extend([EventBody::Utterance(heard), EventBody::Intent(intent(&said, name))]);
        }
        let state = state(bodies);
        let now = state.intent_now().map(|intent| (intent.name.as_deref(), intent.utterance_id));
        assert_eq!(now, Some((Some("refund"), UtteranceId(4))));
    }

    #[test]
    fn a_mood_reads_as_it_was_written() {
        let said = CustomerUtterance::of(&utterance(1, Party::Customer, "enough")).unwrap();
        let since = UtteranceId(1);
        let turn = Turn { direction: TurnDirection::Decline, since, trigger: Some(UtteranceId(0)) };
        let body = EventBody::Mood(Mood { turn: Some(turn), ..mood(&said) });
        let json = serde_json::to_value(&body).unwrap();
        let expected = serde_json::json!({
            "kind": "mood", "utterance_id": 1, "revision": 0,
            "sentiment": { "negative": 0.75, "neutral": 0.25, "positive": 0.0 },
            "valence": -0.75, "emotion": "anger", "emotion_p": 0.5,
            "arc": { "at_ms": 900, "valence": -0.5, "deviation": 0.25, "trend": "falling" },
            "turn": { "direction": "decline", "since": 1, "trigger": 0 },
            "latency_ms": 12,
        });
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_value::<EventBody>(json).unwrap(), body);
    }

    #[test]
    fn what_a_voice_tells_is_part_of_the_mood() {
        let said = CustomerUtterance::of(&utterance(1, Party::Customer, "enough")).unwrap();
        let voice = VoiceMood { arousal: 0.5, pitch_st: Some(3.0), level_db: 6.0, rate: None, pauses: -0.25 };
        let mut mood = mood(&said).with_voice(Some(voice));
        mood.arc.arousal = Some(Arousal { level: 0.25, deviation: 0.5 });
        let body = EventBody::Mood(mood);
        let json = serde_json::to_value(&body).unwrap();
        assert_eq!(
            json["voice"],
            serde_json::json!({ "arousal": 0.5, "pitch_st": 3.0, "level_db": 6.0, "pauses": -0.25 })
        );
        assert_eq!(json["arc"]["arousal"], serde_json::json!({ "level": 0.25, "deviation": 0.5 }));
        assert_eq!(serde_json::from_value::<EventBody>(json).unwrap(), body);
    }

    #[test]
    fn sentiment_says_how_pleasant_and_how_sure() {
        let sure = Sentiment { negative: 1.0, neutral: 0.0, positive: 0.0 };
        assert_eq!((sure.valence(), sure.variance()), (-1.0, 0.0));
        let torn = Sentiment { negative: 0.5, neutral: 0.0, positive: 0.5 };
        assert_eq!((torn.valence(), torn.variance()), (0.0, 1.0));
    }
}
