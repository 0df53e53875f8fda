-- How a call came out, as its agent wrote it down: a JSON object.
ALTER TABLE calls ADD COLUMN outcome TEXT;

-- Who did what that somebody may ask about later. Kept when the call is removed. Ids are UUIDs version 7.
CREATE TABLE audit (
    id      BLOB    NOT NULL PRIMARY KEY,
    at      INTEGER NOT NULL,
    who     TEXT    NOT NULL,
    what    TEXT    NOT NULL,
    call_id BLOB,
    detail  TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- Calls to numbers of ours that nobody answered.
CREATE TABLE missed_calls (
    id         BLOB    NOT NULL PRIMARY KEY,    -- UUID version 7
    at         INTEGER NOT NULL,
    called     TEXT    NOT NULL,
    aor        TEXT,
    name       TEXT,
    waited_ms  INTEGER NOT NULL,
    handled_at INTEGER,
    handled_by TEXT
) STRICT, WITHOUT ROWID;
