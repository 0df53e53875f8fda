//! Text to token numbers as a `tokenizer.json` says.

use tokenizers::{Tokenizer, TruncationParams};

use crate::tokenizer::MAX_CHARS;

/// The tokens of a text, or of two.
pub(crate) struct Tokens {
    /// Their numbers.
    pub ids: Vec<i64>,
    /// Of which text each is: 0 or 1.
    pub types: Vec<i64>,
}

#[derive(Debug)]
pub(crate) struct JsonTokenizer {
    tokenizer: Tokenizer,
    limit: usize,
}

impl JsonTokenizer {
    /// Reads one, which is to give at most `limit` tokens, those around a text included.
    ///
    /// # Errors
    /// With what is wrong with it.
    pub fn read(json: impl AsRef<[u8]>, limit: usize) -> tokenizers::Result<Self> {
        let mut tokenizer = Tokenizer::from_bytes(json)?;
        // What people say is no control token.
        tokenizer.set_encode_special_tokens(true);
        tokenizer.with_padding(None);
        let truncation = TruncationParams { max_length: limit, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation))?;
        Ok(Self { tokenizer, limit })
    }

    /// The tokens of a text, those around it included. What comes after the limit is cut off.
    ///
    /// # Errors
    /// With what the tokenizer says.
    pub fn encode(&self, text: &str) -> tokenizers::Result<Vec<i64>> {
        Ok(self.tokens(text, None)?.ids)
    }

    /// The same, perhaps with a second text behind it; the longer one is cut where both are too long.
    ///
    /// # Errors
    /// With what the tokenizer says.
    pub fn tokens(&self, text: &str, with: Option<&str>) -> tokenizers::Result<Tokens> {
        let limited = |text: &str| text.chars().take(MAX_CHARS).collect::<String>();
        let encoded = match with {
            Some(other) => self.tokenizer.encode_fast((limited(text), limited(other)), true)?,
            None => self.tokenizer.encode_fast(limited(text), true)?,
        };
        let numbers =
            |of: &[u32]| of.iter().take(self.limit).map(|number| i64::from(*number)).collect::<Vec<i64>>();
        Ok(Tokens { ids: numbers(encoded.get_ids()), types: numbers(encoded.get_type_ids()) })
    }
}
