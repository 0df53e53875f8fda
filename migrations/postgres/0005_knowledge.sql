-- What is written down: documents of folders, and those that somebody uploaded. Their content is as it was read, without
-- how it is cut into passages: that follows from it.
CREATE TABLE documents (
    name       TEXT    NOT NULL PRIMARY KEY,
    uploaded   BOOLEAN NOT NULL,
    title      TEXT    NOT NULL,
    changed_at BIGINT  NOT NULL,
    bytes      BIGINT  NOT NULL,
    teams      TEXT    NOT NULL,                -- JSON array of those who may see it; empty: everybody
    roles      TEXT    NOT NULL,                -- JSON array, likewise
    hash       BYTEA   NOT NULL,                -- SHA-256 of the content
    version    BIGINT  NOT NULL,                -- how many contents it has had
    problem    TEXT,
    content    TEXT    NOT NULL                 -- JSON object; empty where nothing could be read
);

-- The vectors of documents' passages.
CREATE TABLE embeddings (
    document TEXT  NOT NULL REFERENCES documents (name) ON DELETE CASCADE,
    passage  BYTEA NOT NULL,                    -- SHA-256 of what the vector is made from
    model    TEXT  NOT NULL,                    -- what made it
    vector   BYTEA NOT NULL,                    -- 32-bit floats, little-endian
    PRIMARY KEY (document, passage)
);
