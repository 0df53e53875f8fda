//! The pieces that text is cut into: a SentencePiece unigram vocabulary and its normaliser.

use std::collections::HashMap;

use crate::format::{Bytes, FormatError, limit, utf8};

/// A unigram vocabulary: pieces of text, how likely each is, and what becomes of single characters before.
#[derive(Debug)]
pub struct Vocabulary {
    text: String,
    /// Where each piece begins in `text`, and where the last ends.
    offsets: Vec<u32>,
    scores: Vec<f32>,
    normalised: HashMap<char, Box<str>>,
    /// The token before a text.
    pub begin: u32,
    /// The token after a text.
    pub end: u32,
    /// The token that fills a shorter text up to the length of the longest.
    pub padding: u32,
    /// The token for what is not in the vocabulary.
    pub unknown: u32,
}

impl Vocabulary {
    /// Reads it from the header's sizes on.
    pub(super) fn read(input: &mut Bytes<'_>) -> Result<Self, FormatError> {
        let what = "the vocabulary";
        let pieces = limit("number of pieces", input.u32(what)?.into(), 1 << 19)?;
        let [begin, end, padding, unknown] =
            [input.u32(what)?, input.u32(what)?, input.u32(what)?, input.u32(what)?];
        if [begin, end, padding, unknown].iter().any(|id| *id as usize >= pieces) {
            return Err(FormatError::invalid("a control token is not in the vocabulary"));
        }
        let length = limit("vocabulary", input.u64(what)?, 8 << 20)?;
        let words = |input: &mut Bytes<'_>, n: usize| {
            Ok::<_, FormatError>(input.take(4 * n, what)?.as_chunks::<4>().0.to_vec())
        };
        let offsets: Vec<u32> = words(input, pieces + 1)?.into_iter().map(u32::from_le_bytes).collect();
        let scores: Vec<f32> = words(input, pieces)?.into_iter().map(f32::from_le_bytes).collect();
        let text = utf8(input.take(length, what)?, what)?.to_owned();
        let whole = offsets.windows(2).all(|pair| text.get(pair[0] as usize..pair[1] as usize).is_some());
        if !whole || scores.iter().any(|score| !score.is_finite()) {
            return Err(FormatError::invalid("the vocabulary's pieces are not what they should be"));
        }
        let normalised = normaliser(input)?;
        Ok(Self { text, offsets, scores, normalised, begin, end, padding, unknown })
    }

    /// A vocabulary of these pieces and scores; the first four are the control tokens for begin, padding, end
    /// and unknown.
    #[must_use]
    pub fn of(pieces: &[(&str, f32)], normalised: &[(char, &str)]) -> Self {
        let mut offsets = vec![0];
        let mut text = String::new();
        for (piece, _) in pieces {
            text.push_str(piece);
            offsets.push(text.len() as u32);
        }
        Self {
            text,
            offsets,
            scores: pieces.iter().map(|(_, score)| *score).collect(),
            normalised: normalised.iter().map(|(from, to)| (*from, (*to).into())).collect(),
            begin: 0,
            padding: 1,
            end: 2,
            unknown: 3,
        }
    }

    /// How many pieces there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.scores.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.scores.is_empty()
    }

    /// A piece; empty when there is none of this number. A space is `▁` in it.
    #[must_use]
    pub fn piece(&self, id: u32) -> &str {
        let id = id as usize;
        match self.offsets.get(id..id.saturating_add(2)) {
            Some([from, to]) => self.text.get(*from as usize..*to as usize).unwrap_or_default(),
            _ => "",
        }
    }

    /// The logarithm of a piece's probability.
    #[must_use]
    pub fn score(&self, id: u32) -> f32 {
        self.scores.get(id as usize).copied().unwrap_or(f32::MIN)
    }

    /// What a character becomes before text is cut; nothing where it stays as it is.
    #[must_use]
    pub fn normalised(&self, c: char) -> Option<&str> {
        self.normalised.get(&c).map(|text| &**text)
    }
}

fn normaliser(input: &mut Bytes<'_>) -> Result<HashMap<char, Box<str>>, FormatError> {
    let what = "the normaliser";
    let count = limit("number of normalised characters", input.u32(what)?.into(), 1 << 16)?;
    let bytes = limit("normaliser", input.u32(what)?.into(), 4 << 20)?;
    let mut input = Bytes::new(input.take(bytes, what)?);
    let char_of = |code: u32| {
        char::from_u32(code).ok_or_else(|| FormatError::invalid(format!("{code:#x} is no character")))
    };
    (0..count)
        .map(|_| {
            let from = char_of(input.u32(what)?)?;
            let to =
                (0..input.u8(what)?).map(|_| char_of(input.u32(what)?)).collect::<Result<String, _>>()?;
            Ok((from, to.into()))
        })
        .collect()
}
