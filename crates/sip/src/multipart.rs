//! Bodies of several parts (RFC 2046 section 5.1, RFC 5621): how SIPREC carries the session description and
//! the recording metadata in one INVITE.
//!
//! Lenient where vendors are: line feeds alone, a preamble, an epilogue, trailing space on a boundary line,
//! a missing closing boundary. Bounded: a body has at most [`MAX_PARTS`] parts, and nested multiparts are
//! opened to a depth of [`MAX_DEPTH`].

use thiserror::Error;

/// Parts read at most, nested ones included.
pub const MAX_PARTS: usize = 32;
/// Multiparts inside multiparts that are opened.
pub const MAX_DEPTH: usize = 4;
/// RFC 2046: a boundary has 1 to 70 characters.
const MAX_BOUNDARY: usize = 70;
/// Bytes of one part's headers read at most.
const MAX_PART_HEAD: usize = 8 * 1024;

/// Why a body was refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum MultipartError {
    /// The content type names no usable boundary.
    #[error("multipart without a boundary")]
    NoBoundary,
    /// The boundary never occurs in the body.
    #[error("multipart without parts")]
    NoParts,
    /// More parts, deeper nesting or longer headers than are read.
    #[error("multipart too large")]
    TooLarge,
}

/// A media type with its parameters: `multipart/mixed;boundary=x`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentType {
    /// `type/subtype` in lower case.
    pub essence: String,
    /// Parameters in order, names in lower case, values without quotes.
    pub parameters: Vec<(String, String)>,
}

impl ContentType {
    /// Reads a `Content-Type` value. What cannot be read is left out.
    #[must_use]
    pub fn parse(value: &str) -> Self {
        let mut pieces = split_unquoted(value, ';').into_iter();
        let essence = pieces.next().unwrap_or_default().to_ascii_lowercase();
        // A comment or space around the slash is allowed by the grammar of RFC 3261.
        let essence = essence.split_whitespace().collect();
        let parameters = pieces
            .filter_map(|piece| {
                piece.split_once('=').map(|(n, v)| (n.trim().to_ascii_lowercase(), unquote(v)))
            })
            .collect();
        Self { essence, parameters }
    }

    /// A parameter's value.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// One part of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// What it is; `text/plain` when the part does not say (RFC 2046 section 5.1).
    pub content_type: ContentType,
    /// `Content-Disposition` without parameters, in lower case; empty when absent.
    pub disposition: String,
    /// Whether the disposition says `handling=optional`.
    pub optional: bool,
    /// The content.
    pub body: Vec<u8>,
}

/// The parts of a message body: those of a multipart, or the one body there is.
///
/// # Errors
/// See [`MultipartError`].
pub fn parts(
    content_type: &str,
    disposition: Option<&str>,
    body: &[u8],
) -> Result<Vec<Part>, MultipartError> {
    let mut found = Vec::new();
    let whole = part(content_type, disposition.unwrap_or_default(), body);
    open(whole, 0, &mut found)?;
    Ok(found)
}

fn open(part: Part, depth: usize, found: &mut Vec<Part>) -> Result<(), MultipartError> {
    if !part.content_type.essence.starts_with("multipart/") {
        if found.len() == MAX_PARTS {
            return Err(MultipartError::TooLarge);
        }
        found.push(part);
        return Ok(());
    }
    if depth == MAX_DEPTH {
        return Err(MultipartError::TooLarge);
    }
    let boundary = part
        .content_type
        .parameter("boundary")
        .filter(|b| (1..=MAX_BOUNDARY).contains(&b.len()) && b.bytes().all(|c| (0x20..0x7f).contains(&c)))
        .ok_or(MultipartError::NoBoundary)?;
    let mut any = false;
    for section in sections(&part.body, boundary.as_bytes()) {
        any = true;
        open(read_part(section)?, depth + 1, found)?;
    }
    if any { Ok(()) } else { Err(MultipartError::NoParts) }
}

/// The bytes between boundary lines.
fn sections<'a>(body: &'a [u8], boundary: &[u8]) -> Vec<&'a [u8]> {
    let mut found = Vec::new();
    let mut start = None;
    let mut at = 0;
    while at < body.len() {
        let end = body[at..].iter().position(|b| *b == b'\n').map_or(body.len(), |n| at + n + 1);
        let line = body[at..end].trim_ascii_end();
        if let Some(rest) = line.strip_prefix(b"--").and_then(|l| l.strip_prefix(boundary))
            && (rest.is_empty() || rest == b"--")
        {
            if let Some(start) = start {
                found.push(without_line_end(&body[start..at.max(start)]));
            }
            if rest == b"--" {
                return found;
            }
            if found.len() > MAX_PARTS {
                return found;
            }
            start = Some(end);
        }
        at = end;
    }
    // The closing boundary is missing: take what there is, unless nothing follows.
    if let Some(start) = start.filter(|start| *start < body.len()) {
        found.push(&body[start..]);
    }
    found
}

/// The line end before a boundary belongs to the boundary.
fn without_line_end(section: &[u8]) -> &[u8] {
    let section = section.strip_suffix(b"\n").unwrap_or(section);
    section.strip_suffix(b"\r").unwrap_or(section)
}

fn read_part(section: &[u8]) -> Result<Part, MultipartError> {
    let mut head: Vec<String> = Vec::new();
    let mut at = 0;
    loop {
        let end = section[at..].iter().position(|b| *b == b'\n').map_or(section.len(), |n| at + n + 1);
        let line = section[at..end].trim_ascii_end();
        if line.is_empty() || at == section.len() {
            at = end;
            break;
        }
        if end > MAX_PART_HEAD {
            return Err(MultipartError::TooLarge);
        }
        let text = String::from_utf8_lossy(line).into_owned();
        match head.last_mut().filter(|_| text.starts_with([' ', '\t'])) {
            Some(folded) => folded.push_str(&text),
            None => head.push(text),
        }
        at = end;
    }
    let header = |name: &str| {
        head.iter()
            .filter_map(|line| line.split_once(':'))
            .find(|(n, _)| n.trim().eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    };
    let content_type = header("content-type").or_else(|| header("c")).unwrap_or("text/plain");
    Ok(part(content_type, header("content-disposition").unwrap_or_default(), &section[at..]))
}

fn part(content_type: &str, disposition: &str, body: &[u8]) -> Part {
    let disposition = ContentType::parse(disposition);
    Part {
        content_type: ContentType::parse(content_type),
        optional: disposition.parameter("handling").is_some_and(|h| h.eq_ignore_ascii_case("optional")),
        disposition: disposition.essence,
        body: body.to_vec(),
    }
}

/// Writes parts as a `multipart/mixed` body with `boundary`, which must not occur in them.
#[must_use]
pub fn write(boundary: &str, parts: &[(&str, Option<&str>, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (content_type, disposition, body) in parts {
        out.extend_from_slice(format!("--{boundary}\r\nContent-Type: {content_type}\r\n").as_bytes());
        if let Some(disposition) = disposition {
            out.extend_from_slice(format!("Content-Disposition: {disposition}\r\n").as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(body);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    out
}

/// Splits at `separator` outside quoted strings, trims the pieces and drops empty ones.
pub(crate) fn split_unquoted(value: &str, separator: char) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut quoted, mut escaped, mut start) = (false, false, 0);
    for (at, c) in value.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == separator && !quoted => {
                pieces.push(&value[start..at]);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    pieces.push(&value[start..]);
    pieces.into_iter().map(str::trim).filter(|piece| !piece.is_empty()).collect()
}

/// A parameter's value without its quotes and escapes.
pub(crate) fn unquote(value: &str) -> String {
    let value = value.trim();
    let Some(inner) = value.strip_prefix('"').map(|v| v.strip_suffix('"').unwrap_or(v)) else {
        return value.to_owned();
    };
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kinds(parts: &[Part]) -> Vec<&str> {
        parts.iter().map(|part| part.content_type.essence.as_str()).collect()
    }

    #[test]
    fn preamble_epilogue_quotes_folding_and_other_parts() {
        let body = b"preamble\r\n--a b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n--a b  \r\n\
            content-type:\r\n  application/rs-metadata+xml\r\nContent-Disposition: recording-session; handling=optional\r\n\r\n<x/>\r\n\
            --a b\r\n\r\nplain\r\n--a b--\r\nepilogue\r\n--a b\r\n";
        let parts = parts("Multipart/Mixed ; charset=x; Boundary=\"a b\"", None, body).unwrap();
        assert_eq!(kinds(&parts), ["application/sdp", "application/rs-metadata+xml", "text/plain"]);
        assert_eq!(parts[0].body, b"v=0\r\n");
        assert_eq!((parts[1].disposition.as_str(), parts[1].optional), ("recording-session", true));
        assert_eq!(parts[1].body, b"<x/>");
        assert_eq!(parts[2].body, b"plain");
    }

    #[test]
    fn bare_line_feeds_and_a_missing_end_are_read() {
        let parts = parts(
            "multipart/mixed;boundary=unique-boundary-1",
            None,
            b"\n--unique-boundary-1\nContent-Type: application/sdp\n\nv=0\nm=x\n\n--unique-boundary-1\nContent-Type: a/b\n\nrest",
        )
        .unwrap();
        assert_eq!(kinds(&parts), ["application/sdp", "a/b"]);
        assert_eq!(parts[0].body, b"v=0\nm=x\n");
        assert_eq!(parts[1].body, b"rest");
    }

    #[test]
    fn a_boundary_that_begins_another_line_is_no_boundary() {
        let parts = parts("multipart/mixed;boundary=b", None, b"--b\r\n\r\n--bb\r\n--b-\r\n--b--").unwrap();
        assert_eq!(parts[0].body, b"--bb\r\n--b-");
    }

    #[test]
    fn a_body_that_is_not_multipart_is_its_own_part() {
        let parts = parts("application/sdp", None, b"v=0").unwrap();
        assert_eq!(kinds(&parts), ["application/sdp"]);
    }

    #[test]
    fn limits_and_missing_boundaries_are_errors() {
        assert_eq!(parts("multipart/mixed", None, b"--\r\n"), Err(MultipartError::NoBoundary));
        assert_eq!(parts("multipart/mixed;boundary=\"\"", None, b"--\r\n"), Err(MultipartError::NoBoundary));
        assert_eq!(parts("multipart/mixed;boundary=x", None, b"nothing"), Err(MultipartError::NoParts));
        let many = "--x\r\n\r\na\r\n".repeat(MAX_PARTS + 1);
        assert_eq!(parts("multipart/mixed;boundary=x", None, many.as_bytes()), Err(MultipartError::TooLarge));
        let mut nested = b"deep".to_vec();
        for depth in 0..=MAX_DEPTH {
            let kind =
                if depth == 0 { "a/b".into() } else { format!("multipart/mixed;boundary=b{}", depth - 1) };
            nested = write(&format!("b{depth}"), &[(&kind, None, &nested)]);
        }
        let outer = format!("multipart/mixed;boundary=b{MAX_DEPTH}");
        assert_eq!(parts(&outer, None, &nested), Err(MultipartError::TooLarge));
    }

    proptest! {
        #[test]
        fn never_panics(content_type in "[ -~]{0,60}", body in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parts(&content_type, None, &body);
            let _ = parts("multipart/mixed;boundary=-", None, &body);
        }

        #[test]
        fn what_is_written_is_read_back(bodies in proptest::collection::vec("[a-z\r\n ]{0,50}", 1..6)) {
            let written: Vec<_> = bodies.iter().map(|b| ("a/b", Some("session"), b.as_bytes())).collect();
            let read = parts("multipart/mixed;boundary=\"0-Z\"", None, &write("0-Z", &written)).unwrap();
            let read: Vec<_> = read.into_iter().map(|part| part.body).collect();
            let bodies: Vec<_> = bodies.into_iter().map(String::into_bytes).collect();
            prop_assert_eq!(read, bodies);
        }
    }
}
