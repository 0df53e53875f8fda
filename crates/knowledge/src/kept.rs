//! A hub in a file, so that a restart embeds nothing again.
//!
//! Little-endian: `SoKn`, the version (u32), the length of what follows (u64), the documents as JSON, then for every
//! passage in order a byte that says whether it has a vector, and the vector (f32), and last the SHA-256 of all of it.
//! What is removed from a hub is not in the next file.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::KnowledgeError;
use crate::hub::{Document, Hub};

const MAGIC: &[u8; 4] = b"SoKn";
/// Another one whenever the form changes, or what is read of documents: they are then read anew.
const VERSION: u32 = 3;
/// Bytes of a file that are read: some two million passages.
const MAX_FILE: u64 = 4 << 30;
/// Numbers of a vector.
const MAX_WIDTH: usize = 8_192;

#[derive(Serialize)]
struct Written<'a> {
    embedding: &'a str,
    width: usize,
    documents: Vec<&'a Document>,
}

#[derive(Deserialize)]
struct Read {
    embedding: String,
    width: usize,
    documents: Vec<Document>,
}

impl Hub {
    /// Writes all of this to a file, in place of what was there.
    ///
    /// # Errors
    /// [`KnowledgeError::Io`] when it cannot be written; what was there before is then still there.
    pub fn save(&self, path: &Path) -> Result<(), KnowledgeError> {
        let documents: Vec<&Document> = self.documents().collect();
        let width = documents.iter().flat_map(|document| document.vectors.iter().flatten()).next();
        let width = width.map_or(0, |vector| vector.len());
        let head = serde_json::to_vec(&Written { embedding: &self.embedding, width, documents })
            .map_err(|error| KnowledgeError::Kept(error.to_string()))?;
        let beside = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let part = NamedTempFile::new_in(beside.unwrap_or(Path::new(".")))?;
        let mut file = Summed { file: BufWriter::new(part), sum: Sha256::new() };
        file.put(MAGIC)?;
        file.put(&VERSION.to_le_bytes())?;
        file.put(&(head.len() as u64).to_le_bytes())?;
        file.put(&head)?;
        for vector in self.documents().flat_map(|document| &document.vectors) {
            file.put(&[u8::from(vector.is_some())])?;
            if let Some(vector) = vector {
                file.put(&vector.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>())?;
            }
        }
        let Summed { mut file, sum } = file;
        file.write_all(&sum.finalize())?;
        let part = file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        part.as_file().sync_all()?;
        part.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    /// Takes up what was saved.
    ///
    /// # Errors
    /// [`KnowledgeError::Io`] when there is no such file, [`KnowledgeError::Version`] when another version of this
    /// program wrote it, [`KnowledgeError::Kept`] when it is damaged or something else.
    pub fn load(path: &Path) -> Result<Self, KnowledgeError> {
        let size = fs::metadata(path)?.len();
        if size > MAX_FILE {
            return Err(KnowledgeError::TooLarge { what: "a kept hub", most: MAX_FILE, unit: "bytes" });
        }
        parse(&fs::read(path)?)
    }
}

/// What is written goes into the sum as well.
struct Summed {
    file: BufWriter<NamedTempFile>,
    sum: Sha256,
}

impl Summed {
    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.sum.update(bytes);
        self.file.write_all(bytes)
    }
}

fn damaged(why: &str) -> KnowledgeError {
    KnowledgeError::Kept(why.to_owned())
}

fn parse(bytes: &[u8]) -> Result<Hub, KnowledgeError> {
    let (body, sum) = bytes.split_last_chunk::<32>().ok_or_else(|| damaged("it is too short"))?;
    let rest = body.strip_prefix(MAGIC).ok_or_else(|| damaged("it is no hub"))?;
    let (version, rest) = rest.split_first_chunk::<4>().ok_or_else(|| damaged("it is too short"))?;
    if u32::from_le_bytes(*version) != VERSION {
        return Err(KnowledgeError::Version);
    }
    let digest: [u8; 32] = Sha256::digest(body).into();
    if digest != *sum {
        return Err(damaged("its checksum is wrong"));
    }
    let (length, rest) = rest.split_first_chunk::<8>().ok_or_else(|| damaged("it is too short"))?;
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let (head, mut rest) = rest.split_at_checked(length).ok_or_else(|| damaged("it is too short"))?;
    let read: Read = serde_json::from_slice(head).map_err(|error| damaged(&error.to_string()))?;
    if read.width > MAX_WIDTH {
        return Err(damaged("its vectors are too wide"));
    }
    let mut hub = Hub { embedding: read.embedding, ..Hub::new() };
    for mut document in read.documents {
        for passage in &document.passages {
            if document.text.get(passage.range.clone()) != Some(passage.text.as_str()) {
                return Err(damaged("a passage is not in its document"));
            }
            let (has, after) = rest.split_first().ok_or_else(|| damaged("vectors are missing"))?;
            rest = after;
            let mut vector = None;
            if *has == 1 {
                let (numbers, after) =
                    rest.split_at_checked(read.width * 4).ok_or_else(|| damaged("vectors are missing"))?;
                rest = after;
                let numbers = numbers.as_chunks().0.iter().map(|number| f32::from_le_bytes(*number));
                vector = Some(numbers.collect());
            }
            document.vectors.push(vector);
        }
        hub.documents.insert(document.id.clone(), Arc::new(document));
    }
    if rest.is_empty() { Ok(hub) } else { Err(damaged("something follows")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Content;
    use crate::{Paper, Visibility};

    fn hub() -> Hub {
        let mut hub = Hub::new();
        hub.embedded_by("e5");
        for id in ["a", "b"] {
            let visibility = Visibility { teams: ["crt".to_owned()].into(), ..Visibility::default() };
            let content = Content::plain(id, "بازگشت وجه takes three days");
            hub.put(Paper { id: id.into(), changed_unix_ms: 7, visibility, bytes: 9, content });
        }
        hub.embed_with(|texts| Ok::<_, KnowledgeError>(vec![vec![3.0, 4.0]; texts.len()])).unwrap();
        hub.put(Paper {
            id: "c".into(),
            changed_unix_ms: 8,
            visibility: Visibility::default(),
            bytes: 0,
            content: Content::plain("", "not embedded"),
        });
        hub
    }

    fn saved() -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.kept");
        hub().save(&path).unwrap();
        fs::read(&path).unwrap()
    }

    #[test]
    fn a_hub_comes_back_as_it_was_and_what_was_removed_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.kept");
        let beside = folder.path().join("hub.part");
        fs::write(&beside, "of somebody else").unwrap();
        let mut hub = hub();
        hub.save(&path).unwrap();
        let mut back = Hub::load(&path).unwrap();
        assert_eq!(back.documents, hub.documents);
        back.embedded_by("e5");
        assert_eq!(back.passages(), (3, 1));
        back.embedded_by("another");
        assert_eq!(back.passages(), (3, 3));
        assert_eq!(fs::read(&beside).unwrap(), b"of somebody else");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        for id in ["a", "b"] {
            hub.remove(id);
        }
        hub.save(&path).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(10).any(|window| window == b"three days"));
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let bytes = saved();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(parse(&damaged).is_err(), "byte {at}");
            assert!(parse(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn what_somebody_wrote_on_purpose_is_refused_or_read() {
        let bytes = saved();
        let body = &bytes[..bytes.len() - 32];
        let summed = |body: &[u8]| {
            let sum: [u8; 32] = Sha256::digest(body).into();
            parse(&[body, &sum].concat())
        };
        assert!(summed(body).is_ok());
        for at in 0..body.len() {
            for bits in [1, 0x80, 0xff] {
                let mut other = body.to_vec();
                other[at] ^= bits;
                let _ = summed(&other).map(|hub| assert!(hub.passages().0 <= 3, "byte {at}"));
            }
            assert!(summed(&body[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn another_version_is_told_from_what_is_no_hub() {
        let mut bytes = saved();
        bytes[4] ^= 1;
        assert!(matches!(parse(&bytes), Err(KnowledgeError::Version)));
        bytes[0] ^= 1;
        assert!(matches!(parse(&bytes), Err(KnowledgeError::Kept(_))));
    }
}
