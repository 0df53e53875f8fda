//! What must not be kept is taken out of what was said: card numbers, account numbers, passwords, national
//! IDs.
//!
//! People dictate such numbers in groups, over several turns, in words, with "let me see" in between, and it
//! is often the other side who says what the number will be. So a [`Redactor`] listens to a whole call, and
//! what a party says now may make a secret of what it said before. Telephone numbers, order numbers and
//! amounts of money stay. A number that is still being spoken, and may become a secret, is hidden until that is
//! known.

mod checks;
mod cues;
mod search;
mod speech;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use sotto_call::{MASK, Millis, Secret, Utterance, UtteranceId, Word};

use crate::spoken::tokens;
use search::{Found, Spoken};
use speech::{Speech, What};

/// Utterances that are listened to again when another comes. More than any number takes.
const KEPT: usize = 32;
/// Audio that is muted before and after a secret: recognisers place words no better than that.
const MARGIN: Millis = Millis(200);

/// So many digits may be half of a card number.
const LONG_ROW: usize = 4;

/// Whether digits stand in a text, written or spoken, that the rest of a call may make a secret of: four or more in a row.
/// Amounts, dates and times of day are none.
#[must_use]
pub fn has_long_number(text: &str) -> bool {
    let mut row = 0;
    Speech::new(tokens(text)).parts.iter().any(|part| {
        row = match &part.what {
            What::Digits { digits, .. } => row + digits.len(),
            What::Filler | What::Comma => row,
            _ => 0,
        };
        row >= LONG_ROW
    })
}

/// What is taken out, and what is left of it. By default everything, and nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What is taken out.
    pub secrets: BTreeSet<Secret>,
    /// The last four digits of a card number stay in the text, by which a customer knows the card. They are
    /// muted in the audio nevertheless.
    pub keep_last_four: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { secrets: Secret::ALL.into(), keep_last_four: false }
    }
}

/// An utterance without its secrets.
#[derive(Debug, Clone, PartialEq)]
pub struct Redacted {
    /// The utterance; [`MASK`] stands in its text and words for every secret. The words of a secret are one
    /// word.
    pub utterance: Utterance,
    /// What was taken out, in the order of the text. What is only hidden until more is known is not among it.
    pub secrets: Vec<Secret>,
    /// What to mute of the party's audio, in order, without overlap.
    pub mute: Vec<Range<Millis>>,
}

/// Listens to a call and takes secrets out of it.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    policy: Policy,
    heard: BTreeMap<UtteranceId, Heard>,
}

impl Redactor {
    /// For one call.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { policy, heard: BTreeMap::new() }
    }

    /// Takes what was said: a partial, a final, or a revision of what was said before.
    ///
    /// Gives the utterance without its secrets, then every earlier one in which there are more secrets than
    /// was known: half a card number is none until the other half is heard. What was once a secret stays one
    /// for as long as the utterance has the same text.
    pub fn push(&mut self, utterance: &Utterance) -> Vec<Redacted> {
        let id = utterance.utterance_id;
        match self.heard.get_mut(&id).filter(|heard| heard.utterance.text == utterance.text) {
            Some(heard) => heard.utterance = utterance.clone(),
            None => drop(self.heard.insert(id, Heard::new(utterance.clone()))),
        }
        let mut changed = self.take_out(|heard| &heard.said);
        // What is taken out parts what stood beside it: then that is looked at as well.
        loop {
            let more = self.take_out(|heard| &heard.left);
            if more.is_empty() {
                break;
            }
            changed.extend(more);
        }
        changed.remove(&id);
        self.hide_unsettled(id);
        let out = [id]
            .iter()
            .chain(&changed)
            .filter_map(|id| Some(self.heard.get(id)?.redacted(&self.policy)))
            .collect();
        while self.heard.len() > KEPT {
            self.heard.pop_first();
        }
        out
    }
}

impl Redactor {
    /// Takes out what is found in one form of what was said, and names the utterances in which there is
    /// something new.
    fn take_out(&mut self, form: impl Fn(&Heard) -> &Speech) -> BTreeSet<UtteranceId> {
        let call: Vec<Spoken<'_>> = self.heard.values().map(|heard| heard.spoken(form(heard))).collect();
        let mut found: BTreeMap<usize, Vec<Found>> = BTreeMap::new();
        for (n, one) in search::search(&call) {
            if self.policy.secrets.contains(&one.secret) {
                found.entry(n).or_default().push(one);
            }
        }
        let heard = self.heard.iter_mut().enumerate();
        let new = heard.filter_map(|(n, (id, heard))| heard.add(found.get(&n)?).then_some(*id));
        new.collect()
    }

    /// Hides what may become a secret in words that may still change. In those that may not, it is seen until more is
    /// said: most long numbers are harmless, and somebody waits to read them.
    fn hide_unsettled(&mut self, id: UtteranceId) {
        let is_partial = self.heard.get(&id).is_some_and(|heard| !heard.utterance.r#final);
        let mut unsettled = Vec::new();
        if is_partial {
            let call: Vec<Spoken<'_>> = self.heard.values().map(|heard| heard.spoken(&heard.left)).collect();
            let own = self.heard.keys().position(|other| *other == id);
            let found = search::unsettled(&call).into_iter().filter(|(n, _)| Some(*n) == own);
            let found = found.map(|(_, found)| found);
            unsettled.extend(found.filter(|found| self.policy.secrets.contains(&found.secret)));
        }
        if let Some(heard) = self.heard.get_mut(&id) {
            heard.unsettled = heard.masks_of(&unsettled).collect();
        }
    }
}

/// A secret in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mask {
    /// Characters (Unicode scalar values).
    chars: Range<usize>,
    secret: Secret,
    /// The last digits of a card.
    last: String,
}

#[derive(Debug, Clone)]
struct Heard {
    utterance: Utterance,
    said: Speech,
    /// Without secrets.
    left: Speech,
    /// In order, without overlap.
    masks: Vec<Mask>,
    /// What may become a secret, outside of them.
    unsettled: Vec<Mask>,
}

impl Heard {
    fn new(utterance: Utterance) -> Self {
        let said = Speech::new(tokens(&utterance.text));
        Self { utterance, left: said.clone(), said, masks: vec![], unsettled: vec![] }
    }

    fn spoken<'a>(&self, form: &'a Speech) -> Spoken<'a> {
        let utterance = &self.utterance;
        Spoken {
            party: utterance.party,
            start: utterance.start_ms,
            end: utterance.end_ms,
            persian: utterance.language.starts_with("fa")
                || utterance.text.chars().any(|c| matches!(c, '\u{620}'..='\u{6ff}')),
            tokens: &form.tokens,
            parts: &form.parts,
        }
    }

    /// Where in the text something was found.
    fn masks_of(&self, found: &[Found]) -> impl Iterator<Item = Mask> {
        found.iter().filter_map(|found| {
            let (first, last) =
                (self.said.tokens.get(found.tokens.start)?, self.said.tokens.get(found.tokens.end - 1)?);
            Some(Mask {
                chars: first.chars.start..last.chars.end,
                secret: found.secret,
                last: found.last.clone(),
            })
        })
    }

    /// Adds secrets to those that are known; true if there are more now.
    fn add(&mut self, found: &[Found]) -> bool {
        let masks = merged(self.masks.iter().cloned().chain(self.masks_of(found)));
        let covered = |masks: &[Mask]| masks.iter().map(|mask| mask.chars.len()).sum::<usize>();
        let more = covered(&masks) > covered(&self.masks);
        self.masks = masks;
        if more {
            let masks = &self.masks;
            self.left =
                self.said.without(|token| masks.iter().any(|mask| overlap(&mask.chars, &token.chars)));
        }
        more
    }

    fn redacted(&self, policy: &Policy) -> Redacted {
        let mut utterance = self.utterance.clone();
        let masks = merged(self.masks.iter().chain(&self.unsettled).cloned());
        if masks.is_empty() {
            return Redacted { utterance, secrets: vec![], mute: vec![] };
        }
        let original: Vec<char> = utterance.text.chars().collect();
        let render = |range: Range<usize>| rendered(&original, range, &masks, policy);
        let stable = usize::try_from(utterance.stable_chars).unwrap_or(usize::MAX).min(original.len());
        // What is inside a mask may change, and so may what is hidden for the time being.
        let inside = masks.iter().find(|mask| mask.chars.start < stable && stable < mask.chars.end);
        let hidden = self.unsettled.iter().filter(|mask| mask.chars.start < stable);
        let starts = inside.into_iter().chain(hidden).map(|mask| mask.chars.start);
        let stable = starts.min().unwrap_or(stable);
        utterance.stable_chars = render(0..stable).chars().count() as u32;
        utterance.text = render(0..original.len());
        let whole = utterance.start_ms..utterance.end_ms;
        let mut mute: Vec<Range<Millis>> = Vec::new();
        match places(&self.utterance) {
            Some(places) => {
                utterance.words.clear();
                for group in groups(&places, &masks) {
                    let said = &self.utterance.words[group.clone()];
                    let place = places[group.start].start..places[group.end - 1].end;
                    let is_in = |masks: &[Mask]| masks.iter().any(|mask| overlap(&mask.chars, &place));
                    if !is_in(&masks) {
                        utterance.words.extend_from_slice(said);
                        continue;
                    }
                    let is_secret = is_in(&self.masks);
                    let (start_ms, end_ms) = (said[0].start_ms, said[said.len() - 1].end_ms);
                    let p = said.iter().map(|word| word.p).fold(1.0, f32::min);
                    utterance.words.push(Word { w: render(place), start_ms, end_ms, p });
                    if !is_secret {
                        continue;
                    }
                    let muted = start_ms.since(MARGIN)..end_ms + MARGIN;
                    match mute.last_mut().filter(|before| muted.start <= before.end) {
                        Some(before) => before.end = before.end.max(muted.end),
                        None => mute.push(muted),
                    }
                }
            }
            // Nobody knows when what was said.
            None => {
                let p = utterance.words.iter().map(|word| word.p).fold(1.0, f32::min);
                if !utterance.words.is_empty() {
                    let (start_ms, end_ms) = (whole.start, whole.end);
                    utterance.words = vec![Word { w: utterance.text.clone(), start_ms, end_ms, p }];
                }
                if !self.masks.is_empty() {
                    mute.push(whole.start.since(MARGIN)..whole.end + MARGIN);
                }
            }
        }
        Redacted { utterance, secrets: self.masks.iter().map(|mask| mask.secret).collect(), mute }
    }
}

/// In order, and without overlap.
fn merged(masks: impl Iterator<Item = Mask>) -> Vec<Mask> {
    let mut all: Vec<Mask> = masks.collect();
    // Of two that begin alike the longer one comes first, and swallows the other.
    all.sort_by_key(|mask| (mask.chars.start, std::cmp::Reverse(mask.chars.end)));
    let mut masks: Vec<Mask> = Vec::new();
    for mask in all {
        match masks.last_mut().filter(|before| mask.chars.start < before.chars.end) {
            Some(before) if mask.chars.end > before.chars.end => {
                before.chars.end = mask.chars.end;
                before.last = mask.last;
            }
            Some(_) => {}
            None => masks.push(mask),
        }
    }
    masks
}

/// Words that share a secret, together; every other word by itself.
fn groups(places: &[Range<usize>], masks: &[Mask]) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    for (n, place) in places.iter().enumerate() {
        let goes_on = n > 0
            && masks.iter().any(|mask| overlap(&mask.chars, place) && overlap(&mask.chars, &places[n - 1]));
        match groups.last_mut().filter(|_| goes_on) {
            Some(group) => group.end = n + 1,
            None => groups.push(n..n + 1),
        }
    }
    groups
}

/// The characters of a range, which begins and ends in no secret.
fn rendered(original: &[char], range: Range<usize>, masks: &[Mask], policy: &Policy) -> String {
    let mut out = String::new();
    let mut at = range.start;
    for mask in masks.iter().filter(|mask| overlap(&mask.chars, &range)) {
        out.extend(&original[at..mask.chars.start.max(at)]);
        out.push_str(MASK);
        if policy.keep_last_four && !mask.last.is_empty() {
            out.push(' ');
            out.push_str(&mask.last);
        }
        at = mask.chars.end;
    }
    out.extend(original.get(at..range.end).unwrap_or_default());
    out
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

/// Where in the text each word stands, in characters; nothing where the words are not those of the text.
fn places(utterance: &Utterance) -> Option<Vec<Range<usize>>> {
    crate::spoken::places(&utterance.text, &utterance.words).filter(|places| !places.is_empty())
}

#[cfg(test)]
mod tests;
