//! The documents of an organisation, their passages, and the passages' vectors.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::source::Content;
use crate::split::{Passage, split};
use crate::{Index, KnowledgeError};

/// Who may see a document. An empty set is everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visibility {
    /// Only these teams.
    pub teams: BTreeSet<String>,
    /// Only these roles.
    pub roles: BTreeSet<String>,
}

/// Who looks. The default is somebody of no team and no role, who sees what everybody may.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Viewer {
    /// Their teams.
    pub teams: BTreeSet<String>,
    /// Their roles.
    pub roles: BTreeSet<String>,
}

impl Visibility {
    /// True for somebody who is in one of the teams and has one of the roles, where any are named.
    #[must_use]
    pub fn allows(&self, viewer: &Viewer) -> bool {
        let one =
            |named: &BTreeSet<String>, has: &BTreeSet<String>| named.is_empty() || !named.is_disjoint(has);
        one(&self.teams, &viewer.teams) && one(&self.roles, &viewer.roles)
    }
}

/// A document as it comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paper {
    /// What it is known by, such as its path. Another paper of the same name replaces it.
    pub id: String,
    /// When it was last changed, in milliseconds since 1970; whoever shows a passage says how old it is.
    pub changed_unix_ms: u64,
    /// Who may see it.
    pub visibility: Visibility,
    /// How many bytes its file has; 0 where there is none.
    pub bytes: u64,
    /// What stands in it.
    pub content: Content,
}

/// A document in a hub.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// What it is known by.
    pub id: String,
    /// Its title, or what it is known by where it has none.
    pub title: String,
    /// When it was last changed, in milliseconds since 1970.
    pub changed_unix_ms: u64,
    /// Who may see it.
    pub visibility: Visibility,
    /// How many bytes its file has; 0 where there is none.
    pub bytes: u64,
    /// All of its text.
    pub text: String,
    /// What it is cut into, in order.
    pub passages: Vec<Passage>,
    /// The vector of each passage, of length one; none where it has not been embedded yet.
    #[serde(skip)]
    pub(crate) vectors: Vec<Option<Arc<[f32]>>>,
}

/// A passage that has no vector yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacking {
    /// The name of its document.
    pub document: String,
    /// Its [`Passage::hash`].
    pub hash: [u8; 32],
    /// What is to be embedded.
    pub text: String,
}

/// What came of a paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added,
    /// It takes the place of an earlier one, with so many passages that have a vector already.
    Replaced {
        /// Passages that have not changed.
        kept: usize,
    },
    /// It is what the one before it is.
    Unchanged,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Hub {
    pub(crate) documents: BTreeMap<String, Arc<Document>>,
    /// What made the vectors, as the caller names it.
    pub(crate) embedding: String,
}

/// What [`fingerprint`] is of: a sentence in each language.
pub const FINGERPRINT_OF: [&str; 2] =
    ["Money goes back to the card within three days.", "وجه تا سه روز دیگر به کارت بازمی‌گردد."];

/// Tells one embedding from another by the vectors that it gives [`FINGERPRINT_OF`]. A name alone would not: what is
/// done with the words before and with the vectors after may change as well.
#[must_use]
pub fn fingerprint(vectors: &[Vec<f32>]) -> String {
    let bytes: Vec<u8> = vectors.iter().flatten().flat_map(|number| number.to_le_bytes()).collect();
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    hex(&digest)
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Passages that are embedded in one go.
const BATCH: usize = 64;

impl Hub {
    /// Without documents.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in a paper, in place of an earlier one of its name. Passages that were in that one keep their vectors.
    pub fn put(&mut self, paper: Paper) -> Change {
        let Paper { id, changed_unix_ms, visibility, bytes, content } = paper;
        let title = if content.title.is_empty() { id.clone() } else { content.title.clone() };
        let (text, passages) = split(&title, &content);
        let mut document =
            Document { id, title, changed_unix_ms, visibility, bytes, text, passages, vectors: vec![] };
        let before = self.documents.get(&document.id);
        let known: HashMap<&[u8; 32], &Arc<[f32]>> = before.map(|before| before.known()).unwrap_or_default();
        document.vectors =
            document.passages.iter().map(|passage| known.get(&passage.hash).copied().cloned()).collect();
        let change = match before {
            None => Change::Added,
            Some(before) if **before == document => return Change::Unchanged,
            Some(_) => Change::Replaced { kept: document.vectors.iter().flatten().count() },
        };
        self.documents.insert(document.id.clone(), Arc::new(document));
        change
    }

    /// Takes a document out, with its text and its vectors. False if there is none of that name. An index that was
    /// made before still has it.
    pub fn remove(&mut self, id: &str) -> bool {
        self.documents.remove(id).is_some()
    }

    /// The documents, by name.
    pub fn documents(&self) -> impl Iterator<Item = &Document> {
        self.documents.values().map(AsRef::as_ref)
    }

    /// The document of this name.
    #[must_use]
    pub fn document(&self, id: &str) -> Option<&Document> {
        self.documents.get(id).map(AsRef::as_ref)
    }

    /// Names what makes the vectors, such as by its [`fingerprint`]. Those that were made by another are forgotten.
    pub fn embedded_by(&mut self, embedding: &str) {
        if self.embedding == embedding {
            return;
        }
        embedding.clone_into(&mut self.embedding);
        for document in self.documents.values_mut().filter(|one| one.vectors.iter().any(Option::is_some)) {
            Arc::make_mut(document).vectors.fill(None);
        }
    }

    /// How many passages there are, and how many of them have no vector yet.
    #[must_use]
    pub fn passages(&self) -> (usize, usize) {
        let vectors = || self.documents.values().flat_map(|document| &document.vectors);
        (vectors().count(), vectors().filter(|vector| vector.is_none()).count())
    }

    /// Passages that have no vector yet, at most so many.
    #[must_use]
    pub fn lacking(&self, most: usize) -> Vec<Lacking> {
        let documents = self.documents.values();
        let lacking = documents.flat_map(|document| {
            let passages = document.passages.iter().zip(&document.vectors);
            let without = passages.filter(|(_, vector)| vector.is_none());
            without.map(move |(passage, _)| Lacking {
                document: document.id.clone(),
                hash: passage.hash,
                text: passage.in_context(&document.title),
            })
        });
        lacking.take(most).collect()
    }

    /// Gives a document's passages that have no vector those that were made from what they are, by
    /// [`Passage::hash`]. Says how many passages got one.
    ///
    /// # Errors
    /// [`KnowledgeError::Vector`] for one that is not like the others; what was given before stays.
    pub fn give(&mut self, id: &str, vectors: &ByHash) -> Result<usize, KnowledgeError> {
        let mut width = self.width();
        let Some(document) = self.documents.get_mut(id) else { return Ok(0) };
        let document = Arc::make_mut(document);
        let mut given = 0;
        for (passage, place) in document.passages.iter().zip(&mut document.vectors) {
            let Some(vector) = vectors.get(&passage.hash).filter(|_| place.is_none()) else { continue };
            let vector = unit(vector.clone())?;
            if *width.get_or_insert(vector.len()) != vector.len() {
                return Err(KnowledgeError::Vector("is not as wide as the others"));
            }
            *place = Some(vector);
            given += 1;
        }
        Ok(given)
    }

    /// Gives every passage without a vector one, by `embed`, which is asked for some at a time and gives as many
    /// vectors as it was given texts. Says how many it made; what was made before an error stays.
    ///
    /// # Errors
    /// Those of `embed`, and [`KnowledgeError::Vector`] when the vectors do not fit the passages or one another.
    pub fn embed_with<E: From<KnowledgeError>>(
        &mut self,
        mut embed: impl FnMut(&[&str]) -> Result<Vec<Vec<f32>>, E>,
    ) -> Result<usize, E> {
        let mut made = 0;
        loop {
            // Headings stand above many passages: all of these texts at once would be much more than the documents.
            let lacking = self.lacking(BATCH);
            if lacking.is_empty() {
                return Ok(made);
            }
            let vectors = embed(&lacking.iter().map(|one| one.text.as_str()).collect::<Vec<_>>())?;
            for (id, vectors) in by_document(&lacking, vectors)? {
                made += self.give(id, &vectors)?;
            }
        }
    }

    /// How wide the vectors are.
    fn width(&self) -> Option<usize> {
        let mut vectors = self.documents.values().flat_map(|document| document.vectors.iter().flatten());
        vectors.next().map(|vector| vector.len())
    }

    /// All of this, to be searched. What changes in the hub afterwards is not in it.
    ///
    /// # Errors
    /// [`KnowledgeError::Words`] when the words cannot be indexed.
    pub fn index(&self) -> Result<Index, KnowledgeError> {
        Index::of(self.documents.values())
    }
}

impl Document {
    /// How many of its passages have no vector yet.
    #[must_use]
    pub fn without_vector(&self) -> usize {
        self.vectors.iter().filter(|vector| vector.is_none()).count()
    }

    /// The vectors by what they are made from.
    fn known(&self) -> HashMap<&[u8; 32], &Arc<[f32]>> {
        let both = self.passages.iter().zip(&self.vectors);
        both.filter_map(|(passage, vector)| Some((&passage.hash, vector.as_ref()?))).collect()
    }
}

/// The vectors of a document's passages, by what they are made from.
pub type ByHash = HashMap<[u8; 32], Vec<f32>>;

/// The vectors of passages, in their order, by document and by what they are made from.
///
/// # Errors
/// [`KnowledgeError::Vector`] when there are more or less than passages.
pub fn by_document(
    lacking: &[Lacking],
    vectors: Vec<Vec<f32>>,
) -> Result<BTreeMap<&str, ByHash>, KnowledgeError> {
    if vectors.len() != lacking.len() {
        return Err(KnowledgeError::Vector("is missing, or one too many"));
    }
    let mut out: BTreeMap<&str, ByHash> = BTreeMap::new();
    for (one, vector) in lacking.iter().zip(vectors) {
        out.entry(&one.document).or_default().insert(one.hash, vector);
    }
    Ok(out)
}

/// A vector of length one in the direction of this one.
fn unit(mut vector: Vec<f32>) -> Result<Arc<[f32]>, KnowledgeError> {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if !length.is_normal() {
        return Err(KnowledgeError::Vector("has no direction"));
    }
    vector.iter_mut().for_each(|x| *x /= length);
    Ok(vector.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Part;

    fn paper(id: &str, paragraphs: &[&str]) -> Paper {
        let parts = paragraphs.iter().enumerate().flat_map(|(n, text)| {
            let heading = Part { level: 1, text: format!("Section {n}") };
            [heading, Part { level: 0, text: (*text).to_owned() }]
        });
        let content = Content { title: "Title".into(), parts: parts.collect(), ..Content::default() };
        Paper { id: id.into(), changed_unix_ms: 1, visibility: Visibility::default(), bytes: 0, content }
    }

    /// The texts that were embedded.
    fn embed(hub: &mut Hub) -> Vec<String> {
        let mut embedded = Vec::new();
        hub.embed_with(|texts| {
            embedded.extend(texts.iter().map(|text| (*text).to_owned()));
            Ok::<_, KnowledgeError>(texts.iter().map(|text| vec![text.len() as f32, 1.0]).collect())
        })
        .unwrap();
        embedded
    }

    #[test]
    fn what_has_not_changed_is_not_embedded_again() {
        let mut hub = Hub::new();
        assert_eq!(hub.put(paper("a", &["one", "two"])), Change::Added);
        assert_eq!(embed(&mut hub), ["Title › Section 0: one", "Title › Section 1: two"]);
        assert_eq!(hub.put(paper("a", &["one", "two"])), Change::Unchanged);
        assert_eq!(hub.put(paper("a", &["one", "three", "four"])), Change::Replaced { kept: 1 });
        assert_eq!(hub.passages(), (3, 2));
        assert_eq!(embed(&mut hub), ["Title › Section 1: three", "Title › Section 2: four"]);
        let hidden = Visibility { roles: ["admin".into()].into(), ..Visibility::default() };
        let moved = Paper { visibility: hidden, ..paper("a", &["one", "three", "four"]) };
        assert_eq!(hub.put(moved), Change::Replaced { kept: 3 });
        assert!(embed(&mut hub).is_empty());
        assert!(hub.remove("a") && !hub.remove("a"));
        assert_eq!(hub.passages(), (0, 0));
    }

    #[test]
    fn vectors_of_another_embedding_are_made_anew() {
        let mut hub = Hub::new();
        hub.put(paper("a", &["one", "two"]));
        let first = fingerprint(&[vec![0.5, 0.5], vec![1.0, 0.0]]);
        hub.embedded_by(&first);
        assert_eq!(embed(&mut hub).len(), 2);
        hub.embedded_by(&fingerprint(&[vec![0.5, 0.5], vec![1.0, 0.0]]));
        assert_eq!(hub.passages(), (2, 0));
        hub.embedded_by(&fingerprint(&[vec![0.5, 0.5], vec![1.0, 1e-7]]));
        assert_eq!(hub.passages(), (2, 2));
    }

    #[test]
    fn vectors_that_do_not_fit_are_refused_and_those_before_stay() {
        let mut hub = Hub::new();
        hub.put(paper("a", &["one", "two"]));
        let mut refused = |vectors: Vec<Vec<f32>>| {
            hub.embed_with(|_| Ok::<_, KnowledgeError>(vectors.clone())).unwrap_err().to_string()
        };
        assert!(refused(vec![vec![1.0]]).contains("missing"));
        assert!(refused(vec![vec![0.0, 0.0]; 2]).contains("no direction"));
        assert!(refused(vec![vec![f32::NAN, 0.0]; 2]).contains("no direction"));
        assert!(refused(vec![vec![3.0, 4.0], vec![1.0]]).contains("wide"));
        assert_eq!(hub.passages(), (2, 1));
        assert_eq!(hub.documents().next().unwrap().vectors[0].as_deref(), Some(&[0.6, 0.8][..]));
    }

    #[test]
    fn vectors_that_were_kept_elsewhere_are_given_to_the_passages_they_are_of() {
        let mut hub = Hub::new();
        hub.put(paper("a", &["one", "two"]));
        let lacking = hub.lacking(10);
        assert_eq!(lacking.iter().map(|one| one.document.as_str()).collect::<Vec<_>>(), ["a", "a"]);
        assert_eq!(hub.lacking(1), lacking[..1]);
        let kept = HashMap::from([(lacking[1].hash, vec![3.0, 4.0]), ([0; 32], vec![1.0, 0.0])]);
        assert_eq!(hub.give("b", &kept).unwrap(), 0);
        assert_eq!(hub.give("a", &kept).unwrap(), 1);
        assert_eq!(hub.give("a", &kept).unwrap(), 0, "it has one");
        assert_eq!(hub.lacking(10), lacking[..1]);
        let document = hub.document("a").unwrap();
        assert_eq!((document.without_vector(), document.vectors[1].as_deref()), (1, Some(&[0.6, 0.8][..])));
        let wide = HashMap::from([(lacking[0].hash, vec![1.0, 0.0, 0.0])]);
        assert!(hub.give("a", &wide).unwrap_err().to_string().contains("wide"));
    }

    #[test]
    fn who_may_see_is_by_team_and_by_role() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let viewer = Viewer { teams: set(&["sales"]), roles: set(&["agent"]) };
        let allows = |teams: &[&str], roles: &[&str]| {
            Visibility { teams: set(teams), roles: set(roles) }.allows(&viewer)
        };
        assert!(
            allows(&[], &[]) && allows(&["sales", "crt"], &[]) && allows(&["sales"], &["agent", "admin"])
        );
        assert!(!allows(&["crt"], &[]) && !allows(&["sales"], &["admin"]) && !allows(&["crt"], &["agent"]));
        assert!(!Visibility { teams: set(&["crt"]), roles: set(&[]) }.allows(&Viewer::default()));
    }
}
