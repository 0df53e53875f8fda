//! Reading bytes that somebody else wrote: a reader that can fail but never reach outside of them.

/// Why a model file could not be read or converted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The file ends inside something that it announced.
    #[error("the file ends in the middle of {0}")]
    Truncated(&'static str),
    /// A count or length lies beyond what any model of its kind has.
    #[error("{what} of {value} is beyond the limit of {limit}")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// The value found.
        value: u64,
        /// The largest accepted.
        limit: u64,
    },
    /// The file has a structure that this reader does not know or does not allow.
    #[error("{0}")]
    Invalid(String),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl FormatError {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }
}

/// A count or length, unless it lies beyond `limit`.
pub(crate) fn limit(what: &'static str, value: u64, limit: u64) -> Result<usize, FormatError> {
    match usize::try_from(value) {
        Ok(small) if value <= limit => Ok(small),
        _ => Err(FormatError::TooLarge { what, value, limit }),
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Bytes<'a> {
    rest: &'a [u8],
}

impl<'a> Bytes<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }

    pub fn take(&mut self, n: usize, what: &'static str) -> Result<&'a [u8], FormatError> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(FormatError::Truncated(what))?;
        self.rest = rest;
        Ok(head)
    }

    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], FormatError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(FormatError::Truncated(what))?;
        self.rest = rest;
        Ok(*head)
    }

    pub fn u8(&mut self, what: &'static str) -> Result<u8, FormatError> {
        Ok(u8::from_le_bytes(self.array(what)?))
    }

    pub fn u16(&mut self, what: &'static str) -> Result<u16, FormatError> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    pub fn u32(&mut self, what: &'static str) -> Result<u32, FormatError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub fn u64(&mut self, what: &'static str) -> Result<u64, FormatError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// How many bytes are left.
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    /// Everything up to and excluding the next `end` byte, which is consumed.
    pub fn until(&mut self, end: u8, what: &'static str) -> Result<&'a [u8], FormatError> {
        let at = self.rest.iter().position(|b| *b == end).ok_or(FormatError::Truncated(what))?;
        let line = self.take(at, what)?;
        self.take(1, what)?;
        Ok(line)
    }
}

pub(crate) fn utf8<'a>(bytes: &'a [u8], what: &'static str) -> Result<&'a str, FormatError> {
    std::str::from_utf8(bytes).map_err(|_| FormatError::invalid(format!("{what} is not UTF-8")))
}
