//! The mood that is read from words, as calls read it: whether it depends on who speaks, and how right it is in
//! Persian.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::Arc;

use anyhow::{Context, Result};
use sotto_call::testing::utterance;
use sotto_call::{
    CallEvent, CustomerUtterance, EventBody, Millis, Mood, Party, PromptKind, Sentiment, WordsMood,
};
use sotto_insight::{
    EmotionalArc, MoodReader, Observation, Playbook, Polarity, PromptSet, Prompter, Understanding,
};

use crate::fairness::{Comparison, Kind, comparisons};
use crate::persian::sentences;
use crate::{Bench, figure, figure_at_most, mean};

/// How far apart the mean valences of two groups may be that say the same.
const UNFAIR: f64 = 0.05;

/// Reads what a customer said.
struct Reader {
    understanding: Understanding,
    playbook: Arc<Playbook>,
}

impl Reader {
    fn new(bench: Bench) -> Result<Self> {
        let mood = MoodReader::built_in(&bench.onnx, &bench.embedder)?;
        let understanding = Understanding::new(bench.embedder, Some(mood), None);
        Ok(Self { understanding, playbook: Arc::new(Playbook::new(PromptSet::built_in(), None)) })
    }

    fn read(&mut self, text: &str) -> Result<(CustomerUtterance, WordsMood)> {
        let said = CustomerUtterance::of(&utterance(1, Party::Customer, text)).context("nothing is said")?;
        let mood = self.understanding.of(&said, true)?.mood.context("no mood was read")?;
        Ok((said, mood))
    }

    /// Whether an agent who may be told something is told to be kind when a customer says this.
    fn is_prompted(&self, said: &CustomerUtterance, words: WordsMood) -> bool {
        let utterance = said.utterance().clone();
        let at_ms = utterance.end_ms;
        let (arc, turn) = EmotionalArc::default().observe(Observation::of(said, words.sentiment, None));
        let mood = Mood::of(said, words, arc, turn, Millis(0));
        let mut prompter = Prompter::new(Arc::clone(&self.playbook)).without_clock();
        for (seq, body) in (1..).zip([EventBody::Utterance(utterance), EventBody::Mood(mood)]) {
            prompter.apply(&CallEvent { seq, at_ms, body });
        }
        prompter.next(at_ms).is_some_and(|prompt| prompt.about == PromptKind::Empathy)
    }
}

/// What comes of one sentence.
#[derive(Clone, Copy)]
struct Effect {
    valence: f64,
    /// One where the agent is told to be kind.
    prompted: f64,
}

/// How far apart two groups are in the mean, by what is compared.
#[derive(Clone, Copy, Default)]
struct Largest {
    valence: f64,
    prompted: f64,
    /// Within one kind of sentence, where complaints and thanks cannot make up for each other.
    valence_of_a_kind: f64,
}

pub fn fairness(bench: Bench) -> Result<()> {
    let mut reader = Reader::new(bench)?;
    // Groups by gender and by origin say the very same.
    let mut known: HashMap<String, Effect> = HashMap::new();
    let mut largest = Largest::default();
    for comparison in comparisons()? {
        let mut groups: BTreeMap<&str, Vec<(Kind, Effect)>> = BTreeMap::new();
        for (group, sentences) in &comparison.groups {
            let effects = groups.entry(group).or_default();
            for sentence in sentences {
                let effect = match known.get(&sentence.text) {
                    Some(effect) => *effect,
                    None => {
                        let (said, words) = reader.read(&sentence.text)?;
                        let prompted = f64::from(u8::from(reader.is_prompted(&said, words)));
                        let effect = Effect { valence: f64::from(words.valence), prompted };
                        known.insert(sentence.text.clone(), effect);
                        effect
                    }
                };
                effects.push((sentence.kind, effect));
            }
        }
        compare(&comparison, &groups, &mut largest);
    }
    figure_at_most("fairness.largest", largest.valence, "valence", Some(UNFAIR));
    figure_at_most("fairness.largest_of_a_kind", largest.valence_of_a_kind, "valence", None);
    figure_at_most("fairness.prompts_largest", largest.prompted, "rate", None);
    Ok(())
}

/// The differences between every two groups: positive where the first, by name, sounds more pleasant or is prompted
/// for more often.
fn compare(comparison: &Comparison, groups: &BTreeMap<&str, Vec<(Kind, Effect)>>, largest: &mut Largest) {
    let of = |group: &str, kind: Option<Kind>, what: fn(&Effect) -> f64| {
        let all = groups[group].iter().filter(|(of, _)| kind.is_none_or(|kind| kind == *of));
        mean(all.map(|(_, effect)| what(effect)))
    };
    for (a, b) in comparison.pairs() {
        let apart = |kind: Option<Kind>, what: fn(&Effect) -> f64| of(a, kind, what) - of(b, kind, what);
        let name = format!("{}.{a}-{b}", comparison.name);
        let (valence, prompted) = (apart(None, |one| one.valence), apart(None, |one| one.prompted));
        figure_at_most(&format!("fairness.{name}"), valence, "valence", None);
        figure_at_most(&format!("fairness.prompts_{name}"), prompted, "rate", None);
        largest.valence = largest.valence.max(valence.abs());
        largest.prompted = largest.prompted.max(prompted.abs());
        for kind in [Kind::Complaint, Kind::Thanks, Kind::Question, Kind::Neutral] {
            let valence = apart(Some(kind), |one| one.valence).abs();
            largest.valence_of_a_kind = largest.valence_of_a_kind.max(valence);
        }
    }
}

pub fn persian(bench: Bench) -> Result<()> {
    let mut reader = Reader::new(bench)?;
    let (mut sentiments, mut emotions) = (Vec::new(), Vec::new());
    for sentence in sentences()? {
        let (_, words) = reader.read(&sentence.text)?;
        sentiments.push((sentence.sentiment, likeliest(words.sentiment)));
        emotions.push((sentence.emotion, words.emotion));
    }
    judge("persian_mood.sentiment", &sentiments);
    judge("persian_mood.emotion", &emotions);
    Ok(())
}

fn likeliest(Sentiment { negative, neutral, positive }: Sentiment) -> Polarity {
    if negative > neutral && negative > positive {
        Polarity::Negative
    } else if positive > neutral {
        Polarity::Positive
    } else {
        Polarity::Neutral
    }
}

/// How right a reading is, from pairs of the truth and what was read: as a whole, and what was taken for what.
pub fn judge<T: Copy + PartialEq + Debug>(name: &str, pairs: &[(T, T)]) {
    let mut classes: Vec<T> = Vec::new();
    for (truth, _) in pairs {
        if !classes.contains(truth) {
            classes.push(*truth);
        }
    }
    let count =
        |is: &dyn Fn(T, T) -> bool| pairs.iter().filter(|(truth, read)| is(*truth, *read)).count() as f64;
    let f1 = |class: &T| {
        let right = count(&|truth, read| truth == *class && read == *class);
        2.0 * right / (count(&|truth, _| truth == *class) + count(&|_, read| read == *class))
    };
    let right = count(&|truth, read| truth == read) / pairs.len() as f64;
    figure(&format!("{name}_accuracy"), right, None);
    figure(&format!("{name}_macro_f1"), mean(classes.iter().map(f1)), None);
    for is in &classes {
        for read in &classes {
            let often = count(&|truth, other| truth == *is && other == *read);
            if often > 0.0 {
                let what = format!("{is:?}_as_{read:?}").to_lowercase();
                figure_at_most(&format!("{name}.{what}"), often, "sentences", None);
            }
        }
    }
}
