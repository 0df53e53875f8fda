-- Times are milliseconds since 1970 (UTC) where the name ends in _at, milliseconds on the call's clock where
-- it ends in _ms. A call's id is a UUID version 7, so that ids sort by start.
CREATE TABLE calls (
    id          UUID   NOT NULL PRIMARY KEY,
    external_id TEXT   NOT NULL,
    source      TEXT   NOT NULL,
    state       TEXT   NOT NULL CHECK (state IN ('live', 'ended')),
    started_at  BIGINT NOT NULL,
    participants TEXT  NOT NULL,               -- JSON array
    language    TEXT,
    recording   TEXT,                          -- path below the data folder
    last_seq    BIGINT NOT NULL,
    last_ms     BIGINT NOT NULL,
    -- The columns below are filled when the call ends.
    ended       TEXT,
    duration_ms BIGINT,
    utterances  BIGINT NOT NULL,
    last_words  TEXT,                          -- JSON object
    CHECK ((state = 'ended') = (ended IS NOT NULL AND duration_ms IS NOT NULL))
);

CREATE INDEX calls_by_state ON calls (state, id);

-- The log: one row an event (JSON), never changed.
-- It is TEXT because JSONB refuses the character U+0000, which a hostile peer may send in a name.
CREATE TABLE events (
    call_id UUID   NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    seq     BIGINT NOT NULL CHECK (seq > 0),
    event   TEXT   NOT NULL,
    PRIMARY KEY (call_id, seq)
);

CREATE TABLE users (
    id            UUID    NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL UNIQUE,
    password_hash TEXT    NOT NULL,            -- PHC string
    role          TEXT    NOT NULL CHECK (role IN ('agent', 'supervisor', 'admin')),
    created_at    BIGINT  NOT NULL,
    disabled      BOOLEAN NOT NULL
);

-- Only hashes of tokens are kept: who reads the database cannot sign in with what they find.
CREATE TABLE sessions (
    token_hash BYTEA  NOT NULL PRIMARY KEY,    -- SHA-256
    user_id    UUID   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE api_keys (
    id         UUID   NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL,
    key_hash   BYTEA  NOT NULL UNIQUE,         -- SHA-256
    scopes     TEXT   NOT NULL,                -- JSON array
    created_at BIGINT NOT NULL,
    used_at    BIGINT,
    revoked_at BIGINT
);
