//! A reader over untrusted bytes that can fail but never reach outside of them.

use super::FormatError;

#[derive(Debug, Clone)]
pub(super) struct Bytes<'a> {
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

    /// Everything up to and excluding the next `end` byte, which is consumed.
    pub fn until(&mut self, end: u8, what: &'static str) -> Result<&'a [u8], FormatError> {
        let at = self.rest.iter().position(|b| *b == end).ok_or(FormatError::Truncated(what))?;
        let line = self.take(at, what)?;
        self.take(1, what)?;
        Ok(line)
    }
}

pub(super) fn utf8<'a>(bytes: &'a [u8], what: &'static str) -> Result<&'a str, FormatError> {
    std::str::from_utf8(bytes).map_err(|_| FormatError::invalid(format!("{what} is not UTF-8")))
}
