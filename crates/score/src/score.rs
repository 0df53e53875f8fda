//! Why this exists: the two promises of a live transcript, that the words are right and that they are there in time,
//! are only worth something as figures that anyone can compute again from the same calls.
//!
//! [`score`] compares what was shown during a set of calls, and when, with what was said. Every figure is defined in
//! [`Score`]. [`wer`] and [`cer`] compare any two texts.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::iter::Sum;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::normalise;

/// The most bytes that are read from one file of turns or events.
const MAX_FILE: u64 = 256 << 20;

/// The most cells of one alignment, one byte each: a leg of 16,000 words, two hours of talk without a pause.
const MAX_CELLS: usize = 1 << 28;

/// Inserted words within this time before a turn count as heard in it.
const BEFORE_TURN_MS: f64 = 1_000.0;

/// Inserted words within this time after a turn count as heard in it: the event may come this late.
const AFTER_TURN_MS: f64 = 6_000.0;

/// What one person said without a pause, in the reference: a row of a data set's `turns.json`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Turn {
    /// The call's id.
    #[serde(rename = "sid")]
    pub call: String,
    /// Who spoke: "agent" or "caller".
    pub role: String,
    /// Where the turn begins on the call's clock, in milliseconds.
    #[serde(rename = "offset_ms_call_clock")]
    pub offset_ms: i64,
    /// How long it lasts, in milliseconds.
    pub duration_ms: i64,
    /// What was said, as a human heard it.
    #[serde(rename = "human")]
    pub text: String,
}

/// One text that was shown during a call: a line of an events file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The call's id, as in [`Turn::call`].
    pub call: String,
    /// Who spoke, as in [`Turn::role`].
    pub role: String,
    /// When it was published on the call's clock, in milliseconds (0 = first sample received).
    pub at_ms: i64,
    /// Whether it closes its utterance; a partial is replaced by the next event.
    pub r#final: bool,
    /// The words, as shown.
    pub text: String,
    /// Which utterance of this role it belongs to. A second final of the same utterance replaces the text of the
    /// first ("" takes it back). Without it every final is an utterance of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utterance: Option<u64>,
    /// 0 for the first final, one more for each that replaces it. For the reader: the score goes by time.
    #[serde(default)]
    pub revision: u32,
}

/// How right and how quick the transcript of a set of calls was. Words are compared after
/// [`normalise::english`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Score {
    /// Words wrong, missing or inserted in the last revision of all finals, for each word of the reference.
    pub wer: f64,
    /// The same in the first finals, before any revision.
    pub first_wer: f64,
    /// Words of the reference.
    pub ref_words: usize,
    /// From the first final to the last revision, over the utterances that were revised.
    pub revised_ms: Option<Percentiles>,
    /// From the end of a word (placed within its turn by counting characters) to the final that first held it, over
    /// the words that were recognised.
    pub final_ms: Option<Percentiles>,
    /// From the end of a turn to the final that held its last recognised word.
    pub turn_final_ms: Option<Percentiles>,
    /// From the start of a turn to the first event, partial or final, that showed any of its words.
    pub first_text_ms: Option<Percentiles>,
    /// Words inserted in first finals while nobody of that role was speaking: published more than 1 s before and
    /// more than 6 s after every turn.
    pub hallucinated: usize,
}

/// The middle and the tail of a set of durations, in whole milliseconds. Negative where the words were shown before
/// the moment from which is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Percentiles {
    /// Half of the durations are at most about this.
    pub p50: i64,
    /// 95 of 100 are at most about this.
    pub p95: i64,
    /// How many durations there are.
    pub n: usize,
}

impl Percentiles {
    fn of(mut durations: Vec<f64>) -> Option<Percentiles> {
        durations.sort_by(f64::total_cmp);
        let n = durations.len();
        let at = |i: usize| durations.get(i.min(n.saturating_sub(1))).map(|ms| ms.round() as i64);
        Some(Percentiles { p50: at(n / 2)?, p95: at(n * 95 / 100)?, n })
    }
}

/// Why there is no score.
#[derive(Debug)]
pub enum ScoreError {
    /// A file cannot be read, or is larger than 256 MiB.
    Read(PathBuf, io::Error),
    /// A file does not hold what it should; the line is counted from 1 in an events file.
    Form(PathBuf, usize, serde_json::Error),
    /// The reference holds no word.
    NoReference,
    /// One person said too much in one call to be aligned with the reference.
    TooLong(String),
}

impl fmt::Display for ScoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScoreError::Read(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            ScoreError::Form(path, 0, error) => write!(f, "{}: {error}", path.display()),
            ScoreError::Form(path, line, error) => write!(f, "{}:{line}: {error}", path.display()),
            ScoreError::NoReference => f.write_str("the reference holds no words"),
            ScoreError::TooLong(call) => write!(f, "call {call} is too long to be scored"),
        }
    }
}

impl std::error::Error for ScoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ScoreError::Read(_, error) => Some(error),
            ScoreError::Form(_, _, error) => Some(error),
            ScoreError::NoReference | ScoreError::TooLong(_) => None,
        }
    }
}

/// Reads the reference of a folder of calls: its `turns.json`.
///
/// # Errors
/// [`ScoreError::Read`] and [`ScoreError::Form`].
pub fn read_turns(dir: &Path) -> Result<Vec<Turn>, ScoreError> {
    let path = dir.join("turns.json");
    let mut text = String::new();
    match open(&path).and_then(|mut file| file.read_to_string(&mut text)) {
        Ok(_) => serde_json::from_str(&text).map_err(|error| ScoreError::Form(path, 0, error)),
        Err(error) => Err(ScoreError::Read(path, error)),
    }
}

/// Reads events, one JSON object a line; empty lines are skipped, unknown fields ignored.
///
/// # Errors
/// [`ScoreError::Read`] and [`ScoreError::Form`].
pub fn read_events(path: &Path) -> Result<Vec<Event>, ScoreError> {
    let unread = |error| ScoreError::Read(path.to_owned(), error);
    let mut events = Vec::new();
    for (i, line) in open(path).map_err(unread)?.lines().enumerate() {
        let line = line.map_err(unread)?;
        if !line.trim().is_empty() {
            let event = serde_json::from_str(&line);
            events.push(event.map_err(|error| ScoreError::Form(path.to_owned(), i + 1, error))?);
        }
    }
    Ok(events)
}

fn open(path: &Path) -> io::Result<BufReader<io::Take<File>>> {
    let file = File::open(path)?;
    if file.metadata()?.len() > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 256 MiB"));
    }
    Ok(BufReader::new(file.take(MAX_FILE)))
}

/// Scores what was shown against what was said. Calls and roles without a turn are left out, so that a part of a
/// data set can be scored alone.
///
/// # Errors
/// [`ScoreError::NoReference`] and [`ScoreError::TooLong`].
pub fn score(turns: &[Turn], events: &[Event]) -> Result<Score, ScoreError> {
    let mut legs: BTreeMap<(&str, &str), Leg> = BTreeMap::new();
    for turn in turns {
        legs.entry((&turn.call, &turn.role)).or_default().turns.push(turn);
    }
    for event in events {
        if let Some(leg) = legs.get_mut(&(event.call.as_str(), event.role.as_str())) {
            leg.events.push(event);
        }
    }
    let mut tally = Tally::default();
    for ((call, _), Leg { mut turns, mut events }) in legs {
        turns.sort_by_key(|turn| (turn.offset_ms, turn.duration_ms, &turn.text));
        events.sort_by_key(|event| event.at_ms);
        let turns: Vec<Said> = turns.into_iter().map(Said::new).collect();
        let events: Vec<Shown> = events.into_iter().map(Shown::new).collect();
        tally.add(&turns, &events).ok_or_else(|| ScoreError::TooLong(call.to_owned()))?;
    }
    tally.score().ok_or(ScoreError::NoReference)
}

/// One role of one call.
#[derive(Default)]
struct Leg<'a> {
    turns: Vec<&'a Turn>,
    events: Vec<&'a Event>,
}

/// A turn with its words and times.
struct Said {
    start: f64,
    end: f64,
    words: Vec<String>,
}

impl Said {
    fn new(turn: &Turn) -> Said {
        let (start, length) = (turn.offset_ms as f64, turn.duration_ms as f64);
        Said { start, end: start + length, words: normalise::english(&turn.text) }
    }

    /// When each word ended, were every character equally long.
    fn word_ends(&self) -> impl Iterator<Item = f64> {
        let lengths = self.words.iter().map(|word| word.chars().count());
        let all = lengths.clone().sum::<usize>().max(1) as f64;
        lengths.scan(0, move |spoken, length| {
            *spoken += length;
            Some(self.start + (self.end - self.start) * *spoken as f64 / all)
        })
    }
}

/// An event with its words.
struct Shown<'a> {
    event: &'a Event,
    at: f64,
    words: Vec<String>,
}

impl<'a> Shown<'a> {
    fn new(event: &'a Event) -> Shown<'a> {
        Shown { event, at: event.at_ms as f64, words: normalise::english(&event.text) }
    }
}

#[derive(Default)]
struct Tally {
    last: Errors,
    first: Errors,
    hallucinated: usize,
    revised: Vec<f64>,
    word_final: Vec<f64>,
    turn_final: Vec<f64>,
    first_text: Vec<f64>,
}

impl Tally {
    /// Adds one leg; both slices in the order of time. None if it is too long.
    fn add(&mut self, turns: &[Said], events: &[Shown]) -> Option<()> {
        let mut utterances: Vec<(&Shown, &Shown)> = Vec::new();
        let mut known: HashMap<u64, usize> = HashMap::new();
        for (n, shown) in (0..).zip(events.iter().filter(|shown| shown.event.r#final)) {
            let index = *known.entry(shown.event.utterance.unwrap_or(n)).or_insert(utterances.len());
            match utterances.get_mut(index) {
                Some((_, last)) => *last = shown,
                None => utterances.push((shown, shown)),
            }
        }
        let revised = utterances.iter().filter(|(first, last)| !std::ptr::eq(*first, *last));
        self.revised.extend(revised.map(|(first, last)| last.at - first.at));

        let mut said: Vec<&str> = Vec::new();
        let mut places: Vec<(usize, f64)> = Vec::new();
        for (k, turn) in turns.iter().enumerate() {
            said.extend(turn.words.iter().map(String::as_str));
            places.extend(turn.word_ends().map(|end| (k, end)));
        }
        let heard: Vec<(&str, f64)> = utterances
            .iter()
            .flat_map(|(first, _)| first.words.iter().map(|word| (word.as_str(), first.at)))
            .collect();
        let heard_words: Vec<&str> = heard.iter().map(|(word, _)| *word).collect();
        let kept: Vec<&str> =
            utterances.iter().flat_map(|(_, last)| last.words.iter().map(String::as_str)).collect();

        if said.len().checked_mul(kept.len()).is_none_or(|cells| cells > MAX_CELLS) {
            return None;
        }
        self.last += wer(&said, &kept);
        self.first.total += said.len();
        let mut closed: Vec<Option<f64>> = vec![None; turns.len()];
        for (i, j) in align(&said, &heard_words)? {
            let place = i.and_then(|i| Some((said.get(i)?, places.get(i)?)));
            let shown = j.and_then(|j| heard.get(j));
            match (place, shown) {
                (Some((word, &(turn, end))), Some(&(heard, at))) if *word == heard => {
                    self.word_final.push(at - end);
                    if let Some(closed) = closed.get_mut(turn) {
                        *closed = Some(at);
                    }
                }
                (None, Some(&(_, at))) => {
                    self.first.wrong += 1;
                    let near =
                        |turn: &Said| turn.start - BEFORE_TURN_MS <= at && at <= turn.end + AFTER_TURN_MS;
                    self.hallucinated += usize::from(!turns.iter().any(near));
                }
                _ => self.first.wrong += 1,
            }
        }
        for (turn, closed) in turns.iter().zip(closed) {
            let Some(closed) = closed else { continue };
            self.turn_final.push(closed - turn.end);
            let words: HashSet<&String> = turn.words.iter().collect();
            let first = events
                .iter()
                .filter(|shown| turn.start <= shown.at && shown.at <= closed)
                .find(|shown| shown.words.iter().any(|word| words.contains(word)));
            self.first_text.extend(first.map(|shown| shown.at - turn.start));
        }
        Some(())
    }

    fn score(self) -> Option<Score> {
        let rounded = |errors: Errors| errors.rate().map(|rate| (rate * 1e4).round_ties_even() / 1e4);
        Some(Score {
            wer: rounded(self.last)?,
            first_wer: rounded(self.first)?,
            ref_words: self.first.total,
            revised_ms: Percentiles::of(self.revised),
            final_ms: Percentiles::of(self.word_final),
            turn_final_ms: Percentiles::of(self.turn_final),
            first_text_ms: Percentiles::of(self.first_text),
            hallucinated: self.hallucinated,
        })
    }
}

/// Words or characters wrong, missing or inserted, and those of the reference. Add those of many texts before asking
/// for the rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Errors {
    /// The fewest substitutions, deletions and insertions that turn one text into the other.
    pub wrong: usize,
    /// The length of the reference.
    pub total: usize,
}

impl Errors {
    /// Errors for each word or character of the reference; more than 1 is possible. None for an empty reference.
    #[must_use]
    pub fn rate(self) -> Option<f64> {
        (self.total > 0).then(|| self.wrong as f64 / self.total as f64)
    }
}

impl std::ops::AddAssign for Errors {
    fn add_assign(&mut self, other: Errors) {
        self.wrong += other.wrong;
        self.total += other.total;
    }
}

impl Sum for Errors {
    fn sum<I: Iterator<Item = Errors>>(all: I) -> Errors {
        all.fold(Errors::default(), |mut sum, errors| {
            sum += errors;
            sum
        })
    }
}

/// Word errors of a hypothesis; both sides normalised alike by the caller ([`normalise`]). The work grows with the
/// product of both lengths.
#[must_use]
pub fn wer<W: AsRef<str>>(reference: &[W], hypothesis: &[W]) -> Errors {
    let wrong = distance(&texts(reference), &texts(hypothesis));
    Errors { wrong, total: reference.len() }
}

/// Character errors of a hypothesis; both sides normalised alike by the caller ([`normalise`]). One space between
/// words counts as a character. The work grows with the product of both lengths.
#[must_use]
pub fn cer<W: AsRef<str>>(reference: &[W], hypothesis: &[W]) -> Errors {
    let chars = |words: &[W]| texts(words).join(" ").chars().collect::<Vec<_>>();
    let reference = chars(reference);
    Errors { wrong: distance(&reference, &chars(hypothesis)), total: reference.len() }
}

fn texts<W: AsRef<str>>(words: &[W]) -> Vec<&str> {
    words.iter().map(AsRef::as_ref).collect()
}

/// The fewest substitutions, deletions and insertions that make `hypothesis` of `reference` (Levenshtein 1966).
#[must_use]
pub fn distance<T: PartialEq>(reference: &[T], hypothesis: &[T]) -> usize {
    let mut row: Vec<usize> = (0..=hypothesis.len()).collect();
    for (i, r) in reference.iter().enumerate() {
        fill(&mut row, i, r, hypothesis, |_| {});
    }
    row.last().copied().unwrap_or_default()
}

/// The last step of a cheapest alignment, in the order in which ties are settled.
#[derive(Clone, Copy)]
enum Step {
    Pair,
    Delete,
    Insert,
}

/// Turns row `i` of the table of edit distances into row `i + 1` and reports the step that leads to each cell.
fn fill<T: PartialEq>(row: &mut [usize], i: usize, r: &T, hypothesis: &[T], mut step: impl FnMut(Step)) {
    let mut cells = row.iter_mut();
    let Some(edge) = cells.next() else { return };
    let mut diagonal = std::mem::replace(edge, i + 1);
    let mut left = i + 1;
    for (h, cell) in hypothesis.iter().zip(cells) {
        let (pair, delete, insert) = (diagonal + usize::from(r != h), *cell + 1, left + 1);
        diagonal = *cell;
        left = pair.min(delete).min(insert);
        *cell = left;
        step(match left {
            best if best == pair => Step::Pair,
            best if best == delete => Step::Delete,
            _ => Step::Insert,
        });
    }
}

/// Places in both texts that belong together, in order; None on one side for an inserted or missing word.
type Pairs = Vec<(Option<usize>, Option<usize>)>;

/// A cheapest alignment. None if the texts are too long.
fn align(reference: &[&str], hypothesis: &[&str]) -> Option<Pairs> {
    let (n, m) = (reference.len(), hypothesis.len());
    let cells = n.checked_mul(m).filter(|&cells| cells <= MAX_CELLS)?;
    let mut steps = Vec::with_capacity(cells);
    let mut row: Vec<usize> = (0..=m).collect();
    for (i, r) in reference.iter().enumerate() {
        fill(&mut row, i, r, hypothesis, |step| steps.push(step));
    }
    let mut pairs = Vec::with_capacity(n.max(m));
    let (mut i, mut j) = (n, m);
    while i > 0 || j > 0 {
        let step = match (i.checked_sub(1), j.checked_sub(1)) {
            (Some(i), Some(j)) => *steps.get(i * m + j)?,
            (Some(_), None) => Step::Delete,
            _ => Step::Insert,
        };
        let (in_reference, in_hypothesis) = match step {
            Step::Pair => (true, true),
            Step::Delete => (true, false),
            Step::Insert => (false, true),
        };
        i -= usize::from(in_reference);
        j -= usize::from(in_hypothesis);
        pairs.push((in_reference.then_some(i), in_hypothesis.then_some(j)));
    }
    pairs.reverse();
    Some(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(role: &str, offset_ms: i64, duration_ms: i64, text: &str) -> Turn {
        Turn { call: "c1".into(), role: role.into(), offset_ms, duration_ms, text: text.into() }
    }

    fn event(role: &str, at_ms: i64, r#final: bool, text: &str, utterance: u64, revision: u32) -> Event {
        let utterance = Some(utterance);
        Event { call: "c1".into(), role: role.into(), at_ms, r#final, text: text.into(), utterance, revision }
    }

    fn alone(ms: i64) -> Option<Percentiles> {
        Some(Percentiles { p50: ms, p95: ms, n: 1 })
    }

    #[test]
    fn a_perfect_transcript_scores_nothing_wrong() {
        let turns = [turn("agent", 1_000, 2_000, "good morning")];
        let events =
            [event("agent", 2_000, false, "Good", 1, 0), event("agent", 3_500, true, "Good morning.", 1, 0)];
        let score = score(&turns, &events).unwrap();
        assert_eq!((score.wer, score.first_wer, score.ref_words, score.hallucinated), (0.0, 0.0, 2, 0));
        // "good" is 4 of 11 characters of a turn of 2 s, so it ends at 1,727; "morning" ends with the turn.
        assert_eq!(score.final_ms, Some(Percentiles { p50: 1_773, p95: 1_773, n: 2 }));
        assert_eq!(score.turn_final_ms, alone(500));
        assert_eq!(score.first_text_ms, alone(1_000));
        assert_eq!(score.revised_ms, None);
    }

    #[test]
    fn silence_misses_every_word() {
        let score = score(&[turn("caller", 0, 900, "are you there")], &[]).unwrap();
        assert_eq!((score.wer, score.first_wer, score.ref_words), (1.0, 1.0, 3));
        assert_eq!((score.final_ms, score.turn_final_ms, score.first_text_ms), (None, None, None));
    }

    #[test]
    fn a_revision_counts_for_the_words_but_not_for_the_time() {
        let turns = [turn("agent", 0, 1_000, "your parcel is late")];
        let events = [
            event("agent", 4_200, true, "Your parcel is late.", 7, 1),
            event("agent", 1_200, true, "Your partial is late.", 7, 0),
        ];
        let score = score(&turns, &events).unwrap();
        assert_eq!((score.wer, score.first_wer), (0.0, 0.25));
        assert_eq!(score.revised_ms, alone(3_000));
        assert_eq!(score.turn_final_ms, alone(200));
    }

    #[test]
    fn words_taken_back_are_wrong_only_at_first() {
        let turns = [turn("agent", 0, 1_000, "thanks")];
        let events = [
            event("agent", 1_100, true, "Thanks.", 1, 0),
            event("agent", 30_000, true, "for watching", 2, 0),
            event("agent", 31_000, true, "", 2, 1),
        ];
        let score = score(&turns, &events).unwrap();
        assert_eq!((score.wer, score.first_wer, score.hallucinated), (0.0, 2.0, 2));
    }

    #[test]
    fn an_inserted_word_near_a_turn_is_no_hallucination() {
        let turns = [turn("agent", 10_000, 1_000, "hello")];
        for (at, hallucinated) in [(8_999, 1), (9_000, 0), (17_000, 0), (17_001, 1)] {
            let score = score(
                &turns,
                &[event("agent", at, true, "bye", 1, 0), event("agent", at, true, "now", 2, 0)],
            );
            assert_eq!(score.unwrap().hallucinated, hallucinated, "{at}");
        }
    }

    #[test]
    fn roles_and_calls_are_kept_apart() {
        let turns = [turn("agent", 0, 500, "yes"), turn("caller", 0, 500, "no")];
        let mut events = vec![event("agent", 600, true, "no", 1, 0), event("caller", 600, true, "yes", 1, 0)];
        assert_eq!(score(&turns, &events).unwrap().wer, 1.0);
        for event in &mut events {
            event.call = "another".into();
        }
        let score = score(&turns, &events).unwrap();
        assert_eq!((score.wer, score.hallucinated), (1.0, 0));
    }

    #[test]
    fn finals_without_an_utterance_stand_alone() {
        let turns = [turn("agent", 0, 500, "yes please")];
        let mut events = [event("agent", 600, true, "yes", 0, 0), event("agent", 700, true, "please", 0, 0)];
        for event in &mut events {
            event.utterance = None;
        }
        assert_eq!(score(&turns, &events).unwrap().wer, 0.0);
    }

    #[test]
    fn a_reference_without_words_has_no_score() {
        assert!(matches!(score(&[], &[]), Err(ScoreError::NoReference)));
        assert!(matches!(score(&[turn("agent", 0, 1, "[noise]")], &[]), Err(ScoreError::NoReference)));
    }

    #[test]
    fn times_at_the_edge_of_the_range_do_not_overflow() {
        let turns = [turn("agent", i64::MIN, i64::MAX, "yes"), turn("agent", i64::MAX, i64::MAX, "no")];
        let events =
            [event("agent", i64::MAX, true, "yes no", 1, 0), event("agent", i64::MIN, true, "maybe", 1, 1)];
        assert!(score(&turns, &events).is_ok());
    }

    #[test]
    fn lines_are_read_and_written_in_one_form() {
        let line = r#"{"call":"a","role":"agent","at_ms":20,"final":true,"text":"yes","extra":[1]}"#;
        let event: Event = serde_json::from_str(line).unwrap();
        assert_eq!((event.utterance, event.revision, event.r#final), (None, 0, true));
        assert_eq!(serde_json::from_str::<Event>(&serde_json::to_string(&event).unwrap()).unwrap(), event);

        let dir = std::env::temp_dir().join(format!("sotto-score-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let row =
            r#"{"sid":"a","role":"agent","offset_ms_call_clock":5,"duration_ms":10,"human":"yes","idx":1}"#;
        std::fs::write(dir.join("turns.json"), format!("[{row}]")).unwrap();
        std::fs::write(dir.join("events.ndjson"), format!("{line}\n\n{line}\nnonsense\n")).unwrap();
        let turns = read_turns(&dir).unwrap();
        let broken = read_events(&dir.join("events.ndjson"));
        let missing = read_events(&dir.join("none.ndjson"));
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(turns.first().map(|turn| (turn.offset_ms, turn.text.as_str())), Some((5, "yes")));
        assert!(matches!(broken, Err(ScoreError::Form(_, 4, _))));
        assert!(matches!(missing, Err(ScoreError::Read(..))));
    }

    #[test]
    fn percentiles_of_a_known_row() {
        let row = |n: i32| Percentiles::of((0..n).rev().map(f64::from).collect());
        assert_eq!(row(0), None);
        assert_eq!(row(1), Some(Percentiles { p50: 0, p95: 0, n: 1 }));
        assert_eq!(row(100), Some(Percentiles { p50: 50, p95: 95, n: 100 }));
    }

    #[test]
    fn errors_of_words_and_characters() {
        let (reference, hypothesis) = (["the", "red", "car"], ["a", "red", "cart"]);
        assert_eq!(wer(&reference, &hypothesis), Errors { wrong: 2, total: 3 });
        assert_eq!(cer(&reference, &hypothesis), Errors { wrong: 4, total: 11 });
        assert_eq!(wer::<&str>(&[], &["um"]).rate(), None);
        let all: Errors = [wer(&["a"], &["a"]), wer(&["a", "b"], &["b"]), wer(&["a"], &[])].into_iter().sum();
        assert_eq!(all.rate(), Some(0.5));
    }

    /// Random short texts over few words: an alignment uses every place once and in order, and costs what the
    /// distance says; the distance is a metric.
    #[test]
    fn alignments_are_complete_ordered_and_cheapest() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut text = || {
            let mut random = |below: u64| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state % below
            };
            (0..random(9)).map(|_| ["a", "b", "c"][random(3) as usize]).collect::<Vec<_>>()
        };
        for _ in 0..500 {
            let (a, b, c) = (text(), text(), text());
            let pairs = align(&a, &b).unwrap();
            assert!(pairs.iter().filter_map(|(i, _)| *i).eq(0..a.len()));
            assert!(pairs.iter().filter_map(|(_, j)| *j).eq(0..b.len()));
            let cost = pairs.iter().filter(|(i, j)| i.map(|i| a[i]) != j.map(|j| b[j])).count();
            assert_eq!(cost, distance(&a, &b), "{a:?} {b:?}");
            assert_eq!(distance(&a, &b), distance(&b, &a));
            assert!(distance(&a, &c) <= distance(&a, &b) + distance(&b, &c));
            assert_eq!(distance(&a, &a), 0);
        }
    }

    #[test]
    fn ties_pair_words_from_the_end() {
        assert_eq!(align(&["yes"], &["yes", "yes"]), Some(vec![(None, Some(0)), (Some(0), Some(1))]));
    }
}
