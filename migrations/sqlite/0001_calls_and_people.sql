-- Times are milliseconds since 1970 (UTC) where the name ends in _at, milliseconds on the call's clock where
-- it ends in _ms. Ids are UUIDs of 16 bytes; a call's id is version 7, so that ids sort by start.
CREATE TABLE calls (
    id          BLOB    NOT NULL PRIMARY KEY,
    external_id TEXT    NOT NULL,
    source      TEXT    NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('live', 'ended')),
    started_at  INTEGER NOT NULL,
    participants TEXT   NOT NULL,              -- JSON array
    language    TEXT,
    recording   TEXT,                          -- path below the data folder
    last_seq    INTEGER NOT NULL,
    last_ms     INTEGER NOT NULL,
    -- The columns below are filled when the call ends.
    ended       TEXT,
    duration_ms INTEGER,
    utterances  INTEGER NOT NULL,
    last_words  TEXT,                          -- JSON object
    CHECK ((state = 'ended') = (ended IS NOT NULL AND duration_ms IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX calls_by_state ON calls (state, id);

-- The log: one row an event (JSON), never changed.
CREATE TABLE events (
    call_id BLOB    NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    seq     INTEGER NOT NULL CHECK (seq > 0),
    event   TEXT    NOT NULL,
    PRIMARY KEY (call_id, seq)
) STRICT;

CREATE TABLE users (
    id            BLOB    NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL UNIQUE,
    password_hash TEXT    NOT NULL,            -- PHC string
    role          TEXT    NOT NULL CHECK (role IN ('agent', 'supervisor', 'admin')),
    created_at    INTEGER NOT NULL,
    disabled      INTEGER NOT NULL CHECK (disabled IN (0, 1))
) STRICT, WITHOUT ROWID;

-- Only hashes of tokens are kept: who reads the database cannot sign in with what they find.
CREATE TABLE sessions (
    token_hash BLOB    NOT NULL PRIMARY KEY,   -- SHA-256
    user_id    BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE api_keys (
    id         BLOB    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    key_hash   BLOB    NOT NULL UNIQUE,        -- SHA-256
    scopes     TEXT    NOT NULL,               -- JSON array
    created_at INTEGER NOT NULL,
    used_at    INTEGER,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;
