//! Finds secrets in a call: digits of one party that belong together, whatever turns they were dictated in,
//! held against check digits and against what was spoken of before.

use std::ops::Range;

use sotto_call::{Millis, Party, Secret};

use super::checks::{is_card, is_card_shape, is_iban, is_iranian_bank, is_national_id, may_begin_card};
use super::cues::{CUES, Cue};
use super::speech::{self, Part, What};
use crate::spoken::{Shape, Token};

/// How long a party may be silent inside a number.
const LONGEST_SILENCE: Millis = Millis(30_000);
/// Words between parts of a number that was announced: "let me see", "I think it says".
const MAX_WORDS_INSIDE: u32 = 5;
/// Digits that may follow a card number without a word: when it expires, and its check value.
const MAX_DIGITS_BEHIND_CARD: usize = 8;
/// Digits of a card that may be left.
const LAST: usize = 4;
/// Digits that may be seen of a number while nobody knows yet what it becomes: as many as may be shown of a card's
/// (PCI DSS 4.0, requirement 3.4.1).
const SEEN: usize = 6;

/// An utterance of the call.
pub(super) struct Spoken<'a> {
    pub party: Party,
    pub start: Millis,
    pub end: Millis,
    /// In the language of which the Iranian national ID is at home.
    pub persian: bool,
    pub tokens: &'a [Token],
    pub parts: &'a [Part],
}

/// A secret, or the part of it that is in one utterance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub secret: Secret,
    /// Tokens of the utterance.
    pub tokens: Range<usize>,
    /// The last digits of a card number, where it ends here.
    pub last: String,
}

/// The secrets that are found in a call, each with the utterance it is in.
pub(super) fn search(call: &[Spoken<'_>]) -> Vec<(usize, Found)> {
    Search::new(call).go(Run::secrets, over_several_runs)
}

/// Numbers that may become secrets when more is said.
pub(super) fn unsettled(call: &[Spoken<'_>]) -> Vec<(usize, Found)> {
    Search::new(call).go(Run::unsettled, |_, _| {})
}

/// Digits that were said without another word between.
struct Piece {
    utterance: usize,
    tokens: Range<usize>,
    digits: String,
    /// What else the digits may have been.
    others: Vec<String>,
    /// What was spoken of before, and is still in reach.
    seen: Seen,
    /// A phrase or an utterance begins here.
    begins: bool,
    /// "IR" was said before.
    after_country: bool,
    persian: bool,
}

/// When each cue was last given, as a position in the call; zero where none is in reach.
type Seen = [u32; CUES.len()];

/// When a cue was last given: its position in the call, and how many words and utterances there had been.
#[derive(Clone, Copy, Default)]
struct Given {
    position: u32,
    words: u32,
    turns: u32,
}

fn in_reach(given: &[Given; CUES.len()], words: u32, turns: u32) -> Seen {
    CUES.map(|cue| {
        let last = given[cue as usize];
        let (most_words, most_turns) = cue.reach();
        let near = words - last.words <= most_words && turns - last.turns <= most_turns;
        if near { last.position } else { 0 }
    })
}

fn seen(seen: &Seen, cue: Cue) -> u32 {
    seen[cue as usize]
}

/// True when a number of such digits may be what the cue speaks of, and nothing harmless was spoken of since
/// that it may be as well.
fn is_meant(at: &Seen, cue: Cue, digits: &str) -> bool {
    let said = seen(at, cue);
    let harmless = |other: Cue| seen(at, other) > said && other.fits(digits);
    said > 0
        && cue.fits(digits)
        && !harmless(Cue::Phone)
        && !harmless(Cue::Reference)
        && !(cue.is_vague() && harmless(Cue::Subject))
}

/// Pieces with nothing but fillers between them.
struct Run {
    pieces: Vec<Piece>,
    /// Few enough words lie between it and the run before it.
    goes_on: bool,
}

/// What is known of a party while the call is gone through.
#[derive(Default)]
struct Speaker {
    runs: Vec<Run>,
    /// Words since the last digits.
    words: u32,
    /// The last digits are of the same number as the next, if digits come next.
    open: bool,
    comma: bool,
    until: Millis,
}

struct Search<'a> {
    call: &'a [Spoken<'a>],
    speakers: [Speaker; 3],
    hits: Vec<(usize, Found)>,
}

impl<'a> Search<'a> {
    fn new(call: &'a [Spoken<'a>]) -> Self {
        let mut search = Self { call, speakers: Default::default(), hits: vec![] };
        search.listen();
        search
    }

    /// Goes through the call, keeps the digits, and takes what is a secret by the way it was said.
    fn listen(&mut self) {
        let (mut words, mut turns, mut position) = (0u32, 0u32, 0u32);
        let mut given = [Given::default(); CUES.len()];
        for (n, spoken) in self.call.iter().enumerate() {
            let speaker = &mut self.speakers[spoken.party as usize];
            if spoken.start.since(speaker.until) > LONGEST_SILENCE {
                speaker.open = false;
            }
            speaker.until = spoken.end;
            speaker.comma = true;
            turns +=
                u32::from(spoken.parts.iter().any(|part| !matches!(part.what, What::Filler | What::Comma)));
            let mut after_mask = false;
            for part in spoken.parts {
                position += 1;
                let speaker = &mut self.speakers[spoken.party as usize];
                let left = after_mask && is_last_four(part, spoken.tokens);
                if part.what == What::Masked || left {
                    (speaker.open, speaker.words) = (false, 0);
                    after_mask = !left;
                    continue;
                }
                after_mask = false;
                let mut hit =
                    |secret, tokens| self.hits.push((n, Found { secret, tokens, last: String::new() }));
                match &part.what {
                    What::Filler | What::Masked => {}
                    What::Comma => speaker.comma = true,
                    What::Word => {
                        words += 1;
                        speaker.interrupted(1);
                    }
                    What::Cue(cue) => {
                        given[*cue as usize] = Given { position, words, turns };
                        speaker.interrupted(1);
                    }
                    What::Password => hit(Secret::Password, part.tokens.clone()),
                    What::Iban => hit(Secret::Iban, part.tokens.clone()),
                    What::Mixed => {
                        words += 1;
                        speaker.interrupted(1);
                        let at = in_reach(&given, words, turns);
                        // A username has letters and digits as well, but nobody asked for that.
                        if is_meant(&at, Cue::Password, "0000") || is_meant(&at, Cue::Code, "0000") {
                            hit(Secret::Password, mixed(spoken.tokens, &part.tokens));
                        }
                    }
                    What::Month => {
                        words += 1;
                        speaker.interrupted(1);
                        if is_expiry(&in_reach(&given, words, turns), "") {
                            hit(Secret::Expiry, part.tokens.clone());
                        }
                    }
                    What::Digits { digits, others } => {
                        let at = in_reach(&given, words, turns);
                        for cue in CUES.into_iter().filter(|cue| cue.is_long() && seen(&at, *cue) > 0) {
                            given[cue as usize].turns = turns;
                        }
                        let vague = is_vague(part, spoken.tokens);
                        speaker.digits(Piece {
                            utterance: n,
                            tokens: part.tokens.clone(),
                            digits: digits.clone(),
                            others: others.clone(),
                            seen: at,
                            begins: speaker.comma || vague,
                            after_country: with_country(spoken.tokens, part.tokens.start) < part.tokens.start,
                            persian: spoken.persian,
                        });
                        speaker.comma = vague;
                    }
                }
            }
        }
    }

    fn go(
        mut self,
        of_run: fn(&Run) -> Vec<Option<Mark>>,
        of_several: fn(&[Run], &mut [Vec<Option<Mark>>]),
    ) -> Vec<(usize, Found)> {
        for speaker in std::mem::take(&mut self.speakers) {
            let mut secrets: Vec<Vec<Option<Mark>>> = speaker.runs.iter().map(of_run).collect();
            of_several(&speaker.runs, &mut secrets);
            for (run, secrets) in speaker.runs.iter().zip(&secrets) {
                self.take(run, secrets);
            }
        }
        self.hits
    }

    /// Neighbouring pieces of one secret in one utterance are one find.
    fn take(&mut self, run: &Run, secrets: &[Option<Mark>]) {
        let mut open: Option<(usize, Found)> = None;
        for (piece, mark) in run.pieces.iter().zip(secrets) {
            let Some(mark) = mark else {
                self.hits.extend(open.take());
                continue;
            };
            match &mut open {
                Some((utterance, found)) if *utterance == piece.utterance && found.secret == mark.secret => {
                    found.tokens.end = piece.tokens.end;
                    if !mark.last.is_empty() {
                        found.last = mark.last.clone();
                    }
                }
                _ => {
                    self.hits.extend(open.take());
                    let start = match mark.secret {
                        Secret::Iban => with_country(self.call[piece.utterance].tokens, piece.tokens.start),
                        _ => piece.tokens.start,
                    };
                    let tokens = start..piece.tokens.end;
                    open = Some((
                        piece.utterance,
                        Found { secret: mark.secret, tokens, last: mark.last.clone() },
                    ));
                }
            }
        }
        self.hits.extend(open);
    }
}

impl Speaker {
    fn interrupted(&mut self, words: u32) {
        self.open = false;
        self.words = self.words.saturating_add(words);
    }

    fn digits(&mut self, piece: Piece) {
        match self.runs.last_mut().filter(|_| self.open) {
            Some(run) => run.pieces.push(piece),
            None => {
                let goes_on = self.words <= MAX_WORDS_INSIDE && !self.runs.is_empty();
                self.runs.push(Run { pieces: vec![piece], goes_on });
            }
        }
        (self.open, self.comma, self.words) = (true, false, 0);
    }
}

/// What a piece is part of.
#[derive(Clone)]
struct Mark {
    secret: Secret,
    last: String,
}

impl Mark {
    fn new(secret: Secret) -> Option<Self> {
        Some(Self { secret, last: String::new() })
    }
}

fn last_of(digits: &str) -> String {
    digits[digits.len().saturating_sub(LAST)..].to_owned()
}

/// When a card expires: only where a card was spoken of, because accounts and courses expire as well.
fn is_expiry(at: &Seen, digits: &str) -> bool {
    let card = [Cue::Card, Cue::CardNumber, Cue::Cvv].iter().any(|cue| seen(at, *cue) > 0);
    card && is_meant(at, Cue::Expiry, digits)
}

impl Run {
    fn digits(&self) -> String {
        self.pieces.iter().map(|piece| piece.digits.as_str()).collect()
    }

    fn seen(&self) -> &Seen {
        // A run begins with the piece that opened it.
        &self.pieces[0].seen
    }

    /// What each piece is part of, as far as the run tells by itself.
    fn secrets(&self) -> Vec<Option<Mark>> {
        let digits = self.digits();
        let mut marks = vec![None; self.pieces.len()];
        self.cards(&digits, &mut marks);
        self.accounts(&digits, &mut marks);
        let at = self.seen();
        if marks.iter().any(Option::is_some) {
            // Part of a number that was misheard may be one by chance.
            if is_meant(at, Cue::CardNumber, &digits) {
                marks
                    .iter_mut()
                    .filter(|mark| mark.is_none())
                    .for_each(|mark| *mark = Mark::new(Secret::Card));
            }
            return marks;
        }
        let whole = if is_meant(at, Cue::Iban, &digits) {
            Some(Secret::Iban)
        } else if is_meant(at, Cue::CardNumber, &digits)
            || self.may_be_misheard_card(&digits)
            || self.is_card_otherwise(digits.len())
        {
            Some(Secret::Card)
        } else {
            self.by_cue(&digits)
        };
        if let Some(secret) = whole {
            marks.fill(Mark::new(secret));
            if let Some(Some(mark)) = marks.last_mut()
                && secret == Secret::Card
                && digits.len() >= 13
            {
                mark.last = last_of(&digits);
            }
        }
        marks
    }

    /// All of it, if it is longer than may be seen and may go on as the number of a card or an account.
    fn unsettled(&self) -> Vec<Option<Mark>> {
        let digits = self.digits();
        let at = self.seen();
        let account = self.pieces[0].after_country || seen(at, Cue::Iban) > 0;
        let announced = account || seen(at, Cue::CardNumber).max(seen(at, Cue::Card)) > 0;
        let may_be = announced || may_begin_card(&digits);
        let mark = if digits.len() > SEEN && may_be && (account || !self.is_of_something_else()) {
            Mark::new(if account { Secret::Iban } else { Secret::Card })
        } else {
            None
        };
        vec![mark; self.pieces.len()]
    }

    /// The short ones: the cue that was given last decides.
    fn by_cue(&self, digits: &str) -> Option<Secret> {
        let at = self.seen();
        let meant = [
            (Cue::Cvv, Secret::Cvv, is_meant(at, Cue::Cvv, digits)),
            (Cue::Expiry, Secret::Expiry, is_expiry(at, digits)),
            (Cue::Password, Secret::Password, is_meant(at, Cue::Password, digits)),
            (Cue::Code, Secret::Password, is_meant(at, Cue::Code, digits)),
            (Cue::NationalId, Secret::NationalId, is_meant(at, Cue::NationalId, digits)),
        ];
        let named = meant.into_iter().filter(|(.., meant)| *meant).max_by_key(|(cue, ..)| seen(at, *cue));
        let spoken_of = [Cue::Phone, Cue::Reference, Cue::Subject].iter().any(|cue| seen(at, *cue) > 0);
        // Nine in a hundred numbers of ten digits hold the check digit by chance, and a mobile number without
        // its zero is one of ten digits.
        let by_itself =
            self.pieces[0].persian && !spoken_of && !digits.starts_with('9') && is_national_id(digits);
        named.map(|(_, secret, _)| secret).or_else(|| by_itself.then_some(Secret::NationalId))
    }

    /// A number that is shaped like a card's though the check digit fails: one digit was misheard, and the
    /// others are still the card's.
    fn may_be_misheard_card(&self, digits: &str) -> bool {
        is_meant(self.seen(), Cue::Card, digits)
            || digits.len() == 16 && is_iranian_bank(digits)
            // As it is printed and read: four times four.
            || is_card_shape(digits)
                && self.pieces.len() == 4
                && self.pieces.iter().all(|piece| piece.digits.len() == 4)
    }

    /// True for a card number that holds its check digit if a number in words or two were meant as two each.
    fn is_card_otherwise(&self, length: usize) -> bool {
        const MOST: usize = 2;
        fn holds(pieces: &[Piece], so_far: &str, left: usize) -> bool {
            let Some((piece, rest)) = pieces.split_first() else { return is_card(so_far) };
            let with = |digits: &str, left| holds(rest, &format!("{so_far}{digits}"), left);
            with(&piece.digits, left) || left > 0 && piece.others.iter().any(|other| with(other, left - 1))
        }
        (13 - MOST..=19).contains(&length) && !self.is_of_something_else() && holds(&self.pieces, "", MOST)
    }

    /// True where another number was announced, and no card since.
    fn is_of_something_else(&self) -> bool {
        let at = self.seen();
        let card = seen(at, Cue::Card).max(seen(at, Cue::CardNumber));
        seen(at, Cue::Phone).max(seen(at, Cue::Reference)) > card
    }

    /// True where pieces may be one number though they are not of one utterance: none of these is the number
    /// of a mobile telephone.
    fn may_be_of_several_turns(&self, first: usize, last: usize) -> bool {
        let (from, to) = (self.pieces[first].utterance, self.pieces[last].utterance);
        let mobile = |utterance: usize| {
            let pieces = self.pieces.iter().filter(|piece| piece.utterance == utterance);
            let digits: String = pieces.map(|piece| piece.digits.as_str()).collect();
            digits.len() == 11 && digits.starts_with("09")
        };
        !self.is_of_something_else() && !(from..=to).any(mobile)
    }

    /// Card numbers that hold their check digit, with at least one end where the run or a phrase begins or
    /// ends; with both where they are of several utterances.
    fn cards(&self, digits: &str, marks: &mut [Option<Mark>]) {
        let starts: Vec<usize> = self
            .pieces
            .iter()
            .scan(0, |at, piece| {
                let start = *at;
                *at += piece.digits.len();
                Some(start)
            })
            .collect();
        let phrase = |at: usize| {
            at == 0 || at == digits.len() || starts.binary_search(&at).is_ok_and(|n| self.pieces[n].begins)
        };
        let mut from = 0;
        while let Some((start, end)) = self.card_from(digits, from, &starts, &phrase) {
            let of = |at: usize| starts.partition_point(|start| *start <= at) - 1;
            let (first, last) = (of(start), of(end - 1));
            marks[first..=last].fill(Mark::new(Secret::Card));
            if let Some(mark) = &mut marks[last] {
                mark.last = last_of(&digits[start..end]);
            }
            if digits.len() - end <= MAX_DIGITS_BEHIND_CARD {
                marks[last + 1..].fill(Mark::new(Secret::Cvv));
            }
            from = end;
        }
    }

    /// The first card number in `digits[from..]`.
    fn card_from(
        &self,
        digits: &str,
        from: usize,
        starts: &[usize],
        phrase: &impl Fn(usize) -> bool,
    ) -> Option<(usize, usize)> {
        // Inside a long row of digits any may be the first or the last.
        let edge = |at: usize| {
            at == digits.len()
                || starts.binary_search(&at).is_ok()
                || self.pieces[starts.partition_point(|start| *start <= at) - 1].digits.len() > LAST
        };
        let of = |at: usize| starts.partition_point(|start| *start <= at) - 1;
        let is_plausible = |start: usize, end: usize| {
            let (first, last) = (of(start), of(end - 1));
            let one_turn = self.pieces[first].utterance == self.pieces[last].utterance;
            let (begins, ends) = (phrase(start), phrase(end));
            one_turn && (begins || ends) || begins && ends && self.may_be_of_several_turns(first, last)
        };
        (from..digits.len()).filter(|start| edge(*start)).find_map(|start| {
            let ends = (start + 13..=(start + 19).min(digits.len())).rev().filter(|end| edge(*end));
            let mut cards = ends.filter(|end| is_card(&digits[start..*end]));
            cards.find(|end| is_plausible(start, *end)).map(|end| (start, end))
        })
    }

    /// Iranian account numbers: 24 digits behind "IR", which the recogniser may have lost.
    fn accounts(&self, digits: &str, marks: &mut [Option<Mark>]) {
        // A recogniser may have lost some of them, or heard some twice.
        let named = self.pieces[0].after_country && (20..=28).contains(&digits.len());
        if named || digits.len() == 24 && is_iban(&format!("IR{digits}")) {
            marks.fill(Mark::new(Secret::Iban));
        }
    }
}

/// Numbers that were announced and have other words inside.
fn over_several_runs(runs: &[Run], marks: &mut [Vec<Option<Mark>>]) {
    let mut from = 0;
    while from < runs.len() {
        let more = runs[from + 1..].iter().take_while(|run| run.goes_on).count();
        let to = from + 1 + more;
        let group = from..to;
        for (cue, secret) in [(Cue::CardNumber, Secret::Card), (Cue::Iban, Secret::Iban)] {
            let meant = |n: &usize| {
                // Each alone may be short; together they are not.
                let run = &runs[*n];
                let said = seen(run.seen(), cue);
                let digits = run.digits();
                let other = CUES
                    .into_iter()
                    .filter(|other| !matches!(other, Cue::Card | Cue::CardNumber | Cue::Iban));
                let other = other.map(|other| (seen(run.seen(), other), other));
                said > 0 && !other.into_iter().any(|(at, other)| at > said && other.fits(&digits))
            };
            let meant: Vec<usize> = group.clone().filter(meant).collect();
            let digits: usize = meant.iter().map(|n| runs[*n].digits().len()).sum();
            if meant.len() > 1 && digits >= 5 {
                for n in &meant {
                    let unmarked = marks[*n].iter_mut().filter(|mark| mark.is_none());
                    unmarked.for_each(|mark| *mark = Mark::new(secret));
                }
            }
        }
        checked_cards(runs, group, marks);
        from = to;
    }
}

/// A card was mentioned, and runs with a few words between them are together the number of one.
fn checked_cards(runs: &[Run], group: Range<usize>, marks: &mut [Vec<Option<Mark>>]) {
    for first in group.clone() {
        let mut digits = String::new();
        for last in first..group.end {
            digits.push_str(&runs[last].digits());
            if digits.len() > 19
                || seen(runs[last].seen(), Cue::Card).max(seen(runs[last].seen(), Cue::CardNumber)) == 0
            {
                break;
            }
            if last > first && is_card(&digits) {
                for marks in &mut marks[first..=last] {
                    marks.fill(Mark::new(Secret::Card));
                }
                if let Some(Some(mark)) = marks[last].last_mut() {
                    mark.last = last_of(&digits);
                }
            }
        }
    }
}

/// True for words that may be a digit or none: a number may begin before and after them.
fn is_vague(part: &Part, tokens: &[Token]) -> bool {
    part.tokens.len() == 1 && matches!(tokens[part.tokens.start].text.as_str(), "oh" | "o" | "نه")
}

/// True for what a policy may leave of a card number.
fn is_last_four(part: &Part, tokens: &[Token]) -> bool {
    matches!(&part.what, What::Digits { digits, .. } if digits.len() == LAST)
        && part.tokens.len() == 1
        && tokens[part.tokens.start].shape == Shape::Digits
}

/// The whole word that a part of letters and digits belongs to, with signs inside.
fn mixed(tokens: &[Token], part: &Range<usize>) -> Range<usize> {
    let is_inside = |at: usize| {
        let glued = |at: usize| tokens.get(at).is_some_and(|token| token.glued);
        let sign = tokens[at].shape == Shape::Symbol;
        if speech::is_masked(&tokens[at]) {
            return false;
        }
        !sign || glued(at) && glued(at + 1) && tokens[at + 1].shape != Shape::Symbol
    };
    let mut range = part.clone();
    while range.start > 0 && tokens[range.start].glued && is_inside(range.start - 1) {
        range.start -= 1;
    }
    while tokens.get(range.end).is_some_and(|token| token.glued) && is_inside(range.end) {
        range.end += 1;
    }
    range
}

/// Where the "IR" before the digits of an account number begins, in any spelling.
fn with_country(tokens: &[Token], start: usize) -> usize {
    let before = |count: usize| start.checked_sub(count).map(|at| tokens[at].text.as_str());
    match (before(2), before(1)) {
        (_, Some("ir" | "ایار")) => start - 1,
        (Some("i" | "ای"), Some("r" | "ار")) => start - 2,
        _ => start,
    }
}
