//! What an organisation has written down: its documents, and the vectors of their passages.

use std::collections::BTreeSet;

use sqlx::FromRow;

use crate::store::{clean, from_json, read, signed, to_json, transaction, unsigned};
use crate::{Store, StoreError};

/// A document, without what stands in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentRow {
    /// What it is known by.
    pub name: String,
    /// Somebody uploaded it; otherwise it is a file of a folder.
    pub uploaded: bool,
    /// Its title.
    pub title: String,
    /// When it was last changed, in milliseconds since 1970 (UTC).
    pub changed_unix_ms: u64,
    /// How many bytes its file has.
    pub bytes: u64,
    /// Only these teams may see it; empty: everybody.
    pub teams: BTreeSet<String>,
    /// Only these roles may see it; empty: everybody.
    pub roles: BTreeSet<String>,
    /// SHA-256 of its content.
    pub hash: [u8; 32],
    /// How many contents it has had. The store counts: what is given is not looked at.
    pub version: u64,
    /// Why it cannot be read, or what of it cannot.
    pub problem: Option<String>,
}

/// The vector of a passage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddingRow {
    /// The name of the passage's document.
    pub document: String,
    /// SHA-256 of what the vector is made from.
    pub passage: [u8; 32],
    /// What made it.
    pub model: String,
    /// The vector itself.
    pub vector: Vec<u8>,
}

#[derive(FromRow)]
struct RawDocument {
    name: String,
    uploaded: bool,
    title: String,
    changed_at: i64,
    bytes: i64,
    teams: String,
    roles: String,
    hash: Vec<u8>,
    version: i64,
    problem: Option<String>,
}

#[derive(FromRow)]
struct RawEmbedding {
    document: String,
    passage: Vec<u8>,
    model: String,
    vector: Vec<u8>,
}

impl Store {
    /// All documents, without what stands in them.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn documents(&self) -> Result<Vec<DocumentRow>, StoreError> {
        let rows: Vec<RawDocument> = read!(self, db => {
            sqlx::query_as(
                "SELECT name, uploaded, title, changed_at, bytes, teams, roles, hash, version, problem \
                 FROM documents ORDER BY name",
            )
            .fetch_all(db)
            .await?
        });
        rows.into_iter().map(DocumentRow::try_from).collect()
    }

    /// What stands in a document, as it was given; empty where nothing could be read, `None` if there is no document of
    /// this name.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn document_content(&self, name: &str) -> Result<Option<String>, StoreError> {
        let content: Option<String> = read!(self, db => {
            sqlx::query_scalar("SELECT content FROM documents WHERE name = $1")
                .bind(clean(name))
                .fetch_optional(db)
                .await?
        });
        Ok(content)
    }

    /// Keeps a document and what stands in it, in place of an earlier one of its name. Of that one's vectors those stay
    /// that are of `passages`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn put_document(
        &self,
        row: &DocumentRow,
        content: &str,
        passages: &BTreeSet<[u8; 32]>,
    ) -> Result<(), StoreError> {
        let (changed_at, bytes) = (signed(row.changed_unix_ms, "time")?, signed(row.bytes, "bytes")?);
        let (teams, roles) = (to_json(&row.teams)?, to_json(&row.roles)?);
        let replaced = transaction!(self, tx => {
            let before: Option<i64> = sqlx::query_scalar("SELECT version FROM documents WHERE name = $1")
                .bind(clean(&row.name))
                .fetch_optional(&mut **tx)
                .await?;
            sqlx::query(
                "INSERT INTO documents \
                 (name, uploaded, title, changed_at, bytes, teams, roles, hash, version, problem, content) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $10) \
                 ON CONFLICT (name) DO UPDATE SET uploaded = excluded.uploaded, title = excluded.title, \
                 changed_at = excluded.changed_at, bytes = excluded.bytes, teams = excluded.teams, \
                 roles = excluded.roles, hash = excluded.hash, \
                 version = documents.version + CASE WHEN documents.hash = excluded.hash THEN 0 ELSE 1 END, \
                 problem = excluded.problem, content = excluded.content",
            )
            .bind(clean(&row.name))
            .bind(row.uploaded)
            .bind(clean(&row.title))
            .bind(changed_at)
            .bind(bytes)
            .bind(clean(&teams))
            .bind(clean(&roles))
            .bind(row.hash.as_slice())
            .bind(row.problem.as_deref().map(clean))
            .bind(clean(content))
            .execute(&mut **tx)
            .await?;
            let known: Vec<Vec<u8>> = sqlx::query_scalar("SELECT passage FROM embeddings WHERE document = $1")
                .bind(clean(&row.name))
                .fetch_all(&mut **tx)
                .await?;
            let is_kept = |one: &[u8]| <&[u8; 32]>::try_from(one).is_ok_and(|hash| passages.contains(hash));
            for gone in known.iter().filter(|one| !is_kept(one.as_slice())) {
                sqlx::query("DELETE FROM embeddings WHERE document = $1 AND passage = $2")
                    .bind(clean(&row.name))
                    .bind(gone.as_slice())
                    .execute(&mut **tx)
                    .await?;
            }
            before.is_some()
        });
        if replaced {
            self.forget_old_rows();
        }
        Ok(())
    }

    /// Says anew who may see a document; nothing happens if there is none of this name.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn show_document_to(
        &self,
        name: &str,
        teams: &BTreeSet<String>,
        roles: &BTreeSet<String>,
    ) -> Result<(), StoreError> {
        let (teams, roles) = (to_json(teams)?, to_json(roles)?);
        transaction!(self, tx => {
            sqlx::query("UPDATE documents SET teams = $1, roles = $2 WHERE name = $3")
                .bind(clean(&teams))
                .bind(clean(&roles))
                .bind(clean(name))
                .execute(&mut **tx)
                .await?;
        });
        Ok(())
    }

    /// Removes a document with its vectors. False if there is none of this name.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn remove_document(&self, name: &str) -> Result<bool, StoreError> {
        let removed = transaction!(self, tx => {
            sqlx::query("DELETE FROM documents WHERE name = $1")
                .bind(clean(name))
                .execute(&mut **tx)
                .await?
                .rows_affected()
        });
        if removed > 0 {
            self.forget_old_rows();
        }
        Ok(removed > 0)
    }

    /// The vectors of a document's passages.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn embeddings(&self, document: &str) -> Result<Vec<EmbeddingRow>, StoreError> {
        let rows: Vec<RawEmbedding> = read!(self, db => {
            sqlx::query_as(
                "SELECT document, passage, model, vector FROM embeddings WHERE document = $1 ORDER BY passage",
            )
            .bind(clean(document))
            .fetch_all(db)
            .await?
        });
        rows.into_iter().map(EmbeddingRow::try_from).collect()
    }

    /// Keeps vectors, all or none, in place of earlier ones of the same passages. Those of documents that are gone are
    /// left out.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn put_embeddings(&self, rows: &[EmbeddingRow]) -> Result<(), StoreError> {
        transaction!(self, tx => {
            let names: BTreeSet<&str> = rows.iter().map(|row| row.document.as_str()).collect();
            let mut there = BTreeSet::new();
            for name in names {
                let found: Option<i64> = sqlx::query_scalar("SELECT version FROM documents WHERE name = $1")
                    .bind(clean(name))
                    .fetch_optional(&mut **tx)
                    .await?;
                if found.is_some() {
                    there.insert(name);
                }
            }
            for row in rows.iter().filter(|row| there.contains(row.document.as_str())) {
                sqlx::query(
                    "INSERT INTO embeddings (document, passage, model, vector) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (document, passage) DO UPDATE SET model = excluded.model, \
                     vector = excluded.vector",
                )
                .bind(clean(&row.document))
                .bind(row.passage.as_slice())
                .bind(clean(&row.model))
                .bind(row.vector.as_slice())
                .execute(&mut **tx)
                .await?;
            }
        });
        Ok(())
    }

    /// Removes the vectors that something other than `model` made, document by document, and says how many there were.
    ///
    /// # Errors
    /// When the database refuses. What was removed before stays so.
    pub async fn keep_embeddings_of(&self, model: &str) -> Result<u64, StoreError> {
        let model = clean(model);
        let documents: Vec<String> = read!(self, db => {
            sqlx::query_scalar("SELECT DISTINCT document FROM embeddings WHERE model <> $1")
                .bind(&model)
                .fetch_all(db)
                .await?
        });
        let mut removed = 0;
        for document in documents {
            // One at a time: others have to write meanwhile.
            removed += transaction!(self, tx => {
                sqlx::query("DELETE FROM embeddings WHERE document = $1 AND model <> $2")
                    .bind(&document)
                    .bind(&model)
                    .execute(&mut **tx)
                    .await?
                    .rows_affected()
            });
        }
        Ok(removed)
    }
}

/// SHA-256 as it is kept.
fn hash(bytes: Vec<u8>) -> Result<[u8; 32], StoreError> {
    bytes.try_into().map_err(|_| StoreError::Invalid("a hash is not 32 bytes long".to_owned()))
}

impl TryFrom<RawDocument> for DocumentRow {
    type Error = StoreError;
    fn try_from(raw: RawDocument) -> Result<Self, StoreError> {
        Ok(Self {
            name: raw.name,
            uploaded: raw.uploaded,
            title: raw.title,
            changed_unix_ms: unsigned(raw.changed_at, "time")?,
            bytes: unsigned(raw.bytes, "bytes")?,
            teams: from_json(&raw.teams, "teams")?,
            roles: from_json(&raw.roles, "roles")?,
            hash: hash(raw.hash)?,
            version: unsigned(raw.version, "version")?,
            problem: raw.problem,
        })
    }
}

impl TryFrom<RawEmbedding> for EmbeddingRow {
    type Error = StoreError;
    fn try_from(raw: RawEmbedding) -> Result<Self, StoreError> {
        let RawEmbedding { document, passage, model, vector } = raw;
        Ok(Self { document, passage: hash(passage)?, model, vector })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Db;

    #[tokio::test]
    async fn vectors_are_removed_without_keeping_others_from_writing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("sqlite:{}", folder.path().join("a.db").display())).await.unwrap();
        let documents = ["a.md", "b.md", "c.md"];
        for name in documents {
            let row = DocumentRow {
                name: name.to_owned(),
                uploaded: true,
                title: String::new(),
                changed_unix_ms: 0,
                bytes: 0,
                teams: BTreeSet::new(),
                roles: BTreeSet::new(),
                hash: [0; 32],
                version: 1,
                problem: None,
            };
            store.put_document(&row, "", &BTreeSet::new()).await.unwrap();
            let (document, model) = (name.to_owned(), "before".to_owned());
            let vector = EmbeddingRow { document, passage: [0; 32], model, vector: vec![0] };
            store.put_embeddings(&[vector]).await.unwrap();
        }
        let Db::Sqlite { write, .. } = &store.db else { panic!("SQLite") };
        let removing = store.clone();
        let removed = tokio::spawn(async move { removing.keep_embeddings_of("now").await.unwrap() });
        // Whoever waits for the connection gets it in turn.
        let mut seen = BTreeSet::from([3]);
        while !seen.contains(&0) {
            let mut other = write.acquire().await.unwrap();
            let left: i64 =
                sqlx::query_scalar("SELECT count(*) FROM embeddings").fetch_one(&mut *other).await.unwrap();
            seen.insert(left);
        }
        assert_eq!(seen, BTreeSet::from([0, 1, 2, 3]));
        assert_eq!(removed.await.unwrap(), 3);
        store.close().await;
    }
}
