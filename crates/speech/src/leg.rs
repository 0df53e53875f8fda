//! The streaming policy for one leg: when to decode what, and what to publish of it.
//!
//! A plain value. Speech probabilities and finished decodes go in, decodes to do and utterances to publish come
//! out. Time is the position in the leg's audio, so the same audio is cut and decoded the same way live and
//! replayed. What depends on how fast the machine is: partials, and whether an utterance that goes on after a
//! whole sentence is divided there (a machine that is behind decodes it in one).
//!
//! An utterance lives through these steps:
//! 1. While it is spoken, *partials*: the audio so far is decoded every 600 ms. Words that two
//!    successive decodes agree on become stable and are not changed by later partials.
//! 2. At every short pause a *candidate*: the decode that will be the final if nothing more is said, begun
//!    before that is known, so that its time passes while the silence is waited out.
//! 3. After a longer silence the *final*: the candidate's words. The silence may be shorter when they are a
//!    whole sentence; if speech has gone on by the time that is known, what follows is the next utterance.
//! 4. Soon after, a *revision*: this and the party's previous utterances decoded together, with silence
//!    after them, which halves the error on telephone speech; published where it differs.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sotto_audio::RATE;
use sotto_call::{Millis, Party, Shedding, Utterance, UtteranceId, Voice, Word};

use crate::segment::{Boundary, Segmenter, Thresholds};
use crate::text::{ends_sentence, plain};
use crate::vad::CHUNK;
use crate::voice::VoiceTrack;
use crate::whisper::{Effort, Heard, HeardWord};
use crate::window::{Audio, Part, Window};

const MS: u64 = RATE as u64 / 1000;
/// Words with this mean probability or more were heard clearly.
const CLEAR: f32 = 0.6;
/// Words with a lower one were not understood. (Measured with `base`: English taken for English 0.71 and more, for Persian
/// 0.43 and less; Persian taken for Persian, which that model hardly knows, 0.37 to 0.49.)
const UNDERSTOOD: f32 = 0.4;
/// So many utterances in a row that were not understood are in another language than was settled.
const NOT_UNDERSTOOD: u32 = 3;

/// Gives the utterances of a call their numbers; shared by its legs.
#[derive(Clone, Debug, Default)]
pub struct UtteranceIds(Arc<AtomicU32>);

impl UtteranceIds {
    fn next(&self) -> UtteranceId {
        UtteranceId(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// Lengths in samples at 16 kHz.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub thresholds: Thresholds,
    /// Audio taken along before speech begins.
    pub pad_before: u64,
    /// Audio taken along after speech ends, or silence where there is none: whisper.cpp ends a decode whose times come
    /// within 100 ms of the end of its audio, and what was still to be said of it is lost.
    pub pad_after: u64,
    /// From the beginning of speech to the first partial.
    pub first_partial: u64,
    /// From one partial to the next.
    pub partial_every: u64,
    /// A partial begun this long ago or earlier is worth the candidate's second thread.
    pub partial_is_near: u64,
    /// Silence after an utterance before its revision.
    pub revise_after: u64,
    /// A revision does not wait longer than this for silence.
    pub revise_at_latest: u64,
    /// Finals older than this are no longer revised.
    pub revise_within: u64,
    /// Utterances older than this are no longer taken along by revisions.
    pub forget_after: u64,
    /// The most audio a revision decodes.
    pub revision_window: u64,
    /// Utterances of a window whose paddings are closer than this keep the audio between them.
    pub join: u64,
    /// Silence put between the others.
    pub gap: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            thresholds: Thresholds::default(),
            pad_before: 250 * MS,
            pad_after: 200 * MS,
            first_partial: 450 * MS,
            partial_every: 600 * MS,
            partial_is_near: 300 * MS,
            revise_after: 2_000 * MS,
            revise_at_latest: 3_500 * MS,
            revise_within: 5_000 * MS,
            forget_after: 60_000 * MS,
            revision_window: 12_000 * MS,
            join: 600 * MS,
            gap: 200 * MS,
        }
    }
}

/// Names a decode within its leg.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ticket(pub(crate) u64);

/// Why a decode is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    Partial,
    Candidate,
    Final,
    Revision,
}

impl Purpose {
    /// True when the words may become a final.
    pub(crate) fn is_final(self) -> bool {
        matches!(self, Self::Candidate | Self::Final)
    }
}

/// A decode to do.
#[derive(Clone)]
pub(crate) struct Job {
    pub ticket: Ticket,
    pub purpose: Purpose,
    pub samples: Arc<[f32]>,
    pub language: Option<String>,
    pub effort: Effort,
}

impl fmt::Debug for Job {
    /// Without the samples: they are somebody's voice, and many.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ticket, purpose, samples, .. } = self;
        write!(f, "{purpose:?} {ticket:?} of {} samples", samples.len())
    }
}

/// What the leg wants done.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Decode(Job),
    /// The result is of no use any more.
    Forget(Ticket),
    /// The result is of use only if it has begun: what follows will be here almost as soon.
    TakeBack(Ticket),
    /// `heard_until` is the last sample that the text rests on; the latency is not filled in. `voice` is how it sounded,
    /// if it is final and the voice is listened to.
    Publish {
        utterance: Utterance,
        heard_until: u64,
        voice: Option<Voice>,
    },
}

struct Flight {
    ticket: Ticket,
    window: Window,
    heard_until: u64,
}

/// The utterance that is being spoken.
struct Open {
    id: Option<UtteranceId>,
    start: u64,
    words: Vec<Word>,
    stable: usize,
    partial: Option<Flight>,
    /// A partial before the last pause: of use if it had been begun by then.
    late: Option<Flight>,
    next_partial: u64,
    candidate: Option<Candidate>,
    /// Words of it were published, and have to be taken back if there are none in the end.
    shown: bool,
    /// The pause that the candidate was begun at became a rest; and speech went on after it.
    rested: bool,
    resumed: bool,
}

enum Candidate {
    Waiting(Flight),
    Heard(Final),
}

/// Words that may be the last about an utterance.
struct Final {
    words: Vec<Word>,
    language: String,
    heard_until: u64,
}

impl Candidate {
    fn into_flight(self) -> Option<Flight> {
        match self {
            Self::Waiting(flight) => Some(flight),
            Self::Heard(_) => None,
        }
    }
}

/// An utterance that is over and waits for its words.
struct Closing {
    id: UtteranceId,
    start: u64,
    end: u64,
    flight: Flight,
    /// Words of it are on the screen already, and have to be taken back when the final has none.
    shown: bool,
    /// What is known of it if the decode fails.
    known: Vec<Word>,
}

/// An utterance with its words.
struct Spoken {
    id: UtteranceId,
    start: u64,
    end: u64,
    words: Vec<Word>,
    language: String,
    revision: u32,
    /// It has been part of a revision's window.
    revised: bool,
}

/// See the module.
pub(crate) struct Leg {
    party: Party,
    ids: UtteranceIds,
    /// As it was given, or settled by what was heard.
    language: Option<String>,
    is_language_given: bool,
    language_votes: Vec<String>,
    /// Utterances in a row that were not understood in the language that was settled.
    not_understood: u32,
    /// What the last decode took it for.
    language_heard: String,
    policy: Policy,
    shedding: Shedding,
    audio: Audio,
    /// Absent where the voice is not listened to.
    voice: Option<VoiceTrack>,
    segmenter: Segmenter,
    tickets: u64,
    open: Option<Open>,
    closing: Vec<Closing>,
    spoken: VecDeque<Spoken>,
    revision: Option<(Flight, Vec<UtteranceId>)>,
    finished: bool,
}

impl Leg {
    /// A leg whose audio begins at sample `position` of the call.
    pub(crate) fn new(
        party: Party,
        ids: UtteranceIds,
        language: Option<String>,
        policy: Policy,
        position: u64,
    ) -> Self {
        Self {
            party,
            ids,
            is_language_given: language.is_some(),
            language,
            language_votes: Vec::new(),
            not_understood: 0,
            language_heard: String::new(),
            segmenter: Segmenter::new(policy.thresholds.clone(), position),
            policy,
            shedding: Shedding::None,
            audio: Audio::new(position),
            voice: None,
            tickets: 0,
            open: None,
            closing: Vec::new(),
            spoken: VecDeque::new(),
            revision: None,
            finished: false,
        }
    }

    /// Listens to the voice as well from now on, if it is the customer's.
    pub(crate) fn with_voice(self) -> Self {
        Self { voice: VoiceTrack::of(self.party, self.position()), ..self }
    }

    /// What is given up from now on because the machine is behind.
    pub(crate) fn shed(&mut self, shedding: Shedding) {
        self.shedding = shedding;
    }

    /// The position of the next sample.
    pub(crate) fn position(&self) -> u64 {
        self.audio.end()
    }

    /// True while a decode is under way whose result would change what is decoded next.
    pub(crate) fn is_waiting(&self) -> bool {
        let candidate = matches!(self.open, Some(Open { candidate: Some(Candidate::Waiting(_)), .. }));
        candidate || !self.closing.is_empty() || self.revision.is_some()
    }

    /// True when the leg is finished and every word is out.
    pub(crate) fn is_done(&self) -> bool {
        self.finished && self.closing.is_empty() && self.revision.is_none()
    }

    /// The next chunk and the probability that it is speech.
    pub(crate) fn push(&mut self, chunk: &[f32], probability: f32, actions: &mut Vec<Action>) {
        debug_assert_eq!(chunk.len(), CHUNK);
        self.audio.push(chunk);
        if let Some(voice) = &mut self.voice {
            voice.push(chunk, probability);
        }
        if let Some(boundary) = self.segmenter.push(probability) {
            self.boundary(boundary, actions);
        }
        if let (Some(open), Some(start)) = (&mut self.open, self.segmenter.open_since()) {
            open.start = start;
        }
        self.partial(actions);
        self.revise(actions);
        self.forget_old();
        let keep_from = (self.open.iter().map(|o| o.start))
            .chain(self.closing.iter().map(|c| c.start))
            .chain(self.spoken.front().map(|s| s.start))
            .fold(self.position(), u64::min);
        let keep_from = keep_from.saturating_sub(self.policy.pad_before + 2 * CHUNK as u64);
        self.audio.forget(keep_from);
        if let Some(voice) = &mut self.voice {
            voice.forget(keep_from);
        }
    }

    /// What has become too old to help a revision is let go: while the machine is behind, there is none that would.
    fn forget_old(&mut self) {
        let oldest = self.position().saturating_sub(self.policy.forget_after);
        while self.revision.is_none() && self.spoken.front().is_some_and(|spoken| spoken.end < oldest) {
            self.spoken.pop_front();
        }
    }

    /// No more audio will come: what is being said is decoded, and all is revised once more.
    pub(crate) fn finish(&mut self, actions: &mut Vec<Action>) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        if let Some(boundary) = self.segmenter.end() {
            self.boundary(boundary, actions);
        }
        self.revise(actions);
    }

    fn boundary(&mut self, boundary: Boundary, actions: &mut Vec<Action>) {
        match boundary {
            Boundary::Began { .. } => self.reopen(),
            Boundary::Paused { .. } => {
                if let Some(mut open) = self.open.take() {
                    // What an earlier candidate says must not be taken for all that was said until this pause.
                    let old = open.candidate.take().and_then(Candidate::into_flight);
                    actions.extend(old.map(|flight| Action::Forget(flight.ticket)));
                    (open.rested, open.resumed) = (false, false);
                    if self.shedding < Shedding::NoPartials {
                        if let Some(flight) = open.partial.take() {
                            if self.position() - flight.heard_until >= self.policy.partial_is_near {
                                actions.push(Action::TakeBack(flight.ticket));
                                open.late = Some(flight);
                            } else {
                                actions.push(Action::Forget(flight.ticket));
                            }
                        }
                        open.id.get_or_insert_with(|| self.ids.next());
                        let flight = self.fly(Purpose::Candidate, open.start, self.position(), actions);
                        open.candidate = Some(Candidate::Waiting(flight));
                        open.next_partial = self.position() + self.policy.partial_every;
                    }
                    self.open = Some(open);
                }
            }
            Boundary::Rested => {
                if let Some(open) = &mut self.open {
                    open.rested = true;
                    self.divide(actions);
                }
            }
            Boundary::Resumed => {
                // The candidate was the last partial; and there must be something new to be heard.
                let something = self.position() + self.policy.first_partial;
                if let Some(open) = &mut self.open {
                    open.resumed = true;
                    open.next_partial = open.next_partial.max(something);
                    // A candidate still under way is as good as a partial, and may end a sentence.
                    if let Some(Candidate::Heard(_)) = open.candidate {
                        open.candidate = None;
                    }
                }
            }
            Boundary::Ended { start, end } => {
                if let Some(open) = self.open.take() {
                    self.close(open, start, end, actions);
                }
                // Cut in the middle of speech: the rest is an utterance of its own.
                self.reopen();
            }
            Boundary::Dismissed => {
                if let Some(open) = self.open.take() {
                    Self::dismiss(open, actions);
                }
                self.reopen();
            }
        }
    }

    /// It was no speech after all. Nothing of it has been shown: what has been taken for speech once stays so.
    fn dismiss(open: Open, actions: &mut Vec<Action>) {
        let candidate = open.candidate.and_then(Candidate::into_flight);
        actions.extend(open.partial.into_iter().chain(candidate).map(|f| Action::Forget(f.ticket)));
    }

    /// Begins with what the segmenter is listening to, if there is something.
    fn reopen(&mut self) {
        self.open = self.segmenter.open_since().map(|at| Open {
            id: None,
            start: at,
            words: Vec::new(),
            stable: 0,
            partial: None,
            late: None,
            next_partial: at + self.policy.first_partial,
            candidate: None,
            shown: false,
            rested: false,
            resumed: false,
        });
    }

    /// A whole sentence before a rest is an utterance, whether or not speech has gone on since.
    fn divide(&mut self, actions: &mut Vec<Action>) {
        let Some(Open { rested: true, candidate: Some(Candidate::Heard(heard)), .. }) = &self.open else {
            return;
        };
        if !is_sentence(&heard.words) {
            return;
        }
        let Some((start, end)) = self.segmenter.divide() else { return };
        if let Some(open) = self.open.take() {
            self.close(open, start, end, actions);
        }
        self.reopen();
    }

    fn close(&mut self, open: Open, start: u64, end: u64, actions: &mut Vec<Action>) {
        if let Some(flight) = open.partial {
            actions.push(Action::Forget(flight.ticket));
        }
        let id = open.id.unwrap_or_else(|| self.ids.next());
        let shown = open.shown;
        let flight = match open.candidate {
            Some(Candidate::Heard(Final { words, language, heard_until })) => {
                let spoken = Spoken { id, start, end, words, language, revision: 0, revised: false };
                return self.conclude(spoken, shown, heard_until, actions);
            }
            Some(Candidate::Waiting(flight)) if !open.resumed => flight,
            candidate => {
                let late = candidate.and_then(Candidate::into_flight);
                actions.extend(late.map(|flight| Action::Forget(flight.ticket)));
                self.fly(Purpose::Final, start, end + self.policy.pad_after, actions)
            }
        };
        self.closing.push(Closing { id, start, end, flight, shown, known: open.words });
    }

    /// Publishes the first final.
    fn conclude(&mut self, spoken: Spoken, shown: bool, heard_until: u64, actions: &mut Vec<Action>) {
        self.vote(&spoken);
        if shown || !spoken.words.is_empty() {
            actions.push(self.publish(&spoken, heard_until));
        }
        let at = self.spoken.partition_point(|s| s.start < spoken.start);
        self.spoken.insert(at, spoken);
    }

    fn publish(&self, spoken: &Spoken, heard_until: u64) -> Action {
        let text = text_of(&spoken.words);
        let utterance = Utterance {
            utterance_id: spoken.id,
            party: self.party,
            r#final: true,
            revision: spoken.revision,
            stable_chars: text.chars().count() as u32,
            text,
            start_ms: Millis(spoken.start / MS),
            end_ms: Millis(spoken.end / MS),
            words: spoken.words.clone(),
            language: spoken.language.clone(),
            latency_ms: Millis(0),
        };
        let voice = self.voice.as_ref().and_then(|voice| voice.between(spoken.start, spoken.end));
        Action::Publish { utterance, heard_until, voice }
    }

    /// Begins a decode of `start..until`, of which there may not be all.
    fn fly(&mut self, purpose: Purpose, start: u64, until: u64, actions: &mut Vec<Action>) -> Flight {
        let at = start.saturating_sub(self.policy.pad_before)..until;
        let heard_until = until.min(self.position());
        self.decode(purpose, vec![Part { at, known: Vec::new() }], heard_until, Effort::Quick, actions)
    }

    fn part(&self, spoken: &Spoken) -> Part {
        Part {
            at: spoken.start.saturating_sub(self.policy.pad_before)..spoken.end + self.policy.pad_after,
            known: spoken.words.iter().map(|word| plain(&word.w)).collect(),
        }
    }

    fn decode(
        &mut self,
        purpose: Purpose,
        mut parts: Vec<Part>,
        heard_until: u64,
        effort: Effort,
        actions: &mut Vec<Action>,
    ) -> Flight {
        // Paddings of neighbours must not overlap, or words at the seam would be heard twice; and between close
        // neighbours, what was there helps more than silence.
        for n in 1..parts.len() {
            if parts[n].at.start < parts[n - 1].at.end + self.policy.join {
                let seam = u64::midpoint(parts[n].at.start, parts[n - 1].at.end);
                parts[n - 1].at.end = seam;
                parts[n].at.start = seam;
            }
        }
        let mut window = Window::new(&self.audio, parts, self.policy.gap);
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let samples = Arc::from(std::mem::take(&mut window.samples));
        let language = self.language.clone();
        actions.push(Action::Decode(Job { ticket, purpose, samples, language, effort }));
        Flight { ticket, window, heard_until }
    }

    fn partial(&mut self, actions: &mut Vec<Action>) {
        let position = self.position();
        let every = match self.shedding {
            Shedding::None => self.policy.partial_every,
            Shedding::FewerPartials => self.policy.partial_every * 2,
            Shedding::NoPartials | Shedding::LateFinals => return,
        };
        let Some(open) = &self.open else { return };
        let due = position >= open.next_partial && open.partial.is_none() && open.candidate.is_none();
        let Some((_, voice_end)) = self.segmenter.speaking() else { return };
        // What is decoded while a pause begins holds up the candidate.
        if !due || position - voice_end > CHUNK as u64 {
            return;
        }
        let start = open.start;
        let flight = self.fly(Purpose::Partial, start, position, actions);
        let id = self.ids.clone();
        if let Some(open) = &mut self.open {
            open.id.get_or_insert_with(|| id.next());
            open.partial = Some(flight);
            open.next_partial = position + every;
        }
    }

    /// Begins a revision when there is something to revise and it is time.
    fn revise(&mut self, actions: &mut Vec<Action>) {
        let position = self.position();
        if self.revision.is_some() || !self.closing.is_empty() || self.shedding > Shedding::None {
            return;
        }
        let (Some(oldest), Some(newest)) = (self.spoken.iter().find(|s| !s.revised), self.spoken.back())
        else {
            return;
        };
        let quiet = self.open.is_none() && position - newest.end >= self.policy.revise_after;
        let late = position - oldest.end >= self.policy.revise_at_latest;
        if !(quiet || late || self.finished) {
            return;
        }
        let mut parts = Vec::new();
        let mut ids = Vec::new();
        let mut length = 0;
        for spoken in self.spoken.iter().rev() {
            let part = self.part(spoken);
            length += part.at.end - part.at.start + self.policy.gap;
            if length > self.policy.revision_window && !parts.is_empty() {
                break;
            }
            parts.push(part);
            ids.push(spoken.id);
        }
        parts.reverse();
        ids.reverse();
        let flight = self.decode(Purpose::Revision, parts, position, Effort::Thorough, actions);
        for spoken in &mut self.spoken {
            spoken.revised = true;
        }
        // What no later window reaches is forgotten.
        let first = ids.first().copied();
        while self.spoken.front().map(|s| s.id) != first && self.spoken.len() > 1 {
            self.spoken.pop_front();
        }
        self.revision = Some((flight, ids));
    }

    /// A decode is done; `None` when it failed or was given up.
    pub(crate) fn heard(&mut self, ticket: Ticket, heard: Option<&Heard>, actions: &mut Vec<Action>) {
        if let Some(at) = self.closing.iter().position(|closing| closing.flight.ticket == ticket) {
            let Closing { id, start, end, flight, shown, known } = self.closing.remove(at);
            let words = heard.map_or(known, |heard| self.words(&flight, heard));
            let language = self.language_heard.clone();
            let spoken = Spoken { id, start, end, words, language, revision: 0, revised: false };
            self.conclude(spoken, shown, flight.heard_until, actions);
        } else if self.revision.as_ref().is_some_and(|(flight, _)| flight.ticket == ticket) {
            if let Some((flight, ids)) = self.revision.take() {
                self.revised(&flight, &ids, heard, actions);
            }
        } else if let Some(mut open) = self.open.take() {
            match &open.candidate {
                Some(Candidate::Waiting(flight)) if flight.ticket == ticket => {
                    let heard_until = flight.heard_until;
                    if let Some(heard) = heard {
                        let words = self.words(flight, heard);
                        open.late = None;
                        open.hear(words.clone());
                        actions.extend(self.publish_partial(&mut open, heard_until));
                        let language = heard.language.clone();
                        open.candidate = Some(Candidate::Heard(Final { words, language, heard_until }));
                    } else {
                        open.candidate = None;
                    }
                    self.open = Some(open);
                    self.divide(actions);
                    if let Some(open) = self.open.as_mut().filter(|open| open.resumed) {
                        open.candidate = None;
                    }
                    return;
                }
                _ => {
                    let is_it = |flight: &mut Flight| flight.ticket == ticket;
                    let flight = open.partial.take_if(is_it).or_else(|| open.late.take_if(is_it));
                    if let (Some(flight), Some(heard)) = (flight, heard) {
                        let words = self.words(&flight, heard);
                        open.hear(words);
                        actions.extend(self.publish_partial(&mut open, flight.heard_until));
                    }
                }
            }
            self.open = Some(open);
        }
        if self.finished {
            self.revise(actions);
        }
    }

    fn publish_partial(&self, open: &mut Open, heard_until: u64) -> Option<Action> {
        let id = open.id?;
        if open.words.is_empty() {
            return None;
        }
        open.shown = true;
        let text = text_of(&open.words);
        let stable = text_of(&open.words[..open.stable]);
        Some(Action::Publish {
            utterance: Utterance {
                utterance_id: id,
                party: self.party,
                r#final: false,
                revision: 0,
                stable_chars: stable.chars().count() as u32,
                text,
                start_ms: Millis(open.start / MS),
                end_ms: Millis(heard_until / MS),
                words: open.words.clone(),
                language: self.language_now(),
                latency_ms: Millis(0),
            },
            heard_until,
            voice: None,
        })
    }

    /// The words of a window's last part.
    fn words(&mut self, flight: &Flight, heard: &Heard) -> Vec<Word> {
        self.language_heard.clone_from(&heard.language);
        let last = flight.window.split(&heard.words).pop().unwrap_or_default();
        last.into_iter().map(call_word).collect()
    }

    /// The language of the leg, or what it is taken for until that is settled.
    fn language_now(&self) -> String {
        self.language.as_ref().unwrap_or(&self.language_heard).clone()
    }

    /// Settles the language once two utterances agree on it; and no more when several in a row are not understood in it,
    /// as when the speaker goes on in another one.
    fn vote(&mut self, spoken: &Spoken) {
        if self.is_language_given || spoken.words.len() < 3 {
            return;
        }
        if self.language.is_some() {
            let is_understood = clearness(&spoken.words) >= UNDERSTOOD;
            self.not_understood = if is_understood { 0 } else { self.not_understood + 1 };
            if self.not_understood >= NOT_UNDERSTOOD {
                (self.language, self.not_understood) = (None, 0);
                self.language_votes.clear();
            }
            return;
        }
        if self.language_votes.contains(&spoken.language) {
            self.language = Some(spoken.language.clone());
        }
        self.language_votes.push(spoken.language.clone());
    }

    fn revised(
        &mut self,
        flight: &Flight,
        ids: &[UtteranceId],
        heard: Option<&Heard>,
        actions: &mut Vec<Action>,
    ) {
        let Some(heard) = heard.filter(|heard| !heard.looped && !heard.words.is_empty()) else { return };
        let split = flight.window.split(&heard.words);
        for (id, words) in ids.iter().zip(split) {
            let Some(at) = self.spoken.iter().position(|spoken| spoken.id == *id) else { continue };
            let words: Vec<Word> = words.into_iter().map(call_word).collect();
            let spoken = &mut self.spoken[at];
            let too_old = flight.heard_until - spoken.end > self.policy.revise_within;
            let same = plain_words(&words).eq(plain_words(&spoken.words));
            // A window may lose a single word at its edge; what was heard clearly is not taken back for that.
            let is_clear = words.is_empty() && clearness(&spoken.words) >= CLEAR;
            if too_old || is_clear || (same && dress(&words) <= dress(&spoken.words)) {
                continue;
            }
            spoken.words = words;
            spoken.language.clone_from(&heard.language);
            spoken.revision += 1;
            let publish = self.publish(&self.spoken[at], flight.heard_until);
            actions.push(publish);
        }
    }
}

impl Open {
    /// Takes a new hypothesis over: agreed words stay, the rest is replaced.
    fn hear(&mut self, new: Vec<Word>) {
        let agreed = plain_words(&new).zip(plain_words(&self.words)).take_while(|(a, b)| a == b).count();
        if agreed >= self.stable {
            self.words = new;
            self.stable = agreed;
        } else {
            let stable_end = self.words[..self.stable].last().map_or(Millis(0), |word| word.end_ms);
            self.words.truncate(self.stable);
            self.words.extend(new.into_iter().filter(|word| word.start_ms >= stable_end));
        }
    }
}

/// True when the words end like a sentence. Numbers are dictated in groups, so one is not the end of anything.
fn is_sentence(words: &[Word]) -> bool {
    words.last().is_some_and(|last| ends_sentence(&last.w) && !last.w.contains(|c: char| c.is_numeric()))
}

fn call_word((word, at): (HeardWord, std::ops::Range<u64>)) -> Word {
    Word { w: word.w, start_ms: Millis(at.start / MS), end_ms: Millis(at.end / MS), p: word.p }
}

fn plain_words(words: &[Word]) -> impl Iterator<Item = String> {
    words.iter().map(|word| plain(&word.w))
}

/// The mean probability of words.
fn clearness(words: &[Word]) -> f32 {
    words.iter().map(|word| word.p).sum::<f32>() / words.len().max(1) as f32
}

/// How much there is of what makes words a text: capitals and punctuation. Beam search sometimes writes none.
fn dress(words: &[Word]) -> usize {
    let dress = |c: &char| c.is_uppercase() || !c.is_alphanumeric();
    words.iter().map(|word| word.w.chars().filter(dress).count()).sum()
}

fn text_of(words: &[Word]) -> String {
    words.iter().map(|word| word.w.as_str()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hears a word for every 400 ms of voice; which words is up to the test.
    struct Bench {
        leg: Leg,
        flying: Vec<Job>,
        published: Vec<Utterance>,
        /// How each sounded.
        voices: Vec<Option<Voice>>,
    }

    impl Bench {
        fn new() -> Self {
            Self::of(Party::Customer)
        }

        fn of(party: Party) -> Self {
            let leg = Leg::new(party, UtteranceIds::default(), Some("en".into()), Policy::default(), 0);
            Self { leg, flying: Vec::new(), published: Vec::new(), voices: Vec::new() }
        }

        fn take(&mut self, actions: Vec<Action>) {
            for action in actions {
                match action {
                    Action::Decode(job) => self.flying.push(job),
                    // What is begun here is answered out of turn.
                    Action::Forget(ticket) | Action::TakeBack(ticket) => {
                        self.flying.retain(|job| job.ticket != ticket);
                    }
                    Action::Publish { utterance, voice, .. } => {
                        self.published.push(utterance);
                        self.voices.push(voice);
                    }
                }
            }
        }

        fn chunks(&mut self, count: usize, probability: f32) {
            for _ in 0..count {
                let mut actions = Vec::new();
                self.leg.push(&[0.0; CHUNK], probability, &mut actions);
                self.take(actions);
            }
        }

        fn finish(&mut self) {
            let mut actions = Vec::new();
            self.leg.finish(&mut actions);
            self.take(actions);
        }

        /// Answers the oldest decode of a kind.
        fn hear(&mut self, purpose: Purpose, text: &str) {
            self.hear_in("en", purpose, text);
        }

        fn hear_in(&mut self, language: &str, purpose: Purpose, text: &str) {
            let at = self.flying.iter().position(|job| job.purpose == purpose).expect("such a decode waits");
            let job = self.flying.remove(at);
            let length = job.samples.len() as u64 / MS;
            let count = text.split_whitespace().count().max(1) as u64;
            let words = (text.split_whitespace().enumerate())
                .map(|(n, w)| {
                    let (n, step) = (n as u64, length / count);
                    HeardWord { w: w.into(), start_ms: n * step, end_ms: (n + 1) * step, p: 0.9 }
                })
                .collect();
            let heard = Heard { words, language: language.into(), looped: false };
            let mut actions = Vec::new();
            self.leg.heard(job.ticket, Some(&heard), &mut actions);
            self.take(actions);
        }

        /// Every decode of a kind fails.
        fn fail(&mut self, purpose: Purpose) {
            while let Some(at) = self.flying.iter().position(|job| job.purpose == purpose) {
                let ticket = self.flying.remove(at).ticket;
                let mut actions = Vec::new();
                self.leg.heard(ticket, None, &mut actions);
                self.take(actions);
            }
        }

        fn texts(&self) -> Vec<(bool, u32, &str)> {
            self.published.iter().map(|u| (u.r#final, u.revision, u.text.as_str())).collect()
        }
    }

    #[test]
    fn the_decode_begun_at_the_pause_becomes_the_final() {
        let mut bench = Bench::new();
        bench.chunks(10, 0.95);
        bench.chunks(8, 0.0);
        bench.hear(Purpose::Candidate, "good morning");
        bench.chunks(20, 0.0);
        assert_eq!(bench.texts(), [(false, 0, "good morning"), (true, 0, "good morning")]);
        assert!(bench.flying.iter().all(|job| job.purpose != Purpose::Final));
    }

    #[test]
    fn a_customers_final_words_come_with_their_voice_and_nobody_elses_do() {
        for (party, is_asked, is_heard) in [
            (Party::Customer, true, true),
            (Party::Customer, false, false),
            (Party::Agent, true, false),
            (Party::Other, true, false),
        ] {
            let mut bench = Bench::of(party);
            if is_asked {
                bench.leg = bench.leg.with_voice();
            }
            bench.chunks(40, 0.95);
            bench.chunks(20, 0.0);
            bench.hear(Purpose::Candidate, "good morning");
            bench.chunks(70, 0.0);
            bench.hear(Purpose::Revision, "Good morning!");
            let told: Vec<_> = bench.published.iter().map(|said| said.r#final).zip(&bench.voices).collect();
            assert!(told.len() >= 2, "{told:?}");
            for (is_final, voice) in told {
                assert_eq!(voice.is_some(), is_final && is_heard, "{party:?}");
                assert!(voice.is_none_or(|voice| voice.speech_ms == Millis(40 * 32)), "{voice:?}");
            }
        }
    }

    #[test]
    fn a_whole_sentence_before_a_rest_is_an_utterance_and_half_of_one_is_not() {
        for (said, utterances) in [("Hello, this is Linda.", 2), ("the address is", 1), ("It is 552.", 1)] {
            // Heard before the rest, during it, and after the speaker has gone on.
            for heard_after in [1, 7, 12] {
                let mut bench = Bench::new();
                bench.chunks(40, 0.95);
                let pause = bench.leg.policy.thresholds.pause as usize / CHUNK + 1;
                bench.chunks(pause, 0.0);
                for n in 0..13 {
                    bench.chunks(1, if n < 8 { 0.0 } else { 0.95 });
                    if n == heard_after {
                        bench.hear(Purpose::Candidate, said);
                    }
                }
                bench.chunks(20, 0.95);
                bench.chunks(pause, 0.0);
                bench.hear(Purpose::Candidate, "how can I help");
                bench.chunks(20, 0.0);
                let finals = bench.published.iter().filter(|u| u.r#final).count();
                assert_eq!(finals, utterances, "{said:?}, heard after {heard_after} chunks");
            }
        }
    }

    #[test]
    fn a_candidate_of_an_earlier_pause_does_not_stand_for_what_was_said_after_it() {
        let mut bench = Bench::new();
        bench.chunks(40, 0.95);
        bench.chunks(7, 0.0);
        bench.chunks(20, 0.95);
        bench.leg.shed(Shedding::NoPartials);
        bench.chunks(14, 0.0);
        assert!(bench.flying.iter().all(|job| job.purpose != Purpose::Candidate));
        bench.chunks(10, 0.0);
        bench.hear(Purpose::Final, "Hello, this is Linda. How can I help?");
        assert_eq!(bench.texts().last(), Some(&(true, 0, "Hello, this is Linda. How can I help?")));
    }

    #[test]
    fn what_was_heard_clearly_is_not_taken_back_by_a_revision() {
        let mut bench = Bench::new();
        for text in ["have a great day", "bye"] {
            bench.chunks(30, 0.95);
            bench.chunks(20, 0.0);
            bench.hear(Purpose::Candidate, text);
        }
        bench.chunks(70, 0.0);
        bench.hear(Purpose::Revision, "have a great day");
        assert!(bench.published.iter().all(|u| !u.text.is_empty()));
    }

    #[test]
    fn the_language_is_settled_when_two_decodes_agree_on_it() {
        let mut bench = Bench::new();
        bench.leg.language = None;
        bench.leg.is_language_given = false;
        let mut asked = Vec::new();
        for (language, text) in
            [("ar", "as salamu alaykum"), ("fa", "salam bar shoma"), ("fa", "kart gom shod")]
        {
            bench.chunks(30, 0.95);
            bench.chunks(20, 0.0);
            asked.push(
                bench.flying.iter().find(|job| job.purpose == Purpose::Candidate).unwrap().language.clone(),
            );
            bench.flying.retain(|job| job.purpose == Purpose::Candidate);
            bench.hear_in(language, Purpose::Candidate, text);
        }
        assert_eq!(asked, [None, None, None], "two different ones settle nothing");
        bench.chunks(30, 0.95);
        bench.chunks(7, 0.0);
        assert!(bench.flying.iter().all(|job| job.language.as_deref() == Some("fa")));
    }

    #[test]
    fn the_same_words_decoded_twice_do_not_settle_the_language() {
        let mut bench = Bench::new();
        bench.leg.language = None;
        bench.leg.is_language_given = false;
        for _ in 0..3 {
            bench.chunks(30, 0.95);
            bench.hear_in("cy", Purpose::Partial, "salam bar shoma");
        }
        bench.chunks(7, 0.0);
        assert_eq!(bench.flying.last().and_then(|job| job.language.clone()), None);
    }

    #[test]
    fn a_language_that_is_not_understood_is_looked_for_again_unless_it_was_given() {
        for given in [false, true] {
            let mut bench = Bench::new();
            bench.leg.is_language_given = given;
            for p in [0.9, 0.2, 0.2, 0.9, 0.2, 0.2, 0.2] {
                assert_eq!(bench.leg.language.as_deref(), Some("en"));
                let word = |n: u64| Word { w: "so".into(), start_ms: Millis(n), end_ms: Millis(n + 1), p };
                bench.leg.vote(&Spoken {
                    id: UtteranceId(1),
                    start: 0,
                    end: 0,
                    words: (0..4).map(word).collect(),
                    language: "en".into(),
                    revision: 0,
                    revised: false,
                });
            }
            assert_eq!(bench.leg.language.is_some(), given);
        }
    }

    #[test]
    fn words_that_were_shown_stay_when_a_decode_fails() {
        let mut bench = Bench::new();
        bench.chunks(20, 0.95);
        bench.hear(Purpose::Partial, "I lost my");
        bench.chunks(30, 0.95);
        bench.hear(Purpose::Partial, "I lost my bank card");
        bench.chunks(30, 0.95);
        bench.fail(Purpose::Partial);
        assert_eq!(bench.texts().last(), Some(&(false, 0, "I lost my bank card")));
        bench.chunks(8, 0.0);
        bench.fail(Purpose::Candidate);
        bench.chunks(20, 0.0);
        let before = bench.published.len();
        bench.fail(Purpose::Final);
        assert_eq!(bench.texts()[before..], [(true, 0, "I lost my bank card")]);
    }

    #[test]
    fn a_candidate_that_fails_is_decoded_again() {
        let mut bench = Bench::new();
        bench.chunks(20, 0.95);
        bench.chunks(8, 0.0);
        bench.fail(Purpose::Candidate);
        bench.chunks(20, 0.0);
        bench.hear(Purpose::Final, "good morning");
        assert_eq!(bench.texts(), [(true, 0, "good morning")]);
    }

    #[test]
    fn at_a_pause_a_partial_that_is_young_gives_way_to_the_candidate() {
        for (since, gives_way) in [(1, true), (8, false)] {
            let mut bench = Bench::new();
            while bench.flying.is_empty() {
                bench.chunks(1, 0.95);
            }
            bench.chunks(since, 0.95);
            let mut actions = Vec::new();
            while actions.is_empty() {
                bench.leg.push(&[0.0; CHUNK], 0.0, &mut actions);
            }
            assert_eq!(matches!(actions[0], Action::Forget(_)), gives_way, "{since} chunks");
        }
    }

    #[test]
    fn at_a_pause_a_partial_that_has_begun_is_waited_for_and_a_candidate_of_an_earlier_one_is_not() {
        let mut bench = Bench::new();
        let pause = |bench: &mut Bench| {
            let mut actions = Vec::new();
            while actions.is_empty() {
                bench.leg.push(&[0.0; CHUNK], 0.0, &mut actions);
            }
            actions
        };
        bench.chunks(20, 0.95);
        let partial = bench.flying.pop().expect("a partial is decoded").ticket;
        let actions = pause(&mut bench);
        let [Action::TakeBack(taken_back), Action::Decode(candidate)] = &actions[..] else {
            panic!("{actions:?}")
        };
        assert_eq!((*taken_back, candidate.purpose), (partial, Purpose::Candidate));
        bench.chunks(10, 0.95);
        let actions = pause(&mut bench);
        let [Action::Forget(forgotten), Action::Decode(_)] = &actions[..] else { panic!("{actions:?}") };
        assert_eq!(*forgotten, candidate.ticket);
    }

    #[test]
    fn words_are_renewed_within_a_second_while_someone_speaks_with_short_pauses() {
        // 32 ms a chunk; a decode takes 400 ms.
        const TAKES: usize = 13;
        for pause in [0, 3, 8, 11, 16] {
            let mut bench = Bench::new();
            let (mut at, mut shown, mut begun) = (0, Vec::new(), None::<(Job, usize)>);
            for _ in 0..6 {
                for chunk in 0..25 + pause {
                    bench.chunks(1, if chunk < 25 { 0.95 } else { 0.0 });
                    at += 1;
                    if let Some((job, _)) = begun.take_if(|(_, since)| at - *since >= TAKES) {
                        let (purpose, before) = (job.purpose, bench.published.len());
                        bench.flying.insert(0, job);
                        bench.hear(purpose, &format!("one two three four word{at}"));
                        shown.extend((bench.published.len() > before).then_some(at));
                    }
                    if begun.is_none() && !bench.flying.is_empty() {
                        begun = Some((bench.flying.remove(0), at));
                    }
                }
            }
            // While nobody speaks nothing is new; a pause in between is added.
            let slowest = shown.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
            assert!(slowest * 32 <= 1_000 + pause * 32, "pause of {} ms: {} ms", pause * 32, slowest * 32);
            // After a long pause the words of what follows do not wait for its end.
            let per_stretch = if pause == 16 { 2 } else { 1 };
            assert!(shown.len() >= 5 * per_stretch, "pause of {} ms: {shown:?}", pause * 32);
        }
    }

    #[test]
    fn words_agreed_on_do_not_flicker() {
        let mut bench = Bench::new();
        bench.chunks(20, 0.95);
        bench.hear(Purpose::Partial, "I lost my");
        bench.chunks(30, 0.95);
        bench.hear(Purpose::Partial, "I lost my bank card");
        bench.chunks(30, 0.95);
        bench.hear(Purpose::Partial, "High cost my bank card and need a new");
        let last = bench.published.last().expect("published");
        assert!(last.text.starts_with("I lost my"), "{}", last.text);
        let stable: String = last.text.chars().take(last.stable_chars as usize).collect();
        assert_eq!(stable, "I lost my");
    }

    #[test]
    fn the_last_words_are_decoded_at_hang_up_and_the_leg_is_done_only_then() {
        let mut bench = Bench::new();
        bench.chunks(12, 0.95);
        bench.finish();
        assert!(!bench.leg.is_done());
        bench.hear(Purpose::Final, "bye bye");
        assert!(!bench.leg.is_done(), "the revision is still to come");
        bench.hear(Purpose::Revision, "bye-bye");
        assert!(bench.leg.is_done());
        assert_eq!(bench.texts(), [(true, 0, "bye bye"), (true, 1, "bye-bye")]);
    }

    #[test]
    fn at_hang_up_the_last_words_have_as_much_silence_after_them_as_others() {
        let mut bench = Bench::new();
        let mut actions = Vec::new();
        for _ in 0..12 {
            bench.leg.push(&[0.5; CHUNK], 0.95, &mut actions);
        }
        bench.take(actions);
        bench.finish();
        let spoken = 12 * CHUNK;
        let silence = bench.leg.policy.pad_after as usize;
        let is_padded = |job: &Job| {
            job.samples.len() == spoken + silence
                && job.samples[..spoken].iter().all(|sample| *sample == 0.5)
                && job.samples[spoken..].iter().all(|sample| *sample == 0.0)
        };
        for purpose in [Purpose::Final, Purpose::Revision] {
            let job = bench.flying.iter().find(|job| job.purpose == purpose).expect("such a decode waits");
            assert!(is_padded(job), "{job:?}");
            bench.hear(purpose, "bye bye");
        }
        // None of it was heard.
        let last = bench.published.last().expect("published");
        let end = Millis(spoken as u64 / MS);
        assert_eq!((last.end_ms, last.words.last().map(|word| word.end_ms)), (end, Some(end)));
    }

    #[test]
    fn a_revision_names_the_utterance_it_corrects() {
        let mut bench = Bench::new();
        for text in ["my name is anna", "I lost my debit cart"] {
            bench.chunks(30, 0.95);
            bench.chunks(20, 0.0);
            bench.hear(Purpose::Candidate, text);
        }
        bench.chunks(70, 0.0);
        bench.hear(Purpose::Revision, "My name is Anna. I lost my debit card.");
        let last = bench.published.last().expect("published");
        assert_eq!((last.utterance_id, last.revision), (UtteranceId(2), 1));
        assert_eq!(last.text, "I lost my debit card.");
    }

    #[test]
    fn the_same_words_are_revised_only_to_be_better_dressed() {
        for (said, heard, revised) in [
            ("It opens at nine.", "it opens at nine", false),
            ("it opens at 9 am", "It opens at 9 a.m.", true),
            ("It opens at nine.", "it opens at five", true),
        ] {
            let mut bench = Bench::new();
            bench.chunks(30, 0.95);
            bench.chunks(20, 0.0);
            bench.hear(Purpose::Candidate, said);
            bench.chunks(80, 0.0);
            bench.hear(Purpose::Revision, heard);
            assert_eq!(bench.published.last().is_some_and(|u| u.revision == 1), revised, "{heard:?}");
        }
    }

    #[test]
    fn a_loop_in_a_revision_is_refused() {
        let mut bench = Bench::new();
        bench.chunks(30, 0.95);
        bench.chunks(20, 0.0);
        bench.hear(Purpose::Candidate, "thank you");
        bench.chunks(80, 0.0);
        let job = bench.flying.pop().expect("a revision waits");
        let words = vec![HeardWord { w: "so".into(), start_ms: 0, end_ms: 10, p: 0.1 }];
        let heard = Heard { words, language: "en".into(), looped: true };
        let mut actions = Vec::new();
        bench.leg.heard(job.ticket, Some(&heard), &mut actions);
        assert!(actions.is_empty());
    }

    #[test]
    fn a_machine_that_is_behind_decodes_finals_only() {
        let mut bench = Bench::new();
        bench.leg.shed(Shedding::NoPartials);
        bench.chunks(100, 0.95);
        assert!(bench.flying.is_empty());
        bench.chunks(20, 0.0);
        assert_eq!(bench.flying.iter().map(|job| job.purpose).collect::<Vec<_>>(), [Purpose::Final]);
        bench.hear(Purpose::Final, "all of it");
        bench.chunks(200, 0.0);
        assert!(bench.flying.is_empty(), "no revision while behind");
        bench.leg.shed(Shedding::None);
        bench.chunks(1, 0.0);
        assert_eq!(bench.flying.len(), 1, "but as soon as there is time");
    }

    #[test]
    fn a_final_without_words_takes_partials_back_although_a_later_one_was_empty() {
        let mut bench = Bench::new();
        bench.chunks(20, 0.95);
        bench.hear(Purpose::Partial, "you");
        bench.chunks(30, 0.95);
        bench.hear(Purpose::Partial, "");
        bench.chunks(8, 0.0);
        bench.hear(Purpose::Candidate, "");
        bench.chunks(20, 0.0);
        assert_eq!(bench.texts(), [(false, 0, "you"), (true, 0, "")]);
    }

    #[test]
    fn silence_and_noise_decode_nothing() {
        let mut bench = Bench::new();
        bench.chunks(1_000, 0.1);
        // A far voice, or a hum: never convincing.
        for _ in 0..20 {
            bench.chunks(20, 0.6);
            bench.chunks(30, 0.1);
        }
        bench.finish();
        assert!(bench.flying.is_empty() && bench.published.is_empty());
        assert!(bench.leg.is_done());
    }

    proptest::proptest! {
        #[test]
        fn every_utterance_gets_one_first_final_and_memory_is_bounded(
            voice in proptest::collection::vec((0.0_f32..1.0, 1_usize..60, proptest::bool::ANY, 0..6), 1..80)
        ) {
            let mut bench = Bench::new();
            for (probability, count, answer, shed) in voice {
                bench.leg.shed(if shed == 0 { Shedding::LateFinals } else { Shedding::None });
                bench.chunks(count, probability);
                proptest::prop_assert!(bench.leg.audio.end() - bench.leg.audio.start() < 90 * u64::from(RATE));
                while answer && !bench.flying.is_empty() {
                    let purpose = bench.flying[0].purpose;
                    bench.hear(purpose, "some words");
                }
            }
            bench.finish();
            while let Some(job) = bench.flying.first() {
                bench.hear(job.purpose, "other words");
            }
            proptest::prop_assert!(bench.leg.is_done());
            let mut finals: Vec<_> =
                bench.published.iter().filter(|u| u.r#final && u.revision == 0).map(|u| u.utterance_id).collect();
            let count = finals.len();
            finals.sort();
            finals.dedup();
            proptest::prop_assert_eq!(count, finals.len());
            let shown = bench.published.iter().filter(|u| !u.r#final).map(|u| u.utterance_id);
            for id in shown {
                proptest::prop_assert!(finals.contains(&id), "{id:?} stays provisional for ever");
            }
        }
    }
}
