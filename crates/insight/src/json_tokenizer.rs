//! Text to token numbers as a `tokenizer.json` says.

use tokenizers::{Tokenizer, TruncationParams};

use crate::tokenizer::MAX_CHARS;

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
        let text: String = text.chars().take(MAX_CHARS).collect();
        let encoded = self.tokenizer.encode_fast(text, true)?;
        Ok(encoded.get_ids().iter().take(self.limit).map(|id| i64::from(*id)).collect())
    }
}
