//! The final words of a call, sentence by sentence, and citations of them.

use std::collections::HashSet;
use std::ops::Range;

use schemars::JsonSchema;
use serde::Serialize;
use sotto_call::{CallState, Millis, Party, Span, Utterance, UtteranceId};
use sotto_insight::{places, spelled};

/// Where in the call something was said.
///
/// Only a transcript makes one, of final words that are in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Citation {
    utterance_id: UtteranceId,
    /// The revision of its words.
    revision: u32,
    /// Who said it.
    party: Party,
    /// When the cited words begin.
    start_ms: Millis,
    /// The characters (Unicode scalar values) of the utterance's text.
    chars: Span,
    /// The utterance's words; absent where these are not those of its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<Span>,
}

impl Citation {
    /// The utterance.
    #[must_use]
    pub fn utterance_id(&self) -> UtteranceId {
        self.utterance_id
    }

    /// Who said it.
    #[must_use]
    pub fn party(&self) -> Party {
        self.party
    }

    /// When the cited words begin.
    #[must_use]
    pub fn start_ms(&self) -> Millis {
        self.start_ms
    }

    /// The cited utterance, as long as its words in the log are those that were cited, and said by the same party.
    pub(crate) fn utterance<'a>(&self, state: &'a CallState) -> Option<&'a Utterance> {
        let is_it =
            |said: &&Utterance| said.r#final && said.revision == self.revision && said.party == self.party;
        state.utterance(self.utterance_id).filter(is_it)
    }

    pub(crate) fn chars(&self) -> Range<usize> {
        range(self.chars)
    }

    /// The cited words as they stand in the log; nothing where they do not.
    pub(crate) fn text(&self, state: &CallState) -> Option<String> {
        part(&self.utterance(state)?.text, &self.chars())
    }
}

/// Something with the words it rests on. Without any it cannot be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cited<T> {
    pub value: T,
    citations: Vec<Citation>,
}

impl<T> Cited<T> {
    pub fn new(value: T, citations: Vec<Citation>) -> Option<Self> {
        (!citations.is_empty()).then_some(Self { value, citations })
    }

    pub fn citations(&self) -> &[Citation] {
        &self.citations
    }

    /// The value and what it rests on, apart.
    pub fn apart(self) -> (T, Vec<Citation>) {
        (self.value, self.citations)
    }
}

/// A sentence of an utterance.
pub(crate) struct Sentence {
    /// Which of the utterances.
    pub utterance: usize,
    pub chars: Range<usize>,
    /// As it was said.
    pub text: String,
    /// Its words that carry something, in one spelling.
    pub words: Vec<String>,
}

impl Sentence {
    pub fn is_question(&self) -> bool {
        self.text.ends_with(['?', '؟'])
    }
}

/// See the module.
pub(crate) struct Transcript<'a> {
    state: &'a CallState,
    said: Vec<&'a Utterance>,
    sentences: Vec<Sentence>,
}

impl<'a> Transcript<'a> {
    /// Words that carry nothing are left out of the sentences' words.
    pub fn new(state: &'a CallState, stop_words: &HashSet<String>) -> Self {
        let mut said: Vec<&Utterance> = state.finals().collect();
        said.sort_by_key(|said| said.start_ms);
        let mut sentences = Vec::new();
        for (utterance, said) in said.iter().enumerate() {
            for chars in sentences_of(&said.text) {
                let text = part(&said.text, &chars).unwrap_or_default();
                let mut words = spelled(&text);
                words.retain(|word| !stop_words.contains(word));
                sentences.push(Sentence { utterance, chars, text, words });
            }
        }
        Self { state, said, sentences }
    }

    pub fn state(&self) -> &'a CallState {
        self.state
    }

    /// Final words in the order in which they were said.
    pub fn said(&self) -> &[&'a Utterance] {
        &self.said
    }

    /// All sentences, in the order in which they were said.
    pub fn sentences(&self) -> &[Sentence] {
        &self.sentences
    }

    pub fn party(&self, sentence: &Sentence) -> Party {
        self.said.get(sentence.utterance).map_or(Party::Other, |said| said.party)
    }

    /// Cites characters of one of the utterances; nothing where it does not have them.
    pub fn cite(&self, utterance: usize, chars: &Range<usize>) -> Option<Citation> {
        let said = self.said.get(utterance)?;
        if chars.is_empty() || chars.end > said.text.chars().count() {
            return None;
        }
        let places = places(&said.text, &said.words).unwrap_or_default();
        let from = places.partition_point(|place| place.end <= chars.start);
        let to = places.partition_point(|place| place.start < chars.end);
        let first = said.words.get(from).filter(|_| from < to);
        Some(Citation {
            utterance_id: said.utterance_id,
            revision: said.revision,
            party: said.party,
            start_ms: first.map_or(said.start_ms, |word| word.start_ms),
            chars: span(chars),
            words: first.map(|_| span(&(from..to))),
        })
    }

    pub fn cite_sentence(&self, sentence: &Sentence) -> Option<Citation> {
        self.cite(sentence.utterance, &sentence.chars)
    }

    /// Cites an utterance as a whole.
    pub fn cite_whole(&self, id: UtteranceId) -> Option<Citation> {
        let utterance = self.said.iter().position(|said| said.utterance_id == id)?;
        self.cite(utterance, &(0..self.said.get(utterance)?.text.chars().count()))
    }
}

fn span(range: &Range<usize>) -> Span {
    Span { start: range.start as u32, end: range.end as u32 }
}

pub(crate) fn range(span: Span) -> Range<usize> {
    span.start as usize..span.end as usize
}

/// The characters of a text; nothing where it does not have them, or there are none.
pub(crate) fn part(text: &str, chars: &Range<usize>) -> Option<String> {
    let part: String = text.chars().skip(chars.start).take(chars.len()).collect();
    (!chars.is_empty() && part.chars().count() == chars.len()).then_some(part)
}

/// The sentences of a text, in characters, without the space around them. A dot ends one where a space follows, and no small
/// letter after it: "5 p.m. to" goes on.
fn sentences_of(text: &str) -> Vec<Range<usize>> {
    let chars: Vec<char> = text.chars().collect();
    let mut sentences = Vec::new();
    let mut start = 0;
    for at in 0..chars.len() {
        let is_sign = matches!(chars[at], '.' | '?' | '!' | '؟' | '…' | '\n');
        let next = chars.get(at + 1);
        let after = chars.iter().skip(at + 1).find(|c| !c.is_whitespace());
        let goes_on = next.is_some_and(|next| !next.is_whitespace())
            || matches!(chars[at], '.' | '…') && after.is_some_and(|after| after.is_lowercase());
        if is_sign && !goes_on {
            sentences.extend(trimmed(&chars, start..at + 1));
            start = at + 1;
        }
    }
    sentences.extend(trimmed(&chars, start..chars.len()));
    sentences
}

fn trimmed(chars: &[char], range: Range<usize>) -> Option<Range<usize>> {
    let is_some = |at: &usize| chars.get(*at).is_some_and(|c| !c.is_whitespace());
    let first = range.clone().find(is_some)?;
    let last = range.rev().find(is_some)?;
    Some(first..last + 1)
}

#[cfg(test)]
mod tests {
    use sotto_call::testing::{utterance, with_words};
    use sotto_call::{CallEvent, EventBody};

    use super::*;

    #[test]
    fn a_text_is_cut_where_sentences_end() {
        let cut = |text: &str| -> Vec<String> {
            sentences_of(text).iter().map(|chars| part(text, chars).unwrap()).collect()
        };
        assert_eq!(cut(" Yes. I will. And you? "), ["Yes.", "I will.", "And you?"]);
        assert_eq!(
            cut("From 9:30 a.m. to 5 p.m. at 2.5 percent"),
            ["From 9:30 a.m. to 5 p.m. at 2.5 percent"]
        );
        assert_eq!(cut("بله. چرا؟ نه"), ["بله.", "چرا؟", "نه"]);
        assert_eq!(cut("Well... I see?!"), ["Well...", "I see?!"]);
        assert_eq!(cut("  "), Vec::<String>::new());
        assert_eq!(cut("no end"), ["no end"]);
    }

    #[test]
    fn only_what_was_said_can_be_cited() {
        let said = with_words(utterance(3, Party::Agent, "Yes. On Friday, then."), 300);
        let event = CallEvent { seq: 1, at_ms: Millis(1), body: EventBody::Utterance(said) };
        let state = CallState::of([&event]);
        let transcript = Transcript::new(&state, &HashSet::new());
        let sentence = &transcript.sentences()[1];
        let citation = transcript.cite_sentence(sentence).unwrap();
        assert_eq!(citation.text(&state).unwrap(), "On Friday, then.");
        assert_eq!((citation.words, citation.start_ms), (Some(Span { start: 1, end: 4 }), Millis(30_300)));
        assert_eq!(transcript.cite(0, &(5..22)), None);
        assert_eq!(transcript.cite(0, &(5..5)), None);
        assert_eq!(transcript.cite(1, &(0..1)), None);
        assert_eq!(transcript.cite_whole(UtteranceId(4)), None);
        assert_eq!(Cited::new(1, vec![]), None);
        assert_eq!(citation.text(&CallState::default()), None);
    }
}
